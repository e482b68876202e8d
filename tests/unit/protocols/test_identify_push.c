/* Identify over a fake swarm: what we answer, and news pushed both ways. */
#include "identify_fixture.h"
#include "identity/envelope.h"
#include "multiformats/varint.h"
#include "protocols/framing.h"

/* ---- answering --------------------------------------------------------- */

static kad__stream *ask_us(identify_fixture *f) {
  kad__stream *stream =
      fake_inbound(f->swarm, f->connection, KAD__TAG_IDENTIFY);
  identify_tell(f, KAD__SWARM_STREAM_INBOUND, stream, 0);
  return stream;
}

static void read_answer(kad__identify_message *m, const kad__stream *stream) {
  kad_bytes written = fake_written(stream);
  kad_bytes message;
  int taken = kad__frame_split(&message, written, KAD__IDENTIFY_SEND_MAX);
  assert_int_equal(taken, written.len);
  memset(m, 0, sizeof(*m));
  assert_ok(kad__identify_merge(m, message));
}

static void answers_and_closes(void **state) {
  identify_fixture *f = *state;
  (void)identify_start(f);
  kad__stream *stream = ask_us(f);
  assert_true(stream->gone && !stream->was_reset && stream->write_closed);
  static kad__identify_message m;
  read_answer(&m, stream);
  assert_bytes_equal(m.public_key,
                     kad_public_key_bytes(kad_key_pair_public(f->our_key)));
  assert_bytes_equal(m.observed_address,
                     identify_address("/ip4/127.0.0.1/tcp/5000", 1));
  assert_bytes_equal(m.protocol_version, kad__bytes_of("ipfs/0.1.0"));
  assert_true(kad__bytes_start(m.agent_version, kad__bytes_of("kadmium/")));
  assert_int_equal(m.protocol_count, 2);
  assert_int_equal(m.address_count, 2);
  kad__peer_record record;
  assert_ok(kad__peer_record_open(&record, &f->memory.allocator,
                                  m.signed_peer_record));
  assert_true(
      kad_peer_id_equal(&record.peer, kad_key_pair_peer_id(f->our_key)));
  assert_int_equal(record.address_count, 2);
  assert_bytes_equal(record.addresses[1], m.addresses[1]);
}

static void tells_public_peers_public_addresses(void **state) {
  identify_fixture *f = *state;
  (void)identify_connect_from(f, "/ip4/9.9.9.9/tcp/1", true);
  static kad__identify_message m;
  read_answer(&m, ask_us(f));
  assert_int_equal(m.address_count, 1);
  assert_bytes_equal(m.addresses[0],
                     identify_address("/ip4/8.8.4.4/tcp/4001", 1));
}

static uint64_t sequence_of(identify_fixture *f) {
  static kad__identify_message m;
  read_answer(&m, ask_us(f));
  kad__peer_record record;
  assert_ok(kad__peer_record_open(&record, &f->memory.allocator,
                                  m.signed_peer_record));
  return record.sequence;
}

static void signs_anew_only_for_new_addresses(void **state) {
  identify_fixture *f = *state;
  (void)identify_start(f);
  uint64_t first = sequence_of(f);
  assert_int_equal(sequence_of(f), first);
  f->swarm->listening_count = 1;
  assert_true(sequence_of(f) > first);
}

/* rust-libp2p reads 4096 bytes at most. */
static void keeps_answers_short(void **state) {
  identify_fixture *f = *state;
  (void)identify_start(f);
  static uint8_t list[KAD__OWN_ADDRESSES_MAX];
  size_t len = 0;
  for (unsigned i = 0;; i++) {
    char text[64];
    snprintf(text, sizeof(text), "/dns/node-%05u.example.org/tcp/4001", i);
    if (!kad__addresses_append(list, sizeof(list), &len,
                               identify_address(text, 1))) {
      break;
    }
  }
  assert_ok(kad__own_addresses_announce(f->own, kad__bytes(list, len)));
  static kad__identify_message m;
  read_answer(&m, ask_us(f));
  assert_true(m.address_count > 32);
  assert_false(m.has_signed_peer_record);
  static char names[6][256];
  for (size_t i = 0; i < 6; i++) {
    memset(names[i], 'x', 255);
    assert_ok(kad__swarm_handle(f->swarm, kad__bytes(names[i], 255), 20));
  }
  read_answer(&m, ask_us(f));
  assert_int_equal(m.protocol_count, 8);
  assert_true(m.address_count > 0);
  f->swarm->protocol_count = 2;
}

