/* Unsigned varint of the multiformats: little-endian groups of seven bits, at
 * most nine bytes (63 bits), minimal form only. */
#ifndef KAD_MULTIFORMATS_VARINT_H
#define KAD_MULTIFORMATS_VARINT_H

#include "kadmium/types.h"

#define KAD__VARINT_MAX_LEN 9

/* Reads one varint from the front of `in`. Returns the number of bytes it
 * took; KAD_E_TRUNCATED when more bytes are needed (everything so far is a
 * valid beginning); KAD_E_VARINT when it is too long or not minimal. */
int kad__varint_decode(uint64_t *out, kad_bytes in);

/* Writes `value` (below 2^63) to `out`; returns the bytes written, 1 to 9. */
size_t kad__varint_encode(uint8_t out[KAD__VARINT_MAX_LEN], uint64_t value);

/* How many bytes `value`, of up to 64 bits, takes in groups of seven. */
static inline size_t kad__varint_len(uint64_t value) {
#if defined(__GNUC__)
  /* Divides by seven, rounding up, for every count of bits up to 64. */
  uint32_t bits = 64 - (uint32_t)__builtin_clzll(value | 1);
  return (9 * bits + 64) >> 6;
#else
  size_t len = 1;
  for (; value >= 0x80; value >>= 7) {
    len++;
  }
  return len;
#endif
}

/* Takes one varint off the front of `*in`; false, with nothing changed, when
 * there is no whole and valid one. */
bool kad__varint_take(kad_bytes *in, uint64_t *out);

#endif
