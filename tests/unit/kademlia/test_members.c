/* Who is in the table: how peers enter, how they fail, rest and leave. */
#include "one.h"

static void confirm(one *o, unsigned peer) {
  assert_ok(
      kad__dht_peer_confirmed(o->dht, one_id(peer), one_address(peer), o->now));
  one_check(o);
}

static bool present(one *o, unsigned peer) {
  kad__wire_peer all[64];
  size_t n = kad__dht_closest_local(o->dht, all, 64, one_id(peer),
                                    (kad_bytes){0}, o->now);
  return n > 0 && kad__bytes_equal(all[0].id, one_id(peer));
}

static void test_confirmed_peers_enter(void **state) {
  (void)state;
  one o;
  one_setup(&o);
  one_start(&o);
  confirm(&o, 3);
  assert_true(one_event(&o, KAD__DHT_ROUTING_ADDED));
  assert_bytes_equal(o.event.peer.id, one_id(3));
  assert_bytes_equal(o.event.peer.addresses, one_list(3));
  assert_int_equal(o.event.bucket, 0);
  assert_int_equal(o.event.old_peer.len, 0);
  confirm(&o, 3);
  assert_false(one_event(&o, KAD__DHT_ROUTING_ADDED));
  assert_int_equal(kad__dht_table_size(o.dht), 1);
  /* Another address of it. */
  assert_ok(kad__dht_peer_confirmed(o.dht, one_id(3), one_address(4), o.now));
  assert_true(one_event(&o, KAD__DHT_ROUTING_UPDATED));
  assert_int_equal(kad__addresses_count(o.event.peer.addresses), 2);
  assert_true(kad__addresses_have(o.event.peer.addresses, one_address(3)));
  one_fini(&o);
}

static void test_without_address(void **state) {
  (void)state;
  one o;
  one_setup(&o);
  one_start(&o);
  assert_ok(kad__dht_peer_confirmed(o.dht, one_id(3), (kad_bytes){0}, o.now));
  assert_true(one_event(&o, KAD__DHT_UNROUTABLE));
  assert_bytes_equal(o.event.peer.id, one_id(3));
  assert_int_equal(kad__dht_table_size(o.dht), 0);
  /* Its address comes later; then it enters as the connected peer it is. */
  one_add(&o, 3);
  kad__dht_peer_disconnected(o.dht, one_id(3), o.now);
  assert_int_equal(kad__dht_table_size(o.dht), 1);
  one_fini(&o);
}

static void test_networks_without_addresses(void **state) {
  (void)state;
  one o;
  one_setup(&o);
  o.config.no_addresses = true;
  one_start(&o);
  assert_ok(kad__dht_peer_confirmed(o.dht, one_id(3), (kad_bytes){0}, o.now));
  assert_int_equal(kad__dht_table_size(o.dht), 1);
  kad__message m;
  kad__message_init(&m, KAD__FIND_NODE);
  m.key = one_id(9);
  assert_int_equal(one_ask(&o, 4, &m), 1);
  assert_true(one_told(&o, 3));
  one_fini(&o);
}

static void test_manual_inserts(void **state) {
  (void)state;
  one o;
  one_setup(&o);
  o.config.manual_inserts = true;
  one_start(&o);
  confirm(&o, 3);
  assert_true(one_event(&o, KAD__DHT_ROUTABLE));
  assert_bytes_equal(o.event.peer.id, one_id(3));
  assert_bytes_equal(o.event.peer.addresses, one_list(3));
  assert_int_equal(kad__dht_table_size(o.dht), 0);
  one_add(&o, 3);
  assert_int_equal(kad__dht_table_size(o.dht), 1);
  one_fini(&o);
}

static void test_ourselves_and_nonsense(void **state) {
  (void)state;
  one o;
  uint8_t long_id[KAD__DHT_ID_MAX + 1] = {1};
  one_setup(&o);
  one_start(&o);
  confirm(&o, 0);
  assert_int_equal(
      kad__dht_add_address(o.dht, one_id(0), one_address(1), o.now),
      KAD__ROUTING_FAILED);
  assert_int_equal(
      kad__dht_add_address(o.dht, kad__bytes(long_id, sizeof long_id),
                           one_address(1), o.now),
      KAD__ROUTING_FAILED);
  assert_int_equal(
      kad__dht_add_address(o.dht, (kad_bytes){0}, one_address(1), o.now),
      KAD__ROUTING_FAILED);
  assert_int_equal(
      kad__dht_add_address(o.dht, one_id(1), (kad_bytes){0}, o.now),
      KAD__ROUTING_FAILED);
  assert_int_equal(kad__dht_table_size(o.dht), 0);
  one_fini(&o);
}

