/* How many bytes pass, and how fast: in all, per peer and per protocol.
 *
 * A meter counts both directions. Its rate is that of go-libp2p: one sample a
 * second, smoothed by 1 - 1/e; the first sample is the rate. Nobody has to be
 * woken for it: what a sweep each second would have done is made up for when
 * the meter is next used or read, so counting is an addition. */
#ifndef KAD_SWARM_BANDWIDTH_H
#define KAD_SWARM_BANDWIDTH_H

#include "base/list.h"
#include "base/map.h"
#include "kadmium/error.h"

/* Peers without a connection that are remembered, for how long, and protocols.
 */
#define KAD__BANDWIDTH_IDLE_PEERS 512
#define KAD__BANDWIDTH_IDLE_TIME KAD_HOUR
#define KAD__BANDWIDTH_PROTOCOLS 128

typedef struct kad__meter_count {
  uint64_t total;
  uint64_t sampled; /* the total at the last sample */
  double rate;      /* bytes a second */
} kad__meter_count;

typedef struct kad__meter {
  kad_time since; /* when the second that is counted now began */
  kad__meter_count in;
  kad__meter_count out;
} kad__meter;

/* What a meter says at one time. */
typedef struct kad__bandwidth_rates {
  uint64_t in;
  uint64_t out;
  double rate_in; /* bytes a second */
  double rate_out;
} kad__bandwidth_rates;

void kad__meter_init(kad__meter *meter, kad_time now);
/* Takes the samples that are due. */
void kad__meter_sample(kad__meter *meter, kad_time now);
kad__bandwidth_rates kad__meter_read(const kad__meter *meter, kad_time now);

static inline void kad__meter_add(kad__meter *meter, size_t in, size_t out,
                                  kad_time now) {
  if (now - meter->since >= KAD_SECOND) {
    kad__meter_sample(meter, now);
  }
  meter->in.total += in;
  meter->out.total += out;
}

/* The meters of a peer or of a protocol. */
typedef struct kad__metered {
  kad__map_node node;
  kad__list idle;
  kad_time idle_since;
  uint32_t users; /* connections of the peer, streams of the protocol */
  kad__meter streams;
  kad__meter raw; /* peers only */
  uint8_t key[];
} kad__metered;

/* Either peers or protocols. */
typedef struct kad__metered_set {
  kad__map map;
  kad__list idle; /* least recently used first */
  uint32_t idle_count;
  uint32_t idle_max;
  uint32_t max; /* 0: as many as are in use */
} kad__metered_set;

typedef struct kad__bandwidth {
  kad_allocator allocator;
  kad__meter streams; /* what applications read and wrote */
  kad__meter raw;     /* what connections carried */
  kad__metered_set peers;
  kad__metered_set protocols;
} kad__bandwidth;

void kad__bandwidth_init(kad__bandwidth *b, const kad_allocator *allocator,
                         const uint64_t secret[2], kad_time now);
void kad__bandwidth_fini(kad__bandwidth *b);

/* The meters of `key`, made when there are none, and held until they are let
 * go. NULL without memory or at the bound: it is counted in the whole alone. */
kad__metered *kad__bandwidth_hold(kad__bandwidth *b, kad__metered_set *set,
                                  kad_bytes key, kad_time now);
/* Takes NULL. */
void kad__bandwidth_let_go(kad__bandwidth *b, kad__metered_set *set,
                           kad__metered *metered, kad_time now);
/* NULL: unknown. */
const kad__metered *kad__bandwidth_find(const kad__metered_set *set,
                                        kad_bytes key);

#endif
