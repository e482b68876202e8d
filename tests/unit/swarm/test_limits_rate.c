/* How often connections may come from one place: exact against a naive model,
 * bounded, and not to be reset by coming from elsewhere. */
#include "mesh.h"
#include "swarm/rate.h"

#define LOCAL "/ip4/10.0.0.1/tcp/4001"

/* ---- buckets ------------------------------------------------------------- */

typedef struct fixture {
  test_allocator memory;
  kad__rate rate;
  kad_time now;
} fixture;

static void begin(fixture *f, uint32_t burst, uint32_t per_minute,
                  uint32_t places) {
  const uint64_t secret[2] = {1, 2};
  *f = (fixture){.now = 100 * KAD_SECOND};
  test_allocator_init(&f->memory);
  kad__rate_init(&f->rate, &f->memory.allocator, secret, burst, per_minute,
                 places);
}

static void end(fixture *f) {
  kad__rate_fini(&f->rate);
  assert_int_equal(f->memory.live, 0);
}

static bool take(fixture *f, unsigned place) {
  uint8_t key[2] = {(uint8_t)place, (uint8_t)(place >> 8)};
  kad_bytes name = kad__bytes(key, sizeof(key));
  if (!kad__rate_allows(&f->rate, name, f->now)) {
    return false;
  }
  assert_ok(kad__rate_take(&f->rate, name, f->now));
  return true;
}

static unsigned take_all(fixture *f, unsigned place) {
  unsigned count = 0;
  while (count < 1000 && take(f, place)) {
    count++;
  }
  return count;
}

static void test_burst_and_rate(void **state) {
  (void)state;
  fixture f;
  begin(&f, 5, 60, 100);
  assert_int_equal(take_all(&f, 1), 5);
  assert_int_equal(take_all(&f, 2), 5);
  f.now += KAD_SECOND - 1;
  assert_false(take(&f, 1));
  f.now += 1;
  assert_int_equal(take_all(&f, 1), 1);
  f.now += 3 * KAD_SECOND;
  assert_int_equal(take_all(&f, 1), 3);
  f.now += KAD_HOUR;
  assert_int_equal(take_all(&f, 1), 5);
  end(&f);
}

static void test_extremes(void **state) {
  (void)state;
  fixture f;
  begin(&f, UINT32_MAX, UINT32_MAX, 1);
  assert_int_equal(take_all(&f, 1), 1000);
  end(&f);
  begin(&f, UINT32_MAX, 1, 1);
  assert_int_equal(take_all(&f, 1), 1000);
  end(&f);
  begin(&f, 1, 1, 1);
  assert_int_equal(take_all(&f, 1), 1);
  f.now += KAD_MINUTE - 1;
  assert_false(take(&f, 1));
  f.now++;
  assert_true(take(&f, 1));
  end(&f);
}

/* Whose bucket is full again takes no memory. */
static void test_forgets(void **state) {
  (void)state;
  fixture f;
  begin(&f, 5, 60, 1000);
  for (unsigned i = 0; i < 500; i++) {
    assert_true(take(&f, i));
  }
  assert_int_equal(f.rate.places.len, 500);
  f.now += KAD_SECOND;
  assert_true(take(&f, 1));
  assert_int_equal(f.rate.places.len, 1);
  end(&f);
}

/* However many others come, whoever has taken more than they have is not
 * forgotten for them. */
static void test_cannot_be_flushed(void **state) {
  (void)state;
  fixture f;
  begin(&f, 5, 60, 16);
  assert_int_equal(take_all(&f, 9999), 5);
  for (unsigned i = 0; i < 5000; i++) {
    assert_true(take(&f, i));
    assert_true(f.rate.places.len <= 16);
  }
  assert_false(take(&f, 9999));
  end(&f);
}

static void test_without_memory(void **state) {
  (void)state;
  fixture f;
  begin(&f, 3, 60, 16);
  const uint8_t key[1] = {7};
  kad_bytes name = kad__bytes(key, 1);
  int result = KAD_E_NO_MEMORY;
  size_t n = 0;
  while (result < 0) {
    f.memory.fail_at = f.memory.calls + ++n;
    result = kad__rate_take(&f.rate, name, f.now);
    assert_true(result == 0 || result == KAD_E_NO_MEMORY);
    assert_int_equal(f.rate.places.len, result == 0);
    assert_int_equal(f.rate.by_debt.len, result == 0);
  }
  assert_true(n > 3); /* the place, the heap and the map */
  /* What is known needs none. */
  f.memory.fail_at = f.memory.calls + 1;
  assert_ok(kad__rate_take(&f.rate, name, f.now));
  f.memory.fail_at = 0;
  end(&f);
}

/* ---- against a naive model ----------------------------------------------- */

#define PLACES 12

/* Tokens as what there is of them in nanoseconds, refilled step by step. */
typedef struct bucket {
  kad_time level;
  uint64_t used; /* when last, in order */
  bool known;
} bucket;

typedef struct model {
  bucket buckets[PLACES];
  kad_time interval;
  kad_time full;
  kad_time now;
  uint32_t max;
  uint64_t order;
} model;

static void pass(model *m, kad_time time) {
  m->now += time;
  for (size_t i = 0; i < PLACES; i++) {
    bucket *b = &m->buckets[i];
    b->level = m->full - b->level < time ? m->full : b->level + time;
    b->known = b->known && b->level < m->full;
  }
}

static void forget_fullest(model *m) {
  size_t count = 0;
  bucket *most = NULL;
  for (size_t i = 0; i < PLACES; i++) {
    bucket *b = &m->buckets[i];
    count += b->known;
    if (b->known && (most == NULL || b->level > most->level ||
                     (b->level == most->level && b->used < most->used))) {
      most = b;
    }
  }
  if (count == m->max) {
    most->known = false;
    most->level = m->full;
  }
}

