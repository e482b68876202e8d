/* The whole connection: how an upgrade goes, how it fails, and what an
 * established one does with the bytes of its peer. */
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "connection/connection_internal.h"
#include "ends.h"

/* Our part of an idle connection, yamux included. */
#define IDLE_MAX 3072

typedef struct fixture {
  test_end a; /* dials */
  test_end b;
} fixture;

static void begin(fixture *f) {
  test_end_init(&f->a, 1);
  test_end_init(&f->b, 2);
}

static void end(fixture *f) {
  test_end_fini(&f->a);
  test_end_fini(&f->b);
}

/* ---- the upgrade ------------------------------------------------------- */

static void check_peer(const test_end *e, const test_end *peer) {
  assert_true(kad_peer_id_equal(kad__connection_peer(e->c), test_end_id(peer)));
  assert_bytes_equal(kad__connection_peer_key(e->c),
                     kad_public_key_bytes(kad_key_pair_public(peer->pair)));
}

static void test_upgrade(void **state) {
  (void)state;
  fixture f;
  begin(&f);
  test_ends_connect(&f.a, &f.b, 0);
  check_peer(&f.a, &f.b);
  check_peer(&f.b, &f.a);
  assert_non_null(kad__connection_yamux(f.a.c));
  end(&f);
}

static void test_before(void **state) {
  (void)state;
  fixture f;
  begin(&f);
  assert_ok(test_end_connect(&f.a, true, NULL, 1, 5));
  assert_false(kad__connection_established(f.a.c));
  assert_null(kad__connection_yamux(f.a.c));
  assert_false(kad__connection_congested(f.a.c));
  assert_true(kad__connection_deadline(f.a.c) == 5 + TEST_TIMEOUT);
  end(&f);
}

/* The dialer's first write is header, proposal and, without waiting for the
 * answer, the first Noise message; the listener's, before it has heard
 * anything, the header. */
static void test_first_bytes(void **state) {
  (void)state;
  fixture f;
  begin(&f);
  kad__buffer wire = {0};
  assert_ok(test_end_connect(&f.a, true, NULL, 1, 0));
  test_end_drain(&f.a, &wire, 0);
  kad_bytes start = LITERAL(MULTISTREAM_HEADER NOISE_NAME "\0\x20");
  assert_true(kad__bytes_start(kad__buffer_bytes(&wire), start));
  assert_int_equal(kad__buffer_len(&wire), start.len + 32);
  kad__buffer_fini(&wire, kad_allocator_default());
  assert_ok(test_end_connect(&f.b, false, NULL, 2, 0));
  test_end_drain(&f.b, &wire, 0);
  assert_bytes_equal(kad__buffer_bytes(&wire), LITERAL(MULTISTREAM_HEADER));
  kad__buffer_fini(&wire, kad_allocator_default());
  end(&f);
}

static void test_expected(void **state) {
  (void)state;
  fixture f;
  begin(&f);
  assert_ok(test_end_connect(&f.a, true, test_end_id(&f.a), 1, 0));
  assert_ok(test_end_connect(&f.b, false, NULL, 2, 0));
  test_ends_pump(&f.a, &f.b, NULL, 0);
  assert_error(KAD_E_PEER_MISMATCH, f.a.error);
  assert_false(kad__connection_established(f.a.c));
  assert_false(kad__connection_established(f.b.c));
  end(&f);
}

/* A listener may know whom it waits for, too. */
static void test_listener_expects(void **state) {
  (void)state;
  fixture f;
  begin(&f);
  assert_ok(test_end_connect(&f.a, true, NULL, 1, 0));
  assert_ok(test_end_connect(&f.b, false, test_end_id(&f.b), 2, 0));
  test_ends_pump(&f.a, &f.b, NULL, 0);
  assert_error(KAD_E_PEER_MISMATCH, f.b.error);
  assert_false(kad__connection_established(f.b.c));
  end(&f);
}

static void test_self(void **state) {
  (void)state;
  test_end a;
  test_end b;
  test_end_init(&a, 7);
  test_end_init(&b, 7);
  assert_ok(test_end_connect(&a, true, test_end_id(&b), 1, 0));
  assert_ok(test_end_connect(&b, false, NULL, 2, 0));
  test_ends_pump(&a, &b, NULL, 0);
  assert_error(KAD_E_SELF, a.error);
  assert_false(kad__connection_established(a.c));
  assert_false(kad__connection_established(b.c));
  test_end_fini(&a);
  test_end_fini(&b);
}

