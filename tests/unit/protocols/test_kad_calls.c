/* Remote calls over a fake swarm for a fake DHT. */
#include "fake_dht.h"
#include "fake_swarm.h"
#include "kadmium/multiaddr.h"
#include "multiformats/varint.h"
#include "protocols/framing.h"
#include "protocols/kad.h"
#include "support.h"
#include "wire/addresses.h"

typedef struct fixture {
  kad__swarm *swarm;
  kad__dht *dht;
  kad__kad *kad;
  kad__own_addresses *own;
  kad_random random;
  test_allocator memory;
  kad_peer_id local;
  kad_peer_id peer;
  kad__id connection;
  kad_time now;
  kad__message message; /* of the calls */
} fixture;

static kad_bytes address(const char *text, size_t slot) {
  static uint8_t memory[16][KAD_MULTIADDR_MAX];
  int len = kad_multiaddr_parse(memory[slot], sizeof(memory[slot]), text);
  assert_ok(len);
  return kad__bytes(memory[slot], (size_t)len);
}

static kad__kad_config config_of(fixture *f) {
  kad__kad_config config;
  kad__kad_config_default(&config);
  config.local = &f->local;
  config.own = f->own;
  config.random = &f->random;
  return config;
}

static int set_up(void **out) {
  fixture *f = calloc(1, sizeof(*f));
  f->swarm = fake_swarm_new();
  f->dht = fake_dht_new();
  test_allocator_init(&f->memory);
  kad_random_init_u64(&f->random, 7);
  f->local = fake_peer(99);
  f->peer = fake_peer(1);
  f->now = KAD_SECOND;
  const kad_allocator *a = &f->memory.allocator;
  assert_ok(kad__own_addresses_new(&f->own, a, f->swarm));
  kad__kad_config config = config_of(f);
  assert_ok(kad__kad_new(&f->kad, a, f->swarm, f->dht, &config));
  kad__message_init(&f->message, KAD__FIND_NODE);
  f->message.key = kad__bytes_of("some key");
  *out = f;
  return 0;
}

static int tear_down(void **in) {
  fixture *f = *in;
  kad__kad_free(f->kad);
  kad__kad_free(NULL);
  kad__own_addresses_free(f->own);
  assert_int_equal(f->memory.live, 0);
  assert_int_equal(fake_live_streams(f->swarm), 0);
  fake_swarm_free(f->swarm);
  fake_dht_free(f->dht);
  free(f);
  return 0;
}

static void connect_to(fixture *f, bool tell) {
  f->connection = fake_connect(f->swarm, &f->peer, kad__bytes(NULL, 0),
                               "/ip4/10.0.0.9/tcp/9", false);
  if (tell) {
    kad__swarm_event event =
        fake_peer_event(KAD__SWARM_CONNECTED, f->connection, &f->peer);
    kad__kad_handle_event(f->kad, &event, f->now);
  }
}

static void disconnect(fixture *f) {
  fake_disconnect(f->swarm, f->connection);
  kad__swarm_event event =
      fake_peer_event(KAD__SWARM_DISCONNECTED, f->connection, &f->peer);
  kad__kad_handle_event(f->kad, &event, f->now);
}

static kad__call_id call(fixture *f) {
  kad__call_id id = fake_dht_call(f->dht, kad_peer_id_bytes(&f->peer),
                                  &f->message, f->now + 10 * KAD_SECOND);
  kad__kad_drive(f->kad, f->now);
  return id;
}

static void tell(fixture *f, kad__swarm_event_type type, kad__stream *stream,
                 int error) {
  kad__swarm_event event = fake_event(type, stream);
  event.error = error;
  kad__kad_handle_event(f->kad, &event, f->now);
}

static void dial_failed(fixture *f, int error) {
  kad__swarm_event event = fake_peer_event(KAD__SWARM_DIAL_FAILED, 0, &f->peer);
  event.error = error;
  kad__kad_handle_event(f->kad, &event, f->now);
}

static void arrive_message(kad__stream *stream, const kad__message *m) {
  static uint8_t out[65536];
  int len = kad__message_encode(out, sizeof(out), m);
  assert_ok(len);
  fake_arrive(stream, kad__bytes(out, (size_t)len));
}

