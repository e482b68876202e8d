/* Requests from their start to their one END. */
#include "kadmium/multiaddr.h"
#include "network.h"
#include "node/node_internal.h"
#include "node/requests_internal.h"

#define LIMIT (2 * KAD_MINUTE)

static kad_request get_request(const char *key) {
  kad_request get = KAD_REQUEST_INIT(KAD_GET);
  get.key = kad__bytes_of(key);
  return get;
}

static kad_request put_request(const char *key) {
  kad_request put = KAD_REQUEST_INIT(KAD_PUT);
  put.key = kad__bytes_of(key);
  put.value = kad__bytes_of("value");
  return put;
}

/* The address of a simulated node, with its id. */
static kad_bytes address_of(network *n, uint32_t node) {
  kad_bytes list = kad__node_addresses(kad__simulator_node(n->sim, node));
  kad_bytes address = {NULL, 0};
  assert_true(kad_addresses_next(&list, &address));
  return address;
}

/* Exactly one END, and none in the ten minutes after it. */
static kad_event the_end(network *n, uint32_t node, kad_request_id id) {
  kad_event end = {0};
  kad_time until = kad__simulator_now(n->sim) + 10 * KAD_MINUTE;
  assert_int_equal(network_count_ends(n, node, id, until, &end), 1);
  kad_node_status status;
  kad__node_status(kad__simulator_node(n->sim, node), &status);
  assert_int_equal(status.requests, 0);
  return end;
}

/* ---- parameters ---------------------------------------------------------- */

static void test_parameters(void **state) {
  (void)state;
  network n;
  network_open(&n, 1);
  network_add(&n, NOBODY);
  kad_request_id id = 0;
  for (int op = KAD_FIND_PEER; op <= KAD_PING + 1; op++) {
    kad_request empty = KAD_REQUEST_INIT((kad_operation)op);
    if (op == KAD_BOOTSTRAP) {
      continue; /* needs nothing */
    }
    assert_error(KAD_E_INVALID_ARGUMENT,
                 kad__simulator_start(n.sim, 0, &id, &empty));
  }
  static const uint8_t long_key[UINT16_MAX + 1];
  kad_request get = KAD_REQUEST_INIT(KAD_GET);
  get.key = kad__bytes(long_key, sizeof(long_key));
  assert_error(KAD_E_INVALID_ARGUMENT,
               kad__simulator_start(n.sim, 0, &id, &get));
  kad_request connect = KAD_REQUEST_INIT(KAD_CONNECT);
  connect.address = kad__bytes("\x04\x7f", 2); /* half an /ip4 */
  assert_error(KAD_E_INVALID_ARGUMENT,
               kad__simulator_start(n.sim, 0, &id, &connect));
  kad_request unknown = KAD_REQUEST_INIT((kad_operation)99);
  unknown.key = kad__bytes_of("key");
  assert_error(KAD_E_INVALID_ARGUMENT,
               kad__simulator_start(n.sim, 0, &id, &unknown));
  assert_true(id == 0);
  kad_node_status status;
  kad__node_status(kad__simulator_node(n.sim, 0), &status);
  assert_int_equal(status.requests, 0);
  network_close(&n);
}

/* ---- joining ------------------------------------------------------------- */

static void test_waits_for_joining(void **state) {
  (void)state;
  network n;
  network_open(&n, 2);
  network_grow(&n, 3);
  kad_request put = put_request("key");
  kad__simulator_result result =
      network_finish(&n, 1, network_start(&n, 1, &put), LIMIT);
  assert_ok(result.end.error);
  uint32_t late = network_add(&n, 0);
  kad_request get = get_request("key");
  kad_request_id id = network_start(&n, late, &get);
  result = network_finish(&n, late, id, LIMIT);
  assert_ok(result.end.error);
  assert_bytes_equal(result.last.value, put.value);
  /* It had to dial, to secure and to identify first. */
  assert_true(result.end.statistics.elapsed > 50 * KAD_MILLISECOND);
  network_close(&n);
}

