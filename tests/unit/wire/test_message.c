#include "support.h"
#include "wire/addresses.h"
#include "wire/message.h"
#include "wire/protobuf.h"

static kad__message m;

static int decode(kad_bytes in) {
  memset(&m, 0xa5, sizeof(m));
  return kad__message_decode(&m, in);
}

static void an_empty_message_is_put_value(void **state) {
  (void)state;
  assert_ok(decode(kad__bytes(NULL, 0)));
  assert_int_equal(m.type, KAD__PUT_VALUE);
  assert_false(m.has_record);
  assert_int_equal(m.key.len, 0);
  assert_int_equal(m.cluster_level, 0);
  assert_int_equal(m.closer_count, 0);
  assert_int_equal(m.provider_count, 0);
  uint8_t out[4];
  assert_int_equal(kad__message_len(&m), 0);
  assert_int_equal(kad__message_encode(out, sizeof(out), &m), 1);
  assert_int_equal(out[0], 0);
}

/* proto2 writers put defaults on the wire. */
static void explicit_defaults(void **state) {
  (void)state;
  assert_ok(
      decode(test_hex("0800"
                      "1200"
                      "1a00"
                      "5000")));
  assert_int_equal(m.type, KAD__PUT_VALUE);
  assert_true(m.has_record);
  assert_int_equal(m.record.key.len, 0);
  assert_int_equal(m.record.ttl, 0);
}

static void unknown_types(void **state) {
  (void)state;
  static const char *const bad[] = {
      "0806",         "0863",           "08ffffffffffffffffff01",
      "088080808010", "08848080808001", "08040806"};
  for (size_t i = 0; i < KAD__COUNT(bad); i++) {
    assert_error(KAD_E_MESSAGE, decode(test_hex(bad[i])));
  }
  for (int type = 0; type < KAD__MESSAGE_TYPES; type++) {
    uint8_t in[2] = {0x08, (uint8_t)type};
    assert_ok(decode(kad__bytes(in, 2)));
    assert_int_equal(m.type, type);
  }
}

static void the_last_scalar_wins(void **state) {
  (void)state;
  assert_ok(
      decode(test_hex("0863"
                      "0804"
                      "120161"
                      "120162"
                      "5001"
                      "5002")));
  assert_int_equal(m.type, KAD__FIND_NODE);
  assert_bytes_equal(m.key, kad__bytes_of("b"));
  assert_int_equal(m.cluster_level, 2);
}

static void repeated_records_are_merged(void **state) {
  (void)state;
  assert_ok(
      decode(test_hex("1a060a0161120162"
                      "1a03120163"
                      "1a00")));
  assert_true(m.has_record);
  assert_bytes_equal(m.record.key, kad__bytes_of("a"));
  assert_bytes_equal(m.record.value, kad__bytes_of("c"));
}

/* rust-libp2p's two fields, and the time, which may be any bytes. */
static void every_field_of_a_record(void **state) {
  (void)state;
  assert_ok(
      decode(test_hex("1a15"
                      "0a0161"
                      "120162"
                      "1a0178"
                      "2a02fffe"
                      "d2290170"
                      "c8309003")));
  assert_bytes_equal(m.record.key, kad__bytes_of("a"));
  assert_bytes_equal(m.record.value, kad__bytes_of("b"));
  assert_bytes_equal(m.record.time_received, test_hex("fffe"));
  assert_bytes_equal(m.record.publisher, kad__bytes_of("p"));
  assert_int_equal(m.record.ttl, 400);
}

static void a_huge_life_is_not_for_ever(void **state) {
  (void)state;
  assert_ok(
      decode(test_hex("1a08"
                      "c830"
                      "808080808020")));
  assert_int_equal(m.record.ttl, UINT32_MAX);
}

