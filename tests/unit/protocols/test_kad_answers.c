/* Requests of others over a fake swarm, answered by a fake DHT. */
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
} fixture;

static kad_bytes address(const char *text, size_t slot) {
  static uint8_t memory[16][KAD_MULTIADDR_MAX];
  int len = kad_multiaddr_parse(memory[slot], sizeof(memory[slot]), text);
  assert_ok(len);
  return kad__bytes(memory[slot], (size_t)len);
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
  kad__kad_config config;
  kad__kad_config_default(&config);
  config.local = &f->local;
  config.own = f->own;
  config.random = &f->random;
  assert_ok(kad__kad_new(&f->kad, a, f->swarm, f->dht, &config));
  assert_ok(kad__kad_set_mode(f->kad, KAD__MODE_SERVER));
  f->connection = fake_connect(f->swarm, &f->peer, kad__bytes(NULL, 0),
                               "/ip4/10.0.0.9/tcp/9", true);
  f->dht->answer_result = 1;
  kad__message_init(&f->dht->answer, KAD__FIND_NODE);
  *out = f;
  return 0;
}

static int tear_down(void **in) {
  fixture *f = *in;
  kad__kad_free(f->kad);
  kad__own_addresses_free(f->own);
  assert_int_equal(f->memory.live, 0);
  assert_int_equal(fake_live_streams(f->swarm), 0);
  fake_swarm_free(f->swarm);
  fake_dht_free(f->dht);
  free(f);
  return 0;
}

static void tell(fixture *f, kad__swarm_event_type type, kad__stream *stream,
                 int error) {
  kad__swarm_event event = fake_event(type, stream);
  event.error = error;
  kad__kad_handle_event(f->kad, &event, f->now);
}

static kad__stream *inbound(fixture *f) {
  return fake_inbound(f->swarm, f->connection, KAD__TAG_KAD);
}

static kad__stream *opened(fixture *f) {
  kad__stream *stream = inbound(f);
  tell(f, KAD__SWARM_STREAM_INBOUND, stream, 0);
  return stream;
}

static const kad__kad_counters *counters(const fixture *f) {
  return kad__kad_counters_get(f->kad);
}

/* FIND_NODE of the key "a". */
#define REQUEST "050804120161"
#define REQUEST_LEN 6

static void ask(fixture *f, kad__stream *stream) {
  fake_arrive(stream, test_hex(REQUEST));
  tell(f, KAD__SWARM_STREAM_READABLE, stream, 0);
}

static size_t count_answers(const kad__stream *stream) {
  kad_bytes rest = fake_written(stream);
  size_t count = 0;
  while (rest.len != 0) {
    kad_bytes message;
    int taken = kad__frame_split(&message, rest, (size_t)5 << 20);
    assert_true(taken > 0);
    rest = kad__bytes_skip(rest, (size_t)taken);
    count++;
  }
  return count;
}

static void read_answer(kad__message *m, const kad__stream *stream) {
  kad_bytes written = fake_written(stream);
  kad_bytes message;
  int taken = kad__frame_split(&message, written, (size_t)5 << 20);
  assert_int_equal(taken, written.len);
  assert_ok(kad__message_decode(m, message));
}

/* ---- serving ----------------------------------------------------------- */

static void a_whole_request_leaves_nothing_behind(void **state) {
  fixture *f = *state;
  size_t calls = f->memory.calls;
  kad__stream *stream = inbound(f);
  fake_arrive(stream, test_hex(REQUEST));
  stream->ended = true;
  tell(f, KAD__SWARM_STREAM_INBOUND, stream, 0);
  assert_true(stream->gone && !stream->was_reset);
  assert_int_equal(count_answers(stream), 1);
  assert_int_equal(f->memory.calls, calls);
  assert_int_equal(f->dht->log[0].told, FAKE_ANSWERED);
  assert_int_equal(f->dht->log[0].type, KAD__FIND_NODE);
  assert_bytes_equal(kad__bytes(f->dht->log[0].peer, f->dht->log[0].peer_len),
                     kad_peer_id_bytes(&f->peer));
  assert_bytes_equal(
      kad__bytes(f->dht->log[0].address, f->dht->log[0].address_len),
      address("/ip4/10.0.0.9/tcp/9", 0));
}

