#include "one.h"

#define PEERS 4096

kad_bytes one_id(unsigned n) {
  static uint8_t ids[PEERS][8];
  assert_true(n < PEERS);
  /* Spread over the key space, but in a way one can follow: bit-reversed. */
  uint64_t key = 0;
  for (unsigned i = 0; i < 12; i++) {
    key |= (uint64_t)(n >> i & 1) << (63 - i);
  }
  kad__store64(ids[n], key | n);
  return kad__bytes(ids[n], 8);
}

kad_bytes one_list(unsigned n) {
  static uint8_t lists[PEERS][6];
  lists[n][0] = 0x12;
  lists[n][1] = 4;
  kad__store32(lists[n] + 2, n);
  return kad__bytes(lists[n], 6);
}

kad_bytes one_address(unsigned n) {
  kad_bytes list = one_list(n);
  kad_bytes address;
  assert_true(kad__addresses_next(&list, &address));
  return address;
}

void one_hash(uint8_t out[32], kad_bytes in) {
  memset(out, 0, 32);
  memcpy(out, in.data, in.len < 32 ? in.len : 32);
}

static size_t one_random_id(uint8_t out[KAD__DHT_ID_MAX],
                            const uint8_t random[32]) {
  memcpy(out, random, 8);
  return 8;
}

void one_setup(one *o) {
  memset(o, 0, sizeof *o);
  test_allocator_init(&o->memory);
  kad_random_init_u64(&o->random, 42);
  o->now = KAD_HOUR;
  kad__dht_config_default(&o->config);
  o->config.allocator = &o->memory.allocator;
  o->config.hash = one_hash;
  o->config.random_id = one_random_id;
  o->config.random = &o->random;
  o->config.local_id = one_id(0);
  o->config.bootstrap_throttle = KAD_TIME_NEVER;
  o->config.bootstrap_interval = KAD_TIME_NEVER;
  o->config.liveness_interval = KAD_TIME_NEVER;
  o->config.slow_timeout = KAD_TIME_NEVER;
  o->config.muted_events = 0;
  o->config.trust_peers = true;
}

void one_start(one *o) {
  const uint64_t secret[2] = {1, 2};
  kad__memory_store_config store;
  kad__memory_store_config_default(&store);
  assert_ok(
      kad__memory_store_new(&o->store, &o->memory.allocator, &store, secret));
  o->config.store = o->store;
  assert_ok(kad__dht_new(&o->dht, &o->config, o->now));
  kad__dht_set_mode(o->dht, KAD__MODE_SERVER);
  assert_true(one_event(o, KAD__DHT_MODE_CHANGED));
}

void one_fini(one *o) {
  one_check(o);
  kad__dht_free(o->dht);
  o->store->ops->free(o->store);
  assert_int_equal(o->memory.live, 0);
}

void one_check(const one *o) {
  const char *broken = kad__dht_check(o->dht);
  if (broken != NULL) {
    fail_msg("%s", broken);
  }
}

void one_add(one *o, unsigned peer) {
  assert_int_equal(
      kad__dht_add_address(o->dht, one_id(peer), one_address(peer), o->now),
      KAD__ROUTING_SUCCESS);
}

kad__dht_call one_call(one *o) {
  kad__dht_call call;
  one_check(o);
  assert_true(kad__dht_poll_call(o->dht, &call));
  one_check(o);
  return call;
}

void one_no_call(one *o) {
  kad__dht_call call;
  assert_false(kad__dht_poll_call(o->dht, &call));
}

unsigned one_peer_of(const kad__dht_call *call) {
  assert_int_equal(call->peer.len, 8);
  return (unsigned)kad__load64(call->peer.data) & (PEERS - 1);
}

void one_closer(one *o, const kad__dht_call *call, const unsigned *peers,
                size_t count) {
  kad__message_init(&o->reply, call->message->type);
  for (size_t i = 0; i < count; i++) {
    o->reply.closer[o->reply.closer_count++] = (kad__wire_peer){
        .id = one_id(peers[i]), .addresses = one_list(peers[i])};
  }
  assert_ok(kad__dht_replied(o->dht, call->id, &o->reply, o->now));
  one_check(o);
}

void one_empty(one *o, const kad__dht_call *call) {
  if (!call->expects_reply) {
    kad__dht_sent(o->dht, call->id, o->now);
    one_check(o);
    return;
  }
  kad__message_init(&o->reply, call->message->type);
  if (call->message->type == KAD__PUT_VALUE) {
    o->reply.key = call->message->key;
    o->reply.has_record = true;
    o->reply.record = call->message->record;
  }
  assert_ok(kad__dht_replied(o->dht, call->id, &o->reply, o->now));
  one_check(o);
}

void one_advance(one *o, kad_time by) {
  kad_time until = o->now + by;
  for (;;) {
    kad_time at = kad__dht_deadline(o->dht);
    if (at > until) {
      break;
    }
    o->now = at > o->now ? at : o->now;
    kad__dht_tick(o->dht, o->now);
    one_check(o);
    assert_true(kad__dht_deadline(o->dht) > o->now);
  }
  o->now = until;
}

bool one_event(one *o, kad__dht_event_type type) {
  while (kad__dht_poll_event(o->dht, &o->event)) {
    if (o->event.type == type) {
      return true;
    }
  }
  return false;
}

int one_ask_from(one *o, unsigned from, kad_bytes address,
                 const kad__message *request) {
  int result = kad__dht_answer(o->dht, &o->reply, request, one_id(from),
                               address, o->now);
  one_check(o);
  return result;
}

int one_ask(one *o, unsigned from, const kad__message *request) {
  return one_ask_from(o, from, (kad_bytes){0}, request);
}

bool one_told(const one *o, unsigned peer) {
  for (size_t i = 0; i < o->reply.closer_count; i++) {
    if (kad__bytes_equal(o->reply.closer[i].id, one_id(peer))) {
      return true;
    }
  }
  return false;
}

kad__dht_event one_ended(one *o, kad__query_id id) {
  assert_true(one_event(o, KAD__DHT_QUERY_ENDED));
  assert_true(o->event.query == id);
  return o->event;
}

void one_still_running(one *o) {
  assert_false(one_event(o, KAD__DHT_QUERY_ENDED));
}

void one_answer_record(one *o, const kad__dht_call *call, kad_bytes key,
                       const char *value) {
  kad__message_init(&o->reply, call->message->type);
  o->reply.key = call->message->key;
  o->reply.has_record = true;
  o->reply.record =
      (kad__wire_record){.key = key, .value = kad__bytes_of(value), .ttl = 60};
  assert_ok(kad__dht_replied(o->dht, call->id, &o->reply, o->now));
  one_check(o);
}

void one_answer_providers(one *o, const kad__dht_call *call,
                          const unsigned *peers, size_t count) {
  kad__message_init(&o->reply, KAD__GET_PROVIDERS);
  for (size_t i = 0; i < count; i++) {
    o->reply.providers[o->reply.provider_count++] = (kad__wire_peer){
        .id = one_id(peers[i]), .addresses = one_list(peers[i])};
  }
  assert_ok(kad__dht_replied(o->dht, call->id, &o->reply, o->now));
  one_check(o);
}
