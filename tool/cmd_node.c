/* kadmium node: a member of the network until it is told to stop. */
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "commands.h"
#include "control.h"
#include "session.h"
#include "state.h"

#ifdef KADMIUM_STORE
#include <kadmium/sqlite_store.h>
#endif

typedef struct daemon_state {
  const tool_options *options;
  tool_output out;
  kad_node *node;
  tool_control *control; /* NULL without --json */
  bool listening;
  int listen_error;
  json_t *early;    /* lines that wait for the one with the addresses */
  time_t state_due; /* when the state is written next */
} daemon_state;

static void say_addresses(const kad_event *event) {
  kad_bytes list = event->addresses;
  kad_bytes address;
  while (kad_addresses_next(&list, &address)) {
    char text[KAD_MULTIADDR_TEXT_MAX];
    printf("listening on %s\n", tool_address_text(text, address));
  }
}

static void say_failure(daemon_state *d, const kad_event *event,
                        const char *what) {
  char text[KAD_MULTIADDR_TEXT_MAX] = "";
  kad_bytes list = event->addresses;
  kad_bytes address;
  if (kad_addresses_next(&list, &address)) {
    tool_address_text(text, address);
  }
  tool_note(&d->out, "kadmium node: %s %s: %s", what, text,
            kad_strerror(event->error));
}

static void say_reach(daemon_state *d, const kad_event *event,
                      const char *what) {
  char text[KAD_MULTIADDR_TEXT_MAX];
  kad_bytes list = event->addresses;
  kad_bytes address;
  if (kad_addresses_next(&list, &address)) {
    tool_note(&d->out, "%s %s", what, tool_address_text(text, address));
  }
}

/* What a person wants to see of the node's life. */
static void say(daemon_state *d, const kad_event *event) {
  char id[KAD_PEER_ID_TEXT_MAX];
  char agent[128];
  switch (event->type) {
    case KAD_EVENT_LISTENING:
      say_addresses(event);
      break;
    case KAD_EVENT_READY:
      printf("ready, %u peers in the routing table\n", event->count);
      break;
    case KAD_EVENT_MODE:
      tool_note(&d->out, "now a %s", event->server ? "server" : "client");
      break;
    case KAD_EVENT_REACHABLE:
      say_reach(d, event, "reachable at");
      break;
    case KAD_EVENT_UNREACHABLE:
      say_reach(d, event, "not reachable at");
      break;
    case KAD_EVENT_IDENTIFIED:
      if (d->out.verbose) {
        tool_note(&d->out, "peer %s is %s", tool_peer_text(id, &event->peer),
                  tool_peer_chosen(agent, sizeof(agent), event->agent));
      }
      break;
    default:
      break;
  }
  fflush(stdout);
}

/* The first line is the one with the addresses. */
static void print(daemon_state *d, const kad_event *event) {
  json_t *object = event->type == KAD_EVENT_MODE && !d->listening
                       ? NULL
                       : tool_event_json(event);
  size_t i;
  json_t *line;
  if (object == NULL) {
    return;
  }
  if (!d->listening) {
    json_array_append_new(d->early, object);
    return;
  }
  tool_print_json(object, NULL);
  json_array_foreach(d->early, i, line) {
    tool_print_json(json_incref(line), NULL);
  }
  json_array_clear(d->early);
}

static void take_event(daemon_state *d, const kad_event *event) {
  if (event->type == KAD_EVENT_LISTENING) {
    d->listening = true;
  }
  if (event->type == KAD_EVENT_LISTEN_FAILED) {
    d->listen_error = event->error;
    say_failure(d, event, "cannot listen on");
  }
  if (event->type == KAD_EVENT_DIAL_FAILED) {
    say_failure(d, event, "cannot join through");
  }
  if (d->out.json) {
    print(d, event);
  } else if (d->listening || event->type == KAD_EVENT_MODE) {
    say(d, event);
  }
}

static void take_events(daemon_state *d) {
  kad_event event;
  while (kad_node_poll(d->node, &event)) {
    if (event.request == 0) {
      take_event(d, &event);
    } else if (d->control != NULL) {
      tool_control_event(d->control, &event);
    }
  }
}

static time_t seconds(void) {
  struct timespec now = {0};
  (void)clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec;
}

/* A crash loses no more than the news of one interval. */
static void keep_state(daemon_state *d, bool now) {
  if (d->options->state_file == NULL || (!now && seconds() < d->state_due)) {
    return;
  }
  d->state_due = seconds() + TOOL_STATE_INTERVAL_S;
  tool_state_save(d->node, d->options->state_file, &d->out);
}

