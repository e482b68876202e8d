#include "node/records.h"
#include "support.h"

#define ED25519_KEY \
  "080112201ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e"
#define ECDSA_KEY                                                            \
  "0803125b3059301306072a8648ce3d020106082a8648ce3d03010703420004de3d300fa3" \
  "6ae0e8f5d530899d83abab44abf3161f162a4bc901d8e6ecda020e8b6d5f8da30525e71d" \
  "6851510c098e5c47c646a597fb4dcec034e9f77c409e62"

typedef struct named {
  uint8_t bytes[64];
  size_t len;
} named;

/* The record key of the peer that `public_key` belongs to. */
static kad_bytes name_of(named *out, kad_bytes public_key) {
  kad_public_key *key = NULL;
  kad_peer_id id;
  assert_ok(kad_public_key_decode(&key, kad_allocator_default(), public_key));
  kad_public_key_peer_id(key, &id);
  kad_public_key_free(key);
  memcpy(out->bytes, "/pk/", 4);
  memcpy(out->bytes + 4, id.bytes, id.len);
  out->len = 4u + id.len;
  return kad__bytes(out->bytes, out->len);
}

static int validate(kad_bytes key, kad_bytes value) {
  kad__validator v;
  kad__record_pk_validator(&v, kad_allocator_default());
  return v.validate(v.user, key, value, 0);
}

static void accepts_the_key_of_the_name(void **state) {
  (void)state;
  const char *keys[] = {ED25519_KEY, ECDSA_KEY};
  for (size_t i = 0; i < KAD__COUNT(keys); i++) {
    named name;
    kad_bytes value = test_hex(keys[i]);
    assert_ok(validate(name_of(&name, value), value));
  }
}

/* K-28 */
static void refuses_the_key_of_another(void **state) {
  (void)state;
  named name;
  assert_error(KAD_E_RECORD, validate(name_of(&name, test_hex(ECDSA_KEY)),
                                      test_hex(ED25519_KEY)));
  assert_error(KAD_E_RECORD, validate(name_of(&name, test_hex(ED25519_KEY)),
                                      test_hex(ECDSA_KEY)));
}

static void refuses_every_change(void **state) {
  (void)state;
  const char *keys[] = {ED25519_KEY, ECDSA_KEY};
  for (size_t i = 0; i < KAD__COUNT(keys); i++) {
    named name;
    uint8_t value[128];
    kad_bytes good = test_hex(keys[i]);
    kad_bytes key = name_of(&name, good);
    memcpy(value, good.data, good.len);
    value[good.len] = 0;
    assert_error(KAD_E_RECORD, validate(key, kad__bytes(value, good.len + 1)));
    for (size_t len = 0; len < good.len; len++) {
      assert_error(KAD_E_RECORD, validate(key, kad__bytes(value, len)));
    }
    for (size_t bit = 0; bit < good.len * 8; bit++) {
      value[bit / 8] ^= (uint8_t)(1u << bit % 8);
      assert_error(KAD_E_RECORD, validate(key, kad__bytes(value, good.len)));
      value[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
  }
}

/* Names the bytes as they are, so that only what they mean can be wrong. */
static kad_bytes identity_name(named *out, kad_bytes value) {
  assert_true(value.len <= 42);
  memcpy(out->bytes, "/pk/", 4);
  out->bytes[4] = 0;
  out->bytes[5] = (uint8_t)value.len;
  if (value.len != 0) {
    memcpy(out->bytes + 6, value.data, value.len);
  }
  out->len = 6 + value.len;
  return kad__bytes(out->bytes, out->len);
}

static void refuses_names_of_what_is_no_key(void **state) {
  (void)state;
  const char *values[] = {
      "",
      "00",
      "0801",
      "0804120100",
      "0800120630847fffffff",
      ED25519_KEY "1800", /* not canonical */
      "08011220"          /* small order */
      "0100000000000000000000000000000000000000000000000000000000000000",
  };
  for (size_t i = 0; i < KAD__COUNT(values); i++) {
    named name;
    kad_bytes value = test_hex(values[i]);
    assert_error(KAD_E_RECORD, validate(identity_name(&name, value), value));
  }
}

/* K-25 */
static void refuses_odd_names(void **state) {
  (void)state;
  kad_bytes value = test_hex(ED25519_KEY);
  named name;
  kad_bytes key = name_of(&name, value);
  const char *odd[] = {"",      "/",       "//",    "/pk",     "/pk/",
                       "/pk/x", "/ipns/x", "pk/xx", "/pkx/yy", "/pk//x"};
  for (size_t i = 0; i < KAD__COUNT(odd); i++) {
    assert_error(KAD_E_RECORD, validate(kad__bytes_of(odd[i]), value));
  }
  for (size_t len = 0; len < key.len; len++) {
    assert_error(KAD_E_RECORD, validate(kad__bytes(key.data, len), value));
  }
}

static void refuses_large_values(void **state) {
  (void)state;
  static uint8_t value[KAD_PUBLIC_KEY_MAX + 1];
  named name;
  kad_bytes key = name_of(&name, test_hex(ECDSA_KEY));
  assert_error(KAD_E_RECORD,
               validate(key, kad__bytes(value, sizeof(value) - 1)));
  assert_error(KAD_E_RECORD_TOO_LARGE,
               validate(key, kad__bytes(value, sizeof(value))));
}

static void keeps_the_old_value(void **state) {
  (void)state;
  kad__validator v;
  kad__record_pk_validator(&v, kad_allocator_default());
  assert_bytes_equal(v.name_space, kad__bytes_of("pk"));
  assert_int_equal(0, v.select(v.user, kad__bytes_of("/pk/"),
                               kad__bytes_of("a"), kad__bytes_of("b")));
}

static void survives_want_of_memory(void **state) {
  (void)state;
  test_allocator memory;
  kad__validator v;
  named name;
  kad_bytes value = test_hex(ED25519_KEY);
  kad_bytes key = name_of(&name, value);
  test_allocator_init(&memory);
  memory.fail_at = 1;
  kad__record_pk_validator(&v, &memory.allocator);
  assert_error(KAD_E_NO_MEMORY, v.validate(v.user, key, value, 0));
  assert_ok(v.validate(v.user, key, value, 0));
  assert_int_equal(memory.calls, 2);
  assert_int_equal(memory.live, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(accepts_the_key_of_the_name),
      cmocka_unit_test(refuses_the_key_of_another),
      cmocka_unit_test(refuses_every_change),
      cmocka_unit_test(refuses_names_of_what_is_no_key),
      cmocka_unit_test(refuses_odd_names),
      cmocka_unit_test(refuses_large_values),
      cmocka_unit_test(keeps_the_old_value),
      cmocka_unit_test(survives_want_of_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
