/* The gater's five questions between two swarms: when they are asked, and what
 * becomes of a refusal. */
#include "mesh.h"

enum question { DIAL_PEER, DIAL_ADDRESS, ACCEPT, SECURED, UPGRADED, NOTHING };

typedef struct asked {
  enum question refused;
  unsigned counts[NOTHING];
  bool inbound;
  kad_peer_id peer;
} asked;

static mesh world;
static asked gates[MESH_NODES];

static bool answer(void *user, enum question question) {
  asked *a = user;
  a->counts[question]++;
  return a->refused != question;
}

static bool dial_peer(void *user, const kad_peer_id *peer) {
  ((asked *)user)->peer = *peer;
  return answer(user, DIAL_PEER);
}

static bool dial_address(void *user, const kad_peer_id *peer,
                         kad_bytes address) {
  assert_non_null(peer);
  assert_bytes_equal(address, mesh_address("/ip4/10.0.0.2/tcp/4001"));
  return answer(user, DIAL_ADDRESS);
}

static bool accept_channel(void *user, kad_bytes local, kad_bytes remote) {
  assert_true(local.len > 0 && remote.len > 0);
  return answer(user, ACCEPT);
}

static bool secured(void *user, bool inbound, const kad_peer_id *peer,
                    kad_bytes remote) {
  assert_true(remote.len > 0);
  ((asked *)user)->peer = *peer;
  ((asked *)user)->inbound = inbound;
  return answer(user, SECURED);
}

static bool upgraded(void *user, bool inbound, const kad_peer_id *peer,
                     kad_bytes remote) {
  asked *a = user;
  assert_true(remote.len > 0 && a->inbound == inbound);
  assert_true(kad_peer_id_equal(peer, &a->peer));
  return answer(user, UPGRADED);
}

static void with_gater(kad__swarm_config *config, int node) {
  gates[node] = (asked){.refused = NOTHING};
  config->gater = (kad_gater){.user = &gates[node],
                              .dial_peer = dial_peer,
                              .dial_address = dial_address,
                              .accept = accept_channel,
                              .secured = secured,
                              .upgraded = upgraded};
}

static int setup(void **state) {
  (void)state;
  mesh_init(&world, 2, with_gater);
  return 0;
}

static int teardown(void **state) {
  (void)state;
  mesh_fini(&world);
  return 0;
}

static uint64_t gated(int node) {
  return kad__swarm_counters_get(world.nodes[node].swarm)->gated;
}

static bool are_connected(void) {
  return kad__swarm_connected(world.nodes[0].swarm, mesh_peer(&world, 1)) &&
         kad__swarm_connected(world.nodes[1].swarm, mesh_peer(&world, 0));
}

static void test_each_is_asked_once(void **state) {
  (void)state;
  mesh_connect(&world, 0, 1);
  static const unsigned dialler[NOTHING] = {1, 1, 0, 1, 1};
  static const unsigned listener[NOTHING] = {0, 0, 1, 1, 1};
  assert_memory_equal(gates[0].counts, dialler, sizeof(dialler));
  assert_memory_equal(gates[1].counts, listener, sizeof(listener));
  assert_false(gates[0].inbound);
  assert_true(gates[1].inbound);
  assert_true(kad_peer_id_equal(&gates[1].peer, mesh_peer(&world, 0)));
  assert_int_equal(gated(0) + gated(1), 0);
  /* Nothing is asked about a peer that is connected. */
  assert_int_equal(mesh_dial(&world, 0, 1), 1);
  assert_int_equal(gates[0].counts[DIAL_PEER], 1);
}

static void test_dials(void **state) {
  (void)state;
  gates[0].refused = DIAL_PEER;
  assert_error(KAD_E_GATED, mesh_dial(&world, 0, 1));
  gates[0].refused = DIAL_ADDRESS;
  assert_error(KAD_E_GATED, mesh_dial(&world, 0, 1));
  assert_int_equal(world.nodes[0].dials, 0);
  assert_int_equal(gated(0), 2);
  /* What was refused is not held against the address. */
  gates[0].refused = NOTHING;
  mesh_connect(&world, 0, 1);
}

static void refused_by_listener(enum question question) {
  gates[1].refused = question;
  assert_int_equal(mesh_dial(&world, 0, 1), 0);
  mesh_run(&world);
  assert_int_equal(gated(1), 1);
  assert_false(are_connected());
  assert_int_equal(kad__swarm_connection_count(world.nodes[1].swarm), 0);
}

static void test_accept(void **state) {
  (void)state;
  refused_by_listener(ACCEPT);
  assert_int_equal(gates[1].counts[SECURED], 0);
  assert_true(mesh_find(&world, 0, KAD__SWARM_DIAL_FAILED) != NULL);
}

static void test_secured_inbound(void **state) {
  (void)state;
  refused_by_listener(SECURED);
  assert_int_equal(gates[1].counts[UPGRADED], 0);
  assert_error(KAD_E_GATED,
               mesh_find(&world, 1, KAD__SWARM_INBOUND_FAILED)->error);
}

