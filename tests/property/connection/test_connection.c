/* Two connections back to back. However the bytes between them are cut, the
 * result is the same; whatever single bit of the upgrade is flipped, or
 * wherever it is cut off, neither side takes the other for established, and
 * one of them can name the reason. */
#include "ends.h"

#define KEYS_A 11
#define KEYS_B 22
#define FRAMES ((size_t)10)

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

/* The same keys each time, so the same bytes. */
static void restart(fixture *f) {
  assert_ok(test_end_connect(&f->a, true, test_end_id(&f->b), KEYS_A, 0));
  assert_ok(test_end_connect(&f->b, false, NULL, KEYS_B, 0));
}

static bool established(const test_end *e) {
  return e->error == 0 && kad__connection_established(e->c);
}

/* ---- segmentation ------------------------------------------------------ */

/* Opens streams at both ends, writes, and answers with what was read. */
typedef struct talk {
  kad__buffer sent;
  kad__yamux_stream *stream;
} talk;

static void write_some(test_end *e, talk *t, kad_random *random) {
  uint8_t text[3000];
  size_t len = 1 + kad_random_below(random, sizeof(text) - 1);
  kad_random_bytes(random, text, len);
  if (t->stream == NULL) {
    assert_ok(kad__yamux_stream_open(kad__connection_yamux(e->c), &t->stream));
  }
  assert_ok(kad__yamux_stream_write(t->stream, kad__bytes(text, len)));
  assert_ok(kad__buffer_append(&t->sent, kad_allocator_default(),
                               kad__bytes(text, len)));
}

static kad__yamux_stream *opened(test_end *e) {
  kad__yamux_stream *stream = NULL;
  kad__yamux_event event;
  while (kad__yamux_poll(kad__connection_yamux(e->c), &event)) {
    stream = event.type == KAD__YAMUX_OPENED ? event.stream : stream;
  }
  return stream;
}

static void check_talk(talk *t, test_end *reader) {
  kad__yamux_stream *s = opened(reader);
  assert_non_null(s);
  assert_bytes_equal(kad__yamux_stream_peek(s), kad__buffer_bytes(&t->sent));
  kad__buffer_fini(&t->sent, kad_allocator_default());
}

static void talk_in_pieces(fixture *f, kad_random *random) {
  talk from_a = {0};
  talk from_b = {0};
  restart(f);
  test_ends_pump(&f->a, &f->b, random, 0);
  assert_true(established(&f->a));
  assert_true(established(&f->b));
  for (int i = 0; i < 5; i++) {
    write_some(&f->a, &from_a, random);
    write_some(&f->b, &from_b, random);
    if (kad_random_below(random, 2) == 0) {
      test_ends_pump(&f->a, &f->b, random, 0);
    }
  }
  test_ends_pump(&f->a, &f->b, random, 0);
  check_talk(&from_a, &f->b);
  check_talk(&from_b, &f->a);
}

static void test_pieces(void **state) {
  (void)state;
  fixture f;
  kad_random random;
  kad_random_init_u64(&random, test_seed("connection in pieces"));
  begin(&f);
  for (size_t run = test_runs(150); run > 0; run--) {
    talk_in_pieces(&f, &random);
  }
  end(&f);
}

static void feed_by(test_end *e, kad_bytes bytes, size_t piece) {
  while (bytes.len > 0) {
    size_t n = bytes.len < piece ? bytes.len : piece;
    assert_ok(test_end_feed(e, kad__bytes(bytes.data, n), NULL, 0));
    bytes = kad__bytes_skip(bytes, n);
  }
}

/* Appends our next Noise message to the `len` bytes of `wire`. */
static size_t put_message(puppet *p, uint8_t *wire, size_t len,
                          kad_bytes payload) {
  int n = kad__noise_write(p->noise, wire + len + 2, 512, payload);
  assert_ok(n);
  kad__store16(wire + len, (uint16_t)n);
  return len + 2 + (size_t)n;
}

static void pipeline(test_end *b, puppet *p, size_t piece) {
  uint8_t wire[1024] = MULTISTREAM_HEADER NOISE_NAME;
  uint8_t room[512];
  kad__buffer answer = {0};
  kad_bytes payload;
  size_t len = put_message(p, wire, 28, (kad_bytes){0});
  feed_by(b, kad__bytes(wire, len), piece);

  test_end_drain(b, &answer, 0);
  kad_bytes message = kad__bytes_skip(kad__buffer_bytes(&answer), 28 + 2);
  memcpy(room, message.data, message.len);
  assert_ok(kad__noise_read(p->noise, room, message.len, &payload));
  kad__buffer_fini(&answer, kad_allocator_default());

  len = put_message(p, wire, 0, puppet_payload(p, room, NULL, 0));
  kad__noise_split(p->noise, &p->send, &p->receive);
  len += puppet_frame(
      p, wire + len,
      LITERAL(MULTISTREAM_HEADER YAMUX_NAME "\0\0\0\1\0\0\0\1\0\0\0\3abc"));
  feed_by(b, kad__bytes(wire, len), piece);
}

