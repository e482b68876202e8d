/* The peers that the swarm has to do with right now. */
#include "swarm/swarm_internal.h"

kad__swarm_peer *kad__swarm_find_peer(const kad__swarm *s,
                                      const kad_peer_id *id) {
  kad__map_node *node =
      kad__map_find(&s->peers, kad__bytes(id->bytes, id->len));
  return node == NULL ? NULL : KAD__CONTAINER(node, kad__swarm_peer, node);
}

kad__swarm_peer *kad__swarm_get_peer(kad__swarm *s, const kad_peer_id *id) {
  kad__swarm_peer *peer = kad__swarm_find_peer(s, id);
  if (peer != NULL) {
    return peer;
  }
  peer = kad__calloc(&s->allocator, 1, sizeof(*peer));
  if (peer == NULL) {
    return NULL;
  }
  peer->id = *id;
  peer->account.max = &s->config.max_per_peer;
  kad__list_init(&peer->channels);
  if (kad__map_add(&s->peers, &s->allocator, &peer->node,
                   kad__bytes(peer->id.bytes, peer->id.len)) < 0) {
    kad__release(&s->allocator, peer);
    return NULL;
  }
  return peer;
}

void kad__swarm_put_peer(kad__swarm *s, kad__swarm_peer *peer) {
  if (peer->channel_count != 0 || peer->dial != NULL || peer->is_protected ||
      peer->holders != 0) {
    return;
  }
  kad__map_remove(&s->peers, &peer->node);
  kad__release(&s->allocator, peer);
}

/* Nothing has come since we asked. */
static bool is_silent(const kad__channel *c) {
  return kad__yamux_unanswered(kad__connection_yamux(c->connection),
                               c->swarm->now, KAD__SWARM_PROBE_TIMEOUT);
}

static bool is_better(const kad__channel *a, const kad__channel *b) {
  bool silent = is_silent(b);
  return is_silent(a) != silent ? silent : a->stream_count > b->stream_count;
}

/* One that answers; the one that is busiest, so that the others can fall idle;
 * then the oldest, which the peer is likely to choose too. */
kad__channel *kad__swarm_best_channel(const kad__swarm_peer *peer) {
  kad__channel *best = NULL;
  KAD__LIST_EACH(node, &peer->channels) {
    kad__channel *c = KAD__CONTAINER(node, kad__channel, group);
    if (best == NULL || is_better(c, best)) {
      best = c;
    }
  }
  return best;
}

void kad__swarm_probe_peer(kad__swarm_peer *peer) {
  KAD__LIST_EACH(node, &peer->channels) {
    kad__channel *c = KAD__CONTAINER(node, kad__channel, group);
    kad__yamux_probe(kad__connection_yamux(c->connection), c->swarm->now);
    kad__channel_touch(c);
    kad__channel_arm(c);
  }
}

bool kad__swarm_supplant(kad__swarm_peer *peer) {
  KAD__LIST_EACH(node, &peer->channels) {
    kad__channel *c = KAD__CONTAINER(node, kad__channel, group);
    if (is_silent(c)) {
      kad__swarm_close(c->swarm, c->id, KAD_CONNECTION_CODE_SUPPLANTED,
                       c->swarm->now);
      return true;
    }
  }
  return false;
}

bool kad__swarm_connected(const kad__swarm *s, const kad_peer_id *id) {
  const kad__swarm_peer *peer = kad__swarm_find_peer(s, id);
  return peer != NULL && peer->channel_count != 0;
}

void kad__swarm_disconnect(kad__swarm *s, kad__id connection, kad_time now) {
  kad__swarm_close(s, connection, 0, now);
}

void kad__swarm_close(kad__swarm *s, kad__id connection, uint32_t code,
                      kad_time now) {
  kad__swarm_set_now(s, now);
  kad__channel *c = kad__ids_find(&s->ids, connection, KAD__OBJECT_CHANNEL);
  if (c == NULL || c->state != KAD__CHANNEL_OPEN) {
    return;
  }
  kad__yamux_close(kad__connection_yamux(c->connection), code);
  kad__channel_drop(c, 0);
}

void kad__swarm_disconnect_peer(kad__swarm *s, const kad_peer_id *id,
                                kad_time now) {
  kad__swarm_peer *peer = kad__swarm_find_peer(s, id);
  size_t count = peer == NULL ? 0 : peer->channel_count;
  /* The peer's entry goes with its last connection. */
  for (; count > 0; count--) {
    kad__channel *c = KAD__CONTAINER(peer->channels.next, kad__channel, group);
    kad__swarm_disconnect(s, c->id, now);
  }
}

void kad__swarm_protect(kad__swarm *s, const kad_peer_id *id, bool on) {
  kad__swarm_peer *peer =
      on ? kad__swarm_get_peer(s, id) : kad__swarm_find_peer(s, id);
  if (peer == NULL || peer->is_protected == on) {
    return;
  }
  peer->is_protected = on;
  KAD__LIST_EACH(node, &peer->channels) {
    kad__channel *c = KAD__CONTAINER(node, kad__channel, group);
    c->quiet_since = s->now;
    kad__channel_arm(c);
  }
  kad__swarm_put_peer(s, peer);
}

bool kad__swarm_connection(const kad__swarm *s, kad__id id,
                           kad__connection_info *out) {
  const kad__channel *c = kad__ids_find(&s->ids, id, KAD__OBJECT_CHANNEL);
  if (c == NULL || c->state != KAD__CHANNEL_OPEN) {
    return false;
  }
  const kad__yamux *yamux = kad__connection_yamux(c->connection);
  *out = (kad__connection_info){
      .id = c->id,
      .peer = c->peer->id,
      .inbound = c->inbound,
      .remote_address = c->remote,
      .local_address = c->local,
      .public_key = kad__connection_peer_key(c->connection),
      .opened = c->opened,
      .streams = c->stream_count,
      .unacknowledged = kad__yamux_unacknowledged(yamux),
      .transport = kad__transport_name(s, c->transport),
      .security = kad__connection_security(c->connection),
      .early_muxer = kad__connection_early_muxer(c->connection),
      .round_trip = kad__yamux_stats_get(yamux)->round_trip,
      .bytes_in = c->bytes_in,
      .bytes_out = c->bytes_out,
  };
  return true;
}

kad__id kad__swarm_connection_next(const kad__swarm *s, kad__id after) {
  void *object = NULL;
  do {
    after = kad__ids_next(&s->ids, after, KAD__OBJECT_CHANNEL, &object);
  } while (object != NULL &&
           ((kad__channel *)object)->state != KAD__CHANNEL_OPEN);
  return after;
}

size_t kad__swarm_connection_count(const kad__swarm *s) {
  return s->established;
}
