/* Noise_XX_25519_ChaChaPoly_SHA256 (Noise Protocol Framework, revision 34).
 *
 * Three handshake messages, each written by one side and read by the other in
 * turn, then two ciphers, one per direction. This is Noise alone: what libp2p
 * puts into the payloads is in security.h, the two-byte lengths in front of
 * messages are in connection.c. */
#ifndef KAD_CONNECTION_NOISE_H
#define KAD_CONNECTION_NOISE_H

#include "connection/noise_crypto.h"

/* The longest message that Noise allows, and the text that fits into it. */
#define KAD__NOISE_MESSAGE_MAX 65535
#define KAD__NOISE_TEXT_MAX (KAD__NOISE_MESSAGE_MAX - KAD__AEAD_TAG_LEN)
/* The longest handshake message that we read or write. The largest honest one
 * carries an RSA key and signature of 8192 bits, 2.2 KB together. */
#define KAD__NOISE_HANDSHAKE_MAX 4096
/* What a handshake message has besides its payload, at most: two keys and two
 * tags. */
#define KAD__NOISE_HANDSHAKE_OVERHEAD \
  (2 * KAD__X25519_LEN + 2 * KAD__AEAD_TAG_LEN)

/* One direction of the traffic. The counter never advances on a failure and
 * never wraps: its last value is reserved. */
typedef struct kad__noise_cipher {
  uint64_t nonce;
  uint8_t key[KAD__AEAD_KEY_LEN];
} kad__noise_cipher;

/* Encrypts `len` (at most KAD__NOISE_TEXT_MAX) bytes in place; 16 bytes of tag
 * follow them. KAD_E_NOISE: the counter is at its end. KAD_E_CRYPTO. */
int kad__noise_encrypt(const kad__noise_suite *suite, kad__noise_cipher *cipher,
                       uint8_t *data, size_t len);
/* Decrypts in place; returns the length of the text. KAD_E_NOISE: shorter than
 * a tag, or the counter is at its end. KAD_E_DECRYPT. */
int kad__noise_decrypt(const kad__noise_suite *suite, kad__noise_cipher *cipher,
                       uint8_t *data, size_t len);

typedef struct kad__noise kad__noise;

/* Begins a handshake. `suite` and `local` (the static key) are borrowed and
 * outlive it; `ephemeral` is a fresh random private key, and copied.
 * KAD_E_NO_MEMORY, KAD_E_CRYPTO. */
int kad__noise_new(kad__noise **out, const kad_allocator *allocator,
                   const kad__noise_suite *suite, const kad__x25519 *local,
                   const uint8_t ephemeral[KAD__X25519_LEN], kad_bytes prologue,
                   bool initiator);
/* Wipes and frees; takes NULL. */
void kad__noise_free(kad__noise *n);

/* True when the next message is ours to write. */
bool kad__noise_writes(const kad__noise *n);
/* True when all three messages have passed. */
bool kad__noise_done(const kad__noise *n);

/* Writes our next message with `payload` (not inside `out`) and returns its
 * length. KAD_E_BUFFER_TOO_SMALL, KAD_E_STATE (not our turn), KAD_E_NOISE,
 * KAD_E_CRYPTO; after any of them the handshake is over. */
int kad__noise_write(kad__noise *n, uint8_t *out, size_t cap,
                     kad_bytes payload);
/* Reads the peer's next message, decrypting in place; `*payload` lies inside
 * it. KAD_E_NOISE: too short or long, or a public key of low order.
 * KAD_E_DECRYPT, KAD_E_STATE, KAD_E_CRYPTO; after any of them the handshake is
 * over. */
int kad__noise_read(kad__noise *n, uint8_t *message, size_t len,
                    kad_bytes *payload);

/* The peer's static public key, once a message has brought it. */
const uint8_t *kad__noise_remote(const kad__noise *n);
/* The hash of the whole handshake, once it is done. */
const uint8_t *kad__noise_hash(const kad__noise *n);
/* The ciphers of the traffic, once it is done. */
void kad__noise_split(const kad__noise *n, kad__noise_cipher *send,
                      kad__noise_cipher *receive);

/* Bytes that a handshake holds, OpenSSL's objects included. */
size_t kad__noise_charge(void);

#endif
