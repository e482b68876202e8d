/* What happens by the clock: bootstraps, replication, publication. */
#include "one.h"

/* Answers everything for `duration`; counts the calls by type. */
static void serve(one *o, kad_time duration, unsigned counts[6]) {
  kad_time until = o->now + duration;
  for (;;) {
    kad__dht_call call;
    while (kad__dht_poll_call(o->dht, &call)) {
      counts[call.message->type]++;
      one_empty(o, &call);
    }
    kad_time at = kad__dht_deadline(o->dht);
    if (at > until) {
      o->now = until;
      return;
    }
    one_advance(o, at > o->now ? at - o->now : 0);
  }
}

static unsigned bootstraps(one *o, kad_time duration) {
  unsigned counts[6] = {0};
  unsigned n = 0;
  serve(o, duration, counts);
  while (one_event(o, KAD__DHT_QUERY_ENDED)) {
    n += o->event.kind == KAD__QUERY_BOOTSTRAP;
  }
  return n;
}

/* ---- bootstrap ---------------------------------------------------------- */

static void test_bootstrap_by_request(void **state) {
  (void)state;
  one o;
  kad__query_id id;
  one_setup(&o);
  one_start(&o);
  /* 1 and 3 share no bit with us, 16 the first four. */
  one_add(&o, 1);
  one_add(&o, 3);
  one_add(&o, 16);
  assert_ok(kad__dht_bootstrap(o.dht, &id, o.now));
  for (int i = 0; i < 3; i++) {
    kad__dht_call call = one_call(&o);
    assert_int_equal(call.message->type, KAD__FIND_NODE);
    assert_bytes_equal(call.message->key, one_id(0));
    one_empty(&o, &call);
  }
  assert_true(one_event(&o, KAD__DHT_PROGRESS));
  assert_true(o.event.query == id);
  assert_int_equal(o.event.remaining, 4);
  /* Then a key in each bucket above our nearest neighbour's, nearest first. */
  for (uint32_t bucket = 3;; bucket--) {
    kad__key local = kad__key_of(one_hash, one_id(0));
    for (int i = 0; i < 3; i++) {
      kad__dht_call call = one_call(&o);
      kad__key key = kad__key_of(one_hash, call.message->key);
      assert_int_equal(kad__key_common(&local, &key), bucket);
      one_empty(&o, &call);
    }
    if (bucket == 0) {
      break;
    }
    assert_true(one_event(&o, KAD__DHT_PROGRESS));
    assert_int_equal(o.event.remaining, bucket);
  }
  assert_true(one_event(&o, KAD__DHT_PROGRESS));
  assert_int_equal(o.event.remaining, 0);
  assert_true(one_event(&o, KAD__DHT_QUERY_ENDED));
  assert_int_equal(o.event.error, 0);
  assert_int_equal(o.event.stats.requests, 15);
  one_fini(&o);
}

/* A bucket that is full of healthy peers needs nothing. */
static void test_full_buckets_are_passed_over(void **state) {
  (void)state;
  one o;
  kad__query_id id;
  unsigned counts[6] = {0};
  one_setup(&o);
  o.config.bucket_size = 1;
  one_start(&o);
  one_add(&o, 1);
  one_add(&o, 2);
  one_add(&o, 4);
  assert_ok(kad__dht_bootstrap(o.dht, &id, o.now));
  serve(&o, KAD_SECOND, counts);
  assert_true(one_event(&o, KAD__DHT_QUERY_ENDED));
  assert_int_equal(o.event.stats.requests, 3);
  one_fini(&o);
}

/* A refresh begins with a few of those that we know, has no more calls under
 * way than its bucket has places, and ends when it is full. */
