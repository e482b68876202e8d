/* What the owner decides and learns: where others reach us, which records are
 * taken, what the node does by itself. */
#include "kadmium/multiaddr.h"
#include "network.h"
#include "node/node_internal.h"
#include "node/routing.h"

#define LIMIT (2 * KAD_MINUTE)

/* ---- where others reach us ----------------------------------------------- */

/* A network with public addresses, on the public protocol: `count` servers,
 * then one node that decides by itself. Returns its number. */
static uint32_t open_public(network *n, size_t count) {
  kad__simulator_config config;
  kad__simulator_config_default(&config);
  config.allocator = kad_allocator_default();
  config.seed = 11;
  config.public_addresses = true;
  assert_ok(kad__simulator_new(&n->sim, &config));
  kad__node_config_default(&n->config);
  n->config.mode = KAD_MODE_SERVER;
  n->config.idle_timeout = KAD_HOUR;
  network_grow(n, count);
  n->config.mode = KAD_MODE_AUTO;
  return network_add(n, 0);
}

static void connect_to(network *n, uint32_t from, uint32_t to) {
  kad_request connect = KAD_REQUEST_INIT(KAD_CONNECT);
  kad_bytes list = kad__node_addresses(kad__simulator_node(n->sim, to));
  assert_true(kad_addresses_next(&list, &connect.address));
  kad_request_id id = network_start(n, from, &connect);
  assert_ok(network_finish(n, from, id, LIMIT).end.error);
}

static bool is_server(network *n, uint32_t node) {
  kad_node_status status;
  kad__node_status(kad__simulator_node(n->sim, node), &status);
  return status.server;
}

static void assert_address(const kad_event *event, const char *text) {
  char out[128];
  kad_bytes list = event->addresses;
  kad_bytes address;
  assert_true(kad_addresses_next(&list, &address));
  assert_true(kad_multiaddr_format(out, sizeof(out), address) > 0);
  assert_string_equal(out, text);
}

static void test_who_is_reached_serves(void **state) {
  (void)state;
  network n;
  uint32_t node = open_public(&n, 3);
  assert_false(is_server(&n, node));
  connect_to(&n, node, 1);
  connect_to(&n, node, 2);
  /* Before connections are usually closed for want of streams. */
  kad_event event =
      network_await(&n, node, KAD_EVENT_REACHABLE, 20 * KAD_SECOND);
  assert_address(&event, "/ip4/11.3.0.1/tcp/4001");
  event = network_await(&n, node, KAD_EVENT_MODE, LIMIT);
  assert_true(event.server);
  assert_true(is_server(&n, node));
  network_close(&n);
}

static void test_who_is_not_reached_asks_only(void **state) {
  (void)state;
  network n;
  uint32_t node = open_public(&n, 3);
  kad__simulator_firewall(n.sim, node, true);
  connect_to(&n, node, 1);
  connect_to(&n, node, 2);
  kad_event event = network_await(&n, node, KAD_EVENT_UNREACHABLE, LIMIT);
  assert_address(&event, "/ip4/11.3.0.1/tcp/4001");
  assert_false(is_server(&n, node));
  /* Its owner forwards the port: that is found out, too. */
  kad__simulator_firewall(n.sim, node, false);
  (void)network_await(&n, node, KAD_EVENT_REACHABLE, KAD_HOUR);
  network_pass(&n, KAD_SECOND);
  assert_true(is_server(&n, node));
  /* And that it is no longer so. */
  kad__simulator_firewall(n.sim, node, true);
  (void)network_await(&n, node, KAD_EVENT_UNREACHABLE, 3 * KAD_HOUR);
  network_pass(&n, KAD_SECOND);
  assert_false(is_server(&n, node));
  network_close(&n);
}

/* One peer's word is not enough. */
static void test_one_witness_is_none(void **state) {
  (void)state;
  network n;
  uint32_t node = open_public(&n, 1);
  (void)network_await(&n, node, KAD_EVENT_READY, LIMIT);
  network_pass(&n, 10 * KAD_MINUTE);
  assert_false(is_server(&n, node));
  network_close(&n);
}

