/* Scopes of addresses, and which of ours a peer is given. */
#include "fake_swarm.h"
#include "kadmium/multiaddr.h"
#include "protocols/own_addresses.h"
#include "support.h"
#include "wire/addresses.h"

/* Valid until the next call of the same slot. */
static kad_bytes address(const char *text, size_t slot) {
  static uint8_t memory[16][KAD_MULTIADDR_MAX];
  int len = kad_multiaddr_parse(memory[slot], sizeof(memory[slot]), text);
  assert_ok(len);
  return kad__bytes(memory[slot], (size_t)len);
}

static void knows_scopes(void **state) {
  (void)state;
  static const struct {
    const char *text;
    kad__scope scope;
  } cases[] = {
      {"/ip4/127.0.0.1/tcp/1", KAD__SCOPE_LOOPBACK},
      {"/ip4/127.255.0.9/udp/1/quic-v1", KAD__SCOPE_LOOPBACK},
      {"/ip6/::1/tcp/1", KAD__SCOPE_LOOPBACK},
      {"/ip6/::ffff:127.0.0.1/tcp/1", KAD__SCOPE_LOOPBACK},
      {"/dns4/localhost/tcp/1", KAD__SCOPE_LOOPBACK},
      {"/unix/run/socket", KAD__SCOPE_LOOPBACK},
      {"/memory/1", KAD__SCOPE_LOOPBACK},
      {"/dns4/a.LocalHost/tcp/1", KAD__SCOPE_LOOPBACK},
      {"/ip4/10.0.0.1/tcp/1", KAD__SCOPE_PRIVATE},
      {"/ip4/172.16.0.1/tcp/1", KAD__SCOPE_PRIVATE},
      {"/ip4/172.31.255.255/tcp/1", KAD__SCOPE_PRIVATE},
      {"/ip4/192.168.4.1/tcp/1", KAD__SCOPE_PRIVATE},
      {"/ip4/169.254.1.1/tcp/1", KAD__SCOPE_PRIVATE},
      {"/ip4/100.64.0.1/tcp/1", KAD__SCOPE_PRIVATE},
      {"/ip4/100.127.0.1/tcp/1", KAD__SCOPE_PRIVATE},
      {"/ip6/fe80::1/tcp/1", KAD__SCOPE_PRIVATE},
      {"/ip6zone/eth0/ip6/fe80::1/tcp/1", KAD__SCOPE_PRIVATE},
      {"/ip6/fd00::1/tcp/1", KAD__SCOPE_PRIVATE},
      {"/dns/printer.local/tcp/1", KAD__SCOPE_PRIVATE},
      {"/ip4/172.15.0.1/tcp/1", KAD__SCOPE_PUBLIC},
      {"/ip4/172.32.0.1/tcp/1", KAD__SCOPE_PUBLIC},
      {"/ip4/100.128.0.1/tcp/1", KAD__SCOPE_PUBLIC},
      {"/ip4/192.169.0.1/tcp/1", KAD__SCOPE_PUBLIC},
      {"/ip4/1.2.3.4/tcp/1", KAD__SCOPE_PUBLIC},
      {"/ip6/2001:db8::1/tcp/1", KAD__SCOPE_PUBLIC},
      {"/ip6/fec0::1/tcp/1", KAD__SCOPE_PUBLIC},
      {"/dns/example.org/tcp/1", KAD__SCOPE_PUBLIC},
      {"/dns/notlocal/tcp/1", KAD__SCOPE_PUBLIC},
      {"/dnsaddr/bootstrap.libp2p.io", KAD__SCOPE_PUBLIC},
  };
  for (size_t i = 0; i < KAD__COUNT(cases); i++) {
    kad__scope scope = kad__address_scope(address(cases[i].text, 0));
    if (scope != cases[i].scope) {
      fail_msg("%s: %d", cases[i].text, (int)scope);
    }
  }
  assert_int_equal(kad__address_scope(kad__bytes(NULL, 0)), KAD__SCOPE_PUBLIC);
  assert_int_equal(kad__address_scope(test_hex("047f")), KAD__SCOPE_PUBLIC);
}

static void knows_useless_ones(void **state) {
  (void)state;
  static const char *const useless[] = {
      "/ip4/0.0.0.0/tcp/1",    "/ip4/224.0.0.1/udp/1",
      "/ip4/1.2.3.4/tcp/0",    "/ip6/::/tcp/1",
      "/ip6/ff02::1/udp/1",    "/ip4/255.255.255.255/tcp/1",
      "/dns/example.org/udp/0"};
  static const char *const useful[] = {"/ip4/1.2.3.4/tcp/1", "/ip6/::1/tcp/1",
                                       "/dns/example.org/udp/53",
                                       "/ip6/::2/tcp/1"};
  for (size_t i = 0; i < KAD__COUNT(useless); i++) {
    assert_true(kad__address_useless(address(useless[i], 0)));
  }
  for (size_t i = 0; i < KAD__COUNT(useful); i++) {
    assert_false(kad__address_useless(address(useful[i], 0)));
  }
}

