/* The swarm gateway of the DHT: carries its remote calls over libp2p streams
 * (kad-dht specification, "RPC messages").
 *
 * Outbound, each call gets a stream of its own: proposal and request leave
 * together, our side closes, one reply is read. Inbound, a stream carries any
 * number of requests in turn; the next is read only when the answers before it
 * have mostly left. What the DHT says goes nowhere else: there are no events
 * here, results are reported to the DHT; but for requests whose fate the owner
 * wants to decide. */
#ifndef KAD_PROTOCOLS_KAD_H
#define KAD_PROTOCOLS_KAD_H

#include "kademlia/dht.h"
#include "protocols/own_addresses.h"
#include "protocols/tags.h"
#include "swarm/swarm.h"

#define KAD__KAD_PROTOCOL "/ipfs/kad/1.0.0"

typedef struct kad__kad kad__kad;

typedef struct kad__kad_config {
  kad_bytes protocol;            /* copied; KAD__KAD_PROTOCOL */
  const kad_peer_id *local;      /* copied */
  const kad__own_addresses *own; /* borrowed, outlives it */
  kad_random *random;            /* borrowed, outlives it */
  size_t max_request;            /* accepted from others: 64 KiB */
  size_t max_reply;      /* to GET_VALUE and GET_PROVIDERS: 4 MiB; replies to
                            other calls may have max_request */
  size_t max_answer;     /* we shorten what is longer: 16 KiB; a record alone
                            may exceed it */
  uint32_t max_inbound;  /* streams that linger, per peer: 32 */
  uint32_t max_outbound; /* calls at once, per peer: 32 */
  uint32_t max_waiting;  /* calls that wait for a dial or a stream, per peer:
                            256 */
  kad_time idle_timeout; /* of an inbound stream between requests, and for a
                            whole request: 60 s */
  bool review;           /* records and providers wait for a verdict */
  uint32_t max_reviews;  /* at once: 256 */
} kad__kad_config;

/* Defaults as above; the pointers are zero and must be set. */
void kad__kad_config_default(kad__kad_config *config);

/* `swarm` and `dht` are borrowed and outlive it. KAD_E_INVALID_ARGUMENT,
 * KAD_E_NO_MEMORY. Starts as a client: nothing is answered. */
int kad__kad_new(kad__kad **out, const kad_allocator *allocator,
                 kad__swarm *swarm, kad__dht *dht,
                 const kad__kad_config *config);
/* Its streams end, its calls are forgotten; swarm and DHT must still live.
 * Takes NULL. */
void kad__kad_free(kad__kad *kad);

/* Starts or stops to answer, and tells the DHT. When it changed something the
 * node calls kad__identify_push_all. Returns 1 when the mode changed, 0 when it
 * was that already; KAD_E_NO_MEMORY, KAD_E_LIMIT: as before. */
int kad__kad_set_mode(kad__kad *kad, kad__dht_mode mode);

/* For stream events of KAD__TAG_KAD, and every event that is not of a stream.
 */
void kad__kad_handle_event(kad__kad *kad, const kad__swarm_event *event,
                           kad_time now);

/* After each event of identify: the DHT is told whether `peer` lists our
 * protocol now. Of a peer whose protocols are not known nothing is said. */
void kad__kad_peer_identified(kad__kad *kad, kad__id connection,
                              const kad_peer_id *peer, kad_time now);

/* Takes the DHT's cancellations and calls, and carries them out. To be called
 * whenever the DHT may have new ones: after its tick, queries and events. */
void kad__kad_drive(kad__kad *kad, kad_time now);

/* A valid PUT_VALUE or ADD_PROVIDER that waits, under `review`. */
typedef struct kad__kad_review_request {
  uint64_t token; /* counts from 1 */
  kad_peer_id peer;
  kad__message_type type;
  kad_bytes key;
  kad__wire_record record; /* PUT_VALUE */
  kad_bytes addresses;     /* ADD_PROVIDER: a list */
} kad__kad_review_request;

/* The next one that was not polled yet; its bytes are borrowed until the
 * gateway is next called. */
bool kad__kad_poll_review(kad__kad *kad, kad__kad_review_request *out);
/* The verdict: 0, or the error for which the stream is reset. False when the
 * request has ended. */
bool kad__kad_review(kad__kad *kad, uint64_t token, int verdict, kad_time now);

kad_time kad__kad_deadline(const kad__kad *kad);
void kad__kad_tick(kad__kad *kad, kad_time now);

typedef struct kad__kad_counters {
  uint64_t requests_in; /* answered or taken */
  uint64_t answers_shortened;
  uint64_t malformed;       /* requests and replies that do not decode */
  uint64_t too_large;       /* ... whose length is above the limit */
  uint64_t refused;         /* requests that the DHT refused */
  uint64_t streams_refused; /* inbound ones above the limit */
  uint64_t streams_evicted; /* idle inbound ones that made room */
  uint64_t timeouts_in;     /* inbound streams that were silent */
  uint64_t calls, replies, failures, retries;
} kad__kad_counters;

const kad__kad_counters *kad__kad_counters_get(const kad__kad *kad);

/* Calls under way or waiting, and inbound streams that linger. */
size_t kad__kad_call_count(const kad__kad *kad);
size_t kad__kad_inbound_count(const kad__kad *kad);

#endif
