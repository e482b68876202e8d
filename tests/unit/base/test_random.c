#include "kadmium/random.h"
#include "support.h"

static void one_seed_is_one_sequence(void **state) {
  (void)state;
  kad_random a, b, c;
  kad_random_init_u64(&a, 7);
  kad_random_init_u64(&b, 7);
  kad_random_init_u64(&c, 8);
  uint8_t whole[2000], pieces[2000], other[2000];
  kad_random_bytes(&a, whole, sizeof(whole));
  for (size_t i = 0, len = 0; i < sizeof(pieces); i += len) {
    len = i % 37 + 1;
    len = len < sizeof(pieces) - i ? len : sizeof(pieces) - i;
    kad_random_bytes(&b, pieces + i, len);
  }
  kad_random_bytes(&c, other, sizeof(other));
  assert_memory_equal(whole, pieces, sizeof(whole));
  assert_memory_not_equal(whole, other, 32);
}

/* What was drawn is nowhere in the state, and neither is a key that could
 * bring it back. */
static void what_was_drawn_is_gone(void **state) {
  (void)state;
  kad_random random;
  kad_random_init_u64(&random, 7);
  uint8_t seed[32];
  memcpy(seed, random.key, sizeof(seed));
  uint8_t drawn[64];
  kad_random_bytes(&random, drawn, sizeof(drawn));
  const uint8_t *bytes = (const uint8_t *)&random;
  for (size_t i = 0; i + 8 <= sizeof(random); i++) {
    assert_int_not_equal(memcmp(bytes + i, drawn, 8), 0);
    assert_int_not_equal(memcmp(bytes + i, drawn + 56, 8), 0);
  }
  assert_memory_not_equal(random.key, seed, sizeof(seed));
}

static void below_stays_below_and_reaches_all(void **state) {
  (void)state;
  kad_random random;
  kad_random_init_u64(&random, 9);
  assert_true(kad_random_below(&random, 0) == 0);
  assert_true(kad_random_below(&random, 1) == 0);
  size_t counts[7] = {0};
  for (int i = 0; i < 7000; i++) {
    uint64_t draw = kad_random_below(&random, 7);
    assert_true(draw < 7);
    counts[draw]++;
  }
  /* Five standard deviations of 29. */
  for (size_t i = 0; i < 7; i++) {
    assert_in_range(counts[i], 850, 1150);
  }
  /* Half of all draws are refused here; none may come through. */
  uint64_t bound = (UINT64_C(1) << 63) + 1;
  for (int i = 0; i < 1000; i++) {
    assert_true(kad_random_below(&random, bound) < bound);
  }
}

static void bits_are_balanced(void **state) {
  (void)state;
  kad_random random;
  kad_random_init_u64(&random, 11);
  size_t ones[64] = {0};
  for (int i = 0; i < 4096; i++) {
    uint64_t draw = kad_random_u64(&random);
    for (size_t bit = 0; bit < 64; bit++) {
      ones[bit] += draw >> bit & 1;
    }
  }
  /* Five standard deviations of 32. */
  for (size_t bit = 0; bit < 64; bit++) {
    assert_in_range(ones[bit], 2048 - 160, 2048 + 160);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(one_seed_is_one_sequence),
      cmocka_unit_test(what_was_drawn_is_gone),
      cmocka_unit_test(below_stays_below_and_reaches_all),
      cmocka_unit_test(bits_are_balanced),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
