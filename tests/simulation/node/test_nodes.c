/* Whole nodes, with real Noise and yamux, in virtual time: they join through
 * one of them, and what one stores, announces or is, every other finds. */
#include "simulator/simulator.h"
#include "support.h"

#define NODES 50
#define PROTOCOL "/test/kad/1.0.0"

typedef struct network {
  kad__simulator *sim;
  kad__node_config config;
} network;

static void open_network(network *n, uint64_t seed, uint32_t loss) {
  kad__simulator_config config;
  kad__simulator_config_default(&config);
  config.allocator = kad_allocator_default();
  config.seed = seed;
  config.loss_per_million = loss;
  assert_ok(kad__simulator_new(&n->sim, &config));
  kad__node_config_default(&n->config);
  n->config.protocol = kad__bytes_of(PROTOCOL);
}

static void add_nodes(network *n, size_t count) {
  for (size_t i = 0; i < count; i++) {
    uint32_t contact = i == 0 ? KAD__SIMULATOR_NOBODY : 0;
    assert_int_equal(kad__simulator_add(n->sim, &n->config, contact), (int)i);
  }
}

/* Runs until every node has said that it is ready. */
static void wait_ready(network *n) {
  size_t ready = 0;
  kad_time limit = kad__simulator_now(n->sim) + 5 * KAD_MINUTE;
  do {
    uint32_t from;
    kad_event event;
    while (kad__simulator_poll(n->sim, &from, &event)) {
      ready += event.type == KAD_EVENT_READY;
    }
    if (ready == kad__simulator_count(n->sim)) {
      return;
    }
  } while (kad__simulator_step(n->sim, limit));
  fail_msg("only %zu nodes are ready", ready);
}

/* Those that came last are not in all tables yet: they have to prove that they
 * answer. */
static void let_them_meet(network *n) {
  kad_time until = kad__simulator_now(n->sim) + 10 * KAD_SECOND;
  while (kad__simulator_step(n->sim, until)) {
  }
}

static kad__simulator_result run(network *n, uint32_t node,
                                 const kad_request *request) {
  kad_request_id id = 0;
  kad__simulator_result result;
  assert_ok(kad__simulator_start(n->sim, node, &id, request));
  kad_time limit = kad__simulator_now(n->sim) + 2 * KAD_MINUTE;
  assert_true(kad__simulator_finish(n->sim, node, id, limit, &result));
  return result;
}

static kad_bytes key_of(char out[32], int number) {
  snprintf(out, 32, "record-%d", number);
  return kad__bytes_of(out);
}

/* `least`: peers that must have taken the record. */
static void put_and_get(network *n, kad_random *random, int number,
                        uint32_t least) {
  char key[32];
  uint32_t nodes = (uint32_t)kad__simulator_count(n->sim);
  kad_request put = KAD_REQUEST_INIT(KAD_PUT);
  put.key = key_of(key, number);
  put.value = kad__bytes_of("a value");
  put.quorum.kind = KAD_QUORUM_MAJORITY;
  uint32_t putter = (uint32_t)kad_random_below(random, nodes);
  kad__simulator_result result = run(n, putter, &put);
  assert_ok(result.end.error);
  assert_in_range(result.end.statistics.stored, least, 20);

  kad_request get = KAD_REQUEST_INIT(KAD_GET);
  get.key = put.key;
  result = run(n, (uint32_t)kad_random_below(random, nodes), &get);
  assert_ok(result.end.error);
  assert_int_equal(result.last.type, KAD_EVENT_VALUE);
  assert_bytes_equal(result.last.value, put.value);
}

static void provide_and_find(network *n, kad_random *random) {
  uint8_t key[34] = {0x12, 32};
  uint32_t nodes = (uint32_t)kad__simulator_count(n->sim);
  kad_random_bytes(random, key + 2, 32);
  uint32_t provider = (uint32_t)kad_random_below(random, nodes);
  kad_request provide = KAD_REQUEST_INIT(KAD_PROVIDE);
  provide.key = kad__bytes(key, sizeof(key));
  kad__simulator_result result = run(n, provider, &provide);
  assert_ok(result.end.error);
  assert_in_range(result.end.statistics.stored, 1, 20);

  kad_request find = KAD_REQUEST_INIT(KAD_FIND_PROVIDERS);
  find.key = provide.key;
  find.count = 1;
  uint32_t seeker = (provider + 1) % nodes;
  result = run(n, seeker, &find);
  assert_ok(result.end.error);
  assert_int_equal(result.results, 1);
  assert_true(kad_peer_id_equal(&result.last.peer,
                                kad__simulator_id(n->sim, provider)));
  assert_true(result.last.addresses.len > 0);
}

