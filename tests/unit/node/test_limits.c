/* Limits over all connections, as the owner meets them: what waits its turn,
 * what is refused by code, what can be asked for. Node 0 has the limits. */
#include "network.h"
#include "node/connections.h"
#include "node/streams.h"

#define ECHO "/test/echo/1"
#define LIMIT (30 * KAD_SECOND)
#define STREAMS 24

static network net;
static kad__load per_peer;
static kad__load in_all;
static uint8_t bytes[KAD_STREAM_UNSENT_MAX];

static kad__node *node(uint32_t number) {
  return kad__simulator_node(net.sim, number);
}

static kad_time now(void) {
  return kad__simulator_now(net.sim);
}

static int setup(void **state) {
  (void)state;
  per_peer = in_all = (kad__load){0};
  return 0;
}

static int teardown(void **state) {
  (void)state;
  network_close(&net);
  return 0;
}

static void start(void) {
  network_open(&net, test_seed("limits"));
  net.config.max_in_all = in_all;
  net.config.max_per_peer = per_peer;
  net.config.max_per_address.bytes = SIZE_MAX;
  (void)network_add(&net, NOBODY);
  (void)network_await(&net, 0, KAD_EVENT_READY, LIMIT);
  net.config.max_in_all = net.config.max_per_peer = (kad__load){0};
  net.config.max_per_address = (kad__load){0};
  (void)network_add(&net, 0);
  (void)network_await(&net, 1, KAD_EVENT_READY, LIMIT);
  network_pass(&net, KAD_SECOND); /* identify is over */
  for (uint32_t i = 0; i < 2; i++) {
    assert_ok(
        kad__node_handle(node(i), kad__bytes_of(ECHO), NULL, NULL, now()));
    kad__simulator_touch(net.sim, i);
  }
  network_pass(&net, KAD_SECOND); /* and its push */
}

static kad_stream *open_to(uint32_t from, uint32_t to) {
  const char *names[] = {ECHO};
  kad_stream *out = NULL;
  kad_stream_options options = KAD_STREAM_OPTIONS_INIT;
  options.protocols = names;
  options.protocol_count = 1;
  assert_ok(kad__node_stream_open(
      node(from), &out, kad__simulator_id(net.sim, to), &options, now()));
  kad__simulator_touch(net.sim, from);
  return out;
}

static kad_usage usage(uint32_t of) {
  kad_usage out;
  if (of == 0) {
    kad__node_usage(node(0), &out);
  } else {
    assert_true(
        kad__node_peer_usage(node(0), &out, kad__simulator_id(net.sim, of)));
  }
  return out;
}

/* More of ours than there may be wait their turn. */
static void test_ours_wait(void **state) {
  (void)state;
  per_peer.outbound = 4;
  start();
  size_t opened = 0;
  for (size_t i = 0; i < STREAMS; i++) {
    (void)open_to(0, 1);
  }
  assert_int_equal(usage(1).outbound_streams.used, 4);
  assert_int_equal(usage(1).outbound_streams.limit, 4);
  uint32_t from;
  kad_event event;
  while (opened < STREAMS) {
    while (kad__simulator_poll(net.sim, &from, &event)) {
      assert_int_not_equal(event.type, KAD_EVENT_STREAM_ENDED);
      if (event.type == KAD_EVENT_STREAM_OPENED) {
        opened++;
        kad_stream_close(event.stream);
      } else if (event.type == KAD_EVENT_STREAM_INBOUND) {
        kad_stream_close(event.stream);
      }
      kad__simulator_touch(net.sim, from);
    }
    assert_true(usage(1).outbound_streams.used <= 4);
    assert_true(opened == STREAMS ||
                kad__simulator_step(net.sim, now() + LIMIT));
  }
}

/* More of theirs are reset, and told why; counted at once. */
static void test_theirs_are_told(void **state) {
  (void)state;
  per_peer.inbound = 4;
  start();
  for (size_t i = 0; i < 6; i++) {
    (void)open_to(1, 0);
  }
  for (size_t i = 0; i < 2; i++) {
    kad_event event = network_await(&net, 1, KAD_EVENT_STREAM_ENDED, LIMIT);
    assert_error(KAD_E_STREAM_RESET, event.error);
    assert_int_equal(event.code, KAD_STREAM_CODE_LIMIT);
    kad_stream_close(event.stream);
  }
  assert_int_equal(usage(1).inbound_streams.used, 4);
  const kad_swarm_counters *counters =
      kad__swarm_counters_get(kad__node_swarm(node(0)));
  assert_int_equal(counters->refused_streams, 2);
}

