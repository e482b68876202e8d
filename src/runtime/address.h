/* Multiaddrs of IP and TCP as socket addresses, and back. */
#ifndef KAD_RUNTIME_ADDRESS_H
#define KAD_RUNTIME_ADDRESS_H

#include <netinet/in.h>
#include <sys/socket.h>

#include "kadmium/error.h"
#include "kadmium/types.h"

typedef union kad__sockaddr {
  struct sockaddr any;
  struct sockaddr_in ip4;
  struct sockaddr_in6 ip6;
  struct sockaddr_storage storage;
} kad__sockaddr;

/* Room for the longest multiaddr that kad__address_from writes. */
#define KAD__SOCKET_ADDRESS_MAX 64

/* Reads /ip4/../tcp/port or [/ip6zone/..]/ip6/../tcp/port (what follows is
 * ignored).
 * KAD_E_UNSUPPORTED: another kind of address, or no such zone. */
int kad__address_to(kad__sockaddr *out, kad_bytes address);
/* Writes the multiaddr; returns its length, 0 for another family. */
size_t kad__address_from(uint8_t out[KAD__SOCKET_ADDRESS_MAX],
                         const kad__sockaddr *from);
/* True for 0.0.0.0 and ::. */
bool kad__address_is_wildcard(const kad__sockaddr *address);

#endif