static void test_remove(void **state) {
  (void)state;
  one o;
  one_setup(&o);
  one_start(&o);
  assert_false(kad__dht_remove_peer(o.dht, one_id(3)));
  assert_false(kad__dht_remove_address(o.dht, one_id(3), one_address(3)));
  one_add(&o, 3);
  assert_int_equal(
      kad__dht_add_address(o.dht, one_id(3), one_address(4), o.now),
      KAD__ROUTING_SUCCESS);
  assert_false(kad__dht_remove_address(o.dht, one_id(3), one_address(5)));
  assert_true(kad__dht_remove_address(o.dht, one_id(3), one_address(3)));
  assert_int_equal(kad__dht_table_size(o.dht), 1);
  /* The last one takes the peer along. */
  assert_true(kad__dht_remove_address(o.dht, one_id(3), one_address(4)));
  assert_int_equal(kad__dht_table_size(o.dht), 0);
  assert_true(one_event(&o, KAD__DHT_ROUTING_REMOVED));
  assert_bytes_equal(o.event.peer.id, one_id(3));
  one_add(&o, 3);
  assert_true(kad__dht_remove_peer(o.dht, one_id(3)));
  assert_int_equal(kad__dht_table_size(o.dht), 0);
  one_fini(&o);
}

/* The list of one peer's addresses is bounded, the newest first. */
static void test_addresses_are_bounded(void **state) {
  (void)state;
  one o;
  kad__wire_peer peer;
  uint8_t address[100] = {0};
  one_setup(&o);
  one_start(&o);
  for (unsigned i = 0; i < 100; i++) {
    kad__store32(address, i);
    (void)kad__dht_add_address(o.dht, one_id(3),
                               kad__bytes(address, sizeof address), o.now);
  }
  assert_int_equal(
      kad__dht_closest_local(o.dht, &peer, 1, one_id(3), (kad_bytes){0}, o.now),
      1);
  assert_true(peer.addresses.len <= KAD__DHT_ADDRESSES_MAX);
  assert_true(kad__addresses_count(peer.addresses) > 15);
  kad_bytes first;
  assert_true(kad__addresses_next(&peer.addresses, &first));
  assert_bytes_equal(first, kad__bytes(address, sizeof address));
  one_fini(&o);
}

/* ---- full buckets ------------------------------------------------------- */

static void test_pending(void **state) {
  (void)state;
  one o;
  one_setup(&o);
  o.config.bucket_size = 2;
  one_start(&o);
  /* Odd numbers are in bucket 0. */
  one_add(&o, 1);
  confirm(&o, 3);
  assert_int_equal(
      kad__dht_add_address(o.dht, one_id(5), one_address(5), o.now),
      KAD__ROUTING_FAILED);
  confirm(&o, 7);
  assert_true(one_event(&o, KAD__DHT_PENDING_ROUTABLE));
  assert_bytes_equal(o.event.peer.id, one_id(7));
  assert_int_equal(
      kad__dht_add_address(o.dht, one_id(7), one_address(7), o.now),
      KAD__ROUTING_PENDING);
  /* The one whose place it wants is asked whether it is alive. */
  kad__dht_call call = one_call(&o);
  assert_int_equal(one_peer_of(&call), 1);
  assert_int_equal(call.query, 0);
  assert_int_equal(call.message->type, KAD__FIND_NODE);
  assert_bytes_equal(call.message->key, one_id(1));
  confirm(&o, 9);
  assert_true(one_event(&o, KAD__DHT_ROUTABLE));
  assert_bytes_equal(o.event.peer.id, one_id(9));
  /* It says nothing for a minute. */
  one_advance(&o, 61 * KAD_SECOND);
  assert_true(one_event(&o, KAD__DHT_ROUTING_ADDED));
  assert_bytes_equal(o.event.peer.id, one_id(7));
  assert_bytes_equal(o.event.old_peer, one_id(1));
  assert_true(present(&o, 7));
  assert_false(present(&o, 1));
  one_fini(&o);
}

