/* A node on the public API that serves and asks the streams of ../README.md, in
 * one thread and one loop. What the command `kadmium node` does not do for its
 * users, since protocols of their own are theirs to write. */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <kadmium/kadmium.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_LEN 65536
#define PATTERN_LEN 65521
#define PIECE 65536

enum kind { ECHO, COUNT, HOLD, RESET, KINDS };

static const char *const protocols[KINDS] = {
    "/kadmium/echo/1.0.0", "/kadmium/count/1.0.0", "/kadmium/hold/1.0.0",
    "/kadmium/reset/1.0.0"};

/* One operation; there is one at a time. */
static struct job {
  int tag;
  const char *op; /* NULL: none */
  enum kind kind;
  size_t streams; /* wanted */
  size_t echoed;  /* that have their bytes back */
  size_t over;
  size_t bytes;
  uint32_t unacknowledged; /* of them, at most at a time */
  uint32_t code;
  double started;
  kad_request_id connecting;
} job;

/* One stream: of the job, or served. */
typedef struct talk {
  enum kind kind;
  bool ours;
  bool echoed;
  size_t written;
  size_t read;
  char text[32];
  struct talk *next; /* of the job's */
  kad_stream *stream;
} talk;

static talk *talks;
static uint8_t pattern[PATTERN_LEN];
static kad_node *node;

static void make_pattern(void) {
  uint32_t state = 1;
  for (size_t i = 0; i < PATTERN_LEN; i++) {
    state = state * 1103515245 + 12345;
    pattern[i] = (uint8_t)(state >> 24);
  }
}

static double now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* ---- what is said -------------------------------------------------------- */

static void say(json_t *object) {
  json_dumpf(object, stdout, JSON_COMPACT);
  json_decref(object);
  printf("\n");
  fflush(stdout);
}

static void end(const char *result) {
  if (job.op != NULL) {
    say(json_pack("{s:i, s:s, s:s, s:f}", "tag", job.tag, "type", "end",
                  "result", result, "elapsed_ms", now_ms() - job.started));
  }
  job.op = NULL;
  for (talk *t = talks; t != NULL; t = talks) {
    talks = t->next;
    kad_stream_reset(t->stream, 0);
    free(t);
  }
}

static void fail(const char *message) {
  say(json_pack("{s:i, s:s, s:s, s:s}", "tag", job.tag, "type", "error",
                "error", "FAILED", "message", message));
  end("failed");
}

static json_t *id_json(const kad_peer_id *peer) {
  char text[KAD_PEER_ID_TEXT_MAX];
  return kad_peer_id_format(text, sizeof(text), peer) < 0 ? json_null()
                                                          : json_string(text);
}

static json_t *list_json(kad_bytes list) {
  char text[KAD_MULTIADDR_TEXT_MAX];
  json_t *array = json_array();
  kad_bytes address;
  while (kad_addresses_next(&list, &address)) {
    if (kad_multiaddr_format(text, sizeof(text), address) > 0) {
      json_array_append_new(array, json_string(text));
    }
  }
  return array;
}

static json_t *names_json(kad_bytes list) {
  json_t *array = json_array();
  kad_bytes name;
  while (kad_addresses_next(&list, &name)) {
    json_array_append_new(array,
                          json_stringn((const char *)name.data, name.len));
  }
  return array;
}

/* ---- served streams ------------------------------------------------------ */

static void let_go(talk *t) {
  kad_stream_close(t->stream);
  free(t);
}

static void serve_echo(talk *t) {
  kad_bytes in;
  while ((in = kad_stream_peek(t->stream)).len > 0) {
    int taken = kad_stream_write(t->stream, in.data, in.len);
    if (taken < 0) {
      return;
    }
    kad_stream_consume(t->stream, (size_t)taken);
  }
  if (kad_stream_at_end(t->stream)) {
    let_go(t);
  }
}

