/* A node on a thread of its own. Other threads leave commands in a queue and
 * wake the loop; the service's thread alone touches the node, and looks at the
 * queue after each turn. The number of a request is given out with its place in
 * the queue, before the node knows of it, so the node is told which to use. */
#include "kadmium/service.h"

#include <pthread.h>
#include <string.h>

#include "base/alloc.h"
#include "base/bytes.h"
#include "base/list.h"
#include "runtime/kad_node.h"
#include "runtime/service_streams.h"
#include "runtime/signals.h"
#include "runtime/system.h"

typedef enum command_type { SUBMIT, CANCEL, VISIT, STOP } command_type;

typedef struct waiter waiter;

/* A command; a SUBMIT lives on as its running request. */
typedef struct command {
  kad__list link;
  command_type type;
  kad_request_id id;
  kad__map_node by_id;
  kad_service_callback callback;
  void *user;
  kad_service_visitor visitor;
  waiter *waiter;      /* of a VISIT */
  kad_request request; /* its bytes are behind the struct */
  uint8_t bytes[];
} command;

struct kad_service {
  kad__host host;
  kad__service_streams streams;
  kad_service_callback observer;
  void *observer_user;
  kad__map by_id; /* running requests; the service's thread alone */
  command *stop;  /* made at the start, so that stopping cannot fail */
  bool stopping;
  bool visited;
  pthread_t thread;
  pthread_mutex_t mutex; /* guards what follows */
  kad__list commands;
  kad_request_id last_id;
  kad_node_status status;
};

/* ---- waiting for the service's thread ------------------------------------ */

struct waiter {
  pthread_mutex_t mutex;
  pthread_cond_t ended;
  bool done;
  int error;
  kad_service_callback callback;
  void *user;
};

static int waiter_init(waiter *w) {
  if (pthread_mutex_init(&w->mutex, NULL) != 0) {
    return KAD_E_WORLD;
  }
  if (pthread_cond_init(&w->ended, NULL) != 0) {
    pthread_mutex_destroy(&w->mutex);
    return KAD_E_WORLD;
  }
  return 0;
}

static void waiter_fini(waiter *w) {
  pthread_cond_destroy(&w->ended);
  pthread_mutex_destroy(&w->mutex);
}

/* Nothing of the waiter may be touched afterwards. */
static void waiter_end(waiter *w, int error) {
  pthread_mutex_lock(&w->mutex);
  w->done = true;
  w->error = error;
  pthread_cond_signal(&w->ended);
  pthread_mutex_unlock(&w->mutex);
}

static int waiter_wait(waiter *w) {
  pthread_mutex_lock(&w->mutex);
  while (!w->done) {
    pthread_cond_wait(&w->ended, &w->mutex);
  }
  pthread_mutex_unlock(&w->mutex);
  return w->error;
}

/* ---- on the service's thread --------------------------------------------- */

static kad_bytes id_key(const kad_request_id *id) {
  return kad__bytes(id, sizeof(*id));
}

static void finish(kad_service *s, command *c, const kad_event *event) {
  if (c->callback != NULL) {
    c->callback(c->user, event);
  }
  kad__release(&s->host.allocator, c);
}

static void finish_with_error(kad_service *s, command *c, int error) {
  kad_event event = {.type = KAD_EVENT_END, .request = c->id, .error = error};
  finish(s, c, &event);
}

static void submit(kad_service *s, command *c) {
  int error = s->stopping ? KAD_E_CANCELLED
                          : kad__map_add(&s->by_id, &s->host.allocator,
                                         &c->by_id, id_key(&c->id));
  if (error == 0) {
    error =
        kad__node_start_as(s->host.node, c->id, &c->request, kad__system_now());
    if (error < 0) {
      kad__map_remove(&s->by_id, &c->by_id);
    }
  }
  if (error < 0) {
    finish_with_error(s, c, error);
  }
}

/* The visitor's calls let the world take turns, in which nothing but the node
 * may get its way: neither commands nor callbacks. */
static void visit(kad_service *s, command *c) {
  kad_node node = {.host = s->host};
  int error = s->stopping ? KAD_E_CANCELLED : 0;
  if (error == 0) {
    s->visited = true;
    c->visitor(c->user, &node);
    s->visited = false;
  }
  waiter_end(c->waiter, error);
}

