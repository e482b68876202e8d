/* What the files of yamux share: yamux.c (the session and its table of
 * streams), yamux_input.c, yamux_output.c, yamux_stream.c, yamux_check.c.
 *
 * A stream is in one of two lists of its session (`streams` while the owner
 * holds it, `lingering` once released), in at most one queue of output, and in
 * the queue of events while it has one. It leaves the session when it is
 * released and neither side has anything left to say. */
#ifndef KAD_CONNECTION_YAMUX_INTERNAL_H
#define KAD_CONNECTION_YAMUX_INTERNAL_H

#include "base/alloc.h"
#include "connection/yamux.h"
#include "connection/yamux_frame.h"

/* What each side may send before the first window update (specification). */
#define KAD__YAMUX_INITIAL_WINDOW ((uint32_t)256 * 1024)
/* Pings that wait for their answer to be pulled; more are dropped. */
#define KAD__YAMUX_MAX_PONGS 32u
/* Refusals that wait to be pulled; more end the session. */
#define KAD__YAMUX_MAX_REFUSALS 1024u
/* How often a peer may reset streams of its own, or be refused new ones: so
 * many at once, and one more in each period. */
#define KAD__YAMUX_RESET_BURST 1024u
#define KAD__YAMUX_RESET_PERIOD (KAD_SECOND / 256)
/* Bytes that may arrive for streams we do not know: a start, what the windows
 * of streams we gave up allowed (added as they are), and an upper bound. */
#define KAD__YAMUX_DRAIN_START ((uint32_t)1 << 20)
#define KAD__YAMUX_DRAIN_MAX ((uint32_t)16 << 20)
#define KAD__YAMUX_DRAIN_FRAME_MAX ((uint32_t)1 << 20)
/* An emptied buffer of such a size serves the next stream that needs one:
 * giving it back each time would cost more than what it carries. It goes when
 * nothing was heard of the peer for a while. */
#define KAD__YAMUX_SPARE_MIN ((size_t)4 * 1024)
#define KAD__YAMUX_SPARE_MAX ((size_t)1024 * 1024)
/* Less than that is not put into it. */
#define KAD__YAMUX_SPARE_USE ((size_t)1024)
/* A released stream that makes no progress for so long is reset. */
#define KAD__YAMUX_LINGER (60 * KAD_SECOND)
/* One that only waits for the peer's end gives way to a new stream, but not
 * before an honest peer had the time to read our answer. */
#define KAD__YAMUX_LINGER_MIN (5 * KAD_SECOND)
/* A round trip is measured anew when it is older than that. */
#define KAD__YAMUX_MEASURE_AGE (10 * KAD_SECOND)

/* Stream error codes of libp2p that the session itself gives. */
#define KAD__STREAM_RESOURCE_LIMIT 0x1002u
#define KAD__STREAM_PROTOCOL_VIOLATION 0x1004u
#define KAD__STREAM_SHUTDOWN 0x1007u

typedef enum kad__yamux_queue {
  KAD__YAMUX_QUEUE_NONE,
  KAD__YAMUX_QUEUE_URGENT, /* a frame without a body: before all data */
  KAD__YAMUX_QUEUE_READY   /* data and window */
} kad__yamux_queue;

struct kad__yamux_stream {
  kad__yamux *session;
  void *user;
  kad__yamux_stream *next_in_slot;
  kad__list member;  /* of session->streams or ->lingering */
  kad__list sending; /* of session->urgent or ->ready, as `queue` says */
  kad__list waking;  /* of session->waking while `events` is not 0 */
  kad__buffer in;
  kad__buffer out;
  kad_time progress; /* last window update; once released, last data sent */
  uint32_t id;
  uint32_t send_window;
  /* window = receive_window + unread + announced but not arrived + consumed */
  uint32_t window;
  uint32_t receive_window; /* what the peer may still announce */
  uint32_t consumed;       /* read since the last window update */
  uint32_t sendable;       /* this stream's share of session->sendable */
  uint32_t reset_code;     /* to be sent, or received */
  int error;
  uint8_t events; /* 1 << kad__yamux_event_type */
  uint8_t queue;
  bool inbound : 1;
  bool announced : 1; /* the owner knows it */
  bool released : 1;
  bool unacked : 1; /* ours, and the peer did not acknowledge it yet */
  bool syn_due : 1; /* SYN, ACK: ride on the next frame */
  bool ack_due : 1;
  bool reset_due : 1;
  bool write_closed : 1;
  bool fin_sent : 1;
  bool fin_received : 1;
  bool flushing : 1; /* counted in session->flushing */
};

#define KAD__YAMUX_SMALL_TABLE_BITS 2u
#define KAD__YAMUX_SMALL_TABLE (1u << KAD__YAMUX_SMALL_TABLE_BITS)

struct kad__yamux {
  kad_allocator allocator;
  kad__yamux_config config;
  kad__yamux_stats stats;
  int error;
  bool client;
  bool closing; /* we said, or will say, GoAway */
  bool go_away_due;
  bool ping_due;
  bool ping_waiting; /* queued or sent, and not answered */
  uint8_t header_len;
  uint8_t header[KAD__YAMUX_HEADER_LEN];
  uint32_t go_away_code;

  /* the body that is arriving */
  bool body_fin;
  uint32_t body_left;
  kad__yamux_stream *body; /* NULL: it is dropped */

