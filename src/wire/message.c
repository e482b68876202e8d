/* One pass over the bytes, no copies. A repeated scalar is replaced by its last
 * occurrence and a repeated record is merged field by field, as protobuf says.
 * What is passed over (a Peer past a cap, or too large) is not looked into. */
#include "wire/message.h"

#include "base/bytes.h"
#include "multiformats/varint.h"
#include "wire/protobuf.h"

enum {
  MESSAGE_TYPE = 1,
  MESSAGE_KEY = 2,
  MESSAGE_RECORD = 3,
  MESSAGE_CLOSER = 8,
  MESSAGE_PROVIDER = 9,
  MESSAGE_CLUSTER_LEVEL = 10,

  RECORD_KEY = 1,
  RECORD_VALUE = 2,
  RECORD_TIME_RECEIVED = 5,
  RECORD_PUBLISHER = 666,
  RECORD_TTL = 777,

  PEER_ID = 1,
  PEER_ADDRESS = 2,
  PEER_CONNECTION = 3
};

void kad__message_init(kad__message *m, kad__message_type type) {
  m->type = type;
  m->has_record = false;
  m->cluster_level = 0;
  m->key = kad__bytes(NULL, 0);
  m->record = (kad__wire_record){0};
  m->closer_count = 0;
  m->provider_count = 0;
}

static int set_bytes(kad_bytes *out, const kad__pb_field *field) {
  if (field->type != KAD__PB_BYTES) {
    return KAD_E_PROTOBUF;
  }
  *out = field->bytes;
  return 0;
}

static int set_number(uint64_t *out, const kad__pb_field *field) {
  if (field->type != KAD__PB_VARINT) {
    return KAD_E_PROTOBUF;
  }
  *out = field->value;
  return 0;
}

static int set_ttl(kad__wire_record *record, const kad__pb_field *field) {
  uint64_t ttl = 0;
  int result = set_number(&ttl, field);
  /* Cutting off the high bits would turn some lives into "for ever". */
  record->ttl = ttl > UINT32_MAX ? UINT32_MAX : (uint32_t)ttl;
  return result;
}

static int set_record_field(kad__wire_record *record,
                            const kad__pb_field *field) {
  switch (field->number) {
    case RECORD_KEY:
      return set_bytes(&record->key, field);
    case RECORD_VALUE:
      return set_bytes(&record->value, field);
    case RECORD_TIME_RECEIVED:
      return set_bytes(&record->time_received, field);
    case RECORD_PUBLISHER:
      return set_bytes(&record->publisher, field);
    case RECORD_TTL:
      return set_ttl(record, field);
    default:
      return 0;
  }
}

static int decode_record(kad__wire_record *record, kad_bytes in) {
  kad__pb_field field;
  int result = 0;
  while ((result = kad__pb_next(&in, &field)) == 1) {
    result = set_record_field(record, &field);
    if (result < 0) {
      break;
    }
  }
  return result;
}

static int set_connection(kad__wire_peer *peer, const kad__pb_field *field) {
  uint64_t value = 0;
  int result = set_number(&value, field);
  /* Only a hint: a value from the future does not cost us the peer. */
  peer->connection = value > KAD__CANNOT_CONNECT ? KAD__NOT_CONNECTED
                                                 : (kad__wire_connection)value;
  return result;
}

/* `peer` gets the run from the first address to the last. Every encoder writes
 * the addresses together, so that is them and nothing else. */
static int decode_peer(kad__wire_peer *peer, kad_bytes in) {
  const uint8_t *first = NULL;
  const uint8_t *last = NULL;
  peer->id = kad__bytes(NULL, 0);
  peer->connection = KAD__NOT_CONNECTED;
  kad__pb_field field;
  const uint8_t *start = in.data;
  int result = 0;
  while ((result = kad__pb_next(&in, &field)) == 1) {
    if (field.number == PEER_ADDRESS) {
      first = first == NULL ? start : first;
      last = in.data;
      result = field.type == KAD__PB_BYTES ? 0 : KAD_E_PROTOBUF;
    } else if (field.number == PEER_ID) {
      result = set_bytes(&peer->id, &field);
    } else if (field.number == PEER_CONNECTION) {
      result = set_connection(peer, &field);
    }
    if (result < 0) {
      return result;
    }
    start = in.data;
  }
  peer->addresses =
      kad__bytes(first, first == NULL ? 0 : (size_t)(last - first));
  return result;
}

static int add_peer(kad__wire_peer *peers, size_t *count, size_t max,
                    const kad__pb_field *field) {
  if (field->type != KAD__PB_BYTES) {
    return KAD_E_PROTOBUF;
  }
  if (*count == max || field->bytes.len > KAD__MESSAGE_PEER_MAX) {
    return 0;
  }
  int result = decode_peer(&peers[*count], field->bytes);
  if (result == 0 && peers[*count].id.len != 0) {
    (*count)++;
  }
  return result;
}

static int set_record(kad__message *m, const kad__pb_field *field) {
  if (field->type != KAD__PB_BYTES) {
    return KAD_E_PROTOBUF;
  }
  m->has_record = true;
  return decode_record(&m->record, field->bytes);
}

static int set_cluster_level(kad__message *m, const kad__pb_field *field) {
  uint64_t value = 0;
  int result = set_number(&value, field);
  m->cluster_level = (int32_t)value;
  return result;
}

