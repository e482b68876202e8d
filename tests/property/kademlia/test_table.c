/* The key space, and the routing table against a model that is one list per
 * bucket and sorts everything. */
#include "base/alloc.h"
#include "kademlia/table.h"
#include "support.h"

/* Ids are keys, so a test can choose the bucket. */
static void id_hash(uint8_t out[32], kad_bytes in) {
  memset(out, 0, 32);
  memcpy(out, in.data, in.len < 32 ? in.len : 32);
}

static kad__key random_key(kad_random *random) {
  uint8_t bytes[32];
  kad_random_bytes(random, bytes, sizeof bytes);
  return kad__key_load(bytes);
}

/* ---- keys --------------------------------------------------------------- */

static bool add_overflows(kad__key *out, const kad__key *a, const kad__key *b) {
  bool carry = false;
  for (int i = 3; i >= 0; i--) {
    uint64_t sum = a->w[i] + b->w[i];
    bool over = sum < a->w[i];
    out->w[i] = sum + carry;
    carry = over || out->w[i] < sum;
  }
  return carry;
}

static void test_distance_is_a_metric(void **state) {
  (void)state;
  kad_random random;
  kad_random_init_u64(&random, test_seed("distance_is_a_metric"));
  for (size_t i = 0; i < test_runs(2000); i++) {
    kad__key a = random_key(&random);
    kad__key b = random_key(&random);
    kad__key c = random_key(&random);
    kad__key zero = {{0}};
    kad__key ab = kad__key_distance(&a, &b);
    kad__key ba = kad__key_distance(&b, &a);
    kad__key bc = kad__key_distance(&b, &c);
    kad__key ac = kad__key_distance(&a, &c);
    kad__key aa = kad__key_distance(&a, &a);
    kad__key sum;
    assert_true(kad__key_equal(&aa, &zero));
    assert_true(kad__key_equal(&ab, &ba));
    if (!add_overflows(&sum, &ab, &bc)) {
      assert_true(kad__key_compare(&ac, &sum) <= 0);
    }
    /* Only one point lies at a given distance. */
    assert_false(kad__key_equal(&ab, &ac));
    assert_int_equal(kad__key_common(&a, &b), kad__key_leading_zeros(&ab));
  }
}

/* Flipping bit i moves a key to bucket i and to no other. */
static void test_buckets_tile_the_space(void **state) {
  (void)state;
  kad_random random;
  kad_random_init_u64(&random, test_seed("buckets_tile_the_space"));
  kad__key local = random_key(&random);
  for (uint32_t i = 0; i < KAD__KEY_BITS; i++) {
    kad__key near = local;
    near.w[i / 64] ^= UINT64_C(1) << (63 - i % 64);
    assert_int_equal(kad__key_common(&local, &near), i);
    assert_true(kad__key_bit(&near, i) != kad__key_bit(&local, i));
    /* All lower bits at will: still that bucket. */
    kad__key far = near;
    for (uint32_t j = i + 1; j < KAD__KEY_BITS; j++) {
      far.w[j / 64] ^= (kad_random_u64(&random) & 1) << (63 - j % 64);
    }
    assert_int_equal(kad__key_common(&local, &far), i);
  }
  assert_int_equal(kad__key_common(&local, &local), KAD__KEY_BITS);
}

/* ---- the model ---------------------------------------------------------- */

#define MODEL_PEERS 400

typedef struct model_peer {
  uint8_t id[32];
  kad__peer handle;
  kad__key key;
  uint32_t bucket;
} model_peer;

typedef struct model_bucket {
  int list[MODEL_PEERS]; /* disconnected, then connected */
  bool connected[MODEL_PEERS];
  int count;
  int pending; /* -1: none */
  bool pending_connected;
  kad_time due;
} model_bucket;

typedef struct model {
  kad_random random;
  kad__peer_book *book;
  kad__table table;
  model_peer peers[MODEL_PEERS];
  model_bucket buckets[KAD__KEY_BITS];
  uint32_t bucket_size;
  kad_time now;
} model;

