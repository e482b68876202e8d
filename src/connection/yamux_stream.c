/* The owner's side of a stream, and what a stream has to send.
 *
 * `kad__yamux_schedule` decides from the stream's state alone in which queue
 * of output it belongs; every change of that state ends with a call of it.
 * Resets are flags of the stream rather than queued frames, so that giving a
 * stream up needs no memory and cannot fail. */
#include "connection/yamux_internal.h"

#define UNSENT_MAX (((size_t)4 << 20) + ((size_t)64 << 10))
#define SESSION_UNSENT_MAX ((size_t)16 << 20)
#define ALL_EVENTS 0xffu

/* ---- buffers ----------------------------------------------------------- */

static bool takes_spare(const kad__yamux *y, const kad__buffer *b, size_t len) {
  return b->data == NULL && len >= KAD__YAMUX_SPARE_USE && len <= y->spare.cap;
}

size_t kad__yamux_buffer_growth(const kad__yamux *y, const kad__buffer *b,
                                size_t len) {
  return takes_spare(y, b, len) ? 0 : kad__buffer_growth(b, len);
}

int kad__yamux_buffer_reserve(kad__yamux *y, kad__buffer *b, uint8_t **tail,
                              size_t len) {
  if (takes_spare(y, b, len)) {
    *b = y->spare;
    y->spare = (kad__buffer){0};
  }
  size_t before = b->cap;
  int result = kad__buffer_reserve(b, &y->allocator, tail, len);
  y->buffers += b->cap - before;
  return result;
}

static bool is_good_spare(const kad__yamux *y, const kad__buffer *b) {
  return b->cap >= KAD__YAMUX_SPARE_MIN && b->cap <= KAD__YAMUX_SPARE_MAX &&
         b->cap > y->spare.cap;
}

void kad__yamux_drop_spare(kad__yamux *y) {
  kad__yamux_buffer_fini(y, &y->spare);
}

void kad__yamux_buffer_consume(kad__yamux *y, kad__buffer *b, size_t len) {
  if (len == kad__buffer_len(b) && is_good_spare(y, b)) {
    kad__yamux_drop_spare(y);
    y->spare = (kad__buffer){.data = b->data, .cap = b->cap};
    *b = (kad__buffer){0};
    return;
  }
  size_t before = b->cap;
  kad__buffer_consume(b, &y->allocator, len);
  y->buffers -= before - b->cap;
}

void kad__yamux_buffer_fini(kad__yamux *y, kad__buffer *b) {
  y->buffers -= b->cap;
  kad__buffer_fini(b, &y->allocator);
}

/* ---- what is to be sent ------------------------------------------------ */

bool kad__yamux_update_due(const kad__yamux_stream *s) {
  return s->consumed != 0 && s->consumed >= s->window / 2 && !s->fin_received &&
         !s->released && s->error == 0;
}

static kad__yamux_queue queue_for(const kad__yamux_stream *s) {
  if (s->reset_due) {
    return KAD__YAMUX_QUEUE_URGENT;
  }
  if (s->error != 0 || s->session->error != 0) {
    return KAD__YAMUX_QUEUE_NONE;
  }
  if (kad__yamux_update_due(s)) {
    return KAD__YAMUX_QUEUE_URGENT;
  }
  if (s->sendable != 0) {
    return KAD__YAMUX_QUEUE_READY;
  }
  return s->syn_due || s->ack_due || kad__yamux_fin_due(s)
             ? KAD__YAMUX_QUEUE_URGENT
             : KAD__YAMUX_QUEUE_NONE;
}

static void count_sendable(kad__yamux_stream *s) {
  size_t unsent = kad__buffer_len(&s->out);
  uint32_t sendable =
      unsent < s->send_window ? (uint32_t)unsent : s->send_window;
  s->session->sendable -= s->sendable;
  s->session->sendable += sendable;
  s->sendable = sendable;
}

