/* Dialling: one dial per peer, whoever asks for it, and one per address without
 * a name. Its addresses are ranked; the next is tried when its delay is over or
 * as soon as nothing else is under way; the first that proves to be the peer
 * ends the dial and the other attempts. */
#include "swarm/swarm_internal.h"

/* ---- making and ending -------------------------------------------------- */

static int dial_new(kad__dial **out, kad__swarm *s, kad__swarm_peer *peer) {
  if (s->dials >= KAD__DIALS_MAX ||
      s->established >= s->config.max_connections) {
    return KAD_E_LIMIT;
  }
  kad__dial *d = kad__calloc(&s->allocator, 1, sizeof(*d));
  if (d == NULL) {
    return KAD_E_NO_MEMORY;
  }
  d->swarm = s;
  d->started = s->now;
  kad__source_init(&d->event, KAD__SOURCE_DIAL);
  kad__list_init(&d->waiting);
  kad__list_init(&d->channels);
  kad__list_init(&d->resolutions);
  kad__heap_node_init(&d->timer);
  kad__list_append(&s->all_dials, &d->in_swarm);
  s->dials++;
  if (kad__heap_set(&s->dial_timers, &s->allocator, &d->timer, KAD_TIME_NEVER) <
          0 ||
      kad__ids_add(&s->ids, &s->allocator, &d->id, KAD__OBJECT_DIAL, d) < 0) {
    kad__dial_free(d);
    return KAD_E_NO_MEMORY;
  }
  if (peer != NULL) {
    d->peer = peer;
    d->name = peer->id;
    peer->dial = d;
  }
  *out = d;
  return 0;
}

static void drop_channels(kad__dial *d) {
  for (kad__list *node; (node = kad__list_take(&d->channels)) != NULL;) {
    kad__channel *c = KAD__CONTAINER(node, kad__channel, group);
    c->dial = NULL;
    kad__channel_drop(c, KAD_E_CANCELLED);
  }
}

/* Stops everything that goes on for `d`, which keeps its name, and the errors
 * of its addresses. */
static void end(kad__dial *d) {
  kad__swarm *s = d->swarm;
  d->ended = true;
  kad__list_unlink(&d->waiting);
  kad__heap_remove(&s->dial_timers, &d->timer);
  kad__ids_remove(&s->ids, d->id);
  kad__dns_cancel(d);
  drop_channels(d);
  if (d->peer != NULL) {
    d->peer->dial = NULL;
    kad__swarm_put_peer(s, d->peer);
    d->peer = NULL;
  }
}

void kad__dial_free(kad__dial *d) {
  kad__swarm *s = d->swarm;
  end(d);
  for (size_t i = 0; i < d->count; i++) {
    kad__release(&s->allocator, d->candidates[i].address);
  }
  kad__release(&s->allocator, d->candidates);
  kad__buffer_fini(&d->left_out, &s->allocator);
  s->dials--;
  kad__list_unlink(&d->in_swarm);
  kad__source_cancel(&d->event);
  kad__release(&s->allocator, d);
}

void kad__dial_note(kad__dial *d, int error) {
  d->error = d->error == 0 || d->error == error ? error : KAD_E_DIAL;
}

/* Of several reasons to leave addresses out, the most telling stays. */
static void note_skipped(kad__dial *d, int error) {
  static const int telling[] = {
      KAD_E_BLACK_HOLE, KAD_E_NO_MEMORY, KAD_E_BACKOFF,       KAD_E_GATED,
      KAD_E_SELF,       KAD_E_LIMIT,     KAD_E_PEER_MISMATCH, KAD_E_RESOLVE};
  for (size_t i = 0; i < KAD__COUNT(telling) && d->skip_error != telling[i];
       i++) {
    if (error == telling[i]) {
      d->skip_error = error;
    }
  }
}

static bool has_nothing(const kad__dial *d) {
  return d->count == 0 && kad__list_empty(&d->resolutions);
}

static int why_nothing(const kad__dial *d) {
  return d->skip_error != 0 ? d->skip_error : KAD_E_NO_ADDRESS;
}

/* ---- addresses ---------------------------------------------------------- */

static bool have(const kad__dial *d, kad_bytes address) {
  for (size_t i = 0; i < d->count; i++) {
    const kad__candidate *c = &d->candidates[i];
    if (kad__bytes_equal(kad__bytes(c->address, c->len), address)) {
      return true;
    }
  }
  return false;
}

