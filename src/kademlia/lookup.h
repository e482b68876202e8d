/* One iterative search of the key space: whom to ask next, and when it is
 * over. It knows peers by handle and distance and sends nothing itself.
 *
 * A path keeps every peer it has heard of, sorted by distance. It asks the
 * closest that was not asked yet, `parallelism` at a time; it ends when the
 * `results` closest that answer have all answered. After `parallelism` answers
 * in a row that brought nobody closer it is stalled, and asks up to `results`
 * at once. Several disjoint paths (S/Kademlia) share who was asked: a peer
 * belongs to the path that asked first, and only that path hears its answer.
 * With `fixed`, the peers are given and answers bring no new ones: the second
 * half of a put.
 *
 *   HEARD or DEFERRED --> WAITING --> SLOW --> LOST --> ANSWERED or FAILED
 *                             (each of them may be answered, or fail, at once)
 *
 * A slow peer occupies no place and holds up nobody; only when there is nobody
 * else it is waited for, a while. A lost one is waited for if nobody answered
 * at all. So a silent peer costs a moment, not the whole time-out, and what it
 * says in the end still counts. A deferred peer failed lately; it is asked only
 * when nobody else is left. */
#ifndef KAD_KADEMLIA_LOOKUP_H
#define KAD_KADEMLIA_LOOKUP_H

#include "kademlia/peer_book.h"

/* Peers remembered by one path; farther ones are forgotten first. */
#define KAD__LOOKUP_CANDIDATES 512
#define KAD__LOOKUP_PATHS 8
/* Results of one path, however many are in the region. */
#define KAD__REGION_MAX 128
/* Addresses of one candidate, in bytes, all that were told together. */
#define KAD__LOOKUP_ADDRESSES 2048

typedef enum kad__candidate_state {
  KAD__HEARD,
  KAD__DEFERRED,
  KAD__WAITING,
  KAD__SLOW,
  KAD__LOST,
  KAD__ANSWERED,
  KAD__FAILED
} kad__candidate_state;

typedef struct kad__candidate {
  kad__key distance;
  kad__peer peer;
  kad__list_id addresses; /* as told in this lookup */
  kad__peer by;           /* who named it, first or more credibly; 0: a seed */
  uint16_t hops;          /* length of the chain of answers that led to it */
  uint8_t state;
  bool owned;   /* this path asked it */
  bool entry;   /* asked before any that is closer */
  uint8_t mark; /* for the query: what it said */
  uint8_t vain; /* of those it named: silent or dead */
  uint8_t good; /* and answered */
} kad__candidate;

typedef struct kad__path {
  kad__candidate *list; /* by distance */
  uint32_t count;
  uint32_t cap;
  uint32_t waiting;
  uint32_t slow;
  uint32_t lost;
  uint32_t answered;
  uint32_t no_progress;
  uint32_t entries; /* not asked yet */
  bool stalled;
  bool last_resort; /* only deferred peers are left to ask */
  bool finished;
} kad__path;

typedef struct kad__lookup_config {
  uint32_t parallelism; /* of one path */
  uint32_t results;
  uint32_t paths; /* at most KAD__LOOKUP_PATHS */
  uint32_t most;  /* waited for at once on one path, stalled or not; 0: any */
  /* All that are closer are asked, too, by the first word of the distance. */
  uint64_t region;
  bool fixed;
} kad__lookup_config;

typedef struct kad__lookup {
  const kad_allocator *allocator;
  kad__peer_book *book;
  kad__lookup_config config;
  kad__key target;
  uint32_t turn; /* the path that is asked first for its next peer */
  kad__path *paths;
  kad__path single; /* spares the usual lookup an allocation */
} kad__lookup;

typedef enum kad__lookup_turn {
  KAD__LOOKUP_ASK,     /* `*out` is to be asked now */
  KAD__LOOKUP_WAIT,    /* for an answer */
  KAD__LOOKUP_FINISHED /* nothing more is to come */
} kad__lookup_turn;

/* A peer that was heard of. */
typedef struct kad__heard {
  kad__peer peer;
  kad__list_id addresses;
  bool deferred;
} kad__heard;

/* The lookup must not move afterwards. KAD_E_NO_MEMORY. */
int kad__lookup_init(kad__lookup *lookup, const kad_allocator *allocator,
                     kad__peer_book *book, const kad__key *target,
                     const kad__lookup_config *config);
void kad__lookup_fini(kad__lookup *lookup);

/* Adds a peer known at the start to every path, with references of its own.
 * KAD_E_NO_MEMORY. */
int kad__lookup_seed(kad__lookup *lookup, const kad__heard *heard);

/* Adds one to a single path, which asks it before all others: where the path
 * begins is then not up to whoever filled the table around the target. */
int kad__lookup_seed_entry(kad__lookup *lookup, uint32_t path,
                           const kad__heard *heard);

/* Whom to ask next. `*out` is borrowed until the lookup changes. */
kad__lookup_turn kad__lookup_next(kad__lookup *lookup,
                                  const kad__candidate **out);

/* A peer answered and named `count` others. False, with nothing changed, when
 * it was not waited for. Peers for which there is no memory are left out. */
bool kad__lookup_answered(kad__lookup *lookup, kad__peer peer,
                          const kad__heard *heard, size_t count);
bool kad__lookup_failed(kad__lookup *lookup, kad__peer peer);
/* It takes longer than usual; it takes very long. */
void kad__lookup_slow(kad__lookup *lookup, kad__peer peer);
void kad__lookup_lost(kad__lookup *lookup, kad__peer peer);

/* True while its answer counts. */
static inline bool kad__candidate_open(const kad__candidate *c) {
  return c->state == KAD__WAITING || c->state == KAD__SLOW ||
         c->state == KAD__LOST;
}

/* The candidate, of the path that asked it if any did; NULL when unknown. */
kad__candidate *kad__lookup_find(const kad__lookup *lookup, kad__peer peer);
/* Those that answered, by distance, each once: up to `results` of each path,
 * and those in the region. */
size_t kad__lookup_results(const kad__lookup *lookup,
                           const kad__candidate **out, size_t cap);
/* The number of candidates of the first path: 0 is "nobody to ask". */
static inline uint32_t kad__lookup_size(const kad__lookup *lookup) {
  return lookup->paths[0].count;
}

/* Nobody was passed over on the first path, before its results were found. */
bool kad__lookup_exhaustive(const kad__lookup *lookup);
/* How many candidates of the first path were neither asked nor deferred. */
uint32_t kad__lookup_unasked(const kad__lookup *lookup);

const char *kad__lookup_check(const kad__lookup *lookup);

#endif
