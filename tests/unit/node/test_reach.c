/* Addresses that observers agree on and that the gateway maps: announced, and
 * withdrawn again. */
#include "kadmium/multiaddr.h"
#include "network.h"
#include "node/node_internal.h"
#include "node/routing.h"
#include "wire/addresses.h"

static network n;

static kad_bytes parse(const char *text) {
  static uint8_t ring[8][KAD_MULTIADDR_MAX];
  static unsigned at;
  uint8_t *out = ring[at++ % 8];
  int len = kad_multiaddr_parse(out, KAD_MULTIADDR_MAX, text);
  assert_ok(len);
  return kad__bytes(out, (size_t)len);
}

static const char *const external = "/ip4/192.0.2.1/tcp/4001";

static kad_time now(void) {
  return kad__simulator_now(n.sim);
}

static bool tells(kad__node *node, const char *text) {
  uint8_t list[KAD__OWN_ADDRESSES_MAX];
  size_t len = kad__node_own_list(node, list, sizeof(list));
  return kad__addresses_have(kad__bytes(list, len), parse(text));
}

static void observe(kad__node *node, unsigned i) {
  char remote[64];
  snprintf(remote, sizeof(remote), "/ip4/198.51.100.%u/tcp/1", i);
  assert_int_equal(
      kad__observed_note(&node->reach.observed, i, parse("/ip4/10.0.0.1/tcp/1"),
                         parse(remote), parse(external)),
      1);
  kad__reach_claims(node, now());
}

static kad__node *open_node(uint32_t observers) {
  network_open(&n, 1);
  n.config.observers = observers;
  return kad__simulator_node(n.sim, network_add(&n, NOBODY));
}

static void test_observed(void **state) {
  (void)state;
  kad__node *node = open_node(0);
  for (unsigned i = 1; i <= 3; i++) {
    observe(node, i);
    assert_false(tells(node, external));
  }
  observe(node, 4);
  assert_true(tells(node, external));
  kad__reach_disconnected(node, 77, now());
  assert_true(tells(node, external));
  kad__reach_disconnected(node, 1, now());
  assert_false(tells(node, external));
  observe(node, 1);
  assert_true(tells(node, external));
  /* The owner knows better, either way. */
  assert_int_equal(kad__node_confirm_address(node, parse(external), now()), 0);
  kad__reach_disconnected(node, 1, now());
  assert_true(tells(node, external));
  assert_true(kad__node_expire_address(node, parse(external), now()));
  assert_false(tells(node, external));
  network_close(&n);
}

/* What the peer at the other end of `node`'s only connection says. */
static void say(kad__node *node, const char *seen) {
  kad__swarm *swarm = kad__node_swarm(node);
  kad__identify_event event = {
      .type = KAD__IDENTIFY_DONE,
      .connection = kad__swarm_connection_next(swarm, 0),
      .observed_address = seen == NULL ? (kad_bytes){0} : parse(seen)};
  kad__reach_identified(node, &event, now());
}

static void test_what_a_peer_says(void **state) {
  (void)state;
  network_open(&n, 3);
  n.config.observers = 1;
  network_grow(&n, 2);
  network_pass(&n, KAD_SECOND);
  kad__node *listener = kad__simulator_node(n.sim, 0);
  kad__connection_info info;
  assert_true(kad__swarm_connection(
      kad__node_swarm(listener),
      kad__swarm_connection_next(kad__node_swarm(listener), 0), &info));
  assert_true(info.inbound);
  say(listener, external);
  assert_true(tells(listener, external));
  /* It says something else now, then nothing that is of use. */
  say(listener, "/ip4/192.0.2.2/tcp/4001");
  assert_false(tells(listener, external));
  assert_true(tells(listener, "/ip4/192.0.2.2/tcp/4001"));
  say(listener, NULL);
  assert_true(tells(listener, "/ip4/192.0.2.2/tcp/4001"));
  say(listener, "/ip4/127.0.0.1/tcp/4001");
  assert_false(tells(listener, "/ip4/192.0.2.2/tcp/4001"));
  say(listener, external);
  kad__swarm_disconnect_peer(kad__node_swarm(listener),
                             kad__simulator_id(n.sim, 1), now());
  kad__node_drive(listener, now());
  assert_false(tells(listener, external));
  network_close(&n);
}

static void test_threshold(void **state) {
  (void)state;
  kad__node *node = open_node(1);
  observe(node, 1);
  assert_true(tells(node, external));
  network_close(&n);
}

static kad_bytes list_of(const char *a, const char *b) {
  static uint8_t list[256];
  size_t len = 0;
  (void)kad__addresses_append(list, sizeof(list), &len, parse(a));
  if (b != NULL) {
    (void)kad__addresses_append(list, sizeof(list), &len, parse(b));
  }
  return kad__bytes(list, len);
}

static void test_mapped(void **state) {
  (void)state;
  static const char *const other = "/ip4/192.0.2.1/tcp/4002";
  kad__node *node = open_node(0);
  kad__node_set_mapped(node, list_of(external, other), now());
  assert_true(tells(node, external));
  assert_true(tells(node, other));
  assert_false(kad__reach_known(node));
  kad__node_set_mapped(node, list_of(other, "/ip4/0.0.0.0/tcp/1"), now());
  assert_false(tells(node, external));
  assert_true(tells(node, other));
  assert_false(tells(node, "/ip4/0.0.0.0/tcp/1"));
  kad__node_set_mapped(node, (kad_bytes){0}, now());
  assert_false(tells(node, other));
  /* Nothing is left in the table. */
  for (size_t i = 0; i < KAD__REACH_MAX; i++) {
    assert_int_equal(node->reach.candidates[i].len, 0);
  }
  network_close(&n);
}

/* More than there is room for: those that are in use stay. */
static void test_full(void **state) {
  (void)state;
  kad__node *node = open_node(1);
  observe(node, 1);
  uint8_t list[1024];
  size_t len = 0;
  for (unsigned i = 0; i < 2 * KAD__REACH_MAX; i++) {
    char text[64];
    snprintf(text, sizeof(text), "/ip4/192.0.2.2/tcp/%u", 1 + i);
    (void)kad__addresses_append(list, sizeof(list), &len, parse(text));
  }
  kad__node_set_mapped(node, kad__bytes(list, len), now());
  assert_true(tells(node, external));
  assert_true(tells(node, "/ip4/192.0.2.2/tcp/1"));
  network_close(&n);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_observed),  cmocka_unit_test(test_what_a_peer_says),
      cmocka_unit_test(test_threshold), cmocka_unit_test(test_mapped),
      cmocka_unit_test(test_full),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
