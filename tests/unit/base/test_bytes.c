#include "support.h"

static void comparing(void **state) {
  (void)state;
  kad_bytes empty = kad__bytes(NULL, 0);
  kad_bytes ab = kad__bytes_of("ab");
  kad_bytes abc = kad__bytes_of("abc");
  kad_bytes b = kad__bytes_of("b");
  assert_true(kad__bytes_equal(empty, kad__bytes("", 0)));
  assert_true(kad__bytes_equal(ab, kad__bytes("abx", 2)));
  assert_false(kad__bytes_equal(ab, abc));
  assert_false(kad__bytes_equal(ab, kad__bytes_of("ac")));
  assert_int_equal(kad__bytes_compare(empty, empty), 0);
  assert_true(kad__bytes_compare(empty, ab) < 0);
  assert_true(kad__bytes_compare(ab, abc) < 0);
  assert_true(kad__bytes_compare(abc, ab) > 0);
  assert_true(kad__bytes_compare(abc, b) < 0);
  assert_true(kad__bytes_compare(kad__bytes("\xff", 1), b) > 0);
  assert_true(kad__bytes_start(abc, ab));
  assert_true(kad__bytes_start(abc, empty));
  assert_true(kad__bytes_start(empty, empty));
  assert_false(kad__bytes_start(ab, abc));
  assert_false(kad__bytes_start(abc, b));
}

static void skipping(void **state) {
  (void)state;
  kad_bytes abc = kad__bytes_of("abc");
  assert_bytes_equal(kad__bytes_skip(abc, 1), kad__bytes_of("bc"));
  assert_int_equal(kad__bytes_skip(abc, 3).len, 0);
  assert_null(kad__bytes_skip(kad__bytes(NULL, 0), 0).data);
}

static void big_endian(void **state) {
  (void)state;
  uint8_t out[8];
  kad__store64(out, UINT64_C(0x0123456789abcdef));
  assert_bytes_equal(kad__bytes(out, 8), test_hex("0123456789abcdef"));
  assert_true(kad__load64(out) == UINT64_C(0x0123456789abcdef));
  assert_int_equal(kad__load32(out + 4), 0x89abcdef);
  assert_int_equal(kad__load16(out + 6), 0xcdef);
  kad__store32(out, 0xfedcba98);
  kad__store16(out + 4, 0x7654);
  assert_bytes_equal(kad__bytes(out, 6), test_hex("fedcba987654"));
}

static void time_does_not_wrap(void **state) {
  (void)state;
  assert_true(kad__time_add(5, 7) == 12);
  assert_true(kad__time_add(KAD_TIME_NEVER, 0) == KAD_TIME_NEVER);
  assert_true(kad__time_add(KAD_TIME_NEVER - 1, 1) == KAD_TIME_NEVER);
  assert_true(kad__time_add(KAD_TIME_NEVER - 1, 2) == KAD_TIME_NEVER);
  assert_true(kad__time_add(9, KAD_TIME_NEVER) == KAD_TIME_NEVER);
  assert_true(kad__time_min(3, KAD_TIME_NEVER) == 3);
  assert_true(kad__time_min(KAD_TIME_NEVER, 3) == 3);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(comparing),
      cmocka_unit_test(skipping),
      cmocka_unit_test(big_endian),
      cmocka_unit_test(time_does_not_wrap),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
