/* A point of the key space: 256 bits as four words, the most significant
 * first. The distance of two points is their exclusive or, read as a number
 * (kad-dht specification, "Distance"). A hash shorter than 256 bits fills the
 * leading bytes and leaves the rest zero. */
#ifndef KAD_KADEMLIA_KEY_H
#define KAD_KADEMLIA_KEY_H

#include "base/bytes.h"

#define KAD__KEY_BITS 256

typedef struct kad__key {
  uint64_t w[4];
} kad__key;

/* A pure function: the point of the key space that belongs to `in`. */
typedef void (*kad__dht_hash)(uint8_t out[32], kad_bytes in);

static inline kad__key kad__key_load(const uint8_t bytes[32]) {
  return (kad__key){{kad__load64(bytes), kad__load64(bytes + 8),
                     kad__load64(bytes + 16), kad__load64(bytes + 24)}};
}

static inline kad__key kad__key_of(kad__dht_hash hash, kad_bytes in) {
  uint8_t bytes[32];
  hash(bytes, in);
  return kad__key_load(bytes);
}

static inline kad__key kad__key_distance(const kad__key *a, const kad__key *b) {
  return (kad__key){{a->w[0] ^ b->w[0], a->w[1] ^ b->w[1], a->w[2] ^ b->w[2],
                     a->w[3] ^ b->w[3]}};
}

/* Negative, zero or positive, as numbers. */
static inline int kad__key_compare(const kad__key *a, const kad__key *b) {
  for (int i = 0; i < 4; i++) {
    if (a->w[i] != b->w[i]) {
      return a->w[i] < b->w[i] ? -1 : 1;
    }
  }
  return 0;
}

static inline bool kad__key_equal(const kad__key *a, const kad__key *b) {
  return kad__key_compare(a, b) == 0;
}

static inline uint32_t kad__leading_zeros64(uint64_t v) {
  uint32_t n = 0;
  if (v == 0) {
    return 64;
  }
#if defined(__GNUC__)
  n = (uint32_t)__builtin_clzll(v);
#else
  while ((v & (UINT64_C(1) << 63)) == 0) {
    v <<= 1;
    n++;
  }
#endif
  return n;
}

/* Leading zero bits of a distance, 0..256: the common prefix length of two
 * keys, and the number of the bucket. 256 is "the same key". */
static inline uint32_t kad__key_leading_zeros(const kad__key *d) {
  for (uint32_t i = 0; i < 4; i++) {
    if (d->w[i] != 0) {
      return i * 64 + kad__leading_zeros64(d->w[i]);
    }
  }
  return KAD__KEY_BITS;
}

static inline uint32_t kad__key_common(const kad__key *a, const kad__key *b) {
  kad__key d = kad__key_distance(a, b);
  return kad__key_leading_zeros(&d);
}

/* Bit `i`, counted from the most significant. */
static inline bool kad__key_bit(const kad__key *k, uint32_t i) {
  return (k->w[i / 64] >> (63 - i % 64) & 1) != 0;
}

#endif
