/* kadmium find-peer: where is a peer? */
#include <stdio.h>

#include "commands.h"
#include "results.h"

int tool_find_peer(const tool_options *options) {
  kad_request request = KAD_REQUEST_INIT(KAD_FIND_PEER);
  const char *text = options->arguments[0];
  if (kad_peer_id_parse(&request.peer, text) < 0) {
    fprintf(stderr,
            "kadmium find-peer: not a PeerId: %s (expected 12D3..., Qm... or "
            "a CID of a libp2p key)\n",
            text);
    return TOOL_USAGE;
  }
  char what[KAD_PEER_ID_TEXT_MAX + 32];
  snprintf(what, sizeof(what), "looking for peer %.90s", text);
  return tool_session_do(options, &request, tool_show_peer, what);
}
