/* Tags, protection and decay. */
#include "kadmium/key.h"
#include "support.h"
#include "swarm/values.h"

static test_allocator memory;
static kad__values values;
static kad_peer_id peers[3];

static int setup(void **state) {
  static const uint64_t secret[2] = {1, 2};
  (void)state;
  test_allocator_init(&memory);
  kad__values_init(&values, &memory.allocator, secret);
  for (uint8_t i = 0; i < 3; i++) {
    peers[i] = (kad_peer_id){.len = 4, .bytes = {0, 2, i, i}};
  }
  return 0;
}

static int teardown(void **state) {
  (void)state;
  kad__values_fini(&values);
  assert_int_equal(memory.live, 0);
  return 0;
}

static void test_tags(void **state) {
  (void)state;
  assert_int_equal(kad__values_of(&values, &peers[0]), 0);
  assert_ok(kad__values_tag(&values, &peers[0], "a", 10));
  assert_ok(kad__values_tag(&values, &peers[0], "b", -3));
  assert_ok(kad__values_adjust(&values, &peers[0], "b", 5));
  assert_ok(kad__values_adjust(&values, &peers[1], "c", 7));
  assert_int_equal(kad__values_of(&values, &peers[0]), 12);
  assert_int_equal(kad__values_of(&values, &peers[1]), 7);
  assert_ok(kad__values_tag(&values, &peers[0], "a", INT32_MAX));
  assert_ok(kad__values_adjust(&values, &peers[0], "a", 1));
  assert_int_equal(kad__values_of(&values, &peers[0]), (int64_t)INT32_MAX + 2);
  assert_true(kad__values_untag(&values, &peers[0], "a"));
  assert_false(kad__values_untag(&values, &peers[0], "a"));
  assert_true(kad__values_untag(&values, &peers[0], "b"));
  assert_false(kad__values_untag(&values, &peers[2], "a"));
  assert_int_equal(values.peers.len, 1); /* nothing is kept of peer 0 */
}

static void test_bounds(void **state) {
  (void)state;
  char name[KAD_TAG_MAX + 2];
  memset(name, 'x', sizeof(name));
  name[KAD_TAG_MAX + 1] = '\0';
  assert_error(KAD_E_INVALID_ARGUMENT,
               kad__values_tag(&values, &peers[0], name, 1));
  assert_error(KAD_E_INVALID_ARGUMENT,
               kad__values_tag(&values, &peers[0], "", 1));
  assert_error(KAD_E_INVALID_ARGUMENT,
               kad__values_protect(&values, &peers[0], ""));
  name[KAD_TAG_MAX] = '\0';
  for (int i = 0; i < KAD_TAGS_MAX; i++) {
    name[0] = (char)('A' + i);
    assert_ok(kad__values_tag(&values, &peers[0], name, 1));
    assert_ok(kad__values_protect(&values, &peers[0], name));
  }
  assert_error(KAD_E_LIMIT, kad__values_tag(&values, &peers[0], "more", 1));
  assert_error(KAD_E_LIMIT, kad__values_protect(&values, &peers[0], "more"));
  assert_int_equal(kad__values_of(&values, &peers[0]), KAD_TAGS_MAX);
}

static void test_protection(void **state) {
  (void)state;
  assert_false(kad__values_protected(&values, &peers[0], NULL));
  assert_ok(kad__values_protect(&values, &peers[0], "one"));
  assert_ok(kad__values_protect(&values, &peers[0], "one"));
  assert_ok(kad__values_protect(&values, &peers[0], "two"));
  assert_true(kad__values_protected(&values, &peers[0], NULL));
  assert_true(kad__values_protected(&values, &peers[0], "two"));
  assert_false(kad__values_protected(&values, &peers[0], "three"));
  assert_true(kad__values_unprotect(&values, &peers[0], "one"));
  assert_true(kad__values_unprotect(&values, &peers[0], "one"));
  assert_false(kad__values_unprotect(&values, &peers[0], "two"));
  assert_false(kad__values_protected(&values, &peers[0], NULL));
  assert_int_equal(values.peers.len, 0);
}

