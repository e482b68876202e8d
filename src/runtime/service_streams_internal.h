/* What service_streams.c (the service's thread) and service_stream_calls.c (all
 * other threads) share. */
#ifndef KAD_RUNTIME_SERVICE_STREAMS_INTERNAL_H
#define KAD_RUNTIME_SERVICE_STREAMS_INTERNAL_H

#include <string.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/bytes.h"
#include "runtime/service_streams.h"
#include "runtime/system.h"

/* Bytes that wait in either direction. */
#define KAD__SERVICE_BUFFER_MAX ((size_t)256 * 1024)

/* What may be charged for a stream that holds less by now. */
#define KAD__SERVICE_CHARGE_KEPT ((size_t)64 * 1024)

struct kad_service_stream {
  kad_allocator allocator;
  kad_stream *inner; /* of the service's thread alone */
  kad__list in_all;  /* the same */
  kad__list in_dirty;
  kad__list in_backlog;
  pthread_mutex_t mutex; /* guards what follows */
  pthread_cond_t changed;
  kad__service_streams *owner;       /* NULL: the service has ended with it */
  const kad_stream_options *opening; /* of the caller that waits */
  kad__buffer in;
  kad__buffer out;
  size_t charged; /* for both */
  kad_time read_by;
  kad_time write_by;
  kad_stream_info info;
  uint8_t *protocol; /* owned: behind info.protocol */
  kad_time since;
  uint32_t reset_code;
  int error;
  bool opened;
  bool ended;   /* the peer's side: all of it is in `in` */
  bool stalled; /* more has arrived than `in` holds */
  bool read_closed;
  bool write_closed;
  bool end_sent;
  bool closed; /* by its caller, who has let go */
  bool reset;
};

/* NULL without memory. */
kad_service_stream *kad__service_stream_new(kad__service_streams *all);
void kad__service_stream_free(kad_service_stream *stream);

/* The service's thread shall look at it. Called with the stream locked. */
void kad__service_stream_mark(kad_service_stream *stream);

#endif
