#include "build_key.h"
#include "identity/der.h"
#include "support.h"

static const uint8_t e65537[] = {0x01, 0x00, 0x01};

static int read_rsa(const builder *b) {
  kad_bytes modulus;
  kad_bytes exponent;
  return kad__der_rsa_key(&modulus, &exponent, builder_bytes(b));
}

static void takes_elements(void **state) {
  (void)state;
  kad_bytes in = test_hex(
      "0203010001"
      "0500");
  kad_bytes out;
  assert_ok(kad__der_take(&in, 0x02, &out));
  assert_bytes_equal(out, test_hex("010001"));
  assert_error(KAD_E_KEY, kad__der_take(&in, 0x02, &out));
  assert_int_equal(in.len, 2);
  assert_ok(kad__der_take(&in, 0x05, &out));
  assert_int_equal(out.len, 0);
  assert_int_equal(in.len, 0);
  assert_error(KAD_E_KEY, kad__der_take(&in, 0x05, &out));
}

static void refuses_bad_lengths(void **state) {
  (void)state;
  const char *bad[] = {
      "30",                     /* no length */
      "3001",                   /* past the end */
      "3080",                   /* indefinite */
      "308000",                 /* indefinite, with its end */
      "3081",                   /* length cut off */
      "308101aa",               /* not minimal */
      "30820001aa",             /* not minimal */
      "308200",                 /* cut off */
      "3083000001aa",           /* more than two bytes */
      "30847fffffff",           /* 2 GiB */
      "3088ffffffffffffffff00", /* wraps */
      "30ff",                   /* reserved */
      "3082ffffaa",             /* past the end */
  };
  for (size_t i = 0; i < KAD__COUNT(bad); i++) {
    kad_bytes in = test_hex(bad[i]);
    kad_bytes before = in;
    kad_bytes out;
    assert_error(KAD_E_KEY, kad__der_take(&in, 0x30, &out));
    assert_true(in.data == before.data && in.len == before.len);
  }
}

static void takes_long_lengths(void **state) {
  (void)state;
  const size_t lengths[] = {0, 1, 127, 128, 255, 256, 1000};
  for (size_t i = 0; i < KAD__COUNT(lengths); i++) {
    static const uint8_t zeros[1000] = {0};
    builder b;
    kad_bytes out;
    builder_init(&b);
    put_front(&b, zeros, lengths[i]);
    wrap_der(&b, 0x04, lengths[i]);
    kad_bytes in = builder_bytes(&b);
    assert_ok(kad__der_take(&in, 0x04, &out));
    assert_int_equal(out.len, lengths[i]);
    assert_int_equal(in.len, 0);
  }
}

static void bounds_rsa_moduli(void **state) {
  (void)state;
  const struct {
    size_t bits;
    int result;
  } cases[] = {
      {8, KAD_E_KEY_SIZE},
      {512, KAD_E_KEY_SIZE},
      {2047, KAD_E_KEY_SIZE},
      {2048, 0},
      {2049, 0},
      {4096, 0},
      {8191, 0},
      {8192, 0},
      {8193, KAD_E_KEY_SIZE},
      {16384, KAD_E_KEY_SIZE},
  };
  for (size_t i = 0; i < KAD__COUNT(cases); i++) {
    builder b;
    build_rsa_bits(&b, cases[i].bits, kad__bytes(e65537, sizeof(e65537)));
    assert_error(cases[i].result, read_rsa(&b));
  }
}

static void bounds_rsa_exponents(void **state) {
  (void)state;
  uint8_t huge[1024];
  memset(huge, 0xff, sizeof(huge));
  const struct {
    kad_bytes exponent;
    int result;
  } cases[] = {
      {test_hex("01"), KAD_E_KEY},
      {test_hex("02"), KAD_E_KEY},
      {test_hex("03"), 0},
      {test_hex("11"), 0},
      {test_hex("010000"), KAD_E_KEY},
      {test_hex("010001"), 0},
      {test_hex("7fffffff"), 0},
      {test_hex("7ffffffe"), KAD_E_KEY},
      {test_hex("80000001"), KAD_E_KEY},
      {test_hex("0100000001"), KAD_E_KEY},
      {kad__bytes(huge, sizeof(huge)), KAD_E_KEY},
  };
  for (size_t i = 0; i < KAD__COUNT(cases); i++) {
    builder b;
    build_rsa_bits(&b, 2048, cases[i].exponent);
    assert_error(cases[i].result, read_rsa(&b));
  }
}

