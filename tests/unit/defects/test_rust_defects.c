/* Defects of rust-libp2p's kad that a bare DHT can show. Those that other
 * tests disprove already are in docs/tests.md. */
#include "one.h"

static kad__dht_event ended(one *o, kad__query_id id) {
  assert_true(one_event(o, KAD__DHT_QUERY_ENDED));
  assert_true(o->event.query == id);
  return o->event;
}

static void still_running(one *o) {
  assert_false(one_event(o, KAD__DHT_QUERY_ENDED));
}

static void confirm(one *o, unsigned peer) {
  assert_ok(
      kad__dht_peer_confirmed(o->dht, one_id(peer), one_address(peer), o->now));
  one_check(o);
}

static kad__message request(kad__message_type type, kad_bytes key) {
  kad__message m;
  kad__message_init(&m, type);
  m.key = key;
  return m;
}

static int put_foreign(one *o, unsigned from, kad_bytes key, kad_bytes value) {
  kad__message m = request(KAD__PUT_VALUE, key);
  m.has_record = true;
  m.record = (kad__wire_record){.key = key, .value = value};
  return one_ask(o, from, &m);
}

static int provide_foreign(one *o, unsigned from, kad_bytes key) {
  kad__message m = request(KAD__ADD_PROVIDER, key);
  m.provider_count = 1;
  m.providers[0] =
      (kad__wire_peer){.id = one_id(from), .addresses = one_list(from)};
  return one_ask(o, from, &m);
}

/* Answers whatever is asked for `duration`; the most calls of `type` that were
 * handed out within one second. */
static unsigned serve(one *o, kad_time duration, kad__message_type type) {
  kad_time until = o->now + duration;
  kad_time second = 0;
  unsigned count = 0;
  unsigned most = 0;
  for (;;) {
    kad__dht_call call;
    while (kad__dht_poll_call(o->dht, &call)) {
      count = o->now / KAD_SECOND == second ? count : 0;
      second = o->now / KAD_SECOND;
      count += call.message->type == type;
      most = count > most ? count : most;
      one_empty(o, &call);
    }
    while (kad__dht_poll_event(o->dht, &o->event)) {
    }
    kad_time at = kad__dht_deadline(o->dht);
    if (at > until) {
      o->now = until;
      return most;
    }
    one_advance(o, at > o->now ? at - o->now : 0);
  }
}

/* The peer has to be dialled again, which takes nearly all the time there is:
 * the announcement is still there, and what became of it is counted. */
static void test_d1_add_provider_is_not_lost(void **state) {
  (void)state;
  one o;
  kad__query_id id;
  one_setup(&o);
  one_start(&o);
  one_add(&o, 1);
  one_add(&o, 3);
  assert_ok(kad__dht_provide(o.dht, &id, one_id(7), o.now));
  for (int i = 0; i < 2; i++) {
    kad__dht_call call = one_call(&o);
    one_empty(&o, &call);
  }
  kad__dht_call a = one_call(&o);
  kad__dht_call b = one_call(&o);
  kad__dht_peer_disconnected(o.dht, b.peer, o.now);
  one_empty(&o, &a);
  one_advance(&o, o.config.peer_timeout - 1);
  still_running(&o);
  assert_true(kad__dht_poll_cancel(o.dht) == 0);
  kad__dht_sent(o.dht, b.id, o.now);
  assert_int_equal(ended(&o, id).stored, 2);
  one_fini(&o);
}

/* The quorum is reached and the owner loses interest: the third peer gets the
 * record all the same. */
static void test_d2_a_quorum_does_not_stop_the_rest(void **state) {
  (void)state;
  one o;
  kad__query_id id;
  one_setup(&o);
  one_start(&o);
  for (unsigned i = 1; i <= 3; i++) {
    one_add(&o, i);
  }
  assert_ok(kad__dht_put(o.dht, &id, one_id(7), one_id(7), KAD_TIME_NEVER,
                         (kad__quorum){.kind = KAD__QUORUM_ONE}, o.now));
  for (int i = 0; i < 3; i++) {
    kad__dht_call call = one_call(&o);
    one_empty(&o, &call);
  }
  kad__dht_call puts[3];
  for (int i = 0; i < 3; i++) {
    puts[i] = one_call(&o);
  }
  one_empty(&o, &puts[0]);
  assert_int_equal(ended(&o, id).error, 0);
  assert_false(kad__dht_finish(o.dht, id, o.now));
  assert_true(kad__dht_poll_cancel(o.dht) == 0);
  one_advance(&o, o.config.peer_timeout - 1);
  one_empty(&o, &puts[1]);
  one_empty(&o, &puts[2]);
  assert_int_equal(kad__dht_counters_get(o.dht)->replies, 6);
  one_fini(&o);
}

