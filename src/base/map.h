/* Intrusive hash map from bytes to a node inside the value. Keyed with a
 * random secret (SipHash-1-3), so peers cannot choose colliding keys. Nothing
 * observable may depend on its iteration order. */
#ifndef KAD_BASE_MAP_H
#define KAD_BASE_MAP_H

#include "kadmium/types.h"

typedef struct kad__map_node {
  struct kad__map_node *next;
  uint32_t hash;
  uint32_t key_len;
  const uint8_t *key; /* inside the value; must not move while in the map */
} kad__map_node;

typedef struct kad__map {
  kad__map_node **slots;
  uint32_t slot_count; /* power of two, or 0 */
  uint32_t len;
  uint64_t secret[2];
} kad__map;

void kad__map_init(kad__map *map, const uint64_t secret[2]);
/* Frees the slots; the nodes belong to their values. */
void kad__map_fini(kad__map *map, const kad_allocator *allocator);

kad__map_node *kad__map_find(const kad__map *map, kad_bytes key);

/* Many look-ups at once, so that what they need comes from memory together:
 * all hashes, then `expect` for all, then `find_hashed` for all. */
uint32_t kad__map_hash(const kad__map *map, kad_bytes key);
void kad__map_expect(const kad__map *map, uint32_t hash);
kad__map_node *kad__map_find_hashed(const kad__map *map, kad_bytes key,
                                    uint32_t hash);
/* Adds a node whose key is not in the map yet (the caller has looked).
 * KAD_E_NO_MEMORY only for the very first node: growing may fail silently,
 * the map then gets slower, not wrong. */
int kad__map_add(kad__map *map, const kad_allocator *allocator,
                 kad__map_node *node, kad_bytes key);
/* Removes a node that is in the map. */
void kad__map_remove(kad__map *map, kad__map_node *node);

/* Visits every node once, in no particular order, starting with *slot = 0 and
 * node NULL; the returned node may be removed before the next call only if its
 * successor was taken first. Nothing may be added meanwhile. NULL at the end.
 */
kad__map_node *kad__map_next(const kad__map *map, uint32_t *slot,
                             kad__map_node *node);

/* SipHash-1-3 of `key`. */
uint64_t kad__siphash(const uint64_t secret[2], kad_bytes key);

#endif