static void serves_requests_in_turn(void **state) {
  fixture *f = *state;
  kad__stream *stream = opened(f);
  assert_int_equal(stream->deadline, f->now + KAD_MINUTE);
  for (size_t i = 1; i <= 5; i++) {
    f->now += 30 * KAD_SECOND;
    ask(f, stream);
    fake_flush(stream);
    assert_int_equal(count_answers(stream), i);
    assert_int_equal(stream->deadline, f->now + KAD_MINUTE);
  }
  assert_int_equal(kad__kad_inbound_count(f->kad), 1);
  stream->ended = true;
  tell(f, KAD__SWARM_STREAM_READABLE, stream, 0);
  assert_true(stream->gone && !stream->was_reset);
  assert_int_equal(kad__kad_inbound_count(f->kad), 0);
}

static void serves_pipelined_requests(void **state) {
  fixture *f = *state;
  kad__stream *stream = opened(f);
  for (size_t i = 0; i < 7; i++) {
    fake_arrive(stream, test_hex(REQUEST));
  }
  stream->ended = true;
  tell(f, KAD__SWARM_STREAM_READABLE, stream, 0);
  assert_int_equal(count_answers(stream), 7);
  assert_true(stream->gone && !stream->was_reset);
}

static void no_answer_is_no_end(void **state) {
  fixture *f = *state;
  f->dht->answer_result = 0;
  kad__stream *stream = opened(f);
  ask(f, stream);
  assert_int_equal(fake_written(stream).len, 0);
  assert_false(stream->gone);
  f->dht->answer_result = 1;
  ask(f, stream);
  assert_int_equal(count_answers(stream), 1);
}

static void one_byte_at_a_time(void **state) {
  fixture *f = *state;
  kad__stream *stream = opened(f);
  kad_bytes request = test_hex(REQUEST);
  for (size_t i = 0; i < 3 * REQUEST_LEN; i++) {
    assert_int_equal(count_answers(stream), i / REQUEST_LEN);
    fake_arrive(stream, kad__bytes(request.data + i % REQUEST_LEN, 1));
    tell(f, KAD__SWARM_STREAM_READABLE, stream, 0);
  }
  assert_int_equal(count_answers(stream), 3);
}

/* K-15 */
static void does_not_pile_up_answers(void **state) {
  fixture *f = *state;
  static uint8_t value[8000];
  f->dht->answer.type = KAD__GET_VALUE;
  f->dht->answer.has_record = true;
  f->dht->answer.record.value = kad__bytes(value, sizeof(value));
  kad__stream *stream = opened(f);
  for (size_t i = 0; i < 10000; i++) {
    fake_arrive(stream, test_hex(REQUEST));
  }
  tell(f, KAD__SWARM_STREAM_READABLE, stream, 0);
  assert_int_equal(count_answers(stream), 9);
  tell(f, KAD__SWARM_STREAM_READABLE, stream, 0);
  assert_int_equal(count_answers(stream), 9);
  fake_flush(stream);
  tell(f, KAD__SWARM_STREAM_WRITABLE, stream, 0);
  assert_int_equal(count_answers(stream), 18);
}

/* ---- errors ------------------------------------------------------------ */

static void expect_reset(fixture *f, const char *hex, bool end, uint32_t code) {
  kad__stream *stream = opened(f);
  fake_arrive(stream, test_hex(hex));
  stream->ended = end;
  tell(f, KAD__SWARM_STREAM_READABLE, stream, 0);
  if (!stream->was_reset || stream->code != code) {
    fail_msg("%s: reset %d, code %x", hex, stream->was_reset, stream->code);
  }
  assert_int_equal(kad__kad_inbound_count(f->kad), 0);
}

