/* Identify over a fake swarm, with real keys and records: what we ask, and
 * what of the answer we believe. */
#include "identify_fixture.h"
#include "identity/envelope.h"
#include "multiformats/varint.h"
#include "protocols/framing.h"

/* ---- asking ------------------------------------------------------------ */

static void learns_from_an_answer(void **state) {
  identify_fixture *f = *state;
  kad__stream *stream = identify_start(f);
  assert_int_equal(stream->deadline, f->now + 5 * KAD_SECOND);
  assert_bytes_equal(stream->protocol, kad__bytes_of("/ipfs/id/1.0.0"));
  assert_int_equal(fake_written(stream).len, 0);
  kad__identify_message *m = identify_usual(f);
  m->addresses[m->address_count++] =
      identify_address("/ip4/127.0.0.1/tcp/1", 1);
  m->addresses[m->address_count++] = identify_address("/ip4/10.0.0.1/tcp/1", 2);
  m->addresses[m->address_count++] = test_hex("04010203"); /* malformed */
  identify_arrive_message(stream, m);
  identify_tell(f, KAD__SWARM_STREAM_READABLE, stream, 0);
  identify_expect_nothing(f); /* more may come */
  identify_finish(f, stream);
  assert_true(stream->gone && !stream->was_reset);
  kad__identify_event event = identify_expect_done(f);
  assert_true(event.protocols_changed);
  assert_false(event.push);
  assert_bytes_equal(event.observed_address,
                     identify_address("/ip4/5.6.7.8/tcp/99", 0));
  static const char *const expected[] = {"/ip4/127.0.0.1/tcp/1",
                                         "/ip4/10.0.0.1/tcp/1"};
  identify_expect_addresses(f, expected, 2);
  assert_true(identify_speaks(f, "/ipfs/kad/1.0.0"));
  assert_bytes_equal(kad__peerstore_agent(f->swarm->peerstore, &f->peer),
                     kad__bytes_of("tester/1"));
  assert_int_equal(kad__identify_counters_get(f->identify)->bad_addresses, 1);
  identify_expect_nothing(f);
}

static void merges_several_messages(void **state) {
  identify_fixture *f = *state;
  kad__stream *stream = identify_start(f);
  identify_arrive_message(stream, identify_usual(f));
  kad__identify_message more = {0};
  more.protocols[0] = kad__bytes_of("/other/1");
  more.protocol_count = 1;
  more.has_agent_version = true;
  more.agent_version = kad__bytes_of("tester/2");
  identify_arrive_message(stream, &more);
  identify_finish(f, stream);
  (void)identify_expect_done(f);
  assert_true(identify_speaks(f, "/ipfs/kad/1.0.0") &&
              identify_speaks(f, "/other/1"));
  assert_bytes_equal(kad__peerstore_agent(f->swarm->peerstore, &f->peer),
                     kad__bytes_of("tester/2"));
}

/* I-02, and just below it. */
static void bounds_the_number_of_messages(void **state) {
  identify_fixture *f = *state;
  kad__stream *stream = identify_start(f);
  for (size_t i = 0; i < 10; i++) {
    identify_arrive_message(stream, identify_usual(f));
  }
  identify_finish(f, stream);
  (void)identify_expect_done(f);
  stream = identify_start(f);
  for (size_t i = 0; i < 11; i++) {
    identify_arrive_message(stream, identify_usual(f));
  }
  identify_tell(f, KAD__SWARM_STREAM_READABLE, stream, 0);
  assert_int_equal(stream->code, KAD__STREAM_PROTOCOL_VIOLATION);
  identify_expect_failed(f, KAD_E_MESSAGE_TOO_LARGE);
}

static void bounds_the_size_of_messages(void **state) {
  identify_fixture *f = *state;
  uint8_t *large = calloc(1, 8195);
  /* 8191 bytes of an unknown field. */
  size_t n = kad__varint_encode(large, 8192);
  memcpy(large + n, "\x7a\xfd\x3f", 3);
  kad__stream *stream = identify_start(f);
  fake_arrive(stream, kad__bytes(large, n + 8192));
  identify_finish(f, stream);
  (void)identify_expect_done(f);
  stream = identify_start(f);
  n = kad__varint_encode(large, 8193);
  fake_arrive(stream, kad__bytes(large, n));
  identify_tell(f, KAD__SWARM_STREAM_READABLE, stream, 0);
  assert_true(stream->was_reset);
  identify_expect_failed(f, KAD_E_MESSAGE_TOO_LARGE);
  free(large);
}

