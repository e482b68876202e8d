/* The lookup engine: it asks the closest first, keeps its bounds, always ends,
 * and with a whole network behind it finds the true closest. */
#include "kademlia/lookup.h"
#include "support.h"

#define PEERS_MAX 400

static void id_hash(uint8_t out[32], kad_bytes in) {
  memset(out, 0, 32);
  memcpy(out, in.data, in.len < 32 ? in.len : 32);
}

typedef struct world {
  kad_random random;
  kad__peer_book *book;
  kad__lookup lookup;
  kad__key target;
  kad__peer peers[PEERS_MAX];
  uint32_t count;
} world;

static uint64_t below(world *w, uint64_t bound) {
  return kad_random_below(&w->random, bound);
}

static kad__peer add_peer(world *w) {
  uint8_t id[32];
  kad_random_bytes(&w->random, id, sizeof id);
  assert_true(w->count < PEERS_MAX);
  assert_ok(kad__peer_book_hold(w->book, &w->peers[w->count],
                                kad__bytes(id, sizeof id)));
  return w->peers[w->count++];
}

static world *world_new(uint64_t seed, const kad__lookup_config *config,
                        uint32_t known) {
  const uint64_t secret[2] = {3, 4};
  uint8_t bytes[32];
  world *w = calloc(1, sizeof *w);
  kad_random_init_u64(&w->random, seed);
  assert_ok(
      kad__peer_book_new(&w->book, kad_allocator_default(), id_hash, secret));
  kad_random_bytes(&w->random, bytes, sizeof bytes);
  w->target = kad__key_load(bytes);
  assert_ok(kad__lookup_init(&w->lookup, kad_allocator_default(), w->book,
                             &w->target, config));
  for (uint32_t i = 0; i < known; i++) {
    kad__heard heard = {.peer = add_peer(w)};
    assert_ok(kad__lookup_seed(&w->lookup, &heard));
  }
  return w;
}

static void world_free(world *w) {
  kad__lookup_fini(&w->lookup);
  for (uint32_t i = 0; i < w->count; i++) {
    kad__peer_unref(w->book, w->peers[i]);
  }
  assert_int_equal(kad__peer_book_peers(w->book), 0);
  kad__peer_book_free(w->book);
  free(w);
}

static kad__key distance(const world *w, kad__peer peer) {
  return kad__key_distance(kad__peer_key(w->book, peer), &w->target);
}

static void check(const world *w) {
  const char *broken = kad__lookup_check(&w->lookup);
  if (broken != NULL) {
    fail_msg("%s", broken);
  }
}

/* The next peer to ask, or 0. */
static kad__peer next(world *w) {
  const kad__candidate *c;
  kad__lookup_turn turn = kad__lookup_next(&w->lookup, &c);
  check(w);
  return turn == KAD__LOOKUP_ASK ? c->peer : 0;
}

static bool finished(world *w) {
  const kad__candidate *c;
  return kad__lookup_next(&w->lookup, &c) == KAD__LOOKUP_FINISHED;
}

static kad__lookup_config random_config(kad_random *random) {
  return (kad__lookup_config){
      .parallelism = 1 + (uint32_t)kad_random_below(random, 9),
      .results = 1 + (uint32_t)kad_random_below(random, 24),
      .paths = 1};
}

static void test_new_lookup(void **state) {
  (void)state;
  uint64_t seed = test_seed("new_lookup");
  for (size_t i = 0; i < test_runs(20); i++) {
    kad_random random;
    kad_random_init_u64(&random, seed + i);
    kad__lookup_config config = random_config(&random);
    uint32_t known = 1 + (uint32_t)kad_random_below(&random, 59);
    const kad__candidate *results[64];
    world *w = world_new(seed + i, &config, known);
    check(w);
    assert_int_equal(kad__lookup_size(&w->lookup), known);
    assert_int_equal(kad__lookup_results(&w->lookup, results, 64), 0);
    for (uint32_t j = 0; j < known; j++) {
      assert_int_equal(w->lookup.paths[0].list[j].state, KAD__HEARD);
    }
    world_free(w);
  }
}

