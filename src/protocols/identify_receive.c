/* Nothing in a message is believed because it is there: the key must be the
 * one that the connection has proven, the record the peer's own, and an address
 * of use from where the peer stands.
 *
 * A signed record that lists what the unsigned list has already is not
 * verified: the authenticated channel vouches for both, and a signature is
 * most of what identify would cost. */
#include "base/bytes.h"
#include "protocols/identify_internal.h"
#include "wire/protobuf.h"

enum { ENVELOPE_PAYLOAD = 3, RECORD_ADDRESSES = 3, ADDRESS_MULTIADDR = 1 };

/* Merges the messages in `in`, each with its length. */
static int merge_all(kad__identify *identify, kad__identify_message *m,
                     kad_bytes in) {
  memset(m, 0, offsetof(kad__identify_message, addresses));
  while (in.len != 0) {
    kad_bytes message;
    int taken = kad__frame_split(&message, in, KAD__IDENTIFY_MESSAGE_MAX);
    int error = taken <= 0 ? KAD_E_TRUNCATED : kad__identify_merge(m, message);
    if (error < 0) {
      identify->counters.malformed++;
      return error;
    }
    in = kad__bytes_skip(in, (size_t)taken);
  }
  return 0;
}

/* The last field `number` of `in` that holds bytes; empty when there is none.
 */
static kad_bytes last_bytes(kad_bytes in, uint32_t number) {
  kad_bytes found = {NULL, 0};
  kad__pb_field field;
  while (kad__pb_next(&in, &field) == 1) {
    if (field.number == number && field.type == KAD__PB_BYTES) {
      found = field.bytes;
    }
  }
  return found;
}

/* True when the record's addresses, unverified, are just those of the unsigned
 * list, in the same order. */
static bool record_repeats_list(const kad__identify_message *m) {
  kad_bytes record = last_bytes(m->signed_peer_record, ENVELOPE_PAYLOAD);
  size_t count = 0;
  kad__pb_field field;
  while (kad__pb_next(&record, &field) == 1) {
    if (field.number != RECORD_ADDRESSES || field.type != KAD__PB_BYTES) {
      continue;
    }
    kad_bytes address = last_bytes(field.bytes, ADDRESS_MULTIADDR);
    if (count == m->address_count ||
        !kad__bytes_equal(address, m->addresses[count])) {
      return false;
    }
    count++;
  }
  return count == m->address_count;
}

/* Replaces the unsigned list by the record's, when that is the peer's own. */
static void take_list(kad__identify *identify, kad__identify_message *m,
                      const kad_peer_id *peer) {
  if (record_repeats_list(m)) {
    return;
  }
  kad__peer_record record;
  int error = kad__peer_record_open(&record, &identify->allocator,
                                    m->signed_peer_record);
  if (error < 0 || !kad_peer_id_equal(&record.peer, peer)) {
    identify->counters.bad_records++;
    return;
  }
  m->address_count = record.address_count < KAD__IDENTIFY_ADDRESSES_MAX
                         ? record.address_count
                         : KAD__IDENTIFY_ADDRESSES_MAX;
  memcpy(m->addresses, record.addresses, m->address_count * sizeof(kad_bytes));
}

/* Without room for it the record is not kept: it is told again. */
static void take_record(kad__identify *identify, kad__identify_message *m,
                        const kad_peer_id *peer) {
  if (m->has_signed_peer_record) {
    take_list(identify, m, peer);
    (void)kad__peerstore_hear(kad__swarm_peerstore(identify->swarm), peer,
                              m->signed_peer_record);
  }
}

static bool wanted(const kad__identify *identify, kad_bytes address,
                   kad__scope from) {
  if (identify->config.keep_private && from == KAD__SCOPE_PUBLIC) {
    from = KAD__SCOPE_PRIVATE;
  }
  return kad_multiaddr_check(address) == 0 && !kad__address_useless(address) &&
         kad__address_scope(address) >= from;
}

/* What the peer listed before may be stale now; the address at which we reached
 * it is not. */
static int forget_listed(kad__peerstore *store,
                         const kad__connection_info *info, kad_time now) {
  kad__peerstore_update(store, &info->peer, KAD__ADDRESS_RECENT,
                        KAD__ADDRESS_TEMPORARY, now);
  kad__peerstore_downgrade(store, &info->peer, KAD__ADDRESS_TEMPORARY, now);
  if (info->inbound) {
    return 0;
  }
  int error = kad__peerstore_add(store, &info->peer, info->remote_address,
                                 KAD__ADDRESS_CONNECTED, now);
  return error == KAD_E_NO_MEMORY ? error : 0;
}

