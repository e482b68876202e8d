/* TCP listeners. libuv's own would ask for the next connection again and again,
 * and never return to its loop, as long as the system is out of something that
 * accepting needs; so the socket is ours, and libuv only tells when somebody
 * waits. Then whoever waits stays in the backlog, which the kernel bounds, and
 * we ask again after a rest. */
#include <errno.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/alloc.h"
#include "runtime/interfaces.h"
#include "runtime/system.h"
#include "runtime/world.h"

#define BACKLOG 1024
/* Connections that are taken before the loop looks at anything else. */
#define ROUND 64
#define REST_MS 100
#define RESERVE 64

typedef struct listener {
  uv_poll_t poll; /* somebody waits */
  uv_timer_t rest;
  uv_timer_t look; /* interfaces come and go */
  kad__map_node node;
  kad__id id;
  kad__world *world;
  uint8_t *told; /* the list that the swarm has */
  size_t told_len;
  int fd;
  uint8_t handles; /* of libuv's that are not closed yet */
  bool mapped;
} listener;

/* ---- accepting ----------------------------------------------------------- */

static void on_waiting(uv_poll_t *poll, int status, int events);

static void on_rested(uv_timer_t *timer) {
  listener *l = timer->data;
  (void)uv_poll_start(&l->poll, UV_READABLE, on_waiting);
}

static void rest(listener *l) {
  uv_poll_stop(&l->poll);
  uv_timer_start(&l->rest, on_rested, REST_MS, 0);
}

/* The error is that of one connection, which is gone: the next may be well. */
static bool is_gone(int error) {
  return error == ECONNABORTED || error == EPROTO || error == EINTR;
}

/* An eighth of the descriptors, and no more than RESERVE, is left for what the
 * node itself wants: its own dials, names, files. The lowest that is free is
 * always taken, so a high one tells how many there are. */
static bool is_of_reserve(int fd) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
    return false;
  }
  rlim_t reserve = limit.rlim_cur / 8;
  return (rlim_t)fd >= limit.rlim_cur - (reserve < RESERVE ? reserve : RESERVE);
}

