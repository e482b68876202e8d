/* The truth about distances comes from an order of all keys: those that share
 * the longest prefix with the target lie in one run of it, so twenty of a
 * hundred thousand are found by two binary searches and a small selection. */
#include "identity/digest.h"
#include "simulator/bare_internal.h"

/* ---- the order of keys --------------------------------------------------- */

static bool before(const kad__bare_place *a, const kad__bare_place *b) {
  return kad__key_compare(&a->key, &b->key) < 0;
}

static void sift(kad__bare_place *list, uint32_t at, uint32_t count) {
  kad__bare_place place = list[at];
  for (;;) {
    uint32_t child = 2 * at + 1;
    if (child + 1 < count && before(&list[child], &list[child + 1])) {
      child++;
    }
    if (child >= count || !before(&place, &list[child])) {
      break;
    }
    list[at] = list[child];
    at = child;
  }
  list[at] = place;
}

static void sort(kad__bare_place *list, uint32_t count) {
  for (uint32_t i = count / 2; i > 0; i--) {
    sift(list, i - 1, count);
  }
  for (uint32_t end = count; end > 1; end--) {
    kad__bare_place last = list[end - 1];
    list[end - 1] = list[0];
    list[0] = last;
    sift(list, 0, end - 1);
  }
}

static int make_places(kad__bare *b) {
  if (b->places != NULL) {
    return 0;
  }
  kad__bare_place *places =
      kad__calloc(&b->allocator, (size_t)b->count + 1, sizeof(*places));
  if (places == NULL) {
    return KAD_E_NO_MEMORY;
  }
  uint32_t count = 0;
  for (uint32_t i = 0; i < b->count; i++) {
    if (kad__bare_answers(b->nodes[i])) {
      places[count++] = (kad__bare_place){
          .key = kad__key_of(kad__sha256, kad__bare_id(b, i)), .number = i};
    }
  }
  sort(places, count);
  b->places = places;
  b->place_count = count;
  return 0;
}

/* The first place at or after `from` whose key has bit `bit` set; all places
 * of [from, end) agree in the bits before. */
static uint32_t split(const kad__bare *b, uint32_t from, uint32_t end,
                      uint32_t bit) {
  while (from < end) {
    uint32_t middle = from + (end - from) / 2;
    if (kad__key_bit(&b->places[middle].key, bit)) {
      end = middle;
    } else {
      from = middle + 1;
    }
  }
  return from;
}

typedef struct range {
  uint32_t from, end;
} range;

/* The smallest run of places with a common prefix that holds at least `least`
 * of them and shares that prefix with `target`. */
static range near(const kad__bare *b, const kad__key *target, uint32_t least) {
  range r = {0, b->place_count};
  for (uint32_t bit = 0; bit < KAD__KEY_BITS; bit++) {
    uint32_t middle = split(b, r.from, r.end, bit);
    range half = kad__key_bit(target, bit) ? (range){middle, r.end}
                                           : (range){r.from, middle};
    if (half.end - half.from < least) {
      break;
    }
    r = half;
  }
  return r;
}

typedef struct neighbour {
  kad__key distance;
  uint32_t number;
} neighbour;

/* Puts `n` in its place among the `*count` closest of at most `cap`. */
static void insert(neighbour *list, uint32_t *count, uint32_t cap,
                   const neighbour *n) {
  uint32_t at = *count < cap ? (*count)++ : cap;
  while (at > 0 && kad__key_compare(&n->distance, &list[at - 1].distance) < 0) {
    if (at < cap) {
      list[at] = list[at - 1];
    }
    at--;
  }
  if (at < cap) {
    list[at] = *n;
  }
}

static uint32_t select_closest(const kad__bare *b, neighbour *list,
                               uint32_t cap, const kad__key *target,
                               uint32_t except) {
  uint32_t count = 0;
  range r = near(b, target, cap + 1);
  for (uint32_t i = r.from; i < r.end; i++) {
    neighbour n = {.distance = kad__key_distance(&b->places[i].key, target),
                   .number = b->places[i].number};
    if (n.number != except) {
      insert(list, &count, cap, &n);
    }
  }
  return count;
}

int kad__bare_closest(kad__bare *b, uint32_t *out, uint32_t cap, kad_bytes key,
                      uint32_t except) {
  kad__key target = kad__key_of(kad__sha256, key);
  int error = make_places(b);
  neighbour *list = error < 0 || cap == 0
                        ? NULL
                        : kad__calloc(&b->allocator, cap, sizeof(*list));
  if (list == NULL) {
    return cap == 0 ? error : KAD_E_NO_MEMORY;
  }
  uint32_t count = select_closest(b, list, cap, &target, except);
  for (uint32_t i = 0; i < count; i++) {
    out[i] = list[i].number;
  }
  kad__release(&b->allocator, list);
  return (int)count;
}

