/* The owner's view of the peerstore and of traffic. Lists are written into one
 * run of memory of the node, which is large enough for the largest peer so far.
 */
#include "node/peers.h"

#include "base/alloc.h"
#include "base/bytes.h"
#include "node/connections.h"
#include "node/node_internal.h"
#include "wire/addresses.h"

/* What a list needs at most around an item: a field number and a length. */
#define ITEM_HEAD 4

static kad__peerstore *store_of(const kad__node *node) {
  return kad__swarm_peerstore(node->swarm);
}

void kad__peers_fini(kad__node *node) {
  kad__release(&node->allocator, node->peers.space);
}

void kad__peers_pong(kad__node *node, const kad__ping_event *event) {
  if (event->type == KAD__PING_PONG) {
    kad__peerstore_note_latency(store_of(node), &event->peer, event->rtt);
  }
}

/* ---- reading ------------------------------------------------------------- */

static size_t addresses_len(const kad__peerstore *p, const kad_peer_id *peer,
                            kad_time now) {
  size_t at = 0;
  size_t len = 0;
  kad_bytes address;
  while (kad__peerstore_next(p, peer, &at, &address, now)) {
    len += ITEM_HEAD + address.len;
  }
  return len;
}

static int make_space(kad__node *node, size_t len) {
  if (len <= node->peers.cap) {
    return 0;
  }
  uint8_t *space = kad__resize(&node->allocator, node->peers.space, len);
  if (space == NULL) {
    return KAD_E_NO_MEMORY;
  }
  node->peers.space = space;
  node->peers.cap = len;
  return 0;
}

int kad__node_peer_info(kad__node *node, kad_peer_info *out,
                        const kad_peer_id *peer, kad_time now) {
  kad__peerstore *p = store_of(node);
  if (!kad__peerstore_knows(p, peer)) {
    return KAD_E_NOT_FOUND;
  }
  kad__peerstore_settle_heard(p, peer);
  size_t for_addresses = addresses_len(p, peer, now);
  size_t for_protocols = 2 * kad__peerstore_protocols(p, peer, NULL, 0);
  int error = make_space(node, for_addresses + for_protocols);
  if (error < 0) {
    return error;
  }
  uint8_t *at = node->peers.space;
  size_t len = kad__peerstore_addresses(p, peer, at, for_addresses, now);
  size_t names =
      kad__peerstore_protocols(p, peer, at + len, node->peers.cap - len);
  *out = (kad_peer_info){.peer = *peer,
                         .connectedness = kad__node_connectedness(node, peer),
                         .addresses = kad__bytes(at, len),
                         .protocols = kad__bytes(at + len, names),
                         .agent = kad__peerstore_agent(p, peer),
                         .protocol_version = kad__peerstore_version(p, peer),
                         .record = kad__peerstore_record(p, peer),
                         .latency = kad__peerstore_latency(p, peer)};
  out->public_key = kad__peerstore_key(p, &out->peer);
  return 0;
}

bool kad__node_next_known_peer(const kad__node *node, uint64_t *cursor,
                               kad_peer_id *out) {
  const kad_peer_id *peer = NULL;
  if (!kad__peerstore_next_peer(store_of(node), cursor, &peer)) {
    return false;
  }
  *out = *peer;
  return true;
}

size_t kad__node_known_peers(const kad__node *node) {
  return kad__peerstore_count(store_of(node));
}

/* ---- changing ------------------------------------------------------------ */

int kad__node_add_peer_addresses(kad__node *node, const kad_peer_id *peer,
                                 kad_bytes addresses, kad_time ttl,
                                 kad_time now) {
  kad_bytes address;
  int held = 0;
  while (kad__addresses_next(&addresses, &address)) {
    int result = kad__peerstore_add(store_of(node), peer, address, ttl, now);
    if (result == KAD_E_NO_MEMORY) {
      return result;
    }
    held += result == 0 && ttl != 0;
  }
  return held;
}

int kad__node_set_peer_address(kad__node *node, const kad_peer_id *peer,
                               kad_bytes address, kad_time ttl, kad_time now) {
  return kad__peerstore_set(store_of(node), peer, address, ttl, now);
}

void kad__node_update_peer_addresses(kad__node *node, const kad_peer_id *peer,
                                     kad_time from, kad_time to, kad_time now) {
  kad__peerstore_update(store_of(node), peer, from, to, now);
}

int kad__node_add_peer_record(kad__node *node, kad_peer_id *peer,
                              kad_bytes sealed, kad_time ttl, kad_time now) {
  return kad__peerstore_consume(store_of(node), peer, sealed, ttl, now);
}

int kad__node_set_peer_key(kad__node *node, const kad_peer_id *peer,
                           kad_bytes key) {
  return kad__peerstore_set_key(store_of(node), peer, key);
}

bool kad__node_forget_peer(kad__node *node, const kad_peer_id *peer) {
  return kad__peerstore_forget(store_of(node), peer);
}

/* ---- traffic ------------------------------------------------------------- */

static kad_bandwidth bandwidth_of(const kad__bandwidth_rates *streams,
                                  const kad__bandwidth_rates *raw) {
  return (kad_bandwidth){.in = streams->in,
                         .out = streams->out,
                         .rate_in = streams->rate_in,
                         .rate_out = streams->rate_out,
                         .raw_in = raw->in,
                         .raw_out = raw->out,
                         .raw_rate_in = raw->rate_in,
                         .raw_rate_out = raw->rate_out};
}

void kad__node_bandwidth(const kad__node *node, kad_bandwidth *out,
                         kad_time now) {
  kad__bandwidth_rates streams;
  kad__bandwidth_rates raw;
  kad__swarm_bandwidth(node->swarm, &streams, &raw, now);
  *out = bandwidth_of(&streams, &raw);
}

bool kad__node_bandwidth_peer(const kad__node *node, kad_bandwidth *out,
                              const kad_peer_id *peer, kad_time now) {
  kad__bandwidth_rates streams = {0};
  kad__bandwidth_rates raw = {0};
  bool known =
      kad__swarm_bandwidth_peer(node->swarm, &streams, &raw, peer, now);
  *out = bandwidth_of(&streams, &raw);
  return known;
}

bool kad__node_bandwidth_protocol(const kad__node *node, kad_bandwidth *out,
                                  kad_bytes protocol, kad_time now) {
  kad__bandwidth_rates streams = {0};
  const kad__bandwidth_rates none = {0};
  bool known =
      kad__swarm_bandwidth_protocol(node->swarm, &streams, protocol, now);
  *out = bandwidth_of(&streams, &none);
  return known;
}
