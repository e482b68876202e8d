/* A bounded memory of what happened lately: which peers failed and until when
 * they are left alone, which are connected without being in the table, which
 * records somebody else has just replicated. When it is full the item that was
 * added first makes way. */
#ifndef KAD_KADEMLIA_RECENT_H
#define KAD_KADEMLIA_RECENT_H

#include "kadmium/error.h"
#include "kadmium/types.h"

enum kad__recent_flag {
  KAD__RECENT_CONNECTED = 1,   /* speaks our protocol */
  KAD__RECENT_PROBED = 2,      /* a probe is on its way */
  KAD__RECENT_UNSUPPORTED = 4, /* does not speak our protocol */
  KAD__RECENT_PASSED = 8,      /* a lookup on several paths came by it */
  KAD__RECENT_MUTE = 16,       /* took our last call and did not answer */
  KAD__RECENT_WAITS = 32       /* for its probe, until others are over */
};

typedef struct kad__recent_item {
  uint64_t key; /* 0: free */
  kad_time at;
  uint32_t next; /* in its chain, plus one */
  uint32_t value;
  uint8_t failures;
  uint8_t flags;
} kad__recent_item;

typedef struct kad__recent {
  kad__recent_item *items;
  uint32_t *chains; /* heads by hash, plus one; as many as `cap` */
  uint32_t len;     /* items in use or free, below `cap` */
  uint32_t cap;     /* a power of two */
  uint32_t limit;
  uint32_t hand; /* what makes way next when full */
  uint32_t free; /* list of free items, plus one */
} kad__recent;

void kad__recent_init(kad__recent *recent, uint32_t limit);
void kad__recent_fini(kad__recent *recent, const kad_allocator *allocator);

/* The item of a key that is not 0, or NULL. Valid until the next put. */
kad__recent_item *kad__recent_find(const kad__recent *recent, uint64_t key);
/* Finds or adds. A new item is zero but for its key. What had to make way is
 * copied to `*evicted`, whose key is 0 otherwise. NULL: no memory, or the limit
 * is 0. */
kad__recent_item *kad__recent_put(kad__recent *recent,
                                  const kad_allocator *allocator, uint64_t key,
                                  kad__recent_item *evicted);
void kad__recent_remove(kad__recent *recent, kad__recent_item *item);

#endif
