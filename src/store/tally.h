/* How many records each source has, and which source has most: what the shares
 * of the memory store (kademlia/shares.h) know, for records that are on disk.
 */
#ifndef KAD_STORE_TALLY_H
#define KAD_STORE_TALLY_H

#include "base/heap.h"
#include "base/map.h"
#include "kadmium/error.h"

typedef struct kad__tally_entry {
  kad__map_node node;
  kad__heap_node rank; /* the largest first */
  uint32_t count;      /* never 0 */
  uint32_t source_len;
  uint8_t source[];
} kad__tally_entry;

typedef struct kad__tally {
  const kad_allocator *allocator;
  kad__map map;
  kad__heap ranks;
} kad__tally;

void kad__tally_init(kad__tally *tally, const kad_allocator *allocator,
                     const uint64_t secret[2]);
void kad__tally_fini(kad__tally *tally);

/* Counts `count` (at least 1) more of `source`. KAD_E_NO_MEMORY. */
int kad__tally_add(kad__tally *tally, kad_bytes source, uint32_t count);
/* One less; the last takes the entry along. NULL is fine. */
void kad__tally_take(kad__tally *tally, kad__tally_entry *entry);
/* NULL: it has none. The entry stays where it is while its count is not 0. */
kad__tally_entry *kad__tally_find(const kad__tally *tally, kad_bytes source);
uint32_t kad__tally_count(const kad__tally *tally, kad_bytes source);
/* The source that makes way for one more record of `source`: it has most, and
 * clearly more. NULL: none does. */
kad__tally_entry *kad__tally_victim(const kad__tally *tally, kad_bytes source);

#endif
