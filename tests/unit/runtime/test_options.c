/* The public options, as callers of older releases and with mistakes. */
#include "kadmium/node.h"
#include "runtime/options.h"
#include "support.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void test_defaults(void **state) {
  (void)state;
  kad_node_options options = KAD_NODE_OPTIONS_INIT;
  kad__options read;
  assert_ok(kad__options_read(&read, &options));
  const kad__node_config *c = &read.config;
  assert_bytes_equal(c->protocol, kad__bytes_of(KAD_PROTOCOL_IPFS));
  assert_int_equal(c->mode, KAD_MODE_AUTO);
  assert_true(c->idle_timeout == 30 * KAD_SECOND);
  assert_int_equal(c->max_connections, 1000);
  assert_int_equal(c->listen_count + c->announce_count + c->bootstrap_count +
                       c->namespace_count,
                   0);
  assert_true(kad__bytes_start(c->agent, kad__bytes_of("kadmium/")));
  static const uint8_t zero[KAD_RANDOM_SEED_LEN];
  assert_memory_not_equal(c->seed, zero, sizeof(zero));
  kad__options_fini(&read);
}

static void test_values(void **state) {
  static const char *const listen[] = {"/ip4/127.0.0.1/tcp/1",
                                       "/ip6/::1/tcp/2"};
  static const char *const announce[] = {"/dns4/example.org/tcp/3"};
  static const char *const bootstrap[] = {"/ip4/192.0.2.1/tcp/4"};
  static const char *const namespaces[] = {"one", "two"};
  static const uint8_t seed[KAD_RANDOM_SEED_LEN] = {1, 2, 3};
  (void)state;
  kad_node_options options = KAD_NODE_OPTIONS_INIT;
  options.protocol = "/own/kad/1.0.0";
  options.agent = "agent";
  options.mode = KAD_MODE_SERVER;
  options.listen = listen;
  options.listen_count = COUNT(listen);
  options.announce = announce;
  options.announce_count = COUNT(announce);
  options.bootstrap = bootstrap;
  options.bootstrap_count = COUNT(bootstrap);
  options.namespaces = namespaces;
  options.namespace_count = COUNT(namespaces);
  options.idle_timeout = KAD_MINUTE;
  options.max_connections = 7;
  options.max_pending_inbound = 8;
  options.max_inbound_per_address = 9;
  options.max_inbound_per_group = 10;
  options.max_connections_per_peer = 11;
  options.seed = seed;
  kad__options read;
  assert_ok(kad__options_read(&read, &options));
  const kad__node_config *c = &read.config;
  assert_bytes_equal(c->protocol, kad__bytes_of("/own/kad/1.0.0"));
  assert_bytes_equal(c->agent, kad__bytes_of("agent"));
  assert_int_equal(c->listen_count, 2);
  assert_bytes_equal(c->listen[0], test_hex("047f000001060001"));
  assert_bytes_equal(c->listen[1],
                     test_hex("2900000000000000000000000000000001060002"));
  assert_bytes_equal(c->bootstrap[0], test_hex("04c0000201060004"));
  assert_int_equal(c->announce[0].data[0], 54);
  assert_bytes_equal(c->namespaces[1], kad__bytes_of("two"));
  assert_int_equal(c->max_connections, 7);
  assert_int_equal(c->max_pending_inbound, 8);
  assert_int_equal(c->max_inbound_per_address, 9);
  assert_int_equal(c->max_inbound_per_group, 10);
  assert_int_equal(c->max_connections_per_peer, 11);
  assert_true(c->idle_timeout == KAD_MINUTE);
  assert_memory_equal(c->seed, seed, sizeof(seed));
  kad__options_fini(&read);
}

static void test_security(void **state) {
  (void)state;
  const struct {
    uint8_t list[KAD_SECURITY_COUNT];
    int error;
  } cases[] = {
      {{0, 0}, 0},
      {{KAD_SECURITY_NOISE, 0}, 0},
      {{KAD_SECURITY_TLS, 0}, 0},
      {{KAD_SECURITY_TLS, KAD_SECURITY_NOISE}, 0},
      {{KAD_SECURITY_TLS, KAD_SECURITY_TLS}, KAD_E_INVALID_ARGUMENT},
      {{0, KAD_SECURITY_TLS}, KAD_E_INVALID_ARGUMENT},
      {{3, 0}, KAD_E_INVALID_ARGUMENT},
      {{KAD_SECURITY_NOISE, 3}, KAD_E_INVALID_ARGUMENT},
  };
  for (size_t i = 0; i < COUNT(cases); i++) {
    kad_node_options options = KAD_NODE_OPTIONS_INIT;
    memcpy(options.security, cases[i].list, sizeof(options.security));
    kad__options read;
    assert_error(cases[i].error, kad__options_read(&read, &options));
    if (cases[i].error == 0) {
      assert_memory_equal(read.config.security, cases[i].list,
                          sizeof(cases[i].list));
      kad__options_fini(&read);
    }
  }
}

