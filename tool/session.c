/* The loop of every command that is not a daemon: start, wait, print, leave. */
#include "session.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* How long a command stays for what its user no longer waits for. */
#define LINGER_S 3

/* ---- signals ------------------------------------------------------------- */

static volatile sig_atomic_t interruptions;
static sigset_t waiting_mask;

static void on_signal(int number) {
  (void)number;
  interruptions = interruptions < 2 ? interruptions + 1 : 2;
}

/* Signals arrive only inside tool_wait, so none falls between a look at the
 * flag and the wait. */
void tool_catch_signals(void) {
  struct sigaction action = {.sa_handler = on_signal};
  sigset_t blocked;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGINT);
  sigaddset(&blocked, SIGTERM);
  sigprocmask(SIG_BLOCK, &blocked, &waiting_mask);
  sigdelset(&waiting_mask, SIGINT);
  sigdelset(&waiting_mask, SIGTERM);
  sigaction(SIGINT, &action, NULL);
  sigaction(SIGTERM, &action, NULL);
}

bool tool_interrupted(void) {
  return interruptions != 0;
}

bool tool_interrupted_again(void) {
  return interruptions > 1;
}

int tool_wait(struct pollfd *fds, size_t count, int timeout_ms) {
  struct timespec timeout = {.tv_sec = timeout_ms / 1000,
                             .tv_nsec = (long)(timeout_ms % 1000) * 1000000};
  int n = ppoll(fds, count, timeout_ms < 0 ? NULL : &timeout, &waiting_mask);
  return n < 0 && errno == EINTR ? 0 : n;
}

/* ---- options ------------------------------------------------------------- */

void tool_node_options(kad_node_options *out, const tool_options *options,
                       const kad_key_pair *identity) {
  *out = (kad_node_options)KAD_NODE_OPTIONS_INIT;
  out->identity = identity;
  out->protocol = options->protocol;
  out->mode = options->mode;
  out->no_autonat = options->no_autonat;
  out->port_mapping = options->map_port;
  memcpy(out->security, options->security, sizeof(out->security));
  out->network_key = options->has_network_key ? options->network_key : NULL;
  out->listen = options->listen.items;
  out->listen_count = options->listen.count;
  out->announce = options->announce.items;
  out->announce_count = options->announce.count;
  out->bootstrap = options->bootstrap.items;
  out->bootstrap_count = options->bootstrap.count;
  out->namespaces = options->namespaces.items;
  out->namespace_count = options->namespaces.count;
}

int tool_new_identity(kad_key_pair **out, const tool_options *options) {
  kad_random random;
  int error = kad_random_init_system(&random);
  if (error < 0) {
    return error;
  }
  kad_key_type type =
      options->has_key_type ? options->key_type : KAD_KEY_ED25519;
  return kad_key_pair_generate_type(out, kad_allocator_default(), type,
                                    &random);
}

static int make_identity(kad_key_pair **out, const tool_options *options,
                         tool_output *output) {
  const char *path = options->key_file;
  int error = tool_new_identity(out, options);
  if (error < 0) {
    return error;
  }
  error = kad_key_pair_save(*out, path);
  if (error < 0) {
    kad_key_pair_free(*out);
    *out = NULL;
    return error;
  }
  tool_note(output, "made a new identity in %s", path);
  return 0;
}

static const char *key_advice(int error) {
  switch (error) {
    case KAD_E_KEY_FILE_MODE:
      return "make it yours alone with chmod 600";
    case KAD_E_KEY_FILE:
      return "it must be a libp2p private key that you can read and write; it "
             "is never overwritten";
    default:
      return NULL;
  }
}

bool tool_load_identity(kad_key_pair **out, const tool_options *options,
                        tool_output *output) {
  *out = NULL;
  if (options->key_file == NULL) {
    return true;
  }
  int error =
      kad_key_pair_load(out, kad_allocator_default(), options->key_file);
  if (error == KAD_E_NOT_FOUND) {
    error = make_identity(out, options, output);
  }
  if (error < 0) {
    (void)tool_fail(output, error, options->key_file, key_advice(error));
  }
  return error == 0;
}

/* ---- the session --------------------------------------------------------- */

