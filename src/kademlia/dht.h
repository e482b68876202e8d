/* The DHT: everything that a node does as a member of a Kademlia network.
 *
 * It talks to the network in remote calls and nothing else. A gateway carries
 * them: it takes calls out (kad__dht_poll_call), brings back a reply, a failure
 * or "sent", and hands in the requests of others (kad__dht_answer). Peer ids
 * and addresses are opaque bytes here; the hash is a parameter.
 *
 *   owner   -> dht      kad__dht_get, _put, ... give a query id
 *   dht     -> owner    kad__dht_poll_event
 *   dht     -> gateway  kad__dht_poll_call, kad__dht_poll_cancel
 *   gateway -> dht      kad__dht_replied, _sent, _failed, _answer, _peer_*
 */
#ifndef KAD_KADEMLIA_DHT_H
#define KAD_KADEMLIA_DHT_H

#include "kademlia/peer_book.h"
#include "kademlia/store.h"
#include "kademlia/validator.h"
#include "kadmium/error.h"
#include "kadmium/random.h"
#include "wire/message.h"

#define KAD__K 20
/* The longest peer id, in bytes. */
#define KAD__DHT_ID_MAX 64
/* The most peers that are looked for at once. */
#define KAD__RESULTS_MAX 256
/* Addresses kept of one peer: a list of at most so many bytes. */
#define KAD__DHT_ADDRESSES_MAX 2048

typedef struct kad__dht kad__dht;
/* Names a query; counts from 1, never reused. */
typedef uint64_t kad__query_id;
/* Names a remote call; never 0, never reused. */
typedef uint64_t kad__call_id;

typedef enum kad__dht_mode {
  KAD__MODE_CLIENT, /* asks, is asked nothing, is in nobody's table */
  KAD__MODE_SERVER
} kad__dht_mode;

typedef struct kad__dht_config {
  const kad_allocator *allocator;
  kad__dht_hash hash;
  kad_bytes local_id;                /* copied */
  kad_random *random;                /* borrowed, outlives the DHT */
  kad__store *store;                 /* borrowed, outlives the DHT */
  const kad__validators *validators; /* borrowed; NULL accepts everything */

  uint32_t bucket_size;     /* 20 */
  uint32_t replication;     /* 20: peers that a record goes to */
  uint32_t parallelism;     /* 10 */
  bool disjoint_paths;      /* off; as many paths as `parallelism` allows, 3 */
  kad_time query_timeout;   /* 60 s, of the whole query */
  kad_time peer_timeout;    /* 10 s for one peer, dialling included */
  kad_time pending_timeout; /* 60 s in a bucket's pending slot */
  kad_time record_ttl;      /* 48 h; KAD_TIME_NEVER: none of ours */
  kad_time provider_ttl;    /* 48 h */
  kad_time replication_interval;          /* 1 h; NEVER disables */
  kad_time publication_interval;          /* 22 h; NEVER disables */
  kad_time provider_publication_interval; /* 22 h; NEVER disables */
  kad_time bootstrap_interval;            /* 5 min; NEVER disables */
  kad_time bootstrap_throttle;            /* 500 ms; NEVER disables automatic */
  bool manual_inserts; /* peers enter the table by kad__dht_add_address only */
  bool filter_records; /* inbound records become events, nothing is stored */
  uint32_t caching;    /* closest peers without the record to give it: 1 */
  bool trust_peers;    /* they enter as soon as they are confirmed. Else they
                          have to answer first: a query, or a FIND_NODE for
                          their own id; once we know 20 peers they must name
                          somebody */

  /* NULL: a book of its own. Else borrowed, made with the same hash, outlives
   * the DHT; many DHTs of one thread may share it. */
  kad__peer_book *book;
  /* Peers are reached by their id alone: those without address are as good as
   * any (networks in memory). */
  bool no_addresses;
  /* A peer that has not answered for so long no longer holds up a lookup,
   * though it is still waited for. 0: learned from how long answers take;
   * NEVER: wait for `peer_timeout`. */
  kad_time slow_timeout;
  /* A peer in the table that was silent for so long is probed: 15 min; NEVER
   * disables it. Peers whose last call failed are probed in any case. */
  kad_time liveness_interval;
  uint32_t max_answer;  /* bytes of the peers in an answer: 14 * 1024 */
  uint32_t max_recent;  /* peers remembered outside the table: 1024 */
  uint32_t max_queries; /* running ones: 10000 */
  uint32_t max_events;  /* inbound and routing events not polled yet: 1024 */
  /* Events that are never queued: 1u << type each. Default: KAD__DHT_INBOUND
   * (a record under `filter_records` comes all the same). */
  uint32_t muted_events;
  /* Makes a peer id out of 32 random bytes, for refreshing a bucket; returns
   * its length. NULL: an identity multihash of them. */
  size_t (*random_id)(uint8_t out[KAD__DHT_ID_MAX], const uint8_t random[32]);

  /* The network's rules for addresses; all pure, `address_user` is theirs. */
  void *address_user;
  /* What is dialled, kept and told to others. NULL: everything. */
  bool (*accept_address)(void *user, kad_bytes address);
  /* The network to which an address belongs (IPv4 /16, IPv6 /32); 0: none that
   * counts. Of one group at most so many peers are in the table, and in one
   * bucket. NULL: no such bounds. */
  uint64_t (*address_group)(void *user, kad_bytes address);
  uint32_t max_group_table;  /* 3 */
  uint32_t max_group_bucket; /* 2 */

  /* A provide ends its lookup as soon as the peers it has heard of are as close
   * as the size of the network lets expect, and is reported when three quarters
   * of them have been told: quicker, and as good, once the size is known. Only
   * with a `replication` of 20. */
  bool optimistic_provide;
} kad__dht_config;

