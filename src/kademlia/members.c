/* Who is in the table. A peer enters when it speaks our protocol and has
 * answered us (with `trust_peers`: without that), and leaves when it no longer
 * does, or has failed twice with a pause between while others answered. A peer
 * that failed rests: twice as long each time, it is asked only when nobody else
 * is left, and nobody is told of it. When nobody answers at all the fault is
 * likely ours, so the table is kept, for a while. */
#include "kademlia/state.h"

#define REST_FIRST (30 * KAD_SECOND)
#define REST_MAX (10 * KAD_MINUTE)
#define FAILURES_TO_LEAVE 2
#define FAILURES_TO_LEAVE_OFFLINE 8
/* Answers of others within this time show that we are on the network. */
#define ONLINE_PROOF KAD_MINUTE
#define UPKEEP_FAILED (15 * KAD_SECOND)
#define UPKEEP_WAITING KAD_SECOND

/* ---- memory of peers outside the table ---------------------------------- */

static void recent_drop(kad__dht *dht, const kad__recent_item *item) {
  kad__list_unref(dht->book, item->value);
  kad__peer_unref(dht->book, (kad__peer)item->key);
}

static kad__recent_item *recent_of(const kad__dht *dht, kad__peer peer) {
  return kad__recent_find(&dht->recent, peer);
}

static kad__recent_item *recent_hold(kad__dht *dht, kad__peer peer) {
  kad__recent_item evicted;
  kad__recent_item *item = recent_of(dht, peer);
  if (item != NULL) {
    return item;
  }
  item = kad__recent_put(&dht->recent, &dht->allocator, peer, &evicted);
  if (item != NULL) {
    kad__peer_ref(dht->book, peer);
  }
  if (evicted.key != 0) {
    recent_drop(dht, &evicted);
  }
  return item;
}

static void recent_forget(kad__dht *dht, kad__recent_item *item) {
  kad__recent_item copy = *item;
  kad__recent_remove(&dht->recent, item);
  recent_drop(dht, &copy);
}

void kad__members_fini(kad__dht *dht) {
  for (uint32_t i = 0; i < dht->recent.len; i++) {
    if (dht->recent.items[i].key != 0) {
      recent_drop(dht, &dht->recent.items[i]);
    }
  }
  kad__recent_fini(&dht->recent, &dht->allocator);
}

/* ---- addresses ---------------------------------------------------------- */

static kad__entry *entry_of(const kad__dht *dht, kad__peer peer) {
  kad__entry *entry = kad__table_find(&dht->table, peer);
  return entry != NULL ? entry : kad__table_find_pending(&dht->table, peer);
}

static kad__list_id known_list(const kad__dht *dht, kad__peer peer) {
  const kad__entry *entry = entry_of(dht, peer);
  if (entry != NULL) {
    return entry->addresses;
  }
  const kad__recent_item *item = recent_of(dht, peer);
  return item == NULL ? 0 : item->value;
}

kad_bytes kad__member_addresses(const kad__dht *dht, kad__peer peer) {
  return kad__list_bytes(dht->book, known_list(dht, peer));
}

/* The newest first, so that what is cut off at the bound, or left out of an
 * answer, is the oldest. Takes a reference in `*out`. */
static int list_with(kad__dht *dht, kad__list_id *out, kad__list_id old,
                     kad_bytes address) {
  uint8_t merged[KAD__DHT_ADDRESSES_MAX];
  size_t len = 0;
  if (address.len == 0 ||
      !kad__addresses_append(merged, sizeof merged, &len, address)) {
    kad__list_ref(dht->book, old);
    *out = old;
    return 0;
  }
  kad__list_merge(merged, sizeof merged, &len, kad__list_bytes(dht->book, old));
  return kad__list_hold(dht->book, out, kad__bytes(merged, len));
}

/* ---- events ------------------------------------------------------------- */

static void routing_event(kad__dht *dht, kad__dht_event_type type,
                          kad__peer peer, kad__list_id addresses,
                          kad__peer old_peer) {
  if ((dht->config.muted_events & 1u << type) != 0) {
    return;
  }
  kad__dht_event event = {
      .type = type,
      .bucket = kad__table_index(&dht->table, kad__peer_key(dht->book, peer)),
      .peer.id = kad__peer_id(dht->book, peer),
      .peer.addresses = kad__list_bytes(dht->book, addresses)};
  if (old_peer != 0) {
    event.old_peer = kad__peer_id(dht->book, old_peer);
  }
  kad__event_push(dht, &event);
}

