/* What a node knows of its peers: told by identify, by pings, by the owner. */
#include "kadmium/multiaddr.h"
#include "network.h"
#include "node/node_internal.h"
#include "node/peers.h"
#include "wire/addresses.h"

#define LIMIT (2 * KAD_MINUTE)

static network n;

static kad__node *node_of(uint32_t number) {
  return kad__simulator_node(n.sim, number);
}

static kad_time now(void) {
  return kad__simulator_now(n.sim);
}

static kad_bytes list_of(const char *text) {
  static uint8_t list[KAD_MULTIADDR_MAX + 8];
  uint8_t address[KAD_MULTIADDR_MAX];
  size_t len = 0;
  int got = kad_multiaddr_parse(address, sizeof(address), text);
  assert_ok(got);
  assert_true(kad__addresses_append(list, sizeof(list), &len,
                                    kad__bytes(address, (size_t)got)));
  return kad__bytes(list, len);
}

static void test_identify_tells(void **state) {
  (void)state;
  network_open(&n, 1);
  network_grow(&n, 2);
  network_pass(&n, KAD_SECOND);
  kad_peer_info info;
  const kad_peer_id *peer = kad__simulator_id(n.sim, 1);
  assert_ok(kad__node_peer_info(node_of(0), &info, peer, now()));
  assert_true(kad_peer_id_equal(&info.peer, peer));
  assert_int_equal(info.connectedness, KAD_CONNECTED);
  assert_int_not_equal(kad__addresses_count(info.addresses), 0);
  assert_true(
      kad__addresses_have(info.protocols, kad__bytes_of(NETWORK_PROTOCOL)));
  assert_true(
      kad__addresses_have(info.protocols, kad__bytes_of("/ipfs/id/1.0.0")));
  assert_true(kad__bytes_start(info.agent, kad__bytes_of("kadmium/")));
  assert_bytes_equal(info.protocol_version, kad__bytes_of("ipfs/0.1.0"));
  kad_public_key *key = NULL;
  assert_ok(
      kad_public_key_decode(&key, kad_allocator_default(), info.public_key));
  kad_public_key_free(key);
  /* Two ways of 10 to 100 ms. */
  assert_true(info.latency >= 20 * KAD_MILLISECOND);
  assert_true(info.latency <= 250 * KAD_MILLISECOND);
  uint64_t cursor = 0;
  kad_peer_id known;
  assert_true(kad__node_next_known_peer(node_of(0), &cursor, &known));
  assert_true(kad_peer_id_equal(&known, peer));
  assert_false(kad__node_next_known_peer(node_of(0), &cursor, &known));
  assert_int_equal(kad__node_known_peers(node_of(0)), 1);
  network_close(&n);
}

static void test_a_ping_moves_the_latency(void **state) {
  (void)state;
  network_open(&n, 2);
  network_grow(&n, 2);
  const kad_peer_id *peer = kad__simulator_id(n.sim, 1);
  kad__peerstore *p = kad__swarm_peerstore(kad__node_swarm(node_of(0)));
  kad__peerstore_note_latency(p, peer, 100 * KAD_SECOND);
  kad_time before = kad__peerstore_latency(p, peer);
  kad_request request = KAD_REQUEST_INIT(KAD_PING);
  request.peer = *peer;
  kad_request_id id = network_start(&n, 0, &request);
  assert_int_equal(network_finish(&n, 0, id, LIMIT).end.error, 0);
  kad_time after = kad__peerstore_latency(p, peer);
  assert_true(after < before);
  assert_true(after > before / 2);
  network_close(&n);
}