static void wrong_wire_types(void **state) {
  (void)state;
  static const char *const bad[] = {"0a0104",     /* type as bytes */
                                    "0d00000000", /* type as fixed */
                                    "1005",       /* key as a number */
                                    "1801",       /* record */
                                    "4001",       /* closer */
                                    "4801",       /* provider */
                                    "5200",       /* cluster level */
                                    "1a020801",   /* record.key */
                                    "1a021001",   /* record.value */
                                    "1a022801",   /* record.time_received */
                                    "1a03d02901", /* record.publisher */
                                    "1a03ca3000", /* record.ttl */
                                    "42020801",   /* peer.id */
                                    "42021001",   /* peer.addrs */
                                    "42021a00",   /* peer.connection */
                                    "4a020801"};
  for (size_t i = 0; i < KAD__COUNT(bad); i++) {
    if (decode(test_hex(bad[i])) != KAD_E_PROTOBUF) {
      fail_msg("%s", bad[i]);
    }
  }
}

static void malformed(void **state) {
  (void)state;
  static const char *const bad[] = {"12ffffffff0f41",
                                    "12ffffffffffffffffff01",
                                    "7b",
                                    "7c",
                                    "0000",
                                    "08",
                                    "080480",
                                    "42030a0561",
                                    "42010a",
                                    "1a020a01",
                                    "42040a01617b",
                                    "08ffffffffffffffffffff01",
                                    "828080801000"};
  for (size_t i = 0; i < KAD__COUNT(bad); i++) {
    assert_error(KAD_E_PROTOBUF, decode(test_hex(bad[i])));
  }
}

static void unknown_fields_are_skipped(void **state) {
  (void)state;
  assert_ok(
      decode(test_hex("0804"
                      "7801"
                      "7900000000000000ff"
                      "7a0161"
                      "7d000000ff"
                      "120161"
                      "820600")));
  assert_int_equal(m.type, KAD__FIND_NODE);
  assert_bytes_equal(m.key, kad__bytes_of("a"));
}

static void peers_without_id_are_passed_over(void **state) {
  (void)state;
  assert_ok(
      decode(test_hex("4200"
                      "4203120161"
                      "42020a00"
                      "42030a0161"
                      "4a03120161"
                      "4a030a0162")));
  assert_int_equal(m.closer_count, 1);
  assert_bytes_equal(m.closer[0].id, kad__bytes_of("a"));
  assert_int_equal(m.closer[0].addresses.len, 0);
  assert_int_equal(m.provider_count, 1);
  assert_bytes_equal(m.providers[0].id, kad__bytes_of("b"));
}

static void an_unknown_connection_is_only_a_hint(void **state) {
  (void)state;
  static const char *const strange[] = {"04", "63", "ffffffffffffffffff01",
                                        "8080808010"};
  for (size_t i = 0; i < KAD__COUNT(strange); i++) {
    uint8_t in[32] = {0x42, 0, 0x0a, 0x01, 'a', 0x18};
    kad_bytes value = test_hex(strange[i]);
    memcpy(in + 6, value.data, value.len);
    in[1] = (uint8_t)(4 + value.len);
    assert_ok(decode(kad__bytes(in, 6 + value.len)));
    assert_int_equal(m.closer_count, 1);
    assert_int_equal(m.closer[0].connection, KAD__NOT_CONNECTED);
  }
  assert_ok(decode(test_hex("42050a01611803")));
  assert_int_equal(m.closer[0].connection, KAD__CANNOT_CONNECT);
}

/* The list is the run of addresses; what strange writers put between them is
 * passed over by the list's reader. */
static void addresses_of_a_peer(void **state) {
  (void)state;
  assert_ok(
      decode(test_hex("420b"
                      "0a0169"
                      "120161"
                      "120162"
                      "1801")));
  assert_bytes_equal(m.closer[0].addresses, test_hex("120161120162"));
  assert_ok(
      decode(test_hex("420b"
                      "120161"
                      "0a0169"
                      "1801"
                      "120162")));
  assert_int_equal(kad__addresses_count(m.closer[0].addresses), 2);
  assert_true(kad__addresses_have(m.closer[0].addresses, kad__bytes_of("b")));
}

