/* An envelope's signature covers the domain, the payload's type and the payload
 * as one run of bytes, each behind its length. The last of these look the same
 * inside the envelope itself (`length, payload`), so sealing writes the payload
 * where it belongs, signs with the domain written in front of it, and then
 * writes the envelope's head over the domain: nothing is copied twice. */
#include "identity/envelope.h"

#include "base/alloc.h"
#include "base/bytes.h"
#include "kadmium/multiaddr.h"
#include "multiformats/varint.h"
#include "wire/protobuf.h"

enum envelope_field {
  ENVELOPE_PUBLIC_KEY = 1,
  ENVELOPE_PAYLOAD_TYPE = 2,
  ENVELOPE_PAYLOAD = 3,
  ENVELOPE_SIGNATURE = 5
};

enum record_field { RECORD_PEER = 1, RECORD_SEQUENCE = 2, RECORD_ADDRESS = 3 };

#define ADDRESS_MULTIADDR 1

/* What is signed in front of the payload's length: the domain and the type,
 * each behind a one-byte length. */
#define SIGNED_HEAD_LEN (1 + DOMAIN_LEN + 1 + TYPE_LEN)
#define DOMAIN_LEN (sizeof(KAD__PEER_RECORD_DOMAIN) - 1)
#define TYPE_LEN sizeof(payload_type)

static const uint8_t payload_type[] = {0x03, 0x01};

static void write_signed_head(uint8_t out[]) {
  out[0] = (uint8_t)DOMAIN_LEN;
  memcpy(out + 1, KAD__PEER_RECORD_DOMAIN, DOMAIN_LEN);
  out[1 + DOMAIN_LEN] = (uint8_t)TYPE_LEN;
  memcpy(out + 2 + DOMAIN_LEN, payload_type, TYPE_LEN);
}

static size_t record_len(const kad_peer_id *peer, uint64_t sequence,
                         const kad_bytes *addresses, size_t count) {
  size_t len = kad__pb_bytes_len(RECORD_PEER, peer->len) +
               kad__pb_varint_len(RECORD_SEQUENCE, sequence);
  for (size_t i = 0; i < count; i++) {
    size_t inner = kad__pb_bytes_len(ADDRESS_MULTIADDR, addresses[i].len);
    len += kad__pb_bytes_len(RECORD_ADDRESS, inner);
  }
  return len;
}

static void put_record(kad__pb_writer *w, const kad_peer_id *peer,
                       uint64_t sequence, const kad_bytes *addresses,
                       size_t count) {
  kad__pb_put_bytes(w, RECORD_PEER, kad_peer_id_bytes(peer));
  kad__pb_put_varint(w, RECORD_SEQUENCE, sequence);
  for (size_t i = 0; i < count; i++) {
    kad__pb_put_header(w, RECORD_ADDRESS,
                       kad__pb_bytes_len(ADDRESS_MULTIADDR, addresses[i].len));
    kad__pb_put_bytes(w, ADDRESS_MULTIADDR, addresses[i]);
  }
}

/* The envelope up to and including the payload's length. */
static void put_envelope_head(kad__pb_writer *w, const kad_key_pair *pair,
                              size_t payload_len) {
  kad__pb_put_bytes(w, ENVELOPE_PUBLIC_KEY,
                    kad_public_key_bytes(kad_key_pair_public(pair)));
  kad__pb_put_bytes(w, ENVELOPE_PAYLOAD_TYPE,
                    kad__bytes(payload_type, TYPE_LEN));
  kad__pb_put_header(w, ENVELOPE_PAYLOAD, payload_len);
}

int kad__peer_record_seal(uint8_t *out, size_t cap, const kad_key_pair *pair,
                          uint64_t sequence, const kad_bytes *addresses,
                          size_t count) {
  if (count > KAD__PEER_RECORD_ADDRESSES_MAX) {
    count = KAD__PEER_RECORD_ADDRESSES_MAX;
  }
  cap = cap < KAD__ENVELOPE_MAX ? cap : KAD__ENVELOPE_MAX;
  const kad_peer_id *peer = kad_key_pair_peer_id(pair);
  size_t payload_len = record_len(peer, sequence, addresses, count);
  kad__pb_writer w;
  kad__pb_writer_init(&w, out, cap);
  put_envelope_head(&w, pair, payload_len);
  uint8_t *payload = w.at;
  put_record(&w, peer, sequence, addresses, count);
  uint8_t *end = w.at;
  if (w.overflow) {
    return KAD_E_BUFFER_TOO_SMALL;
  }

  uint8_t *length = payload - kad__varint_len(payload_len);
  uint8_t *start = length - SIGNED_HEAD_LEN;
  write_signed_head(start);
  uint8_t signature[KAD_SIGNATURE_MAX];
  int signed_len =
      kad_key_pair_signature(pair, signature, sizeof(signature),
                             kad__bytes(start, (size_t)(end - start)));
  if (signed_len < 0) {
    return signed_len;
  }
  kad__pb_put_bytes(&w, ENVELOPE_SIGNATURE,
                    kad__bytes(signature, (size_t)signed_len));
  if (w.overflow) {
    return KAD_E_BUFFER_TOO_SMALL;
  }
  int len = kad__pb_writer_finish(&w);
  kad__pb_writer_init(&w, out, cap);
  put_envelope_head(&w, pair, payload_len);
  return len;
}

