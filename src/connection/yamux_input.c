/* What arrives. A frame's header alone decides whether it is allowed, before
 * any of its body is stored or waited for: a body is taken only within the
 * window that we granted, and memory is taken only for bytes that are here.
 *
 * A fault that concerns one stream costs that stream; breaking the framing,
 * the stream ids or the flow control ends the session (specification, and
 * what go-yamux and rust-yamux do). Frames for streams that we gave up are
 * normal, since the peer cannot know yet: they are dropped within a budget. */
#include "connection/yamux_internal.h"

/* One of the resets and refusals that a peer may cause. */
static int charge_reset(kad__yamux *y) {
  uint64_t refill = (y->now - y->resets_at) / KAD__YAMUX_RESET_PERIOD;
  uint32_t used = KAD__YAMUX_RESET_BURST - y->resets_left;
  if (refill >= used) {
    y->resets_left = KAD__YAMUX_RESET_BURST;
    y->resets_at = y->now;
  } else {
    y->resets_left += (uint32_t)refill;
    y->resets_at += refill * KAD__YAMUX_RESET_PERIOD;
  }
  if (y->resets_left == 0) {
    return KAD_E_LIMIT;
  }
  y->resets_left--;
  return 0;
}

/* ---- new streams ------------------------------------------------------- */

/* The stream does not come to be. Without memory for the answer the peer has
 * to find out by itself; the session is none the worse. */
static int refuse(kad__yamux *y, uint32_t id, uint32_t code) {
  y->stats.streams_refused++;
  kad__yamux_credit_drain(y, KAD__YAMUX_INITIAL_WINDOW);
  int result = charge_reset(y);
  if (result < 0) {
    return result;
  }
  result = kad__yamux_refuse(y, id, code);
  return result == KAD_E_NO_MEMORY ? 0 : result;
}

static bool valid_syn(const kad__yamux *y, const kad__yamux_frame *f) {
  bool parity = (f->id & 1) == (y->client ? 0u : 1u);
  uint32_t most = f->type == KAD__YAMUX_DATA
                      ? KAD__YAMUX_INITIAL_WINDOW
                      : UINT32_MAX - KAD__YAMUX_INITIAL_WINDOW;
  return f->id != 0 && parity && f->length <= most &&
         kad__yamux_find(y, f->id) == NULL;
}

static int on_syn(kad__yamux *y, const kad__yamux_frame *f) {
  if (!valid_syn(y, f)) {
    return KAD_E_YAMUX;
  }
  if (y->closing) {
    return refuse(y, f->id, KAD__STREAM_SHUTDOWN);
  }
  bool full =
      y->inbound >= y->config.max_inbound_streams && !kad__yamux_evict(y, true);
  if (full || y->room.streams == 0) {
    return refuse(y, f->id, KAD__STREAM_RESOURCE_LIMIT);
  }
  kad__yamux_stream *s = kad__yamux_add(y, f->id, true);
  if (s == NULL) {
    return refuse(y, f->id, KAD__STREAM_RESOURCE_LIMIT);
  }
  y->room.streams--;
  y->stats.streams_in++;
  kad__yamux_raise(s, KAD__YAMUX_OPENED);
  return 0;
}

/* ---- frames of streams ------------------------------------------------- */

static void on_fin(kad__yamux_stream *s) {
  if (s->fin_received) {
    return;
  }
  s->fin_received = true;
  kad__yamux_ungrant(s);
  kad__yamux_schedule(s);
  kad__yamux_raise(s, KAD__YAMUX_READABLE);
  kad__yamux_settle(s);
}

/* A side that has ended is not undone by a reset. */
static int on_reset(kad__yamux_stream *s, const kad__yamux_frame *f) {
  kad__yamux *y = s->session;
  bool flood = s->inbound && charge_reset(y) < 0;
  y->stats.resets_in++;
  if (!kad__yamux_finished(s)) {
    kad__yamux_kill(s, KAD_E_STREAM_RESET, true);
    s->reset_code = f->type == KAD__YAMUX_WINDOW_UPDATE ? f->length : 0;
    if (!s->announced) {
      y->room.streams += y->room.streams < UINT32_MAX;
      kad__yamux_remove(s);
    } else {
      kad__yamux_raise(s, KAD__YAMUX_RESET);
      kad__yamux_settle(s);
    }
  }
  return flood ? KAD_E_LIMIT : 0;
}

