/* Two nodes that are joined by memory_transport.h alone: 0 listens on /memory/1
 * and sends back what comes, 1 asks. */
#ifndef KAD_TESTS_RUNTIME_TRANSPORT_RIG_H
#define KAD_TESTS_RUNTIME_TRANSPORT_RIG_H

#include "loop.h"
#include "memory_transport.h"

#define ECHO "/test/echo/1"
#define SERVER 1      /* its number: /memory/1 */
#define RIG_EVENTS 64 /* types of them */
#define MEBIBYTE ((size_t)1 << 20)

typedef struct rig {
  memory memory;
  loop l;
  memory_port ports[2];
  kad_node *nodes[2]; /* 0 serves, 1 asks */
  size_t seen[2][RIG_EVENTS];
  kad_event last[2][RIG_EVENTS];     /* its bytes are gone */
  uint8_t failed[KAD_MULTIADDR_MAX]; /* of DIAL_FAILED */
  size_t failed_len;
  kad_request_id request;
  kad_time timeout; /* of requests; 0: as usual */
  size_t received;  /* by the client, of one stream */
  bool wrong;       /* something else than was sent */
} rig;

extern rig r;

/* Sets up the memory and its ports; opens the nodes. */
void rig_prepare(void);
void rig_open(void);
/* Both, and the end of it: everything was given back. */
int rig_setup(void **state);
int rig_teardown(void **state);
kad_node_options rig_options(int side);
void rig_add(int side, const kad_node_options *options);

/* Lets the memory and the nodes work, and takes events; after a part of the
 * memory's work alone. */
void rig_turn(void);
void rig_turn_after(bool busy);
/* Turns until `side` has seen `count` events of that type. */
void rig_await(int side, kad_event_type type, size_t count);
/* Until nobody has anything to do at once. */
void rig_settle(void);

/* Starts to connect to /memory/`number`. */
int rig_dial(uint64_t number);
/* Connects, or not: the error of the request. */
int rig_try_connect(uint64_t number);
void rig_connect(void);
/* The connection that a side has, and how many these are. */
kad_connection_info rig_connection(int side);
size_t rig_connections(int side);
/* Disconnects until there is nothing left. */
void rig_part(void);

kad_stream *rig_open_stream(void);
/* Sends `len` bytes to the server, which sends them back. */
void rig_echo(size_t len);

#endif