void kad__yamux_schedule(kad__yamux_stream *s) {
  kad__yamux *y = s->session;
  count_sendable(s);
  kad__yamux_queue queue = queue_for(s);
  if (queue == s->queue) {
    return;
  }
  kad__list_unlink(&s->sending);
  s->queue = (uint8_t)queue;
  if (queue == KAD__YAMUX_QUEUE_URGENT) {
    kad__list_append(&y->urgent, &s->sending);
  } else if (queue == KAD__YAMUX_QUEUE_READY) {
    kad__list_append(&y->ready, &s->sending);
  }
}

/* ---- the end of a stream ----------------------------------------------- */

void kad__yamux_ungrant(kad__yamux_stream *s) {
  s->session->granted -= s->window;
  s->window = 0;
}

void kad__yamux_acknowledged(kad__yamux_stream *s) {
  if (s->unacked) {
    s->unacked = false;
    s->session->unacked--;
  }
}

void kad__yamux_drop_input(kad__yamux_stream *s) {
  s->session->unread -= kad__buffer_len(&s->in);
  kad__yamux_buffer_fini(s->session, &s->in);
}

static void drop_output(kad__yamux_stream *s) {
  s->session->queued -= kad__buffer_len(&s->out);
  kad__yamux_buffer_fini(s->session, &s->out);
}

void kad__yamux_flushed(kad__yamux_stream *s) {
  if (s->flushing) {
    s->flushing = false;
    s->session->flushing--;
  }
}

/* The owner is told no more, and holds the stream no more. */
static void disown(kad__yamux_stream *s) {
  kad__yamux_lower(s, ALL_EVENTS);
  s->user = NULL;
  s->released = true;
  s->session->held--;
}

void kad__yamux_kill(kad__yamux_stream *s, int error, bool keep_input) {
  if (s->error == 0) {
    s->error = error;
  }
  kad__yamux_acknowledged(s);
  kad__yamux_ungrant(s);
  kad__yamux_flushed(s);
  drop_output(s);
  kad__yamux_lower(s, keep_input ? 1u << KAD__YAMUX_WRITABLE : ALL_EVENTS);
  if (!keep_input) {
    /* An end behind what is lost is none. */
    s->fin_received = s->fin_received && kad__buffer_len(&s->in) == 0;
    kad__yamux_drop_input(s);
  }
  s->syn_due = false;
  s->ack_due = false;
  s->reset_due = false;
  kad__yamux_schedule(s);
}

void kad__yamux_abort(kad__yamux_stream *s, int error, uint32_t code) {
  if (s->error != 0) {
    return;
  }
  bool peer_knows = !s->syn_due && !kad__yamux_finished(s);
  if (peer_knows) {
    kad__yamux_credit_drain(s->session, s->receive_window);
  }
  kad__yamux_kill(s, error, false);
  if (peer_knows) {
    s->reset_due = true;
    s->reset_code = code;
    kad__yamux_schedule(s);
  }
  if (s->announced) {
    kad__yamux_raise(s, KAD__YAMUX_RESET);
  } else {
    disown(s);
  }
}

/* ---- the owner's calls ------------------------------------------------- */

static int may_open(kad__yamux *y) {
  if (y->error != 0 || y->closing) {
    return KAD_E_CLOSED;
  }
  if (y->unacked >= y->config.max_unacked || y->next_id > UINT32_MAX) {
    return KAD_E_LIMIT;
  }
  if (y->outbound >= y->config.max_outbound_streams &&
      !kad__yamux_evict(y, false)) {
    return KAD_E_LIMIT;
  }
  return 0;
}

int kad__yamux_stream_open(kad__yamux *y, kad__yamux_stream **out) {
  int result = may_open(y);
  if (result < 0) {
    return result;
  }
  kad__yamux_stream *s = kad__yamux_add(y, (uint32_t)y->next_id, false);
  if (s == NULL) {
    return KAD_E_NO_MEMORY;
  }
  y->next_id += 2;
  y->unacked++;
  y->stats.streams_out++;
  s->announced = true;
  s->unacked = true;
  s->syn_due = true;
  kad__yamux_schedule(s);
  *out = s;
  return 0;
}

