/* A request of the owner, as the files that deal with requests see it. */
#ifndef KAD_NODE_REQUESTS_INTERNAL_H
#define KAD_NODE_REQUESTS_INTERNAL_H

#include "node/node_internal.h"

/* Addresses whose failures are told one by one. */
#define KAD__REQUEST_FAILURES_MAX 16

typedef enum kad__request_state {
  KAD__REQUEST_WAITING,     /* for the node to join */
  KAD__REQUEST_QUERYING,    /* wait_id is a query */
  KAD__REQUEST_DIALLING,    /* wait_id is a dial, or peer is being dialled */
  KAD__REQUEST_IDENTIFYING, /* wait_id is a connection */
  KAD__REQUEST_PINGING      /* wait_id is a ping */
} kad__request_state;

typedef struct kad__request {
  kad__list in_order; /* of all, by id */
  kad__list link;     /* in waiting or dialling */
  kad__map_node by_id;
  kad__map_node by_wait; /* in running, while KAD__REQUEST_QUERYING or
                            KAD__REQUEST_PINGING */
  kad__heap_node deadline;
  kad__request_state state;
  bool finishing; /* to end with what it has */
  uint32_t results;
  uint32_t step; /* events so far */
  kad_lookup_ending ending;
  int cause; /* what the END shall say, when the DHT only says "cancelled" */
  kad_request_id id;
  struct {
    uint64_t kind;
    uint64_t id;
  } wait;
  kad_time started;
  kad_statistics statistics;
  kad_request request; /* its bytes are behind the struct */
  kad__node_event *end;
  uint8_t bytes[];
} kad__request;

/* NULL when it has ended. */
kad__request *kad__request_find(const kad__node *node, kad_request_id id);
/* Queues an event of it, numbered. */
void kad__request_emit(kad__node *node, kad__request *r, kad_event *event);
/* Queues its END, and frees it. */
void kad__request_end(kad__node *node, kad__request *r, int error,
                      kad_time now);
/* The error that a request ends with when its owner has finished it. */
int kad__request_finished(const kad__request *r);
/* Whose query it is; NULL: the node's own. */
kad__request *kad__request_of_query(const kad__node *node, uint64_t query);

#endif
