/* A disk that is full, that errs, that cannot say whether it has written, that
 * is taken away. */
#define _XOPEN_SOURCE 700 /* setrlimit(2) */
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include "faulty_disk.h"
#include "places.h"

static int setup(void **state) {
  place *p = calloc(1, sizeof *p);
  faulty_disk_reset();
  place_init(p);
  *state = p;
  return 0;
}

static int teardown(void **state) {
  faulty_disk_reset();
  place_fini((place *)*state);
  free(*state);
  return 0;
}

static kad__sqlite_store_status status_of(const kad__store *s) {
  kad__sqlite_store_status status;
  kad__sqlite_store_status_get(s, &status);
  return status;
}

static char *long_value(void) {
  static char value[3000];
  memset(value, 'v', sizeof value - 1);
  return value;
}

/* As many values as `error` lets through; returns how many. */
static int put_until(kad__store *s, int *error, const char *name, int max) {
  char key[32];
  for (int i = 0; i < max; i++) {
    (void)snprintf(key, sizeof key, "%s %d", name, i);
    *error = put_text(s, key, long_value(), "peer");
    if (*error != 0) {
      return i;
    }
  }
  return max;
}

static void assert_all(kad__store *s, const char *name, int count) {
  char key[32];
  for (int i = 0; i < count; i++) {
    (void)snprintf(key, sizeof key, "%s %d", name, i);
    assert_value(s, key, long_value());
  }
}

static void test_a_full_disk(void **state) {
  place *p = (place *)*state;
  int error;
  kad__store *s = place_open(p);
  assert_int_equal(put_until(s, &error, "before", 50), 50);
  disk.full = true;
  assert_int_equal(put_until(s, &error, "during", 50), 0);
  assert_int_equal(error, KAD_E_STORE_FULL);
  assert_error(KAD_E_STORE_FULL, provide_text(s, "k", "p", false));
  assert_int_equal(status_of(s).records, 50);
  assert_int_equal(status_of(s).provider_keys, 0);
  assert_all(s, "before", 50);
  disk.full = false;
  assert_int_equal(put_until(s, &error, "after", 50), 50);
  assert_ok(provide_text(s, "k", "p", false));
  s->ops->free(s);
  s = place_open(p);
  assert_all(s, "before", 50);
  assert_all(s, "after", 50);
  assert_int_equal(status_of(s).records, 100);
  s->ops->free(s);
}

/* Whichever operation fails, once or for good: a named error, what was
 * acknowledged is there afterwards, and the books agree with the disk. */
static void test_errors_anywhere(void **state) {
  place *p = (place *)*state;
  size_t failed = 0;
  for (size_t at = 1; at < 240; at += at < 40 ? 1 : 11) {
    kad__store *s = place_open(p);
    int error = 0;
    disk.operations = 0;
    disk.fail_at = at;
    disk.only_once = at % 2 == 0;
    int n = put_until(s, &error, "x", 20);
    int provided = error == 0 ? provide_text(s, "k", "p", false) : -1;
    if (error != 0) {
      assert_true(error == KAD_E_IO || error == KAD_E_STORE_FULL);
      failed++;
    }
    assert_int_equal(status_of(s).records, n);
    faulty_disk_reset();
    assert_all(s, "x", n);
    s->ops->free(s);
    s = place_open(p);
    assert_all(s, "x", n);
    assert_true(status_of(s).provider_keys == (provided == 0));
    s->ops->free(s);
    place_fini(p);
    place_init(p);
  }
  assert_true(failed > 10);
}

static void test_opening_on_a_bad_disk(void **state) {
  place *p = (place *)*state;
  size_t failed = 0;
  int error;
  kad__store *s = place_open(p);
  assert_int_equal(put_until(s, &error, "x", 20), 20);
  s->ops->free(s);
  for (size_t at = 1; at < 60; at++) {
    s = NULL;
    disk.operations = 0;
    disk.fail_at = at;
    error = place_open_at(&s, p, PLACE_NOW, PLACE_UNIX);
    faulty_disk_reset();
    if (error == 0) {
      s->ops->free(s);
      continue;
    }
    assert_true(error == KAD_E_IO || error == KAD_E_STORE_CORRUPT);
    failed++;
  }
  assert_true(failed > 5);
  s = place_open(p);
  assert_all(s, "x", 20);
  s->ops->free(s);
}

/* After a failed fsync nobody knows what is on the disk: trying again would
 * only seem to succeed. */
static void test_a_failed_sync_is_final(void **state) {
  place *p = (place *)*state;
  int error = 0;
  kad__store *s = place_open(p);
  int before = put_until(s, &error, "before", 5);
  disk.syncs_fail = true;
  int n = put_until(s, &error, "x", 2000);
  assert_true(n < 2000);
  assert_int_equal(error, KAD_E_IO);
  assert_true(disk.syncs > 0);
  disk.syncs_fail = false;
  assert_error(KAD_E_IO, put_text(s, "more", "m", "peer"));
  assert_error(KAD_E_IO, provide_text(s, "more", "m", true));
  s->ops->remove(s, text("before 0"));
  s->ops->expire(s, PLACE_NOW + 2 * KAD_HOUR);
  assert_true(s->ops->deadline(s) > PLACE_NOW + 2 * KAD_HOUR);
  assert_all(s, "before", before);
  assert_all(s, "x", n);
  s->ops->free(s);
}

