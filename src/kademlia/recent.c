/* An array in order of arrival with hash chains of indices through it: no
 * allocation per item, and the order in which items leave depends on nothing
 * but the order in which they came. */
#include "kademlia/recent.h"

#include <string.h>

#include "base/alloc.h"

void kad__recent_init(kad__recent *recent, uint32_t limit) {
  *recent = (kad__recent){.limit = limit};
}

void kad__recent_fini(kad__recent *recent, const kad_allocator *allocator) {
  kad__release(allocator, recent->items);
  kad__release(allocator, recent->chains);
  *recent = (kad__recent){.limit = recent->limit};
}

static uint32_t *chain_of(const kad__recent *r, uint64_t key) {
  uint64_t mixed = (key ^ key >> 32) * UINT64_C(0x9e3779b97f4a7c15);
  return &r->chains[(mixed >> 40) & (r->cap - 1)];
}

kad__recent_item *kad__recent_find(const kad__recent *recent, uint64_t key) {
  if (recent->cap == 0) {
    return NULL;
  }
  for (uint32_t i = *chain_of(recent, key); i != 0;
       i = recent->items[i - 1].next) {
    if (recent->items[i - 1].key == key) {
      return &recent->items[i - 1];
    }
  }
  return NULL;
}

static void link_item(kad__recent *r, uint32_t index) {
  uint32_t *chain = chain_of(r, r->items[index].key);
  r->items[index].next = *chain;
  *chain = index + 1;
}

static void unlink_item(kad__recent *r, uint32_t index) {
  uint32_t *link = chain_of(r, r->items[index].key);
  while (*link != index + 1) {
    link = &r->items[*link - 1].next;
  }
  *link = r->items[index].next;
}

static bool grow(kad__recent *r, const kad_allocator *allocator) {
  uint32_t cap = r->cap == 0 ? 8 : r->cap * 2;
  uint32_t *chains = kad__calloc(allocator, cap, sizeof chains[0]);
  if (chains == NULL) {
    return false;
  }
  kad__recent_item *items =
      kad__resize_array(allocator, r->items, cap, sizeof items[0]);
  if (items == NULL) {
    kad__release(allocator, chains);
    return false;
  }
  kad__release(allocator, r->chains);
  r->items = items;
  r->chains = chains;
  r->cap = cap;
  for (uint32_t i = 0; i < r->len; i++) {
    link_item(r, i);
  }
  return true;
}

/* An index that may be used; evicts when there is no other way. */
static int take_index(kad__recent *r, const kad_allocator *allocator,
                      uint32_t *index, kad__recent_item *evicted) {
  if (r->free != 0) {
    *index = r->free - 1;
    r->free = r->items[*index].next;
    return 0;
  }
  if (r->len < r->limit) {
    if (r->len == r->cap && !grow(r, allocator)) {
      return KAD_E_NO_MEMORY;
    }
    *index = r->len++;
    return 0;
  }
  if (r->limit == 0) {
    return KAD_E_LIMIT;
  }
  *index = r->hand;
  r->hand = (r->hand + 1) % r->limit;
  *evicted = r->items[*index];
  unlink_item(r, *index);
  return 0;
}

kad__recent_item *kad__recent_put(kad__recent *recent,
                                  const kad_allocator *allocator, uint64_t key,
                                  kad__recent_item *evicted) {
  evicted->key = 0;
  kad__recent_item *item = kad__recent_find(recent, key);
  if (item != NULL) {
    return item;
  }
  uint32_t index;
  if (take_index(recent, allocator, &index, evicted) != 0) {
    return NULL;
  }
  item = &recent->items[index];
  *item = (kad__recent_item){.key = key};
  link_item(recent, index);
  return item;
}

void kad__recent_remove(kad__recent *recent, kad__recent_item *item) {
  uint32_t index = (uint32_t)(item - recent->items);
  unlink_item(recent, index);
  *item = (kad__recent_item){.next = recent->free};
  recent->free = index + 1;
}
