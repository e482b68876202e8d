/* What the owner sees of requests, of the node's own work, and of what others
 * ask. */
#include "kademlia/inspect.h"
#include "network.h"
#include "node/node_internal.h"
#include "node/routing.h"

#define LIMIT (2 * KAD_MINUTE)
#define EVENTS_MAX 64

/* All events of a request, with their bytes gone. */
typedef struct story {
  kad_event events[EVENTS_MAX];
  size_t count;
} story;

static bool tell(network *n, uint32_t node, kad_request_id id, story *out) {
  uint32_t from = 0;
  kad_event event;
  while (kad__simulator_poll(n->sim, &from, &event)) {
    if (from != node || event.request != id) {
      continue;
    }
    assert_true(out->count < EVENTS_MAX);
    out->events[out->count++] = event;
    if (event.last) {
      return true;
    }
  }
  return false;
}

/* Runs a request to its end; its END is the last event. */
static story run(network *n, uint32_t node, const kad_request *request) {
  kad_request_id id = network_start(n, node, request);
  kad_time until = kad__simulator_now(n->sim) + LIMIT;
  story s = {.count = 0};
  while (!tell(n, node, id, &s)) {
    assert_true(kad__simulator_step(n->sim, until));
  }
  return s;
}

static const kad_event *end_of(const story *s) {
  return &s->events[s->count - 1];
}

static size_t count_type(const story *s, kad_event_type type) {
  size_t count = 0;
  for (size_t i = 0; i < s->count; i++) {
    count += s->events[i].type == type;
  }
  return count;
}

static bool tells_of(const story *s, kad_event_type type,
                     const kad_peer_id *peer) {
  for (size_t i = 0; i < s->count; i++) {
    if (s->events[i].type == type &&
        kad_peer_id_equal(&s->events[i].peer, peer)) {
      return true;
    }
  }
  return false;
}

static kad_request request_of(kad_operation operation, const char *key) {
  kad_request request = KAD_REQUEST_INIT(operation);
  request.key = kad__bytes_of(key);
  request.value = kad__bytes_of("value");
  return request;
}

static void open_network(network *n, uint64_t seed, size_t count) {
  network_open(n, seed);
  network_grow(n, count);
}

/* ---- where a request ended ----------------------------------------------- */

/* Nobody has the record: all that were asked lack it. Nothing is said of them
 * to who did not ask. */
static void test_peers_without_a_record(void **state) {
  (void)state;
  network n;
  open_network(&n, 1, 5);
  kad_request get = request_of(KAD_GET, "missing");
  story s = run(&n, 4, &get);
  assert_int_equal(s.count, 1);
  get.report_peers = true;
  s = run(&n, 4, &get);
  assert_error(KAD_E_NOT_FOUND, end_of(&s)->error);
  assert_int_equal(count_type(&s, KAD_EVENT_PEER), 4);
  assert_int_equal(s.count, 5);
  assert_int_equal(end_of(&s)->count, 0); /* they are no results */
  assert_int_equal(end_of(&s)->step, 5);
  kad_bytes key = get.key;
  kad_table_entry near[4];
  assert_int_equal(
      kad__node_closest_local(kad__simulator_node(n.sim, 4), near, 4, key, NULL,
                              kad__simulator_now(n.sim)),
      4);
  for (size_t i = 0; i < 4; i++) {
    assert_true(kad_peer_id_equal(&s.events[i].peer, &near[i].peer));
  }
  network_close(&n);
}

/* One peer has it: the others are where it may be cached. */
static void test_peers_that_lack_the_record(void **state) {
  (void)state;
  network n;
  network_open(&n, 2);
  n.config.dht.no_caching = true;
  network_grow(&n, 5);
  kad_request put = request_of(KAD_PUT_TO, "key");
  put.peer = *kad__simulator_id(n.sim, 1);
  story s = run(&n, 0, &put);
  assert_ok(end_of(&s)->error);
  kad_request get = request_of(KAD_GET, "key");
  get.quorum.kind = KAD_QUORUM_ALL;
  get.report_peers = true;
  s = run(&n, 4, &get);
  assert_ok(end_of(&s)->error);
  assert_int_equal(end_of(&s)->count, 1);
  assert_int_equal(count_type(&s, KAD_EVENT_VALUE), 1);
  assert_int_equal(count_type(&s, KAD_EVENT_PEER), 3);
  assert_true(tells_of(&s, KAD_EVENT_VALUE, &put.peer));
  assert_false(tells_of(&s, KAD_EVENT_PEER, &put.peer));
  network_close(&n);
}

