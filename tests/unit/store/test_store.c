/* What a store does, whichever it is: each test runs on the store in memory and
 * on the one on disk. */
#include "places.h"

typedef struct kind {
  bool on_disk;
} kind;

typedef struct world {
  kind *kind;
  place place;
  test_allocator allocator;
  kad__memory_store_config limits;
  kad__store *s;
} world;

static void open_store(world *w) {
  kad__sqlite_store_config config;
  const kad_allocator *allocator = &w->allocator.allocator;
  uint64_t secret[2] = {1, 2};
  if (!w->kind->on_disk) {
    assert_ok(kad__memory_store_new(&w->s, allocator, &w->limits, secret));
    return;
  }
  kad__sqlite_store_config_default(&config);
  config.limits = w->limits;
  config.secret[0] = secret[0];
  config.secret[1] = secret[1];
  assert_ok(kad__sqlite_store_new(&w->s, allocator, w->place.path, &config,
                                  PLACE_NOW, PLACE_UNIX));
}

static int setup(void **state) {
  world *w = calloc(1, sizeof *w);
  w->kind = (kind *)*state;
  place_init(&w->place);
  test_allocator_init(&w->allocator);
  kad__memory_store_config_default(&w->limits);
  open_store(w);
  *state = w;
  return 0;
}

static int teardown(void **state) {
  world *w = (world *)*state;
  w->s->ops->free(w->s);
  assert_int_equal(w->allocator.live, 0);
  place_fini(&w->place);
  free(w);
  return 0;
}

/* Begins anew with the limits that the test has set. */
static kad__store *limited(world *w) {
  w->s->ops->free(w->s);
  if (w->kind->on_disk) {
    place_fini(&w->place);
    place_init(&w->place);
  }
  open_store(w);
  return w->s;
}

static size_t count_records(kad__store *s) {
  kad__record r;
  uint8_t after[64];
  size_t len = 0;
  size_t n = 0;
  bool own;
  while (s->ops->next(s, &r, &own, kad__bytes(after, len))) {
    assert_true(r.key.len <= sizeof after);
    assert_true(kad__bytes_compare(kad__bytes(after, len), r.key) < 0);
    memcpy(after, r.key.data, r.key.len);
    len = r.key.len;
    n++;
  }
  return n;
}

static bool has(kad__store *s, const char *key) {
  kad__record r;
  return s->ops->get(s, &r, text(key));
}

static bool provides(kad__store *s, const char *key, const char *provider) {
  kad__provider list[64];
  size_t n = s->ops->providers(s, list, KAD__COUNT(list), text(key));
  for (size_t i = 0; i < n; i++) {
    assert_bytes_equal(list[i].key, text(key));
    if (kad__bytes_equal(list[i].provider, text(provider))) {
      return true;
    }
  }
  return false;
}

/* ---- values ------------------------------------------------------------- */

static void test_put_and_get(void **state) {
  kad__store *s = ((world *)*state)->s;
  kad__record r;
  assert_false(s->ops->get(s, &r, text("a")));
  assert_ok(put_text(s, "a", "one", NULL));
  assert_true(s->ops->get(s, &r, text("a")));
  assert_bytes_equal(r.key, text("a"));
  assert_bytes_equal(r.value, text("one"));
  assert_bytes_equal(r.publisher, text("publisher"));
  assert_int_equal(r.expires, PLACE_NOW + KAD_HOUR);
  assert_ok(put_text(s, "a", "two", "peer"));
  assert_value(s, "a", "two");
  assert_int_equal(count_records(s), 1);
  s->ops->remove(s, text("b"));
  s->ops->remove(s, text("a"));
  assert_false(s->ops->get(s, &r, text("a")));
  assert_int_equal(count_records(s), 0);
}