static void test_autonat_can_be_off(void **state) {
  (void)state;
  network n;
  (void)open_public(&n, 2);
  n.config.no_autonat = true;
  uint32_t node = network_add(&n, 0);
  connect_to(&n, node, 1);
  network_pass(&n, 10 * KAD_MINUTE);
  assert_false(is_server(&n, node));
  network_close(&n);
}

static void test_the_owner_knows(void **state) {
  (void)state;
  network n;
  uint8_t address[64];
  int len =
      kad_multiaddr_parse(address, sizeof(address), "/ip4/9.9.9.9/tcp/99");
  kad_bytes known = kad__bytes(address, (size_t)len);
  uint32_t number = open_public(&n, 1);
  kad__node *node = kad__simulator_node(n.sim, number);
  kad_time now = kad__simulator_now(n.sim);
  assert_error(KAD_E_MULTIADDR,
               kad__node_confirm_address(node, kad__bytes("x", 1), now));
  assert_false(kad__node_expire_address(node, known, now));
  assert_ok(kad__node_confirm_address(node, known, now));
  assert_ok(kad__node_confirm_address(node, known, now));
  assert_true(is_server(&n, number));
  char text[256];
  kad_bytes list = kad__node_addresses(node);
  kad_bytes first;
  assert_true(kad_addresses_next(&list, &first));
  assert_true(kad_multiaddr_format(text, sizeof(text), first) > 0);
  assert_non_null(strstr(text, "/ip4/9.9.9.9/tcp/99/p2p/"));
  assert_true(kad__node_expire_address(node, known, now));
  assert_false(kad__node_expire_address(node, known, now));
  assert_false(is_server(&n, number));
  /* The last sixteen count. */
  for (uint8_t i = 0; i < 20; i++) {
    address[4] = i;
    assert_ok(kad__node_confirm_address(node, known, now + i));
  }
  address[4] = 3;
  assert_false(kad__node_expire_address(node, known, now));
  address[4] = 4;
  assert_true(kad__node_expire_address(node, known, now));
  network_close(&n);
}

/* ---- records that the owner looks at ------------------------------------- */

static kad_request put_request(const char *key) {
  kad_request put = KAD_REQUEST_INIT(KAD_PUT);
  put.key = kad__bytes_of(key);
  put.value = kad__bytes_of("value");
  return put;
}

static bool has_record(network *n, uint32_t node, const char *key) {
  kad_stored_record record;
  kad_bytes after = kad__bytes(NULL, 0);
  kad__node *of = kad__simulator_node(n->sim, node);
  while (
      kad__node_next_record(of, after, &record, kad__simulator_now(n->sim))) {
    if (kad__bytes_equal(record.key, kad__bytes_of(key))) {
      return true;
    }
    after = record.key;
  }
  return false;
}

static void test_review(void **state) {
  (void)state;
  network n;
  network_open(&n, 5);
  n.config.review_records = true;
  network_grow(&n, 2);
  kad_request put = put_request("good");
  kad_request_id id = network_start(&n, 1, &put);
  kad_event review = network_await(&n, 0, KAD_EVENT_REVIEW, LIMIT);
  assert_true(kad_peer_id_equal(&review.peer, kad__simulator_id(n.sim, 1)));
  assert_bytes_equal(review.key, kad__bytes_of("good"));
  assert_bytes_equal(review.value, kad__bytes_of("value"));
  assert_false(has_record(&n, 0, "good"));
  kad__node *node = kad__simulator_node(n.sim, 0);
  assert_true(
      kad__node_review(node, review.token, 0, kad__simulator_now(n.sim)));
  assert_true(has_record(&n, 0, "good"));
  (void)id;
  put = put_request("bad");
  id = network_start(&n, 1, &put);
  review = network_await(&n, 0, KAD_EVENT_REVIEW, LIMIT);
  assert_true(kad__node_review(node, review.token, KAD_E_RECORD_REJECTED,
                               kad__simulator_now(n.sim)));
  assert_error(KAD_E_QUORUM, network_finish(&n, 1, id, LIMIT).end.error);
  assert_false(has_record(&n, 0, "bad"));
  network_close(&n);
}

