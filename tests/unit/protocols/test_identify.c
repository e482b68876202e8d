/* Identify and push over a fake swarm, with real keys and records. */
#include "base/alloc.h"
#include "fake_swarm.h"
#include "identity/envelope.h"
#include "kadmium/multiaddr.h"
#include "multiformats/varint.h"
#include "protocols/framing.h"
#include "protocols/identify.h"
#include "support.h"
#include "wire/addresses.h"
#include "wire/identify.h"

typedef struct fixture {
  kad__swarm *swarm;
  kad__identify *identify;
  kad__own_addresses *own;
  kad_key_pair *our_key;
  kad_key_pair *peer_key;
  kad_random random;
  test_allocator memory;
  kad_peer_id peer;
  kad__id connection;
  kad_time now;
  size_t streams; /* the next stream that is opened gets this index */
} fixture;

/* Valid until the next call of the same slot. */
static kad_bytes address(const char *text, size_t slot) {
  static uint8_t memory[16][KAD_MULTIADDR_MAX];
  int len = kad_multiaddr_parse(memory[slot], sizeof(memory[slot]), text);
  assert_ok(len);
  return kad__bytes(memory[slot], (size_t)len);
}

static kad_bytes peer_public(const fixture *f) {
  return kad_public_key_bytes(kad_key_pair_public(f->peer_key));
}

static kad__identify_config config_of(fixture *f) {
  kad__identify_config config;
  kad__identify_config_default(&config);
  config.identity = f->our_key;
  config.own = f->own;
  config.random = &f->random;
  return config;
}

static int set_up(void **out) {
  fixture *f = calloc(1, sizeof(*f));
  f->swarm = fake_swarm_new();
  test_allocator_init(&f->memory);
  kad_random_init_u64(&f->random, 7);
  const kad_allocator *a = &f->memory.allocator;
  assert_ok(kad_key_pair_generate(&f->our_key, a, &f->random));
  assert_ok(kad_key_pair_generate(&f->peer_key, a, &f->random));
  assert_ok(kad__own_addresses_new(&f->own, a, f->swarm));
  f->now = KAD_SECOND;
  kad__identify_config config = config_of(f);
  assert_ok(kad__identify_new(&f->identify, a, f->swarm, &config));
  f->peer = *kad_key_pair_peer_id(f->peer_key);
  f->swarm->listening[0] = address("/ip4/127.0.0.1/tcp/4001", 14);
  f->swarm->listening[1] = address("/ip4/8.8.4.4/tcp/4001", 15);
  f->swarm->listening_count = 2;
  *out = f;
  return 0;
}

static int tear_down(void **in) {
  fixture *f = *in;
  kad__identify_free(f->identify);
  kad__identify_free(NULL);
  kad__own_addresses_free(f->own);
  kad_key_pair_free(f->our_key);
  kad_key_pair_free(f->peer_key);
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
  kad__identify_handle_event(f->identify, &event, f->now);
}

/* Connects and returns the stream of our request. */
static kad__stream *connect_from(fixture *f, const char *remote, bool inbound) {
  f->connection =
      fake_connect(f->swarm, &f->peer, peer_public(f), remote, inbound);
  size_t index = fake_stream_count(f->swarm);
  kad__swarm_event event =
      fake_peer_event(KAD__SWARM_CONNECTED, f->connection, &f->peer);
  kad__identify_handle_event(f->identify, &event, f->now);
  return fake_stream(f->swarm, index);
}

static kad__stream *start(fixture *f) {
  return connect_from(f, "/ip4/127.0.0.1/tcp/5000", true);
}

static void arrive_message(kad__stream *stream,
                           const kad__identify_message *m) {
  static uint8_t out[16384];
  int len = kad__identify_encode(out, sizeof(out), m);
  assert_ok(len);
  fake_arrive(stream, kad__bytes(out, (size_t)len));
}

static void finish(fixture *f, kad__stream *stream) {
  stream->ended = true;
  tell(f, KAD__SWARM_STREAM_READABLE, stream, 0);
}

