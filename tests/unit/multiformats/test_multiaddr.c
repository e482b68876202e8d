#include "kadmium/multiaddr.h"
#include "support.h"

#define PEER                                                               \
  "a503260024080112209e3b433cbd31c2b8a6ebbdca998bd0f4c2141c9c9af5422e9760" \
  "51b1e63af14d"
#define SHA "e536c7f88d731f374dccb568aff6f56e838a19382e488039b1ca8ad2599e82fe"
#define TCP "047f000001060fa1"

static kad_bytes parse(uint8_t out[KAD_MULTIADDR_MAX], const char *text) {
  int len = kad_multiaddr_parse(out, KAD_MULTIADDR_MAX, text);
  assert_ok(len);
  return kad__bytes(out, (size_t)len);
}

/* The inputs E-10 of every libp2p's fuzzers, and their relatives. */
static void malformed_bytes(void **state) {
  (void)state;
  static const char *const bad[] = {
      "",
      "04",
      "047f00",
      "06",
      "060f",
      "29000000",
      "368080808008",           /* a dns4 name of 2 GiB */
      "a5038080808008",         /* a p2p of 2 GiB */
      "36ffffffffffffffffff01", /* a length past 63 bits */
      "9f8d06",                 /* an unknown protocol */
      "84007f000001",           /* a padded code */
      "36810061",               /* a padded length */
      "3600",                   /* an empty name */
      "360561622f6364",         /* a slash in a name */
      "3603610062",             /* a NUL in a name */
      "3603611b62",             /* an escape character */
      "36017f",                 /* delete */
      "3602c080",               /* an overlong NUL */
      "3603eda080",             /* a surrogate */
      "3604f4908080",           /* past U+10FFFF */
      "360261c3",               /* half a character */
      "360180",                 /* a continuation of nothing */
      "3602c29b",               /* control sequence introducer */
      "a50300",
      "a503021220",
      "a503221120" SHA,
      "a503231220" SHA "00",
      "d20300",
      "d203211220" SHA,
      "890600000000000000",
      TCP "04",
      TCP "00",
  };
  for (size_t i = 0; i < KAD__COUNT(bad); i++) {
    kad_bytes in = test_hex(bad[i]);
    char text[KAD_MULTIADDR_TEXT_MAX];
    assert_error(KAD_E_MULTIADDR, kad_multiaddr_check(in));
    assert_error(KAD_E_MULTIADDR, kad_multiaddr_format(text, sizeof(text), in));
  }
}

static void text_values_are_text(void **state) {
  (void)state;
  static const char *const good[] = {
      "360161",       "3602c3bc",   "3603e4b8ad", "3604f09f9880",
      "3604f48fbfbf", "3603ee8080", "3602c2a0"};
  for (size_t i = 0; i < KAD__COUNT(good); i++) {
    assert_ok(kad_multiaddr_check(test_hex(good[i])));
  }
}

static void the_longest_name(void **state) {
  (void)state;
  char text[300];
  uint8_t out[KAD_MULTIADDR_MAX];
  memset(text, 'a', sizeof(text));
  memcpy(text, "/dns/", 5);
  text[5 + 253] = '\0';
  kad_bytes address = parse(out, text);
  assert_int_equal(address.len, 1 + 2 + 253);
  text[5 + 253] = 'a';
  text[5 + 254] = '\0';
  assert_error(KAD_E_MULTIADDR, kad_multiaddr_parse(out, sizeof(out), text));
}

