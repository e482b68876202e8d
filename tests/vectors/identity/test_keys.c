#include "kadmium/key.h"
#include "support.h"
#include "vectors.h"

static kad_public_key *key_of(const char *text) {
  kad_public_key *key = NULL;
  assert_ok(
      kad_public_key_decode(&key, kad_allocator_default(), test_hex(text)));
  assert_bytes_equal(kad_public_key_bytes(key), test_hex(text));
  return key;
}

static void peer_ids_of_the_specification(void **state) {
  (void)state;
  const struct {
    kad_key_type type;
    const char *key;
    const char *id;
  } cases[] = {
      {KAD_KEY_ED25519, SPEC_ED25519_PUBLIC,
       "12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3pq"},
      {KAD_KEY_SECP256K1, SPEC_SECP256K1_PUBLIC,
       "16Uiu2HAmLhLvBoYaoZfaMUKuibM6ac163GwKY74c5kiSLg5KvLpY"},
      {KAD_KEY_ECDSA, SPEC_ECDSA_PUBLIC,
       "QmVMT29id3TUASyfZZ6k9hmNyc2nYabCo4uMSpDw4zrgDk"},
      {KAD_KEY_RSA, SPEC_RSA_PUBLIC,
       "QmaeANgBs1DTSxWSrPPtobgQuxW8XTfsS4ydbK4rCHzqxG"},
  };
  for (size_t i = 0; i < KAD__COUNT(cases); i++) {
    kad_peer_id id;
    char text[KAD_PEER_ID_TEXT_MAX];
    kad_public_key *key = key_of(cases[i].key);
    assert_int_equal(kad_public_key_type(key), cases[i].type);
    kad_public_key_peer_id(key, &id);
    assert_ok(kad_peer_id_format(text, sizeof(text), &id));
    assert_string_equal(text, cases[i].id);
    kad_public_key_free(key);
  }
}

static void key_pairs_of_the_specification(void **state) {
  (void)state;
  const struct {
    const char *pair[2];
    const char *key;
  } cases[] = {
      {{SPEC_ED25519_PRIVATE, ""}, SPEC_ED25519_PUBLIC},
      {{SPEC_SECP256K1_PRIVATE, ""}, SPEC_SECP256K1_PUBLIC},
      {{SPEC_ECDSA_PRIVATE, ""}, SPEC_ECDSA_PUBLIC},
      {{SPEC_RSA_PRIVATE, SPEC_RSA_PRIVATE_REST}, SPEC_RSA_PUBLIC},
  };
  for (size_t i = 0; i < KAD__COUNT(cases); i++) {
    uint8_t out[KAD_KEY_PAIR_MAX];
    kad_key_pair *pair = NULL;
    char text[2 * KAD_KEY_PAIR_MAX + 1];
    snprintf(text, sizeof(text), "%s%s", cases[i].pair[0], cases[i].pair[1]);
    kad_bytes in = test_hex(text);
    assert_ok(kad_key_pair_decode(&pair, kad_allocator_default(), in));
    assert_bytes_equal(kad_public_key_bytes(kad_key_pair_public(pair)),
                       test_hex(cases[i].key));
    int len = kad_key_pair_export(pair, out, sizeof(out));
    assert_ok(len);
    assert_bytes_equal(kad__bytes(out, (size_t)len), in);
    kad_key_pair_free(pair);
  }
}

static void signatures_of_go_libp2p(void **state) {
  (void)state;
  const struct {
    const char *key;
    const char *signature;
  } cases[] = {
      {GO_RSA_PUBLIC, GO_RSA_SIGNATURE},
      {GO_SECP256K1_PUBLIC, GO_SECP256K1_SIGNATURE},
      {GO_ECDSA_PUBLIC, GO_ECDSA_SIGNATURE},
  };
  kad_bytes message = kad__bytes_of(GO_MESSAGE);
  for (size_t i = 0; i < KAD__COUNT(cases); i++) {
    kad_public_key *key = key_of(cases[i].key);
    kad_bytes signature = test_hex(cases[i].signature);
    assert_ok(kad_public_key_verify(key, message, signature));
    assert_error(
        KAD_E_SIGNATURE,
        kad_public_key_verify(key, kad__bytes(message.data, message.len - 1),
                              signature));
    kad_public_key_free(key);
  }
}

/* RFC 8032, section 7.1, tests 1 to 3. */
static void signatures_of_rfc_8032(void **state) {
  (void)state;
  const struct {
    const char *seed;
    const char *point;
    const char *message;
    const char *signature;
  } cases[] = {
      {"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
       "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
       "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
       "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"},
      {"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
       "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
       "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
       "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"},
      {"c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
       "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
       "af82",
       "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
       "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"},
  };
  for (size_t i = 0; i < KAD__COUNT(cases); i++) {
    char text[160];
    uint8_t signature[KAD_SIGNATURE_LEN];
    kad_key_pair *pair = NULL;
    snprintf(text, sizeof(text), "08011240%s%s", cases[i].seed, cases[i].point);
    assert_ok(
        kad_key_pair_decode(&pair, kad_allocator_default(), test_hex(text)));
    assert_ok(kad_key_pair_sign(pair, signature, test_hex(cases[i].message)));
    assert_bytes_equal(kad__bytes(signature, sizeof(signature)),
                       test_hex(cases[i].signature));
    kad_key_pair_free(pair);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(peer_ids_of_the_specification),
      cmocka_unit_test(key_pairs_of_the_specification),
      cmocka_unit_test(signatures_of_go_libp2p),
      cmocka_unit_test(signatures_of_rfc_8032),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
