/* The life of a stream: how it opens, ends, dies and is given back, with the
 * exact frames. */
#include "testing.h"

static void test_open_with_data(void **state) {
  (void)state;
  fixture f;
  fixture_init(&f, true);
  kad__yamux_stream *s = open_stream(&f);
  assert_int_equal(kad__yamux_stream_id(s), 1);
  assert_ok(kad__yamux_stream_write(s, kad__bytes_of("hi")));
  kad__yamux_stream_close_write(s);
  expect_output(&f,
                "000000010000000100000002"
                "6869"
                "000100040000000100000000");
  expect_no_event(&f);
  fixture_fini(&f);
}

static void test_open_without_data(void **state) {
  (void)state;
  fixture f;
  fixture_init(&f, false);
  kad__yamux_stream *s = open_stream(&f);
  expect_output(&f, "000100010000000200000000");
  assert_ok(kad__yamux_stream_write(s, kad__bytes_of("hi")));
  expect_output(&f,
                "000000000000000200000002"
                "6869");
  assert_ptr_equal(expect_event(&f, KAD__YAMUX_WRITABLE), s);
  kad__yamux_stream_close_write(s);
  kad__yamux_stream_close_write(s);
  expect_output(&f, "000100040000000200000000");
  assert_error(KAD_E_STATE, kad__yamux_stream_write(s, kad__bytes_of("late")));
  assert_int_equal(kad__yamux_stream_id(open_stream(&f)), 4);
  fixture_fini(&f);
}

static void test_open_and_end_at_once(void **state) {
  (void)state;
  fixture f;
  fixture_init(&f, true);
  kad__yamux_stream_close_write(open_stream(&f));
  expect_output(&f, "000100050000000100000000");
  fixture_fini(&f);
}

static void test_accept_and_answer(void **state) {
  (void)state;
  fixture f;
  fixture_init(&f, false);
  assert_ok(feed(&f,
                 "000000050000000100000003"
                 "616263"));
  expect_silence(&f); /* nobody has accepted it */
  kad__yamux_stream *s = expect_event(&f, KAD__YAMUX_OPENED);
  assert_ptr_equal(expect_event(&f, KAD__YAMUX_READABLE), s);
  expect_no_event(&f);
  assert_bytes_equal(kad__yamux_stream_peek(s), kad__bytes_of("abc"));
  assert_true(kad__yamux_stream_ended(s));
  assert_ok(kad__yamux_stream_write(s, kad__bytes_of("ok")));
  kad__yamux_stream_release(s);
  expect_output(&f,
                "000000020000000100000002"
                "6f6b"
                "000100040000000100000000");
  assert_int_equal(f.y->inbound, 0);
  fixture_fini(&f);
}

static void test_accept_without_answer(void **state) {
  (void)state;
  fixture f;
  fixture_init(&f, false);
  kad__yamux_stream *s = accept_stream(&f, 1);
  expect_output(&f, "000100020000000100000000");
  assert_ok(kad__yamux_stream_write(s, kad__bytes_of("x")));
  expect_output(&f,
                "000000000000000100000001"
                "78");
  fixture_fini(&f);
}

/* Data before FIN in one frame: the end is seen after the bytes, and once. */
static void test_end_follows_data(void **state) {
  (void)state;
  fixture f;
  fixture_init(&f, false);
  kad__yamux_stream *s = accept_stream(&f, 1);
  assert_ok(feed(&f,
                 "000000040000000100000002"
                 "61"));
  expect_event(&f, KAD__YAMUX_READABLE);
  assert_false(kad__yamux_stream_ended(s));
  assert_ok(feed(&f, "62"));
  expect_event(&f, KAD__YAMUX_READABLE);
  assert_true(kad__yamux_stream_ended(s));
  assert_bytes_equal(kad__yamux_stream_peek(s), kad__bytes_of("ab"));
  kad__yamux_stream_consume(s, 2);
  assert_int_equal(kad__yamux_stream_peek(s).len, 0);
  assert_ok(feed(&f, "000100040000000100000000")); /* FIN again */
  expect_no_event(&f);
  fixture_fini(&f);
}

