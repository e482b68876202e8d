#include "node/records.h"
#include "support.h"

typedef struct record {
  uint8_t bytes[1024];
  size_t len;
} record;

static kad_bytes bytes_of(const record *r) {
  return kad__bytes(r->bytes, r->len);
}

static size_t make_key(uint8_t out[64], const kad_key_pair *pair) {
  const kad_peer_id *id = kad_key_pair_peer_id(pair);
  memcpy(out, "/ipns/", 6);
  memcpy(out + 6, id->bytes, id->len);
  return 6u + id->len;
}

/* Small ranges, so that ties happen. */
static void make_record(record *out, const kad_key_pair *pair,
                        kad_random *random) {
  uint8_t path[100];
  kad_random_bytes(random, path, sizeof(path));
  const kad__ipns_options options = {
      .value = kad__bytes(path, kad_random_below(random, sizeof(path))),
      .sequence = kad_random_below(random, 3),
      .valid_until_unix_ns = 1000 + kad_random_below(random, 3),
      .ttl_ns = kad_random_u64(random),
      .v1 = kad_random_below(random, 2) == 0,
  };
  int len = kad__ipns_seal(out->bytes, sizeof(out->bytes), pair, &options);
  assert_ok(len);
  out->len = (size_t)len;
}

static void made_records_are_valid(void **state) {
  (void)state;
  kad_random random;
  kad_key_pair *pair = NULL;
  kad__validator v;
  uint8_t key[64];
  kad_random_init_u64(&random, test_seed("made_records_are_valid"));
  assert_ok(kad_key_pair_generate(&pair, kad_allocator_default(), &random));
  kad__record_ipns_validator(&v, kad_allocator_default());
  size_t key_len = make_key(key, pair);
  for (size_t i = test_runs(200); i > 0; i--) {
    record r;
    make_record(&r, pair, &random);
    assert_ok(v.validate(v.user, kad__bytes(key, key_len), bytes_of(&r), 999));
    assert_error(
        KAD_E_RECORD_EXPIRED,
        v.validate(v.user, kad__bytes(key, key_len), bytes_of(&r), 1002));
    size_t at = kad_random_below(&random, r.len);
    r.bytes[at] ^= (uint8_t)(1u << kad_random_below(&random, 8));
    v.validate(v.user, kad__bytes(key, key_len), bytes_of(&r), 999);
  }
  kad_key_pair_free(pair);
}

/* The better of any two, whichever comes first; and better is transitive. */
static void selection_is_an_order(void **state) {
  (void)state;
  enum { COUNT = 24 };
  static record records[COUNT];
  kad_random random;
  kad_key_pair *pair = NULL;
  kad__validator v;
  kad_bytes key = kad__bytes_of("/ipns/");
  kad_random_init_u64(&random, test_seed("selection_is_an_order"));
  assert_ok(kad_key_pair_generate(&pair, kad_allocator_default(), &random));
  kad__record_ipns_validator(&v, kad_allocator_default());
  bool better[COUNT][COUNT];
  for (size_t i = 0; i < COUNT; i++) {
    make_record(&records[i], pair, &random);
  }
  for (size_t i = 0; i < COUNT; i++) {
    for (size_t j = 0; j < COUNT; j++) {
      better[i][j] = v.select(v.user, key, bytes_of(&records[j]),
                              bytes_of(&records[i])) == 1;
    }
  }
  for (size_t i = 0; i < COUNT; i++) {
    assert_false(better[i][i]);
    for (size_t j = 0; j < COUNT; j++) {
      assert_true(i == j || better[i][j] != better[j][i]);
      for (size_t k = 0; k < COUNT; k++) {
        assert_false(better[i][j] && better[j][k] && !better[i][k]);
      }
    }
  }
  kad_key_pair_free(pair);
}

static void times_round_trip(void **state) {
  (void)state;
  kad_random random;
  kad_random_init_u64(&random, test_seed("times_round_trip"));
  for (size_t i = test_runs(10000); i > 0; i--) {
    uint8_t text[KAD__CALENDAR_TIME_LEN];
    kad__calendar_time out;
    uint64_t a = kad_random_u64(&random);
    uint64_t b = kad_random_u64(&random);
    kad__calendar_time ta = kad__calendar_time_of(a);
    kad__calendar_time tb = kad__calendar_time_of(b);
    kad__calendar_time_format(text, a);
    assert_ok(kad__calendar_time_parse(&out, kad__bytes(text, sizeof(text))));
    assert_int_equal(0, kad__calendar_time_compare(&out, &ta));
    assert_int_equal(a < b, kad__calendar_time_compare(&ta, &tb) < 0);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(made_records_are_valid),
      cmocka_unit_test(selection_is_an_order),
      cmocka_unit_test(times_round_trip),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
