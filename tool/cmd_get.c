/* kadmium get: fetch a record. Better values may come while the look-up runs;
 * the last one is the best, and the only one that is printed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "records.h"
#include "results.h"

/* Answers that make an IPNS record good enough (IPFS kad-dht specification). */
#define IPNS_QUORUM 16

/* The best value so far. */
typedef struct best {
  tool_session session; /* first: results come with it */
  kad_event event;
  uint8_t *bytes; /* key and value of the event */
} best;

static void keep(tool_session *session, const kad_event *event) {
  best *b = (best *)session;
  if (event->type != KAD_EVENT_VALUE) {
    return;
  }
  uint8_t *bytes = malloc(event->key.len + event->value.len + 1);
  if (bytes == NULL) {
    return;
  }
  memcpy(bytes, event->key.data, event->key.len);
  if (event->value.len > 0) {
    memcpy(bytes + event->key.len, event->value.data, event->value.len);
  }
  free(b->bytes);
  b->bytes = bytes;
  b->event = *event;
  b->event.key.data = bytes;
  b->event.value.data = bytes + event->key.len;
}

static void show_value(const best *b) {
  fwrite(b->event.value.data, 1, b->event.value.len, stdout);
  if (isatty(STDOUT_FILENO)) {
    putchar('\n');
  }
  fflush(stdout);
}

/* The exit status: a network without rules may hand out anything. */
static int show(best *b) {
  tool_record record;
  json_t *object = b->session.out.json ? tool_event_json(&b->event) : NULL;
  bool decode = b->session.options->decode;
  int error =
      decode ? tool_record_read(&record, b->event.key, b->event.value) : 0;
  if (object != NULL && decode && error == 0) {
    json_object_set_new(object, "record", tool_record_json(&record));
  }
  if (object != NULL) {
    tool_print_json(object, NULL);
  } else if (!decode) {
    show_value(b);
  } else if (error == 0) {
    tool_record_print(&record);
  }
  return error == 0 ? TOOL_OK
                    : tool_fail(&b->session.out, error, "reading the record",
                                "get it without --decode");
}

static int run(best *b, const kad_request *request) {
  kad_event end;
  bool complete = tool_session_run(&b->session, request, keep, &end);
  tool_progress_end(&b->session.out);
  int shown = b->bytes == NULL ? TOOL_OK : show(b);
  if (!complete) {
    tool_note(&b->session.out, "interrupted");
    return TOOL_INTERRUPTED;
  }
  int status = tool_session_end(&b->session, &end, "looking for the record");
  return status == TOOL_OK ? shown : status;
}

/* IPNS records change: one answer may be an old one. */
static bool is_ipns(kad_bytes key) {
  return key.len > 6 && memcmp(key.data, "/ipns/", 6) == 0;
}

int tool_get(const tool_options *options) {
  tool_key key;
  if (!tool_read_record_key(&key, options)) {
    return TOOL_USAGE;
  }
  kad_request request = KAD_REQUEST_INIT(KAD_GET);
  request.key = tool_key_bytes(&key);
  if (options->decode && !tool_record_readable(request.key)) {
    fprintf(stderr,
            "kadmium get: --decode reads records of /ipns/ID and /pk/ID: %s\n",
            options->arguments[0]);
    return TOOL_USAGE;
  }
  request.quorum = options->quorum;
  if (!options->has_quorum && is_ipns(request.key)) {
    request.quorum = (kad_quorum){KAD_QUORUM_N, IPNS_QUORUM};
  }
  best b = {.bytes = NULL};
  int status = TOOL_OK;
  if (!tool_session_open(&b.session, options, &status)) {
    return status;
  }
  status = run(&b, &request);
  tool_session_close(&b.session);
  free(b.bytes);
  return status;
}