/* js-libp2p and go-libp2p end a side with a window update. */
static void test_end_on_window_update(void **state) {
  (void)state;
  fixture f;
  fixture_init(&f, false);
  kad__yamux_stream *s = accept_stream(&f, 1);
  assert_ok(feed(&f, "000100040000000100000007"));
  expect_event(&f, KAD__YAMUX_READABLE);
  assert_true(kad__yamux_stream_ended(s));
  assert_int_equal(s->send_window, KAD__YAMUX_INITIAL_WINDOW + 7);
  fixture_fini(&f);
}

static void test_events_are_merged(void **state) {
  (void)state;
  fixture f;
  fixture_init(&f, true);
  kad__yamux_stream *s = open_stream(&f);
  kad__yamux_stream *t = open_stream(&f);
  assert_ok(kad__yamux_stream_write(s, kad__bytes_of("x")));
  discard_output(&f);
  assert_ok(feed_data(&f, KAD__YAMUX_ACK, 1, 10));
  assert_ok(feed_data(&f, KAD__YAMUX_ACK, 3, 10));
  assert_ok(feed_data(&f, 0, 1, 10));
  assert_ptr_equal(expect_event(&f, KAD__YAMUX_READABLE), s);
  assert_ptr_equal(expect_event(&f, KAD__YAMUX_WRITABLE), s);
  assert_ptr_equal(expect_event(&f, KAD__YAMUX_READABLE), t);
  expect_no_event(&f);
  assert_int_equal(kad__yamux_stream_peek(s).len, 20);
  fixture_fini(&f);
}

static void test_reserve_and_commit(void **state) {
  (void)state;
  fixture f;
  fixture_init(&f, true);
  kad__yamux_stream *s = open_stream(&f);
  uint8_t *space = NULL;
  assert_ok(kad__yamux_stream_reserve(s, &space, 100));
  memcpy(space, "abc", 3);
  kad__yamux_stream_commit(s, 3);
  assert_int_equal(kad__yamux_stream_unsent(s), 3);
  expect_output(&f,
                "000000010000000100000003"
                "616263");
  assert_int_equal(kad__yamux_stream_unsent(s), 0);
  assert_ok(kad__yamux_stream_write(s, (kad_bytes){0}));
  expect_silence(&f);
  fixture_fini(&f);
}

static void test_unsent_limits(void **state) {
  (void)state;
  fixture f;
  fixture_init(&f, true);
  uint8_t *space = NULL;
  size_t most = ((size_t)4 << 20) + 65536;
  kad__yamux_stream *s = open_stream(&f);
  write_bytes(s, most);
  assert_error(KAD_E_LIMIT, kad__yamux_stream_write(s, kad__bytes_of("x")));
  assert_int_equal(kad__yamux_stream_unsent(s), most);
  for (int i = 0; i < 2; i++) {
    write_bytes(open_stream(&f), most);
  }
  s = open_stream(&f);
  assert_error(KAD_E_LIMIT, kad__yamux_stream_reserve(s, &space, most));
  assert_ok(kad__yamux_stream_reserve(s, &space, 65536));
  fixture_fini(&f);
}

/* ---- resets ------------------------------------------------------------ */

static void test_peer_resets(void **state) {
  (void)state;
  fixture f;
  fixture_init(&f, true);
  kad__yamux_stream *s = open_stream(&f);
  write_bytes(s, 10);
  discard_output(&f);
  assert_ok(feed_data(&f, KAD__YAMUX_ACK, 1, 5));
  assert_ok(feed(&f, "000100080000000100001003")); /* with a code */
  assert_ptr_equal(expect_event(&f, KAD__YAMUX_READABLE), s);
  assert_ptr_equal(expect_event(&f, KAD__YAMUX_RESET), s);
  expect_no_event(&f);
  assert_int_equal(kad__yamux_stream_error(s), KAD_E_STREAM_RESET);
  assert_int_equal(kad__yamux_stream_reset_code(s), 0x1003);
  assert_int_equal(kad__yamux_stream_peek(s).len, 5);
  assert_false(kad__yamux_stream_ended(s));
  assert_error(KAD_E_STREAM_RESET,
               kad__yamux_stream_write(s, kad__bytes_of("x")));
  kad__yamux_stream_close_write(s);
  kad__yamux_stream_reset(s, 1);
  expect_silence(&f);
  kad__yamux_stream_release(s);
  assert_int_equal(f.y->outbound, 0);
  fixture_fini(&f);
}

