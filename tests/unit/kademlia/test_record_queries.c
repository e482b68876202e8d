/* Queries for records and providers, step by step: what they ask, and what they
 * make of the answers. */
#include "one.h"

/* ---- get ---------------------------------------------------------------- */

/* Closer peers that the answer brings are used even after the record (2.10),
 * unless the quorum is reached; who has it not, and is closest, gets it. */
static void test_get(void **state) {
  (void)state;
  one o;
  kad__query_id id;
  kad__dht_call calls[3];
  one_setup(&o);
  one_start(&o);
  for (unsigned i = 1; i <= 3; i++) {
    one_add(&o, i);
  }
  assert_ok(kad__dht_get(o.dht, &id, one_id(7), 2, o.now));
  for (int i = 0; i < 3; i++) {
    calls[i] = one_call(&o);
    assert_int_equal(calls[i].message->type, KAD__GET_VALUE);
    assert_bytes_equal(calls[i].message->key, one_id(7));
  }
  assert_int_equal(one_peer_of(&calls[0]), 3);
  one_empty(&o, &calls[0]);
  one_answer_record(&o, &calls[1], one_id(7), "value");
  one_still_running(&o);
  one_answer_record(&o, &calls[2], one_id(7), "value");
  kad__dht_event end = one_ended(&o, id);
  assert_int_equal(end.error, 0);
  assert_bytes_equal(end.record.value, kad__bytes_of("value"));
  assert_bytes_equal(end.record.key, one_id(7));
  assert_bytes_equal(end.peer.id, one_id(one_peer_of(&calls[1])));
  /* Afterwards, unseen. */
  kad__dht_call put = one_call(&o);
  assert_int_equal(put.message->type, KAD__PUT_VALUE);
  assert_int_equal(one_peer_of(&put), 3);
  assert_bytes_equal(put.message->record.value, kad__bytes_of("value"));
  assert_int_equal(put.message->record.ttl, 60);
  one_no_call(&o);
  one_empty(&o, &put);
  one_still_running(&o);
  assert_false(kad__dht_finish(o.dht, id, o.now));
  one_fini(&o);
}

static void test_get_without_caching(void **state) {
  (void)state;
  one o;
  kad__query_id id;
  one_setup(&o);
  o.config.caching = 0;
  one_start(&o);
  one_add(&o, 1);
  one_add(&o, 3);
  assert_ok(kad__dht_get(o.dht, &id, one_id(7), 0, o.now));
  kad__dht_call a = one_call(&o);
  kad__dht_call b = one_call(&o);
  one_empty(&o, &a);
  one_answer_record(&o, &b, one_id(7), "value");
  assert_int_equal(one_ended(&o, id).error, 0);
  one_no_call(&o);
  one_fini(&o);
}

static void test_get_finds_nothing(void **state) {
  (void)state;
  one o;
  kad__query_id id;
  one_setup(&o);
  one_start(&o);
  one_add(&o, 1);
  assert_ok(kad__dht_get(o.dht, &id, one_id(7), 1, o.now));
  kad__dht_call call = one_call(&o);
  one_closer(&o, &call, (unsigned[]){3}, 1);
  call = one_call(&o);
  /* A record of another key is none. */
  one_answer_record(&o, &call, one_id(8), "value");
  kad__dht_event end = one_ended(&o, id);
  assert_int_equal(end.error, KAD_E_NOT_FOUND);
  assert_int_equal(end.record.value.len, 0);
  assert_int_equal(end.stats.successes, 2);
  one_fini(&o);
}

static int no_bad(void *user, kad_bytes key, kad_bytes value,
                  uint64_t unix_ns) {
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
                                        .validate = no_bad,
                                        .select = longer}};
static const kad__validators network = {.list = rules, .count = 1};

/* The best of several wins, whoever has a worse one is put right, and so is our
 * own copy. */
