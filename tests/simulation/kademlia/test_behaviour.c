/* The behaviours that rust-libp2p's kad promises, between bare DHTs. */
#include "net.h"
#include "support.h"

typedef struct found {
  uint8_t ids[512][NET_ID_LEN];
  size_t count;
  size_t values;
  size_t steps;
  net *net;
} found;

static void collect(void *user, const kad__dht_event *event) {
  found *f = user;
  assert_int_equal(event->step, ++f->steps);
  if ((event->type == KAD__DHT_PEER_FOUND ||
       event->type == KAD__DHT_PROVIDER_FOUND) &&
      f->count < KAD__COUNT(f->ids)) {
    memcpy(f->ids[f->count++], event->peer.id.data, NET_ID_LEN);
  }
  f->values += event->type == KAD__DHT_RECORD_FOUND;
}

static void make(net *n, uint64_t seed, uint32_t count) {
  net_init(n, seed);
  n->check = true;
  n->config.bootstrap_throttle = KAD_TIME_NEVER;
  n->config.bootstrap_interval = KAD_TIME_NEVER;
  for (uint32_t i = 0; i < count; i++) {
    net_add(n);
  }
}

/* Node i knows the next `step` nodes. */
static void chain(net *n, uint32_t step) {
  for (uint32_t i = 0; i + 1 < n->count; i++) {
    for (uint32_t j = i + 1; j <= i + step && j < n->count; j++) {
      net_introduce(n, i, j);
    }
  }
}

static void everybody(net *n) {
  for (uint32_t i = 0; i < n->count; i++) {
    for (uint32_t j = 0; j < n->count; j++) {
      if (i != j) {
        net_introduce(n, i, j);
      }
    }
  }
}

static kad__dht_event wait_for(net *n, uint32_t node, int error,
                               const kad__query_id *id, found *f) {
  memset(f, 0, sizeof *f);
  assert_ok(error);
  return net_await(n, node, *id, collect, f);
}

static kad_bytes random_key(net *n) {
  static uint8_t keys[16][34];
  static unsigned at;
  uint8_t *key = keys[at++ % 16];
  key[0] = 0x12;
  key[1] = 0x20;
  kad_random_bytes(&n->random, key + 2, 32);
  return kad__bytes(key, 34);
}

static void test_bootstrap(void **state) {
  (void)state;
  uint64_t seed = test_seed("bootstrap");
  for (size_t run = 0; run < test_runs(10); run++) {
    net n;
    kad__query_id id;
    found f;
    kad_random random;
    kad_random_init_u64(&random, seed + run);
    make(&n, seed + run, 0);
    n.config.disjoint_paths = run % 2 == 0;
    uint32_t count = 2 + (uint32_t)kad_random_below(&random, 18);
    for (uint32_t i = 0; i < count; i++) {
      net_add(&n);
    }
    chain(&n, 1 + (uint32_t)kad_random_below(&random, 4));
    kad__dht_event end = wait_for(
        &n, 0, kad__dht_bootstrap(n.nodes[0]->dht, &id, n.now), &id, &f);
    assert_int_equal(end.error, 0);
    assert_int_equal(kad__dht_table_size(n.nodes[0]->dht), count - 1);
    net_fini(&n);
  }
}

/* Along a chain everybody is found, in order of distance. */
static void test_chain(void **state) {
  (void)state;
  uint64_t seed = test_seed("chain");
  for (size_t run = 0; run < test_runs(10); run++) {
    net n;
    kad__query_id id;
    found f;
    uint32_t count = 2 + (uint32_t)(seed + run) % 18;
    make(&n, seed + run, count);
    chain(&n, 1);
    kad_bytes key = random_key(&n);
    kad__dht_event end = wait_for(
        &n, 0, kad__dht_find_closest(n.nodes[0]->dht, &id, key, 20, n.now), &id,
        &f);
    assert_int_equal(end.error, 0);
    assert_int_equal(f.count, count - 1);
    assert_int_equal(net_closest_hit(&n, key, 0, f.ids, f.count, f.count),
                     f.count);
    kad__key target = kad__key_of(net_hash, key);
    kad__key last = {{0}};
    for (size_t i = 0; i < f.count; i++) {
      kad__key k = kad__key_of(net_hash, kad__bytes(f.ids[i], NET_ID_LEN));
      kad__key d = kad__key_distance(&k, &target);
      assert_true(kad__key_compare(&last, &d) < 0);
      last = d;
    }
    net_fini(&n);
  }
}