/* A usual message; the lists are the caller's. */
static kad__identify_message *usual(const fixture *f) {
  static kad__identify_message m;
  memset(&m, 0, sizeof(m));
  m.has_public_key = true;
  m.public_key = peer_public(f);
  m.has_agent_version = true;
  m.agent_version = kad__bytes_of("tester/1");
  m.has_observed_address = true;
  m.observed_address = address("/ip4/5.6.7.8/tcp/99", 13);
  m.protocols[m.protocol_count++] = kad__bytes_of("/ipfs/kad/1.0.0");
  m.protocols[m.protocol_count++] = kad__bytes_of(KAD__IDENTIFY_PUSH_PROTOCOL);
  return &m;
}

static kad__identify_event expect_done(fixture *f) {
  static kad__identify_event event;
  assert_true(kad__identify_poll(f->identify, &event));
  assert_int_equal(event.type, KAD__IDENTIFY_DONE);
  assert_int_equal(event.connection, f->connection);
  assert_true(kad_peer_id_equal(&event.peer, &f->peer));
  return event;
}

static void expect_nothing(fixture *f) {
  kad__identify_event event;
  assert_false(kad__identify_poll(f->identify, &event));
}

static void expect_failed(fixture *f, int error) {
  kad__identify_event event;
  assert_true(kad__identify_poll(f->identify, &event));
  assert_int_equal(event.type, KAD__IDENTIFY_FAILED);
  assert_error(error, event.error);
  expect_nothing(f);
}

static void expect_addresses(fixture *f, const char *const *texts,
                             size_t count) {
  uint8_t list[4096];
  size_t len = kad__peerstore_addresses(f->swarm->peerstore, &f->peer, list,
                                        sizeof(list), f->now);
  assert_int_equal(kad__addresses_count(kad__bytes(list, len)), count);
  for (size_t i = 0; i < count; i++) {
    assert_true(
        kad__addresses_have(kad__bytes(list, len), address(texts[i], 0)));
  }
}

static bool speaks(const fixture *f, const char *protocol) {
  return kad__peerstore_speaks(f->swarm->peerstore, &f->peer,
                               kad__bytes_of(protocol));
}

/* ---- asking ------------------------------------------------------------ */

static void learns_from_an_answer(void **state) {
  fixture *f = *state;
  kad__stream *stream = start(f);
  assert_int_equal(stream->deadline, f->now + 5 * KAD_SECOND);
  assert_bytes_equal(stream->protocol, kad__bytes_of("/ipfs/id/1.0.0"));
  assert_int_equal(fake_written(stream).len, 0);
  kad__identify_message *m = usual(f);
  m->addresses[m->address_count++] = address("/ip4/127.0.0.1/tcp/1", 1);
  m->addresses[m->address_count++] = address("/ip4/10.0.0.1/tcp/1", 2);
  m->addresses[m->address_count++] = test_hex("04010203"); /* malformed */
  arrive_message(stream, m);
  tell(f, KAD__SWARM_STREAM_READABLE, stream, 0);
  expect_nothing(f); /* more may come */
  finish(f, stream);
  assert_true(stream->gone && !stream->was_reset);
  kad__identify_event event = expect_done(f);
  assert_true(event.protocols_changed);
  assert_false(event.push);
  assert_bytes_equal(event.observed_address, address("/ip4/5.6.7.8/tcp/99", 0));
  static const char *const expected[] = {"/ip4/127.0.0.1/tcp/1",
                                         "/ip4/10.0.0.1/tcp/1"};
  expect_addresses(f, expected, 2);
  assert_true(speaks(f, "/ipfs/kad/1.0.0"));
  assert_bytes_equal(kad__peerstore_agent(f->swarm->peerstore, &f->peer),
                     kad__bytes_of("tester/1"));
  assert_int_equal(kad__identify_counters_get(f->identify)->bad_addresses, 1);
  expect_nothing(f);
}

static void merges_several_messages(void **state) {
  fixture *f = *state;
  kad__stream *stream = start(f);
  arrive_message(stream, usual(f));
  kad__identify_message more = {0};
  more.protocols[0] = kad__bytes_of("/other/1");
  more.protocol_count = 1;
  more.has_agent_version = true;
  more.agent_version = kad__bytes_of("tester/2");
  arrive_message(stream, &more);
  finish(f, stream);
  (void)expect_done(f);
  assert_true(speaks(f, "/ipfs/kad/1.0.0") && speaks(f, "/other/1"));
  assert_bytes_equal(kad__peerstore_agent(f->swarm->peerstore, &f->peer),
                     kad__bytes_of("tester/2"));
}

