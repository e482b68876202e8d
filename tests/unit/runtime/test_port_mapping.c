/* A gateway is asked for our port, tells its address, and is thanked. */
#include "gateways.h"
#include "loop.h"
#include "runtime/kad_node.h"
#include "runtime/port_mapping.h"

#define RENEW (200 * KAD_MILLISECOND)

static kad__port_mapping_config config_of(const char *natpmp,
                                          const char *upnp) {
  kad__port_mapping_config config;
  kad__port_mapping_config_default(&config);
  config.renew = RENEW;
  config.search = KAD_SECOND;
  config.natpmp_gateway = natpmp;
  config.upnp_url = upnp;
  config.only_these = true;
  config.loopback = true;
  return config;
}

static kad_node *map(loop *l, const kad__port_mapping_config *config) {
  kad_node *node = loop_join(l, NULL);
  kad__world *world = node->host.world;
  assert_ok(kad__port_mapping_new(&world->mapping, world, config));
  return node;
}

/* Is 192.0.2.77 with that port among our addresses? */
static bool tells(kad_node *node, unsigned port) {
  char text[64];
  uint8_t wanted[KAD_MULTIADDR_MAX];
  kad_bytes list = kad_node_addresses(node);
  kad_bytes address;
  snprintf(text, sizeof(text), "/ip4/192.0.2.77/tcp/%u", port);
  int len = kad_multiaddr_parse(wanted, sizeof(wanted), text);
  assert_ok(len);
  while (kad_addresses_next(&list, &address)) {
    if (kad__bytes_start(address, kad__bytes(wanted, (size_t)len))) {
      return true;
    }
  }
  return false;
}

static void await(loop *l, kad_node *node, unsigned port, bool on) {
  kad_time until = loop_now() + LOOP_LIMIT;
  while (tells(node, port) != on) {
    assert_true(loop_now() < until);
    loop_turn(l, 10);
  }
}

static void await_count(loop *l, atomic_uint *count, unsigned least) {
  kad_time until = loop_now() + LOOP_LIMIT;
  while (atomic_load(count) < least) {
    assert_true(loop_now() < until);
    loop_turn(l, 10);
  }
}

static void test_natpmp(void **state) {
  (void)state;
  loop l = {.count = 0};
  gateway g;
  if (!gateway_natpmp(&g)) {
    skip();
  }
  kad__port_mapping_config config = config_of("127.0.0.1", NULL);
  kad_node *node = map(&l, &config);
  await_count(&l, &g.maps, 3); /* it is renewed */
  assert_int_equal(atomic_load(&g.port), loop_port(node));
  assert_int_equal(atomic_load(&g.lifetime), 60);
  await(&l, node, atomic_load(&g.external), true);
  assert_int_equal(atomic_load(&g.removals), 0);
  loop_close(&l);
  assert_int_equal(atomic_load(&g.removals), 1);
  gateway_close(&g);
}

static void test_a_gateway_that_falls_silent(void **state) {
  (void)state;
  loop l = {.count = 0};
  gateway g;
  if (!gateway_natpmp(&g)) {
    skip();
  }
  kad__port_mapping_config config = config_of("127.0.0.1", NULL);
  kad_node *node = map(&l, &config);
  await_count(&l, &g.maps, 1);
  unsigned external = atomic_load(&g.external);
  await(&l, node, external, true);
  atomic_store(&g.silent, true);
  await(&l, node, external, false);
  atomic_store(&g.silent, false);
  await(&l, node, external, true);
  loop_close(&l);
  gateway_close(&g);
}

static void open_upnp(gateway *g, char url[64]) {
  assert_true(gateway_upnp(g));
  snprintf(url, 64, "http://127.0.0.1:%u/root.xml", g->listens);
}

static void test_upnp(void **state) {
  (void)state;
  loop l = {.count = 0};
  gateway g;
  char url[64];
  open_upnp(&g, url);
  kad__port_mapping_config config = config_of(NULL, url);
  kad_node *node = map(&l, &config);
  await_count(&l, &g.maps, 2);
  assert_int_equal(atomic_load(&g.port), loop_port(node));
  assert_int_equal(atomic_load(&g.external), loop_port(node));
  assert_int_equal(atomic_load(&g.lifetime), 60);
  await(&l, node, loop_port(node), true);
  loop_close(&l);
  assert_int_equal(atomic_load(&g.removals), 1);
  gateway_close(&g);
}

/* The port is another host's, and mappings have no end: there is a way. */
static void test_upnp_with_conditions(void **state) {
  (void)state;
  loop l = {.count = 0};
  gateway g;
  char url[64];
  open_upnp(&g, url);
  atomic_store(&g.taken, true);
  atomic_store(&g.permanent, true);
  kad__port_mapping_config config = config_of(NULL, url);
  kad_node *node = map(&l, &config);
  await(&l, node, loop_port(node) + 1U, true);
  assert_int_equal(atomic_load(&g.lifetime), 0);
  loop_close(&l);
  assert_int_equal(atomic_load(&g.removals), 1);
  gateway_close(&g);
}

/* Nobody is there: nothing comes of it, and the end does not wait. */
static void test_no_gateway(void **state) {
  (void)state;
  loop l = {.count = 0};
  kad__port_mapping_config config =
      config_of("127.0.0.2", "http://127.0.0.1:1/none.xml");
  kad_node *node = map(&l, &config);
  kad_time until = loop_now() + 2 * RENEW;
  while (loop_now() < until) {
    loop_turn(&l, 10);
    assert_false(tells(node, loop_port(node)));
  }
  kad_time start = loop_now();
  loop_close(&l);
  assert_true(loop_now() - start < 5 * KAD_SECOND);
}

static void test_no_memory(void **state) {
  (void)state;
  test_allocator memory;
  test_allocator_init(&memory);
  kad_node_options options = loop_options();
  options.allocator = &memory.allocator;
  kad_node *node = NULL;
  assert_ok(kad_node_new(&node, &options));
  kad__port_mapping_config config = config_of(NULL, NULL);
  memory.fail_at = memory.calls + 1;
  assert_error(KAD_E_NO_MEMORY,
               kad__port_mapping_new(&node->host.world->mapping,
                                     node->host.world, &config));
  memory.fail_at = 0;
  assert_ok(kad__port_mapping_new(&node->host.world->mapping, node->host.world,
                                  &config));
  kad_node_free(node);
  assert_int_equal(memory.live, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_natpmp),
      cmocka_unit_test(test_a_gateway_that_falls_silent),
      cmocka_unit_test(test_upnp),
      cmocka_unit_test(test_upnp_with_conditions),
      cmocka_unit_test(test_no_gateway),
      cmocka_unit_test(test_no_memory),
  };
  if (!kad__port_mapping_supported()) {
    return 0;
  }
  return cmocka_run_group_tests(tests, NULL, NULL);
}
