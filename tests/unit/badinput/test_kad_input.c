/* Bad input to one DHT: requests, replies, floods of peers and of records. */
#include "one.h"

static kad__message request(kad__message_type type, kad_bytes key) {
  kad__message m;
  kad__message_init(&m, type);
  m.key = key;
  return m;
}

/* The key of anybody, and its address: more of them than one_id has. */
static kad_bytes name(unsigned n) {
  static uint8_t ids[4][8];
  static unsigned at;
  uint8_t *id = ids[at++ % 4];
  uint64_t key = (uint64_t)n * UINT64_C(0x9e3779b97f4a7c15);
  kad__store64(id, key ^ key >> 29);
  return kad__bytes(id, 8);
}

static kad_bytes address_of(uint32_t network, uint32_t n) {
  static uint8_t bytes[8];
  kad__store32(bytes, network);
  kad__store32(bytes + 4, n);
  return kad__bytes(bytes, 8);
}

static uint64_t network_of(void *user, kad_bytes address) {
  (void)user;
  return address.len == 8 ? 1 + kad__load32(address.data) : 0;
}

/* ---- requests ----------------------------------------------------------- */

/* Keys of announcements: 1 to 80 bytes. */
static void test_keys_of_announcements(void **state) {
  (void)state;
  one o;
  uint8_t key[200] = {1};
  one_setup(&o);
  one_start(&o);
  for (size_t len = 0; len < sizeof key; len++) {
    kad__message m = request(KAD__ADD_PROVIDER, kad__bytes(key, len));
    m.provider_count = 1;
    m.providers[0] =
        (kad__wire_peer){.id = one_id(1), .addresses = one_list(1)};
    assert_int_equal(one_ask(&o, 1, &m),
                     len >= 1 && len <= 80 ? 0 : KAD_E_MESSAGE);
  }
  one_fini(&o);
}

/* When a record came is our own clock's affair, and what it is called the
 * sender's; neither is believed nor repeated. */
static void test_time_received_is_ignored(void **state) {
  (void)state;
  one o;
  static uint8_t garbage[1 << 20];
  static const char *const times[] = {"9999-12-31T23:59:59.999999999Z",
                                      "-1-01-01T00:00:00Z", "\xff\xfe", ""};
  one_setup(&o);
  o.config.record_ttl = KAD_HOUR;
  one_start(&o);
  memset(garbage, 0xff, sizeof garbage);
  for (size_t i = 0; i <= KAD__COUNT(times); i++) {
    kad__record record;
    size_t before = o.memory.live_bytes;
    kad__message m = request(KAD__PUT_VALUE, one_id(5));
    m.has_record = true;
    m.record = (kad__wire_record){.key = one_id(5), .value = one_id(6)};
    m.record.time_received = i < KAD__COUNT(times)
                                 ? kad__bytes_of(times[i])
                                 : kad__bytes(garbage, sizeof garbage);
    assert_int_equal(one_ask(&o, 1, &m), 1);
    assert_true(o.store->ops->get(o.store, &record, one_id(5)));
    assert_true(record.expires == o.now + KAD_HOUR);
    m = request(KAD__GET_VALUE, one_id(5));
    assert_int_equal(one_ask(&o, 1, &m), 1);
    assert_int_equal(o.reply.record.time_received.len, 0);
    assert_true(o.memory.live_bytes < before + 4096);
  }
  one_fini(&o);
}

/* A key with more providers than anybody can be told of: a bounded answer, and
 * in time everybody who is kept gets a turn. */
