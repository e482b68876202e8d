/* The transports that the owner has added: what the world does for their
 * channels and listeners, as socket.c does for TCP's. */
#ifndef KAD_RUNTIME_TRANSPORT_H
#define KAD_RUNTIME_TRANSPORT_H

#include "kadmium/transport.h"
#include "runtime/world.h"

typedef struct kad__transports kad__transports;

/* Copies the list; `*out` is NULL when it is empty. KAD_E_INVALID_ARGUMENT: a
 * function or a name is missing, or there are too many. KAD_E_NO_MEMORY. */
int kad__transports_new(kad__transports **out, const kad_allocator *allocator,
                        const kad_transport *list, size_t count);
/* After the world that used them was freed; takes NULL. */
void kad__transports_free(kad__transports *t);

/* What a swarm asks; it borrows `t`, which may be NULL. */
kad__swarm_transports kad__transports_hooks(kad__transports *t);
/* From now on they are the world's. */
void kad__transports_attach(kad__transports *t, kad__world *world);

/* ---- for the world ------------------------------------------------------- */

/* Carries out what is asked of a channel or listener of one of them. */
void kad__transport_act(kad__transports *t, const kad__world_action *action);
/* Pulls and writes; false when the channel is of none of them. */
bool kad__transport_flush(kad__transports *t, kad__id id);
/* Gives everything back, for the end of the world. */
void kad__transports_close_all(kad__transports *t);

#endif