static void test_get_selects_and_corrects(void **state) {
  (void)state;
  one o;
  kad__query_id id;
  kad__dht_call calls[4];
  kad__record local;
  kad_bytes key = kad__bytes_of("/t/key");
  one_setup(&o);
  o.config.validators = &network;
  o.config.caching = 0;
  one_start(&o);
  kad__record old = {
      .key = key, .value = kad__bytes_of("v"), .expires = KAD_TIME_NEVER};
  assert_ok(o.store->ops->put(o.store, &old, false));
  for (unsigned i = 1; i <= 4; i++) {
    one_add(&o, i);
  }
  assert_ok(kad__dht_get(o.dht, &id, key, 0, o.now));
  assert_true(one_event(&o, KAD__DHT_RECORD_FOUND));
  assert_int_equal(o.event.peer.id.len, 0);
  for (int i = 0; i < 4; i++) {
    calls[i] = one_call(&o);
  }
  one_answer_record(&o, &calls[0], key, "better");
  one_answer_record(&o, &calls[1], key, "best one");
  one_answer_record(&o, &calls[2], key, "xinvalid one");
  one_answer_record(&o, &calls[3], key, "best one");
  kad__dht_event end = one_ended(&o, id);
  assert_int_equal(end.error, 0);
  assert_bytes_equal(end.record.value, kad__bytes_of("best one"));
  assert_true(o.store->ops->get(o.store, &local, key));
  assert_bytes_equal(local.value, kad__bytes_of("best one"));
  bool corrected[5] = {false};
  for (int i = 0; i < 2; i++) {
    kad__dht_call put = one_call(&o);
    assert_int_equal(put.message->type, KAD__PUT_VALUE);
    assert_bytes_equal(put.message->record.value, kad__bytes_of("best one"));
    corrected[one_peer_of(&put)] = true;
    one_empty(&o, &put);
  }
  one_no_call(&o);
  assert_true(corrected[one_peer_of(&calls[0])]);
  assert_true(corrected[one_peer_of(&calls[2])]);
  one_fini(&o);
}

/* Every record is told of, and whether a better one came before it. */
static void test_get_marks_the_best(void **state) {
  (void)state;
  one o;
  kad__query_id id;
  static const struct {
    const char *value;
    bool best;
  } answers[] = {{"better", true},
                 {"worst", false},
                 {"best one", true},
                 {"better", false},
                 {"best one", true}};
  kad__dht_call calls[KAD__COUNT(answers)];
  kad_bytes key = kad__bytes_of("/t/key");
  one_setup(&o);
  o.config.validators = &network;
  o.config.parallelism = KAD__COUNT(answers);
  one_start(&o);
  for (unsigned i = 0; i < KAD__COUNT(answers); i++) {
    one_add(&o, i + 1);
  }
  assert_ok(kad__dht_get(o.dht, &id, key, 0, o.now));
  for (size_t i = 0; i < KAD__COUNT(answers); i++) {
    calls[i] = one_call(&o);
  }
  for (size_t i = 0; i < KAD__COUNT(answers); i++) {
    one_answer_record(&o, &calls[i], key, answers[i].value);
    assert_true(one_event(&o, KAD__DHT_RECORD_FOUND));
    assert_bytes_equal(o.event.record.value, kad__bytes_of(answers[i].value));
    assert_int_equal(o.event.best, answers[i].best);
  }
  one_fini(&o);
}

/* Where nothing orders the values nobody is corrected: anybody could say
 * anything. */
static void test_get_of_unordered_values(void **state) {
  (void)state;
  one o;
  kad__query_id id;
  one_setup(&o);
  o.config.caching = 0;
  one_start(&o);
  one_add(&o, 1);
  one_add(&o, 3);
  assert_ok(kad__dht_get(o.dht, &id, one_id(7), 0, o.now));
  kad__dht_call a = one_call(&o);
  kad__dht_call b = one_call(&o);
  one_answer_record(&o, &a, one_id(7), "one");
  one_answer_record(&o, &b, one_id(7), "another");
  assert_bytes_equal(one_ended(&o, id).record.value, kad__bytes_of("one"));
  one_no_call(&o);
  one_fini(&o);
}

