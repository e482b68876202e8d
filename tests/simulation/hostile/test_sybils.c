/* Sybils around a key (G-05): attackers choose their ids so that more than k of
 * them are closer to it than anybody else. Whoever provides or asks finds them
 * first; they name nobody but each other, take every announcement and know of
 * none. How large the network is tells that they are too many: then those are
 * told, and asked, too, who would have been the closest without them. */
#include "net.h"
#include "support.h"

#define HONEST 300
#define SYBILS 45
#define KEYS 3 /* in each of two rounds */
#define FINDERS 12

typedef struct world {
  net n; /* first: it is what `answer` is given */
  uint8_t keys[2 * KEYS][34];
} world;

static bool is_sybil(uint32_t index) {
  return index >= HONEST;
}

static uint32_t sybil_of(uint32_t index) {
  return (index - HONEST) / SYBILS;
}

static int answer(net *n, net_node *node, kad__message *reply,
                  const kad__message *request, kad_bytes from) {
  static uint8_t lists[20][16];
  (void)from;
  if (!is_sybil(node->index) || request->type == KAD__PING) {
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
  uint32_t first = HONEST + SYBILS * sybil_of(node->index);
  uint32_t start = (uint32_t)kad_random_below(&n->random, SYBILS);
  for (uint32_t i = 0; i < 20; i++) {
    uint32_t other = first + (start + i) % SYBILS;
    lists[i][0] = 0x12;
    lists[i][1] = 8;
    memcpy(lists[i] + 2, n->nodes[other]->address, 8);
    reply->closer[i] = (kad__wire_peer){.id = net_id(n, other),
                                        .addresses = kad__bytes(lists[i], 10)};
  }
  reply->closer_count = 20;
  return 1;
}

static kad__key distance(kad_bytes id, kad_bytes key) {
  kad__key a = kad__key_of(net_hash, id);
  kad__key b = kad__key_of(net_hash, key);
  return kad__key_distance(&a, &b);
}

/* Ids are tried until one is closer than all who are honest. */
static void add_sybil(world *w, kad_bytes key) {
  net *n = &w->n;
  uint8_t id[NET_ID_LEN] = {0x12, 0x20};
  kad__key border = {{UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX}};
  kad__key d;
  for (uint32_t i = 0; i < HONEST; i++) {
    d = distance(net_id(n, i), key);
    border = kad__key_compare(&d, &border) < 0 ? d : border;
  }
  do {
    kad_random_bytes(&n->random, id + 2, 32);
    d = distance(kad__bytes(id, NET_ID_LEN), key);
  } while (kad__key_compare(&d, &border) >= 0);
  net_add_as(n, id);
}

static void join(net *n, uint32_t node, uint32_t contacts) {
  kad__query_id id;
  for (int i = 0; i < 3; i++) {
    net_introduce(n, node, (uint32_t)kad_random_below(&n->random, contacts));
  }
  assert_ok(kad__dht_bootstrap(n->nodes[node]->dht, &id, n->now));
  net_touch(n, node);
  net_run(n, 50 * KAD_MILLISECOND);
}

static void build(world *w) {
  net *n = &w->n;
  for (uint32_t i = 0; i < HONEST; i++) {
    net_add(n);
  }
  for (uint32_t i = 1; i < HONEST; i++) {
    join(n, i, i);
  }
  net_run(n, KAD_MINUTE);
  n->answer = answer;
  for (size_t i = 0; i < KAD__COUNT(w->keys); i++) {
    w->keys[i][0] = 0x12;
    w->keys[i][1] = 0x20;
    kad_random_bytes(&n->random, w->keys[i] + 2, 32);
    for (uint32_t j = 0; j < SYBILS; j++) {
      add_sybil(w, kad__bytes(w->keys[i], 34));
    }
  }
  for (uint32_t i = HONEST; i < n->count; i++) {
    join(n, i, HONEST);
  }
  net_run(n, 5 * KAD_MINUTE);
}

/* What a node that is in use knows: how large the network is. */
static void use(net *n, uint32_t node) {
  for (int i = 0; i < 6; i++) {
    uint8_t key[34];
    kad__query_id id;
    kad_random_bytes(&n->random, key, sizeof key);
    assert_ok(kad__dht_find_closest(n->nodes[node]->dht, &id,
                                    kad__bytes(key, 34), 20, n->now));
    net_await(n, node, id, NULL, NULL);
  }
}

typedef struct found {
  double share;
  double requests;
} found;

static found provide_and_find(world *w, bool size_known) {
  net *n = &w->n;
  found f = {0};
  for (uint32_t i = 0; i < KEYS; i++) {
    kad__query_id id;
    uint32_t from = i + (size_known ? KEYS : 0);
    kad_bytes key = kad__bytes(w->keys[from], 34);
    if (size_known) {
      use(n, from);
    }
    assert_ok(kad__dht_provide(n->nodes[from]->dht, &id, key, n->now));
    net_await(n, from, id, NULL, NULL);
    for (uint32_t j = 0; j < FINDERS; j++) {
      uint32_t to = 20 + FINDERS * i + j;
      if (size_known) {
        use(n, to);
      }
      assert_ok(
          kad__dht_find_providers(n->nodes[to]->dht, &id, key, 1, n->now));
      kad__dht_event end = net_await(n, to, id, NULL, NULL);
      f.share += (double)(end.error == 0) / (KEYS * FINDERS);
      f.requests += (double)end.stats.requests / (KEYS * FINDERS);
    }
  }
  return f;
}

static void test_sybils_around_a_key(void **state) {
  (void)state;
  uint64_t seed = test_seed("sybils_around_a_key");
  for (int disjoint = 0; disjoint < 2; disjoint++) {
    world *w = calloc(1, sizeof *w);
    net_init(&w->n, seed);
    w->n.config.disjoint_paths = disjoint == 1;
    build(w);
    found unknown = provide_and_find(w, false);
    found known = provide_and_find(w, true);
    print_message(
        "%d Sybils, %s: %.1f%% find the provider (%.1f requests) by the "
        "closest alone, %.1f%% (%.1f) in the region\n",
        SYBILS, disjoint == 1 ? "disjoint paths" : "one path",
        100 * unknown.share, unknown.requests, 100 * known.share,
        known.requests);
    /* The attack works, or the test would show nothing. */
    assert_true(disjoint == 1 || unknown.share < 0.8);
    assert_true(known.share >= 0.95);
    net_fini(&w->n);
    free(w);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_sybils_around_a_key),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
