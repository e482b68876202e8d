/* Which protocol a stream speaks. Our side sends header and first proposal
 * with the first frame and reads the answers when they come; the other side's
 * proposals are answered from the protocols that are handled. The answers pass
 * through one buffer of the swarm that keeps its memory. */
#include "swarm/swarm_internal.h"

#define SCRATCH_KEPT 4096u

/* Sends what the negotiation wrote. A stream that is reset takes nothing; that
 * the peer went away shows elsewhere. */
static int flush(kad__stream *stream) {
  kad__swarm *s = stream->channel->swarm;
  kad_bytes bytes = kad__buffer_bytes(&s->scratch);
  int result =
      bytes.len == 0 ? 0 : kad__yamux_stream_write(stream->inner, bytes);
  s->scratch.begin = 0;
  s->scratch.end = 0;
  if (s->scratch.cap > SCRATCH_KEPT) {
    kad__buffer_fini(&s->scratch, &s->allocator);
  }
  kad__channel_touch(stream->channel);
  return result;
}

int kad__negotiation_start(kad__stream *stream) {
  kad__swarm *s = stream->channel->swarm;
  kad__multistream_init(&stream->negotiation, true);
  int result = kad__multistream_start(&stream->negotiation, &stream->names,
                                      &s->scratch, &s->allocator);
  int sent = flush(stream);
  return result < 0 ? result : sent;
}

/* What follows a proposal that we refuse is meant for that protocol. A reset
 * could overtake the refusal, which says more. */
static bool has_refused(const kad__stream *stream) {
  return stream->inbound && !stream->agreed &&
         stream->negotiation.proposals > 0;
}

static void fail(kad__stream *stream, int error) {
  if (has_refused(stream)) {
    kad__stream_destroy(stream);
    return;
  }
  kad__yamux_stream_reset(stream->inner, KAD__RESET_NEGOTIATION);
  kad__channel_touch(stream->channel);
  kad__stream_died(stream, error);
}

/* What was written before the protocol was known follows now. */
static int send_held(kad__stream *stream) {
  int result = 0;
  if (kad__buffer_len(&stream->held) != 0) {
    result = kad__yamux_stream_write(stream->inner,
                                     kad__buffer_bytes(&stream->held));
    if (result == 0) {
      kad__stream_count(stream, 0, kad__buffer_len(&stream->held));
    }
    kad__stream_drop_held(stream);
  }
  if (stream->close_held) {
    kad__yamux_stream_close_write(stream->inner);
  }
  return result;
}

/* Not when all that came was read with an earlier event. */
static void tell_readable(kad__stream *stream) {
  if (kad__yamux_stream_peek(stream->inner).len != 0 ||
      kad__yamux_stream_ended(stream->inner)) {
    kad__swarm_tell(stream->channel->swarm, &stream->event,
                    KAD__STREAM_READABLE);
  }
}

static void agree(kad__stream *stream) {
  kad__swarm *s = stream->channel->swarm;
  uint16_t selected = stream->negotiation.selected;
  stream->agreed = true;
  stream->agree_by = KAD_TIME_NEVER;
  (void)kad__stream_arm(stream); /* it is in the heap: no memory is needed */
  if (stream->inbound) {
    stream->protocol = stream->matched != NULL ? stream->negotiation.matched
                                               : s->names[selected];
    stream->tag = s->tags[selected];
    kad__swarm_tell(s, &stream->event, KAD__STREAM_INBOUND);
  } else {
    stream->protocol = stream->names.names[selected];
    kad__swarm_tell(s, &stream->event, KAD__STREAM_OPENED);
  }
  int result = send_held(stream);
  kad__channel_touch(stream->channel);
  if (result < 0) {
    fail(stream, result);
    return;
  }
  tell_readable(stream);
}

/* The name that a match has taken is the peer's: it goes with the input. */
static int keep_matched(kad__stream *stream) {
  kad_bytes name = stream->negotiation.matched;
  stream->matched = kad__alloc(&stream->channel->swarm->allocator, name.len);
  if (stream->matched == NULL) {
    return KAD_E_NO_MEMORY;
  }
  memcpy(stream->matched, name.data, name.len);
  stream->negotiation.matched.data = stream->matched;
  return 1;
}

static void negotiate(kad__stream *stream) {
  kad__swarm *s = stream->channel->swarm;
  kad__protocol_names names =
      stream->inbound ? kad__swarm_protocols(s) : stream->names;
  kad_bytes in = kad__yamux_stream_peek(stream->inner);
  size_t before = in.len;
  int result = kad__multistream_read(&stream->negotiation, &names, &in,
                                     &s->scratch, &s->allocator);
  if (result == 1 && stream->negotiation.matched.len != 0) {
    result = keep_matched(stream);
  }
  kad__yamux_stream_consume(stream->inner, before - in.len);
  int sent = flush(stream);
  /* A peer that has all it wants may be gone before our answer. */
  if (result == 1 && stream->inbound) {
    sent = 0;
  }
  if (result == 0 && kad__yamux_stream_ended(stream->inner)) {
    result = KAD_E_TRUNCATED;
  }
  if (result < 0 || sent < 0) {
    fail(stream, result < 0 ? result : sent);
  } else if (result == 1) {
    agree(stream);
  }
}

void kad__stream_readable(kad__stream *stream) {
  if (stream->error != 0) {
    return;
  }
  if (stream->agreed) {
    tell_readable(stream);
  } else {
    negotiate(stream);
  }
}

void kad__stream_writable(kad__stream *stream) {
  if (stream->agreed && stream->error == 0) {
    kad__swarm_tell(stream->channel->swarm, &stream->event,
                    KAD__STREAM_WRITABLE);
  }
}
