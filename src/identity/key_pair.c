/* A node's own key. The public half always comes from the private one and
 * signing takes no public key, so no caller can make the two disagree: an
 * Ed25519 signature made with a foreign public key gives the private one away
 * (RUSTSEC-2022-0093). */
#include <openssl/crypto.h>
#include <openssl/err.h>

#include "base/alloc.h"
#include "base/bytes.h"
#include "identity/key.h"
#include "wire/protobuf.h"

#define PRIVATE_LEN (2 * KAD__ED25519_LEN)
/* The public half stands twice in it. */
#define PRIVATE_LEN_OLD (3 * KAD__ED25519_LEN)

struct kad_key_pair {
  kad_allocator allocator;
  EVP_PKEY *handle;
  kad_public_key *public_key;
  uint8_t seed[KAD__ED25519_LEN];
  uint8_t point[KAD__ED25519_LEN];
};

static int fill_pair(kad_key_pair *pair, const uint8_t seed[KAD__ED25519_LEN]) {
  size_t len = KAD__ED25519_LEN;
  memcpy(pair->seed, seed, KAD__ED25519_LEN);
  pair->handle = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed,
                                              KAD__ED25519_LEN);
  if (pair->handle == NULL ||
      EVP_PKEY_get_raw_public_key(pair->handle, pair->point, &len) != 1) {
    return KAD_E_CRYPTO;
  }
  return kad__public_key_new_ed25519(&pair->public_key, &pair->allocator,
                                     pair->point);
}

static int new_pair(kad_key_pair **out, const kad_allocator *allocator,
                    const uint8_t seed[KAD__ED25519_LEN]) {
  kad_key_pair *pair = kad__calloc(allocator, 1, sizeof(*pair));
  if (pair == NULL) {
    return KAD_E_NO_MEMORY;
  }
  pair->allocator = *allocator;
  ERR_set_mark();
  int result = fill_pair(pair, seed);
  ERR_pop_to_mark();
  if (result < 0) {
    kad_key_pair_free(pair);
    return result;
  }
  *out = pair;
  return 0;
}

int kad_key_pair_generate(kad_key_pair **out, const kad_allocator *allocator,
                          kad_random *random) {
  uint8_t seed[KAD__ED25519_LEN];
  kad_random_bytes(random, seed, sizeof(seed));
  int result = new_pair(out, allocator, seed);
  OPENSSL_cleanse(seed, sizeof(seed));
  return result;
}

static bool halves_agree(const kad_key_pair *pair, kad_bytes data) {
  for (size_t at = KAD__ED25519_LEN; at < data.len; at += KAD__ED25519_LEN) {
    if (memcmp(data.data + at, pair->point, KAD__ED25519_LEN) != 0) {
      return false;
    }
  }
  return true;
}

int kad_key_pair_decode(kad_key_pair **out, const kad_allocator *allocator,
                        kad_bytes in) {
  uint64_t type = 0;
  kad_bytes data = {NULL, 0};
  kad_key_pair *pair = NULL;
  int result = kad__key_fields(&type, &data, in);
  if (result < 0) {
    return result;
  }
  if (type != KAD_KEY_ED25519) {
    return KAD_E_KEY_TYPE;
  }
  if (data.len != PRIVATE_LEN && data.len != PRIVATE_LEN_OLD) {
    return KAD_E_KEY;
  }
  result = new_pair(&pair, allocator, data.data);
  if (result < 0) {
    return result;
  }
  if (!halves_agree(pair, data)) {
    kad_key_pair_free(pair);
    return KAD_E_KEY;
  }
  *out = pair;
  return 0;
}

void kad_key_pair_encode(const kad_key_pair *pair,
                         uint8_t out[KAD_KEY_PAIR_LEN]) {
  kad__pb_writer writer;
  kad__pb_writer_init(&writer, out, KAD_KEY_PAIR_LEN);
  kad__pb_put_varint(&writer, 1, KAD_KEY_ED25519);
  kad__pb_put_header(&writer, 2, PRIVATE_LEN);
  kad__pb_put_raw(&writer, kad__bytes(pair->seed, KAD__ED25519_LEN));
  kad__pb_put_raw(&writer, kad__bytes(pair->point, KAD__ED25519_LEN));
}

void kad_key_pair_free(kad_key_pair *pair) {
  if (pair == NULL) {
    return;
  }
  kad_allocator allocator = pair->allocator;
  kad_public_key_free(pair->public_key);
  EVP_PKEY_free(pair->handle);
  OPENSSL_cleanse(pair, sizeof(*pair));
  kad__release(&allocator, pair);
}

const kad_public_key *kad_key_pair_public(const kad_key_pair *pair) {
  return pair->public_key;
}

const kad_peer_id *kad_key_pair_peer_id(const kad_key_pair *pair) {
  return &pair->public_key->id;
}

int kad_key_pair_sign(const kad_key_pair *pair, uint8_t out[KAD_SIGNATURE_LEN],
                      kad_bytes message) {
  size_t len = KAD_SIGNATURE_LEN;
  ERR_set_mark();
  EVP_MD_CTX *context = EVP_MD_CTX_new();
  bool done =
      context != NULL &&
      EVP_DigestSignInit_ex(context, NULL, NULL, NULL, NULL, pair->handle,
                            NULL) == 1 &&
      EVP_DigestSign(context, out, &len, message.data, message.len) == 1;
  EVP_MD_CTX_free(context);
  ERR_pop_to_mark();
  return done ? 0 : KAD_E_CRYPTO;
}
