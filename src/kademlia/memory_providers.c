/* Provider records: a key has a list of those that provide it, in the order in
 * which they came; a heap says which expires next; each record of another peer
 * is charged to it. Our own are kept apart from every limit that others can
 * reach. */
#include "kademlia/memory_store_state.h"

typedef struct provider_key {
  kad__map_node node;
  kad__list records;
  uint32_t count;
  uint32_t others;
  uint32_t key_len;
  uint8_t key[];
} provider_key;

typedef struct provider {
  kad__list link; /* of its key */
  kad__heap_node expiry;
  kad__share_item share;      /* others' only */
  kad__ordered_node provided; /* our own only */
  provider_key *of;
  kad__provider record;
  uint64_t rank; /* in the secret order of a full key */
  uint32_t slot; /* of its network, see kad__crowd */
  size_t size;
  bool own;
  uint8_t bytes[];
} provider;

static kad__memory_store *self(kad__store *s) {
  return (kad__memory_store *)(void *)s;
}

void kad__memory_providers_init(kad__memory_store *m,
                                const uint64_t secret[2]) {
  m->secret[0] = secret[0];
  m->secret[1] = secret[1];
  kad__map_init(&m->provider_keys, secret);
  kad__ordered_init(&m->provided, secret);
  kad__shares_init(&m->provider_shares, &m->allocator, secret);
}

/* ---- keys --------------------------------------------------------------- */

static provider_key *key_find(const kad__memory_store *m, kad_bytes key) {
  kad__map_node *node = kad__map_find(&m->provider_keys, key);
  return node == NULL ? NULL : KAD__CONTAINER(node, provider_key, node);
}

static provider_key *key_new(kad__memory_store *m, kad_bytes key) {
  provider_key *k = kad__alloc(&m->allocator, sizeof *k + key.len);
  if (k == NULL) {
    return NULL;
  }
  kad__list_init(&k->records);
  k->count = 0;
  k->others = 0;
  k->key_len = (uint32_t)key.len;
  if (key.len > 0) {
    memcpy(k->key, key.data, key.len);
  }
  if (kad__map_add(&m->provider_keys, &m->allocator, &k->node,
                   kad__bytes(k->key, key.len)) != 0) {
    kad__release(&m->allocator, k);
    return NULL;
  }
  return k;
}

static void key_drop_if_empty(kad__memory_store *m, provider_key *k) {
  if (k->count == 0) {
    kad__map_remove(&m->provider_keys, &k->node);
    kad__release(&m->allocator, k);
  }
}

/* ---- records ------------------------------------------------------------ */

static provider *find(const provider_key *k, kad_bytes id) {
  KAD__LIST_EACH(link, (kad__list *)(uintptr_t)&k->records) {
    provider *p = KAD__CONTAINER(link, provider, link);
    if (kad__bytes_equal(p->record.provider, id)) {
      return p;
    }
  }
  return NULL;
}

static provider *provider_new(kad__memory_store *m, const kad__provider *record,
                              bool own) {
  size_t len = record->provider.len + record->addresses.len;
  provider *p = kad__alloc(&m->allocator, sizeof *p + len);
  if (p == NULL) {
    return NULL;
  }
  memcpy(p->bytes, record->provider.data, record->provider.len);
  if (record->addresses.len > 0) {
    memcpy(p->bytes + record->provider.len, record->addresses.data,
           record->addresses.len);
  }
  kad__list_init(&p->link);
  kad__heap_node_init(&p->expiry);
  p->share.share = NULL;
  p->own = own;
  p->of = NULL;
  p->rank = kad__siphash(m->secret, record->provider);
  p->slot = kad__crowd_slot(m->secret, record->group);
  p->size = sizeof *p + sizeof(provider_key) + len;
  p->record =
      (kad__provider){.provider = kad__bytes(p->bytes, record->provider.len),
                      .addresses = kad__bytes(p->bytes + record->provider.len,
                                              record->addresses.len),
                      .expires = record->expires,
                      .group = record->group};
  return p;
}

/* A record that belongs to no key (any more). */
static void provider_free(kad__memory_store *m, provider *p) {
  kad__heap_remove(&m->provider_expiry, &p->expiry);
  kad__shares_remove(&m->provider_shares, &p->share);
  kad__release(&m->allocator, p);
}

