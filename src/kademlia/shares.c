/* The heap of deadlines serves as a heap of shares: the larger the share, the
 * earlier its "deadline". A peer is in one group at a time, that of its last
 * item: so its own count stays one number, and in whichever group it is, it is
 * the largest peer there that gives way first. */
#include "kademlia/shares.h"

#include "base/alloc.h"
#include "base/bytes.h"

void kad__shares_init(kad__shares *shares, const kad_allocator *allocator,
                      const uint64_t secret[2]) {
  *shares = (kad__shares){.allocator = allocator};
  kad__map_init(&shares->peers, secret);
  kad__map_init(&shares->groups, secret);
}

/* ---- ranks -------------------------------------------------------------- */

/* Where the rank of a peer of `group` (NULL: of none) has its place. */
static kad__heap *heap_of(kad__shares *shares, kad__share_group *group) {
  return group == NULL ? &shares->ranks : &group->peers;
}

static int rank_set(kad__shares *shares, kad__heap *heap,
                    kad__share_rank *rank) {
  return kad__heap_set(heap, shares->allocator, &rank->node,
                       KAD_TIME_NEVER - rank->count);
}

/* Counts, and puts in order what is in its heap already: that cannot fail. */
static void count(kad__shares *shares, kad__heap *heap, kad__share_rank *rank,
                  uint32_t more, uint32_t less) {
  rank->count = rank->count + more - less;
  (void)rank_set(shares, heap, rank);
}

static kad__share_rank *first_of(const kad__heap *heap) {
  kad__heap_node *first = kad__heap_first(heap);
  return first == NULL ? NULL : KAD__CONTAINER(first, kad__share_rank, node);
}

/* ---- groups ------------------------------------------------------------- */

static kad__share_group *group_find(const kad__shares *shares, uint64_t group) {
  uint8_t name[8];
  kad__store64(name, group);
  kad__map_node *node =
      group == 0 ? NULL : kad__map_find(&shares->groups, kad__bytes(name, 8));
  return node == NULL ? NULL : KAD__CONTAINER(node, kad__share_group, node);
}

static kad__share_group *group_new(kad__shares *shares, uint64_t group) {
  kad__share_group *g = kad__calloc(shares->allocator, 1, sizeof *g);
  if (g == NULL) {
    return NULL;
  }
  g->rank.group = true;
  kad__heap_node_init(&g->rank.node);
  kad__store64(g->name, group);
  if (rank_set(shares, &shares->ranks, &g->rank) != 0) {
    kad__release(shares->allocator, g);
    return NULL;
  }
  if (kad__map_add(&shares->groups, shares->allocator, &g->node,
                   kad__bytes(g->name, sizeof g->name)) != 0) {
    kad__heap_remove(&shares->ranks, &g->rank.node);
    kad__release(shares->allocator, g);
    return NULL;
  }
  return g;
}

static void group_drop_if_empty(kad__shares *shares, kad__share_group *g) {
  if (g == NULL || g->rank.count > 0 || g->peers.len > 0) {
    return;
  }
  kad__heap_remove(&shares->ranks, &g->rank.node);
  kad__map_remove(&shares->groups, &g->node);
  kad__heap_fini(&g->peers, shares->allocator);
  kad__release(shares->allocator, g);
}

/* ---- peers -------------------------------------------------------------- */

kad__share *kad__shares_find(const kad__shares *shares, kad_bytes source) {
  kad__map_node *node = kad__map_find(&shares->peers, source);
  return node == NULL ? NULL : KAD__CONTAINER(node, kad__share, node);
}

static kad__share *create(kad__shares *shares, kad_bytes source) {
  kad__share *share = kad__alloc(shares->allocator, sizeof *share + source.len);
  if (share == NULL) {
    return NULL;
  }
  *share = (kad__share){0};
  kad__list_init(&share->items);
  kad__heap_node_init(&share->rank.node);
  if (source.len > 0) {
    memcpy(share->source, source.data, source.len);
  }
  if (rank_set(shares, &shares->ranks, &share->rank) != 0) {
    kad__release(shares->allocator, share);
    return NULL;
  }
  if (kad__map_add(&shares->peers, shares->allocator, &share->node,
                   kad__bytes(share->source, source.len)) != 0) {
    kad__heap_remove(&shares->ranks, &share->rank.node);
    kad__release(shares->allocator, share);
    return NULL;
  }
  return share;
}

static void drop_if_empty(kad__shares *shares, kad__share *share) {
  kad__share_group *group = share->group;
  if (share->rank.count > 0) {
    return;
  }
  kad__heap_remove(heap_of(shares, group), &share->rank.node);
  kad__map_remove(&shares->peers, &share->node);
  kad__release(shares->allocator, share);
  group_drop_if_empty(shares, group);
}

/* Moves a peer, with all that it has, to another group. */
static int move(kad__shares *shares, kad__share *share, uint64_t name) {
  kad__share_group *old = share->group;
  kad__share_group *group = group_find(shares, name);
  if (name == 0 || (group != NULL && group == old)) {
    return 0;
  }
  group = group != NULL ? group : group_new(shares, name);
  if (group == NULL) {
    return KAD_E_NO_MEMORY;
  }
  kad__heap_remove(heap_of(shares, old), &share->rank.node);
  if (rank_set(shares, &group->peers, &share->rank) != 0) {
    /* Its place in the old heap is still there: this cannot fail. */
    (void)rank_set(shares, heap_of(shares, old), &share->rank);
    group_drop_if_empty(shares, group);
    return KAD_E_NO_MEMORY;
  }
  share->group = group;
  count(shares, &shares->ranks, &group->rank, share->rank.count, 0);
  if (old != NULL) {
    count(shares, &shares->ranks, &old->rank, 0, share->rank.count);
    group_drop_if_empty(shares, old);
  }
  return 0;
}

