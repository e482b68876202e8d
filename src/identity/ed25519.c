/* libsodium verifies in little more than half of OpenSSL's time, and needs no
 * object for the key; without libsodium it is OpenSSL. bench_connections has a
 * floor with either. */
#include "identity/ed25519.h"

#ifdef KADMIUM_SODIUM
#include <sodium/crypto_sign_ed25519.h>
#else
#include <openssl/err.h>
#include <openssl/evp.h>
#endif

#include "base/bytes.h"
#include "kadmium/error.h"

/* Every encoding of a y coordinate of the eight points of small order, the two
 * that are not reduced included; the top bit, the sign of x, is left out. */
static const uint8_t small_order[][KAD__ED25519_LEN] = {
    {0x00},
    {0x01},
    {0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4,
     0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6,
     0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05},
    {0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b,
     0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39,
     0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a},
    {0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
     0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
     0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
    {0xed, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
     0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
     0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
    {0xee, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
     0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
     0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
};

bool kad__ed25519_is_small_order(const uint8_t point[KAD__ED25519_LEN]) {
  const size_t last = KAD__ED25519_LEN - 1;
  for (size_t i = 0; i < KAD__COUNT(small_order); i++) {
    if (memcmp(point, small_order[i], last) == 0 &&
        (point[last] & 0x7f) == small_order[i][last]) {
      return true;
    }
  }
  return false;
}

#ifdef KADMIUM_SODIUM

int kad__ed25519_verify(const uint8_t key[KAD__ED25519_LEN],
                        const uint8_t signature[KAD__ED25519_SIGNATURE_LEN],
                        kad_bytes message) {
  return crypto_sign_ed25519_verify_detached(signature, message.data,
                                             message.len, key) == 0
             ? 0
             : KAD_E_SIGNATURE;
}

#else

static int verify(EVP_MD_CTX *context, EVP_PKEY *key, const uint8_t *signature,
                  kad_bytes message) {
  if (context == NULL || key == NULL ||
      EVP_DigestVerifyInit(context, NULL, NULL, NULL, key) != 1) {
    return KAD_E_NO_MEMORY;
  }
  return EVP_DigestVerify(context, signature, KAD__ED25519_SIGNATURE_LEN,
                          message.data, message.len) == 1
             ? 0
             : KAD_E_SIGNATURE;
}

int kad__ed25519_verify(const uint8_t key[KAD__ED25519_LEN],
                        const uint8_t signature[KAD__ED25519_SIGNATURE_LEN],
                        kad_bytes message) {
  ERR_set_mark();
  EVP_MD_CTX *context = EVP_MD_CTX_new();
  EVP_PKEY *point = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, key,
                                                KAD__ED25519_LEN);
  int result = verify(context, point, signature, message);
  EVP_PKEY_free(point);
  EVP_MD_CTX_free(context);
  ERR_pop_to_mark();
  return result;
}

#endif
