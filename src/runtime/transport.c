/* A channel stands in the map by its id until the swarm or its transport ends
 * it. What the transport has not taken waits here, and nothing more is pulled
 * out of the swarm meanwhile, so that its limits hold for every transport. */
#include <string.h>

#include "base/alloc.h"
#include "kadmium/multiaddr.h"
#include "runtime/system.h"
#include "runtime/transport_internal.h"
#include "wire/addresses.h"

/* How long a channel that is to be closed may still take what was written. */
#define LINGER (5 * KAD_SECOND)

/* ---- the list ------------------------------------------------------------ */

static bool is_whole(const kad_transport *t) {
  bool dials = t->can_dial == NULL || t->dial != NULL;
  bool listens =
      t->can_listen == NULL || (t->listen != NULL && t->unlisten != NULL);
  return dials && listens && t->name != NULL && t->name[0] != '\0' &&
         t->write != NULL && t->read != NULL && t->close != NULL;
}

static void copy_list(kad__transports *t, const kad_transport *list,
                      size_t count) {
  char *names = (char *)(t->list + count);
  for (size_t i = 0; i < count; i++) {
    size_t len = strlen(list[i].name) + 1;
    t->list[i] = list[i];
    t->list[i].name = memcpy(names, list[i].name, len);
    names += len;
  }
  t->count = count;
}

int kad__transports_new(kad__transports **out, const kad_allocator *allocator,
                        const kad_transport *list, size_t count) {
  static const uint64_t no_secret[2] = {0, 0}; /* ids are ours, not a peer's */
  size_t len = sizeof(kad__transports);
  *out = NULL;
  if (count > KAD_TRANSPORTS_MAX) {
    return KAD_E_INVALID_ARGUMENT;
  }
  for (size_t i = 0; i < count; i++) {
    if (!is_whole(&list[i])) {
      return KAD_E_INVALID_ARGUMENT;
    }
    len += sizeof(*list) + strlen(list[i].name) + 1;
  }
  if (count == 0) {
    return 0;
  }
  kad__transports *t = kad__calloc(allocator, 1, len);
  if (t == NULL) {
    return KAD_E_NO_MEMORY;
  }
  t->allocator = *allocator;
  kad__map_init(&t->channels, no_secret);
  kad__map_init(&t->listeners, no_secret);
  kad__list_init(&t->lingering);
  copy_list(t, list, count);
  *out = t;
  return 0;
}

void kad__transports_free(kad__transports *t) {
  if (t == NULL) {
    return;
  }
  kad_allocator allocator = t->allocator;
  kad__map_fini(&t->channels, &allocator);
  kad__map_fini(&t->listeners, &allocator);
  kad__release(&allocator, t);
}

static uint8_t choose(void *user, kad_bytes address, bool to_dial) {
  kad__transports *t = user;
  size_t number = 0;
  t->inside = true;
  for (size_t i = 0; i < t->count && number == 0; i++) {
    const kad_transport *one = &t->list[i];
    bool (*can)(void *, kad_bytes) = to_dial ? one->can_dial : one->can_listen;
    number = can != NULL && can(one->user, address) ? i + 1 : 0;
  }
  t->inside = false;
  return (uint8_t)number;
}

static const char *name_of(void *user, uint8_t number) {
  const kad__transports *t = user;
  return t->list[number - 1].name;
}

kad__swarm_transports kad__transports_hooks(kad__transports *t) {
  if (t == NULL) {
    return (kad__swarm_transports){0};
  }
  return (kad__swarm_transports){.choose = choose, .name = name_of, .user = t};
}

void kad__transports_attach(kad__transports *t, kad__world *world) {
  if (t != NULL) {
    t->world = world;
    (void)uv_timer_init(&world->loop, &t->timer);
    t->timer.data = t;
    world->transports = t;
  }
}

static kad_bytes id_key(const kad__id *id) {
  return kad__bytes(id, sizeof(*id));
}

kad__transport_channel *kad__transport_find(const kad__transports *t,
                                            kad__id id) {
  kad__map_node *node = kad__map_find(&t->channels, id_key(&id));
  return node == NULL ? NULL
                      : KAD__CONTAINER(node, kad__transport_channel, node);
}

kad__transport_listener *kad__transport_find_listener(const kad__transports *t,
                                                      kad__id id) {
  kad__map_node *node = kad__map_find(&t->listeners, id_key(&id));
  return node == NULL ? NULL
                      : KAD__CONTAINER(node, kad__transport_listener, node);
}

/* ---- ends of channels ---------------------------------------------------- */

void kad__transport_forget(kad__transport_channel *c) {
  kad__transports *t = c->all;
  kad__map_remove(&t->channels, &c->node);
  kad__list_unlink(&c->lingering);
  kad__release(&t->allocator, c->rest);
  kad__release(&t->allocator, c);
}

