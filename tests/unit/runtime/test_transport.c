/* Nodes that are joined by a transport of the test's own: how connections come,
 * carry bytes and go. */
#include "transport_rig.h"

/* ---- connections --------------------------------------------------------- */

static void test_connects(void **state) {
  (void)state;
  kad_bytes list = kad_node_listen_addresses(r.nodes[0]);
  kad_bytes address;
  assert_true(kad_addresses_next(&list, &address));
  assert_bytes_equal(address, memory_address(SERVER));
  rig_connect();
  kad_connection_info info = rig_connection(1);
  assert_string_equal(info.transport, "memory");
  assert_false(info.inbound);
  assert_bytes_equal(info.remote_address, memory_address(SERVER));
  assert_bytes_equal(info.local_address, memory_address(1000));
  info = rig_connection(0);
  assert_string_equal(info.transport, "memory");
  assert_true(info.inbound);
  assert_bytes_equal(info.remote_address, memory_address(1000));
  assert_bytes_equal(info.local_address, memory_address(SERVER));
  assert_true(info.bytes_in > 0 && info.bytes_out > 0);
  /* Identify tells of it, and it is remembered. */
  kad_peer_info peer;
  assert_ok(kad_node_peer_info(r.nodes[1], &peer, kad_node_id(r.nodes[0])));
  list = peer.addresses;
  assert_true(kad_addresses_next(&list, &address));
  assert_bytes_equal(address, memory_address(SERVER));
  rig_echo(10000);
}

static void test_at_once(void **state) {
  (void)state;
  loop_close(&r.l);
  rig_prepare();
  r.ports[0].listens = MEMORY_AT_ONCE;
  r.ports[1].dials = MEMORY_AT_ONCE;
  rig_open();
  rig_connect();
  assert_int_equal(rig_connection(1).local_address.len, 0);
  rig_echo(10000);
}

static bool knows(int side, uint64_t number) {
  kad_peer_info peer;
  kad_bytes address;
  assert_ok(
      kad_node_peer_info(r.nodes[side], &peer, kad_node_id(r.nodes[1 - side])));
  while (kad_addresses_next(&peer.addresses, &address)) {
    if (kad__bytes_equal(address, memory_address(number))) {
      return true;
    }
  }
  return false;
}

/* Identify tells the other side where we listen, now and later. */
static void test_told_by_identify(void **state) {
  (void)state;
  assert_ok(kad_node_listen(r.nodes[1], "/memory/5"));
  rig_settle();
  rig_connect();
  assert_true(knows(0, 5));
  assert_false(knows(0, 6));
  assert_ok(kad_node_listen(r.nodes[1], "/memory/6"));
  rig_settle();
  assert_true(knows(0, 6));
}

/* The address is remembered, and dialled again when somebody wants the peer. */
static void test_called_again(void **state) {
  (void)state;
  rig_connect();
  rig_part();
  rig_echo(1000);
  assert_int_equal(rig_connections(1), 1);
}

/* On the public network, too, where AutoNAT and more look at addresses. */
static void test_public_network(void **state) {
  (void)state;
  loop_close(&r.l);
  rig_prepare();
  for (int side = 0; side < 2; side++) {
    kad_node_options options = rig_options(side);
    options.protocol = NULL;
    options.mode = KAD_MODE_AUTO;
    rig_add(side, &options);
  }
  assert_ok(kad_node_handle(r.nodes[0], ECHO));
  rig_settle();
  rig_connect();
  rig_echo(1000);
  kad_bytes list = kad_node_addresses(r.nodes[0]);
  kad_bytes address;
  assert_true(kad_addresses_next(&list, &address));
  assert_true(kad__bytes_start(address, memory_address(SERVER)));
}

