/* A call owns its encoded request from the beginning, so it can wait for a dial
 * or a stream, and be made a second time when the connection turns out to be
 * dying: peers close idle connections after seconds, and a request that
 * crosses such a close is not the peer's failure.
 *
 * One heap holds the deadlines of all calls, wherever they are. */
#include "base/alloc.h"
#include "base/bytes.h"
#include "multiformats/varint.h"
#include "protocols/kad_internal.h"

/* A reply to PUT_VALUE may repeat the record and some more. */
#define PUT_REPLY_EXTRA 1024

/* A peer to whom calls are under way. */
typedef struct callee {
  kad__map_node node;
  kad_peer_id id;
  kad__list waiting; /* in order, for a dial or a free stream */
  kad__list running;
  uint32_t waiting_count;
  uint32_t running_count;
} callee;

typedef struct call {
  kad__map_node node;
  kad__heap_node deadline;
  kad__list link;
  kad__call_id id;
  callee *to;
  kad__stream *stream; /* NULL while it waits */
  kad__frame_reader reader;
  kad__message_type type;
  bool expects_reply;
  bool opened;
  bool retried;
  size_t len;
  uint8_t bytes[]; /* the request, length first */
} call;

/* ---- peers ------------------------------------------------------------- */

static callee *find_callee(kad__kad *kad, const kad_peer_id *id) {
  kad__map_node *node = kad__map_find(&kad->callees, kad_peer_id_bytes(id));
  return node == NULL ? NULL : KAD__CONTAINER(node, callee, node);
}

static callee *add_callee(kad__kad *kad, const kad_peer_id *id) {
  callee *to = kad__calloc(&kad->allocator, 1, sizeof(*to));
  if (to == NULL) {
    return NULL;
  }
  to->id = *id;
  kad__list_init(&to->waiting);
  kad__list_init(&to->running);
  int error = kad__map_add(&kad->callees, &kad->allocator, &to->node,
                           kad_peer_id_bytes(&to->id));
  if (error < 0) {
    kad__release(&kad->allocator, to);
    return NULL;
  }
  return to;
}

static void tidy_callee(kad__kad *kad, callee *to) {
  if (to->waiting_count + to->running_count == 0) {
    kad__map_remove(&kad->callees, &to->node);
    kad__release(&kad->allocator, to);
  }
}

/* ---- calls ------------------------------------------------------------- */

static call *find_call(kad__kad *kad, kad__call_id id) {
  kad__map_node *node = kad__map_find(&kad->calls, kad__bytes(&id, sizeof(id)));
  return node == NULL ? NULL : KAD__CONTAINER(node, call, node);
}

static int register_call(kad__kad *kad, call *c, kad_time deadline) {
  int error =
      kad__heap_set(&kad->deadlines, &kad->allocator, &c->deadline, deadline);
  if (error < 0) {
    return error;
  }
  error = kad__map_add(&kad->calls, &kad->allocator, &c->node,
                       kad__bytes(&c->id, sizeof(c->id)));
  if (error < 0) {
    kad__heap_remove(&kad->deadlines, &c->deadline);
  }
  return error;
}

static int new_call(kad__kad *kad, call **out, const kad__dht_call *from) {
  size_t len = kad__message_len(from->message);
  len += kad__varint_len(len);
  call *c = kad__alloc(&kad->allocator, sizeof(*c) + len);
  if (c == NULL) {
    return KAD_E_NO_MEMORY;
  }
  *c = (call){.id = from->id,
              .type = from->message->type,
              .expects_reply = from->expects_reply,
              .len = len};
  kad__heap_node_init(&c->deadline);
  kad__list_init(&c->link);
  int error = kad__message_encode(c->bytes, len, from->message);
  if (error >= 0) {
    error = register_call(kad, c, from->deadline);
  }
  if (error < 0) {
    kad__release(&kad->allocator, c);
    return error;
  }
  *out = c;
  return 0;
}

static void await(call *c, bool first) {
  c->to->waiting_count++;
  kad__list_append(first ? c->to->waiting.next : &c->to->waiting, &c->link);
}

