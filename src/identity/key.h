/* What public keys and key pairs share inside this folder. */
#ifndef KAD_IDENTITY_KEY_H
#define KAD_IDENTITY_KEY_H

#include <openssl/evp.h>

#include "kadmium/key.h"

/* One block of memory; the key's protobuf stands at its end. */
struct kad_public_key {
  kad_allocator allocator;
  EVP_PKEY *handle; /* NULL: Ed25519, which needs none */
  kad_key_type type;
  kad_peer_id id;
  size_t len;
  uint8_t bytes[];
};

/* The public key whose protobuf has these fields; `*out` is yours to free. The
 * errors of kad_public_key_decode but KAD_E_PROTOBUF. */
int kad__public_key_new(kad_public_key **out, const kad_allocator *allocator,
                        uint64_t type, kad_bytes data);

/* The fields of the `PublicKey` and `PrivateKey` protobufs, which look alike.
 * Unknown fields are passed over and the last of several counts, as protobuf
 * asks. KAD_E_PROTOBUF: malformed, or a field is missing. */
int kad__key_fields(uint64_t *type, kad_bytes *data, kad_bytes in);

#endif