  /* streams by id */
  kad__yamux_stream **slots;
  kad__yamux_stream *small_table[KAD__YAMUX_SMALL_TABLE];
  uint32_t slot_bits;
  uint32_t inbound;
  uint32_t outbound;
  uint32_t unacked;
  uint32_t held;     /* not released */
  uint32_t flushing; /* released, and our end is not sent yet */
  uint64_t next_id;

  kad__list streams;
  kad__list lingering; /* released; least recent progress first */
  kad__list urgent;
  kad__list ready;
  kad__list waking;
  kad__buffer control; /* encoded pongs and refusals */
  kad__buffer spare;   /* empty */
  uint32_t pongs;
  uint32_t refusals;

  size_t unread;   /* bytes in all `in` */
  size_t queued;   /* bytes in all `out` */
  size_t sendable; /* those that windows allow */
  size_t granted;  /* sum of all windows that peers can still use */
  size_t buffers;  /* bytes of memory behind all buffers */

  kad__yamux_room room;
  uint32_t drain_budget;
  uint32_t resets_left;
  kad_time resets_at; /* when resets_left was last refilled */

  kad_time now;
  kad_time last_input;
  kad_time ping_at; /* when the ping was queued, then when it was pulled */
  kad_time measured_at;
  uint32_t ping_value;
};

/* ---- yamux.c ----------------------------------------------------------- */

kad__yamux_stream *kad__yamux_find(const kad__yamux *y, uint32_t id);
/* A stream in the table, owned by the session; NULL: no memory. */
kad__yamux_stream *kad__yamux_add(kad__yamux *y, uint32_t id, bool inbound);
void kad__yamux_remove(kad__yamux_stream *s);
/* Frees the stream when it is released and has nothing left to say. */
void kad__yamux_settle(kad__yamux_stream *s);
/* Ends the session: every stream gets `error`, GoAway is queued for those
 * errors that the peer shall hear of. Returns `error`. */
int kad__yamux_fail(kad__yamux *y, int error);
/* Time never runs backwards in here, whatever the caller says. */
void kad__yamux_set_now(kad__yamux *y, kad_time now);
/* Queues a ping unless one is on its way. */
void kad__yamux_start_ping(kad__yamux *y);
/* Resets the oldest stream of that direction that only waits for the peer's
 * end; false when there is none that may go. */
bool kad__yamux_evict(kad__yamux *y, bool inbound);
void kad__yamux_raise(kad__yamux_stream *s, kad__yamux_event_type type);
/* Takes back those of `events` (1 << type each) that were not polled yet. */
void kad__yamux_lower(kad__yamux_stream *s, unsigned events);

/* ---- yamux_stream.c ---------------------------------------------------- */

/* Puts the stream into the queue of output that fits its state. Call after
 * every change of what it has to send, its window or its flags. */
void kad__yamux_schedule(kad__yamux_stream *s);
bool kad__yamux_update_due(const kad__yamux_stream *s);
/* The peer knows the stream. */
void kad__yamux_acknowledged(kad__yamux_stream *s);
/* The stream is dead without a word to the peer: its buffers are emptied
 * (`keep_input`: what is unread stays) and nothing is sent any more. */
void kad__yamux_kill(kad__yamux_stream *s, int error, bool keep_input);
/* Kills the stream and queues a reset. The owner is told, or never hears of
 * the stream when it does not know it yet. Nothing when it is dead already. */
void kad__yamux_abort(kad__yamux_stream *s, int error, uint32_t code);
void kad__yamux_drop_input(kad__yamux_stream *s);
/* A released stream has sent its end, or never will. */
void kad__yamux_flushed(kad__yamux_stream *s);
/* The peer can use the stream's window no more. */
void kad__yamux_ungrant(kad__yamux_stream *s);

/* Buffer operations that keep session->buffers right. The first tells by how
 * much the second would raise it. */
size_t kad__yamux_buffer_growth(const kad__yamux *y, const kad__buffer *b,
                                size_t len);
int kad__yamux_buffer_reserve(kad__yamux *y, kad__buffer *b, uint8_t **tail,
                              size_t len);
void kad__yamux_buffer_consume(kad__yamux *y, kad__buffer *b, size_t len);
void kad__yamux_buffer_fini(kad__yamux *y, kad__buffer *b);
void kad__yamux_drop_spare(kad__yamux *y);

/* ---- yamux_output.c ---------------------------------------------------- */

/* Queues a frame without a stream. KAD_E_NO_MEMORY. */
int kad__yamux_control(kad__yamux *y, kad__yamux_type type, uint32_t flags,
                       uint32_t id, uint32_t length);
/* Queues a reset of a stream that is not in the table. KAD_E_NO_MEMORY;
 * KAD_E_LIMIT when too many wait. */
int kad__yamux_refuse(kad__yamux *y, uint32_t id, uint32_t code);

/* ---- yamux_check.c ----------------------------------------------------- */

/* 0, or the line of the first invariant that does not hold. For tests. */
int kad__yamux_check(kad__yamux *y);

/* ------------------------------------------------------------------------ */

/* The peer may send so many bytes before it learns of a reset. */
static inline void kad__yamux_credit_drain(kad__yamux *y, uint32_t bytes) {
  uint32_t room = KAD__YAMUX_DRAIN_MAX - y->drain_budget;
  y->drain_budget += bytes < room ? bytes : room;
}

static inline bool kad__yamux_finished(const kad__yamux_stream *s) {
  return s->fin_sent && s->fin_received;
}

/* Our side is closed, and all but its end was sent. */
static inline bool kad__yamux_fin_due(const kad__yamux_stream *s) {
  return s->write_closed && !s->fin_sent && kad__buffer_len(&s->out) == 0;
}

#endif
