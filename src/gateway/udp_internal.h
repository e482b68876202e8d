/* What the parts of the gateway share: udp.c holds it together, udp_calls.c
 * carries our calls, udp_answers.c answers others, udp_peers.c knows who has
 * proved its address. */
#ifndef KAD_GATEWAY_UDP_INTERNAL_H
#define KAD_GATEWAY_UDP_INTERNAL_H

#include "base/alloc.h"
#include "base/heap.h"
#include "base/list.h"
#include "base/map.h"
#include "gateway/udp.h"
#include "gateway/udp_address.h"
#include "wire/addresses.h"

#define KAD__UDP_CALL_ADDRESSES 3

/* A datagram that waits to be fetched. */
typedef struct kad__udp_packet {
  kad__list link;
  kad__udp_address to;
  uint32_t len;
  bool owned; /* made for this one sending: freed after it */
  uint8_t *bytes;
} kad__udp_packet;

/* Tokens that come back with time. */
typedef struct kad__udp_bucket {
  uint64_t tokens;
  kad_time at;
} kad__udp_bucket;

/* Who is, or says to be, at an address. */
typedef struct kad__udp_peer {
  kad__map_node by_address;
  kad__map_node by_ping; /* in the map while `pinged` is linked */
  kad__list proved;      /* in the order of their proofs, oldest first */
  kad__list pinged;      /* in the order of their pings */
  kad__udp_address address;
  uint8_t id[KAD__UDP_ID_LEN];      /* proved */
  uint8_t claimed[KAD__UDP_ID_LEN]; /* to be proved by the ping */
  uint8_t ping[KAD__UDP_ID_LEN];
  kad_time proved_at;
  kad_time pinged_at;
  kad__udp_bucket requests;
} kad__udp_peer;

struct kad__udp {
  kad_allocator allocator;
  kad__dht *dht;
  kad__udp_config config;
  uint8_t id[KAD__UDP_ID_LEN];
  kad__udp_address address;
  char text[KAD__UDP_TEXT_MAX];
  kad__udp_node self; /* of the two above */

  kad__map calls;     /* by the id of their request */
  kad__map dht_calls; /* by the id that the DHT gave them */
  kad__heap timers;

  kad__map peers; /* by address */
  kad__map pings; /* by the id of our ping */
  kad__list proved;
  kad__list pinged;
  size_t proved_count;
  size_t pinged_count;
  kad__udp_bucket strangers;

  kad__list outgoing;
  size_t queued; /* bytes of owned packets */
  kad__udp_address last_to;
  kad__udp_counters counters;

  /* One datagram is dealt with at a time. */
  kad__udp_message in;
  kad__udp_message out;
  kad__message request;
  kad__message reply;
  uint8_t lists[KAD__UDP_NODES_MAX * (KAD__UDP_ADDRESS_MAX + 4)];
  char texts[KAD__UDP_NODES_MAX][KAD__UDP_TEXT_MAX];
};

static inline kad_bytes kad__udp_id_bytes(const uint8_t *id) {
  return kad__bytes(id, KAD__UDP_ID_LEN);
}

static inline bool kad__udp_same_id(const uint8_t *a, const uint8_t *b) {
  return memcmp(a, b, KAD__UDP_ID_LEN) == 0;
}

static inline bool kad__udp_same_address(const kad__udp_address *a,
                                         const kad__udp_address *b) {
  return kad__bytes_equal(kad__udp_address_bytes(a), kad__udp_address_bytes(b));
}

/* Takes `n` tokens of a bucket that holds one second's worth; false when there
 * are not so many. */
bool kad__udp_take_tokens(kad__udp_bucket *bucket, uint32_t rate, uint64_t n,
                          kad_time now);

/* Queues `m`, encoded, for `to`. KAD_E_NO_MEMORY, KAD_E_LIMIT (counted), and
 * the errors of the encoder. */
int kad__udp_send(kad__udp *g, const kad__udp_address *to,
                  const kad__udp_message *m);

/* ---- udp_calls.c -------------------------------------------------------- */

void kad__udp_calls_fini(kad__udp *g);
/* The response in g->in. */
int kad__udp_take_response(kad__udp *g, const kad__udp_address *from,
                           kad_time now);
void kad__udp_calls_tick(kad__udp *g, kad_time now);

/* ---- udp_answers.c ------------------------------------------------------ */

/* The request in g->in. */
int kad__udp_take_request(kad__udp *g, const kad__udp_address *from,
                          kad_time now);

/* ---- udp_peers.c -------------------------------------------------------- */

void kad__udp_peers_fini(kad__udp *g);
kad__udp_peer *kad__udp_peer_at(const kad__udp *g,
                                const kad__udp_address *address);
/* Whether `id` has proved to be at the peer's address. NULL: no. */
bool kad__udp_peer_is(const kad__udp_peer *peer, const uint8_t *id);
/* `id` has just proved that it is at `address`: the DHT is told. */
void kad__udp_proved(kad__udp *g, const kad__udp_address *address,
                     const uint8_t *id, kad_time now);
/* `id`, if it was at `address`, does not answer there any more. */
void kad__udp_silent(kad__udp *g, const kad__udp_address *address,
                     const uint8_t *id);
/* Asks who is at `address`, if it is time to: `id` says that it is. */
void kad__udp_ask_proof(kad__udp *g, const kad__udp_address *address,
                        const uint8_t *id, kad_time now);
/* The response in g->in, when it is one to a ping of ours. 0, or
 * KAD_E_NOT_FOUND, KAD_E_PEER_MISMATCH. */
int kad__udp_take_proof(kad__udp *g, const kad__udp_address *from,
                        kad_time now);
kad_time kad__udp_peers_deadline(const kad__udp *g);
void kad__udp_peers_tick(kad__udp *g, kad_time now);

#endif