static void reply(fixture *f, kad__stream *stream) {
  static kad__message m;
  kad__message_init(&m, f->message.type);
  m.closer_count = 1;
  m.closer[0] = (kad__wire_peer){.id = kad_peer_id_bytes(&f->peer)};
  arrive_message(stream, &m);
  tell(f, KAD__SWARM_STREAM_READABLE, stream, 0);
}

/* The last line of the log. */
static const fake_line *last(const fixture *f) {
  assert_true(f->dht->log_count != 0);
  return &f->dht->log[f->dht->log_count - 1];
}

static void expect_failed(const fixture *f, kad__call_id id, int error) {
  assert_int_equal(last(f)->told, FAKE_FAILED);
  assert_int_equal(last(f)->call, id);
  assert_error(error, last(f)->error);
}

static void expect_replied(const fixture *f, kad__call_id id) {
  assert_int_equal(last(f)->told, FAKE_REPLIED);
  assert_int_equal(last(f)->call, id);
}

static void read_request(kad__message *m, const kad__stream *stream) {
  kad_bytes written = fake_written(stream);
  kad_bytes message;
  int taken = kad__frame_split(&message, written, 65536);
  assert_int_equal(taken, written.len);
  assert_ok(kad__message_decode(m, message));
}

/* ---- one call ---------------------------------------------------------- */

static void calls_over_a_connection(void **state) {
  fixture *f = *state;
  connect_to(f, true);
  kad__call_id id = call(f);
  kad__stream *stream = fake_stream(f->swarm, 0);
  assert_true(stream->write_closed);
  assert_bytes_equal(stream->protocol, kad__bytes_of("/ipfs/kad/1.0.0"));
  static kad__message sent;
  read_request(&sent, stream);
  assert_int_equal(sent.type, KAD__FIND_NODE);
  assert_bytes_equal(sent.key, f->message.key);
  tell(f, KAD__SWARM_STREAM_OPENED, stream, 0);
  assert_int_equal(f->dht->log_count, 0);
  reply(f, stream);
  expect_replied(f, id);
  assert_int_equal(last(f)->closer_count, 1);
  assert_true(stream->gone && !stream->was_reset);
  assert_int_equal(kad__kad_call_count(f->kad), 0);
  assert_int_equal(kad__kad_deadline(f->kad), KAD_TIME_NEVER);
  assert_int_equal(f->swarm->dial_count, 0);
}

static void dials_first(void **state) {
  fixture *f = *state;
  kad__call_id id = call(f);
  assert_int_equal(f->swarm->dial_count, 1);
  assert_int_equal(fake_stream_count(f->swarm), 0);
  assert_int_equal(f->dht->log_count, 0);
  connect_to(f, true);
  assert_int_equal(fake_stream_count(f->swarm), 1);
  reply(f, fake_stream(f->swarm, 0));
  expect_replied(f, id);
}

static void tells_of_failed_dials(void **state) {
  fixture *f = *state;
  kad__call_id first = call(f);
  kad__call_id second = call(f);
  dial_failed(f, KAD_E_REFUSED);
  assert_int_equal(f->dht->log_count, 2);
  expect_failed(f, second, KAD_E_REFUSED);
  assert_int_equal(f->dht->log[0].call, first);
  f->swarm->dial_result = KAD_E_BACKOFF;
  kad__call_id third = call(f);
  expect_failed(f, third, KAD_E_BACKOFF);
  dial_failed(f, KAD_E_TIMEOUT); /* nobody of ours */
  assert_int_equal(last(f)->told, FAKE_UNREACHABLE);
  connect_to(f, false);
  dial_failed(f, KAD_E_TIMEOUT); /* but it is connected */
  assert_int_equal(f->dht->log_count, 4);
}

static void refuses_a_bad_peer_id(void **state) {
  fixture *f = *state;
  kad__call_id id = fake_dht_call(f->dht, kad__bytes_of("nobody"), &f->message,
                                  f->now + KAD_SECOND);
  kad__kad_drive(f->kad, f->now);
  expect_failed(f, id, KAD_E_PEER_ID);
}

/* ---- what peers do to a call ------------------------------------------- */