/* Named once with addresses, later without any: they are still known. */
static void test_d5_an_empty_list_erases_nothing(void **state) {
  (void)state;
  one o;
  kad__query_id id;
  one_setup(&o);
  o.config.parallelism = 1;
  one_start(&o);
  one_add(&o, 1);
  assert_ok(kad__dht_find_closest(o.dht, &id, one_id(15), 20, o.now));
  kad__dht_call call = one_call(&o);
  /* 7 is nearer to the target than 5. */
  one_closer(&o, &call, (unsigned[]){5, 7}, 2);
  call = one_call(&o);
  assert_int_equal(one_peer_of(&call), 7);
  kad__message_init(&o.reply, KAD__FIND_NODE);
  o.reply.closer_count = 2;
  o.reply.closer[0] = (kad__wire_peer){.id = one_id(5)};
  o.reply.closer[1] =
      (kad__wire_peer){.id = one_id(5), .addresses = one_list(77)};
  assert_ok(kad__dht_replied(o.dht, call.id, &o.reply, o.now));
  call = one_call(&o);
  assert_int_equal(one_peer_of(&call), 5);
  assert_true(kad__addresses_have(call.addresses, one_address(5)));
  assert_true(kad__addresses_have(call.addresses, one_address(77)));
  one_fini(&o);
}

/* Others fill every place there is, for records and for providers of one key;
 * nobody asks for any of it. In time all of it is gone by itself, and at no
 * time does it stand in the way of what is ours. */
static void test_d10_d11_expired_records_make_room(void **state) {
  (void)state;
  one o;
  kad__query_id id;
  kad__record record;
  kad__provider provider;
  unsigned full = 0;
  one_setup(&o);
  o.config.record_ttl = KAD_HOUR;
  o.config.provider_ttl = KAD_HOUR;
  o.config.replication_interval = KAD_TIME_NEVER;
  one_start(&o);
  for (unsigned i = 1; i < 1200; i++) {
    full += put_foreign(&o, 9, one_id(i), one_id(i)) == KAD_E_STORE_FULL;
    (void)provide_foreign(&o, i, one_id(1));
  }
  assert_true(full > 0);
  assert_ok(kad__dht_put(o.dht, &id, one_id(2000), one_id(1), KAD_TIME_NEVER,
                         (kad__quorum){0}, o.now));
  assert_ok(kad__dht_provide(o.dht, &id, one_id(1), o.now));
  /* A bounded piece at a time. */
  o.now += KAD_HOUR;
  for (int i = 0; i < 100 && kad__dht_deadline(o.dht) <= o.now; i++) {
    kad__dht_tick(o.dht, o.now);
  }
  assert_true(kad__dht_deadline(o.dht) > o.now);
  for (unsigned i = 1; i < 1200; i++) {
    assert_false(o.store->ops->get(o.store, &record, one_id(i)));
  }
  assert_true(o.store->ops->get(o.store, &record, one_id(2000)));
  assert_int_equal(o.store->ops->providers(o.store, &provider, 1, one_id(1)),
                   1);
  assert_bytes_equal(provider.provider, one_id(0));
  assert_int_equal(put_foreign(&o, 9, one_id(1199), one_id(1)), 1);
  assert_int_equal(provide_foreign(&o, 1199, one_id(1)), 0);
  one_fini(&o);
}

/* Whoever turns out not to speak the protocol is neither told to others nor
 * reported as updated. */
static void test_d13_unsupported_peers_are_not_told(void **state) {
  (void)state;
  one o;
  kad__query_id id;
  one_setup(&o);
  one_start(&o);
  one_add(&o, 1);
  one_add(&o, 2);
  while (kad__dht_poll_event(o.dht, &o.event)) {
  }
  assert_ok(kad__dht_find_closest(o.dht, &id, one_id(9), 20, o.now));
  kad__dht_call call = one_call(&o);
  unsigned gone = one_peer_of(&call);
  kad__dht_failed(o.dht, call.id, KAD_E_NO_PROTOCOL, o.now);
  bool removed = false;
  while (kad__dht_poll_event(o.dht, &o.event)) {
    assert_true(o.event.type != KAD__DHT_ROUTING_UPDATED &&
                o.event.type != KAD__DHT_ROUTING_ADDED);
    removed = removed || o.event.type == KAD__DHT_ROUTING_REMOVED;
  }
  assert_true(removed);
  kad__message m = request(KAD__FIND_NODE, one_id(9));
  assert_int_equal(one_ask(&o, 40, &m), 1);
  assert_false(one_told(&o, gone));
  assert_true(one_told(&o, 3 - gone));
  one_fini(&o);
}

