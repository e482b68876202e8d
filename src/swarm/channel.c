/* The life of a channel: opened by the world or for a dial, upgraded, open,
 * closing, closed. Each step has one function here, and each way out leads
 * through `leave`, so that nobody is told twice and no counter drifts. */
#include "swarm/swarm_internal.h"

/* ---- beginning ---------------------------------------------------------- */

static int enroll(kad__channel *c, kad_bytes remote) {
  kad__swarm *s = c->swarm;
  int result = kad__owned_copy(&c->remote, &s->allocator, remote);
  if (result == 0) {
    result = kad__heap_set(&s->channel_timers, &s->allocator, &c->timer,
                           KAD_TIME_NEVER);
  }
  if (result == 0) {
    result =
        kad__ids_add(&s->ids, &s->allocator, &c->id, KAD__OBJECT_CHANNEL, c);
  }
  return result;
}

static int channel_new(kad__channel **out, kad__swarm *s, kad_bytes remote) {
  kad__channel *c = kad__calloc(&s->allocator, 1, sizeof(*c));
  if (c == NULL) {
    return KAD_E_NO_MEMORY;
  }
  c->swarm = s;
  c->opened = s->now;
  kad__list_append(&s->all_channels, &c->in_swarm);
  kad__list_init(&c->group);
  kad__list_init(&c->streams);
  kad__list_init(&c->dirty);
  kad__source_init(&c->connected, KAD__SOURCE_CONNECTED);
  kad__source_init(&c->ended, KAD__SOURCE_ENDED);
  kad__source_init(&c->action, KAD__SOURCE_CHANNEL_ACTION);
  kad__heap_node_init(&c->timer);
  int result = enroll(c, remote);
  if (result < 0) {
    kad__channel_free(c);
    return result;
  }
  *out = c;
  return 0;
}

void kad__channel_free(kad__channel *c) {
  kad__swarm *s = c->swarm;
  kad__source_cancel(&c->connected);
  kad__source_cancel(&c->ended);
  kad__source_cancel(&c->action);
  kad__list_unlink(&c->in_swarm);
  kad__list_unlink(&c->group);
  kad__list_unlink(&c->dirty);
  kad__heap_remove(&s->channel_timers, &c->timer);
  kad__ids_remove(&s->ids, c->id);
  kad__limits_part(c);
  kad__connection_free(c->connection);
  kad__bandwidth_let_go(&s->bandwidth, &s->bandwidth.peers, c->metered, s->now);
  kad__owned_release(&s->allocator, c->remote);
  kad__owned_release(&s->allocator, c->local);
  kad__release(&s->allocator, c);
}

static bool in_use(const kad__source *source) {
  return source->lent || kad__list_linked(&source->link);
}

void kad__channel_reap(kad__channel *c) {
  if (c->state == KAD__CHANNEL_CLOSED && c->stream_count == 0 &&
      !in_use(&c->connected) && !in_use(&c->ended) && !in_use(&c->action)) {
    kad__channel_free(c);
  }
}

static int start_upgrade(kad__channel *c, kad_bytes local, bool dialer,
                         const kad_peer_id *expected) {
  kad__swarm *s = c->swarm;
  int result = kad__owned_copy(&c->local, &s->allocator, local);
  if (result == 0) {
    result = kad__connection_new(&c->connection, &s->connection_config, dialer,
                                 expected, s->now);
  }
  if (result == 0) {
    c->state = KAD__CHANNEL_UPGRADING;
    kad__channel_pump(c);
  }
  return result;
}

static uint8_t transport_of(const kad__swarm *s, kad__id listener) {
  const kad__listener *l =
      kad__ids_find(&s->ids, listener, KAD__OBJECT_LISTENER);
  return l == NULL ? 0 : l->transport;
}

int kad__swarm_accepted(kad__swarm *s, kad__id *connection, kad__id listener,
                        kad_bytes remote, kad_bytes local, kad_time now) {
  kad__swarm_set_now(s, now);
  if (s->shut) {
    return KAD_E_CLOSED;
  }
  if (!kad__gate_accept(s, local, remote)) {
    return KAD_E_GATED;
  }
  kad__origin *origin = NULL;
  int result = kad__limits_accept(s, &origin, remote);
  if (result < 0) {
    return result;
  }
  kad__channel *c = NULL;
  result = channel_new(&c, s, remote);
  if (result < 0) {
    kad__limits_give_back(s, origin);
    return result;
  }
  c->inbound = true;
  c->transport = transport_of(s, listener);
  kad__limits_enter(c, origin);
  kad__list_append(&s->pending, &c->group);
  result = start_upgrade(c, local, false, NULL);
  if (result < 0) {
    s->pending_inbound--;
    kad__channel_free(c);
    return result;
  }
  *connection = c->id;
  return 0;
}

