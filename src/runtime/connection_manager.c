/* kadmium/connection_manager.h: the swarm's functions with the clock put in. */
#include "kadmium/connection_manager.h"

#include "runtime/kad_node.h"
#include "runtime/system.h"

static kad__swarm *swarm_of(const kad_node *node) {
  return kad__node_swarm(node->host.node);
}

static kad__values *values_of(const kad_node *node) {
  return kad__swarm_values(swarm_of(node));
}

int kad_node_tag_peer(kad_node *node, const kad_peer_id *peer, const char *tag,
                      int value) {
  return kad__values_tag(values_of(node), peer, tag, value);
}

int kad_node_adjust_tag(kad_node *node, const kad_peer_id *peer,
                        const char *tag, int by) {
  return kad__values_adjust(values_of(node), peer, tag, by);
}

bool kad_node_untag_peer(kad_node *node, const kad_peer_id *peer,
                         const char *tag) {
  return kad__values_untag(values_of(node), peer, tag);
}

int64_t kad_node_peer_value(const kad_node *node, const kad_peer_id *peer) {
  return kad__values_of(values_of(node), peer);
}

int kad_node_protect(kad_node *node, const kad_peer_id *peer, const char *tag) {
  int error = kad__values_protect(values_of(node), peer, tag);
  if (error == 0) {
    kad__swarm_protect(swarm_of(node), peer, true);
  }
  return error;
}

bool kad_node_unprotect(kad_node *node, const kad_peer_id *peer,
                        const char *tag) {
  bool left = kad__values_unprotect(values_of(node), peer, tag);
  kad__swarm_protect(swarm_of(node), peer, left);
  return left;
}

bool kad_node_is_protected(const kad_node *node, const kad_peer_id *peer,
                           const char *tag) {
  return kad__values_protected(values_of(node), peer, tag);
}

int kad_node_add_decaying_tag(kad_node *node, const kad_decaying_tag *tag) {
  return kad__values_add_kind(values_of(node), tag, kad__system_now());
}

int kad_node_bump_tag(kad_node *node, const kad_peer_id *peer, const char *tag,
                      int by) {
  return kad__values_bump(values_of(node), peer, tag, by);
}

size_t kad_node_trim_connections(kad_node *node) {
  size_t closed = kad__swarm_trim(swarm_of(node), true, kad__system_now());
  kad__host_turn(&node->host);
  return closed;
}
