/**
 * @file
 * Streams: your own protocols between nodes.
 *
 * A stream is an ordered, reliable, encrypted pair of byte pipes to one peer,
 * one of many on a connection. A node says which protocols it takes
 * (kad_node_handle); another opens a stream and proposes one or several
 * (kad_stream_open). What happens to streams is told by kad_node_poll:
 *
 *     KAD_EVENT_STREAM_INBOUND   a peer has opened it: stream, peer, protocols
 *     KAD_EVENT_STREAM_OPENED    ours is agreed: stream, peer, protocols
 *     KAD_EVENT_STREAM_READABLE  bytes, or the peer's end, can be read
 *     KAD_EVENT_STREAM_WRITABLE  a write that was cut short can go on
 *     KAD_EVENT_STREAM_TIMEOUT   a deadline has passed; count: which side
 *     KAD_EVENT_STREAM_ENDED     it is dead: error, code; close it
 *
 * Events say what has changed, so read until KAD_E_AGAIN, and write until it.
 * Of one stream they come in this order, all of them after the connection's
 * KAD_EVENT_CONNECTED and before its KAD_EVENT_DISCONNECTED.
 *
 * A stream is yours, and counts against the limits, from kad_stream_open or
 * KAD_EVENT_STREAM_INBOUND until kad_stream_close or kad_stream_reset, also
 * when it has died meanwhile. What you do not read is not taken from the peer
 * beyond a window of 256 KiB to 1 MiB, and what the peer does not read is not
 * taken from you: neither side needs more memory than that. Over all streams
 * the limits of kad_node_options hold: one on which more arrives than they
 * leave room for is reset, with KAD_E_LIMIT here and KAD_STREAM_CODE_LIMIT
 * there.
 *
 * What is written goes out when the node is driven, for which kad_node_timeout
 * asks; kad_node_free resets and frees all streams.
 *
 * Everything here is for the thread that drives the node. service_stream.h has
 * calls that block, for any thread.
 */
#ifndef KADMIUM_STREAM_H
#define KADMIUM_STREAM_H

#include "kadmium/node.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Bytes of a stream that wait to be sent at most; a write takes no more. */
#define KAD_STREAM_UNSENT_MAX ((size_t)256 * 1024)

/** Streams of one's own protocols at a time, in both directions. */
#define KAD_STREAMS_MAX 65536

/** Protocols that one stream proposes at most. */
#define KAD_STREAM_PROTOCOLS_MAX 16

/** Codes that both sides see when a stream is reset (libp2p, specification of
 * error codes). Others are yours to choose. */
typedef enum kad_stream_code {
  KAD_STREAM_CODE_NONE = 0,
  KAD_STREAM_CODE_NEGOTIATION = 0x1001, /**< no protocol in common */
  KAD_STREAM_CODE_LIMIT = 0x1002,
  KAD_STREAM_CODE_RATE_LIMITED = 0x1003,
  KAD_STREAM_CODE_PROTOCOL_VIOLATION = 0x1004,
  KAD_STREAM_CODE_SUPPLANTED = 0x1005,
  KAD_STREAM_CODE_GARBAGE_COLLECTED = 0x1006,
  KAD_STREAM_CODE_SHUTDOWN = 0x1007,
  KAD_STREAM_CODE_GATED = 0x1008
} kad_stream_code;

/** The directions of a stream, to be or-ed. */
typedef enum kad_stream_side {
  KAD_STREAM_READ = 1,
  KAD_STREAM_WRITE = 2
} kad_stream_side;

/* ---- protocols that we answer -------------------------------------------- */

/**
 * Takes streams of `protocol` from now on; peers are told by identify. Nothing
 * when it is taken already.
 *
 * KAD_E_INVALID_ARGUMENT: empty, without '/' in front, longer than 255 bytes,
 * or one that the node itself answers. KAD_E_LIMIT: 24 at a time, or too many
 * different ones since the node was made. KAD_E_NO_MEMORY.
 */
KAD_API int kad_node_handle(kad_node *node, const char *protocol);

/** Does a handler take `protocol`? Called while the node is driven: be brief,
 * and call nothing of the node. */
typedef bool (*kad_protocol_match)(void *user, kad_bytes protocol);

/**
 * The same for every protocol that `match` takes, such as all versions of one.
 * `protocol` is what peers are told; it is taken too. Protocols that are
 * handled by their exact names come first, then matches in the order in which
 * they were added. Replaces the match that `protocol` had. Errors as above.
 */
KAD_API int kad_node_handle_match(kad_node *node, const char *protocol,
                                  kad_protocol_match match, void *user);

/** Takes no more streams of `protocol`; those that are open go on. */
KAD_API void kad_node_unhandle(kad_node *node, const char *protocol);

/* ---- opening and ending -------------------------------------------------- */

/** How a stream shall be opened. Start from KAD_STREAM_OPTIONS_INIT. Fields are
 * only ever added at the end. */
typedef struct kad_stream_options {
  size_t struct_size;
  /** In order of preference; copied. Beyond the first, each costs a round trip
   * when the peer refuses those before it. */
  const char *const *protocols;
  size_t protocol_count;
  /** Until it must be open, dial included; 0: 15 s. */
  kad_time timeout;
  /** Only on a connection that there is. */
  bool no_dial;
  /** On that connection of the peer; 0: the best one. */
  uint64_t connection;
  /** See kad_stream_user. */
  void *user;
} kad_stream_options;

