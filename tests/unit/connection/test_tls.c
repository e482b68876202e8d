/* Connections secured by TLS, both ends ours. */
#include "ends.h"

static const uint8_t noise_only[] = {KAD__SECURITY_NOISE, KAD__SECURITY_NONE};
static const uint8_t tls_only[] = {KAD__SECURITY_TLS, KAD__SECURITY_NONE};
static const uint8_t tls_first[] = {KAD__SECURITY_TLS, KAD__SECURITY_NOISE};
static const uint8_t noise_first[] = {KAD__SECURITY_NOISE, KAD__SECURITY_TLS};
static const uint8_t unsaid[KAD__SECURITY_PROTOCOLS];

static void set_protocols(test_end *e, const uint8_t *protocols) {
  memcpy(e->protocols, protocols, KAD__SECURITY_PROTOCOLS);
}

static int set_up(void **state) {
  test_ends *f = calloc(1, sizeof(*f));
  assert_non_null(f);
  test_ends_init(f);
  set_protocols(&f->a, tls_only);
  *state = f;
  return 0;
}

static int tear_down(void **state) {
  test_ends_fini(*state);
  free(*state);
  return 0;
}

static void check_established(test_ends *f, kad__security_protocol security) {
  assert_true(kad__connection_established(f->a.c));
  assert_true(kad__connection_established(f->b.c));
  assert_int_equal(kad__connection_security(f->a.c), security);
  assert_int_equal(kad__connection_security(f->b.c), security);
  assert_true(
      kad_peer_id_equal(kad__connection_peer(f->a.c), test_end_id(&f->b)));
  assert_true(
      kad_peer_id_equal(kad__connection_peer(f->b.c), test_end_id(&f->a)));
}

static void test_handshake(void **state) {
  test_ends *f = *state;
  test_ends_connect(&f->a, &f->b, 0);
  check_established(f, KAD__SECURITY_TLS);
  assert_bytes_equal(kad__connection_peer_key(f->b.c),
                     kad_public_key_bytes(kad_key_pair_public(f->a.pair)));
}

static void test_choice(void **state) {
  test_ends *f = *state;
  const struct {
    const uint8_t *dialer;
    const uint8_t *listener;
    kad__security_protocol agreed; /* NONE: nothing in common */
  } cases[] = {
      {unsaid, unsaid, KAD__SECURITY_NOISE},
      {tls_only, unsaid, KAD__SECURITY_TLS},
      {tls_first, unsaid, KAD__SECURITY_TLS},
      {noise_first, unsaid, KAD__SECURITY_NOISE},
      {tls_first, noise_first, KAD__SECURITY_TLS},
      {tls_first, noise_only, KAD__SECURITY_NOISE},
      {noise_first, tls_only, KAD__SECURITY_TLS},
      {noise_first, tls_first, KAD__SECURITY_NOISE},
      {noise_only, tls_only, KAD__SECURITY_NONE},
      {tls_only, noise_only, KAD__SECURITY_NONE},
  };
  for (size_t i = 0; i < KAD__COUNT(cases); i++) {
    set_protocols(&f->a, cases[i].dialer);
    set_protocols(&f->b, cases[i].listener);
    if (cases[i].agreed != KAD__SECURITY_NONE) {
      test_ends_connect(&f->a, &f->b, 0);
      check_established(f, cases[i].agreed);
      continue;
    }
    assert_ok(test_end_connect(&f->a, true, NULL, 1, 0));
    assert_ok(test_end_connect(&f->b, false, NULL, 2, 0));
    test_ends_pump(&f->a, &f->b, NULL, 0);
    assert_true(f->a.error == KAD_E_NO_PROTOCOL || f->b.error < 0);
    assert_false(kad__connection_established(f->a.c));
    assert_false(kad__connection_established(f->b.c));
  }
}

static void test_any_segmentation(void **state) {
  test_ends *f = *state;
  for (uint64_t seed = 1; seed <= 20; seed++) {
    kad_random cuts;
    kad_random_init_u64(&cuts, seed);
    assert_ok(test_end_connect(&f->a, true, test_end_id(&f->b), 1, 0));
    assert_ok(test_end_connect(&f->b, false, NULL, 2, 0));
    test_ends_pump(&f->a, &f->b, &cuts, 0);
    check_established(f, KAD__SECURITY_TLS);
  }
}

