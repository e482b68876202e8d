/* Networks of bare DHTs: lookups find what is truly closest, in few hops, also
 * when nodes are gone and messages are lost; and a seed decides everything. */
#include "identity/digest.h"
#include "kademlia/key.h"
#include "simulator/bare.h"
#include "support.h"

#define GAP (10 * KAD_MILLISECOND)

static void config_of(kad__bare_config *config, uint64_t seed) {
  kad__bare_config_default(config);
  config->allocator = kad_allocator_default();
  config->seed = seed;
}

static kad__bare *network(uint64_t seed, uint32_t nodes, uint32_t loss) {
  kad__bare_config config;
  kad__bare *bare = NULL;
  config_of(&config, seed);
  config.loss_per_million = loss;
  assert_ok(kad__bare_new(&bare, &config));
  assert_ok(kad__bare_grow(bare, nodes, GAP));
  assert_int_equal(kad__bare_count(bare), nodes);
  return bare;
}

static void check_all(const kad__bare *bare) {
  for (uint32_t i = 0; i < kad__bare_count(bare); i++) {
    kad__dht *dht = kad__bare_dht(bare, i);
    const char *broken = dht == NULL ? NULL : kad__dht_check(dht);
    if (broken != NULL) {
      fail_msg("node %u: %s", i, broken);
    }
  }
}

static kad__bare_survey survey(kad__bare *bare, uint32_t lookups) {
  kad__bare_survey s;
  assert_ok(kad__bare_look(bare, &s, lookups));
  assert_int_equal(s.lookups, lookups);
  printf(
      "%zu nodes: %u of %u found the closest, %.2f%% of the twenty, %.2f "
      "hops, %.1f requests, %.0f ms\n",
      kad__bare_count(bare), s.closest, s.lookups,
      100.0 * (double)s.found / (double)s.wanted, (double)s.hops / s.lookups,
      (double)s.requests / s.lookups,
      (double)s.time / (double)KAD_MILLISECOND / s.lookups);
  return s;
}

/* A thousand nodes find the true closest, a hundred in fewer hops. */
static void test_closest_and_hops(void **state) {
  (void)state;
  uint64_t seed = test_seed("closest_and_hops");
  kad__bare *small = network(seed, 100, 0);
  kad__bare *large = network(seed + 1, 1000, 0);
  kad__bare_survey few = survey(small, 300);
  kad__bare_survey many = survey(large, 300);
  check_all(small);
  check_all(large);
  assert_true(few.closest * 100 >= few.lookups * 99);
  assert_true(many.closest * 100 >= many.lookups * 99);
  assert_true(many.found * 100 >= many.wanted * 98);
  assert_true(few.hops < many.hops);
  /* log2 of 1,000 is 10: a linear search would need hundreds. */
  assert_true(many.hops <= 6 * (uint64_t)many.lookups);
  assert_int_equal(few.failures + many.failures, 0);
  kad__bare_free(small);
  kad__bare_free(large);
}

static uint64_t trace_of(uint64_t seed) {
  kad__bare *bare = network(seed, 60, 10000);
  (void)survey(bare, 30);
  uint64_t trace = kad__bare_trace(bare);
  kad__bare_free(bare);
  return trace;
}

static void test_seed_decides(void **state) {
  (void)state;
  uint64_t seed = test_seed("seed_decides");
  uint64_t trace = trace_of(seed);
  assert_true(trace == trace_of(seed));
  assert_true(trace != trace_of(seed + 1));
}

/* A fifth of the nodes goes without a word, and messages are lost. */
static void test_crashes_and_loss(void **state) {
  (void)state;
  const uint32_t count = 300;
  kad__bare *bare = network(test_seed("crashes_and_loss"), count, 5000);
  for (uint32_t i = 0; i < count; i += 5) {
    kad__bare_crash(bare, i);
    kad__bare_crash(bare, i); /* once is enough */
    assert_null(kad__bare_dht(bare, i));
  }
  kad__bare_survey s = survey(bare, 240);
  const kad__bare_counters *counters = kad__bare_counters_get(bare);
  check_all(bare);
  assert_true(counters->losses > 0 && counters->unreachable > 0);
  assert_true(s.closest * 100 >= s.lookups * 90);
  kad__bare_free(bare);
}

/* The truth, compared with looking at everybody. */
static void test_truth(void **state) {
  (void)state;
  const uint32_t count = 200;
  kad__bare *bare = network(test_seed("truth"), count, 0);
  for (uint32_t i = 0; i < 40; i++) {
    uint32_t found[KAD__K];
    uint8_t key[4];
    kad__store32(key, i);
    if (i == 20) {
      kad__bare_crash(bare, 3);
    }
    kad__key target = kad__key_of(kad__sha256, kad__bytes(key, 4));
    int n = kad__bare_closest(bare, found, KAD__K, kad__bytes(key, 4), i);
    assert_int_equal(n, KAD__K);
    for (uint32_t k = 0; k < KAD__K; k++) {
      uint32_t closer = 0;
      kad__key d = kad__key_of(kad__sha256, kad__bare_id(bare, found[k]));
      d = kad__key_distance(&d, &target);
      for (uint32_t j = 0; j < count; j++) {
        kad__key e = kad__key_of(kad__sha256, kad__bare_id(bare, j));
        e = kad__key_distance(&e, &target);
        closer += j != i && kad__bare_dht(bare, j) != NULL &&
                  kad__key_compare(&e, &d) < 0;
      }
      assert_int_equal(closer, k);
    }
  }
  assert_int_equal(kad__bare_find(bare, kad__bare_id(bare, 7)), 7);
  assert_int_equal(kad__bare_find(bare, kad__bytes_of("nobody")),
                   KAD__BARE_NOBODY);
  kad__bare_free(bare);
}

