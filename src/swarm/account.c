/* What peers make us hold, and how many streams there are, in sums that are
 * always right: a channel counts in the account of all, of its peer, of its
 * address and of that one's group, from its beginning to its end, so that a
 * charge is a few additions. What is asked before the work is whether all of
 * them have room.
 *
 * Bytes that arrive within windows which we granted are refused when there is
 * no room, stream by stream; so is every new stream. What cannot be refused so,
 * parts of frames and of handshakes, is small: who takes an account beyond its
 * limit with that is closed.
 *
 * Our own streams can always use the last eighth of the bytes. */
#include "swarm/swarm_internal.h"

/* What a stream costs beside its bytes and what yamux keeps of it: the handle,
 * and what protocols and owners note about it. */
#define STREAM_CHARGE (sizeof(kad__stream) + 512)
/* A stream that could take less is not worth being opened. */
#define STREAM_ROOM ((size_t)4096)

/* Bytes that came or went and are not charged yet, since what is written in one
 * turn leaves in one go. */
#define UNNOTED_MAX ((size_t)32 * 1024)

/* ---- in sums ------------------------------------------------------------ */

static void add_bytes(kad__channel *c, size_t bytes) {
  kad__accounts accounts = kad__accounts_of(c);
  for (size_t i = 0; i < accounts.count; i++) {
    accounts.list[i]->used.bytes += bytes;
  }
  c->charged += bytes;
}

void kad__account_part(kad__channel *c) {
  add_bytes(c, 0 - c->charged);
}

static size_t charge_of(const kad__channel *c) {
  size_t charge = sizeof(*c) + sizeof(kad__swarm_peer) + c->remote.len +
                  c->local.len + c->held + c->stream_count * STREAM_CHARGE;
  return c->connection == NULL ? charge
                               : charge + kad__connection_charge(c->connection);
}

void kad__account_charge(kad__channel *c) {
  size_t charge = charge_of(c);
  c->unnoted = 0;
  if (charge != c->charged) {
    add_bytes(c, charge - c->charged);
  }
}

static uint32_t narrow(size_t value) {
  return value < UINT32_MAX ? (uint32_t)value : UINT32_MAX;
}

void kad__account_note(kad__channel *c, size_t bytes) {
  bytes += c->unnoted;
  c->unnoted = narrow(bytes);
  if (bytes > UNNOTED_MAX || !kad__list_linked(&c->dirty)) {
    kad__account_charge(c);
  }
}

static inline void add_streams(kad__account *account, bool inbound,
                               uint32_t change) {
  if (inbound) {
    account->used.inbound += change;
  } else {
    account->used.outbound += change;
  }
}

/* Streams come and go more often than anything else: no list is made. */
static inline void count_streams(kad__channel *c, bool inbound,
                                 uint32_t change) {
  add_streams(&c->swarm->account, inbound, change);
  if (c->holder != NULL) {
    add_streams(&c->holder->account, inbound, change);
  }
  for (kad__origin *o = c->origin; o != NULL; o = o->group) {
    add_streams(&o->account, inbound, change);
  }
}

void kad__account_opened(kad__channel *c, bool inbound) {
  count_streams(c, inbound, 1);
}

void kad__account_released(kad__channel *c, bool inbound) {
  count_streams(c, inbound, UINT32_MAX); /* one less */
}

/* ---- before the work ---------------------------------------------------- */

static size_t less(size_t from, size_t amount) {
  return from > amount ? from - amount : 0;
}

/* What others begin leaves the last eighth of all. */
static size_t bytes_of_all(const kad__account *all, bool inbound) {
  size_t most = all->max->bytes;
  return inbound ? most - most / 8 : most;
}

static size_t bytes_left(const kad__channel *c, bool inbound) {
  kad__accounts accounts = kad__accounts_of(c);
  const kad__account *all = accounts.list[0];
  size_t left = less(bytes_of_all(all, inbound), all->used.bytes);
  for (size_t i = 1; i < accounts.count; i++) {
    const kad__account *a = accounts.list[i];
    size_t of_account = less(a->max->bytes, a->used.bytes);
    left = of_account < left ? of_account : left;
  }
  return left;
}

static uint32_t streams_left(const kad__channel *c) {
  kad__accounts accounts = kad__accounts_of(c);
  uint32_t left = UINT32_MAX;
  for (size_t i = 0; i < accounts.count; i++) {
    const kad__account *a = accounts.list[i];
    uint32_t of_account = a->max->inbound - a->used.inbound;
    left = of_account < left ? of_account : left;
  }
  return left;
}

static inline bool holds(const kad__account *a, size_t most, size_t len) {
  return a->used.bytes <= most && len <= most - a->used.bytes;
}

