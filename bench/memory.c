/* Private memory of the server per idle secured connection: what 10,000 of them
 * add to it, once every peer is identified and nothing moves any more. */
#include "client.h"

#define CONNECTIONS 10000
#define WINDOW 64

int main(void) {
  bench_server server;
  bench_client client;
  bench_mark before;
  bench_mark after;
  bench_pin(BENCH_LOAD);
  bench_server_start(
      &server, &(bench_server_options){.max_connections = 2 * CONNECTIONS});
  /* The first connection brings what is there once: tables, code, OpenSSL. */
  bench_client_init(&client, &server, CONNECTIONS + 1);
  bench_client_connect(&client, CONNECTIONS);
  while (client.identified == 0) {
    bench_client_turn(&client);
  }
  bench_server_mark(
      &server, &before,
      &(bench_until){
          .identified = 1, .connections = 1, .calm = true, .memory = true});
  client.count = CONNECTIONS;
  bench_client_connect_all(&client, 0, WINDOW);
  bench_server_mark(&server, &after,
                    &(bench_until){.identified = CONNECTIONS + 1,
                                   .connections = CONNECTIONS + 1,
                                   .calm = true,
                                   .memory = true});
  double private = (double)(after.private_memory - before.private_memory);
  double heap = (double)(after.heap - before.heap);
  bench_report(&(bench_figure){.name = "memory_per_connection",
                               .unit = "bytes",
                               .value = private / CONNECTIONS,
                               .kind = BENCH_VALUE_AT_MOST,
                               .target = 6144,
                               .note = "smaps_rollup Private, 10,000 idle "
                                       "connections, peers identified"});
  bench_report(&(bench_figure){.name = "heap_per_connection",
                               .unit = "bytes",
                               .value = heap / CONNECTIONS,
                               .note = "given out by malloc"});
  client.count = CONNECTIONS + 1;
  bench_client_fini(&client);
  bench_server_stop(&server);
  return 0;
}
