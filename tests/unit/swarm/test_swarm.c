/* Connections as a whole: listening, limits, idling, congestion, ends. */
#include "mesh.h"
#include "swarm/peerstore_internal.h"
#include "swarm/swarm_internal.h"

static mesh world;

static void start(int nodes, mesh_tweak *tweak) {
  mesh_init(&world, nodes, tweak);
}

static int teardown(void **state) {
  (void)state;
  mesh_fini(&world);
  world.nodes[0].swarm = NULL;
  return 0;
}

/* ---- configuration and listening ----------------------------------------- */

static void test_config(void **state) {
  (void)state;
  start(1, NULL);
  kad__swarm_config config;
  kad__swarm_config_default(&config);
  kad__swarm *swarm = NULL;
  assert_error(KAD_E_INVALID_ARGUMENT,
               kad__swarm_new(&swarm, &config, world.now));
  kad__swarm_free(NULL);
}

static void test_listening(void **state) {
  (void)state;
  start(1, NULL);
  kad__swarm *swarm = world.nodes[0].swarm;
  kad_bytes bound[4];
  assert_int_equal(kad__swarm_listen_addresses(swarm, bound, 4), 1);
  assert_bytes_equal(bound[0], mesh_address("/ip4/10.0.0.1/tcp/4001"));
  assert_ok(kad__swarm_listen(swarm, mesh_address("/ip6/::1/tcp/5")));
  assert_ok(kad__swarm_listen(swarm, mesh_address("/ip4/10.0.0.1/tcp/9")));
  static const char *no[] = {"/ip4/1.2.3.4/udp/1/quic-v1",
                             "/dns4/example.com/tcp/1",
                             "/ip4/1.2.3.4/tcp/1/ws"};
  for (size_t i = 0; i < KAD__COUNT(no); i++) {
    assert_error(KAD_E_UNSUPPORTED,
                 kad__swarm_listen(swarm, mesh_address(no[i])));
  }
  assert_error(KAD_E_MULTIADDR, kad__swarm_listen(swarm, (kad_bytes){0}));
  mesh_run(&world);
  mesh_expect(&world, 0, KAD__SWARM_LISTENING);
  assert_error(KAD_E_ADDRESS_IN_USE,
               mesh_expect(&world, 0, KAD__SWARM_LISTEN_FAILED)->error);
  assert_int_equal(kad__swarm_listen_addresses(swarm, bound, 4), 2);
  assert_int_equal(kad__swarm_listen_addresses(swarm, bound, 1), 1);
}

/* A wildcard becomes several addresses; an event each, bytes intact. */
static void test_listening_on_many(void **state) {
  (void)state;
  start(1, NULL);
  kad__swarm *swarm = world.nodes[0].swarm;
  assert_ok(kad__swarm_listen(swarm, mesh_address("/ip4/0.0.0.0/tcp/0")));
  kad__world_action action;
  assert_true(kad__swarm_poll_action(swarm, &action));
  assert_int_equal(action.type, KAD__WORLD_LISTEN);
  assert_bytes_equal(action.address, mesh_address("/ip4/0.0.0.0/tcp/0"));
  static const char *bound[] = {"/ip4/127.0.0.1/tcp/7", "/ip4/10.1.1.1/tcp/7"};
  uint8_t list[128];
  size_t len = 0;
  for (size_t i = 0; i < 2; i++) {
    assert_true(kad__addresses_append(list, sizeof(list), &len,
                                      mesh_address(bound[i])));
  }
  kad__swarm_listening(swarm, action.id, kad__bytes(list, len), world.now);
  kad__swarm_event event;
  for (size_t i = 0; i < 2; i++) {
    assert_true(kad__swarm_poll_event(swarm, &event));
    assert_int_equal(event.type, KAD__SWARM_LISTENING);
    assert_bytes_equal(event.address, mesh_address(bound[i]));
  }
  assert_false(kad__swarm_poll_event(swarm, &event));
  /* Bound to nothing at all: the listener is given up. */
  assert_ok(kad__swarm_listen(swarm, mesh_address("/ip4/0.0.0.0/tcp/8")));
  assert_true(kad__swarm_poll_action(swarm, &action));
  kad__swarm_listening(swarm, action.id, (kad_bytes){0}, world.now);
  assert_true(kad__swarm_poll_event(swarm, &event));
  assert_int_equal(event.type, KAD__SWARM_LISTEN_FAILED);
  kad__id id = action.id;
  assert_true(kad__swarm_poll_action(swarm, &action));
  assert_int_equal(action.type, KAD__WORLD_UNLISTEN);
  assert_true(action.id == id);
  assert_false(kad__swarm_poll_action(swarm, &action));
  kad__swarm_listen_failed(swarm, id, KAD_E_IO);
  assert_false(kad__swarm_poll_event(swarm, &event));
}

