/* The messages of AutoNAT v2 (libp2p specification "autonat-v2"): a client asks
 * a server to dial it back, at one of the addresses that it names. */
#ifndef KAD_WIRE_AUTONAT_H
#define KAD_WIRE_AUTONAT_H

#include "kadmium/error.h"
#include "kadmium/types.h"

/* The longest message that is accepted, without its length. */
#define KAD__AUTONAT_MESSAGE_MAX ((size_t)8192)
/* Bytes of data in one message. */
#define KAD__AUTONAT_DATA_MAX ((size_t)4096)
/* A dial-back and its answer, their lengths included. */
#define KAD__AUTONAT_BACK_MAX 16

/* The values are the field numbers on the wire. */
typedef enum kad__autonat_type {
  KAD__AUTONAT_DIAL_REQUEST = 1,  /* addresses, nonce */
  KAD__AUTONAT_DIAL_RESPONSE = 2, /* status, index, dial_status */
  KAD__AUTONAT_DATA_REQUEST = 3,  /* index, wanted */
  KAD__AUTONAT_DATA_RESPONSE = 4  /* data_len */
} kad__autonat_type;

typedef enum kad__autonat_status {
  KAD__AUTONAT_INTERNAL_ERROR = 0,
  KAD__AUTONAT_REJECTED = 100,     /* too many requests */
  KAD__AUTONAT_DIAL_REFUSED = 101, /* no address that the server would dial */
  KAD__AUTONAT_OK = 200            /* it dialled: see the dial status */
} kad__autonat_status;

typedef enum kad__autonat_dial_status {
  KAD__AUTONAT_DIAL_UNUSED = 0,
  KAD__AUTONAT_DIAL_ERROR = 100, /* no connection */
  KAD__AUTONAT_BACK_ERROR = 101, /* a connection, but no stream on it */
  KAD__AUTONAT_DIAL_OK = 200
} kad__autonat_dial_status;

typedef struct kad__autonat_message {
  kad__autonat_type type;
  /* Decoded: the request's body, for kad__autonat_next_address; borrowed.
   * To encode: a list of wire/addresses.h. */
  kad_bytes addresses;
  uint64_t nonce;
  uint32_t status;      /* kad__autonat_status, or what else the peer sent */
  uint32_t dial_status; /* kad__autonat_dial_status, or the like */
  uint32_t index;       /* of the address that is meant, from 0 */
  uint64_t wanted;      /* bytes of data before the server dials */
  size_t data_len;      /* encoded as so many zeros */
} kad__autonat_message;

/* KAD_E_PROTOBUF; KAD_E_MESSAGE: no known kind of message, or two. */
int kad__autonat_decode(kad__autonat_message *out, kad_bytes in);
/* Takes the next address off a decoded request; it may be no multiaddr. False
 * at the end. */
bool kad__autonat_next_address(kad_bytes *rest, kad_bytes *address);

/* Writes a message with its length in front; returns the bytes written, or
 * KAD_E_BUFFER_TOO_SMALL. */
int kad__autonat_encode(uint8_t *out, size_t cap,
                        const kad__autonat_message *message);

/* What travels on the stream of the dial-back, its length in front. The
 * decoders take the message without it. KAD_E_PROTOBUF. */
int kad__autonat_encode_back(uint8_t *out, size_t cap, uint64_t nonce);
int kad__autonat_decode_back(uint64_t *nonce, kad_bytes in);
/* Its answer has one status only: fine, which is 0 and thus absent. */
int kad__autonat_encode_back_answer(uint8_t *out, size_t cap);

#endif
