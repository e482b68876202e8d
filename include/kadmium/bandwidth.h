/**
 * @file
 * How many bytes a node moves, and how fast: in all, per peer, per protocol.
 *
 * Streams count what applications read and write (the DHT and the other
 * built-in protocols are applications, too); raw is what connections carry,
 * handshakes and encryption included. Rates are smoothed: one sample a second,
 * of which the newest counts for 63%.
 */
#ifndef KADMIUM_BANDWIDTH_H
#define KADMIUM_BANDWIDTH_H

#include "kadmium/node.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct kad_bandwidth {
  uint64_t in; /**< bytes read from streams */
  uint64_t out;
  double rate_in; /**< bytes a second */
  double rate_out;
  uint64_t raw_in; /**< bytes of connections; 0 for a protocol */
  uint64_t raw_out;
  double raw_rate_in;
  double raw_rate_out;
} kad_bandwidth;

/** Since the node was made. */
KAD_API void kad_node_bandwidth(const kad_node *node, kad_bandwidth *out);
/** Of one peer: kept while it is connected and for an hour afterwards, for at
 * most 512 such peers. False: not known, `*out` is zeroed. */
KAD_API bool kad_node_bandwidth_peer(const kad_node *node, kad_bandwidth *out,
                                     const kad_peer_id *peer);
/** Of one protocol: the 128 used last are known. False: not known, `*out` is
 * zeroed. */
KAD_API bool kad_node_bandwidth_protocol(const kad_node *node,
                                         kad_bandwidth *out,
                                         kad_bytes protocol);

#ifdef __cplusplus
}
#endif

#endif
