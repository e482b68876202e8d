/* A path is a sorted array: lookups see a few hundred peers at the most, and
 * walking them in order is what each step does anyway. The rules are those of
 * rust-libp2p's ClosestPeersIter, with slow and deferred peers added. */
#include "kademlia/lookup.h"

#include "base/alloc.h"

/* So many of those that a peer named may keep silent, and more for each that
 * answered, before it is no longer believed. */
#define VAIN_MAX 3
#define VAIN_PER_GOOD 3

int kad__lookup_init(kad__lookup *lookup, const kad_allocator *allocator,
                     kad__peer_book *book, const kad__key *target,
                     const kad__lookup_config *config) {
  *lookup = (kad__lookup){.allocator = allocator,
                          .book = book,
                          .config = *config,
                          .target = *target};
  if (config->paths <= 1) {
    lookup->config.paths = 1;
    lookup->paths = &lookup->single;
    return 0;
  }
  lookup->paths =
      kad__calloc(allocator, config->paths, sizeof lookup->paths[0]);
  if (lookup->paths == NULL) {
    lookup->paths = &lookup->single;
    lookup->config.paths = 1;
    return KAD_E_NO_MEMORY;
  }
  return 0;
}

static void candidate_drop(kad__lookup *l, const kad__candidate *c) {
  kad__list_unref(l->book, c->addresses);
  kad__peer_unref(l->book, c->peer);
}

void kad__lookup_fini(kad__lookup *lookup) {
  for (uint32_t p = 0; p < lookup->config.paths; p++) {
    kad__path *path = &lookup->paths[p];
    for (uint32_t i = 0; i < path->count; i++) {
      candidate_drop(lookup, &path->list[i]);
    }
    kad__release(lookup->allocator, path->list);
    path->list = NULL;
    path->count = 0;
  }
  if (lookup->paths != &lookup->single) {
    kad__release(lookup->allocator, lookup->paths);
  }
  lookup->paths = NULL;
  lookup->config.paths = 0;
}

/* ---- one path ----------------------------------------------------------- */

