/* Requests of the owner: each is one object from its start to its END event.
 *
 * While it runs it waits for exactly one thing: the node to join, a query of
 * the DHT, a connection, or a pong. The END event is allocated together with
 * the request, so the promise of one END for every request holds even when
 * memory runs out. */
#include "base/alloc.h"
#include "kademlia/inspect.h"
#include "kadmium/multiaddr.h"
#include "node/requests_internal.h"
#include "node/routing.h"
#include "wire/addresses.h"

static kad__request *from_link(kad__list *link) {
  return KAD__CONTAINER(link, kad__request, link);
}

/* ---- ends ---------------------------------------------------------------- */

static void stop_waiting(kad__node *node, kad__request *r) {
  kad__list_unlink(&r->link);
  if (r->state == KAD__REQUEST_QUERYING || r->state == KAD__REQUEST_PINGING) {
    kad__map_remove(&node->requests.running, &r->by_wait);
  }
  r->state = KAD__REQUEST_WAITING;
}

void kad__request_emit(kad__node *node, kad__request *r, kad_event *event) {
  event->request = r->id;
  event->operation = r->request.operation;
  event->step = ++r->step;
  kad__node_emit(node, event);
}

void kad__request_end(kad__node *node, kad__request *r, int error,
                      kad_time now) {
  stop_waiting(node, r);
  kad__list_unlink(&r->in_order);
  kad__map_remove(&node->requests.all, &r->by_id);
  kad__heap_remove(&node->requests.deadlines, &r->deadline);
  r->statistics.elapsed = now - r->started;
  kad_event event = {.type = KAD_EVENT_END,
                     .request = r->id,
                     .error = r->cause != 0 ? r->cause : error,
                     .statistics = r->statistics,
                     .count = r->results,
                     .ending = r->ending,
                     .operation = r->request.operation,
                     .step = r->step + 1,
                     .last = true};
  kad__node_events_push_owned(&node->events, r->end, &event);
  kad__release(&node->allocator, r);
}

/* ---- starting ------------------------------------------------------------ */

static int run_on(kad__node *node, kad__request *r, kad__request_state to,
                  uint64_t id) {
  r->wait.kind = to;
  r->wait.id = id;
  int error = kad__map_add(&node->requests.running, &node->allocator,
                           &r->by_wait, kad__bytes(&r->wait, sizeof(r->wait)));
  if (error == 0) {
    r->state = to;
  }
  return error;
}

static kad__request *find_running(const kad__node *node,
                                  kad__request_state kind, uint64_t id) {
  uint64_t key[2] = {kind, id};
  kad__map_node *found =
      kad__map_find(&node->requests.running, kad__bytes(key, sizeof(key)));
  return found == NULL ? NULL : KAD__CONTAINER(found, kad__request, by_wait);
}

kad__request *kad__request_of_query(const kad__node *node, uint64_t query) {
  return find_running(node, KAD__REQUEST_QUERYING, query);
}

static kad__quorum quorum_of(const kad_request *request) {
  return (kad__quorum){.kind = (kad__quorum_kind)request->quorum.kind,
                       .n = request->quorum.n == 0 ? 1 : request->quorum.n};
}

/* How many answers a GET waits for, of the peers that should have the record.
 */
static uint32_t answers_wanted(const kad__node *node,
                               const kad_request *request) {
  switch (request->quorum.kind) {
    case KAD_QUORUM_MAJORITY:
      return node->replication / 2 + 1;
    case KAD_QUORUM_ALL:
      return 0;
    case KAD_QUORUM_N:
      return request->quorum.n;
    default:
      return 1;
  }
}

static int start_put_to(kad__node *node, kad__query_id *query,
                        const kad_request *q, kad_time now) {
  kad__wire_record record = {.key = q->key, .value = q->value};
  kad_bytes peers[KAD__NODE_PUT_TO_MAX];
  size_t count = 0;
  for (; count < q->peer_count; count++) {
    peers[count] = kad_peer_id_bytes(&q->peers[count]);
  }
  if (count == 0) {
    peers[count++] = kad_peer_id_bytes(&q->peer);
  }
  if (q->lifetime != 0) {
    kad_time seconds = (q->lifetime + KAD_SECOND - 1) / KAD_SECOND;
    record.ttl = seconds > UINT32_MAX ? UINT32_MAX : (uint32_t)seconds;
  }
  return kad__dht_put_to(node->dht, query, &record, peers, count, quorum_of(q),
                         now);
}