/* I-03: the work for each byte does not grow. Here: that it works at all. */
static void takes_one_byte_at_a_time(void **state) {
  identify_fixture *f = *state;
  uint8_t out[4096];
  int len = kad__identify_encode(out, sizeof(out), identify_usual(f));
  kad__stream *stream = identify_start(f);
  for (int i = 0; i < len; i++) {
    fake_arrive(stream, kad__bytes(out + i, 1));
    identify_tell(f, KAD__SWARM_STREAM_READABLE, stream, 0);
  }
  identify_finish(f, stream);
  (void)identify_expect_done(f);
  assert_true(identify_speaks(f, "/ipfs/kad/1.0.0"));
}

static void every_prefix_is_an_error(void **state) {
  identify_fixture *f = *state;
  uint8_t out[4096];
  int len = kad__identify_encode(out, sizeof(out), identify_usual(f));
  for (int i = 0; i < len; i++) {
    kad__stream *stream = identify_start(f);
    fake_arrive(stream, kad__bytes(out, (size_t)i));
    identify_finish(f, stream);
    identify_expect_failed(f, KAD_E_TRUNCATED);
    fake_disconnect(f->swarm, f->connection);
  }
  assert_false(identify_speaks(f, "/ipfs/kad/1.0.0"));
}

static void every_flipped_bit_is_survived(void **state) {
  identify_fixture *f = *state;
  uint8_t out[4096];
  int len = kad__identify_encode(out, sizeof(out), identify_usual(f));
  size_t done = 0;
  for (int bit = 0; bit < 8 * len; bit++) {
    out[bit / 8] ^= (uint8_t)(1 << bit % 8);
    kad__stream *stream = identify_start(f);
    fake_arrive(stream, kad__bytes(out, (size_t)len));
    identify_finish(f, stream);
    assert_true(stream->gone);
    kad__identify_event event;
    assert_true(kad__identify_poll(f->identify, &event));
    done += event.type == KAD__IDENTIFY_DONE;
    identify_expect_nothing(f);
    fake_disconnect(f->swarm, f->connection);
    out[bit / 8] ^= (uint8_t)(1 << bit % 8);
  }
  assert_true(done > 0 && done < 8 * (size_t)len);
}

/* I-01 */
static void gives_up(void **state) {
  identify_fixture *f = *state;
  kad__stream *stream = identify_start(f);
  identify_tell(f, KAD__SWARM_STREAM_DEAD, stream, KAD_E_TIMEOUT);
  identify_expect_failed(f, KAD_E_TIMEOUT);
  stream = identify_start(f);
  identify_tell(f, KAD__SWARM_STREAM_DEAD, stream, KAD_E_NO_PROTOCOL);
  identify_expect_failed(f, KAD_E_NO_PROTOCOL);
  stream = identify_start(f);
  identify_finish(f, stream);
  identify_expect_failed(f, KAD_E_TRUNCATED);
  f->swarm->open_error = KAD_E_LIMIT;
  identify_start(f);
  identify_expect_failed(f, KAD_E_LIMIT);
  assert_int_equal(kad__identify_counters_get(f->identify)->failures, 4);
}

/* I-08: nothing of the message is believed. */
static void refuses_another_key(void **state) {
  identify_fixture *f = *state;
  kad__stream *stream = identify_start(f);
  kad__identify_message *m = identify_usual(f);
  m->public_key = kad_public_key_bytes(kad_key_pair_public(f->our_key));
  m->addresses[m->address_count++] = identify_address("/ip4/10.0.0.1/tcp/1", 1);
  identify_arrive_message(stream, m);
  identify_finish(f, stream);
  identify_expect_failed(f, KAD_E_PEER_MISMATCH);
  assert_false(identify_speaks(f, "/ipfs/kad/1.0.0"));
  identify_expect_addresses(f, NULL, 0);
  assert_int_equal(kad__identify_counters_get(f->identify)->wrong_keys, 1);
}

static void filters_by_scope(void **state) {
  identify_fixture *f = *state;
  static const char *const texts[] = {
      "/ip4/7.7.7.7/tcp/1", "/ip4/10.0.0.1/tcp/1", "/ip4/127.0.0.1/tcp/1"};
  static const char *const remotes[] = {
      "/ip4/9.9.9.9/tcp/5", "/ip4/192.168.0.9/tcp/5", "/ip4/127.0.0.1/tcp/5"};
  for (size_t i = 0; i < 3; i++) {
    kad__stream *stream = identify_connect_from(f, remotes[i], true);
    kad__identify_message *m = identify_usual(f);
    for (size_t j = 0; j < 3; j++) {
      m->addresses[m->address_count++] = identify_address(texts[j], 1 + j);
    }
    m->addresses[m->address_count++] =
        identify_address("/ip4/0.0.0.0/tcp/1", 5);
    identify_arrive_message(stream, m);
    identify_finish(f, stream);
    (void)identify_expect_done(f);
    identify_expect_addresses(f, texts, i + 1);
    fake_disconnect(f->swarm, f->connection);
  }
}