/* I-02, and just below it. */
static void bounds_the_number_of_messages(void **state) {
  fixture *f = *state;
  kad__stream *stream = start(f);
  for (size_t i = 0; i < 10; i++) {
    arrive_message(stream, usual(f));
  }
  finish(f, stream);
  (void)expect_done(f);
  stream = start(f);
  for (size_t i = 0; i < 11; i++) {
    arrive_message(stream, usual(f));
  }
  tell(f, KAD__SWARM_STREAM_READABLE, stream, 0);
  assert_int_equal(stream->code, KAD__STREAM_PROTOCOL_VIOLATION);
  expect_failed(f, KAD_E_MESSAGE_TOO_LARGE);
}

static void bounds_the_size_of_messages(void **state) {
  fixture *f = *state;
  uint8_t *large = calloc(1, 8195);
  /* 8191 bytes of an unknown field. */
  size_t n = kad__varint_encode(large, 8192);
  memcpy(large + n, "\x7a\xfd\x3f", 3);
  kad__stream *stream = start(f);
  fake_arrive(stream, kad__bytes(large, n + 8192));
  finish(f, stream);
  (void)expect_done(f);
  stream = start(f);
  n = kad__varint_encode(large, 8193);
  fake_arrive(stream, kad__bytes(large, n));
  tell(f, KAD__SWARM_STREAM_READABLE, stream, 0);
  assert_true(stream->was_reset);
  expect_failed(f, KAD_E_MESSAGE_TOO_LARGE);
  free(large);
}

/* I-03: the work for each byte does not grow. Here: that it works at all. */
static void takes_one_byte_at_a_time(void **state) {
  fixture *f = *state;
  uint8_t out[4096];
  int len = kad__identify_encode(out, sizeof(out), usual(f));
  kad__stream *stream = start(f);
  for (int i = 0; i < len; i++) {
    fake_arrive(stream, kad__bytes(out + i, 1));
    tell(f, KAD__SWARM_STREAM_READABLE, stream, 0);
  }
  finish(f, stream);
  (void)expect_done(f);
  assert_true(speaks(f, "/ipfs/kad/1.0.0"));
}

static void every_prefix_is_an_error(void **state) {
  fixture *f = *state;
  uint8_t out[4096];
  int len = kad__identify_encode(out, sizeof(out), usual(f));
  for (int i = 0; i < len; i++) {
    kad__stream *stream = start(f);
    fake_arrive(stream, kad__bytes(out, (size_t)i));
    finish(f, stream);
    expect_failed(f, KAD_E_TRUNCATED);
    fake_disconnect(f->swarm, f->connection);
  }
  assert_false(speaks(f, "/ipfs/kad/1.0.0"));
}

static void every_flipped_bit_is_survived(void **state) {
  fixture *f = *state;
  uint8_t out[4096];
  int len = kad__identify_encode(out, sizeof(out), usual(f));
  size_t done = 0;
  for (int bit = 0; bit < 8 * len; bit++) {
    out[bit / 8] ^= (uint8_t)(1 << bit % 8);
    kad__stream *stream = start(f);
    fake_arrive(stream, kad__bytes(out, (size_t)len));
    finish(f, stream);
    assert_true(stream->gone);
    kad__identify_event event;
    assert_true(kad__identify_poll(f->identify, &event));
    done += event.type == KAD__IDENTIFY_DONE;
    expect_nothing(f);
    fake_disconnect(f->swarm, f->connection);
    out[bit / 8] ^= (uint8_t)(1 << bit % 8);
  }
  assert_true(done > 0 && done < 8 * (size_t)len);
}