/* Takes one that waits; false when there is none, or none to be had now. */
static bool accept_next(listener *l, size_t *failed) {
  kad__sockaddr from;
  socklen_t len = sizeof(from);
  int fd = accept4(l->fd, &from.any, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
  kad__swarm *swarm = kad__node_swarm(l->world->node);
  if (fd >= 0 && is_of_reserve(fd)) {
    close(fd); /* told at once, where it would wait for nothing */
    kad__swarm_not_accepted(swarm, false);
    return true;
  }
  if (fd >= 0) {
    kad__socket_accepted(l->world, l->id, fd, &from);
    return true;
  }
  if (errno == EAGAIN || errno == EWOULDBLOCK) {
    return false;
  }
  bool gone = is_gone(errno);
  kad__swarm_not_accepted(swarm, true);
  if (gone && ++*failed < ROUND) {
    return true;
  }
  rest(l);
  return false;
}

static void on_waiting(uv_poll_t *poll, int status, int events) {
  (void)events;
  listener *l = poll->data;
  size_t failed = 0;
  if (status < 0) {
    rest(l);
    return;
  }
  for (size_t i = 0; i < ROUND && accept_next(l, &failed); i++) {
  }
}

/* ---- ends ---------------------------------------------------------------- */

static void on_closed(uv_handle_t *handle) {
  listener *l = handle->data;
  if (--l->handles == 0) {
    kad_allocator allocator = l->world->allocator;
    kad__release(&allocator, l->told);
    kad__release(&allocator, l);
  }
}

static void destroy(listener *l) {
  if (l->mapped) {
    kad__map_remove(&l->world->listeners, &l->node);
    l->mapped = false;
  }
  uv_close((uv_handle_t *)&l->poll, on_closed);
  uv_close((uv_handle_t *)&l->rest, on_closed);
  uv_close((uv_handle_t *)&l->look, on_closed);
  close(l->fd);
}

void kad__listener_close(kad__world *world, kad__id id) {
  kad__map_node *node =
      kad__map_find(&world->listeners, kad__bytes(&id, sizeof(id)));
  if (node != NULL) {
    destroy(KAD__CONTAINER(node, listener, node));
  }
}

void kad__listener_close_all(kad__world *world) {
  uint32_t slot = 0;
  kad__map_node *node;
  while ((node = kad__map_next(&world->listeners, &slot, NULL)) != NULL) {
    destroy(KAD__CONTAINER(node, listener, node));
    slot = 0;
  }
}

/* ---- beginning ----------------------------------------------------------- */

static int set(int fd, int level, int name) {
  int on = 1;
  return setsockopt(fd, level, name, &on, sizeof(on));
}

/* Binds, and listens; 0, or the negative errno. */
static int bind_socket(int fd, const kad__sockaddr *at) {
  bool six = at->any.sa_family == AF_INET6;
  socklen_t len = six ? sizeof(at->ip6) : sizeof(at->ip4);
  /* IPv6 alone, so that both wildcards can share a port. */
  if (set(fd, SOL_SOCKET, SO_REUSEADDR) != 0 ||
      (six && set(fd, IPPROTO_IPV6, IPV6_V6ONLY) != 0) ||
      bind(fd, &at->any, len) != 0 || listen(fd, BACKLOG) != 0) {
    return -errno;
  }
  return 0;
}

static int open_socket(int *out, kad_bytes address) {
  kad__sockaddr at;
  int error = kad__address_to(&at, address);
  if (error < 0) {
    return error;
  }
  int fd =
      socket(at.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) {
    return kad__world_error(uv_translate_sys_error(errno));
  }
  error = bind_socket(fd, &at);
  if (error < 0) {
    close(fd);
    return kad__world_error(uv_translate_sys_error(-error));
  }
  *out = fd;
  return 0;
}

/* Takes over `fd` only on success. */
static int new_listener(listener **out, kad__world *world, kad__id id, int fd) {
  listener *l = kad__calloc(&world->allocator, 1, sizeof(*l));
  if (l == NULL) {
    return KAD_E_NO_MEMORY;
  }
  l->world = world;
  l->id = id;
  l->fd = fd;
  if (kad__map_add(&world->listeners, &world->allocator, &l->node,
                   kad__bytes(&l->id, sizeof(l->id))) < 0) {
    kad__release(&world->allocator, l);
    return KAD_E_NO_MEMORY;
  }
  if (uv_poll_init(&world->loop, &l->poll, fd) != 0) {
    kad__map_remove(&world->listeners, &l->node);
    kad__release(&world->allocator, l);
    return KAD_E_WORLD;
  }
  (void)uv_timer_init(&world->loop, &l->rest); /* cannot fail */
  (void)uv_timer_init(&world->loop, &l->look);
  l->poll.data = l->rest.data = l->look.data = l;
  l->handles = 3;
  l->mapped = true;
  *out = l;
  return 0;
}

static int start(listener **out, kad__world *world, kad__id id,
                 kad_bytes address) {
  int fd = -1;
  int error = open_socket(&fd, address);
  if (error < 0) {
    return error;
  }
  error = new_listener(out, world, id, fd);
  if (error < 0) {
    close(fd);
    return error;
  }
  error = uv_poll_start(&(*out)->poll, UV_READABLE, on_waiting);
  if (error != 0) {
    destroy(*out);
    return kad__world_error(error);
  }
  return 0;
}

/* ---- where others can reach it ------------------------------------------- */

/* Tells the swarm where the socket can be reached, if it has not the same list
 * already. Without memory for a copy it is told again. */
static void tell(listener *l, kad_bytes list) {
  if (l->told != NULL &&
      kad__bytes_equal(list, kad__bytes(l->told, l->told_len))) {
    return;
  }
  kad__release(&l->world->allocator, l->told);
  l->told = kad__memdup(&l->world->allocator, list.data, list.len);
  l->told_len = list.len;
  kad__swarm_listening(kad__node_swarm(l->world->node), l->id, list,
                       kad__system_now());
}

/* Interfaces that are all gone for a while are no reason to stop. */
static void on_look(uv_timer_t *timer) {
  listener *l = timer->data;
  uint8_t list[KAD__INTERFACES_LEN];
  bool wildcard;
  size_t len = kad__interfaces_bound(list, sizeof(list), l->fd, &wildcard);
  if (len != 0) {
    tell(l, kad__bytes(list, len));
  }
}

void kad__listener_open(kad__world *world, kad__id id, kad_bytes address) {
  listener *l;
  int error = start(&l, world, id, address);
  if (error < 0) {
    kad__swarm_listen_failed(kad__node_swarm(world->node), id, error);
    return;
  }
  uint8_t list[KAD__INTERFACES_LEN];
  bool wildcard;
  size_t len = kad__interfaces_bound(list, sizeof(list), l->fd, &wildcard);
  if (wildcard) {
    uint64_t ms = world->look_every / KAD_MILLISECOND;
    uv_timer_start(&l->look, on_look, ms, ms);
  }
  tell(l, kad__bytes(list, len));
}
