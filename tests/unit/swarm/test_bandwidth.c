/* Counters and rates, with the time passed in; and where swarms count. */
#include <math.h>

#include "mesh.h"
#include "support.h"
#include "swarm/bandwidth.h"
#include "swarm/swarm_internal.h"

#define ALPHA 0.6321205588285577
#define TAG 7

static const uint64_t secret[2] = {7, 8};

static void assert_near(double a, double b) {
  if (fabs(a - b) > 1e-6 * (1 + fabs(b))) {
    fail_msg("%f is not %f", a, b);
  }
}

/* ---- meters -------------------------------------------------------------- */

static void test_first_sample_is_the_rate(void **state) {
  (void)state;
  kad__meter m;
  kad__meter_init(&m, KAD_HOUR);
  kad__meter_add(&m, 1000, 10, KAD_HOUR);
  kad__bandwidth_rates r = kad__meter_read(&m, KAD_HOUR + KAD_SECOND - 1);
  assert_int_equal(r.in, 1000);
  assert_int_equal(r.out, 10);
  assert_near(r.rate_in, 0);
  r = kad__meter_read(&m, KAD_HOUR + KAD_SECOND);
  assert_near(r.rate_in, 1000);
  assert_near(r.rate_out, 10);
  /* Reading changes nothing. */
  r = kad__meter_read(&m, KAD_HOUR + KAD_SECOND);
  assert_near(r.rate_in, 1000);
}

static void test_rate_is_smoothed(void **state) {
  (void)state;
  kad__meter m;
  kad__meter_init(&m, 0);
  kad__meter_add(&m, 1000, 0, 0);
  kad__meter_add(&m, 3000, 0, KAD_SECOND);
  kad__bandwidth_rates r = kad__meter_read(&m, 2 * KAD_SECOND);
  assert_near(r.rate_in, 1000 + ALPHA * 2000);
  r = kad__meter_read(&m, 3 * KAD_SECOND);
  assert_near(r.rate_in, (1000 + ALPHA * 2000) * (1 - ALPHA));
  assert_int_equal(r.in, 4000);
}

/* What a sweep in every second would have said. */
static void test_making_up_is_sweeping(void **state) {
  (void)state;
  kad_random random;
  kad_random_init_u64(&random, test_seed("bandwidth"));
  kad__meter lazy;
  kad__meter swept;
  kad__meter_init(&lazy, 5);
  kad__meter_init(&swept, 5);
  kad_time now = 5;
  for (int i = 0; i < 500; i++) {
    kad_time gap = kad_random_below(&random, 4) * KAD_SECOND / 2;
    for (kad_time at = now; at <= now + gap; at += KAD_SECOND / 2) {
      kad__meter_sample(&swept, at);
    }
    now += gap;
    size_t in = (size_t)kad_random_below(&random, 100000);
    kad__meter_add(&lazy, in, 2 * in, now);
    kad__meter_add(&swept, in, 2 * in, now);
    kad__bandwidth_rates a = kad__meter_read(&lazy, now);
    kad__bandwidth_rates b = kad__meter_read(&swept, now);
    assert_near(a.rate_in, b.rate_in);
    assert_near(a.rate_out, b.rate_out);
    assert_int_equal(a.in, b.in);
  }
}

static void test_idle_meters_rest_at_zero(void **state) {
  (void)state;
  kad__meter m;
  kad__meter_init(&m, 0);
  kad__meter_add(&m, (size_t)1 << 40, 1, 0);
  kad__bandwidth_rates r = kad__meter_read(&m, 1000 * KAD_HOUR);
  assert_true(r.rate_in == 0);
  assert_true(r.rate_out == 0);
  assert_int_equal(r.in, (uint64_t)1 << 40);
  /* From rest, a first sample is the rate again. */
  kad__meter_add(&m, 500, 0, 1000 * KAD_HOUR);
  r = kad__meter_read(&m, 1000 * KAD_HOUR + KAD_SECOND);
  assert_near(r.rate_in, 500);
}

static void test_time_that_goes_back(void **state) {
  (void)state;
  kad__meter m;
  kad__meter_init(&m, KAD_HOUR);
  kad__meter_add(&m, 100, 0, KAD_MINUTE);
  kad__bandwidth_rates r = kad__meter_read(&m, KAD_MINUTE);
  assert_int_equal(r.in, 100);
  assert_true(r.rate_in == 0);
  r = kad__meter_read(&m, KAD_HOUR + KAD_SECOND);
  assert_near(r.rate_in, 100);
}

/* ---- who is metered ------------------------------------------------------ */

static kad_bytes key_of(uint32_t *key) {
  return kad__bytes(key, sizeof(*key));
}

