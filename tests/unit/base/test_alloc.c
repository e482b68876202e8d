#include "base/alloc.h"
#include "support.h"

static void default_allocator_allocates(void **state) {
  (void)state;
  const kad_allocator *a = kad_allocator_default();
  assert_non_null(a);
  uint8_t *memory = kad__alloc(a, 3);
  assert_non_null(memory);
  memcpy(memory, "abc", 3);
  memory = kad__resize(a, memory, 1000);
  assert_non_null(memory);
  assert_memory_equal(memory, "abc", 3);
  kad__release(a, memory);
  kad__release(a, NULL);
}

static void size_zero_is_memory_too(void **state) {
  (void)state;
  test_allocator t;
  test_allocator_init(&t);
  void *one = kad__alloc(&t.allocator, 0);
  void *other = kad__calloc(&t.allocator, 0, 8);
  void *copy = kad__memdup(&t.allocator, NULL, 0);
  assert_non_null(one);
  assert_non_null(other);
  assert_non_null(copy);
  one = kad__resize(&t.allocator, one, 0);
  assert_non_null(one);
  assert_int_equal(t.live, 3);
  kad__release(&t.allocator, one);
  kad__release(&t.allocator, other);
  kad__release(&t.allocator, copy);
  assert_int_equal(t.live, 0);
}

static void calloc_gives_zeros(void **state) {
  (void)state;
  test_allocator t;
  test_allocator_init(&t);
  static const uint8_t zeros[300];
  for (int i = 0; i < 3; i++) {
    uint8_t *memory = kad__calloc(&t.allocator, 100, 3);
    assert_non_null(memory);
    assert_memory_equal(memory, zeros, sizeof(zeros));
    memset(memory, 0xff, sizeof(zeros));
    kad__release(&t.allocator, memory);
  }
}

static void products_that_overflow_are_refused(void **state) {
  (void)state;
  test_allocator t;
  test_allocator_init(&t);
  assert_null(kad__calloc(&t.allocator, SIZE_MAX / 2, 3));
  assert_null(kad__calloc(&t.allocator, 3, SIZE_MAX / 2));
  assert_null(kad__resize_array(&t.allocator, NULL, SIZE_MAX / 4 + 1, 4));
  assert_int_equal(t.calls, 0);
}

static void memdup_copies(void **state) {
  (void)state;
  test_allocator t;
  test_allocator_init(&t);
  char *copy = kad__memdup(&t.allocator, "kadmium", 8);
  assert_string_equal(copy, "kadmium");
  kad__release(&t.allocator, copy);
  assert_int_equal(t.live, 0);
}

static void failure_is_null(void **state) {
  (void)state;
  test_allocator t;
  for (int i = 0; i < 5; i++) {
    test_allocator_init(&t);
    t.fail_at = 1;
    void *memory = i == 0   ? kad__alloc(&t.allocator, 1)
                   : i == 1 ? kad__calloc(&t.allocator, 1, 1)
                   : i == 2 ? kad__resize(&t.allocator, NULL, 1)
                   : i == 3 ? kad__resize_array(&t.allocator, NULL, 1, 1)
                            : kad__memdup(&t.allocator, "x", 1);
    assert_null(memory);
    assert_int_equal(t.calls, 1);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(default_allocator_allocates),
      cmocka_unit_test(size_zero_is_memory_too),
      cmocka_unit_test(calloc_gives_zeros),
      cmocka_unit_test(products_that_overflow_are_refused),
      cmocka_unit_test(memdup_copies),
      cmocka_unit_test(failure_is_null),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
