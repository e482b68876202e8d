#include "node/records.h"
#include "support.h"
#include "wire/protobuf.h"

#define SECOND_NS 1000000000ull
/* 2033-05-18T03:33:20Z */
#define UNTIL_S 2000000000ull

/* The map's keys, and values that are right. */
#define TTL "6354544c"
#define VALUE "6556616c7565"
#define SEQUENCE "6853657175656e6365"
#define VALIDITY "6856616c6964697479"
#define TYPE "6c56616c696469747954797065"
#define UNTIL "323033332d30352d31385430333a33333a32305a"
#define PATH "2f697066732f61" /* /ipfs/a */
#define GOOD_TTL TTL "05"
#define GOOD_VALUE VALUE "47" PATH
#define GOOD_SEQUENCE SEQUENCE "07"
#define GOOD_VALIDITY VALIDITY "54" UNTIL
#define GOOD_TYPE TYPE "00"
#define GOOD_DATA "a5" GOOD_TTL GOOD_VALUE GOOD_SEQUENCE GOOD_VALIDITY GOOD_TYPE

/* Legacy fields that agree with GOOD_DATA. */
#define V1_VALUE "0a07" PATH
#define V1_REST \
  "1800"        \
  "2214" UNTIL  \
  "2807"        \
  "3005"

typedef struct world {
  test_allocator memory;
  kad__validator validator;
  kad_key_pair *pair;
  kad_key_pair *other;
  uint8_t key[64];
  size_t key_len;
} world;

static kad_key_pair *new_pair(uint64_t seed) {
  kad_random random;
  kad_key_pair *pair = NULL;
  kad_random_init_u64(&random, seed);
  assert_ok(kad_key_pair_generate(&pair, kad_allocator_default(), &random));
  return pair;
}

static int set_up(void **state) {
  static world w;
  memset(&w, 0, sizeof(w));
  test_allocator_init(&w.memory);
  kad__record_ipns_validator(&w.validator, &w.memory.allocator);
  w.pair = new_pair(1);
  w.other = new_pair(2);
  const kad_peer_id *id = kad_key_pair_peer_id(w.pair);
  memcpy(w.key, "/ipns/", 6);
  memcpy(w.key + 6, id->bytes, id->len);
  w.key_len = 6u + id->len;
  *state = &w;
  return 0;
}

static int tear_down(void **state) {
  world *w = *state;
  assert_int_equal(w->memory.live, 0);
  kad_key_pair_free(w->pair);
  kad_key_pair_free(w->other);
  return 0;
}

static int validate_at(const world *w, kad_bytes value, uint64_t unix_ns) {
  return w->validator.validate(w->validator.user,
                               kad__bytes(w->key, w->key_len), value, unix_ns);
}

static int validate(const world *w, kad_bytes value) {
  return validate_at(w, value, SECOND_NS);
}

/* A record of these legacy fields and this data, signed by `pair`. */
typedef struct made {
  uint8_t bytes[16384];
  size_t len;
} made;

static kad_bytes make_bytes(made *out, const kad_key_pair *pair,
                            kad_bytes fields, kad_bytes data) {
  static uint8_t text[16384];
  uint8_t signature[KAD_SIGNATURE_LEN];
  kad__pb_writer w;
  memcpy(text, "ipns-signature:", 15);
  memcpy(text + 15, data.data, data.len);
  assert_ok(
      kad_key_pair_sign(pair, signature, kad__bytes(text, 15 + data.len)));
  kad__pb_writer_init(&w, out->bytes, sizeof(out->bytes));
  kad__pb_put_raw(&w, fields);
  kad__pb_put_bytes(&w, 8, kad__bytes(signature, sizeof(signature)));
  kad__pb_put_bytes(&w, 9, data);
  out->len = (size_t)kad__pb_writer_finish(&w);
  return kad__bytes(out->bytes, out->len);
}

