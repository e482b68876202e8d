#include "node/records_cbor.h"
#include "support.h"

static void reads_and_writes_heads(void **state) {
  (void)state;
  const struct {
    uint64_t value;
    const char *bytes;
  } cases[] = {
      {0, "00"},
      {23, "17"},
      {24, "1818"},
      {255, "18ff"},
      {256, "190100"},
      {65535, "19ffff"},
      {65536, "1a00010000"},
      {UINT32_MAX, "1affffffff"},
      {(uint64_t)UINT32_MAX + 1, "1b0000000100000000"},
      {UINT64_MAX, "1bffffffffffffffff"},
  };
  for (size_t i = 0; i < KAD__COUNT(cases); i++) {
    uint8_t out[9];
    uint64_t value = 0;
    kad_bytes in = test_hex(cases[i].bytes);
    size_t len = kad__cbor_put_head(out, KAD__CBOR_UNSIGNED, cases[i].value);
    assert_bytes_equal(kad__bytes(out, len), in);
    for (size_t cut = 0; cut < in.len; cut++) {
      kad_bytes part = kad__bytes(in.data, cut);
      assert_error(KAD_E_RECORD,
                   kad__cbor_take_head(&part, KAD__CBOR_UNSIGNED, &value));
      assert_int_equal(part.len, cut);
    }
    assert_error(KAD_E_RECORD,
                 kad__cbor_take_head(&in, KAD__CBOR_NEGATIVE, &value));
    assert_ok(kad__cbor_take_head(&in, KAD__CBOR_UNSIGNED, &value));
    assert_true(value == cases[i].value);
    assert_int_equal(in.len, 0);
  }
}

static void reads_strings(void **state) {
  (void)state;
  kad_bytes in = test_hex(
      "43aabbcc"
      "6161");
  kad_bytes out;
  assert_error(KAD_E_RECORD, kad__cbor_take_string(&in, KAD__CBOR_TEXT, &out));
  assert_ok(kad__cbor_take_string(&in, KAD__CBOR_BYTES, &out));
  assert_bytes_equal(out, test_hex("aabbcc"));
  assert_error(KAD_E_RECORD, kad__cbor_take_string(&in, KAD__CBOR_BYTES, &out));
  assert_ok(kad__cbor_take_string(&in, KAD__CBOR_TEXT, &out));
  assert_bytes_equal(out, kad__bytes_of("a"));
  in = test_hex("43aabb");
  assert_error(KAD_E_RECORD, kad__cbor_take_string(&in, KAD__CBOR_BYTES, &out));
  assert_int_equal(in.len, 3);
  in = test_hex("5bffffffffffffffffaa");
  assert_error(KAD_E_RECORD, kad__cbor_take_string(&in, KAD__CBOR_BYTES, &out));
}

static void skips_items(void **state) {
  (void)state;
  const char *items[] = {
      "00",
      "3903e7",                   /* -1000 */
      "40",                       /* empty bytes */
      "6461626364",               /* "abcd" */
      "80",                       /* [] */
      "a0",                       /* {} */
      "820102",                   /* [1, 2] */
      "a2616101616282a0f6",       /* {a: 1, b: [{}, null]} */
      "d82a450001020304",         /* a link */
      "f4",                       /* false */
      "f5",                       /* true */
      "f6",                       /* null */
      "fb3ff8000000000000",       /* 1.5 */
      "fb0000000000000000",       /* 0.0 */
      "8181818181818181818181f6", /* nested */
  };
  for (size_t i = 0; i < KAD__COUNT(items); i++) {
    kad_bytes item = test_hex(items[i]);
    uint8_t bytes[64];
    memcpy(bytes, item.data, item.len);
    bytes[item.len] = 0x07;
    for (size_t cut = 0; cut < item.len; cut++) {
      kad_bytes part = kad__bytes(bytes, cut);
      assert_error(KAD_E_RECORD, kad__cbor_skip(&part));
      assert_int_equal(part.len, cut);
    }
    kad_bytes in = kad__bytes(bytes, item.len + 1);
    assert_ok(kad__cbor_skip(&in));
    assert_int_equal(in.len, 1);
  }
}

static void refuses_what_dag_cbor_forbids(void **state) {
  (void)state;
  const char *bad[] = {
      "1800",                   /* not minimal */
      "1817",                   /* not minimal */
      "190000",                 /* not minimal */
      "1900ff",                 /* not minimal */
      "1a0000ffff",             /* not minimal */
      "1b00000000ffffffff",     /* not minimal */
      "580100",                 /* not minimal */
      "1c",                     /* reserved */
      "1f",                     /* reserved */
      "5f4100ff",               /* indefinite */
      "7f6161ff",               /* indefinite */
      "9f00ff",                 /* indefinite */
      "bf616100ff",             /* indefinite */
      "ff",                     /* break */
      "f7",                     /* undefined */
      "f0",                     /* simple 16 */
      "f820",                   /* simple 32 */
      "f93c00",                 /* half float */
      "fa3f800000",             /* single float */
      "c000",                   /* tag 0 */
      "d82b4100",               /* tag 43 */
      "d82a",                   /* a link to nothing */
      "9bffffffffffffffff00",   /* a list of 2^64-1 */
      "bbffffffffffffffff0000", /* a map of 2^64-1 */
      "bb80000000000000000000", /* twice the count wraps */
      "9affffffff00",           /* a list of 2^32-1 */
      "82018380",               /* [1, [[], cut */
      "a16161",                 /* no value */
  };
  for (size_t i = 0; i < KAD__COUNT(bad); i++) {
    kad_bytes in = test_hex(bad[i]);
    size_t len = in.len;
    print_message("%s\n", bad[i]);
    assert_error(KAD_E_RECORD, kad__cbor_skip(&in));
    assert_int_equal(in.len, len);
  }
}

/* Depth costs nothing. */
static void skips_ten_thousand_levels(void **state) {
  (void)state;
  static uint8_t deep[10001];
  memset(deep, 0x81, sizeof(deep));
  kad_bytes in = kad__bytes(deep, sizeof(deep));
  assert_error(KAD_E_RECORD, kad__cbor_skip(&in));
  deep[10000] = 0xf6;
  assert_ok(kad__cbor_skip(&in));
  assert_int_equal(in.len, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(reads_and_writes_heads),
      cmocka_unit_test(reads_strings),
      cmocka_unit_test(skips_items),
      cmocka_unit_test(refuses_what_dag_cbor_forbids),
      cmocka_unit_test(skips_ten_thousand_levels),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
