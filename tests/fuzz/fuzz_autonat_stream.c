/* A peer on any of the three kinds of stream: however its bytes are cut, the
 * outcome is the same. The first byte says how, and which kind. */
#include "../unit/protocols/fake_swarm.h"
#include "fuzz.h"
#include "protocols/autonat.h"

enum { REQUEST, ANSWER, BACK };

typedef struct outcome {
  kad__autonat_counters counters;
  bool was_reset;
  bool event;
  int error;
  size_t written;
} outcome;

static void tell(kad__autonat *a, kad__swarm_event_type type,
                 kad__stream *stream) {
  if (!stream->gone) {
    kad__swarm_event event = fake_event(type, stream);
    kad__autonat_handle_event(a, &event, KAD_SECOND);
  }
}

static kad__stream *probe(kad__swarm *swarm, kad__autonat *a,
                          const kad_peer_id *peer) {
  static const uint8_t list[] = {0x12, 8, 4, 8, 8, 8, 8, 6, 0x0f, 0xa1};
  uint64_t id = 0;
  FUZZ_CHECK(kad__autonat_probe(a, &id, peer, kad__bytes(list, sizeof(list)),
                                KAD_SECOND) == 0);
  return fake_stream(swarm, 0);
}

static void feed(kad__autonat *a, kad__stream *stream, kad_bytes bytes,
                 size_t piece) {
  while (bytes.len != 0 && !stream->gone) {
    size_t len = piece != 0 && piece < bytes.len ? piece : bytes.len;
    fake_arrive(stream, kad__bytes(bytes.data, len));
    for (int i = 0; i < 20 && !stream->gone; i++) {
      tell(a, KAD__SWARM_STREAM_READABLE, stream);
    }
    bytes = kad__bytes_skip(bytes, len);
  }
}

static outcome run(kad_bytes bytes, size_t piece, int kind) {
  kad__swarm *swarm = fake_swarm_new();
  kad_random random;
  kad_random_init_u64(&random, 2);
  kad__autonat_config config;
  kad__autonat_config_default(&config);
  config.allocator = kad_allocator_default();
  config.swarm = swarm;
  config.random = &random;
  config.serve = true;
  kad__autonat *a = NULL;
  FUZZ_CHECK(kad__autonat_new(&a, &config) == 0);
  kad_peer_id peer = fake_peer(1);
  kad__id id = fake_connect(swarm, &peer, kad__bytes(NULL, 0),
                            "/ip4/8.8.8.8/tcp/1", true);
  kad__stream *stream = kind == REQUEST ? NULL : probe(swarm, a, &peer);
  if (kind != ANSWER) {
    stream = fake_inbound(
        swarm, id, kind == REQUEST ? KAD__TAG_AUTONAT : KAD__TAG_AUTONAT_BACK);
    tell(a, KAD__SWARM_STREAM_INBOUND, stream);
  }
  feed(a, stream, bytes, piece);
  kad__autonat_event event = {.error = 0};
  outcome result = {.counters = *kad__autonat_counters_get(a),
                    .was_reset = stream->was_reset,
                    .event = kad__autonat_poll(a, &event),
                    .written = fake_written(stream).len};
  result.error = event.error;
  FUZZ_CHECK(result.written <= 200000);
  kad__autonat_free(a);
  FUZZ_CHECK(fake_live_streams(swarm) == 0);
  fake_swarm_free(swarm);
  return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 1 || size > 16384) {
    return 0;
  }
  kad_bytes bytes = kad__bytes(data + 1, size - 1);
  outcome whole = run(bytes, 0, data[0] % 3);
  outcome cut = run(bytes, 1 + (size_t)data[0] / 3, data[0] % 3);
  FUZZ_CHECK(memcmp(&whole.counters, &cut.counters, sizeof(cut.counters)) == 0);
  FUZZ_CHECK(whole.was_reset == cut.was_reset && whole.event == cut.event);
  FUZZ_CHECK(whole.error == cut.error && whole.written == cut.written);
  return 0;
}