static void test_refused_when_nobody_is_there(void **state) {
  (void)state;
  network n;
  network_open(&n, 3);
  network_add(&n, NOBODY);
  kad__simulator_crash(n.sim, 0);
  uint32_t node = network_add(&n, 0);
  kad_request get = get_request("key");
  kad_request_id first = network_start(&n, node, &get);
  kad_request_id second = network_start(&n, node, &get);
  assert_true(first != second);
  kad_event end = {0};
  kad_time until = kad__simulator_now(n.sim) + KAD_MINUTE;
  assert_int_equal(network_count_ends(&n, node, first, until, &end), 1);
  assert_int_equal(end.error, KAD_E_NO_PEERS);
  assert_true(end.statistics.elapsed <= 6 * KAD_SECOND);
  network_close(&n);
}

/* The life of the first node of a network, to which nobody has come yet. */
static void test_alone(void **state) {
  (void)state;
  network n;
  network_open(&n, 4);
  network_grow(&n, 1);
  kad_request get = get_request("key");
  kad_request_id id = 0;
  int error = kad__simulator_start(n.sim, 0, &id, &get);
  if (error == 0) {
    error = the_end(&n, 0, id).error;
  }
  assert_error(KAD_E_NO_PEERS, error);
  network_close(&n);
}

/* ---- cancelling and time-outs -------------------------------------------- */

typedef struct pending_case {
  const char *name;
  kad_operation operation;
  bool joined;
} pending_case;

static const pending_case pending_cases[] = {
    {"waiting for the node to join", KAD_GET, false},
    {"asking", KAD_GET, true},
    {"storing", KAD_PUT, true},
    {"announcing", KAD_PROVIDE, true},
    {"looking for providers", KAD_FIND_PROVIDERS, true},
    {"looking for a peer", KAD_FIND_PEER, true},
    {"refreshing", KAD_BOOTSTRAP, true},
    {"connecting", KAD_CONNECT, true},
    {"pinging", KAD_PING, true},
};

/* A request whose peers are all silent: they crashed without a word. */
static kad_request_id start_pending(network *n, const pending_case *c,
                                    uint32_t *node, kad_time timeout) {
  static const uint8_t key[] = {0x12, 4, 1, 2, 3, 4};
  network_open(n, 5);
  network_grow(n, 4);
  *node = 3;
  uint8_t address[KAD_MULTIADDR_MAX];
  kad_request r = KAD_REQUEST_INIT(c->operation);
  r.key = kad__bytes(key, sizeof(key));
  r.value = kad__bytes_of("value");
  r.peer = *kad__simulator_id(n->sim, 0);
  r.peer.bytes[r.peer.len - 1] ^= 1; /* nobody has heard of it */
  r.timeout = timeout;
  kad_bytes to = address_of(n, 0);
  memcpy(address, to.data, to.len);
  if (c->operation == KAD_CONNECT || c->operation == KAD_PING) {
    r.address = kad__bytes(address, to.len);
  }
  for (uint32_t i = 0; i < 3; i++) {
    kad__simulator_crash(n->sim, i);
  }
  if (!c->joined) {
    *node = network_add(n, 0);
  }
  return network_start(n, *node, &r);
}

static void test_cancel(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof(pending_cases) / sizeof(pending_case); i++) {
    for (int later = 0; later < 2; later++) {
      network n;
      uint32_t node;
      kad_request_id id = start_pending(&n, &pending_cases[i], &node, 0);
      if (later) {
        network_pass(&n, KAD_MILLISECOND);
      }
      kad__node *under_test = kad__simulator_node(n.sim, node);
      kad_time now = kad__simulator_now(n.sim);
      if (!kad__node_cancel(under_test, id, now)) {
        fail_msg("%s: had ended", pending_cases[i].name);
      }
      kad_event end = the_end(&n, node, id);
      if (end.error != KAD_E_CANCELLED) {
        fail_msg("%s: %s", pending_cases[i].name, kad_error_name(end.error));
      }
      assert_false(kad__node_cancel(under_test, id, now));
      assert_false(kad__node_cancel(under_test, 12345, now));
      network_close(&n);
    }
  }
}

