/* A transport in memory, /memory/N, for the nodes of one process: a channel is
 * two queues. Nothing moves but in memory_run, the owner's loop, so a test can
 * stop the world at any step. A lock guards it, for a service whose thread runs
 * the functions meanwhile; it is never held across a report. */
#ifndef KAD_TESTS_RUNTIME_MEMORY_TRANSPORT_H
#define KAD_TESTS_RUNTIME_MEMORY_TRANSPORT_H

#include <pthread.h>

#include "kadmium/kadmium.h"
#include "support.h"

#define MEMORY_ENDS 24
#define MEMORY_LISTENERS 4

typedef struct memory memory;
typedef struct memory_port memory_port;

/* How much of what is to be written is taken. */
typedef enum memory_takes {
  MEMORY_TAKES_ALL,
  MEMORY_TAKES_ONE,    /* byte */
  MEMORY_TAKES_RANDOM, /* none, some or all */
  MEMORY_TAKES_NONE,
  MEMORY_TAKES_ERROR /* KAD_E_IO */
} memory_takes;

/* How something is begun. */
typedef enum memory_begins {
  MEMORY_LATER,
  MEMORY_AT_ONCE,
  MEMORY_FAILS,      /* KAD_E_UNREACHABLE, at once */
  MEMORY_FAILS_LATER /* KAD_E_TIMEOUT */
} memory_begins;

/* One end of a channel. It is the transport's from `dial` or the accept until
 * `close` or our report that it is over. */
typedef struct memory_end {
  memory_port *port; /* NULL: free */
  uint64_t id;
  struct memory_end *other; /* NULL: not yet, or gone */
  uint64_t number;          /* dialled */
  bool opening;
  bool told;    /* the node has it for open */
  bool stopped; /* the node does not read */
  bool full;    /* took less than all: says later that there is room */
  bool over;    /* the other end has gone */
  uint8_t *in;  /* on its way to us */
  size_t len;
  size_t cap;
} memory_end;

typedef struct memory_listener {
  memory_port *port; /* NULL: free */
  uint64_t id;
  uint64_t number;
  bool pending;
} memory_listener;

/* The transport as one node has it. */
struct memory_port {
  memory *all;
  kad_node *node;       /* set by the test: to whom to report, or ... */
  kad_service *service; /* ... by a visit */
  kad_transport transport;
  memory_takes takes;
  uint64_t stuck; /* channels dialled to this number take nothing */
  memory_begins dials;
  memory_begins listens;
  size_t writes;
  size_t stops; /* `read` with false */
  size_t starts;
  size_t closes;
  size_t unlistens;
  int refused; /* of the last accept; 0: it was taken */
  /* Called inside each function, when set: what may be done there? */
  void (*inside)(memory_port *port);
};

struct memory {
  pthread_mutex_t lock;
  memory_end ends[MEMORY_ENDS];
  memory_listener listeners[MEMORY_LISTENERS];
  kad_random random;
  size_t chunk; /* bytes of a report; 0: all there are */
  bool held;    /* bytes stay where they are */
  bool heaped;  /* ... until the other end has nothing more to write */
  size_t next;  /* whose turn it is */
};

void memory_init(memory *m, uint64_t seed);
/* Every end and listener must have been given back. */
void memory_fini(memory *m);
/* Sets up `port`, whose `transport` is for a node's options. */
void memory_port_init(memory_port *port, memory *m);

/* Does what can be done now, or one thing of it; false when that was nothing.
 */
bool memory_run(memory *m);
bool memory_step(memory *m);
/* Is there something to be done? */
bool memory_busy(memory *m);

/* The ends that a port has, and one of them by its place among these. */
size_t memory_count(const memory *m, const memory_port *port);
memory_end *memory_at(memory *m, const memory_port *port, size_t place);
/* The transport ends one: its node is told, and the other end, as of a cut
 * cable. */
void memory_cut(memory_end *end, int error);

/* The binary /memory/`number`; borrowed until the eighth call from here. */
kad_bytes memory_address(uint64_t number);

#endif
