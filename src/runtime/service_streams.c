/* A stream has one lock, two buffers and a condition on which its callers wait.
 * Whoever changes what the service's thread must know puts it on a list and
 * wakes the loop; that thread then moves bytes and flags as far as they go.
 *
 * A stream belongs to its caller and to the service, and goes with the later
 * one: when the caller closes it the service still sends what was written, and
 * when the service stops its callers keep a dead handle. */
#include <time.h>

#include "node/streams.h"
#include "runtime/service_streams_internal.h"

/* ---- the list of all ----------------------------------------------------- */

static int init_monotonic(pthread_cond_t *cond) {
  pthread_condattr_t attributes;
  if (pthread_condattr_init(&attributes) != 0) {
    return KAD_E_WORLD;
  }
  pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
  int error = pthread_cond_init(cond, &attributes);
  pthread_condattr_destroy(&attributes);
  return error == 0 ? 0 : KAD_E_WORLD;
}

static int init_lock(pthread_mutex_t *mutex, pthread_cond_t *changed) {
  if (pthread_mutex_init(mutex, NULL) != 0) {
    return KAD_E_WORLD;
  }
  if (init_monotonic(changed) < 0) {
    pthread_mutex_destroy(mutex);
    return KAD_E_WORLD;
  }
  return 0;
}

int kad__service_streams_init(kad__service_streams *all,
                              const kad_allocator *allocator, kad__node *node,
                              uv_async_t *wake) {
  *all = (kad__service_streams){
      .allocator = *allocator, .node = node, .wake = wake};
  kad__list_init(&all->all);
  kad__list_init(&all->dirty);
  kad__list_init(&all->backlog);
  return init_lock(&all->mutex, &all->changed);
}

/* ---- a stream ------------------------------------------------------------ */

kad_service_stream *kad__service_stream_new(kad__service_streams *all) {
  kad_service_stream *s = kad__calloc(&all->allocator, 1, sizeof(*s));
  if (s == NULL) {
    return NULL;
  }
  if (init_lock(&s->mutex, &s->changed) < 0) {
    kad__release(&all->allocator, s);
    return NULL;
  }
  s->allocator = all->allocator;
  s->owner = all;
  s->read_by = KAD_TIME_NEVER;
  s->write_by = KAD_TIME_NEVER;
  s->since = kad__system_now();
  kad__list_init(&s->in_all);
  kad__list_init(&s->in_dirty);
  kad__list_init(&s->in_backlog);
  return s;
}

void kad__service_stream_free(kad_service_stream *s) {
  kad__buffer_fini(&s->in, &s->allocator);
  kad__buffer_fini(&s->out, &s->allocator);
  kad__release(&s->allocator, s->protocol);
  pthread_cond_destroy(&s->changed);
  pthread_mutex_destroy(&s->mutex);
  kad_allocator allocator = s->allocator;
  kad__release(&allocator, s);
}

void kad__service_stream_mark(kad_service_stream *s) {
  kad__service_streams *all = s->owner;
  if (all == NULL) {
    return;
  }
  pthread_mutex_lock(&all->mutex);
  bool first = !kad__list_linked(&s->in_dirty);
  bool stopped = all->stopped;
  if (first) {
    kad__list_append(&all->dirty, &s->in_dirty);
    pthread_cond_broadcast(&all->changed);
  }
  pthread_mutex_unlock(&all->mutex);
  if (first && !stopped) {
    uv_async_send(all->wake);
  }
}

/* ---- on the service's thread, with the stream locked --------------------- */

static void die(kad_service_stream *s, int error) {
  if (s->error == 0) {
    s->error = error;
  }
  pthread_cond_broadcast(&s->changed);
}

static bool know(kad_service_stream *s) {
  kad_stream_info info;
  kad__node_stream_info(s->inner, &info, s->since);
  uint8_t *name = kad__alloc(&s->allocator, info.protocol.len);
  if (name == NULL) {
    return false;
  }
  memcpy(name, info.protocol.data, info.protocol.len);
  kad__release(&s->allocator, s->protocol);
  s->protocol = name;
  s->info = info;
  s->info.protocol.data = name;
  return true;
}

