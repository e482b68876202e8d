/* Streams: thin handles over those of yamux, with a protocol, an owner and a
 * deadline. Until several proposals are decided, what is written waits here,
 * since it must not reach a protocol that it was not meant for; with a single
 * proposal it follows at once. */
#include "swarm/swarm_internal.h"

/* What may wait for the end of a negotiation. */
#define HELD_MAX ((size_t)256 << 10)

/* ---- making and freeing -------------------------------------------------- */

static kad__stream *stream_new(kad__channel *c, bool inbound) {
  kad__stream *stream = kad__calloc(&c->swarm->allocator, 1, sizeof(*stream));
  if (stream == NULL) {
    return NULL;
  }
  stream->channel = c;
  stream->id = ++c->swarm->last_stream;
  stream->opened = c->swarm->now;
  stream->inbound = inbound;
  stream->deadline = KAD_TIME_NEVER;
  stream->agree_by =
      kad__time_add(c->swarm->now, c->swarm->config.negotiate_timeout);
  kad__source_init(&stream->event, KAD__SOURCE_STREAM);
  kad__heap_node_init(&stream->timer);
  kad__list_append(&c->streams, &stream->in_channel);
  c->stream_count++;
  kad__account_opened(c, inbound);
  return stream;
}

static int reserve_held(kad__stream *stream, uint8_t **tail, size_t len) {
  kad__channel *c = stream->channel;
  uint32_t before = stream->held.cap;
  int result =
      kad__buffer_reserve(&stream->held, &c->swarm->allocator, tail, len);
  c->held += stream->held.cap - before;
  kad__account_note(c, len);
  return result;
}

void kad__stream_drop_held(kad__stream *stream) {
  kad__channel *c = stream->channel;
  c->held -= stream->held.cap;
  kad__buffer_fini(&stream->held, &c->swarm->allocator);
}

/* Frees the handle and gives the yamux stream back. */
void kad__stream_destroy(kad__stream *stream) {
  kad__channel *c = stream->channel;
  kad__swarm *s = c->swarm;
  if (stream->told && s->config.watch.over != NULL) {
    s->config.watch.over(s->config.watch.user, stream);
  }
  kad__source_cancel(&stream->event);
  kad__heap_remove(&s->stream_timers, &stream->timer);
  kad__list_unlink(&stream->in_channel);
  kad__stream_drop_held(stream);
  if (stream->elsewhere != 0) {
    kad__stream_charge(stream, 0);
  }
  kad__account_released(c, stream->inbound);
  kad__bandwidth_let_go(&s->bandwidth, &s->bandwidth.protocols, stream->metered,
                        s->now);
  kad__release(&s->allocator, stream->matched);
  if (stream->inner != NULL) {
    kad__yamux_stream_set_user(stream->inner, NULL);
    kad__yamux_stream_release(stream->inner);
  }
  kad__release(&s->allocator, stream);
  c->stream_count--;
  kad__channel_touch(c);
  kad__account_note(c, 0);
  if (c->stream_count != 0) {
    return;
  }
  c->quiet_since = s->now;
  kad__channel_arm(c);
  kad__channel_reap(c);
}

int kad__stream_arm(kad__stream *stream) {
  kad__swarm *s = stream->channel->swarm;
  kad_time at = kad__time_min(stream->deadline, stream->agree_by);
  if (at == KAD_TIME_NEVER) {
    kad__heap_remove(&s->stream_timers, &stream->timer);
    return 0;
  }
  return kad__heap_set(&s->stream_timers, &s->allocator, &stream->timer, at);
}

void kad__stream_adopt(kad__channel *c, kad__yamux_stream *inner) {
  kad__stream *stream =
      kad__account_may_open(c, true) < 0 ? NULL : stream_new(c, true);
  if (stream == NULL || kad__stream_arm(stream) < 0) {
    c->swarm->counters.refused_streams++;
    kad__yamux_stream_reset(inner, KAD__RESET_LIMIT);
    kad__yamux_stream_release(inner);
    if (stream != NULL) {
      kad__stream_destroy(stream);
    }
    return;
  }
  stream->inner = inner;
  kad__multistream_init(&stream->negotiation, false);
  kad__yamux_stream_set_user(inner, stream);
  if (kad__yamux_stream_peek(inner).len != 0 ||
      kad__yamux_stream_ended(inner)) {
    kad__stream_readable(stream);
  }
}

static int open_inner(kad__stream *stream) {
  kad__yamux *yamux = kad__connection_yamux(stream->channel->connection);
  int result = kad__stream_arm(stream);
  if (result == 0) {
    result = kad__yamux_stream_open(yamux, &stream->inner);
  }
  if (result < 0) {
    return result;
  }
  kad__yamux_stream_set_user(stream->inner, stream);
  result = kad__negotiation_start(stream);
  if (result < 0) {
    kad__yamux_stream_reset(stream->inner, 0);
  }
  return result;
}

