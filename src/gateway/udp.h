/* The UDP gateway: carries the calls of a DHT as single datagrams, in the
 * format of the kademlia-dht crate (udp_message.h), and so joins its networks.
 * Pure: datagrams come in with kad__udp_input and are fetched with
 * kad__udp_output.
 *
 *   FIND_NODE  find-node -> nodes      PUT_VALUE  store -> pong
 *   GET_VALUE  find-value -> value     PING       ping -> pong
 *                         or nodes
 *
 * Provider records do not exist in that protocol. A store is answered by a pong
 * in any case; a node that refuses a record answers with an empty list of
 * nodes, which the crate takes for an answer too.
 *
 * The network has no hash of its own. Peer ids and keys are 32 bytes and are
 * their own points of the key space: give the DHT kad__udp_hash, and hash what
 * you want to store before you call the DHT. Values are UTF-8
 * (kad__udp_check_record). kad__udp_configure_dht sets what is common to all.
 *
 * Nobody is authenticated there, but an address can be proved: by an answer
 * that repeats our random id and comes from where we asked. Only peers that
 * have proved theirs are told to the DHT and may store; who asks without proof
 * is sent a ping first, and answers to all of those together are bounded, so
 * that a forged source earns its victim little. */
#ifndef KAD_GATEWAY_UDP_H
#define KAD_GATEWAY_UDP_H

#include "gateway/udp_message.h"
#include "kademlia/dht.h"

typedef struct kad__udp kad__udp;

typedef struct kad__udp_config {
  kad_bytes local_id; /* 32 bytes, those of the DHT; copied */
  /* Where others reach us: a binary multiaddr, /ip4|ip6/.../udp/...; copied.
   * Nodes of the crate send their answers there, wherever we ask from. */
  kad_bytes address;
  kad_random *random;  /* borrowed, outlives the gateway */
  kad_time timeout;    /* of a call: 5 s */
  kad_time retry;      /* first repetition; doubles with each: 1 s */
  uint32_t attempts;   /* datagrams for one call, its addresses in turn: 3 */
  uint32_t max_calls;  /* at once; the DHT keeps the rest: 256 */
  uint32_t max_peers;  /* that have proved their address: 4096 */
  uint32_t max_proofs; /* that are being asked for it: 256 */
  kad_time idle; /* a peer without proof for so long is forgotten: 15 min */
  uint32_t peer_rate;     /* requests per second of one proved address: 100 */
  uint32_t stranger_rate; /* bytes per second to all others: 64 KiB */
  size_t max_queue;       /* bytes of answers not fetched yet: 1 MiB */
} kad__udp_config;

/* Defaults as above; the rest is zero and must be set. */
void kad__udp_config_default(kad__udp_config *config);

/* The identity on 32 bytes. Anything else is no id or key of such a network:
 * shorter input fills the leading bytes, longer is cut. */
void kad__udp_hash(uint8_t out[32], kad_bytes in);

/* What a DHT of such a network has in common with all others: hash, random ids,
 * 20 peers a bucket, 3 calls at once; records live for an hour and are
 * published again after 40 minutes. Local id, store and the rest are yours. */
void kad__udp_configure_dht(kad__dht_config *config);

/* Whether a record can be carried: a key of 32 bytes (KAD_E_KEY), a value of
 * UTF-8 (KAD_E_RECORD) of at most KAD__UDP_VALUE_MAX bytes
 * (KAD_E_RECORD_TOO_LARGE). Ask before kad__dht_put: what cannot be carried
 * reaches nobody. */
int kad__udp_check_record(kad_bytes key, kad_bytes value);

/* `dht` is borrowed and outlives it. KAD_E_INVALID_ARGUMENT: the id, or an
 * address that is none, or that of no single host. KAD_E_NO_MEMORY. */
int kad__udp_new(kad__udp **out, const kad_allocator *allocator, kad__dht *dht,
                 const kad__udp_config *config);
/* Its calls are forgotten. Takes NULL. */
void kad__udp_free(kad__udp *udp);

/* Takes a datagram that came from `from`, a binary multiaddr as above (IPv4,
 * not IPv4 inside IPv6). 0 when it was of use; otherwise it was dropped, and
 * counted: KAD_E_MULTIADDR, KAD_E_TRUNCATED, KAD_E_MESSAGE,
 * KAD_E_MESSAGE_TOO_LARGE (bad bytes), KAD_E_NOT_FOUND (an answer to nothing,
 * or from elsewhere), KAD_E_PEER_MISMATCH (another peer answered), KAD_E_SELF,
 * KAD_E_UNSUPPORTED (a request to a client, or a kill), KAD_E_LIMIT (too many),
 * KAD_E_STATE (a store without proof), KAD_E_NO_MEMORY, and for requests what
 * kad__dht_answer says. */
int kad__udp_input(kad__udp *udp, kad_bytes from, kad_bytes datagram,
                   kad_time now);

/* The next datagram to send: writes it to `out` and returns its length; `*to`
 * is a multiaddr, borrowed until the next call. 0: none.
 * KAD_E_BUFFER_TOO_SMALL: it does not fit, and stays; KAD__UDP_DATAGRAM_MAX
 * bytes always do. */
int kad__udp_output(kad__udp *udp, kad_bytes *to, uint8_t *out, size_t cap);

/* Takes the DHT's cancellations and calls. To be called whenever the DHT may
 * have new ones: after its tick, queries, and input. What cannot be carried
 * fails at once with an error that the peer is not blamed for: KAD_E_STATE. */
void kad__udp_drive(kad__udp *udp, kad_time now);

kad_time kad__udp_deadline(const kad__udp *udp);
void kad__udp_tick(kad__udp *udp, kad_time now);

typedef struct kad__udp_counters {
  uint64_t datagrams_in, datagrams_out;
  uint64_t malformed;    /* datagrams that do not decode */
  uint64_t kills;        /* attempts to end us */
  uint64_t strays;       /* answers to nothing, or from elsewhere */
  uint64_t mismatches;   /* answers of another peer, or to another question */
  uint64_t requests_in;  /* answered */
  uint64_t refused;      /* requests that the DHT refused */
  uint64_t limited;      /* requests dropped: too many */
  uint64_t unproved;     /* stores dropped: no proof of the address */
  uint64_t queue_full;   /* answers dropped: not fetched quickly enough */
  uint64_t nodes_passed; /* in lists: without an address that can be used */
  uint64_t calls, replies, retries, timeouts;
  uint64_t not_carried; /* calls that this protocol does not have */
  uint64_t proofs;      /* addresses proved by a ping of ours */
} kad__udp_counters;

const kad__udp_counters *kad__udp_counters_get(const kad__udp *udp);

/* Calls under way, peers that have proved their address, and those asked. */
size_t kad__udp_call_count(const kad__udp *udp);
size_t kad__udp_peer_count(const kad__udp *udp);
size_t kad__udp_proof_count(const kad__udp *udp);

#endif
