#include "ends.h"

#include "wire/noise_payload.h"

#define ROUNDS_MAX 1000
#define OUTPUT_CAP 65536

/* ---- a real end -------------------------------------------------------- */

void test_end_init(test_end *e, uint64_t seed) {
  test_end_init_type(e, KAD_KEY_ED25519, seed);
}

void test_end_init_type(test_end *e, kad_key_type type, uint64_t seed) {
  *e = (test_end){0};
  test_allocator_init(&e->memory);
  kad_random_init_u64(&e->random, seed);
  assert_ok(kad_key_pair_generate_type(&e->pair, kad_allocator_default(), type,
                                       &e->random));
  assert_ok(kad__security_new(&e->security, kad_allocator_default(), e->pair,
                              &e->random));
}

void test_end_fini(test_end *e) {
  kad__connection_free(e->c);
  kad__security_free(e->security);
  kad_key_pair_free(e->pair);
  assert_int_equal(e->memory.live, 0);
}

const kad_peer_id *test_end_id(const test_end *e) {
  return kad_key_pair_peer_id(e->pair);
}

int test_end_connect(test_end *e, bool dialer, const kad_peer_id *expected,
                     uint64_t seed, kad_time now) {
  kad__connection_free(e->c);
  e->c = NULL;
  e->error = 0;
  kad_random_init_u64(&e->random, seed);
  kad__connection_config config = {
      .allocator = &e->memory.allocator,
      .security = e->security,
      .random = &e->random,
      .upgrade_timeout = TEST_TIMEOUT,
      .network_key = e->network_key,
  };
  memcpy(config.protocols, e->protocols, sizeof(config.protocols));
  kad__yamux_config_default(&config.yamux);
  return kad__connection_new(&e->c, &config, dialer, expected, now);
}

static size_t cut(kad_random *cuts, size_t len) {
  if (cuts == NULL) {
    return len;
  }
  size_t bound = kad_random_below(cuts, 4) == 0 ? len : 40;
  size_t n = 1 + kad_random_below(cuts, bound);
  return n < len ? n : len;
}

int test_end_feed(test_end *e, kad_bytes bytes, kad_random *cuts,
                  kad_time now) {
  int result = 0;
  while (bytes.len > 0) {
    size_t n = cut(cuts, bytes.len);
    /* Memory of just that size, so that reading past it shows. */
    uint8_t *copy = malloc(n);
    assert_non_null(copy);
    memcpy(copy, bytes.data, n);
    result = kad__connection_input(e->c, copy, n, now);
    free(copy);
    if (e->error == 0) {
      e->error = result;
    }
    bytes = kad__bytes_skip(bytes, n);
  }
  return result;
}

void test_end_drain(test_end *e, kad__buffer *out, kad_time now) {
  for (;;) {
    uint8_t *tail = NULL;
    bool expected = kad__connection_has_output(e->c);
    assert_ok(
        kad__buffer_reserve(out, kad_allocator_default(), &tail, OUTPUT_CAP));
    size_t n = kad__connection_output(e->c, tail, OUTPUT_CAP, now);
    assert_true(n <= OUTPUT_CAP);
    assert_true(expected || n == 0);
    if (n == 0) {
      break;
    }
    kad__buffer_commit(out, n);
  }
}

static bool carry(test_end *from, test_end *to, kad_random *cuts,
                  kad_time now) {
  kad__buffer wire = {0};
  test_end_drain(from, &wire, now);
  kad_bytes bytes = kad__buffer_bytes(&wire);
  bool some = bytes.len != 0;
  test_end_feed(to, bytes, cuts, now);
  kad__buffer_fini(&wire, kad_allocator_default());
  return some;
}

void test_ends_pump(test_end *a, test_end *b, kad_random *cuts, kad_time now) {
  for (int round = 0; round < ROUNDS_MAX; round++) {
    bool there = carry(a, b, cuts, now);
    bool back = carry(b, a, cuts, now);
    if (!there && !back) {
      return;
    }
  }
  fail_msg("the ends never fall silent");
}