/* With filtering, the owner puts what it likes into the store itself. */
static void test_filter(void **state) {
  (void)state;
  network n;
  network_open(&n, 6);
  n.config.filter_records = true;
  network_grow(&n, 3);
  kad_request put = put_request("key");
  (void)network_start(&n, 1, &put);
  kad_event event = network_await(&n, 0, KAD_EVENT_INBOUND, LIMIT);
  while (event.value.len == 0) {
    event = network_await(&n, 0, KAD_EVENT_INBOUND, LIMIT);
  }
  assert_false(has_record(&n, 0, "key"));
  kad_stored_record record = {.key = event.key, .value = event.value};
  kad__node *node = kad__simulator_node(n.sim, 0);
  kad_time now = kad__simulator_now(n.sim);
  assert_ok(kad__node_store_record(node, &record, &event.peer, now));
  assert_true(has_record(&n, 0, "key"));
  record.key = kad__bytes(NULL, 0);
  assert_error(KAD_E_INVALID_ARGUMENT,
               kad__node_store_record(node, &record, NULL, now));
  kad_peer_id provider = *kad__simulator_id(n.sim, 1);
  kad_bytes key = kad__bytes_of("provided");
  assert_ok(
      kad__node_store_provider(node, key, &provider, kad__bytes(NULL, 0), now));
  assert_error(KAD_E_INVALID_ARGUMENT,
               kad__node_store_provider(node, kad__bytes(NULL, 0), &provider,
                                        kad__bytes(NULL, 0), now));
  kad_request find = KAD_REQUEST_INIT(KAD_FIND_PROVIDERS);
  find.key = key;
  kad_request_id id = network_start(&n, 2, &find);
  kad__simulator_result result = network_finish(&n, 2, id, LIMIT);
  assert_ok(result.end.error);
  assert_int_equal(result.end.count, 1);
  assert_true(kad_peer_id_equal(&result.last.peer, &provider));
  network_close(&n);
}

/* ---- requests ------------------------------------------------------------ */

static void test_put_to_several(void **state) {
  (void)state;
  network n;
  network_open(&n, 7);
  network_grow(&n, 4);
  kad_peer_id peers[2] = {*kad__simulator_id(n.sim, 1),
                          *kad__simulator_id(n.sim, 2)};
  kad_request put = put_request("key");
  put.operation = KAD_PUT_TO;
  put.peers = peers;
  put.peer_count = 2;
  put.quorum.kind = KAD_QUORUM_ALL;
  put.lifetime = KAD_HOUR;
  kad_request_id id = network_start(&n, 3, &put);
  memset(peers, 0, sizeof(peers)); /* they were copied */
  kad__simulator_result result = network_finish(&n, 3, id, LIMIT);
  assert_ok(result.end.error);
  assert_int_equal(result.end.statistics.stored, 2);
  assert_true(has_record(&n, 1, "key") && has_record(&n, 2, "key"));
  assert_false(has_record(&n, 0, "key") || has_record(&n, 3, "key"));
  put.peer_count = 257;
  assert_error(KAD_E_INVALID_ARGUMENT,
               kad__simulator_start(n.sim, 3, &id, &put));
  network_pass(&n, KAD_HOUR + KAD_MINUTE);
  assert_false(has_record(&n, 1, "key"));
  network_close(&n);
}

/* Every record, whoever has it; the events are numbered, and END is the last.
 */