/* I-01 */
static void gives_up(void **state) {
  fixture *f = *state;
  kad__stream *stream = start(f);
  tell(f, KAD__SWARM_STREAM_DEAD, stream, KAD_E_TIMEOUT);
  expect_failed(f, KAD_E_TIMEOUT);
  stream = start(f);
  tell(f, KAD__SWARM_STREAM_DEAD, stream, KAD_E_NO_PROTOCOL);
  expect_failed(f, KAD_E_NO_PROTOCOL);
  stream = start(f);
  finish(f, stream);
  expect_failed(f, KAD_E_TRUNCATED);
  f->swarm->open_error = KAD_E_LIMIT;
  start(f);
  expect_failed(f, KAD_E_LIMIT);
  assert_int_equal(kad__identify_counters_get(f->identify)->failures, 4);
}

/* I-08: nothing of the message is believed. */
static void refuses_another_key(void **state) {
  fixture *f = *state;
  kad__stream *stream = start(f);
  kad__identify_message *m = usual(f);
  m->public_key = kad_public_key_bytes(kad_key_pair_public(f->our_key));
  m->addresses[m->address_count++] = address("/ip4/10.0.0.1/tcp/1", 1);
  arrive_message(stream, m);
  finish(f, stream);
  expect_failed(f, KAD_E_PEER_MISMATCH);
  assert_false(speaks(f, "/ipfs/kad/1.0.0"));
  expect_addresses(f, NULL, 0);
  assert_int_equal(kad__identify_counters_get(f->identify)->wrong_keys, 1);
}

static void filters_by_scope(void **state) {
  fixture *f = *state;
  static const char *const texts[] = {
      "/ip4/7.7.7.7/tcp/1", "/ip4/10.0.0.1/tcp/1", "/ip4/127.0.0.1/tcp/1"};
  static const char *const remotes[] = {
      "/ip4/9.9.9.9/tcp/5", "/ip4/192.168.0.9/tcp/5", "/ip4/127.0.0.1/tcp/5"};
  for (size_t i = 0; i < 3; i++) {
    kad__stream *stream = connect_from(f, remotes[i], true);
    kad__identify_message *m = usual(f);
    for (size_t j = 0; j < 3; j++) {
      m->addresses[m->address_count++] = address(texts[j], 1 + j);
    }
    m->addresses[m->address_count++] = address("/ip4/0.0.0.0/tcp/1", 5);
    arrive_message(stream, m);
    finish(f, stream);
    (void)expect_done(f);
    expect_addresses(f, texts, i + 1);
    fake_disconnect(f->swarm, f->connection);
  }
}

/* I-07 */
static void drops_foreign_and_surplus_addresses(void **state) {
  fixture *f = *state;
  kad__stream *stream = start(f);
  kad__identify_message *m = usual(f);
  uint8_t foreign[128];
  kad_bytes base = address("/ip4/10.0.0.1/tcp/1", 1);
  const kad_peer_id *other = kad_key_pair_peer_id(f->our_key);
  memcpy(foreign, base.data, base.len);
  memcpy(foreign + base.len, "\xa5\x03", 2);
  foreign[base.len + 2] = other->len;
  memcpy(foreign + base.len + 3, other->bytes, other->len);
  kad_bytes whole = kad__bytes(foreign, base.len + 3 + other->len);
  assert_ok(kad_multiaddr_check(whole));
  m->addresses[m->address_count++] = whole;
  arrive_message(stream, m);
  finish(f, stream);
  (void)expect_done(f);
  expect_addresses(f, NULL, 0);

  stream = start(f);
  m = usual(f);
  static uint8_t many[64][8];
  for (size_t i = 0; i < 64; i++) {
    memcpy(many[i], "\x04\x0a\x00\x00\x01\x06\x10\x01", 8);
    many[i][4] = (uint8_t)(1 + i);
    m->addresses[m->address_count++] = kad__bytes(many[i], 8);
  }
  arrive_message(stream, m);
  arrive_message(stream, m);
  finish(f, stream);
  (void)expect_done(f);
  uint8_t list[4096];
  size_t len = kad__peerstore_addresses(f->swarm->peerstore, &f->peer, list,
                                        sizeof(list), f->now);
  assert_int_equal(kad__addresses_count(kad__bytes(list, len)),
                   KAD__PEERSTORE_ADDRESSES_PER_PEER);
}

