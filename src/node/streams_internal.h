/* What streams.c (their life) and streams_io.c (their bytes) share. */
#ifndef KAD_NODE_STREAMS_INTERNAL_H
#define KAD_NODE_STREAMS_INTERNAL_H

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/bytes.h"
#include "node/node_internal.h"

/* What has happened and was not told yet, in the order in which it is. */
#define KAD__TELL_INBOUND 0x01
#define KAD__TELL_OPENED 0x02
#define KAD__TELL_READABLE 0x04
#define KAD__TELL_WRITABLE 0x08
#define KAD__TELL_TIMEOUT 0x10
#define KAD__TELL_ENDED 0x20

struct kad_stream {
  kad__node *node;
  kad__node_event event;
  kad__stream *inner; /* NULL while dialling, and when we have ended it */
  kad__list in_all;
  kad__list waiting; /* in `dialling`, `starved` or `crowded` */
  kad__heap_node timer;
  kad_peer_id peer;
  kad__id connection; /* wanted, then used; 0: any */
  uint64_t id;        /* 0 while it is dialled */
  void *user;
  kad_bytes *names; /* proposed: one block with their bytes behind them */
  size_t name_count;
  kad_bytes protocol;
  kad__buffer held; /* written while dialling */
  uint64_t bytes_read;
  uint64_t bytes_written;
  kad_time since;
  kad_time open_by;
  kad_time read_by;
  kad_time write_by;
  uint32_t code;
  int error;
  uint8_t tell;
  uint8_t late; /* kad_stream_side whose time is over */
  bool inbound;
  bool opened;
  bool read_closed;
  bool write_closed;
  bool wants_room; /* a write was cut short */
  bool orphan;     /* closed by the owner, still to be opened and sent */
};

void kad__node_stream_tell(kad_stream *s, uint8_t what);
/* What was to be told is void: takes its place when that was all. */
void kad__node_stream_quiet(kad_stream *s, uint8_t what);
/* It is dead: the owner is told. */
void kad__node_stream_die(kad_stream *s, int error);
/* Frees it; the inner stream is the caller's to end. */
void kad__node_stream_free(kad_stream *s);
/* What was written while dialling goes on its way; or, with an error, waits as
 * before. An orphan that has said everything is freed. */
int kad__node_stream_flush(kad_stream *s);
/* There is room again, for it or for those that others kept from writing. */
void kad__node_stream_room(kad_stream *s);
void kad__node_streams_room(kad__node *node);
/* Those that wait for a vacancy or for room try again before long. */
void kad__node_streams_wait(kad__node *node, kad_time now);
/* Drops what has arrived for nobody. */
void kad__node_stream_drop(kad_stream *s);

#endif
