/* One table of operations; each row reads its parameters into a request. */
#include "control.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "connections.h"
#include "keys.h"

/* A line that is longer is no command. */
#define LINE_MAX_LEN ((size_t)16 * 1024 * 1024)

/* A request that runs, and the tag its answers carry. */
typedef struct running {
  struct running *next;
  kad_request_id id;
  json_t *tag;
} running;

struct tool_control {
  kad_node *node;
  const tool_options *options;
  running *list;
  char *line; /* what has arrived of the next one */
  size_t len;
  size_t cap;
  bool ended;
};

/* Bytes that a request borrows while it is being started. */
typedef struct parameters {
  kad_request request;
  tool_key key;
  uint8_t address[KAD_MULTIADDR_MAX];
  uint8_t *value;
} parameters;

static const char *text_of(const json_t *command, const char *name) {
  return json_string_value(json_object_get(command, name));
}

static bool read_key(parameters *p, const json_t *command,
                     bool (*parse)(tool_key *, const char *)) {
  const char *text = text_of(command, "key");
  if (text == NULL || !parse(&p->key, text)) {
    return false;
  }
  p->request.key = tool_key_bytes(&p->key);
  return true;
}

static bool read_record_key(parameters *p, const json_t *command) {
  return read_key(p, command, tool_key_of_record);
}

static bool read_content_key(parameters *p, const json_t *command) {
  return read_key(p, command, tool_key_of_content);
}

static bool read_point_key(parameters *p, const json_t *command) {
  return read_key(p, command, tool_key_of_point);
}

static bool read_value(parameters *p, const json_t *command) {
  const char *text = text_of(command, "value");
  if (text == NULL || !read_record_key(p, command)) {
    return false;
  }
  size_t len = strlen(text);
  p->value = malloc(len + 1);
  if (p->value == NULL) {
    return false;
  }
  long decoded = (long)len;
  if (strncmp(text, "0x", 2) == 0) {
    decoded = tool_hex_decode(p->value, len, text);
  } else {
    memcpy(p->value, text, len);
  }
  p->request.value = (kad_bytes){p->value, decoded < 0 ? 0 : (size_t)decoded};
  return decoded >= 0;
}

static bool read_peer(parameters *p, const json_t *command) {
  const char *text = text_of(command, "peer");
  return text != NULL && kad_peer_id_parse(&p->request.peer, text) == 0;
}

static bool read_address(parameters *p, const json_t *command) {
  const char *text = text_of(command, "addr");
  if (text == NULL) {
    return read_peer(p, command);
  }
  int len = kad_multiaddr_parse(p->address, sizeof(p->address), text);
  p->request.address = (kad_bytes){p->address, len < 0 ? 0 : (size_t)len};
  return len > 0;
}

static bool read_nothing(parameters *p, const json_t *command) {
  (void)p;
  (void)command;
  return true;
}

static const struct operation {
  const char *name;
  kad_operation operation;
  bool (*read)(parameters *p, const json_t *command);
} operations[] = {
    {"put", KAD_PUT, read_value},
    {"get", KAD_GET, read_record_key},
    {"provide", KAD_PROVIDE, read_content_key},
    {"stop-providing", KAD_STOP_PROVIDING, read_content_key},
    {"find-providers", KAD_FIND_PROVIDERS, read_content_key},
    {"find-peer", KAD_FIND_PEER, read_peer},
    {"closest", KAD_CLOSEST, read_point_key},
    {"ping", KAD_PING, read_address},
    {"connect", KAD_CONNECT, read_address},
    {"bootstrap", KAD_BOOTSTRAP, read_nothing},
};

static const struct operation *find_operation(const char *name) {
  for (size_t i = 0; i < sizeof(operations) / sizeof(operations[0]); i++) {
    if (strcmp(name, operations[i].name) == 0) {
      return &operations[i];
    }
  }
  return NULL;
}

/* A count: none, or a number from 1. */
static bool read_count(uint32_t *out, const json_t *count) {
  json_int_t number = json_integer_value(count);
  *out = 0;
  if (count == NULL) {
    return true;
  }
  if (!json_is_integer(count) || number < 1 || number > UINT32_MAX) {
    return false;
  }
  *out = (uint32_t)number;
  return true;
}

static bool read_quorum(kad_quorum *out, const json_t *quorum) {
  *out = (kad_quorum){KAD_QUORUM_ONE, 1};
  if (quorum == NULL) {
    return true;
  }
  if (json_is_integer(quorum)) {
    out->kind = KAD_QUORUM_N;
    return read_count(&out->n, quorum);
  }
  const char *text = json_string_value(quorum);
  return text != NULL && tool_quorum_parse(out, text);
}

static bool read_common(parameters *p, const tool_control *control,
                        const json_t *command) {
  p->request.timeout = control->options->timeout;
  return read_count(&p->request.count, json_object_get(command, "count")) &&
         read_quorum(&p->request.quorum, json_object_get(command, "quorum"));
}

/* ---- answers ------------------------------------------------------------- */

static void print_end(const json_t *tag, int error) {
  kad_event end = {.type = KAD_EVENT_END, .error = error};
  tool_print_json(tool_event_json(&end), tag);
}

static void print_error(const json_t *tag, int error, const char *message) {
  tool_print_json(json_pack("{s:s, s:s, s:s}", "type", "error", "error",
                            kad_error_name(error), "message", message),
                  tag);
  print_end(tag, error);
}

