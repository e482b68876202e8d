/* Provider records on disk, as sqlite_store.c keeps values; the rules are those
 * of the memory store's memory_providers.c. */
#include "store/sqlite_internal.h"

#define SUM_START UINT64_C(0x6b61647061310000)

static uint64_t sum_of(const kad__provider *r, int64_t expires, bool own) {
  uint64_t sum = SUM_START ^ (uint64_t)expires ^ (own ? UINT64_MAX : 0);
  sum = kad__sql_sum(sum, r->key);
  sum = kad__sql_sum(sum, r->provider);
  return kad__sql_sum(sum, r->addresses);
}

static uint64_t size_of(const kad__provider *r) {
  return r->key.len + r->provider.len + r->addresses.len + KAD__SQL_OVERHEAD;
}

/* ---- the books ---------------------------------------------------------- */

/* Whether others than the record `id` provide the key: 1, 0 or an error. */
static int shared(kad__sqlite_store *m, kad_bytes key, int64_t id) {
  sqlite3_stmt *s = kad__sql_begin(m, KAD__SQL_PROVIDER_SHARED);
  kad__sql_bind(s, 1, key);
  (void)sqlite3_bind_int64(s, 2, id);
  int result = kad__sql_step(m, s);
  kad__sql_end(s);
  return result;
}

/* The record that a statement finds; `out->id` is 0 when there is none. */
static int meta_step(kad__sqlite_store *m, kad__sql_meta *out,
                     sqlite3_stmt *s) {
  *out = (kad__sql_meta){0};
  int result = kad__sql_step(m, s);
  if (result == 1) {
    out->id = sqlite3_column_int64(s, 0);
    out->own = sqlite3_column_int(s, 1) != 0;
    out->size = (uint64_t)sqlite3_column_int64(s, 2) + KAD__SQL_OVERHEAD;
  }
  if (result == 1 && !out->own) {
    out->share = kad__shares_find(&m->provider_shares, kad__sql_column(s, 3));
    result = shared(m, kad__sql_column(s, 4), out->id);
    out->last = result == 0;
  }
  kad__sql_end(s);
  return result < 0 ? result : 0;
}

static int meta_by_ids(kad__sqlite_store *m, kad__sql_meta *out, kad_bytes key,
                       kad_bytes provider) {
  sqlite3_stmt *s = kad__sql_begin(m, KAD__SQL_PROVIDER_FIND);
  kad__sql_bind(s, 1, key);
  kad__sql_bind(s, 2, provider);
  return meta_step(m, out, s);
}

static int meta_by_id(kad__sqlite_store *m, kad__sql_meta *out, int64_t id) {
  sqlite3_stmt *s = kad__sql_begin(m, KAD__SQL_PROVIDER_BY_ID);
  (void)sqlite3_bind_int64(s, 1, id);
  return meta_step(m, out, s);
}

static void count_out(kad__sqlite_store *m, const kad__sql_meta *meta) {
  kad__sqlite_store_status *status = &m->status;
  if (meta->own) {
    status->provided = (uint32_t)kad__sql_less(status->provided, 1);
    return;
  }
  status->provider_keys =
      (uint32_t)kad__sql_less(status->provider_keys, meta->last);
  status->provider_bytes = kad__sql_less(status->provider_bytes, meta->size);
  kad__shares_discharge(&m->provider_shares, meta->share);
}

static int drop(kad__sqlite_store *m, const kad__sql_meta *meta) {
  if (m->failed) {
    return KAD_E_IO;
  }
  int error = kad__sql_run(m, KAD__SQL_PROVIDER_DROP, meta->id);
  if (error == 0) {
    count_out(m, meta);
  }
  return error;
}

/* False when it stays where it is. */
static bool drop_damaged(kad__sqlite_store *m, int64_t id) {
  kad__sql_meta meta;
  m->status.damaged++;
  return meta_by_id(m, &meta, id) == 0 && meta.id != 0 && drop(m, &meta) == 0;
}

/* ---- reading ------------------------------------------------------------ */

/* Appends the row at which `s` stands to the slot: key, provider, addresses,
 * one after the other. 1; 0 when it is damaged; or an error. The bytes of
 * `*out` get their place in place(), when the slot does not move any more. */
