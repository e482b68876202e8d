/**
 * @file
 * A libp2p node with the DHT, driven by your own event loop.
 *
 *     wait until kad_node_fd() is readable or kad_node_timeout() has passed,
 *     kad_node_drive(), then kad_node_poll() until it returns false.
 *
 * It never blocks, never calls you back and starts no thread. A node is used by
 * one thread at a time; different nodes are independent. kad_service in
 * service.h is the same with a loop and thread of its own.
 */
#ifndef KADMIUM_NODE_H
#define KADMIUM_NODE_H

#include "kadmium/dht_options.h"
#include "kadmium/gater.h"
#include "kadmium/key.h"
#include "kadmium/request.h"
#include "kadmium/store.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct kad_node kad_node;

typedef enum kad_mode {
  /** A server once others can reach us: at once on loopback, on a protocol of
   * its own, or with announced addresses; a client otherwise. */
  KAD_MODE_AUTO,
  KAD_MODE_CLIENT, /**< asks; is asked nothing */
  KAD_MODE_SERVER
} kad_mode;

/** How a connection is secured. */
typedef enum kad_security {
  KAD_SECURITY_NOISE = 1, /**< /noise */
  KAD_SECURITY_TLS = 2    /**< /tls/1.0.0, TLS 1.3 */
} kad_security;

/** How many there are to choose from. */
#define KAD_SECURITY_COUNT 2

/** The least memory that a limit may leave to connections. */
#define KAD_MEMORY_MIN ((size_t)256 * 1024)

/** The most addresses that may be dialled at once. */
#define KAD_DIALS_MAX 4096

/** Length of the key of a private network. */
#define KAD_NETWORK_KEY_LEN 32

/**
 * Reads what stands in a `swarm.key` file, in base16, base64 or as it is. Keep
 * both secret. KAD_E_KEY: malformed.
 */
KAD_API int kad_network_key_parse(uint8_t out[KAD_NETWORK_KEY_LEN],
                                  kad_bytes text);

/** The protocol of IPFS's public DHT, which is the default. */
#define KAD_PROTOCOL_IPFS "/ipfs/kad/1.0.0"

/**
 * How a node shall be. Start from KAD_NODE_OPTIONS_INIT; everything is copied.
 * Fields are only ever added at the end.
 */