static kad_bytes make(made *out, const world *w, const char *fields,
                      const char *data) {
  return make_bytes(out, w->pair, test_hex(fields), test_hex(data));
}

static const kad__ipns_options usual = {
    .value = {(const uint8_t *)"/ipfs/a", 7},
    .sequence = 7,
    .valid_until_unix_ns = UNTIL_S * SECOND_NS,
    .ttl_ns = 5,
    .v1 = true,
};

static kad_bytes seal(made *out, const world *w,
                      const kad__ipns_options *options) {
  int len = kad__ipns_seal(out->bytes, sizeof(out->bytes), w->pair, options);
  assert_ok(len);
  out->len = (size_t)len;
  return kad__bytes(out->bytes, out->len);
}

static void makes_valid_records(void **state) {
  static made m;
  const world *w = *state;
  for (int v1 = 0; v1 <= 1; v1++) {
    kad__ipns_options options = usual;
    kad__ipns_record record;
    options.v1 = v1 != 0;
    kad_bytes sealed = seal(&m, w, &options);
    assert_ok(validate(w, sealed));
    assert_ok(kad__ipns_decode(&record, sealed));
    assert_bytes_equal(record.value, options.value);
    assert_int_equal(record.sequence, 7);
    assert_int_equal(record.ttl_ns, 5);
    assert_int_equal(record.valid_until.seconds, UNTIL_S);
    assert_int_equal(record.valid_until.nanoseconds, 0);
    assert_int_equal(record.public_key.len, 0);
  }
}

/* The legacy signature is over value, validity and "EOL". */
static void makes_valid_v1_signatures(void **state) {
  static made m;
  const world *w = *state;
  kad_bytes in = seal(&m, w, &usual);
  kad__pb_field field;
  kad_bytes signature = {NULL, 0};
  while (kad__pb_next(&in, &field) > 0) {
    signature = field.number == 2 ? field.bytes : signature;
  }
  assert_ok(kad_public_key_verify(
      kad_key_pair_public(w->pair),
      kad__bytes_of("/ipfs/a2033-05-18T03:33:20.000000000ZEOL"), signature));
}

static void seals_into_every_size(void **state) {
  static made m;
  const world *w = *state;
  uint8_t out[600];
  size_t whole = seal(&m, w, &usual).len;
  assert_true(whole < sizeof(out));
  for (size_t cap = 0; cap < whole; cap++) {
    memset(out, 0x5a, sizeof(out));
    assert_error(KAD_E_BUFFER_TOO_SMALL,
                 kad__ipns_seal(out, cap, w->pair, &usual));
    assert_int_equal(out[cap], 0x5a);
  }
  assert_int_equal(whole, kad__ipns_seal(out, whole, w->pair, &usual));
  assert_memory_equal(out, m.bytes, whole);
}

static void seals_extreme_numbers(void **state) {
  static made m;
  const world *w = *state;
  const uint64_t numbers[] = {0,     23,    24,         255,       256,
                              65535, 65536, UINT32_MAX, INT64_MAX, UINT64_MAX};
  for (size_t i = 0; i < KAD__COUNT(numbers); i++) {
    kad__ipns_record record;
    kad__ipns_options options = usual;
    options.sequence = numbers[i];
    options.ttl_ns = numbers[i];
    options.valid_until_unix_ns = numbers[i] + 2;
    kad_bytes sealed = seal(&m, w, &options);
    assert_ok(validate_at(w, sealed, 0));
    assert_ok(kad__ipns_decode(&record, sealed));
    assert_true(record.sequence == numbers[i] && record.ttl_ns == numbers[i]);
  }
}

