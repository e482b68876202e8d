/* What may stand between two nodes: a relay of TCP that forwards what it reads
 * in pieces of its own, damages a bit, resets both sides, or forgets a flow as
 * routers do. It works in the turns of the loop. */
#ifndef KAD_TESTS_RUNTIME_RELAY_H
#define KAD_TESTS_RUNTIME_RELAY_H

#include "loop.h"

#define RELAY_FLOWS 16
#define RELAY_NEVER SIZE_MAX

typedef enum relay_side { RELAY_DIALER, RELAY_LISTENER } relay_side;

typedef struct relay_plan {
  size_t piece; /* forwarded in one turn and direction at most; 0: everything */
  size_t hold;  /* forwarded when so much has come, or nothing more comes */
  relay_side from;   /* of whose bytes the following count */
  size_t reset_at;   /* both sides are reset in front of this byte, */
  size_t damaged_at; /* a bit of this one is another; RELAY_NEVER: of none */
} relay_plan;

/* Changes nothing. */
#define RELAY_PLAIN \
  ((relay_plan){.reset_at = RELAY_NEVER, .damaged_at = RELAY_NEVER})

typedef struct relay_pipe {
  uint8_t bytes[65536]; /* read and not yet forwarded */
  size_t len;
  size_t forwarded;
  unsigned quiet; /* turns in which nothing came */
  bool ended;
} relay_pipe;

typedef struct relay_flow {
  int fds[2];          /* to the dialler, to the listener; -1: free, closed */
  relay_pipe pipes[2]; /* by whose bytes they are */
} relay_flow;

typedef struct relay {
  int listener;
  uint16_t port;   /* where it listens */
  uint16_t target; /* where it forwards to */
  relay_plan plan; /* of all flows, from now on */
  size_t accepted;
  int forgotten[512]; /* listeners' ends of forgotten flows: open, silent */
  size_t forgotten_count;
  relay_flow flows[RELAY_FLOWS];
} relay;

/* Starts to relay to `target`, in the turns of `l`. */
void relay_open(relay *r, loop *l, uint16_t target);
void relay_close(relay *r, loop *l);
/* Counts bytes from here on, as if all flows were new. */
void relay_count_anew(relay *r);
/* How many bytes of that side were forwarded by all that are open. */
size_t relay_forwarded(const relay *r, relay_side from);
/* Resets both sides of every flow. */
void relay_reset(relay *r);
/* What a router does that has lost its table: the dialler is reset, and the
 * listener hears nothing any more. */
void relay_forget(relay *r);

#endif
