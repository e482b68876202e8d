/* yamux 1.0.0 (libp2p specification): many streams over one reliable channel.
 *
 * Pure: plaintext in, plaintext out, events. A stream belongs to its session
 * until the owner releases it; the session outlives its streams' handles or
 * says that they are dead.
 *
 * Opening a stream costs no round trip: its SYN rides on the first frame that
 * it sends, and so does the ACK of an accepted one. The end of a side is a
 * frame of its own, behind the data: other implementations may lose the bytes
 * of a frame that also carries FIN. */
#ifndef KAD_CONNECTION_YAMUX_H
#define KAD_CONNECTION_YAMUX_H

#include "base/buffer.h"
#include "base/list.h"
#include "kadmium/error.h"

typedef struct kad__yamux kad__yamux;
typedef struct kad__yamux_stream kad__yamux_stream;

typedef struct kad__yamux_config {
  uint32_t max_inbound_streams; /* open at once; excess SYNs are reset (1024) */
  uint32_t max_unacked;         /* our opens not yet acknowledged (256) */
  uint32_t window_max;          /* growth limit per stream, bytes (1 MiB) */
  uint32_t receive_max;         /* unread bytes per session (16 MiB) */
  uint32_t frame_max;           /* data bytes per frame we send (16 KiB) */
  uint32_t output_max;          /* sendable bytes at which input is paused
                                   (256 KiB) */
  kad_time keepalive;           /* silence before we ping (30 s) */
  kad_time ping_timeout;        /* no answer: the session fails (10 s) */
  uint32_t max_outbound_streams; /* ours, open at once (448): rust-libp2p ends
                                    a session that has more than 512 */
} kad__yamux_config;

void kad__yamux_config_default(kad__yamux_config *config);

/* Counters of what a peer did; read for metrics, never reset. */
typedef struct kad__yamux_stats {
  uint64_t frames_in, frames_out;
  uint64_t streams_in, streams_out, streams_refused;
  uint64_t pongs_dropped, unknown_stream_bytes;
  kad_time round_trip; /* last measured; 0: none yet */
  uint64_t resets_in;  /* streams that the peer reset */
  uint64_t aborted;    /* streams that the session reset by itself */
  uint32_t go_away;    /* the peer's code, once KAD_E_GO_AWAY was returned */
  uint64_t starved;    /* streams that were reset (0x1002) because there was no
                          room for what arrived on them */
} kad__yamux_stats;

/* What sessions that share a limit still have of it. */
typedef struct kad__yamux_room {
  uint32_t streams;   /* that the peer may open */
  uint32_t bytes_in;  /* that may arrive on streams which the peer opened */
  uint32_t bytes_out; /* and on ours */
} kad__yamux_room;

typedef enum kad__yamux_event_type {
  KAD__YAMUX_OPENED,   /* the peer opened `stream`; adopt or reset it */
  KAD__YAMUX_READABLE, /* bytes or the end of the peer's side arrived */
  KAD__YAMUX_WRITABLE, /* all that was queued has been pulled as output */
  KAD__YAMUX_RESET     /* the stream is dead: see kad__yamux_stream_error; what
                          has arrived before can still be read */
} kad__yamux_event_type;

typedef struct kad__yamux_event {
  kad__yamux_event_type type;
  kad__yamux_stream *stream;
} kad__yamux_event;

/* `client` is the side that dialled (odd stream ids). KAD_E_NO_MEMORY. */
int kad__yamux_new(kad__yamux **out, const kad_allocator *allocator,
                   const kad__yamux_config *config, bool client, kad_time now);
/* Frees the session and every stream, released or not. */
void kad__yamux_free(kad__yamux *y);

/* The room until this is said again; without a limit (UINT32_MAX) at first.
 * What is used of it meanwhile is taken off. Streams beyond it are refused with
 * 0x1002; a stream for whose bytes there is none is reset with that code;
 * windows do not grow beyond it. */
void kad__yamux_set_room(kad__yamux *y, kad__yamux_room room);

/* Takes all of `in`. On an error the session is dead: its streams are reset
 * with that error, a GoAway may still be pulled as output, and then the
 * connection is closed; every later call returns the same error. KAD_E_YAMUX:
 * the peer broke the protocol. KAD_E_LIMIT: it opened and reset streams too
 * fast. KAD_E_GO_AWAY: it ended the session; what came before can still be
 * read. Running out of memory costs the one stream that needed it. */
int kad__yamux_input(kad__yamux *y, kad_bytes in, kad_time now);

/* Writes whole frames to `out`; returns the bytes written, 0 when there is
 * nothing to send. `cap` is at least 4096. Call until it returns 0. */
