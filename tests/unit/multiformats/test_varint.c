#include "multiformats/varint.h"
#include "support.h"

typedef struct vector {
  uint64_t value;
  const char *hex;
} vector;

static const vector vectors[] = {
    {0, "00"},
    {1, "01"},
    {127, "7f"},
    {128, "8001"},
    {255, "ff01"},
    {300, "ac02"},
    {16383, "ff7f"},
    {16384, "808001"},
    {UINT32_MAX, "ffffffff0f"},
    {(UINT64_C(1) << 56) - 1, "ffffffffffffff7f"},
    {UINT64_C(1) << 56, "808080808080808001"},
    {INT64_MAX, "ffffffffffffffff7f"},
};

static void numbers_and_bytes(void **state) {
  (void)state;
  for (size_t i = 0; i < KAD__COUNT(vectors); i++) {
    kad_bytes in = test_hex(vectors[i].hex);
    uint64_t value = 0;
    assert_int_equal(kad__varint_decode(&value, in), in.len);
    assert_true(value == vectors[i].value);
    uint8_t out[KAD__VARINT_MAX_LEN];
    size_t len = kad__varint_encode(out, value);
    assert_bytes_equal(kad__bytes(out, len), in);
    assert_int_equal(kad__varint_len(value), in.len);
  }
}

static void prefixes_need_more(void **state) {
  (void)state;
  for (size_t i = 0; i < KAD__COUNT(vectors); i++) {
    kad_bytes in = test_hex(vectors[i].hex);
    uint64_t value = 77;
    for (size_t len = 0; len < in.len; len++) {
      assert_error(KAD_E_TRUNCATED,
                   kad__varint_decode(&value, kad__bytes(in.data, len)));
      assert_true(value == 77);
    }
  }
}

static void what_follows_is_left_alone(void **state) {
  (void)state;
  uint64_t value = 0;
  assert_int_equal(kad__varint_decode(&value, test_hex("ac02ff")), 2);
  assert_true(value == 300);
}

static void padded_and_long_forms_are_refused(void **state) {
  (void)state;
  static const char *const bad[] = {"8000",
                                    "ff00",
                                    "80808000",
                                    "80808080808080808000",
                                    "ffffffffffffffffff01",
                                    "80808080808080808080",
                                    "ffffffffffffffffff",
                                    "8080808080808080808001"};
  for (size_t i = 0; i < KAD__COUNT(bad); i++) {
    uint64_t value = 77;
    assert_error(KAD_E_VARINT, kad__varint_decode(&value, test_hex(bad[i])));
    assert_true(value == 77);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(numbers_and_bytes),
      cmocka_unit_test(prefixes_need_more),
      cmocka_unit_test(what_follows_is_left_alone),
      cmocka_unit_test(padded_and_long_forms_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
