/* JSON through jansson; every number that is printed is one that somebody can
 * use. */
#include "output.h"

#include <ctype.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "keys.h"

void tool_output_init(tool_output *out, const tool_options *options) {
  *out = (tool_output){.command = options->command,
                       .json = options->json,
                       .quiet = options->quiet,
                       .verbose = options->verbose,
                       .live = isatty(STDERR_FILENO) && !options->quiet};
}

/* ---- stderr -------------------------------------------------------------- */

void tool_progress_end(tool_output *out) {
  if (out->live_line) {
    fputs("\r\033[K", stderr);
    out->live_line = false;
  }
}

void tool_progress(tool_output *out, const char *format, ...) {
  if (!out->live) {
    return;
  }
  va_list arguments;
  va_start(arguments, format);
  fputs("\r\033[K", stderr);
  vfprintf(stderr, format, arguments);
  fflush(stderr);
  va_end(arguments);
  out->live_line = true;
}

void tool_note(tool_output *out, const char *format, ...) {
  if (out->quiet) {
    return;
  }
  tool_progress_end(out);
  va_list arguments;
  va_start(arguments, format);
  vfprintf(stderr, format, arguments);
  fputc('\n', stderr);
  va_end(arguments);
}

/* ---- errors -------------------------------------------------------------- */

int tool_exit_status(int error) {
  switch (error) {
    case 0:
      return TOOL_OK;
    case KAD_E_NOT_FOUND:
      return TOOL_NOT_FOUND;
    case KAD_E_TIMEOUT:
      return TOOL_TIMED_OUT;
    case KAD_E_NO_PEERS:
    case KAD_E_NO_ADDRESS:
    case KAD_E_DIAL:
    case KAD_E_BACKOFF:
    case KAD_E_REFUSED:
    case KAD_E_UNREACHABLE:
    case KAD_E_RESOLVE:
      return TOOL_NO_PEER;
    case KAD_E_RECORD:
    case KAD_E_RECORD_REJECTED:
    case KAD_E_RECORD_OLD:
    case KAD_E_RECORD_EXPIRED:
    case KAD_E_RECORD_TOO_LARGE:
    case KAD_E_SIGNATURE:
      return TOOL_INVALID_RECORD;
    default:
      return TOOL_FAILED;
  }
}

const char *tool_result_name(char out[32], int error) {
  const char *name = error >= 0 ? "ok" : kad_error_name(error);
  size_t i = 0;
  for (; name[i] != '\0' && i < 31; i++) {
    out[i] = (char)tolower((unsigned char)name[i]);
  }
  out[i] = '\0';
  return out;
}

int tool_fail(tool_output *out, int error, const char *what,
              const char *advice) {
  tool_progress_end(out);
  fprintf(stderr, "kadmium %s: %s: %s%s%s\n", out->command, what,
          kad_strerror(error), advice == NULL ? "" : "; ",
          advice == NULL ? "" : advice);
  if (out->json) {
    char message[512];
    snprintf(message, sizeof(message), "%s: %s", what, kad_strerror(error));
    tool_print_json(json_pack("{s:s, s:s, s:s}", "type", "error", "error",
                              kad_error_name(error), "message", message),
                    NULL);
  }
  return tool_exit_status(error);
}

/* ---- stdout -------------------------------------------------------------- */

const char *tool_address_text(char out[KAD_MULTIADDR_TEXT_MAX],
                              kad_bytes address) {
  if (kad_multiaddr_format(out, KAD_MULTIADDR_TEXT_MAX, address) < 0) {
    out[0] = '\0';
  }
  return out;
}

const char *tool_peer_text(char out[KAD_PEER_ID_TEXT_MAX],
                           const kad_peer_id *peer) {
  if (peer->len == 0 ||
      kad_peer_id_format(out, KAD_PEER_ID_TEXT_MAX, peer) < 0) {
    out[0] = '\0';
  }
  return out;
}

const char *tool_peer_chosen(char *out, size_t cap, kad_bytes text) {
  size_t len = text.len < cap ? text.len : cap - 1;
  for (size_t i = 0; i < len; i++) {
    out[i] =
        (char)(text.data[i] < 0x20 || text.data[i] > 0x7e ? '?' : text.data[i]);
  }
  out[len] = '\0';
  return out;
}

static void abort_without_memory(void) {
  fputs("kadmium: out of memory\n", stderr);
  exit(TOOL_FAILED);
}

bool tool_stdout_broken(void) {
  return fflush(stdout) != 0 || ferror(stdout) != 0;
}

void tool_print_json(json_t *object, const json_t *tag) {
  if (object == NULL) {
    abort_without_memory();
  }
  if (tag != NULL) {
    json_object_set(object, "tag", (json_t *)(uintptr_t)tag);
  }
  json_dumpf(object, stdout,
             JSON_COMPACT | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(12));
  json_decref(object);
  putchar('\n');
  fflush(stdout);
}

static json_t *addresses_json(kad_bytes list) {
  json_t *array = json_array();
  kad_bytes address;
  while (kad_addresses_next(&list, &address)) {
    char text[KAD_MULTIADDR_TEXT_MAX];
    if (tool_address_text(text, address)[0] != '\0') {
      json_array_append_new(array, json_string(text));
    }
  }
  return array;
}

