/* Queries, step by step: what they ask, when they give up, and how they end. */
#include "one.h"

/* ---- closest ------------------------------------------------------------ */

static void test_closest(void **state) {
  (void)state;
  one o;
  kad__query_id id;
  one_setup(&o);
  one_start(&o);
  one_add(&o, 1);
  assert_ok(kad__dht_find_closest(o.dht, &id, one_id(7), 20, o.now));
  kad__dht_call call = one_call(&o);
  assert_true(call.query == id);
  assert_true(call.expects_reply);
  assert_int_equal(call.message->type, KAD__FIND_NODE);
  assert_bytes_equal(call.message->key, one_id(7));
  assert_bytes_equal(call.addresses, one_list(1));
  assert_true(call.deadline == o.now + o.config.peer_timeout);
  one_no_call(&o);
  /* We, the peer itself and doubles are no news (K-22). */
  one_closer(&o, &call, (unsigned[]){0, 1, 3, 3, 5}, 5);
  kad__dht_call three = one_call(&o);
  assert_int_equal(one_peer_of(&three), 3);
  assert_bytes_equal(three.addresses, one_list(3));
  kad__dht_call five = one_call(&o);
  one_no_call(&o);
  one_closer(&o, &five, (unsigned[]){3}, 1);
  one_still_running(&o);
  one_empty(&o, &three);
  /* Nearest to 7 first: 7 = 111, 5 = 101, 3 = 011, 1 = 001 (bits reversed). */
  const unsigned order[] = {3, 5, 1};
  kad__key target = kad__key_of(one_hash, one_id(7));
  kad__key last = {{0}};
  for (int i = 0; i < 3; i++) {
    assert_true(kad__dht_poll_event(o.dht, &o.event));
    if (o.event.type != KAD__DHT_PEER_FOUND) {
      i--;
      continue;
    }
    assert_bytes_equal(o.event.peer.id, one_id(order[i]));
    assert_bytes_equal(o.event.peer.addresses, one_list(order[i]));
    assert_int_equal(o.event.step, i + 1);
    kad__key key = kad__key_of(one_hash, o.event.peer.id);
    kad__key d = kad__key_distance(&key, &target);
    assert_true(kad__key_compare(&last, &d) < 0);
    last = d;
  }
  kad__dht_event end = one_ended(&o, id);
  assert_int_equal(end.error, 0);
  assert_int_equal(end.kind, KAD__QUERY_CLOSEST);
  assert_int_equal(end.stats.requests, 3);
  assert_int_equal(end.stats.successes, 3);
  assert_int_equal(end.stats.failures, 0);
  assert_int_equal(end.stats.hops, 2);
  assert_int_equal(end.step, 4);
  assert_bytes_equal(end.key, one_id(7));
  one_fini(&o);
}

static void test_nobody_to_ask(void **state) {
  (void)state;
  one o;
  kad__query_id id;
  one_setup(&o);
  one_start(&o);
  assert_ok(kad__dht_find_closest(o.dht, &id, one_id(7), 20, o.now));
  assert_int_equal(one_ended(&o, id).error, KAD_E_NO_PEERS);
  assert_ok(kad__dht_find_peer(o.dht, &id, one_id(7), o.now));
  assert_int_equal(one_ended(&o, id).error, KAD_E_NO_PEERS);
  assert_ok(kad__dht_get(o.dht, &id, one_id(7), 1, o.now));
  assert_int_equal(one_ended(&o, id).error, KAD_E_NO_PEERS);
  assert_ok(kad__dht_find_providers(o.dht, &id, one_id(7), 1, o.now));
  assert_int_equal(one_ended(&o, id).error, KAD_E_NO_PEERS);
  assert_ok(kad__dht_put(o.dht, &id, one_id(7), one_id(7), KAD_TIME_NEVER,
                         (kad__quorum){0}, o.now));
  assert_int_equal(one_ended(&o, id).error, KAD_E_NO_PEERS);
  assert_ok(kad__dht_provide(o.dht, &id, one_id(8), o.now));
  assert_int_equal(one_ended(&o, id).error, KAD_E_NO_PEERS);
  assert_error(KAD_E_NO_PEERS, kad__dht_bootstrap(o.dht, &id, o.now));
  /* What was stored and announced is here nevertheless. */
  assert_ok(kad__dht_get(o.dht, &id, one_id(7), 1, o.now));
  kad__dht_event end = one_ended(&o, id);
  assert_int_equal(end.error, 0);
  assert_bytes_equal(end.record.value, one_id(7));
  assert_int_equal(end.peer.id.len, 0);
  assert_ok(kad__dht_find_providers(o.dht, &id, one_id(8), 1, o.now));
  assert_true(one_event(&o, KAD__DHT_PROVIDER_FOUND));
  assert_bytes_equal(o.event.peer.id, one_id(0));
  assert_int_equal(o.event.peer.addresses.len, 0);
  assert_int_equal(one_ended(&o, id).error, 0);
  one_fini(&o);
}

