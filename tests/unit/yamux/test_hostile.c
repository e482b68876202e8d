/* Peers that break the protocol, or end it. The names Y-.. are those of the
 * list of bad input; A.. those of published advisories. */
#include "testing.h"

typedef struct row {
  const char *name;
  const char *hex; /* after stream 1 is open */
} row;

/* Each ends the session with GoAway(1), from these bytes alone. */
static const row protocol_errors[] = {
    {"Y-01 version", "010000010000000100000000"},
    {"Y-02 type 4", "000400000000000000000000"},
    {"Y-02 type 255", "00ff00000000000000000000"},
    {"Y-04 first body beyond the window (A7)", "000000010000000300040001"},
    {"Y-05 credit overflows (A6)", "0001000000000001ffff0000"},
    {"Y-06 credit of a SYN overflows (A6)", "0001000100000003ffffffff"},
    {"Y-07 4 GiB for an unknown stream (A8)", "0000000000000063ffffffff"},
    {"Y-07 more than 1 MiB", "000000000000006300100001"},
    {"Y-08 4 GiB for a known stream (A8)", "0000000000000001ffffffff"},
    {"Y-08 one byte beyond the window", "000000000000000100040001"},
    {"Y-09 SYN of stream 0", "000000010000000000000000"},
    {"Y-09 SYN of stream 0 on a window", "000100010000000000000000"},
    {"Y-09 parity", "000000010000000200000000"},
    {"Y-09 parity on a window", "000100010000000400000000"},
    {"Y-09 doubled SYN", "000000010000000100000000"},
    {"Y-09 doubled SYN on a window", "000100010000000100000000"},
};

static void test_protocol_errors(void **state) {
  (void)state;
  for (size_t i = 0; i < KAD__COUNT(protocol_errors); i++) {
    const row *r = &protocol_errors[i];
    print_message("%s\n", r->name);
    fixture f;
    fixture_init(&f, false);
    assert_ok(feed(&f, "000000010000000100000000"));
    kad__yamux_stream *s = expect_event(&f, KAD__YAMUX_OPENED);
    write_bytes(s, 100);
    assert_error(KAD_E_YAMUX, feed(&f, r->hex));
    assert_ptr_equal(expect_event(&f, KAD__YAMUX_RESET), s);
    expect_no_event(&f);
    assert_int_equal(kad__yamux_stream_error(s), KAD_E_YAMUX);
    expect_dead(&f, KAD_E_YAMUX, 1);
    assert_int_equal(f.memory.live, 2); /* the session, the owner's stream */
    fixture_fini(&f);
  }
}

/* Y-09 from the other side: there, 0 has the right parity. */
static void test_syn_to_a_client(void **state) {
  (void)state;
  static const char *const rows[] = {
      "000000010000000000000000", "000100010000000000000000",
      "000000010000000100000000", "00010001ffffffff00000000"};
  for (size_t i = 0; i < KAD__COUNT(rows); i++) {
    fixture f;
    fixture_init(&f, true);
    accept_stream(&f, 0xfffffffe);
    assert_error(KAD_E_YAMUX, feed(&f, rows[i]));
    expect_dead(&f, KAD_E_YAMUX, 1);
    fixture_fini(&f);
  }
}

/* Y-04 as published, with its body behind it. */
static void test_first_body_beyond_the_window(void **state) {
  (void)state;
  fixture f;
  fixture_init(&f, false);
  uint8_t *frame = calloc(1, 12 + 262145);
  assert_non_null(frame);
  memcpy(frame, test_hex("000000010000000100040001").data, 12);
  assert_error(KAD_E_YAMUX, feed_bytes(&f, kad__bytes(frame, 12 + 262145)));
  expect_no_event(&f);
  expect_output(&f, "000300000000000000000001");
  free(frame);
  fixture_fini(&f);
}

static void test_allowed_oddities(void **state) {
  (void)state;
  static const char *const rows[] = {
      "000100020000000200000000",       /* Y-11 ACK of what nobody opened */
      "00010002000000020000ffff",       /* with credit */
      "000100040000000900000000",       /* FIN, RST of unknown streams */
      "000100080000000900001001",       /* */
      "000000080000000900000000",       /* */
      "000000000000000000000000",       /* nothing for stream 0 */
      "000100000000000000000001",       /* */
      "000000000000006300000003616263", /* a few bytes for nobody */
      "000200020000000000001234",       /* a pong that nobody asked for */
      "000200000000000000000000",       /* a ping that is neither */
      "0000ff000000006300000000",       /* flags of the future */
  };
  fixture f;
  fixture_init(&f, false);
  for (size_t i = 0; i < KAD__COUNT(rows); i++) {
    assert_ok(feed(&f, rows[i]));
  }
  expect_no_event(&f);
  expect_silence(&f);
  assert_int_equal(kad__yamux_stats_get(f.y)->unknown_stream_bytes, 3);
  /* Y-09: any odd id, in any order */
  accept_stream(&f, 0xffffffff);
  accept_stream(&f, 5);
  accept_stream(&f, 3);
  fixture_fini(&f);
}

