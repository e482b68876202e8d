/* Addresses at which a dial has failed lately, by peer: not dialled again for
 * 5 s + n^2 s, at most 5 min, unless the peer connects. */
#ifndef KAD_SWARM_BACKOFF_H
#define KAD_SWARM_BACKOFF_H

#include "base/list.h"
#include "base/map.h"
#include "kadmium/error.h"
#include "kadmium/peer_id.h"

#define KAD__BACKOFF_BASE (5 * KAD_SECOND)
#define KAD__BACKOFF_MAX (5 * KAD_MINUTE)
/* Caps; at each the entry that was touched longest ago makes room. */
#define KAD__BACKOFF_PEERS 4096
#define KAD__BACKOFF_ADDRESSES 32

typedef struct kad__backoff {
  kad_allocator allocator;
  kad__map peers;
  kad__list order; /* longest untouched first */
} kad__backoff;

void kad__backoff_init(kad__backoff *b, const kad_allocator *allocator,
                       const uint64_t secret[2]);
void kad__backoff_fini(kad__backoff *b);

/* A dial of `address` failed. KAD_E_NO_MEMORY: it is not remembered. */
int kad__backoff_add(kad__backoff *b, const kad_peer_id *peer,
                     kad_bytes address, kad_time now);
/* Until when `address` is not to be dialled; 0: it may be now. */
kad_time kad__backoff_until(const kad__backoff *b, const kad_peer_id *peer,
                            kad_bytes address, kad_time now);
void kad__backoff_clear(kad__backoff *b, const kad_peer_id *peer);
size_t kad__backoff_count(const kad__backoff *b);

#endif
