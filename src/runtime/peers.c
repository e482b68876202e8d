/* kadmium/peerstore.h and bandwidth.h: the node's functions with the clock put
 * in. Nothing here makes the node send, but a lifetime that ends earlier moves
 * its deadline. */
#include "node/peers.h"

#include "kadmium/peerstore.h"
#include "runtime/kad_node.h"
#include "runtime/system.h"

int kad_node_peer_info(kad_node *node, kad_peer_info *out,
                       const kad_peer_id *peer) {
  return kad__node_peer_info(node->host.node, out, peer, kad__system_now());
}

bool kad_node_next_known_peer(const kad_node *node, uint64_t *cursor,
                              kad_peer_id *out) {
  return kad__node_next_known_peer(node->host.node, cursor, out);
}

size_t kad_node_known_peers(const kad_node *node) {
  return kad__node_known_peers(node->host.node);
}

int kad_node_add_peer_addresses(kad_node *node, const kad_peer_id *peer,
                                kad_bytes addresses, kad_time ttl) {
  int held = kad__node_add_peer_addresses(node->host.node, peer, addresses, ttl,
                                          kad__system_now());
  kad__host_turn(&node->host);
  return held;
}

int kad_node_set_peer_address(kad_node *node, const kad_peer_id *peer,
                              kad_bytes address, kad_time ttl) {
  int error = kad__node_set_peer_address(node->host.node, peer, address, ttl,
                                         kad__system_now());
  kad__host_turn(&node->host);
  return error;
}

void kad_node_update_peer_addresses(kad_node *node, const kad_peer_id *peer,
                                    kad_time from, kad_time to) {
  kad__node_update_peer_addresses(node->host.node, peer, from, to,
                                  kad__system_now());
  kad__host_turn(&node->host);
}

int kad_node_add_peer_record(kad_node *node, kad_peer_id *peer,
                             kad_bytes sealed, kad_time ttl) {
  int result = kad__node_add_peer_record(node->host.node, peer, sealed, ttl,
                                         kad__system_now());
  kad__host_turn(&node->host);
  return result;
}

int kad_node_set_peer_key(kad_node *node, const kad_peer_id *peer,
                          kad_bytes key) {
  int error = kad__node_set_peer_key(node->host.node, peer, key);
  kad__host_turn(&node->host);
  return error;
}

bool kad_node_forget_peer(kad_node *node, const kad_peer_id *peer) {
  bool found = kad__node_forget_peer(node->host.node, peer);
  kad__host_turn(&node->host);
  return found;
}

void kad_node_bandwidth(const kad_node *node, kad_bandwidth *out) {
  kad__node_bandwidth(node->host.node, out, kad__system_now());
}

bool kad_node_bandwidth_peer(const kad_node *node, kad_bandwidth *out,
                             const kad_peer_id *peer) {
  return kad__node_bandwidth_peer(node->host.node, out, peer,
                                  kad__system_now());
}

bool kad_node_bandwidth_protocol(const kad_node *node, kad_bandwidth *out,
                                 kad_bytes protocol) {
  return kad__node_bandwidth_protocol(node->host.node, out, protocol,
                                      kad__system_now());
}
