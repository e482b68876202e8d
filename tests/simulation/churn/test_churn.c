/* A network that comes and goes: always a thousand nodes, none of which stays
 * long, and what they publish is found all the time.
 *
 * Sessions follow a Weibull distribution of shape 0.6, as those measured in
 * BitTorrent and in eDonkey's Kad (Stutzbach and Rejaie 2006; Steiner,
 * En-Najjary and Biersack 2007), with a median of ten minutes: many leave
 * within a minute, some stay for hours. Everybody leaves without a word.
 * Whoever leaves is replaced at once, by a newcomer or by one that was here
 * before and brings what a node's snapshot holds: contacts, its records, what
 * it provides.
 *
 * The figures are printed; they are those of docs/tests.md. */
#include <math.h>
#include <sys/resource.h>

#include "kademlia/inspect.h"
#include "simulator/bare.h"
#include "support.h"

#ifdef SMALL
#define NODES 100
#define HOURS 1
#define ITEMS 20 /* records, and as many keys that somebody provides */
#else
#define NODES 1000
#define HOURS 6
#define ITEMS 60
#endif

#define MEDIAN (10 * KAD_MINUTE)
#define SHAPE 0.6
/* A record and a provider are asked for so often. */
#define ASKS_EVERY (5 * KAD_SECOND)
/* Whoever was up for less is not asked to ask, nor to publish. */
#define SETTLED (10 * KAD_SECOND)
/* Whoever came back has published again after so long. */
#define RESUMED (15 * KAD_MINUTE)
/* Providers are not replicated, so they have to come often enough themselves.
 */
#define REPLICATED (10 * KAD_MINUTE)
#define PUBLISHED (2 * KAD_HOUR)
#define PROVIDED (10 * KAD_MINUTE)
#define RECORD_TTL (4 * KAD_HOUR)
#define PROVIDER_TTL (30 * KAD_MINUTE)
#define KEY_LEN 34
#define CONTACTS 64 /* of a snapshot, as in src/node/ */
#define ASKS_MAX 256

typedef struct member {
  kad_time since; /* it came (back) */
  kad_time leaves;
  uint32_t contacts[CONTACTS + 1];
  uint32_t contact_count;
  bool gone; /* for good */
} member;

typedef struct item {
  bool record; /* or provided */
  uint32_t owner;
  kad_time began; /* the publishing that goes on */
  kad_time safe;  /* until then others keep it; 0: not yet published */
  uint8_t key[KEY_LEN];
} item;

typedef struct ask {
  kad__query_id query; /* 0: free */
  uint32_t node;
  uint32_t owner;
  const item *item;
  bool found;
} ask;

typedef struct score {
  uint32_t asked, found;
  uint64_t requests, failures;
  kad_time time;
} score;

typedef struct world {
  kad__bare *bare;
  kad_random random;
  member *members; /* by number */
  uint32_t cap;
  uint32_t up[NODES];
  uint32_t *away; /* may come back */
  uint32_t away_count;
  item items[2 * ITEMS];
  ask asks[ASKS_MAX];
  score records, providers;
  uint32_t joins, returns, published, replaced, late;
  uint64_t table;
} world;

static double cpu_seconds(void) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return (double)usage.ru_utime.tv_sec + (double)usage.ru_utime.tv_usec / 1e6;
}

static kad_time session(world *w) {
  double u =
      ((double)kad_random_below(&w->random, UINT32_MAX) + 1) / UINT32_MAX;
  double scale = (double)MEDIAN / pow(log(2), 1 / SHAPE);
  return (kad_time)(scale * pow(-log(u), 1 / SHAPE)) + KAD_SECOND;
}

static bool is_up(const world *w, uint32_t number) {
  return kad__bare_dht(w->bare, number) != NULL;
}

static bool up_for(const world *w, uint32_t number, kad_time time) {
  return is_up(w, number) &&
         kad__bare_now(w->bare) - w->members[number].since >= time;
}

static uint32_t random_up(world *w) {
  for (;;) {
    uint32_t number = w->up[kad_random_below(&w->random, NODES)];
    if (up_for(w, number, SETTLED)) {
      return number;
    }
  }
}

/* ---- coming and going ---------------------------------------------------- */