/* A quorum that cannot be reached: who has the record all the same. */
static void test_peers_that_took_a_record(void **state) {
  (void)state;
  network n;
  open_network(&n, 3, 4);
  kad_peer_id peers[2] = {*kad__simulator_id(n.sim, 1),
                          *kad__simulator_id(n.sim, 2)};
  kad_request put = request_of(KAD_PUT_TO, "key");
  put.peers = peers;
  put.peer_count = 2;
  put.quorum.kind = KAD_QUORUM_ALL;
  put.report_peers = true;
  kad__simulator_crash(n.sim, 2);
  story s = run(&n, 0, &put);
  assert_error(KAD_E_QUORUM, end_of(&s)->error);
  assert_int_equal(end_of(&s)->statistics.stored, 1);
  assert_int_equal(s.count, 2);
  assert_true(tells_of(&s, KAD_EVENT_PEER, &peers[0]));
  kad_request provide = request_of(KAD_PROVIDE, "key");
  provide.report_peers = true;
  s = run(&n, 0, &provide);
  assert_ok(end_of(&s)->error);
  assert_int_equal(count_type(&s, KAD_EVENT_PEER),
                   end_of(&s)->statistics.stored);
  network_close(&n);
}

static void test_peers_around_providers(void **state) {
  (void)state;
  network n;
  open_network(&n, 4, 5);
  kad_request find = request_of(KAD_FIND_PROVIDERS, "provided");
  find.report_peers = true;
  story s = run(&n, 3, &find);
  assert_error(KAD_E_NOT_FOUND, end_of(&s)->error);
  assert_int_equal(count_type(&s, KAD_EVENT_PEER), 4);
  kad_request provide = request_of(KAD_PROVIDE, "provided");
  (void)run(&n, 1, &provide);
  s = run(&n, 3, &find);
  assert_ok(end_of(&s)->error);
  assert_int_equal(end_of(&s)->count, 1);
  assert_int_equal(count_type(&s, KAD_EVENT_PROVIDER), 1);
  assert_int_equal(count_type(&s, KAD_EVENT_PEER), 4);
  network_close(&n);
}

/* ---- requests that run --------------------------------------------------- */

static void step(network *n, kad_time time) {
  assert_true(kad__simulator_step(n->sim, kad__simulator_now(n->sim) + time));
}

/* Steps until the request is in its second phase. */
static kad_request_info await_storing(network *n, uint32_t node,
                                      kad_request_id id) {
  kad_request_info info;
  kad__node *at = kad__simulator_node(n->sim, node);
  do {
    step(n, LIMIT);
    assert_true(kad__node_request(at, id, &info, kad__simulator_now(n->sim)));
  } while (!info.storing);
  return info;
}

static void test_phases_of_a_put(void **state) {
  (void)state;
  network n;
  open_network(&n, 5, 6);
  kad_request put = request_of(KAD_PUT, "key");
  put.quorum.kind = KAD_QUORUM_ALL;
  kad_request_id id = network_start(&n, 2, &put);
  kad__node *node = kad__simulator_node(n.sim, 2);
  kad_request_info info;
  assert_true(kad__node_request(node, id, &info, kad__simulator_now(n.sim)));
  assert_int_equal(info.operation, KAD_PUT);
  assert_false(info.waiting || info.storing);
  assert_bytes_equal(info.key, put.key);
  assert_true(info.statistics.requests > 0);
  assert_int_equal(info.statistics.stored, 0);
  info = await_storing(&n, 2, id);
  assert_true(info.statistics.successes > 0);
  while (info.statistics.stored == 0) {
    step(&n, LIMIT);
    assert_true(kad__node_request(node, id, &info, kad__simulator_now(n.sim)));
  }
  assert_true(info.statistics.elapsed > 0);
  kad__simulator_result result = network_finish(&n, 2, id, LIMIT);
  assert_ok(result.end.error);
  assert_int_equal(result.end.statistics.stored, 5);
  network_close(&n);
}

