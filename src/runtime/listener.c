/* TCP listeners. libuv's own would ask for the next connection again and again,
 * and never return to its loop, as long as the system is out of something that
 * accepting needs; so the socket is ours, and libuv only tells when somebody
 * waits. Then whoever waits stays in the backlog, which the kernel bounds, and
 * we ask again after a rest. */
#include <errno.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/alloc.h"
#include "runtime/system.h"
#include "runtime/world.h"
#include "wire/addresses.h"

#define BACKLOG 1024
/* Connections that are taken before the loop looks at anything else. */
#define ROUND 64
#define REST_MS 100
#define RESERVE 64
/* Interfaces of one machine that a wildcard is expanded to. */
#define EXPANDED_MAX 32

typedef struct listener {
  uv_poll_t poll; /* somebody waits */
  uv_timer_t rest;
  kad__map_node node;
  kad__id id;
  kad__world *world;
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
  if (fd >= 0 && is_of_reserve(fd)) {
    close(fd); /* told at once, where it would wait for nothing */
    return true;
  }
  if (fd >= 0) {
    kad__socket_accepted(l->world, l->id, fd, &from);
    return true;
  }
  if (errno == EAGAIN || errno == EWOULDBLOCK) {
    return false;
  }
  if (is_gone(errno) && ++*failed < ROUND) {
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
  l->poll.data = l->rest.data = l;
  l->handles = 2;
  l->mapped = true;
  *out = l;
  return 0;
}

static int start(kad__world *world, kad__id id, kad_bytes address, int *fd) {
  int error = open_socket(fd, address);
  if (error < 0) {
    return error;
  }
  listener *l;
  error = new_listener(&l, world, id, *fd);
  if (error < 0) {
    close(*fd);
    return error;
  }
  error = uv_poll_start(&l->poll, UV_READABLE, on_waiting);
  if (error != 0) {
    destroy(l);
    return kad__world_error(error);
  }
  return 0;
}

/* ---- where others can reach it ------------------------------------------- */

/* One of this machine's addresses, with the port that was bound. */
static void append_interface(uint8_t *out, size_t cap, size_t *len,
                             const uv_interface_address_t *interface,
                             const kad__sockaddr *bound) {
  kad__sockaddr address = {0};
  uint8_t bytes[KAD__SOCKET_ADDRESS_MAX];
  if (interface->address.address4.sin_family != bound->any.sa_family) {
    return;
  }
  if (bound->any.sa_family == AF_INET) {
    address.ip4 = interface->address.address4;
    address.ip4.sin_port = bound->ip4.sin_port;
  } else {
    address.ip6 = interface->address.address6;
    address.ip6.sin6_port = bound->ip6.sin6_port;
    if (IN6_IS_ADDR_LINKLOCAL(&address.ip6.sin6_addr)) {
      return; /* means nothing to another machine */
    }
  }
  size_t n = kad__address_from(bytes, &address);
  (void)kad__addresses_append(out, cap, len, kad__bytes(bytes, n));
}

/* Where others can reach a bound socket: wildcards become the addresses of the
 * interfaces. Returns the length of the list. */
static size_t bound_addresses(uint8_t *out, size_t cap, int fd) {
  kad__sockaddr bound = {0};
  socklen_t bound_len = sizeof(bound);
  size_t len = 0;
  if (getsockname(fd, &bound.any, &bound_len) != 0) {
    return 0;
  }
  uint8_t bytes[KAD__SOCKET_ADDRESS_MAX];
  if (!kad__address_is_wildcard(&bound)) {
    size_t n = kad__address_from(bytes, &bound);
    (void)kad__addresses_append(out, cap, &len, kad__bytes(bytes, n));
    return len;
  }
  uv_interface_address_t *interfaces = NULL;
  int count = 0;
  if (uv_interface_addresses(&interfaces, &count) != 0) {
    return 0;
  }
  for (int i = 0; i < count && i < EXPANDED_MAX; i++) {
    append_interface(out, cap, &len, &interfaces[i], &bound);
  }
  uv_free_interface_addresses(interfaces, count);
  return len;
}

void kad__listener_open(kad__world *world, kad__id id, kad_bytes address) {
  kad__swarm *swarm = kad__node_swarm(world->node);
  int fd = -1;
  int error = start(world, id, address, &fd);
  if (error < 0) {
    kad__swarm_listen_failed(swarm, id, error);
    return;
  }
  uint8_t list[EXPANDED_MAX * KAD__SOCKET_ADDRESS_MAX];
  size_t len = bound_addresses(list, sizeof(list), fd);
  kad__swarm_listening(swarm, id, kad__bytes(list, len), kad__system_now());
}