static void test_nobody_answers(void **state) {
  (void)state;
  one o;
  kad__query_id id;
  one_setup(&o);
  one_start(&o);
  one_add(&o, 1);
  assert_ok(kad__dht_find_closest(o.dht, &id, one_id(7), 20, o.now));
  kad__dht_call call = one_call(&o);
  kad__dht_failed(o.dht, call.id, KAD_E_DIAL, o.now);
  kad__dht_event end = one_ended(&o, id);
  assert_int_equal(end.error, 0);
  assert_int_equal(end.step, 1);
  assert_int_equal(end.stats.failures, 1);
  assert_ok(kad__dht_get(o.dht, &id, one_id(7), 1, o.now));
  call = one_call(&o);
  kad__dht_failed(o.dht, call.id, KAD_E_DIAL, o.now);
  assert_int_equal(one_ended(&o, id).error, KAD_E_NOT_FOUND);
  one_fini(&o);
}

static void test_arguments(void **state) {
  (void)state;
  one o;
  kad__query_id id;
  uint8_t key[KAD__K * 100] = {0};
  one_setup(&o);
  o.config.max_queries = 2;
  one_start(&o);
  one_add(&o, 1);
  assert_error(KAD_E_INVALID_ARGUMENT,
               kad__dht_find_closest(o.dht, &id, (kad_bytes){0}, 20, o.now));
  assert_error(KAD_E_INVALID_ARGUMENT,
               kad__dht_find_closest(o.dht, &id, one_id(1), 0, o.now));
  assert_error(KAD_E_INVALID_ARGUMENT,
               kad__dht_find_closest(o.dht, &id, one_id(1), 1000, o.now));
  assert_error(KAD_E_INVALID_ARGUMENT,
               kad__dht_get(o.dht, &id, kad__bytes(key, 1025), 1, o.now));
  assert_error(KAD_E_INVALID_ARGUMENT,
               kad__dht_provide(o.dht, &id, kad__bytes(key, 81), o.now));
  assert_error(
      KAD_E_INVALID_ARGUMENT,
      kad__dht_put_to(o.dht, &id, &(kad__wire_record){.key = one_id(1)},
                      (kad_bytes[]){one_id(0)}, 1, (kad__quorum){0}, o.now));
  assert_ok(kad__dht_get(o.dht, &id, one_id(9), 1, o.now));
  assert_ok(kad__dht_get(o.dht, &id, one_id(9), 1, o.now));
  assert_error(KAD_E_LIMIT, kad__dht_get(o.dht, &id, one_id(9), 1, o.now));
  assert_false(kad__dht_finish(o.dht, id + 5, o.now));
  one_fini(&o);
}

/* ---- find a peer -------------------------------------------------------- */

