/* Flow control, the growth of windows, and in which order things leave. */
#include "testing.h"

#define WINDOW KAD__YAMUX_INITIAL_WINDOW

/* ---- what we may send -------------------------------------------------- */

static void test_send_within_the_window(void **state) {
  (void)state;
  fixture f;
  fixture_init(&f, true);
  kad__yamux_stream *s = open_stream(&f);
  write_bytes(s, WINDOW + 100);
  kad__yamux_stream_close_write(s);
  for (uint32_t i = 0; i < WINDOW / 16384; i++) {
    expect_frame(&f, KAD__YAMUX_DATA, i == 0 ? KAD__YAMUX_SYN : 0, 1, 16384);
  }
  expect_silence(&f);
  assert_int_equal(kad__yamux_stream_unsent(s), 100);
  assert_ok(feed_header(&f, KAD__YAMUX_WINDOW_UPDATE, KAD__YAMUX_ACK, 1, 60));
  expect_frame(&f, KAD__YAMUX_DATA, 0, 1, 60);
  expect_silence(&f);
  assert_ok(feed_header(&f, KAD__YAMUX_WINDOW_UPDATE, 0, 1, 60));
  expect_output(&f,
                "000000000000000100000028"
                "62626262626262626262626262626262626262626262626262626262626262"
                "626262626262626262"
                "000100040000000100000000");
  expect_no_event(&f);
  fixture_fini(&f);
}

static void test_writable_when_all_has_left(void **state) {
  (void)state;
  fixture f;
  fixture_init(&f, true);
  kad__yamux_stream *s = open_stream(&f);
  write_bytes(s, WINDOW + 1);
  discard_output(&f);
  expect_no_event(&f);
  assert_ok(feed_header(&f, KAD__YAMUX_WINDOW_UPDATE, KAD__YAMUX_ACK, 1, 1));
  expect_no_event(&f);
  discard_output(&f);
  assert_ptr_equal(expect_event(&f, KAD__YAMUX_WRITABLE), s);
  expect_no_event(&f);
  fixture_fini(&f);
}

static void test_turns(void **state) {
  (void)state;
  fixture f;
  fixture_init(&f, true);
  write_bytes(open_stream(&f), 40000);
  write_bytes(open_stream(&f), 20000);
  write_bytes(open_stream(&f), 10);
  expect_frame(&f, KAD__YAMUX_DATA, KAD__YAMUX_SYN, 1, 16384);
  expect_frame(&f, KAD__YAMUX_DATA, KAD__YAMUX_SYN, 3, 16384);
  expect_frame(&f, KAD__YAMUX_DATA, KAD__YAMUX_SYN, 5, 10);
  expect_frame(&f, KAD__YAMUX_DATA, 0, 1, 16384);
  expect_frame(&f, KAD__YAMUX_DATA, 0, 3, 20000 - 16384);
  expect_frame(&f, KAD__YAMUX_DATA, 0, 1, 40000 - 2 * 16384);
  expect_silence(&f);
  fixture_fini(&f);
}

/* What has no body goes before all data. */
static void test_control_goes_first(void **state) {
  (void)state;
  fixture f;
  fixture_init(&f, true);
  write_bytes(open_stream(&f), 10);
  open_stream(&f);
  assert_ok(feed(&f, "000200010000000000000009"));
  expect_frame(&f, KAD__YAMUX_PING, KAD__YAMUX_ACK, 0, 9);
  expect_frame(&f, KAD__YAMUX_WINDOW_UPDATE, KAD__YAMUX_SYN, 3, 0);
  expect_frame(&f, KAD__YAMUX_DATA, KAD__YAMUX_SYN, 1, 10);
  fixture_fini(&f);
}

