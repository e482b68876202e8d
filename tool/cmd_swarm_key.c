/* kadmium swarm-key: the key of a new private network, as its file. */
#include <stdio.h>
#include <string.h>

#include "commands.h"
#include "keys.h"
#include "output.h"

#define HEADER "/key/swarm/psk/1.0.0/\n/base16/\n"

int tool_swarm_key(const tool_options *options) {
  tool_output out;
  kad_random random;
  uint8_t key[KAD_NETWORK_KEY_LEN];
  char digits[2 * sizeof(key) + 3];
  tool_output_init(&out, options);
  int error = kad_random_init_system(&random);
  if (error < 0) {
    return tool_fail(&out, error, "cannot make a key", NULL);
  }
  kad_random_bytes(&random, key, sizeof(key));
  tool_hex_encode(digits, (kad_bytes){key, sizeof(key)});
  if (out.json) {
    tool_print_json(json_pack("{s:s, s:s}", "type", "swarm_key", "key", digits),
                    NULL);
  } else {
    printf(HEADER "%s\n", digits + strlen("0x"));
  }
  explicit_bzero(key, sizeof(key));
  explicit_bzero(digits, sizeof(digits));
  explicit_bzero(&random, sizeof(random));
  return TOOL_OK;
}
