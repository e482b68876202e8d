/**
 * @file
 * What one asks of a node, and what it answers: requests and events.
 *
 * A request names an operation and its parameters. Its results arrive as
 * events that carry the request's number; the last of them is always
 * KAD_EVENT_END. Both kad_node (one's own loop) and kad_service (a thread of
 * its own) speak in these.
 */
#ifndef KADMIUM_REQUEST_H
#define KADMIUM_REQUEST_H

#include "kadmium/error.h"
#include "kadmium/peer_id.h"
#include "kadmium/types.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Names a request that was started; never 0, never reused by that node. */
typedef uint64_t kad_request_id;

typedef enum kad_operation {
  /** The addresses of `peer`: one KAD_EVENT_PEER. */
  KAD_FIND_PEER,
  /** The `count` peers closest to `key`, closest first: KAD_EVENT_PEER each.
   * `key` is what is hashed: a binary PeerId or multihash, or any bytes. */
  KAD_CLOSEST,
  /** The value of `key`: KAD_EVENT_VALUE for each better value found, so the
   * last one is the best; with `collect` for every record, whoever has it. Ends
   * by itself after `quorum` values, of which ours is one, or when all who
   * should have it have been asked; KAD_QUORUM_ALL asks all of them. Peers with
   * an outdated record, and the closest that has none, are then given the best
   * one. */
  KAD_GET,
  /** Stores `value` under `key` at the closest peers and in this node, which
   * republishes it while it runs. Succeeds once `quorum` peers have it. A peer
   * that refuses a record does not say why. */
  KAD_PUT,
  /** As KAD_PUT, but sends the record to `peer`, or to all of `peers`, alone
   * and keeps no copy. The quorum is one of these peers, each counted once; we
   * may not be among them. */
  KAD_PUT_TO,
  /** Announces this node as a provider of `key` (a binary multihash), and
   * again from time to time, until KAD_STOP_PROVIDING. */
  KAD_PROVIDE,
  /** Stops announcing `key`; others forget it when their record expires. */
  KAD_STOP_PROVIDING,
  /** Providers of `key`: KAD_EVENT_PROVIDER each, as they are found, until
   * there are `count` of them (0: all); `count` of END is their number. */
  KAD_FIND_PROVIDERS,
  /** Refreshes the routing table: a look-up of this node, then one for each
   * distance. */
  KAD_BOOTSTRAP,
  /** Connects to `address` (which may end in /p2p/ID), or to `peer`:
   * KAD_EVENT_PEER with the proven identity. */
  KAD_CONNECT,
  /** Measures the round trip to `address` or `peer`, `count` times:
   * KAD_EVENT_PONG each. */
  KAD_PING
} kad_operation;

typedef enum kad_quorum_kind {
  KAD_QUORUM_ONE,
  KAD_QUORUM_MAJORITY, /**< more than half of the peers that exist */
  KAD_QUORUM_ALL,      /**< all peers that exist, at most the closest 20 */
  KAD_QUORUM_N         /**< `n` of them, or all when there are fewer */
} kad_quorum_kind;

typedef struct kad_quorum {
  kad_quorum_kind kind;
  uint32_t n;
} kad_quorum;

/** Parameters; what an operation does not mention is ignored. Start from
 * KAD_REQUEST_INIT. Bytes are borrowed for the call that takes the request. */
typedef struct kad_request {
  kad_operation operation;
  uint32_t count;
  kad_time timeout; /**< of the whole request; 0: one minute */
  kad_bytes key;
  kad_bytes value;
  kad_bytes address; /**< binary multiaddr */
  kad_peer_id peer;
  kad_quorum quorum;
  bool trace;        /**< report KAD_EVENT_ASKED and KAD_EVENT_ANSWERED, too */
  bool collect;      /**< KAD_GET: report every record, not only better ones */
  kad_time lifetime; /**< KAD_PUT, KAD_PUT_TO: until the record expires; 0: the
                          configured record_ttl, again and again */
  const kad_peer_id *peers; /**< KAD_PUT_TO: at most 256; NULL: `peer` alone */
  size_t peer_count;
  /** Report where it ended, too: before END one KAD_EVENT_PEER, closest first,
   * for each of the closest peers that answered. Of a KAD_GET those alone that
   * lacked the record; of KAD_FIND_PROVIDERS all; of KAD_PUT, KAD_PUT_TO and
   * KAD_PROVIDE those that have taken it by then. They do not count as results.
   */
  bool report_peers;
} kad_request;

