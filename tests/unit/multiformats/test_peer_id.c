#include "kadmium/multiformats.h"
#include "kadmium/peer_id.h"
#include "support.h"

#define ED25519                                                             \
  "0024080112209e3b433cbd31c2b8a6ebbdca998bd0f4c2141c9c9af5422e976051b1e63" \
  "af14d"
#define SHA "e536c7f88d731f374dccb568aff6f56e838a19382e488039b1ca8ad2599e82fe"

static void only_names_of_keys_are_taken(void **state) {
  (void)state;
  static const char *const bad[] = {
      "",
      "12",
      "1220",
      "1220" SHA "00",
      "121f" SHA,
      "1120" SHA,      /* another hash */
      "1221" SHA "00", /* SHA-256 of 33 bytes */
      "121f00000000000000000000000000000000000000000000000000000000000000",
      "002b" SHA "0000000000000000000000", /* identity of 43 */
      "800000",
      "920020" SHA,
      "00a400080112209e3b433cbd31c2b8a6ebbdca998bd0f4c2141c9c9af5422e97"
      "6051b1e63af14d"};
  kad_peer_id id = {.len = 99};
  for (size_t i = 0; i < KAD__COUNT(bad); i++) {
    assert_error(KAD_E_PEER_ID, kad_peer_id_decode(&id, test_hex(bad[i])));
    assert_int_equal(id.len, 99);
  }
  static uint8_t endless[10000] = {0x00, 0x24};
  assert_error(KAD_E_PEER_ID,
               kad_peer_id_decode(&id, kad__bytes(endless, sizeof(endless))));
}

static void the_longest_identity(void **state) {
  (void)state;
  uint8_t bytes[KAD_PEER_ID_MAX] = {0x00, 42};
  memset(bytes + 2, 0xff, 42);
  kad_peer_id id, again;
  assert_ok(kad_peer_id_decode(&id, kad__bytes(bytes, sizeof(bytes))));
  char text[KAD_PEER_ID_TEXT_MAX];
  assert_ok(kad_peer_id_format(text, sizeof(text), &id));
  assert_ok(kad_peer_id_parse(&again, text));
  assert_true(kad_peer_id_equal(&id, &again));
  assert_ok(kad_peer_id_format_cid(text, sizeof(text), &id));
  assert_ok(kad_peer_id_parse(&again, text));
  assert_true(kad_peer_id_equal(&id, &again));
  /* The longest text there is has to fit, too. */
  kad_cid cid = {.version = 1,
                 .codec = KAD_CODEC_LIBP2P_KEY,
                 .multihash = kad_peer_id_bytes(&id)};
  assert_ok(kad_cid_format(text, sizeof(text), &cid, KAD_BASE16));
  assert_ok(kad_peer_id_parse(&again, text));
  assert_true(kad_peer_id_equal(&id, &again));
}

static void unused_bytes_are_zero(void **state) {
  (void)state;
  kad_peer_id a, b;
  memset(&a, 0xff, sizeof(a));
  memset(&b, 0x11, sizeof(b));
  assert_ok(kad_peer_id_decode(&a, test_hex(ED25519)));
  assert_ok(kad_peer_id_decode(&b, test_hex(ED25519)));
  assert_memory_equal(&a, &b, sizeof(a));
  assert_true(kad_peer_id_equal(&a, &b));
  assert_ok(kad_peer_id_decode(&b, test_hex("1220" SHA)));
  assert_false(kad_peer_id_equal(&a, &b));
  b = a;
  b.bytes[b.len - 1] ^= 1;
  assert_false(kad_peer_id_equal(&a, &b));
}

static void malformed_text(void **state) {
  (void)state;
  static const char *const bad[] = {
      "", "1", "12D3KooWLU2znyJMtDiHArqAGbZn8CgUGp92kxDBtefftEEaHSZ",
      "12D3KooWLU2znyJMtDiHArqAGbZn8CgUGp92kxDBtefftEEaHSZSS",
      "12D3KooWLU2znyJMtDiHArqAGbZn8CgUGp92kxDBtefftEEaHSZ0",
      "12D3KooWLU2znyJMtDiHArqAGbZn8CgUGp92kxDBtefftEEaHSZS ",
      " 12D3KooWLU2znyJMtDiHArqAGbZn8CgUGp92kxDBtefftEEaHSZS", "Qm",
      "QmdmQXB2mzChmMeKY47C43LxUdg1NDJ5MWcKMKxDu7RgQ",
      /* CIDs of content */
      "bafybeihfg3d7rdltd43u3tfvncx7n5loqofbsobojcadtmokrljfthuc7y",
      "bafkreihfg3d7rdltd43u3tfvncx7n5loqofbsobojcadtmokrljfthuc7y",
      /* base58 of something else */
      "5Ks", "zzz"};
  kad_peer_id id;
  for (size_t i = 0; i < KAD__COUNT(bad); i++) {
    assert_error(KAD_E_PEER_ID, kad_peer_id_parse(&id, bad[i]));
  }
  static char endless[1 << 20];
  memset(endless, '1', sizeof(endless) - 1);
  assert_error(KAD_E_PEER_ID, kad_peer_id_parse(&id, endless));
}

static void small_buffers(void **state) {
  (void)state;
  kad_peer_id id;
  char text[64];
  assert_ok(kad_peer_id_decode(&id, test_hex(ED25519)));
  assert_error(KAD_E_BUFFER_TOO_SMALL, kad_peer_id_format(text, 52, &id));
  assert_int_equal(kad_peer_id_format(text, 53, &id), 52);
  assert_error(KAD_E_BUFFER_TOO_SMALL, kad_peer_id_format_cid(text, 62, &id));
  assert_int_equal(kad_peer_id_format_cid(text, 63, &id), 62);
}

static void test_order(void **state) {
  (void)state;
  const kad_peer_id ids[] = {{.len = 3, .bytes = {0, 1, 9}},
                             {.len = 4, .bytes = {0, 2, 1, 1}},
                             {.len = 4, .bytes = {0, 2, 1, 2}},
                             {.len = 4, .bytes = {0, 2, 200, 0}}};
  for (int i = 0; i < 4; i++) {
    for (int j = 0; j < 4; j++) {
      int order = kad_peer_id_compare(&ids[i], &ids[j]);
      assert_int_equal((order > 0) - (order < 0), (i > j) - (i < j));
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_order),
      cmocka_unit_test(only_names_of_keys_are_taken),
      cmocka_unit_test(the_longest_identity),
      cmocka_unit_test(unused_bytes_are_zero),
      cmocka_unit_test(malformed_text),
      cmocka_unit_test(small_buffers),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
