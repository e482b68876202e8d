/* TLS 1.3 as libp2p uses it (libp2p tls specification; "Multiplexer Negotiation
 * over TLS"): both sides show a certificate, no tickets, no early data, the
 * muxer agreed by ALPN.
 *
 * The handshake and the records are OpenSSL's, between memory and memory. What
 * connections share is a context; it is made when the first connection needs
 * it, since it costs what a thousand idle connections do. */
#ifndef KAD_CONNECTION_TLS_H
#define KAD_CONNECTION_TLS_H

#include "base/buffer.h"
#include "kadmium/key.h"

/* The text that fits into a record, and what a record adds to it. */
#define KAD__TLS_TEXT_MAX 16384
#define KAD__TLS_OVERHEAD 22
/* All bytes of a handshake that are taken from a peer. */
#define KAD__TLS_HANDSHAKE_MAX 65536
/* Messages a peer may send behind the handshake: new keys, tickets. */
#define KAD__TLS_LATE_MESSAGES_MAX 1000

typedef struct kad__tls_context kad__tls_context;

/* With a certificate of its own, in which `pair` vouches. All its randomness
 * is drawn from a generator that is seeded from `random`. KAD_E_NO_MEMORY,
 * KAD_E_CRYPTO. */
int kad__tls_context_new(kad__tls_context **out, const kad_allocator *allocator,
                         const kad_key_pair *pair, kad_random *random);
void kad__tls_context_free(kad__tls_context *context);

typedef struct kad__tls kad__tls;

/* Begins a handshake. The context and `out`, where what is for the wire is
 * appended, are borrowed and outlive it. `unix_seconds`: see
 * kad__certificate_verify. KAD_E_NO_MEMORY. */
int kad__tls_new(kad__tls **out_tls, kad__tls_context *context,
                 const kad_allocator *allocator, kad__buffer *out, bool dialer,
                 uint64_t unix_seconds);
void kad__tls_free(kad__tls *t);

/* Gives bytes from the wire: borrowed until kad__tls_handshake or kad__tls_read
 * returned 0, which they do when all were taken. */
void kad__tls_give(kad__tls *t, kad_bytes in);

/* Goes on with the handshake. Returns 1 when it is done, 0 when more bytes are
 * needed. KAD_E_TLS: malformed, too long, or the peer gave up.
 * KAD_E_NO_PROTOCOL: none of the client's names of ALPN is known.
 * KAD_E_NO_MEMORY, KAD_E_CRYPTO, those of kad__certificate_verify,
 * KAD_E_CERTIFICATE too when there is none or more than one. After an error
 * what is for the wire may be sent: it tells the peer. */
int kad__tls_handshake(kad__tls *t);

/* Once the handshake is done: whether it agreed on yamux, and whom it proved;
 * the key is the caller's from then on. */
bool kad__tls_early_muxer(const kad__tls *t);
kad_public_key *kad__tls_take_key(kad__tls *t);

/* Decrypts what was given. Returns 1 with the next piece of text, which lies in
 * the context's memory and is good until that is used again, or 0 when there is
 * no whole record left. KAD_E_TLS, KAD_E_DECRYPT, KAD_E_CLOSED (the peer said
 * that nothing follows), KAD_E_NO_MEMORY. */
int kad__tls_read(kad__tls *t, kad_bytes *text);

/* Where the next text for kad__tls_write is put: KAD__TLS_TEXT_MAX bytes. */
uint8_t *kad__tls_text(kad__tls *t);
/* Encrypts the `len` bytes of kad__tls_text into `out`, which has room for
 * KAD__TLS_OVERHEAD more. Returns the bytes written. KAD_E_TLS,
 * KAD_E_NO_MEMORY. */
int kad__tls_write(kad__tls *t, size_t len, uint8_t *out, size_t cap);

/* The bytes given so far end inside a record. */
bool kad__tls_cut(const kad__tls *t);

/* Bytes that it holds, OpenSSL's objects included. */
size_t kad__tls_charge(const kad__tls *t);

#endif