/* Our stream, before the peer was told of it. */
static void test_guessed_stream(void **state) {
  (void)state;
  fixture f;
  fixture_init(&f, true);
  kad__yamux_stream *s = open_stream(&f);
  assert_ok(feed_data(&f, KAD__YAMUX_ACK | KAD__YAMUX_FIN, 1, 5));
  assert_ok(feed(&f, "000100080000000100000000"));
  expect_no_event(&f);
  assert_int_equal(kad__yamux_stream_error(s), 0);
  assert_int_equal(f.y->unacked, 1);
  expect_output(&f, "000100010000000100000000");
  fixture_fini(&f);
}

static void test_window_to_the_brim(void **state) {
  (void)state;
  fixture f;
  fixture_init(&f, false);
  kad__yamux_stream *s = accept_stream(&f, 1);
  assert_ok(feed_header(&f, KAD__YAMUX_WINDOW_UPDATE, 0, 1,
                        UINT32_MAX - KAD__YAMUX_INITIAL_WINDOW));
  assert_int_equal(s->send_window, UINT32_MAX);
  assert_ok(feed_header(&f, KAD__YAMUX_WINDOW_UPDATE, 0, 1, 0));
  assert_error(KAD_E_YAMUX, feed_header(&f, KAD__YAMUX_WINDOW_UPDATE, 0, 1, 1));
  fixture_fini(&f);
}

/* ---- GoAway ------------------------------------------------------------ */

/* Y-12: any code, any id, and bytes behind it. */
static void test_go_away(void **state) {
  (void)state;
  fixture f;
  fixture_init(&f, false);
  kad__yamux_stream *open = accept_stream(&f, 1);
  kad__yamux_stream *ended = accept_stream(&f, 3);
  assert_ok(feed_data(&f, 0, 1, 10));
  assert_ok(feed_data(&f, KAD__YAMUX_FIN, 3, 20));
  kad__yamux_stream_close_write(ended);
  discard_output(&f);
  write_bytes(open, 10);
  assert_error(KAD_E_GO_AWAY, feed(&f,
                                   "0003000000000007000000ff"
                                   "000000000000000100000001"
                                   "61"));
  assert_int_equal(kad__yamux_stats_get(f.y)->go_away, 0xff);
  /* What came before it is delivered, once. */
  assert_ptr_equal(expect_event(&f, KAD__YAMUX_READABLE), open);
  assert_ptr_equal(expect_event(&f, KAD__YAMUX_RESET), open);
  assert_ptr_equal(expect_event(&f, KAD__YAMUX_READABLE), ended);
  expect_no_event(&f);
  assert_int_equal(kad__yamux_stream_error(open), KAD_E_GO_AWAY);
  assert_int_equal(kad__yamux_stream_error(ended), 0);
  assert_int_equal(kad__yamux_stream_peek(open).len, 10);
  assert_int_equal(kad__yamux_stream_peek(ended).len, 20);
  kad__yamux_stream_consume(open, 10);
  expect_silence(&f);
  assert_error(KAD_E_GO_AWAY,
               kad__yamux_stream_write(open, kad__bytes_of("x")));
  assert_error(KAD_E_GO_AWAY, feed(&f, "00"));
  assert_error(KAD_E_GO_AWAY, kad__yamux_tick(f.y, f.now + KAD_HOUR));
  kad__yamux_stream_release(open);
  kad__yamux_stream_release(ended);
  assert_int_equal(f.memory.live, 1);
  fixture_fini(&f);
}

/* One read brings a stream, its bytes and GoAway: a message that wants no
 * answer is still heard. */
static void test_go_away_at_once(void **state) {
  (void)state;
  fixture f;
  fixture_init(&f, false);
  assert_error(KAD_E_GO_AWAY, feed(&f,
                                   "000000010000000100000002"
                                   "6869"
                                   "000300000000000000000000"));
  kad__yamux_stream *s = expect_event(&f, KAD__YAMUX_OPENED);
  assert_ptr_equal(expect_event(&f, KAD__YAMUX_READABLE), s);
  assert_bytes_equal(kad__yamux_stream_peek(s), kad__bytes_of("hi"));
  expect_event(&f, KAD__YAMUX_RESET);
  expect_no_event(&f);
  expect_silence(&f);
  kad__yamux_stream_release(s);
  assert_int_equal(f.memory.live, 1);
  fixture_fini(&f);
}

