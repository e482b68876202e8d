/* Verifying Ed25519 (RFC 8032), which is a third of what a connection costs. */
#ifndef KAD_IDENTITY_ED25519_H
#define KAD_IDENTITY_ED25519_H

#include "kadmium/types.h"

#define KAD__ED25519_LEN 32
#define KAD__ED25519_SIGNATURE_LEN 64

/* Is it a point of small order, in any of its encodings? Such a "key" has
 * signatures that verify for many messages. */
bool kad__ed25519_is_small_order(const uint8_t point[KAD__ED25519_LEN]);

/* Did the owner of `key` sign `message`? KAD_E_SIGNATURE: no. KAD_E_NO_MEMORY.
 */
int kad__ed25519_verify(const uint8_t key[KAD__ED25519_LEN],
                        const uint8_t signature[KAD__ED25519_SIGNATURE_LEN],
                        kad_bytes message);

#endif
