/* A list of addresses as one run of bytes: a protobuf fragment in which each
 * field 2 is an address (the encoding of Message.Peer.addrs). The same bytes
 * are what arrives, what is kept and what is sent, so an answer is copied, not
 * re-encoded. Other fields in the fragment are passed over, so the body of a
 * received Peer is such a list as it stands. */
#ifndef KAD_WIRE_ADDRESSES_H
#define KAD_WIRE_ADDRESSES_H

#include "kadmium/types.h"

/* Takes the next address off `*rest`; false at the end, which is also where a
 * malformed list ends. The addresses are opaque here: they may be empty or
 * malformed multiaddrs. */
bool kad__addresses_next(kad_bytes *rest, kad_bytes *address);

/* The number of addresses. */
size_t kad__addresses_count(kad_bytes list);

/* Appends `address` to the list of `*len` bytes in `out`; false, with nothing
 * changed, when it does not fit into `cap`. */
bool kad__addresses_append(uint8_t *out, size_t cap, size_t *len,
                           kad_bytes address);

/* True when `address` is in the list. */
bool kad__addresses_have(kad_bytes list, kad_bytes address);

#endif
