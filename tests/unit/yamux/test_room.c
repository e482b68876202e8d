/* The room that sessions share: what one takes of it, and what it does when
 * there is none. */
#include "testing.h"

#define NEVER UINT32_MAX

static void room(fixture *f, uint32_t streams, uint32_t in, uint32_t out) {
  kad__yamux_set_room(f->y, (kad__yamux_room){streams, in, out});
}

static int syn(fixture *f, uint32_t id, uint32_t len) {
  return feed_data(f, KAD__YAMUX_SYN, id, len);
}

static void expect_refusal(fixture *f, uint32_t id) {
  expect_frame(f, KAD__YAMUX_WINDOW_UPDATE, KAD__YAMUX_RST, id,
               KAD__STREAM_RESOURCE_LIMIT);
}

/* No stream is made for what is refused. */
static void test_streams(void **state) {
  (void)state;
  fixture f;
  fixture_init(&f, false);
  room(&f, 2, NEVER, NEVER);
  assert_ok(syn(&f, 1, 0));
  assert_ok(syn(&f, 3, 0));
  size_t calls = f.memory.live;
  assert_ok(syn(&f, 5, 100));                 /* and its bytes are for nobody */
  assert_int_equal(f.memory.live, calls + 1); /* the answer's */
  assert_int_equal(f.y->stats.streams_refused, 1);
  assert_int_equal(f.y->inbound, 2);
  expect_refusal(&f, 5);
  room(&f, 1, NEVER, NEVER);
  assert_ok(syn(&f, 7, 0));
  assert_ok(syn(&f, 9, 0));
  expect_refusal(&f, 9);
  fixture_fini(&f);
}

/* Who opens and resets before we have looked has used nothing. */
static void test_reset_at_once(void **state) {
  (void)state;
  fixture f;
  fixture_init(&f, false);
  room(&f, 1, NEVER, NEVER);
  for (uint32_t id = 1; id < 99; id += 2) {
    assert_ok(syn(&f, id, 0));
    assert_ok(feed_header(&f, KAD__YAMUX_WINDOW_UPDATE, KAD__YAMUX_RST, id, 0));
  }
  assert_int_equal(f.y->stats.streams_refused, 0);
  assert_ok(syn(&f, 99, 0));
  assert_ok(syn(&f, 101, 0));
  assert_int_equal(f.y->stats.streams_refused, 1);
  fixture_fini(&f);
}

/* What is stored is taken off, also what the buffer has beyond it. */
static void test_bytes(void **state) {
  (void)state;
  fixture f;
  fixture_init(&f, false);
  assert_ok(syn(&f, 1, 0));
  assert_ok(syn(&f, 3, 0));
  kad__yamux_stream *a = expect_event(&f, KAD__YAMUX_OPENED);
  kad__yamux_stream *b = expect_event(&f, KAD__YAMUX_OPENED);
  discard_output(&f);
  room(&f, NEVER, 20000, NEVER);
  assert_ok(feed_data(&f, 0, 1, 15000));
  assert_true(f.y->room.bytes_in <= 5000);
  assert_int_equal(kad__yamux_stream_peek(a).len, 15000);
  assert_ok(feed_data(&f, 0, 3, 6000));
  assert_error(KAD_E_LIMIT, kad__yamux_stream_error(b));
  expect_refusal(&f, 3);
  assert_int_equal(f.y->stats.starved, 1);
  assert_int_equal(f.y->stats.aborted, 1);
  assert_ok(kad__yamux_stream_error(a));
  fixture_fini(&f);
}

/* Our own streams have room of their own, which others' bytes take from. */
static void test_ours(void **state) {
  (void)state;
  fixture f;
  fixture_init(&f, true);
  kad__yamux_stream *ours = open_stream(&f);
  discard_output(&f);
  assert_ok(feed_header(&f, KAD__YAMUX_WINDOW_UPDATE, KAD__YAMUX_SYN, 2, 0));
  kad__yamux_stream *theirs = expect_event(&f, KAD__YAMUX_OPENED);
  room(&f, NEVER, 1000, 9000);
  assert_ok(feed_data(&f, KAD__YAMUX_ACK, 1, 5000));
  assert_int_equal(kad__yamux_stream_peek(ours).len, 5000);
  assert_true(f.y->room.bytes_out <= 4000);
  assert_int_equal(f.y->room.bytes_in, 0);
  assert_ok(feed_data(&f, 0, 2, 1));
  assert_error(KAD_E_LIMIT, kad__yamux_stream_error(theirs));
  assert_ok(kad__yamux_stream_error(ours));
  fixture_fini(&f);
}

/* A buffer that is kept for the next stream goes first. */
static void test_spare(void **state) {
  (void)state;
  fixture f;
  fixture_init(&f, false);
  assert_ok(syn(&f, 1, 20000));
  kad__yamux_stream *s = expect_event(&f, KAD__YAMUX_OPENED);
  kad__yamux_stream_consume(s, 20000);
  assert_true(f.y->spare.cap >= 20000);
  room(&f, NEVER, 1, 1);
  assert_true(f.y->spare.cap >= 20000);
  room(&f, NEVER, 0, 1);
  assert_int_equal(f.y->spare.cap, 0);
  check(&f);
  fixture_fini(&f);
}

/* Windows grow no further than there is room. */
static uint32_t window_after(uint32_t room_in) {
  fixture f;
  fixture_init(&f, false);
  f.y->stats.round_trip = KAD_SECOND;
  f.y->measured_at = f.now;
  assert_ok(syn(&f, 1, 200000));
  kad__yamux_stream *s = expect_event(&f, KAD__YAMUX_OPENED);
  room(&f, NEVER, room_in, NEVER);
  kad__yamux_stream_consume(s, 200000);
  discard_output(&f);
  uint32_t window = s->window;
  fixture_fini(&f);
  return window;
}

static void test_windows(void **state) {
  (void)state;
  uint32_t start = KAD__YAMUX_INITIAL_WINDOW;
  assert_int_equal(window_after(NEVER), 2 * start);
  assert_int_equal(window_after(start), 2 * start);
  assert_int_equal(window_after(start - 1), start);
  assert_int_equal(window_after(0), start);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_streams), cmocka_unit_test(test_reset_at_once),
      cmocka_unit_test(test_bytes),   cmocka_unit_test(test_ours),
      cmocka_unit_test(test_spare),   cmocka_unit_test(test_windows),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
