/* The text form: "/name" or "/name/value" for each component. The text of a
 * value never contains a slash, so one split finds everything; a path does, and
 * goes to the end. */
#include "base/bytes.h"
#include "kadmium/multiaddr.h"
#include "kadmium/multiformats.h"
#include "kadmium/peer_id.h"
#include "multiformats/ip_text.h"
#include "multiformats/multiaddr_table.h"
#include "multiformats/varint.h"

/* The longest value of any kind: a certhash in hexadecimal. */
#define VALUE_TEXT_MAX 280
/* A digest and the prefixes of its multihash. */
#define VALUE_MAX 256

/* Takes "/word" off the front; the word may be empty. */
static bool take_word(kad_bytes *text, kad_bytes *word) {
  if (text->len == 0 || text->data[0] != '/') {
    return false;
  }
  kad_bytes rest = kad__bytes_skip(*text, 1);
  const uint8_t *slash =
      rest.len == 0 ? NULL : memchr(rest.data, '/', rest.len);
  size_t len = slash == NULL ? rest.len : (size_t)(slash - rest.data);
  *word = kad__bytes(rest.data, len);
  *text = kad__bytes_skip(rest, len);
  return true;
}

static int parse_port(uint8_t *out, kad_bytes text) {
  uint64_t port = 0;
  if (!kad__decimal_parse(&port, text, UINT16_MAX)) {
    return KAD_E_MULTIADDR;
  }
  kad__store16(out, (uint16_t)port);
  return 2;
}

static int parse_number(uint8_t *out, kad_bytes text) {
  uint64_t number = 0;
  if (!kad__decimal_parse(&number, text, UINT64_MAX)) {
    return KAD_E_MULTIADDR;
  }
  kad__store64(out, number);
  return 8;
}

static int parse_peer(uint8_t *out, kad_bytes text) {
  char copy[KAD_PEER_ID_TEXT_MAX];
  kad_peer_id id;
  if (text.len >= sizeof(copy)) {
    return KAD_E_MULTIADDR;
  }
  memcpy(copy, text.data, text.len);
  copy[text.len] = '\0';
  if (kad_peer_id_parse(&id, copy) < 0) {
    return KAD_E_MULTIADDR;
  }
  memcpy(out, id.bytes, id.len);
  return id.len;
}

static int parse_hash(uint8_t out[VALUE_MAX], kad_bytes text) {
  return kad_multibase_decode(out, VALUE_MAX, (const char *)text.data,
                              text.len);
}

/* "base32:port" */
static int parse_onion(uint8_t out[VALUE_MAX], kad_bytes text) {
  const uint8_t *colon = memchr(text.data, ':', text.len);
  size_t host = colon == NULL ? text.len : (size_t)(colon - text.data);
  int len = kad_base_decode(out, VALUE_MAX, KAD_BASE32, (const char *)text.data,
                            host);
  if (colon == NULL || len != KAD__ONION_HOST_LEN) {
    return KAD_E_MULTIADDR;
  }
  int port = parse_port(out + len, kad__bytes_skip(text, host + 1));
  return port < 0 ? port : len + port;
}

static int parse_text(uint8_t out[VALUE_MAX], kad_bytes text) {
  if (text.len > VALUE_MAX) {
    return KAD_E_MULTIADDR;
  }
  memcpy(out, text.data, text.len);
  return (int)text.len;
}

/* The value's length, or an error. */
static int parse_value(uint8_t out[VALUE_MAX], kad__multiaddr_kind kind,
                       kad_bytes text) {
  if (text.len == 0 || text.len > VALUE_TEXT_MAX) {
    return KAD_E_MULTIADDR;
  }
  switch (kind) {
    case KAD__MULTIADDR_IP4:
      return kad__ip4_parse(out, text) ? 4 : KAD_E_MULTIADDR;
    case KAD__MULTIADDR_IP6:
      return kad__ip6_parse(out, text) ? 16 : KAD_E_MULTIADDR;
    case KAD__MULTIADDR_PORT:
      return parse_port(out, text);
    case KAD__MULTIADDR_NUMBER:
      return parse_number(out, text);
    case KAD__MULTIADDR_PEER:
      return parse_peer(out, text);
    case KAD__MULTIADDR_HASH:
      return parse_hash(out, text);
    case KAD__MULTIADDR_ONION:
      return parse_onion(out, text);
    default:
      return parse_text(out, text);
  }
}

/* A bounded output, of bytes or of text. */
typedef struct sink {
  uint8_t *data;
  size_t len;
  size_t cap;
} sink;

static int add(sink *s, const void *data, size_t len) {
  if (len > s->cap - s->len) {
    return KAD_E_BUFFER_TOO_SMALL;
  }
  if (len != 0) {
    memcpy(s->data + s->len, data, len);
    s->len += len;
  }
  return 0;
}

static int add_varint(sink *s, uint64_t value) {
  uint8_t bytes[KAD__VARINT_MAX_LEN];
  return add(s, bytes, kad__varint_encode(bytes, value));
}

