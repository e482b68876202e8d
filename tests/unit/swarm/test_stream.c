/* Streams between two swarms: negotiation, data, ends, deadlines. */
#include "mesh.h"
#include "swarm/swarm_internal.h"

enum { ECHO = 7, OTHER = 8 };

static mesh world;

static void handle(int node, const char *name, uint32_t tag) {
  assert_ok(
      kad__swarm_handle(world.nodes[node].swarm, kad__bytes_of(name), tag));
}

static int setup(void **state) {
  (void)state;
  mesh_init(&world, 2, NULL);
  mesh_connect(&world, 0, 1);
  handle(1, "/echo", ECHO);
  handle(1, "/other", OTHER);
  return 0;
}

static int teardown(void **state) {
  (void)state;
  mesh_fini(&world);
  return 0;
}

static kad__stream *open_stream(kad__protocol_names names) {
  kad__stream *stream = NULL;
  assert_ok(kad__stream_open(world.nodes[0].swarm, &stream,
                             mesh_peer(&world, 1), names, 42, NULL, world.now));
  return stream;
}

static kad__stream *inbound(uint32_t tag) {
  kad__swarm_event *event = mesh_expect(&world, 1, KAD__SWARM_STREAM_INBOUND);
  assert_int_equal(event->tag, tag);
  assert_true(event->inbound);
  return event->stream;
}

static void test_request_travels_with_proposal(void **state) {
  (void)state;
  kad__stream *mine = open_stream(mesh_names("/echo", NULL));
  assert_ok(kad__stream_write(mine, kad__bytes_of("hello")));
  kad__stream_close_write(mine);
  /* One flight there: the other side has all of it before we hear anything. */
  world.held = true;
  mesh_run(&world);
  world.held = false;
  mesh_expect_none(&world, 0);
  mesh_run(&world);
  kad__stream *theirs = inbound(ECHO);
  mesh_expect(&world, 1, KAD__SWARM_STREAM_READABLE);
  assert_bytes_equal(kad__stream_protocol(theirs), kad__bytes_of("/echo"));
  mesh_hear(theirs, "hello");
  assert_true(kad__stream_ended(theirs));
  kad__swarm_event *event = mesh_expect(&world, 0, KAD__SWARM_STREAM_OPENED);
  assert_ptr_equal(event->stream, mine);
  assert_int_equal(event->tag, 42);

  assert_ok(kad__stream_write(theirs, kad__bytes_of("world")));
  kad__stream_release(theirs);
  mesh_run(&world);
  mesh_expect(&world, 0, KAD__SWARM_STREAM_READABLE);
  mesh_hear(mine, "world");
  assert_true(kad__stream_ended(mine));
  kad__stream_release(mine);
  mesh_run(&world);
  mesh_expect_none(&world, 0);
  mesh_expect_none(&world, 1);
}

static void test_second_proposal(void **state) {
  (void)state;
  kad__stream *mine = open_stream(mesh_names("/unknown", "/other"));
  assert_ok(kad__stream_write(mine, kad__bytes_of("held")));
  assert_int_equal(kad__stream_unsent(mine) >= 4, 1);
  kad__stream_close_write(mine);
  assert_error(KAD_E_STATE, kad__stream_write(mine, kad__bytes_of("late")));
  mesh_run(&world);
  kad__swarm_event *event = mesh_expect(&world, 0, KAD__SWARM_STREAM_OPENED);
  assert_bytes_equal(kad__stream_protocol(event->stream),
                     kad__bytes_of("/other"));
  kad__stream *theirs = inbound(OTHER);
  mesh_hear(theirs, "held");
  assert_true(kad__stream_ended(theirs));
  kad__stream_release(theirs);
  kad__stream_release(mine);
}

static void test_unknown_protocol(void **state) {
  (void)state;
  kad__stream *mine = open_stream(mesh_names("/unknown", NULL));
  assert_ok(kad__stream_write(mine, kad__bytes_of("request")));
  mesh_run(&world);
  kad__swarm_event *event = mesh_expect(&world, 0, KAD__SWARM_STREAM_DEAD);
  assert_error(KAD_E_NO_PROTOCOL, event->error);
  assert_ptr_equal(event->stream, mine);
  assert_true(kad__stream_write(mine, kad__bytes_of("x")) < 0);
  kad__stream_release(mine);
  mesh_run(&world);
  mesh_expect_none(&world, 1);
  assert_true(kad__swarm_connected(world.nodes[0].swarm, mesh_peer(&world, 1)));
}

/* The request behind a refused proposal is nonsense to the negotiation, which
 * resets the stream: the refusal before that is the cause. */