/* Who is refused at the end learns why. */
static void test_upgraded_inbound(void **state) {
  (void)state;
  refused_by_listener(UPGRADED);
  assert_error(KAD_E_GATED,
               mesh_find(&world, 1, KAD__SWARM_INBOUND_FAILED)->error);
  kad__swarm_event *event = mesh_find(&world, 0, KAD__SWARM_DISCONNECTED);
  assert_non_null(event);
  assert_error(KAD_E_GO_AWAY, event->error);
  assert_int_equal(event->code, KAD_CONNECTION_CODE_GATED);
}

static void refused_by_dialler(enum question question) {
  gates[0].refused = question;
  assert_int_equal(mesh_dial(&world, 0, 1), 0);
  mesh_run(&world);
  assert_error(KAD_E_GATED,
               mesh_find(&world, 0, KAD__SWARM_DIAL_FAILED)->error);
  assert_int_equal(gated(0), 1);
  assert_false(are_connected());
}

static void test_secured_outbound(void **state) {
  (void)state;
  refused_by_dialler(SECURED);
}

static void test_upgraded_outbound(void **state) {
  (void)state;
  refused_by_dialler(UPGRADED);
}

/* A code of the owner's reaches the other side. */
static void test_close_with_a_code(void **state) {
  (void)state;
  mesh_connect(&world, 0, 1);
  kad__swarm_close(world.nodes[0].swarm, mesh_connection(&world, 0), 0x4711,
                   world.now);
  mesh_run(&world);
  kad__swarm_event *event = mesh_find(&world, 1, KAD__SWARM_DISCONNECTED);
  assert_error(KAD_E_GO_AWAY, event->error);
  assert_int_equal(event->code, 0x4711);
  event = mesh_find(&world, 0, KAD__SWARM_DISCONNECTED);
  assert_int_equal(event->error, 0);
  assert_int_equal(event->code, 0);
  const kad_swarm_counters *c = kad__swarm_counters_get(world.nodes[0].swarm);
  assert_int_equal(c->opened_outbound, 1);
  assert_int_equal(c->closed, 1);
  c = kad__swarm_counters_get(world.nodes[1].swarm);
  assert_int_equal(c->opened_inbound, 1);
}

static void two_streams(kad__swarm_config *config, int node) {
  config->yamux.max_inbound_streams = node == 1 ? 2 : 8;
}

/* Once the connection has ended: those that it would not take. */
static void test_refused_streams_are_counted(void **state) {
  (void)state;
  mesh_fini(&world);
  mesh_init(&world, 2, two_streams);
  mesh_connect(&world, 0, 1);
  assert_ok(kad__swarm_handle(world.nodes[1].swarm, kad__bytes_of("/x"), 1));
  for (int i = 0; i < 5; i++) {
    kad__stream *stream = NULL;
    assert_ok(kad__stream_open(world.nodes[0].swarm, &stream,
                               mesh_peer(&world, 1), mesh_names("/x", NULL), 1,
                               NULL, world.now));
  }
  mesh_run(&world);
  kad__swarm_disconnect_peer(world.nodes[1].swarm, mesh_peer(&world, 0),
                             world.now);
  mesh_run(&world);
  assert_int_equal(
      kad__swarm_counters_get(world.nodes[1].swarm)->refused_streams, 3);
}

static void test_facts(void **state) {
  (void)state;
  kad__connection_info info;
  mesh_connect(&world, 0, 1);
  kad__id id = mesh_connection(&world, 0);
  assert_true(kad__swarm_connection(world.nodes[0].swarm, id, &info));
  assert_int_equal(info.security, KAD__SECURITY_NOISE);
  assert_true(info.early_muxer);
  assert_false(info.inbound);
}

static void test_unlisten(void **state) {
  (void)state;
  kad__swarm *swarm = world.nodes[1].swarm;
  kad_bytes listed[4];
  kad_bytes address = mesh_address("/ip4/10.0.0.2/tcp/4001");
  assert_int_equal(kad__swarm_listen_addresses(swarm, listed, 4), 1);
  assert_false(
      kad__swarm_unlisten(swarm, mesh_address("/ip4/10.0.0.9/tcp/4001")));
  assert_true(kad__swarm_unlisten(swarm, address));
  assert_false(kad__swarm_unlisten(swarm, address));
  mesh_run(&world);
  assert_true(mesh_find(&world, 1, KAD__SWARM_LISTEN_CLOSED) != NULL);
  assert_int_equal(kad__swarm_listen_addresses(swarm, listed, 4), 0);
  assert_null(kad__swarm_check(swarm));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {TEST(test_each_is_asked_once),
                                     TEST(test_dials),
                                     TEST(test_accept),
                                     TEST(test_secured_inbound),
                                     TEST(test_upgraded_inbound),
                                     TEST(test_secured_outbound),
                                     TEST(test_upgraded_outbound),
                                     TEST(test_close_with_a_code),
                                     TEST(test_refused_streams_are_counted),
                                     TEST(test_facts),
                                     TEST(test_unlisten)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
