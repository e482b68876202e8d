/* AutoNAT against peers that lie, stop, or send what they must not. */
#include "fake_swarm.h"
#include "multiformats/varint.h"
#include "protocols/autonat.h"
#include "support.h"
#include "wire/addresses.h"

typedef struct fixture {
  kad__swarm *swarm;
  kad__autonat *autonat;
  kad_random random;
  test_allocator memory;
  kad_peer_id peer;
  kad__id connection;
  kad_time now;
} fixture;

static int set_up(void **out) {
  fixture *f = calloc(1, sizeof(*f));
  f->swarm = fake_swarm_new();
  test_allocator_init(&f->memory);
  kad_random_init_u64(&f->random, 7);
  f->now = KAD_MINUTE;
  kad__autonat_config config;
  kad__autonat_config_default(&config);
  config.allocator = &f->memory.allocator;
  config.swarm = f->swarm;
  config.random = &f->random;
  config.serve = true;
  assert_ok(kad__autonat_new(&f->autonat, &config));
  f->peer = fake_peer(1);
  f->connection = fake_connect(f->swarm, &f->peer, kad__bytes(NULL, 0),
                               "/ip4/8.8.8.1/tcp/1", true);
  *out = f;
  return 0;
}

static int tear_down(void **in) {
  fixture *f = *in;
  kad__autonat_free(f->autonat);
  kad__autonat_free(NULL);
  assert_int_equal(f->memory.live, 0);
  assert_int_equal(fake_live_streams(f->swarm), 0);
  assert_int_equal(f->swarm->protocol_count, 0);
  fake_swarm_free(f->swarm);
  free(f);
  return 0;
}

static const kad__autonat_counters *counters(const fixture *f) {
  return kad__autonat_counters_get(f->autonat);
}

static void tell(fixture *f, kad__swarm_event_type type, kad__stream *stream,
                 int error) {
  kad__swarm_event event = fake_event(type, stream);
  event.error = error;
  kad__autonat_handle_event(f->autonat, &event, f->now);
}

static void arrive(fixture *f, kad__stream *stream, kad_bytes bytes) {
  fake_arrive(stream, bytes);
  tell(f, KAD__SWARM_STREAM_READABLE, stream, 0);
}

static kad_bytes encoded(const kad__autonat_message *message) {
  static uint8_t out[KAD__AUTONAT_DATA_MAX + 64];
  int len = kad__autonat_encode(out, sizeof(out), message);
  assert_true(len > 0);
  return kad__bytes(out, (size_t)len);
}

static kad_bytes list_of(const char *text) {
  static uint8_t list[256];
  uint8_t address[128];
  size_t len = 0;
  int size = kad_multiaddr_parse(address, sizeof(address), text);
  assert_true(size > 0);
  assert_true(kad__addresses_append(list, sizeof(list), &len,
                                    kad__bytes(address, (size_t)size)));
  return kad__bytes(list, len);
}

/* The first message that was written on a stream. */
static kad__autonat_message written(const kad__stream *stream) {
  kad__autonat_message m = {.type = KAD__AUTONAT_DIAL_REQUEST};
  kad_bytes out = fake_written(stream);
  uint64_t len = 0;
  int prefix = kad__varint_decode(&len, out);
  assert_true(prefix > 0 && out.len >= (size_t)prefix + len);
  assert_ok(
      kad__autonat_decode(&m, kad__bytes(out.data + prefix, (size_t)len)));
  return m;
}

/* ---- as a client --------------------------------------------------------- */

static kad__stream *probe(fixture *f) {
  uint64_t id = 0;
  size_t index = fake_stream_count(f->swarm);
  assert_ok(kad__autonat_probe(f->autonat, &id, &f->peer,
                               list_of("/ip4/8.8.8.8/tcp/4001"), f->now));
  return fake_stream(f->swarm, index);
}

static void expect(fixture *f, kad__autonat_event_type type, int error) {
  kad__autonat_event event;
  assert_true(kad__autonat_poll(f->autonat, &event));
  assert_int_equal(event.type, type);
  assert_error(error, event.error);
  assert_true(kad_peer_id_equal(&event.server, &f->peer));
  assert_false(kad__autonat_poll(f->autonat, &event));
}

static const kad__autonat_message fine = {.type = KAD__AUTONAT_DIAL_RESPONSE,
                                          .status = KAD__AUTONAT_OK,
                                          .dial_status = KAD__AUTONAT_DIAL_OK};