static void peers_may_misbehave(void **state) {
  static const struct {
    const char *bytes;
    bool end;
    int error;
    bool reset;
  } cases[] = {
      {"", true, KAD_E_CLOSED, false},
      {"05", true, KAD_E_TRUNCATED, true},
      {"050a", true, KAD_E_TRUNCATED, true},
      {"8000", false, KAD_E_VARINT, true},
      {"8080808008", false, KAD_E_MESSAGE_TOO_LARGE, true},
      {"81800400", false, KAD_E_MESSAGE_TOO_LARGE, true}, /* 64 KiB + 1 */
      {"020863", false, KAD_E_MESSAGE, true},             /* K-06 */
      {"03 0a0104", false, KAD_E_PROTOBUF, true},         /* K-11 */
  };
  fixture *f = *state;
  connect_to(f, true);
  for (size_t i = 0; i < KAD__COUNT(cases); i++) {
    char text[64];
    size_t n = 0;
    for (const char *c = cases[i].bytes; *c != 0; c++) {
      if (*c != ' ') {
        text[n++] = *c;
      }
    }
    text[n] = 0;
    kad__call_id id = call(f);
    kad__stream *stream = fake_stream(f->swarm, i);
    fake_arrive(stream, test_hex(text));
    stream->ended = cases[i].end;
    tell(f, KAD__SWARM_STREAM_READABLE, stream, 0);
    expect_failed(f, id, cases[i].error);
    assert_true(stream->gone);
    assert_int_equal(stream->was_reset, cases[i].reset);
  }
}

static void every_prefix_of_a_reply_waits(void **state) {
  fixture *f = *state;
  connect_to(f, true);
  static kad__message m;
  kad__message_init(&m, KAD__FIND_NODE);
  m.closer_count = 1;
  m.closer[0] = (kad__wire_peer){.id = kad_peer_id_bytes(&f->peer)};
  uint8_t bytes[256];
  int len = kad__message_encode(bytes, sizeof(bytes), &m);
  assert_ok(len);
  kad__call_id id = call(f);
  kad__stream *stream = fake_stream(f->swarm, 0);
  for (int i = 0; i < len; i++) {
    assert_int_equal(f->dht->log_count, 0);
    fake_arrive(stream, kad__bytes(bytes + i, 1));
    tell(f, KAD__SWARM_STREAM_READABLE, stream, 0);
  }
  expect_replied(f, id);
}

/* 4 MiB are taken of those replies that may need them. */
static void large_replies_are_for_few(void **state) {
  static const struct {
    kad__message_type type;
    size_t max;
  } cases[] = {{KAD__FIND_NODE, (size_t)64 << 10},
               {KAD__GET_VALUE, (size_t)4 << 20},
               {KAD__GET_PROVIDERS, (size_t)4 << 20},
               {KAD__PUT_VALUE, (size_t)64 << 10},
               {KAD__PING, (size_t)64 << 10}};
  fixture *f = *state;
  connect_to(f, true);
  for (size_t i = 0; i < KAD__COUNT(cases); i++) {
    f->message.type = cases[i].type;
    kad__call_id id = call(f);
    uint8_t prefix[KAD__VARINT_MAX_LEN];
    kad__stream *stream = fake_stream(f->swarm, 2 * i);
    size_t n = kad__varint_encode(prefix, cases[i].max);
    fake_arrive(stream, kad__bytes(prefix, n));
    tell(f, KAD__SWARM_STREAM_READABLE, stream, 0);
    assert_false(stream->gone);
    tell(f, KAD__SWARM_STREAM_DEAD, stream, KAD_E_STREAM_RESET);
    expect_failed(f, id, KAD_E_STREAM_RESET);
    id = call(f);
    stream = fake_stream(f->swarm, 2 * i + 1);
    n = kad__varint_encode(prefix, cases[i].max + 1);
    fake_arrive(stream, kad__bytes(prefix, n));
    tell(f, KAD__SWARM_STREAM_READABLE, stream, 0);
    expect_failed(f, id, KAD_E_MESSAGE_TOO_LARGE);
  }
}

static void who_lacks_the_protocol_is_unsupported(void **state) {
  fixture *f = *state;
  connect_to(f, true);
  kad__call_id id = call(f);
  tell(f, KAD__SWARM_STREAM_DEAD, fake_stream(f->swarm, 0), KAD_E_NO_PROTOCOL);
  assert_int_equal(f->dht->log[0].told, FAKE_UNSUPPORTED);
  expect_failed(f, id, KAD_E_NO_PROTOCOL);
}

/* ---- connections come and go ------------------------------------------- */

