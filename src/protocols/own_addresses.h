/* The addresses that we give to others: where we listen, and what the owner
 * announces besides (a public address in front of a NAT, a name).
 *
 * An address has a scope, and a peer gets those that may be of use to it: over
 * loopback all, from a private network all but loopback, from the public
 * network the public ones. What is announced goes to everybody. The same rule
 * is applied to the addresses that peers give to us. */
#ifndef KAD_PROTOCOLS_OWN_ADDRESSES_H
#define KAD_PROTOCOLS_OWN_ADDRESSES_H

#include "swarm/swarm.h"

/* Ordered: an address is of use to a peer of the same or a lower scope. */
typedef enum kad__scope {
  KAD__SCOPE_LOOPBACK, /* 127/8, ::1, what does not leave the machine */
  KAD__SCOPE_PRIVATE,  /* RFC 1918, 6598, link-local, unique local, .local */
  KAD__SCOPE_PUBLIC    /* everything else, names included */
} kad__scope;

#define KAD__SCOPES 3

/* By the first component of a multiaddr; an empty one is public. */
kad__scope kad__address_scope(kad_bytes address);

/* True for addresses that nobody can dial: unspecified, multicast, port 0. */
bool kad__address_useless(kad_bytes address);

/* Room for the list of all of our addresses. */
#define KAD__OWN_ADDRESSES_MAX 2048
/* Listen addresses that are looked at. */
#define KAD__OWN_LISTEN_MAX 64

typedef struct kad__own_addresses kad__own_addresses;

/* `swarm` is borrowed and outlives it. KAD_E_NO_MEMORY. */
int kad__own_addresses_new(kad__own_addresses **out,
                           const kad_allocator *allocator,
                           const kad__swarm *swarm);
void kad__own_addresses_free(kad__own_addresses *own);

/* Replaces what is announced by a list of wire/addresses.h, copied. Malformed
 * addresses are left out. Identify push tells the peers when the node calls
 * it. KAD_E_LIMIT (more than KAD__OWN_ADDRESSES_MAX), KAD_E_NO_MEMORY; both
 * leave the old ones. */
int kad__own_addresses_announce(kad__own_addresses *own, kad_bytes list);

/* Sends private addresses to public peers too (private networks that use
 * public addresses). Off at first. */
void kad__own_addresses_keep_private(kad__own_addresses *own, bool on);

/* Writes the addresses for a peer that is connected from `scope`, as a list of
 * wire/addresses.h, announced ones first; returns its length. What does not
 * fit is left out. No duplicates, none of kad__address_useless. */
size_t kad__own_addresses_list(const kad__own_addresses *own, uint8_t *out,
                               size_t cap, kad__scope scope);

#endif
