/* Streams of the owner's own protocols, between nodes in virtual time. */
#include "kadmium/multiaddr.h"
#include "network.h"
#include "node/streams.h"
#include "swarm/swarm.h"
#include "wire/addresses.h"

#define ECHO "/test/echo/1"
#define LIMIT (30 * KAD_SECOND)

static network net;

static kad__node *node(uint32_t number) {
  return kad__simulator_node(net.sim, number);
}

static kad_time now(void) {
  return kad__simulator_now(net.sim);
}

static void handle(uint32_t number, const char *protocol) {
  assert_ok(kad__node_handle(node(number), kad__bytes_of(protocol), NULL, NULL,
                             now()));
  kad__simulator_touch(net.sim, number);
}

/* Three nodes: 0 and 1 are connected, 2 is of no network. */
static int setup(void **state) {
  (void)state;
  network_open(&net, test_seed("streams"));
  network_grow(&net, 2);
  uint32_t alone = network_add(&net, NOBODY);
  (void)network_await(&net, alone, KAD_EVENT_READY, KAD_MINUTE);
  handle(0, ECHO);
  return 0;
}

static int teardown(void **state) {
  (void)state;
  network_close(&net);
  return 0;
}

static void let_know(uint32_t who, uint32_t whom) {
  kad_bytes list = kad__node_addresses(node(whom));
  kad_bytes address;
  uint8_t copy[KAD_MULTIADDR_MAX];
  assert_true(kad__addresses_next(&list, &address));
  memcpy(copy, address.data, address.len);
  assert_ok(kad__peerstore_add(kad__swarm_peerstore(kad__node_swarm(node(who))),
                               kad__simulator_id(net.sim, whom),
                               kad__bytes(copy, address.len),
                               KAD__ADDRESS_RECENT, now()));
}

static int try_open(kad_stream **out, uint32_t from, uint32_t to, const char *a,
                    const char *b) {
  const char *names[] = {a, b};
  kad_stream_options options = KAD_STREAM_OPTIONS_INIT;
  options.protocols = names;
  options.protocol_count = b == NULL ? 1 : 2;
  int error = kad__node_stream_open(
      node(from), out, kad__simulator_id(net.sim, to), &options, now());
  kad__simulator_touch(net.sim, from);
  return error;
}

static kad_stream *open_to(uint32_t from, uint32_t to, const char *protocol) {
  kad_stream *stream = NULL;
  assert_ok(try_open(&stream, from, to, protocol, NULL));
  return stream;
}

static kad_stream *accept_at(uint32_t number) {
  kad_event event =
      network_await(&net, number, KAD_EVENT_STREAM_INBOUND, LIMIT);
  assert_true(event.inbound);
  return event.stream;
}

static void say(uint32_t number, kad_stream *stream, const char *text) {
  assert_int_equal(kad_stream_write(stream, text, strlen(text)), strlen(text));
  kad__simulator_touch(net.sim, number);
}

/* Waits for exactly `text`. */
static void hear(uint32_t number, kad_stream *stream, const char *text) {
  char heard[64] = {0};
  size_t len = 0;
  while (len < strlen(text)) {
    int result = kad_stream_read(stream, heard + len, strlen(text) - len);
    if (result == KAD_E_AGAIN) {
      (void)network_await(&net, number, KAD_EVENT_STREAM_READABLE, LIMIT);
      continue;
    }
    assert_true(result > 0);
    len += (size_t)result;
  }
  assert_string_equal(heard, text);
}

static void hear_end(uint32_t number, kad_stream *stream) {
  uint8_t byte;
  int result;
  while ((result = kad_stream_read(stream, &byte, 1)) == KAD_E_AGAIN) {
    (void)network_await(&net, number, KAD_EVENT_STREAM_READABLE, LIMIT);
  }
  assert_int_equal(result, 0);
  assert_true(kad_stream_at_end(stream));
}

static kad_event ended(uint32_t number) {
  return network_await(&net, number, KAD_EVENT_STREAM_ENDED, LIMIT);
}

static kad_stream_info info_of(const kad_stream *stream) {
  kad_stream_info info;
  kad__node_stream_info(stream, &info, now());
  return info;
}

/* ---- opening ------------------------------------------------------------- */