static void bounds_the_size(void **state) {
  static made m;
  static uint8_t path[KAD__IPNS_RECORD_MAX + 1];
  const world *w = *state;
  kad__ipns_options options = usual;
  size_t len = KAD__IPNS_RECORD_MAX;
  memset(path, 'a', sizeof(path));
  options.v1 = false;
  int result;
  do {
    options.value = kad__bytes(path, len--);
    result = kad__ipns_seal(m.bytes, sizeof(m.bytes), w->pair, &options);
  } while (result == KAD_E_RECORD_TOO_LARGE);
  assert_int_equal(result, KAD__IPNS_RECORD_MAX);
  assert_ok(validate(w, kad__bytes(m.bytes, KAD__IPNS_RECORD_MAX)));
  m.bytes[KAD__IPNS_RECORD_MAX] = 0;
  assert_error(KAD_E_RECORD_TOO_LARGE,
               validate(w, kad__bytes(m.bytes, KAD__IPNS_RECORD_MAX + 1)));
  options.value = kad__bytes(path, sizeof(path));
  assert_error(KAD_E_RECORD_TOO_LARGE,
               kad__ipns_seal(m.bytes, sizeof(m.bytes), w->pair, &options));
}

/* K-26, K-27 */
static void minds_the_time(void **state) {
  static made m;
  const world *w = *state;
  kad_bytes sealed = seal(&m, w, &usual);
  const uint64_t until = UNTIL_S * SECOND_NS;
  assert_ok(validate_at(w, sealed, 1));
  assert_ok(validate_at(w, sealed, until - 1));
  assert_error(KAD_E_RECORD_EXPIRED, validate_at(w, sealed, until));
  assert_error(KAD_E_RECORD_EXPIRED, validate_at(w, sealed, until + 1));
  assert_error(KAD_E_RECORD_EXPIRED, validate_at(w, sealed, UINT64_MAX));
  assert_ok(validate_at(w, sealed, 0)); /* the time is not known */
}

#define DATA_UNTIL(len, text) \
  "a5" GOOD_TTL GOOD_VALUE GOOD_SEQUENCE VALIDITY len text GOOD_TYPE

static void takes_far_times(void **state) {
  static made m;
  const world *w = *state;
  /* 9999-12-31T23:59:59Z */
  kad_bytes far_off = make(
      &m, w, "", DATA_UNTIL("54", "393939392d31322d33315432333a35393a35395a"));
  assert_ok(validate_at(w, far_off, UINT64_MAX));
  /* 0000-01-01T00:00:00Z */
  kad_bytes past = make(
      &m, w, "", DATA_UNTIL("54", "303030302d30312d30315430303a30303a30305a"));
  assert_error(KAD_E_RECORD_EXPIRED, validate_at(w, past, 1));
  assert_ok(validate_at(w, past, 0));
  /* "9223372036854775808": not a time */
  kad_bytes number = make(
      &m, w, "", DATA_UNTIL("53", "39323233333732303336383534373735383038"));
  assert_error(KAD_E_RECORD, validate_at(w, number, 0));
}

static void refuses_other_names(void **state) {
  static made m;
  world *w = *state;
  kad_bytes good = make(&m, w, "", GOOD_DATA);
  assert_ok(validate(w, good));
  for (size_t len = 0; len < w->key_len; len++) {
    assert_error(KAD_E_RECORD,
                 w->validator.validate(w->validator.user,
                                       kad__bytes(w->key, len), good, 0));
  }
  const kad_peer_id *id = kad_key_pair_peer_id(w->other);
  memcpy(w->key + 6, id->bytes, id->len);
  assert_error(KAD_E_SIGNATURE, validate(w, good));
}

/* K-25: what stands behind "/ipns/" is not a key. */
static void refuses_odd_names(void **state) {
  static made m;
  const world *w = *state;
  kad_bytes good = make(&m, w, "", GOOD_DATA);
  const char *odd[] = {
      "",
      "2f",                 /* / */
      "2f69706e732f",       /* /ipns/ */
      "2f69706e732f0000",   /* an empty identity */
      "2f69706e732f000155", /* not a key */
      "2f69706e732f1220",   /* cut off */
      "2f69706e732f1220" UNTIL "010203040506070809101112", /* a hash */
      "2f69706e732f000a0800120630847fffffff",
      "2f706b2f0000",
      "ff",
  };
  for (size_t i = 0; i < KAD__COUNT(odd); i++) {
    assert_error(KAD_E_RECORD,
                 w->validator.validate(w->validator.user, test_hex(odd[i]),
                                       good, SECOND_NS));
  }
}

