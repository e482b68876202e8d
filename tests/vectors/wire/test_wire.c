/* Messages as go-libp2p-kad-dht 0.42.1 and go-libp2p 0.51.0 write them. */
#include "support.h"
#include "wire/addresses.h"
#include "wire/identify.h"
#include "wire/message.h"
#include "wire/noise_payload.h"

static const char go_find_node[] =
    "080412260024080112209e3b433cbd31c2b8a6ebbdca998bd0f4c2141c9c"
    "9af5422e976051b1e63af14d500b";
static const char go_find_node_answer[] =
    "0804424d0a260024080112209e3b433cbd31c2b8a6ebbdca998bd0f4c214"
    "1c9c9af5422e976051b1e63af14d120804c0000207060fa112172920010d"
    "b800000000000000000000000191020fa1cd031801422e0a2212201b9ea4"
    "9f92cf930bc24ac1183e78ed1358a1e29dc69031269c1fd7d53ff65fd112"
    "0804c0000207060fa15001";
static const char go_add_provider[] =
    "080212221220e536c7f88d731f374dccb568aff6f56e838a19382e488039"
    "b1ca8ad2599e82fe4a2e0a2212201b9ea49f92cf930bc24ac1183e78ed13"
    "58a1e29dc69031269c1fd7d53ff65fd1120804c0000207060fa15001";
static const char go_put_value[] =
    "12072f706b2f6b65791a280a072f706b2f6b6579120576616c75652a1632"
    "3032352d31312d32305432323a35333a30302e355a5001";
static const char go_ping_negative[] = "080550feffffffffffffffff01";
static const char go_identify[] =
    "0a24080112209e3b433cbd31c2b8a6ebbdca998bd0f4c2141c9c9af5422e"
    "976051b1e63af14d120804c0000207060fa112172920010db80000000000"
    "0000000000000191020fa1cd031a0e2f697066732f69642f312e302e301a"
    "0f2f697066732f6b61642f312e302e30220804c0000207060fa12a0a6970"
    "66732f302e312e303204676f2f314208656e76656c6f7065";
static const char go_noise[] =
    "0a24080112209e3b433cbd31c2b8a6ebbdca998bd0f4c2141c9c9af5422e"
    "976051b1e63af14d12097369676e617475726522400a221220e536c7f88d"
    "731f374dccb568aff6f56e838a19382e488039b1ca8ad2599e82fe120c2f"
    "79616d75782f312e302e30120c2f6d706c65782f362e372e30";

static const char peer_id[] =
    "0024080112209e3b433cbd31c2b8a6ebbdca998bd0f4c2141c9c9af5422e9760"
    "51b1e63af14d";
static const char rsa_peer_id[] =
    "12201b9ea49f92cf930bc24ac1183e78ed1358a1e29dc69031269c1fd7d53ff65fd1";
static const char multihash[] =
    "1220e536c7f88d731f374dccb568aff6f56e838a19382e488039b1ca8ad2599e82fe";
static const char tcp_address[] = "04c0000207060fa1";
static const char quic_address[] =
    "2920010db800000000000000000000000191020fa1cd03";

static kad__message message;

static void decode(const char *hex) {
  memset(&message, 0xa5, sizeof(message));
  assert_ok(kad__message_decode(&message, test_hex(hex)));
}

/* `out` is `body` behind its length; bodies here have up to 2^14 - 1 bytes. */
static void check_framed(kad_bytes out, kad_bytes body) {
  size_t prefix = body.len < 128 ? 1 : 2;
  assert_int_equal(out.data[0] & 0x7f, body.len & 0x7f);
  assert_int_equal(out.data[0] >> 7, prefix - 1);
  if (prefix == 2) {
    assert_int_equal(out.data[1], body.len >> 7);
  }
  assert_bytes_equal(kad__bytes_skip(out, prefix), body);
}

/* Encoding what was decoded gives the same bytes. */
static void check_encoding(const char *hex) {
  uint8_t out[512];
  kad_bytes expected = test_hex(hex);
  int len = kad__message_encode(out, sizeof(out), &message);
  assert_ok(len);
  assert_int_equal(kad__message_len(&message), expected.len);
  check_framed(kad__bytes(out, (size_t)len), expected);
}

static void find_node(void **state) {
  (void)state;
  decode(go_find_node);
  assert_int_equal(message.type, KAD__FIND_NODE);
  assert_bytes_equal(message.key, test_hex(peer_id));
  assert_int_equal(message.cluster_level, 11);
  assert_false(message.has_record);
  assert_int_equal(message.closer_count, 0);
  assert_int_equal(message.provider_count, 0);
  check_encoding(go_find_node);
}

static void check_list(kad_bytes list, const char *first, const char *second) {
  kad_bytes address;
  assert_true(kad__addresses_next(&list, &address));
  assert_bytes_equal(address, test_hex(first));
  if (second != NULL) {
    assert_true(kad__addresses_next(&list, &address));
    assert_bytes_equal(address, test_hex(second));
  }
  assert_false(kad__addresses_next(&list, &address));
}

