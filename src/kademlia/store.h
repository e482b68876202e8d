/* Where records live. The DHT decides what is kept and for how long; a store
 * keeps it within its limits. memory_store.h is the default; an embedder may
 * bring another. A store is called by its DHT alone and never calls back. */
#ifndef KAD_KADEMLIA_STORE_H
#define KAD_KADEMLIA_STORE_H

#include "kadmium/error.h"
#include "kadmium/types.h"

/* A value record. Everything is borrowed. */
typedef struct kad__record {
  kad_bytes key;
  kad_bytes value;
  kad_bytes publisher; /* peer id; empty: unknown */
  kad_time expires;    /* KAD_TIME_NEVER: does not */
  kad_bytes source;    /* put: the authenticated peer that brought it, for its
                          share of the room; empty: ours. `get` may omit it */
} kad__record;

/* "`provider` has `key`." Everything is borrowed. */
typedef struct kad__provider {
  kad_bytes key;
  kad_bytes provider;
  kad_bytes addresses; /* list of wire/addresses.h */
  kad_time expires;
} kad__provider;

typedef struct kad__store kad__store;

/* The operations of a store. Records that `get` and the iterators give are
 * borrowed until the store is next changed. `own` marks what this node itself
 * publishes, which has limits of its own, so that no remote peer can fill
 * them. Errors of put and add_provider: KAD_E_STORE_FULL,
 * KAD_E_RECORD_TOO_LARGE, KAD_E_NO_MEMORY. */
typedef struct kad__store_class {
  bool (*get)(kad__store *s, kad__record *out, kad_bytes key);
  int (*put)(kad__store *s, const kad__record *record, bool own);
  void (*remove)(kad__store *s, kad_bytes key);
  /* The first record whose key is greater than `after` (empty: the first), in
   * the order of keys; false at the end. */
  bool (*next)(kad__store *s, kad__record *out, bool *own, kad_bytes after);

  int (*add_provider)(kad__store *s, const kad__provider *record, bool own);
  /* Up to `cap` providers of `key`, in the order in which they came. */
  size_t (*providers)(kad__store *s, kad__provider *out, size_t cap,
                      kad_bytes key);
  void (*remove_provider)(kad__store *s, kad_bytes key, kad_bytes provider);
  /* Own provider records, by key, as `next`. */
  bool (*next_provided)(kad__store *s, kad__provider *out, kad_bytes after);

  /* Drops what has expired; at most a bounded piece of work per call. */
  void (*expire)(kad__store *s, kad_time now);
  /* When the next record expires; KAD_TIME_NEVER: none does. */
  kad_time (*deadline)(const kad__store *s);
  void (*free)(kad__store *s);
} kad__store_class;

/* Every store begins with this. */
struct kad__store {
  const kad__store_class *class;
};

#endif