/* ---- limits -------------------------------------------------------------- */

static int accept_from(const char *remote, kad__id *id) {
  return kad__swarm_accepted(world.nodes[0].swarm, id, 1, mesh_address(remote),
                             mesh_address("/ip4/10.0.0.1/tcp/4001"), world.now);
}

static void two_per_address(kad__swarm_config *config, int node) {
  (void)node;
  config->max_inbound_per_address = 2;
}

static void test_limit_per_address(void **state) {
  (void)state;
  static const struct {
    const char *same[3];
    const char *other;
  } places[] = {
      {{"/ip4/1.2.3.4/tcp/1", "/ip4/1.2.3.4/tcp/2", "/ip4/1.2.3.4/tcp/3"},
       "/ip4/1.2.3.5/tcp/1"},
      {{"/ip6/2001:db8::1/tcp/1", "/ip6/2001:db8::2/tcp/1",
        "/ip6/2001:db8:0:0:ffff::/tcp/1"},
       "/ip6/2001:db8:0:1::1/tcp/1"},
      {{"/ip6/::ffff:9.9.9.9/tcp/1", "/ip4/9.9.9.9/tcp/1",
        "/ip6/::ffff:9.9.9.9/tcp/2"},
       "/ip6/::ffff:9.9.9.8/tcp/1"},
  };
  start(1, two_per_address);
  kad__swarm *swarm = world.nodes[0].swarm;
  for (size_t i = 0; i < KAD__COUNT(places); i++) {
    kad__id first = 0;
    kad__id id = 0;
    assert_ok(accept_from(places[i].same[0], &first));
    assert_ok(accept_from(places[i].same[1], &id));
    assert_error(KAD_E_LIMIT, accept_from(places[i].same[2], &id));
    assert_ok(accept_from(places[i].other, &id));
    kad__swarm_closed(swarm, first, KAD_E_IO, world.now);
    assert_ok(accept_from(places[i].same[2], &id));
    assert_error(KAD_E_LIMIT, accept_from(places[i].same[0], &id));
  }
  for (int i = 0; i < 10; i++) {
    kad__id id = 0;
    assert_ok(
        accept_from(i % 2 ? "/ip4/127.0.0.1/tcp/1" : "/ip6/::1/tcp/1", &id));
  }
}

static void few_pending(kad__swarm_config *config, int node) {
  (void)node;
  config->max_pending_inbound = 3;
}

static void test_limit_of_pending(void **state) {
  (void)state;
  start(1, few_pending);
  kad__id ids[3];
  for (int i = 0; i < 3; i++) {
    assert_ok(accept_from("/ip4/127.0.0.1/tcp/1", &ids[i]));
  }
  kad__id id = 0;
  assert_error(KAD_E_LIMIT, accept_from("/ip4/127.0.0.1/tcp/1", &id));
  /* Half-open channels time out and make room. */
  mesh_sleep(&world, 15 * KAD_SECOND);
  for (int i = 0; i < 3; i++) {
    kad__swarm_event *event = mesh_expect(&world, 0, KAD__SWARM_INBOUND_FAILED);
    assert_error(KAD_E_TIMEOUT, event->error);
  }
  assert_int_equal(world.nodes[0].closes, 3);
  assert_ok(accept_from("/ip4/127.0.0.1/tcp/1", &id));
}

static void small(kad__swarm_config *config, int node) {
  if (node == 0) {
    config->max_connections = 1;
  }
}

static void test_limit_of_connections(void **state) {
  (void)state;
  start(3, small);
  mesh_connect(&world, 1, 0);
  assert_int_equal(mesh_dial(&world, 2, 0), 0);
  mesh_run(&world);
  mesh_expect(&world, 2, KAD__SWARM_DIAL_FAILED);
  assert_error(KAD_E_LIMIT, mesh_dial(&world, 0, 2));
  mesh_expect_none(&world, 0);
}