static int on_window_update(kad__yamux_stream *s, const kad__yamux_frame *f) {
  if (f->length > UINT32_MAX - s->send_window) {
    return KAD_E_YAMUX;
  }
  s->send_window += f->length;
  kad__yamux_schedule(s);
  if ((f->flags & KAD__YAMUX_FIN) != 0) {
    on_fin(s);
  }
  return 0;
}

/* The round trip matters to nobody but streams whose window may grow. */
static void measure(kad__yamux *y, const kad__yamux_stream *s) {
  bool busy = s->window - s->receive_window >= KAD__YAMUX_INITIAL_WINDOW / 4;
  bool stale = y->stats.round_trip == 0 ||
               y->now - y->measured_at >= KAD__YAMUX_MEASURE_AGE;
  if (busy && stale) {
    kad__yamux_start_ping(y);
  }
}

static void abort_stream(kad__yamux_stream *s, int error, uint32_t code) {
  s->session->stats.aborted++;
  kad__yamux_abort(s, error, code);
}

static void finish_body(kad__yamux *y) {
  kad__yamux_stream *s = y->body;
  y->body = NULL;
  if (s != NULL && y->body_fin && s->error == 0) {
    on_fin(s);
  }
}

static void on_data(kad__yamux_stream *s, const kad__yamux_frame *f) {
  kad__yamux *y = s->session;
  s->receive_window -= f->length;
  y->body = s;
  y->body_fin = (f->flags & KAD__YAMUX_FIN) != 0;
  if (f->length == 0) {
    finish_body(y);
    return;
  }
  if (s->released) {
    /* Nobody will read, so the window stays shut: better that the peer hears
     * of it than that it waits. Not at once, though: it may have been writing
     * when our answer left, and a reset may cost it that answer. */
    if (s->fin_sent && s->receive_window < s->window / 4) {
      abort_stream(s, KAD_E_CLOSED, 0);
    }
    return;
  }
  measure(y, s);
}

/* A body for no stream. */
static int drain(kad__yamux *y, uint32_t length) {
  if (length > KAD__YAMUX_DRAIN_FRAME_MAX || length > y->drain_budget) {
    return KAD_E_YAMUX;
  }
  y->drain_budget -= length;
  return 0;
}

/* Data behind the end: that stream's peer is confused. */
static int on_late_data(kad__yamux_stream *s, uint32_t length) {
  kad__yamux *y = s->session;
  if (!s->fin_sent) {
    abort_stream(s, KAD_E_YAMUX, KAD__STREAM_PROTOCOL_VIOLATION);
  }
  return drain(y, length);
}

static int on_known(kad__yamux_stream *s, const kad__yamux_frame *f) {
  bool data = f->type == KAD__YAMUX_DATA;
  if (data && f->length > s->receive_window) {
    return KAD_E_YAMUX;
  }
  kad__yamux_acknowledged(s);
  if ((f->flags & KAD__YAMUX_RST) != 0) {
    return on_reset(s, f);
  }
  if (!data) {
    return on_window_update(s, f);
  }
  if (f->length != 0 && s->fin_received) {
    return on_late_data(s, f->length);
  }
  on_data(s, f);
  return 0;
}

static int on_stream_frame(kad__yamux *y, const kad__yamux_frame *f) {
  y->body_left = f->type == KAD__YAMUX_DATA ? f->length : 0;
  y->body = NULL;
  if ((f->flags & KAD__YAMUX_SYN) != 0) {
    int result = on_syn(y, f);
    if (result < 0) {
      return result;
    }
  }
  kad__yamux_stream *s = kad__yamux_find(y, f->id);
  /* Whoever guesses the id of a stream that it was not told of gets nothing. */
  if (s != NULL && s->error == 0 && !s->syn_due) {
    return on_known(s, f);
  }
  return y->body_left == 0 ? 0 : drain(y, y->body_left);
}

/* ---- frames of the session --------------------------------------------- */

static void on_pong(kad__yamux *y, uint32_t value) {
  /* Late, doubled or made up: nothing that would hurt. */
  if (!y->ping_waiting || y->ping_due || value != y->ping_value) {
    return;
  }
  y->ping_waiting = false;
  y->measured_at = y->now;
  kad_time took = y->now - y->ping_at;
  y->stats.round_trip = took == 0 ? 1 : took;
}