/* I-07 */
static void drops_foreign_and_surplus_addresses(void **state) {
  identify_fixture *f = *state;
  kad__stream *stream = identify_start(f);
  kad__identify_message *m = identify_usual(f);
  uint8_t foreign[128];
  kad_bytes base = identify_address("/ip4/10.0.0.1/tcp/1", 1);
  const kad_peer_id *other = kad_key_pair_peer_id(f->our_key);
  memcpy(foreign, base.data, base.len);
  memcpy(foreign + base.len, "\xa5\x03", 2);
  foreign[base.len + 2] = other->len;
  memcpy(foreign + base.len + 3, other->bytes, other->len);
  kad_bytes whole = kad__bytes(foreign, base.len + 3 + other->len);
  assert_ok(kad_multiaddr_check(whole));
  m->addresses[m->address_count++] = whole;
  identify_arrive_message(stream, m);
  identify_finish(f, stream);
  (void)identify_expect_done(f);
  identify_expect_addresses(f, NULL, 0);

  stream = identify_start(f);
  m = identify_usual(f);
  static uint8_t many[64][8];
  for (size_t i = 0; i < 64; i++) {
    memcpy(many[i], "\x04\x0a\x00\x00\x01\x06\x10\x01", 8);
    many[i][4] = (uint8_t)(1 + i);
    m->addresses[m->address_count++] = kad__bytes(many[i], 8);
  }
  identify_arrive_message(stream, m);
  identify_arrive_message(stream, m);
  identify_finish(f, stream);
  (void)identify_expect_done(f);
  uint8_t list[4096];
  size_t len = kad__peerstore_addresses(f->swarm->peerstore, &f->peer, list,
                                        sizeof(list), f->now);
  assert_int_equal(kad__addresses_count(kad__bytes(list, len)),
                   KAD__PEERSTORE_ADDRESSES_PER_PEER);
}

static void replaces_what_was_listed_before(void **state) {
  identify_fixture *f = *state;
  kad__stream *stream =
      identify_connect_from(f, "/ip4/127.0.0.1/tcp/77", false);
  kad__identify_message *m = identify_usual(f);
  m->addresses[m->address_count++] = identify_address("/ip4/10.0.0.1/tcp/1", 1);
  identify_arrive_message(stream, m);
  identify_finish(f, stream);
  (void)identify_expect_done(f);
  static const char *const before[] = {"/ip4/127.0.0.1/tcp/77",
                                       "/ip4/10.0.0.1/tcp/1"};
  identify_expect_addresses(f, before, 2);
  stream = fake_inbound(f->swarm, f->connection, KAD__TAG_IDENTIFY_PUSH);
  identify_tell(f, KAD__SWARM_STREAM_INBOUND, stream, 0);
  m->addresses[0] = identify_address("/ip4/10.0.0.2/tcp/1", 1);
  identify_arrive_message(stream, m);
  identify_finish(f, stream);
  assert_true(identify_expect_done(f).push);
  f->now += 3 * KAD_MINUTE;
  static const char *const after[] = {"/ip4/127.0.0.1/tcp/77",
                                      "/ip4/10.0.0.2/tcp/1"};
  identify_expect_addresses(f, after, 2);
}

static void observed_address_is_checked(void **state) {
  identify_fixture *f = *state;
  kad__stream *stream = identify_start(f);
  kad__identify_message *m = identify_usual(f);
  m->observed_address = test_hex("0401");
  identify_arrive_message(stream, m);
  identify_finish(f, stream);
  assert_int_equal(identify_expect_done(f).observed_address.len, 0);
  /* js-libp2p appends our id. */
  uint8_t with_id[128];
  kad_bytes base = identify_address("/ip4/5.6.7.8/tcp/99", 1);
  memcpy(with_id, base.data, base.len);
  memcpy(with_id + base.len, "\xa5\x03", 2);
  with_id[base.len + 2] = f->peer.len;
  memcpy(with_id + base.len + 3, f->peer.bytes, f->peer.len);
  stream = identify_start(f);
  m->observed_address = kad__bytes(with_id, base.len + 3 + f->peer.len);
  identify_arrive_message(stream, m);
  identify_finish(f, stream);
  assert_bytes_equal(identify_expect_done(f).observed_address,
                     identify_address("/ip4/5.6.7.8/tcp/99", 1));
}