static void test_bytes_of_every_kind(void **state) {
  kad__store *s = ((world *)*state)->s;
  kad__record out;
  uint8_t bytes[256];
  for (size_t i = 0; i < sizeof bytes; i++) {
    bytes[i] = (uint8_t)(255 - i);
  }
  kad__record r = {.key = kad__bytes(bytes, sizeof bytes),
                   .expires = KAD_TIME_NEVER};
  assert_ok(s->ops->put(s, &r, true));
  assert_true(s->ops->get(s, &out, r.key));
  assert_bytes_equal(out.key, r.key);
  assert_int_equal(out.value.len, 0);
  assert_int_equal(out.publisher.len, 0);
  assert_true(out.expires == KAD_TIME_NEVER);
  r.value = r.key;
  assert_ok(s->ops->put(s, &r, true));
  assert_true(s->ops->get(s, &out, r.key));
  assert_bytes_equal(out.value, r.value);
}

static void test_walk_in_order(void **state) {
  kad__store *s = ((world *)*state)->s;
  static const char *const keys[] = {"b", "a", "bb", "ab", "c", "\xff"};
  static const char *const order[] = {"a", "ab", "b", "bb", "c", "\xff"};
  kad__record r = {0};
  bool own;
  for (size_t i = 0; i < KAD__COUNT(keys); i++) {
    assert_ok(put_text(s, keys[i], keys[i], i % 2 == 0 ? NULL : "peer"));
  }
  for (size_t i = 0; i < KAD__COUNT(order); i++) {
    /* The key of the last record is what callers walk on with. */
    assert_true(s->ops->next(s, &r, &own, r.key));
    assert_bytes_equal(r.key, text(order[i]));
    assert_bytes_equal(r.value, text(order[i]));
    assert_int_equal(own, strcmp(order[i], "b") == 0 ||
                              strcmp(order[i], "bb") == 0 ||
                              strcmp(order[i], "c") == 0);
  }
  assert_false(s->ops->next(s, &r, &own, r.key));
}

static void test_value_size(void **state) {
  world *w = (world *)*state;
  w->limits.max_value = 3;
  kad__store *s = limited(w);
  assert_error(KAD_E_RECORD_TOO_LARGE, put_text(s, "a", "1234", NULL));
  assert_false(has(s, "a"));
  assert_ok(put_text(s, "a", "123", NULL));
  assert_error(KAD_E_RECORD_TOO_LARGE, put_text(s, "a", "1234", "peer"));
  assert_value(s, "a", "123");
}

static void test_others_leave_ours_alone(void **state) {
  world *w = (world *)*state;
  w->limits.max_records = 2;
  w->limits.max_own_records = 1;
  kad__store *s = limited(w);
  assert_ok(put_text(s, "1", "x", "peer"));
  assert_ok(put_text(s, "2", "x", "peer"));
  assert_error(KAD_E_STORE_FULL, put_text(s, "3", "x", "peer"));
  assert_ok(put_text(s, "mine", "x", NULL));
  assert_error(KAD_E_STORE_FULL, put_text(s, "more", "x", NULL));
  assert_ok(put_text(s, "mine", "y", NULL));
  assert_ok(put_text(s, "2", "y", "peer"));
  assert_value(s, "mine", "y");
  assert_value(s, "2", "y");
  s->ops->remove(s, text("1"));
  assert_ok(put_text(s, "3", "x", "peer"));
  s->ops->remove(s, text("mine"));
  assert_ok(put_text(s, "more", "x", NULL));
}

static void test_the_largest_share_makes_way(void **state) {
  world *w = (world *)*state;
  w->limits.max_records = 4;
  kad__store *s = limited(w);
  char key[16];
  for (int i = 0; i < 4; i++) {
    (void)snprintf(key, sizeof key, "k%d", i);
    assert_ok(put_text(s, key, "x", "greedy"));
  }
  assert_error(KAD_E_STORE_FULL, put_text(s, "k4", "x", "greedy"));
  assert_ok(put_text(s, "a", "x", "modest"));
  assert_false(has(s, "k0"));
  assert_true(has(s, "k1"));
  assert_ok(put_text(s, "b", "x", "other"));
  assert_false(has(s, "k1"));
  /* Two, one and one: nobody has clearly more. */
  assert_error(KAD_E_STORE_FULL, put_text(s, "c", "x", "other"));
  assert_true(has(s, "k2") && has(s, "k3") && has(s, "a") && has(s, "b"));
  /* A value that takes over another's key leaves that one's share. */
  assert_ok(put_text(s, "k2", "y", "other"));
  assert_int_equal(count_records(s), 4);
}

