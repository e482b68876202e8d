/* Opening a store: nothing is written to a file before it is known to be one of
 * ours, of a version that we know, and whole. */
#include <stdio.h>

#include "store/sqlite_internal.h"

#define APPLICATION_ID 0x4b61646d /* "Kadm", in the file's header */
#define SCHEMA_VERSION 2
/* Pages of the log (of 4 KiB) from which they are moved into the file. */
#define LOG_PAGES 1000
/* Bytes of the log that are kept for reuse. */
#define LOG_KEPT "8388608"

#define TEXT_OF(number) #number
#define TEXT(number) TEXT_OF(number)

/* Indexes with a condition hold only what is looked for in them. A provider
 * record that is renewed keeps its id, and so its place in the list of its key;
 * which is the oldest of a source, its expiry tells. */
static const char schema[] =
    "BEGIN IMMEDIATE;"
    "CREATE TABLE records (id INTEGER PRIMARY KEY, own INTEGER NOT NULL,"
    " expires INTEGER NOT NULL, sum INTEGER NOT NULL,"
    " network INTEGER NOT NULL DEFAULT 0, key BLOB NOT NULL UNIQUE, publisher BLOB NOT NULL,"
    " source BLOB NOT NULL, value BLOB NOT NULL);"
    "CREATE INDEX records_expires ON records (expires);"
    "CREATE INDEX records_source ON records (source) WHERE own = 0;"
    "CREATE TABLE providers (id INTEGER PRIMARY KEY, own INTEGER NOT NULL,"
    " expires INTEGER NOT NULL, sum INTEGER NOT NULL,"
    " network INTEGER NOT NULL DEFAULT 0,"
    " key BLOB NOT NULL, provider BLOB NOT NULL, addresses BLOB NOT NULL,"
    " UNIQUE (key, provider));"
    "CREATE INDEX providers_expires ON providers (expires);"
    "CREATE INDEX providers_provider ON providers (provider, expires)"
    " WHERE own = 0;"
    "CREATE INDEX providers_own ON providers (key) WHERE own = 1;"
    "PRAGMA application_id = " TEXT(APPLICATION_ID) ";"
    "PRAGMA user_version = " TEXT(SCHEMA_VERSION) ";"
    "COMMIT;";

/* Version 1 knew no networks of peers. */
static const char upgrade[] =
    "BEGIN IMMEDIATE;"
    "ALTER TABLE records ADD COLUMN network INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE providers ADD COLUMN network INTEGER NOT NULL DEFAULT 0;"
    "PRAGMA user_version = " TEXT(SCHEMA_VERSION) ";"
    "COMMIT;";

static const char *const texts[KAD__SQL_COUNT] = {
#define STATEMENT_TEXT(name, text) text,
    KAD__SQL_MAP(STATEMENT_TEXT)
#undef STATEMENT_TEXT
};

static int execute(kad__sqlite_store *m, const char *text) {
  return kad__sql_error(sqlite3_exec(m->db, text, NULL, NULL, NULL));
}

/* A statement that is run once: its first row, still open. NULL, with the
 * error in `*error`, when there is none. */
static sqlite3_stmt *query(kad__sqlite_store *m, int *error, const char *text) {
  sqlite3_stmt *s = NULL;
  int result = sqlite3_prepare_v2(m->db, text, -1, &s, NULL);
  if (result == SQLITE_OK) {
    result = sqlite3_step(s);
  }
  if (result == SQLITE_ROW) {
    *error = 0;
    return s;
  }
  (void)sqlite3_finalize(s);
  *error = result == SQLITE_DONE ? KAD_E_STORE_CORRUPT : kad__sql_error(result);
  return NULL;
}

static int query_number(kad__sqlite_store *m, int64_t *out, const char *text) {
  int error;
  sqlite3_stmt *s = query(m, &error, text);
  if (s != NULL) {
    *out = sqlite3_column_int64(s, 0);
    (void)sqlite3_finalize(s);
  }
  return error;
}

static int query_expect(kad__sqlite_store *m, const char *text,
                        const char *expected, int otherwise) {
  int error;
  sqlite3_stmt *s = query(m, &error, text);
  if (s == NULL) {
    return error;
  }
  const char *got = (const char *)sqlite3_column_text(s, 0);
  error = got != NULL && strcmp(got, expected) == 0 ? 0 : otherwise;
  (void)sqlite3_finalize(s);
  return error;
}

/* Moves the log into the file as SQLite would by itself, but looks at the
 * result: what could not be synchronised must not be taken for written. */