static void test_peer_resets_on_data(void **state) {
  (void)state;
  fixture f;
  fixture_init(&f, false);
  kad__yamux_stream *s = accept_stream(&f, 1);
  assert_ok(feed(&f,
                 "000000080000000100000002"
                 "6161"));
  expect_event(&f, KAD__YAMUX_RESET);
  assert_int_equal(kad__yamux_stream_reset_code(s), 0);
  assert_int_equal(kad__yamux_stream_peek(s).len, 0);
  fixture_fini(&f);
}

/* What had arrived before the peer's end survives a reset behind it. */
static void test_reset_behind_the_end(void **state) {
  (void)state;
  fixture f;
  fixture_init(&f, false);
  kad__yamux_stream *s = accept_stream(&f, 1);
  assert_ok(feed_data(&f, KAD__YAMUX_FIN, 1, 5));
  assert_ok(feed(&f, "000100080000000100000000"));
  expect_event(&f, KAD__YAMUX_READABLE);
  expect_event(&f, KAD__YAMUX_RESET);
  assert_true(kad__yamux_stream_ended(s));
  assert_int_equal(kad__yamux_stream_peek(s).len, 5);
  assert_error(KAD_E_STREAM_RESET,
               kad__yamux_stream_write(s, kad__bytes_of("x")));
  kad__yamux_stream_consume(s, 5);
  kad__yamux_stream_release(s);
  fixture_fini(&f);
}

/* A stream that nobody was told of goes without a word. */
static void test_reset_before_accept(void **state) {
  (void)state;
  fixture f;
  fixture_init(&f, false);
  assert_ok(feed_data(&f, KAD__YAMUX_SYN, 1, 5));
  assert_int_equal(kad__yamux_stream_count(f.y), 1);
  assert_ok(feed(&f, "000100080000000100000000"));
  expect_no_event(&f);
  expect_silence(&f);
  assert_int_equal(kad__yamux_stream_count(f.y), 0);
  assert_int_equal(kad__yamux_stats_get(f.y)->resets_in, 1);
  fixture_fini(&f);
}

static void test_we_reset(void **state) {
  (void)state;
  fixture f;
  fixture_init(&f, false);
  kad__yamux_stream *s = accept_stream(&f, 1);
  assert_ok(feed_data(&f, 0, 1, 5));
  write_bytes(s, 10);
  kad__yamux_stream_reset(s, 0x1007);
  kad__yamux_stream_reset(s, 1);
  expect_no_event(&f);
  assert_int_equal(kad__yamux_stream_error(s), KAD_E_STREAM_RESET);
  assert_int_equal(kad__yamux_stream_peek(s).len, 0);
  expect_output(&f, "000100080000000100001007");
  assert_ok(feed_data(&f, KAD__YAMUX_FIN, 1, 5)); /* was under way */
  expect_no_event(&f);
  kad__yamux_stream_release(s);
  assert_int_equal(f.y->inbound, 0);
  fixture_fini(&f);
}

static void test_we_reset_what_the_peer_never_saw(void **state) {
  (void)state;
  fixture f;
  fixture_init(&f, true);
  kad__yamux_stream *s = open_stream(&f);
  write_bytes(s, 10);
  kad__yamux_stream_reset(s, 1);
  expect_silence(&f);
  kad__yamux_stream_release(s);
  kad__yamux_stream_release(open_stream(&f));
  expect_silence(&f);
  assert_int_equal(f.y->unacked, 0);
  assert_int_equal(kad__yamux_stream_count(f.y), 0);
  fixture_fini(&f);
}

