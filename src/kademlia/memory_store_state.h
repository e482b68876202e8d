/* What the two halves of the memory store share. */
#ifndef KAD_KADEMLIA_MEMORY_STORE_STATE_H
#define KAD_KADEMLIA_MEMORY_STORE_STATE_H

#include "base/alloc.h"
#include "kademlia/memory_store.h"
#include "kademlia/ordered.h"
#include "kademlia/shares.h"

typedef struct kad__memory_store {
  kad__store store;
  kad_allocator allocator;
  kad__memory_store_config config;
  uint64_t secret[2];

  kad__ordered values;
  kad__heap value_expiry;
  kad__shares value_shares;
  uint32_t own_values;
  size_t value_bytes; /* of others */

  kad__map provider_keys;
  kad__ordered provided; /* our own provider records */
  kad__heap provider_expiry;
  kad__shares provider_shares;
  uint32_t other_keys;   /* keys that others provide */
  size_t provider_bytes; /* of others */
  uint32_t turn;         /* where a list that is too long to tell begins */
} kad__memory_store;

void kad__memory_providers_init(kad__memory_store *m, const uint64_t secret[2]);
void kad__memory_providers_fini(kad__memory_store *m);
void kad__memory_providers_expire(kad__memory_store *m, kad_time now,
                                  int limit);

int kad__memory_add_provider(kad__store *s, const kad__provider *record,
                             bool own);
size_t kad__memory_providers(kad__store *s, kad__provider *out, size_t cap,
                             kad_bytes key);
void kad__memory_remove_provider(kad__store *s, kad_bytes key,
                                 kad_bytes provider);
bool kad__memory_next_provided(kad__store *s, kad__provider *out,
                               kad_bytes after);

#endif
