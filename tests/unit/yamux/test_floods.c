/* Peers that keep to the letter of the protocol and have too much of it: what
 * they can make us do and hold is bounded. The names Y-.. are those of the list
 * of bad input; A.. those of published advisories. */
#include "testing.h"

/* Y-13, A5: pings that nobody reads the answers of. */
static void test_ping_flood(void **state) {
  (void)state;
  fixture f;
  fixture_init(&f, false);
  for (uint32_t i = 0; i < 100000; i++) {
    uint8_t ping[KAD__YAMUX_HEADER_LEN];
    kad__yamux_frame_encode(ping, KAD__YAMUX_PING, KAD__YAMUX_SYN, 0, i);
    assert_ok(kad__yamux_input(f.y, kad__bytes(ping, sizeof(ping)), f.now));
  }
  check(&f);
  assert_true(kad__yamux_charge(f.y) < sizeof(kad__yamux) + 2048);
  assert_int_equal(kad__yamux_stats_get(f.y)->pongs_dropped, 100000 - 32);
  for (uint32_t i = 0; i < 32; i++) {
    expect_frame(&f, KAD__YAMUX_PING, KAD__YAMUX_ACK, 0, i);
  }
  expect_silence(&f);
  assert_ok(feed(&f, "0002000100000000deadbeef"));
  expect_output(&f, "0002000200000000deadbeef");
  fixture_fini(&f);
}

/* Y-14: answers that nobody reads pause the input. */
static void test_congestion(void **state) {
  (void)state;
  fixture f;
  fixture_init(&f, false);
  size_t queued = 0;
  for (uint32_t id = 1; queued <= f.config.output_max; id += 2) {
    assert_false(kad__yamux_congested(f.y));
    write_bytes(accept_stream(&f, id), 1300);
    queued += 1300;
  }
  assert_true(kad__yamux_congested(f.y));
  uint8_t out[4096];
  pull(&f, out, sizeof(out));
  assert_false(kad__yamux_congested(f.y));
  fixture_fini(&f);
}

/* What waits for the peer's window must not pause the input that opens it. */
static void test_no_congestion_behind_a_window(void **state) {
  (void)state;
  fixture f;
  fixture_init(&f, false);
  kad__yamux_stream *s = accept_stream(&f, 1);
  write_bytes(s, (size_t)1 << 20);
  discard_output(&f);
  assert_int_equal(kad__yamux_stream_unsent(s),
                   ((size_t)1 << 20) - KAD__YAMUX_INITIAL_WINDOW);
  assert_false(kad__yamux_congested(f.y));
  assert_ok(feed_header(&f, KAD__YAMUX_WINDOW_UPDATE, 0, 1, 1 << 20));
  assert_true(kad__yamux_congested(f.y));
  discard_output(&f);
  assert_int_equal(kad__yamux_stream_unsent(s), 0);
  fixture_fini(&f);
}

/* What a peer may have open, see kad__yamux_config_default. */
#define STREAMS_MAX 1024

/* Y-16: more streams than we take. */
static void test_syn_flood(void **state) {
  (void)state;
  fixture f;
  fixture_init(&f, false);
  uint32_t id = 1;
  for (int i = 0; i < STREAMS_MAX; i++, id += 2) {
    assert_ok(feed_header(&f, KAD__YAMUX_WINDOW_UPDATE, KAD__YAMUX_SYN, id, 0));
  }
  expect_silence(&f);
  size_t charge = kad__yamux_charge(f.y);
  for (int i = 0; i < 1024; i++, id += 2) {
    assert_ok(feed_data(&f, KAD__YAMUX_SYN, id, 1));
    expect_frame(&f, KAD__YAMUX_WINDOW_UPDATE, KAD__YAMUX_RST, id, 0x1002);
  }
  assert_true(kad__yamux_charge(f.y) <= charge);
  assert_int_equal(kad__yamux_stats_get(f.y)->streams_refused, 1024);
  assert_error(KAD_E_LIMIT, feed_header(&f, KAD__YAMUX_WINDOW_UPDATE,
                                        KAD__YAMUX_SYN, id, 0));
  expect_dead(&f, KAD_E_LIMIT, 0x1002);
  /* Nobody had been told of any of them. */
  expect_no_event(&f);
  assert_int_equal(f.memory.live, 1);
  fixture_fini(&f);
}

