/* Each message is a wrapper around one of four bodies, so the length of a body
 * is computed before it is written. */
#include "wire/autonat.h"

#include "base/bytes.h"
#include "wire/addresses.h"
#include "wire/protobuf.h"

enum {
  REQUEST_ADDRESS = 1,
  REQUEST_NONCE = 2,
  RESPONSE_STATUS = 1,
  RESPONSE_INDEX = 2,
  RESPONSE_DIAL_STATUS = 3,
  DATA_REQUEST_INDEX = 1,
  DATA_REQUEST_WANTED = 2,
  DATA_RESPONSE_DATA = 1,
  BACK_NONCE = 1,
  FIXED64_LEN = 9 /* with the tag of a small field number */
};

/* ---- decoding ------------------------------------------------------------ */

/* Sets what a field of a body says; unknown ones are passed over. */
typedef int (*body_field)(kad__autonat_message *m, const kad__pb_field *field);

static int expect(const kad__pb_field *field, kad__pb_type type) {
  return field->type == type ? 0 : KAD_E_PROTOBUF;
}

static int request_field(kad__autonat_message *m, const kad__pb_field *field) {
  if (field->number == REQUEST_ADDRESS) {
    return expect(field, KAD__PB_BYTES);
  }
  if (field->number == REQUEST_NONCE) {
    m->nonce = field->value;
    return expect(field, KAD__PB_FIXED64);
  }
  return 0;
}

static int response_field(kad__autonat_message *m, const kad__pb_field *field) {
  uint32_t *const into[] = {[RESPONSE_STATUS] = &m->status,
                            [RESPONSE_INDEX] = &m->index,
                            [RESPONSE_DIAL_STATUS] = &m->dial_status};
  if (field->number >= KAD__COUNT(into)) {
    return 0;
  }
  *into[field->number] = (uint32_t)field->value;
  return expect(field, KAD__PB_VARINT);
}

static int data_request_field(kad__autonat_message *m,
                              const kad__pb_field *field) {
  if (field->number == DATA_REQUEST_INDEX) {
    m->index = (uint32_t)field->value;
    return expect(field, KAD__PB_VARINT);
  }
  if (field->number == DATA_REQUEST_WANTED) {
    m->wanted = field->value;
    return expect(field, KAD__PB_VARINT);
  }
  return 0;
}

static int data_response_field(kad__autonat_message *m,
                               const kad__pb_field *field) {
  if (field->number == DATA_RESPONSE_DATA) {
    m->data_len = field->bytes.len;
    return expect(field, KAD__PB_BYTES);
  }
  return 0;
}

static const body_field body_fields[] = {
    [KAD__AUTONAT_DIAL_REQUEST] = request_field,
    [KAD__AUTONAT_DIAL_RESPONSE] = response_field,
    [KAD__AUTONAT_DATA_REQUEST] = data_request_field,
    [KAD__AUTONAT_DATA_RESPONSE] = data_response_field};

static int decode_body(kad__autonat_message *out, const kad__pb_field *outer) {
  kad_bytes in = outer->bytes;
  kad__pb_field field;
  int result = 0;
  out->type = (kad__autonat_type)outer->number;
  out->addresses = in;
  while ((result = kad__pb_next(&in, &field)) == 1) {
    result = body_fields[out->type](out, &field);
    if (result < 0) {
      break;
    }
  }
  return result;
}

int kad__autonat_decode(kad__autonat_message *out, kad_bytes in) {
  kad__pb_field field;
  int result = 0;
  bool found = false;
  *out = (kad__autonat_message){.type = KAD__AUTONAT_DIAL_REQUEST};
  while ((result = kad__pb_next(&in, &field)) == 1) {
    if (field.number == 0 || field.number >= KAD__COUNT(body_fields)) {
      continue;
    }
    if (field.type != KAD__PB_BYTES) {
      return KAD_E_PROTOBUF;
    }
    if (found) {
      return KAD_E_MESSAGE;
    }
    found = true;
    result = decode_body(out, &field);
    if (result < 0) {
      return result;
    }
  }
  if (result < 0) {
    return result;
  }
  return found ? 0 : KAD_E_MESSAGE;
}

bool kad__autonat_next_address(kad_bytes *rest, kad_bytes *address) {
  kad__pb_field field;
  while (kad__pb_next(rest, &field) == 1) {
    if (field.number == REQUEST_ADDRESS && field.type == KAD__PB_BYTES) {
      *address = field.bytes;
      return true;
    }
  }
  return false;
}

int kad__autonat_decode_back(uint64_t *nonce, kad_bytes in) {
  kad__pb_field field;
  int result = 0;
  *nonce = 0;
  while ((result = kad__pb_next(&in, &field)) == 1) {
    if (field.number != BACK_NONCE) {
      continue;
    }
    if (field.type != KAD__PB_FIXED64) {
      return KAD_E_PROTOBUF;
    }
    *nonce = field.value;
  }
  return result;
}

