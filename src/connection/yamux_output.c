/* What leaves: frames without a body first (pings, pongs and refusals, then
 * what single streams have to say), then data in turns of one frame per stream,
 * so that a bulk transfer delays a small answer by one frame of each rival.
 *
 * Frames are written whole and straight into the caller's buffer; where little
 * room is left, data waits for the next call rather than leave in crumbs. FIN
 * never rides on data: go-libp2p wakes its reader, and js-libp2p may close its
 * side, before the bytes of such a frame are stored. */
#include "connection/yamux_internal.h"

/* A data frame is not cut below this, unless less is queued. */
#define CRUMB 512u

typedef struct writer {
  kad__yamux *y;
  uint8_t *out;
  size_t room;
} writer;

static bool write_header(writer *w, kad__yamux_type type, uint32_t flags,
                         uint32_t id, uint32_t length) {
  if (w->room < KAD__YAMUX_HEADER_LEN) {
    return false;
  }
  kad__yamux_frame_encode(w->out, type, flags, id, length);
  w->out += KAD__YAMUX_HEADER_LEN;
  w->room -= KAD__YAMUX_HEADER_LEN;
  w->y->stats.frames_out++;
  return true;
}

/* ---- frames of the session --------------------------------------------- */

int kad__yamux_control(kad__yamux *y, kad__yamux_type type, uint32_t flags,
                       uint32_t id, uint32_t length) {
  uint8_t *tail = NULL;
  int result =
      kad__yamux_buffer_reserve(y, &y->control, &tail, KAD__YAMUX_HEADER_LEN);
  if (result < 0) {
    return result;
  }
  kad__yamux_frame_encode(tail, type, flags, id, length);
  kad__buffer_commit(&y->control, KAD__YAMUX_HEADER_LEN);
  return 0;
}

int kad__yamux_refuse(kad__yamux *y, uint32_t id, uint32_t code) {
  if (y->refusals >= KAD__YAMUX_MAX_REFUSALS) {
    return KAD_E_LIMIT;
  }
  int result =
      kad__yamux_control(y, KAD__YAMUX_WINDOW_UPDATE, KAD__YAMUX_RST, id, code);
  if (result == 0) {
    y->refusals++;
  }
  return result;
}

static void write_ping(writer *w) {
  kad__yamux *y = w->y;
  if (!y->ping_due ||
      !write_header(w, KAD__YAMUX_PING, KAD__YAMUX_SYN, 0, y->ping_value)) {
    return;
  }
  y->ping_due = false;
  y->ping_at = y->now;
}

static void write_control(writer *w) {
  kad__yamux *y = w->y;
  while (kad__buffer_len(&y->control) != 0) {
    kad__yamux_frame frame =
        kad__yamux_frame_decode(kad__buffer_bytes(&y->control).data);
    if (!write_header(w, (kad__yamux_type)frame.type, frame.flags, frame.id,
                      frame.length)) {
      return;
    }
    kad__yamux_buffer_consume(y, &y->control, KAD__YAMUX_HEADER_LEN);
    if (frame.type == KAD__YAMUX_PING) {
      y->pongs--;
    } else {
      y->refusals--;
    }
  }
}

/* GoAway is the last word: what can still be sent goes before it. */
static void write_go_away(writer *w) {
  kad__yamux *y = w->y;
  bool done = y->error != 0 ||
              (kad__buffer_len(&y->control) == 0 &&
               kad__list_empty(&y->urgent) && kad__list_empty(&y->ready));
  if (y->go_away_due && done &&
      write_header(w, KAD__YAMUX_GO_AWAY, 0, 0, y->go_away_code)) {
    y->go_away_due = false;
  }
}

/* ---- frames of streams ------------------------------------------------- */

/* The flags that ride on a stream's first frame. */
static uint32_t opening_flags(kad__yamux_stream *s) {
  uint32_t flags =
      (s->syn_due ? KAD__YAMUX_SYN : 0u) | (s->ack_due ? KAD__YAMUX_ACK : 0u);
  s->syn_due = false;
  s->ack_due = false;
  return flags;
}

/* Half of the window was used up within two round trips: the window, and not
 * the path, may be what slows the peer. */
static uint32_t growth(const kad__yamux_stream *s) {
  const kad__yamux *y = s->session;
  const kad__yamux_config *config = &y->config;
  if (y->stats.round_trip == 0 ||
      y->now - s->progress >= 2 * y->stats.round_trip ||
      s->window >= config->window_max) {
    return 0;
  }
  uint32_t more = config->window_max - s->window;
  more = s->window < more ? s->window : more;
  return y->granted + more <= config->receive_max && more <= y->room.bytes_in
             ? more
             : 0;
}

