/* What libp2p puts on top of Noise: each side proves, inside the handshake,
 * that its Noise static key belongs to its identity, and says which muxers it
 * speaks (libp2p noise specification, "The libp2p Handshake Payload" and
 * "Noise Extensions"). */
#ifndef KAD_CONNECTION_SECURITY_H
#define KAD_CONNECTION_SECURITY_H

#include "connection/connection.h"
#include "connection/noise.h"
#include "connection/tls.h"

/* The muxer that is offered and understood. */
#define KAD__YAMUX_NAME "/yamux/1.0.0"

/* A handshake with our static key and a fresh ephemeral one. Errors of
 * kad__noise_new. */
int kad__security_handshake(kad__noise **out, const kad__security *security,
                            const kad_allocator *allocator, kad_random *random,
                            bool initiator);

/* Our payload: the same for every connection. Borrowed. */
kad_bytes kad__security_payload(const kad__security *security);

const kad__noise_suite *kad__security_suite(const kad__security *security);

/* Checks the peer's payload against the static key that the handshake brought.
 * On success `*key` (yours to free) is the proven identity, which is not ours,
 * and `*early_muxer` says whether the peer offered our muxer.
 * KAD_E_NOISE: malformed, or without key. KAD_E_KEY, KAD_E_KEY_TYPE,
 * KAD_E_KEY_SIZE, KAD_E_SIGNATURE, KAD_E_SELF, KAD_E_NO_MEMORY. */
int kad__security_verify(kad_public_key **key, bool *early_muxer,
                         const kad__security *security,
                         const kad_allocator *allocator, kad_bytes payload,
                         const uint8_t static_key[KAD__X25519_LEN]);

/* A TLS handshake; the context is made at the first. `*tls` is yours to free,
 * and writes to `out`. KAD_E_NO_MEMORY, KAD_E_CRYPTO. */
int kad__security_tls(kad__tls **tls, kad__security *security,
                      const kad_allocator *allocator, kad_random *random,
                      kad__buffer *out, bool dialer, kad_time now);

/* The key is our own. */
bool kad__security_is_self(const kad__security *security,
                           const kad_public_key *key);

#endif