static void test_refused_and_reset(void **state) {
  (void)state;
  kad__stream *mine = open_stream(mesh_names("/unknown", NULL));
  assert_ok(kad__stream_write(mine, kad__bytes_of("\x03xyz")));
  mesh_run(&world);
  kad__swarm_event *event = mesh_expect(&world, 0, KAD__SWARM_STREAM_DEAD);
  assert_error(KAD_E_NO_PROTOCOL, event->error);
  kad__stream_release(mine);
}

static bool is_version_of_talk(void *user, kad_bytes protocol) {
  ++*(int *)user;
  return protocol.len > 6 && memcmp(protocol.data, "/talk/", 6) == 0;
}

static void test_match(void **state) {
  (void)state;
  kad__swarm *swarm = world.nodes[1].swarm;
  int asked = 0;
  assert_ok(kad__swarm_handle_match(swarm, kad__bytes_of("/talk/1"), 70,
                                    is_version_of_talk, &asked));
  handle(1, "/talk/3", 73);
  kad__stream *first = open_stream(mesh_names("/talk/2", NULL));
  kad__stream *second = open_stream(mesh_names("/talk/3", NULL));
  kad__stream *third = open_stream(mesh_names("/talk/1", NULL));
  kad__stream *none = open_stream(mesh_names("/walk/1", NULL));
  mesh_run(&world);
  assert_int_equal(asked, 2);
  kad__stream *theirs = inbound(70);
  assert_bytes_equal(kad__stream_protocol(theirs), kad__bytes_of("/talk/2"));
  kad__stream_release(inbound(73));
  kad__stream *exact = inbound(70);
  assert_bytes_equal(kad__stream_protocol(exact), kad__bytes_of("/talk/1"));
  kad__stream_release(exact);
  kad__swarm_unhandle(swarm, kad__bytes_of("/talk/1"));
  assert_bytes_equal(kad__stream_protocol(theirs), kad__bytes_of("/talk/2"));
  kad__stream_release(theirs);
  kad__stream *late = open_stream(mesh_names("/talk/2", NULL));
  mesh_run(&world);
  mesh_expect_none(&world, 1);
  kad__stream *all[] = {first, second, third, none, late};
  for (size_t i = 0; i < KAD__COUNT(all); i++) {
    kad__stream_release(all[i]);
  }
}

static void test_unhandled(void **state) {
  (void)state;
  kad__swarm *swarm = world.nodes[1].swarm;
  assert_int_equal(kad__swarm_protocols(swarm).count, 2);
  kad__swarm_unhandle(swarm, kad__bytes_of("/echo"));
  kad__swarm_unhandle(swarm, kad__bytes_of("/never"));
  assert_int_equal(kad__swarm_protocols(swarm).count, 1);
  kad__stream *mine = open_stream(mesh_names("/echo", NULL));
  mesh_run(&world);
  mesh_expect(&world, 0, KAD__SWARM_STREAM_DEAD);
  kad__stream_release(mine);
  handle(1, "/echo", 99);
  mine = open_stream(mesh_names("/echo", NULL));
  mesh_run(&world);
  kad__stream_release(inbound(99));
  kad__stream_release(mine);
}

static void test_nothing_handled(void **state) {
  (void)state;
  kad__stream *stream = NULL;
  assert_ok(kad__stream_open(world.nodes[1].swarm, &stream,
                             mesh_peer(&world, 0), mesh_names("/a", "/b"), 0,
                             NULL, world.now));
  mesh_run(&world);
  assert_error(KAD_E_NO_PROTOCOL,
               mesh_expect(&world, 1, KAD__SWARM_STREAM_DEAD)->error);
  mesh_expect_none(&world, 0);
  kad__stream_release(stream);
}

static void test_protocol_limit(void **state) {
  (void)state;
  kad__swarm *swarm = world.nodes[0].swarm;
  for (int i = 0; i < 32; i++) {
    char name[16];
    snprintf(name, sizeof(name), "/p/%d", i);
    assert_ok(kad__swarm_handle(swarm, kad__bytes_of(name), 1));
  }
  assert_error(KAD_E_LIMIT, kad__swarm_handle(swarm, kad__bytes_of("/q"), 1));
  assert_ok(kad__swarm_handle(swarm, kad__bytes_of("/p/3"), 2));
  assert_error(KAD_E_INVALID_ARGUMENT,
               kad__swarm_handle(swarm, (kad_bytes){0}, 1));
}

