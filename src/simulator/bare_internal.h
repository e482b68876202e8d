/* What the files of the world of bare DHTs share: bare.c (the world),
 * bare_queue.c (what is under way), bare_survey.c (the truth, and what lookups
 * make of it). */
#ifndef KAD_SIMULATOR_BARE_INTERNAL_H
#define KAD_SIMULATOR_BARE_INTERNAL_H

#include "base/alloc.h"
#include "base/heap.h"
#include "base/list.h"
#include "simulator/bare.h"

/* What will happen, by time; what was added first comes first among equals. */
typedef struct kad__bare_due {
  kad_time at;
  uint64_t order;
  void *what;
} kad__bare_due;

/* Of one place in the heap; those of the first come next. */
#define KAD__BARE_CHILDREN 4

typedef struct kad__bare_queue {
  kad__bare_due *list;
  size_t len;
  size_t cap;
  uint64_t next_order;
} kad__bare_queue;

/* KAD_E_NO_MEMORY. */
int kad__bare_queue_add(kad__bare_queue *queue, const kad_allocator *allocator,
                        kad_time at, void *what);
/* The next, taken out; NULL when there is none. */
void *kad__bare_queue_take(kad__bare_queue *queue);
static inline kad_time kad__bare_queue_next(const kad__bare_queue *queue) {
  return queue->len == 0 ? KAD_TIME_NEVER : queue->list[0].at;
}
void kad__bare_queue_fini(kad__bare_queue *queue,
                          const kad_allocator *allocator);

typedef struct kad__bare_node {
  kad__dht *dht; /* NULL: down */
  kad__store *store;
  kad_random random;
  kad__heap_node timer;
  kad__list dirty;       /* in kad__bare.dirty while it may have events */
  kad__query_id joining; /* its first bootstrap; 0: over */
  uint32_t number;
  uint16_t life; /* it came back so many times: old calls are not its own */
  bool silent;
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
  kad__heap timers; /* of nodes */
  kad__bare_queue packets;
  kad__list dirty;
  kad__bare_place *places; /* those that answer, by key; NULL: out of date */
  uint32_t place_count;
  uint64_t trace;
  kad__bare_counters counters;
  kad__message message; /* scratch: what has arrived */
  kad__message reply;
};

/* It is up, and not silent. */
static inline bool kad__bare_answers(const kad__bare_node *node) {
  return node->dht != NULL && !node->silent;
}

/* The order of keys is to be made anew. */
static inline void kad__bare_forget_places(kad__bare *b) {
  kad__release(&b->allocator, b->places);
  b->places = NULL;
}

#endif
