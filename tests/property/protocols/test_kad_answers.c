/* Requests in pieces of random length on random streams: what is answered is
 * what a reader of the whole would answer, each stream by itself. */
#include "../../unit/protocols/fake_dht.h"
#include "../../unit/protocols/fake_swarm.h"
#include "protocols/framing.h"
#include "protocols/kad.h"
#include "support.h"

#define STREAMS 8
#define BYTES_MAX 4096

typedef struct script {
  kad__stream *stream;
  uint8_t bytes[BYTES_MAX];
  size_t len;
  size_t fed;
  size_t valid; /* requests before the first bad one */
  bool bad;
} script;

typedef struct world {
  kad__swarm *swarm;
  kad__dht *dht;
  kad__kad *kad;
  kad__own_addresses *own;
  kad_random random;
  test_allocator memory;
  kad_peer_id local;
  script scripts[STREAMS];
} world;

static size_t below(world *w, size_t bound) {
  return (size_t)kad_random_below(&w->random, bound);
}

static void append(script *s, const uint8_t *bytes, size_t len) {
  memcpy(s->bytes + s->len, bytes, len);
  s->len += len;
}

/* A FIND_NODE with a key of random length. */
static void append_request(world *w, script *s) {
  uint8_t key[256] = {0};
  kad__message m;
  kad__message_init(&m, KAD__FIND_NODE);
  m.key = kad__bytes(key, 1 + below(w, sizeof(key)));
  uint8_t bytes[512];
  int len = kad__message_encode(bytes, sizeof(bytes), &m);
  assert_ok(len);
  append(s, bytes, (size_t)len);
}

static void write_script(world *w, script *s) {
  static const char *const bad[] = {"020863", "8000", "81800400", "020a01"};
  *s = (script){0};
  s->valid = below(w, 10);
  for (size_t i = 0; i < s->valid; i++) {
    append_request(w, s);
  }
  s->bad = below(w, 2) == 0;
  if (s->bad) {
    kad_bytes bytes = test_hex(bad[below(w, KAD__COUNT(bad))]);
    append(s, bytes.data, bytes.len);
    append_request(w, s); /* must not be answered */
  }
}

static world *begin(uint64_t seed) {
  world *w = calloc(1, sizeof(*w));
  assert_non_null(w);
  w->swarm = fake_swarm_new();
  w->dht = fake_dht_new();
  w->dht->answer_result = 1;
  kad__message_init(&w->dht->answer, KAD__FIND_NODE);
  test_allocator_init(&w->memory);
  kad_random_init_u64(&w->random, seed);
  w->local = fake_peer(99);
  assert_ok(kad__own_addresses_new(&w->own, &w->memory.allocator, w->swarm));
  kad__kad_config config;
  kad__kad_config_default(&config);
  config.local = &w->local;
  config.own = w->own;
  config.random = &w->random;
  assert_ok(
      kad__kad_new(&w->kad, &w->memory.allocator, w->swarm, w->dht, &config));
  return w;
}

static void tell(world *w, kad__swarm_event_type type, kad__stream *stream) {
  if (!stream->gone) {
    kad__swarm_event event = fake_event(type, stream);
    kad__kad_handle_event(w->kad, &event, KAD_SECOND);
  }
}

static void open_streams(world *w) {
  kad_peer_id peer = fake_peer(1);
  kad__id id = fake_connect(w->swarm, &peer, kad__bytes(NULL, 0),
                            "/ip4/127.0.0.1/tcp/1", true);
  for (size_t i = 0; i < STREAMS; i++) {
    write_script(w, &w->scripts[i]);
    w->scripts[i].stream = fake_inbound(w->swarm, id, KAD__TAG_KAD);
    tell(w, KAD__SWARM_STREAM_INBOUND, w->scripts[i].stream);
  }
}

static void feed(world *w, script *s) {
  size_t len = 1 + below(w, 40);
  len = len < s->len - s->fed ? len : s->len - s->fed;
  if (!s->stream->gone && len != 0) {
    fake_arrive(s->stream, kad__bytes(s->bytes + s->fed, len));
  }
  s->fed += len;
  if (!s->stream->gone) {
    s->stream->ended = s->fed == s->len;
  }
  tell(w, KAD__SWARM_STREAM_READABLE, s->stream);
  if (!s->stream->gone) {
    fake_flush(s->stream);
    tell(w, KAD__SWARM_STREAM_WRITABLE, s->stream);
  }
}

static size_t count_answers(const kad__stream *stream) {
  kad_bytes rest = fake_written(stream);
  size_t count = 0;
  while (rest.len != 0) {
    kad_bytes message;
    int taken = kad__frame_split(&message, rest, 65536);
    assert_true(taken > 0);
    rest = kad__bytes_skip(rest, (size_t)taken);
    count++;
  }
  return count;
}

static void check(const script *s) {
  assert_true(s->stream->gone);
  assert_int_equal(s->stream->was_reset, s->bad);
  assert_int_equal(count_answers(s->stream), s->valid);
}

static void run_once(uint64_t seed) {
  world *w = begin(seed);
  open_streams(w);
  for (size_t left = STREAMS; left != 0;) {
    feed(w, &w->scripts[below(w, STREAMS)]);
    left = 0;
    for (size_t i = 0; i < STREAMS; i++) {
      left +=
          w->scripts[i].fed < w->scripts[i].len || !w->scripts[i].stream->gone;
    }
  }
  for (size_t i = 0; i < STREAMS; i++) {
    check(&w->scripts[i]);
  }
  assert_int_equal(kad__kad_inbound_count(w->kad), 0);
  kad__kad_free(w->kad);
  kad__own_addresses_free(w->own);
  assert_int_equal(w->memory.live, 0);
  fake_swarm_free(w->swarm);
  fake_dht_free(w->dht);
  free(w);
}

static void pieces_do_not_matter(void **state) {
  (void)state;
  uint64_t seed = test_seed("pieces_do_not_matter");
  size_t runs = test_runs(200);
  for (size_t run = 0; run < runs; run++) {
    run_once(seed + run);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(pieces_do_not_matter),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
