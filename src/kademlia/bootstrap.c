/* Filling the table: a lookup of ourselves finds our neighbours, then one
 * lookup in each bucket farther away finds the rest. What is known is not
 * looked up again: nearer buckets than that of the k-th neighbour are complete,
 * a full bucket is passed over, and a lookup in any other begins with a few of
 * those that we know, asks only whom we do not know, no more of them at once
 * than there are places, and ends when the bucket is full; with disjoint paths
 * it asks all that it can, until the bucket is full. The wire carries
 * names, not points of the key space, so a target inside a bucket must be a
 * name whose hash falls there: for the wide buckets one is drawn at random; for
 * the narrow ones, where that would take thousands of hashes, a peer that is
 * known to be there serves.
 *
 * It runs when the owner asks, by the clock, and soon after a peer came into a
 * table that is still short. One at a time starts by itself. */
#include "kademlia/state.h"

/* Below so many peers each new one starts a bootstrap. */
#define TABLE_SHORT 20
/* Buckets for which a name is drawn; 2^(n+1) hashes are expected for the n-th.
 */
#define DRAWN_BUCKETS 8
#define DRAWS_PER_EXPECTED 8u
/* A whole bootstrap may take so many query time-outs; a step, half of one. */
#define WHOLE_TIMEOUTS 5

static void reset_timers(kad__dht *dht, kad_time now) {
  dht->bootstrap_periodic = kad__time_add(now, dht->config.bootstrap_interval);
  dht->bootstrap_automatic = KAD_TIME_NEVER;
}

void kad__bootstrap_trigger(kad__dht *dht, kad_time now) {
  if (dht->config.bootstrap_throttle != KAD_TIME_NEVER &&
      dht->table.size < TABLE_SHORT) {
    dht->bootstrap_automatic =
        kad__time_add(now, dht->config.bootstrap_throttle);
  }
}

/* ---- targets ------------------------------------------------------------ */

static size_t default_random_id(uint8_t out[KAD__DHT_ID_MAX],
                                const uint8_t random[32]) {
  out[0] = 0x00; /* identity multihash */
  out[1] = 32;
  memcpy(out + 2, random, 32);
  return 34;
}

static bool draw_target(kad__dht *dht, kad__query *q, uint32_t bucket) {
  size_t (*random_id)(uint8_t *, const uint8_t *) =
      dht->config.random_id != NULL ? dht->config.random_id : default_random_id;
  uint32_t draws = DRAWS_PER_EXPECTED << (bucket + 1);
  for (uint32_t i = 0; i < draws; i++) {
    uint8_t random[32];
    kad_random_bytes(dht->config.random, random, sizeof random);
    q->key_len = (uint32_t)random_id(q->key, random);
    kad__key key = kad__key_of(dht->config.hash, kad__query_key(q));
    if (kad__table_index(&dht->table, &key) == bucket) {
      q->target = key;
      return true;
    }
  }
  return false;
}

static bool known_target(kad__dht *dht, kad__query *q, uint32_t bucket) {
  const kad__bucket *b = &dht->table.buckets[bucket];
  if (b->count == 0) {
    return false;
  }
  const kad__entry *e =
      &b->entries[kad_random_below(dht->config.random, b->count)];
  kad_bytes id = kad__peer_id(dht->book, e->peer);
  memcpy(q->key, id.data, id.len);
  q->key_len = (uint32_t)id.len;
  q->target = *kad__peer_key(dht->book, e->peer);
  return true;
}

/* The places that are free, or held by somebody who may not be there any more.
 * Looking for others is worth while only for those. */
static uint32_t bucket_places(const kad__dht *dht, uint32_t bucket) {
  const kad__bucket *b = &dht->table.buckets[bucket];
  uint32_t places = dht->table.bucket_size;
  for (uint32_t i = 0; i < b->count; i++) {
    places -= (b->entries[i].flags & KAD__ENTRY_FAILED) == 0;
  }
  return places;
}

/* The next bucket that is worth it becomes the target; false at the end. */
static bool next_target(kad__dht *dht, kad__query *q) {
  while (q->bootstrap.remaining > 0) {
    uint32_t bucket = --q->bootstrap.remaining;
    if (bucket >= dht->table.bucket_count || bucket_places(dht, bucket) == 0) {
      continue;
    }
    if (bucket < DRAWN_BUCKETS ? draw_target(dht, q, bucket)
                               : known_target(dht, q, bucket)) {
      return true;
    }
  }
  return false;
}

/* ---- steps -------------------------------------------------------------- */

static void progress(kad__dht *dht, kad__query *q, kad_time now) {
  kad__dht_event event = {.type = KAD__DHT_PROGRESS,
                          .error = q->error,
                          .remaining = q->bootstrap.remaining,
                          .key = kad__query_key(q)};
  kad__event_of_query(dht, q, &event, now);
}

/* Looking up ourselves found our neighbours: everybody in the buckets deeper
 * than that of the farthest of k. In a network of fewer than k, all but the
 * bucket of our nearest neighbour are looked at. */
