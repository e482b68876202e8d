/* What kad_node and kad_service both are: an identity, a pure node, and the
 * world that drives it. */
#ifndef KAD_RUNTIME_HOST_H
#define KAD_RUNTIME_HOST_H

#include "runtime/transport.h"
#include "runtime/world.h"

typedef struct kad__host {
  kad_allocator allocator;
  kad_key_pair *own_identity;  /* when we made it */
  kad__transports *transports; /* NULL: none but TCP */
  kad__world *world;
  kad__node *node; /* owned by the world */
} kad__host;

/* Errors as kad_node_new; nothing to free after one. */
int kad__host_init(kad__host *host, const kad_node_options *options);
void kad__host_fini(kad__host *host);

/* A turn of the world on the thread of a node's owner. */
void kad__host_turn(kad__host *host);

#endif
