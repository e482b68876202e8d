/* What is blocked, in each form; its text; and without memory. */
#include "kadmium/gater.h"
#include "kadmium/key.h"
#include "kadmium/multiaddr.h"
#include "support.h"

static test_allocator memory;
static kad_blocklist *list;

static int setup(void **state) {
  (void)state;
  test_allocator_init(&memory);
  assert_ok(kad_blocklist_new(&list, &memory.allocator));
  return 0;
}

static int teardown(void **state) {
  (void)state;
  kad_blocklist_free(list);
  assert_int_equal(memory.live, 0);
  return 0;
}

static kad_peer_id peer(unsigned n) {
  kad_random random;
  kad_key_pair *pair = NULL;
  kad_random_init_u64(&random, n);
  assert_ok(kad_key_pair_generate(&pair, kad_allocator_default(), &random));
  kad_peer_id id = *kad_key_pair_peer_id(pair);
  kad_key_pair_free(pair);
  return id;
}

static bool blocked(const char *text) {
  uint8_t binary[KAD_MULTIADDR_MAX];
  int len = kad_multiaddr_parse(binary, sizeof(binary), text);
  assert_true(len > 0);
  return kad_blocklist_has_address(list, kad__bytes(binary, (size_t)len));
}

static void test_peers(void **state) {
  (void)state;
  kad_peer_id ids[20];
  for (unsigned i = 0; i < 20; i++) {
    ids[i] = peer(i);
    assert_false(kad_blocklist_has_peer(list, &ids[i]));
    assert_ok(kad_blocklist_add_peer(list, &ids[i]));
    assert_ok(kad_blocklist_add_peer(list, &ids[i]));
  }
  assert_int_equal(kad_blocklist_count(list), 20);
  for (unsigned i = 0; i < 20; i += 2) {
    assert_true(kad_blocklist_remove_peer(list, &ids[i]));
    assert_false(kad_blocklist_remove_peer(list, &ids[i]));
  }
  for (unsigned i = 0; i < 20; i++) {
    assert_int_equal(kad_blocklist_has_peer(list, &ids[i]), i % 2);
  }
}

static void test_subnets(void **state) {
  (void)state;
  assert_ok(kad_blocklist_add_subnet(list, "192.0.2.77"));
  assert_ok(kad_blocklist_add_subnet(list, "10.1.2.3/8"));
  assert_ok(kad_blocklist_add_subnet(list, "203.0.113.128/25"));
  assert_ok(kad_blocklist_add_subnet(list, "2001:db8::/33"));
  assert_ok(kad_blocklist_add_subnet(list, "2001:db8::/33"));
  assert_int_equal(kad_blocklist_count(list), 4);
  assert_true(blocked("/ip4/192.0.2.77/tcp/1"));
  assert_false(blocked("/ip4/192.0.2.76/tcp/1"));
  assert_true(blocked("/ip4/10.255.0.1/udp/4001/quic-v1"));
  assert_false(blocked("/ip4/11.0.0.1/tcp/1"));
  assert_true(blocked("/ip4/203.0.113.128/tcp/1"));
  assert_false(blocked("/ip4/203.0.113.127/tcp/1"));
  assert_true(blocked("/ip6/2001:db8:7fff::1/tcp/1"));
  assert_false(blocked("/ip6/2001:db8:8000::1/tcp/1"));
  /* The same address in the clothes of IPv6; behind a zone. */
  assert_true(blocked("/ip6/::ffff:10.0.0.1/tcp/1"));
  assert_true(blocked("/ip6zone/eth0/ip6/2001:db8::1/tcp/1"));
  assert_false(blocked("/dns/example.org/tcp/1"));
  assert_true(kad_blocklist_remove_subnet(list, "10.0.0.0/8"));
  assert_false(kad_blocklist_remove_subnet(list, "10.0.0.0/8"));
  assert_false(blocked("/ip4/10.255.0.1/tcp/1"));
  assert_ok(kad_blocklist_add_subnet(list, "0.0.0.0/0"));
  assert_true(blocked("/ip4/8.8.8.8/tcp/1"));
  assert_false(blocked("/ip6/2001:4860::1/tcp/1"));
  assert_ok(kad_blocklist_add_subnet(list, "::/0"));
  assert_true(blocked("/ip6/2001:4860::1/tcp/1"));
}