static int grow(kad__dial *d) {
  if (d->count < d->cap) {
    return 0;
  }
  uint8_t cap = d->cap == 0 ? 4 : (uint8_t)(2 * d->cap);
  kad__candidate *candidates = kad__resize_array(
      &d->swarm->allocator, d->candidates, cap, sizeof(*candidates));
  if (candidates == NULL) {
    return KAD_E_NO_MEMORY;
  }
  d->candidates = candidates;
  d->cap = cap;
  return 0;
}

static int add_candidate(kad__dial *d, kad_bytes address, size_t transport_len,
                         uint8_t transport) {
  if (have(d, address)) {
    return 0;
  }
  if (d->count >= KAD__DIAL_ADDRESSES_MAX) {
    return KAD_E_LIMIT;
  }
  if (grow(d) < 0) {
    return KAD_E_NO_MEMORY;
  }
  uint8_t *copy = kad__memdup(&d->swarm->allocator, address.data, address.len);
  if (copy == NULL) {
    return KAD_E_NO_MEMORY;
  }
  d->candidates[d->count++] =
      (kad__candidate){.address = copy,
                       .len = (uint16_t)address.len,
                       .transport_len = (uint16_t)transport_len,
                       .transport = transport};
  return 0;
}

/* Would a channel to this address be of any use? */
static int check_use(const kad__dial *d, const kad__address_info *info) {
  kad__swarm *s = d->swarm;
  if ((info->kind == KAD__ADDRESS_TCP && info->port == 0) ||
      (info->ip.len != 0 && kad__ip_is_unspecified(info->ip))) {
    return KAD_E_NO_ADDRESS;
  }
  if (d->is_explicit || d->peer == NULL) {
    return 0;
  }
  if (kad__ip_is_link_local6(info->ip)) {
    return KAD_E_NO_ADDRESS;
  }
  if (kad__swarm_listens_on(s, info->transport)) {
    return KAD_E_SELF;
  }
  if (kad__backoff_until(&s->backoff, &d->name, info->transport, s->now) != 0) {
    return KAD_E_BACKOFF;
  }
  if (kad__ip_is_public6(info->ip) && !kad__black_hole_allows(&s->ip6)) {
    s->counters.black_holed++;
    return KAD_E_BLACK_HOLE;
  }
  return 0;
}

static int add_channel(kad__dial *d, kad_bytes address,
                       const kad__address_info *info, uint8_t transport,
                       uint8_t depth) {
  int result = check_use(d, info);
  if (result == 0 &&
      !kad__gate_dial_address(d->swarm, &d->name, info->transport)) {
    result = KAD_E_GATED;
  }
  if (result < 0) {
    return result;
  }
  if (depth != 0 && d->resolved >= KAD__DIAL_RESOLVED_MAX) {
    return KAD_E_LIMIT;
  }
  if (d->peer != NULL) {
    address = info->transport;
  }
  result = add_candidate(d, address, info->transport.len, transport);
  d->resolved = (uint8_t)(d->resolved + (result == 0 && depth != 0));
  return result;
}

static int check_name(const kad__dial *d, kad_bytes peer) {
  const kad_peer_id *self = kad_key_pair_peer_id(d->swarm->config.identity);
  if (peer.len == 0) {
    return 0;
  }
  if (kad__bytes_equal(peer, kad_peer_id_bytes(self))) {
    return KAD_E_SELF;
  }
  bool other =
      d->name.len != 0 && !kad__bytes_equal(peer, kad_peer_id_bytes(&d->name));
  return other ? KAD_E_PEER_MISMATCH : 0;
}

static int add_any(kad__dial *d, kad_bytes address,
                   const kad__address_info *info, uint8_t depth) {
  uint8_t transport = 0;
  if (info->kind == KAD__ADDRESS_BAD) {
    return KAD_E_MULTIADDR;
  }
  if (kad__transport_choose(&transport, d->swarm, info, true)) {
    return add_channel(d, address, info, transport, depth);
  }
  return info->kind == KAD__ADDRESS_NAME
             ? kad__dns_start(d, address, info, depth)
             : KAD_E_NO_ADDRESS;
}

int kad__dial_add(kad__dial *d, kad_bytes address, uint8_t depth) {
  kad__address_info info;
  kad__address_read(&info, address);
  int result = check_name(d, info.peer);
  if (result == 0) {
    result = add_any(d, address, &info, depth);
  }
  if (result < 0) {
    bool alien = info.kind == KAD__ADDRESS_OTHER && result == KAD_E_NO_ADDRESS;
    note_skipped(d, result);
    kad__dial_leave_out(d, info.transport, alien ? KAD_E_UNSUPPORTED : result);
  }
  return result;
}

