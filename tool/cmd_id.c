/* kadmium id: who a key file makes us. */
#include <stdio.h>

#include "commands.h"
#include "session.h"

static void print_id(const tool_output *out, const kad_peer_id *id) {
  char text[KAD_PEER_ID_TEXT_MAX];
  char cid[KAD_PEER_ID_TEXT_MAX];
  tool_peer_text(text, id);
  if (kad_peer_id_format_cid(cid, sizeof(cid), id) < 0) {
    cid[0] = '\0';
  }
  if (out->json) {
    tool_print_json(
        json_pack("{s:s, s:s, s:s}", "type", "id", "id", text, "cid", cid),
        NULL);
    return;
  }
  printf("%s\n", text);
  if (out->verbose) {
    printf("%s\n", cid);
  }
}

int tool_id(const tool_options *options) {
  tool_output out;
  kad_key_pair *identity = NULL;
  tool_output_init(&out, options);
  if (!tool_load_identity(&identity, options, &out)) {
    return TOOL_FAILED;
  }
  /* Without a key file there is nothing to show but a fresh identity, which is
   * what a node without --key would take. */
  if (identity == NULL) {
    int error = tool_new_identity(&identity, options);
    if (error < 0) {
      return tool_fail(&out, error, "cannot make an identity", NULL);
    }
    tool_note(&out, "a new identity that is not kept; --key FILE keeps one");
  }
  print_id(&out, kad_key_pair_peer_id(identity));
  kad_key_pair_free(identity);
  return TOOL_OK;
}