static void bad_requests_reset(void **state) {
  fixture *f = *state;
  static const char *const lengths[] = {
      "8080808008",           /* K-01 */
      "81808002",             /* K-02 */
      "81800400",             /* 64 KiB + 1 */
      "ffffffffffffffffff01", /* varints that are none */
      "808080808080808080808001"};
  for (size_t i = 0; i < KAD__COUNT(lengths); i++) {
    expect_reset(f, lengths[i], false, KAD__STREAM_PROTOCOL_VIOLATION);
  }
  assert_int_equal(counters(f)->too_large, 3);
  assert_int_equal(counters(f)->malformed, 2);
  static const char *const messages[] = {"020863",           /* K-06 */
                                         "0712ffffffff0f41", /* K-07 */
                                         "027b7b",           /* K-08 */
                                         "040804"
                                         "1005", /* K-11 */
                                         "020000"};
  for (size_t i = 0; i < KAD__COUNT(messages); i++) {
    expect_reset(f, messages[i], false, KAD__STREAM_PROTOCOL_VIOLATION);
  }
  expect_reset(f, "0508", true, KAD__STREAM_PROTOCOL_VIOLATION);
  assert_int_equal(f->dht->log_count, 0);
  assert_int_equal(counters(f)->requests_in, 0);
}

static void what_the_dht_refuses_is_reset(void **state) {
  static const struct {
    int error;
    uint32_t code;
  } cases[] = {{KAD_E_MESSAGE, KAD__STREAM_PROTOCOL_VIOLATION},
               {KAD_E_RECORD, KAD__STREAM_PROTOCOL_VIOLATION},
               {KAD_E_STORE_FULL, KAD__STREAM_LIMIT},
               {KAD_E_NO_MEMORY, KAD__STREAM_LIMIT},
               {KAD_E_UNSUPPORTED, KAD__STREAM_SHUTDOWN}};
  fixture *f = *state;
  for (size_t i = 0; i < KAD__COUNT(cases); i++) {
    f->dht->answer_result = cases[i].error;
    expect_reset(f, REQUEST, false, cases[i].code);
  }
  assert_int_equal(counters(f)->refused, KAD__COUNT(cases));
}

static void every_flipped_bit_is_survived(void **state) {
  fixture *f = *state;
  uint8_t bytes[REQUEST_LEN];
  memcpy(bytes, test_hex(REQUEST).data, sizeof(bytes));
  for (size_t bit = 0; bit < 8 * sizeof(bytes); bit++) {
    bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    kad__stream *stream = opened(f);
    fake_arrive(stream, kad__bytes(bytes, sizeof(bytes)));
    stream->ended = true;
    tell(f, KAD__SWARM_STREAM_READABLE, stream, 0);
    assert_true(stream->gone);
    bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
  }
  assert_true(counters(f)->requests_in != 0 && counters(f)->malformed != 0);
}

/* K-03 */
static void a_long_promise_takes_no_memory(void **state) {
  fixture *f = *state;
  size_t before = f->memory.live_bytes;
  kad__stream *streams[32];
  for (size_t i = 0; i < 32; i++) {
    streams[i] = opened(f);
    fake_arrive(streams[i], test_hex("80800400")); /* 64 KiB, one byte came */
    tell(f, KAD__SWARM_STREAM_READABLE, streams[i], 0);
    assert_false(streams[i]->gone);
  }
  assert_true(f->memory.live_bytes - before < 32 * 1024);
  tell(f, KAD__SWARM_STREAM_DEAD, streams[0], KAD_E_TIMEOUT);
  assert_int_equal(counters(f)->timeouts_in, 1);
  assert_int_equal(kad__kad_inbound_count(f->kad), 31);
}

/* A request in pieces does not live for ever. */
static void a_part_does_not_move_the_deadline(void **state) {
  fixture *f = *state;
  kad__stream *stream = opened(f);
  kad_time deadline = stream->deadline;
  f->now += KAD_SECOND;
  fake_arrive(stream, test_hex("0508"));
  tell(f, KAD__SWARM_STREAM_READABLE, stream, 0);
  assert_int_equal(stream->deadline, deadline);
}

/* ---- the limit of streams ---------------------------------------------- */