static void feed_bytewise(test_end *e, kad_bytes bytes) {
  for (size_t i = 0; i < bytes.len; i++) {
    assert_ok(test_end_feed(e, kad__bytes(bytes.data + i, 1), NULL, 0));
  }
}

static bool carry_bytewise(test_end *from, test_end *to) {
  kad__buffer wire = {0};
  test_end_drain(from, &wire, 0);
  kad_bytes bytes = kad__buffer_bytes(&wire);
  feed_bytewise(to, bytes);
  kad__buffer_fini(&wire, kad_allocator_default());
  return bytes.len != 0;
}

static void test_byte_by_byte(void **state) {
  test_ends *f = *state;
  assert_ok(test_end_connect(&f->a, true, test_end_id(&f->b), 1, 0));
  assert_ok(test_end_connect(&f->b, false, NULL, 2, 0));
  while (carry_bytewise(&f->a, &f->b) | carry_bytewise(&f->b, &f->a)) {
  }
  check_established(f, KAD__SECURITY_TLS);
}

static void test_one_seed_is_one_run(void **state) {
  (void)state;
  kad__buffer wires[2] = {{0}};
  for (int run = 0; run < 2; run++) {
    test_ends f;
    test_ends_init(&f);
    set_protocols(&f.a, tls_only);
    assert_ok(test_end_connect(&f.a, true, NULL, 1, 0));
    assert_ok(test_end_connect(&f.b, false, NULL, 2, 0));
    kad__buffer hello = {0};
    test_end_drain(&f.a, &hello, 0);
    assert_ok(test_end_feed(&f.b, kad__buffer_bytes(&hello), NULL, 0));
    assert_ok(kad__buffer_append(&wires[run], kad_allocator_default(),
                                 kad__buffer_bytes(&hello)));
    test_end_drain(&f.b, &wires[run], 0);
    kad__buffer_fini(&hello, kad_allocator_default());
    test_ends_fini(&f);
  }
  assert_bytes_equal(kad__buffer_bytes(&wires[0]),
                     kad__buffer_bytes(&wires[1]));
  for (int run = 0; run < 2; run++) {
    kad__buffer_fini(&wires[run], kad_allocator_default());
  }
}

static void test_streams(void **state) {
  test_ends *f = *state;
  enum { LEN = 200000 };
  static uint8_t sent[LEN];
  kad_random random;
  kad_random cuts;
  kad_random_init_u64(&random, 5);
  kad_random_init_u64(&cuts, 6);
  kad_random_bytes(&random, sent, LEN);
  test_ends_connect(&f->a, &f->b, 0);
  kad__yamux_stream *ours = NULL;
  assert_ok(kad__yamux_stream_open(kad__connection_yamux(f->a.c), &ours));
  assert_ok(kad__yamux_stream_write(ours, kad__bytes(sent, LEN)));
  test_ends_pump(&f->a, &f->b, &cuts, 0);
  assert_ok(f->b.error);
  kad__yamux_stream *theirs = test_end_opened(&f->b);
  assert_bytes_equal(kad__yamux_stream_peek(theirs), kad__bytes(sent, LEN));
  assert_ok(kad__yamux_stream_write(theirs, kad__bytes(sent, LEN)));
  test_ends_pump(&f->a, &f->b, &cuts, 0);
  assert_bytes_equal(kad__yamux_stream_peek(ours), kad__bytes(sent, LEN));
  kad__yamux_stream_release(ours);
  kad__yamux_stream_release(theirs);
}

static void test_mismatch(void **state) {
  test_ends *f = *state;
  assert_ok(test_end_connect(&f->a, true, test_end_id(&f->a), 1, 0));
  assert_ok(test_end_connect(&f->b, false, NULL, 2, 0));
  test_ends_pump(&f->a, &f->b, NULL, 0);
  assert_error(KAD_E_PEER_MISMATCH, f->a.error);
  assert_false(kad__connection_established(f->a.c));
}

