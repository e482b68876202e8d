/* Records and announcements that wait for the owner's verdict. */
#include "fake_dht.h"
#include "fake_swarm.h"
#include "protocols/kad.h"
#include "support.h"

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
  config.review = true;
  assert_ok(kad__kad_new(&f->kad, a, f->swarm, f->dht, &config));
  assert_ok(kad__kad_set_mode(f->kad, KAD__MODE_SERVER));
  f->connection = fake_connect(f->swarm, &f->peer, kad__bytes(NULL, 0),
                               "/ip4/10.0.0.9/tcp/9", true);
  f->dht->answer_result = 1;
  kad__message_init(&f->dht->answer, KAD__PUT_VALUE);
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

static kad_bytes encoded(const kad__message *message) {
  static uint8_t out[1024];
  int len = kad__message_encode(out, sizeof(out), message);
  assert_true(len > 0);
  return kad__bytes(out, (size_t)len);
}

static kad_bytes put(const char *key) {
  static kad__message m;
  kad__message_init(&m, KAD__PUT_VALUE);
  m.key = kad__bytes_of(key);
  m.has_record = true;
  m.record = (kad__wire_record){
      .key = m.key, .value = kad__bytes_of("value"), .ttl = 60};
  return encoded(&m);
}

static kad__stream *send(fixture *f, kad_bytes bytes) {
  kad__stream *stream = fake_inbound(f->swarm, f->connection, KAD__TAG_KAD);
  fake_arrive(stream, bytes);
  tell(f, KAD__SWARM_STREAM_INBOUND, stream, 0);
  return stream;
}

static uint64_t review(fixture *f, kad__kad_review_request *out) {
  assert_true(kad__kad_poll_review(f->kad, out));
  return out->token;
}

static void waits_for_the_verdict(void **state) {
  fixture *f = *state;
  kad__kad_review_request r;
  kad__stream *stream = send(f, put("key"));
  assert_int_equal(f->dht->log_count, 0);
  assert_int_equal(fake_written(stream).len, 0);
  uint64_t token = review(f, &r);
  assert_int_equal(token, 1);
  assert_true(kad_peer_id_equal(&r.peer, &f->peer));
  assert_int_equal(r.type, KAD__PUT_VALUE);
  assert_bytes_equal(r.key, kad__bytes_of("key"));
  assert_bytes_equal(r.record.value, kad__bytes_of("value"));
  assert_int_equal(r.record.ttl, 60);
  assert_false(kad__kad_poll_review(f->kad, &r));
  /* More of the peer's news changes nothing. */
  tell(f, KAD__SWARM_STREAM_READABLE, stream, 0);
  assert_int_equal(f->dht->log_count, 0);
  assert_true(kad__kad_review(f->kad, token, 0, f->now));
  assert_int_equal(f->dht->log_count, 1);
  assert_int_equal(f->dht->log[0].type, KAD__PUT_VALUE);
  assert_true(fake_written(stream).len > 0);
  assert_false(kad__kad_review(f->kad, token, 0, f->now));
  assert_false(kad__kad_review(f->kad, 0, 0, f->now));
}

static void a_refusal_resets(void **state) {
  fixture *f = *state;
  kad__kad_review_request r;
  kad__stream *stream = send(f, put("key"));
  uint64_t token = review(f, &r);
  assert_true(kad__kad_review(f->kad, token, KAD_E_RECORD_REJECTED, f->now));
  assert_true(stream->was_reset);
  assert_int_equal(f->dht->log_count, 0);
  assert_int_equal(kad__kad_counters_get(f->kad)->refused, 1);
}

