/* Gateways among themselves: joining, storing, fetching, with and without loss,
 * and without memory. */
#include "world.h"

static world w;

static int setup(void **state) {
  (void)state;
  return 0;
}

static int teardown(void **state) {
  (void)state;
  world_fini(&w);
  return 0;
}

static kad_bytes some_key(uint8_t fill) {
  static uint8_t key[32];
  memset(key, fill, sizeof key);
  return kad__bytes(key, sizeof key);
}

static const kad__udp_counters *counters(size_t n) {
  return kad__udp_counters_get(w.nodes[n].udp);
}

static int put(size_t n, kad_bytes key, const char *value) {
  kad__query_id query;
  kad__quorum all = {.kind = KAD__QUORUM_ALL};
  assert_ok(kad__dht_put(w.nodes[n].dht, &query, key, kad__bytes_of(value),
                         KAD_TIME_NEVER, all, w.now));
  world_finish(&w, n, query);
  return w.end.error;
}

static int get(size_t n, kad_bytes key) {
  kad__query_id query;
  assert_ok(kad__dht_get(w.nodes[n].dht, &query, key, 1, w.now));
  world_finish(&w, n, query);
  return w.end.error;
}

static void test_two(void **state) {
  (void)state;
  world_init(&w, 2, 1);
  world_join(&w);
  assert_int_equal(kad__dht_table_size(w.nodes[0].dht), 1);
  assert_int_equal(kad__dht_table_size(w.nodes[1].dht), 1);
  assert_int_equal(kad__udp_peer_count(w.nodes[0].udp), 1);
  assert_int_equal(put(1, some_key(9), "w\xc3\xb6rld"), 0);
  assert_int_equal(w.end.stored, 1);
  kad__record r;
  assert_true(w.nodes[0].store->ops->get(w.nodes[0].store, &r, some_key(9)));
  assert_int_equal(get(0, some_key(9)), 0);
  assert_string_equal(w.value, "w\xc3\xb6rld");
  assert_int_equal(get(0, some_key(8)), KAD_E_NOT_FOUND);
}

static void test_many(void **state) {
  (void)state;
  world_init(&w, WORLD_NODES, 2);
  world_join(&w);
  for (size_t i = 0; i < w.count; i++) {
    assert_true(kad__dht_table_size(w.nodes[i].dht) >= 12);
  }
  for (uint8_t i = 0; i < 10; i++) {
    char value[16];
    (void)snprintf(value, sizeof value, "value %u", i);
    assert_int_equal(put(i, some_key((uint8_t)(i * 25)), value), 0);
    assert_int_equal(w.end.stored, 20);
    assert_int_equal(get(w.count - 1 - i, some_key((uint8_t)(i * 25))), 0);
    assert_string_equal(w.value, value);
  }
  /* Everybody can be found. */
  for (size_t i = 1; i < w.count; i++) {
    kad__query_id query;
    assert_ok(
        kad__dht_find_peer(w.nodes[0].dht, &query, world_id(&w, i), w.now));
    world_finish(&w, 0, query);
    assert_int_equal(w.end.error, 0);
  }
}

/* With one datagram in ten lost, a call fails seven times in a thousand;
 * without repetitions it would be one time in five. */
static void test_loss(void **state) {
  size_t retries = 0;
  size_t stored = 0;
  size_t found = 0;
  uint64_t calls = 0;
  uint64_t timeouts = 0;
  (void)state;
  world_init(&w, 8, 3);
  world_join(&w);
  w.loss = 10;
  for (uint8_t i = 0; i < 40; i++) {
    int error = put(i % 8, some_key(i), "value");
    assert_true(error == 0 || error == KAD_E_QUORUM);
    stored += w.end.stored;
    found += get((i + 3u) % 8, some_key(i)) == 0;
  }
  for (size_t i = 0; i < w.count; i++) {
    calls += counters(i)->calls;
    retries += counters(i)->retries;
    timeouts += counters(i)->timeouts;
    assert_int_equal(counters(i)->malformed, 0);
  }
  assert_true(retries > 40);
  assert_true(timeouts * 40 < calls);
  assert_true(stored >= 40 * 5);
  assert_true(found >= 39);
}

/* A datagram is sent so often and no more, at growing distances; then the call
 * fails, and the peer is not connected any more. */
static void test_silence(void **state) {
  kad__query_id query;
  (void)state;
  world_init(&w, 2, 4);
  world_introduce(&w, 0, 1);
  w.loss = 100;
  assert_ok(
      kad__dht_find_closest(w.nodes[0].dht, &query, some_key(1), 1, w.now));
  kad_time start = w.now;
  world_run(&w, 999 * KAD_MILLISECOND);
  assert_int_equal(counters(0)->datagrams_out, 1);
  world_run(&w, KAD_MILLISECOND);
  assert_int_equal(counters(0)->datagrams_out, 2);
  world_run(&w, 1999 * KAD_MILLISECOND);
  assert_int_equal(counters(0)->datagrams_out, 2);
  world_run(&w, KAD_MILLISECOND);
  assert_int_equal(counters(0)->datagrams_out, 3);
  assert_int_equal(kad__udp_call_count(w.nodes[0].udp), 1);
  assert_int_equal(kad__udp_deadline(w.nodes[0].udp), start + 5 * KAD_SECOND);
  world_run(&w, 2 * KAD_SECOND);
  assert_int_equal(kad__udp_call_count(w.nodes[0].udp), 0);
  assert_int_equal(counters(0)->timeouts, 1);
  assert_int_equal(counters(0)->retries, 2);
  assert_int_equal(counters(0)->datagrams_out, 3);
}

