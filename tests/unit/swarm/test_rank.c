/* The order and the delays of go-libp2p's dial ranker, for what we can dial:
 * its golden tables, and what must hold for any addresses. */
#include "mesh.h"
#include "swarm/swarm_internal.h"

#define ROW_MAX 8

typedef struct row {
  const char *address;
  kad_time delay; /* ms */
} row;

typedef struct table {
  const char *name;
  row rows[ROW_MAX]; /* in the order in which they are tried */
} table;

static const table golden[] = {
    {"alone", {{"/ip4/1.2.3.4/tcp/1", 0}}},
    {"IPv6 first",
     {{"/ip6/2001:db8::1/tcp/1", 0}, {"/ip4/1.2.3.4/tcp/1", 250}}},
    {"IPv6 first, whatever its port",
     {{"/ip6/2001:db8::1/tcp/65535", 0}, {"/ip4/1.2.3.4/tcp/1", 250}}},
    {"IPv6 alone: low ports first, the others together",
     {{"/ip6/2001:db8::1/tcp/1", 0},
      {"/ip6/2001:db8::1/tcp/2", 250},
      {"/ip6/2001:db8::1/tcp/3", 250}}},
    {"IPv4 alone",
     {{"/ip4/1.2.3.4/tcp/1", 0},
      {"/ip4/1.2.3.4/tcp/2", 250},
      {"/ip4/1.2.3.4/tcp/3", 250}}},
    {"the first IPv4 is second",
     {{"/ip6/2001:db8::1/tcp/1", 0},
      {"/ip4/1.2.3.4/tcp/1", 250},
      {"/ip6/2001:db8::1/tcp/2", 500},
      {"/ip6/2001:db8::1/tcp/3", 500},
      {"/ip4/1.2.3.4/tcp/2", 500}}},
    {"TCP of the largest table",
     {{"/ip6/2001:db8::1/tcp/1", 0},
      {"/ip4/1.2.3.4/tcp/1", 250},
      {"/ip4/1.2.3.4/tcp/2", 500},
      {"/ip4/1.2.3.4/tcp/3", 500}}},
    {"private addresses wait 30 ms",
     {{"/ip6/fd00::1/tcp/1", 0},
      {"/ip4/10.0.0.1/tcp/1", 30},
      {"/ip6/fd00::1/tcp/2", 60},
      {"/ip4/10.0.0.1/tcp/2", 60}}},
    {"private and public ones start side by side",
     {{"/ip4/10.0.0.1/tcp/5", 0},
      {"/ip4/1.2.3.4/tcp/6", 0},
      {"/ip4/10.0.0.1/tcp/7", 30},
      {"/ip4/1.2.3.4/tcp/7", 250}}},
    {"what counts as private",
     {{"/ip6/::1/tcp/1", 0},
      {"/ip4/127.0.0.1/tcp/1", 30},
      {"/ip6/fe80::1/tcp/2", 60},
      {"/ip4/100.64.0.1/tcp/3", 60},
      {"/ip4/169.254.0.1/tcp/4", 60},
      {"/ip4/172.31.255.255/tcp/5", 60},
      {"/ip4/192.168.0.1/tcp/6", 60}}},
    {"what does not",
     {{"/ip4/100.128.0.1/tcp/1", 0},
      {"/ip4/172.32.0.1/tcp/2", 250},
      {"/ip4/198.51.100.1/tcp/3", 250},
      {"/ip4/11.0.0.1/tcp/4", 250}}},
};

static void add(kad__dial *d, const char *text) {
  kad_bytes address = mesh_address(text);
  kad__candidate *c = &d->candidates[d->count++];
  *c = (kad__candidate){.address = malloc(address.len),
                        .len = (uint16_t)address.len,
                        .transport_len = (uint16_t)address.len};
  memcpy(c->address, address.data, address.len);
}

static void clear(kad__dial *d) {
  for (size_t i = 0; i < d->count; i++) {
    free(d->candidates[i].address);
  }
  d->count = 0;
  d->ranked = 0;
}