/* A dial-back with that number, on a new connection. */
static kad__stream *dial_back(fixture *f, uint64_t nonce, const char *local) {
  static uint8_t address[64];
  uint8_t bytes[KAD__AUTONAT_BACK_MAX];
  int len = kad__autonat_encode_back(bytes, sizeof(bytes), nonce);
  kad__id id = fake_connect(f->swarm, &f->peer, kad__bytes(NULL, 0),
                            "/ip4/8.8.8.1/tcp/2", true);
  int size = kad_multiaddr_parse(address, sizeof(address), local);
  for (size_t i = 0; i < FAKE_CONNECTIONS; i++) {
    if (f->swarm->connections[i].info.id == id) {
      f->swarm->connections[i].info.local_address =
          kad__bytes(address, (size_t)size);
    }
  }
  kad__stream *stream = fake_inbound(f->swarm, id, KAD__TAG_AUTONAT_BACK);
  fake_arrive(stream, kad__bytes(bytes, (size_t)len));
  tell(f, KAD__SWARM_STREAM_INBOUND, stream, 0);
  return stream;
}

static void number_first_then_answer(void **state) {
  fixture *f = *state;
  kad__stream *stream = probe(f);
  kad__autonat_message request = written(stream);
  kad__stream *back = dial_back(f, request.nonce, "/ip4/8.8.8.8/tcp/4001");
  assert_true(back->gone && !back->was_reset);
  assert_int_equal(fake_written(back).len, 1);
  arrive(f, stream, encoded(&fine));
  assert_true(stream->gone && !stream->was_reset);
  expect(f, KAD__AUTONAT_REACHABLE, 0);
}

static void answer_first_then_number(void **state) {
  fixture *f = *state;
  kad__stream *stream = probe(f);
  uint64_t nonce = written(stream).nonce;
  arrive(f, stream, encoded(&fine));
  assert_int_equal(kad__autonat_deadline(f->autonat), f->now + 5 * KAD_SECOND);
  (void)dial_back(f, nonce, "/ip4/8.8.8.8/tcp/4001");
  expect(f, KAD__AUTONAT_REACHABLE, 0);
}

static void a_claimed_dial_is_not_believed(void **state) {
  fixture *f = *state;
  kad__stream *stream = probe(f);
  arrive(f, stream, encoded(&fine));
  f->now += 5 * KAD_SECOND;
  kad__autonat_tick(f->autonat, f->now);
  expect(f, KAD__AUTONAT_FAILED, KAD_E_MESSAGE);
}

/* The number came over IPv6: that says nothing about the IPv4 address. */
static void the_number_comes_to_the_address(void **state) {
  fixture *f = *state;
  kad__stream *stream = probe(f);
  (void)dial_back(f, written(stream).nonce, "/ip6/2a00::1/tcp/4001");
  arrive(f, stream, encoded(&fine));
  expect(f, KAD__AUTONAT_FAILED, KAD_E_MESSAGE);
}

static void numbers_are_not_guessed(void **state) {
  fixture *f = *state;
  assert_true(dial_back(f, 1, "/ip4/8.8.8.8/tcp/4001")->was_reset);
  kad__stream *stream = probe(f);
  uint64_t nonce = written(stream).nonce;
  assert_true(dial_back(f, nonce + 1, "/ip4/8.8.8.8/tcp/4001")->was_reset);
  assert_int_equal(counters(f)->unasked, 2);
  /* One number is good for one dial. */
  assert_false(dial_back(f, nonce, "/ip4/8.8.8.8/tcp/4001")->was_reset);
  assert_true(dial_back(f, nonce, "/ip4/8.8.8.8/tcp/4001")->was_reset);
}

