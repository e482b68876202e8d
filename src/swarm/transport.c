/* Which transport carries an address. The owner's own come first, so that they
 * may take over what we could do ourselves: TCP through a proxy, names that
 * somebody else shall resolve. */
#include "swarm/swarm_internal.h"

bool kad__transport_choose(uint8_t *out, const kad__swarm *s,
                           const kad__address_info *info, bool to_dial) {
  const kad__swarm_transports *own = &s->config.transports;
  *out = 0;
  if (info->kind == KAD__ADDRESS_BAD || info->transport.len == 0) {
    return false;
  }
  if (own->choose != NULL) {
    *out = own->choose(own->user, info->transport, to_dial);
  }
  return *out != 0 || info->kind == KAD__ADDRESS_TCP;
}

/* What the name leads to is not known yet: an IP that says nothing stands for
 * it. */
static bool choose_behind(uint8_t *out, const kad__swarm *s,
                          kad_multiaddr_protocol ip, kad_bytes suffix) {
  uint8_t address[KAD_MULTIADDR_MAX] = {(uint8_t)ip};
  size_t len = 1 + (ip == KAD_MULTIADDR_IP4 ? 4u : 16u);
  if (suffix.len > sizeof(address) - len) {
    return false;
  }
  if (suffix.len != 0) {
    memcpy(address + len, suffix.data, suffix.len);
  }
  kad__address_info info;
  kad__address_read(&info, kad__bytes(address, len + suffix.len));
  return kad__transport_choose(out, s, &info, true);
}

bool kad__transport_resolvable(uint8_t *out, const kad__swarm *s,
                               const kad__address_info *info) {
  kad_multiaddr_protocol name = info->name.protocol;
  if (info->kind != KAD__ADDRESS_NAME || name == KAD_MULTIADDR_DNSADDR) {
    return false;
  }
  return (name != KAD_MULTIADDR_DNS6 &&
          choose_behind(out, s, KAD_MULTIADDR_IP4, info->suffix)) ||
         (name != KAD_MULTIADDR_DNS4 &&
          choose_behind(out, s, KAD_MULTIADDR_IP6, info->suffix));
}

const char *kad__transport_name(const kad__swarm *s, uint8_t number) {
  const kad__swarm_transports *own = &s->config.transports;
  return number == 0 ? "tcp" : own->name(own->user, number);
}

const char *kad__swarm_transport_for(const kad__swarm *s, kad_bytes address,
                                     bool to_dial) {
  kad__address_info info;
  uint8_t number = 0;
  kad__address_read(&info, address);
  bool found = kad__transport_choose(&number, s, &info, to_dial) ||
               (to_dial && kad__transport_resolvable(&number, s, &info));
  return found ? kad__transport_name(s, number) : NULL;
}
