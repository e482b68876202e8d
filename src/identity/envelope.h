/* Signed envelopes (RFC 0002) and the peer records in them (RFC 0003). */
#ifndef KAD_IDENTITY_ENVELOPE_H
#define KAD_IDENTITY_ENVELOPE_H

#include "kadmium/key.h"

#define KAD__PEER_RECORD_DOMAIN "libp2p-peer-record"
/* A sealed record this large at most is read or made. */
#define KAD__ENVELOPE_MAX 8192
/* Addresses of one record; further ones are skipped. */
#define KAD__PEER_RECORD_ADDRESSES_MAX 64

/* A verified peer record. The addresses borrow from the sealed bytes, are
 * valid multiaddrs, and are without those that were malformed. */
typedef struct kad__peer_record {
  kad_peer_id peer;
  uint64_t sequence;
  kad_bytes addresses[KAD__PEER_RECORD_ADDRESSES_MAX];
  size_t address_count;
} kad__peer_record;

/* Seals `addresses` under `pair` into `out`. Returns the length of the
 * envelope; KAD_E_BUFFER_TOO_SMALL (also when it would exceed
 * KAD__ENVELOPE_MAX), KAD_E_CRYPTO. */
int kad__peer_record_seal(uint8_t *out, size_t cap, const kad_key_pair *pair,
                          uint64_t sequence, const kad_bytes *addresses,
                          size_t count);

/* Opens an envelope and its record: the signature is checked before the payload
 * is looked at, and the signer must be the peer that the record names.
 * KAD_E_PROTOBUF, KAD_E_SIGNATURE, KAD_E_PEER_MISMATCH, KAD_E_KEY and its kin,
 * KAD_E_MESSAGE (another payload type), KAD_E_MESSAGE_TOO_LARGE,
 * KAD_E_NO_MEMORY. `*out` is of use only when it returns 0. */
int kad__peer_record_open(kad__peer_record *out, const kad_allocator *allocator,
                          kad_bytes sealed);

#endif
