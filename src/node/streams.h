/* Streams of the owner's own protocols, over those of the swarm: they wait for
 * a dial, are bounded both ways, have deadlines, and are the owner's until he
 * gives them back, whatever becomes of the connection. The owner's calls are
 * those of kadmium/stream.h; the ones below want the time as well. */
#ifndef KAD_NODE_STREAMS_H
#define KAD_NODE_STREAMS_H

#include "base/heap.h"
#include "base/list.h"
#include "kadmium/stream.h"
#include "node/node.h"
#include "protocols/tags.h"

/* Protocols of the owner at a time. */
#define KAD__NODE_HANDLERS_MAX 24
/* The tag of their streams. */
#define KAD__TAG_STREAMS KAD__TAG_FREE

typedef struct kad__streams {
  kad__list all;
  kad__list dialling; /* for the connection that they need */
  kad__list starved;  /* for others to make room in the connection */
  kad__list crowded;  /* for others to be acknowledged, or to end */
  kad_time retry_at;
  kad__heap deadlines;
  size_t count;
  uint32_t handlers;
} kad__streams;

void kad__streams_init(kad__streams *streams);
/* Resets and frees all, those included that the owner still holds. */
void kad__streams_fini(kad__node *node);

/* A stream event of the swarm whose tag is ours. */
void kad__streams_event(kad__node *node, const kad__swarm_event *event,
                        kad_time now);
/* Every other event of the swarm, once the owner has been told of it. */
void kad__streams_swarm_event(kad__node *node, const kad__swarm_event *event,
                              kad_time now);
kad_time kad__streams_deadline(const kad__node *node);
void kad__streams_tick(kad__node *node, kad_time now);

int kad__node_handle(kad__node *node, kad_bytes protocol,
                     kad_protocol_match match, void *user, kad_time now);
void kad__node_unhandle(kad__node *node, kad_bytes protocol, kad_time now);
int kad__node_stream_open(kad__node *node, kad_stream **out,
                          const kad_peer_id *peer,
                          const kad_stream_options *options, kad_time now);
/* Each side's time is over at `at`; KAD_TIME_NEVER: it is not. */
int kad__node_stream_deadline(kad_stream *stream, unsigned sides, kad_time at);
/* Says how many bytes the owner holds for the stream, in both directions: they
 * count against the limits. */
void kad__node_stream_charge(kad_stream *stream, size_t bytes);
void kad__node_stream_info(const kad_stream *stream, kad_stream_info *out,
                           kad_time now);

/* The next event of a stream that has one, as the queue of events asks for it;
 * true when there are more. */
bool kad__node_stream_event(kad_stream *stream, kad_event *out);

#endif
