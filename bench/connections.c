/* Inbound connections per CPU-second: TCP, Noise, yamux, identify both ways.
 * The server's own CPU time counts, from before the first connection until it
 * knows who every peer is. Beside it, in every round, the floor. */
#include "client.h"
#include "floor.h"

#define ROUNDS 7
#define CONNECTIONS 1000
#define WINDOW 64
#define FLOOR_ROUNDS 2000

typedef struct round {
  double rate;
  double with_end; /* the end of the connections included */
  double floor;
  double own_floor; /* with the node's own way of verifying */
} round_result;

static round_result run_round(bench_server *server, uint64_t *identified) {
  bench_client client;
  bench_mark before;
  bench_mark after;
  bench_mark gone;
  bench_client_init(&client, server, CONNECTIONS);
  bench_server_mark(server, &before, &(bench_until){.calm = true});
  bench_client_connect_all(&client, 0, WINDOW);
  *identified += CONNECTIONS;
  bench_server_mark(
      server, &after,
      &(bench_until){.identified = *identified, .connections = CONNECTIONS});
  bench_client_fini(&client);
  bench_server_mark(server, &gone, &(bench_until){.connections = 0});
  double per_second = CONNECTIONS * (double)KAD_SECOND;
  return (round_result){
      .rate = per_second / (double)(after.cpu_before - before.cpu_after),
      .with_end = per_second / (double)(gone.cpu_before - before.cpu_after),
      .floor = (double)KAD_SECOND / bench_floor_handshake(FLOOR_ROUNDS, false),
      .own_floor =
          (double)KAD_SECOND / bench_floor_handshake(FLOOR_ROUNDS, true)};
}

int main(void) {
  bench_server server;
  double rates[ROUNDS];
  double ends[ROUNDS];
  double floors[ROUNDS];
  double ratios[ROUNDS];
  double end_ratios[ROUNDS];
  double own_floors[ROUNDS];
  double own_ratios[ROUNDS];
  uint64_t identified = 0;
  bench_pin(BENCH_LOAD);
  bench_server_start(
      &server, &(bench_server_options){.max_connections = 2 * CONNECTIONS});
  (void)run_round(&server, &identified); /* warm up */
  for (int i = 0; i < ROUNDS; i++) {
    round_result r = run_round(&server, &identified);
    rates[i] = r.rate;
    ends[i] = r.with_end;
    floors[i] = r.floor;
    ratios[i] = r.rate / r.floor;
    end_ratios[i] = r.with_end / r.floor;
    own_floors[i] = r.own_floor;
    own_ratios[i] = r.rate / r.own_floor;
  }
  double floor = bench_median(floors, ROUNDS);
  bench_report(&(bench_figure){
      .name = "inbound_connections",
      .unit = "1/cpu_s",
      .value = bench_median(rates, ROUNDS),
      .floor = floor,
      .ratio = bench_median(ratios, ROUNDS),
      .kind = BENCH_RATIO_AT_LEAST,
      .target = 0.75,
      .note = "median of 7 rounds of 1000, 64 at once; floor: X25519 key, 3 "
              "derivations, 1 Ed25519 verification, SHA-256"});
  bench_report(&(bench_figure){.name = "inbound_connections_own_verify",
                               .unit = "1/cpu_s",
                               .value = bench_median(rates, ROUNDS),
                               .floor = bench_median(own_floors, ROUNDS),
                               .ratio = bench_median(own_ratios, ROUNDS),
                               .note = "floor with the node's own Ed25519, not "
                                       "OpenSSL's"});
  bench_report(&(bench_figure){.name = "inbound_connections_closed_too",
                               .unit = "1/cpu_s",
                               .value = bench_median(ends, ROUNDS),
                               .floor = floor,
                               .ratio = bench_median(end_ratios, ROUNDS)});
  bench_server_stop(&server);
  return 0;
}