/* K-23 */
static void the_oldest_idle_stream_makes_room(void **state) {
  fixture *f = *state;
  kad__stream *streams[32];
  for (size_t i = 0; i < 32; i++) {
    streams[i] = opened(f);
  }
  ask(f, streams[0]); /* now served last, but its answer is unsent */
  fake_arrive(streams[1], test_hex("05"));
  tell(f, KAD__SWARM_STREAM_READABLE, streams[1], 0);
  kad__stream *next = opened(f);
  assert_false(next->gone || streams[0]->gone || streams[1]->gone);
  assert_int_equal(streams[2]->code, KAD__STREAM_GARBAGE_COLLECTED);
  assert_int_equal(counters(f)->streams_evicted, 1);
  assert_int_equal(kad__kad_inbound_count(f->kad), 32);
}

static void without_an_idle_one_the_newest_goes(void **state) {
  fixture *f = *state;
  kad__stream *streams[32];
  for (size_t i = 0; i < 32; i++) {
    streams[i] = inbound(f);
    fake_arrive(streams[i], test_hex("05"));
    tell(f, KAD__SWARM_STREAM_INBOUND, streams[i], 0);
  }
  kad__stream *next = opened(f);
  assert_int_equal(next->code, KAD__STREAM_LIMIT);
  assert_int_equal(counters(f)->streams_refused, 1);
  for (size_t i = 0; i < 32; i++) {
    assert_false(streams[i]->gone);
  }
  /* A request that is there already is answered all the same. */
  kad__stream *whole = inbound(f);
  fake_arrive(whole, test_hex(REQUEST));
  whole->ended = true;
  tell(f, KAD__SWARM_STREAM_INBOUND, whole, 0);
  assert_int_equal(count_answers(whole), 1);
}

/* However many connections it has. */
static void the_limit_is_per_peer(void **state) {
  fixture *f = *state;
  for (size_t i = 0; i < 32; i++) {
    (void)opened(f);
  }
  f->connection = fake_connect(f->swarm, &f->peer, kad__bytes(NULL, 0),
                               "/ip4/10.0.0.9/tcp/10", true);
  assert_false(opened(f)->gone);
  assert_int_equal(kad__kad_inbound_count(f->kad), 32);
  assert_int_equal(counters(f)->streams_evicted, 1);
  kad_peer_id other = fake_peer(2);
  f->connection = fake_connect(f->swarm, &other, kad__bytes(NULL, 0),
                               "/ip4/10.0.0.9/tcp/11", true);
  assert_false(opened(f)->gone);
  assert_int_equal(kad__kad_inbound_count(f->kad), 33);
}

/* ---- what is in an answer ---------------------------------------------- */

static void fills_in_our_own_addresses(void **state) {
  fixture *f = *state;
  f->swarm->listening[0] = address("/ip4/127.0.0.1/tcp/4001", 1);
  f->swarm->listening[1] = address("/ip4/10.0.0.1/tcp/4001", 2);
  f->swarm->listening_count = 2;
  kad__message *m = &f->dht->answer;
  m->type = KAD__GET_PROVIDERS;
  m->provider_count = 2;
  kad_peer_id other = fake_peer(5);
  m->providers[0] = (kad__wire_peer){.id = kad_peer_id_bytes(&other)};
  m->providers[1] = (kad__wire_peer){.id = kad_peer_id_bytes(&f->local)};
  kad__stream *stream = opened(f);
  ask(f, stream);
  static kad__message answer;
  read_answer(&answer, stream);
  assert_int_equal(answer.provider_count, 2);
  kad_bytes rest = answer.providers[0].addresses;
  kad_bytes one;
  assert_false(kad__addresses_next(&rest, &one));
  rest = answer.providers[1].addresses;
  assert_true(kad__addresses_next(&rest, &one));
  assert_bytes_equal(one, f->swarm->listening[1]);
  assert_false(kad__addresses_next(&rest, &one));
}

/* A peer in the public network learns of private addresses only when we have
 * no other. */
