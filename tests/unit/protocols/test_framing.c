/* The reader of varint-prefixed messages: in place, moved, bounded. */
#include "base/alloc.h"
#include "fake_swarm.h"
#include "kadmium/peer_id.h"
#include "multiformats/varint.h"
#include "protocols/framing.h"
#include "support.h"

#define MAX ((size_t)4 * 1024 * 1024)

typedef struct state {
  kad__swarm *swarm;
  kad__stream *stream;
  test_allocator memory;
  kad__frame_reader reader;
} state;

static int set_up(void **out) {
  state *s = calloc(1, sizeof(*s));
  s->swarm = fake_swarm_new();
  kad_peer_id peer = fake_peer(1);
  kad__id id = fake_connect(s->swarm, &peer, kad__bytes(NULL, 0),
                            "/ip4/127.0.0.1/tcp/1", true);
  s->stream = fake_inbound(s->swarm, id, 1);
  test_allocator_init(&s->memory);
  *out = s;
  return 0;
}

static int tear_down(void **in) {
  state *s = *in;
  kad__frame_reader_fini(&s->reader, &s->memory.allocator);
  assert_int_equal(s->memory.live, 0);
  fake_swarm_free(s->swarm);
  free(s);
  return 0;
}

static int read_one(state *s, kad_bytes *out, size_t max) {
  return kad__frame_read(&s->reader, out, &s->memory.allocator, s->stream, max);
}

static void done(state *s) {
  kad__frame_done(&s->reader, &s->memory.allocator, s->stream);
}

static void arrive_prefix(state *s, uint64_t len) {
  uint8_t prefix[KAD__VARINT_MAX_LEN];
  size_t n = kad__varint_encode(prefix, len);
  fake_arrive(s->stream, kad__bytes(prefix, n));
}

static void reads_in_place(void **in) {
  state *s = *in;
  kad_bytes out;
  fake_arrive(s->stream, test_hex("03010203020405"));
  assert_int_equal(read_one(s, &out, 16), 1);
  assert_bytes_equal(out, test_hex("010203"));
  assert_ptr_equal(out.data, kad__stream_peek(s->stream).data + 1);
  done(s);
  assert_int_equal(read_one(s, &out, 16), 1);
  assert_bytes_equal(out, test_hex("0405"));
  done(s);
  assert_int_equal(read_one(s, &out, 16), 0);
  assert_int_equal(s->memory.calls, 0);
}

static void reads_byte_by_byte(void **in) {
  state *s = *in;
  kad_bytes whole = test_hex("850141414141414141414141");
  kad_bytes out;
  uint8_t body[133];
  memset(body, 0x41, sizeof(body));
  for (size_t i = 0; i < 2; i++) {
    fake_arrive(s->stream, kad__bytes(whole.data + i, 1));
    assert_int_equal(read_one(s, &out, 200), 0);
  }
  for (size_t i = 0; i < sizeof(body); i++) {
    assert_int_equal(read_one(s, &out, 200), 0);
    assert_true(kad__frame_begun(&s->reader, s->stream));
    fake_arrive(s->stream, kad__bytes(body + i, 1));
  }
  assert_int_equal(read_one(s, &out, 200), 1);
  assert_bytes_equal(out, kad__bytes(body, sizeof(body)));
  done(s);
  assert_false(kad__frame_begun(&s->reader, s->stream));
}

static void reads_an_empty_message(void **in) {
  state *s = *in;
  kad_bytes out;
  fake_arrive(s->stream, test_hex("00"));
  assert_int_equal(read_one(s, &out, 16), 1);
  assert_int_equal(out.len, 0);
  done(s);
  assert_int_equal(read_one(s, &out, 16), 0);
}

static void tells_the_ends_apart(void **in) {
  state *s = *in;
  kad_bytes out;
  s->stream->ended = true;
  assert_error(KAD_E_CLOSED, read_one(s, &out, 16));
  fake_arrive(s->stream, test_hex("0301"));
  assert_error(KAD_E_TRUNCATED, read_one(s, &out, 16));
  kad__stream_consume(s->stream, 2);
  fake_arrive(s->stream, test_hex("83"));
  assert_error(KAD_E_TRUNCATED, read_one(s, &out, 16));
}

/* K-01, K-02: refused by the length alone. */
static void refuses_lengths(void **in) {
  static const struct {
    const char *bytes;
    int error;
  } cases[] = {
      {"8080808008", KAD_E_MESSAGE_TOO_LARGE},
      {"81808002", KAD_E_MESSAGE_TOO_LARGE},
      {"ffffffffffffffffff01", KAD_E_VARINT},
      {"808080808080808080808001", KAD_E_VARINT},
      {"8000", KAD_E_VARINT}, /* not minimal */
  };
  state *s = *in;
  for (size_t i = 0; i < KAD__COUNT(cases); i++) {
    kad_bytes bytes = test_hex(cases[i].bytes);
    kad_bytes out;
    fake_arrive(s->stream, bytes);
    assert_error(cases[i].error, read_one(s, &out, MAX));
    kad__stream_consume(s->stream, bytes.len);
  }
  assert_int_equal(s->memory.calls, 0);
}