static void model_init(model *m, uint64_t seed) {
  const uint64_t secret[2] = {1, 2};
  memset(m, 0, sizeof *m);
  kad_random_init_u64(&m->random, seed);
  assert_ok(
      kad__peer_book_new(&m->book, kad_allocator_default(), id_hash, secret));
  kad__key local = random_key(&m->random);
  /* Now and then buckets that are never full, larger than any real one. */
  m->bucket_size = kad_random_below(&m->random, 4) == 0
                       ? MODEL_PEERS
                       : 1 + (uint32_t)kad_random_below(&m->random, 20);
  kad__table_init(&m->table, kad_allocator_default(), m->book, &local,
                  m->bucket_size, 60 * KAD_SECOND);
  for (int i = 0; i < MODEL_PEERS; i++) {
    model_peer *p = &m->peers[i];
    kad_random_bytes(&m->random, p->id, 32);
    /* A third lies close to us, in buckets that random keys never reach. */
    uint32_t same = (uint32_t)kad_random_below(&m->random, 3) == 0
                        ? (uint32_t)kad_random_below(&m->random, 200)
                        : 0;
    for (uint32_t b = 0; b < same; b++) {
      uint8_t bit = (uint8_t)(0x80 >> b % 8);
      p->id[b / 8] = (uint8_t)((p->id[b / 8] & ~bit) |
                               (kad__key_bit(&local, b) ? bit : 0));
    }
    /* Some crowd in one place, and agree in the first word of their keys. */
    if (i > 0 && kad_random_below(&m->random, 8) == 0) {
      memcpy(p->id, m->peers[kad_random_below(&m->random, (uint64_t)i)].id, 8);
    }
    assert_ok(kad__peer_book_hold(m->book, &p->handle,
                                  kad__bytes(p->id, sizeof p->id)));
    p->key = *kad__peer_key(m->book, p->handle);
    p->bucket = kad__table_index(&m->table, &p->key);
    assert_true(p->bucket < KAD__KEY_BITS);
  }
  for (int i = 0; i < KAD__KEY_BITS; i++) {
    m->buckets[i].pending = -1;
  }
  m->now = KAD_HOUR;
}

/* Many look-ups at once find what one by one would, also of unknown peers. */
static void check_found_together(const model *m) {
  kad_bytes ids[KAD__FIND_MANY];
  kad__peer found[KAD__FIND_MANY];
  size_t count = 0;
  for (; count < KAD__FIND_MANY && count < MODEL_PEERS; count++) {
    ids[count] = kad__bytes(m->peers[count].id, count % 5 == 0 ? 31 : 32);
  }
  kad__peer_book_find_many(m->book, found, ids, count);
  for (size_t i = 0; i < count; i++) {
    assert_int_equal(found[i], kad__peer_book_find(m->book, ids[i]));
    assert_int_equal(found[i], i % 5 == 0 ? 0 : m->peers[i].handle);
  }
}

static void model_fini(model *m) {
  check_found_together(m);
  kad__table_fini(&m->table);
  for (int i = 0; i < MODEL_PEERS; i++) {
    kad__peer_unref(m->book, m->peers[i].handle);
  }
  assert_int_equal(kad__peer_book_peers(m->book), 0);
  assert_int_equal(kad__peer_book_lists(m->book), 0);
  kad__peer_book_free(m->book);
}

static int model_at(const model_bucket *b, int peer) {
  for (int i = 0; i < b->count; i++) {
    if (b->list[i] == peer) {
      return i;
    }
  }
  return -1;
}

static void model_take(model_bucket *b, int at) {
  for (int i = at; i + 1 < b->count; i++) {
    b->list[i] = b->list[i + 1];
    b->connected[i] = b->connected[i + 1];
  }
  b->count--;
}

static void model_put(model_bucket *b, int peer, bool connected) {
  int at = b->count;
  while (!connected && at > 0 && b->connected[at - 1]) {
    at--;
  }
  for (int i = b->count; i > at; i--) {
    b->list[i] = b->list[i - 1];
    b->connected[i] = b->connected[i - 1];
  }
  b->list[at] = peer;
  b->connected[at] = connected;
  b->count++;
}

static int model_insert(model *m, int peer, bool connected) {
  model_bucket *b = &m->buckets[m->peers[peer].bucket];
  if (b->count < (int)m->bucket_size) {
    model_put(b, peer, connected);
    return KAD__INSERTED;
  }
  if (!connected || b->connected[0] || b->pending >= 0) {
    return KAD__INSERT_FULL;
  }
  b->pending = peer;
  b->pending_connected = true;
  b->due = m->now + 60 * KAD_SECOND;
  return KAD__INSERT_PENDING;
}

/* The same as the table, bucket by bucket and entry by entry. */
static void compare(const model *m) {
  uint32_t size = 0;
  const char *broken = kad__table_check(&m->table);
  if (broken != NULL) {
    fail_msg("%s", broken);
  }
  for (uint32_t i = 0; i < KAD__KEY_BITS; i++) {
    const model_bucket *mb = &m->buckets[i];
    if (i >= m->table.bucket_count) {
      assert_int_equal(mb->count, 0);
      continue;
    }
    const kad__bucket *b = &m->table.buckets[i];
    assert_int_equal(b->count, mb->count);
    assert_int_equal(b->pending != NULL, mb->pending >= 0);
    if (b->pending != NULL) {
      assert_int_equal(b->pending->entry.peer, m->peers[mb->pending].handle);
    }
    for (int j = 0; j < mb->count; j++) {
      assert_int_equal(b->entries[j].peer, m->peers[mb->list[j]].handle);
      assert_int_equal((b->entries[j].flags & KAD__ENTRY_CONNECTED) != 0,
                       mb->connected[j]);
    }
    size += b->count;
  }
  assert_int_equal(size, m->table.size);
}