static void replaces_what_was_listed_before(void **state) {
  fixture *f = *state;
  kad__stream *stream = connect_from(f, "/ip4/127.0.0.1/tcp/77", false);
  kad__identify_message *m = usual(f);
  m->addresses[m->address_count++] = address("/ip4/10.0.0.1/tcp/1", 1);
  arrive_message(stream, m);
  finish(f, stream);
  (void)expect_done(f);
  static const char *const before[] = {"/ip4/127.0.0.1/tcp/77",
                                       "/ip4/10.0.0.1/tcp/1"};
  expect_addresses(f, before, 2);
  stream = fake_inbound(f->swarm, f->connection, KAD__TAG_IDENTIFY_PUSH);
  tell(f, KAD__SWARM_STREAM_INBOUND, stream, 0);
  m->addresses[0] = address("/ip4/10.0.0.2/tcp/1", 1);
  arrive_message(stream, m);
  finish(f, stream);
  assert_true(expect_done(f).push);
  f->now += 3 * KAD_MINUTE;
  static const char *const after[] = {"/ip4/127.0.0.1/tcp/77",
                                      "/ip4/10.0.0.2/tcp/1"};
  expect_addresses(f, after, 2);
}

static void observed_address_is_checked(void **state) {
  fixture *f = *state;
  kad__stream *stream = start(f);
  kad__identify_message *m = usual(f);
  m->observed_address = test_hex("0401");
  arrive_message(stream, m);
  finish(f, stream);
  assert_int_equal(expect_done(f).observed_address.len, 0);
  /* js-libp2p appends our id. */
  uint8_t with_id[128];
  kad_bytes base = address("/ip4/5.6.7.8/tcp/99", 1);
  memcpy(with_id, base.data, base.len);
  memcpy(with_id + base.len, "\xa5\x03", 2);
  with_id[base.len + 2] = f->peer.len;
  memcpy(with_id + base.len + 3, f->peer.bytes, f->peer.len);
  stream = start(f);
  m->observed_address = kad__bytes(with_id, base.len + 3 + f->peer.len);
  arrive_message(stream, m);
  finish(f, stream);
  assert_bytes_equal(expect_done(f).observed_address,
                     address("/ip4/5.6.7.8/tcp/99", 1));
}

/* ---- signed records ---------------------------------------------------- */

static void answer_with_record(fixture *f, kad_bytes record,
                               const char *const *listed, size_t count) {
  kad__stream *stream = start(f);
  kad__identify_message *m = usual(f);
  m->has_signed_peer_record = true;
  m->signed_peer_record = record;
  for (size_t i = 0; i < count; i++) {
    m->addresses[m->address_count++] = address(listed[i], 1 + i);
  }
  arrive_message(stream, m);
  finish(f, stream);
  (void)expect_done(f);
}

static kad_bytes seal(const kad_key_pair *pair, const char *text) {
  static uint8_t sealed[1024];
  kad_bytes one = address(text, 12);
  int len = kad__peer_record_seal(sealed, sizeof(sealed), pair, 1, &one, 1);
  assert_ok(len);
  return kad__bytes(sealed, (size_t)len);
}

static const char *const listed[] = {"/ip4/10.0.0.1/tcp/1",
                                     "/ip4/10.0.0.2/tcp/1"};

static void the_record_replaces_the_list(void **state) {
  fixture *f = *state;
  static const char *const expected[] = {"/ip4/10.9.9.9/tcp/1"};
  answer_with_record(f, seal(f->peer_key, expected[0]), listed, 2);
  expect_addresses(f, expected, 1);
  assert_int_equal(kad__identify_counters_get(f->identify)->bad_records, 0);
}

/* I-05: another peer's record, and a forged one. */
static void a_bad_record_is_dropped(void **state) {
  fixture *f = *state;
  answer_with_record(f, seal(f->our_key, "/ip4/10.9.9.9/tcp/1"), listed, 2);
  expect_addresses(f, listed, 2);
  assert_int_equal(kad__identify_counters_get(f->identify)->bad_records, 1);
  kad_bytes record = seal(f->peer_key, "/ip4/10.9.9.9/tcp/1");
  uint8_t forged[1024];
  memcpy(forged, record.data, record.len);
  forged[record.len - 1] ^= 1;
  answer_with_record(f, kad__bytes(forged, record.len), listed, 2);
  expect_addresses(f, listed, 2);
  assert_int_equal(kad__identify_counters_get(f->identify)->bad_records, 2);
  answer_with_record(f, test_hex("0a00"), listed, 2);
  assert_int_equal(kad__identify_counters_get(f->identify)->bad_records, 3);
}

