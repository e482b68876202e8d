/* What rust-libp2p would send in a network of bare nodes, were one of them of
 * its kind: a model of the rules of its lookup, run over the tables that the
 * nodes have, with the time that their links take. Nothing in the network
 * changes. */
#ifndef KAD_BENCH_RUST_RULES_H
#define KAD_BENCH_RUST_RULES_H

#include "simulator/bare.h"

typedef struct rust_lookup {
  uint32_t requests;
  uint32_t results; /* peers found, at most twenty */
  uint32_t closest[KAD__K];
  kad_time time;
} rust_lookup;

/* Node `from` looks for the twenty closest to `key`. A put then sends each of
 * the results its PUT_VALUE; a get asks GET_VALUE of the same peers in the same
 * order, since an answer names the closer peers whether or not it holds the
 * record, and goes on until the lookup is over: its caller may stop it, but by
 * itself it never ends early. */
void rust_rules_look(rust_lookup *out, kad__bare *bare, uint32_t from,
                     kad_bytes key);

#endif