static void test_reset_and_release_before_output(void **state) {
  (void)state;
  fixture f;
  fixture_init(&f, false);
  kad__yamux_stream *s = accept_stream(&f, 1);
  kad__yamux_stream_reset(s, 0x1001);
  kad__yamux_stream_release(s);
  assert_int_equal(kad__yamux_stream_count(f.y), 0);
  assert_int_equal(f.y->inbound, 1); /* it counts until the peer is told */
  expect_output(&f, "000100080000000100001001");
  assert_int_equal(f.y->inbound, 0);
  fixture_fini(&f);
}

/* Resetting what both sides have ended says nothing. */
static void test_reset_of_a_finished_stream(void **state) {
  (void)state;
  fixture f;
  fixture_init(&f, false);
  kad__yamux_stream *s = accept_stream(&f, 1);
  assert_ok(feed_data(&f, KAD__YAMUX_FIN, 1, 5));
  kad__yamux_stream_close_write(s);
  discard_output(&f);
  assert_ok(feed(&f, "000100080000000100000000"));
  assert_int_equal(kad__yamux_stream_error(s), 0);
  assert_int_equal(kad__yamux_stream_peek(s).len, 5);
  kad__yamux_stream_reset(s, 1);
  expect_silence(&f);
  kad__yamux_stream_release(s);
  fixture_fini(&f);
}

/* ---- release ----------------------------------------------------------- */

static void test_release_flushes(void **state) {
  (void)state;
  fixture f;
  fixture_init(&f, true);
  kad__yamux_stream *s = open_stream(&f);
  assert_ok(kad__yamux_stream_write(s, kad__bytes_of("bye")));
  kad__yamux_stream_release(s);
  assert_int_equal(kad__yamux_stream_count(f.y), 1);
  expect_output(&f,
                "000000010000000100000003"
                "627965"
                "000100040000000100000000");
  /* Waits for the peer's end, and the owner hears nothing of it. */
  assert_int_equal(kad__yamux_stream_count(f.y), 0);
  assert_int_equal(f.y->outbound, 1);
  assert_ok(feed_data(&f, KAD__YAMUX_ACK, 1, 1000));
  expect_no_event(&f);
  assert_ok(feed_data(&f, KAD__YAMUX_FIN, 1, 1));
  assert_int_equal(f.y->outbound, 0);
  expect_silence(&f);
  fixture_fini(&f);
}

static void test_release_after_the_end(void **state) {
  (void)state;
  fixture f;
  fixture_init(&f, true);
  kad__yamux_stream *s = open_stream(&f);
  kad__yamux_stream_close_write(s);
  discard_output(&f);
  assert_int_equal(kad__yamux_stream_count(f.y), 1);
  kad__yamux_stream_release(s);
  assert_int_equal(kad__yamux_stream_count(f.y), 0);
  expect_silence(&f);
  fixture_fini(&f);
}

static void test_release_drops_unread(void **state) {
  (void)state;
  fixture f;
  fixture_init(&f, false);
  kad__yamux_stream *s = accept_stream(&f, 1);
  assert_ok(feed_data(&f, 0, 1, 1000));
  size_t charge = kad__yamux_charge(f.y);
  assert_ok(feed_header(&f, KAD__YAMUX_DATA, KAD__YAMUX_FIN, 1, 10));
  assert_ok(feed_body(&f, 5)); /* released in the middle of a body */
  kad__yamux_stream_release(s);
  assert_true(kad__yamux_charge(f.y) <= charge - 1000);
  expect_no_event(&f);
  discard_output(&f);
  assert_int_equal(f.y->inbound, 1);
  assert_ok(feed_body(&f, 5));
  assert_int_equal(f.y->inbound, 0);
  fixture_fini(&f);
}