/* A newcomer before a full bucket bothers nobody who is connected. */
static void test_d18_connected_peers_are_not_probed(void **state) {
  (void)state;
  one o;
  one_setup(&o);
  o.config.bucket_size = 2;
  one_start(&o);
  confirm(&o, 1);
  confirm(&o, 3);
  confirm(&o, 5);
  assert_int_equal(
      kad__dht_add_address(o.dht, one_id(7), one_address(7), o.now),
      KAD__ROUTING_FAILED);
  one_no_call(&o);
  one_fini(&o);
}

/* Every peer once, whatever the target. */
static void test_d20_no_bucket_is_visited_twice(void **state) {
  (void)state;
  one o;
  one_setup(&o);
  one_start(&o);
  for (unsigned i = 1; i <= 40; i++) {
    one_add(&o, i);
  }
  size_t size = kad__dht_table_size(o.dht);
  assert_int_equal(size, 40);
  for (unsigned target = 0; target < 64; target++) {
    kad__wire_peer all[128];
    size_t n = kad__dht_closest_local(o.dht, all, 128, one_id(target),
                                      (kad_bytes){0}, o.now);
    assert_int_equal(n, size);
    for (size_t i = 0; i < n; i++) {
      for (size_t j = 0; j < i; j++) {
        assert_false(kad__bytes_equal(all[i].id, all[j].id));
      }
    }
  }
  one_fini(&o);
}

static size_t any_id(uint8_t out[KAD__DHT_ID_MAX], const uint8_t random[32]) {
  memcpy(out, random, 32);
  return 32;
}

/* Each step of a refresh looks into the bucket it is for, also where hardly any
 * random key falls. */
static void test_d21_deep_buckets_are_refreshed(void **state) {
  (void)state;
  one o;
  kad__query_id id;
  kad__dht_call call;
  one_setup(&o);
  o.config.random_id = any_id;
  one_start(&o);
  for (unsigned i = 0; i < 12; i++) {
    one_add(&o, 1u << i);
  }
  assert_ok(kad__dht_bootstrap(o.dht, &id, o.now));
  kad__key local = kad__key_of(one_hash, one_id(0));
  uint32_t expected = KAD__KEY_BITS;
  unsigned buckets = 0;
  while (kad__dht_poll_call(o.dht, &call)) {
    kad__key key = kad__key_of(one_hash, call.message->key);
    uint32_t bucket = kad__key_common(&local, &key);
    if (bucket != expected && !kad__key_equal(&key, &local)) {
      assert_true(bucket < expected);
      assert_true(expected == KAD__KEY_BITS || bucket == expected - 1);
      expected = bucket;
      buckets++;
    }
    one_empty(&o, &call);
  }
  assert_int_equal(expected, 0);
  assert_int_equal(buckets, 11);
  assert_int_equal(ended(&o, id).error, 0);
  one_fini(&o);
}

/* All jobs fall due together, with forty things each: they go out one by one.
 */
static void test_d22_d23_jobs_come_in_no_burst(void **state) {
  (void)state;
  one o;
  kad__query_id id;
  one_setup(&o);
  o.config.publication_interval = KAD_HOUR;
  o.config.provider_publication_interval = KAD_HOUR;
  o.config.replication_interval = KAD_HOUR;
  one_start(&o);
  one_add(&o, 1);
  for (unsigned i = 0; i < 40; i++) {
    assert_ok(kad__dht_put(o.dht, &id, one_id(100 + i), one_id(i),
                           KAD_TIME_NEVER, (kad__quorum){0}, o.now));
    assert_ok(kad__dht_provide(o.dht, &id, one_id(200 + i), o.now));
    assert_int_equal(put_foreign(&o, 9, one_id(300 + i), one_id(i)), 1);
  }
  serve(&o, KAD_MINUTE, KAD__PUT_VALUE);
  uint64_t calls = kad__dht_counters_get(o.dht)->calls;
  assert_in_range(serve(&o, 6 * KAD_HOUR, KAD__PUT_VALUE), 1, 3);
  /* Lookup and delivery, some six times forty of each kind. */
  assert_in_range(kad__dht_counters_get(o.dht)->calls - calls, 2 * 3 * 40 * 4,
                  2 * 3 * 40 * 8);
  one_fini(&o);
}