/* Peers come in order of distance, never more than allowed at once; every
 * lookup ends with sorted results, short of what was wanted only when nobody is
 * left to ask. */
static void run_to_the_end(uint64_t seed) {
  kad_random random;
  kad_random_init_u64(&random, seed);
  kad__lookup_config config = random_config(&random);
  world *w =
      world_new(seed, &config, 1 + (uint32_t)kad_random_below(&random, 59));
  kad__peer waiting[64];
  uint32_t count = 0;
  for (int steps = 0;; steps++) {
    assert_true(steps < 5000);
    for (kad__peer peer = next(w); peer != 0; peer = next(w)) {
      assert_true(count < KAD__COUNT(waiting));
      waiting[count++] = peer;
    }
    uint32_t limit = config.parallelism > config.results ? config.parallelism
                                                         : config.results;
    assert_true(count <= (w->lookup.paths[0].stalled ? limit : limit));
    assert_int_equal(w->lookup.paths[0].waiting, count);
    if (finished(w)) {
      break;
    }
    assert_true(count > 0);
    uint32_t which = (uint32_t)below(w, count);
    kad__peer peer = waiting[which];
    waiting[which] = waiting[--count];
    if (below(w, 4) == 0) {
      assert_true(kad__lookup_failed(&w->lookup, peer));
      assert_false(kad__lookup_failed(&w->lookup, peer));
      continue;
    }
    kad__heard heard[8];
    uint32_t new_peers = 0;
    while (w->count + 8 < PEERS_MAX && new_peers < below(w, 8)) {
      heard[new_peers++] = (kad__heard){.peer = add_peer(w)};
    }
    assert_true(kad__lookup_answered(&w->lookup, peer, heard, new_peers));
    assert_false(kad__lookup_answered(&w->lookup, peer, heard, new_peers));
  }
  const kad__candidate *results[64];
  size_t n = kad__lookup_results(&w->lookup, results, 64);
  assert_true(n <= config.results);
  for (size_t i = 1; i < n; i++) {
    assert_true(
        kad__key_compare(&results[i - 1]->distance, &results[i]->distance) < 0);
  }
  for (uint32_t i = 0; n < config.results && i < w->lookup.paths[0].count;
       i++) {
    assert_true(w->lookup.paths[0].list[i].state == KAD__ANSWERED ||
                w->lookup.paths[0].list[i].state == KAD__FAILED);
  }
  world_free(w);
}

static void test_termination_and_parallelism(void **state) {
  (void)state;
  uint64_t seed = test_seed("termination_and_parallelism");
  for (size_t i = 0; i < test_runs(200); i++) {
    run_to_the_end(seed + i);
  }
}

static void test_asks_in_order_of_distance(void **state) {
  (void)state;
  kad__lookup_config config = {.parallelism = 9, .results = 20, .paths = 1};
  world *w = world_new(test_seed("asks_in_order"), &config, 30);
  kad__key last = {{0}};
  for (int i = 0; i < 9; i++) {
    kad__key d = distance(w, next(w));
    assert_true(kad__key_compare(&last, &d) < 0);
    last = d;
  }
  assert_int_equal(next(w), 0);
  assert_false(finished(w));
  world_free(w);
}

static void test_no_duplicates(void **state) {
  (void)state;
  kad__lookup_config config = {.parallelism = 2, .results = 20, .paths = 1};
  world *w = world_new(test_seed("no_duplicates"), &config, 2);
  kad__peer first = next(w);
  kad__peer second = next(w);
  kad__heard same[] = {{.peer = add_peer(w)}, {.peer = 0}};
  same[1] = same[0];
  assert_true(kad__lookup_answered(&w->lookup, first, same, 2));
  assert_int_equal(kad__lookup_size(&w->lookup), 3);
  assert_true(kad__lookup_answered(&w->lookup, second, same, 2));
  assert_int_equal(kad__lookup_size(&w->lookup), 3);
  assert_int_equal(next(w), same[0].peer);
  assert_int_equal(next(w), 0);
  world_free(w);
}

/* A slow peer gives up its place, holds up nothing, and counts when it comes
 * after all. */
