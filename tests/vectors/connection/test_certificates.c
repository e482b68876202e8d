#include "connection/certificate.h"
#include "support.h"
#include "tls_vectors.h"

/* A day in 2026. */
#define TODAY UINT64_C(1780000000)

static void certificates_of_the_specification(void **state) {
  (void)state;
  const struct {
    const char *certificate;
    const char *id;
  } cases[] = {
      {SPEC_CERTIFICATE_ED25519,
       "12D3KooWM6CgA9iBFZmcYAHA6A2qvbAxqfkmrYiRQuz3XEsk4Ksv"},
      {SPEC_CERTIFICATE_ECDSA,
       "QmfXbAwNjJLXfesgztEHe8HwgVDCMMpZ9Eax1HYq6hn9uE"},
      {SPEC_CERTIFICATE_SECP256K1,
       "16Uiu2HAkutTMoTzDw1tCvSRtu6YoixJwS46S1ZFxW8hSx9fWHiPs"},
  };
  for (size_t i = 0; i < KAD__COUNT(cases); i++) {
    kad_public_key *key = NULL;
    kad_peer_id id;
    char text[KAD_PEER_ID_TEXT_MAX];
    assert_ok(kad__certificate_decode(&key, kad_allocator_default(),
                                      test_hex(cases[i].certificate), TODAY));
    kad_public_key_peer_id(key, &id);
    assert_ok(kad_peer_id_format(text, sizeof(text), &id));
    assert_string_equal(text, cases[i].id);
    kad_public_key_free(key);
  }
}

static void the_wrong_one_of_the_specification(void **state) {
  (void)state;
  kad_public_key *key = NULL;
  assert_error(KAD_E_SIGNATURE, kad__certificate_decode(
                                    &key, kad_allocator_default(),
                                    test_hex(SPEC_CERTIFICATE_WRONG), TODAY));
  assert_null(key);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(certificates_of_the_specification),
      cmocka_unit_test(the_wrong_one_of_the_specification),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
