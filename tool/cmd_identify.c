/* kadmium identify: who is that, and what does it speak? */
#include <stdio.h>
#include <string.h>

#include "commands.h"
#include "connections.h"

/* What is waited for. The target comes first: the session's user is both. */
typedef struct inquiry {
  tool_target target;
  bool done;
  bool identified;
} inquiry;

static void show_list(const char *name, json_t *list) {
  size_t i;
  json_t *entry;
  json_array_foreach(list, i, entry) {
    const char *text = json_string_value(entry);
    char shown[KAD_MULTIADDR_TEXT_MAX];
    printf("%-12s %s\n", i == 0 ? name : "",
           tool_peer_chosen(shown, sizeof(shown),
                            (kad_bytes){(const uint8_t *)text, strlen(text)}));
  }
}

static void show_line(const char *name, const json_t *value) {
  const char *text = json_string_value(value);
  char shown[KAD_MULTIADDR_TEXT_MAX];
  if (text == NULL || text[0] == '\0') {
    return;
  }
  printf("%-12s %s\n", name,
         tool_peer_chosen(shown, sizeof(shown),
                          (kad_bytes){(const uint8_t *)text, strlen(text)}));
}

static void show_text(json_t *all) {
  static const char *const lines[] = {
      "id",        "agent",    "protocol_version", "key_type", "addr",
      "transport", "security", "multiplexer",      "observed"};
  static const char *const names[] = {"id",       "agent",       "version",
                                      "key",      "connected",   "transport",
                                      "security", "multiplexer", "sees us at"};
  for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
    show_line(names[i], json_object_get(all, lines[i]));
  }
  show_list("addresses", json_object_get(all, "addrs"));
  show_list("protocols", json_object_get(all, "protocols"));
  fflush(stdout);
}

static json_t *version_json(kad_node *node, const kad_peer_id *peer) {
  kad_peer_info info;
  json_t *version = NULL;
  if (kad_node_peer_info(node, &info, peer) == 0) {
    version = json_stringn((const char *)info.protocol_version.data,
                           info.protocol_version.len);
  }
  return version == NULL ? json_string("") : version;
}

static void show(tool_session *session, const kad_event *event) {
  kad_connection_info connection;
  uint64_t cursor = 0;
  json_t *all = tool_event_json(event);
  json_object_set_new(all, "protocol_version",
                      version_json(session->node, &event->peer));
  if (kad_node_next_connection(session->node, &cursor, &event->peer,
                               &connection)) {
    json_t *how = tool_connection_json(&connection);
    json_object_update_missing(all, how);
    json_decref(how);
  }
  tool_progress_end(&session->out);
  if (session->out.json) {
    tool_print_json(all, NULL);
    return;
  }
  show_text(all);
  json_decref(all);
}

/* Others than the one in question may be connected, to find it through. */
static bool is_asked(const inquiry *q, const kad_event *event) {
  return q->target.peer.len == 0 ||
         kad_peer_id_equal(&q->target.peer, &event->peer);
}

static void take_life(tool_session *session, const kad_event *event) {
  inquiry *q = session->user;
  bool identified = event->type == KAD_EVENT_IDENTIFIED;
  if (q->done || !is_asked(q, event) ||
      (!identified && event->type != KAD_EVENT_DISCONNECTED)) {
    return;
  }
  q->done = true;
  q->identified = identified;
  if (identified) {
    show(session, event);
  }
}

/* Connects and waits until it has been told; false when it was interrupted. */
static bool ask(tool_session *session, inquiry *q, kad_event *end) {
  bool by_address = q->target.request.address.len != 0;
  if (!by_address) {
    q->target.peer = q->target.request.peer;
  }
  session->life = take_life;
  if (!tool_target_connect(session, &q->target, end)) {
    return false;
  }
  if (end->error < 0) {
    return true;
  }
  if (!tool_session_wait(session, &q->done)) {
    return false;
  }
  if (!q->identified) {
    end->error = q->done ? KAD_E_CLOSED : KAD_E_TIMEOUT;
  }
  return true;
}

int tool_identify(const tool_options *options) {
  tool_session session;
  tool_options own;
  inquiry q = {0};
  kad_event end;
  int status = TOOL_OK;
  char what[KAD_MULTIADDR_TEXT_MAX + 64];
  if (!tool_target_read(&q.target, &own, options)) {
    return TOOL_USAGE;
  }
  if (!tool_session_open(&session, &own, &status)) {
    return status;
  }
  if (!ask(&session, &q, &end)) {
    tool_note(&session.out, "interrupted");
    tool_session_close(&session);
    return TOOL_INTERRUPTED;
  }
  snprintf(what, sizeof(what), "%s %s",
           q.target.connection.id == 0 ? "connecting to"
                                       : "waiting to hear who it is from",
           q.target.text);
  status = tool_session_end(&session, &end, what);
  tool_session_close(&session);
  return status;
}