static void collect(kad__dial *d, kad_bytes given) {
  kad__swarm *s = d->swarm;
  kad_bytes address;
  size_t at = 0;
  while (kad__peerstore_next(s->peerstore, &d->name, &at, &address, s->now)) {
    (void)kad__dial_add(d, address, 0);
  }
  while (kad__addresses_next(&given, &address)) {
    (void)kad__dial_add(d, address, 0);
  }
}

bool kad__dial_expected(const kad__dial *d, const kad__candidate *candidate,
                        kad_peer_id *out) {
  if (d->name.len != 0) {
    *out = d->name;
    return true;
  }
  kad__address_info info;
  kad__address_read(&info, kad__bytes(candidate->address, candidate->len));
  return info.peer.len != 0 && kad_peer_id_decode(out, info.peer) == 0;
}

/* ---- progress ----------------------------------------------------------- */

/* The waiting candidate whose turn comes first; -1: none. */
static int next_candidate(const kad__dial *d) {
  int best = -1;
  for (int i = 0; i < d->count; i++) {
    const kad__candidate *c = &d->candidates[i];
    const kad__candidate *b = best < 0 ? NULL : &d->candidates[best];
    if (c->state == KAD__CANDIDATE_WAITING &&
        (b == NULL || c->delay < b->delay ||
         (c->delay == b->delay && c->score < b->score))) {
      best = i;
    }
  }
  return best;
}

static void fail_candidate(kad__dial *d, uint8_t index, int error) {
  d->candidates[index].state = KAD__CANDIDATE_FAILED;
  d->candidates[index].error = error;
  kad__dial_note(d, error);
}

/* Starts what is due; returns when the next candidate is. */
static kad_time start_due(kad__dial *d) {
  kad__swarm *s = d->swarm;
  int next;
  while ((next = next_candidate(d)) >= 0 &&
         d->opening < s->config.max_dials_per_peer) {
    kad_time at = kad__time_add(d->started, d->candidates[next].delay);
    if (d->opening != 0 && at > s->now) {
      return at;
    }
    if (s->opening >= s->config.max_dials) {
      if (!kad__list_linked(&d->waiting)) {
        kad__list_append(&s->dial_queue, &d->waiting);
      }
      return KAD_TIME_NEVER;
    }
    int result = kad__channel_dial(d, (uint8_t)next);
    if (result < 0) {
      fail_candidate(d, (uint8_t)next, result);
    }
  }
  return KAD_TIME_NEVER;
}

static void fail(kad__dial *d) {
  if (d->answered) {
    kad__dial_free(d);
    return;
  }
  if (d->error == 0) {
    d->error = why_nothing(d);
  }
  end(d);
  kad__swarm_tell(d->swarm, &d->event, 1);
}

void kad__dial_cancel(kad__dial *d) {
  if (!d->ended) {
    d->error = KAD_E_CANCELLED;
    fail(d);
  }
}

void kad__dial_progress(kad__dial *d) {
  if (d->ended) {
    return;
  }
  kad__dial_rank(d);
  kad_time at = start_due(d);
  bool resolving = !kad__list_empty(&d->resolutions);
  if (d->opening == 0 && !resolving && next_candidate(d) < 0) {
    fail(d);
    return;
  }
  if (resolving) {
    at = kad__time_min(at, d->resolve_by);
  }
  (void)kad__heap_set(&d->swarm->dial_timers, &d->swarm->allocator, &d->timer,
                      at);
}

void kad__dial_tick(kad__dial *d) {
  if (!kad__list_empty(&d->resolutions) && d->swarm->now >= d->resolve_by) {
    kad__dns_expire(d);
    kad__dial_note(d, KAD_E_RESOLVE);
  }
  kad__dial_progress(d);
}

void kad__dial_next_turn(kad__swarm *s) {
  while (s->opening < s->config.max_dials && !kad__list_empty(&s->dial_queue)) {
    kad__list *node = kad__list_take(&s->dial_queue);
    kad__dial_progress(KAD__CONTAINER(node, kad__dial, waiting));
  }
}

/* ---- outcomes ----------------------------------------------------------- */

/* Our own want of something says nothing about the address. */
static bool is_ours(int error) {
  return error == KAD_E_NO_MEMORY || error == KAD_E_LIMIT ||
         error == KAD_E_CANCELLED || error == KAD_E_WORLD ||
         error == KAD_E_GATED;
}

