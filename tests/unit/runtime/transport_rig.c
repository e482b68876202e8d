#include "transport_rig.h"

rig r;

static uint8_t byte_at(size_t i) {
  return (uint8_t)(i * 7 + (i >> 8));
}

/* ---- the owner's loop ---------------------------------------------------- */

static void send_back(kad_stream *stream) {
  kad_bytes in;
  while ((in = kad_stream_peek(stream)).len > 0) {
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
  assert_true(event->type < RIG_EVENTS);
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
    while (r.nodes[side] != NULL && kad_node_poll(r.nodes[side], &event)) {
      take(side, &event);
    }
  }
}

void rig_turn_after(bool busy) {
  loop_turn(&r.l, busy || memory_busy(&r.memory) ? 0 : 5);
  take_events();
}

void rig_turn(void) {
  bool busy = false;
  for (int i = 0; i < 1000 && memory_run(&r.memory); i++) {
    busy = true;
  }
  rig_turn_after(busy);
}

/* Turns until `side` has seen `count` events of that type. */
void rig_await(int side, kad_event_type type, size_t count) {
  kad_time limit = loop_now() + LOOP_LIMIT;
  while (r.seen[side][type] < count) {
    if (loop_now() > limit) {
      fail_msg("side %d: no event %d", side, (int)type);
    }
    rig_turn();
  }
}

/* Until nobody has anything to do at once. */
void rig_settle(void) {
  for (int quiet = 0; quiet < 3; quiet++) {
    rig_turn();
    if (memory_busy(&r.memory)) {
      quiet = 0;
    }
  }
}

/* ---- setting up ---------------------------------------------------------- */

kad_node_options rig_options(int side) {
  static const char *const listen[] = {"/memory/1"};
  kad_node_options options = loop_options();
  options.listen = listen;
  options.listen_count = side == 0 ? 1 : 0;
  options.mode = KAD_MODE_CLIENT; /* nobody calls but us */
  options.transports = &r.ports[side].transport;
  options.transport_count = 1;
  return options;
}

void rig_add(int side, const kad_node_options *options) {
  r.nodes[side] = loop_add(&r.l, options);
  r.ports[side].node = r.nodes[side];
}

void rig_prepare(void) {
  memset(&r, 0, sizeof(r));
  memory_init(&r.memory, test_seed("transport"));
  memory_port_init(&r.ports[0], &r.memory);
  memory_port_init(&r.ports[1], &r.memory);
}

void rig_open(void) {
  for (int side = 0; side < 2; side++) {
    kad_node_options options = rig_options(side);
    rig_add(side, &options);
  }
  assert_ok(kad_node_handle(r.nodes[0], ECHO));
  rig_settle();
}

int rig_setup(void **state) {
  (void)state;
  rig_prepare();
  rig_open();
  return 0;
}

int rig_teardown(void **state) {
  (void)state;
  loop_close(&r.l);
  memory_fini(&r.memory);
  return 0;
}

/* Starts to connect to /memory/`number`. */
int rig_dial(uint64_t number) {
  kad_request request = KAD_REQUEST_INIT(KAD_CONNECT);
  request.address = memory_address(number);
  request.timeout = r.timeout;
  return kad_node_start(r.nodes[1], &r.request, &request);
}

/* Connects, or not: the error of the request. */
int rig_try_connect(uint64_t number) {
  size_t ends = r.seen[1][KAD_EVENT_END];
  int error = rig_dial(number);
  if (error < 0) {
    return error;
  }
  rig_await(1, KAD_EVENT_END, ends + 1);
  return r.last[1][KAD_EVENT_END].error;
}

void rig_connect(void) {
  assert_ok(rig_try_connect(SERVER));
  rig_await(0, KAD_EVENT_CONNECTED, 1);
  rig_settle();
}

kad_stream *rig_open_stream(void) {
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
void rig_echo(size_t len) {
  uint8_t chunk[4096];
  kad_stream *stream = rig_open_stream();
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
      rig_turn();
    }
  }
  assert_int_equal(r.received, len);
  assert_false(r.wrong);
  kad_stream_close(stream);
  rig_settle();
}

kad_connection_info rig_connection(int side) {
  kad_connection_info info;
  uint64_t cursor = 0;
  assert_true(kad_node_next_connection(r.nodes[side], &cursor, NULL, &info));
  kad_connection_info other;
  assert_false(kad_node_next_connection(r.nodes[side], &cursor, NULL, &other));
  return info;
}

size_t rig_connections(int side) {
  kad_node_status status;
  kad_node_get_status(r.nodes[side], &status);
  return status.connections;
}

/* Until there is nothing left. */
void rig_part(void) {
  kad_time limit = loop_now() + LOOP_LIMIT;
  do {
    assert_true(loop_now() < limit);
    for (int i = 0; i < 2; i++) {
      (void)kad_node_disconnect(r.nodes[i], kad_node_id(r.nodes[1 - i]), 0);
    }
    rig_settle();
  } while (rig_connections(0) + rig_connections(1) +
               memory_count(&r.memory, &r.ports[0]) +
               memory_count(&r.memory, &r.ports[1]) !=
           0);
}