static void find_node_answer(void **state) {
  (void)state;
  decode(go_find_node_answer);
  assert_int_equal(message.type, KAD__FIND_NODE);
  assert_int_equal(message.key.len, 0);
  assert_int_equal(message.closer_count, 2);
  const kad__wire_peer *peer = &message.closer[0];
  assert_bytes_equal(peer->id, test_hex(peer_id));
  assert_int_equal(peer->connection, KAD__CONNECTED);
  check_list(peer->addresses, tcp_address, quic_address);
  peer = &message.closer[1];
  assert_bytes_equal(peer->id, test_hex(rsa_peer_id));
  assert_int_equal(peer->connection, KAD__NOT_CONNECTED);
  check_list(peer->addresses, tcp_address, NULL);
  check_encoding(go_find_node_answer);
}

static void add_provider(void **state) {
  (void)state;
  decode(go_add_provider);
  assert_int_equal(message.type, KAD__ADD_PROVIDER);
  assert_bytes_equal(message.key, test_hex(multihash));
  assert_int_equal(message.closer_count, 0);
  assert_int_equal(message.provider_count, 1);
  assert_bytes_equal(message.providers[0].id, test_hex(rsa_peer_id));
  check_encoding(go_add_provider);
}

static void put_value(void **state) {
  (void)state;
  decode(go_put_value);
  assert_int_equal(message.type, KAD__PUT_VALUE);
  assert_true(message.has_record);
  assert_bytes_equal(message.key, kad__bytes_of("/pk/key"));
  assert_bytes_equal(message.record.key, kad__bytes_of("/pk/key"));
  assert_bytes_equal(message.record.value, kad__bytes_of("value"));
  assert_bytes_equal(message.record.time_received,
                     kad__bytes_of("2025-11-20T22:53:00.5Z"));
  assert_int_equal(message.record.publisher.len, 0);
  assert_int_equal(message.record.ttl, 0);
  check_encoding(go_put_value);
}

static void negative_cluster_level(void **state) {
  (void)state;
  decode(go_ping_negative);
  assert_int_equal(message.type, KAD__PING);
  assert_int_equal(message.cluster_level, -2);
  check_encoding(go_ping_negative);
}

static void identify(void **state) {
  (void)state;
  static kad__identify_message m;
  kad_bytes in = test_hex(go_identify);
  assert_ok(kad__identify_merge(&m, in));
  assert_true(m.has_public_key && m.has_agent_version &&
              m.has_protocol_version && m.has_observed_address &&
              m.has_signed_peer_record);
  assert_bytes_equal(m.public_key, kad__bytes_skip(test_hex(peer_id), 2));
  assert_bytes_equal(m.agent_version, kad__bytes_of("go/1"));
  assert_bytes_equal(m.protocol_version, kad__bytes_of("ipfs/0.1.0"));
  assert_bytes_equal(m.observed_address, test_hex(tcp_address));
  assert_bytes_equal(m.signed_peer_record, kad__bytes_of("envelope"));
  assert_int_equal(m.address_count, 2);
  assert_bytes_equal(m.addresses[0], test_hex(tcp_address));
  assert_bytes_equal(m.addresses[1], test_hex(quic_address));
  assert_int_equal(m.protocol_count, 2);
  assert_bytes_equal(m.protocols[1], kad__bytes_of("/ipfs/kad/1.0.0"));
  uint8_t out[512];
  int len = kad__identify_encode(out, sizeof(out), &m);
  assert_ok(len);
  check_framed(kad__bytes(out, (size_t)len), in);
}

static void noise_payload(void **state) {
  (void)state;
  kad__noise_payload payload, again;
  assert_ok(kad__noise_payload_decode(&payload, test_hex(go_noise)));
  assert_bytes_equal(payload.identity_key,
                     kad__bytes_skip(test_hex(peer_id), 2));
  assert_bytes_equal(payload.identity_signature, kad__bytes_of("signature"));
  assert_int_equal(payload.muxer_count, 2);
  assert_bytes_equal(payload.muxers[0], kad__bytes_of("/yamux/1.0.0"));
  assert_bytes_equal(payload.muxers[1], kad__bytes_of("/mplex/6.7.0"));
  uint8_t out[256];
  int len = kad__noise_payload_encode(out, sizeof(out), &payload);
  assert_ok(len);
  assert_ok(kad__noise_payload_decode(&again, kad__bytes(out, (size_t)len)));
  assert_int_equal(again.muxer_count, 2);
  assert_bytes_equal(again.muxers[1], payload.muxers[1]);
  assert_bytes_equal(again.identity_signature, payload.identity_signature);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(find_node),
      cmocka_unit_test(find_node_answer),
      cmocka_unit_test(add_provider),
      cmocka_unit_test(put_value),
      cmocka_unit_test(negative_cluster_level),
      cmocka_unit_test(identify),
      cmocka_unit_test(noise_payload),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
