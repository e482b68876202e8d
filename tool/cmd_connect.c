/* kadmium connect: can that peer be reached, and by what? */
#include <math.h>
#include <stdio.h>

#include "commands.h"
#include "connections.h"

static void show(const tool_session *session, const tool_target *target,
                 const kad_event *end) {
  const kad_connection_info *c = &target->connection;
  char text[KAD_MULTIADDR_TEXT_MAX];
  double ms = tool_ms(end->statistics.elapsed);
  if (session->out.json) {
    json_t *object = tool_connection_json(c);
    json_object_set_new(object, "type", json_string("connected"));
    json_object_set_new(object, "elapsed_ms", json_real(round(ms * 1e3) / 1e3));
    tool_print_json(object, NULL);
    return;
  }
  printf("connected to %s in %.1f ms\n", tool_peer_text(text, &c->peer), ms);
  printf("address      %s\n", tool_address_text(text, c->remote_address));
  printf("transport    %s\n", c->transport);
  printf("security     %s\n", c->security);
  printf("multiplexer  %s%s\n", c->multiplexer,
         c->early_multiplexer ? " (agreed in the handshake)" : "");
  fflush(stdout);
}

int tool_connect(const tool_options *options) {
  tool_session session;
  tool_options own;
  tool_target target;
  kad_event end;
  int status = TOOL_OK;
  char what[KAD_MULTIADDR_TEXT_MAX + 32];
  if (!tool_target_read(&target, &own, options)) {
    return TOOL_USAGE;
  }
  if (!tool_session_open(&session, &own, &status)) {
    return status;
  }
  if (!tool_target_connect(&session, &target, &end)) {
    tool_note(&session.out, "interrupted");
    tool_session_close(&session);
    return TOOL_INTERRUPTED;
  }
  if (end.error == 0) {
    tool_progress_end(&session.out);
    show(&session, &target, &end);
  }
  snprintf(what, sizeof(what), "connecting to %s", target.text);
  status = tool_session_end(&session, &end, what);
  tool_session_close(&session);
  return status;
}
