/* A world in memory for a few swarms: real Noise and yamux, no sockets, time
 * that the test moves. What the world does wrong, the test asks for. */
#ifndef KAD_TESTS_SWARM_MESH_H
#define KAD_TESTS_SWARM_MESH_H

#include "kadmium/key.h"
#include "kadmium/multiaddr.h"
#include "support.h"
#include "swarm/swarm.h"
#include "wire/addresses.h"

#define MESH_NODES 4
#define MESH_LINKS 64
#define MESH_EVENTS 4096

typedef struct mesh_node {
  test_allocator memory;
  kad_random random;
  kad_key_pair *key;
  kad__swarm *swarm;
  char listen[64]; /* /ip4/../tcp/..; empty: it does not listen */
  size_t dials;    /* DIAL actions seen */
  size_t closes;
  size_t pauses;
  size_t resumes;
  size_t resolves;
  kad__swarm_event events[MESH_EVENTS];
  size_t event_count;
  size_t event_read;
} mesh_node;

/* One direction of a link. */
typedef struct mesh_pipe {
  uint8_t *data;
  size_t len;
} mesh_pipe;

typedef struct mesh_link {
  bool used;
  int node[2];       /* the dialler, the listener */
  kad__id id[2];     /* 0: that side is gone */
  mesh_pipe pipe[2]; /* from side i */
  bool paused[2];
  bool pulling[2];
} mesh_link;

/* Answers to names: `name` has the answer `value` (an address text for IP
 * queries: /ip4/.., the record for TXT). */
typedef struct mesh_name {
  const char *name;
  kad__resolve_query query;
  const char *value;
} mesh_name;

typedef struct mesh {
  mesh_node nodes[MESH_NODES];
  mesh_link links[MESH_LINKS];
  kad_time now;
  size_t chunk;   /* bytes per input; 0: all there is */
  bool blackhole; /* dials are never answered */
  bool held;      /* bytes wait in the pipes */
  bool no_pull;   /* nothing is pulled: every socket is full */
  bool one_group; /* dialling nodes are seen in one IPv6 /48, each in a /64 */
  const mesh_name *names;
  size_t name_count;
  bool names_silent;
} mesh;

/* Two nodes or more, each listening on 10.0.0.<i + 1>:4001. `tweak` may change
 * the configuration of node `i`. */
typedef void mesh_tweak(kad__swarm_config *config, int node);
void mesh_init(mesh *m, int nodes, mesh_tweak *tweak);
void mesh_fini(mesh *m);

/* Carries everything out until nothing is left to do. */
void mesh_run(mesh *m);
/* Moves time in steps to every deadline on the way, and runs. */
void mesh_sleep(mesh *m, kad_time time);

kad_bytes mesh_address(const char *text);
const kad_peer_id *mesh_peer(const mesh *m, int node);
/* A list with the address of node `i`. */
kad_bytes mesh_list(const char *text);
int mesh_dial(mesh *m, int from, int to);
/* Dials and waits until both are connected. */
void mesh_connect(mesh *m, int from, int to);
/* The connection of `node`, which has just one. */
kad__id mesh_connection(const mesh *m, int node);

/* The next event of `node` must be of that type. */
kad__swarm_event *mesh_expect(mesh *m, int node, kad__swarm_event_type type);
void mesh_expect_none(mesh *m, int node);
/* The next event of that type, passing over others; NULL when there is none. */
kad__swarm_event *mesh_find(mesh *m, int node, kad__swarm_event_type type);

kad__protocol_names mesh_names(const char *a, const char *b);
/* Writes text to a stream and runs. */
void mesh_say(mesh *m, kad__stream *stream, const char *text);
/* Reads exactly `text`. */
void mesh_hear(kad__stream *stream, const char *text);

/* The world cuts every link of two nodes; each side learns of it. */
void mesh_cut(mesh *m, int error);

#endif
