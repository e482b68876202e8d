/* What the DHT tells of a query, as events of the request that it is for. */
#include "node/requests_internal.h"
#include "wire/addresses.h"

kad_statistics kad__node_statistics(const kad__dht_event *event) {
  return (kad_statistics){.requests = event->stats.requests,
                          .successes = event->stats.successes,
                          .failures = event->stats.failures,
                          .hops = event->stats.hops,
                          .stored = event->stored,
                          .elapsed = event->stats.end - event->stats.start};
}

_Static_assert((int)KAD_LOOKUP_FINISHED == (int)KAD__ENDING_FINISHED &&
                   (int)KAD_LOOKUP_STARVED == (int)KAD__ENDING_STARVED,
               "the public names are the same numbers");

/* A request that its time has run out for is ended like one that is cancelled:
 * `cause` tells them apart. */
kad_lookup_ending kad__node_ending(int cause, const kad__dht_event *event) {
  bool timed_out =
      cause == KAD_E_TIMEOUT && event->ending == KAD__ENDING_FINISHED;
  return timed_out ? KAD_LOOKUP_TIMED_OUT : (kad_lookup_ending)event->ending;
}

int kad__request_finished(const kad__request *r) {
  switch (r->request.operation) {
    case KAD_PUT:
    case KAD_PUT_TO:
      return KAD_E_QUORUM;
    case KAD_PROVIDE:
      return r->statistics.stored > 0 ? 0 : KAD_E_QUORUM;
    case KAD_BOOTSTRAP:
      return 0;
    default:
      return r->results > 0 ? 0 : KAD_E_NOT_FOUND;
  }
}

static void query_ended(kad__node *node, kad__request *r,
                        const kad__dht_event *event, kad_time now) {
  r->statistics = kad__node_statistics(event);
  r->ending = kad__node_ending(r->cause, event);
  int error = event->error;
  if (r->finishing && error == KAD_E_CANCELLED) {
    error = kad__request_finished(r);
  }
  kad__request_end(node, r, error, now);
}

/* Where a query ended is no result of it. */
static bool is_result(const kad__request *r, kad_event_type type) {
  kad_operation operation = r->request.operation;
  if (type == KAD_EVENT_PEER) {
    return operation == KAD_FIND_PEER || operation == KAD_CLOSEST;
  }
  return type != KAD_EVENT_PROGRESS;
}

static void query_progressed(kad__node *node, kad_event_type type,
                             kad__request *r, const kad__dht_event *event) {
  uint8_t own[KAD__OWN_ADDRESSES_MAX];
  kad_event out = {.type = type,
                   .error = event->error,
                   .addresses = event->peer.addresses,
                   .key = event->key,
                   .value = event->record.value,
                   .best = event->best,
                   .count = event->remaining};
  if (type == KAD_EVENT_VALUE) {
    out.key = event->record.key;
    out.ttl = event->record.ttl;
    (void)kad__node_peer_id(&out.publisher, event->record.publisher);
    out.addresses = kad__bytes(NULL, 0);
  }
  (void)kad__node_peer_id(&out.peer, event->peer.id);
  r->results += is_result(r, type);
  if (type == KAD_EVENT_PROVIDER && out.addresses.len == 0 &&
      kad_peer_id_equal(&out.peer, kad__node_id(node))) {
    out.addresses = kad__bytes(own, kad__node_own_list(node, own, sizeof(own)));
  }
  kad__request_emit(node, r, &out);
}

/* Whom the owner looked for will be named by its id alone in what follows. */
static void remember_addresses(kad__node *node, const kad__dht_event *event,
                               kad_time now) {
  kad_peer_id peer;
  kad_bytes rest = event->peer.addresses;
  kad_bytes address;
  if (!kad__node_peer_id(&peer, event->peer.id)) {
    return;
  }
  while (kad__addresses_next(&rest, &address)) {
    (void)kad__peerstore_add(kad__swarm_peerstore(node->swarm), &peer, address,
                             KAD__ADDRESS_TEMPORARY, now);
  }
}

/* Who was asked, when, and what came back. */
static void trace_event(kad__node *node, kad_event_type type, kad__request *r,
                        const kad__dht_event *event) {
  kad_event out = {.type = type,
                   .error = event->error,
                   .addresses = event->peer.addresses,
                   .rpc = (uint32_t)event->message_type,
                   .count = event->closer,
                   .hops = event->hops,
                   .elapsed = event->stats.end - r->started};
  (void)kad__node_peer_id(&out.peer, event->peer.id);
  kad__request_emit(node, r, &out);
}

static void progress(kad__node *node, kad__request *r,
                     const kad__dht_event *event, kad_time now) {
  switch (event->type) {
    case KAD__DHT_PEER_FOUND:
      if (r->request.operation == KAD_FIND_PEER) {
        remember_addresses(node, event, now);
      }
      query_progressed(node, KAD_EVENT_PEER, r, event);
      return;
    case KAD__DHT_RECORD_FOUND:
      if (event->best || r->request.collect) {
        query_progressed(node, KAD_EVENT_VALUE, r, event);
      }
      return;
    case KAD__DHT_PROVIDER_FOUND:
      query_progressed(node, KAD_EVENT_PROVIDER, r, event);
      return;
    case KAD__DHT_PROGRESS:
      query_progressed(node, KAD_EVENT_PROGRESS, r, event);
      return;
    case KAD__DHT_ASKED:
      trace_event(node, KAD_EVENT_ASKED, r, event);
      return;
    case KAD__DHT_ANSWERED:
      trace_event(node, KAD_EVENT_ANSWERED, r, event);
      return;
    case KAD__DHT_QUERY_ENDED:
      query_ended(node, r, event, now);
      return;
    default:
      return;
  }
}

bool kad__requests_dht_event(kad__node *node, const kad__dht_event *event,
                             kad_time now) {
  kad__request *r = kad__request_of_query(node, event->query);
  if (r != NULL) {
    progress(node, r, event, now);
  }
  return r != NULL;
}