static void answering_may_fail(void **state) {
  identify_fixture *f = *state;
  (void)identify_start(f);
  f->memory.fail_at = f->memory.calls + 1;
  assert_true(ask_us(f)->was_reset);
  f->swarm->write_error = KAD_E_NO_MEMORY;
  assert_true(ask_us(f)->was_reset);
}

/* ---- push -------------------------------------------------------------- */

static void identify_peer(identify_fixture *f) {
  kad__stream *stream = identify_start(f);
  identify_arrive_message(stream, identify_usual(f));
  identify_finish(f, stream);
  (void)identify_expect_done(f);
}

static void pushes_news_once(void **state) {
  identify_fixture *f = *state;
  identify_peer(f);
  size_t before = fake_stream_count(f->swarm);
  kad__identify_push_all(f->identify, f->now);
  kad__stream *stream = fake_stream(f->swarm, before);
  assert_non_null(stream);
  assert_true(stream->write_closed);
  assert_int_equal(stream->deadline, f->now + 5 * KAD_SECOND);
  assert_bytes_equal(stream->protocol,
                     kad__bytes_of(KAD__IDENTIFY_PUSH_PROTOCOL));
  static kad__identify_message m;
  read_answer(&m, stream);
  assert_int_equal(m.protocol_count, 2);
  identify_tell(f, KAD__SWARM_STREAM_OPENED, stream, 0);
  assert_true(stream->gone && !stream->was_reset);
  kad__identify_push_all(f->identify, f->now);
  assert_int_equal(fake_stream_count(f->swarm), before + 1);
  f->swarm->listening_count = 1;
  kad__identify_push_all(f->identify, f->now);
  assert_int_equal(fake_stream_count(f->swarm), before + 2);
  identify_tell(f, KAD__SWARM_STREAM_DEAD, fake_stream(f->swarm, before + 1),
                KAD_E_TIMEOUT);
  identify_expect_nothing(f);
}

static void pushes_to_those_who_take_it(void **state) {
  identify_fixture *f = *state;
  kad__stream *stream = identify_start(f);
  kad__identify_message *m = identify_usual(f);
  m->protocol_count = 1;
  identify_arrive_message(stream, m);
  identify_finish(f, stream);
  size_t before = fake_stream_count(f->swarm);
  kad__identify_push_all(f->identify, f->now);
  assert_int_equal(fake_stream_count(f->swarm), before);
}

/* News that came while the peer was not known yet to take pushes. */
static void catches_up(void **state) {
  identify_fixture *f = *state;
  kad__stream *stream = identify_start(f);
  kad__identify_push_all(f->identify, f->now);
  size_t before = fake_stream_count(f->swarm);
  identify_arrive_message(stream, identify_usual(f));
  identify_finish(f, stream);
  assert_int_equal(fake_stream_count(f->swarm), before + 1);
  identify_tell(f, KAD__SWARM_STREAM_OPENED, fake_stream(f->swarm, before), 0);
}

static void pushes_to_many_a_few_at_a_time(void **state) {
  identify_fixture *f = *state;
  for (size_t i = 0; i < 50; i++) {
    identify_peer(f);
  }
  size_t at = fake_stream_count(f->swarm);
  kad__identify_push_all(f->identify, f->now);
  assert_int_equal(fake_live_streams(f->swarm), 32);
  fake_disconnect(f->swarm, 50); /* not pushed to yet */
  for (; fake_stream(f->swarm, at) != NULL; at++) {
    identify_tell(f, KAD__SWARM_STREAM_OPENED, fake_stream(f->swarm, at), 0);
  }
  assert_int_equal(kad__identify_counters_get(f->identify)->pushes_out, 49);
  assert_int_equal(fake_live_streams(f->swarm), 0);
}

