/* PublicKey and PrivateKey protobufs. What is read is written canonically, and
 * that is read as the same key. */
#include "base/bytes.h"
#include "fuzz.h"
#include "kadmium/key.h"

static void check_public(kad_bytes in) {
  kad_public_key *key = NULL;
  kad_public_key *again = NULL;
  kad_peer_id a;
  kad_peer_id b;
  if (kad_public_key_decode(&key, kad_allocator_default(), in) < 0) {
    FUZZ_CHECK(key == NULL);
    return;
  }
  kad_bytes canonical = kad_public_key_bytes(key);
  FUZZ_CHECK(
      kad_public_key_decode(&again, kad_allocator_default(), canonical) == 0);
  FUZZ_CHECK(kad__bytes_equal(canonical, kad_public_key_bytes(again)));
  kad_public_key_peer_id(key, &a);
  kad_public_key_peer_id(again, &b);
  FUZZ_CHECK(kad_peer_id_equal(&a, &b));
  FUZZ_CHECK(kad_public_key_verify(key, in, in) < 0);
  kad_public_key_free(again);
  kad_public_key_free(key);
}

static void check_private(kad_bytes in) {
  kad_key_pair *pair = NULL;
  kad_key_pair *again = NULL;
  uint8_t encoded[KAD_KEY_PAIR_LEN];
  if (kad_key_pair_decode(&pair, kad_allocator_default(), in) < 0) {
    FUZZ_CHECK(pair == NULL);
    return;
  }
  kad_key_pair_encode(pair, encoded);
  FUZZ_CHECK(kad_key_pair_decode(&again, kad_allocator_default(),
                                 kad__bytes(encoded, sizeof(encoded))) == 0);
  FUZZ_CHECK(kad_peer_id_equal(kad_key_pair_peer_id(pair),
                               kad_key_pair_peer_id(again)));
  kad_key_pair_free(again);
  kad_key_pair_free(pair);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  check_public(kad__bytes(data, size));
  check_private(kad__bytes(data, size));
  return 0;
}
