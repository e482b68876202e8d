/* Datagrams as the structs of the kademlia-dht crate 1.2.0 encode with bincode
 * 0.9.2. */
#include "gateway/udp_message.h"
#include "support.h"

static const char ping_hex[] =
    "00000000a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babb"
    "bcbdbebf0e000000000000003139322e302e322e373a38303830101112131415"
    "161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f00000000";

static const char store_hex[] =
    "00000000a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babb"
    "bcbdbebf0e000000000000003139322e302e322e373a38303830101112131415"
    "161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f010000007071"
    "72737475767778797a7b7c7d7e7f808182838485868788898a8b8c8d8e8f0600"
    "00000000000068c3a96c6c6f";

static const char find_node_hex[] =
    "00000000a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babb"
    "bcbdbebf0e000000000000003139322e302e322e373a38303830101112131415"
    "161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f020000007071"
    "72737475767778797a7b7c7d7e7f808182838485868788898a8b8c8d8e8f";

static const char find_value_hex[] =
    "00000000a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babb"
    "bcbdbebf0e000000000000003139322e302e322e373a38303830101112131415"
    "161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f030000007071"
    "72737475767778797a7b7c7d7e7f808182838485868788898a8b8c8d8e8f";

static const char pong_hex[] =
    "01000000a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babb"
    "bcbdbebf0e000000000000003139322e302e322e373a38303830101112131415"
    "161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f000000000f00"
    "0000000000005b323030313a6462383a3a315d3a39404142434445464748494a"
    "4b4c4d4e4f505152535455565758595a5b5c5d5e5f02000000";

static const char stored_hex[] =
    "01000000a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babb"
    "bcbdbebf0e000000000000003139322e302e322e373a38303830101112131415"
    "161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f010000007071"
    "72737475767778797a7b7c7d7e7f808182838485868788898a8b8c8d8e8f0000"
    "0000000000000f000000000000005b323030313a6462383a3a315d3a39404142"
    "434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f020000"
    "00";

static const char nodes_hex[] =
    "01000000a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babb"
    "bcbdbebf0e000000000000003139322e302e322e373a38303830101112131415"
    "161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f020000007071"
    "72737475767778797a7b7c7d7e7f808182838485868788898a8b8c8d8e8f0f00"
    "0000000000005b323030313a6462383a3a315d3a39404142434445464748494a"
    "4b4c4d4e4f505152535455565758595a5b5c5d5e5f0000000002000000000000"
    "000e000000000000003139322e302e322e373a38303830101112131415161718"
    "191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f0f000000000000005b"
    "323030313a6462383a3a315d3a39404142434445464748494a4b4c4d4e4f5051"
    "52535455565758595a5b5c5d5e5f";

static const char no_nodes_hex[] =
    "01000000a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babb"
    "bcbdbebf0e000000000000003139322e302e322e373a38303830101112131415"
    "161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f020000007071"
    "72737475767778797a7b7c7d7e7f808182838485868788898a8b8c8d8e8f0f00"
    "0000000000005b323030313a6462383a3a315d3a39404142434445464748494a"
    "4b4c4d4e4f505152535455565758595a5b5c5d5e5f0000000000000000000000"
    "00";

static const char value_hex[] =
    "01000000a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babb"
    "bcbdbebf0e000000000000003139322e302e322e373a38303830101112131415"
    "161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f030000007071"
    "72737475767778797a7b7c7d7e7f808182838485868788898a8b8c8d8e8f0f00"
    "0000000000005b323030313a6462383a3a315d3a39404142434445464748494a"
    "4b4c4d4e4f505152535455565758595a5b5c5d5e5f0100000005000000000000"
    "00776f726c64";

static const char kill_hex[] = "02000000";

/* The 32 bytes that count up from `first`. */
static const uint8_t *key(uint8_t first) {
  static uint8_t keys[256][KAD__UDP_ID_LEN];
  for (size_t i = 0; i < KAD__UDP_ID_LEN; i++) {
    keys[first][i] = (uint8_t)(first + i);
  }
  return keys[first];
}

