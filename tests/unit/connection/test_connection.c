/* The upgrade of a connection: how it goes, how it fails, and what it costs. */
#include "ends.h"

/* Our part of an idle connection, yamux included. */
#define IDLE_MAX 3072

/* ---- the upgrade ------------------------------------------------------- */

static void check_peer(const test_end *e, const test_end *peer) {
  assert_true(kad_peer_id_equal(kad__connection_peer(e->c), test_end_id(peer)));
  assert_bytes_equal(kad__connection_peer_key(e->c),
                     kad_public_key_bytes(kad_key_pair_public(peer->pair)));
}

static void test_upgrade(void **state) {
  (void)state;
  test_ends f;
  test_ends_init(&f);
  test_ends_connect(&f.a, &f.b, 0);
  check_peer(&f.a, &f.b);
  check_peer(&f.b, &f.a);
  assert_non_null(kad__connection_yamux(f.a.c));
  test_ends_fini(&f);
}

static void test_before(void **state) {
  (void)state;
  test_ends f;
  test_ends_init(&f);
  assert_ok(test_end_connect(&f.a, true, NULL, 1, 5));
  assert_false(kad__connection_established(f.a.c));
  assert_null(kad__connection_yamux(f.a.c));
  assert_false(kad__connection_congested(f.a.c));
  assert_true(kad__connection_deadline(f.a.c) == 5 + TEST_TIMEOUT);
  test_ends_fini(&f);
}

/* The dialer's first write is header, proposal and, without waiting for the
 * answer, the first Noise message; the listener waits for that, and its header
 * travels with its answer. */
static void test_first_bytes(void **state) {
  (void)state;
  test_ends f;
  test_ends_init(&f);
  kad__buffer wire = {0};
  assert_ok(test_end_connect(&f.a, true, NULL, 1, 0));
  test_end_drain(&f.a, &wire, 0);
  kad_bytes start = LITERAL(MULTISTREAM_HEADER NOISE_NAME "\0\x20");
  assert_true(kad__bytes_start(kad__buffer_bytes(&wire), start));
  assert_int_equal(kad__buffer_len(&wire), start.len + 32);
  assert_ok(test_end_connect(&f.b, false, NULL, 2, 0));
  assert_false(kad__connection_has_output(f.b.c));
  assert_ok(test_end_feed(&f.b, kad__buffer_bytes(&wire), NULL, 0));
  kad__buffer_fini(&wire, kad_allocator_default());
  test_end_drain(&f.b, &wire, 0);
  assert_true(kad__bytes_start(kad__buffer_bytes(&wire),
                               LITERAL(MULTISTREAM_HEADER NOISE_NAME)));
  kad__buffer_fini(&wire, kad_allocator_default());
  test_ends_fini(&f);
}

static void test_expected(void **state) {
  (void)state;
  test_ends f;
  test_ends_init(&f);
  assert_ok(test_end_connect(&f.a, true, test_end_id(&f.a), 1, 0));
  assert_ok(test_end_connect(&f.b, false, NULL, 2, 0));
  test_ends_pump(&f.a, &f.b, NULL, 0);
  assert_error(KAD_E_PEER_MISMATCH, f.a.error);
  assert_false(kad__connection_established(f.a.c));
  assert_false(kad__connection_established(f.b.c));
  test_ends_fini(&f);
}

/* A listener may know whom it waits for, too. */
static void test_listener_expects(void **state) {
  (void)state;
  test_ends f;
  test_ends_init(&f);
  assert_ok(test_end_connect(&f.a, true, NULL, 1, 0));
  assert_ok(test_end_connect(&f.b, false, test_end_id(&f.b), 2, 0));
  test_ends_pump(&f.a, &f.b, NULL, 0);
  assert_error(KAD_E_PEER_MISMATCH, f.b.error);
  assert_false(kad__connection_established(f.b.c));
  test_ends_fini(&f);
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
  test_ends f;
  test_ends_init(&f);
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
  test_ends_fini(&f);
}

static void test_deadline_ends_with_upgrade(void **state) {
  (void)state;
  test_ends f;
  test_ends_init(&f);
  test_ends_connect(&f.a, &f.b, 0);
  assert_true(kad__connection_deadline(f.a.c) > TEST_TIMEOUT);
  assert_ok(kad__connection_tick(f.a.c, TEST_TIMEOUT));
  test_ends_fini(&f);
}

static void test_no_common_security(void **state) {
  (void)state;
  test_ends f;
  test_ends_init(&f);
  assert_ok(test_end_connect(&f.a, true, NULL, 1, 0));
  assert_error(
      KAD_E_NO_PROTOCOL,
      test_end_feed(&f.a, LITERAL(MULTISTREAM_HEADER "\x03na\n"), NULL, 0));
  /* A listener says so and waits for better. */
  assert_ok(test_end_connect(&f.b, false, NULL, 1, 0));
  assert_ok(test_end_feed(
      &f.b, LITERAL(MULTISTREAM_HEADER "\x0d/secio/1.0.0\n"), NULL, 0));
  kad__buffer wire = {0};
  test_end_drain(&f.b, &wire, 0);
  assert_bytes_equal(kad__buffer_bytes(&wire),
                     LITERAL(MULTISTREAM_HEADER "\x03na\n"));
  kad__buffer_fini(&wire, kad_allocator_default());
  test_ends_fini(&f);
}

static void test_input_end(void **state) {
  (void)state;
  test_ends f;
  test_ends_init(&f);
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
  test_ends_fini(&f);
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
  assert_true(kad__bytes_start(kad__buffer_bytes(&heard),
                               LITERAL(MULTISTREAM_HEADER YAMUX_NAME)));
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

/* ---- memory ------------------------------------------------------------ */

static void test_idle_memory(void **state) {
  (void)state;
  test_ends f;
  test_ends_init(&f);
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
  test_ends_fini(&f);
}

/* Passes an upgrade in which the `fail_at`-th allocation of `failing` fails.
 * Returns false when there was none such. */
static bool upgrade_without_memory(test_ends *f, test_end *failing,
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
  test_ends f;
  test_ends_init(&f);
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
  test_ends_fini(&f);
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
      cmocka_unit_test(test_idle_memory),
      cmocka_unit_test(test_no_memory),
      cmocka_unit_test(test_muxer_without_memory),
      cmocka_unit_test(test_security_without_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