/* Data is cut to what fits, but not into crumbs. */
static void test_short_output(void **state) {
  (void)state;
  fixture f;
  fixture_init(&f, true);
  uint8_t out[4096];
  kad__yamux_stream *s = open_stream(&f);
  kad__yamux_stream *t = open_stream(&f);
  write_bytes(s, 3800);
  write_bytes(t, 1000);
  /* 284 bytes are left: too few for a part of 1000 */
  assert_int_equal(pull(&f, out, sizeof(out)), 12 + 3800);
  assert_int_equal(kad__yamux_frame_decode(out).length, 3800);
  assert_int_equal(pull(&f, out, sizeof(out)), 12 + 1000);
  write_bytes(s, 3000);
  write_bytes(t, 5000);
  assert_int_equal(pull(&f, out, sizeof(out)), sizeof(out));
  assert_int_equal(kad__yamux_frame_decode(out + 3012).id, 3);
  assert_int_equal(kad__yamux_frame_decode(out + 3012).length, 4096 - 3024);
  expect_frame(&f, KAD__YAMUX_DATA, 0, 3, 5000 - (4096 - 3024));
  /* The end finds no room and comes with the next call. */
  write_bytes(s, 4084);
  kad__yamux_stream_close_write(s);
  assert_int_equal(pull(&f, out, sizeof(out)), sizeof(out));
  expect_output(&f, "000100040000000100000000");
  fixture_fini(&f);
}

/* ---- what the peer may send -------------------------------------------- */

static void take(fixture *f, kad__yamux_stream *s, uint32_t len) {
  uint32_t id = kad__yamux_stream_id(s);
  for (uint32_t left = len; left != 0;) {
    uint32_t part = left < 65536 ? left : 65536;
    assert_ok(feed_data(f, 0, id, part));
    left -= part;
  }
}

static void test_update_after_half_the_window(void **state) {
  (void)state;
  fixture f;
  fixture_init(&f, false);
  kad__yamux_stream *s = accept_stream(&f, 1);
  take(&f, s, WINDOW);
  discard_output(&f);
  kad__yamux_stream_consume(s, WINDOW / 2 - 1);
  expect_silence(&f);
  kad__yamux_stream_consume(s, 1);
  expect_frame(&f, KAD__YAMUX_WINDOW_UPDATE, 0, 1, WINDOW / 2);
  kad__yamux_stream_consume(s, WINDOW / 2);
  expect_frame(&f, KAD__YAMUX_WINDOW_UPDATE, 0, 1, WINDOW / 2);
  take(&f, s, WINDOW);
  assert_error(KAD_E_YAMUX, feed(&f, "000000000000000100000001"));
  fixture_fini(&f);
}

/* The acknowledgement rides on the first window update as well. */
static void test_update_carries_the_ack(void **state) {
  (void)state;
  fixture f;
  fixture_init(&f, false);
  kad__yamux_stream *s = accept_stream(&f, 1);
  assert_ok(feed_data(&f, 0, 1, WINDOW / 2));
  kad__yamux_stream_consume(s, WINDOW / 2);
  write_bytes(s, 1);
  expect_frame(&f, KAD__YAMUX_PING, KAD__YAMUX_SYN, 0, 1);
  expect_frame(&f, KAD__YAMUX_WINDOW_UPDATE, KAD__YAMUX_ACK, 1, WINDOW / 2);
  expect_frame(&f, KAD__YAMUX_DATA, 0, 1, 1);
  fixture_fini(&f);
}

static void test_no_update_after_the_end(void **state) {
  (void)state;
  fixture f;
  fixture_init(&f, false);
  kad__yamux_stream *s = accept_stream(&f, 1);
  take(&f, s, WINDOW);
  assert_ok(feed_data(&f, KAD__YAMUX_FIN, 1, 0));
  discard_output(&f);
  kad__yamux_stream_consume(s, WINDOW);
  expect_silence(&f);
  fixture_fini(&f);
}

/* Answers the ping that the first 64 KiB caused. */
static void measure(fixture *f, kad__yamux_stream *s, kad_time round_trip) {
  take(f, s, 65536);
  kad__yamux_stream_consume(s, 65536);
  discard_output(f);
  f->now += round_trip;
  assert_ok(feed_header(f, KAD__YAMUX_PING, KAD__YAMUX_ACK, 0, 1));
  assert_true(kad__yamux_stats_get(f->y)->round_trip == round_trip);
}

static void read_half(fixture *f, kad__yamux_stream *s) {
  while (!kad__yamux_update_due(s)) {
    take(f, s, 65536);
    kad__yamux_stream_consume(s, 65536);
  }
}