int kad__account_may_hold(const kad__channel *c, bool inbound, size_t len) {
  const kad__account *a = &c->swarm->account;
  bool room = holds(a, bytes_of_all(a, inbound), len);
  if (room && c->holder != NULL) {
    a = &c->holder->account;
    room = holds(a, a->max->bytes, len);
  }
  for (const kad__origin *o = c->origin; room && o != NULL; o = o->group) {
    room = holds(&o->account, o->account.max->bytes, len);
  }
  return room ? 0 : KAD_E_LIMIT;
}

static inline bool takes(const kad__account *a, size_t most, bool inbound) {
  bool full = inbound ? a->used.inbound >= a->max->inbound
                      : a->used.outbound >= a->max->outbound;
  return !full && holds(a, most, STREAM_ROOM);
}

int kad__account_may_open(const kad__channel *c, bool inbound) {
  const kad__account *a = &c->swarm->account;
  bool room = takes(a, bytes_of_all(a, inbound), inbound);
  if (room && c->holder != NULL) {
    a = &c->holder->account;
    room = takes(a, a->max->bytes, inbound);
  }
  for (const kad__origin *o = c->origin; room && o != NULL; o = o->group) {
    room = takes(&o->account, o->account.max->bytes, inbound);
  }
  return room ? 0 : KAD_E_LIMIT;
}

void kad__account_admit(kad__channel *c) {
  kad__yamux *yamux = kad__connection_yamux(c->connection);
  if (yamux == NULL) {
    return;
  }
  size_t bytes = bytes_left(c, true);
  kad__yamux_set_room(yamux,
                      (kad__yamux_room){
                          .streams = bytes < STREAM_ROOM ? 0 : streams_left(c),
                          .bytes_in = narrow(bytes),
                          .bytes_out = narrow(bytes_left(c, false)),
                      });
}

/* ---- after it ----------------------------------------------------------- */

void kad__account_refusals(kad__channel *c) {
  const kad__yamux_stats *stats =
      kad__yamux_stats_get(kad__connection_yamux(c->connection));
  kad_swarm_counters *counters = &c->swarm->counters;
  counters->refused_streams += (uint32_t)stats->streams_refused - c->refused;
  counters->starved_streams += (uint32_t)stats->starved - c->starved;
  c->refused = (uint32_t)stats->streams_refused;
  c->starved = (uint32_t)stats->starved;
}

bool kad__account_overrun(const kad__channel *c) {
  kad__accounts accounts = kad__accounts_of(c);
  for (size_t i = 0; i < accounts.count; i++) {
    const kad__account *a = accounts.list[i];
    if (less(a->used.bytes, a->max->bytes) > a->max->bytes / 8) {
      return true;
    }
  }
  return false;
}

/* ---- for whoever asks --------------------------------------------------- */

static kad_quota quota(uint64_t used, uint64_t limit) {
  return (kad_quota){.used = used, .limit = limit};
}

static void tell(kad_usage *out, const kad__account *a) {
  out->inbound_streams = quota(a->used.inbound, a->max->inbound);
  out->outbound_streams = quota(a->used.outbound, a->max->outbound);
  out->memory = quota(a->used.bytes, a->max->bytes);
}

void kad__swarm_usage(const kad__swarm *s, kad_usage *out) {
  const kad__swarm_config *config = &s->config;
  uint32_t all = config->max_connections;
  *out = (kad_usage){
      .connections = quota(s->established + s->closing, all),
      .inbound = quota(s->established_inbound + s->closing, all - all / 8),
      .pending = quota(s->pending_inbound, config->max_pending_inbound),
      .dials = quota(s->opening, config->max_dials)};
  tell(out, &s->account);
}

bool kad__swarm_usage_peer(const kad__swarm *s, kad_usage *out,
                           const kad_peer_id *id) {
  const kad__swarm_peer *peer = kad__swarm_find_peer(s, id);
  const kad__swarm_config *config = &s->config;
  if (peer == NULL || (peer->dial == NULL && peer->holders == 0)) {
    return false;
  }
  uint64_t inbound = 0;
  KAD__LIST_EACH(node, &peer->channels) {
    inbound += KAD__CONTAINER(node, kad__channel, group)->inbound;
  }
  uint32_t all = config->max_connections_per_peer;
  *out =
      (kad_usage){.connections = quota(peer->channel_count, all),
                  .inbound = quota(inbound, all),
                  .dials = quota(peer->dial == NULL ? 0 : peer->dial->opening,
                                 config->max_dials_per_peer)};
  tell(out, &peer->account);
  return true;
}
