/* Handshakes of peers that mean harm, or that are merely broken. */
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "connection/connection_internal.h"
#include "ends.h"

/* Feeds a listener a first Noise message of `len` bytes. */
static void bad_first_message(size_t len, size_t given, int expected) {
  test_end b;
  uint8_t message[100] = {(uint8_t)(len >> 8), (uint8_t)len, 9};
  test_end_init(&b, 2);
  assert_ok(test_end_connect(&b, false, NULL, 1, 0));
  assert_ok(test_end_feed(&b, LITERAL(MULTISTREAM_HEADER NOISE_NAME), NULL, 0));
  assert_error(expected,
               test_end_feed(&b, kad__bytes(message, 2 + given), NULL, 0));
  assert_true(b.memory.live_bytes < 4096);
  test_end_fini(&b);
}

static void test_first_message_lengths(void **state) {
  (void)state;
  bad_first_message(0, 0, KAD_E_NOISE);
  bad_first_message(31, 31, KAD_E_NOISE);
  bad_first_message(33, 33, KAD_E_NOISE); /* a payload in the clear */
  bad_first_message(0xffff, 0, KAD_E_NOISE);
  bad_first_message(KAD__NOISE_HANDSHAKE_MAX + 1, 90, KAD_E_NOISE);
  bad_first_message(32, 31, 0);
}

/* A public key of low order gets no answer. */
static void test_low_order_key(void **state) {
  (void)state;
  static const uint8_t message[2 + 32] = {0, 32, 1};
  test_end b;
  kad__buffer wire = {0};
  test_end_init(&b, 2);
  assert_ok(test_end_connect(&b, false, NULL, 1, 0));
  assert_ok(test_end_feed(&b, LITERAL(MULTISTREAM_HEADER NOISE_NAME), NULL, 0));
  assert_error(KAD_E_NOISE,
               test_end_feed(&b, kad__bytes(message, 34), NULL, 0));
  test_end_drain(&b, &wire, 0);
  assert_bytes_equal(kad__buffer_bytes(&wire),
                     LITERAL(MULTISTREAM_HEADER NOISE_NAME));
  kad__buffer_fini(&wire, kad_allocator_default());
  test_end_fini(&b);
}

/* Puts `payload` into the message that carries the puppet's, in both roles. */
static void check_payload(puppet *p, kad_bytes payload, int expected) {
  test_end e;
  test_end_init(&e, 2);
  assert_ok(test_end_connect(&e, !p->dialer, NULL, 1, 0));
  assert_error(expected, puppet_handshake(p, &e, payload, NULL, NULL, 0));
  assert_true(kad__connection_established(e.c) == (expected == 0));
  test_end_fini(&e);
}

typedef kad_bytes (*make_payload)(const puppet *p, uint8_t *out);

static void check_made_payload(make_payload make, int expected) {
  for (int dialer = 0; dialer < 2; dialer++) {
    puppet p;
    uint8_t room[4096];
    puppet_init(&p, 3, dialer == 1);
    check_payload(&p, make(&p, room), expected);
    puppet_fini(&p);
  }
}

static kad_bytes empty(const puppet *p, uint8_t *out) {
  (void)p;
  (void)out;
  return (kad_bytes){0};
}

/* An honest payload is key (2 + 36), signature (2 + 64), extensions (16). */
static kad_bytes without_signature(const puppet *p, uint8_t *out) {
  return kad__bytes(puppet_honest(p, out).data, 38);
}

static kad_bytes without_key(const puppet *p, uint8_t *out) {
  return kad__bytes_skip(puppet_honest(p, out), 38);
}

static kad_bytes cut_short(const puppet *p, uint8_t *out) {
  kad_bytes whole = puppet_honest(p, out);
  return kad__bytes(whole.data, whole.len - 1);
}

static kad_bytes of_unknown_type(const puppet *p, uint8_t *out) {
  kad_bytes whole = puppet_honest(p, out);
  out[3] = 99;
  return whole;
}

static kad_bytes with_broken_key(const puppet *p, uint8_t *out) {
  kad_bytes whole = puppet_honest(p, out);
  out[2] = 0x0f; /* a wire type that does not exist */
  return whole;
}

static kad_bytes with_wrong_signature(const puppet *p, uint8_t *out) {
  kad_bytes whole = puppet_honest(p, out);
  out[60] ^= 1;
  return whole;
}

/* A signature of the right form over something else. */
static kad_bytes signed_over(const puppet *p, uint8_t *out, kad_bytes message) {
  kad_bytes whole = puppet_honest(p, out);
  assert_ok(kad_key_pair_sign(p->pair, out + 40, message));
  return whole;
}

static kad_bytes without_prefix(const puppet *p, uint8_t *out) {
  return signed_over(p, out, kad__bytes(p->key.public_key, 32));
}

static kad_bytes of_another_session(const puppet *p, uint8_t *out) {
  (void)p;
  puppet other;
  puppet_init(&other, 3, true);
  /* The same identity, which signed another static key. */
  other.key.public_key[0] ^= 1;
  kad_bytes whole = puppet_honest(&other, out);
  puppet_fini(&other);
  return whole;
}

static void test_payloads(void **state) {
  (void)state;
  check_made_payload(puppet_honest, 0);
  check_made_payload(empty, KAD_E_NOISE);
  check_made_payload(without_key, KAD_E_NOISE);
  check_made_payload(cut_short, KAD_E_NOISE);
  check_made_payload(without_signature, KAD_E_SIGNATURE);
  check_made_payload(of_unknown_type, KAD_E_KEY_TYPE);
  check_made_payload(with_broken_key, KAD_E_KEY);
  check_made_payload(with_wrong_signature, KAD_E_SIGNATURE);
  check_made_payload(without_prefix, KAD_E_SIGNATURE);
  check_made_payload(of_another_session, KAD_E_SIGNATURE);
}

