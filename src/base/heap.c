/* A binary heap of pointers whose nodes know their place, so that a timer that
 * is put off, the common case, costs O(log n) and no search. The order number
 * makes the order total: two runs with the same calls give the same sequence.
 */
#include "base/heap.h"

#include <assert.h>

#include "base/alloc.h"
#include "kadmium/error.h"

#define HEAP_MIN 8u
#define HEAP_MAX (UINT32_MAX / 2)

static bool before(const kad__heap_node *a, const kad__heap_node *b) {
  return a->at != b->at ? a->at < b->at : a->order < b->order;
}

static void place(kad__heap *heap, kad__heap_node *node, uint32_t index) {
  heap->nodes[index] = node;
  node->index = index;
}

/* Both sifts move a hole, and put `node` where the hole ends up. */
static void sift_up(kad__heap *heap, kad__heap_node *node, uint32_t hole) {
  while (hole > 0) {
    uint32_t parent = (hole - 1) / 2;
    if (!before(node, heap->nodes[parent])) {
      break;
    }
    place(heap, heap->nodes[parent], hole);
    hole = parent;
  }
  place(heap, node, hole);
}

static void sift_down(kad__heap *heap, kad__heap_node *node, uint32_t hole) {
  for (;;) {
    uint32_t child = 2 * hole + 1;
    if (child >= heap->len) {
      break;
    }
    if (child + 1 < heap->len &&
        before(heap->nodes[child + 1], heap->nodes[child])) {
      child++;
    }
    if (!before(heap->nodes[child], node)) {
      break;
    }
    place(heap, heap->nodes[child], hole);
    hole = child;
  }
  place(heap, node, hole);
}

static void sift(kad__heap *heap, kad__heap_node *node, uint32_t hole) {
  if (hole > 0 && before(node, heap->nodes[(hole - 1) / 2])) {
    sift_up(heap, node, hole);
  } else {
    sift_down(heap, node, hole);
  }
}

static int make_room(kad__heap *heap, const kad_allocator *allocator) {
  if (heap->len < heap->cap) {
    return 0;
  }
  if (heap->cap >= HEAP_MAX) {
    return KAD_E_NO_MEMORY;
  }
  uint32_t cap = heap->cap == 0 ? HEAP_MIN : 2 * heap->cap;
  kad__heap_node **nodes =
      kad__resize_array(allocator, heap->nodes, cap, sizeof(*nodes));
  if (nodes == NULL) {
    return KAD_E_NO_MEMORY;
  }
  heap->nodes = nodes;
  heap->cap = cap;
  return 0;
}

void kad__heap_fini(kad__heap *heap, const kad_allocator *allocator) {
  kad__release(allocator, heap->nodes);
  *heap = (kad__heap){0};
}

int kad__heap_set(kad__heap *heap, const kad_allocator *allocator,
                  kad__heap_node *node, kad_time at) {
  bool inside = kad__heap_has(node);
  if (!inside) {
    int result = make_room(heap, allocator);
    if (result < 0) {
      return result;
    }
  }
  node->at = at;
  node->order = heap->next_order++;
  if (inside) {
    sift(heap, node, node->index);
  } else {
    sift_up(heap, node, heap->len++);
  }
  return 0;
}

void kad__heap_remove(kad__heap *heap, kad__heap_node *node) {
  if (!kad__heap_has(node)) {
    return;
  }
  uint32_t hole = node->index;
  assert(hole < heap->len && heap->nodes[hole] == node);
  node->index = KAD__HEAP_OUT;
  kad__heap_node *last = heap->nodes[--heap->len];
  if (last != node) {
    sift(heap, last, hole);
  }
}

kad__heap_node *kad__heap_take_due(kad__heap *heap, kad_time now) {
  kad__heap_node *first = kad__heap_first(heap);
  if (first == NULL || first->at > now) {
    return NULL;
  }
  kad__heap_remove(heap, first);
  return first;
}
