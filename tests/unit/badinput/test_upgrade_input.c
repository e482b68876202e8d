/* Rows of the list of bad input that take a whole swarm: time that is spent a
 * byte at a time, and data behind proposals that nobody takes. */
#include "mesh.h"

#define DATA_LEN ((size_t)4 << 20)

static mesh world;

/* What begins well, and goes on so slowly that it never ends, ends at the
 * deadline of the whole upgrade. */
static void drip_once(const char *name, kad_bytes bytes, kad_time pause) {
  kad__swarm *swarm = world.nodes[0].swarm;
  kad_time start = world.now;
  kad__id id = 0;
  assert_ok(
      kad__swarm_accepted(swarm, &id, 1, mesh_address("/ip4/10.9.9.9/tcp/1"),
                          mesh_address(world.nodes[0].listen), world.now));
  kad__swarm_event *end = NULL;
  for (size_t i = 0; end == NULL && world.now < start + KAD_MINUTE; i++) {
    uint8_t one = i < bytes.len ? bytes.data[i] : 0;
    kad__swarm_input(swarm, id, &one, 1, world.now);
    mesh_sleep(&world, pause);
    end = mesh_find(&world, 0, KAD__SWARM_INBOUND_FAILED);
  }
  if (end == NULL || end->error != KAD_E_TIMEOUT) {
    fail_msg("%s: %s", name, end == NULL ? "open" : kad_error_name(end->error));
  }
  assert_in_range(world.now - start, 15 * KAD_SECOND, 15 * KAD_SECOND + pause);
  assert_int_equal(kad__swarm_connection_count(swarm), 0);
  kad__swarm_closed(swarm, id, 0, world.now);
  mesh_sleep(&world, 10 * KAD_SECOND);
}

/* M-01, N-02, with what is left of it: nothing beyond what the first one makes
 * the swarm keep for the next. */
static void drip(const char *name, kad_bytes bytes, kad_time pause) {
  mesh_init(&world, 1, NULL);
  drip_once(name, bytes, pause);
  size_t live = world.nodes[0].memory.live;
  drip_once(name, bytes, pause);
  assert_int_equal(world.nodes[0].memory.live, live);
  mesh_fini(&world);
}

static void test_drips(void **state) {
  (void)state;
  static const char header[] = "\x13/multistream/1.0.0\n";
  static const char noise[] = "\x13/multistream/1.0.0\n\x07/noise\n\x00\x20";
  static const char tls[] =
      "\x13/multistream/1.0.0\n\x0b/tls/1.0.0\n\x16\x03\x01\x02\x00";
  drip("a header", kad__bytes(header, sizeof(header) - 1), 4 * KAD_SECOND);
  drip("Noise", kad__bytes(noise, sizeof(noise) - 1), 400 * KAD_MILLISECOND);
  drip("TLS", kad__bytes(tls, sizeof(tls) - 1), 350 * KAD_MILLISECOND);
}

/* M-14: a protocol and megabytes of data at once, and the protocol is refused:
 * the data is bounded, dropped, and costs nobody else anything. */
static void test_data_behind_a_refused_proposal(void **state) {
  (void)state;
  mesh_init(&world, 2, NULL);
  mesh_connect(&world, 0, 1);
  test_allocator *memory = &world.nodes[1].memory;
  assert_ok(
      kad__swarm_handle(world.nodes[1].swarm, kad__bytes_of("/known"), 2));
  uint8_t *data = calloc(1, DATA_LEN);
  assert_non_null(data);
  size_t live = memory->live;
  size_t before = memory->live_bytes;
  for (int i = 0; i < 8; i++) {
    kad__stream *stream = NULL;
    memory->peak_bytes = memory->live_bytes;
    assert_ok(
        kad__stream_open(world.nodes[0].swarm, &stream, mesh_peer(&world, 1),
                         mesh_names("/nobody", NULL), 1, NULL, world.now));
    assert_ok(kad__stream_write(stream, kad__bytes(data, DATA_LEN)));
    mesh_run(&world);
    kad__swarm_event *event = mesh_expect(&world, 0, KAD__SWARM_STREAM_DEAD);
    assert_error(KAD_E_NO_PROTOCOL, event->error);
    kad__stream_release(stream);
    mesh_run(&world);
    mesh_expect_none(&world, 1);
    /* A window at most, and the buffer that doubled to hold it. */
    assert_true(memory->peak_bytes - before < 3 * ((size_t)256 << 10));
  }
  free(data);
  kad__stream *stream = NULL;
  assert_ok(kad__stream_open(world.nodes[0].swarm, &stream,
                             mesh_peer(&world, 1), mesh_names("/known", NULL),
                             1, NULL, world.now));
  mesh_say(&world, stream, "still here");
  (void)mesh_expect(&world, 0, KAD__SWARM_STREAM_OPENED);
  kad__stream *other =
      mesh_expect(&world, 1, KAD__SWARM_STREAM_INBOUND)->stream;
  mesh_hear(other, "still here");
  kad__stream_release(other);
  kad__stream_release(stream);
  mesh_sleep(&world, 2 * KAD_MINUTE);
  assert_in_range(memory->live, 1, live);
  mesh_fini(&world);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_drips),
      cmocka_unit_test(test_data_behind_a_refused_proposal),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
