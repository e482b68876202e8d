/* Strict on the way in, canonical on the way out, so that one address has one
 * text. Leading zeros are refused because some systems read them as octal. */
#include "multiformats/ip_text.h"

#include "base/bytes.h"

#define GROUPS 8

bool kad__decimal_parse(uint64_t *out, kad_bytes text, uint64_t max) {
  if (text.len == 0 || (text.len > 1 && text.data[0] == '0')) {
    return false;
  }
  uint64_t value = 0;
  for (size_t i = 0; i < text.len; i++) {
    unsigned digit = text.data[i] - (unsigned)'0';
    if (digit > 9 || value > max / 10 || digit > max - value * 10) {
      return false;
    }
    value = value * 10 + digit;
  }
  *out = value;
  return true;
}

size_t kad__decimal_format(char out[21], uint64_t value) {
  char digits[20];
  size_t len = 0;
  do {
    digits[len++] = (char)('0' + value % 10);
    value /= 10;
  } while (value != 0);
  for (size_t i = 0; i < len; i++) {
    out[i] = digits[len - 1 - i];
  }
  out[len] = '\0';
  return len;
}

/* What precedes the first `separator`, or everything. */
static kad_bytes until(kad_bytes text, char separator) {
  const uint8_t *at =
      text.len == 0 ? NULL : memchr(text.data, separator, text.len);
  return at == NULL ? text : kad__bytes(text.data, (size_t)(at - text.data));
}

bool kad__ip4_parse(uint8_t out[4], kad_bytes text) {
  for (int i = 0; i < 4; i++) {
    kad_bytes part = until(text, '.');
    uint64_t value = 0;
    if (!kad__decimal_parse(&value, part, 255)) {
      return false;
    }
    out[i] = (uint8_t)value;
    text = kad__bytes_skip(text, part.len);
    if ((text.len == 0) != (i == 3)) {
      return false;
    }
    text = kad__bytes_skip(text, i == 3 ? 0 : 1);
  }
  return true;
}

size_t kad__ip4_format(char out[KAD__IP4_TEXT_MAX], const uint8_t in[4]) {
  size_t len = 0;
  for (int i = 0; i < 4; i++) {
    char digits[21];
    size_t n = kad__decimal_format(digits, in[i]);
    memcpy(out + len, digits, n);
    len += n;
    out[len++] = '.';
  }
  out[--len] = '\0';
  return len;
}

static bool hex_parse(uint16_t *out, kad_bytes text) {
  if (text.len == 0 || text.len > 4) {
    return false;
  }
  unsigned value = 0;
  for (size_t i = 0; i < text.len; i++) {
    static const char alphabet[] = "0123456789abcdef";
    uint8_t c = text.data[i];
    c = (uint8_t)(c >= 'A' && c <= 'F' ? c - 'A' + 'a' : c);
    const char *at = memchr(alphabet, c, 16);
    if (at == NULL) {
      return false;
    }
    value = value << 4 | (unsigned)(at - alphabet);
  }
  *out = (uint16_t)value;
  return true;
}

typedef struct ip6_reader {
  uint16_t groups[GROUPS];
  int count;
  int gap; /* groups before "::", or -1 */
} ip6_reader;

static bool read_dotted(ip6_reader *r, kad_bytes text) {
  uint8_t ip4[4];
  if (r->count > GROUPS - 2 || !kad__ip4_parse(ip4, text)) {
    return false;
  }
  r->groups[r->count++] = kad__load16(ip4);
  r->groups[r->count++] = kad__load16(ip4 + 2);
  return true;
}

/* The groups and the gaps between them; a gap at the very beginning has been
 * taken off. */
static bool read_groups(ip6_reader *r, kad_bytes text) {
  while (text.len > 0) {
    kad_bytes group = until(text, ':');
    text = kad__bytes_skip(text, group.len);
    if (text.len == 0 && memchr(group.data, '.', group.len) != NULL) {
      return read_dotted(r, group);
    }
    if (r->count == GROUPS || !hex_parse(&r->groups[r->count], group)) {
      return false;
    }
    r->count++;
    if (text.len == 0) {
      return true;
    }
    text = kad__bytes_skip(text, 1);
    if (text.len == 0) {
      return false;
    }
    if (text.data[0] == ':') {
      if (r->gap >= 0) {
        return false;
      }
      r->gap = r->count;
      text = kad__bytes_skip(text, 1);
    }
  }
  return true;
}

bool kad__ip6_parse(uint8_t out[16], kad_bytes text) {
  ip6_reader r = {.gap = -1};
  if (kad__bytes_start(text, kad__bytes("::", 2))) {
    r.gap = 0;
    text = kad__bytes_skip(text, 2);
  }
  /* A gap stands for one group or more. */
  if (!read_groups(&r, text) || (r.gap < 0) != (r.count == GROUPS)) {
    return false;
  }
  int missing = GROUPS - r.count;
  for (int i = 0; i < GROUPS; i++) {
    int from = r.gap < 0 || i < r.gap ? i : i - missing;
    bool zero = r.gap >= 0 && i >= r.gap && i < r.gap + missing;
    kad__store16(out + 2 * i, zero ? 0 : r.groups[from]);
  }
  return true;
}

/* The first of the longest runs of zero groups; `*len` is 0 when none has two
 * groups or more. */
static int longest_zeros(const uint8_t in[16], int *len) {
  int best = 0;
  *len = 0;
  for (int i = 0; i < GROUPS; i++) {
    int n = 0;
    while (i + n < GROUPS && kad__load16(in + 2 * (i + n)) == 0) {
      n++;
    }
    if (n >= 2 && n > *len) {
      best = i;
      *len = n;
    }
    i += n;
  }
  return best;
}

static size_t hex_format(char *out, unsigned value) {
  size_t len = value > 0xfff ? 4 : value > 0xff ? 3 : value > 0xf ? 2 : 1;
  for (size_t i = 0; i < len; i++) {
    out[i] = "0123456789abcdef"[value >> (4 * (len - 1 - i)) & 0xf];
  }
  return len;
}

size_t kad__ip6_format(char out[KAD__IP6_TEXT_MAX], const uint8_t in[16]) {
  static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  if (memcmp(in, mapped, sizeof(mapped)) == 0) {
    memcpy(out, "::ffff:", 7);
    return 7 + kad__ip4_format(out + 7, in + 12);
  }
  int zeros = 0;
  int gap = longest_zeros(in, &zeros);
  size_t len = 0;
  for (int i = 0; i < GROUPS; i++) {
    if (zeros > 0 && i == gap) {
      out[len++] = ':';
      i += zeros - 1;
      if (i == GROUPS - 1) {
        out[len++] = ':';
      }
      continue;
    }
    if (i > 0) {
      out[len++] = ':';
    }
    len += hex_format(out + len, kad__load16(in + 2 * i));
  }
  out[len] = '\0';
  return len;
}
