/* What only a store on disk can do, or suffer: be opened again, be copied in
 * the middle of its life, be damaged. */
#include <sqlite3.h>
#include <unistd.h>

#include "places.h"

static int setup(void **state) {
  place *p = calloc(1, sizeof *p);
  place_init(p);
  *state = p;
  return 0;
}

static int teardown(void **state) {
  place_fini((place *)*state);
  free(*state);
  return 0;
}

static void close_store(kad__store *s) {
  s->ops->free(s);
}

static kad__sqlite_store_status status_of(const kad__store *s) {
  kad__sqlite_store_status status;
  kad__sqlite_store_status_get(s, &status);
  return status;
}

static size_t provider_count(kad__store *s, const char *key) {
  kad__provider list[32];
  return s->ops->providers(s, list, KAD__COUNT(list), text(key));
}

static void execute(const place *p, const char *sql) {
  sqlite3 *db;
  assert_int_equal(sqlite3_open(p->path, &db), SQLITE_OK);
  assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
  assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static int open_error(const place *p) {
  kad__store *s = NULL;
  int error = place_open_at(&s, p, PLACE_NOW, PLACE_UNIX);
  if (s != NULL) {
    close_store(s);
  }
  return error;
}

/* ---- again -------------------------------------------------------------- */

static void test_reopen(void **state) {
  place *p = (place *)*state;
  kad__store *s = place_open(p);
  assert_ok(put_text(s, "ours", "1", NULL));
  assert_ok(put_text(s, "theirs", "2", "peer"));
  assert_ok(provide_text(s, "k", "peer", false));
  assert_ok(provide_text(s, "k", "peer too", false));
  assert_ok(provide_text(s, "k", "me", true));
  kad__sqlite_store_status before = status_of(s);
  close_store(s);
  /* Half an hour later, after a restart of the machine. */
  assert_ok(place_open_at(&s, p, 5 * KAD_SECOND, PLACE_UNIX + KAD_HOUR / 2));
  kad__sqlite_store_status after = status_of(s);
  assert_int_equal(after.records, 1);
  assert_int_equal(after.own_records, 1);
  assert_int_equal(after.provided, 1);
  assert_int_equal(after.provider_keys, 1);
  assert_int_equal(after.bytes, before.bytes);
  assert_int_equal(after.provider_bytes, before.provider_bytes);
  kad__record r;
  kad__provider list[4];
  bool own;
  assert_true(s->ops->next(s, &r, &own, text("")));
  assert_bytes_equal(r.key, text("ours"));
  assert_true(own);
  assert_int_equal(r.expires, 5 * KAD_SECOND + KAD_HOUR / 2);
  assert_true(s->ops->next(s, &r, &own, r.key));
  assert_bytes_equal(r.value, text("2"));
  assert_bytes_equal(r.source, text("peer"));
  assert_false(own);
  assert_int_equal(s->ops->providers(s, list, 4, text("k")), 3);
  assert_bytes_equal(list[2].provider, text("me"));
  assert_true(s->ops->next_provided(s, &list[0], text("")));
  assert_int_equal(s->ops->deadline(s), 5 * KAD_SECOND + KAD_HOUR / 2);
  close_store(s);
}

static void test_time_across_runs(void **state) {
  place *p = (place *)*state;
  kad__record r = {.key = text("never"), .expires = KAD_TIME_NEVER};
  kad__store *s = place_open(p);
  assert_ok(s->ops->put(s, &r, true));
  /* Almost never is not never, but as far as the disk's clock reaches. */
  r = (kad__record){.key = text("late"), .expires = KAD_TIME_NEVER - 1};
  assert_ok(s->ops->put(s, &r, true));
  r = (kad__record){.key = text("past"), .expires = 1};
  assert_ok(s->ops->put(s, &r, true));
  assert_true(s->ops->get(s, &r, text("past")));
  assert_int_equal(r.expires, 1);
  close_store(s);
  assert_ok(place_open_at(&s, p, 0, PLACE_UNIX + KAD_HOUR));
  assert_true(s->ops->get(s, &r, text("never")));
  assert_true(r.expires == KAD_TIME_NEVER);
  assert_true(s->ops->get(s, &r, text("late")));
  assert_true(r.expires > 100 * 365 * 24 * KAD_HOUR);
  assert_true(r.expires < KAD_TIME_NEVER);
  assert_true(s->ops->get(s, &r, text("past")));
  assert_int_equal(r.expires, 0);
  s->ops->expire(s, 0);
  assert_false(s->ops->get(s, &r, text("past")));
  close_store(s);
}

/* Shares outlive the run too: who had most still makes way first. */
static void test_limits_after_reopening(void **state) {
  place *p = (place *)*state;
  kad__sqlite_store_config config;
  kad__record r;
  kad__store *s = place_open(p);
  char key[16];
  for (int i = 0; i < 8; i++) {
    (void)snprintf(key, sizeof key, "k%d", i);
    assert_ok(put_text(s, key, "x", i < 6 ? "greedy" : "modest"));
  }
  close_store(s);
  kad__sqlite_store_config_default(&config);
  config.limits.max_records = 8;
  assert_ok(kad__sqlite_store_new(&s, kad_allocator_default(), p->path, &config,
                                  PLACE_NOW, PLACE_UNIX));
  assert_error(KAD_E_STORE_FULL, put_text(s, "new", "x", "greedy"));
  assert_ok(put_text(s, "new", "x", "modest"));
  assert_false(s->ops->get(s, &r, text("k0")));
  close_store(s);
}

/* What a killed process leaves: the file and its log as they are. */
static void test_killed_at_any_time(void **state) {
  place *p = (place *)*state;
  place copy;
  char key[16];
  kad__store *s = place_open(p);
  for (int i = 0; i < 60; i++) {
    size_t len;
    size_t log_len;
    kad__store *other;
    (void)snprintf(key, sizeof key, "k%d", i);
    assert_ok(put_text(s, key, key, i % 2 == 0 ? NULL : "peer"));
    assert_ok(provide_text(s, key, "peer", false));
    uint8_t *data = place_read(p->path, &len);
    uint8_t *log = place_read(place_beside(p, "-wal"), &log_len);
    place_init(&copy);
    place_write(copy.path, data, len);
    place_write(place_beside(&copy, "-wal"), log, log_len);
    /* The last write may have been torn. */
    size_t torn = i % 3 == 0 ? 0 : log_len - (size_t)i * 7 % 4096 - 1;
    if (torn != 0) {
      place_write(place_beside(&copy, "-wal"), log, torn);
    }
    other = place_open(&copy);
    for (int j = 0; j < i + (torn == 0); j++) {
      (void)snprintf(key, sizeof key, "k%d", j);
      assert_value(other, key, key);
    }
    assert_int_equal(status_of(other).damaged, 0);
    close_store(other);
    place_fini(&copy);
    free(data);
    free(log);
  }
  close_store(s);
}

static void test_open_elsewhere(void **state) {
  place *p = (place *)*state;
  kad__store *s = place_open(p);
  assert_error(KAD_E_STATE, open_error(p));
  assert_ok(put_text(s, "a", "b", NULL));
  close_store(s);
  assert_ok(open_error(p));
}

static void test_arguments(void **state) {
  place *p = (place *)*state;
  kad__store *s = NULL;
  kad__sqlite_store_config config;
  kad__sqlite_store_config_default(&config);
  assert_error(KAD_E_INVALID_ARGUMENT, place_open_at(&s, p, 0, 0));
  assert_error(KAD_E_INVALID_ARGUMENT,
               kad__sqlite_store_new(&s, kad_allocator_default(), "", &config,
                                     PLACE_NOW, PLACE_UNIX));
  assert_error(KAD_E_IO,
               kad__sqlite_store_new(&s, kad_allocator_default(),
                                     place_beside(p, "/not/a/directory"),
                                     &config, PLACE_NOW, PLACE_UNIX));
  assert_null(s);
}

/* ---- not ours, or not whole --------------------------------------------- */

static void test_not_a_store(void **state) {
  place *p = (place *)*state;
  static const char letter[] = "Dear Sir or Madam, this is a letter.";
  place_write(p->path, (const uint8_t *)letter, sizeof letter);
  assert_error(KAD_E_STORE_CORRUPT, open_error(p));
  size_t len;
  uint8_t *data = place_read(p->path, &len);
  assert_bytes_equal(kad__bytes(data, len), kad__bytes(letter, sizeof letter));
  free(data);
  (void)unlink(p->path);
  execute(p, "CREATE TABLE records (id INTEGER PRIMARY KEY, name TEXT)");
  assert_error(KAD_E_STORE_CORRUPT, open_error(p));
  place_write(p->path, NULL, 0);
  assert_ok(open_error(p)); /* nothing in it: a new store */
}

static void test_a_newer_version(void **state) {
  place *p = (place *)*state;
  size_t len;
  size_t len_after;
  close_store(place_open(p));
  execute(p, "PRAGMA user_version = 3");
  uint8_t *before = place_read(p->path, &len);
  assert_error(KAD_E_STORE_VERSION, open_error(p));
  uint8_t *after = place_read(p->path, &len_after);
  assert_bytes_equal(kad__bytes(before, len), kad__bytes(after, len_after));
  free(before);
  free(after);
  execute(p, "PRAGMA user_version = 2");
  assert_ok(open_error(p));
}

/* Files from before records knew the network of their source. */
static void test_an_older_version(void **state) {
  place *p = (place *)*state;
  kad__store *s = place_open(p);
  assert_ok(put_text(s, "a", "theirs", "peer"));
  assert_ok(provide_text(s, "k", "peer", false));
  close_store(s);
  execute(p,
          "ALTER TABLE records DROP COLUMN network;"
          "ALTER TABLE providers DROP COLUMN network;"
          "PRAGMA user_version = 1");
  for (int i = 0; i < 2; i++) {
    s = place_open(p);
    assert_value(s, "a", "theirs");
    assert_int_equal(provider_count(s, "k"), 1 + (size_t)i);
    assert_int_equal(status_of(s).damaged, 0);
    assert_ok(put_text(s, "b", "new", "peer"));
    assert_ok(provide_text(s, "k", "another", false));
    close_store(s);
  }
}

static void test_other_tables(void **state) {
  place *p = (place *)*state;
  close_store(place_open(p));
  execute(p, "ALTER TABLE records RENAME COLUMN value TO worth");
  assert_error(KAD_E_STORE_CORRUPT, open_error(p));
}

static void test_set_aside(void **state) {
  place *p = (place *)*state;
  const kad_allocator *allocator = kad_allocator_default();
  size_t len;
  assert_error(KAD_E_IO, kad__sqlite_store_set_aside(allocator, p->path));
  for (int i = 0; i < 2; i++) {
    place_write(p->path, (const uint8_t *)"not a database", 14);
    place_write(place_beside(p, "-wal"), (const uint8_t *)"log", 3);
    assert_error(KAD_E_STORE_CORRUPT, open_error(p));
    assert_ok(kad__sqlite_store_set_aside(allocator, p->path));
    assert_int_not_equal(access(place_beside(p, "-wal"), F_OK), 0);
    uint8_t *kept = place_read(place_beside(p, ".corrupt"), &len);
    assert_int_equal(len, 14);
    free(kept);
    assert_ok(open_error(p));
  }
}

/* A record that the disk has changed is never served. */
static void test_a_damaged_record(void **state) {
  place *p = (place *)*state;
  kad__record r;
  kad__provider provider;
  bool own;
  kad__store *s = place_open(p);
  assert_ok(put_text(s, "a", "good", "peer"));
  assert_ok(put_text(s, "b", "good", NULL));
  assert_ok(put_text(s, "c", "good", "peer"));
  assert_ok(put_text(s, "d", "good", "peer"));
  assert_ok(provide_text(s, "k", "me", true));
  assert_ok(provide_text(s, "l", "me", true));
  assert_ok(provide_text(s, "k", "p", false));
  assert_ok(provide_text(s, "k", "q", false));
  close_store(s);
  execute(p,
          "UPDATE records SET value = x'666f6f' WHERE key IN (x'61', x'62');"
          "UPDATE records SET expires = expires + 1 WHERE key = x'64';"
          "UPDATE providers SET addresses = x'00'"
          " WHERE provider = x'70' OR (key = x'6b' AND own = 1)");
  s = place_open(p);
  assert_true(s->ops->next(s, &r, &own, text("")));
  assert_bytes_equal(r.key, text("c"));
  assert_false(s->ops->next(s, &r, &own, text("c")));
  assert_false(s->ops->get(s, &r, text("d")));
  assert_true(s->ops->next_provided(s, &provider, text("")));
  assert_bytes_equal(provider.key, text("l"));
  assert_int_equal(provider_count(s, "k"), 1);
  assert_int_equal(status_of(s).damaged, 5);
  assert_int_equal(status_of(s).records, 1);
  assert_int_equal(status_of(s).own_records, 0);
  assert_int_equal(status_of(s).provided, 1);
  assert_ok(put_text(s, "a", "good again", "peer"));
  assert_value(s, "a", "good again");
  close_store(s);
}

/* ---- damage anywhere ---------------------------------------------------- */

#define RECORDS 40

static void fill(const place *p) {
  char key[16];
  char value[512];
  kad__store *s = place_open(p);
  for (int i = 0; i < RECORDS; i++) {
    (void)snprintf(key, sizeof key, "key %d", i);
    memset(value, 'a' + i % 26, sizeof value - 1);
    value[sizeof value - 1] = '\0';
    assert_ok(put_text(s, key, value, i % 3 == 0 ? NULL : "peer"));
    assert_ok(provide_text(s, key, "provider", i % 2 == 0));
  }
  close_store(s);
}

/* Everything that comes out is what went in, and nothing breaks. */
static size_t use_damaged(kad__store *s) {
  kad__record r = {0};
  kad__provider list[8];
  char key[16];
  bool own;
  size_t found = 0;
  for (int i = 0; i < RECORDS; i++) {
    (void)snprintf(key, sizeof key, "key %d", i);
    if (s->ops->get(s, &r, text(key))) {
      assert_int_equal(r.value.len, 511);
      for (size_t j = 0; j < r.value.len; j++) {
        assert_int_equal(r.value.data[j], 'a' + i % 26);
      }
      assert_bytes_equal(r.publisher, text("publisher"));
      found++;
    }
    size_t n = s->ops->providers(s, list, 8, text(key));
    for (size_t j = 0; j < n; j++) {
      assert_bytes_equal(list[j].provider, text("provider"));
      assert_bytes_equal(list[j].addresses, text("addresses"));
    }
  }
  r.key = text("");
  for (int i = 0; i <= RECORDS && s->ops->next(s, &r, &own, r.key); i++) {
    assert_true(i < RECORDS);
  }
  (void)put_text(s, "new", "value", "peer");
  (void)provide_text(s, "new", "provider", false);
  s->ops->remove(s, text("key 7"));
  s->ops->expire(s, PLACE_NOW + 2 * KAD_HOUR);
  (void)s->ops->deadline(s);
  return found;
}

static void try_damaged(const place *p, const uint8_t *data, size_t len,
                        bool trust, size_t *refused, size_t *lost) {
  kad__sqlite_store_config config;
  kad__store *s = NULL;
  place_write(p->path, data, len);
  kad__sqlite_store_config_default(&config);
  config.trust_file = trust;
  int error = kad__sqlite_store_new(&s, kad_allocator_default(), p->path,
                                    &config, PLACE_NOW, PLACE_UNIX);
  if (error != 0) {
    assert_true(error == KAD_E_STORE_CORRUPT || error == KAD_E_STORE_VERSION ||
                error == KAD_E_IO || error == KAD_E_NO_MEMORY);
    *refused += 1;
  } else {
    *lost += use_damaged(s) < RECORDS;
    close_store(s);
  }
  (void)unlink(place_beside(p, "-wal"));
}

static void test_flipped_bytes(void **state) {
  place *p = (place *)*state;
  size_t len;
  size_t refused[2] = {0};
  size_t lost[2] = {0};
  int tries = 0;
  fill(p);
  uint8_t *data = place_read(p->path, &len);
  /* All of the header, and a step that meets every part of a page. */
  for (size_t i = 0; i < len; i += i < 100 ? 1 : 199) {
    int trust = tries++ % 2;
    data[i] ^= (uint8_t)(1u << i % 8);
    try_damaged(p, data, len, trust, &refused[trust], &lost[trust]);
    data[i] ^= (uint8_t)(1u << i % 8);
  }
  assert_true(refused[0] > 20 && refused[1] > 10);
  assert_true(lost[0] > 20 && lost[1] > 20);
  free(data);
}

static void test_overwritten_blocks(void **state) {
  place *p = (place *)*state;
  size_t len;
  size_t refused = 0;
  size_t lost = 0;
  fill(p);
  uint8_t *data = place_read(p->path, &len);
  uint8_t block[512];
  for (size_t i = 0; i + 512 <= len; i += 1536) {
    memcpy(block, data + i, 512);
    memset(data + i, (int)(i / 1536 % 3) * 0x7f, 512);
    try_damaged(p, data, len, i % 3072 == 0, &refused, &lost);
    memcpy(data + i, block, 512);
  }
  assert_true(refused + lost > len / 1536 / 4);
  free(data);
}

static void test_truncated(void **state) {
  place *p = (place *)*state;
  size_t len;
  size_t refused = 0;
  size_t lost = 0;
  size_t tried = 0;
  fill(p);
  uint8_t *data = place_read(p->path, &len);
  for (size_t i = 1; i < len; i += i < 120 ? 3 : 1531) {
    try_damaged(p, data, i, false, &refused, &lost);
    tried++;
  }
  /* The end of the last page may be all that is missing: a record at most. */
  assert_true(refused + lost == tried && refused + 3 >= tried);
  free(data);
}

/* ---- room --------------------------------------------------------------- */

static void test_a_full_file(void **state) {
  place *p = (place *)*state;
  kad__sqlite_store_config config;
  kad__store *s = NULL;
  static char value[4000];
  char key[16];
  int n = 0;
  int error = 0;
  memset(value, 'v', sizeof value - 1);
  kad__sqlite_store_config_default(&config);
  config.max_file = 200 * 1024;
  assert_ok(kad__sqlite_store_new(&s, kad_allocator_default(), p->path, &config,
                                  PLACE_NOW, PLACE_UNIX));
  for (; error == 0; n++) {
    (void)snprintf(key, sizeof key, "k%d", n);
    error = put_text(s, key, value, "peer");
    assert_true(n < 100);
  }
  assert_int_equal(error, KAD_E_STORE_FULL);
  assert_error(KAD_E_STORE_FULL, put_text(s, key, value, NULL));
  assert_true(n > 20);
  assert_int_equal(status_of(s).records, n - 1);
  for (int i = 0; i < n - 1; i++) {
    (void)snprintf(key, sizeof key, "k%d", i);
    assert_value(s, key, value);
  }
  assert_error(KAD_E_STORE_FULL, put_text(s, "last", value, "peer"));
  s->ops->remove(s, text("k0"));
  assert_ok(put_text(s, "last", value, "peer"));
  close_store(s);
  s = place_open(p);
  assert_int_equal(status_of(s).records, n - 1);
  assert_value(s, "last", value);
  close_store(s);
}

/* ---- our memory --------------------------------------------------------- */

static void test_opening_out_of_memory(void **state) {
  place *p = (place *)*state;
  kad__sqlite_store_config config;
  test_allocator a;
  kad__store *s = NULL;
  int error = KAD_E_NO_MEMORY;
  fill(p);
  kad__sqlite_store_config_default(&config);
  test_allocator_init(&a);
  size_t n;
  for (n = 1; error != 0; n++) {
    a.calls = 0;
    a.fail_at = n;
    error = kad__sqlite_store_new(&s, &a.allocator, p->path, &config, PLACE_NOW,
                                  PLACE_UNIX);
    assert_true(error == 0 || error == KAD_E_NO_MEMORY);
    assert_true(error == 0 || a.live == 0);
  }
  assert_true(n > 4);
  a.fail_at = 0;
  assert_int_equal(use_damaged(s), RECORDS);
  close_store(s);
  assert_int_equal(a.live, 0);
}

static void test_reading_out_of_memory(void **state) {
  place *p = (place *)*state;
  kad__sqlite_store_config config;
  test_allocator a;
  kad__store *s = NULL;
  kad__record r;
  kad__provider list[4];
  bool own;
  fill(p);
  kad__sqlite_store_config_default(&config);
  test_allocator_init(&a);
  assert_ok(kad__sqlite_store_new(&s, &a.allocator, p->path, &config, PLACE_NOW,
                                  PLACE_UNIX));
  a.fail_at = a.calls + 1;
  assert_false(s->ops->get(s, &r, text("key 1")));
  a.fail_at = a.calls + 1;
  assert_false(s->ops->next(s, &r, &own, text("")));
  a.fail_at = a.calls + 1;
  assert_int_equal(s->ops->providers(s, list, 4, text("key 1")), 0);
  a.fail_at = a.calls + 1;
  assert_false(s->ops->next_provided(s, list, text("")));
  assert_int_equal(status_of(s).last_error, KAD_E_NO_MEMORY);
  assert_int_equal(status_of(s).errors, 4);
  a.fail_at = 0;
  assert_int_equal(use_damaged(s), RECORDS);
  close_store(s);
  assert_int_equal(a.live, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(test_reopen),
      TEST(test_time_across_runs),
      TEST(test_limits_after_reopening),
      TEST(test_killed_at_any_time),
      TEST(test_open_elsewhere),
      TEST(test_arguments),
      TEST(test_not_a_store),
      TEST(test_a_newer_version),
      TEST(test_an_older_version),
      TEST(test_other_tables),
      TEST(test_set_aside),
      TEST(test_a_damaged_record),
      TEST(test_flipped_bytes),
      TEST(test_overwritten_blocks),
      TEST(test_truncated),
      TEST(test_a_full_file),
      TEST(test_opening_out_of_memory),
      TEST(test_reading_out_of_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
