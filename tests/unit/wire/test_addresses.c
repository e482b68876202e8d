#include "support.h"
#include "wire/addresses.h"

static void appending_and_walking(void **state) {
  (void)state;
  uint8_t out[64] = {0};
  size_t len = 0;
  assert_int_equal(kad__addresses_count(kad__bytes(out, len)), 0);
  assert_true(
      kad__addresses_append(out, sizeof(out), &len, kad__bytes_of("one")));
  assert_true(
      kad__addresses_append(out, sizeof(out), &len, kad__bytes(NULL, 0)));
  assert_true(
      kad__addresses_append(out, sizeof(out), &len, kad__bytes_of("three")));
  kad_bytes list = kad__bytes(out, len);
  assert_bytes_equal(list, test_hex("12036f6e65120012057468726565"));
  assert_int_equal(kad__addresses_count(list), 3);
  assert_true(kad__addresses_have(list, kad__bytes_of("one")));
  assert_true(kad__addresses_have(list, kad__bytes_of("three")));
  assert_true(kad__addresses_have(list, kad__bytes(NULL, 0)));
  assert_false(kad__addresses_have(list, kad__bytes_of("on")));
  kad_bytes address;
  assert_true(kad__addresses_next(&list, &address));
  assert_bytes_equal(address, kad__bytes_of("one"));
  assert_true(kad__addresses_next(&list, &address));
  assert_int_equal(address.len, 0);
  assert_true(kad__addresses_next(&list, &address));
  assert_bytes_equal(address, kad__bytes_of("three"));
  assert_false(kad__addresses_next(&list, &address));
  assert_false(kad__addresses_next(&list, &address));
}

static void every_capacity(void **state) {
  (void)state;
  static uint8_t address[200];
  for (size_t cap = 0; cap <= 2 * 203; cap++) {
    uint8_t *out = malloc(cap == 0 ? 1 : cap);
    size_t len = 0;
    bool fits = true;
    for (size_t i = 1; i <= 2; i++) {
      fits = kad__addresses_append(out, cap, &len,
                                   kad__bytes(address, sizeof(address)));
      assert_int_equal(fits, cap >= 203 * i);
    }
    assert_int_equal(len, cap / 203 * 203);
    free(out);
  }
}

static void other_fields_are_passed_over(void **state) {
  (void)state;
  /* A Peer: id, address, connection, an unknown field, address. */
  kad_bytes list = test_hex(
      "0a026964"
      "120161"
      "1801"
      "d22900"
      "1005"
      "120162");
  kad_bytes address;
  assert_int_equal(kad__addresses_count(list), 2);
  assert_true(kad__addresses_next(&list, &address));
  assert_bytes_equal(address, kad__bytes_of("a"));
  assert_true(kad__addresses_next(&list, &address));
  assert_bytes_equal(address, kad__bytes_of("b"));
}

static void a_malformed_list_ends(void **state) {
  (void)state;
  kad_bytes list = test_hex(
      "120161"
      "120562"
      "120163");
  kad_bytes address;
  assert_true(kad__addresses_next(&list, &address));
  assert_false(kad__addresses_next(&list, &address));
  assert_false(kad__addresses_next(&list, &address));
  assert_int_equal(kad__addresses_count(test_hex("1201617b120162")), 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(appending_and_walking),
      cmocka_unit_test(every_capacity),
      cmocka_unit_test(other_fields_are_passed_over),
      cmocka_unit_test(a_malformed_list_ends),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