static int start_query(kad__node *node, kad__query_id *query,
                       const kad_request *q, kad_time now) {
  switch (q->operation) {
    case KAD_FIND_PEER:
      return kad__dht_find_peer(node->dht, query, kad_peer_id_bytes(&q->peer),
                                now);
    case KAD_CLOSEST:
      return kad__dht_find_closest(node->dht, query, q->key,
                                   q->count == 0 ? KAD__K : q->count, now);
    case KAD_GET:
      return kad__dht_get(node->dht, query, q->key, answers_wanted(node, q),
                          now);
    case KAD_PUT:
      return kad__dht_put(node->dht, query, q->key, q->value,
                          q->lifetime == 0 ? KAD_TIME_NEVER : q->lifetime,
                          quorum_of(q), now);
    case KAD_PUT_TO:
      return start_put_to(node, query, q, now);
    case KAD_PROVIDE:
      return kad__dht_provide(node->dht, query, q->key, now);
    case KAD_FIND_PROVIDERS:
      return kad__dht_find_providers(node->dht, query, q->key, q->count, now);
    case KAD_BOOTSTRAP:
      return kad__dht_bootstrap(node->dht, query, now);
    default:
      return KAD_E_INVALID_ARGUMENT;
  }
}

/* Runs a query; an error means that nothing was begun. */
static int start_querying(kad__node *node, kad__request *r, kad_time now) {
  if (r->request.operation == KAD_STOP_PROVIDING) {
    kad__dht_stop_providing(node->dht, r->request.key);
    kad__request_end(node, r, 0, now);
    return 0;
  }
  kad__query_id query = 0;
  kad__dht_trace(node->dht, r->request.trace);
  kad__dht_tell_peers(node->dht, r->request.report_peers);
  int error = start_query(node, &query, &r->request, now);
  kad__dht_trace(node->dht, false);
  kad__dht_tell_peers(node->dht, false);
  if (error < 0) {
    return error;
  }
  error = run_on(node, r, KAD__REQUEST_QUERYING, query);
  if (error < 0) {
    (void)kad__dht_finish(node->dht, query, now);
  }
  return error;
}

static void report_peer(kad__node *node, kad__request *r,
                        const kad_peer_id *peer, kad_bytes addresses) {
  kad_event event = {
      .type = KAD_EVENT_PEER, .peer = *peer, .addresses = addresses};
  r->results++;
  kad__request_emit(node, r, &event);
}

static int ping_again(kad__node *node, kad__request *r, kad_time now) {
  uint64_t id = 0;
  int error = kad__ping_start(node->ping, &id, &r->request.peer, now);
  if (error < 0) {
    return error;
  }
  r->statistics.requests++;
  return run_on(node, r, KAD__REQUEST_PINGING, id);
}

/* The connection is there: what follows depends on the operation. */
static void connected(kad__node *node, kad__request *r, kad__id connection,
                      const kad_peer_id *peer, kad_time now) {
  kad__list_unlink(&r->link);
  r->request.peer = *peer;
  if (r->request.operation == KAD_PING) {
    r->state = KAD__REQUEST_WAITING;
    int error = ping_again(node, r, now);
    if (error < 0) {
      kad__request_end(node, r, error, now);
    }
    return;
  }
  /* Whoever connects wants to use the peer: wait until we know what it is. */
  r->state = KAD__REQUEST_IDENTIFYING;
  r->wait.id = connection;
  kad__list_append(&node->requests.dialling, &r->link);
}

static bool report_connected(kad__node *node, kad__request *r, kad_time now) {
  uint8_t list[KAD__OWN_ADDRESSES_MAX];
  size_t len =
      kad__peerstore_addresses(kad__swarm_peerstore(node->swarm),
                               &r->request.peer, list, sizeof(list), now);
  report_peer(node, r, &r->request.peer, kad__bytes(list, len));
  kad__request_end(node, r, 0, now);
  return true;
}

