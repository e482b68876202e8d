/* The real world of one node: an event loop, its TCP channels, listeners and
 * name resolution. It drives the pure node and carries out its actions. */
#ifndef KAD_RUNTIME_WORLD_H
#define KAD_RUNTIME_WORLD_H

#include <uv.h>

#include "base/map.h"
#include "node/node.h"
#include "runtime/address.h"

typedef struct kad__dns kad__dns;
typedef struct kad__port_mapping kad__port_mapping;
typedef struct kad__transports kad__transports;

/* Reads and writes go through one buffer each: only what a full socket leaves
 * over is copied. All that one stream may have unsent fits into one write,
 * since each can wake the peer. */
#define KAD__WORLD_READ_LEN (256 * 1024)
#define KAD__WORLD_WRITE_LEN (320 * 1024)

typedef struct kad__world {
  uv_loop_t loop;
  uv_timer_t timer;     /* the node's deadline */
  uv_prepare_t prepare; /* before the loop sleeps: a turn when time is due */
  uv_check_t check;     /* after it read sockets: the node's turn */
  uv_async_t wake;      /* from other threads */
  kad_allocator allocator;
  kad__node *node;
  kad__dns *dns;               /* made when the first name is to be resolved */
  kad__port_mapping *mapping;  /* NULL: no ports are mapped */
  kad__transports *transports; /* the owner's; NULL: TCP alone */
  kad__map channels;           /* by kad__id */
  kad__map listeners;
  bool due;                 /* a turn is, before the loop sleeps */
  kad_time wall_at;         /* when the wall clock was last told */
  kad_time look_every;      /* after so long at this machine's interfaces */
  void (*turn)(void *user); /* after each turn of the node; may be NULL */
  void *turn_user;
  uint8_t read_buffer[KAD__WORLD_READ_LEN];
  uint8_t write_buffer[KAD__WORLD_WRITE_LEN];
} kad__world;

/* Takes over `node` only on success. KAD_E_NO_MEMORY, KAD_E_WORLD. */
int kad__world_new(kad__world **out, const kad_allocator *allocator,
                   kad__node *node);
/* Closes everything; the node is freed too. Takes NULL. */
void kad__world_free(kad__world *world);

/* Lets the node work, carries out its actions, writes what it has to say, and
 * arms the timer. Called by the loop after every round of reading. */
void kad__world_turn(kad__world *world);

/* ---- between the files of this folder ---------------------------------- */

void kad__listener_open(kad__world *world, kad__id id, kad_bytes address);
void kad__listener_close(kad__world *world, kad__id id);
void kad__listener_close_all(kad__world *world);

/* Takes over a socket that `listener` accepted. */
void kad__socket_accepted(kad__world *world, kad__id listener, int fd,
                          const kad__sockaddr *from);
void kad__socket_dial(kad__world *world, kad__id id, kad_bytes address);
void kad__socket_close(kad__world *world, kad__id id);
void kad__socket_read(kad__world *world, kad__id id, bool on);
void kad__socket_flush(kad__world *world, kad__id id);
/* Closes all handles of channels, for the end of the world. */
void kad__socket_close_all(kad__world *world);

/* Resolves `name`; the answers go to the swarm. KAD_E_NO_MEMORY, KAD_E_WORLD
 * when the resolver cannot be set up. */
int kad__dns_new(kad__dns **out, kad__world *world);
/* Cancels everything and closes its handles; its memory goes with the loop. */
void kad__dns_free(kad__dns *dns);
void kad__dns_resolve(kad__dns *dns, kad__id id, kad__resolve_query query,
                      kad_bytes name);

/* For tests: asks these servers ("127.0.0.1:5353,...") instead of the system's.
 * KAD_E_INVALID_ARGUMENT, and as kad__dns_new. */
int kad__dns_set_servers(kad__world *world, const char *servers);

/* The named error that belongs to libuv's. */
int kad__world_error(int uv_error);

#endif
