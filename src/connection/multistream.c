/* multistream-select 1.0 (libp2p connections specification, "Protocol
 * Negotiation").
 *
 * Messages are taken one at a time and only when they are complete, so that
 * any segmentation of the input leads to the same result and what follows the
 * decision is left untouched. The header is the exception: it is a constant,
 * and comparing it byte by byte turns away HTTP, TLS or SSH at their first
 * byte instead of at a deadline. */
#include "connection/multistream.h"

#include <assert.h>

#include "base/bytes.h"

#define HEADER "\x13/multistream/1.0.0\n"
#define HEADER_LEN (sizeof(HEADER) - 1)
#define NOT_AVAILABLE "\x03na\n"
#define LIST "ls"

/* A length of two varint bytes. */
#define PREFIX_MAX 2

void kad__multistream_init(kad__multistream *m, bool dialer) {
  *m = (kad__multistream){.dialer = dialer};
}

static size_t put_length(uint8_t *out, size_t len) {
  if (len < 0x80) {
    out[0] = (uint8_t)len;
    return 1;
  }
  out[0] = (uint8_t)(0x80 | (len & 0x7f));
  out[1] = (uint8_t)(len >> 7);
  return 2;
}

/* Length prefix, name and newline; `out` has room for all of them. */
static size_t put_name(uint8_t *out, kad_bytes name) {
  size_t at = put_length(out, name.len + 1);
  memcpy(out + at, name.data, name.len);
  out[at + name.len] = '\n';
  return at + name.len + 1;
}

static size_t name_len(kad_bytes name) {
  return (name.len + 1 < 0x80 ? 1 : PREFIX_MAX) + name.len + 1;
}

/* Appends the next name, after the header when that is still due. */
static int propose(kad__multistream *m, const kad__protocol_names *names,
                   kad__buffer *out, const kad_allocator *allocator) {
  if (m->proposals == names->count) {
    return KAD_E_NO_PROTOCOL;
  }
  if (m->proposals == KAD__MULTISTREAM_PROPOSALS_MAX) {
    return KAD_E_LIMIT;
  }
  kad_bytes name = names->names[m->proposals];
  if (name.len == 0 || name.len >= KAD__MULTISTREAM_MESSAGE_MAX) {
    return KAD_E_INVALID_ARGUMENT;
  }
  size_t header = m->header_sent ? 0 : HEADER_LEN;
  uint8_t *tail = NULL;
  int result =
      kad__buffer_reserve(out, allocator, &tail, header + name_len(name));
  if (result < 0) {
    return result;
  }
  memcpy(tail, HEADER, header);
  kad__buffer_commit(out, header + put_name(tail + header, name));
  m->header_sent = true;
  m->proposals++;
  return 0;
}

int kad__multistream_start(kad__multistream *m,
                           const kad__protocol_names *names, kad__buffer *out,
                           const kad_allocator *allocator) {
  assert(m->dialer && !m->header_sent);
  return propose(m, names, out, allocator);
}

/* The whole length, prefix included, of the message in front of `in`; 0 while
 * the prefix is incomplete. */
static int message_len(kad_bytes in) {
  if (in.len == 0 || (in.data[0] >= 0x80 && in.len == 1)) {
    return 0;
  }
  size_t prefix = 1;
  size_t len = in.data[0];
  if (len >= 0x80) {
    /* A third byte is more than 1024 in any case; a second one of zero is not
     * the minimal form. */
    if (in.data[1] >= 0x80 || in.data[1] == 0) {
      return KAD_E_MULTISTREAM;
    }
    prefix = 2;
    len = (len & 0x7f) | (size_t)in.data[1] << 7;
  }
  if (len == 0 || len > KAD__MULTISTREAM_MESSAGE_MAX) {
    return KAD_E_MULTISTREAM;
  }
  return (int)(prefix + len);
}

int kad__multistream_need(const kad__multistream *m, kad_bytes in) {
  if (!m->header_seen) {
    size_t n = in.len < HEADER_LEN ? in.len : HEADER_LEN;
    if (n != 0 && memcmp(in.data, HEADER, n) != 0) {
      return KAD_E_MULTISTREAM;
    }
    return (int)HEADER_LEN;
  }
  int len = message_len(in);
  return len != 0 ? len : (int)in.len + 1;
}

/* The text between length prefix and newline. */
static int message_text(kad_bytes *text, kad_bytes message) {
  if (message.data[message.len - 1] != '\n') {
    return KAD_E_MULTISTREAM;
  }
  size_t prefix = message.data[0] < 0x80 ? 1 : PREFIX_MAX;
  *text = kad__bytes(message.data + prefix, message.len - prefix - 1);
  return 0;
}

