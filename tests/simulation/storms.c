#include "storms.h"

size_t storms_count(void) {
  const char *wanted = getenv("KADMIUM_STORMS");
  return wanted != NULL ? strtoul(wanted, NULL, 10) : 200;
}

size_t storms_run(const char *name, void (*run)(uint64_t seed)) {
  uint64_t seed = test_seed(name);
  size_t count = storms_count();
  for (size_t i = 0; i < count; i++) {
    run(seed + i);
  }
  return count;
}

void storms_fail(uint64_t seed, const char *untrue) {
  fail_msg("KADMIUM_SEED=%llu KADMIUM_STORMS=1: not true that %s",
           (unsigned long long)seed, untrue);
}

uint8_t storms_byte(uint64_t place) {
  return (uint8_t)(place * 31 + (place >> 8));
}