static void test_find_peer(void **state) {
  (void)state;
  one o;
  kad__query_id id;
  one_setup(&o);
  one_start(&o);
  one_add(&o, 1);
  one_add(&o, 2);
  assert_ok(kad__dht_find_peer(o.dht, &id, one_id(7), o.now));
  kad__dht_call first = one_call(&o);
  kad__dht_call second = one_call(&o);
  /* Named without an address it is not found yet. */
  kad__message_init(&o.reply, KAD__FIND_NODE);
  o.reply.closer_count = 1;
  o.reply.closer[0] = (kad__wire_peer){.id = one_id(7)};
  assert_ok(kad__dht_replied(o.dht, second.id, &o.reply, o.now));
  one_still_running(&o);
  one_closer(&o, &first, (unsigned[]){7}, 1);
  assert_true(one_event(&o, KAD__DHT_PEER_FOUND));
  assert_bytes_equal(o.event.peer.id, one_id(7));
  assert_bytes_equal(o.event.peer.addresses, one_list(7));
  kad__dht_event end = one_ended(&o, id);
  assert_int_equal(end.error, 0);
  assert_int_equal(end.stats.requests, 2);
  one_no_call(&o);
  /* Known peers cost nothing. */
  one_add(&o, 7);
  assert_ok(kad__dht_find_peer(o.dht, &id, one_id(7), o.now));
  assert_true(one_event(&o, KAD__DHT_PEER_FOUND));
  assert_bytes_equal(o.event.peer.addresses, one_list(7));
  assert_int_equal(one_ended(&o, id).stats.requests, 0);
  /* Nor do we. */
  assert_ok(kad__dht_find_peer(o.dht, &id, one_id(0), o.now));
  assert_true(one_event(&o, KAD__DHT_PEER_FOUND));
  assert_int_equal(one_ended(&o, id).error, 0);
  one_fini(&o);
}

static void test_find_peer_fails(void **state) {
  (void)state;
  one o;
  kad__query_id id;
  one_setup(&o);
  one_start(&o);
  one_add(&o, 1);
  assert_ok(kad__dht_find_peer(o.dht, &id, one_id(7), o.now));
  kad__dht_call call = one_call(&o);
  one_closer(&o, &call, (unsigned[]){3}, 1);
  call = one_call(&o);
  one_empty(&o, &call);
  assert_int_equal(one_ended(&o, id).error, KAD_E_NOT_FOUND);
  one_fini(&o);
}

/* ---- replies, time and the end ------------------------------------------ */

/* K-29: an answer to another question is a failure. */
static void test_wrong_replies(void **state) {
  (void)state;
  one o;
  kad__query_id id;
  one_setup(&o);
  one_start(&o);
  one_add(&o, 1);
  one_add(&o, 3);
  assert_ok(kad__dht_get(o.dht, &id, one_id(7), 0, o.now));
  kad__dht_call a = one_call(&o);
  kad__dht_call b = one_call(&o);
  kad__message_init(&o.reply, KAD__FIND_NODE);
  assert_error(KAD_E_MESSAGE, kad__dht_replied(o.dht, a.id, &o.reply, o.now));
  kad__message_init(&o.reply, KAD__GET_VALUE);
  o.reply.key = one_id(8);
  assert_error(KAD_E_MESSAGE, kad__dht_replied(o.dht, b.id, &o.reply, o.now));
  kad__dht_event end = one_ended(&o, id);
  assert_int_equal(end.error, KAD_E_NOT_FOUND);
  assert_int_equal(end.stats.failures, 2);
  assert_int_equal(kad__dht_counters_get(o.dht)->bad_replies, 2);
  /* What comes late, or was never asked, is ignored. */
  assert_int_equal(kad__dht_replied(o.dht, a.id, &o.reply, o.now), 0);
  assert_int_equal(kad__dht_replied(o.dht, 12345, &o.reply, o.now), 0);
  kad__dht_sent(o.dht, a.id, o.now);
  kad__dht_failed(o.dht, 77, KAD_E_DIAL, o.now);
  one_fini(&o);
}

