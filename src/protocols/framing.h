/* Messages with a varint length in front, read off a stream.
 *
 * A message that has arrived whole is read where it lies, without a copy. One
 * that is incomplete stays in the stream as long as it fits into every receive
 * window (KAD__FRAME_IN_PLACE); a longer one is moved into a buffer of its own
 * piece by piece, so that the window reopens. Memory grows with what has
 * arrived, never with what a length promises. */
#ifndef KAD_PROTOCOLS_FRAMING_H
#define KAD_PROTOCOLS_FRAMING_H

#include "base/buffer.h"
#include "swarm/swarm.h"

/* The longest message, prefix included, that waits inside the stream. */
#define KAD__FRAME_IN_PLACE ((size_t)64 * 1024)

/* Zero-initialised; holds no memory for messages that are read in place. */
typedef struct kad__frame_reader {
  kad__buffer buffer; /* the message so far, when it left the stream */
  size_t moving;      /* whole length of that message; 0: none */
  size_t taken;       /* what the message in place takes of the stream */
} kad__frame_reader;

void kad__frame_reader_fini(kad__frame_reader *reader,
                            const kad_allocator *allocator);

/* Looks for the next message of at most `max` bytes. Returns 1 with `*out`
 * borrowed until kad__frame_done or the stream's next input; 0 when more must
 * arrive; or
 *   KAD_E_CLOSED             the peer ended its side between two messages,
 *   KAD_E_TRUNCATED          ... within a message,
 *   KAD_E_VARINT             a malformed length,
 *   KAD_E_MESSAGE_TOO_LARGE  longer than `max`; nothing was allocated,
 *   KAD_E_NO_MEMORY          nothing is lost; may be called again. */
int kad__frame_read(kad__frame_reader *reader, kad_bytes *out,
                    const kad_allocator *allocator, kad__stream *stream,
                    size_t max);

/* Drops the message that kad__frame_read returned. */
void kad__frame_done(kad__frame_reader *reader, const kad_allocator *allocator,
                     kad__stream *stream);

/* True when a part of a message has arrived. */
bool kad__frame_begun(const kad__frame_reader *reader,
                      const kad__stream *stream);

/* The message at the front of `in`, prefix checked as above: returns the bytes
 * that prefix and message take, or 0 when more is needed, or KAD_E_VARINT,
 * KAD_E_MESSAGE_TOO_LARGE. */
int kad__frame_split(kad_bytes *out, kad_bytes in, size_t max);

#endif
