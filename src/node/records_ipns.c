/* IPNS records carry the same facts twice: signed, as DAG-CBOR, and in legacy
 * protobuf fields that old readers look at. Only the signed ones are believed;
 * the legacy ones must agree with them, or someone could show old and new
 * readers two different values. */
#include "node/records_ipns.h"

#include "base/alloc.h"
#include "base/bytes.h"
#include "node/records.h"
#include "node/records_cbor.h"
#include "wire/protobuf.h"

/* Whichever of the two forms a set of facts came from. */
typedef struct facts {
  kad_bytes value;
  kad_bytes validity;
  uint64_t validity_type;
  uint64_t sequence;
  uint64_t ttl;
} facts;

typedef struct entry {
  facts legacy;
  kad_bytes signature_v1;
  kad_bytes public_key;
  kad_bytes signature_v2;
  kad_bytes data;
} entry;

/* Where a field goes: one of the two is set, or neither for unknown fields. */
typedef struct place {
  kad_bytes *bytes;
  uint64_t *number;
} place;

static place place_of_field(entry *e, uint32_t number) {
  switch (number) {
    case KAD__IPNS_VALUE:
      return (place){&e->legacy.value, NULL};
    case KAD__IPNS_SIGNATURE_V1:
      return (place){&e->signature_v1, NULL};
    case KAD__IPNS_VALIDITY_TYPE:
      return (place){NULL, &e->legacy.validity_type};
    case KAD__IPNS_VALIDITY:
      return (place){&e->legacy.validity, NULL};
    case KAD__IPNS_SEQUENCE:
      return (place){NULL, &e->legacy.sequence};
    case KAD__IPNS_TTL:
      return (place){NULL, &e->legacy.ttl};
    case KAD__IPNS_PUBLIC_KEY:
      return (place){&e->public_key, NULL};
    case KAD__IPNS_SIGNATURE_V2:
      return (place){&e->signature_v2, NULL};
    case KAD__IPNS_DATA:
      return (place){&e->data, NULL};
    default:
      return (place){NULL, NULL};
  }
}

static int read_entry(entry *out, kad_bytes in) {
  kad__pb_field field;
  int result;
  memset(out, 0, sizeof(*out));
  while ((result = kad__pb_next(&in, &field)) > 0) {
    place p = place_of_field(out, field.number);
    if ((p.bytes != NULL && field.type != KAD__PB_BYTES) ||
        (p.number != NULL && field.type != KAD__PB_VARINT)) {
      return KAD_E_RECORD;
    }
    if (p.bytes != NULL) {
      *p.bytes = field.bytes;
    } else if (p.number != NULL) {
      *p.number = field.value;
    }
  }
  if (result < 0 || out->signature_v2.len == 0 || out->data.len == 0) {
    return KAD_E_RECORD;
  }
  return 0;
}

static place place_of_key(facts *f, size_t key) {
  switch (key) {
    case KAD__IPNS_KEY_TTL:
      return (place){NULL, &f->ttl};
    case KAD__IPNS_KEY_VALUE:
      return (place){&f->value, NULL};
    case KAD__IPNS_KEY_SEQUENCE:
      return (place){NULL, &f->sequence};
    case KAD__IPNS_KEY_VALIDITY:
      return (place){&f->validity, NULL};
    default:
      return (place){NULL, &f->validity_type};
  }
}

static size_t find_key(kad_bytes text) {
  static const char keys[][KAD__IPNS_KEY_SIZE] = KAD__IPNS_KEYS;
  size_t i = 0;
  while (i < KAD__IPNS_KEY_COUNT &&
         !kad__bytes_equal(text, kad__bytes_of(keys[i]))) {
    i++;
  }
  return i;
}

/* One key and its value; `*seen` has a bit for every known key. */
static int read_pair(facts *out, unsigned *seen, kad_bytes *in) {
  kad_bytes text;
  if (kad__cbor_take_string(in, KAD__CBOR_TEXT, &text) < 0) {
    return KAD_E_RECORD;
  }
  size_t key = find_key(text);
  if (key == KAD__IPNS_KEY_COUNT) {
    return kad__cbor_skip(in);
  }
  if ((*seen & 1u << key) != 0) {
    return KAD_E_RECORD;
  }
  *seen |= 1u << key;
  place p = place_of_key(out, key);
  return p.bytes != NULL
             ? kad__cbor_take_string(in, KAD__CBOR_BYTES, p.bytes)
             : kad__cbor_take_head(in, KAD__CBOR_UNSIGNED, p.number);
}

static int read_data(facts *out, kad_bytes in) {
  uint64_t count = 0;
  unsigned seen = 0;
  memset(out, 0, sizeof(*out));
  if (kad__cbor_take_head(&in, KAD__CBOR_MAP, &count) < 0 ||
      count > in.len / 2) {
    return KAD_E_RECORD;
  }
  for (uint64_t i = 0; i < count; i++) {
    if (read_pair(out, &seen, &in) < 0) {
      return KAD_E_RECORD;
    }
  }
  if (in.len != 0 || seen != (1u << KAD__IPNS_KEY_COUNT) - 1) {
    return KAD_E_RECORD;
  }
  return out->validity_type == KAD__IPNS_EOL ? 0 : KAD_E_RECORD;
}