static int row_append(kad__sqlite_store *m, kad__sql_slot *slot,
                      kad__provider *out, sqlite3_stmt *s) {
  int64_t expires = sqlite3_column_int64(s, 2);
  bool own = sqlite3_column_int(s, 1) != 0;
  kad__provider r = {.key = kad__sql_column(s, 4),
                     .provider = kad__sql_column(s, 5),
                     .addresses = kad__sql_column(s, 6),
                     .expires = kad__sql_to_time(m, expires)};
  if ((uint64_t)sqlite3_column_int64(s, 3) != sum_of(&r, expires, own)) {
    return 0;
  }
  size_t len = slot->len;
  int error = kad__sql_slot_append(m, slot, r.key);
  error = error != 0 ? error : kad__sql_slot_append(m, slot, r.provider);
  error = error != 0 ? error : kad__sql_slot_append(m, slot, r.addresses);
  if (error != 0) {
    slot->len = len;
    return error;
  }
  *out = r;
  return 1;
}

static void place(const kad__sql_slot *slot, kad__provider *list,
                  size_t count) {
  const uint8_t *at = slot->data;
  for (size_t i = 0; i < count; i++) {
    kad_bytes *parts[] = {&list[i].key, &list[i].provider, &list[i].addresses};
    for (size_t j = 0; j < KAD__COUNT(parts); j++) {
      parts[j]->data = at;
      at += parts[j]->len;
    }
  }
}

static int64_t count_of(kad__sqlite_store *m, kad_bytes key, int64_t *own) {
  int64_t count = 0;
  sqlite3_stmt *s = kad__sql_begin(m, KAD__SQL_PROVIDER_COUNT);
  kad__sql_bind(s, 1, key);
  int result = kad__sql_step(m, s);
  *own = 0;
  if (result == 1) {
    count = sqlite3_column_int64(s, 0);
    *own = sqlite3_column_int64(s, 1);
  }
  kad__sql_end(s);
  return result < 0 ? result : count;
}

typedef struct listing {
  kad__provider *out;
  size_t cap;
  size_t count;
  int64_t damaged; /* one row that is; 0: none */
} listing;

static void list_from(kad__sqlite_store *m, listing *l, kad_bytes key,
                      int64_t limit, int64_t skip) {
  sqlite3_stmt *s = kad__sql_begin(m, KAD__SQL_PROVIDER_LIST);
  kad__sql_bind(s, 1, key);
  (void)sqlite3_bind_int64(s, 2, limit);
  (void)sqlite3_bind_int64(s, 3, skip);
  while (l->count < l->cap && kad__sql_step(m, s) == 1) {
    int result = row_append(m, &m->listed, &l->out[l->count], s);
    if (result < 0) {
      break;
    }
    l->count += (size_t)result;
    l->damaged = result == 0 ? sqlite3_column_int64(s, 0) : l->damaged;
  }
  kad__sql_end(s);
}

size_t kad__sqlite_providers(kad__store *s, kad__provider *out, size_t cap,
                             kad_bytes key) {
  kad__sqlite_store *m = kad__sqlite_self(s);
  int64_t own;
  int64_t count = count_of(m, key, &own);
  listing l = {.out = out, .cap = cap};
  if (count <= 0 || cap == 0 || kad__sql_slot_begin(m, &m->listed, 0) != 0) {
    return 0;
  }
  if ((uint64_t)count <= cap) {
    list_from(m, &l, key, count, 0);
  } else {
    /* More than can be told: another part of them each time. */
    int64_t skip = m->turn++ % count;
    int64_t rest = count - skip;
    list_from(m, &l, key, rest < (int64_t)cap ? rest : (int64_t)cap, skip);
    list_from(m, &l, key, skip, 0);
  }
  place(&m->listed, out, l.count);
  if (l.damaged != 0) {
    (void)drop_damaged(m, l.damaged);
  }
  return l.count;
}

bool kad__sqlite_next_provided(kad__store *s, kad__provider *out,
                               kad_bytes after) {
  kad__sqlite_store *m = kad__sqlite_self(s);
  int64_t id;
  int result;
  do {
    sqlite3_stmt *next = kad__sql_begin(m, KAD__SQL_PROVIDER_NEXT_OWN);
    kad__sql_bind(next, 1, after);
    result = kad__sql_step(m, next);
    if (result != 1) {
      kad__sql_end(next);
      return false;
    }
    /* `after` may lie in the slot: it is bound no more once there is a row,
     * and a damaged row, after which it is bound again, is not copied. */
    id = sqlite3_column_int64(next, 0);
    m->provided.len = 0;
    result = row_append(m, &m->provided, out, next);
    kad__sql_end(next);
  } while (result == 0 && drop_damaged(m, id));
  if (result != 1) {
    return false;
  }
  place(&m->provided, out, 1);
  return true;
}