/* ---- encoding ------------------------------------------------------------ */

static void put_fixed64(kad__pb_writer *w, uint32_t number, uint64_t value) {
  uint8_t bytes[FIXED64_LEN];
  bytes[0] = (uint8_t)(number << 3 | KAD__PB_FIXED64);
  for (unsigned i = 0; i < 8; i++) {
    bytes[1 + i] = (uint8_t)(value >> (8 * i));
  }
  kad__pb_put_raw(w, kad__bytes(bytes, sizeof(bytes)));
}

static size_t addresses_len(kad_bytes list) {
  kad_bytes address;
  size_t len = 0;
  while (kad__addresses_next(&list, &address)) {
    len += kad__pb_bytes_len(REQUEST_ADDRESS, address.len);
  }
  return len;
}

static size_t body_len(const kad__autonat_message *m) {
  switch (m->type) {
    case KAD__AUTONAT_DIAL_REQUEST:
      return addresses_len(m->addresses) + FIXED64_LEN;
    case KAD__AUTONAT_DIAL_RESPONSE:
      return kad__pb_varint_len(RESPONSE_STATUS, m->status) +
             kad__pb_varint_len(RESPONSE_INDEX, m->index) +
             kad__pb_varint_len(RESPONSE_DIAL_STATUS, m->dial_status);
    case KAD__AUTONAT_DATA_REQUEST:
      return kad__pb_varint_len(DATA_REQUEST_INDEX, m->index) +
             kad__pb_varint_len(DATA_REQUEST_WANTED, m->wanted);
    case KAD__AUTONAT_DATA_RESPONSE:
      return kad__pb_bytes_len(DATA_RESPONSE_DATA, m->data_len);
  }
  return 0;
}

static void put_request(kad__pb_writer *w, const kad__autonat_message *m) {
  kad_bytes rest = m->addresses;
  kad_bytes address;
  while (kad__addresses_next(&rest, &address)) {
    kad__pb_put_bytes(w, REQUEST_ADDRESS, address);
  }
  put_fixed64(w, REQUEST_NONCE, m->nonce);
}

static void put_body(kad__pb_writer *w, const kad__autonat_message *m) {
  static const uint8_t zeros[KAD__AUTONAT_DATA_MAX];
  switch (m->type) {
    case KAD__AUTONAT_DIAL_REQUEST:
      put_request(w, m);
      return;
    case KAD__AUTONAT_DIAL_RESPONSE:
      kad__pb_put_varint(w, RESPONSE_STATUS, m->status);
      kad__pb_put_varint(w, RESPONSE_INDEX, m->index);
      kad__pb_put_varint(w, RESPONSE_DIAL_STATUS, m->dial_status);
      return;
    case KAD__AUTONAT_DATA_REQUEST:
      kad__pb_put_varint(w, DATA_REQUEST_INDEX, m->index);
      kad__pb_put_varint(w, DATA_REQUEST_WANTED, m->wanted);
      return;
    case KAD__AUTONAT_DATA_RESPONSE:
      kad__pb_put_bytes(w, DATA_RESPONSE_DATA, kad__bytes(zeros, m->data_len));
      return;
  }
}

/* The length that stands in front of every message. */
static void put_len(kad__pb_writer *w, size_t len) {
  if (kad__pb_has_room(w, kad__varint_len(len))) {
    kad__pb_write_varint(w, len);
  }
}

int kad__autonat_encode(uint8_t *out, size_t cap,
                        const kad__autonat_message *m) {
  kad__pb_writer w;
  size_t len = body_len(m);
  if (m->data_len > KAD__AUTONAT_DATA_MAX) {
    return KAD_E_BUFFER_TOO_SMALL;
  }
  kad__pb_writer_init(&w, out, cap);
  put_len(&w, kad__pb_bytes_len((uint32_t)m->type, len));
  kad__pb_put_header(&w, (uint32_t)m->type, len);
  put_body(&w, m);
  return kad__pb_writer_finish(&w);
}

int kad__autonat_encode_back(uint8_t *out, size_t cap, uint64_t nonce) {
  kad__pb_writer w;
  kad__pb_writer_init(&w, out, cap);
  put_len(&w, FIXED64_LEN);
  put_fixed64(&w, BACK_NONCE, nonce);
  return kad__pb_writer_finish(&w);
}

int kad__autonat_encode_back_answer(uint8_t *out, size_t cap) {
  kad__pb_writer w;
  kad__pb_writer_init(&w, out, cap);
  put_len(&w, 0);
  return kad__pb_writer_finish(&w);
}
