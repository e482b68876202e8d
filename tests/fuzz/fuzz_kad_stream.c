/* Requests on one stream: however the bytes are cut, the same requests are
 * answered alike, the stream ends, and nothing is left behind. The first byte
 * says how they are cut. */
#include "../unit/protocols/fake_dht.h"
#include "../unit/protocols/fake_swarm.h"
#include "fuzz.h"
#include "protocols/kad.h"

typedef struct outcome {
  uint64_t requests;
  size_t written;
  bool was_reset;
  uint32_t code;
} outcome;

static void tell(kad__kad *kad, kad__swarm_event_type type,
                 kad__stream *stream) {
  if (!stream->gone) {
    kad__swarm_event event = fake_event(type, stream);
    kad__kad_handle_event(kad, &event, KAD_SECOND);
  }
}

/* What the peer sends next, and all that follows from it. */
static void feed(kad__kad *kad, kad__stream *stream, kad_bytes bytes) {
  if (stream->gone) {
    return;
  }
  fake_arrive(stream, bytes);
  tell(kad, KAD__SWARM_STREAM_READABLE, stream);
  while (!stream->gone && kad__stream_unsent(stream) != 0) {
    fake_flush(stream);
    tell(kad, KAD__SWARM_STREAM_WRITABLE, stream);
  }
}

static void feed_all(kad__kad *kad, kad__stream *stream, kad_bytes bytes,
                     size_t piece) {
  tell(kad, KAD__SWARM_STREAM_INBOUND, stream);
  while (bytes.len != 0) {
    size_t len = piece != 0 && piece < bytes.len ? piece : bytes.len;
    feed(kad, stream, kad__bytes(bytes.data, len));
    bytes = kad__bytes_skip(bytes, len);
  }
  if (!stream->gone) {
    stream->ended = true;
    tell(kad, KAD__SWARM_STREAM_READABLE, stream);
  }
}

static kad__kad *new_kad(kad__swarm *swarm, kad__dht *dht,
                         kad__own_addresses *own, kad_random *random) {
  kad_peer_id local = fake_peer(2);
  kad__kad_config config;
  kad__kad_config_default(&config);
  config.local = &local;
  config.own = own;
  config.random = random;
  kad__kad *kad = NULL;
  FUZZ_CHECK(kad__kad_new(&kad, kad_allocator_default(), swarm, dht, &config) ==
             0);
  FUZZ_CHECK(kad__kad_set_mode(kad, KAD__MODE_SERVER) == 1);
  return kad;
}

static outcome run(kad_bytes bytes, size_t piece) {
  static kad__dht dht; /* keeps nothing that matters here */
  kad__swarm *swarm = fake_swarm_new();
  dht.answer_result = 1;
  kad__message_init(&dht.answer, KAD__FIND_NODE);
  kad__own_addresses *own = NULL;
  FUZZ_CHECK(kad__own_addresses_new(&own, kad_allocator_default(), swarm) == 0);
  kad_random random;
  kad_random_init_u64(&random, 1);
  kad__kad *kad = new_kad(swarm, &dht, own, &random);
  kad_peer_id peer = fake_peer(1);
  kad__id id = fake_connect(swarm, &peer, kad__bytes(NULL, 0),
                            "/ip4/127.0.0.1/tcp/1", true);
  kad__stream *stream = fake_inbound(swarm, id, KAD__TAG_KAD);
  feed_all(kad, stream, bytes, piece);
  FUZZ_CHECK(stream->gone);
  FUZZ_CHECK(kad__kad_inbound_count(kad) == 0);
  outcome result = {.requests = kad__kad_counters_get(kad)->requests_in,
                    .written = fake_written(stream).len,
                    .was_reset = stream->was_reset,
                    .code = stream->code};
  kad__kad_free(kad);
  kad__own_addresses_free(own);
  fake_swarm_free(swarm);
  return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 1 || size > 4096) {
    return 0;
  }
  kad_bytes bytes = kad__bytes(data + 1, size - 1);
  outcome whole = run(bytes, 0);
  outcome cut = run(bytes, 1 + (size_t)data[0] % 64);
  FUZZ_CHECK(whole.requests == cut.requests);
  FUZZ_CHECK(whole.written == cut.written);
  FUZZ_CHECK(whole.was_reset == cut.was_reset && whole.code == cut.code);
  return 0;
}
