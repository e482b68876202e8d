/* A node on a thread of its own. Other threads leave commands in a queue and
 * wake the loop; the service's thread alone touches the node, and looks at the
 * queue after each turn. The caller's number of a request is given out before
 * the node knows of it, so two maps lead from either number to the request. */
#include "kadmium/service.h"

#include <pthread.h>
#include <string.h>

#include "base/alloc.h"
#include "base/bytes.h"
#include "base/list.h"
#include "runtime/host.h"
#include "runtime/signals.h"
#include "runtime/system.h"

typedef enum command_type { SUBMIT, CANCEL, STOP } command_type;

/* A command; a SUBMIT lives on as its running request. */
typedef struct command {
  kad__list link;
  command_type type;
  kad_request_id id;      /* as the caller knows it */
  kad_request_id node_id; /* as the node knows it */
  kad__map_node by_id;
  kad__map_node by_node_id;
  kad_service_callback callback;
  void *user;
  kad_request request; /* its bytes are behind the struct */
  uint8_t bytes[];
} command;

struct kad_service {
  kad__host host;
  kad_service_callback observer;
  void *observer_user;
  kad__map by_id; /* running requests; the service's thread alone */
  kad__map by_node_id;
  command *stop; /* made at the start, so that stopping cannot fail */
  bool stopping;
  pthread_t thread;
  pthread_mutex_t mutex; /* guards what follows */
  kad__list commands;
  kad_request_id last_id;
  kad_node_status status;
};

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

static int map_request(kad_service *s, command *c) {
  const kad_allocator *a = &s->host.allocator;
  int error = kad__map_add(&s->by_id, a, &c->by_id, id_key(&c->id));
  if (error < 0) {
    return error;
  }
  error = kad__map_add(&s->by_node_id, a, &c->by_node_id, id_key(&c->node_id));
  if (error < 0) {
    kad__map_remove(&s->by_id, &c->by_id);
  }
  return error;
}

static void submit(kad_service *s, command *c) {
  kad_time now = kad__system_now();
  int error = s->stopping ? KAD_E_CANCELLED
                          : kad__node_start(s->host.node, &c->node_id,
                                            &c->request, now);
  if (error < 0) {
    finish_with_error(s, c, error);
    return;
  }
  error = map_request(s, c);
  if (error < 0) {
    (void)kad__node_cancel(s->host.node, c->node_id, now);
    finish_with_error(s, c, error);
  }
}

static void cancel(kad_service *s, kad_request_id id) {
  kad__map_node *found = kad__map_find(&s->by_id, id_key(&id));
  if (found != NULL) {
    command *c = KAD__CONTAINER(found, command, by_id);
    (void)kad__node_cancel(s->host.node, c->node_id, kad__system_now());
  }
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
    case CANCEL:
      cancel(s, c->id);
      kad__release(&s->host.allocator, c);
      return true;
    case STOP:
      s->stopping = true;
      uv_stop(&s->host.world->loop);
      return true;
  }
  return true;
}

