/* Random messages survive the wire; cut and flipped ones are read without a
 * step past their end, and what is read of them obeys every bound. */
#include "support.h"
#include "wire/addresses.h"
#include "wire/identify.h"
#include "wire/message.h"
#include "wire/noise_payload.h"

#define RUNS 200
#define MESSAGE_MAX 40000

static kad_random random_;

static size_t below(size_t bound) {
  return (size_t)kad_random_below(&random_, bound);
}

/* Memory of one random message. */
static uint8_t arena[2 * MESSAGE_MAX];
static size_t arena_len;

static kad_bytes random_bytes(size_t most) {
  size_t len = below(most + 1);
  uint8_t *data = arena + arena_len;
  assert_true(arena_len + len <= sizeof(arena));
  kad_random_bytes(&random_, data, len);
  arena_len += len;
  return kad__bytes(data, len);
}

static void random_peer(kad__wire_peer *peer) {
  kad_bytes id = random_bytes(50);
  /* Without an id there is no peer. */
  peer->id = id.len == 0 ? kad__bytes_of("x") : id;
  peer->connection = (kad__wire_connection)below(4);
  uint8_t list[400];
  size_t len = 0;
  for (size_t n = below(5); n > 0; n--) {
    size_t before = arena_len;
    kad_bytes address = random_bytes(60);
    assert_true(kad__addresses_append(list, sizeof(list), &len, address));
    arena_len = before;
  }
  memcpy(arena + arena_len, list, len);
  peer->addresses = kad__bytes(arena + arena_len, len);
  arena_len += len;
}

static void random_message(kad__message *m) {
  arena_len = 0;
  kad__message_init(m, (kad__message_type)below(KAD__MESSAGE_TYPES));
  m->key = random_bytes(100);
  m->cluster_level = below(2) == 0 ? 0 : (int32_t)kad_random_u64(&random_);
  m->has_record = below(2) == 0;
  if (m->has_record) {
    m->record.key = random_bytes(100);
    m->record.value = random_bytes(300);
    m->record.publisher = random_bytes(40);
    m->record.time_received = random_bytes(30);
    m->record.ttl = (uint32_t)kad_random_u64(&random_) >> below(32);
  }
  m->closer_count = below(21);
  m->provider_count = below(10);
  for (size_t i = 0; i < m->closer_count; i++) {
    random_peer(&m->closer[i]);
  }
  for (size_t i = 0; i < m->provider_count; i++) {
    random_peer(&m->providers[i]);
  }
}

static void assert_same_peers(const kad__wire_peer *a, const kad__wire_peer *b,
                              size_t count) {
  for (size_t i = 0; i < count; i++) {
    assert_bytes_equal(a[i].id, b[i].id);
    assert_bytes_equal(a[i].addresses, b[i].addresses);
    assert_int_equal(a[i].connection, b[i].connection);
  }
}

static void assert_same(const kad__message *a, const kad__message *b) {
  assert_int_equal(a->type, b->type);
  assert_bytes_equal(a->key, b->key);
  assert_int_equal(a->cluster_level, b->cluster_level);
  assert_int_equal(a->has_record, b->has_record);
  assert_bytes_equal(a->record.key, b->record.key);
  assert_bytes_equal(a->record.value, b->record.value);
  assert_bytes_equal(a->record.publisher, b->record.publisher);
  assert_bytes_equal(a->record.time_received, b->record.time_received);
  assert_int_equal(a->record.ttl, b->record.ttl);
  assert_int_equal(a->closer_count, b->closer_count);
  assert_int_equal(a->provider_count, b->provider_count);
  assert_same_peers(a->closer, b->closer, a->closer_count);
  assert_same_peers(a->providers, b->providers, a->provider_count);
}

/* The body of an encoded message, behind its length. */
static kad_bytes body_of(const uint8_t *data, size_t len, size_t body) {
  assert_true(body < len);
  return kad__bytes(data + (len - body), body);
}

static kad__message message, again;
static uint8_t encoded[MESSAGE_MAX];

static kad_bytes encode_random(void) {
  random_message(&message);
  int len = kad__message_encode(encoded, sizeof(encoded), &message);
  assert_ok(len);
  return body_of(encoded, (size_t)len, kad__message_len(&message));
}

static void messages_survive(void **state) {
  (void)state;
  for (size_t run = test_runs(RUNS * 5); run > 0; run--) {
    kad_bytes body = encode_random();
    memset(&again, 0xa5, sizeof(again));
    assert_ok(kad__message_decode(&again, body));
    assert_same(&message, &again);
  }
}

/* Decodes a copy in a block of its own, so that the sanitizer sees every read
 * past the end, and checks what came out. */
static int decode_alone(kad_bytes in) {
  uint8_t *copy = malloc(in.len + (in.len == 0));
  memcpy(copy, in.data, in.len);
  int result = kad__message_decode(&again, kad__bytes(copy, in.len));
  assert_true(result == 0 || result == KAD_E_PROTOBUF ||
              result == KAD_E_MESSAGE);
  if (result == 0) {
    assert_true(again.type < KAD__MESSAGE_TYPES);
    assert_true(again.closer_count <= KAD__MESSAGE_CLOSER_MAX);
    assert_true(again.provider_count <= KAD__MESSAGE_PROVIDERS_MAX);
    assert_true(kad__message_len(&again) <= 4 * in.len + 64);
  }
  free(copy);
  return result;
}

