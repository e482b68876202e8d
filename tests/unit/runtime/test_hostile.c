/* The commonest bad input, through a socket, against a node that serves others
 * meanwhile: the connection or stream that brought it ends, nothing else does,
 * and nothing is left of it. */
#include <fcntl.h>
#include <unistd.h>

#include "raw_peer.h"
#include "runtime/kad_node.h"

#define SOON (3 * KAD_SECOND)
#define KAD LOOP_PROTOCOL
#define IDENTIFY_PUSH "/ipfs/id/push/1.0.0"
/* What the node may remember of peers that it has met. */
#define MEMORY_SLACK ((size_t)96 * 1024)

typedef struct fixture {
  loop l;
  test_allocator memory; /* of the victim */
  kad_node *victim;
  kad_node *honest;
  uint16_t port;
  size_t files;
  uint64_t seed;
} fixture;

static size_t open_files(void) {
  size_t count = 0;
  for (int fd = 0; fd < 1024; fd++) {
    count += fcntl(fd, F_GETFD) >= 0;
  }
  return count;
}

static int set_up(void **state) {
  fixture *f = calloc(1, sizeof(*f));
  test_allocator_init(&f->memory);
  kad_node_options options = loop_options();
  options.allocator = &f->memory.allocator;
  f->victim = loop_add(&f->l, &options);
  (void)loop_await(&f->l, f->victim, KAD_EVENT_READY, 0);
  f->port = loop_port(f->victim);
  f->honest = loop_join(&f->l, f->victim);
  f->seed = 1000;
  *state = f;
  return 0;
}

static int tear_down(void **state) {
  fixture *f = *state;
  loop_close(&f->l);
  size_t live = f->memory.live;
  free(f);
  return live == 0 ? 0 : -1;
}

/* The honest node pings and asks: both work. */
static void check_served(fixture *f) {
  loop_result result;
  kad_request ping = KAD_REQUEST_INIT(KAD_PING);
  ping.peer = *kad_node_id(f->victim);
  loop_run(&f->l, f->honest, &ping, &result);
  assert_ok(result.end.error);
  kad_request closest = KAD_REQUEST_INIT(KAD_CLOSEST);
  closest.key = kad__bytes_of("key");
  loop_run(&f->l, f->honest, &closest, &result);
  assert_ok(result.end.error);
  assert_true(result.end.statistics.successes > 0);
}

static size_t connections(const fixture *f) {
  kad_node_status status;
  kad_node_get_status(f->victim, &status);
  return status.connections;
}

/* Back to how it was, the events of the victim taken. */
static void settle(fixture *f, size_t files, size_t memory) {
  kad_time until = loop_now() + LOOP_LIMIT;
  kad_event event;
  while (loop_now() < until) {
    while (kad_node_poll(f->victim, &event)) {
    }
    if (open_files() == files &&
        f->memory.live_bytes <= memory + MEMORY_SLACK) {
      return;
    }
    loop_turn(&f->l, 10);
  }
  fail_msg("%zu files instead of %zu, %zu bytes instead of %zu", open_files(),
           files, f->memory.live_bytes, memory);
}

typedef struct attack {
  const char *name;
  kad_bytes bytes;
} attack;

/* ---- before there is a connection ---------------------------------------- */

#define NINE_FF "\xff\xff\xff\xff\xff\xff\xff\xff\xff"