bool tool_session_open(tool_session *session, const tool_options *options,
                       int *status) {
  *session = (tool_session){.options = options};
  tool_output_init(&session->out, options);
  tool_catch_signals();
  if (!tool_load_identity(&session->identity, options, &session->out)) {
    *status = TOOL_FAILED;
    return false;
  }
  kad_node_options node;
  tool_node_options(&node, options, session->identity);
  if (options->listen.count == 0) {
    node.mode = KAD_MODE_CLIENT;
  }
  int error = kad_node_new(&session->node, &node);
  if (error < 0) {
    *status = tool_fail(&session->out, error, "cannot start a node", NULL);
    kad_key_pair_free(session->identity);
    return false;
  }
  return true;
}

/* Lets records arrive that are still on their way: a put goes on to all of the
 * closest peers when its quorum is met, and a get brings the best record to
 * those that had none or a worse one. */
static void finish_in_background(tool_session *session) {
  kad_node_status status;
  struct timespec start;
  struct timespec now;
  (void)clock_gettime(CLOCK_MONOTONIC, &start);
  now = start;
  kad_node_get_status(session->node, &status);
  while (status.background > 0 && now.tv_sec - start.tv_sec < LINGER_S &&
         !tool_interrupted()) {
    kad_event event;
    struct pollfd fd = {.fd = kad_node_fd(session->node), .events = POLLIN};
    int timeout = kad_node_timeout(session->node);
    tool_wait(&fd, 1, timeout < 0 || timeout > 100 ? 100 : timeout);
    kad_node_drive(session->node);
    while (kad_node_poll(session->node, &event)) {
    }
    kad_node_get_status(session->node, &status);
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
  }
}

void tool_session_close(tool_session *session) {
  finish_in_background(session);
  kad_node_free(session->node);
  kad_key_pair_free(session->identity);
}

static void show_dial_failure(tool_session *session, const kad_event *event) {
  kad_bytes list = event->addresses;
  kad_bytes address = {NULL, 0};
  char text[KAD_MULTIADDR_TEXT_MAX];
  session->dials_failed++;
  session->last_dial_error = event->error;
  if (kad_addresses_next(&list, &address)) {
    tool_note(&session->out, "kadmium %s: cannot join through %s: %s",
              session->out.command, tool_address_text(text, address),
              kad_strerror(event->error));
  }
}

/* Events of the node's life, while a request runs. */
static void show_life(tool_session *session, const kad_event *event) {
  char text[KAD_PEER_ID_TEXT_MAX];
  if (session->life != NULL) {
    session->life(session, event);
  }
  switch (event->type) {
    case KAD_EVENT_DIAL_FAILED:
      show_dial_failure(session, event);
      return;
    case KAD_EVENT_CONNECTED:
      tool_progress(&session->out, "connected to %s",
                    tool_peer_text(text, &event->peer));
      if (session->out.verbose) {
        tool_note(&session->out, "connected to %s",
                  tool_peer_text(text, &event->peer));
      }
      return;
    case KAD_EVENT_ROUTING_ADDED:
      if (session->out.verbose) {
        tool_note(&session->out, "routing table: added %s",
                  tool_peer_text(text, &event->peer));
      }
      return;
    default:
      return;
  }
}

/* Takes what has happened; true when the request ended. */
static bool take_events(tool_session *session, kad_request_id id,
                        tool_result result, kad_event *end) {
  kad_event event;
  while (kad_node_poll(session->node, &event)) {
    if (event.request != id) {
      show_life(session, &event);
      continue;
    }
    if (event.type == KAD_EVENT_END) {
      *end = event;
      return true;
    }
    tool_progress_end(&session->out);
    result(session, &event);
  }
  return false;
}

bool tool_session_run(tool_session *session, const kad_request *request,
                      tool_result result, kad_event *end) {
  kad_request timed = *request;
  kad_request_id id = 0;
  timed.timeout = session->options->timeout;
  *end = (kad_event){.type = KAD_EVENT_END};
  end->error = kad_node_start(session->node, &id, &timed);
  if (end->error < 0) {
    return true;
  }
  tool_progress(&session->out, "joining");
  while (!take_events(session, id, result, end)) {
    struct pollfd fd = {.fd = kad_node_fd(session->node), .events = POLLIN};
    if (tool_interrupted()) {
      return false;
    }
    tool_wait(&fd, 1, kad_node_timeout(session->node));
    kad_node_drive(session->node);
  }
  return true;
}

