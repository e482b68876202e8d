/* Streams of one's own protocols: bytes through one connection, each way,
 * beside the cipher alone; and requests of 100 bytes answered with 100, a new
 * stream each, beside the same bytes encrypted and moved by as many system
 * calls. The measured side uses the public interface. */
#include "base/bytes.h"
#include "client.h"
#include "floor.h"

#define ROUNDS 7
#define REQUESTS 20000
#define IN_FLIGHT 32
#define REQUEST_LEN 100
#define BYTES ((uint64_t)256 << 20)
#define PIECE 65536

typedef struct load {
  bench_client client;
  uint64_t left; /* to be started, or written */
  uint64_t done; /* answered, or read */
  uint32_t in_flight;
  bool over;
} load;

static kad__stream *open_stream(bench_unit *u, const char *name) {
  static kad_bytes names[1]; /* the last one's; its text lasts */
  kad__stream *stream = NULL;
  names[0] = kad__bytes_of(name);
  BENCH_CHECK(
      kad__stream_open(u->swarm, &stream, &u->client->server->id,
                       (kad__protocol_names){.names = names, .count = 1},
                       BENCH_TAG, NULL, bench_now()) == 0);
  return stream;
}

static void run_until_over(load *l) {
  bench_client_settle(&l->client.units[0]);
  while (!l->over) {
    bench_client_turn(&l->client);
  }
}

/* ---- requests ------------------------------------------------------------ */

static void fill(load *l, bench_unit *u) {
  static const uint8_t request[REQUEST_LEN] = {1};
  while (l->in_flight < IN_FLIGHT && l->left > 0) {
    kad__stream *stream = open_stream(u, BENCH_ECHO);
    BENCH_CHECK(
        kad__stream_write(stream, kad__bytes(request, sizeof(request))) == 0);
    kad__stream_close_write(stream);
    l->left--;
    l->in_flight++;
  }
}

static void on_answer(void *user, bench_unit *u,
                      const kad__swarm_event *event) {
  load *l = user;
  BENCH_CHECK(event->type != KAD__SWARM_STREAM_DEAD);
  if (event->type != KAD__SWARM_STREAM_READABLE ||
      !kad__stream_ended(event->stream)) {
    return;
  }
  BENCH_CHECK(kad__stream_peek(event->stream).len == REQUEST_LEN);
  kad__stream_release(event->stream);
  l->in_flight--;
  fill(l, u);
  l->over = l->in_flight == 0;
}

static void run_requests(load *l) {
  l->client.on_stream = on_answer;
  l->over = false;
  l->left = REQUESTS;
  fill(l, &l->client.units[0]);
  run_until_over(l);
}

/* ---- bytes --------------------------------------------------------------- */

static void write_more(load *l, kad__stream *stream) {
  static const uint8_t piece[PIECE];
  while (l->left > 0 && kad__stream_unsent(stream) < 8 * PIECE) {
    size_t len = l->left < PIECE ? (size_t)l->left : PIECE;
    BENCH_CHECK(kad__stream_write(stream, kad__bytes(piece, len)) == 0);
    l->left -= len;
    if (l->left == 0) {
      kad__stream_close_write(stream);
    }
  }
}

static void on_sink(void *user, bench_unit *u, const kad__swarm_event *event) {
  load *l = user;
  (void)u;
  BENCH_CHECK(event->type != KAD__SWARM_STREAM_DEAD);
  if (event->type == KAD__SWARM_STREAM_READABLE &&
      kad__stream_ended(event->stream)) {
    kad__stream_release(event->stream);
    l->over = true;
    return;
  }
  write_more(l, event->stream);
}

static void run_sink(load *l) {
  l->client.on_stream = on_sink;
  l->over = false;
  l->left = BYTES;
  write_more(l, open_stream(&l->client.units[0], BENCH_SINK));
  run_until_over(l);
}