/* ---- entering ----------------------------------------------------------- */

static void entry_alive(kad__dht *dht, kad__entry *entry) {
  entry->failures = 0;
  entry->flags &= (uint8_t) ~(KAD__ENTRY_FAILED | KAD__ENTRY_PROBED);
  if ((entry->flags & KAD__ENTRY_CONNECTED) == 0) {
    kad__table_set_connected(&dht->table, entry, true);
  }
}

static void probe_entry(kad__dht *dht, kad__entry *entry, kad_time now) {
  if ((entry->flags & KAD__ENTRY_PROBED) == 0 &&
      kad__call_probe(dht, entry->peer, now)) {
    entry->flags |= KAD__ENTRY_PROBED;
  }
}

static void entered(kad__dht *dht, kad__peer peer, kad__list_id addresses,
                    kad_time now) {
  kad__recent_item *item = recent_of(dht, peer);
  routing_event(dht, KAD__DHT_ROUTING_ADDED, peer, addresses, 0);
  if (item != NULL && item->failures == 0) {
    recent_forget(dht, item);
  }
  dht->next_upkeep =
      kad__time_min(dht->next_upkeep, kad__time_add(now, KAD_MINUTE));
  kad__bootstrap_trigger(dht, now);
}

/* How a peer comes: told by the owner, reached by us, or answering again. */
typedef enum arrival { TRUSTED, CONFIRMED, ANSWERED } arrival;

/* Whom the owner vouches for is bound by no group. */
static bool has_group_room(kad__dht *dht, kad__peer peer, uint16_t group,
                           arrival how) {
  uint32_t bucket =
      kad__table_index(&dht->table, kad__peer_key(dht->book, peer));
  if (how == TRUSTED || kad__dht_group_room(dht, group, bucket)) {
    return true;
  }
  dht->counters.crowded++;
  return false;
}

static int insert(kad__dht *dht, kad__peer peer, kad__list_id addresses,
                  bool connected, arrival how, kad_time now) {
  kad__peer oldest;
  uint16_t group = kad__dht_group(dht, kad__list_bytes(dht->book, addresses));
  if (!has_group_room(dht, peer, group, how)) {
    return KAD__INSERT_FULL;
  }
  int result =
      kad__table_insert(&dht->table, peer, addresses, connected, now, &oldest);
  if (result == KAD__INSERTED || result == KAD__INSERT_PENDING) {
    entry_of(dht, peer)->group = group;
  }
  if (result == KAD__INSERT_PENDING) {
    probe_entry(dht, kad__table_find(&dht->table, oldest), now);
  }
  return result;
}

static kad__routing_update enter(kad__dht *dht, kad__peer peer,
                                 kad__list_id addresses, bool connected,
                                 arrival how, kad_time now) {
  kad__routing_update update = KAD__ROUTING_FAILED;
  kad__list_ref(dht->book, addresses);
  int result = insert(dht, peer, addresses, connected, how, now);
  if (result == KAD__INSERTED) {
    entered(dht, peer, addresses, now);
    update = KAD__ROUTING_SUCCESS;
  } else if (result == KAD__INSERT_PENDING) {
    routing_event(dht, KAD__DHT_PENDING_ROUTABLE, peer, addresses, 0);
    update = KAD__ROUTING_PENDING;
  } else if (result == KAD__INSERT_FULL && how == CONFIRMED) {
    routing_event(dht, KAD__DHT_ROUTABLE, peer, addresses, 0);
  }
  kad__list_unref(dht->book, addresses);
  return update;
}

/* ---- news --------------------------------------------------------------- */

/* Somebody who knows nobody is no help, unless we are as poor ourselves. */
static bool proves_useful(const kad__dht *dht, bool blank) {
  return !blank || dht->config.trust_peers || dht->table.size < KAD__K;
}

/* It speaks our protocol, and we know where it is. */
static bool is_confirmed(const kad__dht *dht, const kad__recent_item *item) {
  return dht->config.no_addresses ||
         (item != NULL && (item->flags & KAD__RECENT_CONNECTED) != 0 &&
          item->value != 0);
}

