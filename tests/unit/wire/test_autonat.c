/* The messages of AutoNAT v2, against bytes written by hand from the
 * specification's protobuf. */
#include "support.h"
#include "wire/addresses.h"
#include "wire/autonat.h"

static const char request_hex[] =
    "0a19"                /* dialRequest */
    "0a06047f00000106"    /* addrs, 6 bytes */
    "0a06040808080806"    /* addrs */
    "110807060504030201"; /* nonce, little-endian */

static kad_bytes encode(const kad__autonat_message *m) {
  static uint8_t out[KAD__AUTONAT_DATA_MAX + 64];
  int len = kad__autonat_encode(out, sizeof(out), m);
  assert_true(len > 0);
  return kad__bytes(out, (size_t)len);
}

static void request(void **state) {
  (void)state;
  kad__autonat_message m;
  kad_bytes address;
  assert_ok(kad__autonat_decode(&m, test_hex(request_hex)));
  assert_int_equal(m.type, KAD__AUTONAT_DIAL_REQUEST);
  assert_int_equal(m.nonce, 0x0102030405060708);
  assert_true(kad__autonat_next_address(&m.addresses, &address));
  assert_bytes_equal(address, test_hex("047f00000106"));
  assert_true(kad__autonat_next_address(&m.addresses, &address));
  assert_bytes_equal(address, test_hex("040808080806"));
  assert_false(kad__autonat_next_address(&m.addresses, &address));
}

static void request_encoded(void **state) {
  (void)state;
  uint8_t list[64];
  size_t len = 0;
  assert_true(kad__addresses_append(list, sizeof(list), &len,
                                    test_hex("047f00000106")));
  assert_true(kad__addresses_append(list, sizeof(list), &len,
                                    test_hex("040808080806")));
  kad__autonat_message m = {.type = KAD__AUTONAT_DIAL_REQUEST,
                            .addresses = kad__bytes(list, len),
                            .nonce = 0x0102030405060708};
  kad_bytes out = encode(&m);
  assert_int_equal(out.data[0], out.len - 1);
  assert_bytes_equal(kad__bytes_skip(out, 1), test_hex(request_hex));
}

static void response(void **state) {
  (void)state;
  kad__autonat_message m;
  assert_ok(kad__autonat_decode(&m, test_hex("120708c80110011864")));
  assert_int_equal(m.type, KAD__AUTONAT_DIAL_RESPONSE);
  assert_int_equal(m.status, KAD__AUTONAT_OK);
  assert_int_equal(m.index, 1);
  assert_int_equal(m.dial_status, KAD__AUTONAT_DIAL_ERROR);
  assert_bytes_equal(encode(&m), test_hex("09120708c80110011864"));
}

/* Absent fields are zero: an internal error. */
static void empty_response(void **state) {
  (void)state;
  kad__autonat_message m;
  assert_ok(kad__autonat_decode(&m, test_hex("1200")));
  assert_int_equal(m.status, KAD__AUTONAT_INTERNAL_ERROR);
  assert_int_equal(m.dial_status, KAD__AUTONAT_DIAL_UNUSED);
}

static void data(void **state) {
  (void)state;
  kad__autonat_message m;
  assert_ok(kad__autonat_decode(&m, test_hex("1a06080210b0ea01")));
  assert_int_equal(m.type, KAD__AUTONAT_DATA_REQUEST);
  assert_int_equal(m.index, 2);
  assert_int_equal(m.wanted, 30000);
  assert_bytes_equal(encode(&m), test_hex("081a06080210b0ea01"));
  assert_ok(kad__autonat_decode(&m, test_hex("22050a03aabbcc")));
  assert_int_equal(m.type, KAD__AUTONAT_DATA_RESPONSE);
  assert_int_equal(m.data_len, 3);
  assert_bytes_equal(encode(&m), test_hex("0722050a03000000"));
  m.data_len = KAD__AUTONAT_DATA_MAX;
  assert_int_equal(encode(&m).len, KAD__AUTONAT_DATA_MAX + 8);
  uint8_t small[8];
  m.data_len = KAD__AUTONAT_DATA_MAX + 1;
  assert_error(KAD_E_BUFFER_TOO_SMALL,
               kad__autonat_encode(small, sizeof(small), &m));
}

static void dial_back(void **state) {
  (void)state;
  uint8_t out[KAD__AUTONAT_BACK_MAX];
  uint64_t nonce = 0;
  assert_int_equal(
      kad__autonat_encode_back(out, sizeof(out), 0x0102030405060708), 10);
  assert_bytes_equal(kad__bytes(out, 10), test_hex("09090807060504030201"));
  assert_ok(kad__autonat_decode_back(&nonce, kad__bytes(out + 1, 9)));
  assert_int_equal(nonce, 0x0102030405060708);
  assert_ok(kad__autonat_decode_back(&nonce, test_hex("")));
  assert_int_equal(nonce, 0);
  assert_error(KAD_E_PROTOBUF,
               kad__autonat_decode_back(&nonce, test_hex("0801")));
  assert_int_equal(kad__autonat_encode_back_answer(out, sizeof(out)), 1);
  assert_int_equal(out[0], 0);
}

static void malformed(void **state) {
  (void)state;
  static const struct {
    const char *hex;
    int error;
  } rows[] = {
      {"", KAD_E_MESSAGE},              /* no kind at all */
      {"2a00", KAD_E_MESSAGE},          /* an unknown one */
      {"0a001200", KAD_E_MESSAGE},      /* two */
      {"0801", KAD_E_PROTOBUF},         /* not bytes */
      {"0a0a", KAD_E_PROTOBUF},         /* past the end */
      {"0a020801", KAD_E_PROTOBUF},     /* an address that is a number */
      {"0a021001", KAD_E_PROTOBUF},     /* a nonce that is a varint */
      {"12020a00", KAD_E_PROTOBUF},     /* a status that is bytes */
      {"1a0510ffffff", KAD_E_PROTOBUF}, /* a cut varint */
      {"22020801", KAD_E_PROTOBUF},     /* data that is a number */
  };
  for (size_t i = 0; i < KAD__COUNT(rows); i++) {
    kad__autonat_message m;
    assert_error(rows[i].error, kad__autonat_decode(&m, test_hex(rows[i].hex)));
  }
}

static void every_prefix_is_survived(void **state) {
  (void)state;
  kad_bytes whole = test_hex(request_hex);
  for (size_t len = 0; len < whole.len; len++) {
    kad__autonat_message m;
    assert_true(kad__autonat_decode(&m, kad__bytes(whole.data, len)) < 0);
  }
}

static void every_capacity(void **state) {
  (void)state;
  uint8_t out[32];
  kad__autonat_message m = {.type = KAD__AUTONAT_DIAL_RESPONSE,
                            .status = KAD__AUTONAT_OK};
  size_t len = encode(&m).len;
  for (size_t cap = 0; cap < len; cap++) {
    assert_error(KAD_E_BUFFER_TOO_SMALL, kad__autonat_encode(out, cap, &m));
  }
  for (size_t cap = 0; cap < 10; cap++) {
    assert_error(KAD_E_BUFFER_TOO_SMALL, kad__autonat_encode_back(out, cap, 1));
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(request),
      cmocka_unit_test(request_encoded),
      cmocka_unit_test(response),
      cmocka_unit_test(empty_response),
      cmocka_unit_test(data),
      cmocka_unit_test(dial_back),
      cmocka_unit_test(malformed),
      cmocka_unit_test(every_prefix_is_survived),
      cmocka_unit_test(every_capacity),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
