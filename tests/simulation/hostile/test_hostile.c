/* Networks of bare DHTs under attack or in pieces. The figures are printed. */
#include "net.h"
#include "support.h"

typedef struct found {
  uint8_t ids[64][NET_ID_LEN];
  size_t count;
} found;

static void collect(void *user, const kad__dht_event *event) {
  found *f = user;
  if (event->type == KAD__DHT_PEER_FOUND && f->count < KAD__COUNT(f->ids)) {
    memcpy(f->ids[f->count++], event->peer.id.data, NET_ID_LEN);
  }
}

static void random_key(net *n, uint8_t key[34]) {
  key[0] = 0x12;
  key[1] = 0x20;
  kad_random_bytes(&n->random, key + 2, 32);
}

static void build(net *n, uint32_t count) {
  for (uint32_t i = 0; i < count; i++) {
    net_add(n);
  }
  net_join_all(n, 50 * KAD_MILLISECOND);
  net_run(n, KAD_MINUTE);
}

/* Mean seconds of `count` lookups, each from another of the first nodes. */
static double lookups(net *n, uint32_t count) {
  double seconds = 0;
  for (uint32_t i = 0; i < count; i++) {
    uint8_t key[34];
    kad__query_id id;
    random_key(n, key);
    assert_ok(kad__dht_find_closest(n->nodes[i]->dht, &id, kad__bytes(key, 34),
                                    20, n->now));
    kad__dht_event end = net_await(n, i, id, NULL, NULL);
    seconds += (double)(end.stats.end - end.stats.start) / (double)KAD_SECOND;
  }
  return seconds / count;
}

/* How many in the table of `node` are numbered `from` or higher. */
static size_t entries_from(const net *n, uint32_t node, uint32_t from) {
  kad__wire_peer peers[256];
  size_t hits = 0;
  size_t count = kad__dht_closest_local(
      n->nodes[node]->dht, peers, 256, net_id(n, node), (kad_bytes){0}, n->now);
  for (size_t i = 0; i < count; i++) {
    hits += net_find(n, peers[i].id) >= (int)from;
  }
  return hits;
}

/* Half of the network connects to everybody and never answers: none of them is
 * in a table, and lookups do not notice. */
static void test_silent_half(void **state) {
  (void)state;
  net n;
  const uint32_t honest = 40;
  net_init(&n, test_seed("silent_half"));
  n.config.bucket_size = 2 * honest;
  build(&n, honest);
  double before = lookups(&n, honest);
  for (uint32_t i = 0; i < honest; i++) {
    uint32_t node = net_add(&n);
    net_set(&n, node, NET_SILENT);
    for (uint32_t j = 0; j < honest; j++) {
      assert_ok(kad__dht_peer_confirmed(n.nodes[j]->dht, net_id(&n, node),
                                        net_address(&n, node), n.now));
      net_touch(&n, j);
    }
    net_run(&n, KAD_SECOND);
  }
  net_run(&n, 2 * KAD_MINUTE);
  for (uint32_t j = 0; j < honest; j++) {
    assert_int_equal(entries_from(&n, j, honest), 0);
  }
  double after = lookups(&n, honest);
  print_message("half are silent: %.3f s a lookup, %.3f s without them\n",
                after, before);
  assert_true(after <= 2 * before);
  net_fini(&n);
}

/* Everybody takes 9.9 seconds to answer. Queries keep their time and find what
 * can be found in it. */
static void test_slow_network(void **state) {
  (void)state;
  net n;
  net_init(&n, test_seed("slow_network"));
  build(&n, 100);
  n.latency_min = n.latency_max = 4950 * KAD_MILLISECOND;
  for (uint32_t i = 0; i < 10; i++) {
    uint8_t key[34];
    kad__query_id id;
    found f = {0};
    random_key(&n, key);
    assert_ok(kad__dht_find_closest(n.nodes[i]->dht, &id, kad__bytes(key, 34),
                                    20, n.now));
    kad__dht_event end = net_await(&n, i, id, collect, &f);
    assert_true(end.stats.end - end.stats.start <= n.config.query_timeout);
    assert_true(end.stats.requests > n.config.parallelism);
    assert_true(f.count >= 15);
  }
  net_fini(&n);
}

/* ---- in two halves ------------------------------------------------------ */

/* What comes from the other side is not answered. */
static int two_halves(net *n, net_node *node, kad__message *reply,
                      const kad__message *request, kad_bytes from) {
  int other = net_find(n, from);
  (void)reply;
  if ((uint32_t)other % 2 == node->index % 2) {
    return 2;
  }
  return request->type == KAD__ADD_PROVIDER ? KAD_E_CLOSED : 0;
}

/* A thousand lookups are under way when the network falls in two for a minute:
 * all end, and afterwards the halves are one again. */
