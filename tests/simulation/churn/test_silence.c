/* A network three tenths of which take every request and answer none: lookups
 * of the others take at most twice as long, and find exactly whom they would
 * find if the silent were not there. */
#include <sys/resource.h>

#include "simulator/bare.h"
#include "support.h"

#ifdef SMALL
#define NODES 300
#define LOOKUPS 500
#else
#define NODES 1000
#define LOOKUPS 1000
#endif

#define EVERY (100 * KAD_MILLISECOND)
#define KEY_LEN 32

typedef struct lookup {
  kad__query_id query; /* 0: over */
  uint32_t node;
  uint32_t count;
  uint32_t found[KAD__K];
  uint8_t key[KEY_LEN];
} lookup;

typedef struct figures {
  uint32_t over;
  uint32_t exact; /* all twenty, in order */
  uint64_t hits;  /* of the true twenty */
  uint64_t requests;
  kad_time median, mean;
  kad_time times[LOOKUPS];
} figures;

typedef struct world {
  kad__bare *bare;
  kad_random random;
  bool silent[NODES];
  lookup lookups[LOOKUPS];
} world;

static double cpu_seconds(void) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return (double)usage.ru_utime.tv_sec + (double)usage.ru_utime.tv_usec / 1e6;
}

/* ---- lookups ------------------------------------------------------------- */

static void start(world *w, lookup *l) {
  do {
    l->node = (uint32_t)kad_random_below(&w->random, NODES);
  } while (w->silent[l->node]);
  kad_random_bytes(&w->random, l->key, KEY_LEN);
  assert_ok(kad__dht_find_closest(kad__bare_dht(w->bare, l->node), &l->query,
                                  kad__bytes(l->key, KEY_LEN), KAD__K,
                                  kad__bare_now(w->bare)));
  kad__bare_touch(w->bare, l->node);
}

static bool holds(const lookup *l, uint32_t number) {
  for (uint32_t i = 0; i < l->count; i++) {
    if (l->found[i] == number) {
      return true;
    }
  }
  return false;
}

static void judge(world *w, figures *f, lookup *l,
                  const kad__query_stats *stats) {
  uint32_t truth[KAD__K];
  int count = kad__bare_closest(w->bare, truth, KAD__K,
                                kad__bytes(l->key, KEY_LEN), l->node);
  assert_int_equal(count, KAD__K);
  for (uint32_t i = 0; i < KAD__K; i++) {
    f->hits += holds(l, truth[i]);
  }
  f->exact += l->count == KAD__K && memcmp(l->found, truth, sizeof(truth)) == 0;
  f->requests += stats->requests;
  f->times[f->over++] = stats->end - stats->start;
  l->query = 0;
}

static void on_event(world *w, figures *f, uint32_t number,
                     const kad__dht_event *event) {
  for (uint32_t i = 0; i < LOOKUPS; i++) {
    lookup *l = &w->lookups[i];
    if (l->query != event->query || l->query == 0 || l->node != number) {
      continue;
    }
    if (event->type == KAD__DHT_PEER_FOUND) {
      assert_true(l->count < KAD__K);
      l->found[l->count++] = kad__bare_find(w->bare, event->peer.id);
    } else if (event->type == KAD__DHT_QUERY_ENDED) {
      assert_ok(event->error);
      judge(w, f, l, &event->stats);
    }
  }
}

static void run(world *w, figures *f, kad_time duration) {
  kad_time until = kad__bare_now(w->bare) + duration;
  uint32_t number;
  kad__dht_event event;
  do {
    while (kad__bare_poll(w->bare, &number, &event)) {
      if (f != NULL) {
        on_event(w, f, number, &event);
      }
    }
  } while (kad__bare_step(w->bare, until));
}

static int by_time(const void *a, const void *b) {
  kad_time x = *(const kad_time *)a;
  kad_time y = *(const kad_time *)b;
  return (x > y) - (x < y);
}

