/* Private networks: the stream, and connections inside it. */
#include "connection/pnet.h"
#include "ends.h"
#include "kadmium/node.h"

static const uint8_t key[KAD__PNET_KEY_LEN] = {1, 2, 3, 4};
static const uint8_t other_key[KAD__PNET_KEY_LEN] = {1, 2, 3, 5};

/* Nowhere in the bytes of the private connection. */
static bool contains(kad_bytes bytes, kad_bytes text) {
  for (; bytes.len >= text.len; bytes = kad__bytes_skip(bytes, 1)) {
    if (kad__bytes_start(bytes, text)) {
      return true;
    }
  }
  return false;
}

static kad__pnet *new_pnet(uint64_t seed) {
  kad__pnet *p = NULL;
  kad_random random;
  kad_random_init_u64(&random, seed);
  assert_ok(kad__pnet_new(&p, kad_allocator_default(), key, &random));
  return p;
}

/* XSalsa20 of the paper's authors (NaCl, tests/stream3): its first key and
 * nonce, of which the first 32 bytes are known. */
static void test_known_stream(void **state) {
  (void)state;
  const kad_bytes known = test_hex(
      "eea6a7251c1e72916d11c2cb214d3c252539121d8e234e652d651fa4c8cff880");
  kad__pnet *p = new_pnet(1);
  memcpy(p->key,
         test_hex("1b27556473e985d462cd51197a9a46c7"
                  "6009549eac6474f206c4ee0844f68389")
             .data,
         KAD__PNET_KEY_LEN);
  memcpy(p->send.nonce,
         test_hex("69696ee955b62b73cd62bda875fc73d68219e0036b7a0b37").data,
         KAD__PNET_NONCE_LEN);
  uint8_t bytes[32] = {0};
  kad__pnet_send(p, bytes, sizeof(bytes));
  assert_bytes_equal(kad__bytes(bytes, sizeof(bytes)), known);
  kad__pnet_free(p, kad_allocator_default());
}

/* However the stream is cut, it is the same. */
static void test_cuts(void **state) {
  (void)state;
  enum { LEN = 1000 };
  uint8_t whole[LEN] = {0};
  kad__pnet *p = new_pnet(1);
  kad__pnet_send(p, whole, LEN);
  kad__pnet_free(p, kad_allocator_default());
  for (size_t step = 1; step < 200; step++) {
    uint8_t parts[LEN] = {0};
    p = new_pnet(1);
    for (size_t at = 0; at < LEN; at += step) {
      kad__pnet_send(p, parts + at, step < LEN - at ? step : LEN - at);
    }
    assert_memory_equal(parts, whole, LEN);
    kad__pnet_free(p, kad_allocator_default());
  }
}

static void test_connections(void **state) {
  (void)state;
  for (uint8_t protocol = KAD__SECURITY_NOISE; protocol <= KAD__SECURITY_TLS;
       protocol++) {
    test_ends f;
    kad_random cuts;
    test_ends_init(&f);
    kad_random_init_u64(&cuts, 3);
    f.a.network_key = key;
    f.b.network_key = key;
    f.a.protocols[0] = protocol;
    test_ends_connect(&f.a, &f.b, 0);
    assert_int_equal(kad__connection_security(f.b.c), protocol);
    assert_ok(test_end_connect(&f.a, true, NULL, 1, 0));
    assert_ok(test_end_connect(&f.b, false, NULL, 2, 0));
    test_ends_pump(&f.a, &f.b, &cuts, 0);
    assert_true(kad__connection_established(f.a.c));
    assert_true(kad__connection_established(f.b.c));
    test_ends_fini(&f);
  }
}

static void test_tells_nothing(void **state) {
  (void)state;
  test_ends f;
  kad__buffer wire = {0};
  test_ends_init(&f);
  f.a.network_key = key;
  assert_ok(test_end_connect(&f.a, true, NULL, 1, 0));
  test_end_drain(&f.a, &wire, 0);
  assert_true(kad__buffer_len(&wire) > KAD__PNET_NONCE_LEN + 20);
  assert_false(contains(kad__buffer_bytes(&wire), LITERAL("multistream")));
  kad__buffer_fini(&wire, kad_allocator_default());
  test_ends_fini(&f);
}

