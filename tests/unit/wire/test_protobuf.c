#include "support.h"
#include "wire/protobuf.h"

static kad__pb_field take_one(const char *hex) {
  kad_bytes in = test_hex(hex);
  kad__pb_field field;
  assert_int_equal(kad__pb_next(&in, &field), 1);
  assert_int_equal(in.len, 0);
  return field;
}

static void every_type(void **state) {
  (void)state;
  kad__pb_field field = take_one("089601");
  assert_int_equal(field.number, 1);
  assert_int_equal(field.type, KAD__PB_VARINT);
  assert_int_equal(field.value, 150);
  field = take_one("110123456789abcdef");
  assert_int_equal(field.number, 2);
  assert_int_equal(field.type, KAD__PB_FIXED64);
  assert_true(field.value == UINT64_C(0xefcdab8967452301));
  field = take_one("1a03616263");
  assert_int_equal(field.number, 3);
  assert_int_equal(field.type, KAD__PB_BYTES);
  assert_bytes_equal(field.bytes, kad__bytes_of("abc"));
  field = take_one("2501234567");
  assert_int_equal(field.number, 4);
  assert_int_equal(field.type, KAD__PB_FIXED32);
  assert_int_equal(field.value, 0x67452301);
}

static void the_largest_number(void **state) {
  (void)state;
  kad__pb_field field = take_one("08ffffffffffffffffff01");
  assert_true(field.value == UINT64_MAX);
}

static void padded_varints_are_taken(void **state) {
  (void)state;
  kad__pb_field field = take_one("0880808000");
  assert_int_equal(field.value, 0);
  field = take_one(
      "08ac8280808080808080"
      "00");
  assert_int_equal(field.value, 300);
  field = take_one(
      "8a00"
      "8100"
      "78");
  assert_int_equal(field.number, 1);
  assert_bytes_equal(field.bytes, kad__bytes_of("x"));
}

static void field_numbers(void **state) {
  (void)state;
  assert_int_equal(take_one("7a00").number, 15);
  assert_int_equal(take_one("820100").number, 16);
  assert_int_equal(take_one("d22900").number, 666);
  assert_int_equal(take_one("faffffff0f00").number, (1u << 29) - 1);
}

/* K-07, K-08 and K-11 of the tables of bad input. */
static void malformed(void **state) {
  (void)state;
  static const char *const bad[] = {
      "0000", /* field 0 */
      "0200",
      "828080801000",   /* field 2^29 */
      "faffffffff0100", /* far past it */
      "0b",
      "0c",
      "7b7c", /* groups */
      "0e",
      "0f",
      "0e00",
      "0f00", /* unknown types */
      "08",
      "0880",
      "08ffff",                   /* truncated varints */
      "08ffffffffffffffffffff01", /* eleven bytes */
      "08ffffffffffffffffff02",   /* past 64 bits */
      "80",
      "80808080808080808080808001",
      "09",
      "0901234567890123", /* truncated fixed */
      "0d",
      "0d012345",
      "0a",
      "0a01",
      "0a0261",
      "0a80",
      "12ffffffff0f41", /* lengths past the end */
      "12ffffffffffffffffff01",
      "0affffffffffffffff7f41"};
  for (size_t i = 0; i < KAD__COUNT(bad); i++) {
    kad_bytes in = test_hex(bad[i]);
    kad__pb_field field;
    if (kad__pb_next(&in, &field) != KAD_E_PROTOBUF) {
      fail_msg("%s", bad[i]);
    }
  }
}

static void fields_come_one_by_one(void **state) {
  (void)state;
  kad_bytes in = test_hex(
      "0801"
      "1200"
      "1a0161"
      "2001");
  kad__pb_field field;
  for (uint32_t number = 1; number <= 4; number++) {
    assert_int_equal(kad__pb_next(&in, &field), 1);
    assert_int_equal(field.number, number);
  }
  assert_int_equal(kad__pb_next(&in, &field), 0);
  in = kad__bytes(NULL, 0);
  assert_int_equal(kad__pb_next(&in, &field), 0);
}