static void unlink_from_key(kad__memory_store *m, provider *p) {
  provider_key *k = p->of;
  kad__list_unlink(&p->link);
  k->count--;
  if (p->own) {
    kad__ordered_remove(&m->provided, &p->provided);
    return;
  }
  k->others--;
  m->other_keys -= k->others == 0;
  m->provider_bytes -= p->size;
}

static void provider_remove(kad__memory_store *m, provider *p) {
  provider_key *k = p->of;
  unlink_from_key(m, p);
  provider_free(m, p);
  key_drop_if_empty(m, k);
}

/* `before`: takes the place of that record, which goes. */
static void provider_link(kad__memory_store *m, provider_key *k, provider *p,
                          provider *before) {
  p->of = k;
  p->record.key = kad__bytes(k->key, k->key_len);
  kad__list_append(before != NULL ? &before->link : &k->records, &p->link);
  k->count++;
  if (p->own) {
    if (before != NULL) {
      unlink_from_key(m, before);
      provider_free(m, before);
    }
    kad__ordered_add(&m->provided, &p->provided, p->record.key);
    return;
  }
  m->other_keys += k->others == 0;
  k->others++;
  m->provider_bytes += p->size;
  if (before != NULL) {
    unlink_from_key(m, before);
    provider_free(m, before);
  }
}

/* ---- limits ------------------------------------------------------------- */

/* The slot of the network of which one makes way in a full key. */
static uint32_t victim_slot(const provider_key *k, uint32_t slot) {
  kad__crowd crowd = {0};
  KAD__LIST_EACH(link, (kad__list *)(uintptr_t)&k->records) {
    const provider *p = KAD__CONTAINER(link, provider, link);
    if (!p->own) {
      kad__crowd_add(&crowd, p->slot);
    }
  }
  return kad__crowd_victim(&crowd, slot);
}

/* Of those of a slot: the record that comes last in the secret order. */
static provider *last_in_order(const provider_key *k, uint32_t slot) {
  provider *last = NULL;
  KAD__LIST_EACH(link, (kad__list *)(uintptr_t)&k->records) {
    provider *p = KAD__CONTAINER(link, provider, link);
    if (!p->own && p->slot == slot && (last == NULL || p->rank > last->rank)) {
      last = p;
    }
  }
  return last;
}

static int key_make_room(kad__memory_store *m, const provider_key *k,
                         const provider *newcomer) {
  if (k == NULL || k->others < m->config.max_providers_per_key) {
    return 0;
  }
  uint32_t slot = victim_slot(k, newcomer->slot);
  provider *last = last_in_order(k, slot);
  bool same = slot == newcomer->slot;
  if (last == NULL || (same && last->rank <= newcomer->rank)) {
    return KAD_E_STORE_FULL;
  }
  provider_remove(m, last);
  return 0;
}

static bool fits(const kad__memory_store *m, bool new_key, size_t size) {
  return m->other_keys + new_key <= m->config.max_provider_keys &&
         size <= m->config.max_provider_bytes &&
         m->provider_bytes <= m->config.max_provider_bytes - size;
}

static int make_room(kad__memory_store *m, kad_bytes key,
                     const provider *newcomer) {
  for (;;) {
    const provider_key *k = key_find(m, key);
    if (fits(m, k == NULL || k->others == 0, newcomer->size)) {
      return 0;
    }
    kad__share *share = kad__shares_victim(
        &m->provider_shares, newcomer->record.provider, newcomer->record.group);
    if (share == NULL) {
      return KAD_E_STORE_FULL;
    }
    provider_remove(m, KAD__CONTAINER(share->items.next, provider, share.link));
  }
}

/* Another peer's record that is not here yet. */
static int admit(kad__memory_store *m, kad_bytes key,
                 const provider *newcomer) {
  if (kad__shares_count(&m->provider_shares, newcomer->record.provider) >=
      m->config.max_keys_per_provider) {
    return KAD_E_STORE_FULL;
  }
  int error = make_room(m, key, newcomer);
  return error != 0 ? error : key_make_room(m, key_find(m, key), newcomer);
}

/* ---- operations --------------------------------------------------------- */

static int charge(kad__memory_store *m, provider *p) {
  if (p->record.expires != KAD_TIME_NEVER) {
    int error = kad__heap_set(&m->provider_expiry, &m->allocator, &p->expiry,
                              p->record.expires);
    if (error != 0) {
      return error;
    }
  }
  return p->own ? 0
                : kad__shares_add(&m->provider_shares, &p->share,
                                  p->record.provider, p->record.group);
}

