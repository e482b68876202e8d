#include "identify_fixture.h"

kad_bytes identify_address(const char *text, size_t slot) {
  static uint8_t memory[16][KAD_MULTIADDR_MAX];
  int len = kad_multiaddr_parse(memory[slot], sizeof(memory[slot]), text);
  assert_ok(len);
  return kad__bytes(memory[slot], (size_t)len);
}

kad_bytes identify_peer_public(const identify_fixture *f) {
  return kad_public_key_bytes(kad_key_pair_public(f->peer_key));
}

kad__identify_config identify_config_of(identify_fixture *f) {
  kad__identify_config config;
  kad__identify_config_default(&config);
  config.identity = f->our_key;
  config.own = f->own;
  config.random = &f->random;
  return config;
}

int identify_set_up(void **out) {
  identify_fixture *f = calloc(1, sizeof(*f));
  f->swarm = fake_swarm_new();
  test_allocator_init(&f->memory);
  kad_random_init_u64(&f->random, 7);
  const kad_allocator *a = &f->memory.allocator;
  assert_ok(kad_key_pair_generate(&f->our_key, a, &f->random));
  assert_ok(kad_key_pair_generate(&f->peer_key, a, &f->random));
  assert_ok(kad__own_addresses_new(&f->own, a, f->swarm));
  f->now = KAD_SECOND;
  kad__identify_config config = identify_config_of(f);
  assert_ok(kad__identify_new(&f->identify, a, f->swarm, &config));
  f->peer = *kad_key_pair_peer_id(f->peer_key);
  f->swarm->listening[0] = identify_address("/ip4/127.0.0.1/tcp/4001", 14);
  f->swarm->listening[1] = identify_address("/ip4/8.8.4.4/tcp/4001", 15);
  f->swarm->listening_count = 2;
  *out = f;
  return 0;
}

int identify_tear_down(void **in) {
  identify_fixture *f = *in;
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

void identify_tell(identify_fixture *f, kad__swarm_event_type type,
                   kad__stream *stream, int error) {
  kad__swarm_event event = fake_event(type, stream);
  event.error = error;
  kad__identify_handle_event(f->identify, &event, f->now);
}

/* Connects and returns the stream of our request. */
kad__stream *identify_connect_from(identify_fixture *f, const char *remote,
                                   bool inbound) {
  f->connection = fake_connect(f->swarm, &f->peer, identify_peer_public(f),
                               remote, inbound);
  size_t index = fake_stream_count(f->swarm);
  kad__swarm_event event =
      fake_peer_event(KAD__SWARM_CONNECTED, f->connection, &f->peer);
  kad__identify_handle_event(f->identify, &event, f->now);
  return fake_stream(f->swarm, index);
}

kad__stream *identify_start(identify_fixture *f) {
  return identify_connect_from(f, "/ip4/127.0.0.1/tcp/5000", true);
}

void identify_arrive_message(kad__stream *stream,
                             const kad__identify_message *m) {
  static uint8_t out[16384];
  int len = kad__identify_encode(out, sizeof(out), m);
  assert_ok(len);
  fake_arrive(stream, kad__bytes(out, (size_t)len));
}

void identify_finish(identify_fixture *f, kad__stream *stream) {
  stream->ended = true;
  identify_tell(f, KAD__SWARM_STREAM_READABLE, stream, 0);
}

/* A usual message; the lists are the caller's. */
kad__identify_message *identify_usual(const identify_fixture *f) {
  static kad__identify_message m;
  memset(&m, 0, sizeof(m));
  m.has_public_key = true;
  m.public_key = identify_peer_public(f);
  m.has_agent_version = true;
  m.agent_version = kad__bytes_of("tester/1");
  m.has_observed_address = true;
  m.observed_address = identify_address("/ip4/5.6.7.8/tcp/99", 13);
  m.protocols[m.protocol_count++] = kad__bytes_of("/ipfs/kad/1.0.0");
  m.protocols[m.protocol_count++] = kad__bytes_of(KAD__IDENTIFY_PUSH_PROTOCOL);
  return &m;
}

kad__identify_event identify_expect_done(identify_fixture *f) {
  static kad__identify_event event;
  assert_true(kad__identify_poll(f->identify, &event));
  assert_int_equal(event.type, KAD__IDENTIFY_DONE);
  assert_int_equal(event.connection, f->connection);
  assert_true(kad_peer_id_equal(&event.peer, &f->peer));
  return event;
}

void identify_expect_nothing(identify_fixture *f) {
  kad__identify_event event;
  assert_false(kad__identify_poll(f->identify, &event));
}

void identify_expect_failed(identify_fixture *f, int error) {
  kad__identify_event event;
  assert_true(kad__identify_poll(f->identify, &event));
  assert_int_equal(event.type, KAD__IDENTIFY_FAILED);
  assert_error(error, event.error);
  identify_expect_nothing(f);
}

void identify_expect_addresses(identify_fixture *f, const char *const *texts,
                               size_t count) {
  uint8_t list[4096];
  size_t len = kad__peerstore_addresses(f->swarm->peerstore, &f->peer, list,
                                        sizeof(list), f->now);
  assert_int_equal(kad__addresses_count(kad__bytes(list, len)), count);
  for (size_t i = 0; i < count; i++) {
    assert_true(kad__addresses_have(kad__bytes(list, len),
                                    identify_address(texts[i], 0)));
  }
}

bool identify_speaks(const identify_fixture *f, const char *protocol) {
  return kad__peerstore_speaks(f->swarm->peerstore, &f->peer,
                               kad__bytes_of(protocol));
}
