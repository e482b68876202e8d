/* Both sides of ping over a fake swarm. */
#include "fake_swarm.h"
#include "protocols/ping.h"
#include "support.h"

typedef struct fixture {
  kad__swarm *swarm;
  kad__ping *ping;
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
  f->now = KAD_SECOND;
  assert_ok(
      kad__ping_new(&f->ping, &f->memory.allocator, f->swarm, &f->random));
  f->peer = fake_peer(1);
  f->connection = fake_connect(f->swarm, &f->peer, kad__bytes(NULL, 0),
                               "/ip4/127.0.0.1/tcp/1", true);
  *out = f;
  return 0;
}

static int tear_down(void **in) {
  fixture *f = *in;
  kad__ping_free(f->ping);
  kad__ping_free(NULL);
  assert_int_equal(f->memory.live, 0);
  assert_int_equal(fake_live_streams(f->swarm), 0);
  assert_int_equal(f->swarm->protocol_count, 0);
  fake_swarm_free(f->swarm);
  free(f);
  return 0;
}

static void tell(fixture *f, kad__swarm_event_type type, kad__stream *stream,
                 int error) {
  kad__swarm_event event = fake_event(type, stream);
  event.error = error;
  kad__ping_handle_event(f->ping, &event, f->now);
}

static kad__stream *open_inbound(fixture *f) {
  kad__stream *stream = fake_inbound(f->swarm, f->connection, KAD__TAG_PING);
  tell(f, KAD__SWARM_STREAM_INBOUND, stream, 0);
  return stream;
}

static kad_bytes payload(uint8_t fill, size_t len) {
  static uint8_t bytes[1024];
  memset(bytes, fill, sizeof(bytes));
  return kad__bytes(bytes, len);
}

static void echoes_again_and_again(void **state) {
  fixture *f = *state;
  kad__stream *stream = open_inbound(f);
  for (uint8_t i = 0; i < 20; i++) {
    f->now += 10 * KAD_SECOND;
    fake_arrive(stream, payload(i, 32));
    tell(f, KAD__SWARM_STREAM_READABLE, stream, 0);
    fake_flush(stream);
    assert_int_equal(stream->deadline, f->now + KAD__PING_IDLE);
    kad_bytes out = fake_written(stream);
    assert_int_equal(out.len, 32 * (i + 1u));
    assert_memory_equal(out.data + 32 * (size_t)i, payload(i, 32).data, 32);
  }
  stream->ended = true;
  tell(f, KAD__SWARM_STREAM_READABLE, stream, 0);
  assert_true(stream->gone);
  assert_false(stream->was_reset);
  assert_int_equal(kad__ping_counters_get(f->ping)->echoed, 20);
}

/* The ping may be there, and the stream at its end, before the first event. */
static void echoes_at_once(void **state) {
  fixture *f = *state;
  kad__stream *stream = fake_inbound(f->swarm, f->connection, KAD__TAG_PING);
  fake_arrive(stream, payload(3, 32));
  stream->ended = true;
  tell(f, KAD__SWARM_STREAM_INBOUND, stream, 0);
  assert_bytes_equal(fake_written(stream), payload(3, 32));
  assert_true(stream->gone);
}

/* P-01 */
static void a_part_of_a_ping_waits(void **state) {
  fixture *f = *state;
  kad__stream *stream = open_inbound(f);
  kad_time deadline = stream->deadline;
  f->now += KAD_SECOND;
  fake_arrive(stream, payload(1, 31));
  tell(f, KAD__SWARM_STREAM_READABLE, stream, 0);
  assert_int_equal(fake_written(stream).len, 0);
  assert_int_equal(stream->deadline, deadline);
  fake_arrive(stream, payload(1, 2));
  tell(f, KAD__SWARM_STREAM_READABLE, stream, 0);
  assert_int_equal(fake_written(stream).len, 32);
  tell(f, KAD__SWARM_STREAM_DEAD, stream, KAD_E_TIMEOUT);
  assert_true(stream->gone);
}

static void does_not_pile_up_echoes(void **state) {
  fixture *f = *state;
  kad__stream *stream = open_inbound(f);
  for (size_t i = 0; i < 64; i++) {
    fake_arrive(stream, payload(9, 1024));
  }
  tell(f, KAD__SWARM_STREAM_READABLE, stream, 0);
  assert_int_equal(fake_written(stream).len, 16 * 32);
  for (size_t i = 0; i < 200; i++) {
    fake_flush(stream);
    tell(f, KAD__SWARM_STREAM_WRITABLE, stream, 0);
  }
  assert_int_equal(fake_written(stream).len, 64 * 1024);
}

