/* The little that SQLite's interface needs to read like ours: its results as
 * our errors, borrowed bytes in and out, and copies of rows. */
#include "store/sqlite_internal.h"

int kad__sql_error(int result) {
  if (result == SQLITE_IOERR_NOMEM) {
    return KAD_E_NO_MEMORY;
  }
  switch (result & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
      return 0;
    case SQLITE_NOMEM:
      return KAD_E_NO_MEMORY;
    case SQLITE_FULL:
      return KAD_E_STORE_FULL;
    case SQLITE_TOOBIG:
      return KAD_E_RECORD_TOO_LARGE;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_ERROR:    /* a statement of ours does not fit the schema */
    case SQLITE_MISMATCH: /* ... or the types in it */
      return KAD_E_STORE_CORRUPT;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return KAD_E_STATE;
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
      return KAD_E_PERMISSION;
    default:
      return KAD_E_IO;
  }
}

int kad__sql_failed(kad__sqlite_store *m, int result) {
  int error = kad__sql_error(result);
  if (result == SQLITE_IOERR_FSYNC || result == SQLITE_IOERR_DIR_FSYNC) {
    m->failed = true;
  }
  m->status.errors++;
  m->status.last_error = error;
  return error;
}

int kad__sql_step(kad__sqlite_store *m, sqlite3_stmt *statement) {
  int result = sqlite3_step(statement);
  if (result == SQLITE_ROW) {
    return 1;
  }
  return result == SQLITE_DONE ? 0 : kad__sql_failed(m, result);
}

void kad__sql_end(sqlite3_stmt *statement) {
  /* Says again what the step has said. */
  (void)sqlite3_reset(statement);
  (void)sqlite3_clear_bindings(statement);
}

void kad__sql_bind(sqlite3_stmt *statement, int at, kad_bytes bytes) {
  /* No bytes at no place would be NULL, not an empty blob. */
  const void *data = bytes.len == 0 ? "" : (const void *)bytes.data;
  (void)sqlite3_bind_blob64(statement, at, data, bytes.len, SQLITE_STATIC);
}

kad_bytes kad__sql_column(sqlite3_stmt *statement, int at) {
  const void *data = sqlite3_column_blob(statement, at);
  int len = sqlite3_column_bytes(statement, at);
  return kad__bytes(data, data == NULL ? 0 : (size_t)len);
}

int kad__sql_run(kad__sqlite_store *m, kad__sql which, int64_t parameter) {
  sqlite3_stmt *s = kad__sql_begin(m, which);
  (void)sqlite3_bind_int64(s, 1, parameter);
  int result = kad__sql_step(m, s);
  kad__sql_end(s);
  return result;
}

int kad__sql_number(kad__sqlite_store *m, kad__sql which, int64_t *out) {
  sqlite3_stmt *s = kad__sql_begin(m, which);
  int result = kad__sql_step(m, s);
  if (result == 1 && sqlite3_column_type(s, 0) != SQLITE_NULL) {
    *out = sqlite3_column_int64(s, 0);
  }
  kad__sql_end(s);
  return result < 0 ? result : 0;
}

static int slot_reserve(kad__sqlite_store *m, kad__sql_slot *slot, size_t len) {
  size_t need = slot->len + len;
  if (need <= slot->cap) {
    return 0;
  }
  size_t cap = need < 512 ? 1024 : need + need / 2;
  uint8_t *data = kad__resize(&m->allocator, slot->data, cap);
  if (data == NULL) {
    m->status.errors++;
    m->status.last_error = KAD_E_NO_MEMORY;
    return KAD_E_NO_MEMORY;
  }
  slot->data = data;
  slot->cap = cap;
  return 0;
}

int kad__sql_slot_begin(kad__sqlite_store *m, kad__sql_slot *slot, size_t len) {
  slot->len = 0;
  return slot_reserve(m, slot, len);
}

int kad__sql_slot_append(kad__sqlite_store *m, kad__sql_slot *slot,
                         kad_bytes bytes) {
  int error = slot_reserve(m, slot, bytes.len);
  if (error == 0 && bytes.len > 0) {
    memcpy(slot->data + slot->len, bytes.data, bytes.len);
    slot->len += bytes.len;
  }
  return error;
}

uint64_t kad__sql_sum(uint64_t sum, kad_bytes piece) {
  uint64_t state[2] = {sum, piece.len};
  return kad__siphash(state, piece);
}

int64_t kad__sql_from_time(const kad__sqlite_store *m, kad_time at) {
  if (at == KAD_TIME_NEVER) {
    return KAD__SQL_NEVER;
  }
  if (at < m->now) {
    uint64_t ago = m->now - at;
    return ago < (uint64_t)m->unix_ns ? m->unix_ns - (int64_t)ago : 0;
  }
  /* A moment past the end of 64 bits is not the same as never. */
  uint64_t room = (uint64_t)(KAD__SQL_NEVER - 1 - m->unix_ns);
  uint64_t ahead = at - m->now;
  return m->unix_ns + (int64_t)(ahead < room ? ahead : room);
}

kad_time kad__sql_to_time(const kad__sqlite_store *m, int64_t at) {
  if (at == KAD__SQL_NEVER) {
    return KAD_TIME_NEVER;
  }
  if (at >= m->unix_ns) {
    return kad__time_add(m->now, (kad_time)(at - m->unix_ns));
  }
  kad_time ago = (kad_time)m->unix_ns - (kad_time)(at < 0 ? 0 : at);
  return ago < m->now ? m->now - ago : 0;
}