static void test_slow_peers(void **state) {
  (void)state;
  kad__lookup_config config = {.parallelism = 1, .results = 1, .paths = 1};
  world *w = world_new(test_seed("slow_peers"), &config, 3);
  kad__peer closest = next(w);
  assert_int_equal(next(w), 0);
  kad__lookup_slow(&w->lookup, closest);
  kad__peer second = next(w);
  assert_int_not_equal(second, 0);
  assert_int_not_equal(second, closest);
  assert_true(kad__lookup_answered(&w->lookup, closest, NULL, 0));
  assert_false(kad__lookup_answered(&w->lookup, closest, NULL, 0));
  /* The closest has answered: nobody closer is left to wait for. */
  assert_true(finished(w));
  world_free(w);
}

/* When only slow peers are left the lookup waits for them. */
static void test_slow_peers_are_the_last_hope(void **state) {
  (void)state;
  kad__lookup_config config = {.parallelism = 3, .results = 5, .paths = 1};
  world *w = world_new(test_seed("last_hope"), &config, 2);
  kad__peer a = next(w);
  kad__peer b = next(w);
  kad__lookup_slow(&w->lookup, a);
  assert_true(kad__lookup_answered(&w->lookup, b, NULL, 0));
  assert_false(finished(w));
  assert_true(kad__lookup_failed(&w->lookup, a));
  assert_true(finished(w));
  world_free(w);
}

/* Who failed lately is asked only when the others are not enough. */
static void test_deferred_peers(void **state) {
  (void)state;
  kad__lookup_config config = {.parallelism = 3, .results = 2, .paths = 1};
  world *w = world_new(test_seed("deferred_peers"), &config, 0);
  kad__heard resting = {.peer = add_peer(w), .deferred = true};
  kad__heard well[2] = {{.peer = add_peer(w)}, {.peer = add_peer(w)}};
  assert_ok(kad__lookup_seed(&w->lookup, &resting));
  assert_ok(kad__lookup_seed(&w->lookup, &well[0]));
  assert_ok(kad__lookup_seed(&w->lookup, &well[1]));
  kad__peer a = next(w);
  kad__peer b = next(w);
  assert_int_not_equal(a, resting.peer);
  assert_int_not_equal(b, resting.peer);
  assert_true(kad__lookup_answered(&w->lookup, a, NULL, 0));
  assert_true(kad__lookup_failed(&w->lookup, b));
  assert_int_equal(next(w), resting.peer);
  assert_true(kad__lookup_answered(&w->lookup, resting.peer, NULL, 0));
  assert_true(finished(w));
  world_free(w);
}

static void test_without_success_all_are_tried(void **state) {
  (void)state;
  uint64_t seed = test_seed("without_success");
  for (size_t i = 0; i < test_runs(20); i++) {
    kad_random random;
    kad_random_init_u64(&random, seed + i);
    kad__lookup_config config = random_config(&random);
    uint32_t known = 1 + (uint32_t)kad_random_below(&random, 59);
    world *w = world_new(seed + i, &config, known);
    uint32_t asked = 0;
    for (kad__peer peer = next(w); peer != 0; peer = next(w)) {
      assert_true(kad__lookup_failed(&w->lookup, peer));
      asked++;
    }
    assert_int_equal(asked, known);
    assert_true(finished(w));
    world_free(w);
  }
}

/* After as many answers without progress as there is parallelism, as many as
 * results are wanted are asked at once. */
static void test_stalled(void **state) {
  (void)state;
  kad__lookup_config config = {.parallelism = 3, .results = 10, .paths = 1};
  world *w = world_new(test_seed("stalled"), &config, 40);
  kad__peer asked[3];
  for (int i = 0; i < 3; i++) {
    asked[i] = next(w);
  }
  assert_int_equal(next(w), 0);
  for (int i = 0; i < 3; i++) {
    assert_true(kad__lookup_answered(&w->lookup, asked[i], NULL, 0));
  }
  assert_true(w->lookup.paths[0].stalled);
  for (int i = 0; i < 10; i++) {
    assert_int_not_equal(next(w), 0);
  }
  assert_int_equal(next(w), 0);
  world_free(w);
}