/* Time-outs need nothing but the DHT's own deadline (D8, D30). */
static void test_peer_timeout(void **state) {
  (void)state;
  one o;
  kad__query_id id;
  one_setup(&o);
  one_start(&o);
  one_add(&o, 1);
  assert_ok(kad__dht_put(o.dht, &id, one_id(7), one_id(7), KAD_TIME_NEVER,
                         (kad__quorum){0}, o.now));
  kad__dht_call call = one_call(&o);
  assert_true(kad__dht_deadline(o.dht) == o.now + o.config.peer_timeout);
  one_empty(&o, &call);
  call = one_call(&o);
  one_advance(&o, o.config.peer_timeout - 1);
  one_still_running(&o);
  one_advance(&o, 1);
  assert_int_equal(one_ended(&o, id).error, KAD_E_QUORUM);
  /* The gateway is told that nobody waits. */
  assert_true(kad__dht_poll_cancel(o.dht) == call.id);
  assert_true(kad__dht_poll_cancel(o.dht) == 0);
  one_fini(&o);
}

/* The whole query has one time-out (D25), and what it found by then counts
 * (D31). */
static void test_query_timeout(void **state) {
  (void)state;
  one o;
  kad__query_id id;
  kad_time start;
  one_setup(&o);
  o.config.query_timeout = 5 * KAD_SECOND;
  one_start(&o);
  one_add(&o, 1);
  one_add(&o, 3);
  start = o.now;
  assert_ok(kad__dht_get(o.dht, &id, one_id(40), 0, o.now));
  kad__dht_call call = one_call(&o);
  one_answer_record(&o, &call, one_id(40), "value");
  while (o.now < start + o.config.query_timeout) {
    one_still_running(&o);
    kad__dht_call silent;
    while (kad__dht_poll_call(o.dht, &silent)) {
    }
    one_advance(&o, KAD_SECOND);
  }
  kad__dht_event end = one_ended(&o, id);
  assert_int_equal(end.error, KAD_E_TIMEOUT);
  assert_bytes_equal(end.record.value, kad__bytes_of("value"));
  assert_true(end.stats.end - end.stats.start == o.config.query_timeout);
  one_fini(&o);
}

/* A put whose lookup takes too long gives what it found the rest of its time.
 */
static void test_put_leaves_time_to_store(void **state) {
  (void)state;
  one o;
  kad__query_id id;
  one_setup(&o);
  o.config.parallelism = 2;
  o.config.peer_timeout = KAD_TIME_NEVER;
  one_start(&o);
  one_add(&o, 1);
  one_add(&o, 3);
  assert_ok(kad__dht_put(o.dht, &id, one_id(7), one_id(7), KAD_TIME_NEVER,
                         (kad__quorum){.kind = KAD__QUORUM_ALL}, o.now));
  kad__dht_call a = one_call(&o);
  (void)one_call(&o);
  one_empty(&o, &a);
  one_advance(&o, 41 * KAD_SECOND);
  kad__dht_call put = one_call(&o);
  assert_int_equal(put.message->type, KAD__PUT_VALUE);
  assert_int_equal(one_peer_of(&put), one_peer_of(&a));
  assert_true(put.deadline <= KAD_HOUR + o.config.query_timeout);
  one_empty(&o, &put);
  assert_int_equal(one_ended(&o, id).error, 0);
  one_fini(&o);
}

