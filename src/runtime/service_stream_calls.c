/* kadmium/service_stream.h: what callers on any thread do to streams. They fill
 * and empty the buffers, wait, and mark what the service's thread is to carry.
 */
#include <limits.h>
#include <time.h>

#include "runtime/service_streams_internal.h"
#include "runtime/streams.h"

/* ---- waiting ------------------------------------------------------------- */

/* False at `at`, or when there is no more waiting. */
static bool wait_until(pthread_cond_t *cond, pthread_mutex_t *mutex,
                       kad_time at) {
  if (at == KAD_TIME_NEVER) {
    return pthread_cond_wait(cond, mutex) == 0;
  }
  struct timespec time = {.tv_sec = (time_t)(at / KAD_SECOND),
                          .tv_nsec = (long)(at % KAD_SECOND)};
  return pthread_cond_timedwait(cond, mutex, &time) == 0;
}

/* A call on the service itself begins. */
static int enter(kad__service_streams *all) {
  pthread_mutex_lock(&all->mutex);
  bool stopped = all->stopped;
  all->callers += !stopped;
  pthread_mutex_unlock(&all->mutex);
  return stopped ? KAD_E_CANCELLED : 0;
}

static void leave(kad__service_streams *all) {
  pthread_mutex_lock(&all->mutex);
  all->callers--;
  pthread_cond_broadcast(&all->changed);
  pthread_mutex_unlock(&all->mutex);
}

/* ---- protocols, on any thread -------------------------------------------- */

typedef struct handling {
  const char *protocol;
  kad_protocol_match match;
  void *user;
  int error;
} handling;

static void handle(void *user, kad_node *node) {
  handling *h = user;
  h->error = kad_node_handle_match(node, h->protocol, h->match, h->user);
}

static void unhandle(void *user, kad_node *node) {
  handling *h = user;
  kad_node_unhandle(node, h->protocol);
}

int kad_service_handle_match(kad_service *service, const char *protocol,
                             kad_protocol_match match, void *user) {
  handling h = {.protocol = protocol, .match = match, .user = user};
  int error = kad_service_visit(service, handle, &h);
  return error < 0 ? error : h.error;
}

int kad_service_handle(kad_service *service, const char *protocol) {
  return kad_service_handle_match(service, protocol, NULL, NULL);
}

int kad_service_unhandle(kad_service *service, const char *protocol) {
  handling h = {.protocol = protocol};
  return kad_service_visit(service, unhandle, &h);
}

/* ---- opening, on any thread ---------------------------------------------- */

static kad_time deadline(kad_time after) {
  return kad__time_add(kad__system_now(), after);
}

/* Called with the list locked. */
static kad_service_stream *take_offered(kad__service_streams *all,
                                        const char *protocol) {
  KAD__LIST_EACH(link, &all->backlog) {
    kad_service_stream *s =
        KAD__CONTAINER(link, kad_service_stream, in_backlog);
    if (protocol == NULL ||
        kad__bytes_equal(s->info.protocol, kad__bytes_of(protocol))) {
      kad__list_unlink(&s->in_backlog);
      all->backlog_len--;
      return s;
    }
  }
  return NULL;
}

int kad_service_accept(kad_service *service, kad_service_stream **out,
                       const char *protocol, kad_time timeout) {
  kad__service_streams *all = kad__service_streams_of(service);
  kad_time until = deadline(timeout);
  kad_service_stream *s = NULL;
  int error = enter(all);
  if (error < 0) {
    return error;
  }
  pthread_mutex_lock(&all->mutex);
  bool waiting = true;
  while (!all->stopped && (s = take_offered(all, protocol)) == NULL &&
         waiting) {
    waiting = wait_until(&all->changed, &all->mutex, until) ||
              kad__system_now() < until;
  }
  if (s == NULL) {
    error = all->stopped ? KAD_E_CANCELLED : KAD_E_TIMEOUT;
  }
  pthread_mutex_unlock(&all->mutex);
  leave(all);
  *out = s;
  return error;
}

static int open_stream(kad__service_streams *all, kad_service_stream **out,
                       const kad_peer_id *peer,
                       const kad_stream_options *options) {
  kad_service_stream *s = kad__service_stream_new(all);
  if (s == NULL) {
    return KAD_E_NO_MEMORY;
  }
  pthread_mutex_lock(&s->mutex);
  s->info.peer = *peer;
  s->opening = options;
  kad__service_stream_mark(s);
  while (!s->opened && s->error == 0) {
    pthread_cond_wait(&s->changed, &s->mutex);
  }
  int error = s->opened ? 0 : s->error; /* what came later a read tells */
  s->opening = NULL;
  pthread_mutex_unlock(&s->mutex);
  if (error < 0) {
    kad_service_stream_close(s);
    return error;
  }
  *out = s;
  return 0;
}

int kad_service_open(kad_service *service, kad_service_stream **out,
                     const kad_peer_id *peer,
                     const kad_stream_options *options) {
  kad__service_streams *all = kad__service_streams_of(service);
  kad_stream_options read = kad__stream_options_of(options);
  int error = enter(all);
  if (error < 0) {
    return error;
  }
  error = open_stream(all, out, peer, &read);
  leave(all);
  return error;
}

/* ---- using, on any thread ------------------------------------------------ */