static void test_bytes_are_limited(void **state) {
  world *w = (world *)*state;
  w->limits.max_bytes = 4096;
  kad__store *s = limited(w);
  static char large[2048];
  memset(large, 'x', sizeof large - 1);
  assert_ok(put_text(s, "a", large, "peer"));
  assert_error(KAD_E_STORE_FULL, put_text(s, "b", large, "peer"));
  assert_ok(put_text(s, "a", large, "peer"));
  assert_ok(put_text(s, "mine", large, NULL));
  assert_ok(put_text(s, "mine too", large, NULL));
  s->ops->remove(s, text("a"));
  assert_ok(put_text(s, "b", large, "peer"));
}

/* ---- providers ---------------------------------------------------------- */

static void test_providers(void **state) {
  kad__store *s = ((world *)*state)->s;
  kad__provider list[8];
  assert_int_equal(s->ops->providers(s, list, 8, text("k")), 0);
  assert_ok(provide_text(s, "k", "z", false));
  assert_ok(provide_text(s, "k", "me", true));
  assert_ok(provide_text(s, "k", "a", false));
  assert_ok(provide_text(s, "other", "a", false));
  /* Announcing again does not change the place. */
  assert_ok(provide_text(s, "k", "z", false));
  assert_int_equal(s->ops->providers(s, list, 8, text("k")), 3);
  assert_bytes_equal(list[0].provider, text("z"));
  assert_bytes_equal(list[1].provider, text("me"));
  assert_bytes_equal(list[2].provider, text("a"));
  for (size_t i = 0; i < 3; i++) {
    assert_bytes_equal(list[i].key, text("k"));
    assert_bytes_equal(list[i].addresses, text("addresses"));
    assert_int_equal(list[i].expires, PLACE_NOW + KAD_HOUR);
  }
  assert_int_equal(s->ops->providers(s, list, 2, text("k")), 2);
  s->ops->remove_provider(s, text("k"), text("nobody"));
  s->ops->remove_provider(s, text("k"), text("z"));
  assert_int_equal(s->ops->providers(s, list, 8, text("k")), 2);
  assert_bytes_equal(list[0].provider, text("me"));
}

static void test_provider_is_replaced(void **state) {
  kad__store *s = ((world *)*state)->s;
  kad__provider list[2];
  kad__provider r = {.key = text("k"),
                     .provider = text("p"),
                     .addresses = text(""),
                     .expires = KAD_TIME_NEVER};
  assert_ok(provide_text(s, "k", "p", false));
  assert_ok(s->ops->add_provider(s, &r, false));
  assert_int_equal(s->ops->providers(s, list, 2, text("k")), 1);
  assert_int_equal(list[0].addresses.len, 0);
  assert_true(list[0].expires == KAD_TIME_NEVER);
}

static void test_more_providers_than_are_told(void **state) {
  kad__store *s = ((world *)*state)->s;
  kad__provider list[4];
  bool seen[10] = {false};
  char id[2] = "0";
  for (int i = 0; i < 10; i++) {
    id[0] = (char)('0' + i);
    assert_ok(provide_text(s, "k", id, false));
  }
  for (int turn = 0; turn < 10; turn++) {
    assert_int_equal(s->ops->providers(s, list, 4, text("k")), 4);
    for (int i = 0; i < 4; i++) {
      seen[list[i].provider.data[0] - '0'] = true;
      for (int j = 0; j < i; j++) {
        assert_false(kad__bytes_equal(list[i].provider, list[j].provider));
      }
    }
  }
  for (int i = 0; i < 10; i++) {
    assert_true(seen[i]);
  }
}

static void test_walk_over_provided(void **state) {
  kad__store *s = ((world *)*state)->s;
  kad__provider r = {0};
  assert_ok(provide_text(s, "b", "me", true));
  assert_ok(provide_text(s, "a", "me", true));
  assert_ok(provide_text(s, "aa", "peer", false));
  assert_true(s->ops->next_provided(s, &r, r.key));
  assert_bytes_equal(r.key, text("a"));
  assert_bytes_equal(r.provider, text("me"));
  assert_true(s->ops->next_provided(s, &r, r.key));
  assert_bytes_equal(r.key, text("b"));
  assert_false(s->ops->next_provided(s, &r, r.key));
}