static const attack first_bytes[] = {
    {"HTTP", {(const uint8_t *)"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 27}},
    {"SSH", {(const uint8_t *)"SSH-2.0-OpenSSH_9.2p1\r\n", 23}},
    {"TLS hello", {(const uint8_t *)"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", 9}},
    {"a header of 1025", {(const uint8_t *)"\x81\x08", 2}},
    {"a header of 64 MiB", {(const uint8_t *)"\x80\x80\x80\x20", 4}},
    {"a header of 2^64-1", {(const uint8_t *)NINE_FF "\x01", 10}},
    {"eleven bytes of length", {(const uint8_t *)NINE_FF "\xff\x01", 11}},
    {"an empty header", {(const uint8_t *)"\x00", 1}},
    {"no newline", {(const uint8_t *)"\x05/foo1", 6}},
    {"another version", {(const uint8_t *)"\x13/multistream/2.0.0\n", 20}},
    {"header, then empty", {(const uint8_t *)MULTISTREAM "\x00", 21}},
    {"header, then 64 MiB",
     {(const uint8_t *)MULTISTREAM "\x80\x80\x80\x20", 24}},
    {"Noise, then nothing in it", {(const uint8_t *)NOISE "\x00\x00", 30}},
    {"Noise of 31",
     {(const uint8_t *)NOISE "\x00\x1f"
                             "1234567890123456789012345678901",
      61}},
    {"Noise of zeros",
     {(const uint8_t *)NOISE "\x00\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
                             "\0\0\0\0\0\0\0\0\0\0\0\0",
      62}},
};

static void test_first_bytes(void **state) {
  fixture *f = *state;
  size_t files = open_files();
  size_t memory = f->memory.live_bytes;
  for (size_t i = 0; i < sizeof(first_bytes) / sizeof(attack); i++) {
    raw_peer p;
    raw_open(&p, &f->l, f->port, f->seed++);
    raw_send(&p, first_bytes[i].bytes);
    if (!raw_ended(&p, SOON)) {
      fail_msg("%s: not ended", first_bytes[i].name);
    }
    check_served(f);
    raw_close(&p);
  }
  settle(f, files, memory);
}

/* One byte at a time of something good, and then of something bad. */
static void test_slow_bytes(void **state) {
  fixture *f = *state;
  static const char text[] = MULTISTREAM "\x05/foo\n\x07/noise\n\x00\x00";
  raw_peer p;
  raw_open(&p, &f->l, f->port, f->seed++);
  for (size_t i = 0; i < sizeof(text) - 1; i++) {
    raw_send(&p, kad__bytes(text + i, 1));
    loop_turn(&f->l, 5);
  }
  assert_true(raw_ended(&p, SOON));
  check_served(f);
  raw_close(&p);
}

/* Proposals without end are answered, and then they are enough. */
static void test_endless_proposals(void **state) {
  fixture *f = *state;
  raw_peer p;
  raw_open(&p, &f->l, f->port, f->seed++);
  raw_send(&p, LITERAL(MULTISTREAM));
  for (int i = 0; i < 10000; i++) {
    raw_send(&p, LITERAL("\x05/foo\n"));
  }
  assert_true(raw_ended(&p, SOON));
  check_served(f);
  raw_close(&p);
}

static void shorten(uint8_t *message, size_t *len) {
  *len -= 7;
  kad__store16(message, (uint16_t)(*len - 2));
}

static void flip(uint8_t *message, size_t *len) {
  message[*len - 1] ^= 1;
}

static void lengthen(uint8_t *message, size_t *len) {
  (void)len;
  kad__store16(message, 0xffff);
}

static void test_bent_handshakes(void **state) {
  fixture *f = *state;
  size_t files = open_files();
  size_t memory = f->memory.live_bytes;
  static const raw_bend bends[] = {shorten, flip, lengthen};
  size_t before = connections(f);
  for (int message = 1; message <= 3; message += 2) {
    for (size_t i = 0; i < 3; i++) {
      raw_peer p;
      raw_open(&p, &f->l, f->port, f->seed++);
      raw_handshake(&p, message, bends[i]);
      /* A flipped bit of the first message shows in the third. */
      if (message == 1 && bends[i] == flip) {
        raw_send(&p, LITERAL("\x00\x40"
                             "1234567890123456789012345678901234"
                             "567890123456789012345678901234"));
      }
      if (!raw_ended(&p, SOON)) {
        fail_msg("message %d, bend %zu", message, i);
      }
      raw_close(&p);
      assert_true(connections(f) <= before);
    }
  }
  check_served(f);
  settle(f, files, memory);
}

/* Half of everything, then the end: each prefix of an honest beginning. */
static void test_cut_short(void **state) {
  fixture *f = *state;
  size_t files = open_files();
  size_t memory = f->memory.live_bytes;
  kad_bytes text = LITERAL(NOISE
                           "\x00\x20"
                           "12345678901234567890123456789012");
  for (size_t len = 0; len < text.len; len += 3) {
    raw_peer p;
    raw_open(&p, &f->l, f->port, f->seed++);
    raw_send(&p, kad__bytes(text.data, len));
    loop_turn(&f->l, 5);
    raw_close(&p);
  }
  check_served(f);
  settle(f, files, memory);
}

/* Connections that say nothing stay, but only up to the deadline of an
 * upgrade; here it comes without waiting for it. */
static void test_half_open(void **state) {
  fixture *f = *state;
  size_t files = open_files();
  size_t memory = f->memory.live_bytes;
  raw_peer silent;
  raw_peer slow;
  raw_open(&silent, &f->l, f->port, f->seed++);
  raw_open(&slow, &f->l, f->port, f->seed++);
  raw_send(&slow, LITERAL(MULTISTREAM "\x07/no"));
  check_served(f);
  assert_false(raw_ended(&silent, 50 * KAD_MILLISECOND));
  kad__host *host = &f->victim->host;
  kad__swarm_tick(kad__node_swarm(host->node), loop_now() + 16 * KAD_SECOND);
  kad__host_turn(host);
  assert_true(raw_ended(&silent, SOON));
  assert_true(raw_ended(&slow, SOON));
  raw_close(&silent);
  raw_close(&slow);
  check_served(f);
  settle(f, files, memory);
}

/* ---- yamux, behind an honest handshake ----------------------------------- */

#define FRAME(name, bytes)                      \
  {                                             \
    name, {                                     \
      (const uint8_t *)bytes, sizeof(bytes) - 1 \
    }                                           \
  }
#define OPEN_ONE "\0\0\0\1\0\0\0\1\0\0\0\0"

static const attack yamux_attacks[] = {
    FRAME("a bad version", "\1\0\0\1\0\0\0\1\0\0\0\0"),
    FRAME("type 4", "\0\4\0\0\0\0\0\1\0\0\0\0"),
    FRAME("type 255", "\0\xff\0\0\0\0\0\1\0\0\0\0"),
    FRAME("more than the window", OPEN_ONE "\0\0\0\0\0\0\0\1\0\x04\0\1"),
    FRAME("data of 4 GiB", OPEN_ONE "\0\0\0\0\0\0\0\1\xff\xff\xff\xff"),
    FRAME("a window beyond 2^32", OPEN_ONE "\0\1\0\0\0\0\0\1\xff\xff\xff\xff"
                                           "\0\1\0\0\0\0\0\1\xff\xff\xff\xff"),
    FRAME("a SYN with 2^32-1 of window", "\0\1\0\1\0\0\0\1\xff\xff\xff\xff"),
    FRAME("4 GiB for nobody", "\0\0\0\0\0\0\0\x63\xff\xff\xff\xff"),
    FRAME("stream 0", "\0\0\0\1\0\0\0\0\0\0\0\0"),
    FRAME("our parity", "\0\0\0\1\0\0\0\2\0\0\0\0"),
    FRAME("a second SYN", OPEN_ONE OPEN_ONE),
    FRAME("GoAway", "\0\3\0\0\0\0\0\0\0\0\0\xff"),
    FRAME("GoAway of a stream", "\0\3\0\0\0\0\0\1\0\0\0\1"),
};

static void test_yamux(void **state) {
  fixture *f = *state;
  size_t files = open_files();
  size_t memory = f->memory.live_bytes;
  for (size_t i = 0; i < sizeof(yamux_attacks) / sizeof(attack); i++) {
    raw_peer p;
    raw_open(&p, &f->l, f->port, f->seed++);
    raw_handshake(&p, 3, NULL);
    assert_true(raw_hear(&p, 12)); /* identify of the victim: it is up */
    raw_say(&p, yamux_attacks[i].bytes);
    if (!raw_ended(&p, SOON)) {
      fail_msg("%s: not ended", yamux_attacks[i].name);
    }
    check_served(f);
    raw_close(&p);
  }
  settle(f, files, memory);
}

static void test_garbage_behind_the_handshake(void **state) {
  fixture *f = *state;
  raw_peer p;
  raw_open(&p, &f->l, f->port, f->seed++);
  raw_handshake(&p, 3, NULL);
  assert_true(raw_hear(&p, 12));
  raw_send(&p, LITERAL("\x00\x20 this is plain text, not Noise.."));
  assert_true(raw_ended(&p, SOON));
  raw_close(&p);
  check_served(f);
}

/* Opened and reset without end. */
static void test_rapid_reset(void **state) {
  fixture *f = *state;
  size_t files = open_files();
  size_t memory = f->memory.live_bytes;
  raw_peer p;
  raw_open(&p, &f->l, f->port, f->seed++);
  raw_handshake(&p, 3, NULL);
  bool ended = false;
  kad__buffer burst = {0};
  for (uint32_t i = 0; i < 200 && !ended; i++) {
    kad__buffer_fini(&burst, kad_allocator_default());
    burst = (kad__buffer){0};
    for (uint32_t j = 0; j < 100; j++) {
      uint8_t frames[24] = {0, 1, 0, YAMUX_SYN};
      kad__store32(frames + 4, 2 * (i * 100 + j) + 1);
      memcpy(frames + 12, frames, 8);
      frames[15] = YAMUX_RST;
      assert_ok(kad__buffer_append(&burst, kad_allocator_default(),
                                   kad__bytes(frames, sizeof(frames))));
    }
    raw_say(&p, kad__buffer_bytes(&burst));
    ended = raw_ended(&p, KAD_MILLISECOND);
  }
  kad__buffer_fini(&burst, kad_allocator_default());
  assert_true(ended || raw_ended(&p, SOON));
  raw_close(&p);
  check_served(f);
  settle(f, files, memory);
}

/* Pings whose answers are never read: a bounded number is kept. */
static void test_pings_unread(void **state) {
  fixture *f = *state;
  size_t files = open_files();
  size_t memory = f->memory.live_bytes;
  raw_peer p;
  raw_open(&p, &f->l, f->port, f->seed++);
  raw_handshake(&p, 3, NULL);
  for (uint32_t i = 0; i < 20000; i++) {
    raw_frame(&p, YAMUX_PING, YAMUX_SYN, 0, i, kad__bytes(NULL, 0));
  }
  assert_true(f->memory.live_bytes < memory + (4u << 20));
  check_served(f);
  raw_close(&p);
  check_served(f);
  settle(f, files, memory);
}

/* ---- streams ------------------------------------------------------------- */

static const attack kad_attacks[] = {
    FRAME("2 GiB", "\x80\x80\x80\x80\x08"),
    FRAME("4 MiB and one", "\x81\x80\x80\x02"),
    FRAME("a length of 2^64-1", NINE_FF "\x01"),
    FRAME("eleven bytes of length", NINE_FF "\xff\x01"),
    FRAME("an empty message", "\x00"),
    FRAME("FIND_NODE without a key", "\x02\x08\x04"),
    FRAME("FIND_NODE of an empty key", "\x04\x08\x04\x12\x00"),
    FRAME("type 99", "\x02\x08\x63"),
    FRAME("a negative type", "\x0b\x08" NINE_FF "\x01"),
    FRAME("a key of 4 GiB", "\x07\x12\xff\xff\xff\xff\x0f\x41"),
    FRAME("a key of 2^64-1", "\x0b\x12" NINE_FF "\x01"),
    FRAME("a wrong wire type", "\x04\x08\x04\x10\x05"),
    FRAME("field 0", "\x02\x00\x00"),
    FRAME("a cut varint", "\x02\x08\x80"),
    FRAME("PUT_VALUE without a record", "\x02\x08\x00"),
    FRAME("a record without a key", "\x04\x08\x00\x1a\x00"),
};

/* Bad messages end their stream; the connection lives and is served on. */
static void test_kad_messages(void **state) {
  fixture *f = *state;
  size_t files = open_files();
  size_t memory = f->memory.live_bytes;
  raw_peer p;
  raw_open(&p, &f->l, f->port, f->seed++);
  raw_handshake(&p, 3, NULL);
  uint32_t id = 1;
  for (size_t i = 0; i < sizeof(kad_attacks) / sizeof(attack); i++, id += 2) {
    raw_stream(&p, id, KAD, kad_attacks[i].bytes);
    if (!raw_was_reset(&p, id)) {
      fail_msg("%s: no reset", kad_attacks[i].name);
    }
  }
  check_served(f);
  /* The same connection may go on and ask properly. */
  raw_stream(&p, id, KAD, LITERAL("\x05\x08\x04\x12\x01k"));
  assert_true(raw_was_answered(&p, id));
  raw_close(&p);
  settle(f, files, memory);
}

static void test_unknown_protocol(void **state) {
  fixture *f = *state;
  raw_peer p;
  raw_open(&p, &f->l, f->port, f->seed++);
  raw_handshake(&p, 3, NULL);
  raw_stream(&p, 1, "/nobody/speaks/this", LITERAL("data behind it"));
  raw_stream(&p, 3, "not a protocol\n", LITERAL(""));
  raw_frame(&p, YAMUX_DATA, YAMUX_SYN, 5, 4, LITERAL("\x80\x80\x80\x20"));
  assert_true(raw_was_reset(&p, 5));
  check_served(f);
  raw_close(&p);
}

static const attack identify_attacks[] = {
    FRAME("a length of 2 GiB", "\x80\x80\x80\x80\x08"),
    FRAME("garbage", "\x05\xff\xff\xff\xff\xff"),
    FRAME("a wrong wire type", "\x02\x08\x01"),
    FRAME("an address of 4 GiB", "\x06\x12\xff\xff\xff\xff\x0f"),
    FRAME("another's key", "\x06\x0a\x04\x08\x01\x12\x00"),
    FRAME("a broken signed record",
          "\x05\x42\x03"
          "abc"),
};

/* What a push says wrong costs the push; the peer may be believed nothing. */
static void test_identify_push(void **state) {
  fixture *f = *state;
  size_t files = open_files();
  size_t memory = f->memory.live_bytes;
  for (size_t i = 0; i < sizeof(identify_attacks) / sizeof(attack); i++) {
    raw_peer p;
    raw_open(&p, &f->l, f->port, f->seed++);
    raw_handshake(&p, 3, NULL);
    raw_stream(&p, 1, IDENTIFY_PUSH, identify_attacks[i].bytes);
    raw_frame(&p, YAMUX_DATA, YAMUX_FIN, 1, 0, kad__bytes(NULL, 0));
    /* It may be ended for that, or not. */
    (void)raw_ended(&p, 50 * KAD_MILLISECOND);
    check_served(f);
    raw_close(&p);
  }
  settle(f, files, memory);
}

/* Garbage as the answer to the victim's own identify request. */
static void test_identify_answer(void **state) {
  fixture *f = *state;
  size_t files = open_files();
  size_t memory = f->memory.live_bytes;
  for (size_t i = 0; i < sizeof(identify_attacks) / sizeof(attack); i++) {
    raw_peer p;
    raw_open(&p, &f->l, f->port, f->seed++);
    raw_handshake(&p, 3, NULL);
    assert_true(raw_hear(&p, 12));
    uint32_t id = kad__load32(kad__buffer_bytes(&p.heard).data + 4);
    kad__buffer answer = {0};
    const kad_allocator *a = kad_allocator_default();
    assert_ok(kad__buffer_append(&answer, a, LITERAL(MULTISTREAM)));
    assert_ok(kad__buffer_append(&answer, a, LITERAL("\x0f/ipfs/id/1.0.0\n")));
    assert_ok(kad__buffer_append(&answer, a, identify_attacks[i].bytes));
    kad_bytes bytes = kad__buffer_bytes(&answer);
    raw_frame(&p, YAMUX_DATA, YAMUX_ACK, id, (uint32_t)bytes.len, bytes);
    raw_frame(&p, YAMUX_DATA, YAMUX_FIN, id, 0, kad__bytes(NULL, 0));
    kad__buffer_fini(&answer, a);
    (void)raw_ended(&p, 50 * KAD_MILLISECOND);
    check_served(f);
    raw_close(&p);
  }
  settle(f, files, memory);
}

/* More streams than are allowed, each with half a message. */
static void test_many_streams(void **state) {
  fixture *f = *state;
  size_t files = open_files();
  size_t memory = f->memory.live_bytes;
  raw_peer p;
  raw_open(&p, &f->l, f->port, f->seed++);
  raw_handshake(&p, 3, NULL);
  for (uint32_t id = 1; id < 2 * 600; id += 2) {
    raw_stream(&p, id, KAD,
               LITERAL("\x80\x80\x01"
                       "half"));
  }
  assert_true(raw_was_reset(&p, 2 * 600 - 1));
  assert_true(f->memory.live_bytes < memory + (4u << 20));
  check_served(f);
  raw_close(&p);
  settle(f, files, memory);
}

/* Asks and asks, and reads no answer. */
static void ask_without_reading(fixture *f, raw_peer *p) {
  static const char find[] = "\x05\x08\x04\x12\x01k";
  const size_t one = sizeof(find) - 1;
  uint8_t many[600 * (sizeof(find) - 1)];
  for (size_t i = 0; i < 600; i++) {
    memcpy(many + i * one, find, one);
  }
  raw_stream(p, 1, KAD, LITERAL(""));
  raw_frame(p, YAMUX_WINDOW, 0, 1, 1u << 30, kad__bytes(NULL, 0));
  /* Two windows full: when the first has been answered the second is granted,
   * whether we read that or not. Their answers are more than sockets hold. */
  for (int window = 0; window < 2; window++) {
    for (int i = 0; i < 70; i++) {
      raw_frame(p, YAMUX_DATA, 0, 1, sizeof(many),
                kad__bytes(many, sizeof(many)));
      loop_turn(&f->l, 0);
    }
    for (int i = 0; i < 200; i++) {
      loop_turn(&f->l, 1);
    }
  }
}

/* The victim stops to answer instead of filling its memory. */
static void test_answers_unread(void **state) {
  fixture *f = *state;
  size_t files = open_files();
  size_t memory = f->memory.live_bytes;
  raw_peer p;
  raw_open(&p, &f->l, f->port, f->seed++);
  raw_handshake(&p, 3, NULL);
  assert_true(raw_hear(&p, 12));
  size_t before = connections(f);
  ask_without_reading(f, &p);
  assert_int_equal(connections(f), before);
  assert_true(f->memory.live_bytes < memory + (2u << 20));
  check_served(f);
  raw_close(&p);
  check_served(f);
  settle(f, files, memory);
}

/* Such a peer cannot keep the socket either, once the node is done with it. */
static void test_socket_not_held(void **state) {
  fixture *f = *state;
  size_t files = open_files();
  size_t memory = f->memory.live_bytes;
  raw_peer p;
  raw_open(&p, &f->l, f->port, f->seed++);
  raw_handshake(&p, 3, NULL);
  ask_without_reading(f, &p);
  kad__host *host = &f->victim->host;
  kad__swarm *swarm = kad__node_swarm(host->node);
  kad__swarm_disconnect_peer(swarm, kad_key_pair_peer_id(p.pair), loop_now());
  kad__swarm_tick(swarm, loop_now() + 6 * KAD_SECOND);
  kad__host_turn(host);
  settle(f, files + 1, memory); /* ours is still open */
  check_served(f);
  raw_close(&p);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(test_first_bytes),
      TEST(test_slow_bytes),
      TEST(test_endless_proposals),
      TEST(test_bent_handshakes),
      TEST(test_cut_short),
      TEST(test_half_open),
      TEST(test_yamux),
      TEST(test_garbage_behind_the_handshake),
      TEST(test_rapid_reset),
      TEST(test_pings_unread),
      TEST(test_kad_messages),
      TEST(test_unknown_protocol),
      TEST(test_identify_push),
      TEST(test_identify_answer),
      TEST(test_many_streams),
      TEST(test_answers_unread),
      TEST(test_socket_not_held),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
