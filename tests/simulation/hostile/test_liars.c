/* A fifth of a network lies from the first minute on. The attackers have ids of
 * chance, run the protocol as everybody does, join like everybody, and are on
 * the network; there are as many of them among the contacts that a newcomer is
 * given as among all. They confirm every record and drop it, have none, and
 * answer a search with twenty names, all of them
 *   - attackers, any: those fill tables, as nobody else is ever named, or
 *   - attackers, the closest to the target: the most convincing, or
 *   - made up, forty times as many as there are peers, so that all are closer
 *     to the target than anybody who is there, at an address where nobody
 *     answers.
 * What they do not do is choose their own ids near a key. The figures are
 * printed. */
#include "net.h"
#include "support.h"

#define NODES 500
#define ONE_IN 5
#define CONTACTS 4
#define NAMED 20
#define POOL (40 * NODES)
#define RECORDS 100

typedef enum lies { NAME_ANY, NAME_CLOSE, MAKE_UP } lies;

typedef struct name {
  kad__key key;
  uint8_t id[NET_ID_LEN];
  uint8_t address[8];
} name;

typedef struct world {
  net n; /* first: it is what `lie` is given */
  lies kind;
  name names[POOL]; /* what the attackers name */
  size_t count;
} world;

typedef struct result {
  double found;  /* of the records */
  double liars;  /* in the tables of the honest, of all entries */
  size_t nobody; /* entries of such as do not exist */
} result;

static bool is_liar(uint32_t index) {
  return index % ONE_IN == ONE_IN - 1;
}

static void make_names(world *w) {
  bool real = w->kind != MAKE_UP;
  for (uint32_t i = 0; i < (real ? w->n.count : POOL); i++) {
    name *m = &w->names[w->count];
    if (real && !is_liar(i)) {
      continue;
    }
    kad_random_bytes(&w->n.random, m->id, NET_ID_LEN);
    memcpy(m->address, "hole", 4);
    if (real) {
      memcpy(m->id, w->n.nodes[i]->id, NET_ID_LEN);
      memcpy(m->address, w->n.nodes[i]->address, 8);
    }
    m->key = kad__key_of(net_hash, kad__bytes(m->id, NET_ID_LEN));
    w->count++;
  }
}

static void name_any(world *w, const name **out) {
  for (size_t i = 0; i < NAMED; i++) {
    out[i] = &w->names[kad_random_below(&w->n.random, w->count)];
  }
}

static void name_closest(const world *w, const name **out,
                         const kad__key *target) {
  uint64_t best[NAMED];
  memset(best, 0xff, sizeof best);
  for (size_t i = 0; i < w->count; i++) {
    uint64_t distance = w->names[i].key.w[0] ^ target->w[0];
    size_t at = NAMED;
    while (at > 0 && distance < best[at - 1]) {
      at--;
      if (at + 1 < NAMED) {
        best[at + 1] = best[at];
        out[at + 1] = out[at];
      }
    }
    if (at < NAMED) {
      best[at] = distance;
      out[at] = &w->names[i];
    }
  }
}

static int lie(net *n, net_node *node, kad__message *reply,
               const kad__message *request, kad_bytes from) {
  static uint8_t lists[NAMED][16];
  const name *named[NAMED];
  world *w = (world *)n;
  (void)from;
  if (!is_liar(node->index) || request->type == KAD__PING) {
    return 2;
  }
  kad__message_init(reply, request->type);
  reply->key = request->key;
  if (request->type == KAD__PUT_VALUE) {
    reply->has_record = true;
    reply->record = request->record;
    return 1;
  }
  kad__key target = kad__key_of(net_hash, request->key);
  if (w->kind == NAME_ANY) {
    name_any(w, named);
  } else {
    name_closest(w, named, &target);
  }
  for (size_t i = 0; i < NAMED; i++) {
    lists[i][0] = 0x12;
    lists[i][1] = 8;
    memcpy(lists[i] + 2, named[i]->address, 8);
    reply->closer[i] =
        (kad__wire_peer){.id = kad__bytes(named[i]->id, NET_ID_LEN),
                         .addresses = kad__bytes(lists[i], 10)};
  }
  reply->closer_count = NAMED;
  return 1;
}

/* Every attacker calls a newcomer before anybody else does. */
static void besiege(net *n, uint32_t node) {
  for (uint32_t i = 0; i < n->count; i++) {
    if (is_liar(i)) {
      assert_ok(kad__dht_peer_confirmed(n->nodes[node]->dht, net_id(n, i),
                                        net_address(n, i), n->now));
      net_touch(n, node);
    }
  }
}