/* ---- limits ------------------------------------------------------------- */

static uint64_t rank_of(const kad__sqlite_store *m, kad_bytes provider) {
  return kad__siphash(m->config.secret, provider);
}

/* One that has a place of a full key. */
typedef struct holder {
  int64_t id;
  uint64_t rank;
  uint32_t slot;
} holder;

static uint32_t slot_of(const kad__sqlite_store *m, uint64_t network) {
  return kad__crowd_slot(m->config.secret, network);
}

/* Reads all holders of places of `key` into `m->holders`. */
static int read_holders(kad__sqlite_store *m, kad__crowd *crowd,
                        kad_bytes key) {
  sqlite3_stmt *s = kad__sql_begin(m, KAD__SQL_PROVIDER_OTHERS);
  int error = kad__sql_slot_begin(m, &m->holders, 0);
  int result = 0;
  kad__sql_bind(s, 1, key);
  while (error == 0 && (result = kad__sql_step(m, s)) == 1) {
    holder h = {.id = sqlite3_column_int64(s, 0),
                .rank = rank_of(m, kad__sql_column(s, 1)),
                .slot = slot_of(m, (uint64_t)sqlite3_column_int64(s, 2))};
    kad__crowd_add(crowd, h.slot);
    error = kad__sql_slot_append(m, &m->holders, kad__bytes(&h, sizeof h));
  }
  kad__sql_end(s);
  return error != 0 ? error : result;
}

/* Of those of a slot: the one that comes last in the secret order; its id is 0
 * when there is none. */
static holder last_in_order(const kad__sqlite_store *m, uint32_t slot) {
  holder last = {0};
  for (size_t at = 0; at < m->holders.len; at += sizeof last) {
    holder h;
    memcpy(&h, m->holders.data + at, sizeof h);
    if (h.slot == slot && (last.id == 0 || h.rank > last.rank)) {
      last = h;
    }
  }
  return last;
}

static int key_make_room(kad__sqlite_store *m, const kad__provider *record) {
  int64_t own;
  int64_t count = count_of(m, record->key, &own);
  kad__crowd crowd = {0};
  kad__sql_meta victim;
  if (count < 0) {
    return (int)count;
  }
  if (count - own < m->config.limits.max_providers_per_key) {
    return 0;
  }
  int error = read_holders(m, &crowd, record->key);
  if (error != 0) {
    return error;
  }
  uint32_t own_slot = slot_of(m, record->group);
  uint32_t slot = kad__crowd_victim(&crowd, own_slot);
  holder last = last_in_order(m, slot);
  bool stays = slot == own_slot && last.rank <= rank_of(m, record->provider);
  if (last.id == 0 || stays) {
    return KAD_E_STORE_FULL;
  }
  error = meta_by_id(m, &victim, last.id);
  return error != 0 ? error : drop(m, &victim);
}

static bool fits(const kad__sqlite_store *m, bool new_key, uint64_t size) {
  const kad__memory_store_config *limits = &m->config.limits;
  uint64_t keys = (uint64_t)m->status.provider_keys + new_key;
  return keys <= limits->max_provider_keys &&
         size <= limits->max_provider_bytes &&
         m->status.provider_bytes <= limits->max_provider_bytes - size;
}

static int drop_oldest_of(kad__sqlite_store *m, const kad__share *share) {
  kad__sql_meta victim;
  sqlite3_stmt *s = kad__sql_begin(m, KAD__SQL_PROVIDER_OLDEST);
  kad__sql_bind(s, 1, kad__share_source(share));
  int error = meta_step(m, &victim, s);
  if (error == 0 && victim.id == 0) {
    error = KAD_E_STORE_FULL;
  }
  return error != 0 ? error : drop(m, &victim);
}

static int make_room(kad__sqlite_store *m, const kad__provider *record) {
  for (;;) {
    int others = shared(m, record->key, 0);
    if (others < 0 || fits(m, others == 0, size_of(record))) {
      return others < 0 ? others : 0;
    }
    const kad__share *share = kad__shares_victim(
        &m->provider_shares, record->provider, record->group);
    int error = share == NULL ? KAD_E_STORE_FULL : drop_oldest_of(m, share);
    if (error != 0) {
      return error;
    }
  }
}

