/* The addresses of a peer: an array in the order in which they came, for there
 * are few of them, and dialling ranks them anyway. */
#include "kadmium/multiaddr.h"
#include "swarm/peerstore_internal.h"
#include "wire/addresses.h"

void kad__known_address_remove(kad__peerstore *p, kad__known_peer *peer,
                               size_t i) {
  p->bytes -= peer->addresses[i].len;
  kad__release(&p->allocator, peer->addresses[i].bytes);
  peer->address_count--;
  memmove(&peer->addresses[i], &peer->addresses[i + 1],
          (peer->address_count - i) * sizeof(*peer->addresses));
}

void kad__known_remove_expired(kad__peerstore *p, kad__known_peer *peer) {
  for (size_t i = peer->address_count; i-- > 0;) {
    if (peer->addresses[i].expires <= p->now) {
      kad__known_address_remove(p, peer, i);
    }
  }
}

static kad_bytes bytes_of(const kad__known_address *a) {
  return kad__bytes(a->bytes, a->len);
}

kad__known_address *kad__known_address_find(const kad__known_peer *peer,
                                            kad_bytes address) {
  for (size_t i = 0; i < peer->address_count; i++) {
    if (kad__bytes_equal(bytes_of(&peer->addresses[i]), address)) {
      return &peer->addresses[i];
    }
  }
  return NULL;
}

/* ---- adding -------------------------------------------------------------- */

/* The address that expires first makes room, unless that is the new one. */
static int evict(kad__peerstore *p, kad__known_peer *peer, kad_time expires) {
  size_t first = 0;
  for (size_t i = 1; i < peer->address_count; i++) {
    if (peer->addresses[i].expires < peer->addresses[first].expires) {
      first = i;
    }
  }
  kad_time goes = peer->addresses[first].expires;
  if (goes > expires || goes >= KAD__ADDRESS_CONNECTED) {
    return KAD_E_LIMIT;
  }
  kad__known_address_remove(p, peer, first);
  return 0;
}

/* Most peers have one to four addresses; each step doubles. */
static uint8_t next_cap(const kad__known_peer *peer) {
  return peer->address_cap == 0 ? 1 : (uint8_t)(2 * peer->address_cap);
}

static int make_slot(kad__peerstore *p, kad__known_peer *peer,
                     kad_time expires) {
  if (peer->address_count == KAD__PEERSTORE_ADDRESSES_PER_PEER) {
    return evict(p, peer, expires);
  }
  if (peer->address_count < peer->address_cap) {
    return 0;
  }
  uint8_t cap = next_cap(peer);
  kad__known_address *addresses = kad__resize_array(
      &p->allocator, peer->addresses, cap, sizeof(*addresses));
  if (addresses == NULL) {
    return KAD_E_NO_MEMORY;
  }
  p->bytes += (size_t)(cap - peer->address_cap) * sizeof(*addresses);
  peer->addresses = addresses;
  peer->address_cap = cap;
  return 0;
}