/* All of them, in order, whatever ends meanwhile. */
static void test_iteration(void **state) {
  (void)state;
  network n;
  open_network(&n, 6, 3);
  kad__node *node = kad__simulator_node(n.sim, 2);
  kad_request closest = request_of(KAD_CLOSEST, "a");
  kad_request_id ids[3];
  for (size_t i = 0; i < 3; i++) {
    ids[i] = network_start(&n, 2, &closest);
  }
  uint64_t cursor = 0;
  kad_request_info info;
  kad_time now = kad__simulator_now(n.sim);
  for (size_t i = 0; i < 3; i++) {
    assert_true(kad__node_next_request(node, &cursor, &info, now));
    assert_true(info.id == ids[i]);
    assert_true(kad__node_cancel(node, ids[i], now));
  }
  assert_false(kad__node_next_request(node, &cursor, &info, now));
  network_close(&n);
}

/* A put that is finished before its quorum has the record has failed. */
static void test_finish(void **state) {
  (void)state;
  network n;
  open_network(&n, 7, 6);
  kad__node *node = kad__simulator_node(n.sim, 2);
  kad_request put = request_of(KAD_PUT, "key");
  put.quorum.kind = KAD_QUORUM_ALL;
  kad_request_id id = network_start(&n, 2, &put);
  assert_true(kad__node_finish(node, id, kad__simulator_now(n.sim)));
  assert_error(KAD_E_QUORUM, network_finish(&n, 2, id, LIMIT).end.error);
  id = network_start(&n, 2, &put);
  kad_request_info info = await_storing(&n, 2, id);
  while (info.statistics.stored == 0) {
    step(&n, LIMIT);
    assert_true(kad__node_request(node, id, &info, kad__simulator_now(n.sim)));
  }
  assert_true(kad__node_finish(node, id, kad__simulator_now(n.sim)));
  kad__simulator_result result = network_finish(&n, 2, id, LIMIT);
  assert_error(KAD_E_QUORUM, result.end.error);
  assert_int_equal(result.end.statistics.stored, info.statistics.stored);
  kad_request bootstrap = KAD_REQUEST_INIT(KAD_BOOTSTRAP);
  id = network_start(&n, 2, &bootstrap);
  assert_true(kad__node_finish(node, id, kad__simulator_now(n.sim)));
  assert_ok(network_finish(&n, 2, id, LIMIT).end.error);
  kad_request get = request_of(KAD_GET, "missing");
  id = network_start(&n, 2, &get);
  assert_true(kad__node_finish(node, id, kad__simulator_now(n.sim)));
  assert_error(KAD_E_NOT_FOUND, network_finish(&n, 2, id, LIMIT).end.error);
  assert_false(kad__node_finish(node, id, kad__simulator_now(n.sim)));
  network_close(&n);
}

static kad_lookup_ending ending_of(network *n, const kad_request *request) {
  story s = run(n, 3, request);
  return end_of(&s)->ending;
}

