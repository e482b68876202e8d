/* How long failed addresses are left alone. */
#include "support.h"
#include "swarm/backoff.h"

static const uint64_t secret[2] = {1, 2};

static kad_peer_id peer_of(uint32_t n) {
  kad_peer_id id = {.len = 34, .bytes = {0x12, 0x20}};
  memcpy(id.bytes + 2, &n, sizeof(n));
  return id;
}

static kad_bytes address_of(uint32_t *n) {
  return kad__bytes(n, sizeof(*n));
}

static void test_waits_grow(void **state) {
  (void)state;
  static const unsigned waits[] = {5,   6,   9,   14,  21,  30,  41,
                                   54,  69,  86,  105, 126, 149, 174,
                                   201, 230, 261, 294, 300, 300};
  kad__backoff b;
  kad__backoff_init(&b, kad_allocator_default(), secret);
  kad_peer_id peer = peer_of(1);
  uint32_t n = 7;
  kad_time now = KAD_SECOND;
  for (size_t i = 0; i < KAD__COUNT(waits); i++) {
    assert_ok(kad__backoff_add(&b, &peer, address_of(&n), now));
    kad_time until = now + waits[i] * KAD_SECOND;
    assert_true(kad__backoff_until(&b, &peer, address_of(&n), now) == until);
    assert_true(kad__backoff_until(&b, &peer, address_of(&n), until - 1) ==
                until);
    assert_true(kad__backoff_until(&b, &peer, address_of(&n), until) == 0);
    now = until;
  }
  kad__backoff_fini(&b);
}

static void test_forgotten_after_a_while(void **state) {
  (void)state;
  kad__backoff b;
  kad__backoff_init(&b, kad_allocator_default(), secret);
  kad_peer_id peer = peer_of(1);
  uint32_t n = 7;
  assert_ok(kad__backoff_add(&b, &peer, address_of(&n), 0));
  assert_ok(kad__backoff_add(&b, &peer, address_of(&n), KAD_HOUR));
  assert_true(kad__backoff_until(&b, &peer, address_of(&n), KAD_HOUR) ==
              KAD_HOUR + 5 * KAD_SECOND);
  kad__backoff_fini(&b);
}

static void test_by_peer_and_address(void **state) {
  (void)state;
  kad__backoff b;
  kad__backoff_init(&b, kad_allocator_default(), secret);
  kad_peer_id one = peer_of(1);
  kad_peer_id two = peer_of(2);
  uint32_t a = 1;
  uint32_t c = 2;
  assert_ok(kad__backoff_add(&b, &one, address_of(&a), 0));
  assert_ok(kad__backoff_add(&b, &one, address_of(&c), 0));
  assert_ok(kad__backoff_add(&b, &two, address_of(&a), 0));
  assert_int_equal(kad__backoff_count(&b), 2);
  kad__backoff_clear(&b, &one);
  kad__backoff_clear(&b, &one);
  assert_true(kad__backoff_until(&b, &one, address_of(&a), 0) == 0);
  assert_true(kad__backoff_until(&b, &one, address_of(&c), 0) == 0);
  assert_true(kad__backoff_until(&b, &two, address_of(&a), 0) != 0);
  assert_true(kad__backoff_until(&b, &two, address_of(&c), 0) == 0);
  assert_error(KAD_E_INVALID_ARGUMENT,
               kad__backoff_add(&b, &one, (kad_bytes){0}, 0));
  kad__backoff_fini(&b);
}

static void test_bounded(void **state) {
  (void)state;
  test_allocator memory;
  test_allocator_init(&memory);
  kad__backoff b;
  kad__backoff_init(&b, &memory.allocator, secret);
  for (uint32_t i = 0; i < KAD__BACKOFF_PEERS + 10; i++) {
    kad_peer_id peer = peer_of(i);
    assert_ok(kad__backoff_add(&b, &peer, address_of(&i), 0));
  }
  assert_int_equal(kad__backoff_count(&b), KAD__BACKOFF_PEERS);
  uint32_t n = 0;
  kad_peer_id first = peer_of(0);
  assert_true(kad__backoff_until(&b, &first, address_of(&n), 0) == 0);
  n = KAD__BACKOFF_PEERS;
  kad_peer_id last = peer_of(n);
  assert_true(kad__backoff_until(&b, &last, address_of(&n), 0) != 0);
  /* A peer's addresses are bounded too, and the oldest one goes. */
  for (uint32_t i = 0; i < KAD__BACKOFF_ADDRESSES + 1; i++) {
    uint32_t address = 1000000 + i;
    assert_ok(kad__backoff_add(&b, &last, address_of(&address), 0));
  }
  assert_true(kad__backoff_until(&b, &last, address_of(&n), 0) == 0);
  n = 1000000;
  assert_true(kad__backoff_until(&b, &last, address_of(&n), 0) == 0);
  n = 1000001;
  assert_true(kad__backoff_until(&b, &last, address_of(&n), 0) != 0);
  kad__backoff_fini(&b);
  assert_int_equal(memory.live, 0);
}

static void test_no_memory(void **state) {
  (void)state;
  for (size_t fail_at = 1;; fail_at++) {
    test_allocator memory;
    test_allocator_init(&memory);
    memory.fail_at = fail_at;
    kad__backoff b;
    kad__backoff_init(&b, &memory.allocator, secret);
    kad_peer_id peer = peer_of(1);
    int worst = 0;
    for (uint32_t i = 0; i < 5; i++) {
      int result = kad__backoff_add(&b, &peer, address_of(&i), 0);
      worst = result < worst ? result : worst;
      assert_int_equal(kad__backoff_until(&b, &peer, address_of(&i), 0) != 0,
                       result == 0);
    }
    kad__backoff_fini(&b);
    assert_int_equal(memory.live, 0);
    if (memory.calls < fail_at) {
      assert_int_equal(worst, 0);
      return;
    }
    assert_error(KAD_E_NO_MEMORY, worst);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_waits_grow),
      cmocka_unit_test(test_forgotten_after_a_while),
      cmocka_unit_test(test_by_peer_and_address),
      cmocka_unit_test(test_bounded),
      cmocka_unit_test(test_no_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
