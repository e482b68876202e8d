/* kadmium/stream.h: what of it needs the clock. */
#include "node/streams.h"

#include "base/bytes.h"
#include "kadmium/stream.h"
#include "runtime/kad_node.h"
#include "runtime/streams.h"
#include "runtime/system.h"

int kad_node_handle(kad_node *node, const char *protocol) {
  return kad_node_handle_match(node, protocol, NULL, NULL);
}

int kad_node_handle_match(kad_node *node, const char *protocol,
                          kad_protocol_match match, void *user) {
  if (protocol == NULL) {
    return KAD_E_INVALID_ARGUMENT;
  }
  int error = kad__node_handle(node->host.node, kad__bytes_of(protocol), match,
                               user, kad__system_now());
  kad__host_turn(&node->host);
  return error;
}

void kad_node_unhandle(kad_node *node, const char *protocol) {
  kad__node_unhandle(node->host.node, kad__bytes_of(protocol),
                     kad__system_now());
  kad__host_turn(&node->host);
}

kad_stream_options kad__stream_options_of(const kad_stream_options *in) {
  kad_stream_options options = KAD_STREAM_OPTIONS_INIT;
  if (in != NULL) {
    size_t len =
        in->struct_size < sizeof(options) ? in->struct_size : sizeof(options);
    memcpy(&options, in, len);
  }
  return options;
}

int kad_stream_open(kad_node *node, kad_stream **out, const kad_peer_id *peer,
                    const kad_stream_options *in) {
  kad_stream_options options = kad__stream_options_of(in);
  int error = kad__node_stream_open(node->host.node, out, peer, &options,
                                    kad__system_now());
  kad__host_turn(&node->host);
  return error;
}

int kad_stream_set_deadline(kad_stream *stream, unsigned sides,
                            kad_time after) {
  return kad__node_stream_deadline(stream, sides,
                                   kad__time_add(kad__system_now(), after));
}

void kad_stream_get_info(const kad_stream *stream, kad_stream_info *out) {
  kad__node_stream_info(stream, out, kad__system_now());
}