static void test_we_close(void **state) {
  (void)state;
  fixture f;
  fixture_init(&f, false);
  kad__yamux_stream *s = accept_stream(&f, 1);
  assert_ok(kad__yamux_stream_write(s, kad__bytes_of("bye")));
  kad__yamux_close(f.y, 0x1006);
  kad__yamux_close(f.y, 1);
  kad__yamux_stream *t = NULL;
  assert_error(KAD_E_CLOSED, kad__yamux_stream_open(f.y, &t));
  expect_output(&f,
                "000000020000000100000003"
                "627965"
                "000300000000000000001006");
  expect_event(&f, KAD__YAMUX_WRITABLE);
  /* New streams are refused with "shutdown". */
  assert_ok(feed_data(&f, KAD__YAMUX_SYN, 3, 5));
  expect_no_event(&f);
  expect_output(&f, "000100080000000300001007");
  fixture_fini(&f);
}

/* ---- bytes for streams that are gone ----------------------------------- */

static void test_drain_budget(void **state) {
  (void)state;
  fixture f;
  fixture_init(&f, false);
  for (int i = 0; i < 16; i++) {
    assert_ok(feed_data(&f, 0, 99, 65536));
  }
  assert_int_equal(kad__yamux_stats_get(f.y)->unknown_stream_bytes, 1 << 20);
  assert_ok(feed_data(&f, 0, 99, 0));
  assert_error(KAD_E_YAMUX, feed_header(&f, KAD__YAMUX_DATA, 0, 99, 1));
  expect_dead(&f, KAD_E_YAMUX, 1);
  fixture_fini(&f);
}

/* What a window allowed may still come after our reset, every time. */
static void test_drain_of_what_was_allowed(void **state) {
  (void)state;
  fixture f;
  fixture_init(&f, false);
  for (uint32_t i = 0; i < 100; i++) {
    f.now += KAD_SECOND;
    kad__yamux_stream *s = accept_stream(&f, 2 * i + 1);
    kad__yamux_stream_reset(s, 0);
    kad__yamux_stream_release(s);
    discard_output(&f);
    assert_ok(feed_data(&f, 0, 2 * i + 1, KAD__YAMUX_INITIAL_WINDOW));
  }
  assert_int_equal(f.y->drain_budget, KAD__YAMUX_DRAIN_START);
  fixture_fini(&f);
}

/* Who is refused a stream has perhaps written already. */
static void test_drain_after_refusal(void **state) {
  (void)state;
  fixture f;
  kad__yamux_config config;
  kad__yamux_config_default(&config);
  config.max_inbound_streams = 0;
  fixture_init_with(&f, &config);
  for (uint32_t i = 0; i < 100; i++) {
    assert_ok(feed_data(&f, KAD__YAMUX_SYN, 2 * i + 1, 262144));
  }
  assert_int_equal(f.y->drain_budget, KAD__YAMUX_DRAIN_START);
  fixture_fini(&f);
}

static void test_drain_after_giving_way(void **state) {
  (void)state;
  fixture f;
  kad__yamux_config config;
  kad__yamux_config_default(&config);
  config.max_inbound_streams = 1;
  fixture_init_with(&f, &config);
  for (uint32_t i = 0; i < 100; i++) {
    kad__yamux_stream_release(accept_stream(&f, 2 * i + 1));
    discard_output(&f);
    if (i != 0) {
      assert_ok(feed_data(&f, 0, 2 * i - 1, 262144));
    }
    f.now += KAD__YAMUX_LINGER_MIN;
  }
  assert_int_equal(f.y->drain_budget, KAD__YAMUX_DRAIN_START);
  fixture_fini(&f);
}

/* A reset that was not pulled before the session died is forgotten. */
static void test_death_of_a_reset_stream(void **state) {
  (void)state;
  fixture f;
  fixture_init(&f, false);
  kad__yamux_stream *s = accept_stream(&f, 1);
  kad__yamux_stream_reset(s, 7);
  assert_error(KAD_E_YAMUX, feed(&f, "010000000000000000000000"));
  expect_no_event(&f);
  assert_int_equal(kad__yamux_stream_error(s), KAD_E_STREAM_RESET);
  kad__yamux_stream_release(s);
  assert_int_equal(f.memory.live, 1);
  expect_output(&f, "000300000000000000000001");
  fixture_fini(&f);
}

/* Data behind the peer's own end costs it that stream. */
static void test_data_behind_the_end(void **state) {
  (void)state;
  fixture f;
  fixture_init(&f, false);
  kad__yamux_stream *s = accept_stream(&f, 1);
  assert_ok(feed_data(&f, KAD__YAMUX_FIN, 1, 5));
  expect_event(&f, KAD__YAMUX_READABLE);
  assert_ok(feed_data(&f, 0, 1, 5));
  expect_event(&f, KAD__YAMUX_RESET);
  assert_int_equal(kad__yamux_stream_error(s), KAD_E_YAMUX);
  expect_output(&f, "000100080000000100001004");
  fixture_fini(&f);
}

