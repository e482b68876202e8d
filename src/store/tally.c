/* A map from source to entry, and the heap of deadlines as a heap of counts:
 * the larger the count, the earlier its "deadline". */
#include "store/tally.h"

#include "base/alloc.h"
#include "base/bytes.h"

void kad__tally_init(kad__tally *tally, const kad_allocator *allocator,
                     const uint64_t secret[2]) {
  *tally = (kad__tally){.allocator = allocator};
  kad__map_init(&tally->map, secret);
}

static void entry_free(kad__tally *tally, kad__tally_entry *entry) {
  kad__heap_remove(&tally->ranks, &entry->rank);
  kad__map_remove(&tally->map, &entry->node);
  kad__release(tally->allocator, entry);
}

void kad__tally_fini(kad__tally *tally) {
  kad__heap_node *first;
  while ((first = kad__heap_first(&tally->ranks)) != NULL) {
    entry_free(tally, KAD__CONTAINER(first, kad__tally_entry, rank));
  }
  kad__heap_fini(&tally->ranks, tally->allocator);
  kad__map_fini(&tally->map, tally->allocator);
}

static kad__tally_entry *entry_new(kad__tally *tally, kad_bytes source) {
  kad__tally_entry *e = kad__alloc(tally->allocator, sizeof *e + source.len);
  if (e == NULL) {
    return NULL;
  }
  e->count = 0;
  e->source_len = (uint32_t)source.len;
  kad__heap_node_init(&e->rank);
  if (source.len > 0) {
    memcpy(e->source, source.data, source.len);
  }
  if (kad__heap_set(&tally->ranks, tally->allocator, &e->rank,
                    KAD_TIME_NEVER) != 0) {
    kad__release(tally->allocator, e);
    return NULL;
  }
  if (kad__map_add(&tally->map, tally->allocator, &e->node,
                   kad__bytes(e->source, source.len)) != 0) {
    kad__heap_remove(&tally->ranks, &e->rank);
    kad__release(tally->allocator, e);
    return NULL;
  }
  return e;
}

static void rank(kad__tally *tally, kad__tally_entry *entry) {
  /* Moving a node that is in the heap cannot fail. */
  (void)kad__heap_set(&tally->ranks, tally->allocator, &entry->rank,
                      KAD_TIME_NEVER - entry->count);
}

int kad__tally_add(kad__tally *tally, kad_bytes source, uint32_t count) {
  kad__tally_entry *entry = kad__tally_find(tally, source);
  entry = entry != NULL ? entry : entry_new(tally, source);
  if (entry == NULL) {
    return KAD_E_NO_MEMORY;
  }
  entry->count += count;
  rank(tally, entry);
  return 0;
}

void kad__tally_take(kad__tally *tally, kad__tally_entry *entry) {
  if (entry == NULL) {
    return;
  }
  if (--entry->count == 0) {
    entry_free(tally, entry);
    return;
  }
  rank(tally, entry);
}

kad__tally_entry *kad__tally_find(const kad__tally *tally, kad_bytes source) {
  kad__map_node *node = kad__map_find(&tally->map, source);
  return node == NULL ? NULL : KAD__CONTAINER(node, kad__tally_entry, node);
}

uint32_t kad__tally_count(const kad__tally *tally, kad_bytes source) {
  const kad__tally_entry *entry = kad__tally_find(tally, source);
  return entry == NULL ? 0 : entry->count;
}

kad__tally_entry *kad__tally_victim(const kad__tally *tally, kad_bytes source) {
  kad__heap_node *first = kad__heap_first(&tally->ranks);
  if (first == NULL) {
    return NULL;
  }
  kad__tally_entry *largest = KAD__CONTAINER(first, kad__tally_entry, rank);
  return largest->count <= kad__tally_count(tally, source) + 1 ? NULL : largest;
}
