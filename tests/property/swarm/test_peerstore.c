/* The peerstore against a naive model: a list of (peer, address, end). */
#include "support.h"
#include "swarm/peerstore.h"
#include "wire/addresses.h"

#define PEERS 6
#define ADDRESSES 8

typedef struct model {
  kad_time ends[PEERS][ADDRESSES]; /* 0: not known */
  kad_time ttls[PEERS][ADDRESSES];
} model;

static kad_peer_id peer_of(unsigned n) {
  kad_peer_id id = {.len = 34, .bytes = {0x12, 0x20, (uint8_t)n}};
  return id;
}

static void address_of(uint8_t out[8], unsigned n) {
  const uint8_t bytes[8] = {4, 10, 0, 0, (uint8_t)n, 6, 0, 1};
  memcpy(out, bytes, sizeof(bytes));
}

static void compare(const model *m, const kad__peerstore *p, kad_time now) {
  for (unsigned i = 0; i < PEERS; i++) {
    kad_peer_id peer = peer_of(i);
    uint8_t list[512];
    size_t len = kad__peerstore_addresses(p, &peer, list, sizeof(list), now);
    size_t live = 0;
    for (unsigned k = 0; k < ADDRESSES; k++) {
      uint8_t address[8];
      address_of(address, k);
      bool known = m->ends[i][k] > now;
      live += known;
      assert_int_equal(
          kad__addresses_have(kad__bytes(list, len), kad__bytes(address, 8)),
          known);
    }
    assert_int_equal(kad__addresses_count(kad__bytes(list, len)), live);
  }
  const char *broken = kad__peerstore_check(p);
  if (broken != NULL) {
    fail_msg("%s", broken);
  }
}

static kad_time random_ttl(kad_random *random) {
  static const kad_time ttls[] = {1,
                                  KAD_SECOND,
                                  KAD_MINUTE,
                                  KAD_HOUR,
                                  KAD__ADDRESS_CONNECTED,
                                  KAD__ADDRESS_PERMANENT};
  return ttls[kad_random_below(random, KAD__COUNT(ttls))];
}

static kad_time end_of(kad_time now, kad_time ttl) {
  return ttl >= KAD__ADDRESS_CONNECTED ? ttl : now + ttl;
}

/* What the model believes of an address now. */
static void believe(model *m, unsigned i, unsigned k, kad_time ttl,
                    kad_time end) {
  m->ttls[i][k] = ttl;
  m->ends[i][k] = end;
}

static void add(model *m, unsigned i, unsigned k, kad_time ttl, kad_time now) {
  kad_time end = end_of(now, ttl);
  if (m->ends[i][k] <= now) {
    believe(m, i, k, ttl, end);
    return;
  }
  believe(m, i, k, m->ttls[i][k] < ttl ? ttl : m->ttls[i][k],
          m->ends[i][k] < end ? end : m->ends[i][k]);
}

static void update(model *m, unsigned i, kad_time from, kad_time to,
                   kad_time now) {
  for (unsigned k = 0; k < ADDRESSES; k++) {
    if (m->ends[i][k] > now && m->ttls[i][k] == from) {
      believe(m, i, k, to, to == 0 ? 0 : end_of(now, to));
    }
  }
}

static void clear(model *m, unsigned i, bool permanent_too) {
  for (unsigned k = 0; k < ADDRESSES; k++) {
    if (permanent_too || m->ttls[i][k] != KAD__ADDRESS_PERMANENT) {
      m->ends[i][k] = 0;
    }
  }
}

static void step(model *m, kad__peerstore *p, kad_random *random,
                 kad_time now) {
  unsigned i = (unsigned)kad_random_below(random, PEERS);
  unsigned k = (unsigned)kad_random_below(random, ADDRESSES);
  kad_peer_id peer = peer_of(i);
  kad_time ttl = random_ttl(random);
  kad_time other = kad_random_below(random, 3) == 0 ? 0 : random_ttl(random);
  uint8_t bytes[8];
  address_of(bytes, k);
  kad_bytes address = kad__bytes(bytes, 8);
  switch (kad_random_below(random, 12)) {
    case 0:
      kad__peerstore_downgrade(p, &peer, ttl, now);
      update(m, i, KAD__ADDRESS_CONNECTED, ttl, now);
      break;
    case 1:
      kad__peerstore_clear(p, &peer);
      clear(m, i, false);
      break;
    case 2:
      kad__peerstore_tick(p, now);
      assert_true(kad__peerstore_deadline(p) > now);
      break;
    case 3:
      assert_ok(kad__peerstore_pin(p, &peer, ttl < KAD_HOUR, now));
      break;
    case 4:
      kad__peerstore_update(p, &peer, ttl, other, now);
      update(m, i, ttl, other, now);
      break;
    case 5:
      assert_ok(kad__peerstore_set(p, &peer, address, other, now));
      believe(m, i, k, other, other == 0 ? 0 : end_of(now, other));
      break;
    case 6:
      assert_ok(kad__peerstore_set_agent(p, &peer, address));
      break;
    case 7:
      assert_ok(kad__peerstore_pin(p, &peer, false, now));
      (void)kad__peerstore_forget(p, &peer);
      clear(m, i, true);
      break;
    default:
      assert_ok(kad__peerstore_add(p, &peer, address, ttl, now));
      add(m, i, k, ttl, now);
      break;
  }
}

static void test_against_model(void **state) {
  (void)state;
  kad_random random;
  kad_random_init_u64(&random, test_seed("peerstore"));
  size_t runs = test_runs(50);
  for (size_t run = 0; run < runs; run++) {
    const uint64_t secret[2] = {run, 1};
    kad__peerstore *p = NULL;
    assert_ok(kad__peerstore_new(&p, kad_allocator_default(), secret));
    model m;
    memset(&m, 0, sizeof(m));
    kad_time now = 1;
    for (int i = 0; i < 300; i++) {
      now += kad_random_below(&random, 2 * KAD_MINUTE);
      step(&m, p, &random, now);
      compare(&m, p, now);
    }
    kad__peerstore_free(p);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_against_model),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
