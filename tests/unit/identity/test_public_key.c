#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <time.h>

#include "build_key.h"
#include "kadmium/key.h"
#include "support.h"

static const uint8_t e65537[] = {0x01, 0x00, 0x01};

static int decode(kad_bytes in) {
  kad_public_key *key = NULL;
  int result = kad_public_key_decode(&key, kad_allocator_default(), in);
  if (result < 0) {
    assert_null(key);
    return result;
  }
  assert_bytes_equal(kad_public_key_bytes(key), in);
  kad_public_key_free(key);
  return 0;
}

static int decode_hex(const char *text) {
  return decode(test_hex(text));
}

static int decode_built(uint8_t type, kad_bytes data) {
  builder b;
  build_key(&b, type, data);
  return decode(builder_bytes(&b));
}

static void names_malformed_protobufs(void **state) {
  (void)state;
  assert_error(KAD_E_PROTOBUF, decode(kad__bytes(NULL, 0)));
  assert_error(KAD_E_PROTOBUF, decode_hex("0801"));
  assert_error(KAD_E_PROTOBUF, decode_hex("1203aabbcc"));
  assert_error(KAD_E_PROTOBUF, decode_hex("08011220aabb"));
  assert_error(KAD_E_PROTOBUF, decode_hex("0a0101120100"));
  assert_error(KAD_E_PROTOBUF, decode_hex("08011001"));
  assert_error(KAD_E_KEY_TYPE, decode_hex("0804120100"));
  assert_error(KAD_E_KEY_TYPE, decode_hex("08ffffffff0f120100"));
  assert_error(KAD_E_KEY, decode_hex("08001200"));
  assert_error(KAD_E_KEY, decode_hex("08011200"));
  assert_error(KAD_E_KEY, decode_hex("08021200"));
  assert_error(KAD_E_KEY, decode_hex("08031200"));
}

/* E-05: a DER length of 2 GiB. */
static void refuses_huge_der_length(void **state) {
  (void)state;
  assert_error(KAD_E_KEY, decode_hex("0800120630847fffffff"));
}

/* E-01, E-02, E-03 */
static void bounds_rsa_keys(void **state) {
  (void)state;
  const struct {
    size_t bits;
    int result;
  } cases[] = {
      {512, KAD_E_KEY_SIZE},  {2047, KAD_E_KEY_SIZE},  {2048, 0}, {8192, 0},
      {8193, KAD_E_KEY_SIZE}, {16384, KAD_E_KEY_SIZE},
  };
  for (size_t i = 0; i < KAD__COUNT(cases); i++) {
    builder b;
    build_rsa_bits(&b, cases[i].bits, kad__bytes(e65537, sizeof(e65537)));
    wrap_key(&b, KAD_KEY_RSA);
    assert_error(cases[i].result, decode(builder_bytes(&b)));
  }
  builder b;
  build_rsa_bits(&b, 2048, test_hex("01"));
  wrap_key(&b, KAD_KEY_RSA);
  assert_error(KAD_E_KEY, decode(builder_bytes(&b)));
}

static void refuses_keys_past_the_maximum(void **state) {
  (void)state;
  static uint8_t in[KAD_PUBLIC_KEY_MAX + 1];
  assert_error(KAD_E_KEY_SIZE, decode(kad__bytes(in, sizeof(in))));
  assert_error(KAD_E_PROTOBUF, decode(kad__bytes(in, sizeof(in) - 1)));
}

/* E-07 */
static void refuses_wrong_lengths(void **state) {
  (void)state;
  static const uint8_t data[40] = {0x03, 0x05};
  for (size_t len = 0; len <= sizeof(data); len++) {
    if (len != 32) {
      assert_error(KAD_E_KEY,
                   decode_built(KAD_KEY_ED25519, kad__bytes(data, len)));
    }
    if (len != 33) {
      assert_error(KAD_E_KEY,
                   decode_built(KAD_KEY_SECP256K1, kad__bytes(data, len)));
    }
  }
}