static void test_timeout(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof(pending_cases) / sizeof(pending_case); i++) {
    network n;
    uint32_t node;
    kad_request_id id =
        start_pending(&n, &pending_cases[i], &node, 700 * KAD_MILLISECOND);
    kad_event end = the_end(&n, node, id);
    if (end.error != KAD_E_TIMEOUT) {
      fail_msg("%s: %s", pending_cases[i].name, kad_error_name(end.error));
    }
    assert_in_range(end.statistics.elapsed, 700 * KAD_MILLISECOND,
                    710 * KAD_MILLISECOND);
    network_close(&n);
  }
}

/* Without a time-out of its own a request has the node's. */
static void test_every_request_ends(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof(pending_cases) / sizeof(pending_case); i++) {
    network n;
    uint32_t node;
    kad_request_id id = start_pending(&n, &pending_cases[i], &node, 0);
    kad_event end = the_end(&n, node, id);
    assert_true(end.statistics.elapsed <= KAD__NODE_REQUEST_TIMEOUT);
    network_close(&n);
  }
}

/* ---- operations ---------------------------------------------------------- */

static void test_ping(void **state) {
  (void)state;
  network n;
  network_open(&n, 6);
  network_grow(&n, 2);
  kad_request ping = KAD_REQUEST_INIT(KAD_PING);
  uint8_t address[KAD_MULTIADDR_MAX];
  kad_bytes to = address_of(&n, 1);
  memcpy(address, to.data, to.len);
  ping.address = kad__bytes(address, to.len);
  ping.count = 3;
  kad__simulator_result result =
      network_finish(&n, 0, network_start(&n, 0, &ping), LIMIT);
  assert_ok(result.end.error);
  assert_int_equal(result.results, 3);
  assert_int_equal(result.last.type, KAD_EVENT_PONG);
  assert_true(
      kad_peer_id_equal(&result.last.peer, kad__simulator_id(n.sim, 1)));
  assert_in_range(result.last.round_trip, 20 * KAD_MILLISECOND,
                  200 * KAD_MILLISECOND);
  assert_int_equal(result.end.statistics.requests, 3);
  assert_int_equal(result.end.statistics.successes, 3);
  network_close(&n);
}

/* By the id alone, over the connection that is there. */
static void test_connect_to_a_peer(void **state) {
  (void)state;
  network n;
  network_open(&n, 7);
  network_grow(&n, 2);
  static const kad_operation operations[] = {KAD_CONNECT, KAD_PING};
  for (int i = 0; i < 2; i++) {
    kad_request r = KAD_REQUEST_INIT(operations[i]);
    r.peer = *kad__simulator_id(n.sim, 0);
    kad__simulator_result result =
        network_finish(&n, 1, network_start(&n, 1, &r), LIMIT);
    assert_ok(result.end.error);
    assert_int_equal(result.results, 1);
    assert_true(kad_peer_id_equal(&result.last.peer, &r.peer));
  }
  network_close(&n);
}

static void test_connect_to_another(void **state) {
  (void)state;
  network n;
  network_open(&n, 8);
  network_grow(&n, 3);
  /* An id that is not that of whoever answers there. */
  kad_request r = KAD_REQUEST_INIT(KAD_CONNECT);
  uint8_t address[KAD_MULTIADDR_MAX];
  kad_bytes zero = address_of(&n, 0);
  memcpy(address, zero.data, zero.len);
  address[zero.len - 1] ^= 1;
  r.address = kad__bytes(address, zero.len);
  kad__simulator_result result =
      network_finish(&n, 1, network_start(&n, 1, &r), LIMIT);
  assert_error(KAD_E_PEER_MISMATCH, result.end.error);
  /* What became of the address. */
  assert_int_equal(result.results, 1);
  /* And to oneself. */
  kad_bytes own = address_of(&n, 1);
  memcpy(address, own.data, own.len);
  r.address = kad__bytes(address, own.len);
  kad_request_id id = 0;
  int error = kad__simulator_start(n.sim, 1, &id, &r);
  assert_error(KAD_E_SELF,
               error < 0 ? error : network_finish(&n, 1, id, LIMIT).end.error);
  network_close(&n);
}