static int add_value(sink *s, kad__multiaddr_kind kind, kad_bytes text) {
  uint8_t value[VALUE_MAX];
  int len = parse_value(value, kind, text);
  if (len < 0 ||
      !kad__multiaddr_value_ok(kind, kad__bytes(value, (size_t)len))) {
    return KAD_E_MULTIADDR;
  }
  int result = 0;
  if (kad__multiaddr_fixed_len(kind) < 0) {
    result = add_varint(s, (uint64_t)len);
  }
  return result < 0 ? result : add(s, value, (size_t)len);
}

/* The path, its first slash included. */
static bool take_path(kad_bytes *text, kad_bytes *path) {
  kad_bytes whole = *text;
  if (whole.len != 0 && whole.data[whole.len - 1] == '/') {
    whole.len--;
  }
  *path = kad__bytes(whole.data, kad__multiaddr_path_len(whole));
  *text = kad__bytes_skip(*text, path->len);
  return path->len != 0;
}

static int parse_part(sink *s, kad_bytes *text) {
  kad_bytes word;
  if (!take_word(text, &word)) {
    return KAD_E_MULTIADDR;
  }
  const kad__multiaddr_info *info = kad__multiaddr_by_name(word);
  if (info == NULL) {
    return KAD_E_MULTIADDR;
  }
  int result = add_varint(s, info->protocol);
  if (result < 0 || info->kind == KAD__MULTIADDR_NONE) {
    return result;
  }
  bool taken = info->kind == KAD__MULTIADDR_PATH ? take_path(text, &word)
                                                 : take_word(text, &word);
  return taken ? add_value(s, info->kind, word) : KAD_E_MULTIADDR;
}

int kad_multiaddr_parse(uint8_t *out, size_t cap, const char *text) {
  sink s = {.data = out,
            .cap = cap < KAD_MULTIADDR_MAX ? cap : KAD_MULTIADDR_MAX};
  kad_bytes rest = kad__bytes_of(text);
  for (int parts = 0; parts < KAD_MULTIADDR_PARTS_MAX; parts++) {
    int result = parse_part(&s, &rest);
    if (result < 0) {
      return result;
    }
    if (rest.len == 0 || kad__bytes_equal(rest, kad__bytes_of("/"))) {
      return (int)s.len;
    }
  }
  return KAD_E_MULTIADDR;
}

static int format_onion(char out[VALUE_TEXT_MAX], const uint8_t *value) {
  int len = kad_base_encode(out, VALUE_TEXT_MAX, KAD_BASE32,
                            kad__bytes(value, KAD__ONION_HOST_LEN));
  out[len++] = ':';
  return len + (int)kad__decimal_format(
                   out + len, kad__load16(value + KAD__ONION_HOST_LEN));
}

/* The text's length, or an error. */
static int format_value(char out[VALUE_TEXT_MAX], kad__multiaddr_kind kind,
                        kad_bytes value) {
  switch (kind) {
    case KAD__MULTIADDR_IP4:
      return (int)kad__ip4_format(out, value.data);
    case KAD__MULTIADDR_IP6:
      return (int)kad__ip6_format(out, value.data);
    case KAD__MULTIADDR_PORT:
      return (int)kad__decimal_format(out, kad__load16(value.data));
    case KAD__MULTIADDR_NUMBER:
      return (int)kad__decimal_format(out, kad__load64(value.data));
    case KAD__MULTIADDR_PEER:
      return kad_base_encode(out, VALUE_TEXT_MAX, KAD_BASE58BTC, value);
    case KAD__MULTIADDR_HASH:
      return kad_multibase_encode(out, VALUE_TEXT_MAX, KAD_BASE64URL, value);
    case KAD__MULTIADDR_ONION:
      return format_onion(out, value.data);
    case KAD__MULTIADDR_PATH: /* its own slash stands before it */
      memcpy(out, value.data + 1, value.len - 1);
      return (int)value.len - 1;
    default:
      memcpy(out, value.data, value.len);
      return (int)value.len;
  }
}

static int format_part(sink *s, const kad_multiaddr_part *part) {
  const kad__multiaddr_info *info = kad__multiaddr_by_code(part->protocol);
  int result = add(s, "/", 1);
  if (result == 0) {
    result = add(s, info->name, strlen(info->name));
  }
  if (result < 0 || info->kind == KAD__MULTIADDR_NONE) {
    return result;
  }
  char text[VALUE_TEXT_MAX];
  int len = format_value(text, info->kind, part->value);
  result = add(s, "/", 1);
  return result < 0 ? result : add(s, text, (size_t)len);
}

int kad_multiaddr_format(char *out, size_t cap, kad_bytes address) {
  int result = kad_multiaddr_check(address);
  if (result < 0) {
    return result;
  }
  sink s = {.data = (uint8_t *)out, .cap = cap};
  kad_multiaddr_part part;
  while (kad_multiaddr_next(&address, &part) == 1) {
    result = format_part(&s, &part);
    if (result < 0) {
      return result;
    }
  }
  result = add(&s, "", 1);
  return result < 0 ? result : (int)s.len - 1;
}
