/* One secured, multiplexed connection over any reliable byte channel:
 * multistream-select, Noise XX or TLS 1.3, multistream-select (or the muxer
 * agreed inside the handshake), yamux. Feed what the socket read, pull what it
 * shall write, take events; no socket, no clock. */
#ifndef KAD_CONNECTION_CONNECTION_H
#define KAD_CONNECTION_CONNECTION_H

#include "connection/yamux.h"
#include "kadmium/key.h"

/* What every connection of one node shares: its identity, a Noise static key
 * that the identity has signed once, and OpenSSL's objects. It and all that use
 * it belong to one thread. */
typedef struct kad__security kad__security;

/* `pair`, of any type, is borrowed and must outlive it. KAD_E_NO_MEMORY,
 * KAD_E_CRYPTO. */
int kad__security_new(kad__security **out, const kad_allocator *allocator,
                      const kad_key_pair *pair, kad_random *random);
void kad__security_free(kad__security *security);
/* The wall clock at `now`, by which certificates are judged. Until it is told
 * they are not judged by time. */
void kad__security_set_wall_clock(kad__security *security, kad_time now,
                                  uint64_t unix_ns);

/* The ways to secure a connection. */
typedef enum kad__security_protocol {
  KAD__SECURITY_NONE,
  KAD__SECURITY_NOISE,
  KAD__SECURITY_TLS
} kad__security_protocol;

#define KAD__SECURITY_PROTOCOLS 2

typedef struct kad__connection_config {
  const kad_allocator *allocator;
  kad__security *security;
  kad_random *random;
  kad__yamux_config yamux;
  kad_time upgrade_timeout; /* total, 15 s */
  /* In order of preference, NONE behind the last. A dialer that has one does
   * not wait for the peer to agree, which saves a round trip. All NONE: a
   * listener takes either, a dialer proposes Noise, which costs least and which
   * all others speak. */
  uint8_t protocols[KAD__SECURITY_PROTOCOLS];
  /* The key of a private network, KAD__PNET_KEY_LEN bytes, copied; NULL: a
   * public one. */
  const uint8_t *network_key;
} kad__connection_config;

typedef struct kad__connection kad__connection;

/* Starts an upgrade. `expected` (may be NULL) is whom a dialer wants; another
 * identity fails with KAD_E_PEER_MISMATCH, our own with KAD_E_SELF. The config
 * is copied, what it points to is borrowed. KAD_E_NO_MEMORY, KAD_E_CRYPTO,
 * KAD_E_UNSUPPORTED (a network key in a build without libsodium). */
int kad__connection_new(kad__connection **out,
                        const kad__connection_config *config, bool dialer,
                        const kad_peer_id *expected, kad_time now);
void kad__connection_free(kad__connection *c);

/* Takes all of the `len` bytes at `in`, decrypting in place: the memory is
 * scribbled over. On an error the connection is dead: nothing is delivered
 * from then on, what kad__connection_output still gives may be sent, then the
 * channel is closed. Errors: KAD_E_MULTISTREAM, KAD_E_NO_PROTOCOL, KAD_E_LIMIT
 * (too many proposals), KAD_E_NOISE, KAD_E_TLS, KAD_E_CERTIFICATE and its kin,
 * KAD_E_DECRYPT, KAD_E_SIGNATURE, KAD_E_KEY and its kin, KAD_E_PEER_MISMATCH,
 * KAD_E_SELF, KAD_E_NO_MEMORY, KAD_E_CRYPTO, those of kad__yamux_input. */
int kad__connection_input(kad__connection *c, uint8_t *in, size_t len,
                          kad_time now);
/* The channel ended. KAD_E_TRUNCATED in the middle of a frame, else
 * KAD_E_CLOSED. */
int kad__connection_input_end(kad__connection *c);

/* Writes what is ready for the wire, at most `cap` (at least 16 KiB) bytes;
 * returns the bytes written. Call until it returns 0. */
size_t kad__connection_output(kad__connection *c, uint8_t *out, size_t cap,
                              kad_time now);
bool kad__connection_has_output(const kad__connection *c);
bool kad__connection_congested(const kad__connection *c);

/* True from the moment at which streams can be opened. A dialer need not wait
 * for the peer's last word: should that be a refusal, input fails with
 * KAD_E_NO_PROTOCOL. */
bool kad__connection_established(const kad__connection *c);
/* The peer's identity is proven; a dialer knows before it has told its own. */
bool kad__connection_secured(const kad__connection *c);
/* The muxer was agreed inside the handshake. */
bool kad__connection_early_muxer(const kad__connection *c);
/* The proven identity; valid once secured. Borrowed. */
const kad_peer_id *kad__connection_peer(const kad__connection *c);
/* The public key's protobuf; valid once established. Borrowed. */
kad_bytes kad__connection_peer_key(const kad__connection *c);
/* How it is secured; NONE until that is agreed. */
kad__security_protocol kad__connection_security(const kad__connection *c);
/* The session, for streams and their events; NULL before established. */
kad__yamux *kad__connection_yamux(const kad__connection *c);

/* When to call kad__connection_tick. */
kad_time kad__connection_deadline(const kad__connection *c);
/* KAD_E_TIMEOUT: the upgrade took too long, or the peer is silent. Of a dead
 * connection the error that killed it; one that died on output, which has no
 * way to say so, has its deadline at once. */
int kad__connection_tick(kad__connection *c, kad_time now);

/* Bytes of memory held for this connection, its fixed part included: 0.9 KiB
 * when idle with Noise, 19.5 KiB with TLS. */
size_t kad__connection_charge(const kad__connection *c);

#endif