static void test_pending_in_vain(void **state) {
  (void)state;
  one o;
  one_setup(&o);
  o.config.bucket_size = 2;
  one_start(&o);
  one_add(&o, 1);
  confirm(&o, 3);
  confirm(&o, 7);
  kad__dht_call call = one_call(&o);
  one_empty(&o, &call);
  one_advance(&o, 61 * KAD_SECOND);
  assert_true(present(&o, 1));
  assert_false(present(&o, 7));
  one_fini(&o);
}

/* A place that becomes free goes to who waits for it at once. */
static void test_pending_takes_a_free_place(void **state) {
  (void)state;
  one o;
  one_setup(&o);
  o.config.bucket_size = 2;
  one_start(&o);
  one_add(&o, 1);
  confirm(&o, 3);
  confirm(&o, 7);
  assert_true(kad__dht_remove_peer(o.dht, one_id(3)));
  assert_true(kad__dht_deadline(o.dht) <= o.now);
  kad__dht_tick(o.dht, o.now);
  assert_true(present(&o, 7));
  assert_true(present(&o, 1));
  one_fini(&o);
}

/* ---- verification ------------------------------------------------------- */

static void test_verified_peers(void **state) {
  (void)state;
  one o;
  one_setup(&o);
  o.config.trust_peers = false;
  one_start(&o);
  confirm(&o, 3);
  assert_int_equal(kad__dht_table_size(o.dht), 0);
  kad__dht_call call = one_call(&o);
  assert_int_equal(call.message->type, KAD__FIND_NODE);
  assert_bytes_equal(call.message->key, one_id(3));
  confirm(&o, 3);
  one_no_call(&o);
  one_empty(&o, &call);
  assert_int_equal(kad__dht_table_size(o.dht), 1);
  /* Whoever does not answer stays outside. */
  confirm(&o, 5);
  call = one_call(&o);
  one_advance(&o, 11 * KAD_SECOND);
  assert_int_equal(kad__dht_table_size(o.dht), 1);
  assert_true(kad__dht_poll_cancel(o.dht) == call.id);
  one_fini(&o);
}

/* An answer to a call that is under way is proof enough. */
static void test_verified_by_a_query(void **state) {
  (void)state;
  one o;
  kad__query_id id;
  one_setup(&o);
  o.config.trust_peers = false;
  one_start(&o);
  one_add(&o, 1);
  assert_ok(kad__dht_find_closest(o.dht, &id, one_id(4), 20, o.now));
  kad__dht_call call = one_call(&o);
  one_closer(&o, &call, (unsigned[]){5}, 1);
  call = one_call(&o);
  assert_int_equal(one_peer_of(&call), 5);
  confirm(&o, 5);
  one_no_call(&o);
  assert_false(present(&o, 5));
  one_empty(&o, &call);
  assert_true(present(&o, 5));
  one_fini(&o);
}

/* With disjoint paths only the closest that a lookup has found enter; not whom
 * it came by, whether that answered or was still being asked. */
static void test_passers_by_stay_outside(void **state) {
  (void)state;
  one o;
  kad__query_id id;
  one_setup(&o);
  o.config.trust_peers = false;
  o.config.disjoint_paths = true;
  one_start(&o);
  one_add(&o, 1);
  assert_ok(kad__dht_find_closest(o.dht, &id, one_id(4), 1, o.now));
  kad__dht_call call = one_call(&o);
  one_closer(&o, &call, (unsigned[]){12, 6}, 2);
  for (int i = 0; i < 2; i++) {
    call = one_call(&o);
    confirm(&o, one_peer_of(&call));
    one_closer(&o, &call, (unsigned[]){20}, 1);
    assert_false(present(&o, 12) || present(&o, 6));
  }
  call = one_call(&o);
  assert_int_equal(one_peer_of(&call), 20);
  confirm(&o, 20);
  one_empty(&o, &call);
  assert_int_equal(one_ended(&o, id).error, 0);
  assert_true(present(&o, 20));
  assert_false(present(&o, 12) || present(&o, 6));
  /* Nor when they come to us: we have met them on somebody else's word. */
  confirm(&o, 12);
  one_no_call(&o);
  one_fini(&o);
}

