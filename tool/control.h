/* Commands for a running node, one JSON object a line on its standard input:
 *
 *     {"tag": 7, "op": "put", "key": "0x..", "value": "0x..", "quorum": "one"}
 *
 * Ops: put, get, provide, find-providers, find-peer, closest, ping, connect,
 * bootstrap, peers. Answers carry the tag that was given (any JSON value):
 * the same objects as the commands print, the last {"type":"end", ...}. */
#ifndef KAD_TOOL_CONTROL_H
#define KAD_TOOL_CONTROL_H

#include "output.h"

typedef struct tool_control tool_control;

tool_control *tool_control_new(kad_node *node, const tool_options *options);
void tool_control_free(tool_control *control);

/* The descriptor to wait for, or -1 once input has ended. */
int tool_control_fd(const tool_control *control);
/* Reads what is there and starts what it asks. */
void tool_control_read(tool_control *control);
/* Takes an event that belongs to one of its requests; false: not one. */
bool tool_control_event(tool_control *control, const kad_event *event);

#endif