static void test_echo(void **state) {
  (void)state;
  kad_stream *mine = open_to(1, 0, ECHO);
  say(1, mine, "hello");
  kad_stream *theirs = accept_at(0);
  kad_event event = network_await(&net, 1, KAD_EVENT_STREAM_OPENED, LIMIT);
  assert_ptr_equal(event.stream, mine);
  assert_bytes_equal(event.protocol, kad__bytes_of(ECHO));
  assert_true(kad_peer_id_equal(&event.peer, kad__simulator_id(net.sim, 0)));
  hear(0, theirs, "hello");
  kad_stream_close_write(mine);
  kad__simulator_touch(net.sim, 1);
  hear_end(0, theirs);
  say(0, theirs, "world");
  kad_stream_close(theirs);
  kad__simulator_touch(net.sim, 0);
  hear(1, mine, "world");
  hear_end(1, mine);
  kad_stream_info info = info_of(mine);
  assert_true(info.opened);
  assert_false(info.inbound);
  assert_int_equal(info.bytes_read, 5);
  assert_int_equal(info.bytes_written, 5);
  assert_int_equal(info.error, 0);
  assert_true(info.connection != 0);
  kad_stream_close(mine);
}

static void test_opening_dials(void **state) {
  (void)state;
  kad_stream *mine = NULL;
  assert_error(KAD_E_NO_ADDRESS, try_open(&mine, 2, 0, ECHO, NULL));
  let_know(2, 0);
  kad_stream *first = open_to(2, 0, ECHO);
  kad_stream *second = open_to(2, 0, ECHO);
  say(2, first, "one");
  say(2, second, "two");
  assert_int_equal(kad_stream_unsent(first), 3);
  assert_int_equal(info_of(first).connection, 0);
  kad_stream *one = accept_at(0);
  kad_stream *two = accept_at(0);
  hear(0, one, "one");
  hear(0, two, "two");
  kad_stream_close(one);
  kad_stream_close(two);
  kad_stream_close(first);
  kad_stream_close(second);
  assert_int_equal(kad__swarm_connection_count(kad__node_swarm(node(2))), 1);
}

/* What was written before all was agreed is sent although it is closed. */
static void test_closed_while_it_opens(void **state) {
  (void)state;
  let_know(2, 0);
  kad_stream *mine = open_to(2, 0, ECHO);
  say(2, mine, "short");
  kad_stream_close(mine);
  kad_stream *theirs = accept_at(0);
  hear(0, theirs, "short");
  hear_end(0, theirs);
  kad_stream_close(theirs);
  assert_ok(try_open(&mine, 1, 0, "/test/unknown", ECHO));
  say(1, mine, "held");
  kad_stream_close(mine);
  theirs = accept_at(0);
  hear(0, theirs, "held");
  hear_end(0, theirs);
  kad_stream_close(theirs);
}

static void test_opening_fails(void **state) {
  (void)state;
  kad_stream *mine = NULL;
  assert_error(KAD_E_SELF, try_open(&mine, 0, 0, ECHO, NULL));
  assert_error(KAD_E_INVALID_ARGUMENT, try_open(&mine, 1, 0, "echo", NULL));
  assert_error(KAD_E_INVALID_ARGUMENT, try_open(&mine, 1, 0, "/a\nb", NULL));
  kad_stream_options options = KAD_STREAM_OPTIONS_INIT;
  assert_error(
      KAD_E_INVALID_ARGUMENT,
      kad__node_stream_open(node(1), &mine, kad__simulator_id(net.sim, 0),
                            &options, now()));
  options.protocols = &(const char *){ECHO};
  options.protocol_count = 1;
  options.no_dial = true;
  assert_error(KAD_E_CLOSED, kad__node_stream_open(
                                 node(2), &mine, kad__simulator_id(net.sim, 0),
                                 &options, now()));
  options.connection = 77;
  assert_error(KAD_E_CLOSED, kad__node_stream_open(
                                 node(1), &mine, kad__simulator_id(net.sim, 0),
                                 &options, now()));
  mine = open_to(1, 0, "/test/unknown");
  kad_event event = ended(1);
  assert_error(KAD_E_NO_PROTOCOL, event.error);
  assert_ptr_equal(event.stream, mine);
  kad_stream_close(mine);
  /* Nobody answers the dial. */
  let_know(2, 1);
  kad__simulator_crash(net.sim, 1);
  mine = open_to(2, 1, ECHO);
  event = ended(2);
  assert_true(event.error < 0);
  assert_error(event.error, kad_stream_write(mine, "x", 1));
  kad_stream_close(mine);
}

