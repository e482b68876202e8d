#include "../../vectors/identity/vectors.h"
#include "identity/envelope.h"
#include "kadmium/key.h"
#include "support.h"

/* A key of each kind. */
static const char *const samples[] = {SPEC_RSA_PUBLIC, SPEC_ED25519_PUBLIC,
                                      SPEC_SECP256K1_PUBLIC, SPEC_ECDSA_PUBLIC};

typedef struct sample {
  uint8_t bytes[600];
  size_t len;
} sample;

static void make_sample(sample *out, size_t kind) {
  kad_bytes key = test_hex(samples[kind]);
  memcpy(out->bytes, key.data, key.len);
  out->len = key.len;
}

/* Either an error, or a key whose canonical form means the same key. */
static int check_input(kad_bytes in) {
  kad_public_key *key = NULL;
  kad_public_key *again = NULL;
  int result = kad_public_key_decode(&key, kad_allocator_default(), in);
  if (result < 0) {
    assert_null(key);
    return result;
  }
  kad_peer_id a;
  kad_peer_id b;
  assert_ok(kad_public_key_decode(&again, kad_allocator_default(),
                                  kad_public_key_bytes(key)));
  assert_bytes_equal(kad_public_key_bytes(key), kad_public_key_bytes(again));
  kad_public_key_peer_id(key, &a);
  kad_public_key_peer_id(again, &b);
  assert_memory_equal(&a, &b, sizeof(a));
  kad_public_key_free(again);
  kad_public_key_free(key);
  return 0;
}

static void keys_survive_damage(void **state) {
  (void)state;
  for (size_t kind = 0; kind < KAD__COUNT(samples); kind++) {
    sample s;
    make_sample(&s, kind);
    assert_ok(check_input(kad__bytes(s.bytes, s.len)));
    for (size_t len = 0; len < s.len; len++) {
      assert_true(check_input(kad__bytes(s.bytes, len)) < 0);
    }
    for (size_t bit = 0; bit < s.len * 8; bit++) {
      s.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
      check_input(kad__bytes(s.bytes, s.len));
      s.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
  }
}

/* Several bytes at a time, some of them longer or shorter. */
static void keys_survive_noise(void **state) {
  (void)state;
  kad_random random;
  kad_random_init_u64(&random, test_seed("keys_survive_noise"));
  size_t runs = test_runs(2000);
  for (size_t i = 0; i < runs; i++) {
    sample s;
    make_sample(&s, kad_random_below(&random, KAD__COUNT(samples)));
    for (uint64_t n = kad_random_below(&random, 5); n > 0; n--) {
      size_t at = kad_random_below(&random, s.len < 40 ? s.len : 40);
      s.bytes[at] = (uint8_t)kad_random_u64(&random);
    }
    s.len -= kad_random_below(&random, 3);
    check_input(kad__bytes(s.bytes, s.len));
  }
}

static void signatures_belong_to_key_and_message(void **state) {
  (void)state;
  kad_random random;
  kad_random_init_u64(&random, test_seed("signatures_belong"));
  size_t runs = test_runs(100);
  for (size_t i = 0; i < runs; i++) {
    kad_key_pair *pair = NULL;
    uint8_t encoded[KAD_KEY_PAIR_LEN];
    uint8_t message[256];
    uint8_t signature[KAD_SIGNATURE_LEN];
    size_t len = 1 + kad_random_below(&random, sizeof(message));
    kad_random_bytes(&random, message, len);
    assert_ok(kad_key_pair_generate(&pair, kad_allocator_default(), &random));
    kad_key_pair_encode(pair, encoded);
    kad_key_pair_free(pair);
    assert_ok(kad_key_pair_decode(&pair, kad_allocator_default(),
                                  kad__bytes(encoded, sizeof(encoded))));
    const kad_public_key *key = kad_key_pair_public(pair);
    kad_bytes text = kad__bytes(message, len);
    kad_bytes signed_by = kad__bytes(signature, sizeof(signature));
    assert_ok(kad_key_pair_sign(pair, signature, text));
    assert_ok(kad_public_key_verify(key, text, signed_by));
    size_t bit = kad_random_below(&random, sizeof(signature) * 8);
    signature[bit / 8] ^= (uint8_t)(1u << bit % 8);
    assert_error(KAD_E_SIGNATURE, kad_public_key_verify(key, text, signed_by));
    signature[bit / 8] ^= (uint8_t)(1u << bit % 8);
    message[kad_random_below(&random, len)] ^= 0x10;
    assert_error(KAD_E_SIGNATURE, kad_public_key_verify(key, text, signed_by));
    kad_key_pair_free(pair);
  }
}

/* E-06: a signature of the right length and nothing else. */
static void random_signatures_fail(void **state) {
  (void)state;
  kad_random random;
  kad_key_pair *pair = NULL;
  kad_random_init_u64(&random, test_seed("random_signatures_fail"));
  assert_ok(kad_key_pair_generate(&pair, kad_allocator_default(), &random));
  for (size_t i = test_runs(200); i > 0; i--) {
    uint8_t signature[KAD_SIGNATURE_LEN];
    kad_random_bytes(&random, signature, sizeof(signature));
    assert_error(KAD_E_SIGNATURE,
                 kad_public_key_verify(kad_key_pair_public(pair),
                                       kad__bytes_of("message"),
                                       kad__bytes(signature, 64)));
  }
  kad_key_pair_free(pair);
}

static void peer_records_round_trip(void **state) {
  (void)state;
  kad_random random;
  kad_key_pair *pair = NULL;
  kad_random_init_u64(&random, test_seed("peer_records_round_trip"));
  assert_ok(kad_key_pair_generate(&pair, kad_allocator_default(), &random));
  for (size_t i = test_runs(100); i > 0; i--) {
    static uint8_t sealed[KAD__ENVELOPE_MAX];
    uint8_t storage[KAD__PEER_RECORD_ADDRESSES_MAX][8];
    kad_bytes addresses[KAD__PEER_RECORD_ADDRESSES_MAX];
    kad__peer_record record;
    size_t count = kad_random_below(&random, KAD__PEER_RECORD_ADDRESSES_MAX);
    uint64_t sequence = kad_random_u64(&random);
    for (size_t j = 0; j < count; j++) {
      kad_random_bytes(&random, storage[j], 8);
      storage[j][0] = 0x04;
      storage[j][5] = 0x06;
      addresses[j] = kad__bytes(storage[j], 8);
    }
    int len = kad__peer_record_seal(sealed, sizeof(sealed), pair, sequence,
                                    addresses, count);
    assert_ok(len);
    assert_ok(kad__peer_record_open(&record, kad_allocator_default(),
                                    kad__bytes(sealed, (size_t)len)));
    assert_true(record.sequence == sequence);
    assert_int_equal(record.address_count, count);
    for (size_t j = 0; j < count; j++) {
      assert_bytes_equal(record.addresses[j], addresses[j]);
    }
  }
  kad_key_pair_free(pair);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(keys_survive_damage),
      cmocka_unit_test(keys_survive_noise),
      cmocka_unit_test(signatures_belong_to_key_and_message),
      cmocka_unit_test(random_signatures_fail),
      cmocka_unit_test(peer_records_round_trip),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
