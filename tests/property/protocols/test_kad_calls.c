/* Whatever happens to connections and streams, in whatever order: each call
 * ends once and only once, no peer has more than 32 under way, and nothing is
 * left when all is over. */
#include "../../unit/protocols/fake_dht.h"
#include "../../unit/protocols/fake_swarm.h"
#include "protocols/kad.h"
#include "support.h"

#define PEERS 4
#define CALLS_MAX 400

typedef struct world {
  kad__swarm *swarm;
  kad__dht *dht;
  kad__kad *kad;
  kad__own_addresses *own;
  kad_random random;
  test_allocator memory;
  kad_time now;
  kad_peer_id local;
  kad_peer_id peers[PEERS];
  kad__id connections[PEERS]; /* 0: not connected */
  kad__message messages[6];
  uint8_t ends[CALLS_MAX + 1]; /* by call */
  bool cancelled[CALLS_MAX + 1];
  size_t calls;
} world;

static size_t below(world *w, size_t bound) {
  return (size_t)kad_random_below(&w->random, bound);
}

static void make_messages(world *w) {
  for (size_t i = 0; i < 6; i++) {
    kad__message_init(&w->messages[i], (kad__message_type)i);
    w->messages[i].key = kad__bytes_of("key");
  }
  w->messages[KAD__PUT_VALUE].has_record = true;
  w->messages[KAD__PUT_VALUE].record.key = kad__bytes_of("key");
  w->messages[KAD__ADD_PROVIDER].provider_count = 1;
  w->messages[KAD__ADD_PROVIDER].providers[0] =
      (kad__wire_peer){.id = kad_peer_id_bytes(&w->local)};
}

static world *begin(uint64_t seed) {
  world *w = calloc(1, sizeof(*w));
  assert_non_null(w);
  w->swarm = fake_swarm_new();
  w->dht = fake_dht_new();
  test_allocator_init(&w->memory);
  kad_random_init_u64(&w->random, seed);
  w->now = KAD_SECOND;
  w->local = fake_peer(99);
  for (unsigned i = 0; i < PEERS; i++) {
    w->peers[i] = fake_peer(i);
  }
  make_messages(w);
  assert_ok(kad__own_addresses_new(&w->own, &w->memory.allocator, w->swarm));
  kad__kad_config config;
  kad__kad_config_default(&config);
  config.local = &w->local;
  config.own = w->own;
  config.random = &w->random;
  config.max_waiting = 50;
  assert_ok(
      kad__kad_new(&w->kad, &w->memory.allocator, w->swarm, w->dht, &config));
  return w;
}

static void finish(world *w) {
  kad__kad_free(w->kad);
  kad__own_addresses_free(w->own);
  assert_int_equal(w->memory.live, 0);
  assert_int_equal(fake_live_streams(w->swarm), 0);
  fake_swarm_free(w->swarm);
  fake_dht_free(w->dht);
  free(w);
}

/* Reads and empties the log of the DHT. */
static void take_log(world *w) {
  for (size_t i = 0; i < w->dht->log_count; i++) {
    const fake_line *line = &w->dht->log[i];
    if (line->told <= FAKE_FAILED) {
      assert_in_range(line->call, 1, w->calls);
      w->ends[line->call]++;
      assert_int_equal(w->ends[line->call], 1);
      assert_false(w->cancelled[line->call]);
    }
  }
  w->dht->log_count = 0;
}

static void check(world *w) {
  take_log(w);
  size_t open = 0;
  for (size_t i = 1; i <= w->calls; i++) {
    open += w->ends[i] == 0 && !w->cancelled[i];
  }
  assert_int_equal(kad__kad_call_count(w->kad), open);
  for (size_t p = 0; p < PEERS; p++) {
    size_t running = 0;
    KAD__LIST_EACH(link, &w->swarm->streams) {
      const kad__stream *s = KAD__CONTAINER(link, kad__stream, link);
      running += !s->gone && kad_peer_id_equal(&s->peer, &w->peers[p]);
    }
    assert_true(running <= 32);
  }
}

/* ---- what may happen ---------------------------------------------------- */

static void call_somebody(world *w) {
  if (w->calls == CALLS_MAX) {
    return;
  }
  w->calls++;
  w->swarm->dial_count = 0;
  kad__call_id id = fake_dht_call(
      w->dht, kad_peer_id_bytes(&w->peers[below(w, PEERS)]),
      &w->messages[below(w, 6)], w->now + (1 + below(w, 20)) * KAD_SECOND);
  assert_int_equal(id, w->calls);
  kad__kad_drive(w->kad, w->now);
}

static void connect_somebody(world *w) {
  size_t p = below(w, PEERS);
  if (w->connections[p] != 0) {
    return;
  }
  w->connections[p] = fake_connect(w->swarm, &w->peers[p], kad__bytes(NULL, 0),
                                   "/ip4/10.0.0.9/tcp/9", below(w, 2) == 0);
  kad__swarm_event event =
      fake_peer_event(KAD__SWARM_CONNECTED, w->connections[p], &w->peers[p]);
  kad__kad_handle_event(w->kad, &event, w->now);
}

static void kill_stream(world *w, kad__stream *stream, int error) {
  kad__swarm_event event = fake_event(KAD__SWARM_STREAM_DEAD, stream);
  event.error = error;
  kad__kad_handle_event(w->kad, &event, w->now);
}

/* As the swarm does it: the connection is gone, its streams die, and then the
 * end is told. */
