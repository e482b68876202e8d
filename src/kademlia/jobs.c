/* Keeping records alive: those of others are replicated to the peers that are
 * closest now, our own are published again, our provider records too. Each job
 * walks through the store in the order of keys, one record at a time, evenly
 * spread over its interval with some jitter, so that neither we nor a network
 * of nodes started together ever send in bursts. */
#include "kademlia/state.h"

/* While so many queries run, jobs wait. */
#define JOBS_MAX_QUERIES 100
#define JOBS_RETRY KAD_SECOND
#define REPLICATED_MAX 4096
/* What was ours in an earlier life may have expired elsewhere: it is sent soon,
 * but not before the table has filled. */
#define RESUME_AFTER (30 * KAD_SECOND)
/* ... and within this part of the interval, unless that is many a second. */
#define RESUME_PART 16
#define RESUME_PAUSE_MIN KAD_SECOND

static void cursor_reset(kad__dht *dht, kad__job *job) {
  kad__release(&dht->allocator, job->cursor);
  job->cursor = NULL;
  job->cursor_len = 0;
}

/* The next key after `after` that belongs to the job, borrowed. */
static bool next_key(const kad__dht *dht, int which, kad_bytes after,
                     kad_bytes *key) {
  kad__store *store = dht->config.store;
  kad__provider provider;
  kad__record record;
  bool own;
  if (which == KAD__JOB_REPROVIDE) {
    if (!store->ops->next_provided(store, &provider, after)) {
      return false;
    }
    *key = provider.key;
    return true;
  }
  while (store->ops->next(store, &record, &own, after)) {
    if (own == (which == KAD__JOB_REPUBLISH)) {
      *key = record.key;
      return true;
    }
    after = record.key;
  }
  return false;
}

void kad__dht_resume(kad__dht *dht, kad_time now) {
  const int ours[] = {KAD__JOB_REPUBLISH, KAD__JOB_REPROVIDE};
  for (size_t i = 0; i < KAD__COUNT(ours); i++) {
    kad__job *job = &dht->jobs[ours[i]];
    kad_bytes key = {0};
    if (job->interval != KAD_TIME_NEVER && next_key(dht, ours[i], key, &key)) {
      job->next = kad__time_min(job->next, kad__time_add(now, RESUME_AFTER));
      job->hurried = true;
      cursor_reset(dht, job);
    }
  }
}

void kad__jobs_init(kad__dht *dht, kad_time now) {
  const kad__dht_config *c = &dht->config;
  const kad_time intervals[KAD__JOBS] = {
      [KAD__JOB_REPLICATE] = c->replication_interval,
      [KAD__JOB_REPUBLISH] = c->publication_interval,
      [KAD__JOB_REPROVIDE] = c->provider_publication_interval};
  for (int i = 0; i < KAD__JOBS; i++) {
    dht->jobs[i] = (kad__job){.interval = intervals[i],
                              .next = kad__time_add(now, intervals[i])};
  }
  kad__recent_init(&dht->replicated, REPLICATED_MAX);
  kad__dht_resume(dht, now);
}

void kad__jobs_fini(kad__dht *dht) {
  for (int i = 0; i < KAD__JOBS; i++) {
    cursor_reset(dht, &dht->jobs[i]);
  }
  kad__recent_fini(&dht->replicated, &dht->allocator);
}

static uint64_t skip_key(const kad__dht *dht, kad_bytes key) {
  return kad__siphash(dht->secret, key) | 1;
}

void kad__jobs_skip(kad__dht *dht, kad_bytes key, kad_time now) {
  kad__recent_item evicted;
  if (dht->config.replication_interval == KAD_TIME_NEVER) {
    return;
  }
  kad__recent_item *item = kad__recent_put(&dht->replicated, &dht->allocator,
                                           skip_key(dht, key), &evicted);
  if (item != NULL) {
    item->at = now;
  }
}

static bool skipped(const kad__dht *dht, kad_bytes key, kad_time now) {
  const kad__recent_item *item =
      kad__recent_find(&dht->replicated, skip_key(dht, key));
  return item != NULL &&
         now < kad__time_add(item->at, dht->config.replication_interval);
}

/* ---- walking ------------------------------------------------------------ */

static uint64_t count_keys(const kad__dht *dht, int which) {
  uint64_t count = 0;
  kad_bytes key = {0};
  while (next_key(dht, which, key, &key)) {
    count++;
  }
  return count;
}