/* A request that crosses the close of an idle connection is made again. */
static void retries_once_on_a_new_connection(void **state) {
  fixture *f = *state;
  connect_to(f, true);
  kad__call_id id = call(f);
  tell(f, KAD__SWARM_STREAM_DEAD, fake_stream(f->swarm, 0), KAD_E_CLOSED);
  assert_int_equal(f->dht->log_count, 0);
  disconnect(f);
  assert_int_equal(last(f)->told, FAKE_DISCONNECTED);
  assert_int_equal(f->swarm->dial_count, 1);
  connect_to(f, true);
  static kad__message sent;
  read_request(&sent, fake_stream(f->swarm, 1));
  assert_bytes_equal(sent.key, f->message.key);
  tell(f, KAD__SWARM_STREAM_DEAD, fake_stream(f->swarm, 1), KAD_E_CLOSED);
  expect_failed(f, id, KAD_E_CLOSED);
  assert_int_equal(kad__kad_counters_get(f->kad)->retries, 1);
}

static void a_retry_goes_before_those_who_wait(void **state) {
  fixture *f = *state;
  connect_to(f, true);
  kad__call_id first = call(f);
  fake_disconnect(f->swarm, f->connection);
  (void)call(f); /* waits for a dial */
  tell(f, KAD__SWARM_STREAM_DEAD, fake_stream(f->swarm, 0), KAD_E_CLOSED);
  connect_to(f, true);
  reply(f, fake_stream(f->swarm, 1));
  expect_replied(f, first);
}

static void retries_on_another_connection(void **state) {
  fixture *f = *state;
  connect_to(f, true);
  kad__id first = f->connection;
  kad__call_id id = call(f);
  connect_to(f, true);
  tell(f, KAD__SWARM_STREAM_DEAD, fake_stream(f->swarm, 0), KAD_E_GO_AWAY);
  f->connection = first;
  disconnect(f);
  assert_int_equal(f->swarm->dial_count, 0);
  reply(f, fake_stream(f->swarm, 1));
  expect_replied(f, id);
}

static void waits_while_a_dying_connection_is_counted(void **state) {
  fixture *f = *state;
  connect_to(f, true);
  f->swarm->open_error = KAD_E_CLOSED;
  kad__call_id id = call(f);
  assert_int_equal(f->dht->log_count, 0);
  f->swarm->open_error = 0;
  disconnect(f);
  connect_to(f, true);
  reply(f, fake_stream(f->swarm, 0));
  expect_replied(f, id);
}

/* ---- many calls -------------------------------------------------------- */

static void queues_above_32(void **state) {
  fixture *f = *state;
  connect_to(f, true);
  kad__call_id ids[100];
  for (size_t i = 0; i < 100; i++) {
    ids[i] = call(f);
  }
  assert_int_equal(fake_stream_count(f->swarm), 32);
  for (size_t i = 0; i < 100; i++) {
    reply(f, fake_stream(f->swarm, i));
    expect_replied(f, ids[i]); /* first in, first out */
  }
  assert_int_equal(fake_stream_count(f->swarm), 100);
}

static void bounds_the_queue(void **state) {
  fixture *f = *state;
  for (size_t i = 0; i < 60; i++) {
    (void)call(f); /* a dial each */
  }
  connect_to(f, true);
  for (size_t i = 0; i < 32 + 256 - 60; i++) {
    (void)call(f);
  }
  assert_int_equal(f->dht->log_count, 0);
  assert_int_equal(kad__kad_call_count(f->kad), 32 + 256);
  kad__call_id id = call(f);
  expect_failed(f, id, KAD_E_LIMIT);
}

static void waits_for_a_stream(void **state) {
  fixture *f = *state;
  connect_to(f, true);
  kad__call_id first = call(f);
  f->swarm->open_error = KAD_E_LIMIT;
  kad__call_id second = call(f);
  assert_int_equal(f->dht->log_count, 0);
  f->swarm->open_error = 0;
  reply(f, fake_stream(f->swarm, 0));
  expect_replied(f, first);
  reply(f, fake_stream(f->swarm, 1));
  expect_replied(f, second);
  f->swarm->open_error = KAD_E_LIMIT;
  expect_failed(f, call(f), KAD_E_LIMIT); /* nothing to wait for */
}

/* ---- time -------------------------------------------------------------- */

