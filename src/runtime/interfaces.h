/* Where others can reach a socket that listens: its address, or, when that is a
 * wildcard, those of this machine's interfaces. */
#ifndef KAD_RUNTIME_INTERFACES_H
#define KAD_RUNTIME_INTERFACES_H

#include "runtime/address.h"

/* Interfaces of one machine that a wildcard is expanded to. */
#define KAD__INTERFACES_MAX 32
#define KAD__INTERFACES_LEN (KAD__INTERFACES_MAX * KAD__SOCKET_ADDRESS_MAX)

/* Writes a list of wire/addresses.h and returns its length; 0: it cannot be
 * told. */
size_t kad__interfaces_bound(uint8_t *out, size_t cap, int fd, bool *wildcard);

#endif