static void test_limits(void **state) {
  (void)state;
  kad_node_options options = KAD_NODE_OPTIONS_INIT;
  options.max_inbound_streams_per_peer = 1;
  options.max_inbound_streams_per_address = 2;
  options.max_inbound_streams_per_group = 3;
  options.max_inbound_streams_in_all = 4;
  options.max_outbound_streams_per_peer = 5;
  options.max_outbound_streams_in_all = 6;
  options.max_memory = KAD_MEMORY_MIN;
  options.max_memory_per_peer = KAD_MEMORY_MIN + 1;
  options.max_memory_per_address = KAD_MEMORY_MIN + 2;
  options.max_memory_per_group = KAD_MEMORY_MIN + 3;
  options.inbound_burst_per_address = 7;
  options.inbound_rate_per_address = 8;
  options.inbound_burst_per_group = 9;
  options.inbound_rate_per_group = 10;
  options.max_dials = 11;
  options.max_dials_per_peer = KAD_DIALS_MAX;
  kad__options read;
  assert_ok(kad__options_read(&read, &options));
  const kad__node_config *c = &read.config;
  assert_int_equal(c->max_per_peer.inbound, 1);
  assert_int_equal(c->max_per_address.inbound, 2);
  assert_int_equal(c->max_per_group.inbound, 3);
  assert_int_equal(c->max_in_all.inbound, 4);
  assert_int_equal(c->max_per_peer.outbound, 5);
  assert_int_equal(c->max_in_all.outbound, 6);
  assert_int_equal(c->max_in_all.bytes, KAD_MEMORY_MIN);
  assert_int_equal(c->max_per_peer.bytes, KAD_MEMORY_MIN + 1);
  assert_int_equal(c->max_per_address.bytes, KAD_MEMORY_MIN + 2);
  assert_int_equal(c->max_per_group.bytes, KAD_MEMORY_MIN + 3);
  assert_int_equal(c->pace_per_address.burst, 7);
  assert_int_equal(c->pace_per_address.per_minute, 8);
  assert_int_equal(c->pace_per_group.burst, 9);
  assert_int_equal(c->pace_per_group.per_minute, 10);
  assert_int_equal(c->max_dials, 11);
  assert_int_equal(c->max_dials_per_peer, KAD_DIALS_MAX);
  kad__options_fini(&read);
}

/* One that makes no sense at a time. */
static void test_limits_that_make_no_sense(void **state) {
  (void)state;
  const kad_node_options none = KAD_NODE_OPTIONS_INIT;
  kad_node_options cases[7] = {none, none, none, none, none, none, none};
  cases[0].max_memory = KAD_MEMORY_MIN - 1;
  cases[1].max_memory_per_peer = 1;
  cases[2].max_memory_per_address = KAD_MEMORY_MIN - 1;
  cases[3].max_memory_per_group = KAD_MEMORY_MIN - 1;
  cases[4].max_dials = KAD_DIALS_MAX + 1;
  cases[5].max_dials_per_peer = KAD_DIALS_MAX + 1;
  cases[6].low_water = 11;
  cases[6].high_water = 10;
  for (size_t i = 0; i < COUNT(cases); i++) {
    kad__options read;
    assert_error(KAD_E_INVALID_ARGUMENT, kad__options_read(&read, &cases[i]));
  }
}

/* A caller that was built when the struct ended sooner: whatever stands behind
 * its end is not read. */
static void test_older_struct(void **state) {
  (void)state;
  kad_node_options whole = KAD_NODE_OPTIONS_INIT;
  whole.protocol = "/own/kad/1.0.0";
  whole.mode = KAD_MODE_CLIENT;
  size_t size = offsetof(kad_node_options, listen);
  whole.struct_size = size;
  kad_node_options *old = malloc(size);
  memcpy(old, &whole, size);
  kad__options read;
  assert_ok(kad__options_read(&read, old));
  assert_bytes_equal(read.config.protocol, kad__bytes_of("/own/kad/1.0.0"));
  assert_int_equal(read.config.mode, KAD_MODE_CLIENT);
  assert_int_equal(read.config.listen_count, 0);
  assert_int_equal(read.config.max_connections, 1000);
  kad__options_fini(&read);
  free(old);
}

/* And one of a newer release: what we do not know is ignored. */
static void test_newer_struct(void **state) {
  struct {
    kad_node_options known;
    const char *unknown;
  } newer = {.known = KAD_NODE_OPTIONS_INIT, .unknown = "future"};
  (void)state;
  newer.known.struct_size = sizeof(newer);
  newer.known.max_connections = 5;
  kad__options read;
  assert_ok(kad__options_read(&read, &newer.known));
  assert_int_equal(read.config.max_connections, 5);
  kad__options_fini(&read);
}

