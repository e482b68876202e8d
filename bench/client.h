/* The load: light clients, as many as one process can hold. A unit is a swarm
 * with identify and an identity of its own, which is all that an honest peer
 * needs to connect; its channels are non-blocking sockets in one epoll. */
#ifndef KAD_BENCH_CLIENT_H
#define KAD_BENCH_CLIENT_H

#include "base/buffer.h"
#include "kadmium/key.h"
#include "protocols/identify.h"
#include "server.h"
#include "swarm/swarm.h"

/* Of streams that the owner of a unit opens. */
#define BENCH_TAG 0x400

typedef struct bench_unit {
  struct bench_client *client;
  kad_random random;
  kad_key_pair *key;
  kad__swarm *swarm;
  kad__own_addresses *own;
  kad__identify *identify;
  int fd; /* -1: no channel */
  kad__id channel;
  bool connecting;
  bool close_asked;
  kad__buffer rest; /* what the socket did not take */
  bool connected;
  bool identified; /* we know the server */
  int error;
} bench_unit;

typedef struct bench_client {
  int epoll;
  const bench_server *server;
  bench_unit *units;
  uint32_t count;
  uint32_t identified;
  /* Takes the events of streams tagged BENCH_TAG; may be NULL. */
  void (*on_stream)(void *user, bench_unit *unit,
                    const kad__swarm_event *event);
  void *user;
} bench_client;

/* Makes `count` units, each with a new identity. Nothing connects yet. */
void bench_client_init(bench_client *client, const bench_server *server,
                       uint32_t count);
/* Closes and frees all. */
void bench_client_fini(bench_client *client);

/* Starts to connect a unit to the server. */
void bench_client_connect(bench_client *client, uint32_t unit);
/* Lets a unit work off what it was told: its events, actions and output. */
void bench_client_settle(bench_unit *unit);
/* Waits for sockets and deadlines, and works once through what there is. */
void bench_client_turn(bench_client *client);
/* Connects the units from `first` on, at most `window` at once, until every one
 * of them has identified the server. */
void bench_client_connect_all(bench_client *client, uint32_t first,
                              uint32_t window);

#endif
