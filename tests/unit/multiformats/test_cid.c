#include "kadmium/multiformats.h"
#include "support.h"

#define SHA "e536c7f88d731f374dccb568aff6f56e838a19382e488039b1ca8ad2599e82fe"

static void multihashes(void **state) {
  (void)state;
  kad_multihash hash;
  assert_ok(kad_multihash_decode(&hash, test_hex("1220" SHA)));
  assert_int_equal(hash.code, KAD_MULTIHASH_SHA2_256);
  assert_bytes_equal(hash.digest, test_hex(SHA));
  assert_ok(kad_multihash_decode(&hash, test_hex("0000")));
  assert_int_equal(hash.code, KAD_MULTIHASH_IDENTITY);
  assert_int_equal(hash.digest.len, 0);
  assert_ok(kad_multihash_decode(&hash, test_hex("c0e40203aabbcc")));
  assert_int_equal(hash.code, 0xb240);
  static uint8_t longest[3 + 128] = {0x13, 0x80, 0x01};
  assert_ok(kad_multihash_decode(&hash, kad__bytes(longest, sizeof(longest))));
  assert_int_equal(hash.digest.len, 128);
}

static void malformed_multihashes(void **state) {
  (void)state;
  static const char *const bad[] = {"",
                                    "12",
                                    "1220",
                                    "122000",
                                    "1220" SHA "00",
                                    "120002",
                                    "920020" SHA,
                                    "ffffffffffffffffff0100",
                                    "12ffffffffffffffffff01",
                                    "1280808080808008",
                                    "8080",
                                    ("12a000" SHA)};
  kad_multihash hash = {.code = 99};
  for (size_t i = 0; i < KAD__COUNT(bad); i++) {
    assert_error(KAD_E_MULTIHASH,
                 kad_multihash_decode(&hash, test_hex(bad[i])));
  }
  static uint8_t too_long[3 + 129] = {0x13, 0x81, 0x01};
  assert_error(
      KAD_E_MULTIHASH,
      kad_multihash_decode(&hash, kad__bytes(too_long, sizeof(too_long))));
  assert_int_equal(hash.code, 99);
}

static void binary_cids(void **state) {
  (void)state;
  kad_cid cid;
  assert_ok(kad_cid_decode(&cid, test_hex("1220" SHA)));
  assert_int_equal(cid.version, 0);
  assert_int_equal(cid.codec, KAD_CODEC_DAG_PB);
  assert_bytes_equal(cid.multihash, test_hex("1220" SHA));
  assert_ok(kad_cid_decode(&cid, test_hex("01551220" SHA)));
  assert_int_equal(cid.version, 1);
  assert_int_equal(cid.codec, KAD_CODEC_RAW);
  assert_bytes_equal(cid.multihash, test_hex("1220" SHA));
}

static void malformed_binary_cids(void **state) {
  (void)state;
  static const char *const bad[] = {"",
                                    "01",
                                    "0155",
                                    "015512",
                                    "00551220" SHA,
                                    "02551220" SHA,
                                    "03551220" SHA,
                                    "81001220" SHA,
                                    "01551220" SHA "00",
                                    "1220" SHA "00",
                                    "1120" SHA,
                                    "01ffffffffffffffffff011220" SHA};
  kad_cid cid;
  for (size_t i = 0; i < KAD__COUNT(bad); i++) {
    assert_error(KAD_E_CID, kad_cid_decode(&cid, test_hex(bad[i])));
  }
}

static void malformed_text(void **state) {
  (void)state;
  static const char *const bad[] = {
      "", "Q", "Qm", "QmdmQXB2mzChmMeKY47C43LxUdg1NDJ5MWcKMKxDu7RgQ",
      "QmdmQXB2mzChmMeKY47C43LxUdg1NDJ5MWcKMKxDu7RgQmm",
      "QmdmQXB2mzChmMeKY47C43LxUdg1NDJ5MWcKMKxDu7Rg0m",
      "qafybeihfg3d7rdltd43u3tfvncx7n5loqofbsobojcadtmokrljfthuc7y",
      "bafybeihfg3d7rdltd43u3tfvncx7n5loqofbsobojcadtmokrljfthuc7",
      "bafybeihfg3d7rdltd43u3tfvncx7n5loqofbsobojcadtmokrljfthuc7z",
      "bafybeihfg3d7rdltd43u3tfvncx7n5loqofbsobojcadtmokrljfthuc7yaaaaaaaa",
      "bafybeihfg3d7rdltd43u3tfvncx7n5loqofbsobojcadtmokrljfthuc7 y",
      /* version 0 in a multibase, which has no such text */
      "zQmdmQXB2mzChmMeKY47C43LxUdg1NDJ5MWcKMKxDu7RgQm", ("f1220" SHA), "b",
      "f"};
  uint8_t storage[KAD_CID_MAX];
  kad_cid cid;
  for (size_t i = 0; i < KAD__COUNT(bad); i++) {
    assert_error(KAD_E_CID, kad_cid_parse(&cid, storage, bad[i]));
  }
  static char endless[1 << 20];
  memset(endless, 'b', sizeof(endless) - 1);
  assert_error(KAD_E_CID, kad_cid_parse(&cid, storage, endless));
}

static void formatting_refuses_what_cannot_be_read(void **state) {
  (void)state;
  char text[512];
  kad_bytes hash = test_hex("1220" SHA);
  kad_cid cid = {.version = 2, .codec = 1, .multihash = hash};
  assert_error(KAD_E_CID, kad_cid_format(text, sizeof(text), &cid, KAD_BASE32));
  cid = (kad_cid){.version = 0, .multihash = test_hex("1120" SHA)};
  assert_error(KAD_E_CID, kad_cid_format(text, sizeof(text), &cid, KAD_BASE32));
  cid = (kad_cid){.version = 1, .codec = UINT64_MAX, .multihash = hash};
  assert_error(KAD_E_CID, kad_cid_format(text, sizeof(text), &cid, KAD_BASE32));
  static uint8_t large[300];
  cid = (kad_cid){.version = 1, .multihash = kad__bytes(large, sizeof(large))};
  assert_error(KAD_E_CID, kad_cid_format(text, sizeof(text), &cid, KAD_BASE32));
  cid = (kad_cid){.version = 1, .codec = 1, .multihash = hash};
  assert_error(KAD_E_INVALID_ARGUMENT,
               kad_cid_format(text, sizeof(text), &cid, (kad_base)'x'));
  assert_error(KAD_E_BUFFER_TOO_SMALL,
               kad_cid_format(text, 59, &cid, KAD_BASE32));
  assert_int_equal(kad_cid_format(text, 60, &cid, KAD_BASE32), 59);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(multihashes),
      cmocka_unit_test(malformed_multihashes),
      cmocka_unit_test(binary_cids),
      cmocka_unit_test(malformed_binary_cids),
      cmocka_unit_test(malformed_text),
      cmocka_unit_test(formatting_refuses_what_cannot_be_read),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
