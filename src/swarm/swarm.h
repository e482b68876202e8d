/* The swarm: all connections of a node, and the streams on them.
 *
 * It is pure. The outside world (runtime/ or simulator/) carries out its
 * actions and tells it what happened, each time with `now`; the protocols take
 * its events and use its streams. Nothing is called back.
 *
 *   world -> swarm   kad__swarm_listening, _accepted, _dialed, _input, ...
 *   swarm -> world   kad__swarm_poll_action, _next_output + _output
 *   swarm -> node    kad__swarm_poll_event
 */
#ifndef KAD_SWARM_SWARM_H
#define KAD_SWARM_SWARM_H

#include "base/heap.h"
#include "connection/connection.h"
#include "connection/multistream.h"
#include "kadmium/connections.h"
#include "kadmium/gater.h"
#include "swarm/bandwidth.h"
#include "swarm/peerstore.h"
#include "swarm/values.h"

typedef struct kad__swarm kad__swarm;
typedef struct kad__stream kad__stream;

/* Names a connection, listener, resolution or dial; never 0, never reused, so a
 * stale one is simply unknown. */
typedef uint64_t kad__id;

/* Transports that the world has beside its own TCP. */
typedef struct kad__swarm_transports {
  /* The number, from 1, of the one that dials or listens on an address, which
   * is valid and without a trailing /p2p; 0: none of them. NULL: there are
   * none. */
  uint8_t (*choose)(void *user, kad_bytes address, bool to_dial);
  const char *(*name)(void *user, uint8_t number); /* lives as long as we */
  void *user;
} kad__swarm_transports;

/* Told of every stream whose STREAM_INBOUND or STREAM_OPENED was polled when it
 * is given back. It may look at the stream and call nothing else. */
typedef struct kad__stream_watch {
  void (*over)(void *user, const kad__stream *stream); /* NULL: nobody */
  void *user;
} kad__stream_watch;

/* What somebody uses, or may use: bytes that we hold on the peers' behalf, and
 * streams that they have opened and that we have. */
typedef struct kad__load {
  size_t bytes;
  uint32_t inbound;
  uint32_t outbound;
} kad__load;

/* How often others may connect: so many at once, then so many in a minute. */
typedef struct kad__pace {
  uint32_t burst;
  uint32_t per_minute;
} kad__pace;

typedef struct kad__swarm_config {
  const kad_allocator *allocator;
  const kad_key_pair *identity; /* borrowed, outlives the swarm */
  kad_random *random;           /* borrowed */
  kad__yamux_config yamux;
  kad_time upgrade_timeout;     /* 15 s, from the connected channel */
  kad_time dial_timeout;        /* 15 s per address; 5 s private ones */
  kad_time idle_timeout;        /* no streams for so long: closed (10 s..) */
  kad_time negotiate_timeout;   /* of a stream's protocol: 10 s */
  uint32_t max_connections;     /* established, both directions */
  uint32_t max_pending_inbound; /* not yet established */
  uint32_t max_inbound_per_address; /* pending and established, an IPv4 or an
                                       IPv6 /64; loopback is exempt */
  uint32_t max_inbound_per_group;   /* the same for an IPv6 /48 */
  uint32_t max_connections_per_peer;
  uint32_t max_dials;          /* channels being opened at once (160) */
  uint32_t max_dials_per_peer; /* 8 */
  /* Sums over connections; for a place (an IPv4 address or IPv6 /64, an IPv6
   * /48) without our own streams, and without loopback. */
  kad__load max_in_all;
  kad__load max_per_peer;
  kad__load max_per_address;
  kad__load max_per_group;
  kad__pace pace_per_address; /* of connections that others open */
  kad__pace pace_per_group;
  /* The next two as in kad__connection_config; the key is copied. */
  uint8_t protocols[KAD__SECURITY_PROTOCOLS];
  const uint8_t *network_key;
  /* Above `high_water` the least valuable connections that are older than
   * `grace_period` are closed, down to `low_water`, once in `silence_period`.
   */
  uint32_t low_water;
  uint32_t high_water;
  kad_time grace_period;   /* 1 min */
  kad_time silence_period; /* 10 s */
  kad_gater gater;         /* what its functions need is borrowed */
  kad__stream_watch watch;
  kad__swarm_transports transports;
} kad__swarm_config;

