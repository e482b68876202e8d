/* TCP channels. A channel lives in the map by its id until the
 * swarm or the socket ends it; then its handle closes, and its memory goes when
 * libuv is done with it. */
#include <unistd.h>

#include "base/alloc.h"
#include "runtime/system.h"
#include "runtime/world.h"

/* How long a socket that is to be closed may still take what was written. */
#define LINGER_MS 5000

typedef struct channel {
  uv_tcp_t tcp; /* first: a handle is its channel */
  kad__map_node node;
  kad__id id;
  kad__world *world;
  uv_connect_t *connect; /* while dialling */
  uv_timer_t *linger;    /* closes it; NULL unless that was asked for */
  bool mapped;
  bool blocked; /* a write is under way: pull no more */
} channel;

typedef struct pending_write {
  uv_write_t request;
  channel *channel;
  uint8_t bytes[];
} pending_write;

static kad__swarm *swarm_of(kad__world *world) {
  return kad__node_swarm(world->node);
}

static kad_bytes id_key(const kad__id *id) {
  return kad__bytes(id, sizeof(*id));
}

static channel *find_channel(kad__world *world, kad__id id) {
  kad__map_node *node = kad__map_find(&world->channels, id_key(&id));
  return node == NULL ? NULL : KAD__CONTAINER(node, channel, node);
}

/* ---- ends ---------------------------------------------------------------- */

static void on_channel_closed(uv_handle_t *handle) {
  channel *c = (channel *)handle;
  kad_allocator allocator = c->world->allocator;
  kad__release(&allocator, c->connect);
  kad__release(&allocator, c);
}

static void on_linger_closed(uv_handle_t *handle) {
  kad__world *world = handle->loop->data;
  kad__release(&world->allocator, handle);
}

/* Takes the channel out of the map, so that its id is unknown from now on. */
static void destroy(channel *c) {
  if (c->linger != NULL) {
    uv_close((uv_handle_t *)c->linger, on_linger_closed);
    c->linger = NULL;
  }
  if (c->mapped) {
    kad__map_remove(&c->world->channels, &c->node);
    c->mapped = false;
  }
  if (!uv_is_closing((uv_handle_t *)&c->tcp)) {
    uv_close((uv_handle_t *)&c->tcp, on_channel_closed);
  }
}

/* The socket ended the channel: the swarm is told. */
static void fail(channel *c, int error) {
  if (!c->mapped) {
    return;
  }
  kad__id id = c->id;
  kad__world *world = c->world;
  destroy(c);
  kad__swarm_closed(swarm_of(world), id, error, kad__system_now());
}

static void on_linger(uv_timer_t *timer) {
  destroy(timer->data);
}

/* Bytes are still on their way out. A peer that does not read them must not
 * keep the socket. */
static int linger(channel *c) {
  uv_timer_t *timer = kad__alloc(&c->world->allocator, sizeof(*timer));
  if (timer == NULL) {
    return KAD_E_NO_MEMORY;
  }
  uv_timer_init(&c->world->loop, timer);
  timer->data = c;
  uv_timer_start(timer, on_linger, LINGER_MS, 0);
  uv_read_stop((uv_stream_t *)&c->tcp);
  c->linger = timer;
  return 0;
}

void kad__socket_close(kad__world *world, kad__id id) {
  channel *c = find_channel(world, id);
  if (c != NULL && c->linger == NULL && (!c->blocked || linger(c) < 0)) {
    destroy(c);
  }
}

/* ---- reading ------------------------------------------------------------- */

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf) {
  (void)suggested;
  channel *c = (channel *)handle;
  *buf = uv_buf_init((char *)c->world->read_buffer, KAD__WORLD_READ_LEN);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf) {
  channel *c = (channel *)stream;
  if (n > 0) {
    kad__swarm_input(swarm_of(c->world), c->id, (uint8_t *)buf->base, (size_t)n,
                     kad__system_now());
    return;
  }
  if (n < 0) {
    fail(c, n == UV_EOF ? 0 : kad__world_error((int)n));
  }
}