/* Defaults as above; the pointers are zero and must be set. */
void kad__dht_config_default(kad__dht_config *config);

/* KAD_E_INVALID_ARGUMENT, KAD_E_NO_MEMORY. */
int kad__dht_new(kad__dht **out, const kad__dht_config *config, kad_time now);
void kad__dht_free(kad__dht *dht);

void kad__dht_set_mode(kad__dht *dht, kad__dht_mode mode);
kad__dht_mode kad__dht_get_mode(const kad__dht *dht);

/* The wall clock, in nanoseconds since 1970, that belongs to `now`: for the
 * validity of records alone. 0: unknown. Call it at start and now and then. */
void kad__dht_set_wall_clock(kad__dht *dht, kad_time now, uint64_t unix_ns);

/* ---- what the gateway tells ------------------------------------------- */

/* `peer` is connected and speaks our protocol; `address` (may be empty) is one
 * at which it was reached. KAD_E_NO_MEMORY leaves it unknown. */
int kad__dht_peer_confirmed(kad__dht *dht, kad_bytes peer, kad_bytes address,
                            kad_time now);
/* It does not speak our protocol (any more): it leaves the table. */
void kad__dht_peer_unsupported(kad__dht *dht, kad_bytes peer, kad_time now);
/* Its last connection closed. */
void kad__dht_peer_disconnected(kad__dht *dht, kad_bytes peer, kad_time now);
/* It could not be reached at all, outside any call of ours. */
void kad__dht_peer_unreachable(kad__dht *dht, kad_bytes peer, kad_time now);

/* Where a peer is that does not belong into the table (a client): told to who
 * looks for it. `addresses` is a list; it replaces what was known. */
void kad__dht_peer_known(kad__dht *dht, kad_bytes peer, kad_bytes addresses);

/* A remote call to make. All bytes are borrowed until the next poll; `message`
 * is complete but for the addresses of ourselves, which an ADD_PROVIDER gets
 * from the gateway: its provider entry has our id and an empty list. */
typedef struct kad__dht_call {
  kad__call_id id;
  kad__query_id query;
  kad_bytes peer;
  kad_bytes addresses; /* where we believe it is; may be empty */
  kad_time deadline;   /* give up then; the DHT does too */
  bool expects_reply;  /* false: kad__dht_sent ends it */
  const kad__message *message;
} kad__dht_call;