static kad__udp_node asker(void) {
  return (kad__udp_node){.address = kad__bytes_of("192.0.2.7:8080"),
                         .id = key(0x10)};
}

static kad__udp_node other(void) {
  return (kad__udp_node){.address = kad__bytes_of("[2001:db8::1]:9"),
                         .id = key(0x40)};
}

static kad__udp_message request(kad__udp_ask ask) {
  return (kad__udp_message){
      .type = KAD__UDP_REQUEST,
      .request = {.id = key(0xa0),
                  .sender = asker(),
                  .ask = ask,
                  .key = ask == KAD__UDP_PING ? NULL : key(0x70)}};
}

static kad__udp_message response(kad__udp_ask ask, kad__udp_reply reply) {
  kad__udp_message m = request(ask);
  m.type = KAD__UDP_RESPONSE;
  m.receiver = other();
  m.reply = reply;
  return m;
}

static void assert_node(const kad__udp_node *a, const kad__udp_node *b) {
  assert_bytes_equal(a->address, b->address);
  assert_memory_equal(a->id, b->id, KAD__UDP_ID_LEN);
}

static void assert_request(const kad__udp_request *a,
                           const kad__udp_request *b) {
  assert_memory_equal(a->id, b->id, KAD__UDP_ID_LEN);
  assert_node(&a->sender, &b->sender);
  assert_int_equal(a->ask, b->ask);
  assert_int_equal(a->key == NULL, b->key == NULL);
  if (b->key != NULL) {
    assert_memory_equal(a->key, b->key, KAD__UDP_ID_LEN);
  }
  assert_bytes_equal(a->value, b->value);
}

/* Both ways. */
static void check(const char *hex, const kad__udp_message *m) {
  kad_bytes bytes = test_hex(hex);
  kad__udp_message got;
  uint8_t out[1024];
  assert_int_equal(kad__udp_message_len(m), bytes.len);
  assert_int_equal(kad__udp_message_encode(out, sizeof out, m), bytes.len);
  assert_bytes_equal(kad__bytes(out, bytes.len), bytes);
  assert_ok(kad__udp_message_decode(&got, bytes));
  assert_int_equal(got.type, m->type);
  if (m->type == KAD__UDP_KILL) {
    return;
  }
  assert_request(&got.request, &m->request);
  if (m->type == KAD__UDP_RESPONSE) {
    assert_node(&got.receiver, &m->receiver);
    assert_int_equal(got.reply, m->reply);
    assert_bytes_equal(got.value, m->value);
    assert_int_equal(got.node_count, m->node_count);
    for (size_t i = 0; i < m->node_count; i++) {
      assert_node(&got.nodes[i], &m->nodes[i]);
    }
  }
}

static void test_requests(void **state) {
  (void)state;
  kad__udp_message m = request(KAD__UDP_PING);
  check(ping_hex, &m);
  m = request(KAD__UDP_STORE);
  m.request.value = kad__bytes_of("h\xc3\xa9llo");
  check(store_hex, &m);
  m = request(KAD__UDP_FIND_NODE);
  check(find_node_hex, &m);
  m = request(KAD__UDP_FIND_VALUE);
  check(find_value_hex, &m);
}

static void test_responses(void **state) {
  (void)state;
  kad__udp_message m = response(KAD__UDP_PING, KAD__UDP_PONG);
  check(pong_hex, &m);
  m = response(KAD__UDP_STORE, KAD__UDP_PONG);
  check(stored_hex, &m);
  m = response(KAD__UDP_FIND_NODE, KAD__UDP_NODES);
  check(no_nodes_hex, &m);
  m.nodes[0] = asker();
  m.nodes[1] = other();
  m.node_count = 2;
  check(nodes_hex, &m);
  m = response(KAD__UDP_FIND_VALUE, KAD__UDP_VALUE);
  m.value = kad__bytes_of("world");
  check(value_hex, &m);
}

static void test_kill(void **state) {
  (void)state;
  kad__udp_message m = {.type = KAD__UDP_KILL};
  check(kill_hex, &m);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_requests),
      cmocka_unit_test(test_responses),
      cmocka_unit_test(test_kill),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
