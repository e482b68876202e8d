/* The list is made anew each time it is asked for: a handful of addresses, and
 * nobody has to be told when the swarm starts or stops to listen. */
#include "protocols/own_addresses.h"

#include "base/alloc.h"
#include "base/bytes.h"
#include "kadmium/multiaddr.h"
#include "wire/addresses.h"

struct kad__own_addresses {
  kad_allocator allocator;
  const kad__swarm *swarm;
  bool keep_private;
  uint8_t *announced; /* a list of wire/addresses.h */
  size_t announced_len;
};

static kad__scope scope_ip4(const uint8_t *ip) {
  if (ip[0] == 127) {
    return KAD__SCOPE_LOOPBACK;
  }
  bool is_private = ip[0] == 10 || (ip[0] == 172 && (ip[1] & 0xf0) == 16) ||
                    (ip[0] == 192 && ip[1] == 168) ||
                    (ip[0] == 169 && ip[1] == 254) ||
                    (ip[0] == 100 && (ip[1] & 0xc0) == 64);
  return is_private ? KAD__SCOPE_PRIVATE : KAD__SCOPE_PUBLIC;
}

static bool all_zero(const uint8_t *bytes, size_t len) {
  for (size_t i = 0; i < len; i++) {
    if (bytes[i] != 0) {
      return false;
    }
  }
  return true;
}

/* The IPv4 address inside ::ffff:a.b.c.d, or NULL. */
static const uint8_t *mapped_ip4(const uint8_t *ip) {
  bool mapped = all_zero(ip, 10) && ip[10] == 0xff && ip[11] == 0xff;
  return mapped ? ip + 12 : NULL;
}

static kad__scope scope_ip6(const uint8_t *ip) {
  if (mapped_ip4(ip) != NULL) {
    return scope_ip4(mapped_ip4(ip));
  }
  if (all_zero(ip, 15) && ip[15] == 1) {
    return KAD__SCOPE_LOOPBACK;
  }
  bool link_local = ip[0] == 0xfe && (ip[1] & 0xc0) == 0x80;
  bool unique_local = (ip[0] & 0xfe) == 0xfc;
  return link_local || unique_local ? KAD__SCOPE_PRIVATE : KAD__SCOPE_PUBLIC;
}

/* True when the last label of `name` is `label`, in any case. */
static bool last_label(kad_bytes name, const char *label) {
  size_t len = strlen(label);
  if (name.len < len) {
    return false;
  }
  kad_bytes tail = kad__bytes_skip(name, name.len - len);
  for (size_t i = 0; i < len; i++) {
    uint8_t c = tail.data[i];
    if ((c >= 'A' && c <= 'Z' ? c + 32 : c) != (uint8_t)label[i]) {
      return false;
    }
  }
  return name.len == len || name.data[name.len - len - 1] == '.';
}

static kad__scope scope_name(kad_bytes name) {
  if (last_label(name, "localhost")) {
    return KAD__SCOPE_LOOPBACK;
  }
  return last_label(name, "local") ? KAD__SCOPE_PRIVATE : KAD__SCOPE_PUBLIC;
}

static kad__scope scope_part(const kad_multiaddr_part *part) {
  switch (part->protocol) {
    case KAD_MULTIADDR_IP4:
      return scope_ip4(part->value.data);
    case KAD_MULTIADDR_IP6:
      return scope_ip6(part->value.data);
    case KAD_MULTIADDR_DNS:
    case KAD_MULTIADDR_DNS4:
    case KAD_MULTIADDR_DNS6:
    case KAD_MULTIADDR_DNSADDR:
      return scope_name(part->value);
    case KAD_MULTIADDR_UNIX:
    case KAD_MULTIADDR_MEMORY:
      return KAD__SCOPE_LOOPBACK;
    default:
      return KAD__SCOPE_PUBLIC;
  }
}

kad__scope kad__address_scope(kad_bytes address) {
  kad_multiaddr_part part = {0};
  if (kad_multiaddr_next(&address, &part) != 1) {
    return KAD__SCOPE_PUBLIC;
  }
  if (part.protocol == KAD_MULTIADDR_IP6ZONE &&
      kad_multiaddr_next(&address, &part) != 1) {
    return KAD__SCOPE_PUBLIC;
  }
  return scope_part(&part);
}