static void test_unresponsive_peers_are_no_result(void **state) {
  (void)state;
  net n;
  kad__query_id id;
  found f;
  make(&n, test_seed("unresponsive"), 12);
  for (uint32_t i = 2; i < 12; i++) {
    net_set(&n, i, i % 2 == 0 ? NET_DOWN : NET_SILENT);
    net_introduce(&n, 0, i);
  }
  kad__dht_event end = wait_for(
      &n, 0,
      kad__dht_find_closest(n.nodes[0]->dht, &id, random_key(&n), 20, n.now),
      &id, &f);
  assert_int_equal(end.error, 0);
  assert_int_equal(f.count, 0);
  net_introduce(&n, 1, 0);
  end = wait_for(
      &n, 1,
      kad__dht_find_closest(n.nodes[1]->dht, &id, random_key(&n), 20, n.now),
      &id, &f);
  assert_int_equal(f.count, 1);
  assert_memory_equal(f.ids[0], n.nodes[0]->id, NET_ID_LEN);
  net_fini(&n);
}

static void test_number_of_results(void **state) {
  (void)state;
  net n;
  kad__query_id id;
  found f;
  make(&n, test_seed("number_of_results"), 0);
  for (uint32_t i = 0; i < 60; i++) {
    n.config.replication = 5 + 5 * (i % 3);
    net_add(&n);
  }
  net_join_all(&n, 0);
  net_run(&n, 10 * KAD_SECOND);
  for (uint32_t count = 1; count < 40; count += 7) {
    for (uint32_t from = 0; from < 3; from++) {
      kad__dht_event end =
          wait_for(&n, from,
                   kad__dht_find_closest(n.nodes[from]->dht, &id,
                                         random_key(&n), count, n.now),
                   &id, &f);
      assert_int_equal(end.error, 0);
      assert_int_equal(f.count, count);
    }
  }
  net_fini(&n);
}

/* A record is on exactly the closest nodes, whoever put it, and after it was
 * published again. */
static void run_put(uint64_t seed) {
  net n;
  kad__query_id id;
  found f;
  kad_random random;
  kad_random_init_u64(&random, seed);
  make(&n, seed, 0);
  uint32_t r = 1 + (uint32_t)kad_random_below(&random, 10);
  uint32_t count = 2 * r < 4 ? 4 : 2 * r;
  n.config.replication = r;
  n.config.disjoint_paths = false;
  n.config.publication_interval = 2 * KAD_HOUR;
  n.config.replication_interval = KAD_TIME_NEVER;
  for (uint32_t i = 0; i < count; i++) {
    net_add(&n);
  }
  everybody(&n);
  kad_bytes key = random_key(&n);
  kad__dht_event end =
      wait_for(&n, 0,
               kad__dht_put(n.nodes[0]->dht, &id, key, kad__bytes_of("value"),
                            KAD_TIME_NEVER,
                            (kad__quorum){.kind = KAD__QUORUM_ALL}, n.now),
               &id, &f);
  assert_int_equal(end.error, 0);
  assert_int_equal(end.stored, r);
  for (int round = 0; round < 2; round++) {
    uint8_t holders[64][NET_ID_LEN];
    size_t held = 0;
    for (uint32_t i = 1; i < count; i++) {
      kad__store *s = n.nodes[i]->store;
      kad__record record;
      if (s->ops->get(s, &record, key)) {
        assert_bytes_equal(record.value, kad__bytes_of("value"));
        assert_bytes_equal(record.publisher, net_id(&n, 0));
        memcpy(holders[held++], n.nodes[i]->id, NET_ID_LEN);
        s->ops->remove(s, key);
      }
    }
    assert_int_equal(held, r);
    assert_int_equal(net_closest_hit(&n, key, 0, holders, held, r), r);
    net_run(&n, 3 * KAD_HOUR);
  }
  kad__dht_remove(n.nodes[0]->dht, key);
  kad__record record;
  assert_false(n.nodes[0]->store->ops->get(n.nodes[0]->store, &record, key));
  net_fini(&n);
}

