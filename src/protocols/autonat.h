/* AutoNAT v2 (libp2p specification "autonat-v2"), both sides: can others reach
 * us at an address?
 *
 * As a client we send a peer a few of our addresses and a number; it dials one
 * of them and says the number on the new connection. Its word alone is not
 * believed: an address is reachable when the number has come back.
 *
 * As a server we dial for others, so we must not be made a weapon: only public
 * TCP addresses (on a private network all), one at a time, a bounded number a
 * minute; and who names an address of another host than its own first sends
 * more data than our dial can cause, so that nothing is amplified.
 *
 * Registers its protocols with the swarm. The server's dials leave from a port
 * of their own and end at once. */
#ifndef KAD_PROTOCOLS_AUTONAT_H
#define KAD_PROTOCOLS_AUTONAT_H

#include "kadmium/multiaddr.h"
#include "kadmium/random.h"
#include "protocols/tags.h"
#include "swarm/swarm.h"
#include "wire/autonat.h"

#define KAD__AUTONAT_REQUEST_PROTOCOL "/libp2p/autonat/2/dial-request"
#define KAD__AUTONAT_BACK_PROTOCOL "/libp2p/autonat/2/dial-back"

/* Addresses of a request that are looked at. */
#define KAD__AUTONAT_ADDRESSES_MAX 50

typedef struct kad__autonat_config {
  const kad_allocator *allocator;
  kad__swarm *swarm;  /* borrowed, outlives it */
  kad_random *random; /* borrowed, outlives it */
  bool serve;         /* dial for others */
  bool any_address;   /* also private and loopback ones */
  /* Of the server, within any minute. */
  uint32_t max_requests;          /* 60 */
  uint32_t max_requests_per_peer; /* 12 */
  uint32_t max_data_requests;     /* 12: to addresses of other hosts */
  uint32_t max_at_once;           /* 10; 2 of one peer */
} kad__autonat_config;

void kad__autonat_config_default(kad__autonat_config *config);

typedef struct kad__autonat kad__autonat;

/* KAD_E_NO_MEMORY, KAD_E_LIMIT (too many protocols). */
int kad__autonat_new(kad__autonat **out, const kad__autonat_config *config);
/* Its streams end; the swarm must still live. Takes NULL. */
void kad__autonat_free(kad__autonat *a);

/* Whether we dial for others, from now on. Requests that are under way go on.
 * KAD_E_LIMIT, KAD_E_NO_MEMORY: it stays as it was. */
int kad__autonat_serve(kad__autonat *a, bool on);

/* For stream events of KAD__TAG_AUTONAT and KAD__TAG_AUTONAT_BACK, and every
 * event that is not of a stream. */
void kad__autonat_handle_event(kad__autonat *a, const kad__swarm_event *event,
                               kad_time now);

/* Asks a connected peer about `addresses` (a list of wire/addresses.h without
 * /p2p, the most interesting first, at most KAD__AUTONAT_PROBE_MAX bytes); one
 * event with `*id` (counts from 1) follows. KAD_E_INVALID_ARGUMENT (none, or
 * too long), KAD_E_CLOSED (not connected), KAD_E_LIMIT, KAD_E_NO_MEMORY: no
 * event. */
#define KAD__AUTONAT_PROBE_MAX 1024
int kad__autonat_probe(kad__autonat *a, uint64_t *id, const kad_peer_id *server,
                       kad_bytes addresses, kad_time now);

typedef enum kad__autonat_event_type {
  KAD__AUTONAT_REACHABLE,   /* address */
  KAD__AUTONAT_UNREACHABLE, /* address: the server could not dial it */
  KAD__AUTONAT_FAILED       /* error: nothing is known. KAD_E_REFUSED: the
                               server would not dial; KAD_E_MESSAGE: it breaks
                               the protocol, or claims a dial that never came;
                               KAD_E_TIMEOUT; or what ended the stream */
} kad__autonat_event_type;

typedef struct kad__autonat_event {
  kad__autonat_event_type type;
  int error;
  uint64_t id;
  kad_peer_id server;
  uint8_t address[KAD_MULTIADDR_MAX];
  size_t address_len;
} kad__autonat_event;

bool kad__autonat_poll(kad__autonat *a, kad__autonat_event *out);

/* When to call kad__autonat_tick. */
kad_time kad__autonat_deadline(const kad__autonat *a);
void kad__autonat_tick(kad__autonat *a, kad_time now);

typedef struct kad__autonat_counters {
  uint64_t probes;    /* of ours */
  uint64_t served;    /* dials for others */
  uint64_t rejected;  /* requests above a limit */
  uint64_t refused;   /* requests without an address that we would dial */
  uint64_t malformed; /* requests, dial-backs and answers */
  uint64_t unasked;   /* dial-backs with a number that we did not give out */
} kad__autonat_counters;

const kad__autonat_counters *kad__autonat_counters_get(const kad__autonat *a);

#endif