static bool useless_ip4(const uint8_t *ip) {
  return ip[0] == 0 || ip[0] >= 224;
}

static bool useless_ip6(const uint8_t *ip) {
  const uint8_t *ip4 = mapped_ip4(ip);
  return ip4 != NULL ? useless_ip4(ip4) : ip[0] == 0xff || all_zero(ip, 16);
}

static bool useless_part(const kad_multiaddr_part *part) {
  switch (part->protocol) {
    case KAD_MULTIADDR_IP4:
      return useless_ip4(part->value.data);
    case KAD_MULTIADDR_IP6:
      return useless_ip6(part->value.data);
    case KAD_MULTIADDR_TCP:
    case KAD_MULTIADDR_UDP:
      return all_zero(part->value.data, 2);
    default:
      return false;
  }
}

bool kad__address_useless(kad_bytes address) {
  kad_multiaddr_part part;
  while (kad_multiaddr_next(&address, &part) == 1) {
    if (useless_part(&part)) {
      return true;
    }
  }
  return false;
}

int kad__own_addresses_new(kad__own_addresses **out,
                           const kad_allocator *allocator,
                           const kad__swarm *swarm) {
  kad__own_addresses *own = kad__calloc(allocator, 1, sizeof(*own));
  if (own == NULL) {
    return KAD_E_NO_MEMORY;
  }
  own->allocator = *allocator;
  own->swarm = swarm;
  *out = own;
  return 0;
}

void kad__own_addresses_free(kad__own_addresses *own) {
  if (own == NULL) {
    return;
  }
  kad_allocator allocator = own->allocator;
  kad__release(&allocator, own->announced);
  kad__release(&allocator, own);
}

int kad__own_addresses_announce(kad__own_addresses *own, kad_bytes list) {
  if (list.len > KAD__OWN_ADDRESSES_MAX) {
    return KAD_E_LIMIT;
  }
  uint8_t *copy = NULL;
  size_t cap = list.len;
  size_t len = 0;
  if (cap != 0) {
    copy = kad__alloc(&own->allocator, cap);
    if (copy == NULL) {
      return KAD_E_NO_MEMORY;
    }
  }
  kad_bytes address;
  while (kad__addresses_next(&list, &address)) {
    if (kad_multiaddr_check(address) == 0 &&
        !kad__addresses_have(kad__bytes(copy, len), address)) {
      (void)kad__addresses_append(copy, cap, &len, address);
    }
  }
  kad__release(&own->allocator, own->announced);
  own->announced = copy;
  own->announced_len = len;
  return 0;
}

void kad__own_addresses_keep_private(kad__own_addresses *own, bool on) {
  own->keep_private = on;
}

static void append_new(uint8_t *out, size_t cap, size_t *len,
                       kad_bytes address) {
  if (!kad__address_useless(address) &&
      !kad__addresses_have(kad__bytes(out, *len), address)) {
    (void)kad__addresses_append(out, cap, len, address);
  }
}

size_t kad__own_addresses_list(const kad__own_addresses *own, uint8_t *out,
                               size_t cap, kad__scope scope) {
  size_t len = 0;
  kad_bytes rest = kad__bytes(own->announced, own->announced_len);
  kad_bytes address;
  while (kad__addresses_next(&rest, &address)) {
    append_new(out, cap, &len, address);
  }
  if (own->keep_private && scope == KAD__SCOPE_PUBLIC) {
    scope = KAD__SCOPE_PRIVATE;
  }
  kad_bytes listening[KAD__OWN_LISTEN_MAX];
  size_t count =
      kad__swarm_listen_addresses(own->swarm, listening, KAD__COUNT(listening));
  for (size_t i = 0; i < count && i < KAD__COUNT(listening); i++) {
    if (kad__address_scope(listening[i]) >= scope) {
      append_new(out, cap, &len, listening[i]);
    }
  }
  return len;
}
