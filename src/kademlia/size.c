/* How large the network is. The distances from a point to its k closest peers,
 * as shares of the whole space, are those of the first k of N uniform numbers:
 * the i-th is i / (N + 1) on average. A line through the origin, fitted to the
 * means of several lookups, gives N. A lookup counts the less, the emptier the
 * bucket into which its target falls: there we may have missed somebody.
 * (Trautwein and others, "Optimistic Provide"; go-libp2p-kad-dht, netsize.) */
#include "kademlia/state.h"

#define RANKS KAD__K
#define SAMPLES 16
#define SAMPLES_MIN 5
#define SAMPLE_AGE (2 * KAD_HOUR)
/* The twenty closest of N lie, with 90% certainty, closer than this on average,
 * over N: the inverse of the incomplete gamma function at 11 and 0.9. */
#define SET_THRESHOLD 15.40664117197652

typedef struct kad__size_sample {
  kad_time at;
  float weight;
  float distance[RANKS]; /* of the whole space */
} sample;

static const double space = 18446744073709551616.0; /* 2^64 */

/* No libm: Newton's method, from above. */
static double root(double v) {
  double x = v > 1 ? v : 1;
  for (int i = 0; i < 64 && v > 0; i++) {
    x = (x + v / x) / 2;
  }
  return v > 0 ? x : 0;
}

static uint32_t in_bucket(const kad__dht *dht, const kad__key *target) {
  uint32_t index = kad__table_index(&dht->table, target);
  return index < dht->table.bucket_count ? dht->table.buckets[index].count : 0;
}

/* Half for each place that is free in the target's bucket. */
static double weight_of(const kad__dht *dht, const kad__lookup *lookup,
                        const kad__candidate *const *results) {
  uint32_t bucket = kad__table_index(&dht->table, &lookup->target);
  uint32_t known = in_bucket(dht, &lookup->target);
  uint32_t found = 0;
  for (size_t i = 0; i < RANKS; i++) {
    const kad__key *key = kad__peer_key(dht->book, results[i]->peer);
    found += kad__table_index(&dht->table, key) == bucket;
  }
  known = known > found ? known : found;
  return known >= RANKS ? 1 : 1 / (double)(UINT32_C(1) << (RANKS - known));
}

void kad__size_learn(kad__dht *dht, const kad__lookup *lookup, kad_time now) {
  const kad__candidate *results[RANKS];
  if (kad__lookup_results(lookup, results, RANKS) < RANKS ||
      results[RANKS - 1]->distance.w[0] < lookup->config.region ||
      kad__table_index(&dht->table, &lookup->target) == KAD__KEY_BITS) {
    return;
  }
  if (dht->samples == NULL) {
    dht->samples = kad__alloc(&dht->allocator, SAMPLES * sizeof(sample));
    if (dht->samples == NULL) {
      return;
    }
  }
  sample *s = &dht->samples[dht->sample_count++ % SAMPLES];
  s->at = now;
  s->weight = (float)weight_of(dht, lookup, results);
  for (size_t i = 0; i < RANKS; i++) {
    s->distance[i] = (float)((double)results[i]->distance.w[0] / space);
  }
}

typedef struct rank_mean {
  double mean;
  double deviation;
} rank_mean;

/* The weighted mean of one rank and its weighted deviation. */
static rank_mean mean_of(const sample *const *list, size_t count, size_t rank) {
  double weights = 0;
  double sum = 0;
  double squares = 0;
  for (size_t i = 0; i < count; i++) {
    weights += (double)list[i]->weight;
    sum += (double)list[i]->weight * (double)list[i]->distance[rank];
  }
  double mean = sum / weights;
  for (size_t i = 0; i < count; i++) {
    double off = (double)list[i]->distance[rank] - mean;
    squares += (double)list[i]->weight * off * off;
  }
  double bias = (double)(count - 1) / (double)count;
  return (rank_mean){mean, root(squares / (bias * weights))};
}

int kad__dht_network_size(const kad__dht *dht, uint64_t *out, kad_time now) {
  const sample *list[SAMPLES];
  size_t count = 0;
  double up = 0;
  double down = 0;
  for (size_t i = 0; i < SAMPLES && i < dht->sample_count; i++) {
    if (now < kad__time_add(dht->samples[i].at, SAMPLE_AGE)) {
      list[count++] = &dht->samples[i];
    }
  }
  if (count < SAMPLES_MIN) {
    return KAD_E_NOT_FOUND;
  }
  for (size_t rank = 0; rank < RANKS; rank++) {
    rank_mean m = mean_of(list, count, rank);
    double x = (double)rank + 1;
    up += m.deviation * x * m.mean;
    down += m.deviation * x * x;
  }
  if (up <= 0 || down <= 0 || down / up > 1e15) {
    return KAD_E_NOT_FOUND;
  }
  double size = down / up - 1;
  *out = size < 1 ? 1 : (uint64_t)size;
  return 0;
}

uint64_t kad__size_region(const kad__dht *dht, kad_time now) {
  uint64_t size;
  if (kad__dht_network_size(dht, &size, now) != 0 || size <= RANKS) {
    return 0;
  }
  return (uint64_t)(space / (double)size * (RANKS / 2.0));
}

uint64_t kad__size_near_enough(const kad__dht *dht, kad_time now) {
  uint64_t size;
  if (dht->config.replication != RANKS ||
      kad__dht_network_size(dht, &size, now) != 0 || size <= RANKS) {
    return 0;
  }
  double share = SET_THRESHOLD / (double)size;
  return share >= 1 ? 0 : (uint64_t)(share * space);
}