/* ---- our own streams --------------------------------------------------- */

/* Y-21, Y-28: a peer that never acknowledges. */
static void test_unacknowledged_streams(void **state) {
  (void)state;
  fixture f;
  fixture_init(&f, true);
  kad__yamux_stream *streams[600];
  kad__yamux_stream *s = NULL;
  for (int i = 0; i < 256; i++) {
    streams[i] = open_stream(&f);
  }
  assert_error(KAD_E_LIMIT, kad__yamux_stream_open(f.y, &s));
  discard_output(&f);
  assert_error(KAD_E_LIMIT, kad__yamux_stream_open(f.y, &s));
  for (uint32_t i = 256; i < 448; i++) {
    assert_ok(feed_header(&f, KAD__YAMUX_WINDOW_UPDATE, KAD__YAMUX_ACK,
                          2 * (i - 256) + 1, 0));
    streams[i] = open_stream(&f);
    assert_int_equal(f.y->unacked, 256);
  }
  /* Y-28: rust-libp2p takes no more than 512 in all. */
  assert_ok(feed_header(&f, KAD__YAMUX_WINDOW_UPDATE, KAD__YAMUX_ACK, 447, 0));
  assert_error(KAD_E_LIMIT, kad__yamux_stream_open(f.y, &s));
  assert_int_equal(f.y->outbound, 448);
  discard_output(&f);
  /* One that only waits for the peer's end gives way. */
  kad__yamux_stream_release(streams[0]);
  discard_output(&f);
  assert_error(KAD_E_LIMIT, kad__yamux_stream_open(f.y, &s));
  f.now += KAD__YAMUX_LINGER_MIN;
  assert_ok(feed_header(&f, KAD__YAMUX_PING, KAD__YAMUX_ACK, 0, 0));
  streams[0] = open_stream(&f);
  expect_frame(&f, KAD__YAMUX_WINDOW_UPDATE, KAD__YAMUX_RST, 1, 0);
  expect_frame(&f, KAD__YAMUX_WINDOW_UPDATE, KAD__YAMUX_SYN, 897, 0);
  fixture_fini(&f);
}

/* An inbound stream makes no room for one of ours. */
static void test_giving_way_is_per_direction(void **state) {
  (void)state;
  fixture f;
  kad__yamux_config config;
  kad__yamux_config_default(&config);
  config.max_outbound_streams = 1;
  fixture_init_with(&f, &config);
  kad__yamux_stream_release(accept_stream(&f, 1));
  open_stream(&f);
  discard_output(&f);
  f.now += KAD__YAMUX_LINGER_MIN;
  assert_ok(feed(&f, "000200020000000000000000"));
  kad__yamux_stream *s = NULL;
  assert_error(KAD_E_LIMIT, kad__yamux_stream_open(f.y, &s));
  expect_silence(&f);
  fixture_fini(&f);
}

/* Y-26: the last stream ids. */
static void test_stream_ids_run_out(void **state) {
  (void)state;
  fixture f;
  for (int client = 0; client < 2; client++) {
    fixture_init(&f, client != 0);
    f.y->next_id = client != 0 ? UINT32_MAX : UINT32_MAX - 1;
    kad__yamux_stream *s = open_stream(&f);
    assert_true(kad__yamux_stream_id(s) >= UINT32_MAX - 1);
    assert_error(KAD_E_LIMIT, kad__yamux_stream_open(f.y, &s));
    kad__yamux_close(f.y, 0);
    fixture_fini(&f);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_protocol_errors),
      cmocka_unit_test(test_syn_to_a_client),
      cmocka_unit_test(test_first_body_beyond_the_window),
      cmocka_unit_test(test_allowed_oddities),
      cmocka_unit_test(test_guessed_stream),
      cmocka_unit_test(test_window_to_the_brim),
      cmocka_unit_test(test_go_away),
      cmocka_unit_test(test_go_away_at_once),
      cmocka_unit_test(test_we_close),
      cmocka_unit_test(test_drain_budget),
      cmocka_unit_test(test_drain_after_refusal),
      cmocka_unit_test(test_drain_after_giving_way),
      cmocka_unit_test(test_death_of_a_reset_stream),
      cmocka_unit_test(test_drain_of_what_was_allowed),
      cmocka_unit_test(test_data_behind_the_end),
      cmocka_unit_test(test_unacknowledged_streams),
      cmocka_unit_test(test_giving_way_is_per_direction),
      cmocka_unit_test(test_stream_ids_run_out),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
