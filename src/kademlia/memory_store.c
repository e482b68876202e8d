/* Values in a tree in the order of their keys, providers by key in a hash map
 * (memory_providers.c), and a heap of what expires for each. */
#include "kademlia/memory_store.h"

#include "kademlia/memory_store_state.h"

/* Expired records dropped in one call. */
#define EXPIRE_AT_ONCE 256

void kad__memory_store_config_default(kad__memory_store_config *config) {
  *config = (kad__memory_store_config){.max_records = 1024,
                                       .max_own_records = 1024,
                                       .max_value = 65 * 1024,
                                       .max_provided = 65536,
                                       .max_provider_keys = 65536,
                                       .max_providers_per_key = 512,
                                       .max_keys_per_provider = 4096,
                                       .max_bytes = (size_t)64 << 20,
                                       .max_provider_bytes = (size_t)64 << 20};
}

typedef struct value {
  kad__ordered_node node;
  kad__heap_node expiry;
  kad__share_item share; /* others' only */
  kad__record record;
  size_t size;
  bool own;
  uint8_t bytes[];
} value;

static kad__memory_store *self(kad__store *s) {
  return (kad__memory_store *)(void *)s;
}

static kad_bytes copy_to(uint8_t **at, kad_bytes from) {
  kad_bytes copy = kad__bytes(*at, from.len);
  if (from.len > 0) {
    memcpy(*at, from.data, from.len);
    *at += from.len;
  }
  return copy;
}

/* ---- values ------------------------------------------------------------- */

static value *value_find(const kad__memory_store *m, kad_bytes key) {
  kad__ordered_node *node = kad__ordered_find(&m->values, key);
  return node == NULL ? NULL : KAD__CONTAINER(node, value, node);
}

static value *value_new(kad__memory_store *m, const kad__record *record,
                        bool own) {
  size_t len = record->key.len + record->value.len + record->publisher.len;
  value *v = kad__alloc(&m->allocator, sizeof *v + len);
  if (v == NULL) {
    return NULL;
  }
  uint8_t *at = v->bytes;
  v->own = own;
  v->size = sizeof *v + len;
  v->share.share = NULL;
  v->record = (kad__record){.expires = record->expires};
  v->record.key = copy_to(&at, record->key);
  v->record.value = copy_to(&at, record->value);
  v->record.publisher = copy_to(&at, record->publisher);
  kad__heap_node_init(&v->expiry);
  return v;
}

static void value_free(kad__memory_store *m, value *v) {
  kad__shares_remove(&m->value_shares, &v->share);
  kad__heap_remove(&m->value_expiry, &v->expiry);
  kad__release(&m->allocator, v);
}

static void value_remove(kad__memory_store *m, value *v) {
  kad__ordered_remove(&m->values, &v->node);
  m->own_values -= v->own;
  if (!v->own) {
    m->value_bytes -= v->size;
  }
  value_free(m, v);
}

/* Timer and share of a value that is not in the tree yet. */
static int value_charge(kad__memory_store *m, value *v,
                        const kad__record *record) {
  if (v->record.expires != KAD_TIME_NEVER) {
    int error = kad__heap_set(&m->value_expiry, &m->allocator, &v->expiry,
                              v->record.expires);
    if (error != 0) {
      return error;
    }
  }
  return v->own ? 0
                : kad__shares_add(&m->value_shares, &v->share, record->source,
                                  record->group);
}

/* Room for a value of others beside what `old` gives up. */
static int value_make_room(kad__memory_store *m, const value *old, size_t size,
                           const kad__record *record) {
  for (;;) {
    bool replaces = old != NULL && !old->own;
    uint32_t others = m->values.len - m->own_values - replaces;
    size_t bytes = m->value_bytes - (replaces ? old->size : 0);
    if (others < m->config.max_records && size <= m->config.max_bytes &&
        bytes <= m->config.max_bytes - size) {
      return 0;
    }
    kad__share *share =
        kad__shares_victim(&m->value_shares, record->source, record->group);
    if (share == NULL) {
      return KAD_E_STORE_FULL;
    }
    value *victim = KAD__CONTAINER(share->items.next, value, share.link);
    if (victim == old) {
      return KAD_E_STORE_FULL;
    }
    value_remove(m, victim);
  }
}

