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
#define KAD__PEERSTORE_ADDRESSES_PER_PEER 64
#define KAD__PEERSTORE_ADDRESSES_RECENT 20 /* that outlive the connection */
#define KAD__PEERSTORE_PEERS 32768
#define KAD__PEERSTORE_PROTOCOLS_PER_PEER 128
#define KAD__PEERSTORE_PROTOCOL_LEN 255 /* longer names are passed over */
#define KAD__PEERSTORE_AGENT_LEN 255    /* longer ones are cut, versions too */
#define KAD__PEERSTORE_KEY_LEN 4096     /* a public key's protobuf */
#define KAD__PEERSTORE_BYTES ((size_t)32 << 20) /* of all peers together */
/* At most so often is everything looked through for what has expired. */
#define KAD__PEERSTORE_SWEEP KAD_MINUTE

typedef struct kad__peerstore kad__peerstore;

int kad__peerstore_new(kad__peerstore **out, const kad_allocator *allocator,
                       const uint64_t secret[2]);
void kad__peerstore_free(kad__peerstore *p);

/* Adds a valid multiaddr; a trailing /p2p of this peer is stripped. Never
 * shortens a lifetime; a `ttl` of 0 does nothing. KAD_E_MULTIADDR,
 * KAD_E_PEER_MISMATCH (another /p2p), KAD_E_NO_MEMORY. At a cap the address (or
 * peer) that expires first makes room, which may be the new one: KAD_E_LIMIT
 * then. Connected and permanent ones never make room. */
int kad__peerstore_add(kad__peerstore *p, const kad_peer_id *peer,
                       kad_bytes address, kad_time ttl, kad_time now);
/* The same, but a lifetime can get shorter; 0 removes the address. */
int kad__peerstore_set(kad__peerstore *p, const kad_peer_id *peer,
                       kad_bytes address, kad_time ttl, kad_time now);
/* Gives every address of `peer` whose ttl is `from` the ttl `to`; 0 removes it.
 */
void kad__peerstore_update(kad__peerstore *p, const kad_peer_id *peer,
                           kad_time from, kad_time to, kad_time now);
/* Sets every CONNECTED address of `peer` to `ttl`. */
void kad__peerstore_downgrade(kad__peerstore *p, const kad_peer_id *peer,
                              kad_time ttl, kad_time now);
/* The last connection is gone: of the CONNECTED addresses a few are kept for a
 * while, `in_use` (may be empty) first. */
void kad__peerstore_part(kad__peerstore *p, const kad_peer_id *peer,
                         kad_bytes in_use, kad_time now);
/* Removes every address that is not permanent. */
void kad__peerstore_clear(kad__peerstore *p, const kad_peer_id *peer);

bool kad__peerstore_knows(const kad__peerstore *p, const kad_peer_id *peer);
/* Forgets all that is known of `peer`; one that is pinned keeps what its
 * connections have told. False: nothing was known. */
bool kad__peerstore_forget(kad__peerstore *p, const kad_peer_id *peer);

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
/* Writes the names as a list of wire/addresses.h; returns its length. What does
 * not fit is left out; without `out`, the bytes that the names take. */
size_t kad__peerstore_protocols(const kad__peerstore *p,
                                const kad_peer_id *peer, uint8_t *out,
                                size_t cap);
/* The same one by one: start with *at = 0; false at the end. `*name` is
 * borrowed until the peer changes. */
bool kad__peerstore_next_protocol(const kad__peerstore *p,
                                  const kad_peer_id *peer, size_t *at,
                                  kad_bytes *name);
int kad__peerstore_set_agent(kad__peerstore *p, const kad_peer_id *peer,
                             kad_bytes agent);
/* Borrowed until the peer changes; empty when unknown. */
kad_bytes kad__peerstore_agent(const kad__peerstore *p,
                               const kad_peer_id *peer);

/* The protocol version that identify tells; as the agent. */
int kad__peerstore_set_version(kad__peerstore *p, const kad_peer_id *peer,
                               kad_bytes version);
kad_bytes kad__peerstore_version(const kad__peerstore *p,
                                 const kad_peer_id *peer);
/* A public key as protobuf, which the id must be made of: KAD_E_PEER_MISMATCH.
 * KAD_E_LIMIT, KAD_E_NO_MEMORY. */
int kad__peerstore_set_key(kad__peerstore *p, const kad_peer_id *peer,
                           kad_bytes key);
bool kad__peerstore_id_holds_key(const kad_peer_id *peer);
/* Borrowed from `peer`, when the id holds the key, or until the peer changes;
 * empty when unknown. */
kad_bytes kad__peerstore_key(const kad__peerstore *p, const kad_peer_id *peer);

/* A round trip to a peer that is known; the latency moves a tenth of the way.
 */
void kad__peerstore_note_latency(kad__peerstore *p, const kad_peer_id *peer,
                                 kad_time rtt);
/* 0: unknown. */
kad_time kad__peerstore_latency(const kad__peerstore *p,
                                const kad_peer_id *peer);

/* Takes a signed peer record (identity/envelope.h) in and writes whose it is to
 * `*peer`. Its addresses are added with `ttl`. A newer record takes away those
 * that only the one before it listed, except connected ones; an equal one
 * refreshes; an older one is ignored. Returns 1 when it was taken, 0 when it is
 * too old; the errors of kad__peer_record_open; KAD_E_NO_ADDRESS (none that can
 * be used), KAD_E_LIMIT, KAD_E_NO_MEMORY: the one before is still held then,
 * some addresses may have been added. */
int kad__peerstore_consume(kad__peerstore *p, kad_peer_id *peer,
                           kad_bytes sealed, kad_time ttl, kad_time now);
/* The signed record, as it came; borrowed until the peer changes; empty: none.
 * It goes with the last of the peer's addresses. */
kad_bytes kad__peerstore_record(const kad__peerstore *p,
                                const kad_peer_id *peer);

/* Keeps a record that `peer` itself has told of itself. Its addresses came in
 * another way, so it need not be verified before somebody asks for it, which
 * most never do: a signature costs more than all the rest. What is longer than
 * a record may be is dropped. KAD_E_LIMIT, KAD_E_NO_MEMORY. */
int kad__peerstore_hear(kad__peerstore *p, const kad_peer_id *peer,
                        kad_bytes sealed);
/* Verifies what was heard: a newer record than the one held takes its place;
 * what is not one is dropped. No lifetime changes. */
void kad__peerstore_settle_heard(kad__peerstore *p, const kad_peer_id *peer);

/* Walks all peers: start with *cursor = 0; false at the end. Changes meanwhile
 * are allowed; a peer may then be missed or come twice. `*peer` is borrowed
 * until it changes. */
bool kad__peerstore_next_peer(const kad__peerstore *p, uint64_t *cursor,
                              const kad_peer_id **peer);

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
/* An address with what is left of its life: KAD__ADDRESS_PERMANENT and
 * KAD__ADDRESS_CONNECTED stand for themselves. Walks as kad__peerstore_next. */
typedef struct kad__peerstore_address {
  kad_bytes address;
  kad_time left;
  bool certified; /* the signed record lists it */
} kad__peerstore_address;

bool kad__peerstore_next_entry(const kad__peerstore *p, const kad_peer_id *peer,
                               size_t *at, kad__peerstore_address *out,
                               kad_time now);

/* Bytes of memory that peers make it hold, entries included. */
size_t kad__peerstore_bytes(const kad__peerstore *p);
/* NULL when every invariant holds, else the first that does not: for tests. */
const char *kad__peerstore_check(const kad__peerstore *p);

#endif
