/* OpenSSL, drawing from a kad_random.
 *
 * Most of what we ask of OpenSSL takes its random bytes as an argument. Two
 * things do not: a TLS handshake, and the search for RSA primes. They run in a
 * library context of their own whose generator is ours, so that they, too, draw
 * nothing from the system, and a run with one seed stays one run. Such a
 * context costs about 2 ms and some hundred KB: make few. */
#ifndef KAD_IDENTITY_CRYPTO_RANDOM_H
#define KAD_IDENTITY_CRYPTO_RANDOM_H

#include "kadmium/error.h"
#include "kadmium/random.h"

struct ossl_lib_ctx_st;
struct ossl_provider_st;

typedef struct kad__crypto_random {
  struct ossl_lib_ctx_st *library;
  struct ossl_provider_st *algorithms; /* OpenSSL's own */
  struct ossl_provider_st *generator;  /* ours */
} kad__crypto_random;

/* `random` is borrowed, must outlive all that was made in the context, and is
 * used by whoever uses that. KAD_E_CRYPTO, after which nothing is held. */
int kad__crypto_random_init(kad__crypto_random *c, kad_random *random);
/* Harmless on a zeroed one. */
void kad__crypto_random_fini(kad__crypto_random *c);

#endif
