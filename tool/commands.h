/* The subcommands; each returns the exit status. */
#ifndef KAD_TOOL_COMMANDS_H
#define KAD_TOOL_COMMANDS_H

#include "options.h"

int tool_node(const tool_options *options);
int tool_id(const tool_options *options);
int tool_peers(const tool_options *options);
int tool_connect(const tool_options *options);
int tool_identify(const tool_options *options);
int tool_ping(const tool_options *options);
int tool_find_peer(const tool_options *options);
int tool_closest(const tool_options *options);
int tool_publish(const tool_options *options);
int tool_put(const tool_options *options);
int tool_get(const tool_options *options);
int tool_provide(const tool_options *options);
int tool_find_providers(const tool_options *options);
int tool_trace(const tool_options *options);
int tool_swarm_key(const tool_options *options);
int tool_demo(const tool_options *options);

#endif