static void test_finish(void **state) {
  (void)state;
  one o;
  kad__query_id id;
  one_setup(&o);
  one_start(&o);
  one_add(&o, 1);
  one_add(&o, 3);
  /* With something found it is a success. */
  assert_ok(kad__dht_get(o.dht, &id, one_id(7), 0, o.now));
  kad__dht_call a = one_call(&o);
  kad__dht_call b = one_call(&o);
  one_answer_record(&o, &a, one_id(7), "value");
  assert_true(kad__dht_finish(o.dht, id, o.now));
  assert_int_equal(one_ended(&o, id).error, 0);
  assert_true(kad__dht_poll_cancel(o.dht) == b.id);
  assert_false(kad__dht_finish(o.dht, id, o.now));
  /* With nothing it was cancelled. */
  assert_ok(kad__dht_get(o.dht, &id, one_id(7), 0, o.now));
  (void)one_call(&o);
  assert_true(kad__dht_finish(o.dht, id, o.now));
  assert_int_equal(one_ended(&o, id).error, KAD_E_CANCELLED);
  assert_ok(kad__dht_find_closest(o.dht, &id, one_id(7), 20, o.now));
  a = one_call(&o);
  one_empty(&o, &a);
  assert_true(kad__dht_finish(o.dht, id, o.now));
  assert_true(one_event(&o, KAD__DHT_PEER_FOUND));
  assert_int_equal(one_ended(&o, id).error, KAD_E_CANCELLED);
  assert_ok(kad__dht_provide(o.dht, &id, one_id(7), o.now));
  assert_true(kad__dht_finish(o.dht, id, o.now));
  assert_int_equal(one_ended(&o, id).error, KAD_E_CANCELLED);
  assert_ok(kad__dht_bootstrap(o.dht, &id, o.now));
  assert_true(kad__dht_finish(o.dht, id, o.now));
  assert_int_equal(one_ended(&o, id).error, KAD_E_CANCELLED);
  one_fini(&o);
}

/* Requests that nobody waits for any more are taken back; those that were not
 * handed out yet are never heard of. */
static void test_cancelled_calls(void **state) {
  (void)state;
  one o;
  kad__query_id id;
  one_setup(&o);
  one_start(&o);
  for (unsigned i = 1; i <= 3; i++) {
    one_add(&o, i);
  }
  assert_ok(kad__dht_get(o.dht, &id, one_id(7), 1, o.now));
  kad__dht_call a = one_call(&o);
  kad__dht_call b = one_call(&o);
  one_answer_record(&o, &a, one_id(7), "value");
  assert_int_equal(one_ended(&o, id).error, 0);
  one_no_call(&o);
  assert_true(kad__dht_poll_cancel(o.dht) == b.id);
  assert_true(kad__dht_poll_cancel(o.dht) == 0);
  one_fini(&o);
}

/* A peer that is slow holds up nobody, is waited for on its own account, and
 * found out (D26). */
static void test_slow_peers(void **state) {
  (void)state;
  one o;
  kad__query_id id;
  one_setup(&o);
  o.config.slow_timeout = KAD_SECOND;
  o.config.parallelism = 2;
  one_start(&o);
  for (unsigned i = 1; i <= 3; i++) {
    one_add(&o, i);
  }
  assert_ok(kad__dht_find_closest(o.dht, &id, one_id(7), 2, o.now));
  kad__dht_call slow = one_call(&o);
  kad__dht_call quick = one_call(&o);
  one_empty(&o, &quick);
  kad__dht_call third = one_call(&o);
  one_empty(&o, &third);
  one_still_running(&o);
  one_advance(&o, KAD_SECOND);
  assert_int_equal(one_ended(&o, id).error, 0);
  assert_true(kad__dht_poll_cancel(o.dht) == 0);
  one_advance(&o, 9 * KAD_SECOND);
  assert_true(kad__dht_poll_cancel(o.dht) == slow.id);
  /* Now it rests: the next lookup does without it. */
  assert_ok(kad__dht_find_closest(o.dht, &id, one_id(7), 2, o.now));
  for (int i = 0; i < 2; i++) {
    kad__dht_call call = one_call(&o);
    assert_int_not_equal(one_peer_of(&call), one_peer_of(&slow));
    one_empty(&o, &call);
  }
  assert_int_equal(one_ended(&o, id).error, 0);
  one_fini(&o);
}

static void test_late_answer_counts(void **state) {
  (void)state;
  one o;
  kad__query_id id;
  one_setup(&o);
  o.config.slow_timeout = KAD_SECOND;
  one_start(&o);
  one_add(&o, 1);
  assert_ok(kad__dht_find_closest(o.dht, &id, one_id(7), 2, o.now));
  kad__dht_call call = one_call(&o);
  one_advance(&o, 9 * KAD_SECOND);
  one_still_running(&o);
  one_empty(&o, &call);
  assert_true(one_event(&o, KAD__DHT_PEER_FOUND));
  assert_int_equal(one_ended(&o, id).error, 0);
  one_fini(&o);
}