/* A peer that sends all it can without waiting, in pieces of every length:
 * proposal and first Noise message, then third message, the choice of the muxer
 * and frames of yamux. */
static void test_pipelined(void **state) {
  (void)state;
  for (size_t piece = 1; piece < 300; piece++) {
    test_end b;
    puppet p;
    test_end_init(&b, 2);
    puppet_init(&p, 3, true);
    assert_ok(test_end_connect(&b, false, NULL, 1, 0));
    pipeline(&b, &p, piece);
    assert_bytes_equal(kad__yamux_stream_peek(opened(&b)), LITERAL("abc"));
    puppet_fini(&p);
    test_end_fini(&b);
  }
}

/* ---- damage ------------------------------------------------------------ */

/* What changes the bytes of one direction on their way: flips a bit, or ends
 * the channel after so many bytes. */
typedef struct damage {
  bool to_listener;
  size_t flip; /* a bit; SIZE_MAX: none */
  size_t cut;  /* a byte; SIZE_MAX: none */
  size_t passed;
} damage;

static bool carry_damaged(test_end *from, test_end *to, damage *d) {
  kad__buffer wire = {0};
  test_end_drain(from, &wire, 0);
  uint8_t *bytes = wire.data == NULL ? NULL : wire.data + wire.begin;
  size_t len = kad__buffer_len(&wire);
  size_t given = len;
  if (d != NULL) {
    size_t at = d->flip / 8;
    if (d->flip != SIZE_MAX && at >= d->passed && at - d->passed < len) {
      bytes[at - d->passed] ^= (uint8_t)(1u << d->flip % 8);
    }
    size_t left = d->cut <= d->passed ? 0 : d->cut - d->passed;
    given = left < len ? left : len;
    d->passed += len;
  }
  test_end_feed(to, kad__bytes(bytes, given), NULL, 0);
  kad__buffer_fini(&wire, kad_allocator_default());
  return len != 0;
}

static void pump_damaged(fixture *f, damage *d) {
  bool moved = true;
  for (int round = 0; moved && round < 20; round++) {
    bool there = carry_damaged(&f->a, &f->b, d->to_listener ? d : NULL);
    bool back = carry_damaged(&f->b, &f->a, d->to_listener ? NULL : d);
    moved = there || back;
  }
}

/* Bytes that each side sends until the other is established. */
static void measure(fixture *f, size_t lens[2]) {
  lens[0] = 0;
  lens[1] = 0;
  restart(f);
  while (!established(&f->a) || !established(&f->b)) {
    test_end *ends[] = {&f->a, &f->b};
    for (int i = 0; i < 2; i++) {
      kad__buffer wire = {0};
      /* What an established side sends next is no longer of the upgrade. */
      bool counts = !established(ends[1 - i]);
      test_end_drain(ends[i], &wire, 0);
      lens[i] += counts ? kad__buffer_len(&wire) : 0;
      test_end_feed(ends[1 - i], kad__buffer_bytes(&wire), NULL, 0);
      kad__buffer_fini(&wire, kad_allocator_default());
    }
  }
}

/* Fails when the damage went unnoticed. At the deadline at the latest there is
 * an error with a name. */
static void check_noticed(fixture *f) {
  assert_false(established(&f->a) && established(&f->b));
  test_end *ends[] = {&f->a, &f->b};
  for (int i = 0; i < 2; i++) {
    test_end *e = ends[i];
    if (!established(e)) {
      int result = kad__connection_tick(e->c, TEST_TIMEOUT);
      assert_true(result == KAD_E_MULTISTREAM || result == KAD_E_NO_PROTOCOL ||
                  result == KAD_E_NOISE || result == KAD_E_DECRYPT ||
                  result == KAD_E_TIMEOUT || result == KAD_E_TRUNCATED ||
                  result == KAD_E_CLOSED);
    }
  }
}

