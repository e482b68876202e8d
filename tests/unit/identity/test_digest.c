#include <openssl/evp.h>

#include "identity/digest.h"
#include "support.h"

static void known_digests(void **state) {
  (void)state;
  uint8_t out[32];
  kad__sha256(out, kad__bytes(NULL, 0));
  assert_bytes_equal(
      kad__bytes(out, 32),
      test_hex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b8"
               "55"));
  kad__sha256(out, kad__bytes_of("abc"));
  assert_bytes_equal(
      kad__bytes(out, 32),
      test_hex("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015"
               "ad"));
}

static void agrees_with_evp_for_all_lengths(void **state) {
  (void)state;
  uint8_t in[300];
  uint8_t out[32];
  uint8_t expected[32];
  for (size_t i = 0; i < sizeof(in); i++) {
    in[i] = (uint8_t)(i * 7);
  }
  for (size_t len = 0; len <= sizeof(in); len++) {
    kad__sha256(out, kad__bytes(in, len));
    assert_int_equal(1,
                     EVP_Digest(in, len, expected, NULL, EVP_sha256(), NULL));
    assert_memory_equal(out, expected, 32);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(known_digests),
      cmocka_unit_test(agrees_with_evp_for_all_lengths),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