/* Liars name liars, so a lookup meets more of them on its way than there are;
 * at its end it does not, unless it was deceived on all paths. Whom it came by
 * enters only as one of the closest. */
static bool has_passed(const kad__recent_item *item) {
  return item != NULL && (item->flags & KAD__RECENT_PASSED) != 0;
}

void kad__member_answered(kad__dht *dht, kad__peer peer, bool blank,
                          kad_time now) {
  kad__recent_item *item = recent_of(dht, peer);
  kad__entry *entry = entry_of(dht, peer);
  kad__list_id addresses = item == NULL ? 0 : item->value;
  bool may_enter = is_confirmed(dht, item) && !dht->config.manual_inserts &&
                   !has_passed(item) && proves_useful(dht, blank);
  if (item != NULL) {
    item->failures = 0;
    item->at = 0;
    item->flags &= (uint8_t) ~(KAD__RECENT_PROBED | KAD__RECENT_UNSUPPORTED |
                               KAD__RECENT_MUTE | KAD__RECENT_WAITS);
  }
  if (item != NULL &&
      (entry != NULL || (item->flags == 0 && item->value == 0))) {
    recent_forget(dht, item);
  }
  if (entry != NULL) {
    entry->seen = (uint32_t)(now / KAD_SECOND);
    entry_alive(dht, entry);
  } else if (may_enter) {
    enter(dht, peer, addresses, true, ANSWERED, now);
  }
}

void kad__member_passed(kad__dht *dht, kad__peer peer) {
  kad__recent_item *item =
      entry_of(dht, peer) != NULL ? NULL : recent_hold(dht, peer);
  if (item != NULL) {
    item->flags |= KAD__RECENT_PASSED;
  }
}

void kad__member_found(kad__dht *dht, kad__peer peer, kad_time now) {
  const kad__recent_item *item = recent_of(dht, peer);
  if (entry_of(dht, peer) == NULL && is_confirmed(dht, item) &&
      !dht->config.manual_inserts) {
    enter(dht, peer, item == NULL ? 0 : item->value, true, ANSWERED, now);
  }
}

static bool is_ours(int error) {
  return error == KAD_E_CANCELLED || error == KAD_E_NO_MEMORY ||
         error == KAD_E_LIMIT || error == KAD_E_STATE;
}

static void leave(kad__dht *dht, kad__peer peer) {
  kad__list_id addresses = known_list(dht, peer);
  bool present = kad__table_find(&dht->table, peer) != NULL;
  kad__list_ref(dht->book, addresses);
  kad__peer_ref(dht->book, peer);
  if (kad__table_remove(&dht->table, peer) && present) {
    routing_event(dht, KAD__DHT_ROUTING_REMOVED, peer, addresses, 0);
  }
  kad__list_unref(dht->book, addresses);
  kad__peer_unref(dht->book, peer);
}

/* Rests the peer; false when it rests already, so that several calls that fail
 * together count once. */
static bool rest(kad__dht *dht, kad__peer peer, int error, kad_time now) {
  kad__recent_item *item = recent_hold(dht, peer);
  if (item == NULL) {
    return true;
  }
  item->flags &= (uint8_t) ~(KAD__RECENT_PROBED | KAD__RECENT_MUTE);
  item->flags |= error == KAD_E_TIMEOUT ? KAD__RECENT_MUTE : 0;
  if (item->failures > 0 && item->at > now) {
    return false;
  }
  unsigned doublings = item->failures > 5 ? 5 : item->failures;
  item->failures = (uint8_t)(item->failures + (item->failures < UINT8_MAX));
  item->at =
      kad__time_add(now, kad__time_min(REST_FIRST << doublings, REST_MAX));
  return true;
}

static void entry_failed(kad__dht *dht, kad__entry *entry, bool counts,
                         kad_time now) {
  kad__peer peer = entry->peer;
  bool online = dht->last_reply != 0 && now - dht->last_reply <= ONLINE_PROOF;
  entry->flags |= KAD__ENTRY_FAILED;
  entry->flags &= (uint8_t)~KAD__ENTRY_PROBED;
  if ((counts || entry->failures == 0) && entry->failures < UINT8_MAX) {
    entry->failures++;
  }
  if (entry->failures >= FAILURES_TO_LEAVE_OFFLINE ||
      (online && entry->failures >= FAILURES_TO_LEAVE)) {
    leave(dht, peer);
  } else if ((entry->flags & KAD__ENTRY_CONNECTED) != 0) {
    kad__table_set_connected(&dht->table, entry, false);
  }
  dht->next_upkeep =
      kad__time_min(dht->next_upkeep, kad__time_add(now, UPKEEP_FAILED));
}

