/* kadmium demo: a DHT at work. Many nodes in this process, each with its own
 * identity and sockets, talk over real TCP on loopback; what one stores the
 * others find. Every answer is compared with what it should be. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "commands.h"
#include "session.h"

#define PROTOCOL "/kadmium/demo/kad/1.0.0"
#define JOIN_TIMEOUT_MS 30000
#define RECORDS 5

typedef struct demo {
  tool_output out;
  kad_node **nodes;
  struct pollfd *fds;
  size_t count;
  size_t ready;
  char *first_address;
  kad_random random;
  struct timespec started;
  uint32_t requests; /* that all steps made */
  int failures;
} demo;

/* What one request brought. */
typedef struct outcome {
  kad_request_id id;
  size_t node;
  bool ended;
  kad_event end;
  size_t results;
  kad_peer_id peer;   /* of the last result */
  uint8_t value[128]; /* of the last value */
  size_t value_len;
} outcome;

static void take_result(outcome *o, const kad_event *event) {
  if (event->type == KAD_EVENT_END) {
    o->ended = true;
    o->end = *event;
    return;
  }
  o->results++;
  if (o->results == 1 || event->type == KAD_EVENT_VALUE) {
    o->peer = event->peer;
  }
  if (event->type == KAD_EVENT_VALUE && event->value.len <= sizeof(o->value)) {
    memcpy(o->value, event->value.data, event->value.len);
    o->value_len = event->value.len;
  }
}

static void take_events(demo *d, size_t node, outcome *o) {
  kad_event event;
  while (kad_node_poll(d->nodes[node], &event)) {
    if (event.type == KAD_EVENT_READY) {
      d->ready++;
    }
    if (o != NULL && o->node == node && event.request == o->id) {
      take_result(o, &event);
    }
  }
}

/* Lets every node work once, waiting for the first that has something to do. */
static void turn(demo *d, outcome *o) {
  int timeout = 1000;
  for (size_t i = 0; i < d->count; i++) {
    int t = kad_node_timeout(d->nodes[i]);
    timeout = t >= 0 && t < timeout ? t : timeout;
    d->fds[i] =
        (struct pollfd){.fd = kad_node_fd(d->nodes[i]), .events = POLLIN};
  }
  tool_wait(d->fds, d->count, timeout);
  for (size_t i = 0; i < d->count; i++) {
    kad_node_drive(d->nodes[i]);
    take_events(d, i, o);
  }
}

/* Runs one request on one node, all others serving. */
static outcome run(demo *d, size_t node, const kad_request *request) {
  outcome o = {.node = node};
  o.end.error = kad_node_start(d->nodes[node], &o.id, request);
  o.ended = o.end.error < 0;
  while (!o.ended && !tool_interrupted()) {
    turn(d, &o);
  }
  return o;
}

/* ---- the network --------------------------------------------------------- */

static bool first_address(demo *d) {
  kad_bytes list = kad_node_addresses(d->nodes[0]);
  kad_bytes address;
  d->first_address = malloc(KAD_MULTIADDR_TEXT_MAX);
  return d->first_address != NULL && kad_addresses_next(&list, &address) &&
         kad_multiaddr_format(d->first_address, KAD_MULTIADDR_TEXT_MAX,
                              address) > 0;
}

static int start_node(demo *d, size_t i) {
  static const char *const listen[] = {"/ip4/127.0.0.1/tcp/0"};
  const char *bootstrap[] = {d->first_address};
  kad_node_options options = KAD_NODE_OPTIONS_INIT;
  options.protocol = PROTOCOL;
  options.listen = listen;
  options.listen_count = 1;
  options.bootstrap = bootstrap;
  options.bootstrap_count = i == 0 ? 0 : 1;
  int error = kad_node_new(&d->nodes[i], &options);
  if (error == 0) {
    d->count = i + 1;
  }
  return error;
}

static int start_nodes(demo *d, size_t count) {
  for (size_t i = 0; i < count; i++) {
    int error = start_node(d, i);
    if (error < 0) {
      return error;
    }
    if (i == 0) {
      turn(d, NULL);
      if (!first_address(d)) {
        return KAD_E_IO;
      }
    }
  }
  return 0;
}

