/* Two families. Bases that are powers of two are bits regrouped. Bases 36 and
 * 58 are one big number written in another base: quadratic in the length, hence
 * the limit on it. That number is kept in 32-bit limbs and each step moves four
 * bytes or as many digits as fit into 32 bits, which is some twenty times
 * faster than going digit by digit. */
#include <limits.h>

#include "base/bytes.h"
#include "kadmium/multiformats.h"

typedef struct base_info {
  const char *alphabet;
  unsigned radix;
  unsigned bits;        /* per character; 0: not a power of two */
  unsigned chunk_len;   /* characters per limb of the others */
  uint32_t chunk_radix; /* radix to that power */
  size_t text_max;      /* characters of KAD_BASE_QUADRATIC_MAX bytes */
  bool any_case;
} base_info;

static const base_info base16 = {
    .alphabet = "0123456789abcdef", .radix = 16, .bits = 4, .any_case = true};
static const base_info base32 = {.alphabet = "abcdefghijklmnopqrstuvwxyz234567",
                                 .radix = 32,
                                 .bits = 5,
                                 .any_case = true};
static const base_info base36 = {
    .alphabet = "0123456789abcdefghijklmnopqrstuvwxyz",
    .radix = 36,
    .chunk_len = 6,
    .chunk_radix = UINT32_C(2176782336),
    .text_max = 1585,
    .any_case = true};
static const base_info base58 = {
    .alphabet = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz",
    .radix = 58,
    .chunk_len = 5,
    .chunk_radix = UINT32_C(656356768),
    .text_max = 1399};
static const base_info base64url = {
    .alphabet =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
    .radix = 64,
    .bits = 6};

static const base_info *find_base(kad_base base) {
  switch (base) {
    case KAD_BASE16:
      return &base16;
    case KAD_BASE32:
      return &base32;
    case KAD_BASE36:
      return &base36;
    case KAD_BASE58BTC:
      return &base58;
    case KAD_BASE64URL:
      return &base64url;
    default:
      return NULL;
  }
}

/* The value of a character, or -1. */
static int digit_of(const base_info *base, char c) {
  if (base->any_case && c >= 'A' && c <= 'Z') {
    c = (char)(c - 'A' + 'a');
  }
  const char *at = memchr(base->alphabet, c, base->radix);
  return at == NULL ? -1 : (int)(at - base->alphabet);
}

static int encode_bits(char *out, size_t cap, const base_info *base,
                       kad_bytes in) {
  if (in.len > INT_MAX / 8) {
    return KAD_E_LIMIT;
  }
  size_t len = (in.len * 8 + base->bits - 1) / base->bits;
  if (len >= cap) {
    return KAD_E_BUFFER_TOO_SMALL;
  }
  unsigned held = 0;
  uint32_t bits = 0;
  char *at = out;
  for (size_t i = 0; i < in.len; i++) {
    bits = bits << 8 | in.data[i];
    for (held += 8; held >= base->bits; held -= base->bits) {
      *at++ = base->alphabet[bits >> (held - base->bits) & (base->radix - 1)];
    }
  }
  if (held > 0) {
    *at++ = base->alphabet[bits << (base->bits - held) & (base->radix - 1)];
  }
  *at = '\0';
  return (int)len;
}

static int decode_bits(uint8_t *out, size_t cap, const base_info *base,
                       const char *text, size_t len) {
  if (len > INT_MAX / 8) {
    return KAD_E_LIMIT;
  }
  if (len * base->bits / 8 > cap) {
    return KAD_E_BUFFER_TOO_SMALL;
  }
  unsigned held = 0;
  uint32_t bits = 0;
  size_t written = 0;
  for (size_t i = 0; i < len; i++) {
    int digit = digit_of(base, text[i]);
    if (digit < 0) {
      return KAD_E_MULTIBASE;
    }
    bits = bits << base->bits | (uint32_t)digit;
    held += base->bits;
    if (held >= 8) {
      held -= 8;
      out[written++] = (uint8_t)(bits >> held);
    }
  }
  /* A whole character too many, or bits that no byte can account for: two
   * texts would stand for the same bytes. */
  if (held >= base->bits || (bits & ((1u << held) - 1)) != 0) {
    return KAD_E_MULTIBASE;
  }
  return (int)written;
}

/* A natural number, least significant limb first. A limb of radix 58^5 holds
 * 29.2 bits, the least of all. */
typedef struct number {
  size_t len;
  uint32_t limbs[KAD_BASE_QUADRATIC_MAX * 8 / 29 + 1];
} number;

/* n = n * factor + addend, with limbs below `radix`; both at most 2^32, so no
 * product leaves 64 bits. */
static void multiply_add(number *n, uint64_t radix, uint64_t factor,
                         uint32_t addend) {
  uint64_t carry = addend;
  for (size_t i = 0; i < n->len; i++) {
    carry += n->limbs[i] * factor;
    n->limbs[i] = (uint32_t)(carry % radix);
    carry /= radix;
  }
  for (; carry != 0; carry /= radix) {
    n->limbs[n->len++] = (uint32_t)(carry % radix);
  }
}