static void test_put(void **state) {
  (void)state;
  uint64_t seed = test_seed("put");
  for (size_t run = 0; run < test_runs(5); run++) {
    run_put(seed + run);
  }
}

static void test_get_over_a_chain(void **state) {
  (void)state;
  net n;
  kad__query_id id;
  found f;
  make(&n, test_seed("get_over_a_chain"), 3);
  chain(&n, 1);
  kad_bytes key = random_key(&n);
  kad__dht_event end = wait_for(
      &n, 0, kad__dht_get(n.nodes[0]->dht, &id, key, 1, n.now), &id, &f);
  assert_int_equal(end.error, KAD_E_NOT_FOUND);
  assert_int_equal(end.stats.successes, 2);
  kad__record record = {
      .key = key, .value = kad__bytes_of("value"), .expires = KAD_TIME_NEVER};
  kad__store *s = n.nodes[2]->store;
  assert_ok(s->ops->put(s, &record, false));
  end = wait_for(&n, 0, kad__dht_get(n.nodes[0]->dht, &id, key, 0, n.now), &id,
                 &f);
  assert_int_equal(end.error, 0);
  assert_int_equal(f.values, 1);
  assert_bytes_equal(end.record.value, kad__bytes_of("value"));
  /* Node 1, which lacked it, has it now. */
  net_run(&n, KAD_SECOND);
  s = n.nodes[1]->store;
  assert_true(s->ops->get(s, &record, key));
  net_fini(&n);
}

static void test_many_records(void **state) {
  (void)state;
  net n;
  kad__query_id id;
  found f;
  make(&n, test_seed("many_records"), 12);
  everybody(&n);
  kad_bytes key = random_key(&n);
  for (uint32_t i = 1; i < 12; i++) {
    kad__record record = {
        .key = key, .value = kad__bytes_of("value"), .expires = KAD_TIME_NEVER};
    kad__store *s = n.nodes[i]->store;
    assert_ok(s->ops->put(s, &record, false));
  }
  kad__dht_event end = wait_for(
      &n, 0, kad__dht_get(n.nodes[0]->dht, &id, key, 0, n.now), &id, &f);
  assert_int_equal(end.error, 0);
  assert_int_equal(f.values, 11);
  end = wait_for(&n, 0, kad__dht_get(n.nodes[0]->dht, &id, key, 4, n.now), &id,
                 &f);
  assert_int_equal(f.values, 4);
  net_fini(&n);
}

static void test_provide(void **state) {
  (void)state;
  net n;
  kad__query_id id;
  found f;
  make(&n, test_seed("provide"), 0);
  n.config.replication = 5;
  n.config.provider_publication_interval = 2 * KAD_HOUR;
  for (uint32_t i = 0; i < 20; i++) {
    net_add(&n);
  }
  everybody(&n);
  kad_bytes key = random_key(&n);
  kad__dht_event end = wait_for(
      &n, 0, kad__dht_provide(n.nodes[0]->dht, &id, key, n.now), &id, &f);
  assert_int_equal(end.error, 0);
  assert_int_equal(end.stored, 5);
  for (int round = 0; round < 2; round++) {
    uint8_t holders[64][NET_ID_LEN];
    size_t held = 0;
    for (uint32_t i = 1; i < 20; i++) {
      kad__store *s = n.nodes[i]->store;
      kad__provider list[4];
      size_t count = s->ops->providers(s, list, 4, key);
      if (count > 0) {
        assert_int_equal(count, 1);
        assert_bytes_equal(list[0].provider, net_id(&n, 0));
        memcpy(holders[held++], n.nodes[i]->id, NET_ID_LEN);
        s->ops->remove_provider(s, key, net_id(&n, 0));
      }
    }
    assert_int_equal(held, 5);
    assert_int_equal(net_closest_hit(&n, key, 0, holders, held, 5), 5);
    net_run(&n, 3 * KAD_HOUR);
  }
  kad__dht_stop_providing(n.nodes[0]->dht, key);
  kad__provider record;
  kad__store *s = n.nodes[0]->store;
  assert_false(s->ops->next_provided(s, &record, (kad_bytes){0}));
  net_fini(&n);
}

