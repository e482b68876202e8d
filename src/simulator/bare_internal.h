/* What bare.c (the world) and bare_survey.c (the truth, and what lookups make
 * of it) share. */
#ifndef KAD_SIMULATOR_BARE_INTERNAL_H
#define KAD_SIMULATOR_BARE_INTERNAL_H

#include "base/alloc.h"
#include "base/heap.h"
#include "base/list.h"
#include "simulator/bare.h"

typedef struct kad__bare_node {
  kad__dht *dht; /* NULL: down */
  kad__store *store;
  kad_random random;
  kad__heap_node timer;
  kad__list dirty;       /* in kad__bare.dirty while it may have events */
  kad__query_id joining; /* its first bootstrap; 0: over */
  uint32_t number;
  uint8_t id[KAD__BARE_ID_LEN];
} kad__bare_node;

/* A place in the order of keys. */
typedef struct kad__bare_place {
  kad__key key;
  uint32_t number;
} kad__bare_place;

struct kad__bare {
  kad_allocator allocator;
  kad__bare_config config;
  kad_random random;
  uint64_t secret[2]; /* latencies of pairs */
  kad_time now;
  kad__peer_book *book;
  kad__bare_node **nodes;
  uint32_t count;
  uint32_t cap;
  uint32_t joining;
  kad__heap timers;  /* of nodes */
  kad__heap packets; /* on their way */
  kad__list dirty;
  kad__bare_place *places; /* those that are up, by key; NULL: out of date */
  uint32_t place_count;
  uint64_t trace;
  kad__bare_counters counters;
  kad__message message; /* scratch: what has arrived */
  kad__message reply;
};

/* The order of keys is to be made anew. */
static inline void kad__bare_forget_places(kad__bare *b) {
  kad__release(&b->allocator, b->places);
  b->places = NULL;
}

#endif
