/* The memory store: what it keeps, in which order, for how long, and what it
 * refuses to whom. */
#include "kademlia/memory_store.h"
#include "kademlia/ordered.h"
#include "support.h"

static const uint64_t secret[2] = {11, 12};

typedef struct fixture {
  test_allocator memory;
  kad__memory_store_config config;
  kad__store *s;
} fixture;

static void setup(fixture *f) {
  test_allocator_init(&f->memory);
  kad__memory_store_config_default(&f->config);
  f->s = NULL;
}

static void start(fixture *f) {
  assert_ok(
      kad__memory_store_new(&f->s, &f->memory.allocator, &f->config, secret));
}

static void fini(fixture *f) {
  f->s->ops->free(f->s);
  assert_int_equal(f->memory.live, 0);
}

static kad_bytes number(unsigned n) {
  static uint8_t keys[70000][4];
  kad__store32(keys[n], n);
  return kad__bytes(keys[n], 4);
}

static int put(fixture *f, unsigned key, unsigned source, kad_time expires) {
  kad__record record = {.key = number(key),
                        .value = number(key + 1),
                        .publisher = number(source),
                        .expires = expires,
                        .source = number(source)};
  return f->s->ops->put(f->s, &record, false);
}

static int put_own(fixture *f, unsigned key) {
  kad__record record = {
      .key = number(key), .value = number(key), .expires = KAD_TIME_NEVER};
  return f->s->ops->put(f->s, &record, true);
}

static bool has(fixture *f, unsigned key) {
  kad__record record;
  return f->s->ops->get(f->s, &record, number(key));
}

static int provide(fixture *f, unsigned key, unsigned peer, kad_time expires) {
  kad__provider record = {.key = number(key),
                          .provider = number(peer),
                          .addresses = number(peer + 1),
                          .expires = expires};
  return f->s->ops->add_provider(f->s, &record, false);
}

static int provide_own(fixture *f, unsigned key) {
  kad__provider record = {
      .key = number(key), .provider = number(0), .expires = KAD_TIME_NEVER};
  return f->s->ops->add_provider(f->s, &record, true);
}

static size_t providers(fixture *f, unsigned key, kad__provider *out,
                        size_t cap) {
  return f->s->ops->providers(f->s, out, cap, number(key));
}

static size_t provider_count(fixture *f, unsigned key) {
  kad__provider list[600];
  return providers(f, key, list, KAD__COUNT(list));
}

/* ---- values ------------------------------------------------------------- */

static void test_put_get_remove(void **state) {
  (void)state;
  fixture f;
  kad__record record;
  setup(&f);
  start(&f);
  assert_false(has(&f, 1));
  assert_ok(put(&f, 1, 9, KAD_HOUR));
  assert_true(f.s->ops->get(f.s, &record, number(1)));
  assert_bytes_equal(record.key, number(1));
  assert_bytes_equal(record.value, number(2));
  assert_bytes_equal(record.publisher, number(9));
  assert_true(record.expires == KAD_HOUR);
  f.s->ops->remove(f.s, number(2));
  assert_true(has(&f, 1));
  f.s->ops->remove(f.s, number(1));
  assert_false(has(&f, 1));
  fini(&f);
}

static void test_walks_in_order(void **state) {
  (void)state;
  fixture f;
  kad__record record;
  kad_bytes after = {0};
  unsigned count = 0;
  bool own;
  setup(&f);
  start(&f);
  for (unsigned i = 0; i < 500; i++) {
    unsigned key = i * 7919 % 500;
    assert_ok(key % 3 == 0 ? put_own(&f, key) : put(&f, key, 9, KAD_HOUR));
  }
  while (f.s->ops->next(f.s, &record, &own, after)) {
    assert_bytes_equal(record.key, number(count));
    assert_int_equal(own, count % 3 == 0);
    after = record.key;
    count++;
  }
  assert_int_equal(count, 500);
  fini(&f);
}