/* Two upgrades run when there is room for one: the later one is refused. */
static void test_limit_at_establishing(void **state) {
  (void)state;
  start(3, small);
  world.held = true;
  assert_int_equal(mesh_dial(&world, 1, 0), 0);
  assert_int_equal(mesh_dial(&world, 2, 0), 0);
  mesh_run(&world);
  world.held = false;
  mesh_run(&world);
  mesh_expect(&world, 0, KAD__SWARM_CONNECTED);
  assert_error(KAD_E_LIMIT,
               mesh_expect(&world, 0, KAD__SWARM_INBOUND_FAILED)->error);
  mesh_expect_none(&world, 0);
  assert_int_equal(kad__swarm_connection_count(world.nodes[0].swarm), 1);
}

static void two_per_peer(kad__swarm_config *config, int node) {
  (void)node;
  config->max_connections_per_peer = 2;
}

static void test_limit_per_peer(void **state) {
  (void)state;
  start(2, two_per_peer);
  kad__id id = 0;
  for (int i = 0; i < 3; i++) {
    assert_ok(kad__swarm_dial_address(world.nodes[0].swarm, &id,
                                      mesh_address(world.nodes[1].listen),
                                      world.now));
    mesh_run(&world);
  }
  assert_int_equal(kad__swarm_connection_count(world.nodes[0].swarm), 2);
  assert_int_equal(kad__swarm_connection_count(world.nodes[1].swarm), 2);
  kad__swarm_event *event = mesh_find(&world, 0, KAD__SWARM_DIAL_FAILED);
  assert_non_null(event);
  assert_true(event->dial == id);
}

static void little_memory(kad__swarm_config *config, int node) {
  config->max_in_all.bytes = node == 0 ? 20000 : SIZE_MAX;
}

static void test_limit_of_memory(void **state) {
  (void)state;
  start(1, little_memory);
  int result = 0;
  int count = 0;
  kad__id ids[100];
  while (count < 100 && result == 0) {
    result = accept_from("/ip4/127.0.0.1/tcp/1", &ids[count]);
    count += result == 0;
  }
  assert_error(KAD_E_LIMIT, result);
  assert_true(count > 2 && count < 40);
  for (int i = 0; i < count; i++) {
    kad__swarm_closed(world.nodes[0].swarm, ids[i], 0, world.now);
  }
  mesh_run(&world);
  assert_ok(accept_from("/ip4/127.0.0.1/tcp/1", &ids[0]));
}

/* ---- idling -------------------------------------------------------------- */

static void quick(kad__swarm_config *config, int node) {
  config->idle_timeout = node == 0 ? 10 * KAD_SECOND : KAD_HOUR;
}

static kad__connection_info facts_of(int node) {
  kad__connection_info info;
  assert_true(kad__swarm_connection(world.nodes[node].swarm,
                                    mesh_connection(&world, node), &info));
  return info;
}

static void test_bytes_of_a_connection(void **state) {
  (void)state;
  start(2, NULL);
  mesh_connect(&world, 0, 1);
  kad__connection_info before = facts_of(0);
  kad__connection_info other = facts_of(1);
  assert_true(before.bytes_in > 0 && before.bytes_out > 0);
  assert_true(before.bytes_in == other.bytes_out);
  assert_true(before.bytes_out == other.bytes_in);
  kad__stream *stream = NULL;
  assert_ok(kad__stream_open(world.nodes[0].swarm, &stream,
                             mesh_peer(&world, 1), mesh_names("/nobody", NULL),
                             7, NULL, world.now));
  mesh_run(&world);
  kad__connection_info after = facts_of(0);
  other = facts_of(1);
  assert_true(after.bytes_out > before.bytes_out);
  assert_true(after.bytes_in == other.bytes_out);
  assert_true(after.bytes_out == other.bytes_in);
  kad__stream_release(stream);
}