static void test_choice(void **state) {
  (void)state;
  const kad_node *node = r.nodes[1];
  kad_bytes memory_one = memory_address(1);
  assert_string_equal(kad_node_transport_for_dialing(node, memory_one),
                      "memory");
  assert_string_equal(kad_node_transport_for_listening(node, memory_one),
                      "memory");
  kad_bytes tcp = test_hex("047f000001060fa1");
  assert_string_equal(kad_node_transport_for_dialing(node, tcp), "tcp");
  assert_string_equal(kad_node_transport_for_listening(node, tcp), "tcp");
  kad_bytes udp = test_hex("047f00000191020fa1");
  assert_null(kad_node_transport_for_dialing(node, udp));
  assert_null(kad_node_transport_for_listening(node, udp));
}

/* TCP stays beside it. */
static void test_beside_tcp(void **state) {
  (void)state;
  rig_connect();
  char text[KAD_MULTIADDR_TEXT_MAX];
  uint8_t binary[KAD_MULTIADDR_MAX];
  assert_ok(kad_node_listen(r.nodes[0], "/ip4/127.0.0.1/tcp/0"));
  rig_await(0, KAD_EVENT_LISTENING, 2);
  kad_bytes list = kad_node_listen_addresses(r.nodes[0]);
  kad_bytes address;
  assert_true(kad_addresses_next(&list, &address));
  assert_true(kad_addresses_next(&list, &address));
  assert_ok(kad_multiaddr_format(text, sizeof(text), address));
  assert_non_null(strstr(text, "/ip4/127.0.0.1/tcp/"));
  memcpy(binary, address.data, address.len);
  kad_request request = KAD_REQUEST_INIT(KAD_CONNECT);
  request.address = kad__bytes(binary, address.len);
  size_t ends = r.seen[1][KAD_EVENT_END];
  assert_ok(kad_node_start(r.nodes[1], &r.request, &request));
  rig_await(1, KAD_EVENT_END, ends + 1);
  assert_error(0, r.last[1][KAD_EVENT_END].error);
  kad_connection_info info;
  uint64_t cursor = 0;
  size_t tcp = 0;
  while (kad_node_next_connection(r.nodes[1], &cursor, NULL, &info)) {
    tcp += strcmp(info.transport, "tcp") == 0;
  }
  assert_int_equal(tcp, 1);
}

/* ---- bytes --------------------------------------------------------------- */

static void test_a_mebibyte(void **state) {
  (void)state;
  rig_connect();
  rig_echo(MEBIBYTE);
}

static void test_one_byte_at_a_time(void **state) {
  (void)state;
  r.ports[0].takes = MEMORY_TAKES_ONE;
  r.ports[1].takes = MEMORY_TAKES_ONE;
  r.memory.heaped = true;
  rig_connect();
  rig_echo(MEBIBYTE);
  assert_true(r.ports[0].writes > MEBIBYTE);
}

static void test_random_sizes(void **state) {
  (void)state;
  r.ports[0].takes = MEMORY_TAKES_RANDOM;
  r.ports[1].takes = MEMORY_TAKES_RANDOM;
  r.memory.chunk = 1021;
  rig_connect();
  rig_echo(MEBIBYTE);
}

static void test_read_one_byte_at_a_time(void **state) {
  (void)state;
  r.memory.chunk = 1;
  rig_connect();
  rig_echo(5000);
}

/* The server can send nothing: it stops to read, and goes on later. */
static void test_back_pressure(void **state) {
  (void)state;
  enum { STREAMS = 4 };
  kad_stream *streams[STREAMS];
  uint8_t chunk[4096] = {0};
  rig_connect();
  r.ports[0].takes = MEMORY_TAKES_NONE;
  for (int i = 0; i < STREAMS; i++) {
    streams[i] = rig_open_stream();
  }
  for (int round = 0; round < 2000 && r.ports[0].stops == 0; round++) {
    for (int i = 0; i < STREAMS; i++) {
      (void)kad_stream_write(streams[i], chunk, sizeof(chunk));
    }
    rig_turn();
  }
  assert_int_equal(r.ports[0].stops, 1);
  memory_end *end = memory_at(&r.memory, &r.ports[0], 0);
  assert_true(end->stopped);
  assert_error(KAD_E_AGAIN, kad_transport_received(r.nodes[0], end->id, chunk,
                                                   sizeof(chunk)));
  r.ports[0].takes = MEMORY_TAKES_ALL;
  rig_settle();
  assert_int_equal(r.ports[0].starts, r.ports[0].stops);
  for (int i = 0; i < STREAMS; i++) {
    kad_stream_reset(streams[i], 0);
  }
  r.wrong = false;
  rig_echo(1000); /* the connection is as good as before */
}

