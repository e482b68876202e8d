#include <openssl/crypto.h>

#include "base/alloc.h"
#include "connection/certificate.h"
#include "forge.h"
#include "identity/crypto_random.h"
#include "support.h"

#define TODAY UINT64_C(1780000000) /* 2026 */

static int set_up(void **state) {
  kad_key_pair *pair = NULL;
  kad_random random;
  kad_random_init_u64(&random, 1);
  assert_ok(kad_key_pair_generate(&pair, kad_allocator_default(), &random));
  *state = pair;
  return 0;
}

static int tear_down(void **state) {
  kad_key_pair_free(*state);
  return 0;
}

static int verdict(const kad_key_pair *pair, const forgery *f,
                   uint64_t unix_seconds) {
  X509 *x509 = NULL;
  EVP_PKEY *own = NULL;
  kad_public_key *key = NULL;
  kad_peer_id id;
  forge(&x509, &own, pair, f);
  int result = kad__certificate_verify(&key, kad_allocator_default(), x509,
                                       unix_seconds);
  if (result == 0) {
    kad_public_key_peer_id(key, &id);
    assert_true(kad_peer_id_equal(&id, kad_key_pair_peer_id(pair)));
  } else {
    assert_null(key);
  }
  kad_public_key_free(key);
  X509_free(x509);
  EVP_PKEY_free(own);
  return result;
}

static void each_fault_has_its_name(void **state) {
  const struct {
    forgery forgery;
    int error;
  } cases[] = {
      {{.key = FORGE_P256}, 0},
      {{.key = FORGE_P384}, 0},
      {{.key = FORGE_ED25519}, 0},
      {{.key = FORGE_RSA_2048}, 0},
      {{.key = FORGE_RSA_1024}, KAD_E_KEY_SIZE},
      {{.key = FORGE_P521}, KAD_E_KEY_TYPE},
      {{.key = FORGE_SECP256K1}, KAD_E_KEY_TYPE},
      {{.not_after = "20200101000000Z"}, KAD_E_CERTIFICATE_TIME},
      {{.not_before = "20990101000000Z"}, KAD_E_CERTIFICATE_TIME},
      {{.not_after = "99991231235959Z"}, 0},
      {{.version_1 = true}, KAD_E_CERTIFICATE},
      {{.no_extension = true}, KAD_E_CERTIFICATE_EXTENSION},
      {{.extension_twice = true}, KAD_E_CERTIFICATE_EXTENSION},
      {{.extension_critical = true}, 0},
      {{.trailing_byte = true}, KAD_E_CERTIFICATE_EXTENSION},
      {{.truncated = true}, KAD_E_CERTIFICATE_EXTENSION},
      {{.empty_extension = true}, KAD_E_CERTIFICATE_EXTENSION},
      {{.other_oid = "1.2.3.4"}, 0},
      {{.other_oid = "1.2.3.4", .other_critical = true},
       KAD_E_CERTIFICATE_EXTENSION},
      {{.other_oid = "1.3.6.1.4.1.53594.1.2", .no_extension = true},
       KAD_E_CERTIFICATE_EXTENSION},
      {{.wrong_prefix = true}, KAD_E_SIGNATURE},
      {{.wrong_key = true}, KAD_E_SIGNATURE},
      {{.wrong_identity = true}, KAD_E_SIGNATURE},
      {{.bad_identity = true}, KAD_E_KEY},
      {{.signed_by_another = true}, KAD_E_CERTIFICATE_SIGNATURE},
      {{.sha1 = true}, KAD_E_CERTIFICATE_SIGNATURE},
  };
  for (size_t i = 0; i < KAD__COUNT(cases); i++) {
    assert_error(cases[i].error, verdict(*state, &cases[i].forgery, TODAY));
  }
}

static void without_a_clock_time_is_no_matter(void **state) {
  assert_ok(verdict(*state, &(forgery){.not_after = "20200101000000Z"}, 0));
  assert_ok(verdict(*state, &(forgery){.not_before = "20990101000000Z"}, 0));
}

