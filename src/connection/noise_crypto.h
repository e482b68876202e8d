/* The cryptography that Noise_XX_25519_ChaChaPoly_SHA256 is made of.
 *
 * What OpenSSL wants as objects is made once per node and shared by all its
 * handshakes and connections (the suite); a connection keeps bare 32-byte keys.
 * A pair of cipher contexts per connection would cost 1.7 KB; setting the key
 * anew for each frame costs 40 ns. A suite, and what uses it, belongs to one
 * thread. */
#ifndef KAD_CONNECTION_NOISE_CRYPTO_H
#define KAD_CONNECTION_NOISE_CRYPTO_H

#include "kadmium/error.h"
#include "kadmium/types.h"

#define KAD__X25519_LEN 32
#define KAD__AEAD_KEY_LEN 32
#define KAD__AEAD_TAG_LEN 16
#define KAD__HASH_LEN 32

struct evp_cipher_ctx_st;
struct evp_pkey_ctx_st;
struct evp_pkey_st;

typedef struct kad__noise_suite {
  struct evp_cipher_ctx_st *seal;
  struct evp_cipher_ctx_st *open;
  struct evp_pkey_st *peer; /* takes each public key in turn */
} kad__noise_suite;

/* KAD_E_CRYPTO, after which nothing is held. */
int kad__noise_suite_init(kad__noise_suite *suite);
void kad__noise_suite_fini(kad__noise_suite *suite);

/* A private key, ready for use, and its public half. */
typedef struct kad__x25519 {
  struct evp_pkey_ctx_st *derive;
  uint8_t public_key[KAD__X25519_LEN];
} kad__x25519;

/* KAD_E_CRYPTO, after which nothing is held. The private key is copied. */
int kad__x25519_init(kad__x25519 *key, const uint8_t secret[KAD__X25519_LEN]);
/* Harmless on a zeroed key. */
void kad__x25519_fini(kad__x25519 *key);
/* The shared secret with `peer`. KAD_E_NOISE: it is all zero, as it is for each
 * of the points of low order. */
int kad__x25519_shared(const kad__noise_suite *suite, const kad__x25519 *key,
                       uint8_t out[KAD__X25519_LEN],
                       const uint8_t peer[KAD__X25519_LEN]);

/* Encrypts `len` (below 64 KiB) bytes at `data` in place; the tag follows them.
 * KAD_E_CRYPTO. */
int kad__aead_seal(const kad__noise_suite *suite,
                   const uint8_t key[KAD__AEAD_KEY_LEN], uint64_t nonce,
                   kad_bytes associated, uint8_t *data, size_t len);
/* Decrypts in place `len` bytes, of which the last 16 are the tag. When it
 * fails with KAD_E_DECRYPT, what is at `data` is of no use. */
int kad__aead_open(const kad__noise_suite *suite,
                   const uint8_t key[KAD__AEAD_KEY_LEN], uint64_t nonce,
                   kad_bytes associated, uint8_t *data, size_t len);

/* Two keys from a chaining key and `input`, of at most 32 bytes: Noise's HKDF.
 * The outputs may be `chaining` itself. */
void kad__noise_hkdf(uint8_t first[KAD__HASH_LEN],
                     uint8_t second[KAD__HASH_LEN],
                     const uint8_t chaining[KAD__HASH_LEN], kad_bytes input);

/* Overwrites secrets in a way that is not optimised away. */
void kad__wipe(void *memory, size_t len);

#endif
