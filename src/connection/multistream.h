/* multistream-select 1.0: two sides agree on the protocol of a stream.
 *
 * The caller owns the bytes: it gives what has arrived, contiguous, and keeps
 * what was not consumed (at most one incomplete message). Bounds: messages of
 * 1024 bytes, lengths of two varint bytes, 32 proposals per negotiation. */
#ifndef KAD_CONNECTION_MULTISTREAM_H
#define KAD_CONNECTION_MULTISTREAM_H

#include "base/buffer.h"
#include "kadmium/error.h"

#define KAD__MULTISTREAM_MESSAGE_MAX 1024
#define KAD__MULTISTREAM_PROPOSALS_MAX 32

/* Names of protocols, in order of preference. */
typedef struct kad__protocol_names {
  const kad_bytes *names;
  size_t count;
  /* Listener, may be NULL: which name, by its index, takes a proposal that is
   * none of them; `count`: none does. */
  size_t (*match)(const void *user, kad_bytes proposal);
  const void *user;
} kad__protocol_names;

typedef struct kad__multistream {
  bool dialer;
  bool header_seen;
  bool header_sent;
  bool done;
  uint8_t proposals; /* made or received */
  uint16_t selected; /* index into the names, once done */
  kad_bytes matched; /* listener: the proposal that `match` has taken, within
                        the input; else empty */
} kad__multistream;

void kad__multistream_init(kad__multistream *m, bool dialer);

/* Dialer: appends header and first proposal to `out`, in one go.
 * KAD_E_NO_MEMORY; KAD_E_NO_PROTOCOL without names; KAD_E_INVALID_ARGUMENT for
 * a name that is empty or does not fit into a message. */
int kad__multistream_start(kad__multistream *m,
                           const kad__protocol_names *names, kad__buffer *out,
                           const kad_allocator *allocator);

/* The length, prefix included, of the message in front of `in`, or `in.len` + 1
 * while that is not known yet. KAD_E_MULTISTREAM as soon as it is clear that no
 * valid message comes. For callers that set an incomplete message aside. */
int kad__multistream_need(const kad__multistream *m, kad_bytes in);

/* Takes complete messages off `*in` until the negotiation is decided, appending
 * answers to `out`. Returns 1 when m->selected is agreed (what is left in `*in`
 * belongs to the protocol), 0 when more bytes are needed.
 * KAD_E_MULTISTREAM: malformed, or a message or header that is not allowed.
 * KAD_E_NO_PROTOCOL: the dialer ran out of names; KAD_E_LIMIT: too many
 * proposals (`ls` is one too); KAD_E_NO_MEMORY, after which the call may be
 * repeated. The listener's header is sent by the first call, with empty `*in`
 * too. */
int kad__multistream_read(kad__multistream *m, const kad__protocol_names *names,
                          kad_bytes *in, kad__buffer *out,
                          const kad_allocator *allocator);

#endif
