/* The orderly end of a node, as its owner and its peers hear of it. */
#include "kadmium/multiaddr.h"
#include "network.h"
#include "node/connections.h"
#include "node/streams.h"

#define LIMIT (30 * KAD_SECOND)
#define ECHO "/test/echo/1"

static network net;

static kad__node *node(uint32_t number) {
  return kad__simulator_node(net.sim, number);
}

static kad_time now(void) {
  return kad__simulator_now(net.sim);
}

static int setup(void **state) {
  (void)state;
  network_open(&net, test_seed("close"));
  network_grow(&net, 4);
  return 0;
}

static int teardown(void **state) {
  (void)state;
  network_close(&net);
  return 0;
}

static void close_node(uint32_t number) {
  kad__node_close(node(number), now());
  kad__simulator_touch(net.sim, number);
}

static kad_stream *open_stream(uint32_t from, uint32_t to) {
  static const char *const names[] = {ECHO};
  kad_stream_options options = KAD_STREAM_OPTIONS_INIT;
  options.protocols = names;
  options.protocol_count = 1;
  kad_stream *stream = NULL;
  assert_ok(kad__node_handle(node(to), kad__bytes_of(ECHO), NULL, NULL, now()));
  assert_ok(kad__node_stream_open(
      node(from), &stream, kad__simulator_id(net.sim, to), &options, now()));
  kad__simulator_touch(net.sim, from);
  (void)network_await(&net, from, KAD_EVENT_STREAM_OPENED, LIMIT);
  return stream;
}

/* Everything that node 0 says up to its last word. */
static void test_all_is_told(void **state) {
  (void)state;
  kad_stream *stream = open_stream(0, 1);
  kad_request ping = KAD_REQUEST_INIT(KAD_PING);
  ping.peer = *kad__simulator_id(net.sim, 2);
  ping.count = 1000;
  kad_request get = KAD_REQUEST_INIT(KAD_GET);
  get.key = kad__bytes_of("nothing");
  kad_request_id asked[] = {network_start(&net, 0, &ping),
                            network_start(&net, 0, &get)};
  size_t peers = kad__swarm_connection_count(kad__node_swarm(node(0)));
  assert_true(peers > 0);
  assert_false(kad__node_is_closed(node(0)));
  close_node(0);
  size_t gone = 0, ended = 0, streams = 0, listeners = 0;
  kad_time until = now() + LIMIT;
  kad_event event = {0};
  uint32_t from = 0;
  bool last = false;
  do {
    while (!last && kad__simulator_poll(net.sim, &from, &event)) {
      if (from != 0) {
        continue;
      }
      gone += event.type == KAD_EVENT_DISCONNECTED;
      listeners += event.type == KAD_EVENT_LISTEN_CLOSED;
      if (event.type == KAD_EVENT_END) {
        assert_true(event.request == asked[0] || event.request == asked[1]);
        assert_error(KAD_E_CANCELLED, event.error);
        ended++;
      }
      if (event.type == KAD_EVENT_STREAM_ENDED) {
        assert_ptr_equal(event.stream, stream);
        kad_stream_close(stream);
        streams++;
      }
      last = event.type == KAD_EVENT_CLOSED;
    }
  } while (!last && kad__simulator_step(net.sim, until));
  assert_true(last);
  assert_true(kad__node_is_closed(node(0)));
  assert_int_equal(gone, peers);
  assert_int_equal(ended, 2);
  assert_int_equal(streams, 1);
  assert_int_equal(listeners, 1);
  assert_int_equal(kad__swarm_connection_count(kad__node_swarm(node(0))), 0);
  assert_null(kad__swarm_check(kad__node_swarm(node(0))));
}

static void test_peers_are_told(void **state) {
  (void)state;
  close_node(0);
  kad_event event = network_await(&net, 1, KAD_EVENT_DISCONNECTED, LIMIT);
  assert_true(kad_peer_id_equal(&event.peer, kad__simulator_id(net.sim, 0)));
  assert_error(KAD_E_GO_AWAY, event.error);
  assert_int_equal(event.code, KAD_CONNECTION_CODE_SHUTDOWN);
}

/* What would begin something, and what comes from others, is refused for good;
 * to close once more does nothing. */
static void test_nothing_begins(void **state) {
  (void)state;
  kad_stream *stream = NULL;
  static const char *const names[] = {ECHO};
  kad_stream_options options = KAD_STREAM_OPTIONS_INIT;
  options.protocols = names;
  options.protocol_count = 1;
  kad_bytes list = kad__node_listen_addresses(node(0));
  kad_bytes address;
  uint8_t copy[KAD_MULTIADDR_MAX];
  assert_true(kad_addresses_next(&list, &address));
  kad_bytes own = kad__bytes(copy, address.len);
  memcpy(copy, address.data, address.len);
  kad_node_status before;
  kad_node_status after;
  kad__node_status(node(0), &before);
  assert_true(before.table_size > 0);
  close_node(0);
  (void)network_await(&net, 0, KAD_EVENT_CLOSED, LIMIT);
  close_node(0);
  kad_request get = KAD_REQUEST_INIT(KAD_GET);
  get.key = kad__bytes_of("nothing");
  kad_request_id id = 0;
  assert_error(KAD_E_CLOSED, kad__node_start(node(0), &id, &get, now()));
  assert_error(
      KAD_E_CLOSED,
      kad__node_stream_open(node(0), &stream, kad__simulator_id(net.sim, 1),
                            &options, now()));
  assert_error(KAD_E_CLOSED, kad__swarm_listen(kad__node_swarm(node(0)), own));
  kad__id channel = 0;
  assert_error(KAD_E_CLOSED, kad__swarm_accepted(kad__node_swarm(node(0)),
                                                 &channel, 0, own, own, now()));
  /* Its contacts, its table and its upkeep call for nobody any more. */
  kad_time until = now() + 24 * KAD_HOUR;
  kad_event event;
  uint32_t from = 0;
  do {
    while (kad__simulator_poll(net.sim, &from, &event)) {
      assert_true(from != 0);
    }
    assert_int_equal(kad__swarm_connection_count(kad__node_swarm(node(0))), 0);
  } while (kad__simulator_step(net.sim, until));
  /* What it knew is still there to be saved. */
  kad__node_status(node(0), &after);
  assert_int_equal(after.table_size, before.table_size);
}

static void test_a_node_that_joins(void **state) {
  (void)state;
  uint32_t number = network_add(&net, 0);
  kad_request get = KAD_REQUEST_INIT(KAD_GET);
  get.key = kad__bytes_of("nothing");
  kad_request_id id = network_start(&net, number, &get);
  close_node(number); /* in the middle of its first dial */
  kad_event event = network_await(&net, number, KAD_EVENT_END, LIMIT);
  assert_int_equal(event.request, id);
  assert_error(KAD_E_CANCELLED, event.error);
  (void)network_await(&net, number, KAD_EVENT_CLOSED, LIMIT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(test_all_is_told), TEST(test_peers_are_told),
      TEST(test_nothing_begins), TEST(test_a_node_that_joins)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
