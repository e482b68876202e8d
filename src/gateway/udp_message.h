/* The datagrams of the kademlia-dht crate (1.2): a message is a request with a
 * random id, or a response that repeats the whole request. There is no
 * specification but the crate: its structs in the fixed-width encoding of
 * bincode 0.9, that is little-endian integers, a 32-bit number for the case of
 * an enum, a 64-bit length before strings and lists, and keys as they are.
 *
 *   message   0 request | 1 response | 2 kill
 *   request   id[32], sender node,
 *             0 ping | 1 store key[32] string | 2 find-node key[32] |
 *             3 find-value key[32]
 *   response  request, receiver node,
 *             0 nodes list | 1 value string | 2 pong
 *   node      string "ip:port", id[32]
 *
 * Strings are UTF-8: a reader in Rust gives up on anything else, so nothing
 * else is written, or read. */
#ifndef KAD_GATEWAY_UDP_MESSAGE_H
#define KAD_GATEWAY_UDP_MESSAGE_H

#include "kadmium/error.h"
#include "kadmium/types.h"

#define KAD__UDP_ID_LEN 32
/* The longest datagram, either way. */
#define KAD__UDP_DATAGRAM_MAX 8196
/* Nodes of a list that are kept; further ones are checked and passed over. */
#define KAD__UDP_NODES_MAX 40
/* The longest text of an address that is expected in a node; what others may
 * put beside a value, two of these and the rest of a response, has to fit into
 * a datagram with it. */
#define KAD__UDP_NODE_TEXT_MAX 64
#define KAD__UDP_RESPONSE_OVERHEAD 164
#define KAD__UDP_VALUE_MAX                              \
  (KAD__UDP_DATAGRAM_MAX - KAD__UDP_RESPONSE_OVERHEAD - \
   2 * KAD__UDP_NODE_TEXT_MAX)

typedef enum kad__udp_type {
  KAD__UDP_REQUEST = 0,
  KAD__UDP_RESPONSE = 1,
  KAD__UDP_KILL = 2 /* of a node to itself; whoever else sends it means ill */
} kad__udp_type;

typedef enum kad__udp_ask {
  KAD__UDP_PING = 0,
  KAD__UDP_STORE = 1,
  KAD__UDP_FIND_NODE = 2,
  KAD__UDP_FIND_VALUE = 3
} kad__udp_ask;

typedef enum kad__udp_reply {
  KAD__UDP_NODES = 0,
  KAD__UDP_VALUE = 1,
  KAD__UDP_PONG = 2
} kad__udp_reply;

/* Ids and keys point at 32 bytes. Everything is borrowed. */
typedef struct kad__udp_node {
  kad_bytes address; /* text; any text */
  const uint8_t *id;
} kad__udp_node;

typedef struct kad__udp_request {
  const uint8_t *id;
  kad__udp_node sender;
  kad__udp_ask ask;
  const uint8_t *key; /* not of a ping */
  kad_bytes value;    /* of a store */
} kad__udp_request;

typedef struct kad__udp_message {
  kad__udp_type type;
  kad__udp_request request; /* not of a kill */
  kad__udp_node receiver;   /* of a response, as what follows */
  kad__udp_reply reply;
  kad_bytes value;
  size_t node_count;
  kad__udp_node nodes[KAD__UDP_NODES_MAX];
} kad__udp_message;

/* Reads one datagram; everything in `out` borrows from it. KAD_E_TRUNCATED: it
 * ends early. KAD_E_MESSAGE: an unknown case, text that is not UTF-8, or bytes
 * after the end. KAD_E_MESSAGE_TOO_LARGE. */
int kad__udp_message_decode(kad__udp_message *out, kad_bytes datagram);

/* The exact length of the datagram. */
size_t kad__udp_message_len(const kad__udp_message *m);

/* Returns the length. KAD_E_MESSAGE_TOO_LARGE: above KAD__UDP_DATAGRAM_MAX.
 * KAD_E_BUFFER_TOO_SMALL. KAD_E_RECORD: a value is not UTF-8. */
int kad__udp_message_encode(uint8_t *out, size_t cap,
                            const kad__udp_message *m);

/* Whether all of `text` is UTF-8 as Rust has it: shortest forms, no
 * surrogates, at most U+10FFFF. */
bool kad__udp_utf8(kad_bytes text);

#endif
