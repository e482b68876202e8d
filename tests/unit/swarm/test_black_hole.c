/* When a kind of address is given up, and how it comes back. */
#include "kadmium/random.h"
#include "mesh.h"
#include "swarm/black_hole.h"

static void note(kad__black_hole *hole, int times, bool answered) {
  for (int i = 0; i < times; i++) {
    kad__black_hole_note(hole, answered);
  }
}

static void test_states(void **state) {
  (void)state;
  kad__black_hole hole = {0};
  note(&hole, 99, false);
  assert_true(kad__black_hole_allows(&hole));
  assert_int_equal(hole.state, KAD__BLACK_HOLE_PROBING);
  note(&hole, 1, false);
  assert_int_equal(hole.state, KAD__BLACK_HOLE_BLOCKED);
  /* Each hundredth is let through. */
  for (int round = 0; round < 3; round++) {
    for (int i = 0; i < 99; i++) {
      assert_false(kad__black_hole_allows(&hole));
    }
    assert_true(kad__black_hole_allows(&hole));
    note(&hole, 1, false);
    assert_int_equal(hole.state, KAD__BLACK_HOLE_BLOCKED);
  }
  note(&hole, 1, true);
  assert_int_equal(hole.state, KAD__BLACK_HOLE_PROBING);
  assert_true(kad__black_hole_allows(&hole));
  note(&hole, 4, true);
  note(&hole, 96, false);
  assert_int_equal(hole.state, KAD__BLACK_HOLE_BLOCKED);
}

static void test_five_are_enough(void **state) {
  (void)state;
  kad__black_hole hole = {0};
  note(&hole, 5, true);
  note(&hole, 95, false);
  assert_int_equal(hole.state, KAD__BLACK_HOLE_ALLOWED);
  note(&hole, 1, false); /* one of the five falls out of the window */
  assert_int_equal(hole.state, KAD__BLACK_HOLE_BLOCKED);
}

/* Against a plain memory of the last hundred. */
static void test_window(void **state) {
  (void)state;
  kad_random random;
  bool last[1000];
  kad__black_hole hole = {0};
  kad_random_init_u64(&random, test_seed("black hole"));
  for (size_t i = 0; i < KAD__COUNT(last); i++) {
    last[i] = kad_random_below(&random, 12) == 0;
    if (hole.state == KAD__BLACK_HOLE_BLOCKED) {
      hole.state = KAD__BLACK_HOLE_ALLOWED; /* go on counting */
    }
    kad__black_hole_note(&hole, last[i]);
    uint8_t successes = 0;
    for (size_t j = i < 100 ? 0 : i - 99; j <= i; j++) {
      successes += last[j];
    }
    assert_int_equal(hole.successes, successes);
  }
}

/* ---- in a swarm ---------------------------------------------------------- */

static mesh world;

static int dial_anew(const char *address, unsigned n) {
  kad_peer_id peer = *mesh_peer(&world, 1);
  peer.bytes[peer.len - 1] = (uint8_t)n;
  peer.bytes[peer.len - 2] = (uint8_t)(n >> 8);
  return kad__swarm_dial(world.nodes[0].swarm, &peer, mesh_list(address),
                         world.now);
}

static void test_dials(void **state) {
  (void)state;
  mesh_init(&world, 2, NULL);
  world.blackhole = true;
  unsigned n = 0;
  for (; n < 100; n++) {
    assert_int_equal(dial_anew("/ip6/2001:4860::1/tcp/4001", n), 0);
    mesh_sleep(&world, 20 * KAD_SECOND);
  }
  assert_error(KAD_E_BLACK_HOLE, dial_anew("/ip6/2001:4860::1/tcp/4001", n++));
  assert_int_equal(kad__swarm_counters_get(world.nodes[0].swarm)->black_holed,
                   1);
  /* Others are as before. */
  assert_int_equal(dial_anew("/ip6/fd00::1/tcp/4001", n++), 0);
  assert_int_equal(dial_anew("/ip4/11.0.0.1/tcp/4001", n++), 0);
  mesh_sleep(&world, 20 * KAD_SECOND);
  mesh_fini(&world);
}

static void test_link_local(void **state) {
  (void)state;
  mesh_init(&world, 2, NULL);
  assert_error(KAD_E_NO_ADDRESS, dial_anew("/ip6/fe80::1/tcp/4001", 1));
  assert_error(KAD_E_NO_ADDRESS, dial_anew("/ip6/::/tcp/4001", 1));
  assert_error(KAD_E_NO_ADDRESS, dial_anew("/ip4/0.0.0.0/tcp/4001", 1));
  mesh_fini(&world);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_states), cmocka_unit_test(test_five_are_enough),
      cmocka_unit_test(test_window), cmocka_unit_test(test_dials),
      cmocka_unit_test(test_link_local)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
