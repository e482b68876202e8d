/* Who takes how much of a limited room. When the room is full, the oldest item
 * of whoever has most makes way for one of a source that has clearly less; so a
 * single peer, however busy, can fill no more than what the others leave.
 *
 * Ids cost nothing, addresses in many networks do. Where the network of a
 * source is known, shares are therefore taken twice: by network (a group: IPv4
 * /16, IPv6 /32), and within one by peer. A thousand peers of one group have
 * the share of one group. A peer whose network is not known, or does not count,
 * stands for itself. */
#ifndef KAD_KADEMLIA_SHARES_H
#define KAD_KADEMLIA_SHARES_H

#include "base/heap.h"
#include "base/list.h"
#include "base/map.h"
#include "kadmium/error.h"

/* What a heap of shares holds: a peer or a group. */
typedef struct kad__share_rank {
  kad__heap_node node; /* the largest first */
  uint32_t count;      /* of items */
  bool group;
} kad__share_rank;

typedef struct kad__share_group {
  kad__share_rank rank;
  kad__map_node node;
  kad__heap peers;
  uint8_t name[8];
} kad__share_group;

typedef struct kad__share {
  kad__share_rank rank; /* among the peers of its group, or of all */
  kad__map_node node;
  kad__share_group *group; /* NULL: stands for itself */
  kad__list items;         /* of kad__shares_add; oldest first */
  uint8_t source[];
} kad__share;

typedef struct kad__shares {
  const kad_allocator *allocator;
  kad__map peers;
  kad__map groups;
  kad__heap ranks; /* groups, and peers without one */
} kad__shares;

/* One item; embed it. */
typedef struct kad__share_item {
  kad__list link;
  kad__share *share; /* NULL: in none */
} kad__share_item;

void kad__shares_init(kad__shares *shares, const kad_allocator *allocator,
                      const uint64_t secret[2]);
/* Shares that are left go too; their items are the caller's. */
void kad__shares_fini(kad__shares *shares);

/* Charges one item to `source`. All that it has moves along when it comes from
 * another `group` (0: unknown, it stays where it was). KAD_E_NO_MEMORY. */
int kad__shares_charge(kad__shares *shares, kad__share **out, kad_bytes source,
                       uint64_t group);
/* One item less; the last takes the share along. NULL is fine. */
void kad__shares_discharge(kad__shares *shares, kad__share *share);

/* The same for items that are in memory. KAD_E_NO_MEMORY. */
int kad__shares_add(kad__shares *shares, kad__share_item *item,
                    kad_bytes source, uint64_t group);
/* Nothing when it is in no share. */
void kad__shares_remove(kad__shares *shares, kad__share_item *item);

/* NULL: it has none. It stays where it is while it has an item. */
kad__share *kad__shares_find(const kad__shares *shares, kad_bytes source);
/* How many items a source has. */
uint32_t kad__shares_count(const kad__shares *shares, kad_bytes source);
static inline kad_bytes kad__share_source(const kad__share *share) {
  return (kad_bytes){share->source, share->node.key_len};
}
/* Whose oldest item makes way for one of `source`; NULL: nobody's. */
kad__share *kad__shares_victim(const kad__shares *shares, kad_bytes source,
                               uint64_t group);

/* ---- one key ------------------------------------------------------------ */

/* The places of one key, all taken, among the networks of those that hold them.
 * Groups that fall into one slot, which a secret decides, count as one. */
#define KAD__CROWD_SLOTS 1024

/* Begins as zeros. */
typedef struct kad__crowd {
  uint32_t largest; /* the first slot of those that have most */
  uint32_t counts[KAD__CROWD_SLOTS];
} kad__crowd;

uint32_t kad__crowd_slot(const uint64_t secret[2], uint64_t group);
/* Counts one that holds a place. */
void kad__crowd_add(kad__crowd *crowd, uint32_t slot);
/* The slot of which one makes way for a newcomer of `slot`: the largest, when
 * it has clearly more; otherwise its own, in which it has to stand the
 * comparison. */
uint32_t kad__crowd_victim(const kad__crowd *crowd, uint32_t slot);

#endif
