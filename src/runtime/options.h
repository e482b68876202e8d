/* The public options of a node, checked and in binary. */
#ifndef KAD_RUNTIME_OPTIONS_H
#define KAD_RUNTIME_OPTIONS_H

#include "kadmium/transport.h"
#include "node/node.h"

/* Owns what `config` points at. */
typedef struct kad__options {
  kad__node_config config;
  kad_allocator allocator;
  uint8_t seed[KAD_RANDOM_SEED_LEN];
  void *memory; /* lists and binary addresses */
  bool port_mapping;
  const kad_transport *transports; /* the caller's */
  size_t transport_count;
} kad__options;

/* Reads public options, defaults filled in; `identity` may still be NULL.
 * Errors as kad_node_new; nothing to free after one. */
int kad__options_read(kad__options *out, const kad_node_options *options);
/* Wipes the seed and frees. */
void kad__options_fini(kad__options *options);

#endif
