/**
 * @file
 * A node's routing table and its running requests, to look at and to mend.
 *
 * What is returned is borrowed until the node is next driven or changed.
 * Cursors start at 0 and stay usable when the table changes meanwhile; they may
 * then skip or repeat an entry.
 */
#ifndef KADMIUM_ROUTING_H
#define KADMIUM_ROUTING_H

#include "kadmium/node.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum kad_routing_update {
  KAD_ROUTING_SUCCESS, /**< the peer is in the table, with that address */
  KAD_ROUTING_PENDING, /**< its bucket is full; it waits for a place */
  KAD_ROUTING_FAILED   /**< no place, or not an address of that peer */
} kad_routing_update;

/** A peer of the table. */
typedef struct kad_table_entry {
  kad_peer_id peer;
  kad_bytes addresses; /**< a list, see kad_addresses_next */
  uint32_t bucket;
  bool connected; /**< as far as the DHT knows */
  bool pending;   /**< waits for a place in its bucket */
} kad_table_entry;

/** A k-bucket: the peers whose key shares exactly `index` leading bits with
 * ours. Their distances reach from 2^(255-index) to 2^(256-index) - 1. */
typedef struct kad_bucket {
  uint32_t index;
  uint32_t entries; /**< without the pending one */
  bool pending;
} kad_bucket;

/** The next bucket that is not empty, the closest to us first. */
KAD_API bool kad_node_next_bucket(const kad_node *node, uint32_t *cursor,
                                  kad_bucket *out);
/** The bucket of a key (which is hashed), also when it is empty; false for our
 * own key. */
KAD_API bool kad_node_bucket_of(const kad_node *node, kad_bytes key,
                                kad_bucket *out);
/** The next peer of a bucket: disconnected ones first, the pending one last. */
KAD_API bool kad_node_next_entry(const kad_node *node, uint32_t bucket,
                                 uint32_t *cursor, kad_table_entry *out);
/** Up to `cap` peers of the table, at most 256, that are closest to a key
 * (which is hashed), closest first, without `source` (may be NULL) and without
 * pending ones. Returns their number. */
KAD_API size_t kad_node_closest_local(kad_node *node, kad_table_entry *out,
                                      size_t cap, kad_bytes key,
                                      const kad_peer_id *source);

/** Puts a peer into the table that you know to be a member; `address` is a
 * valid multiaddr. The peer is believed, not asked. */
KAD_API kad_routing_update kad_node_add_address(kad_node *node,
                                                const kad_peer_id *peer,
                                                kad_bytes address);
/** Forgets an address; the last one takes the peer along. False: unknown. */
KAD_API bool kad_node_remove_address(kad_node *node, const kad_peer_id *peer,
                                     kad_bytes address);
/** Removes a peer from the table, present or pending. False: unknown. */
KAD_API bool kad_node_remove_peer(kad_node *node, const kad_peer_id *peer);

/** Fixes the mode, or lets the node decide again (KAD_MODE_AUTO). Connected
 * peers are told by identify push. */
KAD_API void kad_node_set_mode(kad_node *node, kad_mode mode);
/**
 * You know that others reach us at `address` (a port was mapped, an operator
 * said so): it is announced, and with KAD_MODE_AUTO the node serves. The 16
 * confirmed last count. KAD_E_MULTIADDR, KAD_E_NO_MEMORY, KAD_E_LIMIT.
 */
KAD_API int kad_node_confirm_address(kad_node *node, kad_bytes address);
/** It is no longer so. False: it was not confirmed. */
KAD_API bool kad_node_expire_address(kad_node *node, kad_bytes address);

/** The DHT's protocol name, borrowed from the node for its life. */
KAD_API kad_bytes kad_node_protocol(const kad_node *node);

/** A request that runs. */
typedef struct kad_request_info {
  kad_request_id id;
  kad_operation operation;
  bool waiting;  /**< for the node to join */
  bool storing;  /**< the look-up is over: records are being given away */
  kad_bytes key; /**< or the peer's id, for KAD_FIND_PEER; of a bootstrap: what
                      is looked up now, at first our own id */
  kad_statistics statistics; /**< so far */
  uint32_t results;          /**< so far: peers, providers, records */
  uint32_t step;             /**< events so far */
  uint32_t remaining;        /**< KAD_BOOTSTRAP: buckets that are left */
} kad_request_info;

