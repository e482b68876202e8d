/* Which addresses count on a network, and how many peers of one operator's
 * network the routing table may hold.
 *
 * A public network neither dials nor keeps nor gossips private addresses; a
 * private one works on 10.0.0.0/8; one on loopback takes everything. What a
 * node is on shows in the addresses that its owner gave it. */
#ifndef KAD_NODE_POLICY_H
#define KAD_NODE_POLICY_H

#include "node/node.h"
#include "protocols/own_addresses.h"

typedef struct kad__node_policy {
  kad__scope lowest; /* addresses of a lower scope do not count */
  bool diverse;      /* bounds on peers of one address group are in force */
} kad__node_policy;

/* The policy of a node with that configuration. */
kad__node_policy kad__node_policy_of(const kad__node_config *config);
/* Puts it into the DHT's configuration; `policy` is borrowed by the DHT. */
void kad__node_policy_apply(kad__dht_config *dht, kad__node_policy *policy);

#endif
