/* The life of a stream: from a dial or a peer's proposal to the owner's last
 * call. What is to be told of it stands in the node's queue of events once,
 * however much happens, and is put into words when the owner asks. */
#include "node/streams_internal.h"

#define OPEN_TIMEOUT (15 * KAD_SECOND)
/* Nobody tells when a stream that was given back is over. */
#define RETRY (50 * KAD_MILLISECOND)
#define NAME_MAX_LEN 255

static kad_stream *from_all(kad__list *link) {
  return KAD__CONTAINER(link, kad_stream, in_all);
}

static kad_stream *from_waiting(kad__list *link) {
  return KAD__CONTAINER(link, kad_stream, waiting);
}

void kad__streams_init(kad__streams *streams) {
  *streams = (kad__streams){0};
  kad__list_init(&streams->all);
  kad__list_init(&streams->dialling);
  kad__list_init(&streams->starved);
  kad__list_init(&streams->crowded);
  streams->retry_at = KAD_TIME_NEVER;
}

void kad__streams_fini(kad__node *node) {
  KAD__LIST_EACH(link, &node->streams.all) {
    kad_stream *s = from_all(link);
    if (s->inner != NULL) {
      kad__stream_reset(s->inner, KAD__STREAM_SHUTDOWN);
    }
    kad__node_stream_free(s);
  }
  kad__heap_fini(&node->streams.deadlines, &node->allocator);
}

/* ---- protocols ----------------------------------------------------------- */

static bool is_ours(const kad__node *node, kad_bytes protocol) {
  return kad__swarm_tag_of(node->swarm, protocol) == KAD__TAG_STREAMS;
}

/* Names that the node itself answers, now or as a server. */
static bool is_reserved(const kad__node *node, kad_bytes protocol) {
  uint32_t tag = kad__swarm_tag_of(node->swarm, protocol);
  return (tag != 0 && tag != KAD__TAG_STREAMS) ||
         kad__bytes_equal(protocol, node->protocol);
}

static bool is_name(kad_bytes protocol) {
  return protocol.len > 1 && protocol.len <= NAME_MAX_LEN &&
         protocol.data[0] == '/' &&
         memchr(protocol.data, '\n', protocol.len) == NULL;
}

int kad__node_handle(kad__node *node, kad_bytes protocol,
                     kad_protocol_match match, void *user, kad_time now) {
  if (!is_name(protocol) || is_reserved(node, protocol)) {
    return KAD_E_INVALID_ARGUMENT;
  }
  bool known = is_ours(node, protocol);
  if (!known && node->streams.handlers >= KAD__NODE_HANDLERS_MAX) {
    return KAD_E_LIMIT;
  }
  int error = kad__swarm_handle_match(node->swarm, protocol, KAD__TAG_STREAMS,
                                      match, user);
  if (error < 0) {
    return error;
  }
  node->streams.handlers += !known;
  kad__identify_push_all(node->identify, now);
  return 0;
}

void kad__node_unhandle(kad__node *node, kad_bytes protocol, kad_time now) {
  if (!is_ours(node, protocol)) {
    return;
  }
  kad__swarm_unhandle(node->swarm, protocol);
  node->streams.handlers--;
  kad__identify_push_all(node->identify, now);
}

/* ---- telling ------------------------------------------------------------- */

void kad__node_stream_tell(kad_stream *s, uint8_t what) {
  if (s->orphan) {
    return;
  }
  s->tell |= what;
  kad__node_events_push_stream(&s->node->events, &s->event);
}

void kad__node_stream_quiet(kad_stream *s, uint8_t what) {
  s->tell = (uint8_t)(s->tell & ~what);
  if (s->tell == 0) {
    kad__list_unlink(&s->event.link);
  }
}

bool kad__node_stream_event(kad_stream *s, kad_event *out) {
  static const kad_event_type types[] = {
      KAD_EVENT_STREAM_INBOUND,  KAD_EVENT_STREAM_OPENED,
      KAD_EVENT_STREAM_READABLE, KAD_EVENT_STREAM_WRITABLE,
      KAD_EVENT_STREAM_TIMEOUT,  KAD_EVENT_STREAM_ENDED};
  size_t bit = 0;
  while ((s->tell & 1u << bit) == 0) {
    bit++;
  }
  s->tell = (uint8_t)(s->tell & ~(1u << bit));
  *out = (kad_event){.type = types[bit],
                     .peer = s->peer,
                     .inbound = s->inbound,
                     .stream = s,
                     .connection = s->connection,
                     .stream_id = s->id,
                     .protocol = s->protocol};
  if (out->type == KAD_EVENT_STREAM_TIMEOUT) {
    out->count = s->late;
    s->late = 0;
  } else if (out->type == KAD_EVENT_STREAM_ENDED) {
    out->error = s->error;
    out->code = s->code;
  }
  return s->tell != 0;
}