static bool run_command(kad_service *s) {
  pthread_mutex_lock(&s->mutex);
  kad__list *link = kad__list_take(&s->commands);
  pthread_mutex_unlock(&s->mutex);
  if (link == NULL) {
    return false;
  }
  command *c = KAD__CONTAINER(link, command, link);
  switch (c->type) {
    case SUBMIT:
      submit(s, c);
      return true;
    case VISIT:
      visit(s, c);
      return true;
    case CANCEL:
      (void)kad__node_cancel(s->host.node, c->id, kad__system_now());
      kad__release(&s->host.allocator, c);
      return true;
    case STOP:
      s->stopping = true;
      kad__service_streams_stop(&s->streams);
      kad__node_close(s->host.node, kad__system_now());
      return true;
  }
  return true;
}

static void deliver(kad_service *s, const kad_event *in) {
  if (in->stream != NULL) {
    kad__service_streams_event(&s->streams, in);
    return;
  }
  if (in->request == 0) {
    if (s->observer != NULL) {
      s->observer(s->observer_user, in);
    }
    return;
  }
  kad__map_node *found = kad__map_find(&s->by_id, id_key(&in->request));
  if (found == NULL) {
    return;
  }
  command *c = KAD__CONTAINER(found, command, by_id);
  if (in->type == KAD_EVENT_END) {
    kad__map_remove(&s->by_id, &c->by_id);
    finish(s, c, in);
  } else if (c->callback != NULL) {
    c->callback(c->user, in);
  }
}

static bool deliver_events(kad_service *s) {
  kad_event event;
  bool any = false;
  while (kad__node_poll(s->host.node, &event)) {
    any = true;
    deliver(s, &event);
  }
  return any;
}

/* After each turn of the world: commands can cause events and the other way
 * round. New work for the node wakes the loop once more. */
static void on_turn(void *user) {
  kad_service *s = user;
  bool commanded = false;
  if (s->visited) {
    return;
  }
  while (run_command(s)) {
    commanded = true;
  }
  (void)deliver_events(s);
  if (kad__service_streams_run(&s->streams) || commanded) {
    uv_async_send(&s->host.world->wake);
  }
  pthread_mutex_lock(&s->mutex);
  kad__node_status(s->host.node, &s->status);
  pthread_mutex_unlock(&s->mutex);
  if (kad__node_is_closed(s->host.node)) {
    (void)deliver_events(s);
    uv_stop(&s->host.world->loop);
  }
}

/* Every request that still runs gets its last event. */
static void cancel_all(kad_service *s) {
  uint32_t slot = 0;
  kad__map_node *found;
  while ((found = kad__map_next(&s->by_id, &slot, NULL)) != NULL) {
    slot = 0;
    command *c = KAD__CONTAINER(found, command, by_id);
    kad__map_remove(&s->by_id, &c->by_id);
    finish_with_error(s, c, KAD_E_CANCELLED);
  }
  while (run_command(s)) {
  }
  kad__service_streams_stop(&s->streams); /* who came since the first time */
}

static void *run(void *user) {
  kad_service *s = user;
  kad__world_turn(s->host.world);
  if (!kad__node_is_closed(s->host.node)) {
    uv_run(&s->host.world->loop, UV_RUN_DEFAULT);
  }
  cancel_all(s);
  return NULL;
}

kad__service_streams *kad__service_streams_of(kad_service *service) {
  return &service->streams;
}

/* ---- from other threads -------------------------------------------------- */

/* A request gets its number, which `out` (may be NULL) knows before the node
 * does: a callback may want to compare. */
static void enqueue(kad_service *s, command *c, kad_request_id *out) {
  pthread_mutex_lock(&s->mutex);
  if (c->type == SUBMIT) {
    c->id = ++s->last_id;
  }
  if (out != NULL) {
    *out = c->id;
  }
  kad__list_append(&s->commands, &c->link);
  pthread_mutex_unlock(&s->mutex);
  uv_async_send(&s->host.world->wake);
}

static int start_thread(kad_service *s) {
  if (pthread_mutex_init(&s->mutex, NULL) != 0) {
    return KAD_E_WORLD;
  }
  s->host.world->turn = on_turn;
  s->host.world->turn_user = s;
  if (kad__signals_thread(&s->thread, run, s) != 0) {
    pthread_mutex_destroy(&s->mutex);
    return KAD_E_WORLD;
  }
  return 0;
}

static void free_service(kad_service *s) {
  kad__host host = s->host;
  s->host.world->turn = NULL;
  kad__map_fini(&s->by_id, &host.allocator);
  kad__release(&host.allocator, s->stop);
  kad__release(&host.allocator, s);
  kad__host_fini(&host);
}