static void test_opening_times_out(void **state) {
  (void)state;
  kad_stream *mine = NULL;
  kad_stream_options options = KAD_STREAM_OPTIONS_INIT;
  options.protocols = &(const char *){ECHO};
  options.protocol_count = 1;
  options.timeout = 3 * KAD_SECOND;
  kad__simulator_partition(net.sim, 1, true);
  kad_time before = now();
  assert_ok(kad__node_stream_open(node(1), &mine, kad__simulator_id(net.sim, 0),
                                  &options, now()));
  kad__simulator_touch(net.sim, 1);
  assert_error(KAD_E_TIMEOUT, ended(1).error);
  assert_true(now() - before == 3 * KAD_SECOND);
  kad_stream_close(mine);
}

static bool is_chat(void *user, kad_bytes protocol) {
  (void)user;
  return protocol.len > 6 && memcmp(protocol.data, "/chat/", 6) == 0;
}

static void test_handlers(void **state) {
  (void)state;
  char name[32];
  kad__node *n = node(0);
  kad_bytes bad[] = {kad__bytes_of(""), kad__bytes_of("echo"),
                     kad__bytes_of("/"), kad__bytes_of(NETWORK_PROTOCOL),
                     kad__bytes_of("/ipfs/ping/1.0.0")};
  for (size_t i = 0; i < KAD__COUNT(bad); i++) {
    assert_error(KAD_E_INVALID_ARGUMENT,
                 kad__node_handle(n, bad[i], NULL, NULL, now()));
  }
  for (int i = 1; i < KAD__NODE_HANDLERS_MAX; i++) {
    (void)snprintf(name, sizeof(name), "/test/%d", i);
    assert_ok(kad__node_handle(n, kad__bytes_of(name), NULL, NULL, now()));
  }
  assert_error(KAD_E_LIMIT, kad__node_handle(n, kad__bytes_of("/chat/1"),
                                             is_chat, NULL, now()));
  assert_ok(kad__node_handle(n, kad__bytes_of(name), NULL, NULL, now()));
  kad__node_unhandle(n, kad__bytes_of(name), now());
  kad__node_unhandle(n, kad__bytes_of("/ipfs/ping/1.0.0"), now());
  assert_ok(
      kad__node_handle(n, kad__bytes_of("/chat/1"), is_chat, NULL, now()));
  kad__simulator_touch(net.sim, 0);
  kad_stream *mine = open_to(1, 0, "/chat/2");
  kad_event event = network_await(&net, 0, KAD_EVENT_STREAM_INBOUND, LIMIT);
  assert_bytes_equal(event.protocol, kad__bytes_of("/chat/2"));
  kad_stream_close(event.stream);
  kad_stream_close(mine);
  kad_request ping = KAD_REQUEST_INIT(KAD_PING);
  ping.peer = *kad__simulator_id(net.sim, 0);
  kad_request_id id = network_start(&net, 1, &ping);
  assert_ok(network_finish(&net, 1, id, LIMIT).end.error);
}

static bool is_told(uint32_t who, uint32_t of, const char *protocol) {
  uint8_t list[1024];
  size_t len = kad__peerstore_protocols(
      kad__swarm_peerstore(kad__node_swarm(node(who))),
      kad__simulator_id(net.sim, of), list, sizeof(list));
  kad_bytes rest = kad__bytes(list, len);
  kad_bytes name;
  while (kad__addresses_next(&rest, &name)) {
    if (kad__bytes_equal(name, kad__bytes_of(protocol))) {
      return true;
    }
  }
  return false;
}

/* Peers hear of a change by identify push. */
static void test_peers_are_told(void **state) {
  (void)state;
  network_pass(&net, KAD_SECOND);
  assert_false(is_told(1, 0, "/test/news"));
  handle(0, "/test/news");
  (void)network_await(&net, 1, KAD_EVENT_IDENTIFIED, LIMIT);
  assert_true(is_told(1, 0, "/test/news"));
  kad__node_unhandle(node(0), kad__bytes_of("/test/news"), now());
  kad__simulator_touch(net.sim, 0);
  (void)network_await(&net, 1, KAD_EVENT_IDENTIFIED, LIMIT);
  assert_false(is_told(1, 0, "/test/news"));
}

