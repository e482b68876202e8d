#include "base/map.h"
#include "support.h"

#define NODES 100

typedef struct value {
  uint8_t key[4];
  kad__map_node node;
} value;

typedef struct fixture {
  test_allocator t;
  kad__map map;
  value values[NODES];
} fixture;

static const uint64_t secret[2] = {1, 2};

static void init(fixture *f) {
  memset(f, 0, sizeof(*f));
  test_allocator_init(&f->t);
  kad__map_init(&f->map, secret);
  for (uint32_t i = 0; i < NODES; i++) {
    kad__store32(f->values[i].key, i);
  }
}

static void fini(fixture *f) {
  kad__map_fini(&f->map, &f->t.allocator);
  assert_int_equal(f->t.live, 0);
}

static kad_bytes key_of(const fixture *f, size_t i) {
  return kad__bytes(f->values[i].key, 4);
}

static int add(fixture *f, size_t i) {
  return kad__map_add(&f->map, &f->t.allocator, &f->values[i].node,
                      key_of(f, i));
}

static void check_all(const fixture *f, size_t count) {
  assert_int_equal(f->map.len, count);
  for (size_t i = 0; i < NODES; i++) {
    uint8_t copy[4];
    memcpy(copy, f->values[i].key, 4);
    kad_bytes key = kad__bytes(copy, 4);
    const kad__map_node *expected = i < count ? &f->values[i].node : NULL;
    assert_ptr_equal(kad__map_find(&f->map, key), expected);
    uint32_t hash = kad__map_hash(&f->map, key);
    kad__map_expect(&f->map, hash);
    assert_ptr_equal(kad__map_find_hashed(&f->map, key, hash), expected);
    assert_null(kad__map_find_hashed(&f->map, key, hash + 1));
  }
}

static void nothing_is_found_in_an_empty_map(void **state) {
  (void)state;
  fixture f;
  init(&f);
  check_all(&f, 0);
  uint32_t slot = 0;
  assert_null(kad__map_next(&f.map, &slot, NULL));
  assert_int_equal(f.t.calls, 0);
  fini(&f);
}

static void what_is_added_is_found_until_removed(void **state) {
  (void)state;
  fixture f;
  init(&f);
  for (size_t i = 0; i < NODES; i++) {
    assert_ok(add(&f, i));
    check_all(&f, i + 1);
  }
  for (size_t i = NODES; i > 0; i--) {
    kad__map_remove(&f.map, &f.values[i - 1].node);
    check_all(&f, i - 1);
  }
  fini(&f);
}

static void keys_of_every_length(void **state) {
  (void)state;
  fixture f;
  init(&f);
  static const uint8_t zeros[NODES];
  for (size_t i = 0; i < NODES; i++) {
    assert_ok(kad__map_add(&f.map, &f.t.allocator, &f.values[i].node,
                           kad__bytes(i == 0 ? NULL : zeros, i)));
  }
  for (size_t i = 0; i < NODES; i++) {
    assert_ptr_equal(kad__map_find(&f.map, kad__bytes(zeros, i)),
                     &f.values[i].node);
  }
  fini(&f);
}

static void iterating_meets_each_once(void **state) {
  (void)state;
  fixture f;
  init(&f);
  for (size_t i = 0; i < NODES; i++) {
    assert_ok(add(&f, i));
  }
  bool seen[NODES] = {false};
  uint32_t slot = 0;
  size_t count = 0;
  kad__map_node *node = kad__map_next(&f.map, &slot, NULL);
  while (node != NULL) {
    kad__map_node *next = kad__map_next(&f.map, &slot, node);
    size_t i = kad__load32(node->key);
    assert_false(seen[i]);
    seen[i] = true;
    kad__map_remove(&f.map, node);
    node = next;
    count++;
  }
  assert_int_equal(count, NODES);
  check_all(&f, 0);
  fini(&f);
}

/* Growing may fail; only the first slots are needed. */
static void failing_allocations(void **state) {
  (void)state;
  fixture f;
  init(&f);
  f.t.fail_at = 1;
  assert_error(KAD_E_NO_MEMORY, add(&f, 0));
  check_all(&f, 0);
  for (size_t i = 0; i < NODES; i++) {
    f.t.fail_at = i == 0 ? 0 : f.t.calls + 1;
    assert_ok(add(&f, i));
  }
  assert_int_equal(f.map.slot_count, 8);
  check_all(&f, NODES);
  f.t.fail_at = 0;
  kad__map_remove(&f.map, &f.values[NODES - 1].node);
  assert_ok(add(&f, NODES - 1));
  assert_int_equal(f.map.slot_count, 16);
  check_all(&f, NODES);
  fini(&f);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(nothing_is_found_in_an_empty_map),
      cmocka_unit_test(what_is_added_is_found_until_removed),
      cmocka_unit_test(keys_of_every_length),
      cmocka_unit_test(iterating_meets_each_once),
      cmocka_unit_test(failing_allocations),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
