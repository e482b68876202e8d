/* Every invariant of a node, walked, those of its parts included: for tests,
 * after each step. */
#include "node/requests_internal.h"
#include "node/streams_internal.h"

#define CHECK(condition) \
  do {                   \
    if (!(condition)) {  \
      return #condition; \
    }                    \
  } while (0)

static const char *check_stream(const kad_stream *s) {
  bool waits = kad__list_linked(&s->waiting);
  bool queued = kad__list_linked(&s->event.link);
  CHECK(s->inner == NULL || kad__stream_user(s->inner) == s);
  CHECK(queued == (s->tell != 0));
  CHECK(s->error == 0 || !waits);
  CHECK(s->error == 0 || !s->orphan);
  CHECK(s->error == 0 || !kad__heap_has(&s->timer));
  /* Somebody will move it on. */
  CHECK(s->error != 0 || s->inner != NULL || waits);
  CHECK(s->error != 0 || s->opened || kad__heap_has(&s->timer));
  CHECK(!s->orphan || !queued);
  return NULL;
}

static const char *check_streams(const kad__streams *streams) {
  size_t count = 0;
  KAD__LIST_EACH(link, &streams->all) {
    const char *broken = check_stream(KAD__CONTAINER(link, kad_stream, in_all));
    if (broken != NULL) {
      return broken;
    }
    count++;
  }
  CHECK(count == streams->count);
  CHECK(streams->handlers <= KAD__NODE_HANDLERS_MAX);
  CHECK(kad__list_empty(&streams->crowded) ||
        streams->retry_at != KAD_TIME_NEVER);
  return NULL;
}

static const char *check_request(const kad__node *node, const kad__request *r) {
  bool waits = kad__list_linked(&r->link);
  bool running =
      r->state == KAD__REQUEST_QUERYING || r->state == KAD__REQUEST_PINGING;
  CHECK(waits == !running);
  CHECK(r->end != NULL);
  CHECK(kad__request_find(node, r->id) == r);
  CHECK(r->state != KAD__REQUEST_QUERYING ||
        kad__request_of_query(node, r->wait.id) == r);
  CHECK(r->cause != 0 || kad__heap_has(&r->deadline));
  return NULL;
}

static const char *check_requests(const kad__node *node) {
  kad_request_id last = 0;
  size_t count = 0;
  KAD__LIST_EACH(link, &node->requests.in_order) {
    const kad__request *r = KAD__CONTAINER(link, kad__request, in_order);
    const char *broken = check_request(node, r);
    if (broken != NULL) {
      return broken;
    }
    CHECK(r->id > last);
    last = r->id;
    count++;
  }
  CHECK(count == node->requests.all.len);
  CHECK(last <= node->requests.last_id);
  return NULL;
}

static const char *check_events(const kad__node_events *events) {
  size_t count = 0;
  KAD__LIST_EACH(link, &events->waiting) {
    count += KAD__CONTAINER(link, kad__node_event, link)->stream == NULL;
  }
  CHECK(count == events->count);
  return NULL;
}

const char *kad__node_check(const kad__node *node) {
  const char *broken = kad__swarm_check(node->swarm);
  if (broken == NULL) {
    broken = kad__dht_check(node->dht);
  }
  if (broken == NULL) {
    broken = check_streams(&node->streams);
  }
  if (broken == NULL) {
    broken = check_requests(node);
  }
  return broken != NULL ? broken : check_events(&node->events);
}
