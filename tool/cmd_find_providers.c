/* kadmium find-providers: who has it? */
#include <stdio.h>

#include "commands.h"
#include "keys.h"
#include "results.h"

int tool_find_providers(const tool_options *options) {
  kad_request request = KAD_REQUEST_INIT(KAD_FIND_PROVIDERS);
  tool_key key;
  if (!tool_read_content_key(&key, options)) {
    return TOOL_USAGE;
  }
  request.key = tool_key_bytes(&key);
  request.count = options->count;
  return tool_session_do(options, &request, tool_show_peer,
                         "looking for providers");
}
