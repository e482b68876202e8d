/* What is known of peers: addresses with a time to live, protocols, agent. */
#ifndef KAD_SWARM_PEERSTORE_H
#define KAD_SWARM_PEERSTORE_H

#include "kadmium/error.h"
#include "kadmium/peer_id.h"
#include "kadmium/types.h"

/* Lifetimes of addresses, longest trust first. */
#define KAD__ADDRESS_PERMANENT KAD_TIME_NEVER
#define KAD__ADDRESS_CONNECTED (KAD_TIME_NEVER - 1) /* until disconnected */
#define KAD__ADDRESS_RECENT (15 * KAD_MINUTE)
#define KAD__ADDRESS_TEMPORARY (2 * KAD_MINUTE)

/* Caps on what peers can make us keep. */
#define KAD__PEERSTORE_ADDRESSES_PER_PEER 32
#define KAD__PEERSTORE_PEERS 10000
#define KAD__PEERSTORE_PROTOCOLS_PER_PEER 128
#define KAD__PEERSTORE_PROTOCOL_LEN 255 /* longer names are passed over */
#define KAD__PEERSTORE_AGENT_LEN 255    /* longer ones are cut */
#define KAD__PEERSTORE_BYTES ((size_t)32 << 20) /* of all peers together */

typedef struct kad__peerstore kad__peerstore;

int kad__peerstore_new(kad__peerstore **out, const kad_allocator *allocator,
                       const uint64_t secret[2]);
void kad__peerstore_free(kad__peerstore *p);

/* Adds a valid multiaddr; a trailing /p2p of this peer is stripped. Never
 * shortens a lifetime. KAD_E_MULTIADDR, KAD_E_PEER_MISMATCH (another /p2p),
 * KAD_E_NO_MEMORY. At a cap the address (or peer) that expires first makes
 * room, which may be the new one: KAD_E_LIMIT then. */
int kad__peerstore_add(kad__peerstore *p, const kad_peer_id *peer,
                       kad_bytes address, kad_time ttl, kad_time now);
/* Sets every CONNECTED address of `peer` to `ttl`. */
void kad__peerstore_downgrade(kad__peerstore *p, const kad_peer_id *peer,
                              kad_time ttl, kad_time now);
/* Removes every address that is not permanent. */
void kad__peerstore_clear(kad__peerstore *p, const kad_peer_id *peer);

/* Writes the live addresses as a list of wire/addresses.h; returns its length.
 */
size_t kad__peerstore_addresses(const kad__peerstore *p,
                                const kad_peer_id *peer, uint8_t *out,
                                size_t cap, kad_time now);

/* Replaces the protocols, of which the first 128 are kept; KAD_E_NO_MEMORY and
 * KAD_E_LIMIT leave the old ones. Protocols and agent are kept while the peer
 * is pinned or has addresses, and KAD__ADDRESS_RECENT otherwise. */
int kad__peerstore_set_protocols(kad__peerstore *p, const kad_peer_id *peer,
                                 const kad_bytes *names, size_t count);
bool kad__peerstore_speaks(const kad__peerstore *p, const kad_peer_id *peer,
                           kad_bytes protocol);
/* Writes the names as a list of wire/addresses.h; returns its length. */
size_t kad__peerstore_protocols(const kad__peerstore *p,
                                const kad_peer_id *peer, uint8_t *out,
                                size_t cap);
int kad__peerstore_set_agent(kad__peerstore *p, const kad_peer_id *peer,
                             kad_bytes agent);
/* Borrowed until the peer changes; empty when unknown. */
kad_bytes kad__peerstore_agent(const kad__peerstore *p,
                               const kad_peer_id *peer);

size_t kad__peerstore_count(const kad__peerstore *p);
kad_time kad__peerstore_deadline(const kad__peerstore *p);
void kad__peerstore_tick(kad__peerstore *p, kad_time now);

/* Walks the live addresses of a peer: start with *at = 0; false at the end.
 * `*address` is borrowed until the peer changes. */
bool kad__peerstore_next(const kad__peerstore *p, const kad_peer_id *peer,
                         size_t *at, kad_bytes *address, kad_time now);
/* A pinned peer (the swarm pins those that are connected) is never forgotten.
 * KAD_E_NO_MEMORY and KAD_E_LIMIT: not pinned. */
int kad__peerstore_pin(kad__peerstore *p, const kad_peer_id *peer, bool on,
                       kad_time now);
/* Bytes of addresses, protocols and agents that are held. */
size_t kad__peerstore_bytes(const kad__peerstore *p);

#endif
