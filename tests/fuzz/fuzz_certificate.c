/* A peer's certificate: no crash, and what passes names a key that is one. */
#include "base/bytes.h"
#include "connection/certificate.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  kad_public_key *key = NULL;
  int result = kad__certificate_decode(&key, kad_allocator_default(),
                                       kad__bytes(data, size), 1780000000);
  FUZZ_CHECK((result == 0) == (key != NULL));
  FUZZ_CHECK(result <= 0);
  if (key != NULL) {
    kad_public_key *again = NULL;
    FUZZ_CHECK(kad_public_key_decode(&again, kad_allocator_default(),
                                     kad_public_key_bytes(key)) == 0);
    kad_public_key_free(again);
  }
  kad_public_key_free(key);
  return 0;
}
