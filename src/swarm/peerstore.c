/* A hash map of peers, each with a short array of addresses, and a heap of the
 * times at which peers can be forgotten. The heap's first peer is also the one
 * that makes room at a cap, so a flood of short-lived addresses displaces
 * itself before it displaces what is trusted for longer. Expired addresses are
 * passed over when they are read and leave when their peer changes. */
#include "kadmium/multiaddr.h"
#include "swarm/peerstore_internal.h"

int kad__peerstore_new(kad__peerstore **out, const kad_allocator *allocator,
                       const uint64_t secret[2]) {
  kad__peerstore *p = kad__calloc(allocator, 1, sizeof(*p));
  if (p == NULL) {
    return KAD_E_NO_MEMORY;
  }
  p->allocator = *allocator;
  kad__map_init(&p->peers, secret);
  *out = p;
  return 0;
}

static void free_peer(kad__peerstore *p, kad__known_peer *peer) {
  for (size_t i = 0; i < peer->address_count; i++) {
    p->bytes -= peer->addresses[i].len;
    kad__release(&p->allocator, peer->addresses[i].bytes);
  }
  p->bytes -= (size_t)peer->protocols_len + peer->agent_len;
  kad__release(&p->allocator, peer->addresses);
  kad__release(&p->allocator, peer->protocols);
  kad__release(&p->allocator, peer->agent);
  kad__heap_remove(&p->timers, &peer->timer);
  kad__map_remove(&p->peers, &peer->node);
  kad__release(&p->allocator, peer);
}

static kad__known_peer *first_to_go(const kad__peerstore *p) {
  kad__heap_node *node = kad__heap_first(&p->timers);
  return node == NULL ? NULL : KAD__CONTAINER(node, kad__known_peer, timer);
}

void kad__peerstore_free(kad__peerstore *p) {
  if (p == NULL) {
    return;
  }
  for (kad__known_peer *peer; (peer = first_to_go(p)) != NULL;) {
    free_peer(p, peer);
  }
  kad__heap_fini(&p->timers, &p->allocator);
  kad__map_fini(&p->peers, &p->allocator);
  kad_allocator allocator = p->allocator;
  kad__release(&allocator, p);
}

kad__known_peer *kad__known_find(const kad__peerstore *p,
                                 const kad_peer_id *id) {
  kad__map_node *node =
      kad__map_find(&p->peers, kad__bytes(id->bytes, id->len));
  return node == NULL ? NULL : KAD__CONTAINER(node, kad__known_peer, node);
}

static int make_way(kad__peerstore *p, const kad__known_peer *keep,
                    kad_time until) {
  kad__known_peer *peer = first_to_go(p);
  if (peer == NULL || peer == keep || peer->timer.at > until ||
      peer->timer.at == KAD_TIME_NEVER) {
    return KAD_E_LIMIT;
  }
  free_peer(p, peer);
  return 0;
}

int kad__known_room(kad__peerstore *p, const kad__known_peer *keep,
                    size_t bytes, kad_time until) {
  while (p->bytes + bytes > KAD__PEERSTORE_BYTES) {
    int result = make_way(p, keep, until);
    if (result < 0) {
      return result;
    }
  }
  return 0;
}

int kad__known_get(kad__known_peer **out, kad__peerstore *p,
                   const kad_peer_id *id, kad_time until) {
  *out = kad__known_find(p, id);
  if (*out != NULL) {
    return 0;
  }
  if (p->peers.len >= KAD__PEERSTORE_PEERS && make_way(p, NULL, until) < 0) {
    return KAD_E_LIMIT;
  }
  kad__known_peer *peer = kad__calloc(&p->allocator, 1, sizeof(*peer));
  if (peer == NULL) {
    return KAD_E_NO_MEMORY;
  }
  peer->id = *id;
  kad__heap_node_init(&peer->timer);
  if (kad__heap_set(&p->timers, &p->allocator, &peer->timer, until) < 0) {
    kad__release(&p->allocator, peer);
    return KAD_E_NO_MEMORY;
  }
  if (kad__map_add(&p->peers, &p->allocator, &peer->node,
                   kad__bytes(peer->id.bytes, peer->id.len)) < 0) {
    kad__heap_remove(&p->timers, &peer->timer);
    kad__release(&p->allocator, peer);
    return KAD_E_NO_MEMORY;
  }
  *out = peer;
  return 0;
}

void kad__known_settle(kad__peerstore *p, kad__known_peer *peer) {
  kad_time until = peer->pinned ? KAD_TIME_NEVER : peer->facts_until;
  for (size_t i = 0; i < peer->address_count; i++) {
    if (peer->addresses[i].expires > until) {
      until = peer->addresses[i].expires;
    }
  }
  if (until >= KAD__ADDRESS_CONNECTED) {
    until = KAD_TIME_NEVER;
  }
  if (until <= p->now) {
    free_peer(p, peer);
  } else if (until != peer->timer.at) {
    (void)kad__heap_set(&p->timers, &p->allocator, &peer->timer, until);
  }
}

/* ---- addresses ---------------------------------------------------------- */

static void remove_address(kad__peerstore *p, kad__known_peer *peer, size_t i) {
  p->bytes -= peer->addresses[i].len;
  kad__release(&p->allocator, peer->addresses[i].bytes);
  peer->address_count--;
  memmove(&peer->addresses[i], &peer->addresses[i + 1],
          (peer->address_count - i) * sizeof(*peer->addresses));
}