/* The place of a distance: where it is, or where it would go. */
static uint32_t path_place(const kad__path *p, const kad__key *distance) {
  uint32_t low = 0;
  uint32_t high = p->count;
  while (low < high) {
    uint32_t middle = low + (high - low) / 2;
    if (kad__key_compare(&p->list[middle].distance, distance) < 0) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

static kad__candidate *path_find(const kad__path *p, const kad__key *distance) {
  uint32_t at = path_place(p, distance);
  if (at < p->count && kad__key_equal(&p->list[at].distance, distance)) {
    return &p->list[at];
  }
  return NULL;
}

static bool path_reserve(kad__lookup *l, kad__path *p) {
  if (p->count < p->cap) {
    return true;
  }
  uint32_t cap = p->cap == 0 ? 32 : p->cap * 2;
  kad__candidate *list =
      kad__resize_array(l->allocator, p->list, cap, sizeof list[0]);
  if (list == NULL) {
    return false;
  }
  p->list = list;
  p->cap = cap;
  return true;
}

/* One past the farthest in `state` of those from `at` on; `at` if none is. */
static uint32_t path_farthest(const kad__path *p, uint32_t at, uint8_t state) {
  uint32_t last = p->count;
  while (last > at && p->list[last - 1].state != state) {
    last--;
  }
  return last;
}

/* Room for a newcomer at `at`: the farthest makes way that is deferred, or else
 * was not asked. */
static bool path_make_room(kad__lookup *l, kad__path *p, uint32_t *at) {
  if (p->count < KAD__LOOKUP_CANDIDATES) {
    return path_reserve(l, p);
  }
  uint32_t last = path_farthest(p, 0, KAD__DEFERRED);
  if (last == 0) {
    last = path_farthest(p, *at, KAD__HEARD);
    if (last == *at) {
      return false;
    }
  }
  *at -= last <= *at;
  p->entries -= p->list[last - 1].entry;
  candidate_drop(l, &p->list[last - 1]);
  memmove(&p->list[last - 1], &p->list[last],
          (p->count - last) * sizeof p->list[0]);
  p->count--;
  return true;
}

/* What is new is added, so that nobody can hide a peer by naming false
 * addresses first. Without memory, or once it was asked, nothing. */
static void candidate_addresses(kad__lookup *l, kad__candidate *c,
                                kad__list_id addresses) {
  uint8_t merged[KAD__LOOKUP_ADDRESSES];
  size_t len = 0;
  kad__list_id list;
  if (addresses == c->addresses || addresses == 0 ||
      (c->state > KAD__DEFERRED && c->addresses != 0)) {
    return;
  }
  kad__list_merge(merged, sizeof merged, &len,
                  kad__list_bytes(l->book, c->addresses));
  kad__list_merge(merged, sizeof merged, &len,
                  kad__list_bytes(l->book, addresses));
  if (kad__list_hold(l->book, &list, kad__bytes(merged, len)) == 0) {
    kad__list_unref(l->book, c->addresses);
    c->addresses = list;
  }
}

/* Where a candidate comes from. */
typedef struct origin {
  kad__peer peer; /* 0: the table */
  uint16_t hops;
} origin;

/* Told again: somebody else's word restores what was put off for the first's
 * fault. */
static void candidate_again(kad__lookup *l, kad__candidate *c,
                            const kad__heard *heard, origin from) {
  candidate_addresses(l, c, heard->addresses);
  if (c->state == KAD__DEFERRED && !heard->deferred && c->by != 0 &&
      c->by != from.peer) {
    c->state = KAD__HEARD;
    c->by = from.peer;
  }
}

/* True when the peer is new to the path. */
static bool path_add(kad__lookup *l, kad__path *p, const kad__heard *heard,
                     origin from, kad__key *distance) {
  *distance =
      kad__key_distance(kad__peer_key(l->book, heard->peer), &l->target);
  uint32_t at = path_place(p, distance);
  if (at < p->count && kad__key_equal(&p->list[at].distance, distance)) {
    candidate_again(l, &p->list[at], heard, from);
    return false;
  }
  if (!path_make_room(l, p, &at)) {
    return false;
  }
  memmove(&p->list[at + 1], &p->list[at], (p->count - at) * sizeof p->list[0]);
  p->list[at] =
      (kad__candidate){.distance = *distance,
                       .peer = heard->peer,
                       .addresses = heard->addresses,
                       .by = from.peer,
                       .hops = from.hops,
                       .state = heard->deferred ? KAD__DEFERRED : KAD__HEARD};
  p->count++;
  kad__peer_ref(l->book, heard->peer);
  kad__list_ref(l->book, heard->addresses);
  return true;
}

static bool path_full(const kad__lookup *l, const kad__path *p) {
  uint32_t limit = l->config.parallelism;
  if (p->stalled && limit < l->config.results) {
    limit = l->config.results;
  }
  if (l->config.most != 0 && limit > l->config.most) {
    limit = l->config.most;
  }
  return p->waiting >= limit;
}

static void path_ask(kad__path *p, kad__candidate *c, bool owned) {
  p->entries -= c->entry && c->state == KAD__HEARD;
  c->state = KAD__WAITING;
  c->owned = owned;
  p->waiting++;
}

/* When all others have had their say: those that failed lately, and at the very
 * last those that keep us waiting. */
static kad__lookup_turn path_last_resort(const kad__lookup *l, kad__path *p,
                                         kad__candidate **out) {
  bool enough = p->answered >= l->config.results;
  if (p->waiting > 0 && (!p->last_resort || path_full(l, p))) {
    return KAD__LOOKUP_WAIT;
  }
  for (uint32_t i = 0; i < p->count && !enough; i++) {
    if (p->list[i].state == KAD__DEFERRED) {
      p->last_resort = true;
      *out = &p->list[i];
      return KAD__LOOKUP_ASK;
    }
  }
  if (p->waiting > 0 || (p->slow > 0 && !enough) ||
      (p->lost > 0 && p->answered == 0)) {
    return KAD__LOOKUP_WAIT;
  }
  p->finished = true;
  return KAD__LOOKUP_FINISHED;
}

static kad__candidate *path_entry(kad__path *p) {
  for (uint32_t i = 0; i < p->count && p->entries > 0; i++) {
    if (p->list[i].entry && p->list[i].state == KAD__HEARD) {
      return &p->list[i];
    }
  }
  return NULL;
}

/* Whether the `count`-th that answered, `c`, is a result by its rank or by its
 * place. */
static bool is_result(const kad__lookup *l, const kad__candidate *c,
                      uint32_t count) {
  return count <= l->config.results ||
         (c->distance.w[0] < l->config.region && count <= KAD__REGION_MAX);
}

static kad__lookup_turn path_next(kad__lookup *l, kad__path *p,
                                  kad__candidate **out) {
  if (p->finished) {
    return KAD__LOOKUP_FINISHED;
  }
  bool full = path_full(l, p);
  kad__candidate *entry = path_entry(p);
  if (entry != NULL) {
    *out = entry;
    return full ? KAD__LOOKUP_WAIT : KAD__LOOKUP_ASK;
  }
  bool closest_answered = true;
  uint32_t answered = 0;
  for (uint32_t i = 0; i < p->count; i++) {
    kad__candidate *c = &p->list[i];
    if (c->state == KAD__WAITING) {
      closest_answered = false;
    } else if (c->state == KAD__ANSWERED) {
      answered++;
      if (closest_answered && answered >= l->config.results &&
          !is_result(l, c, answered + 1)) {
        p->finished = true;
        return KAD__LOOKUP_FINISHED;
      }
    } else if (c->state == KAD__HEARD) {
      p->last_resort = false;
      *out = c;
      return full ? KAD__LOOKUP_WAIT : KAD__LOOKUP_ASK;
    }
  }
  return path_last_resort(l, p, out);
}

static uint32_t *state_count(kad__path *p, uint8_t state) {
  return state == KAD__WAITING ? &p->waiting
         : state == KAD__SLOW  ? &p->slow
                               : &p->lost;
}

/* What became of one that it named is credited to a peer. Whoever names mostly
 * such as never answer makes them up, or is long out of date: what else it has
 * named is put off, so that it costs a lookup a few questions and no more. With
 * a single path all are believed: under heavy churn the honest are as wrong. */
static void path_credit(kad__lookup *l, kad__path *p, kad__peer by, int good,
                        int vain) {
  kad__key distance;
  kad__candidate *source = NULL;
  if (by != 0 && l->config.paths > 1) {
    distance = kad__key_distance(kad__peer_key(l->book, by), &l->target);
    source = path_find(p, &distance);
  }
  if (source == NULL) {
    return;
  }
  source->good = (uint8_t)(source->good + good);
  source->vain = (uint8_t)(source->vain + vain);
  if (vain <= 0 || source->vain <= VAIN_MAX + VAIN_PER_GOOD * source->good) {
    return;
  }
  for (uint32_t i = 0; i < p->count; i++) {
    if (p->list[i].by == by && p->list[i].state == KAD__HEARD) {
      p->list[i].state = KAD__DEFERRED;
    }
  }
}

/* Leaves the states in which an answer counts; false when in none of them. A
 * path that has finished takes part too: others may wait for what it asked. */
static bool path_settle(kad__lookup *l, kad__path *p, kad__candidate *c,
                        uint8_t state) {
  if (!kad__candidate_open(c)) {
    return false;
  }
  bool answered = state == KAD__ANSWERED;
  bool late = c->state != KAD__WAITING;
  --*state_count(p, c->state);
  c->state = state;
  p->answered += answered;
  path_credit(l, p, c->by, answered, !answered - late);
  return true;
}

/* From one open state to a later one. */
static void path_delay(kad__lookup *l, kad__path *p, kad__candidate *c,
                       uint8_t state) {
  if (kad__candidate_open(c) && c->state < state) {
    int vain = c->state == KAD__WAITING;
    --*state_count(p, c->state);
    ++*state_count(p, state);
    c->state = state;
    path_credit(l, p, c->by, 0, vain);
  }
}

static void path_progress(const kad__lookup *l, kad__path *p, bool progress) {
  if (progress) {
    p->stalled = false;
    p->no_progress = 0;
  } else if (!p->stalled && ++p->no_progress >= l->config.parallelism) {
    p->stalled = true;
  }
}

/* Those that the answer named; progress is a new peer within the range of the
 * results so far. */
static bool path_hear(kad__lookup *l, kad__path *p, origin from,
                      const kad__heard *heard, size_t count) {
  uint32_t results = l->config.results;
  bool progress = p->count < results;
  uint32_t border = p->count < results ? p->count : results;
  kad__key range = p->list[border - 1].distance;
  for (size_t i = 0; i < count; i++) {
    kad__key distance;
    if (path_add(l, p, &heard[i], from, &distance)) {
      progress = progress || kad__key_compare(&distance, &range) < 0;
    }
  }
  return progress;
}

static bool path_answered(kad__lookup *l, kad__path *p, kad__candidate *c,
                          const kad__heard *heard, size_t count) {
  origin here = {c->peer, c->hops};
  here.hops = (uint16_t)(here.hops + (here.hops < UINT16_MAX));
  if (!path_settle(l, p, c, KAD__ANSWERED)) {
    return false;
  }
  if (!l->config.fixed) {
    path_progress(l, p, path_hear(l, p, here, heard, count));
  }
  return true;
}

/* ---- all paths ---------------------------------------------------------- */

static const origin seeded = {.hops = 1};

int kad__lookup_seed(kad__lookup *lookup, const kad__heard *heard) {
  for (uint32_t i = 0; i < lookup->config.paths; i++) {
    kad__path *p = &lookup->paths[i];
    kad__key distance;
    if (!path_add(lookup, p, heard, seeded, &distance) &&
        path_find(p, &distance) == NULL && p->count < KAD__LOOKUP_CANDIDATES) {
      return KAD_E_NO_MEMORY;
    }
  }
  return 0;
}

int kad__lookup_seed_entry(kad__lookup *lookup, uint32_t path,
                           const kad__heard *heard) {
  kad__path *p = &lookup->paths[path];
  kad__key distance;
  path_add(lookup, p, heard, seeded, &distance);
  kad__candidate *c = path_find(p, &distance);
  if (c == NULL) {
    return KAD_E_NO_MEMORY;
  }
  if (c->state == KAD__HEARD && !c->entry) {
    c->entry = true;
    p->entries++;
  }
  return 0;
}

/* The candidate in the path that asked it. */
static kad__candidate *find_owned(const kad__lookup *l,
                                  const kad__key *distance) {
  for (uint32_t i = 0; i < l->config.paths; i++) {
    kad__candidate *c = path_find(&l->paths[i], distance);
    if (c != NULL && c->owned) {
      return c;
    }
  }
  return NULL;
}

/* Another path asked `c` before: `p` shares the state, not the answer. */
static void adopt(kad__lookup *l, kad__path *p, kad__candidate *c,
                  const kad__candidate *asked) {
  path_ask(p, c, false);
  if (asked->state == KAD__ANSWERED) {
    path_answered(l, p, c, NULL, 0);
  } else if (asked->state == KAD__FAILED) {
    path_settle(l, p, c, KAD__FAILED);
  } else {
    path_delay(l, p, c, asked->state);
  }
}

static kad__lookup_turn next_of(kad__lookup *l, kad__path *p,
                                kad__candidate **out) {
  for (;;) {
    kad__lookup_turn turn = path_next(l, p, out);
    if (turn != KAD__LOOKUP_ASK) {
      return turn;
    }
    kad__candidate *asked =
        l->config.paths == 1 ? NULL : find_owned(l, &(*out)->distance);
    if (asked == NULL) {
      path_ask(p, *out, true);
      return turn;
    }
    adopt(l, p, *out, asked);
  }
}

kad__lookup_turn kad__lookup_next(kad__lookup *lookup,
                                  const kad__candidate **out) {
  kad__lookup_turn result = KAD__LOOKUP_FINISHED;
  uint32_t paths = lookup->config.paths;
  uint32_t first = lookup->turn;
  for (uint32_t i = 0; i < paths; i++) {
    uint32_t which = (first + i) % paths;
    kad__candidate *c = NULL;
    kad__lookup_turn turn = next_of(lookup, &lookup->paths[which], &c);
    if (turn == KAD__LOOKUP_ASK) {
      lookup->turn = (which + 1) % paths;
      *out = c;
      return turn;
    }
    result = turn == KAD__LOOKUP_WAIT ? turn : result;
  }
  return result;
}

static kad__key distance_of(const kad__lookup *l, kad__peer peer) {
  return kad__key_distance(kad__peer_key(l->book, peer), &l->target);
}

bool kad__lookup_answered(kad__lookup *lookup, kad__peer peer,
                          const kad__heard *heard, size_t count) {
  kad__key distance = distance_of(lookup, peer);
  bool accepted = false;
  for (uint32_t i = 0; i < lookup->config.paths; i++) {
    kad__path *p = &lookup->paths[i];
    kad__candidate *c = path_find(p, &distance);
    if (c == NULL) {
      continue;
    }
    bool owned = c->owned;
    bool settled = path_answered(lookup, p, c, heard, owned ? count : 0);
    accepted = accepted || (owned && settled);
  }
  return accepted;
}

bool kad__lookup_failed(kad__lookup *lookup, kad__peer peer) {
  kad__key distance = distance_of(lookup, peer);
  bool accepted = false;
  for (uint32_t i = 0; i < lookup->config.paths; i++) {
    kad__path *p = &lookup->paths[i];
    kad__candidate *c = path_find(p, &distance);
    if (c != NULL && path_settle(lookup, p, c, KAD__FAILED)) {
      accepted = accepted || c->owned;
    }
  }
  return accepted;
}

static void delay(kad__lookup *l, kad__peer peer, uint8_t state) {
  kad__key distance = distance_of(l, peer);
  for (uint32_t i = 0; i < l->config.paths; i++) {
    kad__candidate *c = path_find(&l->paths[i], &distance);
    if (c != NULL) {
      path_delay(l, &l->paths[i], c, state);
    }
  }
}

void kad__lookup_slow(kad__lookup *lookup, kad__peer peer) {
  delay(lookup, peer, KAD__SLOW);
}

void kad__lookup_lost(kad__lookup *lookup, kad__peer peer) {
  delay(lookup, peer, KAD__LOST);
}

kad__candidate *kad__lookup_find(const kad__lookup *lookup, kad__peer peer) {
  kad__key distance = distance_of(lookup, peer);
  kad__candidate *c = find_owned(lookup, &distance);
  for (uint32_t i = 0; c == NULL && i < lookup->config.paths; i++) {
    c = path_find(&lookup->paths[i], &distance);
  }
  return c;
}

/* The next candidate of a path that answered. */
static const kad__candidate *next_answered(const kad__path *p, uint32_t *at) {
  while (*at < p->count && p->list[*at].state != KAD__ANSWERED) {
    ++*at;
  }
  return *at < p->count ? &p->list[*at] : NULL;
}

size_t kad__lookup_results(const kad__lookup *lookup,
                           const kad__candidate **out, size_t cap) {
  uint32_t at[KAD__LOOKUP_PATHS] = {0};
  uint32_t taken[KAD__LOOKUP_PATHS] = {0};
  size_t count = 0;
  while (count < cap) {
    const kad__candidate *best = NULL;
    uint32_t from = 0;
    for (uint32_t i = 0; i < lookup->config.paths; i++) {
      const kad__candidate *c = next_answered(&lookup->paths[i], &at[i]);
      if (c != NULL && is_result(lookup, c, taken[i] + 1) &&
          (best == NULL ||
           kad__key_compare(&c->distance, &best->distance) < 0)) {
        best = c;
        from = i;
      }
    }
    if (best == NULL) {
      break;
    }
    at[from]++;
    taken[from]++;
    if (count == 0 || out[count - 1]->peer != best->peer) {
      out[count++] = best;
    }
  }
  return count;
}

bool kad__lookup_exhaustive(const kad__lookup *lookup) {
  const kad__path *p = &lookup->paths[0];
  uint32_t answered = 0;
  for (uint32_t i = 0; i < p->count; i++) {
    if (p->list[i].state == KAD__DEFERRED) {
      return false;
    }
    answered += p->list[i].state == KAD__ANSWERED;
    if (answered >= lookup->config.results) {
      return true;
    }
  }
  return true;
}

uint32_t kad__lookup_unasked(const kad__lookup *lookup) {
  const kad__path *p = &lookup->paths[0];
  uint32_t count = 0;
  for (uint32_t i = 0; i < p->count; i++) {
    count += p->list[i].state == KAD__HEARD;
  }
  return count;
}

const char *kad__lookup_check(const kad__lookup *lookup) {
  for (uint32_t i = 0; i < lookup->config.paths; i++) {
    const kad__path *p = &lookup->paths[i];
    uint32_t counts[KAD__FAILED + 1] = {0};
    uint32_t entries = 0;
    for (uint32_t j = 0; j < p->count; j++) {
      const kad__candidate *c = &p->list[j];
      kad__key distance = distance_of(lookup, c->peer);
      if (!kad__key_equal(&distance, &c->distance)) {
        return "lookup: a distance is wrong";
      }
      if (j > 0 && kad__key_compare(&p->list[j - 1].distance, &distance) >= 0) {
        return "lookup: the candidates are not in order";
      }
      counts[c->state]++;
      entries += c->entry && c->state == KAD__HEARD;
    }
    if (counts[KAD__WAITING] != p->waiting || counts[KAD__SLOW] != p->slow ||
        counts[KAD__LOST] != p->lost || counts[KAD__ANSWERED] != p->answered ||
        entries != p->entries) {
      return "lookup: the counts of states are wrong";
    }
  }
  return NULL;
}
