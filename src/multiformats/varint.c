/* Stricter than protobuf's varint: nine bytes and one form for each number, so
 * that what is compared as bytes is equal exactly when the numbers are. */
#include "multiformats/varint.h"

#include <assert.h>

#include "base/bytes.h"
#include "kadmium/error.h"

int kad__varint_decode(uint64_t *out, kad_bytes in) {
  uint64_t value = 0;
  for (size_t i = 0; i < KAD__VARINT_MAX_LEN; i++) {
    if (i == in.len) {
      return KAD_E_TRUNCATED;
    }
    uint8_t byte = in.data[i];
    value |= (uint64_t)(byte & 0x7f) << (7 * i);
    if (byte < 0x80) {
      if (byte == 0 && i > 0) {
        return KAD_E_VARINT;
      }
      *out = value;
      return (int)i + 1;
    }
  }
  return KAD_E_VARINT;
}

size_t kad__varint_encode(uint8_t out[KAD__VARINT_MAX_LEN], uint64_t value) {
  assert(value >> 63 == 0);
  size_t len = 0;
  for (; value >= 0x80; value >>= 7) {
    out[len++] = (uint8_t)(value | 0x80);
  }
  out[len++] = (uint8_t)value;
  return len;
}

bool kad__varint_take(kad_bytes *in, uint64_t *out) {
  int len = kad__varint_decode(out, *in);
  if (len < 0) {
    return false;
  }
  *in = kad__bytes_skip(*in, (size_t)len);
  return true;
}
