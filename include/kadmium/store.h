/**
 * @file
 * Where a node keeps records: an interface that an embedder may implement.
 *
 * The DHT decides what is kept and for how long; a store keeps it within its
 * limits. The default keeps records in memory; kad_sqlite_store_new keeps them
 * in a file. A store belongs to one node at a time and is called on the thread
 * that drives it; it may not call the node.
 */
#ifndef KADMIUM_STORE_H
#define KADMIUM_STORE_H

#include "kadmium/error.h"
#include "kadmium/types.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A value record. Everything is borrowed. */
typedef struct kad_record {
  kad_bytes key;
  kad_bytes value;
  kad_bytes publisher; /**< binary PeerId; empty: unknown */
  kad_time expires;    /**< KAD_TIME_NEVER: does not */
  kad_bytes source;    /**< put: the authenticated peer that brought it, for its
                            share of the room; empty: ours. `get` may omit it */
  uint64_t group;      /**< put: the network of `source`, which has a share too:
                            a number for each IPv4 /16 or IPv6 /32; 0: not
                            known, or none that counts. `get` may omit it */
} kad_record;

/** "`provider` has `key`." Everything is borrowed. */
typedef struct kad_provider {
  kad_bytes key;
  kad_bytes provider;  /**< binary PeerId */
  kad_bytes addresses; /**< a list, see kad_addresses_next */
  kad_time expires;
  uint64_t group; /**< add: the network of `provider`, as in kad_record */
} kad_provider;

typedef struct kad_store kad_store;

/**
 * The operations of a store; all must be there. Times are monotonic, as
 * everywhere; a store on disk translates them.
 *
 * What `get`, `next`, `providers` and `next_provided` give stays valid until
 * the same operation is called again or the store is changed. `own` marks what
 * this node itself publishes: it has limits of its own, so that no remote peer
 * can fill them. Errors of `put` and `add_provider`: KAD_E_STORE_FULL,
 * KAD_E_RECORD_TOO_LARGE, KAD_E_NO_MEMORY, KAD_E_IO; the old record is still
 * there then.
 */
typedef struct kad_store_operations {
  /** False when there is no record of `key`; one that has expired may still be
   * given. */
  bool (*get)(kad_store *store, kad_record *out, kad_bytes key);
  /** Adds or replaces; the record is copied. */
  int (*put)(kad_store *store, const kad_record *record, bool own);
  void (*remove)(kad_store *store, kad_bytes key);
  /** The first record whose key is greater than `after` (empty: the first), in
   * the order of keys; false at the end. */
  bool (*next)(kad_store *store, kad_record *out, bool *own, kad_bytes after);

  /** Adds or replaces; the record is copied. */
  int (*add_provider)(kad_store *store, const kad_provider *record, bool own);
  /** Up to `cap` providers of `key`, in the order in which they came. */
  size_t (*providers)(kad_store *store, kad_provider *out, size_t cap,
                      kad_bytes key);
  void (*remove_provider)(kad_store *store, kad_bytes key, kad_bytes provider);
  /** Own provider records, by key, as `next`. */
  bool (*next_provided)(kad_store *store, kad_provider *out, kad_bytes after);

  /** Drops what has expired; at most a bounded piece of work per call. */
  void (*expire)(kad_store *store, kad_time now);
  /** When the next record expires; KAD_TIME_NEVER: none does. */
  kad_time (*deadline)(const kad_store *store);
  void (*free)(kad_store *store);
} kad_store_operations;

/** Every store begins with this; `ops` outlives it. */
struct kad_store {
  const kad_store_operations *ops;
};

#ifdef __cplusplus
}
#endif

#endif