static void test_idle_is_closed(void **state) {
  (void)state;
  start(2, quick);
  mesh_connect(&world, 0, 1);
  mesh_sleep(&world, 10 * KAD_SECOND - 1);
  mesh_expect_none(&world, 0);
  mesh_sleep(&world, 1);
  kad__swarm_event *event = mesh_expect(&world, 0, KAD__SWARM_DISCONNECTED);
  assert_int_equal(event->error, 0);
  assert_true(event->last);
  event = mesh_expect(&world, 1, KAD__SWARM_DISCONNECTED);
  assert_true(event->error < 0);
  assert_false(
      kad__swarm_connected(world.nodes[0].swarm, mesh_peer(&world, 1)));
  mesh_sleep(&world, KAD_MINUTE);
  mesh_expect_none(&world, 0);
}

static void test_streams_keep_it(void **state) {
  (void)state;
  start(2, quick);
  assert_ok(kad__swarm_handle(world.nodes[0].swarm, kad__bytes_of("/echo"), 1));
  mesh_connect(&world, 0, 1);
  kad__stream *stream = NULL;
  assert_ok(kad__stream_open(world.nodes[1].swarm, &stream,
                             mesh_peer(&world, 0), mesh_names("/echo", NULL), 0,
                             NULL, world.now));
  mesh_sleep(&world, KAD_MINUTE);
  kad__stream *theirs =
      mesh_expect(&world, 0, KAD__SWARM_STREAM_INBOUND)->stream;
  mesh_expect_none(&world, 0);
  kad__stream_release(stream);
  mesh_sleep(&world, KAD_MINUTE / 2);
  mesh_expect(&world, 0, KAD__SWARM_STREAM_READABLE);
  mesh_expect_none(&world, 0);
  kad__stream_release(theirs);
  mesh_sleep(&world, 9 * KAD_SECOND);
  mesh_expect_none(&world, 0);
  mesh_sleep(&world, KAD_SECOND);
  mesh_expect(&world, 0, KAD__SWARM_DISCONNECTED);
}

static void test_protected_stays(void **state) {
  (void)state;
  start(2, quick);
  kad__swarm *swarm = world.nodes[0].swarm;
  kad__swarm_protect(swarm, mesh_peer(&world, 1), true);
  kad__swarm_protect(swarm, mesh_peer(&world, 1), true);
  mesh_connect(&world, 0, 1);
  mesh_sleep(&world, KAD_HOUR / 2);
  mesh_expect_none(&world, 0);
  kad__swarm_protect(swarm, mesh_peer(&world, 1), false);
  mesh_sleep(&world, 9 * KAD_SECOND);
  mesh_expect_none(&world, 0);
  mesh_sleep(&world, KAD_SECOND);
  mesh_expect(&world, 0, KAD__SWARM_DISCONNECTED);
  kad__swarm_protect(swarm, mesh_peer(&world, 1), false);
}

/* The other side is gone without a word. */
static void test_silence_is_noticed(void **state) {
  (void)state;
  start(2, NULL);
  assert_ok(kad__swarm_handle(world.nodes[1].swarm, kad__bytes_of("/echo"), 1));
  mesh_connect(&world, 0, 1);
  kad__stream *stream = NULL;
  assert_ok(kad__stream_open(world.nodes[0].swarm, &stream,
                             mesh_peer(&world, 1), mesh_names("/echo", NULL), 0,
                             NULL, world.now));
  mesh_run(&world);
  mesh_expect(&world, 0, KAD__SWARM_STREAM_OPENED);
  world.held = true;
  mesh_sleep(&world, 41 * KAD_SECOND);
  kad__swarm_event *event = mesh_expect(&world, 0, KAD__SWARM_STREAM_DEAD);
  assert_error(KAD_E_TIMEOUT, event->error);
  kad__stream_release(stream);
  event = mesh_expect(&world, 0, KAD__SWARM_DISCONNECTED);
  assert_error(KAD_E_TIMEOUT, event->error);
}

/* ---- ends ---------------------------------------------------------------- */

static void test_disconnect_peer(void **state) {
  (void)state;
  start(3, NULL);
  mesh_connect(&world, 0, 1);
  kad__id id = 0;
  assert_ok(kad__swarm_dial_address(world.nodes[0].swarm, &id,
                                    mesh_address(world.nodes[1].listen),
                                    world.now));
  mesh_run(&world);
  assert_false(mesh_expect(&world, 0, KAD__SWARM_CONNECTED)->first);
  mesh_connect(&world, 0, 2);
  kad__swarm_disconnect_peer(world.nodes[0].swarm, mesh_peer(&world, 1),
                             world.now);
  mesh_run(&world);
  assert_false(mesh_expect(&world, 0, KAD__SWARM_DISCONNECTED)->last);
  assert_true(mesh_expect(&world, 0, KAD__SWARM_DISCONNECTED)->last);
  mesh_expect_none(&world, 0);
  assert_int_equal(kad__swarm_connection_count(world.nodes[0].swarm), 1);
  assert_int_equal(world.nodes[0].closes, 2);
  kad__swarm_disconnect_peer(world.nodes[0].swarm, mesh_peer(&world, 1),
                             world.now);
}

