/* rust-libp2p drops a stream on a message above 16 KiB, so a peer with too many
 * addresses in our table must not spoil an answer. First every peer is limited
 * to a few addresses; then those that matter least leave: the farthest peers,
 * and, where the answer has something better than peers, all of these before
 * that. */
#include "base/bytes.h"
#include "protocols/kad_internal.h"
#include "wire/protobuf.h"

/* Bytes of addresses that a peer keeps when space is short. */
#define PEER_ADDRESSES 512

/* Cuts a list after the last address that ends within `max` bytes. */
static bool cut_list(kad_bytes *list, size_t max) {
  if (list->len <= max) {
    return false;
  }
  kad_bytes rest = *list;
  size_t fits = 0;
  kad__pb_field field;
  while (kad__pb_next(&rest, &field) == 1 && list->len - rest.len <= max) {
    fits = list->len - rest.len;
  }
  list->len = fits;
  return true;
}

static bool cut_lists(kad__wire_peer *peers, size_t count) {
  bool cut = false;
  for (size_t i = 0; i < count; i++) {
    cut = cut_list(&peers[i].addresses, PEER_ADDRESSES) || cut;
  }
  return cut;
}

/* Drops peers from the tail, estimating low what each takes so that none goes
 * needlessly; returns the bytes that are still too many. */
static size_t drop_tail(const kad__wire_peer *peers, size_t *count,
                        size_t excess) {
  while (excess != 0 && *count != 0) {
    const kad__wire_peer *last = &peers[--*count];
    size_t size = last->id.len + last->addresses.len;
    excess = size < excess ? excess - size : 0;
  }
  return excess;
}

size_t kad__kad_shorten(kad__message *reply, size_t max, bool *shortened) {
  size_t len = kad__message_len(reply);
  *shortened = false;
  if (len <= max) {
    return len;
  }
  *shortened = cut_lists(reply->closer, reply->closer_count);
  *shortened = cut_lists(reply->providers, reply->provider_count) || *shortened;
  len = kad__message_len(reply);
  while (len > max && reply->closer_count + reply->provider_count != 0) {
    *shortened = true;
    size_t excess = drop_tail(reply->closer, &reply->closer_count, len - max);
    (void)drop_tail(reply->providers, &reply->provider_count, excess);
    len = kad__message_len(reply);
  }
  return len;
}
