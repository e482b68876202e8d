/* What a node knows of its peers, through a snapshot and back. */
#include "identity/digest.h"
#include "identity/envelope.h"
#include "kadmium/multiaddr.h"
#include "network.h"
#include "node/node_internal.h"
#include "node/snapshot.h"
#include "wire/protobuf.h"

#define SPACE ((size_t)8 << 20)
#define KNOWN 6

static network n;
static uint8_t space[SPACE];

static const kad_bytes address = {(const uint8_t *)"\4\300\0\2\1\6\17\241", 8};
static const kad_bytes other = {(const uint8_t *)"\4\300\0\2\2\6\17\241", 8};

static kad_peer_id peer_of(uint32_t number) {
  kad_peer_id id = {.len = 34, .bytes = {0x12, 0x20}};
  memcpy(id.bytes + 2, &number, sizeof(number));
  return id;
}

static kad__node *node_of(uint32_t number) {
  return kad__simulator_node(n.sim, number);
}

static kad__peerstore *store_of(uint32_t number) {
  return kad__swarm_peerstore(kad__node_swarm(node_of(number)));
}

static kad_time now(void) {
  return kad__simulator_now(n.sim);
}

static void setup(uint64_t seed) {
  network_open(&n, seed);
  network_grow(&n, 1);
}

static kad_bytes save(uint32_t number) {
  size_t needed = 0;
  int len =
      kad__node_snapshot(node_of(number), space, sizeof(space), &needed, now());
  assert_ok(len);
  assert_int_equal(needed, len);
  return kad__bytes(space, (size_t)len);
}

/* What is left of the life of a peer's address; 0: it is not known. */
static kad_time left_of(uint32_t number, const kad_peer_id *peer,
                        kad_bytes wanted) {
  kad__peerstore_address entry;
  size_t at = 0;
  while (
      kad__peerstore_next_entry(store_of(number), peer, &at, &entry, now())) {
    if (kad__bytes_equal(entry.address, wanted)) {
      return entry.left;
    }
  }
  return 0;
}

static size_t count_known(kad_bytes snapshot) {
  kad__pb_field field;
  size_t count = 0;
  while (kad__pb_next(&snapshot, &field) == 1) {
    count += field.number == KNOWN;
  }
  return count;
}

static void test_round_trip(void **state) {
  (void)state;
  setup(1);
  kad__peerstore *p = store_of(0);
  kad_peer_id peer = peer_of(1);
  kad_bytes key = kad__bytes_of("a key that is hashed");
  kad_bytes names[2] = {kad__bytes_of("/a/1"), kad__bytes_of("/b/1")};
  kad__sha256(peer.bytes + 2, key);
  assert_ok(kad__peerstore_add(p, &peer, address, KAD_HOUR, now()));
  assert_ok(kad__peerstore_add(p, &peer, other, KAD__ADDRESS_PERMANENT, now()));
  assert_ok(kad__peerstore_set_protocols(p, &peer, names, 2));
  assert_ok(kad__peerstore_set_agent(p, &peer, kad__bytes_of("them/2")));
  assert_ok(kad__peerstore_set_version(p, &peer, kad__bytes_of("v/3")));
  assert_ok(kad__peerstore_set_key(p, &peer, key));
  kad_peer_id in_use = peer_of(2);
  assert_ok(
      kad__peerstore_add(p, &in_use, address, KAD__ADDRESS_CONNECTED, now()));
  kad_peer_id brief = peer_of(3);
  assert_ok(
      kad__peerstore_add(p, &brief, address, KAD__ADDRESS_TEMPORARY, now()));
  kad_bytes snapshot = save(0);
  assert_int_equal(count_known(snapshot), 2);
  uint32_t new_node = network_add(&n, NOBODY);
  assert_ok(kad__node_restore(node_of(new_node), snapshot, now()));
  p = store_of(new_node);
  assert_null(kad__peerstore_check(p));
  kad_time left = left_of(new_node, &peer, address);
  assert_true(left > KAD_HOUR - 2 * KAD_SECOND && left <= KAD_HOUR);
  assert_true(left_of(new_node, &peer, other) == KAD__ADDRESS_PERMANENT);
  assert_true(kad__peerstore_speaks(p, &peer, names[0]));
  assert_true(kad__peerstore_speaks(p, &peer, names[1]));
  assert_bytes_equal(kad__peerstore_agent(p, &peer), kad__bytes_of("them/2"));
  assert_bytes_equal(kad__peerstore_version(p, &peer), kad__bytes_of("v/3"));
  assert_bytes_equal(kad__peerstore_key(p, &peer), key);
  left = left_of(new_node, &in_use, address);
  assert_true(left <= KAD__ADDRESS_RECENT);
  assert_true(left > KAD__ADDRESS_RECENT - 2 * KAD_SECOND);
  assert_false(kad__peerstore_knows(p, &brief));
  network_close(&n);
}

static void test_what_has_expired_stays_away(void **state) {
  (void)state;
  setup(2);
  kad_peer_id peer = peer_of(1);
  kad_peer_id lasting = peer_of(2);
  kad__peerstore *p = store_of(0);
  assert_ok(kad__peerstore_add(p, &peer, address, KAD_HOUR, now()));
  assert_ok(kad__peerstore_set_agent(p, &peer, address));
  assert_ok(kad__peerstore_add(p, &lasting, address, 3 * KAD_HOUR, now()));
  /* A clock that was wrong must not make it last for years. */
  kad_peer_id late = peer_of(3);
  assert_ok(kad__peerstore_add(p, &late, address, 100000 * KAD_HOUR, now()));
  kad_bytes snapshot = save(0);
  network_pass(&n, 2 * KAD_HOUR);
  uint32_t new_node = network_add(&n, NOBODY);
  assert_ok(kad__node_restore(node_of(new_node), snapshot, now()));
  assert_false(kad__peerstore_knows(store_of(new_node), &peer));
  kad_time left = left_of(new_node, &lasting, address);
  assert_true(left > 59 * KAD_MINUTE && left <= KAD_HOUR);
  assert_true(left_of(new_node, &late, address) == 7 * 24 * KAD_HOUR);
  network_close(&n);
}