static void test_window_grows_by_the_round_trip(void **state) {
  (void)state;
  fixture f;
  fixture_init(&f, false);
  kad__yamux_stream *s = accept_stream(&f, 1);
  measure(&f, s, KAD_SECOND / 10);
  read_half(&f, s);
  expect_frame(&f, KAD__YAMUX_WINDOW_UPDATE, 0, 1, WINDOW / 2 + WINDOW);
  assert_int_equal(s->window, 2 * WINDOW);
  f.now += KAD_SECOND / 5; /* exactly two round trips: slow enough */
  read_half(&f, s);
  expect_frame(&f, KAD__YAMUX_WINDOW_UPDATE, 0, 1, WINDOW);
  f.now += KAD_SECOND / 5 - 1;
  read_half(&f, s);
  expect_frame(&f, KAD__YAMUX_WINDOW_UPDATE, 0, 1, WINDOW + 2 * WINDOW);
  assert_int_equal(s->window, f.config.window_max);
  read_half(&f, s);
  expect_frame(&f, KAD__YAMUX_WINDOW_UPDATE, 0, 1, 2 * WINDOW);
  take(&f, s, 4 * WINDOW);
  assert_error(KAD_E_YAMUX, feed(&f, "000000000000000100000001"));
  fixture_fini(&f);
}

static void test_window_stays_within_the_session(void **state) {
  (void)state;
  fixture f;
  kad__yamux_config config;
  kad__yamux_config_default(&config);
  config.receive_max = 3 * WINDOW;
  fixture_init_with(&f, &config);
  kad__yamux_stream *s = accept_stream(&f, 1);
  kad__yamux_stream *t = accept_stream(&f, 3);
  kad__yamux_stream *u = accept_stream(&f, 5);
  measure(&f, s, KAD_SECOND);
  read_half(&f, s);
  expect_frame(&f, KAD__YAMUX_WINDOW_UPDATE, 0, 1, WINDOW / 2);
  /* An ended stream, and a dead one, give their share back. */
  assert_ok(feed_data(&f, KAD__YAMUX_FIN, 3, 0));
  read_half(&f, s);
  expect_frame(&f, KAD__YAMUX_WINDOW_UPDATE, 0, 1, WINDOW / 2 + WINDOW);
  kad__yamux_stream_reset(u, 0);
  expect_frame(&f, KAD__YAMUX_WINDOW_UPDATE, KAD__YAMUX_RST, 5, 0);
  assert_int_equal(f.y->granted, 2 * WINDOW);
  kad__yamux_stream_release(t);
  kad__yamux_stream_release(u);
  fixture_fini(&f);
}

static void test_no_growth_without_a_round_trip(void **state) {
  (void)state;
  fixture f;
  fixture_init(&f, false);
  kad__yamux_stream *s = accept_stream(&f, 1);
  read_half(&f, s);
  discard_output(&f);
  assert_int_equal(s->window, WINDOW);
  fixture_fini(&f);
}

/* A body that nobody sends costs nothing, whatever its header says. */
static void test_memory_for_what_is_here(void **state) {
  (void)state;
  fixture f;
  fixture_init(&f, false);
  accept_stream(&f, 1);
  discard_output(&f);
  size_t before = f.memory.live_bytes;
  assert_ok(feed_header(&f, KAD__YAMUX_DATA, 0, 1, WINDOW));
  assert_int_equal(f.memory.live_bytes, before);
  assert_ok(feed_body(&f, 100));
  assert_true(f.memory.live_bytes <= before + 256);
  assert_int_equal(kad__yamux_charge(f.y), f.memory.live_bytes);
  fixture_fini(&f);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_send_within_the_window),
      cmocka_unit_test(test_writable_when_all_has_left),
      cmocka_unit_test(test_turns),
      cmocka_unit_test(test_control_goes_first),
      cmocka_unit_test(test_short_output),
      cmocka_unit_test(test_update_after_half_the_window),
      cmocka_unit_test(test_update_carries_the_ack),
      cmocka_unit_test(test_no_update_after_the_end),
      cmocka_unit_test(test_window_grows_by_the_round_trip),
      cmocka_unit_test(test_window_stays_within_the_session),
      cmocka_unit_test(test_no_growth_without_a_round_trip),
      cmocka_unit_test(test_memory_for_what_is_here),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
