/* Whole nodes in a storm, and their owners, who believe nothing: whatever one
 * is told is held against all that he was told before. */
#ifndef KAD_TESTS_OWNER_H
#define KAD_TESTS_OWNER_H

#include "node/node_internal.h"
#include "simulator/simulator.h"
#include "storms.h"

#define GALE_NODES 8
#define OWNER_TALKS 48
#define OWNER_SIGHTS 512
#define OWNER_REQUESTS 512
#define GALE_SPEECHES 4096
#define OWNER_SNAPSHOT ((size_t)64 << 10)

typedef struct gale gale;

/* What is written to one stream: its number in four bytes, then bytes by their
 * places, so that whoever reads knows what to expect. */
typedef struct speech {
  uint64_t written;
  bool over; /* ended, or given back gently: no more will be written */
} speech;

/* A stream that the owner holds. */
typedef struct talk {
  kad_stream *stream; /* NULL: a free place */
  int peer;
  uint32_t era; /* of the peer's connections, when it was told of first */
  uint64_t read;
  uint32_t speech;       /* what is written */
  uint32_t their_speech; /* what is read; 0: not known yet */
  bool inbound;
  bool known; /* INBOUND or OPENED was told */
  bool dead;  /* ENDED was told */
  bool ours_over;
  bool theirs_over;
  bool deaf;  /* our reading side is closed */
  bool timed; /* it has had a deadline */
  bool waits; /* a write was cut short, and WRITABLE not told */
} talk;

/* A connection or a stream that he was told of. */
typedef struct sight {
  uint64_t connection; /* 0: a free place */
  uint64_t stream;     /* 0: the connection itself */
  int peer;
  bool inbound;
} sight;

typedef struct owner {
  gale *world;
  uint64_t seed; /* for STORM_CHECK */
  uint32_t number;
  bool alive;
  bool starved;    /* memory has failed in this life: it may not be told all */
  bool lazy;       /* he looks seldom */
  bool loud;       /* he writes much, and reads much */
  bool eager;      /* he reads whatever there is */
  bool overlooked; /* there was too much to see */
  bool choosy;     /* he refuses some connections */
  test_allocator memory;
  kad_allocator allocator; /* the above, but for so many times */
  size_t refusals;
  kad__node_config config;
  kad_gater gater;
  kad_bytes namespaces[1];
  uint8_t network_key[KAD_NETWORK_KEY_LEN];
  bool connected[GALE_NODES];
  uint32_t eras[GALE_NODES]; /* how often CONNECTED was told */
  struct {
    bool running;
    uint32_t steps;
  } requests[OWNER_REQUESTS];
  kad_request_id last_request;
  talk talks[OWNER_TALKS];
  sight sights[OWNER_SIGHTS]; /* with report_swarm */
  uint8_t snapshot[OWNER_SNAPSHOT];
  size_t snapshot_len;
} owner;

typedef struct gale_totals {
  uint64_t connected, requests, streams, bytes, lives, works, sights, waits,
      arrived;
  uint64_t ends[KAD_PING + 1]; /* of requests that succeeded, by operation */
} gale_totals;

struct gale {
  uint64_t seed;
  kad_random random;
  kad__simulator *sim;
  int nodes;
  owner owners[GALE_NODES];
  bool public_network;
  bool closed;   /* nobody may connect any more */
  uint64_t told; /* a digest of all events */
  speech speeches[GALE_SPEECHES];
  uint32_t speech_count;
};

extern gale_totals gale_all;

static inline uint64_t gale_below(gale *w, uint64_t bound) {
  return kad_random_below(&w->random, bound);
}

/* One of `n` times. */
static inline bool gale_chance(gale *w, uint64_t n) {
  return gale_below(w, n) == 0;
}

static inline kad_time gale_now(const gale *w) {
  return kad__simulator_now(w->sim);
}

static inline kad__node *owner_node(const owner *o) {
  return kad__simulator_node(o->world->sim, o->number);
}

static inline const kad_peer_id *gale_peer(const gale *w, int node) {
  return kad__simulator_id(w->sim, (uint32_t)node);
}

/* The address of a node, with that port. */
kad_bytes gale_address(const gale *w, int node, uint16_t port);

/* ---- what he is told: owner.c -------------------------------------------- */

/* His node has a new life: he holds nothing, and was told nothing. */
void owner_forget(owner *o);
/* He takes what his node has to say, at most so many events. */
void owner_listen(owner *o, size_t at_most);
/* He was told everything: it is what is. */
void owner_compare(owner *o);

talk *owner_free_talk(owner *o);
talk *owner_any_talk(owner *o);
/* Returns whether there may be more. */
bool owner_read(owner *o, talk *t, size_t at_most);
/* Gives the stream back. */
void owner_end(owner *o, talk *t, bool gently);

/* A new speech; 0: there are too many. */
uint32_t gale_speech(gale *w);
/* What stands in a speech at a place. */
uint8_t gale_byte(uint32_t number, uint64_t place);

/* ---- what he does: owner_acts.c ------------------------------------------ */

/* Something to his node, to its streams, or with a request. */
void owner_act(owner *o);
/* Connects to another by its address. */
void owner_connect(owner *o, int peer);
void owner_open(owner *o, int peer);
void owner_use_stream(owner *o);

#endif