static void drop_inner(kad_service_stream *s, uint32_t code, bool reset) {
  if (s->inner == NULL) {
    return;
  }
  kad_stream_set_user(s->inner, NULL);
  if (reset) {
    kad_stream_reset(s->inner, code);
  } else {
    kad_stream_close(s->inner);
  }
  s->inner = NULL;
}

static void start(kad_service_stream *s) {
  const kad_stream_options *options = s->opening;
  s->opening = NULL;
  int error = s->owner->stopped ? KAD_E_CANCELLED
                                : kad__node_stream_open(
                                      s->owner->node, &s->inner, &s->info.peer,
                                      options, kad__system_now());
  if (error < 0) {
    die(s, error);
    return;
  }
  kad_stream_set_user(s->inner, s);
}

static void pull(kad_service_stream *s) {
  kad_bytes in = kad_stream_peek(s->inner);
  size_t room = KAD__SERVICE_BUFFER_MAX - kad__buffer_len(&s->in);
  size_t len = in.len < room ? in.len : room;
  if (len != 0) {
    if (kad__buffer_append(&s->in, &s->allocator, kad__bytes(in.data, len)) <
        0) {
      die(s, KAD_E_NO_MEMORY);
      return;
    }
    kad_stream_consume(s->inner, len);
  }
  s->stalled = len < in.len;
  bool ended = kad_stream_at_end(s->inner);
  if (len != 0 || ended != s->ended) {
    s->ended = ended;
    pthread_cond_broadcast(&s->changed);
  }
}

static void push(kad_service_stream *s) {
  bool moved = false;
  while (kad__buffer_len(&s->out) != 0) {
    kad_bytes out = kad__buffer_bytes(&s->out);
    int result = kad_stream_write(s->inner, out.data, out.len);
    if (result <= 0) {
      break;
    }
    kad__buffer_consume(&s->out, &s->allocator, (size_t)result);
    moved = true;
  }
  if (s->write_closed && !s->end_sent && kad__buffer_len(&s->out) == 0) {
    s->end_sent = true;
    kad_stream_close_write(s->inner);
  }
  if (moved) {
    pthread_cond_broadcast(&s->changed);
  }
}

/* Of a stream that is dead its last bytes are still to be read, unless it was
 * reset; until then it counts. */
static void bury(kad_service_stream *s) {
  kad_stream_info info;
  kad__node_stream_info(s->inner, &info, s->since);
  if (info.error == KAD_E_STREAM_RESET) {
    s->stalled = false;
    kad__buffer_fini(&s->in, &s->allocator);
  }
  if (info.error == 0 || s->stalled) {
    return;
  }
  s->info.code = info.code;
  if (kad__buffer_len(&s->in) == 0) {
    drop_inner(s, 0, false);
  }
  die(s, info.error);
}

/* What waits here is still the peer's doing. */
static void charge(kad_service_stream *s) {
  s->charged = (size_t)s->in.cap + s->out.cap;
  kad__node_stream_charge(s->inner, s->charged);
}

/* The caller has let go: true when nothing is left to be done. */
static bool finish(kad_service_stream *s) {
  if (s->inner != NULL && s->error == 0 && !s->reset &&
      kad__buffer_len(&s->out) != 0) {
    return false;
  }
  drop_inner(s, s->reset_code, s->reset);
  return true;
}

/* Moves what can be moved; true when the stream is no more. */
static bool carry(kad_service_stream *s) {
  if (s->opening != NULL) {
    start(s);
  }
  if (s->inner != NULL) {
    if (s->read_closed) {
      kad_stream_close_read(s->inner);
    } else {
      pull(s);
    }
    push(s);
    charge(s);
    bury(s);
  }
  return s->closed && finish(s);
}

static void unlink_all(kad__service_streams *all, kad_service_stream *s) {
  kad__list_unlink(&s->in_all);
  pthread_mutex_lock(&all->mutex);
  kad__list_unlink(&s->in_dirty);
  if (kad__list_linked(&s->in_backlog)) {
    kad__list_unlink(&s->in_backlog);
    all->backlog_len--;
  }
  pthread_mutex_unlock(&all->mutex);
}

/* ---- on the service's thread --------------------------------------------- */

static void look_at(kad__service_streams *all, kad_service_stream *s) {
  pthread_mutex_lock(&s->mutex);
  if (!kad__list_linked(&s->in_all)) {
    kad__list_append(&all->all, &s->in_all);
  }
  bool over = carry(s);
  pthread_mutex_unlock(&s->mutex);
  if (over) {
    unlink_all(all, s);
    kad__service_stream_free(s);
  }
}

