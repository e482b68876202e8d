/* Private networks by a pre-shared key (libp2p specification "Pre-shared Key
 * Based Private Networks"): whoever lacks the key of 32 bytes cannot even tell
 * what protocol is spoken.
 *
 * Each side sends a nonce of 24 bytes, and all that follows it is XORed with
 * XSalsa20's stream. That authenticates nothing; what is inside does. */
#ifndef KAD_CONNECTION_PNET_H
#define KAD_CONNECTION_PNET_H

#include "kadmium/error.h"
#include "kadmium/random.h"

#define KAD__PNET_KEY_LEN 32
#define KAD__PNET_NONCE_LEN 24

/* One direction. */
typedef struct kad__pnet_stream {
  uint64_t position;  /* bytes that have passed behind the nonce */
  uint8_t nonce_done; /* bytes of it that were sent or have arrived */
  uint8_t nonce[KAD__PNET_NONCE_LEN];
} kad__pnet_stream;

typedef struct kad__pnet {
  uint8_t key[KAD__PNET_KEY_LEN];
  kad__pnet_stream send;
  kad__pnet_stream receive;
} kad__pnet;

/* False in a build without libsodium. */
bool kad__pnet_supported(void);

/* KAD_E_UNSUPPORTED in a build without libsodium. `*out` is yours to free,
 * KAD_E_NO_MEMORY. */
int kad__pnet_new(kad__pnet **out, const kad_allocator *allocator,
                  const uint8_t key[KAD__PNET_KEY_LEN], kad_random *random);
/* Wipes and frees; takes NULL. */
void kad__pnet_free(kad__pnet *p, const kad_allocator *allocator);

/* Takes what arrived: returns how many bytes of the nonce stood in front, and
 * decrypts the rest in place. */
size_t kad__pnet_receive(kad__pnet *p, uint8_t *data, size_t len);

/* Before the first bytes of ours, the nonce: writes it to `out`, which has room
 * for it, and returns its length, 0 when it was sent. */
size_t kad__pnet_begin(kad__pnet *p, uint8_t *out);
/* Encrypts in place. */
void kad__pnet_send(kad__pnet *p, uint8_t *data, size_t len);

#endif