typedef struct fixture {
  kad__swarm *swarm;
  kad__own_addresses *own;
  test_allocator memory;
} fixture;

static int set_up(void **out) {
  fixture *f = calloc(1, sizeof(*f));
  f->swarm = fake_swarm_new();
  test_allocator_init(&f->memory);
  assert_ok(kad__own_addresses_new(&f->own, &f->memory.allocator, f->swarm));
  static const char *const listening[] = {
      "/ip4/127.0.0.1/tcp/9", "/ip4/10.1.1.1/tcp/9", "/ip4/9.9.9.9/tcp/9",
      "/ip4/0.0.0.0/tcp/9", "/ip4/9.9.9.9/tcp/9"};
  for (size_t i = 0; i < KAD__COUNT(listening); i++) {
    f->swarm->listening[f->swarm->listening_count++] =
        address(listening[i], 1 + i);
  }
  *out = f;
  return 0;
}

static int tear_down(void **in) {
  fixture *f = *in;
  kad__own_addresses_free(f->own);
  kad__own_addresses_free(NULL);
  assert_int_equal(f->memory.live, 0);
  fake_swarm_free(f->swarm);
  free(f);
  return 0;
}

static void expect(const fixture *f, kad__scope scope, size_t cap,
                   const char *const *texts, size_t count) {
  uint8_t list[KAD__OWN_ADDRESSES_MAX];
  size_t len = kad__own_addresses_list(f->own, list, cap, scope);
  kad_bytes rest = kad__bytes(list, len);
  kad_bytes got;
  for (size_t i = 0; i < count; i++) {
    assert_true(kad__addresses_next(&rest, &got));
    assert_bytes_equal(got, address(texts[i], 0));
  }
  assert_false(kad__addresses_next(&rest, &got));
}

static const char *const all[] = {"/ip4/127.0.0.1/tcp/9", "/ip4/10.1.1.1/tcp/9",
                                  "/ip4/9.9.9.9/tcp/9"};

static void gives_by_scope(void **state) {
  fixture *f = *state;
  expect(f, KAD__SCOPE_LOOPBACK, 2048, all, 3);
  expect(f, KAD__SCOPE_PRIVATE, 2048, all + 1, 2);
  expect(f, KAD__SCOPE_PUBLIC, 2048, all + 2, 1);
  kad__own_addresses_keep_private(f->own, true);
  expect(f, KAD__SCOPE_PUBLIC, 2048, all + 1, 2);
  expect(f, KAD__SCOPE_LOOPBACK, 12, all, 1);
}

static void announces(void **state) {
  fixture *f = *state;
  uint8_t list[256];
  size_t len = 0;
  kad_bytes name = address("/dns/node.example/tcp/4001", 8);
  assert_true(kad__addresses_append(list, sizeof(list), &len, name));
  assert_true(kad__addresses_append(list, sizeof(list), &len, test_hex("04")));
  assert_true(kad__addresses_append(list, sizeof(list), &len, name));
  assert_ok(kad__own_addresses_announce(f->own, kad__bytes(list, len)));
  static const char *const expected[] = {"/dns/node.example/tcp/4001",
                                         "/ip4/9.9.9.9/tcp/9"};
  expect(f, KAD__SCOPE_PUBLIC, 2048, expected, 2);
  f->memory.fail_at = f->memory.calls + 1;
  assert_error(KAD_E_NO_MEMORY,
               kad__own_addresses_announce(f->own, kad__bytes(list, len)));
  expect(f, KAD__SCOPE_PUBLIC, 2048, expected, 2);
  static uint8_t large[KAD__OWN_ADDRESSES_MAX + 1];
  assert_error(KAD_E_LIMIT, kad__own_addresses_announce(
                                f->own, kad__bytes(large, sizeof(large))));
  assert_ok(kad__own_addresses_announce(f->own, kad__bytes(NULL, 0)));
  expect(f, KAD__SCOPE_PUBLIC, 2048, expected + 1, 1);
}

static void needs_memory(void **state) {
  fixture *f = *state;
  kad__own_addresses *own = NULL;
  f->memory.fail_at = f->memory.calls + 1;
  assert_error(KAD_E_NO_MEMORY,
               kad__own_addresses_new(&own, &f->memory.allocator, f->swarm));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(knows_scopes),
      cmocka_unit_test(knows_useless_ones),
      cmocka_unit_test_setup_teardown(gives_by_scope, set_up, tear_down),
      cmocka_unit_test_setup_teardown(announces, set_up, tear_down),
      cmocka_unit_test_setup_teardown(needs_memory, set_up, tear_down),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