/* A peer that leaves and comes back before the owner looks: the events still
 * tell it in the order in which it happened. */
static void test_first_and_last_in_order(void **state) {
  (void)state;
  start(2, NULL);
  kad__swarm *swarm = world.nodes[1].swarm;
  mesh_connect(&world, 0, 1);
  kad__id id = mesh_connection(&world, 1);
  kad__swarm_closed(swarm, id, KAD_E_IO, world.now);
  assert_int_equal(mesh_dial(&world, 0, 1), 1);
  mesh_cut(&world, KAD_E_IO);
  assert_int_equal(mesh_dial(&world, 0, 1), 0);
  mesh_run(&world);
  kad__swarm_event *event = mesh_expect(&world, 1, KAD__SWARM_DISCONNECTED);
  assert_true(event->last && event->connection == id);
  event = mesh_expect(&world, 1, KAD__SWARM_CONNECTED);
  assert_true(event->first && event->connection != id);
  mesh_expect_none(&world, 1);
}

/* The end of a connection that was not told of yet comes after its beginning.
 */
static void test_connected_then_disconnected(void **state) {
  (void)state;
  start(2, NULL);
  assert_int_equal(mesh_dial(&world, 0, 1), 0);
  /* Carry bytes by hand, so that no event is polled. */
  static uint8_t out[64 << 10];
  kad__swarm *s[2] = {world.nodes[0].swarm, world.nodes[1].swarm};
  kad__world_action action;
  assert_true(kad__swarm_poll_action(s[0], &action));
  kad__id ids[2] = {action.id, 0};
  kad_bytes local = mesh_address("/ip4/10.0.0.1/tcp/1");
  assert_ok(kad__swarm_accepted(s[1], &ids[1], 1, local, local, world.now));
  kad__swarm_dialed(s[0], ids[0], local, world.now);
  bool any = true;
  while (any) {
    any = false;
    for (int i = 0; i < 2; i++) {
      kad__id id = kad__swarm_next_output(s[i]);
      size_t len;
      assert_true(id == 0 || id == ids[i]);
      while (id != 0 && (len = kad__swarm_output(s[i], id, out, sizeof(out),
                                                 world.now)) != 0) {
        kad__swarm_input(s[1 - i], ids[1 - i], out, len, world.now);
        any = true;
      }
    }
  }
  kad__swarm_closed(s[1], ids[1], 0, world.now);
  kad__swarm_event event;
  assert_true(kad__swarm_poll_event(s[1], &event));
  assert_int_equal(event.type, KAD__SWARM_CONNECTED);
  assert_true(event.connection == ids[1]);
  assert_true(kad__swarm_poll_event(s[1], &event));
  assert_int_equal(event.type, KAD__SWARM_DISCONNECTED);
  assert_true(kad_peer_id_equal(&event.peer, mesh_peer(&world, 0)));
  assert_error(KAD_E_CLOSED, event.error);
  assert_false(kad__swarm_poll_event(s[1], &event));
}

static void test_rubbish_inbound(void **state) {
  (void)state;
  start(1, NULL);
  kad__swarm *swarm = world.nodes[0].swarm;
  kad__id id = 0;
  assert_ok(accept_from("/ip4/10.0.0.9/tcp/1", &id));
  uint8_t get[] = "GET / HTTP/1.1\r\n\r\n";
  kad__swarm_input(swarm, id, get, sizeof(get), world.now);
  kad__swarm_event event;
  assert_true(kad__swarm_poll_event(swarm, &event));
  assert_int_equal(event.type, KAD__SWARM_INBOUND_FAILED);
  assert_error(KAD_E_MULTISTREAM, event.error);
  assert_bytes_equal(event.address, mesh_address("/ip4/10.0.0.9/tcp/1"));
  mesh_run(&world);
  assert_int_equal(world.nodes[0].closes, 1);
  mesh_expect_none(&world, 0);
}

