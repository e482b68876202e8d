/* Reading the peerstore, and what it keeps of a peer besides addresses. The
 * names of protocols are one run of bytes, each name with its length in front:
 * a peer has a few dozen, they are replaced together, and a look-up is one
 * pass over a few cache lines. */
#include "swarm/peerstore_internal.h"
#include "wire/addresses.h"

bool kad__peerstore_next(const kad__peerstore *p, const kad_peer_id *id,
                         size_t *at, kad_bytes *address, kad_time now) {
  const kad__known_peer *peer = kad__known_find(p, id);
  while (peer != NULL && *at < peer->address_count) {
    const kad__known_address *a = &peer->addresses[(*at)++];
    if (a->expires > now) {
      *address = kad__bytes(a->bytes, a->len);
      return true;
    }
  }
  return false;
}

size_t kad__peerstore_addresses(const kad__peerstore *p, const kad_peer_id *id,
                                uint8_t *out, size_t cap, kad_time now) {
  const kad__known_peer *peer = kad__known_find(p, id);
  size_t len = 0;
  for (size_t i = 0; peer != NULL && i < peer->address_count; i++) {
    const kad__known_address *a = &peer->addresses[i];
    if (a->expires > now) {
      (void)kad__addresses_append(out, cap, &len, kad__bytes(a->bytes, a->len));
    }
  }
  return len;
}

/* Facts of a peer without addresses are still kept for a while. */
static int get_for_facts(kad__known_peer **out, kad__peerstore *p,
                         const kad_peer_id *id, size_t more) {
  kad_time until = kad__time_add(p->now, KAD__ADDRESS_RECENT);
  int result = kad__known_get(out, p, id, until);
  if (result < 0) {
    return result;
  }
  result = kad__known_room(p, *out, more, until);
  if (result == 0) {
    (*out)->facts_until = until;
  }
  kad__known_settle(p, *out);
  return result;
}

static size_t pack(uint8_t *out, const kad_bytes *names, size_t count) {
  size_t len = 0;
  for (size_t i = 0; i < count; i++) {
    if (names[i].len == 0 || names[i].len > KAD__PEERSTORE_PROTOCOL_LEN) {
      continue;
    }
    if (out != NULL) {
      out[len] = (uint8_t)names[i].len;
      memcpy(out + len + 1, names[i].data, names[i].len);
    }
    len += 1 + names[i].len;
  }
  return len;
}

int kad__peerstore_set_protocols(kad__peerstore *p, const kad_peer_id *id,
                                 const kad_bytes *names, size_t count) {
  if (count > KAD__PEERSTORE_PROTOCOLS_PER_PEER) {
    count = KAD__PEERSTORE_PROTOCOLS_PER_PEER;
  }
  size_t len = pack(NULL, names, count);
  uint8_t *bytes = NULL;
  if (len != 0 && (bytes = kad__alloc(&p->allocator, len)) == NULL) {
    return KAD_E_NO_MEMORY;
  }
  if (len != 0) {
    (void)pack(bytes, names, count);
  }
  kad__known_peer *peer = NULL;
  int result = get_for_facts(&peer, p, id, len);
  if (result < 0) {
    kad__release(&p->allocator, bytes);
    return result;
  }
  kad__release(&p->allocator, peer->protocols);
  p->bytes += len - peer->protocols_len;
  peer->protocols = bytes;
  peer->protocols_len = (uint16_t)len;
  return 0;
}

bool kad__peerstore_speaks(const kad__peerstore *p, const kad_peer_id *id,
                           kad_bytes protocol) {
  const kad__known_peer *peer = kad__known_find(p, id);
  for (size_t i = 0; peer != NULL && i < peer->protocols_len;) {
    size_t len = peer->protocols[i];
    if (kad__bytes_equal(kad__bytes(peer->protocols + i + 1, len), protocol)) {
      return true;
    }
    i += 1 + len;
  }
  return false;
}

size_t kad__peerstore_protocols(const kad__peerstore *p, const kad_peer_id *id,
                                uint8_t *out, size_t cap) {
  const kad__known_peer *peer = kad__known_find(p, id);
  size_t written = 0;
  for (size_t i = 0; peer != NULL && i < peer->protocols_len;) {
    size_t len = peer->protocols[i];
    (void)kad__addresses_append(out, cap, &written,
                                kad__bytes(peer->protocols + i + 1, len));
    i += 1 + len;
  }
  return written;
}

int kad__peerstore_set_agent(kad__peerstore *p, const kad_peer_id *id,
                             kad_bytes agent) {
  size_t len = agent.len < KAD__PEERSTORE_AGENT_LEN ? agent.len
                                                    : KAD__PEERSTORE_AGENT_LEN;
  uint8_t *bytes = NULL;
  if (len != 0 &&
      (bytes = kad__memdup(&p->allocator, agent.data, len)) == NULL) {
    return KAD_E_NO_MEMORY;
  }
  kad__known_peer *peer = NULL;
  int result = get_for_facts(&peer, p, id, len);
  if (result < 0) {
    kad__release(&p->allocator, bytes);
    return result;
  }
  kad__release(&p->allocator, peer->agent);
  p->bytes += len - peer->agent_len;
  peer->agent = bytes;
  peer->agent_len = (uint8_t)len;
  return 0;
}

kad_bytes kad__peerstore_agent(const kad__peerstore *p, const kad_peer_id *id) {
  const kad__known_peer *peer = kad__known_find(p, id);
  return peer == NULL ? (kad_bytes){0}
                      : kad__bytes(peer->agent, peer->agent_len);
}

int kad__peerstore_pin(kad__peerstore *p, const kad_peer_id *id, bool on,
                       kad_time now) {
  p->now = now > p->now ? now : p->now;
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
  if (!on && peer->pinned && peer->protocols_len + peer->agent_len != 0) {
    peer->facts_until = kad__time_add(now, KAD__ADDRESS_RECENT);
  }
  peer->pinned = on;
  kad__known_settle(p, peer);
  return 0;
}

size_t kad__peerstore_count(const kad__peerstore *p) {
  return p->peers.len;
}

size_t kad__peerstore_bytes(const kad__peerstore *p) {
  return p->bytes;
}

kad_time kad__peerstore_deadline(const kad__peerstore *p) {
  return kad__heap_deadline(&p->timers);
}

void kad__peerstore_tick(kad__peerstore *p, kad_time now) {
  p->now = now > p->now ? now : p->now;
  for (;;) {
    kad__heap_node *node = kad__heap_first(&p->timers);
    if (node == NULL || node->at > now) {
      return;
    }
    kad__known_settle(p, KAD__CONTAINER(node, kad__known_peer, timer));
  }
}