static int admit_new(kad__sqlite_store *m, const kad__provider *record,
                     bool own) {
  const kad__memory_store_config *limits = &m->config.limits;
  if (own) {
    return m->status.provided < limits->max_provided ? 0 : KAD_E_STORE_FULL;
  }
  if (kad__shares_count(&m->provider_shares, record->provider) >=
      limits->max_keys_per_provider) {
    return KAD_E_STORE_FULL;
  }
  int error = make_room(m, record);
  return error != 0 ? error : key_make_room(m, record);
}

static int admit(kad__sqlite_store *m, const kad__provider *record, bool own,
                 const kad__sql_meta *old) {
  if (old->id == 0 || old->own != own) {
    return admit_new(m, record, own);
  }
  uint64_t size = size_of(record);
  bool too_large = !own && size > old->size &&
                   m->status.provider_bytes + (size - old->size) >
                       m->config.limits.max_provider_bytes;
  return too_large ? KAD_E_STORE_FULL : 0;
}

/* ---- writing ------------------------------------------------------------ */

static int write(kad__sqlite_store *m, const kad__provider *record,
                 int64_t expires, bool own) {
  sqlite3_stmt *s = kad__sql_begin(m, KAD__SQL_PROVIDER_PUT);
  (void)sqlite3_bind_int64(s, 1, own);
  (void)sqlite3_bind_int64(s, 2, expires);
  (void)sqlite3_bind_int64(s, 3, (int64_t)sum_of(record, expires, own));
  kad__sql_bind(s, 4, record->key);
  kad__sql_bind(s, 5, record->provider);
  kad__sql_bind(s, 6, record->addresses);
  (void)sqlite3_bind_int64(s, 7, (int64_t)record->group);
  int error = kad__sql_step(m, s);
  kad__sql_end(s);
  return error;
}

/* Another peer's record is counted before it is written: that can fail. */
static int write_counted(kad__sqlite_store *m, const kad__provider *record,
                         int64_t expires, bool own) {
  kad__share *share;
  int error = own ? 0
                  : kad__shares_charge(&m->provider_shares, &share,
                                       record->provider, record->group);
  if (error != 0) {
    return error;
  }
  error = write(m, record, expires, own);
  if (error != 0 && !own) {
    kad__shares_discharge(&m->provider_shares, share);
  }
  return error;
}

int kad__sqlite_add_provider(kad__store *s, const kad__provider *record,
                             bool own) {
  kad__sqlite_store *m = kad__sqlite_self(s);
  kad__sql_meta old;
  int64_t expires = kad__sql_from_time(m, record->expires);
  int error = m->failed ? KAD_E_IO
                        : meta_by_ids(m, &old, record->key, record->provider);
  error = error != 0 ? error : admit(m, record, own, &old);
  /* Making room may have taken the old record along. */
  error =
      error != 0 ? error : meta_by_ids(m, &old, record->key, record->provider);
  int others = error != 0 ? error : shared(m, record->key, old.id);
  error = others < 0 ? others : write_counted(m, record, expires, own);
  if (error != 0) {
    return error;
  }
  if (old.id != 0) {
    count_out(m, &old);
  }
  m->status.provided += own;
  m->status.provider_keys += !own && others == 0;
  m->status.provider_bytes += own ? 0 : size_of(record);
  m->soonest = expires < m->soonest ? expires : m->soonest;
  return 0;
}

void kad__sqlite_remove_provider(kad__store *s, kad_bytes key,
                                 kad_bytes provider) {
  kad__sqlite_store *m = kad__sqlite_self(s);
  kad__sql_meta meta;
  if (meta_by_ids(m, &meta, key, provider) == 0 && meta.id != 0) {
    (void)drop(m, &meta);
  }
}

int kad__sqlite_expire_provider(kad__sqlite_store *m, kad__sql_meta *out,
                                int64_t at) {
  sqlite3_stmt *s = kad__sql_begin(m, KAD__SQL_PROVIDER_DUE);
  (void)sqlite3_bind_int64(s, 1, at);
  int error = meta_step(m, out, s);
  if (error != 0 || out->id == 0) {
    return error;
  }
  error = kad__sql_run(m, KAD__SQL_PROVIDER_DROP, out->id);
  return error != 0 ? error : 1;
}

void kad__sqlite_provider_gone(kad__sqlite_store *m,
                               const kad__sql_meta *meta) {
  count_out(m, meta);
}
