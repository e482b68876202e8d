/* The heap of deadlines serves as a heap of shares: the larger the share, the
 * earlier its "deadline". */
#include "kademlia/shares.h"

#include "base/alloc.h"

void kad__shares_init(kad__shares *shares, const kad_allocator *allocator,
                      const uint64_t secret[2]) {
  *shares = (kad__shares){.allocator = allocator};
  kad__map_init(&shares->map, secret);
}

void kad__shares_fini(kad__shares *shares) {
  kad__map_fini(&shares->map, shares->allocator);
  kad__heap_fini(&shares->ranks, shares->allocator);
}

static kad__share *find(const kad__shares *shares, kad_bytes source) {
  kad__map_node *node = kad__map_find(&shares->map, source);
  return node == NULL ? NULL : KAD__CONTAINER(node, kad__share, node);
}

static kad__share *create(kad__shares *shares, kad_bytes source) {
  kad__share *share = kad__alloc(shares->allocator, sizeof *share + source.len);
  if (share == NULL) {
    return NULL;
  }
  share->count = 0;
  kad__list_init(&share->items);
  kad__heap_node_init(&share->rank);
  if (source.len > 0) {
    memcpy(share->source, source.data, source.len);
  }
  if (kad__heap_set(&shares->ranks, shares->allocator, &share->rank,
                    KAD_TIME_NEVER) != 0) {
    kad__release(shares->allocator, share);
    return NULL;
  }
  if (kad__map_add(&shares->map, shares->allocator, &share->node,
                   kad__bytes(share->source, source.len)) != 0) {
    kad__heap_remove(&shares->ranks, &share->rank);
    kad__release(shares->allocator, share);
    return NULL;
  }
  return share;
}

static void rank(kad__shares *shares, kad__share *share) {
  /* Moving a node that is in the heap cannot fail. */
  (void)kad__heap_set(&shares->ranks, shares->allocator, &share->rank,
                      KAD_TIME_NEVER - share->count);
}

int kad__shares_add(kad__shares *shares, kad__share_item *item,
                    kad_bytes source) {
  kad__share *share = find(shares, source);
  share = share != NULL ? share : create(shares, source);
  if (share == NULL) {
    return KAD_E_NO_MEMORY;
  }
  kad__list_append(&share->items, &item->link);
  item->share = share;
  share->count++;
  rank(shares, share);
  return 0;
}

void kad__shares_remove(kad__shares *shares, kad__share_item *item) {
  kad__share *share = item->share;
  if (share == NULL) {
    return;
  }
  kad__list_unlink(&item->link);
  item->share = NULL;
  if (--share->count > 0) {
    rank(shares, share);
    return;
  }
  kad__heap_remove(&shares->ranks, &share->rank);
  kad__map_remove(&shares->map, &share->node);
  kad__release(shares->allocator, share);
}

uint32_t kad__shares_count(const kad__shares *shares, kad_bytes source) {
  const kad__share *share = find(shares, source);
  return share == NULL ? 0 : share->count;
}

kad__share_item *kad__shares_victim(const kad__shares *shares,
                                    kad_bytes source) {
  kad__heap_node *first = kad__heap_first(&shares->ranks);
  if (first == NULL) {
    return NULL;
  }
  kad__share *largest = KAD__CONTAINER(first, kad__share, rank);
  if (largest->count <= kad__shares_count(shares, source) + 1) {
    return NULL;
  }
  return KAD__CONTAINER(largest->items.next, kad__share_item, link);
}