static void test_values_expire(void **state) {
  (void)state;
  fixture f;
  setup(&f);
  start(&f);
  assert_true(f.s->ops->deadline(f.s) == KAD_TIME_NEVER);
  assert_ok(put(&f, 1, 9, 30 * KAD_SECOND));
  assert_ok(put(&f, 2, 9, 20 * KAD_SECOND));
  assert_ok(put_own(&f, 3));
  assert_true(f.s->ops->deadline(f.s) == 20 * KAD_SECOND);
  f.s->ops->expire(f.s, 19 * KAD_SECOND);
  assert_true(has(&f, 2));
  f.s->ops->expire(f.s, 20 * KAD_SECOND);
  assert_false(has(&f, 2));
  assert_true(has(&f, 1));
  /* Put again, it lives longer. */
  assert_ok(put(&f, 1, 9, 50 * KAD_SECOND));
  f.s->ops->expire(f.s, 49 * KAD_SECOND);
  assert_true(has(&f, 1));
  f.s->ops->expire(f.s, KAD_HOUR);
  assert_false(has(&f, 1));
  assert_true(has(&f, 3));
  assert_true(f.s->ops->deadline(f.s) == KAD_TIME_NEVER);
  fini(&f);
}

/* Sweeping does a bounded piece of work at a time. */
static void test_sweeping_is_bounded(void **state) {
  (void)state;
  fixture f;
  setup(&f);
  start(&f);
  for (unsigned i = 0; i < 1000; i++) {
    assert_ok(put(&f, i, 9, KAD_SECOND));
  }
  int rounds = 0;
  while (f.s->ops->deadline(f.s) <= KAD_SECOND) {
    f.s->ops->expire(f.s, KAD_SECOND);
    rounds++;
  }
  assert_in_range(rounds, 2, 10);
  assert_false(has(&f, 999));
  fini(&f);
}

static void test_limits_of_values(void **state) {
  (void)state;
  fixture f;
  uint8_t big[100] = {0};
  setup(&f);
  f.config.max_records = 10;
  f.config.max_own_records = 3;
  f.config.max_value = 50;
  start(&f);
  kad__record large = {.key = number(1),
                       .value = kad__bytes(big, 51),
                       .expires = KAD_TIME_NEVER};
  assert_error(KAD_E_RECORD_TOO_LARGE, f.s->ops->put(f.s, &large, true));
  assert_error(KAD_E_RECORD_TOO_LARGE, f.s->ops->put(f.s, &large, false));
  for (unsigned i = 0; i < 10; i++) {
    assert_ok(put(&f, i, 9, KAD_HOUR));
  }
  assert_error(KAD_E_STORE_FULL, put(&f, 10, 9, KAD_HOUR));
  /* What is there can be renewed; ours has room of its own. */
  assert_ok(put(&f, 5, 9, 2 * KAD_HOUR));
  for (unsigned i = 0; i < 3; i++) {
    assert_ok(put_own(&f, 20 + i));
  }
  assert_error(KAD_E_STORE_FULL, put_own(&f, 30));
  assert_ok(put_own(&f, 20));
  f.s->ops->remove(f.s, number(20));
  assert_ok(put_own(&f, 30));
  fini(&f);
}

/* Whoever took the room makes way for those who have less of it (S-, G-16). */
static void test_nobody_fills_the_store(void **state) {
  (void)state;
  fixture f;
  setup(&f);
  f.config.max_records = 100;
  start(&f);
  for (unsigned i = 0; i < 1000; i++) {
    int error = put(&f, i, 9, KAD_HOUR);
    assert_int_equal(error, i < 100 ? 0 : KAD_E_STORE_FULL);
  }
  for (unsigned i = 0; i < 30; i++) {
    assert_ok(put(&f, 2000 + i, 100 + i, KAD_HOUR));
  }
  for (unsigned i = 1000; i < 1500; i++) {
    assert_error(KAD_E_STORE_FULL, put(&f, i, 9, KAD_HOUR));
  }
  for (unsigned i = 0; i < 30; i++) {
    assert_true(has(&f, 2000 + i));
    assert_false(has(&f, i));
  }
  assert_true(has(&f, 99));
  fini(&f);
}