/* Addresses told by several are joined, and those we trust come first (D5). */
static void test_addresses_are_joined(void **state) {
  (void)state;
  one o;
  kad__query_id id;
  one_setup(&o);
  one_start(&o);
  one_add(&o, 1);
  one_add(&o, 2);
  assert_ok(kad__dht_find_closest(o.dht, &id, one_id(7), 20, o.now));
  kad__dht_call a = one_call(&o);
  kad__dht_call b = one_call(&o);
  kad__message_init(&o.reply, KAD__FIND_NODE);
  o.reply.closer_count = 1;
  o.reply.closer[0] =
      (kad__wire_peer){.id = one_id(2), .addresses = one_list(77)};
  assert_ok(kad__dht_replied(o.dht, a.id, &o.reply, o.now));
  o.reply.closer[0] =
      (kad__wire_peer){.id = one_id(7), .addresses = one_list(7)};
  assert_ok(kad__dht_replied(o.dht, b.id, &o.reply, o.now));
  kad__dht_call c = one_call(&o);
  assert_int_equal(one_peer_of(&c), 7);
  assert_bytes_equal(c.addresses, one_list(7));
  one_empty(&o, &c);
  for (int i = 0; i < 3; i++) {
    assert_true(one_event(&o, KAD__DHT_PEER_FOUND));
    if (kad__bytes_equal(o.event.peer.id, one_id(2)) && one_peer_of(&a) != 2) {
      kad_bytes first;
      kad_bytes rest = o.event.peer.addresses;
      assert_true(kad__addresses_next(&rest, &first));
      assert_bytes_equal(first, one_address(2));
    }
  }
  assert_int_equal(one_ended(&o, id).error, 0);
  one_fini(&o);
}

static void test_trace(void **state) {
  (void)state;
  one o;
  kad__query_id id;
  one_setup(&o);
  one_start(&o);
  one_add(&o, 1);
  assert_ok(kad__dht_find_closest(o.dht, &id, one_id(7), 20, o.now));
  kad__dht_call call = one_call(&o);
  one_empty(&o, &call);
  assert_false(one_event(&o, KAD__DHT_ASKED));
  kad__dht_trace(o.dht, true);
  assert_ok(kad__dht_find_closest(o.dht, &id, one_id(7), 20, o.now));
  assert_true(one_event(&o, KAD__DHT_ASKED));
  assert_bytes_equal(o.event.peer.id, one_id(1));
  assert_bytes_equal(o.event.peer.addresses, one_list(1));
  assert_int_equal(o.event.message_type, KAD__FIND_NODE);
  assert_int_equal(o.event.hops, 1);
  assert_true(o.event.stats.end == o.now);
  call = one_call(&o);
  o.now += KAD_SECOND;
  one_closer(&o, &call, (unsigned[]){3, 5}, 2);
  assert_true(one_event(&o, KAD__DHT_ANSWERED));
  assert_bytes_equal(o.event.peer.id, one_id(1));
  assert_int_equal(o.event.error, 0);
  assert_int_equal(o.event.closer, 2);
  assert_true(o.event.stats.end == o.now);
  assert_true(one_event(&o, KAD__DHT_ASKED));
  assert_int_equal(o.event.hops, 2);
  assert_bytes_equal(o.event.peer.addresses, one_list(3));
  call = one_call(&o);
  kad__dht_failed(o.dht, call.id, KAD_E_DIAL, o.now);
  assert_true(one_event(&o, KAD__DHT_ANSWERED));
  assert_int_equal(o.event.error, KAD_E_DIAL);
  call = one_call(&o);
  one_empty(&o, &call);
  assert_int_equal(one_ended(&o, id).error, 0);
  one_fini(&o);
}

/* ---- memory ------------------------------------------------------------- */