static void came(world *w, uint32_t number) {
  while (number >= w->cap) {
    uint32_t cap = w->cap == 0 ? NODES : 2 * w->cap;
    w->members = realloc(w->members, cap * sizeof(member));
    w->away = realloc(w->away, cap * sizeof(uint32_t));
    assert_true(w->members != NULL && w->away != NULL);
    memset(w->members + w->cap, 0, (cap - w->cap) * sizeof(member));
    w->cap = cap;
  }
  w->members[number].since = kad__bare_now(w->bare);
  w->members[number].leaves = kad__bare_now(w->bare) + session(w);
}

static void take_snapshot(world *w, uint32_t number) {
  member *m = &w->members[number];
  const kad__dht *dht = kad__bare_dht(w->bare, number);
  kad__bucket_view bucket;
  kad__entry_view entry;
  uint32_t at = 0;
  m->contact_count = 0;
  while (kad__dht_next_bucket(dht, &at, &bucket)) {
    uint32_t cursor = 0;
    while (m->contact_count < CONTACTS &&
           kad__dht_next_entry(dht, bucket.index, &cursor, &entry)) {
      if (!entry.pending) {
        m->contacts[m->contact_count++] = kad__bare_find(w->bare, entry.peer);
      }
    }
  }
}

static void restore(world *w, uint32_t number) {
  kad__store *store = kad__bare_store(w->bare, number);
  kad_bytes id = kad__bare_id(w->bare, number);
  for (uint32_t i = 0; i < KAD__COUNT(w->items); i++) {
    const item *it = &w->items[i];
    kad_bytes key = kad__bytes(it->key, KEY_LEN);
    kad__record record = {
        .key = key, .value = key, .publisher = id, .expires = KAD_TIME_NEVER};
    kad__provider provider = {
        .key = key, .provider = id, .expires = KAD_TIME_NEVER};
    if (it->owner == number && it->record) {
      assert_ok(store->ops->put(store, &record, true));
    } else if (it->owner == number) {
      assert_ok(store->ops->add_provider(store, &provider, true));
    }
  }
  kad__dht_resume(kad__bare_dht(w->bare, number), kad__bare_now(w->bare));
  kad__bare_touch(w->bare, number);
}

/* The last contact is the one that it is configured with: those that it knew
 * may all be gone, and whoever knows nobody else makes an island of it. */
static uint32_t come_back(world *w) {
  uint32_t at = (uint32_t)kad_random_below(&w->random, w->away_count);
  uint32_t number = w->away[at];
  member *m = &w->members[number];
  w->away[at] = w->away[--w->away_count];
  m->contacts[m->contact_count++] = random_up(w);
  assert_ok(kad__bare_return(w->bare, number, m->contacts, m->contact_count));
  w->returns++;
  restore(w, number);
  return number;
}

static uint32_t join(world *w) {
  int number = kad__bare_add(w->bare, random_up(w));
  assert_ok(number);
  w->joins++;
  return (uint32_t)number;
}

static bool coin(world *w) {
  return kad_random_below(&w->random, 2) == 0;
}

static void replace(world *w, uint32_t slot) {
  uint32_t leaver = w->up[slot];
  w->table += kad__dht_table_size(kad__bare_dht(w->bare, leaver));
  if (coin(w)) {
    take_snapshot(w, leaver);
    w->away[w->away_count++] = leaver;
  } else {
    w->members[leaver].gone = true;
  }
  kad__bare_crash(w->bare, leaver);
  uint32_t number = coin(w) && w->away_count > 0 ? come_back(w) : join(w);
  w->up[slot] = number;
  came(w, number);
}

/* ---- publishing ---------------------------------------------------------- */

static void publish(world *w, item *it) {
  kad__query_id id;
  uint8_t *key = it->key;
  it->owner = random_up(w);
  it->safe = 0;
  it->began = kad__bare_now(w->bare);
  key[0] = 0x12;
  key[1] = 32;
  kad_random_bytes(&w->random, key + 2, KEY_LEN - 2);
  kad__dht *dht = kad__bare_dht(w->bare, it->owner);
  kad_bytes k = kad__bytes(key, KEY_LEN);
  assert_ok(it->record
                ? kad__dht_put(dht, &id, k, k, KAD_TIME_NEVER,
                               (kad__quorum){.kind = KAD__QUORUM_MAJORITY},
                               it->began)
                : kad__dht_provide(dht, &id, k, it->began));
  kad__bare_touch(w->bare, it->owner);
  w->published++;
}

