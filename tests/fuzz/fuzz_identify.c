/* What is read is written again and read to the same; reading it in two halves
 * of whatever length never does harm. */
#include "base/bytes.h"
#include "fuzz.h"
#include "wire/identify.h"

#define COPY_MAX ((size_t)1 << 17)

static void check_lists(const kad_bytes *a, const kad_bytes *b, size_t count) {
  for (size_t i = 0; i < count; i++) {
    FUZZ_CHECK(kad__bytes_equal(a[i], b[i]));
  }
}

static void round_trip(const kad__identify_message *m) {
  static uint8_t bytes[COPY_MAX];
  static kad__identify_message again;
  int len = kad__identify_encode(bytes, sizeof(bytes), m);
  FUZZ_CHECK(len > 0);
  size_t prefix = 1;
  while (bytes[prefix - 1] >= 0x80) {
    prefix++;
  }
  again = (kad__identify_message){0};
  kad_bytes body = kad__bytes(bytes + prefix, (size_t)len - prefix);
  FUZZ_CHECK(kad__identify_merge(&again, body) == 0);
  FUZZ_CHECK(again.has_public_key == m->has_public_key);
  FUZZ_CHECK(again.has_signed_peer_record == m->has_signed_peer_record);
  FUZZ_CHECK(kad__bytes_equal(again.public_key, m->public_key));
  FUZZ_CHECK(kad__bytes_equal(again.agent_version, m->agent_version));
  FUZZ_CHECK(kad__bytes_equal(again.observed_address, m->observed_address));
  FUZZ_CHECK(again.address_count == m->address_count);
  FUZZ_CHECK(again.protocol_count == m->protocol_count);
  check_lists(again.addresses, m->addresses, m->address_count);
  check_lists(again.protocols, m->protocols, m->protocol_count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static kad__identify_message m;
  if (size > COPY_MAX / 2) {
    return 0;
  }
  m = (kad__identify_message){0};
  kad__identify_merge(&m, kad__bytes(data, size / 2));
  kad__identify_merge(&m, kad__bytes(data + size / 2, size - size / 2));
  FUZZ_CHECK(m.address_count <= KAD__IDENTIFY_ADDRESSES_MAX);
  FUZZ_CHECK(m.protocol_count <= KAD__IDENTIFY_PROTOCOLS_MAX);
  m = (kad__identify_message){0};
  if (kad__identify_merge(&m, kad__bytes(data, size)) == 0) {
    round_trip(&m);
  }
  return 0;
}
