#include "identity/envelope.h"
#include "support.h"

#define PRIVATE_KEY                                                          \
  "080112407e0830617c4a7de83925dfb2694556b12936c477a0e1feb2e148ec9da60fee7d" \
  "1ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e"
#define PUBLIC_KEY \
  "080112201ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e"
#define ADDRESS "047f000001060fa1"
#define PAYLOAD "0a260024" PUBLIC_KEY "10011a0a0a08" ADDRESS
#define SIGNATURE                                                            \
  "4504e51a36806e8eba9344a743f2e1cbd0170d2632fb413f98101f6e3ff26d3da91f4eed" \
  "ebf36383fa5819438bce1d7398117236e52d2d1dfce98196294ac60e"
#define SEALED      \
  "0a24" PUBLIC_KEY \
  "12020301"        \
  "1a36" PAYLOAD "2a40" SIGNATURE

static kad_key_pair *new_pair(void) {
  kad_key_pair *pair = NULL;
  assert_ok(kad_key_pair_decode(&pair, kad_allocator_default(),
                                test_hex(PRIVATE_KEY)));
  return pair;
}

static kad_key_pair *other_pair(void) {
  kad_random random;
  kad_key_pair *pair = NULL;
  kad_random_init_u64(&random, 5);
  assert_ok(kad_key_pair_generate(&pair, kad_allocator_default(), &random));
  return pair;
}

static int open_sealed(kad_bytes sealed) {
  kad__peer_record record;
  return kad__peer_record_open(&record, kad_allocator_default(), sealed);
}

/* An envelope over any payload, signed properly. */
typedef struct sealer {
  uint8_t bytes[16384];
  size_t len;
} sealer;

static void append(sealer *s, kad_bytes bytes) {
  assert_true(s->len + bytes.len <= sizeof(s->bytes));
  if (bytes.len != 0) {
    memcpy(s->bytes + s->len, bytes.data, bytes.len);
  }
  s->len += bytes.len;
}

static void append_len(sealer *s, size_t len) {
  uint8_t varint[2] = {(uint8_t)(len | 0x80), (uint8_t)(len >> 7)};
  if (len < 0x80) {
    varint[0] = (uint8_t)len;
  }
  append(s, kad__bytes(varint, len < 0x80 ? 1 : 2));
}

static kad_bytes seal_payload(sealer *s, const kad_key_pair *pair,
                              kad_bytes payload, const char *domain,
                              kad_bytes type) {
  sealer text = {.len = 0};
  uint8_t signature[KAD_SIGNATURE_LEN];
  append_len(&text, strlen(domain));
  append(&text, kad__bytes_of(domain));
  append_len(&text, type.len);
  append(&text, type);
  append_len(&text, payload.len);
  append(&text, payload);
  assert_ok(
      kad_key_pair_sign(pair, signature, kad__bytes(text.bytes, text.len)));
  s->len = 0;
  append(s, test_hex("0a24"));
  append(s, kad_public_key_bytes(kad_key_pair_public(pair)));
  append(s, test_hex("12"));
  append_len(s, type.len);
  append(s, type);
  append(s, test_hex("1a"));
  append_len(s, payload.len);
  append(s, payload);
  append(s, test_hex("2a40"));
  append(s, kad__bytes(signature, sizeof(signature)));
  return kad__bytes(s->bytes, s->len);
}

static kad_bytes seal_as_record(sealer *s, const kad_key_pair *pair,
                                kad_bytes payload) {
  return seal_payload(s, pair, payload, KAD__PEER_RECORD_DOMAIN,
                      test_hex("0301"));
}

static void seals_the_known_record(void **state) {
  (void)state;
  uint8_t out[256];
  kad_key_pair *pair = new_pair();
  kad_bytes address = test_hex(ADDRESS);
  int len = kad__peer_record_seal(out, sizeof(out), pair, 1, &address, 1);
  assert_ok(len);
  assert_bytes_equal(kad__bytes(out, (size_t)len), test_hex(SEALED));
  kad_key_pair_free(pair);
}

static void opens_the_known_record(void **state) {
  (void)state;
  kad__peer_record record;
  kad_bytes sealed = test_hex(SEALED);
  assert_ok(kad__peer_record_open(&record, kad_allocator_default(), sealed));
  assert_int_equal(record.sequence, 1);
  assert_int_equal(record.address_count, 1);
  assert_bytes_equal(record.addresses[0], test_hex(ADDRESS));
  assert_bytes_equal(kad_peer_id_bytes(&record.peer),
                     test_hex("0024" PUBLIC_KEY));
  assert_true(record.addresses[0].data > sealed.data &&
              record.addresses[0].data < sealed.data + sealed.len);
}