static void leave(call *c) {
  kad__list_unlink(&c->link);
  if (c->stream == NULL) {
    c->to->waiting_count--;
  } else {
    c->to->running_count--;
  }
}

/* Frees a call whose stream is ended or was never there. */
static void drop_call(kad__kad *kad, call *c) {
  leave(c);
  kad__heap_remove(&kad->deadlines, &c->deadline);
  kad__map_remove(&kad->calls, &c->node);
  kad__frame_reader_fini(&c->reader, &kad->allocator);
  kad__release(&kad->allocator, c);
}

static void fail_call(kad__kad *kad, call *c, int error, kad_time now) {
  kad->counters.failures++;
  kad__call_id id = c->id;
  drop_call(kad, c);
  kad__dht_failed(kad->dht, id, error, now);
}

static void fail_waiting(kad__kad *kad, callee *to, int error, kad_time now) {
  while (!kad__list_empty(&to->waiting)) {
    fail_call(kad, KAD__CONTAINER(to->waiting.next, call, link), error, now);
  }
}

/* ---- sending ----------------------------------------------------------- */

/* Our addresses depend on how the peer is connected, so they enter an
 * ADD_PROVIDER only now. */
static int write_provider(kad__kad *kad, const call *c, kad__stream *stream) {
  kad_bytes bytes;
  int error = kad__frame_split(&bytes, kad__bytes(c->bytes, c->len), c->len);
  if (error < 0) {
    return error;
  }
  kad__message *m = &kad->request;
  error = kad__message_decode(m, bytes);
  if (error < 0) {
    return error;
  }
  kad__kad_fill_own(kad, m->providers, m->provider_count,
                    kad__stream_connection(stream));
  return kad__kad_write(stream, m, kad__message_len(m));
}

static int send_call(kad__kad *kad, call *c, kad_time now) {
  kad__protocol_names names = {.names = &kad->config.protocol, .count = 1};
  kad__stream *stream = NULL;
  int error = kad__stream_open(kad->swarm, &stream, &c->to->id, names,
                               KAD__TAG_KAD | KAD__TAG_OURS, c, now);
  if (error < 0) {
    return error;
  }
  error = c->type == KAD__ADD_PROVIDER
              ? write_provider(kad, c, stream)
              : kad__stream_write(stream, kad__bytes(c->bytes, c->len));
  if (error < 0) {
    kad__stream_reset(stream, 0);
    return error;
  }
  kad__stream_close_write(stream);
  leave(c);
  c->stream = stream;
  c->to->running_count++;
  kad__list_append(&c->to->running, &c->link);
  return 0;
}

/* Not now, but when a stream or the connection has changed. */
static bool may_wait(const callee *to, int error) {
  return error == KAD_E_CLOSED ||
         (error == KAD_E_LIMIT && to->running_count != 0);
}

/* Makes as many of the waiting calls as streams allow. */
static void send_waiting(kad__kad *kad, callee *to, kad_time now) {
  while (to->running_count < kad->config.max_outbound &&
         !kad__list_empty(&to->waiting)) {
    call *c = KAD__CONTAINER(to->waiting.next, call, link);
    int error = send_call(kad, c, now);
    if (may_wait(to, error)) {
      return;
    }
    if (error < 0) {
      fail_call(kad, c, error, now);
    }
  }
}

/* Gets the waiting calls of a peer under way: over its connection, or with a
 * dial. An error has ended them all. */
static void pursue(kad__kad *kad, callee *to, kad_bytes addresses,
                   kad_time now) {
  if (to->waiting_count != 0) {
    int result = 1;
    if (!kad__swarm_connected(kad->swarm, &to->id)) {
      result = kad__swarm_dial(kad->swarm, &to->id, addresses, now);
    }
    if (result > 0) {
      send_waiting(kad, to, now);
    } else if (result < 0) {
      fail_waiting(kad, to, result, now);
    }
  }
  tidy_callee(kad, to);
}

static const kad_bytes no_addresses = {NULL, 0};

/* After a call has ended: its stream is free for another. */
static void next_call(kad__kad *kad, callee *to, kad_time now) {
  pursue(kad, to, no_addresses, now);
}

