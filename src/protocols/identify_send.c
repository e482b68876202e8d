/* A signature costs more than all the rest of an answer, so the record is
 * signed once for each scope of addresses, and again only when they change.
 * Comparing the list each time is cheaper than being told of changes, and
 * cannot be forgotten. */
#include "base/alloc.h"
#include "base/bytes.h"
#include "protocols/identify_internal.h"
#include "wire/addresses.h"

/* The length prefix of a message that is not above 4096 bytes. */
#define PREFIX_MAX 2

static const char protocol_version[] = KAD__IDENTIFY_PROTOCOL_VERSION;

static size_t split_list(kad_bytes list, kad_bytes *out, size_t cap) {
  size_t count = 0;
  while (count < cap && kad__addresses_next(&list, &out[count])) {
    count++;
  }
  return count;
}

/* Without memory or a signature there is just no record. */
static void seal(kad__identify *identify, kad__identify_card *card) {
  kad_bytes addresses[KAD__PEER_RECORD_ADDRESSES_MAX];
  size_t count = split_list(kad__bytes(card->addresses, card->addresses_len),
                            addresses, KAD__COUNT(addresses));
  int len = kad__peer_record_seal(card->record, sizeof(card->record),
                                  identify->config.identity,
                                  identify->config.sequence, addresses, count);
  identify->config.sequence++;
  card->record_len = len < 0 ? 0 : (size_t)len;
  card->sealed = true;
}

static kad__identify_card *current_card(kad__identify *identify,
                                        kad__scope scope) {
  kad__identify_card *card = identify->cards[scope];
  if (card == NULL) {
    card = kad__calloc(&identify->allocator, 1, sizeof(*card));
    identify->cards[scope] = card;
  }
  if (card == NULL) {
    return NULL;
  }
  uint8_t list[KAD__OWN_ADDRESSES_MAX];
  size_t len =
      kad__own_addresses_list(identify->config.own, list, sizeof(list), scope);
  if (!card->sealed ||
      !kad__bytes_equal(kad__bytes(list, len),
                        kad__bytes(card->addresses, card->addresses_len))) {
    memcpy(card->addresses, list, len);
    card->addresses_len = len;
    seal(identify, card);
  }
  return card;
}

/* What every peer is told, whatever its scope. */
static void fill_common(kad__identify *identify, kad__identify_message *m) {
  m->has_public_key = true;
  m->public_key =
      kad_public_key_bytes(kad_key_pair_public(identify->config.identity));
  m->has_protocol_version = true;
  m->protocol_version =
      kad__bytes(protocol_version, sizeof(protocol_version) - 1);
  m->has_agent_version = true;
  m->agent_version = identify->config.agent_version;
  kad__protocol_names names = kad__swarm_protocols(identify->swarm);
  m->protocol_count = names.count < KAD__IDENTIFY_PROTOCOLS_MAX
                          ? names.count
                          : KAD__IDENTIFY_PROTOCOLS_MAX;
  memcpy(m->protocols, names.names, m->protocol_count * sizeof(kad_bytes));
}

static void clear(kad__identify_message *m) {
  memset(m, 0, offsetof(kad__identify_message, addresses));
}

uint64_t kad__identify_fingerprint(kad__identify *identify) {
  kad__protocol_names names = kad__swarm_protocols(identify->swarm);
  uint64_t sum = 0;
  /* The order of the protocols means nothing: their hashes are added. */
  for (size_t i = 0; i < names.count; i++) {
    sum += kad__siphash(identify->secret, names.names[i]);
  }
  uint8_t list[KAD__OWN_ADDRESSES_MAX];
  size_t len = kad__own_addresses_list(identify->config.own, list, sizeof(list),
                                       KAD__SCOPE_LOOPBACK);
  return sum ^ kad__siphash(identify->secret, kad__bytes(list, len));
}

/* rust-libp2p reads one message of 4096 bytes: what does not fit is left out,
 * the record first, since it repeats the addresses. */
static int encode_short(uint8_t *out, size_t cap, kad__identify_message *m) {
  size_t room = KAD__IDENTIFY_SEND_MAX + PREFIX_MAX;
  cap = cap < room ? cap : room;
  int len = kad__identify_encode(out, cap, m);
  if (len == KAD_E_BUFFER_TOO_SMALL) {
    m->has_signed_peer_record = false;
    len = kad__identify_encode(out, cap, m);
  }
  while (len == KAD_E_BUFFER_TOO_SMALL && m->address_count != 0) {
    m->address_count /= 2;
    len = kad__identify_encode(out, cap, m);
  }
  return len;
}

int kad__identify_compose(kad__identify *identify, uint8_t *out, size_t cap,
                          const kad__connection_info *info) {
  kad__scope scope = kad__address_scope(info->remote_address);
  kad__identify_card *card = current_card(identify, scope);
  if (card == NULL) {
    return KAD_E_NO_MEMORY;
  }
  kad__identify_message *m = &identify->message;
  clear(m);
  fill_common(identify, m);
  m->has_observed_address = true;
  m->observed_address = info->remote_address;
  m->address_count =
      split_list(kad__bytes(card->addresses, card->addresses_len), m->addresses,
                 KAD__IDENTIFY_ADDRESSES_MAX);
  m->has_signed_peer_record = card->record_len != 0;
  m->signed_peer_record = kad__bytes(card->record, card->record_len);
  return encode_short(out, cap, m);
}