/* ---- random changes ----------------------------------------------------- */

static void do_insert(model *m, int peer) {
  model_bucket *b = &m->buckets[m->peers[peer].bucket];
  bool connected = kad_random_below(&m->random, 2) == 0;
  kad__peer oldest;
  if (model_at(b, peer) >= 0 || b->pending == peer) {
    return;
  }
  int first = b->count > 0 ? b->list[0] : -1;
  int expected = model_insert(m, peer, connected);
  int result = kad__table_insert(&m->table, m->peers[peer].handle, 0, connected,
                                 m->now, &oldest);
  assert_int_equal(result, expected);
  if (expected == KAD__INSERT_PENDING) {
    assert_int_equal(oldest, m->peers[first].handle);
  }
}

static void do_connect(model *m, int peer) {
  model_bucket *b = &m->buckets[m->peers[peer].bucket];
  bool connected = kad_random_below(&m->random, 2) == 0;
  int at = model_at(b, peer);
  kad__entry *entry = kad__table_find(&m->table, m->peers[peer].handle);
  assert_int_equal(entry != NULL, at >= 0);
  if (b->pending == peer) {
    b->pending_connected = connected;
    kad__table_set_connected(
        &m->table, kad__table_find_pending(&m->table, m->peers[peer].handle),
        connected);
  }
  if (at < 0) {
    return;
  }
  kad__table_set_connected(&m->table, entry, connected);
  model_take(b, at);
  model_put(b, peer, connected);
  if (at == 0 && connected) {
    b->pending = -1;
  }
}

static void do_remove(model *m, int peer) {
  model_bucket *b = &m->buckets[m->peers[peer].bucket];
  int at = model_at(b, peer);
  bool there = at >= 0 || b->pending == peer;
  assert_int_equal(kad__table_remove(&m->table, m->peers[peer].handle), there);
  if (at >= 0) {
    model_take(b, at);
    b->due = b->pending >= 0 ? 0 : b->due;
  } else if (there) {
    b->pending = -1;
  }
}

static void do_apply(model *m) {
  kad__applied applied;
  m->now += kad_random_below(&m->random, 30 * KAD_SECOND);
  for (uint32_t i = 0; i < KAD__KEY_BITS; i++) {
    model_bucket *b = &m->buckets[i];
    if (b->pending < 0 || b->due > m->now) {
      continue;
    }
    int peer = b->pending;
    bool full = b->count >= (int)m->bucket_size;
    b->pending = -1;
    if (full && b->connected[0]) {
      continue;
    }
    int evicted = full ? b->list[0] : -1;
    if (full) {
      model_take(b, 0);
    }
    model_put(b, peer, b->pending_connected);
    assert_true(kad__table_apply(&m->table, m->now, &applied));
    assert_int_equal(applied.inserted, m->peers[peer].handle);
    assert_int_equal(applied.evicted,
                     evicted < 0 ? 0 : m->peers[evicted].handle);
    assert_int_equal(applied.bucket, i);
    kad__peer_unref(m->book, applied.evicted);
  }
  assert_false(kad__table_apply(&m->table, m->now, &applied));
  assert_true(kad__table_deadline(&m->table) > m->now);
}

static const kad__key *sort_target;

static int by_distance(const void *a, const void *b) {
  kad__key da =
      kad__key_distance(&(*(const model_peer *const *)a)->key, sort_target);
  kad__key db =
      kad__key_distance(&(*(const model_peer *const *)b)->key, sort_target);
  return kad__key_compare(&da, &db);
}

static void check_closest(model *m) {
  const model_peer *all[MODEL_PEERS];
  kad__near near[MODEL_PEERS];
  size_t count = 0;
  kad__key target =
      kad_random_below(&m->random, 8) == 0
          ? m->table.local
          : m->peers[kad_random_below(&m->random, MODEL_PEERS)].key;
  if (kad_random_below(&m->random, 2) == 0) {
    target = random_key(&m->random);
  }
  kad__table_filter filter = {
      .skip = m->peers[kad_random_below(&m->random, MODEL_PEERS)].handle};
  for (int i = 0; i < MODEL_PEERS; i++) {
    if (model_at(&m->buckets[m->peers[i].bucket], i) >= 0 &&
        m->peers[i].handle != filter.skip) {
      all[count++] = &m->peers[i];
    }
  }
  sort_target = &target;
  qsort(all, count, sizeof all[0], by_distance);
  size_t cap = kad_random_below(
      &m->random, kad_random_below(&m->random, 2) == 0 ? 41 : MODEL_PEERS);
  size_t n = kad__table_closest(&m->table, near, cap, &target, &filter);
  assert_int_equal(n, cap < count ? cap : count);
  for (size_t i = 0; i < n; i++) {
    assert_int_equal(near[i].entry->peer, all[i]->handle);
  }
}