void kad__member_failed(kad__dht *dht, kad__peer peer, int error,
                        kad_time now) {
  if (is_ours(error)) {
    kad__entry *entry = entry_of(dht, peer);
    if (entry != NULL) {
      entry->flags &= (uint8_t)~KAD__ENTRY_PROBED;
    }
    return;
  }
  if (error == KAD_E_NO_PROTOCOL || error == KAD_E_UNSUPPORTED) {
    kad__dht_peer_unsupported(dht, kad__peer_id(dht->book, peer), now);
    return;
  }
  dht->alone_since = kad__time_min(dht->alone_since, now);
  bool counts = rest(dht, peer, error, now);
  kad__entry *entry = entry_of(dht, peer);
  if (entry != NULL) {
    entry_failed(dht, entry, counts, now);
  }
}

bool kad__member_resting(const kad__dht *dht, kad__peer peer, kad_time now) {
  const kad__recent_item *item = recent_of(dht, peer);
  return item != NULL && item->failures > 0 && item->at > now;
}

bool kad__member_usable(const kad__dht *dht, kad__peer peer) {
  const kad__recent_item *item = recent_of(dht, peer);
  if (item != NULL && (item->flags & KAD__RECENT_UNSUPPORTED) != 0) {
    return false;
  }
  return dht->config.no_addresses || known_list(dht, peer) != 0 ||
         (item != NULL && (item->flags & KAD__RECENT_CONNECTED) != 0);
}

/* ---- what the gateway and the owner tell -------------------------------- */

static bool is_peer(const kad__dht *dht, kad_bytes id) {
  return id.len > 0 && id.len <= KAD__DHT_ID_MAX &&
         !kad__bytes_equal(id, dht->config.local_id);
}

static int entry_add_address(kad__dht *dht, kad__entry *entry,
                             kad_bytes address) {
  kad__list_id list;
  bool known = address.len == 0 ||
               kad__addresses_have(kad__list_bytes(dht->book, entry->addresses),
                                   address);
  if (known) {
    return 0;
  }
  if (list_with(dht, &list, entry->addresses, address) != 0) {
    return KAD_E_NO_MEMORY;
  }
  kad__table_set_addresses(&dht->table, entry, list);
  if (entry->group == 0) {
    entry->group = kad__dht_group(dht, kad__list_bytes(dht->book, list));
  }
  routing_event(dht, KAD__DHT_ROUTING_UPDATED, entry->peer, list, 0);
  kad__list_unref(dht->book, list);
  return 0;
}

/* Who did not answer has to: that it connects, and asks us, proves no more than
 * when we called it. Who could not be reached has proved by connecting that now
 * it can. */
static bool is_mute(const kad__recent_item *item) {
  return item != NULL && item->failures > 0 &&
         (item->flags & KAD__RECENT_MUTE) != 0;
}

/* Remembers a peer outside the table that is connected. */
static int confirm_outside(kad__dht *dht, kad__peer peer, kad_bytes address,
                           kad__list_id *list) {
  kad__recent_item *item = recent_hold(dht, peer);
  if (item == NULL) {
    return list_with(dht, list, 0, address);
  }
  if (list_with(dht, list, item->value, address) != 0) {
    return KAD_E_NO_MEMORY;
  }
  kad__list_ref(dht->book, *list);
  kad__list_unref(dht->book, item->value);
  item->value = *list;
  if (!is_mute(item)) {
    item->failures = 0;
    item->at = 0;
  }
  item->flags |= KAD__RECENT_CONNECTED;
  item->flags &= (uint8_t)~KAD__RECENT_UNSUPPORTED;
  return 0;
}

/* The answer to a call that is under way proves as much as a probe. Who comes
 * while as many are probed as may be waits: it may not come again for long. */
