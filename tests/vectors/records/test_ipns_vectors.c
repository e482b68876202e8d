#include "ipns_vectors.h"
#include "node/records.h"
#include "node/records_ipns.h"
#include "support.h"
#include "wire/protobuf.h"

static const struct {
  const char *name;
  const char *record;
  const char *value; /* NULL: the record is invalid */
  int result;
} vectors[] = {
    {V1_ONLY_NAME, V1_ONLY_RECORD, NULL, KAD_E_RECORD},
    {V1_V2_NAME, V1_V2_RECORD, "/ipfs/bafkqaddwgevxmmraojswg33smq", 0},
    {BROKEN_V1_VALUE_NAME, BROKEN_V1_VALUE_RECORD, NULL, KAD_E_RECORD},
    {BROKEN_SIGNATURE_V2_NAME, BROKEN_SIGNATURE_V2_RECORD, NULL,
     KAD_E_SIGNATURE},
    {BROKEN_SIGNATURE_V1_NAME, BROKEN_SIGNATURE_V1_RECORD,
     "/ipfs/bafkqahtwgevxmmrao5uxi2bamjzg623fnyqhg2lhnzqxi5lsmuqhmmi", 0},
    {V2_ONLY_NAME, V2_ONLY_RECORD, "/ipfs/bafkqadtwgiww63tmpeqhezldn5zgi", 0},
};

/* 2026-01-01; the vectors are valid until 2123. */
#define UNIX_NS 1767225600000000000ull

static kad_bytes key_of(uint8_t out[64], const char *name) {
  kad_peer_id id;
  assert_ok(kad_peer_id_parse(&id, name));
  memcpy(out, "/ipns/", 6);
  memcpy(out + 6, id.bytes, id.len);
  return kad__bytes(out, 6u + id.len);
}

static void vectors_of_the_specification(void **state) {
  (void)state;
  kad__validator v;
  kad__record_ipns_validator(&v, kad_allocator_default());
  for (size_t i = 0; i < KAD__COUNT(vectors); i++) {
    uint8_t key[64];
    kad__ipns_record record;
    kad_bytes value = test_hex(vectors[i].record);
    assert_error(
        vectors[i].result,
        v.validate(v.user, key_of(key, vectors[i].name), value, UNIX_NS));
    if (vectors[i].value != NULL) {
      assert_ok(kad__ipns_decode(&record, value));
      assert_bytes_equal(record.value, kad__bytes_of(vectors[i].value));
      assert_int_equal(record.sequence, 0);
      assert_int_equal(record.ttl_ns, 1800000000000);
    }
  }
}

/* No record passes under the name of another. */
static void names_do_not_mix(void **state) {
  (void)state;
  kad__validator v;
  kad__record_ipns_validator(&v, kad_allocator_default());
  for (size_t i = 0; i < KAD__COUNT(vectors); i++) {
    for (size_t j = 0; j < KAD__COUNT(vectors); j++) {
      uint8_t key[64];
      int result = v.validate(v.user, key_of(key, vectors[i].name),
                              test_hex(vectors[j].record), UNIX_NS);
      assert_int_equal(result == 0, i == j && vectors[i].result == 0);
    }
  }
}

static void vectors_expire(void **state) {
  (void)state;
  kad__validator v;
  kad__record_ipns_validator(&v, kad_allocator_default());
  for (size_t i = 0; i < KAD__COUNT(vectors); i++) {
    uint8_t key[64];
    assert_true(v.validate(v.user, key_of(key, vectors[i].name),
                           test_hex(vectors[i].record), UINT64_MAX) < 0);
  }
}

/* What old readers check, and what kad__ipns_seal therefore signs. */
static void legacy_signature_covers_value_validity_type(void **state) {
  (void)state;
  uint8_t text[256];
  kad_peer_id name;
  kad_public_key *key = NULL;
  kad__pb_field field;
  kad_bytes fields[10] = {{NULL, 0}};
  kad_bytes in = test_hex(V1_V2_RECORD);
  while (kad__pb_next(&in, &field) > 0) {
    assert_true(field.number < KAD__COUNT(fields));
    fields[field.number] = field.bytes;
  }
  kad_bytes value = fields[KAD__IPNS_VALUE];
  kad_bytes validity = fields[KAD__IPNS_VALIDITY];
  size_t len = value.len + validity.len;
  assert_true(len + 3 <= sizeof(text));
  memcpy(text, value.data, value.len);
  memcpy(text + value.len, validity.data, validity.len);
  memcpy(text + len, "EOL", 3);
  assert_ok(kad_peer_id_parse(&name, V1_V2_NAME));
  assert_ok(
      kad_public_key_decode(&key, kad_allocator_default(),
                            kad__bytes_skip(kad_peer_id_bytes(&name), 2)));
  assert_ok(kad_public_key_verify(key, kad__bytes(text, len + 3),
                                  fields[KAD__IPNS_SIGNATURE_V1]));
  kad_public_key_free(key);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(vectors_of_the_specification),
      cmocka_unit_test(names_do_not_mix),
      cmocka_unit_test(vectors_expire),
      cmocka_unit_test(legacy_signature_covers_value_validity_type),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
