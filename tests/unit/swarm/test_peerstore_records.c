/* Signed records, keys, latency, and the classes of lifetimes. */
#include "identity/digest.h"
#include "identity/envelope.h"
#include "kadmium/key.h"
#include "kadmium/multiaddr.h"
#include "support.h"
#include "swarm/peerstore.h"
#include "wire/addresses.h"

static const uint64_t secret[2] = {5, 6};

/* /ip4/10.0.0.n/tcp/1 */
static uint8_t address_bytes[256][8];

static kad_bytes address_of(uint8_t n) {
  const uint8_t bytes[8] = {4, 10, 0, 0, n, 6, 0, 1};
  memcpy(address_bytes[n], bytes, sizeof(bytes));
  return kad__bytes(address_bytes[n], 8);
}

typedef struct signer {
  kad_key_pair *pair;
  kad_peer_id id;
  uint8_t sealed[KAD__ENVELOPE_MAX];
} signer;

static void signer_init(signer *s, uint64_t seed) {
  kad_random random;
  kad_random_init_u64(&random, seed);
  assert_ok(kad_key_pair_generate(&s->pair, kad_allocator_default(), &random));
  s->id = *kad_key_pair_peer_id(s->pair);
}

/* A record with the addresses first .. last; none when first > last. */
static kad_bytes record_of(signer *s, uint64_t sequence, uint8_t first,
                           uint8_t last) {
  kad_bytes list[80];
  size_t count = 0;
  for (unsigned i = first; i <= last; i++) {
    list[count++] = address_of((uint8_t)i);
  }
  int len = kad__peer_record_seal(s->sealed, sizeof(s->sealed), s->pair,
                                  sequence, list, count);
  assert_ok(len);
  return kad__bytes(s->sealed, (size_t)len);
}

static bool knows(const kad__peerstore *p, const kad_peer_id *peer,
                  kad_bytes address, kad_time now) {
  size_t at = 0;
  kad_bytes known;
  while (kad__peerstore_next(p, peer, &at, &known, now)) {
    if (kad__bytes_equal(known, address)) {
      return true;
    }
  }
  return false;
}

static size_t count(const kad__peerstore *p, const kad_peer_id *peer,
                    kad_time now) {
  size_t at = 0;
  size_t n = 0;
  kad_bytes known;
  while (kad__peerstore_next(p, peer, &at, &known, now)) {
    n++;
  }
  return n;
}

typedef struct fixture {
  kad__peerstore *p;
  signer peer;
} fixture;

static int set_up(void **state) {
  static fixture f;
  f = (fixture){.p = NULL};
  assert_ok(kad__peerstore_new(&f.p, kad_allocator_default(), secret));
  signer_init(&f.peer, 7);
  *state = &f;
  return 0;
}

static int tear_down(void **state) {
  fixture *f = *state;
  assert_null(kad__peerstore_check(f->p));
  kad__peerstore_free(f->p);
  kad_key_pair_free(f->peer.pair);
  return 0;
}

static void test_newer_record_replaces(void **state) {
  fixture *f = *state;
  kad__peerstore *p = f->p;
  const kad_peer_id *id = &f->peer.id;
  kad_peer_id whose;
  assert_ok(kad__peerstore_add(p, id, address_of(9), KAD_HOUR, 0));
  assert_ok(
      kad__peerstore_add(p, id, address_of(2), KAD__ADDRESS_CONNECTED, 0));
  kad_bytes record = record_of(&f->peer, 10, 1, 3);
  assert_int_equal(kad__peerstore_consume(p, &whose, record, KAD_HOUR, 0), 1);
  assert_true(kad_peer_id_equal(&whose, id));
  assert_bytes_equal(kad__peerstore_record(p, id), record);
  assert_int_equal(count(p, id, 0), 4);
  /* What only the record said goes; what is in use, and what was learnt
   * elsewhere, stays. */
  record = record_of(&f->peer, 11, 3, 4);
  assert_int_equal(kad__peerstore_consume(p, &whose, record, KAD_HOUR, 0), 1);
  assert_bytes_equal(kad__peerstore_record(p, id), record);
  assert_false(knows(p, id, address_of(1), 0));
  for (uint8_t n = 2; n <= 4; n++) {
    assert_true(knows(p, id, address_of(n), 0));
  }
  assert_true(knows(p, id, address_of(9), 0));
  assert_int_equal(count(p, id, 0), 4);
}

