/* What the tests share. Include this first: it brings cmocka in the order that
 * cmocka asks for. */
#ifndef KAD_TESTS_SUPPORT_H
#define KAD_TESTS_SUPPORT_H

/* cmocka.h wants others before it. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
/* clang-format on */

#include "base/bytes.h"
#include "kadmium/error.h"
#include "kadmium/random.h"
#include "kadmium/types.h"

/* The seed of a property test: KADMIUM_SEED from the environment, else one
 * that changes with every run. Printed, so that a failure can be repeated. */
uint64_t test_seed(const char *name);
/* How often a property is tried: `count` times KADMIUM_RUNS (default 1). */
size_t test_runs(size_t count);

/* Bytes of a hexadecimal literal; fails the test when it is malformed. The
 * memory lives until the program ends. */
kad_bytes test_hex(const char *text);

/* An allocator that fails at the `fail_at`-th allocation (counted from 1; 0 is
 * never) and counts what is still held. */
typedef struct test_allocator {
  kad_allocator allocator;
  size_t calls;
  size_t fail_at;
  size_t live; /* blocks not yet released */
  size_t live_bytes;
  size_t peak_bytes;
} test_allocator;

void test_allocator_init(test_allocator *t);

#define assert_bytes_equal(a, b)                     \
  do {                                               \
    kad_bytes a_ = (a), b_ = (b);                    \
    assert_int_equal(a_.len, b_.len);                \
    if (a_.len != 0) {                               \
      assert_memory_equal(a_.data, b_.data, a_.len); \
    }                                                \
  } while (0)

/* Fails with the error's name rather than its number. */
#define assert_ok(expression)                                   \
  do {                                                          \
    int result_ = (int)(expression);                            \
    if (result_ < 0) {                                          \
      fail_msg("%s: %s", #expression, kad_error_name(result_)); \
    }                                                           \
  } while (0)

#define assert_error(expected, expression)                                  \
  do {                                                                      \
    int result_ = (int)(expression);                                        \
    if (result_ != (expected)) {                                            \
      fail_msg("%s: %s, expected %s", #expression, kad_error_name(result_), \
               kad_error_name(expected));                                   \
    }                                                                       \
  } while (0)

#endif