/* One deadline for everything, however busy the peer is. */
static void test_deadline(void **state) {
  (void)state;
  static const char header[] = MULTISTREAM_HEADER;
  fixture f;
  begin(&f);
  assert_ok(test_end_connect(&f.b, false, NULL, 2, 0));
  assert_ok(test_end_feed(&f.b, kad__bytes(header, 1), NULL, 0));
  assert_ok(kad__connection_tick(f.b.c, TEST_TIMEOUT - 1));
  assert_ok(
      test_end_feed(&f.b, kad__bytes(header + 1, 1), NULL, TEST_TIMEOUT - 1));
  assert_true(kad__connection_deadline(f.b.c) == TEST_TIMEOUT);
  assert_error(KAD_E_TIMEOUT, kad__connection_tick(f.b.c, TEST_TIMEOUT));
  assert_error(KAD_E_TIMEOUT, test_end_feed(&f.b, kad__bytes(header + 2, 1),
                                            NULL, TEST_TIMEOUT));
  assert_error(KAD_E_TIMEOUT, kad__connection_tick(f.b.c, TEST_TIMEOUT));
  assert_true(kad__connection_deadline(f.b.c) == KAD_TIME_NEVER);
  end(&f);
}

static void test_deadline_ends_with_upgrade(void **state) {
  (void)state;
  fixture f;
  begin(&f);
  test_ends_connect(&f.a, &f.b, 0);
  assert_true(kad__connection_deadline(f.a.c) > TEST_TIMEOUT);
  assert_ok(kad__connection_tick(f.a.c, TEST_TIMEOUT));
  end(&f);
}

static void test_no_common_security(void **state) {
  (void)state;
  fixture f;
  begin(&f);
  assert_ok(test_end_connect(&f.a, true, NULL, 1, 0));
  assert_error(
      KAD_E_NO_PROTOCOL,
      test_end_feed(&f.a, LITERAL(MULTISTREAM_HEADER "\x03na\n"), NULL, 0));
  /* A listener says so and waits for better. */
  assert_ok(test_end_connect(&f.b, false, NULL, 1, 0));
  assert_ok(test_end_feed(&f.b, LITERAL(MULTISTREAM_HEADER "\x0b/tls/1.0.0\n"),
                          NULL, 0));
  kad__buffer wire = {0};
  test_end_drain(&f.b, &wire, 0);
  assert_bytes_equal(kad__buffer_bytes(&wire),
                     LITERAL(MULTISTREAM_HEADER "\x03na\n"));
  kad__buffer_fini(&wire, kad_allocator_default());
  end(&f);
}

static void test_input_end(void **state) {
  (void)state;
  fixture f;
  begin(&f);
  assert_ok(test_end_connect(&f.b, false, NULL, 1, 0));
  assert_error(KAD_E_CLOSED, kad__connection_input_end(f.b.c));
  assert_error(KAD_E_CLOSED, test_end_feed(&f.b, LITERAL("x"), NULL, 0));
  assert_ok(test_end_connect(&f.b, false, NULL, 1, 0));
  assert_ok(test_end_feed(&f.b, LITERAL("\x13/multi"), NULL, 0));
  assert_error(KAD_E_TRUNCATED, kad__connection_input_end(f.b.c));
  test_ends_connect(&f.a, &f.b, 0);
  assert_error(KAD_E_CLOSED, kad__connection_input_end(f.a.c));
  assert_ok(test_end_feed(&f.b, LITERAL("\x00"), NULL, 0));
  assert_error(KAD_E_TRUNCATED, kad__connection_input_end(f.b.c));
  end(&f);
}

/* ---- peers that choose the muxer by multistream ------------------------ */

/* As rust-libp2p dials: no muxers in the payload; header, proposal and the
 * first frames of yamux behind message 3. */