static void test_refresh_asks_whom_it_does_not_know(void **state) {
  (void)state;
  const unsigned known[] = {1, 3, 5, 7, 2};
  const unsigned others[] = {9, 11, 13, 15, 5, 2};
  one o;
  kad__query_id id;
  unsigned newcomers = 0;
  one_setup(&o);
  o.config.no_addresses = true;
  o.config.bucket_size = 5;
  one_start(&o);
  for (size_t i = 0; i < KAD__COUNT(known); i++) {
    one_add(&o, known[i]);
  }
  assert_ok(kad__dht_bootstrap(o.dht, &id, o.now));
  for (size_t i = 0; i < KAD__COUNT(known); i++) {
    kad__dht_call call = one_call(&o);
    one_empty(&o, &call);
  }
  /* 2 alone is in bucket 1; bucket 0 has one place. */
  while (!one_event(&o, KAD__DHT_QUERY_ENDED)) {
    kad__dht_call call = one_call(&o);
    unsigned peer = one_peer_of(&call);
    one_no_call(&o);
    assert_int_not_equal(peer, 2);
    newcomers += peer >= 9;
    one_closer(&o, &call, others, KAD__COUNT(others));
  }
  assert_int_equal(newcomers, 1);
  assert_in_range(o.event.stats.requests, 7, 9);
  assert_int_equal(kad__dht_table_size(o.dht), 6);
  one_no_call(&o);
  one_fini(&o);
}

/* With disjoint paths it trusts nobody, and asks all it can. */
static void test_wary_refresh_asks_everybody(void **state) {
  (void)state;
  one o;
  kad__query_id id;
  one_setup(&o);
  o.config.no_addresses = true;
  o.config.disjoint_paths = true;
  o.config.bucket_size = 5;
  one_start(&o);
  for (unsigned i = 1; i <= 7; i += 2) {
    one_add(&o, i);
  }
  one_add(&o, 2);
  assert_ok(kad__dht_bootstrap(o.dht, &id, o.now));
  for (int step = 0; step < 2; step++) {
    unsigned asked = 0;
    for (int i = 0; i < 5; i++) {
      kad__dht_call call = one_call(&o);
      asked |= 1u << one_peer_of(&call);
      one_empty(&o, &call);
    }
    assert_int_equal(asked, 1u << 1 | 1u << 2 | 1u << 3 | 1u << 5 | 1u << 7);
  }
  one_no_call(&o);
  one_fini(&o);
}

/* A step that nobody answers costs its own time only. */
static void test_bootstrap_goes_on_after_failures(void **state) {
  (void)state;
  one o;
  kad__query_id id;
  one_setup(&o);
  one_start(&o);
  one_add(&o, 1);
  one_add(&o, 16);
  assert_ok(kad__dht_bootstrap(o.dht, &id, o.now));
  (void)one_call(&o);
  (void)one_call(&o);
  one_advance(&o, 11 * KAD_SECOND);
  assert_true(one_event(&o, KAD__DHT_PROGRESS));
  one_advance(&o, 10 * KAD_MINUTE);
  assert_true(one_event(&o, KAD__DHT_QUERY_ENDED));
  one_fini(&o);
}

static void test_periodic_bootstrap(void **state) {
  (void)state;
  one o;
  one_setup(&o);
  o.config.bootstrap_interval = 5 * KAD_MINUTE;
  one_start(&o);
  assert_int_equal(bootstraps(&o, 20 * KAD_MINUTE), 0);
  one_add(&o, 1);
  assert_int_equal(bootstraps(&o, 4 * KAD_MINUTE), 0);
  assert_int_equal(bootstraps(&o, 2 * KAD_MINUTE), 1);
  assert_int_equal(bootstraps(&o, 10 * KAD_MINUTE), 2);
  /* One by request puts the next off. */
  kad__query_id id;
  assert_ok(kad__dht_bootstrap(o.dht, &id, o.now));
  assert_int_equal(bootstraps(&o, 4 * KAD_MINUTE + 59 * KAD_SECOND), 1);
  assert_int_equal(bootstraps(&o, 2 * KAD_SECOND), 1);
  one_fini(&o);
}

static void test_automatic_bootstrap(void **state) {
  (void)state;
  one o;
  one_setup(&o);
  o.config.bootstrap_throttle = 500 * KAD_MILLISECOND;
  one_start(&o);
  one_add(&o, 1);
  assert_int_equal(bootstraps(&o, 400 * KAD_MILLISECOND), 0);
  /* Each newcomer puts it off. */
  one_add(&o, 2);
  assert_int_equal(bootstraps(&o, 400 * KAD_MILLISECOND), 0);
  assert_int_equal(bootstraps(&o, 200 * KAD_MILLISECOND), 1);
  assert_int_equal(bootstraps(&o, KAD_HOUR), 0);
  /* A table of twenty is long enough. */
  for (unsigned i = 3; i <= 20; i++) {
    one_add(&o, i);
  }
  assert_int_equal(bootstraps(&o, KAD_SECOND), 1);
  for (unsigned i = 21; i <= 25; i++) {
    one_add(&o, i);
  }
  assert_int_equal(bootstraps(&o, KAD_HOUR), 0);
  one_fini(&o);
}

