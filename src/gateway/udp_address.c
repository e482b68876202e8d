/* The two forms differ in little, so each is read by hand with the parsers of
 * multiformats/ and written back in one way only: addresses can be compared. */
#include "gateway/udp_address.h"

#include "kadmium/multiaddr.h"
#include "multiformats/ip_text.h"
#include "multiformats/varint.h"

static size_t put_part(uint8_t *out, kad_multiaddr_protocol protocol,
                       const uint8_t *value, size_t len) {
  uint8_t code[KAD__VARINT_MAX_LEN];
  size_t n = kad__varint_encode(code, (uint64_t)protocol);
  memcpy(out, code, n);
  memcpy(out + n, value, len);
  return n + len;
}

static bool zero(const uint8_t *bytes, size_t len) {
  uint8_t all = 0;
  for (size_t i = 0; i < len; i++) {
    all |= bytes[i];
  }
  return all == 0;
}

/* Whether it is the address of one host. */
static bool one_host(const uint8_t *ip, size_t len) {
  if (len == 4) {
    return ip[0] != 0 && ip[0] < 224;
  }
  return !zero(ip, len) && ip[0] != 0xff;
}

static bool build(kad__udp_address *out, const uint8_t *ip, size_t len,
                  const uint8_t port[2]) {
  static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  if (len == 16 && memcmp(ip, mapped, sizeof mapped) == 0) {
    ip += sizeof mapped;
    len = 4;
  }
  if (!one_host(ip, len) || zero(port, 2)) {
    return false;
  }
  size_t n = put_part(
      out->bytes, len == 4 ? KAD_MULTIADDR_IP4 : KAD_MULTIADDR_IP6, ip, len);
  n += put_part(out->bytes + n, KAD_MULTIADDR_UDP, port, 2);
  out->len = (uint8_t)n;
  return true;
}

bool kad__udp_address_load(kad__udp_address *out, kad_bytes multiaddr) {
  kad_multiaddr_part ip;
  kad_multiaddr_part udp;
  if (kad_multiaddr_next(&multiaddr, &ip) != 1 ||
      kad_multiaddr_next(&multiaddr, &udp) != 1 || multiaddr.len != 0) {
    return false;
  }
  if ((ip.protocol != KAD_MULTIADDR_IP4 && ip.protocol != KAD_MULTIADDR_IP6) ||
      udp.protocol != KAD_MULTIADDR_UDP) {
    return false;
  }
  return build(out, ip.value.data, ip.value.len, udp.value.data);
}

/* Splits "host:port" at its last colon. */
static bool split(kad_bytes text, kad_bytes *host, kad_bytes *port) {
  size_t colon = text.len;
  while (colon > 0 && text.data[colon - 1] != ':') {
    colon--;
  }
  if (colon == 0) {
    return false;
  }
  *host = kad__bytes(text.data, colon - 1);
  *port = kad__bytes_skip(text, colon);
  return true;
}

bool kad__udp_address_parse(kad__udp_address *out, kad_bytes text) {
  kad_bytes host;
  kad_bytes digits;
  uint64_t number;
  uint8_t ip[16];
  uint8_t port[2];
  if (text.len >= KAD__UDP_TEXT_MAX || !split(text, &host, &digits) ||
      !kad__decimal_parse(&number, digits, UINT16_MAX)) {
    return false;
  }
  kad__store16(port, (uint16_t)number);
  if (host.len < 2 || host.data[0] != '[') {
    return kad__ip4_parse(ip, host) && build(out, ip, 4, port);
  }
  bool closed = host.data[host.len - 1] == ']';
  return closed &&
         kad__ip6_parse(ip, kad__bytes(host.data + 1, host.len - 2)) &&
         build(out, ip, 16, port);
}

size_t kad__udp_address_format(char out[KAD__UDP_TEXT_MAX],
                               const kad__udp_address *address) {
  kad_bytes rest = kad__udp_address_bytes(address);
  kad_multiaddr_part ip;
  kad_multiaddr_part udp;
  char number[21];
  size_t len = 0;
  if (kad_multiaddr_next(&rest, &ip) != 1 ||
      kad_multiaddr_next(&rest, &udp) != 1) {
    out[0] = '\0';
    return 0;
  }
  if (ip.protocol == KAD_MULTIADDR_IP4) {
    len = kad__ip4_format(out, ip.value.data);
  } else {
    out[len++] = '[';
    len += kad__ip6_format(out + len, ip.value.data);
    out[len++] = ']';
  }
  out[len++] = ':';
  size_t digits = kad__decimal_format(number, kad__load16(udp.value.data));
  memcpy(out + len, number, digits + 1);
  return len + digits;
}
