/* Networks that are not kind: dead, silent and lying peers, loss, churn. The
 * figures are printed. */
#include "net.h"
#include "support.h"

typedef struct found {
  uint8_t ids[512][NET_ID_LEN];
  size_t count;
} found;

static void collect(void *user, const kad__dht_event *event) {
  found *f = user;
  if ((event->type == KAD__DHT_PEER_FOUND ||
       event->type == KAD__DHT_PROVIDER_FOUND) &&
      f->count < KAD__COUNT(f->ids)) {
    memcpy(f->ids[f->count++], event->peer.id.data, NET_ID_LEN);
  }
}

static void add_many(net *n, uint32_t count) {
  for (uint32_t i = 0; i < count; i++) {
    net_add(n);
  }
}

static void random_key(net *n, uint8_t key[34]) {
  key[0] = 0x12;
  key[1] = 0x20;
  kad_random_bytes(&n->random, key + 2, 32);
}

static uint32_t random_up(net *n) {
  uint32_t node;
  do {
    node = (uint32_t)kad_random_below(&n->random, n->count);
  } while (n->nodes[node]->state != NET_UP);
  return node;
}

typedef struct figures {
  double seconds; /* mean time of a lookup */
  double slowest;
  double requests;
  double exact; /* of the true closest, found */
} figures;

static figures lookups(net *n, size_t count) {
  figures r = {0};
  for (size_t i = 0; i < count; i++) {
    uint8_t key[34];
    kad__query_id id;
    found f = {0};
    uint32_t from = random_up(n);
    random_key(n, key);
    assert_ok(kad__dht_find_closest(n->nodes[from]->dht, &id,
                                    kad__bytes(key, 34), 20, n->now));
    kad__dht_event end = net_await(n, from, id, collect, &f);
    double seconds =
        (double)(end.stats.end - end.stats.start) / (double)KAD_SECOND;
    r.seconds += seconds / (double)count;
    r.slowest = seconds > r.slowest ? seconds : r.slowest;
    r.requests += (double)end.stats.requests / (double)count;
    r.exact += (double)net_closest_hit(n, kad__bytes(key, 34), from, f.ids,
                                       f.count, 20) /
               (20.0 * (double)count);
  }
  return r;
}

static void print_figures(const char *name, const figures *f) {
  print_message(
      "%s: %.3f s a lookup, %.3f s the slowest, %.1f requests, "
      "%.2f%% of the closest\n",
      name, f->seconds, f->slowest, f->requests, 100 * f->exact);
}

/* Three in ten never answer: lookups take at most twice as long (G-04). */
static void test_silent_peers(void **state) {
  (void)state;
  net n;
  net_init(&n, test_seed("silent_peers"));
  add_many(&n, 300);
  net_join_all(&n, 50 * KAD_MILLISECOND);
  net_run(&n, KAD_MINUTE);
  figures kind = lookups(&n, 100);
  print_figures("all answer", &kind);
  for (uint32_t i = 0; i < n.count; i++) {
    if (i % 10 < 3) {
      net_set(&n, i, NET_SILENT);
    }
  }
  figures silent = lookups(&n, 100);
  print_figures("30% have just fallen silent", &silent);
  net_run(&n, 5 * KAD_MINUTE);
  figures later = lookups(&n, 100);
  print_figures("five minutes later", &later);
  assert_true(silent.seconds <= 2 * kind.seconds);
  assert_true(later.seconds <= 2 * kind.seconds);
  /* At first the others still name the silent ones. */
  assert_true(silent.exact >= 0.8);
  assert_true(later.exact >= 0.97);
  net_fini(&n);
}

/* Six in ten of the table are dead: lookups stay below ten seconds, and the
 * dead are gone after a while (G-06). */
static void test_dead_peers(void **state) {
  (void)state;
  net n;
  net_init(&n, test_seed("dead_peers"));
  add_many(&n, 300);
  net_join_all(&n, 50 * KAD_MILLISECOND);
  net_run(&n, KAD_MINUTE);
  for (uint32_t i = 0; i < n.count; i++) {
    if (i % 5 < 3) {
      net_set(&n, i, NET_DOWN);
    }
  }
  figures dead = lookups(&n, 60);
  print_figures("60% have just died", &dead);
  assert_true(dead.slowest < 10);
  assert_true(dead.exact >= 0.6);
  net_run(&n, KAD_HOUR);
  figures later = lookups(&n, 60);
  print_figures("an hour later", &later);
  size_t dead_entries = 0;
  size_t entries = 0;
  for (uint32_t i = 0; i < n.count; i++) {
    kad__wire_peer peers[256];
    size_t count =
        n.nodes[i]->state != NET_UP
            ? 0
            : kad__dht_closest_local(n.nodes[i]->dht, peers, 256, net_id(&n, i),
                                     (kad_bytes){0}, n.now);
    for (size_t j = 0; j < count; j++) {
      int peer = net_find(&n, peers[j].id);
      dead_entries += n.nodes[peer]->state != NET_UP;
    }
    entries += count;
  }
  print_message("dead entries in the tables: %zu of %zu\n", dead_entries,
                entries);
  assert_true(dead_entries * 100 <= entries);
  assert_true(later.exact >= 0.99);
  net_fini(&n);
}

