/* The certificates of libp2p's TLS (libp2p tls specification, "Peer
 * Authentication").
 *
 * A certificate is signed by a key made for it alone and proves nothing by
 * itself; in an extension the identity key vouches for that key. So there are
 * no authorities and no chains, only one self-signed certificate. */
#ifndef KAD_CONNECTION_CERTIFICATE_H
#define KAD_CONNECTION_CERTIFICATE_H

#include "kadmium/key.h"

/* The longest certificate, and the longest chain of them, that is read. An
 * honest one that speaks for an RSA key of 8192 bits has 2.5 KB. */
#define KAD__CERTIFICATE_MAX 8192

struct evp_pkey_st;
struct ossl_lib_ctx_st;
struct x509_st;

typedef struct kad__certificate {
  struct x509_st *x509;
  struct evp_pkey_st *key;
} kad__certificate;

/* Makes a P-256 key and a certificate for it, in which `pair` vouches. It is
 * valid from 1975 to 4096, as the specification's own are, so no clock is asked
 * and a peer with a wrong one is not turned away. KAD_E_NO_MEMORY,
 * KAD_E_CRYPTO, after which nothing is held. */
int kad__certificate_init(kad__certificate *out, const kad_key_pair *pair,
                          struct ossl_lib_ctx_st *library);
/* Harmless on a zeroed one. */
void kad__certificate_fini(kad__certificate *c);

/* Checks a peer's certificate; on success `*out` (yours to free) is the
 * identity that vouches for it. `unix_seconds` is the time, 0 when it is not
 * known: then validity is not checked, for a node without a clock must be able
 * to join a network. From cheap checks to dear ones:
 * KAD_E_CERTIFICATE: not version 3, or with the unique ids of old.
 * KAD_E_CERTIFICATE_TIME: not valid yet, or no longer.
 * KAD_E_CERTIFICATE_EXTENSION: libp2p's is missing, there twice or malformed,
 * or another one is critical.
 * KAD_E_KEY_TYPE, KAD_E_KEY_SIZE: of the certificate's key or the identity.
 * KAD_E_KEY: the identity is no valid key.
 * KAD_E_CERTIFICATE_SIGNATURE: not, or weakly, signed by its own key.
 * KAD_E_SIGNATURE: the identity did not sign for that key.
 * KAD_E_NO_MEMORY. */
int kad__certificate_verify(kad_public_key **out,
                            const kad_allocator *allocator,
                            struct x509_st *certificate, uint64_t unix_seconds);

/* Reads DER and checks it likewise. KAD_E_CERTIFICATE: malformed, too long, or
 * with something behind it. */
int kad__certificate_decode(kad_public_key **out,
                            const kad_allocator *allocator, kad_bytes der,
                            uint64_t unix_seconds);

#endif