void kad__swarm_config_default(kad__swarm_config *config);

int kad__swarm_new(kad__swarm **out, const kad__swarm_config *config,
                   kad_time now);
void kad__swarm_free(kad__swarm *s);
/* The wall clock at `now`, by which certificates are judged. */
void kad__swarm_set_wall_clock(kad__swarm *s, kad_time now, uint64_t unix_ns);

/* ---- for the node ------------------------------------------------------ */

/* Protocols that we answer, with a tag each that comes back in events. A
 * change is an event-less fact; identify push tells the peers.
 * KAD_E_INVALID_ARGUMENT (an empty name, or one too long to propose),
 * KAD_E_NO_MEMORY, KAD_E_LIMIT (32 at a time, 128 different ones ever). */
int kad__swarm_handle(kad__swarm *s, kad_bytes protocol, uint32_t tag);
/* The same for every name that `match` takes; `protocol` itself is one. */
typedef bool (*kad__protocol_match)(void *user, kad_bytes protocol);
int kad__swarm_handle_match(kad__swarm *s, kad_bytes protocol, uint32_t tag,
                            kad__protocol_match match, void *user);
void kad__swarm_unhandle(kad__swarm *s, kad_bytes protocol);
/* The tag of a protocol that is handled; 0: it is not. */
uint32_t kad__swarm_tag_of(const kad__swarm *s, kad_bytes protocol);
kad__protocol_names kad__swarm_protocols(const kad__swarm *s);

/* The name of the transport that would dial, or listen on, an address; NULL:
 * none. Of a name it is that of what it leads to. */
const char *kad__swarm_transport_for(const kad__swarm *s, kad_bytes address,
                                     bool to_dial);

/* Starts to listen on a multiaddr (/ip4|ip6/../tcp/.., or what the owner's
 * transports take). The outcome is an event. KAD_E_UNSUPPORTED: nothing that we
 * can listen on. */
int kad__swarm_listen(kad__swarm *s, kad_bytes address);
/* Ends the listener that was asked for at `address`, or is bound to it. Its
 * connections stay; LISTEN_CLOSED follows. False: there is none. */
bool kad__swarm_unlisten(kad__swarm *s, kad_bytes address);
/* Bound addresses, ports filled in; wildcards as the world expanded them. */
size_t kad__swarm_listen_addresses(const kad__swarm *s, kad_bytes *out,
                                   size_t cap);
/* One listener after the other: what was asked for, and the list of what is
 * bound, empty before that is known. Start with *at = 0; false at the end. */
bool kad__swarm_next_listener(const kad__swarm *s, size_t *at, kad_bytes *asked,
                              kad_bytes *bound);

/* Connects to `peer` over its known addresses and those of `addresses` (a list
 * of wire/addresses.h; may be empty). Returns 0 when a dial is under way (also
 * one begun earlier): CONNECTED or DIAL_FAILED follows, once. Returns 1 when
 * connected already; no event then. KAD_E_SELF, KAD_E_NO_ADDRESS, KAD_E_BACKOFF
 * (every address failed recently), KAD_E_GATED, KAD_E_LIMIT, KAD_E_NO_MEMORY.
 */
int kad__swarm_dial(kad__swarm *s, const kad_peer_id *peer, kad_bytes addresses,
                    kad_time now);
/* Connects to whoever answers at one address, which may end in /p2p/ID, also
 * when that peer is connected already, and whatever failed before. `*dial`
 * names the attempt in its CONNECTED or DIAL_FAILED event; it joins a dial to
 * the same peer that is under way. KAD_E_MULTIADDR, KAD_E_NO_ADDRESS (nothing
 * that we can dial), KAD_E_SELF, KAD_E_LIMIT, KAD_E_NO_MEMORY. */
int kad__swarm_dial_address(kad__swarm *s, kad__id *dial, kad_bytes address,
                            kad_time now);

bool kad__swarm_connected(const kad__swarm *s, const kad_peer_id *peer);
/* Closes one connection with a code that the peer is told, or one or all of a
 * peer with none. DISCONNECTED follows. */
void kad__swarm_close(kad__swarm *s, kad__id connection, uint32_t code,
                      kad_time now);
void kad__swarm_disconnect(kad__swarm *s, kad__id connection, kad_time now);
void kad__swarm_disconnect_peer(kad__swarm *s, const kad_peer_id *peer,
                                kad_time now);
