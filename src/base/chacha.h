/* The ChaCha20 block function (RFC 8439, section 2.3), the heart of kad_random.
 * Encryption of what travels is libcrypto's business, not this one's. */
#ifndef KAD_BASE_CHACHA_H
#define KAD_BASE_CHACHA_H

#include "kadmium/types.h"

#define KAD__CHACHA_BLOCK_LEN 64

void kad__chacha20_block(uint8_t out[KAD__CHACHA_BLOCK_LEN],
                         const uint8_t key[32], uint32_t counter,
                         const uint8_t nonce[12]);

#endif