static void test_why_lookups_end(void **state) {
  (void)state;
  network n;
  open_network(&n, 14, 12);
  kad_request closest = request_of(KAD_CLOSEST, "a");
  assert_int_equal(ending_of(&n, &closest), KAD_LOOKUP_STARVED);
  closest.count = 3;
  assert_int_equal(ending_of(&n, &closest), KAD_LOOKUP_CONVERGED);
  kad_request put = request_of(KAD_PUT, "key");
  assert_int_equal(ending_of(&n, &put), KAD_LOOKUP_STARVED);
  kad_request get = request_of(KAD_GET, "key");
  assert_int_equal(ending_of(&n, &get), KAD_LOOKUP_SATISFIED);
  kad_request ping = KAD_REQUEST_INIT(KAD_PING);
  ping.peer = *kad__simulator_id(n.sim, 1);
  assert_int_equal(ending_of(&n, &ping), KAD_LOOKUP_NONE);
  put.operation = KAD_PUT_TO;
  put.peer = ping.peer;
  assert_int_equal(ending_of(&n, &put), KAD_LOOKUP_NONE);
  closest.timeout = 1;
  assert_int_equal(ending_of(&n, &closest), KAD_LOOKUP_TIMED_OUT);
  closest.timeout = 0;
  for (size_t i = 0; i < 2; i++) {
    kad_request_id id = network_start(&n, 3, &closest);
    kad__node *node = kad__simulator_node(n.sim, 3);
    kad_time now = kad__simulator_now(n.sim);
    assert_true(i == 0 ? kad__node_finish(node, id, now)
                       : kad__node_cancel(node, id, now));
    assert_int_equal(network_finish(&n, 3, id, LIMIT).end.ending,
                     KAD_LOOKUP_FINISHED);
  }
  network_close(&n);
}

/* Each step says what was looked up, and how many are left at most. */
static void test_steps_of_a_bootstrap(void **state) {
  (void)state;
  network n;
  open_network(&n, 8, 12);
  kad_request bootstrap = KAD_REQUEST_INIT(KAD_BOOTSTRAP);
  kad_request_id id = network_start(&n, 3, &bootstrap);
  kad_time until = kad__simulator_now(n.sim) + LIMIT;
  uint32_t left = UINT32_MAX;
  size_t steps = 0;
  kad_event event = {.type = KAD_EVENT_END};
  uint32_t from = 0;
  bool over = false;
  while (!over && kad__simulator_step(n.sim, until)) {
    while (!over && kad__simulator_poll(n.sim, &from, &event)) {
      over = from == 3 && event.request == id && event.last;
      if (from != 3 || event.request != id || over) {
        continue;
      }
      assert_int_equal(event.type, KAD_EVENT_PROGRESS);
      assert_ok(event.error);
      assert_true(event.count < left);
      assert_true(event.key.len > 0);
      left = event.count;
      if (steps++ == 0) {
        assert_bytes_equal(event.key,
                           kad_peer_id_bytes(kad__simulator_id(n.sim, 3)));
      }
    }
  }
  assert_true(over);
  assert_ok(event.error);
  assert_true(steps > 1);
  assert_int_equal(event.step, steps + 1);
  network_close(&n);
}

/* ---- what the node does by itself ---------------------------------------- */

/* Steps until the node does something of that kind; returns its cursor. */
static uint64_t await_upkeep(network *n, uint32_t number,
                             kad_operation operation, kad_request_info *out) {
  kad_time until = kad__simulator_now(n->sim) + 3 * KAD_HOUR;
  kad__node *node = kad__simulator_node(n->sim, number);
  while (kad__simulator_step(n->sim, until)) {
    uint64_t cursor = 0;
    while (
        kad__node_next_upkeep(node, &cursor, out, kad__simulator_now(n->sim))) {
      if (out->operation == operation) {
        return cursor;
      }
    }
  }
  fail_msg("no upkeep %d", (int)operation);
  return 0;
}