typedef struct kad_node_options {
  size_t struct_size; /**< sizeof(kad_node_options), set by the INIT macro */
  const kad_allocator *allocator; /**< NULL: kad_allocator_default() */
  const kad_key_pair *identity;   /**< NULL: a new one for each node */
  const char *protocol;           /**< NULL: KAD_PROTOCOL_IPFS */
  kad_mode mode;
  /** Multiaddrs to listen on; none: the node only dials. */
  const char *const *listen;
  size_t listen_count;
  /** Addresses under which others reach us, beside those we listen on. */
  const char *const *announce;
  size_t announce_count;
  /** Multiaddrs of members, with or without /p2p/ID; /dnsaddr is resolved. */
  const char *const *bootstrap;
  size_t bootstrap_count;
  /** Namespaces whose records are accepted unchecked, without slashes. On
   * KAD_PROTOCOL_IPFS they add to "pk" and "ipns", which are validated; on
   * another protocol everything is accepted when none are given, and only
   * these when there are some. */
  const char *const *namespaces;
  size_t namespace_count;
  const char *agent;        /**< NULL: "kadmium/VERSION" */
  kad_time idle_timeout;    /**< of connections without streams; 0: 30 s */
  uint32_t max_connections; /**< 0: 1000 */
  /** Also report KAD_EVENT_INBOUND for every request that others make. */
  bool report_inbound;
  /** Inbound records and providers are reported (KAD_EVENT_INBOUND) and
   * acknowledged, not stored: that is up to you, see kad_node_store_record. */
  bool filter_records;
  /** A fixed start of all randomness, for tests: never use it otherwise. */
  const uint8_t
      *seed; /**< KAD_RANDOM_SEED_LEN bytes, or NULL: from the system */
  kad_dht_options dht;
  /** Where records are kept; borrowed, outlives the node, which does not free
   * it. NULL: in memory. */
  kad_store *store;
  /** Each valid inbound record and provider waits for your verdict before it is
   * stored and acknowledged: KAD_EVENT_REVIEW, kad_node_review. At most 256
   * wait at once; more are refused. */
  bool review_records;
  /** Does not ask others whether they can dial us, nor dials for them (AutoNAT
   * v2, which a node on a public network does otherwise). */
  bool no_autonat;
  /** The kad_security that are proposed and accepted, in order of preference, 0
   * behind the last. None: others may use either with us, and we propose Noise
   * to them, which all know and which costs least. With one a dial takes a
   * round trip less than with two. */
  uint8_t security[KAD_SECURITY_COUNT];
  /** The key of a private network, KAD_NETWORK_KEY_LEN bytes, see
   * kad_network_key_parse: only who has it can connect. NULL: a public one. */
  const uint8_t *network_key;
  /** Who may connect; copied, what its functions need is borrowed. NULL: all.
   */
  const kad_gater *gater;
  /** Streams open on one connection: those that the peer has opened (0: 1024;
   * more are reset with code 0x1002), and ours (0: 448; more wait their turn,
   * as rust-libp2p ends a connection with more than 512). */
  uint32_t max_inbound_streams;
  uint32_t max_outbound_streams;
  /** Water marks of connections, see connection_manager.h. 0: three quarters
   * and four fifths of max_connections: where others have filled it up, it is
   * at seven eighths that no more of them come in. */
  uint32_t low_water;
  uint32_t high_water;
  kad_time grace_period; /**< before a connection may be closed; 0: 1 min */
  /** Peers in different places that must agree on where they see us before we
   * tell others; at most 32. 0: 4. */
  uint32_t observers;
  /** Asks the gateway (UPnP, NAT-PMP) to forward our ports to us, and tells
   * others the addresses that it grants. A thread talks to it; freeing the node
   * waits for it, a few seconds at most. Needs a build with miniupnpc or
   * libnatpmp: KAD_E_UNSUPPORTED otherwise. */
  bool port_mapping;
  /** Connections that others have opened and that are not yet secured and
   * multiplexed (0: 128); that come from one IPv4 address or IPv6 /64 (0: 16),
   * and from one IPv6 /48 (0: 128), loopback excepted; with one peer, whoever
   * has opened them (0: 8). More are refused, see kad_node_swarm_counters. */
  uint32_t max_pending_inbound;
  uint32_t max_inbound_per_address;
  uint32_t max_inbound_per_group;
  uint32_t max_connections_per_peer;
  /** Also report every connection and every stream of whatever protocol:
   * KAD_EVENT_CONNECTION_OPENED and _CLOSED, KAD_EVENT_STREAM_BEGUN and _OVER.
   */
  bool report_swarm;
  /** Streams of all connections, see kad_node_usage. Those that others have
   * opened: with one peer (0: 2,048), from one IPv4 address or IPv6 /64 (0:
   * 4,096), from one IPv6 /48 (0: 8,192; loopback excepted here and below), in
   * all (0: 16 for each of max_connections, at least 8,192); more are reset
   * with code 0x1002. Ours: with one peer (0: 1,024), in all (0: as many as
   * others); more wait their turn. */
  uint32_t max_inbound_streams_per_peer;
  uint32_t max_inbound_streams_per_address;
  uint32_t max_inbound_streams_per_group;
  uint32_t max_inbound_streams_in_all;
  uint32_t max_outbound_streams_per_peer;
  uint32_t max_outbound_streams_in_all;
  /** Bytes that we hold for connections: in all (0: 256 KiB for each of
   * max_connections, at least 64 MiB), for one peer and for one address (0: 64
   * MiB), for one /48 (0: 128 MiB), of these at most half of all. At least
   * KAD_MEMORY_MIN each. Of all of it, what others begin leaves an eighth to
   * what we begin. Beyond it connections and streams are refused, and streams
   * on which more arrives are reset with code 0x1002. */
  size_t max_memory;
  size_t max_memory_per_peer;
  size_t max_memory_per_address;
  size_t max_memory_per_group;
  /** How often others may connect: from one address so many at once (0: 32),
   * then so many in a minute (0: 60); from one /48 (0: 128, 240). */
  uint32_t inbound_burst_per_address;
  uint32_t inbound_rate_per_address;
  uint32_t inbound_burst_per_group;
  uint32_t inbound_rate_per_group;
  /** Addresses that are dialled at once, in all (0: 160) and of one peer (0:
   * 8); the others wait. At most KAD_DIALS_MAX. */
  uint32_t max_dials;
  uint32_t max_dials_per_peer;
  /** Transports of your own, beside TCP, see transport.h; copied, what their
   * functions need is borrowed. */
  const struct kad_transport *transports;
  size_t transport_count;
} kad_node_options;

