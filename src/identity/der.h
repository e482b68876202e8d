/* The two DER structures that libp2p keys come in, as strict as DER is.
 *
 * Remote keys are read before a peer is known, so everything about them is
 * bounded here, by looking at bytes, before big-number arithmetic or a
 * library's parser sees them. One key has one accepted encoding: what passes is
 * canonical. */
#ifndef KAD_IDENTITY_DER_H
#define KAD_IDENTITY_DER_H

#include "kadmium/error.h"
#include "kadmium/types.h"

/* Moduli outside these bounds are refused. */
#define KAD__RSA_BITS_MIN 2048
#define KAD__RSA_BITS_MAX 8192

/* Takes one element of `tag` (a single byte) off `*in`; `*out` borrows its
 * contents. KAD_E_KEY, with `*in` unchanged, for another tag, a length that is
 * not minimal, has more than two bytes, or goes past the end. */
int kad__der_take(kad_bytes *in, uint8_t tag, kad_bytes *out);

/* An RSA SubjectPublicKeyInfo: big-endian modulus and exponent without leading
 * zeros, borrowed from `in`. The modulus is odd and of an allowed size, the
 * exponent odd and 3 to 2^31-1.
 *
 * KAD_E_KEY_TYPE: of another algorithm.  KAD_E_KEY_SIZE: modulus out of bounds.
 * KAD_E_KEY: everything else. RFC 5280, RFC 8017. */
int kad__der_rsa_key(kad_bytes *modulus, kad_bytes *exponent, kad_bytes in);

/* Length of an uncompressed P-256 point. */
#define KAD__P256_POINT_LEN 65

/* A P-256 SubjectPublicKeyInfo: the uncompressed point, borrowed from `in`;
 * that it lies on the curve is not checked here.
 *
 * KAD_E_KEY_TYPE: another algorithm or curve.  KAD_E_KEY: everything else.
 * RFC 5480. */
int kad__der_p256_key(kad_bytes *point, kad_bytes in);

#endif
