#include "support.h"
#include "wire/noise_payload.h"

static kad__noise_payload payload;

static int decode(const char *hex) {
  memset(&payload, 0xa5, sizeof(payload));
  return kad__noise_payload_decode(&payload, test_hex(hex));
}

static void without_extensions(void **state) {
  (void)state;
  assert_ok(decode(""));
  assert_int_equal(payload.identity_key.len, 0);
  assert_int_equal(payload.identity_signature.len, 0);
  assert_int_equal(payload.muxer_count, 0);
  assert_ok(
      decode("0a016b"
             "120173"
             "1a0164"
             "2200"));
  assert_bytes_equal(payload.identity_key, kad__bytes_of("k"));
  assert_bytes_equal(payload.identity_signature, kad__bytes_of("s"));
  assert_int_equal(payload.muxer_count, 0);
}

static void muxers_are_bounded(void **state) {
  (void)state;
  static char hex[8 * 101 + 1];
  for (size_t i = 0; i < 101; i++) {
    memcpy(hex + 8 * i, "22021200", 8);
  }
  assert_ok(decode(hex));
  assert_int_equal(payload.muxer_count, KAD__NOISE_MUXERS_MAX);
}

static void malformed(void **state) {
  (void)state;
  static const char *const bad[] = {"0801", "1001",    "2001",     "0a02",
                                    "7b",   "2202",    "22021001", "22017b",
                                    "0000", "22021201"};
  for (size_t i = 0; i < KAD__COUNT(bad); i++) {
    assert_error(KAD_E_PROTOBUF, decode(bad[i]));
  }
  /* Unknown fields may have any type. */
  assert_ok(
      decode("1801"
             "22020801"
             "4001"));
}

static void every_capacity(void **state) {
  (void)state;
  kad_bytes expected = test_hex(
      "0a016b"
      "120173"
      "2206"
      "120161"
      "120162");
  assert_ok(
      decode("0a016b"
             "120173"
             "2206"
             "120161"
             "120162"));
  for (size_t cap = 0; cap <= expected.len; cap++) {
    uint8_t *out = malloc(cap == 0 ? 1 : cap);
    int len = kad__noise_payload_encode(out, cap, &payload);
    if (cap < expected.len) {
      assert_error(KAD_E_BUFFER_TOO_SMALL, len);
    } else {
      assert_bytes_equal(kad__bytes(out, (size_t)len), expected);
    }
    free(out);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(without_extensions),
      cmocka_unit_test(muxers_are_bounded),
      cmocka_unit_test(malformed),
      cmocka_unit_test(every_capacity),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
