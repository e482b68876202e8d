/* Known answers of the two ciphers that everything random stands on. */
#include "base/chacha.h"
#include "base/map.h"
#include "support.h"

/* RFC 8439, section 2.3.2. */
static void chacha20_block_of_the_rfc(void **state) {
  (void)state;
  kad_bytes key = test_hex(
      "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f");
  kad_bytes nonce = test_hex("000000090000004a00000000");
  uint8_t out[KAD__CHACHA_BLOCK_LEN];
  kad__chacha20_block(out, key.data, 1, nonce.data);
  assert_bytes_equal(
      kad__bytes(out, sizeof(out)),
      test_hex("10f1e7e4d13b5915500fdd1fa32071c4c7d1f4c733c068030422aa9ac3d46c"
               "4ed2826446079faa0914c2d705d98b02a2b5129cd1de164eb9cbd083e8a250"
               "3c4e"));
}

/* RFC 8439, appendix A.1, test vectors 1, 2 and 5. */
static void chacha20_blocks_of_the_appendix(void **state) {
  (void)state;
  uint8_t key[32] = {0};
  uint8_t nonce[12] = {0};
  uint8_t out[KAD__CHACHA_BLOCK_LEN];
  kad__chacha20_block(out, key, 0, nonce);
  assert_bytes_equal(
      kad__bytes(out, sizeof(out)),
      test_hex("76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770d"
               "c7da41597c5157488d7724e03fb8d84a376a43b8f41518a11cc387b669b2ee"
               "6586"));
  kad__chacha20_block(out, key, 1, nonce);
  assert_bytes_equal(
      kad__bytes(out, sizeof(out)),
      test_hex("9f07e7be5551387a98ba977c732d080dcb0f29a048e3656912c6533e32ee7a"
               "ed29b721769ce64e43d57133b074d839d531ed1f28510afb45ace10a1f4b79"
               "4d6f"));
  nonce[11] = 2;
  kad__chacha20_block(out, key, 0, nonce);
  assert_bytes_equal(
      kad__bytes(out, sizeof(out)),
      test_hex("c2c64d378cd536374ae204b9ef933fcd1a8b2288b3dfa49672ab765b54ee27"
               "c78a970e0e955c14f3a88e741b97c286f75f8fc299e8148362fa198a39531b"
               "ed6d"));
}

/* Computed with OpenSSL's chacha20: each refill is eight blocks, whose first
 * 32 bytes are the next key. */
static void random_sequence_of_a_seed(void **state) {
  (void)state;
  kad_random random;
  uint8_t out[1440];
  kad_random_init_u64(&random, 42);
  kad_random_bytes(&random, out, sizeof(out));
  assert_bytes_equal(
      kad__bytes(out, 48),
      test_hex("eb604128710fd1d804264f1a5b080a60565149f216a0b528d73e96ab2da98a"
               "c1127217d32d3a18fa9b2006fc94561f5c"));
  assert_bytes_equal(kad__bytes(out + 470, 20),
                     test_hex("bf391efdff576a00fe96309dd1af43bb718bf08f"));
  assert_bytes_equal(kad__bytes(out + 1000, 16),
                     test_hex("d59e5ef32725c4a925fbf6414531af87"));
  kad_bytes seed = test_hex(
      "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f");
  kad_random_init(&random, seed.data);
  kad_random_bytes(&random, out, 32);
  assert_bytes_equal(
      kad__bytes(out, 32),
      test_hex(
          "2b23cce7a26023ab3f0eef693ac87f64258235eab1f7a32dc22762a0485b410c"));
  kad_random_init_u64(&random, 42);
  assert_true(kad_random_u64(&random) == UINT64_C(0xd8d10f71284160eb));
}

typedef struct sip_vector {
  size_t len; /* of the input 00 01 02 ... */
  uint64_t hash;
} sip_vector;

/* CPython 3.11's hash of bytes with PYTHONHASHSEED=0, which is SipHash-1-3
 * under the key of zeros. */
static const sip_vector sip_vectors[] = {
    {1, UINT64_C(0x68a914128e01e473)},  {7, UINT64_C(0x2f098ab0c751325a)},
    {8, UINT64_C(0xead411e67ebe2eea)},  {9, UINT64_C(0x75927f9d95124362)},
    {15, UINT64_C(0xf30eb725bb91c9ea)}, {16, UINT64_C(0x8972188433a5c5b7)},
    {63, UINT64_C(0x385d3e39e5f37359)},
};

static void siphash(void **state) {
  (void)state;
  static const uint64_t zero[2];
  uint8_t input[64];
  for (size_t i = 0; i < sizeof(input); i++) {
    input[i] = (uint8_t)i;
  }
  for (size_t i = 0; i < KAD__COUNT(sip_vectors); i++) {
    uint64_t hash = kad__siphash(zero, kad__bytes(input, sip_vectors[i].len));
    assert_true(hash == sip_vectors[i].hash);
  }
  /* The key 00 01 ... 0f and no input, as in the Rust library's tests. */
  static const uint64_t key[2] = {UINT64_C(0x0706050403020100),
                                  UINT64_C(0x0f0e0d0c0b0a0908)};
  assert_true(kad__siphash(key, kad__bytes(NULL, 0)) ==
              UINT64_C(0xabac0158050fc4dc));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(chacha20_block_of_the_rfc),
      cmocka_unit_test(chacha20_blocks_of_the_appendix),
      cmocka_unit_test(random_sequence_of_a_seed),
      cmocka_unit_test(siphash),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
