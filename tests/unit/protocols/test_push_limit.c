/* How often others may push, by where they stand. */
#include "kadmium/multiaddr.h"
#include "protocols/push_limit.h"
#include "support.h"

static kad__push_limit limit;

static bool take(const char *remote, kad_time now) {
  uint8_t address[KAD_MULTIADDR_MAX];
  int len = kad_multiaddr_parse(address, sizeof(address), remote);
  assert_ok(len);
  return kad__push_limit_take(&limit, kad__bytes(address, (size_t)len), now);
}

static unsigned burst(const char *remote, kad_time now) {
  unsigned count = 0;
  while (count < 10000 && take(remote, now)) {
    count++;
  }
  return count;
}

static int setup(void **state) {
  (void)state;
  kad__push_limit_init(&limit, kad_allocator_default());
  return 0;
}

static int teardown(void **state) {
  (void)state;
  kad__push_limit_fini(&limit);
  return 0;
}

static void test_ip4(void **state) {
  (void)state;
  assert_int_equal(burst("/ip4/192.0.2.1/tcp/1", KAD_HOUR), 10);
  /* A /24 is one place, however it is written. */
  assert_false(take("/ip4/192.0.2.200/tcp/9", KAD_HOUR));
  assert_false(take("/ip6/::ffff:192.0.2.3/tcp/9", KAD_HOUR));
  assert_int_equal(burst("/ip4/192.0.3.1/tcp/1", KAD_HOUR), 10);
  /* One more every five seconds. */
  assert_false(take("/ip4/192.0.2.1/tcp/1", KAD_HOUR + 5 * KAD_SECOND - 1));
  assert_int_equal(burst("/ip4/192.0.2.1/tcp/1", KAD_HOUR + 11 * KAD_SECOND),
                   2);
  assert_int_equal(burst("/ip4/192.0.2.1/tcp/1", 2 * KAD_HOUR), 10);
}

static void test_ip6(void **state) {
  (void)state;
  assert_int_equal(burst("/ip6/2001:db8:1:100::1/tcp/1", KAD_HOUR), 10);
  assert_false(take("/ip6/2001:db8:1:1ff::1/tcp/1", KAD_HOUR));
  assert_int_equal(burst("/ip6/2001:db8:1:200::1/tcp/1", KAD_HOUR), 10);
  /* The whole /48 has had enough. */
  assert_false(take("/ip6/2001:db8:1:300::1/tcp/1", KAD_HOUR));
  assert_int_equal(burst("/ip6/2001:db8:2:300::1/tcp/1", KAD_HOUR), 10);
  assert_int_equal(
      burst("/ip6/2001:db8:1:300::1/tcp/1", KAD_HOUR + 6 * KAD_SECOND), 3);
}

static void test_loopback_is_exempt(void **state) {
  (void)state;
  assert_int_equal(burst("/ip4/127.0.0.1/tcp/1", 0), 10000);
  assert_int_equal(burst("/ip6/::1/tcp/1", 0), 10000);
  assert_null(limit.places);
}

static void test_all_together(void **state) {
  (void)state;
  char remote[64];
  unsigned count = 0;
  for (unsigned i = 0; i < 400; i++) {
    snprintf(remote, sizeof(remote), "/ip4/10.%u.%u.1/tcp/1", i / 200, i % 200);
    count += burst(remote, KAD_HOUR);
  }
  assert_int_equal(count, 3000);
  assert_true(take("/ip4/11.0.0.1/tcp/1", KAD_HOUR + KAD_MILLISECOND));
}

/* More places than there is room for: those that rest make way. */
static void test_places_are_bounded(void **state) {
  (void)state;
  char remote[64];
  unsigned count = 0;
  for (unsigned i = 0; i < 2 * KAD__PUSH_PLACES; i++) {
    snprintf(remote, sizeof(remote), "/ip4/10.%u.%u.1/tcp/1", i / 200, i % 200);
    count += take(remote, KAD_HOUR);
  }
  assert_int_equal(count, KAD__PUSH_PLACES);
  assert_true(take("/ip4/10.0.0.1/tcp/1", KAD_HOUR));
  assert_true(take("/ip4/11.0.0.1/tcp/1", KAD_HOUR + 6 * KAD_SECOND));
  /* Time that goes back gives nothing. */
  assert_true(take("/ip4/11.0.0.1/tcp/1", 0));
}

static void test_no_memory(void **state) {
  (void)state;
  test_allocator memory;
  test_allocator_init(&memory);
  memory.fail_at = 1;
  kad__push_limit_init(&limit, &memory.allocator);
  assert_false(take("/ip4/192.0.2.1/tcp/1", 0));
  assert_true(take("/ip4/192.0.2.1/tcp/1", 0));
  kad__push_limit_fini(&limit);
  assert_int_equal(memory.live, 0);
  kad__push_limit_init(&limit, kad_allocator_default());
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(test_ip4),
      TEST(test_ip6),
      TEST(test_loopback_is_exempt),
      TEST(test_all_together),
      TEST(test_places_are_bounded),
      TEST(test_no_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