#ifdef __cplusplus
static inline kad_request kad_request_init(kad_operation operation) {
  kad_request request = kad_request();
  request.operation = operation;
  return request;
}
#define KAD_REQUEST_INIT(op) kad_request_init(op)
#else
#define KAD_REQUEST_INIT(op) \
  { .operation = (op) }
#endif

/** What was done for a request. */
typedef struct kad_statistics {
  uint32_t requests;  /**< remote calls made */
  uint32_t successes; /**< of these, answered */
  uint32_t failures;  /**< of these, failed or timed out */
  uint32_t hops;      /**< longest chain of answers that led to a result */
  uint32_t stored;    /**< peers that took the record (put, provide) */
  kad_time elapsed;   /**< from the start of the request */
} kad_statistics;

/** Why a look-up ended. */
typedef enum kad_lookup_ending {
  KAD_LOOKUP_NONE,      /**< there was none, or it has not */
  KAD_LOOKUP_CONVERGED, /**< the closest peers have answered */
  KAD_LOOKUP_STARVED,   /**< nobody was left to ask, and fewer have answered */
  KAD_LOOKUP_SATISFIED, /**< it had what was wanted: quorum, count, the peer */
  KAD_LOOKUP_TIMED_OUT,
  KAD_LOOKUP_FINISHED /**< by the owner: kad_node_finish, kad_node_cancel */
} kad_lookup_ending;

typedef enum kad_event_type {
  /* Results of a request. */
  KAD_EVENT_PEER,     /**< peer, addresses */
  KAD_EVENT_PROVIDER, /**< peer, addresses, key */
  KAD_EVENT_VALUE,    /**< key, value, publisher, ttl, best; peer (its len is 0:
                         our own store) */
  KAD_EVENT_PONG,     /**< peer, round_trip */
  KAD_EVENT_PROGRESS, /**< of a bootstrap: key: what was looked up; count: steps
                         that are left, at most; error: it ran out of time, and
                         the next step follows all the same */
  KAD_EVENT_END,      /**< error, statistics; count: results; ending: of the
                         look-up, if there was one; the request is over */
  /* The life of the node. */
  KAD_EVENT_LISTENING,     /**< addresses: all we listen on, with /p2p/ID */
  KAD_EVENT_LISTEN_FAILED, /**< addresses, error */
  KAD_EVENT_READY,         /**< joined (or nobody to join); count: peers */
  KAD_EVENT_CONNECTED,     /**< peer, addresses: the remote one; inbound */
  KAD_EVENT_DISCONNECTED,  /**< peer, error, code (of the peer): no connection
                              is left */
  KAD_EVENT_DIAL_FAILED,   /**< addresses, error: a bootstrap address; before
                              the END of a KAD_CONNECT or KAD_PING that failed:
                              each address that was tried, at most 16; count:
                              how many more there are */
  KAD_EVENT_IDENTIFIED,    /**< peer, addresses, agent, protocols, observed */
  KAD_EVENT_MODE,          /**< server: what the node now is */
  KAD_EVENT_UPKEEP, /**< operation (KAD_PUT, KAD_PROVIDE: published again;
                       KAD_BOOTSTRAP: the table refreshed), key, error, ending,
                       statistics: what the node did by itself */
  /* The routing table and its callers. */
  KAD_EVENT_ROUTING_ADDED,    /**< peer, addresses, bucket; evicted */
  KAD_EVENT_ROUTING_UPDATED,  /**< peer, addresses, bucket */
  KAD_EVENT_ROUTING_REMOVED,  /**< peer, bucket */
  KAD_EVENT_UNROUTABLE,       /**< peer: speaks our protocol, no address */
  KAD_EVENT_ROUTABLE,         /**< peer, addresses: not inserted */
  KAD_EVENT_PENDING_ROUTABLE, /**< peer, addresses: waits for a place */
  KAD_EVENT_INBOUND, /**< peer, rpc, key; in our answer: count (closer peers),
                        found (records or providers); when filtering: value,
                        publisher, ttl (a record) or addresses (a provider) */
  /* The trace of a request. */
  KAD_EVENT_ASKED,    /**< peer, addresses, rpc, hops, elapsed */
  KAD_EVENT_ANSWERED, /**< peer, rpc, hops, elapsed; error, or count: closer
                        peers that it named */
  /* Later additions. */
  KAD_EVENT_REACHABLE,   /**< addresses: one at which others reach us */
  KAD_EVENT_UNREACHABLE, /**< addresses: one at which they do not, any more */
  KAD_EVENT_REVIEW,      /**< peer, rpc, key, token; value, publisher, ttl (a
                            record) or addresses (a provider): waits for
                            kad_node_review */
  /* Streams, see stream.h. All: stream, peer, protocol, inbound. */
  KAD_EVENT_STREAM_INBOUND,  /**< a peer has opened it */
  KAD_EVENT_STREAM_OPENED,   /**< ours is agreed */
  KAD_EVENT_STREAM_READABLE, /**< bytes, or the peer's end */
  KAD_EVENT_STREAM_WRITABLE, /**< there is room again */
  KAD_EVENT_STREAM_TIMEOUT,  /**< count: kad_stream_side whose time is over */
  KAD_EVENT_STREAM_ENDED,    /**< error, code: it is dead; close it */
  KAD_EVENT_LISTEN_CLOSED,   /**< addresses: as it was asked for; error: why, 0:
                                we were asked to */
  /* With kad_node_options.report_swarm, for every connection and every stream,
   * the node's own included. */
  KAD_EVENT_CONNECTION_OPENED, /**< peer, connection, addresses: the remote one;
                                  inbound */
  KAD_EVENT_CONNECTION_CLOSED, /**< peer, connection, error, code (of the peer)
                                */
  KAD_EVENT_STREAM_BEGUN, /**< peer, connection, stream_id, protocol, inbound:
                             the protocol is agreed */
  KAD_EVENT_STREAM_OVER,  /**< the same: its user has let go of it */
  KAD_EVENT_CLOSED        /**< the node has ended, see kad_node_close */
} kad_event_type;