static void test_muxer_listener(void **state) {
  (void)state;
  test_end b;
  puppet p;
  uint8_t room[512];
  kad__buffer heard = {0};
  test_end_init(&b, 2);
  puppet_init(&p, 3, true);
  assert_ok(test_end_connect(&b, false, NULL, 1, 0));
  assert_ok(puppet_handshake(&p, &b, puppet_payload(&p, room, NULL, 0), NULL,
                             NULL, 0));
  assert_false(kad__connection_established(b.c));
  puppet_hear(&p, &b, &heard, 0);
  assert_bytes_equal(kad__buffer_bytes(&heard), LITERAL(MULTISTREAM_HEADER));
  kad__buffer_fini(&heard, kad_allocator_default());
  assert_ok(puppet_say(&p, &b, LITERAL(MULTISTREAM_HEADER "\x0d/yam"), 0));
  assert_false(kad__connection_established(b.c));
  /* The rest of the name, and a stream of yamux with three bytes. */
  assert_ok(puppet_say(&p, &b,
                       LITERAL("ux/1.0.0\n"
                               "\0\0\0\1\0\0\0\1\0\0\0\3abc"),
                       0));
  assert_true(kad__connection_established(b.c));
  kad__yamux_event event;
  assert_true(kad__yamux_poll(kad__connection_yamux(b.c), &event));
  assert_int_equal(event.type, KAD__YAMUX_OPENED);
  assert_bytes_equal(kad__yamux_stream_peek(event.stream), LITERAL("abc"));
  puppet_hear(&p, &b, &heard, 0);
  assert_true(kad__bytes_start(kad__buffer_bytes(&heard), LITERAL(YAMUX_NAME)));
  kad__buffer_fini(&heard, kad_allocator_default());
  puppet_fini(&p);
  test_end_fini(&b);
}

/* A dialer proposes the one muxer there is and goes on as if it were agreed. */
static void test_muxer_dialer(void **state) {
  (void)state;
  static const char *const other[] = {"/mplex/6.7.0"};
  for (size_t count = 0; count < 2; count++) {
    test_end a;
    puppet p;
    uint8_t room[512];
    kad__buffer heard = {0};
    kad__yamux_stream *s = NULL;
    test_end_init(&a, 2);
    puppet_init(&p, 3, false);
    assert_ok(test_end_connect(&a, true, NULL, 1, 0));
    assert_ok(puppet_handshake(&p, &a, puppet_payload(&p, room, other, count),
                               NULL, NULL, 0));
    assert_true(kad__connection_established(a.c));
    assert_true(kad__connection_deadline(a.c) <= TEST_TIMEOUT);
    assert_ok(kad__yamux_stream_open(kad__connection_yamux(a.c), &s));
    assert_ok(kad__yamux_stream_write(s, LITERAL("abc")));
    puppet_hear(&p, &a, &heard, 0);
    kad_bytes start = LITERAL(MULTISTREAM_HEADER YAMUX_NAME "\0");
    assert_true(kad__bytes_start(kad__buffer_bytes(&heard), start));
    kad__buffer_fini(&heard, kad_allocator_default());
    /* The answer, and yamux behind it. */
    assert_ok(puppet_say(
        &p, &a,
        LITERAL(MULTISTREAM_HEADER YAMUX_NAME "\0\0\0\2\0\0\0\1\0\0\0\3def"),
        0));
    assert_bytes_equal(kad__yamux_stream_peek(s), LITERAL("def"));
    puppet_fini(&p);
    test_end_fini(&a);
  }
}

static void begin_muxer_dialer(test_end *a, puppet *p) {
  uint8_t room[512];
  test_end_init(a, 2);
  puppet_init(p, 3, false);
  assert_ok(test_end_connect(a, true, NULL, 1, 0));
  assert_ok(
      puppet_handshake(p, a, puppet_payload(p, room, NULL, 0), NULL, NULL, 0));
}

static void test_muxer_refused(void **state) {
  (void)state;
  test_end a;
  puppet p;
  begin_muxer_dialer(&a, &p);
  assert_error(KAD_E_NO_PROTOCOL,
               puppet_say(&p, &a, LITERAL(MULTISTREAM_HEADER "\x03na\n"), 0));
  puppet_fini(&p);
  test_end_fini(&a);
}

/* Streams can be opened, and yet the upgrade has its deadline until the peer
 * has agreed. */
static void test_muxer_not_answered(void **state) {
  (void)state;
  test_end a;
  puppet p;
  begin_muxer_dialer(&a, &p);
  assert_error(KAD_E_TIMEOUT, kad__connection_tick(a.c, TEST_TIMEOUT));
  puppet_fini(&p);
  test_end_fini(&a);
}