/* ---- ends ---------------------------------------------------------------- */

/* At each step of a connection's life, and from either side, the cable is cut,
 * or one end goes in good order. Whatever happens, both nodes get over it. */
static void cut_at(size_t step, int side, int error) {
  size_t ends = r.seen[1][KAD_EVENT_END];
  assert_ok(rig_dial(SERVER));
  for (size_t i = 0; i < step; i++) {
    rig_turn_after(memory_step(&r.memory));
  }
  if (memory_count(&r.memory, &r.ports[side]) != 0) {
    memory_cut(memory_at(&r.memory, &r.ports[side], 0), error);
  }
  rig_await(1, KAD_EVENT_END, ends + 1);
  rig_part();
}

static void test_cut_at_every_step(void **state) {
  (void)state;
  r.memory.chunk = 150;
  for (size_t step = 0; step < 40; step++) {
    for (int side = 0; side < 2; side++) {
      cut_at(step, side, step % 2 == 0 ? 0 : KAD_E_IO);
    }
  }
  r.memory.chunk = 0;
  rig_connect();
  rig_echo(1000);
}

/* The same when a node closes: `close` comes once, with what was written
 * behind it. */
static void test_closed_by_us(void **state) {
  (void)state;
  for (int side = 0; side < 2; side++) {
    rig_connect();
    size_t closes = r.ports[side].closes;
    size_t gone = r.seen[1 - side][KAD_EVENT_DISCONNECTED];
    assert_true(kad_node_close_connection(r.nodes[side],
                                          rig_connection(side).id, 0x77));
    rig_await(1 - side, KAD_EVENT_DISCONNECTED, gone + 1);
    assert_int_equal(r.last[1 - side][KAD_EVENT_DISCONNECTED].code, 0x77);
    rig_settle();
    assert_int_equal(r.ports[side].closes, closes + 1);
    assert_int_equal(memory_count(&r.memory, &r.ports[0]), 0);
    r.seen[0][KAD_EVENT_CONNECTED] = 0;
  }
}

static void test_write_fails(void **state) {
  (void)state;
  rig_connect();
  kad_stream *stream = rig_open_stream();
  size_t closes = r.ports[1].closes;
  r.ports[1].takes = MEMORY_TAKES_ERROR;
  (void)kad_stream_write(stream, "x", 1);
  rig_await(1, KAD_EVENT_STREAM_ENDED, 1);
  assert_error(KAD_E_IO, r.last[1][KAD_EVENT_STREAM_ENDED].error);
  rig_await(0, KAD_EVENT_DISCONNECTED, 1);
  assert_int_equal(r.ports[1].closes, closes + 1);
  assert_int_equal(rig_connections(1), 0);
}

/* What the transport has not taken is written before the channel is closed. */
static void test_closes_behind_the_rest(void **state) {
  (void)state;
  rig_connect();
  size_t closes = r.ports[0].closes;
  r.ports[0].takes = MEMORY_TAKES_NONE;
  assert_true(
      kad_node_close_connection(r.nodes[0], rig_connection(0).id, 0x55));
  rig_settle();
  assert_int_equal(rig_connections(0), 0);
  assert_int_equal(r.ports[0].closes, closes);
  r.ports[0].takes = MEMORY_TAKES_ONE;
  rig_await(1, KAD_EVENT_DISCONNECTED, 1);
  assert_int_equal(r.last[1][KAD_EVENT_DISCONNECTED].code, 0x55);
  rig_settle();
  assert_int_equal(r.ports[0].closes, closes + 1);
}