static void test_older_and_equal_records(void **state) {
  fixture *f = *state;
  kad__peerstore *p = f->p;
  const kad_peer_id *id = &f->peer.id;
  kad_peer_id whose;
  kad_bytes record = record_of(&f->peer, 10, 1, 2);
  assert_int_equal(kad__peerstore_consume(p, &whose, record, KAD_MINUTE, 0), 1);
  record = record_of(&f->peer, 9, 3, 3);
  assert_int_equal(kad__peerstore_consume(p, &whose, record, KAD_HOUR, 0), 0);
  assert_false(knows(p, id, address_of(3), 0));
  assert_false(knows(p, id, address_of(1), KAD_MINUTE));
  record = record_of(&f->peer, 10, 1, 2);
  assert_int_equal(kad__peerstore_consume(p, &whose, record, KAD_HOUR, 0), 1);
  assert_true(knows(p, id, address_of(1), KAD_MINUTE));
  assert_int_equal(count(p, id, KAD_MINUTE), 2);
}

/* A record that the peer itself has told is not looked at before it is asked
 * for, and then is one or is dropped. */
static void test_heard_records(void **state) {
  fixture *f = *state;
  kad__peerstore *p = f->p;
  const kad_peer_id *id = &f->peer.id;
  kad_peer_id whose;
  kad__peerstore_settle_heard(p, id); /* nobody knows the peer */
  assert_ok(kad__peerstore_add(p, id, address_of(9), KAD_HOUR, 0));
  kad_bytes record = record_of(&f->peer, 10, 1, 2);
  assert_int_equal(kad__peerstore_consume(p, &whose, record, KAD_HOUR, 0), 1);

  record = record_of(&f->peer, 9, 3, 3);
  assert_ok(kad__peerstore_hear(p, id, record));
  kad__peerstore_settle_heard(p, id); /* older than the one held */
  assert_true(knows(p, id, address_of(1), 0));

  record = record_of(&f->peer, 11, 2, 9);
  assert_ok(kad__peerstore_hear(p, id, record));
  assert_false(kad__bytes_equal(kad__peerstore_record(p, id), record));
  assert_null(kad__peerstore_check(p));
  kad__peerstore_settle_heard(p, id);
  assert_bytes_equal(kad__peerstore_record(p, id), record);
  assert_false(knows(p, id, address_of(1), 0)); /* only the old one said so */
  assert_false(knows(p, id, address_of(3), 0)); /* it adds none */
  assert_int_equal(count(p, id, 0), 2);
  size_t bytes = kad__peerstore_bytes(p);
  assert_ok(kad__peerstore_hear(p, id, record));
  assert_int_equal(kad__peerstore_bytes(p), bytes);

  record.len -= 1;
  assert_ok(kad__peerstore_hear(p, id, record));
  assert_true(kad__peerstore_bytes(p) > bytes);
  kad__peerstore_settle_heard(p, id);
  assert_int_equal(kad__peerstore_bytes(p), bytes);
  signer other;
  signer_init(&other, 9);
  assert_ok(kad__peerstore_hear(p, id, record_of(&other, 12, 1, 1)));
  kad__peerstore_settle_heard(p, id);
  assert_int_equal(kad__peerstore_bytes(p), bytes);
  assert_int_equal(kad__peerstore_record(p, id).len, record.len + 1);
  kad_key_pair_free(other.pair);
}

