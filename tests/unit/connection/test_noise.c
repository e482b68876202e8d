/* Noise XX and its ciphers on their own: turns, limits and hostile messages
 * (N-01, N-03, N-12, N-13 of the bad-input list). */
#include "connection/noise.h"
#include "support.h"

typedef struct pair {
  kad__noise_suite suite;
  kad__x25519 keys[2];
  kad__noise *sides[2]; /* initiator, responder */
} pair;

static void pair_init(pair *p) {
  static const uint8_t secrets[4][32] = {{1}, {2}, {3}, {4}};
  assert_ok(kad__noise_suite_init(&p->suite));
  for (int i = 0; i < 2; i++) {
    assert_ok(kad__x25519_init(&p->keys[i], secrets[i]));
    assert_ok(kad__noise_new(&p->sides[i], kad_allocator_default(), &p->suite,
                             &p->keys[i], secrets[2 + i], (kad_bytes){0},
                             i == 0));
  }
}

static void pair_fini(pair *p) {
  for (int i = 0; i < 2; i++) {
    kad__noise_free(p->sides[i]);
    kad__x25519_fini(&p->keys[i]);
  }
  kad__noise_suite_fini(&p->suite);
}

/* Passes message `i` with payload "payload". */
static void pass(pair *p, int i) {
  uint8_t message[256];
  kad_bytes read;
  int len = kad__noise_write(p->sides[i % 2], message, sizeof(message),
                             kad__bytes_of("payload"));
  assert_ok(len);
  assert_ok(kad__noise_read(p->sides[1 - i % 2], message, (size_t)len, &read));
  assert_bytes_equal(read, kad__bytes_of("payload"));
}

static void test_turns(void **state) {
  (void)state;
  pair p;
  uint8_t message[256] = {0};
  kad_bytes read;
  pair_init(&p);
  assert_error(KAD_E_STATE,
               kad__noise_write(p.sides[1], message, 256, (kad_bytes){0}));
  assert_error(KAD_E_STATE, kad__noise_read(p.sides[0], message, 256, &read));
  for (int i = 0; i < 3; i++) {
    assert_false(kad__noise_done(p.sides[0]));
    pass(&p, i);
  }
  for (int i = 0; i < 2; i++) {
    assert_true(kad__noise_done(p.sides[i]));
    assert_false(kad__noise_writes(p.sides[i]));
    assert_error(KAD_E_STATE,
                 kad__noise_write(p.sides[i], message, 256, (kad_bytes){0}));
    assert_error(KAD_E_STATE, kad__noise_read(p.sides[i], message, 256, &read));
  }
  pair_fini(&p);
}

/* The points of small order on Curve25519 and its twist, with those that are
 * not reduced (RFC 7748, section 6.1 and the list kept by libsodium). */
static const char *const low_order[] = {
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
};

static void test_low_order_ephemeral(void **state) {
  (void)state;
  for (size_t i = 0; i < KAD__COUNT(low_order); i++) {
    pair p;
    uint8_t message[256];
    kad_bytes read;
    pair_init(&p);
    memcpy(message, test_hex(low_order[i]).data, 32);
    assert_ok(kad__noise_read(p.sides[1], message, 32, &read));
    assert_error(KAD_E_NOISE,
                 kad__noise_write(p.sides[1], message, sizeof(message), read));
    assert_error(KAD_E_STATE,
                 kad__noise_write(p.sides[1], message, sizeof(message), read));
    pair_fini(&p);
  }
}

static void test_low_order_answer(void **state) {
  (void)state;
  for (size_t i = 0; i < KAD__COUNT(low_order); i++) {
    pair p;
    uint8_t message[256] = {0};
    kad_bytes read;
    pair_init(&p);
    assert_ok(
        kad__noise_write(p.sides[0], message, sizeof(message), (kad_bytes){0}));
    memcpy(message, test_hex(low_order[i]).data, 32);
    assert_error(KAD_E_NOISE, kad__noise_read(p.sides[0], message, 96, &read));
    assert_error(KAD_E_STATE, kad__noise_read(p.sides[0], message, 96, &read));
    pair_fini(&p);
  }
}