/* A writer who finds no memory is told when there is some, though nothing of
 * his own connection has made it. */
static void test_writers_are_told(void **state) {
  (void)state;
  in_all.bytes = 1536 * 1024;
  per_peer.bytes = SIZE_MAX;
  start();
  static kad_stream *theirs[STREAMS];
  static kad_stream *ours[STREAMS];
  size_t count = 0;
  while (usage(0).memory.used < 1000 * (size_t)1024) {
    assert_true(count < STREAMS);
    theirs[count] = open_to(1, 0);
    ours[count] =
        network_await(&net, 0, KAD_EVENT_STREAM_INBOUND, LIMIT).stream;
    assert_true(kad_stream_write(theirs[count], bytes, 200000) > 0);
    kad__simulator_touch(net.sim, 1);
    network_pass(&net, KAD_SECOND);
    count++;
  }
  kad_stream *writer = open_to(0, 1);
  (void)network_await(&net, 0, KAD_EVENT_STREAM_OPENED, LIMIT);
  kad_stream *other = open_to(0, 1);
  (void)network_await(&net, 0, KAD_EVENT_STREAM_OPENED, LIMIT);
  kad__simulator_touch(net.sim, 0);
  assert_int_equal(kad_stream_write(other, bytes, sizeof(bytes)),
                   sizeof(bytes));
  int result = kad_stream_write(writer, bytes, sizeof(bytes));
  assert_error(KAD_E_AGAIN, result);
  /* It asks again, in vain, and does not ask for ever without time passing. */
  (void)network_await(&net, 0, KAD_EVENT_STREAM_WRITABLE, LIMIT);
  for (size_t i = 0; i < count; i++) {
    kad_stream_reset(ours[i], 0);
    kad_stream_close(theirs[i]);
  }
  kad__simulator_touch(net.sim, 0);
  kad__simulator_touch(net.sim, 1);
  result = kad_stream_write(writer, bytes, sizeof(bytes));
  if (result == KAD_E_AGAIN) {
    (void)network_await(&net, 0, KAD_EVENT_STREAM_WRITABLE, LIMIT);
    result = kad_stream_write(writer, bytes, sizeof(bytes));
  }
  assert_true(result > 0);
}

static void test_usage(void **state) {
  (void)state;
  start();
  kad_usage all = usage(0);
  assert_int_equal(all.connections.used, 1);
  assert_int_equal(all.connections.limit, 1000);
  assert_int_equal(all.inbound.used, 1);
  assert_int_equal(all.inbound.limit, 875);
  assert_int_equal(all.pending.used, 0);
  assert_int_equal(all.pending.limit, 128);
  assert_int_equal(all.dials.used, 0);
  assert_int_equal(all.dials.limit, 160);
  assert_int_equal(all.inbound_streams.limit, 16000);
  assert_int_equal(all.outbound_streams.limit, 16000);
  assert_true(all.memory.used > 1000 && all.memory.used < 64 * 1024);
  assert_int_equal(all.memory.limit, (size_t)250 << 20);
  kad_usage of = usage(1);
  assert_int_equal(of.connections.used, 1);
  assert_int_equal(of.connections.limit, 8);
  assert_int_equal(of.inbound.used, 1);
  assert_int_equal(of.dials.limit, 8);
  assert_int_equal(of.memory.used, all.memory.used);
  assert_int_equal(of.inbound_streams.limit, 2048);
  assert_int_equal(of.outbound_streams.limit, 1024);
  size_t before = all.inbound_streams.used;
  (void)open_to(1, 0);
  (void)network_await(&net, 0, KAD_EVENT_STREAM_INBOUND, LIMIT);
  assert_int_equal(usage(0).inbound_streams.used, before + 1);
  assert_int_equal(usage(1).inbound_streams.used, before + 1);
  kad_usage out = of;
  assert_false(
      kad__node_peer_usage(node(0), &out, kad__simulator_id(net.sim, 0)));
  assert_memory_equal(&out, &of, sizeof(of));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(test_ours_wait),
      TEST(test_theirs_are_told),
      TEST(test_writers_are_told),
      TEST(test_usage),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
