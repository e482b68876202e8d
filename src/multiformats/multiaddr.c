/* The binary form: components one after another, each a varint code and a value
 * whose length is known from the code or written in front of it. Nothing is
 * passed on that could not be written as text and read back. */
#include "kadmium/multiaddr.h"

#include "base/bytes.h"
#include "kadmium/multiformats.h"
#include "kadmium/peer_id.h"
#include "multiformats/multiaddr_table.h"
#include "multiformats/varint.h"

/* The longest name that DNS knows. */
#define TEXT_VALUE_MAX 253

enum {
#define PROTOCOL_INDEX(name, code, text, kind) INDEX_##name,
  KAD_MULTIADDR_MAP(PROTOCOL_INDEX)
#undef PROTOCOL_INDEX
};

static const kad__multiaddr_info protocols[] = {
#define PROTOCOL_INFO(name, code, text, kind) \
  {KAD_MULTIADDR_##name, KAD__MULTIADDR_##kind, text},
    KAD_MULTIADDR_MAP(PROTOCOL_INFO)
#undef PROTOCOL_INFO
};

const kad__multiaddr_info *kad__multiaddr_by_code(uint64_t code) {
  switch (code) {
#define PROTOCOL_CASE(name, number, text, kind) \
  case number:                                  \
    return &protocols[INDEX_##name];
    KAD_MULTIADDR_MAP(PROTOCOL_CASE)
#undef PROTOCOL_CASE
    default:
      return NULL;
  }
}

const kad__multiaddr_info *kad__multiaddr_by_name(kad_bytes name) {
  if (kad__bytes_equal(name, kad__bytes_of("ipfs"))) {
    return &protocols[INDEX_P2P];
  }
  for (size_t i = 0; i < KAD__COUNT(protocols); i++) {
    if (kad__bytes_equal(name, kad__bytes_of(protocols[i].name))) {
      return &protocols[i];
    }
  }
  return NULL;
}

int kad__multiaddr_fixed_len(kad__multiaddr_kind kind) {
  switch (kind) {
    case KAD__MULTIADDR_NONE:
      return 0;
    case KAD__MULTIADDR_IP4:
      return 4;
    case KAD__MULTIADDR_IP6:
      return 16;
    case KAD__MULTIADDR_PORT:
      return 2;
    case KAD__MULTIADDR_NUMBER:
      return 8;
    case KAD__MULTIADDR_ONION:
      return KAD__ONION_LEN;
    default:
      return -1;
  }
}

/* The length of the UTF-8 sequence that `text` begins with; 0 when malformed:
 * overlong, a surrogate, or past U+10FFFF (RFC 3629, section 4). */
static size_t utf8_sequence(kad_bytes text) {
  uint8_t first = text.data[0];
  if (first < 0x80) {
    return 1;
  }
  size_t len = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  if (first < 0xc2 || first > 0xf4 || len > text.len) {
    return 0;
  }
  uint8_t low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
  uint8_t high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
  if (text.data[1] < low || text.data[1] > high) {
    return 0;
  }
  for (size_t i = 2; i < len; i++) {
    if ((text.data[i] & 0xc0) != 0x80) {
      return 0;
    }
  }
  return len;
}

/* The control characters of ASCII and, as two bytes, those of ISO 6429. */
static bool is_control(kad_bytes text) {
  uint8_t c = text.data[0];
  return c < 0x20 || c == 0x7f || (c == 0xc2 && text.data[1] < 0xa0);
}

/* Text goes to terminals, logs and JSON, so it has to be text. */
static bool text_ok(kad_bytes text, bool slashes) {
  if (text.len == 0 || text.len > TEXT_VALUE_MAX) {
    return false;
  }
  while (text.len > 0) {
    size_t len = utf8_sequence(text);
    if (len == 0 || is_control(text) || (text.data[0] == '/' && !slashes)) {
      return false;
    }
    text = kad__bytes_skip(text, len);
  }
  return true;
}

/* Where the last word of a path begins, its slash included. */
static size_t last_word(kad_bytes path) {
  size_t at = path.len;
  while (at > 0 && path.data[at - 1] != '/') {
    at--;
  }
  return at == 0 ? 0 : at - 1;
}

static bool is_peer(kad_bytes text) {
  char copy[KAD_PEER_ID_TEXT_MAX];
  kad_peer_id id;
  if (text.len == 0 || text.len >= sizeof(copy)) {
    return false;
  }
  memcpy(copy, text.data, text.len);
  copy[text.len] = '\0';
  return kad_peer_id_parse(&id, copy) == 0;
}

size_t kad__multiaddr_path_len(kad_bytes text) {
  size_t id = last_word(text);
  size_t name = last_word(kad__bytes(text.data, id));
  kad_bytes word = kad__bytes(text.data + name, id - name);
  bool named = kad__bytes_equal(word, kad__bytes_of("/p2p")) ||
               kad__bytes_equal(word, kad__bytes_of("/ipfs"));
  return named && is_peer(kad__bytes_skip(text, id + 1)) ? name : text.len;
}

static bool path_ok(kad_bytes path) {
  return path.len >= 2 && path.data[0] == '/' &&
         path.data[path.len - 1] != '/' && text_ok(path, true) &&
         kad__multiaddr_path_len(path) == path.len;
}

static bool onion_ok(kad_bytes value) {
  return value.len == KAD__ONION_LEN &&
         kad__load16(value.data + KAD__ONION_HOST_LEN) != 0;
}

bool kad__multiaddr_value_ok(kad__multiaddr_kind kind, kad_bytes value) {
  kad_peer_id id;
  kad_multihash hash;
  switch (kind) {
    case KAD__MULTIADDR_TEXT:
      return text_ok(value, false);
    case KAD__MULTIADDR_PATH:
      return path_ok(value);
    case KAD__MULTIADDR_ONION:
      return onion_ok(value);
    case KAD__MULTIADDR_PEER:
      return kad_peer_id_decode(&id, value) == 0;
    case KAD__MULTIADDR_HASH:
      return kad_multihash_decode(&hash, value) == 0;
    default:
      return (int)value.len == kad__multiaddr_fixed_len(kind);
  }
}

static bool take_value(kad_bytes *in, kad__multiaddr_kind kind,
                       kad_bytes *value) {
  int fixed = kad__multiaddr_fixed_len(kind);
  uint64_t len = (uint64_t)fixed;
  if (fixed < 0 && !kad__varint_take(in, &len)) {
    return false;
  }
  if (len > in->len) {
    return false;
  }
  *value = kad__bytes(in->data, (size_t)len);
  *in = kad__bytes_skip(*in, (size_t)len);
  return kad__multiaddr_value_ok(kind, *value);
}

int kad_multiaddr_next(kad_bytes *rest, kad_multiaddr_part *out) {
  kad_bytes in = *rest;
  if (in.len == 0) {
    return 0;
  }
  uint64_t code = 0;
  if (!kad__varint_take(&in, &code)) {
    return KAD_E_MULTIADDR;
  }
  const kad__multiaddr_info *info = kad__multiaddr_by_code(code);
  kad_bytes value;
  if (info == NULL || !take_value(&in, info->kind, &value)) {
    return KAD_E_MULTIADDR;
  }
  *out = (kad_multiaddr_part){.protocol = info->protocol, .value = value};
  *rest = in;
  return 1;
}

int kad_multiaddr_check(kad_bytes address) {
  if (address.len == 0 || address.len > KAD_MULTIADDR_MAX) {
    return KAD_E_MULTIADDR;
  }
  kad_multiaddr_part part;
  bool path = false;
  for (int parts = 0; parts <= KAD_MULTIADDR_PARTS_MAX; parts++) {
    int result = kad_multiaddr_next(&address, &part);
    if (result <= 0) {
      return result;
    }
    if (path && (part.protocol != KAD_MULTIADDR_P2P || address.len != 0)) {
      return KAD_E_MULTIADDR; /* as text it would be more of the path */
    }
    path = part.protocol == KAD_MULTIADDR_UNIX;
  }
  return KAD_E_MULTIADDR;
}

bool kad_multiaddr_find(kad_bytes address, kad_multiaddr_protocol protocol,
                        kad_multiaddr_part *out, kad_bytes *prefix) {
  bool found = false;
  kad_bytes rest = address;
  kad_multiaddr_part part;
  kad_bytes before = rest;
  while (kad_multiaddr_next(&rest, &part) == 1) {
    if (part.protocol == protocol) {
      found = true;
      *out = part;
      if (prefix != NULL) {
        *prefix = kad__bytes(address.data, address.len - before.len);
      }
    }
    before = rest;
  }
  return found;
}
