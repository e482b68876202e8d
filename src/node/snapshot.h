/* What a node wants to know again after a restart, as bytes: the format is in
 * docs/snapshot.md. */
#ifndef KAD_NODE_SNAPSHOT_H
#define KAD_NODE_SNAPSHOT_H

#include "node/node.h"

/* As kad_node_snapshot and kad_node_restore. */
int kad__node_snapshot(kad__node *node, uint8_t *out, size_t cap,
                       size_t *needed, kad_time now);
int kad__node_restore(kad__node *node, kad_bytes snapshot, kad_time now);

#endif
