/* A network of bare DHTs in virtual time: no connections, no bytes encrypted,
 * but every message is encoded and decoded, arrives late, and may be lost. One
 * seed gives one run. For tests of kademlia/ alone. */
#ifndef KAD_TESTS_DHT_NET_H
#define KAD_TESTS_DHT_NET_H

#include "base/heap.h"
#include "kademlia/dht.h"
#include "kademlia/memory_store.h"

#define NET_ID_LEN 34

typedef enum net_state {
  NET_UP,
  NET_DOWN,  /* dials fail after a second */
  NET_SILENT /* takes requests and never answers */
} net_state;

typedef struct net_node {
  kad__dht *dht;
  kad__store *store;
  kad_random random;
  net_state state;
  uint32_t index;
  kad__heap_node timer;
  uint8_t id[NET_ID_LEN];
  uint8_t address[8];
  uint64_t answered; /* requests */
} net_node;

typedef struct net {
  const kad_allocator *allocator;
  kad__dht_config config; /* of the nodes made next */
  kad__memory_store_config store_config;
  kad_random random;
  kad_time now;
  kad_time latency_min;
  kad_time latency_max;
  uint32_t loss; /* of a thousand messages */
  net_node **nodes;
  uint32_t count;
  uint32_t cap;
  kad__heap timers;
  kad__heap packets;
  uint64_t messages;
  bool check; /* kad__dht_check after each input */
  /* May replace the answer of a node: return what kad__dht_answer would, or
   * 2 to let the node answer. */
  int (*answer)(struct net *net, net_node *node, kad__message *reply,
                const kad__message *request, kad_bytes from);
} net;

/* A fast mixing function in the place of SHA-256. */
void net_hash(uint8_t out[32], kad_bytes in);

void net_init(net *n, uint64_t seed);
void net_fini(net *n);

/* A new server; its index is returned. */
uint32_t net_add(net *n);
/* The same with an id of one's choice. */
uint32_t net_add_as(net *n, const uint8_t id[NET_ID_LEN]);
/* Sets the state; a node that goes down loses its DHT's calls. */
void net_set(net *n, uint32_t node, net_state state);
kad_bytes net_id(const net *n, uint32_t node);
kad_bytes net_address(const net *n, uint32_t node);
/* `node` learns of `other` by the trusted way. */
kad__routing_update net_introduce(net *n, uint32_t node, uint32_t other);
/* The node of an id, or -1. */
int net_find(const net *n, kad_bytes id);

/* To be called after any call on a node's DHT: takes its calls. */
void net_touch(net *n, uint32_t node);
/* One event; false when nothing is going to happen before `until`. */
bool net_step(net *n, kad_time until);
void net_run(net *n, kad_time duration);
/* Runs until `query` of `node` ends; its last event, with the bytes gone.
 * Others of its events go to `each` (may be NULL), those of other nodes are
 * thrown away. */
typedef void (*net_each)(void *user, const kad__dht_event *event);
kad__dht_event net_await(net *n, uint32_t node, kad__query_id query,
                         net_each each, void *user);
/* Everybody learns of a random earlier node, then bootstraps, `gap` apart. */
void net_join_all(net *n, kad_time gap);
/* How many of the `k` nodes that are up and truly closest to `key` are among
 * `ids`. */
size_t net_closest_hit(const net *n, kad_bytes key, uint32_t except,
                       uint8_t (*ids)[NET_ID_LEN], size_t count, size_t k);

#endif
