/* What the files of the peerstore share. */
#ifndef KAD_SWARM_PEERSTORE_INTERNAL_H
#define KAD_SWARM_PEERSTORE_INTERNAL_H

#include "base/alloc.h"
#include "base/bytes.h"
#include "base/heap.h"
#include "base/map.h"
#include "swarm/peerstore.h"

typedef struct kad__known_address {
  kad_time expires; /* PERMANENT and CONNECTED stand for themselves */
  kad_time ttl;
  uint8_t *bytes;
  uint16_t len;
  bool certified; /* the signed record lists it */
} kad__known_address;

/* What is kept of a peer besides addresses: runs of bytes. */
typedef enum kad__known_fact {
  KAD__KNOWN_PROTOCOLS, /* each name with its length in front */
  KAD__KNOWN_AGENT,
  KAD__KNOWN_VERSION,
  KAD__KNOWN_KEY,
  KAD__KNOWN_RECORD, /* the signed record */
  KAD__KNOWN_HEARD,  /* one that the peer has told, not verified so far */
  KAD__KNOWN_FACTS
} kad__known_fact;

typedef struct kad__known_peer {
  kad__map_node node;
  kad__heap_node timer; /* rings when the peer can be forgotten */
  kad_peer_id id;
  bool pinned;
  uint8_t address_count;
  uint8_t address_cap;
  uint16_t fact_lens[KAD__KNOWN_FACTS];
  uint32_t slot;
  kad__known_address *addresses; /* in the order in which they came */
  uint8_t *facts[KAD__KNOWN_FACTS];
  kad_time facts_until;
  kad_time latency;  /* 0: unknown */
  uint64_t sequence; /* of the signed record */
} kad__known_peer;

/* Where a peer stands in walks; the places of those that went are used again.
 */
typedef struct kad__known_slot {
  kad__known_peer *peer; /* NULL: free */
  uint32_t next_free;
} kad__known_slot;

struct kad__peerstore {
  kad_allocator allocator;
  kad__map peers;
  kad__heap timers;
  kad__known_slot *slots;
  uint32_t slot_count;
  uint32_t slot_cap;
  uint32_t free_slot; /* UINT32_MAX: none */
  size_t bytes;
  kad_time now; /* the latest that was told */
  kad_time swept;
};

static inline void kad__known_set_now(kad__peerstore *p, kad_time now) {
  p->now = now > p->now ? now : p->now;
}

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
void kad__known_free(kad__peerstore *p, kad__known_peer *peer);

/* ---- peerstore_addresses.c ---------------------------------------------- */

kad__known_address *kad__known_address_find(const kad__known_peer *peer,
                                            kad_bytes address);
void kad__known_address_remove(kad__peerstore *p, kad__known_peer *peer,
                               size_t i);
void kad__known_remove_expired(kad__peerstore *p, kad__known_peer *peer);
/* Takes off a trailing /p2p, which must name `peer`. KAD_E_MULTIADDR,
 * KAD_E_PEER_MISMATCH. */
int kad__known_strip(kad_bytes *address, const kad_peer_id *peer);

/* ---- peerstore_facts.c -------------------------------------------------- */

/* Keeps `bytes` (taken over in any case; NULL for none) as a fact. */
int kad__known_set_fact(kad__peerstore *p, const kad_peer_id *id,
                        kad__known_fact fact, uint8_t *bytes, size_t len);
void kad__known_drop_fact(kad__peerstore *p, kad__known_peer *peer,
                          kad__known_fact fact);
kad_bytes kad__known_get_fact(const kad__peerstore *p, const kad_peer_id *id,
                              kad__known_fact fact);

#endif
