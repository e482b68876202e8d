/* Too many connections: which are closed, when, and how many. */
#include "mesh.h"

static mesh world;

static void few(kad__swarm_config *config, int node) {
  if (node == 0) {
    config->low_water = 1;
    config->high_water = 2;
    config->grace_period = KAD_MINUTE;
    config->silence_period = 10 * KAD_SECOND;
  }
  config->idle_timeout = KAD_TIME_NEVER;
}

static int setup(void **state) {
  (void)state;
  mesh_init(&world, 4, few);
  return 0;
}

static int teardown(void **state) {
  (void)state;
  mesh_fini(&world);
  return 0;
}

static kad__swarm *swarm(void) {
  return world.nodes[0].swarm;
}

static bool connected(int node) {
  return kad__swarm_connected(swarm(), mesh_peer(&world, node));
}

static void value(int node, int of) {
  assert_ok(kad__values_tag(kad__swarm_values(swarm()), mesh_peer(&world, node),
                            "test", of));
}

static void connect_all(void) {
  for (int i = 1; i < 4; i++) {
    mesh_connect(&world, 0, i);
  }
}

static void test_least_valuable_first(void **state) {
  (void)state;
  value(1, 5);
  value(2, 9);
  value(3, 7);
  connect_all();
  mesh_sleep(&world, 59 * KAD_SECOND);
  assert_int_equal(kad__swarm_connection_count(swarm()), 3); /* all new */
  mesh_sleep(&world, 12 * KAD_SECOND);
  assert_int_equal(kad__swarm_connection_count(swarm()), 1);
  assert_true(connected(2));
  assert_int_equal(kad__swarm_counters_get(swarm())->trimmed, 2);
  kad__swarm_event *event = mesh_find(&world, 1, KAD__SWARM_DISCONNECTED);
  assert_int_equal(event->code, KAD_CONNECTION_CODE_GARBAGE_COLLECTED);
}

static void test_protected_ones_stay(void **state) {
  (void)state;
  value(2, 9);
  assert_ok(kad__values_protect(kad__swarm_values(swarm()),
                                mesh_peer(&world, 1), "test"));
  connect_all();
  mesh_sleep(&world, 80 * KAD_SECOND);
  assert_int_equal(kad__swarm_connection_count(swarm()), 1);
  assert_true(connected(1));
}

/* Of equals, who has streams stays; who is over no mark is left alone. */
static void test_streams_count(void **state) {
  (void)state;
  kad__stream *stream = NULL;
  assert_ok(kad__swarm_handle(world.nodes[3].swarm, kad__bytes_of("/x"), 1));
  connect_all();
  assert_ok(kad__stream_open(swarm(), &stream, mesh_peer(&world, 3),
                             mesh_names("/x", NULL), 1, NULL, world.now));
  mesh_sleep(&world, 80 * KAD_SECOND);
  assert_true(connected(3));
  assert_int_equal(kad__swarm_connection_count(swarm()), 1);
  for (int i = 0; i < 4; i++) {
    world.nodes[i].event_read = world.nodes[i].event_count;
  }
  mesh_connect(&world, 0, 1);
  mesh_sleep(&world, 200 * KAD_SECOND);
  assert_int_equal(kad__swarm_connection_count(swarm()), 2);
  kad__stream_release(stream);
}

static void test_at_once(void **state) {
  (void)state;
  connect_all();
  assert_int_equal(kad__swarm_trim(swarm(), false, world.now), 0);
  assert_int_equal(kad__swarm_trim(swarm(), true, world.now), 2);
  assert_int_equal(kad__swarm_connection_count(swarm()), 1);
  assert_int_equal(kad__swarm_trim(swarm(), true, world.now), 0);
  assert_null(kad__swarm_check(swarm()));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(test_least_valuable_first), TEST(test_protected_ones_stay),
      TEST(test_streams_count), TEST(test_at_once)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
