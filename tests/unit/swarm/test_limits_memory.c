/* What peers make us hold, and what happens when it is too much: in all, for
 * one peer, for one address, for one /48. Node 0 has the limits. */
#include "limits_rig.h"

#define KIB ((size_t)1024)
#define LOCAL "/ip4/10.0.0.1/tcp/4001"

static kad__stream *open_stream(int node, kad__id connection) {
  kad__stream *stream = NULL;
  assert_ok(kad__stream_open_on(world.nodes[node].swarm, &stream, connection,
                                mesh_names("/x", NULL), 1, NULL, world.now));
  return stream;
}

static int fill(kad__stream *stream, size_t len) {
  static uint8_t bytes[256 * 1024];
  return kad__stream_write(stream, kad__bytes(bytes, len));
}

static size_t held(void) {
  kad_usage out;
  kad__swarm_usage(world.nodes[0].swarm, &out);
  return out.memory.used;
}

static size_t held_of(int node) {
  kad_usage out;
  assert_true(kad__swarm_usage_peer(world.nodes[0].swarm, &out,
                                    mesh_peer(&world, node)));
  return out.memory.used;
}

static const kad_swarm_counters *counters(void) {
  return kad__swarm_counters_get(world.nodes[0].swarm);
}

/* Opens `count` streams one by one and sends `len` bytes on each, which nobody
 * reads; returns how many were reset for it. */
static unsigned flood(int node, kad__id connection, int count, size_t len) {
  unsigned reset = 0;
  for (int i = 0; i < count; i++) {
    kad__stream *stream = open_stream(node, connection);
    assert_ok(fill(stream, len));
    mesh_run(&world);
    mesh_node *n = &world.nodes[node];
    while (n->event_read < n->event_count) {
      const kad__swarm_event *e = &n->events[n->event_read++];
      if (e->type == KAD__SWARM_STREAM_DEAD) {
        assert_int_equal(kad__stream_reset_code(e->stream), KAD__RESET_LIMIT);
        kad__stream_release(e->stream);
        reset++;
      }
    }
    mesh_run(&world);
  }
  return reset;
}

/* Node 0 gives back every stream that it was told of. */
static void release_all(void) {
  mesh_node *n = &world.nodes[0];
  mesh_run(&world);
  while (n->event_read < n->event_count) {
    const kad__swarm_event *e = &n->events[n->event_read++];
    if (e->type == KAD__SWARM_STREAM_INBOUND) {
      kad__stream_release(e->stream);
    }
  }
  mesh_run(&world);
}

/* ---- streams ------------------------------------------------------------- */

static void test_per_peer(void **state) {
  (void)state;
  per_peer.bytes = 600 * KIB;
  rig_start(3);
  kad__id first = rig_connect(1);
  kad__id second = rig_connect(1);
  kad__id other = rig_connect(2);
  size_t idle = held_of(1);
  assert_true(idle > 1000 && idle < 16 * KIB);
  unsigned reset = flood(1, first, 4, 100 * KIB);
  assert_true(held_of(1) > 300 * KIB && held_of(1) < 700 * KIB);
  /* On its other connection there is no more room. */
  reset += flood(1, second, 4, 100 * KIB);
  assert_true(reset >= 2);
  assert_int_equal(counters()->starved_streams + counters()->refused_streams,
                   reset);
  assert_true(held_of(1) < 700 * KIB);
  assert_int_equal(flood(2, other, 4, 100 * KIB), 0);
  assert_true(held() > held_of(1) + 400 * KIB);
  assert_int_equal(counters()->overrun_connections, 0);
  release_all();
  assert_true(held_of(1) < idle + 4 * KIB);
  assert_int_equal(flood(1, second, 4, 100 * KIB), 0);
}

