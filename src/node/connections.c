/* Connections and listeners as the owner sees them. */
#include "node/connections.h"

#include "node/node_internal.h"
#include "wire/addresses.h"

static const char *security_name(kad__security_protocol security) {
  return security == KAD__SECURITY_TLS ? "/tls/1.0.0" : "/noise";
}

bool kad__node_connection(const kad__node *node, uint64_t id,
                          kad_connection_info *out, kad_time now) {
  kad__connection_info in;
  if (!kad__swarm_connection(node->swarm, id, &in)) {
    return false;
  }
  *out = (kad_connection_info){.id = id,
                               .peer = in.peer,
                               .inbound = in.inbound,
                               .remote_address = in.remote_address,
                               .local_address = in.local_address,
                               .public_key = in.public_key,
                               .age = now - in.opened,
                               .streams = (uint32_t)in.streams,
                               .unacknowledged = (uint32_t)in.unacknowledged,
                               .transport = in.transport,
                               .security = security_name(in.security),
                               .multiplexer = "/yamux/1.0.0",
                               .early_multiplexer = in.early_muxer,
                               .round_trip = in.round_trip,
                               .bytes_in = in.bytes_in,
                               .bytes_out = in.bytes_out};
  return true;
}

bool kad__node_next_connection(const kad__node *node, uint64_t *cursor,
                               const kad_peer_id *peer,
                               kad_connection_info *out, kad_time now) {
  while ((*cursor = kad__swarm_connection_next(node->swarm, *cursor)) != 0) {
    if (kad__node_connection(node, *cursor, out, now) &&
        (peer == NULL || kad_peer_id_equal(&out->peer, peer))) {
      return true;
    }
  }
  return false;
}

bool kad__node_next_stream(const kad__node *node, uint64_t *cursor,
                           uint64_t connection, kad_stream_summary *out,
                           kad_time now) {
  kad__stream_info in;
  if (!kad__stream_next(node->swarm, connection, *cursor, &in)) {
    return false;
  }
  *cursor = in.id;
  *out = (kad_stream_summary){.id = in.id,
                              .connection = in.connection,
                              .peer = in.peer,
                              .protocol = in.protocol,
                              .inbound = in.inbound,
                              .agreed = in.agreed,
                              .age = now - in.opened,
                              .bytes_in = in.bytes_in,
                              .bytes_out = in.bytes_out};
  return true;
}

bool kad__node_close_connection(kad__node *node, uint64_t id, uint32_t code,
                                kad_time now) {
  kad__connection_info info;
  if (!kad__swarm_connection(node->swarm, id, &info)) {
    return false;
  }
  kad__swarm_close(node->swarm, id, code, now);
  return true;
}

size_t kad__node_disconnect(kad__node *node, const kad_peer_id *peer,
                            uint32_t code, kad_time now) {
  kad_connection_info info;
  size_t count = 0;
  uint64_t cursor = 0;
  while (kad__node_next_connection(node, &cursor, peer, &info, now)) {
    kad__swarm_close(node->swarm, info.id, code, now);
    count++;
  }
  return count;
}

/* ---- notifications ------------------------------------------------------- */

static void report_stream(kad__node *node, const kad__stream *stream,
                          kad_event_type type) {
  kad__stream_info info;
  kad__stream_get_info(stream, &info);
  kad_event event = {.type = type,
                     .peer = info.peer,
                     .inbound = info.inbound,
                     .connection = info.connection,
                     .stream_id = info.id,
                     .protocol = info.protocol};
  kad__node_emit(node, &event);
}

static void report_over(void *user, const kad__stream *stream) {
  report_stream(user, stream, KAD_EVENT_STREAM_OVER);
}

void kad__node_watch(kad__node *node, kad__swarm_config *swarm) {
  node->report_swarm = true;
  swarm->watch = (kad__stream_watch){.over = report_over, .user = node};
}

void kad__node_report_stream(kad__node *node, const kad__swarm_event *event) {
  if (node->report_swarm && (event->type == KAD__SWARM_STREAM_INBOUND ||
                             event->type == KAD__SWARM_STREAM_OPENED)) {
    report_stream(node, event->stream, KAD_EVENT_STREAM_BEGUN);
  }
}

void kad__node_report_connection(kad__node *node, const kad_event *event,
                                 kad__swarm_event_type type) {
  bool opened = type == KAD__SWARM_CONNECTED;
  if (!node->report_swarm || (!opened && type != KAD__SWARM_DISCONNECTED)) {
    return;
  }
  kad_event out = *event;
  out.type = opened ? KAD_EVENT_CONNECTION_OPENED : KAD_EVENT_CONNECTION_CLOSED;
  kad__node_emit(node, &out);
}

/* ---- the routing table --------------------------------------------------- */

#define TABLE_TAG "dht"
#define TABLE_VALUE 5

static void value_gone(kad__node *node, kad_bytes id) {
  kad_peer_id peer;
  if (id.len != 0 && kad__node_peer_id(&peer, id)) {
    (void)kad__values_untag(kad__swarm_values(node->swarm), &peer, TABLE_TAG);
  }
}

/* Without memory a peer is worth nothing. */
void kad__node_value_table(kad__node *node, const kad__dht_event *event) {
  kad_peer_id peer;
  if (event->type == KAD__DHT_ROUTING_REMOVED) {
    value_gone(node, event->peer.id);
  }
  if (event->type == KAD__DHT_ROUTING_ADDED &&
      kad__node_peer_id(&peer, event->peer.id)) {
    value_gone(node, event->old_peer);
    (void)kad__values_tag(kad__swarm_values(node->swarm), &peer, TABLE_TAG,
                          TABLE_VALUE);
  }
}

kad_connectedness kad__node_connectedness(const kad__node *node,
                                          const kad_peer_id *peer) {
  return kad__swarm_connected(node->swarm, peer) ? KAD_CONNECTED
                                                 : KAD_NOT_CONNECTED;
}

void kad__node_usage(const kad__node *node, kad_usage *out) {
  kad__swarm_usage(node->swarm, out);
}

bool kad__node_peer_usage(const kad__node *node, kad_usage *out,
                          const kad_peer_id *peer) {
  return kad__swarm_usage_peer(node->swarm, out, peer);
}

kad_bytes kad__node_listen_addresses(kad__node *node) {
  kad_bytes list[64];
  size_t count =
      kad__swarm_listen_addresses(node->swarm, list, KAD__COUNT(list));
  node->addresses_len = 0;
  for (size_t i = 0; i < count; i++) {
    (void)kad__addresses_append(node->addresses, sizeof(node->addresses),
                                &node->addresses_len, list[i]);
  }
  return kad__bytes(node->addresses, node->addresses_len);
}