static int take_answer(kad__multistream *m, const kad__protocol_names *names,
                       kad_bytes text, kad__buffer *out,
                       const kad_allocator *allocator) {
  assert(m->proposals > 0);
  uint16_t proposed = (uint16_t)(m->proposals - 1);
  if (kad__bytes_equal(text, names->names[proposed])) {
    m->selected = proposed;
    m->done = true;
    return 0;
  }
  if (!kad__bytes_equal(text, kad__bytes_of("na"))) {
    return KAD_E_MULTISTREAM;
  }
  return propose(m, names, out, allocator);
}

/* The answer to `ls`: one message that holds every name as a message, and a
 * newline. Names that no longer fit into a message are left out, since other
 * implementations read no longer ones than we do. */
static int append_list(const kad__protocol_names *names, kad__buffer *out,
                       const kad_allocator *allocator) {
  uint8_t list[PREFIX_MAX + KAD__MULTISTREAM_MESSAGE_MAX];
  uint8_t *body = list + PREFIX_MAX;
  size_t len = 0;
  for (size_t i = 0; i < names->count; i++) {
    if (len + name_len(names->names[i]) + 1 > KAD__MULTISTREAM_MESSAGE_MAX) {
      break;
    }
    len += put_name(body + len, names->names[i]);
  }
  body[len++] = '\n';
  uint8_t prefix[PREFIX_MAX];
  size_t prefix_len = put_length(prefix, len);
  memcpy(body - prefix_len, prefix, prefix_len);
  return kad__buffer_append(out, allocator,
                            kad__bytes(body - prefix_len, prefix_len + len));
}

/* The index of `text`, or names->count. */
static size_t find_name(kad__multistream *m, const kad__protocol_names *names,
                        kad_bytes text) {
  size_t i = 0;
  while (i < names->count && !kad__bytes_equal(names->names[i], text)) {
    i++;
  }
  if (i == names->count && names->match != NULL) {
    i = names->match(names->user, text);
    m->matched = i < names->count ? text : (kad_bytes){0};
  }
  return i;
}

static int take_proposal(kad__multistream *m, const kad__protocol_names *names,
                         kad_bytes message, kad_bytes text, kad__buffer *out,
                         const kad_allocator *allocator) {
  if (m->proposals == KAD__MULTISTREAM_PROPOSALS_MAX) {
    return KAD_E_LIMIT;
  }
  size_t found = find_name(m, names, text);
  int result = 0;
  if (found < names->count) {
    result = kad__buffer_append(out, allocator, message);
  } else if (kad__bytes_equal(text, kad__bytes_of(LIST))) {
    result = append_list(names, out, allocator);
  } else {
    result = kad__buffer_append(out, allocator, kad__bytes_of(NOT_AVAILABLE));
  }
  if (result < 0) {
    return result;
  }
  m->proposals++;
  m->done = found < names->count;
  m->selected = m->done ? (uint16_t)found : 0;
  return 0;
}

static int take_message(kad__multistream *m, const kad__protocol_names *names,
                        kad_bytes message, kad__buffer *out,
                        const kad_allocator *allocator) {
  if (!m->header_seen) {
    m->header_seen = true;
    return 0;
  }
  kad_bytes text;
  int result = message_text(&text, message);
  if (result < 0) {
    return result;
  }
  return m->dialer ? take_answer(m, names, text, out, allocator)
                   : take_proposal(m, names, message, text, out, allocator);
}

static int send_header(kad__multistream *m, kad__buffer *out,
                       const kad_allocator *allocator) {
  int result =
      kad__buffer_append(out, allocator, kad__bytes(HEADER, HEADER_LEN));
  m->header_sent = result == 0;
  return result;
}

int kad__multistream_read(kad__multistream *m, const kad__protocol_names *names,
                          kad_bytes *in, kad__buffer *out,
                          const kad_allocator *allocator) {
  assert(!m->dialer || m->header_sent);
  if (!m->header_sent) {
    int result = send_header(m, out, allocator);
    if (result < 0) {
      return result;
    }
  }
  while (!m->done) {
    int need = kad__multistream_need(m, *in);
    if (need < 0) {
      return need;
    }
    if ((size_t)need > in->len) {
      return 0;
    }
    kad_bytes message = kad__bytes(in->data, (size_t)need);
    int result = take_message(m, names, message, out, allocator);
    if (result < 0) {
      return result;
    }
    *in = kad__bytes_skip(*in, (size_t)need);
  }
  return 1;
}
