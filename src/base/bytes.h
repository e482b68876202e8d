/* Small helpers on borrowed bytes, and big-endian loads and stores. */
#ifndef KAD_BASE_BYTES_H
#define KAD_BASE_BYTES_H

#include <string.h>

#include "kadmium/types.h"

#define KAD__COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* The struct that contains `member` at `pointer`. */
#define KAD__CONTAINER(pointer, type, member) \
  ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

static inline kad_bytes kad__bytes(const void *data, size_t len) {
  return (kad_bytes){.data = (const uint8_t *)data, .len = len};
}

static inline kad_bytes kad__bytes_of(const char *text) {
  return kad__bytes(text, strlen(text));
}

static inline bool kad__bytes_equal(kad_bytes a, kad_bytes b) {
  return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static inline bool kad__bytes_start(kad_bytes a, kad_bytes prefix) {
  return a.len >= prefix.len &&
         (prefix.len == 0 || memcmp(a.data, prefix.data, prefix.len) == 0);
}

/* Lexicographic; a prefix comes before the longer one. */
static inline int kad__bytes_compare(kad_bytes a, kad_bytes b) {
  size_t n = a.len < b.len ? a.len : b.len;
  int order = n == 0 ? 0 : memcmp(a.data, b.data, n);
  if (order != 0) {
    return order;
  }
  return a.len < b.len ? -1 : a.len > b.len;
}

static inline kad_bytes kad__bytes_skip(kad_bytes a, size_t n) {
  return kad__bytes(n == 0 ? a.data : a.data + n, a.len - n);
}

static inline uint16_t kad__load16(const uint8_t *p) {
  return (uint16_t)((unsigned)p[0] << 8 | p[1]);
}

static inline uint32_t kad__load32(const uint8_t *p) {
  return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 |
         p[3];
}

static inline uint64_t kad__load64(const uint8_t *p) {
  return (uint64_t)kad__load32(p) << 32 | kad__load32(p + 4);
}

static inline void kad__store16(uint8_t *p, uint16_t v) {
  p[0] = (uint8_t)(v >> 8);
  p[1] = (uint8_t)v;
}

static inline void kad__store32(uint8_t *p, uint32_t v) {
  kad__store16(p, (uint16_t)(v >> 16));
  kad__store16(p + 2, (uint16_t)v);
}

static inline void kad__store64(uint8_t *p, uint64_t v) {
  kad__store32(p, (uint32_t)(v >> 32));
  kad__store32(p + 4, (uint32_t)v);
}

/* Copies `bytes` to `*at`, moves `*at` behind them, and returns the copy: for
 * structs that keep their bytes in one run of memory. */
static inline kad_bytes kad__bytes_keep(uint8_t **at, kad_bytes bytes) {
  kad_bytes kept = kad__bytes(*at, bytes.len);
  if (bytes.len != 0) {
    memcpy(*at, bytes.data, bytes.len);
    *at += bytes.len;
  }
  return kept;
}

/* A time that does not wrap: KAD_TIME_NEVER is the end of the world. */
static inline kad_time kad__time_add(kad_time now, kad_time delay) {
  return delay > KAD_TIME_NEVER - now ? KAD_TIME_NEVER : now + delay;
}

static inline kad_time kad__time_min(kad_time a, kad_time b) {
  return a < b ? a : b;
}

#endif