static void test_provider_limits(void **state) {
  world *w = (world *)*state;
  w->limits.max_provided = 1;
  w->limits.max_provider_keys = 3;
  w->limits.max_keys_per_provider = 2;
  kad__store *s = limited(w);
  assert_ok(provide_text(s, "mine", "me", true));
  assert_error(KAD_E_STORE_FULL, provide_text(s, "more", "me", true));
  assert_ok(provide_text(s, "mine", "me", true));
  assert_ok(provide_text(s, "k1", "p", false));
  assert_ok(provide_text(s, "k2", "p", false));
  assert_error(KAD_E_STORE_FULL, provide_text(s, "k3", "p", false));
  assert_ok(provide_text(s, "k3", "q", false));
  assert_ok(provide_text(s, "k3", "r", false));
  assert_error(KAD_E_STORE_FULL, provide_text(s, "k4", "q", false));
  s->ops->remove_provider(s, text("k1"), text("p"));
  assert_ok(provide_text(s, "k4", "r", false));
  assert_true(provides(s, "mine", "me"));
}

static void test_a_newcomer_gets_a_share_of_the_keys(void **state) {
  world *w = (world *)*state;
  w->limits.max_provider_keys = 3;
  kad__store *s = limited(w);
  assert_ok(provide_text(s, "k1", "greedy", false));
  assert_ok(provide_text(s, "k2", "greedy", false));
  assert_ok(provide_text(s, "k3", "greedy", false));
  assert_error(KAD_E_STORE_FULL, provide_text(s, "k4", "greedy", false));
  assert_ok(provide_text(s, "k4", "modest", false));
  assert_true(provides(s, "k4", "modest"));
  assert_int_equal(provides(s, "k1", "greedy") + provides(s, "k2", "greedy") +
                       provides(s, "k3", "greedy"),
                   2);
}

/* A flood of ids takes some places of a popular key, never all of them. */
static void test_a_full_key_keeps_some(void **state) {
  world *w = (world *)*state;
  w->limits.max_providers_per_key = 16;
  kad__store *s = limited(w);
  char id[24];
  size_t honest = 0;
  for (int i = 0; i < 16; i++) {
    (void)snprintf(id, sizeof id, "honest %d", i);
    assert_ok(provide_text(s, "k", id, false));
  }
  assert_ok(provide_text(s, "k", "me", true));
  for (int i = 0; i < 64; i++) {
    (void)snprintf(id, sizeof id, "flood %d", i);
    int error = provide_text(s, "k", id, false);
    assert_true(error == 0 || error == KAD_E_STORE_FULL);
    assert_int_equal(provides(s, "k", id), error == 0);
  }
  for (int i = 0; i < 16; i++) {
    (void)snprintf(id, sizeof id, "honest %d", i);
    honest += provides(s, "k", id);
  }
  assert_in_range(honest, 1, 12);
  assert_true(provides(s, "k", "me"));
  kad__provider list[64];
  assert_int_equal(s->ops->providers(s, list, 64, text("k")), 17);
}

/* ---- time --------------------------------------------------------------- */

static void test_expiry(void **state) {
  kad__store *s = ((world *)*state)->s;
  char key[16];
  assert_true(s->ops->deadline(s) == KAD_TIME_NEVER);
  for (uint64_t i = 0; i < 700; i++) {
    (void)snprintf(key, sizeof key, "%d", (int)i);
    kad__record r = {.key = text(key),
                     .expires = PLACE_NOW + (1 + i / 2) * KAD_SECOND};
    assert_ok(s->ops->put(s, &r, i < 350));
    kad__provider p = {
        .key = text(key), .provider = text("p"), .expires = r.expires};
    assert_ok(s->ops->add_provider(s, &p, i < 350));
  }
  kad__record never = {.key = text("never"), .expires = KAD_TIME_NEVER};
  assert_ok(s->ops->put(s, &never, true));
  assert_int_equal(s->ops->deadline(s), PLACE_NOW + KAD_SECOND);
  s->ops->expire(s, PLACE_NOW);
  assert_int_equal(count_records(s), 701);
  kad_time half = PLACE_NOW + 175 * KAD_SECOND;
  int calls = 0;
  while (s->ops->deadline(s) <= half) {
    s->ops->expire(s, half);
    assert_true(++calls < 100);
  }
  assert_true(calls > 1); /* a bounded piece of work each */
  assert_int_equal(count_records(s), 351);
  assert_false(has(s, "349"));
  assert_true(has(s, "350"));
  assert_false(provides(s, "349", "p"));
  assert_true(provides(s, "350", "p"));
  assert_int_equal(s->ops->deadline(s), half + KAD_SECOND);
  while (s->ops->deadline(s) != KAD_TIME_NEVER) {
    s->ops->expire(s, PLACE_NOW + KAD_HOUR);
    assert_true(++calls < 200);
  }
  assert_int_equal(count_records(s), 1);
  assert_true(has(s, "never"));
}

