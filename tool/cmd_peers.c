/* kadmium peers: join, and show to whom that connected us. */
#include <stdio.h>

#include "commands.h"
#include "connections.h"

static void ignore(tool_session *session, const kad_event *event) {
  (void)session;
  (void)event;
}

static void show_one(const tool_session *session,
                     const kad_connection_info *c) {
  char id[KAD_PEER_ID_TEXT_MAX];
  char address[KAD_MULTIADDR_TEXT_MAX];
  if (session->out.json) {
    json_t *object = tool_connection_json(c);
    json_object_set_new(object, "type", json_string("connection"));
    tool_print_json(object, NULL);
    return;
  }
  printf("%s %s %s", tool_peer_text(id, &c->peer),
         tool_address_text(address, c->remote_address), c->security);
  if (c->round_trip != 0) {
    printf(" %.1f ms", tool_ms(c->round_trip));
  }
  putchar('\n');
}

static size_t show_all(const tool_session *session) {
  kad_connection_info connection;
  uint64_t cursor = 0;
  size_t count = 0;
  while (kad_node_next_connection(session->node, &cursor, NULL, &connection)) {
    show_one(session, &connection);
    count++;
  }
  fflush(stdout);
  return count;
}

int tool_peers(const tool_options *options) {
  kad_request request = KAD_REQUEST_INIT(KAD_BOOTSTRAP);
  tool_session session;
  kad_event end;
  int status = TOOL_OK;
  if (!tool_session_open(&session, options, &status)) {
    return status;
  }
  bool ended = tool_session_run(&session, &request, ignore, &end);
  tool_progress_end(&session.out);
  /* Those that we have by then are worth seeing, however it ended. */
  if (show_all(&session) > 0 && ended && end.error == KAD_E_TIMEOUT) {
    end.error = 0;
  }
  status = ended ? tool_session_end(&session, &end, "joining the network")
                 : TOOL_INTERRUPTED;
  tool_session_close(&session);
  return status;
}
