/* The streams of a service. Callers on any thread fill and empty buffers; the
 * service's thread carries the bytes between these and the node's streams. */
#ifndef KAD_RUNTIME_SERVICE_STREAMS_H
#define KAD_RUNTIME_SERVICE_STREAMS_H

#include <pthread.h>
#include <uv.h>

#include "base/list.h"
#include "kadmium/service_stream.h"
#include "node/node.h"

typedef struct kad__service_streams {
  kad_allocator allocator;
  kad__node *node;
  uv_async_t *wake;
  kad__list all;         /* of the service's thread alone */
  pthread_mutex_t mutex; /* guards what follows; taken within a stream's */
  pthread_cond_t changed;
  kad__list dirty;   /* streams to be looked at */
  kad__list backlog; /* streams that nobody has accepted */
  size_t backlog_len;
  size_t callers; /* threads that wait in a call on the service */
  bool stopped;
} kad__service_streams;

/* KAD_E_WORLD. */
int kad__service_streams_init(kad__service_streams *all,
                              const kad_allocator *allocator, kad__node *node,
                              uv_async_t *wake);
void kad__service_streams_fini(kad__service_streams *all);

/* On the service's thread: an event of a stream; what callers want, true when
 * that has given the node something to do; the end of all streams. */
void kad__service_streams_event(kad__service_streams *all,
                                const kad_event *event);
bool kad__service_streams_run(kad__service_streams *all);
void kad__service_streams_stop(kad__service_streams *all);

/* The streams of a service (service.c). */
kad__service_streams *kad__service_streams_of(kad_service *service);

#endif