static void test_a_new_expiry_replaces_the_old(void **state) {
  kad__store *s = ((world *)*state)->s;
  kad__record r = {.key = text("a"), .expires = PLACE_NOW + KAD_SECOND};
  assert_ok(s->ops->put(s, &r, false));
  r.expires = PLACE_NOW + KAD_MINUTE;
  assert_ok(s->ops->put(s, &r, false));
  s->ops->expire(s, PLACE_NOW + KAD_SECOND);
  assert_true(has(s, "a"));
  assert_int_equal(s->ops->deadline(s), PLACE_NOW + KAD_MINUTE);
}

/* ---- memory ------------------------------------------------------------- */

typedef int (*attempt)(kad__store *s);

static int try_put(kad__store *s) {
  return put_text(s, "new", "n", "source");
}
static int try_provide(kad__store *s) {
  return provide_text(s, "new", "provider", false);
}

/* Whatever allocation fails, the store is as it was, and says so. */
static void test_out_of_memory(void **state) {
  static const attempt attempts[] = {try_put, try_provide};
  world *w = (world *)*state;
  assert_ok(put_text(w->s, "old", "o", "peer"));
  assert_ok(provide_text(w->s, "old", "peer", false));
  for (size_t i = 0; i < KAD__COUNT(attempts); i++) {
    int error = KAD_E_NO_MEMORY;
    size_t n;
    for (n = 1; error != 0; n++) {
      w->allocator.calls = 0;
      w->allocator.fail_at = n;
      error = attempts[i](w->s);
      w->allocator.fail_at = 0;
      assert_true(error == 0 || error == KAD_E_NO_MEMORY);
      if (error != 0) {
        assert_false(i == 0 ? has(w->s, "new")
                            : provides(w->s, "new", "provider"));
      }
      assert_value(w->s, "old", "o");
      assert_true(provides(w->s, "old", "peer"));
    }
    assert_true(n > 2); /* at least one did fail */
  }
  assert_value(w->s, "new", "n");
  assert_true(provides(w->s, "new", "provider"));
}

static kind in_memory = {false};
static kind on_disk = {true};

#define ON_BOTH(test)                                        \
  {#test " in memory", test, setup, teardown, &in_memory}, { \
#test " on disk", test, setup, teardown, &on_disk        \
  }

int main(void) {
  const struct CMUnitTest tests[] = {
      ON_BOTH(test_put_and_get),
      ON_BOTH(test_bytes_of_every_kind),
      ON_BOTH(test_walk_in_order),
      ON_BOTH(test_value_size),
      ON_BOTH(test_others_leave_ours_alone),
      ON_BOTH(test_the_largest_share_makes_way),
      ON_BOTH(test_bytes_are_limited),
      ON_BOTH(test_providers),
      ON_BOTH(test_provider_is_replaced),
      ON_BOTH(test_more_providers_than_are_told),
      ON_BOTH(test_walk_over_provided),
      ON_BOTH(test_provider_limits),
      ON_BOTH(test_a_newcomer_gets_a_share_of_the_keys),
      ON_BOTH(test_a_full_key_keeps_some),
      ON_BOTH(test_expiry),
      ON_BOTH(test_a_new_expiry_replaces_the_old),
      ON_BOTH(test_out_of_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
