/* IPNS records as they come, and data behind a good signature. What was
 * accepted must lie inside the input, and be selected consistently. */
#include "base/bytes.h"
#include "fuzz.h"
#include "node/records.h"
#include "node/records_cbor.h"
#include "wire/protobuf.h"

#define DATA_MAX 4096

static void check_inside(kad_bytes part, kad_bytes whole) {
  FUZZ_CHECK(part.len == 0 || (part.data >= whole.data &&
                               part.data + part.len <= whole.data + whole.len));
}

static void check_record(const kad__validator *v, kad_bytes key,
                         kad_bytes value, kad_bytes other) {
  kad__ipns_record record;
  int valid = v->validate(v->user, key, value, 1);
  if (kad__ipns_decode(&record, value) < 0) {
    FUZZ_CHECK(valid < 0);
    return;
  }
  check_inside(record.value, value);
  check_inside(record.signed_data, value);
  check_inside(record.signature, value);
  FUZZ_CHECK(record.signature.len != 0 && record.signed_data.len != 0);
  FUZZ_CHECK(v->select(v->user, key, value, value) == 0);
  FUZZ_CHECK(kad__bytes_equal(value, other) ||
             v->select(v->user, key, value, other) +
                     v->select(v->user, key, other, value) ==
                 1);
}

static size_t sign_data(uint8_t *out, size_t cap, const kad_key_pair *pair,
                        kad_bytes data) {
  uint8_t text[DATA_MAX + 15];
  uint8_t signature[KAD_SIGNATURE_LEN];
  kad__pb_writer w;
  memcpy(text, "ipns-signature:", 15);
  memcpy(text + 15, data.data, data.len);
  FUZZ_CHECK(
      kad_key_pair_sign(pair, signature, kad__bytes(text, 15 + data.len)) == 0);
  kad__pb_writer_init(&w, out, cap);
  kad__pb_put_bytes(&w, 8, kad__bytes(signature, sizeof(signature)));
  kad__pb_put_bytes(&w, 9, data);
  return (size_t)kad__pb_writer_finish(&w);
}

/* Made once: keys and signatures cost more than all the rest. */
typedef struct fixture {
  kad_key_pair *pair;
  uint8_t key[64];
  size_t key_len;
  uint8_t good[512];
  size_t good_len;
  kad__validator validator;
} fixture;

static void make_fixture(fixture *f) {
  static const kad__ipns_options options = {
      .value = {(const uint8_t *)"/ipfs/a", 7},
      .sequence = 1,
      .valid_until_unix_ns = 2000000000000000000,
      .v1 = true};
  kad_random random;
  kad_random_init_u64(&random, 1);
  FUZZ_CHECK(
      kad_key_pair_generate(&f->pair, kad_allocator_default(), &random) == 0);
  const kad_peer_id *id = kad_key_pair_peer_id(f->pair);
  memcpy(f->key, "/ipns/", 6);
  memcpy(f->key + 6, id->bytes, id->len);
  f->key_len = 6u + id->len;
  int len = kad__ipns_seal(f->good, sizeof(f->good), f->pair, &options);
  FUZZ_CHECK(len > 0);
  f->good_len = (size_t)len;
  kad__record_ipns_validator(&f->validator, kad_allocator_default());
  FUZZ_CHECK(f->validator.validate(f->validator.user,
                                   kad__bytes(f->key, f->key_len),
                                   kad__bytes(f->good, f->good_len), 1) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static fixture f;
  static uint8_t made[DATA_MAX + 256];
  kad__calendar_time time;
  kad_bytes in = kad__bytes(data, size);
  kad_bytes rest = in;
  if (f.pair == NULL) {
    make_fixture(&f);
  }
  kad__calendar_time_parse(&time, in);
  if (kad__cbor_skip(&rest) == 0) {
    FUZZ_CHECK(rest.len < in.len);
  }
  kad_bytes key = kad__bytes(f.key, f.key_len);
  kad_bytes good = kad__bytes(f.good, f.good_len);
  check_record(&f.validator, key, in, good);
  if (in.len != 0 && in.len <= DATA_MAX) {
    size_t len = sign_data(made, sizeof(made), f.pair, in);
    check_record(&f.validator, key, kad__bytes(made, len), good);
  }
  return 0;
}
