/* Nodes that are joined by a transport of the test's own. */
#include "loop.h"
#include "memory_transport.h"

#define ECHO "/test/echo/1"
#define SERVER 1 /* its number: /memory/1 */
#define MEBIBYTE ((size_t)1 << 20)

/* Two nodes, joined by the memory alone. */
typedef struct rig {
  memory memory;
  loop l;
  memory_port ports[2];
  kad_node *nodes[2]; /* 0 serves, 1 asks */
  size_t seen[2][KAD_EVENT_LISTEN_CLOSED + 1];
  kad_event last[2][KAD_EVENT_LISTEN_CLOSED + 1]; /* no bytes */
  uint8_t failed[KAD_MULTIADDR_MAX];              /* of DIAL_FAILED */
  size_t failed_len;
  bool deaf; /* the server leaves what has come */
  kad_request_id request;
  size_t received; /* by the client, of one stream */
  bool wrong;      /* something else than was sent */
} rig;

static rig r;

static uint8_t byte_at(size_t i) {
  return (uint8_t)(i * 7 + (i >> 8));
}

/* ---- the owner's loop ---------------------------------------------------- */

static void send_back(kad_stream *stream) {
  kad_bytes in;
  while (!r.deaf && (in = kad_stream_peek(stream)).len > 0) {
    int taken = kad_stream_write(stream, in.data, in.len);
    if (taken < 0) {
      return;
    }
    kad_stream_consume(stream, (size_t)taken);
  }
  if (kad_stream_at_end(stream)) {
    kad_stream_close(stream);
  }
}

static void compare(kad_stream *stream) {
  kad_bytes in;
  while ((in = kad_stream_peek(stream)).len > 0) {
    for (size_t i = 0; i < in.len; i++) {
      r.wrong |= in.data[i] != byte_at(r.received + i);
    }
    r.received += in.len;
    kad_stream_consume(stream, in.len);
  }
}

static void keep_failure(const kad_event *event) {
  kad_bytes rest = event->addresses;
  kad_bytes address;
  if (kad_addresses_next(&rest, &address)) {
    memcpy(r.failed, address.data, address.len);
    r.failed_len = address.len;
  }
}

static void take(int side, const kad_event *event) {
  r.seen[side][event->type]++;
  r.last[side][event->type] = *event;
  switch (event->type) {
    case KAD_EVENT_STREAM_READABLE:
    case KAD_EVENT_STREAM_WRITABLE:
      if (event->inbound) {
        send_back(event->stream);
      } else {
        compare(event->stream);
      }
      break;
    case KAD_EVENT_STREAM_ENDED:
      kad_stream_close(event->stream);
      break;
    case KAD_EVENT_DIAL_FAILED:
      keep_failure(event);
      break;
    default:
      break;
  }
}

static void take_events(void) {
  for (int side = 0; side < 2; side++) {
    kad_event event;
    while (kad_node_poll(r.nodes[side], &event)) {
      take(side, &event);
    }
  }
}

static void turn_after(bool busy) {
  loop_turn(&r.l, busy || memory_busy(&r.memory) ? 0 : 5);
  take_events();
}

static void turn(void) {
  bool busy = false;
  for (int i = 0; i < 1000 && memory_run(&r.memory); i++) {
    busy = true;
  }
  turn_after(busy);
}

/* Turns until `side` has seen `count` events of that type. */
static void await(int side, kad_event_type type, size_t count) {
  kad_time limit = loop_now() + LOOP_LIMIT;
  while (r.seen[side][type] < count) {
    if (loop_now() > limit) {
      fail_msg("side %d: no event %d", side, (int)type);
    }
    turn();
  }
}

/* Until nobody has anything to do at once. */
static void settle(void) {
  for (int quiet = 0; quiet < 3; quiet++) {
    turn();
    if (memory_busy(&r.memory)) {
      quiet = 0;
    }
  }
}

/* ---- setting up ---------------------------------------------------------- */

static kad_node_options options_of(int side) {
  static const char *const listen[] = {"/memory/1"};
  kad_node_options options = loop_options();
  options.listen = listen;
  options.listen_count = side == 0 ? 1 : 0;
  options.mode = KAD_MODE_CLIENT; /* nobody calls but us */
  options.transports = &r.ports[side].transport;
  options.transport_count = 1;
  return options;
}

static void add(int side, const kad_node_options *options) {
  r.nodes[side] = loop_add(&r.l, options);
  r.ports[side].node = r.nodes[side];
}

static void prepare(void) {
  memset(&r, 0, sizeof(r));
  memory_init(&r.memory, test_seed("transport"));
  memory_port_init(&r.ports[0], &r.memory);
  memory_port_init(&r.ports[1], &r.memory);
}

