/* Stores that earlier versions have written (make.py), opened an hour later. */
#include "places.h"

/* about.json: when it was made, and who provides what. */
#define MADE_0_1 (UINT64_C(1795252580) * KAD_SECOND)

static kad__store *open_copy(place *p, const char *file, uint64_t made) {
  size_t len = 0;
  uint8_t *bytes = place_read(file, &len);
  assert_non_null(bytes);
  place_init(p);
  place_write(p->path, bytes, len);
  free(bytes);
  kad__store *s = NULL;
  assert_ok(place_open_at(&s, p, PLACE_NOW, made + KAD_HOUR));
  return s;
}

static void check_provider(kad__store *s, uint8_t fill) {
  uint8_t key[34] = {0x12, 0x20};
  kad__provider list[4];
  memset(key + 2, fill, 32);
  assert_int_equal(
      s->ops->providers(s, list, KAD__COUNT(list), kad__bytes(key, 34)), 1);
}

static void test_0_1(void **state) {
  (void)state;
  place p;
  kad__store *s = open_copy(&p, FILES "/0.1/store", MADE_0_1);
  assert_value(s, "own", "written by this node");
  assert_value(s, "other", "written by another");
  check_provider(s, 0x0a);
  check_provider(s, 0x0b);
  kad__sqlite_store_status status;
  kad__sqlite_store_status_get(s, &status);
  assert_int_equal(status.records, 1);
  assert_int_equal(status.own_records, 1);
  assert_int_equal(status.provided, 1);
  assert_int_equal(status.damaged, 0);
  s->ops->free(s);
  place_fini(&p);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_0_1)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
