/* Where a UDP peer is: /ip4/a/udp/p or /ip6/a/udp/p as a multiaddr, "a:p" or
 * "[a]:p" as text in datagrams. Names, zones and addresses of no single host
 * have no place here: nothing can be sent to them. */
#ifndef KAD_GATEWAY_UDP_ADDRESS_H
#define KAD_GATEWAY_UDP_ADDRESS_H

#include "base/bytes.h"

#define KAD__UDP_ADDRESS_MAX 21
/* Room for the text and its NUL. */
#define KAD__UDP_TEXT_MAX 56

/* The binary multiaddr, in its one form. */
typedef struct kad__udp_address {
  uint8_t len; /* 0: none */
  uint8_t bytes[KAD__UDP_ADDRESS_MAX];
} kad__udp_address;

static inline kad_bytes kad__udp_address_bytes(const kad__udp_address *a) {
  return kad__bytes(a->bytes, a->len);
}

/* Takes a binary multiaddr; false, with `out` untouched, when it is anything
 * else, or unspecified, multicast or broadcast, or has port 0. */
bool kad__udp_address_load(kad__udp_address *out, kad_bytes multiaddr);
/* The same from text. IPv4 inside IPv6 becomes plain IPv4. */
bool kad__udp_address_parse(kad__udp_address *out, kad_bytes text);
/* Writes the text and a NUL; returns its length. */
size_t kad__udp_address_format(char out[KAD__UDP_TEXT_MAX],
                               const kad__udp_address *address);

#endif