/* Connects to an address, or to a peer by what is known of it. */
static int start_dialling(kad__node *node, kad__request *r, kad_time now) {
  kad_request *q = &r->request;
  r->wait.id = 0;
  if (q->address.len != 0) {
    int error =
        kad__swarm_dial_address(node->swarm, &r->wait.id, q->address, now);
    if (error < 0) {
      return error;
    }
  } else {
    int result =
        kad__swarm_dial(node->swarm, &q->peer, kad__bytes(NULL, 0), now);
    if (result < 0) {
      return result;
    }
    if (result == 1) {
      kad_peer_id peer = q->peer;
      if (q->operation == KAD_PING) {
        connected(node, r, 0, &peer, now);
      } else {
        report_connected(node, r, now);
      }
      return 0;
    }
  }
  r->state = KAD__REQUEST_DIALLING;
  kad__list_append(&node->requests.dialling, &r->link);
  return 0;
}

static bool dials(kad_operation operation) {
  return operation == KAD_CONNECT || operation == KAD_PING;
}

/* How many peers are listed; 0: `peer` alone counts. */
static size_t peer_count(const kad_request *q) {
  bool listed = q->operation == KAD_PUT_TO && q->peers != NULL;
  return listed ? q->peer_count : 0;
}

static bool parameters_fit(const kad_request *q) {
  switch (q->operation) {
    case KAD_FIND_PEER:
      return q->peer.len != 0;
    case KAD_PUT_TO:
      return q->key.len != 0 && peer_count(q) <= KAD__NODE_PUT_TO_MAX &&
             (q->peer.len != 0 || peer_count(q) != 0);
    case KAD_CONNECT:
    case KAD_PING:
      return q->peer.len != 0 || kad_multiaddr_check(q->address) == 0;
    case KAD_BOOTSTRAP:
      return true;
    default:
      return q->key.len != 0 && q->key.len <= UINT16_MAX;
  }
}

/* A record that this network does not take is refused before anybody is asked
 * to join. */
static int check_record(const kad__node *node, const kad_request *q,
                        kad_time now) {
  if (q->operation != KAD_PUT && q->operation != KAD_PUT_TO) {
    return 0;
  }
  return kad__validate(&node->validators, q->key, q->value,
                       kad__node_unix_ns(node, now));
}

static kad__request *new_request(kad__node *node, const kad_request *q,
                                 kad_time now) {
  const kad_allocator *a = &node->allocator;
  size_t peers = peer_count(q) * sizeof(kad_peer_id);
  size_t len = peers + q->key.len + q->value.len + q->address.len;
  kad__request *r = kad__calloc(a, 1, sizeof(*r) + len);
  kad__node_event *last = kad__node_event_new(a);
  if (r == NULL || last == NULL) {
    kad__release(a, r);
    kad__release(a, last);
    return NULL;
  }
  uint8_t *at = r->bytes;
  kad__list_init(&r->in_order);
  kad__list_init(&r->link);
  kad__heap_node_init(&r->deadline);
  r->end = last;
  r->started = now;
  r->request = *q;
  r->request.peer_count = peer_count(q);
  r->request.peers = peers > 0 ? (const kad_peer_id *)(void *)at : NULL;
  (void)kad__bytes_keep(&at, kad__bytes(peers > 0 ? q->peers : NULL, peers));
  r->request.key = kad__bytes_keep(&at, q->key);
  r->request.value = kad__bytes_keep(&at, q->value);
  r->request.address = kad__bytes_keep(&at, q->address);
  r->request.count = dials(q->operation) && q->count == 0 ? 1 : q->count;
  return r;
}

/* Enters the request into the tables of all requests. */
static int register_request(kad__node *node, kad__request *r, kad_time now) {
  kad__requests *requests = &node->requests;
  kad_time timeout =
      r->request.timeout == 0 ? KAD__NODE_REQUEST_TIMEOUT : r->request.timeout;
  int error = kad__heap_set(&requests->deadlines, &node->allocator,
                            &r->deadline, kad__time_add(now, timeout));
  if (error < 0) {
    return error;
  }
  error = kad__map_add(&requests->all, &node->allocator, &r->by_id,
                       kad__bytes(&r->id, sizeof(r->id)));
  if (error < 0) {
    kad__heap_remove(&requests->deadlines, &r->deadline);
    return error;
  }
  requests->last_id = r->id;
  kad__list_append(&requests->in_order, &r->in_order);
  return 0;
}

static void unregister(kad__node *node, kad__request *r) {
  kad__list_unlink(&r->in_order);
  kad__heap_remove(&node->requests.deadlines, &r->deadline);
  kad__map_remove(&node->requests.all, &r->by_id);
}