static void test_a_key_with_very_many_providers(void **state) {
  (void)state;
  one o;
  kad__message m;
  one_setup(&o);
  o.config.muted_events = 1u << KAD__DHT_INBOUND;
  one_start(&o);
  for (unsigned i = 1; i <= 20000; i++) {
    m = request(KAD__ADD_PROVIDER, one_id(5));
    kad_bytes id = name(i);
    m.provider_count = 1;
    m.providers[0] = (kad__wire_peer){.id = id, .addresses = one_list(1)};
    int error = kad__dht_answer(o.dht, &o.reply, &m, id, (kad_bytes){0}, o.now);
    assert_true(error == 0 || error == KAD_E_STORE_FULL);
  }
  assert_true(o.memory.live_bytes < 1 << 20);
  uint64_t told[2048];
  size_t count = 0;
  for (int i = 0; i < 200; i++) {
    m = request(KAD__GET_PROVIDERS, one_id(5));
    assert_int_equal(one_ask(&o, 3000, &m), 1);
    assert_in_range(o.reply.provider_count, 20, KAD__MESSAGE_PROVIDERS_MAX);
    assert_true(kad__message_len(&o.reply) <= 16384);
    for (size_t j = 0; j < o.reply.provider_count; j++) {
      uint64_t id = kad__load64(o.reply.providers[j].id.data);
      size_t k = 0;
      while (k < count && told[k] != id) {
        k++;
      }
      if (k == count && count < KAD__COUNT(told)) {
        told[count++] = id;
      }
    }
  }
  print_message("of 20,000 providers of a key %zu are kept and told\n", count);
  assert_in_range(count, 256, 1024);
  one_fini(&o);
}

/* ---- replies ------------------------------------------------------------ */

/* Named as closer: we, whoever names, doubles, ids that are none or too long,
 * peers without address. Of all these nobody is asked. */
static void test_useless_closer_peers(void **state) {
  (void)state;
  one o;
  kad__query_id id;
  static uint8_t huge[1 << 20];
  const kad__wire_peer useless[] = {
      {.id = one_id(0), .addresses = one_list(0)},
      {.id = one_id(1), .addresses = one_list(1)},
      {.id = {0}, .addresses = one_list(2)},
      {.id = kad__bytes(huge, KAD__DHT_ID_MAX + 1), .addresses = one_list(2)},
      {.id = kad__bytes(huge, sizeof huge), .addresses = one_list(2)},
      {.id = one_id(2)},
      {.id = one_id(2), .addresses = kad__bytes_of("\x12\x7f")},
      {.id = one_id(2), .addresses = kad__bytes_of("\xff\xff\xff\xff")},
  };
  one_setup(&o);
  one_start(&o);
  one_add(&o, 1);
  assert_ok(kad__dht_find_closest(o.dht, &id, one_id(9), 20, o.now));
  kad__dht_call call = one_call(&o);
  kad__message_init(&o.reply, KAD__FIND_NODE);
  for (size_t i = 0; i < KAD__COUNT(useless); i++) {
    o.reply.closer[o.reply.closer_count++] = useless[i];
  }
  for (int i = 0; i < 20; i++) {
    o.reply.closer[o.reply.closer_count++] =
        (kad__wire_peer){.id = one_id(3), .addresses = one_list(3)};
  }
  assert_ok(kad__dht_replied(o.dht, call.id, &o.reply, o.now));
  call = one_call(&o);
  assert_int_equal(one_peer_of(&call), 3);
  one_no_call(&o);
  one_empty(&o, &call);
  assert_true(one_event(&o, KAD__DHT_QUERY_ENDED));
  assert_int_equal(o.event.stats.requests, 2);
  assert_int_equal(kad__dht_table_size(o.dht), 1);
  one_fini(&o);
}

/* Providers and a record where nobody asked for them. */
static void test_surplus_in_a_reply(void **state) {
  (void)state;
  one o;
  kad__query_id id;
  kad__record record;
  one_setup(&o);
  one_start(&o);
  one_add(&o, 1);
  assert_ok(kad__dht_find_closest(o.dht, &id, one_id(9), 20, o.now));
  kad__dht_call call = one_call(&o);
  kad__message_init(&o.reply, KAD__FIND_NODE);
  o.reply.provider_count = 1;
  o.reply.providers[0] =
      (kad__wire_peer){.id = one_id(3), .addresses = one_list(3)};
  o.reply.has_record = true;
  o.reply.record = (kad__wire_record){.key = one_id(9), .value = one_id(9)};
  assert_ok(kad__dht_replied(o.dht, call.id, &o.reply, o.now));
  one_no_call(&o);
  while (kad__dht_poll_event(o.dht, &o.event)) {
    assert_true(o.event.type != KAD__DHT_PROVIDER_FOUND &&
                o.event.type != KAD__DHT_RECORD_FOUND);
  }
  assert_false(o.store->ops->get(o.store, &record, one_id(9)));
  one_fini(&o);
}