int kad_service_start(kad_service **out, const kad_node_options *options,
                      kad_service_callback observer, void *user) {
  static const uint64_t no_secret[2] = {0, 0}; /* ids are ours, not a peer's */
  kad__host host;
  int error = kad__host_init(&host, options);
  if (error < 0) {
    return error;
  }
  kad_service *s = kad__calloc(&host.allocator, 1, sizeof(*s));
  if (s == NULL) {
    kad__host_fini(&host);
    return KAD_E_NO_MEMORY;
  }
  s->host = host;
  s->observer = observer;
  s->observer_user = user;
  kad__list_init(&s->commands);
  kad__map_init(&s->by_id, no_secret);
  s->stop = kad__calloc(&host.allocator, 1, sizeof(*s->stop));
  error = s->stop == NULL
              ? KAD_E_NO_MEMORY
              : kad__service_streams_init(&s->streams, &host.allocator,
                                          host.node, &host.world->wake);
  if (error == 0) {
    error = start_thread(s);
    if (error < 0) {
      kad__service_streams_fini(&s->streams);
    }
  }
  if (error < 0) {
    free_service(s);
    return error;
  }
  *out = s;
  return 0;
}

void kad_service_stop(kad_service *service) {
  if (service == NULL) {
    return;
  }
  service->stop->type = STOP;
  enqueue(service, service->stop, NULL);
  pthread_join(service->thread, NULL);
  kad__service_streams_fini(&service->streams);
  pthread_mutex_destroy(&service->mutex);
  free_service(service);
}

const kad_peer_id *kad_service_id(const kad_service *service) {
  return kad__node_id(service->host.node);
}

static command *new_command(kad_service *s, command_type type,
                            const kad_request *request) {
  bool listed = request->operation == KAD_PUT_TO && request->peers != NULL;
  size_t peers = listed ? request->peer_count * sizeof(*request->peers) : 0;
  size_t len =
      peers + request->key.len + request->value.len + request->address.len;
  command *c = kad__calloc(&s->host.allocator, 1, sizeof(*c) + len);
  if (c == NULL) {
    return NULL;
  }
  uint8_t *at = c->bytes;
  kad__list_init(&c->link);
  c->type = type;
  c->request = *request;
  c->request.peers = peers > 0 ? (const kad_peer_id *)(void *)at : NULL;
  (void)kad__bytes_keep(&at, kad__bytes(request->peers, peers));
  c->request.key = kad__bytes_keep(&at, request->key);
  c->request.value = kad__bytes_keep(&at, request->value);
  c->request.address = kad__bytes_keep(&at, request->address);
  return c;
}

int kad_service_submit(kad_service *service, kad_request_id *out,
                       const kad_request *request,
                       kad_service_callback callback, void *user) {
  command *c = new_command(service, SUBMIT, request);
  if (c == NULL) {
    return KAD_E_NO_MEMORY;
  }
  c->callback = callback;
  c->user = user;
  enqueue(service, c, out);
  return 0;
}

void kad_service_cancel(kad_service *service, kad_request_id request) {
  static const kad_request none = KAD_REQUEST_INIT(KAD_BOOTSTRAP);
  command *c = new_command(service, CANCEL, &none);
  if (c == NULL) {
    return; /* the request ends by its own time-out */
  }
  c->id = request;
  enqueue(service, c, NULL);
}

static void on_waiter_event(void *user, const kad_event *event) {
  waiter *w = user;
  if (w->callback != NULL) {
    w->callback(w->user, event);
  }
  if (event->type == KAD_EVENT_END) {
    waiter_end(w, event->error);
  }
}

int kad_service_call(kad_service *service, const kad_request *request,
                     kad_service_callback callback, void *user) {
  waiter w = {.callback = callback, .user = user};
  int error = waiter_init(&w);
  if (error < 0) {
    return error;
  }
  error = kad_service_submit(service, NULL, request, on_waiter_event, &w);
  if (error == 0) {
    error = waiter_wait(&w);
  }
  waiter_fini(&w);
  return error;
}

void kad_service_get_status(kad_service *service, kad_node_status *out) {
  pthread_mutex_lock(&service->mutex);
  *out = service->status;
  pthread_mutex_unlock(&service->mutex);
}

int kad_service_visit(kad_service *service, kad_service_visitor visitor,
                      void *user) {
  waiter w = {.callback = NULL};
  command c = {.type = VISIT, .visitor = visitor, .user = user, .waiter = &w};
  int error = waiter_init(&w);
  if (error < 0) {
    return error;
  }
  kad__list_init(&c.link);
  enqueue(service, &c, NULL);
  error = waiter_wait(&w);
  waiter_fini(&w);
  return error;
}