static kad_time elapsed_since(const struct timespec *start) {
  struct timespec now;
  timespec_get(&now, TIME_UTC);
  int64_t ns = (int64_t)(now.tv_sec - start->tv_sec) * 1000000000 +
               (now.tv_nsec - start->tv_nsec);
  return ns < 0 ? 0 : (kad_time)ns;
}

static void show_joined(const demo *d, kad_time elapsed, double known) {
  if (d->out.json) {
    tool_print_json(json_pack("{s:s, s:I, s:f, s:f}", "type", "joined", "nodes",
                              (json_int_t)d->count, "known", known,
                              "elapsed_ms", tool_ms(elapsed)),
                    NULL);
    return;
  }
  printf(
      "%zu nodes on loopback, joined through one of them in %.0f ms;\n"
      "each knows %.1f others.\n\n",
      d->count, tool_ms(elapsed), known);
}

static bool join_all(demo *d) {
  struct timespec start;
  timespec_get(&start, TIME_UTC);
  while (d->ready < d->count && !tool_interrupted()) {
    turn(d, NULL);
    tool_progress(&d->out, "%zu of %zu nodes have joined", d->ready, d->count);
    if (elapsed_since(&start) > JOIN_TIMEOUT_MS * KAD_MILLISECOND) {
      return false;
    }
  }
  tool_progress_end(&d->out);
  kad_node_status status;
  size_t known = 0;
  for (size_t i = 0; i < d->count; i++) {
    kad_node_get_status(d->nodes[i], &status);
    known += status.table_size;
  }
  show_joined(d, elapsed_since(&start), (double)known / (double)d->count);
  return !tool_interrupted();
}

/* ---- what it shows ------------------------------------------------------- */

static size_t any_node(demo *d) {
  return (size_t)kad_random_below(&d->random, d->count);
}

static size_t another_node(demo *d, size_t node) {
  return (node + 1 + (size_t)kad_random_below(&d->random, d->count - 1)) %
         d->count;
}

static void report_json(const char *step, const char *what, const outcome *o,
                        bool right) {
  char result[32];
  const kad_statistics *s = &o->end.statistics;
  tool_result_name(result, o->end.error);
  tool_print_json(
      json_pack("{s:s, s:s, s:s, s:s, s:f, s:I, s:I}", "type", "step", "step",
                step, "what", what, "result",
                right || o->end.error < 0 ? result : "wrong", "elapsed_ms",
                tool_ms(s->elapsed), "hops", (json_int_t)s->hops, "requests",
                (json_int_t)s->requests),
      NULL);
}

static void report(demo *d, const char *step, const char *what,
                   const outcome *o, bool right) {
  const kad_statistics *s = &o->end.statistics;
  const char *verdict = right              ? "ok"
                        : o->end.error < 0 ? kad_strerror(o->end.error)
                                           : "WRONG ANSWER";
  d->failures += !right;
  d->requests += s->requests;
  if (d->out.json) {
    report_json(step, what, o, right);
    return;
  }
  printf("  %-46s %8.2f ms %5u %9u   %s\n", what, tool_ms(s->elapsed), s->hops,
         s->requests, verdict);
  fflush(stdout);
}

static void show_record(demo *d, int number) {
  char key[32];
  char value[64];
  char what[64];
  size_t putter = any_node(d);
  size_t getter = another_node(d, putter);
  snprintf(key, sizeof(key), "/demo/record-%d", number);
  snprintf(value, sizeof(value), "value %d of node %zu", number, putter);

  kad_request put = KAD_REQUEST_INIT(KAD_PUT);
  put.key = (kad_bytes){(const uint8_t *)key, strlen(key)};
  put.value = (kad_bytes){(const uint8_t *)value, strlen(value)};
  put.quorum.kind = KAD_QUORUM_MAJORITY;
  outcome o = run(d, putter, &put);
  snprintf(what, sizeof(what), "node %zu stores %s at %u peers", putter, key,
           o.end.statistics.stored);
  report(d, "put", what, &o, o.end.error == 0 && o.end.statistics.stored > 0);

  kad_request get = KAD_REQUEST_INIT(KAD_GET);
  get.key = put.key;
  o = run(d, getter, &get);
  snprintf(what, sizeof(what), "node %zu fetches it", getter);
  report(d, "get", what, &o,
         o.end.error == 0 && o.value_len == strlen(value) &&
             memcmp(o.value, value, o.value_len) == 0);
}

