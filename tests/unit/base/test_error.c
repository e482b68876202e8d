#include "support.h"

typedef struct entry {
  const char *name;
  int number;
  const char *text;
} entry;

static const entry entries[] = {
#define ENTRY(name, number, text) {#name, number, text},
    KAD_ERROR_MAP(ENTRY)
#undef ENTRY
};

static void numbers_and_names_are_unique(void **state) {
  (void)state;
  for (size_t i = 0; i < KAD__COUNT(entries); i++) {
    for (size_t j = 0; j < i; j++) {
      assert_int_not_equal(entries[i].number, entries[j].number);
      assert_string_not_equal(entries[i].name, entries[j].name);
      assert_string_not_equal(entries[i].text, entries[j].text);
    }
  }
}

/* The numbers are the ABI: a new error goes to the end. */
static void numbers_have_no_holes(void **state) {
  (void)state;
  for (size_t i = 0; i < KAD__COUNT(entries); i++) {
    assert_int_equal(entries[i].number, -(int)i - 1);
  }
  assert_int_equal(KAD_E_NO_MEMORY, -1);
  assert_int_equal(KAD_E_WORLD, -53);
}

static void each_has_its_text_and_name(void **state) {
  (void)state;
  for (size_t i = 0; i < KAD__COUNT(entries); i++) {
    assert_string_equal(kad_strerror(entries[i].number), entries[i].text);
    assert_string_equal(kad_error_name(entries[i].number), entries[i].name);
  }
}

static void other_numbers_have_a_text_too(void **state) {
  (void)state;
  assert_string_equal(kad_strerror(0), "success");
  assert_string_equal(kad_strerror(17), "success");
  assert_string_equal(kad_strerror(-100000), "unknown error");
  assert_string_equal(kad_strerror(INT32_MIN), "unknown error");
  assert_string_equal(kad_error_name(0), "OK");
  assert_string_equal(kad_error_name(-100000), "UNKNOWN");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(numbers_and_names_are_unique),
      cmocka_unit_test(numbers_have_no_holes),
      cmocka_unit_test(each_has_its_text_and_name),
      cmocka_unit_test(other_numbers_have_a_text_too),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