static void verify(kad__dht *dht, kad__peer peer, kad_time now) {
  kad__recent_item *item = recent_of(dht, peer);
  if (item == NULL || has_passed(item) ||
      (item->flags & KAD__RECENT_PROBED) != 0 || kad__call_awaits(dht, peer)) {
    return;
  }
  if (kad__call_probe(dht, peer, now)) {
    item->flags |= KAD__RECENT_PROBED;
    return;
  }
  item->flags |= KAD__RECENT_WAITS;
  dht->next_upkeep =
      kad__time_min(dht->next_upkeep, kad__time_add(now, UPKEEP_WAITING));
}

/* False where it would be turned away: asking it first would be in vain, and
 * again and again, each time it is confirmed. */
static bool has_place(kad__dht *dht, kad__peer peer, kad__list_id list) {
  uint32_t index =
      kad__table_index(&dht->table, kad__peer_key(dht->book, peer));
  uint16_t group = kad__dht_group(dht, kad__list_bytes(dht->book, list));
  if (!has_group_room(dht, peer, group, CONFIRMED)) {
    return false;
  }
  if (index >= dht->table.bucket_count) {
    return true;
  }
  const kad__bucket *b = &dht->table.buckets[index];
  return b->count < dht->table.bucket_size ||
         (b->first_connected > 0 && b->pending == NULL);
}

static void newcomer(kad__dht *dht, kad__peer peer, kad__list_id list,
                     kad_time now) {
  if (list == 0 && !dht->config.no_addresses) {
    routing_event(dht, KAD__DHT_UNROUTABLE, peer, 0, 0);
  } else if (dht->config.manual_inserts ||
             (!dht->config.trust_peers && !has_place(dht, peer, list))) {
    routing_event(dht, KAD__DHT_ROUTABLE, peer, list, 0);
  } else if (dht->config.trust_peers) {
    enter(dht, peer, list, true, CONFIRMED, now);
  } else {
    verify(dht, peer, now);
  }
}

/* When it was seen last stays as it is: who asks us all the time may never
 * answer, so it is probed all the same. */
static int confirm_entry(kad__dht *dht, kad__entry *entry, kad_bytes address) {
  kad__recent_item *item = recent_of(dht, entry->peer);
  bool mute = is_mute(item);
  if (item != NULL && !mute) {
    recent_forget(dht, item);
  }
  int error = entry_add_address(dht, entry, address);
  if (!mute) {
    entry_alive(dht, entry);
  }
  return error;
}

static int confirm(kad__dht *dht, kad__peer peer, kad_bytes address,
                   kad_time now) {
  kad__entry *entry = entry_of(dht, peer);
  if (entry != NULL) {
    return confirm_entry(dht, entry, address);
  }
  kad__list_id list;
  int error = confirm_outside(dht, peer, address, &list);
  if (error != 0) {
    return error;
  }
  if (!is_mute(recent_of(dht, peer))) {
    newcomer(dht, peer, list, now);
  } else if (!kad__member_resting(dht, peer, now)) {
    verify(dht, peer, now);
  }
  kad__list_unref(dht->book, list);
  return 0;
}

int kad__dht_peer_confirmed(kad__dht *dht, kad_bytes id, kad_bytes address,
                            kad_time now) {
  kad__peer peer;
  if (!is_peer(dht, id)) {
    return 0;
  }
  int error = kad__peer_book_hold(dht->book, &peer, id);
  if (error != 0) {
    return error;
  }
  if (!kad__dht_accepts(dht, address)) {
    address = (kad_bytes){0};
  }
  dht->alone_since = KAD_TIME_NEVER;
  error = confirm(dht, peer, address, now);
  kad__peer_unref(dht->book, peer);
  return error;
}

void kad__dht_peer_unsupported(kad__dht *dht, kad_bytes id, kad_time now) {
  kad__peer peer;
  if (!is_peer(dht, id) || kad__peer_book_hold(dht->book, &peer, id) != 0) {
    return;
  }
  leave(dht, peer);
  kad__recent_item *item = recent_hold(dht, peer);
  if (item != NULL) {
    item->flags = KAD__RECENT_UNSUPPORTED;
    item->failures = 1;
    item->at = kad__time_add(now, REST_MAX);
  }
  kad__peer_unref(dht->book, peer);
}