/* Once we know many, who names nobody is no help. */
static void test_blank_peers(void **state) {
  (void)state;
  one o;
  one_setup(&o);
  o.config.trust_peers = false;
  one_start(&o);
  for (unsigned i = 1; i <= 20; i++) {
    one_add(&o, i);
  }
  confirm(&o, 30);
  kad__dht_call call = one_call(&o);
  one_empty(&o, &call);
  assert_int_equal(kad__dht_table_size(o.dht), 20);
  confirm(&o, 30);
  call = one_call(&o);
  one_closer(&o, &call, (unsigned[]){1}, 1);
  assert_int_equal(kad__dht_table_size(o.dht), 21);
  one_fini(&o);
}

/* Nobody is passed over for the many that came before and do not answer. */
static void test_probes_are_bounded(void **state) {
  (void)state;
  one o;
  kad__dht_call call;
  bool asked[200] = {false};
  one_setup(&o);
  o.config.trust_peers = false;
  one_start(&o);
  for (unsigned i = 1; i < 200; i++) {
    confirm(&o, i);
  }
  for (int second = 0; second < 200; second++) {
    int count = 0;
    while (kad__dht_poll_call(o.dht, &call)) {
      asked[one_peer_of(&call)] = true;
      count++;
    }
    assert_in_range(count, 0, 32);
    one_advance(&o, KAD_SECOND);
    while (kad__dht_poll_cancel(o.dht) != 0) {
    }
  }
  for (unsigned i = 1; i < 200; i++) {
    assert_true(asked[i]);
  }
  one_fini(&o);
}

/* ---- failures ----------------------------------------------------------- */

/* Fails one call to `peer`; the probes of upkeep serve. */
static void fail_probe(one *o, unsigned peer) {
  for (int i = 0; i < 100; i++) {
    kad__dht_call call;
    one_advance(o, 10 * KAD_SECOND);
    if (kad__dht_poll_call(o->dht, &call)) {
      assert_int_equal(one_peer_of(&call), peer);
      kad__dht_failed(o->dht, call.id, KAD_E_DIAL, o->now);
      one_check(o);
      return;
    }
  }
  fail_msg("peer %u is not probed", peer);
}

/* Dead peers leave in bounded time, as long as others answer (D12). */
static void test_dead_peers_leave(void **state) {
  (void)state;
  one o;
  kad__query_id id;
  one_setup(&o);
  one_start(&o);
  one_add(&o, 1);
  one_add(&o, 2);
  kad__dht_peer_unreachable(o.dht, one_id(1), o.now);
  assert_true(present(&o, 1));
  one_advance(&o, 20 * KAD_SECOND);
  assert_ok(kad__dht_find_closest(o.dht, &id, one_id(9), 1, o.now));
  kad__dht_call call = one_call(&o);
  assert_int_equal(one_peer_of(&call), 2);
  one_empty(&o, &call);
  fail_probe(&o, 1);
  assert_false(present(&o, 1));
  assert_true(one_event(&o, KAD__DHT_ROUTING_REMOVED));
  assert_bytes_equal(o.event.peer.id, one_id(1));
  one_fini(&o);
}

/* When nobody answers the fault is likely ours: they stay, but not for ever. */
static void test_offline(void **state) {
  (void)state;
  one o;
  one_setup(&o);
  one_start(&o);
  one_add(&o, 1);
  kad__dht_peer_unreachable(o.dht, one_id(1), o.now);
  for (int i = 0; i < 4; i++) {
    assert_true(present(&o, 1));
    fail_probe(&o, 1);
  }
  assert_true(present(&o, 1));
  for (int i = 0; i < 20 && present(&o, 1); i++) {
    fail_probe(&o, 1);
  }
  assert_false(present(&o, 1));
  one_fini(&o);
}

/* A sign of life wipes the slate. */
static void test_recovery(void **state) {
  (void)state;
  one o;
  one_setup(&o);
  one_start(&o);
  one_add(&o, 1);
  for (int i = 0; i < 20; i++) {
    kad__dht_peer_unreachable(o.dht, one_id(1), o.now);
    one_advance(&o, KAD_SECOND);
    confirm(&o, 1);
    assert_true(present(&o, 1));
  }
  one_fini(&o);
}