/* What is queued at the end is sent before the channel is closed; a peer that
 * does not take it cannot keep the channel open. */
static void test_flush_then_close(void **state) {
  (void)state;
  start(2, NULL);
  mesh_connect(&world, 0, 1);
  kad__swarm *swarm = world.nodes[0].swarm;
  kad__id id = mesh_connection(&world, 0);
  kad__swarm_disconnect(swarm, id, world.now);
  kad__world_action action;
  assert_false(kad__swarm_poll_action(swarm, &action));
  assert_true(kad__swarm_next_output(swarm) == id);
  assert_true(kad__swarm_next_output(swarm) == 0);
  static uint8_t out[64 << 10];
  assert_true(kad__swarm_output(swarm, id, out, sizeof(out), world.now) > 0);
  assert_false(kad__swarm_poll_action(swarm, &action));
  assert_int_equal(kad__swarm_output(swarm, id, out, sizeof(out), world.now),
                   0);
  assert_true(kad__swarm_poll_action(swarm, &action));
  assert_int_equal(action.type, KAD__WORLD_CLOSE);
  assert_true(action.id == id);
}

static void test_flush_gives_up(void **state) {
  (void)state;
  start(2, NULL);
  mesh_connect(&world, 0, 1);
  world.no_pull = true;
  kad__swarm_disconnect(world.nodes[0].swarm, mesh_connection(&world, 0),
                        world.now);
  mesh_sleep(&world, 5 * KAD_SECOND - 1);
  assert_int_equal(world.nodes[0].closes, 0);
  mesh_sleep(&world, 1);
  assert_int_equal(world.nodes[0].closes, 1);
}

/* ---- congestion ---------------------------------------------------------- */

/* We ask and ask, but never take the answers. */
static void test_pause_and_resume(void **state) {
  (void)state;
  enum { COUNT = 200, LEN = 16 << 10 };
  start(2, NULL);
  assert_ok(kad__swarm_handle(world.nodes[1].swarm, kad__bytes_of("/echo"), 1));
  mesh_connect(&world, 0, 1);
  static uint8_t bulk[LEN];
  kad__stream *mine[COUNT];
  kad__stream *theirs[COUNT];
  for (int i = 0; i < COUNT; i++) {
    assert_ok(kad__stream_open(world.nodes[0].swarm, &mine[i],
                               mesh_peer(&world, 1), mesh_names("/echo", NULL),
                               0, NULL, world.now));
  }
  mesh_run(&world);
  for (int i = 0; i < COUNT; i++) {
    theirs[i] = mesh_expect(&world, 1, KAD__SWARM_STREAM_INBOUND)->stream;
  }
  world.no_pull = true;
  for (int i = 0; i < COUNT; i++) {
    assert_ok(kad__stream_write(theirs[i], kad__bytes(bulk, LEN)));
  }
  /* Something arrives: too much is queued to read on. */
  world.no_pull = false;
  mesh_say(&world, mine[0], "more");
  assert_true(world.nodes[1].pauses == world.nodes[1].resumes);
  world.no_pull = true;
  for (int i = 0; i < COUNT; i++) {
    kad_bytes in = kad__stream_peek(mine[i]);
    kad__stream_consume(mine[i], in.len);
    assert_ok(kad__stream_write(theirs[i], kad__bytes(bulk, LEN)));
  }
  kad__swarm *a = world.nodes[0].swarm;
  assert_ok(kad__stream_write(mine[1], kad__bytes_of("x")));
  static uint8_t out[64 << 10];
  kad__id id = kad__swarm_next_output(a);
  size_t len = kad__swarm_output(a, id, out, sizeof(out), world.now);
  assert_true(len > 0);
  size_t pauses = world.nodes[1].pauses;
  kad__swarm_input(world.nodes[1].swarm, mesh_connection(&world, 1), out, len,
                   world.now);
  mesh_run(&world);
  assert_int_equal(world.nodes[1].pauses, pauses + 1);
  world.no_pull = false;
  mesh_run(&world);
  assert_int_equal(world.nodes[1].resumes, world.nodes[1].pauses);
  for (int i = 0; i < COUNT; i++) {
    kad__stream_release(mine[i]);
    kad__stream_release(theirs[i]);
  }
}