static void run_with_little_memory(size_t fail_at) {
  one o;
  kad__query_id ids[8];
  int begun = 0;
  one_setup(&o);
  o.memory.fail_at = fail_at;
  const uint64_t secret[2] = {1, 2};
  kad__memory_store_config store;
  kad__memory_store_config_default(&store);
  if (kad__memory_store_new(&o.store, &o.memory.allocator, &store, secret) !=
      0) {
    assert_int_equal(o.memory.live, 0);
    return;
  }
  o.config.store = o.store;
  int error = kad__dht_new(&o.dht, &o.config, o.now);
  if (error != 0) {
    assert_int_equal(error, KAD_E_NO_MEMORY);
    o.store->ops->free(o.store);
    assert_int_equal(o.memory.live, 0);
    return;
  }
  for (unsigned i = 1; i <= 6; i++) {
    (void)kad__dht_add_address(o.dht, one_id(i), one_address(i), o.now);
    (void)kad__dht_peer_confirmed(o.dht, one_id(i + 10), one_address(i + 10),
                                  o.now);
    one_check(&o);
  }
  kad__quorum q = {0};
  begun += kad__dht_find_closest(o.dht, &ids[begun], one_id(7), 20, o.now) == 0;
  begun += kad__dht_find_peer(o.dht, &ids[begun], one_id(9), o.now) == 0;
  begun += kad__dht_put(o.dht, &ids[begun], one_id(7), one_id(7),
                        KAD_TIME_NEVER, q, o.now) == 0;
  begun += kad__dht_get(o.dht, &ids[begun], one_id(8), 0, o.now) == 0;
  begun += kad__dht_provide(o.dht, &ids[begun], one_id(7), o.now) == 0;
  begun +=
      kad__dht_find_providers(o.dht, &ids[begun], one_id(8), 0, o.now) == 0;
  begun += kad__dht_bootstrap(o.dht, &ids[begun], o.now) == 0;
  one_check(&o);
  int ends = 0;
  for (int i = 0; i < 3000 && ends < begun; i++) {
    kad__dht_call call;
    if (!kad__dht_poll_call(o.dht, &call)) {
      one_advance(&o, KAD_SECOND);
    } else if (call.message->type == KAD__GET_VALUE) {
      one_answer_record(&o, &call, one_id(8), i % 2 == 0 ? "value" : "other");
    } else if (call.message->type == KAD__GET_PROVIDERS) {
      one_answer_providers(&o, &call, (unsigned[]){20, 21, 22}, 3);
    } else if (call.message->type == KAD__FIND_NODE) {
      one_closer(&o, &call, (unsigned[]){30, 31, 32, 33}, 4);
    } else {
      one_empty(&o, &call);
    }
    while (kad__dht_poll_event(o.dht, &o.event)) {
      ends += o.event.type == KAD__DHT_QUERY_ENDED;
    }
  }
  assert_int_equal(ends, begun);
  one_fini(&o);
}

/* Whatever allocation fails: queries that began end, nothing is lost. */
static void test_without_memory(void **state) {
  (void)state;
  size_t total = 0;
  for (size_t fail = 1; fail < 700; fail++) {
    run_with_little_memory(fail);
    total++;
  }
  run_with_little_memory(0);
  assert_true(total > 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_closest),
      cmocka_unit_test(test_nobody_to_ask),
      cmocka_unit_test(test_nobody_answers),
      cmocka_unit_test(test_arguments),
      cmocka_unit_test(test_find_peer),
      cmocka_unit_test(test_find_peer_fails),
      cmocka_unit_test(test_wrong_replies),
      cmocka_unit_test(test_peer_timeout),
      cmocka_unit_test(test_query_timeout),
      cmocka_unit_test(test_put_leaves_time_to_store),
      cmocka_unit_test(test_finish),
      cmocka_unit_test(test_cancelled_calls),
      cmocka_unit_test(test_slow_peers),
      cmocka_unit_test(test_late_answer_counts),
      cmocka_unit_test(test_addresses_are_joined),
      cmocka_unit_test(test_trace),
      cmocka_unit_test(test_without_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
