/* Everything here is one system call; errors of the clocks cannot happen with
 * clocks that POSIX demands. */
#include "runtime/system.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "kadmium/random.h"

static uint64_t nanoseconds(clockid_t clock) {
  struct timespec t;
  if (clock_gettime(clock, &t) != 0 || t.tv_sec < 0) {
    return 0;
  }
  return (uint64_t)t.tv_sec * KAD_SECOND + (uint64_t)t.tv_nsec;
}

kad_time kad__system_now(void) {
  return nanoseconds(CLOCK_MONOTONIC);
}

uint64_t kad__system_unix_ns(void) {
  return nanoseconds(CLOCK_REALTIME);
}

int kad__system_entropy(uint8_t *out, size_t len) {
  while (len > 0) {
    ssize_t n = getrandom(out, len, 0);
    if (n < 0 && errno == EINTR) {
      continue;
    }
    if (n <= 0) {
      return KAD_E_WORLD;
    }
    out += n;
    len -= (size_t)n;
  }
  return 0;
}

int kad_random_init_system(kad_random *random) {
  uint8_t seed[KAD_RANDOM_SEED_LEN];
  int error = kad__system_entropy(seed, sizeof(seed));
  if (error < 0) {
    return error;
  }
  kad_random_init(random, seed);
  explicit_bzero(seed, sizeof(seed));
  return 0;
}