static void test_deadline(void **state) {
  (void)state;
  kad__stream *mine = open_stream(mesh_names("/echo", NULL));
  mesh_run(&world);
  mesh_expect(&world, 0, KAD__SWARM_STREAM_OPENED);
  kad__stream *theirs = inbound(ECHO);
  assert_ok(kad__stream_set_deadline(mine, world.now + 2 * KAD_SECOND));
  assert_ok(kad__stream_set_deadline(mine, world.now + 4 * KAD_SECOND));
  mesh_sleep(&world, 3 * KAD_SECOND);
  mesh_expect_none(&world, 0);
  mesh_sleep(&world, KAD_SECOND);
  assert_error(KAD_E_TIMEOUT,
               mesh_expect(&world, 0, KAD__SWARM_STREAM_DEAD)->error);
  assert_error(KAD_E_STREAM_RESET,
               mesh_expect(&world, 1, KAD__SWARM_STREAM_DEAD)->error);
  kad__stream_release(mine);
  kad__stream_release(theirs);

  mine = open_stream(mesh_names("/echo", NULL));
  assert_ok(kad__stream_set_deadline(mine, world.now + KAD_SECOND));
  assert_ok(kad__stream_set_deadline(mine, KAD_TIME_NEVER));
  mesh_sleep(&world, 20 * KAD_SECOND);
  mesh_expect(&world, 0, KAD__SWARM_STREAM_OPENED);
  mesh_expect_none(&world, 0);
  kad__stream_release(mine);
  kad__stream_release(inbound(ECHO));
}

static void test_negotiation_times_out(void **state) {
  (void)state;
  world.held = true;
  kad__stream *mine = open_stream(mesh_names("/echo", NULL));
  mesh_sleep(&world, 9 * KAD_SECOND);
  mesh_expect_none(&world, 0);
  mesh_sleep(&world, 2 * KAD_SECOND);
  assert_error(KAD_E_TIMEOUT,
               mesh_expect(&world, 0, KAD__SWARM_STREAM_DEAD)->error);
  kad__stream_release(mine);
  world.held = false;
  mesh_run(&world);
  mesh_expect_none(&world, 1);
}

/* The peer opens a stream and never says what for. */
static void test_silent_inbound_is_reset(void **state) {
  (void)state;
  kad__swarm *a = world.nodes[0].swarm;
  kad__channel *c =
      kad__ids_find(&a->ids, mesh_connection(&world, 0), KAD__OBJECT_CHANNEL);
  kad__yamux_stream *bare = NULL;
  assert_ok(
      kad__yamux_stream_open(kad__connection_yamux(c->connection), &bare));
  kad__channel_touch(c);
  mesh_run(&world);
  kad__connection_info info;
  assert_true(kad__swarm_connection(world.nodes[1].swarm,
                                    mesh_connection(&world, 1), &info));
  assert_int_equal(info.streams, 1);
  mesh_sleep(&world, 10 * KAD_SECOND);
  assert_true(kad__swarm_connection(world.nodes[1].swarm,
                                    mesh_connection(&world, 1), &info));
  assert_int_equal(info.streams, 0);
  assert_error(KAD_E_STREAM_RESET, kad__yamux_stream_error(bare));
  assert_int_equal(kad__yamux_stream_reset_code(bare), 0x1001);
  kad__yamux_stream_release(bare);
  mesh_expect_none(&world, 0);
  mesh_expect_none(&world, 1);
}

static void test_reset(void **state) {
  (void)state;
  kad__stream *mine = open_stream(mesh_names("/echo", NULL));
  mesh_run(&world);
  mesh_expect(&world, 0, KAD__SWARM_STREAM_OPENED);
  kad__stream *theirs = inbound(ECHO);
  kad__stream_reset(theirs, 0x1003);
  mesh_run(&world);
  assert_error(KAD_E_STREAM_RESET,
               mesh_expect(&world, 0, KAD__SWARM_STREAM_DEAD)->error);
  assert_int_equal(kad__yamux_stream_reset_code(mine->inner), 0x1003);
  kad__stream_release(mine);
  mesh_expect_none(&world, 1);
}

