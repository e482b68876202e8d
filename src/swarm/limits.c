/* Who gets in. A channel is counted from accept to close, by its state and by
 * the place it comes from, so that one address cannot take everything, neither
 * at once nor by coming again and again. Our own dials can always use the last
 * eighth of the connections: a node that others have filled up must still be
 * able to look things up. */
#include "swarm/swarm_internal.h"

/* The bytes that name an address, and those of the group that it is of; len 0:
 * not counted. No two kinds have the same length. */
typedef struct place {
  kad_bytes address;
  kad_bytes group;
} place;

/* Borrows from `remote`. Whoever owns a /48, which is given away freely, has
 * 65,536 of the /64. */
static place place_of(kad_bytes remote) {
  kad__address_info info;
  kad__address_read(&info, remote);
  if (info.ip.len == 0 || kad__ip_is_loopback(info.ip)) {
    return (place){.address = {0}};
  }
  kad_bytes ip = kad__ip_unmap(info.ip);
  if (ip.len == 4) {
    return (place){.address = ip};
  }
  return (place){.address = kad__bytes(ip.data, KAD__RATE_KEY_MAX),
                 .group = kad__bytes(ip.data, KAD__ORIGIN_GROUP_LEN)};
}

static void init_rate(kad__rate *rate, kad__swarm *s, kad__pace pace,
                      uint32_t places) {
  uint64_t secret[2];
  kad__draw_secret(secret, s->config.random);
  kad__rate_init(rate, &s->allocator, secret, pace.burst, pace.per_minute,
                 places);
}

void kad__limits_init(kad__swarm *s) {
  uint64_t secret[2];
  kad__draw_secret(secret, s->config.random);
  kad__map_init(&s->origins, secret);
  init_rate(&s->rate_of_addresses, s, s->config.pace_per_address,
            KAD__RATE_ADDRESSES);
  init_rate(&s->rate_of_groups, s, s->config.pace_per_group, KAD__RATE_GROUPS);
  s->account.max = &s->config.max_in_all;
}

void kad__limits_fini(kad__swarm *s) {
  kad__map_fini(&s->origins, &s->allocator);
  kad__rate_fini(&s->rate_of_addresses);
  kad__rate_fini(&s->rate_of_groups);
}

/* ---- places ------------------------------------------------------------- */

static kad__origin *find_origin(const kad__swarm *s, kad_bytes key) {
  kad__map_node *node = kad__map_find(&s->origins, key);
  return node == NULL ? NULL : KAD__CONTAINER(node, kad__origin, node);
}

static kad__origin *add_origin(kad__swarm *s, kad_bytes key,
                               const kad__load *max) {
  kad__origin *origin = kad__calloc(&s->allocator, 1, sizeof(*origin));
  if (origin == NULL) {
    return NULL;
  }
  memcpy(origin->key, key.data, key.len);
  origin->key_len = (uint8_t)key.len;
  origin->account.max = max;
  if (kad__map_add(&s->origins, &s->allocator, &origin->node,
                   kad__bytes(origin->key, key.len)) < 0) {
    kad__release(&s->allocator, origin);
    return NULL;
  }
  return origin;
}

static kad__origin *hold(kad__swarm *s, kad_bytes key, const kad__load *max) {
  kad__origin *origin = find_origin(s, key);
  if (origin == NULL) {
    origin = add_origin(s, key, max);
  }
  if (origin != NULL) {
    origin->holders++;
  }
  return origin;
}

/* Ends a hold of the origin and of its group. */
static void let_go(kad__swarm *s, kad__origin *origin) {
  while (origin != NULL) {
    kad__origin *group = origin->group;
    if (--origin->holders == 0) {
      kad__map_remove(&s->origins, &origin->node);
      kad__release(&s->allocator, origin);
    }
    origin = group;
  }
}

static kad__origin *hold_both(kad__swarm *s, const place *p) {
  kad__origin *group = NULL;
  if (p->group.len != 0) {
    group = hold(s, p->group, &s->config.max_per_group);
    if (group == NULL) {
      return NULL;
    }
  }
  kad__origin *origin = hold(s, p->address, &s->config.max_per_address);
  if (origin == NULL) {
    let_go(s, group);
    return NULL;
  }
  origin->group = group;
  return origin;
}

static void count(kad__origin *origin, int change) {
  for (; origin != NULL; origin = origin->group) {
    origin->count += (uint32_t)change;
  }
}

/* ---- accepting ---------------------------------------------------------- */

static bool inbound_full(const kad__swarm *s) {
  uint32_t max = s->config.max_connections;
  uint32_t all = s->established + s->closing;
  return all >= max || s->established_inbound + s->closing >= max - max / 8;
}

static int refuse(uint64_t *counter) {
  ++*counter;
  return KAD_E_LIMIT;
}

static int check_place(kad__swarm *s, kad_bytes key, uint32_t max,
                       const kad__rate *rate) {
  const kad__origin *origin = find_origin(s, key);
  if (max == 0 || (origin != NULL && origin->count >= max)) {
    return refuse(&s->counters.refused_address);
  }
  if (origin != NULL &&
      origin->account.used.bytes >= origin->account.max->bytes) {
    return refuse(&s->counters.refused_memory);
  }
  return kad__rate_allows(rate, key, s->now)
             ? 0
             : refuse(&s->counters.refused_rate);
}

