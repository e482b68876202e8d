/* An intrusive search tree of byte strings, in lexicographic order: what a walk
 * that remembers nothing but its last key needs. A treap whose priorities are
 * keyed hashes of the keys, so nobody can choose keys that unbalance it. */
#ifndef KAD_KADEMLIA_ORDERED_H
#define KAD_KADEMLIA_ORDERED_H

#include "base/bytes.h"

typedef struct kad__ordered_node {
  struct kad__ordered_node *left;
  struct kad__ordered_node *right;
  uint64_t priority;
  kad_bytes key; /* inside the value; must not move */
} kad__ordered_node;

typedef struct kad__ordered {
  kad__ordered_node *root;
  uint64_t secret[2];
  uint32_t len;
} kad__ordered;

void kad__ordered_init(kad__ordered *tree, const uint64_t secret[2]);
kad__ordered_node *kad__ordered_find(const kad__ordered *tree, kad_bytes key);
/* The first node whose key is greater than `after`; NULL at the end. */
kad__ordered_node *kad__ordered_next(const kad__ordered *tree, kad_bytes after);
/* Adds a node whose key is not in the tree. */
void kad__ordered_add(kad__ordered *tree, kad__ordered_node *node,
                      kad_bytes key);
/* Removes a node that is in the tree. */
void kad__ordered_remove(kad__ordered *tree, kad__ordered_node *node);

#endif