/* Several calls that fail together are one failure. */
static void test_failures_together(void **state) {
  (void)state;
  one o;
  kad__query_id id;
  kad__dht_call calls[5];
  one_setup(&o);
  one_start(&o);
  one_add(&o, 1);
  one_add(&o, 2);
  for (int i = 0; i < 5; i++) {
    assert_ok(kad__dht_put_to(
        o.dht, &id, &(kad__wire_record){.key = one_id(9), .value = one_id(9)},
        (kad_bytes[]){one_id(1)}, 1, (kad__quorum){0}, o.now));
    calls[i] = one_call(&o);
  }
  assert_ok(kad__dht_put_to(
      o.dht, &id, &(kad__wire_record){.key = one_id(9), .value = one_id(9)},
      (kad_bytes[]){one_id(2)}, 1, (kad__quorum){0}, o.now));
  kad__dht_call alive = one_call(&o);
  one_empty(&o, &alive);
  for (int i = 0; i < 5; i++) {
    kad__dht_failed(o.dht, calls[i].id, KAD_E_DIAL, o.now);
  }
  assert_true(present(&o, 1));
  one_fini(&o);
}

/* Who drops the protocol leaves at once (D13). */
static void test_unsupported(void **state) {
  (void)state;
  one o;
  kad__query_id id;
  one_setup(&o);
  one_start(&o);
  one_add(&o, 1);
  one_add(&o, 2);
  kad__dht_peer_unsupported(o.dht, one_id(1), o.now);
  assert_false(present(&o, 1));
  assert_ok(kad__dht_find_closest(o.dht, &id, one_id(9), 1, o.now));
  kad__dht_call call = one_call(&o);
  assert_int_equal(one_peer_of(&call), 2);
  kad__dht_failed(o.dht, call.id, KAD_E_NO_PROTOCOL, o.now);
  assert_false(present(&o, 2));
  /* It may think better of it. */
  confirm(&o, 1);
  assert_true(present(&o, 1));
  one_fini(&o);
}

/* Refusing a record is no failure of the peer. */
static void test_refusal_is_not_failure(void **state) {
  (void)state;
  one o;
  kad__query_id id;
  one_setup(&o);
  one_start(&o);
  one_add(&o, 1);
  for (int i = 0; i < 5; i++) {
    assert_ok(kad__dht_put(o.dht, &id, one_id(9), one_id(9), KAD_TIME_NEVER,
                           (kad__quorum){0}, o.now));
    kad__dht_call call = one_call(&o);
    one_empty(&o, &call);
    call = one_call(&o);
    assert_int_equal(call.message->type, KAD__PUT_VALUE);
    kad__dht_failed(o.dht, call.id, KAD_E_STREAM_RESET, o.now);
    assert_true(one_event(&o, KAD__DHT_QUERY_ENDED));
    assert_int_equal(o.event.error, KAD_E_QUORUM);
    one_advance(&o, KAD_MINUTE);
  }
  assert_true(present(&o, 1));
  kad__message m;
  kad__message_init(&m, KAD__FIND_NODE);
  m.key = one_id(9);
  assert_int_equal(one_ask(&o, 4, &m), 1);
  assert_true(one_told(&o, 1));
  one_fini(&o);
}

/* Silent peers are asked now and then. */
static void test_liveness(void **state) {
  (void)state;
  one o;
  kad__dht_call call;
  one_setup(&o);
  o.config.liveness_interval = 10 * KAD_MINUTE;
  one_start(&o);
  one_add(&o, 1);
  one_advance(&o, 9 * KAD_MINUTE);
  one_no_call(&o);
  for (int i = 0; i < 40 && !kad__dht_poll_call(o.dht, &call); i++) {
    one_advance(&o, 5 * KAD_SECOND);
  }
  assert_int_equal(one_peer_of(&call), 1);
  one_empty(&o, &call);
  for (int i = 0; i < 100; i++) {
    one_advance(&o, 5 * KAD_SECOND);
    one_no_call(&o);
  }
  one_fini(&o);
}

static bool is_told(one *o, unsigned peer) {
  kad__message m;
  kad__message_init(&m, KAD__FIND_NODE);
  m.key = one_id(99);
  assert_int_equal(one_ask(o, 98, &m), 1);
  return one_told(o, peer);
}

/* Peer 1 asks us every ten seconds while `duration` passes, peer 2 answers;
 * true when peer 1 was called, which it leaves unanswered. */
static bool asks_only(one *o, kad_time duration) {
  bool called = false;
  for (kad_time end = o->now + duration; o->now < end;) {
    kad__dht_call call;
    one_advance(o, 10 * KAD_SECOND);
    confirm(o, 1);
    while (kad__dht_poll_call(o->dht, &call)) {
      called = called || one_peer_of(&call) == 1;
      if (one_peer_of(&call) != 1) {
        one_empty(o, &call);
      }
    }
  }
  return called;
}