static void test_collect(void **state) {
  (void)state;
  network n;
  network_open(&n, 8);
  network_grow(&n, 5);
  kad_request put = put_request("key");
  put.quorum.kind = KAD_QUORUM_ALL;
  kad_request_id id = network_start(&n, 1, &put);
  assert_ok(network_finish(&n, 1, id, LIMIT).end.error);
  kad_request get = KAD_REQUEST_INIT(KAD_GET);
  get.key = kad__bytes_of("key");
  get.quorum.kind = KAD_QUORUM_ALL;
  get.collect = true;
  id = network_start(&n, 2, &get);
  uint32_t step = 0;
  size_t best = 0;
  size_t values = 0;
  kad_event event = {0};
  uint32_t from = 0;
  kad_time until = kad__simulator_now(n.sim) + LIMIT;
  while (!event.last && kad__simulator_step(n.sim, until)) {
    while (!event.last && kad__simulator_poll(n.sim, &from, &event)) {
      if (from != 2 || event.request != id) {
        event.last = false;
        continue;
      }
      assert_int_equal(event.step, ++step);
      assert_int_equal(event.operation, KAD_GET);
      values += event.type == KAD_EVENT_VALUE;
      best += event.type == KAD_EVENT_VALUE && event.best;
    }
  }
  assert_int_equal(event.type, KAD_EVENT_END);
  assert_int_equal(event.count, values);
  assert_int_equal(values, 5);
  assert_int_equal(best, 5); /* they are all the same */
  network_close(&n);
}

static void test_inspection(void **state) {
  (void)state;
  network n;
  network_open(&n, 9);
  network_grow(&n, 4);
  kad_request bootstrap = KAD_REQUEST_INIT(KAD_BOOTSTRAP);
  kad_request_id id = network_start(&n, 2, &bootstrap);
  kad_request_info info;
  kad__node *node = kad__simulator_node(n.sim, 2);
  assert_true(kad__node_request(node, id, &info, kad__simulator_now(n.sim)));
  assert_int_equal(info.operation, KAD_BOOTSTRAP);
  assert_false(info.waiting || info.storing);
  assert_bytes_equal(info.key, kad_peer_id_bytes(kad__simulator_id(n.sim, 2)));
  assert_ok(network_finish(&n, 2, id, LIMIT).end.error);
  assert_false(kad__node_request(node, id, &info, kad__simulator_now(n.sim)));
  network_close(&n);
}

/* ---- what the node does by itself ---------------------------------------- */

static void test_upkeep_is_told(void **state) {
  (void)state;
  network n;
  network_open(&n, 10);
  n.config.dht.publication_interval = KAD_HOUR;
  n.config.dht.provider_publication_interval = KAD_HOUR;
  network_grow(&n, 3);
  kad_request put = put_request("key");
  (void)network_finish(&n, 1, network_start(&n, 1, &put), LIMIT);
  kad_request provide = KAD_REQUEST_INIT(KAD_PROVIDE);
  provide.key = kad__bytes_of("provided");
  (void)network_finish(&n, 1, network_start(&n, 1, &provide), LIMIT);
  bool told[KAD_PING + 1] = {false};
  while (!told[KAD_PUT] || !told[KAD_PROVIDE] || !told[KAD_BOOTSTRAP]) {
    kad_event event = network_await(&n, 1, KAD_EVENT_UPKEEP, 3 * KAD_HOUR);
    assert_ok(event.error);
    assert_true(event.request == 0);
    assert_true(event.operation != KAD_PUT || event.statistics.stored == 2);
    told[event.operation] = true;
  }
  network_close(&n);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_who_is_reached_serves),
      cmocka_unit_test(test_who_is_not_reached_asks_only),
      cmocka_unit_test(test_one_witness_is_none),
      cmocka_unit_test(test_autonat_can_be_off),
      cmocka_unit_test(test_the_owner_knows),
      cmocka_unit_test(test_review),
      cmocka_unit_test(test_filter),
      cmocka_unit_test(test_put_to_several),
      cmocka_unit_test(test_collect),
      cmocka_unit_test(test_inspection),
      cmocka_unit_test(test_upkeep_is_told),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