static void disconnect_somebody(world *w) {
  static const int errors[] = {KAD_E_CLOSED, KAD_E_GO_AWAY, KAD_E_IO,
                               KAD_E_YAMUX, KAD_E_TIMEOUT};
  size_t p = below(w, PEERS);
  if (w->connections[p] == 0) {
    return;
  }
  int error = errors[below(w, KAD__COUNT(errors))];
  w->swarm->dial_count = 0;
  fake_disconnect(w->swarm, w->connections[p]);
  KAD__LIST_EACH(link, &w->swarm->streams) {
    kad__stream *stream = KAD__CONTAINER(link, kad__stream, link);
    if (!stream->gone && stream->connection == w->connections[p]) {
      kill_stream(w, stream, error);
    }
  }
  kad__swarm_event event =
      fake_peer_event(KAD__SWARM_DISCONNECTED, w->connections[p], &w->peers[p]);
  w->connections[p] = 0;
  kad__kad_handle_event(w->kad, &event, w->now);
}

static void fail_a_dial(world *w) {
  size_t p = below(w, PEERS);
  kad__swarm_event event =
      fake_peer_event(KAD__SWARM_DIAL_FAILED, 0, &w->peers[p]);
  event.error = KAD_E_REFUSED;
  kad__kad_handle_event(w->kad, &event, w->now);
}

static kad__stream *some_stream(world *w) {
  size_t live = fake_live_streams(w->swarm);
  size_t pick = live == 0 ? 0 : below(w, live);
  KAD__LIST_EACH(link, &w->swarm->streams) {
    kad__stream *stream = KAD__CONTAINER(link, kad__stream, link);
    if (!stream->gone && pick-- == 0) {
      return stream;
    }
  }
  return NULL;
}

static void tell(world *w, kad__swarm_event_type type, kad__stream *stream) {
  if (!stream->gone) {
    kad__swarm_event event = fake_event(type, stream);
    kad__kad_handle_event(w->kad, &event, w->now);
  }
}

static void answer_something(world *w) {
  kad__stream *stream = some_stream(w);
  if (stream == NULL) {
    return;
  }
  static const char *const bytes[] = {"020804", "0208", "020863",    "00",
                                      "",       "80",   "8080808008"};
  tell(w, KAD__SWARM_STREAM_OPENED, stream);
  if (below(w, 2) == 0) {
    fake_flush(stream);
    tell(w, KAD__SWARM_STREAM_WRITABLE, stream);
  }
  if (!stream->gone) {
    size_t pick = below(w, 3) == 0 ? below(w, KAD__COUNT(bytes)) : 0;
    fake_arrive(stream, test_hex(bytes[pick]));
    stream->ended = below(w, 2) == 0;
    tell(w, KAD__SWARM_STREAM_READABLE, stream);
  }
}

static void kill_something(world *w) {
  static const int errors[] = {KAD_E_STREAM_RESET, KAD_E_NO_PROTOCOL,
                               KAD_E_TIMEOUT, KAD_E_CLOSED};
  kad__stream *stream = some_stream(w);
  if (stream != NULL) {
    kill_stream(w, stream, errors[below(w, KAD__COUNT(errors))]);
  }
}

static void cancel_something(world *w) {
  if (w->calls == 0) {
    return;
  }
  size_t id = 1 + below(w, w->calls);
  if (w->ends[id] == 0) {
    w->cancelled[id] = true;
  }
  w->dht->cancels[w->dht->cancel_count++] = id;
  kad__kad_drive(w->kad, w->now);
}

static void let_time_pass(world *w) {
  w->now += below(w, 3 * KAD_SECOND);
  kad__kad_tick(w->kad, w->now);
  assert_true(kad__kad_deadline(w->kad) > w->now);
}

static void change_the_weather(world *w) {
  static const int opens[] = {
      0, 0, 0, KAD_E_LIMIT, KAD_E_CLOSED, KAD_E_NO_MEMORY};
  static const int dials[] = {0, 0, 0, KAD_E_BACKOFF, KAD_E_LIMIT};
  w->swarm->open_error = opens[below(w, KAD__COUNT(opens))];
  w->swarm->dial_result = dials[below(w, KAD__COUNT(dials))];
  w->memory.fail_at = below(w, 4) == 0 ? w->memory.calls + below(w, 9) : 0;
}

static void step(world *w) {
  static void (*const steps[])(world *) = {
      call_somebody,    call_somebody,    call_somebody,       call_somebody,
      connect_somebody, connect_somebody, disconnect_somebody, fail_a_dial,
      answer_something, answer_something, answer_something,    kill_something,
      cancel_something, let_time_pass,    change_the_weather};
  w->swarm->dial_count = 0;
  steps[below(w, KAD__COUNT(steps))](w);
  check(w);
}

static void every_call_ends_once(void **state) {
  (void)state;
  uint64_t seed = test_seed("every_call_ends_once");
  size_t runs = test_runs(30);
  for (size_t run = 0; run < runs; run++) {
    world *w = begin(seed + run);
    for (size_t i = 0; i < 1000; i++) {
      step(w);
    }
    w->swarm->dial_count = 0;
    w->now += KAD_MINUTE;
    kad__kad_tick(w->kad, w->now);
    check(w);
    for (size_t i = 1; i <= w->calls; i++) {
      assert_true(w->cancelled[i] != (w->ends[i] == 1));
    }
    assert_int_equal(kad__kad_call_count(w->kad), 0);
    finish(w);
  }
}

/* In the middle of everything. */
static void ending_early_leaves_nothing(void **state) {
  (void)state;
  uint64_t seed = test_seed("ending_early_leaves_nothing");
  size_t runs = test_runs(30);
  for (size_t run = 0; run < runs; run++) {
    world *w = begin(seed + run);
    size_t steps = below(w, 200);
    for (size_t i = 0; i < steps; i++) {
      step(w);
    }
    finish(w);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_call_ends_once),
      cmocka_unit_test(ending_early_leaves_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
