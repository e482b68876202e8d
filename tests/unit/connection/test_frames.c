/* What an established connection does with the bytes of its peer. */
#include "connection/connection_internal.h"
#include "ends.h"

static void test_echo(void **state) {
  (void)state;
  enum { LEN = 200000 };
  static uint8_t text[LEN];
  test_ends f;
  test_ends_init(&f);
  test_ends_connect(&f.a, &f.b, 0);
  for (size_t i = 0; i < LEN; i++) {
    text[i] = (uint8_t)(i * i >> 3);
  }
  kad__yamux_stream *ours = NULL;
  assert_ok(kad__yamux_stream_open(kad__connection_yamux(f.a.c), &ours));
  assert_ok(kad__yamux_stream_write(ours, kad__bytes(text, LEN)));
  test_ends_pump(&f.a, &f.b, NULL, 0);
  kad__yamux_stream *theirs = test_end_opened(&f.b);
  assert_bytes_equal(kad__yamux_stream_peek(theirs), kad__bytes(text, LEN));
  assert_ok(kad__yamux_stream_write(theirs, kad__yamux_stream_peek(theirs)));
  kad__yamux_stream_consume(theirs, LEN);
  kad__yamux_stream_close_write(theirs);
  test_ends_pump(&f.a, &f.b, NULL, 0);
  assert_bytes_equal(kad__yamux_stream_peek(ours), kad__bytes(text, LEN));
  assert_true(kad__yamux_stream_ended(ours));
  assert_ok(f.a.error);
  assert_ok(f.b.error);
  test_ends_fini(&f);
}

/* The smallest room for output that a caller may give: it is kept to, and
 * several frames leave in one call when there is room for them. */
static void test_output_room(void **state) {
  (void)state;
  enum { SMALL = 16384, LEN = 150000, LARGE = 200000 };
  static uint8_t text[LEN];
  static uint8_t wire[LARGE + 1];
  test_ends f;
  test_ends_init(&f);
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
    assert_int_equal(kad__yamux_stream_peek(test_end_opened(&f.b)).len, LEN);
    assert_true(large ? calls == 1 : calls <= LEN / (SMALL - 4200) + 1);
  }
  test_ends_fini(&f);
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
static void check_dead(test_ends *f, kad_bytes bad, kad_bytes good,
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
  test_ends f;
  test_ends_init(&f);
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
  test_ends_fini(&f);
}

static void test_replayed_frame(void **state) {
  (void)state;
  uint8_t frames[2][128];
  size_t len = 0;
  test_ends f;
  test_ends_init(&f);
  test_ends_connect(&f.a, &f.b, 0);
  make_frames(&f.a, frames, &len);
  assert_ok(test_end_feed(&f.b, kad__bytes(frames[0], len), NULL, 0));
  test_end_opened(&f.b);
  check_dead(&f, kad__bytes(frames[0], len), kad__bytes(frames[1], len),
             KAD_E_DECRYPT);
  test_ends_fini(&f);
}

/* The end of the counter, which no connection lives to see. */
static void test_counter_ends(void **state) {
  (void)state;
  static uint8_t wire[65536];
  test_ends f;
  test_ends_init(&f);
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
  test_ends_fini(&f);
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
  assert_ok(puppet_handshake(&p, &b, puppet_honest(&p, room), NULL, NULL, 0));
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
  assert_ok(puppet_handshake(&p, &b, puppet_honest(&p, room), NULL, NULL, 0));
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
  assert_ok(puppet_handshake(&p, &b, puppet_honest(&p, room), NULL, NULL, 0));
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
  assert_int_equal(kad__yamux_stream_peek(test_end_opened(&b)).len,
                   sizeof(text) - 12);
  puppet_fini(&p);
  test_end_fini(&b);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_echo),
      cmocka_unit_test(test_output_room),
      cmocka_unit_test(test_tampered_frames),
      cmocka_unit_test(test_replayed_frame),
      cmocka_unit_test(test_counter_ends),
      cmocka_unit_test(test_yamux_error),
      cmocka_unit_test(test_empty_frames),
      cmocka_unit_test(test_longest_frame_in_pieces),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