/* P-02 */
static void refuses_a_third_stream(void **state) {
  fixture *f = *state;
  kad__stream *first = open_inbound(f);
  kad__stream *second = open_inbound(f);
  kad__stream *third = open_inbound(f);
  assert_true(third->was_reset);
  assert_false(first->gone || second->gone);
  assert_int_equal(kad__ping_counters_get(f->ping)->refused, 1);
  first->ended = true;
  tell(f, KAD__SWARM_STREAM_READABLE, first, 0);
  kad__stream *fourth = open_inbound(f);
  assert_false(fourth->gone);
}

/* Over another connection it is the oldest that goes: a peer that calls again
 * has lost it, perhaps, and a router did not tell us. */
static void a_new_connection_makes_room(void **state) {
  fixture *f = *state;
  kad__stream *first = open_inbound(f);
  kad__stream *second = open_inbound(f);
  f->connection = fake_connect(f->swarm, &f->peer, kad__bytes(NULL, 0),
                               "/ip4/127.0.0.1/tcp/2", true);
  kad__stream *third = open_inbound(f);
  assert_true(first->was_reset);
  assert_false(second->gone || third->gone);
  kad__stream *fourth = open_inbound(f);
  assert_true(second->was_reset);
  assert_false(third->gone || fourth->gone);
  kad__stream *fifth = open_inbound(f);
  assert_true(fifth->was_reset);
  assert_false(third->gone || fourth->gone);
}

static void a_peer_without_streams_costs_nothing(void **state) {
  fixture *f = *state;
  size_t live = f->memory.live;
  kad__stream *a = open_inbound(f);
  kad__stream *b = open_inbound(f);
  tell(f, KAD__SWARM_STREAM_DEAD, a, KAD_E_STREAM_RESET);
  tell(f, KAD__SWARM_STREAM_DEAD, b, KAD_E_CLOSED);
  assert_true(f->memory.live <= live + 1); /* the map's slots */
}

static void expect_event(fixture *f, int error, uint64_t id, kad_time rtt) {
  kad__ping_event event;
  assert_true(kad__ping_poll(f->ping, &event));
  assert_int_equal(event.type, error == 0 ? KAD__PING_PONG : KAD__PING_FAILED);
  assert_error(error, event.error);
  assert_int_equal(event.id, id);
  assert_int_equal(event.rtt, rtt);
  assert_true(kad_peer_id_equal(&event.peer, &f->peer));
  assert_false(kad__ping_poll(f->ping, &event));
}

static void measures_the_round_trip(void **state) {
  fixture *f = *state;
  uint64_t id = 0;
  assert_ok(kad__ping_start(f->ping, &id, &f->peer, f->now));
  kad__stream *stream = fake_stream(f->swarm, 0);
  kad_bytes sent = fake_written(stream);
  assert_int_equal(sent.len, 32);
  assert_int_equal(stream->deadline, f->now + KAD__PING_TIMEOUT);
  tell(f, KAD__SWARM_STREAM_OPENED, stream, 0);
  f->now += 30 * KAD_MILLISECOND;
  fake_arrive(stream, kad__bytes(sent.data, 10));
  tell(f, KAD__SWARM_STREAM_READABLE, stream, 0);
  fake_arrive(stream, kad__bytes(sent.data + 10, 22));
  tell(f, KAD__SWARM_STREAM_READABLE, stream, 0);
  assert_true(stream->gone && !stream->was_reset);
  expect_event(f, 0, id, 30 * KAD_MILLISECOND);
}

static void judges_the_echo(void **state) {
  fixture *f = *state;
  uint64_t id = 0;
  assert_ok(kad__ping_start(f->ping, &id, &f->peer, f->now));
  kad__stream *stream = fake_stream(f->swarm, 0);
  uint8_t wrong[33];
  memcpy(wrong, fake_written(stream).data, 32);
  wrong[31] ^= 1;
  fake_arrive(stream, kad__bytes(wrong, 32));
  tell(f, KAD__SWARM_STREAM_READABLE, stream, 0);
  assert_int_equal(stream->code, KAD__STREAM_PROTOCOL_VIOLATION);
  expect_event(f, KAD_E_MESSAGE, id, 0);

  assert_ok(kad__ping_start(f->ping, &id, &f->peer, f->now));
  stream = fake_stream(f->swarm, 1);
  memcpy(wrong, fake_written(stream).data, 32);
  fake_arrive(stream, kad__bytes(wrong, 33));
  tell(f, KAD__SWARM_STREAM_READABLE, stream, 0);
  expect_event(f, KAD_E_MESSAGE, id, 0);

  assert_ok(kad__ping_start(f->ping, &id, &f->peer, f->now));
  stream = fake_stream(f->swarm, 2);
  fake_arrive(stream, kad__bytes(fake_written(stream).data, 31));
  stream->ended = true;
  tell(f, KAD__SWARM_STREAM_READABLE, stream, 0);
  expect_event(f, KAD_E_TRUNCATED, id, 0);
}