typedef struct envelope {
  kad_bytes public_key;
  kad_bytes type;
  kad_bytes payload;
  kad_bytes signature;
} envelope;

static int read_envelope(envelope *out, kad_bytes in) {
  kad__pb_field field;
  int result;
  memset(out, 0, sizeof(*out));
  while ((result = kad__pb_next(&in, &field)) > 0) {
    kad_bytes *target = NULL;
    switch (field.number) {
      case ENVELOPE_PUBLIC_KEY:
        target = &out->public_key;
        break;
      case ENVELOPE_PAYLOAD_TYPE:
        target = &out->type;
        break;
      case ENVELOPE_PAYLOAD:
        target = &out->payload;
        break;
      case ENVELOPE_SIGNATURE:
        target = &out->signature;
        break;
      default:
        continue;
    }
    if (field.type != KAD__PB_BYTES) {
      return KAD_E_PROTOBUF;
    }
    *target = field.bytes;
  }
  return result;
}

static int verify_payload(const kad_public_key *key,
                          const kad_allocator *allocator, const envelope *e) {
  uint8_t length[KAD__VARINT_MAX_LEN];
  size_t length_len = kad__varint_encode(length, e->payload.len);
  size_t len = SIGNED_HEAD_LEN + length_len + e->payload.len;
  uint8_t *text = kad__alloc(allocator, len);
  if (text == NULL) {
    return KAD_E_NO_MEMORY;
  }
  write_signed_head(text);
  memcpy(text + SIGNED_HEAD_LEN, length, length_len);
  if (e->payload.len != 0) {
    memcpy(text + SIGNED_HEAD_LEN + length_len, e->payload.data,
           e->payload.len);
  }
  int result = kad_public_key_verify(key, kad__bytes(text, len), e->signature);
  kad__release(allocator, text);
  return result;
}

/* The signer, when the envelope's signature is good. */
static int verify_signer(kad_peer_id *signer, const kad_allocator *allocator,
                         const envelope *e) {
  kad_public_key *key = NULL;
  int result = kad_public_key_decode(&key, allocator, e->public_key);
  if (result < 0) {
    return result;
  }
  result = verify_payload(key, allocator, e);
  kad_public_key_peer_id(key, signer);
  kad_public_key_free(key);
  return result;
}

/* An AddressInfo; what is malformed or empty in it is passed over. */
static void add_address(kad__peer_record *record, kad_bytes in) {
  kad_bytes address = {NULL, 0};
  kad__pb_field field;
  int result;
  while ((result = kad__pb_next(&in, &field)) > 0) {
    if (field.number == ADDRESS_MULTIADDR && field.type == KAD__PB_BYTES) {
      address = field.bytes;
    }
  }
  if (result < 0 || record->address_count == KAD__PEER_RECORD_ADDRESSES_MAX ||
      kad_multiaddr_check(address) < 0) {
    return;
  }
  record->addresses[record->address_count++] = address;
}

static int read_field(kad__peer_record *record, const kad__pb_field *field) {
  switch (field->number) {
    case RECORD_PEER:
      if (field->type != KAD__PB_BYTES ||
          kad_peer_id_decode(&record->peer, field->bytes) < 0) {
        return KAD_E_PROTOBUF;
      }
      return 0;
    case RECORD_SEQUENCE:
      if (field->type != KAD__PB_VARINT) {
        return KAD_E_PROTOBUF;
      }
      record->sequence = field->value;
      return 0;
    case RECORD_ADDRESS:
      if (field->type != KAD__PB_BYTES) {
        return KAD_E_PROTOBUF;
      }
      add_address(record, field->bytes);
      return 0;
    default:
      return 0;
  }
}

static int read_record(kad__peer_record *out, kad_bytes in) {
  kad__pb_field field;
  int result;
  while ((result = kad__pb_next(&in, &field)) > 0) {
    result = read_field(out, &field);
    if (result < 0) {
      return result;
    }
  }
  return result;
}

int kad__peer_record_open(kad__peer_record *out, const kad_allocator *allocator,
                          kad_bytes sealed) {
  envelope e;
  kad_peer_id signer;
  if (sealed.len > KAD__ENVELOPE_MAX) {
    return KAD_E_MESSAGE_TOO_LARGE;
  }
  int result = read_envelope(&e, sealed);
  if (result < 0) {
    return result;
  }
  if (!kad__bytes_equal(e.type, kad__bytes(payload_type, TYPE_LEN))) {
    return KAD_E_MESSAGE;
  }
  result = verify_signer(&signer, allocator, &e);
  if (result < 0) {
    return result;
  }
  memset(out, 0, sizeof(*out));
  result = read_record(out, e.payload);
  if (result < 0) {
    return result;
  }
  return kad_peer_id_equal(&out->peer, &signer) ? 0 : KAD_E_PEER_MISMATCH;
}