void test_ends_connect(test_end *a, test_end *b, kad_time now) {
  assert_ok(test_end_connect(a, true, test_end_id(b), 101, now));
  assert_ok(test_end_connect(b, false, NULL, 102, now));
  test_ends_pump(a, b, NULL, now);
  assert_ok(a->error);
  assert_ok(b->error);
  assert_true(kad__connection_established(a->c));
  assert_true(kad__connection_established(b->c));
}

/* ---- a puppet ---------------------------------------------------------- */

void puppet_init(puppet *p, uint64_t seed, bool dialer) {
  *p = (puppet){.dialer = dialer};
  kad_random random;
  uint8_t secret[32];
  kad_random_init_u64(&random, seed);
  assert_ok(kad__noise_suite_init(&p->suite));
  kad_random_bytes(&random, secret, sizeof(secret));
  assert_ok(kad__x25519_init(&p->key, secret));
  assert_ok(kad_key_pair_generate(&p->pair, kad_allocator_default(), &random));
  kad_random_bytes(&random, secret, sizeof(secret));
  assert_ok(kad__noise_new(&p->noise, kad_allocator_default(), &p->suite,
                           &p->key, secret, (kad_bytes){0}, dialer));
}

void puppet_fini(puppet *p) {
  kad__buffer_fini(&p->unheard, kad_allocator_default());
  kad__noise_free(p->noise);
  kad__x25519_fini(&p->key);
  kad_key_pair_free(p->pair);
  kad__noise_suite_fini(&p->suite);
}

kad_bytes puppet_payload(const puppet *p, uint8_t *out,
                         const char *const *muxers, size_t count) {
  uint8_t message[24 + 32];
  uint8_t signature[KAD_SIGNATURE_LEN];
  memcpy(message, "noise-libp2p-static-key:", 24);
  memcpy(message + 24, p->key.public_key, 32);
  assert_ok(kad_key_pair_sign(p->pair, signature,
                              kad__bytes(message, sizeof(message))));
  kad__noise_payload payload = {
      .identity_key = kad_public_key_bytes(kad_key_pair_public(p->pair)),
      .identity_signature = kad__bytes(signature, sizeof(signature)),
      .muxer_count = count,
  };
  for (size_t i = 0; i < count; i++) {
    payload.muxers[i] = kad__bytes_of(muxers[i]);
  }
  int len = kad__noise_payload_encode(out, 512, &payload);
  assert_ok(len);
  return kad__bytes(out, (size_t)len);
}

/* Feeds our next Noise message. */
static int puppet_write(puppet *p, test_end *e, kad_bytes payload,
                        kad_time now) {
  uint8_t message[2 + KAD__NOISE_HANDSHAKE_MAX];
  int len =
      kad__noise_write(p->noise, message + 2, sizeof(message) - 2, payload);
  assert_ok(len);
  kad__store16(message, (uint16_t)len);
  return test_end_feed(e, kad__bytes(message, 2 + (size_t)len), NULL, now);
}

/* Takes `skip` from the front of what `e` sends, and then a Noise message. */
static void puppet_read(puppet *p, test_end *e, kad_bytes skip,
                        kad_bytes *payload, uint8_t *room, kad_time now) {
  kad__buffer wire = {0};
  test_end_drain(e, &wire, now);
  kad_bytes bytes = kad__buffer_bytes(&wire);
  assert_true(kad__bytes_start(bytes, skip));
  bytes = kad__bytes_skip(bytes, skip.len);
  assert_true(bytes.len >= 2);
  size_t len = kad__load16(bytes.data);
  assert_true(bytes.len >= 2 + len && len <= 512);
  memcpy(room, bytes.data + 2, len);
  assert_ok(kad__noise_read(p->noise, room, len, payload));
  assert_ok(kad__buffer_append(&p->unheard, kad_allocator_default(),
                               kad__bytes_skip(bytes, 2 + len)));
  kad__buffer_fini(&wire, kad_allocator_default());
}