static void test_record_goes_with_the_addresses(void **state) {
  fixture *f = *state;
  kad_peer_id whose;
  kad_bytes record = record_of(&f->peer, 10, 1, 2);
  assert_int_equal(kad__peerstore_consume(f->p, &whose, record, KAD_SECOND, 0),
                   1);
  assert_ok(kad__peerstore_pin(f->p, &whose, true, 0));
  assert_int_not_equal(kad__peerstore_record(f->p, &whose).len, 0);
  kad__peerstore_tick(f->p, KAD_MINUTE);
  assert_int_equal(kad__peerstore_record(f->p, &whose).len, 0);
  /* An older one is news then. */
  record = record_of(&f->peer, 9, 1, 2);
  assert_int_equal(
      kad__peerstore_consume(f->p, &whose, record, KAD_HOUR, KAD_MINUTE), 1);
}

static void test_bad_records(void **state) {
  fixture *f = *state;
  kad_peer_id whose;
  kad_bytes record = record_of(&f->peer, 10, 1, 2);
  for (size_t len = 0; len < record.len; len++) {
    assert_true(kad__peerstore_consume(f->p, &whose,
                                       kad__bytes(record.data, len), KAD_HOUR,
                                       0) < 0);
  }
  for (size_t bit = 0; bit < 8 * record.len; bit++) {
    f->peer.sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
    int result = kad__peerstore_consume(f->p, &whose, record, KAD_HOUR, 0);
    assert_true(result < 0);
    f->peer.sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
  }
  assert_error(KAD_E_INVALID_ARGUMENT,
               kad__peerstore_consume(f->p, &whose, record, 0, 0));
  record = record_of(&f->peer, 10, 2, 1);
  assert_error(KAD_E_NO_ADDRESS,
               kad__peerstore_consume(f->p, &whose, record, KAD_HOUR, 0));
  assert_int_equal(kad__peerstore_count(f->p), 0);
}

static void test_set_and_update(void **state) {
  fixture *f = *state;
  kad__peerstore *p = f->p;
  const kad_peer_id *id = &f->peer.id;
  assert_ok(kad__peerstore_set(p, id, address_of(1), KAD_HOUR, 0));
  assert_ok(kad__peerstore_set(p, id, address_of(1), KAD_SECOND, 0));
  assert_true(knows(p, id, address_of(1), KAD_SECOND - 1));
  assert_false(knows(p, id, address_of(1), KAD_SECOND));
  assert_ok(kad__peerstore_set(p, id, address_of(1), 0, 0));
  assert_int_equal(kad__peerstore_count(p), 0);
  assert_ok(kad__peerstore_set(p, id, address_of(1), 0, 0));
  assert_error(KAD_E_MULTIADDR,
               kad__peerstore_set(p, id, (kad_bytes){0}, KAD_HOUR, 0));
  /* By their class, not by what is left of them. */
  assert_ok(kad__peerstore_add(p, id, address_of(1), KAD_HOUR, 0));
  assert_ok(kad__peerstore_add(p, id, address_of(2), KAD_MINUTE, 0));
  kad__peerstore_update(p, id, KAD_HOUR, KAD__ADDRESS_TEMPORARY, KAD_SECOND);
  assert_true(knows(p, id, address_of(1), KAD_MINUTE));
  assert_false(knows(p, id, address_of(1), 2 * KAD_MINUTE + KAD_SECOND));
  kad__peerstore_update(p, id, KAD_MINUTE, 0, KAD_SECOND);
  assert_int_equal(count(p, id, KAD_SECOND), 1);
}

/* What was connected and is not any more is forgotten like everything else. */
static void test_demoted_addresses_are_collected(void **state) {
  fixture *f = *state;
  kad__peerstore *p = f->p;
  const kad_peer_id *id = &f->peer.id;
  for (uint8_t n = 0; n < 40; n++) {
    assert_ok(
        kad__peerstore_add(p, id, address_of(n), KAD__ADDRESS_CONNECTED, 0));
  }
  kad__peerstore_part(p, id, address_of(39), 0);
  assert_int_equal(count(p, id, 0), KAD__PEERSTORE_ADDRESSES_RECENT);
  assert_true(knows(p, id, address_of(39), 0));
  assert_true(knows(p, id, address_of(18), 0));
  assert_false(knows(p, id, address_of(19), 0));
  kad__peerstore_tick(p, KAD__ADDRESS_RECENT);
  assert_int_equal(kad__peerstore_count(p), 0);
  assert_int_equal(kad__peerstore_bytes(p), 0);
  kad__peerstore_part(p, id, (kad_bytes){0}, KAD_HOUR);
}