static void serve_count(talk *t) {
  kad_bytes in = kad_stream_peek(t->stream);
  t->read += in.len;
  kad_stream_consume(t->stream, in.len);
  if (kad_stream_at_end(t->stream)) {
    int len = snprintf(t->text, sizeof(t->text), "%zu", t->read);
    kad_stream_write(t->stream, t->text, (size_t)len);
    let_go(t);
  }
}

static void serve_hold(talk *t) {
  kad_stream_consume(t->stream, kad_stream_peek(t->stream).len);
  if (kad_stream_at_end(t->stream)) {
    let_go(t);
  }
}

static void serve_reset(talk *t) {
  char text[11] = {0};
  kad_bytes in = kad_stream_peek(t->stream);
  if (in.len >= 10) {
    memcpy(text, in.data, 10);
    kad_stream_reset(t->stream, (uint32_t)strtoul(text, NULL, 10));
    free(t);
  }
}

static void serve(talk *t) {
  static void (*const servers[KINDS])(talk *) = {serve_echo, serve_count,
                                                 serve_hold, serve_reset};
  servers[t->kind](t);
}

static void accept_stream(const kad_event *event) {
  talk *t = calloc(1, sizeof(*t));
  if (t == NULL) {
    kad_stream_reset(event->stream, KAD_STREAM_CODE_LIMIT);
    return;
  }
  t->stream = event->stream;
  while (t->kind < KINDS - 1 &&
         (strlen(protocols[t->kind]) != event->protocol.len ||
          memcmp(protocols[t->kind], event->protocol.data,
                 event->protocol.len) != 0)) {
    t->kind++;
  }
  kad_stream_set_user(t->stream, t);
}

/* ---- streams of the job -------------------------------------------------- */

/* Writes as much of the pattern as fits. */
static void write_pattern(talk *t) {
  while (t->written < job.bytes) {
    size_t at = t->written % PATTERN_LEN;
    size_t len = PATTERN_LEN - at;
    len = len < job.bytes - t->written ? len : job.bytes - t->written;
    int taken = kad_stream_write(t->stream, pattern + at, len);
    if (taken < 0) {
      return;
    }
    t->written += (size_t)taken;
  }
}

/* False when something else has come back. */
static bool read_pattern(talk *t) {
  kad_bytes in = kad_stream_peek(t->stream);
  for (size_t done = 0; done < in.len;) {
    size_t at = (t->read + done) % PATTERN_LEN;
    size_t len = PATTERN_LEN - at;
    len = len < in.len - done ? len : in.len - done;
    if (memcmp(in.data + done, pattern + at, len) != 0) {
      return false;
    }
    done += len;
  }
  t->read += in.len;
  kad_stream_consume(t->stream, in.len);
  return t->read <= job.bytes;
}

static void note_unacknowledged(void) {
  uint64_t cursor = 0;
  kad_connection_info info;
  while (kad_node_next_connection(node, &cursor, NULL, &info)) {
    if (info.unacknowledged > job.unacknowledged) {
      job.unacknowledged = info.unacknowledged;
    }
  }
}

/* All streams stay open until each has its bytes back. */
static void go_on_echo(talk *t) {
  write_pattern(t);
  if (!read_pattern(t)) {
    fail("other bytes came back");
    return;
  }
  if (t->read == job.bytes && !t->echoed) {
    t->echoed = true;
    job.echoed++;
    for (talk *each = talks; each != NULL && job.echoed == job.streams;
         each = each->next) {
      kad_stream_close_write(each->stream);
    }
  }
  if (!kad_stream_at_end(t->stream)) {
    return;
  }
  if (t->read != job.bytes || job.echoed < job.streams) {
    fail("the end came too early");
  } else if (++job.over == job.streams) {
    say(json_pack("{s:i, s:s, s:i, s:I, s:i}", "tag", job.tag, "type", "echoed",
                  "streams", (int)job.streams, "bytes", (json_int_t)job.bytes,
                  "unacknowledged", (int)job.unacknowledged));
    end("ok");
  }
}

