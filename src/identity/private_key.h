/* The private halves of the four types: what stands in the `Data` of a
 * `PrivateKey` protobuf, checked and made usable (libp2p peer-ids
 * specification, "Key Types"). */
#ifndef KAD_IDENTITY_PRIVATE_KEY_H
#define KAD_IDENTITY_PRIVATE_KEY_H

#include <openssl/evp.h>

#include "kadmium/key.h"

/* The longest `Data`: an RSA key of 8192 bits has 4.7 KB. */
#define KAD__PRIVATE_DATA_MAX (KAD_KEY_PAIR_MAX - 8)

/* What a private key gives. `data` is its canonical form, which one type (the
 * old form of Ed25519) need not come in; `public_data` is the `Data` of the
 * public half. Secret: wipe it. */
typedef struct kad__private_key {
  EVP_PKEY *handle;
  size_t len;
  size_t public_len;
  uint8_t data[KAD__PRIVATE_DATA_MAX];
  uint8_t public_data[KAD_PUBLIC_KEY_MAX];
} kad__private_key;

/* Reads `data`. KAD_E_KEY: malformed, out of range, or the halves do not belong
 * together.  KAD_E_KEY_SIZE: RSA of a size that is not allowed.
 * KAD_E_KEY_TYPE: an unknown type or curve.  KAD_E_NO_MEMORY, KAD_E_CRYPTO. */
int kad__private_key_decode(kad__private_key *out, uint64_t type,
                            kad_bytes data);
/* A new key, from `random` alone. KAD_E_KEY_TYPE, KAD_E_NO_MEMORY,
 * KAD_E_CRYPTO. */
int kad__private_key_generate(kad__private_key *out, kad_key_type type,
                              kad_random *random);
/* Frees the handle and wipes; harmless on a zeroed one. */
void kad__private_key_fini(kad__private_key *key);

/* Brings a signature of secp256k1 to the lower of its two values of s: many
 * verifiers refuse the other (BIP 62). Returns the length. KAD_E_CRYPTO. */
int kad__secp256k1_lower(uint8_t *signature, size_t len, size_t cap);

#endif
