/* Values on disk. Every change but a sweep is one statement, and so one
 * transaction: a crash between two of them loses at most a record that was
 * about to make way. The books (how many, how large, whose) are kept in memory
 * and counted anew at opening, so no change of them can tear. */
#include "store/sqlite_store.h"

#include "store/sqlite_internal.h"

/* Expired records of each kind dropped in one call. */
#define EXPIRE_AT_ONCE 64
/* When the disk does not let us drop them: how soon to try again. */
#define EXPIRE_AGAIN (60 * (int64_t)KAD_SECOND)
/* The first word of a value's checksum. */
#define SUM_START UINT64_C(0x6b61647661310000)

void kad__sqlite_store_config_default(kad__sqlite_store_config *config) {
  *config = (kad__sqlite_store_config){.cache_size = 2 << 20};
  kad__memory_store_config_default(&config->limits);
}

void kad__sqlite_store_status_get(const kad__store *store,
                                  kad__sqlite_store_status *out) {
  *out = kad__sqlite_self(store)->status;
}

static uint64_t sum_of(const kad__record *r, int64_t expires, bool own) {
  uint64_t sum = SUM_START ^ (uint64_t)expires ^ (own ? UINT64_MAX : 0);
  sum = kad__sql_sum(sum, r->key);
  sum = kad__sql_sum(sum, r->value);
  sum = kad__sql_sum(sum, r->publisher);
  return kad__sql_sum(sum, r->source);
}

/* ---- the books ---------------------------------------------------------- */

/* The record that a statement finds; `out->id` is 0 when there is none. */
static int meta_step(kad__sqlite_store *m, kad__sql_meta *out,
                     sqlite3_stmt *s) {
  *out = (kad__sql_meta){0};
  int result = kad__sql_step(m, s);
  if (result == 1) {
    out->id = sqlite3_column_int64(s, 0);
    out->own = sqlite3_column_int(s, 1) != 0;
    out->size = (uint64_t)sqlite3_column_int64(s, 2) + KAD__SQL_OVERHEAD;
    out->share =
        out->own ? NULL
                 : kad__shares_find(&m->value_shares, kad__sql_column(s, 3));
  }
  kad__sql_end(s);
  return result < 0 ? result : 0;
}

static int meta_by_key(kad__sqlite_store *m, kad__sql_meta *out,
                       kad_bytes key) {
  sqlite3_stmt *s = kad__sql_begin(m, KAD__SQL_VALUE_FIND);
  kad__sql_bind(s, 1, key);
  return meta_step(m, out, s);
}

static void count_out(kad__sqlite_store *m, const kad__sql_meta *meta) {
  if (meta->own) {
    m->status.own_records = (uint32_t)kad__sql_less(m->status.own_records, 1);
    return;
  }
  m->status.records = (uint32_t)kad__sql_less(m->status.records, 1);
  m->status.bytes = kad__sql_less(m->status.bytes, meta->size);
  kad__shares_discharge(&m->value_shares, meta->share);
}

static int drop(kad__sqlite_store *m, const kad__sql_meta *meta) {
  if (m->failed) {
    return KAD_E_IO;
  }
  int error = kad__sql_run(m, KAD__SQL_VALUE_DROP, meta->id);
  if (error == 0) {
    count_out(m, meta);
  }
  return error;
}

static void drop_damaged(kad__sqlite_store *m, int64_t id) {
  kad__sql_meta meta;
  sqlite3_stmt *s = kad__sql_begin(m, KAD__SQL_VALUE_BY_ID);
  (void)sqlite3_bind_int64(s, 1, id);
  m->status.damaged++;
  if (meta_step(m, &meta, s) == 0 && meta.id != 0) {
    (void)drop(m, &meta);
  }
}

/* ---- reading ------------------------------------------------------------ */

