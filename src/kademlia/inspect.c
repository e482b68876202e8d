/* Views are small copies: nothing of the tables' own structure gets out, so it
 * can change without anybody noticing. */
#include "kademlia/inspect.h"

#include "kademlia/state.h"

/* ---- buckets ------------------------------------------------------------- */

static kad__bucket_view bucket_view(const kad__dht *dht, uint32_t index) {
  kad__bucket_view view = {.index = index};
  if (index < dht->table.bucket_count) {
    view.entries = dht->table.buckets[index].count;
    view.pending = dht->table.buckets[index].pending != NULL;
  }
  return view;
}

/* The cursor counts the buckets that were seen, from the deepest on. */
bool kad__dht_next_bucket(const kad__dht *dht, uint32_t *cursor,
                          kad__bucket_view *out) {
  while (*cursor < dht->table.bucket_count) {
    *out = bucket_view(dht, dht->table.bucket_count - 1 - (*cursor)++);
    if (out->entries > 0 || out->pending) {
      return true;
    }
  }
  return false;
}

bool kad__dht_bucket_of(const kad__dht *dht, kad_bytes key,
                        kad__bucket_view *out) {
  kad__key point = kad__key_of(dht->config.hash, key);
  uint32_t index = kad__table_index(&dht->table, &point);
  if (index == KAD__KEY_BITS) {
    return false;
  }
  *out = bucket_view(dht, index);
  return true;
}

static void entry_view(const kad__dht *dht, kad__entry_view *out,
                       const kad__entry *entry, uint32_t bucket) {
  *out = (kad__entry_view){
      .peer = kad__peer_id(dht->book, entry->peer),
      .addresses = kad__list_bytes(dht->book, entry->addresses),
      .bucket = bucket,
      .connected = (entry->flags & KAD__ENTRY_CONNECTED) != 0};
}

bool kad__dht_next_entry(const kad__dht *dht, uint32_t bucket, uint32_t *cursor,
                         kad__entry_view *out) {
  if (bucket >= dht->table.bucket_count) {
    return false;
  }
  const kad__bucket *b = &dht->table.buckets[bucket];
  uint32_t at = (*cursor)++;
  if (at < b->count) {
    entry_view(dht, out, &b->entries[at], bucket);
    return true;
  }
  if (at > b->count || b->pending == NULL) {
    return false;
  }
  entry_view(dht, out, &b->pending->entry, bucket);
  out->pending = true;
  return true;
}

/* ---- queries ------------------------------------------------------------- */

static void query_view(kad__query_view *out, const kad__query *q) {
  *out = (kad__query_view){.id = q->id,
                           .kind = q->kind,
                           .spreading = q->phase == KAD__PHASE_SPREAD,
                           .step = q->steps,
                           .got = q->got,
                           .stored = q->stored,
                           .remaining = q->bootstrap.remaining,
                           .key = kad__query_key(q),
                           .stats = q->stats};
}

bool kad__dht_query(const kad__dht *dht, kad__query_id id,
                    kad__query_view *out) {
  const kad__query *q = kad__query_find(dht, id);
  if (q == NULL || q->reported) {
    return false;
  }
  query_view(out, q);
  return true;
}

bool kad__dht_next_query(const kad__dht *dht, kad__query_id id,
                         kad__query_view *out) {
  const kad__list *head = &dht->query_list;
  const kad__query *last = kad__query_find(dht, id);
  kad__list *link = last != NULL ? last->link.next : head->next;
  for (; link != head; link = link->next) {
    const kad__query *q = KAD__CONTAINER(link, kad__query, link);
    if (q->id > id && !q->reported) {
      query_view(out, q);
      return true;
    }
  }
  return false;
}

size_t kad__dht_background(const kad__dht *dht) {
  const kad__list *head = &dht->query_list;
  size_t count = 0;
  for (kad__list *link = head->next; link != head; link = link->next) {
    count += KAD__CONTAINER(link, kad__query, link)->reported;
  }
  return count;
}