/* A connection that is protected is not closed for being idle. Without memory
 * it is not protected. */
void kad__swarm_protect(kad__swarm *s, const kad_peer_id *peer, bool on);

/* Ends all there is: listeners, dials (KAD_E_CANCELLED), connections, whose
 * peers are told that we shut down. Nothing new is taken on from now on. */
void kad__swarm_shut(kad__swarm *s, kad_time now);
/* ... and that is done: every channel is closed, all events were polled. */
bool kad__swarm_is_shut(const kad__swarm *s);

kad__peerstore *kad__swarm_peerstore(kad__swarm *s);
/* What peers are worth. */
kad__values *kad__swarm_values(kad__swarm *s);
/* Closes down to the low water mark, `all`: also those that have just come.
 * Returns how many connections were closed. */
size_t kad__swarm_trim(kad__swarm *s, bool all, kad_time now);

typedef struct kad__connection_info {
  kad__id id;
  kad_peer_id peer;
  bool inbound;
  kad_bytes remote_address; /* as connected, without /p2p; borrowed */
  kad_bytes local_address;
  kad_bytes public_key; /* the peer's, protobuf; borrowed */
  kad_time opened;
  size_t streams;
  size_t unacknowledged; /* of ours, by the peer */
  const char *transport;
  kad__security_protocol security;
  bool early_muxer;
  kad_time round_trip; /* 0: not measured */
  uint64_t bytes_in;   /* as the world carries them */
  uint64_t bytes_out;
} kad__connection_info;

/* False when there is no such established connection. */
bool kad__swarm_connection(const kad__swarm *s, kad__id id,
                           kad__connection_info *out);
/* Walks the established connections: start with 0; 0 at the end. */
kad__id kad__swarm_connection_next(const kad__swarm *s, kad__id after);
size_t kad__swarm_connection_count(const kad__swarm *s);
const kad_swarm_counters *kad__swarm_counters_get(const kad__swarm *s);
/* What is used now, beside its limits; of one peer (false: it is not connected,
 * nor being dialled). */
void kad__swarm_usage(const kad__swarm *s, kad_usage *out);
bool kad__swarm_usage_peer(const kad__swarm *s, kad_usage *out,
                           const kad_peer_id *peer);

typedef enum kad__swarm_event_type {
  KAD__SWARM_LISTENING,       /* address */
  KAD__SWARM_LISTEN_FAILED,   /* address, error */
  KAD__SWARM_LISTEN_CLOSED,   /* address: as it was asked for; error 0: we
                                 were asked to */
  KAD__SWARM_CONNECTED,       /* connection, peer, dial, inbound, first */
  KAD__SWARM_DISCONNECTED,    /* connection, peer, error, last; error 0: we
                                 closed it, being asked to or it being idle */
  KAD__SWARM_DIAL_FAILED,     /* peer (len 0: unknown), dial, error */
  KAD__SWARM_INBOUND_FAILED,  /* address, error: an upgrade failed */
  KAD__SWARM_STREAM_INBOUND,  /* stream, tag: the peer opened it */
  KAD__SWARM_STREAM_OPENED,   /* stream, tag: ours is negotiated */
  KAD__SWARM_STREAM_READABLE, /* stream: bytes or the end */
  KAD__SWARM_STREAM_WRITABLE, /* stream: what was queued has left; not told
                                 before STREAM_OPENED or STREAM_INBOUND */
  KAD__SWARM_STREAM_DEAD      /* stream, error: only release is left */
} kad__swarm_event_type;

typedef struct kad__swarm_event {
  kad__swarm_event_type type;
  int error;
  bool inbound;
  bool first; /* CONNECTED: the only connection to the peer now */
  bool last;  /* DISCONNECTED: none is left */
  uint32_t tag;
  kad__id connection;
  kad__id dial;
  kad_peer_id peer;
  kad__stream *stream;
  kad_bytes address; /* borrowed until the next poll */
  uint32_t code;     /* DISCONNECTED: what the peer gave; 0: none */
  const struct kad__dial *failed; /* DIAL_FAILED: for kad__dial_failure_next */
} kad__swarm_event;

/* The addresses of a failed dial, one by one, and why each failed: those that
 * were tried, then those that were left out, at most 16, unresolved names among
 * them. Start with *cursor = 0; false at the end. The address is without /p2p,
 * and borrowed until the next poll. */