/* Progress ends the stall: a new peer closer than the wanted results. */
static void test_progress_ends_the_stall(void **state) {
  (void)state;
  kad__lookup_config config = {.parallelism = 1, .results = 2, .paths = 1};
  world *w = world_new(test_seed("progress"), &config, 10);
  kad__peer first = next(w);
  assert_true(kad__lookup_answered(&w->lookup, first, NULL, 0));
  assert_true(w->lookup.paths[0].stalled);
  kad__peer second = next(w);
  kad__heard closer = {0};
  uint8_t id[32];
  for (int i = 0; i < 4; i++) {
    kad__store64(id + 8 * i, w->target.w[i]);
  }
  id[31] ^= 1;
  assert_ok(
      kad__peer_book_hold(w->book, &w->peers[w->count], kad__bytes(id, 32)));
  closer.peer = w->peers[w->count++];
  assert_true(kad__lookup_answered(&w->lookup, second, &closer, 1));
  assert_false(w->lookup.paths[0].stalled);
  assert_int_equal(next(w), closer.peer);
  world_free(w);
}

/* The number of candidates is bounded, and it is the far ones that go. */
static void test_candidates_are_bounded(void **state) {
  (void)state;
  kad__lookup_config config = {.parallelism = 1, .results = 2, .paths = 1};
  world *w = world_new(test_seed("bounded"), &config, 1);
  kad__peer first = next(w);
  kad__heard *heard = calloc(2000, sizeof *heard);
  for (int i = 0; i < 2000; i++) {
    uint8_t id[32];
    kad_random_bytes(&w->random, id, 32);
    assert_ok(kad__peer_book_hold(w->book, &heard[i].peer, kad__bytes(id, 32)));
  }
  assert_true(kad__lookup_answered(&w->lookup, first, heard, 2000));
  check(w);
  assert_int_equal(kad__lookup_size(&w->lookup), KAD__LOOKUP_CANDIDATES);
  kad__key last = w->lookup.paths[0].list[KAD__LOOKUP_CANDIDATES - 2].distance;
  uint32_t closer = 0;
  for (int i = 0; i < 2000; i++) {
    kad__key d = distance(w, heard[i].peer);
    closer += kad__key_compare(&d, &last) < 0;
    kad__peer_unref(w->book, heard[i].peer);
  }
  assert_true(closer <= KAD__LOOKUP_CANDIDATES);
  free(heard);
  world_free(w);
}

/* Told by several, a peer has all the addresses that were told. */
static void test_addresses_are_merged(void **state) {
  (void)state;
  kad__lookup_config config = {.parallelism = 2, .results = 20, .paths = 1};
  world *w = world_new(test_seed("addresses_are_merged"), &config, 2);
  kad__peer a = next(w);
  kad__peer b = next(w);
  kad__heard heard = {.peer = add_peer(w)};
  assert_ok(kad__list_hold(w->book, &heard.addresses,
                           kad__bytes("\x12\x03"
                                      "one",
                                      5)));
  assert_true(kad__lookup_answered(&w->lookup, a, &heard, 1));
  kad__list_unref(w->book, heard.addresses);
  assert_ok(kad__list_hold(w->book, &heard.addresses,
                           kad__bytes("\x12\x03"
                                      "two",
                                      5)));
  assert_true(kad__lookup_answered(&w->lookup, b, &heard, 1));
  kad__list_unref(w->book, heard.addresses);
  const kad__candidate *c = kad__lookup_find(&w->lookup, heard.peer);
  assert_bytes_equal(kad__list_bytes(w->book, c->addresses),
                     kad__bytes("\x12\x03"
                                "one\x12\x03"
                                "two",
                                10));
  /* An empty list takes nothing away. */
  heard.addresses = 0;
  kad__peer next_peer = next(w);
  assert_int_equal(next_peer, heard.peer);
  world_free(w);
}

/* ---- disjoint paths ----------------------------------------------------- */

/* Each path asks peers of its own; who was asked by one is not asked again; a
 * path whose peers lie does not spoil the others. */
