/* The payload of the second and third Noise message. Field 3 was early data in
 * an old draft; it and the certificate hashes of WebTransport are passed over.
 */
#include "wire/noise_payload.h"

#include "base/bytes.h"
#include "wire/protobuf.h"

enum {
  PAYLOAD_IDENTITY_KEY = 1,
  PAYLOAD_IDENTITY_SIGNATURE = 2,
  PAYLOAD_EXTENSIONS = 4,

  EXTENSIONS_MUXER = 2
};

/* Called once for each field of a message. */
typedef int (*field_handler)(kad__noise_payload *payload,
                             const kad__pb_field *field);

static int each_field(kad__noise_payload *payload, kad_bytes in,
                      field_handler handler) {
  kad__pb_field field;
  int result = 0;
  while ((result = kad__pb_next(&in, &field)) == 1) {
    result = handler(payload, &field);
    if (result < 0) {
      break;
    }
  }
  return result;
}

static int extension_field(kad__noise_payload *payload,
                           const kad__pb_field *field) {
  if (field->number != EXTENSIONS_MUXER) {
    return 0;
  }
  if (field->type != KAD__PB_BYTES) {
    return KAD_E_PROTOBUF;
  }
  if (payload->muxer_count < KAD__NOISE_MUXERS_MAX) {
    payload->muxers[payload->muxer_count++] = field->bytes;
  }
  return 0;
}

static int payload_field(kad__noise_payload *payload,
                         const kad__pb_field *field) {
  bool known = field->number == PAYLOAD_IDENTITY_KEY ||
               field->number == PAYLOAD_IDENTITY_SIGNATURE ||
               field->number == PAYLOAD_EXTENSIONS;
  if (!known) {
    return 0;
  }
  if (field->type != KAD__PB_BYTES) {
    return KAD_E_PROTOBUF;
  }
  if (field->number == PAYLOAD_EXTENSIONS) {
    return each_field(payload, field->bytes, extension_field);
  }
  if (field->number == PAYLOAD_IDENTITY_KEY) {
    payload->identity_key = field->bytes;
  } else {
    payload->identity_signature = field->bytes;
  }
  return 0;
}

int kad__noise_payload_decode(kad__noise_payload *out, kad_bytes in) {
  out->identity_key = kad__bytes(NULL, 0);
  out->identity_signature = kad__bytes(NULL, 0);
  out->muxer_count = 0;
  return each_field(out, in, payload_field);
}

static size_t extensions_len(const kad__noise_payload *payload) {
  size_t len = 0;
  for (size_t i = 0; i < payload->muxer_count; i++) {
    len += kad__pb_bytes_len(EXTENSIONS_MUXER, payload->muxers[i].len);
  }
  return len;
}

int kad__noise_payload_encode(uint8_t *out, size_t cap,
                              const kad__noise_payload *payload) {
  kad__pb_writer w;
  kad__pb_writer_init(&w, out, cap);
  kad__pb_put_bytes(&w, PAYLOAD_IDENTITY_KEY, payload->identity_key);
  kad__pb_put_bytes(&w, PAYLOAD_IDENTITY_SIGNATURE,
                    payload->identity_signature);
  if (payload->muxer_count > 0) {
    kad__pb_put_header(&w, PAYLOAD_EXTENSIONS, extensions_len(payload));
  }
  for (size_t i = 0; i < payload->muxer_count; i++) {
    kad__pb_put_bytes(&w, EXTENSIONS_MUXER, payload->muxers[i]);
  }
  return kad__pb_writer_finish(&w);
}
