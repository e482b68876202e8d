/* kad__host is the inside of kad_node: taken directly, because the table of
 * FIND_NODE's figure is made by hand. */
#include "server.h"

#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/bytes.h"
#include "kademlia/state.h"
#include "kadmium/multiaddr.h"
#include "node/streams.h"
#include "runtime/host.h"
#include "wire/addresses.h"

#define CALM_MS 200
#define IDLE_TIMEOUT KAD_HOUR

typedef struct server {
  kad__host host;
  int control;
  uint64_t identified;
  bool asked; /* the load waits for a mark */
  bench_until until;
  kad_time quiet_since;
} server;

typedef struct greeting {
  kad_peer_id id;
  struct sockaddr_in address;
} greeting;

/* ---- the table ----------------------------------------------------------- */

static void offer_peer(kad__dht *dht, kad_random *random) {
  /* The PeerId of an Ed25519 key, and a public and a private address. */
  uint8_t id[38] = {0x00, 0x24, 0x08, 0x01, 0x12, 0x20};
  uint8_t outside[8] = {KAD_MULTIADDR_IP4, 0, 0, 0, 0, KAD_MULTIADDR_TCP};
  uint8_t inside[8] = {KAD_MULTIADDR_IP4, 10, 0, 0, 0, KAD_MULTIADDR_TCP};
  kad_random_bytes(random, id + 6, 32);
  kad_random_bytes(random, outside + 1, 4);
  kad_random_bytes(random, inside + 2, 3);
  outside[6] = inside[6] = 4001 >> 8;
  outside[7] = inside[7] = 4001 & 0xff;
  (void)kad__dht_add_address(dht, kad__bytes(id, sizeof(id)),
                             kad__bytes(outside, sizeof(outside)), bench_now());
  (void)kad__dht_add_address(dht, kad__bytes(id, sizeof(id)),
                             kad__bytes(inside, sizeof(inside)), bench_now());
}

/* The peers exist in the table alone: nothing may look for them. */
static void fill_table(kad__dht *dht, const bench_server_options *options) {
  kad_random random;
  kad_random_init_u64(&random, 1);
  dht->config.bootstrap_throttle = KAD_TIME_NEVER;
  dht->config.bootstrap_interval = KAD_TIME_NEVER;
  dht->config.liveness_interval = KAD_TIME_NEVER;
  dht->bootstrap_periodic = KAD_TIME_NEVER;
  dht->bootstrap_automatic = KAD_TIME_NEVER;
  if (options->bucket_size != 0) {
    dht->table.bucket_size = options->bucket_size;
  }
  for (uint32_t i = 0; i < options->peers; i++) {
    offer_peer(dht, &random);
  }
}

/* ---- marks --------------------------------------------------------------- */

static void take_memory(bench_mark *out) {
  struct mallinfo2 heap = mallinfo2();
  out->private_memory = bench_private_memory();
  out->heap = heap.uordblks + heap.hblkhd;
}

/* CPU time last before the load goes on, so that taking the mark is not part of
 * what follows; what it is part of has ended. */
static void take_mark(server *s, bench_mark *out) {
  kad_node_status status;
  kad__node_status(s->host.node, &status);
  *out = (bench_mark){.cpu_before = bench_cpu(),
                      .identified = s->identified,
                      .connections = status.connections,
                      .table = status.table_size};
  if (s->until.memory) {
    take_memory(out);
  }
  const char *io = "/proc/self/io";
  out->reads = bench_proc_value(io, "syscr");
  out->writes = bench_proc_value(io, "syscw");
  out->bytes_in = bench_proc_value(io, "rchar");
  out->bytes_out = bench_proc_value(io, "wchar");
  out->cpu_after = bench_cpu();
}

static bool is_calm(const server *s) {
  return bench_now() - s->quiet_since >= CALM_MS * KAD_MILLISECOND;
}

static bool is_time(const server *s) {
  kad_node_status status;
  kad__node_status(s->host.node, &status);
  return s->asked && s->identified >= s->until.identified &&
         (s->until.any_connections ||
          status.connections == s->until.connections) &&
         (!s->until.calm || is_calm(s));
}

static void answer(server *s) {
  if (is_time(s)) {
    bench_mark mark;
    take_mark(s, &mark);
    s->asked = false;
    bench_write(s->control, &mark, sizeof(mark));
  }
}

/* ---- streams ------------------------------------------------------------- */

static void serve_echo(kad_stream *stream) {
  kad_bytes in;
  while ((in = kad_stream_peek(stream)).len > 0) {
    int taken = kad_stream_write(stream, in.data, in.len);
    if (taken < 0) {
      return;
    }
    kad_stream_consume(stream, (size_t)taken);
  }
  if (kad_stream_at_end(stream)) {
    kad_stream_close(stream);
  }
}

static void serve_sink(kad_stream *stream) {
  kad_stream_consume(stream, kad_stream_peek(stream).len);
  if (kad_stream_at_end(stream)) {
    (void)kad_stream_write(stream, "!", 1);
    kad_stream_close(stream);
  }
}

/* How many are left is kept in the stream's pointer. */
static void serve_source(kad_stream *stream) {
  static const uint8_t zeros[65536];
  uint64_t left = (uintptr_t)kad_stream_user(stream);
  kad_bytes in = kad_stream_peek(stream);
  if (left == 0) {
    if (in.len < sizeof(left)) {
      return;
    }
    memcpy(&left, in.data, sizeof(left));
    kad_stream_consume(stream, in.len);
  }
  int taken = 1;
  while (left > 0 && taken > 0) {
    size_t len = left < sizeof(zeros) ? (size_t)left : sizeof(zeros);
    taken = kad_stream_write(stream, zeros, len);
    left -= taken > 0 ? (uint64_t)taken : 0;
  }
  kad_stream_set_user(stream, (void *)(uintptr_t)left);
  if (left == 0) {
    kad_stream_close(stream);
  }
}

