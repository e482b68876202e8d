/* A cursor that stays at its first failure reads, so that each part is read in
 * one line and the outcome is looked at once; a cursor without bounds writes,
 * since the length is known before. */
#include "gateway/udp_message.h"

#include "base/bytes.h"

/* ---- text --------------------------------------------------------------- */

/* The length of the sequence that begins with `first`; 0: none does. */
static size_t sequence_len(uint8_t first) {
  if (first < 0x80) {
    return 1;
  }
  if (first >= 0xc2 && first <= 0xdf) {
    return 2;
  }
  if (first >= 0xe0 && first <= 0xef) {
    return 3;
  }
  return first >= 0xf0 && first <= 0xf4 ? 4 : 0;
}

/* The second byte is where overlong forms, surrogates and what lies beyond
 * U+10FFFF show (Unicode, table 3-7). */
static bool second_ok(uint8_t first, uint8_t second) {
  switch (first) {
    case 0xe0:
      return second >= 0xa0 && second <= 0xbf;
    case 0xed:
      return second >= 0x80 && second <= 0x9f;
    case 0xf0:
      return second >= 0x90 && second <= 0xbf;
    case 0xf4:
      return second >= 0x80 && second <= 0x8f;
    default:
      return second >= 0x80 && second <= 0xbf;
  }
}

bool kad__udp_utf8(kad_bytes text) {
  for (size_t i = 0; i < text.len;) {
    const uint8_t *p = text.data + i;
    size_t len = sequence_len(p[0]);
    if (len == 0 || len > text.len - i || (len > 1 && !second_ok(p[0], p[1]))) {
      return false;
    }
    for (size_t j = 2; j < len; j++) {
      if ((p[j] & 0xc0) != 0x80) {
        return false;
      }
    }
    i += len;
  }
  return true;
}

/* ---- reading ------------------------------------------------------------ */

typedef struct reader {
  kad_bytes rest;
  int error; /* the first; reads after it give nothing */
} reader;

static const uint8_t *take(reader *r, size_t len) {
  if (r->error == 0 && len > r->rest.len) {
    r->error = KAD_E_TRUNCATED;
  }
  if (r->error != 0) {
    return NULL;
  }
  const uint8_t *at = r->rest.data;
  r->rest = kad__bytes_skip(r->rest, len);
  return at;
}

