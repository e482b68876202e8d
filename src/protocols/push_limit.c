/* Buckets of tokens in a small table. A place whose bucket is full again is as
 * good as forgotten, so its entry serves the next one. */
#include "protocols/push_limit.h"

#include "base/alloc.h"
#include "base/bytes.h"
#include "kadmium/multiaddr.h"
#include "protocols/own_addresses.h"

typedef struct rate {
  uint32_t burst;
  kad_time refill; /* per token */
} rate;

static const rate rate_all = {3000, KAD_SECOND / 2000};
static const rate rate_narrow = {10, 5 * KAD_SECOND}; /* /24, /56 */
static const rate rate_wide = {20, 2 * KAD_SECOND};   /* /48 */

#define WIDE 48

void kad__push_limit_init(kad__push_limit *limit,
                          const kad_allocator *allocator) {
  *limit = (kad__push_limit){.allocator = *allocator,
                             .all = {.tokens = rate_all.burst}};
}

void kad__push_limit_fini(kad__push_limit *limit) {
  kad__release(&limit->allocator, limit->places);
}

static void refill(kad__push_bucket *b, const rate *r, kad_time now) {
  uint64_t earned = now <= b->refilled ? 0 : (now - b->refilled) / r->refill;
  if (earned >= r->burst - b->tokens) {
    b->tokens = r->burst;
    b->refilled = now > b->refilled ? now : b->refilled;
    return;
  }
  b->tokens += (uint32_t)earned;
  b->refilled += earned * r->refill;
}

static const rate *rate_of(const uint8_t key[8]) {
  return key[0] == WIDE ? &rate_wide : &rate_narrow;
}

/* The place of `key`, refilled; NULL when there is no room for it. */
static kad__push_place *place_of(kad__push_limit *limit, const uint8_t key[8],
                                 kad_time now) {
  kad__push_place *vacant = NULL;
  for (size_t i = 0; i < KAD__PUSH_PLACES; i++) {
    kad__push_place *p = &limit->places[i];
    if (p->key[0] == 0) {
      vacant = vacant == NULL ? p : vacant;
      continue;
    }
    const rate *r = rate_of(p->key);
    refill(&p->bucket, r, now);
    if (memcmp(p->key, key, sizeof(p->key)) == 0) {
      return p;
    }
    if (vacant == NULL && p->bucket.tokens == r->burst) {
      vacant = p;
    }
  }
  if (vacant != NULL) {
    memcpy(vacant->key, key, sizeof(vacant->key));
    vacant->bucket =
        (kad__push_bucket){.tokens = rate_of(key)->burst, .refilled = now};
  }
  return vacant;
}

/* The IP address of a multiaddr, IPv4 inside IPv6 as IPv4; empty: none. */
static kad_bytes ip_of(kad_bytes address) {
  static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
  kad_multiaddr_part part;
  int more = kad_multiaddr_next(&address, &part);
  if (more == 1 && part.protocol == KAD_MULTIADDR_IP6ZONE) {
    more = kad_multiaddr_next(&address, &part);
  }
  if (more != 1 || (part.protocol != KAD_MULTIADDR_IP4 &&
                    part.protocol != KAD_MULTIADDR_IP6)) {
    return (kad_bytes){0};
  }
  bool is_mapped = part.value.len == 16 &&
                   memcmp(part.value.data, mapped, sizeof(mapped)) == 0;
  return kad__bytes_skip(part.value, is_mapped ? sizeof(mapped) : 0);
}

static void write_key(uint8_t key[8], kad_bytes ip, uint8_t bits) {
  memset(key, 0, 8);
  key[0] = bits;
  if (ip.len != 0) {
    memcpy(key + 1, ip.data, bits / 8);
  }
}

static int make_places(kad__push_limit *limit) {
  if (limit->places == NULL) {
    limit->places = kad__calloc(&limit->allocator, KAD__PUSH_PLACES,
                                sizeof(*limit->places));
  }
  return limit->places == NULL ? KAD_E_NO_MEMORY : 0;
}

bool kad__push_limit_take(kad__push_limit *limit, kad_bytes remote,
                          kad_time now) {
  kad_bytes ip = ip_of(remote);
  uint8_t key[8];
  if (kad__address_scope(remote) == KAD__SCOPE_LOOPBACK) {
    return true;
  }
  if (make_places(limit) < 0) {
    return false;
  }
  refill(&limit->all, &rate_all, now);
  write_key(key, ip, ip.len == 16 ? 56 : 24);
  kad__push_place *narrow = place_of(limit, key, now);
  if (limit->all.tokens == 0 || narrow == NULL || narrow->bucket.tokens == 0) {
    return false;
  }
  kad__push_place *wide = NULL;
  if (ip.len == 16) {
    /* One token less: full again, the narrow place could make room for it. */
    narrow->bucket.tokens--;
    write_key(key, ip, WIDE);
    wide = place_of(limit, key, now);
    narrow->bucket.tokens++;
    if (wide == NULL || wide->bucket.tokens == 0) {
      return false;
    }
    wide->bucket.tokens--;
  }
  narrow->bucket.tokens--;
  limit->all.tokens--;
  return true;
}
