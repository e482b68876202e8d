/* Networks of bare DHTs in virtual time: how well and in how many hops lookups
 * find the closest node, at 100, 1,000 and 10,000 nodes (or at the sizes given
 * as arguments), and what a node costs this process. Every network runs in a
 * child, whose memory is its own. */
#include "simulator/bare.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

#define LOOKUPS 10000
#define SIZES_MAX 8
/* All nodes of a network join within so long: before the first refreshes. */
#define JOINING (250 * KAD_SECOND)
#define GAP_MAX (10 * KAD_MILLISECOND)

typedef struct outcome {
  kad__bare_survey survey;
  kad_time join_cpu;
  kad_time look_cpu;
  double memory; /* bytes of this process for one node */
  uint64_t messages;
  double table; /* mean entries */
} outcome;

static double mean_table(const kad__bare *b) {
  double sum = 0;
  for (uint32_t i = 0; i < kad__bare_count(b); i++) {
    sum += (double)kad__dht_table_size(kad__bare_dht(b, i));
  }
  return sum / (double)kad__bare_count(b);
}

static void run(outcome *out, uint32_t nodes) {
  kad__bare_config config;
  kad__bare *bare = NULL;
  uint64_t before = bench_private_memory();
  kad_time gap = JOINING / nodes < GAP_MAX ? JOINING / nodes : GAP_MAX;
  kad__bare_config_default(&config);
  config.allocator = kad_allocator_default();
  config.seed = nodes;
  BENCH_CHECK(kad__bare_new(&bare, &config) == 0);
  kad_time start = bench_cpu();
  BENCH_CHECK(kad__bare_grow(bare, nodes, gap) == 0);
  out->join_cpu = bench_cpu() - start;
  out->messages = kad__bare_counters_get(bare)->messages;
  start = bench_cpu();
  BENCH_CHECK(kad__bare_look(bare, &out->survey, LOOKUPS) == 0);
  out->look_cpu = bench_cpu() - start;
  out->memory = (double)(bench_private_memory() - before) / nodes;
  out->table = mean_table(bare);
}

static void run_apart(outcome *out, uint32_t nodes) {
  int ends[2];
  BENCH_CHECK(pipe(ends) == 0);
  pid_t child = fork();
  BENCH_CHECK(child >= 0);
  if (child == 0) {
    run(out, nodes);
    bench_write(ends[1], out, sizeof(*out));
    _exit(0);
  }
  close(ends[1]);
  bench_read(ends[0], out, sizeof(*out));
  close(ends[0]);
  waitpid(child, NULL, 0);
}

static double hops(const outcome *o) {
  return (double)o->survey.hops / o->survey.lookups;
}

static void report_size(const outcome *o, uint32_t nodes) {
  const kad__bare_survey *s = &o->survey;
  char name[64];
  char note[256];
  snprintf(name, sizeof(name), "bare_closest_found_%u", nodes);
  snprintf(note, sizeof(note),
           "%u lookups, %.2f%% of the closest 20, %.1f requests each, %.0f ms "
           "of virtual time each, %.0f peers in a table",
           s->lookups, 100.0 * (double)s->found / (double)s->wanted,
           (double)s->requests / s->lookups,
           (double)s->time / (double)KAD_MILLISECOND / s->lookups, o->table);
  bench_report(&(bench_figure){.name = name,
                               .unit = "share",
                               .value = (double)s->closest / s->lookups,
                               .kind = BENCH_VALUE_AT_LEAST,
                               .target = 0.99,
                               .note = note});
  snprintf(name, sizeof(name), "bare_hops_%u", nodes);
  snprintf(note, sizeof(note), "mean; log2 of %u is %.1f", nodes, log2(nodes));
  bench_report(&(bench_figure){
      .name = name, .unit = "hops", .value = hops(o), .note = note});
  snprintf(name, sizeof(name), "bare_cpu_%u", nodes);
  snprintf(note, sizeof(note),
           "joining %.1f s with %llu messages, lookups %.1f s",
           (double)o->join_cpu / 1e9, (unsigned long long)o->messages,
           (double)o->look_cpu / 1e9);
  bench_report(
      &(bench_figure){.name = name,
                      .unit = "cpu_s",
                      .value = (double)(o->join_cpu + o->look_cpu) / 1e9,
                      .note = note});
  snprintf(name, sizeof(name), "bare_memory_per_node_%u", nodes);
  bench_report(
      &(bench_figure){.name = name, .unit = "bytes", .value = o->memory});
}

/* Hops that tenfold the nodes cost, beside what the tenfold before that cost:
 * 1 when hops grow as the logarithm, 3.2 as the square root, 10 linearly. */
static void report_growth(const outcome *o) {
  bench_report(&(bench_figure){
      .name = "bare_hops_growth",
      .unit = "ratio",
      .value = (hops(&o[2]) - hops(&o[1])) / (hops(&o[1]) - hops(&o[0])),
      .kind = BENCH_VALUE_AT_MOST,
      .target = 1.5,
      .note = "hops from 1,000 to 10,000 nodes over hops from 100 to 1,000; "
              "a logarithm gives 1"});
}

int main(int argc, char **argv) {
  uint32_t sizes[SIZES_MAX] = {100, 1000, 10000};
  int count = argc > 1 ? argc - 1 : 3;
  outcome outcomes[SIZES_MAX] = {0};
  BENCH_CHECK(count <= SIZES_MAX);
  for (int i = 0; i < count; i++) {
    if (argc > 1) {
      sizes[i] = (uint32_t)strtoul(argv[i + 1], NULL, 10);
    }
    BENCH_CHECK(sizes[i] > 0);
    run_apart(&outcomes[i], sizes[i]);
    report_size(&outcomes[i], sizes[i]);
  }
  if (argc == 1) {
    report_growth(outcomes);
  }
  return 0;
}
