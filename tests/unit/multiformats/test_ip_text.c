/* What the addresses' vectors do not reach. The C library's own reader and
 * writer of addresses are the second opinion. */
#define _POSIX_C_SOURCE 200809L
#include <arpa/inet.h>

#include "multiformats/ip_text.h"
#include "support.h"

static void decimals(void **state) {
  (void)state;
  static const char *const bad[] = {"",
                                    "00",
                                    "01",
                                    "-1",
                                    "+1",
                                    " 1",
                                    "1 ",
                                    "0x1",
                                    "1.",
                                    "256",
                                    "999999999999999999"};
  uint64_t value = 0;
  for (size_t i = 0; i < KAD__COUNT(bad); i++) {
    assert_false(kad__decimal_parse(&value, kad__bytes_of(bad[i]), 255));
  }
  assert_true(kad__decimal_parse(&value, kad__bytes_of("255"), 255));
  assert_true(value == 255);
  assert_true(kad__decimal_parse(&value, kad__bytes_of("0"), 0));
  assert_true(value == 0);
  assert_true(kad__decimal_parse(&value, kad__bytes_of("18446744073709551615"),
                                 UINT64_MAX));
  assert_true(value == UINT64_MAX);
  assert_false(kad__decimal_parse(&value, kad__bytes_of("18446744073709551616"),
                                  UINT64_MAX));
  assert_false(kad__decimal_parse(&value, kad__bytes_of("99999999999999999999"),
                                  UINT64_MAX));
  char text[21];
  assert_int_equal(kad__decimal_format(text, UINT64_MAX), 20);
  assert_string_equal(text, "18446744073709551615");
  assert_int_equal(kad__decimal_format(text, 0), 1);
  assert_string_equal(text, "0");
}

/* Addresses in which every pattern of zero groups occurs. */
static void every_pattern_of_zeros(void **state) {
  (void)state;
  for (unsigned pattern = 0; pattern < 256; pattern++) {
    uint8_t bytes[16], again[16];
    for (unsigned i = 0; i < 8; i++) {
      kad__store16(bytes + 2 * i,
                   (uint16_t)(pattern >> i & 1 ? 0x1bcdu >> (2 * i) : 0));
    }
    char text[KAD__IP6_TEXT_MAX];
    size_t len = kad__ip6_format(text, bytes);
    assert_int_equal(len, strlen(text));
    assert_true(kad__ip6_parse(again, kad__bytes(text, len)));
    assert_memory_equal(again, bytes, 16);
    assert_int_equal(inet_pton(AF_INET6, text, again), 1);
    assert_memory_equal(again, bytes, 16);
    /* glibc writes ::1.2.3.4 in another way. */
    char other[INET6_ADDRSTRLEN];
    assert_non_null(inet_ntop(AF_INET6, bytes, other, sizeof(other)));
    if (strchr(other, '.') == NULL) {
      assert_string_equal(text, other);
    }
  }
}

/* All short texts of the characters that matter mean the same to both. */
static void short_texts_mean_what_the_c_library_says(void **state) {
  (void)state;
  static const char alphabet[] = "0:1.f";
  for (size_t n = 0; n < 5 * 5 * 5 * 5 * 5 * 5 * 5; n++) {
    char text[8] = {0};
    size_t rest = n;
    for (size_t i = 0; i < 7; i++, rest /= 5) {
      text[i] = alphabet[rest % 5];
    }
    for (size_t len = 7; len > 0; len--) {
      text[len] = '\0';
      uint8_t ours[16] = {0}, theirs[16] = {0};
      bool valid = kad__ip6_parse(ours, kad__bytes(text, len));
      if (valid != (inet_pton(AF_INET6, text, theirs) == 1) ||
          (valid && memcmp(ours, theirs, 16) != 0)) {
        fail_msg("%s", text);
      }
      valid = kad__ip4_parse(ours, kad__bytes(text, len));
      if (valid != (inet_pton(AF_INET, text, theirs) == 1) ||
          (valid && memcmp(ours, theirs, 4) != 0)) {
        fail_msg("%s", text);
      }
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(decimals),
      cmocka_unit_test(every_pattern_of_zeros),
      cmocka_unit_test(short_texts_mean_what_the_c_library_says),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