static void test_per_address(void **state) {
  (void)state;
  per_address.bytes = 300 * KIB;
  rig_start(3);
  kad__id id = rig_connect(1);
  kad__id other = rig_connect(2);
  assert_true(flood(1, id, 4, 100 * KIB) > 0);
  assert_int_equal(flood(2, other, 2, 100 * KIB), 0);
  /* The same address, under whatever name: it waits until there is room. */
  kad__id guest = 0;
  while (flood(1, id, 1, 40 * KIB) == 0 || flood(1, id, 1, 4 * KIB) == 0) {
  }
  while (flood(1, id, 1, 1) == 0) {
  }
  assert_int_equal(counters()->refused_memory, 0);
  for (int i = 0; i < 16 && counters()->refused_memory == 0; i++) {
    (void)kad__swarm_accepted(world.nodes[0].swarm, &guest, 1,
                              mesh_address("/ip4/10.0.0.2/tcp/7"),
                              mesh_address(LOCAL), world.now);
  }
  assert_int_equal(counters()->refused_memory, 1);
  assert_ok(kad__swarm_accepted(world.nodes[0].swarm, &guest, 1,
                                mesh_address("/ip4/10.0.0.3/tcp/7"),
                                mesh_address(LOCAL), world.now));
}

static void test_per_group(void **state) {
  (void)state;
  per_group.bytes = 300 * KIB;
  rig_start(4);
  world.one_group = true;
  kad__id a = rig_connect(1);
  kad__id b = rig_connect(2);
  world.one_group = false;
  kad__id c = rig_connect(3);
  unsigned reset = flood(1, a, 2, 100 * KIB);
  reset += flood(2, b, 2, 100 * KIB);
  assert_true(reset > 0);
  assert_int_equal(flood(3, c, 4, 100 * KIB), 0);
}

/* What others begin leaves an eighth to what we begin. */
static void test_in_all(void **state) {
  (void)state;
  in_all.bytes = 800 * KIB;
  rig_start(2);
  kad__id id = rig_connect(1);
  kad__id back = mesh_find(&world, 0, KAD__SWARM_CONNECTED)->connection;
  while (flood(1, id, 1, 50 * KIB) == 0) {
  }
  while (flood(1, id, 1, 100) == 0) {
  }
  assert_true(held() > 650 * KIB && held() <= 750 * KIB);
  kad__id guest = 0;
  while (kad__swarm_accepted(world.nodes[0].swarm, &guest, 1,
                             mesh_address("/ip4/127.0.0.1/tcp/7"),
                             mesh_address(LOCAL), world.now) == 0) {
  }
  assert_int_equal(counters()->refused_memory, 1);
  kad__stream *ours = open_stream(0, back);
  assert_ok(fill(ours, 1000));
  mesh_run(&world);
  kad__stream *theirs = mesh_find(&world, 1, KAD__SWARM_STREAM_INBOUND)->stream;
  assert_int_equal(kad__stream_peek(theirs).len, 1000);
  assert_ok(fill(theirs, 20 * KIB));
  mesh_run(&world);
  assert_int_equal(kad__stream_peek(ours).len, 20 * KIB);
  kad__stream_release(ours);
  mesh_run(&world);
  assert_int_equal(flood(1, id, 1, 1), 1);
}

/* ---- what we say --------------------------------------------------------- */

/* Answers that the peer does not take count, and are bounded. */
static void test_unsent(void **state) {
  (void)state;
  per_peer.bytes = 1000 * KIB;
  rig_start(2);
  kad__id id = rig_connect(1);
  kad__stream *theirs[8];
  kad__stream *ours[8];
  for (int i = 0; i < 8; i++) {
    theirs[i] = open_stream(1, id);
    mesh_run(&world);
    ours[i] = mesh_find(&world, 0, KAD__SWARM_STREAM_INBOUND)->stream;
  }
  size_t before = held_of(1);
  world.no_pull = true;
  int result = 0;
  size_t written = 0;
  for (int i = 0; i < 8 * 8 && result == 0; i++) {
    result = fill(ours[i / 8], 32 * KIB);
    written += result == 0 ? 32 * KIB : 0;
    assert_null(kad__swarm_check(world.nodes[0].swarm));
  }
  world.no_pull = false;
  assert_error(KAD_E_LIMIT, result);
  uint8_t *tail = NULL;
  assert_error(KAD_E_LIMIT, kad__stream_reserve(ours[7], &tail, 200 * KIB));
  assert_true(written >= 400 * KIB && written < 1000 * KIB);
  /* The last was refused by what is charged, not by what is known of late. */
  mesh_run(&world);
  for (int i = 0; i < 8; i++) {
    kad__stream_release(ours[i]);
    kad__stream_reset(theirs[i], 0);
  }
  mesh_sleep(&world, 40 * KAD_SECOND); /* a buffer was kept for a while */
  assert_true(held_of(1) <= before);
}