static void test_the_expired_are_swept(void **state) {
  fixture *f = *state;
  kad__peerstore *p = f->p;
  const kad_peer_id *id = &f->peer.id;
  assert_ok(
      kad__peerstore_add(p, id, address_of(1), KAD__ADDRESS_PERMANENT, 0));
  size_t bytes = kad__peerstore_bytes(p);
  assert_ok(kad__peerstore_add(p, id, address_of(2), KAD_SECOND, 0));
  size_t both = kad__peerstore_bytes(p);
  assert_true(both > bytes);
  kad__peerstore_tick(p, KAD__PEERSTORE_SWEEP - 1);
  assert_int_equal(kad__peerstore_bytes(p), both);
  kad__peerstore_tick(p, KAD__PEERSTORE_SWEEP);
  assert_true(kad__peerstore_bytes(p) < both);
  assert_int_equal(count(p, id, 0), 1);
}

static void test_connected_addresses_never_make_room(void **state) {
  fixture *f = *state;
  kad__peerstore *p = f->p;
  const kad_peer_id *id = &f->peer.id;
  uint8_t max = KAD__PEERSTORE_ADDRESSES_PER_PEER;
  for (uint8_t n = 0; n < max; n++) {
    assert_ok(
        kad__peerstore_add(p, id, address_of(n), KAD__ADDRESS_CONNECTED, 0));
  }
  assert_error(KAD_E_LIMIT, kad__peerstore_add(p, id, address_of(max),
                                               KAD__ADDRESS_PERMANENT, 0));
  assert_true(knows(p, id, address_of(0), 0));
}

static void test_keys(void **state) {
  fixture *f = *state;
  kad__peerstore *p = f->p;
  kad_bytes own = kad_public_key_bytes(kad_key_pair_public(f->peer.pair));
  /* An Ed25519 key is in the id. */
  assert_bytes_equal(kad__peerstore_key(p, &f->peer.id), own);
  assert_ok(kad__peerstore_set_key(p, &f->peer.id, own));
  assert_int_equal(kad__peerstore_count(p), 0);
  kad_bytes other = kad__bytes_of("08: some key that is hashed for its id");
  assert_error(KAD_E_PEER_MISMATCH,
               kad__peerstore_set_key(p, &f->peer.id, other));
  kad_peer_id hashed = {.len = 34, .bytes = {0x12, 0x20}};
  kad__sha256(hashed.bytes + 2, other);
  assert_int_equal(kad__peerstore_key(p, &hashed).len, 0);
  assert_error(KAD_E_PEER_MISMATCH, kad__peerstore_set_key(p, &hashed, own));
  assert_error(KAD_E_PEER_MISMATCH,
               kad__peerstore_set_key(p, &hashed, (kad_bytes){0}));
  assert_ok(kad__peerstore_set_key(p, &hashed, other));
  assert_bytes_equal(kad__peerstore_key(p, &hashed), other);
  static uint8_t large[KAD__PEERSTORE_KEY_LEN + 1];
  kad__sha256(hashed.bytes + 2, kad__bytes(large, sizeof(large)));
  assert_error(KAD_E_LIMIT, kad__peerstore_set_key(
                                p, &hashed, kad__bytes(large, sizeof(large))));
}

static void test_latency(void **state) {
  fixture *f = *state;
  const kad_peer_id *id = &f->peer.id;
  kad__peerstore_note_latency(f->p, id, KAD_SECOND);
  assert_int_equal(kad__peerstore_latency(f->p, id), 0);
  assert_ok(kad__peerstore_pin(f->p, id, true, 0));
  assert_int_equal(kad__peerstore_latency(f->p, id), 0);
  kad__peerstore_note_latency(f->p, id, 100 * KAD_MILLISECOND);
  assert_int_equal(kad__peerstore_latency(f->p, id), 100 * KAD_MILLISECOND);
  kad__peerstore_note_latency(f->p, id, 200 * KAD_MILLISECOND);
  assert_int_equal(kad__peerstore_latency(f->p, id), 110 * KAD_MILLISECOND);
  for (int i = 0; i < 200; i++) {
    kad__peerstore_note_latency(f->p, id, 0);
  }
  assert_true(kad__peerstore_latency(f->p, id) > 0);
  assert_true(kad__peerstore_latency(f->p, id) < KAD_MICROSECOND);
}