static void print_result(const kad_event *event, const json_t *tag) {
  json_t *object = tool_event_json(event);
  if (object != NULL) {
    tool_print_json(object, tag);
  }
}

static void print_peers(const tool_control *control, const json_t *tag) {
  uint64_t cursor = 0;
  kad_peer_id peer;
  kad_connection_info connection;
  json_t *peers = json_array();
  json_t *connections = json_array();
  while (kad_node_next_peer(control->node, &cursor, &peer)) {
    char text[KAD_PEER_ID_TEXT_MAX];
    json_array_append_new(peers, json_string(tool_peer_text(text, &peer)));
  }
  cursor = 0;
  while (kad_node_next_connection(control->node, &cursor, NULL, &connection)) {
    json_array_append_new(connections, tool_connection_json(&connection));
  }
  tool_print_json(json_pack("{s:s, s:o, s:o}", "type", "peers", "peers", peers,
                            "connections", connections),
                  tag);
  print_end(tag, 0);
}

bool tool_control_event(tool_control *control, const kad_event *event) {
  running **at = &control->list;
  while (*at != NULL && (*at)->id != event->request) {
    at = &(*at)->next;
  }
  running *r = *at;
  if (r == NULL) {
    return false;
  }
  if (event->type != KAD_EVENT_END) {
    print_result(event, r->tag);
    return true;
  }
  if (event->error < 0) {
    print_error(r->tag, event->error, kad_strerror(event->error));
  } else {
    tool_print_json(tool_event_json(event), r->tag);
  }
  *at = r->next;
  json_decref(r->tag);
  free(r);
  return true;
}

/* ---- commands ------------------------------------------------------------ */

static int start(tool_control *control, const struct operation *operation,
                 const json_t *command, json_t *tag) {
  running *r = malloc(sizeof(*r));
  parameters p = {.request = KAD_REQUEST_INIT(operation->operation)};
  int error = KAD_E_INVALID_ARGUMENT;
  if (r != NULL && operation->read(&p, command) &&
      read_common(&p, control, command)) {
    error = kad_node_start(control->node, &r->id, &p.request);
  }
  free(p.value);
  if (error < 0) {
    free(r);
    return error;
  }
  r->tag = json_incref(tag);
  r->next = control->list;
  control->list = r;
  return 0;
}

static void run_command(tool_control *control, const json_t *command) {
  const char *name = text_of(command, "op");
  json_t *tag = json_object_get(command, "tag");
  if (tag == NULL || name == NULL) {
    print_error(tag, KAD_E_INVALID_ARGUMENT,
                "a command has \"tag\" and \"op\"");
    return;
  }
  if (strcmp(name, "peers") == 0) {
    print_peers(control, tag);
    return;
  }
  const struct operation *operation = find_operation(name);
  if (operation == NULL) {
    print_error(tag, KAD_E_INVALID_ARGUMENT, "no such op");
    return;
  }
  int error = start(control, operation, command, tag);
  if (error < 0) {
    print_error(tag, error, kad_strerror(error));
  }
}

static void run_line(tool_control *control, const char *line, size_t len) {
  json_t *command = json_loadb(line, len, 0, NULL);
  if (json_is_object(command)) {
    run_command(control, command);
  } else {
    print_error(NULL, KAD_E_INVALID_ARGUMENT, "not a JSON object");
  }
  json_decref(command);
}

static void run_lines(tool_control *control) {
  char *start_of_line = control->line;
  char *end = control->line + control->len;
  char *newline;
  while ((newline = memchr(start_of_line, '\n',
                           (size_t)(end - start_of_line))) != NULL) {
    if (newline > start_of_line) {
      run_line(control, start_of_line, (size_t)(newline - start_of_line));
    }
    start_of_line = newline + 1;
  }
  control->len = (size_t)(end - start_of_line);
  memmove(control->line, start_of_line, control->len);
}

static bool make_room(tool_control *control) {
  if (control->cap - control->len > 4096) {
    return true;
  }
  size_t cap = 2 * control->cap + 65536;
  char *line = cap > LINE_MAX_LEN ? NULL : realloc(control->line, cap);
  if (line == NULL) {
    return false;
  }
  control->line = line;
  control->cap = cap;
  return true;
}

void tool_control_read(tool_control *control) {
  if (!make_room(control)) {
    print_error(NULL, KAD_E_MESSAGE_TOO_LARGE, "a command is too long");
    control->len = 0;
    return;
  }
  ssize_t n = read(STDIN_FILENO, control->line + control->len,
                   control->cap - control->len);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
    return;
  }
  if (n <= 0) {
    control->ended = true;
    if (control->len > 0) { /* a last line without its end */
      run_line(control, control->line, control->len);
    }
    return;
  }
  control->len += (size_t)n;
  run_lines(control);
}

int tool_control_fd(const tool_control *control) {
  return control->ended ? -1 : STDIN_FILENO;
}

tool_control *tool_control_new(kad_node *node, const tool_options *options) {
  tool_control *control = calloc(1, sizeof(*control));
  if (control != NULL) {
    control->node = node;
    control->options = options;
  }
  return control;
}

void tool_control_free(tool_control *control) {
  if (control == NULL) {
    return;
  }
  while (control->list != NULL) {
    running *r = control->list;
    control->list = r->next;
    json_decref(r->tag);
    free(r);
  }
  free(control->line);
  free(control);
}