/* That somebody refused is an answer. */
static void note_ip6(kad__swarm *s, const kad__channel *c, int error) {
  kad__address_info info;
  kad__address_read(&info, c->remote);
  if (c->connection == NULL && !is_ours(error) && kad__ip_is_public6(info.ip)) {
    kad__black_hole_note(&s->ip6, error == KAD_E_REFUSED);
  }
}

void kad__dial_channel_failed(kad__dial *d, kad__channel *c, int error) {
  kad__swarm *s = d->swarm;
  kad_peer_id expected;
  kad__list_unlink(&c->group);
  c->dial = NULL;
  d->opening--;
  s->counters.failed_dials += error != KAD_E_CANCELLED;
  note_ip6(s, c, error);
  if (!is_ours(error) &&
      kad__dial_expected(d, &d->candidates[c->candidate], &expected)) {
    (void)kad__backoff_add(&s->backoff, &expected, c->remote, s->now);
  }
  fail_candidate(d, c->candidate, error);
  kad__dial_progress(d);
}

void kad__dial_succeeded(kad__dial *d, kad__channel *c) {
  kad__list_unlink(&c->group);
  c->dial = NULL;
  c->told_dial = d->answered ? 0 : d->id;
  kad__dial_free(d);
}

/* Attempts under way go on: when both sides dial each other and each gave up
 * its own for the other's, none would be left. */
void kad__dial_answered(kad__dial *d, kad__channel *c) {
  if (c->told_dial != 0 && d->is_awaited) {
    return; /* CONNECTED cannot name both */
  }
  if (c->told_dial == 0 && !d->answered) {
    c->told_dial = d->id;
  }
  d->answered = true;
  kad__list_unlink(&d->waiting);
  kad__dns_cancel(d);
  for (size_t i = 0; i < d->count; i++) {
    if (d->candidates[i].state == KAD__CANDIDATE_WAITING) {
      d->candidates[i].state = KAD__CANDIDATE_FAILED;
    }
  }
  kad__dial_progress(d);
}

/* ---- for the node ------------------------------------------------------- */

/* The dial to a peer, begun when there is none. */
static int get_dial(kad__dial **out, kad__swarm *s, const kad_peer_id *id) {
  if (kad_peer_id_equal(id, kad_key_pair_peer_id(s->config.identity))) {
    return KAD_E_SELF;
  }
  kad__swarm_peer *peer = kad__swarm_get_peer(s, id);
  if (peer == NULL) {
    return KAD_E_NO_MEMORY;
  }
  *out = peer->dial;
  int result = *out == NULL ? dial_new(out, s, peer) : 0;
  if (result < 0) {
    kad__swarm_put_peer(s, peer);
  }
  return result;
}

int kad__swarm_dial(kad__swarm *s, const kad_peer_id *id, kad_bytes addresses,
                    kad_time now) {
  kad__swarm_set_now(s, now);
  if (s->shut) {
    return KAD_E_CLOSED;
  }
  if (kad__swarm_connected(s, id)) {
    return 1;
  }
  if (!kad__gate_dial_peer(s, id)) {
    return KAD_E_GATED;
  }
  kad__dial *d = NULL;
  int result = get_dial(&d, s, id);
  if (result < 0) {
    return result;
  }
  d->is_explicit = false;
  d->answered = false;
  collect(d, addresses);
  if (has_nothing(d)) {
    result = why_nothing(d);
    kad__dial_free(d);
    return result;
  }
  kad__dial_progress(d);
  return 0;
}

int kad__swarm_dial_address(kad__swarm *s, kad__id *dial, kad_bytes address,
                            kad_time now) {
  kad__swarm_set_now(s, now);
  if (s->shut) {
    return KAD_E_CLOSED;
  }
  kad__address_info info;
  kad__address_read(&info, address);
  kad_peer_id id;
  bool named = info.peer.len != 0 && kad_peer_id_decode(&id, info.peer) == 0;
  if (named && !kad__gate_dial_peer(s, &id)) {
    return KAD_E_GATED;
  }
  kad__dial *d = NULL;
  int result = named ? get_dial(&d, s, &id) : dial_new(&d, s, NULL);
  if (result < 0) {
    return result;
  }
  d->is_explicit = true;
  result = kad__dial_add(d, address, 0);
  if (result < 0) {
    if (has_nothing(d)) {
      kad__dial_free(d);
    }
    return result;
  }
  *dial = d->id;
  d->is_awaited = true;
  d->answered = false;
  kad__dial_progress(d);
  return 0;
}