static void add_signed(kad__peerstore *p, kad_peer_id *id, uint64_t sequence) {
  kad_random random;
  kad_key_pair *pair = NULL;
  uint8_t sealed[KAD__ENVELOPE_MAX];
  kad_random_init_u64(&random, 9);
  assert_ok(kad_key_pair_generate(&pair, kad_allocator_default(), &random));
  int len = kad__peer_record_seal(sealed, sizeof(sealed), pair, sequence,
                                  &address, 1);
  assert_ok(len);
  assert_int_equal(kad__peerstore_consume(
                       p, id, kad__bytes(sealed, (size_t)len), KAD_HOUR, now()),
                   1);
  kad_key_pair_free(pair);
}

static void test_signed_record(void **state) {
  (void)state;
  setup(3);
  kad_peer_id id;
  add_signed(store_of(0), &id, 5);
  kad_bytes record = kad__peerstore_record(store_of(0), &id);
  kad_bytes snapshot = save(0);
  uint32_t new_node = network_add(&n, NOBODY);
  assert_ok(kad__node_restore(node_of(new_node), snapshot, now()));
  assert_bytes_equal(kad__peerstore_record(store_of(new_node), &id), record);
  kad_time left = left_of(new_node, &id, address);
  assert_true(left > KAD_HOUR - 2 * KAD_SECOND && left <= KAD_HOUR);
  network_close(&n);
}

static void test_bounded(void **state) {
  (void)state;
  setup(4);
  for (uint32_t i = 0; i < 1500; i++) {
    kad_peer_id peer = peer_of(i);
    assert_ok(kad__peerstore_add(store_of(0), &peer, address, KAD_HOUR, now()));
  }
  kad_bytes snapshot = save(0);
  assert_int_equal(count_known(snapshot), 1000);
  uint32_t new_node = network_add(&n, NOBODY);
  assert_ok(kad__node_restore(node_of(new_node), snapshot, now()));
  assert_int_equal(kad__peerstore_count(store_of(new_node)), 1000);
  size_t needed = 0;
  assert_error(
      KAD_E_BUFFER_TOO_SMALL,
      kad__node_snapshot(node_of(0), space, snapshot.len - 1, &needed, now()));
  assert_int_equal(needed, snapshot.len);
  network_close(&n);
}

static void test_older_file(void **state) {
  (void)state;
  static const char old[] = "\x0a\x10kadmium snapshot\x10\x01";
  setup(5);
  assert_ok(
      kad__node_restore(node_of(0), kad__bytes(old, sizeof(old) - 1), now()));
  assert_int_equal(kad__peerstore_count(store_of(0)), 0);
  network_close(&n);
}

/* A snapshot that is cut or has a wrong bit never does harm. */
static void test_damaged(void **state) {
  (void)state;
  setup(6);
  kad_peer_id id;
  kad__peerstore *p = store_of(0);
  add_signed(p, &id, 5);
  assert_ok(kad__peerstore_set_protocols(p, &id, &address, 1));
  assert_ok(kad__peerstore_set_agent(p, &id, kad__bytes_of("x")));
  kad_bytes snapshot = save(0);
  uint32_t target = network_add(&n, NOBODY);
  for (size_t len = 0; len < snapshot.len; len++) {
    (void)kad__node_restore(node_of(target), kad__bytes(space, len), now());
    assert_null(kad__peerstore_check(store_of(target)));
  }
  assert_false(kad__peerstore_knows(store_of(target), &id));
  for (size_t bit = 0; bit < 8 * snapshot.len; bit++) {
    space[bit / 8] ^= (uint8_t)(1 << bit % 8);
    (void)kad__node_restore(node_of(target), snapshot, now());
    assert_null(kad__peerstore_check(store_of(target)));
    space[bit / 8] ^= (uint8_t)(1 << bit % 8);
  }
  network_close(&n);
}

static void test_no_memory(void **state) {
  (void)state;
  setup(7);
  kad_peer_id id;
  add_signed(store_of(0), &id, 5);
  kad_bytes snapshot = save(0);
  test_allocator memory;
  test_allocator_init(&memory);
  n.config.allocator = &memory.allocator;
  uint32_t target = network_add(&n, NOBODY);
  int result = KAD_E_NO_MEMORY;
  for (size_t i = 1; result == KAD_E_NO_MEMORY; i++) {
    kad__peerstore_forget(store_of(target), &id);
    memory.fail_at = memory.calls + i;
    result = kad__node_restore(node_of(target), snapshot, now());
    assert_null(kad__peerstore_check(store_of(target)));
    assert_true(i < 100);
  }
  memory.fail_at = 0;
  assert_int_equal(result, 0);
  network_close(&n);
  assert_int_equal(memory.live, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_round_trip),
      cmocka_unit_test(test_what_has_expired_stays_away),
      cmocka_unit_test(test_signed_record),
      cmocka_unit_test(test_bounded),
      cmocka_unit_test(test_older_file),
      cmocka_unit_test(test_damaged),
      cmocka_unit_test(test_no_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