/* The refusals that nobody reads are bounded too. */
static void test_syn_flood_unread(void **state) {
  (void)state;
  fixture f;
  kad__yamux_config config;
  kad__yamux_config_default(&config);
  config.max_inbound_streams = 0;
  fixture_init_with(&f, &config);
  int result = 0;
  uint32_t count = 0;
  for (; result == 0 && count < 1000000; count++) {
    f.now += KAD_SECOND; /* slow enough for the rate */
    uint8_t syn[KAD__YAMUX_HEADER_LEN];
    kad__yamux_frame_encode(syn, KAD__YAMUX_WINDOW_UPDATE, KAD__YAMUX_SYN,
                            2 * count + 1, 0);
    result = kad__yamux_input(f.y, kad__bytes(syn, sizeof(syn)), f.now);
  }
  assert_error(KAD_E_LIMIT, result);
  assert_int_equal(count, KAD__YAMUX_MAX_REFUSALS + 1);
  fixture_fini(&f);
}

/* Y-17: streams opened and reset at once. */
static void test_rapid_reset(void **state) {
  (void)state;
  fixture f;
  fixture_init(&f, false);
  int result = 0;
  uint32_t count = 0;
  for (; result == 0 && count < 1000000; count++) {
    assert_ok(
        feed_header(&f, KAD__YAMUX_DATA, KAD__YAMUX_SYN, 2 * count + 1, 0));
    result = feed_header(&f, KAD__YAMUX_WINDOW_UPDATE, KAD__YAMUX_RST,
                         2 * count + 1, 0);
    expect_no_event(&f);
  }
  assert_error(KAD_E_LIMIT, result);
  assert_int_equal(count, KAD__YAMUX_RESET_BURST + 1);
  expect_dead(&f, KAD_E_LIMIT, 0x1002);
  fixture_fini(&f);
}

/* The allowance comes back one by one. */
static void test_resets_at_the_limit(void **state) {
  (void)state;
  fixture f;
  fixture_init(&f, false);
  uint32_t id = 1;
  for (uint32_t i = 0; i < KAD__YAMUX_RESET_BURST; i++, id += 2) {
    assert_ok(feed_data(&f, KAD__YAMUX_SYN | KAD__YAMUX_RST, id, 0));
  }
  for (int i = 0; i < 10; i++, id += 2) {
    f.now += KAD__YAMUX_RESET_PERIOD;
    assert_ok(feed_data(&f, KAD__YAMUX_SYN | KAD__YAMUX_RST, id, 0));
  }
  assert_error(KAD_E_LIMIT,
               feed_data(&f, KAD__YAMUX_SYN | KAD__YAMUX_RST, id, 0));
  fixture_fini(&f);
}

static void test_slow_resets_are_fine(void **state) {
  (void)state;
  fixture f;
  fixture_init(&f, false);
  for (uint32_t i = 0; i < 20000; i++) {
    f.now += KAD__YAMUX_RESET_PERIOD;
    kad__yamux_stream *s = accept_stream(&f, 2 * i + 1);
    assert_ok(feed_header(&f, KAD__YAMUX_DATA, KAD__YAMUX_RST, 2 * i + 1, 0));
    expect_event(&f, KAD__YAMUX_RESET);
    kad__yamux_stream_release(s);
  }
  fixture_fini(&f);
}

