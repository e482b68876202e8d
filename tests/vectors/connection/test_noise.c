/* Noise_XX_25519_ChaChaPoly_SHA256 against the vectors of
 * github.com/flynn/noise (vectors.txt), all four of that name; the keys of the
 * first were derived from it with an independent implementation. */
#include "connection/noise.h"
#include "support.h"

#define HANDSHAKE_MESSAGES 3
#define MESSAGES 5

typedef struct vector {
  const char *prologue;
  const char *payloads[MESSAGES];
  const char *messages[MESSAGES];
} vector;

static const char init_static[] =
    "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
static const char resp_static[] =
    "0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20";
static const char init_ephemeral[] =
    "202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f";
static const char resp_ephemeral[] =
    "4142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f60";

static const vector vectors[] = {
    {.prologue = "",
     .payloads = {"", "", "", "79656c6c6f777375626d6172696e65",
                  "7375626d6172696e6579656c6c6f77"},
     .messages =
         {"358072d6365880d1aeea329adf9121383851ed21a28e3b75e965d0d2cd166254",
          "64b101b1d0be5a8704bd078f9895001fc03e8e9f9522f188dd128d9846d48466"
          "3414af878d3e46a2f58911a816d6e8346d4ea17a6f2a0bb4ef4ed56c133cff45"
          "60a34e36ea82109f26cf2e5a5caf992b608d55c747f615e5a3425a7a19eefb8f",
          "87f864c11ba449f46a0a4f4e2eacbb7b0457784f4fca1937f572c93603e9c4d9"
          "7e5ea11b16f3968710b23a3be3202dc1b5e1ce3c963347491e74f5c0768a9b42",
          "a52ef02ba60e12696d1d6b9ef4245c88fca757b6134ad6e76b56e310a6adf6",
          "2445aa438ebd649281c636cc7269ca82f1d9023d72520943aeabf909cdf521"}},
    {.prologue = "",
     .payloads = {"746573745f6d73675f30", "746573745f6d73675f31",
                  "746573745f6d73675f32", "79656c6c6f777375626d6172696e65",
                  "7375626d6172696e6579656c6c6f77"},
     .messages =
         {"358072d6365880d1aeea329adf9121383851ed21a28e3b75e965d0d2cd166254"
          "746573745f6d73675f30",
          "64b101b1d0be5a8704bd078f9895001fc03e8e9f9522f188dd128d9846d48466"
          "3414af878d3e46a2f58911a816d6e8346d4ea17a6f2a0bb4ef4ed56c133cff45"
          "72e7a2ba5123ac30618b3d205f5c2d17f50cbca216483ac56bcc78e33bf52030"
          "3278db641e5e731b2e3a",
          "87f864c11ba449f46a0a4f4e2eacbb7b0457784f4fca1937f572c93603e9c4d9"
          "f27e318e43ba630594c4d08eeb3b36d97c7377a2f4f9144b2f0c8095ad921405"
          "05b2ab53eff244b14138",
          "a52ef02ba60e12696d1d6b9ef4245c88fca757b6134ad6e76b56e310a6adf6",
          "2445aa438ebd649281c636cc7269ca82f1d9023d72520943aeabf909cdf521"}},
    {.prologue = "6e6f74736563726574",
     .payloads = {"", "", "", "79656c6c6f777375626d6172696e65",
                  "7375626d6172696e6579656c6c6f77"},
     .messages =
         {"358072d6365880d1aeea329adf9121383851ed21a28e3b75e965d0d2cd166254",
          "64b101b1d0be5a8704bd078f9895001fc03e8e9f9522f188dd128d9846d48466"
          "3414af878d3e46a2f58911a816d6e8346d4ea17a6f2a0bb4ef4ed56c133cff45"
          "88f043d1e49a3289b1beeab8f96b0551a48cddf9f38b1a12e46c6908644198f3",
          "87f864c11ba449f46a0a4f4e2eacbb7b0457784f4fca1937f572c93603e9c4d9"
          "5a04fa1f1c41fb3f00d496f242c1e44ce5b749b3d54bf74cea2dad086d601fb6",
          "a52ef02ba60e12696d1d6b9ef4245c88fca757b6134ad6e76b56e310a6adf6",
          "2445aa438ebd649281c636cc7269ca82f1d9023d72520943aeabf909cdf521"}},
    {.prologue = "6e6f74736563726574",
     .payloads = {"746573745f6d73675f30", "746573745f6d73675f31",
                  "746573745f6d73675f32", "79656c6c6f777375626d6172696e65",
                  "7375626d6172696e6579656c6c6f77"},
     .messages =
         {"358072d6365880d1aeea329adf9121383851ed21a28e3b75e965d0d2cd166254"
          "746573745f6d73675f30",
          "64b101b1d0be5a8704bd078f9895001fc03e8e9f9522f188dd128d9846d48466"
          "3414af878d3e46a2f58911a816d6e8346d4ea17a6f2a0bb4ef4ed56c133cff45"
          "45958c588d17d6373e0c1dcfa3755d37f50cbca216483ac56bcc98f5095870aa"
          "814ba40c08079c11f087",
          "87f864c11ba449f46a0a4f4e2eacbb7b0457784f4fca1937f572c93603e9c4d9"
          "c1e9a1a313d02b78871cfd178a521a4c7c7377a2f4f9144b2f0ccedc84d37915"
          "1b466741e4b266db6023",
          "a52ef02ba60e12696d1d6b9ef4245c88fca757b6134ad6e76b56e310a6adf6",
          "2445aa438ebd649281c636cc7269ca82f1d9023d72520943aeabf909cdf521"}},
};