/* One message in twenty is lost. */
static void test_loss(void **state) {
  (void)state;
  net n;
  net_init(&n, test_seed("loss"));
  n.loss = 50;
  add_many(&n, 200);
  net_join_all(&n, 50 * KAD_MILLISECOND);
  net_run(&n, KAD_MINUTE);
  figures f = lookups(&n, 100);
  print_figures("5% loss", &f);
  assert_true(f.exact >= 0.75);
  net_fini(&n);
}

/* ---- lies --------------------------------------------------------------- */

#define MALICIOUS(node) ((node)->index % 5 == 0)

/* Names other liars as closer, has no record, drops what it is given. */
static int lie(net *n, net_node *node, kad__message *reply,
               const kad__message *request, kad_bytes from) {
  static uint8_t lists[20][16];
  (void)from;
  if (!MALICIOUS(node) || request->type == KAD__PING) {
    return 2;
  }
  if (request->type == KAD__ADD_PROVIDER) {
    return 0;
  }
  kad__message_init(reply, request->type);
  reply->key = request->key;
  if (request->type == KAD__PUT_VALUE) {
    reply->has_record = true;
    reply->record = request->record;
    return 1;
  }
  for (uint32_t i = 0; i < 20; i++) {
    uint32_t liar = 5 * (uint32_t)kad_random_below(&n->random, n->count / 5);
    lists[i][0] = 0x12;
    lists[i][1] = 8;
    memcpy(lists[i] + 2, n->nodes[liar]->address, 8);
    reply->closer[i] = (kad__wire_peer){.id = net_id(n, liar),
                                        .addresses = kad__bytes(lists[i], 10)};
  }
  reply->closer_count = 20;
  return 1;
}

static double records_found(uint64_t seed, bool disjoint) {
  net n;
  size_t got = 0;
  const size_t count = 60;
  net_init(&n, seed);
  n.config.disjoint_paths = disjoint;
  add_many(&n, 400);
  net_join_all(&n, 50 * KAD_MILLISECOND);
  net_run(&n, KAD_MINUTE);
  n.answer = lie;
  for (size_t i = 0; i < count; i++) {
    uint8_t key[34];
    kad__query_id id;
    uint32_t from = random_up(&n);
    uint32_t to = random_up(&n);
    random_key(&n, key);
    kad_bytes k = kad__bytes(key, 34);
    assert_ok(kad__dht_put(n.nodes[from]->dht, &id, k, kad__bytes_of("value"),
                           KAD_TIME_NEVER,
                           (kad__quorum){.kind = KAD__QUORUM_ALL}, n.now));
    net_await(&n, from, id, NULL, NULL);
    assert_ok(kad__dht_get(n.nodes[to]->dht, &id, k, 1, n.now));
    kad__dht_event end = net_await(&n, to, id, NULL, NULL);
    got += end.error == 0;
  }
  net_fini(&n);
  return (double)got / (double)count;
}

/* One in five lies: disjoint paths find 95% of the records. */
static void test_malicious_peers(void **state) {
  (void)state;
  uint64_t seed = test_seed("malicious_peers");
  double single = records_found(seed, false);
  double disjoint = records_found(seed, true);
  print_message("20%% begin to lie: one path finds %.1f%%, disjoint %.1f%%\n",
                100 * single, 100 * disjoint);
  assert_true(disjoint >= 0.95);
}

/* ---- churn -------------------------------------------------------------- */

#define CHURN_NODES 120
#define CHURN_KEYS 30

typedef struct churn {
  net n;
  uint8_t keys[CHURN_KEYS][34];
  kad_time flips[4096]; /* when a node changes its state */
} churn;

/* Exponential with that median, in whole seconds. */
static kad_time session(net *n, kad_time median) {
  kad_time total = 0;
  while (kad_random_below(&n->random, 2) == 0) {
    total += median;
  }
  return total + kad_random_below(&n->random, median) + KAD_SECOND;
}

static void come(churn *c, uint32_t node) {
  kad__query_id id;
  net *n = &c->n;
  net_set(n, node, NET_UP);
  net_introduce(n, node, 0);
  if (kad__dht_bootstrap(n->nodes[node]->dht, &id, n->now) == 0) {
    net_touch(n, node);
  }
}

/* Nodes come and go while time passes. The first twenty stay: they publish and
 * ask. */