/* K-10: only so many peers are kept, whatever is sent. */
static void floods_of_peers(void **state) {
  (void)state;
  size_t count = (size_t)1 << 21;
  uint8_t *in = malloc(2 * count);
  for (int tag = 0x42; tag <= 0x4a; tag += 8) {
    for (size_t i = 0; i < count; i++) {
      in[2 * i] = (uint8_t)tag;
      in[2 * i + 1] = 0;
    }
    assert_ok(decode(kad__bytes(in, 2 * count)));
    assert_int_equal(m.closer_count + m.provider_count, 0);
    for (size_t i = 0; i + 5 <= 2 * count; i += 5) {
      memcpy(in + i, "\x42\x03\x0a\x01i", 5);
      in[i] = (uint8_t)tag;
    }
    assert_ok(decode(kad__bytes(in, 2 * count / 5 * 5)));
    assert_int_equal(m.closer_count, tag == 0x42 ? KAD__MESSAGE_CLOSER_MAX : 0);
    assert_int_equal(m.provider_count,
                     tag == 0x4a ? KAD__MESSAGE_PROVIDERS_MAX : 0);
  }
  free(in);
}

/* A Peer whose body has `len` bytes: an id and one long address. */
static size_t write_large_peer(uint8_t *out, size_t cap, size_t len) {
  kad__pb_writer w;
  kad__pb_writer_init(&w, out, cap);
  kad__pb_put_header(&w, 8, len);
  kad__pb_put_bytes(&w, 1, kad__bytes_of("id"));
  size_t address = len - 4 - 3;
  kad__pb_put_header(&w, 2, address);
  memset(w.at, 'a', address);
  return (size_t)kad__pb_writer_finish(&w) + address;
}

/* K-21. */
static void large_peers_are_passed_over(void **state) {
  (void)state;
  static uint8_t in[3 * KAD__MESSAGE_PEER_MAX];
  size_t len = write_large_peer(in, sizeof(in), KAD__MESSAGE_PEER_MAX);
  assert_ok(decode(kad__bytes(in, len)));
  assert_int_equal(m.closer_count, 1);
  assert_int_equal(m.closer[0].addresses.len, KAD__MESSAGE_PEER_MAX - 4);
  len = write_large_peer(in, sizeof(in), KAD__MESSAGE_PEER_MAX + 1);
  memcpy(in + len, "\x42\x03\x0a\x01i", 5);
  assert_ok(decode(kad__bytes(in, len + 5)));
  assert_int_equal(m.closer_count, 1);
  assert_bytes_equal(m.closer[0].id, kad__bytes_of("i"));
}

/* K-08 and K-09: depth costs nothing, since nothing unknown is entered. */
static void depth(void **state) {
  (void)state;
  static uint8_t in[100000];
  memset(in, 0x7b, sizeof(in));
  assert_error(KAD_E_PROTOBUF, decode(kad__bytes(in, sizeof(in))));
  size_t at = sizeof(in);
  for (int i = 0; i < 10000 && at > 20; i++) {
    uint8_t header[8];
    kad__pb_writer w;
    kad__pb_writer_init(&w, header, sizeof(header));
    kad__pb_put_header(&w, 15, sizeof(in) - at);
    size_t len = (size_t)kad__pb_writer_finish(&w);
    at -= len;
    memcpy(in + at, header, len);
  }
  assert_ok(decode(kad__bytes(in + at, sizeof(in) - at)));
}

