/* How often connections may come from one place: a bucket of tokens for each,
 * one taken by every connection, one given back in every interval. A bucket
 * that is full again is as good as none, so only places that took some of late
 * are remembered, and of them a fixed number. */
#ifndef KAD_SWARM_RATE_H
#define KAD_SWARM_RATE_H

#include "base/heap.h"
#include "base/map.h"

/* Bytes of a place's name at most. */
#define KAD__RATE_KEY_MAX 8

typedef struct kad__rate {
  const kad_allocator *allocator;
  kad__map places;
  kad__heap by_debt; /* the one that is full first is on top */
  kad_time interval;
  kad_time debt_max; /* burst times interval */
  uint32_t places_max;
} kad__rate;

/* `burst` (at least 1) tokens in a full bucket, `per_minute` (at least 1) given
 * back. The allocator is borrowed. */
void kad__rate_init(kad__rate *rate, const kad_allocator *allocator,
                    const uint64_t secret[2], uint32_t burst,
                    uint32_t per_minute, uint32_t places_max);
void kad__rate_fini(kad__rate *rate);

/* Is there a token for `place` (1 to KAD__RATE_KEY_MAX bytes)? */
bool kad__rate_allows(const kad__rate *rate, kad_bytes place, kad_time now);
/* Takes a token that is there. KAD_E_NO_MEMORY: none was taken. */
int kad__rate_take(kad__rate *rate, kad_bytes place, kad_time now);

#endif