static void refuses_bad_signatures(void **state) {
  static made m;
  const world *w = *state;
  assert_error(KAD_E_SIGNATURE,
               validate(w, make_bytes(&m, w->other, kad__bytes(NULL, 0),
                                      test_hex(GOOD_DATA))));
  assert_error(KAD_E_RECORD, validate(w, test_hex("4a4a" GOOD_DATA)));
  assert_error(KAD_E_SIGNATURE, validate(w, test_hex("420100"
                                                     "4a4a" GOOD_DATA)));
  assert_error(KAD_E_RECORD, validate(w, test_hex("4200"
                                                  "4a4a" GOOD_DATA)));
}

/* The key may stand in the record, if it is the one of the name. */
static void takes_the_key_from_the_record(void **state) {
  static made m;
  const world *w = *state;
  const kad_key_pair *pairs[] = {w->pair, w->other};
  for (size_t i = 0; i < 2; i++) {
    uint8_t field[64] = {0x3a, 36};
    kad_bytes key = kad_public_key_bytes(kad_key_pair_public(pairs[i]));
    memcpy(field + 2, key.data, key.len);
    kad_bytes fields = kad__bytes(field, 2 + key.len);
    kad_bytes data = test_hex(GOOD_DATA);
    assert_error(i == 0 ? 0 : KAD_E_RECORD,
                 validate(w, make_bytes(&m, w->pair, fields, data)));
    assert_error(i == 0 ? KAD_E_SIGNATURE : KAD_E_RECORD,
                 validate(w, make_bytes(&m, w->other, fields, data)));
  }
}

static void compares_legacy_fields(void **state) {
  static made m;
  const world *w = *state;
  const struct {
    const char *fields;
    int result;
  } cases[] = {
      {V1_VALUE V1_REST, 0},
      {V1_VALUE "120101" V1_REST, 0}, /* V1 signatures are not looked at */
      {V1_REST, 0},                   /* not a legacy record */
      {"2807", 0},
      {"2806", 0},
      {V1_VALUE, KAD_E_RECORD},
      {"120101", KAD_E_RECORD},
      {"120101" V1_REST, KAD_E_RECORD},
      {"0a01"
       "2f" V1_REST,
       KAD_E_RECORD},
      {V1_VALUE "1801"
                "2214" UNTIL "2807"
                "3005",
       KAD_E_RECORD},
      {V1_VALUE "1800"
                "2201"
                "32"
                "2807"
                "3005",
       KAD_E_RECORD},
      {V1_VALUE "1800"
                "2214" UNTIL "2806"
                "3005",
       KAD_E_RECORD},
      {V1_VALUE "1800"
                "2214" UNTIL "2807"
                "3006",
       KAD_E_RECORD},
      {V1_VALUE "2214" UNTIL "2807"
                "3005",
       0}, /* a default left out */
      {V1_VALUE "1800"
                "2214" UNTIL "3005",
       KAD_E_RECORD},
      {V1_VALUE V1_REST "520101", 0}, /* an unknown field */
      {"0801", KAD_E_RECORD},         /* wrong wire types */
      {"2a0107", KAD_E_RECORD},
      {"3a", KAD_E_RECORD}, /* cut off */
  };
  for (size_t i = 0; i < KAD__COUNT(cases); i++) {
    print_message("%s\n", cases[i].fields);
    assert_error(cases[i].result,
                 validate(w, make(&m, w, cases[i].fields, GOOD_DATA)));
  }
}

