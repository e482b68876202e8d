/* The life of a DHT and its clock. The work is in the files that state.h
 * lists. */
#include "kademlia/dht.h"

#include "kademlia/state.h"

void kad__dht_config_default(kad__dht_config *config) {
  *config = (kad__dht_config){.bucket_size = KAD__K,
                              .replication = KAD__K,
                              .parallelism = 10,
                              .query_timeout = 60 * KAD_SECOND,
                              .peer_timeout = 10 * KAD_SECOND,
                              .pending_timeout = 60 * KAD_SECOND,
                              .record_ttl = 48 * KAD_HOUR,
                              .provider_ttl = 48 * KAD_HOUR,
                              .replication_interval = KAD_HOUR,
                              .publication_interval = 22 * KAD_HOUR,
                              .provider_publication_interval = 22 * KAD_HOUR,
                              .bootstrap_interval = 5 * KAD_MINUTE,
                              .bootstrap_throttle = 500 * KAD_MILLISECOND,
                              .caching = 1,
                              .liveness_interval = 15 * KAD_MINUTE,
                              .max_answer = 14 * 1024,
                              .max_recent = 1024,
                              .max_queries = 10000,
                              .max_events = 1024,
                              .muted_events = 1u << KAD__DHT_INBOUND,
                              .max_group_table = 3,
                              .max_group_bucket = 2};
}

static bool config_valid(const kad__dht_config *c) {
  return c->allocator != NULL && c->hash != NULL && c->random != NULL &&
         c->store != NULL && c->local_id.len > 0 &&
         c->local_id.len <= KAD__DHT_ID_MAX && c->bucket_size > 0 &&
         c->replication > 0 && c->replication <= KAD__RESULTS_MAX &&
         c->parallelism > 0;
}

static int own_book(kad__dht *dht) {
  if (dht->config.book != NULL) {
    dht->book = dht->config.book;
    return 0;
  }
  int error = kad__peer_book_new(&dht->own_book, &dht->allocator,
                                 dht->config.hash, dht->secret);
  dht->book = dht->own_book;
  return error;
}

static int dht_init(kad__dht *dht, kad_time now) {
  kad_random_bytes(dht->config.random, dht->secret, sizeof dht->secret);
  int error = own_book(dht);
  if (error != 0) {
    return error;
  }
  error = kad__peer_book_hold(dht->book, &dht->self, dht->config.local_id);
  if (error != 0) {
    kad__peer_book_free(dht->own_book);
    return error;
  }
  dht->config.local_id = kad__peer_id(dht->book, dht->self);
  dht->key = *kad__peer_key(dht->book, dht->self);
  kad__table_init(&dht->table, &dht->allocator, dht->book, &dht->key,
                  dht->config.bucket_size, dht->config.pending_timeout);
  kad__recent_init(&dht->recent, dht->config.max_recent);
  kad__map_init(&dht->queries, dht->secret);
  kad__list_init(&dht->queued);
  kad__list_init(&dht->cancelled);
  kad__list_init(&dht->query_list);
  kad__list_init(&dht->events);
  dht->bootstrap_periodic = kad__time_add(now, dht->config.bootstrap_interval);
  dht->bootstrap_automatic = KAD_TIME_NEVER;
  dht->next_upkeep = KAD_TIME_NEVER;
  dht->alone_since = KAD_TIME_NEVER;
  kad__jobs_init(dht, now);
  return 0;
}

int kad__dht_new(kad__dht **out, const kad__dht_config *config, kad_time now) {
  if (!config_valid(config)) {
    return KAD_E_INVALID_ARGUMENT;
  }
  kad__dht *dht = kad__calloc(config->allocator, 1, sizeof *dht);
  if (dht == NULL) {
    return KAD_E_NO_MEMORY;
  }
  dht->allocator = *config->allocator;
  dht->config = *config;
  dht->config.allocator = &dht->allocator;
  int error = dht_init(dht, now);
  if (error != 0) {
    kad__release(config->allocator, dht);
    return error;
  }
  *out = dht;
  return 0;
}

void kad__dht_free(kad__dht *dht) {
  if (dht == NULL) {
    return;
  }
  kad_allocator allocator = dht->allocator;
  kad__queries_fini(dht);
  kad__calls_fini(dht);
  kad__events_fini(dht);
  kad__jobs_fini(dht);
  kad__members_fini(dht);
  kad__table_fini(&dht->table);
  kad__release(&dht->allocator, dht->samples);
  kad__peer_unref(dht->book, dht->self);
  kad__peer_book_free(dht->own_book);
  kad__release(&allocator, dht);
}

void kad__dht_set_mode(kad__dht *dht, kad__dht_mode mode) {
  if (mode == dht->mode) {
    return;
  }
  dht->mode = mode;
  if ((dht->config.muted_events & 1u << KAD__DHT_MODE_CHANGED) == 0) {
    kad__dht_event event = {.type = KAD__DHT_MODE_CHANGED};
    kad__event_push(dht, &event);
  }
}

kad__dht_mode kad__dht_get_mode(const kad__dht *dht) {
  return dht->mode;
}

void kad__dht_set_wall_clock(kad__dht *dht, kad_time now, uint64_t unix_ns) {
  dht->wall_at = now;
  dht->wall_unix_ns = unix_ns;
}

const kad__dht_counters *kad__dht_counters_get(const kad__dht *dht) {
  return &dht->counters;
}

void kad__dht_trace(kad__dht *dht, bool on) {
  dht->trace = on;
}

void kad__dht_tell_peers(kad__dht *dht, bool on) {
  dht->tell_peers = on;
}

/* ---- the clock ---------------------------------------------------------- */

kad_time kad__dht_deadline(const kad__dht *dht) {
  const kad__store *store = dht->config.store;
  kad_time at = kad__time_min(kad__heap_deadline(&dht->timers),
                              kad__heap_deadline(&dht->query_timers));
  at = kad__time_min(at, kad__bootstrap_deadline(dht));
  at = kad__time_min(at, kad__members_deadline(dht));
  at = kad__time_min(at, kad__jobs_deadline(dht));
  return kad__time_min(at, store->ops->deadline(store));
}

void kad__dht_tick(kad__dht *dht, kad_time now) {
  kad__store *store = dht->config.store;
  /* First the queries: a call that ends with its query is no peer's fault. */
  kad__queries_tick(dht, now);
  kad__calls_tick(dht, now);
  kad__members_tick(dht, now);
  kad__bootstrap_tick(dht, now);
  kad__jobs_tick(dht, now);
  if (store->ops->deadline(store) <= now) {
    store->ops->expire(store, now);
  }
}

const char *kad__dht_check(const kad__dht *dht) {
  const char *broken = kad__table_check(&dht->table);
  if (broken == NULL) {
    broken = kad__calls_check(dht);
  }
  return broken != NULL ? broken : kad__queries_check(dht);
}
