/* Envelopes as they come, and payloads behind a good signature: without the
 * second, a fuzzer never gets past the first. */
#include "base/bytes.h"
#include "fuzz.h"
#include "identity/envelope.h"
#include "kadmium/multiaddr.h"
#include "multiformats/varint.h"
#include "wire/protobuf.h"

#define PAYLOAD_MAX 4096

static void check_record(kad_bytes sealed) {
  kad__peer_record record;
  if (kad__peer_record_open(&record, kad_allocator_default(), sealed) < 0) {
    return;
  }
  FUZZ_CHECK(record.address_count <= KAD__PEER_RECORD_ADDRESSES_MAX);
  for (size_t i = 0; i < record.address_count; i++) {
    kad_bytes address = record.addresses[i];
    FUZZ_CHECK(kad_multiaddr_check(address) == 0);
    FUZZ_CHECK(address.data >= sealed.data &&
               address.data + address.len <= sealed.data + sealed.len);
  }
}

static void seal(const kad_key_pair *pair, kad_bytes payload) {
  static const uint8_t head[] = "\x12libp2p-peer-record\x02\x03\x01";
  uint8_t text[PAYLOAD_MAX + 64];
  uint8_t sealed[PAYLOAD_MAX + 256];
  uint8_t signature[KAD_SIGNATURE_LEN];
  size_t len = sizeof(head) - 1;
  memcpy(text, head, len);
  len += kad__varint_encode(text + len, payload.len);
  memcpy(text + len, payload.data, payload.len);
  len += payload.len;
  FUZZ_CHECK(kad_key_pair_sign(pair, signature, kad__bytes(text, len)) == 0);
  kad__pb_writer w;
  kad__pb_writer_init(&w, sealed, sizeof(sealed));
  kad__pb_put_bytes(&w, 1, kad_public_key_bytes(kad_key_pair_public(pair)));
  kad__pb_put_bytes(&w, 2, kad__bytes("\x03\x01", 2));
  kad__pb_put_bytes(&w, 3, payload);
  kad__pb_put_bytes(&w, 5, kad__bytes(signature, sizeof(signature)));
  check_record(kad__bytes(sealed, (size_t)kad__pb_writer_finish(&w)));
}

/* Made once: a key costs more than all the rest. */
static const kad_key_pair *the_pair(void) {
  static kad_key_pair *pair;
  kad_random random;
  if (pair == NULL) {
    kad_random_init_u64(&random, 1);
    FUZZ_CHECK(kad_key_pair_generate(&pair, kad_allocator_default(), &random) ==
               0);
  }
  return pair;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  check_record(kad__bytes(data, size));
  if (size != 0 && size <= PAYLOAD_MAX) {
    seal(the_pair(), kad__bytes(data, size));
  }
  return 0;
}
