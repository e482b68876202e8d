/* Intrusive binary heap of deadlines. Equal deadlines leave in the order in
 * which they came, so that a run with one seed is one run. */
#ifndef KAD_BASE_HEAP_H
#define KAD_BASE_HEAP_H

#include "kadmium/types.h"

#define KAD__HEAP_OUT UINT32_MAX

typedef struct kad__heap_node {
  kad_time at;
  uint64_t order; /* tie-breaker, set by the heap */
  uint32_t index; /* KAD__HEAP_OUT when not in a heap */
} kad__heap_node;

typedef struct kad__heap {
  kad__heap_node **nodes;
  uint32_t len;
  uint32_t cap;
  uint64_t next_order;
} kad__heap;

static inline void kad__heap_node_init(kad__heap_node *node) {
  node->index = KAD__HEAP_OUT;
}

static inline bool kad__heap_has(const kad__heap_node *node) {
  return node->index != KAD__HEAP_OUT;
}

void kad__heap_fini(kad__heap *heap, const kad_allocator *allocator);

/* Inserts `node`, or moves it when it is in already; either way it comes after
 * those of an equal deadline. A node that is in the heap can always be moved;
 * only inserting can fail with KAD_E_NO_MEMORY. */
int kad__heap_set(kad__heap *heap, const kad_allocator *allocator,
                  kad__heap_node *node, kad_time at);
/* Removes `node`; nothing when it is not in. */
void kad__heap_remove(kad__heap *heap, kad__heap_node *node);

/* The earliest node, still in the heap; NULL when empty. */
static inline kad__heap_node *kad__heap_first(const kad__heap *heap) {
  return heap->len == 0 ? NULL : heap->nodes[0];
}

/* The earliest node when it is due, removed; NULL otherwise. */
kad__heap_node *kad__heap_take_due(kad__heap *heap, kad_time now);

static inline kad_time kad__heap_deadline(const kad__heap *heap) {
  return heap->len == 0 ? KAD_TIME_NEVER : heap->nodes[0]->at;
}

#endif