/* A buffer that would double beyond the limit is refused before it does: that
 * is no reason to close the connection. */
static void test_no_leap(void **state) {
  (void)state;
  per_peer.bytes = 200 * KIB;
  rig_start(2);
  kad__id id = rig_connect(1);
  kad__stream *stream = open_stream(1, id);
  mesh_run(&world);
  unsigned pieces = 0;
  while (mesh_find(&world, 1, KAD__SWARM_STREAM_DEAD) == NULL) {
    assert_true(pieces++ < 256);
    assert_ok(fill(stream, KIB));
    mesh_run(&world);
    assert_true(held_of(1) <= 200 * KIB);
  }
  assert_true(pieces > 100);
  assert_int_equal(kad__stream_reset_code(stream), KAD__RESET_LIMIT);
  assert_int_equal(counters()->starved_streams, 1);
  assert_int_equal(counters()->overrun_connections, 0);
  kad__stream_release(stream);
  stream = open_stream(0, mesh_connection(&world, 0));
  mesh_run(&world);
  world.no_pull = true;
  int result = 0;
  for (unsigned i = 0; i < 300 && result == 0; i++) {
    result = fill(stream, KIB);
    assert_true(held_of(1) <= 200 * KIB + 40 * KIB);
  }
  assert_error(KAD_E_LIMIT, result);
  world.no_pull = false;
  mesh_run(&world);
  assert_int_equal(counters()->overrun_connections, 0);
}

/* So does what waits for its protocol, and what an owner says it holds. */
static void test_held(void **state) {
  (void)state;
  rig_start(2);
  rig_connect(1);
  kad__id back = mesh_find(&world, 0, KAD__SWARM_CONNECTED)->connection;
  const kad__channel *c =
      kad__ids_find(&world.nodes[0].swarm->ids, back, KAD__OBJECT_CHANNEL);
  size_t before = held_of(1);
  kad__stream *stream = NULL;
  assert_ok(kad__stream_open_on(world.nodes[0].swarm, &stream, back,
                                mesh_names("/no", "/x"), 1, NULL, world.now));
  assert_ok(fill(stream, 100 * KIB));
  assert_true(c->held >= 100 * KIB && c->held <= 256 * KIB);
  assert_true(held_of(1) >= before + 100 * KIB);
  mesh_run(&world); /* agreed: it has left */
  assert_int_equal(c->held, 0);
  size_t agreed = held_of(1);
  kad__stream_charge(stream, 50 * KIB);
  assert_int_equal(held_of(1), agreed + 50 * KIB);
  kad__stream_charge(stream, 10 * KIB);
  assert_int_equal(held_of(1), agreed + 10 * KIB);
  assert_null(kad__swarm_check(world.nodes[0].swarm));
  kad__stream_release(stream);
  assert_int_equal(c->held, 0);
  mesh_run(&world);
  assert_true(held_of(1) < agreed);
}

/* ---- what is no stream's ------------------------------------------------- */

/* The beginning of a frame that never ends. */
static void half_frame(kad__id id, size_t len) {
  uint8_t *bytes = calloc(1, len);
  assert_non_null(bytes);
  bytes[0] = bytes[1] = 0xff;
  kad__swarm_input(world.nodes[0].swarm, id, bytes, len, world.now);
  free(bytes);
}

static void test_overrun(void **state) {
  (void)state;
  per_peer.bytes = 40 * KIB;
  rig_start(2);
  rig_connect(1);
  kad__id id = mesh_connection(&world, 0);
  half_frame(id, 30 * KIB);
  assert_int_equal(counters()->overrun_connections, 0);
  assert_true(held_of(1) > 30 * KIB);
  uint8_t more[30 * 1024] = {0};
  kad__swarm_input(world.nodes[0].swarm, id, more, sizeof(more), world.now);
  assert_int_equal(counters()->overrun_connections, 1);
  mesh_run(&world);
  kad__swarm_event *event = mesh_find(&world, 0, KAD__SWARM_DISCONNECTED);
  assert_error(KAD_E_LIMIT, event->error);
  event = mesh_find(&world, 1, KAD__SWARM_DISCONNECTED);
  assert_int_equal(event->code, KAD_CONNECTION_CODE_LIMIT);
  assert_int_equal(held(), 0);
}