#ifdef __cplusplus
static inline kad_stream_options kad_stream_options_init(void) {
  kad_stream_options options = kad_stream_options();
  options.struct_size = sizeof(options);
  return options;
}
#define KAD_STREAM_OPTIONS_INIT kad_stream_options_init()
#else
#define KAD_STREAM_OPTIONS_INIT \
  { .struct_size = sizeof(kad_stream_options) }
#endif

/**
 * Opens a stream to `peer`; dials it first when it is not connected, with the
 * addresses that the node knows. KAD_EVENT_STREAM_OPENED or
 * KAD_EVENT_STREAM_ENDED follows. While as many streams to the peer are open,
 * or not yet acknowledged (256), as may be, it waits its turn. May be written
 * at once: with one protocol the bytes travel with the proposal, without
 * waiting for the answer.
 *
 * KAD_E_INVALID_ARGUMENT: no protocols, or too many, or malformed ones.
 * KAD_E_SELF. KAD_E_CLOSED: not connected, and not to be dialled.
 * KAD_E_NO_ADDRESS: find the peer first (KAD_FIND_PEER). KAD_E_BACKOFF: all
 * addresses have failed lately. KAD_E_LIMIT. KAD_E_NO_MEMORY.
 */
KAD_API int kad_stream_open(kad_node *node, kad_stream **out,
                            const kad_peer_id *peer,
                            const kad_stream_options *options);

/**
 * Closes both sides and gives the stream back: what was written is still sent,
 * then its end; what the peer sends from now on is dropped. No event of it
 * follows. To be sure that all has arrived, close the writing side, read up to
 * the peer's end, and close then. Takes NULL.
 */
KAD_API void kad_stream_close(kad_stream *stream);

/**
 * Ends the stream at once and gives it back: what is unsent or unread is
 * dropped, the peer sees KAD_E_STREAM_RESET and `code`. Takes NULL.
 */
KAD_API void kad_stream_reset(kad_stream *stream, uint32_t code);

/* ---- reading ------------------------------------------------------------- */

/**
 * Copies what has arrived, at most `cap` bytes; returns their number, or 0 at
 * the peer's end. KAD_E_AGAIN: nothing has; KAD_EVENT_STREAM_READABLE follows.
 * KAD_E_STATE: the reading side is closed. Of a dead stream, once all has been
 * read: why it died.
 */
KAD_API int kad_stream_read(kad_stream *stream, void *out, size_t cap);

/** The same without a copy: all that has arrived, until the stream is read or
 * the node driven. Empty when nothing has. */
KAD_API kad_bytes kad_stream_peek(const kad_stream *stream);

/** Says that `len` of those bytes, at most all, were read. */
KAD_API void kad_stream_consume(kad_stream *stream, size_t len);

/** True when the peer has ended its side and all was read. */
KAD_API bool kad_stream_at_end(const kad_stream *stream);

/** What arrives from now on is dropped; the peer is not told. Idempotent. */
KAD_API void kad_stream_close_read(kad_stream *stream);

/* ---- writing ------------------------------------------------------------- */

/**
 * Queues as many bytes as fit; returns their number. KAD_E_AGAIN when none do;
 * KAD_EVENT_STREAM_WRITABLE follows after this, and after a short count.
 * KAD_E_STATE: the writing side is closed. Of a dead stream why it died.
 * KAD_E_NO_MEMORY.
 */
KAD_API int kad_stream_write(kad_stream *stream, const void *bytes, size_t len);

/** Bytes that wait to be sent. */
KAD_API size_t kad_stream_unsent(const kad_stream *stream);

/** Ends our side behind what was written: the peer reads up to the end, and may
 * go on writing. Idempotent. */
KAD_API void kad_stream_close_write(kad_stream *stream);

/* ---- time ---------------------------------------------------------------- */

/**
 * KAD_EVENT_STREAM_TIMEOUT for `sides` (kad_stream_side) when `after` has
 * passed from now, unless that is set anew before; KAD_TIME_NEVER takes it
 * back. The stream itself goes on: whether it is reset is up to you.
 * KAD_E_NO_MEMORY: there is none then.
 */
KAD_API int kad_stream_set_deadline(kad_stream *stream, unsigned sides,
                                    kad_time after);

/* ---- facts --------------------------------------------------------------- */

typedef struct kad_stream_info {
  kad_peer_id peer;
  kad_bytes protocol; /**< agreed, or the first that is proposed; borrowed until
                         the stream is given back */
  uint64_t connection; /**< 0 while it is dialled */
  bool inbound;        /**< the peer has opened it */
  bool opened;         /**< the protocol is agreed */
  kad_time age;
  uint64_t bytes_read;    /**< by you */
  uint64_t bytes_written; /**< taken from you */
  int error;              /**< 0 while it lives, else why it died */
  uint32_t code;          /**< of the peer's reset */
  uint64_t id; /**< of all streams of the node, never used again; 0 while it is
                  dialled or waits its turn */
} kad_stream_info;

KAD_API void kad_stream_get_info(const kad_stream *stream,
                                 kad_stream_info *out);

/** A pointer of yours, NULL at first for those that peers have opened. */
KAD_API void kad_stream_set_user(kad_stream *stream, void *user);
KAD_API void *kad_stream_user(const kad_stream *stream);

#ifdef __cplusplus
}
#endif

#endif
