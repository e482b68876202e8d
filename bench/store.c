/* The two stores with many records: what a put and a get cost, how large the
 * file is, what opening it again takes, how long a sweep of everything lasts,
 * and how long the longest single call: a store is called on the thread that
 * drives the node.
 *
 *     bench_store [RECORDS]     1,000,000, or KADMIUM_BENCH_RECORDS
 *
 * The file is in TMPDIR, /tmp by default. Half of the records are values, half
 * say who provides something; they come from a thousand networks. */
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "bench.h"
#include "kadmium/random.h"
#include "store/sqlite_store.h"

#define GETS 200000
#define VALUE_LEN 200
#define PEERS 20000
#define NETWORKS 1000
#define UNIX_NS (UINT64_C(1700000000) * KAD_SECOND)

typedef struct run {
  const char *name; /* of the store */
  uint32_t count;
  char path[256];
  kad__store *s;
  kad_time longest; /* call, since the last report of it */
} run;

static const uint64_t secret[2] = {1, 2};

/* ---- reports --------------------------------------------------------------
 */

static void report(const run *r, const char *what, const char *unit,
                   double value, const char *note) {
  char name[64];
  (void)snprintf(name, sizeof(name), "%s_%s", r->name, what);
  bench_report(&(bench_figure){
      .name = name, .unit = unit, .value = value, .note = note});
}

static double seconds(kad_time time) {
  return (double)time / (double)KAD_SECOND;
}

static void report_longest(run *r, const char *what) {
  report(r, what, "ms", 1000 * seconds(r->longest), "wall time of one call");
  r->longest = 0;
}

static void note_call(run *r, kad_time begun) {
  kad_time took = bench_now() - begun;
  r->longest = took > r->longest ? took : r->longest;
}

/* ---- records --------------------------------------------------------------
 */

/* A multihash that belongs to the number. */
static kad_bytes id_of(uint8_t out[34], char kind, uint32_t n) {
  kad_random random;
  kad_random_init_u64(&random, (uint64_t)kind << 32 | n);
  out[0] = 0x12;
  out[1] = 32;
  kad_random_bytes(&random, out + 2, 32);
  return kad__bytes(out, 34);
}

static void put(run *r, uint32_t n) {
  static uint8_t value[VALUE_LEN];
  uint8_t key[34];
  uint8_t peer[34];
  kad_time expires = KAD_HOUR + n * KAD_MICROSECOND;
  kad_bytes source = id_of(peer, 'p', n % PEERS);
  uint64_t group = 1 + n % PEERS % NETWORKS;
  kad_time begun = bench_now();
  int error;
  if (n % 2 == 0) {
    kad__record record = {.key = id_of(key, 'k', n),
                          .value = kad__bytes(value, VALUE_LEN),
                          .publisher = source,
                          .expires = expires,
                          .source = source,
                          .group = group};
    error = r->s->ops->put(r->s, &record, false);
  } else {
    kad__provider record = {.key = id_of(key, 'k', n),
                            .provider = source,
                            .addresses = kad__bytes(value, 30),
                            .expires = expires,
                            .group = group};
    error = r->s->ops->add_provider(r->s, &record, false);
  }
  note_call(r, begun);
  BENCH_CHECK(error == 0);
}

static void get(run *r, uint32_t n) {
  uint8_t key[34];
  kad__record record;
  kad__provider list[20];
  kad_bytes id = id_of(key, 'k', n);
  kad_time begun = bench_now();
  bool found = n % 2 == 0 ? r->s->ops->get(r->s, &record, id)
                          : r->s->ops->providers(r->s, list, 20, id) == 1;
  note_call(r, begun);
  BENCH_CHECK(found);
}

/* ---- what is measured -----------------------------------------------------
 */

static void measure_puts(run *r) {
  kad_time cpu = bench_cpu();
  for (uint32_t n = 0; n < r->count; n++) {
    put(r, n);
  }
  report(r, "puts", "1/s", r->count / seconds(bench_cpu() - cpu),
         "per second of CPU, system included");
  report_longest(r, "longest_put");
}