static void test_release_purges_events(void **state) {
  (void)state;
  kad__stream *mine = open_stream(mesh_names("/echo", NULL));
  mesh_run(&world);
  mesh_expect(&world, 0, KAD__SWARM_STREAM_OPENED);
  kad__stream *theirs = inbound(ECHO);
  assert_ok(kad__stream_write(mine, kad__bytes_of("x")));
  /* Deliver without polling events, then release. */
  static uint8_t out[64 << 10];
  kad__swarm *a = world.nodes[0].swarm;
  kad__swarm *b = world.nodes[1].swarm;
  kad__id id = kad__swarm_next_output(a);
  assert_true(id != 0);
  size_t len = kad__swarm_output(a, id, out, sizeof(out), world.now);
  assert_true(len > 0);
  assert_int_equal(
      kad__swarm_output(a, id, out + len, sizeof(out) - len, world.now), 0);
  kad__swarm_input(b, mesh_connection(&world, 1), out, len, world.now);
  kad__stream_release(theirs);
  mesh_run(&world);
  mesh_expect_none(&world, 1);
  kad__stream_release(mine);
}

static void test_user_and_info(void **state) {
  (void)state;
  int owner = 0;
  kad__stream *mine = open_stream(mesh_names("/echo", NULL));
  kad__stream_set_user(mine, &owner);
  assert_ptr_equal(kad__stream_user(mine), &owner);
  assert_int_equal(kad__stream_tag(mine), 42);
  assert_true(kad_peer_id_equal(kad__stream_peer(mine), mesh_peer(&world, 1)));
  kad__connection_info info;
  assert_true(kad__swarm_connection(world.nodes[0].swarm,
                                    kad__stream_connection(mine), &info));
  assert_int_equal(info.streams, 1);
  assert_false(info.inbound);
  assert_true(info.public_key.len > 0);
  assert_bytes_equal(info.remote_address,
                     mesh_address("/ip4/10.0.0.2/tcp/4001"));
  assert_true(info.local_address.len > 0);
  kad__stream_release(mine);
}

static void test_open_needs_connection(void **state) {
  (void)state;
  kad__stream *stream = NULL;
  kad__swarm *swarm = world.nodes[0].swarm;
  kad__protocol_names names = mesh_names("/echo", NULL);
  assert_error(KAD_E_CLOSED,
               kad__stream_open(swarm, &stream, mesh_peer(&world, 0), names, 0,
                                NULL, world.now));
  assert_error(KAD_E_CLOSED, kad__stream_open_on(swarm, &stream, 12345, names,
                                                 0, NULL, world.now));
  names.count = 0;
  assert_error(KAD_E_INVALID_ARGUMENT,
               kad__stream_open(swarm, &stream, mesh_peer(&world, 1), names, 0,
                                NULL, world.now));
}

static void test_unacknowledged_opens_are_bounded(void **state) {
  (void)state;
  kad__stream *streams[300];
  size_t count = 0;
  world.held = true;
  int result = 0;
  while (count < 300 && result == 0) {
    result = kad__stream_open(world.nodes[0].swarm, &streams[count],
                              mesh_peer(&world, 1), mesh_names("/echo", NULL),
                              0, NULL, world.now);
    count += result == 0;
  }
  assert_error(KAD_E_LIMIT, result);
  assert_int_equal(count, 256);
  world.held = false;
  mesh_run(&world);
  for (size_t i = 0; i < count; i++) {
    mesh_expect(&world, 0, KAD__SWARM_STREAM_OPENED);
    kad__stream_release(streams[i]);
    kad__stream_release(inbound(ECHO));
  }
}

/* The end of a connection: all that was said before still arrives, then every
 * stream dies, then the connection is gone. */
static void test_data_before_disconnect(void **state) {
  (void)state;
  kad__stream *mine = open_stream(mesh_names("/echo", NULL));
  mesh_run(&world);
  mesh_expect(&world, 0, KAD__SWARM_STREAM_OPENED);
  kad__stream *theirs = inbound(ECHO);
  assert_ok(kad__stream_write(theirs, kad__bytes_of("answer")));
  kad__stream_release(theirs);
  kad__swarm_disconnect(world.nodes[1].swarm, mesh_connection(&world, 1),
                        world.now);
  mesh_run(&world);
  mesh_expect(&world, 0, KAD__SWARM_STREAM_READABLE);
  kad__swarm_event *event = mesh_expect(&world, 0, KAD__SWARM_STREAM_DEAD);
  assert_ptr_equal(event->stream, mine);
  assert_true(event->error < 0);
  event = mesh_expect(&world, 0, KAD__SWARM_DISCONNECTED);
  assert_true(event->last);
  mesh_hear(mine, "answer");
  assert_true(kad__stream_write(mine, kad__bytes_of("x")) < 0);
  assert_ok(kad__stream_set_deadline(mine, world.now));
  kad__stream_close_write(mine);
  kad__stream_release(mine);
  event = mesh_expect(&world, 1, KAD__SWARM_DISCONNECTED);
  assert_int_equal(event->error, 0);
  mesh_expect_none(&world, 0);
}

