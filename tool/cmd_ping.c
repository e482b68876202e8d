/* kadmium ping: is somebody there, and how far away? */
#include <stdio.h>

#include "commands.h"
#include "session.h"

static void show(tool_session *session, const kad_event *event) {
  if (event->type != KAD_EVENT_PONG) {
    return;
  }
  if (session->out.json) {
    tool_print_json(tool_event_json(event), NULL);
    return;
  }
  char id[KAD_PEER_ID_TEXT_MAX];
  printf("%s  %.3f ms\n", tool_peer_text(id, &event->peer),
         tool_ms(event->round_trip));
  fflush(stdout);
}

int tool_ping(const tool_options *options) {
  kad_request request = KAD_REQUEST_INIT(KAD_PING);
  uint8_t address[KAD_MULTIADDR_MAX];
  const char *text = options->arguments[0];
  int len = kad_multiaddr_parse(address, sizeof(address), text);
  if (len < 0) {
    fprintf(stderr,
            "kadmium ping: not an address: %s (expected something like "
            "/ip4/192.0.2.1/tcp/4001)\n",
            text);
    return TOOL_USAGE;
  }
  request.address = (kad_bytes){address, (size_t)len};
  request.count = options->count == 0 ? 1 : options->count;
  char what[KAD_MULTIADDR_TEXT_MAX + 16];
  snprintf(what, sizeof(what), "ping of %s", text);
  return tool_session_do(options, &request, show, what);
}