static void reads_data_strictly(void **state) {
  static made m;
  const world *w = *state;
  const struct {
    const char *data;
    int result;
  } cases[] = {
      {GOOD_DATA, 0},
      /* Another order, and more than is known. */
      {"a5" GOOD_SEQUENCE GOOD_TTL GOOD_VALIDITY GOOD_TYPE GOOD_VALUE, 0},
      {"a6" GOOD_TTL "625f61"
       "a1616283f4f6d82a4100" GOOD_VALUE GOOD_SEQUENCE GOOD_VALIDITY GOOD_TYPE,
       0},
      /* A key is missing, or there twice. */
      {"a4" GOOD_VALUE GOOD_SEQUENCE GOOD_VALIDITY GOOD_TYPE, KAD_E_RECORD},
      {"a4" GOOD_TTL GOOD_SEQUENCE GOOD_VALIDITY GOOD_TYPE, KAD_E_RECORD},
      {"a4" GOOD_TTL GOOD_VALUE GOOD_VALIDITY GOOD_TYPE, KAD_E_RECORD},
      {"a4" GOOD_TTL GOOD_VALUE GOOD_SEQUENCE GOOD_TYPE, KAD_E_RECORD},
      {"a4" GOOD_TTL GOOD_VALUE GOOD_SEQUENCE GOOD_VALIDITY, KAD_E_RECORD},
      {"a6" GOOD_TTL GOOD_TTL GOOD_VALUE GOOD_SEQUENCE GOOD_VALIDITY GOOD_TYPE,
       KAD_E_RECORD},
      {"a5" GOOD_VALUE GOOD_VALUE GOOD_SEQUENCE GOOD_VALIDITY GOOD_TYPE,
       KAD_E_RECORD},
      /* Counts that lie, and bytes behind the end. */
      {"a6" GOOD_TTL GOOD_VALUE GOOD_SEQUENCE GOOD_VALIDITY GOOD_TYPE,
       KAD_E_RECORD},
      {GOOD_DATA "00", KAD_E_RECORD},
      {"a0", KAD_E_RECORD},
      {"bbffffffffffffffff", KAD_E_RECORD},
      {"bf" GOOD_TTL GOOD_VALUE GOOD_SEQUENCE GOOD_VALIDITY GOOD_TYPE "ff",
       KAD_E_RECORD},
      /* Wrong types. */
      {"85" GOOD_TTL GOOD_VALUE GOOD_SEQUENCE GOOD_VALIDITY GOOD_TYPE,
       KAD_E_RECORD},
      {"a5" TTL "24" GOOD_VALUE GOOD_SEQUENCE GOOD_VALIDITY GOOD_TYPE,
       KAD_E_RECORD}, /* a negative TTL */
      {"a5" GOOD_TTL VALUE "67" PATH GOOD_SEQUENCE GOOD_VALIDITY GOOD_TYPE,
       KAD_E_RECORD}, /* text */
      {"a5" GOOD_TTL GOOD_VALUE SEQUENCE "20" GOOD_VALIDITY GOOD_TYPE,
       KAD_E_RECORD}, /* a negative sequence */
      {"a5" GOOD_TTL GOOD_VALUE SEQUENCE "1807" GOOD_VALIDITY GOOD_TYPE,
       KAD_E_RECORD}, /* not minimal */
      {"a5" GOOD_TTL GOOD_VALUE GOOD_SEQUENCE VALIDITY "74" UNTIL GOOD_TYPE,
       KAD_E_RECORD}, /* text */
      {"a5" GOOD_TTL GOOD_VALUE GOOD_SEQUENCE VALIDITY "40" GOOD_TYPE,
       KAD_E_RECORD}, /* empty */
      {"a5" GOOD_TTL GOOD_VALUE GOOD_SEQUENCE GOOD_VALIDITY TYPE "01",
       KAD_E_RECORD}, /* an unknown type */
      {"a5"
       "4354544c05" GOOD_VALUE GOOD_SEQUENCE GOOD_VALIDITY GOOD_TYPE,
       KAD_E_RECORD}, /* a key that is not text */
  };
  for (size_t i = 0; i < KAD__COUNT(cases); i++) {
    print_message("%s\n", cases[i].data);
    assert_error(cases[i].result, validate(w, make(&m, w, "", cases[i].data)));
  }
}