static int open_on(kad__channel *c, kad__stream **out,
                   kad__protocol_names protocols, uint32_t tag, void *user) {
  if (protocols.count == 0) {
    return KAD_E_INVALID_ARGUMENT;
  }
  if (kad__account_may_open(c, false) < 0) {
    return KAD_E_LIMIT;
  }
  kad__stream *stream = stream_new(c, false);
  if (stream == NULL) {
    return KAD_E_NO_MEMORY;
  }
  stream->names = protocols;
  stream->protocol = protocols.names[0];
  stream->tag = tag;
  stream->user = user;
  int result = open_inner(stream);
  if (result < 0) {
    kad__stream_destroy(stream);
    return result;
  }
  kad__channel_touch(c);
  *out = stream;
  return 0;
}

int kad__stream_open_on(kad__swarm *s, kad__stream **out, kad__id connection,
                        kad__protocol_names protocols, uint32_t tag, void *user,
                        kad_time now) {
  kad__swarm_set_now(s, now);
  kad__channel *c = kad__ids_find(&s->ids, connection, KAD__OBJECT_CHANNEL);
  return c == NULL || c->state != KAD__CHANNEL_OPEN
             ? KAD_E_CLOSED
             : open_on(c, out, protocols, tag, user);
}

int kad__stream_open(kad__swarm *s, kad__stream **out, const kad_peer_id *id,
                     kad__protocol_names protocols, uint32_t tag, void *user,
                     kad_time now) {
  kad__swarm_set_now(s, now);
  const kad__swarm_peer *peer = kad__swarm_find_peer(s, id);
  kad__channel *c = peer == NULL ? NULL : kad__swarm_best_channel(peer);
  return c == NULL ? KAD_E_CLOSED : open_on(c, out, protocols, tag, user);
}

/* ---- dying --------------------------------------------------------------- */

/* The owner has never heard of an inbound stream that is not agreed upon. */
static bool is_unknown(const kad__stream *stream) {
  return stream->inbound && !stream->agreed;
}

static void die(kad__stream *stream, int error, uint8_t still_told) {
  kad__channel *c = stream->channel;
  if (stream->error != 0) {
    return;
  }
  stream->error = error;
  kad__heap_remove(&c->swarm->stream_timers, &stream->timer);
  kad__stream_drop_held(stream);
  stream->event.pending &= still_told;
  kad__swarm_tell(c->swarm, &stream->event, KAD__STREAM_DEAD);
}

/* What has arrived can still be read, so it is told before the end. */
void kad__stream_died(kad__stream *stream, int error) {
  bool readable = kad__yamux_stream_peek(stream->inner).len != 0 ||
                  kad__yamux_stream_ended(stream->inner);
  bool untold = (stream->event.pending & KAD__STREAM_INBOUND) != 0;
  if (is_unknown(stream) || (untold && !readable)) {
    kad__stream_destroy(stream);
    return;
  }
  uint8_t told_first =
      KAD__STREAM_INBOUND | KAD__STREAM_OPENED | KAD__STREAM_READABLE;
  die(stream, error, readable ? told_first : 0);
}

void kad__stream_expired(kad__stream *stream, kad_time now) {
  if (kad__time_min(stream->deadline, stream->agree_by) > now) {
    return;
  }
  kad__yamux_stream_reset(stream->inner,
                          stream->agreed ? 0 : KAD__RESET_NEGOTIATION);
  kad__channel_touch(stream->channel);
  if (is_unknown(stream)) {
    kad__stream_destroy(stream);
  } else {
    die(stream, KAD_E_TIMEOUT, 0);
  }
}

/* ---- for the protocols --------------------------------------------------- */

void kad__stream_get_info(const kad__stream *stream, kad__stream_info *out) {
  *out = (kad__stream_info){.id = stream->id,
                            .connection = stream->channel->id,
                            .peer = *kad__stream_peer(stream),
                            .protocol = stream->protocol,
                            .inbound = stream->inbound,
                            .agreed = stream->agreed,
                            .opened = stream->opened,
                            .bytes_in = stream->bytes_in,
                            .bytes_out = stream->bytes_out};
}

bool kad__stream_next(const kad__swarm *s, kad__id connection, uint64_t after,
                      kad__stream_info *out) {
  const kad__channel *c =
      kad__ids_find(&s->ids, connection, KAD__OBJECT_CHANNEL);
  if (c == NULL || c->state != KAD__CHANNEL_OPEN) {
    return false;
  }
  KAD__LIST_EACH(node, &c->streams) {
    const kad__stream *stream = KAD__CONTAINER(node, kad__stream, in_channel);
    if (stream->id > after) {
      kad__stream_get_info(stream, out);
      return true;
    }
  }
  return false;
}

void kad__stream_set_user(kad__stream *stream, void *user) {
  stream->user = user;
}

