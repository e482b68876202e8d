/* Text for people: one peer a line, its addresses behind it. */
#include "results.h"

#include <stdio.h>

void tool_show_peer(tool_session *session, const kad_event *event) {
  if (session->out.json) {
    json_t *object = tool_event_json(event);
    if (object != NULL) {
      tool_print_json(object, NULL);
    }
    return;
  }
  char text[KAD_MULTIADDR_TEXT_MAX];
  kad_bytes list = event->addresses;
  kad_bytes address;
  printf("%s", tool_peer_text(text, &event->peer));
  while (kad_addresses_next(&list, &address)) {
    printf(" %s", tool_address_text(text, address));
  }
  putchar('\n');
  fflush(stdout);
}

bool tool_read_content_key(tool_key *out, const tool_options *options) {
  const char *text = options->arguments[0];
  if (tool_key_of_content(out, text)) {
    return true;
  }
  fprintf(stderr, "kadmium %s: not a key: %s (expected a CID or 0x...)\n",
          options->command, text);
  return false;
}

bool tool_read_record_key(tool_key *out, const tool_options *options) {
  const char *text = options->arguments[0];
  if (tool_key_of_record(out, text)) {
    return true;
  }
  fprintf(stderr,
          "kadmium %s: not a key: %s (expected text of up to %d bytes, or "
          "0x...)\n",
          options->command, text, TOOL_KEY_MAX);
  return false;
}

static void ignore(tool_session *session, const kad_event *event) {
  (void)session;
  (void)event;
}

/* A peer is named by its id: where it is must be found before anything can be
 * sent to it. */
static bool run_store(tool_session *session, const kad_request *request,
                      const char **what, kad_event *end) {
  for (size_t i = 0; i < request->peer_count; i++) {
    kad_request find = KAD_REQUEST_INIT(KAD_FIND_PEER);
    find.peer = request->peers[i];
    if (!tool_session_run(session, &find, ignore, end)) {
      return false;
    }
    if (end->error < 0) {
      *what = "looking for the peer to store at";
      return true;
    }
  }
  return tool_session_run(session, request, ignore, end);
}

int tool_session_store(const tool_options *options, const kad_request *request,
                       const char *what, const char *verb) {
  tool_session session;
  kad_event end;
  int status = TOOL_OK;
  if (!tool_session_open(&session, options, &status)) {
    return status;
  }
  if (!run_store(&session, request, &what, &end)) {
    tool_note(&session.out, "interrupted");
    tool_session_close(&session);
    return TOOL_INTERRUPTED;
  }
  status = tool_session_end(&session, &end, what);
  if (status == TOOL_OK && !session.out.json) {
    printf("%s %u peer%s\n", verb, end.statistics.stored,
           end.statistics.stored == 1 ? "" : "s");
  }
  tool_session_close(&session);
  return status;
}