static int on_commit(void *user, sqlite3 *db, const char *name, int pages) {
  kad__sqlite_store *m = (kad__sqlite_store *)user;
  if (pages < LOG_PAGES) {
    return SQLITE_OK;
  }
  int result = sqlite3_wal_checkpoint_v2(db, name, SQLITE_CHECKPOINT_PASSIVE,
                                         NULL, NULL);
  if (result != SQLITE_OK && (result & 0xff) != SQLITE_BUSY) {
    (void)kad__sql_failed(m, result);
  }
  return SQLITE_OK;
}

/* 1: a new file; 0: ours, of `*old` or of our version. */
static int recognise(kad__sqlite_store *m, int64_t *old) {
  int64_t version = 0;
  int64_t application = 0;
  int64_t tables = 0;
  int error = query_number(m, &version, "PRAGMA user_version");
  error = error != 0 ? error
                     : query_number(m, &application, "PRAGMA application_id");
  error = error != 0
              ? error
              : query_number(m, &tables, "SELECT count(*) FROM sqlite_schema");
  if (error != 0) {
    return error;
  }
  if (version == 0 && application == 0 && tables == 0) {
    return 1;
  }
  if (application != APPLICATION_ID || version < 1) {
    return KAD_E_STORE_CORRUPT;
  }
  *old = version;
  return version > SCHEMA_VERSION ? KAD_E_STORE_VERSION : 0;
}

static int configure(kad__sqlite_store *m) {
  char text[96];
  int64_t page_size = 0;
  int error = query_expect(m, "PRAGMA journal_mode = WAL", "wal", KAD_E_IO);
  error = error != 0 ? error
                     : execute(m,
                               "PRAGMA synchronous = NORMAL;"
                               "PRAGMA temp_store = MEMORY;"
                               "PRAGMA journal_size_limit = " LOG_KEPT);
  if (error == 0) {
    (void)snprintf(text, sizeof text, "PRAGMA cache_size = -%u",
                   (unsigned)(m->config.cache_size / 1024 + 1));
    error = execute(m, text);
  }
  if (error == 0 && m->config.max_file > 0) {
    error = query_number(m, &page_size, "PRAGMA page_size");
    page_size = page_size > 0 ? page_size : 4096;
    unsigned long long pages = m->config.max_file / (uint64_t)page_size + 1;
    (void)snprintf(text, sizeof text, "PRAGMA max_page_count = %llu", pages);
    error = error != 0 ? error : execute(m, text);
  }
  (void)sqlite3_wal_hook(m->db, on_commit, m);
  return error;
}

