/* One rule for each kind of key; what a text could be otherwise is never
 * guessed. */
#include "keys.h"

#include <string.h>

static bool is_hex(const char *text) {
  return text[0] == '0' && text[1] == 'x';
}

long tool_hex_decode(uint8_t *out, size_t cap, const char *text) {
  if (!is_hex(text)) {
    return -1;
  }
  int len = kad_base_decode(out, cap, KAD_BASE16, text + 2, strlen(text) - 2);
  return len < 0 ? -1 : len;
}

void tool_hex_encode(char *out, kad_bytes bytes) {
  static const char digits[] = "0123456789abcdef";
  *out++ = '0';
  *out++ = 'x';
  for (size_t i = 0; i < bytes.len; i++) {
    *out++ = digits[bytes.data[i] >> 4];
    *out++ = digits[bytes.data[i] & 15];
  }
  *out = '\0';
}

static bool key_from(tool_key *out, const void *bytes, size_t len) {
  if (len == 0 || len > sizeof(out->bytes)) {
    return false;
  }
  memcpy(out->bytes, bytes, len);
  out->len = len;
  return true;
}

static bool key_from_hex(tool_key *out, const char *text) {
  long len = tool_hex_decode(out->bytes, sizeof(out->bytes), text);
  out->len = len < 0 ? 0 : (size_t)len;
  return len > 0;
}

static bool key_from_cid(tool_key *out, const char *text) {
  kad_cid cid;
  uint8_t storage[KAD_CID_MAX];
  return kad_cid_parse(&cid, storage, text) >= 0 &&
         key_from(out, cid.multihash.data, cid.multihash.len);
}

/* "/pk/" or "/ipns/" with an id behind it; the id becomes binary. Text behind
 * such a prefix that is no id is taken as it stands. */
static bool key_with_id(tool_key *out, const char *text, const char *prefix) {
  size_t len = strlen(prefix);
  kad_peer_id id;
  if (strncmp(text, prefix, len) != 0 ||
      kad_peer_id_parse(&id, text + len) < 0) {
    return false;
  }
  kad_bytes bytes = kad_peer_id_bytes(&id);
  memcpy(out->bytes, prefix, len);
  memcpy(out->bytes + len, bytes.data, bytes.len);
  out->len = len + bytes.len;
  return true;
}

bool tool_key_of_record(tool_key *out, const char *text) {
  if (is_hex(text)) {
    return key_from_hex(out, text);
  }
  return key_with_id(out, text, "/pk/") || key_with_id(out, text, "/ipns/") ||
         key_from(out, text, strlen(text));
}

bool tool_key_of_content(tool_key *out, const char *text) {
  return is_hex(text) ? key_from_hex(out, text) : key_from_cid(out, text);
}

bool tool_key_of_point(tool_key *out, const char *text) {
  kad_peer_id id;
  if (is_hex(text)) {
    return key_from_hex(out, text);
  }
  if (kad_peer_id_parse(&id, text) == 0) {
    return key_from(out, id.bytes, id.len);
  }
  return key_from_cid(out, text);
}