/* Before it is known who it is there are the address and all. */
static void test_overrun_of_strangers(void **state) {
  (void)state;
  per_address.bytes = 20 * KIB;
  rig_start(1);
  kad__id id = 0;
  assert_ok(kad__swarm_accepted(world.nodes[0].swarm, &id, 1,
                                mesh_address("/ip4/10.0.0.9/tcp/7"),
                                mesh_address(LOCAL), world.now));
  mesh_run(&world);
  /* A private network or not: a frame of the handshake is bounded by itself. */
  uint8_t header[] = "\x13/multistream/1.0.0\n\x07/noise\n";
  kad__swarm_input(world.nodes[0].swarm, id, header, sizeof(header) - 1,
                   world.now);
  mesh_run(&world);
  assert_true(held() < 20 * KIB);
  kad__swarm_closed(world.nodes[0].swarm, id, KAD_E_IO, world.now);
  mesh_run(&world);
  assert_int_equal(held(), 0);
}

/* A peer without room is refused when it is known who it is, and told. */
static void test_refused_when_known(void **state) {
  (void)state;
  per_peer.bytes = 60 * KIB;
  rig_start(2);
  kad__id id = rig_connect(1);
  while (flood(1, id, 1, 20 * KIB) == 0) {
  }
  while (flood(1, id, 1, 1) == 0) {
  }
  half_frame(mesh_find(&world, 0, KAD__SWARM_CONNECTED)->connection, 10 * KIB);
  assert_true(held_of(1) >= 60 * KIB);
  kad__id second = rig_connect(1);
  kad__swarm_event *event = mesh_find(&world, 1, KAD__SWARM_DISCONNECTED);
  assert_true(event->connection == second);
  assert_int_equal(event->code, KAD_CONNECTION_CODE_LIMIT);
  assert_int_equal(counters()->refused_memory, 1);
}

/* ---- any order ----------------------------------------------------------- */

/* Bytes by the random; whatever happens, nobody holds more than may be held and
 * a little, and all of it comes back. */
static void test_any_order(void **state) {
  (void)state;
  kad_random random;
  kad_random_init_u64(&random, test_seed("limits of memory"));
  in_all.bytes = 700 * KIB;
  per_peer.bytes = 300 * KIB;
  per_address.bytes = 400 * KIB;
  rig_start(3);
  kad__id ids[4] = {rig_connect(1), rig_connect(1), rig_connect(2),
                    rig_connect(2)};
  unsigned reset = 0;
  for (int round = 0; round < 300; round++) {
    size_t at = (size_t)kad_random_below(&random, 4);
    size_t len = (size_t)kad_random_below(&random, 60 * KIB);
    reset += flood(at < 2 ? 1 : 2, ids[at], 1, len);
    assert_true(held() <= 700 * KIB * 7 / 8 + 16 * KIB);
    assert_true(held_of(1) <= 300 * KIB + 8 * KIB);
    assert_true(held_of(2) <= 300 * KIB + 8 * KIB);
    if (kad_random_below(&random, 20) == 0) {
      release_all();
      assert_true(held() < 100 * KIB);
    }
    for (int i = 0; i < 3; i++) {
      mesh_node *n = &world.nodes[i];
      if (n->event_read == n->event_count) {
        n->event_read = n->event_count = 0;
      }
    }
  }
  assert_true(reset > 20);
  assert_int_equal(counters()->overrun_connections, 0);
  mesh_cut(&world, KAD_E_IO);
  release_all();
  assert_int_equal(held(), 0);
}

#define TEST(name) \
  cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

int main(void) {
  negotiate_timeout = KAD_HOUR;
  const struct CMUnitTest tests[] = {
      TEST(test_per_peer),
      TEST(test_per_address),
      TEST(test_per_group),
      TEST(test_in_all),
      TEST(test_unsent),
      TEST(test_no_leap),
      TEST(test_held),
      TEST(test_overrun),
      TEST(test_overrun_of_strangers),
      TEST(test_any_order),
      TEST(test_refused_when_known),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