bool kad__dht_poll_call(kad__dht *dht, kad__dht_call *out);
/* Calls that nobody waits for any more; 0 when there is none. A cancelled call
 * may still be reported, and is ignored. */
kad__call_id kad__dht_poll_cancel(kad__dht *dht);

/* Ends of calls. `reply` is checked against its request; one that breaks the
 * rules counts as a failure, and this returns KAD_E_MESSAGE (else 0). */
int kad__dht_replied(kad__dht *dht, kad__call_id call,
                     const kad__message *reply, kad_time now);
void kad__dht_sent(kad__dht *dht, kad__call_id call, kad_time now);
void kad__dht_failed(kad__dht *dht, kad__call_id call, int error, kad_time now);

/* Answers a request of the authenticated `from`, whose `address` the carrier
 * knows (empty: it does not; the addresses that are known of the peer count
 * then): its network has a share of the room for records. Returns 1 with
 * `*reply` to be sent (it borrows from `request` and from the DHT, until the
 * next call of any of its functions); 0 when the request has no answer; or an
 * error, for which the stream is reset: KAD_E_MESSAGE, KAD_E_RECORD and its
 * kin, KAD_E_STORE_FULL, KAD_E_UNSUPPORTED (client mode), KAD_E_NO_MEMORY.
 * `reply` may not be `request`. Our own entry as a provider carries an empty
 * list. */
int kad__dht_answer(kad__dht *dht, kad__message *reply,
                    const kad__message *request, kad_bytes from,
                    kad_bytes address, kad_time now);

/* What kad__dht_answer would say to the request, with nothing done: 0, or its
 * error. */
int kad__dht_check_request(const kad__dht *dht, const kad__message *request,
                           kad_bytes from, kad_time now);

/* Stores what the owner lets pass, as if it had been put or announced here by
 * `source`. KAD_E_INVALID_ARGUMENT (the key), KAD_E_RECORD and its kin,
 * KAD_E_STORE_FULL, KAD_E_NO_MEMORY. */
int kad__dht_store_record(kad__dht *dht, const kad__wire_record *record,
                          kad_bytes source, kad_time now);
int kad__dht_store_provider(kad__dht *dht, kad_bytes key, kad_bytes provider,
                            kad_bytes addresses, kad_time now);

kad_time kad__dht_deadline(const kad__dht *dht);
void kad__dht_tick(kad__dht *dht, kad_time now);

/* ---- what the owner asks ---------------------------------------------- */

typedef enum kad__quorum_kind {
  KAD__QUORUM_ONE,
  KAD__QUORUM_MAJORITY,
  KAD__QUORUM_ALL,
  KAD__QUORUM_N
} kad__quorum_kind;

typedef struct kad__quorum {
  kad__quorum_kind kind;
  uint32_t n; /* for KAD__QUORUM_N, at least 1 */
} kad__quorum;

typedef enum kad__routing_update {
  KAD__ROUTING_SUCCESS,
  KAD__ROUTING_PENDING,
  KAD__ROUTING_FAILED
} kad__routing_update;

/* Trusted knowledge: puts the peer into the table at once. */
kad__routing_update kad__dht_add_address(kad__dht *dht, kad_bytes peer,
                                         kad_bytes address, kad_time now);
/* True when something was removed; the last address takes the peer along. */
bool kad__dht_remove_address(kad__dht *dht, kad_bytes peer, kad_bytes address);
bool kad__dht_remove_peer(kad__dht *dht, kad_bytes peer);
size_t kad__dht_table_size(const kad__dht *dht);
/* Since when calls have failed and nobody was heard of; KAD_TIME_NEVER when
 * somebody was. */
kad_time kad__dht_alone_since(const kad__dht *dht);

/* Local knowledge, closest first: up to `cap` peers, at most KAD__RESULTS_MAX,
 * for a key (not hashed yet), without `source` (may be empty). Borrowed until
 * the DHT is next called. */
size_t kad__dht_closest_local(kad__dht *dht, kad__wire_peer *out, size_t cap,
                              kad_bytes key, kad_bytes source, kad_time now);