static void know_address(uint64_t number) {
  assert_ok(kad_node_set_peer_address(r.nodes[1], kad_node_id(r.nodes[0]),
                                      memory_address(number), KAD_HOUR));
}

/* Of two attempts one is over because the other has won, with bytes of ours on
 * their way: the transport keeps the channel for these alone. */
static memory_end *leave_behind(void) {
  uint8_t byte = 0;
  assert_ok(kad_node_listen(r.nodes[0], "/memory/2"));
  rig_settle();
  know_address(1);
  know_address(2);
  r.ports[1].stuck = 2;
  (void)rig_open_stream();
  rig_await(1, KAD_EVENT_CONNECTED, 1);
  rig_settle();
  assert_int_equal(memory_count(&r.memory, &r.ports[1]), 2);
  assert_int_equal(r.ports[1].closes, 0);
  memory_end *end = memory_at(&r.memory, &r.ports[1], 0);
  if (end->number != 2) {
    end = memory_at(&r.memory, &r.ports[1], 1);
  }
  assert_true(end->full);
  assert_true(end->stopped);
  assert_error(KAD_E_AGAIN,
               kad_transport_received(r.nodes[1], end->id, &byte, 1));
  return end;
}

static void test_lingers_for_the_rest(void **state) {
  (void)state;
  memory_end *end = leave_behind();
  r.ports[1].stuck = 0;
  r.ports[1].takes = MEMORY_TAKES_ONE;
  rig_settle();
  assert_int_equal(r.ports[1].closes, 1);
  assert_null(end->port);
  assert_int_equal(rig_connections(1), 1);
}

/* But not for ever. */
static void test_lingers_five_seconds(void **state) {
  (void)state;
  kad_time start = loop_now();
  memory_end *end = leave_behind();
  while (end->port != NULL && loop_now() < start + LOOP_LIMIT) {
    rig_turn();
  }
  assert_int_equal(r.ports[1].closes, 1);
  assert_null(end->port);
  assert_true(loop_now() >= start + 5 * KAD_SECOND);
}

/* It may end by itself, too, and freeing the node gives it back. */
static void test_ends_while_it_lingers(void **state) {
  (void)state;
  memory_cut(leave_behind(), KAD_E_IO);
  rig_settle();
  assert_int_equal(r.ports[1].closes, 0);
  assert_int_equal(rig_connections(1), 1);
}

static void test_freed_while_it_lingers(void **state) {
  (void)state;
  memory_end *end = leave_behind();
  loop_close(&r.l);
  assert_null(end->port);
}

/* ---- dials and listeners that fail --------------------------------------- */

static void test_dial_fails(void **state) {
  (void)state;
  static const struct {
    memory_begins dials;
    uint64_t number;
    int error;
  } cases[] = {{MEMORY_LATER, 9, KAD_E_REFUSED},
               {MEMORY_AT_ONCE, 9, KAD_E_REFUSED},
               {MEMORY_FAILS, SERVER, KAD_E_UNREACHABLE},
               {MEMORY_FAILS_LATER, SERVER, KAD_E_TIMEOUT}};
  for (size_t i = 0; i < KAD__COUNT(cases); i++) {
    r.ports[1].dials = cases[i].dials;
    assert_error(cases[i].error, rig_try_connect(cases[i].number));
    assert_int_equal(r.seen[1][KAD_EVENT_DIAL_FAILED], i + 1);
    assert_error(cases[i].error, r.last[1][KAD_EVENT_DIAL_FAILED].error);
    assert_bytes_equal(kad__bytes(r.failed, r.failed_len),
                       memory_address(cases[i].number));
    assert_int_equal(memory_count(&r.memory, &r.ports[1]), 0);
  }
  kad_swarm_counters counters;
  kad_node_swarm_counters(r.nodes[1], &counters);
  assert_int_equal(counters.failed_dials, KAD__COUNT(cases));
}