static void test_bytes_are_bounded(void **state) {
  (void)state;
  fixture f;
  static uint8_t big[10000];
  setup(&f);
  f.config.max_bytes = 100000;
  start(&f);
  int full = 0;
  for (unsigned i = 0; i < 100; i++) {
    kad__record record = {.key = number(i),
                          .value = kad__bytes(big, sizeof big),
                          .expires = KAD_HOUR,
                          .source = number(9)};
    int error = f.s->ops->put(f.s, &record, false);
    full += error == KAD_E_STORE_FULL;
  }
  assert_in_range(full, 90, 95);
  assert_true(f.memory.live_bytes < 150000);
  fini(&f);
}

/* ---- providers ---------------------------------------------------------- */

static void test_add_and_remove_providers(void **state) {
  (void)state;
  fixture f;
  kad__provider list[4];
  setup(&f);
  start(&f);
  assert_int_equal(providers(&f, 1, list, 4), 0);
  assert_ok(provide(&f, 1, 7, KAD_HOUR));
  assert_ok(provide(&f, 1, 5, KAD_HOUR));
  assert_ok(provide(&f, 1, 6, KAD_HOUR));
  assert_int_equal(providers(&f, 1, list, 4), 3);
  assert_bytes_equal(list[0].provider, number(7));
  assert_bytes_equal(list[1].provider, number(5));
  assert_bytes_equal(list[2].provider, number(6));
  assert_bytes_equal(list[2].addresses, number(7));
  assert_bytes_equal(list[2].key, number(1));
  assert_int_equal(providers(&f, 1, list, 2), 2);
  /* An update takes the place of the old. */
  kad__provider update = {
      .key = number(1), .provider = number(5), .expires = 2 * KAD_HOUR};
  assert_ok(f.s->ops->add_provider(f.s, &update, false));
  assert_int_equal(providers(&f, 1, list, 4), 3);
  assert_bytes_equal(list[1].provider, number(5));
  assert_int_equal(list[1].addresses.len, 0);
  assert_true(list[1].expires == 2 * KAD_HOUR);
  f.s->ops->remove_provider(f.s, number(1), number(7));
  f.s->ops->remove_provider(f.s, number(1), number(8));
  f.s->ops->remove_provider(f.s, number(2), number(5));
  assert_int_equal(provider_count(&f, 1), 2);
  fini(&f);
}

static void test_provided(void **state) {
  (void)state;
  fixture f;
  kad__provider record;
  kad_bytes after = {0};
  unsigned count = 0;
  setup(&f);
  f.config.max_provided = 50;
  start(&f);
  for (unsigned i = 0; i < 50; i++) {
    assert_ok(provide_own(&f, i * 37 % 50));
    assert_ok(provide(&f, i, 9, KAD_HOUR));
  }
  assert_ok(provide_own(&f, 7));
  assert_error(KAD_E_STORE_FULL, provide_own(&f, 51));
  while (f.s->ops->next_provided(f.s, &record, after)) {
    assert_bytes_equal(record.key, number(count));
    assert_bytes_equal(record.provider, number(0));
    after = record.key;
    count++;
  }
  assert_int_equal(count, 50);
  f.s->ops->remove_provider(f.s, number(7), number(0));
  assert_ok(provide_own(&f, 51));
  assert_int_equal(provider_count(&f, 7), 1);
  fini(&f);
}

