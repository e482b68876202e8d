/* What a connection is made of: for connection.c, and for tests that put one
 * into a state that no peer could in a lifetime. */
#ifndef KAD_CONNECTION_CONNECTION_INTERNAL_H
#define KAD_CONNECTION_CONNECTION_INTERNAL_H

#include "connection/connection.h"
#include "connection/multistream.h"
#include "connection/noise.h"
#include "connection/pnet.h"
#include "connection/tls.h"

typedef enum kad__phase {
  KAD__PHASE_SECURITY,  /* multistream-select in the clear */
  KAD__PHASE_HANDSHAKE, /* Noise messages, or TLS */
  KAD__PHASE_MUXER,     /* multistream-select, encrypted */
  KAD__PHASE_OPEN       /* yamux, encrypted */
} kad__phase;

struct kad__connection {
  const kad_allocator *allocator;
  kad__security *security;
  kad_random *random;
  kad__yamux_config yamux_config;
  kad__phase phase;
  uint8_t first_protocol; /* of all_security_names */
  uint8_t protocol_count;
  bool dialer;
  bool has_expected;
  bool early_muxer;
  bool mute;         /* encryption failed: nothing more can be sent */
  int error;         /* why it is dead, or 0 */
  kad_time deadline; /* of the upgrade; 0: an error waits to be told */
  kad__noise *noise; /* until the handshake is done */
  kad__tls *tls;     /* instead of Noise and its ciphers */
  kad__pnet *pnet;   /* around all of it in a private network */
  kad__yamux *yamux; /* when open; a dialer has it in PHASE_MUXER already */
  kad__noise_cipher send;
  kad__noise_cipher receive;
  kad__multistream negotiation;
  kad__buffer in;        /* a unit that is not yet complete */
  kad__buffer out;       /* ready for the wire */
  kad__buffer plain_in;  /* PHASE_MUXER: a message that is not yet complete */
  kad__buffer plain_out; /* to be encrypted, before anything of yamux */
  kad_peer_id expected;
  kad_peer_id peer;
  uint8_t *peer_key;
  size_t peer_key_len;
};

#endif
