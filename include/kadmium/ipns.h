/**
 * @file
 * IPNS records: what a key pair's owner says that its name points to.
 *
 * The name is the PeerId of the key pair. The record holds a path, a sequence
 * number and the time until which it is valid, and is signed, so that anybody
 * may keep it and nobody can change it. It is stored in the DHT under the key
 * that kad_ipns_key makes; of several records the one with the highest sequence
 * number is right. Nodes of IPFS's public network check all of that by
 * themselves (KAD_PUT refuses a wrong record, KAD_GET never gives one): these
 * functions are for whoever makes records, or reads what is in one.
 *
 * All functions are pure and hold on to nothing. Every time is in nanoseconds
 * since 1970 (UTC), every duration in nanoseconds. Specification:
 * https://specs.ipfs.tech/ipns/ipns-record/
 */
#ifndef KADMIUM_IPNS_H
#define KADMIUM_IPNS_H

#include "kadmium/error.h"
#include "kadmium/key.h"
#include "kadmium/peer_id.h"
#include "kadmium/types.h"

#ifdef __cplusplus
extern "C" {
#endif

/** The longest record that is made or read, in bytes. */
#define KAD_IPNS_RECORD_MAX 10240
/** The longest key of a record in the DHT, in bytes. */
#define KAD_IPNS_KEY_MAX (6 + KAD_PEER_ID_MAX)
/** How long a record is usually valid: peers of the DHT forget it by then. */
#define KAD_IPNS_LIFETIME (48 * KAD_HOUR)
/** How long readers may usually rely on a record before they ask again. */
#define KAD_IPNS_TTL (5 * KAD_MINUTE)

/** Writes the key of the record of `name`, "/ipns/" and the binary PeerId;
 * returns its length. */
KAD_API int kad_ipns_key(uint8_t out[KAD_IPNS_KEY_MAX],
                         const kad_peer_id *name);

/** What a record shall say. Start from KAD_IPNS_OPTIONS_INIT; fields are only
 * ever added at the end. */
typedef struct kad_ipns_options {
  size_t struct_size;   /**< sizeof(kad_ipns_options), set by the INIT macro */
  kad_bytes value;      /**< a content path, "/ipfs/..." or "/ipns/..." */
  uint64_t sequence;    /**< one more than that of the record before; 0 first */
  uint64_t valid_until; /**< nanoseconds since 1970; required */
  kad_time ttl;         /**< nanoseconds; KAD_IPNS_TTL by the INIT macro */
  bool v2_only;         /**< without the fields for readers from before 2021 */
} kad_ipns_options;

#ifdef __cplusplus
static inline kad_ipns_options kad_ipns_options_init(void) {
  kad_ipns_options options = kad_ipns_options();
  options.struct_size = sizeof(options);
  options.ttl = KAD_IPNS_TTL;
  return options;
}
#define KAD_IPNS_OPTIONS_INIT kad_ipns_options_init()
#else
#define KAD_IPNS_OPTIONS_INIT \
  { .struct_size = sizeof(kad_ipns_options), .ttl = KAD_IPNS_TTL }
#endif

/**
 * Makes the record of the name `kad_key_pair_peer_id(pair)`, signed by `pair`.
 * Writes it to `out` and returns its length; after an error `out` holds
 * nothing of use.
 *
 * KAD_E_INVALID_ARGUMENT: no value that begins with '/', or no time.
 * KAD_E_BUFFER_TOO_SMALL: `cap` is; KAD_IPNS_RECORD_MAX always suffices.
 * KAD_E_RECORD_TOO_LARGE: the value does not fit. KAD_E_CRYPTO.
 */
KAD_API int kad_ipns_seal(uint8_t *out, size_t cap, const kad_key_pair *pair,
                          const kad_ipns_options *options);

/** What a record says; its bytes are borrowed from the record. */
typedef struct kad_ipns_record {
  kad_bytes value; /**< not checked to be a path, nor to be text */
  uint64_t sequence;
  uint64_t valid_until; /**< 0: before 1970; UINT64_MAX: after the year 2553 */
  kad_time ttl;         /**< nanoseconds */
  kad_bytes public_key; /**< protobuf; empty when the name holds the key */
} kad_ipns_record;

/**
 * Reads a record and proves nothing: who signed it, for which name, and
 * whether it is still valid is for kad_ipns_check to say.
 *
 * KAD_E_RECORD: not an IPNS record, or its two halves (V1 and V2) differ.
 * KAD_E_RECORD_TOO_LARGE: longer than KAD_IPNS_RECORD_MAX.
 * `*out` is set on success alone.
 */
KAD_API int kad_ipns_decode(kad_ipns_record *out, kad_bytes record);

/**
 * Reads a record and proves it: made by the owner of `name`, and valid at
 * `now`, the wall clock (0: whenever). `allocator` (NULL: the default one)
 * serves temporary memory.
 *
 * KAD_E_RECORD, KAD_E_RECORD_TOO_LARGE: as above, or it holds the key of
 * another name. KAD_E_RECORD_EXPIRED: it was valid until then.
 * KAD_E_SIGNATURE: its signature is wrong. KAD_E_NO_MEMORY, KAD_E_CRYPTO.
 * `*out` is set on success alone.
 */
KAD_API int kad_ipns_check(kad_ipns_record *out, const kad_allocator *allocator,
                           const kad_peer_id *name, kad_bytes record,
                           uint64_t now);

#ifdef __cplusplus
}
#endif

#endif
