/* kadmium/connections.h: the node's functions with the clock put in. */
#include "kadmium/connections.h"

#include "kadmium/multiaddr.h"
#include "node/connections.h"
#include "runtime/kad_node.h"
#include "runtime/system.h"

bool kad_node_next_connection(const kad_node *node, uint64_t *cursor,
                              const kad_peer_id *peer,
                              kad_connection_info *out) {
  return kad__node_next_connection(node->host.node, cursor, peer, out,
                                   kad__system_now());
}

bool kad_node_connection(const kad_node *node, uint64_t id,
                         kad_connection_info *out) {
  return kad__node_connection(node->host.node, id, out, kad__system_now());
}

bool kad_node_next_stream(const kad_node *node, uint64_t *cursor,
                          uint64_t connection, kad_stream_summary *out) {
  return kad__node_next_stream(node->host.node, cursor, connection, out,
                               kad__system_now());
}

kad_connectedness kad_node_connectedness(const kad_node *node,
                                         const kad_peer_id *peer) {
  return kad__node_connectedness(node->host.node, peer);
}

bool kad_node_close_connection(kad_node *node, uint64_t id, uint32_t code) {
  bool found =
      kad__node_close_connection(node->host.node, id, code, kad__system_now());
  kad__host_turn(&node->host);
  return found;
}

size_t kad_node_disconnect(kad_node *node, const kad_peer_id *peer,
                           uint32_t code) {
  size_t count =
      kad__node_disconnect(node->host.node, peer, code, kad__system_now());
  kad__host_turn(&node->host);
  return count;
}

/* The binary form of `text`, or an empty one. */
static kad_bytes parse(uint8_t binary[KAD_MULTIADDR_MAX], const char *text) {
  int len = kad_multiaddr_parse(binary, KAD_MULTIADDR_MAX, text);
  return kad__bytes(binary, len < 0 ? 0 : (size_t)len);
}

int kad_node_listen(kad_node *node, const char *address) {
  uint8_t binary[KAD_MULTIADDR_MAX];
  kad_bytes parsed = parse(binary, address);
  if (parsed.len == 0) {
    return KAD_E_MULTIADDR;
  }
  int error = kad__swarm_listen(kad__node_swarm(node->host.node), parsed);
  kad__host_turn(&node->host);
  return error;
}

bool kad_node_unlisten(kad_node *node, const char *address) {
  uint8_t binary[KAD_MULTIADDR_MAX];
  kad_bytes parsed = parse(binary, address);
  bool found = parsed.len != 0 &&
               kad__swarm_unlisten(kad__node_swarm(node->host.node), parsed);
  kad__host_turn(&node->host);
  return found;
}

kad_bytes kad_node_listen_addresses(kad_node *node) {
  return kad__node_listen_addresses(node->host.node);
}

bool kad_node_next_listener(const kad_node *node, size_t *at, kad_bytes *asked,
                            kad_bytes *bound) {
  return kad__swarm_next_listener(kad__node_swarm(node->host.node), at, asked,
                                  bound);
}

void kad_node_swarm_counters(const kad_node *node, kad_swarm_counters *out) {
  *out = *kad__swarm_counters_get(kad__node_swarm(node->host.node));
}

void kad_node_usage(const kad_node *node, kad_usage *out) {
  kad__node_usage(node->host.node, out);
}

bool kad_node_peer_usage(const kad_node *node, kad_usage *out,
                         const kad_peer_id *peer) {
  return kad__node_peer_usage(node->host.node, out, peer);
}
