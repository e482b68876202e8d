/* Identify's own parts: identify.c runs the streams, identify_send.c composes
 * what we say, identify_receive.c judges what peers say. */
#ifndef KAD_PROTOCOLS_IDENTIFY_INTERNAL_H
#define KAD_PROTOCOLS_IDENTIFY_INTERNAL_H

#include "base/list.h"
#include "base/map.h"
#include "identity/envelope.h"
#include "kadmium/multiaddr.h"
#include "protocols/framing.h"
#include "protocols/identify.h"
#include "protocols/push_limit.h"
#include "wire/identify.h"

#define KAD__IDENTIFY_AGENT_MAX 256

typedef enum kad__identify_kind {
  KAD__IDENTIFY_ASK,
  KAD__IDENTIFY_PUSH_IN,
  KAD__IDENTIFY_PUSH_OUT
} kad__identify_kind;

/* A stream of ours, or one from which we read; once it has ended it waits to
 * be polled as an event. */
typedef struct kad__identify_task {
  kad__list link;
  kad__identify_kind kind;
  kad__stream *stream;
  uint64_t snapshot; /* what the peer may have been told at the beginning */
  size_t scanned;    /* bytes of whole messages */
  uint32_t messages;
  kad_time started; /* ASK: when we asked */
  kad__identify_event event;
  uint8_t observed[KAD_MULTIADDR_MAX];
} kad__identify_task;

/* Our addresses as one scope sees them, and the record that is signed over
 * them; made anew when they differ. */
typedef struct kad__identify_card {
  bool sealed;
  size_t addresses_len;
  size_t record_len;
  uint8_t addresses[KAD__OWN_ADDRESSES_MAX];
  uint8_t record[KAD__OWN_ADDRESSES_MAX + 512];
} kad__identify_card;

struct kad__identify {
  kad_allocator allocator;
  kad__swarm *swarm;
  kad__identify_config config;
  uint8_t agent[KAD__IDENTIFY_AGENT_MAX];
  uint64_t secret[2];
  uint64_t snapshot; /* fingerprint of what was last pushed */
  kad__push_limit push_limit;
  kad__list running; /* of kad__identify_task */
  kad__list ended;
  kad__identify_task *polled; /* its event may still be looked at */
  kad__id *push_queue;        /* connections that have yet to be told */
  size_t push_next;
  size_t push_count;
  uint32_t pushing; /* pushes under way */
  kad__identify_card *cards[KAD__SCOPES];
  kad__identify_message message; /* scratch: too large for a small stack */
  kad__identify_counters counters;
};

/* A number that stands for all that we say to everybody. */
uint64_t kad__identify_fingerprint(kad__identify *identify);

/* Writes our message, length first, for the peer of `info` into `out`, of at
 * least KAD__IDENTIFY_SEND_MAX + 2 bytes; returns its length or an error. */
int kad__identify_compose(kad__identify *identify, uint8_t *out, size_t cap,
                          const kad__connection_info *info);

/* Takes the whole messages in `in` over into the peerstore, and fills the
 * event of `task`. After an error nothing, or for lack of memory not all, was
 * taken over. */
int kad__identify_apply(kad__identify *identify, kad__identify_task *task,
                        kad_bytes in, kad_time now);

#endif