/* Nothing past what it fills is touched, so a stack of them costs nothing. */
static void peers_that_are_not_there_are_not_touched(void **state) {
  (void)state;
  assert_ok(
      decode(test_hex("0804"
                      "42030a0161")));
  const uint8_t *rest = (const uint8_t *)&m.closer[1];
  const uint8_t *end = (const uint8_t *)(&m + 1);
  for (; rest < end; rest++) {
    assert_int_equal(*rest, 0xa5);
  }
  memset(&m, 0xa5, sizeof(m));
  kad__message_init(&m, KAD__PING);
  for (rest = (const uint8_t *)m.closer; rest < end; rest++) {
    assert_int_equal(*rest, 0xa5);
  }
}

static void fill(kad__message *out) {
  kad__message_init(out, KAD__GET_VALUE);
  out->key = kad__bytes_of("key");
  out->cluster_level = 10;
  out->has_record = true;
  out->record = (kad__wire_record){.key = kad__bytes_of("key"),
                                   .value = kad__bytes_of("value"),
                                   .publisher = kad__bytes_of("publisher"),
                                   .time_received = kad__bytes_of("now"),
                                   .ttl = 3600};
  out->closer_count = 2;
  out->closer[0] = (kad__wire_peer){.id = kad__bytes_of("one"),
                                    .addresses = test_hex("120161120162"),
                                    .connection = KAD__CAN_CONNECT};
  out->closer[1] = (kad__wire_peer){.id = kad__bytes_of("two")};
  out->provider_count = 1;
  out->providers[0] = (kad__wire_peer){.id = kad__bytes_of("three"),
                                       .addresses = test_hex("1200")};
}

static void every_capacity(void **state) {
  (void)state;
  static kad__message full;
  fill(&full);
  size_t whole = kad__message_len(&full) + 1;
  for (size_t cap = 0; cap <= whole; cap++) {
    uint8_t *out = malloc(cap == 0 ? 1 : cap);
    int len = kad__message_encode(out, cap, &full);
    assert_int_equal(len, cap < whole ? KAD_E_BUFFER_TOO_SMALL : (int)whole);
    free(out);
  }
}

static void what_is_written_is_read(void **state) {
  (void)state;
  static kad__message full;
  uint8_t out[256];
  fill(&full);
  int len = kad__message_encode(out, sizeof(out), &full);
  assert_ok(len);
  assert_ok(decode(kad__bytes(out + 1, (size_t)len - 1)));
  assert_int_equal(m.type, KAD__GET_VALUE);
  assert_bytes_equal(m.record.publisher, kad__bytes_of("publisher"));
  assert_int_equal(m.record.ttl, 3600);
  assert_int_equal(m.closer_count, 2);
  assert_int_equal(m.closer[0].connection, KAD__CAN_CONNECT);
  assert_bytes_equal(m.closer[0].addresses, test_hex("120161120162"));
  assert_int_equal(m.closer[1].addresses.len, 0);
  assert_int_equal(m.provider_count, 1);
  assert_bytes_equal(m.providers[0].addresses, test_hex("1200"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(an_empty_message_is_put_value),
      cmocka_unit_test(explicit_defaults),
      cmocka_unit_test(unknown_types),
      cmocka_unit_test(the_last_scalar_wins),
      cmocka_unit_test(repeated_records_are_merged),
      cmocka_unit_test(every_field_of_a_record),
      cmocka_unit_test(a_huge_life_is_not_for_ever),
      cmocka_unit_test(wrong_wire_types),
      cmocka_unit_test(malformed),
      cmocka_unit_test(unknown_fields_are_skipped),
      cmocka_unit_test(peers_without_id_are_passed_over),
      cmocka_unit_test(an_unknown_connection_is_only_a_hint),
      cmocka_unit_test(addresses_of_a_peer),
      cmocka_unit_test(floods_of_peers),
      cmocka_unit_test(large_peers_are_passed_over),
      cmocka_unit_test(depth),
      cmocka_unit_test(peers_that_are_not_there_are_not_touched),
      cmocka_unit_test(every_capacity),
      cmocka_unit_test(what_is_written_is_read),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