static void test_providers_expire(void **state) {
  (void)state;
  fixture f;
  setup(&f);
  start(&f);
  assert_ok(provide(&f, 1, 5, 10 * KAD_SECOND));
  assert_ok(provide(&f, 1, 6, 20 * KAD_SECOND));
  assert_ok(provide_own(&f, 1));
  assert_true(f.s->ops->deadline(f.s) == 10 * KAD_SECOND);
  f.s->ops->expire(f.s, 10 * KAD_SECOND);
  assert_int_equal(provider_count(&f, 1), 2);
  f.s->ops->expire(f.s, KAD_HOUR);
  assert_int_equal(provider_count(&f, 1), 1);
  fini(&f);
}

/* A key that is full keeps a part that nobody can choose: neither the first
 * come nor the last hold all of it (G-15). */
static void test_nobody_squats_a_key(void **state) {
  (void)state;
  fixture f;
  kad__provider list[64];
  setup(&f);
  f.config.max_providers_per_key = 50;
  start(&f);
  for (unsigned i = 0; i < 1000; i++) {
    int error = provide(&f, 1, 100 + i, KAD_HOUR);
    assert_true(error == 0 || error == KAD_E_STORE_FULL);
  }
  size_t n = providers(&f, 1, list, 64);
  assert_int_equal(n, 50);
  unsigned early = 0;
  for (size_t i = 0; i < n; i++) {
    early += kad__load32(list[i].provider.data) < 600;
  }
  assert_in_range(early, 10, 40);
  /* Our own is not part of it. */
  assert_ok(provide_own(&f, 1));
  assert_int_equal(providers(&f, 1, list, 64), 51);
  /* Renewing is always allowed. */
  assert_ok(
      f.s->ops->add_provider(f.s,
                             &(kad__provider){.key = number(1),
                                              .provider = list[3].provider,
                                              .expires = 2 * KAD_HOUR},
                             false));
  fini(&f);
}

static void test_share_of_one_provider(void **state) {
  (void)state;
  fixture f;
  setup(&f);
  f.config.max_keys_per_provider = 20;
  start(&f);
  for (unsigned i = 0; i < 40; i++) {
    assert_int_equal(provide(&f, i, 9, KAD_HOUR),
                     i < 20 ? 0 : KAD_E_STORE_FULL);
  }
  assert_ok(provide(&f, 5, 9, 2 * KAD_HOUR));
  assert_ok(provide(&f, 30, 10, KAD_HOUR));
  fini(&f);
}

static void test_provider_keys_are_shared(void **state) {
  (void)state;
  fixture f;
  setup(&f);
  f.config.max_provider_keys = 100;
  start(&f);
  for (unsigned i = 0; i < 200; i++) {
    assert_int_equal(provide(&f, i, 9, KAD_HOUR),
                     i < 100 ? 0 : KAD_E_STORE_FULL);
  }
  /* A key that is there needs no new room. */
  assert_ok(provide(&f, 99, 10, KAD_HOUR));
  for (unsigned i = 0; i < 40; i++) {
    assert_ok(provide(&f, 300 + i, 50 + i % 4, KAD_HOUR));
  }
  assert_int_equal(provider_count(&f, 300), 1);
  assert_int_equal(provider_count(&f, 0), 0);
  fini(&f);
}

static void test_provider_bytes_are_bounded(void **state) {
  (void)state;
  fixture f;
  static uint8_t addresses[2000];
  setup(&f);
  f.config.max_provider_bytes = 100000;
  start(&f);
  int full = 0;
  for (unsigned i = 0; i < 200; i++) {
    kad__provider record = {.key = number(i % 10),
                            .provider = number(i),
                            .addresses = kad__bytes(addresses, 2000),
                            .expires = KAD_HOUR};
    full += f.s->ops->add_provider(f.s, &record, false) != 0;
  }
  assert_true(full > 100);
  assert_true(f.memory.live_bytes < 200000);
  fini(&f);
}

/* ---- against a model ---------------------------------------------------- */

#define MODEL_KEYS 40
#define MODEL_PEERS 12

