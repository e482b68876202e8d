/* What the files of the DHT share: its state, and who offers what to whom.
 *
 *   dht.c        life, the gateway's news, the clock
 *   members.c    who enters and leaves the table, who is left alone for a while
 *   call.c       remote calls: queued, handed out, slow, over
 *   answer.c     the requests of others
 *   query.c      a query's life: lookup, spreading, its end
 *   kinds.c      what each kind of query asks and makes of the answers
 *   bootstrap.c  filling the table, by request, by clock and when it is short
 *   jobs.c       records kept alive: replication, publication
 *   event.c      what the owner is told
 *   addresses.c  the network's rules for addresses
 *   size.c       how large the network is
 */
#ifndef KAD_KADEMLIA_STATE_H
#define KAD_KADEMLIA_STATE_H

#include "base/alloc.h"
#include "base/heap.h"
#include "base/list.h"
#include "kademlia/dht.h"
#include "kademlia/lookup.h"
#include "kademlia/recent.h"
#include "kademlia/table.h"
#include "wire/addresses.h"

/* Keys of records and targets; longer ones are refused. */
#define KAD__DHT_KEY_MAX 1024
/* Keys of providers (IPFS kad-dht specification). */
#define KAD__DHT_PROVIDER_KEY_MAX 80
/* Addresses taken over from one entry of one answer, in bytes. */
#define KAD__HEARD_ADDRESSES_MAX 512
/* Probes under way at once. */
#define KAD__PROBES_MAX 16
/* Peers of the table with which the refresh of a bucket begins. */
#define KAD__REFRESH_SEEDS 3
/* Providers of one query that are told apart. */
#define KAD__FOUND_MAX 1024
#define KAD__DISJOINT_PATHS 3
/* What a lookup can end with, all its paths together. */
#define KAD__SPREAD_MAX (KAD__RESULTS_MAX * KAD__DISJOINT_PATHS)

typedef struct kad__query kad__query;

/* ---- calls -------------------------------------------------------------- */

typedef enum kad__call_state {
  KAD__CALL_QUEUED,   /* not handed to the gateway yet */
  KAD__CALL_OPEN,     /* the gateway has it */
  KAD__CALL_CANCELLED /* the gateway is to be told */
} kad__call_state;

typedef struct kad__call {
  kad__heap_node timer; /* becomes slow, then gives up */
  kad__list link;       /* among the queued or the cancelled */
  kad__list query_link;
  kad__call_id id;
  kad__query *query; /* NULL: a probe */
  kad__peer peer;
  kad__list_id addresses; /* as told in the query */
  kad_time started;
  kad_time deadline;
  uint32_t slot;
  uint8_t type; /* kad__message_type */
  uint8_t state;
  bool slow;
} kad__call;

/* What a call that was handed out borrows. */
typedef struct kad__call_scratch {
  kad__message message;
  uint8_t addresses[KAD__DHT_ADDRESSES_MAX];
} kad__call_scratch;

/* ---- queries ------------------------------------------------------------ */

typedef enum kad__query_phase {
  KAD__PHASE_LOOKUP, /* finding the closest */
  KAD__PHASE_SPREAD  /* giving something to those that were found */
} kad__query_phase;

/* A value and whence it came, in one piece of memory, counted. */
typedef struct kad__value {
  uint32_t refs;
  kad__wire_record record;
  kad_bytes peer; /* empty: local */
  kad_time expires;
  uint8_t bytes[];
} kad__value;

typedef struct kad__event_node {
  kad__list link;
  kad__dht_event event;
  kad__value *value; /* what the event's record borrows from; may be NULL */
  bool bounded;      /* counts against max_events */
  uint8_t bytes[];
} kad__event_node;

typedef struct kad__bootstrap_step {
  bool refreshing;    /* our own key was looked up */
  uint32_t remaining; /* buckets below this number are left */
} kad__bootstrap_step;

