/* Datagrams: what is written is read back; what is cut, longer, or not text is
 * refused; nothing else ever happens. */
#include "gateway/udp_message.h"
#include "support.h"

typedef struct arbitrary {
  kad_random random;
  kad__udp_message m;
  uint8_t ids[64][KAD__UDP_ID_LEN];
  size_t id_count;
  char texts[64][80];
  size_t text_count;
  uint8_t encoded[KAD__UDP_DATAGRAM_MAX];
} arbitrary;

static uint64_t below(arbitrary *a, uint64_t bound) {
  return kad_random_below(&a->random, bound);
}

static const uint8_t *some_id(arbitrary *a) {
  uint8_t *id = a->ids[a->id_count++];
  kad_random_bytes(&a->random, id, KAD__UDP_ID_LEN);
  return id;
}

static kad_bytes some_text(arbitrary *a) {
  static const char *const pieces[] = {
      "a", ":", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x92\xa9", "\x7f", " "};
  char *text = a->texts[a->text_count++];
  size_t count = below(a, 20);
  size_t len = 0;
  for (size_t i = 0; i < count; i++) {
    const char *piece = pieces[below(a, KAD__COUNT(pieces))];
    memcpy(text + len, piece, strlen(piece));
    len += strlen(piece);
  }
  return kad__bytes(text, len);
}

static kad__udp_node some_node(arbitrary *a) {
  kad__udp_node node = {.address = some_text(a), .id = some_id(a)};
  return node;
}

static void some_message(arbitrary *a) {
  kad__udp_message *m = &a->m;
  a->id_count = 0;
  a->text_count = 0;
  memset(m, 0, sizeof *m);
  m->type = (kad__udp_type)below(a, 3);
  m->request.id = some_id(a);
  m->request.sender = some_node(a);
  m->request.ask = (kad__udp_ask)below(a, 4);
  m->request.key = some_id(a);
  m->request.value = some_text(a);
  m->receiver = some_node(a);
  m->reply = (kad__udp_reply)below(a, 3);
  m->value = some_text(a);
  m->node_count = below(a, KAD__UDP_NODES_MAX + 1);
  for (size_t i = 0; i < m->node_count; i++) {
    m->nodes[i] = some_node(a);
  }
}

static kad_bytes encode(arbitrary *a) {
  int len = kad__udp_message_encode(a->encoded, sizeof a->encoded, &a->m);
  assert_ok(len);
  assert_int_equal(len, kad__udp_message_len(&a->m));
  return kad__bytes(a->encoded, (size_t)len);
}

static void assert_node(const kad__udp_node *a, const kad__udp_node *b) {
  assert_bytes_equal(a->address, b->address);
  assert_memory_equal(a->id, b->id, KAD__UDP_ID_LEN);
}

static void assert_same(const kad__udp_message *a, const kad__udp_message *b) {
  assert_int_equal(a->type, b->type);
  if (a->type == KAD__UDP_KILL) {
    return;
  }
  assert_memory_equal(a->request.id, b->request.id, KAD__UDP_ID_LEN);
  assert_node(&a->request.sender, &b->request.sender);
  assert_int_equal(a->request.ask, b->request.ask);
  if (a->request.ask != KAD__UDP_PING) {
    assert_memory_equal(a->request.key, b->request.key, KAD__UDP_ID_LEN);
  }
  if (a->request.ask == KAD__UDP_STORE) {
    assert_bytes_equal(a->request.value, b->request.value);
  }
  if (a->type == KAD__UDP_REQUEST) {
    return;
  }
  assert_node(&a->receiver, &b->receiver);
  assert_int_equal(a->reply, b->reply);
  if (a->reply == KAD__UDP_VALUE) {
    assert_bytes_equal(a->value, b->value);
  }
  for (size_t i = 0; a->reply == KAD__UDP_NODES && i < a->node_count; i++) {
    assert_int_equal(a->node_count, b->node_count);
    assert_node(&a->nodes[i], &b->nodes[i]);
  }
}

static void start(arbitrary *a, const char *name) {
  kad_random_init_u64(&a->random, test_seed(name));
}

static void test_round_trip(void **state) {
  static arbitrary a;
  static kad__udp_message got;
  (void)state;
  start(&a, "udp round trip");
  for (size_t i = 0; i < test_runs(3000); i++) {
    some_message(&a);
    assert_ok(kad__udp_message_decode(&got, encode(&a)));
    assert_same(&a.m, &got);
  }
}

static void test_every_prefix(void **state) {
  static arbitrary a;
  static kad__udp_message got;
  (void)state;
  start(&a, "udp prefixes");
  for (size_t i = 0; i < test_runs(30); i++) {
    some_message(&a);
    kad_bytes whole = encode(&a);
    for (size_t len = 0; len < whole.len; len++) {
      /* A copy, so that reading past it is noticed. */
      uint8_t *copy = malloc(len + 1);
      assert_non_null(copy);
      memcpy(copy, whole.data, len);
      assert_error(KAD_E_TRUNCATED,
                   kad__udp_message_decode(&got, kad__bytes(copy, len)));
      free(copy);
    }
    if (whole.len < KAD__UDP_DATAGRAM_MAX) {
      a.encoded[whole.len] = 0;
      whole.len++;
      assert_error(KAD_E_MESSAGE, kad__udp_message_decode(&got, whole));
    }
    assert_error(KAD_E_BUFFER_TOO_SMALL,
                 kad__udp_message_encode(a.encoded, whole.len - 2, &a.m));
  }
}

/* A flipped bit is another message, or a named error. */
static void test_every_flipped_bit(void **state) {
  static arbitrary a;
  static kad__udp_message got;
  static uint8_t again[KAD__UDP_DATAGRAM_MAX];
  (void)state;
  start(&a, "udp flips");
  for (size_t i = 0; i < test_runs(20); i++) {
    some_message(&a);
    kad_bytes whole = encode(&a);
    for (size_t bit = 0; bit < 8 * whole.len; bit++) {
      a.encoded[bit / 8] ^= (uint8_t)(1u << bit % 8);
      int error = kad__udp_message_decode(&got, whole);
      if (error == 0) {
        assert_int_equal(kad__udp_message_encode(again, sizeof again, &got),
                         whole.len);
        assert_memory_equal(again, whole.data, whole.len);
      } else {
        assert_true(error == KAD_E_TRUNCATED || error == KAD_E_MESSAGE);
      }
      a.encoded[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
  }
}

static void put_count(uint8_t *at, uint64_t count) {
  for (int i = 0; i < 8; i++) {
    at[i] = (uint8_t)(count >> (8 * i));
  }
}

/* Lists: 40 nodes are kept of as many as a datagram holds, and a count that it
 * cannot hold is refused at once. */
static void test_long_lists(void **state) {
  static uint8_t in[KAD__UDP_DATAGRAM_MAX + 1];
  static kad__udp_message got;
  static const uint64_t counts[] = {200, 201, UINT32_MAX, UINT64_MAX,
                                    UINT64_MAX / 40 + 1};
  (void)state;
  /* A response to a ping, with empty addresses: 4 + 76 + 40 + 4 bytes. */
  memset(in, 0, sizeof in);
  in[0] = KAD__UDP_RESPONSE;
  size_t at = 4 + 32 + 40 + 4 + 40 + 4;
  for (size_t i = 0; i < KAD__COUNT(counts); i++) {
    put_count(in + at, counts[i]);
    int error =
        kad__udp_message_decode(&got, kad__bytes(in, at + 8 + 200 * 40));
    assert_int_equal(error, i == 0 ? 0 : KAD_E_TRUNCATED);
    assert_int_equal(got.node_count, KAD__UDP_NODES_MAX);
  }
  assert_error(KAD_E_MESSAGE_TOO_LARGE,
               kad__udp_message_decode(&got, kad__bytes(in, sizeof in)));
}

static void test_text(void **state) {
  static const char *const good[] = {"",
                                     "a",
                                     "\x7f",
                                     "\xc2\x80",
                                     "\xdf\xbf",
                                     "\xe0\xa0\x80",
                                     "\xed\x9f\xbf",
                                     "\xee\x80\x80",
                                     "\xef\xbf\xbf",
                                     "\xf0\x90\x80\x80",
                                     "\xf4\x8f\xbf\xbf"};
  static const char *const bad[] = {"\x80",
                                    "\xc0\x80",
                                    "\xc1\xbf",
                                    "\xc2",
                                    "\xc2\x41",
                                    "\xe0\x9f\xbf",
                                    "\xed\xa0\x80",
                                    "\xe2\x82",
                                    "\xe2\x82\x41",
                                    "\xf0\x8f\xbf\xbf",
                                    "\xf4\x90\x80\x80",
                                    "\xf5\x80\x80\x80",
                                    "\xf0\x9f\x92",
                                    "ok\xff"};
  (void)state;
  for (size_t i = 0; i < KAD__COUNT(good); i++) {
    assert_true(kad__udp_utf8(kad__bytes_of(good[i])));
  }
  for (size_t i = 0; i < KAD__COUNT(bad); i++) {
    assert_false(kad__udp_utf8(kad__bytes_of(bad[i])));
  }
}

/* Nothing is written that a reader in Rust would give up on. */
static void test_nothing_bad_is_written(void **state) {
  static arbitrary a;
  static uint8_t value[KAD__UDP_DATAGRAM_MAX];
  (void)state;
  start(&a, "udp writing");
  some_message(&a);
  memset(value, 'v', sizeof value);
  a.m.type = KAD__UDP_REQUEST;
  a.m.request.ask = KAD__UDP_STORE;
  a.m.request.value = kad__bytes_of("\xff");
  assert_error(KAD_E_RECORD,
               kad__udp_message_encode(a.encoded, sizeof a.encoded, &a.m));
  a.m.request.value = kad__bytes(value, sizeof value);
  assert_error(KAD_E_MESSAGE_TOO_LARGE,
               kad__udp_message_encode(a.encoded, sizeof a.encoded, &a.m));
  a.m.type = KAD__UDP_RESPONSE;
  a.m.request.ask = KAD__UDP_PING;
  a.m.reply = KAD__UDP_VALUE;
  a.m.value = kad__bytes_of("\xed\xa0\x80");
  assert_error(KAD_E_RECORD,
               kad__udp_message_encode(a.encoded, sizeof a.encoded, &a.m));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_round_trip),
      cmocka_unit_test(test_every_prefix),
      cmocka_unit_test(test_every_flipped_bit),
      cmocka_unit_test(test_long_lists),
      cmocka_unit_test(test_text),
      cmocka_unit_test(test_nothing_bad_is_written),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