static void open_both(void) {
  for (int side = 0; side < 2; side++) {
    kad_node_options options = options_of(side);
    add(side, &options);
  }
  assert_ok(kad_node_handle(r.nodes[0], ECHO));
  settle();
}

static int setup(void **state) {
  (void)state;
  prepare();
  open_both();
  return 0;
}

static int teardown(void **state) {
  (void)state;
  loop_close(&r.l);
  memory_fini(&r.memory);
  return 0;
}

/* Starts to connect to /memory/`number`. */
static int dial(uint64_t number) {
  kad_request request = KAD_REQUEST_INIT(KAD_CONNECT);
  request.address = memory_address(number);
  return kad_node_start(r.nodes[1], &r.request, &request);
}

/* Connects, or not: the error of the request. */
static int try_connect(uint64_t number) {
  size_t ends = r.seen[1][KAD_EVENT_END];
  int error = dial(number);
  if (error < 0) {
    return error;
  }
  await(1, KAD_EVENT_END, ends + 1);
  return r.last[1][KAD_EVENT_END].error;
}

static void connect_both(void) {
  assert_ok(try_connect(SERVER));
  await(0, KAD_EVENT_CONNECTED, 1);
  settle();
}

static kad_stream *open_stream(void) {
  static const char *const protocols[] = {ECHO};
  kad_stream_options options = KAD_STREAM_OPTIONS_INIT;
  options.protocols = protocols;
  options.protocol_count = 1;
  kad_stream *stream = NULL;
  assert_ok(
      kad_stream_open(r.nodes[1], &stream, kad_node_id(r.nodes[0]), &options));
  return stream;
}

/* Sends `len` bytes to the server, which sends them back. */
static void echo(size_t len) {
  uint8_t chunk[4096];
  kad_stream *stream = open_stream();
  kad_time limit = loop_now() + LOOP_LIMIT;
  size_t sent = 0;
  r.received = 0;
  while (r.received < len && loop_now() < limit) {
    size_t n = len - sent < sizeof(chunk) ? len - sent : sizeof(chunk);
    for (size_t i = 0; i < n; i++) {
      chunk[i] = byte_at(sent + i);
    }
    int taken = n == 0 ? 0 : kad_stream_write(stream, chunk, n);
    sent += taken > 0 ? (size_t)taken : 0;
    if (taken <= 0) {
      turn();
    }
  }
  assert_int_equal(r.received, len);
  assert_false(r.wrong);
  kad_stream_close(stream);
  settle();
}

static kad_connection_info only_connection(int side) {
  kad_connection_info info;
  uint64_t cursor = 0;
  assert_true(kad_node_next_connection(r.nodes[side], &cursor, NULL, &info));
  kad_connection_info other;
  assert_false(kad_node_next_connection(r.nodes[side], &cursor, NULL, &other));
  return info;
}

/* ---- connections --------------------------------------------------------- */

static void test_connects(void **state) {
  (void)state;
  kad_bytes list = kad_node_listen_addresses(r.nodes[0]);
  kad_bytes address;
  assert_true(kad_addresses_next(&list, &address));
  assert_bytes_equal(address, memory_address(SERVER));
  connect_both();
  kad_connection_info info = only_connection(1);
  assert_string_equal(info.transport, "memory");
  assert_false(info.inbound);
  assert_bytes_equal(info.remote_address, memory_address(SERVER));
  assert_bytes_equal(info.local_address, memory_address(1000));
  info = only_connection(0);
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
  echo(10000);
}

static void test_at_once(void **state) {
  (void)state;
  loop_close(&r.l);
  prepare();
  r.ports[0].listens = MEMORY_AT_ONCE;
  r.ports[1].dials = MEMORY_AT_ONCE;
  open_both();
  connect_both();
  assert_int_equal(only_connection(1).local_address.len, 0);
  echo(10000);
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
  connect_both();
  char text[KAD_MULTIADDR_TEXT_MAX];
  uint8_t binary[KAD_MULTIADDR_MAX];
  assert_ok(kad_node_listen(r.nodes[0], "/ip4/127.0.0.1/tcp/0"));
  await(0, KAD_EVENT_LISTENING, 2);
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
  await(1, KAD_EVENT_END, ends + 1);
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
  connect_both();
  echo(MEBIBYTE);
}

static void test_one_byte_at_a_time(void **state) {
  (void)state;
  r.ports[0].takes = MEMORY_TAKES_ONE;
  r.ports[1].takes = MEMORY_TAKES_ONE;
  r.memory.heaped = true;
  connect_both();
  echo(MEBIBYTE);
  assert_true(r.ports[0].writes > MEBIBYTE);
}

