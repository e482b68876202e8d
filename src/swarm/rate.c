/* A bucket is one number: when it will be full again, which lies in the future
 * by one interval for each token that is missing (GCRA). In a heap of these
 * numbers whoever is full again comes first and is forgotten.
 *
 * When all places are taken by others, the one that lacks least is forgotten.
 * To be forgotten itself while it lacks something, a place needs that all
 * others lack more: as many connections as there are places, each from another
 * place, again in every interval. That is no cheap way around a limit, and an
 * honest newcomer is still let in. */
#include "swarm/rate.h"

#include "base/alloc.h"
#include "base/bytes.h"
#include "kadmium/error.h"

typedef struct place {
  kad__map_node node;
  kad__heap_node full; /* when */
  uint8_t key[KAD__RATE_KEY_MAX];
  uint8_t key_len;
} place;

void kad__rate_init(kad__rate *rate, const kad_allocator *allocator,
                    const uint64_t secret[2], uint32_t burst,
                    uint32_t per_minute, uint32_t places_max) {
  kad_time interval = KAD_MINUTE / per_minute;
  interval = interval == 0 ? 1 : interval;
  kad_time most = KAD_TIME_NEVER / 4;
  *rate = (kad__rate){
      .allocator = allocator,
      .interval = interval,
      .debt_max = burst < most / interval ? burst * interval : most,
      .places_max = places_max,
  };
  kad__map_init(&rate->places, secret);
}

static place *place_of(kad__heap_node *node) {
  return KAD__CONTAINER(node, place, full);
}

static void forget(kad__rate *rate, place *p) {
  kad__map_remove(&rate->places, &p->node);
  kad__heap_remove(&rate->by_debt, &p->full);
  kad__release(rate->allocator, p);
}

void kad__rate_fini(kad__rate *rate) {
  kad__heap_node *first;
  while ((first = kad__heap_first(&rate->by_debt)) != NULL) {
    forget(rate, place_of(first));
  }
  kad__map_fini(&rate->places, rate->allocator);
  kad__heap_fini(&rate->by_debt, rate->allocator);
}

static place *find(const kad__rate *rate, kad_bytes key) {
  kad__map_node *node = kad__map_find(&rate->places, key);
  return node == NULL ? NULL : KAD__CONTAINER(node, place, node);
}

/* When the bucket will be full, once a token is taken. */
static kad_time full_after(const kad__rate *rate, const place *p,
                           kad_time now) {
  kad_time full = p == NULL || p->full.at < now ? now : p->full.at;
  return kad__time_add(full, rate->interval);
}

bool kad__rate_allows(const kad__rate *rate, kad_bytes key, kad_time now) {
  kad_time full = full_after(rate, find(rate, key), now);
  return full - now <= rate->debt_max;
}

static void tidy(kad__rate *rate, kad_time now) {
  kad__heap_node *first;
  while ((first = kad__heap_first(&rate->by_debt)) != NULL &&
         first->at <= now) {
    forget(rate, place_of(first));
  }
}

static place *remember(kad__rate *rate, kad_bytes key, kad_time full) {
  place *p = kad__calloc(rate->allocator, 1, sizeof(*p));
  if (p == NULL) {
    return NULL;
  }
  memcpy(p->key, key.data, key.len);
  p->key_len = (uint8_t)key.len;
  kad__heap_node_init(&p->full);
  if (kad__heap_set(&rate->by_debt, rate->allocator, &p->full, full) < 0) {
    kad__release(rate->allocator, p);
    return NULL;
  }
  if (kad__map_add(&rate->places, rate->allocator, &p->node,
                   kad__bytes(p->key, p->key_len)) < 0) {
    kad__heap_remove(&rate->by_debt, &p->full);
    kad__release(rate->allocator, p);
    return NULL;
  }
  return p;
}

int kad__rate_take(kad__rate *rate, kad_bytes key, kad_time now) {
  tidy(rate, now);
  place *p = find(rate, key);
  kad_time full = full_after(rate, p, now);
  if (p != NULL) {
    return kad__heap_set(&rate->by_debt, rate->allocator, &p->full, full);
  }
  if (rate->places.len >= rate->places_max) {
    forget(rate, place_of(kad__heap_first(&rate->by_debt)));
  }
  return remember(rate, key, full) == NULL ? KAD_E_NO_MEMORY : 0;
}