static void test_lengths(void **state) {
  (void)state;
  static const size_t bad[] = {0, 1, 31, KAD__NOISE_HANDSHAKE_MAX + 1, 65535};
  static uint8_t message[65535] = {9};
  for (size_t i = 0; i < KAD__COUNT(bad); i++) {
    pair p;
    kad_bytes read;
    pair_init(&p);
    assert_error(KAD_E_NOISE,
                 kad__noise_read(p.sides[1], message, bad[i], &read));
    assert_error(KAD_E_STATE, kad__noise_read(p.sides[1], message, 32, &read));
    pair_fini(&p);
  }
}

static void test_room(void **state) {
  (void)state;
  for (size_t cap = 0; cap < 96 + 7; cap++) {
    pair p;
    uint8_t message[256];
    kad_bytes read;
    pair_init(&p);
    assert_ok(
        kad__noise_write(p.sides[0], message, sizeof(message), (kad_bytes){0}));
    assert_ok(kad__noise_read(p.sides[1], message, 32, &read));
    assert_error(
        KAD_E_BUFFER_TOO_SMALL,
        kad__noise_write(p.sides[1], message, cap, kad__bytes_of("payload")));
    pair_fini(&p);
  }
}

/* A payload just too long for a handshake message. */
static void test_payload_limit(void **state) {
  (void)state;
  static uint8_t payload[KAD__NOISE_HANDSHAKE_MAX];
  static uint8_t message[2 * KAD__NOISE_HANDSHAKE_MAX];
  size_t limit = KAD__NOISE_HANDSHAKE_MAX - 32;
  pair p;
  pair_init(&p);
  assert_int_equal(KAD__NOISE_HANDSHAKE_MAX,
                   kad__noise_write(p.sides[0], message, sizeof(message),
                                    kad__bytes(payload, limit)));
  pair_fini(&p);
  pair_init(&p);
  assert_error(KAD_E_BUFFER_TOO_SMALL,
               kad__noise_write(p.sides[0], message, sizeof(message),
                                kad__bytes(payload, limit + 1)));
  pair_fini(&p);
}

/* ---- ciphers ----------------------------------------------------------- */

typedef struct channel {
  kad__noise_suite suite;
  kad__noise_cipher send;
  kad__noise_cipher receive;
} channel;

static void channel_init(channel *c) {
  *c = (channel){.send = {.key = {7}}, .receive = {.key = {7}}};
  assert_ok(kad__noise_suite_init(&c->suite));
}

static size_t seal(channel *c, uint8_t *out, const char *text) {
  size_t len = strlen(text);
  memcpy(out, text, len);
  assert_ok(kad__noise_encrypt(&c->suite, &c->send, out, len));
  return len + KAD__AEAD_TAG_LEN;
}

static int open(channel *c, const uint8_t *frame, size_t len) {
  uint8_t copy[256];
  memcpy(copy, frame, len);
  return kad__noise_decrypt(&c->suite, &c->receive, copy, len);
}

static void test_every_bit(void **state) {
  (void)state;
  channel c;
  uint8_t frame[64];
  channel_init(&c);
  size_t len = seal(&c, frame, "four");
  for (size_t bit = 0; bit < 8 * len; bit++) {
    frame[bit / 8] ^= (uint8_t)(1u << bit % 8);
    assert_error(KAD_E_DECRYPT, open(&c, frame, len));
    assert_int_equal(c.receive.nonce, 0);
    frame[bit / 8] ^= (uint8_t)(1u << bit % 8);
  }
  for (size_t cut = 0; cut < len; cut++) {
    int expected = cut < KAD__AEAD_TAG_LEN ? KAD_E_NOISE : KAD_E_DECRYPT;
    assert_error(expected, open(&c, frame, cut));
    assert_int_equal(c.receive.nonce, 0);
  }
  assert_int_equal(4, open(&c, frame, len));
  assert_int_equal(c.receive.nonce, 1);
  kad__noise_suite_fini(&c.suite);
}

