/* Split and merge, both as loops that move the pointer to be filled next. */
#include "kademlia/ordered.h"

#include "base/map.h"

void kad__ordered_init(kad__ordered *tree, const uint64_t secret[2]) {
  *tree = (kad__ordered){.secret = {secret[0], secret[1]}};
}

kad__ordered_node *kad__ordered_find(const kad__ordered *tree, kad_bytes key) {
  kad__ordered_node *node = tree->root;
  while (node != NULL) {
    int order = kad__bytes_compare(node->key, key);
    if (order == 0) {
      return node;
    }
    node = order < 0 ? node->right : node->left;
  }
  return NULL;
}

kad__ordered_node *kad__ordered_next(const kad__ordered *tree,
                                     kad_bytes after) {
  kad__ordered_node *node = tree->root;
  kad__ordered_node *best = NULL;
  while (node != NULL) {
    bool greater = kad__bytes_compare(node->key, after) > 0;
    best = greater ? node : best;
    node = greater ? node->left : node->right;
  }
  return best;
}

static void split(kad__ordered_node *node, kad_bytes key,
                  kad__ordered_node **less, kad__ordered_node **greater) {
  while (node != NULL) {
    if (kad__bytes_compare(node->key, key) < 0) {
      *less = node;
      less = &node->right;
      node = node->right;
    } else {
      *greater = node;
      greater = &node->left;
      node = node->left;
    }
  }
  *less = NULL;
  *greater = NULL;
}

void kad__ordered_add(kad__ordered *tree, kad__ordered_node *node,
                      kad_bytes key) {
  kad__ordered_node **link = &tree->root;
  node->key = key;
  node->priority = kad__siphash(tree->secret, key);
  while (*link != NULL && (*link)->priority >= node->priority) {
    link = kad__bytes_compare((*link)->key, key) < 0 ? &(*link)->right
                                                     : &(*link)->left;
  }
  split(*link, key, &node->left, &node->right);
  *link = node;
  tree->len++;
}

static void merge(kad__ordered_node **out, kad__ordered_node *less,
                  kad__ordered_node *greater) {
  while (less != NULL && greater != NULL) {
    if (less->priority >= greater->priority) {
      *out = less;
      out = &less->right;
      less = less->right;
    } else {
      *out = greater;
      out = &greater->left;
      greater = greater->left;
    }
  }
  *out = less != NULL ? less : greater;
}

void kad__ordered_remove(kad__ordered *tree, kad__ordered_node *node) {
  kad__ordered_node **link = &tree->root;
  while (*link != node) {
    link = kad__bytes_compare((*link)->key, node->key) < 0 ? &(*link)->right
                                                           : &(*link)->left;
  }
  merge(link, node->left, node->right);
  tree->len--;
}
