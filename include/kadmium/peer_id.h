/**
 * @file
 * PeerId: the name of a peer, derived from its public key.
 *
 * A PeerId is a multihash of the key's protobuf: the protobuf itself (identity)
 * when it has at most 42 bytes, its SHA-256 otherwise. Specification:
 * https://github.com/libp2p/specs/blob/master/peer-ids/peer-ids.md
 */
#ifndef KADMIUM_PEER_ID_H
#define KADMIUM_PEER_ID_H

#include "kadmium/error.h"
#include "kadmium/types.h"

#ifdef __cplusplus
extern "C" {
#endif

/** The longest binary PeerId: an identity multihash of 42 bytes. */
#define KAD_PEER_ID_MAX 44
/** Room for every text form of a PeerId, NUL included. */
#define KAD_PEER_ID_TEXT_MAX 96

/** A PeerId by value. Unused bytes are zero, so memcmp compares two of them. */
typedef struct kad_peer_id {
  uint8_t len;
  uint8_t bytes[KAD_PEER_ID_MAX];
} kad_peer_id;

/**
 * Reads the binary form. KAD_E_PEER_ID unless it is a SHA-256 multihash or an
 * identity multihash of at most 42 bytes.
 */
KAD_API int kad_peer_id_decode(kad_peer_id *out, kad_bytes in);

/**
 * Reads text: base58btc ("12D3...", "16Uiu2...", "Qm...") or a CIDv1 of codec
 * libp2p-key in any multibase. KAD_E_PEER_ID when malformed.
 */
KAD_API int kad_peer_id_parse(kad_peer_id *out, const char *text);

/** Writes base58btc and a NUL; returns the text's length. */
KAD_API int kad_peer_id_format(char *out, size_t cap, const kad_peer_id *id);

/** Writes the CIDv1 in base36 ("k51..."), as IPNS names are shown. */
KAD_API int kad_peer_id_format_cid(char *out, size_t cap,
                                   const kad_peer_id *id);

KAD_API bool kad_peer_id_equal(const kad_peer_id *a, const kad_peer_id *b);
/** A total order: shorter ids first, then by their bytes. Negative, 0 or
 * positive, as memcmp. */
KAD_API int kad_peer_id_compare(const kad_peer_id *a, const kad_peer_id *b);

/** The binary form, borrowed from `id`. */
KAD_API kad_bytes kad_peer_id_bytes(const kad_peer_id *id);

#ifdef __cplusplus
}
#endif

#endif