/* The number of providers asked for is kept to, and the lookup ends early. */
static void test_provider_limit(void **state) {
  (void)state;
  net n;
  kad__query_id id;
  found f;
  make(&n, test_seed("provider_limit"), 40);
  net_join_all(&n, 10 * KAD_MILLISECOND);
  kad_bytes key = random_key(&n);
  for (uint32_t i = 1; i <= 8; i++) {
    wait_for(&n, i, kad__dht_provide(n.nodes[i]->dht, &id, key, n.now), &id,
             &f);
  }
  for (uint32_t limit = 1; limit <= 8; limit++) {
    kad__dht_event end = wait_for(
        &n, 0, kad__dht_find_providers(n.nodes[0]->dht, &id, key, limit, n.now),
        &id, &f);
    assert_int_equal(end.error, 0);
    assert_int_equal(f.count, limit);
  }
  kad__dht_event end = wait_for(
      &n, 0, kad__dht_find_providers(n.nodes[0]->dht, &id, key, 0, n.now), &id,
      &f);
  assert_int_equal(end.error, 0);
  assert_int_equal(f.count, 8);
  net_fini(&n);
}

/* A hundred and one at once. */
static void test_many_queries(void **state) {
  (void)state;
  net n;
  kad__query_id ids[101];
  found f;
  make(&n, test_seed("many_queries"), 10);
  everybody(&n);
  for (int i = 0; i < 101; i++) {
    assert_ok(kad__dht_find_closest(n.nodes[0]->dht, &ids[i], random_key(&n),
                                    20, n.now));
  }
  net_touch(&n, 0);
  int ended = 0;
  kad_time until = n.now + KAD_MINUTE;
  while (ended < 101 && net_step(&n, until)) {
    kad__dht_event event;
    while (kad__dht_poll_event(n.nodes[0]->dht, &event)) {
      if (event.type == KAD__DHT_QUERY_ENDED) {
        assert_int_equal(event.error, 0);
        ended++;
      }
    }
  }
  (void)f;
  assert_int_equal(ended, 101);
  net_fini(&n);
}

/* Clients ask and are in nobody's table. */
static void test_clients(void **state) {
  (void)state;
  net n;
  kad__query_id id;
  found f;
  make(&n, test_seed("clients"), 30);
  for (uint32_t i = 20; i < 30; i++) {
    kad__dht_set_mode(n.nodes[i]->dht, KAD__MODE_CLIENT);
  }
  for (uint32_t i = 1; i < 30; i++) {
    net_introduce(&n, i,
                  (uint32_t)kad_random_below(&n.random, i < 20 ? i : 20));
    assert_ok(kad__dht_bootstrap(n.nodes[i]->dht, &id, n.now));
    net_touch(&n, i);
    net_run(&n, KAD_SECOND);
  }
  for (uint32_t i = 0; i < 30; i++) {
    kad__wire_peer peers[64];
    size_t count = kad__dht_closest_local(n.nodes[i]->dht, peers, 64,
                                          net_id(&n, i), (kad_bytes){0}, 0);
    for (size_t j = 0; j < count; j++) {
      assert_true(net_find(&n, peers[j].id) < 20);
    }
  }
  kad_bytes key = random_key(&n);
  kad__dht_event end = wait_for(
      &n, 25, kad__dht_provide(n.nodes[25]->dht, &id, key, n.now), &id, &f);
  assert_int_equal(end.error, 0);
  end = wait_for(&n, 27,
                 kad__dht_find_providers(n.nodes[27]->dht, &id, key, 1, n.now),
                 &id, &f);
  assert_int_equal(end.error, 0);
  assert_memory_equal(f.ids[0], n.nodes[25]->id, NET_ID_LEN);
  net_fini(&n);
}

