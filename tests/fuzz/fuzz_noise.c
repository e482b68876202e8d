/* The Noise handshake and what is inside it. The first byte chooses:
 *   0, 1  a message from the network, for a responder or an initiator;
 *   2     a payload, as it comes out of a handshake;
 *   3     a frame of the traffic, in place. */
#include "base/bytes.h"
#include "connection/security.h"
#include "fuzz.h"

#define FRAME_MAX 65536

typedef struct world {
  kad_random random;
  kad_key_pair *pair;
  kad__security *security;
} world;

/* Made once: only the input varies. */
static const world *the_world(void) {
  static world w;
  if (w.security == NULL) {
    const kad_allocator *allocator = kad_allocator_default();
    kad_random_init_u64(&w.random, 1);
    FUZZ_CHECK(kad_key_pair_generate(&w.pair, allocator, &w.random) == 0);
    FUZZ_CHECK(kad__security_new(&w.security, allocator, w.pair, &w.random) ==
               0);
  }
  return &w;
}

/* No message that is made up passes, but a responder's first, which is a mere
 * public key; and what comes after that does not. */
static void read_message(const world *w, uint8_t *message, size_t len,
                         bool initiator) {
  kad_random random;
  kad__noise *n = NULL;
  kad_bytes payload;
  uint8_t out[512];
  kad_random_init_u64(&random, 2);
  FUZZ_CHECK(kad__security_handshake(&n, w->security, kad_allocator_default(),
                                     &random, initiator) == 0);
  if (initiator) {
    FUZZ_CHECK(kad__noise_write(n, out, sizeof(out), (kad_bytes){0}) == 32);
  }
  int result = kad__noise_read(n, message, len, &payload);
  if (initiator) {
    FUZZ_CHECK(result < 0);
  } else if (result == 0) {
    FUZZ_CHECK(len >= 32 && payload.len == len - 32);
    int written = kad__noise_write(n, out, sizeof(out),
                                   kad__security_payload(w->security));
    FUZZ_CHECK(written == 96 + 120 || written == KAD_E_NOISE);
    if (written > 0) {
      FUZZ_CHECK(kad__noise_read(n, message, len, &payload) < 0);
    }
  }
  FUZZ_CHECK(kad__noise_read(n, message, len, &payload) < 0);
  kad__noise_free(n);
}

static void read_payload(const world *w, kad_bytes payload) {
  static const uint8_t static_key[KAD__X25519_LEN] = {9};
  kad_public_key *key = NULL;
  bool early_muxer = false;
  int result =
      kad__security_verify(&key, &early_muxer, w->security,
                           kad_allocator_default(), payload, static_key);
  /* Nobody has signed that static key. */
  FUZZ_CHECK(result < 0 && key == NULL);
}

static void read_frame(const world *w, uint8_t *frame, size_t len) {
  kad__noise_cipher cipher = {.key = {1}};
  int result =
      kad__noise_decrypt(kad__security_suite(w->security), &cipher, frame, len);
  FUZZ_CHECK(result < 0 && cipher.nonce == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static uint8_t copy[FRAME_MAX];
  if (size == 0 || size > FRAME_MAX) {
    return 0;
  }
  const world *w = the_world();
  size_t len = size - 1;
  memcpy(copy, data + 1, len);
  switch (data[0] % 4) {
    case 0:
    case 1:
      read_message(w, copy, len, data[0] % 4 == 1);
      break;
    case 2:
      read_payload(w, kad__bytes(data + 1, len));
      break;
    default:
      read_frame(w, copy, len);
      break;
  }
  return 0;
}
