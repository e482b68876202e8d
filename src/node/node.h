/* One libp2p node, pure: swarm, identify, ping, the DHT and what binds them.
 *
 * The outside world drives the swarm (swarm/swarm.h, "for the world") and then
 * calls kad__node_drive once per turn; the owner starts requests and takes
 * events. Every input carries `now`. */
#ifndef KAD_NODE_NODE_H
#define KAD_NODE_NODE_H

#include "kademlia/dht.h"
#include "kadmium/node.h"
#include "swarm/swarm.h"

typedef struct kad__node kad__node;

/* A node's options in binary. Everything but `identity` is copied. */
typedef struct kad__node_config {
  const kad_allocator *allocator;
  const kad_key_pair *identity; /* borrowed, outlives the node */
  const uint8_t *seed;          /* KAD_RANDOM_SEED_LEN bytes */
  kad_bytes protocol;
  kad_bytes agent;
  kad_mode mode;
  const kad_bytes *listen; /* multiaddrs, as the two below */
  size_t listen_count;
  const kad_bytes *announce;
  size_t announce_count;
  const kad_bytes *bootstrap;
  size_t bootstrap_count;
  const kad_bytes *namespaces;
  size_t namespace_count;
  kad_time idle_timeout;
  uint32_t max_connections;
  bool report_inbound;
  bool report_swarm;
  bool filter_records;
  bool review_records;
  bool no_autonat;
  uint8_t security[KAD__SECURITY_PROTOCOLS]; /* kad_security */
  const uint8_t *network_key;                /* NULL: a public network */
  const kad_gater *gater;                    /* NULL: all may connect */
  uint32_t max_inbound_streams;              /* of a connection; 0: default */
  uint32_t max_outbound_streams;
  uint32_t low_water; /* 0, as the next two: default */
  uint32_t high_water;
  kad_time grace_period;
  uint32_t max_pending_inbound; /* 0, as the next three: default */
  uint32_t max_inbound_per_address;
  uint32_t max_inbound_per_group;
  uint32_t max_connections_per_peer;
  kad__load max_in_all; /* each 0: default */
  kad__load max_per_peer;
  kad__load max_per_address;
  kad__load max_per_group;
  kad__pace pace_per_address; /* the same */
  kad__pace pace_per_group;
  uint32_t max_dials; /* 0, as the next: default */
  uint32_t max_dials_per_peer;
  uint32_t observers;  /* that must agree on an address of ours; 0: 4 */
  kad__store *store;   /* borrowed, outlives the node; NULL: in memory */
  kad_dht_options dht; /* its list of validators is copied */
  kad__swarm_transports transports; /* beside the world's TCP */
} kad__node_config;

/* Defaults; allocator, identity and seed must be set. */
void kad__node_config_default(kad__node_config *config);

/* KAD_E_INVALID_ARGUMENT, KAD_E_UNSUPPORTED (a listen address),
 * KAD_E_NO_MEMORY, KAD_E_CRYPTO. `unix_ns` is the wall clock at `now`. */
int kad__node_new(kad__node **out, const kad__node_config *config, kad_time now,
                  uint64_t unix_ns);
void kad__node_free(kad__node *node);

/* For the world, which drives it directly. */
kad__swarm *kad__node_swarm(kad__node *node);
/* For inspection; the node owns its queries. */
kad__dht *kad__node_dht(kad__node *node);
const kad_peer_id *kad__node_id(const kad__node *node);

/* Carries everything that has happened through the node, timers included. Call
 * it after inputs, at the deadline, and before actions and output are taken. */
void kad__node_drive(kad__node *node, kad_time now);
kad_time kad__node_deadline(const kad__node *node);
void kad__node_set_wall_clock(kad__node *node, kad_time now, uint64_t unix_ns);

/* The owner's side, as the public functions of kadmium/node.h. */
bool kad__node_poll(kad__node *node, kad_event *out);
bool kad__node_has_events(const kad__node *node);
/* Is there something for the world to carry out, or to drive? */
bool kad__node_is_busy(const kad__node *node);
int kad__node_start(kad__node *node, kad_request_id *out,
                    const kad_request *request, kad_time now);
/* The same under a number that the owner chose: greater than all before, else
 * KAD_E_INVALID_ARGUMENT. */
int kad__node_start_as(kad__node *node, kad_request_id id,
                       const kad_request *request, kad_time now);
bool kad__node_cancel(kad__node *node, kad_request_id request, kad_time now);
/* Begins to end the node: kad_node_close. */
void kad__node_close(kad__node *node, kad_time now);
bool kad__node_is_closed(const kad__node *node);
kad_bytes kad__node_addresses(kad__node *node);
void kad__node_status(const kad__node *node, kad_node_status *out);
bool kad__node_next_peer(const kad__node *node, uint64_t *cursor,
                         kad_peer_id *out);

/* For tests: walks every invariant, those of the swarm and the DHT included.
 * NULL when all hold, else the first that does not. */
const char *kad__node_check(const kad__node *node);

#endif