static void deliver(kad_service *s, const kad_event *in) {
  if (in->request == 0) {
    if (s->observer != NULL) {
      s->observer(s->observer_user, in);
    }
    return;
  }
  kad__map_node *found = kad__map_find(&s->by_node_id, id_key(&in->request));
  if (found == NULL) {
    return;
  }
  command *c = KAD__CONTAINER(found, command, by_node_id);
  kad_event event = *in;
  event.request = c->id;
  if (event.type == KAD_EVENT_END) {
    kad__map_remove(&s->by_id, &c->by_id);
    kad__map_remove(&s->by_node_id, &c->by_node_id);
    finish(s, c, &event);
  } else if (c->callback != NULL) {
    c->callback(c->user, &event);
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
  while (run_command(s)) {
    commanded = true;
  }
  (void)deliver_events(s);
  if (commanded) {
    uv_async_send(&s->host.world->wake);
  }
  pthread_mutex_lock(&s->mutex);
  kad__node_status(s->host.node, &s->status);
  pthread_mutex_unlock(&s->mutex);
}

/* Every request that still runs gets its last event. */
static void cancel_all(kad_service *s) {
  uint32_t slot = 0;
  kad__map_node *found;
  while ((found = kad__map_next(&s->by_id, &slot, NULL)) != NULL) {
    slot = 0;
    command *c = KAD__CONTAINER(found, command, by_id);
    kad__map_remove(&s->by_id, &c->by_id);
    kad__map_remove(&s->by_node_id, &c->by_node_id);
    finish_with_error(s, c, KAD_E_CANCELLED);
  }
  while (run_command(s)) {
  }
}

static void *run(void *user) {
  kad_service *s = user;
  kad__world_turn(s->host.world);
  if (!s->stopping) {
    uv_run(&s->host.world->loop, UV_RUN_DEFAULT);
  }
  cancel_all(s);
  return NULL;
}

/* ---- from other threads -------------------------------------------------- */

static void enqueue(kad_service *s, command *c) {
  pthread_mutex_lock(&s->mutex);
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
  kad__map_fini(&s->by_node_id, &host.allocator);
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
  kad__map_init(&s->by_node_id, no_secret);
  s->stop = kad__calloc(&host.allocator, 1, sizeof(*s->stop));
  error = s->stop == NULL ? KAD_E_NO_MEMORY : start_thread(s);
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
  enqueue(service, service->stop);
  pthread_join(service->thread, NULL);
  pthread_mutex_destroy(&service->mutex);
  free_service(service);
}

const kad_peer_id *kad_service_id(const kad_service *service) {
  return kad__node_id(service->host.node);
}

static command *new_command(kad_service *s, command_type type,
                            const kad_request *request) {
  size_t peers = request->peer_count * sizeof(*request->peers);
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
  c->request.peers = (const kad_peer_id *)(void *)at;
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
  pthread_mutex_lock(&service->mutex);
  c->id = ++service->last_id;
  pthread_mutex_unlock(&service->mutex);
  if (out != NULL) {
    *out = c->id;
  }
  enqueue(service, c);
  return 0;
}

void kad_service_cancel(kad_service *service, kad_request_id request) {
  static const kad_request none = KAD_REQUEST_INIT(KAD_BOOTSTRAP);
  command *c = new_command(service, CANCEL, &none);
  if (c == NULL) {
    return; /* the request ends by its own time-out */
  }
  c->id = request;
  enqueue(service, c);
}

/* A caller that waits for the end of its request. */
typedef struct waiter {
  pthread_mutex_t mutex;
  pthread_cond_t ended;
  bool done;
  int error;
  kad_service_callback callback;
  void *user;
} waiter;

static void on_waiter_event(void *user, const kad_event *event) {
  waiter *w = user;
  if (w->callback != NULL) {
    w->callback(w->user, event);
  }
  if (event->type != KAD_EVENT_END) {
    return;
  }
  pthread_mutex_lock(&w->mutex);
  w->done = true;
  w->error = event->error;
  pthread_cond_signal(&w->ended);
  pthread_mutex_unlock(&w->mutex);
}

int kad_service_call(kad_service *service, const kad_request *request,
                     kad_service_callback callback, void *user) {
  waiter w = {.callback = callback, .user = user};
  if (pthread_mutex_init(&w.mutex, NULL) != 0) {
    return KAD_E_WORLD;
  }
  if (pthread_cond_init(&w.ended, NULL) != 0) {
    pthread_mutex_destroy(&w.mutex);
    return KAD_E_WORLD;
  }
  int error = kad_service_submit(service, NULL, request, on_waiter_event, &w);
  pthread_mutex_lock(&w.mutex);
  while (error == 0 && !w.done) {
    pthread_cond_wait(&w.ended, &w.mutex);
  }
  pthread_mutex_unlock(&w.mutex);
  pthread_cond_destroy(&w.ended);
  pthread_mutex_destroy(&w.mutex);
  return error < 0 ? error : w.error;
}

void kad_service_get_status(kad_service *service, kad_node_status *out) {
  pthread_mutex_lock(&service->mutex);
  *out = service->status;
  pthread_mutex_unlock(&service->mutex);
}
