/* One session and a peer made of bytes. Every step checks the session's
 * invariants; the end checks that no memory is left. */
#ifndef KAD_TESTS_YAMUX_TESTING_H
#define KAD_TESTS_YAMUX_TESTING_H

#include "connection/yamux_internal.h"
#include "support.h"

#define START (1000 * KAD_SECOND)

typedef struct fixture {
  test_allocator memory;
  kad__yamux_config config;
  kad__yamux *y;
  kad_time now;
} fixture;

static inline void fixture_init(fixture *f, bool client) {
  *f = (fixture){.now = START};
  test_allocator_init(&f->memory);
  kad__yamux_config_default(&f->config);
  assert_ok(
      kad__yamux_new(&f->y, &f->memory.allocator, &f->config, client, f->now));
}

/* As above with an altered configuration; the test is the server. */
static inline void fixture_init_with(fixture *f,
                                     const kad__yamux_config *config) {
  *f = (fixture){.now = START, .config = *config};
  test_allocator_init(&f->memory);
  assert_ok(kad__yamux_new(&f->y, &f->memory.allocator, config, false, f->now));
}

static inline void fixture_fini(fixture *f) {
  kad__yamux_free(f->y);
  assert_int_equal(f->memory.live, 0);
}

static inline void check(fixture *f) {
  int line = kad__yamux_check(f->y);
  if (line != 0) {
    fail_msg("invariant of yamux_check.c:%d", line);
  }
}

static inline int feed_bytes(fixture *f, kad_bytes bytes) {
  int result = kad__yamux_input(f->y, bytes, f->now);
  check(f);
  return result;
}

static inline int feed(fixture *f, const char *hex) {
  return feed_bytes(f, test_hex(hex));
}

static inline int feed_header(fixture *f, uint8_t type, uint16_t flags,
                              uint32_t id, uint32_t length) {
  uint8_t header[KAD__YAMUX_HEADER_LEN];
  kad__yamux_frame_encode(header, (kad__yamux_type)type, flags, id, length);
  return feed_bytes(f, kad__bytes(header, sizeof(header)));
}

/* `len` times the letter 'a'. */
static inline int feed_body(fixture *f, size_t len) {
  uint8_t *body = malloc(len);
  assert_non_null(body);
  memset(body, 'a', len);
  int result = feed_bytes(f, kad__bytes(body, len));
  free(body);
  return result;
}

static inline int feed_data(fixture *f, uint16_t flags, uint32_t id,
                            uint32_t len) {
  int result = feed_header(f, KAD__YAMUX_DATA, flags, id, len);
  return result < 0 || len == 0 ? result : feed_body(f, len);
}

static inline size_t pull(fixture *f, uint8_t *out, size_t cap) {
  bool promised = kad__yamux_has_output(f->y);
  size_t len = kad__yamux_output(f->y, out, cap, f->now);
  check(f);
  assert_int_equal(promised, len != 0);
  return len;
}

/* The next frame's header; its body is dropped. False: there is none. */
static inline bool next_frame(fixture *f, kad__yamux_frame *out) {
  static uint8_t frame[KAD__YAMUX_HEADER_LEN + 65536];
  /* Room for a frame without a body; failing that, for exactly the next one
   * with a body, so that nothing can follow it. */
  size_t len = kad__yamux_output(f->y, frame, KAD__YAMUX_HEADER_LEN, f->now);
  if (len == 0 && kad__yamux_has_output(f->y)) {
    uint32_t body = f->y->config.frame_max;
    kad__yamux_stream *s =
        KAD__CONTAINER(f->y->ready.next, kad__yamux_stream, sending);
    body = s->sendable < body ? s->sendable : body;
    len = pull(f, frame, KAD__YAMUX_HEADER_LEN + body);
  }
  check(f);
  if (len == 0) {
    return false;
  }
  *out = kad__yamux_frame_decode(frame);
  assert_int_equal(out->version, 0);
  return true;
}

static inline void expect_frame(fixture *f, uint8_t type, uint16_t flags,
                                uint32_t id, uint32_t length) {
  kad__yamux_frame frame;
  assert_true(next_frame(f, &frame));
  assert_int_equal(frame.type, type);
  assert_int_equal(frame.flags, flags);
  assert_int_equal(frame.id, id);
  assert_int_equal(frame.length, length);
}

static inline void expect_silence(fixture *f) {
  uint8_t out[4096];
  assert_int_equal(pull(f, out, sizeof(out)), 0);
}

/* Everything that leaves, as one run of bytes. */
static inline void expect_output(fixture *f, const char *hex) {
  static uint8_t out[1 << 20];
  size_t len = 0, got = 0;
  while ((got = pull(f, out + len, sizeof(out) - len)) != 0) {
    len += got;
  }
  assert_bytes_equal(kad__bytes(out, len), test_hex(hex));
}

static inline void discard_output(fixture *f) {
  static uint8_t out[65536];
  while (pull(f, out, sizeof(out)) != 0) {
  }
}

static inline kad__yamux_stream *expect_event(fixture *f,
                                              kad__yamux_event_type type) {
  kad__yamux_event event;
  assert_true(kad__yamux_poll(f->y, &event));
  assert_int_equal(event.type, type);
  check(f);
  return event.stream;
}

static inline void expect_no_event(fixture *f) {
  kad__yamux_event event;
  assert_false(kad__yamux_poll(f->y, &event));
}

static inline kad__yamux_stream *open_stream(fixture *f) {
  kad__yamux_stream *s = NULL;
  assert_ok(kad__yamux_stream_open(f->y, &s));
  check(f);
  return s;
}

/* The peer opens stream `id`, and the owner has seen it. */
static inline kad__yamux_stream *accept_stream(fixture *f, uint32_t id) {
  assert_ok(feed_header(f, KAD__YAMUX_WINDOW_UPDATE, KAD__YAMUX_SYN, id, 0));
  return expect_event(f, KAD__YAMUX_OPENED);
}

static inline void write_bytes(kad__yamux_stream *s, size_t len) {
  uint8_t *bytes = malloc(len);
  assert_non_null(bytes);
  memset(bytes, 'b', len);
  assert_ok(kad__yamux_stream_write(s, kad__bytes(bytes, len)));
  free(bytes);
}

/* The session is dead of `error`, and said so to the peer with `code`. */
static inline void expect_dead(fixture *f, int error, uint32_t code) {
  assert_error(error, feed(f, "000200010000000000000000"));
  expect_frame(f, KAD__YAMUX_GO_AWAY, 0, 0, code);
  expect_silence(f);
  kad__yamux_stream *s = NULL;
  assert_error(KAD_E_CLOSED, kad__yamux_stream_open(f->y, &s));
  assert_true(kad__yamux_deadline(f->y) == KAD_TIME_NEVER);
}

#endif