static void number_of_bytes(number *n, kad_bytes in, uint32_t radix) {
  n->len = 0;
  size_t i = 0;
  for (; i < in.len % 4; i++) {
    multiply_add(n, radix, 256, in.data[i]);
  }
  for (; i < in.len; i += 4) {
    multiply_add(n, radix, UINT64_C(1) << 32, kad__load32(in.data + i));
  }
}

static size_t count_front(const void *data, size_t len, uint8_t what) {
  const uint8_t *bytes = data;
  size_t count = 0;
  while (count < len && bytes[count] == what) {
    count++;
  }
  return count;
}

/* The digits of limb `value`, most significant first. */
static void limb_digits(char *out, const base_info *base, uint32_t value) {
  for (size_t i = base->chunk_len; i > 0; i--) {
    out[i - 1] = base->alphabet[value % base->radix];
    value /= base->radix;
  }
}

static int encode_number(char *out, size_t cap, const base_info *base,
                         kad_bytes in) {
  if (in.len > KAD_BASE_QUADRATIC_MAX) {
    return KAD_E_LIMIT;
  }
  number n;
  size_t zeros = count_front(in.data, in.len, 0);
  number_of_bytes(&n, kad__bytes_skip(in, zeros), base->chunk_radix);
  char digits[sizeof(n.limbs) / sizeof(n.limbs[0]) * 6];
  size_t len = 0;
  for (size_t i = n.len; i > 0; i--, len += base->chunk_len) {
    limb_digits(digits + len, base, n.limbs[i - 1]);
  }
  size_t skip = count_front(digits, len, (uint8_t)base->alphabet[0]);
  if (zeros + len - skip >= cap) {
    return KAD_E_BUFFER_TOO_SMALL;
  }
  memset(out, base->alphabet[0], zeros);
  memcpy(out + zeros, digits + skip, len - skip);
  out[zeros + len - skip] = '\0';
  return (int)(zeros + len - skip);
}

static int number_of_text(number *n, const base_info *base, const char *text,
                          size_t len) {
  n->len = 0;
  uint64_t factor = 1;
  uint32_t chunk = 0;
  for (size_t i = 0; i < len; i++) {
    int digit = digit_of(base, text[i]);
    if (digit < 0) {
      return KAD_E_MULTIBASE;
    }
    chunk = chunk * base->radix + (uint32_t)digit;
    factor *= base->radix;
    if (factor == base->chunk_radix || i + 1 == len) {
      multiply_add(n, UINT64_C(1) << 32, factor, chunk);
      factor = 1;
      chunk = 0;
    }
  }
  return 0;
}

static int decode_number(uint8_t *out, size_t cap, const base_info *base,
                         const char *text, size_t len) {
  if (len > base->text_max) {
    return KAD_E_LIMIT;
  }
  number n;
  size_t zeros = count_front(text, len, (uint8_t)base->alphabet[0]);
  int result = number_of_text(&n, base, text + zeros, len - zeros);
  if (result < 0) {
    return result;
  }
  uint8_t bytes[sizeof(n.limbs)];
  for (size_t i = 0; i < n.len; i++) {
    kad__store32(bytes + 4 * i, n.limbs[n.len - 1 - i]);
  }
  size_t skip = count_front(bytes, 4 * n.len, 0);
  size_t used = 4 * n.len - skip;
  if (zeros + used > KAD_BASE_QUADRATIC_MAX) {
    return KAD_E_LIMIT;
  }
  if (zeros + used > cap) {
    return KAD_E_BUFFER_TOO_SMALL;
  }
  if (zeros + used != 0) {
    memset(out, 0, zeros);
    memcpy(out + zeros, bytes + skip, used);
  }
  return (int)(zeros + used);
}

int kad_base_encode(char *out, size_t cap, kad_base base, kad_bytes in) {
  const base_info *info = find_base(base);
  if (info == NULL) {
    return KAD_E_INVALID_ARGUMENT;
  }
  return info->bits != 0 ? encode_bits(out, cap, info, in)
                         : encode_number(out, cap, info, in);
}

int kad_base_decode(uint8_t *out, size_t cap, kad_base base, const char *text,
                    size_t len) {
  const base_info *info = find_base(base);
  if (info == NULL) {
    return KAD_E_INVALID_ARGUMENT;
  }
  return info->bits != 0 ? decode_bits(out, cap, info, text, len)
                         : decode_number(out, cap, info, text, len);
}

int kad_multibase_encode(char *out, size_t cap, kad_base base, kad_bytes in) {
  if (cap < 2) {
    return KAD_E_BUFFER_TOO_SMALL;
  }
  int len = kad_base_encode(out + 1, cap - 1, base, in);
  if (len < 0) {
    return len;
  }
  out[0] = (char)base;
  return len + 1;
}

int kad_multibase_decode(uint8_t *out, size_t cap, const char *text,
                         size_t len) {
  if (len == 0) {
    return KAD_E_MULTIBASE;
  }
  char prefix = text[0];
  if (prefix == 'F' || prefix == 'B' || prefix == 'K') {
    prefix = (char)(prefix - 'A' + 'a');
  }
  int result = kad_base_decode(out, cap, (kad_base)prefix, text + 1, len - 1);
  return result == KAD_E_INVALID_ARGUMENT ? KAD_E_MULTIBASE : result;
}
