/* The routing table: peers by their distance from us. Bucket `i` holds those
 * that share exactly `i` leading bits with our key; bucket 0 is half of the key
 * space. Within a bucket the disconnected come first (the longest disconnected
 * at the front), then the connected (the longest connected first). A full
 * bucket keeps one newcomer waiting: when its time comes and the front peer is
 * still disconnected, it takes that place. So a live peer is never pushed out.
 *
 * The table holds a reference to each peer and each list of addresses in it. */
#ifndef KAD_KADEMLIA_TABLE_H
#define KAD_KADEMLIA_TABLE_H

#include "kademlia/peer_book.h"

enum kad__entry_flag {
  KAD__ENTRY_CONNECTED = 1,
  KAD__ENTRY_FAILED = 2,    /* its last call failed */
  KAD__ENTRY_ADDRESSED = 4, /* its list of addresses is not empty */
  KAD__ENTRY_PROBED = 8     /* a probe is on its way */
};

typedef struct kad__entry {
  uint64_t word; /* the first of the key; the rest is in the book */
  kad__peer peer;
  kad__list_id addresses;
  uint32_t seen;    /* second at which it last proved to be alive */
  uint8_t failures; /* since then */
  uint8_t flags;
  uint16_t group; /* of its addresses, see addresses.c; 0: none */
} kad__entry;

typedef struct kad__pending {
  kad__entry entry;
  kad_time due;
} kad__pending;

typedef struct kad__bucket {
  kad__entry *entries;
  kad__pending *pending;
  uint32_t count;
  uint32_t cap;
  uint32_t first_connected; /* `count` when none is connected */
} kad__bucket;

typedef struct kad__table {
  const kad_allocator *allocator;
  kad__peer_book *book;
  kad__key local;
  kad__bucket *buckets; /* as far as the deepest that was ever used */
  uint32_t bucket_count;
  uint32_t bucket_size;
  uint32_t size; /* entries, pending ones not counted */
  uint32_t pending_count;
  kad_time pending_timeout;
} kad__table;

typedef enum kad__insert {
  KAD__INSERTED = 0,
  KAD__INSERT_PENDING = 1,
  KAD__INSERT_FULL = 2
} kad__insert;

/* `allocator` and `book` are borrowed. Cannot fail. */
void kad__table_init(kad__table *table, const kad_allocator *allocator,
                     kad__peer_book *book, const kad__key *local,
                     uint32_t bucket_size, kad_time pending_timeout);
void kad__table_fini(kad__table *table);

/* The bucket of a key; KAD__KEY_BITS for our own. */
static inline uint32_t kad__table_index(const kad__table *table,
                                        const kad__key *key) {
  return kad__key_common(&table->local, key);
}

/* The entry of a peer, or NULL. Valid until the table changes. */
kad__entry *kad__table_find(const kad__table *table, kad__peer peer);
/* The entry that waits in a pending slot, or NULL. */
kad__entry *kad__table_find_pending(const kad__table *table, kad__peer peer);

/* Puts in a peer that is in neither place, with references of its own. A
 * kad__insert, or KAD_E_NO_MEMORY, or KAD_E_SELF for our own key. With
 * KAD__INSERT_PENDING, `*oldest` is the peer whose life decides. */
int kad__table_insert(kad__table *table, kad__peer peer, kad__list_id addresses,
                      bool connected, kad_time now, kad__peer *oldest);
/* Moves an entry to the most recent place of its new status; the pointer is
 * dead afterwards. When the front peer of a bucket connects, the newcomer that
 * waited for its place is dropped. */
void kad__table_set_connected(kad__table *table, kad__entry *entry,
                              bool connected);
/* Replaces the addresses of an entry (present or pending); takes a reference.*/
void kad__table_set_addresses(kad__table *table, kad__entry *entry,
                              kad__list_id addresses);
/* Removes a present or pending peer; false when there is none. A newcomer that
 * waits in that bucket becomes due. */
bool kad__table_remove(kad__table *table, kad__peer peer);

/* What happened to a pending slot. */
typedef struct kad__applied {
  kad__peer inserted; /* a reference is held by the table */
  kad__peer evicted;  /* a reference passes to the caller; may be 0 */
  uint32_t bucket;
} kad__applied;

/* Settles the next pending slot that is due at `now`; false when none is, or
 * those that were due have been discarded. */
bool kad__table_apply(kad__table *table, kad_time now, kad__applied *out);
kad_time kad__table_deadline(const kad__table *table);

/* A peer and the first word of its distance. */
typedef struct kad__near {
  uint64_t distance;
  const kad__entry *entry;
} kad__near;

/* Which entries a search passes over. */
typedef struct kad__table_filter {
  kad__peer skip;  /* 0: none */
  uint8_t require; /* flags that must be set */
  uint8_t reject;  /* flags that must not */
} kad__table_filter;

/* The up to `cap` entries that are closest to `target`, in exact order. */
size_t kad__table_closest(const kad__table *table, kad__near *out, size_t cap,
                          const kad__key *target,
                          const kad__table_filter *filter);
/* How many entries are closer to us than `target` is and at the same time in
 * the part of the key space between (rust-libp2p's count_nodes_between). Those
 * whose last call failed do not count. */
size_t kad__table_count_between(const kad__table *table,
                                const kad__key *target);
/* The `n`-th of all entries; `n` is below `size`. */
const kad__entry *kad__table_at(const kad__table *table, uint64_t n);
/* The number of the deepest bucket that is not empty; -1 when all are. */
int kad__table_deepest(const kad__table *table);

/* 0, or what is broken. */
const char *kad__table_check(const kad__table *table);

#endif