void kad__socket_read(kad__world *world, kad__id id, bool on) {
  channel *c = find_channel(world, id);
  if (c == NULL || c->connect != NULL || c->linger != NULL) {
    return;
  }
  if (on) {
    uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read);
  } else {
    uv_read_stop((uv_stream_t *)&c->tcp);
  }
}

/* ---- writing ------------------------------------------------------------- */

static void on_written(uv_write_t *request, int status) {
  pending_write *w = (pending_write *)request;
  channel *c = w->channel;
  kad__world *world = c->world;
  kad__release(&world->allocator, w);
  c->blocked = false;
  if (uv_is_closing((uv_handle_t *)&c->tcp)) {
    return;
  }
  if (status < 0) {
    fail(c, kad__world_error(status));
    return;
  }
  if (c->linger != NULL) {
    destroy(c);
    return;
  }
  kad__socket_flush(world, c->id);
}

/* Keeps what a full socket did not take. */
static int write_rest(channel *c, kad_bytes rest) {
  pending_write *w = kad__alloc(&c->world->allocator, sizeof(*w) + rest.len);
  if (w == NULL) {
    return KAD_E_NO_MEMORY;
  }
  w->channel = c;
  memcpy(w->bytes, rest.data, rest.len);
  uv_buf_t buf = uv_buf_init((char *)w->bytes, (unsigned)rest.len);
  int error =
      uv_write(&w->request, (uv_stream_t *)&c->tcp, &buf, 1, on_written);
  if (error != 0) {
    kad__release(&c->world->allocator, w);
    return kad__world_error(error);
  }
  c->blocked = true;
  return 0;
}

/* Writes at once what the socket takes; 0, or why the channel is broken. */
static int write_out(channel *c, size_t len) {
  uv_buf_t buf = uv_buf_init((char *)c->world->write_buffer, (unsigned)len);
  int n = uv_try_write((uv_stream_t *)&c->tcp, &buf, 1);
  if (n < 0 && n != UV_EAGAIN) {
    return kad__world_error(n);
  }
  size_t written = n < 0 ? 0 : (size_t)n;
  if (written == len) {
    return 0;
  }
  return write_rest(
      c, kad__bytes(c->world->write_buffer + written, len - written));
}

void kad__socket_flush(kad__world *world, kad__id id) {
  channel *c = find_channel(world, id);
  while (c != NULL && !c->blocked && c->connect == NULL) {
    size_t len = kad__swarm_output(swarm_of(world), id, world->write_buffer,
                                   KAD__WORLD_WRITE_LEN, kad__system_now());
    if (len == 0) {
      return;
    }
    int error = write_out(c, len);
    if (error < 0) {
      fail(c, error);
      return;
    }
  }
}

/* ---- opening ------------------------------------------------------------- */

static channel *new_channel(kad__world *world) {
  channel *c = kad__calloc(&world->allocator, 1, sizeof(*c));
  if (c == NULL) {
    return NULL;
  }
  if (uv_tcp_init(&world->loop, &c->tcp) != 0) {
    kad__release(&world->allocator, c);
    return NULL;
  }
  c->world = world;
  return c;
}

static int map_channel(channel *c, kad__id id) {
  c->id = id;
  int error = kad__map_add(&c->world->channels, &c->world->allocator, &c->node,
                           id_key(&c->id));
  c->mapped = error == 0;
  return error;
}

static size_t socket_address(uint8_t out[KAD__SOCKET_ADDRESS_MAX],
                             const uv_tcp_t *tcp,
                             int (*get)(const uv_tcp_t *, struct sockaddr *,
                                        int *)) {
  kad__sockaddr address;
  int len = sizeof(address);
  if (get(tcp, &address.any, &len) != 0) {
    return 0;
  }
  return kad__address_from(out, &address);
}

static void start_reading(channel *c) {
  uv_tcp_nodelay(&c->tcp, 1);
  if (uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read) != 0) {
    fail(c, KAD_E_IO);
  }
}

