/* Defects of go-libp2p-kad-dht that a bare DHT can show. Those that other tests
 * disprove already are in docs/tests.md. */
#include "one.h"

static kad__dht_event ended(one *o, kad__query_id id) {
  assert_true(one_event(o, KAD__DHT_QUERY_ENDED));
  assert_true(o->event.query == id);
  return o->event;
}

static void confirm_at(one *o, unsigned peer, unsigned address) {
  assert_ok(kad__dht_peer_confirmed(o->dht, one_id(peer), one_address(address),
                                    o->now));
  one_check(o);
}

/* Of n values that were asked for, the n-th ends the search. */
static void test_g6_the_quorum_is_exact(void **state) {
  (void)state;
  for (uint32_t quorum = 1; quorum <= 4; quorum++) {
    one o;
    kad__query_id id;
    kad__dht_call calls[5];
    one_setup(&o);
    o.config.caching = 0;
    one_start(&o);
    for (unsigned i = 1; i <= 5; i++) {
      one_add(&o, i);
    }
    assert_ok(kad__dht_get(o.dht, &id, one_id(7), quorum, o.now));
    for (int i = 0; i < 5; i++) {
      calls[i] = one_call(&o);
    }
    for (uint32_t i = 0; i < quorum; i++) {
      assert_false(one_event(&o, KAD__DHT_QUERY_ENDED));
      kad__message_init(&o.reply, KAD__GET_VALUE);
      o.reply.has_record = true;
      o.reply.record = (kad__wire_record){.key = one_id(7), .value = one_id(9)};
      assert_ok(kad__dht_replied(o.dht, calls[i].id, &o.reply, o.now));
    }
    assert_int_equal(ended(&o, id).stats.successes, quorum);
    one_fini(&o);
  }
}

/* A refresh that finds nothing worth a lookup ends all the same, and the next
 * one comes in its time. */
static void test_g8_a_refresh_of_nothing_ends(void **state) {
  (void)state;
  one o;
  kad__query_id id;
  one_setup(&o);
  o.config.bucket_size = 1;
  o.config.bootstrap_interval = 5 * KAD_MINUTE;
  one_start(&o);
  one_add(&o, 1);
  assert_ok(kad__dht_bootstrap(o.dht, &id, o.now));
  for (int i = 0; i < 3; i++) {
    kad__dht_call call = one_call(&o);
    one_empty(&o, &call);
    assert_true(one_event(&o, KAD__DHT_QUERY_ENDED));
    assert_int_equal(o.event.error, 0);
    one_no_call(&o);
    one_advance(&o, 5 * KAD_MINUTE);
  }
  one_fini(&o);
}

/* The lookup finds nobody who answers: providing ends. */
static void test_g9_providing_to_nobody_ends(void **state) {
  (void)state;
  one o;
  kad__query_id id;
  kad__dht_call call;
  one_setup(&o);
  one_start(&o);
  for (unsigned i = 1; i <= 5; i++) {
    one_add(&o, i);
  }
  assert_ok(kad__dht_provide(o.dht, &id, one_id(7), o.now));
  while (kad__dht_poll_call(o.dht, &call)) {
    kad__dht_failed(o.dht, call.id, KAD_E_DIAL, o.now);
  }
  kad__dht_event end = ended(&o, id);
  assert_int_equal(end.error, KAD_E_NO_PEERS);
  assert_int_equal(end.stored, 0);
  /* And when all of them are found, but none can be told. */
  one_fini(&o);
  one_setup(&o);
  one_start(&o);
  one_add(&o, 1);
  assert_ok(kad__dht_provide(o.dht, &id, one_id(7), o.now));
  call = one_call(&o);
  one_empty(&o, &call);
  call = one_call(&o);
  kad__dht_failed(o.dht, call.id, KAD_E_DIAL, o.now);
  assert_int_equal(ended(&o, id).error, KAD_E_QUORUM);
  one_fini(&o);
}

/* Once the closest have answered nobody waits for those farther away. */
static void test_g12_the_end_waits_for_nobody(void **state) {
  (void)state;
  one o;
  kad__query_id id;
  kad__dht_call calls[6];
  one_setup(&o);
  one_start(&o);
  for (unsigned i = 1; i <= 6; i++) {
    one_add(&o, i);
  }
  kad_time start = o.now;
  assert_ok(kad__dht_find_closest(o.dht, &id, one_id(7), 2, o.now));
  for (int i = 0; i < 6; i++) {
    calls[i] = one_call(&o);
  }
  one_empty(&o, &calls[0]);
  one_empty(&o, &calls[1]);
  kad__dht_event end = ended(&o, id);
  assert_int_equal(end.error, 0);
  assert_true(end.stats.end == start);
  /* The others are called back. */
  unsigned cancelled = 0;
  while (kad__dht_poll_cancel(o.dht) != 0) {
    cancelled++;
  }
  assert_int_equal(cancelled, 4);
  one_fini(&o);
}