/* Another network, or none: nothing is established, whoever dials. */
static void test_other_networks(void **state) {
  (void)state;
  const uint8_t *const keys[][2] = {
      {key, other_key}, {key, NULL}, {NULL, key}, {other_key, key}};
  for (size_t i = 0; i < KAD__COUNT(keys); i++) {
    test_ends f;
    test_ends_init(&f);
    f.a.network_key = keys[i][0];
    f.b.network_key = keys[i][1];
    assert_ok(test_end_connect(&f.a, true, NULL, 1, 0));
    assert_ok(test_end_connect(&f.b, false, NULL, 2, 0));
    test_ends_pump(&f.a, &f.b, NULL, 0);
    assert_false(kad__connection_established(f.a.c));
    assert_false(kad__connection_established(f.b.c));
    const test_end *failed = f.a.error < 0 ? &f.a : &f.b;
    assert_int_equal(failed->error, failed->network_key == NULL
                                        ? KAD_E_MULTISTREAM
                                        : KAD_E_NETWORK_KEY);
    test_ends_fini(&f);
  }
}

/* Who reads our first bytes with another key hangs up after its own first ones;
 * who hangs up before has other reasons. */
static void test_hangs_up(void **state) {
  (void)state;
  static const uint8_t zeros[KAD__PNET_NONCE_LEN];
  for (size_t len = 0; len <= sizeof(zeros); len++) {
    test_ends f;
    test_ends_init(&f);
    f.a.network_key = key;
    assert_ok(test_end_connect(&f.a, true, NULL, 1, 0));
    assert_ok(test_end_feed(&f.a, kad__bytes(zeros, len), NULL, 0));
    assert_int_equal(kad__connection_input_end(f.a.c),
                     len == 0 ? KAD_E_CLOSED : KAD_E_NETWORK_KEY);
    test_ends_fini(&f);
  }
}

static void test_key_file(void **state) {
  (void)state;
#define DIGITS \
  "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define HEAD "/key/swarm/psk/1.0.0/"
  const struct {
    const char *text;
    int error;
  } cases[] = {
      {HEAD "\n/base16/\n" DIGITS, 0},
      {HEAD "\n/base16/\n" DIGITS "\n", 0},
      {HEAD "\r\n/base16/\r\n" DIGITS "\r\n", 0},
      {HEAD "\n/base64/\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n", 0},
      {"", KAD_E_KEY},
      {HEAD, KAD_E_KEY},
      {HEAD "\n/base16/\n", KAD_E_KEY},
      {HEAD "\n/base16/\n" DIGITS "00", KAD_E_KEY},
      {HEAD "\n/base16/\n0001", KAD_E_KEY},
      {HEAD "\n/base58/\n" DIGITS, KAD_E_KEY},
      {HEAD "\n/bin/\n" DIGITS, KAD_E_KEY},
      {"/key/swarm/psk/2.0.0/\n/base16/\n" DIGITS, KAD_E_KEY},
      {HEAD "\n/base64/\n-AECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
       KAD_E_KEY},
  };
  for (size_t i = 0; i < KAD__COUNT(cases); i++) {
    uint8_t out[KAD_NETWORK_KEY_LEN];
    assert_error(cases[i].error,
                 kad_network_key_parse(out, kad__bytes_of(cases[i].text)));
    if (cases[i].error == 0) {
      assert_bytes_equal(kad__bytes(out, sizeof(out)), test_hex(DIGITS));
    }
  }
  uint8_t out[KAD_NETWORK_KEY_LEN];
  char binary[] = HEAD "\n/bin/\n0123456789abcdef0123456789abcdef";
  assert_ok(kad_network_key_parse(out, kad__bytes_of(binary)));
  assert_memory_equal(out, "0123456789abcdef0123456789abcdef", sizeof(out));
}

static void test_allocations(void **state) {
  (void)state;
  test_ends f;
  test_ends_init(&f);
  f.a.network_key = key;
  int result = KAD_E_NO_MEMORY;
  for (size_t n = 1; result == KAD_E_NO_MEMORY; n++) {
    f.a.memory.calls = 0;
    f.a.memory.fail_at = n;
    result = test_end_connect(&f.a, true, NULL, 1, 0);
    assert_true(result == 0 ? n > 3 : f.a.memory.live == 0);
  }
  assert_ok(result);
  f.a.memory.fail_at = 0;
  test_ends_fini(&f);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_known_stream),
      cmocka_unit_test(test_cuts),
      cmocka_unit_test(test_connections),
      cmocka_unit_test(test_tells_nothing),
      cmocka_unit_test(test_key_file),
      cmocka_unit_test(test_other_networks),
      cmocka_unit_test(test_hangs_up),
      cmocka_unit_test(test_allocations),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