static void refuses_even_moduli(void **state) {
  (void)state;
  uint8_t modulus[256];
  memset(modulus, 0xaa, sizeof(modulus));
  builder b;
  build_rsa(&b, kad__bytes(modulus, sizeof(modulus)),
            kad__bytes(e65537, sizeof(e65537)));
  assert_error(KAD_E_KEY, read_rsa(&b));
}

/* Offsets below are into the key of build_rsa_bits(2048):
 * 30 82 .. .. | 30 0d 06 09 oid 05 00 | 03 82 .. .. 00 | 30 82 .. .. |
 * 02 82 01 01 00 modulus | 02 03 01 00 01 */
static void refuses_other_forms(void **state) {
  (void)state;
  const struct {
    size_t at;
    uint8_t value;
    int result;
  } cases[] = {
      {0, 0x31, KAD_E_KEY},       /* not a SEQUENCE */
      {1, 0x80, KAD_E_KEY},       /* indefinite length */
      {4, 0x31, KAD_E_KEY},       /* algorithm is not a SEQUENCE */
      {16, 0x0a, KAD_E_KEY_TYPE}, /* RSASSA-PSS */
      {17, 0x04, KAD_E_KEY},      /* parameters are not NULL */
      {18, 0x01, KAD_E_KEY},      /* NULL is not empty */
      {19, 0x04, KAD_E_KEY},      /* not a BIT STRING */
      {23, 0x01, KAD_E_KEY},      /* unused bits */
      {24, 0x31, KAD_E_KEY},      /* not a SEQUENCE */
      {28, 0x03, KAD_E_KEY},      /* modulus is not an INTEGER */
      {32, 0x80, KAD_E_KEY},      /* a negative modulus */
      {33, 0x00, KAD_E_KEY},      /* leading zeros */
  };
  for (size_t i = 0; i < KAD__COUNT(cases); i++) {
    builder b;
    build_rsa_bits(&b, 2048, kad__bytes(e65537, sizeof(e65537)));
    assert_ok(read_rsa(&b));
    b.bytes[b.start + cases[i].at] = cases[i].value;
    assert_error(cases[i].result, read_rsa(&b));
  }
}

static void refuses_trailing_bytes(void **state) {
  (void)state;
  builder good;
  uint8_t longer[512];
  kad_bytes modulus;
  kad_bytes exponent;
  build_rsa_bits(&good, 2048, kad__bytes(e65537, sizeof(e65537)));
  kad_bytes in = builder_bytes(&good);
  memcpy(longer, in.data, in.len);
  longer[in.len] = 0;
  assert_error(KAD_E_KEY, kad__der_rsa_key(&modulus, &exponent,
                                           kad__bytes(longer, in.len + 1)));
  for (size_t len = 0; len < in.len; len++) {
    assert_error(KAD_E_KEY, kad__der_rsa_key(&modulus, &exponent,
                                             kad__bytes(longer, len)));
  }
}

static const char p256_head[] =
    "3059301306072a8648ce3d020106082a8648ce3d030107034200";

static kad_bytes p256_key(uint8_t out[91], uint8_t form) {
  kad_bytes head = test_hex(p256_head);
  memset(out, 0x11, 91);
  memcpy(out, head.data, head.len);
  out[head.len] = form;
  return kad__bytes(out, 91);
}

static void reads_p256(void **state) {
  (void)state;
  uint8_t key[91];
  kad_bytes point;
  kad_bytes in = p256_key(key, 0x04);
  assert_ok(kad__der_p256_key(&point, in));
  assert_int_equal(point.len, 65);
  assert_true(point.data == key + 26);
  assert_error(KAD_E_KEY, kad__der_p256_key(&point, p256_key(key, 0x06)));
  assert_error(KAD_E_KEY, kad__der_p256_key(&point, p256_key(key, 0x02)));
  in = p256_key(key, 0x04);
  for (size_t len = 0; len < in.len; len++) {
    assert_error(KAD_E_KEY,
                 kad__der_p256_key(&point, kad__bytes(in.data, len)));
  }
  key[12] ^= 1; /* another algorithm */
  assert_error(KAD_E_KEY_TYPE, kad__der_p256_key(&point, in));
  in = p256_key(key, 0x04);
  key[22] ^= 1; /* another curve */
  assert_error(KAD_E_KEY_TYPE, kad__der_p256_key(&point, in));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(takes_elements),
      cmocka_unit_test(refuses_bad_lengths),
      cmocka_unit_test(takes_long_lengths),
      cmocka_unit_test(bounds_rsa_moduli),
      cmocka_unit_test(bounds_rsa_exponents),
      cmocka_unit_test(refuses_even_moduli),
      cmocka_unit_test(refuses_other_forms),
      cmocka_unit_test(refuses_trailing_bytes),
      cmocka_unit_test(reads_p256),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