static void announcements_wait_too(void **state) {
  fixture *f = *state;
  static kad__message m;
  kad__kad_review_request r;
  kad_bytes list = test_hex("120804080808080610a1");
  kad__message_init(&m, KAD__ADD_PROVIDER);
  m.key = kad__bytes_of("key");
  m.provider_count = 1;
  m.providers[0] =
      (kad__wire_peer){.id = kad_peer_id_bytes(&f->peer), .addresses = list};
  f->dht->answer_result = 0;
  kad__stream *stream = send(f, encoded(&m));
  stream->ended = true;
  uint64_t token = review(f, &r);
  assert_int_equal(r.type, KAD__ADD_PROVIDER);
  assert_bytes_equal(r.addresses, list);
  assert_true(kad__kad_review(f->kad, token, 0, f->now));
  assert_int_equal(f->dht->log_count, 1);
  assert_true(stream->gone && !stream->was_reset);
}

static void questions_do_not_wait(void **state) {
  fixture *f = *state;
  kad__kad_review_request r;
  kad__stream *stream = send(f, test_hex("050804120161"));
  assert_false(kad__kad_poll_review(f->kad, &r));
  assert_int_equal(f->dht->log_count, 1);
  assert_true(fake_written(stream).len > 0);
}

static void nonsense_is_refused_unasked(void **state) {
  fixture *f = *state;
  kad__kad_review_request r;
  f->dht->check_result = KAD_E_RECORD;
  assert_true(send(f, put("key"))->was_reset);
  assert_false(kad__kad_poll_review(f->kad, &r));
}

static void one_after_the_other(void **state) {
  fixture *f = *state;
  kad__kad_review_request r;
  uint8_t both[256];
  kad_bytes one = put("first");
  size_t len = one.len;
  memcpy(both, one.data, len);
  one = put("second");
  memcpy(both + len, one.data, one.len);
  kad__stream *stream = send(f, kad__bytes(both, len + one.len));
  uint64_t token = review(f, &r);
  assert_bytes_equal(r.key, kad__bytes_of("first"));
  assert_false(kad__kad_poll_review(f->kad, &r));
  assert_true(kad__kad_review(f->kad, token, 0, f->now));
  token = review(f, &r);
  assert_bytes_equal(r.key, kad__bytes_of("second"));
  assert_int_equal(f->dht->log_count, 1);
  assert_true(kad__kad_review(f->kad, token, 0, f->now));
  assert_int_equal(f->dht->log_count, 2);
  assert_false(stream->gone);
}

static void a_late_verdict_is_none(void **state) {
  fixture *f = *state;
  kad__kad_review_request r;
  kad__stream *seen = send(f, put("a"));
  uint64_t token = review(f, &r);
  kad__stream *unseen = send(f, put("b"));
  assert_int_equal(seen->deadline, f->now + KAD_MINUTE);
  tell(f, KAD__SWARM_STREAM_DEAD, seen, KAD_E_TIMEOUT);
  tell(f, KAD__SWARM_STREAM_DEAD, unseen, KAD_E_CLOSED);
  assert_false(kad__kad_review(f->kad, token, 0, f->now));
  assert_false(kad__kad_poll_review(f->kad, &r));
}

static void the_number_is_bounded(void **state) {
  fixture *f = *state;
  for (unsigned i = 0; i < 256; i++) {
    if (i % 32 == 0) {
      f->peer = fake_peer(100 + i);
      f->connection = fake_connect(f->swarm, &f->peer, kad__bytes(NULL, 0),
                                   "/ip4/10.0.0.9/tcp/9", true);
    }
    assert_false(send(f, put("key"))->gone);
  }
  f->peer = fake_peer(1);
  f->connection = fake_connect(f->swarm, &f->peer, kad__bytes(NULL, 0),
                               "/ip4/10.0.0.9/tcp/9", true);
  kad__stream *stream = send(f, put("key"));
  assert_true(stream->was_reset);
  assert_int_equal(stream->code, KAD__STREAM_LIMIT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(waits_for_the_verdict),       TEST(a_refusal_resets),
      TEST(announcements_wait_too),      TEST(questions_do_not_wait),
      TEST(nonsense_is_refused_unasked), TEST(one_after_the_other),
      TEST(a_late_verdict_is_none),      TEST(the_number_is_bounded),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