void *kad__stream_user(const kad__stream *stream) {
  return stream->user;
}

uint32_t kad__stream_tag(const kad__stream *stream) {
  return stream->tag;
}

const kad_peer_id *kad__stream_peer(const kad__stream *stream) {
  return kad__connection_peer(stream->channel->connection);
}

kad__id kad__stream_connection(const kad__stream *stream) {
  return stream->channel->id;
}

uint32_t kad__stream_reset_code(const kad__stream *stream) {
  return stream->error == KAD_E_STREAM_RESET
             ? kad__yamux_stream_reset_code(stream->inner)
             : 0;
}

kad_bytes kad__stream_protocol(const kad__stream *stream) {
  return stream->protocol;
}

kad_bytes kad__stream_peek(const kad__stream *stream) {
  return stream->agreed ? kad__yamux_stream_peek(stream->inner)
                        : (kad_bytes){0};
}

void kad__stream_consume(kad__stream *stream, size_t len) {
  kad__yamux_stream_consume(stream->inner, len);
  kad__stream_count(stream, len, 0);
  kad__channel_touch(stream->channel);
  kad__account_note(stream->channel, len);
}

bool kad__stream_ended(const kad__stream *stream) {
  return stream->agreed && kad__yamux_stream_ended(stream->inner);
}

static bool is_holding(const kad__stream *stream) {
  return !stream->agreed && stream->names.count > 1;
}

static int may_write(const kad__stream *stream, size_t len) {
  if (stream->error != 0) {
    return stream->error;
  }
  if (stream->close_held) {
    return KAD_E_STATE;
  }
  bool holding = is_holding(stream);
  if (holding && len > HELD_MAX - kad__buffer_len(&stream->held)) {
    return KAD_E_LIMIT;
  }
  size_t growth = holding ? kad__buffer_growth(&stream->held, len)
                          : kad__yamux_stream_growth(stream->inner, len);
  return growth == 0
             ? 0
             : kad__account_may_hold(stream->channel, stream->inbound, growth);
}

static int hold(kad__stream *stream, kad_bytes bytes) {
  uint8_t *tail = NULL;
  int result = reserve_held(stream, &tail, bytes.len);
  if (result == 0 && bytes.len != 0) {
    memcpy(tail, bytes.data, bytes.len);
    kad__buffer_commit(&stream->held, bytes.len);
  }
  return result;
}

int kad__stream_write(kad__stream *stream, kad_bytes bytes) {
  int result = may_write(stream, bytes.len);
  if (result < 0) {
    return result;
  }
  if (is_holding(stream)) {
    return hold(stream, bytes);
  }
  result = kad__yamux_stream_write(stream->inner, bytes);
  if (result == 0) {
    kad__stream_count(stream, 0, bytes.len);
  }
  kad__channel_touch(stream->channel);
  kad__account_note(stream->channel, bytes.len);
  return result;
}

int kad__stream_reserve(kad__stream *stream, uint8_t **out, size_t len) {
  int result = may_write(stream, len);
  if (result < 0) {
    return result;
  }
  return is_holding(stream)
             ? reserve_held(stream, out, len)
             : kad__yamux_stream_reserve(stream->inner, out, len);
}

void kad__stream_commit(kad__stream *stream, size_t len) {
  if (is_holding(stream)) {
    kad__buffer_commit(&stream->held, len);
    return;
  }
  kad__yamux_stream_commit(stream->inner, len);
  kad__stream_count(stream, 0, len);
  kad__channel_touch(stream->channel);
  kad__account_note(stream->channel, len);
}

size_t kad__stream_unsent(const kad__stream *stream) {
  return kad__buffer_len(&stream->held) +
         kad__yamux_stream_unsent(stream->inner);
}

void kad__stream_close_write(kad__stream *stream) {
  if (is_holding(stream)) {
    stream->close_held = true;
    return;
  }
  kad__yamux_stream_close_write(stream->inner);
  kad__channel_touch(stream->channel);
}

void kad__stream_charge(kad__stream *stream, size_t bytes) {
  kad__channel *c = stream->channel;
  if (bytes != stream->elsewhere) {
    c->held += bytes - stream->elsewhere;
    stream->elsewhere = bytes;
    kad__account_charge(c);
  }
}

int kad__stream_set_deadline(kad__stream *stream, kad_time at) {
  if (stream->error != 0) {
    return 0; /* what the deadline would bring has come */
  }
  kad_time before = stream->deadline;
  stream->deadline = at;
  int result = kad__stream_arm(stream);
  if (result < 0) {
    stream->deadline = before;
  }
  return result;
}

void kad__stream_release(kad__stream *stream) {
  kad__stream_destroy(stream);
}

void kad__stream_reset(kad__stream *stream, uint32_t code) {
  kad__yamux_stream_reset(stream->inner, code);
  kad__stream_destroy(stream);
}