/* Y-19, A2: one byte in each frame, on many streams, and nobody reads. */
static void test_tiny_frames(void **state) {
  (void)state;
  fixture f;
  fixture_init(&f, false);
  const size_t streams = 16;
  for (uint32_t i = 0; i < streams; i++) {
    accept_stream(&f, 2 * i + 1);
  }
  size_t idle = f.memory.live_bytes;
  uint8_t frame[KAD__YAMUX_HEADER_LEN + 1] = {0};
  for (uint32_t n = 0; n < KAD__YAMUX_INITIAL_WINDOW; n++) {
    for (uint32_t i = 0; i < streams; i++) {
      kad__yamux_frame_encode(frame, KAD__YAMUX_DATA, 0, 2 * i + 1, 1);
      assert_ok(kad__yamux_input(f.y, kad__bytes(frame, sizeof(frame)), f.now));
    }
  }
  check(&f);
  assert_true(f.memory.live_bytes - idle <=
              2 * streams * KAD__YAMUX_INITIAL_WINDOW);
  assert_error(KAD_E_YAMUX, feed(&f, "000000000000000100000001"));
  fixture_fini(&f);
}

/* Y-19: all windows together are more than a session may hold unread. */
static void test_receive_max(void **state) {
  (void)state;
  fixture f;
  fixture_init(&f, false);
  uint32_t full = f.config.receive_max / KAD__YAMUX_INITIAL_WINDOW;
  kad__yamux_stream *s = NULL;
  for (uint32_t i = 0; i <= full; i++) {
    s = accept_stream(&f, 2 * i + 1);
    assert_ok(feed_data(&f, 0, 2 * i + 1, KAD__YAMUX_INITIAL_WINDOW));
    expect_event(&f, i < full ? KAD__YAMUX_READABLE : KAD__YAMUX_RESET);
  }
  assert_int_equal(kad__yamux_stream_error(s), KAD_E_LIMIT);
  assert_int_equal(kad__yamux_stats_get(f.y)->aborted, 1);
  expect_frame(&f, KAD__YAMUX_PING, KAD__YAMUX_SYN, 0, 1);
  for (uint32_t i = 0; i < full; i++) {
    expect_frame(&f, KAD__YAMUX_WINDOW_UPDATE, KAD__YAMUX_ACK, 2 * i + 1, 0);
  }
  expect_frame(&f, KAD__YAMUX_WINDOW_UPDATE, KAD__YAMUX_RST, 2 * full + 1,
               0x1002);
  assert_true(f.memory.live_bytes < 2 * (size_t)f.config.receive_max);
  fixture_fini(&f);
}

/* The same before anybody was told of the stream: nobody ever is. */
static void test_receive_max_unannounced(void **state) {
  (void)state;
  fixture f;
  kad__yamux_config config;
  kad__yamux_config_default(&config);
  config.receive_max = 1000;
  fixture_init_with(&f, &config);
  assert_ok(feed_data(&f, KAD__YAMUX_SYN, 1, 1001));
  expect_no_event(&f);
  assert_int_equal(kad__yamux_stream_count(f.y), 0);
  expect_output(&f, "000100080000000100001002");
  assert_int_equal(f.y->inbound, 0);
  fixture_fini(&f);
}

/* Y-20: credit in single bytes, with and without something to send. */
static void test_silly_windows(void **state) {
  (void)state;
  fixture f;
  fixture_init(&f, false);
  kad__yamux_stream *s = accept_stream(&f, 1);
  write_bytes(s, KAD__YAMUX_INITIAL_WINDOW + 100000);
  discard_output(&f);
  size_t buffers = f.memory.calls;
  uint8_t update[KAD__YAMUX_HEADER_LEN];
  uint8_t out[4096];
  kad__yamux_frame_encode(update, KAD__YAMUX_WINDOW_UPDATE, 0, 1, 1);
  for (int i = 0; i < 1000000; i++) {
    assert_ok(kad__yamux_input(f.y, kad__bytes(update, 12), f.now));
    size_t len = kad__yamux_output(f.y, out, sizeof(out), f.now);
    assert_int_equal(len, i < 100000 ? 13 : 0);
  }
  check(&f);
  assert_int_equal(f.memory.calls, buffers);
  fixture_fini(&f);
}

