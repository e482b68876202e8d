/* What is remembered of peers, and for how long. */
#include "kadmium/multiaddr.h"
#include "support.h"
#include "swarm/peerstore.h"
#include "wire/addresses.h"

static const uint64_t secret[2] = {3, 4};

static kad_peer_id peer_of(uint32_t n) {
  kad_peer_id id = {.len = 34, .bytes = {0x12, 0x20}};
  memcpy(id.bytes + 2, &n, sizeof(n));
  return id;
}

/* /ip4/10.x.x.x/tcp/1, borrowed until the next call but three. */
static kad_bytes address_of(uint32_t n) {
  static uint8_t ring[4][8];
  static unsigned at;
  uint8_t *out = ring[at++ % 4];
  const uint8_t bytes[8] = {
      4, 10, (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n, 6, 0, 1};
  memcpy(out, bytes, sizeof(bytes));
  return kad__bytes(out, 8);
}

static kad__peerstore *store_new(void) {
  kad__peerstore *p = NULL;
  assert_ok(kad__peerstore_new(&p, kad_allocator_default(), secret));
  return p;
}

static size_t count(const kad__peerstore *p, const kad_peer_id *peer,
                    kad_time now) {
  static uint8_t list[64 << 10];
  size_t len = kad__peerstore_addresses(p, peer, list, sizeof(list), now);
  size_t n = kad__addresses_count(kad__bytes(list, len));
  size_t at = 0;
  kad_bytes address;
  size_t walked = 0;
  while (kad__peerstore_next(p, peer, &at, &address, now)) {
    assert_true(kad__addresses_have(kad__bytes(list, len), address));
    walked++;
  }
  assert_int_equal(walked, n);
  return n;
}

static void test_lifetimes(void **state) {
  (void)state;
  kad__peerstore *p = store_new();
  kad_peer_id peer = peer_of(1);
  kad_time now = KAD_HOUR;
  assert_ok(kad__peerstore_add(p, &peer, address_of(1), KAD_MINUTE, now));
  assert_ok(kad__peerstore_add(p, &peer, address_of(2), 2 * KAD_MINUTE, now));
  /* A shorter lifetime changes nothing, a longer one does. */
  assert_ok(kad__peerstore_add(p, &peer, address_of(2), KAD_SECOND, now));
  assert_int_equal(count(p, &peer, now), 2);
  assert_int_equal(count(p, &peer, now + KAD_MINUTE - 1), 2);
  assert_int_equal(count(p, &peer, now + KAD_MINUTE), 1);
  assert_ok(kad__peerstore_add(p, &peer, address_of(1), KAD_HOUR, now));
  assert_int_equal(count(p, &peer, now + 3 * KAD_MINUTE), 1);
  assert_true(kad__peerstore_deadline(p) == now + KAD_HOUR);
  kad__peerstore_tick(p, now + KAD_HOUR - 1);
  assert_int_equal(kad__peerstore_count(p), 1);
  kad__peerstore_tick(p, now + KAD_HOUR);
  assert_int_equal(kad__peerstore_count(p), 0);
  assert_int_equal(kad__peerstore_bytes(p), 0);
  assert_true(kad__peerstore_deadline(p) == KAD_TIME_NEVER);
  kad__peerstore_free(p);
}

static void test_connected_and_permanent(void **state) {
  (void)state;
  kad__peerstore *p = store_new();
  kad_peer_id peer = peer_of(1);
  assert_ok(
      kad__peerstore_add(p, &peer, address_of(1), KAD__ADDRESS_CONNECTED, 1));
  assert_ok(
      kad__peerstore_add(p, &peer, address_of(2), KAD__ADDRESS_PERMANENT, 1));
  assert_ok(
      kad__peerstore_add(p, &peer, address_of(3), KAD__ADDRESS_RECENT, 1));
  kad_time later = 1000 * KAD_HOUR;
  assert_int_equal(count(p, &peer, later), 2);
  kad__peerstore_downgrade(p, &peer, KAD_MINUTE, later);
  assert_int_equal(count(p, &peer, later), 2);
  assert_int_equal(count(p, &peer, later + KAD_MINUTE), 1);
  kad__peerstore_clear(p, &peer);
  assert_int_equal(count(p, &peer, later), 1);
  kad_peer_id other = peer_of(2);
  kad__peerstore_downgrade(p, &other, KAD_MINUTE, later);
  kad__peerstore_clear(p, &other);
  assert_int_equal(kad__peerstore_count(p), 1);
  kad__peerstore_free(p);
}

static void test_a_counted_lifetime_ends(void **state) {
  (void)state;
  kad__peerstore *p = store_new();
  kad_peer_id peer = peer_of(1);
  assert_ok(kad__peerstore_add(p, &peer, address_of(1),
                               KAD__ADDRESS_CONNECTED - 1, KAD_HOUR));
  kad__peerstore_downgrade(p, &peer, KAD_MINUTE, KAD_HOUR);
  assert_int_equal(count(p, &peer, 2 * KAD_HOUR), 1);
  assert_true(kad__peerstore_deadline(p) < KAD_TIME_NEVER);
  kad__peerstore_free(p);
}

static void test_peer_suffix(void **state) {
  (void)state;
  kad__peerstore *p = store_new();
  uint8_t address[KAD_MULTIADDR_MAX];
  const char *text = "QmaeANgBs1DTSxWSrPPtobgQuxW8XTfsS4ydbK4rCHzqxG";
  char full[256];
  snprintf(full, sizeof(full), "/ip4/10.0.0.1/tcp/1/p2p/%s", text);
  int len = kad_multiaddr_parse(address, sizeof(address), full);
  assert_ok(len);
  kad_bytes with = kad__bytes(address, (size_t)len);
  kad_peer_id peer;
  assert_ok(kad_peer_id_parse(&peer, text));
  assert_ok(kad__peerstore_add(p, &peer, with, KAD_HOUR, 0));
  assert_ok(kad__peerstore_add(p, &peer, address_of(1), KAD_HOUR, 0));
  assert_int_equal(count(p, &peer, 0), 1);
  kad_peer_id other = peer_of(1);
  assert_error(KAD_E_PEER_MISMATCH,
               kad__peerstore_add(p, &other, with, KAD_HOUR, 0));
  assert_error(KAD_E_MULTIADDR,
               kad__peerstore_add(p, &other, (kad_bytes){0}, KAD_HOUR, 0));
  with.len--;
  assert_error(KAD_E_MULTIADDR,
               kad__peerstore_add(p, &other, with, KAD_HOUR, 0));
  with = kad__bytes_skip(kad__bytes(address, (size_t)len), 8);
  assert_error(KAD_E_MULTIADDR,
               kad__peerstore_add(p, &peer, with, KAD_HOUR, 0));
  /* Through a relay: the id in the middle is not the peer's. */
  snprintf(full, sizeof(full), "/ip4/10.0.0.9/tcp/1/p2p/%s/p2p-circuit", text);
  len = kad_multiaddr_parse(address, sizeof(address), full);
  assert_ok(len);
  assert_ok(kad__peerstore_add(p, &other, kad__bytes(address, (size_t)len),
                               KAD_HOUR, 0));
  assert_int_equal(count(p, &other, 0), 1);
  assert_int_equal(kad__peerstore_count(p), 2);
  kad__peerstore_free(p);
}

static void test_addresses_of_a_peer_are_bounded(void **state) {
  (void)state;
  kad__peerstore *p = store_new();
  kad_peer_id peer = peer_of(1);
  for (uint32_t i = 0; i < KAD__PEERSTORE_ADDRESSES_PER_PEER; i++) {
    assert_ok(kad__peerstore_add(p, &peer, address_of(i),
                                 KAD_HOUR + i * KAD_SECOND, 0));
  }
  /* One that goes before all others is the one that makes room. */
  assert_error(KAD_E_LIMIT,
               kad__peerstore_add(p, &peer, address_of(100), KAD_MINUTE, 0));
  assert_ok(kad__peerstore_add(p, &peer, address_of(101), 2 * KAD_HOUR, 0));
  assert_int_equal(count(p, &peer, 0), KAD__PEERSTORE_ADDRESSES_PER_PEER);
  assert_int_equal(count(p, &peer, KAD_HOUR),
                   KAD__PEERSTORE_ADDRESSES_PER_PEER);
  /* What has expired does not count. */
  kad_time late = KAD_HOUR + 10 * KAD_SECOND;
  assert_ok(kad__peerstore_add(p, &peer, address_of(102), KAD_SECOND, late));
  kad__peerstore_free(p);
}

static void test_peers_are_bounded(void **state) {
  (void)state;
  test_allocator memory;
  test_allocator_init(&memory);
  kad__peerstore *p = NULL;
  assert_ok(kad__peerstore_new(&p, &memory.allocator, secret));
  kad_peer_id pinned = peer_of(0xffffff);
  assert_ok(kad__peerstore_pin(p, &pinned, true, 0));
  kad_peer_id trusted = peer_of(0xfffffe);
  assert_ok(
      kad__peerstore_add(p, &trusted, address_of(1), KAD__ADDRESS_RECENT, 0));
  for (uint32_t i = 0; i < 2 * KAD__PEERSTORE_PEERS; i++) {
    kad_peer_id peer = peer_of(i);
    assert_ok(
        kad__peerstore_add(p, &peer, address_of(i), KAD__ADDRESS_TEMPORARY, i));
  }
  assert_int_equal(kad__peerstore_count(p), KAD__PEERSTORE_PEERS);
  assert_int_equal(count(p, &trusted, 1), 1);
  kad_peer_id late = peer_of(2 * KAD__PEERSTORE_PEERS);
  assert_error(KAD_E_LIMIT,
               kad__peerstore_add(p, &late, address_of(1), KAD_SECOND, 0));
  kad__peerstore_free(p);
  assert_int_equal(memory.live, 0);
}

static void test_bytes_are_bounded(void **state) {
  (void)state;
  kad__peerstore *p = store_new();
  char name[KAD__PEERSTORE_PROTOCOL_LEN];
  memset(name, 'x', sizeof(name));
  kad_bytes names[KAD__PEERSTORE_PROTOCOLS_PER_PEER];
  for (size_t i = 0; i < KAD__COUNT(names); i++) {
    names[i] = kad__bytes(name, sizeof(name));
  }
  for (uint32_t i = 0; i < 2000; i++) {
    kad_peer_id peer = peer_of(i);
    kad__peerstore_tick(p, i * KAD_MILLISECOND);
    assert_ok(kad__peerstore_set_protocols(p, &peer, names, KAD__COUNT(names)));
    assert_true(kad__peerstore_bytes(p) <= KAD__PEERSTORE_BYTES);
  }
  kad_peer_id last = peer_of(1999);
  assert_true(kad__peerstore_speaks(p, &last, names[0]));
  kad_peer_id first = peer_of(0);
  assert_false(kad__peerstore_speaks(p, &first, names[0]));
  kad__peerstore_free(p);
}

static void test_facts(void **state) {
  (void)state;
  kad__peerstore *p = store_new();
  kad_peer_id peer = peer_of(1);
  char longest[300];
  memset(longest, 'a', sizeof(longest));
  const kad_bytes names[] = {kad__bytes_of("/a"), kad__bytes_of("/bc"),
                             (kad_bytes){0}, kad__bytes(longest, 300)};
  kad__peerstore_tick(p, KAD_HOUR);
  assert_int_equal(kad__peerstore_agent(p, &peer).len, 0);
  assert_false(kad__peerstore_speaks(p, &peer, names[0]));
  assert_ok(kad__peerstore_set_protocols(p, &peer, names, 4));
  assert_true(kad__peerstore_speaks(p, &peer, names[0]));
  assert_true(kad__peerstore_speaks(p, &peer, names[1]));
  assert_false(kad__peerstore_speaks(p, &peer, kad__bytes_of("/b")));
  assert_false(kad__peerstore_speaks(p, &peer, names[3]));
  uint8_t list[64];
  size_t len = kad__peerstore_protocols(p, &peer, list, sizeof(list));
  assert_int_equal(kad__addresses_count(kad__bytes(list, len)), 2);
  assert_true(kad__addresses_have(kad__bytes(list, len), names[1]));
  assert_ok(kad__peerstore_set_agent(p, &peer, kad__bytes(longest, 300)));
  assert_int_equal(kad__peerstore_agent(p, &peer).len,
                   KAD__PEERSTORE_AGENT_LEN);
  assert_ok(kad__peerstore_set_agent(p, &peer, kad__bytes_of("me/1")));
  assert_bytes_equal(kad__peerstore_agent(p, &peer), kad__bytes_of("me/1"));
  assert_ok(kad__peerstore_set_protocols(p, &peer, names, 1));
  assert_false(kad__peerstore_speaks(p, &peer, names[1]));
  assert_ok(kad__peerstore_set_protocols(p, &peer, NULL, 0));
  assert_false(kad__peerstore_speaks(p, &peer, names[0]));
  size_t with_agent = kad__peerstore_bytes(p);
  assert_ok(kad__peerstore_set_agent(p, &peer, (kad_bytes){0}));
  assert_int_equal(with_agent - kad__peerstore_bytes(p), 4);
  kad__peerstore_tick(p, KAD_HOUR + KAD__ADDRESS_RECENT);
  assert_int_equal(kad__peerstore_count(p), 0);
  kad__peerstore_free(p);
}

static void test_pinned(void **state) {
  (void)state;
  kad__peerstore *p = store_new();
  kad_peer_id peer = peer_of(1);
  const kad_bytes name = kad__bytes_of("/a");
  assert_ok(kad__peerstore_pin(p, &peer, false, 0));
  assert_int_equal(kad__peerstore_count(p), 0);
  assert_ok(kad__peerstore_pin(p, &peer, true, 0));
  assert_ok(kad__peerstore_set_protocols(p, &peer, &name, 1));
  kad__peerstore_tick(p, 100 * KAD_HOUR);
  assert_true(kad__peerstore_speaks(p, &peer, name));
  assert_ok(kad__peerstore_pin(p, &peer, false, 100 * KAD_HOUR));
  assert_true(kad__peerstore_speaks(p, &peer, name));
  kad__peerstore_tick(p, 101 * KAD_HOUR);
  assert_int_equal(kad__peerstore_count(p), 0);
  /* Nothing is known of it: it goes with the pin. */
  assert_ok(kad__peerstore_pin(p, &peer, true, 101 * KAD_HOUR));
  assert_ok(kad__peerstore_pin(p, &peer, false, 101 * KAD_HOUR));
  assert_int_equal(kad__peerstore_count(p), 0);
  kad__peerstore_free(p);
}

static int use(kad__peerstore *p) {
  kad_peer_id one = peer_of(1);
  kad_peer_id two = peer_of(2);
  const kad_bytes name = kad__bytes_of("/a");
  int worst = 0;
  const int results[] = {
      kad__peerstore_add(p, &one, address_of(1), KAD_HOUR, 0),
      kad__peerstore_add(p, &one, address_of(2), KAD_HOUR, 0),
      kad__peerstore_add(p, &one, address_of(3), KAD_HOUR, 0),
      kad__peerstore_set_protocols(p, &two, &name, 1),
      kad__peerstore_set_agent(p, &one, name),
      kad__peerstore_pin(p, &two, true, 0),
  };
  for (size_t i = 0; i < KAD__COUNT(results); i++) {
    worst = results[i] < worst ? results[i] : worst;
  }
  return worst;
}

static void test_no_memory(void **state) {
  (void)state;
  for (size_t fail_at = 1;; fail_at++) {
    test_allocator memory;
    test_allocator_init(&memory);
    memory.fail_at = fail_at;
    kad__peerstore *p = NULL;
    int result = kad__peerstore_new(&p, &memory.allocator, secret);
    if (result == 0) {
      result = use(p);
      kad__peerstore_tick(p, 2 * KAD_HOUR);
      kad__peerstore_free(p);
    }
    assert_int_equal(memory.live, 0);
    if (memory.calls < fail_at) {
      assert_int_equal(result, 0);
      return;
    }
    assert_error(KAD_E_NO_MEMORY, result);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_lifetimes),
      cmocka_unit_test(test_connected_and_permanent),
      cmocka_unit_test(test_a_counted_lifetime_ends),
      cmocka_unit_test(test_peer_suffix),
      cmocka_unit_test(test_addresses_of_a_peer_are_bounded),
      cmocka_unit_test(test_peers_are_bounded),
      cmocka_unit_test(test_bytes_are_bounded),
      cmocka_unit_test(test_facts),
      cmocka_unit_test(test_pinned),
      cmocka_unit_test(test_no_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