/* That somebody asks us is no proof that it answers: it is probed as if it were
 * quiet, is not told of once it has failed, leaves, and comes back only with an
 * answer. */
static void test_who_only_asks(void **state) {
  (void)state;
  one o;
  kad__dht_call call;
  one_setup(&o);
  o.config.liveness_interval = 2 * KAD_MINUTE;
  one_start(&o);
  one_add(&o, 1);
  one_add(&o, 2);
  assert_false(asks_only(&o, KAD_MINUTE));
  assert_true(is_told(&o, 1));
  assert_true(asks_only(&o, 90 * KAD_SECOND));
  assert_true(present(&o, 1));
  assert_false(is_told(&o, 1));
  assert_true(asks_only(&o, 2 * KAD_MINUTE));
  assert_false(present(&o, 1));
  assert_true(asks_only(&o, 20 * KAD_MINUTE));
  assert_false(present(&o, 1));
  for (int i = 0; i < 100 && !present(&o, 1); i++) {
    one_advance(&o, 10 * KAD_SECOND);
    confirm(&o, 1);
    while (kad__dht_poll_call(o.dht, &call)) {
      one_empty(&o, &call);
    }
  }
  assert_true(present(&o, 1));
  assert_true(is_told(&o, 1));
  one_fini(&o);
}

/* What is remembered of peers outside the table is bounded. */
static void test_memory_of_strangers_is_bounded(void **state) {
  (void)state;
  one o;
  one_setup(&o);
  o.config.max_recent = 32;
  o.config.max_events = 1;
  one_start(&o);
  for (unsigned i = 1; i < 4000; i++) {
    kad__dht_peer_unsupported(o.dht, one_id(i), o.now);
    kad__dht_peer_known(o.dht, one_id(i), one_list(i));
  }
  size_t first = o.memory.live_bytes;
  for (unsigned i = 1; i < 4000; i++) {
    kad__dht_peer_unsupported(o.dht, one_id(i), o.now);
    kad__dht_peer_known(o.dht, one_id(i), one_list(i));
  }
  assert_true(o.memory.live_bytes <= first + 1024);
  assert_true(o.memory.live_bytes < 64 * 1024);
  one_fini(&o);
}

/* At rest and with an empty table, and again after work. */
static void test_rest_is_cheap(void **state) {
  (void)state;
  one o;
  kad__query_id id;
  one_setup(&o);
  const uint64_t secret[2] = {1, 2};
  kad__memory_store_config store;
  kad__memory_store_config_default(&store);
  assert_ok(
      kad__memory_store_new(&o.store, kad_allocator_default(), &store, secret));
  o.config.store = o.store;
  assert_ok(kad__dht_new(&o.dht, &o.config, o.now));
  print_message("a DHT at rest: %zu bytes\n", o.memory.live_bytes);
  assert_true(o.memory.live_bytes < 2048);
  one_add(&o, 1);
  assert_ok(kad__dht_find_closest(o.dht, &id, one_id(9), 1, o.now));
  kad__dht_call call = one_call(&o);
  one_empty(&o, &call);
  while (kad__dht_poll_event(o.dht, &o.event)) {
  }
  one_no_call(&o);
  assert_true(kad__dht_remove_peer(o.dht, one_id(1)));
  while (kad__dht_poll_event(o.dht, &o.event)) {
  }
  print_message("and after work: %zu bytes\n", o.memory.live_bytes);
  assert_true(o.memory.live_bytes < 4096);
  kad__dht_free(o.dht);
  o.store->ops->free(o.store);
  assert_int_equal(o.memory.live, 0);
}

/* ---- rules for addresses ------------------------------------------------ */

static bool even_only(void *user, kad_bytes address) {
  (void)user;
  return address.len == 4 && kad__load32(address.data) % 2 == 0;
}

/* Networks of a hundred numbers each. */
static uint64_t hundreds(void *user, kad_bytes address) {
  (void)user;
  return address.len == 4 ? 1 + kad__load32(address.data) / 100 : 0;
}