/* An answer that was true once, sent again for another question: it names whom
 * it names, and is charged to the new question alone. */
static void test_replayed_replies(void **state) {
  (void)state;
  one o;
  kad__query_id id;
  one_setup(&o);
  one_start(&o);
  one_add(&o, 1);
  assert_ok(kad__dht_get(o.dht, &id, one_id(9), 1, o.now));
  kad__dht_call first = one_call(&o);
  kad__message_init(&o.reply, KAD__GET_VALUE);
  o.reply.key = one_id(9);
  o.reply.has_record = true;
  o.reply.record = (kad__wire_record){.key = one_id(9), .value = one_id(1)};
  assert_ok(kad__dht_replied(o.dht, first.id, &o.reply, o.now));
  assert_true(one_event(&o, KAD__DHT_QUERY_ENDED));
  assert_int_equal(o.event.error, 0);
  assert_ok(kad__dht_get(o.dht, &id, one_id(10), 1, o.now));
  kad__dht_call second = one_call(&o);
  assert_ok(kad__dht_replied(o.dht, first.id, &o.reply, o.now));
  assert_false(one_event(&o, KAD__DHT_QUERY_ENDED));
  assert_error(KAD_E_MESSAGE,
               kad__dht_replied(o.dht, second.id, &o.reply, o.now));
  assert_true(one_event(&o, KAD__DHT_QUERY_ENDED));
  assert_int_equal(o.event.error, KAD_E_NOT_FOUND);
  one_fini(&o);
}

/* ---- the table ---------------------------------------------------------- */

/* Ten thousand from one network: three in the table, two in a bucket, whatever
 * else is in it; and a bounded memory of the rest. */
static void test_sybils_of_one_network(void **state) {
  (void)state;
  one o;
  one_setup(&o);
  o.config.address_group = network_of;
  o.config.max_events = 1;
  one_start(&o);
  for (unsigned i = 1; i <= 10000; i++) {
    assert_ok(kad__dht_peer_confirmed(o.dht, name(i), address_of(7, i), o.now));
  }
  one_check(&o);
  assert_int_equal(kad__dht_table_size(o.dht), 3);
  unsigned in_bucket[64] = {0};
  kad__wire_peer all[8];
  size_t n =
      kad__dht_closest_local(o.dht, all, 8, one_id(0), (kad_bytes){0}, o.now);
  kad__key local = kad__key_of(one_hash, one_id(0));
  for (size_t i = 0; i < n; i++) {
    kad__key key = kad__key_of(one_hash, all[i].id);
    assert_true(++in_bucket[kad__key_common(&local, &key)] <= 2);
  }
  assert_true(o.memory.live_bytes < 512 * 1024);
  one_fini(&o);
}

static bool present(one *o, kad_bytes id) {
  kad__wire_peer peer;
  return kad__dht_closest_local(o->dht, &peer, 1, id, (kad_bytes){0}, o->now) ==
             1 &&
         kad__bytes_equal(peer.id, id);
}

/* The table is full of peers that answer when they are asked. Sybils from two
 * hundred networks push nobody out. */
static void test_sybils_evict_no_live_peer(void **state) {
  (void)state;
  one o;
  uint8_t honest[512][8];
  size_t count = 0;
  one_setup(&o);
  o.config.address_group = network_of;
  o.config.liveness_interval = KAD_MINUTE;
  o.config.bucket_size = 4;
  one_start(&o);
  for (unsigned i = 1; i <= 500; i++) {
    kad_bytes id = name(100000 + i);
    if (kad__dht_add_address(o.dht, id, address_of(1000 + i, i), o.now) ==
        KAD__ROUTING_SUCCESS) {
      memcpy(honest[count++], id.data, 8);
    }
  }
  assert_true(count > 20);
  for (unsigned i = 1; i <= 5000; i++) {
    kad__dht_call call;
    assert_ok(
        kad__dht_peer_confirmed(o.dht, name(i), address_of(i % 200, i), o.now));
    while (kad__dht_poll_call(o.dht, &call)) {
      kad__message_init(&o.reply, KAD__FIND_NODE);
      assert_ok(kad__dht_replied(o.dht, call.id, &o.reply, o.now));
    }
    while (kad__dht_poll_event(o.dht, &o.event)) {
    }
    o.now += KAD_SECOND;
    kad__dht_tick(o.dht, o.now);
  }
  one_check(&o);
  for (size_t i = 0; i < count; i++) {
    assert_true(present(&o, kad__bytes(honest[i], 8)));
  }
  one_fini(&o);
}

