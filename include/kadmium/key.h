/**
 * @file
 * Keys: a node's own key pair, and the public keys of others.
 *
 * Specification:
 * https://github.com/libp2p/specs/blob/master/peer-ids/peer-ids.md
 */
#ifndef KADMIUM_KEY_H
#define KADMIUM_KEY_H

#include "kadmium/error.h"
#include "kadmium/peer_id.h"
#include "kadmium/random.h"
#include "kadmium/types.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Key types, by their number on the wire. */
typedef enum kad_key_type {
  KAD_KEY_RSA = 0, /**< 2048 to 8192 bits */
  KAD_KEY_ED25519 = 1,
  KAD_KEY_SECP256K1 = 2,
  KAD_KEY_ECDSA = 3 /**< P-256 */
} kad_key_type;

/** A public key that has been checked for type and size. Opaque. */
typedef struct kad_public_key kad_public_key;
/** A key pair of one of the types. Opaque; wiped when freed. */
typedef struct kad_key_pair kad_key_pair;

/** The longest public-key protobuf that is accepted, in bytes. */
#define KAD_PUBLIC_KEY_MAX 2048
/** Length of an Ed25519 signature, in bytes. */
#define KAD_SIGNATURE_LEN 64
/** The longest signature of any type: that of an RSA key of 8192 bits. */
#define KAD_SIGNATURE_MAX 1024

/**
 * Reads a `PublicKey` protobuf. Sizes are checked before any arithmetic.
 * Another order of fields and unknown fields are accepted, as protobuf asks;
 * the key inside must be canonical. `*out` is yours to free.
 *
 * KAD_E_PROTOBUF: not that protobuf.  KAD_E_KEY_TYPE: an unknown type or curve.
 * KAD_E_KEY_SIZE: longer than KAD_PUBLIC_KEY_MAX, or an RSA modulus out of
 * range.  KAD_E_KEY: not a valid key; an Ed25519 point of small order is none,
 * one that is not on the curve is found when it verifies nothing.
 * KAD_E_NO_MEMORY, KAD_E_CRYPTO.
 */
KAD_API int kad_public_key_decode(kad_public_key **out,
                                  const kad_allocator *allocator, kad_bytes in);
KAD_API void kad_public_key_free(kad_public_key *key);
KAD_API kad_key_type kad_public_key_type(const kad_public_key *key);

/** The canonical `PublicKey` protobuf, borrowed from `key`. */
KAD_API kad_bytes kad_public_key_bytes(const kad_public_key *key);

/** The PeerId that belongs to `key`. */
KAD_API void kad_public_key_peer_id(const kad_public_key *key,
                                    kad_peer_id *out);

/**
 * 0 when `signature` over `message` is by `key`; KAD_E_SIGNATURE otherwise.
 * KAD_E_NO_MEMORY. Any number of threads may verify with one key.
 */
KAD_API int kad_public_key_verify(const kad_public_key *key, kad_bytes message,
                                  kad_bytes signature);

/** Makes a new Ed25519 key pair from `random`. KAD_E_NO_MEMORY, KAD_E_CRYPTO.
 */
KAD_API int kad_key_pair_generate(kad_key_pair **out,
                                  const kad_allocator *allocator,
                                  kad_random *random);

/**
 * Makes a new key pair of any type from `random`; RSA of 2048 bits, which takes
 * a tenth of a second. Ed25519 is what others can be counted on to know.
 * KAD_E_KEY_TYPE, KAD_E_NO_MEMORY, KAD_E_CRYPTO.
 */
KAD_API int kad_key_pair_generate_type(kad_key_pair **out,
                                       const kad_allocator *allocator,
                                       kad_key_type type, kad_random *random);

/**
 * Reads a libp2p `PrivateKey` protobuf: Ed25519 of 64 bytes or the old form of
 * 96, secp256k1 of 32, ECDSA as RFC 5915 with curve and point, RSA as PKCS #1.
 * KAD_E_PROTOBUF, KAD_E_KEY_TYPE (another type), KAD_E_KEY (malformed, or its
 * parts do not belong together), KAD_E_KEY_SIZE, KAD_E_NO_MEMORY,
 * KAD_E_CRYPTO.
 */
KAD_API int kad_key_pair_decode(kad_key_pair **out,
                                const kad_allocator *allocator, kad_bytes in);

/** What kad_key_pair_export writes at most. */
#define KAD_KEY_PAIR_MAX 5120

/**
 * Writes the `PrivateKey` protobuf of a pair of any type and returns its
 * length. The caller keeps it secret. KAD_E_BUFFER_TOO_SMALL.
 */
KAD_API int kad_key_pair_export(const kad_key_pair *pair, uint8_t *out,
                                size_t cap);

/** Length of what kad_key_pair_encode writes. */
#define KAD_KEY_PAIR_LEN 68

/** The same of an Ed25519 pair, whose length is fixed. KAD_E_KEY_TYPE: the pair
 * is of another type, and nothing was written. */
KAD_API int kad_key_pair_encode(const kad_key_pair *pair,
                                uint8_t out[KAD_KEY_PAIR_LEN]);

/** Wipes and frees; takes NULL. */
KAD_API void kad_key_pair_free(kad_key_pair *pair);

/** The public half, borrowed. */
KAD_API const kad_public_key *kad_key_pair_public(const kad_key_pair *pair);

/** The PeerId, borrowed. */
KAD_API const kad_peer_id *kad_key_pair_peer_id(const kad_key_pair *pair);

/**
 * Signs `message` with a pair of any type and returns the signature's length.
 * Signatures of ECDSA and secp256k1 have a random part, which OpenSSL draws,
 * and vary in length; those of the other types are always the same.
 * KAD_E_BUFFER_TOO_SMALL: `cap` is below what this type may need, which
 * KAD_SIGNATURE_MAX never is. KAD_E_CRYPTO.
 */
KAD_API int kad_key_pair_signature(const kad_key_pair *pair, uint8_t *out,
                                   size_t cap, kad_bytes message);

/** Signs `message` with an Ed25519 pair. KAD_E_KEY_TYPE (another type),
 * KAD_E_CRYPTO. */
KAD_API int kad_key_pair_sign(const kad_key_pair *pair,
                              uint8_t out[KAD_SIGNATURE_LEN],
                              kad_bytes message);

/**
 * Reads a key pair from a file that holds the raw `PrivateKey` protobuf.
 *
 * KAD_E_KEY_FILE_MODE: group or others may access the file.
 * KAD_E_NOT_FOUND: no such file.  KAD_E_KEY_FILE: not a readable regular file
 * of that content; a file that exists is never replaced.  KAD_E_NO_MEMORY.
 */
KAD_API int kad_key_pair_load(kad_key_pair **out,
                              const kad_allocator *allocator, const char *path);

/**
 * Writes a key pair to a new file of mode 0600, atomically (a temporary file,
 * fsync, link). KAD_E_KEY_FILE: it exists already, or cannot be written.
 */
KAD_API int kad_key_pair_save(const kad_key_pair *pair, const char *path);

#ifdef __cplusplus
}
#endif

#endif
