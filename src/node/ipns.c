/* The public face of IPNS records. Times, which records hold as text of any
 * year, become the one number that the rest of the interface uses. */
#include "kadmium/ipns.h"

#include "base/bytes.h"
#include "node/records.h"

#define PREFIX "/ipns/"
#define SECOND_NS 1000000000u

int kad_ipns_key(uint8_t out[KAD_IPNS_KEY_MAX], const kad_peer_id *name) {
  kad_bytes prefix = kad__bytes_of(PREFIX);
  memcpy(out, prefix.data, prefix.len);
  memcpy(out + prefix.len, name->bytes, name->len);
  return (int)(prefix.len + name->len);
}

int kad_ipns_seal(uint8_t *out, size_t cap, const kad_key_pair *pair,
                  const kad_ipns_options *options) {
  kad_ipns_options o = KAD_IPNS_OPTIONS_INIT;
  size_t size = options->struct_size;
  memcpy(&o, options, size < sizeof(o) ? size : sizeof(o));
  if (o.value.len == 0 || o.value.data[0] != '/' || o.valid_until == 0) {
    return KAD_E_INVALID_ARGUMENT;
  }
  kad__ipns_options sealing = {.value = o.value,
                               .sequence = o.sequence,
                               .valid_until_unix_ns = o.valid_until,
                               .ttl_ns = o.ttl,
                               .v1 = !o.v2_only};
  return kad__ipns_seal(out, cap, pair, &sealing);
}

static uint64_t unix_ns_of(const kad__calendar_time *time) {
  if (time->seconds < 0) {
    return 0;
  }
  uint64_t seconds = (uint64_t)time->seconds;
  if (seconds >= UINT64_MAX / SECOND_NS) {
    return UINT64_MAX;
  }
  return seconds * SECOND_NS + time->nanoseconds;
}

static void publish(kad_ipns_record *out, const kad__ipns_record *record) {
  *out = (kad_ipns_record){.value = record->value,
                           .sequence = record->sequence,
                           .valid_until = unix_ns_of(&record->valid_until),
                           .ttl = record->ttl_ns,
                           .public_key = record->public_key};
}

int kad_ipns_decode(kad_ipns_record *out, kad_bytes record) {
  kad__ipns_record decoded;
  int error = kad__ipns_decode(&decoded, record);
  if (error == 0) {
    publish(out, &decoded);
  }
  return error;
}

int kad_ipns_check(kad_ipns_record *out, const kad_allocator *allocator,
                   const kad_peer_id *name, kad_bytes record, uint64_t now) {
  kad__ipns_record checked;
  int error = kad__ipns_check(
      &checked, allocator == NULL ? kad_allocator_default() : allocator, name,
      record, now);
  if (error == 0) {
    publish(out, &checked);
  }
  return error;
}