static void seals_into_every_size(void **state) {
  (void)state;
  uint8_t out[256];
  kad_key_pair *pair = new_pair();
  kad_bytes address = test_hex(ADDRESS);
  size_t whole = test_hex(SEALED).len;
  for (size_t cap = 0; cap < whole; cap++) {
    memset(out, 0x5a, sizeof(out));
    assert_error(KAD_E_BUFFER_TOO_SMALL,
                 kad__peer_record_seal(out, cap, pair, 1, &address, 1));
    assert_int_equal(out[cap], 0x5a);
  }
  assert_int_equal(whole,
                   kad__peer_record_seal(out, whole, pair, 1, &address, 1));
  kad_key_pair_free(pair);
}

static void round_trips_many_addresses(void **state) {
  (void)state;
  static uint8_t out[KAD__ENVELOPE_MAX];
  uint8_t storage[70][8];
  kad_bytes addresses[70];
  kad_key_pair *pair = new_pair();
  for (size_t i = 0; i < KAD__COUNT(addresses); i++) {
    memcpy(storage[i], test_hex(ADDRESS).data, 8);
    storage[i][4] = (uint8_t)i;
    addresses[i] = kad__bytes(storage[i], 8);
  }
  const size_t counts[] = {0, 1, 2, 5, 6, 63, 64, 65, 70};
  for (size_t i = 0; i < KAD__COUNT(counts); i++) {
    kad__peer_record record;
    size_t kept = counts[i] < 64 ? counts[i] : 64;
    int len = kad__peer_record_seal(out, sizeof(out), pair, UINT64_MAX,
                                    addresses, counts[i]);
    assert_ok(len);
    assert_ok(kad__peer_record_open(&record, kad_allocator_default(),
                                    kad__bytes(out, (size_t)len)));
    assert_true(record.sequence == UINT64_MAX);
    assert_int_equal(record.address_count, kept);
    for (size_t j = 0; j < kept; j++) {
      assert_bytes_equal(record.addresses[j], addresses[j]);
    }
  }
  kad_key_pair_free(pair);
}

/* I-05: the record of X, signed by Y. */
static void refuses_records_of_others(void **state) {
  (void)state;
  static sealer s;
  kad_key_pair *other = other_pair();
  assert_error(KAD_E_PEER_MISMATCH,
               open_sealed(seal_as_record(&s, other, test_hex(PAYLOAD))));
  assert_error(KAD_E_PEER_MISMATCH,
               open_sealed(seal_as_record(&s, other, test_hex("1001"))));
  kad_key_pair_free(other);
}

/* X's signature beside Y's key. */
static void refuses_another_key(void **state) {
  (void)state;
  uint8_t sealed[256];
  kad_key_pair *other = other_pair();
  kad_bytes known = test_hex(SEALED);
  memcpy(sealed, known.data, known.len);
  memcpy(sealed + 2, kad_public_key_bytes(kad_key_pair_public(other)).data, 36);
  assert_error(KAD_E_SIGNATURE, open_sealed(kad__bytes(sealed, known.len)));
  kad_key_pair_free(other);
}

static void refuses_other_domains_and_types(void **state) {
  (void)state;
  static sealer s;
  kad_key_pair *pair = new_pair();
  kad_bytes payload = test_hex(PAYLOAD);
  assert_ok(open_sealed(seal_as_record(&s, pair, payload)));
  assert_error(KAD_E_SIGNATURE, open_sealed(seal_payload(&s, pair, payload,
                                                         "libp2p-routing-state",
                                                         test_hex("0301"))));
  assert_error(KAD_E_MESSAGE, open_sealed(seal_payload(&s, pair, payload,
                                                       KAD__PEER_RECORD_DOMAIN,
                                                       test_hex("0302"))));
  assert_error(KAD_E_MESSAGE, open_sealed(kad__bytes(NULL, 0)));
  kad_key_pair_free(pair);
}

