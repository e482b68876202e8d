/**
 * @file
 * The connections of a node: which there are, what they are like, how they are
 * closed, and what was refused.
 */
#ifndef KADMIUM_CONNECTIONS_H
#define KADMIUM_CONNECTIONS_H

#include "kadmium/node.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Why a connection is ended, as both sides see it (libp2p, specification of
 * error codes). Others are yours to choose. */
typedef enum kad_connection_code {
  KAD_CONNECTION_CODE_NONE = 0,
  KAD_CONNECTION_CODE_NEGOTIATION = 0x1000,
  KAD_CONNECTION_CODE_LIMIT = 0x1001,
  KAD_CONNECTION_CODE_RATE_LIMITED = 0x1002,
  KAD_CONNECTION_CODE_PROTOCOL_VIOLATION = 0x1003,
  KAD_CONNECTION_CODE_SUPPLANTED = 0x1004,
  KAD_CONNECTION_CODE_GARBAGE_COLLECTED = 0x1005,
  KAD_CONNECTION_CODE_SHUTDOWN = 0x1006,
  KAD_CONNECTION_CODE_GATED = 0x1007
} kad_connection_code;

/** An established connection. Bytes and texts are borrowed until the node is
 * driven. */
typedef struct kad_connection_info {
  uint64_t id; /**< never 0, never used again */
  kad_peer_id peer;
  bool inbound;
  kad_bytes remote_address; /**< binary multiaddr, without /p2p */
  kad_bytes local_address;
  kad_bytes public_key; /**< the peer's, protobuf */
  kad_time age;
  uint32_t streams;        /**< open now, in both directions */
  const char *transport;   /**< "tcp", or the name of one of yours */
  const char *security;    /**< "/noise", "/tls/1.0.0" */
  const char *multiplexer; /**< "/yamux/1.0.0" */
  bool early_multiplexer;  /**< agreed inside the security handshake */
  kad_time round_trip;     /**< as last measured; 0: not yet */
  uint64_t bytes_in; /**< read from and written to the socket since it opened */
  uint64_t bytes_out;
  uint32_t unacknowledged; /**< of our streams those that the peer has not
                              acknowledged: at most 256, more wait */
} kad_connection_info;

/** Takes the connections one by one, to `peer` alone unless that is NULL: start
 * with *cursor = 0; false at the end. Those that come or go meanwhile may or
 * may not be among them. */
KAD_API bool kad_node_next_connection(const kad_node *node, uint64_t *cursor,
                                      const kad_peer_id *peer,
                                      kad_connection_info *out);

/** One connection by its id; false when there is none (any more). */
KAD_API bool kad_node_connection(const kad_node *node, uint64_t id,
                                 kad_connection_info *out);

/** A stream of a connection, whoever uses it: you or the node itself. */
typedef struct kad_stream_summary {
  uint64_t id; /**< never 0, never used again */
  uint64_t connection;
  kad_peer_id peer;
  kad_bytes protocol; /**< agreed, or the first that is proposed; empty: the
                         peer has not proposed any so far; borrowed until the
                         node is driven */
  bool inbound;       /**< the peer has opened it */
  bool agreed;
  kad_time age;
  uint64_t bytes_in; /**< read by its user, and taken from him */
  uint64_t bytes_out;
} kad_stream_summary;

/** Takes the streams of a connection one by one, oldest first: start with
 * *cursor = 0; false at the end. */
KAD_API bool kad_node_next_stream(const kad_node *node, uint64_t *cursor,
                                  uint64_t connection, kad_stream_summary *out);

typedef enum kad_connectedness {
  KAD_NOT_CONNECTED = 0,
  KAD_CONNECTED = 1,
  KAD_CONNECTED_LIMITED = 4 /**< through a relay: never so far */
} kad_connectedness;

KAD_API kad_connectedness kad_node_connectedness(const kad_node *node,
                                                 const kad_peer_id *peer);

/** Ends a connection: its streams die, then KAD_EVENT_DISCONNECTED follows when
 * it was the last to that peer, who is told `code`. False: there is none. */
KAD_API bool kad_node_close_connection(kad_node *node, uint64_t id,
                                       uint32_t code);
/** The same with all connections to a peer; returns how many there were. */
KAD_API size_t kad_node_disconnect(kad_node *node, const kad_peer_id *peer,
                                   uint32_t code);

