/* Bare DHTs in virtual time: they join, find each other and what others
 * stored. */
#include "net.h"
#include "support.h"

typedef struct found {
  uint8_t ids[512][NET_ID_LEN];
  size_t count;
  size_t values;
} found;

static void collect(void *user, const kad__dht_event *event) {
  found *f = user;
  if ((event->type == KAD__DHT_PEER_FOUND ||
       event->type == KAD__DHT_PROVIDER_FOUND) &&
      f->count < KAD__COUNT(f->ids)) {
    memcpy(f->ids[f->count++], event->peer.id.data, NET_ID_LEN);
  }
  f->values += event->type == KAD__DHT_RECORD_FOUND;
}

static void random_key(net *n, uint8_t key[34]) {
  key[0] = 0x12;
  key[1] = 0x20;
  kad_random_bytes(&n->random, key + 2, 32);
}

static void build(net *n, uint64_t seed, uint32_t count, kad_time gap) {
  net_init(n, seed);
  for (uint32_t i = 0; i < count; i++) {
    net_add(n);
  }
  net_join_all(n, gap);
  net_run(n, 30 * KAD_SECOND);
}

/* Lookups from everywhere find the true closest twenty. */
static void test_lookups_find_the_closest(void **state) {
  (void)state;
  net n;
  uint64_t seed = test_seed("lookups_find_the_closest");
  build(&n, seed, 1000, 20 * KAD_MILLISECOND);
  double table = 0;
  for (uint32_t i = 0; i < n.count; i++) {
    table += (double)kad__dht_table_size(n.nodes[i]->dht) / n.count;
  }
  printf("1000 nodes: %.1f peers in a table, %llu messages to join\n", table,
         (unsigned long long)n.messages);
  size_t hits = 0;
  uint64_t hops = 0;
  uint64_t requests = 0;
  const size_t lookups = 200;
  n.check = true;
  for (size_t i = 0; i < lookups; i++) {
    uint8_t key[34];
    kad__query_id id;
    found f = {0};
    uint32_t from = (uint32_t)kad_random_below(&n.random, n.count);
    random_key(&n, key);
    assert_ok(kad__dht_find_closest(n.nodes[from]->dht, &id,
                                    kad__bytes(key, 34), 20, n.now));
    kad__dht_event end = net_await(&n, from, id, collect, &f);
    assert_int_equal(end.error, 0);
    assert_int_equal(f.count, 20);
    hits += net_closest_hit(&n, kad__bytes(key, 34), from, f.ids, f.count, 20);
    hops += end.stats.hops;
    requests += end.stats.requests;
  }
  printf("%zu lookups: %.2f%% of the closest, %.2f hops, %.1f requests\n",
         lookups, 100.0 * (double)hits / (20.0 * (double)lookups),
         (double)hops / (double)lookups, (double)requests / (double)lookups);
  assert_true(hits * 100 >= lookups * 20 * 99);
  net_fini(&n);
}

/* The size of the network shows in the lookups, and makes providing quicker
 * without losing providers. */