int kad__channel_dial(kad__dial *d, uint8_t index) {
  kad__candidate *candidate = &d->candidates[index];
  kad__channel *c = NULL;
  int result = channel_new(
      &c, d->swarm, kad__bytes(candidate->address, candidate->transport_len));
  if (result < 0) {
    return result;
  }
  result = kad__limits_dial(c);
  if (result < 0) {
    kad__channel_free(c);
    return result;
  }
  candidate->state = KAD__CANDIDATE_OPENING;
  c->candidate = index;
  c->transport = candidate->transport;
  c->dial = d;
  kad__list_append(&d->channels, &c->group);
  d->opening++;
  d->swarm->opening++;
  kad__account_charge(c);
  kad__channel_arm(c);
  kad__swarm_ask(d->swarm, &c->action, KAD__CHANNEL_DIAL);
  return 0;
}

void kad__swarm_dialed(kad__swarm *s, kad__id connection, kad_bytes local,
                       kad_time now) {
  kad__swarm_set_now(s, now);
  kad__channel *c = kad__ids_find(&s->ids, connection, KAD__OBJECT_CHANNEL);
  if (c == NULL || c->state != KAD__CHANNEL_DIALING) {
    return;
  }
  kad__address_info info;
  kad__address_read(&info, c->remote);
  if (kad__ip_is_public6(info.ip)) {
    kad__black_hole_note(&s->ip6, true);
  }
  kad_peer_id expected;
  bool known = kad__dial_expected(c->dial, &c->dial->candidates[c->candidate],
                                  &expected);
  int result = start_upgrade(c, local, true, known ? &expected : NULL);
  if (result < 0) {
    kad__channel_drop(c, result);
  }
}

/* ---- established -------------------------------------------------------- */

static void enter_peer(kad__channel *c, kad__swarm_peer *peer) {
  kad__swarm *s = c->swarm;
  c->state = KAD__CHANNEL_OPEN;
  c->was_open = true;
  c->quiet_since = s->now;
  c->peer = peer;
  c->first = ++peer->channel_count == 1;
  s->established++;
  if (c->inbound) {
    kad__list_unlink(&c->group);
    s->pending_inbound--;
    s->established_inbound++;
    s->counters.opened_inbound++;
  } else {
    s->opening--;
    s->counters.opened_outbound++;
  }
}

/* Knowledge is welcome, not needed: what memory does not allow is left out. */
static void remember(kad__channel *c) {
  kad__swarm *s = c->swarm;
  const kad_peer_id *id = &c->peer->id;
  kad__backoff_clear(&s->backoff, id);
  if (c->first) {
    (void)kad__peerstore_pin(s->peerstore, id, true, s->now);
    (void)kad__peerstore_set_key(s->peerstore, id,
                                 kad__connection_peer_key(c->connection));
  }
  if (!c->inbound) {
    (void)kad__peerstore_add(s->peerstore, id, c->remote,
                             KAD__ADDRESS_CONNECTED, s->now);
  }
}

/* What a peer is told that we do not keep. */
static uint32_t code_of(int error) {
  return error == KAD_E_GATED ? KAD_CONNECTION_CODE_GATED
                              : KAD_CONNECTION_CODE_LIMIT;
}

static void establish(kad__channel *c) {
  kad__swarm *s = c->swarm;
  kad__swarm_peer *peer =
      kad__swarm_get_peer(s, kad__connection_peer(c->connection));
  int result = peer == NULL ? KAD_E_NO_MEMORY : kad__limits_establish(c, peer);
  if (result == 0 && !kad__gate_upgraded(c)) {
    result = KAD_E_GATED;
  }
  if (result < 0) {
    if (peer != NULL) {
      kad__swarm_put_peer(s, peer);
    }
    kad__yamux_close(kad__connection_yamux(c->connection), code_of(result));
    kad__channel_drop(c, result);
    return;
  }
  enter_peer(c, peer);
  kad__channel_meter(c);
  remember(c);
  kad__swarm_tell(s, &c->connected, 1);
  if (c->dial != NULL) {
    kad__dial_succeeded(c->dial, c);
  }
  if (peer->dial != NULL) {
    kad__dial_answered(peer->dial, c);
  }
  kad__list_append(&peer->channels, &c->group);
  kad__dial_next_turn(s);
}