/* Its addresses are tried in turn, and the answer may come from any. */
static void test_second_address(void **state) {
  kad__query_id query;
  kad__udp_address nowhere = world_address(200);
  (void)state;
  world_init(&w, 2, 5);
  (void)kad__dht_add_address(w.nodes[0].dht, world_id(&w, 1),
                             kad__udp_address_bytes(&nowhere), w.now);
  world_introduce(&w, 0, 1);
  assert_ok(
      kad__dht_find_closest(w.nodes[0].dht, &query, some_key(1), 1, w.now));
  world_finish(&w, 0, query);
  assert_int_equal(w.end.error, 0);
  assert_int_equal(w.end.stats.successes, 1);
  assert_int_equal(counters(0)->timeouts, 0);
}

static void test_what_is_not_carried(void **state) {
  kad__query_id query;
  kad__quorum one = {.kind = KAD__QUORUM_ONE};
  (void)state;
  world_init(&w, 2, 6);
  world_join(&w);
  assert_ok(
      kad__dht_find_providers(w.nodes[0].dht, &query, some_key(1), 1, w.now));
  world_finish(&w, 0, query);
  assert_int_not_equal(w.end.error, 0);
  assert_ok(kad__dht_provide(w.nodes[0].dht, &query, some_key(1), w.now));
  world_finish(&w, 0, query);
  assert_int_equal(w.end.error, KAD_E_QUORUM);
  /* A value that is no text is refused by us, not sent. */
  assert_ok(kad__dht_put(w.nodes[0].dht, &query, some_key(1),
                         kad__bytes_of("\xff"), KAD_TIME_NEVER, one, w.now));
  world_finish(&w, 0, query);
  assert_int_equal(w.end.error, KAD_E_QUORUM);
  assert_true(counters(0)->not_carried >= 3);
  /* The peer is not blamed. */
  assert_int_equal(kad__dht_table_size(w.nodes[0].dht), 1);
  assert_int_equal(put(0, some_key(1), "text"), 0);
}

static void test_records_that_can_be_carried(void **state) {
  static uint8_t value[KAD__UDP_VALUE_MAX + 1];
  (void)state;
  world_init(&w, 0, 7);
  memset(value, 'v', sizeof value);
  assert_ok(kad__udp_check_record(some_key(1), kad__bytes_of("v")));
  assert_error(KAD_E_KEY, kad__udp_check_record(kad__bytes(value, 31),
                                                kad__bytes_of("v")));
  assert_error(KAD_E_RECORD,
               kad__udp_check_record(some_key(1), kad__bytes_of("\x80")));
  assert_ok(kad__udp_check_record(some_key(1),
                                  kad__bytes(value, KAD__UDP_VALUE_MAX)));
  assert_error(
      KAD_E_RECORD_TOO_LARGE,
      kad__udp_check_record(some_key(1), kad__bytes(value, sizeof value)));
}

/* The longest value reaches the other side, and its answer fits. */
static void test_longest_value(void **state) {
  static char value[KAD__UDP_VALUE_MAX + 1];
  kad__record r;
  (void)state;
  world_init(&w, 2, 8);
  world_join(&w);
  memset(value, 'v', sizeof value - 1);
  assert_int_equal(put(0, some_key(3), value), 0);
  assert_int_equal(w.end.stored, 1);
  assert_true(w.nodes[1].store->ops->get(w.nodes[1].store, &r, some_key(3)));
  assert_int_equal(r.value.len, KAD__UDP_VALUE_MAX);
  w.nodes[0].store->ops->remove(w.nodes[0].store, some_key(3));
  assert_int_equal(get(0, some_key(3)), 0);
  assert_int_equal(strlen(w.value), 63);
}

/* A record that others cannot be told is not told: they get nodes. */
static void test_a_value_that_cannot_be_told(void **state) {
  static char large[20000];
  (void)state;
  world_init(&w, 2, 9);
  world_join(&w);
  memset(large, 'v', sizeof large - 1);
  kad__record r = {.key = some_key(1), .expires = KAD_TIME_NEVER};
  r.value = kad__bytes_of("\xc0");
  assert_ok(w.nodes[1].store->ops->put(w.nodes[1].store, &r, true));
  assert_int_equal(get(0, some_key(1)), KAD_E_NOT_FOUND);
  r.value = kad__bytes_of(large);
  assert_ok(w.nodes[1].store->ops->put(w.nodes[1].store, &r, true));
  assert_int_equal(get(0, some_key(1)), KAD_E_NOT_FOUND);
  assert_int_equal(counters(0)->malformed, 0);
}