/* Queries: each returns 0 and the id whose events tell the rest, or an error
 * with nothing begun: KAD_E_NO_MEMORY, KAD_E_LIMIT (10,000 running), and as
 * stated. */
int kad__dht_find_closest(kad__dht *dht, kad__query_id *out, kad_bytes key,
                          uint32_t count, kad_time now);
/* Like find_closest for `peer`, and ends early when its addresses are known. */
int kad__dht_find_peer(kad__dht *dht, kad__query_id *out, kad_bytes peer,
                       kad_time now);
/* Ends by itself once `quorum` values were seen; n = 0 never does. */
int kad__dht_get(kad__dht *dht, kad__query_id *out, kad_bytes key,
                 uint32_t quorum, kad_time now);
/* Stores here and at the closest peers. KAD_E_RECORD and its kin,
 * KAD_E_STORE_FULL. `ttl` KAD_TIME_NEVER: the configured one. */
int kad__dht_put(kad__dht *dht, kad__query_id *out, kad_bytes key,
                 kad_bytes value, kad_time ttl, kad__quorum quorum,
                 kad_time now);
/* Sends a record to the given peers alone. */
int kad__dht_put_to(kad__dht *dht, kad__query_id *out,
                    const kad__wire_record *record, const kad_bytes *peers,
                    size_t count, kad__quorum quorum, kad_time now);
/* Removes our own record of `key`, here only. */
void kad__dht_remove(kad__dht *dht, kad_bytes key);
/* The store has been given records and announcements of ours from an earlier
 * life: they are sent again from soon on, not only after a whole interval. For
 * what the store holds from the beginning, that goes without saying. */
void kad__dht_resume(kad__dht *dht, kad_time now);
/* Announces us and keeps announcing until stopped. */
int kad__dht_provide(kad__dht *dht, kad__query_id *out, kad_bytes key,
                     kad_time now);
void kad__dht_stop_providing(kad__dht *dht, kad_bytes key);
/* Ends by itself after `count` distinct providers; 0 never does. */
int kad__dht_find_providers(kad__dht *dht, kad__query_id *out, kad_bytes key,
                            uint32_t count, kad_time now);
/* Looks up ourselves, then a key in each bucket. KAD_E_NO_PEERS. */
int kad__dht_bootstrap(kad__dht *dht, kad__query_id *out, kad_time now);
/* Ends a query with what it has: its last event follows. False: unknown. */
bool kad__dht_finish(kad__dht *dht, kad__query_id query, kad_time now);
/* Queries begun from now on tell whom they ask, when, and what came back; the
 * time is `stats.end` of each event. */
void kad__dht_trace(kad__dht *dht, bool on);
/* Queries begun from now on tell at their end where they ended, by PEER_FOUND,
 * the closest first: a get, the peers without the record; find_providers, those
 * that answered; what gives something away, those that have taken it. */
void kad__dht_tell_peers(kad__dht *dht, bool on);

/* How many peers the network has, estimated from how close together the peers
 * are that lookups found (as in go-libp2p-kad-dht). KAD_E_NOT_FOUND: too few
 * lookups so far. */
int kad__dht_network_size(const kad__dht *dht, uint64_t *out, kad_time now);

/* Statistics of a whole query, all its phases together. */
typedef struct kad__query_stats {
  uint32_t requests;
  uint32_t successes;
  uint32_t failures;
  uint32_t hops; /* longest chain of answers that led to a result */
  kad_time start;
  kad_time end; /* of the last event */
} kad__query_stats;

/* Why a lookup ended. */
typedef enum kad__lookup_ending {
  KAD__ENDING_NONE,      /* it did not, or there was none */
  KAD__ENDING_CONVERGED, /* the closest have answered */
  KAD__ENDING_STARVED,   /* nobody was left to ask, and fewer answered */
  KAD__ENDING_SATISFIED, /* it had what was wanted */
  KAD__ENDING_TIMED_OUT,
  KAD__ENDING_FINISHED /* by the owner */
} kad__lookup_ending;

