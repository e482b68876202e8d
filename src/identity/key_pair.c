/* A node's own key. The public half always comes from the private one and
 * signing takes no public key, so no caller can make the two disagree: an
 * Ed25519 signature made with a foreign public key gives the private one away
 * (RUSTSEC-2022-0093). */
#include <openssl/crypto.h>
#include <openssl/err.h>

#include "base/alloc.h"
#include "base/bytes.h"
#include "identity/key.h"
#include "identity/private_key.h"
#include "wire/protobuf.h"

/* One block of memory; the `Data` of the key's protobuf stands at its end. */
struct kad_key_pair {
  kad_allocator allocator;
  EVP_PKEY *handle;
  kad_public_key *public_key;
  size_t len;
  uint8_t data[];
};

/* Takes over the handle of `key`, also when it fails. */
static int new_pair(kad_key_pair **out, const kad_allocator *allocator,
                    kad_key_type type, kad__private_key *key) {
  kad_key_pair *pair = kad__alloc(allocator, sizeof(*pair) + key->len);
  if (pair == NULL) {
    return KAD_E_NO_MEMORY;
  }
  *pair = (kad_key_pair){
      .allocator = *allocator, .handle = key->handle, .len = key->len};
  key->handle = NULL;
  memcpy(pair->data, key->data, key->len);
  int result =
      kad__public_key_new(&pair->public_key, allocator, type,
                          kad__bytes(key->public_data, key->public_len));
  if (result < 0) {
    kad_key_pair_free(pair);
    return result;
  }
  *out = pair;
  return 0;
}

int kad_key_pair_generate_type(kad_key_pair **out,
                               const kad_allocator *allocator,
                               kad_key_type type, kad_random *random) {
  kad__private_key key;
  int result = kad__private_key_generate(&key, type, random);
  if (result < 0) {
    return result;
  }
  result = new_pair(out, allocator, type, &key);
  kad__private_key_fini(&key);
  return result;
}

int kad_key_pair_generate(kad_key_pair **out, const kad_allocator *allocator,
                          kad_random *random) {
  return kad_key_pair_generate_type(out, allocator, KAD_KEY_ED25519, random);
}

int kad_key_pair_decode(kad_key_pair **out, const kad_allocator *allocator,
                        kad_bytes in) {
  uint64_t type = 0;
  kad_bytes data = {NULL, 0};
  kad__private_key key;
  int result = kad__key_fields(&type, &data, in);
  if (result < 0) {
    return result;
  }
  result = kad__private_key_decode(&key, type, data);
  if (result < 0) {
    return result;
  }
  result = new_pair(out, allocator, (kad_key_type)type, &key);
  kad__private_key_fini(&key);
  return result;
}

int kad_key_pair_export(const kad_key_pair *pair, uint8_t *out, size_t cap) {
  kad__pb_writer writer;
  kad__pb_writer_init(&writer, out, cap);
  kad__pb_put_varint(&writer, 1, pair->public_key->type);
  kad__pb_put_bytes(&writer, 2, kad__bytes(pair->data, pair->len));
  return kad__pb_writer_finish(&writer);
}

int kad_key_pair_encode(const kad_key_pair *pair,
                        uint8_t out[KAD_KEY_PAIR_LEN]) {
  if (pair->public_key->type != KAD_KEY_ED25519) {
    return KAD_E_KEY_TYPE;
  }
  int len = kad_key_pair_export(pair, out, KAD_KEY_PAIR_LEN);
  return len < 0 ? len : 0;
}

void kad_key_pair_free(kad_key_pair *pair) {
  if (pair == NULL) {
    return;
  }
  kad_allocator allocator = pair->allocator;
  kad_public_key_free(pair->public_key);
  EVP_PKEY_free(pair->handle);
  OPENSSL_cleanse(pair, sizeof(*pair) + pair->len);
  kad__release(&allocator, pair);
}

const kad_public_key *kad_key_pair_public(const kad_key_pair *pair) {
  return pair->public_key;
}

const kad_peer_id *kad_key_pair_peer_id(const kad_key_pair *pair) {
  return &pair->public_key->id;
}

static int sign(const kad_key_pair *pair, uint8_t *out, size_t cap,
                kad_bytes message) {
  size_t len = cap;
  const char *digest =
      pair->public_key->type == KAD_KEY_ED25519 ? NULL : "SHA256";
  EVP_MD_CTX *context = EVP_MD_CTX_new();
  bool done =
      context != NULL &&
      EVP_DigestSignInit_ex(context, NULL, digest, NULL, NULL, pair->handle,
                            NULL) == 1 &&
      EVP_DigestSign(context, out, &len, message.data, message.len) == 1;
  EVP_MD_CTX_free(context);
  if (!done) {
    return KAD_E_CRYPTO;
  }
  return pair->public_key->type == KAD_KEY_SECP256K1
             ? kad__secp256k1_lower(out, len, cap)
             : (int)len;
}

int kad_key_pair_signature(const kad_key_pair *pair, uint8_t *out, size_t cap,
                           kad_bytes message) {
  if (cap < (size_t)EVP_PKEY_get_size(pair->handle)) {
    return KAD_E_BUFFER_TOO_SMALL;
  }
  ERR_set_mark();
  int result = sign(pair, out, cap, message);
  ERR_pop_to_mark();
  return result;
}

int kad_key_pair_sign(const kad_key_pair *pair, uint8_t out[KAD_SIGNATURE_LEN],
                      kad_bytes message) {
  if (pair->public_key->type != KAD_KEY_ED25519) {
    return KAD_E_KEY_TYPE;
  }
  int len = kad_key_pair_signature(pair, out, KAD_SIGNATURE_LEN, message);
  return len < 0 ? len : 0;
}