static void on_ping(kad__yamux *y, const kad__yamux_frame *f) {
  if ((f->flags & KAD__YAMUX_SYN) == 0) {
    if ((f->flags & KAD__YAMUX_ACK) != 0) {
      on_pong(y, f->length);
    }
    return;
  }
  if (y->pongs < KAD__YAMUX_MAX_PONGS &&
      kad__yamux_control(y, KAD__YAMUX_PING, KAD__YAMUX_ACK, 0, f->length) ==
          0) {
    y->pongs++;
  } else {
    y->stats.pongs_dropped++;
  }
}

static int on_frame(kad__yamux *y, const kad__yamux_frame *f) {
  y->stats.frames_in++;
  if (f->version != 0) {
    return KAD_E_YAMUX;
  }
  switch (f->type) {
    case KAD__YAMUX_DATA:
    case KAD__YAMUX_WINDOW_UPDATE:
      return on_stream_frame(y, f);
    case KAD__YAMUX_PING:
      on_ping(y, f);
      return 0;
    case KAD__YAMUX_GO_AWAY:
      y->stats.go_away = f->length;
      return KAD_E_GO_AWAY;
    default:
      return KAD_E_YAMUX;
  }
}

/* ---- bytes ------------------------------------------------------------- */

static void starve(kad__yamux_stream *s, int error) {
  s->session->stats.starved++;
  abort_stream(s, error, KAD__STREAM_RESOURCE_LIMIT);
}

static void take_room(uint32_t *room, size_t len) {
  *room -= len < *room ? (uint32_t)len : *room;
}

static void store(kad__yamux_stream *s, kad_bytes bytes) {
  kad__yamux *y = s->session;
  uint8_t *tail = NULL;
  size_t room = s->inbound ? y->room.bytes_in : y->room.bytes_out;
  size_t growth = kad__yamux_buffer_growth(y, &s->in, bytes.len);
  if (bytes.len > y->config.receive_max - y->unread || growth > room) {
    starve(s, KAD_E_LIMIT);
    return;
  }
  int result = kad__yamux_buffer_reserve(y, &s->in, &tail, bytes.len);
  if (result < 0) {
    starve(s, result);
    return;
  }
  take_room(&y->room.bytes_in, growth);
  take_room(&y->room.bytes_out, growth);
  memcpy(tail, bytes.data, bytes.len);
  kad__buffer_commit(&s->in, bytes.len);
  y->unread += bytes.len;
  kad__yamux_raise(s, KAD__YAMUX_READABLE);
}

static size_t take_body(kad__yamux *y, kad_bytes in) {
  size_t len = in.len < y->body_left ? in.len : y->body_left;
  kad__yamux_stream *s = y->body;
  if (s != NULL && !s->released && s->error == 0) {
    store(s, kad__bytes(in.data, len));
  } else {
    y->stats.unknown_stream_bytes += len;
  }
  y->body_left -= (uint32_t)len;
  if (y->body_left == 0) {
    finish_body(y);
  }
  return len;
}

static size_t take_header(kad__yamux *y, kad_bytes in, int *result) {
  if (y->header_len == 0 && in.len >= KAD__YAMUX_HEADER_LEN) {
    kad__yamux_frame frame = kad__yamux_frame_decode(in.data);
    *result = on_frame(y, &frame);
    return KAD__YAMUX_HEADER_LEN;
  }
  size_t len = KAD__YAMUX_HEADER_LEN - (size_t)y->header_len;
  len = in.len < len ? in.len : len;
  memcpy(y->header + y->header_len, in.data, len);
  y->header_len = (uint8_t)(y->header_len + len);
  if (y->header_len == KAD__YAMUX_HEADER_LEN) {
    y->header_len = 0;
    kad__yamux_frame frame = kad__yamux_frame_decode(y->header);
    *result = on_frame(y, &frame);
  }
  return len;
}

int kad__yamux_input(kad__yamux *y, kad_bytes in, kad_time now) {
  if (y->error != 0) {
    return y->error;
  }
  kad__yamux_set_now(y, now);
  if (in.len != 0) {
    y->last_input = y->now;
  }
  while (in.len != 0) {
    int result = 0;
    size_t taken =
        y->body_left != 0 ? take_body(y, in) : take_header(y, in, &result);
    if (result < 0) {
      return kad__yamux_fail(y, result);
    }
    in = kad__bytes_skip(in, taken);
  }
  return 0;
}
