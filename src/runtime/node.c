/* kad_node: a host that its owner drives. */
#include "base/alloc.h"
#include "runtime/kad_node.h"
#include "runtime/signals.h"
#include "runtime/system.h"

int kad_node_new(kad_node **out, const kad_node_options *options) {
  kad__host host;
  int error = kad__host_init(&host, options);
  if (error < 0) {
    return error;
  }
  kad_node *node = kad__alloc(&host.allocator, sizeof(*node));
  if (node == NULL) {
    kad__host_fini(&host);
    return KAD_E_NO_MEMORY;
  }
  node->host = host;
  *out = node;
  return 0;
}

void kad_node_free(kad_node *node) {
  if (node == NULL) {
    return;
  }
  kad_allocator allocator = node->host.allocator;
  kad__host_fini(&node->host);
  kad__release(&allocator, node);
}

void kad_node_close(kad_node *node) {
  kad__node_close(node->host.node, kad__system_now());
  kad__host_turn(&node->host);
}

bool kad_node_is_closed(const kad_node *node) {
  return kad__node_is_closed(node->host.node);
}

const kad_peer_id *kad_node_id(const kad_node *node) {
  return kad__node_id(node->host.node);
}

int kad_node_fd(const kad_node *node) {
  return uv_backend_fd(&node->host.world->loop);
}

int kad_node_timeout(const kad_node *node) {
  /* Events that wait for the owner do not wait for the network, nor does what
   * was written to streams. */
  if (kad__node_has_events(node->host.node) ||
      kad__node_is_busy(node->host.node) || node->host.world->due) {
    return 0;
  }
  /* libuv counts from its cached time, which may be old by now. */
  uv_update_time(&node->host.world->loop);
  return uv_backend_timeout(&node->host.world->loop);
}

void kad_node_drive(kad_node *node) {
  kad__signals signals;
  kad__signals_hold(&signals);
  uv_run(&node->host.world->loop, UV_RUN_NOWAIT);
  kad__signals_release(&signals);
}

bool kad_node_poll(kad_node *node, kad_event *out) {
  return kad__node_poll(node->host.node, out);
}

int kad_node_start(kad_node *node, kad_request_id *out,
                   const kad_request *request) {
  int error = kad__node_start(node->host.node, out, request, kad__system_now());
  kad__host_turn(&node->host);
  return error;
}

bool kad_node_cancel(kad_node *node, kad_request_id request) {
  bool found = kad__node_cancel(node->host.node, request, kad__system_now());
  kad__host_turn(&node->host);
  return found;
}

kad_bytes kad_node_addresses(kad_node *node) {
  return kad__node_addresses(node->host.node);
}

void kad_node_get_status(const kad_node *node, kad_node_status *out) {
  kad__node_status(node->host.node, out);
}

bool kad_node_next_peer(const kad_node *node, uint64_t *cursor,
                        kad_peer_id *out) {
  return kad__node_next_peer(node->host.node, cursor, out);
}
