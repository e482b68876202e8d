/* Protobuf as this project needs it: a reader that borrows and never recurses,
 * and a writer into memory that the caller has measured or bounded.
 *
 * A reader sees a flat sequence of fields; a nested message is a field of bytes
 * that gets a reader of its own. Groups (wire types 3 and 4) are an error. */
#ifndef KAD_WIRE_PROTOBUF_H
#define KAD_WIRE_PROTOBUF_H

#include <string.h>

#include "kadmium/error.h"
#include "multiformats/varint.h"

typedef enum kad__pb_type {
  KAD__PB_VARINT = 0,
  KAD__PB_FIXED64 = 1,
  KAD__PB_BYTES = 2,
  KAD__PB_FIXED32 = 5
} kad__pb_type;

typedef struct kad__pb_field {
  uint32_t number;
  kad__pb_type type;
  uint64_t value;  /* varint and fixed types */
  kad_bytes bytes; /* KAD__PB_BYTES; borrowed */
} kad__pb_field;

/* A varint that is not one byte long: `*value` and how many bytes it takes, 0
 * when it is truncated, longer than ten bytes or past 64 bits. */
size_t kad__pb_read_varint(uint64_t *value, kad_bytes in);

/* kad__pb_next's answer for whatever is not short. */
int kad__pb_next_general(kad_bytes *in, kad__pb_field *out);

/* Takes the next field off `*in`. Returns 1; 0 at the end; KAD_E_PROTOBUF for
 * field number 0 or past 2^29-1, a wire type of groups or unknown, a varint of
 * more than ten bytes, or a length past the end. After an error `*in` and
 * `*out` are not specified. */
static inline int kad__pb_next(kad_bytes *in, kad__pb_field *out) {
  /* Nearly every field of every message: a tag of one byte, and a length or a
   * number of one byte. */
  if (in->len < 2 || in->data[0] < 8 || (in->data[0] | in->data[1]) >= 0x80) {
    return kad__pb_next_general(in, out);
  }
  unsigned type = in->data[0] & 7;
  size_t len = in->data[1];
  if (type == KAD__PB_BYTES && len <= in->len - 2) {
    *out = (kad__pb_field){.number = in->data[0] >> 3,
                           .type = KAD__PB_BYTES,
                           .bytes = {in->data + 2, len}};
    in->data += 2 + len;
    in->len -= 2 + len;
    return 1;
  }
  if (type == KAD__PB_VARINT) {
    *out = (kad__pb_field){
        .number = in->data[0] >> 3, .type = KAD__PB_VARINT, .value = len};
    in->data += 2;
    in->len -= 2;
    return 1;
  }
  return kad__pb_next_general(in, out);
}

/* A bounded writer. Once something did not fit, `overflow` stays set and
 * nothing more is written; check it once at the end. */
typedef struct kad__pb_writer {
  uint8_t *at;
  uint8_t *end;
  uint8_t *start;
  bool overflow;
} kad__pb_writer;

void kad__pb_writer_init(kad__pb_writer *w, uint8_t *out, size_t cap);
/* The bytes written, or KAD_E_BUFFER_TOO_SMALL after an overflow. */
int kad__pb_writer_finish(const kad__pb_writer *w);

/* How much kad__pb_put_bytes and kad__pb_put_varint write. */
static inline size_t kad__pb_bytes_len(uint32_t number, size_t len) {
  return kad__varint_len((uint64_t)number << 3) + kad__varint_len(len) + len;
}

static inline size_t kad__pb_varint_len(uint32_t number, uint64_t value) {
  return kad__varint_len((uint64_t)number << 3) + kad__varint_len(value);
}

/* ---- a writer's inside, here so that writing costs no calls ------------- */

/* True when `len` more bytes fit. */
static inline bool kad__pb_has_room(kad__pb_writer *w, size_t len) {
  if (w->overflow || len > (size_t)(w->end - w->at)) {
    w->overflow = true;
    return false;
  }
  return true;
}

/* The caller has looked for room. */
static inline void kad__pb_write_varint(kad__pb_writer *w, uint64_t value) {
  for (; value >= 0x80; value >>= 7) {
    *w->at++ = (uint8_t)(value | 0x80);
  }
  *w->at++ = (uint8_t)value;
}

static inline void kad__pb_write_raw(kad__pb_writer *w, kad_bytes bytes) {
  if (bytes.len != 0) {
    memcpy(w->at, bytes.data, bytes.len);
    w->at += bytes.len;
  }
}

static inline void kad__pb_write_header(kad__pb_writer *w, uint32_t number,
                                        size_t len) {
  kad__pb_write_varint(w, (uint64_t)number << 3 | KAD__PB_BYTES);
  kad__pb_write_varint(w, len);
}

/* ---- writing ------------------------------------------------------------ */

static inline void kad__pb_put_varint(kad__pb_writer *w, uint32_t number,
                                      uint64_t value) {
  if (kad__pb_has_room(w, kad__pb_varint_len(number, value))) {
    kad__pb_write_varint(w, (uint64_t)number << 3 | KAD__PB_VARINT);
    kad__pb_write_varint(w, value);
  }
}

/* All or nothing, so that a header never stands without its bytes. */
static inline void kad__pb_put_bytes(kad__pb_writer *w, uint32_t number,
                                     kad_bytes bytes) {
  if (kad__pb_has_room(w, kad__pb_bytes_len(number, bytes.len))) {
    kad__pb_write_header(w, number, bytes.len);
    kad__pb_write_raw(w, bytes);
  }
}

/* The tag and length of a nested message whose `len` bytes follow. */
static inline void kad__pb_put_header(kad__pb_writer *w, uint32_t number,
                                      size_t len) {
  if (kad__pb_has_room(w, kad__pb_bytes_len(number, len) - len)) {
    kad__pb_write_header(w, number, len);
  }
}

/* Bytes as they are: an already encoded fragment. */
static inline void kad__pb_put_raw(kad__pb_writer *w, kad_bytes bytes) {
  if (kad__pb_has_room(w, bytes.len)) {
    kad__pb_write_raw(w, bytes);
  }
}

#endif