/* E-06 */
static void refuses_points_of_small_order(void **state) {
  (void)state;
  const char *points[] = {
      "0000000000000000000000000000000000000000000000000000000000000000",
      "0100000000000000000000000000000000000000000000000000000000000000",
      "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
      "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
      "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
      "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
      "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  };
  for (size_t i = 0; i < KAD__COUNT(points); i++) {
    uint8_t point[32];
    memcpy(point, test_hex(points[i]).data, 32);
    assert_error(KAD_E_KEY,
                 decode_built(KAD_KEY_ED25519, kad__bytes(point, 32)));
    point[31] ^= 0x80;
    assert_error(KAD_E_KEY,
                 decode_built(KAD_KEY_ED25519, kad__bytes(point, 32)));
    point[0] ^= 0x40; /* no longer of small order */
    assert_ok(decode_built(KAD_KEY_ED25519, kad__bytes(point, 32)));
  }
}

static void refuses_points_off_the_curve(void **state) {
  (void)state;
  uint8_t data[33];
  /* x = 5 has no y on secp256k1; x = 1 has. */
  memset(data, 0, sizeof(data));
  data[0] = 0x02;
  data[32] = 0x05;
  assert_error(KAD_E_KEY,
               decode_built(KAD_KEY_SECP256K1, kad__bytes(data, 33)));
  data[32] = 0x01;
  assert_ok(decode_built(KAD_KEY_SECP256K1, kad__bytes(data, 33)));
  data[0] = 0x05;
  assert_error(KAD_E_KEY,
               decode_built(KAD_KEY_SECP256K1, kad__bytes(data, 33)));
  memset(data + 1, 0xff, 32); /* past the field */
  data[0] = 0x02;
  assert_error(KAD_E_KEY,
               decode_built(KAD_KEY_SECP256K1, kad__bytes(data, 33)));
}

/* E-04: who makes us check signatures with the largest keys that there are
 * keeps a processor busy with fifty a second no more than a tenth. */
static void the_largest_rsa_costs_little(void **state) {
  (void)state;
  uint8_t signature[1024];
  memset(signature, 0x5a, sizeof(signature));
  signature[0] = 0;
  builder b;
  build_rsa_bits(&b, 8192, kad__bytes(e65537, sizeof(e65537)));
  wrap_key(&b, KAD_KEY_RSA);
  clock_t start = clock();
  for (int i = 0; i < 50; i++) {
    kad_public_key *key = NULL;
    assert_ok(kad_public_key_decode(&key, kad_allocator_default(),
                                    builder_bytes(&b)));
    assert_error(KAD_E_SIGNATURE,
                 kad_public_key_verify(key, kad__bytes_of("message"),
                                       kad__bytes(signature, 1024)));
    kad_public_key_free(key);
  }
  assert_true(clock() - start < CLOCKS_PER_SEC / 10);
}

/* What another program would sign with. */
typedef struct signer {
  EVP_PKEY *key;
  uint8_t protobuf[600];
  size_t len;
} signer;

static void signer_init(signer *s, kad_key_type type, EVP_PKEY *key) {
  unsigned char *der = NULL;
  builder b;
  assert_non_null(key);
  s->key = key;
  int len = i2d_PUBKEY(key, &der);
  assert_true(len > 0);
  build_key(&b, (uint8_t)type, kad__bytes(der, (size_t)len));
  if (type == KAD_KEY_SECP256K1) {
    uint8_t point[33];
    point[0] = (uint8_t)(0x02 | (der[len - 1] & 1));
    memcpy(point + 1, der + len - 64, 32);
    build_key(&b, (uint8_t)type, kad__bytes(point, 33));
  }
  OPENSSL_free(der);
  s->len = builder_bytes(&b).len;
  assert_true(s->len <= sizeof(s->protobuf));
  memcpy(s->protobuf, builder_bytes(&b).data, s->len);
}

static size_t sign(const signer *s, uint8_t *out, size_t cap,
                   kad_bytes message) {
  EVP_MD_CTX *context = EVP_MD_CTX_new();
  size_t len = cap;
  assert_int_equal(
      1, EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, s->key));
  assert_int_equal(
      1, EVP_DigestSign(context, out, &len, message.data, message.len));
  EVP_MD_CTX_free(context);
  return len;
}

/* The signature verifies; none of its neighbours does. */
static void check_signer(const signer *s) {
  kad_public_key *key = NULL;
  uint8_t signature[513] = {0};
  kad_bytes message = kad__bytes_of("twelve bytes");
  assert_ok(kad_public_key_decode(&key, kad_allocator_default(),
                                  kad__bytes(s->protobuf, s->len)));
  assert_bytes_equal(kad_public_key_bytes(key),
                     kad__bytes(s->protobuf, s->len));
  size_t len = sign(s, signature, sizeof(signature) - 1, message);
  assert_ok(kad_public_key_verify(key, message, kad__bytes(signature, len)));
  assert_error(KAD_E_SIGNATURE,
               kad_public_key_verify(key, kad__bytes_of("twelve byteS"),
                                     kad__bytes(signature, len)));
  assert_error(KAD_E_SIGNATURE,
               kad_public_key_verify(key, kad__bytes(NULL, 0),
                                     kad__bytes(signature, len)));
  assert_error(
      KAD_E_SIGNATURE,
      kad_public_key_verify(key, message, kad__bytes(signature, len + 1)));
  for (size_t cut = 0; cut < len; cut++) {
    assert_error(
        KAD_E_SIGNATURE,
        kad_public_key_verify(key, message, kad__bytes(signature, cut)));
  }
  for (size_t bit = 0; bit < len * 8; bit++) {
    signature[bit / 8] ^= (uint8_t)(1u << bit % 8);
    assert_error(
        KAD_E_SIGNATURE,
        kad_public_key_verify(key, message, kad__bytes(signature, len)));
    signature[bit / 8] ^= (uint8_t)(1u << bit % 8);
  }
  assert_int_equal(0, ERR_peek_error());
  kad_public_key_free(key);
}