static void go_on_count(talk *t) {
  write_pattern(t);
  if (t->written == job.bytes) {
    kad_stream_close_write(t->stream);
  }
  int len;
  while ((len = kad_stream_read(t->stream, t->text + t->read,
                                sizeof(t->text) - 1 - t->read)) > 0) {
    t->read += (size_t)len;
  }
  if (len == 0) {
    say(json_pack("{s:i, s:s, s:I}", "tag", job.tag, "type", "counted", "bytes",
                  (json_int_t)strtoull(t->text, NULL, 10)));
    end("ok");
  }
}

/* A byte there and back, and then the end of it. */
static void go_on_reset(talk *t) {
  if (kad_stream_peek(t->stream).len > 0) {
    talks = NULL;
    kad_stream_reset(t->stream, job.code);
    free(t);
    end("ok");
  }
}

static void go_on(talk *t) {
  if (strcmp(job.op, "echo") == 0) {
    go_on_echo(t);
  } else if (strcmp(job.op, "count") == 0) {
    go_on_count(t);
  } else if (strcmp(job.op, "reset") == 0) {
    go_on_reset(t);
  }
}

static void timed_out(void) {
  say(json_pack("{s:i, s:s, s:f}", "tag", job.tag, "type", "timed_out",
                "after_ms", now_ms() - job.started));
  end("ok");
}

static void ended(const kad_event *event) {
  if (strcmp(job.op, "be-reset") == 0 && event->error == KAD_E_STREAM_RESET) {
    say(json_pack("{s:i, s:s, s:I}", "tag", job.tag, "type", "stream_reset",
                  "code", (json_int_t)event->code));
    end("ok");
    return;
  }
  fail(kad_strerror(event->error));
}

/* ---- operations ---------------------------------------------------------- */

static bool open_one(const kad_peer_id *peer) {
  kad_stream_options options = KAD_STREAM_OPTIONS_INIT;
  talk *t = calloc(1, sizeof(*t));
  options.protocols = &protocols[job.kind];
  options.protocol_count = 1;
  options.user = t;
  options.timeout = 30 * KAD_SECOND;
  if (t == NULL || kad_stream_open(node, &t->stream, peer, &options) < 0) {
    free(t);
    return false;
  }
  t->kind = job.kind;
  t->ours = true;
  t->next = talks;
  talks = t;
  return true;
}

/* The first bytes of a stream. */
static void begin(talk *t, int ms) {
  if (strcmp(job.op, "be-reset") == 0) {
    snprintf(t->text, sizeof(t->text), "%-10u", job.code);
    kad_stream_write(t->stream, t->text, 10);
  } else if (strcmp(job.op, "reset") == 0) {
    kad_stream_write(t->stream, pattern, 1);
  } else if (strcmp(job.op, "deadline") == 0) {
    kad_stream_write(t->stream, pattern, 1);
    kad_stream_set_deadline(t->stream, KAD_STREAM_READ,
                            (kad_time)ms * KAD_MILLISECOND);
  } else {
    go_on(t);
  }
}

static bool peer_of(kad_peer_id *out, const char *address) {
  uint8_t binary[KAD_MULTIADDR_MAX];
  kad_multiaddr_part part;
  kad_bytes before;
  int len = kad_multiaddr_parse(binary, sizeof(binary), address);
  return len > 0 &&
         kad_multiaddr_find((kad_bytes){binary, (size_t)len}, KAD_MULTIADDR_P2P,
                            &part, &before) &&
         kad_peer_id_decode(out, part.value) == 0;
}

static void open_streams(const char *address, int ms) {
  kad_peer_id peer;
  if (!peer_of(&peer, address)) {
    fail("an address without a peer");
    return;
  }
  for (size_t i = 0; i < job.streams; i++) {
    if (!open_one(&peer)) {
      fail("no stream can be opened");
      return;
    }
  }
  for (talk *t = talks, *next; t != NULL && job.op != NULL; t = next) {
    next = t->next;
    begin(t, ms);
  }
  note_unacknowledged();
}

