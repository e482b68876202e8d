#include "kadmium/key.h"
#include "support.h"

#define SEED "7e0830617c4a7de83925dfb2694556b12936c477a0e1feb2e148ec9da60fee7d"
#define POINT "1ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e"

static kad_key_pair *pair_of(const char *text) {
  kad_key_pair *pair = NULL;
  assert_ok(
      kad_key_pair_decode(&pair, kad_allocator_default(), test_hex(text)));
  return pair;
}

static int decode(const char *text) {
  kad_key_pair *pair = NULL;
  int result =
      kad_key_pair_decode(&pair, kad_allocator_default(), test_hex(text));
  assert_true((result == 0) == (pair != NULL));
  kad_key_pair_free(pair);
  return result;
}

static void one_seed_is_one_key(void **state) {
  (void)state;
  kad_random random;
  kad_key_pair *pairs[3];
  for (size_t i = 0; i < 3; i++) {
    kad_random_init_u64(&random, i < 2 ? 1 : 2);
    assert_ok(
        kad_key_pair_generate(&pairs[i], kad_allocator_default(), &random));
  }
  assert_true(memcmp(kad_key_pair_peer_id(pairs[0]),
                     kad_key_pair_peer_id(pairs[1]), sizeof(kad_peer_id)) == 0);
  assert_true(memcmp(kad_key_pair_peer_id(pairs[0]),
                     kad_key_pair_peer_id(pairs[2]), sizeof(kad_peer_id)) != 0);
  for (size_t i = 0; i < 3; i++) {
    kad_key_pair_free(pairs[i]);
  }
}

static void round_trips(void **state) {
  (void)state;
  uint8_t out[KAD_KEY_PAIR_LEN];
  kad_key_pair *pair = pair_of("08011240" SEED POINT);
  kad_key_pair_encode(pair, out);
  assert_bytes_equal(kad__bytes(out, sizeof(out)),
                     test_hex("08011240" SEED POINT));
  assert_bytes_equal(kad_public_key_bytes(kad_key_pair_public(pair)),
                     test_hex("08011220" POINT));
  kad_key_pair_free(pair);
}

static void reads_the_old_form(void **state) {
  (void)state;
  uint8_t out[KAD_KEY_PAIR_LEN];
  kad_key_pair *pair = pair_of("08011260" SEED POINT POINT);
  kad_key_pair_encode(pair, out);
  assert_bytes_equal(kad__bytes(out, sizeof(out)),
                     test_hex("08011240" SEED POINT));
  kad_key_pair_free(pair);
}

static void refuses_what_is_no_key(void **state) {
  (void)state;
  assert_error(KAD_E_PROTOBUF, decode(""));
  assert_error(KAD_E_PROTOBUF, decode("0801"));
  assert_error(KAD_E_PROTOBUF, decode("08011240" SEED));
  assert_error(KAD_E_KEY, decode("08021200"));
  assert_error(KAD_E_KEY_TYPE, decode("08091220" SEED));
  assert_error(KAD_E_KEY, decode("08011220" SEED));
  assert_error(KAD_E_KEY, decode("08011200"));
  assert_error(KAD_E_KEY, decode("08011240" SEED SEED));
  assert_error(KAD_E_KEY, decode("08011260" SEED POINT SEED));
  assert_error(KAD_E_KEY, decode("08011260" SEED SEED POINT));
  assert_error(KAD_E_KEY, decode("08011260" SEED SEED SEED));
}

static void signs_deterministically(void **state) {
  (void)state;
  uint8_t a[KAD_SIGNATURE_LEN];
  uint8_t b[KAD_SIGNATURE_LEN];
  kad_key_pair *pair = pair_of("08011240" SEED POINT);
  const kad_public_key *key = kad_key_pair_public(pair);
  kad_bytes messages[] = {kad__bytes(NULL, 0), kad__bytes_of("message")};
  for (size_t i = 0; i < KAD__COUNT(messages); i++) {
    assert_ok(kad_key_pair_sign(pair, a, messages[i]));
    assert_ok(kad_key_pair_sign(pair, b, messages[i]));
    assert_memory_equal(a, b, sizeof(a));
    assert_ok(kad_public_key_verify(key, messages[i], kad__bytes(a, 64)));
    assert_error(KAD_E_SIGNATURE, kad_public_key_verify(key, messages[1 - i],
                                                        kad__bytes(a, 64)));
  }
  kad_key_pair_free(pair);
}