/* Our own payload, handed back: the identity is ours, the static key is not,
 * so it is a forgery before it is anything else. */
static void test_stolen_identity(void **state) {
  (void)state;
  test_end b;
  puppet p;
  uint8_t read[512];
  uint8_t room[512];
  kad_bytes theirs;
  test_end_init(&b, 2);
  puppet_init(&p, 3, true);
  assert_ok(test_end_connect(&b, false, NULL, 1, 0));
  assert_ok(
      puppet_handshake(&p, &b, puppet_honest(&p, room), &theirs, read, 0));
  puppet_fini(&p);
  puppet_init(&p, 4, true);
  check_payload(&p, theirs, KAD_E_SIGNATURE);
  puppet_fini(&p);
  test_end_fini(&b);
}

/* Lists of muxers beyond what is looked at, and names of no length. */
static kad_bytes with_many_muxers(const puppet *p, uint8_t *out) {
  size_t len = puppet_payload(p, out, NULL, 0).len;
  size_t body = 1000 * 2;
  out[len++] = 0x22;
  out[len++] = (uint8_t)(0x80 | (body & 0x7f));
  out[len++] = (uint8_t)(body >> 7);
  for (size_t i = 0; i < 1000; i++) {
    out[len++] = 0x12;
    out[len++] = 0;
  }
  return kad__bytes(out, len);
}

static void test_many_muxers(void **state) {
  (void)state;
  for (int dialer = 0; dialer < 2; dialer++) {
    test_end e;
    puppet p;
    uint8_t room[4096];
    test_end_init(&e, 2);
    puppet_init(&p, 3, dialer == 1);
    assert_ok(test_end_connect(&e, dialer == 0, NULL, 1, 0));
    assert_ok(
        puppet_handshake(&p, &e, with_many_muxers(&p, room), NULL, NULL, 0));
    /* The handshake holds, and the muxer is left to multistream. */
    kad__buffer heard = {0};
    if (dialer == 1) {
      assert_ok(puppet_say(&p, &e, LITERAL(MULTISTREAM_HEADER), 0));
    }
    puppet_hear(&p, &e, &heard, 0);
    assert_true(kad__bytes_start(kad__buffer_bytes(&heard),
                                 LITERAL(MULTISTREAM_HEADER)));
    kad__buffer_fini(&heard, kad_allocator_default());
    puppet_fini(&p);
    test_end_fini(&e);
  }
}

/* A peer whose identity is an RSA key of 2048 bits, as old nodes have. */
static kad_bytes rsa_payload(EVP_PKEY *rsa, const puppet *p, uint8_t *out) {
  uint8_t message[24 + 32];
  uint8_t signature[256];
  unsigned char *der = NULL;
  size_t signature_len = sizeof(signature);
  int der_len = i2d_PUBKEY(rsa, &der);
  assert_true(der_len > 128 && der_len < 16384);
  memcpy(message, "noise-libp2p-static-key:", 24);
  memcpy(message + 24, p->key.public_key, 32);
  EVP_MD_CTX *md = EVP_MD_CTX_new();
  assert_int_equal(1, EVP_DigestSignInit(md, NULL, EVP_sha256(), NULL, rsa));
  assert_int_equal(1, EVP_DigestSign(md, signature, &signature_len, message,
                                     sizeof(message)));
  EVP_MD_CTX_free(md);
  size_t key_len = 2 + 3 + (size_t)der_len;
  const uint8_t head[] = {0x0a,
                          (uint8_t)(0x80 | (key_len & 0x7f)),
                          (uint8_t)(key_len >> 7),
                          0x08,
                          0x00,
                          0x12,
                          (uint8_t)(0x80 | (der_len & 0x7f)),
                          (uint8_t)(der_len >> 7)};
  memcpy(out, head, sizeof(head));
  memcpy(out + sizeof(head), der, (size_t)der_len);
  size_t at = sizeof(head) + (size_t)der_len;
  const uint8_t tail[] = {0x12, 0x80, 0x02};
  memcpy(out + at, tail, sizeof(tail));
  memcpy(out + at + sizeof(tail), signature, signature_len);
  OPENSSL_free(der);
  return kad__bytes(out, at + sizeof(tail) + signature_len);
}

static void test_rsa_peer(void **state) {
  (void)state;
  EVP_PKEY *rsa = EVP_RSA_gen(2048);
  assert_non_null(rsa);
  for (int dialer = 0; dialer < 2; dialer++) {
    test_end e;
    puppet p;
    uint8_t room[1024];
    test_end_init(&e, 2);
    puppet_init(&p, 3, dialer == 1);
    assert_ok(test_end_connect(&e, dialer == 0, NULL, 1, 0));
    assert_ok(
        puppet_handshake(&p, &e, rsa_payload(rsa, &p, room), NULL, NULL, 0));
    const kad_peer_id *id = kad__connection_peer(e.c);
    assert_int_equal(id->len, 34); /* a SHA-256 multihash */
    assert_int_equal(kad__connection_peer_key(e.c).len, 294 + 5 + 1 - 1);
    puppet_fini(&p);
    test_end_fini(&e);
  }
  EVP_PKEY_free(rsa);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_first_message_lengths),
      cmocka_unit_test(test_low_order_key),
      cmocka_unit_test(test_payloads),
      cmocka_unit_test(test_stolen_identity),
      cmocka_unit_test(test_many_muxers),
      cmocka_unit_test(test_rsa_peer),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