static void measure_gets(run *r) {
  kad_random random;
  kad_random_init_u64(&random, 7);
  kad_time cpu = bench_cpu();
  for (uint32_t i = 0; i < GETS; i++) {
    get(r, (uint32_t)kad_random_below(&random, r->count));
  }
  report(r, "gets", "1/s", GETS / seconds(bench_cpu() - cpu),
         "per second of CPU, of records in random order");
  report_longest(r, "longest_get");
}

static void measure_sweep(run *r) {
  kad_time now = 3 * KAD_HOUR;
  kad_time cpu = bench_cpu();
  while (r->s->ops->deadline(r->s) <= now) {
    kad_time begun = bench_now();
    r->s->ops->expire(r->s, now);
    note_call(r, begun);
  }
  report(r, "sweep", "s", seconds(bench_cpu() - cpu),
         "of CPU until every record, all of them expired, is gone");
  report_longest(r, "longest_sweep");
}

static kad__memory_store_config limits_for(uint32_t count) {
  kad__memory_store_config limits;
  kad__memory_store_config_default(&limits);
  limits.max_records = count;
  limits.max_provider_keys = count;
  limits.max_bytes = SIZE_MAX / 4;
  limits.max_provider_bytes = SIZE_MAX / 4;
  return limits;
}

static void open_file(run *r, bool trust) {
  kad__sqlite_store_config config;
  kad__sqlite_store_config_default(&config);
  config.limits = limits_for(r->count);
  config.trust_file = trust;
  memcpy(config.secret, secret, sizeof(secret));
  BENCH_CHECK(kad__sqlite_store_new(&r->s, kad_allocator_default(), r->path,
                                    &config, 0, UNIX_NS) == 0);
}

static void measure_opening(run *r, const char *what, bool trust) {
  (void)malloc_trim(0); /* what the last store has left */
  uint64_t memory = bench_private_memory();
  kad_time cpu = bench_cpu();
  open_file(r, trust);
  report(r, what, "s", seconds(bench_cpu() - cpu),
         trust ? "of CPU, records counted" : "of CPU, the whole file checked");
  if (trust) {
    uint64_t more = bench_private_memory();
    report(r, "open_memory", "MB",
           (double)(more > memory ? more - memory : 0) / 1e6,
           "of an open store, 2 MiB of cache included");
  }
}

static void run_file(run *r) {
  struct stat file;
  open_file(r, true);
  measure_puts(r);
  measure_gets(r);
  r->s->ops->free(r->s);
  BENCH_CHECK(stat(r->path, &file) == 0);
  report(r, "bytes_per_record", "B", (double)file.st_size / r->count,
         "of the file, of 34 bytes of key and 200 of value or 30 of addresses");
  measure_opening(r, "open_checked", false);
  r->s->ops->free(r->s);
  measure_opening(r, "open", true);
  measure_sweep(r);
  r->s->ops->free(r->s);
}

static void run_memory(run *r) {
  kad__memory_store_config limits = limits_for(r->count);
  uint64_t memory = bench_private_memory();
  BENCH_CHECK(kad__memory_store_new(&r->s, kad_allocator_default(), &limits,
                                    secret) == 0);
  measure_puts(r);
  report(r, "bytes_per_record", "B",
         (double)(bench_private_memory() - memory) / r->count,
         "of memory, of 34 bytes of key and 200 of value or 30 of addresses");
  measure_gets(r);
  measure_sweep(r);
  r->s->ops->free(r->s);
}

int main(int argc, char **argv) {
  const char *from = getenv("KADMIUM_BENCH_RECORDS");
  const char *root = getenv("TMPDIR");
  char directory[200];
  from = argc > 1 ? argv[1] : from;
  unsigned long count = from == NULL ? 1000000 : strtoul(from, NULL, 10);
  BENCH_CHECK(count > 0 && count < UINT32_MAX / 2);
  run file = {.name = "sqlite_store", .count = (uint32_t)count};
  run memory = {.name = "memory_store", .count = (uint32_t)count};
  (void)snprintf(directory, sizeof(directory), "%.150s/kad-bench-XXXXXX",
                 root != NULL ? root : "/tmp");
  BENCH_CHECK(mkdtemp(directory) != NULL);
  (void)snprintf(file.path, sizeof(file.path), "%s/store.db", directory);
  bench_pin(BENCH_MEASURED);
  run_memory(&memory);
  run_file(&file);
  (void)unlink(file.path);
  (void)rmdir(directory);
  return 0;
}
