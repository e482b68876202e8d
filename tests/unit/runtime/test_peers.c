/* kadmium/peerstore.h and kadmium/bandwidth.h over real sockets. */
#include "identity/envelope.h"
#include "loop.h"
#include "runtime/options.h"
#include "wire/addresses.h"

static kad_bytes list_of(const char *text) {
  static uint8_t list[KAD_MULTIADDR_MAX + 8];
  uint8_t address[KAD_MULTIADDR_MAX];
  size_t len = 0;
  int got = kad_multiaddr_parse(address, sizeof(address), text);
  assert_ok(got);
  assert_true(kad__addresses_append(list, sizeof(list), &len,
                                    kad__bytes(address, (size_t)got)));
  return kad__bytes(list, len);
}

static void test_a_peer_that_is_connected(void **state) {
  (void)state;
  loop l = {.count = 0};
  kad_node *first = loop_join(&l, NULL);
  kad_node *second = loop_join(&l, first);
  (void)loop_await(&l, first, KAD_EVENT_IDENTIFIED, 0);
  kad_peer_info info;
  assert_ok(kad_node_peer_info(first, &info, kad_node_id(second)));
  assert_int_equal(info.connectedness, KAD_CONNECTED);
  assert_int_not_equal(info.addresses.len, 0);
  assert_true(
      kad__addresses_have(info.protocols, kad__bytes_of(LOOP_PROTOCOL)));
  assert_true(kad__bytes_start(info.agent, kad__bytes_of("kadmium/")));
  assert_bytes_equal(info.protocol_version, kad__bytes_of("ipfs/0.1.0"));
  assert_int_not_equal(info.public_key.len, 0);
  kad__peer_record record;
  assert_ok(
      kad__peer_record_open(&record, kad_allocator_default(), info.record));
  assert_true(kad_peer_id_equal(&record.peer, kad_node_id(second)));
  assert_true(info.latency > 0 && info.latency < LOOP_LIMIT);
  uint64_t cursor = 0;
  kad_peer_id known;
  assert_true(kad_node_next_known_peer(first, &cursor, &known));
  assert_true(kad_peer_id_equal(&known, kad_node_id(second)));
  assert_false(kad_node_next_known_peer(first, &cursor, &known));
  assert_int_equal(kad_node_known_peers(first), 1);
  kad_bandwidth all;
  kad_bandwidth of;
  kad_node_bandwidth(first, &all);
  assert_true(all.in > 0 && all.out > 0 && all.raw_in > all.in);
  assert_true(kad_node_bandwidth_peer(first, &of, kad_node_id(second)));
  assert_int_equal(of.in, all.in);
  assert_true(
      kad_node_bandwidth_protocol(first, &of, kad__bytes_of("/ipfs/id/1.0.0")));
  assert_true(of.in > 0 && of.in <= all.in);
  assert_false(kad_node_bandwidth_peer(first, &of, kad_node_id(first)));
  kad_usage usage;
  kad_node_usage(first, &usage);
  assert_int_equal(usage.connections.used, 1);
  assert_int_equal(usage.connections.limit, 1000);
  uint64_t memory = usage.memory.used;
  assert_true(memory > 0);
  assert_true(kad_node_peer_usage(first, &usage, kad_node_id(second)));
  assert_int_equal(usage.memory.used, memory);
  assert_false(kad_node_peer_usage(first, &usage, kad_node_id(first)));
  loop_close(&l);
}

/* A node that closes says so, and its port is free before it is. */
static void test_closing(void **state) {
  (void)state;
  loop l = {.count = 0};
  kad_node *first = loop_join(&l, NULL);
  kad_node *second = loop_join(&l, first);
  char address[KAD_MULTIADDR_TEXT_MAX];
  char *end = strstr(loop_address(first, address), "/p2p/");
  *end = '\0';
  (void)loop_await(&l, first, KAD_EVENT_IDENTIFIED, 0);
  assert_false(kad_node_is_closed(first));
  kad_node_close(first);
  (void)loop_await(&l, first, KAD_EVENT_LISTEN_CLOSED, 0);
  (void)loop_await(&l, first, KAD_EVENT_CLOSED, 0);
  assert_true(kad_node_is_closed(first));
  kad_event event = loop_await(&l, second, KAD_EVENT_DISCONNECTED, 0);
  assert_int_equal(event.code, KAD_CONNECTION_CODE_SHUTDOWN);
  assert_ok(kad_node_listen(second, address));
  (void)loop_await(&l, second, KAD_EVENT_LISTENING, 0);
  assert_error(KAD_E_CLOSED, kad_node_listen(first, address));
  loop_close(&l);
}

/* The text of `format` names what it must, and every buffer that is too short
 * is refused. */