static void test_the_owner_tells(void **state) {
  (void)state;
  network_open(&n, 3);
  network_grow(&n, 1);
  kad__node *node = node_of(0);
  kad_peer_id peer = {.len = 34, .bytes = {0x12, 0x20, 9}};
  kad_peer_info info;
  assert_error(KAD_E_NOT_FOUND, kad__node_peer_info(node, &info, &peer, now()));
  kad_bytes list = list_of("/ip4/192.0.2.1/tcp/4001");
  assert_int_equal(
      kad__node_add_peer_addresses(node, &peer, list, KAD_HOUR, now()), 1);
  assert_int_equal(kad__node_add_peer_addresses(node, &peer, list, 0, now()),
                   0);
  assert_ok(kad__node_peer_info(node, &info, &peer, now()));
  assert_int_equal(info.connectedness, KAD_NOT_CONNECTED);
  assert_bytes_equal(info.addresses, list);
  assert_int_equal(info.protocols.len, 0);
  assert_int_equal(info.public_key.len, 0);
  assert_int_equal(info.latency, 0);
  kad__node_update_peer_addresses(node, &peer, KAD_HOUR, KAD_TTL_PERMANENT,
                                  now());
  kad_bytes address = kad__bytes_skip(list, 2);
  assert_ok(
      kad__node_set_peer_address(node, &peer, address, KAD_SECOND, now()));
  network_pass(&n, 2 * KAD_SECOND);
  kad__node_drive(node, now());
  assert_error(KAD_E_NOT_FOUND, kad__node_peer_info(node, &info, &peer, now()));
  assert_false(kad__node_forget_peer(node, &peer));
  assert_error(KAD_E_PEER_MISMATCH, kad__node_set_peer_key(node, &peer, list));
  assert_error(KAD_E_PROTOBUF,
               kad__node_add_peer_record(node, &peer, kad__bytes_of("nonsense"),
                                         KAD_HOUR, now()));
  network_close(&n);
}

static void test_traffic(void **state) {
  (void)state;
  network_open(&n, 5);
  network_grow(&n, 2);
  network_pass(&n, KAD_SECOND);
  kad__node *node = node_of(0);
  kad_bandwidth all;
  kad_bandwidth peer;
  kad_bandwidth protocol;
  kad__node_bandwidth(node, &all, now());
  assert_true(all.in > 100 && all.out > 100);
  assert_true(all.raw_in > all.in && all.raw_out > all.out);
  assert_true(kad__node_bandwidth_peer(node, &peer, kad__simulator_id(n.sim, 1),
                                       now()));
  assert_int_equal(peer.in, all.in);
  assert_true(peer.raw_in < all.raw_in); /* the handshake had no peer yet */
  assert_true(kad__node_bandwidth_protocol(
      node, &protocol, kad__bytes_of("/ipfs/id/1.0.0"), now()));
  assert_true(protocol.in > 100 && protocol.in < all.in);
  assert_int_equal(protocol.raw_in, 0);
  assert_false(kad__node_bandwidth_protocol(node, &protocol,
                                            kad__bytes_of("/none"), now()));
  assert_int_equal(protocol.in, 0);
  assert_false(kad__node_bandwidth_peer(node, &peer,
                                        kad__simulator_id(n.sim, 0), now()));
  network_close(&n);
}

static void test_no_memory(void **state) {
  (void)state;
  test_allocator memory;
  test_allocator_init(&memory);
  network_open(&n, 4);
  n.config.allocator = &memory.allocator;
  uint32_t number = network_add(&n, NOBODY);
  kad__node *node = node_of(number);
  kad_peer_id peer = {.len = 34, .bytes = {0x12, 0x20, 9}};
  kad_bytes list = list_of("/ip4/192.0.2.1/tcp/4001");
  for (size_t i = 1; i <= 3; i++) {
    memory.fail_at = memory.calls + i;
    int result =
        kad__node_add_peer_addresses(node, &peer, list, KAD_HOUR, now());
    assert_true(result == KAD_E_NO_MEMORY || result == 1);
  }
  memory.fail_at = 0;
  assert_int_equal(
      kad__node_add_peer_addresses(node, &peer, list, KAD_HOUR, now()), 1);
  kad_peer_info info;
  memory.fail_at = memory.calls + 1;
  assert_error(KAD_E_NO_MEMORY, kad__node_peer_info(node, &info, &peer, now()));
  assert_ok(kad__node_peer_info(node, &info, &peer, now()));
  memory.fail_at = 0;
  network_close(&n);
  assert_int_equal(memory.live, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_identify_tells),
      cmocka_unit_test(test_a_ping_moves_the_latency),
      cmocka_unit_test(test_the_owner_tells),
      cmocka_unit_test(test_traffic),
      cmocka_unit_test(test_no_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
