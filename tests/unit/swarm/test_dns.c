/* Dialling does not wait for names: what is known is dialled while the rest
 * resolves. The test is the resolver. */
#include "mesh.h"

static mesh world;

static int setup(void **state) {
  (void)state;
  mesh_init(&world, 2, NULL);
  return 0;
}

static int teardown(void **state) {
  (void)state;
  mesh_fini(&world);
  return 0;
}

static kad__swarm *dialler(void) {
  return world.nodes[0].swarm;
}

/* Dials node 1 under the given names, whose look-ups are handed out. */
static void dial(const char *const *addresses, size_t count, kad__id *ids) {
  uint8_t list[1024];
  size_t len = 0;
  for (size_t i = 0; i < count; i++) {
    assert_true(kad__addresses_append(list, sizeof(list), &len,
                                      mesh_address(addresses[i])));
  }
  mesh_run(&world);
  assert_int_equal(kad__swarm_dial(dialler(), mesh_peer(&world, 1),
                                   kad__bytes(list, len), world.now),
                   0);
  kad__world_action action;
  size_t found = 0;
  while (found < count && kad__swarm_poll_action(dialler(), &action)) {
    assert_int_equal(action.type, KAD__WORLD_RESOLVE);
    ids[found++] = action.id;
  }
  assert_int_equal(found, count);
}

static void resolve(kad__id id, uint8_t last) {
  const uint8_t ip[4] = {10, 0, 0, last};
  kad__swarm_resolved(dialler(), id, kad__bytes(ip, sizeof(ip)), world.now);
}

static bool is_connected(void) {
  return kad__swarm_connected(dialler(), mesh_peer(&world, 1));
}

static const char *const two[] = {"/dns4/fast.example/tcp/4001",
                                  "/dns4/slow.example/tcp/4001"};

/* One name of two has one of its answers: that is enough. */
static void test_first_results_are_dialled(void **state) {
  (void)state;
  kad__id ids[2];
  dial(two, 2, ids);
  resolve(ids[0], 2);
  mesh_sleep(&world, 49 * KAD_MILLISECOND);
  assert_int_equal(world.nodes[0].dials, 0); /* better ones may come at once */
  mesh_sleep(&world, KAD_MILLISECOND);
  assert_true(is_connected());
  /* What comes later is for nobody. */
  size_t dials = world.nodes[0].dials;
  resolve(ids[0], 3);
  resolve(ids[1], 4);
  kad__swarm_resolve_end(dialler(), ids[0], 0, world.now);
  kad__swarm_resolve_end(dialler(), ids[1], KAD_E_RESOLVE, world.now);
  mesh_run(&world);
  assert_int_equal(world.nodes[0].dials, dials);
  assert_null(kad__swarm_check(dialler()));
}

/* The first answer leads nowhere; the dial goes on for the second name. */
static void test_the_rest_still_counts(void **state) {
  (void)state;
  kad__id ids[2];
  dial(two, 2, ids);
  resolve(ids[0], 99);
  kad__swarm_resolve_end(dialler(), ids[0], 0, world.now);
  mesh_run(&world);
  assert_false(is_connected());
  assert_null(mesh_find(&world, 0, KAD__SWARM_DIAL_FAILED));
  mesh_sleep(&world, KAD_SECOND);
  resolve(ids[1], 2);
  kad__swarm_resolve_end(dialler(), ids[1], 0, world.now);
  mesh_sleep(&world, KAD_SECOND);
  assert_true(is_connected());
}

static void test_all_names_fail(void **state) {
  (void)state;
  kad__id ids[2];
  dial(two, 2, ids);
  kad__swarm_resolve_end(dialler(), ids[0], KAD_E_RESOLVE, world.now);
  mesh_run(&world);
  assert_null(mesh_find(&world, 0, KAD__SWARM_DIAL_FAILED));
  kad__swarm_resolve_end(dialler(), ids[1], KAD_E_RESOLVE, world.now);
  mesh_run(&world);
  assert_error(KAD_E_RESOLVE,
               mesh_find(&world, 0, KAD__SWARM_DIAL_FAILED)->error);
}