static void test_upkeep_is_seen_and_finished(void **state) {
  (void)state;
  network n;
  network_open(&n, 9);
  n.config.dht.publication_interval = KAD_HOUR;
  n.config.dht.provider_publication_interval = KAD_HOUR;
  n.config.dht.replication_interval = KAD_TIME_NEVER;
  network_grow(&n, 4);
  kad__node *node = kad__simulator_node(n.sim, 1);
  kad_request put = request_of(KAD_PUT, "key");
  kad_request_id id = network_start(&n, 1, &put);
  kad_request_info info;
  uint64_t cursor = 0;
  /* A request is none of it. */
  assert_false(
      kad__node_next_upkeep(node, &cursor, &info, kad__simulator_now(n.sim)));
  (void)network_finish(&n, 1, id, LIMIT);
  kad_request provide = request_of(KAD_PROVIDE, "provided");
  (void)run(&n, 1, &provide);
  cursor = await_upkeep(&n, 1, KAD_PROVIDE, &info);
  assert_bytes_equal(info.key, provide.key);
  assert_true(info.id == 0);
  cursor = await_upkeep(&n, 1, KAD_BOOTSTRAP, &info);
  cursor = await_upkeep(&n, 1, KAD_PUT, &info);
  assert_bytes_equal(info.key, put.key);
  network_pass(&n, 0); /* drops what was told before */
  assert_true(kad__node_finish_upkeep(node, cursor, kad__simulator_now(n.sim)));
  assert_false(
      kad__node_finish_upkeep(node, cursor, kad__simulator_now(n.sim)));
  kad_event event = network_await(&n, 1, KAD_EVENT_UPKEEP, LIMIT);
  while (event.operation != KAD_PUT) {
    event = network_await(&n, 1, KAD_EVENT_UPKEEP, LIMIT);
  }
  assert_error(KAD_E_CANCELLED, event.error);
  /* What the owner asked for is not ended by this. */
  id = network_start(&n, 1, &put);
  for (uint64_t query = 0; query < 1000; query++) {
    kad__query_view view;
    if (kad__dht_query(kad__node_dht(node), query, &view)) {
      assert_int_equal(
          kad__node_finish_upkeep(node, query, kad__simulator_now(n.sim)),
          view.kind != KAD__QUERY_PUT);
    }
  }
  assert_ok(network_finish(&n, 1, id, LIMIT).end.error);
  network_close(&n);
}

/* ---- what others ask ----------------------------------------------------- */

static kad_event await_rpc(network *n, uint32_t node, uint32_t rpc) {
  kad_event event;
  do {
    event = network_await(n, node, KAD_EVENT_INBOUND, LIMIT);
  } while (event.rpc != rpc || event.key.len > 16); /* an id: of a bootstrap */
  return event;
}

static void test_each_inbound_request(void **state) {
  (void)state;
  network n;
  network_open(&n, 10);
  n.config.report_inbound = true;
  network_grow(&n, 4);
  const kad_peer_id *asker = kad__simulator_id(n.sim, 3);
  kad_request request = request_of(KAD_GET, "key");
  (void)network_start(&n, 3, &request);
  kad_event event = await_rpc(&n, 0, KAD__GET_VALUE);
  assert_true(kad_peer_id_equal(&event.peer, asker));
  assert_bytes_equal(event.key, request.key);
  assert_int_equal(event.count, 2);
  assert_int_equal(event.found, 0);
  request.operation = KAD_PUT;
  (void)network_start(&n, 3, &request);
  event = await_rpc(&n, 0, KAD__FIND_NODE);
  assert_int_equal(event.count, 2);
  event = await_rpc(&n, 0, KAD__PUT_VALUE);
  assert_bytes_equal(event.key, request.key);
  assert_int_equal(event.value.len, 0); /* it is stored; nobody filters */
  request.operation = KAD_GET;
  request.quorum.kind = KAD_QUORUM_ALL; /* it has the record itself */
  (void)network_start(&n, 2, &request);
  event = await_rpc(&n, 0, KAD__GET_VALUE);
  assert_int_equal(event.found, 1);
  request.operation = KAD_PROVIDE;
  (void)network_start(&n, 3, &request);
  event = await_rpc(&n, 0, KAD__ADD_PROVIDER);
  assert_true(kad_peer_id_equal(&event.peer, asker));
  assert_int_equal(event.addresses.len, 0);
  request.operation = KAD_FIND_PROVIDERS;
  (void)network_start(&n, 2, &request);
  event = await_rpc(&n, 0, KAD__GET_PROVIDERS);
  assert_int_equal(event.found, 1);
  assert_int_equal(event.count, 2);
  network_close(&n);
}

