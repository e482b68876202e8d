/* The reader checks every length against what is left before it believes it, so
 * the cost of any input is linear in its bytes and nothing is ever allocated.
 * Unlike multiformats' varint, protobuf's may be padded and has ten bytes. */
#include "wire/protobuf.h"

#include "base/bytes.h"

#define VARINT_MAX_LEN 10
#define NUMBER_MAX ((UINT32_C(1) << 29) - 1)

size_t kad__pb_read_varint(uint64_t *value, kad_bytes in) {
  size_t max = in.len < VARINT_MAX_LEN ? in.len : VARINT_MAX_LEN;
  uint64_t sum = 0;
  for (size_t i = 0; i < max; i++) {
    uint64_t byte = in.data[i];
    if (i == VARINT_MAX_LEN - 1 && byte > 1) {
      return 0;
    }
    sum |= (byte & 0x7f) << (7 * i);
    if (byte < 0x80) {
      *value = sum;
      return i + 1;
    }
  }
  return 0;
}

static bool take_varint(kad_bytes *in, uint64_t *value) {
  size_t len = kad__pb_read_varint(value, *in);
  *in = kad__bytes_skip(*in, len);
  return len != 0;
}

static bool take_bytes(kad_bytes *in, kad_bytes *bytes) {
  uint64_t len = 0;
  if (!take_varint(in, &len) || len > in->len) {
    return false;
  }
  *bytes = kad__bytes(in->data, (size_t)len);
  *in = kad__bytes_skip(*in, (size_t)len);
  return true;
}

/* Little-endian, `len` bytes. */
static bool take_fixed(kad_bytes *in, uint64_t *value, size_t len) {
  if (in->len < len) {
    return false;
  }
  for (size_t i = 0; i < len; i++) {
    *value |= (uint64_t)in->data[i] << (8 * i);
  }
  *in = kad__bytes_skip(*in, len);
  return true;
}

static bool take_content(kad_bytes *in, kad__pb_field *out) {
  switch (out->type) {
    case KAD__PB_VARINT:
      return take_varint(in, &out->value);
    case KAD__PB_FIXED64:
      return take_fixed(in, &out->value, 8);
    case KAD__PB_BYTES:
      return take_bytes(in, &out->bytes);
    case KAD__PB_FIXED32:
      return take_fixed(in, &out->value, 4);
    default:
      return false;
  }
}

int kad__pb_next_general(kad_bytes *in, kad__pb_field *out) {
  if (in->len == 0) {
    return 0;
  }
  uint64_t tag = 0;
  if (!take_varint(in, &tag) || tag >> 3 == 0 || tag >> 3 > NUMBER_MAX) {
    return KAD_E_PROTOBUF;
  }
  *out = (kad__pb_field){.number = (uint32_t)(tag >> 3),
                         .type = (kad__pb_type)(tag & 7)};
  return take_content(in, out) ? 1 : KAD_E_PROTOBUF;
}

void kad__pb_writer_init(kad__pb_writer *w, uint8_t *out, size_t cap) {
  *w = (kad__pb_writer){
      .start = out, .at = out, .end = cap == 0 ? out : out + cap};
}

int kad__pb_writer_finish(const kad__pb_writer *w) {
  return w->overflow ? KAD_E_BUFFER_TOO_SMALL : (int)(w->at - w->start);
}