static int begin(kad__kad *kad, const kad__dht_call *from, kad_time now) {
  kad_peer_id id;
  int error = kad_peer_id_decode(&id, from->peer);
  if (error < 0) {
    return error;
  }
  callee *to = find_callee(kad, &id);
  if (to != NULL && to->waiting_count >= kad->config.max_waiting) {
    return KAD_E_LIMIT;
  }
  call *c = NULL;
  error = new_call(kad, &c, from);
  if (error < 0) {
    return error;
  }
  c->to = to == NULL ? add_callee(kad, &id) : to;
  if (c->to == NULL) {
    kad__heap_remove(&kad->deadlines, &c->deadline);
    kad__map_remove(&kad->calls, &c->node);
    kad__release(&kad->allocator, c);
    return KAD_E_NO_MEMORY;
  }
  await(c, false);
  pursue(kad, c->to, from->addresses, now);
  return 0;
}

static void cancel(kad__kad *kad, kad__call_id id, kad_time now) {
  call *c = find_call(kad, id);
  if (c == NULL) {
    return;
  }
  callee *to = c->to;
  if (c->stream != NULL) {
    kad__stream_reset(c->stream, 0);
  }
  drop_call(kad, c);
  next_call(kad, to, now);
}

void kad__kad_drive(kad__kad *kad, kad_time now) {
  kad__call_id id;
  while ((id = kad__dht_poll_cancel(kad->dht)) != 0) {
    cancel(kad, id, now);
  }
  kad__dht_call from;
  while (kad__dht_poll_call(kad->dht, &from)) {
    kad->counters.calls++;
    id = from.id;
    int error = begin(kad, &from, now);
    if (error < 0) {
      kad->counters.failures++;
      kad__dht_failed(kad->dht, id, error, now);
    }
  }
}

/* ---- replies ----------------------------------------------------------- */

static size_t reply_max(const kad__kad *kad, const call *c) {
  const kad__kad_config *config = &kad->config;
  size_t put = c->len + PUT_REPLY_EXTRA;
  switch (c->type) {
    case KAD__GET_VALUE:
    case KAD__GET_PROVIDERS:
      return config->max_reply;
    case KAD__PUT_VALUE:
      return put > config->max_request ? put : config->max_request;
    default:
      return config->max_request;
  }
}

/* The peer has said what it had to say, or cannot: the call is over. */
static void end_call(kad__kad *kad, call *c, int error, kad_time now) {
  callee *to = c->to;
  if (error == 0 || error == KAD_E_CLOSED) {
    kad__stream_release(c->stream);
  } else {
    kad__stream_reset(c->stream, KAD__STREAM_PROTOCOL_VIOLATION);
  }
  if (error == 0) {
    drop_call(kad, c);
  } else {
    fail_call(kad, c, error, now);
  }
  next_call(kad, to, now);
}

static int take_reply(kad__kad *kad, const call *c, kad_bytes bytes,
                      kad_time now) {
  int error = kad__message_decode(&kad->reply, bytes);
  if (error < 0) {
    kad->counters.malformed++;
    return error;
  }
  kad->counters.replies++;
  (void)kad__dht_replied(kad->dht, c->id, &kad->reply, now);
  return 0;
}

static void read_reply(kad__kad *kad, call *c, kad_time now) {
  kad_bytes bytes;
  int result = kad__frame_read(&c->reader, &bytes, &kad->allocator, c->stream,
                               reply_max(kad, c));
  if (result == 0) {
    return;
  }
  kad->counters.too_large += result == KAD_E_MESSAGE_TOO_LARGE;
  kad->counters.malformed +=
      result == KAD_E_VARINT || result == KAD_E_TRUNCATED;
  if (result > 0) {
    result = take_reply(kad, c, bytes, now);
  }
  end_call(kad, c, result, now);
}

static void check_sent(kad__kad *kad, call *c, kad_time now) {
  if (c->expects_reply || !c->opened || kad__stream_unsent(c->stream) != 0) {
    return;
  }
  kad__dht_sent(kad->dht, c->id, now);
  end_call(kad, c, 0, now);
}

/* The connection went away under the call, not the call wrong. */
static bool is_connection_error(int error) {
  return error == KAD_E_CLOSED || error == KAD_E_GO_AWAY || error == KAD_E_IO;
}

