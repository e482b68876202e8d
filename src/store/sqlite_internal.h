/* What the parts of the SQLite store share: sqlite_open.c opens and checks,
 * sqlite_statement.c runs statements, sqlite_store.c keeps values and
 * sqlite_providers.c providers. */
#ifndef KAD_STORE_SQLITE_INTERNAL_H
#define KAD_STORE_SQLITE_INTERNAL_H

#include <sqlite3.h>

#include "base/alloc.h"
#include "base/bytes.h"
#include "kademlia/shares.h"
#include "store/sqlite_store.h"

/* What a record costs beside its bytes: three index entries and headers. */
#define KAD__SQL_OVERHEAD 128
#define KAD__SQL_NEVER INT64_MAX

/* The columns of a whole record, and of what the books are kept with. */
#define KAD__SQL_VALUE \
  "id, own, expires, sum, key, value, publisher, source FROM records"
#define KAD__SQL_PROVIDER \
  "id, own, expires, sum, key, provider, addresses FROM providers"
#define KAD__SQL_VALUE_META                                     \
  "id, own, length(key) + length(value) + length(publisher) + " \
  "length(source), source FROM records"
#define KAD__SQL_PROVIDER_META                                              \
  "id, own, length(key) + length(provider) + length(addresses), provider, " \
  "key FROM providers"

/* clang-format off */
#define KAD__SQL_MAP(X)                                                        \
  X(BEGIN, "BEGIN IMMEDIATE")                                                  \
  X(COMMIT, "COMMIT")                                                          \
  X(ROLLBACK, "ROLLBACK")                                                      \
  X(VALUE_GET, "SELECT " KAD__SQL_VALUE " WHERE key = ?1")                     \
  X(VALUE_NEXT, "SELECT " KAD__SQL_VALUE                                       \
    " WHERE key > ?1 ORDER BY key LIMIT 1")                                    \
  X(VALUE_FIND, "SELECT " KAD__SQL_VALUE_META " WHERE key = ?1")               \
  X(VALUE_BY_ID, "SELECT " KAD__SQL_VALUE_META " WHERE id = ?1")               \
  X(VALUE_OLDEST, "SELECT " KAD__SQL_VALUE_META                                \
    " WHERE source = ?1 AND own = 0 ORDER BY id LIMIT 1")                      \
  X(VALUE_DUE, "SELECT " KAD__SQL_VALUE_META                                   \
    " WHERE expires <= ?1 ORDER BY expires LIMIT 1")                           \
  X(VALUE_PUT, "INSERT OR REPLACE INTO records"                                \
    "(own, expires, sum, key, value, publisher, source, network)"              \
    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")                                    \
  X(VALUE_DROP, "DELETE FROM records WHERE id = ?1")                           \
  X(VALUE_SOONEST, "SELECT min(expires) FROM records")                         \
  X(PROVIDER_LIST, "SELECT " KAD__SQL_PROVIDER                                 \
    " WHERE key = ?1 ORDER BY id LIMIT ?2 OFFSET ?3")                          \
  X(PROVIDER_NEXT_OWN, "SELECT " KAD__SQL_PROVIDER                             \
    " WHERE own = 1 AND key > ?1 ORDER BY key LIMIT 1")                        \
  X(PROVIDER_FIND, "SELECT " KAD__SQL_PROVIDER_META                            \
    " WHERE key = ?1 AND provider = ?2")                                       \
  X(PROVIDER_BY_ID, "SELECT " KAD__SQL_PROVIDER_META " WHERE id = ?1")         \
  X(PROVIDER_OLDEST, "SELECT " KAD__SQL_PROVIDER_META                          \
    " WHERE provider = ?1 AND own = 0 ORDER BY expires LIMIT 1")                    \
  X(PROVIDER_DUE, "SELECT " KAD__SQL_PROVIDER_META                             \
    " WHERE expires <= ?1 ORDER BY expires LIMIT 1")                           \
  X(PROVIDER_COUNT, "SELECT count(*), (SELECT count(*) FROM providers"         \
    " WHERE own = 1 AND key = ?1) FROM providers WHERE key = ?1")              \
  X(PROVIDER_SHARED, "SELECT 1 FROM providers"                                 \
    " WHERE key = ?1 AND own = 0 AND id <> ?2 LIMIT 1")                        \
  X(PROVIDER_OTHERS, "SELECT id, provider, network FROM providers"             \
    " WHERE key = ?1 AND own = 0")                                             \
  X(PROVIDER_PUT, "INSERT INTO providers"                                      \
    "(own, expires, sum, key, provider, addresses, network)"                   \
    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)"                                        \
    " ON CONFLICT (key, provider) DO UPDATE SET own = excluded.own,"           \
    " expires = excluded.expires, sum = excluded.sum,"                         \
    " addresses = excluded.addresses, network = excluded.network")             \
  X(PROVIDER_DROP, "DELETE FROM providers WHERE id = ?1")                      \
  X(PROVIDER_SOONEST, "SELECT min(expires) FROM providers")