/* Upgrades take a few round trips. When there is no room for more of them, who
 * has been at it for longer than that makes way: a crowd of silent strangers
 * would keep everybody else waiting until their time is over. NULL: nobody. */
static kad__channel *who_makes_way(const kad__swarm *s) {
  if (kad__list_empty(&s->pending)) {
    return NULL;
  }
  kad__channel *oldest = KAD__CONTAINER(s->pending.next, kad__channel, group);
  return kad__time_add(oldest->opened, KAD__SWARM_PENDING_PATIENCE) <= s->now
             ? oldest
             : NULL;
}

static int check(kad__swarm *s, const place *p) {
  size_t most = s->account.max->bytes;
  int result = 0;
  if (inbound_full(s)) {
    return refuse(&s->counters.refused_connections);
  }
  bool crowded = s->pending_inbound >= s->config.max_pending_inbound;
  if (crowded && who_makes_way(s) == NULL) {
    return refuse(&s->counters.refused_pending);
  }
  if (s->account.used.bytes >= most - most / 8) {
    return refuse(&s->counters.refused_memory);
  }
  if (p->group.len != 0) {
    result = check_place(s, p->group, s->config.max_inbound_per_group,
                         &s->rate_of_groups);
  }
  if (result == 0 && p->address.len != 0) {
    result = check_place(s, p->address, s->config.max_inbound_per_address,
                         &s->rate_of_addresses);
  }
  if (result == 0 && crowded) {
    s->counters.refused_pending++;
    kad__channel_drop(who_makes_way(s), KAD_E_LIMIT);
  }
  return result;
}

static int take_tokens(kad__swarm *s, const place *p) {
  int result = 0;
  if (p->group.len != 0) {
    result = kad__rate_take(&s->rate_of_groups, p->group, s->now);
  }
  return result < 0 ? result
                    : kad__rate_take(&s->rate_of_addresses, p->address, s->now);
}

int kad__limits_accept(kad__swarm *s, kad__origin **origin, kad_bytes remote) {
  place p = place_of(remote);
  *origin = NULL;
  int result = check(s, &p);
  if (result == 0 && p.address.len != 0) {
    *origin = hold_both(s, &p);
    result = *origin == NULL ? KAD_E_NO_MEMORY : take_tokens(s, &p);
    if (result < 0) {
      let_go(s, *origin);
      *origin = NULL;
      return result;
    }
    count(*origin, 1);
  }
  s->pending_inbound += result == 0;
  return result;
}

void kad__limits_give_back(kad__swarm *s, kad__origin *origin) {
  s->pending_inbound--;
  count(origin, -1);
  let_go(s, origin);
}

/* ---- from channel to connection ----------------------------------------- */

void kad__limits_enter(kad__channel *c, kad__origin *origin) {
  c->in_place = true;
  c->origin = origin;
}

int kad__limits_dial(kad__channel *c) {
  place p = place_of(c->remote);
  if (p.address.len == 0) {
    return 0;
  }
  c->origin = hold_both(c->swarm, &p);
  return c->origin == NULL ? KAD_E_NO_MEMORY : 0;
}

void kad__limits_leave(kad__channel *c) {
  if (c->in_place) {
    c->in_place = false;
    count(c->origin, -1);
  }
}

void kad__limits_part(kad__channel *c) {
  kad__limits_leave(c);
  kad__account_part(c);
  let_go(c->swarm, c->origin);
  c->origin = NULL;
  if (c->holder != NULL) {
    c->holder->holders--;
    kad__swarm_put_peer(c->swarm, c->holder);
    c->holder = NULL;
  }
}

/* A peer that connects again may have lost the others, as behind a router that
 * has forgotten them, and we would notice after long: so they are asked now,
 * and whoever has not answered makes way. */
static bool is_crowded(const kad__swarm *s, const kad__channel *c,
                       kad__swarm_peer *peer) {
  bool full = peer->channel_count >= s->config.max_connections_per_peer;
  if (!c->inbound) {
    return full;
  }
  if (full) {
    full = !kad__swarm_supplant(peer);
  }
  kad__swarm_probe_peer(peer);
  return full;
}

static int may_establish(kad__swarm *s, const kad__channel *c,
                         kad__swarm_peer *peer) {
  bool full = c->inbound
                  ? inbound_full(s)
                  : s->established + s->closing >= s->config.max_connections;
  if (full) {
    return refuse(&s->counters.refused_connections);
  }
  if (is_crowded(s, c, peer)) {
    return refuse(&s->counters.refused_peer);
  }
  return peer->account.used.bytes >= peer->account.max->bytes
             ? refuse(&s->counters.refused_memory)
             : 0;
}

int kad__limits_establish(kad__channel *c, kad__swarm_peer *peer) {
  peer->holders++; /* its last connection may go in there */
  int result = may_establish(c->swarm, c, peer);
  if (result < 0) {
    peer->holders--;
    return result;
  }
  c->holder = peer;
  peer->account.used.bytes += c->charged;
  return 0;
}