struct kad__query {
  kad__map_node node; /* by `id_bytes` */
  kad__list link;     /* all, in the order of their ids */
  kad__heap_node timer;
  kad__list calls;
  kad__query_id id;
  kad__query_kind kind;
  kad__query_phase phase;
  kad__lookup_ending ending;
  bool reported; /* its last event is queued */
  bool traced;
  bool tells_peers;     /* see kad__dht_tell_peers */
  int error;            /* why it ends before its time: time-out, cancelled */
  uint64_t near_enough; /* mean distance at which the lookup may end; 0: none */
  kad_time ends;        /* the whole query */
  kad__key target;
  kad__lookup lookup;
  kad__query_stats stats;
  uint32_t steps;
  uint32_t wanted; /* results after which it ends; 0: never */
  uint32_t got;
  uint32_t found;  /* peers that the spreading goes to */
  uint32_t stored; /* of them, took it */
  kad__quorum quorum;
  kad__value *value;      /* PUT and its kin: what to store; GET: the best */
  kad__peer *providers;   /* seen; a reference each */
  uint8_t *provider_seen; /* 1: with addresses */
  uint32_t provider_count;
  uint32_t provider_cap;
  kad__bootstrap_step bootstrap;
  kad__event_node *end; /* the last event, made beforehand */
  uint8_t id_bytes[8];
  uint32_t key_len;
  uint8_t key[];
};

/* ---- the DHT ------------------------------------------------------------ */

/* One walk through the records of the store, spread over its interval. */
typedef struct kad__job {
  kad_time interval;
  kad_time next;   /* when the next record is looked at */
  kad_time pause;  /* between two records */
  uint8_t *cursor; /* key of the last one; NULL: at the beginning */
  size_t cursor_len;
  bool hurried; /* this round: see kad__dht_resume */
} kad__job;

enum { KAD__JOB_REPLICATE, KAD__JOB_REPUBLISH, KAD__JOB_REPROVIDE, KAD__JOBS };

struct kad__dht {
  kad_allocator allocator;
  kad__dht_config config;
  kad__peer_book *book;
  kad__peer_book *own_book; /* NULL when it is shared */
  kad__peer self;
  kad__key key;
  kad__dht_mode mode;
  kad__table table;
  kad__recent recent; /* by peer */

  kad__heap timers; /* of calls */
  kad__list queued;
  kad__list cancelled;
  kad__call **slots; /* open calls, by the low bits of their ids */
  uint32_t *free_slots;
  uint32_t slot_count; /* used so far */
  uint32_t slot_cap;
  uint32_t free_slot_count;
  uint32_t call_count;
  uint64_t call_sequence;
  uint32_t probes;
  kad__call_scratch *scratch;
  kad_time smooth_time; /* of an answer, exponentially weighted */
  kad_time smooth_variation;
  kad_time last_reply;
  kad_time alone_since; /* see kad__dht_alone_since */

  kad__map queries;
  kad__list query_list;
  kad__heap query_timers;
  uint64_t query_sequence;

  kad__list events;
  uint32_t bounded_events;
  kad__event_node *delivered;

  kad_time bootstrap_periodic;  /* when the clock starts one */
  kad_time bootstrap_automatic; /* when a short table starts one */
  uint32_t bootstraps;          /* running */
  kad_time next_upkeep;
  kad__job jobs[KAD__JOBS];
  kad__recent replicated; /* keys that somebody else has just replicated */
  uint64_t secret[2];

  struct kad__size_sample *samples; /* a ring; NULL before the first */
  uint32_t sample_count;            /* ever taken */
  bool trace;
  bool tell_peers;

  kad_time wall_at;
  uint64_t wall_unix_ns; /* 0: unknown */
  kad__dht_counters counters;
};

static inline kad_bytes kad__query_key(const kad__query *q) {
  return kad__bytes(q->key, q->key_len);
}

/* The wall clock at `now`; 0 when unknown. */
static inline uint64_t kad__dht_wall(const kad__dht *dht, kad_time now) {
  return dht->wall_unix_ns == 0 ? 0 : dht->wall_unix_ns + (now - dht->wall_at);
}

/* Seconds left, as on the wire: 0 never expires, at least 1 otherwise. */
uint32_t kad__ttl_seconds(kad_time expires, kad_time now);

/* ---- addresses.c -------------------------------------------------------- */

/* As kad__list_merge, of those addresses that the network accepts. */
void kad__dht_merge(const kad__dht *dht, uint8_t *out, size_t cap, size_t *len,
                    kad_bytes from);
bool kad__dht_accepts(const kad__dht *dht, kad_bytes address);
/* The network of a list: that of its first address which has one; 0: none. */
uint64_t kad__dht_network(const kad__dht *dht, kad_bytes list);
/* The same, as it is kept in the table. */
uint16_t kad__dht_group(const kad__dht *dht, kad_bytes list);
/* False when the table has as many peers of that group as it may. */
bool kad__dht_group_room(const kad__dht *dht, uint16_t group, uint32_t bucket);

/* ---- size.c ------------------------------------------------------------- */

/* A lookup has found the closest peers to its target. */
void kad__size_learn(kad__dht *dht, const kad__lookup *lookup, kad_time now);
/* The mean distance, in its first word, of the k closest peers to a key, below
 * which they are the closest with some certainty; 0 when the size is unknown.
 */