/* Of `found` peers that a bootstrap finds: how many bootstraps run. */
static unsigned bootstraps_finding(unsigned found) {
  one o;
  kad__query_id id;
  unsigned peers[KAD__K];
  one_setup(&o);
  o.config.no_addresses = true;
  o.config.bootstrap_throttle = 500 * KAD_MILLISECOND;
  one_start(&o);
  one_add(&o, 1);
  assert_ok(kad__dht_bootstrap(o.dht, &id, o.now));
  for (unsigned i = 0; i < found; i++) {
    peers[i] = 2 + i;
  }
  kad__dht_call call = one_call(&o);
  one_closer(&o, &call, peers, found);
  unsigned n = bootstraps(&o, KAD_HOUR);
  one_fini(&o);
  return n;
}

/* Whom a bootstrap finds is a reason for another only if they are few. */
static void test_bootstrap_starts_no_other(void **state) {
  (void)state;
  assert_int_equal(bootstraps_finding(KAD__K), 1);
  assert_int_equal(bootstraps_finding(5), 2);
}

/* None begins by itself while one runs; what came due then begins after. */
static void test_one_bootstrap_at_a_time(void **state) {
  (void)state;
  one o;
  kad__query_id id;
  one_setup(&o);
  o.config.bootstrap_interval = 5 * KAD_SECOND;
  one_start(&o);
  one_add(&o, 1);
  assert_ok(kad__dht_bootstrap(o.dht, &id, o.now));
  kad__dht_call call = one_call(&o);
  one_advance(&o, 9 * KAD_SECOND);
  one_no_call(&o);
  one_empty(&o, &call);
  assert_true(one_event(&o, KAD__DHT_QUERY_ENDED));
  assert_true(kad__dht_deadline(o.dht) <= o.now);
  kad__dht_tick(o.dht, o.now);
  (void)one_call(&o);
  one_fini(&o);
}

/* ---- records ------------------------------------------------------------ */

static unsigned ended(one *o, kad__query_kind kind) {
  unsigned n = 0;
  while (one_event(o, KAD__DHT_QUERY_ENDED)) {
    n += o->event.kind == kind;
    assert_int_equal(o->event.error, 0);
  }
  return n;
}

static void put_foreign(one *o, unsigned key) {
  kad__message m;
  memset(&m, 0, sizeof m);
  kad__message_init(&m, KAD__PUT_VALUE);
  m.key = one_id(key);
  m.has_record = true;
  m.record.key = m.key;
  m.record.value = one_id(key);
  assert_int_equal(one_ask(o, 2000, &m), 1);
}

static void test_own_records_are_published_again(void **state) {
  (void)state;
  one o;
  kad__query_id id;
  unsigned counts[6] = {0};
  one_setup(&o);
  o.config.replication_interval = KAD_HOUR;
  o.config.publication_interval = 10 * KAD_HOUR;
  one_start(&o);
  one_add(&o, 1);
  for (unsigned i = 0; i < 5; i++) {
    assert_ok(kad__dht_put(o.dht, &id, one_id(100 + i), one_id(i),
                           KAD_TIME_NEVER, (kad__quorum){0}, o.now));
  }
  serve(&o, 9 * KAD_HOUR, counts);
  assert_int_equal(ended(&o, KAD__QUERY_REPUBLISH), 0);
  assert_int_equal(counts[KAD__PUT_VALUE], 5);
  serve(&o, 12 * KAD_HOUR, counts);
  assert_in_range(ended(&o, KAD__QUERY_REPUBLISH), 4, 6);
  assert_in_range(counts[KAD__PUT_VALUE], 9, 11);
  /* Until removed. */
  for (unsigned i = 0; i < 5; i++) {
    kad__dht_remove(o.dht, one_id(100 + i));
  }
  serve(&o, 40 * KAD_HOUR, counts);
  assert_int_equal(ended(&o, KAD__QUERY_REPUBLISH), 0);
  one_fini(&o);
}

