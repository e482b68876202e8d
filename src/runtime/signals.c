#include "runtime/signals.h"

#include <time.h>

static sigset_t sigpipe(void) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGPIPE);
  return set;
}

void kad__signals_hold(kad__signals *s) {
  sigset_t set = sigpipe();
  s->pending = false;
  pthread_sigmask(SIG_BLOCK, &set, &s->old);
  if (sigismember(&s->old, SIGPIPE) == 1) {
    sigpending(&set);
    s->pending = sigismember(&set, SIGPIPE) == 1;
  }
}

void kad__signals_release(const kad__signals *s) {
  static const struct timespec at_once = {0, 0};
  sigset_t set = sigpipe();
  if (!s->pending) {
    (void)sigtimedwait(&set, NULL, &at_once);
  }
  pthread_sigmask(SIG_SETMASK, &s->old, NULL);
}

int kad__signals_thread(pthread_t *out, void *(*run)(void *user), void *user) {
  sigset_t all;
  sigset_t old;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &old);
  int error = pthread_create(out, NULL, run, user);
  pthread_sigmask(SIG_SETMASK, &old, NULL);
  return error;
}