static void test_random_sizes(void **state) {
  (void)state;
  r.ports[0].takes = MEMORY_TAKES_RANDOM;
  r.ports[1].takes = MEMORY_TAKES_RANDOM;
  r.memory.chunk = 1021;
  connect_both();
  echo(MEBIBYTE);
}

static void test_read_one_byte_at_a_time(void **state) {
  (void)state;
  r.memory.chunk = 1;
  connect_both();
  echo(5000);
}

/* The server can send nothing: it stops to read, and goes on later. */
static void test_back_pressure(void **state) {
  (void)state;
  enum { STREAMS = 4 };
  kad_stream *streams[STREAMS];
  uint8_t chunk[4096] = {0};
  connect_both();
  r.ports[0].takes = MEMORY_TAKES_NONE;
  for (int i = 0; i < STREAMS; i++) {
    streams[i] = open_stream();
  }
  for (int round = 0; round < 2000 && r.ports[0].stops == 0; round++) {
    for (int i = 0; i < STREAMS; i++) {
      (void)kad_stream_write(streams[i], chunk, sizeof(chunk));
    }
    turn();
  }
  assert_int_equal(r.ports[0].stops, 1);
  memory_end *end = memory_at(&r.memory, &r.ports[0], 0);
  assert_true(end->stopped);
  assert_error(KAD_E_AGAIN, kad_transport_received(r.nodes[0], end->id, chunk,
                                                   sizeof(chunk)));
  r.ports[0].takes = MEMORY_TAKES_ALL;
  settle();
  assert_int_equal(r.ports[0].starts, r.ports[0].stops);
  for (int i = 0; i < STREAMS; i++) {
    kad_stream_reset(streams[i], 0);
  }
  r.wrong = false;
  echo(1000); /* the connection is as good as before */
}

/* ---- ends ---------------------------------------------------------------- */

static size_t connections(int side) {
  kad_node_status status;
  kad_node_get_status(r.nodes[side], &status);
  return status.connections;
}

/* Until there is nothing left. */
static void part(void) {
  kad_time limit = loop_now() + LOOP_LIMIT;
  do {
    assert_true(loop_now() < limit);
    for (int i = 0; i < 2; i++) {
      (void)kad_node_disconnect(r.nodes[i], kad_node_id(r.nodes[1 - i]), 0);
    }
    settle();
  } while (connections(0) + connections(1) +
               memory_count(&r.memory, &r.ports[0]) +
               memory_count(&r.memory, &r.ports[1]) !=
           0);
}

/* At each step of a connection's life, and from either side, the cable is cut,
 * or one end goes in good order. Whatever happens, both nodes get over it. */
static void cut_at(size_t step, int side, int error) {
  size_t ends = r.seen[1][KAD_EVENT_END];
  assert_ok(dial(SERVER));
  for (size_t i = 0; i < step; i++) {
    turn_after(memory_step(&r.memory));
  }
  if (memory_count(&r.memory, &r.ports[side]) != 0) {
    memory_cut(memory_at(&r.memory, &r.ports[side], 0), error);
  }
  await(1, KAD_EVENT_END, ends + 1);
  part();
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
  connect_both();
  echo(1000);
}

/* The same when a node closes: `close` comes once, with what was written
 * behind it. */
static void test_closed_by_us(void **state) {
  (void)state;
  for (int side = 0; side < 2; side++) {
    connect_both();
    size_t closes = r.ports[side].closes;
    size_t gone = r.seen[1 - side][KAD_EVENT_DISCONNECTED];
    assert_true(kad_node_close_connection(r.nodes[side],
                                          only_connection(side).id, 0x77));
    await(1 - side, KAD_EVENT_DISCONNECTED, gone + 1);
    assert_int_equal(r.last[1 - side][KAD_EVENT_DISCONNECTED].code, 0x77);
    settle();
    assert_int_equal(r.ports[side].closes, closes + 1);
    assert_int_equal(memory_count(&r.memory, &r.ports[0]), 0);
    r.seen[0][KAD_EVENT_CONNECTED] = 0;
  }
}

static void test_write_fails(void **state) {
  (void)state;
  connect_both();
  kad_stream *stream = open_stream();
  size_t closes = r.ports[1].closes;
  r.ports[1].takes = MEMORY_TAKES_ERROR;
  (void)kad_stream_write(stream, "x", 1);
  await(1, KAD_EVENT_STREAM_ENDED, 1);
  assert_error(KAD_E_IO, r.last[1][KAD_EVENT_STREAM_ENDED].error);
  await(0, KAD_EVENT_DISCONNECTED, 1);
  assert_int_equal(r.ports[1].closes, closes + 1);
  assert_int_equal(connections(1), 0);
}

