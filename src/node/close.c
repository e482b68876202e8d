/* The orderly end of a node: everything that somebody waits for ends first,
 * then the swarm, whose news are told as ever. */
#include "node/requests_internal.h"

/* A request that only asks the DHT ends with its query's last event, the others
 * at once. */
static void cancel_requests(kad__node *node, kad_time now) {
  uint32_t slot = 0;
  kad__map_node *found = kad__map_next(&node->requests.all, &slot, NULL);
  while (found != NULL) {
    kad_request_id id = KAD__CONTAINER(found, kad__request, by_id)->id;
    found = kad__map_next(&node->requests.all, &slot, found);
    (void)kad__node_cancel(node, id, now);
  }
}

void kad__node_close(kad__node *node, kad_time now) {
  if (node->closing) {
    return;
  }
  node->closing = true;
  cancel_requests(node, now);
  kad__swarm_shut(node->swarm, now);
}

void kad__node_report_closed(kad__node *node) {
  if (!node->closing || node->closed || node->requests.all.len != 0 ||
      !kad__swarm_is_shut(node->swarm)) {
    return;
  }
  node->closed = true;
  kad_event event = {.type = KAD_EVENT_CLOSED};
  kad__node_emit(node, &event);
}

bool kad__node_is_closed(const kad__node *node) {
  return node->closed;
}
