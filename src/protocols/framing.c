/* Reading in place costs nothing, but a message that does not fit into the
 * receive window would wait for ever: its window opens only when bytes are
 * consumed. Hence the two ways, and the threshold between them. */
#include "protocols/framing.h"

#include "base/bytes.h"
#include "multiformats/varint.h"

/* The prefix at the front of `in`: returns its length, 0 when it has not
 * arrived whole, or an error. */
static int read_prefix(size_t *len, kad_bytes in, size_t max) {
  uint64_t value = 0;
  int taken = kad__varint_decode(&value, in);
  if (taken == KAD_E_TRUNCATED) {
    return 0;
  }
  if (taken < 0) {
    return taken;
  }
  if (value > max) {
    return KAD_E_MESSAGE_TOO_LARGE;
  }
  *len = (size_t)value;
  return taken;
}

int kad__frame_split(kad_bytes *out, kad_bytes in, size_t max) {
  size_t len = 0;
  int prefix = read_prefix(&len, in, max);
  if (prefix <= 0) {
    return prefix;
  }
  if (in.len - (size_t)prefix < len) {
    return 0;
  }
  *out = kad__bytes(in.data + prefix, len);
  return prefix + (int)len;
}

void kad__frame_reader_fini(kad__frame_reader *reader,
                            const kad_allocator *allocator) {
  kad__buffer_fini(&reader->buffer, allocator);
  reader->moving = 0;
  reader->taken = 0;
}

/* Nothing more to read now: is that the end? */
static int wait_or_end(const kad__stream *stream, bool begun) {
  if (!kad__stream_ended(stream)) {
    return 0;
  }
  return begun ? KAD_E_TRUNCATED : KAD_E_CLOSED;
}

/* Moves what has arrived of a long message out of the stream. */
static int read_moving(kad__frame_reader *reader, kad_bytes *out,
                       const kad_allocator *allocator, kad__stream *stream) {
  kad_bytes in = kad__stream_peek(stream);
  size_t missing = reader->moving - kad__buffer_len(&reader->buffer);
  size_t len = in.len < missing ? in.len : missing;
  if (len != 0) {
    int error = kad__buffer_append(&reader->buffer, allocator,
                                   kad__bytes(in.data, len));
    if (error < 0) {
      return error;
    }
    kad__stream_charge(stream, reader->buffer.cap);
    kad__stream_consume(stream, len);
  }
  if (len < missing) {
    return wait_or_end(stream, true);
  }
  *out = kad__buffer_bytes(&reader->buffer);
  return 1;
}

int kad__frame_read(kad__frame_reader *reader, kad_bytes *out,
                    const kad_allocator *allocator, kad__stream *stream,
                    size_t max) {
  if (reader->moving != 0) {
    return read_moving(reader, out, allocator, stream);
  }
  kad_bytes in = kad__stream_peek(stream);
  size_t len = 0;
  int prefix = in.len == 0 ? 0 : read_prefix(&len, in, max);
  if (prefix < 0) {
    return prefix;
  }
  if (prefix == 0) {
    return wait_or_end(stream, in.len != 0);
  }
  size_t whole = (size_t)prefix + len;
  if (whole <= in.len) {
    reader->taken = whole;
    *out = kad__bytes(in.data + prefix, len);
    return 1;
  }
  if (whole <= KAD__FRAME_IN_PLACE) {
    return wait_or_end(stream, true);
  }
  reader->moving = len;
  kad__stream_consume(stream, (size_t)prefix);
  return read_moving(reader, out, allocator, stream);
}

void kad__frame_done(kad__frame_reader *reader, const kad_allocator *allocator,
                     kad__stream *stream) {
  if (reader->moving != 0) {
    kad__frame_reader_fini(reader, allocator);
    kad__stream_charge(stream, 0);
    return;
  }
  kad__stream_consume(stream, reader->taken);
  reader->taken = 0;
}

bool kad__frame_begun(const kad__frame_reader *reader,
                      const kad__stream *stream) {
  return reader->moving != 0 || kad__stream_peek(stream).len != 0;
}
