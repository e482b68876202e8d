/* The records that every node of the public IPFS network checks: public keys
 * ("/pk/" and a binary PeerId) and IPNS records ("/ipns/" and a binary PeerId).
 *
 * Both namespaces are self-certifying: the key names the public key that the
 * value must be, or be signed with, so a record is judged without asking
 * anybody. Cheap checks come before dear ones: length, name, form, time and, at
 * last, the signature. */
#ifndef KAD_NODE_RECORDS_H
#define KAD_NODE_RECORDS_H

#include "kademlia/validator.h"
#include "kadmium/ipns.h"
#include "kadmium/key.h"
#include "node/records_time.h"

/* The longest IPNS record, in bytes. */
#define KAD__IPNS_RECORD_MAX KAD_IPNS_RECORD_MAX

/* The validator of "/pk/": the value is the canonical PublicKey protobuf of the
 * key's PeerId. Of two values the old one is kept; they are the same key.
 * `allocator` must outlive `*out`; it serves temporary memory alone. Apart from
 * what validator.h names, validate can return KAD_E_NO_MEMORY. */
void kad__record_pk_validator(kad__validator *out,
                              const kad_allocator *allocator);

/* The validator of "/ipns/", by the rules of
 * https://specs.ipfs.tech/ipns/ipns-record/: V2 signature over the DAG-CBOR
 * data, legacy fields equal to it when there are any, not expired. Of two
 * records the one with the higher sequence wins, then the one that is valid for
 * longer, then the one with the greater bytes. Memory and errors as above; also
 * KAD_E_RECORD_EXPIRED. */
void kad__record_ipns_validator(kad__validator *out,
                                const kad_allocator *allocator);

/* What an IPNS record says, borrowed from its bytes. */
typedef struct kad__ipns_record {
  kad_bytes value; /* a content path, such as "/ipfs/bafy..." */
  kad__calendar_time valid_until;
  uint64_t sequence;
  uint64_t ttl_ns;       /* how long it may be cached */
  kad_bytes public_key;  /* protobuf; empty: the name holds it */
  kad_bytes signed_data; /* the DAG-CBOR */
  kad_bytes signature;   /* V2, over signed_data behind a prefix */
} kad__ipns_record;

/* Reads an IPNS record and checks everything but name, time and signature.
 * KAD_E_RECORD, KAD_E_RECORD_TOO_LARGE. */
int kad__ipns_decode(kad__ipns_record *out, kad_bytes record);

/* Reads a record and proves that the owner of `name` made it and that it is
 * valid at `unix_ns` (0: whenever). As kad_ipns_check. */
int kad__ipns_check(kad__ipns_record *out, const kad_allocator *allocator,
                    const kad_peer_id *name, kad_bytes record,
                    uint64_t unix_ns);

typedef struct kad__ipns_options {
  kad_bytes value;
  uint64_t sequence;
  uint64_t valid_until_unix_ns;
  uint64_t ttl_ns;
  bool v1; /* with the legacy fields, for readers from before 2021 */
} kad__ipns_options;

/* Makes an IPNS record signed by `pair`. Returns its length;
 * KAD_E_BUFFER_TOO_SMALL, KAD_E_RECORD_TOO_LARGE, KAD_E_CRYPTO. */
int kad__ipns_seal(uint8_t *out, size_t cap, const kad_key_pair *pair,
                   const kad__ipns_options *options);

/* The PeerId that a key of the form "/<name space>/<binary PeerId>" names.
 * KAD_E_RECORD when it has another form. */
int kad__record_key_peer(kad_peer_id *out, const char *name_space,
                         kad_bytes key);

/* Whether `id` is the PeerId of this (canonical) PublicKey protobuf: compares
 * bytes or one SHA-256, before anything is parsed. */
bool kad__record_names_key(const kad_peer_id *id, kad_bytes public_key);

#endif
