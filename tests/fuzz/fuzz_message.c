/* What decodes obeys every bound, and what is made of it decodes to the same
 * message again. */
#include "base/bytes.h"
#include "fuzz.h"
#include "wire/addresses.h"
#include "wire/message.h"

#define COPY_MAX ((size_t)1 << 17)

static void check_peers(const kad__wire_peer *peers, size_t count,
                        kad_bytes in) {
  for (size_t i = 0; i < count; i++) {
    const kad__wire_peer *peer = &peers[i];
    FUZZ_CHECK(peer->id.len > 0);
    FUZZ_CHECK(peer->id.len + peer->addresses.len <= KAD__MESSAGE_PEER_MAX);
    FUZZ_CHECK(peer->id.data >= in.data &&
               peer->id.data + peer->id.len <= in.data + in.len);
    kad_bytes rest = peer->addresses;
    kad_bytes address;
    while (kad__addresses_next(&rest, &address)) {
      FUZZ_CHECK(kad__addresses_have(peer->addresses, address));
    }
  }
}

static void check_same_peers(const kad__wire_peer *a, size_t a_count,
                             const kad__wire_peer *b, size_t b_count) {
  FUZZ_CHECK(a_count == b_count);
  for (size_t i = 0; i < a_count; i++) {
    kad_bytes left = a[i].addresses;
    kad_bytes right = b[i].addresses;
    kad_bytes one, other;
    FUZZ_CHECK(kad__bytes_equal(a[i].id, b[i].id));
    FUZZ_CHECK(a[i].connection == b[i].connection);
    while (kad__addresses_next(&left, &one)) {
      FUZZ_CHECK(kad__addresses_next(&right, &other));
      FUZZ_CHECK(kad__bytes_equal(one, other));
    }
    FUZZ_CHECK(!kad__addresses_next(&right, &other));
  }
}

/* Address lists that hold nothing but addresses, as encoding asks for. */
static void clean_peers(kad__wire_peer *peers, size_t count, uint8_t *memory,
                        size_t *used) {
  for (size_t i = 0; i < count; i++) {
    uint8_t *start = memory + *used;
    size_t len = 0;
    kad_bytes rest = peers[i].addresses;
    kad_bytes address;
    while (kad__addresses_next(&rest, &address)) {
      FUZZ_CHECK(kad__addresses_append(start, COPY_MAX - *used, &len, address));
    }
    peers[i].addresses = kad__bytes(start, len);
    *used += len;
  }
}

static void round_trip(kad__message *m) {
  static kad__message again;
  static uint8_t memory[COPY_MAX];
  static uint8_t bytes[COPY_MAX];
  size_t used = 0;
  clean_peers(m->closer, m->closer_count, memory, &used);
  clean_peers(m->providers, m->provider_count, memory, &used);
  int len = kad__message_encode(bytes, sizeof(bytes), m);
  size_t body = kad__message_len(m);
  FUZZ_CHECK(len > 0 && (size_t)len > body);
  kad_bytes encoded = kad__bytes(bytes + ((size_t)len - body), body);
  FUZZ_CHECK(kad__message_decode(&again, encoded) == 0);
  FUZZ_CHECK(again.type == m->type && again.has_record == m->has_record);
  FUZZ_CHECK(again.cluster_level == m->cluster_level);
  FUZZ_CHECK(kad__bytes_equal(again.key, m->key));
  FUZZ_CHECK(again.record.ttl == m->record.ttl);
  FUZZ_CHECK(kad__bytes_equal(again.record.key, m->record.key));
  FUZZ_CHECK(kad__bytes_equal(again.record.value, m->record.value));
  FUZZ_CHECK(kad__bytes_equal(again.record.publisher, m->record.publisher));
  FUZZ_CHECK(
      kad__bytes_equal(again.record.time_received, m->record.time_received));
  check_same_peers(again.closer, again.closer_count, m->closer,
                   m->closer_count);
  check_same_peers(again.providers, again.provider_count, m->providers,
                   m->provider_count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static kad__message m;
  kad_bytes in = kad__bytes(data, size);
  if (size > COPY_MAX / 2 || kad__message_decode(&m, in) < 0) {
    return 0;
  }
  FUZZ_CHECK(m.type < KAD__MESSAGE_TYPES);
  FUZZ_CHECK(m.closer_count <= KAD__MESSAGE_CLOSER_MAX);
  FUZZ_CHECK(m.provider_count <= KAD__MESSAGE_PROVIDERS_MAX);
  check_peers(m.closer, m.closer_count, in);
  check_peers(m.providers, m.provider_count, in);
  round_trip(&m);
  return 0;
}
