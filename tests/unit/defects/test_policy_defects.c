/* Defects of go-libp2p-kad-dht in what it makes of addresses, and the addresses
 * of no use that peers tell: what a node's rules say of them. */
#include "kadmium/multiaddr.h"
#include "node/policy.h"
#include "support.h"

static kad_bytes address(const char *text) {
  static uint8_t bytes[4][KAD_MULTIADDR_MAX];
  static unsigned at;
  uint8_t *out = bytes[at++ % 4];
  int len = kad_multiaddr_parse(out, KAD_MULTIADDR_MAX, text);
  assert_ok(len);
  return kad__bytes(out, (size_t)len);
}

static kad__dht_config rules(kad__node_policy *policy, const char *protocol) {
  kad__node_config node;
  kad__dht_config dht;
  memset(&node, 0, sizeof node);
  node.protocol = kad__bytes_of(protocol);
  *policy = kad__node_policy_of(&node);
  kad__dht_config_default(&dht);
  kad__node_policy_apply(&dht, policy);
  return dht;
}

static uint64_t group(const kad__dht_config *dht, const char *text) {
  return dht->address_group(dht->address_user, address(text));
}

static bool accepted(const kad__dht_config *dht, const char *text) {
  return dht->accept_address(dht->address_user, address(text));
}

/* Networks of IPv6 are told apart by their prefix. */
static void test_g7_ipv6_networks_are_many(void **state) {
  (void)state;
  kad__node_policy policy;
  kad__dht_config dht = rules(&policy, KAD_PROTOCOL_IPFS);
  uint64_t one = group(&dht, "/ip6/2a01:4f8::1/tcp/4001");
  assert_true(one != 0);
  assert_true(one == group(&dht, "/ip6/2a01:4f8:ffff::2/tcp/5"));
  assert_true(one != group(&dht, "/ip6/2a01:4f9::1/tcp/4001"));
  assert_true(one != group(&dht, "/ip6/2600:3c00::1/tcp/4001"));
  uint64_t four = group(&dht, "/ip4/81.2.3.4/tcp/4001");
  assert_true(four != 0 && four != one);
  assert_true(four == group(&dht, "/ip4/81.2.250.4/tcp/1"));
  assert_true(four != group(&dht, "/ip4/81.3.3.4/tcp/4001"));
}

/* What a public network neither dials nor keeps nor tells. */
static void test_g16_private_addresses_stay_private(void **state) {
  (void)state;
  kad__node_policy policy;
  kad__dht_config dht = rules(&policy, KAD_PROTOCOL_IPFS);
  static const char *const useless[] = {
      "/ip4/127.0.0.1/tcp/4001",   "/ip4/10.1.2.3/tcp/4001",
      "/ip4/192.168.1.1/tcp/4001", "/ip4/172.16.0.1/tcp/4001",
      "/ip4/0.0.0.0/tcp/4001",     "/ip4/224.0.0.1/tcp/4001",
      "/ip4/81.2.3.4/tcp/0",       "/ip6/::1/tcp/4001",
      "/ip6/fe80::1/tcp/4001",     "/ip6/fd00::1/tcp/4001",
      "/ip6/ff02::1/tcp/4001",     "/ip6/::/tcp/4001"};
  for (size_t i = 0; i < sizeof useless / sizeof useless[0]; i++) {
    if (accepted(&dht, useless[i])) {
      fail_msg("%s", useless[i]);
    }
  }
  assert_true(accepted(&dht, "/ip4/81.2.3.4/tcp/4001"));
  assert_true(accepted(&dht, "/ip6/2a01:4f8::1/tcp/4001"));
  assert_true(accepted(&dht, "/dns4/example.org/tcp/4001"));
  assert_false(dht.accept_address(dht.address_user, kad__bytes_of("\x04\x7f")));
  /* A network of one's own may be at home. */
  dht = rules(&policy, "/home/kad/1.0.0");
  assert_true(accepted(&dht, "/ip4/10.1.2.3/tcp/4001"));
  assert_false(accepted(&dht, "/ip4/224.0.0.1/tcp/4001"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_g7_ipv6_networks_are_many),
      cmocka_unit_test(test_g16_private_addresses_stay_private),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