/* Fails for lack of memory alone; what is wrong with an address is counted. */
static int take_address(kad__identify *identify,
                        const kad__connection_info *info, kad_bytes address,
                        kad_time now) {
  int error = KAD_E_MULTIADDR;
  if (wanted(identify, address, kad__address_scope(info->remote_address))) {
    error =
        kad__peerstore_add(kad__swarm_peerstore(identify->swarm), &info->peer,
                           address, KAD__ADDRESS_CONNECTED, now);
  }
  if (error == KAD_E_NO_MEMORY) {
    return error;
  }
  identify->counters.bad_addresses += error < 0;
  return 0;
}

static int take_addresses(kad__identify *identify,
                          const kad__identify_message *m,
                          const kad__connection_info *info, kad_time now) {
  if (m->address_count == 0) {
    return 0;
  }
  int error = forget_listed(kad__swarm_peerstore(identify->swarm), info, now);
  for (size_t i = 0; i < m->address_count && error == 0; i++) {
    error = take_address(identify, info, m->addresses[i], now);
  }
  /* The list replaces what was there, unless it could not be taken. */
  if (error == 0) {
    kad__peerstore_update(kad__swarm_peerstore(identify->swarm), &info->peer,
                          KAD__ADDRESS_TEMPORARY, 0, now);
  }
  return error;
}

static int take_protocols(kad__identify *identify, kad__identify_task *task,
                          const kad__identify_message *m) {
  if (m->protocol_count == 0 && task->kind == KAD__IDENTIFY_PUSH_IN) {
    return 0;
  }
  task->event.protocols_changed = true;
  return kad__peerstore_set_protocols(kad__swarm_peerstore(identify->swarm),
                                      &task->event.peer, m->protocols,
                                      m->protocol_count);
}

static int take_agent(kad__identify *identify, const kad__identify_message *m,
                      const kad_peer_id *peer) {
  kad__peerstore *store = kad__swarm_peerstore(identify->swarm);
  if (m->has_protocol_version) {
    int error = kad__peerstore_set_version(store, peer, m->protocol_version);
    if (error < 0) {
      return error;
    }
  }
  if (!m->has_agent_version) {
    return 0;
  }
  kad_bytes agent = m->agent_version;
  agent.len =
      agent.len < KAD__IDENTIFY_AGENT_MAX ? agent.len : KAD__IDENTIFY_AGENT_MAX;
  return kad__peerstore_set_agent(store, peer, agent);
}

/* js-libp2p ends it in our own /p2p, which says nothing. */
static void take_observed(kad__identify_task *task,
                          const kad__identify_message *m) {
  kad_bytes address = m->observed_address;
  if (!m->has_observed_address || kad_multiaddr_check(address) < 0) {
    return;
  }
  kad_multiaddr_part part;
  kad_bytes prefix;
  if (kad_multiaddr_find(address, KAD_MULTIADDR_P2P, &part, &prefix)) {
    address = prefix;
  }
  if (address.len != 0) {
    memcpy(task->observed, address.data, address.len);
  }
  task->event.observed_address = kad__bytes(task->observed, address.len);
}

int kad__identify_apply(kad__identify *identify, kad__identify_task *task,
                        kad_bytes in, kad_time now) {
  kad__connection_info info;
  if (!kad__swarm_connection(identify->swarm, task->event.connection, &info)) {
    return KAD_E_CLOSED;
  }
  kad__identify_message *m = &identify->message;
  int error = merge_all(identify, m, in);
  if (error < 0) {
    return error;
  }
  if (m->has_public_key && !kad__bytes_equal(m->public_key, info.public_key)) {
    identify->counters.wrong_keys++;
    return KAD_E_PEER_MISMATCH;
  }
  if (task->kind == KAD__IDENTIFY_ASK) {
    kad__peerstore_note_latency(kad__swarm_peerstore(identify->swarm),
                                &info.peer, now - task->started);
  }
  take_record(identify, m, &info.peer);
  take_observed(task, m);
  error = take_addresses(identify, m, &info, now);
  if (error == 0) {
    error = take_protocols(identify, task, m);
  }
  return error < 0 ? error : take_agent(identify, m, &info.peer);
}