void kad__dht_peer_disconnected(kad__dht *dht, kad_bytes id, kad_time now) {
  kad__peer peer = kad__peer_book_find(dht->book, id);
  (void)now;
  if (peer == 0) {
    return;
  }
  kad__entry *entry = entry_of(dht, peer);
  if (entry != NULL && (entry->flags & KAD__ENTRY_CONNECTED) != 0) {
    kad__table_set_connected(&dht->table, entry, false);
  }
  kad__recent_item *item = recent_of(dht, peer);
  if (item != NULL) {
    item->flags &= (uint8_t)~KAD__RECENT_CONNECTED;
  }
}

void kad__dht_peer_unreachable(kad__dht *dht, kad_bytes id, kad_time now) {
  kad__peer peer = kad__peer_book_find(dht->book, id);
  if (peer == 0 || peer == dht->self) {
    return;
  }
  kad__peer_ref(dht->book, peer);
  kad__member_failed(dht, peer, KAD_E_UNREACHABLE, now);
  kad__peer_unref(dht->book, peer);
}

void kad__dht_peer_known(kad__dht *dht, kad_bytes id, kad_bytes addresses) {
  uint8_t merged[KAD__DHT_ADDRESSES_MAX];
  size_t len = 0;
  kad__peer peer;
  kad__list_id list;
  if (!is_peer(dht, id) || kad__peer_book_hold(dht->book, &peer, id) != 0) {
    return;
  }
  kad__dht_merge(dht, merged, sizeof merged, &len, addresses);
  kad__recent_item *item =
      entry_of(dht, peer) != NULL ? NULL : recent_hold(dht, peer);
  if (item != NULL &&
      kad__list_hold(dht->book, &list, kad__bytes(merged, len)) == 0) {
    kad__list_unref(dht->book, item->value);
    item->value = list;
  }
  kad__peer_unref(dht->book, peer);
}

static kad__routing_update add_address(kad__dht *dht, kad__peer peer,
                                       kad_bytes address, kad_time now) {
  kad__entry *entry = kad__table_find(&dht->table, peer);
  kad__entry *pending = kad__table_find_pending(&dht->table, peer);
  if (entry != NULL || pending != NULL) {
    if (entry_add_address(dht, entry != NULL ? entry : pending, address) != 0) {
      return KAD__ROUTING_FAILED;
    }
    return entry != NULL ? KAD__ROUTING_SUCCESS : KAD__ROUTING_PENDING;
  }
  const kad__recent_item *item = recent_of(dht, peer);
  kad__list_id list;
  bool connected = item != NULL && (item->flags & KAD__RECENT_CONNECTED) != 0;
  if (list_with(dht, &list, item == NULL ? 0 : item->value, address) != 0) {
    return KAD__ROUTING_FAILED;
  }
  kad__routing_update update = KAD__ROUTING_FAILED;
  if (list != 0 || dht->config.no_addresses) {
    update = enter(dht, peer, list, connected, TRUSTED, now);
  }
  kad__list_unref(dht->book, list);
  return update;
}

kad__routing_update kad__dht_add_address(kad__dht *dht, kad_bytes id,
                                         kad_bytes address, kad_time now) {
  kad__peer peer;
  bool useful = dht->config.no_addresses || kad__dht_accepts(dht, address);
  if (!is_peer(dht, id) || !useful ||
      kad__peer_book_hold(dht->book, &peer, id) != 0) {
    return KAD__ROUTING_FAILED;
  }
  kad__routing_update update = add_address(dht, peer, address, now);
  kad__peer_unref(dht->book, peer);
  return update;
}

/* A list without one address; it is shorter, so it fits. */
static size_t list_without(uint8_t *out, size_t cap, kad_bytes list,
                           kad_bytes address) {
  size_t len = 0;
  kad_bytes other;
  while (kad__addresses_next(&list, &other)) {
    if (!kad__bytes_equal(other, address)) {
      kad__addresses_append(out, cap, &len, other);
    }
  }
  return len;
}

