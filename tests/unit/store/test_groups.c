/* Networks of peers and their share of the room: each test runs on the store in
 * memory and on the one on disk. */
#include "places.h"

typedef struct world {
  bool on_disk;
  place place;
  kad__memory_store_config limits;
  kad__store *s;
} world;

static void open_store(world *w) {
  kad__sqlite_store_config config;
  const kad_allocator *allocator = kad_allocator_default();
  uint64_t secret[2] = {1, 2};
  if (!w->on_disk) {
    assert_ok(kad__memory_store_new(&w->s, allocator, &w->limits, secret));
    return;
  }
  kad__sqlite_store_config_default(&config);
  config.limits = w->limits;
  memcpy(config.secret, secret, sizeof secret);
  assert_ok(kad__sqlite_store_new(&w->s, allocator, w->place.path, &config,
                                  PLACE_NOW, PLACE_UNIX));
}

static void close_store(world *w) {
  w->s->ops->free(w->s);
}

static void begin(world *w, void **state) {
  w->on_disk = *(const bool *)*state;
  place_init(&w->place);
  kad__memory_store_config_default(&w->limits);
}

static void end(world *w) {
  close_store(w);
  place_fini(&w->place);
}

/* Text of a number; three of them may be in use. */
static kad_bytes number(char kind, unsigned n) {
  static char texts[3][16];
  static unsigned turn;
  char *out = texts[turn++ % 3];
  (void)snprintf(out, sizeof texts[0], "%c%u", kind, n);
  return kad__bytes_of(out);
}

static int put(world *w, unsigned key, unsigned peer, uint64_t group) {
  kad__record r = {.key = number('k', key),
                   .value = text("value"),
                   .expires = PLACE_NOW + KAD_HOUR + key,
                   .source = number('p', peer),
                   .group = group};
  return w->s->ops->put(w->s, &r, false);
}

static int provide(world *w, unsigned key, unsigned peer, uint64_t group) {
  kad__provider r = {.key = number('k', key),
                     .provider = number('p', peer),
                     .expires = PLACE_NOW + KAD_HOUR + key,
                     .group = group};
  return w->s->ops->add_provider(w->s, &r, false);
}

static bool has(world *w, unsigned key) {
  kad__record r;
  return w->s->ops->get(w->s, &r, number('k', key));
}

static size_t count(world *w, unsigned from, unsigned to) {
  size_t n = 0;
  for (unsigned i = from; i < to; i++) {
    n += has(w, i);
  }
  return n;
}

/* How many of the peers from `from` to `to` provide the key. */
static size_t provide_count(world *w, unsigned key, unsigned from,
                            unsigned to) {
  kad__provider list[1024];
  size_t found = 0;
  size_t n = w->s->ops->providers(w->s, list, 1024, number('k', key));
  for (size_t i = 0; i < n; i++) {
    char id[16] = {0};
    memcpy(id, list[i].provider.data, list[i].provider.len);
    unsigned long peer = strtoul(id + 1, NULL, 10);
    found += peer >= from && peer < to;
  }
  return found;
}

/* ---- the room for all --------------------------------------------------- */

/* As many ids as they like: those of one network have the share of one, before
 * the store was opened again and after. */
static void test_a_network_cannot_fill_the_store(void **state) {
  world w;
  begin(&w, state);
  w.limits.max_records = 100;
  open_store(&w);
  for (unsigned i = 0; i < 300; i++) {
    assert_error(i < 100 ? 0 : KAD_E_STORE_FULL, put(&w, i, i, 7));
  }
  if (w.on_disk) {
    close_store(&w);
    open_store(&w);
  }
  /* Nine peers of nine networks, with ten records each. */
  for (unsigned i = 0; i < 90; i++) {
    assert_ok(put(&w, 1000 + i, 500 + i % 9, 20 + i % 9));
  }
  for (unsigned i = 300; i < 600; i++) {
    assert_error(KAD_E_STORE_FULL, put(&w, i, i, 7));
  }
  assert_int_equal(count(&w, 1000, 1090), 90);
  assert_int_equal(count(&w, 0, 1000), 10);
  end(&w);
}

/* Within a network it is as among peers whose network is not known. */
static void test_peers_of_one_network_share(void **state) {
  world w;
  begin(&w, state);
  w.limits.max_records = 60;
  open_store(&w);
  for (unsigned i = 0; i < 60; i++) {
    assert_ok(put(&w, i, 1, 7));
  }
  for (unsigned i = 0; i < 20; i++) {
    assert_ok(put(&w, 100 + i, 2, 7));
  }
  assert_int_equal(count(&w, 0, 60), 40);
  /* A third, from elsewhere: the largest of the largest gives way. */
  for (unsigned i = 0; i < 20; i++) {
    assert_ok(put(&w, 200 + i, 3, 8));
  }
  assert_int_equal(count(&w, 0, 60), 20);
  assert_int_equal(count(&w, 100, 120), 20);
  assert_int_equal(count(&w, 200, 220), 20);
  end(&w);
}