/* Each allocation fails once: the stream is opened, or its memory given back.
 */
static void test_opening_without_memory(void **state) {
  (void)state;
  test_allocator memory;
  test_allocator_init(&memory);
  net.config.allocator = &memory.allocator;
  uint32_t poor = network_add(&net, 0);
  net.config.allocator = NULL;
  (void)network_await(&net, poor, KAD_EVENT_READY, KAD_MINUTE);
  network_pass(&net, KAD_MINUTE);
  size_t refused = 0;
  for (size_t n = 1;; n++) {
    kad_stream *stream = NULL;
    size_t live = memory.live;
    memory.calls = 0;
    memory.fail_at = n;
    const char *names[] = {ECHO, "/test/other"};
    kad_stream_options options = KAD_STREAM_OPTIONS_INIT;
    options.protocols = names;
    options.protocol_count = 2;
    int error = kad__node_stream_open(
        node(poor), &stream, kad__simulator_id(net.sim, 0), &options, now());
    memory.fail_at = 0;
    if (error == 0) {
      kad_stream_close(stream);
      break;
    }
    assert_error(KAD_E_NO_MEMORY, error);
    assert_true(memory.live <= live + 2); /* tables that have grown stay */
    refused++;
  }
  assert_in_range(refused, 3, 20);
  kad__simulator_touch(net.sim, poor);
  kad__simulator_crash(net.sim, poor);
  assert_int_equal(memory.live, 0);
}

/* ---- bytes --------------------------------------------------------------- */

#define LARGE ((size_t)3 << 20)

static uint8_t pattern(size_t i) {
  return (uint8_t)(i * 31 + i / 251);
}

static size_t write_more(kad_stream *stream, size_t written) {
  uint8_t chunk[8192];
  for (;;) {
    size_t len =
        LARGE - written < sizeof(chunk) ? LARGE - written : sizeof(chunk);
    for (size_t i = 0; i < len; i++) {
      chunk[i] = pattern(written + i);
    }
    int result = len == 0 ? 0 : kad_stream_write(stream, chunk, len);
    if (result <= 0) {
      assert_true(result == 0 || result == KAD_E_AGAIN);
      return written;
    }
    written += (size_t)result;
  }
}

static size_t read_more(kad_stream *stream, size_t read) {
  kad_bytes in = kad_stream_peek(stream);
  for (size_t i = 0; i < in.len; i++) {
    assert_int_equal(in.data[i], pattern(read + i));
  }
  kad_stream_consume(stream, in.len);
  return read + in.len;
}

/* Who does not read is sent no more than the window, and who writes holds no
 * more than his limit; once he reads, all arrives. */
static void test_back_pressure(void **state) {
  (void)state;
  kad_stream *mine = open_to(1, 0, ECHO);
  kad_stream *theirs = accept_at(0);
  size_t written = write_more(mine, 0);
  assert_int_equal(written, KAD_STREAM_UNSENT_MAX);
  for (int i = 0; i < 10; i++) {
    kad__simulator_touch(net.sim, 1);
    network_pass(&net, KAD_SECOND);
    written = write_more(mine, written);
    assert_true(kad_stream_unsent(mine) <= KAD_STREAM_UNSENT_MAX);
  }
  assert_in_range(written, KAD_STREAM_UNSENT_MAX * 2 - 64,
                  KAD_STREAM_UNSENT_MAX * 2);
  assert_in_range(kad_stream_peek(theirs).len, 1, KAD_STREAM_UNSENT_MAX);
  size_t read = 0;
  uint32_t from;
  kad_event event;
  while (read < LARGE) {
    size_t before = read;
    read = read_more(theirs, read);
    kad__simulator_touch(net.sim, 0);
    while (kad__simulator_poll(net.sim, &from, &event)) {
      if (event.type == KAD_EVENT_STREAM_WRITABLE) {
        assert_ptr_equal(event.stream, mine);
        written = write_more(mine, written);
        kad__simulator_touch(net.sim, 1);
      }
    }
    if (read == before) {
      assert_true(kad__simulator_step(net.sim, now() + LIMIT));
    }
  }
  assert_int_equal(written, LARGE);
  kad_stream_close(mine);
  kad_stream_close(theirs);
}