static void test_disjoint_paths(void **state) {
  (void)state;
  kad__lookup_config config = {.parallelism = 3, .results = 4, .paths = 3};
  world *w = world_new(test_seed("disjoint_paths"), &config, 3);
  kad__peer first[3];
  for (int i = 0; i < 3; i++) {
    first[i] = next(w);
    assert_int_not_equal(first[i], 0);
  }
  assert_int_equal(next(w), 0);
  kad__heard told[3];
  for (int i = 0; i < 3; i++) {
    told[i] = (kad__heard){.peer = add_peer(w)};
    assert_true(kad__lookup_answered(&w->lookup, first[i], &told[i], 1));
  }
  /* What a path was told, it alone knows. */
  for (int i = 0; i < 3; i++) {
    kad__peer peer = next(w);
    assert_true(peer == told[0].peer || peer == told[1].peer ||
                peer == told[2].peer);
    assert_true(kad__lookup_answered(&w->lookup, peer, NULL, 0));
  }
  assert_true(finished(w));
  const kad__candidate *results[16];
  size_t n = kad__lookup_results(&w->lookup, results, 16);
  for (int i = 0; i < 3; i++) {
    bool there = false;
    for (size_t j = 0; j < n; j++) {
      there = there || results[j]->peer == told[i].peer;
    }
    assert_true(there);
  }
  world_free(w);
}

static void test_results_are_merged_in_order(void **state) {
  (void)state;
  uint64_t seed = test_seed("results_are_merged");
  for (size_t run = 0; run < test_runs(50); run++) {
    kad__lookup_config config = {.parallelism = 4, .results = 8, .paths = 3};
    world *w = world_new(seed + run, &config, 20);
    const kad__candidate *results[64];
    while (!finished(w)) {
      kad__peer peer = next(w);
      if (peer == 0) {
        /* Several paths wait for one: let somebody answer. */
        for (uint32_t i = 0; i < w->count; i++) {
          kad__candidate *c = kad__lookup_find(&w->lookup, w->peers[i]);
          if (c != NULL && c->owned && c->state == KAD__WAITING) {
            kad__heard heard[2] = {{0}};
            size_t n = 0;
            while (n < 2 && w->count < 200) {
              heard[n++].peer = add_peer(w);
            }
            kad__lookup_answered(&w->lookup, w->peers[i], heard, n);
            break;
          }
        }
      }
      check(w);
    }
    size_t n = kad__lookup_results(&w->lookup, results, 64);
    assert_true(n >= 8 && n <= 24);
    for (size_t i = 1; i < n; i++) {
      assert_true(kad__key_compare(&results[i - 1]->distance,
                                   &results[i]->distance) < 0);
    }
    world_free(w);
  }
}

static void test_failure_does_not_undo_success(void **state) {
  (void)state;
  kad__lookup_config config = {.parallelism = 1, .results = 3, .paths = 2};
  world *w = world_new(test_seed("failure_does_not_undo"), &config, 3);
  kad__peer peer = next(w);
  assert_true(kad__lookup_answered(&w->lookup, peer, NULL, 0));
  assert_false(kad__lookup_failed(&w->lookup, peer));
  assert_int_equal(kad__lookup_find(&w->lookup, peer)->state, KAD__ANSWERED);
  world_free(w);
}

/* A path begins where it is told to, however far that is from the target. */
static void test_entries_are_asked_first(void **state) {
  (void)state;
  uint64_t seed = test_seed("entries_are_asked_first");
  for (size_t run = 0; run < test_runs(20); run++) {
    kad__lookup_config config = {.parallelism = 2, .results = 5, .paths = 2};
    world *w = world_new(seed + run, &config, 10);
    kad__heard entries[2] = {{.peer = add_peer(w)}, {.peer = add_peer(w)}};
    assert_ok(kad__lookup_seed_entry(&w->lookup, 1, &entries[0]));
    assert_ok(kad__lookup_seed_entry(&w->lookup, 1, &entries[1]));
    assert_ok(kad__lookup_seed_entry(&w->lookup, 1, &entries[1]));
    check(w);
    uint32_t hits = 0;
    for (int i = 0; i < 4; i++) {
      kad__peer peer = next(w);
      assert_int_not_equal(peer, 0);
      hits += peer == entries[0].peer || peer == entries[1].peer;
    }
    assert_int_equal(next(w), 0);
    assert_int_equal(hits, 2);
    world_free(w);
  }
}