uint64_t kad__size_near_enough(const kad__dht *dht, kad_time now);

/* The first word of the distance within which half a `k` of peers are to be
 * expected: twice as many are rarely there by chance. 0: the size is unknown.
 */
uint64_t kad__size_region(const kad__dht *dht, kad_time now);

/* ---- answer.c ----------------------------------------------------------- */

/* Our record of `key`, if it may be used at `now`: neither expired nor refused
 * by the network's rules, as one is that was damaged on disk, or whose own
 * validity is over. Borrowed from the store. */
bool kad__dht_stored(const kad__dht *dht, kad__record *out, kad_bytes key,
                     kad_time now);

/* ---- members.c ---------------------------------------------------------- */

/* Trusted addresses of a peer: those in the table, else those remembered. */
kad_bytes kad__member_addresses(const kad__dht *dht, kad__peer peer);
/* It answered a call of ours. `blank`: it was probed and named nobody. */
void kad__member_answered(kad__dht *dht, kad__peer peer, bool blank,
                          kad_time now);
/* A lookup on several paths asks it, or did; it has found it to be one of the
 * closest that answer. */
void kad__member_passed(kad__dht *dht, kad__peer peer);
void kad__member_found(kad__dht *dht, kad__peer peer, kad_time now);
/* A call to it failed with `error`. */
void kad__member_failed(kad__dht *dht, kad__peer peer, int error, kad_time now);
/* It failed lately: whoever can wait leaves it alone. */
bool kad__member_resting(const kad__dht *dht, kad__peer peer, kad_time now);
/* Somebody named it: true when a lookup may use it. */
bool kad__member_usable(const kad__dht *dht, kad__peer peer);
void kad__members_tick(kad__dht *dht, kad_time now);
kad_time kad__members_deadline(const kad__dht *dht);
void kad__members_fini(kad__dht *dht);

/* ---- call.c ------------------------------------------------------------- */

/* Queues a call; it counts as begun. KAD_E_NO_MEMORY. */
int kad__call_start(kad__dht *dht, kad__query *query, kad__peer peer,
                    kad__list_id addresses, kad__message_type type,
                    kad_time deadline, kad_time now);
/* FIND_NODE for the peer's own id, unless enough probes are under way; true
 * when it was queued. */
bool kad__call_probe(kad__dht *dht, kad__peer peer, kad_time now);
/* True while a call to it may bring an answer. */
bool kad__call_awaits(const kad__dht *dht, kad__peer peer);
/* Gives up all calls of a query. */
void kad__calls_cancel(kad__dht *dht, kad__query *query);
void kad__calls_tick(kad__dht *dht, kad_time now);
void kad__calls_fini(kad__dht *dht);
const char *kad__calls_check(const kad__dht *dht);

/* ---- query.c ------------------------------------------------------------ */

/* What a query starts with. */
typedef struct kad__query_start {
  kad__query_kind kind;
  kad_bytes key;
  uint32_t results; /* closest peers to find */
  uint32_t wanted;  /* see kad__query */
  kad__quorum quorum;
  kad__value *value;      /* passes to the query, also when it cannot start */
  const kad_bytes *peers; /* PUT_TO */
  size_t peer_count;
} kad__query_start;

/* KAD_E_NO_MEMORY, KAD_E_LIMIT, KAD_E_INVALID_ARGUMENT. `*out` may be gone by
 * the time it returns, its last event queued. */
int kad__query_begin(kad__dht *dht, kad__query_id *out,
                     const kad__query_start *start, kad_time now);
kad__query *kad__query_find(const kad__dht *dht, kad__query_id id);
/* Asks whom there is to ask, and ends what is over; may free the query. */
void kad__query_pump(kad__dht *dht, kad__query *q, kad_time now);
void kad__query_replied(kad__dht *dht, kad__query *q, kad__peer peer,
                        const kad__message *reply, kad_time now);
void kad__query_failed(kad__dht *dht, kad__query *q, kad__peer peer, int error,
                       kad_time now);
/* The peer is slow, or even lost. */
void kad__query_delayed(kad__dht *dht, kad__query *q, kad__peer peer, bool lost,
                        kad_time now);
/* Starts the lookup of a query (again) for `target`. KAD_E_NO_MEMORY. */
int kad__query_look(kad__dht *dht, kad__query *q, const kad__key *target,
                    uint32_t results, kad_time now);