/* So many streams write that their session is full: each goes on in time. */
static void test_a_full_session(void **state) {
  (void)state;
  enum { STREAMS = 90 };
  static kad_stream *mine[STREAMS];
  static kad_stream *theirs[STREAMS];
  static uint8_t bytes[KAD_STREAM_UNSENT_MAX];
  size_t done = 0;
  bool begun[STREAMS] = {false};
  for (size_t i = 0; i < STREAMS; i++) {
    mine[i] = open_to(1, 0, ECHO);
    theirs[i] = accept_at(0);
  }
  for (size_t i = 0; i < STREAMS; i++) {
    int result = kad_stream_write(mine[i], bytes, sizeof(bytes));
    begun[i] = result > 0;
    done += begun[i];
    assert_true(begun[i] || result == KAD_E_AGAIN);
  }
  assert_in_range(done, STREAMS / 2, STREAMS - 1);
  uint32_t from;
  kad_event event;
  while (done < STREAMS) {
    for (size_t i = 0; i < STREAMS; i++) {
      kad_stream_consume(theirs[i], kad_stream_peek(theirs[i]).len);
    }
    kad__simulator_touch(net.sim, 0);
    kad__simulator_touch(net.sim, 1);
    while (kad__simulator_poll(net.sim, &from, &event)) {
      for (size_t i = 0; i < STREAMS; i++) {
        if (event.type == KAD_EVENT_STREAM_WRITABLE &&
            event.stream == mine[i] && !begun[i]) {
          begun[i] = kad_stream_write(mine[i], bytes, sizeof(bytes)) > 0;
          done += begun[i];
        }
      }
    }
    assert_true(kad__simulator_step(net.sim, now() + LIMIT));
  }
  for (size_t i = 0; i < STREAMS; i++) {
    kad_stream_reset(mine[i], 0);
    kad_stream_close(theirs[i]);
  }
}

/* More than a connection carries at a time: each has its turn. */
static void test_a_thousand_at_once(void **state) {
  (void)state;
  enum { STREAMS = 1000 };
  static kad_stream *mine[STREAMS];
  size_t over = 0;
  for (size_t i = 0; i < STREAMS; i++) {
    assert_ok(try_open(&mine[i], 1, 0, ECHO, NULL));
    assert_int_equal(kad_stream_write(mine[i], "ping", 4), 4);
    kad_stream_close_write(mine[i]);
  }
  kad__simulator_touch(net.sim, 1);
  uint32_t from;
  kad_event event;
  while (over < STREAMS) {
    while (kad__simulator_poll(net.sim, &from, &event)) {
      uint8_t text[8];
      if (event.type == KAD_EVENT_STREAM_READABLE && from == 0 &&
          kad_stream_at_end(event.stream)) {
        kad_stream_close(event.stream);
      } else if (event.type == KAD_EVENT_STREAM_READABLE && from == 0) {
        int len = kad_stream_read(event.stream, text, sizeof(text));
        assert_int_equal(len, 4);
        assert_int_equal(kad_stream_write(event.stream, text, 4), 4);
        if (kad_stream_at_end(event.stream)) {
          kad_stream_close(event.stream);
        }
      } else if (event.type == KAD_EVENT_STREAM_READABLE &&
                 kad_stream_peek(event.stream).len == 4) {
        kad_stream_close(event.stream);
        over++;
      } else {
        assert_int_not_equal(event.type, KAD_EVENT_STREAM_ENDED);
      }
      kad__simulator_touch(net.sim, from);
    }
    assert_true(over == STREAMS || kad__simulator_step(net.sim, now() + LIMIT));
  }
}

/* All that fits is sent before the protocol is agreed: there is room then. */
static void test_room_once_open(void **state) {
  (void)state;
  static uint8_t bytes[KAD_STREAM_UNSENT_MAX];
  static const char *const names[] = {ECHO};
  kad_stream_options options = KAD_STREAM_OPTIONS_INIT;
  kad_stream *stream = NULL;
  options.protocols = names;
  options.protocol_count = 1;
  assert_ok(kad__node_stream_open(
      node(1), &stream, kad__simulator_id(net.sim, 0), &options, now()));
  int taken = kad_stream_write(stream, bytes, sizeof(bytes));
  assert_in_range(taken, 1, sizeof(bytes) - 1);
  kad__simulator_touch(net.sim, 1);
  kad_event event = network_await(&net, 1, KAD_EVENT_STREAM_WRITABLE, LIMIT);
  assert_ptr_equal(event.stream, stream);
  assert_int_equal(kad_stream_unsent(stream), 0);
  kad_stream_close(stream);
}

