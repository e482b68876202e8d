/* Memory that runs out at every point, and bytes that are wrong. */
#include "mesh.h"

static mesh world;

/* ---- memory -------------------------------------------------------------- */

static void test_new_without_memory(void **state) {
  (void)state;
  kad_random random;
  kad_random_init_u64(&random, 1);
  kad_key_pair *key = NULL;
  assert_ok(kad_key_pair_generate(&key, kad_allocator_default(), &random));
  int result = -1;
  for (size_t fail_at = 1; result < 0; fail_at++) {
    test_allocator memory;
    test_allocator_init(&memory);
    memory.fail_at = fail_at;
    kad__swarm_config config;
    kad__swarm_config_default(&config);
    config.allocator = &memory.allocator;
    config.identity = key;
    config.random = &random;
    kad__swarm *swarm = NULL;
    result = kad__swarm_new(&swarm, &config, 0);
    if (result < 0) {
      assert_error(KAD_E_NO_MEMORY, result);
      assert_null(swarm);
    }
    kad__swarm_free(swarm);
    assert_int_equal(memory.live, 0);
  }
  kad_key_pair_free(key);
}

/* Answers whatever is asked, releases whatever ends; counts what happened. */
typedef struct tally {
  int connected;
  int disconnected;
  int failed;
  int answered;
} tally;

static void serve(int node, tally *t) {
  mesh_node *n = &world.nodes[node];
  while (n->event_read < n->event_count) {
    const kad__swarm_event *e = &n->events[n->event_read++];
    t->connected += e->type == KAD__SWARM_CONNECTED;
    t->disconnected += e->type == KAD__SWARM_DISCONNECTED;
    t->failed += e->type == KAD__SWARM_DIAL_FAILED;
    if (e->type == KAD__SWARM_STREAM_DEAD) {
      kad__stream_release(e->stream);
    } else if (e->type == KAD__SWARM_STREAM_READABLE) {
      kad_bytes in = kad__stream_peek(e->stream);
      t->answered += in.len != 0;
      if (e->inbound) {
        (void)kad__stream_write(e->stream, in);
      }
      kad__stream_consume(e->stream, in.len);
      /* Both are done; later events of it are in no list any more. */
      if (kad__stream_ended(e->stream)) {
        for (size_t i = n->event_read; i < n->event_count; i++) {
          if (n->events[i].stream == e->stream) {
            n->events[i].type = KAD__SWARM_LISTENING;
          }
        }
        kad__stream_release(e->stream);
      }
    }
  }
}

/* A look-up, a dial, two requests, a listener, a protocol, the end. */
static int scenario(tally *t) {
  static const mesh_name names[] = {
      {"b.example", KAD__RESOLVE_IP4, "/ip4/10.0.9.9"},
      {"b.example", KAD__RESOLVE_IP4, "/ip4/10.0.0.2"},
  };
  kad__swarm *a = world.nodes[0].swarm;
  world.names = names;
  world.name_count = KAD__COUNT(names);
  int worst = kad__swarm_handle(world.nodes[1].swarm, kad__bytes_of("/e"), 1);
  int result = kad__swarm_listen(a, mesh_address("/ip4/10.0.0.1/tcp/77"));
  worst = result < worst ? result : worst;
  result = kad__swarm_dial(a, mesh_peer(&world, 1),
                           mesh_list("/dns4/b.example/tcp/4001"), world.now);
  worst = result < worst ? result : worst;
  mesh_run(&world);
  kad__swarm_protect(a, mesh_peer(&world, 1), true);
  for (int i = 0; i < 2; i++) {
    kad__stream *stream = NULL;
    result = kad__stream_open(a, &stream, mesh_peer(&world, 1),
                              mesh_names(i == 0 ? "/e" : "/no", "/e"), 0, NULL,
                              world.now);
    worst = result < worst ? result : worst;
    if (result < 0) {
      continue;
    }
    (void)kad__stream_write(stream, kad__bytes_of("question"));
    (void)kad__stream_set_deadline(stream, world.now + KAD_SECOND);
    kad__stream_close_write(stream);
  }
  for (int i = 0; i < 4; i++) {
    mesh_run(&world);
    serve(0, &t[0]);
    serve(1, &t[1]);
  }
  mesh_sleep(&world, 30 * KAD_SECOND);
  serve(0, &t[0]);
  serve(1, &t[1]);
  kad__swarm_protect(a, mesh_peer(&world, 1), false);
  kad__swarm_disconnect_peer(a, mesh_peer(&world, 1), world.now);
  mesh_sleep(&world, 20 * KAD_SECOND);
  serve(0, &t[0]);
  serve(1, &t[1]);
  return worst;
}