static void test_fixed_decay(void **state) {
  (void)state;
  kad_decaying_tag kind = {.name = "seen",
                           .interval = KAD_MINUTE,
                           .decay = KAD_DECAY_FIXED,
                           .amount = 4,
                           .bump = KAD_BUMP_ADD_BOUNDED,
                           .min = 0,
                           .max = 10};
  kad_time now = 5 * KAD_SECOND;
  assert_error(KAD_E_NOT_FOUND,
               kad__values_bump(&values, &peers[0], "seen", 1));
  assert_ok(kad__values_add_kind(&values, &kind, now));
  assert_error(KAD_E_INVALID_ARGUMENT,
               kad__values_add_kind(&values, &kind, now));
  assert_error(KAD_E_INVALID_ARGUMENT,
               kad__values_tag(&values, &peers[0], "seen", 1));
  assert_true(kad__values_deadline(&values) == KAD_TIME_NEVER);
  assert_ok(kad__values_bump(&values, &peers[0], "seen", 7));
  assert_ok(kad__values_bump(&values, &peers[0], "seen", 7));
  assert_ok(kad__values_tag(&values, &peers[0], "plain", 1));
  assert_int_equal(kad__values_of(&values, &peers[0]), 11);
  static const int after[] = {7, 3, 1, 1};
  for (size_t i = 0; i < KAD__COUNT(after); i++) {
    assert_true(kad__values_deadline(&values) == now + KAD_MINUTE);
    kad__values_tick(&values, now + KAD_MINUTE - 1);
    now += KAD_MINUTE;
    kad__values_tick(&values, now);
    assert_int_equal(kad__values_of(&values, &peers[0]), after[i]);
  }
  assert_false(kad__values_untag(&values, &peers[0], "seen"));
}

static void test_other_decay(void **state) {
  (void)state;
  kad_decaying_tag halves = {.name = "halves",
                             .interval = KAD_SECOND,
                             .decay = KAD_DECAY_LINEAR,
                             .amount = 500,
                             .bump = KAD_BUMP_ADD};
  kad_decaying_tag expires = {.name = "expires",
                              .interval = KAD_SECOND,
                              .decay = KAD_DECAY_EXPIRE,
                              .bump = KAD_BUMP_REPLACE};
  assert_ok(kad__values_add_kind(&values, &halves, 0));
  assert_ok(kad__values_add_kind(&values, &expires, 0));
  assert_ok(kad__values_bump(&values, &peers[0], "halves", 9));
  assert_ok(kad__values_bump(&values, &peers[1], "expires", 9));
  assert_ok(kad__values_bump(&values, &peers[1], "expires", 4));
  static const int left[] = {4, 2, 1, 0};
  for (unsigned i = 0; i < 4; i++) {
    kad__values_tick(&values, (i + 1) * KAD_SECOND);
    assert_int_equal(kad__values_of(&values, &peers[0]), left[i]);
    assert_int_equal(kad__values_of(&values, &peers[1]), i < 1 ? 4 : 0);
  }
  assert_int_equal(values.peers.len, 0);
}

static void test_senseless_kinds(void **state) {
  (void)state;
  kad_decaying_tag good = {.name = "x",
                           .interval = KAD_SECOND,
                           .decay = KAD_DECAY_FIXED,
                           .amount = 1};
  kad_decaying_tag bad[6];
  for (size_t i = 0; i < KAD__COUNT(bad); i++) {
    bad[i] = good;
  }
  bad[0].name = NULL;
  bad[1].name = "";
  bad[2].interval = KAD_SECOND - 1;
  bad[3].amount = 0;
  bad[4].decay = KAD_DECAY_LINEAR;
  bad[4].amount = 1000;
  bad[5].bump = KAD_BUMP_ADD_BOUNDED;
  bad[5].min = 1;
  for (size_t i = 0; i < KAD__COUNT(bad); i++) {
    assert_error(KAD_E_INVALID_ARGUMENT,
                 kad__values_add_kind(&values, &bad[i], 0));
  }
  char name[16];
  good.name = name;
  for (int i = 0; i < KAD__DECAYING_TAGS_MAX; i++) {
    (void)snprintf(name, sizeof(name), "%d", i);
    assert_ok(kad__values_add_kind(&values, &good, 0));
  }
  good.name = "one";
  assert_error(KAD_E_LIMIT, kad__values_add_kind(&values, &good, 0));
}

static void test_without_memory(void **state) {
  (void)state;
  for (size_t n = 1; n <= 3; n++) {
    memory.calls = 0;
    memory.fail_at = n;
    assert_error(KAD_E_NO_MEMORY,
                 kad__values_tag(&values, &peers[0], "tag", 1));
    assert_int_equal(values.peers.len, 0);
  }
  memory.fail_at = 0;
  assert_ok(kad__values_tag(&values, &peers[0], "tag", 1));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(test_tags),          TEST(test_bounds),
      TEST(test_protection),    TEST(test_fixed_decay),
      TEST(test_other_decay),   TEST(test_senseless_kinds),
      TEST(test_without_memory)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