static void send_provider(kad__dht *dht, kad_bytes key, kad_time now) {
  kad__query_id id;
  kad__query_start start = {.kind = KAD__QUERY_REPROVIDE,
                            .key = key,
                            .results = dht->config.replication};
  (void)kad__query_begin(dht, &id, &start, now);
}

static void send_record(kad__dht *dht, int which, kad_bytes key, kad_time now) {
  kad__record record;
  kad__query_id id;
  bool own = which == KAD__JOB_REPUBLISH;
  if (!kad__dht_stored(dht, &record, key, now) ||
      (!own && skipped(dht, key, now))) {
    return;
  }
  kad_time expires = record.expires;
  if (own && expires == KAD_TIME_NEVER) {
    expires = kad__time_add(now, dht->config.record_ttl);
  }
  kad__wire_record wire = {
      .key = record.key, .value = record.value, .publisher = record.publisher};
  kad__query_start start = {
      .kind = own ? KAD__QUERY_REPUBLISH : KAD__QUERY_REPLICATE,
      .key = record.key,
      .results = dht->config.replication,
      .quorum.kind = KAD__QUORUM_ALL,
      .value = kad__value_new(&dht->allocator, &wire, (kad_bytes){0}, expires)};
  if (start.value != NULL) {
    (void)kad__query_begin(dht, &id, &start, now);
  }
}

/* ---- the clock ---------------------------------------------------------- */

static void begin_round(kad__dht *dht, int which, kad_time now) {
  kad__job *job = &dht->jobs[which];
  uint64_t count = count_keys(dht, which);
  job->pause = job->interval / (count == 0 ? 1 : count) + 1;
  if (job->hurried && job->pause > RESUME_PAUSE_MIN) {
    kad_time pause = job->pause / RESUME_PART;
    job->pause = pause > RESUME_PAUSE_MIN ? pause : RESUME_PAUSE_MIN;
  }
  if (count == 0) {
    job->next = kad__time_add(now, job->interval);
  }
}

/* The next round begins at once, so that keys keep their pace; after one
 * without any, or a hurried one, when the interval is over. */
static void end_round(kad__job *job, bool empty, kad_time now) {
  kad_time pause = empty ? job->interval : 0;
  if (!empty && job->hurried) {
    pause = job->interval - job->interval / RESUME_PART;
  }
  job->next = kad__time_add(now, pause);
  job->hurried = false;
}

/* Half to one and a half of the pause. */
static kad_time with_jitter(const kad__dht *dht, kad_time pause) {
  return pause / 2 + kad_random_below(dht->config.random, pause + 1);
}

static void job_step(kad__dht *dht, int which, kad_time now) {
  kad__job *job = &dht->jobs[which];
  kad_bytes key;
  if (dht->queries.len >= JOBS_MAX_QUERIES) {
    job->next = kad__time_add(now, JOBS_RETRY);
    return;
  }
  if (job->cursor == NULL) {
    begin_round(dht, which, now);
  }
  if (!next_key(dht, which, kad__bytes(job->cursor, job->cursor_len), &key)) {
    end_round(job, job->cursor == NULL, now);
    cursor_reset(dht, job);
    return;
  }
  if (dht->table.size == 0) {
    job->next = kad__time_add(now, RESUME_AFTER);
    return;
  }
  uint8_t *cursor = kad__memdup(&dht->allocator, key.data, key.len);
  if (cursor == NULL) {
    job->next = kad__time_add(now, JOBS_RETRY);
    return;
  }
  kad__release(&dht->allocator, job->cursor);
  job->cursor = cursor;
  job->cursor_len = key.len;
  job->next = kad__time_add(now, with_jitter(dht, job->pause));
  if (which == KAD__JOB_REPROVIDE) {
    send_provider(dht, kad__bytes(cursor, key.len), now);
  } else {
    send_record(dht, which, kad__bytes(cursor, key.len), now);
  }
}

void kad__jobs_tick(kad__dht *dht, kad_time now) {
  for (int i = 0; i < KAD__JOBS; i++) {
    while (dht->jobs[i].next <= now && dht->jobs[i].next != KAD_TIME_NEVER) {
      job_step(dht, i, now);
    }
  }
}

kad_time kad__jobs_deadline(const kad__dht *dht) {
  kad_time at = KAD_TIME_NEVER;
  for (int i = 0; i < KAD__JOBS; i++) {
    at = kad__time_min(at, dht->jobs[i].next);
  }
  return at;
}
