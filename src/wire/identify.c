/* The order of writing matters to others: rust-libp2p reads one message of at
 * most 4 KiB, so what everybody needs goes first and the signed record last. */
#include "wire/identify.h"

#include "base/bytes.h"
#include "multiformats/varint.h"
#include "wire/protobuf.h"

enum {
  IDENTIFY_PUBLIC_KEY = 1,
  IDENTIFY_ADDRESS = 2,
  IDENTIFY_PROTOCOL = 3,
  IDENTIFY_OBSERVED_ADDRESS = 4,
  IDENTIFY_PROTOCOL_VERSION = 5,
  IDENTIFY_AGENT_VERSION = 6,
  IDENTIFY_SIGNED_PEER_RECORD = 8
};

static void set(kad_bytes *out, bool *has, kad_bytes bytes) {
  *out = bytes;
  *has = true;
}

static void append(kad_bytes *list, size_t *count, size_t max,
                   kad_bytes bytes) {
  if (*count < max) {
    list[(*count)++] = bytes;
  }
}

static int merge_field(kad__identify_message *m, const kad__pb_field *field) {
  if (field->number > IDENTIFY_SIGNED_PEER_RECORD || field->number == 7) {
    return 0;
  }
  /* Every field that has a name is bytes. */
  if (field->type != KAD__PB_BYTES) {
    return KAD_E_PROTOBUF;
  }
  switch (field->number) {
    case IDENTIFY_PUBLIC_KEY:
      set(&m->public_key, &m->has_public_key, field->bytes);
      break;
    case IDENTIFY_ADDRESS:
      append(m->addresses, &m->address_count, KAD__IDENTIFY_ADDRESSES_MAX,
             field->bytes);
      break;
    case IDENTIFY_PROTOCOL:
      append(m->protocols, &m->protocol_count, KAD__IDENTIFY_PROTOCOLS_MAX,
             field->bytes);
      break;
    case IDENTIFY_OBSERVED_ADDRESS:
      set(&m->observed_address, &m->has_observed_address, field->bytes);
      break;
    case IDENTIFY_PROTOCOL_VERSION:
      set(&m->protocol_version, &m->has_protocol_version, field->bytes);
      break;
    case IDENTIFY_AGENT_VERSION:
      set(&m->agent_version, &m->has_agent_version, field->bytes);
      break;
    default:
      set(&m->signed_peer_record, &m->has_signed_peer_record, field->bytes);
      break;
  }
  return 0;
}

int kad__identify_merge(kad__identify_message *out, kad_bytes in) {
  kad__pb_field field;
  int result = 0;
  while ((result = kad__pb_next(&in, &field)) == 1) {
    result = merge_field(out, &field);
    if (result < 0) {
      break;
    }
  }
  return result;
}

static size_t optional_len(uint32_t number, bool has, kad_bytes bytes) {
  return has ? kad__pb_bytes_len(number, bytes.len) : 0;
}

static void put_optional(kad__pb_writer *w, uint32_t number, bool has,
                         kad_bytes bytes) {
  if (has) {
    kad__pb_put_bytes(w, number, bytes);
  }
}

static size_t list_len(uint32_t number, const kad_bytes *list, size_t count) {
  size_t len = 0;
  for (size_t i = 0; i < count; i++) {
    len += kad__pb_bytes_len(number, list[i].len);
  }
  return len;
}

static void put_list(kad__pb_writer *w, uint32_t number, const kad_bytes *list,
                     size_t count) {
  for (size_t i = 0; i < count; i++) {
    kad__pb_put_bytes(w, number, list[i]);
  }
}

static size_t message_len(const kad__identify_message *m) {
  return optional_len(IDENTIFY_PUBLIC_KEY, m->has_public_key, m->public_key) +
         list_len(IDENTIFY_ADDRESS, m->addresses, m->address_count) +
         list_len(IDENTIFY_PROTOCOL, m->protocols, m->protocol_count) +
         optional_len(IDENTIFY_OBSERVED_ADDRESS, m->has_observed_address,
                      m->observed_address) +
         optional_len(IDENTIFY_PROTOCOL_VERSION, m->has_protocol_version,
                      m->protocol_version) +
         optional_len(IDENTIFY_AGENT_VERSION, m->has_agent_version,
                      m->agent_version) +
         optional_len(IDENTIFY_SIGNED_PEER_RECORD, m->has_signed_peer_record,
                      m->signed_peer_record);
}

int kad__identify_encode(uint8_t *out, size_t cap,
                         const kad__identify_message *m) {
  uint8_t prefix[KAD__VARINT_MAX_LEN];
  size_t prefix_len = kad__varint_encode(prefix, message_len(m));
  kad__pb_writer w;
  kad__pb_writer_init(&w, out, cap);
  kad__pb_put_raw(&w, kad__bytes(prefix, prefix_len));
  put_optional(&w, IDENTIFY_PUBLIC_KEY, m->has_public_key, m->public_key);
  put_list(&w, IDENTIFY_ADDRESS, m->addresses, m->address_count);
  put_list(&w, IDENTIFY_PROTOCOL, m->protocols, m->protocol_count);
  put_optional(&w, IDENTIFY_OBSERVED_ADDRESS, m->has_observed_address,
               m->observed_address);
  put_optional(&w, IDENTIFY_PROTOCOL_VERSION, m->has_protocol_version,
               m->protocol_version);
  put_optional(&w, IDENTIFY_AGENT_VERSION, m->has_agent_version,
               m->agent_version);
  put_optional(&w, IDENTIFY_SIGNED_PEER_RECORD, m->has_signed_peer_record,
               m->signed_peer_record);
  return kad__pb_writer_finish(&w);
}