/* ---- output -------------------------------------------------------------- */

static void test_output_is_named_once(void **state) {
  (void)state;
  start(2, NULL);
  assert_ok(kad__swarm_handle(world.nodes[1].swarm, kad__bytes_of("/echo"), 1));
  mesh_connect(&world, 0, 1);
  kad__swarm *a = world.nodes[0].swarm;
  kad__id id = mesh_connection(&world, 0);
  kad__stream *stream = NULL;
  assert_true(kad__swarm_next_output(a) == 0);
  assert_ok(kad__stream_open_on(a, &stream, id, mesh_names("/echo", NULL), 0,
                                NULL, world.now));
  assert_ok(kad__stream_write(stream, kad__bytes_of("a")));
  assert_true(kad__swarm_next_output(a) == id);
  assert_true(kad__swarm_next_output(a) == 0);
  static uint8_t out[64 << 10];
  size_t len = kad__swarm_output(a, id, out, sizeof(out), world.now);
  assert_true(len > 0);
  /* The world still holds the id: more is not named again. */
  assert_ok(kad__stream_write(stream, kad__bytes_of("b")));
  assert_true(kad__swarm_next_output(a) == 0);
  assert_true(kad__swarm_output(a, id, out, sizeof(out), world.now) > 0);
  assert_int_equal(kad__swarm_output(a, id, out, sizeof(out), world.now), 0);
  assert_ok(kad__stream_write(stream, kad__bytes_of("c")));
  assert_true(kad__swarm_next_output(a) == id);
  kad__stream_release(stream);
}

/* ---- cost ---------------------------------------------------------------- */

static void roomy(kad__swarm_config *config, int node) {
  (void)node;
  config->max_connections = 4096;
  config->max_pending_inbound = 4096;
  config->max_connections_per_peer = 64;
}

/* What the swarm itself holds for an idle connection of a peer, without what
 * kad__connection_charge says. */
static void test_memory_of_an_idle_connection(void **state) {
  (void)state;
  start(2, roomy);
  test_allocator *memory = &world.nodes[1].memory;
  size_t before = memory->live_bytes;
  size_t charged = world.nodes[1].swarm->account.used.bytes;
  mesh_connect(&world, 0, 1);
  mesh_sleep(&world, KAD_SECOND);
  const kad__channel *c =
      kad__ids_find(&world.nodes[1].swarm->ids, mesh_connection(&world, 1),
                    KAD__OBJECT_CHANNEL);
  size_t below = kad__connection_charge(c->connection);
  size_t all = memory->live_bytes - before;
  print_message("idle connection: %zu bytes here, %zu below, charged %zu\n",
                all - below, below,
                world.nodes[1].swarm->account.used.bytes - charged);
  /* The first one also grows the tables: 1,000 bytes of them at most. */
  assert_true(all - below <= 760 + 1500);
  size_t own = sizeof(kad__channel) + sizeof(kad__swarm_peer) +
               sizeof(kad__id_slot) + sizeof(kad__known_peer) +
               4 * sizeof(void *) + c->remote.len + c->local.len + 16;
  print_message("of it for each: %zu\n", own);
  assert_true(own <= 768);
  assert_true(world.nodes[1].swarm->account.used.bytes - charged >= below);
}

#define TEST(name) cmocka_unit_test_teardown(name, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(test_config),
      TEST(test_listening),
      TEST(test_listening_on_many),
      TEST(test_limit_per_address),
      TEST(test_limit_of_pending),
      TEST(test_limit_of_connections),
      TEST(test_limit_at_establishing),
      TEST(test_limit_per_peer),
      TEST(test_limit_of_memory),
      TEST(test_bytes_of_a_connection),
      TEST(test_idle_is_closed),
      TEST(test_streams_keep_it),
      TEST(test_protected_stays),
      TEST(test_silence_is_noticed),
      TEST(test_disconnect_peer),
      TEST(test_first_and_last_in_order),
      TEST(test_connected_then_disconnected),
      TEST(test_rubbish_inbound),
      TEST(test_flush_then_close),
      TEST(test_flush_gives_up),
      TEST(test_pause_and_resume),
      TEST(test_output_is_named_once),
      TEST(test_memory_of_an_idle_connection),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