static void discard(kad__node *node, kad__request *r) {
  kad__release(&node->allocator, r->end);
  kad__release(&node->allocator, r);
}

static int run(kad__node *node, kad__request *r, kad_time now) {
  if (dials(r->request.operation)) {
    return start_dialling(node, r, now);
  }
  if (!node->join.joined && !node->join.failed) {
    kad__list_append(&node->requests.waiting, &r->link);
    return 0;
  }
  return start_querying(node, r, now);
}

int kad__node_start_as(kad__node *node, kad_request_id id,
                       const kad_request *request, kad_time now) {
  if (!parameters_fit(request) || id <= node->requests.last_id) {
    return KAD_E_INVALID_ARGUMENT;
  }
  if (node->closing) {
    return KAD_E_CLOSED;
  }
  if (node->requests.all.len >= KAD__NODE_REQUESTS_MAX) {
    return KAD_E_LIMIT;
  }
  int error = check_record(node, request, now);
  if (error < 0) {
    return error;
  }
  kad__request *r = new_request(node, request, now);
  if (r == NULL) {
    return KAD_E_NO_MEMORY;
  }
  r->id = id;
  error = register_request(node, r, now);
  if (error < 0) {
    discard(node, r);
    return error;
  }
  error = run(node, r, now);
  if (error < 0) {
    unregister(node, r);
    discard(node, r);
  }
  return error;
}

int kad__node_start(kad__node *node, kad_request_id *out,
                    const kad_request *request, kad_time now) {
  kad_request_id id = node->requests.last_id + 1;
  int error = kad__node_start_as(node, id, request, now);
  if (error == 0) {
    *out = id;
  }
  return error;
}

/* ---- what happens to them ------------------------------------------------ */

/* Ends a request for `cause`. A query ends by its own last event, which brings
 * the statistics along. */
static void stop(kad__node *node, kad__request *r, int cause, kad_time now) {
  r->cause = cause;
  if (r->state == KAD__REQUEST_QUERYING &&
      kad__dht_finish(node->dht, r->wait.id, now)) {
    return;
  }
  kad__request_end(node, r, cause, now);
}

kad__request *kad__request_find(const kad__node *node, kad_request_id id) {
  kad__map_node *found =
      kad__map_find(&node->requests.all, kad__bytes(&id, sizeof(id)));
  return found == NULL ? NULL : KAD__CONTAINER(found, kad__request, by_id);
}

bool kad__node_cancel(kad__node *node, kad_request_id request, kad_time now) {
  kad__request *r = kad__request_find(node, request);
  if (r == NULL) {
    return false;
  }
  stop(node, r, KAD_E_CANCELLED, now);
  return true;
}

bool kad__node_finish(kad__node *node, kad_request_id request, kad_time now) {
  kad__request *r = kad__request_find(node, request);
  if (r == NULL) {
    return false;
  }
  r->finishing = true;
  if (r->state != KAD__REQUEST_QUERYING ||
      !kad__dht_finish(node->dht, r->wait.id, now)) {
    kad__request_end(node, r, kad__request_finished(r), now);
  }
  return true;
}

void kad__requests_tick(kad__node *node, kad_time now) {
  kad__heap_node *due;
  while ((due = kad__heap_take_due(&node->requests.deadlines, now)) != NULL) {
    stop(node, KAD__CONTAINER(due, kad__request, deadline), KAD_E_TIMEOUT, now);
  }
}

void kad__requests_joined(kad__node *node, kad_time now) {
  kad__list *link;
  while ((link = kad__list_take(&node->requests.waiting)) != NULL) {
    kad__request *r = from_link(link);
    int error = start_querying(node, r, now);
    if (error < 0) {
      kad__request_end(node, r, error, now);
    }
  }
}

void kad__requests_refuse(kad__node *node, int error, kad_time now) {
  kad__list *link;
  while ((link = kad__list_take(&node->requests.waiting)) != NULL) {
    kad__request_end(node, from_link(link), error, now);
  }
}

static bool awaits(const kad__request *r, const kad__swarm_event *event) {
  if (r->state == KAD__REQUEST_IDENTIFYING) {
    return event->type == KAD__SWARM_DISCONNECTED &&
           r->wait.id == event->connection;
  }
  if (r->wait.id != 0) {
    return r->wait.id == event->dial;
  }
  return event->type != KAD__SWARM_DISCONNECTED && event->peer.len != 0 &&
         kad_peer_id_equal(&r->request.peer, &event->peer);
}

