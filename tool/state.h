/* The snapshot of a node in a file, so that a restart finds its network again.
 */
#ifndef KAD_TOOL_STATE_H
#define KAD_TOOL_STATE_H

#include "output.h"

/* How often `node` writes it while it runs. */
#define TOOL_STATE_INTERVAL_S 600

/* Reads the file into the node; no file is fine. False when there is one that
 * cannot be used, which has been reported. */
bool tool_state_load(kad_node *node, const char *path, tool_output *out);
/* Replaces the file, atomically. What goes wrong is reported. */
void tool_state_save(kad_node *node, const char *path, tool_output *out);

#endif