static void remove_expired(kad__peerstore *p, kad__known_peer *peer) {
  for (size_t i = peer->address_count; i-- > 0;) {
    if (peer->addresses[i].expires <= p->now) {
      remove_address(p, peer, i);
    }
  }
}

static kad__known_address *find_address(const kad__known_peer *peer,
                                        kad_bytes address) {
  for (size_t i = 0; i < peer->address_count; i++) {
    kad__known_address *a = &peer->addresses[i];
    if (kad__bytes_equal(kad__bytes(a->bytes, a->len), address)) {
      return a;
    }
  }
  return NULL;
}

static int make_slot(kad__peerstore *p, kad__known_peer *peer,
                     kad_time expires) {
  if (peer->address_count == KAD__PEERSTORE_ADDRESSES_PER_PEER) {
    size_t first = 0;
    for (size_t i = 1; i < peer->address_count; i++) {
      if (peer->addresses[i].expires < peer->addresses[first].expires) {
        first = i;
      }
    }
    if (peer->addresses[first].expires > expires) {
      return KAD_E_LIMIT;
    }
    remove_address(p, peer, first);
  }
  if (peer->address_count < peer->address_cap) {
    return 0;
  }
  /* Most peers have one to four addresses; each step doubles. */
  uint8_t cap = peer->address_cap == 0 ? 1 : (uint8_t)(2 * peer->address_cap);
  kad__known_address *addresses = kad__resize_array(
      &p->allocator, peer->addresses, cap, sizeof(*addresses));
  if (addresses == NULL) {
    return KAD_E_NO_MEMORY;
  }
  peer->addresses = addresses;
  peer->address_cap = cap;
  return 0;
}

static int add_address(kad__peerstore *p, kad__known_peer *peer,
                       kad_bytes address, kad_time expires) {
  int result = kad__known_room(p, peer, address.len, expires);
  if (result < 0) {
    return result;
  }
  uint8_t *bytes = kad__memdup(&p->allocator, address.data, address.len);
  if (bytes == NULL) {
    return KAD_E_NO_MEMORY;
  }
  result = make_slot(p, peer, expires);
  if (result < 0) {
    kad__release(&p->allocator, bytes);
    return result;
  }
  peer->addresses[peer->address_count++] = (kad__known_address){
      .expires = expires, .bytes = bytes, .len = (uint16_t)address.len};
  p->bytes += address.len;
  return 0;
}

/* A lifetime that is counted never becomes one that is not. */
static kad_time expiry(kad_time now, kad_time ttl) {
  if (ttl >= KAD__ADDRESS_CONNECTED) {
    return ttl;
  }
  kad_time at = kad__time_add(now, ttl);
  return at < KAD__ADDRESS_CONNECTED ? at : KAD__ADDRESS_CONNECTED - 1;
}

/* Takes off a trailing /p2p, which must name `peer`. */
static int strip(kad_bytes *address, const kad_peer_id *peer) {
  int result = kad_multiaddr_check(*address);
  if (result < 0) {
    return result;
  }
  kad_multiaddr_part part;
  kad_bytes prefix;
  if (!kad_multiaddr_find(*address, KAD_MULTIADDR_P2P, &part, &prefix)) {
    return 0;
  }
  bool trailing =
      part.value.data + part.value.len == address->data + address->len;
  if (!trailing) {
    return 0; /* a relay's id, inside */
  }
  if (!kad__bytes_equal(part.value, kad__bytes(peer->bytes, peer->len))) {
    return KAD_E_PEER_MISMATCH;
  }
  *address = prefix;
  return prefix.len == 0 ? KAD_E_MULTIADDR : 0;
}

int kad__peerstore_add(kad__peerstore *p, const kad_peer_id *id,
                       kad_bytes address, kad_time ttl, kad_time now) {
  p->now = now > p->now ? now : p->now;
  int result = strip(&address, id);
  if (result < 0 || ttl == 0) {
    return result;
  }
  kad_time expires = expiry(now, ttl);
  kad__known_peer *peer = NULL;
  result = kad__known_get(&peer, p, id, expires);
  if (result < 0) {
    return result;
  }
  remove_expired(p, peer);
  kad__known_address *known = find_address(peer, address);
  if (known == NULL) {
    result = add_address(p, peer, address, expires);
  } else if (known->expires < expires) {
    known->expires = expires;
  }
  kad__known_settle(p, peer);
  return result;
}

void kad__peerstore_downgrade(kad__peerstore *p, const kad_peer_id *id,
                              kad_time ttl, kad_time now) {
  p->now = now > p->now ? now : p->now;
  kad__known_peer *peer = kad__known_find(p, id);
  if (peer == NULL) {
    return;
  }
  for (size_t i = 0; i < peer->address_count; i++) {
    if (peer->addresses[i].expires == KAD__ADDRESS_CONNECTED) {
      peer->addresses[i].expires = expiry(now, ttl);
    }
  }
  remove_expired(p, peer);
  kad__known_settle(p, peer);
}

void kad__peerstore_clear(kad__peerstore *p, const kad_peer_id *id) {
  kad__known_peer *peer = kad__known_find(p, id);
  if (peer == NULL) {
    return;
  }
  for (size_t i = peer->address_count; i-- > 0;) {
    if (peer->addresses[i].expires != KAD__ADDRESS_PERMANENT) {
      remove_address(p, peer, i);
    }
  }
  kad__known_settle(p, peer);
}
