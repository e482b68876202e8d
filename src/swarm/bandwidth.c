/* Whoever moves bytes holds the meters they count in, so that counting needs no
 * look-up. Those that nobody holds wait in the order in which they were let go,
 * and the first of them leave when there are too many or their time is over. */
#include "swarm/bandwidth.h"

#include "base/alloc.h"
#include "base/bytes.h"

/* After one second without bytes this much of a rate is left: 1/e. */
#define LEFT 0.36787944117144233
/* So many such seconds leave less than any rate is worth. */
#define SECONDS_MAX 64
#define RATE_MIN 1e-13

/* ---- meters -------------------------------------------------------------- */

void kad__meter_init(kad__meter *meter, kad_time now) {
  *meter = (kad__meter){.since = now};
}

static void sample(kad__meter_count *count, uint64_t seconds) {
  double now = (double)(count->total - count->sampled);
  count->sampled = count->total;
  count->rate =
      count->rate == 0.0 ? now : count->rate + (1 - LEFT) * (now - count->rate);
  if (seconds > SECONDS_MAX) {
    count->rate = 0;
    return;
  }
  for (; seconds > 1; seconds--) {
    count->rate *= LEFT;
  }
  if (count->rate < RATE_MIN) {
    count->rate = 0;
  }
}

void kad__meter_sample(kad__meter *meter, kad_time now) {
  if (now < meter->since + KAD_SECOND) {
    return; /* time that went back is no time */
  }
  uint64_t seconds = (now - meter->since) / KAD_SECOND;
  sample(&meter->in, seconds);
  sample(&meter->out, seconds);
  meter->since += seconds * KAD_SECOND;
}

kad__bandwidth_rates kad__meter_read(const kad__meter *meter, kad_time now) {
  kad__meter at = *meter;
  kad__meter_sample(&at, now);
  return (kad__bandwidth_rates){.in = at.in.total,
                                .out = at.out.total,
                                .rate_in = at.in.rate,
                                .rate_out = at.out.rate};
}

/* ---- who is metered ------------------------------------------------------ */

static void set_init(kad__metered_set *set, const uint64_t secret[2],
                     uint32_t idle_max, uint32_t max) {
  kad__map_init(&set->map, secret);
  kad__list_init(&set->idle);
  set->idle_count = 0;
  set->idle_max = idle_max;
  set->max = max;
}

void kad__bandwidth_init(kad__bandwidth *b, const kad_allocator *allocator,
                         const uint64_t secret[2], kad_time now) {
  b->allocator = *allocator;
  kad__meter_init(&b->streams, now);
  kad__meter_init(&b->raw, now);
  set_init(&b->peers, secret, KAD__BANDWIDTH_IDLE_PEERS, 0);
  set_init(&b->protocols, secret, KAD__BANDWIDTH_PROTOCOLS,
           KAD__BANDWIDTH_PROTOCOLS);
}

static void set_fini(kad__bandwidth *b, kad__metered_set *set) {
  uint32_t slot = 0;
  kad__map_node *node = kad__map_next(&set->map, &slot, NULL);
  while (node != NULL) {
    kad__map_node *next = kad__map_next(&set->map, &slot, node);
    kad__release(&b->allocator, KAD__CONTAINER(node, kad__metered, node));
    node = next;
  }
  kad__map_fini(&set->map, &b->allocator);
}

void kad__bandwidth_fini(kad__bandwidth *b) {
  set_fini(b, &b->peers);
  set_fini(b, &b->protocols);
}

static kad__metered *find(const kad__metered_set *set, kad_bytes key) {
  kad__map_node *node = kad__map_find(&set->map, key);
  return node == NULL ? NULL : KAD__CONTAINER(node, kad__metered, node);
}

const kad__metered *kad__bandwidth_find(const kad__metered_set *set,
                                        kad_bytes key) {
  return find(set, key);
}

static kad__metered *first_idle(const kad__metered_set *set) {
  return kad__list_empty(&set->idle)
             ? NULL
             : KAD__CONTAINER(set->idle.next, kad__metered, idle);
}

static void forget(kad__bandwidth *b, kad__metered_set *set,
                   kad__metered *metered) {
  kad__list_unlink(&metered->idle);
  set->idle_count--;
  kad__map_remove(&set->map, &metered->node);
  kad__release(&b->allocator, metered);
}

/* Forgets those that were let go long ago, and those beyond `max`. */
static void trim(kad__bandwidth *b, kad__metered_set *set, uint32_t max,
                 kad_time now) {
  kad__metered *first;
  while ((first = first_idle(set)) != NULL &&
         (set->idle_count > max ||
          kad__time_add(first->idle_since, KAD__BANDWIDTH_IDLE_TIME) <= now)) {
    forget(b, set, first);
  }
}

static kad__metered *make(kad__bandwidth *b, kad__metered_set *set,
                          kad_bytes key, kad_time now) {
  trim(b, set, set->idle_max, now);
  if (set->max != 0 && set->map.len >= set->max) {
    if (set->idle_count == 0) {
      return NULL;
    }
    trim(b, set, set->idle_count - 1, now);
  }
  kad__metered *metered =
      kad__calloc(&b->allocator, 1, sizeof(*metered) + key.len);
  if (metered == NULL) {
    return NULL;
  }
  memcpy(metered->key, key.data, key.len);
  kad__list_init(&metered->idle);
  kad__meter_init(&metered->streams, now);
  kad__meter_init(&metered->raw, now);
  if (kad__map_add(&set->map, &b->allocator, &metered->node,
                   kad__bytes(metered->key, key.len)) < 0) {
    kad__release(&b->allocator, metered);
    return NULL;
  }
  return metered;
}

kad__metered *kad__bandwidth_hold(kad__bandwidth *b, kad__metered_set *set,
                                  kad_bytes key, kad_time now) {
  kad__metered *metered = find(set, key);
  if (metered == NULL) {
    metered = key.len == 0 ? NULL : make(b, set, key, now);
  } else if (metered->users == 0) {
    kad__list_unlink(&metered->idle);
    set->idle_count--;
  }
  if (metered != NULL) {
    metered->users++;
  }
  return metered;
}

void kad__bandwidth_let_go(kad__bandwidth *b, kad__metered_set *set,
                           kad__metered *metered, kad_time now) {
  if (metered == NULL || --metered->users != 0) {
    return;
  }
  metered->idle_since = now;
  kad__list_append(&set->idle, &metered->idle);
  set->idle_count++;
  trim(b, set, set->idle_max, now);
}
