/* A world of virtual time for bare DHTs, made for a hundred thousand of them in
 * one process: no connections, no encryption, only remote calls that take the
 * time of their link and may be lost. What a network of DHTs does at a size at
 * which whole nodes would not fit is seen here: success, hops, messages, the
 * state of the tables.
 *
 * Calls travel as encoded messages, so every node sees just what the wire would
 * show it. All nodes are servers and share one book of peers; they are reached
 * by their ids alone. One seed gives one run: the trace covers every message
 * that arrived, when, and where.
 *
 * A node that is down answers nothing; who calls it learns of it after a while.
 * A message that is lost is told to nobody. */
#ifndef KAD_SIMULATOR_BARE_H
#define KAD_SIMULATOR_BARE_H

#include "kademlia/dht.h"

typedef struct kad__bare kad__bare;

/* Length of a node's id: a SHA-256 multihash. */
#define KAD__BARE_ID_LEN 34
#define KAD__BARE_NOBODY UINT32_MAX

typedef struct kad__bare_config {
  const kad_allocator *allocator;
  uint64_t seed;
  kad_time latency_min; /* one way; each pair of nodes has its own */
  kad_time latency_max;
  uint32_t loss_per_million; /* of messages */
  kad_time unreachable;      /* until a call to a node that is down fails */
  /* How every node shall be. Id, random source, store, hash, book and reach by
   * id are set by the world; routing events are muted. */
  kad__dht_config dht;
} kad__bare_config;

/* 10 to 90 ms, no loss, 5 s until a node is known to be down. */
void kad__bare_config_default(kad__bare_config *config);

/* KAD_E_INVALID_ARGUMENT, KAD_E_NO_MEMORY. */
int kad__bare_new(kad__bare **out, const kad__bare_config *config);
void kad__bare_free(kad__bare *bare);

/* Adds a node, which joins through node `contact` (or is told of nobody:
 * KAD__BARE_NOBODY). Returns its number, counted from 0, or KAD_E_NO_MEMORY. */
int kad__bare_add(kad__bare *bare, uint32_t contact);
/* Adds `count` nodes, `gap` apart, each joining through a random one that is
 * there, and lets time run until all have ended their first bootstrap. Events
 * are dropped. KAD_E_NO_MEMORY; KAD_E_TIMEOUT when that takes over an hour. */
int kad__bare_grow(kad__bare *bare, uint32_t count, kad_time gap);
/* Gone at once, with all that it knew. */
void kad__bare_crash(kad__bare *bare, uint32_t number);
/* A node that is down comes back under its id, with an empty store, and dials
 * `contacts`: those of them that are up and it get to know each other after one
 * and two ways. It is told of nobody else. KAD_E_STATE (it is up),
 * KAD_E_NO_MEMORY (it stays down). */
int kad__bare_return(kad__bare *bare, uint32_t number, const uint32_t *contacts,
                     uint32_t count);
/* From now on it takes all requests and answers none; it goes on asking. */
void kad__bare_silence(kad__bare *bare, uint32_t number);

size_t kad__bare_count(const kad__bare *bare);
/* NULL when it is down. Call kad__bare_touch after any call that changes it. */
kad__dht *kad__bare_dht(const kad__bare *bare, uint32_t number);
void kad__bare_touch(kad__bare *bare, uint32_t number);
/* Where it keeps records; NULL when it is down. */
kad__store *kad__bare_store(const kad__bare *bare, uint32_t number);
/* Also of a node that is down. */
kad_bytes kad__bare_id(const kad__bare *bare, uint32_t number);
/* The node of that id, or KAD__BARE_NOBODY. */
uint32_t kad__bare_find(const kad__bare *bare, kad_bytes id);

kad_time kad__bare_now(const kad__bare *bare);
/* How long a message takes from one node to the other, either way. */
kad_time kad__bare_latency(const kad__bare *bare, uint32_t from, uint32_t to);
/* Lets the next thing happen, if it is due by `until`; false otherwise, and
 * then it is `until`. */
bool kad__bare_step(kad__bare *bare, kad_time until);
/* The next event of any node, borrowed until the next call. */
bool kad__bare_poll(kad__bare *bare, uint32_t *number, kad__dht_event *event);

/* The truth: up to `cap` nodes that are up and answer, in the order of their
 * distance to `key`, without `except` (or KAD__BARE_NOBODY). Returns how many,
 * or KAD_E_NO_MEMORY. */
int kad__bare_closest(kad__bare *bare, uint32_t *out, uint32_t cap,
                      kad_bytes key, uint32_t except);

/* What many lookups found, compared with the truth. */
typedef struct kad__bare_survey {
  uint32_t lookups;
  uint32_t closest; /* of them, named the true closest node first */
  uint64_t found;   /* of the true twenty closest, all lookups together */
  uint64_t wanted;  /* twenty each, or as many as there are */
  uint64_t hops;
  uint64_t requests;
  uint64_t failures;
  kad_time time;     /* of all lookups together */
  uint32_t complete; /* lookups that found all of the true twenty */
} kad__bare_survey;

/* Every node that is up and answers looks for the twenty closest to a random
 * key, again and again, at most one lookup each at a time, until `lookups` have
 * ended. Other events are dropped. KAD_E_NO_MEMORY, KAD_E_NO_PEERS (nobody is
 * up). */
int kad__bare_look(kad__bare *bare, kad__bare_survey *out, uint32_t lookups);

/* Everything that has happened so far, as 64 bits. */
uint64_t kad__bare_trace(const kad__bare *bare);

typedef struct kad__bare_counters {
  uint64_t messages, bytes, losses, unreachable;
} kad__bare_counters;

const kad__bare_counters *kad__bare_counters_get(const kad__bare *bare);

#endif
