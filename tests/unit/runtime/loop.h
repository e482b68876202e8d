/* Nodes in one poll(2) loop of the test's own, with a deadline instead of
 * sleeps. */
#ifndef KAD_TESTS_RUNTIME_LOOP_H
#define KAD_TESTS_RUNTIME_LOOP_H

#include "kadmium/kadmium.h"
#include "support.h"

#define LOOP_PROTOCOL "/test/kad/1.0.0"
#define LOOP_NODES 8
/* Nothing in these tests takes so long unless it hangs. */
#define LOOP_LIMIT (20 * KAD_SECOND)

typedef struct loop {
  kad_node *nodes[LOOP_NODES];
  size_t count;
  /* Something else that works in every turn, which then waits a millisecond at
   * most; may be NULL. */
  void (*also)(void *user);
  void *also_user;
} loop;

/* Options of a node on loopback, its port chosen by the system. */
kad_node_options loop_options(void);

kad_node *loop_add(loop *l, const kad_node_options *options);
/* A node on loopback that joins through `contact` (may be NULL), and is ready.
 */
kad_node *loop_join(loop *l, kad_node *contact);
void loop_close(loop *l);

/* Lets every node work once, waiting at most `wait_ms` for one that has
 * something to do. */
void loop_turn(loop *l, int wait_ms);

/* Turns until `node` says an event of `type` of `request` (0: of none);
 * events of it that come before are dropped, those of others stay. Fails the
 * test after LOOP_LIMIT. The event's bytes live until the next poll. */
kad_event loop_await(loop *l, kad_node *node, kad_event_type type,
                     kad_request_id request);

/* What a request of `node` brought. */
typedef struct loop_result {
  kad_event end;
  kad_event last; /* its bytes are kept in `bytes` */
  size_t results;
  uint8_t bytes[4096];
} loop_result;

void loop_run(loop *l, kad_node *node, const kad_request *request,
              loop_result *out);

/* The text of the node's first address, with /p2p. */
const char *loop_address(kad_node *node, char out[KAD_MULTIADDR_TEXT_MAX]);
/* Its TCP port on IPv4 loopback. */
uint16_t loop_port(kad_node *node);

kad_time loop_now(void);

#endif
