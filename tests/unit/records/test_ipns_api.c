#include "kadmium/ipns.h"
#include "support.h"

#define SECOND_NS 1000000000ull
/* 2033-05-18T03:33:20Z */
#define UNTIL (2000000000ull * SECOND_NS)

static const char path[] = "/ipfs/bafkqaaa";

static kad_key_pair *new_pair(uint64_t seed) {
  kad_random random;
  kad_key_pair *pair = NULL;
  kad_random_init_u64(&random, seed);
  assert_ok(kad_key_pair_generate(&pair, kad_allocator_default(), &random));
  return pair;
}

static int set_up(void **state) {
  *state = new_pair(1);
  return 0;
}

static int tear_down(void **state) {
  kad_key_pair_free(*state);
  return 0;
}

static kad_ipns_options usual(void) {
  kad_ipns_options options = KAD_IPNS_OPTIONS_INIT;
  options.value = kad__bytes_of(path);
  options.sequence = 7;
  options.valid_until = UNTIL;
  return options;
}

static void writes_the_key(void **state) {
  uint8_t key[KAD_IPNS_KEY_MAX];
  const kad_peer_id *name = kad_key_pair_peer_id(*state);
  assert_int_equal(kad_ipns_key(key, name), 6 + name->len);
  assert_memory_equal(key, "/ipns/", 6);
  assert_memory_equal(key + 6, name->bytes, name->len);
}

static void assert_usual(const kad_ipns_record *record) {
  assert_int_equal(record->value.len, sizeof(path) - 1);
  assert_memory_equal(record->value.data, path, sizeof(path) - 1);
  assert_int_equal(record->sequence, 7);
  assert_true(record->valid_until == UNTIL);
  assert_true(record->ttl == KAD_IPNS_TTL);
  assert_int_equal(record->public_key.len, 0);
}

static void reads_what_it_sealed(void **state) {
  const kad_key_pair *pair = *state;
  uint8_t bytes[2][KAD_IPNS_RECORD_MAX];
  int len[2];
  for (int v2_only = 0; v2_only < 2; v2_only++) {
    kad_ipns_record record;
    kad_ipns_options options = usual();
    options.v2_only = v2_only == 1;
    uint8_t *out = bytes[v2_only];
    len[v2_only] = kad_ipns_seal(out, KAD_IPNS_RECORD_MAX, pair, &options);
    assert_true(len[v2_only] > 0);
    kad_bytes sealed = kad__bytes(out, (size_t)len[v2_only]);
    assert_ok(kad_ipns_decode(&record, sealed));
    assert_usual(&record);
    memset(&record, 0, sizeof(record));
    assert_ok(kad_ipns_check(&record, NULL, kad_key_pair_peer_id(pair), sealed,
                             UNTIL - 1));
    assert_usual(&record);
  }
  assert_true(len[1] < len[0]);
}

static void refuses_what_makes_no_record(void **state) {
  uint8_t out[KAD_IPNS_RECORD_MAX];
  static uint8_t long_path[KAD_IPNS_RECORD_MAX] = "/";
  kad_ipns_options options = usual();
  options.value = kad__bytes(NULL, 0);
  assert_error(KAD_E_INVALID_ARGUMENT,
               kad_ipns_seal(out, sizeof(out), *state, &options));
  options.value = kad__bytes_of("ipfs/a");
  assert_error(KAD_E_INVALID_ARGUMENT,
               kad_ipns_seal(out, sizeof(out), *state, &options));
  options = usual();
  options.valid_until = 0;
  assert_error(KAD_E_INVALID_ARGUMENT,
               kad_ipns_seal(out, sizeof(out), *state, &options));
  options = usual();
  options.struct_size = 0;
  assert_error(KAD_E_INVALID_ARGUMENT,
               kad_ipns_seal(out, sizeof(out), *state, &options));
  options = usual();
  assert_error(KAD_E_BUFFER_TOO_SMALL,
               kad_ipns_seal(out, 40, *state, &options));
  options.value = kad__bytes(long_path, sizeof(long_path));
  options.v2_only = true;
  int error = kad_ipns_seal(out, sizeof(out), *state, &options);
  assert_true(error == KAD_E_BUFFER_TOO_SMALL ||
              error == KAD_E_RECORD_TOO_LARGE);
}

static void tells_why_a_record_is_wrong(void **state) {
  uint8_t bytes[KAD_IPNS_RECORD_MAX];
  const kad_peer_id *name = kad_key_pair_peer_id(*state);
  kad_key_pair *other = new_pair(2);
  kad_ipns_options options = usual();
  kad_ipns_record record = {.sequence = 99};
  int len = kad_ipns_seal(bytes, sizeof(bytes), *state, &options);
  assert_true(len > 0);
  kad_bytes sealed = kad__bytes(bytes, (size_t)len);
  assert_error(KAD_E_RECORD_EXPIRED,
               kad_ipns_check(&record, NULL, name, sealed, UNTIL));
  assert_error(
      KAD_E_SIGNATURE,
      kad_ipns_check(&record, NULL, kad_key_pair_peer_id(other), sealed, 1));
  assert_error(KAD_E_RECORD,
               kad_ipns_check(&record, NULL, name, kad__bytes(bytes, 10), 1));
  assert_error(KAD_E_RECORD, kad_ipns_decode(&record, kad__bytes(bytes, 10)));
  assert_int_equal(record.sequence, 99); /* left alone */
  assert_ok(kad_ipns_check(&record, NULL, name, sealed, 0));
  assert_usual(&record);
  kad_key_pair_free(other);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(writes_the_key),
      TEST(reads_what_it_sealed),
      TEST(refuses_what_makes_no_record),
      TEST(tells_why_a_record_is_wrong),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
