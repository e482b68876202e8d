/**
 * @file
 * Streams with calls that block, for any thread: stream.h for a service.
 *
 * A server takes what peers open:
 *
 *     kad_service_handle(service, "/echo/1.0.0");
 *     while (kad_service_accept(service, &stream, NULL, KAD_TIME_NEVER) == 0)
 *       serve(stream);                    (on this thread or another)
 *
 * and a client opens: kad_service_open. Both then read, write and close. One
 * thread may read while another writes. Up to 256 KiB wait in either direction
 * in the service, beside what stream.h says of the node.
 */
#ifndef KADMIUM_SERVICE_STREAM_H
#define KADMIUM_SERVICE_STREAM_H

#include "kadmium/service.h"
#include "kadmium/stream.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Streams that peers have opened and nobody has accepted, at most; further
 * ones are reset with KAD_STREAM_CODE_LIMIT. */
#define KAD_SERVICE_BACKLOG 128

typedef struct kad_service_stream kad_service_stream;

/** As kad_node_handle and its kin; KAD_E_CANCELLED while the service stops. */
KAD_API int kad_service_handle(kad_service *service, const char *protocol);
KAD_API int kad_service_handle_match(kad_service *service, const char *protocol,
                                     kad_protocol_match match, void *user);
KAD_API int kad_service_unhandle(kad_service *service, const char *protocol);

/**
 * Waits up to `timeout` for a stream that a peer has opened: of exactly
 * `protocol`, or NULL: any. KAD_E_TIMEOUT (0 does not wait).
 * KAD_E_CANCELLED: the service is being stopped.
 */
KAD_API int kad_service_accept(kad_service *service, kad_service_stream **out,
                               const char *protocol, kad_time timeout);

/**
 * Opens a stream to `peer` and waits until it is agreed; dials first when it
 * must, and takes the node's time-out (`options->timeout`). Errors as
 * kad_stream_open; KAD_E_NO_PROTOCOL, KAD_E_DIAL, KAD_E_TIMEOUT and kin when it
 * does not come to that; KAD_E_CANCELLED: the service is being stopped.
 */
KAD_API int kad_service_open(kad_service *service, kad_service_stream **out,
                             const kad_peer_id *peer,
                             const kad_stream_options *options);

/**
 * Waits until something has arrived and copies up to `cap` bytes of it; returns
 * their number, or 0 at the peer's end. KAD_E_TIMEOUT: the deadline; the stream
 * goes on. KAD_E_STATE: the reading side is closed. KAD_E_CANCELLED: the
 * service has been stopped. Otherwise why the stream died.
 */
KAD_API int kad_service_stream_read(kad_service_stream *stream, void *out,
                                    size_t cap);

/**
 * Waits until all bytes are taken; returns `len`, or less when the deadline
 * came, or the stream's end, after so many. Errors, when nothing was taken, as
 * above; KAD_E_STATE: the writing side is closed. A write is sent with those
 * before it, not later than a turn of the service takes.
 */
KAD_API int kad_service_stream_write(kad_service_stream *stream,
                                     const void *bytes, size_t len);

/** Until when reads or writes (kad_stream_side) may take, `after` from now;
 * KAD_TIME_NEVER: for ever. Wakes calls that are waiting: the new deadline is
 * theirs. */
KAD_API void kad_service_stream_set_deadline(kad_service_stream *stream,
                                             unsigned sides, kad_time after);

/** As kad_stream_close_write and kad_stream_close_read. */
KAD_API void kad_service_stream_close_write(kad_service_stream *stream);
KAD_API void kad_service_stream_close_read(kad_service_stream *stream);

/**
 * Closes both sides and frees the handle; does not wait: what was written is
 * still sent. Nobody else may be using the stream. To be done after the service
 * was stopped as well. Takes NULL.
 */
KAD_API void kad_service_stream_close(kad_service_stream *stream);

/** Ends it at once with a code, and frees the handle; otherwise as above. */
KAD_API void kad_service_stream_reset(kad_service_stream *stream,
                                      uint32_t code);

/** What is known of it; `protocol` is borrowed until the stream is closed. */
KAD_API void kad_service_stream_get_info(kad_service_stream *stream,
                                         kad_stream_info *out);

#ifdef __cplusplus
}
#endif

#endif