/** False when it has ended. */
KAD_API bool kad_node_request(const kad_node *node, kad_request_id request,
                              kad_request_info *out);
/** The next running request: start with *cursor = 0; in the order of ids. */
KAD_API bool kad_node_next_request(const kad_node *node, uint64_t *cursor,
                                   kad_request_info *out);
/** Ends a request with what it has found so far: its END has error 0 when that
 * is something, or it is a bootstrap, else KAD_E_NOT_FOUND. What stores ends
 * with KAD_E_QUORUM: a put by itself once its quorum has the record, a provide
 * that has told nobody. False when it has ended already. */
KAD_API bool kad_node_finish(kad_node *node, kad_request_id request);

/** What the node does by itself: records (KAD_PUT, ours and those of others)
 * and announcements (KAD_PROVIDE) that are sent again, KAD_BOOTSTRAP when it
 * joins and by the clock. Start with *cursor = 0; the cursor then names what is
 * in `out`, whose `id` is 0. False at the end. */
KAD_API bool kad_node_next_upkeep(const kad_node *node, uint64_t *cursor,
                                  kad_request_info *out);
/** Ends what a cursor names. False when it has ended already. */
KAD_API bool kad_node_finish_upkeep(kad_node *node, uint64_t cursor);

/** Forgets our own record of `key` and stops to publish it; others keep theirs
 * until it expires. */
KAD_API void kad_node_remove_record(kad_node *node, kad_bytes key);

/** A record in the node's store. */
typedef struct kad_stored_record {
  kad_bytes key;
  kad_bytes value;
  kad_peer_id publisher; /**< its len is 0 when unknown */
  uint32_t ttl;          /**< seconds left; 0: does not expire */
  bool own;              /**< published by this node */
} kad_stored_record;

/**
 * Stores a record of somebody else, as if it had been put here: for an owner
 * who filters (filter_records). It must be valid and not worse than what is
 * there; `own` is ignored. `source` (may be NULL) is who sent it: it has a
 * share of the room. KAD_E_RECORD and its kin, KAD_E_STORE_FULL,
 * KAD_E_NO_MEMORY.
 */
KAD_API int kad_node_store_record(kad_node *node,
                                  const kad_stored_record *record,
                                  const kad_peer_id *source);
/** Keeps `provider` as a provider of `key` for the configured time; addresses
 * as a list. KAD_E_STORE_FULL, KAD_E_NO_MEMORY, KAD_E_INVALID_ARGUMENT. */
KAD_API int kad_node_store_provider(kad_node *node, kad_bytes key,
                                    const kad_peer_id *provider,
                                    kad_bytes addresses);
/**
 * The verdict on a KAD_EVENT_REVIEW: 0 lets the request be answered and its
 * record be stored, an error resets its stream. Without one the request ends
 * with its stream's time (stream_timeout). False: it has ended already.
 */
KAD_API bool kad_node_review(kad_node *node, uint64_t token, int verdict);

/** The stored record whose key comes after `after` (empty: the first); false
 * at the end. */
KAD_API bool kad_node_next_record(kad_node *node, kad_bytes after,
                                  kad_stored_record *out);
/** The key after `after` that this node provides; false at the end. */
KAD_API bool kad_node_next_provided(kad_node *node, kad_bytes after,
                                    kad_bytes *key);

/**
 * What should outlive a restart: the peers of the routing table, our own
 * records and what we provide, in the format of docs/snapshot.md.
 *
 * Writes it to `out` and returns its length; with too little room it returns
 * KAD_E_BUFFER_TOO_SMALL, and `*needed` (may be NULL) is the length in any
 * case.
 */
KAD_API int kad_node_snapshot(kad_node *node, uint8_t *out, size_t cap,
                              size_t *needed);
/**
 * Takes a snapshot in: its peers become contacts to join through, which are
 * asked before they enter the table; records and provided keys are published
 * again when they are due. What does not fit is left out.
 *
 * KAD_E_PROTOBUF, KAD_E_MESSAGE: not a snapshot; KAD_E_UNSUPPORTED: of a later
 * format. Nothing was taken in then. KAD_E_NO_MEMORY: some of it may have been.
 */
KAD_API int kad_node_restore(kad_node *node, kad_bytes snapshot);

#ifdef __cplusplus
}
#endif

#endif
