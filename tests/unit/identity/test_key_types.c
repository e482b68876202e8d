/* Key pairs of the types that a node may have beside Ed25519. */
#include "kadmium/key.h"
#include "support.h"

#define MESSAGE "Libp2p is the _best_!"
static const kad_key_type types[] = {KAD_KEY_RSA, KAD_KEY_ED25519,
                                     KAD_KEY_SECP256K1, KAD_KEY_ECDSA};
/* Those that are made in no time. */
static const kad_key_type quick[] = {KAD_KEY_ED25519, KAD_KEY_SECP256K1,
                                     KAD_KEY_ECDSA};

static kad_key_pair *make(kad_key_type type, uint64_t seed) {
  kad_key_pair *pair = NULL;
  kad_random random;
  kad_random_init_u64(&random, seed);
  assert_ok(kad_key_pair_generate_type(&pair, kad_allocator_default(), type,
                                       &random));
  assert_int_equal(kad_public_key_type(kad_key_pair_public(pair)), type);
  return pair;
}

static kad_bytes export(const kad_key_pair *pair,
                        uint8_t out[KAD_KEY_PAIR_MAX]) {
  int len = kad_key_pair_export(pair, out, KAD_KEY_PAIR_MAX);
  assert_ok(len);
  return kad__bytes(out, (size_t)len);
}

static int decode(kad_bytes bytes) {
  kad_key_pair *pair = NULL;
  int result = kad_key_pair_decode(&pair, kad_allocator_default(), bytes);
  kad_key_pair_free(pair);
  return result;
}

static void one_seed_is_one_key(void **state) {
  (void)state;
  for (size_t i = 0; i < KAD__COUNT(types); i++) {
    kad_key_pair *a = make(types[i], 1);
    kad_key_pair *same = make(types[i], 1);
    kad_key_pair *other = make(types[i], 2);
    assert_true(
        kad_peer_id_equal(kad_key_pair_peer_id(a), kad_key_pair_peer_id(same)));
    assert_false(kad_peer_id_equal(kad_key_pair_peer_id(a),
                                   kad_key_pair_peer_id(other)));
    kad_key_pair_free(a);
    kad_key_pair_free(same);
    kad_key_pair_free(other);
  }
  kad_key_pair *none = NULL;
  kad_random random;
  kad_random_init_u64(&random, 1);
  assert_error(KAD_E_KEY_TYPE,
               kad_key_pair_generate_type(&none, kad_allocator_default(),
                                          (kad_key_type)4, &random));
  assert_null(none);
}

static void what_is_exported_comes_back(void **state) {
  (void)state;
  for (size_t i = 0; i < KAD__COUNT(types); i++) {
    uint8_t first[KAD_KEY_PAIR_MAX];
    uint8_t second[KAD_KEY_PAIR_MAX];
    kad_key_pair *pair = make(types[i], 3);
    kad_key_pair *back = NULL;
    kad_bytes bytes = export(pair, first);
    assert_ok(kad_key_pair_decode(&back, kad_allocator_default(), bytes));
    assert_bytes_equal(export(back, second), bytes);
    assert_bytes_equal(kad_public_key_bytes(kad_key_pair_public(back)),
                       kad_public_key_bytes(kad_key_pair_public(pair)));
    for (size_t cap = 0; cap < bytes.len; cap += 1 + bytes.len / 100) {
      assert_error(KAD_E_BUFFER_TOO_SMALL,
                   kad_key_pair_export(pair, second, cap));
    }
    kad_key_pair_free(back);
    kad_key_pair_free(pair);
  }
}

static void signatures_verify(void **state) {
  (void)state;
  kad_bytes message = kad__bytes_of(MESSAGE);
  for (size_t i = 0; i < KAD__COUNT(types); i++) {
    kad_key_pair *pair = make(types[i], 4);
    const kad_public_key *key = kad_key_pair_public(pair);
    for (int round = 0; round < 20; round++) {
      uint8_t out[KAD_SIGNATURE_MAX];
      int len = kad_key_pair_signature(pair, out, sizeof(out), message);
      assert_ok(len);
      kad_bytes signature = kad__bytes(out, (size_t)len);
      assert_ok(kad_public_key_verify(key, message, signature));
      out[(size_t)len / 2] ^= 1;
      assert_error(KAD_E_SIGNATURE,
                   kad_public_key_verify(key, message, signature));
    }
    kad_key_pair_free(pair);
  }
}

static void signing_asks_for_room(void **state) {
  (void)state;
  const size_t room[] = {256, 64, 72, 72};
  for (size_t i = 0; i < KAD__COUNT(types); i++) {
    uint8_t out[KAD_SIGNATURE_MAX];
    kad_key_pair *pair = make(types[i], 5);
    assert_error(
        KAD_E_BUFFER_TOO_SMALL,
        kad_key_pair_signature(pair, out, room[i] - 1, kad__bytes_of(MESSAGE)));
    assert_ok(
        kad_key_pair_signature(pair, out, room[i], kad__bytes_of(MESSAGE)));
    kad_key_pair_free(pair);
  }
}