/* Text of a peer's choosing: what is not UTF-8 is left out. */
static json_t *peer_string(kad_bytes text) {
  json_t *string = json_stringn((const char *)text.data, text.len);
  return string == NULL ? json_string("") : string;
}

static json_t *strings_json(kad_bytes list) {
  json_t *array = json_array();
  kad_bytes entry;
  while (kad_addresses_next(&list, &entry)) {
    json_array_append_new(array, peer_string(entry));
  }
  return array;
}

json_t *tool_hex_json(kad_bytes bytes) {
  char *text = malloc(2 * bytes.len + 3);
  if (text == NULL) {
    abort_without_memory();
  }
  tool_hex_encode(text, bytes);
  json_t *string = json_string(text);
  free(text);
  return string;
}

static json_t *id_json(const kad_peer_id *peer) {
  char text[KAD_PEER_ID_TEXT_MAX];
  return peer->len == 0 ? json_null() : json_string(tool_peer_text(text, peer));
}

static json_t *address_json(kad_bytes address) {
  char text[KAD_MULTIADDR_TEXT_MAX];
  return address.len == 0 ? json_null()
                          : json_string(tool_address_text(text, address));
}

/* Microseconds are as fine as anybody reads. */
static json_t *ms_json(kad_time t) {
  return json_real(round((double)t / 1e3) / 1e3);
}

static json_t *peer_event(const char *type, const kad_event *event) {
  return json_pack("{s:s, s:o, s:o}", "type", type, "id", id_json(&event->peer),
                   "addrs", addresses_json(event->addresses));
}

const char *tool_ending_name(kad_lookup_ending ending) {
  static const char *const names[] = {"none",      "converged", "starved",
                                      "satisfied", "timed-out", "finished"};
  return (size_t)ending < sizeof(names) / sizeof(names[0]) ? names[ending]
                                                           : "?";
}

static json_t *end_event(const kad_event *event) {
  char name[32];
  const kad_statistics *s = &event->statistics;
  json_t *object = json_pack(
      "{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:o}", "type", "end", "result",
      tool_result_name(name, event->error), "requests", (json_int_t)s->requests,
      "successes", (json_int_t)s->successes, "failures",
      (json_int_t)s->failures, "hops", (json_int_t)s->hops, "stored",
      (json_int_t)s->stored, "elapsed_ms", ms_json(s->elapsed));
  if (object != NULL && event->ending != KAD_LOOKUP_NONE) {
    json_object_set_new(object, "ended",
                        json_string(tool_ending_name(event->ending)));
  }
  return object;
}

static json_t *error_event(const char *type, const kad_event *event) {
  return json_pack("{s:s, s:s, s:s, s:o}", "type", type, "error",
                   kad_error_name(event->error), "message",
                   kad_strerror(event->error), "addrs",
                   addresses_json(event->addresses));
}

json_t *tool_event_json(const kad_event *event) {
  switch (event->type) {
    case KAD_EVENT_PEER:
      return peer_event("peer", event);
    case KAD_EVENT_PROVIDER:
      return peer_event("provider", event);
    case KAD_EVENT_LISTENING:
      return peer_event("listening", event);
    case KAD_EVENT_VALUE:
      return json_pack(
          "{s:s, s:o, s:o, s:o, s:o, s:I}", "type", "value", "key",
          tool_hex_json(event->key), "value", tool_hex_json(event->value),
          "from", id_json(&event->peer), "publisher",
          id_json(&event->publisher), "ttl_s", (json_int_t)event->ttl);
    case KAD_EVENT_PONG:
      return json_pack("{s:s, s:o, s:o}", "type", "pong", "peer",
                       id_json(&event->peer), "rtt_ms",
                       ms_json(event->round_trip));
    case KAD_EVENT_END:
      return end_event(event);
    case KAD_EVENT_READY:
      return json_pack("{s:s, s:I}", "type", "ready", "peers",
                       (json_int_t)event->count);
    case KAD_EVENT_IDENTIFIED:
      return json_pack("{s:s, s:o, s:o, s:o, s:o, s:o}", "type", "identified",
                       "id", id_json(&event->peer), "agent",
                       peer_string(event->agent), "protocols",
                       strings_json(event->protocols), "addrs",
                       addresses_json(event->addresses), "observed",
                       address_json(event->observed));
    case KAD_EVENT_REACHABLE:
      return json_pack("{s:s, s:o}", "type", "reachable", "addrs",
                       addresses_json(event->addresses));
    case KAD_EVENT_UNREACHABLE:
      return json_pack("{s:s, s:o}", "type", "unreachable", "addrs",
                       addresses_json(event->addresses));
    case KAD_EVENT_MODE:
      return json_pack("{s:s, s:s}", "type", "mode", "mode",
                       event->server ? "server" : "client");
    case KAD_EVENT_LISTEN_FAILED:
      return error_event("listen_failed", event);
    case KAD_EVENT_DIAL_FAILED:
      return error_event("dial_failed", event);
    default:
      return NULL;
  }
}
