/* Every invariant of the swarm, walked: for tests and fuzzers, after each
 * step. */
#include "swarm/swarm_internal.h"

#define CHECK(condition) \
  do {                   \
    if (!(condition)) {  \
      return #condition; \
    }                    \
  } while (0)

typedef struct census {
  uint32_t established;
  uint32_t established_inbound;
  uint32_t closing;
  uint32_t pending_inbound;
  uint32_t opening;
  uint32_t dials;
  uint32_t channels_of_dials;
  uint32_t channels_of_peers;
  uint32_t origins;
  uint32_t groups;
  uint32_t holders_of_peers;
  uint32_t holders_of_origins;
  /* What channels have and what accounts say, each times a number of the
   * account's own: only when all agree one by one do the sums. */
  uint64_t charged;
  uint64_t inbound;
  uint64_t outbound;
} census;

static uint64_t weight(const kad__account *account) {
  return ((uint64_t)(uintptr_t)account >> 4) * UINT64_C(0x9e3779b97f4a7c15);
}

/* `sign` 1: a channel has it; -1: the account says so. */
static void weigh(census *found, const kad__account *account, kad__load load,
                  int sign) {
  uint64_t times = weight(account) * (uint64_t)(int64_t)sign;
  found->charged += times * load.bytes;
  found->inbound += times * load.inbound;
  found->outbound += times * load.outbound;
}

static const char *check_account(const kad__account *a, census *found) {
  CHECK(a->used.inbound <= a->max->inbound);
  CHECK(a->used.outbound <= a->max->outbound);
  weigh(found, a, a->used, -1);
  return NULL;
}

static const char *check_streams(const kad__channel *c, census *found) {
  uint32_t count = 0;
  size_t held = 0;
  kad__load load = {.bytes = c->charged};
  KAD__LIST_EACH(node, &c->streams) {
    const kad__stream *stream = KAD__CONTAINER(node, kad__stream, in_channel);
    bool queued = kad__list_linked(&stream->event.link);
    count++;
    held += stream->held.cap + stream->elsewhere;
    load.inbound += stream->inbound;
    load.outbound += !stream->inbound;
    CHECK(stream->channel == c);
    CHECK(stream->inner != NULL);
    CHECK(kad__yamux_stream_user(stream->inner) == stream);
    CHECK(queued == (stream->event.pending != 0));
    CHECK(stream->agreed || !stream->inbound || !queued);
    CHECK(stream->error != 0 || c->state == KAD__CHANNEL_OPEN);
    CHECK(stream->error != 0 || stream->agreed ||
          kad__heap_has(&stream->timer));
  }
  CHECK(count == c->stream_count);
  CHECK(held == c->held);
  kad__accounts accounts = kad__accounts_of(c);
  for (size_t i = 0; i < accounts.count; i++) {
    weigh(found, accounts.list[i], load, 1);
  }
  return NULL;
}

static const char *check_accounts(const kad__channel *c, census *found) {
  const kad__origin *group = c->origin == NULL ? NULL : c->origin->group;
  CHECK(c->peer == NULL || c->holder == c->peer);
  CHECK(!c->in_place || c->inbound);
  CHECK(c->in_place == (c->inbound && c->state != KAD__CHANNEL_CLOSED));
  found->holders_of_peers += c->holder != NULL;
  found->holders_of_origins += c->origin != NULL;
  found->holders_of_origins += group != NULL;
  found->origins += c->in_place && c->origin != NULL;
  found->groups += c->in_place && group != NULL;
  return check_streams(c, found);
}

static const char *check_channel(const kad__channel *c, census *found) {
  bool named = kad__ids_find(&c->swarm->ids, c->id, KAD__OBJECT_CHANNEL) == c;
  bool closed = c->state == KAD__CHANNEL_CLOSED;
  bool open = c->state == KAD__CHANNEL_OPEN;
  CHECK(named == !closed);
  CHECK(kad__heap_has(&c->timer) == !closed);
  CHECK(open == (c->peer != NULL));
  CHECK((c->dial != NULL) ==
        (!c->inbound && c->state <= KAD__CHANNEL_UPGRADING));
  CHECK(c->connection != NULL || c->state != KAD__CHANNEL_UPGRADING);
  CHECK(c->connection != NULL || !c->was_open);
  CHECK(!closed || c->stream_count != 0 || c->action.lent || c->ended.lent ||
        kad__list_linked(&c->action.link) || kad__list_linked(&c->ended.link) ||
        kad__list_linked(&c->connected.link));
  found->established += open;
  found->established_inbound += open && c->inbound;
  found->closing += c->state == KAD__CHANNEL_CLOSING;
  found->pending_inbound += c->state == KAD__CHANNEL_UPGRADING && c->inbound;
  found->opening += c->state <= KAD__CHANNEL_UPGRADING && !c->inbound;
  found->channels_of_dials += c->dial != NULL;
  return check_accounts(c, found);
}

