/* Streams over all connections: with one peer, from one place, in all. Node 0
 * has the limits; the others open streams to it, or it to them. */
#include "limits_rig.h"

#define MANY 16

static int try_open(int node, kad__id connection, kad__stream **out) {
  return kad__stream_open_on(world.nodes[node].swarm, out, connection,
                             mesh_names("/x", NULL), 1, NULL, world.now);
}

static kad__stream *open_stream(int node, kad__id connection) {
  kad__stream *stream = NULL;
  assert_ok(try_open(node, connection, &stream));
  return stream;
}

/* All that `node` has heard of: how many were opened, and how many reset with
 * the code of limits; those are given back. */
static void tally(int node, unsigned *opened, unsigned *refused) {
  mesh_run(&world);
  mesh_node *n = &world.nodes[node];
  *opened = *refused = 0;
  while (n->event_read < n->event_count) {
    const kad__swarm_event *e = &n->events[n->event_read++];
    *opened += e->type == KAD__SWARM_STREAM_OPENED;
    if (e->type == KAD__SWARM_STREAM_DEAD) {
      assert_error(KAD_E_STREAM_RESET, e->error);
      assert_int_equal(kad__stream_reset_code(e->stream), KAD__RESET_LIMIT);
      kad__stream_release(e->stream);
      ++*refused;
    }
  }
  mesh_run(&world);
}

static void expect_tally(int node, unsigned opened, unsigned refused) {
  unsigned found_opened = 0;
  unsigned found_refused = 0;
  tally(node, &found_opened, &found_refused);
  assert_int_equal(found_opened, opened);
  assert_int_equal(found_refused, refused);
}

static uint64_t refused(void) {
  return kad__swarm_counters_get(world.nodes[0].swarm)->refused_streams;
}

static kad_usage usage(void) {
  kad_usage out;
  kad__swarm_usage(world.nodes[0].swarm, &out);
  return out;
}

static kad_usage usage_of(int node) {
  kad_usage out;
  assert_true(kad__swarm_usage_peer(world.nodes[0].swarm, &out,
                                    mesh_peer(&world, node)));
  return out;
}

/* The next inbound stream that node 0 was told of. */
static kad__stream *inbound(void) {
  return mesh_find(&world, 0, KAD__SWARM_STREAM_INBOUND)->stream;
}

/* ---- inbound ------------------------------------------------------------- */

static void test_per_peer(void **state) {
  (void)state;
  per_peer.inbound = 5;
  rig_start(3);
  kad__id first = rig_connect(1);
  kad__id second = rig_connect(1);
  for (int i = 0; i < 4; i++) {
    open_stream(1, first);
    open_stream(1, second);
  }
  expect_tally(1, 5, 3);
  assert_int_equal(refused(), 3);
  assert_int_equal(usage_of(1).inbound_streams.used, 5);
  assert_int_equal(usage_of(1).inbound_streams.limit, 5);
  assert_int_equal(usage_of(1).connections.used, 2);
  assert_int_equal(usage_of(1).inbound.used, 2);
  assert_int_equal(usage().inbound_streams.used, 5);
  /* Another peer has its own. */
  kad__id other = rig_connect(2);
  for (int i = 0; i < 6; i++) {
    open_stream(2, other);
  }
  expect_tally(2, 5, 1);
  assert_int_equal(usage().inbound_streams.used, 10);
  /* One given back is one that can come. */
  kad__stream_release(inbound());
  open_stream(1, second);
  open_stream(1, second);
  expect_tally(1, 1, 1);
  assert_int_equal(refused(), 5);
}

/* Also when its connection has ended. */
static void test_counts_until_released(void **state) {
  (void)state;
  per_peer.inbound = 3;
  rig_start(2);
  kad__id id = rig_connect(1);
  for (int i = 0; i < 3; i++) {
    open_stream(1, id);
  }
  expect_tally(1, 3, 0);
  mesh_cut(&world, KAD_E_IO);
  mesh_run(&world);
  assert_false(
      kad__swarm_connected(world.nodes[0].swarm, mesh_peer(&world, 1)));
  assert_int_equal(usage_of(1).connections.used, 0);
  assert_int_equal(usage_of(1).inbound_streams.used, 3);
  world.nodes[1].event_read = world.nodes[1].event_count;
  id = rig_connect(1);
  open_stream(1, id);
  expect_tally(1, 0, 1);
  kad__stream_release(inbound());
  mesh_run(&world);
  assert_int_equal(usage_of(1).inbound_streams.used, 2);
  open_stream(1, id);
  expect_tally(1, 1, 0);
  kad__stream_release(inbound());
  kad__stream_release(inbound());
  kad__stream_release(inbound());
  assert_int_equal(usage_of(1).inbound_streams.used, 0);
  /* Then nothing is known of it any more. */
  mesh_cut(&world, KAD_E_IO);
  mesh_run(&world);
  kad_usage out;
  assert_false(
      kad__swarm_usage_peer(world.nodes[0].swarm, &out, mesh_peer(&world, 1)));
  assert_int_equal(usage().memory.used, 0);
}