void kad__shares_fini(kad__shares *shares) {
  for (;;) {
    kad__share_rank *rank = first_of(&shares->ranks);
    if (rank != NULL && rank->group) {
      rank = first_of(&KAD__CONTAINER(rank, kad__share_group, rank)->peers);
    }
    if (rank == NULL) {
      break;
    }
    kad__share *share = KAD__CONTAINER(rank, kad__share, rank);
    if (share->group != NULL) {
      count(shares, &shares->ranks, &share->group->rank, 0, rank->count);
    }
    rank->count = 0;
    drop_if_empty(shares, share);
  }
  kad__map_fini(&shares->peers, shares->allocator);
  kad__map_fini(&shares->groups, shares->allocator);
  kad__heap_fini(&shares->ranks, shares->allocator);
}

/* ---- charging ----------------------------------------------------------- */

int kad__shares_charge(kad__shares *shares, kad__share **out, kad_bytes source,
                       uint64_t group) {
  kad__share *share = kad__shares_find(shares, source);
  share = share != NULL ? share : create(shares, source);
  if (share == NULL) {
    return KAD_E_NO_MEMORY;
  }
  int error = move(shares, share, group);
  if (error != 0) {
    drop_if_empty(shares, share);
    return error;
  }
  count(shares, heap_of(shares, share->group), &share->rank, 1, 0);
  if (share->group != NULL) {
    count(shares, &shares->ranks, &share->group->rank, 1, 0);
  }
  *out = share;
  return 0;
}

void kad__shares_discharge(kad__shares *shares, kad__share *share) {
  if (share == NULL) {
    return;
  }
  count(shares, heap_of(shares, share->group), &share->rank, 0, 1);
  if (share->group != NULL) {
    count(shares, &shares->ranks, &share->group->rank, 0, 1);
  }
  drop_if_empty(shares, share);
}

int kad__shares_add(kad__shares *shares, kad__share_item *item,
                    kad_bytes source, uint64_t group) {
  kad__share *share;
  int error = kad__shares_charge(shares, &share, source, group);
  if (error == 0) {
    kad__list_append(&share->items, &item->link);
    item->share = share;
  }
  return error;
}

void kad__shares_remove(kad__shares *shares, kad__share_item *item) {
  kad__share *share = item->share;
  if (share != NULL) {
    kad__list_unlink(&item->link);
    item->share = NULL;
    kad__shares_discharge(shares, share);
  }
}

/* ---- who makes way ------------------------------------------------------ */

uint32_t kad__shares_count(const kad__shares *shares, kad_bytes source) {
  const kad__share *share = kad__shares_find(shares, source);
  return share == NULL ? 0 : share->rank.count;
}

/* What the network of a newcomer has, its own items included, which move with
 * it; or what it has itself, when it stands for itself. */
static uint32_t standing(const kad__share_group *group,
                         const kad__share *share) {
  uint32_t own = share == NULL ? 0 : share->rank.count;
  if (group == NULL) {
    return own;
  }
  bool inside = share != NULL && share->group == group;
  return group->rank.count + (inside ? 0 : own);
}

kad__share *kad__shares_victim(const kad__shares *shares, kad_bytes source,
                               uint64_t name) {
  kad__share_rank *largest = first_of(&shares->ranks);
  const kad__share *share = kad__shares_find(shares, source);
  const kad__share_group *group = group_find(shares, name);
  uint32_t own = share == NULL ? 0 : share->rank.count;
  if (name == 0 && share != NULL) {
    group = share->group;
  }
  if (largest == NULL) {
    return NULL;
  }
  if (largest->count > standing(group, share) + 1) {
    if (largest->group) {
      largest =
          first_of(&KAD__CONTAINER(largest, kad__share_group, rank)->peers);
    }
    return KAD__CONTAINER(largest, kad__share, rank);
  }
  /* No network has more than this one: its peers share what it has. */
  largest = group == NULL ? NULL : first_of(&group->peers);
  if (largest == NULL || largest->count <= own + 1) {
    return NULL;
  }
  return KAD__CONTAINER(largest, kad__share, rank);
}

/* ---- one key ------------------------------------------------------------ */

uint32_t kad__crowd_slot(const uint64_t secret[2], uint64_t group) {
  uint8_t name[8];
  kad__store64(name, group);
  return (uint32_t)(kad__siphash(secret, kad__bytes(name, 8)) %
                    KAD__CROWD_SLOTS);
}

void kad__crowd_add(kad__crowd *crowd, uint32_t slot) {
  uint32_t n = ++crowd->counts[slot];
  uint32_t most = crowd->counts[crowd->largest];
  /* Whoever comes first in the secret order of slots, not who came first:
   * stores need not walk in any order. */
  if (n > most || (n == most && slot < crowd->largest)) {
    crowd->largest = slot;
  }
}

uint32_t kad__crowd_victim(const kad__crowd *crowd, uint32_t slot) {
  bool more = crowd->counts[crowd->largest] > crowd->counts[slot] + 1;
  return more ? crowd->largest : slot;
}