static const char *check_dial(const kad__dial *d, census *found) {
  uint32_t opening = 0;
  found->dials++;
  KAD__LIST_EACH(node, &d->channels) {
    const kad__channel *c = KAD__CONTAINER(node, kad__channel, group);
    CHECK(c->dial == d);
    CHECK(c->candidate < d->count);
    CHECK(d->candidates[c->candidate].state == KAD__CANDIDATE_OPENING);
    opening++;
  }
  found->channels_of_dials -= opening;
  CHECK(d->ended || opening == d->opening);
  CHECK(d->ended == (kad__list_linked(&d->event.link) || d->event.lent));
  CHECK(!d->ended ||
        (opening == 0 && d->peer == NULL && kad__list_empty(&d->resolutions)));
  CHECK(d->peer == NULL || d->peer->dial == d);
  CHECK(d->ended || kad__heap_has(&d->timer));
  CHECK(d->lookups <= KAD__DIAL_LOOKUPS_MAX);
  CHECK(d->resolved <= KAD__DIAL_RESOLVED_MAX);
  CHECK(d->count <= KAD__DIAL_ADDRESSES_MAX);
  /* Somebody will move it on. */
  CHECK(d->ended || opening != 0 || kad__list_linked(&d->waiting) ||
        !kad__list_empty(&d->resolutions));
  return NULL;
}

static const char *check_peer(const kad__swarm_peer *peer, census *found) {
  uint32_t count = 0;
  KAD__LIST_EACH(node, &peer->channels) {
    const kad__channel *c = KAD__CONTAINER(node, kad__channel, group);
    CHECK(c->peer == peer);
    CHECK(c->state == KAD__CHANNEL_OPEN);
    count++;
  }
  found->channels_of_peers += count;
  CHECK(count == peer->channel_count);
  CHECK(count <= peer->holders);
  CHECK(peer->holders != 0 || peer->dial != NULL || peer->is_protected);
  found->holders_of_peers -= peer->holders;
  return check_account(&peer->account, found);
}

static const char *check_peers(const kad__swarm *s, census *found) {
  uint32_t slot = 0;
  kad__map_node *node = NULL;
  while ((node = kad__map_next(&s->peers, &slot, node)) != NULL) {
    const char *broken =
        check_peer(KAD__CONTAINER(node, kad__swarm_peer, node), found);
    if (broken != NULL) {
      return broken;
    }
  }
  return NULL;
}

static const char *check_origin(const kad__swarm *s, const kad__origin *origin,
                                census *found) {
  bool is_group = origin->key_len == KAD__ORIGIN_GROUP_LEN;
  CHECK(origin->holders != 0);
  CHECK(origin->count <= origin->holders);
  CHECK(origin->count <= (is_group ? s->config.max_inbound_per_group
                                   : s->config.max_inbound_per_address));
  CHECK((origin->group != NULL) == (origin->key_len == KAD__RATE_KEY_MAX));
  found->origins -= is_group ? 0 : origin->count;
  found->groups -= is_group ? origin->count : 0;
  found->holders_of_origins -= origin->holders;
  return check_account(&origin->account, found);
}

static const char *check_origins(const kad__swarm *s, census *found) {
  uint32_t slot = 0;
  kad__map_node *node = NULL;
  while ((node = kad__map_next(&s->origins, &slot, node)) != NULL) {
    const char *broken =
        check_origin(s, KAD__CONTAINER(node, kad__origin, node), found);
    if (broken != NULL) {
      return broken;
    }
  }
  return check_account(&s->account, found);
}

static uint32_t count_pending(const kad__swarm *s) {
  uint32_t count = 0;
  KAD__LIST_EACH(node, &s->pending) {
    const kad__channel *c = KAD__CONTAINER(node, kad__channel, group);
    count += c->inbound && c->state == KAD__CHANNEL_UPGRADING;
  }
  return count;
}

static const char *check_counters(const kad__swarm *s, const census *found) {
  CHECK(found->established == s->established);
  CHECK(found->established_inbound == s->established_inbound);
  CHECK(found->closing == s->closing);
  CHECK(found->pending_inbound == s->pending_inbound);
  CHECK(found->opening == s->opening);
  CHECK(found->dials == s->dials);
  CHECK(found->channels_of_dials == 0);
  CHECK(found->channels_of_peers == s->established);
  CHECK(found->origins == 0);
  CHECK(found->groups == 0);
  CHECK(found->holders_of_peers == 0);
  CHECK(found->holders_of_origins == 0);
  CHECK(found->charged == 0);
  CHECK(found->inbound == 0);
  CHECK(found->outbound == 0);
  CHECK(s->opening <= s->config.max_dials);
  CHECK(s->established <= s->config.max_connections);
  CHECK(s->pending_inbound <= s->config.max_pending_inbound);
  CHECK(count_pending(s) == s->pending_inbound);
  CHECK(s->scratch.begin == s->scratch.end);
  return NULL;
}

const char *kad__swarm_check(const kad__swarm *s) {
  census found = {0};
  const char *broken = NULL;
  KAD__LIST_EACH(node, &s->all_channels) {
    broken =
        check_channel(KAD__CONTAINER(node, kad__channel, in_swarm), &found);
    if (broken != NULL) {
      return broken;
    }
  }
  KAD__LIST_EACH(node, &s->all_dials) {
    broken = check_dial(KAD__CONTAINER(node, kad__dial, in_swarm), &found);
    if (broken != NULL) {
      return broken;
    }
  }
  broken = check_peers(s, &found);
  if (broken == NULL) {
    broken = check_origins(s, &found);
  }
  if (broken == NULL) {
    broken = check_counters(s, &found);
  }
  return broken != NULL ? broken : kad__peerstore_check(s->peerstore);
}
