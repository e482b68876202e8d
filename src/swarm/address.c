/* What the swarm needs to know of an address: can we dial it, must a name be
 * looked up first, and how far away is it. */
#include "swarm/swarm_internal.h"

static bool is_name(kad_multiaddr_protocol protocol) {
  return protocol == KAD_MULTIADDR_DNS || protocol == KAD_MULTIADDR_DNS4 ||
         protocol == KAD_MULTIADDR_DNS6 || protocol == KAD_MULTIADDR_DNSADDR;
}

/* Takes a trailing /p2p off; one in the middle is a relay's. */
static void split_peer(kad__address_info *out, kad_bytes address) {
  kad_multiaddr_part part;
  kad_bytes prefix;
  out->transport = address;
  if (kad_multiaddr_find(address, KAD_MULTIADDR_P2P, &part, &prefix) &&
      part.value.data + part.value.len == address.data + address.len) {
    out->transport = prefix;
    out->peer = part.value;
  }
}

/* Reads the IP and the port that `rest` begins with; is it /ip4|ip6/../tcp/..
 * and nothing else? */
static bool read_tcp(kad__address_info *out, kad_bytes rest) {
  kad_multiaddr_part part;
  if (kad_multiaddr_next(&rest, &part) != 1) {
    return false;
  }
  bool zone = part.protocol == KAD_MULTIADDR_IP6ZONE;
  if (zone && kad_multiaddr_next(&rest, &part) != 1) {
    return false;
  }
  bool ip6 = part.protocol == KAD_MULTIADDR_IP6;
  bool ip4 = part.protocol == KAD_MULTIADDR_IP4 && !zone;
  if (!ip4 && !ip6) {
    return false;
  }
  out->ip = part.value;
  if (kad_multiaddr_next(&rest, &part) != 1 ||
      (part.protocol != KAD_MULTIADDR_TCP &&
       part.protocol != KAD_MULTIADDR_UDP)) {
    return false;
  }
  out->port = kad__load16(part.value.data);
  return part.protocol == KAD_MULTIADDR_TCP && rest.len == 0;
}

void kad__address_read(kad__address_info *out, kad_bytes address) {
  *out = (kad__address_info){.kind = KAD__ADDRESS_BAD};
  if (kad_multiaddr_check(address) < 0) {
    return;
  }
  split_peer(out, address);
  if (read_tcp(out, out->transport)) {
    out->kind = KAD__ADDRESS_TCP;
    return;
  }
  kad_bytes rest = address;
  bool named =
      kad_multiaddr_next(&rest, &out->name) == 1 && is_name(out->name.protocol);
  out->kind = named ? KAD__ADDRESS_NAME : KAD__ADDRESS_OTHER;
  out->suffix = rest;
}

/* IPv6 carries IPv4 addresses in ::ffff:0:0/96. */
kad_bytes kad__ip_unmap(kad_bytes ip) {
  static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  if (ip.len == 16 && memcmp(ip.data, mapped, sizeof(mapped)) == 0) {
    return kad__bytes_skip(ip, 12);
  }
  return ip;
}

bool kad__ip_is_loopback(kad_bytes ip) {
  static const uint8_t loopback[16] = {[15] = 1};
  ip = kad__ip_unmap(ip);
  return ip.len == 4 ? ip.data[0] == 127
                     : ip.len == 16 && memcmp(ip.data, loopback, 16) == 0;
}

bool kad__ip_is_unspecified(kad_bytes ip) {
  static const uint8_t zero[16] = {0};
  ip = kad__ip_unmap(ip);
  return ip.len <= 16 && (ip.len == 0 || memcmp(ip.data, zero, ip.len) == 0);
}

bool kad__ip_is_private(kad_bytes ip) {
  ip = kad__ip_unmap(ip);
  if (kad__ip_is_loopback(ip)) {
    return true;
  }
  const uint8_t *b = ip.data;
  if (ip.len == 4) {
    return b[0] == 10 || (b[0] == 100 && (b[1] & 0xc0) == 64) ||
           (b[0] == 169 && b[1] == 254) ||
           (b[0] == 172 && (b[1] & 0xf0) == 16) || (b[0] == 192 && b[1] == 168);
  }
  return ip.len == 16 &&
         ((b[0] & 0xfe) == 0xfc || (b[0] == 0xfe && (b[1] & 0xc0) == 0x80));
}

bool kad__ip_is_public6(kad_bytes ip) {
  return kad__ip_unmap(ip).len == 16 && !kad__ip_is_private(ip) &&
         !kad__ip_is_unspecified(ip);
}

bool kad__ip_is_link_local6(kad_bytes ip) {
  return ip.len == 16 && ip.data[0] == 0xfe && (ip.data[1] & 0xc0) == 0x80;
}