static void test_listen_fails(void **state) {
  (void)state;
  r.ports[1].listens = MEMORY_FAILS;
  assert_ok(kad_node_listen(r.nodes[1], "/memory/2"));
  rig_await(1, KAD_EVENT_LISTEN_FAILED, 1);
  assert_error(KAD_E_UNREACHABLE, r.last[1][KAD_EVENT_LISTEN_FAILED].error);
  r.ports[1].listens = MEMORY_FAILS_LATER;
  assert_ok(kad_node_listen(r.nodes[1], "/memory/2"));
  rig_await(1, KAD_EVENT_LISTEN_FAILED, 2);
  assert_error(KAD_E_TIMEOUT, r.last[1][KAD_EVENT_LISTEN_FAILED].error);
  assert_int_equal(kad_node_listen_addresses(r.nodes[1]).len, 0);
  assert_error(KAD_E_UNSUPPORTED,
               kad_node_listen(r.nodes[1], "/ip4/127.0.0.1/udp/1"));
  assert_int_equal(r.ports[1].unlistens, 0);
}

/* Its connections stay. */
static void test_listener_lost(void **state) {
  (void)state;
  rig_connect();
  memory_listener *l = &r.memory.listeners[0];
  uint64_t id = l->id;
  l->port = NULL;
  assert_ok(kad_transport_listen_failed(r.nodes[0], id, KAD_E_IO));
  rig_await(0, KAD_EVENT_LISTEN_CLOSED, 1);
  assert_error(KAD_E_IO, r.last[0][KAD_EVENT_LISTEN_CLOSED].error);
  assert_int_equal(kad_node_listen_addresses(r.nodes[0]).len, 0);
  assert_error(KAD_E_NOT_FOUND,
               kad_transport_listen_failed(r.nodes[0], id, KAD_E_IO));
  assert_int_equal(r.ports[0].unlistens, 0);
  rig_echo(1000);
}

static void test_unlisten(void **state) {
  (void)state;
  rig_connect();
  uint64_t id = r.memory.listeners[0].id;
  assert_true(kad_node_unlisten(r.nodes[0], "/memory/1"));
  assert_false(kad_node_unlisten(r.nodes[0], "/memory/1"));
  rig_await(0, KAD_EVENT_LISTEN_CLOSED, 1);
  assert_error(0, r.last[0][KAD_EVENT_LISTEN_CLOSED].error);
  assert_int_equal(r.ports[0].unlistens, 1);
  rig_echo(1000);
  uint64_t channel = 0;
  assert_error(KAD_E_NOT_FOUND,
               kad_transport_accepted(r.nodes[0], &channel, id, &r,
                                      memory_address(5), kad__bytes(NULL, 0)));
  kad_bytes address = memory_address(1);
  assert_error(KAD_E_NOT_FOUND,
               kad_transport_listening(r.nodes[0], id, &address, 1));
  assert_error(KAD_E_REFUSED, rig_try_connect(SERVER));
}

/* Several addresses, told anew. */
static void test_listening_again(void **state) {
  (void)state;
  uint64_t id = r.memory.listeners[0].id;
  kad_bytes addresses[2] = {memory_address(7), memory_address(8)};
  assert_ok(kad_transport_listening(r.nodes[0], id, addresses, 2));
  kad_bytes list = kad_node_listen_addresses(r.nodes[0]);
  kad_bytes address;
  for (int i = 0; i < 2; i++) {
    assert_true(kad_addresses_next(&list, &address));
    assert_bytes_equal(address, addresses[i]);
  }
  assert_int_equal(list.len, 0);
  assert_true(kad_node_unlisten(r.nodes[0], "/memory/8"));
  assert_int_equal(r.ports[0].unlistens, 1);
}