static void test_as_text(void **state) {
  (void)state;
  loop l = {.count = 0};
  kad_node *first = loop_join(&l, NULL);
  kad_node *second = loop_join(&l, first);
  (void)loop_await(&l, first, KAD_EVENT_IDENTIFIED, 0);
  char id[KAD_PEER_ID_TEXT_MAX];
  char text[1024];
  assert_ok(kad_peer_id_format(id, sizeof(id), kad_node_id(first)));
  int len = kad_node_format(text, sizeof(text), first);
  assert_int_equal(len, strlen(text));
  assert_non_null(strstr(text, id));
  assert_non_null(strstr(text, "server, 1 connections"));
  assert_non_null(strstr(text, ", at /ip4/127.0.0.1/tcp/"));
  for (int cap = 0; cap <= len; cap++) {
    assert_error(KAD_E_BUFFER_TOO_SMALL,
                 kad_node_format(text, (size_t)cap, first));
  }
  kad_connection_info info;
  uint64_t cursor = 0;
  assert_true(kad_node_next_connection(second, &cursor, NULL, &info));
  len = kad_connection_format(text, sizeof(text), &info);
  assert_int_equal(len, strlen(text));
  assert_non_null(strstr(text, id));
  assert_non_null(strstr(text, " to "));
  assert_non_null(strstr(text, " /noise/yamux/1.0.0, "));
  for (int cap = 0; cap <= len; cap++) {
    assert_error(KAD_E_BUFFER_TOO_SMALL,
                 kad_connection_format(text, (size_t)cap, &info));
  }
  loop_close(&l);
}

static void test_what_the_owner_says(void **state) {
  (void)state;
  loop l = {.count = 0};
  kad_node *node = loop_join(&l, NULL);
  kad_peer_id peer = {.len = 34, .bytes = {0x12, 0x20, 1}};
  kad_bytes list = list_of("/ip4/192.0.2.1/tcp/1");
  kad_bytes address = kad__bytes_skip(list, 2);
  kad_peer_info info;
  assert_error(KAD_E_NOT_FOUND, kad_node_peer_info(node, &info, &peer));
  assert_int_equal(
      kad_node_add_peer_addresses(node, &peer, list, KAD_TTL_ADDRESS), 1);
  assert_ok(kad_node_peer_info(node, &info, &peer));
  assert_bytes_equal(info.addresses, list);
  assert_int_equal(info.connectedness, KAD_NOT_CONNECTED);
  kad_node_update_peer_addresses(node, &peer, KAD_TTL_ADDRESS, 0);
  assert_error(KAD_E_NOT_FOUND, kad_node_peer_info(node, &info, &peer));
  assert_ok(kad_node_set_peer_address(node, &peer, address, KAD_TTL_PERMANENT));
  assert_true(kad_node_forget_peer(node, &peer));
  assert_false(kad_node_forget_peer(node, &peer));
  assert_error(KAD_E_PEER_MISMATCH,
               kad_node_set_peer_key(node, &peer, kad__bytes_of("key")));
  assert_error(KAD_E_PROTOBUF,
               kad_node_add_peer_record(node, &peer, kad__bytes_of("nonsense"),
                                        KAD_TTL_ADDRESS));
  loop_close(&l);
}

static void test_a_signed_record(void **state) {
  (void)state;
  loop l = {.count = 0};
  kad_node *node = loop_join(&l, NULL);
  kad_random random;
  kad_key_pair *pair = NULL;
  uint8_t sealed[KAD__ENVELOPE_MAX];
  kad_bytes address = kad__bytes_skip(list_of("/ip4/192.0.2.1/tcp/1"), 2);
  kad_random_init_u64(&random, 1);
  assert_ok(kad_key_pair_generate(&pair, kad_allocator_default(), &random));
  int len = kad__peer_record_seal(sealed, sizeof(sealed), pair, 1, &address, 1);
  assert_ok(len);
  kad_bytes record = kad__bytes(sealed, (size_t)len);
  kad_peer_id peer;
  kad_peer_info info;
  assert_int_equal(
      kad_node_add_peer_record(node, &peer, record, KAD_TTL_ADDRESS), 1);
  assert_true(kad_peer_id_equal(&peer, kad_key_pair_peer_id(pair)));
  assert_ok(kad_node_peer_info(node, &info, &peer));
  assert_bytes_equal(info.record, record);
  kad_key_pair_free(pair);
  loop_close(&l);
}

static void test_options(void **state) {
  (void)state;
  kad_node_options options = loop_options();
  kad__options read;
  assert_ok(kad__options_read(&read, &options));
  assert_int_equal(read.config.observers, 0);
  assert_false(read.port_mapping);
  kad__options_fini(&read);
  options.observers = 7;
  options.port_mapping = true;
  assert_ok(kad__options_read(&read, &options));
  assert_int_equal(read.config.observers, 7);
  assert_true(read.port_mapping);
  kad__options_fini(&read);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_a_peer_that_is_connected),
      cmocka_unit_test(test_as_text),
      cmocka_unit_test(test_closing),
      cmocka_unit_test(test_what_the_owner_says),
      cmocka_unit_test(test_a_signed_record),
      cmocka_unit_test(test_options),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