/* ---- making and freeing -------------------------------------------------- */

static kad_stream *stream_new(kad__node *node, const kad_peer_id *peer,
                              kad_time now) {
  kad_stream *s = kad__calloc(&node->allocator, 1, sizeof(*s));
  if (s == NULL) {
    return NULL;
  }
  s->node = node;
  s->peer = *peer;
  s->since = now;
  s->open_by = KAD_TIME_NEVER;
  s->read_by = KAD_TIME_NEVER;
  s->write_by = KAD_TIME_NEVER;
  kad__node_event_init(&s->event, s);
  kad__list_init(&s->waiting);
  kad__heap_node_init(&s->timer);
  kad__list_append(&node->streams.all, &s->in_all);
  node->streams.count++;
  return s;
}

void kad__node_stream_free(kad_stream *s) {
  kad__node *node = s->node;
  kad__list_unlink(&s->event.link);
  kad__list_unlink(&s->in_all);
  kad__list_unlink(&s->waiting);
  kad__heap_remove(&node->streams.deadlines, &s->timer);
  kad__buffer_fini(&s->held, &node->allocator);
  kad__release(&node->allocator, s->names);
  kad__release(&node->allocator, s);
  node->streams.count--;
}

static int arm(kad_stream *s) {
  kad__heap *heap = &s->node->streams.deadlines;
  kad_time at =
      kad__time_min(s->open_by, kad__time_min(s->read_by, s->write_by));
  if (at == KAD_TIME_NEVER) {
    kad__heap_remove(heap, &s->timer);
    return 0;
  }
  return kad__heap_set(heap, &s->node->allocator, &s->timer, at);
}

void kad__node_stream_die(kad_stream *s, int error) {
  kad__list_unlink(&s->waiting);
  kad__heap_remove(&s->node->streams.deadlines, &s->timer);
  if (s->orphan) {
    if (s->inner != NULL) {
      kad__stream_release(s->inner);
    }
    kad__node_stream_free(s);
    return;
  }
  kad__buffer_fini(&s->held, &s->node->allocator);
  s->error = error;
  kad__node_stream_quiet(s, KAD__TELL_WRITABLE);
  kad__node_stream_tell(s, KAD__TELL_ENDED);
}

/* ---- opening ------------------------------------------------------------- */

static int check_names(const kad_stream_options *options) {
  if (options->protocol_count == 0 ||
      options->protocol_count > KAD_STREAM_PROTOCOLS_MAX) {
    return KAD_E_INVALID_ARGUMENT;
  }
  for (size_t i = 0; i < options->protocol_count; i++) {
    if (options->protocols[i] == NULL ||
        !is_name(kad__bytes_of(options->protocols[i]))) {
      return KAD_E_INVALID_ARGUMENT;
    }
  }
  return 0;
}

static int copy_names(kad_stream *s, const kad_stream_options *options) {
  size_t total = options->protocol_count * sizeof(s->names[0]);
  for (size_t i = 0; i < options->protocol_count; i++) {
    total += strlen(options->protocols[i]);
  }
  s->names = kad__alloc(&s->node->allocator, total);
  if (s->names == NULL) {
    return KAD_E_NO_MEMORY;
  }
  s->name_count = options->protocol_count;
  uint8_t *at = (uint8_t *)(s->names + s->name_count);
  for (size_t i = 0; i < s->name_count; i++) {
    kad_bytes name = kad__bytes_of(options->protocols[i]);
    memcpy(at, name.data, name.len);
    s->names[i] = kad__bytes(at, name.len);
    at += name.len;
  }
  s->protocol = s->names[0];
  return 0;
}

/* How others may name it, also once the inner stream is gone. */
static void keep_names_of_inner(kad_stream *s) {
  kad__stream_info info;
  kad__stream_get_info(s->inner, &info);
  s->connection = info.connection;
  s->id = info.id;
}

/* As it was before: what was written waits on, and nobody hears of the inner
 * stream any more. */
static void close_inner(kad_stream *s, kad__id wanted) {
  kad__stream_reset(s->inner, 0);
  s->inner = NULL;
  s->connection = wanted;
  s->id = 0;
}

static int open_inner(kad_stream *s, kad_time now) {
  kad__id wanted = s->connection;
  kad__swarm *swarm = s->node->swarm;
  kad__protocol_names names = {.names = s->names, .count = s->name_count};
  uint32_t tag = KAD__TAG_STREAMS | KAD__TAG_OURS;
  int error =
      s->connection != 0
          ? kad__stream_open_on(swarm, &s->inner, s->connection, names, tag, s,
                                now)
          : kad__stream_open(swarm, &s->inner, &s->peer, names, tag, s, now);
  if (error < 0) {
    return error;
  }
  keep_names_of_inner(s);
  error = kad__node_stream_flush(s);
  if (error < 0) {
    close_inner(s, wanted);
  }
  return error;
}