/* One time-out for the whole put, however its phases share it. */
static void test_d25_phases_share_one_timeout(void **state) {
  (void)state;
  one o;
  kad__query_id id;
  kad__dht_call call;
  one_setup(&o);
  o.config.parallelism = 1;
  one_start(&o);
  for (unsigned i = 1; i <= 15; i++) {
    one_add(&o, i);
  }
  kad_time start = o.now;
  assert_ok(kad__dht_put(o.dht, &id, one_id(7), one_id(7), KAD_TIME_NEVER,
                         (kad__quorum){.kind = KAD__QUORUM_ALL}, o.now));
  /* Half of the lookup's peers answer at the last moment, and nobody stores. */
  while (!one_event(&o, KAD__DHT_QUERY_ENDED)) {
    while (kad__dht_poll_call(o.dht, &call) &&
           call.message->type == KAD__FIND_NODE) {
      one_advance(&o, o.config.peer_timeout - 1);
      one_empty(&o, &call);
    }
    one_advance(&o, KAD_SECOND);
    assert_true(o.now <= start + o.config.query_timeout + KAD_SECOND);
  }
  assert_int_equal(o.event.stored, 0);
  assert_true(o.event.error == KAD_E_TIMEOUT || o.event.error == KAD_E_QUORUM);
  assert_true(o.event.stats.end <= start + o.config.query_timeout);
  one_fini(&o);
}

/* A large value on its way to twenty peers is there twice: in the store, and
 * once for the whole query. */
static void test_d29_values_are_not_copied_about(void **state) {
  (void)state;
  one o;
  kad__query_id id;
  kad__dht_call call;
  static uint8_t value[60000];
  one_setup(&o);
  one_start(&o);
  for (unsigned i = 1; i <= 20; i++) {
    one_add(&o, i);
  }
  size_t before = o.memory.live_bytes;
  o.memory.peak_bytes = before;
  assert_ok(kad__dht_put(o.dht, &id, one_id(7), kad__bytes(value, sizeof value),
                         KAD_TIME_NEVER, (kad__quorum){.kind = KAD__QUORUM_ALL},
                         o.now));
  while (kad__dht_poll_call(o.dht, &call)) {
    one_empty(&o, &call);
  }
  assert_int_equal(ended(&o, id).stored, 20);
  assert_true(o.memory.peak_bytes < before + 3 * sizeof value);
  one_fini(&o);
}

/* What a lookup that ran out of time has found is told, peers as well. */
static void test_d31_a_timeout_hides_nothing(void **state) {
  (void)state;
  one o;
  kad__query_id id;
  one_setup(&o);
  o.config.query_timeout = 5 * KAD_SECOND;
  o.config.slow_timeout = KAD_TIME_NEVER;
  one_start(&o);
  one_add(&o, 1);
  one_add(&o, 3);
  assert_ok(kad__dht_find_closest(o.dht, &id, one_id(7), 20, o.now));
  kad__dht_call a = one_call(&o);
  kad__dht_call b = one_call(&o);
  one_empty(&o, &b);
  (void)a;
  one_advance(&o, 5 * KAD_SECOND);
  assert_true(one_event(&o, KAD__DHT_PEER_FOUND));
  assert_int_equal(kad__addresses_count(o.event.peer.addresses), 1);
  assert_int_equal(ended(&o, id).error, KAD_E_TIMEOUT);
  one_fini(&o);
}

static bool even_only(void *user, kad_bytes address) {
  (void)user;
  return address.len == 4 && kad__load32(address.data) % 2 == 0;
}

/* What the network does not accept is neither kept nor told, from whomever it
 * comes: the owner, the gateway, or a provider. */
