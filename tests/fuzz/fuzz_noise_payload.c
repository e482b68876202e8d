#include "base/bytes.h"
#include "fuzz.h"
#include "wire/noise_payload.h"

#define COPY_MAX ((size_t)1 << 17)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static uint8_t bytes[COPY_MAX];
  kad__noise_payload payload, again;
  if (size > COPY_MAX / 2 ||
      kad__noise_payload_decode(&payload, kad__bytes(data, size)) < 0) {
    return 0;
  }
  FUZZ_CHECK(payload.muxer_count <= KAD__NOISE_MUXERS_MAX);
  int len = kad__noise_payload_encode(bytes, sizeof(bytes), &payload);
  FUZZ_CHECK(len > 0);
  kad_bytes encoded = kad__bytes(bytes, (size_t)len);
  FUZZ_CHECK(kad__noise_payload_decode(&again, encoded) == 0);
  FUZZ_CHECK(kad__bytes_equal(again.identity_key, payload.identity_key));
  FUZZ_CHECK(
      kad__bytes_equal(again.identity_signature, payload.identity_signature));
  FUZZ_CHECK(again.muxer_count == payload.muxer_count);
  for (size_t i = 0; i < again.muxer_count; i++) {
    FUZZ_CHECK(kad__bytes_equal(again.muxers[i], payload.muxers[i]));
  }
  return 0;
}