static int add_address(kad__peerstore *p, kad__known_peer *peer,
                       kad_bytes address, kad_time ttl, kad_time expires) {
  size_t grows = peer->address_count < peer->address_cap
                     ? 0
                     : (size_t)(next_cap(peer) - peer->address_cap) *
                           sizeof(*peer->addresses);
  int result = kad__known_room(p, peer, address.len + grows, expires);
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
  peer->addresses[peer->address_count++] =
      (kad__known_address){.expires = expires,
                           .ttl = ttl,
                           .bytes = bytes,
                           .len = (uint16_t)address.len};
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

int kad__known_strip(kad_bytes *address, const kad_peer_id *peer) {
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

static void prolong(kad__known_address *known, kad_time ttl, kad_time expires) {
  known->ttl = known->ttl < ttl ? ttl : known->ttl;
  known->expires = known->expires < expires ? expires : known->expires;
}

int kad__peerstore_add(kad__peerstore *p, const kad_peer_id *id,
                       kad_bytes address, kad_time ttl, kad_time now) {
  kad__known_set_now(p, now);
  int result = kad__known_strip(&address, id);
  if (result < 0 || ttl == 0) {
    return result;
  }
  kad_time expires = expiry(now, ttl);
  kad__known_peer *peer = NULL;
  result = kad__known_get(&peer, p, id, expires);
  if (result < 0) {
    return result;
  }
  kad__known_remove_expired(p, peer);
  kad__known_address *known = kad__known_address_find(peer, address);
  if (known == NULL) {
    result = add_address(p, peer, address, ttl, expires);
  } else {
    prolong(known, ttl, expires);
  }
  kad__known_settle(p, peer);
  return result;
}

/* ---- changing ------------------------------------------------------------ */

int kad__peerstore_set(kad__peerstore *p, const kad_peer_id *id,
                       kad_bytes address, kad_time ttl, kad_time now) {
  kad__known_set_now(p, now);
  kad_bytes plain = address;
  int result = kad__known_strip(&plain, id);
  kad__known_peer *peer = kad__known_find(p, id);
  kad__known_address *known =
      result < 0 || peer == NULL ? NULL : kad__known_address_find(peer, plain);
  if (known == NULL) {
    return result < 0 ? result : kad__peerstore_add(p, id, address, ttl, now);
  }
  known->ttl = ttl;
  known->expires = ttl == 0 ? 0 : expiry(now, ttl);
  kad__known_remove_expired(p, peer);
  kad__known_settle(p, peer);
  return 0;
}

void kad__peerstore_update(kad__peerstore *p, const kad_peer_id *id,
                           kad_time from, kad_time to, kad_time now) {
  kad__known_set_now(p, now);
  kad__known_peer *peer = kad__known_find(p, id);
  if (peer == NULL) {
    return;
  }
  kad__known_remove_expired(p, peer);
  for (size_t i = 0; i < peer->address_count; i++) {
    if (peer->addresses[i].ttl == from) {
      peer->addresses[i].ttl = to;
      peer->addresses[i].expires = to == 0 ? 0 : expiry(now, to);
    }
  }
  kad__known_remove_expired(p, peer);
  kad__known_settle(p, peer);
}

void kad__peerstore_downgrade(kad__peerstore *p, const kad_peer_id *id,
                              kad_time ttl, kad_time now) {
  kad__peerstore_update(p, id, KAD__ADDRESS_CONNECTED, ttl, now);
}

void kad__peerstore_part(kad__peerstore *p, const kad_peer_id *id,
                         kad_bytes in_use, kad_time now) {
  kad__known_set_now(p, now);
  kad__known_peer *peer = kad__known_find(p, id);
  if (peer == NULL) {
    return;
  }
  kad__known_remove_expired(p, peer);
  const kad__known_address *first =
      in_use.len == 0 ? NULL : kad__known_address_find(peer, in_use);
  size_t left = KAD__PEERSTORE_ADDRESSES_RECENT;
  left -= first != NULL && first->ttl == KAD__ADDRESS_CONNECTED;
  for (size_t i = 0; i < peer->address_count; i++) {
    kad__known_address *a = &peer->addresses[i];
    if (a->ttl != KAD__ADDRESS_CONNECTED) {
      continue;
    }
    bool kept = a == first || left > 0;
    left -= kept && a != first;
    a->ttl = KAD__ADDRESS_RECENT;
    a->expires = kept ? expiry(now, KAD__ADDRESS_RECENT) : 0;
  }
  kad__known_remove_expired(p, peer);
  kad__known_settle(p, peer);
}

void kad__peerstore_clear(kad__peerstore *p, const kad_peer_id *id) {
  kad__known_peer *peer = kad__known_find(p, id);
  if (peer == NULL) {
    return;
  }
  for (size_t i = peer->address_count; i-- > 0;) {
    if (peer->addresses[i].ttl != KAD__ADDRESS_PERMANENT) {
      kad__known_address_remove(p, peer, i);
    }
  }
  kad__known_settle(p, peer);
}

/* ---- reading ------------------------------------------------------------- */

bool kad__peerstore_next_entry(const kad__peerstore *p, const kad_peer_id *id,
                               size_t *at, kad__peerstore_address *out,
                               kad_time now) {
  const kad__known_peer *peer = kad__known_find(p, id);
  while (peer != NULL && *at < peer->address_count) {
    const kad__known_address *a = &peer->addresses[(*at)++];
    if (a->expires > now) {
      bool counted = a->expires < KAD__ADDRESS_CONNECTED;
      *out = (kad__peerstore_address){
          .address = bytes_of(a),
          .left = counted ? a->expires - now : a->expires,
          .certified = a->certified};
      return true;
    }
  }
  return false;
}

bool kad__peerstore_next(const kad__peerstore *p, const kad_peer_id *id,
                         size_t *at, kad_bytes *address, kad_time now) {
  kad__peerstore_address entry;
  if (!kad__peerstore_next_entry(p, id, at, &entry, now)) {
    return false;
  }
  *address = entry.address;
  return true;
}

size_t kad__peerstore_addresses(const kad__peerstore *p, const kad_peer_id *id,
                                uint8_t *out, size_t cap, kad_time now) {
  const kad__known_peer *peer = kad__known_find(p, id);
  size_t len = 0;
  for (size_t i = 0; peer != NULL && i < peer->address_count; i++) {
    const kad__known_address *a = &peer->addresses[i];
    if (a->expires > now) {
      (void)kad__addresses_append(out, cap, &len, bytes_of(a));
    }
  }
  return len;
}