static int ms_until(const struct timespec *end) {
  struct timespec now;
  (void)clock_gettime(CLOCK_MONOTONIC, &now);
  double left = (double)(end->tv_sec - now.tv_sec) * 1e3 +
                (double)(end->tv_nsec - now.tv_nsec) / 1e6;
  return left <= 0 ? 0 : (int)(left < INT_MAX - 1 ? left + 1 : INT_MAX);
}

bool tool_session_wait(tool_session *session, const bool *done) {
  kad_time timeout = session->options->timeout;
  struct timespec end;
  kad_event event;
  (void)clock_gettime(CLOCK_MONOTONIC, &end);
  end.tv_sec += (time_t)(timeout / KAD_SECOND);
  end.tv_nsec += (long)(timeout % KAD_SECOND);
  while (true) {
    while (!*done && kad_node_poll(session->node, &event)) {
      show_life(session, &event);
    }
    int left = ms_until(&end);
    int due = kad_node_timeout(session->node);
    if (*done || left == 0 || tool_interrupted()) {
      return !tool_interrupted();
    }
    struct pollfd fd = {.fd = kad_node_fd(session->node), .events = POLLIN};
    tool_wait(&fd, 1, due < 0 || due > left ? left : due);
    kad_node_drive(session->node);
  }
}

/* Who is in no private network, or in another, hangs up on what it cannot read,
 * most without a word. */
static bool is_of_keys(const tool_session *session, int error) {
  return error == KAD_E_NETWORK_KEY ||
         (error == KAD_E_CLOSED && session->options->has_network_key);
}

static const char *advice_to_join(const tool_session *session) {
  if (is_of_keys(session, session->last_dial_error)) {
    return "check --swarm-key: all members of a private network have the same";
  }
  switch (session->last_dial_error) {
    case KAD_E_NO_PROTOCOL:
      return "the peer does not serve this DHT: check --protocol, and that the "
             "node there is a server";
    case KAD_E_MULTISTREAM:
      return "check --swarm-key: all members of a private network have the "
             "same";
    default:
      return "check that a --bootstrap peer is running and reachable";
  }
}

static const char *advice_for(const tool_session *session, int error) {
  size_t contacts = session->options->bootstrap.count;
  if (is_of_keys(session, error)) {
    return "the peer is in another private network, or in none: check "
           "--swarm-key";
  }
  switch (error) {
    case KAD_E_MULTISTREAM:
      return "it is no libp2p node, or it is in a private network: see "
             "--swarm-key";
    case KAD_E_NO_PEERS:
      if (contacts == 0) {
        return "name a member of the network with --bootstrap ADDRESS/p2p/ID";
      }
      return advice_to_join(session);
    case KAD_E_TIMEOUT:
      return "try again with a longer --timeout";
    case KAD_E_NOT_FOUND:
      return "nobody asked knows it; check the key and the network "
             "(--protocol, --bootstrap)";
    case KAD_E_QUORUM:
      return "fewer peers took the record than asked; try a lower --quorum";
    case KAD_E_RECORD_REJECTED:
      return "this network takes no records of that namespace; see --namespace";
    case KAD_E_RECORD:
    case KAD_E_SIGNATURE:
      return "the value is not what the namespace of its key demands";
    case KAD_E_REFUSED:
    case KAD_E_UNREACHABLE:
    case KAD_E_DIAL:
      return "check the address and that the peer is running";
    default:
      return NULL;
  }
}

int tool_session_end(tool_session *session, const kad_event *end,
                     const char *what) {
  tool_progress_end(&session->out);
  int status = TOOL_OK;
  if (end->error < 0) {
    status = tool_fail(&session->out, end->error, what,
                       advice_for(session, end->error));
  } else if (session->out.verbose) {
    tool_note(&session->out, "%u requests, %u answered, %u hops, %.1f ms",
              end->statistics.requests, end->statistics.successes,
              end->statistics.hops, tool_ms(end->statistics.elapsed));
  }
  if (session->out.json) {
    tool_print_json(tool_event_json(end), NULL);
  }
  return status;
}

int tool_session_do(const tool_options *options, const kad_request *request,
                    tool_result result, const char *what) {
  tool_session session;
  int status = TOOL_OK;
  if (!tool_session_open(&session, options, &status)) {
    return status;
  }
  kad_event end;
  if (!tool_session_run(&session, request, result, &end)) {
    tool_note(&session.out, "interrupted");
    tool_session_close(&session);
    return TOOL_INTERRUPTED;
  }
  status = tool_session_end(&session, &end, what);
  tool_session_close(&session);
  return status;
}
