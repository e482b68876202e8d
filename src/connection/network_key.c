/* The file `swarm.key` of a private network: two lines that say what it is and
 * how the key is written, then the key (libp2p specification "Pre-shared Key
 * Based Private Networks", "Interface"). */
#include "base/bytes.h"
#include "connection/noise_crypto.h"
#include "kadmium/multiformats.h"
#include "kadmium/node.h"

#define HEADER "/key/swarm/psk/1.0.0/"
/* The longest text of 32 bytes: 64 digits. */
#define TEXT_MAX 64

static bool is_space(uint8_t c) {
  return c == '\n' || c == '\r' || c == ' ' || c == '\t';
}

/* The next line without its end. */
static kad_bytes take_line(kad_bytes *text) {
  kad_bytes line = kad__bytes(text->data, 0);
  while (line.len < text->len && text->data[line.len] != '\n') {
    line.len++;
  }
  size_t taken = line.len < text->len ? line.len + 1 : line.len;
  *text = kad__bytes_skip(*text, taken);
  while (line.len > 0 && is_space(line.data[line.len - 1])) {
    line.len--;
  }
  return line;
}

/* The alphabet of RFC 4648, section 4, in terms of that of section 5. */
static char url_digit(uint8_t c) {
  if (c == '-' || c == '_') {
    return '!'; /* of no alphabet */
  }
  if (c == '+') {
    return '-';
  }
  return (char)(c == '/' ? '_' : c);
}

static int decode_base64(uint8_t *out, kad_bytes text) {
  char digits[TEXT_MAX];
  while (text.len > 0 && text.data[text.len - 1] == '=') {
    text.len--;
  }
  if (text.len > sizeof(digits)) {
    return KAD_E_KEY;
  }
  for (size_t i = 0; i < text.len; i++) {
    digits[i] = url_digit(text.data[i]);
  }
  int len = kad_base_decode(out, KAD_NETWORK_KEY_LEN, KAD_BASE64URL, digits,
                            text.len);
  kad__wipe(digits, sizeof(digits));
  return len;
}

static int decode_binary(uint8_t *out, kad_bytes rest) {
  if (rest.len != KAD_NETWORK_KEY_LEN) {
    return KAD_E_KEY;
  }
  memcpy(out, rest.data, rest.len);
  return KAD_NETWORK_KEY_LEN;
}

int kad_network_key_parse(uint8_t out[KAD_NETWORK_KEY_LEN], kad_bytes text) {
  kad_bytes header = take_line(&text);
  kad_bytes base = take_line(&text);
  int len = KAD_E_KEY;
  if (!kad__bytes_equal(header, kad__bytes_of(HEADER))) {
    return KAD_E_KEY;
  }
  if (kad__bytes_equal(base, kad__bytes_of("/bin/"))) {
    len = decode_binary(out, text);
  } else if (kad__bytes_equal(base, kad__bytes_of("/base64/"))) {
    len = decode_base64(out, take_line(&text));
  } else if (kad__bytes_equal(base, kad__bytes_of("/base16/"))) {
    kad_bytes digits = take_line(&text);
    len = kad_base_decode(out, KAD_NETWORK_KEY_LEN, KAD_BASE16,
                          (const char *)digits.data, digits.len);
  }
  return len == KAD_NETWORK_KEY_LEN ? 0 : KAD_E_KEY;
}