static int handshake_as_dialer(puppet *p, test_end *e, kad_bytes payload,
                               kad_bytes *theirs, uint8_t *room, kad_time now) {
  assert_ok(
      test_end_feed(e, LITERAL(MULTISTREAM_HEADER NOISE_NAME), NULL, now));
  assert_ok(puppet_write(p, e, (kad_bytes){0}, now));
  puppet_read(p, e, LITERAL(MULTISTREAM_HEADER NOISE_NAME), theirs, room, now);
  return puppet_write(p, e, payload, now);
}

static int handshake_as_listener(puppet *p, test_end *e, kad_bytes payload,
                                 kad_bytes *theirs, uint8_t *room,
                                 kad_time now) {
  puppet_read(p, e, LITERAL(MULTISTREAM_HEADER NOISE_NAME), theirs, room, now);
  assert_ok(
      test_end_feed(e, LITERAL(MULTISTREAM_HEADER NOISE_NAME), NULL, now));
  int result = puppet_write(p, e, payload, now);
  if (result < 0) {
    return result;
  }
  puppet_read(p, e, (kad_bytes){0}, theirs, room, now);
  return result;
}

int puppet_handshake(puppet *p, test_end *e, kad_bytes payload,
                     kad_bytes *theirs, uint8_t *room, kad_time now) {
  uint8_t unused[512];
  kad_bytes ignored;
  theirs = theirs == NULL ? &ignored : theirs;
  room = room == NULL ? unused : room;
  int result = p->dialer
                   ? handshake_as_dialer(p, e, payload, theirs, room, now)
                   : handshake_as_listener(p, e, payload, theirs, room, now);
  if (result >= 0) {
    kad__noise_split(p->noise, &p->send, &p->receive);
  }
  return result;
}

size_t puppet_frame(puppet *p, uint8_t *out, kad_bytes text) {
  if (text.len != 0) {
    memcpy(out + 2, text.data, text.len);
  }
  assert_ok(kad__noise_encrypt(&p->suite, &p->send, out + 2, text.len));
  kad__store16(out, (uint16_t)(text.len + KAD__AEAD_TAG_LEN));
  return 2 + text.len + KAD__AEAD_TAG_LEN;
}

int puppet_say(puppet *p, test_end *e, kad_bytes text, kad_time now) {
  uint8_t *frame = malloc(2 + text.len + KAD__AEAD_TAG_LEN);
  assert_non_null(frame);
  size_t len = puppet_frame(p, frame, text);
  int result = test_end_feed(e, kad__bytes(frame, len), NULL, now);
  free(frame);
  return result;
}

void puppet_hear(puppet *p, test_end *e, kad__buffer *out, kad_time now) {
  test_end_drain(e, &p->unheard, now);
  uint8_t *at = p->unheard.data + p->unheard.begin;
  size_t left = kad__buffer_len(&p->unheard);
  while (left > 0) {
    assert_true(left >= 2);
    size_t len = kad__load16(at);
    assert_true(left >= 2 + len);
    int text = kad__noise_decrypt(&p->suite, &p->receive, at + 2, len);
    assert_ok(text);
    assert_ok(kad__buffer_append(out, kad_allocator_default(),
                                 kad__bytes(at + 2, (size_t)text)));
    at += 2 + len;
    left -= 2 + len;
  }
  kad__buffer_fini(&p->unheard, kad_allocator_default());
}

void test_ends_init(test_ends *f) {
  test_end_init(&f->a, 1);
  test_end_init(&f->b, 2);
}

void test_ends_fini(test_ends *f) {
  test_end_fini(&f->a);
  test_end_fini(&f->b);
}

kad__yamux_stream *test_end_opened(test_end *e) {
  kad__yamux_stream *stream = NULL;
  kad__yamux_event event;
  while (kad__yamux_poll(kad__connection_yamux(e->c), &event)) {
    stream = event.type == KAD__YAMUX_OPENED ? event.stream : stream;
  }
  assert_non_null(stream);
  return stream;
}

static const char *const yamux_only[] = {"/yamux/1.0.0"};

kad_bytes puppet_honest(const puppet *p, uint8_t *out) {
  return puppet_payload(p, out, yamux_only, 1);
}