/* A resolver that floods: what one dial takes of it is bounded. */
static void test_answers_are_bounded(void **state) {
  (void)state;
  kad__id ids[1];
  dial(two, 1, ids);
  for (unsigned i = 0; i < 5000; i++) {
    const uint8_t ip[4] = {10, 9, (uint8_t)(i >> 8), (uint8_t)i};
    kad__swarm_resolved(dialler(), ids[0], kad__bytes(ip, 4), world.now);
    kad__swarm_resolved(dialler(), ids[0], kad__bytes(ip, 3), world.now);
  }
  kad__swarm_resolve_end(dialler(), ids[0], 0, world.now);
  mesh_sleep(&world, KAD_MINUTE);
  assert_in_range(world.nodes[0].dials, 1, 100);
  assert_null(kad__swarm_check(dialler()));
}

typedef struct failure {
  const char *address;
  int error;
} failure;

/* Polls the failure of the dial, and compares what it tells. */
static void tells(const failure *wanted, size_t count) {
  kad__swarm_event event;
  do {
    assert_true(kad__swarm_poll_event(dialler(), &event));
  } while (event.type != KAD__SWARM_DIAL_FAILED);
  kad_bytes address;
  size_t cursor = 0;
  int error = 0;
  for (size_t i = 0; i < count; i++) {
    assert_true(
        kad__dial_failure_next(event.failed, &cursor, &address, &error));
    assert_bytes_equal(address, mesh_address(wanted[i].address));
    assert_error(wanted[i].error, error);
  }
  assert_false(kad__dial_failure_next(event.failed, &cursor, &address, &error));
}

/* Whoever asks why hears of all addresses: tried, passed over, unresolved. */
static void test_why(void **state) {
  (void)state;
  static const char *const addresses[] = {"/dns4/none.example/tcp/4001",
                                          "/dns4/some.example/tcp/4001",
                                          "/dns4/late.example/tcp/4001"};
  static const failure wanted[] = {
      {"/ip4/10.0.0.99/tcp/4001", KAD_E_REFUSED},
      {"/ip4/10.0.0.1/udp/4001/quic-v1", KAD_E_UNSUPPORTED},
      {"/dns4/none.example/tcp/4001", KAD_E_RESOLVE},
      {"/dns4/late.example/tcp/4001", KAD_E_TIMEOUT}};
  kad__id ids[3];
  assert_ok(kad__peerstore_add(
      kad__swarm_peerstore(dialler()), mesh_peer(&world, 1),
      mesh_address("/ip4/10.0.0.1/udp/4001/quic-v1"), KAD_HOUR, world.now));
  dial(addresses, 3, ids);
  kad__swarm_resolve_end(dialler(), ids[0], KAD_E_RESOLVE, world.now);
  resolve(ids[1], 99);
  kad__swarm_resolve_end(dialler(), ids[1], 0, world.now);
  kad__world_action action;
  assert_true(kad__swarm_poll_action(dialler(), &action));
  assert_int_equal(action.type, KAD__WORLD_DIAL);
  kad__swarm_dial_failed(dialler(), action.id, KAD_E_REFUSED, world.now);
  kad__swarm_tick(dialler(), world.now + 15 * KAD_SECOND);
  tells(wanted, KAD__COUNT(wanted));
}

/* A list without end is told up to a bound. */
static void test_why_is_bounded(void **state) {
  (void)state;
  kad__peerstore *known = kad__swarm_peerstore(dialler());
  char text[64];
  for (int i = 1; i <= 60; i++) {
    snprintf(text, sizeof(text), "/ip4/10.0.0.1/udp/%d/quic-v1", i);
    assert_ok(kad__peerstore_add(known, mesh_peer(&world, 1),
                                 mesh_address(text), KAD_HOUR, world.now));
  }
  kad__id ids[2];
  dial(two, 1, ids);
  kad__swarm_resolve_end(dialler(), ids[0], KAD_E_RESOLVE, world.now);
  kad__swarm_event event;
  assert_true(kad__swarm_poll_event(dialler(), &event));
  assert_error(KAD_E_RESOLVE, event.error);
  kad_bytes address;
  size_t cursor = 0;
  size_t count = 0;
  int error = 0;
  while (kad__dial_failure_next(event.failed, &cursor, &address, &error)) {
    count++;
  }
  assert_int_equal(count, 16);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(test_first_results_are_dialled),
      TEST(test_the_rest_still_counts),
      TEST(test_all_names_fail),
      TEST(test_answers_are_bounded),
      TEST(test_why),
      TEST(test_why_is_bounded),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
