/* Two halves that share a protocol name and little else: calls are kept by id
 * and by peer, since they wait for dials and for streams; inbound streams are
 * kept by peer, and only while they linger. */
#include "protocols/kad.h"

#include "base/alloc.h"
#include "base/bytes.h"
#include "multiformats/varint.h"
#include "protocols/kad_internal.h"
#include "wire/addresses.h"

/* Addresses of a peer that the DHT is told at once. */
#define CONFIRMED_ADDRESSES 8

static const uint8_t default_protocol[] = KAD__KAD_PROTOCOL;

void kad__kad_config_default(kad__kad_config *config) {
  *config = (kad__kad_config){
      .protocol = {default_protocol, sizeof(default_protocol) - 1},
      .max_request = (size_t)64 * 1024,
      .max_reply = (size_t)4 * 1024 * 1024,
      .max_answer = (size_t)16 * 1024,
      .max_inbound = 32,
      .max_outbound = 32,
      .max_waiting = 256,
      .idle_timeout = KAD_MINUTE,
      .max_reviews = 256,
  };
}

static bool config_is_valid(const kad__kad_config *config) {
  return config->local != NULL && config->own != NULL &&
         config->random != NULL && config->protocol.len != 0 &&
         config->max_inbound != 0 && config->max_outbound != 0;
}

static void init_maps(kad__kad *kad) {
  kad__map *maps[] = {&kad->calls, &kad->callees, &kad->askers};
  for (size_t i = 0; i < KAD__COUNT(maps); i++) {
    uint64_t secret[2] = {kad_random_u64(kad->config.random),
                          kad_random_u64(kad->config.random)};
    kad__map_init(maps[i], secret);
  }
}

int kad__kad_new(kad__kad **out, const kad_allocator *allocator,
                 kad__swarm *swarm, kad__dht *dht,
                 const kad__kad_config *config) {
  if (!config_is_valid(config)) {
    return KAD_E_INVALID_ARGUMENT;
  }
  kad__kad *kad = kad__calloc(allocator, 1, sizeof(*kad));
  if (kad == NULL) {
    return KAD_E_NO_MEMORY;
  }
  kad->protocol =
      kad__memdup(allocator, config->protocol.data, config->protocol.len);
  if (kad->protocol == NULL) {
    kad__release(allocator, kad);
    return KAD_E_NO_MEMORY;
  }
  kad->allocator = *allocator;
  kad->swarm = swarm;
  kad->dht = dht;
  kad->config = *config;
  kad->local = *config->local;
  kad->config.local = &kad->local;
  kad->config.protocol.data = kad->protocol;
  kad->mode = KAD__MODE_CLIENT;
  init_maps(kad);
  kad__list_init(&kad->unseen);
  kad__list_init(&kad->waiting);
  kad__list_init(&kad->spare_askers);
  kad__list_init(&kad->spare_inbound);
  kad__dht_set_mode(dht, KAD__MODE_CLIENT);
  *out = kad;
  return 0;
}

void kad__kad_free(kad__kad *kad) {
  if (kad == NULL) {
    return;
  }
  if (kad->mode == KAD__MODE_SERVER) {
    kad__swarm_unhandle(kad->swarm, kad->config.protocol);
  }
  kad__kad_free_calls(kad);
  kad__kad_free_inbound(kad);
  kad__heap_fini(&kad->deadlines, &kad->allocator);
  kad_allocator allocator = kad->allocator;
  kad__release(&allocator, kad->protocol);
  kad__release(&allocator, kad);
}

int kad__kad_set_mode(kad__kad *kad, kad__dht_mode mode) {
  if (mode == kad->mode) {
    return 0;
  }
  if (mode == KAD__MODE_SERVER) {
    int error =
        kad__swarm_handle(kad->swarm, kad->config.protocol, KAD__TAG_KAD);
    if (error < 0) {
      return error;
    }
  } else {
    kad__swarm_unhandle(kad->swarm, kad->config.protocol);
  }
  kad->mode = mode;
  kad__dht_set_mode(kad->dht, mode);
  return 1;
}

/* ---- what the DHT is told of peers ------------------------------------- */

/* The list as a whole first, so that the peer enters with all of it; then one
 * by one what may be new of a peer that is in already. The DHT prefers what it
 * hears last, and nothing is better than an address that we have dialled. The
 * source port of an inbound connection is nobody's address. */
static void confirm(kad__kad *kad, const kad__connection_info *info,
                    kad_bytes list, kad_time now) {
  kad_bytes peer = kad_peer_id_bytes(&info->peer);
  kad_bytes addresses[CONFIRMED_ADDRESSES];
  size_t count = 0;
  kad__dht_peer_known(kad->dht, peer, list);
  while (count < CONFIRMED_ADDRESSES &&
         kad__addresses_next(&list, &addresses[count])) {
    count++;
  }
  for (size_t i = count; i-- > 0;) {
    (void)kad__dht_peer_confirmed(kad->dht, peer, addresses[i], now);
  }
  kad_bytes dialled =
      info->inbound ? kad__bytes(NULL, 0) : info->remote_address;
  if (dialled.len != 0 || count == 0) {
    (void)kad__dht_peer_confirmed(kad->dht, peer, dialled, now);
  }
}

