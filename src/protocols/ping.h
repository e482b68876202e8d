/* Ping (libp2p specification "ping"): 32 bytes that come back.
 *
 * Answers everybody, on at most two streams for each peer; asks when told to.
 * There is no periodic ping: yamux watches over a connection. Registers its
 * protocol with the swarm. */
#ifndef KAD_PROTOCOLS_PING_H
#define KAD_PROTOCOLS_PING_H

#include "kadmium/random.h"
#include "protocols/tags.h"
#include "swarm/swarm.h"

#define KAD__PING_PROTOCOL "/ipfs/ping/1.0.0"
#define KAD__PING_SIZE 32

/* Streams of one peer that we echo on; a further one is reset. */
#define KAD__PING_INBOUND_MAX 2
#define KAD__PING_TIMEOUT (10 * KAD_SECOND)
/* Between two pings on one inbound stream. */
#define KAD__PING_IDLE (60 * KAD_SECOND)

typedef struct kad__ping kad__ping;

/* `random` is borrowed and outlives it. KAD_E_NO_MEMORY, KAD_E_LIMIT. */
int kad__ping_new(kad__ping **out, const kad_allocator *allocator,
                  kad__swarm *swarm, kad_random *random);
/* Its streams end; the swarm must still live. Takes NULL. */
void kad__ping_free(kad__ping *ping);

/* For stream events of KAD__TAG_PING, and every event that is not of a stream.
 */
void kad__ping_handle_event(kad__ping *ping, const kad__swarm_event *event,
                            kad_time now);

/* Pings a connected peer once; one event with `*id` (counts from 1) follows.
 * KAD_E_CLOSED (not connected), KAD_E_LIMIT, KAD_E_NO_MEMORY: no event. */
int kad__ping_start(kad__ping *ping, uint64_t *id, const kad_peer_id *peer,
                    kad_time now);

typedef enum kad__ping_event_type {
  KAD__PING_PONG,  /* rtt */
  KAD__PING_FAILED /* error: KAD_E_TIMEOUT, KAD_E_NO_PROTOCOL, KAD_E_MESSAGE
                      (a wrong echo), or what ended the stream */
} kad__ping_event_type;

typedef struct kad__ping_event {
  kad__ping_event_type type;
  int error;
  uint64_t id;
  kad_peer_id peer;
  kad_time rtt;
} kad__ping_event;

bool kad__ping_poll(kad__ping *ping, kad__ping_event *out);

typedef struct kad__ping_counters {
  uint64_t echoed;  /* pings of others */
  uint64_t refused; /* inbound streams above the limit */
} kad__ping_counters;

const kad__ping_counters *kad__ping_counters_get(const kad__ping *ping);

#endif