/* Copies the row at which `s` stands. 1, or 0 when it is damaged. */
static int row_copy(kad__sqlite_store *m, kad__sql_slot *slot, kad__record *out,
                    bool *own, sqlite3_stmt *s) {
  int64_t expires = sqlite3_column_int64(s, 2);
  kad__record r = {.key = kad__sql_column(s, 4),
                   .value = kad__sql_column(s, 5),
                   .publisher = kad__sql_column(s, 6),
                   .source = kad__sql_column(s, 7),
                   .expires = kad__sql_to_time(m, expires)};
  *own = sqlite3_column_int(s, 1) != 0;
  if ((uint64_t)sqlite3_column_int64(s, 3) != sum_of(&r, expires, *own)) {
    return 0;
  }
  kad_bytes *parts[] = {&r.key, &r.value, &r.publisher, &r.source};
  size_t len = r.key.len + r.value.len + r.publisher.len + r.source.len;
  int error = kad__sql_slot_begin(m, slot, len);
  for (size_t i = 0; error == 0 && i < KAD__COUNT(parts); i++) {
    const uint8_t *at = slot->data + slot->len;
    error = kad__sql_slot_append(m, slot, *parts[i]);
    *parts[i] = kad__bytes(at, parts[i]->len);
  }
  *out = r;
  return error != 0 ? error : 1;
}

/* The first good record that the statement finds for `key`. A damaged one is
 * dropped and, in a walk, passed over. */
static bool read(kad__sqlite_store *m, kad__sql which, kad__sql_slot *slot,
                 kad__record *out, bool *own, kad_bytes key) {
  for (;;) {
    sqlite3_stmt *s = kad__sql_begin(m, which);
    kad__sql_bind(s, 1, key);
    int result = kad__sql_step(m, s);
    int64_t id = result == 1 ? sqlite3_column_int64(s, 0) : 0;
    result = result == 1 ? row_copy(m, slot, out, own, s) : result;
    kad__sql_end(s);
    if (id == 0 || result != 0) {
      return result == 1;
    }
    uint64_t left = m->status.records + m->status.own_records;
    drop_damaged(m, id);
    if (m->status.records + m->status.own_records == left) {
      return false; /* it is still there, and would be found for ever */
    }
  }
}

static bool sqlite_get(kad__store *s, kad__record *out, kad_bytes key) {
  kad__sqlite_store *m = kad__sqlite_self(s);
  bool own;
  return read(m, KAD__SQL_VALUE_GET, &m->got, out, &own, key);
}

static bool sqlite_next(kad__store *s, kad__record *out, bool *own,
                        kad_bytes after) {
  kad__sqlite_store *m = kad__sqlite_self(s);
  /* `after` may be what the last call gave: in the slot, which is written only
   * once the statement has been stepped. */
  return read(m, KAD__SQL_VALUE_NEXT, &m->walked, out, own, after);
}

/* ---- writing ------------------------------------------------------------ */

static bool fits(const kad__sqlite_store *m, const kad__sql_meta *old,
                 uint64_t size) {
  const kad__memory_store_config *limits = &m->config.limits;
  bool replaces = old->id != 0 && !old->own;
  uint64_t bytes = kad__sql_less(m->status.bytes, replaces ? old->size : 0);
  return m->status.records - replaces < limits->max_records &&
         size <= limits->max_bytes && bytes <= limits->max_bytes - size;
}

/* Room for a value of others beside what `old` gives up. */
static int make_room(kad__sqlite_store *m, const kad__sql_meta *old,
                     uint64_t size, const kad__record *record) {
  while (!fits(m, old, size)) {
    const kad__share *share =
        kad__shares_victim(&m->value_shares, record->source, record->group);
    kad__sql_meta victim;
    if (share == NULL) {
      return KAD_E_STORE_FULL;
    }
    sqlite3_stmt *s = kad__sql_begin(m, KAD__SQL_VALUE_OLDEST);
    kad__sql_bind(s, 1, kad__share_source(share));
    int error = meta_step(m, &victim, s);
    if (error == 0 && (victim.id == 0 || victim.id == old->id)) {
      error = KAD_E_STORE_FULL;
    }
    error = error != 0 ? error : drop(m, &victim);
    if (error != 0) {
      return error;
    }
  }
  return 0;
}