/* ---- put ---------------------------------------------------------------- */

static void test_put(void **state) {
  (void)state;
  one o;
  kad__query_id id;
  kad__record record;
  one_setup(&o);
  one_start(&o);
  one_add(&o, 1);
  one_add(&o, 3);
  one_add(&o, 2);
  assert_ok(kad__dht_put(o.dht, &id, one_id(7), kad__bytes_of("value"),
                         KAD_TIME_NEVER,
                         (kad__quorum){.kind = KAD__QUORUM_MAJORITY}, o.now));
  assert_true(o.store->ops->get(o.store, &record, one_id(7)));
  assert_bytes_equal(record.publisher, one_id(0));
  assert_true(record.expires == KAD_TIME_NEVER);
  for (int i = 0; i < 3; i++) {
    kad__dht_call call = one_call(&o);
    assert_int_equal(call.message->type, KAD__FIND_NODE);
    one_empty(&o, &call);
  }
  kad__dht_call puts[3];
  for (int i = 0; i < 3; i++) {
    puts[i] = one_call(&o);
    assert_int_equal(puts[i].message->type, KAD__PUT_VALUE);
    assert_bytes_equal(puts[i].message->key, one_id(7));
    assert_bytes_equal(puts[i].message->record.key, one_id(7));
    assert_bytes_equal(puts[i].message->record.publisher, one_id(0));
    assert_int_equal(puts[i].message->record.ttl, 48 * 3600);
    one_empty(&o, &puts[i]);
    /* Two of three are a majority; the third gets it all the same (D2). */
    if (i == 1) {
      kad__dht_event end = one_ended(&o, id);
      assert_int_equal(end.error, 0);
      assert_int_equal(end.stored, 2);
    } else {
      one_still_running(&o);
    }
  }
  one_no_call(&o);
  one_fini(&o);
}

/* "All" means all that exist (D24). */
static void test_put_to_all_of_few(void **state) {
  (void)state;
  one o;
  kad__query_id id;
  one_setup(&o);
  one_start(&o);
  one_add(&o, 1);
  one_add(&o, 3);
  for (int fail = 0; fail < 2; fail++) {
    assert_ok(kad__dht_put(o.dht, &id, one_id(7), kad__bytes_of("value"),
                           KAD_TIME_NEVER,
                           (kad__quorum){.kind = KAD__QUORUM_ALL}, o.now));
    for (int i = 0; i < 2; i++) {
      kad__dht_call call = one_call(&o);
      one_empty(&o, &call);
    }
    for (int i = 0; i < 2; i++) {
      kad__dht_call call = one_call(&o);
      if (fail && i == 0) {
        kad__dht_failed(o.dht, call.id, KAD_E_STREAM_RESET, o.now);
      } else {
        one_empty(&o, &call);
      }
    }
    kad__dht_event end = one_ended(&o, id);
    assert_int_equal(end.error, fail ? KAD_E_QUORUM : 0);
    assert_int_equal(end.stored, fail ? 1 : 2);
  }
  one_fini(&o);
}

/* An echo with another value is no success (D4). */
static void test_put_reply_is_checked(void **state) {
  (void)state;
  one o;
  kad__query_id id;
  one_setup(&o);
  one_start(&o);
  one_add(&o, 1);
  assert_ok(kad__dht_put(o.dht, &id, one_id(7), kad__bytes_of("value"),
                         KAD_TIME_NEVER, (kad__quorum){0}, o.now));
  kad__dht_call call = one_call(&o);
  one_empty(&o, &call);
  call = one_call(&o);
  kad__message_init(&o.reply, KAD__PUT_VALUE);
  o.reply.key = one_id(7);
  o.reply.has_record = true;
  o.reply.record.key = one_id(7);
  o.reply.record.value = kad__bytes_of("other");
  assert_error(KAD_E_MESSAGE,
               kad__dht_replied(o.dht, call.id, &o.reply, o.now));
  assert_int_equal(one_ended(&o, id).error, KAD_E_QUORUM);
  assert_int_equal(kad__dht_counters_get(o.dht)->bad_replies, 1);
  one_fini(&o);
}

