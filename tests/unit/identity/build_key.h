/* Builds keys byte by byte, also those that no library would make. */
#ifndef KAD_TESTS_BUILD_KEY_H
#define KAD_TESTS_BUILD_KEY_H

#include "support.h"

/* Grows at the front, so that lengths are known when they are written. */
typedef struct builder {
  uint8_t bytes[4096];
  size_t start;
} builder;

static inline void builder_init(builder *b) {
  b->start = sizeof(b->bytes);
}

static inline kad_bytes builder_bytes(const builder *b) {
  return kad__bytes(b->bytes + b->start, sizeof(b->bytes) - b->start);
}

static inline void put_front(builder *b, const void *data, size_t len) {
  assert_true(len <= b->start);
  b->start -= len;
  if (len != 0) {
    memcpy(b->bytes + b->start, data, len);
  }
}

static inline void put_byte(builder *b, uint8_t byte) {
  put_front(b, &byte, 1);
}

/* Puts tag and length before the last `len` bytes. */
static inline void wrap_der(builder *b, uint8_t tag, size_t len) {
  if (len >= 0x100) {
    uint8_t head[] = {tag, 0x82, (uint8_t)(len >> 8), (uint8_t)len};
    put_front(b, head, sizeof(head));
  } else if (len >= 0x80) {
    uint8_t head[] = {tag, 0x81, (uint8_t)len};
    put_front(b, head, sizeof(head));
  } else {
    uint8_t head[] = {tag, (uint8_t)len};
    put_front(b, head, sizeof(head));
  }
}

static inline void put_integer(builder *b, kad_bytes number) {
  size_t len = number.len;
  put_front(b, number.data, number.len);
  if (number.len != 0 && number.data[0] >= 0x80) {
    put_byte(b, 0);
    len++;
  }
  wrap_der(b, 0x02, len);
}

/* An RSA SubjectPublicKeyInfo of any modulus and exponent. */
static inline void build_rsa(builder *b, kad_bytes modulus,
                             kad_bytes exponent) {
  static const uint8_t algorithm[] = {0x30, 0x0d, 0x06, 0x09, 0x2a,
                                      0x86, 0x48, 0x86, 0xf7, 0x0d,
                                      0x01, 0x01, 0x01, 0x05, 0x00};
  builder_init(b);
  put_integer(b, exponent);
  put_integer(b, modulus);
  wrap_der(b, 0x30, builder_bytes(b).len);
  put_byte(b, 0);
  wrap_der(b, 0x03, builder_bytes(b).len);
  put_front(b, algorithm, sizeof(algorithm));
  wrap_der(b, 0x30, builder_bytes(b).len);
}

/* The same with an odd modulus of `bits` bits. */
static inline void build_rsa_bits(builder *b, size_t bits, kad_bytes exponent) {
  uint8_t modulus[2048];
  size_t len = (bits + 7) / 8;
  memset(modulus, 0xa5, sizeof(modulus));
  modulus[0] = (uint8_t)(1u << ((bits - 1) % 8));
  modulus[len - 1] |= 1;
  build_rsa(b, kad__bytes(modulus, len), exponent);
}

/* Puts the PublicKey (or PrivateKey) protobuf around what was built. */
static inline void wrap_key(builder *b, uint8_t type) {
  size_t len = builder_bytes(b).len;
  if (len >= 0x80) {
    uint8_t head[] = {0x08, type, 0x12, (uint8_t)(len | 0x80),
                      (uint8_t)(len >> 7)};
    put_front(b, head, sizeof(head));
  } else {
    uint8_t head[] = {0x08, type, 0x12, (uint8_t)len};
    put_front(b, head, sizeof(head));
  }
}

/* The protobuf of a key of `type` around `data`. */
static inline void build_key(builder *b, uint8_t type, kad_bytes data) {
  builder_init(b);
  put_front(b, data.data, data.len);
  wrap_key(b, type);
}

#endif