static int set_field(kad__message *m, uint64_t *type,
                     const kad__pb_field *field) {
  switch (field->number) {
    case MESSAGE_TYPE:
      return set_number(type, field);
    case MESSAGE_KEY:
      return set_bytes(&m->key, field);
    case MESSAGE_RECORD:
      return set_record(m, field);
    case MESSAGE_CLOSER:
      return add_peer(m->closer, &m->closer_count, KAD__MESSAGE_CLOSER_MAX,
                      field);
    case MESSAGE_PROVIDER:
      return add_peer(m->providers, &m->provider_count,
                      KAD__MESSAGE_PROVIDERS_MAX, field);
    case MESSAGE_CLUSTER_LEVEL:
      return set_cluster_level(m, field);
    default:
      return 0;
  }
}

int kad__message_decode(kad__message *out, kad_bytes in) {
  kad__message_init(out, KAD__PUT_VALUE);
  uint64_t type = KAD__PUT_VALUE;
  kad__pb_field field;
  int result = 0;
  while ((result = kad__pb_next(&in, &field)) == 1) {
    result = set_field(out, &type, &field);
    if (result < 0) {
      return result;
    }
  }
  if (result < 0) {
    return result;
  }
  if (type >= KAD__MESSAGE_TYPES) {
    return KAD_E_MESSAGE;
  }
  out->type = (kad__message_type)type;
  return 0;
}

/* proto3 leaves out what has its default value. */
static size_t bytes_len(uint32_t number, kad_bytes bytes) {
  return bytes.len == 0 ? 0 : kad__pb_bytes_len(number, bytes.len);
}

static void put_bytes(kad__pb_writer *w, uint32_t number, kad_bytes bytes) {
  if (bytes.len != 0) {
    kad__pb_put_bytes(w, number, bytes);
  }
}

static size_t number_len(uint32_t number, uint64_t value) {
  return value == 0 ? 0 : kad__pb_varint_len(number, value);
}

static void put_number(kad__pb_writer *w, uint32_t number, uint64_t value) {
  if (value != 0) {
    kad__pb_put_varint(w, number, value);
  }
}

static size_t record_len(const kad__wire_record *r) {
  return bytes_len(RECORD_KEY, r->key) + bytes_len(RECORD_VALUE, r->value) +
         bytes_len(RECORD_TIME_RECEIVED, r->time_received) +
         bytes_len(RECORD_PUBLISHER, r->publisher) +
         number_len(RECORD_TTL, r->ttl);
}

static void put_record(kad__pb_writer *w, const kad__wire_record *r) {
  kad__pb_put_header(w, MESSAGE_RECORD, record_len(r));
  put_bytes(w, RECORD_KEY, r->key);
  put_bytes(w, RECORD_VALUE, r->value);
  put_bytes(w, RECORD_TIME_RECEIVED, r->time_received);
  put_bytes(w, RECORD_PUBLISHER, r->publisher);
  put_number(w, RECORD_TTL, r->ttl);
}

static size_t peer_len(const kad__wire_peer *peer) {
  return bytes_len(PEER_ID, peer->id) + peer->addresses.len +
         number_len(PEER_CONNECTION, peer->connection);
}

/* Room is looked for once: a peer is the bulk of what is ever written. */
static void put_peer(kad__pb_writer *w, uint32_t number,
                     const kad__wire_peer *peer) {
  size_t len = peer_len(peer);
  if (!kad__pb_has_room(w, kad__pb_bytes_len(number, len))) {
    return;
  }
  kad__pb_write_header(w, number, len);
  if (peer->id.len != 0) {
    kad__pb_write_header(w, PEER_ID, peer->id.len);
    kad__pb_write_raw(w, peer->id);
  }
  kad__pb_write_raw(w, peer->addresses);
  put_number(w, PEER_CONNECTION, peer->connection);
}

static size_t peers_len(uint32_t number, const kad__wire_peer *peers,
                        size_t count) {
  size_t len = 0;
  for (size_t i = 0; i < count; i++) {
    len += kad__pb_bytes_len(number, peer_len(&peers[i]));
  }
  return len;
}

/* As protobuf has it, a negative int32 is extended to 64 bits. */
static uint64_t cluster_level(const kad__message *m) {
  return (uint64_t)(int64_t)m->cluster_level;
}

size_t kad__message_len(const kad__message *m) {
  size_t len = number_len(MESSAGE_TYPE, m->type) +
               bytes_len(MESSAGE_KEY, m->key) +
               number_len(MESSAGE_CLUSTER_LEVEL, cluster_level(m));
  if (m->has_record) {
    len += kad__pb_bytes_len(MESSAGE_RECORD, record_len(&m->record));
  }
  return len + peers_len(MESSAGE_CLOSER, m->closer, m->closer_count) +
         peers_len(MESSAGE_PROVIDER, m->providers, m->provider_count);
}

int kad__message_encode(uint8_t *out, size_t cap, const kad__message *m) {
  return kad__message_encode_len(out, cap, m, kad__message_len(m));
}

int kad__message_encode_len(uint8_t *out, size_t cap, const kad__message *m,
                            size_t len) {
  uint8_t prefix[KAD__VARINT_MAX_LEN];
  size_t prefix_len = kad__varint_encode(prefix, len);
  kad__pb_writer w;
  kad__pb_writer_init(&w, out, cap);
  kad__pb_put_raw(&w, kad__bytes(prefix, prefix_len));
  put_number(&w, MESSAGE_TYPE, m->type);
  put_bytes(&w, MESSAGE_KEY, m->key);
  if (m->has_record) {
    put_record(&w, &m->record);
  }
  for (size_t i = 0; i < m->closer_count; i++) {
    put_peer(&w, MESSAGE_CLOSER, &m->closer[i]);
  }
  for (size_t i = 0; i < m->provider_count; i++) {
    put_peer(&w, MESSAGE_PROVIDER, &m->providers[i]);
  }
  put_number(&w, MESSAGE_CLUSTER_LEVEL, cluster_level(m));
  return kad__pb_writer_finish(&w);
}