static void test_put_refuses_what_is_worse(void **state) {
  (void)state;
  one o;
  kad__query_id id;
  kad_bytes key = kad__bytes_of("/t/key");
  one_setup(&o);
  o.config.validators = &network;
  one_start(&o);
  kad__quorum one_peer = {0};
  assert_error(KAD_E_RECORD_REJECTED,
               kad__dht_put(o.dht, &id, one_id(1), key, KAD_TIME_NEVER,
                            one_peer, o.now));
  assert_error(KAD_E_SIGNATURE,
               kad__dht_put(o.dht, &id, key, kad__bytes_of("x"), KAD_TIME_NEVER,
                            one_peer, o.now));
  assert_ok(kad__dht_put(o.dht, &id, key, kad__bytes_of("long"), KAD_TIME_NEVER,
                         one_peer, o.now));
  assert_error(KAD_E_RECORD_OLD,
               kad__dht_put(o.dht, &id, key, kad__bytes_of("v"), KAD_TIME_NEVER,
                            one_peer, o.now));
  assert_ok(kad__dht_put(o.dht, &id, key, kad__bytes_of("longer"),
                         KAD_TIME_NEVER, one_peer, o.now));
  kad__dht_remove(o.dht, key);
  assert_ok(kad__dht_put(o.dht, &id, key, kad__bytes_of("v"), KAD_TIME_NEVER,
                         one_peer, o.now));
  one_fini(&o);
}

static void test_put_to(void **state) {
  (void)state;
  one o;
  kad__query_id id;
  kad__record local;
  one_setup(&o);
  one_start(&o);
  one_add(&o, 1);
  kad__wire_record record = {.key = one_id(7),
                             .value = kad__bytes_of("value"),
                             .publisher = one_id(9),
                             .ttl = 50};
  assert_ok(kad__dht_put_to(o.dht, &id, &record,
                            (kad_bytes[]){one_id(1), one_id(2), one_id(1)}, 3,
                            (kad__quorum){.kind = KAD__QUORUM_ALL}, o.now));
  for (int i = 0; i < 2; i++) {
    kad__dht_call call = one_call(&o);
    assert_int_equal(call.message->type, KAD__PUT_VALUE);
    assert_int_equal(call.message->record.ttl, 50);
    assert_bytes_equal(call.message->record.publisher, one_id(9));
    one_empty(&o, &call);
  }
  kad__dht_event end = one_ended(&o, id);
  assert_int_equal(end.error, 0);
  assert_int_equal(end.stored, 2);
  assert_false(o.store->ops->get(o.store, &local, one_id(7)));
  assert_ok(
      kad__dht_put_to(o.dht, &id, &record, NULL, 0, (kad__quorum){0}, o.now));
  assert_int_equal(one_ended(&o, id).error, KAD_E_NO_PEERS);
  one_fini(&o);
}

/* ---- providers ---------------------------------------------------------- */

/* The announcement waits until it is sent, and counts what became of it (D1).
 */
static void test_provide(void **state) {
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
  assert_int_equal(a.message->type, KAD__ADD_PROVIDER);
  assert_false(a.expects_reply);
  assert_int_equal(a.message->provider_count, 1);
  assert_bytes_equal(a.message->providers[0].id, one_id(0));
  assert_int_equal(a.message->providers[0].addresses.len, 0);
  kad__dht_call b = one_call(&o);
  one_advance(&o, 5 * KAD_SECOND);
  one_still_running(&o);
  one_empty(&o, &a);
  one_still_running(&o);
  kad__dht_failed(o.dht, b.id, KAD_E_DIAL, o.now);
  kad__dht_event end = one_ended(&o, id);
  assert_int_equal(end.error, 0);
  assert_int_equal(end.stored, 1);
  assert_int_equal(end.stats.failures, 1);
  one_fini(&o);
}

