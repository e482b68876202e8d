/* OpenSSL 3 spends more time on finding an algorithm and on making objects than
 * on a short frame, so both are done once: keys of peers are written into one
 * object that is kept, cipher contexts get a new key instead of being made
 * anew. Errors are taken back from OpenSSL's queue: it belongs to the embedding
 * program. */
#include "connection/noise_crypto.h"

#include <assert.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#include "base/bytes.h"
#include "identity/digest.h"

#define NONCE_LEN 12
#define BLOCK_LEN 64 /* of SHA-256 */

void kad__wipe(void *memory, size_t len) {
  OPENSSL_cleanse(memory, len);
}

static EVP_CIPHER_CTX *new_cipher(const EVP_CIPHER *cipher, int encrypt) {
  EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
  if (context == NULL ||
      EVP_CipherInit_ex(context, cipher, NULL, NULL, NULL, encrypt) != 1) {
    EVP_CIPHER_CTX_free(context);
    return NULL;
  }
  return context;
}

static int init_suite(kad__noise_suite *suite) {
  EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, "ChaCha20-Poly1305", NULL);
  if (cipher == NULL) {
    return KAD_E_CRYPTO;
  }
  suite->seal = new_cipher(cipher, 1);
  suite->open = new_cipher(cipher, 0);
  EVP_CIPHER_free(cipher);
  /* Any point will do: it is replaced before it is used. */
  static const uint8_t base_point[KAD__X25519_LEN] = {9};
  suite->peer = EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, NULL, base_point,
                                            sizeof(base_point));
  bool complete =
      suite->seal != NULL && suite->open != NULL && suite->peer != NULL;
  return complete ? 0 : KAD_E_CRYPTO;
}

int kad__noise_suite_init(kad__noise_suite *suite) {
  *suite = (kad__noise_suite){0};
  ERR_set_mark();
  int result = init_suite(suite);
  ERR_pop_to_mark();
  if (result < 0) {
    kad__noise_suite_fini(suite);
  }
  return result;
}

void kad__noise_suite_fini(kad__noise_suite *suite) {
  EVP_CIPHER_CTX_free(suite->seal);
  EVP_CIPHER_CTX_free(suite->open);
  EVP_PKEY_free(suite->peer);
  *suite = (kad__noise_suite){0};
}

static int init_x25519(kad__x25519 *key, EVP_PKEY *pair) {
  size_t len = sizeof(key->public_key);
  if (pair == NULL ||
      EVP_PKEY_get_raw_public_key(pair, key->public_key, &len) != 1) {
    return KAD_E_CRYPTO;
  }
  key->derive = EVP_PKEY_CTX_new(pair, NULL);
  if (key->derive == NULL || EVP_PKEY_derive_init(key->derive) != 1) {
    return KAD_E_CRYPTO;
  }
  return 0;
}

int kad__x25519_init(kad__x25519 *key, const uint8_t secret[KAD__X25519_LEN]) {
  *key = (kad__x25519){0};
  ERR_set_mark();
  EVP_PKEY *pair = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, secret,
                                                KAD__X25519_LEN);
  int result = init_x25519(key, pair);
  /* The context keeps a reference of its own. */
  EVP_PKEY_free(pair);
  ERR_pop_to_mark();
  if (result < 0) {
    kad__x25519_fini(key);
  }
  return result;
}

void kad__x25519_fini(kad__x25519 *key) {
  EVP_PKEY_CTX_free(key->derive);
  *key = (kad__x25519){0};
}

static int shared_secret(const kad__noise_suite *suite, const kad__x25519 *key,
                         uint8_t out[KAD__X25519_LEN],
                         const uint8_t peer[KAD__X25519_LEN]) {
  if (EVP_PKEY_set1_encoded_public_key(suite->peer, peer, KAD__X25519_LEN) !=
          1 ||
      EVP_PKEY_derive_set_peer_ex(key->derive, suite->peer, 0) != 1) {
    return KAD_E_CRYPTO;
  }
  size_t len = KAD__X25519_LEN;
  if (EVP_PKEY_derive(key->derive, out, &len) != 1) {
    return KAD_E_NOISE;
  }
  /* OpenSSL's own check, made once more: not every provider has it. */
  static const uint8_t zero[KAD__X25519_LEN];
  return CRYPTO_memcmp(out, zero, sizeof(zero)) == 0 ? KAD_E_NOISE : 0;
}

int kad__x25519_shared(const kad__noise_suite *suite, const kad__x25519 *key,
                       uint8_t out[KAD__X25519_LEN],
                       const uint8_t peer[KAD__X25519_LEN]) {
  ERR_set_mark();
  int result = shared_secret(suite, key, out, peer);
  ERR_pop_to_mark();
  return result;
}

