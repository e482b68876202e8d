/* Who takes how much of a limited room. When the room is full, the oldest item
 * of whoever has most makes way for one of a source that has clearly less; so a
 * single peer, however busy, can fill no more than what the others leave. */
#ifndef KAD_KADEMLIA_SHARES_H
#define KAD_KADEMLIA_SHARES_H

#include "base/heap.h"
#include "base/list.h"
#include "base/map.h"
#include "kadmium/error.h"

typedef struct kad__share {
  kad__map_node node;
  kad__heap_node rank; /* the largest share first */
  kad__list items;     /* oldest first */
  uint32_t count;
  uint8_t source[];
} kad__share;

typedef struct kad__shares {
  const kad_allocator *allocator;
  kad__map map;
  kad__heap ranks;
} kad__shares;

/* One item; embed it. */
typedef struct kad__share_item {
  kad__list link;
  kad__share *share; /* NULL: in none */
} kad__share_item;

void kad__shares_init(kad__shares *shares, const kad_allocator *allocator,
                      const uint64_t secret[2]);
/* Every item must be gone. */
void kad__shares_fini(kad__shares *shares);

/* Charges an item to `source`. KAD_E_NO_MEMORY. */
int kad__shares_add(kad__shares *shares, kad__share_item *item,
                    kad_bytes source);
/* Nothing when it is in no share. */
void kad__shares_remove(kad__shares *shares, kad__share_item *item);
/* How many items a source has. */
uint32_t kad__shares_count(const kad__shares *shares, kad_bytes source);
/* What makes way for an item of `source`; NULL: nothing does. */
kad__share_item *kad__shares_victim(const kad__shares *shares,
                                    kad_bytes source);

#endif