static void give_back(kad__transport_channel *c) {
  kad__transports *t = c->all;
  t->inside = true;
  c->transport->close(c->transport->user, c->own);
  t->inside = false;
  kad__transport_forget(c);
}

/* It has broken in our hands: the swarm is told. */
static void fail(kad__transport_channel *c, int error) {
  kad__transports *t = c->all;
  kad__id id = c->id;
  give_back(c);
  kad__swarm_closed(kad__transports_swarm(t), id, error, kad__system_now());
}

static void on_linger(uv_timer_t *timer);

static void arm_linger(kad__transports *t) {
  if (kad__list_empty(&t->lingering)) {
    return;
  }
  const kad__transport_channel *c =
      KAD__CONTAINER(t->lingering.next, kad__transport_channel, lingering);
  kad_time now = kad__system_now();
  kad_time wait = c->close_by > now ? c->close_by - now : 0;
  uv_update_time(&t->world->loop);
  uv_timer_start(&t->timer, on_linger, wait / KAD_MILLISECOND + 1, 0);
}

static void on_linger(uv_timer_t *timer) {
  kad__transports *t = timer->data;
  KAD__LIST_EACH(node, &t->lingering) {
    kad__transport_channel *c =
        KAD__CONTAINER(node, kad__transport_channel, lingering);
    if (c->close_by > kad__system_now()) {
      break;
    }
    give_back(c);
  }
  arm_linger(t);
}

static void pause_channel(kad__transport_channel *c, bool on) {
  if (c->paused != on) {
    c->paused = on;
    c->all->inside = true;
    c->transport->read(c->transport->user, c->own, !on);
    c->all->inside = false;
  }
}

/* Bytes are still on their way out. */
static void close_channel(kad__transport_channel *c) {
  kad__transports *t = c->all;
  if (c->rest == NULL) {
    give_back(c);
    return;
  }
  bool first = kad__list_empty(&t->lingering);
  c->close_by = kad__time_add(kad__system_now(), LINGER);
  kad__list_append(&t->lingering, &c->lingering);
  pause_channel(c, true);
  if (first) {
    arm_linger(t);
  }
}

/* ---- writing ------------------------------------------------------------- */

/* How many bytes the transport takes, or why the channel is broken. */
static int offer(kad__transport_channel *c, kad_bytes bytes) {
  c->all->inside = true;
  int n = c->transport->write(c->transport->user, c->own, bytes);
  c->all->inside = false;
  return n > (int)bytes.len ? KAD_E_INVALID_ARGUMENT : n;
}

static int offer_rest(kad__transport_channel *c) {
  if (c->rest == NULL) {
    return 0;
  }
  int n = offer(c, kad__bytes(c->rest + c->rest_at, c->rest_len - c->rest_at));
  if (n < 0) {
    return n;
  }
  c->rest_at += (size_t)n;
  c->full = c->rest_at < c->rest_len;
  if (!c->full) {
    kad__release(&c->all->allocator, c->rest);
    c->rest = NULL;
  }
  return 0;
}

static int offer_new(kad__transport_channel *c, kad_bytes bytes) {
  int n = offer(c, bytes);
  if (n < 0 || (size_t)n == bytes.len) {
    return n;
  }
  c->rest_len = bytes.len - (size_t)n;
  c->rest_at = 0;
  c->rest = kad__memdup(&c->all->allocator, bytes.data + n, c->rest_len);
  c->full = true;
  return c->rest == NULL ? KAD_E_NO_MEMORY : 0;
}

bool kad__transport_pull(kad__transport_channel *c) {
  kad__transports *t = c->all;
  kad__world *world = t->world;
  int error = offer_rest(c);
  if (error == 0 && c->full) {
    return false;
  }
  if (error == 0 && kad__list_linked(&c->lingering)) {
    give_back(c);
    return true;
  }
  while (error >= 0 && !c->full) {
    size_t len =
        kad__swarm_output(kad__transports_swarm(t), c->id, world->write_buffer,
                          KAD__WORLD_WRITE_LEN, kad__system_now());
    if (len == 0) {
      return true;
    }
    error = offer_new(c, kad__bytes(world->write_buffer, len));
  }
  if (error < 0) {
    fail(c, error);
  }
  return true;
}

bool kad__transport_flush(kad__transports *t, kad__id id) {
  kad__transport_channel *c = kad__transport_find(t, id);
  if (c != NULL && !c->full && !c->opening) {
    (void)kad__transport_pull(c);
  }
  return c != NULL;
}

/* ---- opening ------------------------------------------------------------- */

kad__transport_channel *kad__transport_channel_new(
    kad__transports *t, const kad_transport *transport) {
  kad__transport_channel *c = kad__calloc(&t->allocator, 1, sizeof(*c));
  if (c != NULL) {
    c->all = t;
    c->transport = transport;
    kad__list_init(&c->lingering);
  }
  return c;
}

