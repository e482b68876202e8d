/* Names: n<NUMBER> is the host of that number, and who looks it up waits like
 * one who dials. A look-up is a link that has one end, named by it, so that it
 * ends with its host. */
#include "kadmium/multiaddr.h"
#include "multiformats/varint.h"
#include "simulator/simulator_internal.h"

/* An address where nobody is, told beside the true one now and then. */
#define NOBODY_IP (UINT32_C(10) << 24 | 0xffffff)
#define TXT_PREFIX "_dnsaddr."
#define ENTRY "dnsaddr="

void kad__sim_resolve(kad__simulator *s, kad__sim_host *h,
                      const kad__world_action *action) {
  kad__sim_link *link = kad__sim_link_new(s, h, h);
  bool silent = kad__sim_chance(s, s->faults.unanswered);
  if (link == NULL) {
    return;
  }
  if (kad__sim_map(s, &link->ends[0], action->id) == 0 && !silent) {
    link->query = action->query;
    kad__sim_send(s, &link->ends[0], KAD__SIM_NAME, action->name);
  }
  kad__sim_link_release(s, link);
}

/* The host that is named; NULL: nobody. */
static kad__sim_host *named(kad__simulator *s, kad_bytes name, bool txt) {
  kad_bytes prefix = kad__bytes_of(txt ? TXT_PREFIX "n" : "n");
  uint32_t number = 0;
  if (!kad__bytes_start(name, prefix) || name.len > prefix.len + 4) {
    return NULL;
  }
  for (size_t i = prefix.len; i < name.len; i++) {
    number = 10 * number + (uint32_t)(name.data[i] - '0');
  }
  return number < s->count ? s->hosts[number] : NULL;
}

/* dnsaddr=<its address>/p2p/<its id> */
static kad_bytes entry_of(char *out, const kad__sim_host *h) {
  uint8_t address[KAD_MULTIADDR_MAX];
  kad_bytes id = kad_peer_id_bytes(kad_key_pair_peer_id(h->identity));
  size_t len = KAD__SIM_ADDRESS_LEN;
  memcpy(out, ENTRY, sizeof(ENTRY));
  memcpy(address, h->address, len);
  len += kad__varint_encode(address + len, KAD_MULTIADDR_P2P);
  len += kad__varint_encode(address + len, id.len);
  memcpy(address + len, id.data, id.len);
  (void)kad_multiaddr_format(out + sizeof(ENTRY) - 1, KAD_MULTIADDR_TEXT_MAX,
                             kad__bytes(address, len + id.len));
  return kad__bytes_of(out);
}

static void tell(kad__simulator *s, kad__swarm *swarm, kad__id id,
                 const kad__sim_host *found, bool txt) {
  char text[sizeof(ENTRY) + KAD_MULTIADDR_TEXT_MAX];
  uint8_t nobody[4];
  kad__store32(nobody, NOBODY_IP);
  if (txt) {
    kad__swarm_resolved(swarm, id, entry_of(text, found), s->now);
    return;
  }
  if (kad__sim_chance(s, s->faults.refused)) {
    kad__swarm_resolved(swarm, id, kad__bytes(nobody, 4), s->now);
  }
  kad__swarm_resolved(swarm, id, kad__bytes(found->address + 1, 4), s->now);
}

void kad__sim_name_answered(kad__simulator *s, const kad__sim_happening *h) {
  kad__sim_end *end = &h->link->ends[0];
  kad__sim_host *host = end->host;
  kad__id id = end->connection;
  if (id == 0) {
    return;
  }
  bool txt = h->link->query == KAD__RESOLVE_TXT;
  bool ip4 = (h->link->query & KAD__RESOLVE_IP4) != 0;
  const kad__sim_host *found =
      txt || ip4 ? named(s, kad__bytes(h->bytes, h->len), txt) : NULL;
  kad__swarm *swarm = kad__node_swarm(host->node);
  kad__sim_unmap(s, end);
  if (found != NULL) {
    tell(s, swarm, id, found, txt);
  }
  kad__swarm_resolve_end(swarm, id, found == NULL ? KAD_E_RESOLVE : 0, s->now);
  kad__sim_turn(s, host);
}