static void number_of_parts_is_bounded(void **state) {
  (void)state;
  static char text[10000 * 12 + 1];
  static uint8_t bytes[20000];
  uint8_t out[KAD_MULTIADDR_MAX];
  for (size_t i = 0; i < 10000; i++) {
    memcpy(text + 12 * i, "/p2p-circuit", 12);
    kad__store16(bytes + 2 * i, 0xa202);
  }
  assert_error(KAD_E_MULTIADDR, kad_multiaddr_parse(out, sizeof(out), text));
  assert_error(KAD_E_MULTIADDR,
               kad_multiaddr_check(kad__bytes(bytes, sizeof(bytes))));
  size_t most = KAD_MULTIADDR_PARTS_MAX;
  assert_ok(kad_multiaddr_check(kad__bytes(bytes, 2 * most)));
  assert_error(KAD_E_MULTIADDR,
               kad_multiaddr_check(kad__bytes(bytes, 2 * most + 2)));
  text[12 * most] = '\0';
  assert_int_equal(kad_multiaddr_parse(out, sizeof(out), text), 2 * most);
  text[12 * most] = '/';
  text[12 * most + 12] = '\0';
  assert_error(KAD_E_MULTIADDR, kad_multiaddr_parse(out, sizeof(out), text));
}

static void a_mebibyte_of_text(void **state) {
  (void)state;
  static char text[1 << 20];
  uint8_t out[KAD_MULTIADDR_MAX];
  static const char *const starts[] = {"/dns/", "/p2p/", "/certhash/u", "/x",
                                       "/ip6/", "/tcp/", "/ip4/"};
  for (size_t i = 0; i < KAD__COUNT(starts); i++) {
    memset(text, '1', sizeof(text) - 1);
    memcpy(text, starts[i], strlen(starts[i]));
    assert_error(KAD_E_MULTIADDR, kad_multiaddr_parse(out, sizeof(out), text));
  }
}

/* Parts whose text is longest for their bytes fill the address and still fit
 * into KAD_MULTIADDR_TEXT_MAX. */
static void the_longest_text_fits(void **state) {
  (void)state;
  static const char *const longest[] = {
      "91029999",                           /* /udp/39321 */
      "9802",                               /* /webrtc-direct */
      "04ffffffff",                         /* /ip4/255.255.255.255 */
      "8906ffffffffffffffff",               /* /memory/1844674407... */
      "29fffffffffffffffffffffffffffffffe", /* /ip6/ffff:... */
      "2900000000000000000000ffffffffffff",
      "d20303130100", /* /certhash/... */
      "d203221220" SHA,
      "a503221220" SHA};
  for (size_t i = 0; i < KAD__COUNT(longest); i++) {
    for (size_t j = 0; j < KAD__COUNT(longest); j++) {
      uint8_t bytes[KAD_MULTIADDR_MAX];
      size_t len = 0;
      kad_bytes one = test_hex(longest[i]);
      kad_bytes other = test_hex(longest[j]);
      for (size_t part = 0; part < KAD_MULTIADDR_PARTS_MAX; part++) {
        kad_bytes next = len + one.len <= sizeof(bytes) &&
                                 (part % 2 == 0 || other.len > one.len)
                             ? one
                             : other;
        if (len + next.len > sizeof(bytes)) {
          break;
        }
        memcpy(bytes + len, next.data, next.len);
        len += next.len;
      }
      char text[KAD_MULTIADDR_TEXT_MAX];
      assert_ok(kad_multiaddr_check(kad__bytes(bytes, len)));
      assert_ok(
          kad_multiaddr_format(text, sizeof(text), kad__bytes(bytes, len)));
    }
  }
}

static void parts_come_off_the_front(void **state) {
  (void)state;
  kad_bytes rest = test_hex(TCP PEER);
  kad_multiaddr_part part;
  assert_int_equal(kad_multiaddr_next(&rest, &part), 1);
  assert_int_equal(part.protocol, KAD_MULTIADDR_IP4);
  assert_bytes_equal(part.value, test_hex("7f000001"));
  assert_int_equal(kad_multiaddr_next(&rest, &part), 1);
  assert_int_equal(part.protocol, KAD_MULTIADDR_TCP);
  assert_int_equal(kad__load16(part.value.data), 4001);
  assert_int_equal(kad_multiaddr_next(&rest, &part), 1);
  assert_int_equal(part.protocol, KAD_MULTIADDR_P2P);
  assert_int_equal(part.value.len, 38);
  assert_int_equal(kad_multiaddr_next(&rest, &part), 0);
  rest = test_hex("060f");
  kad_bytes before = rest;
  assert_error(KAD_E_MULTIADDR, kad_multiaddr_next(&rest, &part));
  assert_ptr_equal(rest.data, before.data);
  assert_int_equal(rest.len, before.len);
}