static void serve_stream(const kad_event *event) {
  if (event->type == KAD_EVENT_STREAM_ENDED) {
    kad_stream_close(event->stream);
  } else if (event->type == KAD_EVENT_STREAM_INBOUND) {
    return; /* what it brings is told next */
  } else if (kad__bytes_equal(event->protocol, kad__bytes_of(BENCH_ECHO))) {
    serve_echo(event->stream);
  } else if (kad__bytes_equal(event->protocol, kad__bytes_of(BENCH_SINK))) {
    serve_sink(event->stream);
  } else {
    serve_source(event->stream);
  }
}

static void handle_streams(kad__node *node) {
  static const char *const names[] = {BENCH_ECHO, BENCH_SINK, BENCH_SOURCE};
  for (size_t i = 0; i < KAD__COUNT(names); i++) {
    BENCH_CHECK(kad__node_handle(node, kad__bytes_of(names[i]), NULL, NULL,
                                 bench_now()) == 0);
  }
}

/* ---- the process --------------------------------------------------------- */

static void take_events(server *s) {
  kad_event event;
  for (;;) {
    while (kad__node_poll(s->host.node, &event)) {
      s->identified += event.type == KAD_EVENT_IDENTIFIED;
      if (event.stream != NULL) {
        serve_stream(&event);
      }
    }
    if (!kad__node_is_busy(s->host.node)) {
      return;
    }
    kad__world_turn(s->host.world);
  }
}

static void take_question(server *s) {
  ssize_t n = read(s->control, &s->until, sizeof(s->until));
  if (n <= 0) {
    exit(0); /* the load has gone */
  }
  BENCH_CHECK(n == sizeof(s->until));
  s->asked = true;
}

static int wait_ms(const server *s) {
  uv_update_time(&s->host.world->loop);
  int wait = uv_backend_timeout(&s->host.world->loop);
  bool waits_for_calm = s->asked && s->until.calm;
  return waits_for_calm && (wait < 0 || wait > CALM_MS) ? CALM_MS : wait;
}

static void serve(server *s) {
  for (;;) {
    struct pollfd fds[] = {
        {.fd = uv_backend_fd(&s->host.world->loop), .events = POLLIN},
        {.fd = s->control, .events = POLLIN}};
    (void)poll(fds, KAD__COUNT(fds), wait_ms(s));
    uv_run(&s->host.world->loop, UV_RUN_NOWAIT);
    take_events(s);
    if (fds[0].revents != 0) {
      s->quiet_since = bench_now();
    }
    if (fds[1].revents != 0) {
      take_question(s);
    }
    answer(s);
  }
}

/* Where the node listens: /ip4/127.0.0.1/tcp/PORT/p2p/ID. */
static void greet(server *s) {
  greeting hello = {.id = *kad__node_id(s->host.node),
                    .address = {.sin_family = AF_INET}};
  kad_bytes list = kad__node_addresses(s->host.node);
  kad_bytes address;
  BENCH_CHECK(kad__addresses_next(&list, &address) && address.len > 8);
  memcpy(&hello.address.sin_addr, address.data + 1, 4);
  memcpy(&hello.address.sin_port, address.data + 6, 2);
  bench_write(s->control, &hello, sizeof(hello));
}

static _Noreturn void run_server(int control,
                                 const bench_server_options *options) {
  const char *listen = "/ip4/127.0.0.1/tcp/0";
  kad_node_options node = KAD_NODE_OPTIONS_INIT;
  static server s;
  node.listen = &listen;
  node.listen_count = 1;
  node.mode = KAD_MODE_SERVER;
  node.max_connections = options->max_connections;
  node.idle_timeout = IDLE_TIMEOUT;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  bench_pin(BENCH_MEASURED);
  prctl(PR_SET_NAME, "bench_server"); /* for profilers */
  s.control = control;
  s.quiet_since = bench_now();
  BENCH_CHECK(kad__host_init(&s.host, &node) == 0);
  if (options->peers > 0) {
    fill_table(kad__node_dht(s.host.node), options);
  }
  handle_streams(s.host.node);
  uv_run(&s.host.world->loop, UV_RUN_NOWAIT);
  take_events(&s);
  greet(&s);
  serve(&s);
  exit(0);
}

void bench_server_start(bench_server *out,
                        const bench_server_options *options) {
  int ends[2];
  greeting hello;
  BENCH_CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
  pid_t child = fork();
  BENCH_CHECK(child >= 0);
  if (child == 0) {
    close(ends[0]);
    run_server(ends[1], options);
  }
  close(ends[1]);
  bench_read(ends[0], &hello, sizeof(hello));
  *out = (bench_server){.process = child,
                        .control = ends[0],
                        .id = hello.id,
                        .address = hello.address};
}

void bench_server_stop(bench_server *of) {
  close(of->control);
  waitpid(of->process, NULL, 0);
}

void bench_server_mark(bench_server *of, bench_mark *out,
                       const bench_until *until) {
  bench_write(of->control, until, sizeof(*until));
  bench_read(of->control, out, sizeof(*out));
}