static void on_connected(uv_connect_t *request, int status) {
  channel *c = request->data;
  kad__world *world = c->world;
  kad__release(&world->allocator, c->connect);
  c->connect = NULL;
  if (!c->mapped || uv_is_closing((uv_handle_t *)&c->tcp)) {
    return;
  }
  if (status < 0) {
    kad__id id = c->id;
    destroy(c);
    kad__swarm_dial_failed(swarm_of(world), id, kad__world_error(status),
                           kad__system_now());
    return;
  }
  uint8_t local[KAD__SOCKET_ADDRESS_MAX];
  size_t len = socket_address(local, &c->tcp, uv_tcp_getsockname);
  start_reading(c);
  if (c->mapped) {
    kad__swarm_dialed(swarm_of(world), c->id, kad__bytes(local, len),
                      kad__system_now());
  }
}

/* The system's word for "no port is left to call from", which passes, and for
 * "no address of ours can call there", which does not. A datagram socket that
 * calls the same address wants the latter alone. */
static bool has_address_for(const kad__sockaddr *to) {
  bool six = to->any.sa_family == AF_INET6;
  int fd = socket(to->any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  bool has = fd >= 0 && connect(fd, &to->any,
                                six ? sizeof(to->ip6) : sizeof(to->ip4)) == 0;
  if (fd >= 0) {
    close(fd);
  }
  return has;
}

static int connect_error(int uv_error, const kad__sockaddr *to) {
  if (uv_error == UV_EADDRNOTAVAIL && has_address_for(to)) {
    return KAD_E_LIMIT;
  }
  return kad__world_error(uv_error);
}

static int start_dial(channel *c, kad__id id, kad_bytes address) {
  kad__sockaddr to;
  int error = kad__address_to(&to, address);
  if (error < 0) {
    return error;
  }
  c->connect = kad__alloc(&c->world->allocator, sizeof(*c->connect));
  if (c->connect == NULL) {
    return KAD_E_NO_MEMORY;
  }
  c->connect->data = c;
  error = map_channel(c, id);
  if (error < 0) {
    return error;
  }
  return connect_error(
      uv_tcp_connect(c->connect, &c->tcp, &to.any, on_connected), &to);
}

void kad__socket_dial(kad__world *world, kad__id id, kad_bytes address) {
  channel *c = new_channel(world);
  int error = c == NULL ? KAD_E_NO_MEMORY : start_dial(c, id, address);
  if (error == 0) {
    return;
  }
  if (c != NULL) {
    destroy(c);
  }
  kad__swarm_dial_failed(swarm_of(world), id, error, kad__system_now());
}

/* ---- accepting ----------------------------------------------------------- */

static int enroll(channel *c, kad__id listener, const kad__sockaddr *from) {
  uint8_t remote[KAD__SOCKET_ADDRESS_MAX];
  uint8_t local[KAD__SOCKET_ADDRESS_MAX];
  size_t remote_len = kad__address_from(remote, from);
  size_t local_len = socket_address(local, &c->tcp, uv_tcp_getsockname);
  kad__id id = 0;
  kad__swarm *swarm = swarm_of(c->world);
  if (remote_len == 0) {
    return KAD_E_UNSUPPORTED;
  }
  int error =
      kad__swarm_accepted(swarm, &id, listener, kad__bytes(remote, remote_len),
                          kad__bytes(local, local_len), kad__system_now());
  if (error < 0) {
    return error;
  }
  error = map_channel(c, id);
  if (error < 0) {
    kad__swarm_closed(swarm, id, error, kad__system_now());
  }
  return error;
}

void kad__socket_accepted(kad__world *world, kad__id listener, int fd,
                          const kad__sockaddr *from) {
  channel *c = new_channel(world);
  if (c == NULL) {
    close(fd);
    return;
  }
  if (uv_tcp_open(&c->tcp, fd) != 0) {
    close(fd);
    destroy(c);
    return;
  }
  if (enroll(c, listener, from) < 0) {
    destroy(c);
    return;
  }
  start_reading(c);
}

/* ---- the end of the world ------------------------------------------------ */

void kad__socket_close_all(kad__world *world) {
  uint32_t slot = 0;
  kad__map_node *node;
  while ((node = kad__map_next(&world->channels, &slot, NULL)) != NULL) {
    destroy(KAD__CONTAINER(node, channel, node));
    slot = 0;
  }
}
