/* Closing down to the low water mark. What is over the high one when time
 * passes is looked at once in a silence period, all at a time, so that a busy
 * node sorts its peers rarely. */
#include "swarm/swarm_internal.h"

typedef struct candidate {
  const kad_peer_id *id;
  int64_t value;
  uint32_t streams;
  bool inbound; /* one of its connections, at least */
} candidate;

static bool is_safe(const kad__swarm *s, const kad__swarm_peer *peer) {
  return peer->is_protected ||
         kad__values_protected(&s->values, &peer->id, NULL);
}

static bool is_new(const kad__swarm *s, const kad__swarm_peer *peer) {
  const kad__channel *first =
      KAD__CONTAINER(peer->channels.next, kad__channel, group);
  return kad__time_add(first->opened, s->config.grace_period) > s->now;
}

static candidate candidate_of(const kad__swarm *s,
                              const kad__swarm_peer *peer) {
  candidate c = {.id = &peer->id,
                 .value = kad__values_of(&s->values, &peer->id)};
  KAD__LIST_EACH(node, &peer->channels) {
    const kad__channel *channel = KAD__CONTAINER(node, kad__channel, group);
    c.streams += channel->stream_count;
    c.inbound = c.inbound || channel->inbound;
  }
  return c;
}

/* Is `a` closed before `b`? Ends in an order of ids: no two are equal. */
static bool goes_before(const candidate *a, const candidate *b) {
  if (a->value != b->value) {
    return a->value < b->value;
  }
  if ((a->streams == 0) != (b->streams == 0)) {
    return a->streams == 0;
  }
  if (a->inbound != b->inbound) {
    return a->inbound;
  }
  return a->streams != b->streams ? a->streams < b->streams
                                  : kad_peer_id_compare(a->id, b->id) < 0;
}

/* A heap with the one that goes first on top: only as many are put in order as
 * are closed. */
static void sink(candidate *heap, size_t count, size_t at) {
  for (;;) {
    size_t first = at;
    for (size_t child = 2 * at + 1; child <= 2 * at + 2; child++) {
      if (child < count && goes_before(&heap[child], &heap[first])) {
        first = child;
      }
    }
    if (first == at) {
      return;
    }
    candidate moved = heap[at];
    heap[at] = heap[first];
    heap[first] = moved;
    at = first;
  }
}

static void order(candidate *heap, size_t count) {
  for (size_t i = count / 2; i > 0; i--) {
    sink(heap, count, i - 1);
  }
}

static size_t collect(const kad__swarm *s, candidate *out, bool all) {
  uint32_t slot = 0;
  size_t count = 0;
  for (kad__map_node *node = kad__map_next(&s->peers, &slot, NULL);
       node != NULL; node = kad__map_next(&s->peers, &slot, node)) {
    const kad__swarm_peer *peer = KAD__CONTAINER(node, kad__swarm_peer, node);
    if (peer->channel_count > 0 && !is_safe(s, peer) &&
        (all || !is_new(s, peer))) {
      out[count++] = candidate_of(s, peer);
    }
  }
  return count;
}

static size_t close_peer(kad__swarm *s, const kad_peer_id *id) {
  const kad__swarm_peer *peer = kad__swarm_find_peer(s, id);
  size_t count = peer->channel_count;
  /* The peer's entry, and `id` with it, may go with the last connection. */
  for (size_t i = 0; i < count; i++) {
    const kad__channel *c =
        KAD__CONTAINER(peer->channels.next, kad__channel, group);
    kad__swarm_close(s, c->id, KAD_CONNECTION_CODE_GARBAGE_COLLECTED, s->now);
  }
  s->counters.trimmed += count;
  return count;
}

size_t kad__swarm_trim(kad__swarm *s, bool all, kad_time now) {
  kad__swarm_set_now(s, now);
  size_t closed = 0;
  s->trim_at = kad__time_add(s->now, s->config.silence_period);
  if (s->established <= s->config.low_water) {
    return 0;
  }
  candidate *list = kad__alloc(&s->allocator, s->peers.len * sizeof(list[0]));
  if (list == NULL) {
    return 0; /* max_connections holds all the same */
  }
  size_t count = collect(s, list, all);
  order(list, count);
  while (count > 0 && s->established > s->config.low_water) {
    candidate next = list[0];
    list[0] = list[--count];
    sink(list, count, 0);
    closed += close_peer(s, next.id);
  }
  kad__release(&s->allocator, list);
  return closed;
}

kad_time kad__swarm_trim_at(const kad__swarm *s) {
  return s->established > s->config.high_water ? s->trim_at : KAD_TIME_NEVER;
}
