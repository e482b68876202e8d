/**
 * @file
 * Self-describing values: multibase text, multihash digests, CIDs.
 *
 * Specifications: https://github.com/multiformats/multibase, .../multihash,
 * .../cid. All functions are pure, write into the caller's memory and hold on
 * to nothing.
 */
#ifndef KADMIUM_MULTIFORMATS_H
#define KADMIUM_MULTIFORMATS_H

#include "kadmium/error.h"
#include "kadmium/types.h"

#ifdef __cplusplus
extern "C" {
#endif

/** The bases, by their multibase prefix character. */
typedef enum kad_base {
  KAD_BASE16 = 'f',
  KAD_BASE32 = 'b',    /**< RFC 4648, lower case, no padding */
  KAD_BASE36 = 'k',    /**< lower case */
  KAD_BASE58BTC = 'z', /**< Bitcoin's alphabet */
  KAD_BASE64URL = 'u'  /**< RFC 4648 section 5, no padding */
} kad_base;

/** The longest input of the quadratic bases (36 and 58), in bytes. */
#define KAD_BASE_QUADRATIC_MAX 1024

/**
 * Encodes `in` as text in `base`, without the multibase prefix.
 * Writes a NUL after the text and returns the text's length.
 *
 * KAD_E_BUFFER_TOO_SMALL: `cap` (which counts the NUL) is too small.
 * KAD_E_LIMIT: more than KAD_BASE_QUADRATIC_MAX bytes in base 36 or 58.
 * KAD_E_INVALID_ARGUMENT: no such base.
 */
KAD_API int kad_base_encode(char *out, size_t cap, kad_base base, kad_bytes in);

/**
 * Decodes `len` characters of text in `base`, without prefix; base 16, 32 and
 * 36 take both cases. Returns the number of bytes written to `out`.
 *
 * KAD_E_MULTIBASE: a character that is not of the base, or stray bits.
 * KAD_E_BUFFER_TOO_SMALL, KAD_E_LIMIT, KAD_E_INVALID_ARGUMENT as above.
 */
KAD_API int kad_base_decode(uint8_t *out, size_t cap, kad_base base,
                            const char *text, size_t len);

/** kad_base_encode with the prefix character in front. */
KAD_API int kad_multibase_encode(char *out, size_t cap, kad_base base,
                                 kad_bytes in);

/** kad_base_decode by the prefix character (also 'F', 'B', 'K'). */
KAD_API int kad_multibase_decode(uint8_t *out, size_t cap, const char *text,
                                 size_t len);

/** Codes of hash functions that this library names. */
#define KAD_MULTIHASH_IDENTITY 0x00
#define KAD_MULTIHASH_SHA2_256 0x12

/** A multihash taken apart; `digest` borrows from the input. */
typedef struct kad_multihash {
  uint64_t code;
  kad_bytes digest;
} kad_multihash;

/**
 * Reads a multihash that must fill `in`. Digests of up to 128 bytes are taken,
 * of any hash function. KAD_E_MULTIHASH when malformed.
 */
KAD_API int kad_multihash_decode(kad_multihash *out, kad_bytes in);

/** Codecs of content that this library names. */
#define KAD_CODEC_RAW 0x55
#define KAD_CODEC_DAG_PB 0x70
#define KAD_CODEC_LIBP2P_KEY 0x72

/** A CID taken apart; `multihash` borrows from the input. */
typedef struct kad_cid {
  uint64_t version; /**< 0 or 1 */
  uint64_t codec;
  kad_bytes multihash; /**< the bytes that key the DHT */
} kad_cid;

/** The longest binary CID that kad_cid_parse takes, in bytes. */
#define KAD_CID_MAX 160

/**
 * Reads a binary CID, version 0 (a bare SHA-256 multihash) or 1.
 * KAD_E_CID when malformed or of another version.
 */
KAD_API int kad_cid_decode(kad_cid *out, kad_bytes in);

/**
 * Reads a CID's text: version 0 ("Qm...", base58btc) or version 1 in any base
 * of kad_base. `storage` receives the binary form, which `out` borrows from.
 * Returns the length of the binary form; KAD_E_CID when malformed.
 */
KAD_API int kad_cid_parse(kad_cid *out, uint8_t storage[KAD_CID_MAX],
                          const char *text);

/**
 * Writes the text of a CID: version 0 in base58btc, version 1 in `base`.
 * Returns the text's length, which excludes the NUL.
 */
KAD_API int kad_cid_format(char *out, size_t cap, const kad_cid *cid,
                           kad_base base);

#ifdef __cplusplus
}
#endif

#endif
