/* A few DHTs with UDP gateways, and a network between them that the test can
 * make lossy, look into and lie on. */
#ifndef KAD_TESTS_GATEWAY_WORLD_H
#define KAD_TESTS_GATEWAY_WORLD_H

#include "gateway/udp.h"
#include "gateway/udp_address.h"
#include "kademlia/memory_store.h"
#include "support.h"

#define WORLD_NODES 24
#define WORLD_QUEUE 512

typedef struct datagram {
  kad__udp_address from;
  kad__udp_address to;
  kad_time at;
  size_t len;
  uint8_t *bytes;
} datagram;

typedef struct node {
  uint8_t id[32];
  kad__udp_address address;
  kad__store *store;
  kad__dht *dht;
  kad__udp *udp;
  kad_random random;
} node;

typedef struct world {
  test_allocator memory;
  kad_random random;
  kad_time now;
  unsigned loss;  /* percent */
  kad_time delay; /* one way: 20 ms */
  size_t count;
  node nodes[WORLD_NODES];
  datagram queue[WORLD_QUEUE];
  size_t queued;
  size_t sent;
  /* The last event of each type that world_run saw. */
  uint32_t ended;
  kad__dht_event end;
  char value[64]; /* of the record found */
} world;

/* Servers 0..count-1, who do not know each other. */
void world_init(world *w, size_t count, uint64_t seed);
void world_fini(world *w);

/* `config` as all nodes have it, for tests that make their own. */
void world_udp_config(world *w, kad__udp_config *out, const node *n);

kad__udp_address world_address(unsigned number);
kad_bytes world_id(const world *w, size_t node);
/* Node `a` is told where `b` is. */
void world_introduce(world *w, size_t a, size_t b);
/* Everybody is told of node 0 and joins. */
void world_join(world *w);

/* Lets so much time pass. */
void world_run(world *w, kad_time by);
/* Runs until the query of that node has ended, a minute at most; its last event
 * is in w->end. */
void world_finish(world *w, size_t node, kad__query_id query);

/* Fetches what a node has to send next, decoded in `m` from `bytes`; false when
 * there is nothing. Nothing of this goes over the network. */
bool world_fetch(world *w, size_t node, kad__udp_message *m,
                 uint8_t bytes[KAD__UDP_DATAGRAM_MAX], kad__udp_address *to);
/* Hands a message in, as if from `from`; what kad__udp_input returns. */
int world_hand(world *w, size_t node, const kad__udp_address *from,
               const kad__udp_message *m);

#endif