/* What the transport has not taken is written before the channel is closed. */
static void test_closes_behind_the_rest(void **state) {
  (void)state;
  connect_both();
  size_t closes = r.ports[0].closes;
  r.ports[0].takes = MEMORY_TAKES_NONE;
  assert_true(
      kad_node_close_connection(r.nodes[0], only_connection(0).id, 0x55));
  settle();
  assert_int_equal(connections(0), 0);
  assert_int_equal(r.ports[0].closes, closes);
  r.ports[0].takes = MEMORY_TAKES_ONE;
  await(1, KAD_EVENT_DISCONNECTED, 1);
  assert_int_equal(r.last[1][KAD_EVENT_DISCONNECTED].code, 0x55);
  settle();
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
  settle();
  know_address(1);
  know_address(2);
  r.ports[1].stuck = 2;
  (void)open_stream();
  await(1, KAD_EVENT_CONNECTED, 1);
  settle();
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
  settle();
  assert_int_equal(r.ports[1].closes, 1);
  assert_null(end->port);
  assert_int_equal(connections(1), 1);
}

/* But not for ever. */
static void test_lingers_five_seconds(void **state) {
  (void)state;
  kad_time start = loop_now();
  memory_end *end = leave_behind();
  while (end->port != NULL && loop_now() < start + LOOP_LIMIT) {
    turn();
  }
  assert_int_equal(r.ports[1].closes, 1);
  assert_null(end->port);
  assert_true(loop_now() >= start + 5 * KAD_SECOND);
}

/* It may end by itself, too, and freeing the node gives it back. */
static void test_ends_while_it_lingers(void **state) {
  (void)state;
  memory_cut(leave_behind(), KAD_E_IO);
  settle();
  assert_int_equal(r.ports[1].closes, 0);
  assert_int_equal(connections(1), 1);
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
    assert_error(cases[i].error, try_connect(cases[i].number));
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
  await(1, KAD_EVENT_LISTEN_FAILED, 1);
  assert_error(KAD_E_UNREACHABLE, r.last[1][KAD_EVENT_LISTEN_FAILED].error);
  r.ports[1].listens = MEMORY_FAILS_LATER;
  assert_ok(kad_node_listen(r.nodes[1], "/memory/2"));
  await(1, KAD_EVENT_LISTEN_FAILED, 2);
  assert_error(KAD_E_TIMEOUT, r.last[1][KAD_EVENT_LISTEN_FAILED].error);
  assert_int_equal(kad_node_listen_addresses(r.nodes[1]).len, 0);
  assert_error(KAD_E_UNSUPPORTED,
               kad_node_listen(r.nodes[1], "/ip4/127.0.0.1/udp/1"));
  assert_int_equal(r.ports[1].unlistens, 0);
}

/* Its connections stay. */
static void test_listener_lost(void **state) {
  (void)state;
  connect_both();
  memory_listener *l = &r.memory.listeners[0];
  uint64_t id = l->id;
  l->port = NULL;
  assert_ok(kad_transport_listen_failed(r.nodes[0], id, KAD_E_IO));
  await(0, KAD_EVENT_LISTEN_CLOSED, 1);
  assert_error(KAD_E_IO, r.last[0][KAD_EVENT_LISTEN_CLOSED].error);
  assert_int_equal(kad_node_listen_addresses(r.nodes[0]).len, 0);
  assert_error(KAD_E_NOT_FOUND,
               kad_transport_listen_failed(r.nodes[0], id, KAD_E_IO));
  assert_int_equal(r.ports[0].unlistens, 0);
  echo(1000);
}

static void test_unlisten(void **state) {
  (void)state;
  connect_both();
  uint64_t id = r.memory.listeners[0].id;
  assert_true(kad_node_unlisten(r.nodes[0], "/memory/1"));
  assert_false(kad_node_unlisten(r.nodes[0], "/memory/1"));
  await(0, KAD_EVENT_LISTEN_CLOSED, 1);
  assert_error(0, r.last[0][KAD_EVENT_LISTEN_CLOSED].error);
  assert_int_equal(r.ports[0].unlistens, 1);
  echo(1000);
  uint64_t channel = 0;
  assert_error(KAD_E_NOT_FOUND,
               kad_transport_accepted(r.nodes[0], &channel, id, &r,
                                      memory_address(5), kad__bytes(NULL, 0)));
  kad_bytes address = memory_address(1);
  assert_error(KAD_E_NOT_FOUND,
               kad_transport_listening(r.nodes[0], id, &address, 1));
  assert_error(KAD_E_REFUSED, try_connect(SERVER));
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

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
  const struct CMUnitTest tests[] = {
      TEST(test_connects),
      TEST(test_at_once),
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
  };
#undef TEST
  return cmocka_run_group_tests(tests, NULL, NULL);
}