static uint32_t load32le(const uint8_t *p) {
  return (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 |
         p[0];
}

/* A case below `count`. */
static uint32_t take_case(reader *r, uint32_t count) {
  const uint8_t *p = take(r, 4);
  uint32_t value = p == NULL ? 0 : load32le(p);
  if (value >= count) {
    r->error = KAD_E_MESSAGE;
    return 0;
  }
  return value;
}

static uint64_t take_count(reader *r) {
  const uint8_t *p = take(r, 8);
  return p == NULL ? 0 : (uint64_t)load32le(p + 4) << 32 | load32le(p);
}

static kad_bytes take_text(reader *r) {
  uint64_t len = take_count(r);
  if (r->error == 0 && len > r->rest.len) {
    r->error = KAD_E_TRUNCATED;
  }
  kad_bytes text = kad__bytes(r->rest.data, (size_t)len);
  if (take(r, (size_t)len) == NULL) {
    return kad__bytes(NULL, 0);
  }
  if (!kad__udp_utf8(text)) {
    r->error = KAD_E_MESSAGE;
  }
  return text;
}

static kad__udp_node take_node(reader *r) {
  kad__udp_node node;
  node.address = take_text(r);
  node.id = take(r, KAD__UDP_ID_LEN);
  return node;
}

static void take_request(reader *r, kad__udp_request *out) {
  out->id = take(r, KAD__UDP_ID_LEN);
  out->sender = take_node(r);
  out->ask = (kad__udp_ask)take_case(r, KAD__UDP_FIND_VALUE + 1);
  if (out->ask != KAD__UDP_PING) {
    out->key = take(r, KAD__UDP_ID_LEN);
  }
  if (out->ask == KAD__UDP_STORE) {
    out->value = take_text(r);
  }
}

static void take_nodes(reader *r, kad__udp_message *out) {
  uint64_t count = take_count(r);
  /* A count that the bytes cannot hold fails at the first node missing. */
  for (uint64_t i = 0; i < count && r->error == 0; i++) {
    kad__udp_node node = take_node(r);
    if (r->error == 0 && out->node_count < KAD__UDP_NODES_MAX) {
      out->nodes[out->node_count++] = node;
    }
  }
}

static void take_response(reader *r, kad__udp_message *out) {
  take_request(r, &out->request);
  out->receiver = take_node(r);
  out->reply = (kad__udp_reply)take_case(r, KAD__UDP_PONG + 1);
  if (out->reply == KAD__UDP_NODES) {
    take_nodes(r, out);
  } else if (out->reply == KAD__UDP_VALUE) {
    out->value = take_text(r);
  }
}

static void message_init(kad__udp_message *m) {
  m->type = KAD__UDP_KILL;
  m->request = (kad__udp_request){0};
  m->receiver = (kad__udp_node){0};
  m->reply = KAD__UDP_PONG;
  m->value = kad__bytes(NULL, 0);
  m->node_count = 0;
}

int kad__udp_message_decode(kad__udp_message *out, kad_bytes datagram) {
  reader r = {.rest = datagram};
  message_init(out);
  if (datagram.len > KAD__UDP_DATAGRAM_MAX) {
    return KAD_E_MESSAGE_TOO_LARGE;
  }
  out->type = (kad__udp_type)take_case(&r, KAD__UDP_KILL + 1);
  if (out->type == KAD__UDP_REQUEST) {
    take_request(&r, &out->request);
  } else if (out->type == KAD__UDP_RESPONSE) {
    take_response(&r, out);
  }
  if (r.error != 0) {
    return r.error;
  }
  return r.rest.len == 0 ? 0 : KAD_E_MESSAGE;
}

/* ---- length ------------------------------------------------------------- */

static size_t node_len(const kad__udp_node *node) {
  return 8 + node->address.len + KAD__UDP_ID_LEN;
}

static size_t request_len(const kad__udp_request *request) {
  size_t len = KAD__UDP_ID_LEN + node_len(&request->sender) + 4;
  len += request->ask == KAD__UDP_PING ? 0 : KAD__UDP_ID_LEN;
  return len + (request->ask == KAD__UDP_STORE ? 8 + request->value.len : 0);
}

static size_t reply_len(const kad__udp_message *m) {
  size_t len = 4;
  if (m->reply == KAD__UDP_VALUE) {
    return len + 8 + m->value.len;
  }
  if (m->reply == KAD__UDP_NODES) {
    len += 8;
    for (size_t i = 0; i < m->node_count; i++) {
      len += node_len(&m->nodes[i]);
    }
  }
  return len;
}

size_t kad__udp_message_len(const kad__udp_message *m) {
  size_t len = 4;
  if (m->type != KAD__UDP_KILL) {
    len += request_len(&m->request);
  }
  if (m->type == KAD__UDP_RESPONSE) {
    len += node_len(&m->receiver) + reply_len(m);
  }
  return len;
}

/* ---- writing ------------------------------------------------------------ */

static void put(uint8_t **at, const uint8_t *data, size_t len) {
  if (len > 0) {
    memcpy(*at, data, len);
    *at += len;
  }
}

static void put_number(uint8_t **at, uint64_t value, int bytes) {
  for (int i = 0; i < bytes; i++) {
    *(*at)++ = (uint8_t)(value >> (8 * i));
  }
}

static void put_text(uint8_t **at, kad_bytes text) {
  put_number(at, text.len, 8);
  put(at, text.data, text.len);
}

static void put_node(uint8_t **at, const kad__udp_node *node) {
  put_text(at, node->address);
  put(at, node->id, KAD__UDP_ID_LEN);
}

static void put_request(uint8_t **at, const kad__udp_request *request) {
  put(at, request->id, KAD__UDP_ID_LEN);
  put_node(at, &request->sender);
  put_number(at, request->ask, 4);
  if (request->ask != KAD__UDP_PING) {
    put(at, request->key, KAD__UDP_ID_LEN);
  }
  if (request->ask == KAD__UDP_STORE) {
    put_text(at, request->value);
  }
}

static void put_response(uint8_t **at, const kad__udp_message *m) {
  put_request(at, &m->request);
  put_node(at, &m->receiver);
  put_number(at, m->reply, 4);
  if (m->reply == KAD__UDP_VALUE) {
    put_text(at, m->value);
  }
  if (m->reply == KAD__UDP_NODES) {
    put_number(at, m->node_count, 8);
    for (size_t i = 0; i < m->node_count; i++) {
      put_node(at, &m->nodes[i]);
    }
  }
}

/* Addresses are texts that we or a decoder have made; values come from the
 * owner or the store. */
static bool values_ok(const kad__udp_message *m) {
  bool store = m->type != KAD__UDP_KILL && m->request.ask == KAD__UDP_STORE;
  bool value = m->type == KAD__UDP_RESPONSE && m->reply == KAD__UDP_VALUE;
  return (!store || kad__udp_utf8(m->request.value)) &&
         (!value || kad__udp_utf8(m->value));
}

int kad__udp_message_encode(uint8_t *out, size_t cap,
                            const kad__udp_message *m) {
  size_t len = kad__udp_message_len(m);
  if (len > KAD__UDP_DATAGRAM_MAX) {
    return KAD_E_MESSAGE_TOO_LARGE;
  }
  if (len > cap) {
    return KAD_E_BUFFER_TOO_SMALL;
  }
  if (!values_ok(m)) {
    return KAD_E_RECORD;
  }
  put_number(&out, m->type, 4);
  if (m->type == KAD__UDP_REQUEST) {
    put_request(&out, &m->request);
  } else if (m->type == KAD__UDP_RESPONSE) {
    put_response(&out, m);
  }
  return (int)len;
}