void kad__yamux_stream_set_user(kad__yamux_stream *s, void *user) {
  s->user = user;
}

void *kad__yamux_stream_user(const kad__yamux_stream *s) {
  return s->user;
}

kad_bytes kad__yamux_stream_peek(const kad__yamux_stream *s) {
  return kad__buffer_bytes(&s->in);
}

void kad__yamux_stream_consume(kad__yamux_stream *s, size_t len) {
  kad__yamux *y = s->session;
  kad__yamux_buffer_consume(y, &s->in, len);
  y->unread -= len;
  s->consumed += (uint32_t)len;
  if (kad__yamux_update_due(s)) {
    kad__yamux_schedule(s);
  }
}

bool kad__yamux_stream_ended(const kad__yamux_stream *s) {
  return s->fin_received;
}

static int may_write(const kad__yamux_stream *s, size_t len) {
  if (s->error != 0) {
    return s->error;
  }
  if (s->write_closed) {
    return KAD_E_STATE;
  }
  if (s->session->error != 0) {
    return s->session->error;
  }
  size_t unsent = kad__buffer_len(&s->out);
  if (len > UNSENT_MAX - unsent ||
      len > SESSION_UNSENT_MAX - s->session->queued) {
    return KAD_E_LIMIT;
  }
  return 0;
}

int kad__yamux_stream_reserve(kad__yamux_stream *s, uint8_t **out, size_t len) {
  int result = may_write(s, len);
  if (result < 0) {
    return result;
  }
  return kad__yamux_buffer_reserve(s->session, &s->out, out, len);
}

void kad__yamux_stream_commit(kad__yamux_stream *s, size_t len) {
  kad__buffer_commit(&s->out, len);
  s->session->queued += len;
  kad__yamux_lower(s, 1u << KAD__YAMUX_WRITABLE);
  kad__yamux_schedule(s);
}

int kad__yamux_stream_write(kad__yamux_stream *s, kad_bytes bytes) {
  uint8_t *tail = NULL;
  int result = kad__yamux_stream_reserve(s, &tail, bytes.len);
  if (result < 0 || bytes.len == 0) {
    return result;
  }
  memcpy(tail, bytes.data, bytes.len);
  kad__yamux_stream_commit(s, bytes.len);
  return 0;
}

size_t kad__yamux_stream_growth(const kad__yamux_stream *s, size_t len) {
  return kad__yamux_buffer_growth(s->session, &s->out, len);
}

size_t kad__yamux_stream_unsent(const kad__yamux_stream *s) {
  return kad__buffer_len(&s->out);
}

void kad__yamux_stream_close_write(kad__yamux_stream *s) {
  if (s->error != 0 || s->write_closed) {
    return;
  }
  s->write_closed = true;
  kad__yamux_schedule(s);
}

void kad__yamux_stream_reset(kad__yamux_stream *s, uint32_t code) {
  kad__yamux_abort(s, KAD_E_STREAM_RESET, code);
  kad__yamux_drop_input(s);
  kad__yamux_lower(s, ALL_EVENTS);
}

int kad__yamux_stream_error(const kad__yamux_stream *s) {
  return s->error;
}

uint32_t kad__yamux_stream_reset_code(const kad__yamux_stream *s) {
  return s->reset_due ? 0 : s->reset_code;
}

uint32_t kad__yamux_stream_id(const kad__yamux_stream *s) {
  return s->id;
}

void kad__yamux_stream_release(kad__yamux_stream *s) {
  kad__yamux *y = s->session;
  disown(s);
  kad__yamux_drop_input(s);
  if (s->error != 0 || kad__yamux_finished(s)) {
    kad__yamux_settle(s);
    return;
  }
  if (s->syn_due && kad__buffer_len(&s->out) == 0) {
    kad__yamux_remove(s);
    return;
  }
  s->write_closed = true;
  if (!s->fin_sent) {
    s->flushing = true;
    y->flushing++;
  }
  s->progress = y->now;
  kad__list_unlink(&s->member);
  kad__list_append(&y->lingering, &s->member);
  kad__yamux_schedule(s);
}