/* The signature is good; what it covers is not. */
static void reads_odd_payloads(void **state) {
  (void)state;
  static sealer s;
  kad_key_pair *pair = new_pair();
  const struct {
    const char *payload;
    int result;
    size_t addresses;
  } cases[] = {
      {"0a260024" PUBLIC_KEY, 0, 0},
      {PAYLOAD "1a0a0a08" ADDRESS, 0, 2},
      {PAYLOAD "1a00", 0, 1},                 /* an empty AddressInfo */
      {PAYLOAD "1a020a00", 0, 1},             /* an empty address */
      {PAYLOAD "1a050a03047f00", 0, 1},       /* a cut-off address */
      {PAYLOAD "1a050a039f8d06", 0, 1},       /* an unknown protocol */
      {PAYLOAD "1a020a05", 0, 1},             /* a broken AddressInfo */
      {PAYLOAD "2203010203", 0, 1},           /* an unknown field */
      {PAYLOAD "1a05", KAD_E_PROTOBUF, 0},    /* cut off */
      {PAYLOAD "1801", KAD_E_PROTOBUF, 0},    /* not bytes */
      {PAYLOAD "1200", KAD_E_PROTOBUF, 0},    /* not a number */
      {PAYLOAD "0801", KAD_E_PROTOBUF, 0},    /* not bytes */
      {PAYLOAD "0a00", KAD_E_PROTOBUF, 0},    /* no peer id */
      {PAYLOAD "0a020002", KAD_E_PROTOBUF, 0} /* no peer id */
  };
  for (size_t i = 0; i < KAD__COUNT(cases); i++) {
    kad__peer_record record;
    kad_bytes sealed = seal_as_record(&s, pair, test_hex(cases[i].payload));
    assert_error(
        cases[i].result,
        kad__peer_record_open(&record, kad_allocator_default(), sealed));
    if (cases[i].result == 0) {
      assert_int_equal(record.address_count, cases[i].addresses);
    }
  }
  kad_key_pair_free(pair);
}

static void refuses_malformed_envelopes(void **state) {
  (void)state;
  static uint8_t large[KAD__ENVELOPE_MAX + 1];
  assert_error(KAD_E_MESSAGE_TOO_LARGE,
               open_sealed(kad__bytes(large, sizeof(large))));
  assert_error(KAD_E_PROTOBUF,
               open_sealed(kad__bytes(large, KAD__ENVELOPE_MAX)));
  assert_error(KAD_E_PROTOBUF, open_sealed(test_hex("0801")));
  assert_error(KAD_E_PROTOBUF, open_sealed(test_hex("12020301"
                                                    "1805")));
  assert_error(KAD_E_PROTOBUF, open_sealed(test_hex("12020301"
                                                    "0a00")));
  assert_error(KAD_E_KEY_TYPE, open_sealed(test_hex("12020301"
                                                    "0a0508091201aa")));
  assert_error(KAD_E_KEY, open_sealed(test_hex("12020301"
                                               "0a0a0800120630847fffffff")));
  assert_error(KAD_E_SIGNATURE,
               open_sealed(test_hex("0a24" PUBLIC_KEY "12020301")));
}

/* Every byte of an envelope matters. */
static void refuses_every_change(void **state) {
  (void)state;
  uint8_t sealed[256];
  kad_bytes known = test_hex(SEALED);
  memcpy(sealed, known.data, known.len);
  for (size_t len = 0; len < known.len; len++) {
    assert_true(open_sealed(kad__bytes(sealed, len)) < 0);
  }
  for (size_t bit = 0; bit < known.len * 8; bit++) {
    sealed[bit / 8] ^= (uint8_t)(1u << bit % 8);
    assert_true(open_sealed(kad__bytes(sealed, known.len)) < 0);
    sealed[bit / 8] ^= (uint8_t)(1u << bit % 8);
  }
  assert_ok(open_sealed(kad__bytes(sealed, known.len)));
}

static void survives_want_of_memory(void **state) {
  (void)state;
  kad__peer_record record;
  test_allocator memory;
  for (size_t fail_at = 1; fail_at <= 2; fail_at++) {
    test_allocator_init(&memory);
    memory.fail_at = fail_at;
    assert_error(
        KAD_E_NO_MEMORY,
        kad__peer_record_open(&record, &memory.allocator, test_hex(SEALED)));
    assert_int_equal(memory.live, 0);
  }
  test_allocator_init(&memory);
  assert_ok(
      kad__peer_record_open(&record, &memory.allocator, test_hex(SEALED)));
  assert_int_equal(memory.calls, 2);
  assert_int_equal(memory.live, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(seals_the_known_record),
      cmocka_unit_test(opens_the_known_record),
      cmocka_unit_test(seals_into_every_size),
      cmocka_unit_test(round_trips_many_addresses),
      cmocka_unit_test(refuses_records_of_others),
      cmocka_unit_test(refuses_another_key),
      cmocka_unit_test(refuses_other_domains_and_types),
      cmocka_unit_test(reads_odd_payloads),
      cmocka_unit_test(refuses_malformed_envelopes),
      cmocka_unit_test(refuses_every_change),
      cmocka_unit_test(survives_want_of_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