static void bad_answers_fail(void **state) {
  fixture *f = *state;
  const kad__autonat_message rows[] = {
      {.type = KAD__AUTONAT_DIAL_RESPONSE, .status = 7},
      {.type = KAD__AUTONAT_DIAL_RESPONSE,
       .status = KAD__AUTONAT_OK,
       .dial_status = KAD__AUTONAT_DIAL_OK,
       .index = 1},
      {.type = KAD__AUTONAT_DIAL_RESPONSE,
       .status = KAD__AUTONAT_OK,
       .dial_status = KAD__AUTONAT_DIAL_UNUSED},
      {.type = KAD__AUTONAT_DATA_REQUEST, .wanted = 100001},
      {.type = KAD__AUTONAT_DATA_REQUEST, .wanted = 0},
      {.type = KAD__AUTONAT_DATA_REQUEST, .wanted = 30000, .index = 1},
      {.type = KAD__AUTONAT_DATA_RESPONSE, .data_len = 3},
      {.type = KAD__AUTONAT_DIAL_REQUEST}};
  for (size_t i = 0; i < KAD__COUNT(rows); i++) {
    kad__stream *stream = probe(f);
    arrive(f, stream, encoded(&rows[i]));
    assert_true(stream->was_reset);
    expect(f, KAD__AUTONAT_FAILED, KAD_E_MESSAGE);
  }
  kad__stream *stream = probe(f);
  stream->ended = true;
  tell(f, KAD__SWARM_STREAM_READABLE, stream, 0);
  expect(f, KAD__AUTONAT_FAILED, KAD_E_TRUNCATED);
  stream = probe(f);
  tell(f, KAD__SWARM_STREAM_DEAD, stream, KAD_E_TIMEOUT);
  expect(f, KAD__AUTONAT_FAILED, KAD_E_TIMEOUT);
}

/* A hundred thousand bytes go out, a few at a time, and only once. */
static void data_is_sent_without_piling_up(void **state) {
  fixture *f = *state;
  kad__stream *stream = probe(f);
  size_t before = fake_written(stream).len;
  fake_flush(stream);
  kad__autonat_message wants = {.type = KAD__AUTONAT_DATA_REQUEST,
                                .wanted = 100000};
  arrive(f, stream, encoded(&wants));
  for (size_t i = 0; i < 100; i++) {
    assert_true(kad__stream_unsent(stream) <= 5 * KAD__AUTONAT_DATA_MAX);
    fake_flush(stream);
    tell(f, KAD__SWARM_STREAM_WRITABLE, stream, 0);
  }
  size_t sent = fake_written(stream).len - before;
  assert_in_range(sent, 100000, 101000);
  arrive(f, stream, encoded(&wants));
  assert_true(stream->was_reset);
  expect(f, KAD__AUTONAT_FAILED, KAD_E_MESSAGE);
}

static void probes_are_bounded(void **state) {
  fixture *f = *state;
  uint64_t id = 0;
  kad_bytes list = list_of("/ip4/8.8.8.8/tcp/4001");
  for (size_t i = 0; i < 32; i++) {
    assert_ok(kad__autonat_probe(f->autonat, &id, &f->peer, list, f->now));
  }
  assert_error(KAD_E_LIMIT,
               kad__autonat_probe(f->autonat, &id, &f->peer, list, f->now));
  kad_peer_id stranger = fake_peer(9);
  kad__autonat_event event;
  tell(f, KAD__SWARM_STREAM_DEAD, fake_stream(f->swarm, 0), KAD_E_CLOSED);
  assert_error(KAD_E_LIMIT,
               kad__autonat_probe(f->autonat, &id, &f->peer, list, f->now));
  assert_true(kad__autonat_poll(f->autonat, &event));
  assert_error(KAD_E_CLOSED,
               kad__autonat_probe(f->autonat, &id, &stranger, list, f->now));
  assert_error(KAD_E_INVALID_ARGUMENT,
               kad__autonat_probe(f->autonat, &id, &f->peer,
                                  kad__bytes(NULL, 0), f->now));
}

/* ---- as a server --------------------------------------------------------- */

static kad__stream *visit(fixture *f, const char *address) {
  kad__stream *stream = fake_inbound(f->swarm, f->connection, KAD__TAG_AUTONAT);
  kad__autonat_message request = {.type = KAD__AUTONAT_DIAL_REQUEST,
                                  .addresses = list_of(address),
                                  .nonce = 77};
  fake_arrive(stream, encoded(&request));
  tell(f, KAD__SWARM_STREAM_INBOUND, stream, 0);
  return stream;
}

static void expect_response(const kad__stream *stream, uint32_t status,
                            uint32_t dial_status) {
  kad__autonat_message m = written(stream);
  assert_true(stream->gone && !stream->was_reset);
  assert_int_equal(m.type, KAD__AUTONAT_DIAL_RESPONSE);
  assert_int_equal(m.status, status);
  assert_int_equal(m.dial_status, dial_status);
}

/* The dial of the last visit ends in a connection from `remote`. */
static kad__id connected(fixture *f, const char *remote) {
  kad__id id =
      fake_connect(f->swarm, &f->peer, kad__bytes(NULL, 0), remote, false);
  kad__swarm_event event = fake_peer_event(KAD__SWARM_CONNECTED, id, &f->peer);
  event.dial = f->swarm->last_dial;
  kad__autonat_handle_event(f->autonat, &event, f->now);
  return id;
}