/** Listens on one more multiaddr; KAD_EVENT_LISTENING or
 * KAD_EVENT_LISTEN_FAILED follows. KAD_E_MULTIADDR: malformed.
 * KAD_E_UNSUPPORTED: nothing that we can listen on (kadmium/transport.h).
 * KAD_E_NO_MEMORY. */
KAD_API int kad_node_listen(kad_node *node, const char *address);
/** Stops listening on an address that was given so, or that
 * kad_node_listen_addresses names; connections stay. KAD_EVENT_LISTENING tells
 * what is left. False: we do not listen there. */
KAD_API bool kad_node_unlisten(kad_node *node, const char *address);
/** What we listen on, as a list for kad_addresses_next: ports filled in,
 * wildcards as the addresses of this machine's interfaces. Borrowed until the
 * node is driven. */
KAD_API kad_bytes kad_node_listen_addresses(kad_node *node);
/** The listeners one by one: `*asked` is the binary multiaddr that was given,
 * wildcards and port 0 as they are, `*bound` the list of what became of it,
 * empty before that is known. Start with *at = 0; false at the end. Borrowed
 * until the node is driven. */
KAD_API bool kad_node_next_listener(const kad_node *node, size_t *at,
                                    kad_bytes *asked, kad_bytes *bound);

/* ---- as text ------------------------------------------------------------- */

/** One line for a log: what the node is, how many know it, where it listens.
 * Returns the length, without the NUL; KAD_E_BUFFER_TOO_SMALL: `out` is of no
 * use. The words may change; do not parse them. */
KAD_API int kad_node_format(char *out, size_t cap, kad_node *node);
/** The same of a connection: to whom, where, how secured. */
KAD_API int kad_connection_format(char *out, size_t cap,
                                  const kad_connection_info *info);

/* ---- counters ------------------------------------------------------------ */

/** What has happened since the node was made. */
typedef struct kad_swarm_counters {
  uint64_t opened_inbound; /**< connections, established */
  uint64_t opened_outbound;
  uint64_t closed;         /**< of these */
  uint64_t failed_inbound; /**< accepted, and failed before established */
  uint64_t failed_dials;   /**< addresses that were tried in vain */
  uint64_t trimmed;        /**< closed for there being too many */
  uint64_t black_holed;    /**< addresses not dialled: IPv6 leads nowhere */
  uint64_t gated;          /**< by the owner's gater, at any of its questions */
  /* Refused for want of something: */
  uint64_t refused_connections; /**< of room for connections in all */
  uint64_t refused_pending;     /**< as many are not yet established */
  uint64_t refused_address;     /**< as many come from that address */
  uint64_t refused_peer;        /**< as many are to that peer */
  uint64_t refused_memory;
  uint64_t refused_streams; /**< inbound, told 0x1002 */
  uint64_t refused_rate;    /**< connections: too many of late from there */
  uint64_t starved_streams; /**< reset, 0x1002: no memory for what arrived */
  uint64_t overrun_connections; /**< closed, 0x1001: the same, beyond streams */
  uint64_t refused_descriptors; /**< connections: the last are not for others */
  uint64_t failed_accepts; /**< the system was out of something; who waits is
                              taken later */
} kad_swarm_counters;

KAD_API void kad_node_swarm_counters(const kad_node *node,
                                     kad_swarm_counters *out);

/** How much there is of something, and how much there may be. */
typedef struct kad_quota {
  uint64_t used;
  uint64_t limit;
} kad_quota;

/** What connections use now, beside the limits of kad_node_options. */
typedef struct kad_usage {
  kad_quota connections;      /**< in both directions, closing ones included */
  kad_quota inbound;          /**< of these, those that others have opened */
  kad_quota pending;          /**< inbound, not yet established */
  kad_quota dials;            /**< addresses that are being dialled */
  kad_quota inbound_streams;  /**< that nobody has given back yet */
  kad_quota outbound_streams; /**< the same, ours */
  kad_quota memory;           /**< bytes that we hold for connections */
} kad_usage;

KAD_API void kad_node_usage(const kad_node *node, kad_usage *out);

/** The same of one peer, without `pending`, for nobody knows who that is; as
 * long as it is connected or dialled, or streams with it were not given back.
 * False otherwise, and nothing is in `out`. */
KAD_API bool kad_node_peer_usage(const kad_node *node, kad_usage *out,
                                 const kad_peer_id *peer);

#ifdef __cplusplus
}
#endif

#endif
