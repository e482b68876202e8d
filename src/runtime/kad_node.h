/* The public handle, for the files that implement its functions. */
#ifndef KAD_RUNTIME_KAD_NODE_H
#define KAD_RUNTIME_KAD_NODE_H

#include "kadmium/node.h"
#include "runtime/host.h"

struct kad_node {
  kad__host host;
};

#endif