static void test_every_allocation_fails(void **state) {
  (void)state;
  for (int node = 0; node < 2; node++) {
    size_t calls = 0;
    for (size_t nth = 0; nth == 0 || nth <= calls; nth++) {
      mesh_init(&world, 2, NULL);
      tally t[2] = {{0}};
      test_allocator *memory = &world.nodes[node].memory;
      size_t before = memory->calls;
      memory->fail_at = nth == 0 ? 0 : before + nth;
      int worst = scenario(t);
      if (nth == 0) {
        assert_int_equal(worst, 0);
        assert_int_equal(t[0].connected, 1);
        assert_int_equal(t[0].answered, 2);
        calls = memory->calls - before;
        print_message("node %d: %zu allocations\n", node, calls);
        assert_true(calls > 20);
      }
      /* Every dial ends in one way, every connection ends once. */
      assert_true(t[0].connected + t[0].failed <= 1);
      assert_int_equal(t[0].connected, t[0].disconnected);
      assert_int_equal(t[1].connected, t[1].disconnected);
      assert_int_equal(kad__swarm_connection_count(world.nodes[0].swarm), 0);
      assert_int_equal(kad__swarm_connection_count(world.nodes[1].swarm), 0);
      /* And the swarm still works. */
      memory->fail_at = 0;
      mesh_sleep(&world, KAD_MINUTE);
      serve(0, &t[0]);
      serve(1, &t[1]);
      if (kad__swarm_listen_addresses(world.nodes[1].swarm, &(kad_bytes){0},
                                      1) == 1) {
        mesh_connect(&world, 0, 1);
      }
      mesh_fini(&world);
    }
  }
}

/* ---- bytes --------------------------------------------------------------- */

/* Node 0 talks to node 1 while the byte at `at` of what it sends has `mask`
 * turned over (0: the rest is cut off). Whatever happens, node 1 goes on. */
static size_t disturbed(size_t at, uint8_t mask) {
  static uint8_t out[64 << 10];
  size_t seen = 0;
  mesh_init(&world, 2, NULL);
  kad__swarm *s[2] = {world.nodes[0].swarm, world.nodes[1].swarm};
  assert_ok(kad__swarm_handle(s[1], kad__bytes_of("/e"), 1));
  assert_int_equal(mesh_dial(&world, 0, 1), 0);
  kad__world_action action;
  assert_true(kad__swarm_poll_action(s[0], &action));
  kad__id ids[2] = {action.id, 0};
  kad_bytes local = mesh_address("/ip4/10.0.0.7/tcp/1");
  assert_ok(kad__swarm_accepted(s[1], &ids[1], 1, local, local, world.now));
  kad__swarm_dialed(s[0], ids[0], local, world.now);
  bool asked = false;
  for (bool any = true; any;) {
    any = false;
    for (int i = 0; i < 2; i++) {
      kad__id id = kad__swarm_next_output(s[i]);
      size_t len;
      while (id != 0 && (len = kad__swarm_output(s[i], id, out, sizeof(out),
                                                 world.now)) != 0) {
        any = true;
        if (i == 0 && at >= seen && at < seen + len) {
          out[at - seen] ^= mask;
          len = mask == 0 ? at - seen : len;
        }
        seen += i == 0 ? len : 0;
        if (!(i == 0 && mask == 0 && at <= seen)) {
          kad__swarm_input(s[1 - i], ids[1 - i], out, len, world.now);
        } else if (len != 0) {
          kad__swarm_input(s[1], ids[1], out, len, world.now);
          kad__swarm_closed(s[1], ids[1], 0, world.now);
        }
      }
    }
    if (!asked && kad__swarm_connected(s[0], mesh_peer(&world, 1))) {
      kad__stream *stream = NULL;
      asked = true;
      assert_ok(kad__stream_open(s[0], &stream, mesh_peer(&world, 1),
                                 mesh_names("/e", NULL), 0, NULL, world.now));
      assert_ok(kad__stream_write(stream, kad__bytes_of("question")));
      any = true;
    }
  }
  kad__swarm_closed(s[0], ids[0], 0, world.now);
  kad__swarm_closed(s[1], ids[1], 0, world.now);
  mesh_run(&world);
  for (int i = 0; i < 2; i++) {
    tally t = {0};
    serve(i, &t);
    assert_int_equal(t.connected, t.disconnected);
    assert_int_equal(kad__swarm_connection_count(s[i]), 0);
  }
  mesh_sleep(&world, KAD_MINUTE);
  tally t = {0};
  serve(0, &t);
  serve(1, &t);
  mesh_connect(&world, 0, 1);
  mesh_fini(&world);
  return seen;
}

static void test_every_byte_is_disturbed(void **state) {
  (void)state;
  size_t len = disturbed(SIZE_MAX, 1);
  assert_true(len > 200);
  for (size_t at = 0; at < len; at++) {
    disturbed(at, (uint8_t)(1u << at % 8));
  }
}

static void test_every_prefix(void **state) {
  (void)state;
  size_t len = disturbed(SIZE_MAX, 1);
  for (size_t at = 1; at < len; at += 1) {
    disturbed(at, 0);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_new_without_memory),
      cmocka_unit_test(test_every_allocation_fails),
      cmocka_unit_test(test_every_byte_is_disturbed),
      cmocka_unit_test(test_every_prefix),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