/* A sweep that fails half-way has dropped nothing, and the books know it. */
static void test_a_sweep_that_fails(void **state) {
  place *p = (place *)*state;
  kad_time late = PLACE_NOW + 2 * KAD_HOUR;
  size_t failed = 0;
  for (size_t at = 1; at < 60; at += 2) {
    int error;
    char key[16];
    kad__store *s = place_open(p);
    assert_int_equal(put_until(s, &error, "x", 30), 30);
    for (int i = 0; i < 30; i++) {
      (void)snprintf(key, sizeof key, "k%d", i);
      assert_ok(provide_text(s, key, "p", i % 3 == 0));
    }
    disk.operations = 0;
    disk.fail_at = at;
    disk.only_once = at % 4 == 1;
    s->ops->expire(s, late);
    faulty_disk_reset();
    bool all = status_of(s).records == 30;
    failed += all;
    assert_int_equal(status_of(s).records, all ? 30 : 0);
    assert_int_equal(status_of(s).provider_keys, all ? 20 : 0);
    assert_int_equal(status_of(s).provided, all ? 10 : 0);
    assert_true(s->ops->deadline(s) > late);
    if (all) {
      assert_all(s, "x", 30);
    }
    /* It goes on as if nothing had been. */
    assert_int_equal(put_until(s, &error, "y", 5), 5);
    s->ops->expire(s, late);
    assert_int_equal(status_of(s).records, 0);
    assert_int_equal(status_of(s).bytes, 0);
    assert_int_equal(status_of(s).provider_bytes, 0);
    s->ops->free(s);
    s = place_open(p);
    assert_int_equal(status_of(s).records + status_of(s).provided, 0);
    assert_int_equal(status_of(s).provider_keys, 0);
    s->ops->free(s);
    place_fini(p);
    place_init(p);
  }
  assert_true(failed > 3);
}

/* Mounted anew for reading only, while it is open, and for writing again. */
static void test_read_only_while_open(void **state) {
  place *p = (place *)*state;
  int error;
  kad__store *s = place_open(p);
  assert_int_equal(put_until(s, &error, "before", 30), 30);
  disk.read_only = true;
  assert_int_equal(put_until(s, &error, "during", 30), 0);
  assert_int_equal(error, KAD_E_IO);
  assert_error(KAD_E_IO, provide_text(s, "k", "p", true));
  s->ops->remove(s, text("before 0"));
  s->ops->expire(s, PLACE_NOW + 2 * KAD_HOUR);
  assert_all(s, "before", 30);
  disk.read_only = false;
  assert_int_equal(put_until(s, &error, "after", 30), 30);
  /* Closing on such a disk loses nothing either. */
  disk.read_only = true;
  s->ops->free(s);
  disk.read_only = false;
  s = place_open(p);
  assert_all(s, "before", 30);
  assert_all(s, "after", 30);
  assert_int_equal(status_of(s).records, 60);
  s->ops->free(s);
}

/* The kernel lets no file grow beyond a number of bytes. */
static void test_a_quota(void **state) {
  place *p = (place *)*state;
  struct rlimit old;
  int error = 0;
  kad__store *s = place_open(p);
  assert_int_equal(put_until(s, &error, "before", 30), 30);
  assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
  struct rlimit limit = {.rlim_cur = 1500000, .rlim_max = old.rlim_max};
  void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
  int during = put_until(s, &error, "during", 1000);
  int again = put_text(s, "again", long_value(), "peer");
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
  (void)signal(SIGXFSZ, handler);
  assert_true(during > 0 && during < 1000);
  assert_true(error == KAD_E_IO || error == KAD_E_STORE_FULL);
  assert_true(again == KAD_E_IO || again == KAD_E_STORE_FULL);
  assert_all(s, "before", 30);
  assert_all(s, "during", during);
  int after = put_until(s, &error, "after", 30);
  assert_int_equal(after, 30);
  s->ops->free(s);
  s = place_open(p);
  assert_all(s, "before", 30);
  assert_all(s, "during", during);
  assert_all(s, "after", 30);
  s->ops->free(s);
}

/* Its files, and the directory, are removed while it is open: it goes on in
 * what it still holds, and ends cleanly; then there is nothing to be opened. */
static void test_directory_gone(void **state) {
  place *p = (place *)*state;
  int error = 0;
  kad__store *s = place_open(p);
  assert_int_equal(put_until(s, &error, "before", 30), 30);
  place_fini(p);
  /* Enough for the log to be moved into the file. */
  int n = put_until(s, &error, "during", 900);
  assert_true(n == 900 || error == KAD_E_IO);
  assert_all(s, "before", 30);
  assert_all(s, "during", n);
  s->ops->remove(s, text("before 0"));
  s->ops->expire(s, PLACE_NOW + 2 * KAD_HOUR);
  s->ops->free(s);
  assert_error(KAD_E_IO, place_open_at(&s, p, PLACE_NOW, PLACE_UNIX));
  place_init(p);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(test_a_full_disk),
      TEST(test_errors_anywhere),
      TEST(test_opening_on_a_bad_disk),
      TEST(test_a_failed_sync_is_final),
      TEST(test_a_sweep_that_fails),
      TEST(test_read_only_while_open),
      TEST(test_a_quota),
      TEST(test_directory_gone),
  };
  faulty_disk_install();
  return cmocka_run_group_tests(tests, NULL, NULL);
}
