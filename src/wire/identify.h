/* The identify message (libp2p identify specification). */
#ifndef KAD_WIRE_IDENTIFY_H
#define KAD_WIRE_IDENTIFY_H

#include "kadmium/error.h"
#include "kadmium/types.h"

#define KAD__IDENTIFY_ADDRESSES_MAX 500
#define KAD__IDENTIFY_PROTOCOLS_MAX 256

/* Borrowed from the input when decoded; `has_...` tells absent from empty,
 * which identify push needs. */
typedef struct kad__identify_message {
  kad_bytes public_key;
  kad_bytes agent_version;
  kad_bytes protocol_version;
  kad_bytes observed_address;
  kad_bytes signed_peer_record;
  bool has_public_key;
  bool has_agent_version;
  bool has_protocol_version;
  bool has_observed_address;
  bool has_signed_peer_record;
  size_t address_count; /* kept ones; further ones are passed over */
  size_t protocol_count;
  kad_bytes addresses[KAD__IDENTIFY_ADDRESSES_MAX];
  kad_bytes protocols[KAD__IDENTIFY_PROTOCOLS_MAX];
} kad__identify_message;

/* Merges one message (identify may come in several) into `out`, which starts
 * zeroed: lists append, scalars replace. KAD_E_PROTOBUF: malformed or a known
 * field of the wrong wire type; `out` then holds what came before. */
int kad__identify_merge(kad__identify_message *out, kad_bytes in);

/* Writes varint length and message; the signed record comes last. Returns the
 * bytes written or KAD_E_BUFFER_TOO_SMALL. */
int kad__identify_encode(uint8_t *out, size_t cap,
                         const kad__identify_message *m);

#endif