/* clang-format on */

typedef enum kad__sql {
#define KAD__SQL_ENUM(name, text) KAD__SQL_##name,
  KAD__SQL_MAP(KAD__SQL_ENUM)
#undef KAD__SQL_ENUM
      KAD__SQL_COUNT
} kad__sql;

/* Memory of the results of one operation; it only grows. */
typedef struct kad__sql_slot {
  uint8_t *data;
  size_t len;
  size_t cap;
} kad__sql_slot;

typedef struct kad__sqlite_store {
  kad__store store;
  kad_allocator allocator;
  kad__sqlite_store_config config;
  sqlite3 *db;
  sqlite3_stmt *statements[KAD__SQL_COUNT];
  kad_time now; /* the moment of opening, on both clocks */
  int64_t unix_ns;
  int64_t soonest; /* nothing expires before */
  bool failed;     /* an fsync has: nothing is written any more */
  uint32_t turn;   /* where a list that is too long to tell begins */
  kad__shares value_shares;
  kad__shares provider_shares;
  kad__sqlite_store_status status;
  kad__sql_slot got;
  kad__sql_slot walked;
  kad__sql_slot listed;
  kad__sql_slot provided;
  kad__sql_slot holders;
} kad__sqlite_store;

/* What the books need to know of a record that is on disk. */
typedef struct kad__sql_meta {
  int64_t id; /* 0: there is none */
  bool own;
  bool last; /* of the providers of its key that are not us */
  uint64_t size;
  kad__share *share; /* NULL: ours */
} kad__sql_meta;

static inline kad__sqlite_store *kad__sqlite_self(const kad__store *s) {
  return (kad__sqlite_store *)(uintptr_t)s;
}

/* ---- statements --------------------------------------------------------- */

/* The kad_error of an SQLite result. */
int kad__sql_error(int result);
/* Counts a failed operation and notes a failed fsync; returns the error. */
int kad__sql_failed(kad__sqlite_store *m, int result);

/* A statement, ready to be given its parameters. Each use ends with
 * kad__sql_end, until which bytes given to it are borrowed. */
static inline sqlite3_stmt *kad__sql_begin(kad__sqlite_store *m,
                                           kad__sql which) {
  return m->statements[which];
}
/* 1: there is a row, 0: there is none (any more), or an error, counted. */
int kad__sql_step(kad__sqlite_store *m, sqlite3_stmt *statement);
void kad__sql_end(sqlite3_stmt *statement);

/* Parameters are numbered from 1, columns from 0; failures to bind show up in
 * the next step, as a NULL where none is allowed. */
void kad__sql_bind(sqlite3_stmt *statement, int at, kad_bytes bytes);
kad_bytes kad__sql_column(sqlite3_stmt *statement, int at);

/* Runs a statement whose one parameter is a number and that gives no rows. */
int kad__sql_run(kad__sqlite_store *m, kad__sql which, int64_t parameter);
/* The first column of the first row of a statement without parameters;
 * `*out` is untouched when it is NULL. */
int kad__sql_number(kad__sqlite_store *m, kad__sql which, int64_t *out);

/* Empties a slot and makes room for `len` bytes; later ones make more.
 * KAD_E_NO_MEMORY. */
int kad__sql_slot_begin(kad__sqlite_store *m, kad__sql_slot *slot, size_t len);
int kad__sql_slot_append(kad__sqlite_store *m, kad__sql_slot *slot,
                         kad_bytes bytes);

/* One more piece of a checksum. */
uint64_t kad__sql_sum(uint64_t sum, kad_bytes piece);

/* Counts down, and stops at 0: the disk may have changed under the books. */
static inline uint64_t kad__sql_less(uint64_t from, uint64_t n) {
  return from < n ? 0 : from - n;
}

/* ---- time --------------------------------------------------------------- */

int64_t kad__sql_from_time(const kad__sqlite_store *m, kad_time at);
kad_time kad__sql_to_time(const kad__sqlite_store *m, int64_t at);

/* ---- values (sqlite_store.c) -------------------------------------------- */

extern const kad__store_class kad__sqlite_class;

/* ---- providers (sqlite_providers.c) ------------------------------------- */

int kad__sqlite_add_provider(kad__store *s, const kad__provider *record,
                             bool own);
size_t kad__sqlite_providers(kad__store *s, kad__provider *out, size_t cap,
                             kad_bytes key);
void kad__sqlite_remove_provider(kad__store *s, kad_bytes key,
                                 kad_bytes provider);
bool kad__sqlite_next_provided(kad__store *s, kad__provider *out,
                               kad_bytes after);
/* Deletes one record that expires at `at` or before, within a transaction: 1, 0
 * when there is none, or an error. The books are not touched: what they need is
 * in `*out`, for when the transaction has been committed. */
int kad__sqlite_expire_provider(kad__sqlite_store *m, kad__sql_meta *out,
                                int64_t at);
void kad__sqlite_provider_gone(kad__sqlite_store *m, const kad__sql_meta *meta);

#endif