/* Having nothing to tell is an answer. */
static void test_g14_an_empty_answer_is_one(void **state) {
  (void)state;
  one o;
  kad__query_id id;
  one_setup(&o);
  one_start(&o);
  one_add(&o, 1);
  assert_ok(kad__dht_find_closest(o.dht, &id, one_id(7), 20, o.now));
  kad__dht_call call = one_call(&o);
  one_empty(&o, &call);
  assert_true(one_event(&o, KAD__DHT_PEER_FOUND));
  kad__dht_event end = ended(&o, id);
  assert_int_equal(end.stats.successes, 1);
  assert_int_equal(end.stats.failures, 0);
  assert_int_equal(kad__dht_table_size(o.dht), 1);
  one_fini(&o);
}

/* Whatever comes in whatever order, and twice: nothing falls over. */
static void test_g18_impossible_events_are_survived(void **state) {
  (void)state;
  one o;
  kad__query_id id;
  one_setup(&o);
  one_start(&o);
  one_add(&o, 1);
  assert_ok(kad__dht_find_closest(o.dht, &id, one_id(7), 20, o.now));
  kad__dht_call call = one_call(&o);
  for (int i = 0; i < 3; i++) {
    kad__message_init(&o.reply, KAD__FIND_NODE);
    /* Only an announcement is over when it is sent. */
    kad__dht_sent(o.dht, call.id, o.now);
    (void)kad__dht_replied(o.dht, call.id, &o.reply, o.now);
    kad__dht_failed(o.dht, call.id, KAD_E_TIMEOUT, o.now);
    kad__dht_peer_disconnected(o.dht, one_id(1), o.now);
    kad__dht_peer_unsupported(o.dht, one_id(1), o.now);
    one_check(&o);
  }
  assert_int_equal(ended(&o, id).stats.successes, 1);
  assert_false(one_event(&o, KAD__DHT_QUERY_ENDED));
  one_fini(&o);
}

/* Whoever takes a record without showing it has not taken it; nor does an
 * answer of another type count. */
static void test_g19_put_reply_without_a_record(void **state) {
  (void)state;
  static const kad__message_type types[] = {KAD__PUT_VALUE, KAD__GET_VALUE};
  for (size_t i = 0; i < KAD__COUNT(types); i++) {
    one o;
    kad__query_id id;
    kad__wire_record record = {.key = one_id(7), .value = one_id(9)};
    one_setup(&o);
    one_start(&o);
    one_add(&o, 1);
    assert_ok(kad__dht_put_to(o.dht, &id, &record, (kad_bytes[]){one_id(1)}, 1,
                              (kad__quorum){0}, o.now));
    kad__dht_call call = one_call(&o);
    kad__message_init(&o.reply, types[i]);
    o.reply.key = one_id(7);
    o.reply.has_record = types[i] != KAD__PUT_VALUE;
    o.reply.record = record;
    assert_error(KAD_E_MESSAGE,
                 kad__dht_replied(o.dht, call.id, &o.reply, o.now));
    kad__dht_event end = ended(&o, id);
    assert_int_equal(end.error, KAD_E_QUORUM);
    assert_int_equal(end.stored, 0);
    one_fini(&o);
  }
}

/* One silent peer costs one time-out. */
static void test_g20_silence_costs_one_timeout(void **state) {
  (void)state;
  one o;
  kad__query_id id;
  one_setup(&o);
  one_start(&o);
  one_add(&o, 1);
  assert_ok(kad__dht_get(o.dht, &id, one_id(7), 1, o.now));
  (void)one_call(&o);
  one_advance(&o, o.config.peer_timeout);
  kad__dht_event end = ended(&o, id);
  assert_true(end.stats.end - end.stats.start == o.config.peer_timeout);
  assert_int_equal(end.stats.requests, 1);
  one_no_call(&o);
  one_fini(&o);
}

static uint64_t hundreds(void *user, kad_bytes address) {
  (void)user;
  return address.len == 4 ? 1 + kad__load32(address.data) / 100 : 0;
}

/* A peer with several connections from one network takes one of its places. */
static void test_g21_a_peer_takes_one_place_of_its_group(void **state) {
  (void)state;
  one o;
  one_setup(&o);
  o.config.address_group = hundreds;
  one_start(&o);
  for (unsigned i = 0; i < 10; i++) {
    confirm_at(&o, 101, 110 + i);
  }
  assert_int_equal(kad__dht_table_size(o.dht), 1);
  confirm_at(&o, 102, 102);
  confirm_at(&o, 104, 104);
  assert_int_equal(kad__dht_table_size(o.dht), 3);
  confirm_at(&o, 108, 108);
  assert_int_equal(kad__dht_table_size(o.dht), 3);
  one_fini(&o);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_g6_the_quorum_is_exact),
      cmocka_unit_test(test_g8_a_refresh_of_nothing_ends),
      cmocka_unit_test(test_g9_providing_to_nobody_ends),
      cmocka_unit_test(test_g12_the_end_waits_for_nobody),
      cmocka_unit_test(test_g14_an_empty_answer_is_one),
      cmocka_unit_test(test_g18_impossible_events_are_survived),
      cmocka_unit_test(test_g19_put_reply_without_a_record),
      cmocka_unit_test(test_g20_silence_costs_one_timeout),
      cmocka_unit_test(test_g21_a_peer_takes_one_place_of_its_group),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