static int admit_any(kad__memory_store *m, kad_bytes key, const provider *p,
                     const provider *old) {
  if (old != NULL && old->own == p->own) {
    bool larger = !p->own && p->size > old->size &&
                  m->provider_bytes + (p->size - old->size) >
                      m->config.max_provider_bytes;
    return larger ? KAD_E_STORE_FULL : 0;
  }
  if (p->own) {
    return m->provided.len < m->config.max_provided ? 0 : KAD_E_STORE_FULL;
  }
  return admit(m, key, p);
}

static int add(kad__memory_store *m, kad_bytes key, provider *p) {
  provider_key *k = key_find(m, key);
  provider *old = k == NULL ? NULL : find(k, p->record.provider);
  int error = admit_any(m, key, p, old);
  if (error == 0) {
    error = charge(m, p);
  }
  if (error != 0) {
    return error;
  }
  /* Making room may have taken the key, or the old record, along. */
  k = key_find(m, key);
  old = k == NULL ? NULL : find(k, p->record.provider);
  k = k != NULL ? k : key_new(m, key);
  if (k == NULL) {
    return KAD_E_NO_MEMORY;
  }
  provider_link(m, k, p, old);
  return 0;
}

int kad__memory_add_provider(kad__store *s, const kad__provider *record,
                             bool own) {
  kad__memory_store *m = self(s);
  provider *p = provider_new(m, record, own);
  if (p == NULL) {
    return KAD_E_NO_MEMORY;
  }
  int error = add(m, record->key, p);
  if (error != 0) {
    provider_free(m, p);
  }
  return error;
}

size_t kad__memory_providers(kad__store *s, kad__provider *out, size_t cap,
                             kad_bytes key) {
  kad__memory_store *m = self(s);
  const provider_key *k = key_find(m, key);
  if (k == NULL || cap == 0) {
    return 0;
  }
  /* More than can be told: another part of them each time. */
  uint32_t skip = k->count <= cap ? 0 : m->turn++ % k->count;
  uint32_t at = 0;
  size_t n = 0;
  const kad__list *link = &k->records;
  while (n < cap && n < k->count) {
    link = link->next;
    if (link == &k->records) {
      continue;
    }
    if (at++ >= skip) {
      const char *base = (const char *)link - offsetof(provider, link);
      out[n++] = ((const provider *)(const void *)base)->record;
    }
  }
  return n;
}

void kad__memory_remove_provider(kad__store *s, kad_bytes key, kad_bytes id) {
  kad__memory_store *m = self(s);
  const provider_key *k = key_find(m, key);
  provider *p = k == NULL ? NULL : find(k, id);
  if (p != NULL) {
    provider_remove(m, p);
  }
}

bool kad__memory_next_provided(kad__store *s, kad__provider *out,
                               kad_bytes after) {
  kad__ordered_node *node = kad__ordered_next(&self(s)->provided, after);
  if (node == NULL) {
    return false;
  }
  *out = KAD__CONTAINER(node, provider, provided)->record;
  return true;
}

void kad__memory_providers_expire(kad__memory_store *m, kad_time now,
                                  int limit) {
  for (int i = 0; i < limit; i++) {
    kad__heap_node *node = kad__heap_take_due(&m->provider_expiry, now);
    if (node == NULL) {
      return;
    }
    provider_remove(m, KAD__CONTAINER(node, provider, expiry));
  }
}

void kad__memory_providers_fini(kad__memory_store *m) {
  uint32_t slot = 0;
  kad__map_node *node = kad__map_next(&m->provider_keys, &slot, NULL);
  while (node != NULL) {
    kad__map_node *next = kad__map_next(&m->provider_keys, &slot, node);
    provider_key *k = KAD__CONTAINER(node, provider_key, node);
    KAD__LIST_EACH(link, &k->records) {
      provider_free(m, KAD__CONTAINER(link, provider, link));
    }
    kad__release(&m->allocator, k);
    node = next;
  }
  kad__map_fini(&m->provider_keys, &m->allocator);
  kad__heap_fini(&m->provider_expiry, &m->allocator);
  kad__shares_fini(&m->provider_shares);
}