static void test_self(void **state) {
  test_ends *f = *state;
  test_end twin;
  test_end_init(&twin, 1);
  assert_ok(test_end_connect(&f->a, true, NULL, 1, 0));
  assert_ok(test_end_connect(&twin, false, NULL, 2, 0));
  test_ends_pump(&f->a, &twin, NULL, 0);
  assert_error(KAD_E_SELF, f->a.error);
  test_end_fini(&twin);
}

static void test_timeout(void **state) {
  test_ends *f = *state;
  assert_ok(test_end_connect(&f->a, true, NULL, 1, 0));
  kad__buffer hello = {0};
  test_end_drain(&f->a, &hello, 0);
  assert_int_equal(kad__connection_deadline(f->a.c), TEST_TIMEOUT);
  assert_ok(kad__connection_tick(f->a.c, TEST_TIMEOUT - 1));
  assert_error(KAD_E_TIMEOUT, kad__connection_tick(f->a.c, TEST_TIMEOUT));
  kad__buffer_fini(&hello, kad_allocator_default());
}

static void test_input_end(void **state) {
  test_ends *f = *state;
  test_ends_connect(&f->a, &f->b, 0);
  kad__yamux_stream *stream = NULL;
  assert_ok(kad__yamux_stream_open(kad__connection_yamux(f->a.c), &stream));
  assert_ok(kad__yamux_stream_write(stream, kad__bytes_of("hello")));
  kad__buffer wire = {0};
  test_end_drain(&f->a, &wire, 0);
  kad_bytes bytes = kad__buffer_bytes(&wire);
  size_t idle = kad__connection_charge(f->b.c);
  assert_ok(test_end_feed(&f->b, kad__bytes(bytes.data, 3), NULL, 0));
  assert_true(kad__connection_charge(f->b.c) > idle);
  assert_error(KAD_E_TRUNCATED, kad__connection_input_end(f->b.c));
  kad__buffer_fini(&wire, kad_allocator_default());
  kad__yamux_stream_release(stream);
}

/* From the first flipped bit on nothing is believed. */
static void test_flipped_bits(void **state) {
  test_ends *f = *state;
  test_ends_connect(&f->a, &f->b, 0);
  kad__yamux_stream *stream = NULL;
  assert_ok(kad__yamux_stream_open(kad__connection_yamux(f->a.c), &stream));
  kad__buffer wire = {0};
  test_end_drain(&f->a, &wire, 0);
  wire.data[wire.begin + 7] ^= 1;
  assert_error(KAD_E_DECRYPT,
               test_end_feed(&f->b, kad__buffer_bytes(&wire), NULL, 0));
  assert_error(KAD_E_DECRYPT, kad__connection_input_end(f->b.c));
  kad__buffer_fini(&wire, kad_allocator_default());
  kad__yamux_stream_release(stream);
}

/* The listener's flight with one bit of each byte flipped. Only what precedes
 * encryption and is no message, the versions in the heads of records, may be
 * damaged unnoticed. */
static void test_damaged_flight(void **state) {
  test_ends *f = *state;
  size_t unnoticed = 0;
  size_t len = SIZE_MAX;
  for (size_t at = 0; at < len; at++) {
    assert_ok(test_end_connect(&f->a, true, NULL, 1, 0));
    assert_ok(test_end_connect(&f->b, false, NULL, 2, 0));
    kad__buffer wire = {0};
    test_end_drain(&f->a, &wire, 0);
    test_end_feed(&f->b, kad__buffer_bytes(&wire), NULL, 0);
    kad__buffer_fini(&wire, kad_allocator_default());
    test_end_drain(&f->b, &wire, 0);
    len = kad__buffer_len(&wire);
    wire.data[wire.begin + at] ^= (uint8_t)(1u << at % 8);
    test_end_feed(&f->a, kad__buffer_bytes(&wire), NULL, 0);
    unnoticed += kad__connection_established(f->a.c);
    kad__buffer_fini(&wire, kad_allocator_default());
  }
  assert_true(len > 500 && len < 2000);
  assert_true(unnoticed <= 4);
}

