/* Between multiaddrs and what the socket calls want. */
#include <arpa/inet.h>
#include <net/if.h>

#include "kadmium/multiaddr.h"
#include "runtime/address.h"
#include "support.h"

static int to(kad__sockaddr *out, const char *text) {
  uint8_t binary[KAD_MULTIADDR_MAX];
  int len = kad_multiaddr_parse(binary, sizeof(binary), text);
  assert_ok(len);
  return kad__address_to(out, kad__bytes(binary, (size_t)len));
}

static void assert_from(const kad__sockaddr *address, const char *expected) {
  uint8_t binary[KAD__SOCKET_ADDRESS_MAX];
  char text[KAD_MULTIADDR_TEXT_MAX];
  size_t len = kad__address_from(binary, address);
  assert_true(len > 0);
  assert_ok(kad_multiaddr_format(text, sizeof(text), kad__bytes(binary, len)));
  assert_string_equal(text, expected);
}

static void test_ip4(void **state) {
  (void)state;
  kad__sockaddr a;
  assert_ok(to(&a, "/ip4/192.0.2.7/tcp/4001/p2p-circuit"));
  assert_int_equal(a.ip4.sin_family, AF_INET);
  assert_int_equal(ntohl(a.ip4.sin_addr.s_addr), 0xc0000207);
  assert_int_equal(ntohs(a.ip4.sin_port), 4001);
  assert_from(&a, "/ip4/192.0.2.7/tcp/4001");
  assert_false(kad__address_is_wildcard(&a));
  assert_ok(to(&a, "/ip4/0.0.0.0/tcp/0"));
  assert_true(kad__address_is_wildcard(&a));
}

static void test_ip6(void **state) {
  (void)state;
  kad__sockaddr a;
  assert_ok(to(&a, "/ip6/2001:db8::1/tcp/65535"));
  assert_int_equal(a.ip6.sin6_family, AF_INET6);
  assert_int_equal(ntohs(a.ip6.sin6_port), 65535);
  assert_int_equal(a.ip6.sin6_scope_id, 0);
  assert_from(&a, "/ip6/2001:db8::1/tcp/65535");
  assert_ok(to(&a, "/ip6/::/tcp/1"));
  assert_true(kad__address_is_wildcard(&a));
  assert_ok(to(&a, "/ip6/::1/tcp/1"));
  assert_false(kad__address_is_wildcard(&a));
}

/* In a multiaddr the zone stands in front of the address. */
static void test_zone(void **state) {
  (void)state;
  kad__sockaddr a;
  unsigned lo = if_nametoindex("lo");
  assert_true(lo != 0);
  assert_ok(to(&a, "/ip6zone/lo/ip6/fe80::1/tcp/80"));
  assert_int_equal(a.ip6.sin6_scope_id, lo);
  assert_from(&a, "/ip6zone/lo/ip6/fe80::1/tcp/80");
  assert_error(KAD_E_UNSUPPORTED,
               to(&a, "/ip6zone/no-such0/ip6/fe80::1/tcp/80"));
  assert_error(KAD_E_UNSUPPORTED,
               to(&a, "/ip6zone/a-name-that-is-too-long/ip6/fe80::1/tcp/80"));
  assert_error(KAD_E_UNSUPPORTED, to(&a, "/ip6zone/lo/tcp/80"));
  assert_error(KAD_E_UNSUPPORTED, to(&a, "/ip6zone/lo/ip4/127.0.0.1/tcp/80"));
  assert_error(KAD_E_UNSUPPORTED, to(&a, "/ip6zone/lo"));
}

static void test_others(void **state) {
  static const char *const texts[] = {
      "/ip4/192.0.2.7",
      "/ip4/192.0.2.7/udp/4001/quic-v1",
      "/ip6/::1/udp/4001",
      "/ip6/::1",
      "/dns4/example.org/tcp/4001",
      "/tcp/4001",
      "/p2p-circuit",
      "/memory/1",
  };
  (void)state;
  kad__sockaddr a;
  for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
    assert_error(KAD_E_UNSUPPORTED, to(&a, texts[i]));
  }
  assert_error(KAD_E_UNSUPPORTED, kad__address_to(&a, kad__bytes(NULL, 0)));
  uint8_t binary[KAD__SOCKET_ADDRESS_MAX];
  kad__sockaddr local = {.any.sa_family = AF_UNIX};
  assert_int_equal(kad__address_from(binary, &local), 0);
  assert_false(kad__address_is_wildcard(&local));
}

/* Every prefix of a binary address is an error or another address. */
static void test_prefixes(void **state) {
  (void)state;
  uint8_t binary[KAD_MULTIADDR_MAX];
  int len = kad_multiaddr_parse(binary, sizeof(binary),
                                "/ip6zone/lo/ip6/fe80::1/tcp/80");
  assert_ok(len);
  for (size_t i = 0; i < (size_t)len; i++) {
    uint8_t *exact = malloc(i + 1);
    memcpy(exact, binary, i);
    kad__sockaddr a;
    assert_error(KAD_E_UNSUPPORTED, kad__address_to(&a, kad__bytes(exact, i)));
    free(exact);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_ip4),      cmocka_unit_test(test_ip6),
      cmocka_unit_test(test_zone),     cmocka_unit_test(test_others),
      cmocka_unit_test(test_prefixes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