/* Y-25: ends that never come, of streams that nobody holds. */
static void test_half_closed_for_ever(void **state) {
  (void)state;
  fixture f;
  fixture_init(&f, false);
  for (uint32_t i = 0; i < STREAMS_MAX; i++) {
    kad__yamux_stream_release(accept_stream(&f, 2 * i + 1));
  }
  discard_output(&f);
  assert_int_equal(kad__yamux_stream_count(f.y), 0);
  /* An honest peer gets the time to read our answers ... */
  assert_ok(feed_data(&f, KAD__YAMUX_SYN, 5001, 0));
  expect_frame(&f, KAD__YAMUX_WINDOW_UPDATE, KAD__YAMUX_RST, 5001, 0x1002);
  /* ... and then the oldest gives way. */
  f.now += KAD__YAMUX_LINGER_MIN;
  accept_stream(&f, 5003);
  expect_frame(&f, KAD__YAMUX_WINDOW_UPDATE, KAD__YAMUX_RST, 1, 0);
  expect_frame(&f, KAD__YAMUX_WINDOW_UPDATE, KAD__YAMUX_ACK, 5003, 0);
  /* Whatever is left goes after a while. */
  f.now = START + KAD__YAMUX_LINGER - 1;
  assert_ok(feed(&f, "000200020000000000000000")); /* not silent */
  assert_ok(kad__yamux_tick(f.y, f.now));
  expect_silence(&f);
  assert_true(kad__yamux_deadline(f.y) == f.now + 1);
  f.now++;
  assert_ok(kad__yamux_tick(f.y, f.now));
  for (uint32_t i = 1; i < STREAMS_MAX; i++) {
    expect_frame(&f, KAD__YAMUX_WINDOW_UPDATE, KAD__YAMUX_RST, 2 * i + 1, 0);
  }
  expect_silence(&f);
  assert_int_equal(f.y->inbound, 1);
  fixture_fini(&f);
}

/* Only who has nothing left to say gives way. */
static void test_unsent_answers_stay(void **state) {
  (void)state;
  fixture f;
  kad__yamux_config config;
  kad__yamux_config_default(&config);
  config.max_inbound_streams = 1;
  fixture_init_with(&f, &config);
  kad__yamux_stream *s = accept_stream(&f, 1);
  write_bytes(s, KAD__YAMUX_INITIAL_WINDOW + 1);
  kad__yamux_stream_release(s);
  discard_output(&f);
  f.now += KAD__YAMUX_LINGER_MIN;
  assert_ok(feed_data(&f, KAD__YAMUX_SYN, 3, 0));
  expect_output(&f, "000100080000000300001002");
  /* Nor is it cut off for what the peer writes meanwhile. */
  for (int i = 0; i < 16; i++) {
    assert_ok(feed_data(&f, 0, 1, 16384));
  }
  expect_silence(&f);
  assert_ok(feed_header(&f, KAD__YAMUX_WINDOW_UPDATE, 0, 1, 1));
  expect_output(&f,
                "000000000000000100000001"
                "62"
                "000100040000000100000000");
  fixture_fini(&f);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_ping_flood),
      cmocka_unit_test(test_congestion),
      cmocka_unit_test(test_no_congestion_behind_a_window),
      cmocka_unit_test(test_syn_flood),
      cmocka_unit_test(test_syn_flood_unread),
      cmocka_unit_test(test_rapid_reset),
      cmocka_unit_test(test_resets_at_the_limit),
      cmocka_unit_test(test_slow_resets_are_fine),
      cmocka_unit_test(test_tiny_frames),
      cmocka_unit_test(test_receive_max),
      cmocka_unit_test(test_receive_max_unannounced),
      cmocka_unit_test(test_silly_windows),
      cmocka_unit_test(test_half_closed_for_ever),
      cmocka_unit_test(test_unsent_answers_stay),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