static void test_order(void **state) {
  (void)state;
  channel c;
  uint8_t first[64];
  uint8_t second[64];
  channel_init(&c);
  size_t len = seal(&c, first, "first");
  assert_int_equal(len, seal(&c, second, "again"));
  assert_error(KAD_E_DECRYPT, open(&c, second, len)); /* swapped or dropped */
  assert_int_equal(5, open(&c, first, len));
  assert_error(KAD_E_DECRYPT, open(&c, first, len)); /* replayed */
  assert_int_equal(5, open(&c, second, len));
  kad__noise_suite_fini(&c.suite);
}

static void test_empty_text(void **state) {
  (void)state;
  channel c;
  uint8_t frame[16];
  channel_init(&c);
  assert_int_equal(16, seal(&c, frame, ""));
  assert_int_equal(0, open(&c, frame, 16));
  kad__noise_suite_fini(&c.suite);
}

/* The last counter is never used, and there is no way past it. */
static void test_counter_ends(void **state) {
  (void)state;
  channel c;
  uint8_t frame[64];
  channel_init(&c);
  c.send.nonce = UINT64_MAX - 1;
  c.receive.nonce = UINT64_MAX - 1;
  size_t len = seal(&c, frame, "last");
  assert_int_equal(4, open(&c, frame, len));
  for (int i = 0; i < 2; i++) {
    assert_error(KAD_E_NOISE, kad__noise_encrypt(&c.suite, &c.send, frame, 4));
    assert_error(KAD_E_NOISE, open(&c, frame, len));
  }
  assert_true(c.send.nonce == UINT64_MAX);
  assert_true(c.receive.nonce == UINT64_MAX);
  kad__noise_suite_fini(&c.suite);
}

static void test_longest_frame(void **state) {
  (void)state;
  static uint8_t frame[KAD__NOISE_MESSAGE_MAX + 1];
  channel c;
  channel_init(&c);
  memset(frame, 0x5a, KAD__NOISE_TEXT_MAX);
  assert_ok(kad__noise_encrypt(&c.suite, &c.send, frame, KAD__NOISE_TEXT_MAX));
  assert_error(KAD_E_NOISE,
               kad__noise_decrypt(&c.suite, &c.receive, frame, sizeof(frame)));
  assert_int_equal(
      KAD__NOISE_TEXT_MAX,
      kad__noise_decrypt(&c.suite, &c.receive, frame, KAD__NOISE_MESSAGE_MAX));
  for (size_t i = 0; i < KAD__NOISE_TEXT_MAX; i++) {
    assert_int_equal(frame[i], 0x5a);
  }
  kad__noise_suite_fini(&c.suite);
}

static void test_memory(void **state) {
  (void)state;
  test_allocator memory;
  kad__noise_suite suite;
  kad__x25519 key;
  kad__noise *n = NULL;
  static const uint8_t secret[32] = {1};
  test_allocator_init(&memory);
  assert_ok(kad__noise_suite_init(&suite));
  assert_ok(kad__x25519_init(&key, secret));
  memory.fail_at = 1;
  assert_error(KAD_E_NO_MEMORY,
               kad__noise_new(&n, &memory.allocator, &suite, &key, secret,
                              (kad_bytes){0}, true));
  assert_ok(kad__noise_new(&n, &memory.allocator, &suite, &key, secret,
                           (kad_bytes){0}, true));
  kad__noise_free(n);
  kad__noise_free(NULL);
  assert_int_equal(memory.live, 0);
  kad__x25519_fini(&key);
  kad__noise_suite_fini(&suite);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_turns),
      cmocka_unit_test(test_low_order_ephemeral),
      cmocka_unit_test(test_low_order_answer),
      cmocka_unit_test(test_lengths),
      cmocka_unit_test(test_room),
      cmocka_unit_test(test_payload_limit),
      cmocka_unit_test(test_every_bit),
      cmocka_unit_test(test_order),
      cmocka_unit_test(test_empty_text),
      cmocka_unit_test(test_counter_ends),
      cmocka_unit_test(test_longest_frame),
      cmocka_unit_test(test_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
