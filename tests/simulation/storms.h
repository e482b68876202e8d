/* What the storms of swarms and those of whole nodes share: one run per seed,
 * how a failure is told, and what is said in streams. */
#ifndef KAD_TESTS_STORMS_H
#define KAD_TESTS_STORMS_H

#include "support.h"

/* How many: KADMIUM_STORMS, or 200. */
size_t storms_count(void);

/* One `run` per seed, from that of the test on; returns how many there were. */
size_t storms_run(const char *name, void (*run)(uint64_t seed));

/* Fails the running test, and says how to run that seed alone. */
void storms_fail(uint64_t seed, const char *untrue);

/* Of a world `w` with a seed. */
#define STORM_CHECK(w, ok)         \
  do {                             \
    if (!(ok)) {                   \
      storms_fail((w)->seed, #ok); \
    }                              \
  } while (0)

/* What is written at a place in a stream. */
uint8_t storms_byte(uint64_t place);

#endif
