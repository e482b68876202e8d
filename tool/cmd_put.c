/* kadmium put: store a record. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "results.h"

/* No network takes more; reading stops there. */
#define VALUE_MAX ((size_t)4 * 1024 * 1024)

typedef struct record_value {
  uint8_t *bytes;
  size_t len;
} record_value;

static bool read_stdin(record_value *out) {
  out->bytes = malloc(VALUE_MAX + 1);
  if (out->bytes == NULL) {
    return false;
  }
  out->len = fread(out->bytes, 1, VALUE_MAX + 1, stdin);
  if (ferror(stdin) || out->len > VALUE_MAX) {
    fprintf(stderr,
            "kadmium put: cannot read a value of at most %zu bytes "
            "from standard input\n",
            VALUE_MAX);
    return false;
  }
  return true;
}

/* "-", 0x..., or the text itself. */
static bool read_value(record_value *out, const char *text) {
  if (strcmp(text, "-") == 0) {
    return read_stdin(out);
  }
  size_t len = strlen(text);
  out->bytes = malloc(len + 1);
  if (out->bytes == NULL) {
    return false;
  }
  if (strncmp(text, "0x", 2) != 0) {
    memcpy(out->bytes, text, len);
    out->len = len;
    return true;
  }
  long decoded = tool_hex_decode(out->bytes, len, text);
  if (decoded < 0) {
    fprintf(stderr,
            "kadmium put: not a value: %s (0x wants pairs of "
            "hexadecimal digits; - reads standard input)\n",
            text);
    return false;
  }
  out->len = (size_t)decoded;
  return true;
}

int tool_put(const tool_options *options) {
  tool_key key;
  record_value value = {NULL, 0};
  if (!tool_read_record_key(&key, options) ||
      !read_value(&value, options->arguments[1])) {
    free(value.bytes);
    return TOOL_USAGE;
  }
  kad_request request =
      KAD_REQUEST_INIT(options->to_count > 0 ? KAD_PUT_TO : KAD_PUT);
  request.key = tool_key_bytes(&key);
  request.value = (kad_bytes){value.bytes, value.len};
  request.quorum = options->quorum;
  request.peers = options->to;
  request.peer_count = options->to_count;
  int status =
      tool_session_store(options, &request, "storing the record", "stored at");
  free(value.bytes);
  return status;
}
