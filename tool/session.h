/* A short-lived node that does one request, as the commands without a daemon
 * do. */
#ifndef KAD_TOOL_SESSION_H
#define KAD_TOOL_SESSION_H

#include "output.h"

typedef struct tool_session tool_session;

/* Takes each result, before the END; progress is already removed. */
typedef void (*tool_result)(tool_session *session, const kad_event *event);

struct tool_session {
  const tool_options *options;
  tool_output out;
  kad_node *node;
  kad_key_pair *identity;
  size_t dials_failed;
  int last_dial_error;
  tool_result life; /* takes the events of the node's life, too; may be NULL */
  void *user;       /* the command's own */
};

/* Makes a client node that joins by the options; on an error it has been
 * reported, and `*status` is the exit status. */
bool tool_session_open(tool_session *session, const tool_options *options,
                       int *status);
void tool_session_close(tool_session *session);

/* Runs `request`, giving its results to `result`; the END event is returned in
 * `*end`. False when it was interrupted. */
bool tool_session_run(tool_session *session, const kad_request *request,
                      tool_result result, kad_event *end);

/* Lets the node go on until `*done`, which an event of its life sets, or until
 * the time-out that the command line asks for. False when it was interrupted.
 */
bool tool_session_wait(tool_session *session, const bool *done);

/* Opens, runs and closes; prints the end. Returns the exit status. `what` says
 * what was tried ("looking for peer X"). */
int tool_session_do(const tool_options *options, const kad_request *request,
                    tool_result result, const char *what);

/* Reports how a request ended. Returns the exit status. */
int tool_session_end(tool_session *session, const kad_event *end,
                     const char *what);

/* The node options that the command line asks for. */
void tool_node_options(kad_node_options *out, const tool_options *options,
                       const kad_key_pair *identity);

/* A new identity, of the type that the command line asks for. */
int tool_new_identity(kad_key_pair **out, const tool_options *options);

/* Loads the key file, or makes it; `*out` is NULL without one. False when that
 * failed and has been reported. */
bool tool_load_identity(kad_key_pair **out, const tool_options *options,
                        tool_output *output);

/* Set by SIGINT and SIGTERM once tool_catch_signals was called; waits return
 * then. */
void tool_catch_signals(void);
bool tool_interrupted(void);
/* By a second signal: whoever sent it is in a hurry. */
bool tool_interrupted_again(void);
/* poll(2) that a caught signal ends, also one that came just before. */
struct pollfd;
int tool_wait(struct pollfd *fds, size_t count, int timeout_ms);

#endif
