/* ChaCha20 with fast key erasure (D. J. Bernstein, 2017): one refill makes a
 * pool of eight blocks, whose first 32 bytes at once replace the key. What was
 * handed out is wiped from the pool, so a captured state cannot be run
 * backwards. The nonce is always zero: no key is used twice. */
#include "kadmium/random.h"

#include <string.h>

#include "base/chacha.h"

static uint32_t load32_little(const uint8_t *p) {
  return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
         (uint32_t)p[3] << 24;
}

static void store32_little(uint8_t *p, uint32_t v) {
  p[0] = (uint8_t)v;
  p[1] = (uint8_t)(v >> 8);
  p[2] = (uint8_t)(v >> 16);
  p[3] = (uint8_t)(v >> 24);
}

static uint32_t rotate(uint32_t x, unsigned by) {
  return x << by | x >> (32 - by);
}

/* A macro on purpose: only with constant indices in one function do compilers
 * keep the state in registers, which halves the time. */
#define QUARTER_ROUND(x, a, b, c, d) \
  do {                               \
    x[a] += x[b];                    \
    x[d] = rotate(x[d] ^ x[a], 16);  \
    x[c] += x[d];                    \
    x[b] = rotate(x[b] ^ x[c], 12);  \
    x[a] += x[b];                    \
    x[d] = rotate(x[d] ^ x[a], 8);   \
    x[c] += x[d];                    \
    x[b] = rotate(x[b] ^ x[c], 7);   \
  } while (0)

static void ten_double_rounds(uint32_t out[16], const uint32_t in[16]) {
  uint32_t x[16];
  memcpy(x, in, sizeof(x));
  for (int i = 0; i < 10; i++) {
    QUARTER_ROUND(x, 0, 4, 8, 12);
    QUARTER_ROUND(x, 1, 5, 9, 13);
    QUARTER_ROUND(x, 2, 6, 10, 14);
    QUARTER_ROUND(x, 3, 7, 11, 15);
    QUARTER_ROUND(x, 0, 5, 10, 15);
    QUARTER_ROUND(x, 1, 6, 11, 12);
    QUARTER_ROUND(x, 2, 7, 8, 13);
    QUARTER_ROUND(x, 3, 4, 9, 14);
  }
  memcpy(out, x, sizeof(x));
}

void kad__chacha20_block(uint8_t out[KAD__CHACHA_BLOCK_LEN],
                         const uint8_t key[32], uint32_t counter,
                         const uint8_t nonce[12]) {
  uint32_t input[16] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574};
  for (int i = 0; i < 8; i++) {
    input[4 + i] = load32_little(key + 4 * i);
  }
  input[12] = counter;
  for (int i = 0; i < 3; i++) {
    input[13 + i] = load32_little(nonce + 4 * i);
  }
  uint32_t x[16];
  ten_double_rounds(x, input);
  for (int i = 0; i < 16; i++) {
    store32_little(out + 4 * i, x[i] + input[i]);
  }
}

static void refill(kad_random *random) {
  static const uint8_t nonce[12];
  for (uint32_t i = 0; i < sizeof(random->pool) / KAD__CHACHA_BLOCK_LEN; i++) {
    kad__chacha20_block(random->pool + (size_t)i * KAD__CHACHA_BLOCK_LEN,
                        random->key, i, nonce);
  }
  memcpy(random->key, random->pool, sizeof(random->key));
  memset(random->pool, 0, sizeof(random->key));
  random->used = sizeof(random->key);
}

void kad_random_init(kad_random *random,
                     const uint8_t seed[KAD_RANDOM_SEED_LEN]) {
  memset(random, 0, sizeof(*random));
  memcpy(random->key, seed, sizeof(random->key));
  random->used = sizeof(random->pool);
}

void kad_random_init_u64(kad_random *random, uint64_t seed) {
  uint8_t bytes[KAD_RANDOM_SEED_LEN] = {0};
  store32_little(bytes, (uint32_t)seed);
  store32_little(bytes + 4, (uint32_t)(seed >> 32));
  kad_random_init(random, bytes);
}

void kad_random_bytes(kad_random *random, void *out, size_t len) {
  uint8_t *to = out;
  while (len > 0) {
    if (random->used == sizeof(random->pool)) {
      refill(random);
    }
    size_t left = sizeof(random->pool) - random->used;
    size_t n = len < left ? len : left;
    memcpy(to, random->pool + random->used, n);
    memset(random->pool + random->used, 0, n);
    random->used += n;
    to += n;
    len -= n;
  }
}

uint64_t kad_random_u64(kad_random *random) {
  uint8_t bytes[8];
  kad_random_bytes(random, bytes, sizeof(bytes));
  return (uint64_t)load32_little(bytes + 4) << 32 | load32_little(bytes);
}

uint64_t kad_random_below(kad_random *random, uint64_t bound) {
  if (bound == 0) {
    return 0;
  }
  /* Draws below 2^64 mod bound would favour the small remainders. */
  uint64_t threshold = (0 - bound) % bound;
  for (;;) {
    uint64_t draw = kad_random_u64(random);
    if (draw >= threshold) {
      return draw % bound;
    }
  }
}