#ifdef __cplusplus
static inline kad_node_options kad_node_options_init(void) {
  kad_node_options options = kad_node_options();
  options.struct_size = sizeof(options);
  return options;
}
#define KAD_NODE_OPTIONS_INIT kad_node_options_init()
#else
#define KAD_NODE_OPTIONS_INIT \
  { .struct_size = sizeof(kad_node_options) }
#endif

/**
 * Makes a node, binds its listeners and starts to join. `*out` is yours to
 * free. What goes wrong with an address later is an event.
 *
 * KAD_E_INVALID_ARGUMENT: an option makes no sense (a name without '/', a limit
 * of memory below KAD_MEMORY_MIN, water marks of which the low one is higher, a
 * transport without functions).
 * KAD_E_MULTIADDR: one of the addresses is malformed.
 * KAD_E_UNSUPPORTED: one that we cannot listen on; a network key, in a build
 * without libsodium.
 * KAD_E_NO_MEMORY, KAD_E_CRYPTO, KAD_E_WORLD.
 */
KAD_API int kad_node_new(kad_node **out, const kad_node_options *options);

/**
 * Begins to end the node in good order, which may take some turns: requests end
 * with KAD_E_CANCELLED, listeners close, dials are given up, streams die, and
 * every connection is closed, whose peer is told (code 0x1006). All of it is
 * reported as ever, KAD_EVENT_CLOSED last, a second later at most. What would
 * begin something is KAD_E_CLOSED from now on. Then kad_node_free.
 */
KAD_API void kad_node_close(kad_node *node);
/** Has that come to its end? */
KAD_API bool kad_node_is_closed(const kad_node *node);

/** Closes all connections at once and frees; takes NULL. */
KAD_API void kad_node_free(kad_node *node);

/** Our PeerId, borrowed. */
KAD_API const kad_peer_id *kad_node_id(const kad_node *node);

/** A descriptor that becomes readable when there is work (poll, epoll). */
KAD_API int kad_node_fd(const kad_node *node);

/** How long until kad_node_drive must be called, in milliseconds; -1: no limit.
 * Fits poll(2). Ask again after each drive and each started request. */
KAD_API int kad_node_timeout(const kad_node *node);

/** Does all work that is due, without blocking. */
KAD_API void kad_node_drive(kad_node *node);

/** Takes the next event; false when there is none. */
KAD_API bool kad_node_poll(kad_node *node, kad_event *out);

/**
 * Starts a request. Before the node has joined, it waits for that; when no
 * bootstrap peer can be reached it ends with KAD_E_NO_PEERS.
 *
 * KAD_E_INVALID_ARGUMENT: a parameter is missing or too long.
 * KAD_E_LIMIT: too many requests at once (10,000). KAD_E_NO_MEMORY.
 * KAD_E_RECORD, KAD_E_RECORD_REJECTED, KAD_E_RECORD_OLD, KAD_E_RECORD_EXPIRED,
 * KAD_E_SIGNATURE, KAD_E_RECORD_TOO_LARGE, KAD_E_STORE_FULL: the record of a
 * put that runs at once; otherwise these are the END event's error.
 */
KAD_API int kad_node_start(kad_node *node, kad_request_id *out,
                           const kad_request *request);

/** Ends a request early: KAD_EVENT_END with KAD_E_CANCELLED follows. False
 * when it has ended already. */
KAD_API bool kad_node_cancel(kad_node *node, kad_request_id request);

/** Our listening and announced addresses with /p2p/ID, as a list for
 * kad_addresses_next; borrowed until the node is driven. */
KAD_API kad_bytes kad_node_addresses(kad_node *node);

/** What a node is doing; see kad_node_status. */
typedef struct kad_node_status {
  bool ready;
  bool server;
  uint32_t connections;
  uint32_t table_size; /**< peers in the routing table */
  uint32_t requests;   /**< running */
  /** Requests that have ended and still bring records to peers that lacked
   * them: a node that is freed now cuts them short. */
  uint32_t background;
  uint64_t network_size; /**< servers, estimated from look-ups; 0: not yet */
} kad_node_status;

KAD_API void kad_node_get_status(const kad_node *node, kad_node_status *out);

/** Takes the connected peers, one by one: start with *cursor = 0; false at the
 * end. */
KAD_API bool kad_node_next_peer(const kad_node *node, uint64_t *cursor,
                                kad_peer_id *out);

#ifdef __cplusplus
}
#endif

#endif
