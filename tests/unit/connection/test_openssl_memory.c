/* OpenSSL has its own allocator. Each of its allocations fails in turn during
 * an upgrade: an error with a name, nothing leaked, nothing crashed. */
#include <openssl/crypto.h>

#include "connection/tls.h"
#include "ends.h"

/* Part of the sanitizers' runtime, when there is one. */
void __lsan_disable(void) __attribute__((weak));
void __lsan_enable(void) __attribute__((weak));

static struct counters {
  size_t calls;
  size_t fail_at; /* 0: never */
  size_t live;
} counters;

static bool fails(void) {
  return counters.fail_at != 0 && ++counters.calls == counters.fail_at;
}

static void *counted_alloc(size_t size, const char *file, int line) {
  (void)file;
  (void)line;
  void *memory = fails() ? NULL : malloc(size);
  counters.live += memory != NULL;
  return memory;
}

static void *counted_resize(void *memory, size_t size, const char *file,
                            int line) {
  (void)file;
  (void)line;
  void *moved = fails() ? NULL : realloc(memory, size);
  counters.live += moved != NULL && memory == NULL;
  return moved;
}

static void counted_free(void *memory, const char *file, int line) {
  (void)file;
  (void)line;
  counters.live -= memory != NULL;
  free(memory);
}

static void begin_failing(size_t fail_at) {
  counters.calls = 0;
  counters.fail_at = fail_at;
}

/* False when the allocation to fail was never reached. */
static bool end_failing(void) {
  bool reached = counters.calls >= counters.fail_at;
  counters.fail_at = 0;
  return reached;
}

/* The identity's check cannot tell a lack of memory from a forgery. */
static void check_named(int error) {
  assert_true(error == 0 || error == KAD_E_CRYPTO || error == KAD_E_NO_MEMORY ||
              error == KAD_E_SIGNATURE || error == KAD_E_TLS ||
              error == KAD_E_DECRYPT || error == KAD_E_CERTIFICATE ||
              error == KAD_E_CERTIFICATE_SIGNATURE || error == KAD_E_KEY_SIZE ||
              error == KAD_E_KEY_TYPE);
}

static void release(test_end *e) {
  kad__connection_free(e->c);
  e->c = NULL;
  assert_int_equal(e->memory.live, 0);
}

/* OpenSSL makes up for some failures; then both ends are established. */
static bool upgrade(test_end *a, test_end *b, size_t fail_at) {
  begin_failing(fail_at);
  int dial = test_end_connect(a, true, NULL, 1, 0);
  int listen = test_end_connect(b, false, NULL, 2, 0);
  if (dial == 0 && listen == 0) {
    test_ends_pump(a, b, NULL, 0);
  }
  bool reached = end_failing();
  check_named(dial);
  check_named(listen);
  check_named(a->error);
  check_named(b->error);
  bool well = dial == 0 && listen == 0 && a->error == 0 && b->error == 0;
  assert_true(!well || (kad__connection_established(a->c) &&
                        kad__connection_established(b->c)));
  assert_true(well || reached);
  release(a);
  release(b);
  return reached;
}

static void test_upgrade(void **state) {
  (void)state;
  test_end a;
  test_end b;
  test_end_init(&a, 1);
  test_end_init(&b, 2);
  /* Once without failure: OpenSSL keeps what it has looked up. */
  upgrade(&a, &b, SIZE_MAX);
  size_t live = counters.live;
  size_t fail_at = 1;
  while (upgrade(&a, &b, fail_at)) {
    assert_int_equal(counters.live, live);
    fail_at++;
  }
  assert_true(fail_at > 20);
  test_end_fini(&a);
  test_end_fini(&b);
}

/* The same with TLS, of whose many allocations every third does. */
static void test_tls_upgrade(void **state) {
  (void)state;
  test_end a;
  test_end b;
  test_end_init(&a, 1);
  test_end_init(&b, 2);
  a.protocols[0] = KAD__SECURITY_TLS;
  for (int i = 0; i < 3; i++) {
    upgrade(&a, &b, SIZE_MAX);
  }
  size_t live = counters.live;
  size_t fail_at = 1;
  while (upgrade(&a, &b, fail_at)) {
    /* Tables that OpenSSL keeps may grow, by a little and not each time. */
    assert_true(counters.live <= live + 16);
    fail_at += 3;
  }
  assert_true(fail_at > 1000);
  test_end_fini(&a);
  test_end_fini(&b);
}

static bool make_context(test_end *e, size_t fail_at) {
  kad_random random;
  kad__tls_context *context = NULL;
  kad_random_init_u64(&random, 1);
  begin_failing(fail_at);
  int result =
      kad__tls_context_new(&context, kad_allocator_default(), e->pair, &random);
  bool reached = end_failing();
  check_named(result);
  assert_true((result == 0) == (context != NULL));
  kad__tls_context_free(context);
  return reached;
}

/* Of its thousands of allocations, OpenSSL 3.0 loses a few itself when another
 * one fails while it sets up a library context: those are not looked for. */
static void test_tls_context(void **state) {
  (void)state;
  test_end e;
  test_end_init(&e, 1);
  make_context(&e, SIZE_MAX);
  size_t live = counters.live;
  make_context(&e, SIZE_MAX);
  assert_int_equal(counters.live, live);
  if (__lsan_disable != NULL) {
    __lsan_disable();
  }
  size_t fail_at = 1;
  while (make_context(&e, fail_at)) {
    fail_at += 37;
  }
  if (__lsan_enable != NULL) {
    __lsan_enable();
  }
  assert_true(fail_at > 1000);
  test_end_fini(&e);
}

static bool make_security(test_end *e, size_t fail_at) {
  kad_random random;
  kad__security *security = NULL;
  kad_random_init_u64(&random, 1);
  begin_failing(fail_at);
  int result =
      kad__security_new(&security, kad_allocator_default(), e->pair, &random);
  bool reached = end_failing();
  check_named(result);
  assert_true((result == 0) == (security != NULL));
  kad__security_free(security);
  return reached;
}

static void test_security(void **state) {
  (void)state;
  test_end e;
  test_end_init(&e, 1);
  size_t live = counters.live;
  size_t fail_at = 1;
  while (make_security(&e, fail_at)) {
    assert_int_equal(counters.live, live);
    fail_at++;
  }
  assert_true(fail_at > 20);
  test_end_fini(&e);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_upgrade),
      cmocka_unit_test(test_tls_upgrade),
      cmocka_unit_test(test_tls_context),
      cmocka_unit_test(test_security),
  };
  if (CRYPTO_set_mem_functions(counted_alloc, counted_resize, counted_free) !=
      1) {
    return 2;
  }
  return cmocka_run_group_tests(tests, NULL, NULL);
}
