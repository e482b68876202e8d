/* The default store: in memory, with limits that nobody can squat. */
#ifndef KAD_KADEMLIA_MEMORY_STORE_H
#define KAD_KADEMLIA_MEMORY_STORE_H

#include "kademlia/store.h"

typedef struct kad__memory_store_config {
  uint32_t max_records;           /* of others: 1024 */
  uint32_t max_own_records;       /* 1024 */
  uint32_t max_value;             /* bytes of one value: 65 * 1024 */
  uint32_t max_provided;          /* own provider keys: 65536 */
  uint32_t max_provider_keys;     /* keys that others provide: 65536 */
  uint32_t max_providers_per_key; /* 512 */
  uint32_t max_keys_per_provider; /* one peer's share of the keys: 4096 */
  size_t max_bytes;               /* of others' records together: 64 MiB */
  size_t max_provider_bytes;      /* of others' provider records: 64 MiB */
} kad__memory_store_config;

void kad__memory_store_config_default(kad__memory_store_config *config);

/* When the room for others is full, the network that takes most of it makes way
 * for one that takes less, and within one network the peer that does; a peer of
 * no known network stands for itself. A key that has all the providers it may
 * have gives one place of the network that holds most to a newcomer of another.
 * Within a network it keeps those whose ids come first in a secret order, which
 * nobody can aim at: a flood of new ones takes the place of some, never of all.
 */

/* `secret` keys the hash maps. KAD_E_NO_MEMORY. */
int kad__memory_store_new(kad__store **out, const kad_allocator *allocator,
                          const kad__memory_store_config *config,
                          const uint64_t secret[2]);

#endif
