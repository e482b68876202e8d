/* Both signatures cover bytes that do not stand together in the record. They
 * are put together where the data will stand, or in front of it, before the
 * final bytes are written there: the caller's memory is the only memory. */
#include "base/bytes.h"
#include "node/records.h"
#include "node/records_cbor.h"
#include "node/records_ipns.h"
#include "wire/protobuf.h"

/* The name of the type of validity, as the V1 signature covers it. */
#define V1_VALIDITY_TYPE "EOL"

#define HEAD_MAX 9

typedef struct sealer {
  const kad__ipns_options *options;
  uint8_t validity[KAD__CALENDAR_TIME_LEN];
  uint8_t signature_v1[KAD_SIGNATURE_LEN];
  uint8_t signature_v2[KAD_SIGNATURE_LEN];
  size_t data_len;
} sealer;

static void put_head(kad__pb_writer *w, kad__cbor_type type, uint64_t value) {
  uint8_t head[HEAD_MAX];
  size_t len = kad__cbor_put_head(head, type, value);
  kad__pb_put_raw(w, kad__bytes(head, len));
}

static void put_string(kad__pb_writer *w, kad__cbor_type type,
                       kad_bytes bytes) {
  put_head(w, type, bytes.len);
  kad__pb_put_raw(w, bytes);
}

static void put_key(kad__pb_writer *w, enum kad__ipns_key key) {
  static const char keys[][KAD__IPNS_KEY_SIZE] = KAD__IPNS_KEYS;
  put_string(w, KAD__CBOR_TEXT, kad__bytes_of(keys[key]));
}

static void put_data(kad__pb_writer *w, const sealer *s) {
  put_head(w, KAD__CBOR_MAP, KAD__IPNS_KEY_COUNT);
  put_key(w, KAD__IPNS_KEY_TTL);
  put_head(w, KAD__CBOR_UNSIGNED, s->options->ttl_ns);
  put_key(w, KAD__IPNS_KEY_VALUE);
  put_string(w, KAD__CBOR_BYTES, s->options->value);
  put_key(w, KAD__IPNS_KEY_SEQUENCE);
  put_head(w, KAD__CBOR_UNSIGNED, s->options->sequence);
  put_key(w, KAD__IPNS_KEY_VALIDITY);
  put_string(w, KAD__CBOR_BYTES, kad__bytes(s->validity, sizeof(s->validity)));
  put_key(w, KAD__IPNS_KEY_VALIDITY_TYPE);
  put_head(w, KAD__CBOR_UNSIGNED, KAD__IPNS_EOL);
}

static size_t string_len(size_t len) {
  uint8_t head[HEAD_MAX];
  return kad__cbor_put_head(head, KAD__CBOR_BYTES, len) + len;
}

static size_t number_len(uint64_t value) {
  uint8_t head[HEAD_MAX];
  return kad__cbor_put_head(head, KAD__CBOR_UNSIGNED, value);
}

static size_t measure_data(const kad__ipns_options *options) {
  static const char keys[][KAD__IPNS_KEY_SIZE] = KAD__IPNS_KEYS;
  size_t len = 1 + number_len(options->ttl_ns) +
               string_len(options->value.len) + number_len(options->sequence) +
               string_len(KAD__CALENDAR_TIME_LEN) + number_len(KAD__IPNS_EOL);
  for (size_t i = 0; i < KAD__IPNS_KEY_COUNT; i++) {
    len += string_len(strlen(keys[i]));
  }
  return len;
}

/* Everything in front of the data. */
static void put_fields(kad__pb_writer *w, const sealer *s) {
  if (s->options->v1) {
    kad__pb_put_bytes(w, KAD__IPNS_VALUE, s->options->value);
    kad__pb_put_bytes(w, KAD__IPNS_SIGNATURE_V1,
                      kad__bytes(s->signature_v1, KAD_SIGNATURE_LEN));
    kad__pb_put_varint(w, KAD__IPNS_VALIDITY_TYPE, KAD__IPNS_EOL);
    kad__pb_put_bytes(w, KAD__IPNS_VALIDITY,
                      kad__bytes(s->validity, sizeof(s->validity)));
    kad__pb_put_varint(w, KAD__IPNS_SEQUENCE, s->options->sequence);
    kad__pb_put_varint(w, KAD__IPNS_TTL, s->options->ttl_ns);
  }
  kad__pb_put_bytes(w, KAD__IPNS_SIGNATURE_V2,
                    kad__bytes(s->signature_v2, KAD_SIGNATURE_LEN));
  kad__pb_put_header(w, KAD__IPNS_DATA, s->data_len);
}

/* value, validity, type: shorter than the data, which holds all of them. */
static int sign_v1(sealer *s, uint8_t *data, const kad_key_pair *pair) {
  kad__pb_writer w;
  kad__pb_writer_init(&w, data, s->data_len);
  kad__pb_put_raw(&w, s->options->value);
  kad__pb_put_raw(&w, kad__bytes(s->validity, sizeof(s->validity)));
  kad__pb_put_raw(&w, kad__bytes_of(V1_VALIDITY_TYPE));
  kad_bytes text = kad__bytes(data, (size_t)(w.at - data));
  return kad_key_pair_sign(pair, s->signature_v1, text);
}

/* The prefix fits in front of the data, where the signature will stand. */
static int sign_v2(sealer *s, uint8_t *data, const kad_key_pair *pair) {
  kad_bytes prefix = kad__bytes_of(KAD__IPNS_SIGNATURE_PREFIX);
  kad__pb_writer w;
  kad__pb_writer_init(&w, data, s->data_len);
  put_data(&w, s);
  uint8_t *text = data - prefix.len;
  memcpy(text, prefix.data, prefix.len);
  return kad_key_pair_sign(pair, s->signature_v2,
                           kad__bytes(text, prefix.len + s->data_len));
}

int kad__ipns_seal(uint8_t *out, size_t cap, const kad_key_pair *pair,
                   const kad__ipns_options *options) {
  if (options->value.len > KAD__IPNS_RECORD_MAX) {
    return KAD_E_RECORD_TOO_LARGE;
  }
  sealer s = {.options = options, .data_len = measure_data(options)};
  kad__calendar_time_format(s.validity, options->valid_until_unix_ns);
  kad__pb_writer w;
  kad__pb_writer_init(&w, out, cap);
  put_fields(&w, &s);
  uint8_t *data = w.at;
  put_data(&w, &s);
  int len = kad__pb_writer_finish(&w);
  if (len < 0) {
    return len;
  }
  if (len > KAD__IPNS_RECORD_MAX) {
    return KAD_E_RECORD_TOO_LARGE;
  }
  int result = options->v1 ? sign_v1(&s, data, pair) : 0;
  if (result == 0) {
    result = sign_v2(&s, data, pair);
  }
  if (result < 0) {
    return result;
  }
  kad__pb_writer_init(&w, out, cap);
  put_fields(&w, &s);
  return len;
}
