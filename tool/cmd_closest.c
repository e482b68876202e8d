/* kadmium closest: who is responsible for a key? */
#include <stdio.h>

#include "commands.h"
#include "keys.h"
#include "results.h"

int tool_closest(const tool_options *options) {
  kad_request request = KAD_REQUEST_INIT(KAD_CLOSEST);
  tool_key key;
  const char *text = options->arguments[0];
  if (!tool_key_of_point(&key, text)) {
    fprintf(stderr,
            "kadmium closest: not a key: %s (expected a PeerId, a CID or "
            "0x...)\n",
            text);
    return TOOL_USAGE;
  }
  request.key = tool_key_bytes(&key);
  request.count = options->count;
  return tool_session_do(options, &request, tool_show_peer,
                         "looking for the closest peers");
}