static void test_in_all(void **state) {
  (void)state;
  in_all.inbound = 7;
  rig_start(3);
  kad__id a = rig_connect(1);
  kad__id b = rig_connect(2);
  for (int i = 0; i < 5; i++) {
    open_stream(1, a);
  }
  expect_tally(1, 5, 0);
  for (int i = 0; i < 5; i++) {
    open_stream(2, b);
  }
  expect_tally(2, 2, 3);
  assert_int_equal(usage().inbound_streams.used, 7);
  assert_int_equal(usage().inbound_streams.limit, 7);
  assert_int_equal(usage().outbound_streams.used, 0);
  kad_usage of_stranger;
  assert_false(kad__swarm_usage_peer(world.nodes[0].swarm, &of_stranger,
                                     mesh_peer(&world, 0)));
}

/* Whoever has many names has one address. */
static void test_per_address(void **state) {
  (void)state;
  per_address.inbound = 3;
  rig_start(3);
  kad__id a = rig_connect(1);
  kad__id b = rig_connect(1);
  for (int i = 0; i < 3; i++) {
    open_stream(1, a);
    open_stream(1, b);
  }
  expect_tally(1, 3, 3);
  open_stream(2, rig_connect(2));
  expect_tally(2, 1, 0);
}

static void test_per_group(void **state) {
  (void)state;
  per_group.inbound = 4;
  rig_start(3);
  world.one_group = true;
  kad__id a = rig_connect(1);
  kad__id b = rig_connect(2);
  for (int i = 0; i < 3; i++) {
    open_stream(1, a);
    open_stream(2, b);
  }
  unsigned opened[2];
  unsigned reset[2];
  tally(1, &opened[0], &reset[0]);
  tally(2, &opened[1], &reset[1]);
  assert_int_equal(opened[0] + opened[1], 4);
  assert_int_equal(reset[0] + reset[1], 2);
  assert_int_equal(refused(), 2);
}

/* Holds what node 1 has to say from the moment in which it is connected. */
static bool hold_back(void *user, bool inbound, const kad_peer_id *peer,
                      kad_bytes remote) {
  (void)user;
  (void)inbound;
  (void)peer;
  (void)remote;
  world.held = true;
  return true;
}

static void holding_back(kad__swarm_config *config, int node) {
  rig_limits(config, node);
  if (node == 1) {
    config->gater.upgraded = hold_back;
  }
}

/* In one flight with the last of the handshake, when the connection does not
 * know the limit yet. */
static void test_from_the_start(void **state) {
  (void)state;
  per_peer.inbound = 2;
  mesh_init(&world, 2, holding_back);
  assert_ok(kad__swarm_handle(world.nodes[0].swarm, kad__bytes_of("/x"), 1));
  assert_ok(mesh_dial(&world, 1, 0));
  mesh_run(&world);
  assert_true(world.held);
  kad__id id = mesh_find(&world, 1, KAD__SWARM_CONNECTED)->connection;
  assert_false(
      kad__swarm_connected(world.nodes[0].swarm, mesh_peer(&world, 1)));
  for (int i = 0; i < 5; i++) {
    open_stream(1, id);
  }
  mesh_run(&world);
  world.held = false;
  expect_tally(1, 2, 3);
  assert_int_equal(refused(), 3);
}

/* ---- ours ---------------------------------------------------------------- */

static void test_ours_per_peer(void **state) {
  (void)state;
  per_peer.outbound = 3;
  rig_start(3);
  rig_connect(1);
  rig_connect(1);
  rig_connect(2);
  kad__id first = mesh_find(&world, 0, KAD__SWARM_CONNECTED)->connection;
  kad__id second = mesh_find(&world, 0, KAD__SWARM_CONNECTED)->connection;
  kad__id other = mesh_find(&world, 0, KAD__SWARM_CONNECTED)->connection;
  kad__stream *streams[3] = {open_stream(0, first), open_stream(0, second),
                             open_stream(0, second)};
  kad__stream *more = NULL;
  assert_error(KAD_E_LIMIT, try_open(0, first, &more));
  assert_error(KAD_E_LIMIT, try_open(0, second, &more));
  assert_int_equal(usage_of(1).outbound_streams.used, 3);
  assert_int_equal(usage_of(1).outbound_streams.limit, 3);
  more = open_stream(0, other);
  kad__stream_release(more);
  kad__stream_reset(streams[0], 0);
  streams[0] = open_stream(0, second);
  mesh_run(&world);
  for (int i = 0; i < 3; i++) {
    kad__stream_release(streams[i]);
  }
  mesh_run(&world);
  assert_int_equal(usage().outbound_streams.used, 0);
  /* Nothing of it was a refusal of others. */
  assert_int_equal(refused(), 0);
}

