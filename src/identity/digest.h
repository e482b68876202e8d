/* SHA-256, as the DHT's key space and PeerIds use it. */
#ifndef KAD_IDENTITY_DIGEST_H
#define KAD_IDENTITY_DIGEST_H

#include "kadmium/types.h"

/* One-shot SHA-256 without allocation; cannot fail. */
void kad__sha256(uint8_t out[32], kad_bytes in);

#endif
