/* kadmium provide: announce an identity as a provider. The announcement names
 * the addresses of this node, so it listens, and others can only use it when a
 * node with that key keeps listening there. */
#include <stdio.h>

#include "commands.h"
#include "keys.h"
#include "results.h"

int tool_provide(const tool_options *options) {
  kad_request request = KAD_REQUEST_INIT(KAD_PROVIDE);
  tool_key key;
  if (!tool_read_content_key(&key, options)) {
    return TOOL_USAGE;
  }
  request.key = tool_key_bytes(&key);
  tool_options listening = *options;
  if (listening.listen.count == 0) {
    listening.listen.items[listening.listen.count++] = "/ip4/0.0.0.0/tcp/0";
    listening.mode = KAD_MODE_CLIENT;
  }
  return tool_session_store(&listening, &request, "announcing", "announced to");
}