static void what_is_written_is_read(void **state) {
  (void)state;
  static const uint32_t numbers[] = {1, 15, 16, 2047, 2048, (1u << 29) - 1};
  static const uint64_t values[] = {0, 1, 127, 128, 16383, 16384, UINT64_MAX};
  static uint8_t out[70000], zeros[40000];
  for (size_t i = 0; i < KAD__COUNT(numbers); i++) {
    for (size_t j = 0; j < KAD__COUNT(values); j++) {
      size_t len = (size_t)(values[j] % 40000);
      kad__pb_writer w;
      kad__pb_writer_init(&w, out, sizeof(out));
      kad__pb_put_varint(&w, numbers[i], values[j]);
      kad__pb_put_bytes(&w, numbers[i], kad__bytes(zeros, len));
      kad__pb_put_header(&w, numbers[i], 2);
      kad__pb_put_raw(&w, kad__bytes_of("ab"));
      int written = kad__pb_writer_finish(&w);
      assert_int_equal(written, kad__pb_varint_len(numbers[i], values[j]) +
                                    kad__pb_bytes_len(numbers[i], len) +
                                    kad__pb_bytes_len(numbers[i], 2));
      kad_bytes in = kad__bytes(out, (size_t)written);
      kad__pb_field field;
      assert_int_equal(kad__pb_next(&in, &field), 1);
      assert_int_equal(field.number, numbers[i]);
      assert_true(field.value == values[j]);
      assert_int_equal(kad__pb_next(&in, &field), 1);
      assert_int_equal(field.number, numbers[i]);
      assert_bytes_equal(field.bytes, kad__bytes(zeros, len));
      assert_int_equal(kad__pb_next(&in, &field), 1);
      assert_bytes_equal(field.bytes, kad__bytes_of("ab"));
      assert_int_equal(kad__pb_next(&in, &field), 0);
    }
  }
}

static void write_some(kad__pb_writer *w) {
  kad__pb_put_varint(w, 1, 300);
  kad__pb_put_header(w, 2, 200);
  kad__pb_put_bytes(w, 3, kad__bytes_of("abc"));
  kad__pb_put_raw(w, kad__bytes_of("def"));
}

static void every_capacity(void **state) {
  (void)state;
  for (size_t cap = 0; cap <= 14; cap++) {
    uint8_t *out = malloc(cap == 0 ? 1 : cap);
    kad__pb_writer w;
    kad__pb_writer_init(&w, out, cap);
    write_some(&w);
    assert_int_equal(kad__pb_writer_finish(&w),
                     cap < 14 ? KAD_E_BUFFER_TOO_SMALL : 14);
    free(out);
  }
  kad__pb_writer w;
  kad__pb_writer_init(&w, NULL, 0);
  kad__pb_put_raw(&w, kad__bytes(NULL, 0));
  assert_int_equal(kad__pb_writer_finish(&w), 0);
  write_some(&w);
  assert_error(KAD_E_BUFFER_TOO_SMALL, kad__pb_writer_finish(&w));
}

static void after_an_overflow_nothing_is_written(void **state) {
  (void)state;
  uint8_t out[4] = {9, 9, 9, 9};
  kad__pb_writer w;
  kad__pb_writer_init(&w, out, sizeof(out));
  kad__pb_put_bytes(&w, 1, kad__bytes_of("abc"));
  kad__pb_put_varint(&w, 1, 1);
  kad__pb_put_raw(&w, kad__bytes_of("x"));
  assert_int_equal(out[0], 9);
  assert_true(w.overflow);
  assert_error(KAD_E_BUFFER_TOO_SMALL, kad__pb_writer_finish(&w));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_type),
      cmocka_unit_test(the_largest_number),
      cmocka_unit_test(padded_varints_are_taken),
      cmocka_unit_test(field_numbers),
      cmocka_unit_test(malformed),
      cmocka_unit_test(fields_come_one_by_one),
      cmocka_unit_test(what_is_written_is_read),
      cmocka_unit_test(every_capacity),
      cmocka_unit_test(after_an_overflow_nothing_is_written),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