/* ---- signed records ---------------------------------------------------- */

static void answer_with_record(identify_fixture *f, kad_bytes record,
                               const char *const *listed, size_t count) {
  kad__stream *stream = identify_start(f);
  kad__identify_message *m = identify_usual(f);
  m->has_signed_peer_record = true;
  m->signed_peer_record = record;
  for (size_t i = 0; i < count; i++) {
    m->addresses[m->address_count++] = identify_address(listed[i], 1 + i);
  }
  identify_arrive_message(stream, m);
  identify_finish(f, stream);
  (void)identify_expect_done(f);
}

static kad_bytes seal(const kad_key_pair *pair, const char *text) {
  static uint8_t sealed[1024];
  kad_bytes one = identify_address(text, 12);
  int len = kad__peer_record_seal(sealed, sizeof(sealed), pair, 1, &one, 1);
  assert_ok(len);
  return kad__bytes(sealed, (size_t)len);
}

static const char *const listed[] = {"/ip4/10.0.0.1/tcp/1",
                                     "/ip4/10.0.0.2/tcp/1"};

static void the_record_replaces_the_list(void **state) {
  identify_fixture *f = *state;
  static const char *const expected[] = {"/ip4/10.9.9.9/tcp/1"};
  answer_with_record(f, seal(f->peer_key, expected[0]), listed, 2);
  identify_expect_addresses(f, expected, 1);
  assert_int_equal(kad__identify_counters_get(f->identify)->bad_records, 0);
}

/* I-05: another peer's record, and a forged one. */
static void a_bad_record_is_dropped(void **state) {
  identify_fixture *f = *state;
  answer_with_record(f, seal(f->our_key, "/ip4/10.9.9.9/tcp/1"), listed, 2);
  identify_expect_addresses(f, listed, 2);
  assert_int_equal(kad__identify_counters_get(f->identify)->bad_records, 1);
  kad_bytes record = seal(f->peer_key, "/ip4/10.9.9.9/tcp/1");
  uint8_t forged[1024];
  memcpy(forged, record.data, record.len);
  forged[record.len - 1] ^= 1;
  answer_with_record(f, kad__bytes(forged, record.len), listed, 2);
  identify_expect_addresses(f, listed, 2);
  assert_int_equal(kad__identify_counters_get(f->identify)->bad_records, 2);
  answer_with_record(f, test_hex("0a00"), listed, 2);
  assert_int_equal(kad__identify_counters_get(f->identify)->bad_records, 3);
}

/* What the list says already needs no signature. */
static void a_repeating_record_changes_nothing(void **state) {
  identify_fixture *f = *state;
  answer_with_record(f, seal(f->peer_key, listed[0]), listed, 1);
  identify_expect_addresses(f, listed, 1);
  answer_with_record(f, seal(f->our_key, listed[0]), listed, 1);
  identify_expect_addresses(f, listed, 1);
}

static void a_longer_record_is_no_repetition(void **state) {
  identify_fixture *f = *state;
  kad_bytes both[] = {identify_address(listed[0], 11),
                      identify_address(listed[1], 12)};
  uint8_t sealed[1024];
  int len =
      kad__peer_record_seal(sealed, sizeof(sealed), f->peer_key, 1, both, 2);
  assert_ok(len);
  answer_with_record(f, kad__bytes(sealed, (size_t)len), listed, 1);
  identify_expect_addresses(f, listed, 2);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      IDENTIFY_TEST(learns_from_an_answer),
      IDENTIFY_TEST(merges_several_messages),
      IDENTIFY_TEST(bounds_the_number_of_messages),
      IDENTIFY_TEST(bounds_the_size_of_messages),
      IDENTIFY_TEST(takes_one_byte_at_a_time),
      IDENTIFY_TEST(every_prefix_is_an_error),
      IDENTIFY_TEST(every_flipped_bit_is_survived),
      IDENTIFY_TEST(gives_up),
      IDENTIFY_TEST(refuses_another_key),
      IDENTIFY_TEST(filters_by_scope),
      IDENTIFY_TEST(drops_foreign_and_surplus_addresses),
      IDENTIFY_TEST(replaces_what_was_listed_before),
      IDENTIFY_TEST(observed_address_is_checked),
      IDENTIFY_TEST(the_record_replaces_the_list),
      IDENTIFY_TEST(a_bad_record_is_dropped),
      IDENTIFY_TEST(a_repeating_record_changes_nothing),
      IDENTIFY_TEST(a_longer_record_is_no_repetition),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