static void test_find_providers(void **state) {
  (void)state;
  one o;
  kad__query_id id;
  one_setup(&o);
  one_start(&o);
  one_add(&o, 1);
  one_add(&o, 3);
  one_add(&o, 2);
  assert_ok(kad__dht_find_providers(o.dht, &id, one_id(7), 3, o.now));
  kad__dht_call calls[3];
  for (int i = 0; i < 3; i++) {
    calls[i] = one_call(&o);
    assert_int_equal(calls[i].message->type, KAD__GET_PROVIDERS);
  }
  one_answer_providers(&o, &calls[0], (unsigned[]){20, 21}, 2);
  assert_true(one_event(&o, KAD__DHT_PROVIDER_FOUND));
  assert_bytes_equal(o.event.peer.id, one_id(20));
  assert_bytes_equal(o.event.peer.addresses, one_list(20));
  assert_true(one_event(&o, KAD__DHT_PROVIDER_FOUND));
  /* No provider twice (D6), and none is asked as if it were a server (D7). */
  one_answer_providers(&o, &calls[1], (unsigned[]){21, 20}, 2);
  assert_false(one_event(&o, KAD__DHT_PROVIDER_FOUND));
  one_no_call(&o);
  one_answer_providers(&o, &calls[2], (unsigned[]){20, 22, 23}, 3);
  assert_true(one_event(&o, KAD__DHT_PROVIDER_FOUND));
  assert_bytes_equal(o.event.peer.id, one_id(22));
  kad__dht_event end = one_ended(&o, id);
  assert_int_equal(end.error, 0);
  one_fini(&o);
}

/* A provider that comes again with addresses is told again. */
static void test_provider_addresses_come_later(void **state) {
  (void)state;
  one o;
  kad__query_id id;
  one_setup(&o);
  one_start(&o);
  one_add(&o, 1);
  one_add(&o, 3);
  assert_ok(kad__dht_find_providers(o.dht, &id, one_id(7), 0, o.now));
  kad__dht_call a = one_call(&o);
  kad__dht_call b = one_call(&o);
  kad__message_init(&o.reply, KAD__GET_PROVIDERS);
  o.reply.provider_count = 1;
  o.reply.providers[0] = (kad__wire_peer){.id = one_id(20)};
  assert_ok(kad__dht_replied(o.dht, a.id, &o.reply, o.now));
  assert_true(one_event(&o, KAD__DHT_PROVIDER_FOUND));
  assert_int_equal(o.event.peer.addresses.len, 0);
  one_answer_providers(&o, &b, (unsigned[]){20}, 1);
  assert_true(one_event(&o, KAD__DHT_PROVIDER_FOUND));
  assert_bytes_equal(o.event.peer.addresses, one_list(20));
  assert_int_equal(one_ended(&o, id).error, 0);
  one_fini(&o);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_get),
      cmocka_unit_test(test_get_without_caching),
      cmocka_unit_test(test_get_finds_nothing),
      cmocka_unit_test(test_get_selects_and_corrects),
      cmocka_unit_test(test_get_marks_the_best),
      cmocka_unit_test(test_get_of_unordered_values),
      cmocka_unit_test(test_put),
      cmocka_unit_test(test_put_to_all_of_few),
      cmocka_unit_test(test_put_reply_is_checked),
      cmocka_unit_test(test_put_refuses_what_is_worse),
      cmocka_unit_test(test_put_to),
      cmocka_unit_test(test_provide),
      cmocka_unit_test(test_find_providers),
      cmocka_unit_test(test_provider_addresses_come_later),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
