/* Groups are those of go-libp2p-kad-dht's diversity filter, but for IPv6, where
 * a /32 stands in for the operator that a table of autonomous systems would
 * name. */
#include "node/policy.h"

#include "base/bytes.h"
#include "kadmium/multiaddr.h"

static kad__scope lower(kad__scope a, kad__scope b) {
  return a < b ? a : b;
}

/* An unspecified address says nothing about where the others are. */
static bool tells_scope(kad_bytes address) {
  return !kad__address_useless(address);
}

static kad__scope lowest_of(kad__scope so_far, const kad_bytes *list,
                            size_t count) {
  for (size_t i = 0; i < count; i++) {
    if (tells_scope(list[i])) {
      so_far = lower(so_far, kad__address_scope(list[i]));
    }
  }
  return so_far;
}

/* A listener on port 0 is as good a sign as any other. One without an IP, of a
 * transport of the owner's, tells nothing of the rest. */
static kad__scope scope_of_listener(kad_bytes address) {
  kad_multiaddr_part part = {.protocol = KAD_MULTIADDR_IP4};
  kad_bytes rest = address;
  static const uint8_t nothing[16] = {0};
  if (kad_multiaddr_next(&rest, &part) != 1 ||
      (part.protocol != KAD_MULTIADDR_IP4 &&
       part.protocol != KAD_MULTIADDR_IP6) ||
      memcmp(part.value.data, nothing, part.value.len) == 0) {
    return KAD__SCOPE_PUBLIC;
  }
  return kad__address_scope(address);
}

static bool own_network(const kad__node_config *config) {
  return !kad__bytes_equal(config->protocol, kad__bytes_of(KAD_PROTOCOL_IPFS));
}

kad__node_policy kad__node_policy_of(const kad__node_config *config) {
  kad__scope lowest = KAD__SCOPE_PUBLIC;
  switch (config->dht.addresses) {
    case KAD_ADDRESSES_PUBLIC:
      break;
    case KAD_ADDRESSES_ALL:
      lowest = KAD__SCOPE_LOOPBACK;
      break;
    case KAD_ADDRESSES_AUTO:
      if (own_network(config)) {
        lowest = KAD__SCOPE_LOOPBACK;
        break;
      }
      lowest = lowest_of(lowest, config->bootstrap, config->bootstrap_count);
      lowest = lowest_of(lowest, config->announce, config->announce_count);
      for (size_t i = 0; i < config->listen_count; i++) {
        lowest = lower(lowest, scope_of_listener(config->listen[i]));
      }
      break;
  }
  return (kad__node_policy){.lowest = lowest,
                            .diverse = lowest == KAD__SCOPE_PUBLIC};
}

static bool accept(void *user, kad_bytes address) {
  const kad__node_policy *policy = user;
  return kad_multiaddr_check(address) == 0 && !kad__address_useless(address) &&
         kad__address_scope(address) >= policy->lowest;
}

/* Class A blocks that one operator each has had since the beginning. */
static bool legacy_block(uint8_t first) {
  static const uint8_t blocks[] = {12, 17, 19, 38, 48, 53, 56, 73};
  for (size_t i = 0; i < sizeof(blocks); i++) {
    if (blocks[i] == first) {
      return true;
    }
  }
  return false;
}

/* The family and the prefix as a number that is never 0. */
static uint64_t group(void *user, kad_bytes address) {
  kad_multiaddr_part part;
  (void)user;
  if (kad_multiaddr_next(&address, &part) != 1) {
    return 0;
  }
  const uint8_t *ip = part.value.data;
  if (part.protocol == KAD_MULTIADDR_IP4) {
    uint64_t prefix =
        legacy_block(ip[0]) ? (uint64_t)ip[0] << 8 : (uint64_t)kad__load16(ip);
    return UINT64_C(4) << 32 | prefix;
  }
  if (part.protocol == KAD_MULTIADDR_IP6) {
    return UINT64_C(6) << 32 | kad__load32(ip);
  }
  return 0;
}

void kad__node_policy_apply(kad__dht_config *dht, kad__node_policy *policy) {
  dht->address_user = policy;
  dht->accept_address = accept;
  if (policy->diverse) {
    dht->address_group = group;
  }
}