bool kad__dht_remove_address(kad__dht *dht, kad_bytes id, kad_bytes address) {
  uint8_t rest_bytes[KAD__DHT_ADDRESSES_MAX];
  kad__peer peer = kad__peer_book_find(dht->book, id);
  kad__entry *entry = peer == 0 ? NULL : entry_of(dht, peer);
  kad__list_id list;
  if (entry == NULL) {
    return false;
  }
  kad_bytes old = kad__list_bytes(dht->book, entry->addresses);
  if (!kad__addresses_have(old, address)) {
    return false;
  }
  size_t len = list_without(rest_bytes, sizeof rest_bytes, old, address);
  if (len == 0) {
    leave(dht, peer);
    return true;
  }
  if (kad__list_hold(dht->book, &list, kad__bytes(rest_bytes, len)) != 0) {
    return false;
  }
  kad__table_set_addresses(&dht->table, entry, list);
  routing_event(dht, KAD__DHT_ROUTING_UPDATED, peer, list, 0);
  kad__list_unref(dht->book, list);
  return true;
}

bool kad__dht_remove_peer(kad__dht *dht, kad_bytes id) {
  kad__peer peer = kad__peer_book_find(dht->book, id);
  if (peer == 0 || entry_of(dht, peer) == NULL) {
    return false;
  }
  leave(dht, peer);
  return true;
}

size_t kad__dht_table_size(const kad__dht *dht) {
  return dht->table.size;
}

kad_time kad__dht_alone_since(const kad__dht *dht) {
  return dht->alone_since;
}

/* ---- the clock ---------------------------------------------------------- */

static void apply_pending(kad__dht *dht, kad_time now) {
  kad__applied applied;
  while (kad__table_apply(&dht->table, now, &applied)) {
    routing_event(dht, KAD__DHT_ROUTING_ADDED, applied.inserted,
                  known_list(dht, applied.inserted), applied.evicted);
    kad__recent_item *item = recent_of(dht, applied.inserted);
    if (item != NULL && item->failures == 0) {
      recent_forget(dht, item);
    }
    kad__peer_unref(dht->book, applied.evicted);
  }
}

static bool needs_probe(const kad__dht *dht, const kad__entry *entry,
                        kad_time now) {
  if ((entry->flags & KAD__ENTRY_FAILED) != 0) {
    return !kad__member_resting(dht, entry->peer, now);
  }
  kad_time seen = (kad_time)entry->seen * KAD_SECOND;
  return now >= kad__time_add(seen, dht->config.liveness_interval);
}

/* Those that came while there was no probe for them; true if some still wait.
 */
static bool verify_waiting(kad__dht *dht, kad_time now) {
  bool wait = false;
  for (uint32_t i = 0; i < dht->recent.len; i++) {
    kad__recent_item *item = &dht->recent.items[i];
    if ((item->flags & KAD__RECENT_WAITS) == 0) {
      continue;
    }
    item->flags &= (uint8_t)~KAD__RECENT_WAITS;
    if (is_confirmed(dht, item) && item->failures == 0 &&
        has_place(dht, (kad__peer)item->key, item->value)) {
      verify(dht, (kad__peer)item->key, now);
    }
    wait = wait || (item->flags & KAD__RECENT_WAITS) != 0;
  }
  return wait;
}

/* Probes those that are silent; returns when to look again. */
static kad_time upkeep(kad__dht *dht, kad_time now) {
  bool failed = false;
  bool waiting = verify_waiting(dht, now);
  for (uint32_t i = 0; i < dht->table.bucket_count; i++) {
    kad__bucket *b = &dht->table.buckets[i];
    for (uint32_t j = 0; j < b->count; j++) {
      failed = failed || (b->entries[j].flags & KAD__ENTRY_FAILED) != 0;
      if (needs_probe(dht, &b->entries[j], now)) {
        probe_entry(dht, &b->entries[j], now);
      }
    }
  }
  if (waiting) {
    return kad__time_add(now, UPKEEP_WAITING);
  }
  if (dht->table.size == 0) {
    return KAD_TIME_NEVER;
  }
  if (failed) {
    return kad__time_add(now, UPKEEP_FAILED);
  }
  return kad__time_add(now, dht->config.liveness_interval == KAD_TIME_NEVER
                                ? KAD_TIME_NEVER
                                : dht->config.liveness_interval / 16 + 1);
}

void kad__members_tick(kad__dht *dht, kad_time now) {
  apply_pending(dht, now);
  if (now >= dht->next_upkeep) {
    dht->next_upkeep = upkeep(dht, now);
  }
}

kad_time kad__members_deadline(const kad__dht *dht) {
  return kad__time_min(dht->next_upkeep, kad__table_deadline(&dht->table));
}
