/* What connect, identify and peers share: to whom, and how we are connected. */
#ifndef KAD_TOOL_CONNECTIONS_H
#define KAD_TOOL_CONNECTIONS_H

#include "session.h"

/* The peer that a command names. */
typedef struct tool_target {
  const char *text;
  kad_request request; /* KAD_CONNECT */
  uint8_t address[KAD_MULTIADDR_MAX];
  kad_peer_id peer; /* who answered; its len is 0 before */
  kad_connection_info connection;
  size_t failures; /* shown: of addresses that were tried in vain */
} tool_target;

/* Reads the argument: an address, or the id of a peer, which is to be found
 * first; to an address nobody else is needed, so `*own` are the options without
 * the network's. False: it is neither, which has been reported. */
bool tool_target_read(tool_target *out, tool_options *own,
                      const tool_options *options);

/* Connects to it, and fills in who that is and how it is connected. False when
 * it was interrupted; otherwise `*end` tells how it ended. */
bool tool_target_connect(tool_session *session, tool_target *target,
                         kad_event *end);

/* How we are connected, as members of an object. */
json_t *tool_connection_json(const kad_connection_info *connection);

/* The type of a public key (protobuf) in one word. */
const char *tool_key_type_name(kad_bytes public_key);

#endif
