#include "node/records_time.h"
#include "support.h"

static void reads_times(void **state) {
  (void)state;
  const struct {
    const char *text;
    int64_t seconds;
    uint32_t nanoseconds;
  } cases[] = {
      {"1970-01-01T00:00:00Z", 0, 0},
      {"1970-01-01T00:00:00.000000001Z", 0, 1},
      {"1970-01-01T00:00:00.5Z", 0, 500000000},
      {"1970-01-01T00:00:00.1234567899999Z", 0, 123456789},
      {"1969-12-31T23:59:59Z", -1, 0},
      {"1969-12-31T23:59:59.75Z", -1, 750000000},
      {"2000-02-29T12:00:00Z", 951825600, 0},
      {"2001-09-09T01:46:40Z", 1000000000, 0},
      {"2033-05-18T03:33:20Z", 2000000000, 0},
      {"2262-04-11T23:47:16.854775807Z", 9223372036, 854775807},
      {"2262-04-11T23:47:16.854775808Z", 9223372036, 854775808},
      {"2554-07-21T23:34:33.709551615Z", 18446744073, 709551615},
      {"9999-12-31T23:59:59.999999999Z", 253402300799, 999999999},
      {"0000-01-01T00:00:00Z", -62167219200, 0},
      {"0000-02-29T00:00:00Z", -62162121600, 0},
      {"0000-01-01T00:00:00+23:59", -62167219200 - 86340, 0},
      {"9999-12-31T23:59:59-23:59", 253402300799 + 86340, 0},
      {"1970-01-01T01:00:00+01:00", 0, 0},
      {"1969-12-31T20:30:00-03:30", 0, 0},
      {"1970-01-01T00:00:00+00:00", 0, 0},
      {"1970-01-01T00:00:00-00:00", 0, 0},
  };
  for (size_t i = 0; i < KAD__COUNT(cases); i++) {
    kad__calendar_time out;
    print_message("%s\n", cases[i].text);
    assert_ok(kad__calendar_time_parse(&out, kad__bytes_of(cases[i].text)));
    assert_true(out.seconds == cases[i].seconds);
    assert_int_equal(out.nanoseconds, cases[i].nanoseconds);
  }
}

static void refuses_what_is_no_time(void **state) {
  (void)state;
  const char *bad[] = {
      "",
      "1970",
      "1970-01-01",
      "1970-01-01T00:00:00",
      "1970-01-01 00:00:00Z",
      "1970-01-01t00:00:00Z",
      "1970-01-01T00:00:00z",
      "1970-01-01T00:00:00ZZ",
      "1970-01-01T00:00:00.Z",
      "1970-01-01T00:00:00,5Z",
      "1970-01-01T00:00:0Z",
      "1970-1-01T00:00:00Z",
      "1970-00-01T00:00:00Z",
      "1970-13-01T00:00:00Z",
      "1970-01-00T00:00:00Z",
      "1970-01-32T00:00:00Z",
      "1970-04-31T00:00:00Z",
      "1900-02-29T00:00:00Z",
      "1970-02-29T00:00:00Z",
      "1970-01-01T24:00:00Z",
      "1970-01-01T00:60:00Z",
      "1970-01-01T00:00:60Z",
      "1970-01-01T00:00:00+24:00",
      "1970-01-01T00:00:00+00:60",
      "1970-01-01T00:00:00+0000",
      "1970-01-01T00:00:00+00",
      "1970-01-01T00:00:00 00:00",
      "-970-01-01T00:00:00Z",
      "+970-01-01T00:00:00Z",
      "10000-01-01T00:00:00Z",
      "99999999999999999999-01-01T00:00:00Z",
      " 1970-01-01T00:00:00Z",
      "1970-01-01T00:00:00Z ",
  };
  for (size_t i = 0; i < KAD__COUNT(bad); i++) {
    kad__calendar_time out;
    print_message("%s\n", bad[i]);
    assert_error(KAD_E_RECORD,
                 kad__calendar_time_parse(&out, kad__bytes_of(bad[i])));
  }
}

static void refuses_every_prefix(void **state) {
  (void)state;
  const char *text = "2033-05-18T03:33:20.123456789+11:22";
  kad__calendar_time out;
  for (size_t len = 0; len < strlen(text); len++) {
    assert_error(KAD_E_RECORD,
                 kad__calendar_time_parse(&out, kad__bytes(text, len)));
  }
  assert_ok(kad__calendar_time_parse(&out, kad__bytes_of(text)));
}

static void writes_what_it_reads(void **state) {
  (void)state;
  const uint64_t times[] = {0,
                            1,
                            951782399999999999,  /* 2000-02-28, last moment */
                            951782400000000000,  /* 2000-02-29 */
                            951868800000000000,  /* 2000-03-01 */
                            4107542400000000000, /* 2100-03-01 */
                            INT64_MAX,
                            (uint64_t)INT64_MAX + 1,
                            UINT64_MAX};
  for (size_t i = 0; i < KAD__COUNT(times); i++) {
    uint8_t text[KAD__CALENDAR_TIME_LEN];
    kad__calendar_time out;
    kad__calendar_time expected = kad__calendar_time_of(times[i]);
    kad__calendar_time_format(text, times[i]);
    assert_ok(kad__calendar_time_parse(&out, kad__bytes(text, sizeof(text))));
    assert_int_equal(0, kad__calendar_time_compare(&out, &expected));
  }
  uint8_t text[KAD__CALENDAR_TIME_LEN];
  kad__calendar_time_format(text, 951782400000000042);
  assert_memory_equal(text, "2000-02-29T00:00:00.000000042Z", sizeof(text));
}

static void orders_times(void **state) {
  (void)state;
  const kad__calendar_time times[] = {
      {INT64_MIN, 5}, {-1, 0}, {-1, 1}, {0, 0}, {0, 999999999}, {INT64_MAX, 0},
  };
  for (size_t i = 0; i < KAD__COUNT(times); i++) {
    for (size_t j = 0; j < KAD__COUNT(times); j++) {
      int order = kad__calendar_time_compare(&times[i], &times[j]);
      assert_true(i < j ? order < 0 : i > j ? order > 0 : order == 0);
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(reads_times),
      cmocka_unit_test(refuses_what_is_no_time),
      cmocka_unit_test(refuses_every_prefix),
      cmocka_unit_test(writes_what_it_reads),
      cmocka_unit_test(orders_times),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