/* Nobody reads a released stream: a peer that goes on writing is told before
 * its window is used up and it waits for ever. */
static void test_release_tells_a_peer_that_goes_on(void **state) {
  (void)state;
  fixture f;
  fixture_init(&f, false);
  kad__yamux_stream_release(accept_stream(&f, 1));
  expect_output(&f, "000100060000000100000000");
  for (int i = 0; i < 12; i++) {
    expect_silence(&f);
    assert_ok(feed_data(&f, 0, 1, 16384));
  }
  expect_silence(&f);
  assert_ok(feed_data(&f, 0, 1, 1));
  expect_output(&f, "000100080000000100000000");
  assert_int_equal(f.y->inbound, 0);
  fixture_fini(&f);
}

static void test_user_pointer(void **state) {
  (void)state;
  fixture f;
  fixture_init(&f, true);
  kad__yamux_stream *s = open_stream(&f);
  assert_null(kad__yamux_stream_user(s));
  kad__yamux_stream_set_user(s, &f);
  assert_ptr_equal(kad__yamux_stream_user(s), &f);
  fixture_fini(&f);
}

/* ---- many -------------------------------------------------------------- */

static void test_look_up_among_many(void **state) {
  (void)state;
  fixture f;
  fixture_init(&f, false);
  kad__yamux_stream *streams[256];
  for (uint32_t i = 0; i < 256; i++) {
    streams[i] = accept_stream(&f, 0xffffffff - 8 * i); /* in any order */
  }
  for (uint32_t i = 0; i < 256; i++) {
    assert_ok(feed_data(&f, KAD__YAMUX_FIN, 0xffffffff - 8 * i, i));
  }
  for (uint32_t i = 0; i < 256; i++) {
    assert_ptr_equal(expect_event(&f, KAD__YAMUX_READABLE), streams[i]);
    assert_int_equal(kad__yamux_stream_peek(streams[i]).len, i);
    kad__yamux_stream_release(streams[i]);
  }
  discard_output(&f);
  assert_int_equal(kad__yamux_stream_count(f.y), 0);
  assert_int_equal(kad__yamux_charge(f.y), sizeof(kad__yamux));
  assert_int_equal(f.memory.live_bytes, sizeof(kad__yamux));
  fixture_fini(&f);
}

static void test_idle_session_is_small(void **state) {
  (void)state;
  fixture f;
  fixture_init(&f, true);
  assert_true(f.memory.live_bytes <= 600);
  assert_int_equal(kad__yamux_charge(f.y), f.memory.live_bytes);
  fixture_fini(&f);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_open_with_data),
      cmocka_unit_test(test_open_without_data),
      cmocka_unit_test(test_open_and_end_at_once),
      cmocka_unit_test(test_accept_and_answer),
      cmocka_unit_test(test_accept_without_answer),
      cmocka_unit_test(test_end_follows_data),
      cmocka_unit_test(test_end_on_window_update),
      cmocka_unit_test(test_events_are_merged),
      cmocka_unit_test(test_reserve_and_commit),
      cmocka_unit_test(test_unsent_limits),
      cmocka_unit_test(test_peer_resets),
      cmocka_unit_test(test_peer_resets_on_data),
      cmocka_unit_test(test_reset_behind_the_end),
      cmocka_unit_test(test_reset_before_accept),
      cmocka_unit_test(test_we_reset),
      cmocka_unit_test(test_we_reset_what_the_peer_never_saw),
      cmocka_unit_test(test_reset_and_release_before_output),
      cmocka_unit_test(test_reset_of_a_finished_stream),
      cmocka_unit_test(test_release_flushes),
      cmocka_unit_test(test_release_after_the_end),
      cmocka_unit_test(test_release_drops_unread),
      cmocka_unit_test(test_release_tells_a_peer_that_goes_on),
      cmocka_unit_test(test_user_pointer),
      cmocka_unit_test(test_look_up_among_many),
      cmocka_unit_test(test_idle_session_is_small),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
