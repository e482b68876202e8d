/* A heap of four children to a node: half as deep as a binary one, and the
 * times that one step compares lie next to each other. */
#include "simulator/bare_internal.h"

#define CHILDREN KAD__BARE_CHILDREN
#define CAP_MIN 64

static bool before(const kad__bare_due *a, const kad__bare_due *b) {
  return a->at < b->at || (a->at == b->at && a->order < b->order);
}

static int grow(kad__bare_queue *q, const kad_allocator *allocator) {
  size_t cap = q->cap == 0 ? CAP_MIN : 2 * q->cap;
  kad__bare_due *list =
      kad__resize_array(allocator, q->list, cap, sizeof(*list));
  if (list == NULL) {
    return KAD_E_NO_MEMORY;
  }
  q->list = list;
  q->cap = cap;
  return 0;
}

int kad__bare_queue_add(kad__bare_queue *q, const kad_allocator *allocator,
                        kad_time at, void *what) {
  int error = q->len < q->cap ? 0 : grow(q, allocator);
  if (error < 0) {
    return error;
  }
  kad__bare_due due = {.at = at, .order = q->next_order++, .what = what};
  size_t i = q->len++;
  for (; i > 0; i = (i - 1) / CHILDREN) {
    const kad__bare_due *parent = &q->list[(i - 1) / CHILDREN];
    if (!before(&due, parent)) {
      break;
    }
    q->list[i] = *parent;
  }
  q->list[i] = due;
  return 0;
}

/* The first of the children of `i`; q->len when there are none. */
static size_t first_child(const kad__bare_queue *q, size_t i) {
  size_t best = CHILDREN * i + 1;
  if (best >= q->len) {
    return q->len;
  }
  size_t end = best + CHILDREN < q->len ? best + CHILDREN : q->len;
  for (size_t child = best + 1; child < end; child++) {
    if (before(&q->list[child], &q->list[best])) {
      best = child;
    }
  }
  return best;
}

void *kad__bare_queue_take(kad__bare_queue *q) {
  if (q->len == 0) {
    return NULL;
  }
  void *what = q->list[0].what;
  kad__bare_due last = q->list[--q->len];
  size_t i = 0;
  for (;;) {
    size_t child = first_child(q, i);
    if (child == q->len || !before(&q->list[child], &last)) {
      break;
    }
    q->list[i] = q->list[child];
    i = child;
  }
  q->list[i] = last;
  return what;
}

void kad__bare_queue_fini(kad__bare_queue *q, const kad_allocator *allocator) {
  kad__release(allocator, q->list);
  *q = (kad__bare_queue){0};
}