static void test_clients_are_silent(void **state) {
  (void)state;
  world_init(&w, 3, 10);
  kad__dht_set_mode(w.nodes[2].dht, KAD__MODE_CLIENT);
  world_join(&w);
  assert_int_equal(kad__dht_table_size(w.nodes[2].dht), 2);
  assert_int_equal(put(2, some_key(1), "v"), KAD_E_QUORUM);
  /* It may ask, but has not proved its address, so it may not store. */
  assert_int_equal(kad__dht_table_size(w.nodes[0].dht), 1);
  assert_int_equal(put(1, some_key(1), "v"), 0);
  assert_int_equal(get(2, some_key(1)), 0);
}

/* Peers from whom nothing is heard are forgotten, and so is all they cost. */
static void test_idle_peers(void **state) {
  (void)state;
  world_init(&w, 2, 11);
  world_join(&w);
  assert_int_equal(kad__udp_peer_count(w.nodes[0].udp), 1);
  w.loss = 100;
  world_run(&w, 20 * KAD_MINUTE);
  assert_int_equal(kad__udp_peer_count(w.nodes[0].udp), 0);
  assert_int_equal(kad__udp_proof_count(w.nodes[0].udp), 0);
  assert_int_equal(kad__udp_call_count(w.nodes[0].udp), 0);
}

static void test_arguments(void **state) {
  static const char *const bad[] = {"", "/ip4/0.0.0.0/udp/1",
                                    "/ip4/10.0.0.1/tcp/1"};
  (void)state;
  world_init(&w, 1, 12);
  kad__udp_config config;
  kad__udp *udp = NULL;
  world_udp_config(&w, &config, &w.nodes[0]);
  for (size_t i = 0; i < KAD__COUNT(bad); i++) {
    config.address = kad__bytes_of(bad[i]);
    assert_error(KAD_E_INVALID_ARGUMENT, kad__udp_new(&udp, &w.memory.allocator,
                                                      w.nodes[0].dht, &config));
  }
  world_udp_config(&w, &config, &w.nodes[0]);
  config.local_id.len = 31;
  assert_error(KAD_E_INVALID_ARGUMENT, kad__udp_new(&udp, &w.memory.allocator,
                                                    w.nodes[0].dht, &config));
  kad__udp_free(NULL);
}

static void test_small_buffer(void **state) {
  uint8_t bytes[KAD__UDP_DATAGRAM_MAX];
  kad__query_id query;
  kad_bytes to;
  (void)state;
  world_init(&w, 2, 13);
  world_introduce(&w, 0, 1);
  assert_ok(
      kad__dht_find_closest(w.nodes[0].dht, &query, some_key(1), 1, w.now));
  kad__udp_drive(w.nodes[0].udp, w.now);
  assert_error(KAD_E_BUFFER_TOO_SMALL,
               kad__udp_output(w.nodes[0].udp, &to, bytes, 50));
  assert_true(kad__udp_output(w.nodes[0].udp, &to, bytes, sizeof bytes) > 50);
  assert_int_equal(kad__udp_output(w.nodes[0].udp, &to, bytes, 1), 0);
}

/* Any one allocation of a whole conversation fails: things go on. */
static void test_out_of_memory(void **state) {
  size_t reached = 0;
  (void)state;
  for (size_t n = 1; n < 400; n += n < 60 ? 1 : 13) {
    kad__query_id query;
    world_init(&w, 3, 14);
    w.memory.calls = 0;
    w.memory.fail_at = n;
    world_introduce(&w, 1, 0);
    world_introduce(&w, 2, 0);
    (void)kad__dht_bootstrap(w.nodes[1].dht, &query, w.now);
    (void)kad__dht_bootstrap(w.nodes[2].dht, &query, w.now);
    world_run(&w, 10 * KAD_SECOND);
    reached += w.memory.calls >= n;
    w.memory.fail_at = 0;
    world_join(&w);
    assert_int_equal(put(1, some_key(1), "v"), 0);
    assert_int_equal(get(2, some_key(1)), 0);
    world_fini(&w);
  }
  assert_true(reached > 20);
  world_init(&w, 0, 0);
}

static void test_constructor_out_of_memory(void **state) {
  kad__udp_config config;
  kad__udp *udp = NULL;
  (void)state;
  world_init(&w, 1, 15);
  world_udp_config(&w, &config, &w.nodes[0]);
  w.memory.fail_at = w.memory.calls + 1;
  assert_error(KAD_E_NO_MEMORY, kad__udp_new(&udp, &w.memory.allocator,
                                             w.nodes[0].dht, &config));
  w.memory.fail_at = 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(test_two),
      TEST(test_many),
      TEST(test_loss),
      TEST(test_silence),
      TEST(test_second_address),
      TEST(test_what_is_not_carried),
      TEST(test_records_that_can_be_carried),
      TEST(test_longest_value),
      TEST(test_a_value_that_cannot_be_told),
      TEST(test_clients_are_silent),
      TEST(test_idle_peers),
      TEST(test_arguments),
      TEST(test_small_buffer),
      TEST(test_out_of_memory),
      TEST(test_constructor_out_of_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
