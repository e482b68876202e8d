/* Who saw us where, and when that is believed. */
#include "kadmium/multiaddr.h"
#include "node/observed.h"
#include "support.h"

static const uint64_t secret[2] = {1, 2};
static kad__observed o;

static kad_bytes parse(const char *text) {
  static uint8_t ring[8][KAD_MULTIADDR_MAX];
  static unsigned at;
  uint8_t *out = ring[at++ % 8];
  int len = kad_multiaddr_parse(out, KAD_MULTIADDR_MAX, text);
  assert_ok(len);
  return kad__bytes(out, (size_t)len);
}

static const char *const local = "/ip4/10.0.0.1/tcp/4001";
static const char *const external = "/ip4/192.0.2.1/tcp/4001";

static int note(kad__id connection, const char *remote, const char *seen) {
  return kad__observed_note(&o, connection, parse(local), parse(remote),
                            parse(seen));
}

/* The `i`th observer, on connection `i`. */
static int observe(unsigned i, const char *seen) {
  char remote[64];
  snprintf(remote, sizeof(remote), "/ip4/198.51.%u.%u/tcp/%u", i / 200,
           i % 200 + 1, 1000 + i);
  return note(i, remote, seen);
}

static bool has(const char *seen) {
  return kad__observed_has(&o, parse(seen));
}

static int setup(void **state) {
  (void)state;
  kad__observed_init(&o, kad_allocator_default(), secret, 0);
  return 0;
}

static int teardown(void **state) {
  (void)state;
  kad__observed_fini(&o);
  return 0;
}

static void test_four_observers_confirm(void **state) {
  (void)state;
  for (unsigned i = 1; i <= 3; i++) {
    assert_int_equal(observe(i, external), 1);
    assert_false(has(external));
  }
  assert_int_equal(observe(4, external), 1);
  assert_true(has(external));
  /* Until one of them goes. */
  assert_true(kad__observed_drop(&o, 2));
  assert_false(has(external));
  assert_false(kad__observed_drop(&o, 2));
  assert_int_equal(observe(2, external), 1);
  assert_true(has(external));
}

static void test_one_observer_counts_once(void **state) {
  (void)state;
  char remote[64];
  for (unsigned i = 1; i <= 10; i++) {
    snprintf(remote, sizeof(remote), "/ip4/198.51.100.7/tcp/%u", i);
    assert_int_equal(note(i, remote, external), 1);
  }
  for (unsigned i = 11; i <= 20; i++) {
    snprintf(remote, sizeof(remote), "/ip6/2001:db8:1:2%02x::%u/tcp/1", i, i);
    assert_int_equal(note(i, remote, external), 1);
  }
  /* Mapped IPv4 is IPv4. */
  assert_int_equal(note(21, "/ip6/::ffff:198.51.100.7/tcp/1", external), 1);
  assert_false(has(external));
  assert_int_equal(o.pairs[0].observer_count, 2);
  assert_int_equal(note(22, "/ip6/2001:db8:1:300::1/tcp/1", external), 1);
  assert_int_equal(o.pairs[0].observer_count, 3);
  assert_int_equal(note(23, "/ip4/198.51.100.8/tcp/1", external), 1);
  assert_true(has(external));
  /* An observer counts until its last connection is gone. */
  for (unsigned i = 1; i <= 10; i++) {
    assert_true(kad__observed_drop(&o, i));
    assert_true(has(external));
  }
  assert_true(kad__observed_drop(&o, 21));
  assert_false(has(external));
}

static void test_a_connection_says_one_thing(void **state) {
  (void)state;
  for (unsigned i = 1; i <= 4; i++) {
    assert_int_equal(observe(i, external), 1);
  }
  assert_int_equal(observe(4, "/ip4/192.0.2.2/tcp/4001"), 1);
  assert_false(has(external));
  /* And then nothing of use. */
  assert_int_equal(observe(3, "/ip4/127.0.0.1/tcp/4001"), 0);
  assert_int_equal(o.pairs[0].observer_count, 2);
}