static void test_store_is_the_model(void **state) {
  (void)state;
  kad_random random;
  kad_random_init_u64(&random, test_seed("store_is_the_model"));
  for (size_t run = 0; run < test_runs(20); run++) {
    fixture f;
    kad_time values[MODEL_KEYS] = {0}; /* expiry; 0: none */
    kad_time records[MODEL_KEYS][MODEL_PEERS] = {{0}};
    kad_time now = KAD_SECOND;
    setup(&f);
    start(&f);
    for (int i = 0; i < 2000; i++) {
      unsigned key = (unsigned)kad_random_below(&random, MODEL_KEYS);
      unsigned peer = (unsigned)kad_random_below(&random, MODEL_PEERS);
      kad_time expires = now + 1 + kad_random_below(&random, KAD_MINUTE);
      switch (kad_random_below(&random, 6)) {
        case 0:
          assert_ok(put(&f, key, peer, expires));
          values[key] = expires;
          break;
        case 1:
          f.s->ops->remove(f.s, number(key));
          values[key] = 0;
          break;
        case 2:
        case 3:
          assert_ok(provide(&f, key, peer, expires));
          records[key][peer] = expires;
          break;
        case 4:
          f.s->ops->remove_provider(f.s, number(key), number(peer));
          records[key][peer] = 0;
          break;
        default:
          now += kad_random_below(&random, 5 * KAD_SECOND);
          f.s->ops->expire(f.s, now);
          break;
      }
      for (unsigned k = 0; k < MODEL_KEYS; k++) {
        size_t expected = 0;
        values[k] = values[k] <= now ? 0 : values[k];
        for (unsigned p = 0; p < MODEL_PEERS; p++) {
          kad_time at = records[k][p];
          records[k][p] = at <= now ? 0 : at;
          expected += records[k][p] != 0;
        }
        /* The clock moves in one case alone, and there it is swept. */
        assert_int_equal(has(&f, k), values[k] != 0);
        assert_int_equal(provider_count(&f, k), expected);
      }
    }
    fini(&f);
  }
}

static void test_without_memory(void **state) {
  (void)state;
  for (size_t fail = 1; fail < 120; fail++) {
    fixture f;
    setup(&f);
    f.config.max_records = 4;
    f.config.max_providers_per_key = 3;
    f.memory.fail_at = fail;
    int error =
        kad__memory_store_new(&f.s, &f.memory.allocator, &f.config, secret);
    if (error != 0) {
      assert_int_equal(error, KAD_E_NO_MEMORY);
      assert_int_equal(f.memory.live, 0);
      continue;
    }
    for (unsigned i = 0; i < 20; i++) {
      int result = put(&f, i % 7, i % 3, KAD_HOUR);
      assert_true(result == 0 || result == KAD_E_NO_MEMORY ||
                  result == KAD_E_STORE_FULL);
      assert_true(result != 0 || has(&f, i % 7));
      (void)provide(&f, i % 5, i, KAD_HOUR);
      (void)provide_own(&f, i % 4);
      (void)put_own(&f, 50 + i % 3);
    }
    f.s->ops->expire(f.s, KAD_TIME_NEVER - 1);
    fini(&f);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_put_get_remove),
      cmocka_unit_test(test_walks_in_order),
      cmocka_unit_test(test_values_expire),
      cmocka_unit_test(test_sweeping_is_bounded),
      cmocka_unit_test(test_limits_of_values),
      cmocka_unit_test(test_nobody_fills_the_store),
      cmocka_unit_test(test_bytes_are_bounded),
      cmocka_unit_test(test_add_and_remove_providers),
      cmocka_unit_test(test_provided),
      cmocka_unit_test(test_providers_expire),
      cmocka_unit_test(test_nobody_squats_a_key),
      cmocka_unit_test(test_share_of_one_provider),
      cmocka_unit_test(test_provider_keys_are_shared),
      cmocka_unit_test(test_provider_bytes_are_bounded),
      cmocka_unit_test(test_store_is_the_model),
      cmocka_unit_test(test_without_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
