/* What the two files of the peerstore share. */
#ifndef KAD_SWARM_PEERSTORE_INTERNAL_H
#define KAD_SWARM_PEERSTORE_INTERNAL_H

#include "base/alloc.h"
#include "base/bytes.h"
#include "base/heap.h"
#include "base/map.h"
#include "swarm/peerstore.h"

typedef struct kad__known_address {
  kad_time expires; /* PERMANENT and CONNECTED stand for themselves */
  uint8_t *bytes;
  uint16_t len;
} kad__known_address;

typedef struct kad__known_peer {
  kad__map_node node;
  kad__heap_node timer; /* rings when the peer can be forgotten */
  kad_peer_id id;
  bool pinned;
  uint8_t address_count;
  uint8_t address_cap;
  uint8_t agent_len;
  uint16_t protocols_len;
  kad__known_address *addresses; /* in the order in which they came */
  uint8_t *protocols;            /* each with its length in front */
  uint8_t *agent;
  kad_time facts_until; /* protocols and agent */
} kad__known_peer;

struct kad__peerstore {
  kad_allocator allocator;
  kad__map peers;
  kad__heap timers;
  size_t bytes;
  kad_time now; /* the latest that was told */
};

kad__known_peer *kad__known_find(const kad__peerstore *p,
                                 const kad_peer_id *id);
/* The entry of a peer that will be kept until `until`, made when there is none.
 * KAD_E_NO_MEMORY, KAD_E_LIMIT. */
int kad__known_get(kad__known_peer **out, kad__peerstore *p,
                   const kad_peer_id *id, kad_time until);
/* Makes room for `bytes` more, forgetting peers that go before `until`, but
 * never `keep`. KAD_E_LIMIT. */
int kad__known_room(kad__peerstore *p, const kad__known_peer *keep,
                    size_t bytes, kad_time until);
/* Sets the timer from what is known; frees a peer of whom nothing is. */
void kad__known_settle(kad__peerstore *p, kad__known_peer *peer);

#endif