/* Nobody is at 20 addresses: 16 are told. */
static void test_failures_are_told(void **state) {
  (void)state;
  network n;
  network_open(&n, 8);
  network_grow(&n, 2);
  kad_request r = KAD_REQUEST_INIT(KAD_CONNECT);
  r.peer = *kad__node_id(kad__simulator_node(n.sim, 0));
  r.peer.bytes[r.peer.len - 1] ^= 1;
  kad__peerstore *peers =
      kad__swarm_peerstore(kad__simulator_node(n.sim, 1)->swarm);
  kad_time now = kad__simulator_now(n.sim);
  for (int i = 1; i <= 20; i++) {
    uint8_t address[KAD_MULTIADDR_MAX];
    char text[64];
    snprintf(text, sizeof(text), "/ip4/10.250.0.%d/tcp/4001", i);
    int len = kad_multiaddr_parse(address, sizeof(address), text);
    assert_true(kad__peerstore_add(peers, &r.peer,
                                   kad__bytes(address, (size_t)len), KAD_HOUR,
                                   now) >= 0);
  }
  kad__simulator_result result =
      network_finish(&n, 1, network_start(&n, 1, &r), LIMIT);
  assert_true(result.end.error < 0);
  assert_int_equal(result.end.count, 0);
  assert_int_equal(result.results, KAD__REQUEST_FAILURES_MAX);
  network_close(&n);
}

static void test_stop_providing(void **state) {
  static const uint8_t key[] = {0x12, 4, 1, 2, 3, 4};
  (void)state;
  network n;
  network_open(&n, 9);
  network_grow(&n, 3);
  kad_request r = KAD_REQUEST_INIT(KAD_PROVIDE);
  r.key = kad__bytes(key, sizeof(key));
  kad__simulator_result result =
      network_finish(&n, 1, network_start(&n, 1, &r), LIMIT);
  assert_ok(result.end.error);
  assert_int_equal(result.end.statistics.stored, 2);
  r.operation = KAD_STOP_PROVIDING;
  result = network_finish(&n, 1, network_start(&n, 1, &r), LIMIT);
  assert_ok(result.end.error);
  network_close(&n);
}

static void test_put_to(void **state) {
  (void)state;
  network n;
  network_open(&n, 10);
  network_grow(&n, 4);
  kad_request put = put_request("key");
  put.operation = KAD_PUT_TO;
  put.peer = *kad__simulator_id(n.sim, 2);
  kad__simulator_result result =
      network_finish(&n, 1, network_start(&n, 1, &put), LIMIT);
  assert_ok(result.end.error);
  assert_int_equal(result.end.statistics.stored, 1);
  kad_request get = get_request("key");
  result = network_finish(&n, 3, network_start(&n, 3, &get), LIMIT);
  assert_ok(result.end.error);
  assert_true(
      kad_peer_id_equal(&result.last.peer, kad__simulator_id(n.sim, 2)));
  network_close(&n);
}

/* Who was found can be named by its id. */
static void test_found_then_named(void **state) {
  static const kad_operation operations[] = {KAD_CONNECT, KAD_PING, KAD_PUT_TO};
  (void)state;
  for (size_t i = 0; i < sizeof(operations) / sizeof(operations[0]); i++) {
    network n;
    network_open(&n, 14);
    network_grow(&n, 4);
    n.config.mode = KAD_MODE_CLIENT;
    uint32_t client = network_add(&n, 0);
    kad_request r = KAD_REQUEST_INIT(KAD_FIND_PEER);
    r.peer = *kad__simulator_id(n.sim, 2);
    r.key = kad__bytes_of("key");
    r.value = kad__bytes_of("value");
    kad__simulator_result result =
        network_finish(&n, client, network_start(&n, client, &r), LIMIT);
    assert_ok(result.end.error);
    r.operation = operations[i];
    result = network_finish(&n, client, network_start(&n, client, &r), LIMIT);
    assert_ok(result.end.error);
    network_close(&n);
  }
}

