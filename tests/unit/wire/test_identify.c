#include "support.h"
#include "wire/identify.h"

static kad__identify_message m;

static int merge(const char *hex) {
  return kad__identify_merge(&m, test_hex(hex));
}

static void reset(void) {
  m = (kad__identify_message){0};
}

static void absent_is_not_empty(void **state) {
  (void)state;
  reset();
  assert_ok(merge(""));
  assert_false(m.has_public_key || m.has_agent_version ||
               m.has_protocol_version || m.has_observed_address ||
               m.has_signed_peer_record);
  assert_ok(
      merge("0a00"
            "2200"
            "2a00"
            "3200"
            "4200"));
  assert_true(m.has_public_key && m.has_agent_version &&
              m.has_protocol_version && m.has_observed_address &&
              m.has_signed_peer_record);
  assert_int_equal(m.address_count, 0);
  uint8_t out[16];
  assert_int_equal(kad__identify_encode(out, sizeof(out), &m), 11);
}

static void messages_are_merged(void **state) {
  (void)state;
  reset();
  assert_ok(
      merge("120161"
            "1a0170"
            "320178"));
  assert_ok(
      merge("120162"
            "1a0171"
            "320179"
            "420172"));
  assert_int_equal(m.address_count, 2);
  assert_bytes_equal(m.addresses[0], kad__bytes_of("a"));
  assert_bytes_equal(m.addresses[1], kad__bytes_of("b"));
  assert_int_equal(m.protocol_count, 2);
  assert_bytes_equal(m.protocols[1], kad__bytes_of("q"));
  assert_bytes_equal(m.agent_version, kad__bytes_of("y"));
  assert_true(m.has_signed_peer_record);
}

static void lists_are_bounded(void **state) {
  (void)state;
  reset();
  for (int i = 0; i < 1000; i++) {
    assert_ok(
        merge("120161"
              "1a0170"));
  }
  assert_int_equal(m.address_count, KAD__IDENTIFY_ADDRESSES_MAX);
  assert_int_equal(m.protocol_count, KAD__IDENTIFY_PROTOCOLS_MAX);
}

static void unknown_fields_are_skipped(void **state) {
  (void)state;
  reset();
  assert_ok(
      merge("3801"
            "3a00"
            "4801"
            "d22900"
            "320178"));
  assert_bytes_equal(m.agent_version, kad__bytes_of("x"));
}

static void malformed(void **state) {
  (void)state;
  static const char *const bad[] = {"0801", "1001", "1801",      "2001",
                                    "2801", "3001", "4001",      "0a05",
                                    "7b",   "0000", "0d00000000"};
  for (size_t i = 0; i < KAD__COUNT(bad); i++) {
    reset();
    assert_error(KAD_E_PROTOBUF, merge(bad[i]));
  }
}

/* Others read only the beginning: the signed record goes last. */
static void order_and_capacity(void **state) {
  (void)state;
  reset();
  assert_ok(
      merge("420172"
            "320178"
            "2a0179"
            "220161"
            "1a0170"
            "120161"
            "0a016b"));
  kad_bytes expected = test_hex(
      "15"
      "0a016b"
      "120161"
      "1a0170"
      "220161"
      "2a0179"
      "320178"
      "420172");
  for (size_t cap = 0; cap <= expected.len; cap++) {
    uint8_t *out = malloc(cap == 0 ? 1 : cap);
    int len = kad__identify_encode(out, cap, &m);
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
      cmocka_unit_test(absent_is_not_empty),
      cmocka_unit_test(messages_are_merged),
      cmocka_unit_test(lists_are_bounded),
      cmocka_unit_test(unknown_fields_are_skipped),
      cmocka_unit_test(malformed),
      cmocka_unit_test(order_and_capacity),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