/* What the list says already needs no signature. */
static void a_repeating_record_changes_nothing(void **state) {
  fixture *f = *state;
  answer_with_record(f, seal(f->peer_key, listed[0]), listed, 1);
  expect_addresses(f, listed, 1);
  answer_with_record(f, seal(f->our_key, listed[0]), listed, 1);
  expect_addresses(f, listed, 1);
}

static void a_longer_record_is_no_repetition(void **state) {
  fixture *f = *state;
  kad_bytes both[] = {address(listed[0], 11), address(listed[1], 12)};
  uint8_t sealed[1024];
  int len =
      kad__peer_record_seal(sealed, sizeof(sealed), f->peer_key, 1, both, 2);
  assert_ok(len);
  answer_with_record(f, kad__bytes(sealed, (size_t)len), listed, 1);
  expect_addresses(f, listed, 2);
}

/* ---- answering --------------------------------------------------------- */

static kad__stream *ask_us(fixture *f) {
  kad__stream *stream =
      fake_inbound(f->swarm, f->connection, KAD__TAG_IDENTIFY);
  tell(f, KAD__SWARM_STREAM_INBOUND, stream, 0);
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
  fixture *f = *state;
  (void)start(f);
  kad__stream *stream = ask_us(f);
  assert_true(stream->gone && !stream->was_reset && stream->write_closed);
  static kad__identify_message m;
  read_answer(&m, stream);
  assert_bytes_equal(m.public_key,
                     kad_public_key_bytes(kad_key_pair_public(f->our_key)));
  assert_bytes_equal(m.observed_address, address("/ip4/127.0.0.1/tcp/5000", 1));
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
  fixture *f = *state;
  (void)connect_from(f, "/ip4/9.9.9.9/tcp/1", true);
  static kad__identify_message m;
  read_answer(&m, ask_us(f));
  assert_int_equal(m.address_count, 1);
  assert_bytes_equal(m.addresses[0], address("/ip4/8.8.4.4/tcp/4001", 1));
}

static uint64_t sequence_of(fixture *f) {
  static kad__identify_message m;
  read_answer(&m, ask_us(f));
  kad__peer_record record;
  assert_ok(kad__peer_record_open(&record, &f->memory.allocator,
                                  m.signed_peer_record));
  return record.sequence;
}

static void signs_anew_only_for_new_addresses(void **state) {
  fixture *f = *state;
  (void)start(f);
  uint64_t first = sequence_of(f);
  assert_int_equal(sequence_of(f), first);
  f->swarm->listening_count = 1;
  assert_true(sequence_of(f) > first);
}

