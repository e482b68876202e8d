/* Connections as the owner of a node sees and ends them. */
#include "kadmium/multiaddr.h"
#include "network.h"
#include "node/connections.h"
#include "wire/addresses.h"

#define LIMIT (30 * KAD_SECOND)

static network net;

static kad__node *node(uint32_t number) {
  return kad__simulator_node(net.sim, number);
}

static kad_time now(void) {
  return kad__simulator_now(net.sim);
}

static int setup(void **state) {
  (void)state;
  network_open(&net, test_seed("connections"));
  network_grow(&net, 3);
  return 0;
}

static int teardown(void **state) {
  (void)state;
  network_close(&net);
  return 0;
}

static void test_facts(void **state) {
  (void)state;
  kad_connection_info info;
  uint64_t cursor = 0;
  size_t count = 0;
  while (kad__node_next_connection(node(0), &cursor, NULL, &info, now())) {
    kad_connection_info same;
    assert_true(kad__node_connection(node(0), info.id, &same, now()));
    assert_true(kad_peer_id_equal(&same.peer, &info.peer));
    assert_string_equal(info.transport, "tcp");
    assert_string_equal(info.security, "/noise");
    assert_string_equal(info.multiplexer, "/yamux/1.0.0");
    assert_true(info.early_multiplexer);
    assert_true(info.public_key.len > 0);
    assert_ok(kad_multiaddr_check(info.remote_address));
    assert_ok(kad_multiaddr_check(info.local_address));
    assert_true(info.inbound);
    assert_true(info.age > 0);
    assert_true(info.bytes_in > 100 && info.bytes_out > 100);
    count++;
  }
  assert_int_equal(count, 2);
  cursor = 0;
  const kad_peer_id *one = kad__simulator_id(net.sim, 1);
  assert_true(kad__node_next_connection(node(0), &cursor, one, &info, now()));
  assert_true(kad_peer_id_equal(&info.peer, one));
  assert_false(kad__node_next_connection(node(0), &cursor, one, &info, now()));
  assert_false(kad__node_connection(node(0), 0, &info, now()));
  assert_int_equal(kad__node_connectedness(node(0), one), KAD_CONNECTED);
  assert_int_equal(
      kad__node_connectedness(node(0), kad__simulator_id(net.sim, 0)),
      KAD_NOT_CONNECTED);
}

static void test_ending_with_a_code(void **state) {
  (void)state;
  const kad_peer_id *one = kad__simulator_id(net.sim, 1);
  assert_int_equal(kad__node_disconnect(node(0), one, 0x2301, now()), 1);
  kad__simulator_touch(net.sim, 0);
  kad_event event = network_await(&net, 1, KAD_EVENT_DISCONNECTED, LIMIT);
  assert_error(KAD_E_GO_AWAY, event.error);
  assert_int_equal(event.code, 0x2301);
  assert_true(kad_peer_id_equal(&event.peer, kad__simulator_id(net.sim, 0)));
  assert_int_equal(kad__node_disconnect(node(0), one, 0, now()), 0);
  kad_connection_info info;
  uint64_t cursor = 0;
  assert_true(kad__node_next_connection(node(0), &cursor, NULL, &info, now()));
  assert_true(kad__node_close_connection(node(0), info.id, 7, now()));
  assert_false(kad__node_close_connection(node(0), info.id, 7, now()));
}

static bool nobody(void *user, kad_bytes local, kad_bytes remote) {
  (void)local;
  (void)remote;
  ++*(unsigned *)user;
  return false;
}

static void test_gater(void **state) {
  (void)state;
  unsigned asked = 0;
  kad_gater gater = {.user = &asked, .accept = nobody};
  net.config.gater = &gater;
  uint32_t closed = network_add(&net, 0);
  net.config.gater = NULL;
  (void)network_await(&net, closed, KAD_EVENT_READY, KAD_MINUTE);
  kad_bytes list = kad__node_listen_addresses(node(closed));
  kad_bytes address;
  uint8_t copy[KAD_MULTIADDR_MAX];
  assert_true(kad_addresses_next(&list, &address));
  memcpy(copy, address.data, address.len);
  kad_request connect = KAD_REQUEST_INIT(KAD_CONNECT);
  connect.address = kad__bytes(copy, address.len);
  uint32_t stranger = network_add(&net, NOBODY);
  kad_request_id id = network_start(&net, stranger, &connect);
  assert_true(network_finish(&net, stranger, id, LIMIT).end.error < 0);
  assert_in_range(asked, 1, 10);
  const kad_swarm_counters *c =
      kad__swarm_counters_get(kad__node_swarm(node(closed)));
  assert_int_equal(c->gated, asked);
}

static void test_listeners(void **state) {
  (void)state;
  kad__swarm *swarm = kad__node_swarm(node(0));
  kad_bytes list = kad__node_listen_addresses(node(0));
  kad_bytes address;
  uint8_t copy[KAD_MULTIADDR_MAX];
  assert_true(kad_addresses_next(&list, &address));
  kad_bytes kept = kad__bytes(copy, address.len);
  memcpy(copy, address.data, address.len);
  size_t at = 0;
  kad_bytes asked;
  kad_bytes bound;
  assert_true(kad__swarm_next_listener(swarm, &at, &asked, &bound));
  assert_true(kad__addresses_have(bound, kept));
  assert_false(kad__swarm_next_listener(swarm, &at, &asked, &bound));
  assert_true(kad__swarm_unlisten(swarm, kept));
  at = 0;
  assert_false(kad__swarm_next_listener(swarm, &at, &asked, &bound));
  kad__simulator_touch(net.sim, 0);
  (void)network_await(&net, 0, KAD_EVENT_LISTEN_CLOSED, LIMIT);
  kad_event event = network_await(&net, 0, KAD_EVENT_LISTENING, LIMIT);
  assert_int_equal(event.addresses.len, 0);
  assert_int_equal(kad__node_listen_addresses(node(0)).len, 0);
  assert_ok(kad__swarm_listen(swarm, kept));
  kad__simulator_touch(net.sim, 0);
  event = network_await(&net, 0, KAD_EVENT_LISTENING, LIMIT);
  assert_true(event.addresses.len > 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {TEST(test_facts),
                                     TEST(test_ending_with_a_code),
                                     TEST(test_gater), TEST(test_listeners)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
