/* Signed peer records. The record in force marks the addresses that it lists,
 * so that the next one can take back what only its predecessor said and
 * nothing that was learnt elsewhere. */
#include "identity/envelope.h"
#include "swarm/peerstore_internal.h"

static bool lists(const kad__peer_record *record, kad_bytes address) {
  for (size_t i = 0; i < record->address_count; i++) {
    kad_bytes listed = record->addresses[i];
    if (kad__known_strip(&listed, &record->peer) == 0 &&
        kad__bytes_equal(listed, address)) {
      return true;
    }
  }
  return false;
}

/* Adds what the record lists; the number of addresses, or KAD_E_NO_MEMORY. */
static int add_listed(kad__peerstore *p, const kad__peer_record *record,
                      kad_time ttl, kad_time now) {
  int added = 0;
  for (size_t i = 0; i < record->address_count; i++) {
    int result =
        kad__peerstore_add(p, &record->peer, record->addresses[i], ttl, now);
    if (result == KAD_E_NO_MEMORY) {
      return result;
    }
    added += result == 0;
  }
  return added == 0 ? KAD_E_NO_ADDRESS : added;
}

/* The record is in force: marks its addresses, and takes those away that the
 * one before it listed alone. */
static void put_in_force(kad__peerstore *p, const kad__peer_record *record) {
  kad__known_peer *peer = kad__known_find(p, &record->peer);
  peer->sequence = record->sequence;
  for (size_t i = peer->address_count; i-- > 0;) {
    kad__known_address *a = &peer->addresses[i];
    bool listed = lists(record, kad__bytes(a->bytes, a->len));
    if (a->certified && !listed && a->ttl != KAD__ADDRESS_CONNECTED) {
      kad__known_address_remove(p, peer, i);
    } else {
      a->certified = listed;
    }
  }
  kad__known_settle(p, peer);
}

static int consume(kad__peerstore *p, const kad__peer_record *record,
                   kad_bytes sealed, kad_time ttl, kad_time now) {
  const kad__known_peer *peer = kad__known_find(p, &record->peer);
  bool held = peer != NULL && peer->facts[KAD__KNOWN_RECORD] != NULL;
  if (held && record->sequence < peer->sequence) {
    return 0;
  }
  bool refreshes = held && record->sequence == peer->sequence;
  uint8_t *copy = NULL;
  if (!refreshes) {
    copy = kad__memdup(&p->allocator, sealed.data, sealed.len);
    if (copy == NULL) {
      return KAD_E_NO_MEMORY;
    }
  }
  int result = add_listed(p, record, ttl, now);
  if (result < 0 || refreshes) {
    kad__release(&p->allocator, copy);
    return result < 0 ? result : 1;
  }
  result = kad__known_set_fact(p, &record->peer, KAD__KNOWN_RECORD, copy,
                               sealed.len);
  if (result < 0) {
    return result;
  }
  put_in_force(p, record);
  return 1;
}

int kad__peerstore_consume(kad__peerstore *p, kad_peer_id *peer,
                           kad_bytes sealed, kad_time ttl, kad_time now) {
  kad__known_set_now(p, now);
  kad__peer_record record;
  int result = kad__peer_record_open(&record, &p->allocator, sealed);
  if (result < 0) {
    return result;
  }
  *peer = record.peer;
  if (ttl == 0) {
    return KAD_E_INVALID_ARGUMENT;
  }
  return consume(p, &record, sealed, ttl, now);
}

int kad__peerstore_hear(kad__peerstore *p, const kad_peer_id *id,
                        kad_bytes sealed) {
  kad_bytes held = kad__known_get_fact(p, id, KAD__KNOWN_RECORD);
  if (sealed.len == 0 || sealed.len > KAD__ENVELOPE_MAX ||
      kad__bytes_equal(held, sealed)) {
    return 0;
  }
  uint8_t *copy = kad__memdup(&p->allocator, sealed.data, sealed.len);
  return copy == NULL
             ? KAD_E_NO_MEMORY
             : kad__known_set_fact(p, id, KAD__KNOWN_HEARD, copy, sealed.len);
}

static bool is_newer(const kad__known_peer *peer,
                     const kad__peer_record *record) {
  return kad_peer_id_equal(&record->peer, &peer->id) &&
         (peer->facts[KAD__KNOWN_RECORD] == NULL ||
          record->sequence > peer->sequence);
}

void kad__peerstore_settle_heard(kad__peerstore *p, const kad_peer_id *id) {
  kad__known_peer *peer = kad__known_find(p, id);
  if (peer == NULL || peer->facts[KAD__KNOWN_HEARD] == NULL) {
    return;
  }
  kad_bytes sealed = kad__known_get_fact(p, id, KAD__KNOWN_HEARD);
  kad__peer_record record;
  int result = kad__peer_record_open(&record, &p->allocator, sealed);
  if (result == KAD_E_NO_MEMORY) {
    return; /* another time */
  }
  if (result < 0 || !is_newer(peer, &record)) {
    kad__known_drop_fact(p, peer, KAD__KNOWN_HEARD);
    return;
  }
  kad__known_drop_fact(p, peer, KAD__KNOWN_RECORD);
  peer->facts[KAD__KNOWN_RECORD] = peer->facts[KAD__KNOWN_HEARD];
  peer->fact_lens[KAD__KNOWN_RECORD] = peer->fact_lens[KAD__KNOWN_HEARD];
  peer->facts[KAD__KNOWN_HEARD] = NULL;
  peer->fact_lens[KAD__KNOWN_HEARD] = 0;
  put_in_force(p, &record);
}

kad_bytes kad__peerstore_record(const kad__peerstore *p,
                                const kad_peer_id *peer) {
  return kad__known_get_fact(p, peer, KAD__KNOWN_RECORD);
}
