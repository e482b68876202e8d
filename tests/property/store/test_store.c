/* The two stores are one: whatever is done to both, they give the same answers
 * and have the same records, also after the one on disk was closed and opened
 * again. */
#include "../../unit/store/places.h"

typedef struct pair {
  place place;
  kad__memory_store_config limits;
  kad__store *memory;
  kad__store *disk;
  kad_random random;
  kad_time now;
  uint64_t groups;
} pair;

static const uint64_t secret[2] = {3, 5};

static void open_disk(pair *p) {
  kad__sqlite_store_config config;
  kad__sqlite_store_config_default(&config);
  config.limits = p->limits;
  memcpy(config.secret, secret, sizeof secret);
  assert_ok(kad__sqlite_store_new(&p->disk, kad_allocator_default(),
                                  p->place.path, &config, p->now,
                                  PLACE_UNIX + p->now));
}

static void pair_init(pair *p, uint64_t seed) {
  kad_random_init_u64(&p->random, seed);
  p->now = PLACE_NOW;
  p->groups = seed % 3 * 3;
  place_init(&p->place);
  kad__memory_store_config_default(&p->limits);
  p->limits.max_records = 12;
  p->limits.max_own_records = 6;
  p->limits.max_value = 24;
  p->limits.max_provided = 6;
  p->limits.max_provider_keys = 10;
  p->limits.max_providers_per_key = 4;
  p->limits.max_keys_per_provider = 6;
  assert_ok(kad__memory_store_new(&p->memory, kad_allocator_default(),
                                  &p->limits, secret));
  open_disk(p);
}

static void pair_fini(pair *p) {
  p->memory->ops->free(p->memory);
  p->disk->ops->free(p->disk);
  place_fini(&p->place);
}

static kad_bytes name(pair *p, uint8_t out[2], char kind, uint64_t count) {
  out[0] = (uint8_t)kind;
  out[1] = (uint8_t)kad_random_below(&p->random, count);
  return kad__bytes(out, 2);
}

static kad_time some_expiry(pair *p) {
  /* Later ones expire later: "the oldest" then means the same to both. */
  p->now++;
  return p->now + KAD_MINUTE;
}

/* Of a run in three nobody's network is known. */
static uint64_t some_group(pair *p) {
  return p->groups == 0 ? 0 : kad_random_below(&p->random, p->groups);
}

static void step_put(pair *p) {
  uint8_t key[2];
  uint8_t source[2];
  uint8_t value[26];
  bool own = kad_random_below(&p->random, 4) == 0;
  kad_random_bytes(&p->random, value, sizeof value);
  kad__record r = {
      .key = name(p, key, 'k', 30),
      .value = kad__bytes(value, kad_random_below(&p->random, 26)),
      .publisher = kad__bytes(value, kad_random_below(&p->random, 3)),
      .expires = some_expiry(p),
      .source = own ? kad__bytes(NULL, 0) : name(p, source, 's', 5),
      .group = some_group(p)};
  assert_error(p->memory->ops->put(p->memory, &r, own),
               p->disk->ops->put(p->disk, &r, own));
}

static void step_provide(pair *p) {
  uint8_t key[2];
  uint8_t id[2];
  bool own = kad_random_below(&p->random, 4) == 0;
  kad__provider r = {.key = name(p, key, 'k', 16),
                     .provider = own ? text("me") : name(p, id, 'p', 9),
                     .addresses = text("addresses"),
                     .expires = some_expiry(p),
                     .group = some_group(p)};
  r.addresses.len = kad_random_below(&p->random, 9);
  assert_error(p->memory->ops->add_provider(p->memory, &r, own),
               p->disk->ops->add_provider(p->disk, &r, own));
}

static void step_remove(pair *p) {
  uint8_t key[2];
  uint8_t id[2];
  kad_bytes k = name(p, key, 'k', 30);
  kad_bytes provider =
      kad_random_below(&p->random, 4) == 0 ? text("me") : name(p, id, 'p', 9);
  p->memory->ops->remove(p->memory, k);
  p->disk->ops->remove(p->disk, k);
  p->memory->ops->remove_provider(p->memory, k, provider);
  p->disk->ops->remove_provider(p->disk, k, provider);
}

static void step_expire(pair *p) {
  p->now += kad_random_below(&p->random, KAD_MINUTE);
  p->memory->ops->expire(p->memory, p->now);
  p->disk->ops->expire(p->disk, p->now);
  assert_int_equal(p->memory->ops->deadline(p->memory),
                   p->disk->ops->deadline(p->disk));
}

static void step_reopen(pair *p) {
  p->disk->ops->free(p->disk);
  open_disk(p);
}

/* ---- the same? ---------------------------------------------------------- */

static void compare_values(pair *p) {
  kad__record a = {0};
  kad__record b = {0};
  bool own_a = false;
  bool own_b = false;
  bool more;
  do {
    kad_bytes after = a.key;
    more = p->memory->ops->next(p->memory, &a, &own_a, after);
    assert_int_equal(more, p->disk->ops->next(p->disk, &b, &own_b, b.key));
    if (more) {
      assert_bytes_equal(a.key, b.key);
      assert_bytes_equal(a.value, b.value);
      assert_bytes_equal(a.publisher, b.publisher);
      assert_int_equal(a.expires, b.expires);
      assert_int_equal(own_a, own_b);
    }
  } while (more);
}

static void compare_providers_of(pair *p, kad_bytes key) {
  kad__provider a[8];
  kad__provider b[8];
  size_t n = p->memory->ops->providers(p->memory, a, 8, key);
  assert_int_equal(n, p->disk->ops->providers(p->disk, b, 8, key));
  for (size_t i = 0; i < n; i++) {
    assert_bytes_equal(a[i].key, b[i].key);
    assert_bytes_equal(a[i].provider, b[i].provider);
    assert_bytes_equal(a[i].addresses, b[i].addresses);
    assert_int_equal(a[i].expires, b[i].expires);
  }
}

static void compare(pair *p) {
  uint8_t key[2] = {'k', 0};
  kad__provider a = {0};
  kad__provider b = {0};
  compare_values(p);
  for (; key[1] < 16; key[1]++) {
    compare_providers_of(p, kad__bytes(key, 2));
  }
  while (p->memory->ops->next_provided(p->memory, &a, a.key)) {
    assert_true(p->disk->ops->next_provided(p->disk, &b, b.key));
    assert_bytes_equal(a.key, b.key);
  }
  assert_false(p->disk->ops->next_provided(p->disk, &b, b.key));
}

static void test_alike(void **state) {
  uint64_t seed = test_seed("store");
  (void)state;
  for (size_t run = 0; run < test_runs(6); run++) {
    pair p;
    pair_init(&p, seed + run);
    for (int i = 0; i < 400; i++) {
      uint64_t what = kad_random_below(&p.random, 100);
      if (what < 45) {
        step_put(&p);
      } else if (what < 85) {
        step_provide(&p);
      } else if (what < 95) {
        step_remove(&p);
      } else if (what < 97) {
        step_expire(&p);
      } else {
        compare(&p);
      }
    }
    compare(&p);
    step_reopen(&p);
    compare(&p);
    pair_fini(&p);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_alike)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
