/* The peerstore against a naive model: a list of (peer, address, end). */
#include "support.h"
#include "swarm/peerstore.h"
#include "wire/addresses.h"

#define PEERS 6
#define ADDRESSES 8

typedef struct model {
  kad_time ends[PEERS][ADDRESSES]; /* 0: not known */
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

static void step(model *m, kad__peerstore *p, kad_random *random,
                 kad_time now) {
  unsigned i = (unsigned)kad_random_below(random, PEERS);
  unsigned k = (unsigned)kad_random_below(random, ADDRESSES);
  kad_peer_id peer = peer_of(i);
  kad_time ttl = random_ttl(random);
  uint8_t address[8];
  address_of(address, k);
  switch (kad_random_below(random, 8)) {
    case 0:
      kad__peerstore_downgrade(p, &peer, ttl, now);
      for (k = 0; k < ADDRESSES; k++) {
        if (m->ends[i][k] == KAD__ADDRESS_CONNECTED) {
          m->ends[i][k] = end_of(now, ttl);
        }
      }
      break;
    case 1:
      kad__peerstore_clear(p, &peer);
      for (k = 0; k < ADDRESSES; k++) {
        if (m->ends[i][k] != KAD__ADDRESS_PERMANENT) {
          m->ends[i][k] = 0;
        }
      }
      break;
    case 2:
      kad__peerstore_tick(p, now);
      assert_true(kad__peerstore_deadline(p) > now);
      break;
    case 3:
      assert_ok(kad__peerstore_pin(p, &peer, ttl < KAD_HOUR, now));
      break;
    default:
      assert_ok(kad__peerstore_add(p, &peer, kad__bytes(address, 8), ttl, now));
      if (m->ends[i][k] <= now || m->ends[i][k] < end_of(now, ttl)) {
        m->ends[i][k] = end_of(now, ttl);
      }
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
    model m = {{{0}}};
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
