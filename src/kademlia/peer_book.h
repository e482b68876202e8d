/* The names of peers, kept once. A peer id and its key, and a list of
 * addresses, are interned and counted; tables and lookups hold 32-bit handles.
 * One book may serve many DHTs of one process that share a hash, so that a
 * hundred thousand of them fit into memory: what a DHT knows (who is in its
 * table, which addresses it believes) stays its own, only the bytes are shared.
 */
#ifndef KAD_KADEMLIA_PEER_BOOK_H
#define KAD_KADEMLIA_PEER_BOOK_H

#include "base/map.h"
#include "kademlia/key.h"
#include "kadmium/error.h"

/* A peer of a book; 0 is none. */
typedef uint32_t kad__peer;
/* A list of addresses (wire/addresses.h) of a book; 0 is the empty list. */
typedef uint32_t kad__list_id;

typedef struct kad__peer_book kad__peer_book;

/* `secret` keys the hash maps. KAD_E_NO_MEMORY. */
int kad__peer_book_new(kad__peer_book **out, const kad_allocator *allocator,
                       kad__dht_hash hash, const uint64_t secret[2]);
/* NULL is fine. Every DHT that uses the book must be gone. */
void kad__peer_book_free(kad__peer_book *book);

/* The peer of that id, without taking a reference; 0 when it is unknown. */
kad__peer kad__peer_book_find(const kad__peer_book *book, kad_bytes id);
/* The same for many, much quicker than one by one. */
#define KAD__FIND_MANY 64
/* At most KAD__FIND_MANY of them. */
void kad__peer_book_find_many(const kad__peer_book *book, kad__peer *out,
                              const kad_bytes *ids, size_t count);
/* Finds or adds a peer and takes a reference. KAD_E_NO_MEMORY. */
int kad__peer_book_hold(kad__peer_book *book, kad__peer *out, kad_bytes id);
void kad__peer_ref(kad__peer_book *book, kad__peer peer);
/* Gives a reference back; 0 is fine. */
void kad__peer_unref(kad__peer_book *book, kad__peer peer);
/* Both borrowed while a reference is held. */
kad_bytes kad__peer_id(const kad__peer_book *book, kad__peer peer);
const kad__key *kad__peer_key(const kad__peer_book *book, kad__peer peer);

/* Finds or adds a list and takes a reference. KAD_E_NO_MEMORY. */
int kad__list_hold(kad__peer_book *book, kad__list_id *out, kad_bytes list);
/* The same, quicker when `peer` had that list the last time. */
int kad__list_hold_of(kad__peer_book *book, kad__list_id *out, kad_bytes list,
                      kad__peer peer);
void kad__list_ref(kad__peer_book *book, kad__list_id list);
void kad__list_unref(kad__peer_book *book, kad__list_id list);
kad_bytes kad__list_bytes(const kad__peer_book *book, kad__list_id list);

/* Of one list from a peer, so many addresses are looked at: a bound on work. */
#define KAD__LIST_SEEN 64

/* Appends to the list of `*len` bytes in `out` those addresses of `from` that
 * are not in it yet and fit into `cap`. */
void kad__list_merge(uint8_t *out, size_t cap, size_t *len, kad_bytes from);
/* The longest prefix of `list`, whole addresses, of at most `max` bytes. */
kad_bytes kad__list_cut(kad_bytes list, size_t max);
static inline kad_bytes kad__list_prefix(kad_bytes list, size_t max) {
  return list.len <= max ? list : kad__list_cut(list, max);
}

/* Bytes of this peer and this list (0: none) will soon be read. Said of all
 * before the first is read, they come from memory together. */
void kad__peer_book_expect(const kad__peer_book *book, kad__peer peer,
                           kad__list_id list);

size_t kad__peer_book_peers(const kad__peer_book *book);
size_t kad__peer_book_lists(const kad__peer_book *book);

#endif
