/* A cursor over definite lengths: no recursion, nothing is copied, and a length
 * is compared with what is there before it is used. */
#include "identity/der.h"

#include "base/bytes.h"

#define TAG_INTEGER 0x02
#define TAG_BIT_STRING 0x03
#define TAG_NULL 0x05
#define TAG_OID 0x06
#define TAG_SEQUENCE 0x30

static const uint8_t oid_rsa[] = {0x2a, 0x86, 0x48, 0x86, 0xf7,
                                  0x0d, 0x01, 0x01, 0x01};
static const uint8_t oid_ec[] = {0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01};
static const uint8_t oid_p256[] = {0x2a, 0x86, 0x48, 0xce,
                                   0x3d, 0x03, 0x01, 0x07};

/* Reads the length that follows a tag: minimal, and of two bytes at most, since
 * no key is longer. Returns how many bytes the length itself took. */
static int take_length(size_t *out, kad_bytes in) {
  if (in.len == 0) {
    return KAD_E_KEY;
  }
  uint8_t first = in.data[0];
  if (first < 0x80) {
    *out = first;
    return 1;
  }
  if (first == 0x81 && in.len >= 2 && in.data[1] >= 0x80) {
    *out = in.data[1];
    return 2;
  }
  if (first == 0x82 && in.len >= 3 && in.data[1] != 0) {
    *out = kad__load16(in.data + 1);
    return 3;
  }
  return KAD_E_KEY;
}

int kad__der_take(kad_bytes *in, uint8_t tag, kad_bytes *out) {
  if (in->len == 0 || in->data[0] != tag) {
    return KAD_E_KEY;
  }
  size_t len = 0;
  int taken = take_length(&len, kad__bytes_skip(*in, 1));
  if (taken < 0) {
    return taken;
  }
  kad_bytes rest = kad__bytes_skip(*in, 1 + (size_t)taken);
  if (len > rest.len) {
    return KAD_E_KEY;
  }
  *out = kad__bytes(rest.data, len);
  *in = kad__bytes_skip(rest, len);
  return 0;
}

/* An element that must be the last one of `in`. */
static int take_only(kad_bytes in, uint8_t tag, kad_bytes *out) {
  int result = kad__der_take(&in, tag, out);
  if (result < 0) {
    return result;
  }
  return in.len == 0 ? 0 : KAD_E_KEY;
}

static int take_oid(kad_bytes *in, kad_bytes expected) {
  kad_bytes oid;
  int result = kad__der_take(in, TAG_OID, &oid);
  if (result < 0) {
    return result;
  }
  return kad__bytes_equal(oid, expected) ? 0 : KAD_E_KEY_TYPE;
}

/* A positive INTEGER in minimal form, without the zero that keeps it positive.
 */
static int take_positive(kad_bytes *in, kad_bytes *out) {
  kad_bytes value;
  int result = kad__der_take(in, TAG_INTEGER, &value);
  if (result < 0) {
    return result;
  }
  if (value.len == 0 || value.data[0] >= 0x80) {
    return KAD_E_KEY;
  }
  if (value.data[0] == 0) {
    value = kad__bytes_skip(value, 1);
    if (value.len == 0 || value.data[0] < 0x80) {
      return KAD_E_KEY;
    }
  }
  *out = value;
  return 0;
}

/* SubjectPublicKeyInfo, as far as all algorithms share it: the fields of the
 * algorithm, and the whole bytes of the key. */
static int take_key_info(kad_bytes in, kad_bytes *algorithm, kad_bytes *key) {
  kad_bytes info;
  kad_bytes bits;
  int result = take_only(in, TAG_SEQUENCE, &info);
  if (result < 0) {
    return result;
  }
  result = kad__der_take(&info, TAG_SEQUENCE, algorithm);
  if (result < 0) {
    return result;
  }
  result = take_only(info, TAG_BIT_STRING, &bits);
  if (result < 0) {
    return result;
  }
  if (bits.len == 0 || bits.data[0] != 0) {
    return KAD_E_KEY;
  }
  *key = kad__bytes_skip(bits, 1);
  return 0;
}

static int check_rsa_algorithm(kad_bytes algorithm) {
  kad_bytes null;
  int result = take_oid(&algorithm, kad__bytes(oid_rsa, sizeof(oid_rsa)));
  if (result < 0) {
    return result;
  }
  result = take_only(algorithm, TAG_NULL, &null);
  if (result < 0) {
    return result;
  }
  return null.len == 0 ? 0 : KAD_E_KEY;
}

static size_t count_bits(kad_bytes number) {
  size_t bits = (number.len - 1) * 8;
  for (uint8_t top = number.data[0]; top != 0; top >>= 1) {
    bits++;
  }
  return bits;
}

static bool is_odd(kad_bytes number) {
  return (number.data[number.len - 1] & 1) != 0;
}

static int check_rsa_numbers(kad_bytes modulus, kad_bytes exponent) {
  size_t bits = count_bits(modulus);
  if (bits < KAD__RSA_BITS_MIN || bits > KAD__RSA_BITS_MAX) {
    return KAD_E_KEY_SIZE;
  }
  if (!is_odd(modulus) || !is_odd(exponent)) {
    return KAD_E_KEY;
  }
  /* The cost of a verification grows with the exponent as with the modulus;
   * nobody uses one of more than 31 bits. */
  size_t exponent_bits = count_bits(exponent);
  return exponent_bits >= 2 && exponent_bits <= 31 ? 0 : KAD_E_KEY;
}

int kad__der_rsa_key(kad_bytes *modulus, kad_bytes *exponent, kad_bytes in) {
  kad_bytes algorithm;
  kad_bytes key;
  kad_bytes numbers;
  int result = take_key_info(in, &algorithm, &key);
  if (result < 0) {
    return result;
  }
  result = check_rsa_algorithm(algorithm);
  if (result < 0) {
    return result;
  }
  result = take_only(key, TAG_SEQUENCE, &numbers);
  if (result < 0) {
    return result;
  }
  result = take_positive(&numbers, modulus);
  if (result < 0) {
    return result;
  }
  result = take_positive(&numbers, exponent);
  if (result < 0) {
    return result;
  }
  return numbers.len == 0 ? check_rsa_numbers(*modulus, *exponent) : KAD_E_KEY;
}

int kad__der_p256_key(kad_bytes *point, kad_bytes in) {
  kad_bytes algorithm;
  int result = take_key_info(in, &algorithm, point);
  if (result < 0) {
    return result;
  }
  result = take_oid(&algorithm, kad__bytes(oid_ec, sizeof(oid_ec)));
  if (result < 0) {
    return result;
  }
  result = take_oid(&algorithm, kad__bytes(oid_p256, sizeof(oid_p256)));
  if (result < 0) {
    return result;
  }
  if (algorithm.len != 0 || point->len != KAD__P256_POINT_LEN ||
      point->data[0] != 0x04) {
    return KAD_E_KEY;
  }
  return 0;
}
