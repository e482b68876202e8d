#include "client.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bytes.h"
#include "kadmium/multiaddr.h"

#define READ_LEN ((size_t)64 * 1024)
#define EVENTS_AT_ONCE 256
#define TURN_MS 1000

static const kad_allocator *allocator(void) {
  return kad_allocator_default();
}

/* ---- units --------------------------------------------------------------- */

static void unit_init(bench_client *client, bench_unit *u, uint64_t seed) {
  kad__swarm_config swarm;
  kad__identify_config identify;
  u->client = client;
  u->fd = -1;
  kad_random_init_u64(&u->random, seed);
  BENCH_CHECK(kad_key_pair_generate(&u->key, allocator(), &u->random) == 0);
  kad__swarm_config_default(&swarm);
  swarm.allocator = allocator();
  swarm.identity = u->key;
  swarm.random = &u->random;
  swarm.idle_timeout = KAD_HOUR;
  BENCH_CHECK(kad__swarm_new(&u->swarm, &swarm, bench_now()) == 0);
  BENCH_CHECK(kad__own_addresses_new(&u->own, allocator(), u->swarm) == 0);
  kad__identify_config_default(&identify);
  identify.identity = u->key;
  identify.own = u->own;
  identify.random = &u->random;
  BENCH_CHECK(
      kad__identify_new(&u->identify, allocator(), u->swarm, &identify) == 0);
}

static void unit_close(bench_unit *u) {
  if (u->fd >= 0) {
    close(u->fd);
    u->fd = -1;
  }
  kad__buffer_fini(&u->rest, allocator());
}

static void unit_fini(bench_unit *u) {
  unit_close(u);
  kad__identify_free(u->identify);
  kad__own_addresses_free(u->own);
  kad__swarm_free(u->swarm);
  kad_key_pair_free(u->key);
}

void bench_client_init(bench_client *client, const bench_server *server,
                       uint32_t count) {
  kad_random random;
  BENCH_CHECK(kad_random_init_system(&random) == 0);
  *client = (bench_client){.server = server, .count = count};
  client->epoll = epoll_create1(EPOLL_CLOEXEC);
  client->units = calloc(count, sizeof(*client->units));
  BENCH_CHECK(client->epoll >= 0 && client->units != NULL);
  for (uint32_t i = 0; i < count; i++) {
    unit_init(client, &client->units[i], kad_random_u64(&random));
  }
}

void bench_client_fini(bench_client *client) {
  for (uint32_t i = 0; i < client->count; i++) {
    unit_fini(&client->units[i]);
  }
  free(client->units);
  close(client->epoll);
}

/* ---- sockets ------------------------------------------------------------- */

static void watch(bench_unit *u, int operation) {
  bool writing = u->connecting || kad__buffer_len(&u->rest) > 0;
  struct epoll_event event = {.events = EPOLLIN | (writing ? EPOLLOUT : 0),
                              .data = {.ptr = u}};
  BENCH_CHECK(epoll_ctl(u->client->epoll, operation, u->fd, &event) == 0);
}

static void end_channel(bench_unit *u, int error) {
  unit_close(u);
  kad__swarm_closed(u->swarm, u->channel, error, bench_now());
}

