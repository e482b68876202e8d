/* Intrusive doubly linked list. The head is a node too; an unlinked node
 * points at itself, so unlinking twice is harmless. */
#ifndef KAD_BASE_LIST_H
#define KAD_BASE_LIST_H

#include "base/bytes.h"

typedef struct kad__list {
  struct kad__list *next;
  struct kad__list *prev;
} kad__list;

static inline void kad__list_init(kad__list *node) {
  node->next = node;
  node->prev = node;
}

static inline bool kad__list_empty(const kad__list *head) {
  return head->next == head;
}

static inline bool kad__list_linked(const kad__list *node) {
  return node->next != node;
}

static inline void kad__list_append(kad__list *head, kad__list *node) {
  node->next = head;
  node->prev = head->prev;
  head->prev->next = node;
  head->prev = node;
}

static inline void kad__list_unlink(kad__list *node) {
  node->prev->next = node->next;
  node->next->prev = node->prev;
  kad__list_init(node);
}

/* The first node, unlinked; NULL when there is none. */
static inline kad__list *kad__list_take(kad__list *head) {
  kad__list *node = head->next;
  if (node == head) {
    return NULL;
  }
  kad__list_unlink(node);
  return node;
}

/* `node` may be unlinked inside the loop. */
#define KAD__LIST_EACH(node, head)                                \
  for (kad__list *node = (head)->next, *next_##node = node->next; \
       node != (head); node = next_##node, next_##node = node->next)

#endif
