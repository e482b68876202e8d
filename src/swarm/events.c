/* Events and actions wait in two lists of sources that are embedded in what
 * they tell of. So telling never fails, a stream stands in the list once
 * however much happens to it, and what becomes void is simply unlinked. */
#include "swarm/swarm_internal.h"

void kad__source_init(kad__source *source, kad__source_kind kind) {
  *source = (kad__source){.kind = (uint8_t)kind};
  kad__list_init(&source->link);
}

static void queue(kad__list *list, kad__source *source, uint8_t bits) {
  source->pending |= bits;
  if (!kad__list_linked(&source->link)) {
    kad__list_append(list, &source->link);
  }
}

void kad__swarm_tell(kad__swarm *s, kad__source *source, uint8_t bits) {
  queue(&s->events, source, bits);
}

void kad__swarm_ask(kad__swarm *s, kad__source *source, uint8_t bits) {
  queue(&s->actions, source, bits);
}

void kad__source_cancel(kad__source *source) {
  source->pending = 0;
  kad__list_unlink(&source->link);
}

/* The lowest pending bit, taken; the source leaves the list with its last. */
static uint8_t take_bit(kad__source *source) {
  uint8_t bit = (uint8_t)(source->pending & -source->pending);
  source->pending = (uint8_t)(source->pending & ~bit);
  if (source->pending == 0) {
    kad__list_unlink(&source->link);
  }
  return bit;
}

static void lend(kad__source **lent, kad__source *source) {
  source->lent = true;
  *lent = source;
}

/* What the last poll gave out is no longer looked at. */
static void take_back(kad__source **lent) {
  kad__source *source = *lent;
  if (source == NULL) {
    return;
  }
  *lent = NULL;
  source->lent = false;
  switch ((kad__source_kind)source->kind) {
    case KAD__SOURCE_ENDED:
      kad__channel_reap(KAD__CONTAINER(source, kad__channel, ended));
      break;
    case KAD__SOURCE_CHANNEL_ACTION:
      kad__channel_reap(KAD__CONTAINER(source, kad__channel, action));
      break;
    case KAD__SOURCE_LISTENER:
      kad__listener_reap(KAD__CONTAINER(source, kad__listener, event));
      break;
    case KAD__SOURCE_LISTENER_ACTION:
      kad__listener_reap(KAD__CONTAINER(source, kad__listener, action));
      break;
    case KAD__SOURCE_RESOLUTION_ACTION:
      kad__resolution_reap(KAD__CONTAINER(source, kad__resolution, action));
      break;
    case KAD__SOURCE_DIAL:
      kad__dial_free(KAD__CONTAINER(source, kad__dial, event));
      break;
    case KAD__SOURCE_STREAM:
    case KAD__SOURCE_CONNECTED:
      break;
  }
}

void kad__swarm_take_back(kad__swarm *s) {
  take_back(&s->lent_event);
  take_back(&s->lent_action);
}

/* ---- events ------------------------------------------------------------- */

static void tell_stream(kad__source *source, kad__swarm_event *out) {
  kad__stream *stream = KAD__CONTAINER(source, kad__stream, event);
  switch (take_bit(source)) {
    case KAD__STREAM_INBOUND:
      out->type = KAD__SWARM_STREAM_INBOUND;
      stream->told = true;
      break;
    case KAD__STREAM_OPENED:
      out->type = KAD__SWARM_STREAM_OPENED;
      stream->told = true;
      break;
    case KAD__STREAM_READABLE:
      out->type = KAD__SWARM_STREAM_READABLE;
      break;
    case KAD__STREAM_WRITABLE:
      out->type = KAD__SWARM_STREAM_WRITABLE;
      break;
    default:
      out->type = KAD__SWARM_STREAM_DEAD;
      out->error = stream->error;
      break;
  }
  out->stream = stream;
  out->tag = stream->tag;
  out->inbound = stream->inbound;
  out->connection = stream->channel->id;
}

static void tell_connected(kad__source *source, kad__swarm_event *out) {
  const kad__channel *c = KAD__CONTAINER(source, kad__channel, connected);
  kad__list_unlink(&source->link);
  out->type = KAD__SWARM_CONNECTED;
  out->connection = c->id;
  out->peer = *kad__connection_peer(c->connection);
  out->dial = c->told_dial;
  out->inbound = c->inbound;
  out->first = c->first;
}