static void build(world *w, bool siege) {
  net *n = &w->n;
  for (uint32_t i = 0; i < NODES; i++) {
    net_add(n);
  }
  make_names(w);
  n->answer = lie;
  for (uint32_t i = 1; i < NODES; i++) {
    kad__query_id id;
    for (int j = 0; j < CONTACTS; j++) {
      net_introduce(n, i, (uint32_t)kad_random_below(&n->random, i));
    }
    if (siege) {
      besiege(n, i);
    }
    assert_ok(kad__dht_bootstrap(n->nodes[i]->dht, &id, n->now));
    net_touch(n, i);
    net_run(n, 50 * KAD_MILLISECOND);
  }
  net_run(n, KAD_MINUTE);
}

static void look_at_tables(net *n, result *r) {
  size_t entries = 0;
  size_t liars = 0;
  for (uint32_t i = 0; i < n->count; i++) {
    kad__wire_peer peers[256];
    size_t count = is_liar(i) ? 0
                              : kad__dht_closest_local(n->nodes[i]->dht, peers,
                                                       256, net_id(n, i),
                                                       (kad_bytes){0}, n->now);
    for (size_t j = 0; j < count; j++) {
      int which = net_find(n, peers[j].id);
      r->nobody += which < 0;
      liars += which >= 0 && is_liar((uint32_t)which);
    }
    entries += count;
  }
  r->liars = (double)liars / (double)entries;
}

static uint32_t honest(net *n) {
  uint32_t node;
  do {
    node = (uint32_t)kad_random_below(&n->random, n->count);
  } while (is_liar(node));
  return node;
}

static void look_for_records(net *n, result *r) {
  for (size_t i = 0; i < RECORDS; i++) {
    uint8_t key[34] = {0x12, 0x20};
    kad__query_id id;
    uint32_t from = honest(n);
    uint32_t to = honest(n);
    kad_random_bytes(&n->random, key + 2, 32);
    kad_bytes k = kad__bytes(key, 34);
    assert_ok(kad__dht_put(n->nodes[from]->dht, &id, k, kad__bytes_of("value"),
                           KAD_TIME_NEVER,
                           (kad__quorum){.kind = KAD__QUORUM_ALL}, n->now));
    net_await(n, from, id, NULL, NULL);
    assert_ok(kad__dht_get(n->nodes[to]->dht, &id, k, 1, n->now));
    r->found += (double)(net_await(n, to, id, NULL, NULL).error == 0) / RECORDS;
  }
}

static result live(uint64_t seed, lies kind, bool disjoint, bool siege) {
  static const char *const names[] = {"any", "the closest", "made-up ones"};
  result r = {0};
  world *w = calloc(1, sizeof *w);
  net_init(&w->n, seed);
  w->n.config.disjoint_paths = disjoint;
  w->kind = kind;
  build(w, siege);
  look_at_tables(&w->n, &r);
  look_for_records(&w->n, &r);
  print_message(
      "a fifth names %s%s, %s: %.1f%% of records found; of the tables %.1f%% "
      "attackers\n",
      names[kind], siege ? " and calls first" : "",
      disjoint ? "disjoint paths" : "one path", 100 * r.found, 100 * r.liars);
  net_fini(&w->n);
  free(w);
  return r;
}

/* Without a defence attackers fill more than half of each table, and one record
 * in four or so is lost. */
static void test_they_name_each_other(void **state) {
  (void)state;
  uint64_t seed = test_seed("they_name_each_other");
  result single = live(seed, NAME_ANY, false, false);
  result disjoint = live(seed, NAME_ANY, true, false);
  assert_true(single.liars > disjoint.liars + 0.1);
  assert_true(disjoint.found >= 0.95);
  assert_true(disjoint.liars <= 0.35);
}

static void test_they_name_the_closest(void **state) {
  (void)state;
  result r = live(test_seed("they_name_the_closest"), NAME_CLOSE, true, false);
  assert_true(r.found >= 0.95);
  assert_true(r.liars <= 0.35);
}

static void test_they_make_up_names(void **state) {
  (void)state;
  result r = live(test_seed("they_make_up_names"), MAKE_UP, true, false);
  assert_true(r.found >= 0.95);
  assert_true(r.liars <= 0.25);
  assert_int_equal(r.nobody, 0);
}

static void test_they_call_first(void **state) {
  (void)state;
  result r = live(test_seed("they_call_first"), NAME_ANY, true, true);
  assert_true(r.found >= 0.95);
  assert_true(r.liars <= 0.45);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_they_name_each_other),
      cmocka_unit_test(test_they_name_the_closest),
      cmocka_unit_test(test_they_make_up_names),
      cmocka_unit_test(test_they_call_first),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