static void test_every_stream_dies_first(void **state) {
  (void)state;
  kad__stream *streams[20];
  for (int i = 0; i < 20; i++) {
    streams[i] = open_stream(mesh_names("/echo", NULL));
  }
  mesh_run(&world);
  for (int i = 0; i < 20; i++) {
    mesh_expect(&world, 0, KAD__SWARM_STREAM_OPENED);
    inbound(ECHO);
  }
  mesh_cut(&world, KAD_E_IO);
  mesh_run(&world);
  for (int node = 0; node < 2; node++) {
    for (int i = 0; i < 20; i++) {
      kad__swarm_event *dead =
          mesh_expect(&world, node, KAD__SWARM_STREAM_DEAD);
      assert_error(KAD_E_IO, dead->error);
      if (i % 2 == 0) {
        kad__stream_release(dead->stream);
      }
    }
    kad__swarm_event *gone = mesh_expect(&world, node, KAD__SWARM_DISCONNECTED);
    assert_error(KAD_E_IO, gone->error);
    mesh_expect_none(&world, node);
  }
  (void)streams; /* the rest goes with the swarm */
}

static void test_large_transfer(void **state) {
  (void)state;
  enum { LEN = 3 << 20 };
  uint8_t *data = malloc(LEN);
  assert_non_null(data);
  for (size_t i = 0; i < LEN; i++) {
    data[i] = (uint8_t)(i * 31 >> 3);
  }
  kad__stream *mine = open_stream(mesh_names("/echo", NULL));
  assert_ok(kad__stream_write(mine, kad__bytes(data, LEN)));
  mesh_run(&world);
  kad__stream *theirs = inbound(ECHO);
  size_t got = 0;
  while (got < LEN) {
    kad_bytes in = kad__stream_peek(theirs);
    assert_true(in.len > 0);
    assert_memory_equal(in.data, data + got, in.len);
    got += in.len;
    kad__stream_consume(theirs, in.len);
    mesh_run(&world);
  }
  assert_int_equal(kad__stream_unsent(mine), 0);
  assert_non_null(mesh_find(&world, 0, KAD__SWARM_STREAM_WRITABLE));
  assert_false(kad__stream_ended(theirs));
  kad__stream_close_write(mine);
  mesh_run(&world);
  assert_true(kad__stream_ended(theirs));
  kad__stream_release(theirs);
  kad__stream_release(mine);
  free(data);
}

static void test_reserve_and_commit(void **state) {
  (void)state;
  const char *second[] = {NULL, "/other"};
  for (int i = 0; i < 2; i++) {
    kad__stream *mine = open_stream(mesh_names("/echo", second[i]));
    uint8_t *out = NULL;
    assert_ok(kad__stream_reserve(mine, &out, 100));
    memcpy(out, "abc", 3);
    kad__stream_commit(mine, 3);
    mesh_run(&world);
    mesh_expect(&world, 0, KAD__SWARM_STREAM_OPENED);
    kad__stream *theirs = inbound(ECHO);
    mesh_expect(&world, 1, KAD__SWARM_STREAM_READABLE);
    mesh_hear(theirs, "abc");
    kad__stream_release(theirs);
    kad__stream_release(mine);
    mesh_run(&world);
  }
}

static void test_byte_by_byte(void **state) {
  (void)state;
  world.chunk = 1;
  kad__stream *mine = open_stream(mesh_names("/no", "/echo"));
  assert_ok(kad__stream_write(mine, kad__bytes_of("slow")));
  mesh_run(&world);
  mesh_expect(&world, 0, KAD__SWARM_STREAM_OPENED);
  kad__stream *theirs = inbound(ECHO);
  mesh_hear(theirs, "slow");
  kad__stream_release(theirs);
  kad__stream_release(mine);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(test_request_travels_with_proposal),
      TEST(test_second_proposal),
      TEST(test_unknown_protocol),
      TEST(test_refused_and_reset),
      TEST(test_match),
      TEST(test_unhandled),
      TEST(test_nothing_handled),
      TEST(test_protocol_limit),
      TEST(test_deadline),
      TEST(test_negotiation_times_out),
      TEST(test_silent_inbound_is_reset),
      TEST(test_reset),
      TEST(test_release_purges_events),
      TEST(test_user_and_info),
      TEST(test_open_needs_connection),
      TEST(test_unacknowledged_opens_are_bounded),
      TEST(test_data_before_disconnect),
      TEST(test_every_stream_dies_first),
      TEST(test_large_transfer),
      TEST(test_reserve_and_commit),
      TEST(test_byte_by_byte),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
