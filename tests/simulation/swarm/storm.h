/* A world for a few swarms in which everything that may happen in another order
 * does: bytes travel in pieces of any size, actions wait, dials race, are
 * refused or never answered, sockets fill up, links die at a given byte. What
 * happens next is drawn from a seed, so that a failure can be repeated. */
#ifndef KAD_TESTS_STORM_H
#define KAD_TESTS_STORM_H

#include "kadmium/key.h"
#include "kadmium/multiaddr.h"
#include "storms.h"
#include "swarm/swarm_internal.h"

#define STORM_NODES 4
#define STORM_LINKS 128
#define STORM_IMMORTAL UINT64_MAX

typedef struct storm_node {
  test_allocator memory;
  kad_random random;
  kad__swarm *swarm; /* NULL: freed */
  kad__id listener;
  kad__id stuck; /* whose socket was full; 0: none */
  void *app;
} storm_node;

typedef struct storm_pipe {
  uint8_t *data;
  size_t len;
  size_t cap;
} storm_pipe;

typedef struct storm_link {
  bool used;
  bool dialing;  /* side 1 is not there yet */
  int node[2];   /* the dialler, the listener; -1: nobody listens there */
  kad__id id[2]; /* 0: that side is gone */
  storm_pipe pipe[2];
  bool paused[2];
  uint64_t life; /* bytes that still arrive, of both directions */
} storm_link;

typedef struct storm {
  uint64_t seed;
  kad_random random;
  int nodes;
  storm_node node[STORM_NODES];
  storm_link links[STORM_LINKS];
  kad_time now;
  uint64_t next_life; /* of the links dialled from now on; 0: drawn */
  bool calm;          /* no more trouble is made by the world */
  uint64_t carried;   /* bytes that arrived */
  uint64_t cut;       /* links that died */
  void (*on_event)(struct storm *w, int node, const kad__swarm_event *event);
} storm;

typedef void storm_tweak(storm *w, kad__swarm_config *config, int node);

void storm_init(storm *w, uint64_t seed, int nodes, storm_tweak *tweak);
/* Nothing may be left. */
void storm_fini(storm *w);
void storm_free_node(storm *w, int node);

uint64_t storm_below(storm *w, uint64_t bound);
/* One of `n` times. */
bool storm_chance(storm *w, uint64_t n);

/* One thing happens, anywhere; every invariant holds afterwards. */
void storm_step(storm *w);
/* Time goes on, to the next deadline at most. */
void storm_wait(storm *w, kad_time at_most);
/* Everything that is under way arrives; time passes. */
void storm_settle(storm *w, kad_time time);

const kad_peer_id *storm_peer(int node);
/* The address of a node, with another port where nobody listens. */
kad_bytes storm_address(int node, int port);

#endif