static kad__stream *push_us(identify_fixture *f,
                            const kad__identify_message *m) {
  kad__stream *stream =
      fake_inbound(f->swarm, f->connection, KAD__TAG_IDENTIFY_PUSH);
  identify_arrive_message(stream, m);
  stream->ended = true;
  identify_tell(f, KAD__SWARM_STREAM_INBOUND, stream, 0);
  return stream;
}

/* I-10, and: what is absent stays. */
static void a_push_changes_what_it_names(void **state) {
  identify_fixture *f = *state;
  identify_peer(f);
  kad__identify_message m = {0};
  m.protocols[0] = kad__bytes_of("/other/1");
  m.protocol_count = 1;
  (void)push_us(f, &m);
  kad__identify_event event = identify_expect_done(f);
  assert_true(event.push && event.protocols_changed);
  assert_false(identify_speaks(f, "/ipfs/kad/1.0.0"));
  assert_true(identify_speaks(f, "/other/1"));
  assert_bytes_equal(kad__peerstore_agent(f->swarm->peerstore, &f->peer),
                     kad__bytes_of("tester/1"));
  kad__identify_message agent = {0};
  agent.has_agent_version = true;
  agent.agent_version = kad__bytes_of("tester/9");
  (void)push_us(f, &agent);
  assert_false(identify_expect_done(f).protocols_changed);
  assert_true(identify_speaks(f, "/other/1"));
}

/* I-04 */
static void pushes_are_rate_limited(void **state) {
  identify_fixture *f = *state;
  size_t taken = 0;
  identify_connect_from(f, "/ip4/8.8.8.8/tcp/5000", true);
  for (size_t i = 0; i < 1000; i++) {
    kad__stream *stream = push_us(f, identify_usual(f));
    taken += !stream->was_reset;
    f->now += KAD_MILLISECOND;
  }
  assert_int_equal(taken, 10);
  assert_int_equal(kad__identify_counters_get(f->identify)->pushes_limited,
                   990);
  /* One in five seconds; what is earned of the next is not lost. */
  static const kad_time pauses[] = {7 * KAD_SECOND, 3 * KAD_SECOND};
  for (size_t i = 0; i < 4; i++) {
    f->now += i % 2 == 0 ? pauses[i / 2] : 0;
    kad__stream *stream = push_us(f, identify_usual(f));
    taken += !stream->was_reset;
  }
  assert_int_equal(taken, 12);
}

static void a_broken_push_tells_nobody(void **state) {
  identify_fixture *f = *state;
  identify_peer(f);
  kad__stream *stream =
      fake_inbound(f->swarm, f->connection, KAD__TAG_IDENTIFY_PUSH);
  fake_arrive(stream, test_hex("020a"));
  identify_tell(f, KAD__SWARM_STREAM_INBOUND, stream, 0);
  identify_tell(f, KAD__SWARM_STREAM_DEAD, stream, KAD_E_STREAM_RESET);
  stream = fake_inbound(f->swarm, f->connection, KAD__TAG_IDENTIFY_PUSH);
  fake_arrive(stream, test_hex("0103"));
  stream->ended = true;
  identify_tell(f, KAD__SWARM_STREAM_INBOUND, stream, 0);
  identify_expect_nothing(f);
  assert_true(identify_speaks(f, "/ipfs/kad/1.0.0"));
  assert_int_equal(kad__identify_counters_get(f->identify)->malformed, 1);
}

