/* What the two files of transports share: the world's side, and the reports. */
#ifndef KAD_RUNTIME_TRANSPORT_INTERNAL_H
#define KAD_RUNTIME_TRANSPORT_INTERNAL_H

#include "base/list.h"
#include "runtime/transport.h"

typedef struct kad__transport_channel {
  kad__map_node node;
  kad__list lingering; /* it is to be closed when `rest` has been taken */
  kad__id id;
  kad__transports *all;
  const kad_transport *transport;
  void *own;     /* the transport's */
  uint8_t *rest; /* what it has not taken; NULL: all */
  size_t rest_len;
  size_t rest_at;
  kad_time close_by;
  bool opening;
  bool paused;
  bool full; /* until the transport says that it is not */
} kad__transport_channel;

typedef struct kad__transport_listener {
  kad__map_node node;
  kad__id id;
  kad__transports *all;
  const kad_transport *transport;
  void *own;
  size_t address_len;
  uint8_t address[]; /* as asked for */
} kad__transport_listener;

struct kad__transports {
  kad_allocator allocator;
  kad__world *world;
  kad__map channels; /* by kad__id */
  kad__map listeners;
  kad__list lingering; /* oldest first */
  uv_timer_t timer;    /* of the oldest */
  bool inside;         /* one of their functions is running */
  size_t count;
  kad_transport list[]; /* then their names */
};

static inline kad__swarm *kad__transports_swarm(const kad__transports *t) {
  return kad__node_swarm(t->world->node);
}

/* NULL: there is no such one (any more). */
kad__transport_channel *kad__transport_find(const kad__transports *t,
                                            kad__id id);
kad__transport_listener *kad__transport_find_listener(const kad__transports *t,
                                                      kad__id id);

/* NULL without memory. It must be mapped, or released, next. */
kad__transport_channel *kad__transport_channel_new(
    kad__transports *t, const kad_transport *transport);
/* KAD_E_NO_MEMORY. */
int kad__transport_channel_map(kad__transport_channel *c, kad__id id);

/* The id is unknown from now on; neither the transport nor the swarm is told.
 */
void kad__transport_forget(kad__transport_channel *c);
void kad__transport_forget_listener(kad__transport_listener *l);

/* Pulls as long as the transport takes; the channel may be gone afterwards.
 * False: nothing came of it, the transport is still full. */
bool kad__transport_pull(kad__transport_channel *c);

#endif