static void tell_ended(kad__swarm *s, kad__source *source,
                       kad__swarm_event *out) {
  const kad__channel *c = KAD__CONTAINER(source, kad__channel, ended);
  kad__list_unlink(&source->link);
  out->error = c->error;
  out->inbound = c->inbound;
  out->connection = c->id;
  out->address = c->remote;
  out->type = KAD__SWARM_INBOUND_FAILED;
  if (c->was_open) {
    out->type = KAD__SWARM_DISCONNECTED;
    out->peer = *kad__connection_peer(c->connection);
    out->last = c->last;
    out->code =
        kad__yamux_stats_get(kad__connection_yamux(c->connection))->go_away;
  }
  lend(&s->lent_event, source);
}

static void tell_dial(kad__swarm *s, kad__source *source,
                      kad__swarm_event *out) {
  kad__dial *d = KAD__CONTAINER(source, kad__dial, event);
  out->type = KAD__SWARM_DIAL_FAILED;
  out->dial = d->id;
  out->peer = d->name;
  out->error = d->error;
  out->failed = d;
  (void)take_bit(source);
  lend(&s->lent_event, source);
}

static void tell_listener(kad__swarm *s, kad__source *source,
                          kad__swarm_event *out) {
  kad__listener *l = KAD__CONTAINER(source, kad__listener, event);
  if (!kad__listener_next(l, out)) {
    kad__list_unlink(&source->link);
  }
  lend(&s->lent_event, source);
}

bool kad__swarm_poll_event(kad__swarm *s, kad__swarm_event *out) {
  take_back(&s->lent_event);
  if (kad__list_empty(&s->events)) {
    return false;
  }
  kad__source *source = KAD__CONTAINER(s->events.next, kad__source, link);
  *out = (kad__swarm_event){0};
  switch ((kad__source_kind)source->kind) {
    case KAD__SOURCE_STREAM:
      tell_stream(source, out);
      break;
    case KAD__SOURCE_CONNECTED:
      tell_connected(source, out);
      break;
    case KAD__SOURCE_ENDED:
      tell_ended(s, source, out);
      break;
    case KAD__SOURCE_DIAL:
      tell_dial(s, source, out);
      break;
    default:
      tell_listener(s, source, out);
      break;
  }
  return true;
}

/* ---- actions ------------------------------------------------------------ */

static void ask_channel(kad__source *source, kad__world_action *out) {
  const kad__channel *c = KAD__CONTAINER(source, kad__channel, action);
  out->id = c->id;
  out->transport = c->transport;
  switch (take_bit(source)) {
    case KAD__CHANNEL_DIAL:
      out->type = KAD__WORLD_DIAL;
      out->address = c->remote;
      break;
    case KAD__CHANNEL_PAUSE:
      out->type = KAD__WORLD_PAUSE;
      break;
    case KAD__CHANNEL_RESUME:
      out->type = KAD__WORLD_RESUME;
      break;
    default:
      out->type = KAD__WORLD_CLOSE;
      break;
  }
}

static void ask_listener(kad__source *source, kad__world_action *out) {
  const kad__listener *l = KAD__CONTAINER(source, kad__listener, action);
  kad__list_unlink(&source->link);
  out->type = l->ended ? KAD__WORLD_UNLISTEN : KAD__WORLD_LISTEN;
  out->id = l->id;
  out->transport = l->transport;
  out->address = l->address;
}

static void ask_resolution(kad__source *source, kad__world_action *out) {
  const kad__resolution *r = KAD__CONTAINER(source, kad__resolution, action);
  kad__list_unlink(&source->link);
  out->type = KAD__WORLD_RESOLVE;
  out->id = r->id;
  out->query = r->query;
  out->name = kad__bytes(r->bytes + r->address_len, r->name_len);
}

bool kad__swarm_poll_action(kad__swarm *s, kad__world_action *out) {
  take_back(&s->lent_action);
  if (kad__list_empty(&s->actions)) {
    return false;
  }
  kad__source *source = KAD__CONTAINER(s->actions.next, kad__source, link);
  *out = (kad__world_action){0};
  switch ((kad__source_kind)source->kind) {
    case KAD__SOURCE_CHANNEL_ACTION:
      ask_channel(source, out);
      break;
    case KAD__SOURCE_LISTENER_ACTION:
      ask_listener(source, out);
      break;
    default:
      ask_resolution(source, out);
      break;
  }
  lend(&s->lent_action, source);
  return true;
}