static void test_partition_of_halves(void **state) {
  (void)state;
  net n;
  size_t ended = 0;
  net_init(&n, test_seed("partition_of_halves"));
  build(&n, 100);
  n.answer = two_halves;
  for (uint32_t i = 0; i < 1000; i++) {
    uint8_t key[34];
    kad__query_id id;
    random_key(&n, key);
    assert_ok(kad__dht_find_closest(n.nodes[i % 100]->dht, &id,
                                    kad__bytes(key, 34), 20, n.now));
    net_touch(&n, i % 100);
  }
  kad_time until = n.now + KAD_MINUTE + KAD_SECOND;
  while (net_step(&n, until)) {
    for (uint32_t i = 0; i < n.count; i++) {
      kad__dht_event event;
      while (kad__dht_poll_event(n.nodes[i]->dht, &event)) {
        ended += event.type == KAD__DHT_QUERY_ENDED &&
                 event.kind == KAD__QUERY_CLOSEST;
      }
    }
  }
  assert_int_equal(ended, 1000);
  n.answer = NULL;
  net_run(&n, 5 * KAD_MINUTE);
  size_t hits = 0;
  for (uint32_t i = 0; i < 20; i++) {
    uint8_t key[34];
    kad__query_id id;
    found f = {0};
    random_key(&n, key);
    assert_ok(kad__dht_find_closest(n.nodes[i]->dht, &id, kad__bytes(key, 34),
                                    20, n.now));
    net_await(&n, i, id, collect, &f);
    hits += net_closest_hit(&n, kad__bytes(key, 34), i, f.ids, f.count, 20);
  }
  print_message("after a minute in halves: %.2f%% of the closest\n",
                (double)hits / 4);
  assert_true(hits >= 396);
  net_fini(&n);
}

/* ---- a restart among attackers ------------------------------------------ */

#define HONEST 60
#define REMEMBERED 5
#define NETWORKS 8

/* Attackers name attackers alone. */
static int conspire(net *n, net_node *node, kad__message *reply,
                    const kad__message *request, kad_bytes from) {
  static uint8_t lists[20][16];
  (void)from;
  if (node->index < HONEST || node->index == n->count - 1 ||
      request->type != KAD__FIND_NODE) {
    return 2;
  }
  kad__message_init(reply, request->type);
  for (uint32_t i = 0; i < 20; i++) {
    uint32_t other =
        HONEST + (uint32_t)kad_random_below(&n->random, n->count - 1 - HONEST);
    lists[i][0] = 0x12;
    lists[i][1] = 8;
    memcpy(lists[i] + 2, n->nodes[other]->address, 8);
    reply->closer[i] = (kad__wire_peer){.id = net_id(n, other),
                                        .addresses = kad__bytes(lists[i], 10)};
  }
  reply->closer_count = 20;
  return 1;
}

/* The attackers are in a few networks, everybody else in one of its own. */
static uint64_t network_of(void *user, kad_bytes address) {
  uint32_t index = kad__load32(address.data + 4);
  (void)user;
  return index >= HONEST && index < 3 * HONEST ? 1 + index % NETWORKS
                                               : 100 + index;
}

typedef struct known {
  size_t honest;
  size_t attackers;
} known;

static known restart(uint64_t seed, bool defended) {
  net n;
  kad__query_id id;
  net_init(&n, seed);
  n.config.address_group = defended ? network_of : NULL;
  n.config.disjoint_paths = defended;
  build(&n, HONEST);
  for (uint32_t i = 0; i < 2 * HONEST; i++) {
    net_add(&n);
  }
  uint32_t victim = net_add(&n);
  n.answer = conspire;
  for (uint32_t i = 0; i < REMEMBERED; i++) {
    net_introduce(&n, victim, 7 * i);
  }
  for (uint32_t i = HONEST; i < victim; i++) {
    assert_ok(kad__dht_peer_confirmed(n.nodes[victim]->dht, net_id(&n, i),
                                      net_address(&n, i), n.now));
    net_touch(&n, victim);
  }
  assert_ok(kad__dht_bootstrap(n.nodes[victim]->dht, &id, n.now));
  net_touch(&n, victim);
  net_run(&n, (defended ? 5 : 1) * KAD_MINUTE);
  known k = {.attackers = entries_from(&n, victim, HONEST)};
  k.honest = kad__dht_table_size(n.nodes[victim]->dht) - k.attackers;
  print_message("restart among attackers, %s: %zu honest, %zu attackers\n",
                defended ? "defended" : "undefended", k.honest, k.attackers);
  net_fini(&n);
  return k;
}

/* A node comes back with the few honest peers that it remembers, and twice as
 * many attackers as there are honest nodes connect first. Those it remembers
 * stay, but no more is certain; with disjoint paths, and groups of addresses
 * bounded, the honest outnumber the attackers within five minutes. */
static void test_restart_among_attackers(void **state) {
  (void)state;
  uint64_t seed = test_seed("restart_among_attackers");
  assert_true(restart(seed, false).honest >= REMEMBERED);
  known defended = restart(seed, true);
  assert_true(defended.attackers <= NETWORKS * 3);
  assert_true(defended.honest > defended.attackers);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_silent_half),
      cmocka_unit_test(test_slow_network),
      cmocka_unit_test(test_partition_of_halves),
      cmocka_unit_test(test_restart_among_attackers),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
