/* The multiaddr codec lives in multiformats/; here is only the step to what
 * the socket calls want. */
#include "runtime/address.h"

#include <net/if.h>
#include <string.h>

#include "base/bytes.h"
#include "kadmium/multiaddr.h"

/* The interface of an /ip6zone; 0 when there is no such one. */
static uint32_t zone_of(kad_bytes value) {
  char name[IF_NAMESIZE];
  if (value.len >= sizeof(name)) {
    return 0;
  }
  memcpy(name, value.data, value.len);
  name[value.len] = '\0';
  return if_nametoindex(name);
}

static int take_port(kad_bytes *rest, in_port_t *port) {
  kad_multiaddr_part part;
  if (kad_multiaddr_next(rest, &part) != 1 ||
      part.protocol != KAD_MULTIADDR_TCP) {
    return KAD_E_UNSUPPORTED;
  }
  *port = htons(kad__load16(part.value.data));
  return 0;
}

int kad__address_to(kad__sockaddr *out, kad_bytes address) {
  *out = (kad__sockaddr){0};
  kad_multiaddr_part part;
  uint32_t zone = 0;
  if (kad_multiaddr_next(&address, &part) != 1) {
    return KAD_E_UNSUPPORTED;
  }
  if (part.protocol == KAD_MULTIADDR_IP4) {
    out->ip4.sin_family = AF_INET;
    memcpy(&out->ip4.sin_addr, part.value.data, 4);
    return take_port(&address, &out->ip4.sin_port);
  }
  if (part.protocol == KAD_MULTIADDR_IP6ZONE) {
    zone = zone_of(part.value);
    if (zone == 0 || kad_multiaddr_next(&address, &part) != 1) {
      return KAD_E_UNSUPPORTED;
    }
  }
  if (part.protocol != KAD_MULTIADDR_IP6) {
    return KAD_E_UNSUPPORTED;
  }
  out->ip6.sin6_family = AF_INET6;
  out->ip6.sin6_scope_id = zone;
  memcpy(&out->ip6.sin6_addr, part.value.data, 16);
  return take_port(&address, &out->ip6.sin6_port);
}

static size_t put_part(uint8_t *out, uint8_t code, const void *value,
                       size_t len) {
  out[0] = code;
  memcpy(out + 1, value, len);
  return len + 1;
}

/* The zone of a link-local address: without it nobody can dial it. */
static size_t put_zone(uint8_t *out, uint32_t scope) {
  char name[IF_NAMESIZE];
  if (scope == 0 || if_indextoname(scope, name) == NULL) {
    return 0;
  }
  size_t len = strlen(name);
  out[0] = KAD_MULTIADDR_IP6ZONE;
  out[1] = (uint8_t)len;
  memcpy(out + 2, name, len);
  return len + 2;
}

size_t kad__address_from(uint8_t out[KAD__SOCKET_ADDRESS_MAX],
                         const kad__sockaddr *from) {
  size_t len = 0;
  if (from->any.sa_family == AF_INET) {
    len += put_part(out, KAD_MULTIADDR_IP4, &from->ip4.sin_addr, 4);
    return len + put_part(out + len, KAD_MULTIADDR_TCP, &from->ip4.sin_port, 2);
  }
  if (from->any.sa_family != AF_INET6) {
    return 0;
  }
  len += put_zone(out, from->ip6.sin6_scope_id);
  len += put_part(out + len, KAD_MULTIADDR_IP6, &from->ip6.sin6_addr, 16);
  return len + put_part(out + len, KAD_MULTIADDR_TCP, &from->ip6.sin6_port, 2);
}

bool kad__address_is_wildcard(const kad__sockaddr *address) {
  if (address->any.sa_family == AF_INET) {
    return address->ip4.sin_addr.s_addr == htonl(INADDR_ANY);
  }
  return address->any.sa_family == AF_INET6 &&
         IN6_IS_ADDR_UNSPECIFIED(&address->ip6.sin6_addr);
}
