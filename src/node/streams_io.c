/* The bytes of a stream, and its end, as its owner sees them. What is written
 * goes out with the node's next turn. */
#include <limits.h>

#include "node/streams_internal.h"

/* ---- reading ------------------------------------------------------------- */

void kad__node_stream_drop(kad_stream *s) {
  kad__stream_consume(s->inner, kad__stream_peek(s->inner).len);
}

kad_bytes kad_stream_peek(const kad_stream *s) {
  return s->inner == NULL || s->read_closed ? (kad_bytes){0}
                                            : kad__stream_peek(s->inner);
}

void kad_stream_consume(kad_stream *s, size_t len) {
  if (len == 0) {
    return;
  }
  s->bytes_read += len;
  kad__stream_consume(s->inner, len);
}

bool kad_stream_at_end(const kad_stream *s) {
  return s->inner != NULL && !s->read_closed && kad__stream_ended(s->inner) &&
         kad__stream_peek(s->inner).len == 0;
}

int kad_stream_read(kad_stream *s, void *out, size_t cap) {
  if (s->read_closed) {
    return KAD_E_STATE;
  }
  kad_bytes in = kad_stream_peek(s);
  if (in.len == 0) {
    if (kad_stream_at_end(s)) {
      return 0;
    }
    return s->error != 0 ? s->error : KAD_E_AGAIN;
  }
  size_t len = in.len < cap ? in.len : cap;
  len = len < INT_MAX ? len : INT_MAX;
  if (len == 0) {
    return KAD_E_AGAIN;
  }
  memcpy(out, in.data, len);
  kad_stream_consume(s, len);
  return (int)len;
}

void kad__node_stream_charge(kad_stream *s, size_t bytes) {
  if (s->inner != NULL) {
    kad__stream_charge(s->inner, bytes);
  }
}

void kad_stream_close_read(kad_stream *s) {
  s->read_closed = true;
  kad__node_stream_quiet(s, KAD__TELL_READABLE);
  if (s->inner != NULL) {
    kad__node_stream_drop(s);
  }
}

/* ---- writing ------------------------------------------------------------- */

size_t kad_stream_unsent(const kad_stream *s) {
  return kad__buffer_len(&s->held) +
         (s->inner == NULL || s->error != 0 ? 0 : kad__stream_unsent(s->inner));
}

int kad__node_stream_flush(kad_stream *s) {
  int error = 0;
  if (kad__buffer_len(&s->held) != 0) {
    error = kad__stream_write(s->inner, kad__buffer_bytes(&s->held));
  }
  if (error == 0) {
    kad__buffer_fini(&s->held, &s->node->allocator);
  }
  if (error == 0 && s->write_closed) {
    kad__stream_close_write(s->inner);
  }
  if (error == 0 && s->orphan && s->name_count == 1) {
    kad__stream_release(s->inner);
    kad__node_stream_free(s);
  }
  return error;
}

static void tell_room(kad_stream *s) {
  if (s->wants_room && s->error == 0) {
    s->wants_room = false;
    kad__node_stream_tell(s, KAD__TELL_WRITABLE);
  }
}

void kad__node_streams_room(kad__node *node) {
  kad__list *link;
  while ((link = kad__list_take(&node->streams.starved)) != NULL) {
    tell_room(KAD__CONTAINER(link, kad_stream, waiting));
  }
}

void kad__node_stream_room(kad_stream *s) {
  tell_room(s);
  kad__node_streams_room(s->node);
}

/* Others have filled the connection, whose output will make room, or have taken
 * all the memory there may be, of which nobody tells when it is free again. */
static int starve(kad_stream *s) {
  kad__node_streams_wait(s->node, s->node->now);
  if (!kad__list_linked(&s->waiting)) {
    kad__list_append(&s->node->streams.starved, &s->waiting);
  }
  return KAD_E_AGAIN;
}

static int queue(kad_stream *s, kad_bytes bytes) {
  if (s->inner == NULL) {
    return kad__buffer_append(&s->held, &s->node->allocator, bytes);
  }
  int error = kad__stream_write(s->inner, bytes);
  return error == KAD_E_LIMIT ? starve(s) : error;
}

int kad_stream_write(kad_stream *s, const void *bytes, size_t len) {
  if (s->error != 0) {
    return s->error;
  }
  if (s->write_closed) {
    return KAD_E_STATE;
  }
  size_t unsent = kad_stream_unsent(s);
  size_t room =
      unsent < KAD_STREAM_UNSENT_MAX ? KAD_STREAM_UNSENT_MAX - unsent : 0;
  size_t taken = len < room ? len : room;
  int error = taken == 0 ? KAD_E_AGAIN : queue(s, kad__bytes(bytes, taken));
  s->wants_room = error == KAD_E_AGAIN ? len != 0 : taken < len;
  if (error < 0) {
    return len == 0 ? 0 : error;
  }
  s->bytes_written += taken;
  return (int)taken;
}

void kad_stream_close_write(kad_stream *s) {
  if (s->write_closed || s->error != 0) {
    return;
  }
  s->write_closed = true;
  if (s->inner != NULL) {
    kad__stream_close_write(s->inner);
  }
}

/* ---- the end ------------------------------------------------------------- */

/* What was written waits for the connection, or for the protocol. */
static bool must_wait(const kad_stream *s) {
  return s->error == 0 && !s->opened && s->bytes_written != 0 &&
         (s->inner == NULL || s->name_count > 1);
}

void kad_stream_close(kad_stream *s) {
  if (s == NULL) {
    return;
  }
  if (must_wait(s)) {
    kad_stream_close_write(s);
    kad_stream_close_read(s);
    kad__node_stream_quiet(s, 0xff);
    s->orphan = true;
    return;
  }
  if (s->inner != NULL) {
    kad__stream_release(s->inner);
  }
  kad__node_stream_free(s);
}

void kad_stream_reset(kad_stream *s, uint32_t code) {
  if (s == NULL) {
    return;
  }
  if (s->inner != NULL) {
    kad__stream_reset(s->inner, code);
  }
  kad__node_stream_free(s);
}

/* ---- facts --------------------------------------------------------------- */

void kad__node_stream_info(const kad_stream *s, kad_stream_info *out,
                           kad_time now) {
  *out = (kad_stream_info){.peer = s->peer,
                           .protocol = s->protocol,
                           .connection = s->connection,
                           .id = s->id,
                           .inbound = s->inbound,
                           .opened = s->opened,
                           .age = now - s->since,
                           .bytes_read = s->bytes_read,
                           .bytes_written = s->bytes_written,
                           .error = s->error,
                           .code = s->code};
}

void kad_stream_set_user(kad_stream *s, void *user) {
  s->user = user;
}

void *kad_stream_user(const kad_stream *s) {
  return s->user;
}