bool kad__dial_failure_next(const struct kad__dial *dial, size_t *cursor,
                            kad_bytes *address, int *error);

/* The next event; false when there is none. Per connection the order is
 * CONNECTED, its streams' events, DISCONNECTED; every stream is DEAD or
 * released before DISCONNECTED. */
bool kad__swarm_poll_event(kad__swarm *s, kad__swarm_event *out);

/* ---- streams (for the protocols) --------------------------------------- */

/* Opens a stream on the peer's best connection and proposes `protocols` in
 * turn. Bytes may be written at once: with one protocol they travel together
 * with the proposal. `tag` and `user` are the owner's. STREAM_OPENED or
 * STREAM_DEAD follows. KAD_E_CLOSED: not connected; KAD_E_LIMIT;
 * KAD_E_NO_MEMORY. The names must stay valid while the stream lives. */
int kad__stream_open(kad__swarm *s, kad__stream **out, const kad_peer_id *peer,
                     kad__protocol_names protocols, uint32_t tag, void *user,
                     kad_time now);
int kad__stream_open_on(kad__swarm *s, kad__stream **out, kad__id connection,
                        kad__protocol_names protocols, uint32_t tag, void *user,
                        kad_time now);

typedef struct kad__stream_info {
  uint64_t id; /* never 0, never used again */
  kad__id connection;
  kad_peer_id peer;
  kad_bytes protocol; /* agreed, or the first that we propose; empty: neither */
  bool inbound;
  bool agreed;
  kad_time opened;
  uint64_t bytes_in; /* moved for its owner */
  uint64_t bytes_out;
} kad__stream_info;

void kad__stream_get_info(const kad__stream *stream, kad__stream_info *out);
/* The oldest stream of `connection` whose id is above `after`; false: none. */
bool kad__stream_next(const kad__swarm *s, kad__id connection, uint64_t after,
                      kad__stream_info *out);

void kad__stream_set_user(kad__stream *stream, void *user);
void *kad__stream_user(const kad__stream *stream);
uint32_t kad__stream_tag(const kad__stream *stream);
const kad_peer_id *kad__stream_peer(const kad__stream *stream);
kad__id kad__stream_connection(const kad__stream *stream);
/* The code of the peer's reset; 0: it gave none, or has not reset it. */
uint32_t kad__stream_reset_code(const kad__stream *stream);
/* The agreed (or only proposed) protocol. */
kad_bytes kad__stream_protocol(const kad__stream *stream);

/* Reading and writing, as in connection/yamux.h. */
kad_bytes kad__stream_peek(const kad__stream *stream);
void kad__stream_consume(kad__stream *stream, size_t len);
bool kad__stream_ended(const kad__stream *stream);
int kad__stream_write(kad__stream *stream, kad_bytes bytes);
int kad__stream_reserve(kad__stream *stream, uint8_t **out, size_t len);
void kad__stream_commit(kad__stream *stream, size_t len);
size_t kad__stream_unsent(const kad__stream *stream);
void kad__stream_close_write(kad__stream *stream);

/* An event KAD__SWARM_STREAM_DEAD with KAD_E_TIMEOUT at that time, unless it is
 * set again; KAD_TIME_NEVER is none. The stream is reset then. */
int kad__stream_set_deadline(kad__stream *stream, kad_time at);
/* Says how many bytes the owner holds, elsewhere, of what came over the stream:
 * they count against the limits until the stream is given back. */
void kad__stream_charge(kad__stream *stream, size_t bytes);

/* Ends the stream and gives it back; no event of it follows. Release closes
 * gracefully: what is queued is still sent. */
void kad__stream_release(kad__stream *stream);
/* Resets with a libp2p stream error code, and gives it back. */
void kad__stream_reset(kad__stream *stream, uint32_t code);

/* ---- for the world ----------------------------------------------------- */

typedef enum kad__world_action_type {
  KAD__WORLD_LISTEN,   /* id, address */
  KAD__WORLD_UNLISTEN, /* id */
  KAD__WORLD_DIAL,     /* id, address: without /p2p */
  KAD__WORLD_CLOSE,    /* id: after what was pulled has been written */
  KAD__WORLD_PAUSE,    /* id: stop reading */
  KAD__WORLD_RESUME,   /* id: read again */
  KAD__WORLD_RESOLVE   /* id, query, name */
} kad__world_action_type;

