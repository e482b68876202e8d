/**
 * @file
 * A deterministic source of randomness, fit for keys.
 *
 * The generator is ChaCha20 with fast key erasure: the same 32-byte seed gives
 * the same bytes on every machine, and a captured state tells nothing of what
 * was drawn before. Nodes draw everything from one of these, so a run with one
 * seed is one run; the runtime seeds it from the operating system.
 */
#ifndef KADMIUM_RANDOM_H
#define KADMIUM_RANDOM_H

#include "kadmium/error.h"
#include "kadmium/types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define KAD_RANDOM_SEED_LEN 32

/** The state; embed it and treat it as opaque. Not thread-safe. */
typedef struct kad_random {
  uint8_t key[32];
  uint8_t pool[512];
  size_t used;
} kad_random;

/** Starts the sequence that belongs to `seed`. */
KAD_API void kad_random_init(kad_random *random,
                             const uint8_t seed[KAD_RANDOM_SEED_LEN]);

/**
 * Starts a sequence that nobody can foresee, from the operating system.
 * KAD_E_WORLD when it has no entropy; the state is unusable then.
 */
KAD_API int kad_random_init_system(kad_random *random);

/** Starts the sequence of a 64-bit seed: for tests and simulations only. */
KAD_API void kad_random_init_u64(kad_random *random, uint64_t seed);

/** Fills `out` with `len` random bytes. */
KAD_API void kad_random_bytes(kad_random *random, void *out, size_t len);

/** A uniformly distributed 64-bit number. */
KAD_API uint64_t kad_random_u64(kad_random *random);

/** A uniformly distributed number in [0, bound); 0 when `bound` is 0. */
KAD_API uint64_t kad_random_below(kad_random *random, uint64_t bound);

#ifdef __cplusplus
}
#endif

#endif
