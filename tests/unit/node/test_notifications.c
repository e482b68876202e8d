/* What an owner hears who wants to know of every connection and stream. */
#include "network.h"
#include "node/connections.h"
#include "node/streams.h"

#define LIMIT (30 * KAD_SECOND)
#define STREAMS_MAX 64

typedef struct heard {
  uint64_t connection;
  uint64_t stream;
  char protocol[64];
  bool inbound;
  bool over;
} heard;

static network net;
static heard streams[STREAMS_MAX];
static size_t stream_count;
static size_t opened;
static size_t closed;

static kad__node *node(uint32_t number) {
  return kad__simulator_node(net.sim, number);
}

static kad_time now(void) {
  return kad__simulator_now(net.sim);
}

/* Node 0 hears of everything, node 1 of what is usual. */
static int setup(void **state) {
  (void)state;
  stream_count = 0;
  opened = 0;
  closed = 0;
  network_open(&net, test_seed("notifications"));
  net.config.report_swarm = true;
  (void)network_add(&net, NOBODY);
  (void)network_await(&net, 0, KAD_EVENT_READY, LIMIT);
  net.config.report_swarm = false;
  (void)network_add(&net, 0);
  return 0;
}

static int teardown(void **state) {
  (void)state;
  network_close(&net);
  return 0;
}

static heard *find(const kad_event *event) {
  for (size_t i = 0; i < stream_count; i++) {
    if (streams[i].stream == event->stream_id) {
      return &streams[i];
    }
  }
  return NULL;
}

static void begun(const kad_event *event) {
  assert_true(opened > closed); /* never before its connection */
  assert_null(find(event));
  assert_true(event->stream_id != 0 && event->protocol.len < 64);
  assert_true(stream_count < STREAMS_MAX);
  heard *h = &streams[stream_count++];
  *h = (heard){.connection = event->connection,
               .stream = event->stream_id,
               .inbound = event->inbound};
  memcpy(h->protocol, event->protocol.data, event->protocol.len);
}

static void over(const kad_event *event) {
  heard *h = find(event);
  assert_non_null(h);
  assert_false(h->over);
  assert_bytes_equal(event->protocol, kad__bytes_of(h->protocol));
  assert_int_equal(event->connection, h->connection);
  assert_int_equal(event->inbound, h->inbound);
  assert_true(kad_peer_id_equal(&event->peer, kad__simulator_id(net.sim, 1)));
  h->over = true;
}

static void hear(const kad_event *event) {
  switch (event->type) {
    case KAD_EVENT_CONNECTION_OPENED:
      assert_true(event->connection != 0 && event->addresses.len > 0);
      opened++;
      return;
    case KAD_EVENT_CONNECTION_CLOSED:
      closed++;
      return;
    case KAD_EVENT_STREAM_BEGUN:
      begun(event);
      return;
    case KAD_EVENT_STREAM_OVER:
      over(event);
      return;
    default:
      return;
  }
}

/* Takes what node 0 says until `type` comes. */
static kad_event hear_until(kad_event_type type) {
  kad_time until = now() + LIMIT;
  kad_event event = {0};
  uint32_t from = 0;
  do {
    while (kad__simulator_poll(net.sim, &from, &event)) {
      if (from != 0) {
        assert_true(event.type < KAD_EVENT_CONNECTION_OPENED);
        continue;
      }
      hear(&event);
      if (event.type == type) {
        return event;
      }
    }
  } while (kad__simulator_step(net.sim, until));
  fail_msg("event %d did not come", (int)type);
  return event;
}

static bool heard_of(const char *protocol, bool inbound) {
  for (size_t i = 0; i < stream_count; i++) {
    if (strcmp(streams[i].protocol, protocol) == 0 &&
        streams[i].inbound == inbound) {
      return true;
    }
  }
  return false;
}

/* From the connection's beginning to its end, each stream in between. */
static void test_whole_life(void **state) {
  (void)state;
  kad_event event = hear_until(KAD_EVENT_CONNECTION_OPENED);
  uint64_t connection = event.connection;
  assert_true(event.inbound);
  (void)hear_until(KAD_EVENT_IDENTIFIED);
  (void)hear_until(KAD_EVENT_ROUTING_ADDED);
  assert_int_equal(
      kad__node_disconnect(node(0), kad__simulator_id(net.sim, 1), 7, now()),
      1);
  kad__simulator_touch(net.sim, 0);
  event = hear_until(KAD_EVENT_CONNECTION_CLOSED);
  assert_int_equal(event.connection, connection);
  assert_true(heard_of("/ipfs/id/1.0.0", true));
  assert_true(heard_of("/ipfs/id/1.0.0", false));
  for (size_t i = 0; i < stream_count; i++) {
    assert_true(streams[i].over);
    assert_int_equal(streams[i].connection, connection);
  }
}

/* What is heard is what a look at the connection shows. */
static void test_streams_of_a_connection(void **state) {
  (void)state;
  static const char *const names[] = {"/test/echo/1"};
  kad_stream_options options = KAD_STREAM_OPTIONS_INIT;
  options.protocols = names;
  options.protocol_count = 1;
  (void)hear_until(KAD_EVENT_ROUTING_ADDED);
  assert_ok(
      kad__node_handle(node(0), kad__bytes_of(names[0]), NULL, NULL, now()));
  kad_stream *mine = NULL;
  assert_ok(kad__node_stream_open(node(1), &mine, kad__simulator_id(net.sim, 0),
                                  &options, now()));
  assert_int_equal(kad_stream_write(mine, "abc", 3), 3);
  kad__simulator_touch(net.sim, 1);
  kad_event event = hear_until(KAD_EVENT_STREAM_INBOUND);
  kad_stream *theirs = event.stream;
  uint64_t id = event.stream_id;
  uint64_t connection = event.connection;
  assert_true(heard_of(names[0], true));
  kad_stream_info info;
  kad__node_stream_info(theirs, &info, now());
  assert_int_equal(info.id, id);
  kad_stream_consume(theirs, kad_stream_peek(theirs).len);

  kad_stream_summary s;
  uint64_t cursor = 0;
  size_t found = 0;
  while (kad__node_next_stream(node(0), &cursor, connection, &s, now())) {
    assert_int_equal(s.connection, connection);
    if (s.id == id) {
      assert_bytes_equal(s.protocol, kad__bytes_of(names[0]));
      assert_true(s.inbound && s.agreed);
      assert_int_equal(s.bytes_in, 3);
      assert_int_equal(s.bytes_out, 0);
      found++;
    }
  }
  assert_int_equal(found, 1);
  cursor = 0;
  assert_false(kad__node_next_stream(node(0), &cursor, 0, &s, now()));
  kad_stream_reset(theirs, 0);
  kad__simulator_touch(net.sim, 0);
  event = hear_until(KAD_EVENT_STREAM_OVER);
  while (event.stream_id != id) {
    event = hear_until(KAD_EVENT_STREAM_OVER);
  }
  kad_stream_close(mine);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {TEST(test_whole_life),
                                     TEST(test_streams_of_a_connection)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