static void test_size_and_optimistic_provide(void **state) {
  (void)state;
  net n;
  kad__query_id id;
  uint64_t size = 0;
  double requests[2] = {0};
  double seconds[2] = {0};
  net_init(&n, test_seed("size_and_optimistic_provide"));
  n.config.optimistic_provide = false;
  net_add(&n);
  n.config.optimistic_provide = true;
  for (uint32_t i = 1; i < 500; i++) {
    net_add(&n);
  }
  net_join_all(&n, 20 * KAD_MILLISECOND);
  net_run(&n, 30 * KAD_SECOND);
  for (uint32_t i = 0; i < 2; i++) {
    for (int j = 0; j < 20; j++) {
      uint8_t key[34];
      random_key(&n, key);
      assert_ok(kad__dht_find_closest(n.nodes[i]->dht, &id, kad__bytes(key, 34),
                                      20, n.now));
      net_await(&n, i, id, NULL, NULL);
    }
    assert_ok(kad__dht_network_size(n.nodes[i]->dht, &size, n.now));
    print_message("500 nodes, estimated: %llu\n", (unsigned long long)size);
    assert_in_range(size, 350, 700);
  }
  for (uint32_t i = 0; i < 2; i++) {
    for (int j = 0; j < 30; j++) {
      uint8_t key[34];
      found f = {0};
      random_key(&n, key);
      kad_bytes k = kad__bytes(key, 34);
      assert_ok(kad__dht_provide(n.nodes[i]->dht, &id, k, n.now));
      kad__dht_event end = net_await(&n, i, id, NULL, NULL);
      assert_int_equal(end.error, 0);
      requests[i] += end.stats.requests / 30.0;
      seconds[i] += (double)(end.stats.end - end.stats.start) / 30e9;
      net_run(&n, KAD_SECOND);
      uint32_t asker = 2 + (uint32_t)kad_random_below(&n.random, 498);
      assert_ok(kad__dht_find_providers(n.nodes[asker]->dht, &id, k, 1, n.now));
      end = net_await(&n, asker, id, collect, &f);
      assert_int_equal(end.error, 0);
      assert_int_equal(f.count, 1);
    }
  }
  print_message(
      "provide: %.1f requests in %.3f s; optimistic: %.1f in %.3f s\n",
      requests[0], seconds[0], requests[1], seconds[1]);
  assert_true(requests[1] < requests[0]);
  assert_true(seconds[1] < seconds[0]);
  net_fini(&n);
}

/* Who takes longer than is usual is not waited for, and may store it, too. */
#define SLOW 2

/* Whatever anybody stores, announces or is, everybody finds. */
static void test_everything_is_found(void **state) {
  (void)state;
  net n;
  build(&n, test_seed("everything_is_found"), 60, 100 * KAD_MILLISECOND);
  n.check = true;
  for (uint32_t i = 0; i < 40; i++) {
    uint8_t key[34];
    kad__query_id id;
    found f = {0};
    uint32_t from = (uint32_t)kad_random_below(&n.random, n.count);
    uint32_t to = (uint32_t)kad_random_below(&n.random, n.count);
    random_key(&n, key);
    kad_bytes k = kad__bytes(key, 34);
    assert_ok(kad__dht_put(n.nodes[from]->dht, &id, k, kad__bytes_of("value"),
                           KAD_TIME_NEVER,
                           (kad__quorum){.kind = KAD__QUORUM_ALL}, n.now));
    kad__dht_event end = net_await(&n, from, id, NULL, NULL);
    assert_int_equal(end.error, 0);
    assert_in_range(end.stored, 20, 20 + SLOW);
    assert_ok(kad__dht_get(n.nodes[to]->dht, &id, k, 1, n.now));
    end = net_await(&n, to, id, collect, &f);
    assert_int_equal(end.error, 0);
    assert_int_equal(f.values, 1);
    assert_bytes_equal(end.record.value, kad__bytes_of("value"));

    assert_ok(kad__dht_provide(n.nodes[from]->dht, &id, k, n.now));
    end = net_await(&n, from, id, NULL, NULL);
    assert_int_equal(end.error, 0);
    assert_in_range(end.stored, 20, 20 + SLOW);
    assert_ok(kad__dht_find_providers(n.nodes[to]->dht, &id, k, 1, n.now));
    end = net_await(&n, to, id, collect, &f);
    assert_int_equal(end.error, 0);
    assert_int_equal(f.count, 1);
    assert_memory_equal(f.ids[0], n.nodes[from]->id, NET_ID_LEN);

    assert_ok(
        kad__dht_find_peer(n.nodes[to]->dht, &id, net_id(&n, from), n.now));
    end = net_await(&n, to, id, collect, &f);
    assert_int_equal(end.error, 0);
    assert_int_equal(f.count, 2);
    assert_memory_equal(f.ids[1], n.nodes[from]->id, NET_ID_LEN);
  }
  net_fini(&n);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_everything_is_found),
      cmocka_unit_test(test_lookups_find_the_closest),
      cmocka_unit_test(test_size_and_optimistic_provide),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
