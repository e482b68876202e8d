/* A hash map of peers, each with a short array of addresses, and a heap of the
 * times at which peers can be forgotten. The heap's first peer is also the one
 * that makes room at a cap, so a flood of short-lived addresses displaces
 * itself before it displaces what is trusted for longer. Expired addresses are
 * passed over when they are read; they leave when their peer changes, and with
 * a sweep once a minute. */
#include "swarm/peerstore_internal.h"

#define NO_SLOT UINT32_MAX

int kad__peerstore_new(kad__peerstore **out, const kad_allocator *allocator,
                       const uint64_t secret[2]) {
  kad__peerstore *p = kad__calloc(allocator, 1, sizeof(*p));
  if (p == NULL) {
    return KAD_E_NO_MEMORY;
  }
  p->allocator = *allocator;
  p->free_slot = NO_SLOT;
  kad__map_init(&p->peers, secret);
  *out = p;
  return 0;
}

/* ---- places in walks ----------------------------------------------------- */

static int take_slot(kad__peerstore *p, kad__known_peer *peer) {
  uint32_t slot = p->free_slot;
  if (slot != NO_SLOT) {
    p->free_slot = p->slots[slot].next_free;
  } else {
    if (p->slot_count == p->slot_cap) {
      uint32_t cap = p->slot_cap == 0 ? 8 : 2 * p->slot_cap;
      kad__known_slot *slots =
          kad__resize_array(&p->allocator, p->slots, cap, sizeof(*slots));
      if (slots == NULL) {
        return KAD_E_NO_MEMORY;
      }
      p->slots = slots;
      p->slot_cap = cap;
    }
    slot = p->slot_count++;
  }
  p->slots[slot].peer = peer;
  peer->slot = slot;
  return 0;
}

static void leave_slot(kad__peerstore *p, kad__known_peer *peer) {
  p->slots[peer->slot] = (kad__known_slot){.next_free = p->free_slot};
  p->free_slot = peer->slot;
}

bool kad__peerstore_next_peer(const kad__peerstore *p, uint64_t *cursor,
                              const kad_peer_id **peer) {
  while (*cursor < p->slot_count) {
    const kad__known_peer *known = p->slots[(*cursor)++].peer;
    if (known != NULL) {
      *peer = &known->id;
      return true;
    }
  }
  return false;
}

/* ---- entries ------------------------------------------------------------- */

void kad__known_free(kad__peerstore *p, kad__known_peer *peer) {
  while (peer->address_count > 0) {
    kad__known_address_remove(p, peer, peer->address_count - 1U);
  }
  for (int i = 0; i < KAD__KNOWN_FACTS; i++) {
    kad__known_drop_fact(p, peer, (kad__known_fact)i);
  }
  p->bytes -= sizeof(*peer) + peer->address_cap * sizeof(*peer->addresses);
  kad__release(&p->allocator, peer->addresses);
  kad__heap_remove(&p->timers, &peer->timer);
  kad__map_remove(&p->peers, &peer->node);
  leave_slot(p, peer);
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
    kad__known_free(p, peer);
  }
  kad__heap_fini(&p->timers, &p->allocator);
  kad__map_fini(&p->peers, &p->allocator);
  kad_allocator allocator = p->allocator;
  kad__release(&allocator, p->slots);
  kad__release(&allocator, p);
}

kad__known_peer *kad__known_find(const kad__peerstore *p,
                                 const kad_peer_id *id) {
  kad__map_node *node =
      kad__map_find(&p->peers, kad__bytes(id->bytes, id->len));
  return node == NULL ? NULL : KAD__CONTAINER(node, kad__known_peer, node);
}

bool kad__peerstore_knows(const kad__peerstore *p, const kad_peer_id *peer) {
  return kad__known_find(p, peer) != NULL;
}

