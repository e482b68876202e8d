/* kadmium trace: the way of a look-up, peer by peer. */
#include <stdio.h>
#include <string.h>

#include "commands.h"
#include "keys.h"
#include "results.h"

static const struct traced {
  const char *name;
  kad_operation operation;
  bool (*key)(tool_key *out, const char *text);
} traced[] = {
    {"find-peer", KAD_FIND_PEER, tool_key_of_point},
    {"closest", KAD_CLOSEST, tool_key_of_point},
    {"get", KAD_GET, tool_key_of_record},
    {"find-providers", KAD_FIND_PROVIDERS, tool_key_of_content},
};

#define TRACED_COUNT (sizeof(traced) / sizeof(traced[0]))

static const struct traced *find_traced(const char *name) {
  for (size_t i = 0; i < TRACED_COUNT; i++) {
    if (strcmp(name, traced[i].name) == 0) {
      return &traced[i];
    }
  }
  return NULL;
}

static const char *rpc_name(uint32_t rpc) {
  static const char *const names[] = {"PUT_VALUE",    "GET_VALUE",
                                      "ADD_PROVIDER", "GET_PROVIDERS",
                                      "FIND_NODE",    "PING"};
  return rpc < sizeof(names) / sizeof(names[0]) ? names[rpc] : "?";
}

static void show_step(const kad_event *event) {
  char id[KAD_PEER_ID_TEXT_MAX];
  const char *peer = tool_peer_text(id, &event->peer);
  double at = tool_ms(event->elapsed);
  if (event->type == KAD_EVENT_ASKED) {
    printf("%9.1f ms  hop %2u  %s  %s ->\n", at, event->hops, peer,
           rpc_name(event->rpc));
  } else if (event->error < 0) {
    printf("%9.1f ms  hop %2u  %s  %s\n", at, event->hops, peer,
           kad_strerror(event->error));
  } else {
    printf("%9.1f ms  hop %2u  %s  <- %u closer\n", at, event->hops, peer,
           event->count);
  }
}

static void show_result(const kad_event *event) {
  char id[KAD_PEER_ID_TEXT_MAX];
  const char *what = event->type == KAD_EVENT_VALUE      ? "value from"
                     : event->type == KAD_EVENT_PROVIDER ? "provider"
                                                         : "found";
  printf("%29s %s %s\n", "*", what,
         event->peer.len == 0 ? "our own store"
                              : tool_peer_text(id, &event->peer));
}

static json_t *step_json(const kad_event *event) {
  char id[KAD_PEER_ID_TEXT_MAX];
  bool asked = event->type == KAD_EVENT_ASKED;
  json_t *object = json_pack(
      "{s:s, s:s, s:s, s:I, s:f}", "type", asked ? "asked" : "answered", "id",
      tool_peer_text(id, &event->peer), "rpc", rpc_name(event->rpc), "hop",
      (json_int_t)event->hops, "at_ms", tool_ms(event->elapsed));
  if (object != NULL && !asked && event->error == 0) {
    json_object_set_new(object, "closer", json_integer(event->count));
  }
  if (object != NULL && event->error < 0) {
    json_object_set_new(object, "error",
                        json_string(kad_error_name(event->error)));
  }
  return object;
}

static void show(tool_session *session, const kad_event *event) {
  bool step =
      event->type == KAD_EVENT_ASKED || event->type == KAD_EVENT_ANSWERED;
  if (session->out.json) {
    json_t *object = step ? step_json(event) : tool_event_json(event);
    if (object != NULL) {
      tool_print_json(object, NULL);
    }
  } else if (step) {
    show_step(event);
  } else {
    show_result(event);
  }
  fflush(stdout);
}

/* Why it ended stands in the last line, as the statistics do. */
static int run(const tool_options *options, const kad_request *request) {
  tool_session session;
  kad_event end;
  char result[32];
  int status = TOOL_OK;
  if (!tool_session_open(&session, options, &status)) {
    return status;
  }
  if (!tool_session_run(&session, request, show, &end)) {
    tool_session_close(&session);
    return TOOL_INTERRUPTED;
  }
  if (!session.out.json) {
    printf("%s, %s: %u asked, %u answered, %u failed, %u hops, %.1f ms\n",
           tool_result_name(result, end.error), tool_ending_name(end.ending),
           end.statistics.requests, end.statistics.successes,
           end.statistics.failures, end.statistics.hops,
           tool_ms(end.statistics.elapsed));
  }
  status = tool_session_end(&session, &end, "tracing");
  tool_session_close(&session);
  return status;
}

int tool_trace(const tool_options *options) {
  const struct traced *what = find_traced(options->arguments[0]);
  tool_key key;
  if (what == NULL) {
    fprintf(stderr,
            "kadmium trace: not a look-up: %s (expected find-peer, closest, "
            "get or find-providers)\n",
            options->arguments[0]);
    return TOOL_USAGE;
  }
  kad_request request = KAD_REQUEST_INIT(what->operation);
  const char *text = options->arguments[1];
  bool fits = what->operation == KAD_FIND_PEER
                  ? kad_peer_id_parse(&request.peer, text) == 0
                  : what->key(&key, text);
  if (!fits) {
    fprintf(stderr, "kadmium trace: not a key of %s: %s\n", what->name, text);
    return TOOL_USAGE;
  }
  if (what->operation != KAD_FIND_PEER) {
    request.key = tool_key_bytes(&key);
  }
  request.trace = true;
  request.count = options->count;
  request.quorum = options->quorum;
  return run(options, &request);
}
