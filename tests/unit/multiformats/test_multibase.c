#include "kadmium/multiformats.h"
#include "support.h"

static const kad_base bases[] = {KAD_BASE16, KAD_BASE32, KAD_BASE36,
                                 KAD_BASE58BTC, KAD_BASE64URL};

static int decode(const char *text) {
  uint8_t out[64];
  return kad_multibase_decode(out, sizeof(out), text, strlen(text));
}

static void foreign_characters_are_refused(void **state) {
  (void)state;
  static const char *const bad[] = {
      "f0g", "f 0",   "f0x00", "bmy======", "b1",    "b8a",
      "k-0", "k0_",   "z0",    "zO",        "zI",    "zl",
      "z1+", "uZg==", "u+/",   "uZ g",      "uZg\n", "fZ\xff"};
  for (size_t i = 0; i < KAD__COUNT(bad); i++) {
    assert_error(KAD_E_MULTIBASE, decode(bad[i]));
  }
  uint8_t out[8];
  assert_error(KAD_E_MULTIBASE, kad_multibase_decode(out, 8, "f0\0", 3));
}

static void unknown_prefixes_are_refused(void **state) {
  (void)state;
  static const char known[] = "fFbBkKzu";
  for (int c = 0; c < 256; c++) {
    char text[2] = {(char)c, '\0'};
    int expected = c != 0 && strchr(known, c) != NULL ? 0 : KAD_E_MULTIBASE;
    uint8_t out[1];
    assert_int_equal(kad_multibase_decode(out, 1, text, 1), expected);
  }
  assert_error(KAD_E_MULTIBASE, decode(""));
}

/* A different text for the same bytes would be a second name for one thing. */
static void stray_bits_and_characters_are_refused(void **state) {
  (void)state;
  static const char *const bad[] = {
      "f0",         "f000", "ba", "bmz", "bmzxw6yr", "bmzxw6y",
      "bmzxw6ytb7", "bmya", "uZ", "uZh", "uZm9",     "uZm9vY"};
  for (size_t i = 0; i < KAD__COUNT(bad); i++) {
    assert_error(KAD_E_MULTIBASE, decode(bad[i]));
  }
}

static void every_capacity(void **state) {
  (void)state;
  kad_bytes in = kad__bytes("\0\0any carnal pleasure", 21);
  for (size_t i = 0; i < KAD__COUNT(bases); i++) {
    char whole[64];
    int len = kad_multibase_encode(whole, sizeof(whole), bases[i], in);
    assert_ok(len);
    for (size_t cap = 0; cap <= (size_t)len; cap++) {
      char *text = malloc(cap == 0 ? 1 : cap);
      assert_error(KAD_E_BUFFER_TOO_SMALL,
                   kad_multibase_encode(text, cap, bases[i], in));
      free(text);
    }
    char *text = malloc((size_t)len + 1);
    assert_int_equal(kad_multibase_encode(text, (size_t)len + 1, bases[i], in),
                     len);
    assert_string_equal(text, whole);
    free(text);
    for (size_t cap = 0; cap < in.len; cap++) {
      uint8_t *out = malloc(cap == 0 ? 1 : cap);
      assert_error(KAD_E_BUFFER_TOO_SMALL,
                   kad_multibase_decode(out, cap, whole, (size_t)len));
      free(out);
    }
  }
}

static void unknown_bases_are_refused(void **state) {
  (void)state;
  char text[8];
  uint8_t out[8];
  assert_error(KAD_E_INVALID_ARGUMENT,
               kad_base_encode(text, 8, (kad_base)'x', kad__bytes("a", 1)));
  assert_error(KAD_E_INVALID_ARGUMENT,
               kad_base_decode(out, 8, (kad_base)'m', "a", 1));
}

/* Quadratic work has a bound, which is large enough for what it promises. */
static void quadratic_bases_have_a_limit(void **state) {
  (void)state;
  static const kad_base quadratic[] = {KAD_BASE36, KAD_BASE58BTC};
  for (size_t i = 0; i < 2; i++) {
    for (int fill = 0; fill < 256; fill += 255) {
      static uint8_t in[KAD_BASE_QUADRATIC_MAX + 1], out[4096];
      static char text[4096];
      memset(in, fill, sizeof(in));
      kad_bytes most = kad__bytes(in, KAD_BASE_QUADRATIC_MAX);
      int len = kad_base_encode(text, sizeof(text), quadratic[i], most);
      assert_ok(len);
      int back =
          kad_base_decode(out, sizeof(out), quadratic[i], text, (size_t)len);
      assert_ok(back);
      assert_bytes_equal(kad__bytes(out, (size_t)back), most);
      assert_error(KAD_E_LIMIT,
                   kad_base_encode(text, sizeof(text), quadratic[i],
                                   kad__bytes(in, sizeof(in))));
    }
    static char long_text[1 << 20];
    static uint8_t out[4096];
    memset(long_text, 'z', sizeof(long_text));
    assert_error(KAD_E_LIMIT, kad_base_decode(out, sizeof(out), quadratic[i],
                                              long_text, sizeof(long_text)));
    memset(long_text, quadratic[i] == KAD_BASE36 ? '0' : '1', 1100);
    assert_error(KAD_E_LIMIT, kad_base_decode(out, sizeof(out), quadratic[i],
                                              long_text, 1100));
  }
}

static void the_other_bases_have_none(void **state) {
  (void)state;
  static uint8_t in[100000], out[100000];
  static char text[300000];
  for (size_t i = 0; i < sizeof(in); i++) {
    in[i] = (uint8_t)(i * 31);
  }
  static const kad_base linear[] = {KAD_BASE16, KAD_BASE32, KAD_BASE64URL};
  for (size_t i = 0; i < 3; i++) {
    int len = kad_base_encode(text, sizeof(text), linear[i],
                              kad__bytes(in, sizeof(in)));
    assert_ok(len);
    assert_int_equal(
        kad_base_decode(out, sizeof(out), linear[i], text, (size_t)len),
        sizeof(in));
    assert_memory_equal(in, out, sizeof(in));
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(foreign_characters_are_refused),
      cmocka_unit_test(unknown_prefixes_are_refused),
      cmocka_unit_test(stray_bits_and_characters_are_refused),
      cmocka_unit_test(every_capacity),
      cmocka_unit_test(unknown_bases_are_refused),
      cmocka_unit_test(quadratic_bases_have_a_limit),
      cmocka_unit_test(the_other_bases_have_none),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