/* ---- running ------------------------------------------------------------ */

static void poll_streams(kad__channel *c) {
  kad__yamux *yamux = kad__connection_yamux(c->connection);
  kad__yamux_event event;
  while (kad__yamux_poll(yamux, &event)) {
    kad__stream *stream = kad__yamux_stream_user(event.stream);
    if (event.type == KAD__YAMUX_OPENED) {
      kad__stream_adopt(c, event.stream);
    } else if (stream == NULL) {
      continue;
    } else if (event.type == KAD__YAMUX_READABLE) {
      kad__stream_readable(stream);
    } else if (event.type == KAD__YAMUX_WRITABLE) {
      kad__stream_writable(stream);
    } else {
      kad__stream_died(stream, kad__yamux_stream_error(event.stream));
    }
  }
}

static void follow_congestion(kad__channel *c) {
  bool congested = kad__connection_congested(c->connection);
  if (congested == c->paused) {
    return;
  }
  c->paused = congested;
  uint8_t both = KAD__CHANNEL_PAUSE | KAD__CHANNEL_RESUME;
  if ((c->action.pending & both) != 0) {
    kad__source_cancel(&c->action); /* the world has not heard of it yet */
    return;
  }
  kad__swarm_ask(c->swarm, &c->action,
                 congested ? KAD__CHANNEL_PAUSE : KAD__CHANNEL_RESUME);
}

void kad__channel_touch(kad__channel *c) {
  if (!c->pulled && !kad__list_linked(&c->dirty) &&
      c->state != KAD__CHANNEL_CLOSED && c->connection != NULL &&
      kad__connection_has_output(c->connection)) {
    kad__list_append(&c->swarm->dirty, &c->dirty);
  }
}

static bool is_running(const kad__channel *c) {
  return c->state == KAD__CHANNEL_OPEN || c->state == KAD__CHANNEL_UPGRADING;
}

void kad__channel_pump(kad__channel *c) {
  if (c->state == KAD__CHANNEL_UPGRADING && !kad__gate_secured(c)) {
    kad__channel_drop(c, KAD_E_GATED);
    return;
  }
  if (c->state == KAD__CHANNEL_UPGRADING &&
      kad__connection_established(c->connection)) {
    establish(c);
  }
  if (c->state == KAD__CHANNEL_OPEN) {
    poll_streams(c);
    kad__account_refusals(c);
  }
  if (!is_running(c)) {
    return;
  }
  kad__account_charge(c);
  follow_congestion(c);
  kad__channel_touch(c);
  kad__channel_arm(c);
}

/* What could not be refused in parts is refused as a whole. */
static void refuse_rest(kad__channel *c) {
  c->swarm->counters.overrun_connections++;
  if (c->state == KAD__CHANNEL_OPEN) {
    kad__yamux_close(kad__connection_yamux(c->connection),
                     KAD_CONNECTION_CODE_LIMIT);
  }
  kad__channel_drop(c, KAD_E_LIMIT);
}

void kad__swarm_input(kad__swarm *s, kad__id connection, uint8_t *in,
                      size_t len, kad_time now) {
  kad__swarm_set_now(s, now);
  kad__channel *c = kad__ids_find(&s->ids, connection, KAD__OBJECT_CHANNEL);
  if (c == NULL || !is_running(c)) {
    return;
  }
  kad__channel_count(c, len, 0);
  kad__account_charge(c);
  kad__account_admit(c);
  size_t before = c->charged;
  int result = kad__connection_input(c->connection, in, len, s->now);
  if (result < 0) {
    kad__channel_drop(c, result);
    return;
  }
  kad__channel_pump(c);
  if (is_running(c) && c->charged > before && kad__account_overrun(c)) {
    refuse_rest(c);
  }
}

kad__id kad__swarm_next_output(kad__swarm *s) {
  kad__list *node = kad__list_take(&s->dirty);
  if (node == NULL) {
    return 0;
  }
  kad__channel *c = KAD__CONTAINER(node, kad__channel, dirty);
  c->pulled = true;
  return c->id;
}

/* ---- ending ------------------------------------------------------------- */

