/**
 * @file
 * What a node knows of its peers: addresses with a time to live, protocols,
 * agent, public key, latency, signed records.
 *
 * Identify fills it by itself with what connected peers tell, and the DHT with
 * the addresses that look-ups bring; dials read it. It is bounded: 32,768
 * peers, 64 addresses and 128 protocols each, 32 MiB in all; what would expire
 * first makes room for the new, connected peers never do. Facts of a peer stay
 * for 15 minutes after its last connection, or as long as it has addresses.
 *
 * A node's snapshot (kad_node_snapshot) takes it along.
 */
#ifndef KADMIUM_PEERSTORE_H
#define KADMIUM_PEERSTORE_H

#include "kadmium/connections.h"
#include "kadmium/node.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Lifetimes of addresses, in the classes that libp2p knows. */
#define KAD_TTL_TEMPORARY (2 * KAD_MINUTE)
#define KAD_TTL_RECENT (15 * KAD_MINUTE)
#define KAD_TTL_ADDRESS KAD_HOUR
#define KAD_TTL_PERMANENT KAD_TIME_NEVER

/** What is known of one peer; empty or 0 is unknown. */
typedef struct kad_peer_info {
  kad_peer_id peer;
  kad_connectedness connectedness;
  kad_bytes addresses;        /**< a list, see kad_addresses_next */
  kad_bytes protocols;        /**< a list of names, likewise */
  kad_bytes agent;            /**< such as "kubo/0.29.0" */
  kad_bytes protocol_version; /**< such as "ipfs/0.1.0" */
  kad_bytes public_key;       /**< protobuf, see kad_public_key_decode */
  kad_bytes record;           /**< the signed peer record, as it came */
  kad_time latency; /**< of round trips, the latest counting for a tenth */
} kad_peer_info;

/**
 * Fills `*out`, whose bytes are borrowed until this is called again or the node
 * is driven or changed. KAD_E_NOT_FOUND: nothing is known. KAD_E_NO_MEMORY.
 */
KAD_API int kad_node_peer_info(kad_node *node, kad_peer_info *out,
                               const kad_peer_id *peer);

/** Takes the peers of whom something is known, one by one: start with
 * *cursor = 0; false at the end. When peers come and go meanwhile, some may be
 * skipped. */
KAD_API bool kad_node_next_known_peer(const kad_node *node, uint64_t *cursor,
                                      kad_peer_id *out);
/** How many there are. */
KAD_API size_t kad_node_known_peers(const kad_node *node);

/**
 * Adds addresses (a list for kad_addresses_next) for so long; one that is known
 * keeps the longer of both lifetimes. They may end in the peer's own /p2p/ID.
 * Returns how many are held now; those that are malformed, of another peer or
 * too many are left out. KAD_E_NO_MEMORY: some may have been added.
 */
KAD_API int kad_node_add_peer_addresses(kad_node *node, const kad_peer_id *peer,
                                        kad_bytes addresses, kad_time ttl);
/**
 * Gives one address a lifetime, shorter ones too; 0 removes it.
 * KAD_E_MULTIADDR, KAD_E_PEER_MISMATCH (it ends in another /p2p/ID),
 * KAD_E_LIMIT, KAD_E_NO_MEMORY: nothing has changed.
 */
KAD_API int kad_node_set_peer_address(kad_node *node, const kad_peer_id *peer,
                                      kad_bytes address, kad_time ttl);
/** Gives all addresses whose lifetime was given as `from` the lifetime `to`; 0
 * removes them. */
KAD_API void kad_node_update_peer_addresses(kad_node *node,
                                            const kad_peer_id *peer,
                                            kad_time from, kad_time to);
/**
 * Takes a signed peer record in (libp2p RFC 0002 and 0003), whose addresses
 * live for `ttl`, and writes whose it is to `*peer`. A newer record of the same
 * peer takes back what only the one before it listed, an equal one refreshes.
 * Returns 1, or 0 when a newer one is known. KAD_E_PROTOBUF, KAD_E_MESSAGE,
 * KAD_E_MESSAGE_TOO_LARGE, KAD_E_KEY and its kin: malformed; KAD_E_SIGNATURE;
 * KAD_E_PEER_MISMATCH: signed by somebody else; KAD_E_NO_ADDRESS: it lists none
 * that can be kept; KAD_E_INVALID_ARGUMENT: no lifetime; KAD_E_LIMIT,
 * KAD_E_NO_MEMORY.
 */
KAD_API int kad_node_add_peer_record(kad_node *node, kad_peer_id *peer,
                                     kad_bytes sealed, kad_time ttl);
/** Keeps a public key (protobuf). KAD_E_PEER_MISMATCH: it is not that peer's.
 * KAD_E_LIMIT, KAD_E_NO_MEMORY. */
KAD_API int kad_node_set_peer_key(kad_node *node, const kad_peer_id *peer,
                                  kad_bytes key);
/** Forgets a peer; of a connected one, what its connection has not told. The
 * DHT's routing table is another matter: kad_node_remove_peer. False: nothing
 * was known. */
KAD_API bool kad_node_forget_peer(kad_node *node, const kad_peer_id *peer);

#ifdef __cplusplus
}
#endif

#endif
