/* Addresses are opaque to the DHT; what they are worth the network's rules say.
 * A group is kept in sixteen bits of a table entry, mixed with a secret, so
 * that nobody can choose two networks that look like one. Counting is a walk
 * through the table: it is small, and who enters is rare. */
#include "kademlia/state.h"

bool kad__dht_accepts(const kad__dht *dht, kad_bytes address) {
  const kad__dht_config *c = &dht->config;
  return address.len > 0 && (c->accept_address == NULL ||
                             c->accept_address(c->address_user, address));
}

void kad__dht_merge(const kad__dht *dht, uint8_t *out, size_t cap, size_t *len,
                    kad_bytes from) {
  kad_bytes address;
  if (dht->config.accept_address == NULL) {
    kad__list_merge(out, cap, len, from);
    return;
  }
  for (int i = 0; i < KAD__LIST_SEEN && kad__addresses_next(&from, &address);
       i++) {
    if (kad__dht_accepts(dht, address) &&
        !kad__addresses_have(kad__bytes(out, *len), address)) {
      kad__addresses_append(out, cap, len, address);
    }
  }
}

uint64_t kad__dht_network(const kad__dht *dht, kad_bytes list) {
  const kad__dht_config *c = &dht->config;
  uint64_t group = 0;
  kad_bytes address;
  if (c->address_group == NULL) {
    return 0;
  }
  while (group == 0 && kad__addresses_next(&list, &address)) {
    group = c->address_group(c->address_user, address);
  }
  return group;
}

uint16_t kad__dht_group(const kad__dht *dht, kad_bytes list) {
  uint8_t bytes[8];
  uint64_t group = kad__dht_network(dht, list);
  if (group == 0) {
    return 0;
  }
  kad__store64(bytes, group);
  return (uint16_t)(kad__siphash(dht->secret, kad__bytes(bytes, 8)) | 1);
}

static uint32_t count_group(const kad__bucket *b, uint16_t group) {
  uint32_t count = b->pending != NULL && b->pending->entry.group == group;
  for (uint32_t i = 0; i < b->count; i++) {
    count += b->entries[i].group == group;
  }
  return count;
}

bool kad__dht_group_room(const kad__dht *dht, uint16_t group, uint32_t bucket) {
  uint32_t in_table = 0;
  uint32_t in_bucket = 0;
  if (group == 0) {
    return true;
  }
  for (uint32_t i = 0; i < dht->table.bucket_count; i++) {
    uint32_t count = count_group(&dht->table.buckets[i], group);
    in_table += count;
    in_bucket += i == bucket ? count : 0;
  }
  return in_table < dht->config.max_group_table &&
         in_bucket < dht->config.max_group_bucket;
}
