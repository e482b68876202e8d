/* An answer to our request, or a push: however the bytes are cut, the outcome
 * is the same, and bounded. The first byte says how they are cut, and which of
 * both it is. */
#include "../unit/protocols/fake_swarm.h"
#include "fuzz.h"
#include "protocols/identify.h"
#include "wire/addresses.h"

typedef struct outcome {
  bool event;
  kad__identify_event_type type;
  int error;
  size_t addresses;
} outcome;

static kad_key_pair *our_key(void) {
  static kad_key_pair *key; /* lives as long as the program */
  if (key == NULL) {
    kad_random random;
    kad_random_init_u64(&random, 1);
    FUZZ_CHECK(kad_key_pair_generate(&key, kad_allocator_default(), &random) ==
               0);
  }
  return key;
}

static void tell(kad__identify *identify, kad__swarm_event_type type,
                 kad__stream *stream) {
  if (!stream->gone) {
    kad__swarm_event event = fake_event(type, stream);
    kad__identify_handle_event(identify, &event, KAD_SECOND);
  }
}

static void feed_all(kad__identify *identify, kad__stream *stream,
                     kad_bytes bytes, size_t piece) {
  while (bytes.len != 0 && !stream->gone) {
    size_t len = piece != 0 && piece < bytes.len ? piece : bytes.len;
    fake_arrive(stream, kad__bytes(bytes.data, len));
    tell(identify, KAD__SWARM_STREAM_READABLE, stream);
    bytes = kad__bytes_skip(bytes, len);
  }
  stream->ended = true;
  tell(identify, KAD__SWARM_STREAM_READABLE, stream);
  FUZZ_CHECK(stream->gone);
}

static kad__stream *open_stream(kad__swarm *swarm, kad__identify *identify,
                                kad__id connection, const kad_peer_id *peer,
                                bool push) {
  if (!push) {
    kad__swarm_event event =
        fake_peer_event(KAD__SWARM_CONNECTED, connection, peer);
    kad__identify_handle_event(identify, &event, KAD_SECOND);
    return fake_stream(swarm, 0);
  }
  kad__stream *stream = fake_inbound(swarm, connection, KAD__TAG_IDENTIFY_PUSH);
  tell(identify, KAD__SWARM_STREAM_INBOUND, stream);
  return stream;
}

static outcome look(kad__swarm *swarm, kad__identify *identify,
                    const kad_peer_id *peer) {
  outcome result = {0};
  kad__identify_event event;
  if (kad__identify_poll(identify, &event)) {
    result.event = true;
    result.type = event.type;
    result.error = event.error;
  }
  FUZZ_CHECK(!kad__identify_poll(identify, &event));
  static uint8_t list[32768];
  size_t len = kad__peerstore_addresses(swarm->peerstore, peer, list,
                                        sizeof(list), KAD_SECOND);
  result.addresses = kad__addresses_count(kad__bytes(list, len));
  FUZZ_CHECK(result.addresses <= KAD__PEERSTORE_ADDRESSES_PER_PEER);
  return result;
}

static outcome run(kad_bytes bytes, size_t piece, bool push) {
  kad__swarm *swarm = fake_swarm_new();
  kad__own_addresses *own = NULL;
  FUZZ_CHECK(kad__own_addresses_new(&own, kad_allocator_default(), swarm) == 0);
  kad_random random;
  kad_random_init_u64(&random, 2);
  kad__identify_config config;
  kad__identify_config_default(&config);
  config.identity = our_key();
  config.own = own;
  config.random = &random;
  kad__identify *identify = NULL;
  FUZZ_CHECK(kad__identify_new(&identify, kad_allocator_default(), swarm,
                               &config) == 0);
  kad_peer_id peer = *kad_key_pair_peer_id(our_key());
  kad__id id = fake_connect(
      swarm, &peer, kad_public_key_bytes(kad_key_pair_public(our_key())),
      "/ip4/127.0.0.1/tcp/1", true);
  kad__stream *stream = open_stream(swarm, identify, id, &peer, push);
  feed_all(identify, stream, bytes, piece);
  outcome result = look(swarm, identify, &peer);
  kad__identify_free(identify);
  kad__own_addresses_free(own);
  fake_swarm_free(swarm);
  return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 1 || size > 16384) {
    return 0;
  }
  bool push = (data[0] & 1) != 0;
  kad_bytes bytes = kad__bytes(data + 1, size - 1);
  outcome whole = run(bytes, 0, push);
  outcome cut = run(bytes, 1 + (size_t)data[0] / 2, push);
  FUZZ_CHECK(whole.event == cut.event && whole.error == cut.error);
  FUZZ_CHECK(whole.type == cut.type && whole.addresses == cut.addresses);
  FUZZ_CHECK(push || whole.event);
  return 0;
}