static uint32_t count_state(const world *w, uint8_t which) {
  const kad__path *p = &w->lookup.paths[0];
  uint32_t count = 0;
  for (uint32_t i = 0; i < p->count; i++) {
    count += p->list[i].state == which;
  }
  return count;
}

/* Who names peers that keep silent loses its credit: what else it named is put
 * off, until somebody else names it. */
static void test_credit(void **state) {
  (void)state;
  kad__lookup_config config = {.parallelism = 8, .results = 20, .paths = 2};
  world *w = world_new(test_seed("credit"), &config, 1);
  kad__peer liar = next(w);
  kad__heard names[12];
  kad__peer asked[8];
  for (size_t i = 0; i < KAD__COUNT(names); i++) {
    names[i] = (kad__heard){.peer = add_peer(w)};
  }
  assert_true(kad__lookup_answered(&w->lookup, liar, names, 12));
  for (size_t i = 0; i < KAD__COUNT(asked); i++) {
    asked[i] = next(w);
    assert_int_not_equal(asked[i], 0);
  }
  for (int i = 0; i < 3; i++) {
    assert_true(kad__lookup_failed(&w->lookup, asked[i]));
  }
  assert_int_equal(count_state(w, KAD__DEFERRED), 0);
  kad__lookup_slow(&w->lookup, asked[3]);
  check(w);
  assert_int_equal(count_state(w, KAD__DEFERRED), 4);
  assert_int_equal(next(w), 0);
  assert_true(kad__lookup_answered(&w->lookup, asked[3], names, 12));
  check(w);
  assert_int_equal(count_state(w, KAD__DEFERRED), 0);
  for (int i = 0; i < 4; i++) {
    assert_int_not_equal(next(w), 0);
  }
  world_free(w);
}

/* However few are wanted, all in the region are asked, and are results. */
static void test_region(void **state) {
  (void)state;
  uint64_t seed = test_seed("region");
  for (size_t run = 0; run < test_runs(20); run++) {
    kad__lookup_config config = {.parallelism = 3,
                                 .results = 4,
                                 .paths = 1 + (uint32_t)(run % 2) * 2,
                                 .region = UINT64_MAX / 2};
    world *w = world_new(seed + run, &config, 60);
    const kad__candidate *results[256];
    for (kad__peer peer = next(w); peer != 0; peer = next(w)) {
      assert_true(kad__lookup_answered(&w->lookup, peer, NULL, 0));
    }
    assert_true(finished(w));
    uint32_t inside = 0;
    for (uint32_t i = 0; i < w->count; i++) {
      bool in = distance(w, w->peers[i]).w[0] < config.region;
      inside += in;
      assert_true(!in || kad__lookup_find(&w->lookup, w->peers[i])->state ==
                             KAD__ANSWERED);
    }
    assert_true(inside > 4);
    assert_int_equal(kad__lookup_results(&w->lookup, results, 256), inside);
    world_free(w);
  }
}

/* ---- a whole network ---------------------------------------------------- */

#define NODES 200

/* Everybody knows its twenty nearest and twenty at random; the plain and the
 * disjoint lookup both find the closest node. */
