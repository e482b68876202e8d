/* What the peerstore keeps of a peer besides addresses. The names of protocols
 * are one run of bytes, each name with its length in front: a peer has a few
 * dozen, they are replaced together, and a look-up is one pass over a few cache
 * lines. */
#include "identity/digest.h"
#include "swarm/peerstore_internal.h"
#include "wire/addresses.h"

/* A multihash begins with its function and its length. */
#define MULTIHASH_IDENTITY 0x00
#define MULTIHASH_SHA256 0x12
#define MULTIHASH_HEAD 2

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

void kad__known_drop_fact(kad__peerstore *p, kad__known_peer *peer,
                          kad__known_fact fact) {
  kad__release(&p->allocator, peer->facts[fact]);
  p->bytes -= peer->fact_lens[fact];
  peer->facts[fact] = NULL;
  peer->fact_lens[fact] = 0;
}

int kad__known_set_fact(kad__peerstore *p, const kad_peer_id *id,
                        kad__known_fact fact, uint8_t *bytes, size_t len) {
  kad__known_peer *peer = NULL;
  int result = get_for_facts(&peer, p, id, len);
  if (result < 0) {
    kad__release(&p->allocator, bytes);
    return result;
  }
  kad__known_drop_fact(p, peer, fact);
  peer->facts[fact] = bytes;
  peer->fact_lens[fact] = (uint16_t)len;
  p->bytes += len;
  return 0;
}

/* Keeps a copy of the first `max` bytes. */
static int set_copy(kad__peerstore *p, const kad_peer_id *id,
                    kad__known_fact fact, kad_bytes from, size_t max) {
  size_t len = from.len < max ? from.len : max;
  uint8_t *bytes = NULL;
  if (len != 0 &&
      (bytes = kad__memdup(&p->allocator, from.data, len)) == NULL) {
    return KAD_E_NO_MEMORY;
  }
  return kad__known_set_fact(p, id, fact, bytes, len);
}

kad_bytes kad__known_get_fact(const kad__peerstore *p, const kad_peer_id *id,
                              kad__known_fact fact) {
  const kad__known_peer *peer = kad__known_find(p, id);
  return peer == NULL ? (kad_bytes){0}
                      : kad__bytes(peer->facts[fact], peer->fact_lens[fact]);
}

/* ---- protocols ----------------------------------------------------------- */

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
  return kad__known_set_fact(p, id, KAD__KNOWN_PROTOCOLS, bytes, len);
}

/* Takes the next name off `*rest`; false at the end. */
static bool next_name(kad_bytes *rest, kad_bytes *name) {
  if (rest->len == 0) {
    return false;
  }
  *name = kad__bytes(rest->data + 1, rest->data[0]);
  *rest = kad__bytes_skip(*rest, 1 + name->len);
  return true;
}

bool kad__peerstore_speaks(const kad__peerstore *p, const kad_peer_id *id,
                           kad_bytes protocol) {
  kad_bytes rest = kad__known_get_fact(p, id, KAD__KNOWN_PROTOCOLS);
  kad_bytes name;
  while (next_name(&rest, &name)) {
    if (kad__bytes_equal(name, protocol)) {
      return true;
    }
  }
  return false;
}

size_t kad__peerstore_protocols(const kad__peerstore *p, const kad_peer_id *id,
                                uint8_t *out, size_t cap) {
  kad_bytes rest = kad__known_get_fact(p, id, KAD__KNOWN_PROTOCOLS);
  kad_bytes name;
  size_t written = 0;
  if (out == NULL) {
    return rest.len;
  }
  while (next_name(&rest, &name)) {
    (void)kad__addresses_append(out, cap, &written, name);
  }
  return written;
}

bool kad__peerstore_next_protocol(const kad__peerstore *p,
                                  const kad_peer_id *id, size_t *at,
                                  kad_bytes *name) {
  kad_bytes all = kad__known_get_fact(p, id, KAD__KNOWN_PROTOCOLS);
  if (*at >= all.len) {
    return false;
  }
  kad_bytes rest = kad__bytes_skip(all, *at);
  (void)next_name(&rest, name);
  *at = all.len - rest.len;
  return true;
}

/* ---- the rest ------------------------------------------------------------ */

int kad__peerstore_set_agent(kad__peerstore *p, const kad_peer_id *id,
                             kad_bytes agent) {
  return set_copy(p, id, KAD__KNOWN_AGENT, agent, KAD__PEERSTORE_AGENT_LEN);
}

kad_bytes kad__peerstore_agent(const kad__peerstore *p, const kad_peer_id *id) {
  return kad__known_get_fact(p, id, KAD__KNOWN_AGENT);
}

int kad__peerstore_set_version(kad__peerstore *p, const kad_peer_id *id,
                               kad_bytes version) {
  return set_copy(p, id, KAD__KNOWN_VERSION, version, KAD__PEERSTORE_AGENT_LEN);
}

kad_bytes kad__peerstore_version(const kad__peerstore *p,
                                 const kad_peer_id *id) {
  return kad__known_get_fact(p, id, KAD__KNOWN_VERSION);
}

/* The key inside an id of the identity multihash; empty: it is hashed. */
static kad_bytes inline_key(const kad_peer_id *id) {
  bool holds = id->len > MULTIHASH_HEAD && id->bytes[0] == MULTIHASH_IDENTITY;
  return holds ? kad__bytes(id->bytes + MULTIHASH_HEAD,
                            (size_t)id->len - MULTIHASH_HEAD)
               : (kad_bytes){0};
}

bool kad__peerstore_id_holds_key(const kad_peer_id *peer) {
  return inline_key(peer).len != 0;
}

static bool is_made_of(const kad_peer_id *id, kad_bytes key) {
  uint8_t digest[32];
  if (id->len != MULTIHASH_HEAD + sizeof(digest) ||
      id->bytes[0] != MULTIHASH_SHA256 || key.len == 0) {
    return false;
  }
  kad__sha256(digest, key);
  return memcmp(id->bytes + MULTIHASH_HEAD, digest, sizeof(digest)) == 0;
}

int kad__peerstore_set_key(kad__peerstore *p, const kad_peer_id *id,
                           kad_bytes key) {
  kad_bytes held = inline_key(id);
  if (held.len != 0) {
    return kad__bytes_equal(held, key) ? 0 : KAD_E_PEER_MISMATCH;
  }
  if (!is_made_of(id, key)) {
    return KAD_E_PEER_MISMATCH;
  }
  return key.len > KAD__PEERSTORE_KEY_LEN
             ? KAD_E_LIMIT
             : set_copy(p, id, KAD__KNOWN_KEY, key, KAD__PEERSTORE_KEY_LEN);
}

kad_bytes kad__peerstore_key(const kad__peerstore *p, const kad_peer_id *id) {
  kad_bytes held = inline_key(id);
  return held.len != 0 ? held : kad__known_get_fact(p, id, KAD__KNOWN_KEY);
}

void kad__peerstore_note_latency(kad__peerstore *p, const kad_peer_id *id,
                                 kad_time rtt) {
  kad__known_peer *peer = kad__known_find(p, id);
  if (peer == NULL) {
    return;
  }
  kad_time before = peer->latency;
  kad_time after = before == 0 ? rtt : before - before / 10 + rtt / 10;
  peer->latency = after == 0 ? 1 : after;
}

kad_time kad__peerstore_latency(const kad__peerstore *p,
                                const kad_peer_id *id) {
  const kad__known_peer *peer = kad__known_find(p, id);
  return peer == NULL ? 0 : peer->latency;
}