static int make_way(kad__peerstore *p, const kad__known_peer *keep,
                    kad_time until) {
  kad__known_peer *peer = first_to_go(p);
  if (peer == NULL || peer == keep || peer->timer.at > until ||
      peer->timer.at == KAD_TIME_NEVER) {
    return KAD_E_LIMIT;
  }
  kad__known_free(p, peer);
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

/* Into the heap, the walk and the map. */
static int enter(kad__peerstore *p, kad__known_peer *peer, kad_time until) {
  if (kad__heap_set(&p->timers, &p->allocator, &peer->timer, until) < 0) {
    return KAD_E_NO_MEMORY;
  }
  if (take_slot(p, peer) < 0) {
    kad__heap_remove(&p->timers, &peer->timer);
    return KAD_E_NO_MEMORY;
  }
  if (kad__map_add(&p->peers, &p->allocator, &peer->node,
                   kad__bytes(peer->id.bytes, peer->id.len)) < 0) {
    leave_slot(p, peer);
    kad__heap_remove(&p->timers, &peer->timer);
    return KAD_E_NO_MEMORY;
  }
  return 0;
}

int kad__known_get(kad__known_peer **out, kad__peerstore *p,
                   const kad_peer_id *id, kad_time until) {
  *out = kad__known_find(p, id);
  if (*out != NULL) {
    return 0;
  }
  kad__known_peer *peer;
  if ((p->peers.len >= KAD__PEERSTORE_PEERS && make_way(p, NULL, until) < 0) ||
      kad__known_room(p, NULL, sizeof(*peer), until) < 0) {
    return KAD_E_LIMIT;
  }
  peer = kad__calloc(&p->allocator, 1, sizeof(*peer));
  if (peer == NULL) {
    return KAD_E_NO_MEMORY;
  }
  peer->id = *id;
  kad__heap_node_init(&peer->timer);
  if (enter(p, peer, until) < 0) {
    kad__release(&p->allocator, peer);
    return KAD_E_NO_MEMORY;
  }
  p->bytes += sizeof(*peer);
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
  if (peer->address_count == 0) {
    kad__known_drop_fact(p, peer, KAD__KNOWN_RECORD);
  }
  if (until >= KAD__ADDRESS_CONNECTED) {
    until = KAD_TIME_NEVER;
  }
  if (until <= p->now) {
    kad__known_free(p, peer);
  } else if (until != peer->timer.at) {
    (void)kad__heap_set(&p->timers, &p->allocator, &peer->timer, until);
  }
}

static bool has_facts(const kad__known_peer *peer) {
  size_t len = 0;
  for (int i = 0; i < KAD__KNOWN_FACTS; i++) {
    len += peer->fact_lens[i];
  }
  return len != 0;
}

int kad__peerstore_pin(kad__peerstore *p, const kad_peer_id *id, bool on,
                       kad_time now) {
  kad__known_set_now(p, now);
  kad__known_peer *peer = kad__known_find(p, id);
  if (peer == NULL && !on) {
    return 0;
  }
  if (peer == NULL) {
    int result = kad__known_get(&peer, p, id, KAD__ADDRESS_CONNECTED);
    if (result < 0) {
      return result;
    }
  }
  /* What was learnt while it was connected outlives the connection a while. */
  if (!on && peer->pinned && has_facts(peer)) {
    peer->facts_until = kad__time_add(now, KAD__ADDRESS_RECENT);
  }
  peer->pinned = on;
  kad__known_settle(p, peer);
  return 0;
}

static void remove_unconnected(kad__peerstore *p, kad__known_peer *peer) {
  for (size_t i = peer->address_count; i-- > 0;) {
    if (peer->addresses[i].ttl != KAD__ADDRESS_CONNECTED) {
      kad__known_address_remove(p, peer, i);
    }
  }
}

bool kad__peerstore_forget(kad__peerstore *p, const kad_peer_id *id) {
  kad__known_peer *peer = kad__known_find(p, id);
  if (peer == NULL) {
    return false;
  }
  if (!peer->pinned) {
    kad__known_free(p, peer);
    return true;
  }
  remove_unconnected(p, peer);
  kad__known_drop_fact(p, peer, KAD__KNOWN_RECORD);
  kad__known_settle(p, peer);
  return true;
}

/* ---- time and size ------------------------------------------------------- */

size_t kad__peerstore_count(const kad__peerstore *p) {
  return p->peers.len;
}

size_t kad__peerstore_bytes(const kad__peerstore *p) {
  return p->bytes;
}

kad_time kad__peerstore_deadline(const kad__peerstore *p) {
  return kad__heap_deadline(&p->timers);
}

/* Nobody is woken for it: whoever has time to tick pays. */
static void sweep(kad__peerstore *p) {
  if (p->now - p->swept < KAD__PEERSTORE_SWEEP) {
    return;
  }
  p->swept = p->now;
  for (uint32_t i = 0; i < p->slot_count; i++) {
    kad__known_peer *peer = p->slots[i].peer;
    if (peer != NULL) {
      kad__known_remove_expired(p, peer);
      kad__known_settle(p, peer);
    }
  }
}

void kad__peerstore_tick(kad__peerstore *p, kad_time now) {
  kad__known_set_now(p, now);
  for (;;) {
    kad__heap_node *node = kad__heap_first(&p->timers);
    if (node == NULL || node->at > now) {
      break;
    }
    kad__known_settle(p, KAD__CONTAINER(node, kad__known_peer, timer));
  }
  sweep(p);
}

/* ---- for tests ----------------------------------------------------------- */

static size_t bytes_of(const kad__known_peer *peer) {
  size_t bytes = sizeof(*peer) + peer->address_cap * sizeof(*peer->addresses);
  for (size_t i = 0; i < peer->address_count; i++) {
    bytes += peer->addresses[i].len;
  }
  for (int i = 0; i < KAD__KNOWN_FACTS; i++) {
    bytes += peer->fact_lens[i];
  }
  return bytes;
}

static const char *check_peer(const kad__peerstore *p,
                              const kad__known_peer *peer, uint32_t slot) {
  if (peer->slot != slot || kad__known_find(p, &peer->id) != peer) {
    return "a peer is not where it is looked for";
  }
  if (!kad__heap_has(&peer->timer)) {
    return "a peer is never forgotten";
  }
  kad_time last = peer->pinned ? KAD__ADDRESS_CONNECTED : 0;
  for (size_t i = 0; i < peer->address_count; i++) {
    kad_time expires = peer->addresses[i].expires;
    last = expires > last ? expires : last;
  }
  if (last < KAD__ADDRESS_CONNECTED && peer->timer.at == KAD_TIME_NEVER) {
    return "a peer stays though nothing of it lasts";
  }
  if (peer->address_count == 0 && peer->facts[KAD__KNOWN_RECORD] != NULL) {
    return "a record outlives its addresses";
  }
  return NULL;
}

const char *kad__peerstore_check(const kad__peerstore *p) {
  size_t bytes = 0;
  uint32_t count = 0;
  for (uint32_t i = 0; i < p->slot_count; i++) {
    const kad__known_peer *peer = p->slots[i].peer;
    if (peer == NULL) {
      continue;
    }
    const char *wrong = check_peer(p, peer, i);
    if (wrong != NULL) {
      return wrong;
    }
    bytes += bytes_of(peer);
    count++;
  }
  if (count != p->peers.len || count != p->timers.len) {
    return "map, heap and walk differ";
  }
  return bytes == p->bytes ? NULL : "the charge is not what is held";
}