static void test_version(void **state) {
  fixture *f = *state;
  const kad_peer_id *id = &f->peer.id;
  assert_int_equal(kad__peerstore_version(f->p, id).len, 0);
  assert_ok(kad__peerstore_set_version(f->p, id, kad__bytes_of("ipfs/0.1.0")));
  assert_bytes_equal(kad__peerstore_version(f->p, id),
                     kad__bytes_of("ipfs/0.1.0"));
}

static void test_walk(void **state) {
  fixture *f = *state;
  kad_peer_id id = {.len = 34, .bytes = {0x12, 0x20}};
  for (uint8_t n = 0; n < 20; n++) {
    id.bytes[2] = n;
    assert_ok(kad__peerstore_add(f->p, &id, address_of(n), KAD_HOUR, 0));
  }
  uint64_t cursor = 0;
  const kad_peer_id *peer = NULL;
  for (uint8_t n = 0; n < 20; n++) {
    assert_true(kad__peerstore_next_peer(f->p, &cursor, &peer));
    assert_int_equal(peer->bytes[2], n);
    if (n % 2 == 0) { /* one that goes meanwhile */
      id.bytes[2] = n;
      assert_true(kad__peerstore_forget(f->p, &id));
      assert_false(kad__peerstore_forget(f->p, &id));
    }
  }
  assert_false(kad__peerstore_next_peer(f->p, &cursor, &peer));
  id.bytes[2] = 100;
  assert_ok(kad__peerstore_add(f->p, &id, address_of(1), KAD_HOUR, 0));
  size_t n = 0;
  for (cursor = 0; kad__peerstore_next_peer(f->p, &cursor, &peer); n++) {
  }
  assert_int_equal(n, 11);
  assert_int_equal(n, kad__peerstore_count(f->p));
}

static void test_forget_spares_connections(void **state) {
  fixture *f = *state;
  kad__peerstore *p = f->p;
  const kad_peer_id *id = &f->peer.id;
  const kad_bytes name = kad__bytes_of("/a");
  assert_ok(kad__peerstore_pin(p, id, true, 0));
  assert_ok(kad__peerstore_set_protocols(p, id, &name, 1));
  assert_ok(
      kad__peerstore_add(p, id, address_of(1), KAD__ADDRESS_CONNECTED, 0));
  assert_ok(
      kad__peerstore_add(p, id, address_of(2), KAD__ADDRESS_PERMANENT, 0));
  assert_true(kad__peerstore_forget(p, id));
  assert_true(kad__peerstore_speaks(p, id, name));
  assert_true(knows(p, id, address_of(1), 0));
  assert_false(knows(p, id, address_of(2), 0));
  assert_ok(kad__peerstore_pin(p, id, false, 0));
  assert_true(kad__peerstore_forget(p, id));
  assert_int_equal(kad__peerstore_count(p), 0);
}

static void test_what_is_left_of_a_life(void **state) {
  fixture *f = *state;
  const kad_peer_id *id = &f->peer.id;
  kad__peerstore_address entry;
  size_t at = 0;
  assert_ok(kad__peerstore_add(f->p, id, address_of(1), KAD_HOUR, 0));
  assert_ok(
      kad__peerstore_add(f->p, id, address_of(2), KAD__ADDRESS_CONNECTED, 0));
  assert_true(kad__peerstore_next_entry(f->p, id, &at, &entry, KAD_MINUTE));
  assert_bytes_equal(entry.address, address_of(1));
  assert_int_equal(entry.left, KAD_HOUR - KAD_MINUTE);
  assert_true(kad__peerstore_next_entry(f->p, id, &at, &entry, KAD_MINUTE));
  assert_true(entry.left == KAD__ADDRESS_CONNECTED);
  assert_false(kad__peerstore_next_entry(f->p, id, &at, &entry, KAD_MINUTE));
}