static void test_malformed_subnets(void **state) {
  (void)state;
  static const char *const bad[] = {
      "",           "10.0.0",      "10.0.0.0/33",    "10.0.0.0/",
      "10.0.0.0/x", "10.0.0.0/-1", "::/129",         "10.0.0.0/8/8",
      "/8",         "example.org", "10.0.0.0/0008",  "10.0.0.1 ",
      "1::2::3",    "10.0.0.0.0",  "10.0.0.1/tcp/1", "2001:db8::/3 2"};
  for (size_t i = 0; i < KAD__COUNT(bad); i++) {
    if (kad_blocklist_add_subnet(list, bad[i]) != KAD_E_INVALID_ARGUMENT ||
        kad_blocklist_remove_subnet(list, bad[i])) {
      fail_msg("taken: \"%s\"", bad[i]);
    }
  }
  assert_int_equal(kad_blocklist_count(list), 0);
}

static void test_gater(void **state) {
  (void)state;
  kad_peer_id good = peer(1);
  kad_peer_id bad = peer(2);
  uint8_t binary[KAD_MULTIADDR_MAX];
  int len = kad_multiaddr_parse(binary, sizeof(binary), "/ip4/10.0.0.1/tcp/1");
  kad_bytes address = kad__bytes(binary, (size_t)len);
  kad_gater gater = kad_blocklist_gater(list);
  assert_ok(kad_blocklist_add_peer(list, &bad));
  assert_true(gater.dial_peer(gater.user, &good));
  assert_false(gater.dial_peer(gater.user, &bad));
  assert_true(gater.secured(gater.user, true, &good, address));
  assert_false(gater.secured(gater.user, false, &bad, address));
  assert_true(gater.dial_address(gater.user, NULL, address));
  assert_true(gater.accept(gater.user, address, address));
  assert_ok(kad_blocklist_add_subnet(list, "10.0.0.0/24"));
  assert_false(gater.dial_address(gater.user, &good, address));
  assert_false(gater.accept(gater.user, kad__bytes(NULL, 0), address));
  assert_true(gater.accept(gater.user, address, kad__bytes(NULL, 0)));
}

static void test_text(void **state) {
  (void)state;
  char text[512];
  char again[512];
  kad_peer_id id = peer(7);
  char name[KAD_PEER_ID_TEXT_MAX];
  char expected[512];
  assert_true(kad_peer_id_format(name, sizeof(name), &id) > 0);
  assert_ok(kad_blocklist_add_peer(list, &id));
  assert_ok(kad_blocklist_add_subnet(list, "2001:db8::1/32"));
  assert_ok(kad_blocklist_add_subnet(list, "192.0.2.7"));
  assert_ok(kad_blocklist_add_subnet(list, "10.0.0.0/8"));
  (void)snprintf(expected, sizeof(expected),
                 "peer %s\nsubnet 2001:db8::/32\nsubnet 10.0.0.0/8\n"
                 "subnet 192.0.2.7/32\n",
                 name);
  size_t len = kad_blocklist_save(list, text, sizeof(text));
  assert_bytes_equal(kad__bytes(text, len), kad__bytes_of(expected));
  assert_int_equal(kad_blocklist_save(list, again, len - 1), len);
  kad_blocklist *other = NULL;
  assert_ok(kad_blocklist_new(&other, NULL));
  assert_ok(kad_blocklist_load(other, "# a comment\n\r\n\n", 15));
  assert_ok(kad_blocklist_load(other, text, len - 1));
  assert_int_equal(kad_blocklist_save(other, again, sizeof(again)), len);
  assert_memory_equal(text, again, len);
  static const char *const bad[] = {
      "peer x\n", "subnet 10.0.0.0/99", "pear", "peer", "subnet", " "};
  for (size_t i = 0; i < KAD__COUNT(bad); i++) {
    assert_error(KAD_E_INVALID_ARGUMENT,
                 kad_blocklist_load(other, bad[i], strlen(bad[i])));
  }
  assert_int_equal(kad_blocklist_count(other), 4);
  kad_blocklist_free(other);
}

static void test_without_memory(void **state) {
  (void)state;
  kad_peer_id id = peer(1);
  memory.fail_at = memory.calls + 1;
  assert_error(KAD_E_NO_MEMORY, kad_blocklist_add_peer(list, &id));
  memory.fail_at = memory.calls + 1;
  assert_error(KAD_E_NO_MEMORY, kad_blocklist_add_subnet(list, "10.0.0.0/8"));
  memory.fail_at = memory.calls + 1;
  kad_blocklist *other = NULL;
  assert_error(KAD_E_NO_MEMORY, kad_blocklist_new(&other, &memory.allocator));
  memory.fail_at = 0;
  assert_int_equal(kad_blocklist_count(list), 0);
  kad_blocklist_free(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(test_peers), TEST(test_subnets), TEST(test_malformed_subnets),
      TEST(test_gater), TEST(test_text),    TEST(test_without_memory)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
