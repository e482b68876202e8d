/* One line each for logs and debuggers. */
#include <stdarg.h>
#include <stdio.h>

#include "kadmium/connections.h"
#include "kadmium/multiaddr.h"

/* Appends to the text that is `*len` long. */
__attribute__((format(printf, 4, 5))) static int append(char *out, size_t cap,
                                                        int *len,
                                                        const char *form, ...) {
  va_list values;
  va_start(values, form);
  size_t room = cap - (size_t)*len;
  int more = vsnprintf(out + *len, room, form, values);
  va_end(values);
  if (more < 0 || (size_t)more >= room) {
    return KAD_E_BUFFER_TOO_SMALL;
  }
  *len += more;
  return 0;
}

static const char *peer_text(char out[KAD_PEER_ID_TEXT_MAX],
                             const kad_peer_id *peer) {
  return kad_peer_id_format(out, KAD_PEER_ID_TEXT_MAX, peer) < 0 ? "?" : out;
}

static int append_address(char *out, size_t cap, int *len, kad_bytes address) {
  char text[KAD_MULTIADDR_TEXT_MAX];
  bool good = kad_multiaddr_format(text, sizeof(text), address) >= 0;
  return append(out, cap, len, " %s", good ? text : "?");
}

int kad_connection_format(char *out, size_t cap,
                          const kad_connection_info *info) {
  char id[KAD_PEER_ID_TEXT_MAX];
  int len = 0;
  int error = append(out, cap, &len, "<connection %llu %s %s",
                     (unsigned long long)info->id,
                     info->inbound ? "from" : "to", peer_text(id, &info->peer));
  if (error == 0) {
    error = append_address(out, cap, &len, info->remote_address);
  }
  if (error == 0) {
    error = append(out, cap, &len, " %s%s, %u streams>", info->security,
                   info->multiplexer, (unsigned)info->streams);
  }
  return error < 0 ? error : len;
}

int kad_node_format(char *out, size_t cap, kad_node *node) {
  char id[KAD_PEER_ID_TEXT_MAX];
  kad_node_status status;
  kad_node_get_status(node, &status);
  int len = 0;
  int error = append(out, cap, &len, "<node %s %s, %u connections, %u in table",
                     peer_text(id, kad_node_id(node)),
                     status.server ? "server" : "client",
                     (unsigned)status.connections, (unsigned)status.table_size);
  kad_bytes rest = kad_node_listen_addresses(node);
  kad_bytes address;
  const char *lead = ", at";
  while (error == 0 && kad_addresses_next(&rest, &address)) {
    error = append(out, cap, &len, "%s", lead);
    lead = "";
    if (error == 0) {
      error = append_address(out, cap, &len, address);
    }
  }
  if (error == 0) {
    error = append(out, cap, &len, ">");
  }
  return error < 0 ? error : len;
}