static void open_channel(bench_unit *u, kad__id id) {
  const struct sockaddr_in *to = &u->client->server->address;
  int on = 1;
  BENCH_CHECK(u->fd < 0);
  u->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  BENCH_CHECK(u->fd >= 0);
  u->channel = id;
  u->connecting = true;
  u->close_asked = false;
  (void)setsockopt(u->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  int result = connect(u->fd, (const struct sockaddr *)to, sizeof(*to));
  BENCH_CHECK(result == 0 || errno == EINPROGRESS);
  watch(u, EPOLL_CTL_ADD);
}

static void channel_opened(bench_unit *u) {
  static const uint8_t local[] = {KAD_MULTIADDR_IP4, 127,  0, 0, 1,
                                  KAD_MULTIADDR_TCP, 0x80, 0};
  int error = 0;
  socklen_t len = sizeof(error);
  u->connecting = false;
  (void)getsockopt(u->fd, SOL_SOCKET, SO_ERROR, &error, &len);
  BENCH_CHECK(error == 0);
  watch(u, EPOLL_CTL_MOD);
  kad__swarm_dialed(u->swarm, u->channel, kad__bytes(local, sizeof(local)),
                    bench_now());
}

/* 0 while the socket takes all, 1 when it is full, or an error. */
static int send_bytes(bench_unit *u, kad_bytes bytes) {
  ssize_t n = send(u->fd, bytes.data, bytes.len, MSG_NOSIGNAL);
  if (n < 0 && errno != EAGAIN) {
    return KAD_E_IO;
  }
  size_t sent = n < 0 ? 0 : (size_t)n;
  if (sent == bytes.len) {
    return 0;
  }
  BENCH_CHECK(kad__buffer_append(&u->rest, allocator(),
                                 kad__bytes_skip(bytes, sent)) == 0);
  watch(u, EPOLL_CTL_MOD);
  return 1;
}

static void write_out(bench_unit *u) {
  static uint8_t out[READ_LEN];
  while (u->fd >= 0 && !u->connecting && kad__buffer_len(&u->rest) == 0) {
    size_t len =
        kad__swarm_output(u->swarm, u->channel, out, sizeof(out), bench_now());
    if (len == 0) {
      return;
    }
    int result = send_bytes(u, kad__bytes(out, len));
    if (result < 0) {
      end_channel(u, result);
    }
  }
}

static void write_rest(bench_unit *u) {
  kad_bytes bytes = kad__buffer_bytes(&u->rest);
  ssize_t n = send(u->fd, bytes.data, bytes.len, MSG_NOSIGNAL);
  if (n < 0 && errno != EAGAIN) {
    end_channel(u, KAD_E_IO);
    return;
  }
  kad__buffer_consume(&u->rest, allocator(), n < 0 ? 0 : (size_t)n);
  if (kad__buffer_len(&u->rest) == 0) {
    watch(u, EPOLL_CTL_MOD);
    write_out(u);
  }
}

static void read_in(bench_unit *u) {
  static uint8_t in[READ_LEN];
  ssize_t n = recv(u->fd, in, sizeof(in), 0);
  if (n > 0) {
    kad__swarm_input(u->swarm, u->channel, in, (size_t)n, bench_now());
  } else if (n == 0 || errno != EAGAIN) {
    end_channel(u, n == 0 ? 0 : KAD_E_IO);
  }
}

/* ---- turns --------------------------------------------------------------- */

static bool carry_out(bench_unit *u) {
  kad__world_action action;
  bool busy = false;
  while (kad__swarm_next_output(u->swarm) != 0) {
    busy = true;
    write_out(u);
  }
  while (kad__swarm_poll_action(u->swarm, &action)) {
    busy = true;
    if (action.type == KAD__WORLD_DIAL) {
      open_channel(u, action.id);
    } else if (action.type == KAD__WORLD_CLOSE) {
      unit_close(u);
    }
  }
  return busy;
}

static void take_event(bench_unit *u, const kad__swarm_event *event) {
  bench_client *client = u->client;
  if (event->type >= KAD__SWARM_STREAM_INBOUND) {
    if (kad__stream_tag(event->stream) == BENCH_TAG) {
      client->on_stream(client->user, u, event);
      return;
    }
    kad__identify_handle_event(u->identify, event, bench_now());
    return;
  }
  if (event->type == KAD__SWARM_CONNECTED) {
    u->connected = true;
  } else if (event->type == KAD__SWARM_DISCONNECTED ||
             event->type == KAD__SWARM_DIAL_FAILED) {
    u->connected = false;
    u->error = event->error;
    fprintf(stderr, "a unit was cut off: %s\n", kad_error_name(event->error));
  }
  kad__identify_handle_event(u->identify, event, bench_now());
}

static bool take_events(bench_unit *u) {
  kad__swarm_event event;
  kad__identify_event identified;
  bool busy = false;
  while (kad__swarm_poll_event(u->swarm, &event)) {
    busy = true;
    take_event(u, &event);
  }
  while (kad__identify_poll(u->identify, &identified)) {
    busy = true;
    BENCH_CHECK(identified.type == KAD__IDENTIFY_DONE);
    u->client->identified += !u->identified;
    u->identified = true;
  }
  return busy;
}

void bench_client_settle(bench_unit *u) {
  bool busy = true;
  while (busy) {
    busy = take_events(u);
    busy |= carry_out(u);
  }
}

static void on_ready(bench_unit *u, uint32_t events) {
  if (u->connecting) {
    channel_opened(u);
  } else if ((events & EPOLLOUT) != 0 && kad__buffer_len(&u->rest) > 0) {
    write_rest(u);
  }
  if (u->fd >= 0 && !u->connecting && (events & ~(uint32_t)EPOLLOUT) != 0) {
    read_in(u);
  }
  bench_client_settle(u);
}

void bench_client_turn(bench_client *client) {
  struct epoll_event events[EVENTS_AT_ONCE];
  int n = epoll_wait(client->epoll, events, EVENTS_AT_ONCE, TURN_MS);
  for (int i = 0; i < n; i++) {
    on_ready(events[i].data.ptr, events[i].events);
  }
  /* Timers matter to a load that hangs alone. */
  for (uint32_t i = 0; n == 0 && i < client->count; i++) {
    bench_unit *u = &client->units[i];
    kad__swarm_tick(u->swarm, bench_now());
    bench_client_settle(u);
  }
}

void bench_client_connect(bench_client *client, uint32_t unit) {
  bench_unit *u = &client->units[unit];
  uint8_t address[8] = {KAD_MULTIADDR_IP4, 0, 0, 0, 0, KAD_MULTIADDR_TCP};
  kad__id dial;
  memcpy(address + 1, &client->server->address.sin_addr, 4);
  memcpy(address + 6, &client->server->address.sin_port, 2);
  BENCH_CHECK(kad__swarm_dial_address(u->swarm, &dial,
                                      kad__bytes(address, sizeof(address)),
                                      bench_now()) >= 0);
  bench_client_settle(u);
}

void bench_client_connect_all(bench_client *client, uint32_t first,
                              uint32_t window) {
  uint32_t next = first;
  uint32_t before = client->identified;
  while (client->identified - before < client->count - first) {
    while (next < client->count &&
           next - first - (client->identified - before) < window) {
      bench_client_connect(client, next++);
    }
    bench_client_turn(client);
  }
}