/* What was tried and why it was in vain, before the end says so in one word. */
static void report_failures(kad__node *node, kad__request *r,
                            const kad__swarm_event *failed) {
  kad_bytes address;
  size_t cursor = 0;
  int error = 0;
  uint32_t count = 0;
  while (kad__dial_failure_next(failed->failed, &cursor, &address, &error)) {
    count++;
  }
  cursor = 0;
  for (uint32_t i = 0; i < count && i < KAD__REQUEST_FAILURES_MAX; i++) {
    uint8_t list[KAD_MULTIADDR_MAX + 8];
    size_t len = 0;
    (void)kad__dial_failure_next(failed->failed, &cursor, &address, &error);
    (void)kad__addresses_append(list, sizeof(list), &len, address);
    kad_event event = {.type = KAD_EVENT_DIAL_FAILED,
                       .peer = failed->peer,
                       .addresses = kad__bytes(list, len),
                       .error = error,
                       .count = count - i - 1};
    kad__request_emit(node, r, &event);
  }
}

void kad__requests_swarm_event(kad__node *node, const kad__swarm_event *event,
                               kad_time now) {
  if (event->type != KAD__SWARM_CONNECTED &&
      event->type != KAD__SWARM_DIAL_FAILED &&
      event->type != KAD__SWARM_DISCONNECTED) {
    return;
  }
  KAD__LIST_EACH(link, &node->requests.dialling) {
    kad__request *r = from_link(link);
    if (!awaits(r, event)) {
      continue;
    }
    if (event->type == KAD__SWARM_CONNECTED) {
      connected(node, r, event->connection, &event->peer, now);
    } else {
      if (event->type == KAD__SWARM_DIAL_FAILED) {
        report_failures(node, r, event);
      }
      kad__request_end(node, r, event->error == 0 ? KAD_E_CLOSED : event->error,
                       now);
    }
  }
}

void kad__requests_identified(kad__node *node, const kad__identify_event *event,
                              kad_time now) {
  KAD__LIST_EACH(link, &node->requests.dialling) {
    kad__request *r = from_link(link);
    if (r->state == KAD__REQUEST_IDENTIFYING &&
        r->wait.id == event->connection) {
      report_connected(node, r, now);
    }
  }
}

void kad__requests_pong(kad__node *node, const kad__ping_event *ping,
                        kad_time now) {
  kad__request *r = find_running(node, KAD__REQUEST_PINGING, ping->id);
  if (r == NULL) {
    return;
  }
  stop_waiting(node, r);
  if (ping->type == KAD__PING_FAILED) {
    r->statistics.failures++;
    kad__request_end(node, r, ping->error, now);
    return;
  }
  r->statistics.successes++;
  r->results++;
  kad_event event = {
      .type = KAD_EVENT_PONG, .peer = ping->peer, .round_trip = ping->rtt};
  kad__request_emit(node, r, &event);
  if (--r->request.count == 0) {
    kad__request_end(node, r, 0, now);
    return;
  }
  int error = ping_again(node, r, now);
  if (error < 0) {
    kad__request_end(node, r, error, now);
  }
}

/* ---- the table of them --------------------------------------------------- */

void kad__requests_init(kad__requests *requests, kad_random *random) {
  *requests = (kad__requests){0};
  kad__list_init(&requests->in_order);
  kad__list_init(&requests->waiting);
  kad__list_init(&requests->dialling);
  uint64_t secret[2] = {kad_random_u64(random), kad_random_u64(random)};
  kad__map_init(&requests->running, secret);
  kad__map_init(&requests->all, secret);
}

void kad__requests_fini(kad__node *node) {
  kad__requests *requests = &node->requests;
  uint32_t slot = 0;
  kad__map_node *found = kad__map_next(&requests->all, &slot, NULL);
  while (found != NULL) {
    kad__request *r = KAD__CONTAINER(found, kad__request, by_id);
    found = kad__map_next(&requests->all, &slot, found);
    discard(node, r);
  }
  kad__map_fini(&requests->all, &node->allocator);
  kad__map_fini(&requests->running, &node->allocator);
  kad__heap_fini(&requests->deadlines, &node->allocator);
}