/* A peer is where it was last seen, with all that it has. */
static void test_peers_move(void **state) {
  world w;
  begin(&w, state);
  w.limits.max_records = 40;
  open_store(&w);
  for (unsigned i = 0; i < 20; i++) {
    assert_ok(put(&w, i, 1, 100 + i));
  }
  for (unsigned i = 0; i < 20; i++) {
    assert_ok(put(&w, 100 + i, 2, 7));
  }
  /* Peer 1 changes its network at every record, and gains nothing by it; not
   * even by a network of which nothing is known. */
  assert_error(KAD_E_STORE_FULL, put(&w, 20, 1, 300));
  assert_error(KAD_E_STORE_FULL, put(&w, 20, 1, 0));
  for (unsigned i = 0; i < 12; i++) {
    assert_ok(put(&w, 200 + i, 3, 9));
  }
  size_t one = count(&w, 0, 20);
  size_t two = count(&w, 100, 120);
  assert_true(one + two == 28 && one >= 13 && two >= 13);
  end(&w);
}

static void test_a_network_cannot_fill_the_keys(void **state) {
  world w;
  begin(&w, state);
  w.limits.max_provider_keys = 50;
  open_store(&w);
  for (unsigned i = 0; i < 200; i++) {
    assert_error(i < 50 ? 0 : KAD_E_STORE_FULL, provide(&w, i, i, 7));
  }
  for (unsigned i = 0; i < 40; i++) {
    assert_ok(provide(&w, 1000 + i, 500 + i % 4, 20 + i % 4));
  }
  for (unsigned i = 200; i < 400; i++) {
    (void)provide(&w, i, i, 7);
  }
  size_t kept = 0;
  for (unsigned i = 0; i < 40; i++) {
    kept += provide_count(&w, 1000 + i, 500, 504);
  }
  assert_int_equal(kept, 40);
  end(&w);
}

/* ---- one key ------------------------------------------------------------ */

/* G-15: a thousand providers of one key from few networks. Whoever is from
 * elsewhere gets a place and keeps it, whether it came before or after. */
static void test_a_network_cannot_squat_a_key(void **state) {
  world w;
  begin(&w, state);
  open_store(&w);
  for (unsigned i = 0; i < 20; i++) {
    assert_ok(provide(&w, 1, 2000 + i, 100 + i));
  }
  for (unsigned i = 0; i < 1000; i++) {
    (void)provide(&w, 1, i, 1 + i % 3);
  }
  assert_int_equal(provide_count(&w, 1, 0, 1000),
                   w.limits.max_providers_per_key - 20);
  for (unsigned i = 20; i < 40; i++) {
    assert_ok(provide(&w, 1, 2000 + i, 100 + i));
  }
  for (unsigned i = 1000; i < 2000; i++) {
    (void)provide(&w, 1, i, 1 + i % 3);
  }
  assert_int_equal(provide_count(&w, 1, 2000, 2040), 40);
  assert_int_equal(provide_count(&w, 1, 0, 2000),
                   w.limits.max_providers_per_key - 40);
  end(&w);
}

/* Within a network the secret order decides, as among those of no network. */
static void test_order_within_a_network(void **state) {
  world w;
  begin(&w, state);
  w.limits.max_providers_per_key = 8;
  for (unsigned network = 0; network < 2; network++) {
    unsigned full = 0;
    open_store(&w);
    for (unsigned i = 0; i < 100; i++) {
      int error = provide(&w, 1 + network, i, network);
      assert_true(error == 0 || error == KAD_E_STORE_FULL);
      full += error != 0;
    }
    assert_true(full > 50 && full < 92);
    assert_int_equal(provide_count(&w, 1 + network, 0, 100), 8);
    if (network == 0) {
      close_store(&w);
    }
  }
  end(&w);
}

/* ---- memory ------------------------------------------------------------- */

/* Whatever allocation fails, nothing is lost and nothing leaks. */
static void test_out_of_memory(void **state) {
  world w;
  kad__memory_store_config limits;
  uint64_t secret[2] = {1, 2};
  (void)state;
  kad__memory_store_config_default(&limits);
  for (size_t fail = 1; fail < 60; fail++) {
    test_allocator a;
    test_allocator_init(&a);
    assert_ok(kad__memory_store_new(&w.s, &a.allocator, &limits, secret));
    a.fail_at = a.calls + fail;
    size_t kept = 0;
    for (unsigned i = 0; i < 12; i++) {
      /* Peers that move, too. */
      int error = put(&w, i, i % 5, 1 + i % 4);
      assert_true(error == 0 || error == KAD_E_NO_MEMORY);
      kept += error == 0;
    }
    assert_int_equal(count(&w, 0, 12), kept);
    a.fail_at = 0;
    for (unsigned i = 0; i < 12; i++) {
      assert_ok(put(&w, i, i % 5, 2));
    }
    w.s->ops->expire(w.s, PLACE_NOW + 2 * KAD_HOUR);
    assert_int_equal(count(&w, 0, 12), 0);
    close_store(&w);
    assert_int_equal(a.live, 0);
  }
}

static bool kinds[] = {false, true};

#define TEST(name)                                    \
  {#name " (memory)", name, NULL, NULL, &kinds[0]}, { \
#name " (disk)", name, NULL, NULL, &kinds[1]      \
  }

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(test_a_network_cannot_fill_the_store),
      TEST(test_peers_of_one_network_share),
      TEST(test_peers_move),
      TEST(test_a_network_cannot_fill_the_keys),
      TEST(test_a_network_cannot_squat_a_key),
      TEST(test_order_within_a_network),
      cmocka_unit_test(test_out_of_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
