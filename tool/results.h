/* What several commands do with results and keys. */
#ifndef KAD_TOOL_RESULTS_H
#define KAD_TOOL_RESULTS_H

#include "keys.h"
#include "session.h"

/* Prints a peer or provider with its addresses. */
void tool_show_peer(tool_session *session, const kad_event *event);

/* Reads the first argument as the key of content; reports what is wrong. */
bool tool_read_content_key(tool_key *out, const tool_options *options);
/* Reads it as the key of a record. */
bool tool_read_record_key(tool_key *out, const tool_options *options);

/* Runs a request that stores something, and says at how many peers:
 * "`verb` N peers". Returns the exit status. */
int tool_session_store(const tool_options *options, const kad_request *request,
                       const char *what, const char *verb);

#endif