/* Records of others go to those that are closest now, evenly over the interval,
 * in silence. */
static void test_records_are_replicated(void **state) {
  (void)state;
  one o;
  unsigned counts[6] = {0};
  one_setup(&o);
  o.config.publication_interval = KAD_TIME_NEVER;
  one_start(&o);
  one_add(&o, 1);
  for (unsigned i = 0; i < 60; i++) {
    put_foreign(&o, 100 + i);
  }
  /* In the first hour they are as good as replicated: somebody gave them. */
  serve(&o, KAD_HOUR - 1, counts);
  assert_int_equal(counts[KAD__PUT_VALUE], 0);
  serve(&o, KAD_HOUR, counts);
  memset(counts, 0, sizeof counts);
  unsigned most = 0;
  for (int i = 0; i < 60; i++) {
    unsigned slice[6] = {0};
    serve(&o, KAD_MINUTE, slice);
    most = slice[KAD__PUT_VALUE] > most ? slice[KAD__PUT_VALUE] : most;
    counts[KAD__PUT_VALUE] += slice[KAD__PUT_VALUE];
  }
  assert_in_range(counts[KAD__PUT_VALUE], 50, 70);
  assert_true(most <= 4);
  assert_false(one_event(&o, KAD__DHT_QUERY_ENDED));
  one_fini(&o);
}

/* What somebody else has just replicated is left alone. */
static void test_replicated_records_are_skipped(void **state) {
  (void)state;
  one o;
  unsigned counts[6] = {0};
  one_setup(&o);
  o.config.publication_interval = KAD_TIME_NEVER;
  one_start(&o);
  one_add(&o, 1);
  for (int i = 0; i < 20; i++) {
    put_foreign(&o, 100);
    serve(&o, KAD_HOUR / 2, counts);
  }
  assert_int_equal(counts[KAD__PUT_VALUE], 0);
  serve(&o, 4 * KAD_HOUR, counts);
  assert_in_range(counts[KAD__PUT_VALUE], 2, 5);
  one_fini(&o);
}

static void test_providing_goes_on(void **state) {
  (void)state;
  one o;
  kad__query_id id;
  unsigned counts[6] = {0};
  one_setup(&o);
  o.config.replication_interval = KAD_TIME_NEVER;
  o.config.publication_interval = KAD_TIME_NEVER;
  o.config.provider_publication_interval = 10 * KAD_HOUR;
  one_start(&o);
  one_add(&o, 1);
  for (unsigned i = 0; i < 30; i++) {
    assert_ok(kad__dht_provide(o.dht, &id, one_id(100 + i), o.now));
  }
  serve(&o, KAD_HOUR, counts);
  assert_int_equal(ended(&o, KAD__QUERY_PROVIDE), 30);
  serve(&o, 20 * KAD_HOUR, counts);
  assert_in_range(ended(&o, KAD__QUERY_REPROVIDE), 25, 60);
  for (unsigned i = 0; i < 30; i++) {
    kad__dht_stop_providing(o.dht, one_id(100 + i));
  }
  serve(&o, 30 * KAD_HOUR, counts);
  assert_int_equal(ended(&o, KAD__QUERY_REPROVIDE), 0);
  one_fini(&o);
}

#define EARLIER 8

/* What the store brings along from an earlier life is sent soon, but not while
 * there is nobody to send it to; then at its usual pace. */