/* A node of every type of key, as both sides. */
static void test_key_types(void **state) {
  test_ends *f = *state;
  const kad_key_type types[] = {KAD_KEY_RSA, KAD_KEY_SECP256K1, KAD_KEY_ECDSA};
  const uint8_t *const protocols[] = {tls_only, noise_only};
  for (size_t i = 0; i < KAD__COUNT(types); i++) {
    test_end_fini(&f->a);
    test_end_init_type(&f->a, types[i], 1);
    for (size_t j = 0; j < KAD__COUNT(protocols); j++) {
      set_protocols(&f->a, protocols[j]);
      set_protocols(&f->b, protocols[j]);
      test_ends_connect(&f->a, &f->b, 0);
      check_established(f, (kad__security_protocol)protocols[j][0]);
      test_ends_connect(&f->b, &f->a, 0);
      check_established(f, (kad__security_protocol)protocols[j][0]);
    }
  }
}

static void test_wall_clock(void **state) {
  test_ends *f = *state;
  const uint64_t second = UINT64_C(1000000000);
  const struct {
    uint64_t unix_s;
    int error;
  } cases[] = {
      {0, 0},
      {157766399, KAD_E_CERTIFICATE_TIME}, /* the last second of 1974 */
      {157766401, 0},
      {UINT64_C(1800000000), 0},
  };
  for (size_t i = 0; i < KAD__COUNT(cases); i++) {
    kad__security_set_wall_clock(f->a.security, 0, cases[i].unix_s * second);
    assert_ok(test_end_connect(&f->a, true, NULL, 1, 0));
    assert_ok(test_end_connect(&f->b, false, NULL, 2, 0));
    test_ends_pump(&f->a, &f->b, NULL, 0);
    assert_error(cases[i].error, f->a.error);
    /* The peer hears why. */
    assert_int_equal(f->b.error, cases[i].error == 0 ? 0 : KAD_E_TLS);
  }
  /* The clock goes on by itself. */
  kad__security_set_wall_clock(f->a.security, 0, 157766399 * second);
  assert_ok(test_end_connect(&f->a, true, NULL, 1, 5 * KAD_SECOND));
  assert_ok(test_end_connect(&f->b, false, NULL, 2, 5 * KAD_SECOND));
  test_ends_pump(&f->a, &f->b, NULL, 5 * KAD_SECOND);
  assert_ok(f->a.error);
}

static bool try_with_allocations(test_ends *f, size_t n) {
  f->a.memory.calls = 0;
  f->b.memory.calls = 0;
  f->a.memory.fail_at = n;
  f->b.memory.fail_at = n;
  int dial = test_end_connect(&f->a, true, NULL, 1, 0);
  int listen = test_end_connect(&f->b, false, NULL, 2, 0);
  if (dial == 0 && listen == 0) {
    test_ends_pump(&f->a, &f->b, NULL, 0);
  }
  bool failed = f->a.memory.calls >= n || f->b.memory.calls >= n;
  f->a.memory.fail_at = 0;
  f->b.memory.fail_at = 0;
  int errors[] = {dial, listen, f->a.error, f->b.error};
  for (size_t i = 0; i < KAD__COUNT(errors); i++) {
    assert_true(errors[i] == 0 || errors[i] == KAD_E_NO_MEMORY ||
                errors[i] == KAD_E_TLS);
  }
  kad__connection_free(f->a.c);
  kad__connection_free(f->b.c);
  f->a.c = NULL;
  f->b.c = NULL;
  assert_int_equal(f->a.memory.live, 0);
  assert_int_equal(f->b.memory.live, 0);
  return failed;
}

static void test_failing_allocations(void **state) {
  test_ends *f = *state;
  size_t n = 1;
  while (try_with_allocations(f, n)) {
    n++;
  }
  assert_true(n > 5);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(test_handshake),
      TEST(test_choice),
      TEST(test_any_segmentation),
      TEST(test_byte_by_byte),
      TEST(test_one_seed_is_one_run),
      TEST(test_streams),
      TEST(test_mismatch),
      TEST(test_self),
      TEST(test_timeout),
      TEST(test_input_end),
      TEST(test_flipped_bits),
      TEST(test_damaged_flight),
      TEST(test_key_types),
      TEST(test_wall_clock),
      TEST(test_failing_allocations),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