static void leave_peer(kad__channel *c) {
  kad__swarm *s = c->swarm;
  kad__swarm_peer *peer = c->peer;
  int error = c->error == 0 ? KAD_E_CLOSED : c->error;
  poll_streams(c); /* what came before the end still counts */
  KAD__LIST_EACH(node, &c->streams) {
    kad__stream_died(KAD__CONTAINER(node, kad__stream, in_channel), error);
  }
  kad__list_unlink(&c->group);
  s->established--;
  s->counters.closed++;
  kad__account_refusals(c);
  s->established_inbound -= c->inbound;
  c->peer = NULL;
  c->last = --peer->channel_count == 0;
  if (c->last) {
    kad__peerstore_part(s->peerstore, &peer->id, c->remote, s->now);
    (void)kad__peerstore_pin(s->peerstore, &peer->id, false, s->now);
  }
  kad__swarm_tell(s, &c->ended, 1);
  kad__swarm_put_peer(s, peer);
}

/* It is over for the node, which hears of it; for the world it is closing. */
static void leave(kad__channel *c, int error) {
  kad__swarm *s = c->swarm;
  uint8_t state = c->state;
  c->state = KAD__CHANNEL_CLOSING;
  c->error = error;
  c->close_by = kad__channel_flush_until(s);
  s->closing++;
  if (state == KAD__CHANNEL_OPEN) {
    leave_peer(c);
  } else if (c->inbound) {
    kad__list_unlink(&c->group);
    s->pending_inbound--;
    s->counters.failed_inbound++;
    kad__swarm_tell(s, &c->ended, 1);
  } else {
    s->opening--;
    if (c->dial != NULL) {
      kad__dial_channel_failed(c->dial, c, error);
    }
    kad__dial_next_turn(s);
  }
}

static void forget(kad__channel *c) {
  kad__swarm *s = c->swarm;
  c->state = KAD__CHANNEL_CLOSED;
  s->closing--;
  kad__list_unlink(&c->dirty);
  kad__heap_remove(&s->channel_timers, &c->timer);
  kad__ids_remove(&s->ids, c->id);
  kad__limits_leave(c);
}

static void close_now(kad__channel *c) {
  forget(c);
  bool unknown_to_world = (c->action.pending & KAD__CHANNEL_DIAL) != 0;
  kad__source_cancel(&c->action);
  if (!unknown_to_world) {
    kad__swarm_ask(c->swarm, &c->action, KAD__CHANNEL_CLOSE);
  }
  kad__channel_reap(c);
}

void kad__channel_drop(kad__channel *c, int error) {
  if (c->state == KAD__CHANNEL_CLOSING) {
    close_now(c);
    return;
  }
  leave(c, error);
  if (c->connection == NULL || !kad__connection_has_output(c->connection)) {
    close_now(c);
    return;
  }
  kad__channel_touch(c);
  kad__channel_arm(c);
}

size_t kad__swarm_output(kad__swarm *s, kad__id connection, uint8_t *out,
                         size_t cap, kad_time now) {
  kad__swarm_set_now(s, now);
  kad__channel *c = kad__ids_find(&s->ids, connection, KAD__OBJECT_CHANNEL);
  if (c == NULL || c->connection == NULL) {
    return 0;
  }
  size_t len = kad__connection_output(c->connection, out, cap, s->now);
  if (len != 0) {
    kad__channel_count(c, 0, len);
    kad__channel_pump(c);
    return len;
  }
  c->pulled = false;
  if (c->state == KAD__CHANNEL_CLOSING) {
    close_now(c);
  }
  return 0;
}

/* The world has closed the channel: nothing can be sent any more. */
static void lost(kad__channel *c, int error) {
  if (c->state != KAD__CHANNEL_CLOSING) {
    leave(c, error);
  }
  forget(c);
  kad__source_cancel(&c->action);
  kad__channel_reap(c);
}

void kad__swarm_closed(kad__swarm *s, kad__id connection, int error,
                       kad_time now) {
  kad__swarm_set_now(s, now);
  kad__channel *c = kad__ids_find(&s->ids, connection, KAD__OBJECT_CHANNEL);
  if (c == NULL) {
    return;
  }
  if (error == 0) {
    error = c->connection == NULL ? KAD_E_CLOSED
                                  : kad__connection_input_end(c->connection);
  }
  lost(c, error == 0 ? KAD_E_CLOSED : error);
}

void kad__swarm_dial_failed(kad__swarm *s, kad__id connection, int error,
                            kad_time now) {
  kad__swarm_closed(s, connection, error == 0 ? KAD_E_DIAL : error, now);
}