static void verifies_rsa(void **state) {
  (void)state;
  signer s;
  signer_init(&s, KAD_KEY_RSA,
              EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048));
  check_signer(&s);
  EVP_PKEY_free(s.key);
}

static void verifies_ecdsa(void **state) {
  (void)state;
  signer s;
  signer_init(&s, KAD_KEY_ECDSA, EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256"));
  check_signer(&s);
  EVP_PKEY_free(s.key);
}

static void verifies_secp256k1(void **state) {
  (void)state;
  signer s;
  signer_init(&s, KAD_KEY_SECP256K1,
              EVP_PKEY_Q_keygen(NULL, NULL, "EC", "secp256k1"));
  check_signer(&s);
  EVP_PKEY_free(s.key);
}

/* E-07: curves that nobody uses for peers. */
static void refuses_other_curves(void **state) {
  (void)state;
  const char *curves[] = {"P-384", "P-521", "secp256k1"};
  for (size_t i = 0; i < KAD__COUNT(curves); i++) {
    signer s;
    signer_init(&s, KAD_KEY_ECDSA,
                EVP_PKEY_Q_keygen(NULL, NULL, "EC", curves[i]));
    assert_error(KAD_E_KEY_TYPE, decode(kad__bytes(s.protobuf, s.len)));
    EVP_PKEY_free(s.key);
  }
}

#define ED25519_KEY \
  "080112201ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e"

/* Another order of fields and unknown fields give the same key, and its
 * PeerId is that of the canonical form. */
static void reencodes_canonically(void **state) {
  (void)state;
  const char *forms[] = {
      ED25519_KEY,
      "12201ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e"
      "0801",
      ED25519_KEY "1a03010203",
      "0800" ED25519_KEY,
  };
  for (size_t i = 0; i < KAD__COUNT(forms); i++) {
    kad_public_key *key = NULL;
    kad_peer_id id;
    kad_bytes canonical = test_hex(ED25519_KEY);
    assert_ok(kad_public_key_decode(&key, kad_allocator_default(),
                                    test_hex(forms[i])));
    assert_int_equal(kad_public_key_type(key), KAD_KEY_ED25519);
    assert_bytes_equal(kad_public_key_bytes(key), canonical);
    kad_public_key_peer_id(key, &id);
    assert_int_equal(id.len, 38);
    assert_int_equal(id.bytes[0], 0x00);
    assert_int_equal(id.bytes[1], 36);
    assert_memory_equal(id.bytes + 2, canonical.data, canonical.len);
    kad_public_key_free(key);
  }
}

static void survives_want_of_memory(void **state) {
  (void)state;
  test_allocator memory;
  kad_public_key *key = NULL;
  test_allocator_init(&memory);
  memory.fail_at = 1;
  assert_error(KAD_E_NO_MEMORY, kad_public_key_decode(&key, &memory.allocator,
                                                      test_hex(ED25519_KEY)));
  assert_null(key);
  assert_int_equal(memory.live, 0);
  assert_ok(
      kad_public_key_decode(&key, &memory.allocator, test_hex(ED25519_KEY)));
  assert_int_equal(memory.calls, 2);
  kad_public_key_free(key);
  assert_int_equal(memory.live, 0);
  kad_public_key_free(NULL);
}

/* A program around us may have an error of its own waiting. */
static void leaves_the_error_queue_alone(void **state) {
  (void)state;
  ERR_clear_error();
  ERR_raise(ERR_LIB_USER, 7);
  unsigned long before = ERR_peek_last_error();
  refuses_points_off_the_curve(state);
  refuses_other_curves(state);
  assert_int_equal(before, ERR_peek_last_error());
  ERR_clear_error();
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(names_malformed_protobufs),
      cmocka_unit_test(refuses_huge_der_length),
      cmocka_unit_test(bounds_rsa_keys),
      cmocka_unit_test(refuses_keys_past_the_maximum),
      cmocka_unit_test(refuses_wrong_lengths),
      cmocka_unit_test(refuses_points_of_small_order),
      cmocka_unit_test(refuses_points_off_the_curve),
      cmocka_unit_test(the_largest_rsa_costs_little),
      cmocka_unit_test(verifies_rsa),
      cmocka_unit_test(verifies_ecdsa),
      cmocka_unit_test(verifies_secp256k1),
      cmocka_unit_test(refuses_other_curves),
      cmocka_unit_test(reencodes_canonically),
      cmocka_unit_test(survives_want_of_memory),
      cmocka_unit_test(leaves_the_error_queue_alone),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