/* "all" and "majority" ask more peers than "one". */
static void test_quorum_of_get(void **state) {
  (void)state;
  network n;
  network_open(&n, 11);
  network_grow(&n, 6);
  kad_request put = put_request("key");
  put.quorum.kind = KAD_QUORUM_ALL;
  kad__simulator_result result =
      network_finish(&n, 1, network_start(&n, 1, &put), LIMIT);
  assert_ok(result.end.error);
  assert_int_equal(result.end.statistics.stored, 5);
  uint32_t late = network_add(&n, 0);
  (void)network_await(&n, late, KAD_EVENT_READY, KAD_MINUTE);
  kad_request get = get_request("key");
  get.quorum.kind = KAD_QUORUM_ALL;
  result = network_finish(&n, late, network_start(&n, late, &get), LIMIT);
  assert_bytes_equal(result.last.value, put.value);
  assert_int_equal(result.end.statistics.successes, 6);
  network_close(&n);
}

/* ---- bounds -------------------------------------------------------------- */

static void test_limit(void **state) {
  (void)state;
  network n;
  network_open(&n, 12);
  network_add(&n, NOBODY);
  kad__simulator_crash(n.sim, 0);
  uint32_t node = network_add(&n, 0);
  kad_request get = get_request("key");
  for (size_t i = 1; i <= KAD__NODE_REQUESTS_MAX; i++) {
    assert_int_equal(network_start(&n, node, &get), i);
  }
  kad_request_id id = 0;
  assert_error(KAD_E_LIMIT, kad__simulator_start(n.sim, node, &id, &get));
  assert_true(id == 0);
  /* All of them end, and the number goes on. */
  network_pass(&n, KAD_MINUTE);
  kad_node_status status;
  kad__node_status(kad__simulator_node(n.sim, node), &status);
  assert_int_equal(status.requests, 0);
  network_close(&n);
}

/* A node that is freed in the middle of everything. */
static void test_freed_while_running(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof(pending_cases) / sizeof(pending_case); i++) {
    network n;
    uint32_t node;
    (void)start_pending(&n, &pending_cases[i], &node, 0);
    network_close(&n);
  }
}

/* An owner that takes no events still gets every END. */
static void test_full_queue(void **state) {
  (void)state;
  network n;
  network_open(&n, 13);
  network_grow(&n, 3);
  kad_request get = get_request("no such key");
  kad_request_id id = network_start(&n, 1, &get);
  kad__node *node = kad__simulator_node(n.sim, 1);
  kad_event news = {.type = KAD_EVENT_CONNECTED};
  for (size_t i = 0; i < KAD__NODE_EVENTS_MAX; i++) {
    kad__node_emit(node, &news);
  }
  kad_event end = the_end(&n, 1, id);
  assert_int_equal(end.error, KAD_E_NOT_FOUND);
  network_close(&n);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_parameters),
      cmocka_unit_test(test_waits_for_joining),
      cmocka_unit_test(test_refused_when_nobody_is_there),
      cmocka_unit_test(test_alone),
      cmocka_unit_test(test_cancel),
      cmocka_unit_test(test_timeout),
      cmocka_unit_test(test_every_request_ends),
      cmocka_unit_test(test_ping),
      cmocka_unit_test(test_connect_to_a_peer),
      cmocka_unit_test(test_connect_to_another),
      cmocka_unit_test(test_failures_are_told),
      cmocka_unit_test(test_stop_providing),
      cmocka_unit_test(test_put_to),
      cmocka_unit_test(test_found_then_named),
      cmocka_unit_test(test_quorum_of_get),
      cmocka_unit_test(test_limit),
      cmocka_unit_test(test_freed_while_running),
      cmocka_unit_test(test_full_queue),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