/* A message that is cut by the end of the channel, though no frame is. */
static void test_muxer_cut(void **state) {
  (void)state;
  test_end b;
  puppet p;
  uint8_t room[512];
  test_end_init(&b, 2);
  puppet_init(&p, 3, true);
  assert_ok(test_end_connect(&b, false, NULL, 1, 0));
  assert_ok(puppet_handshake(&p, &b, puppet_payload(&p, room, NULL, 0), NULL,
                             NULL, 0));
  assert_ok(puppet_say(&p, &b, LITERAL(MULTISTREAM_HEADER "\x0d/yam"), 0));
  assert_error(KAD_E_TRUNCATED, kad__connection_input_end(b.c));
  puppet_fini(&p);
  test_end_fini(&b);
}

/* Both sides named yamux in their payloads: nothing of multistream follows,
 * and our own payload names it too. */
static void test_early_muxer(void **state) {
  (void)state;
  static const char *const muxers[] = {"/mplex/6.7.0", "/yamux/1.0.0"};
  for (int dialer = 0; dialer < 2; dialer++) {
    test_end e;
    puppet p;
    uint8_t room[512];
    uint8_t read[512];
    kad_bytes theirs;
    test_end_init(&e, 2);
    puppet_init(&p, 3, dialer == 1);
    assert_ok(test_end_connect(&e, dialer == 0, NULL, 1, 0));
    assert_ok(puppet_handshake(&p, &e, puppet_payload(&p, room, muxers, 2),
                               &theirs, read, 0));
    assert_true(kad__connection_established(e.c));
    assert_int_equal(theirs.len, 120);
    assert_bytes_equal(kad__bytes_skip(theirs, 104),
                       LITERAL("\x22\x0e\x12\x0c/yamux/1.0.0"));
    puppet_fini(&p);
    test_end_fini(&e);
  }
}

/* ---- hostile handshakes ------------------------------------------------ */

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

static const char *const yamux_only[] = {"/yamux/1.0.0"};

static kad_bytes honest(const puppet *p, uint8_t *out) {
  return puppet_payload(p, out, yamux_only, 1);
}

static kad_bytes empty(const puppet *p, uint8_t *out) {
  (void)p;
  (void)out;
  return (kad_bytes){0};
}

/* An honest payload is key (2 + 36), signature (2 + 64), extensions (16). */
static kad_bytes without_signature(const puppet *p, uint8_t *out) {
  return kad__bytes(honest(p, out).data, 38);
}

static kad_bytes without_key(const puppet *p, uint8_t *out) {
  return kad__bytes_skip(honest(p, out), 38);
}

static kad_bytes cut_short(const puppet *p, uint8_t *out) {
  kad_bytes whole = honest(p, out);
  return kad__bytes(whole.data, whole.len - 1);
}

static kad_bytes of_unknown_type(const puppet *p, uint8_t *out) {
  kad_bytes whole = honest(p, out);
  out[3] = 99;
  return whole;
}

static kad_bytes with_broken_key(const puppet *p, uint8_t *out) {
  kad_bytes whole = honest(p, out);
  out[2] = 0x0f; /* a wire type that does not exist */
  return whole;
}

static kad_bytes with_wrong_signature(const puppet *p, uint8_t *out) {
  kad_bytes whole = honest(p, out);
  out[60] ^= 1;
  return whole;
}

/* A signature of the right form over something else. */
static kad_bytes signed_over(const puppet *p, uint8_t *out, kad_bytes message) {
  kad_bytes whole = honest(p, out);
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
  kad_bytes whole = honest(&other, out);
  puppet_fini(&other);
  return whole;
}