/* A network that can call us and cannot be called: nobody of it enters. */
static void test_unreachable_peers_stay_outside(void **state) {
  (void)state;
  one o;
  kad__dht_call call;
  one_setup(&o);
  o.config.trust_peers = false;
  one_start(&o);
  for (unsigned round = 0; round < 3; round++) {
    for (unsigned i = 1; i <= 200; i++) {
      assert_ok(
          kad__dht_peer_confirmed(o.dht, name(i), address_of(i, i), o.now));
      while (kad__dht_poll_call(o.dht, &call)) {
        bool reachable = kad__bytes_equal(call.peer, name(50));
        kad__message_init(&o.reply, KAD__FIND_NODE);
        if (reachable) {
          assert_ok(kad__dht_replied(o.dht, call.id, &o.reply, o.now));
        } else {
          kad__dht_failed(o.dht, call.id, KAD_E_DIAL, o.now);
        }
      }
      one_check(&o);
    }
    one_advance(&o, KAD_MINUTE);
  }
  assert_int_equal(kad__dht_table_size(o.dht), 1);
  assert_true(present(&o, name(50)));
  one_fini(&o);
}

/* ---- the store ---------------------------------------------------------- */

static int no_x(void *user, kad_bytes key, kad_bytes value, uint64_t unix_ns) {
  (void)user;
  (void)key;
  (void)unix_ns;
  return value.len > 0 && value.data[0] == 'x' ? KAD_E_SIGNATURE : 0;
}

static int longer(void *user, kad_bytes key, kad_bytes old_value,
                  kad_bytes new_value) {
  (void)user;
  (void)key;
  return new_value.len > old_value.len;
}

static const kad__validator rules[] = {{.name_space = {(const uint8_t *)"t", 1},
                                        .validate = no_x,
                                        .select = longer}};
static const kad__validators network = {.list = rules, .count = 1};

/* A DHT whose store holds a record that its rules refuse: damaged on disk, or
 * valid only up to yesterday. */
static void poisoned(one *o, kad_bytes key) {
  one_setup(o);
  o->config.validators = &network;
  o->config.caching = 0;
  one_start(o);
  kad__record record = {.key = key,
                        .value = kad__bytes_of("x and very long"),
                        .expires = KAD_TIME_NEVER};
  assert_ok(o->store->ops->put(o->store, &record, false));
}

/* It is not selected: neither before an answer comes nor against one. */
static void test_poisoned_records_are_not_selected(void **state) {
  (void)state;
  one o;
  kad__query_id id;
  kad_bytes key = kad__bytes_of("/t/key");
  poisoned(&o, key);
  one_add(&o, 1);
  assert_ok(kad__dht_get(o.dht, &id, key, 0, o.now));
  kad__dht_call call = one_call(&o);
  assert_false(one_event(&o, KAD__DHT_RECORD_FOUND));
  kad__message_init(&o.reply, KAD__GET_VALUE);
  o.reply.key = key;
  o.reply.has_record = true;
  o.reply.record =
      (kad__wire_record){.key = key, .value = kad__bytes_of("good")};
  assert_ok(kad__dht_replied(o.dht, call.id, &o.reply, o.now));
  assert_true(one_event(&o, KAD__DHT_QUERY_ENDED));
  assert_bytes_equal(o.event.record.value, kad__bytes_of("good"));
  one_fini(&o);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_keys_of_announcements),
      cmocka_unit_test(test_time_received_is_ignored),
      cmocka_unit_test(test_a_key_with_very_many_providers),
      cmocka_unit_test(test_useless_closer_peers),
      cmocka_unit_test(test_surplus_in_a_reply),
      cmocka_unit_test(test_replayed_replies),
      cmocka_unit_test(test_sybils_of_one_network),
      cmocka_unit_test(test_sybils_evict_no_live_peer),
      cmocka_unit_test(test_unreachable_peers_stay_outside),
      cmocka_unit_test(test_poisoned_records_are_not_selected),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