/* ---- all of it ----------------------------------------------------------- */

static uint32_t below(uint32_t bound) {
  return (uint32_t)kad_random_below(&r.memory.random, bound);
}

static void cut_one(void) {
  memory_port *port = &r.ports[below(2)];
  size_t count = memory_count(&r.memory, port);
  if (count != 0) {
    memory_cut(memory_at(&r.memory, port, below((uint32_t)count)),
               below(2) == 0 ? 0 : KAD_E_IO);
  }
}

static void write_some(void) {
  static const uint8_t bytes[20000] = {1};
  if (rig_connections(1) != 0) {
    kad_stream *stream = rig_open_stream();
    (void)kad_stream_write(stream, bytes, below(sizeof(bytes)));
    kad_stream_close(stream);
  }
}

static void listen_or_not(void) {
  if (!kad_node_unlisten(r.nodes[1], "/memory/3")) {
    r.ports[1].listens = (memory_begins)below(MEMORY_FAILS_LATER + 1);
    assert_ok(kad_node_listen(r.nodes[1], "/memory/3"));
  }
}

static void do_something(void) {
  switch (below(8)) {
    case 0:
      r.ports[1].dials = (memory_begins)below(MEMORY_FAILS_LATER + 1);
      (void)rig_dial(SERVER + below(2));
      break;
    case 1:
      cut_one();
      break;
    case 2:
      (void)kad_node_disconnect(r.nodes[0], kad_node_id(r.nodes[1]), below(9));
      break;
    case 3:
      r.ports[below(2)].takes = (memory_takes)below(MEMORY_TAKES_ERROR + 1);
      break;
    case 4:
      r.memory.chunk = below(300);
      break;
    case 5:
      listen_or_not();
      break;
    default:
      write_some();
      break;
  }
}

/* Whatever comes together: both nodes live through it, and everything is given
 * back, once. */
static void test_storm(void **state) {
  (void)state;
  r.timeout = 100 * KAD_MILLISECOND;
  for (size_t round = test_runs(80); round > 0; round--) {
    for (int i = 0; i < 40; i++) {
      do_something();
      for (uint32_t steps = below(30); steps > 0; steps--) {
        (void)memory_step(&r.memory);
      }
      if (below(4) == 0 || memory_count(&r.memory, &r.ports[1]) > 8) {
        rig_turn_after(true);
      }
    }
    for (int side = 0; side < 2; side++) {
      r.ports[side].takes = MEMORY_TAKES_ALL;
    }
    rig_part();
  }
  r.timeout = 0;
  r.memory.chunk = 0;
  r.ports[1].dials = MEMORY_LATER;
  r.seen[0][KAD_EVENT_CONNECTED] = 0;
  rig_connect();
  rig_echo(1000);
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)
  const struct CMUnitTest tests[] = {
      TEST(test_connects),
      TEST(test_at_once),
      TEST(test_told_by_identify),
      TEST(test_called_again),
      TEST(test_public_network),
      TEST(test_choice),
      TEST(test_beside_tcp),
      TEST(test_a_mebibyte),
      TEST(test_one_byte_at_a_time),
      TEST(test_random_sizes),
      TEST(test_read_one_byte_at_a_time),
      TEST(test_back_pressure),
      TEST(test_cut_at_every_step),
      TEST(test_closed_by_us),
      TEST(test_write_fails),
      TEST(test_closes_behind_the_rest),
      TEST(test_lingers_for_the_rest),
      TEST(test_lingers_five_seconds),
      TEST(test_ends_while_it_lingers),
      TEST(test_freed_while_it_lingers),
      TEST(test_dial_fails),
      TEST(test_listen_fails),
      TEST(test_listener_lost),
      TEST(test_unlisten),
      TEST(test_listening_again),
      TEST(test_storm),
  };
#undef TEST
  return cmocka_run_group_tests(tests, NULL, NULL);
}