static void tells_why_it_failed(void **state) {
  fixture *f = *state;
  static const int errors[] = {KAD_E_TIMEOUT, KAD_E_NO_PROTOCOL,
                               KAD_E_STREAM_RESET};
  for (size_t i = 0; i < KAD__COUNT(errors); i++) {
    uint64_t id = 0;
    assert_ok(kad__ping_start(f->ping, &id, &f->peer, f->now));
    assert_int_equal(id, i + 1);
    kad__stream *stream = fake_stream(f->swarm, i);
    tell(f, KAD__SWARM_STREAM_DEAD, stream, errors[i]);
    assert_true(stream->gone);
    expect_event(f, errors[i], id, 0);
  }
}

static void start_fails_cleanly(void **state) {
  fixture *f = *state;
  uint64_t id = 0;
  kad_peer_id stranger = fake_peer(2);
  assert_error(KAD_E_CLOSED, kad__ping_start(f->ping, &id, &stranger, f->now));
  f->swarm->write_error = KAD_E_NO_MEMORY;
  assert_error(KAD_E_NO_MEMORY,
               kad__ping_start(f->ping, &id, &f->peer, f->now));
  f->swarm->write_error = 0;
  f->swarm->deadline_error = KAD_E_NO_MEMORY;
  assert_error(KAD_E_NO_MEMORY,
               kad__ping_start(f->ping, &id, &f->peer, f->now));
  assert_true(open_inbound(f)->was_reset);
  f->swarm->deadline_error = 0;
  f->memory.fail_at = f->memory.calls + 1;
  assert_error(KAD_E_NO_MEMORY,
               kad__ping_start(f->ping, &id, &f->peer, f->now));
  assert_int_equal(fake_live_streams(f->swarm), 0);
  kad__ping_event event;
  assert_false(kad__ping_poll(f->ping, &event));
}

static void inbound_survives_lack_of_memory(void **state) {
  fixture *f = *state;
  for (size_t i = 1; i <= 2; i++) {
    f->memory.fail_at = f->memory.calls + i;
    assert_true(open_inbound(f)->was_reset);
  }
  f->swarm->write_error = KAD_E_NO_MEMORY;
  kad__stream *stream = open_inbound(f);
  fake_arrive(stream, payload(0, 32));
  tell(f, KAD__SWARM_STREAM_READABLE, stream, 0);
  assert_true(stream->was_reset);
}

static void free_ends_everything(void **state) {
  fixture *f = *state;
  uint64_t id = 0;
  (void)open_inbound(f);
  (void)open_inbound(f);
  assert_ok(kad__ping_start(f->ping, &id, &f->peer, f->now));
  assert_ok(kad__ping_start(f->ping, &id, &f->peer, f->now));
  tell(f, KAD__SWARM_STREAM_DEAD, fake_stream(f->swarm, 2), KAD_E_TIMEOUT);
}

static void new_needs_memory_and_a_place(void **state) {
  fixture *f = *state;
  kad__ping *ping = NULL;
  f->memory.fail_at = f->memory.calls + 1;
  assert_error(KAD_E_NO_MEMORY, kad__ping_new(&ping, &f->memory.allocator,
                                              f->swarm, &f->random));
  f->swarm->handle_error = KAD_E_LIMIT;
  assert_error(KAD_E_LIMIT, kad__ping_new(&ping, &f->memory.allocator, f->swarm,
                                          &f->random));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(echoes_again_and_again),
      TEST(echoes_at_once),
      TEST(a_part_of_a_ping_waits),
      TEST(does_not_pile_up_echoes),
      TEST(refuses_a_third_stream),
      TEST(a_new_connection_makes_room),
      TEST(a_peer_without_streams_costs_nothing),
      TEST(measures_the_round_trip),
      TEST(judges_the_echo),
      TEST(tells_why_it_failed),
      TEST(start_fails_cleanly),
      TEST(inbound_survives_lack_of_memory),
      TEST(free_ends_everything),
      TEST(new_needs_memory_and_a_place),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