static void begin_refreshing(kad__dht *dht, kad__query *q) {
  const kad__candidate *results[KAD__SPREAD_MAX];
  size_t count = kad__lookup_results(&q->lookup, results, KAD__SPREAD_MAX);
  int deepest = kad__table_deepest(&dht->table);
  q->bootstrap.refreshing = true;
  q->bootstrap.remaining = deepest < 0 ? 0 : (uint32_t)deepest;
  if (count >= KAD__K) {
    uint32_t known = kad__key_leading_zeros(&results[KAD__K - 1]->distance);
    q->bootstrap.remaining = known < KAD__KEY_BITS ? known + 1 : 0;
  }
}

/* Who wants disjoint paths does not trust whom it knows: it asks all it can. */
static bool thrifty(const kad__dht *dht, const kad__query *q) {
  return q->bootstrap.refreshing && !dht->config.disjoint_paths;
}

static void look_for(const kad__dht *dht, kad__query *q, uint32_t places) {
  q->got = places == 0;
  q->lookup.config.most = thrifty(dht, q) ? places : 0;
}

/* A step ends as soon as its bucket needs nothing more. */
void kad__bootstrap_take(kad__dht *dht, kad__query *q, kad__candidate *from,
                         const kad__message *reply, kad_time now) {
  (void)from;
  (void)reply;
  (void)now;
  if (q->bootstrap.refreshing) {
    look_for(dht, q, bucket_places(dht, q->bootstrap.remaining));
  }
}

/* More than one answer can name, lest a liar be the only one who is heard. */
bool kad__bootstrap_heard_enough(const kad__dht *dht, const kad__query *q) {
  return thrifty(dht, q) &&
         kad__lookup_unasked(&q->lookup) >
             KAD__K + bucket_places(dht, q->bootstrap.remaining);
}

/* In a refresh, those that we know are asked for the way to others, a few of
 * them, or as the last resort. */
bool kad__bootstrap_defers(const kad__dht *dht, const kad__query *q,
                           kad__peer peer) {
  if (!thrifty(dht, q) || kad__lookup_size(&q->lookup) < KAD__REFRESH_SEEDS) {
    return false;
  }
  const kad__entry *e = kad__table_find(&dht->table, peer);
  return e != NULL && (e->flags & KAD__ENTRY_FAILED) == 0;
}

bool kad__bootstrap_step_over(kad__dht *dht, kad__query *q, kad_time now) {
  int error = q->error;
  bool over = error == KAD_E_CANCELLED || now >= q->ends;
  if (!q->bootstrap.refreshing) {
    begin_refreshing(dht, q);
  }
  progress(dht, q, now);
  if (over || !next_target(dht, q)) {
    kad__query_end(dht, q, over ? error : 0, now);
    return false;
  }
  uint32_t places = bucket_places(dht, q->bootstrap.remaining);
  uint32_t results = KAD__K;
  if (thrifty(dht, q) && places < KAD__K) {
    results = places + KAD__REFRESH_SEEDS;
  }
  q->error = 0;
  error = kad__query_look(dht, q, &q->target, results, now);
  if (error != 0) {
    kad__query_end(dht, q, error, now);
    return false;
  }
  look_for(dht, q, places);
  kad_time step = kad__time_add(now, dht->config.query_timeout / 2);
  /* Moving a node that is in the heap cannot fail. */
  (void)kad__heap_set(&dht->query_timers, &dht->allocator, &q->timer,
                      kad__time_min(step, q->ends));
  return true;
}

void kad__bootstrap_begun(kad__dht *dht, kad__query *q, kad_time now) {
  kad_time timeout = dht->config.query_timeout;
  kad_time whole = timeout > KAD_TIME_NEVER / WHOLE_TIMEOUTS
                       ? KAD_TIME_NEVER
                       : timeout * WHOLE_TIMEOUTS;
  q->ends = kad__time_add(now, whole);
  dht->bootstraps++;
  reset_timers(dht, now);
}

/* Those that it found made the table long enough: no need for another. */
void kad__bootstrap_over(kad__dht *dht) {
  dht->bootstraps--;
  if (dht->table.size >= TABLE_SHORT) {
    dht->bootstrap_automatic = KAD_TIME_NEVER;
  }
}

/* ---- beginnings --------------------------------------------------------- */

int kad__dht_bootstrap(kad__dht *dht, kad__query_id *out, kad_time now) {
  kad__query_start start = {.kind = KAD__QUERY_BOOTSTRAP,
                            .key = dht->config.local_id,
                            .results = KAD__K,
                            .wanted = 1};
  reset_timers(dht, now);
  if (dht->table.size == 0) {
    return KAD_E_NO_PEERS;
  }
  return kad__query_begin(dht, out, &start, now);
}

kad_time kad__bootstrap_deadline(const kad__dht *dht) {
  return dht->bootstraps > 0
             ? KAD_TIME_NEVER
             : kad__time_min(dht->bootstrap_periodic, dht->bootstrap_automatic);
}

void kad__bootstrap_tick(kad__dht *dht, kad_time now) {
  kad__query_id id;
  kad_time at = kad__bootstrap_deadline(dht);
  if (at <= now && at != KAD_TIME_NEVER) {
    /* Without peers or memory: the next time. */
    (void)kad__dht_bootstrap(dht, &id, now);
  }
}