static bool facts_equal(const facts *a, const facts *b) {
  return kad__bytes_equal(a->value, b->value) &&
         kad__bytes_equal(a->validity, b->validity) &&
         a->validity_type == b->validity_type && a->sequence == b->sequence &&
         a->ttl == b->ttl;
}

int kad__ipns_decode(kad__ipns_record *out, kad_bytes record) {
  entry e;
  facts f;
  if (record.len > KAD__IPNS_RECORD_MAX) {
    return KAD_E_RECORD_TOO_LARGE;
  }
  if (read_entry(&e, record) < 0 || read_data(&f, e.data) < 0) {
    return KAD_E_RECORD;
  }
  bool has_legacy = e.signature_v1.len != 0 || e.legacy.value.len != 0;
  if (has_legacy && !facts_equal(&e.legacy, &f)) {
    return KAD_E_RECORD;
  }
  *out = (kad__ipns_record){
      .value = f.value,
      .sequence = f.sequence,
      .ttl_ns = f.ttl,
      .public_key = e.public_key,
      .signed_data = e.data,
      .signature = e.signature_v2,
  };
  return kad__calendar_time_parse(&out->valid_until, f.validity);
}

/* The key that must have signed: in the record when the name is its hash, in
 * the name itself otherwise. */
static int find_public_key(kad_public_key **out, const kad_allocator *allocator,
                           const kad__ipns_record *record,
                           const kad_peer_id *name) {
  kad_bytes protobuf = record->public_key;
  if (protobuf.len == 0) {
    protobuf = kad__bytes_skip(kad_peer_id_bytes(name), 2);
  }
  if (!kad__record_names_key(name, protobuf)) {
    return KAD_E_RECORD;
  }
  int result = kad_public_key_decode(out, allocator, protobuf);
  return result < 0 && result != KAD_E_NO_MEMORY ? KAD_E_RECORD : result;
}

static int verify_signature(const kad_allocator *allocator,
                            const kad_public_key *key,
                            const kad__ipns_record *record) {
  kad_bytes prefix = kad__bytes_of(KAD__IPNS_SIGNATURE_PREFIX);
  size_t len = prefix.len + record->signed_data.len;
  uint8_t *text = kad__alloc(allocator, len);
  if (text == NULL) {
    return KAD_E_NO_MEMORY;
  }
  memcpy(text, prefix.data, prefix.len);
  memcpy(text + prefix.len, record->signed_data.data, record->signed_data.len);
  int result =
      kad_public_key_verify(key, kad__bytes(text, len), record->signature);
  kad__release(allocator, text);
  return result;
}

static bool is_expired(const kad__ipns_record *record, uint64_t unix_ns) {
  kad__calendar_time now = kad__calendar_time_of(unix_ns);
  return unix_ns != 0 &&
         kad__calendar_time_compare(&record->valid_until, &now) <= 0;
}

int kad__ipns_check(kad__ipns_record *out, const kad_allocator *allocator,
                    const kad_peer_id *name, kad_bytes record,
                    uint64_t unix_ns) {
  kad_public_key *public_key = NULL;
  int result = kad__ipns_decode(out, record);
  if (result < 0) {
    return result;
  }
  if (is_expired(out, unix_ns)) {
    return KAD_E_RECORD_EXPIRED;
  }
  result = find_public_key(&public_key, allocator, out, name);
  if (result < 0) {
    return result;
  }
  result = verify_signature(allocator, public_key, out);
  kad_public_key_free(public_key);
  return result;
}

static int validate(void *user, kad_bytes key, kad_bytes value,
                    uint64_t unix_ns) {
  kad__ipns_record record;
  kad_peer_id name;
  int result = kad__record_key_peer(&name, "ipns", key);
  return result < 0 ? result
                    : kad__ipns_check(&record, user, &name, value, unix_ns);
}

static int select_better(void *user, kad_bytes key, kad_bytes old_value,
                         kad_bytes new_value) {
  kad__ipns_record old_record;
  kad__ipns_record new_record;
  (void)user;
  (void)key;
  if (kad__ipns_decode(&new_record, new_value) < 0) {
    return 0;
  }
  if (kad__ipns_decode(&old_record, old_value) < 0) {
    return 1;
  }
  if (new_record.sequence != old_record.sequence) {
    return new_record.sequence > old_record.sequence;
  }
  int later = kad__calendar_time_compare(&new_record.valid_until,
                                         &old_record.valid_until);
  if (later != 0) {
    return later > 0;
  }
  return kad__bytes_compare(new_value, old_value) > 0;
}

void kad__record_ipns_validator(kad__validator *out,
                                const kad_allocator *allocator) {
  *out = (kad__validator){
      .name_space = kad__bytes_of("ipns"),
      .user = (void *)(uintptr_t)allocator, /* read only */
      .validate = validate,
      .select = select_better,
  };
}