static bool model_take(model *m, unsigned place) {
  bucket *b = &m->buckets[place];
  if (b->level < m->interval) {
    return false;
  }
  if (!b->known) {
    forget_fullest(m);
  }
  b->known = true;
  b->level -= m->interval;
  b->used = ++m->order;
  return true;
}

static void test_model(void **state) {
  (void)state;
  kad_random random;
  kad_random_init_u64(&random, test_seed("rate"));
  uint64_t taken = 0;
  uint64_t refused = 0;
  for (int run = 0; run < 200; run++) {
    fixture f;
    uint32_t burst = 1 + (uint32_t)kad_random_below(&random, 6);
    uint32_t per_minute = 1 + (uint32_t)kad_random_below(&random, 200);
    uint32_t places = 1 + (uint32_t)kad_random_below(&random, PLACES + 2);
    begin(&f, burst, per_minute, places);
    model m = {.interval = KAD_MINUTE / per_minute, .max = places};
    m.full = burst * m.interval;
    for (size_t i = 0; i < PLACES; i++) {
      m.buckets[i].level = m.full;
    }
    for (int i = 0; i < 400; i++) {
      kad_time time = kad_random_below(&random, m.interval + 2);
      time = kad_random_below(&random, 3) == 0 ? time : 0;
      f.now += time;
      pass(&m, time);
      unsigned place = (unsigned)kad_random_below(&random, PLACES);
      bool expected = model_take(&m, place);
      assert_int_equal(take(&f, place), expected);
      assert_true(f.rate.places.len <= places);
      taken += expected;
      refused += !expected;
    }
    end(&f);
  }
  assert_true(taken > 1000 && refused > 1000);
}

/* ---- in a swarm ---------------------------------------------------------- */

static mesh world;

static void paced(kad__swarm_config *config, int node) {
  (void)node;
  config->pace_per_address = (kad__pace){3, 60};
  config->pace_per_group = (kad__pace){5, 120};
}

static int setup(void **state) {
  (void)state;
  mesh_init(&world, 1, paced);
  return 0;
}

static int teardown(void **state) {
  (void)state;
  mesh_fini(&world);
  return 0;
}

/* Comes and goes at once. */
static int visit(const char *remote) {
  kad__swarm *s = world.nodes[0].swarm;
  kad__id id = 0;
  int result = kad__swarm_accepted(s, &id, 1, mesh_address(remote),
                                   mesh_address(LOCAL), world.now);
  if (result == 0) {
    kad__swarm_closed(s, id, KAD_E_IO, world.now);
  }
  const char *broken = kad__swarm_check(s);
  if (broken != NULL) {
    fail_msg("%s", broken);
  }
  return result;
}

static uint64_t refused(void) {
  return kad__swarm_counters_get(world.nodes[0].swarm)->refused_rate;
}

static void test_addresses(void **state) {
  (void)state;
  for (int i = 0; i < 3; i++) {
    assert_ok(visit("/ip4/10.0.0.7/tcp/1"));
  }
  assert_error(KAD_E_LIMIT, visit("/ip4/10.0.0.7/tcp/2"));
  /* As IPv6 it is the same one. */
  assert_error(KAD_E_LIMIT, visit("/ip6/::ffff:10.0.0.7/tcp/1"));
  assert_int_equal(refused(), 2);
  assert_ok(visit("/ip4/10.0.0.8/tcp/1"));
  mesh_sleep(&world, KAD_SECOND);
  assert_ok(visit("/ip4/10.0.0.7/tcp/1"));
  assert_error(KAD_E_LIMIT, visit("/ip4/10.0.0.7/tcp/1"));
  assert_int_equal(refused(), 3);
}

/* Who is refused for its /48 has taken nothing of its /64, and the other way
 * round. */
static void test_groups(void **state) {
  (void)state;
  for (int i = 0; i < 3; i++) {
    assert_ok(visit("/ip6/2001:db8:1:1::1/tcp/1"));
  }
  for (int i = 0; i < 9; i++) {
    assert_error(KAD_E_LIMIT, visit("/ip6/2001:db8:1:1::2/tcp/1"));
  }
  assert_ok(visit("/ip6/2001:db8:1:2::1/tcp/1"));
  assert_ok(visit("/ip6/2001:db8:1:3::1/tcp/1"));
  for (int i = 0; i < 9; i++) {
    assert_error(KAD_E_LIMIT, visit("/ip6/2001:db8:1:4::1/tcp/1"));
  }
  assert_ok(visit("/ip6/2001:db8:2:1::1/tcp/1"));
  assert_int_equal(refused(), 18);
  mesh_sleep(&world, KAD_SECOND + KAD_SECOND / 2);
  for (int i = 0; i < 3; i++) {
    assert_ok(visit("/ip6/2001:db8:1:4::1/tcp/1"));
  }
  assert_error(KAD_E_LIMIT, visit("/ip6/2001:db8:1:5::1/tcp/1"));
}

static void test_loopback(void **state) {
  (void)state;
  for (int i = 0; i < 100; i++) {
    assert_ok(visit("/ip4/127.0.0.1/tcp/1"));
    assert_ok(visit("/ip6/::1/tcp/1"));
  }
  assert_int_equal(refused(), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_burst_and_rate),
      cmocka_unit_test(test_extremes),
      cmocka_unit_test(test_forgets),
      cmocka_unit_test(test_cannot_be_flushed),
      cmocka_unit_test(test_without_memory),
      cmocka_unit_test(test_model),
      TEST(test_addresses),
      TEST(test_groups),
      TEST(test_loopback),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
