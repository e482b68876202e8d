#include "base/buffer.h"
#include "support.h"

static void empty_holds_no_memory(void **state) {
  (void)state;
  test_allocator t;
  test_allocator_init(&t);
  kad__buffer b = {0};
  assert_int_equal(kad__buffer_len(&b), 0);
  assert_null(kad__buffer_bytes(&b).data);
  assert_ok(kad__buffer_append(&b, &t.allocator, kad__bytes(NULL, 0)));
  assert_int_equal(t.calls, 0);
  assert_ok(kad__buffer_append(&b, &t.allocator, kad__bytes_of("abc")));
  assert_int_equal(t.live, 1);
  kad__buffer_consume(&b, &t.allocator, 2);
  assert_bytes_equal(kad__buffer_bytes(&b), kad__bytes_of("c"));
  assert_int_equal(t.live, 1);
  kad__buffer_consume(&b, &t.allocator, 1);
  assert_int_equal(t.live, 0);
  assert_null(b.data);
  kad__buffer_fini(&b, &t.allocator);
}

static void reserve_and_commit(void **state) {
  (void)state;
  test_allocator t;
  test_allocator_init(&t);
  kad__buffer b = {0};
  uint8_t *tail = NULL;
  assert_ok(kad__buffer_reserve(&b, &t.allocator, &tail, 100));
  memset(tail, 'x', 100);
  assert_int_equal(kad__buffer_len(&b), 0);
  kad__buffer_commit(&b, 2);
  assert_bytes_equal(kad__buffer_bytes(&b), kad__bytes_of("xx"));
  assert_ok(kad__buffer_reserve(&b, &t.allocator, &tail, 0));
  assert_ptr_equal(tail, b.data + 2);
  kad__buffer_fini(&b, &t.allocator);
  assert_int_equal(t.live, 0);
  assert_int_equal(kad__buffer_len(&b), 0);
}

/* A queue that is never empty and never long must not grow for ever. */
static void a_short_queue_stays_small(void **state) {
  (void)state;
  test_allocator t;
  test_allocator_init(&t);
  kad__buffer b = {0};
  uint8_t chunk[100] = {0};
  assert_ok(kad__buffer_append(&b, &t.allocator, kad__bytes(chunk, 100)));
  for (int i = 0; i < 100000; i++) {
    chunk[0] = (uint8_t)i;
    assert_ok(kad__buffer_append(&b, &t.allocator, kad__bytes(chunk, 100)));
    kad__buffer_consume(&b, &t.allocator, 100);
    assert_int_equal(kad__buffer_bytes(&b).data[0], chunk[0]);
  }
  assert_true(b.cap <= 800);
  assert_true(t.calls < 10);
  kad__buffer_fini(&b, &t.allocator);
}

static void the_limit_leaves_it_as_it_was(void **state) {
  (void)state;
  test_allocator t;
  test_allocator_init(&t);
  kad__buffer b = {0};
  uint8_t *tail = NULL;
  assert_error(KAD_E_LIMIT, kad__buffer_reserve(&b, &t.allocator, &tail,
                                                ((size_t)1 << 30) + 1));
  assert_int_equal(t.calls, 0);
  assert_ok(kad__buffer_append(&b, &t.allocator, kad__bytes_of("abc")));
  assert_error(KAD_E_LIMIT, kad__buffer_reserve(&b, &t.allocator, &tail,
                                                ((size_t)1 << 30) - 2));
  assert_error(KAD_E_LIMIT,
               kad__buffer_reserve(&b, &t.allocator, &tail, SIZE_MAX));
  assert_bytes_equal(kad__buffer_bytes(&b), kad__bytes_of("abc"));
  kad__buffer_fini(&b, &t.allocator);
}

static void failing_allocations_leave_it_as_it_was(void **state) {
  (void)state;
  test_allocator t;
  test_allocator_init(&t);
  kad__buffer b = {0};
  t.fail_at = 1;
  assert_error(KAD_E_NO_MEMORY,
               kad__buffer_append(&b, &t.allocator, kad__bytes_of("abc")));
  assert_int_equal(kad__buffer_len(&b), 0);
  assert_ok(kad__buffer_append(&b, &t.allocator, kad__bytes_of("abc")));
  t.fail_at = t.calls + 1;
  uint8_t *tail = NULL;
  assert_error(KAD_E_NO_MEMORY,
               kad__buffer_reserve(&b, &t.allocator, &tail, 1000));
  assert_bytes_equal(kad__buffer_bytes(&b), kad__bytes_of("abc"));
  assert_ok(kad__buffer_append(&b, &t.allocator, kad__bytes_of("def")));
  assert_bytes_equal(kad__buffer_bytes(&b), kad__bytes_of("abcdef"));
  kad__buffer_fini(&b, &t.allocator);
  assert_int_equal(t.live, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(empty_holds_no_memory),
      cmocka_unit_test(reserve_and_commit),
      cmocka_unit_test(a_short_queue_stays_small),
      cmocka_unit_test(the_limit_leaves_it_as_it_was),
      cmocka_unit_test(failing_allocations_leave_it_as_it_was),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
