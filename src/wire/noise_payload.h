/* NoiseHandshakePayload (libp2p noise specification). */
#ifndef KAD_WIRE_NOISE_PAYLOAD_H
#define KAD_WIRE_NOISE_PAYLOAD_H

#include "kadmium/error.h"
#include "kadmium/types.h"

#define KAD__NOISE_MUXERS_MAX 16

typedef struct kad__noise_payload {
  kad_bytes identity_key;
  kad_bytes identity_signature;
  size_t muxer_count; /* further ones are passed over */
  kad_bytes muxers[KAD__NOISE_MUXERS_MAX];
} kad__noise_payload;

/* Borrows from `in`; a field that is missing is empty. KAD_E_PROTOBUF:
 * malformed or a known field of the wrong wire type; `out` means nothing then.
 */
int kad__noise_payload_decode(kad__noise_payload *out, kad_bytes in);
/* Returns the bytes written or KAD_E_BUFFER_TOO_SMALL. */
int kad__noise_payload_encode(uint8_t *out, size_t cap,
                              const kad__noise_payload *payload);

#endif
