/* Networks of bare DHTs in virtual time, of 100 to 100,000 nodes (or of the
 * sizes given as arguments): what bootstrapping them costs, whether lookups
 * find the truly closest and in how many hops and requests, what a put and a
 * get send beside what rust-libp2p would send in the same network, and what a
 * table takes. Every network runs in a child, whose memory is its own; what it
 * is doing goes to stderr. */
#include "simulator/bare.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"
#include "kademlia/state.h"
#include "rust_rules.h"

#define LOOKUPS 10000
#define OPERATIONS 300 /* puts, and gets of what was put */
#define SIZES_MAX 8
#define LARGE 50000 /* whose progress is told */
#define PARTS 10
/* All nodes of a network join within so long: before the first refreshes. */
#define JOINING (200 * KAD_SECOND)
#define GAP_MAX (10 * KAD_MILLISECOND)

/* Requests of all operations of a kind together, ours and theirs. */
typedef struct operations {
  uint64_t put, get_one, get_all;
  uint64_t rust_look; /* a get of theirs; a put goes on to the results */
  uint64_t rust_results;
  uint32_t count;
} operations;

typedef struct outcome {
  kad__bare_survey survey;
  operations operations;
  kad_time join_cpu;
  kad_time look_cpu;
  double memory; /* bytes of this process for one node */
  uint64_t peak; /* of this process, bytes */
  uint64_t messages;
  double table; /* mean entries */
  double entry; /* bytes of a table for each of its entries */
} outcome;

/* ---- what tables take ---------------------------------------------------- */

static size_t table_bytes(const kad__table *t) {
  size_t bytes = t->bucket_count * sizeof(kad__bucket);
  for (uint32_t i = 0; i < t->bucket_count; i++) {
    bytes += t->buckets[i].cap * sizeof(kad__entry);
    bytes += t->buckets[i].pending == NULL ? 0 : sizeof(kad__pending);
  }
  return bytes;
}

static void measure_tables(outcome *out, const kad__bare *b) {
  double entries = 0;
  double bytes = 0;
  for (uint32_t i = 0; i < kad__bare_count(b); i++) {
    const kad__dht *dht = kad__bare_dht(b, i);
    entries += (double)kad__dht_table_size(dht);
    bytes += (double)table_bytes(&dht->table);
  }
  out->table = entries / (double)kad__bare_count(b);
  out->entry = bytes / entries;
}

/* ---- puts and gets ------------------------------------------------------- */

typedef enum operation { PUT, GET_ONE, GET_ALL } operation;

static void begin(kad__bare *b, operation what, uint32_t node, kad_bytes key) {
  const kad__quorum all = {.kind = KAD__QUORUM_ALL};
  kad__query_id id;
  kad__dht *dht = kad__bare_dht(b, node);
  kad_time now = kad__bare_now(b);
  if (what == PUT) {
    BENCH_CHECK(kad__dht_put(dht, &id, key, key, KAD_TIME_NEVER, all, now) ==
                0);
  } else {
    BENCH_CHECK(kad__dht_get(dht, &id, key, what == GET_ONE ? 1 : 0, now) == 0);
  }
  kad__bare_touch(b, node);
}

/* Lets all that was begun end; their requests together. */
static uint64_t finish(kad__bare *b, kad__query_kind kind, uint32_t count) {
  uint64_t requests = 0;
  while (count > 0) {
    uint32_t node;
    kad__dht_event event;
    while (kad__bare_poll(b, &node, &event)) {
      if (event.type == KAD__DHT_QUERY_ENDED && event.kind == kind) {
        BENCH_CHECK(event.error == 0);
        requests += event.stats.requests;
        count--;
      }
    }
    (void)kad__bare_step(b, kad__bare_now(b) + KAD_SECOND);
  }
  return requests;
}

/* The `i`-th operation of a kind has a node of its own: at each at most one of
 * them is under way. */
static uint32_t node_of(const operations *o, uint32_t nodes, uint32_t i,
                        uint32_t kind) {
  return (uint32_t)((uint64_t)nodes * i / o->count + kind) % nodes;
}

static kad_bytes key_of(uint32_t i) {
  static uint8_t keys[OPERATIONS][4];
  kad__store32(keys[i], i);
  return kad__bytes(keys[i], sizeof(keys[i]));
}