/* ---- lookups ------------------------------------------------------------- */

#define KEY_LEN 32

/* The lookup that a node has under way. */
typedef struct lookup {
  kad__query_id query; /* 0: none */
  uint32_t count;
  uint32_t found[KAD__K];
  uint8_t key[KEY_LEN];
} lookup;

typedef struct survey {
  kad__bare *bare;
  kad__bare_survey *out;
  lookup *lookups; /* by node */
  uint32_t left;   /* to be started */
  uint32_t running;
} survey;

static int start_at(survey *s, uint32_t number) {
  lookup *l = &s->lookups[number];
  kad__dht *dht = s->bare->nodes[number]->dht;
  if (!kad__bare_answers(s->bare->nodes[number]) || s->left == 0) {
    return 0;
  }
  l->count = 0;
  kad_random_bytes(&s->bare->random, l->key, KEY_LEN);
  int error = kad__dht_find_closest(dht, &l->query, kad__bytes(l->key, KEY_LEN),
                                    KAD__K, s->bare->now);
  if (error < 0) {
    l->query = 0;
    return error;
  }
  s->left--;
  s->running++;
  kad__bare_touch(s->bare, number);
  return 0;
}

/* One at each node, as far as they go; a node that ends one starts the next. */
static int start_all(survey *s) {
  for (uint32_t i = 0; i < s->bare->count && s->left > 0; i++) {
    int error = start_at(s, i);
    if (error < 0) {
      return error;
    }
  }
  return s->running > 0 || s->left == 0 ? 0 : KAD_E_NO_PEERS;
}

static bool holds(const uint32_t *list, uint32_t count, uint32_t number) {
  for (uint32_t i = 0; i < count; i++) {
    if (list[i] == number) {
      return true;
    }
  }
  return false;
}

static int judge(survey *s, uint32_t number, const kad__dht_event *end) {
  lookup *l = &s->lookups[number];
  kad__bare_survey *out = s->out;
  uint32_t truth[KAD__K];
  int count = kad__bare_closest(s->bare, truth, KAD__K,
                                kad__bytes(l->key, KEY_LEN), number);
  if (count < 0) {
    return count;
  }
  out->closest += count > 0 && l->count > 0 && l->found[0] == truth[0];
  uint32_t found = 0;
  for (int i = 0; i < count; i++) {
    found += holds(l->found, l->count, truth[i]);
  }
  out->found += found;
  out->complete += found == (uint32_t)count;
  out->lookups++;
  out->wanted += (uint64_t)count;
  out->hops += end->stats.hops;
  out->requests += end->stats.requests;
  out->failures += end->stats.failures;
  out->time += end->stats.end - end->stats.start;
  l->query = 0;
  s->running--;
  return start_at(s, number);
}

static int take(survey *s, uint32_t number, const kad__dht_event *event) {
  lookup *l = &s->lookups[number];
  if (l->query == 0 || event->query != l->query) {
    return 0;
  }
  if (event->type == KAD__DHT_QUERY_ENDED) {
    return judge(s, number, event);
  }
  if (event->type == KAD__DHT_PEER_FOUND && l->count < KAD__K) {
    l->found[l->count++] = kad__bare_find(s->bare, event->peer.id);
  }
  return 0;
}

static int look(survey *s) {
  int error = start_all(s);
  while (error == 0 && s->running > 0) {
    uint32_t number;
    kad__dht_event event;
    while (error == 0 && kad__bare_poll(s->bare, &number, &event)) {
      error = take(s, number, &event);
    }
    (void)kad__bare_step(s->bare, s->bare->now + KAD_SECOND);
  }
  return error;
}

int kad__bare_look(kad__bare *b, kad__bare_survey *out, uint32_t lookups) {
  survey s = {.bare = b, .out = out, .left = lookups};
  *out = (kad__bare_survey){0};
  if (b->count == 0) {
    return KAD_E_NO_PEERS;
  }
  s.lookups = kad__calloc(&b->allocator, b->count, sizeof(lookup));
  if (s.lookups == NULL) {
    return KAD_E_NO_MEMORY;
  }
  int error = look(&s);
  kad__release(&b->allocator, s.lookups);
  return error;
}
