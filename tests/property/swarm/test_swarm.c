/* Random worlds: two swarms whose every invariant holds after each step (see
 * tests/fuzz/fuzz_swarm.c), in runs long enough to connect and to fall apart
 * again. */
#include "fuzz.h"
#include "support.h"

#define PROGRAM_MAX 1024

/* Often the first bytes connect the two, so that what follows has something
 * to happen to. */
static const uint8_t opening[] = {0, 0,    255, 0,    0,    0,    0xc2, 0,
                                  0, 0xc2, 0,   0xc2, 0,    0xc2, 0,    0xc2,
                                  0, 0x16, 0,   50,   0x17, 0,    50};

static void test_random_worlds(void **state) {
  (void)state;
  kad_random random;
  kad_random_init_u64(&random, test_seed("swarm"));
  size_t runs = test_runs(300);
  for (size_t i = 0; i < runs; i++) {
    uint8_t program[sizeof(opening) + PROGRAM_MAX];
    size_t start = i % 4 == 0 ? 0 : sizeof(opening);
    size_t len = start + kad_random_below(&random, PROGRAM_MAX);
    memcpy(program, opening, start);
    kad_random_bytes(&random, program + start, len - start);
    assert_int_equal(LLVMFuzzerTestOneInput(program, len), 0);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_random_worlds),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