/* rust-libp2p reads 4096 bytes at most. */
static void keeps_answers_short(void **state) {
  fixture *f = *state;
  (void)start(f);
  static uint8_t list[KAD__OWN_ADDRESSES_MAX];
  size_t len = 0;
  for (unsigned i = 0;; i++) {
    char text[64];
    snprintf(text, sizeof(text), "/dns/node-%05u.example.org/tcp/4001", i);
    if (!kad__addresses_append(list, sizeof(list), &len, address(text, 1))) {
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
  fixture *f = *state;
  (void)start(f);
  f->memory.fail_at = f->memory.calls + 1;
  assert_true(ask_us(f)->was_reset);
  f->swarm->write_error = KAD_E_NO_MEMORY;
  assert_true(ask_us(f)->was_reset);
}

/* ---- push -------------------------------------------------------------- */

static void identify_peer(fixture *f) {
  kad__stream *stream = start(f);
  arrive_message(stream, usual(f));
  finish(f, stream);
  (void)expect_done(f);
}

static void pushes_news_once(void **state) {
  fixture *f = *state;
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
  tell(f, KAD__SWARM_STREAM_OPENED, stream, 0);
  assert_true(stream->gone && !stream->was_reset);
  kad__identify_push_all(f->identify, f->now);
  assert_int_equal(fake_stream_count(f->swarm), before + 1);
  f->swarm->listening_count = 1;
  kad__identify_push_all(f->identify, f->now);
  assert_int_equal(fake_stream_count(f->swarm), before + 2);
  tell(f, KAD__SWARM_STREAM_DEAD, fake_stream(f->swarm, before + 1),
       KAD_E_TIMEOUT);
  expect_nothing(f);
}

static void pushes_to_those_who_take_it(void **state) {
  fixture *f = *state;
  kad__stream *stream = start(f);
  kad__identify_message *m = usual(f);
  m->protocol_count = 1;
  arrive_message(stream, m);
  finish(f, stream);
  size_t before = fake_stream_count(f->swarm);
  kad__identify_push_all(f->identify, f->now);
  assert_int_equal(fake_stream_count(f->swarm), before);
}

/* News that came while the peer was not known yet to take pushes. */
static void catches_up(void **state) {
  fixture *f = *state;
  kad__stream *stream = start(f);
  kad__identify_push_all(f->identify, f->now);
  size_t before = fake_stream_count(f->swarm);
  arrive_message(stream, usual(f));
  finish(f, stream);
  assert_int_equal(fake_stream_count(f->swarm), before + 1);
  tell(f, KAD__SWARM_STREAM_OPENED, fake_stream(f->swarm, before), 0);
}

static void pushes_to_many_a_few_at_a_time(void **state) {
  fixture *f = *state;
  for (size_t i = 0; i < 50; i++) {
    identify_peer(f);
  }
  size_t at = fake_stream_count(f->swarm);
  kad__identify_push_all(f->identify, f->now);
  assert_int_equal(fake_live_streams(f->swarm), 32);
  fake_disconnect(f->swarm, 50); /* not pushed to yet */
  for (; fake_stream(f->swarm, at) != NULL; at++) {
    tell(f, KAD__SWARM_STREAM_OPENED, fake_stream(f->swarm, at), 0);
  }
  assert_int_equal(kad__identify_counters_get(f->identify)->pushes_out, 49);
  assert_int_equal(fake_live_streams(f->swarm), 0);
}

static kad__stream *push_us(fixture *f, const kad__identify_message *m) {
  kad__stream *stream =
      fake_inbound(f->swarm, f->connection, KAD__TAG_IDENTIFY_PUSH);
  arrive_message(stream, m);
  stream->ended = true;
  tell(f, KAD__SWARM_STREAM_INBOUND, stream, 0);
  return stream;
}

/* I-10, and: what is absent stays. */
static void a_push_changes_what_it_names(void **state) {
  fixture *f = *state;
  identify_peer(f);
  kad__identify_message m = {0};
  m.protocols[0] = kad__bytes_of("/other/1");
  m.protocol_count = 1;
  (void)push_us(f, &m);
  kad__identify_event event = expect_done(f);
  assert_true(event.push && event.protocols_changed);
  assert_false(speaks(f, "/ipfs/kad/1.0.0"));
  assert_true(speaks(f, "/other/1"));
  assert_bytes_equal(kad__peerstore_agent(f->swarm->peerstore, &f->peer),
                     kad__bytes_of("tester/1"));
  kad__identify_message agent = {0};
  agent.has_agent_version = true;
  agent.agent_version = kad__bytes_of("tester/9");
  (void)push_us(f, &agent);
  assert_false(expect_done(f).protocols_changed);
  assert_true(speaks(f, "/other/1"));
}

/* I-04 */
static void pushes_are_rate_limited(void **state) {
  fixture *f = *state;
  identify_peer(f);
  size_t taken = 0;
  for (size_t i = 0; i < 1000; i++) {
    kad__stream *stream = push_us(f, usual(f));
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
    kad__stream *stream = push_us(f, usual(f));
    taken += !stream->was_reset;
  }
  assert_int_equal(taken, 12);
}

static void a_broken_push_tells_nobody(void **state) {
  fixture *f = *state;
  identify_peer(f);
  kad__stream *stream =
      fake_inbound(f->swarm, f->connection, KAD__TAG_IDENTIFY_PUSH);
  fake_arrive(stream, test_hex("020a"));
  tell(f, KAD__SWARM_STREAM_INBOUND, stream, 0);
  tell(f, KAD__SWARM_STREAM_DEAD, stream, KAD_E_STREAM_RESET);
  stream = fake_inbound(f->swarm, f->connection, KAD__TAG_IDENTIFY_PUSH);
  fake_arrive(stream, test_hex("0103"));
  stream->ended = true;
  tell(f, KAD__SWARM_STREAM_INBOUND, stream, 0);
  expect_nothing(f);
  assert_true(speaks(f, "/ipfs/kad/1.0.0"));
  assert_int_equal(kad__identify_counters_get(f->identify)->malformed, 1);
}

static void a_connection_that_is_gone_costs_nothing(void **state) {
  fixture *f = *state;
  identify_peer(f);
  kad__identify_event drained;
  (void)kad__identify_poll(f->identify, &drained);
  size_t live = f->memory.live;
  (void)push_us(f, usual(f));
  (void)expect_done(f);
  (void)kad__identify_poll(f->identify, &drained);
  fake_disconnect(f->swarm, f->connection);
  kad__swarm_event event =
      fake_peer_event(KAD__SWARM_DISCONNECTED, f->connection, &f->peer);
  kad__identify_handle_event(f->identify, &event, f->now);
  assert_true(f->memory.live <= live + 1); /* the map's slots */
}

/* ---- memory ------------------------------------------------------------ */

static void new_needs_memory_and_places(void **state) {
  fixture *f = *state;
  kad__identify *identify = NULL;
  kad__identify_config config = config_of(f);
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
  fixture *f = *state;
  for (size_t n = 1; n < 12; n++) {
    f->memory.fail_at = f->memory.calls + n;
    kad__stream *stream = start(f);
    if (stream != NULL) {
      arrive_message(stream, usual(f));
      finish(f, stream);
    }
    (void)ask_us(f);
    size_t at = fake_stream_count(f->swarm);
    f->swarm->listening_count = 1 + n % 2;
    kad__identify_push_all(f->identify, f->now);
    for (; fake_stream(f->swarm, at) != NULL; at++) {
      tell(f, KAD__SWARM_STREAM_OPENED, fake_stream(f->swarm, at), 0);
    }
    (void)push_us(f, usual(f));
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
  fixture *f = *state;
  identify_peer(f);
  (void)start(f);
  kad__identify_push_all(f->identify, f->now);
  (void)push_us(f, usual(f));
  kad__stream *stream =
      fake_inbound(f->swarm, f->connection, KAD__TAG_IDENTIFY_PUSH);
  tell(f, KAD__SWARM_STREAM_INBOUND, stream, 0);
  assert_false(stream->gone);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(learns_from_an_answer),
      TEST(merges_several_messages),
      TEST(bounds_the_number_of_messages),
      TEST(bounds_the_size_of_messages),
      TEST(takes_one_byte_at_a_time),
      TEST(every_prefix_is_an_error),
      TEST(every_flipped_bit_is_survived),
      TEST(gives_up),
      TEST(refuses_another_key),
      TEST(filters_by_scope),
      TEST(drops_foreign_and_surplus_addresses),
      TEST(replaces_what_was_listed_before),
      TEST(observed_address_is_checked),
      TEST(the_record_replaces_the_list),
      TEST(a_bad_record_is_dropped),
      TEST(a_repeating_record_changes_nothing),
      TEST(a_longer_record_is_no_repetition),
      TEST(answers_and_closes),
      TEST(tells_public_peers_public_addresses),
      TEST(signs_anew_only_for_new_addresses),
      TEST(keeps_answers_short),
      TEST(answering_may_fail),
      TEST(pushes_news_once),
      TEST(pushes_to_those_who_take_it),
      TEST(catches_up),
      TEST(pushes_to_many_a_few_at_a_time),
      TEST(a_push_changes_what_it_names),
      TEST(pushes_are_rate_limited),
      TEST(a_broken_push_tells_nobody),
      TEST(a_connection_that_is_gone_costs_nothing),
      TEST(new_needs_memory_and_places),
      TEST(survives_lack_of_memory),
      TEST(free_ends_everything),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
