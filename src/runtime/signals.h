/* Writing to a socket whose peer has gone raises SIGPIPE, which ends a program
 * that does not expect it. A library must not ask its owner to know that, and
 * libuv writes without MSG_NOSIGNAL: so the signal is held back while a loop
 * runs, and taken if it came. */
#ifndef KAD_RUNTIME_SIGNALS_H
#define KAD_RUNTIME_SIGNALS_H

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>

typedef struct kad__signals {
  sigset_t old;
  bool pending; /* SIGPIPE was there before: it is not ours to take */
} kad__signals;

/* Holds SIGPIPE back in this thread, until the release. */
void kad__signals_hold(kad__signals *s);
void kad__signals_release(const kad__signals *s);

/* pthread_create for a thread that takes no signals at all: they are for the
 * program's own. 0, or an errno. */
int kad__signals_thread(pthread_t *out, void *(*run)(void *user), void *user);

#endif