size_t kad__yamux_output(kad__yamux *y, uint8_t *out, size_t cap, kad_time now);
bool kad__yamux_has_output(const kad__yamux *y);
/* True while more than output_max bytes wait that the peer's windows allow: it
 * does not read our answers, so stop feeding input. Bytes that wait for a
 * window do not count, for it is input that opens windows. */
bool kad__yamux_congested(const kad__yamux *y);

/* The next event; false when there is none. A stream that is released has no
 * further events. Events of one stream are merged. */
bool kad__yamux_poll(kad__yamux *y, kad__yamux_event *out);

kad_time kad__yamux_deadline(const kad__yamux *y);
/* KAD_E_TIMEOUT: the peer did not answer our ping; the session is dead. */
int kad__yamux_tick(kad__yamux *y, kad_time now);

/* Pings at once, unless a ping is under way. */
void kad__yamux_probe(kad__yamux *y, kad_time now);
/* A ping has waited for so long, and nothing at all has come since. */
bool kad__yamux_unanswered(const kad__yamux *y, kad_time now, kad_time time);

/* Queues a GoAway with `code`; no streams can be opened afterwards. */
void kad__yamux_close(kad__yamux *y, uint32_t code);

/* Streams that the owner holds (or will be told of), and released ones with
 * something left to send. */
size_t kad__yamux_stream_count(const kad__yamux *y);
/* Of ours those that the peer has not acknowledged. */
size_t kad__yamux_unacknowledged(const kad__yamux *y);
const kad__yamux_stats *kad__yamux_stats_get(const kad__yamux *y);
/* Bytes of memory that the session holds on the peer's behalf. */
size_t kad__yamux_charge(const kad__yamux *y);

/* Opens a stream; data may be written at once. KAD_E_LIMIT (max_unacked,
 * max_outbound_streams, or stream ids are exhausted), KAD_E_CLOSED,
 * KAD_E_NO_MEMORY. */
int kad__yamux_stream_open(kad__yamux *y, kad__yamux_stream **out);

/* The owner's pointer, NULL at first. */
void kad__yamux_stream_set_user(kad__yamux_stream *s, void *user);
void *kad__yamux_stream_user(const kad__yamux_stream *s);

/* All bytes that have arrived, contiguous, until the next input or consume. */
kad_bytes kad__yamux_stream_peek(const kad__yamux_stream *s);
/* Says that `len` bytes were read; reopens the window when due. */
void kad__yamux_stream_consume(kad__yamux_stream *s, size_t len);
/* The peer will send nothing more (what has arrived can still be read). */
bool kad__yamux_stream_ended(const kad__yamux_stream *s);

/* Queues all of `bytes`: kept until the window allows. KAD_E_STATE after
 * close_write, the stream's error when it is dead (KAD_E_STREAM_RESET ...),
 * KAD_E_LIMIT beyond 4 MiB + 64 KiB unsent or 16 MiB in the whole session,
 * KAD_E_NO_MEMORY. On an error nothing was queued. */
int kad__yamux_stream_write(kad__yamux_stream *s, kad_bytes bytes);
/* As above without a copy: space for `len` bytes, then commit what was used. */
int kad__yamux_stream_reserve(kad__yamux_stream *s, uint8_t **out, size_t len);
void kad__yamux_stream_commit(kad__yamux_stream *s, size_t len);
/* Bytes of memory that queueing `len` bytes more would take. */
size_t kad__yamux_stream_growth(const kad__yamux_stream *s, size_t len);
/* Bytes queued and not yet pulled as output. */
size_t kad__yamux_stream_unsent(const kad__yamux_stream *s);

/* Ends our side after what is queued. Idempotent. */
void kad__yamux_stream_close_write(kad__yamux_stream *s);
/* Aborts both sides with a libp2p stream error code (0: none): what is queued
 * or unread is dropped, and no further event comes. Idempotent. */
void kad__yamux_stream_reset(kad__yamux_stream *s, uint32_t code);
/* 0 while alive, else why it died (KAD_E_STREAM_RESET, ...). */
int kad__yamux_stream_error(const kad__yamux_stream *s);

/* The error code of the peer's reset, 0 when it gave none. */
uint32_t kad__yamux_stream_reset_code(const kad__yamux_stream *s);
/* The id on the wire, for logs. */
uint32_t kad__yamux_stream_id(const kad__yamux_stream *s);

/* Gives the stream back: both sides are closed if they are not yet (what is
 * queued is still sent; unread and later input is dropped), and the handle is
 * no longer valid. */
void kad__yamux_stream_release(kad__yamux_stream *s);

#endif