/* Every bit of a record without legacy fields counts. */
static void refuses_every_change(void **state) {
  static made m;
  const world *w = *state;
  kad_bytes good = make(&m, w, "", GOOD_DATA);
  for (size_t len = 0; len < good.len; len++) {
    assert_true(validate(w, kad__bytes(m.bytes, len)) < 0);
  }
  for (size_t bit = 0; bit < good.len * 8; bit++) {
    m.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    assert_true(validate(w, good) < 0);
    m.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
  }
  assert_ok(validate(w, good));
}

static int select_of(const world *w, kad_bytes a, kad_bytes b) {
  return w->validator.select(w->validator.user, kad__bytes(w->key, w->key_len),
                             a, b);
}

/* Sequence counts for more than time, time for more than bytes. */
static void prefers_the_better_record(void **state) {
  static made m[6];
  const world *w = *state;
  kad__ipns_options options = usual;
  kad_bytes rising[6];
  options.sequence = 0;
  rising[0] = seal(&m[0], w, &options);
  options.valid_until_unix_ns += 1;
  rising[1] = seal(&m[1], w, &options);
  options.valid_until_unix_ns += SECOND_NS;
  rising[2] = seal(&m[2], w, &options);
  options.valid_until_unix_ns = 1;
  options.sequence = 1;
  rising[3] = seal(&m[3], w, &options);
  options.value = kad__bytes_of("/ipfs/b");
  rising[4] = seal(&m[4], w, &options);
  options.sequence = UINT64_MAX;
  rising[5] = seal(&m[5], w, &options);
  for (size_t i = 0; i < 6; i++) {
    for (size_t j = 0; j < 6; j++) {
      assert_int_equal(select_of(w, rising[i], rising[j]), j > i);
    }
  }
}

static void prefers_a_record_to_none(void **state) {
  static made m;
  const world *w = *state;
  kad_bytes good = seal(&m, w, &usual);
  kad_bytes bad = kad__bytes_of("bad");
  assert_int_equal(1, select_of(w, bad, good));
  assert_int_equal(0, select_of(w, good, bad));
  assert_int_equal(0, select_of(w, bad, bad));
}

static void survives_want_of_memory(void **state) {
  static made m;
  world *w = *state;
  kad_bytes good = seal(&m, w, &usual);
  for (size_t fail_at = 1; fail_at <= 2; fail_at++) {
    w->memory.calls = 0;
    w->memory.fail_at = fail_at;
    assert_error(KAD_E_NO_MEMORY, validate(w, good));
    assert_int_equal(w->memory.live, 0);
  }
  w->memory.calls = 0;
  w->memory.fail_at = 3;
  assert_ok(validate(w, good));
  assert_int_equal(w->memory.calls, 2);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(makes_valid_records),
      TEST(makes_valid_v1_signatures),
      TEST(seals_into_every_size),
      TEST(seals_extreme_numbers),
      TEST(bounds_the_size),
      TEST(minds_the_time),
      TEST(takes_far_times),
      TEST(refuses_other_names),
      TEST(refuses_odd_names),
      TEST(refuses_bad_signatures),
      TEST(takes_the_key_from_the_record),
      TEST(compares_legacy_fields),
      TEST(reads_data_strictly),
      TEST(refuses_every_change),
      TEST(prefers_the_better_record),
      TEST(prefers_a_record_to_none),
      TEST(survives_want_of_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