/* Bytes of everything: addresses, records, entries. */
static void test_all_is_charged(void **state) {
  fixture *f = *state;
  kad_peer_id id = {.len = 34, .bytes = {0x12, 0x20}};
  static uint8_t long_address[KAD_MULTIADDR_MAX];
  char text[KAD_MULTIADDR_MAX];
  memset(text, 'x', sizeof(text));
  memcpy(text, "/dns4/", 6);
  memcpy(text + 250, "/tcp/1", 7);
  int len = kad_multiaddr_parse(long_address, sizeof(long_address), text);
  assert_ok(len);
  for (uint32_t i = 0; i < 4 * KAD__PEERSTORE_PEERS; i++) {
    memcpy(id.bytes + 2, &i, sizeof(i));
    for (uint8_t n = 0; n < 20; n++) {
      long_address[10] = (uint8_t)('a' + n);
      int result = kad__peerstore_add(
          f->p, &id, kad__bytes(long_address, (size_t)len), KAD_HOUR, i);
      assert_true(result == 0 || result == KAD_E_LIMIT);
    }
    if (i % 1000 == 0) {
      assert_true(kad__peerstore_bytes(f->p) <= KAD__PEERSTORE_BYTES);
    }
  }
  assert_true(kad__peerstore_bytes(f->p) > KAD__PEERSTORE_BYTES / 2);
}

static int use(kad__peerstore *p, signer *peer) {
  kad_peer_id whose;
  kad_peer_id hashed = {.len = 34, .bytes = {0x12, 0x20}};
  kad_bytes key = kad__bytes_of("a key");
  kad__sha256(hashed.bytes + 2, key);
  int worst = 0;
  const int results[] = {
      kad__peerstore_consume(p, &whose, record_of(peer, 1, 1, 3), KAD_HOUR, 0),
      kad__peerstore_consume(p, &whose, record_of(peer, 2, 3, 5), KAD_HOUR, 0),
      kad__peerstore_set(p, &peer->id, address_of(7), KAD_HOUR, 0),
      kad__peerstore_set_version(p, &peer->id, key),
      kad__peerstore_set_key(p, &hashed, key),
  };
  for (size_t i = 0; i < KAD__COUNT(results); i++) {
    worst = results[i] < worst ? results[i] : worst;
  }
  return worst;
}

static void test_no_memory(void **state) {
  (void)state;
  signer peer;
  signer_init(&peer, 8);
  for (size_t fail_at = 1;; fail_at++) {
    test_allocator memory;
    test_allocator_init(&memory);
    memory.fail_at = fail_at;
    kad__peerstore *p = NULL;
    int result = kad__peerstore_new(&p, &memory.allocator, secret);
    if (result == 0) {
      result = use(p, &peer);
      assert_null(kad__peerstore_check(p));
      kad__peerstore_free(p);
    }
    assert_int_equal(memory.live, 0);
    if (memory.calls < fail_at) {
      assert_int_equal(result, 0);
      kad_key_pair_free(peer.pair);
      return;
    }
    assert_error(KAD_E_NO_MEMORY, result);
  }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(test_newer_record_replaces),
      TEST(test_older_and_equal_records),
      TEST(test_heard_records),
      TEST(test_record_goes_with_the_addresses),
      TEST(test_bad_records),
      TEST(test_set_and_update),
      TEST(test_demoted_addresses_are_collected),
      TEST(test_the_expired_are_swept),
      TEST(test_connected_addresses_never_make_room),
      TEST(test_keys),
      TEST(test_latency),
      TEST(test_version),
      TEST(test_walk),
      TEST(test_forget_spares_connections),
      TEST(test_what_is_left_of_a_life),
      TEST(test_all_is_charged),
      cmocka_unit_test(test_no_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
