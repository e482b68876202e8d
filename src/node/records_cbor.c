/* Nested items are passed over by counting: every item is at least one byte, so
 * a count of items to come that exceeds the bytes to come is an error, and one
 * number stands for the whole stack that a recursive reader would need. */
#include "node/records_cbor.h"

#include "base/bytes.h"

#define TAG_LINK 42
#define SIMPLE_FALSE 20
#define SIMPLE_NULL 22
#define SIMPLE_FLOAT64 27

typedef struct head {
  unsigned type;
  uint64_t value;
} head;

static uint64_t load_number(const uint8_t *at, size_t len) {
  uint64_t value = 0;
  for (size_t i = 0; i < len; i++) {
    value = value << 8 | at[i];
  }
  return value;
}

/* Whether `value` needs all the `len` bytes it was written with. */
static bool is_minimal(uint64_t value, size_t len) {
  return len == 1 ? value >= 24 : value >> (len * 4) != 0;
}

static int take_any_head(kad_bytes *in, head *out) {
  if (in->len == 0) {
    return KAD_E_RECORD;
  }
  unsigned info = in->data[0] & 0x1f;
  out->type = in->data[0] >> 5;
  out->value = info;
  if (out->type == KAD__CBOR_SIMPLE && info != SIMPLE_FLOAT64 &&
      (info < SIMPLE_FALSE || info > SIMPLE_NULL)) {
    return KAD_E_RECORD;
  }
  if (info < 24) {
    *in = kad__bytes_skip(*in, 1);
    return 0;
  }
  size_t len = (size_t)1 << (info - 24);
  if (info > 27 || in->len - 1 < len) {
    return KAD_E_RECORD;
  }
  out->value = load_number(in->data + 1, len);
  if (out->type != KAD__CBOR_SIMPLE && !is_minimal(out->value, len)) {
    return KAD_E_RECORD;
  }
  *in = kad__bytes_skip(*in, 1 + len);
  return 0;
}

int kad__cbor_take_head(kad_bytes *in, kad__cbor_type type, uint64_t *value) {
  kad_bytes rest = *in;
  head h;
  int result = take_any_head(&rest, &h);
  if (result < 0 || h.type != (unsigned)type) {
    return KAD_E_RECORD;
  }
  *value = h.value;
  *in = rest;
  return 0;
}

int kad__cbor_take_string(kad_bytes *in, kad__cbor_type type, kad_bytes *out) {
  kad_bytes rest = *in;
  uint64_t len = 0;
  if (kad__cbor_take_head(&rest, type, &len) < 0 || len > rest.len) {
    return KAD_E_RECORD;
  }
  *out = kad__bytes(rest.data, (size_t)len);
  *in = kad__bytes_skip(rest, (size_t)len);
  return 0;
}

/* Takes a head, and what belongs to it if that is not items; `*items` is the
 * number of items that follow. */
static int take_shallow(kad_bytes *in, uint64_t *items) {
  head h;
  *items = 0;
  if (take_any_head(in, &h) < 0) {
    return KAD_E_RECORD;
  }
  switch (h.type) {
    case KAD__CBOR_BYTES:
    case KAD__CBOR_TEXT:
      if (h.value > in->len) {
        return KAD_E_RECORD;
      }
      *in = kad__bytes_skip(*in, (size_t)h.value);
      return 0;
    case KAD__CBOR_MAP:
      if (h.value > in->len / 2) {
        return KAD_E_RECORD;
      }
      *items = 2 * h.value;
      return 0;
    case KAD__CBOR_LIST:
      *items = h.value;
      return 0;
    case KAD__CBOR_TAG:
      *items = 1;
      return h.value == TAG_LINK ? 0 : KAD_E_RECORD;
    default:
      return 0;
  }
}

int kad__cbor_skip(kad_bytes *in) {
  kad_bytes rest = *in;
  uint64_t pending = 1;
  while (pending > 0) {
    uint64_t items = 0;
    if (take_shallow(&rest, &items) < 0) {
      return KAD_E_RECORD;
    }
    pending--;
    if (items > rest.len || pending + items > rest.len) {
      return KAD_E_RECORD;
    }
    pending += items;
  }
  *in = rest;
  return 0;
}

size_t kad__cbor_put_head(uint8_t *out, kad__cbor_type type, uint64_t value) {
  uint8_t major = (uint8_t)((unsigned)type << 5);
  if (value < 24) {
    out[0] = (uint8_t)(major | value);
    return 1;
  }
  size_t len = value <= UINT8_MAX ? 1 : value <= UINT16_MAX ? 2 : 4;
  unsigned info = value <= UINT8_MAX ? 24 : value <= UINT16_MAX ? 25 : 26;
  if (value > UINT32_MAX) {
    len = 8;
    info = 27;
  }
  out[0] = (uint8_t)(major | info);
  for (size_t i = 0; i < len; i++) {
    out[1 + i] = (uint8_t)(value >> (8 * (len - 1 - i)));
  }
  return 1 + len;
}