static void pass(churn *c, kad_time duration) {
  net *n = &c->n;
  kad_time until = n->now + duration;
  while (n->now < until) {
    net_run(n, 10 * KAD_SECOND);
    for (uint32_t i = 20; i < n->count; i++) {
      if (n->now < c->flips[i]) {
        continue;
      }
      c->flips[i] = n->now + session(n, 10 * KAD_MINUTE);
      if (n->nodes[i]->state == NET_UP) {
        net_set(n, i, NET_DOWN);
      } else {
        come(c, i);
      }
    }
  }
}

/* Six hours of churn, median session ten minutes: what is published again and
 * replicated in time is found. */
static void test_churn(void **state) {
  (void)state;
  churn *c = calloc(1, sizeof *c);
  net *n = &c->n;
  size_t got = 0;
  size_t provided = 0;
  size_t asked = 0;
  kad__query_id id;
  net_init(n, test_seed("churn"));
  n->config.record_ttl = 2 * KAD_HOUR;
  n->config.provider_ttl = 2 * KAD_HOUR;
  n->config.replication_interval = 20 * KAD_MINUTE;
  n->config.bootstrap_interval = 15 * KAD_MINUTE;
  n->config.publication_interval = 30 * KAD_MINUTE;
  n->config.provider_publication_interval = 10 * KAD_MINUTE;
  add_many(n, CHURN_NODES);
  net_join_all(n, 100 * KAD_MILLISECOND);
  for (uint32_t i = 20; i < n->count; i++) {
    c->flips[i] = n->now + session(n, 10 * KAD_MINUTE);
  }
  for (uint32_t i = 0; i < CHURN_KEYS; i++) {
    uint32_t from = i % 20;
    random_key(n, c->keys[i]);
    kad_bytes key = kad__bytes(c->keys[i], 34);
    assert_ok(kad__dht_put(n->nodes[from]->dht, &id, key,
                           kad__bytes_of("value"), KAD_TIME_NEVER,
                           (kad__quorum){0}, n->now));
    net_await(n, from, id, NULL, NULL);
    assert_ok(kad__dht_provide(n->nodes[from]->dht, &id, key, n->now));
    net_await(n, from, id, NULL, NULL);
  }
  for (int round = 0; round < 12; round++) {
    pass(c, 30 * KAD_MINUTE);
    for (uint32_t i = 0; i < CHURN_KEYS; i++) {
      uint32_t to = (i + 7) % 20;
      kad_bytes key = kad__bytes(c->keys[i], 34);
      assert_ok(kad__dht_get(n->nodes[to]->dht, &id, key, 1, n->now));
      got += net_await(n, to, id, NULL, NULL).error == 0;
      assert_ok(
          kad__dht_find_providers(n->nodes[to]->dht, &id, key, 1, n->now));
      provided += net_await(n, to, id, NULL, NULL).error == 0;
      asked++;
    }
  }
  print_message("6 h of churn: %.2f%% of records, %.2f%% of providers found\n",
                100.0 * (double)got / (double)asked,
                100.0 * (double)provided / (double)asked);
  assert_true(got * 100 >= asked * 99);
  assert_true(provided * 100 >= asked * 99);
  net_fini(n);
  free(c);
}

/* The network falls apart for a minute and heals (G-10). */
static void test_partition(void **state) {
  (void)state;
  net n;
  net_init(&n, test_seed("partition"));
  add_many(&n, 100);
  net_join_all(&n, 50 * KAD_MILLISECOND);
  net_run(&n, KAD_MINUTE);
  for (uint32_t i = 1; i < n.count; i++) {
    net_set(&n, i, NET_SILENT);
  }
  /* Node 0 is alone, and asks all the time. */
  for (int i = 0; i < 6; i++) {
    uint8_t key[34];
    kad__query_id id;
    random_key(&n, key);
    if (kad__dht_find_closest(n.nodes[0]->dht, &id, kad__bytes(key, 34), 20,
                              n.now) == 0) {
      net_await(&n, 0, id, NULL, NULL);
    }
    net_run(&n, 10 * KAD_SECOND);
  }
  print_message("alone for a while: %zu peers left in the table\n",
                kad__dht_table_size(n.nodes[0]->dht));
  assert_true(kad__dht_table_size(n.nodes[0]->dht) > 10);
  for (uint32_t i = 1; i < n.count; i++) {
    net_set(&n, i, NET_UP);
  }
  net_run(&n, 2 * KAD_MINUTE);
  figures f = lookups(&n, 30);
  print_figures("healed", &f);
  assert_true(f.exact >= 0.99);
  net_fini(&n);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_silent_peers),
      cmocka_unit_test(test_dead_peers),
      cmocka_unit_test(test_loss),
      cmocka_unit_test(test_malicious_peers),
      cmocka_unit_test(test_partition),
      cmocka_unit_test(test_churn),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