static void a_connection_that_is_gone_costs_nothing(void **state) {
  identify_fixture *f = *state;
  identify_peer(f);
  kad__identify_event drained;
  (void)kad__identify_poll(f->identify, &drained);
  size_t live = f->memory.live;
  (void)push_us(f, identify_usual(f));
  (void)identify_expect_done(f);
  (void)kad__identify_poll(f->identify, &drained);
  fake_disconnect(f->swarm, f->connection);
  kad__swarm_event event =
      fake_peer_event(KAD__SWARM_DISCONNECTED, f->connection, &f->peer);
  kad__identify_handle_event(f->identify, &event, f->now);
  assert_true(f->memory.live <= live + 1); /* the map's slots */
}

/* ---- memory ------------------------------------------------------------ */

static void new_needs_memory_and_places(void **state) {
  identify_fixture *f = *state;
  kad__identify *identify = NULL;
  kad__identify_config config = identify_config_of(f);
  f->memory.fail_at = f->memory.calls + 1;
  assert_error(
      KAD_E_NO_MEMORY,
      kad__identify_new(&identify, &f->memory.allocator, f->swarm, &config));
  f->swarm->handle_error = KAD_E_LIMIT;
  assert_error(KAD_E_LIMIT, kad__identify_new(&identify, &f->memory.allocator,
                                              f->swarm, &config));
  config.own = NULL;
  assert_error(
      KAD_E_INVALID_ARGUMENT,
      kad__identify_new(&identify, &f->memory.allocator, f->swarm, &config));
}

/* Everything once with the n-th allocation failing. */
static void survives_lack_of_memory(void **state) {
  identify_fixture *f = *state;
  for (size_t n = 1; n < 12; n++) {
    f->memory.fail_at = f->memory.calls + n;
    kad__stream *stream = identify_start(f);
    if (stream != NULL) {
      identify_arrive_message(stream, identify_usual(f));
      identify_finish(f, stream);
    }
    (void)ask_us(f);
    size_t at = fake_stream_count(f->swarm);
    f->swarm->listening_count = 1 + n % 2;
    kad__identify_push_all(f->identify, f->now);
    for (; fake_stream(f->swarm, at) != NULL; at++) {
      identify_tell(f, KAD__SWARM_STREAM_OPENED, fake_stream(f->swarm, at), 0);
    }
    (void)push_us(f, identify_usual(f));
    kad__identify_event event;
    while (kad__identify_poll(f->identify, &event)) {
    }
    fake_disconnect(f->swarm, f->connection);
    kad__swarm_event gone =
        fake_peer_event(KAD__SWARM_DISCONNECTED, f->connection, &f->peer);
    kad__identify_handle_event(f->identify, &gone, f->now);
  }
}

static void free_ends_everything(void **state) {
  identify_fixture *f = *state;
  identify_peer(f);
  (void)identify_start(f);
  kad__identify_push_all(f->identify, f->now);
  (void)push_us(f, identify_usual(f));
  kad__stream *stream =
      fake_inbound(f->swarm, f->connection, KAD__TAG_IDENTIFY_PUSH);
  identify_tell(f, KAD__SWARM_STREAM_INBOUND, stream, 0);
  assert_false(stream->gone);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      IDENTIFY_TEST(answers_and_closes),
      IDENTIFY_TEST(tells_public_peers_public_addresses),
      IDENTIFY_TEST(signs_anew_only_for_new_addresses),
      IDENTIFY_TEST(keeps_answers_short),
      IDENTIFY_TEST(answering_may_fail),
      IDENTIFY_TEST(pushes_news_once),
      IDENTIFY_TEST(pushes_to_those_who_take_it),
      IDENTIFY_TEST(catches_up),
      IDENTIFY_TEST(pushes_to_many_a_few_at_a_time),
      IDENTIFY_TEST(a_push_changes_what_it_names),
      IDENTIFY_TEST(pushes_are_rate_limited),
      IDENTIFY_TEST(a_broken_push_tells_nobody),
      IDENTIFY_TEST(a_connection_that_is_gone_costs_nothing),
      IDENTIFY_TEST(new_needs_memory_and_places),
      IDENTIFY_TEST(survives_lack_of_memory),
      IDENTIFY_TEST(free_ends_everything),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