static bool memory_get(kad__store *s, kad__record *out, kad_bytes key) {
  const value *v = value_find(self(s), key);
  if (v != NULL) {
    *out = v->record;
  }
  return v != NULL;
}

static int value_admit(kad__memory_store *m, const kad__record *record,
                       const value *old, const value *v) {
  if (!v->own) {
    return value_make_room(m, old, v->size, record);
  }
  uint32_t own = m->own_values - (old != NULL && old->own);
  return own < m->config.max_own_records ? 0 : KAD_E_STORE_FULL;
}

static int memory_put(kad__store *s, const kad__record *record, bool own) {
  kad__memory_store *m = self(s);
  if (record->value.len > m->config.max_value) {
    return KAD_E_RECORD_TOO_LARGE;
  }
  value *old = value_find(m, record->key);
  value *v = value_new(m, record, own);
  if (v == NULL) {
    return KAD_E_NO_MEMORY;
  }
  int error = value_admit(m, record, old, v);
  if (error == 0) {
    error = value_charge(m, v, record);
  }
  if (error != 0) {
    value_free(m, v);
    return error;
  }
  if (old != NULL) {
    value_remove(m, old);
  }
  kad__ordered_add(&m->values, &v->node, v->record.key);
  m->own_values += own;
  m->value_bytes += own ? 0 : v->size;
  return 0;
}

static void memory_remove(kad__store *s, kad_bytes key) {
  value *v = value_find(self(s), key);
  if (v != NULL) {
    value_remove(self(s), v);
  }
}

static bool memory_next(kad__store *s, kad__record *out, bool *own,
                        kad_bytes after) {
  kad__ordered_node *node = kad__ordered_next(&self(s)->values, after);
  if (node == NULL) {
    return false;
  }
  const value *v = KAD__CONTAINER(node, value, node);
  *out = v->record;
  *own = v->own;
  return true;
}

/* ---- the store ---------------------------------------------------------- */

static void memory_expire(kad__store *s, kad_time now) {
  kad__memory_store *m = self(s);
  for (int i = 0; i < EXPIRE_AT_ONCE; i++) {
    kad__heap_node *node = kad__heap_take_due(&m->value_expiry, now);
    if (node == NULL) {
      break;
    }
    value_remove(m, KAD__CONTAINER(node, value, expiry));
  }
  kad__memory_providers_expire(m, now, EXPIRE_AT_ONCE);
}

static kad_time memory_deadline(const kad__store *s) {
  const kad__memory_store *m = (const kad__memory_store *)(const void *)s;
  return kad__time_min(kad__heap_deadline(&m->value_expiry),
                       kad__heap_deadline(&m->provider_expiry));
}

static void memory_free(kad__store *s) {
  kad__memory_store *m = self(s);
  kad_allocator allocator = m->allocator;
  while (m->values.root != NULL) {
    value_remove(m, KAD__CONTAINER(m->values.root, value, node));
  }
  kad__heap_fini(&m->value_expiry, &allocator);
  kad__shares_fini(&m->value_shares);
  kad__memory_providers_fini(m);
  kad__release(&allocator, m);
}

static const kad__store_class memory_class = {
    .get = memory_get,
    .put = memory_put,
    .remove = memory_remove,
    .next = memory_next,
    .add_provider = kad__memory_add_provider,
    .providers = kad__memory_providers,
    .remove_provider = kad__memory_remove_provider,
    .next_provided = kad__memory_next_provided,
    .expire = memory_expire,
    .deadline = memory_deadline,
    .free = memory_free};

int kad__memory_store_new(kad__store **out, const kad_allocator *allocator,
                          const kad__memory_store_config *config,
                          const uint64_t secret[2]) {
  kad__memory_store *m = kad__calloc(allocator, 1, sizeof *m);
  if (m == NULL) {
    return KAD_E_NO_MEMORY;
  }
  m->store.ops = &memory_class;
  m->allocator = *allocator;
  m->config = *config;
  kad__ordered_init(&m->values, secret);
  kad__shares_init(&m->value_shares, &m->allocator, secret);
  kad__memory_providers_init(m, secret);
  *out = &m->store;
  return 0;
}