static kad_service_stream *take_dirty(kad__service_streams *all) {
  pthread_mutex_lock(&all->mutex);
  kad__list *link = kad__list_take(&all->dirty);
  pthread_mutex_unlock(&all->mutex);
  return link == NULL ? NULL
                      : KAD__CONTAINER(link, kad_service_stream, in_dirty);
}

bool kad__service_streams_run(kad__service_streams *all) {
  kad_service_stream *s;
  while ((s = take_dirty(all)) != NULL) {
    look_at(all, s);
  }
  return kad__node_is_busy(all->node);
}

static void offer(kad__service_streams *all, kad_stream *inner) {
  pthread_mutex_lock(&all->mutex);
  bool full = all->stopped || all->backlog_len >= KAD_SERVICE_BACKLOG;
  pthread_mutex_unlock(&all->mutex);
  kad_service_stream *s = full ? NULL : kad__service_stream_new(all);
  if (s == NULL) {
    kad_stream_reset(inner, KAD_STREAM_CODE_LIMIT);
    return;
  }
  s->inner = inner;
  s->opened = true;
  if (!know(s)) {
    kad__service_stream_free(s);
    kad_stream_reset(inner, KAD_STREAM_CODE_LIMIT);
    return;
  }
  kad_stream_set_user(inner, s);
  kad__list_append(&all->all, &s->in_all);
  pthread_mutex_lock(&all->mutex);
  kad__list_append(&all->backlog, &s->in_backlog);
  all->backlog_len++;
  pthread_cond_broadcast(&all->changed);
  pthread_mutex_unlock(&all->mutex);
}

static void opened(kad_service_stream *s) {
  pthread_mutex_lock(&s->mutex);
  s->opened = know(s);
  if (!s->opened) {
    die(s, KAD_E_NO_MEMORY);
  }
  pthread_cond_broadcast(&s->changed);
  pthread_mutex_unlock(&s->mutex);
}

void kad__service_streams_event(kad__service_streams *all,
                                const kad_event *event) {
  kad_service_stream *s = kad_stream_user(event->stream);
  if (event->type == KAD_EVENT_STREAM_INBOUND) {
    offer(all, event->stream);
  } else if (event->type == KAD_EVENT_STREAM_OPENED) {
    opened(s);
  } else {
    look_at(all, s);
  }
}

/* Its caller keeps a dead handle, if he has not let go. */
static void abandon(kad__service_streams *all, kad_service_stream *s) {
  pthread_mutex_lock(&s->mutex);
  drop_inner(s, KAD_STREAM_CODE_SHUTDOWN, true);
  unlink_all(all, s);
  s->owner = NULL;
  die(s, KAD_E_CANCELLED);
  bool closed = s->closed;
  pthread_mutex_unlock(&s->mutex);
  if (closed) {
    kad__service_stream_free(s);
  }
}

void kad__service_streams_stop(kad__service_streams *all) {
  pthread_mutex_lock(&all->mutex);
  all->stopped = true;
  pthread_cond_broadcast(&all->changed);
  KAD__LIST_EACH(link, &all->backlog) {
    KAD__CONTAINER(link, kad_service_stream, in_backlog)->closed = true;
  }
  pthread_mutex_unlock(&all->mutex);
  (void)kad__service_streams_run(all);
  KAD__LIST_EACH(link, &all->all) {
    abandon(all, KAD__CONTAINER(link, kad_service_stream, in_all));
  }
}

/* The service's thread has ended: those that began to open too late for it are
 * ended here, until no caller is left. */
void kad__service_streams_fini(kad__service_streams *all) {
  pthread_mutex_lock(&all->mutex);
  while (all->callers > 0) {
    kad__list *late = kad__list_take(&all->dirty);
    if (late == NULL) {
      pthread_cond_wait(&all->changed, &all->mutex);
      continue;
    }
    pthread_mutex_unlock(&all->mutex);
    abandon(all, KAD__CONTAINER(late, kad_service_stream, in_dirty));
    pthread_mutex_lock(&all->mutex);
  }
  pthread_mutex_unlock(&all->mutex);
  pthread_cond_destroy(&all->changed);
  pthread_mutex_destroy(&all->mutex);
}