/* The functions with Ed25519's fixed lengths write past nothing. */
static void fixed_lengths_are_for_ed25519(void **state) {
  (void)state;
  const kad_key_type others[] = {KAD_KEY_RSA, KAD_KEY_SECP256K1, KAD_KEY_ECDSA};
  for (size_t i = 0; i < KAD__COUNT(others); i++) {
    uint8_t signature[KAD_SIGNATURE_LEN] = {0};
    uint8_t encoded[KAD_KEY_PAIR_LEN] = {0};
    const uint8_t zero[KAD_KEY_PAIR_LEN] = {0};
    kad_key_pair *pair = make(others[i], 6);
    assert_error(KAD_E_KEY_TYPE,
                 kad_key_pair_sign(pair, signature, kad__bytes_of(MESSAGE)));
    assert_error(KAD_E_KEY_TYPE, kad_key_pair_encode(pair, encoded));
    assert_memory_equal(signature, zero, sizeof(signature));
    assert_memory_equal(encoded, zero, sizeof(encoded));
    kad_key_pair_free(pair);
  }
}

/* The s of a DER signature, behind the r. */
static kad_bytes s_of(const uint8_t *der) {
  const uint8_t *at = der + 4 + der[3];
  kad_bytes s = kad__bytes(at + 2, at[1]);
  return s.data[0] == 0 ? kad__bytes_skip(s, 1) : s;
}

static void secp256k1_takes_the_lower_s(void **state) {
  (void)state;
  kad_bytes half = test_hex(
      "7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0");
  kad_key_pair *pair = make(KAD_KEY_SECP256K1, 7);
  for (uint8_t i = 0; i < 64; i++) {
    uint8_t out[KAD_SIGNATURE_MAX];
    assert_ok(kad_key_pair_signature(pair, out, sizeof(out),
                                     kad__bytes(&i, sizeof(i))));
    kad_bytes s = s_of(out);
    assert_true(s.len <= half.len);
    assert_true(s.len < half.len || memcmp(s.data, half.data, s.len) <= 0);
  }
  kad_key_pair_free(pair);
}

static void every_prefix_is_refused(void **state) {
  (void)state;
  for (size_t i = 0; i < KAD__COUNT(types); i++) {
    uint8_t bytes[KAD_KEY_PAIR_MAX];
    kad_key_pair *pair = make(types[i], 8);
    size_t whole = export(pair, bytes).len;
    for (size_t len = 0; len < whole; len++) {
      assert_true(decode(kad__bytes(bytes, len)) < 0);
    }
    kad_key_pair_free(pair);
  }
}

/* With the scalar damaged, the point no longer fits, and the other way round.
 */
static void every_damaged_bit_of_ecdsa_is_noticed(void **state) {
  (void)state;
  uint8_t bytes[KAD_KEY_PAIR_MAX];
  kad_key_pair *pair = make(KAD_KEY_ECDSA, 9);
  size_t len = export(pair, bytes).len;
  for (size_t bit = 0; bit < 8 * len; bit++) {
    bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    int result = decode(kad__bytes(bytes, len));
    assert_true(result == KAD_E_KEY || result == KAD_E_KEY_TYPE ||
                result == KAD_E_PROTOBUF);
    bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
  }
  kad_key_pair_free(pair);
}

static void damaged_rsa_is_noticed(void **state) {
  (void)state;
  uint8_t bytes[KAD_KEY_PAIR_MAX];
  kad_key_pair *pair = make(KAD_KEY_RSA, 10);
  size_t len = export(pair, bytes).len;
  for (size_t at = 0; at < len; at += 67) {
    bytes[at] ^= 0x10;
    assert_true(decode(kad__bytes(bytes, len)) < 0);
    bytes[at] ^= 0x10;
  }
  assert_ok(decode(kad__bytes(bytes, len)));
  kad_key_pair_free(pair);
}

static void scalars_out_of_range_are_refused(void **state) {
  (void)state;
  const char *const cases[] = {
      "0000000000000000000000000000000000000000000000000000000000000000",
      "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141",
      "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
  };
  for (size_t i = 0; i < KAD__COUNT(cases); i++) {
    char text[80];
    snprintf(text, sizeof(text), "08021220%s", cases[i]);
    assert_error(KAD_E_KEY, decode(test_hex(text)));
  }
  assert_ok(decode(
      test_hex("08021220fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8"
               "cd0364140")));
}

static void allocations_fail_in_turn(void **state) {
  (void)state;
  for (size_t i = 0; i < KAD__COUNT(quick); i++) {
    test_allocator memory;
    test_allocator_init(&memory);
    int result = KAD_E_NO_MEMORY;
    for (size_t n = 1; result == KAD_E_NO_MEMORY; n++) {
      kad_key_pair *pair = NULL;
      kad_random random;
      kad_random_init_u64(&random, 1);
      memory.calls = 0;
      memory.fail_at = n;
      result = kad_key_pair_generate_type(&pair, &memory.allocator, quick[i],
                                          &random);
      assert_true((result == 0) == (pair != NULL));
      assert_true(result == 0 ? n > 2 : result == KAD_E_NO_MEMORY);
      kad_key_pair_free(pair);
      assert_int_equal(memory.live, 0);
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(one_seed_is_one_key),
      cmocka_unit_test(what_is_exported_comes_back),
      cmocka_unit_test(signatures_verify),
      cmocka_unit_test(signing_asks_for_room),
      cmocka_unit_test(fixed_lengths_are_for_ed25519),
      cmocka_unit_test(secp256k1_takes_the_lower_s),
      cmocka_unit_test(every_prefix_is_refused),
      cmocka_unit_test(every_damaged_bit_of_ecdsa_is_noticed),
      cmocka_unit_test(damaged_rsa_is_noticed),
      cmocka_unit_test(scalars_out_of_range_are_refused),
      cmocka_unit_test(allocations_fail_in_turn),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