static void test_what_is_not_counted(void **state) {
  (void)state;
  static const char *const useless[] = {
      "/ip4/127.0.0.1/tcp/4001",   "/ip4/0.0.0.0/tcp/4001",
      "/ip4/192.0.2.1/tcp/0",      "/ip4/224.0.0.1/tcp/1",
      "/ip6/2001:db8::1/tcp/4001", "/dns4/example.org/tcp/4001",
      "/ip4/192.0.2.1/udp/4001",   "/ip4/192.0.2.1",
      "/ip4/192.0.2.1/tcp/1/ws",   "/ip4/10.0.0.1/tcp/4001"};
  for (size_t i = 0; i < KAD__COUNT(useless); i++) {
    assert_int_equal(observe(1, useless[i]), 0);
  }
  assert_int_equal(kad__observed_note(&o, 1, parse("/ip6/2001:db8::2/tcp/1"),
                                      parse("/ip6/2001:db8::3/tcp/1"),
                                      parse("/ip6/64:ff9b::c000:201/tcp/1")),
                   0);
  assert_int_equal(note(1, "/dns4/example.org/tcp/1", external), 0);
  assert_int_equal(
      kad__observed_note(&o, 1, (kad_bytes){0}, (kad_bytes){0}, (kad_bytes){0}),
      0);
  assert_int_equal(o.by_connection.len, 0);
}

static void test_the_top_three(void **state) {
  (void)state;
  char seen[64];
  unsigned connection = 1;
  for (unsigned k = 0; k < 5; k++) {
    snprintf(seen, sizeof(seen), "/ip4/192.0.2.%u/tcp/4001", k);
    for (unsigned i = 0; i < 4 + k; i++) {
      assert_int_equal(observe(connection++, seen), 1);
    }
  }
  assert_false(has("/ip4/192.0.2.0/tcp/4001"));
  assert_false(has("/ip4/192.0.2.1/tcp/4001"));
  assert_true(has("/ip4/192.0.2.2/tcp/4001"));
  assert_true(has("/ip4/192.0.2.4/tcp/4001"));
  /* Another local address has its own. */
  for (unsigned i = 0; i < 4; i++) {
    char remote[64];
    snprintf(remote, sizeof(remote), "/ip4/203.0.113.%u/tcp/1", i);
    assert_int_equal(
        kad__observed_note(&o, connection++, parse("/ip4/10.0.0.1/tcp/4002"),
                           parse(remote), parse("/ip4/192.0.2.9/tcp/1")),
        1);
  }
  assert_true(has("/ip4/192.0.2.9/tcp/1"));
}

static void test_bounded(void **state) {
  (void)state;
  char seen[64];
  for (unsigned i = 0; i < 4; i++) {
    assert_int_equal(observe(5000 + i, external), 1);
  }
  /* A flood of lies displaces itself. */
  for (unsigned i = 0; i < 1000; i++) {
    snprintf(seen, sizeof(seen), "/ip4/192.0.3.%u/tcp/%u", i % 200, 1 + i);
    assert_int_equal(observe(i, seen), 1);
  }
  assert_true(has(external));
  /* Observers beyond the bound are not needed. */
  for (unsigned i = 4; i < KAD__OBSERVED_OBSERVERS; i++) {
    assert_int_equal(observe(5000 + i, external), 1);
  }
  assert_error(KAD_E_LIMIT, observe(6000, external));
  for (unsigned i = 0; i < 1000; i++) {
    assert_true(kad__observed_drop(&o, i));
  }
  assert_int_equal(o.by_connection.len, KAD__OBSERVED_OBSERVERS);
}

static void test_threshold(void **state) {
  (void)state;
  kad__observed_fini(&o);
  kad__observed_init(&o, kad_allocator_default(), secret, 1);
  assert_int_equal(observe(1, external), 1);
  assert_true(has(external));
  kad__observed_fini(&o);
  kad__observed_init(&o, kad_allocator_default(), secret, 1000000);
  assert_int_equal(o.enough, KAD__OBSERVED_OBSERVERS);
}

static void test_no_memory(void **state) {
  (void)state;
  for (size_t fail_at = 1;; fail_at++) {
    test_allocator memory;
    test_allocator_init(&memory);
    memory.fail_at = fail_at;
    kad__observed_fini(&o);
    kad__observed_init(&o, &memory.allocator, secret, 1);
    int result = observe(1, external);
    assert_int_equal(has(external), result == 1);
    memory.fail_at = 0;
    assert_int_equal(observe(2, external), 1);
    assert_true(has(external));
    kad__observed_fini(&o);
    assert_int_equal(memory.live, 0);
    kad__observed_init(&o, kad_allocator_default(), secret, 1);
    if (result == 1) {
      return;
    }
    assert_error(KAD_E_NO_MEMORY, result);
  }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(test_four_observers_confirm),
      TEST(test_one_observer_counts_once),
      TEST(test_a_connection_says_one_thing),
      TEST(test_what_is_not_counted),
      TEST(test_the_top_three),
      TEST(test_bounded),
      TEST(test_threshold),
      TEST(test_no_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