/* With filtering the whole record comes along. */
static void test_inbound_record(void **state) {
  (void)state;
  network n;
  network_open(&n, 11);
  n.config.filter_records = true;
  network_grow(&n, 2);
  kad_request put = request_of(KAD_PUT, "key");
  put.lifetime = KAD_HOUR;
  (void)network_start(&n, 1, &put);
  kad_event event = await_rpc(&n, 0, KAD__PUT_VALUE);
  const kad_peer_id *publisher = kad__simulator_id(n.sim, 1);
  assert_bytes_equal(event.value, put.value);
  assert_true(kad_peer_id_equal(&event.peer, publisher));
  assert_true(kad_peer_id_equal(&event.publisher, publisher));
  assert_true(event.ttl > 3500 && event.ttl <= 3600);
  kad_request provide = request_of(KAD_PROVIDE, "key");
  (void)network_start(&n, 1, &provide);
  event = await_rpc(&n, 0, KAD__ADD_PROVIDER);
  assert_true(kad_peer_id_equal(&event.peer, publisher));
  assert_true(event.addresses.len > 0);
  network_close(&n);
}

/* ---- the table ----------------------------------------------------------- */

static void test_local_peers(void **state) {
  (void)state;
  network n;
  open_network(&n, 12, 30);
  network_pass(&n, KAD_MINUTE);
  kad__node *node = kad__simulator_node(n.sim, 0);
  kad_time now = kad__simulator_now(n.sim);
  kad_table_entry all[64];
  kad_bytes key = kad__bytes_of("anywhere");
  kad_node_status status;
  kad__node_status(node, &status);
  size_t count = kad__node_closest_local(node, all, 64, key, NULL, now);
  assert_int_equal(count, status.table_size);
  assert_true(count > KAD__K);
  kad_table_entry few[3];
  assert_int_equal(
      kad__node_closest_local(node, few, 3, key, &all[1].peer, now), 3);
  assert_true(kad_peer_id_equal(&few[0].peer, &all[0].peer));
  assert_true(kad_peer_id_equal(&few[1].peer, &all[2].peer));
  for (size_t i = 0; i < count; i++) {
    uint32_t cursor = 0;
    kad_table_entry entry;
    bool found = false;
    while (!found &&
           kad__node_next_entry(node, all[i].bucket, &cursor, &entry)) {
      found = kad_peer_id_equal(&entry.peer, &all[i].peer);
    }
    assert_true(found);
    assert_int_equal(entry.connected, all[i].connected);
    assert_bytes_equal(entry.addresses, all[i].addresses);
  }
  network_close(&n);
}

/* "All" and "majority" are of those that should have the record. */
static void test_quorum_follows_the_replication(void **state) {
  (void)state;
  network n;
  network_open(&n, 13);
  n.config.dht.replication = 4;
  n.config.dht.no_caching = true;
  network_grow(&n, 10);
  kad_request put = request_of(KAD_PUT, "key");
  put.quorum.kind = KAD_QUORUM_ALL;
  story s = run(&n, 1, &put);
  assert_int_equal(end_of(&s)->statistics.stored, 4);
  kad_request get = request_of(KAD_GET, "key");
  get.collect = true;
  get.quorum.kind = KAD_QUORUM_MAJORITY;
  for (uint32_t i = 2; i < 10; i++) {
    s = run(&n, i, &get);
    assert_ok(end_of(&s)->error);
    assert_int_equal(end_of(&s)->count, 3);
  }
  network_close(&n);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_peers_without_a_record),
      cmocka_unit_test(test_peers_that_lack_the_record),
      cmocka_unit_test(test_peers_that_took_a_record),
      cmocka_unit_test(test_peers_around_providers),
      cmocka_unit_test(test_phases_of_a_put),
      cmocka_unit_test(test_iteration),
      cmocka_unit_test(test_finish),
      cmocka_unit_test(test_why_lookups_end),
      cmocka_unit_test(test_steps_of_a_bootstrap),
      cmocka_unit_test(test_upkeep_is_seen_and_finished),
      cmocka_unit_test(test_each_inbound_request),
      cmocka_unit_test(test_inbound_record),
      cmocka_unit_test(test_local_peers),
      cmocka_unit_test(test_quorum_follows_the_replication),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
