/* The queue of events between a node and its owner. Each event owns copies of
 * its bytes, so nothing that happens later can change it. */
#ifndef KAD_NODE_EVENTS_H
#define KAD_NODE_EVENTS_H

#include "base/list.h"
#include "kadmium/request.h"

/* Events that wait at most; further news of the node's life is dropped (and
 * counted), results of requests never are. */
#define KAD__NODE_EVENTS_MAX 16384

/* A place in the queue: an event with its bytes, or a stream that says itself
 * what has happened to it, for as long as it has something to say. */
typedef struct kad__node_event {
  kad__list link;
  kad_stream *stream;
} kad__node_event;

typedef struct kad__node_events {
  const kad_allocator *allocator;
  kad__list waiting;
  kad__node_event *taken; /* what the owner holds */
  size_t count;           /* streams not counted */
  uint64_t dropped;
} kad__node_events;

void kad__node_events_init(kad__node_events *events,
                           const kad_allocator *allocator);
void kad__node_events_fini(kad__node_events *events);

/* An empty event for kad__node_events_push_owned; NULL without memory. */
kad__node_event *kad__node_event_new(const kad_allocator *allocator);

/* Queues `event`, which points at no bytes, in `space`; cannot fail. */
void kad__node_events_push_owned(kad__node_events *events,
                                 kad__node_event *space,
                                 const kad_event *event);

/* The place of a stream, embedded in it. */
static inline void kad__node_event_init(kad__node_event *place,
                                        kad_stream *stream) {
  kad__list_init(&place->link);
  place->stream = stream;
}
/* Queues a stream, unless it is queued. */
void kad__node_events_push_stream(kad__node_events *events,
                                  kad__node_event *place);

/* Queues a copy. Without memory the event is dropped and counted. */
void kad__node_events_push(kad__node_events *events, const kad_event *event);
/* The oldest event; its bytes live until the next call. */
bool kad__node_events_take(kad__node_events *events, kad_event *out);

#endif