/* E-06: S + L stands for the same number as S, and must not verify. */
static void refuses_unreduced_signatures(void **state) {
  (void)state;
  static const uint8_t order[32] = {
      0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7,
      0xa2, 0xde, 0xf9, 0xde, 0x14, 0,    0,    0,    0,    0,    0,
      0,    0,    0,    0,    0,    0,    0,    0,    0,    0x10};
  uint8_t signature[KAD_SIGNATURE_LEN + 1] = {0};
  kad_bytes message = kad__bytes_of("message");
  kad_key_pair *pair = pair_of("08011240" SEED POINT);
  const kad_public_key *key = kad_key_pair_public(pair);
  assert_ok(kad_key_pair_sign(pair, signature, message));
  assert_error(KAD_E_SIGNATURE,
               kad_public_key_verify(key, message, kad__bytes(signature, 63)));
  assert_error(KAD_E_SIGNATURE,
               kad_public_key_verify(key, message, kad__bytes(signature, 65)));
  unsigned carry = 0;
  for (size_t i = 0; i < 32; i++) {
    carry += (unsigned)signature[32 + i] + order[i];
    signature[32 + i] = (uint8_t)carry;
    carry >>= 8;
  }
  assert_int_equal(carry, 0);
  assert_error(KAD_E_SIGNATURE,
               kad_public_key_verify(key, message, kad__bytes(signature, 64)));
  kad_key_pair_free(pair);
}

static void survives_want_of_memory(void **state) {
  (void)state;
  kad_bytes in = test_hex("08011240" SEED POINT);
  for (size_t fail_at = 1; fail_at <= 2; fail_at++) {
    test_allocator memory;
    kad_key_pair *pair = NULL;
    test_allocator_init(&memory);
    memory.fail_at = fail_at;
    assert_error(KAD_E_NO_MEMORY,
                 kad_key_pair_decode(&pair, &memory.allocator, in));
    assert_null(pair);
    assert_int_equal(memory.live, 0);
  }
  test_allocator memory;
  kad_key_pair *pair = NULL;
  test_allocator_init(&memory);
  assert_ok(kad_key_pair_decode(&pair, &memory.allocator, in));
  assert_int_equal(memory.calls, 2);
  kad_key_pair_free(pair);
  assert_int_equal(memory.live, 0);
  kad_key_pair_free(NULL);
}

/* Looks at what is released. */
static size_t dirty_releases;
static uint8_t watched[32];

static void *watch_alloc(void *user, size_t size) {
  (void)user;
  size_t *block = malloc(size + sizeof(max_align_t));
  assert_non_null(block);
  block[0] = size;
  return (uint8_t *)block + sizeof(max_align_t);
}

static void watch_release(void *user, void *memory) {
  (void)user;
  uint8_t *at = memory;
  size_t *block = (void *)(at - sizeof(max_align_t));
  for (size_t i = 0; i + sizeof(watched) <= block[0]; i++) {
    dirty_releases += memcmp(at + i, watched, sizeof(watched)) == 0;
  }
  free(block);
}

static void wipes_what_it_frees(void **state) {
  (void)state;
  const kad_allocator watch = {watch_alloc, NULL, watch_release, NULL};
  kad_key_pair *pair = NULL;
  memcpy(watched, test_hex(SEED).data, sizeof(watched));
  assert_ok(
      kad_key_pair_decode(&pair, &watch, test_hex("08011240" SEED POINT)));
  kad_key_pair_free(pair);
  assert_int_equal(dirty_releases, 0);
  assert_error(KAD_E_KEY, kad_key_pair_decode(&pair, &watch,
                                              test_hex("08011240" SEED SEED)));
  assert_int_equal(dirty_releases, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(one_seed_is_one_key),
      cmocka_unit_test(round_trips),
      cmocka_unit_test(reads_the_old_form),
      cmocka_unit_test(refuses_what_is_no_key),
      cmocka_unit_test(signs_deterministically),
      cmocka_unit_test(refuses_unreduced_signatures),
      cmocka_unit_test(survives_want_of_memory),
      cmocka_unit_test(wipes_what_it_frees),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