/* What nobody will publish again is followed by something new: a record when it
 * has lived out its life, what was provided when nobody does. */
static void follow(world *w) {
  kad_time now = kad__bare_now(w->bare);
  for (uint32_t i = 0; i < KAD__COUNT(w->items); i++) {
    item *it = &w->items[i];
    bool over = it->safe == 0 || !it->record || now >= it->safe;
    if (w->members[it->owner].gone && over) {
      publish(w, it);
      w->replaced++;
    }
  }
}

static bool is_publishing(kad__query_kind kind) {
  return kind == KAD__QUERY_PUT || kind == KAD__QUERY_REPUBLISH ||
         kind == KAD__QUERY_PROVIDE || kind == KAD__QUERY_REPROVIDE;
}

static void on_published(world *w, uint32_t number,
                         const kad__dht_event *event) {
  for (uint32_t i = 0; i < KAD__COUNT(w->items); i++) {
    item *it = &w->items[i];
    if (it->owner == number && event->stored > 0 &&
        kad__bytes_equal(event->key, kad__bytes(it->key, KEY_LEN))) {
      it->safe = event->stats.start + (it->record ? RECORD_TTL : PROVIDER_TTL);
    }
  }
}

/* ---- asking -------------------------------------------------------------- */

/* Somebody must know it: it has been published, and not been given up. A
 * provider that is away is of no use. */
static bool is_due(const world *w, const item *it) {
  kad_time now = kad__bare_now(w->bare);
  bool kept = now + KAD_MINUTE < it->safe;
  return it->safe != 0 && (up_for(w, it->owner, RESUMED) ||
                           (kept && (it->record || is_up(w, it->owner))));
}

static void ask_for(world *w, const item *it) {
  uint32_t i = 0;
  while (i < ASKS_MAX && w->asks[i].query != 0) {
    i++;
  }
  if (i == ASKS_MAX || !is_due(w, it)) {
    return;
  }
  ask *a = &w->asks[i];
  kad_time now = kad__bare_now(w->bare);
  *a = (ask){.item = it, .owner = it->owner};
  do {
    a->node = random_up(w);
  } while (a->node == it->owner);
  kad__dht *dht = kad__bare_dht(w->bare, a->node);
  kad_bytes key = kad__bytes(it->key, KEY_LEN);
  assert_ok(it->record ? kad__dht_get(dht, &a->query, key, 1, now)
                       : kad__dht_find_providers(dht, &a->query, key, 1, now));
  kad__bare_touch(w->bare, a->node);
}

static void on_answer(world *w, ask *a, const kad__dht_event *event) {
  score *s = a->item->record ? &w->records : &w->providers;
  if (event->type == KAD__DHT_PROVIDER_FOUND) {
    a->found = a->found || kad__bytes_equal(event->peer.id,
                                            kad__bare_id(w->bare, a->owner));
  }
  if (event->type != KAD__DHT_QUERY_ENDED) {
    return;
  }
  if (a->item->record) {
    a->found = kad__bytes_equal(event->record.value, event->key);
  }
  s->asked++;
  s->found += a->found;
  s->requests += event->stats.requests;
  s->failures += event->stats.failures;
  s->time += event->stats.end - event->stats.start;
  a->query = 0;
}

static void on_event(world *w, uint32_t number, const kad__dht_event *event) {
  if (event->type == KAD__DHT_QUERY_ENDED && is_publishing(event->kind)) {
    on_published(w, number, event);
  }
  for (uint32_t i = 0; i < ASKS_MAX; i++) {
    ask *a = &w->asks[i];
    if (a->query == event->query && a->query != 0 && a->node == number) {
      on_answer(w, a, event);
    }
  }
}

/* Whoever asked and left is not waited for. */
static void forget_asks(world *w) {
  for (uint32_t i = 0; i < ASKS_MAX; i++) {
    ask *a = &w->asks[i];
    if (a->query != 0 && !is_up(w, a->node)) {
      a->query = 0;
    }
  }
}

/* ---- the hours ----------------------------------------------------------- */

static void run(world *w, kad_time until) {
  uint32_t number;
  kad__dht_event event;
  do {
    while (kad__bare_poll(w->bare, &number, &event)) {
      on_event(w, number, &event);
    }
  } while (kad__bare_step(w->bare, until));
}