static void the_peer_must_answer(void **state) {
  fixture *f = *state;
  kad__stream *stream = visit(f, "/ip4/8.8.8.1/tcp/4001");
  char text[256];
  assert_true(kad_multiaddr_format(
                  text, sizeof(text),
                  kad__bytes(f->swarm->dialled, f->swarm->dialled_len)) > 0);
  assert_non_null(strstr(text, "/ip4/8.8.8.1/tcp/4001/p2p/Qm"));
  (void)connected(f, "/ip4/8.8.8.1/tcp/4001");
  kad__stream *back = fake_stream(f->swarm, 1);
  uint64_t nonce = 0;
  kad_bytes out = fake_written(back);
  assert_ok(kad__autonat_decode_back(&nonce, kad__bytes_skip(out, 1)));
  assert_int_equal(nonce, 77);
  assert_int_equal(back->deadline, f->now + 5 * KAD_SECOND);
  tell(f, KAD__SWARM_STREAM_OPENED, back, 0);
  tell(f, KAD__SWARM_STREAM_READABLE, back, 0);
  expect_response(stream, KAD__AUTONAT_OK, KAD__AUTONAT_DIAL_OK);
  assert_int_equal(kad__swarm_connection_count(f->swarm), 1);
}

static void a_refused_stream_is_told(void **state) {
  fixture *f = *state;
  kad__stream *stream = visit(f, "/ip4/8.8.8.1/tcp/4001");
  (void)connected(f, "/ip4/8.8.8.1/tcp/4001");
  tell(f, KAD__SWARM_STREAM_DEAD, fake_stream(f->swarm, 1), KAD_E_NO_PROTOCOL);
  expect_response(stream, KAD__AUTONAT_OK, KAD__AUTONAT_BACK_ERROR);
}

/* A dial that somebody else had begun may have ended elsewhere. */
static void another_address_proves_nothing(void **state) {
  fixture *f = *state;
  kad__stream *stream = visit(f, "/ip4/8.8.8.1/tcp/4001");
  (void)connected(f, "/ip4/8.8.8.1/tcp/5");
  expect_response(stream, KAD__AUTONAT_INTERNAL_ERROR,
                  KAD__AUTONAT_DIAL_UNUSED);
  assert_int_equal(kad__swarm_connection_count(f->swarm), 2);
}

static void no_dial_no_answer(void **state) {
  fixture *f = *state;
  f->swarm->dial_result = KAD_E_LIMIT;
  expect_response(visit(f, "/ip4/8.8.8.1/tcp/4001"),
                  KAD__AUTONAT_INTERNAL_ERROR, KAD__AUTONAT_DIAL_UNUSED);
}

static void undialable_addresses_are_refused(void **state) {
  fixture *f = *state;
  static const char *const bad[] = {
      "/dns4/example.org/tcp/1", "/ip4/8.8.8.1/udp/1/quic-v1",
      "/ip4/8.8.8.1/tcp/1/ws",   "/ip4/8.8.8.1/tcp/0",
      "/ip4/10.0.0.1/tcp/1",     "/ip4/127.0.0.1/tcp/1",
      "/ip6/fe80::1/tcp/1",      "/ip4/0.0.0.0/tcp/1"};
  for (size_t i = 0; i < KAD__COUNT(bad); i++) {
    expect_response(visit(f, bad[i]), KAD__AUTONAT_DIAL_REFUSED,
                    KAD__AUTONAT_DIAL_UNUSED);
  }
  assert_int_equal(counters(f)->refused, KAD__COUNT(bad));
  assert_int_equal(f->swarm->last_dial, 0);
}

static void data_comes_in_proper_pieces(void **state) {
  fixture *f = *state;
  kad__stream *stream = visit(f, "/ip4/9.9.9.9/tcp/1");
  kad__autonat_message wants = written(stream);
  assert_int_equal(wants.type, KAD__AUTONAT_DATA_REQUEST);
  assert_in_range(wants.wanted, 30000, 100000);
  kad__autonat_message piece = {.type = KAD__AUTONAT_DATA_RESPONSE,
                                .data_len = 99};
  arrive(f, stream, encoded(&piece));
  assert_true(stream->was_reset);

  stream = visit(f, "/ip4/9.9.9.9/tcp/1");
  wants = written(stream);
  piece.data_len = KAD__AUTONAT_DATA_MAX;
  for (uint64_t sent = 0; sent < wants.wanted; sent += piece.data_len) {
    assert_int_equal(kad__autonat_deadline(f->autonat), KAD_TIME_NEVER);
    arrive(f, stream, encoded(&piece));
  }
  f->now = kad__autonat_deadline(f->autonat);
  assert_true(f->now < KAD_MINUTE + 3 * KAD_SECOND);
  kad__autonat_tick(f->autonat, f->now);
  assert_int_equal(f->swarm->last_dial, 1);
  tell(f, KAD__SWARM_STREAM_DEAD, stream, KAD_E_STREAM_RESET);
}