static void on_source(void *user, bench_unit *u,
                      const kad__swarm_event *event) {
  load *l = user;
  (void)u;
  BENCH_CHECK(event->type != KAD__SWARM_STREAM_DEAD);
  size_t len = kad__stream_peek(event->stream).len;
  kad__stream_consume(event->stream, len);
  l->done += len;
  if (kad__stream_ended(event->stream)) {
    BENCH_CHECK(l->done == BYTES);
    kad__stream_release(event->stream);
    l->over = true;
  }
}

static void run_source(load *l) {
  uint64_t bytes = BYTES;
  l->client.on_stream = on_source;
  l->over = false;
  l->done = 0;
  kad__stream *stream = open_stream(&l->client.units[0], BENCH_SOURCE);
  BENCH_CHECK(kad__stream_write(stream, kad__bytes(&bytes, sizeof(bytes))) ==
              0);
  run_until_over(l);
}

/* ---- rounds -------------------------------------------------------------- */

typedef struct result {
  double rate[ROUNDS];
  double floor[ROUNDS];
  double ratio[ROUNDS];
  double calls;
} result;

/* CPU time of the server for one run of the load. */
static double measure(load *l, bench_server *server, void (*run)(load *),
                      bench_traffic *traffic) {
  bench_mark before;
  bench_mark after;
  bench_until at_once = {.any_connections = true};
  bench_server_mark(server, &before, &at_once);
  run(l);
  bench_server_mark(server, &after, &at_once);
  *traffic = (bench_traffic){.reads = after.reads - before.reads,
                             .writes = after.writes - before.writes,
                             .bytes_in = after.bytes_in - before.bytes_in,
                             .bytes_out = after.bytes_out - before.bytes_out};
  return (double)(after.cpu_before - before.cpu_after);
}

static void keep(result *r, int round, double count, double spent,
                 double floor) {
  r->rate[round] = count * (double)KAD_SECOND / spent;
  r->floor[round] = count * (double)KAD_SECOND / floor;
  r->ratio[round] = floor / spent;
}

static void report(const char *name, const char *unit, result *r, double target,
                   const char *note) {
  bench_report(&(bench_figure){.name = name,
                               .unit = unit,
                               .value = bench_median(r->rate, ROUNDS),
                               .floor = bench_median(r->floor, ROUNDS),
                               .ratio = bench_median(r->ratio, ROUNDS),
                               .kind = BENCH_RATIO_AT_LEAST,
                               .target = target,
                               .note = note});
}

int main(void) {
  static load l;
  static result requests;
  static result in;
  static result out;
  bench_server server;
  bench_traffic traffic;
  const double mebibytes = (double)BYTES / (1 << 20);
  bench_pin(BENCH_LOAD);
  bench_server_start(&server, &(bench_server_options){0});
  bench_client_init(&l.client, &server, 1);
  l.client.user = &l;
  bench_client_connect_all(&l.client, 0, 1);
  run_requests(&l); /* warm up */
  for (int i = 0; i < ROUNDS; i++) {
    double spent = measure(&l, &server, run_requests, &traffic);
    keep(&requests, i, REQUESTS, spent, bench_floor_traffic(&traffic));
    requests.calls = (double)(traffic.reads + traffic.writes) / REQUESTS;
    spent = measure(&l, &server, run_sink, &traffic);
    keep(&in, i, mebibytes, spent, bench_floor_cipher(BYTES, false));
    spent = measure(&l, &server, run_source, &traffic);
    keep(&out, i, mebibytes, spent, bench_floor_cipher(BYTES, true));
  }
  char note[120];
  snprintf(note, sizeof(note),
           "new stream, 100 bytes there and back, 32 in flight; %.3f reads and "
           "writes each",
           requests.calls);
  report("stream_requests", "1/cpu_s", &requests, 0.40, note);
  report("stream_bytes_received", "MiB/cpu_s", &in, 0.60,
         "256 MiB on one stream, Noise and yamux; floor: ChaCha20-Poly1305");
  report("stream_bytes_sent", "MiB/cpu_s", &out, 0.60,
         "256 MiB on one stream, Noise and yamux; floor: ChaCha20-Poly1305");
  bench_client_fini(&l.client);
  bench_server_stop(&server);
  return 0;
}