static void the_last_one_is_found(void **state) {
  (void)state;
  uint8_t out[KAD_MULTIADDR_MAX];
  kad_bytes address = parse(
      out,
      "/ip4/1.2.3.4/tcp/4001/p2p/QmQCU2EcMqAqQPR2i9bChDtGNJchTbq5TbXJJ16u19uL"
      "Ta/p2p-circuit/p2p/"
      "12D3KooWLU2znyJMtDiHArqAGbZn8CgUGp92kxDBtefftEEaHSZS");
  kad_multiaddr_part part;
  kad_bytes prefix;
  assert_true(kad_multiaddr_find(address, KAD_MULTIADDR_P2P, &part, &prefix));
  assert_int_equal(part.value.len, 38);
  assert_int_equal(prefix.len, address.len - 41);
  assert_true(kad_multiaddr_find(prefix, KAD_MULTIADDR_P2P, &part, NULL));
  assert_int_equal(part.value.len, 34);
  assert_true(kad_multiaddr_find(address, KAD_MULTIADDR_IP4, &part, &prefix));
  assert_int_equal(prefix.len, 0);
  assert_false(kad_multiaddr_find(address, KAD_MULTIADDR_UDP, &part, &prefix));
  assert_false(
      kad_multiaddr_find(kad__bytes(NULL, 0), KAD_MULTIADDR_TCP, &part, NULL));
}

static void every_capacity(void **state) {
  (void)state;
  static const char text[] =
      "/ip6zone/eth0/ip6/fe80::1/udp/4001/quic-v1/webtransport/certhash/"
      "uEiDlNsf4jXMfN03MtWiv9vVug4oZOC5IgDmxyorSWZ6C_g/memory/5";
  uint8_t whole[KAD_MULTIADDR_MAX];
  kad_bytes address = parse(whole, text);
  for (size_t cap = 0; cap <= address.len; cap++) {
    uint8_t *out = malloc(cap == 0 ? 1 : cap);
    int len = kad_multiaddr_parse(out, cap, text);
    assert_int_equal(
        len, cap < address.len ? KAD_E_BUFFER_TOO_SMALL : (int)address.len);
    free(out);
  }
  for (size_t cap = 0; cap <= sizeof(text); cap++) {
    char *out = malloc(cap == 0 ? 1 : cap);
    int len = kad_multiaddr_format(out, cap, address);
    assert_int_equal(len, cap < sizeof(text) ? KAD_E_BUFFER_TOO_SMALL
                                             : (int)sizeof(text) - 1);
    free(out);
  }
}

static void too_long_for_an_address(void **state) {
  (void)state;
  char text[2048] = "";
  for (int i = 0; i < 3; i++) {
    strcat(text, "/dns/");
    size_t len = strlen(text);
    memset(text + len, 'a', 250);
    text[len + 250] = '\0';
  }
  uint8_t out[2048];
  assert_error(KAD_E_BUFFER_TOO_SMALL,
               kad_multiaddr_parse(out, sizeof(out), text));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(malformed_bytes),
      cmocka_unit_test(text_values_are_text),
      cmocka_unit_test(the_longest_name),
      cmocka_unit_test(number_of_parts_is_bounded),
      cmocka_unit_test(a_mebibyte_of_text),
      cmocka_unit_test(the_longest_text_fits),
      cmocka_unit_test(parts_come_off_the_front),
      cmocka_unit_test(the_last_one_is_found),
      cmocka_unit_test(every_capacity),
      cmocka_unit_test(too_long_for_an_address),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