static void run_graph(uint64_t seed, uint32_t paths) {
  kad__lookup_config config = {.parallelism = 3, .results = 10, .paths = paths};
  world *w = world_new(seed, &config, 0);
  static kad__peer knows[NODES][40];
  for (int i = 0; i < NODES; i++) {
    add_peer(w);
  }
  for (int i = 0; i < NODES; i++) {
    bool taken[NODES] = {false};
    taken[i] = true;
    for (int j = 0; j < 20; j++) {
      int best = -1;
      for (int k = 0; k < NODES; k++) {
        const kad__key *key = kad__peer_key(w->book, w->peers[i]);
        kad__key dk =
            kad__key_distance(kad__peer_key(w->book, w->peers[k]), key);
        kad__key db = best < 0
                          ? dk
                          : kad__key_distance(
                                kad__peer_key(w->book, w->peers[best]), key);
        if (!taken[k] && (best < 0 || kad__key_compare(&dk, &db) < 0)) {
          best = k;
        }
      }
      taken[best] = true;
      knows[i][j] = w->peers[best];
      knows[i][20 + j] = w->peers[below(w, NODES)];
    }
  }
  for (int i = 0; i < 20; i++) {
    kad__heard heard = {.peer = knows[0][20 + i]};
    assert_ok(kad__lookup_seed(&w->lookup, &heard));
  }
  while (!finished(w)) {
    kad__peer peer = next(w);
    uint32_t index = 0;
    while (peer == 0 || w->peers[index] != peer) {
      kad__candidate *c = kad__lookup_find(&w->lookup, w->peers[index]);
      if (peer == 0 && c != NULL && c->owned && c->state == KAD__WAITING) {
        break;
      }
      index++;
    }
    if (peer == 0) {
      kad__heard heard[40];
      for (int j = 0; j < 40; j++) {
        heard[j] = (kad__heard){.peer = knows[index][j]};
      }
      kad__lookup_answered(&w->lookup, w->peers[index], heard, 40);
    }
    check(w);
  }
  const kad__candidate *results[64];
  size_t n = kad__lookup_results(&w->lookup, results, 64);
  assert_true(paths == 1 ? n == 10 : n >= 10);
  for (int i = 0; i < NODES; i++) {
    kad__key d = distance(w, w->peers[i]);
    assert_true(kad__key_compare(&results[0]->distance, &d) <= 0);
  }
  world_free(w);
}

static void test_finds_the_closest(void **state) {
  (void)state;
  uint64_t seed = test_seed("finds_the_closest");
  for (size_t i = 0; i < test_runs(5); i++) {
    run_graph(seed + i, 1);
    run_graph(seed + i, 3);
  }
}

/* ---- given peers -------------------------------------------------------- */

static void test_given_peers(void **state) {
  (void)state;
  kad__lookup_config config = {
      .parallelism = 2, .results = UINT32_MAX, .paths = 1, .fixed = true};
  world *w = world_new(test_seed("given_peers"), &config, 4);
  kad__peer a = next(w);
  kad__peer b = next(w);
  kad__heard other = {.peer = add_peer(w)};
  assert_int_equal(next(w), 0);
  assert_true(kad__lookup_answered(&w->lookup, a, &other, 1));
  assert_int_equal(kad__lookup_size(&w->lookup), 4);
  assert_true(kad__lookup_failed(&w->lookup, b));
  kad__peer c = next(w);
  kad__peer d = next(w);
  assert_true(kad__lookup_answered(&w->lookup, c, NULL, 0));
  assert_false(finished(w));
  assert_true(kad__lookup_answered(&w->lookup, d, NULL, 0));
  assert_true(finished(w));
  const kad__candidate *results[8];
  assert_int_equal(kad__lookup_results(&w->lookup, results, 8), 3);
  world_free(w);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_new_lookup),
      cmocka_unit_test(test_termination_and_parallelism),
      cmocka_unit_test(test_asks_in_order_of_distance),
      cmocka_unit_test(test_no_duplicates),
      cmocka_unit_test(test_slow_peers),
      cmocka_unit_test(test_slow_peers_are_the_last_hope),
      cmocka_unit_test(test_deferred_peers),
      cmocka_unit_test(test_without_success_all_are_tried),
      cmocka_unit_test(test_stalled),
      cmocka_unit_test(test_progress_ends_the_stall),
      cmocka_unit_test(test_candidates_are_bounded),
      cmocka_unit_test(test_addresses_are_merged),
      cmocka_unit_test(test_disjoint_paths),
      cmocka_unit_test(test_results_are_merged_in_order),
      cmocka_unit_test(test_failure_does_not_undo_success),
      cmocka_unit_test(test_entries_are_asked_first),
      cmocka_unit_test(test_credit),
      cmocka_unit_test(test_region),
      cmocka_unit_test(test_finds_the_closest),
      cmocka_unit_test(test_given_peers),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