static int admit(kad__sqlite_store *m, const kad__record *record, bool own,
                 const kad__sql_meta *old, uint64_t size) {
  if (own) {
    uint32_t count = m->status.own_records - (old->id != 0 && old->own);
    return count < m->config.limits.max_own_records ? 0 : KAD_E_STORE_FULL;
  }
  int error = make_room(m, old, size, record);
  kad__share *share;
  return error != 0 ? error
                    : kad__shares_charge(&m->value_shares, &share,
                                         record->source, record->group);
}

static int write(kad__sqlite_store *m, const kad__record *record,
                 int64_t expires, bool own) {
  sqlite3_stmt *s = kad__sql_begin(m, KAD__SQL_VALUE_PUT);
  (void)sqlite3_bind_int64(s, 1, own);
  (void)sqlite3_bind_int64(s, 2, expires);
  (void)sqlite3_bind_int64(s, 3, (int64_t)sum_of(record, expires, own));
  kad__sql_bind(s, 4, record->key);
  kad__sql_bind(s, 5, record->value);
  kad__sql_bind(s, 6, record->publisher);
  kad__sql_bind(s, 7, record->source);
  (void)sqlite3_bind_int64(s, 8, (int64_t)record->group);
  int error = kad__sql_step(m, s);
  kad__sql_end(s);
  return error;
}

static int sqlite_put(kad__store *s, const kad__record *record, bool own) {
  kad__sqlite_store *m = kad__sqlite_self(s);
  kad__sql_meta old;
  uint64_t size = record->key.len + record->value.len + record->publisher.len +
                  record->source.len + KAD__SQL_OVERHEAD;
  if (record->value.len > m->config.limits.max_value) {
    return KAD_E_RECORD_TOO_LARGE;
  }
  int error = m->failed ? KAD_E_IO : meta_by_key(m, &old, record->key);
  error = error != 0 ? error : admit(m, record, own, &old, size);
  if (error != 0) {
    return error;
  }
  int64_t expires = kad__sql_from_time(m, record->expires);
  error = write(m, record, expires, own);
  if (error != 0) {
    kad__shares_discharge(
        &m->value_shares,
        own ? NULL : kad__shares_find(&m->value_shares, record->source));
    return error;
  }
  if (old.id != 0) {
    count_out(m, &old);
  }
  m->status.own_records += own;
  m->status.records += !own;
  m->status.bytes += own ? 0 : size;
  m->soonest = expires < m->soonest ? expires : m->soonest;
  return 0;
}

static void sqlite_remove(kad__store *s, kad_bytes key) {
  kad__sqlite_store *m = kad__sqlite_self(s);
  kad__sql_meta meta;
  if (meta_by_key(m, &meta, key) == 0 && meta.id != 0) {
    (void)drop(m, &meta);
  }
}

/* ---- time --------------------------------------------------------------- */

static int expire_value(kad__sqlite_store *m, kad__sql_meta *out, int64_t at) {
  sqlite3_stmt *s = kad__sql_begin(m, KAD__SQL_VALUE_DUE);
  (void)sqlite3_bind_int64(s, 1, at);
  int error = meta_step(m, out, s);
  if (error != 0 || out->id == 0) {
    return error;
  }
  error = kad__sql_run(m, KAD__SQL_VALUE_DROP, out->id);
  return error != 0 ? error : 1;
}

/* What one call drops is one transaction: a sweep costs a tenth of what single
 * ones would. The books follow when it has been committed. */
typedef struct sweep {
  kad__sql_meta values[EXPIRE_AT_ONCE];
  kad__sql_meta providers[EXPIRE_AT_ONCE];
  size_t value_count;
  size_t provider_count;
} sweep;