/** A stream of your own protocol, see stream.h. */
typedef struct kad_stream kad_stream;

/** One event. Fields that its type does not name are zero. Bytes are borrowed
 * until the next event is taken, or for the duration of the callback. */
typedef struct kad_event {
  kad_event_type type;
  int error;              /**< 0 or a kad_error */
  kad_request_id request; /**< 0 when it belongs to none */
  kad_peer_id peer;
  kad_peer_id evicted;
  kad_bytes addresses; /**< a list, see kad_addresses_next */
  kad_bytes observed;  /**< binary multiaddr: where the peer sees us */
  kad_bytes key;
  kad_bytes value;
  kad_bytes agent;     /**< text, as sent by the peer: not trustworthy */
  kad_bytes protocols; /**< a list, see kad_addresses_next; entries are text */
  kad_statistics statistics;
  kad_time round_trip;
  uint32_t count;
  uint32_t bucket;
  uint32_t rpc;     /**< number of the message type on the wire */
  uint32_t hops;    /**< length of the chain of answers that led to the peer */
  kad_time elapsed; /**< since the start of the request */
  uint32_t ttl; /**< seconds that a record has left; 0: for ever or unsaid */
  kad_peer_id publisher; /**< of a record; its len is 0 when unsaid */
  bool inbound;
  bool server;
  bool best;               /**< no record before it was better */
  bool last;               /**< of its request: KAD_EVENT_END */
  uint32_t step;           /**< numbers the events of a request, from 1 */
  kad_operation operation; /**< of the request */
  uint64_t token;          /**< names what waits for your verdict */
  uint32_t found;          /**< records or providers in our answer */
  kad_lookup_ending ending;
  kad_stream *stream;
  kad_bytes protocol;  /**< text; borrowed until the stream is given back */
  uint32_t code;       /**< with which the peer has ended it; 0: none */
  uint64_t connection; /**< see kad_connection_info.id */
  uint64_t stream_id;  /**< see kad_stream_info.id */
} kad_event;

/**
 * Takes the next entry off a list: each address is a valid binary multiaddr.
 * Start with a copy of the event's list; false at its end.
 */
KAD_API bool kad_addresses_next(kad_bytes *rest, kad_bytes *address);

#ifdef __cplusplus
}
#endif

#endif