static void test_nobody_there(void **state) {
  (void)state;
  kad__bare_config config;
  kad__bare *bare = NULL;
  kad__bare_survey s;
  uint32_t found[3];
  config_of(&config, 1);
  config.latency_min = config.latency_max + 1;
  assert_error(KAD_E_INVALID_ARGUMENT, kad__bare_new(&bare, &config));
  config_of(&config, 1);
  assert_ok(kad__bare_new(&bare, &config));
  assert_error(KAD_E_NO_PEERS, kad__bare_look(bare, &s, 1));
  assert_int_equal(kad__bare_closest(bare, found, 3, kad__bytes_of("key"), 0),
                   0);
  assert_false(kad__bare_step(bare, kad__bare_now(bare) + KAD_SECOND));
  assert_int_equal(kad__bare_add(bare, KAD__BARE_NOBODY), 0);
  kad__bare_crash(bare, 0);
  assert_error(KAD_E_NO_PEERS, kad__bare_look(bare, &s, 1));
  kad__bare_free(bare);
  kad__bare_free(NULL);
}

/* Who comes back knows whom it has dialled, and nobody else: answers to its
 * earlier life are lost. Who is silent is not among the closest. */
static void test_return(void **state) {
  (void)state;
  const uint32_t contacts[] = {1, 2, 9};
  uint32_t found[2];
  kad__query_id id;
  kad__bare *bare = network(test_seed("return"), 60, 0);
  kad__dht *dht = kad__bare_dht(bare, 7);
  assert_error(KAD_E_STATE, kad__bare_return(bare, 7, contacts, 3));
  assert_ok(kad__dht_find_closest(dht, &id, kad__bytes_of("key"), KAD__K,
                                  kad__bare_now(bare)));
  kad__bare_touch(bare, 7);
  kad__bare_crash(bare, 9);
  kad__bare_crash(bare, 7);
  assert_null(kad__bare_store(bare, 7));
  assert_ok(kad__bare_return(bare, 7, contacts, 3));
  assert_non_null(kad__bare_store(bare, 7));
  dht = kad__bare_dht(bare, 7);
  assert_int_equal(kad__dht_table_size(dht), 0);
  kad_time end = kad__bare_now(bare) + 400 * KAD_MILLISECOND;
  while (kad__bare_step(bare, end)) {
  }
  assert_int_equal(kad__dht_counters_get(dht)->replies, 0);
  assert_int_equal(kad__dht_table_size(dht), 2);
  check_all(bare);
  kad__bare_silence(bare, 7);
  assert_int_equal(kad__bare_closest(bare, found, 1, kad__bare_id(bare, 7),
                                     KAD__BARE_NOBODY),
                   1);
  assert_true(found[0] != 7);
  kad__bare_free(bare);
}

static int build_with(const test_allocator *t) {
  kad__bare_config config;
  kad__bare *bare = NULL;
  uint32_t found[4];
  config_of(&config, 1);
  config.allocator = &t->allocator;
  int error = kad__bare_new(&bare, &config);
  for (uint32_t i = 0; i < 8 && error >= 0; i++) {
    error = kad__bare_add(bare, i == 0 ? KAD__BARE_NOBODY : i - 1);
  }
  if (error >= 0) {
    kad__bare_crash(bare, 3);
    error = kad__bare_return(bare, 3, (uint32_t[]){0, 1}, 2);
  }
  if (error >= 0) {
    (void)kad__bare_step(bare, kad__bare_now(bare) + KAD_SECOND);
    error = kad__bare_closest(bare, found, 4, kad__bytes_of("key"), 0);
  }
  if (bare != NULL) {
    check_all(bare);
  }
  kad__bare_free(bare);
  return error;
}

/* Whatever allocation fails, nothing leaks, and what cannot go on says so. */
static void test_no_memory(void **state) {
  (void)state;
  test_allocator t;
  size_t failures = 0;
  test_allocator_init(&t);
  assert_int_equal(build_with(&t), 4);
  assert_int_equal(t.live, 0);
  size_t calls = t.calls;
  for (size_t i = 1; i <= calls; i++) {
    test_allocator_init(&t);
    t.fail_at = i;
    int error = build_with(&t);
    assert_true(error == 4 || error == KAD_E_NO_MEMORY);
    assert_int_equal(t.live, 0);
    failures += error == KAD_E_NO_MEMORY;
  }
  assert_true(failures > 20);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_closest_and_hops),
      cmocka_unit_test(test_seed_decides),
      cmocka_unit_test(test_crashes_and_loss),
      cmocka_unit_test(test_truth),
      cmocka_unit_test(test_nobody_there),
      cmocka_unit_test(test_return),
      cmocka_unit_test(test_no_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