static void operate(operations *o, kad__bare *b, uint32_t nodes) {
  o->count = nodes < OPERATIONS ? nodes : OPERATIONS;
  for (uint32_t i = 0; i < o->count; i++) {
    rust_lookup theirs;
    rust_rules_look(&theirs, b, node_of(o, nodes, i, PUT), key_of(i));
    BENCH_CHECK(theirs.results == (nodes > KAD__K ? KAD__K : nodes - 1));
    o->rust_look += theirs.requests;
    o->rust_results += theirs.results;
  }
  for (uint32_t i = 0; i < o->count; i++) {
    begin(b, PUT, node_of(o, nodes, i, PUT), key_of(i));
  }
  o->put = finish(b, KAD__QUERY_PUT, o->count);
  for (uint32_t i = 0; i < o->count; i++) {
    begin(b, GET_ONE, node_of(o, nodes, i, GET_ONE), key_of(i));
  }
  o->get_one = finish(b, KAD__QUERY_GET, o->count);
  for (uint32_t i = 0; i < o->count; i++) {
    begin(b, GET_ALL, node_of(o, nodes, i, GET_ALL), key_of(i));
  }
  o->get_all = finish(b, KAD__QUERY_GET, o->count);
}

/* ---- one network --------------------------------------------------------- */

static void tell(uint32_t nodes, const char *what, kad_time start) {
  if (nodes >= LARGE) {
    fprintf(stderr, "bare %u: %s, %.0f s of CPU\n", nodes, what,
            (double)(bench_cpu() - start) / 1e9);
  }
}

/* In a large network the nodes come in parts, for the sake of who waits. */
static void grow(kad__bare *b, uint32_t nodes, kad_time start) {
  uint32_t parts = nodes >= LARGE ? PARTS : 1;
  kad_time gap = JOINING / nodes < GAP_MAX ? JOINING / nodes : GAP_MAX;
  for (uint32_t i = 1; i <= parts; i++) {
    char text[32];
    uint32_t end = (uint32_t)((uint64_t)nodes * i / parts);
    uint32_t more = end - (uint32_t)kad__bare_count(b);
    BENCH_CHECK(kad__bare_grow(b, more, gap) == 0);
    snprintf(text, sizeof(text), "%u joined", end);
    tell(nodes, text, start);
  }
}