static void test_idle_peers_are_trimmed(void **state) {
  (void)state;
  test_allocator memory;
  test_allocator_init(&memory);
  kad__bandwidth b;
  kad__bandwidth_init(&b, &memory.allocator, secret, 0);
  uint32_t in_use = UINT32_MAX;
  kad__metered *held = kad__bandwidth_hold(&b, &b.peers, key_of(&in_use), 0);
  for (uint32_t i = 0; i < 3 * KAD__BANDWIDTH_IDLE_PEERS; i++) {
    kad__metered *m = kad__bandwidth_hold(&b, &b.peers, key_of(&i), i);
    assert_non_null(m);
    kad__meter_add(&m->streams, i, 0, i);
    kad__bandwidth_let_go(&b, &b.peers, m, i);
    assert_true(b.peers.map.len <= KAD__BANDWIDTH_IDLE_PEERS + 1);
  }
  uint32_t early = 0;
  uint32_t late = 3 * KAD__BANDWIDTH_IDLE_PEERS - 1;
  assert_null(kad__bandwidth_find(&b.peers, key_of(&early)));
  const kad__metered *last = kad__bandwidth_find(&b.peers, key_of(&late));
  assert_non_null(last);
  assert_int_equal(last->streams.in.total, late);
  assert_ptr_equal(kad__bandwidth_find(&b.peers, key_of(&in_use)), held);
  /* One that comes back goes on where it was. */
  kad__metered *back = kad__bandwidth_hold(&b, &b.peers, key_of(&late), 0);
  assert_ptr_equal(back, last);
  kad__bandwidth_let_go(&b, &b.peers, back, KAD_SECOND);
  /* The others go with time. */
  kad__bandwidth_let_go(&b, &b.peers, held,
                        2 * KAD_SECOND + KAD__BANDWIDTH_IDLE_TIME);
  assert_int_equal(b.peers.map.len, 1);
  kad__bandwidth_fini(&b);
  assert_int_equal(memory.live, 0);
}

static void test_protocols_are_bounded(void **state) {
  (void)state;
  kad__bandwidth b;
  kad__bandwidth_init(&b, kad_allocator_default(), secret, 0);
  kad__metered *held[KAD__BANDWIDTH_PROTOCOLS];
  for (uint32_t i = 0; i < KAD__BANDWIDTH_PROTOCOLS; i++) {
    held[i] = kad__bandwidth_hold(&b, &b.protocols, key_of(&i), 0);
    assert_non_null(held[i]);
  }
  uint32_t next = KAD__BANDWIDTH_PROTOCOLS;
  assert_null(kad__bandwidth_hold(&b, &b.protocols, key_of(&next), 0));
  assert_null(kad__bandwidth_hold(&b, &b.protocols, (kad_bytes){0}, 0));
  kad__bandwidth_let_go(&b, &b.protocols, NULL, 0);
  kad__bandwidth_let_go(&b, &b.protocols, held[5], 0);
  assert_non_null(kad__bandwidth_hold(&b, &b.protocols, key_of(&next), 0));
  uint32_t gone = 5;
  assert_null(kad__bandwidth_find(&b.protocols, key_of(&gone)));
  kad__bandwidth_fini(&b);
}

static void test_no_memory(void **state) {
  (void)state;
  for (size_t fail_at = 1; fail_at <= 2; fail_at++) {
    test_allocator memory;
    test_allocator_init(&memory);
    kad__bandwidth b;
    kad__bandwidth_init(&b, &memory.allocator, secret, 0);
    memory.fail_at = fail_at;
    uint32_t key = 1;
    assert_null(kad__bandwidth_hold(&b, &b.peers, key_of(&key), 0));
    memory.fail_at = 0;
    assert_non_null(kad__bandwidth_hold(&b, &b.peers, key_of(&key), 0));
    kad__bandwidth_fini(&b);
    assert_int_equal(memory.live, 0);
  }
}

/* ---- swarms -------------------------------------------------------------- */

static mesh world;
static const uint8_t name_bytes[] = "/echo/1";
static const kad_bytes name = {name_bytes, sizeof(name_bytes) - 1};
static const uint8_t other_bytes[] = "/other/1";
static const kad_bytes names[2] = {{other_bytes, sizeof(other_bytes) - 1},
                                   {name_bytes, sizeof(name_bytes) - 1}};

static kad__stream *stream_of(int node, kad__swarm_event_type type) {
  mesh_node *n = &world.nodes[node];
  for (size_t i = 0; i < n->event_count; i++) {
    if (n->events[i].type == type) {
      return n->events[i].stream;
    }
  }
  return NULL;
}

