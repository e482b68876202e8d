/* How often others may push their news: a budget for all of them, and one for
 * each place that they come from (an IPv4 /24, an IPv6 /56 and its /48), so
 * that neither many connections nor many peers in one place get more. Loopback
 * is exempt. */
#ifndef KAD_PROTOCOLS_PUSH_LIMIT_H
#define KAD_PROTOCOLS_PUSH_LIMIT_H

#include "kadmium/types.h"

/* Places that are told apart at once; when all have been busy lately, others
 * wait. */
#define KAD__PUSH_PLACES 512

typedef struct kad__push_bucket {
  kad_time refilled;
  uint32_t tokens;
} kad__push_bucket;

typedef struct kad__push_place {
  uint8_t key[8]; /* its first byte is the length of the prefix; 0: free */
  kad__push_bucket bucket;
} kad__push_place;

typedef struct kad__push_limit {
  kad_allocator allocator;
  kad__push_bucket all;
  kad__push_place *places; /* KAD__PUSH_PLACES of them; NULL: none yet */
} kad__push_limit;

void kad__push_limit_init(kad__push_limit *limit,
                          const kad_allocator *allocator);
void kad__push_limit_fini(kad__push_limit *limit);

/* May somebody at `remote`, a multiaddr, push now? If so it is counted. False
 * also without memory. */
bool kad__push_limit_take(kad__push_limit *limit, kad_bytes remote,
                          kad_time now);

#endif