static uint32_t first_to_leave(const world *w) {
  uint32_t first = 0;
  for (uint32_t i = 1; i < NODES; i++) {
    if (w->members[w->up[i]].leaves < w->members[w->up[first]].leaves) {
      first = i;
    }
  }
  return first;
}

static void pass(world *w, kad_time duration) {
  kad_time end = kad__bare_now(w->bare) + duration;
  kad_time next_ask = kad__bare_now(w->bare);
  while (kad__bare_now(w->bare) < end) {
    uint32_t leaver = first_to_leave(w);
    kad_time leaves = w->members[w->up[leaver]].leaves;
    run(w, leaves < next_ask ? leaves : next_ask);
    if (leaves < next_ask) {
      replace(w, leaver);
      forget_asks(w);
      continue;
    }
    follow(w);
    ask_for(w, &w->items[kad_random_below(&w->random, ITEMS)]);
    ask_for(w, &w->items[ITEMS + kad_random_below(&w->random, ITEMS)]);
    next_ask += ASKS_EVERY;
  }
}

static void begin(world *w, const kad_allocator *allocator, uint64_t seed) {
  kad__bare_config config;
  kad__bare_config_default(&config);
  config.allocator = allocator;
  config.seed = seed;
  config.dht.trust_peers = false; /* as in a node */
  config.dht.caching = 0; /* asking shall not keep alive what is asked for */
  config.dht.record_ttl = RECORD_TTL;
  config.dht.provider_ttl = PROVIDER_TTL;
  config.dht.replication_interval = REPLICATED;
  config.dht.publication_interval = PUBLISHED;
  config.dht.provider_publication_interval = PROVIDED;
  config.dht.bootstrap_interval = 10 * KAD_MINUTE;
  kad_random_init_u64(&w->random, seed + 1);
  assert_ok(kad__bare_new(&w->bare, &config));
  assert_ok(kad__bare_grow(w->bare, NODES, 10 * KAD_MILLISECOND));
  for (uint32_t i = 0; i < NODES; i++) {
    w->up[i] = i;
    came(w, i);
  }
  run(w, kad__bare_now(w->bare) + SETTLED);
  for (uint32_t i = 0; i < KAD__COUNT(w->items); i++) {
    w->items[i].record = i < ITEMS;
    publish(w, &w->items[i]);
  }
}

static void print_score(const char *name, const score *s) {
  printf(
      "  %s: %u of %u found (%.2f%%), %.1f requests of which %.1f in vain, "
      "%.0f ms\n",
      name, s->found, s->asked, 100.0 * s->found / s->asked,
      (double)s->requests / s->asked, (double)s->failures / s->asked,
      (double)s->time / (double)KAD_MILLISECOND / s->asked);
}

static void check_all(const world *w) {
  for (uint32_t i = 0; i < NODES; i++) {
    const char *broken = kad__dht_check(kad__bare_dht(w->bare, w->up[i]));
    if (broken != NULL) {
      fail_msg("node %u: %s", w->up[i], broken);
    }
  }
}

static void test_churn(void **state) {
  (void)state;
  test_allocator memory;
  uint64_t seed = test_seed("churn");
  world *w = calloc(1, sizeof(*w));
  assert_non_null(w);
  test_allocator_init(&memory);
  begin(w, &memory.allocator, seed);
  pass(w, HOURS * KAD_HOUR);
  check_all(w);
  const kad__bare_counters *c = kad__bare_counters_get(w->bare);
  printf("%d nodes, %d h, median session %d min: %u joined, %u came back\n",
         NODES, HOURS, (int)(MEDIAN / KAD_MINUTE), w->joins, w->returns);
  print_score("records", &w->records);
  print_score("providers", &w->providers);
  printf(
      "  %u published of which %u later, %.1f peers in the table of who "
      "left\n  %llu messages, %llu dials in vain, %.1f s of CPU, %.1f MB\n",
      w->published, w->replaced, (double)w->table / (w->joins + w->returns),
      (unsigned long long)c->messages, (unsigned long long)c->unreachable,
      cpu_seconds(), (double)memory.peak_bytes / 1e6);
  assert_true(w->records.asked > HOURS * 360);
  assert_true(w->providers.asked > HOURS * 360);
  assert_true(w->records.found >= 0.99 * w->records.asked);
  assert_true(w->providers.found >= 0.99 * w->providers.asked);
  kad__bare_free(w->bare);
  free(w->members);
  free(w->away);
  free(w);
  assert_int_equal(memory.live, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_churn)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
