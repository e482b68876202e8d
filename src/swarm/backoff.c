/* One entry per peer with a short array of its addresses: a connection clears
 * a peer at once, and a dial looks up the peer once and its few addresses in
 * turn. Entries stand in the order in which they were touched, so making room
 * is O(1) and whatever has run out long ago leaves first. */
#include "swarm/backoff.h"

#include "base/alloc.h"

typedef struct failed_address {
  uint8_t *bytes;
  uint16_t len;
  uint16_t tries;
  kad_time until;
} failed_address;

typedef struct failed_peer {
  kad__map_node node;
  kad__list order;
  kad_peer_id id;
  uint8_t count;
  uint8_t cap;
  failed_address *addresses; /* longest untouched first */
} failed_peer;

void kad__backoff_init(kad__backoff *b, const kad_allocator *allocator,
                       const uint64_t secret[2]) {
  b->allocator = *allocator;
  kad__map_init(&b->peers, secret);
  kad__list_init(&b->order);
}

static void free_peer(kad__backoff *b, failed_peer *peer) {
  for (size_t i = 0; i < peer->count; i++) {
    kad__release(&b->allocator, peer->addresses[i].bytes);
  }
  kad__release(&b->allocator, peer->addresses);
  kad__map_remove(&b->peers, &peer->node);
  kad__list_unlink(&peer->order);
  kad__release(&b->allocator, peer);
}

void kad__backoff_fini(kad__backoff *b) {
  KAD__LIST_EACH(node, &b->order) {
    free_peer(b, KAD__CONTAINER(node, failed_peer, order));
  }
  kad__map_fini(&b->peers, &b->allocator);
}

static failed_peer *find_peer(const kad__backoff *b, const kad_peer_id *id) {
  kad__map_node *node =
      kad__map_find(&b->peers, kad__bytes(id->bytes, id->len));
  return node == NULL ? NULL : KAD__CONTAINER(node, failed_peer, node);
}

static failed_address *find_address(const failed_peer *peer,
                                    kad_bytes address) {
  for (size_t i = 0; i < peer->count; i++) {
    failed_address *a = &peer->addresses[i];
    if (kad__bytes_equal(kad__bytes(a->bytes, a->len), address)) {
      return a;
    }
  }
  return NULL;
}

static failed_peer *add_peer(kad__backoff *b, const kad_peer_id *id) {
  failed_peer *peer = kad__calloc(&b->allocator, 1, sizeof(*peer));
  if (peer == NULL) {
    return NULL;
  }
  peer->id = *id;
  int result = kad__map_add(&b->peers, &b->allocator, &peer->node,
                            kad__bytes(peer->id.bytes, peer->id.len));
  if (result < 0) {
    kad__release(&b->allocator, peer);
    return NULL;
  }
  kad__list_init(&peer->order);
  if (b->peers.len > KAD__BACKOFF_PEERS) {
    free_peer(b, KAD__CONTAINER(b->order.next, failed_peer, order));
  }
  return peer;
}

static int grow(kad__backoff *b, failed_peer *peer) {
  if (peer->count < peer->cap) {
    return 0;
  }
  uint8_t cap = peer->cap == 0 ? 2 : (uint8_t)(2 * peer->cap);
  failed_address *addresses = kad__resize_array(&b->allocator, peer->addresses,
                                                cap, sizeof(*addresses));
  if (addresses == NULL) {
    return KAD_E_NO_MEMORY;
  }
  peer->addresses = addresses;
  peer->cap = cap;
  return 0;
}

static void remove_at(kad__backoff *b, failed_peer *peer, size_t i) {
  kad__release(&b->allocator, peer->addresses[i].bytes);
  peer->count--;
  memmove(&peer->addresses[i], &peer->addresses[i + 1],
          (peer->count - i) * sizeof(*peer->addresses));
}

static failed_address *add_address(kad__backoff *b, failed_peer *peer,
                                   kad_bytes address) {
  uint8_t *bytes = kad__memdup(&b->allocator, address.data, address.len);
  if (bytes == NULL) {
    return NULL;
  }
  if (peer->count == KAD__BACKOFF_ADDRESSES) {
    remove_at(b, peer, 0);
  } else if (grow(b, peer) < 0) {
    kad__release(&b->allocator, bytes);
    return NULL;
  }
  failed_address *a = &peer->addresses[peer->count++];
  *a = (failed_address){.bytes = bytes, .len = (uint16_t)address.len};
  return a;
}

/* The address that fails again is the youngest from now on. */
static failed_address *to_end(failed_peer *peer, failed_address *a) {
  failed_address moved = *a;
  failed_address *last = &peer->addresses[peer->count - 1];
  memmove(a, a + 1, (size_t)(last - a) * sizeof(*a));
  *last = moved;
  return last;
}

static kad_time wait_after(uint16_t tries) {
  kad_time n = tries;
  kad_time wait = KAD__BACKOFF_BASE + n * n * KAD_SECOND;
  return wait < KAD__BACKOFF_MAX ? wait : KAD__BACKOFF_MAX;
}

int kad__backoff_add(kad__backoff *b, const kad_peer_id *id, kad_bytes address,
                     kad_time now) {
  if (address.len == 0 || address.len > UINT16_MAX) {
    return KAD_E_INVALID_ARGUMENT;
  }
  failed_peer *peer = find_peer(b, id);
  bool is_new = peer == NULL;
  if (is_new && (peer = add_peer(b, id)) == NULL) {
    return KAD_E_NO_MEMORY;
  }
  failed_address *a = find_address(peer, address);
  if (a != NULL) {
    a = to_end(peer, a);
  } else if ((a = add_address(b, peer, address)) == NULL) {
    if (is_new) {
      free_peer(b, peer);
    }
    return KAD_E_NO_MEMORY;
  }
  if (kad__time_add(a->until, wait_after(a->tries)) <= now) {
    a->tries = 0; /* that was long ago */
  }
  a->until = kad__time_add(now, wait_after(a->tries));
  a->tries = a->tries < UINT16_MAX ? (uint16_t)(a->tries + 1) : UINT16_MAX;
  kad__list_unlink(&peer->order);
  kad__list_append(&b->order, &peer->order);
  return 0;
}

kad_time kad__backoff_until(const kad__backoff *b, const kad_peer_id *id,
                            kad_bytes address, kad_time now) {
  const failed_peer *peer = find_peer(b, id);
  const failed_address *a = peer == NULL ? NULL : find_address(peer, address);
  return a == NULL || a->until <= now ? 0 : a->until;
}

void kad__backoff_clear(kad__backoff *b, const kad_peer_id *id) {
  failed_peer *peer = find_peer(b, id);
  if (peer != NULL) {
    free_peer(b, peer);
  }
}

size_t kad__backoff_count(const kad__backoff *b) {
  return b->peers.len;
}
