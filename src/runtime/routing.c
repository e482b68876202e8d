/* kadmium/routing.h: the node's functions with the clock put in. What can make
 * the node act lets its world take a turn. */
#include "kadmium/routing.h"

#include "node/routing.h"
#include "node/snapshot.h"
#include "runtime/kad_node.h"
#include "runtime/system.h"

bool kad_node_next_bucket(const kad_node *node, uint32_t *cursor,
                          kad_bucket *out) {
  return kad__node_next_bucket(node->host.node, cursor, out);
}

bool kad_node_bucket_of(const kad_node *node, kad_bytes key, kad_bucket *out) {
  return kad__node_bucket_of(node->host.node, key, out);
}

bool kad_node_next_entry(const kad_node *node, uint32_t bucket,
                         uint32_t *cursor, kad_table_entry *out) {
  return kad__node_next_entry(node->host.node, bucket, cursor, out);
}

size_t kad_node_closest_local(kad_node *node, kad_table_entry *out, size_t cap,
                              kad_bytes key, const kad_peer_id *source) {
  return kad__node_closest_local(node->host.node, out, cap, key, source,
                                 kad__system_now());
}

kad_routing_update kad_node_add_address(kad_node *node, const kad_peer_id *peer,
                                        kad_bytes address) {
  kad_routing_update update =
      kad__node_add_address(node->host.node, peer, address, kad__system_now());
  kad__host_turn(&node->host);
  return update;
}

bool kad_node_remove_address(kad_node *node, const kad_peer_id *peer,
                             kad_bytes address) {
  return kad__node_remove_address(node->host.node, peer, address);
}

bool kad_node_remove_peer(kad_node *node, const kad_peer_id *peer) {
  return kad__node_remove_peer(node->host.node, peer);
}

void kad_node_set_mode(kad_node *node, kad_mode mode) {
  kad__node_set_mode(node->host.node, mode, kad__system_now());
  kad__host_turn(&node->host);
}

int kad_node_confirm_address(kad_node *node, kad_bytes address) {
  int error =
      kad__node_confirm_address(node->host.node, address, kad__system_now());
  kad__host_turn(&node->host);
  return error;
}

bool kad_node_expire_address(kad_node *node, kad_bytes address) {
  bool found =
      kad__node_expire_address(node->host.node, address, kad__system_now());
  kad__host_turn(&node->host);
  return found;
}

kad_bytes kad_node_protocol(const kad_node *node) {
  return kad__node_protocol(node->host.node);
}

bool kad_node_request(const kad_node *node, kad_request_id request,
                      kad_request_info *out) {
  return kad__node_request(node->host.node, request, out, kad__system_now());
}

bool kad_node_next_request(const kad_node *node, uint64_t *cursor,
                           kad_request_info *out) {
  return kad__node_next_request(node->host.node, cursor, out,
                                kad__system_now());
}

bool kad_node_finish(kad_node *node, kad_request_id request) {
  bool found = kad__node_finish(node->host.node, request, kad__system_now());
  kad__host_turn(&node->host);
  return found;
}

bool kad_node_next_upkeep(const kad_node *node, uint64_t *cursor,
                          kad_request_info *out) {
  return kad__node_next_upkeep(node->host.node, cursor, out, kad__system_now());
}

bool kad_node_finish_upkeep(kad_node *node, uint64_t cursor) {
  bool found =
      kad__node_finish_upkeep(node->host.node, cursor, kad__system_now());
  kad__host_turn(&node->host);
  return found;
}

void kad_node_remove_record(kad_node *node, kad_bytes key) {
  kad__node_remove_record(node->host.node, key);
}

int kad_node_store_record(kad_node *node, const kad_stored_record *record,
                          const kad_peer_id *source) {
  return kad__node_store_record(node->host.node, record, source,
                                kad__system_now());
}

int kad_node_store_provider(kad_node *node, kad_bytes key,
                            const kad_peer_id *provider, kad_bytes addresses) {
  return kad__node_store_provider(node->host.node, key, provider, addresses,
                                  kad__system_now());
}

bool kad_node_review(kad_node *node, uint64_t token, int verdict) {
  bool found =
      kad__node_review(node->host.node, token, verdict, kad__system_now());
  kad__host_turn(&node->host);
  return found;
}

bool kad_node_next_record(kad_node *node, kad_bytes after,
                          kad_stored_record *out) {
  return kad__node_next_record(node->host.node, after, out, kad__system_now());
}

bool kad_node_next_provided(kad_node *node, kad_bytes after, kad_bytes *key) {
  return kad__node_next_provided(node->host.node, after, key);
}

int kad_node_snapshot(kad_node *node, uint8_t *out, size_t cap,
                      size_t *needed) {
  return kad__node_snapshot(node->host.node, out, cap, needed,
                            kad__system_now());
}

int kad_node_restore(kad_node *node, kad_bytes snapshot) {
  int error = kad__node_restore(node->host.node, snapshot, kad__system_now());
  kad__host_turn(&node->host);
  return error;
}