/* K-03: a length of 4 MiB takes no memory, and the bytes leave the stream. */
static void moves_what_is_long(void **in) {
  state *s = *in;
  kad_bytes out;
  arrive_prefix(s, MAX);
  assert_int_equal(read_one(s, &out, MAX), 0);
  assert_int_equal(s->memory.live_bytes, 0);
  assert_true(kad__frame_begun(&s->reader, s->stream));
  uint8_t *piece = malloc(65536);
  for (size_t i = 0; i < 65536; i++) {
    piece[i] = (uint8_t)(i * 7);
  }
  for (size_t sent = 65536; sent <= MAX; sent += 65536) {
    fake_arrive(s->stream, kad__bytes(piece, 65536));
    assert_int_equal(read_one(s, &out, MAX), sent == MAX);
    assert_int_equal(kad__stream_peek(s->stream).len, 0);
    assert_true(s->memory.live_bytes <= 2 * sent + 4096);
    assert_int_equal(s->stream->charged, s->memory.live_bytes);
  }
  assert_int_equal(out.len, MAX);
  assert_memory_equal(out.data + MAX - 65536, piece, 65536);
  free(piece);
  done(s);
  assert_int_equal(s->memory.live, 0);
  assert_int_equal(s->stream->charged, 0);
}

static void moved_message_leaves_the_next_one(void **in) {
  state *s = *in;
  kad_bytes out;
  uint8_t *body = calloc(1, 100000);
  arrive_prefix(s, 100000);
  fake_arrive(s->stream, kad__bytes(body, 50000));
  assert_int_equal(read_one(s, &out, MAX), 0);
  fake_arrive(s->stream, kad__bytes(body, 50000));
  fake_arrive(s->stream, test_hex("020a0b"));
  assert_int_equal(read_one(s, &out, MAX), 1);
  assert_int_equal(out.len, 100000);
  done(s);
  assert_int_equal(read_one(s, &out, MAX), 1);
  assert_bytes_equal(out, test_hex("0a0b"));
  done(s);
  free(body);
}

static void truncated_while_moving(void **in) {
  state *s = *in;
  kad_bytes out;
  uint8_t *body = calloc(1, 70000);
  arrive_prefix(s, 100000);
  fake_arrive(s->stream, kad__bytes(body, 70000));
  s->stream->ended = true;
  assert_error(KAD_E_TRUNCATED, read_one(s, &out, MAX));
  free(body);
}

static void survives_lack_of_memory(void **in) {
  state *s = *in;
  kad_bytes out;
  uint8_t *body = calloc(1, 100000);
  arrive_prefix(s, 100000);
  fake_arrive(s->stream, kad__bytes(body, 50000));
  s->memory.fail_at = 1;
  assert_error(KAD_E_NO_MEMORY, read_one(s, &out, MAX));
  assert_int_equal(read_one(s, &out, MAX), 0);
  fake_arrive(s->stream, kad__bytes(body, 50000));
  assert_int_equal(read_one(s, &out, MAX), 1);
  assert_int_equal(out.len, 100000);
  free(body);
}

static void splits(void **in) {
  (void)in;
  kad_bytes out;
  assert_int_equal(kad__frame_split(&out, test_hex("02aabbcc"), 2), 3);
  assert_bytes_equal(out, test_hex("aabb"));
  assert_int_equal(kad__frame_split(&out, test_hex("02aa"), 2), 0);
  assert_int_equal(kad__frame_split(&out, test_hex(""), 2), 0);
  assert_error(KAD_E_MESSAGE_TOO_LARGE,
               kad__frame_split(&out, test_hex("03aabbcc"), 2));
  assert_error(KAD_E_VARINT, kad__frame_split(&out, test_hex("8000"), 2));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(reads_in_place, set_up, tear_down),
      cmocka_unit_test_setup_teardown(reads_byte_by_byte, set_up, tear_down),
      cmocka_unit_test_setup_teardown(reads_an_empty_message, set_up,
                                      tear_down),
      cmocka_unit_test_setup_teardown(tells_the_ends_apart, set_up, tear_down),
      cmocka_unit_test_setup_teardown(refuses_lengths, set_up, tear_down),
      cmocka_unit_test_setup_teardown(moves_what_is_long, set_up, tear_down),
      cmocka_unit_test_setup_teardown(moved_message_leaves_the_next_one, set_up,
                                      tear_down),
      cmocka_unit_test_setup_teardown(truncated_while_moving, set_up,
                                      tear_down),
      cmocka_unit_test_setup_teardown(survives_lack_of_memory, set_up,
                                      tear_down),
      cmocka_unit_test(splits),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