static void gives_up_at_the_deadline(void **state) {
  fixture *f = *state;
  kad__call_id waiting = call(f);
  assert_int_equal(kad__kad_deadline(f->kad), f->now + 10 * KAD_SECOND);
  f->now += 10 * KAD_SECOND - 1;
  kad__kad_tick(f->kad, f->now);
  assert_int_equal(f->dht->log_count, 0);
  f->now += 1;
  kad__kad_tick(f->kad, f->now);
  expect_failed(f, waiting, KAD_E_TIMEOUT);
  connect_to(f, true);
  kad__call_id running = call(f);
  f->now += 10 * KAD_SECOND;
  kad__kad_tick(f->kad, f->now);
  expect_failed(f, running, KAD_E_TIMEOUT);
  assert_true(fake_stream(f->swarm, 0)->was_reset);
  assert_int_equal(kad__kad_call_count(f->kad), 0);
}

static void a_stream_that_times_out_makes_room(void **state) {
  fixture *f = *state;
  connect_to(f, true);
  for (size_t i = 0; i < 32; i++) {
    (void)call(f);
  }
  f->now += KAD_SECOND;
  kad__call_id id = call(f);
  f->now += 9 * KAD_SECOND;
  kad__kad_tick(f->kad, f->now);
  reply(f, fake_stream(f->swarm, 32));
  expect_replied(f, id);
}

static void cancels(void **state) {
  fixture *f = *state;
  kad__call_id waiting = call(f);
  f->dht->cancels[f->dht->cancel_count++] = waiting;
  f->dht->cancels[f->dht->cancel_count++] = 999;
  kad__kad_drive(f->kad, f->now);
  assert_int_equal(kad__kad_call_count(f->kad), 0);
  connect_to(f, true);
  kad__call_id running = call(f);
  f->dht->cancels[f->dht->cancel_count++] = running;
  kad__kad_drive(f->kad, f->now);
  assert_true(fake_stream(f->swarm, 0)->was_reset);
  assert_int_equal(f->dht->log_count, 0);
}

/* ---- ADD_PROVIDER ------------------------------------------------------ */

static void prepare_provider(fixture *f) {
  f->swarm->listening[0] = address("/ip4/127.0.0.1/tcp/4001", 1);
  f->swarm->listening[1] = address("/ip4/10.0.0.1/tcp/4001", 2);
  f->swarm->listening_count = 2;
  kad__message_init(&f->message, KAD__ADD_PROVIDER);
  f->message.key = kad__bytes_of("some key");
  f->message.provider_count = 1;
  f->message.providers[0] =
      (kad__wire_peer){.id = kad_peer_id_bytes(&f->local)};
}

/* D1: sent means sent, not asked for. */
static void a_provider_is_announced_when_it_has_left(void **state) {
  fixture *f = *state;
  prepare_provider(f);
  kad__call_id id = call(f);
  connect_to(f, true);
  kad__stream *stream = fake_stream(f->swarm, 0);
  static kad__message sent;
  read_request(&sent, stream);
  assert_int_equal(sent.provider_count, 1);
  kad_bytes rest = sent.providers[0].addresses;
  kad_bytes one;
  assert_true(kad__addresses_next(&rest, &one));
  assert_bytes_equal(one, address("/ip4/10.0.0.1/tcp/4001", 3));
  assert_false(kad__addresses_next(&rest, &one));
  tell(f, KAD__SWARM_STREAM_OPENED, stream, 0);
  assert_int_equal(f->dht->log_count, 0);
  fake_flush(stream);
  tell(f, KAD__SWARM_STREAM_WRITABLE, stream, 0);
  assert_int_equal(last(f)->told, FAKE_SENT);
  assert_int_equal(last(f)->call, id);
  assert_true(stream->gone && !stream->was_reset);
}

static void an_announcement_needs_the_protocol(void **state) {
  fixture *f = *state;
  prepare_provider(f);
  connect_to(f, true);
  kad__call_id id = call(f);
  kad__stream *stream = fake_stream(f->swarm, 0);
  fake_flush(stream);
  tell(f, KAD__SWARM_STREAM_WRITABLE, stream, 0);
  assert_int_equal(f->dht->log_count, 0);
  tell(f, KAD__SWARM_STREAM_DEAD, stream, KAD_E_NO_PROTOCOL);
  expect_failed(f, id, KAD_E_NO_PROTOCOL);
}