static void test_payloads(void **state) {
  (void)state;
  check_made_payload(honest, 0);
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
  assert_ok(puppet_handshake(&p, &b, honest(&p, room), &theirs, read, 0));
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

/* ---- established ------------------------------------------------------- */

/* Takes all events, among which there is one stream that was opened. */
static kad__yamux_stream *opened(test_end *e) {
  kad__yamux_stream *stream = NULL;
  kad__yamux_event event;
  while (kad__yamux_poll(kad__connection_yamux(e->c), &event)) {
    stream = event.type == KAD__YAMUX_OPENED ? event.stream : stream;
  }
  assert_non_null(stream);
  return stream;
}

static void test_echo(void **state) {
  (void)state;
  enum { LEN = 200000 };
  static uint8_t text[LEN];
  fixture f;
  begin(&f);
  test_ends_connect(&f.a, &f.b, 0);
  for (size_t i = 0; i < LEN; i++) {
    text[i] = (uint8_t)(i * i >> 3);
  }
  kad__yamux_stream *ours = NULL;
  assert_ok(kad__yamux_stream_open(kad__connection_yamux(f.a.c), &ours));
  assert_ok(kad__yamux_stream_write(ours, kad__bytes(text, LEN)));
  test_ends_pump(&f.a, &f.b, NULL, 0);
  kad__yamux_stream *theirs = opened(&f.b);
  assert_bytes_equal(kad__yamux_stream_peek(theirs), kad__bytes(text, LEN));
  assert_ok(kad__yamux_stream_write(theirs, kad__yamux_stream_peek(theirs)));
  kad__yamux_stream_consume(theirs, LEN);
  kad__yamux_stream_close_write(theirs);
  test_ends_pump(&f.a, &f.b, NULL, 0);
  assert_bytes_equal(kad__yamux_stream_peek(ours), kad__bytes(text, LEN));
  assert_true(kad__yamux_stream_ended(ours));
  assert_ok(f.a.error);
  assert_ok(f.b.error);
  end(&f);
}

/* The smallest room for output that a caller may give: it is kept to, and
 * several frames leave in one call when there is room for them. */
static void test_output_room(void **state) {
  (void)state;
  enum { SMALL = 16384, LEN = 150000, LARGE = 200000 };
  static uint8_t text[LEN];
  static uint8_t wire[LARGE + 1];
  fixture f;
  begin(&f);
  test_ends_connect(&f.a, &f.b, 0);
  for (int large = 0; large < 2; large++) {
    kad__yamux_stream *s = NULL;
    size_t cap = large ? LARGE : SMALL;
    size_t calls = 0;
    assert_ok(kad__yamux_stream_open(kad__connection_yamux(f.a.c), &s));
    assert_ok(kad__yamux_stream_write(s, kad__bytes(text, LEN)));
    while (kad__connection_has_output(f.a.c)) {
      wire[cap] = 0xa5;
      size_t n = kad__connection_output(f.a.c, wire, cap, 0);
      assert_true(n > 0 && n <= cap);
      assert_int_equal(wire[cap], 0xa5);
      assert_ok(test_end_feed(&f.b, kad__bytes(wire, n), NULL, 0));
      calls++;
    }
    assert_int_equal(kad__yamux_stream_peek(opened(&f.b)).len, LEN);
    assert_true(large ? calls == 1 : calls <= LEN / (SMALL - 4200) + 1);
  }
  end(&f);
}

/* One encrypted frame from the peer, fit to be tampered with. */
static void make_frames(test_end *from, uint8_t frames[2][128], size_t *len) {
  for (int i = 0; i < 2; i++) {
    kad__yamux_stream *s = NULL;
    assert_ok(kad__yamux_stream_open(kad__connection_yamux(from->c), &s));
    assert_ok(kad__yamux_stream_write(s, LITERAL("hello")));
    uint8_t wire[16384];
    *len = kad__connection_output(from->c, wire, sizeof(wire), 0);
    assert_true(*len > 18 && *len <= 128);
    memcpy(frames[i], wire, *len);
  }
}

/* After a bad frame the good ones that follow are not looked at, and nothing
 * reached the muxer. */
static void check_dead(fixture *f, kad_bytes bad, kad_bytes good,
                       int expected) {
  kad__yamux_event event;
  assert_error(expected, test_end_feed(&f->b, bad, NULL, 0));
  assert_error(expected, test_end_feed(&f->b, good, NULL, 0));
  assert_false(kad__yamux_poll(kad__connection_yamux(f->b.c), &event));
  assert_error(expected, kad__connection_tick(f->b.c, 0));
  assert_error(expected, kad__connection_input_end(f->b.c));
}

static void test_tampered_frames(void **state) {
  (void)state;
  uint8_t frames[2][128];
  size_t len = 0;
  fixture f;
  begin(&f);
  test_ends_connect(&f.a, &f.b, 0);
  make_frames(&f.a, frames, &len);
  kad_bytes first = kad__bytes(frames[0], len);
  kad_bytes second = kad__bytes(frames[1], len);
  check_dead(&f, second, first, KAD_E_DECRYPT); /* swapped, or one dropped */

  test_ends_connect(&f.a, &f.b, 0);
  make_frames(&f.a, frames, &len);
  frames[0][20] ^= 4;
  check_dead(&f, first, second, KAD_E_DECRYPT);

  test_ends_connect(&f.a, &f.b, 0);
  check_dead(&f, LITERAL("\0\1x"), first, KAD_E_NOISE); /* less than a tag */

  test_ends_connect(&f.a, &f.b, 0);
  check_dead(&f, LITERAL("\0\x1epretty plain text, not a frame"), first,
             KAD_E_DECRYPT);
  end(&f);
}

static void test_replayed_frame(void **state) {
  (void)state;
  uint8_t frames[2][128];
  size_t len = 0;
  fixture f;
  begin(&f);
  test_ends_connect(&f.a, &f.b, 0);
  make_frames(&f.a, frames, &len);
  assert_ok(test_end_feed(&f.b, kad__bytes(frames[0], len), NULL, 0));
  opened(&f.b);
  check_dead(&f, kad__bytes(frames[0], len), kad__bytes(frames[1], len),
             KAD_E_DECRYPT);
  end(&f);
}

/* The end of the counter, which no connection lives to see. */
static void test_counter_ends(void **state) {
  (void)state;
  static uint8_t wire[65536];
  fixture f;
  begin(&f);
  test_ends_connect(&f.a, &f.b, 0);
  kad__yamux_stream *s = NULL;
  f.a.c->send.nonce = UINT64_MAX;
  assert_ok(kad__yamux_stream_open(kad__connection_yamux(f.a.c), &s));
  assert_ok(kad__yamux_stream_write(s, LITERAL("hello")));
  assert_int_equal(kad__connection_output(f.a.c, wire, sizeof(wire), 0), 0);
  assert_false(kad__connection_has_output(f.a.c));
  /* The error comes out at once, and stays. */
  assert_true(kad__connection_deadline(f.a.c) == 0);
  assert_error(KAD_E_NOISE, kad__connection_tick(f.a.c, 0));
  assert_true(kad__connection_deadline(f.a.c) == KAD_TIME_NEVER);
  assert_error(KAD_E_NOISE, test_end_feed(&f.a, LITERAL("x"), NULL, 0));

  test_ends_connect(&f.a, &f.b, 0);
  f.a.c->receive.nonce = UINT64_MAX;
  f.b.c->send.nonce = UINT64_MAX - 1;
  assert_ok(kad__yamux_stream_open(kad__connection_yamux(f.b.c), &s));
  assert_ok(kad__yamux_stream_write(s, LITERAL("hello")));
  test_ends_pump(&f.a, &f.b, NULL, 0);
  assert_error(KAD_E_NOISE, f.a.error);
  end(&f);
}

/* What the peer's muxer does wrong comes out as that error, and our last word
 * is a GoAway. */
static void test_yamux_error(void **state) {
  (void)state;
  test_end b;
  puppet p;
  uint8_t room[512];
  kad__buffer heard = {0};
  test_end_init(&b, 2);
  puppet_init(&p, 3, true);
  assert_ok(test_end_connect(&b, false, NULL, 1, 0));
  assert_ok(puppet_handshake(&p, &b, honest(&p, room), NULL, NULL, 0));
  puppet_hear(&p, &b, &heard, 0);
  kad__buffer_fini(&heard, kad_allocator_default());
  assert_error(KAD_E_YAMUX,
               puppet_say(&p, &b, LITERAL("\1\0\0\1\0\0\0\1\0\0\0\0"), 0));
  assert_error(KAD_E_YAMUX,
               puppet_say(&p, &b, LITERAL("\0\0\0\1\0\0\0\1\0\0\0\0"), 0));
  puppet_hear(&p, &b, &heard, 0);
  assert_bytes_equal(kad__buffer_bytes(&heard),
                     LITERAL("\0\3\0\0\0\0\0\0\0\0\0\1"));
  kad__buffer_fini(&heard, kad_allocator_default());
  puppet_fini(&p);
  test_end_fini(&b);
}

static void test_empty_frames(void **state) {
  (void)state;
  test_end b;
  puppet p;
  uint8_t room[512];
  test_end_init(&b, 2);
  puppet_init(&p, 3, true);
  assert_ok(test_end_connect(&b, false, NULL, 1, 0));
  assert_ok(puppet_handshake(&p, &b, honest(&p, room), NULL, NULL, 0));
  for (int i = 0; i < 100; i++) {
    assert_ok(puppet_say(&p, &b, (kad_bytes){0}, 0));
  }
  puppet_fini(&p);
  test_end_fini(&b);
}

/* The longest frame, arriving byte by byte: no more is held than there is. */
static void test_longest_frame_in_pieces(void **state) {
  (void)state;
  static uint8_t text[KAD__NOISE_TEXT_MAX];
  static uint8_t frame[2 + KAD__NOISE_MESSAGE_MAX];
  test_end b;
  puppet p;
  uint8_t room[512];
  test_end_init(&b, 2);
  puppet_init(&p, 3, true);
  assert_ok(test_end_connect(&b, false, NULL, 1, 0));
  assert_ok(puppet_handshake(&p, &b, honest(&p, room), NULL, NULL, 0));
  kad__buffer heard = {0};
  puppet_hear(&p, &b, &heard, 0);
  kad__buffer_fini(&heard, kad_allocator_default());
  /* One stream of yamux with all the rest as its data. */
  memcpy(text, "\0\0\0\1\0\0\0\1", 8);
  kad__store32(text + 8, sizeof(text) - 12);
  size_t len = puppet_frame(&p, frame, kad__bytes(text, sizeof(text)));
  size_t idle = kad__connection_charge(b.c);
  for (size_t i = 0; i + 1 < len; i++) {
    assert_ok(test_end_feed(&b, kad__bytes(frame + i, 1), NULL, 0));
    assert_true(kad__connection_charge(b.c) > idle);
    assert_true(kad__connection_charge(b.c) <= idle + 2 * i + 64);
  }
  assert_ok(test_end_feed(&b, kad__bytes(frame + len - 1, 1), NULL, 0));
  assert_int_equal(kad__yamux_stream_peek(opened(&b)).len, sizeof(text) - 12);
  puppet_fini(&p);
  test_end_fini(&b);
}

/* ---- memory ------------------------------------------------------------ */

static void test_idle_memory(void **state) {
  (void)state;
  fixture f;
  begin(&f);
  test_ends_connect(&f.a, &f.b, 0);
  const test_end *ends[] = {&f.a, &f.b};
  for (int i = 0; i < 2; i++) {
    size_t live = ends[i]->memory.live_bytes;
    size_t charge = kad__connection_charge(ends[i]->c);
    print_message("idle: %zu bytes, charged %zu\n", live, charge);
    assert_true(live <= IDLE_MAX);
    assert_true(charge >= live);
    assert_true(charge <= IDLE_MAX);
  }
  end(&f);
}

/* Passes an upgrade in which the `fail_at`-th allocation of `failing` fails.
 * Returns false when there was none such. */
static bool upgrade_without_memory(fixture *f, test_end *failing,
                                   size_t fail_at, kad_random *cuts) {
  failing->memory.calls = 0;
  failing->memory.fail_at = fail_at;
  int result = test_end_connect(&f->a, true, NULL, 1, 0);
  if (result == 0) {
    result = test_end_connect(&f->b, false, NULL, 2, 0);
  }
  if (result < 0) {
    assert_error(KAD_E_NO_MEMORY, result);
    assert_null(failing->c);
  } else {
    test_ends_pump(&f->a, &f->b, cuts, 0);
    result = failing->error;
  }
  bool reached = failing->memory.calls >= fail_at;
  failing->memory.fail_at = 0;
  if (reached) {
    assert_error(KAD_E_NO_MEMORY, result);
    assert_false(failing->c != NULL && kad__connection_established(failing->c));
  } else {
    assert_true(kad__connection_established(failing->c));
  }
  kad__connection_free(f->a.c);
  kad__connection_free(f->b.c);
  f->a.c = NULL;
  f->b.c = NULL;
  assert_int_equal(f->a.memory.live, 0);
  assert_int_equal(f->b.memory.live, 0);
  return reached;
}

static void test_no_memory(void **state) {
  (void)state;
  fixture f;
  begin(&f);
  test_end *ends[] = {&f.a, &f.b};
  for (int i = 0; i < 4; i++) {
    kad_random cuts;
    size_t fail_at = 0;
    bool reached = true;
    while (reached) {
      /* The same pieces each time. */
      kad_random_init_u64(&cuts, 5);
      reached = upgrade_without_memory(&f, ends[i % 2], ++fail_at,
                                       i < 2 ? NULL : &cuts);
    }
    assert_true(fail_at > (i < 2 ? 5 : 10));
  }
  end(&f);
}

/* A muxer that is chosen by multistream, message by message. Returns false
 * when the allocation was not reached. */
static bool muxer_without_memory(bool dialer, size_t fail_at) {
  test_end e;
  puppet p;
  uint8_t room[512];
  test_end_init(&e, 2);
  puppet_init(&p, 3, !dialer);
  assert_ok(test_end_connect(&e, dialer, NULL, 1, 0));
  assert_ok(puppet_handshake(&p, &e, puppet_payload(&p, room, NULL, 0), NULL,
                             NULL, 0));
  e.memory.calls = 0;
  e.memory.fail_at = fail_at;
  puppet_say(&p, &e, LITERAL(MULTISTREAM_HEADER "\x0d/yam"), 0);
  puppet_say(&p, &e, LITERAL("ux/1.0.0\n"), 0);
  bool reached = e.memory.calls >= fail_at;
  assert_error(reached ? KAD_E_NO_MEMORY : 0, e.error);
  assert_true(reached || kad__connection_established(e.c));
  puppet_fini(&p);
  test_end_fini(&e);
  return reached;
}

static void test_muxer_without_memory(void **state) {
  (void)state;
  for (int dialer = 0; dialer < 2; dialer++) {
    size_t fail_at = 1;
    while (muxer_without_memory(dialer == 1, fail_at)) {
      fail_at++;
    }
    assert_true(fail_at > 1);
  }
}

static void test_security_without_memory(void **state) {
  (void)state;
  test_allocator memory;
  kad_random random;
  kad_key_pair *pair = NULL;
  kad__security *security = NULL;
  test_allocator_init(&memory);
  kad_random_init_u64(&random, 1);
  assert_ok(kad_key_pair_generate(&pair, kad_allocator_default(), &random));
  memory.fail_at = 1;
  assert_error(KAD_E_NO_MEMORY,
               kad__security_new(&security, &memory.allocator, pair, &random));
  assert_ok(kad__security_new(&security, &memory.allocator, pair, &random));
  kad__security_free(security);
  kad__security_free(NULL);
  kad__connection_free(NULL);
  kad_key_pair_free(pair);
  assert_int_equal(memory.live, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_upgrade),
      cmocka_unit_test(test_before),
      cmocka_unit_test(test_first_bytes),
      cmocka_unit_test(test_expected),
      cmocka_unit_test(test_listener_expects),
      cmocka_unit_test(test_self),
      cmocka_unit_test(test_deadline),
      cmocka_unit_test(test_deadline_ends_with_upgrade),
      cmocka_unit_test(test_no_common_security),
      cmocka_unit_test(test_input_end),
      cmocka_unit_test(test_muxer_listener),
      cmocka_unit_test(test_muxer_dialer),
      cmocka_unit_test(test_muxer_refused),
      cmocka_unit_test(test_muxer_not_answered),
      cmocka_unit_test(test_muxer_cut),
      cmocka_unit_test(test_early_muxer),
      cmocka_unit_test(test_first_message_lengths),
      cmocka_unit_test(test_low_order_key),
      cmocka_unit_test(test_payloads),
      cmocka_unit_test(test_stolen_identity),
      cmocka_unit_test(test_many_muxers),
      cmocka_unit_test(test_rsa_peer),
      cmocka_unit_test(test_echo),
      cmocka_unit_test(test_output_room),
      cmocka_unit_test(test_tampered_frames),
      cmocka_unit_test(test_replayed_frame),
      cmocka_unit_test(test_counter_ends),
      cmocka_unit_test(test_yamux_error),
      cmocka_unit_test(test_empty_frames),
      cmocka_unit_test(test_longest_frame_in_pieces),
      cmocka_unit_test(test_idle_memory),
      cmocka_unit_test(test_no_memory),
      cmocka_unit_test(test_muxer_without_memory),
      cmocka_unit_test(test_security_without_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