typedef enum kad__query_kind {
  KAD__QUERY_CLOSEST,
  KAD__QUERY_FIND_PEER,
  KAD__QUERY_GET,
  KAD__QUERY_PUT,
  KAD__QUERY_PUT_TO,
  KAD__QUERY_PROVIDE,
  KAD__QUERY_FIND_PROVIDERS,
  KAD__QUERY_BOOTSTRAP,
  KAD__QUERY_REPLICATE, /* of others' records; no events */
  KAD__QUERY_REPUBLISH,
  KAD__QUERY_REPROVIDE
} kad__query_kind;

typedef enum kad__dht_event_type {
  KAD__DHT_PEER_FOUND,     /* query, peer: one of the closest, or the target;
                              see kad__dht_tell_peers, too */
  KAD__DHT_RECORD_FOUND,   /* query, record, peer (empty id: local) */
  KAD__DHT_PROVIDER_FOUND, /* query, peer (ourselves: empty list) */
  KAD__DHT_PROGRESS,       /* query, remaining: a bootstrap's step for `key`
                              ended; error: it ran out of time */
  KAD__DHT_QUERY_ENDED,    /* query, error, stats: its last event */
  KAD__DHT_INBOUND,        /* message_type, peer; the answer's `closer` and
                              `told`; with filtering: record */
  KAD__DHT_ROUTING_ADDED,  /* peer, bucket (leading bits that it shares with
                              us), old_peer (evicted; may be empty) */
  KAD__DHT_ROUTING_UPDATED,
  KAD__DHT_ROUTING_REMOVED,
  KAD__DHT_UNROUTABLE, /* peer: no address known */
  KAD__DHT_ROUTABLE,   /* peer, address: not inserted (manual, full) */
  KAD__DHT_PENDING_ROUTABLE,
  KAD__DHT_MODE_CHANGED,
  /* The trace of a query, when it is on: `peer` with its addresses, `hops`. */
  KAD__DHT_ASKED,   /* message_type */
  KAD__DHT_ANSWERED /* message_type; `error`, or `closer` peers it named */
} kad__dht_event_type;

/* Borrowed until the next poll or input. QUERY_ENDED's error: 0, or
 * KAD_E_TIMEOUT, KAD_E_NOT_FOUND (get, find_peer, find_providers),
 * KAD_E_QUORUM (put, provide), KAD_E_NO_PEERS (nobody to ask),
 * KAD_E_CANCELLED. The QUERY_ENDED of a get carries the best `record`, if any,
 * and in `peer` who gave it (empty: it is ours). */
typedef struct kad__dht_event {
  kad__dht_event_type type;
  kad__query_kind kind;
  int error;
  kad__query_id query;
  kad__query_stats stats;
  uint32_t step; /* counts a query's events from 1 */
  uint32_t remaining;
  uint32_t stored; /* PUT, PROVIDE: peers that took it */
  uint32_t bucket;
  kad__message_type message_type;
  kad__wire_peer peer;
  kad_bytes old_peer;
  kad_bytes key;
  kad__wire_record record;
  bool best; /* RECORD_FOUND: none before it was better */
  uint32_t closer;
  uint32_t told;             /* INBOUND: records or providers in our answer */
  kad__lookup_ending ending; /* QUERY_ENDED: of its lookup, the last of many */
  uint32_t hops;
} kad__dht_event;

bool kad__dht_poll_event(kad__dht *dht, kad__dht_event *out);

/* Walks every invariant; 0, or a static text that says what is broken. */
const char *kad__dht_check(const kad__dht *dht);

/* Counters of what went wrong and right; never reset. */
typedef struct kad__dht_counters {
  uint64_t requests[KAD__MESSAGE_TYPES]; /* answered, by type */
  uint64_t refused;                      /* inbound requests with an error */
  uint64_t calls, replies, failures, bad_replies;
  uint64_t crowded; /* peers kept out of the table: their group is full */
} kad__dht_counters;

const kad__dht_counters *kad__dht_counters_get(const kad__dht *dht);

#endif