/* An echo, as the IPFS specification has it, does no harm. */
static void an_announcement_may_be_echoed(void **state) {
  fixture *f = *state;
  prepare_provider(f);
  connect_to(f, true);
  (void)call(f);
  kad__stream *stream = fake_stream(f->swarm, 0);
  fake_flush(stream);
  tell(f, KAD__SWARM_STREAM_OPENED, stream, 0);
  assert_int_equal(last(f)->told, FAKE_SENT);
}

/* ---- confirmation ------------------------------------------------------ */

static void identified(fixture *f, bool server) {
  kad_bytes names[] = {kad__bytes_of("/ipfs/ping/1.0.0"),
                       kad__bytes_of("/ipfs/kad/1.0.0")};
  assert_ok(kad__peerstore_set_protocols(f->swarm->peerstore, &f->peer, names,
                                         server ? 2 : 1));
  kad__kad_peer_identified(f->kad, f->connection, &f->peer, f->now);
}

static void confirms_with_dialed_and_listed_addresses(void **state) {
  fixture *f = *state;
  connect_to(f, true);
  kad_bytes dialed = address("/ip4/10.0.0.9/tcp/9", 1);
  kad_bytes other = address("/ip4/10.0.0.9/tcp/10", 2);
  kad_bytes both[] = {dialed, other};
  for (size_t i = 0; i < 2; i++) {
    assert_ok(kad__peerstore_add(f->swarm->peerstore, &f->peer, both[i],
                                 KAD__ADDRESS_CONNECTED, f->now));
  }
  identified(f, true);
  /* The whole list, then each, the dialled one last of all. */
  assert_int_equal(f->dht->log_count, 4);
  assert_int_equal(f->dht->log[0].told, FAKE_KNOWN);
  kad_bytes list =
      kad__bytes(f->dht->log[0].address, f->dht->log[0].address_len);
  assert_int_equal(kad__addresses_count(list), 2);
  kad_bytes order[] = {other, dialed, dialed};
  for (size_t i = 0; i < 3; i++) {
    const fake_line *line = &f->dht->log[1 + i];
    assert_int_equal(line->told, FAKE_CONFIRMED);
    assert_bytes_equal(kad__bytes(line->address, line->address_len), order[i]);
  }
  /* A client is no server, but those who look for it shall find it. */
  identified(f, false);
  assert_int_equal(f->dht->log[4].told, FAKE_UNSUPPORTED);
  assert_int_equal(last(f)->told, FAKE_KNOWN);
  assert_int_equal(last(f)->address_len, list.len);
}

static void an_inbound_address_is_nobodys(void **state) {
  fixture *f = *state;
  f->connection = fake_connect(f->swarm, &f->peer, kad__bytes(NULL, 0),
                               "/ip4/10.0.0.9/tcp/50000", true);
  identified(f, true);
  assert_int_equal(f->dht->log_count, 2);
  assert_int_equal(f->dht->log[0].address_len, 0);
  assert_int_equal(last(f)->told, FAKE_CONFIRMED);
  assert_int_equal(last(f)->address_len, 0);
}

static void of_the_unknown_nothing_is_said(void **state) {
  fixture *f = *state;
  connect_to(f, true);
  kad__kad_peer_identified(f->kad, f->connection, &f->peer, f->now);
  assert_int_equal(f->dht->log_count, 0);
  identified(f, true);
  size_t count = f->dht->log_count;
  kad__kad_peer_identified(f->kad, 12345, &f->peer, f->now);
  assert_int_equal(f->dht->log_count, count);
}

static void disconnected_means_from_all(void **state) {
  fixture *f = *state;
  connect_to(f, true);
  kad__id first = f->connection;
  connect_to(f, true);
  kad__id second = f->connection;
  f->connection = first;
  disconnect(f); /* told as the last, but another has come since */
  assert_int_equal(f->dht->log_count, 0);
  f->connection = second;
  disconnect(f);
  assert_int_equal(last(f)->told, FAKE_DISCONNECTED);
}

