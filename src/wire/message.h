/* The DHT's message (kad-dht specification, "RPC messages"), decoded into
 * borrowed bytes and bounded by construction: what exceeds a bound below is an
 * error or is passed over, as stated, and nothing is allocated. */
#ifndef KAD_WIRE_MESSAGE_H
#define KAD_WIRE_MESSAGE_H

#include "kadmium/error.h"
#include "kadmium/types.h"

typedef enum kad__message_type {
  KAD__PUT_VALUE = 0,
  KAD__GET_VALUE = 1,
  KAD__ADD_PROVIDER = 2,
  KAD__GET_PROVIDERS = 3,
  KAD__FIND_NODE = 4,
  KAD__PING = 5
} kad__message_type;

#define KAD__MESSAGE_TYPES 6

/* Entries of each list that are kept; further ones are passed over. */
#define KAD__MESSAGE_CLOSER_MAX 40
#define KAD__MESSAGE_PROVIDERS_MAX 128
/* The largest Peer entry that is kept; larger ones are passed over. */
#define KAD__MESSAGE_PEER_MAX 8192

/* Message.Peer.connection, a hint. We send NOT_CONNECTED to everybody: the
 * truth would publish our connection table. */
typedef enum kad__wire_connection {
  KAD__NOT_CONNECTED = 0,
  KAD__CONNECTED = 1,
  KAD__CAN_CONNECT = 2,
  KAD__CANNOT_CONNECT = 3
} kad__wire_connection;

typedef struct kad__wire_peer {
  kad_bytes id;        /* opaque; not empty when decoded */
  kad_bytes addresses; /* list of wire/addresses.h; when decoded, the run from
                          the first address to the last */
  kad__wire_connection connection;
} kad__wire_peer;

/* Record, with rust-libp2p's publisher (666) and ttl (777). */
typedef struct kad__wire_record {
  kad_bytes key;
  kad_bytes value;
  kad_bytes publisher;     /* empty: none */
  uint32_t ttl;            /* seconds; 0: does not expire */
  kad_bytes time_received; /* text as sent; never trusted */
} kad__wire_record;

typedef struct kad__message {
  kad__message_type type;
  bool has_record;
  int32_t cluster_level;
  kad_bytes key;
  kad__wire_record record;
  size_t closer_count;
  size_t provider_count;
  kad__wire_peer closer[KAD__MESSAGE_CLOSER_MAX];
  kad__wire_peer providers[KAD__MESSAGE_PROVIDERS_MAX];
} kad__message;

/* An empty message of `type`; leaves the peer arrays uninitialised. */
void kad__message_init(kad__message *m, kad__message_type type);

/* Reads a message, without its length prefix. Everything in `out` borrows from
 * `in`. The last of a repeated scalar counts, repeated records are merged field
 * by field. Peers without id are passed over; a connection that is not known is
 * read as KAD__NOT_CONNECTED; a ttl past 32 bits as UINT32_MAX. Of the peer
 * arrays only the entries that are counted are written to.
 *
 * KAD_E_PROTOBUF: malformed or a known field of the wrong wire type.
 * KAD_E_MESSAGE: an unknown type. After an error `out` means nothing. */
int kad__message_decode(kad__message *out, kad_bytes in);

/* The exact length of the encoding, without prefix. */
size_t kad__message_len(const kad__message *m);

/* Writes varint length and message. Returns the bytes written or
 * KAD_E_BUFFER_TOO_SMALL. Address lists are copied as they are and must hold
 * address fields only. */
int kad__message_encode(uint8_t *out, size_t cap, const kad__message *m);
/* The same for who knows that kad__message_len(m) is `len`. */
int kad__message_encode_len(uint8_t *out, size_t cap, const kad__message *m,
                            size_t len);

#endif