static void look(figures *f, world *w, const char *name) {
  memset(f, 0, sizeof(*f));
  memset(w->lookups, 0, sizeof(w->lookups));
  for (uint32_t i = 0; i < LOOKUPS; i++) {
    start(w, &w->lookups[i]);
    run(w, f, EVERY);
  }
  run(w, f, KAD_MINUTE);
  assert_int_equal(f->over, LOOKUPS);
  qsort(f->times, LOOKUPS, sizeof(f->times[0]), by_time);
  for (uint32_t i = 0; i < LOOKUPS; i++) {
    f->mean += f->times[i] / LOOKUPS;
  }
  f->median = f->times[LOOKUPS / 2];
  printf(
      "  %s: median %.0f ms, mean %.0f ms, slowest %.0f ms, %.1f requests, "
      "%u of %d exact, %.2f%% of the closest\n",
      name, (double)f->median / 1e6, (double)f->mean / 1e6,
      (double)f->times[LOOKUPS - 1] / 1e6, (double)f->requests / LOOKUPS,
      f->exact, LOOKUPS, 100.0 * (double)f->hits / (KAD__K * LOOKUPS));
}

/* ---- networks ------------------------------------------------------------ */

static bool of_the_silent(uint32_t number) {
  return number % 10 >= 7;
}

static void begin(world *w, const kad_allocator *allocator, uint64_t seed) {
  kad__bare_config config;
  kad__bare_config_default(&config);
  config.allocator = allocator;
  config.seed = seed;
  config.dht.trust_peers = false; /* as in a node */
  memset(w, 0, sizeof(*w));
  kad_random_init_u64(&w->random, seed + 1);
  assert_ok(kad__bare_new(&w->bare, &config));
}

static void silence(world *w, uint32_t number) {
  w->silent[number] = true;
  kad__bare_silence(w->bare, number);
}

static void end(world *w) {
  for (uint32_t i = 0; i < NODES; i++) {
    const char *broken = kad__dht_check(kad__bare_dht(w->bare, i));
    if (broken != NULL) {
      fail_msg("node %u: %s", i, broken);
    }
  }
  kad__bare_free(w->bare);
}

static void assert_quick(const figures *silent, const figures *all) {
  assert_true(silent->median <= 2 * all->median);
  assert_true(silent->mean <= 2 * all->mean);
}

static void assert_exact(const figures *f) {
  assert_true(f->exact * 1000 >= LOOKUPS * 995);
}

/* Three tenths of a network that everybody knows fall silent. Answers go on
 * naming them at first, so that some of the closest go unnamed; once the tables
 * are rid of them everything is as before. */
static void falls_silent(uint64_t seed, figures *all) {
  test_allocator memory;
  figures f;
  world w;
  test_allocator_init(&memory);
  begin(&w, &memory.allocator, seed);
  assert_ok(kad__bare_grow(w.bare, NODES, 10 * KAD_MILLISECOND));
  look(all, &w, "all answer");
  assert_exact(all);
  for (uint32_t i = 0; i < NODES; i++) {
    if (of_the_silent(i)) {
      silence(&w, i);
    }
  }
  look(&f, &w, "as they fall silent");
  assert_quick(&f, all);
  assert_true(f.hits * 100 >= (uint64_t)LOOKUPS * KAD__K * 85);
  run(&w, NULL, 20 * KAD_MINUTE);
  look(&f, &w, "twenty minutes later");
  assert_quick(&f, all);
  assert_exact(&f);
  end(&w);
  assert_int_equal(memory.live, 0);
}

/* Three tenths of those who join never answer. */
static void is_silent(uint64_t seed, const figures *all) {
  test_allocator memory;
  figures f;
  world w;
  test_allocator_init(&memory);
  begin(&w, &memory.allocator, seed);
  for (uint32_t i = 0; i < NODES; i++) {
    uint32_t contact = KAD__BARE_NOBODY;
    while (i > 0 && (contact == KAD__BARE_NOBODY || w.silent[contact])) {
      contact = (uint32_t)kad_random_below(&w.random, i);
    }
    assert_int_equal(kad__bare_add(w.bare, contact), i);
    if (of_the_silent(i)) {
      silence(&w, i);
    }
    run(&w, NULL, 10 * KAD_MILLISECOND);
  }
  run(&w, NULL, 2 * KAD_MINUTE);
  look(&f, &w, "silent from the beginning");
  assert_quick(&f, all);
  assert_exact(&f);
  end(&w);
  assert_int_equal(memory.live, 0);
}

static void test_silence(void **state) {
  (void)state;
  uint64_t seed = test_seed("silence");
  figures *all = malloc(sizeof(*all));
  assert_non_null(all);
  printf("%d nodes, three tenths silent\n", NODES);
  falls_silent(seed, all);
  is_silent(seed, all);
  printf("  %.1f s of CPU\n", cpu_seconds());
  free(all);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_silence)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