static void test_ours_in_all(void **state) {
  (void)state;
  in_all.outbound = 2;
  rig_start(3);
  rig_connect(1);
  rig_connect(2);
  kad__id a = mesh_find(&world, 0, KAD__SWARM_CONNECTED)->connection;
  kad__id b = mesh_find(&world, 0, KAD__SWARM_CONNECTED)->connection;
  kad__stream *more = NULL;
  open_stream(0, a);
  open_stream(0, b);
  assert_error(KAD_E_LIMIT, try_open(0, a, &more));
  assert_error(KAD_E_LIMIT, try_open(0, b, &more));
  mesh_run(&world);
}

/* ---- without memory ------------------------------------------------------ */

/* Whatever fails, the sums are right: mesh_run looks after each step. */
static void test_without_memory(void **state) {
  (void)state;
  per_peer = (kad__load){SIZE_MAX, 3, 3};
  rig_start(2);
  kad__id id = rig_connect(1);
  kad__id back = mesh_find(&world, 0, KAD__SWARM_CONNECTED)->connection;
  test_allocator *memory = &world.nodes[0].memory;
  for (size_t n = 1; n < 40; n++) {
    memory->fail_at = memory->calls + n;
    kad__stream *theirs = open_stream(1, id);
    kad__stream *ours = NULL;
    int result = try_open(0, back, &ours);
    assert_true(result == 0 || result == KAD_E_NO_MEMORY);
    mesh_run(&world);
    memory->fail_at = 0;
    if (result == 0) {
      kad__stream_release(ours);
    }
    kad__stream_reset(theirs, 0);
    mesh_run(&world);
    for (mesh_node *s = &world.nodes[0]; s->event_read < s->event_count;) {
      const kad__swarm_event *e = &s->events[s->event_read++];
      if (e->type == KAD__SWARM_STREAM_INBOUND) {
        kad__stream_release(e->stream);
      }
    }
    mesh_run(&world);
    world.nodes[0].event_count = world.nodes[0].event_read = 0;
    world.nodes[1].event_count = world.nodes[1].event_read = 0;
    assert_int_equal(usage_of(1).inbound_streams.used, 0);
    assert_int_equal(usage_of(1).outbound_streams.used, 0);
  }
}

/* Those that node 0 has ended are given back. */
static void sweep(int node) {
  mesh_run(&world);
  mesh_node *n = &world.nodes[node];
  while (n->event_read < n->event_count) {
    const kad__swarm_event *e = &n->events[n->event_read++];
    if (e->type == KAD__SWARM_STREAM_DEAD) {
      kad__stream_release(e->stream);
    }
  }
}

/* ---- any order ----------------------------------------------------------- */

/* A random crowd of two peers on four connections: never more than there may
 * be, and what is refused is what has no room. */
static void test_any_order(void **state) {
  (void)state;
  kad_random random;
  kad_random_init_u64(&random, test_seed("limits of streams"));
  in_all.inbound = 12;
  per_peer.inbound = 8;
  rig_start(3);
  kad__id ids[4] = {rig_connect(1), rig_connect(1), rig_connect(2),
                    rig_connect(2)};
  kad__stream *held[64];
  size_t count = 0;
  unsigned of_peer[3] = {0};
  kad_peer_id peers[3];
  for (int i = 1; i < 3; i++) {
    peers[i] = *mesh_peer(&world, i);
  }
  uint64_t expected = 0;
  for (int round = 0; round < 1500; round++) {
    if (count != 0 && kad_random_below(&random, 5) < 2) {
      size_t at = (size_t)kad_random_below(&random, count);
      bool of_first = kad_peer_id_equal(kad__stream_peer(held[at]), &peers[1]);
      of_peer[of_first ? 1 : 2]--;
      kad__stream_reset(held[at], 0);
      held[at] = held[--count];
      sweep(of_first ? 1 : 2);
      continue;
    }
    size_t at = (size_t)kad_random_below(&random, 4);
    int node = at < 2 ? 1 : 2;
    bool room = of_peer[node] < 8 && count < 12;
    open_stream(node, ids[at]);
    unsigned opened = 0;
    unsigned reset = 0;
    tally(node, &opened, &reset);
    assert_int_equal(opened, room);
    expected += !room;
    assert_int_equal(refused(), expected);
    of_peer[node] += room;
    if (room) {
      held[count++] = inbound();
    }
    world.nodes[0].event_count = world.nodes[0].event_read = 0;
    world.nodes[node].event_count = world.nodes[node].event_read = 0;
    assert_int_equal(usage().inbound_streams.used, count);
    assert_int_equal(usage_of(node).inbound_streams.used, of_peer[node]);
  }
  assert_true(expected > 50);
}

#define TEST(name) \
  cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(test_per_peer),       TEST(test_counts_until_released),
      TEST(test_in_all),         TEST(test_per_address),
      TEST(test_per_group),      TEST(test_from_the_start),
      TEST(test_ours_per_peer),  TEST(test_ours_in_all),
      TEST(test_without_memory), TEST(test_any_order),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