static int open_file(kad__sqlite_store *m, const char *path) {
  int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX |
              SQLITE_OPEN_PRIVATECACHE | SQLITE_OPEN_EXRESCODE;
  int result = sqlite3_open_v2(path, &m->db, flags, NULL);
  if (result != SQLITE_OK) {
    return kad__sql_error(result);
  }
  (void)sqlite3_db_config(m->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
  (void)sqlite3_db_config(m->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
  return execute(m,
                 "PRAGMA locking_mode = EXCLUSIVE;"
                 "PRAGMA cell_size_check = ON");
}

static int prepare(kad__sqlite_store *m) {
  for (size_t i = 0; i < KAD__SQL_COUNT; i++) {
    int result =
        sqlite3_prepare_v3(m->db, texts[i], -1, SQLITE_PREPARE_PERSISTENT,
                           &m->statements[i], NULL);
    if (result != SQLITE_OK) {
      return kad__sql_error(result);
    }
  }
  return 0;
}

/* ---- the books ---------------------------------------------------------- */

/* The books are kept row by row, and keys counted in the order of their index:
 * grouping or sorting would take memory for every record there is. */

/* Rows of (own, source, bytes, network). */
typedef void (*count_row)(kad__sqlite_store *m, bool own, uint64_t bytes);

static void count_value(kad__sqlite_store *m, bool own, uint64_t bytes) {
  m->status.own_records += own;
  m->status.records += !own;
  m->status.bytes += own ? 0 : bytes + KAD__SQL_OVERHEAD;
}

static void count_provider(kad__sqlite_store *m, bool own, uint64_t bytes) {
  m->status.provided += own;
  m->status.provider_bytes += own ? 0 : bytes + KAD__SQL_OVERHEAD;
}

static int count_all(kad__sqlite_store *m, kad__shares *shares, count_row add,
                     const char *text) {
  sqlite3_stmt *s = NULL;
  int error = 0;
  int result = sqlite3_prepare_v2(m->db, text, -1, &s, NULL);
  while (error == 0 && result == SQLITE_OK &&
         (result = sqlite3_step(s)) == SQLITE_ROW) {
    bool own = sqlite3_column_int(s, 0) != 0;
    uint64_t network = (uint64_t)sqlite3_column_int64(s, 3);
    kad__share *share;
    add(m, own, (uint64_t)sqlite3_column_int64(s, 2));
    error = own ? 0
                : kad__shares_charge(shares, &share, kad__sql_column(s, 1),
                                     network);
    result = SQLITE_OK;
  }
  (void)sqlite3_finalize(s);
  return error != 0 ? error : kad__sql_error(result);
}

/* Keys that others provide: all, but for those that we alone provide. */
static int count_keys(kad__sqlite_store *m) {
  int64_t all = 0;
  int64_t ours = 0;
  int error = query_number(
      m, &all, "SELECT count(*) FROM (SELECT DISTINCT key FROM providers)");
  error = error != 0
              ? error
              : query_number(m, &ours,
                             "SELECT count(DISTINCT key) FROM providers AS p"
                             " WHERE own = 1 AND NOT EXISTS (SELECT 1"
                             " FROM providers WHERE key = p.key AND own = 0)");
  m->status.provider_keys = all > ours ? (uint32_t)(all - ours) : 0;
  return error;
}

static int count_records(kad__sqlite_store *m) {
  int64_t value = KAD__SQL_NEVER;
  int64_t provider = KAD__SQL_NEVER;
  int error = count_all(m, &m->value_shares, count_value,
                        "SELECT own, source, length(key) + length(value) +"
                        " length(publisher) + length(source), network"
                        " FROM records");
  error = error != 0 ? error
                     : count_all(m, &m->provider_shares, count_provider,
                                 "SELECT own, provider, length(key) +"
                                 " length(provider) + length(addresses),"
                                 " network FROM providers");
  error = error != 0 ? error : count_keys(m);
  error =
      error != 0 ? error : kad__sql_number(m, KAD__SQL_VALUE_SOONEST, &value);
  error = error != 0 ? error
                     : kad__sql_number(m, KAD__SQL_PROVIDER_SOONEST, &provider);
  m->soonest = value < provider ? value : provider;
  return error;
}

/* ---- opening ------------------------------------------------------------ */

static int open_store(kad__sqlite_store *m, const char *path) {
  int error = open_file(m, path);
  int64_t version = SCHEMA_VERSION;
  int fresh = error != 0 ? error : recognise(m, &version);
  if (fresh < 0) {
    return fresh;
  }
  if (fresh == 0 && !m->config.trust_file) {
    error = query_expect(m, "PRAGMA quick_check(1)", "ok", KAD_E_STORE_CORRUPT);
  }
  error = error != 0 ? error : configure(m);
  if (error == 0 && fresh == 1) {
    error = execute(m, schema);
  }
  if (error == 0 && version < SCHEMA_VERSION) {
    error = execute(m, upgrade);
  }
  error = error != 0 ? error : prepare(m);
  return error != 0 ? error : count_records(m);
}

int kad__sqlite_store_new(kad__store **out, const kad_allocator *allocator,
                          const char *path,
                          const kad__sqlite_store_config *config, kad_time now,
                          uint64_t unix_ns) {
  if (path == NULL || path[0] == '\0' || unix_ns == 0 ||
      unix_ns >= (uint64_t)INT64_MAX) {
    return KAD_E_INVALID_ARGUMENT;
  }
  kad__sqlite_store *m = kad__calloc(allocator, 1, sizeof *m);
  if (m == NULL) {
    return KAD_E_NO_MEMORY;
  }
  m->store.ops = &kad__sqlite_class;
  m->allocator = *allocator;
  m->config = *config;
  m->now = now;
  m->unix_ns = (int64_t)unix_ns;
  kad__shares_init(&m->value_shares, &m->allocator, config->secret);
  kad__shares_init(&m->provider_shares, &m->allocator, config->secret);
  int error = open_store(m, path);
  if (error != 0) {
    m->store.ops->free(&m->store);
    return error;
  }
  *out = &m->store;
  return 0;
}

/* ---- setting aside ------------------------------------------------------ */

int kad__sqlite_store_set_aside(const kad_allocator *allocator,
                                const char *path) {
  static const char *const tails[] = {"-wal", "-shm", ""};
  size_t len = strlen(path);
  size_t cap = 2 * len + 64;
  char *names = kad__alloc(allocator, cap);
  int error = 0;
  if (names == NULL) {
    return KAD_E_NO_MEMORY;
  }
  for (size_t i = 0; i < KAD__COUNT(tails); i++) {
    char *from = names;
    char *to = names + len + 8;
    (void)snprintf(from, len + 8, "%s%s", path, tails[i]);
    (void)snprintf(to, cap - len - 8, "%s.corrupt%s", path, tails[i]);
    /* An older log would be replayed into the file that takes its place. */
    (void)remove(to);
    bool main_file = tails[i][0] == '\0';
    if (rename(from, to) != 0 && main_file) {
      error = KAD_E_IO;
    }
  }
  kad__release(allocator, names);
  return error;
}