static void bad_requests_are_reset(void **state) {
  fixture *f = *state;
  static const char *const bad[] = {"02120008", "030a0110", "80c000", "0100",
                                    "ffffffffffffffffffff01"};
  for (size_t i = 0; i < KAD__COUNT(bad); i++) {
    kad__stream *stream =
        fake_inbound(f->swarm, f->connection, KAD__TAG_AUTONAT);
    tell(f, KAD__SWARM_STREAM_INBOUND, stream, 0);
    arrive(f, stream, test_hex(bad[i]));
    assert_true(stream->was_reset);
    assert_int_equal(stream->code, KAD__STREAM_PROTOCOL_VIOLATION);
  }
  assert_int_equal(counters(f)->malformed, KAD__COUNT(bad));
}

static void visits_are_bounded(void **state) {
  fixture *f = *state;
  kad__stream *streams[3];
  for (size_t i = 0; i < 3; i++) {
    streams[i] = fake_inbound(f->swarm, f->connection, KAD__TAG_AUTONAT);
    tell(f, KAD__SWARM_STREAM_INBOUND, streams[i], 0);
    assert_int_equal(streams[i]->deadline,
                     i < 2 ? f->now + KAD_MINUTE : KAD_TIME_NEVER);
  }
  assert_true(streams[2]->was_reset);
  assert_int_equal(streams[2]->code, KAD__STREAM_LIMIT);
}

static void minutes_are_for_everybody(void **state) {
  fixture *f = *state;
  for (unsigned i = 0; i < 61; i++) {
    f->peer = fake_peer(100 + i / 12);
    f->connection = fake_connect(f->swarm, &f->peer, kad__bytes(NULL, 0),
                                 "/ip4/8.8.8.1/tcp/1", true);
    f->swarm->dial_result = KAD_E_LIMIT;
    expect_response(
        visit(f, "/ip4/8.8.8.1/tcp/4001"),
        i < 60 ? KAD__AUTONAT_INTERNAL_ERROR : KAD__AUTONAT_REJECTED,
        KAD__AUTONAT_DIAL_UNUSED);
    fake_disconnect(f->swarm, f->connection);
  }
  assert_int_equal(counters(f)->rejected, 1);
}

static void without_memory(void **state) {
  fixture *f = *state;
  uint64_t id = 0;
  f->memory.fail_at = f->memory.calls + 1;
  assert_error(KAD_E_NO_MEMORY,
               kad__autonat_probe(f->autonat, &id, &f->peer,
                                  list_of("/ip4/8.8.8.8/tcp/1"), f->now));
  f->memory.fail_at = f->memory.calls + 1;
  assert_true(visit(f, "/ip4/8.8.8.1/tcp/4001")->was_reset);
  for (size_t i = 1; i <= 2; i++) {
    kad__autonat *other = NULL;
    kad__autonat_config config;
    kad__autonat_config_default(&config);
    config.allocator = &f->memory.allocator;
    config.swarm = f->swarm;
    config.random = &f->random;
    f->memory.fail_at = f->memory.calls + i;
    assert_error(KAD_E_NO_MEMORY, kad__autonat_new(&other, &config));
  }
  f->memory.fail_at = 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(number_first_then_answer),
      TEST(answer_first_then_number),
      TEST(a_claimed_dial_is_not_believed),
      TEST(the_number_comes_to_the_address),
      TEST(numbers_are_not_guessed),
      TEST(bad_answers_fail),
      TEST(data_is_sent_without_piling_up),
      TEST(probes_are_bounded),
      TEST(the_peer_must_answer),
      TEST(a_refused_stream_is_told),
      TEST(another_address_proves_nothing),
      TEST(no_dial_no_answer),
      TEST(undialable_addresses_are_refused),
      TEST(data_comes_in_proper_pieces),
      TEST(bad_requests_are_reset),
      TEST(visits_are_bounded),
      TEST(minutes_are_for_everybody),
      TEST(without_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
