/* Identify (libp2p specification "identify"): who is at the other end, what it
 * speaks, where it listens, and under which address it sees us.
 *
 * Every new connection is asked once, at once; we answer whoever asks; and
 * both sides push news. What is learnt goes to the swarm's peerstore, and an
 * event tells the node. Registers its two protocols with the swarm. */
#ifndef KAD_PROTOCOLS_IDENTIFY_H
#define KAD_PROTOCOLS_IDENTIFY_H

#include "kadmium/key.h"
#include "protocols/own_addresses.h"
#include "protocols/tags.h"
#include "swarm/swarm.h"

#define KAD__IDENTIFY_PROTOCOL "/ipfs/id/1.0.0"
#define KAD__IDENTIFY_PUSH_PROTOCOL "/ipfs/id/push/1.0.0"
#define KAD__IDENTIFY_PROTOCOL_VERSION "ipfs/0.1.0"

/* Bounds of what a peer sends: bytes of a message, messages of an answer. */
#define KAD__IDENTIFY_MESSAGE_MAX ((size_t)8192)
#define KAD__IDENTIFY_MESSAGES_MAX 10
/* What we send is one message of at most so many bytes. */
#define KAD__IDENTIFY_SEND_MAX ((size_t)4096)

typedef struct kad__identify kad__identify;

typedef struct kad__identify_config {
  const kad_key_pair *identity;  /* borrowed, outlives it */
  const kad__own_addresses *own; /* borrowed, outlives it */
  kad_random *random;            /* borrowed, outlives it */
  kad_bytes agent_version;       /* copied, at most 256 bytes */
  uint64_t sequence; /* first of our signed records: the wall clock in ns */
  kad_time timeout;  /* of a request or push: 5 s */
  bool keep_private; /* believe private addresses of public peers */
} kad__identify_config;

/* Defaults; agent "kadmium/<version>"; the pointers are zero and must be set.
 */
void kad__identify_config_default(kad__identify_config *config);

/* KAD_E_INVALID_ARGUMENT, KAD_E_NO_MEMORY, KAD_E_LIMIT. */
int kad__identify_new(kad__identify **out, const kad_allocator *allocator,
                      kad__swarm *swarm, const kad__identify_config *config);
/* Its streams end; the swarm must still live. Takes NULL. */
void kad__identify_free(kad__identify *identify);

/* For stream events of KAD__TAG_IDENTIFY and KAD__TAG_IDENTIFY_PUSH, and every
 * event that is not of a stream. */
void kad__identify_handle_event(kad__identify *identify,
                                const kad__swarm_event *event, kad_time now);

/* Our protocols or addresses have changed: tells every connected peer that
 * handles push, a few at a time. Nothing happens when nothing changed. A peer
 * whose first identify is still under way learns it from there. */
void kad__identify_push_all(kad__identify *identify, kad_time now);

typedef enum kad__identify_event_type {
  KAD__IDENTIFY_DONE,  /* the peerstore is up to date */
  KAD__IDENTIFY_FAILED /* error; the connection stays usable */
} kad__identify_event_type;

typedef struct kad__identify_event {
  kad__identify_event_type type;
  int error;
  bool push;              /* an update that the peer sent by itself */
  bool protocols_changed; /* protocols were listed, perhaps the same */
  kad__id connection;
  kad_peer_id peer;
  kad_bytes observed_address; /* ours, as the peer sees it, without /p2p; may
                                 be empty. Borrowed until the next poll */
} kad__identify_event;

bool kad__identify_poll(kad__identify *identify, kad__identify_event *out);

typedef struct kad__identify_counters {
  uint64_t requests; /* that we made */
  uint64_t answers;  /* that we gave */
  uint64_t pushes_out;
  uint64_t pushes_in;
  uint64_t pushes_limited; /* inbound ones refused: too many */
  uint64_t failures;       /* of our requests, all causes */
  uint64_t malformed;      /* messages, inbound pushes included */
  uint64_t wrong_keys;     /* a public key that is not the authenticated one */
  uint64_t bad_records;    /* signed records that are not the peer's */
  uint64_t bad_addresses;  /* passed over: malformed, foreign, out of scope */
} kad__identify_counters;

const kad__identify_counters *kad__identify_counters_get(
    const kad__identify *identify);

#endif