static void show_provider(demo *d, int number) {
  uint8_t key[34] = {KAD_MULTIHASH_SHA2_256, 32};
  char what[64];
  kad_random_bytes(&d->random, key + 2, 32);
  size_t provider = any_node(d);
  size_t seeker = another_node(d, provider);

  kad_request provide = KAD_REQUEST_INIT(KAD_PROVIDE);
  provide.key = (kad_bytes){key, sizeof(key)};
  outcome o = run(d, provider, &provide);
  snprintf(what, sizeof(what), "node %zu announces content %d to %u peers",
           provider, number, o.end.statistics.stored);
  report(d, "provide", what, &o,
         o.end.error == 0 && o.end.statistics.stored > 0);

  kad_request find = KAD_REQUEST_INIT(KAD_FIND_PROVIDERS);
  find.key = provide.key;
  find.count = 1;
  o = run(d, seeker, &find);
  snprintf(what, sizeof(what), "node %zu finds its provider", seeker);
  report(d, "find-providers", what, &o,
         o.results > 0 &&
             kad_peer_id_equal(&o.peer, kad_node_id(d->nodes[provider])));
}

static void show_peer(demo *d) {
  char what[64];
  size_t seeker = any_node(d);
  size_t wanted = another_node(d, seeker);
  kad_request find = KAD_REQUEST_INIT(KAD_FIND_PEER);
  find.peer = *kad_node_id(d->nodes[wanted]);
  outcome o = run(d, seeker, &find);
  snprintf(what, sizeof(what), "node %zu finds node %zu", seeker, wanted);
  report(d, "find-peer", what, &o,
         o.results > 0 && kad_peer_id_equal(&o.peer, &find.peer));
}

static void show_all(demo *d) {
  if (!d->out.json) {
    printf("  %-46s %11s %5s %9s\n", "", "time", "hops", "requests");
  }
  for (int i = 1; i <= RECORDS && !tool_interrupted(); i++) {
    show_record(d, i);
  }
  for (int i = 1; i <= RECORDS && !tool_interrupted(); i++) {
    show_provider(d, i);
  }
  for (int i = 1; i <= RECORDS && !tool_interrupted(); i++) {
    show_peer(d);
  }
}

static void show_end(const demo *d) {
  if (d->out.json) {
    tool_print_json(
        json_pack("{s:s, s:s, s:i, s:I, s:f}", "type", "end", "result",
                  d->failures == 0 ? "ok" : "failed", "failures", d->failures,
                  "requests", (json_int_t)d->requests, "elapsed_ms",
                  tool_ms(elapsed_since(&d->started))),
        NULL);
    return;
  }
  printf("\n%s\n", d->failures == 0
                       ? "Every answer was the right one."
                       : "Some answers were wrong or missing; see above.");
}

static int run_demo(demo *d, size_t count) {
  int error = start_nodes(d, count);
  if (error < 0) {
    return tool_fail(&d->out, error, "cannot start the nodes",
                     "fewer --nodes need fewer sockets");
  }
  if (!join_all(d)) {
    return tool_interrupted()
               ? TOOL_INTERRUPTED
               : tool_fail(&d->out, KAD_E_TIMEOUT, "joining", NULL);
  }
  show_all(d);
  if (tool_interrupted()) {
    return TOOL_INTERRUPTED;
  }
  show_end(d);
  return d->failures == 0 ? TOOL_OK : TOOL_FAILED;
}

int tool_demo(const tool_options *options) {
  demo d = {.nodes = calloc(options->nodes, sizeof(kad_node *)),
            .fds = calloc(options->nodes, sizeof(struct pollfd))};
  tool_output_init(&d.out, options);
  tool_catch_signals();
  timespec_get(&d.started, TIME_UTC);
  int status = TOOL_FAILED;
  if (d.nodes != NULL && d.fds != NULL &&
      kad_random_init_system(&d.random) == 0) {
    status = run_demo(&d, options->nodes);
  }
  for (size_t i = 0; d.nodes != NULL && i < d.count; i++) {
    kad_node_free(d.nodes[i]);
  }
  free(d.first_address);
  free(d.nodes);
  free(d.fds);
  return status;
}