void kad__node_streams_wait(kad__node *node, kad_time now) {
  kad_time at = kad__time_add(now, RETRY);
  node->streams.retry_at = kad__time_min(node->streams.retry_at, at);
}

/* As many are open, or not acknowledged, as may be: it waits its turn. */
static int open_in_turn(kad_stream *s, kad_time now) {
  kad__streams *streams = &s->node->streams;
  int error = open_inner(s, now);
  if (error == KAD_E_LIMIT) {
    kad__list_append(&streams->crowded, &s->waiting);
    kad__node_streams_wait(s->node, now);
    return 0;
  }
  return error;
}

/* Opens those that wait for a vacancy, of `peer` or (NULL) of all. */
static void retry(kad__node *node, const kad_peer_id *peer, kad_time now) {
  kad_peer_id full = {.len = 0};
  KAD__LIST_EACH(link, &node->streams.crowded) {
    kad_stream *s = from_waiting(link);
    if (kad_peer_id_equal(&s->peer, &full) ||
        (peer != NULL && !kad_peer_id_equal(&s->peer, peer))) {
      continue;
    }
    kad__list_unlink(&s->waiting);
    int error = open_inner(s, now);
    if (error == KAD_E_LIMIT) {
      kad__list_append(next_link, &s->waiting); /* in its old place */
      full = s->peer;
    } else if (error < 0) {
      kad__node_stream_die(s, error);
    }
  }
}

static int open_or_dial(kad_stream *s, const kad_stream_options *options,
                        kad_time now) {
  kad__node *node = s->node;
  if (options->connection != 0 || options->no_dial ||
      kad__swarm_connected(node->swarm, &s->peer)) {
    return open_in_turn(s, now);
  }
  int result = kad__swarm_dial(node->swarm, &s->peer, (kad_bytes){0}, now);
  if (result < 0) {
    return result;
  }
  if (result == 1) {
    return open_in_turn(s, now);
  }
  kad__list_append(&node->streams.dialling, &s->waiting);
  return 0;
}

static bool is_of_peer(const kad__node *node, kad__id connection,
                       const kad_peer_id *peer) {
  kad__connection_info info;
  return kad__swarm_connection(node->swarm, connection, &info) &&
         kad_peer_id_equal(&info.peer, peer);
}

static int may_open(const kad__node *node, const kad_peer_id *peer,
                    const kad_stream_options *options) {
  int error = check_names(options);
  if (error < 0) {
    return error;
  }
  if (kad_peer_id_equal(peer, kad__node_id(node))) {
    return KAD_E_SELF;
  }
  if (options->connection != 0 &&
      !is_of_peer(node, options->connection, peer)) {
    return KAD_E_CLOSED;
  }
  return node->streams.count >= KAD_STREAMS_MAX ? KAD_E_LIMIT : 0;
}

int kad__node_stream_open(kad__node *node, kad_stream **out,
                          const kad_peer_id *peer,
                          const kad_stream_options *options, kad_time now) {
  int error = may_open(node, peer, options);
  if (error < 0) {
    return error;
  }
  kad_stream *s = stream_new(node, peer, now);
  if (s == NULL) {
    return KAD_E_NO_MEMORY;
  }
  s->user = options->user;
  s->connection = options->connection;
  s->open_by = kad__time_add(
      now, options->timeout == 0 ? OPEN_TIMEOUT : options->timeout);
  error = copy_names(s, options);
  if (error == 0) {
    error = arm(s);
  }
  if (error == 0) {
    error = open_or_dial(s, options, now);
  }
  if (error < 0) {
    kad__node_stream_free(s);
    return error;
  }
  *out = s;
  return 0;
}

static void connected(kad_stream *s, kad_time now) {
  kad__list_unlink(&s->waiting);
  int error = open_in_turn(s, now);
  if (error < 0) {
    kad__node_stream_die(s, error);
  }
}

void kad__streams_swarm_event(kad__node *node, const kad__swarm_event *event,
                              kad_time now) {
  if (event->type != KAD__SWARM_CONNECTED &&
      event->type != KAD__SWARM_DIAL_FAILED) {
    return;
  }
  KAD__LIST_EACH(link, &node->streams.dialling) {
    kad_stream *s = from_waiting(link);
    if (!kad_peer_id_equal(&s->peer, &event->peer)) {
      continue;
    }
    if (event->type == KAD__SWARM_CONNECTED) {
      connected(s, now);
    } else {
      kad__node_stream_die(s, event->error);
    }
  }
}

/* ---- events of the swarm ------------------------------------------------- */