/* Our own certificate for a pair of each type, as bytes. */
static kad_bytes own(const kad_key_pair *pair, uint8_t out[4096]) {
  static kad_random random;
  kad__crypto_random source;
  kad__certificate certificate;
  uint8_t *at = out;
  kad_random_init_u64(&random, 5);
  assert_ok(kad__crypto_random_init(&source, &random));
  assert_ok(kad__certificate_init(&certificate, pair, source.library));
  int len = i2d_X509(certificate.x509, &at);
  assert_true(len > 0 && len < 4096);
  kad__certificate_fini(&certificate);
  kad__crypto_random_fini(&source);
  return kad__bytes(out, (size_t)len);
}

static void our_own_pass(void **state) {
  (void)state;
  for (int type = KAD_KEY_RSA; type <= KAD_KEY_ECDSA; type++) {
    kad_random random;
    kad_key_pair *pair = NULL;
    kad_public_key *key = NULL;
    uint8_t der[4096];
    kad_random_init_u64(&random, 2);
    assert_ok(kad_key_pair_generate_type(&pair, kad_allocator_default(),
                                         (kad_key_type)type, &random));
    assert_ok(kad__certificate_decode(&key, kad_allocator_default(),
                                      own(pair, der), TODAY));
    assert_bytes_equal(kad_public_key_bytes(key),
                       kad_public_key_bytes(kad_key_pair_public(pair)));
    kad_public_key_free(key);
    kad_key_pair_free(pair);
  }
}

static int decode(const uint8_t *der, size_t len) {
  /* Memory of just that size, so that reading past it shows. */
  uint8_t *copy = malloc(len + (len == 0));
  kad_public_key *key = NULL;
  memcpy(copy, der, len);
  int result = kad__certificate_decode(&key, kad_allocator_default(),
                                       kad__bytes(copy, len), TODAY);
  kad_public_key_free(key);
  free(copy);
  return result;
}

static void every_prefix_is_refused(void **state) {
  uint8_t der[4096];
  size_t len = own(*state, der).len;
  for (size_t i = 0; i < len; i++) {
    assert_error(KAD_E_CERTIFICATE, decode(der, i));
  }
  der[len] = 0;
  assert_error(KAD_E_CERTIFICATE, decode(der, len + 1));
  static const uint8_t large[KAD__CERTIFICATE_MAX + 1];
  assert_error(KAD_E_CERTIFICATE, decode(large, sizeof(large)));
}

/* Everything stands under the certificate's own signature, but for that. */
static void every_flipped_bit_is_noticed(void **state) {
  uint8_t der[4096];
  size_t len = own(*state, der).len;
  for (size_t bit = 0; bit < 8 * len; bit++) {
    der[bit / 8] ^= (uint8_t)(1u << bit % 8);
    assert_true(decode(der, len) < 0);
    der[bit / 8] ^= (uint8_t)(1u << bit % 8);
  }
  assert_ok(decode(der, len));
}

static void odd_der_is_refused(void **state) {
  (void)state;
  static uint8_t nested[8000];
  memset(nested, 0x30, sizeof(nested));
  for (size_t i = 1; i < sizeof(nested); i += 2) {
    nested[i] = 0x80;
  }
  const kad_bytes cases[] = {
      test_hex("3080"),
      test_hex("30847fffffff"),
      test_hex("3084ffffffff00"),
      test_hex("30820000"),
      kad__bytes(nested, sizeof(nested)),
  };
  for (size_t i = 0; i < KAD__COUNT(cases); i++) {
    assert_error(KAD_E_CERTIFICATE, decode(cases[i].data, cases[i].len));
  }
}

static void allocations_fail_in_turn(void **state) {
  uint8_t der[4096];
  kad_bytes bytes = own(*state, der);
  test_allocator memory;
  test_allocator_init(&memory);
  int result = KAD_E_NO_MEMORY;
  for (size_t n = 1; result == KAD_E_NO_MEMORY; n++) {
    kad_public_key *key = NULL;
    memory.calls = 0;
    memory.fail_at = n;
    result = kad__certificate_decode(&key, &memory.allocator, bytes, TODAY);
    assert_true(result == 0 ? n > 1 : result == KAD_E_NO_MEMORY);
    kad_public_key_free(key);
    assert_int_equal(memory.live, 0);
  }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(each_fault_has_its_name),
      TEST(without_a_clock_time_is_no_matter),
      TEST(our_own_pass),
      TEST(every_prefix_is_refused),
      TEST(every_flipped_bit_is_noticed),
      TEST(odd_der_is_refused),
      TEST(allocations_fail_in_turn),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