static void find_every_peer(network *n, uint32_t seeker) {
  for (uint32_t i = 0; i < kad__simulator_count(n->sim); i++) {
    if (i == seeker) {
      continue;
    }
    kad_request find = KAD_REQUEST_INIT(KAD_FIND_PEER);
    find.peer = *kad__simulator_id(n->sim, i);
    kad__simulator_result result = run(n, seeker, &find);
    assert_ok(result.end.error);
    assert_true(kad_peer_id_equal(&result.last.peer, &find.peer));
    assert_true(result.last.addresses.len > 0);
  }
}

static void test_fifty_nodes(void **state) {
  (void)state;
  uint64_t seed = test_seed("fifty nodes");
  kad_random random;
  kad_random_init_u64(&random, seed);
  network n;
  open_network(&n, seed, 0);
  add_nodes(&n, NODES);
  wait_ready(&n);
  for (int i = 0; i < 20; i++) {
    put_and_get(&n, &random, i, 11);
  }
  for (int i = 0; i < 10; i++) {
    provide_and_find(&n, &random);
  }
  find_every_peer(&n, 7);
  const kad__simulator_counters *c = kad__simulator_counters_get(n.sim);
  print_message("%d nodes: %llu chunks, %llu bytes, %llu dials in %.1f s\n",
                NODES, (unsigned long long)c->chunks,
                (unsigned long long)c->bytes, (unsigned long long)c->dials,
                (double)kad__simulator_now(n.sim) / 1e9);
  kad__simulator_free(n.sim);
}

/* Loss makes links slow, not wrong. */
static void test_loss(void **state) {
  (void)state;
  uint64_t seed = test_seed("loss");
  kad_random random;
  kad_random_init_u64(&random, seed);
  network n;
  open_network(&n, seed, 50000);
  add_nodes(&n, 30);
  wait_ready(&n);
  let_them_meet(&n);
  /* Who is silent when he is to be tested is in fewer tables, so that a look-up
   * can find fewer than 20, of which a majority is asked for. */
  for (int i = 0; i < 10; i++) {
    put_and_get(&n, &random, i, 8);
  }
  assert_true(kad__simulator_counters_get(n.sim)->losses > 0);
  kad__simulator_free(n.sim);
}

/* A third of the nodes vanish; what they held is still found. */
static void test_crashes(void **state) {
  (void)state;
  uint64_t seed = test_seed("crashes");
  network n;
  open_network(&n, seed, 0);
  add_nodes(&n, NODES);
  wait_ready(&n);
  char key[32];
  kad_request put = KAD_REQUEST_INIT(KAD_PUT);
  for (int i = 0; i < 5; i++) {
    put.key = key_of(key, i);
    put.value = put.key;
    put.quorum.kind = KAD_QUORUM_MAJORITY;
    assert_ok(run(&n, 1, &put).end.error);
  }
  for (uint32_t i = 0; i < NODES / 3; i++) {
    kad__simulator_crash(n.sim, i);
  }
  kad_request get = KAD_REQUEST_INIT(KAD_GET);
  for (int i = 0; i < 5; i++) {
    get.key = key_of(key, i);
    kad__simulator_result result = run(&n, NODES - 1 - (uint32_t)i, &get);
    assert_ok(result.end.error);
    assert_bytes_equal(result.last.value, get.key);
  }
  kad__simulator_free(n.sim);
}

static uint64_t trace_of(uint64_t seed) {
  kad_random random;
  kad_random_init_u64(&random, seed);
  network n;
  open_network(&n, seed, 10000);
  add_nodes(&n, 12);
  wait_ready(&n);
  put_and_get(&n, &random, 1, 1);
  uint64_t trace = kad__simulator_trace(n.sim);
  kad__simulator_free(n.sim);
  return trace;
}

static void test_trace(void **state) {
  (void)state;
  uint64_t seed = test_seed("trace");
  uint64_t first = trace_of(seed);
  assert_true(first == trace_of(seed));
  assert_true(first != trace_of(seed + 1));
}

/* The first node of a network is healthy: it is ready, and keeps what it is
 * given. */
static void test_alone(void **state) {
  (void)state;
  network n;
  open_network(&n, 1, 0);
  add_nodes(&n, 1);
  wait_ready(&n);
  kad_request get = KAD_REQUEST_INIT(KAD_GET);
  get.key = kad__bytes_of("nothing");
  assert_error(KAD_E_NO_PEERS, run(&n, 0, &get).end.error);
  kad__simulator_free(n.sim);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_alone), cmocka_unit_test(test_fifty_nodes),
      cmocka_unit_test(test_loss),  cmocka_unit_test(test_crashes),
      cmocka_unit_test(test_trace),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