/* The call waits, ahead of the others, for kad__kad_peer_lost. */
static void retry(kad__kad *kad, call *c) {
  kad->counters.retries++;
  leave(c);
  c->stream = NULL;
  c->opened = false;
  c->retried = true;
  kad__frame_reader_fini(&c->reader, &kad->allocator);
  await(c, true);
}

static void call_died(kad__kad *kad, call *c, int error, kad_time now) {
  callee *to = c->to;
  kad__stream_release(c->stream);
  if (is_connection_error(error) && !c->retried) {
    retry(kad, c);
    return;
  }
  if (error == KAD_E_NO_PROTOCOL) {
    kad__dht_peer_unsupported(kad->dht, kad_peer_id_bytes(&to->id), now);
  }
  fail_call(kad, c, error < 0 ? error : KAD_E_CLOSED, now);
  next_call(kad, to, now);
}

void kad__kad_handle_call(kad__kad *kad, const kad__swarm_event *event,
                          kad_time now) {
  call *c = kad__stream_user(event->stream);
  switch (event->type) {
    case KAD__SWARM_STREAM_OPENED:
      c->opened = true;
      check_sent(kad, c, now);
      break;
    case KAD__SWARM_STREAM_READABLE:
      if (c->expects_reply) {
        read_reply(kad, c, now);
      } else {
        check_sent(kad, c, now);
      }
      break;
    case KAD__SWARM_STREAM_WRITABLE:
      check_sent(kad, c, now);
      break;
    case KAD__SWARM_STREAM_DEAD:
      call_died(kad, c, event->error, now);
      break;
    default:
      break;
  }
}

/* ---- connections and time ---------------------------------------------- */

void kad__kad_peer_connected(kad__kad *kad, const kad_peer_id *peer,
                             kad_time now) {
  callee *to = find_callee(kad, peer);
  if (to != NULL) {
    next_call(kad, to, now);
  }
}

void kad__kad_peer_lost(kad__kad *kad, const kad_peer_id *peer, kad_time now) {
  callee *to = find_callee(kad, peer);
  if (to != NULL) {
    next_call(kad, to, now);
  }
}

bool kad__kad_dial_failed(kad__kad *kad, const kad_peer_id *peer, int error,
                          kad_time now) {
  callee *to = find_callee(kad, peer);
  if (to == NULL) {
    return false;
  }
  fail_waiting(kad, to, error < 0 ? error : KAD_E_DIAL, now);
  tidy_callee(kad, to);
  return true;
}

kad_time kad__kad_deadline(const kad__kad *kad) {
  return kad__heap_deadline(&kad->deadlines);
}

void kad__kad_tick(kad__kad *kad, kad_time now) {
  kad__heap_node *node;
  while ((node = kad__heap_take_due(&kad->deadlines, now)) != NULL) {
    call *c = KAD__CONTAINER(node, call, deadline);
    callee *to = c->to;
    if (c->stream != NULL) {
      kad__stream_reset(c->stream, 0);
    }
    fail_call(kad, c, KAD_E_TIMEOUT, now);
    next_call(kad, to, now);
  }
}

/* ---- the end ----------------------------------------------------------- */

static void free_callee(kad__kad *kad, callee *to) {
  KAD__LIST_EACH(link, &to->running) {
    call *c = KAD__CONTAINER(link, call, link);
    kad__stream_reset(c->stream, KAD__STREAM_SHUTDOWN);
    drop_call(kad, c);
  }
  KAD__LIST_EACH(other, &to->waiting) {
    drop_call(kad, KAD__CONTAINER(other, call, link));
  }
  kad__release(&kad->allocator, to);
}

void kad__kad_free_calls(kad__kad *kad) {
  uint32_t slot = 0;
  kad__map_node *node = kad__map_next(&kad->callees, &slot, NULL);
  while (node != NULL) {
    kad__map_node *next = kad__map_next(&kad->callees, &slot, node);
    free_callee(kad, KAD__CONTAINER(node, callee, node));
    node = next;
  }
  kad__map_fini(&kad->callees, &kad->allocator);
  kad__map_fini(&kad->calls, &kad->allocator);
}