static void connect_to(const char *address) {
  uint8_t binary[KAD_MULTIADDR_MAX];
  kad_request connect = KAD_REQUEST_INIT(KAD_CONNECT);
  int len = kad_multiaddr_parse(binary, sizeof(binary), address);
  connect.address = (kad_bytes){binary, len < 0 ? 0 : (size_t)len};
  int error = len < 0 ? len : kad_node_start(node, &job.connecting, &connect);
  if (error < 0) {
    fail(kad_strerror(error));
  }
}

static void simple(int error) {
  if (error < 0) {
    fail(kad_strerror(error));
  } else {
    end("ok");
  }
}

static const struct {
  const char *name;
  enum kind kind;
} streaming[] = {{"echo", ECHO},
                 {"count", COUNT},
                 {"reset", ECHO},
                 {"be-reset", RESET},
                 {"deadline", HOLD}};

static void perform(const char *op, const char *address, const char *protocol,
                    int ms) {
  for (size_t i = 0; i < sizeof(streaming) / sizeof(streaming[0]); i++) {
    if (strcmp(op, streaming[i].name) == 0) {
      job.op = streaming[i].name;
      job.kind = streaming[i].kind;
      open_streams(address, ms);
      return;
    }
  }
  job.op = "";
  if (strcmp(op, "connect") == 0) {
    connect_to(address);
  } else if (strcmp(op, "handle") == 0) {
    simple(kad_node_handle(node, protocol));
  } else if (strcmp(op, "unhandle") == 0) {
    kad_node_unhandle(node, protocol);
    end("ok");
  } else if (strcmp(op, "listen") == 0) {
    simple(kad_node_listen(node, address));
  } else {
    fail("unknown operation");
  }
}

static void take_line(const char *line) {
  const char *op = "";
  const char *address = "";
  const char *protocol = "";
  int tag = 0;
  int streams = 1;
  int ms = 0;
  json_int_t bytes = 0;
  json_int_t code = 0;
  json_t *request = json_loads(line, 0, NULL);
  json_unpack(request, "{s?i, s?s, s?s, s?s, s?i, s?I, s?I, s?i}", "tag", &tag,
              "op", &op, "addr", &address, "protocol", &protocol, "streams",
              &streams, "bytes", &bytes, "code", &code, "ms", &ms);
  job = (struct job){.tag = tag,
                     .streams = streams < 1 ? 1 : (size_t)streams,
                     .bytes = (size_t)bytes,
                     .code = (uint32_t)code,
                     .started = now_ms()};
  perform(op, address, protocol, ms);
  json_decref(request);
}

/* ---- events -------------------------------------------------------------- */

static void on_stream(const kad_event *event) {
  talk *t = kad_stream_user(event->stream);
  if (event->type == KAD_EVENT_STREAM_INBOUND) {
    accept_stream(event);
  } else if (t->ours && event->type == KAD_EVENT_STREAM_ENDED) {
    ended(event);
  } else if (t->ours && event->type == KAD_EVENT_STREAM_TIMEOUT) {
    timed_out();
  } else if (t->ours) {
    go_on(t);
  } else if (event->type == KAD_EVENT_STREAM_ENDED) {
    if (event->error == KAD_E_STREAM_RESET) {
      say(json_pack("{s:s, s:o, s:I}", "type", "stream_reset", "id",
                    id_json(&event->peer), "code", (json_int_t)event->code));
    }
    let_go(t);
  } else {
    serve(t);
  }
}

static void on_event(const kad_event *event) {
  if (event->stream != NULL) {
    on_stream(event);
  } else if (event->type == KAD_EVENT_LISTENING) {
    say(json_pack("{s:s, s:o, s:o}", "type", "listening", "id",
                  id_json(&event->peer), "addrs", list_json(event->addresses)));
  } else if (event->type == KAD_EVENT_READY) {
    say(json_pack("{s:s, s:i}", "type", "ready", "peers", (int)event->count));
  } else if (event->type == KAD_EVENT_IDENTIFIED) {
    say(json_pack("{s:s, s:o, s:s%, s:o, s:o}", "type", "identified", "id",
                  id_json(&event->peer), "agent", event->agent.data,
                  event->agent.len, "protocols", names_json(event->protocols),
                  "addrs", list_json(event->addresses)));
  } else if (event->type == KAD_EVENT_END && event->request == job.connecting &&
             job.op != NULL) {
    simple(event->error);
  }
}

