/* A few nodes in virtual time, and what they say. */
#ifndef KAD_TESTS_NODE_NETWORK_H
#define KAD_TESTS_NODE_NETWORK_H

#include "simulator/simulator.h"
#include "support.h"

#define NETWORK_PROTOCOL "/test/kad/1.0.0"
#define NOBODY KAD__SIMULATOR_NOBODY

typedef struct network {
  kad__simulator *sim;
  kad__node_config config;
} network;

void network_open(network *n, uint64_t seed);
void network_close(network *n);

/* Adds a node with n->config and returns its number. */
uint32_t network_add(network *n, uint32_t contact);
/* Adds `count` nodes, the first alone, and waits until all are ready. */
void network_grow(network *n, size_t count);

/* Steps until `node` says an event of `type`, which is returned; fails after
 * `limit`. Other events are dropped. Bytes: until the next poll. */
kad_event network_await(network *n, uint32_t node, kad_event_type type,
                        kad_time limit);
/* Steps for so long, dropping events. */
void network_pass(network *n, kad_time time);

kad_request_id network_start(network *n, uint32_t node,
                             const kad_request *request);
/* Runs until the END of a request. */
kad__simulator_result network_finish(network *n, uint32_t node,
                                     kad_request_id id, kad_time limit);

/* Takes what all nodes say up to now, or up to `until`; counts END events of
 * `node` and returns the last of them. */
size_t network_count_ends(network *n, uint32_t node, kad_request_id id,
                          kad_time until, kad_event *last);

#endif