static void test_every_bit(void **state) {
  (void)state;
  fixture f;
  size_t lens[2];
  begin(&f);
  measure(&f, lens);
  /* Header, proposal, two frames; header, echo, one frame. */
  assert_int_equal(lens[0], 28 + 34 + 2 + 48 + 120 + 16);
  assert_int_equal(lens[1], 28 + 2 + 32 + 48 + 120 + 16);
  for (int i = 0; i < 2; i++) {
    for (size_t bit = 0; bit < 8 * lens[i]; bit++) {
      damage d = {.to_listener = i == 0, .flip = bit, .cut = SIZE_MAX};
      restart(&f);
      pump_damaged(&f, &d);
      check_noticed(&f);
    }
  }
  end(&f);
}

static void test_every_prefix(void **state) {
  (void)state;
  fixture f;
  size_t lens[2];
  begin(&f);
  measure(&f, lens);
  for (int i = 0; i < 2; i++) {
    for (size_t cut = 0; cut < lens[i]; cut++) {
      damage d = {.to_listener = i == 0, .flip = SIZE_MAX, .cut = cut};
      restart(&f);
      pump_damaged(&f, &d);
      test_end *deaf = i == 0 ? &f.b : &f.a;
      assert_false(established(deaf));
      int result = kad__connection_input_end(deaf->c);
      assert_true(result == KAD_E_TRUNCATED || result == KAD_E_CLOSED);
      check_noticed(&f);
    }
  }
  end(&f);
}

/* ---- frames ------------------------------------------------------------ */

typedef enum mishap { LEFT_OUT, DOUBLED, SWAPPED, CHANGED, MISHAPS } mishap;

/* The order in which frames arrive when that befalls frame `bad`; returns their
 * number. */
static size_t arrange(size_t order[FRAMES + 1], size_t bad, mishap what) {
  size_t count = 0;
  for (size_t i = 0; i < FRAMES; i++) {
    if (i == bad && what == SWAPPED) {
      order[count++] = i + 1;
      order[count++] = i++;
    } else if (i != bad || what != LEFT_OUT) {
      order[count++] = i;
    }
    if (i == bad && what == DOUBLED) {
      order[count++] = i;
    }
  }
  return count;
}

static void flip_bit(kad__buffer *frame, kad_random *random) {
  /* Not in the length: a frame that is longer only makes the peer wait. */
  size_t bits = 8 * (kad__buffer_len(frame) - 2);
  size_t bit = 8 * 2 + kad_random_below(random, bits);
  frame->data[frame->begin + bit / 8] ^= (uint8_t)(1u << bit % 8);
}

static void make_frames(test_end *from, kad__buffer frames[FRAMES]) {
  kad__yamux_stream *s = NULL;
  assert_ok(kad__yamux_stream_open(kad__connection_yamux(from->c), &s));
  for (size_t i = 0; i < FRAMES; i++) {
    frames[i] = (kad__buffer){0};
    assert_ok(kad__yamux_stream_write(s, LITERAL("0123456789")));
    test_end_drain(from, &frames[i], 0);
  }
}

/* Sends ten frames, with a mishap to one of them: those before it arrive, it
 * and all that follow do not. */
static void mishandle_frames(fixture *f, kad_random *random) {
  kad__buffer frames[FRAMES];
  size_t order[FRAMES + 1];
  restart(f);
  test_ends_pump(&f->a, &f->b, NULL, 0);
  make_frames(&f->a, frames);
  size_t bad = kad_random_below(random, FRAMES - 1);
  mishap what = (mishap)kad_random_below(random, MISHAPS);
  size_t count = arrange(order, bad, what);
  if (what == CHANGED) {
    flip_bit(&frames[bad], random);
  }
  for (size_t i = 0; i < count; i++) {
    test_end_feed(&f->b, kad__buffer_bytes(&frames[order[i]]), random, 0);
  }
  assert_error(KAD_E_DECRYPT, f->b.error);
  size_t arrived = what == DOUBLED ? bad + 1 : bad;
  kad__yamux_stream *read = opened(&f->b);
  assert_int_equal(read == NULL ? 0 : kad__yamux_stream_peek(read).len,
                   10 * arrived);
  for (size_t i = 0; i < FRAMES; i++) {
    kad__buffer_fini(&frames[i], kad_allocator_default());
  }
}

static void test_frames(void **state) {
  (void)state;
  fixture f;
  kad_random random;
  kad_random_init_u64(&random, test_seed("connection frames"));
  begin(&f);
  for (size_t run = test_runs(200); run > 0; run--) {
    mishandle_frames(&f, &random);
  }
  end(&f);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_pieces),    cmocka_unit_test(test_pipelined),
      cmocka_unit_test(test_every_bit), cmocka_unit_test(test_every_prefix),
      cmocka_unit_test(test_frames),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