static void adopt(kad__node *node, kad__stream *inner, kad_time now) {
  kad_stream *s = node->streams.count >= KAD_STREAMS_MAX
                      ? NULL
                      : stream_new(node, kad__stream_peer(inner), now);
  if (s == NULL) {
    kad__stream_reset(inner, KAD__STREAM_LIMIT);
    return;
  }
  s->inner = inner;
  keep_names_of_inner(s);
  s->protocol = kad__stream_protocol(inner);
  s->inbound = true;
  s->opened = true;
  kad__stream_set_user(inner, s);
  kad__node_stream_tell(s, KAD__TELL_INBOUND);
}

static void opened(kad_stream *s, kad_time now) {
  kad__node *node = s->node;
  kad_peer_id peer = s->peer;
  s->opened = true;
  s->open_by = KAD_TIME_NEVER;
  s->protocol = kad__stream_protocol(s->inner);
  (void)arm(s); /* no later than before: it needs no memory */
  if (s->orphan) {
    kad__stream_release(s->inner);
    kad__node_stream_free(s);
  } else {
    /* Behind CONNECTED, even if something older has not been told yet. */
    kad__list_unlink(&s->event.link);
    kad__node_stream_tell(s, KAD__TELL_OPENED);
    if (kad__stream_unsent(s->inner) == 0) {
      kad__node_stream_room(s); /* the swarm told nobody before */
    }
  }
  retry(node, &peer, now);
}

void kad__streams_event(kad__node *node, const kad__swarm_event *event,
                        kad_time now) {
  if (event->type == KAD__SWARM_STREAM_INBOUND) {
    adopt(node, event->stream, now);
    return;
  }
  kad_stream *s = kad__stream_user(event->stream);
  switch (event->type) {
    case KAD__SWARM_STREAM_OPENED:
      opened(s, now);
      return;
    case KAD__SWARM_STREAM_READABLE:
      if (s->read_closed) {
        kad__node_stream_drop(s);
      } else {
        kad__node_stream_tell(s, KAD__TELL_READABLE);
      }
      return;
    case KAD__SWARM_STREAM_WRITABLE:
      kad__node_stream_room(s);
      return;
    default:
      s->code = kad__stream_reset_code(s->inner);
      kad__node_stream_room(s);
      kad__node_stream_die(s, event->error);
      return;
  }
}

/* ---- time ---------------------------------------------------------------- */

static uint8_t sides_over(kad_stream *s, kad_time now) {
  uint8_t sides = 0;
  if (s->read_by <= now) {
    s->read_by = KAD_TIME_NEVER;
    sides |= KAD_STREAM_READ;
  }
  if (s->write_by <= now) {
    s->write_by = KAD_TIME_NEVER;
    sides |= KAD_STREAM_WRITE;
  }
  return sides;
}

static void expired(kad_stream *s, kad_time now) {
  if (s->open_by <= now) {
    if (s->inner != NULL) {
      kad__stream_reset(s->inner, KAD_STREAM_CODE_NEGOTIATION);
      s->inner = NULL;
    }
    kad__node_stream_die(s, KAD_E_TIMEOUT);
    return;
  }
  s->late |= sides_over(s, now);
  (void)arm(s);
  kad__node_stream_tell(s, KAD__TELL_TIMEOUT);
}

kad_time kad__streams_deadline(const kad__node *node) {
  return kad__time_min(kad__heap_deadline(&node->streams.deadlines),
                       node->streams.retry_at);
}

void kad__streams_tick(kad__node *node, kad_time now) {
  kad__heap_node *first;
  if (node->streams.retry_at <= now) {
    retry(node, NULL, now);
    kad__node_streams_room(node);
    node->streams.retry_at = kad__list_empty(&node->streams.crowded)
                                 ? KAD_TIME_NEVER
                                 : kad__time_add(now, RETRY);
  }
  while ((first = kad__heap_first(&node->streams.deadlines)) != NULL &&
         first->at <= now) {
    expired(KAD__CONTAINER(first, kad_stream, timer), now);
  }
}

int kad__node_stream_deadline(kad_stream *s, unsigned sides, kad_time at) {
  kad_time read_by = s->read_by;
  kad_time write_by = s->write_by;
  if (s->error != 0) {
    return 0;
  }
  if ((sides & KAD_STREAM_READ) != 0) {
    s->read_by = at;
  }
  if ((sides & KAD_STREAM_WRITE) != 0) {
    s->write_by = at;
  }
  s->late &= (uint8_t)~sides;
  if (s->late == 0) {
    kad__node_stream_quiet(s, KAD__TELL_TIMEOUT);
  }
  int error = arm(s);
  if (error < 0) {
    s->read_by = read_by;
    s->write_by = write_by;
  }
  return error;
}
