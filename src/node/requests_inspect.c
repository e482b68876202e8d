/* Looking at the requests that run, without touching them. */
#include "kademlia/inspect.h"
#include "node/requests_internal.h"
#include "node/routing.h"

/* What a bootstrap looks up now. */
static kad_bytes bootstrap_key(const kad__node *node, const kad__request *r) {
  kad__query_view view;
  bool runs = r->state == KAD__REQUEST_QUERYING &&
              kad__dht_query(node->dht, r->wait.id, &view);
  return runs ? view.key : kad_peer_id_bytes(kad__node_id(node));
}

/* What is known of it while it runs. */
static void describe_query(kad_request_info *out, const kad__query_view *view) {
  out->storing = view->spreading;
  out->remaining = view->remaining;
  out->statistics.stored = view->stored;
  out->statistics.requests = view->stats.requests;
  out->statistics.successes = view->stats.successes;
  out->statistics.failures = view->stats.failures;
  out->statistics.hops = view->stats.hops;
}

static void describe(const kad__node *node, const kad__request *r,
                     kad_request_info *out, kad_time now) {
  kad__query_view view;
  *out = (kad_request_info){.id = r->id,
                            .operation = r->request.operation,
                            .waiting = r->state == KAD__REQUEST_WAITING,
                            .key = r->request.key,
                            .statistics = r->statistics,
                            .results = r->results,
                            .step = r->step};
  if (r->state == KAD__REQUEST_QUERYING &&
      kad__dht_query(node->dht, r->wait.id, &view)) {
    describe_query(out, &view);
  }
  if (out->key.len == 0) {
    out->key = r->request.operation == KAD_BOOTSTRAP
                   ? bootstrap_key(node, r)
                   : kad_peer_id_bytes(&r->request.peer);
  }
  out->statistics.elapsed = now - r->started;
}

bool kad__node_request(const kad__node *node, kad_request_id request,
                       kad_request_info *out, kad_time now) {
  const kad__request *r = kad__request_find(node, request);
  if (r == NULL) {
    return false;
  }
  describe(node, r, out, now);
  return true;
}

/* The first request after `id`, which usually still runs. */
static kad__list *after(const kad__node *node, kad_request_id id) {
  const kad__request *last = kad__request_find(node, id);
  if (last != NULL) {
    return last->in_order.next;
  }
  kad__list *link = node->requests.in_order.next;
  while (link != &node->requests.in_order &&
         KAD__CONTAINER(link, kad__request, in_order)->id <= id) {
    link = link->next;
  }
  return link;
}

bool kad__node_next_request(const kad__node *node, uint64_t *cursor,
                            kad_request_info *out, kad_time now) {
  kad__list *link = after(node, *cursor);
  if (link == &node->requests.in_order) {
    return false;
  }
  const kad__request *r = KAD__CONTAINER(link, kad__request, in_order);
  *cursor = r->id;
  describe(node, r, out, now);
  return true;
}

/* ---- what the node does by itself ---------------------------------------- */

static kad_operation operation_of(kad__query_kind kind) {
  switch (kind) {
    case KAD__QUERY_REPROVIDE:
      return KAD_PROVIDE;
    case KAD__QUERY_BOOTSTRAP:
      return KAD_BOOTSTRAP;
    default:
      return KAD_PUT;
  }
}

bool kad__node_next_upkeep(const kad__node *node, uint64_t *cursor,
                           kad_request_info *out, kad_time now) {
  kad__query_view view = {.id = *cursor};
  do {
    if (!kad__dht_next_query(node->dht, view.id, &view)) {
      return false;
    }
  } while (kad__request_of_query(node, view.id) != NULL);
  *cursor = view.id;
  *out = (kad_request_info){
      .operation = operation_of(view.kind), .key = view.key, .step = view.step};
  describe_query(out, &view);
  out->statistics.elapsed = now - view.stats.start;
  return true;
}

bool kad__node_finish_upkeep(kad__node *node, uint64_t cursor, kad_time now) {
  return kad__request_of_query(node, cursor) == NULL &&
         kad__dht_finish(node->dht, cursor, now);
}