void kad__kad_peer_identified(kad__kad *kad, kad__id connection,
                              const kad_peer_id *peer, kad_time now) {
  kad__connection_info info;
  if (!kad__swarm_connection(kad->swarm, connection, &info)) {
    return;
  }
  const kad__peerstore *store = kad__swarm_peerstore(kad->swarm);
  if (kad__peerstore_protocols(store, peer, kad->list_space,
                               sizeof(kad->list_space)) == 0) {
    return;
  }
  size_t len = kad__peerstore_addresses(store, peer, kad->list_space,
                                        sizeof(kad->list_space), now);
  kad_bytes list = kad__bytes(kad->list_space, len);
  if (kad__peerstore_speaks(store, peer, kad->config.protocol)) {
    confirm(kad, &info, list, now);
    return;
  }
  kad__dht_peer_unsupported(kad->dht, kad_peer_id_bytes(peer), now);
  kad__dht_peer_known(kad->dht, kad_peer_id_bytes(peer), list);
}

/* An entry without any address is refused by most, so where none is of use to
 * the peer it gets the private ones all the same. */
static kad_bytes own_list(kad__kad *kad, kad__scope scope) {
  size_t len = kad__own_addresses_list(kad->config.own, kad->list_space,
                                       sizeof(kad->list_space), scope);
  if (len == 0 && scope == KAD__SCOPE_PUBLIC) {
    len = kad__own_addresses_list(kad->config.own, kad->list_space,
                                  sizeof(kad->list_space), KAD__SCOPE_PRIVATE);
  }
  return kad__bytes(kad->list_space, len);
}

void kad__kad_fill_own(kad__kad *kad, kad__wire_peer *peers, size_t count,
                       kad__id connection) {
  kad_bytes local = kad_peer_id_bytes(&kad->local);
  for (size_t i = 0; i < count; i++) {
    if (peers[i].addresses.len != 0 || !kad__bytes_equal(peers[i].id, local)) {
      continue;
    }
    kad__connection_info info;
    if (!kad__swarm_connection(kad->swarm, connection, &info)) {
      return;
    }
    peers[i].addresses = own_list(kad, kad__address_scope(info.remote_address));
  }
}

int kad__kad_write(kad__stream *stream, const kad__message *message,
                   size_t len) {
  size_t room = kad__varint_len(len) + len;
  uint8_t *out = NULL;
  int error = kad__stream_reserve(stream, &out, room);
  if (error < 0) {
    return error;
  }
  int written = kad__message_encode_len(out, room, message, len);
  if (written < 0) {
    return written;
  }
  kad__stream_commit(stream, (size_t)written);
  return 0;
}

/* ---- events ------------------------------------------------------------ */

static void handle_stream(kad__kad *kad, const kad__swarm_event *event,
                          kad_time now) {
  if ((kad__stream_tag(event->stream) & KAD__TAG_OURS) != 0) {
    kad__kad_handle_call(kad, event, now);
  } else {
    kad__kad_handle_inbound(kad, event, now);
  }
}

static void handle_dial_failed(kad__kad *kad, const kad__swarm_event *event,
                               kad_time now) {
  if (event->peer.len == 0 || kad__swarm_connected(kad->swarm, &event->peer)) {
    return;
  }
  if (!kad__kad_dial_failed(kad, &event->peer, event->error, now)) {
    kad__dht_peer_unreachable(kad->dht, kad_peer_id_bytes(&event->peer), now);
  }
}

static void handle_disconnected(kad__kad *kad, const kad__swarm_event *event,
                                kad_time now) {
  /* Another connection may have come up since. */
  if (event->last && !kad__swarm_connected(kad->swarm, &event->peer)) {
    kad__dht_peer_disconnected(kad->dht, kad_peer_id_bytes(&event->peer), now);
  }
  kad__kad_peer_lost(kad, &event->peer, now);
}

void kad__kad_handle_event(kad__kad *kad, const kad__swarm_event *event,
                           kad_time now) {
  switch (event->type) {
    case KAD__SWARM_CONNECTED:
      kad__kad_peer_connected(kad, &event->peer, now);
      break;
    case KAD__SWARM_DISCONNECTED:
      handle_disconnected(kad, event, now);
      break;
    case KAD__SWARM_DIAL_FAILED:
      handle_dial_failed(kad, event, now);
      break;
    case KAD__SWARM_STREAM_INBOUND:
    case KAD__SWARM_STREAM_OPENED:
    case KAD__SWARM_STREAM_READABLE:
    case KAD__SWARM_STREAM_WRITABLE:
    case KAD__SWARM_STREAM_DEAD:
      handle_stream(kad, event, now);
      break;
    default:
      break;
  }
}

const kad__kad_counters *kad__kad_counters_get(const kad__kad *kad) {
  return &kad->counters;
}

size_t kad__kad_call_count(const kad__kad *kad) {
  return kad->calls.len;
}

size_t kad__kad_inbound_count(const kad__kad *kad) {
  return kad->inbound_count;
}
