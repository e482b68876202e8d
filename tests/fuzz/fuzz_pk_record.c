/* "/pk/" records: the input as the value under its own hash, and split into key
 * and value. What is accepted is a canonical key. */
#include "base/bytes.h"
#include "fuzz.h"
#include "identity/digest.h"
#include "node/records.h"

static void check(kad_bytes key, kad_bytes value) {
  kad__validator v;
  kad_public_key *public_key = NULL;
  kad__record_pk_validator(&v, kad_allocator_default());
  if (v.validate(v.user, key, value, 0) < 0) {
    return;
  }
  FUZZ_CHECK(
      kad_public_key_decode(&public_key, kad_allocator_default(), value) == 0);
  FUZZ_CHECK(kad__bytes_equal(kad_public_key_bytes(public_key), value));
  kad_public_key_free(public_key);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  uint8_t key[64] = "/pk/";
  kad_bytes in = kad__bytes(data, size);
  key[4] = 0x12;
  key[5] = 32;
  kad__sha256(key + 6, in);
  check(kad__bytes(key, 38), in);
  if (size <= 42) {
    key[4] = 0;
    key[5] = (uint8_t)size;
    memcpy(key + 6, data, size);
    check(kad__bytes(key, 6 + size), in);
  }
  if (size > 42) {
    check(kad__bytes(data, 42), kad__bytes_skip(in, 42));
  }
  return 0;
}
