/* Who gets in. A channel is counted from accept to close, by its state and by
 * the place it comes from, so that one address cannot take everything. Our own
 * dials can always use the last eighth of the connections: a node that others
 * have filled up must still be able to look things up. */
#include "swarm/swarm_internal.h"

/* The key of a place: how many bytes of the address, and these; 0: loopback,
 * not counted. */
static uint8_t origin_key(uint8_t out[9], kad_bytes remote) {
  kad__address_info info;
  kad__address_read(&info, remote);
  if (info.ip.len == 0 || kad__ip_is_loopback(info.ip)) {
    return 0;
  }
  info.ip = kad__ip_unmap(info.ip);
  uint8_t len = info.ip.len == 4 ? 4 : 8;
  out[0] = len;
  memcpy(out + 1, info.ip.data, len);
  return (uint8_t)(1 + len);
}

static kad__origin *add_origin(kad__swarm *s, const uint8_t *key, uint8_t len) {
  kad__origin *origin = kad__calloc(&s->allocator, 1, sizeof(*origin));
  if (origin == NULL) {
    return NULL;
  }
  memcpy(origin->key, key, len);
  origin->key_len = len;
  if (kad__map_add(&s->origins, &s->allocator, &origin->node,
                   kad__bytes(origin->key, len)) < 0) {
    kad__release(&s->allocator, origin);
    return NULL;
  }
  return origin;
}

static int enter(kad__swarm *s, kad__origin **out, const uint8_t *key,
                 uint8_t len, uint32_t max) {
  kad__map_node *node = kad__map_find(&s->origins, kad__bytes(key, len));
  kad__origin *origin =
      node == NULL ? NULL : KAD__CONTAINER(node, kad__origin, node);
  if (max == 0 || (origin != NULL && origin->count >= max)) {
    return KAD_E_LIMIT;
  }
  if (origin == NULL && (origin = add_origin(s, key, len)) == NULL) {
    return KAD_E_NO_MEMORY;
  }
  origin->count++;
  *out = origin;
  return 0;
}

/* Whoever owns a /48, which is given away freely, has 65,536 of the /64. */
static int enter_all(kad__swarm *s, kad__origin **out, kad_bytes remote) {
  uint8_t key[9];
  uint8_t len = origin_key(key, remote);
  kad__origin *group = NULL;
  *out = NULL;
  if (len == 0) {
    return 0;
  }
  if (len == 9) {
    uint8_t wide[KAD__ORIGIN_GROUP_LEN] = {KAD__ORIGIN_GROUP_LEN - 1};
    memcpy(wide + 1, key + 1, sizeof(wide) - 1);
    int result =
        enter(s, &group, wide, sizeof(wide), s->config.max_inbound_per_group);
    if (result < 0) {
      return result;
    }
  }
  int result = enter(s, out, key, len, s->config.max_inbound_per_address);
  if (result < 0) {
    kad__limits_leave(s, group);
    return result;
  }
  (*out)->group = group;
  return 0;
}

static bool inbound_full(const kad__swarm *s) {
  uint32_t max = s->config.max_connections;
  uint32_t all = s->established + s->closing;
  return all >= max || s->established_inbound + s->closing >= max - max / 8;
}

static int refuse(uint64_t *counter) {
  ++*counter;
  return KAD_E_LIMIT;
}

int kad__limits_accept(kad__swarm *s, kad__origin **origin, kad_bytes remote) {
  if (inbound_full(s)) {
    return refuse(&s->counters.refused_connections);
  }
  if (s->pending_inbound >= s->config.max_pending_inbound) {
    return refuse(&s->counters.refused_pending);
  }
  if (s->memory >= s->config.max_memory) {
    return refuse(&s->counters.refused_memory);
  }
  int result = enter_all(s, origin, remote);
  s->counters.refused_address += result == KAD_E_LIMIT;
  if (result == 0) {
    s->pending_inbound++;
  }
  return result;
}

void kad__limits_leave(kad__swarm *s, kad__origin *origin) {
  while (origin != NULL) {
    kad__origin *group = origin->group;
    if (--origin->count == 0) {
      kad__map_remove(&s->origins, &origin->node);
      kad__release(&s->allocator, origin);
    }
    origin = group;
  }
}

int kad__limits_establish(kad__swarm *s, const kad__channel *c,
                          const kad__swarm_peer *peer) {
  bool full = c->inbound
                  ? inbound_full(s)
                  : s->established + s->closing >= s->config.max_connections;
  if (full) {
    return refuse(&s->counters.refused_connections);
  }
  bool crowded = peer->channel_count >= s->config.max_connections_per_peer;
  return crowded ? refuse(&s->counters.refused_peer) : 0;
}

void kad__limits_charge(kad__channel *c) {
  size_t charge =
      sizeof(*c) + sizeof(kad__swarm_peer) + c->remote.len + c->local.len;
  if (c->connection != NULL) {
    charge += kad__connection_charge(c->connection);
  }
  c->swarm->memory += charge - c->charged;
  c->charged = charge;
}
