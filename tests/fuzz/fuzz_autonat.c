/* What decodes encodes again, and decodes to the same. */
#include "base/bytes.h"
#include "fuzz.h"
#include "wire/addresses.h"
#include "wire/autonat.h"

#define LIST_CAP ((size_t)1 << 16)

/* The addresses of a request, as a list to encode; false: too many. */
static bool collect(uint8_t *list, size_t *len, kad_bytes rest) {
  kad_bytes address;
  *len = 0;
  while (kad__autonat_next_address(&rest, &address)) {
    if (!kad__addresses_append(list, LIST_CAP, len, address)) {
      return false;
    }
  }
  return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static uint8_t list[LIST_CAP], again[LIST_CAP], out[2 * LIST_CAP];
  kad__autonat_message m, copy;
  uint64_t nonce = 0;
  size_t len = 0, again_len = 0;
  (void)kad__autonat_decode_back(&nonce, kad__bytes(data, size));
  if (size > KAD__AUTONAT_MESSAGE_MAX ||
      kad__autonat_decode(&m, kad__bytes(data, size)) < 0 ||
      m.data_len > KAD__AUTONAT_DATA_MAX || !collect(list, &len, m.addresses)) {
    return 0;
  }
  m.addresses = kad__bytes(list, len);
  int written = kad__autonat_encode(out, sizeof(out), &m);
  FUZZ_CHECK(written > 0);
  kad_bytes rest = kad__bytes(out, (size_t)written);
  while (rest.len > 0 && (rest.data[0] & 0x80) != 0) {
    rest = kad__bytes_skip(rest, 1);
  }
  FUZZ_CHECK(kad__autonat_decode(&copy, kad__bytes_skip(rest, 1)) == 0);
  FUZZ_CHECK(copy.type == m.type && copy.nonce == m.nonce);
  FUZZ_CHECK(copy.status == m.status && copy.dial_status == m.dial_status);
  FUZZ_CHECK(copy.index == m.index && copy.wanted == m.wanted);
  FUZZ_CHECK(copy.data_len == m.data_len);
  FUZZ_CHECK(m.type != KAD__AUTONAT_DIAL_REQUEST ||
             (collect(again, &again_len, copy.addresses) &&
              kad__bytes_equal(kad__bytes(again, again_len), m.addresses)));
  return 0;
}