static void test_d34_bad_addresses_are_not_served(void **state) {
  (void)state;
  one o;
  uint8_t list[64];
  size_t len = 0;
  one_setup(&o);
  o.config.accept_address = even_only;
  one_start(&o);
  kad__addresses_append(list, sizeof list, &len, one_address(101));
  kad__addresses_append(list, sizeof list, &len, one_address(102));
  kad__addresses_append(list, sizeof list, &len, one_address(103));
  kad__dht_peer_known(o.dht, one_id(5), kad__bytes(list, len));
  kad__message m = request(KAD__FIND_NODE, one_id(5));
  assert_int_equal(one_ask(&o, 9, &m), 1);
  assert_int_equal(o.reply.closer_count, 1);
  assert_bytes_equal(o.reply.closer[0].addresses, one_list(102));
  assert_ok(kad__dht_peer_confirmed(o.dht, one_id(5), one_address(105), o.now));
  assert_int_equal(one_ask(&o, 9, &m), 1);
  assert_bytes_equal(o.reply.closer[0].addresses, one_list(102));

  m = request(KAD__ADD_PROVIDER, one_id(30));
  m.provider_count = 1;
  m.providers[0] =
      (kad__wire_peer){.id = one_id(8), .addresses = kad__bytes(list, len)};
  assert_int_equal(one_ask(&o, 8, &m), 0);
  m = request(KAD__GET_PROVIDERS, one_id(30));
  assert_int_equal(one_ask(&o, 9, &m), 1);
  assert_int_equal(o.reply.provider_count, 1);
  assert_bytes_equal(o.reply.providers[0].addresses, one_list(102));
  one_fini(&o);
}

static int no_x(void *user, kad_bytes key, kad_bytes value, uint64_t unix_ns) {
  (void)user;
  (void)key;
  (void)unix_ns;
  return value.len > 0 && value.data[0] == 'x' ? KAD_E_SIGNATURE : 0;
}

/* What does not pass the rules is refused, not acknowledged, also where the
 * owner is to decide about what does. */
static void test_d35_validated_before_acknowledged(void **state) {
  (void)state;
  static const kad__validator rules[] = {
      {.name_space = {(const uint8_t *)"t", 1}, .validate = no_x}};
  static const kad__validators network = {.list = rules, .count = 1};
  kad_bytes key = kad__bytes_of("/t/key");
  one o;
  one_setup(&o);
  o.config.validators = &network;
  o.config.filter_records = true;
  one_start(&o);
  assert_error(KAD_E_SIGNATURE, put_foreign(&o, 9, key, kad__bytes_of("x")));
  assert_error(KAD_E_RECORD_REJECTED,
               put_foreign(&o, 9, one_id(3), kad__bytes_of("v")));
  assert_false(one_event(&o, KAD__DHT_INBOUND));
  assert_int_equal(kad__dht_counters_get(o.dht)->refused, 2);
  assert_int_equal(put_foreign(&o, 9, key, kad__bytes_of("v")), 1);
  assert_true(one_event(&o, KAD__DHT_INBOUND));
  one_fini(&o);
}

/* Each change of the mode is an event, and only a change is. */
static void test_d37_every_change_of_mode_is_told(void **state) {
  (void)state;
  one o;
  one_setup(&o);
  one_start(&o);
  kad__dht_set_mode(o.dht, KAD__MODE_CLIENT);
  assert_true(one_event(&o, KAD__DHT_MODE_CHANGED));
  kad__dht_set_mode(o.dht, KAD__MODE_CLIENT);
  assert_false(one_event(&o, KAD__DHT_MODE_CHANGED));
  kad__dht_set_mode(o.dht, KAD__MODE_SERVER);
  assert_true(one_event(&o, KAD__DHT_MODE_CHANGED));
  one_fini(&o);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_d1_add_provider_is_not_lost),
      cmocka_unit_test(test_d2_a_quorum_does_not_stop_the_rest),
      cmocka_unit_test(test_d5_an_empty_list_erases_nothing),
      cmocka_unit_test(test_d10_d11_expired_records_make_room),
      cmocka_unit_test(test_d13_unsupported_peers_are_not_told),
      cmocka_unit_test(test_d18_connected_peers_are_not_probed),
      cmocka_unit_test(test_d20_no_bucket_is_visited_twice),
      cmocka_unit_test(test_d21_deep_buckets_are_refreshed),
      cmocka_unit_test(test_d22_d23_jobs_come_in_no_burst),
      cmocka_unit_test(test_d25_phases_share_one_timeout),
      cmocka_unit_test(test_d29_values_are_not_copied_about),
      cmocka_unit_test(test_d31_a_timeout_hides_nothing),
      cmocka_unit_test(test_d34_bad_addresses_are_not_served),
      cmocka_unit_test(test_d35_validated_before_acknowledged),
      cmocka_unit_test(test_d37_every_change_of_mode_is_told),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
