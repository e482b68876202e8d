/* A TCP client that speaks as much of the protocol as the test wants, and then
 * says what no honest peer would. */
#ifndef KAD_TESTS_RUNTIME_RAW_PEER_H
#define KAD_TESTS_RUNTIME_RAW_PEER_H

#include "base/buffer.h"
#include "connection/noise.h"
#include "loop.h"

/* A literal with its NULs and without the last. */
#define LITERAL(text) kad__bytes(text, sizeof(text) - 1)
#define MULTISTREAM "\x13/multistream/1.0.0\n"
#define NOISE MULTISTREAM "\x07/noise\n"

typedef struct raw_peer {
  loop *l; /* turned while the peer waits */
  int fd;
  kad__noise_suite suite;
  kad__x25519 key;
  kad_key_pair *pair;
  kad__noise *noise;
  kad__noise_cipher send;
  kad__noise_cipher receive;
  kad__buffer wire;  /* received, not yet taken */
  kad__buffer heard; /* decrypted, not yet taken */
} raw_peer;

/* Connects to loopback; `seed` decides its keys. */
void raw_open(raw_peer *p, loop *l, uint16_t port, uint64_t seed);
void raw_close(raw_peer *p);

/* Bytes as they are; what the peer's socket refuses is dropped. */
void raw_send(raw_peer *p, kad_bytes bytes);
/* True when the node has ended the connection within `limit`. */
bool raw_ended(raw_peer *p, kad_time limit);

/* multistream-select and the Noise handshake, honestly, up to its message
 * `messages` (1 to 3) of which the last ours can be bent by `bend` (may be
 * NULL). Afterwards the connection speaks yamux. */
typedef void (*raw_bend)(uint8_t *message, size_t *len);
void raw_handshake(raw_peer *p, int messages, raw_bend bend);
/* All of it; false when the node hangs up meanwhile. */
bool raw_try_handshake(raw_peer *p);

/* Encrypts and sends. */
void raw_say(raw_peer *p, kad_bytes text);
/* Waits until `len` decrypted bytes are there; false when the connection ends
 * or nothing comes. They stay in p->heard. */
bool raw_hear(raw_peer *p, size_t len);

/* A yamux frame: header and body. */
void raw_frame(raw_peer *p, uint8_t type, uint16_t flags, uint32_t id,
               uint32_t len, kad_bytes body);
/* Opens stream `id` for `protocol` (a name) and sends `body` behind it. */
void raw_stream(raw_peer *p, uint32_t id, const char *protocol, kad_bytes body);
/* True when the node resets stream `id`, or sends data on it; other frames are
 * dropped. */
bool raw_was_reset(raw_peer *p, uint32_t id);
bool raw_was_answered(raw_peer *p, uint32_t id);

enum { YAMUX_DATA = 0, YAMUX_WINDOW = 1, YAMUX_PING = 2, YAMUX_GO_AWAY = 3 };
enum { YAMUX_SYN = 1, YAMUX_ACK = 2, YAMUX_FIN = 4, YAMUX_RST = 8 };

#endif