static void test_closed_sides(void **state) {
  (void)state;
  uint8_t byte;
  kad_stream *mine = open_to(1, 0, ECHO);
  kad_stream *theirs = accept_at(0);
  kad_stream_close_read(mine);
  assert_error(KAD_E_STATE, kad_stream_read(mine, &byte, 1));
  say(0, theirs, "unheard");
  say(1, mine, "heard");
  hear(0, theirs, "heard");
  network_pass(&net, KAD_SECOND);
  assert_int_equal(kad_stream_peek(mine).len, 0);
  kad_stream_close_write(theirs);
  kad_stream_close_write(theirs);
  assert_error(KAD_E_STATE, kad_stream_write(theirs, "x", 1));
  kad_stream_close(theirs);
  kad_stream_close(mine);
}

/* ---- the end ------------------------------------------------------------- */

static void test_reset(void **state) {
  (void)state;
  kad_stream *mine = open_to(1, 0, ECHO);
  kad_stream *theirs = accept_at(0);
  kad_stream_reset(mine, 0x2042);
  kad__simulator_touch(net.sim, 1);
  kad_event event = ended(0);
  uint8_t byte;
  assert_ptr_equal(event.stream, theirs);
  assert_error(KAD_E_STREAM_RESET, event.error);
  assert_int_equal(event.code, 0x2042);
  assert_error(KAD_E_STREAM_RESET, kad_stream_write(theirs, "x", 1));
  assert_error(KAD_E_STREAM_RESET, kad_stream_read(theirs, &byte, 1));
  assert_int_equal(info_of(theirs).code, 0x2042);
  kad_stream_close(theirs);
}

/* A stream is written to while its peer is dialled, and memory fails some time
 * later. Returns how much is told of it from its end on. */
static size_t told_from_its_end(test_allocator *memory, size_t nth) {
  static uint8_t bytes[20000];
  test_allocator_init(memory);
  network_open(&net, 1);
  network_grow(&net, 1);
  handle(0, ECHO);
  net.config.allocator = &memory->allocator;
  uint32_t poor = network_add(&net, NOBODY);
  (void)network_await(&net, poor, KAD_EVENT_READY, KAD_MINUTE);
  let_know(poor, 0);
  kad_stream *stream = open_to(poor, 0, ECHO);
  assert_true(kad_stream_write(stream, bytes, sizeof(bytes)) > 0);
  memory->fail_at = memory->calls + nth;
  size_t ends = 0;
  size_t late = 0;
  kad_time until = now() + KAD_MINUTE;
  do {
    uint32_t from;
    kad_event event;
    while (kad__simulator_poll(net.sim, &from, &event)) {
      ends += event.type == KAD_EVENT_STREAM_ENDED && event.stream == stream;
      late += ends != 0 && event.stream == stream;
    }
  } while (kad__simulator_step(net.sim, until));
  kad_stream_close(stream);
  network_close(&net);
  assert_int_equal(memory->live, 0);
  return late;
}

static void test_its_end_is_the_last(void **state) {
  (void)state;
  test_allocator memory;
  size_t nth = 0;
  do {
    assert_true(told_from_its_end(&memory, ++nth) <= 1);
  } while (memory.calls >= memory.fail_at && nth < 150);
}

/* A slow owner, whose deadline has passed while he was dialling, hears of the
 * connection before its stream is open. */
static void test_opens_behind_its_connection(void **state) {
  (void)state;
  let_know(2, 0);
  kad_stream *stream = open_to(2, 0, ECHO);
  assert_ok(kad__node_stream_deadline(stream, KAD_STREAM_READ, now() + 1));
  kad__simulator_touch(net.sim, 2);
  while (!info_of(stream).opened) {
    assert_true(kad__simulator_step(net.sim, now() + LIMIT));
  }
  kad_event event = {0};
  bool connected = false;
  bool opened = false;
  bool late = false;
  while (!opened || !late) {
    assert_true(kad__node_poll(node(2), &event));
    connected |= event.type == KAD_EVENT_CONNECTED;
    opened |= event.type == KAD_EVENT_STREAM_OPENED;
    late |= event.type == KAD_EVENT_STREAM_TIMEOUT;
    assert_true(connected || !opened);
  }
  kad_stream_close(stream);
}