static void test_mistakes(void **state) {
  (void)state;
  static const char *const bad_addresses[] = {
      "", "127.0.0.1:80", "/ip4/1.2.3/tcp/1", "/ip4/1.2.3.4/tcp/65536", "/"};
  kad__options read;
  for (size_t i = 0; i < COUNT(bad_addresses); i++) {
    kad_node_options options = KAD_NODE_OPTIONS_INIT;
    const char *const list[] = {bad_addresses[i]};
    options.listen = list;
    options.listen_count = 1;
    assert_error(KAD_E_MULTIADDR, kad__options_read(&read, &options));
    options.listen_count = 0;
    options.announce = list;
    options.announce_count = 1;
    assert_error(KAD_E_MULTIADDR, kad__options_read(&read, &options));
    options.announce_count = 0;
    options.bootstrap = list;
    options.bootstrap_count = 1;
    assert_error(KAD_E_MULTIADDR, kad__options_read(&read, &options));
  }
  char long_name[66];
  memset(long_name, 'x', 65);
  long_name[65] = '\0';
  const char *const bad_names[] = {"", "a/b", "/a", long_name};
  for (size_t i = 0; i < COUNT(bad_names); i++) {
    kad_node_options options = KAD_NODE_OPTIONS_INIT;
    options.namespaces = &bad_names[i];
    options.namespace_count = 1;
    assert_error(KAD_E_INVALID_ARGUMENT, kad__options_read(&read, &options));
  }
  kad_node_options options = KAD_NODE_OPTIONS_INIT;
  options.listen_count = SIZE_MAX;
  assert_error(KAD_E_INVALID_ARGUMENT, kad__options_read(&read, &options));
}

/* What kad_node_new says about protocols, lengths and listeners. */
static void test_new(void **state) {
  (void)state;
  kad_node *node = NULL;
  char *long_agent = malloc(100001);
  memset(long_agent, 'x', 100000);
  long_agent[100000] = '\0';
  static const char *const protocols[] = {"", "kad", "/"};
  for (size_t i = 0; i < COUNT(protocols); i++) {
    kad_node_options options = KAD_NODE_OPTIONS_INIT;
    options.protocol = protocols[i];
    assert_error(KAD_E_INVALID_ARGUMENT, kad_node_new(&node, &options));
  }
  kad_node_options options = KAD_NODE_OPTIONS_INIT;
  options.agent = long_agent;
  assert_error(KAD_E_INVALID_ARGUMENT, kad_node_new(&node, &options));
  options = (kad_node_options)KAD_NODE_OPTIONS_INIT;
  long_agent[0] = '/';
  options.protocol = long_agent;
  assert_error(KAD_E_INVALID_ARGUMENT, kad_node_new(&node, &options));
  options = (kad_node_options)KAD_NODE_OPTIONS_INIT;
  static const char *const udp[] = {"/ip4/127.0.0.1/udp/0/quic-v1"};
  options.listen = udp;
  options.listen_count = 1;
  assert_error(KAD_E_UNSUPPORTED, kad_node_new(&node, &options));
  assert_null(node);
  free(long_agent);
}

/* A fixed seed gives a fixed identity. */
static void test_seed_decides(void **state) {
  static const uint8_t seed[KAD_RANDOM_SEED_LEN] = {9};
  (void)state;
  kad_node *nodes[3];
  for (int i = 0; i < 3; i++) {
    kad_node_options options = KAD_NODE_OPTIONS_INIT;
    options.seed = i < 2 ? seed : NULL;
    assert_ok(kad_node_new(&nodes[i], &options));
  }
  assert_true(kad_peer_id_equal(kad_node_id(nodes[0]), kad_node_id(nodes[1])));
  assert_false(kad_peer_id_equal(kad_node_id(nodes[0]), kad_node_id(nodes[2])));
  for (int i = 0; i < 3; i++) {
    kad_node_free(nodes[i]);
  }
}

static void test_without_memory(void **state) {
  static const char *const listen[] = {"/ip4/127.0.0.1/tcp/0"};
  (void)state;
  size_t fail_at = 0;
  int error;
  bool failed;
  do {
    test_allocator memory;
    test_allocator_init(&memory);
    memory.fail_at = ++fail_at;
    kad_node_options options = KAD_NODE_OPTIONS_INIT;
    options.allocator = &memory.allocator;
    options.listen = listen;
    options.listen_count = 1;
    kad_node *node = NULL;
    error = kad_node_new(&node, &options);
    failed = memory.calls >= fail_at;
    assert_true(error == 0 || (error == KAD_E_NO_MEMORY && failed));
    kad_node_free(node);
    if (memory.live != 0) {
      fail_msg("allocation %zu: %zu blocks leak", fail_at, memory.live);
    }
  } while (failed);
  assert_int_equal(error, 0);
  assert_true(fail_at > 20);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_defaults),
      cmocka_unit_test(test_values),
      cmocka_unit_test(test_limits),
      cmocka_unit_test(test_limits_that_make_no_sense),
      cmocka_unit_test(test_security),
      cmocka_unit_test(test_older_struct),
      cmocka_unit_test(test_newer_struct),
      cmocka_unit_test(test_mistakes),
      cmocka_unit_test(test_new),
      cmocka_unit_test(test_seed_decides),
      cmocka_unit_test(test_without_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