static void test_only_accepted_addresses(void **state) {
  (void)state;
  one o;
  kad__query_id id;
  one_setup(&o);
  o.config.accept_address = even_only;
  one_start(&o);
  confirm(&o, 3);
  assert_true(one_event(&o, KAD__DHT_UNROUTABLE));
  assert_int_equal(
      kad__dht_add_address(o.dht, one_id(3), one_address(3), o.now),
      KAD__ROUTING_FAILED);
  confirm(&o, 2);
  assert_int_equal(kad__dht_table_size(o.dht), 1);
  assert_ok(kad__dht_find_closest(o.dht, &id, one_id(9), 20, o.now));
  kad__dht_call call = one_call(&o);
  /* What cannot be dialled is not heard of (K-22). */
  one_closer(&o, &call, (unsigned[]){5, 7, 8}, 3);
  call = one_call(&o);
  assert_int_equal(one_peer_of(&call), 8);
  one_no_call(&o);
  /* Nor kept of a provider. */
  kad__message m;
  kad__message_init(&m, KAD__ADD_PROVIDER);
  m.key = one_id(5);
  m.provider_count = 1;
  m.providers[0] = (kad__wire_peer){.id = one_id(7), .addresses = one_list(7)};
  assert_error(KAD_E_MESSAGE, one_ask(&o, 7, &m));
  one_fini(&o);
}

/* Of one network few enter, however many they are (G-01). */
static void test_groups(void **state) {
  (void)state;
  one o;
  one_setup(&o);
  o.config.address_group = hundreds;
  one_start(&o);
  for (unsigned i = 100; i < 200; i++) {
    confirm(&o, i);
  }
  assert_int_equal(kad__dht_table_size(o.dht), 3);
  assert_int_equal(kad__dht_counters_get(o.dht)->crowded, 97);
  for (unsigned i = 201; i < 299; i += 2) {
    confirm(&o, i);
  }
  /* These are all in one bucket. */
  assert_int_equal(kad__dht_table_size(o.dht), 5);
  /* Whom the owner names is welcome. */
  one_add(&o, 151);
  assert_int_equal(kad__dht_table_size(o.dht), 6);
  /* Who leaves makes room. */
  assert_true(kad__dht_remove_peer(o.dht, one_id(201)));
  confirm(&o, 299);
  assert_int_equal(kad__dht_table_size(o.dht), 6);
  one_fini(&o);
}

static void test_crowded_answers(void **state) {
  (void)state;
  one o;
  kad__query_id id;
  one_setup(&o);
  o.config.address_group = hundreds;
  one_start(&o);
  one_add(&o, 1);
  assert_ok(kad__dht_find_closest(o.dht, &id, one_id(9), 20, o.now));
  kad__dht_call call = one_call(&o);
  one_closer(&o, &call, (unsigned[]){101, 102, 201, 103, 104, 301}, 6);
  unsigned asked[2];
  for (int i = 0; i < 2; i++) {
    call = one_call(&o);
    asked[i] = one_peer_of(&call);
  }
  one_no_call(&o);
  assert_int_equal(asked[0] + asked[1], 502);
  one_fini(&o);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_confirmed_peers_enter),
      cmocka_unit_test(test_without_address),
      cmocka_unit_test(test_networks_without_addresses),
      cmocka_unit_test(test_manual_inserts),
      cmocka_unit_test(test_ourselves_and_nonsense),
      cmocka_unit_test(test_remove),
      cmocka_unit_test(test_addresses_are_bounded),
      cmocka_unit_test(test_pending),
      cmocka_unit_test(test_pending_in_vain),
      cmocka_unit_test(test_pending_takes_a_free_place),
      cmocka_unit_test(test_verified_peers),
      cmocka_unit_test(test_verified_by_a_query),
      cmocka_unit_test(test_passers_by_stay_outside),
      cmocka_unit_test(test_blank_peers),
      cmocka_unit_test(test_probes_are_bounded),
      cmocka_unit_test(test_dead_peers_leave),
      cmocka_unit_test(test_offline),
      cmocka_unit_test(test_recovery),
      cmocka_unit_test(test_failures_together),
      cmocka_unit_test(test_unsupported),
      cmocka_unit_test(test_refusal_is_not_failure),
      cmocka_unit_test(test_liveness),
      cmocka_unit_test(test_who_only_asks),
      cmocka_unit_test(test_memory_of_strangers_is_bounded),
      cmocka_unit_test(test_rest_is_cheap),
      cmocka_unit_test(test_only_accepted_addresses),
      cmocka_unit_test(test_groups),
      cmocka_unit_test(test_crowded_answers),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