static void say(kad__stream *stream, size_t len) {
  static const uint8_t bytes[5000];
  assert_ok(kad__stream_write(stream, kad__bytes(bytes, len)));
}

static kad__bandwidth_rates read_of(int node, const kad_bytes *protocol) {
  kad__swarm *s = world.nodes[node].swarm;
  kad__bandwidth_rates streams = {0};
  kad__bandwidth_rates raw = {0};
  if (protocol == NULL) {
    kad__swarm_bandwidth(s, &streams, &raw, world.now);
  } else {
    assert_true(
        kad__swarm_bandwidth_protocol(s, &streams, *protocol, world.now));
  }
  return streams;
}

/* 3000 bytes one way, 2000 the other, over a stream with `count` proposals. */
static void talk(size_t count) {
  kad__protocol_names proposed = {.names = count == 1 ? &name : names,
                                  .count = count};
  mesh_init(&world, 2, NULL);
  assert_ok(kad__swarm_handle(world.nodes[1].swarm, name, TAG));
  mesh_connect(&world, 0, 1);
  mesh_run(&world);
  kad__stream *ours = NULL;
  assert_ok(kad__stream_open(world.nodes[0].swarm, &ours, mesh_peer(&world, 1),
                             proposed, TAG, NULL, world.now));
  say(ours, 1000);
  mesh_run(&world);
  say(ours, 2000);
  mesh_run(&world);
  kad__stream *theirs = stream_of(1, KAD__SWARM_STREAM_INBOUND);
  assert_non_null(theirs);
  assert_int_equal(kad__stream_peek(theirs).len, 3000);
  kad__stream_consume(theirs, 3000);
  uint8_t *out = NULL;
  assert_ok(kad__stream_reserve(theirs, &out, 2000));
  memset(out, 0, 2000);
  kad__stream_commit(theirs, 2000);
  mesh_run(&world);
  kad__stream_consume(ours, 2000);
  for (int node = 0; node < 2; node++) {
    kad__bandwidth_rates all = read_of(node, NULL);
    kad__bandwidth_rates of = read_of(node, &name);
    assert_int_equal(all.in, node == 0 ? 2000 : 3000);
    assert_int_equal(all.out, node == 0 ? 3000 : 2000);
    assert_int_equal(of.in, all.in);
    assert_int_equal(of.out, all.out);
  }
  kad__stream_release(ours);
  kad__stream_release(theirs);
}

static void test_streams_are_counted(void **state) {
  (void)state;
  for (size_t count = 1; count <= 2; count++) {
    talk(count);
    mesh_fini(&world);
  }
}

static void test_peers_are_counted(void **state) {
  (void)state;
  talk(1);
  mesh_run(&world);
  kad__bandwidth_rates streams;
  kad__bandwidth_rates raw;
  kad__bandwidth_rates all_streams;
  kad__bandwidth_rates all_raw;
  kad__swarm *s = world.nodes[0].swarm;
  assert_true(kad__swarm_bandwidth_peer(s, &streams, &raw, mesh_peer(&world, 1),
                                        world.now));
  kad__swarm_bandwidth(s, &all_streams, &all_raw, world.now);
  assert_int_equal(streams.in, 2000);
  assert_int_equal(streams.out, 3000);
  assert_true(raw.in > 2000 && raw.in <= all_raw.in);
  assert_true(raw.out > 3000 && raw.out <= all_raw.out);
  assert_int_equal(all_streams.in, 2000);
  assert_false(kad__swarm_bandwidth_peer(s, &streams, &raw,
                                         mesh_peer(&world, 0), world.now));
  assert_false(kad__swarm_bandwidth_protocol(s, &streams, names[0], world.now));
  kad__swarm_bandwidth(s, &all_streams, &all_raw, world.now + KAD_SECOND);
  assert_near(all_streams.rate_in, 2000);
  /* Remembered after the connection. */
  kad__swarm_disconnect_peer(s, mesh_peer(&world, 1), world.now);
  mesh_run(&world);
  assert_true(kad__swarm_bandwidth_peer(s, &streams, &raw, mesh_peer(&world, 1),
                                        world.now));
  assert_int_equal(streams.out, 3000);
  mesh_fini(&world);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_first_sample_is_the_rate),
      cmocka_unit_test(test_rate_is_smoothed),
      cmocka_unit_test(test_making_up_is_sweeping),
      cmocka_unit_test(test_idle_meters_rest_at_zero),
      cmocka_unit_test(test_time_that_goes_back),
      cmocka_unit_test(test_idle_peers_are_trimmed),
      cmocka_unit_test(test_protocols_are_bounded),
      cmocka_unit_test(test_no_memory),
      cmocka_unit_test(test_streams_are_counted),
      cmocka_unit_test(test_peers_are_counted),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