static void run(outcome *out, uint32_t nodes) {
  kad__bare_config config;
  kad__bare *bare = NULL;
  struct rusage usage;
  uint64_t before = bench_private_memory();
  kad__bare_config_default(&config);
  config.allocator = kad_allocator_default();
  config.seed = nodes;
  BENCH_CHECK(kad__bare_new(&bare, &config) == 0);
  kad_time start = bench_cpu();
  grow(bare, nodes, start);
  kad_time joined = bench_cpu();
  out->join_cpu = joined - start;
  out->messages = kad__bare_counters_get(bare)->messages;
  BENCH_CHECK(kad__bare_look(bare, &out->survey, LOOKUPS) == 0);
  out->look_cpu = bench_cpu() - joined;
  tell(nodes, "lookups done", start);
  out->memory = (double)(bench_private_memory() - before) / nodes;
  measure_tables(out, bare);
  operate(&out->operations, bare, nodes);
  BENCH_CHECK(getrusage(RUSAGE_SELF, &usage) == 0);
  out->peak = 1024 * (uint64_t)usage.ru_maxrss;
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

/* ---- rows ---------------------------------------------------------------- */

static double hops(const outcome *o) {
  return (double)o->survey.hops / o->survey.lookups;
}

static void report(const char *what, uint32_t nodes, bench_figure figure) {
  char name[64];
  snprintf(name, sizeof(name), "bare_%s_%u", what, nodes);
  figure.name = name;
  bench_report(&figure);
}

static void report_lookups(const outcome *o, uint32_t nodes) {
  const kad__bare_survey *s = &o->survey;
  char note[128];
  snprintf(note, sizeof(note),
           "of %u lookups; %.2f%% of the closest 20; %.0f ms of virtual time "
           "each",
           s->lookups, 100.0 * (double)s->found / (double)s->wanted,
           (double)s->time / (double)KAD_MILLISECOND / s->lookups);
  report("closest_found", nodes,
         (bench_figure){.unit = "share",
                        .value = (double)s->closest / s->lookups,
                        .kind = BENCH_VALUE_AT_LEAST,
                        .target = 0.99,
                        .note = note});
  report("all_20_found", nodes,
         (bench_figure){.unit = "share",
                        .value = (double)s->complete / s->lookups,
                        .kind = BENCH_VALUE_AT_LEAST,
                        .target = 0.99,
                        .note = "lookups that found all of the closest 20"});
  snprintf(note, sizeof(note), "mean; log2 of %u is %.1f", nodes, log2(nodes));
  report("hops", nodes,
         (bench_figure){.unit = "hops", .value = hops(o), .note = note});
  report("requests", nodes,
         (bench_figure){.unit = "requests",
                        .value = (double)s->requests / s->lookups,
                        .note = note});
}

/* In each row ours, and as floor what their rules send. */
static void report_operations(const operations *o, uint32_t nodes) {
  double n = o->count;
  double rust_look = (double)o->rust_look / n;
  double rust_put = rust_look + (double)o->rust_results / n;
  report("put_requests", nodes,
         (bench_figure){.unit = "requests",
                        .value = (double)o->put / n,
                        .floor = rust_put,
                        .note = "lookup and stores; floor: rust-libp2p's rules "
                                "in the same network"});
  report("get_requests", nodes,
         (bench_figure){.unit = "requests",
                        .value = (double)o->get_one / n,
                        .floor = rust_look,
                        .note = "ends with the first value; floor: "
                                "rust-libp2p's rules, which end with the "
                                "lookup"});
  report("get_all_requests", nodes,
         (bench_figure){.unit = "requests",
                        .value = (double)o->get_all / n,
                        .floor = rust_look,
                        .note = "all values; floor: rust-libp2p's rules"});
}

static void report_costs(const outcome *o, uint32_t nodes) {
  bool largest = nodes >= 100000;
  char note[128];
  snprintf(note, sizeof(note),
           "joining %.1f s with %llu messages, lookups %.1f s",
           (double)o->join_cpu / 1e9, (unsigned long long)o->messages,
           (double)o->look_cpu / 1e9);
  report("cpu", nodes,
         (bench_figure){.unit = "cpu_s",
                        .value = (double)(o->join_cpu + o->look_cpu) / 1e9,
                        .kind = largest ? BENCH_VALUE_AT_MOST : BENCH_NO_TARGET,
                        .target = 600,
                        .note = note});
  report("messages_per_join", nodes,
         (bench_figure){.unit = "messages",
                        .value = (double)o->messages / nodes,
                        .note = "requests and answers"});
  report("memory_peak", nodes,
         (bench_figure){.unit = "bytes",
                        .value = (double)o->peak,
                        .kind = largest ? BENCH_VALUE_AT_MOST : BENCH_NO_TARGET,
                        .target = 8.0 * 1024 * 1024 * 1024,
                        .note = "resident, of the whole process"});
  report("memory_per_node", nodes,
         (bench_figure){.unit = "bytes", .value = o->memory});
  snprintf(note, sizeof(note),
           "%zu of the entry, the rest is slack and the buckets; %.0f entries "
           "in a table",
           sizeof(kad__entry), o->table);
  report("table_entry", nodes,
         (bench_figure){.unit = "bytes",
                        .value = o->entry,
                        .kind = BENCH_VALUE_AT_MOST,
                        .target = 48,
                        .note = note});
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
  uint32_t sizes[SIZES_MAX] = {100, 1000, 10000, 100000};
  int count = argc > 1 ? argc - 1 : 4;
  outcome outcomes[SIZES_MAX] = {0};
  BENCH_CHECK(count <= SIZES_MAX);
  for (int i = 0; i < count; i++) {
    if (argc > 1) {
      sizes[i] = (uint32_t)strtoul(argv[i + 1], NULL, 10);
    }
    BENCH_CHECK(sizes[i] > 0);
    run_apart(&outcomes[i], sizes[i]);
    report_lookups(&outcomes[i], sizes[i]);
    report_operations(&outcomes[i].operations, sizes[i]);
    report_costs(&outcomes[i], sizes[i]);
    fflush(stdout);
  }
  if (count >= 3 && sizes[0] == 100 && sizes[1] == 1000 && sizes[2] == 10000) {
    report_growth(outcomes);
  }
  return 0;
}
