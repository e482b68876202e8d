/* Connections and listeners as the owner sees them: kadmium/connections.h with
 * the time put in. */
#ifndef KAD_NODE_CONNECTIONS_H
#define KAD_NODE_CONNECTIONS_H

#include "kadmium/connections.h"
#include "node/node.h"

bool kad__node_connection(const kad__node *node, uint64_t id,
                          kad_connection_info *out, kad_time now);
bool kad__node_next_connection(const kad__node *node, uint64_t *cursor,
                               const kad_peer_id *peer,
                               kad_connection_info *out, kad_time now);
bool kad__node_close_connection(kad__node *node, uint64_t id, uint32_t code,
                                kad_time now);
size_t kad__node_disconnect(kad__node *node, const kad_peer_id *peer,
                            uint32_t code, kad_time now);
kad_connectedness kad__node_connectedness(const kad__node *node,
                                          const kad_peer_id *peer);
bool kad__node_next_stream(const kad__node *node, uint64_t *cursor,
                           uint64_t connection, kad_stream_summary *out,
                           kad_time now);
/* Has every stream and every connection reported from now on. */
void kad__node_watch(kad__node *node, kad__swarm_config *swarm);
/* Reports one that has begun, when that is wanted. */
void kad__node_report_stream(kad__node *node, const kad__swarm_event *event);
/* Likewise; `event` has everything but its type. */
void kad__node_report_connection(kad__node *node, const kad_event *event,
                                 kad__swarm_event_type type);
void kad__node_usage(const kad__node *node, kad_usage *out);
bool kad__node_peer_usage(const kad__node *node, kad_usage *out,
                          const kad_peer_id *peer);
/* Peers of the routing table are worth more than those of nothing. */
void kad__node_value_table(kad__node *node, const kad__dht_event *event);
/* Shares its memory with kad__node_addresses. */
kad_bytes kad__node_listen_addresses(kad__node *node);

#endif
