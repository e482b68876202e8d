/* Bound sockets and the interfaces of this machine. */
#include "runtime/interfaces.h"

#include <uv.h>

#include "base/bytes.h"
#include "runtime/address.h"
#include "wire/addresses.h"

/* One of this machine's addresses, with the port that was bound. */
static void append_interface(uint8_t *out, size_t cap, size_t *len,
                             const uv_interface_address_t *interface,
                             const kad__sockaddr *bound) {
  kad__sockaddr address = {0};
  uint8_t bytes[KAD__SOCKET_ADDRESS_MAX];
  if (interface->address.address4.sin_family != bound->any.sa_family) {
    return;
  }
  if (bound->any.sa_family == AF_INET) {
    address.ip4 = interface->address.address4;
    address.ip4.sin_port = bound->ip4.sin_port;
  } else {
    address.ip6 = interface->address.address6;
    address.ip6.sin6_port = bound->ip6.sin6_port;
    if (IN6_IS_ADDR_LINKLOCAL(&address.ip6.sin6_addr)) {
      return; /* means nothing to another machine */
    }
  }
  size_t n = kad__address_from(bytes, &address);
  (void)kad__addresses_append(out, cap, len, kad__bytes(bytes, n));
}

size_t kad__interfaces_bound(uint8_t *out, size_t cap, int fd, bool *wildcard) {
  kad__sockaddr bound = {0};
  socklen_t bound_len = sizeof(bound);
  size_t len = 0;
  *wildcard = false;
  if (getsockname(fd, &bound.any, &bound_len) != 0) {
    return 0;
  }
  uint8_t bytes[KAD__SOCKET_ADDRESS_MAX];
  if (!kad__address_is_wildcard(&bound)) {
    size_t n = kad__address_from(bytes, &bound);
    (void)kad__addresses_append(out, cap, &len, kad__bytes(bytes, n));
    return len;
  }
  *wildcard = true;
  uv_interface_address_t *interfaces = NULL;
  int count = 0;
  if (uv_interface_addresses(&interfaces, &count) != 0) {
    return 0;
  }
  for (int i = 0; i < count && i < KAD__INTERFACES_MAX; i++) {
    append_interface(out, cap, &len, &interfaces[i], &bound);
  }
  uv_free_interface_addresses(interfaces, count);
  return len;
}