typedef enum kad__resolve_query {
  KAD__RESOLVE_IP4 = 1,
  KAD__RESOLVE_IP6 = 2,
  KAD__RESOLVE_IP = 3, /* both */
  KAD__RESOLVE_TXT = 4
} kad__resolve_query;

typedef struct kad__world_action {
  kad__world_action_type type;
  kad__resolve_query query;
  kad__id id;
  kad_bytes address; /* borrowed until the next poll */
  kad_bytes name;    /* no NUL */
  uint8_t transport; /* of a listener or channel: 0: TCP, or whose it is */
} kad__world_action;

bool kad__swarm_poll_action(kad__swarm *s, kad__world_action *out);

/* Listening succeeded on `addresses` (a list of wire/addresses.h; ports filled
 * in, wildcards expanded to the interfaces), or failed, at once or later. May
 * be said again when the interfaces change. */
void kad__swarm_listening(kad__swarm *s, kad__id listener, kad_bytes addresses,
                          kad_time now);
void kad__swarm_listen_failed(kad__swarm *s, kad__id listener, int error);

/* A channel was accepted. Returns 0 and its id, or KAD_E_LIMIT, KAD_E_GATED or
 * KAD_E_NO_MEMORY: close it. */
int kad__swarm_accepted(kad__swarm *s, kad__id *connection, kad__id listener,
                        kad_bytes remote, kad_bytes local, kad_time now);
/* Somebody came and the world could not take it: it waits, or was hung up on
 * for want of descriptors. */
void kad__swarm_not_accepted(kad__swarm *s, bool waits);
void kad__swarm_dialed(kad__swarm *s, kad__id connection, kad_bytes local,
                       kad_time now);
void kad__swarm_dial_failed(kad__swarm *s, kad__id connection, int error,
                            kad_time now);
/* Bytes were read (and may be scribbled over). */
void kad__swarm_input(kad__swarm *s, kad__id connection, uint8_t *in,
                      size_t len, kad_time now);
/* The channel ended (error 0) or failed; the world has closed it or will, and
 * forgets the id. */
void kad__swarm_closed(kad__swarm *s, kad__id connection, int error,
                       kad_time now);

/* The next connection that has something to send, or 0. Each is named once;
 * then the world pulls until kad__swarm_output returns 0, or, when its socket
 * is full, keeps the id and pulls on when there is room. */
kad__id kad__swarm_next_output(kad__swarm *s);
size_t kad__swarm_output(kad__swarm *s, kad__id connection, uint8_t *out,
                         size_t cap, kad_time now);

/* One IP address (4 or 16 bytes) or TXT string of a resolution's answer; then
 * the end of it, with an error when nothing came. */
void kad__swarm_resolved(kad__swarm *s, kad__id resolution, kad_bytes value,
                         kad_time now);
void kad__swarm_resolve_end(kad__swarm *s, kad__id resolution, int error,
                            kad_time now);

/* When to call kad__swarm_tick. Actions, output and events can follow from
 * every call; there is no deadline for them. */
kad_time kad__swarm_deadline(const kad__swarm *s);
void kad__swarm_tick(kad__swarm *s, kad_time now);
/* Are there actions, output or events to be taken? */
bool kad__swarm_busy(const kad__swarm *s);

/* ---- traffic ------------------------------------------------------------ */

/* What streams moved for applications, and what connections carried, overhead
 * and handshakes included. */
void kad__swarm_bandwidth(const kad__swarm *s, kad__bandwidth_rates *streams,
                          kad__bandwidth_rates *raw, kad_time now);
/* The same of one peer, from its connections on; false: not known, or trimmed
 * since. */
bool kad__swarm_bandwidth_peer(const kad__swarm *s,
                               kad__bandwidth_rates *streams,
                               kad__bandwidth_rates *raw,
                               const kad_peer_id *peer, kad_time now);
/* What the streams of one protocol moved; false as above. */
bool kad__swarm_bandwidth_protocol(const kad__swarm *s,
                                   kad__bandwidth_rates *streams,
                                   kad_bytes protocol, kad_time now);

/* ---- for tests --------------------------------------------------------- */

/* Walks every invariant: NULL when all hold, else the first that does not. */
const char *kad__swarm_check(const kad__swarm *s);

#endif