static void prefixes_of_messages(void **state) {
  (void)state;
  for (size_t run = test_runs(RUNS / 10); run > 0; run--) {
    kad_bytes body = encode_random();
    size_t accepted = 0;
    for (size_t len = 0; len < body.len; len++) {
      accepted += decode_alone(kad__bytes(body.data, len)) == 0;
    }
    /* Only ends of fields are ends of messages. */
    assert_true(accepted <= 6 + message.closer_count + message.provider_count);
  }
}

static void flipped_bits_in_messages(void **state) {
  (void)state;
  size_t refused = 0;
  for (size_t run = test_runs(RUNS / 40); run > 0; run--) {
    kad_bytes body = encode_random();
    uint8_t *bytes = encoded + (body.data - encoded);
    for (size_t bit = 0; bit < 8 * body.len; bit++) {
      bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
      refused += decode_alone(body) < 0;
      bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
  }
  assert_true(refused > 0);
}

static kad__identify_message identify, identify_again;

static void random_identify(kad__identify_message *m) {
  arena_len = 0;
  *m = (kad__identify_message){0};
  m->has_public_key = below(2) == 0;
  m->has_agent_version = below(2) == 0;
  m->has_protocol_version = below(2) == 0;
  m->has_observed_address = below(2) == 0;
  m->has_signed_peer_record = below(2) == 0;
  if (m->has_public_key) {
    m->public_key = random_bytes(40);
  }
  if (m->has_signed_peer_record) {
    m->signed_peer_record = random_bytes(300);
  }
  if (m->has_agent_version) {
    m->agent_version = random_bytes(30);
  }
  m->address_count = below(KAD__IDENTIFY_ADDRESSES_MAX + 1);
  m->protocol_count = below(KAD__IDENTIFY_PROTOCOLS_MAX + 1);
  for (size_t i = 0; i < m->address_count; i++) {
    m->addresses[i] = random_bytes(50);
  }
  for (size_t i = 0; i < m->protocol_count; i++) {
    m->protocols[i] = random_bytes(30);
  }
}

static void assert_same_lists(const kad_bytes *a, const kad_bytes *b,
                              size_t count) {
  for (size_t i = 0; i < count; i++) {
    assert_bytes_equal(a[i], b[i]);
  }
}

static void identify_survives(void **state) {
  (void)state;
  for (size_t run = test_runs(RUNS); run > 0; run--) {
    random_identify(&identify);
    int len = kad__identify_encode(encoded, sizeof(encoded), &identify);
    assert_ok(len);
    size_t prefix = encoded[0] < 0x80 ? 1 : encoded[1] < 0x80 ? 2 : 3;
    identify_again = (kad__identify_message){0};
    assert_ok(kad__identify_merge(
        &identify_again, kad__bytes(encoded + prefix, (size_t)len - prefix)));
    assert_int_equal(identify_again.address_count, identify.address_count);
    assert_int_equal(identify_again.protocol_count, identify.protocol_count);
    assert_same_lists(identify_again.addresses, identify.addresses,
                      identify.address_count);
    assert_same_lists(identify_again.protocols, identify.protocols,
                      identify.protocol_count);
    assert_int_equal(identify_again.has_public_key, identify.has_public_key);
    assert_int_equal(identify_again.has_observed_address,
                     identify.has_observed_address);
    assert_bytes_equal(identify_again.public_key, identify.public_key);
    assert_bytes_equal(identify_again.agent_version, identify.agent_version);
    assert_bytes_equal(identify_again.signed_peer_record,
                       identify.signed_peer_record);
  }
}

static void noise_payloads_survive(void **state) {
  (void)state;
  for (size_t run = test_runs(RUNS); run > 0; run--) {
    arena_len = 0;
    kad__noise_payload payload = {
        .identity_key = random_bytes(300),
        .identity_signature = random_bytes(300),
        .muxer_count = below(KAD__NOISE_MUXERS_MAX + 1)};
    for (size_t i = 0; i < payload.muxer_count; i++) {
      payload.muxers[i] = random_bytes(20);
    }
    kad__noise_payload other;
    int len = kad__noise_payload_encode(encoded, sizeof(encoded), &payload);
    assert_ok(len);
    assert_ok(
        kad__noise_payload_decode(&other, kad__bytes(encoded, (size_t)len)));
    assert_bytes_equal(other.identity_key, payload.identity_key);
    assert_bytes_equal(other.identity_signature, payload.identity_signature);
    assert_int_equal(other.muxer_count, payload.muxer_count);
    assert_same_lists(other.muxers, payload.muxers, payload.muxer_count);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(messages_survive),
      cmocka_unit_test(prefixes_of_messages),
      cmocka_unit_test(flipped_bits_in_messages),
      cmocka_unit_test(identify_survives),
      cmocka_unit_test(noise_payloads_survive),
  };
  kad_random_init_u64(&random_, test_seed("property-wire"));
  return cmocka_run_group_tests(tests, NULL, NULL);
}