static void wait_for_work(daemon_state *d) {
  struct pollfd fds[2] = {
      {.fd = kad_node_fd(d->node), .events = POLLIN},
      {.fd = d->control == NULL ? -1 : tool_control_fd(d->control),
       .events = POLLIN}};
  tool_wait(fds, 2, kad_node_timeout(d->node));
  if (fds[1].revents != 0) {
    tool_control_read(d->control);
  }
}

/* Our peers hear that we go; whoever reads our output knows. */
static void leave(daemon_state *d) {
  kad_event event;
  kad_node_close(d->node);
  while (!kad_node_is_closed(d->node) && !tool_interrupted_again()) {
    struct pollfd fd = {.fd = kad_node_fd(d->node), .events = POLLIN};
    while (kad_node_poll(d->node, &event)) {
      if (event.request != 0 && d->control != NULL) {
        tool_control_event(d->control, &event);
      }
    }
    tool_wait(&fd, 1, kad_node_timeout(d->node));
    kad_node_drive(d->node);
  }
}

static int run(daemon_state *d) {
  while (!tool_interrupted()) {
    kad_node_drive(d->node);
    take_events(d);
    keep_state(d, false);
    if (d->listen_error != 0 && !d->listening) {
      return tool_fail(&d->out, d->listen_error, "cannot listen anywhere",
                       "choose another --listen address");
    }
    if (tool_stdout_broken()) {
      return TOOL_FAILED; /* main says so */
    }
    wait_for_work(d);
  }
  keep_state(d, true);
  tool_note(&d->out, "kadmium node: leaving");
  leave(d);
  return TOOL_OK;
}

/* Runs a node that has been made, to its end. */
static int serve(daemon_state *d) {
  d->state_due = seconds() + TOOL_STATE_INTERVAL_S;
  if (d->options->state_file != NULL &&
      !tool_state_load(d->node, d->options->state_file, &d->out)) {
    return TOOL_FAILED;
  }
  if (d->out.json) {
    d->control = tool_control_new(d->node, d->options);
  }
  int status = run(d);
  tool_control_free(d->control);
  return status;
}

static const char *why_not(const tool_options *options, int error) {
  if (error != KAD_E_UNSUPPORTED) {
    return NULL;
  }
  return options->map_port ? "--map-port needs a build with libnatpmp or "
                             "miniupnpc, and --listen takes TCP alone"
                           : "--listen takes TCP alone: /ip4/0.0.0.0/tcp/4001";
}

static int start(daemon_state *d, const kad_key_pair *identity,
                 kad_store *store) {
  kad_node_options options;
  tool_options listening = *d->options;
  if (listening.listen.count == 0) {
    listening.listen.items[listening.listen.count++] = "/ip4/0.0.0.0/tcp/4001";
    listening.listen.items[listening.listen.count++] = "/ip6/::/tcp/4001";
  }
  tool_node_options(&options, &listening, identity);
  options.store = store;
  int error = kad_node_new(&d->node, &options);
  if (error < 0) {
    return tool_fail(&d->out, error, "cannot start the node",
                     why_not(d->options, error));
  }
  int status = serve(d);
  kad_node_free(d->node);
  return status;
}

#ifdef KADMIUM_STORE
static int start_with_store(daemon_state *d, const kad_key_pair *identity) {
  kad_store *store = NULL;
  if (d->options->store_file == NULL) {
    return start(d, identity, NULL);
  }
  int error = kad_sqlite_store_new(&store, kad_allocator_default(),
                                   d->options->store_file);
  if (error < 0) {
    return tool_fail(&d->out, error, d->options->store_file,
                     "move it away to start with an empty one");
  }
  int status = start(d, identity, store);
  kad_store_free(store);
  return status;
}
#else
static int start_with_store(daemon_state *d, const kad_key_pair *identity) {
  return start(d, identity, NULL);
}
#endif

int tool_node(const tool_options *options) {
  daemon_state d = {.options = options, .early = json_array()};
  kad_key_pair *identity = NULL;
  tool_output_init(&d.out, options);
  tool_catch_signals();
  int status = TOOL_FAILED;
  if (tool_load_identity(&identity, options, &d.out)) {
    status = start_with_store(&d, identity);
  }
  kad_key_pair_free(identity);
  json_decref(d.early);
  return status;
}
