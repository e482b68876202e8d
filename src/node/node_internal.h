/* The parts of a node, and what its files say to one another. */
#ifndef KAD_NODE_NODE_INTERNAL_H
#define KAD_NODE_NODE_INTERNAL_H

#include "base/heap.h"
#include "base/list.h"
#include "base/map.h"
#include "node/events.h"
#include "node/node.h"
#include "node/peers.h"
#include "node/policy.h"
#include "node/reach.h"
#include "node/streams.h"
#include "protocols/identify.h"
#include "protocols/kad.h"
#include "protocols/own_addresses.h"
#include "protocols/ping.h"

#define KAD__NODE_REQUESTS_MAX 10000
#define KAD__NODE_REQUEST_TIMEOUT KAD_MINUTE
#define KAD__NODE_PUT_TO_MAX 256

/* ---- joining ------------------------------------------------------------- */

typedef enum kad__contact_state {
  KAD__CONTACT_IDLE,
  KAD__CONTACT_DIALLING,
  KAD__CONTACT_CONNECTED, /* what it speaks is not known yet */
  KAD__CONTACT_DONE,      /* it speaks our protocol */
  KAD__CONTACT_FAILED
} kad__contact_state;

/* One bootstrap address. */
typedef struct kad__contact {
  kad_bytes address; /* in kad__node.text */
  kad__id dial;
  kad__id connection;
  kad__contact_state state;
  kad_time done_at;
} kad__contact;

typedef struct kad__join {
  kad__contact *contacts;
  size_t count;
  bool joined; /* somebody was or is in the table */
  bool ready;
  bool failed;     /* the last round reached nobody */
  uint32_t rounds; /* since somebody was in the table */
  kad_time next_round;
  kad__query_id bootstrap; /* 0: none of ours runs */
} kad__join;

void kad__join_event(kad__node *node, const kad__swarm_event *event);
void kad__join_identified(kad__node *node, const kad__identify_event *event,
                          kad_time now);
/* Looks at where joining stands, and goes on; begins once it is known where we
 * listen. */
void kad__join_drive(kad__node *node, kad_time now);
/* True when `query` was the bootstrap of joining, which has ended. */
bool kad__join_query_ended(kad__node *node, kad__query_id query);
kad_time kad__join_deadline(const kad__node *node);

/* ---- requests ------------------------------------------------------------ */

typedef struct kad__requests {
  kad__list in_order; /* all, by id */
  kad__list waiting;  /* for the node to join */
  kad__list dialling; /* KAD_CONNECT and KAD_PING on their way */
  kad__map running;   /* by what they wait for: query or ping */
  kad__map all;       /* by request id */
  kad__heap deadlines;
  kad_request_id last_id;
} kad__requests;

void kad__requests_init(kad__requests *requests, kad_random *random);
void kad__requests_fini(kad__node *node);
void kad__requests_swarm_event(kad__node *node, const kad__swarm_event *event,
                               kad_time now);
void kad__requests_identified(kad__node *node, const kad__identify_event *event,
                              kad_time now);
void kad__requests_pong(kad__node *node, const kad__ping_event *event,
                        kad_time now);
/* False when the query is of no request. */
bool kad__requests_dht_event(kad__node *node, const kad__dht_event *event,
                             kad_time now);
kad_statistics kad__node_statistics(const kad__dht_event *event);
kad_lookup_ending kad__node_ending(int cause, const kad__dht_event *event);
/* The node has joined: those that waited start. */
void kad__requests_joined(kad__node *node, kad_time now);
/* Nobody can be reached: those that waited end with `error`. */
void kad__requests_refuse(kad__node *node, int error, kad_time now);
void kad__requests_tick(kad__node *node, kad_time now);

/* ---- the node ------------------------------------------------------------ */

struct kad__node {
  kad_allocator allocator;
  const kad_key_pair *identity;
  kad_random random;
  kad_time now;     /* of the last drive */
  kad_time wall_at; /* when it was `wall` */
  uint64_t wall;
  kad_mode mode;
  uint32_t replication; /* peers that should have a record */
  bool own_network;     /* a protocol other than IPFS's */
  bool listening_changed;
  bool listeners_known; /* listening has begun, has failed, or was not asked */
  bool report_inbound;
  bool report_swarm;
  bool closing;  /* kad__node_close was called */
  bool closed;   /* ... and all of it is done */
  uint8_t *text; /* copies of the configuration's names and addresses */
  kad_bytes protocol;
  kad__validator *validator_list;
  kad__validators validators;
  kad__node_policy policy;
  kad__store *store;
  kad__store *own_store; /* NULL when the owner brought one */
  kad__swarm *swarm;
  kad__dht *dht;
  kad__own_addresses *own;
  kad__identify *identify;
  kad__ping *ping;
  kad__kad *kad;
  kad__node_events events;
  kad__join join;
  kad__requests requests;
  kad__reach reach;
  kad__streams streams;
  kad__peers peers;
  uint8_t addresses[2 * KAD__OWN_ADDRESSES_MAX]; /* ours, with /p2p */
  size_t addresses_len;
};

/* Queues an event for the owner. */
static inline void kad__node_emit(kad__node *node, const kad_event *event) {
  kad__node_events_push(&node->events, event);
}

/* Put what is not zero in the options into the place of the defaults. */
void kad__node_swarm_options(kad__swarm_config *config,
                             const kad__node_config *o);
void kad__node_dht_options(kad__dht_config *config, const kad_dht_options *o);
void kad__node_kad_options(kad__kad_config *config, const kad_dht_options *o);

/* What we are, server or client, may have changed, or our addresses have. */
void kad__node_update_mode(kad__node *node, kad_time now);

/* Tells the owner once all has ended that kad__node_close was to end. */
void kad__node_report_closed(kad__node *node);

/* Our addresses as others may use them, without /p2p; returns the length. */
size_t kad__node_own_list(const kad__node *node, uint8_t *out, size_t cap);

/* The wall clock at `now`. */
uint64_t kad__node_unix_ns(const kad__node *node, kad_time now);

/* A DHT peer id as a PeerId; false when it is none. */
bool kad__node_peer_id(kad_peer_id *out, kad_bytes id);

#endif
