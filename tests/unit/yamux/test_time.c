/* Pings, silence and lingering streams: everything that a clock decides. */
#include "testing.h"

static void tick_at_deadline(fixture *f) {
  kad_time deadline = kad__yamux_deadline(f->y);
  assert_true(deadline > f->now && deadline != KAD_TIME_NEVER);
  f->now = deadline - 1;
  assert_ok(kad__yamux_tick(f->y, f->now));
  expect_silence(f);
  f->now = deadline;
}

static void test_keepalive(void **state) {
  (void)state;
  fixture f;
  fixture_init(&f, true);
  expect_silence(&f); /* an idle connection says nothing at first */
  assert_true(kad__yamux_deadline(f.y) == START + 30 * KAD_SECOND);
  tick_at_deadline(&f);
  assert_ok(kad__yamux_tick(f.y, f.now));
  expect_output(&f, "000200010000000000000001");
  assert_true(kad__yamux_deadline(f.y) == f.now + 10 * KAD_SECOND);
  f.now += KAD_SECOND;
  assert_ok(feed(&f, "000200020000000000000001"));
  assert_true(kad__yamux_stats_get(f.y)->round_trip == KAD_SECOND);
  assert_true(kad__yamux_deadline(f.y) == f.now + 30 * KAD_SECOND);
  tick_at_deadline(&f);
  assert_ok(kad__yamux_tick(f.y, f.now));
  expect_output(&f, "000200010000000000000002");
  fixture_fini(&f);
}

/* Y-23: who waits is told. */
static void test_silent_peer(void **state) {
  (void)state;
  fixture f;
  fixture_init(&f, true);
  kad__yamux_stream *s = open_stream(&f);
  discard_output(&f);
  tick_at_deadline(&f);
  assert_ok(kad__yamux_tick(f.y, f.now));
  discard_output(&f);
  tick_at_deadline(&f);
  assert_error(KAD_E_TIMEOUT, kad__yamux_tick(f.y, f.now));
  assert_error(KAD_E_TIMEOUT, kad__yamux_tick(f.y, f.now));
  assert_ptr_equal(expect_event(&f, KAD__YAMUX_RESET), s);
  assert_int_equal(kad__yamux_stream_error(s), KAD_E_TIMEOUT);
  expect_silence(&f);
  assert_true(kad__yamux_deadline(f.y) == KAD_TIME_NEVER);
  assert_error(KAD_E_TIMEOUT, feed(&f, "00"));
  fixture_fini(&f);
}

/* What is dropped unread is no end: else half of it would pass for all. */
static void test_silence_is_no_end(void **state) {
  (void)state;
  fixture f;
  fixture_init(&f, true);
  kad__yamux_stream *unread = open_stream(&f);
  kad__yamux_stream *read = open_stream(&f);
  discard_output(&f);
  assert_ok(feed(&f, "000000060000000100000003616263"));
  assert_ok(feed(&f, "000000060000000300000003616263"));
  assert_true(kad__yamux_stream_ended(unread));
  kad__yamux_stream_consume(read, 3);
  f.now += 30 * KAD_SECOND;
  assert_ok(kad__yamux_tick(f.y, f.now));
  f.now += 10 * KAD_SECOND;
  assert_error(KAD_E_TIMEOUT, kad__yamux_tick(f.y, f.now));
  assert_int_equal(kad__yamux_stream_peek(unread).len, 0);
  assert_false(kad__yamux_stream_ended(unread));
  assert_true(kad__yamux_stream_ended(read));
  fixture_fini(&f);
}

/* A ping that is never pulled, since the channel is stuck, counts too. */
static void test_stuck_channel(void **state) {
  (void)state;
  fixture f;
  fixture_init(&f, true);
  f.now += 30 * KAD_SECOND;
  assert_ok(kad__yamux_tick(f.y, f.now));
  f.now += 10 * KAD_SECOND;
  assert_error(KAD_E_TIMEOUT, kad__yamux_tick(f.y, f.now));
  fixture_fini(&f);
}

/* Data proves life as well as a pong does. */
static void test_lost_pong(void **state) {
  (void)state;
  fixture f;
  fixture_init(&f, true);
  tick_at_deadline(&f);
  assert_ok(kad__yamux_tick(f.y, f.now));
  discard_output(&f);
  f.now += 9 * KAD_SECOND;
  assert_ok(feed(&f, "000100000000000900000000"));
  f.now += KAD_SECOND;
  assert_ok(kad__yamux_tick(f.y, f.now));
  assert_ok(feed(&f, "000200020000000000000001")); /* too late to measure */
  assert_true(kad__yamux_stats_get(f.y)->round_trip == 0);
  tick_at_deadline(&f);
  assert_ok(kad__yamux_tick(f.y, f.now));
  expect_output(&f, "000200010000000000000002");
  fixture_fini(&f);
}

