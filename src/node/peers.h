/* The pure side of kadmium/peerstore.h and kadmium/bandwidth.h. */
#ifndef KAD_NODE_PEERS_H
#define KAD_NODE_PEERS_H

#include "kadmium/bandwidth.h"
#include "kadmium/peerstore.h"
#include "node/node.h"
#include "protocols/ping.h"

/* Lists that were written for the owner: memory of the node, used again. */
typedef struct kad__peers {
  uint8_t *space;
  size_t cap;
} kad__peers;

void kad__peers_fini(kad__node *node);
/* A ping has come back. */
void kad__peers_pong(kad__node *node, const kad__ping_event *event);

int kad__node_peer_info(kad__node *node, kad_peer_info *out,
                        const kad_peer_id *peer, kad_time now);
bool kad__node_next_known_peer(const kad__node *node, uint64_t *cursor,
                               kad_peer_id *out);
size_t kad__node_known_peers(const kad__node *node);
int kad__node_add_peer_addresses(kad__node *node, const kad_peer_id *peer,
                                 kad_bytes addresses, kad_time ttl,
                                 kad_time now);
int kad__node_set_peer_address(kad__node *node, const kad_peer_id *peer,
                               kad_bytes address, kad_time ttl, kad_time now);
void kad__node_update_peer_addresses(kad__node *node, const kad_peer_id *peer,
                                     kad_time from, kad_time to, kad_time now);
int kad__node_add_peer_record(kad__node *node, kad_peer_id *peer,
                              kad_bytes sealed, kad_time ttl, kad_time now);
int kad__node_set_peer_key(kad__node *node, const kad_peer_id *peer,
                           kad_bytes key);
bool kad__node_forget_peer(kad__node *node, const kad_peer_id *peer);

void kad__node_bandwidth(const kad__node *node, kad_bandwidth *out,
                         kad_time now);
bool kad__node_bandwidth_peer(const kad__node *node, kad_bandwidth *out,
                              const kad_peer_id *peer, kad_time now);
bool kad__node_bandwidth_protocol(const kad__node *node, kad_bandwidth *out,
                                  kad_bytes protocol, kad_time now);

#endif