static int take(kad_service_stream *s, void *out, size_t cap) {
  kad_bytes in = kad__buffer_bytes(&s->in);
  size_t len = in.len < cap ? in.len : cap;
  len = len < INT_MAX ? len : INT_MAX;
  memcpy(out, in.data, len);
  kad__buffer_consume(&s->in, &s->allocator, len);
  s->info.bytes_read += len;
  if (kad__buffer_len(&s->in) == 0 && s->charged > KAD__SERVICE_CHARGE_KEPT) {
    kad__service_stream_mark(s);
  }
  if (s->stalled && kad__buffer_len(&s->in) <= KAD__SERVICE_BUFFER_MAX / 2) {
    s->stalled = false;
    kad__service_stream_mark(s);
  }
  return (int)len;
}

int kad_service_stream_read(kad_service_stream *s, void *out, size_t cap) {
  bool waiting = true;
  int result = cap == 0 ? 0 : KAD_E_TIMEOUT;
  pthread_mutex_lock(&s->mutex);
  while (result == KAD_E_TIMEOUT) {
    if (s->read_closed) {
      result = KAD_E_STATE;
    } else if (kad__buffer_len(&s->in) != 0 && s->error != KAD_E_STREAM_RESET) {
      result = take(s, out, cap);
    } else if (s->ended) {
      result = 0;
    } else if (s->error != 0) {
      result = s->error;
      break;
    } else if (!waiting) {
      break;
    } else {
      waiting = wait_until(&s->changed, &s->mutex, s->read_by) ||
                kad__system_now() < s->read_by;
    }
  }
  pthread_mutex_unlock(&s->mutex);
  return result;
}

/* Why no more can be written now and then; 0: it can. */
static int write_refused(const kad_service_stream *s) {
  if (s->write_closed) {
    return KAD_E_STATE;
  }
  return s->error;
}

static int give(kad_service_stream *s, const uint8_t *bytes, size_t len) {
  size_t room = KAD__SERVICE_BUFFER_MAX - kad__buffer_len(&s->out);
  size_t taken = len < room ? len : room;
  if (taken == 0) {
    return 0;
  }
  int error =
      kad__buffer_append(&s->out, &s->allocator, kad__bytes(bytes, taken));
  if (error < 0) {
    return error;
  }
  s->info.bytes_written += taken;
  kad__service_stream_mark(s);
  return (int)taken;
}

int kad_service_stream_write(kad_service_stream *s, const void *bytes,
                             size_t len) {
  size_t done = 0;
  bool waiting = true;
  int error = 0;
  len = len < INT_MAX ? len : INT_MAX;
  pthread_mutex_lock(&s->mutex);
  while (done < len && (error = write_refused(s)) == 0) {
    error = give(s, (const uint8_t *)bytes + done, len - done);
    if (error < 0) {
      break;
    }
    if (error > 0) {
      done += (size_t)error;
      continue;
    }
    if (!waiting) {
      error = KAD_E_TIMEOUT;
      break;
    }
    waiting = wait_until(&s->changed, &s->mutex, s->write_by) ||
              kad__system_now() < s->write_by;
  }
  pthread_mutex_unlock(&s->mutex);
  return done > 0 || error >= 0 ? (int)done : error;
}

void kad_service_stream_set_deadline(kad_service_stream *s, unsigned sides,
                                     kad_time after) {
  pthread_mutex_lock(&s->mutex);
  if ((sides & KAD_STREAM_READ) != 0) {
    s->read_by = deadline(after);
  }
  if ((sides & KAD_STREAM_WRITE) != 0) {
    s->write_by = deadline(after);
  }
  pthread_cond_broadcast(&s->changed);
  pthread_mutex_unlock(&s->mutex);
}

void kad_service_stream_close_write(kad_service_stream *s) {
  pthread_mutex_lock(&s->mutex);
  s->write_closed = true;
  pthread_cond_broadcast(&s->changed);
  kad__service_stream_mark(s);
  pthread_mutex_unlock(&s->mutex);
}

void kad_service_stream_close_read(kad_service_stream *s) {
  pthread_mutex_lock(&s->mutex);
  s->read_closed = true;
  kad__buffer_fini(&s->in, &s->allocator);
  pthread_cond_broadcast(&s->changed);
  kad__service_stream_mark(s);
  pthread_mutex_unlock(&s->mutex);
}

static void let_go(kad_service_stream *s, bool reset, uint32_t code) {
  if (s == NULL) {
    return;
  }
  pthread_mutex_lock(&s->mutex);
  s->closed = true;
  s->read_closed = true;
  s->write_closed = true;
  s->reset = reset;
  s->reset_code = code;
  bool alone = s->owner == NULL;
  kad__service_stream_mark(s);
  pthread_mutex_unlock(&s->mutex);
  if (alone) {
    kad__service_stream_free(s);
  }
}

void kad_service_stream_close(kad_service_stream *s) {
  let_go(s, false, 0);
}

void kad_service_stream_reset(kad_service_stream *s, uint32_t code) {
  let_go(s, true, code);
}

void kad_service_stream_get_info(kad_service_stream *s, kad_stream_info *out) {
  pthread_mutex_lock(&s->mutex);
  *out = s->info;
  out->opened = s->opened;
  out->error = s->error;
  out->age = kad__system_now() - s->since;
  pthread_mutex_unlock(&s->mutex);
}