/* A closer target has no more nodes between itself and us, a farther one no
 * fewer. */
static void check_between(model *m) {
  kad__key target = random_key(&m->random);
  size_t count = kad__table_count_between(&m->table, &target);
  uint32_t bit = (uint32_t)kad_random_below(&m->random, KAD__KEY_BITS);
  kad__key other = target;
  other.w[bit / 64] ^= UINT64_C(1) << (63 - bit % 64);
  kad__key d = kad__key_distance(&m->table.local, &target);
  size_t count_other = kad__table_count_between(&m->table, &other);
  if (kad__key_bit(&d, bit)) {
    assert_true(count_other <= count);
  } else {
    assert_true(count_other >= count);
  }
}

static void run_model(uint64_t seed) {
  model *m = malloc(sizeof *m);
  model_init(m, seed);
  for (int i = 0; i < 3000; i++) {
    int peer = (int)kad_random_below(&m->random, MODEL_PEERS);
    uint64_t what = kad_random_below(&m->random, 10);
    if (what < 5) {
      do_insert(m, peer);
    } else if (what < 7) {
      do_connect(m, peer);
    } else if (what < 8) {
      do_remove(m, peer);
    } else if (what < 9) {
      do_apply(m);
    } else {
      check_closest(m);
      check_between(m);
    }
    if (i % 16 == 0) {
      compare(m);
    }
  }
  compare(m);
  model_fini(m);
  free(m);
}

static void test_table_is_the_model(void **state) {
  (void)state;
  uint64_t seed = test_seed("table_is_the_model");
  for (size_t i = 0; i < test_runs(20); i++) {
    run_model(seed + i);
  }
}

/* ---- single cases ------------------------------------------------------- */

static void test_own_key_has_no_place(void **state) {
  (void)state;
  model *m = malloc(sizeof *m);
  model_init(m, 1);
  uint8_t id[32];
  kad__peer self;
  kad__peer oldest;
  for (int i = 0; i < 4; i++) {
    kad__store64(id + 8 * i, m->table.local.w[i]);
  }
  assert_ok(kad__peer_book_hold(m->book, &self, kad__bytes(id, 32)));
  assert_error(KAD_E_SELF,
               kad__table_insert(&m->table, self, 0, true, m->now, &oldest));
  assert_null(kad__table_find(&m->table, self));
  kad__peer_unref(m->book, self);
  model_fini(m);
  free(m);
}

/* Each failing allocation leaves the table valid and nothing lost. */
static void test_without_memory(void **state) {
  (void)state;
  for (size_t fail = 1; fail < 30; fail++) {
    test_allocator t;
    const uint64_t secret[2] = {1, 2};
    kad__peer_book *book;
    kad__table table;
    kad_random random;
    kad_random_init_u64(&random, 7);
    test_allocator_init(&t);
    assert_ok(
        kad__peer_book_new(&book, kad_allocator_default(), id_hash, secret));
    kad__key local = random_key(&random);
    kad__table_init(&table, &t.allocator, book, &local, 3, KAD_SECOND);
    t.fail_at = fail;
    for (int i = 0; i < 40; i++) {
      uint8_t id[32];
      kad__peer peer;
      kad__peer oldest;
      kad_random_bytes(&random, id, 32);
      assert_ok(kad__peer_book_hold(book, &peer, kad__bytes(id, 32)));
      int result =
          kad__table_insert(&table, peer, 0, i % 2 == 0, KAD_HOUR, &oldest);
      assert_true(result >= 0 || result == KAD_E_NO_MEMORY);
      kad__peer_unref(book, peer);
      assert_null(kad__table_check(&table));
    }
    kad__table_fini(&table);
    assert_int_equal(kad__peer_book_peers(book), 0);
    kad__peer_book_free(book);
    assert_int_equal(t.live, 0);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_distance_is_a_metric),
      cmocka_unit_test(test_buckets_tile_the_space),
      cmocka_unit_test(test_table_is_the_model),
      cmocka_unit_test(test_own_key_has_no_place),
      cmocka_unit_test(test_without_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