typedef struct side {
  kad__x25519 key;
  kad__noise *noise;
  kad__noise_cipher send;
  kad__noise_cipher receive;
} side;

/* The initiator is sides[0], the responder sides[1]. */
typedef struct world {
  kad__noise_suite suite;
  side sides[2];
} world;

static void begin(world *w, const vector *v) {
  static const char *const statics[] = {init_static, resp_static};
  static const char *const ephemerals[] = {init_ephemeral, resp_ephemeral};
  assert_ok(kad__noise_suite_init(&w->suite));
  for (int i = 0; i < 2; i++) {
    side *s = &w->sides[i];
    assert_ok(kad__x25519_init(&s->key, test_hex(statics[i]).data));
    assert_ok(kad__noise_new(&s->noise, kad_allocator_default(), &w->suite,
                             &s->key, test_hex(ephemerals[i]).data,
                             test_hex(v->prologue), i == 0));
  }
}

static void end(world *w) {
  for (int i = 0; i < 2; i++) {
    kad__noise_free(w->sides[i].noise);
    kad__x25519_fini(&w->sides[i].key);
  }
  kad__noise_suite_fini(&w->suite);
}

static void pass_handshake(world *w, const vector *v, int i) {
  side *from = &w->sides[i % 2];
  side *to = &w->sides[1 - i % 2];
  uint8_t message[256];
  kad_bytes payload = test_hex(v->payloads[i]);
  assert_true(kad__noise_writes(from->noise));
  assert_false(kad__noise_writes(to->noise));
  int len = kad__noise_write(from->noise, message, sizeof(message), payload);
  assert_ok(len);
  assert_bytes_equal(kad__bytes(message, (size_t)len),
                     test_hex(v->messages[i]));
  kad_bytes read;
  assert_ok(kad__noise_read(to->noise, message, (size_t)len, &read));
  assert_bytes_equal(read, payload);
}

static void pass_transport(world *w, const vector *v, int i) {
  /* The initiator wrote the last handshake message, and writes the first of
   * these too. */
  side *from = &w->sides[1 - i % 2];
  side *to = &w->sides[i % 2];
  uint8_t message[256];
  kad_bytes payload = test_hex(v->payloads[i]);
  memcpy(message, payload.data, payload.len);
  assert_ok(kad__noise_encrypt(&w->suite, &from->send, message, payload.len));
  size_t len = payload.len + KAD__AEAD_TAG_LEN;
  assert_bytes_equal(kad__bytes(message, len), test_hex(v->messages[i]));
  assert_int_equal(payload.len,
                   kad__noise_decrypt(&w->suite, &to->receive, message, len));
  assert_bytes_equal(kad__bytes(message, payload.len), payload);
}

static void handshake(world *w, const vector *v) {
  for (int i = 0; i < HANDSHAKE_MESSAGES; i++) {
    pass_handshake(w, v, i);
  }
  for (int i = 0; i < 2; i++) {
    side *s = &w->sides[i];
    assert_true(kad__noise_done(s->noise));
    assert_memory_equal(kad__noise_remote(s->noise),
                        w->sides[1 - i].key.public_key, KAD__X25519_LEN);
    kad__noise_split(s->noise, &s->send, &s->receive);
  }
}

static void test_vectors(void **state) {
  (void)state;
  for (size_t i = 0; i < KAD__COUNT(vectors); i++) {
    world w;
    begin(&w, &vectors[i]);
    handshake(&w, &vectors[i]);
    for (int m = HANDSHAKE_MESSAGES; m < MESSAGES; m++) {
      pass_transport(&w, &vectors[i], m);
    }
    end(&w);
  }
}

static void test_keys_and_hash(void **state) {
  (void)state;
  world w;
  begin(&w, &vectors[0]);
  handshake(&w, &vectors[0]);
  kad_bytes hash = test_hex(
      "9542b10ef534ed52859a8be801ecec0a152d0e03d25fda532218079628357622");
  kad_bytes to_responder = test_hex(
      "4759d15f0f4cfb9c3cef133e60b44ea3479cae90880a7e71df96f111d78d5953");
  kad_bytes to_initiator = test_hex(
      "a8b5dce3cef845d63c9671c350eb15cbb50b6c6d5f0d3231d32d711dab1ed191");
  for (int i = 0; i < 2; i++) {
    side *s = &w.sides[i];
    assert_memory_equal(kad__noise_hash(s->noise), hash.data, 32);
    const kad__noise_cipher *up = i == 0 ? &s->send : &s->receive;
    const kad__noise_cipher *down = i == 0 ? &s->receive : &s->send;
    assert_memory_equal(up->key, to_responder.data, 32);
    assert_memory_equal(down->key, to_initiator.data, 32);
  }
  end(&w);
}

/* RFC 7748, section 5.2, first vector. */
static void test_x25519(void **state) {
  (void)state;
  kad__noise_suite suite;
  kad__x25519 key;
  kad_bytes scalar = test_hex(
      "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4");
  kad_bytes point = test_hex(
      "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c");
  uint8_t shared[32];
  assert_ok(kad__noise_suite_init(&suite));
  assert_ok(kad__x25519_init(&key, scalar.data));
  assert_ok(kad__x25519_shared(&suite, &key, shared, point.data));
  assert_bytes_equal(
      kad__bytes(shared, 32),
      test_hex(
          "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552"));
  kad__x25519_fini(&key);
  kad__noise_suite_fini(&suite);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_x25519),
      cmocka_unit_test(test_vectors),
      cmocka_unit_test(test_keys_and_hash),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