/* 32 zero bits and a little-endian counter. */
static void put_nonce(uint8_t out[NONCE_LEN], uint64_t nonce) {
  memset(out, 0, 4);
  for (int i = 4; i < NONCE_LEN; i++) {
    out[i] = (uint8_t)nonce;
    nonce >>= 8;
  }
}

/* Key, nonce and associated data: what both directions begin with. */
static bool begin(EVP_CIPHER_CTX *context, const uint8_t *key, uint64_t nonce,
                  kad_bytes associated) {
  uint8_t iv[NONCE_LEN];
  put_nonce(iv, nonce);
  int done = 0;
  return EVP_CipherInit_ex(context, NULL, NULL, key, iv, -1) == 1 &&
         (associated.len == 0 ||
          EVP_CipherUpdate(context, NULL, &done, associated.data,
                           (int)associated.len) == 1);
}

/* An empty text must not reach EVP_CipherUpdate, for which no output means
 * associated data. */
static bool update(EVP_CIPHER_CTX *context, uint8_t *data, size_t len) {
  int done = 0;
  return len == 0 ||
         EVP_CipherUpdate(context, data, &done, data, (int)len) == 1;
}

int kad__aead_seal(const kad__noise_suite *suite,
                   const uint8_t key[KAD__AEAD_KEY_LEN], uint64_t nonce,
                   kad_bytes associated, uint8_t *data, size_t len) {
  assert(len <= UINT16_MAX);
  ERR_set_mark();
  uint8_t none[KAD__AEAD_TAG_LEN];
  int done = 0;
  bool sealed = begin(suite->seal, key, nonce, associated) &&
                update(suite->seal, data, len) &&
                EVP_CipherFinal_ex(suite->seal, none, &done) == 1 &&
                EVP_CIPHER_CTX_ctrl(suite->seal, EVP_CTRL_AEAD_GET_TAG,
                                    KAD__AEAD_TAG_LEN, data + len) == 1;
  ERR_pop_to_mark();
  return sealed ? 0 : KAD_E_CRYPTO;
}

int kad__aead_open(const kad__noise_suite *suite,
                   const uint8_t key[KAD__AEAD_KEY_LEN], uint64_t nonce,
                   kad_bytes associated, uint8_t *data, size_t len) {
  assert(len >= KAD__AEAD_TAG_LEN && len <= UINT16_MAX);
  size_t text_len = len - KAD__AEAD_TAG_LEN;
  ERR_set_mark();
  uint8_t none[KAD__AEAD_TAG_LEN];
  int done = 0;
  bool opened = begin(suite->open, key, nonce, associated) &&
                EVP_CIPHER_CTX_ctrl(suite->open, EVP_CTRL_AEAD_SET_TAG,
                                    KAD__AEAD_TAG_LEN, data + text_len) == 1 &&
                update(suite->open, data, text_len) &&
                EVP_CipherFinal_ex(suite->open, none, &done) == 1;
  ERR_pop_to_mark();
  return opened ? 0 : KAD_E_DECRYPT;
}

/* HMAC-SHA256 of at most 33 bytes under a key of 32. */
static void hmac(uint8_t out[KAD__HASH_LEN], const uint8_t key[KAD__HASH_LEN],
                 kad_bytes message) {
  uint8_t inner[BLOCK_LEN + KAD__HASH_LEN + 1];
  uint8_t outer[BLOCK_LEN + KAD__HASH_LEN];
  assert(message.len <= sizeof(inner) - BLOCK_LEN);
  memset(inner, 0x36, BLOCK_LEN);
  memset(outer, 0x5c, BLOCK_LEN);
  for (size_t i = 0; i < KAD__HASH_LEN; i++) {
    inner[i] ^= key[i];
    outer[i] ^= key[i];
  }
  if (message.len != 0) {
    memcpy(inner + BLOCK_LEN, message.data, message.len);
  }
  kad__sha256(outer + BLOCK_LEN, kad__bytes(inner, BLOCK_LEN + message.len));
  kad__sha256(out, kad__bytes(outer, sizeof(outer)));
  kad__wipe(inner, sizeof(inner));
  kad__wipe(outer, sizeof(outer));
}

void kad__noise_hkdf(uint8_t first[KAD__HASH_LEN],
                     uint8_t second[KAD__HASH_LEN],
                     const uint8_t chaining[KAD__HASH_LEN], kad_bytes input) {
  uint8_t key[KAD__HASH_LEN];
  uint8_t block[KAD__HASH_LEN + 1];
  hmac(key, chaining, input);
  block[0] = 1;
  hmac(first, key, kad__bytes(block, 1));
  memcpy(block, first, KAD__HASH_LEN);
  block[KAD__HASH_LEN] = 2;
  hmac(second, key, kad__bytes(block, sizeof(block)));
  kad__wipe(key, sizeof(key));
  kad__wipe(block, sizeof(block));
}