/* Lines that have come; false at the end of the input. */
static bool take_input(void) {
  static char line[LINE_MAX_LEN];
  static size_t len;
  ssize_t got = read(STDIN_FILENO, line + len, sizeof(line) - 1 - len);
  if (got <= 0) {
    return got < 0 && (errno == EAGAIN || errno == EINTR);
  }
  len += (size_t)got;
  line[len] = '\0';
  char *newline;
  while ((newline = strchr(line, '\n')) != NULL) {
    *newline = '\0';
    take_line(line);
    len -= (size_t)(newline + 1 - line);
    memmove(line, newline + 1, len + 1);
  }
  return true;
}

static void run(void) {
  for (;;) {
    kad_event event;
    while (kad_node_poll(node, &event)) {
      on_event(&event);
    }
    struct pollfd fds[] = {{.fd = kad_node_fd(node), .events = POLLIN},
                           {.fd = STDIN_FILENO, .events = POLLIN}};
    poll(fds, 2, kad_node_timeout(node));
    if (fds[1].revents != 0 && !take_input()) {
      return;
    }
    kad_node_drive(node);
    note_unacknowledged();
  }
}

/* ---- the start ----------------------------------------------------------- */

typedef struct settings {
  kad_node_options options;
  const char *bootstrap[8];
  uint8_t network_key[KAD_NETWORK_KEY_LEN];
} settings;

static bool read_key(settings *s, const char *path) {
  char text[512];
  FILE *file = fopen(path, "r");
  size_t len = file == NULL ? 0 : fread(text, 1, sizeof(text), file);
  if (file != NULL) {
    fclose(file);
  }
  s->options.network_key = s->network_key;
  return kad_network_key_parse(s->network_key,
                               (kad_bytes){(const uint8_t *)text, len}) == 0;
}

static bool set(settings *s, const char *name, const char *value) {
  if (strcmp(name, "--protocol") == 0) {
    s->options.protocol = value;
  } else if (strcmp(name, "--mode") == 0) {
    s->options.mode =
        strcmp(value, "client") == 0 ? KAD_MODE_CLIENT : KAD_MODE_SERVER;
  } else if (strcmp(name, "--bootstrap") == 0 &&
             s->options.bootstrap_count < 8) {
    s->bootstrap[s->options.bootstrap_count++] = value;
  } else if (strcmp(name, "--security") == 0) {
    s->options.security[0] =
        strcmp(value, "tls") == 0 ? KAD_SECURITY_TLS : KAD_SECURITY_NOISE;
  } else if (strcmp(name, "--streams") == 0) {
    s->options.max_outbound_streams = (uint32_t)strtoul(value, NULL, 10);
  } else {
    return strcmp(name, "--swarm-key") == 0 && read_key(s, value);
  }
  return true;
}

int main(int argc, char **argv) {
  static const char *const listen[] = {"/ip4/127.0.0.1/tcp/0"};
  settings s = {.options = KAD_NODE_OPTIONS_INIT};
  s.options.listen = listen;
  s.options.listen_count = 1;
  s.options.bootstrap = s.bootstrap;
  for (int i = 1; i < argc; i += 2) {
    if (i + 1 == argc || !set(&s, argv[i], argv[i + 1])) {
      fprintf(stderr, "not understood: %s\n", argv[i]);
      return 2;
    }
  }
  make_pattern();
  int error = kad_node_new(&node, &s.options);
  for (int i = 0; i < KINDS && error == 0; i++) {
    error = kad_node_handle(node, protocols[i]);
  }
  if (error == 0) {
    run();
    end("stopped");
  }
  kad_node_free(node);
  if (error < 0) {
    fprintf(stderr, "%s\n", kad_strerror(error));
  }
  return error == 0 ? 0 : 1;
}
