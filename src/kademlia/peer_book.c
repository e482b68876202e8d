/* Two interning tables of the same build: a keyed hash map finds the item by
 * its bytes, an array finds it by its handle, and freed handles are used
 * again, the latest first, so that memory follows what is really held. */
#include "kademlia/peer_book.h"

#include <assert.h>

#include "base/alloc.h"
#include "wire/addresses.h"

typedef struct interned {
  kad__map_node node; /* by `bytes` */
  kad__key key;       /* of a peer; unused for a list */
  uint32_t refs;
  uint32_t handle;
  uint32_t hint; /* of a peer: the list that was last seen with it */
  uint32_t len;
  uint8_t bytes[];
} interned;

typedef struct pool {
  kad__map map;
  interned **items; /* by handle; item 0 is never used */
  uint32_t *free_handles;
  uint32_t free_count;
  uint32_t used; /* handles given so far, 0 included */
  uint32_t cap;
} pool;

struct kad__peer_book {
  kad_allocator allocator;
  kad__dht_hash hash;
  pool peers;
  pool lists;
};

static void pool_init(pool *p, const uint64_t secret[2]) {
  memset(p, 0, sizeof *p);
  kad__map_init(&p->map, secret);
  p->used = 1;
}

static void pool_fini(pool *p, const kad_allocator *allocator) {
  for (uint32_t i = 1; i < p->used; i++) {
    kad__release(allocator, p->items[i]);
  }
  kad__map_fini(&p->map, allocator);
  kad__release(allocator, p->items);
  kad__release(allocator, p->free_handles);
}

/* Both arrays grow together, so that giving a handle back cannot fail. */
static int pool_grow(pool *p, const kad_allocator *allocator) {
  if (p->free_count > 0 || p->used < p->cap) {
    return 0;
  }
  uint32_t cap = p->cap == 0 ? 8 : p->cap + p->cap / 2;
  uint32_t *handles = kad__resize_array(allocator, p->free_handles, cap,
                                        sizeof p->free_handles[0]);
  if (handles == NULL) {
    return KAD_E_NO_MEMORY;
  }
  p->free_handles = handles;
  interned **items =
      kad__resize_array(allocator, p->items, cap, sizeof p->items[0]);
  if (items == NULL) {
    return KAD_E_NO_MEMORY;
  }
  p->items = items;
  p->cap = cap;
  return 0;
}

static interned *pool_find(const pool *p, kad_bytes bytes) {
  kad__map_node *node = kad__map_find(&p->map, bytes);
  return node == NULL ? NULL : KAD__CONTAINER(node, interned, node);
}

static interned *pool_add(pool *p, const kad_allocator *allocator,
                          kad_bytes bytes) {
  if (pool_grow(p, allocator) != 0) {
    return NULL;
  }
  interned *item = kad__alloc(allocator, sizeof *item + bytes.len);
  if (item == NULL) {
    return NULL;
  }
  item->refs = 0;
  item->hint = 0;
  item->len = (uint32_t)bytes.len;
  memcpy(item->bytes, bytes.data, bytes.len);
  if (kad__map_add(&p->map, allocator, &item->node,
                   kad__bytes(item->bytes, item->len)) != 0) {
    kad__release(allocator, item);
    return NULL;
  }
  item->handle =
      p->free_count > 0 ? p->free_handles[--p->free_count] : p->used++;
  p->items[item->handle] = item;
  return item;
}

static void pool_unref(pool *p, const kad_allocator *allocator,
                       uint32_t handle) {
  interned *item = p->items[handle];
  if (--item->refs > 0) {
    return;
  }
  kad__map_remove(&p->map, &item->node);
  p->items[handle] = NULL;
  p->free_handles[p->free_count++] = handle;
  kad__release(allocator, item);
}

int kad__peer_book_new(kad__peer_book **out, const kad_allocator *allocator,
                       kad__dht_hash hash, const uint64_t secret[2]) {
  kad__peer_book *book = kad__alloc(allocator, sizeof *book);
  if (book == NULL) {
    return KAD_E_NO_MEMORY;
  }
  book->allocator = *allocator;
  book->hash = hash;
  pool_init(&book->peers, secret);
  pool_init(&book->lists, secret);
  *out = book;
  return 0;
}

void kad__peer_book_free(kad__peer_book *book) {
  if (book == NULL) {
    return;
  }
  kad_allocator allocator = book->allocator;
  pool_fini(&book->peers, &allocator);
  pool_fini(&book->lists, &allocator);
  kad__release(&allocator, book);
}

kad__peer kad__peer_book_find(const kad__peer_book *book, kad_bytes id) {
  const interned *item = pool_find(&book->peers, id);
  return item == NULL ? 0 : item->handle;
}