/* Its streams are told to have ended before the connection is. */
static void test_connection_ends(void **state) {
  (void)state;
  kad_stream *mine = open_to(1, 0, ECHO);
  (void)accept_at(0);
  kad__swarm_disconnect_peer(kad__node_swarm(node(1)),
                             kad__simulator_id(net.sim, 0), now());
  kad__simulator_touch(net.sim, 1);
  uint32_t from;
  kad_event event = {0};
  bool over = false;
  while (kad__simulator_poll(net.sim, &from, &event)) {
    if (from != 1) {
      continue;
    }
    over = over || event.type == KAD_EVENT_STREAM_ENDED;
    if (event.type == KAD_EVENT_DISCONNECTED) {
      break;
    }
  }
  assert_int_equal(event.type, KAD_EVENT_DISCONNECTED);
  assert_true(over);
  assert_error(KAD_E_CLOSED, kad_stream_write(mine, "x", 1));
  kad_stream_close(mine);
  assert_error(KAD_E_GO_AWAY, ended(0).error); /* freed with its node */
}

static void test_given_back_streams_are_silent(void **state) {
  (void)state;
  kad_stream *mine = open_to(1, 0, ECHO);
  say(1, mine, "x");
  kad_stream *theirs = accept_at(0);
  network_pass(&net, KAD_SECOND);
  say(0, theirs, "y");
  kad_stream_close(mine);
  kad__simulator_touch(net.sim, 1);
  uint32_t from;
  kad_event event;
  do {
    while (kad__simulator_poll(net.sim, &from, &event)) {
      assert_true(from != 1 || event.stream == NULL);
    }
  } while (kad__simulator_step(net.sim, now() + KAD_SECOND / 100) &&
           kad_stream_peek(theirs).len == 0);
  kad_stream_close(theirs);
}

/* ---- deadlines ----------------------------------------------------------- */

static void test_deadlines(void **state) {
  (void)state;
  kad_stream *mine = open_to(1, 0, ECHO);
  kad_stream *theirs = accept_at(0);
  kad_time start = now();
  unsigned both = KAD_STREAM_READ | KAD_STREAM_WRITE;
  assert_ok(
      kad__node_stream_deadline(mine, KAD_STREAM_READ, start + 2 * KAD_SECOND));
  assert_ok(kad__node_stream_deadline(mine, KAD_STREAM_WRITE,
                                      start + 4 * KAD_SECOND));
  kad__simulator_touch(net.sim, 1);
  kad_event event = network_await(&net, 1, KAD_EVENT_STREAM_TIMEOUT, LIMIT);
  assert_int_equal(event.count, KAD_STREAM_READ);
  assert_int_equal(now(), start + 2 * KAD_SECOND);
  event = network_await(&net, 1, KAD_EVENT_STREAM_TIMEOUT, LIMIT);
  assert_int_equal(event.count, KAD_STREAM_WRITE);
  assert_int_equal(now(), start + 4 * KAD_SECOND);
  /* The stream is as good as before; one that is taken back says nothing. */
  assert_ok(kad__node_stream_deadline(mine, both, now() + KAD_SECOND));
  assert_ok(kad__node_stream_deadline(mine, both, KAD_TIME_NEVER));
  say(1, mine, "late");
  hear(0, theirs, "late");
  uint32_t from;
  kad_time until = now() + 5 * KAD_SECOND;
  do {
    while (kad__simulator_poll(net.sim, &from, &event)) {
      assert_int_not_equal(event.type, KAD_EVENT_STREAM_TIMEOUT);
    }
  } while (kad__simulator_step(net.sim, until));
  kad_stream_close(theirs);
  kad_stream_close(mine);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(test_echo),
      TEST(test_opening_dials),
      TEST(test_closed_while_it_opens),
      TEST(test_opening_fails),
      TEST(test_opening_times_out),
      TEST(test_handlers),
      TEST(test_peers_are_told),
      TEST(test_opening_without_memory),
      TEST(test_back_pressure),
      TEST(test_a_full_session),
      TEST(test_a_thousand_at_once),
      TEST(test_room_once_open),
      TEST(test_closed_sides),
      TEST(test_reset),
      cmocka_unit_test(test_its_end_is_the_last),
      TEST(test_opens_behind_its_connection),
      TEST(test_connection_ends),
      TEST(test_given_back_streams_are_silent),
      TEST(test_deadlines),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
