/**
 * @file
 * How the DHT of a node shall behave. A field that is 0 keeps its default, so
 * an options struct that is all zero is the default configuration; where 0
 * would mean something, KAD_TIME_NEVER or a flag of its own says it.
 */
#ifndef KADMIUM_DHT_OPTIONS_H
#define KADMIUM_DHT_OPTIONS_H

#include "kadmium/types.h"
#include "kadmium/validator.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Which addresses of others are dialled, kept and told. */
typedef enum kad_addresses {
  /** On a protocol of its own: all. On IPFS's: public ones, and private or
   * loopback ones when the node's own addresses or contacts are such. */
  KAD_ADDRESSES_AUTO,
  KAD_ADDRESSES_PUBLIC, /**< public ones alone; and of one IPv4 /16 or IPv6 /32
                             at most 3 peers in the table, 2 in a bucket */
  KAD_ADDRESSES_ALL
} kad_addresses;

typedef struct kad_dht_options {
  /* Look-ups. */
  uint32_t bucket_size;     /**< k: peers in each bucket (20) */
  uint32_t replication;     /**< peers that a record goes to (20) */
  uint32_t parallelism;     /**< alpha: requests of one look-up at once (10) */
  bool disjoint_paths;      /**< S/Kademlia: three look-ups that share no peer,
                                 and a table of those they end with: against
                                 peers that lie. Look-ups take as long, with
                                 half as many requests more; joining twice */
  kad_time query_timeout;   /**< of the DHT's own queries, whole (5 min) */
  kad_time peer_timeout;    /**< for one peer, dialling included (10 s) */
  kad_time pending_timeout; /**< until a newcomer may take a dead peer's place
                                 in a full bucket (60 s) */
  uint32_t caching; /**< closest peers without a record that get it (1) */
  bool no_caching;  /**< none do */

  /* Records. KAD_TIME_NEVER: they do not expire, or are not sent again. */
  kad_time record_ttl;                    /**< of ours (48 h) */
  kad_time provider_ttl;                  /**< of others' (48 h) */
  kad_time replication_interval;          /**< of others' records (1 h) */
  kad_time publication_interval;          /**< of our records (22 h) */
  kad_time provider_publication_interval; /**< of what we provide (22 h) */

  /* The routing table. */
  kad_time bootstrap_interval; /**< between two (5 min); NEVER: by hand */
  kad_time bootstrap_throttle; /**< from the first peer of a short table to the
                                    automatic one (500 ms); NEVER: none */
  bool manual_inserts;         /**< peers enter by kad_node_add_address alone */
  bool trust_peers;            /**< they enter before they have answered us */
  kad_addresses addresses;
  bool optimistic_provide; /**< quicker, by the estimated network size */

  /* Messages, in bytes. */
  uint32_t max_request;    /**< accepted from others (64 KiB) */
  uint32_t max_reply;      /**< accepted as an answer with a record or providers
                                (4 MiB) */
  kad_time stream_timeout; /**< of an inbound stream between requests (60 s) */

  /** Rules for namespaces, before those of the node's own list; copied, what
   * they point at is borrowed and outlives the node. */
  const kad_validator *validators;
  size_t validator_count;
} kad_dht_options;

#ifdef __cplusplus
}
#endif

#endif