static void test_earlier_life(void **state) {
  (void)state;
  one o;
  unsigned counts[6] = {0};
  one_setup(&o);
  one_start(&o);
  for (unsigned i = 0; i < EARLIER; i++) {
    kad__provider provided = {.key = one_id(100 + i),
                              .provider = o.config.local_id,
                              .expires = KAD_TIME_NEVER};
    kad__record record = {.key = one_id(200 + i),
                          .value = one_id(200 + i),
                          .publisher = o.config.local_id,
                          .expires = KAD_TIME_NEVER};
    assert_ok(o.store->ops->add_provider(o.store, &provided, true));
    assert_ok(o.store->ops->put(o.store, &record, true));
  }
  /* Anew over the same store, as a node does whose store is on disk. */
  kad__dht_free(o.dht);
  assert_ok(kad__dht_new(&o.dht, &o.config, o.now));
  kad__dht_set_mode(o.dht, KAD__MODE_SERVER);
  serve(&o, 10 * KAD_MINUTE, counts);
  assert_int_equal(counts[KAD__ADD_PROVIDER] + counts[KAD__PUT_VALUE], 0);
  one_add(&o, 1);
  serve(&o, KAD_MINUTE, counts);
  assert_in_range(counts[KAD__ADD_PROVIDER], 1, EARLIER - 1);
  assert_in_range(counts[KAD__PUT_VALUE], 1, EARLIER - 1);
  serve(&o, 3 * KAD_HOUR, counts);
  assert_int_equal(counts[KAD__ADD_PROVIDER], EARLIER);
  assert_int_equal(counts[KAD__PUT_VALUE], EARLIER);
  serve(&o, 17 * KAD_HOUR, counts);
  assert_int_equal(counts[KAD__ADD_PROVIDER], EARLIER);
  assert_int_equal(counts[KAD__PUT_VALUE], EARLIER);
  serve(&o, 24 * KAD_HOUR, counts);
  assert_in_range(counts[KAD__ADD_PROVIDER], 2 * EARLIER - 1, 2 * EARLIER + 2);
  /* The same while it runs, as a node does with a snapshot. */
  unsigned before = counts[KAD__ADD_PROVIDER];
  kad__dht_resume(o.dht, o.now);
  serve(&o, 3 * KAD_HOUR, counts);
  assert_int_equal(counts[KAD__ADD_PROVIDER], before + EARLIER);
  one_fini(&o);
}

static void test_jobs_can_be_switched_off(void **state) {
  (void)state;
  one o;
  kad__query_id id;
  unsigned counts[6] = {0};
  one_setup(&o);
  o.config.replication_interval = KAD_TIME_NEVER;
  o.config.publication_interval = KAD_TIME_NEVER;
  o.config.provider_publication_interval = KAD_TIME_NEVER;
  one_start(&o);
  one_add(&o, 1);
  put_foreign(&o, 7);
  assert_ok(kad__dht_provide(o.dht, &id, one_id(100), o.now));
  serve(&o, KAD_MINUTE, counts);
  serve(&o, 1000 * KAD_HOUR, counts);
  assert_int_equal(counts[KAD__ADD_PROVIDER], 1);
  assert_int_equal(counts[KAD__PUT_VALUE], 0);
  one_fini(&o);
}

/* Jobs wait while the owner keeps us busy. */
static void test_jobs_wait_for_queries(void **state) {
  (void)state;
  one o;
  kad__query_id id;
  kad__dht_call call;
  unsigned puts = 0;
  one_setup(&o);
  o.config.publication_interval = KAD_TIME_NEVER;
  o.config.query_timeout = 10 * KAD_HOUR;
  o.config.peer_timeout = KAD_TIME_NEVER;
  one_start(&o);
  one_add(&o, 1);
  put_foreign(&o, 7);
  for (int i = 0; i < 101; i++) {
    assert_ok(kad__dht_find_closest(o.dht, &id, one_id(9), 20, o.now));
  }
  for (int i = 0; i < 300; i++) {
    while (kad__dht_poll_call(o.dht, &call)) {
      puts += kad__bytes_equal(call.message->key, one_id(7));
    }
    one_advance(&o, KAD_MINUTE);
  }
  assert_int_equal(puts, 0);
  one_fini(&o);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_bootstrap_by_request),
      cmocka_unit_test(test_full_buckets_are_passed_over),
      cmocka_unit_test(test_refresh_asks_whom_it_does_not_know),
      cmocka_unit_test(test_wary_refresh_asks_everybody),
      cmocka_unit_test(test_bootstrap_goes_on_after_failures),
      cmocka_unit_test(test_periodic_bootstrap),
      cmocka_unit_test(test_automatic_bootstrap),
      cmocka_unit_test(test_bootstrap_starts_no_other),
      cmocka_unit_test(test_one_bootstrap_at_a_time),
      cmocka_unit_test(test_own_records_are_published_again),
      cmocka_unit_test(test_records_are_replicated),
      cmocka_unit_test(test_replicated_records_are_skipped),
      cmocka_unit_test(test_providing_goes_on),
      cmocka_unit_test(test_earlier_life),
      cmocka_unit_test(test_jobs_can_be_switched_off),
      cmocka_unit_test(test_jobs_wait_for_queries),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