static void modes(void **state) {
  fixture *f = *state;
  assert_int_equal(f->swarm->protocol_count, 0);
  assert_int_equal(kad__kad_set_mode(f->kad, KAD__MODE_CLIENT), 0);
  f->swarm->handle_error = KAD_E_NO_MEMORY;
  assert_error(KAD_E_NO_MEMORY, kad__kad_set_mode(f->kad, KAD__MODE_SERVER));
  assert_int_equal(f->dht->mode, KAD__MODE_CLIENT);
  f->swarm->handle_error = 0;
  assert_int_equal(kad__kad_set_mode(f->kad, KAD__MODE_SERVER), 1);
  assert_int_equal(f->dht->mode, KAD__MODE_SERVER);
  assert_int_equal(f->swarm->protocol_count, 1);
  assert_int_equal(kad__kad_set_mode(f->kad, KAD__MODE_CLIENT), 1);
  assert_int_equal(f->swarm->protocol_count, 0);
  assert_int_equal(kad__kad_set_mode(f->kad, KAD__MODE_SERVER), 1);
}

/* ---- memory ------------------------------------------------------------ */

static void new_needs_memory(void **state) {
  fixture *f = *state;
  kad__kad *kad = NULL;
  kad__kad_config config = config_of(f);
  for (size_t n = 1; n <= 2; n++) {
    f->memory.fail_at = f->memory.calls + n;
    assert_error(KAD_E_NO_MEMORY, kad__kad_new(&kad, &f->memory.allocator,
                                               f->swarm, f->dht, &config));
  }
  config.own = NULL;
  assert_error(KAD_E_INVALID_ARGUMENT, kad__kad_new(&kad, &f->memory.allocator,
                                                    f->swarm, f->dht, &config));
}

static void a_call_survives_lack_of_memory(void **state) {
  fixture *f = *state;
  size_t n = 1;
  for (; n < 20; n++) {
    size_t before = f->dht->log_count;
    f->memory.fail_at = f->memory.calls + n;
    kad__call_id id = call(f);
    if (f->dht->log_count == before) {
      break;
    }
    expect_failed(f, id, KAD_E_NO_MEMORY);
    assert_int_equal(kad__kad_call_count(f->kad), 0);
  }
  assert_true(n >= 4 && n < 20); /* call, heap, two maps, peer */
  connect_to(f, false);
  f->swarm->write_error = KAD_E_NO_MEMORY;
  kad__call_id id = call(f);
  expect_failed(f, id, KAD_E_NO_MEMORY);
}

static void a_peer_without_calls_costs_nothing(void **state) {
  fixture *f = *state;
  connect_to(f, true);
  (void)call(f);
  reply(f, fake_stream(f->swarm, 0));
  size_t live = f->memory.live;
  for (size_t i = 1; i < 50; i++) {
    (void)call(f);
    reply(f, fake_stream(f->swarm, i));
  }
  assert_int_equal(f->memory.live, live);
}

static void free_ends_everything(void **state) {
  fixture *f = *state;
  (void)call(f);
  f->peer = fake_peer(2);
  connect_to(f, true);
  for (size_t i = 0; i < 40; i++) {
    (void)call(f);
  }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(calls_over_a_connection),
      TEST(dials_first),
      TEST(tells_of_failed_dials),
      TEST(refuses_a_bad_peer_id),
      TEST(peers_may_misbehave),
      TEST(every_prefix_of_a_reply_waits),
      TEST(large_replies_are_for_few),
      TEST(who_lacks_the_protocol_is_unsupported),
      TEST(retries_once_on_a_new_connection),
      TEST(a_retry_goes_before_those_who_wait),
      TEST(retries_on_another_connection),
      TEST(waits_while_a_dying_connection_is_counted),
      TEST(queues_above_32),
      TEST(bounds_the_queue),
      TEST(waits_for_a_stream),
      TEST(gives_up_at_the_deadline),
      TEST(a_stream_that_times_out_makes_room),
      TEST(cancels),
      TEST(a_provider_is_announced_when_it_has_left),
      TEST(an_announcement_needs_the_protocol),
      TEST(an_announcement_may_be_echoed),
      TEST(confirms_with_dialed_and_listed_addresses),
      TEST(an_inbound_address_is_nobodys),
      TEST(of_the_unknown_nothing_is_said),
      TEST(disconnected_means_from_all),
      TEST(modes),
      TEST(new_needs_memory),
      TEST(a_call_survives_lack_of_memory),
      TEST(a_peer_without_calls_costs_nothing),
      TEST(free_ends_everything),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
