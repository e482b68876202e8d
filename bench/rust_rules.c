/* The state machine of rust-libp2p's closest-peers iterator with its defaults:
 * twenty results, three requests at a time; after three answers in a row that
 * brought nobody nearer than the twentieth known it is stalled and asks twenty
 * at a time, until one does; it ends when the twenty nearest of those that have
 * not failed have answered. */
#include "rust_rules.h"

#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "identity/digest.h"

#define ALPHA 3
#define UNREACHABLE (5 * KAD_SECOND)

typedef enum peer_state {
  NOT_CONTACTED,
  WAITING,
  SUCCEEDED,
  FAILED
} peer_state;

typedef struct peer {
  kad__key distance;
  uint32_t number;
  peer_state state;
  kad_time answers; /* when its answer, or its failure, is there */
} peer;

typedef struct iterator {
  kad__bare *bare;
  uint32_t from;
  kad_bytes key;
  kad__key target;
  peer *peers; /* by distance */
  uint32_t count;
  uint32_t cap;
  uint32_t waiting;
  uint32_t no_progress;
  bool stalled;
  kad_time now;
} iterator;

typedef enum turn { ASK, WAIT, FINISHED } turn;

/* ---- candidates ---------------------------------------------------------- */

/* True when it was not known yet. */
static bool add(iterator *it, uint32_t number, kad__key *distance) {
  kad__key key = kad__key_of(kad__sha256, kad__bare_id(it->bare, number));
  uint32_t at = it->count;
  *distance = kad__key_distance(&key, &it->target);
  while (at > 0 &&
         kad__key_compare(distance, &it->peers[at - 1].distance) < 0) {
    at--;
  }
  if (at > 0 && it->peers[at - 1].number == number) {
    return false;
  }
  if (it->count == it->cap) {
    it->cap = it->cap == 0 ? 64 : 2 * it->cap;
    it->peers = realloc(it->peers, it->cap * sizeof(*it->peers));
    BENCH_CHECK(it->peers != NULL);
  }
  memmove(&it->peers[at + 1], &it->peers[at],
          (it->count - at) * sizeof(*it->peers));
  it->peers[at] = (peer){.distance = *distance, .number = number};
  it->count++;
  return true;
}

/* What node `number` names to us: the twenty closest of its table. */
static size_t named_by(const iterator *it, uint32_t *out, uint32_t number) {
  kad__wire_peer list[KAD__K];
  kad__dht *dht = kad__bare_dht(it->bare, number);
  kad_bytes asker = kad__bare_id(it->bare, it->from);
  size_t count =
      kad__dht_closest_local(dht, list, KAD__K, it->key, asker, it->now);
  for (size_t i = 0; i < count; i++) {
    out[i] = kad__bare_find(it->bare, list[i].id);
  }
  return count;
}

/* ---- the rules ----------------------------------------------------------- */

static turn next(const iterator *it, peer **out) {
  bool full = it->waiting >= (it->stalled ? KAD__K : ALPHA);
  bool valid = true;
  uint32_t succeeded = 0;
  for (uint32_t i = 0; i < it->count; i++) {
    peer *p = &it->peers[i];
    if (p->state == WAITING) {
      if (full) {
        return WAIT;
      }
      valid = false;
    } else if (p->state == SUCCEEDED && valid) {
      if (++succeeded >= KAD__K) {
        return FINISHED;
      }
    } else if (p->state == NOT_CONTACTED) {
      *out = p;
      return full ? WAIT : ASK;
    }
  }
  return it->waiting > 0 ? WAIT : FINISHED;
}

static void ask(iterator *it, peer *p) {
  bool up = kad__bare_dht(it->bare, p->number) != NULL;
  kad_time there = kad__bare_latency(it->bare, it->from, p->number);
  p->state = WAITING;
  p->answers = it->now + (up ? 2 * there : UNREACHABLE);
  it->waiting++;
}

static void count_progress(iterator *it, bool progress) {
  if (progress) {
    it->stalled = false;
    it->no_progress = 0;
  } else if (!it->stalled && ++it->no_progress >= ALPHA) {
    it->stalled = true;
  }
}

static void take_answer(iterator *it, peer *p) {
  uint32_t named[KAD__K];
  uint32_t number = p->number;
  it->waiting--;
  if (kad__bare_dht(it->bare, number) == NULL) {
    p->state = FAILED;
    return;
  }
  p->state = SUCCEEDED;
  bool progress = it->count < KAD__K;
  uint32_t border = it->count < KAD__K ? it->count : KAD__K;
  kad__key range = it->peers[border - 1].distance;
  size_t count = named_by(it, named, number);
  for (size_t i = 0; i < count; i++) {
    kad__key distance;
    if (named[i] != it->from && add(it, named[i], &distance)) {
      progress = progress || kad__key_compare(&distance, &range) < 0;
    }
  }
  count_progress(it, progress);
}

static void wait(iterator *it) {
  peer *first = NULL;
  for (uint32_t i = 0; i < it->count; i++) {
    peer *p = &it->peers[i];
    if (p->state == WAITING && (first == NULL || p->answers < first->answers)) {
      first = p;
    }
  }
  BENCH_CHECK(first != NULL);
  it->now = first->answers;
  take_answer(it, first);
}

void rust_rules_look(rust_lookup *out, kad__bare *bare, uint32_t from,
                     kad_bytes key) {
  iterator it = {.bare = bare,
                 .from = from,
                 .key = key,
                 .target = kad__key_of(kad__sha256, key),
                 .now = kad__bare_now(bare)};
  uint32_t seeds[KAD__K];
  size_t count = named_by(&it, seeds, from);
  *out = (rust_lookup){0};
  for (size_t i = 0; i < count; i++) {
    kad__key distance;
    add(&it, seeds[i], &distance);
  }
  for (;;) {
    peer *p = NULL;
    turn t = next(&it, &p);
    if (t == FINISHED) {
      break;
    }
    if (t == ASK) {
      ask(&it, p);
      out->requests++;
    } else {
      wait(&it);
    }
  }
  for (uint32_t i = 0; i < it.count && out->results < KAD__K; i++) {
    if (it.peers[i].state == SUCCEEDED) {
      out->closest[out->results++] = it.peers[i].number;
    }
  }
  out->time = it.now - kad__bare_now(bare);
  free(it.peers);
}
