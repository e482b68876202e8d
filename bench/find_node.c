/* FIND_NODE answered per CPU-second of the server: a new stream each, 32 in
 * flight on one connection. The floor moves and encrypts the same bytes in the
 * same number of reads and writes. */
#include "base/bytes.h"
#include "client.h"
#include "floor.h"
#include "multiformats/varint.h"
#include "protocols/kad.h"
#include "wire/message.h"

#define ROUNDS 7
#define REQUESTS 20000
#define IN_FLIGHT 32
#define PEERS 1000
#define KEY_LEN 38

static const uint8_t protocol_bytes[] = KAD__KAD_PROTOCOL;
static const kad_bytes protocol = {protocol_bytes, sizeof(protocol_bytes) - 1};

typedef struct load {
  bench_client client;
  uint64_t left; /* requests to start */
  uint64_t answered;
  uint64_t peers; /* in all answers */
  uint32_t in_flight;
  kad__message reply;
} load;

static size_t make_request(uint8_t *out, size_t cap, kad_random *random) {
  uint8_t key[KEY_LEN] = {0x00, 0x24, 0x08, 0x01, 0x12, 0x20};
  kad__message request;
  kad_random_bytes(random, key + 6, 32);
  kad__message_init(&request, KAD__FIND_NODE);
  request.key = kad__bytes(key, sizeof(key));
  int len = kad__message_encode(out, cap, &request);
  BENCH_CHECK(len > 0);
  return (size_t)len;
}

static void start_request(load *l, bench_unit *u) {
  uint8_t bytes[64];
  kad__stream *stream = NULL;
  size_t len = make_request(bytes, sizeof(bytes), &u->random);
  BENCH_CHECK(
      kad__stream_open(u->swarm, &stream, &l->client.server->id,
                       (kad__protocol_names){.names = &protocol, .count = 1},
                       BENCH_TAG, NULL, bench_now()) == 0);
  BENCH_CHECK(kad__stream_write(stream, kad__bytes(bytes, len)) == 0);
  kad__stream_close_write(stream);
  l->left--;
  l->in_flight++;
}

static void fill(load *l, bench_unit *u) {
  while (l->in_flight < IN_FLIGHT && l->left > 0) {
    start_request(l, u);
  }
}

/* The peers in a whole answer. */
static size_t count_peers(load *l, kad_bytes in) {
  uint64_t len = 0;
  int prefix = kad__varint_decode(&len, in);
  BENCH_CHECK(prefix > 0 && in.len == (size_t)prefix + len);
  BENCH_CHECK(
      kad__message_decode(&l->reply, kad__bytes_skip(in, (size_t)prefix)) == 0);
  return l->reply.closer_count;
}

static void on_stream(void *user, bench_unit *u,
                      const kad__swarm_event *event) {
  load *l = user;
  BENCH_CHECK(event->type != KAD__SWARM_STREAM_DEAD);
  if (event->type != KAD__SWARM_STREAM_READABLE ||
      !kad__stream_ended(event->stream)) {
    return;
  }
  l->peers += count_peers(l, kad__stream_peek(event->stream));
  kad__stream_release(event->stream);
  l->answered++;
  l->in_flight--;
  fill(l, u);
}

static void run_load(load *l, uint64_t requests) {
  bench_unit *u = &l->client.units[0];
  uint64_t until = l->answered + requests;
  l->left = requests;
  fill(l, u);
  bench_client_settle(u);
  while (l->answered < until) {
    bench_client_turn(&l->client);
  }
}

typedef struct result {
  double rate[ROUNDS];
  double floor[ROUNDS];
  double ratio[ROUNDS];
  double peers; /* per answer */
  double calls; /* per answer */
  uint32_t table;
} result;

static void run_round(result *out, int round, load *l, bench_server *server) {
  bench_mark before;
  bench_mark after;
  bench_until at_once = {.any_connections = true};
  bench_server_mark(server, &before, &at_once);
  run_load(l, REQUESTS);
  bench_server_mark(server, &after, &at_once);
  bench_traffic traffic = {.reads = after.reads - before.reads,
                           .writes = after.writes - before.writes,
                           .bytes_in = after.bytes_in - before.bytes_in,
                           .bytes_out = after.bytes_out - before.bytes_out};
  double per_second = REQUESTS * (double)KAD_SECOND;
  out->rate[round] = per_second / (double)(after.cpu_before - before.cpu_after);
  out->floor[round] = per_second / bench_floor_traffic(&traffic);
  out->ratio[round] = out->rate[round] / out->floor[round];
  out->peers = (double)l->peers / (double)l->answered;
  out->calls = (double)(traffic.reads + traffic.writes) / REQUESTS;
  out->table = after.table;
}

static void run(result *out, uint32_t bucket_size) {
  static load l;
  bench_server server;
  bench_server_start(&server, &(bench_server_options){
                                  .bucket_size = bucket_size, .peers = PEERS});
  l = (load){0};
  bench_client_init(&l.client, &server, 1);
  l.client.on_stream = on_stream;
  l.client.user = &l;
  bench_client_connect_all(&l.client, 0, 1);
  run_load(&l, REQUESTS); /* warm up */
  for (int i = 0; i < ROUNDS; i++) {
    run_round(out, i, &l, &server);
  }
  bench_client_fini(&l.client);
  bench_server_stop(&server);
}

static void report(const char *name, result *r, bench_target kind) {
  char note[160];
  snprintf(note, sizeof(note),
           "table of %u, %.2f peers an answer, %.3f reads and writes an answer",
           r->table, r->peers, r->calls);
  bench_report(&(bench_figure){.name = name,
                               .unit = "1/cpu_s",
                               .value = bench_median(r->rate, ROUNDS),
                               .floor = bench_median(r->floor, ROUNDS),
                               .ratio = bench_median(r->ratio, ROUNDS),
                               .kind = kind,
                               .target = 0.30,
                               .note = note});
}

int main(void) {
  result flat;
  result real;
  bench_pin(BENCH_LOAD);
  run(&flat, PEERS);
  run(&real, 0);
  report("find_node", &flat, BENCH_RATIO_AT_LEAST);
  report("find_node_k20_table", &real, BENCH_RATIO_AT_LEAST);
  return 0;
}