static int sweep_delete(kad__sqlite_store *m, sweep *w, int64_t at) {
  int result = 1;
  while (result == 1 && w->value_count < EXPIRE_AT_ONCE) {
    result = expire_value(m, &w->values[w->value_count], at);
    w->value_count += result == 1;
  }
  result = result < 0 ? result : 1;
  while (result == 1 && w->provider_count < EXPIRE_AT_ONCE) {
    result =
        kad__sqlite_expire_provider(m, &w->providers[w->provider_count], at);
    w->provider_count += result == 1;
  }
  return result < 0 ? result : 0;
}

static int expire_some(kad__sqlite_store *m, int64_t at) {
  sweep w = {.value_count = 0};
  int error = m->failed ? KAD_E_IO : kad__sql_run(m, KAD__SQL_BEGIN, 0);
  if (error != 0) {
    return error;
  }
  error = sweep_delete(m, &w, at);
  error = error != 0 ? error : kad__sql_run(m, KAD__SQL_COMMIT, 0);
  if (error != 0) {
    /* SQLite may have rolled back by itself: then this fails, and is right. */
    sqlite3_stmt *s = kad__sql_begin(m, KAD__SQL_ROLLBACK);
    (void)sqlite3_step(s);
    kad__sql_end(s);
    return error;
  }
  for (size_t i = 0; i < w.value_count; i++) {
    count_out(m, &w.values[i]);
  }
  for (size_t i = 0; i < w.provider_count; i++) {
    kad__sqlite_provider_gone(m, &w.providers[i]);
  }
  return 0;
}

static void sqlite_expire(kad__store *s, kad_time now) {
  kad__sqlite_store *m = kad__sqlite_self(s);
  int64_t at = kad__sql_from_time(m, now);
  int64_t value = KAD__SQL_NEVER;
  int64_t provider = KAD__SQL_NEVER;
  int error = expire_some(m, at);
  if (error == 0) {
    error = kad__sql_number(m, KAD__SQL_VALUE_SOONEST, &value);
  }
  if (error == 0) {
    error = kad__sql_number(m, KAD__SQL_PROVIDER_SOONEST, &provider);
  }
  m->soonest = value < provider ? value : provider;
  if (error != 0) {
    m->soonest =
        at < KAD__SQL_NEVER - EXPIRE_AGAIN ? at + EXPIRE_AGAIN : KAD__SQL_NEVER;
  }
}

static kad_time sqlite_deadline(const kad__store *s) {
  const kad__sqlite_store *m = kad__sqlite_self(s);
  return kad__sql_to_time(m, m->soonest);
}

/* ---- the store ---------------------------------------------------------- */

static void sqlite_free(kad__store *s) {
  kad__sqlite_store *m = kad__sqlite_self(s);
  kad_allocator allocator = m->allocator;
  kad__sql_slot *slots[] = {&m->got, &m->walked, &m->listed, &m->provided,
                            &m->holders};
  for (size_t i = 0; i < KAD__SQL_COUNT; i++) {
    (void)sqlite3_finalize(m->statements[i]);
  }
  (void)sqlite3_close(m->db);
  for (size_t i = 0; i < KAD__COUNT(slots); i++) {
    kad__release(&allocator, slots[i]->data);
  }
  kad__shares_fini(&m->value_shares);
  kad__shares_fini(&m->provider_shares);
  kad__release(&allocator, m);
}

const kad__store_class kad__sqlite_class = {
    .get = sqlite_get,
    .put = sqlite_put,
    .remove = sqlite_remove,
    .next = sqlite_next,
    .add_provider = kad__sqlite_add_provider,
    .providers = kad__sqlite_providers,
    .remove_provider = kad__sqlite_remove_provider,
    .next_provided = kad__sqlite_next_provided,
    .expire = sqlite_expire,
    .deadline = sqlite_deadline,
    .free = sqlite_free};