/* From now on the query gives something to `count` peers. KAD_E_NO_MEMORY. */
int kad__query_spread(kad__dht *dht, kad__query *q, const kad__heard *peers,
                      size_t count);
/* Queues the last event, once; background work may go on. */
void kad__query_report(kad__dht *dht, kad__query *q, int error, kad_time now);
/* The number of peers that must take what is given to `total`. */
uint32_t kad__quorum_of(kad__quorum quorum, uint32_t total);
/* Reports, if that was not done, and frees. */
void kad__query_end(kad__dht *dht, kad__query *q, int error, kad_time now);
void kad__queries_tick(kad__dht *dht, kad_time now);
void kad__queries_fini(kad__dht *dht);
const char *kad__queries_check(const kad__dht *dht);

/* A copy with its bytes behind it and one reference; NULL without memory. */
kad__value *kad__value_new(const kad_allocator *allocator,
                           const kad__wire_record *record, kad_bytes peer,
                           kad_time expires);
/* NULL is fine. */
void kad__value_unref(const kad_allocator *allocator, kad__value *value);

/* ---- kinds.c ------------------------------------------------------------ */

/* One row per kind of query. */
typedef struct kad__query_class {
  kad__message_type ask;  /* in the lookup */
  kad__message_type give; /* in the spreading */
  bool two_phases;        /* the lookup leaves time for the spreading */
  bool silent;            /* reports nothing */
  bool region;            /* about a record: see kad__size_region */
  /* What is known here already. NULL: nothing. */
  void (*begin)(kad__dht *dht, kad__query *q, kad_time now);
  /* Takes what an answer of the lookup holds; may end the lookup by setting
   * the query's `got` to what is wanted. NULL: only closer peers matter. */
  void (*take)(kad__dht *dht, kad__query *q, kad__candidate *from,
               const kad__message *reply, kad_time now);
  /* The lookup is over. Returns true when the query goes on. */
  bool (*found)(kad__dht *dht, kad__query *q, kad_time now);
} kad__query_class;

const kad__query_class *kad__query_class_of(kad__query_kind kind);
/* Fills in the request of a call. */
void kad__query_request(const kad__dht *dht, const kad__call *call,
                        kad__message *message);
bool kad__query_satisfied(const kad__query *q);
/* Tells the owner of the peers at which the query ended, if it wants to know.
 */
void kad__query_tell_peers(kad__dht *dht, kad__query *q, kad_time now);

/* ---- bootstrap.c -------------------------------------------------------- */

/* A peer entered the table. */
void kad__bootstrap_trigger(kad__dht *dht, kad_time now);
/* The hooks of its kind. */
void kad__bootstrap_begun(kad__dht *dht, kad__query *q, kad_time now);
void kad__bootstrap_take(kad__dht *dht, kad__query *q, kad__candidate *from,
                         const kad__message *reply, kad_time now);
bool kad__bootstrap_step_over(kad__dht *dht, kad__query *q, kad_time now);
/* False for queries of other kinds. There are more to ask than places. */
bool kad__bootstrap_heard_enough(const kad__dht *dht, const kad__query *q);
/* The lookup shall ask `peer` only when nobody else is left. */
bool kad__bootstrap_defers(const kad__dht *dht, const kad__query *q,
                           kad__peer peer);
void kad__bootstrap_over(kad__dht *dht);
void kad__bootstrap_tick(kad__dht *dht, kad_time now);
kad_time kad__bootstrap_deadline(const kad__dht *dht);

/* ---- jobs.c ------------------------------------------------------------- */

void kad__jobs_init(kad__dht *dht, kad_time now);
void kad__jobs_fini(kad__dht *dht);
void kad__jobs_tick(kad__dht *dht, kad_time now);
kad_time kad__jobs_deadline(const kad__dht *dht);
/* Another node has just given us this record. */
void kad__jobs_skip(kad__dht *dht, kad_bytes key, kad_time now);

/* ---- event.c ------------------------------------------------------------ */

/* Queues a copy of `event`. Without memory, or past the bound, it is lost. */
void kad__event_push(kad__dht *dht, const kad__dht_event *event);
/* One of a query: numbered, with its statistics. */
void kad__event_of_query(kad__dht *dht, kad__query *q, kad__dht_event *event,
                         kad_time now);
/* A node for the last event of a query with that key. */
kad__event_node *kad__event_reserve(const kad_allocator *allocator,
                                    kad_bytes key);
void kad__event_queue(kad__dht *dht, kad__event_node *node);
void kad__event_free(kad__dht *dht, kad__event_node *node);
void kad__events_fini(kad__dht *dht);

#endif
