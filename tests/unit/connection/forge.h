/* Certificates with one thing wrong. */
#ifndef KAD_TESTS_CONNECTION_FORGE_H
#define KAD_TESTS_CONNECTION_FORGE_H

#include <openssl/x509.h>

#include "kadmium/key.h"

typedef enum forge_key {
  FORGE_P256,
  FORGE_P384,
  FORGE_ED25519,
  FORGE_RSA_2048,
  FORGE_RSA_1024,
  FORGE_P521,
  FORGE_SECP256K1
} forge_key;

/* All zero: an honest one. */
typedef struct forgery {
  forge_key key;
  const char *not_before; /* NULL: 1975 */
  const char *not_after;  /* NULL: 4096 */
  bool version_1;
  bool no_extension;
  bool extension_twice;
  bool extension_critical;
  bool trailing_byte; /* behind the SignedKey */
  bool truncated;     /* the SignedKey lacks its last byte */
  bool empty_extension;
  const char *other_oid; /* one more extension */
  bool other_critical;
  bool wrong_prefix;      /* of what the identity signs */
  bool wrong_key;         /* which the identity signs for */
  bool wrong_identity;    /* not the one that signed */
  bool bad_identity;      /* no key at all */
  bool signed_by_another; /* the certificate itself */
  bool sha1;
} forgery;

/* `*x509` and `*key` are yours to free. */
void forge(X509 **x509, EVP_PKEY **key, const kad_key_pair *pair,
           const forgery *f);

#endif