static void better_private_addresses_than_none(void **state) {
  fixture *f = *state;
  f->swarm->listening[0] = address("/ip4/10.0.0.1/tcp/4001", 2);
  f->swarm->listening_count = 1;
  kad__message *m = &f->dht->answer;
  m->type = KAD__GET_PROVIDERS;
  m->provider_count = 1;
  m->providers[0] = (kad__wire_peer){.id = kad_peer_id_bytes(&f->local)};
  f->connection = fake_connect(f->swarm, &f->peer, kad__bytes(NULL, 0),
                               "/ip4/9.9.9.9/tcp/9", true);
  kad__stream *stream = opened(f);
  ask(f, stream);
  static kad__message answer;
  read_answer(&answer, stream);
  assert_true(kad__addresses_have(answer.providers[0].addresses,
                                  f->swarm->listening[0]));
}

/* One list of `count` addresses of 30 bytes each. */
static kad_bytes long_list(uint8_t *memory, size_t cap, size_t count) {
  static const uint8_t text[28] = {1};
  size_t len = 0;
  for (size_t i = 0; i < count; i++) {
    assert_true(kad__addresses_append(memory, cap, &len,
                                      kad__bytes(text, sizeof(text))));
  }
  return kad__bytes(memory, len);
}

static void fill_peers(kad__wire_peer *peers, size_t count, kad_bytes list) {
  static uint8_t ids[KAD__MESSAGE_PROVIDERS_MAX][34];
  for (size_t i = 0; i < count; i++) {
    ids[i][0] = (uint8_t)i;
    peers[i] =
        (kad__wire_peer){.id = kad__bytes(ids[i], 34), .addresses = list};
  }
}

static size_t answer_len(fixture *f, kad__message *out) {
  kad__stream *stream = opened(f);
  ask(f, stream);
  read_answer(out, stream);
  tell(f, KAD__SWARM_STREAM_DEAD, stream, KAD_E_CLOSED);
  return kad__message_len(out);
}

static void shortens_address_lists_first(void **state) {
  fixture *f = *state;
  static uint8_t memory[2048];
  kad__message *m = &f->dht->answer;
  m->closer_count = 20;
  fill_peers(m->closer, 20, long_list(memory, sizeof(memory), 60));
  static kad__message out;
  assert_true(answer_len(f, &out) <= 16384);
  assert_int_equal(out.closer_count, 20);
  for (size_t i = 0; i < 20; i++) {
    assert_int_equal(out.closer[i].id.data[0], i);
    assert_int_equal(kad__addresses_count(out.closer[i].addresses), 17);
  }
  assert_int_equal(counters(f)->answers_shortened, 1);
}

static void leaves_short_answers_alone(void **state) {
  fixture *f = *state;
  static uint8_t memory[2048];
  kad__message *m = &f->dht->answer;
  m->closer_count = 20;
  fill_peers(m->closer, 20, long_list(memory, sizeof(memory), 25));
  static kad__message out;
  (void)answer_len(f, &out);
  assert_int_equal(out.closer_count, 20);
  assert_int_equal(kad__addresses_count(out.closer[19].addresses), 25);
  assert_int_equal(counters(f)->answers_shortened, 0);
}

static void drops_the_farthest_peers(void **state) {
  fixture *f = *state;
  static uint8_t memory[2048];
  kad__message *m = &f->dht->answer;
  m->closer_count = 40;
  fill_peers(m->closer, 40, long_list(memory, sizeof(memory), 30));
  static kad__message out;
  size_t len = answer_len(f, &out);
  assert_true(len <= 16384 && len > 15500);
  assert_true(out.closer_count < 40);
  for (size_t i = 0; i < out.closer_count; i++) {
    assert_int_equal(out.closer[i].id.data[0], i);
  }
}

