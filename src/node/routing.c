/* The owner's view of the DHT: the public functions of kadmium/routing.h over
 * those of the DHT, with PeerIds in the place of bytes. */
#include "node/routing.h"

#include "kademlia/inspect.h"
#include "node/node_internal.h"

static void bucket_of(kad_bucket *out, const kad__bucket_view *view) {
  *out = (kad_bucket){
      .index = view->index, .entries = view->entries, .pending = view->pending};
}

bool kad__node_next_bucket(const kad__node *node, uint32_t *cursor,
                           kad_bucket *out) {
  kad__bucket_view view;
  if (!kad__dht_next_bucket(node->dht, cursor, &view)) {
    return false;
  }
  bucket_of(out, &view);
  return true;
}

bool kad__node_bucket_of(const kad__node *node, kad_bytes key,
                         kad_bucket *out) {
  kad__bucket_view view;
  if (!kad__dht_bucket_of(node->dht, key, &view)) {
    return false;
  }
  bucket_of(out, &view);
  return true;
}

bool kad__node_next_entry(const kad__node *node, uint32_t bucket,
                          uint32_t *cursor, kad_table_entry *out) {
  kad__entry_view view;
  do {
    if (!kad__dht_next_entry(node->dht, bucket, cursor, &view)) {
      return false;
    }
    *out = (kad_table_entry){.addresses = view.addresses,
                             .bucket = view.bucket,
                             .connected = view.connected,
                             .pending = view.pending};
  } while (!kad__node_peer_id(&out->peer, view.peer));
  return true;
}

size_t kad__node_closest_local(kad__node *node, kad_table_entry *out,
                               size_t cap, kad_bytes key,
                               const kad_peer_id *source, kad_time now) {
  kad__wire_peer near[KAD__RESULTS_MAX];
  kad_bytes skip =
      source == NULL ? kad__bytes(NULL, 0) : kad_peer_id_bytes(source);
  size_t count = kad__dht_closest_local(
      node->dht, near, cap < KAD__COUNT(near) ? cap : KAD__COUNT(near), key,
      skip, now);
  size_t kept = 0;
  for (size_t i = 0; i < count; i++) {
    kad_bucket bucket = {.index = 0};
    (void)kad__node_bucket_of(node, near[i].id, &bucket);
    out[kept] =
        (kad_table_entry){.addresses = near[i].addresses,
                          .bucket = bucket.index,
                          .connected = near[i].connection == KAD__CONNECTED};
    kept += kad__node_peer_id(&out[kept].peer, near[i].id);
  }
  return kept;
}

kad_routing_update kad__node_add_address(kad__node *node,
                                         const kad_peer_id *peer,
                                         kad_bytes address, kad_time now) {
  switch (
      kad__dht_add_address(node->dht, kad_peer_id_bytes(peer), address, now)) {
    case KAD__ROUTING_SUCCESS:
      return KAD_ROUTING_SUCCESS;
    case KAD__ROUTING_PENDING:
      return KAD_ROUTING_PENDING;
    default:
      return KAD_ROUTING_FAILED;
  }
}

bool kad__node_remove_address(kad__node *node, const kad_peer_id *peer,
                              kad_bytes address) {
  return kad__dht_remove_address(node->dht, kad_peer_id_bytes(peer), address);
}

bool kad__node_remove_peer(kad__node *node, const kad_peer_id *peer) {
  return kad__dht_remove_peer(node->dht, kad_peer_id_bytes(peer));
}

void kad__node_remove_record(kad__node *node, kad_bytes key) {
  kad__dht_remove(node->dht, key);
}

kad_bytes kad__node_protocol(const kad__node *node) {
  return node->protocol;
}

bool kad__node_next_record(kad__node *node, kad_bytes after,
                           kad_stored_record *out, kad_time now) {
  kad__record record = {.key = after};
  bool own = false;
  do {
    if (!node->store->ops->next(node->store, &record, &own, record.key)) {
      return false;
    }
  } while (record.expires <= now);
  *out =
      (kad_stored_record){.key = record.key, .value = record.value, .own = own};
  if (record.expires != KAD_TIME_NEVER) {
    kad_time left = (record.expires - now) / KAD_SECOND;
    out->ttl = left >= UINT32_MAX ? UINT32_MAX : (uint32_t)left + 1;
  }
  (void)kad__node_peer_id(&out->publisher, record.publisher);
  return true;
}

bool kad__node_next_provided(kad__node *node, kad_bytes after, kad_bytes *key) {
  kad__provider provider;
  if (!node->store->ops->next_provided(node->store, &provider, after)) {
    return false;
  }
  *key = provider.key;
  return true;
}

int kad__node_store_record(kad__node *node, const kad_stored_record *record,
                           const kad_peer_id *source, kad_time now) {
  kad__wire_record wire = {.key = record->key,
                           .value = record->value,
                           .publisher = kad_peer_id_bytes(&record->publisher),
                           .ttl = record->ttl};
  kad_bytes from =
      source == NULL ? kad__bytes(NULL, 0) : kad_peer_id_bytes(source);
  return kad__dht_store_record(node->dht, &wire, from, now);
}

int kad__node_store_provider(kad__node *node, kad_bytes key,
                             const kad_peer_id *provider, kad_bytes addresses,
                             kad_time now) {
  return kad__dht_store_provider(node->dht, key, kad_peer_id_bytes(provider),
                                 addresses, now);
}

bool kad__node_review(kad__node *node, uint64_t token, int verdict,
                      kad_time now) {
  return kad__kad_review(node->kad, token, verdict, now);
}