void kad__peer_book_find_many(const kad__peer_book *book, kad__peer *out,
                              const kad_bytes *ids, size_t count) {
  const kad__map *map = &book->peers.map;
  uint32_t hashes[KAD__FIND_MANY];
  assert(count <= KAD__FIND_MANY);
  for (size_t i = 0; i < count; i++) {
    hashes[i] = kad__map_hash(map, ids[i]);
  }
  for (size_t i = 0; i < count; i++) {
    kad__map_expect(map, hashes[i]);
  }
  for (size_t i = 0; i < count; i++) {
    kad__map_node *node = kad__map_find_hashed(map, ids[i], hashes[i]);
    out[i] = node == NULL ? 0 : KAD__CONTAINER(node, interned, node)->handle;
  }
}

int kad__peer_book_hold(kad__peer_book *book, kad__peer *out, kad_bytes id) {
  interned *item = pool_find(&book->peers, id);
  if (item == NULL) {
    item = pool_add(&book->peers, &book->allocator, id);
    if (item == NULL) {
      return KAD_E_NO_MEMORY;
    }
    item->key = kad__key_of(book->hash, id);
  }
  item->refs++;
  *out = item->handle;
  return 0;
}

void kad__peer_ref(kad__peer_book *book, kad__peer peer) {
  book->peers.items[peer]->refs++;
}

void kad__peer_unref(kad__peer_book *book, kad__peer peer) {
  if (peer != 0) {
    pool_unref(&book->peers, &book->allocator, peer);
  }
}

kad_bytes kad__peer_id(const kad__peer_book *book, kad__peer peer) {
  const interned *item = book->peers.items[peer];
  return kad__bytes(item->bytes, item->len);
}

const kad__key *kad__peer_key(const kad__peer_book *book, kad__peer peer) {
  return &book->peers.items[peer]->key;
}

int kad__list_hold(kad__peer_book *book, kad__list_id *out, kad_bytes list) {
  *out = 0;
  if (list.len == 0) {
    return 0;
  }
  interned *item = pool_find(&book->lists, list);
  if (item == NULL) {
    item = pool_add(&book->lists, &book->allocator, list);
    if (item == NULL) {
      return KAD_E_NO_MEMORY;
    }
  }
  item->refs++;
  *out = item->handle;
  return 0;
}

/* A peer comes again and again with the same list, so that one is tried before
 * any hashing. A hint holds no reference: what it names may be gone, or another
 * list by now, and counts only if the bytes are those. */
int kad__list_hold_of(kad__peer_book *book, kad__list_id *out, kad_bytes list,
                      kad__peer peer) {
  interned *owner = book->peers.items[peer];
  interned *last = book->lists.used > owner->hint && owner->hint != 0
                       ? book->lists.items[owner->hint]
                       : NULL;
  if (last != NULL && list.len > 0 &&
      kad__bytes_equal(kad__bytes(last->bytes, last->len), list)) {
    last->refs++;
    *out = last->handle;
    return 0;
  }
  int error = kad__list_hold(book, out, list);
  owner->hint = error == 0 ? *out : owner->hint;
  return error;
}

void kad__list_ref(kad__peer_book *book, kad__list_id list) {
  if (list != 0) {
    book->lists.items[list]->refs++;
  }
}

void kad__list_unref(kad__peer_book *book, kad__list_id list) {
  if (list != 0) {
    pool_unref(&book->lists, &book->allocator, list);
  }
}

kad_bytes kad__list_bytes(const kad__peer_book *book, kad__list_id list) {
  if (list == 0) {
    return (kad_bytes){0};
  }
  const interned *item = book->lists.items[list];
  return kad__bytes(item->bytes, item->len);
}

void kad__list_merge(uint8_t *out, size_t cap, size_t *len, kad_bytes from) {
  kad_bytes address;
  for (int i = 0; i < KAD__LIST_SEEN && kad__addresses_next(&from, &address);
       i++) {
    if (address.len > 0 &&
        !kad__addresses_have(kad__bytes(out, *len), address)) {
      kad__addresses_append(out, cap, len, address);
    }
  }
}

kad_bytes kad__list_cut(kad_bytes list, size_t max) {
  kad_bytes rest = list;
  kad_bytes address;
  size_t fits = 0;
  while (kad__addresses_next(&rest, &address)) {
    size_t end = list.len - rest.len;
    if (end > max) {
      break;
    }
    fits = end;
  }
  return kad__bytes(list.data, fits);
}

/* Length and bytes of a short item lie in two lines of the cache at most. */
static void expect(const interned *item) {
#if defined(__GNUC__)
  __builtin_prefetch(&item->len);
  __builtin_prefetch((const uint8_t *)&item->len + 48);
#else
  (void)item;
#endif
}

void kad__peer_book_expect(const kad__peer_book *book, kad__peer peer,
                           kad__list_id list) {
  expect(book->peers.items[peer]);
  if (list != 0) {
    expect(book->lists.items[list]);
  }
}

size_t kad__peer_book_peers(const kad__peer_book *book) {
  return book->peers.map.len;
}

size_t kad__peer_book_lists(const kad__peer_book *book) {
  return book->lists.map.len;
}