/* Providers are what was asked for; closer peers go before them. */
static void prefers_providers_and_records(void **state) {
  fixture *f = *state;
  static uint8_t memory[2048];
  kad_bytes list = long_list(memory, sizeof(memory), 10);
  kad__message *m = &f->dht->answer;
  m->type = KAD__GET_PROVIDERS;
  m->closer_count = 20;
  m->provider_count = 40;
  fill_peers(m->closer, 20, list);
  fill_peers(m->providers, 40, list);
  static kad__message out;
  assert_true(answer_len(f, &out) <= 16384);
  assert_int_equal(out.provider_count, 40);
  assert_true(out.closer_count < 10);
  m->provider_count = 128;
  fill_peers(m->providers, 128, list);
  assert_true(answer_len(f, &out) <= 16384);
  assert_int_equal(out.closer_count, 0);
  assert_true(out.provider_count > 40 && out.provider_count < 128);

  static uint8_t value[20000];
  m->type = KAD__GET_VALUE;
  m->provider_count = 0;
  m->closer_count = 20;
  m->has_record = true;
  m->record.value = kad__bytes(value, sizeof(value));
  (void)answer_len(f, &out);
  assert_int_equal(out.record.value.len, sizeof(value));
  assert_int_equal(out.closer_count, 0);
}

/* ---- memory ------------------------------------------------------------ */

static void survives_lack_of_memory(void **state) {
  fixture *f = *state;
  size_t refused = 0;
  for (size_t n = 1; n < 6; n++) {
    f->memory.fail_at = f->memory.calls + n;
    kad__stream *stream = opened(f);
    refused += stream->was_reset;
    if (!stream->gone) {
      tell(f, KAD__SWARM_STREAM_DEAD, stream, KAD_E_CLOSED);
    }
  }
  assert_true(refused >= 2);
  f->memory.fail_at = 0;
  f->swarm->deadline_error = KAD_E_NO_MEMORY;
  assert_true(opened(f)->was_reset);
  f->swarm->deadline_error = 0;
  kad__stream *stream = opened(f);
  f->swarm->write_error = KAD_E_NO_MEMORY;
  ask(f, stream);
  assert_int_equal(stream->code, KAD__STREAM_LIMIT);
  assert_int_equal(kad__kad_inbound_count(f->kad), 0);
}

static void streams_do_not_cost_an_allocation_each(void **state) {
  fixture *f = *state;
  tell(f, KAD__SWARM_STREAM_DEAD, opened(f), KAD_E_CLOSED);
  size_t calls = f->memory.calls;
  for (size_t i = 0; i < 100; i++) {
    kad__stream *stream = opened(f);
    ask(f, stream);
    tell(f, KAD__SWARM_STREAM_DEAD, stream, KAD_E_CLOSED);
  }
  assert_int_equal(f->memory.calls, calls);
}

static void free_ends_everything(void **state) {
  fixture *f = *state;
  for (size_t i = 0; i < 70; i++) {
    f->connection = fake_connect(f->swarm, &f->peer, kad__bytes(NULL, 0),
                                 "/ip4/10.0.0.9/tcp/10", true);
    (void)opened(f);
    if (i % 10 != 9) {
      fake_disconnect(f->swarm, f->connection);
    }
  }
  kad__stream *stream = opened(f);
  fake_arrive(stream, test_hex("80800400"));
  tell(f, KAD__SWARM_STREAM_READABLE, stream, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_whole_request_leaves_nothing_behind),
      TEST(serves_requests_in_turn),
      TEST(serves_pipelined_requests),
      TEST(no_answer_is_no_end),
      TEST(one_byte_at_a_time),
      TEST(does_not_pile_up_answers),
      TEST(bad_requests_reset),
      TEST(what_the_dht_refuses_is_reset),
      TEST(every_flipped_bit_is_survived),
      TEST(a_long_promise_takes_no_memory),
      TEST(a_part_does_not_move_the_deadline),
      TEST(the_oldest_idle_stream_makes_room),
      TEST(without_an_idle_one_the_newest_goes),
      TEST(the_limit_is_per_peer),
      TEST(fills_in_our_own_addresses),
      TEST(better_private_addresses_than_none),
      TEST(shortens_address_lists_first),
      TEST(leaves_short_answers_alone),
      TEST(drops_the_farthest_peers),
      TEST(prefers_providers_and_records),
      TEST(survives_lack_of_memory),
      TEST(streams_do_not_cost_an_allocation_each),
      TEST(free_ends_everything),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