static void test_wrong_pong(void **state) {
  (void)state;
  fixture f;
  fixture_init(&f, true);
  tick_at_deadline(&f);
  assert_ok(kad__yamux_tick(f.y, f.now));
  assert_ok(feed(&f, "000200020000000000000001")); /* before our ping left */
  assert_true(kad__yamux_stats_get(f.y)->round_trip == 0);
  discard_output(&f);
  assert_ok(feed(&f, "000200020000000000000002"));
  assert_true(kad__yamux_stats_get(f.y)->round_trip == 0);
  fixture_fini(&f);
}

/* The round trip begins when the ping leaves, not when it is queued. */
static void test_round_trip(void **state) {
  (void)state;
  fixture f;
  fixture_init(&f, true);
  tick_at_deadline(&f);
  assert_ok(kad__yamux_tick(f.y, f.now));
  f.now += 2 * KAD_SECOND;
  discard_output(&f);
  f.now += 3 * KAD_SECOND;
  assert_ok(feed(&f, "000200020000000000000001"));
  assert_true(kad__yamux_stats_get(f.y)->round_trip == 3 * KAD_SECOND);
  fixture_fini(&f);
}

static void test_keepalive_off(void **state) {
  (void)state;
  fixture f;
  kad__yamux_config config;
  kad__yamux_config_default(&config);
  config.keepalive = KAD_TIME_NEVER;
  fixture_init_with(&f, &config);
  assert_true(kad__yamux_deadline(f.y) == KAD_TIME_NEVER);
  assert_ok(kad__yamux_tick(f.y, f.now + 1000 * KAD_HOUR));
  expect_silence(&f);
  fixture_fini(&f);
}

static void test_pings_are_answered_at_once(void **state) {
  (void)state;
  fixture f;
  fixture_init(&f, false);
  assert_ok(feed(&f,
                 "0002000100000000"
                 "00000000"
                 "0002000100000007"
                 "ffffffff"));
  expect_output(&f,
                "0002000200000000"
                "00000000"
                "0002000200000000"
                "ffffffff");
  fixture_fini(&f);
}

/* A released stream lives while its bytes move, and not much longer. */
static void test_lingering(void **state) {
  (void)state;
  fixture f;
  kad__yamux_config config;
  kad__yamux_config_default(&config);
  config.keepalive = KAD_TIME_NEVER;
  fixture_init_with(&f, &config);
  kad__yamux_stream *s = accept_stream(&f, 1);
  write_bytes(s, KAD__YAMUX_INITIAL_WINDOW + 2);
  kad__yamux_stream_release(s);
  for (int i = 0; i < 3; i++) {
    discard_output(&f);
    assert_int_equal(kad__yamux_stream_count(f.y), i < 2 ? 1 : 0);
    assert_true(kad__yamux_deadline(f.y) == f.now + KAD__YAMUX_LINGER);
    f.now += KAD__YAMUX_LINGER - 1;
    assert_ok(kad__yamux_tick(f.y, f.now));
    assert_ok(feed_header(&f, KAD__YAMUX_WINDOW_UPDATE, 0, 1, 1));
  }
  assert_int_equal(f.y->inbound, 1);
  f.now = kad__yamux_deadline(f.y);
  assert_ok(kad__yamux_tick(f.y, f.now));
  expect_output(&f, "000100080000000100000000");
  assert_int_equal(f.y->inbound, 0);
  assert_true(kad__yamux_deadline(f.y) == KAD_TIME_NEVER);
  assert_int_equal(kad__yamux_stats_get(f.y)->aborted, 1);
  fixture_fini(&f);
}

/* Its opening was never pulled: there is nothing to be said to the peer. */
static void test_lingering_unsent(void **state) {
  (void)state;
  fixture f;
  fixture_init(&f, true);
  kad__yamux_stream *s = open_stream(&f);
  write_bytes(s, 10);
  kad__yamux_stream_release(s);
  assert_int_equal(kad__yamux_stream_count(f.y), 1);
  f.now += KAD__YAMUX_LINGER - 1;
  assert_ok(feed(&f, "000200020000000000000000"));
  f.now += 1;
  assert_ok(kad__yamux_tick(f.y, f.now));
  assert_int_equal(kad__yamux_stream_count(f.y), 0);
  assert_int_equal(f.y->unacked, 0);
  expect_silence(&f);
  fixture_fini(&f);
}

static void test_time_runs_backwards(void **state) {
  (void)state;
  fixture f;
  fixture_init(&f, true);
  f.now = 0;
  assert_ok(feed(&f, "000200010000000000000000"));
  discard_output(&f);
  assert_true(kad__yamux_deadline(f.y) == START + 30 * KAD_SECOND);
  fixture_fini(&f);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_keepalive),
      cmocka_unit_test(test_silent_peer),
      cmocka_unit_test(test_silence_is_no_end),
      cmocka_unit_test(test_stuck_channel),
      cmocka_unit_test(test_lost_pong),
      cmocka_unit_test(test_wrong_pong),
      cmocka_unit_test(test_round_trip),
      cmocka_unit_test(test_keepalive_off),
      cmocka_unit_test(test_pings_are_answered_at_once),
      cmocka_unit_test(test_lingering),
      cmocka_unit_test(test_lingering_unsent),
      cmocka_unit_test(test_time_runs_backwards),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