/* One that stopped speaking leaves the tables, and comes back. */
static void test_leaving_and_coming_back(void **state) {
  (void)state;
  net n;
  kad__query_id id;
  found f;
  make(&n, test_seed("leaving"), 10);
  everybody(&n);
  net_set(&n, 5, NET_DOWN);
  for (int i = 0; i < 8; i++) {
    wait_for(
        &n, 0,
        kad__dht_find_closest(n.nodes[0]->dht, &id, random_key(&n), 20, n.now),
        &id, &f);
    assert_int_equal(f.count, 8);
    net_run(&n, 20 * KAD_SECOND);
  }
  assert_int_equal(kad__dht_table_size(n.nodes[0]->dht), 8);
  net_set(&n, 5, NET_UP);
  assert_ok(kad__dht_bootstrap(n.nodes[5]->dht, &id, n.now));
  net_touch(&n, 5);
  net_run(&n, 5 * KAD_SECOND);
  assert_int_equal(kad__dht_table_size(n.nodes[0]->dht), 9);
  wait_for(
      &n, 0,
      kad__dht_find_closest(n.nodes[0]->dht, &id, random_key(&n), 20, n.now),
      &id, &f);
  assert_int_equal(f.count, 9);
  net_fini(&n);
}

/* Without addresses, by id alone. */
static void test_no_addresses(void **state) {
  (void)state;
  net n;
  kad__query_id id;
  found f;
  make(&n, test_seed("no_addresses"), 0);
  n.config.no_addresses = true;
  for (uint32_t i = 0; i < 40; i++) {
    net_add(&n);
  }
  for (uint32_t i = 1; i < n.count; i++) {
    assert_int_equal(kad__dht_add_address(n.nodes[i]->dht, net_id(&n, i - 1),
                                          (kad_bytes){0}, n.now),
                     KAD__ROUTING_SUCCESS);
    assert_ok(kad__dht_bootstrap(n.nodes[i]->dht, &id, n.now));
    net_touch(&n, i);
    net_run(&n, KAD_SECOND);
  }
  kad_bytes key = random_key(&n);
  kad__dht_event end = wait_for(
      &n, 3, kad__dht_find_closest(n.nodes[3]->dht, &id, key, 20, n.now), &id,
      &f);
  assert_int_equal(end.error, 0);
  assert_int_equal(net_closest_hit(&n, key, 3, f.ids, f.count, 20), 20);
  end = wait_for(
      &n, 3, kad__dht_find_peer(n.nodes[3]->dht, &id, net_id(&n, 30), n.now),
      &id, &f);
  assert_int_equal(end.error, 0);
  net_fini(&n);
}

/* The same seed gives the same run, with a book shared by all or not. */
static uint64_t fingerprint(uint64_t seed, bool shared) {
  net n;
  kad__peer_book *book = NULL;
  uint64_t sum = 0;
  const uint64_t secret[2] = {1, 2};
  make(&n, seed, 0);
  n.loss = 50;
  if (shared) {
    assert_ok(kad__peer_book_new(&book, n.allocator, net_hash, secret));
    n.config.book = book;
  }
  for (uint32_t i = 0; i < 60; i++) {
    net_add(&n);
  }
  net_join_all(&n, 100 * KAD_MILLISECOND);
  for (uint32_t i = 0; i < n.count; i++) {
    sum = sum * 31 + kad__dht_table_size(n.nodes[i]->dht);
    sum = sum * 31 + kad__dht_counters_get(n.nodes[i]->dht)->calls;
  }
  sum = sum * 31 + n.messages;
  net_fini(&n);
  if (book != NULL) {
    assert_int_equal(kad__peer_book_peers(book), 0);
    assert_int_equal(kad__peer_book_lists(book), 0);
  }
  kad__peer_book_free(book);
  return sum;
}

static void test_one_seed_is_one_run(void **state) {
  (void)state;
  uint64_t seed = test_seed("one_seed");
  uint64_t first = fingerprint(seed, false);
  assert_true(first == fingerprint(seed, false));
  assert_true(first == fingerprint(seed, true));
  assert_true(first != fingerprint(seed + 1, false));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_bootstrap),
      cmocka_unit_test(test_chain),
      cmocka_unit_test(test_unresponsive_peers_are_no_result),
      cmocka_unit_test(test_number_of_results),
      cmocka_unit_test(test_put),
      cmocka_unit_test(test_get_over_a_chain),
      cmocka_unit_test(test_many_records),
      cmocka_unit_test(test_provide),
      cmocka_unit_test(test_provider_limit),
      cmocka_unit_test(test_many_queries),
      cmocka_unit_test(test_clients),
      cmocka_unit_test(test_leaving_and_coming_back),
      cmocka_unit_test(test_no_addresses),
      cmocka_unit_test(test_one_seed_is_one_run),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
