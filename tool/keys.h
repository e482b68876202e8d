/* What users type as keys and values, in binary. */
#ifndef KAD_TOOL_KEYS_H
#define KAD_TOOL_KEYS_H

#include <kadmium/kadmium.h>

/* The longest key that can be typed, in bytes. */
#define TOOL_KEY_MAX 1024

typedef struct tool_key {
  uint8_t bytes[TOOL_KEY_MAX];
  size_t len;
} tool_key;

static inline kad_bytes tool_key_bytes(const tool_key *key) {
  return (kad_bytes){key->bytes, key->len};
}

/* Each returns false when the text is not such a key. */

/* Of a record: text, 0x..., /pk/ID or /ipns/ID. */
bool tool_key_of_record(tool_key *out, const char *text);
/* Of content: a CID (its multihash) or 0x.... */
bool tool_key_of_content(tool_key *out, const char *text);
/* Of a point in the key space: a PeerId, a CID or 0x.... */
bool tool_key_of_point(tool_key *out, const char *text);

/* "0x" and hexadecimal digits in pairs: returns the length, or -1. */
long tool_hex_decode(uint8_t *out, size_t cap, const char *text);
/* Writes "0x", the digits and a NUL to 2 * len + 3 characters. */
void tool_hex_encode(char *out, kad_bytes bytes);

#endif
