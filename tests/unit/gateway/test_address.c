/* Addresses as multiaddr and as text, there and back, and what is refused. */
#include "gateway/udp_address.h"
#include "kadmium/multiaddr.h"
#include "support.h"

static kad_bytes multiaddr(const char *text) {
  static uint8_t out[KAD_MULTIADDR_MAX];
  int len = kad_multiaddr_parse(out, sizeof out, text);
  assert_ok(len);
  return kad__bytes(out, (size_t)len);
}

static void test_there_and_back(void **state) {
  static const char *const pairs[][2] = {
      {"/ip4/192.0.2.7/udp/8080", "192.0.2.7:8080"},
      {"/ip4/127.0.0.1/udp/1", "127.0.0.1:1"},
      {"/ip6/2001:db8::1/udp/65535", "[2001:db8::1]:65535"},
      {"/ip6/::1/udp/9", "[::1]:9"},
      {"/ip6/2001:db8:1111:2222:3333:4444:5555:6666/udp/65535",
       "[2001:db8:1111:2222:3333:4444:5555:6666]:65535"},
  };
  (void)state;
  for (size_t i = 0; i < KAD__COUNT(pairs); i++) {
    kad__udp_address a = {0};
    kad__udp_address b = {0};
    char text[KAD__UDP_TEXT_MAX];
    assert_true(kad__udp_address_load(&a, multiaddr(pairs[i][0])));
    assert_bytes_equal(kad__udp_address_bytes(&a), multiaddr(pairs[i][0]));
    assert_int_equal(kad__udp_address_format(text, &a), strlen(pairs[i][1]));
    assert_string_equal(text, pairs[i][1]);
    assert_true(kad__udp_address_parse(&b, kad__bytes_of(pairs[i][1])));
    assert_bytes_equal(kad__udp_address_bytes(&b), kad__udp_address_bytes(&a));
  }
}

static void test_one_form(void **state) {
  kad__udp_address a;
  kad__udp_address b;
  (void)state;
  assert_true(kad__udp_address_parse(&a, kad__bytes_of("[::ffff:1.2.3.4]:5")));
  assert_true(kad__udp_address_parse(&b, kad__bytes_of("1.2.3.4:5")));
  assert_bytes_equal(kad__udp_address_bytes(&a), kad__udp_address_bytes(&b));
}

static void test_bad_text(void **state) {
  static const char *const bad[] = {
      "",
      ":",
      "1.2.3.4",
      "1.2.3.4:",
      "1.2.3.4:0",
      "1.2.3.4:65536",
      "1.2.3.4:080",
      "1.2.3.4:+8",
      "1.2.3.4:8 ",
      " 1.2.3.4:8",
      "1.2.3:8",
      "localhost:8080",
      "::1:8080",
      "[::1:8080",
      "[]:8080",
      "[1.2.3.4]:8080",
      "[fe80::1%eth0]:8080",
      "0.0.0.0:8080",
      "0.1.2.3:8080",
      "255.255.255.255:8080",
      "224.0.0.1:8080",
      "[::]:8080",
      "[ff02::1]:8080",
      "[::ffff:0.0.0.0]:80",
      "1.2.3.4:8080:8080",
      "[2001:db8:1111:2222:3333:4444:5555:6666:7777:8888]:655355",
  };
  (void)state;
  for (size_t i = 0; i < KAD__COUNT(bad); i++) {
    kad__udp_address a = {0};
    assert_false(kad__udp_address_parse(&a, kad__bytes_of(bad[i])));
    assert_int_equal(a.len, 0);
  }
}

static void test_bad_multiaddrs(void **state) {
  static const char *const bad[] = {
      "/ip4/1.2.3.4",          "/ip4/1.2.3.4/tcp/8080",
      "/dns/example/udp/8080", "/ip4/1.2.3.4/udp/8080/quic-v1",
      "/ip4/0.0.0.0/udp/8080", "/ip4/1.2.3.4/udp/0",
      "/ip6/::/udp/8080",      "/udp/8080",
  };
  (void)state;
  for (size_t i = 0; i < KAD__COUNT(bad); i++) {
    kad__udp_address a = {0};
    assert_false(kad__udp_address_load(&a, multiaddr(bad[i])));
    assert_int_equal(a.len, 0);
  }
  kad__udp_address a;
  assert_false(kad__udp_address_load(&a, kad__bytes(NULL, 0)));
  kad_bytes good = multiaddr("/ip4/1.2.3.4/udp/8080");
  for (size_t len = 0; len < good.len; len++) {
    assert_false(kad__udp_address_load(&a, kad__bytes(good.data, len)));
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_there_and_back),
      cmocka_unit_test(test_one_form),
      cmocka_unit_test(test_bad_text),
      cmocka_unit_test(test_bad_multiaddrs),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