int kad__transport_channel_map(kad__transport_channel *c, kad__id id) {
  c->id = id;
  return kad__map_add(&c->all->channels, &c->all->allocator, &c->node,
                      id_key(&c->id));
}

static int start_dial(kad__transport_channel *c, kad__id id,
                      kad_bytes address) {
  kad__transports *t = c->all;
  int result = kad__transport_channel_map(c, id);
  if (result < 0) {
    kad__release(&t->allocator, c);
    return result;
  }
  t->inside = true;
  result = c->transport->dial(c->transport->user, &c->own, id, address);
  t->inside = false;
  c->opening = result == KAD_TRANSPORT_PENDING;
  if (result < 0) {
    kad__transport_forget(c);
  }
  return result;
}

static void dial(kad__transports *t, const kad__world_action *action) {
  kad__transport_channel *c =
      kad__transport_channel_new(t, &t->list[action->transport - 1]);
  int result =
      c == NULL ? KAD_E_NO_MEMORY : start_dial(c, action->id, action->address);
  kad_time now = kad__system_now();
  if (result < 0) {
    kad__swarm_dial_failed(kad__transports_swarm(t), action->id, result, now);
  } else if (result > 0) {
    kad__swarm_dialed(kad__transports_swarm(t), action->id, kad__bytes(NULL, 0),
                      now);
  }
}

/* ---- listening ----------------------------------------------------------- */

void kad__transport_forget_listener(kad__transport_listener *l) {
  kad__transports *t = l->all;
  kad__map_remove(&t->listeners, &l->node);
  kad__release(&t->allocator, l);
}

static void unlisten(kad__transport_listener *l) {
  kad__transports *t = l->all;
  t->inside = true;
  l->transport->unlisten(l->transport->user, l->own);
  t->inside = false;
  kad__transport_forget_listener(l);
}

static int start_listening(kad__transport_listener *l, kad__id id,
                           kad_bytes address) {
  kad__transports *t = l->all;
  l->id = id;
  l->address_len = address.len;
  memcpy(l->address, address.data, address.len);
  int result =
      kad__map_add(&t->listeners, &t->allocator, &l->node, id_key(&l->id));
  if (result < 0) {
    kad__release(&t->allocator, l);
    return result;
  }
  t->inside = true;
  result = l->transport->listen(l->transport->user, &l->own, id, address);
  t->inside = false;
  if (result < 0) {
    kad__transport_forget_listener(l);
  }
  return result;
}

static void listen_on(kad__transports *t, const kad__world_action *action) {
  kad__transport_listener *l =
      kad__calloc(&t->allocator, 1, sizeof(*l) + action->address.len);
  int result = KAD_E_NO_MEMORY;
  if (l != NULL) {
    l->all = t;
    l->transport = &t->list[action->transport - 1];
    result = start_listening(l, action->id, action->address);
  }
  if (result < 0) {
    kad__swarm_listen_failed(kad__transports_swarm(t), action->id, result);
  } else if (result > 0) {
    uint8_t list[KAD_MULTIADDR_MAX + 8];
    size_t len = 0;
    (void)kad__addresses_append(list, sizeof(list), &len, action->address);
    kad__swarm_listening(kad__transports_swarm(t), action->id,
                         kad__bytes(list, len), kad__system_now());
  }
}

/* ---- for the world ------------------------------------------------------- */

void kad__transport_act(kad__transports *t, const kad__world_action *action) {
  if (action->type == KAD__WORLD_LISTEN) {
    listen_on(t, action);
    return;
  }
  if (action->type == KAD__WORLD_DIAL) {
    dial(t, action);
    return;
  }
  if (action->type == KAD__WORLD_UNLISTEN) {
    kad__transport_listener *l = kad__transport_find_listener(t, action->id);
    if (l != NULL) {
      unlisten(l);
    }
    return;
  }
  kad__transport_channel *c = kad__transport_find(t, action->id);
  if (c == NULL || kad__list_linked(&c->lingering)) {
    return;
  }
  if (action->type == KAD__WORLD_CLOSE) {
    close_channel(c);
  } else {
    pause_channel(c, action->type == KAD__WORLD_PAUSE);
  }
}

void kad__transports_close_all(kad__transports *t) {
  uint32_t slot = 0;
  kad__map_node *node;
  while (t != NULL &&
         (node = kad__map_next(&t->channels, &slot, NULL)) != NULL) {
    give_back(KAD__CONTAINER(node, kad__transport_channel, node));
    slot = 0;
  }
  slot = 0;
  while (t != NULL &&
         (node = kad__map_next(&t->listeners, &slot, NULL)) != NULL) {
    unlisten(KAD__CONTAINER(node, kad__transport_listener, node));
    slot = 0;
  }
}