static uint32_t take_credit(kad__yamux_stream *s) {
  if (!kad__yamux_update_due(s)) {
    return 0;
  }
  kad__yamux *y = s->session;
  uint32_t more = growth(s);
  uint32_t credit = s->consumed + more;
  s->window += more;
  y->granted += more;
  s->receive_window += credit;
  s->consumed = 0;
  s->progress = y->now;
  return credit;
}

static void write_reset(writer *w, kad__yamux_stream *s) {
  if (write_header(w, KAD__YAMUX_WINDOW_UPDATE, KAD__YAMUX_RST, s->id,
                   s->reset_code)) {
    s->reset_due = false;
    s->reset_code = 0;
  }
}

/* Credit, SYN, ACK and FIN in one frame. `w` has room for a header. */
static void write_update(writer *w, kad__yamux_stream *s) {
  uint32_t flags = opening_flags(s);
  if (kad__yamux_fin_due(s)) {
    flags |= KAD__YAMUX_FIN;
    s->fin_sent = true;
    kad__yamux_flushed(s);
  }
  write_header(w, KAD__YAMUX_WINDOW_UPDATE, flags, s->id, take_credit(s));
}

static void write_urgent(writer *w) {
  kad__yamux *y = w->y;
  while (!kad__list_empty(&y->urgent) && w->room >= KAD__YAMUX_HEADER_LEN) {
    kad__yamux_stream *s =
        KAD__CONTAINER(y->urgent.next, kad__yamux_stream, sending);
    if (s->reset_due) {
      write_reset(w, s);
    } else {
      write_update(w, s);
    }
    kad__yamux_schedule(s);
    kad__yamux_settle(s);
  }
}

/* A released stream lives on while it makes progress. */
static void note_progress(kad__yamux_stream *s) {
  if (!s->released) {
    return;
  }
  s->progress = s->session->now;
  kad__list_unlink(&s->member);
  kad__list_append(&s->session->lingering, &s->member);
}

static void write_data(writer *w, kad__yamux_stream *s, uint32_t len) {
  kad__yamux *y = w->y;
  write_header(w, KAD__YAMUX_DATA, opening_flags(s), s->id, len);
  memcpy(w->out, kad__buffer_bytes(&s->out).data, len);
  w->out += len;
  w->room -= len;
  kad__yamux_buffer_consume(y, &s->out, len);
  y->queued -= len;
  s->send_window -= len;
  note_progress(s);
  if (kad__buffer_len(&s->out) != 0) {
    return;
  }
  if (!s->write_closed) {
    kad__yamux_raise(s, KAD__YAMUX_WRITABLE);
  } else if (w->room >= KAD__YAMUX_HEADER_LEN) {
    write_update(w, s);
  }
}

static uint32_t frame_len(const writer *w, const kad__yamux_stream *s) {
  uint32_t len = s->sendable;
  if (len > w->y->config.frame_max) {
    len = w->y->config.frame_max;
  }
  uint32_t enough = len < CRUMB ? len : CRUMB;
  if (w->room < (size_t)KAD__YAMUX_HEADER_LEN + enough) {
    return 0;
  }
  size_t room = w->room - KAD__YAMUX_HEADER_LEN;
  return len < room ? len : (uint32_t)room;
}

static void write_ready(writer *w) {
  kad__yamux *y = w->y;
  while (!kad__list_empty(&y->ready)) {
    kad__yamux_stream *s =
        KAD__CONTAINER(y->ready.next, kad__yamux_stream, sending);
    uint32_t len = frame_len(w, s);
    if (len == 0) {
      return;
    }
    kad__list_unlink(&s->sending);
    s->queue = KAD__YAMUX_QUEUE_NONE;
    write_data(w, s, len);
    kad__yamux_schedule(s);
    kad__yamux_settle(s);
  }
}

size_t kad__yamux_output(kad__yamux *y, uint8_t *out, size_t cap,
                         kad_time now) {
  writer w = {.y = y, .out = out, .room = cap};
  kad__yamux_set_now(y, now);
  if (y->error == 0) {
    write_ping(&w);
    write_control(&w);
    write_urgent(&w);
    write_ready(&w);
  }
  write_go_away(&w);
  return cap - w.room;
}

bool kad__yamux_has_output(const kad__yamux *y) {
  if (y->error != 0) {
    return y->go_away_due;
  }
  return y->go_away_due || y->ping_due || kad__buffer_len(&y->control) != 0 ||
         !kad__list_empty(&y->urgent) || !kad__list_empty(&y->ready);
}

bool kad__yamux_congested(const kad__yamux *y) {
  return y->sendable + kad__buffer_len(&y->control) > y->config.output_max;
}