static bool goes_first(const kad__candidate *a, const kad__candidate *b) {
  return a->delay != b->delay ? a->delay < b->delay : a->score < b->score;
}

/* How many of the candidates are tried before `c`. */
static size_t place_of(const kad__dial *d, const kad__candidate *c) {
  size_t before = 0;
  for (size_t i = 0; i < d->count; i++) {
    before += goes_first(&d->candidates[i], c);
  }
  return before;
}

static size_t rows_of(const table *t) {
  size_t count = 0;
  while (count < ROW_MAX && t->rows[count].address != NULL) {
    count++;
  }
  return count;
}

/* The rows are given turned round by `turn`: the order says nothing. */
static void check_table(const table *t, size_t turn, bool backwards) {
  kad__candidate candidates[ROW_MAX];
  kad__dial d = {.candidates = candidates, .cap = ROW_MAX};
  size_t count = rows_of(t);
  size_t rows[ROW_MAX];
  for (size_t i = 0; i < count; i++) {
    size_t at = (i + turn) % count;
    rows[i] = backwards ? count - 1 - at : at;
    add(&d, t->rows[rows[i]].address);
  }
  kad__dial_rank(&d);
  for (size_t i = 0; i < count; i++) {
    const kad__candidate *c = &d.candidates[i];
    if (c->delay != t->rows[rows[i]].delay * KAD_MILLISECOND ||
        place_of(&d, c) != rows[i]) {
      fail_msg("%s: %s after %d ms in place %d", t->name,
               t->rows[rows[i]].address, (int)(c->delay / KAD_MILLISECOND),
               (int)place_of(&d, c));
    }
  }
  clear(&d);
}

static void test_golden(void **state) {
  (void)state;
  for (size_t i = 0; i < KAD__COUNT(golden); i++) {
    for (size_t turn = 0; turn < rows_of(&golden[i]); turn++) {
      check_table(&golden[i], turn, false);
      check_table(&golden[i], turn, true);
    }
  }
}

static void random_address(kad_random *random, char *out, size_t cap) {
  static const char *hosts[] = {"/ip4/1.2.3.4", "/ip4/10.0.0.1",
                                "/ip6/2001:db8::1", "/ip6/fd00::1"};
  snprintf(out, cap, "%s/tcp/%u",
           hosts[kad_random_below(random, KAD__COUNT(hosts))],
           1 + (unsigned)kad_random_below(random, 5));
}

/* In each group the first does not wait, no delay is other than 0, one or two
 * steps, and no two candidates tie. */
static void test_any_addresses(void **state) {
  (void)state;
  kad_random random;
  kad_random_init_u64(&random, test_seed("rank"));
  kad__candidate candidates[KAD__DIAL_ADDRESSES_MAX];
  kad__dial d = {.candidates = candidates, .cap = KAD__DIAL_ADDRESSES_MAX};
  for (int round = 0; round < 500; round++) {
    size_t count = 1 + kad_random_below(&random, KAD__DIAL_ADDRESSES_MAX);
    while (d.count < count) {
      char text[64];
      random_address(&random, text, sizeof(text));
      add(&d, text);
    }
    kad__dial_rank(&d);
    unsigned firsts[2] = {0, 0};
    unsigned members[2] = {0, 0};
    for (size_t i = 0; i < d.count; i++) {
      const kad__candidate *c = &d.candidates[i];
      kad_time step = (c->is_private ? 30 : 250) * KAD_MILLISECOND;
      assert_true(c->delay == 0 || c->delay == step || c->delay == 2 * step);
      members[c->is_private]++;
      firsts[c->is_private] += c->delay == 0;
      for (size_t j = 0; j < i; j++) {
        assert_true(goes_first(c, &d.candidates[j]) !=
                    goes_first(&d.candidates[j], c));
      }
    }
    assert_int_equal(firsts[0], members[0] != 0);
    assert_int_equal(firsts[1], members[1] != 0);
    clear(&d);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_golden),
      cmocka_unit_test(test_any_addresses),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
