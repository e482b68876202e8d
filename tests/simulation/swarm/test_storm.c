/* Swarms whose owners dial, talk, hang up and change their minds, in a world
 * that reorders everything: events keep their order, every dial has one
 * outcome, every byte arrives once and in its place, and in the end nothing is
 * left, in memory or in the counts. */
#include "storm.h"

#define CONNECTIONS 128
#define STREAMS 96
#define DIALS 64
#define STEPS 1000
#define END_TIME (120 * KAD_SECOND)

typedef struct talk {
  kad__stream *stream; /* NULL: free */
  kad__id connection;
  uint64_t written;
  uint64_t read;
  bool inbound;
  bool known; /* an event has told of it */
  bool ours_over;
  bool theirs_over;
} talk;

typedef struct line {
  kad__id id; /* 0: free */
  kad_peer_id peer;
} line;

typedef struct app {
  line lines[CONNECTIONS];
  talk talks[STREAMS];
  kad__id dials[DIALS]; /* to addresses, whose outcome is awaited */
  bool dialling[STORM_NODES];
  uint64_t connected;
  uint64_t disconnected;
} app;

typedef struct totals {
  uint64_t connected, streams, bytes, cut;
} totals;

static storm world;
static app apps[STORM_NODES];
static totals all;
static bool starved; /* memory has run out for somebody */

static const kad_bytes known_a[] = {{(const uint8_t *)"/a", 2}};
static const kad_bytes b_or_a[] = {{(const uint8_t *)"/b", 2},
                                   {(const uint8_t *)"/a", 2}};
static const kad_bytes nobody[] = {{(const uint8_t *)"/nobody", 7}};

static const kad__protocol_names proposals[] = {
    {.names = known_a, .count = 1},
    {.names = known_a, .count = 1},
    {.names = b_or_a, .count = 2},
    {.names = nobody, .count = 1},
};

static app *app_of(const storm *w, int node) {
  return w->node[node].app;
}

/* ---- streams ------------------------------------------------------------- */

static talk *find_talk(app *a, const kad__stream *stream) {
  for (int i = 0; i < STREAMS; i++) {
    if (a->talks[i].stream == stream) {
      return &a->talks[i];
    }
  }
  return NULL;
}

static void add_talk(app *a, kad__stream *stream, bool inbound) {
  talk *t = find_talk(a, NULL);
  if (t == NULL) {
    kad__stream_reset(stream, 7);
    return;
  }
  all.streams++;
  *t = (talk){.stream = stream,
              .connection = kad__stream_connection(stream),
              .inbound = inbound,
              .known = inbound};
  kad__stream_set_user(stream, t);
}

static void end_talk(talk *t, bool gently) {
  kad__stream *stream = t->stream;
  t->stream = NULL;
  if (gently) {
    kad__stream_release(stream);
  } else {
    kad__stream_reset(stream, 5);
  }
}

static void read_some(storm *w, talk *t, size_t at_most) {
  kad_bytes in = kad__stream_peek(t->stream);
  size_t len = in.len < at_most ? in.len : at_most;
  for (size_t i = 0; i < len; i++) {
    STORM_CHECK(w, in.data[i] == storms_byte(t->read + i));
  }
  t->read += len;
  all.bytes += len;
  kad__stream_consume(t->stream, len);
  if (kad__stream_ended(t->stream) && kad__stream_peek(t->stream).len == 0) {
    t->theirs_over = true;
  }
}

static void write_some(storm *w, talk *t) {
  uint8_t bytes[3000];
  size_t len = 1 + storm_below(w, storm_chance(w, 4) ? sizeof(bytes) : 100);
  if (t->ours_over || kad__stream_unsent(t->stream) > 100000) {
    return;
  }
  for (size_t i = 0; i < len; i++) {
    bytes[i] = storms_byte(t->written + i);
  }
  int result = kad__stream_write(t->stream, kad__bytes(bytes, len));
  if (result == 0) {
    t->written += len;
  } else {
    STORM_CHECK(w, starved || result != KAD_E_NO_MEMORY);
    end_talk(t, false);
  }
}

static talk *some_talk(storm *w, app *a) {
  size_t first = storm_below(w, STREAMS);
  for (size_t i = 0; i < STREAMS; i++) {
    talk *t = &a->talks[(first + i) % STREAMS];
    if (t->stream != NULL) {
      return t;
    }
  }
  return NULL;
}

static void use_stream(storm *w, app *a) {
  talk *t = some_talk(w, a);
  if (t == NULL) {
    return;
  }
  switch (storm_below(w, 40)) {
    case 0:
      end_talk(t, false);
      break;
    case 1:
      end_talk(t, true);
      break;
    case 2:
    case 3:
      kad__stream_close_write(t->stream);
      t->ours_over = true;
      break;
    case 4:
      kad__stream_set_deadline(t->stream,
                               storm_chance(w, 3)
                                   ? KAD_TIME_NEVER
                                   : w->now + storm_below(w, 3 * KAD_SECOND));
      break;
    case 5:
    case 6:
    case 7:
    case 8:
    case 9:
    case 10:
      read_some(w, t, 1 + storm_below(w, 5000));
      break;
    default:
      write_some(w, t);
      break;
  }
}

static void open_stream(storm *w, int node, int peer) {
  app *a = app_of(w, node);
  kad__stream *stream = NULL;
  if (find_talk(a, NULL) == NULL) {
    return;
  }
  int result = kad__stream_open(w->node[node].swarm, &stream, storm_peer(peer),
                                proposals[storm_below(w, 4)], 1, NULL, w->now);
  if (result == 0) {
    add_talk(a, stream, false);
  } else {
    STORM_CHECK(w, result == KAD_E_CLOSED || result == KAD_E_LIMIT || starved);
  }
}

/* ---- events -------------------------------------------------------------- */

static line *find_line(app *a, kad__id id) {
  for (int i = 0; i < CONNECTIONS; i++) {
    if (a->lines[i].id == id) {
      return &a->lines[i];
    }
  }
  return NULL;
}

static size_t lines_to(const app *a, const kad_peer_id *peer) {
  size_t count = 0;
  for (int i = 0; i < CONNECTIONS; i++) {
    count += a->lines[i].id != 0 && kad_peer_id_equal(&a->lines[i].peer, peer);
  }
  return count;
}

static void outcome(app *a, kad__id dial, const kad_peer_id *peer) {
  for (int i = 0; i < DIALS && dial != 0; i++) {
    a->dials[i] = a->dials[i] == dial ? 0 : a->dials[i];
  }
  for (int i = 0; i < STORM_NODES; i++) {
    if (peer->len != 0 && kad_peer_id_equal(peer, storm_peer(i))) {
      a->dialling[i] = false;
    }
  }
}

static void on_connection(storm *w, app *a, const kad__swarm_event *e) {
  if (e->type == KAD__SWARM_CONNECTED) {
    STORM_CHECK(w, find_line(a, e->connection) == NULL);
    STORM_CHECK(w, e->first == (lines_to(a, &e->peer) == 0));
    line *l = find_line(a, 0);
    STORM_CHECK(w, l != NULL);
    *l = (line){.id = e->connection, .peer = e->peer};
    a->connected++;
    all.connected++;
    outcome(a, e->dial, &e->peer);
    return;
  }
  line *l = find_line(a, e->connection);
  STORM_CHECK(w, l != NULL);
  l->id = 0;
  STORM_CHECK(w, e->last == (lines_to(a, &e->peer) == 0));
  for (int i = 0; i < STREAMS; i++) {
    STORM_CHECK(w, a->talks[i].stream == NULL ||
                       a->talks[i].connection != e->connection);
  }
  a->disconnected++;
}

static void on_stream(storm *w, app *a, const kad__swarm_event *e) {
  STORM_CHECK(w, find_line(a, e->connection) != NULL);
  if (e->type == KAD__SWARM_STREAM_INBOUND) {
    STORM_CHECK(w, e->tag == 1 && e->inbound);
    add_talk(a, e->stream, true);
    return;
  }
  talk *t = kad__stream_user(e->stream);
  STORM_CHECK(w, t != NULL && t->stream == e->stream);
  STORM_CHECK(w, t->connection == e->connection);
  switch (e->type) {
    case KAD__SWARM_STREAM_OPENED:
      STORM_CHECK(w, !t->known);
      t->known = true;
      break;
    case KAD__SWARM_STREAM_READABLE:
      read_some(w, t, storm_chance(w, 2) ? SIZE_MAX : storm_below(w, 999));
      break;
    case KAD__SWARM_STREAM_DEAD:
      STORM_CHECK(w, e->error < 0);
      end_talk(t, storm_chance(w, 2));
      return;
    default:
      break;
  }
  if (t->theirs_over && t->ours_over && storm_chance(w, 2)) {
    end_talk(t, true);
  }
}

static void on_event(storm *w, int node, const kad__swarm_event *e) {
  app *a = app_of(w, node);
  switch (e->type) {
    case KAD__SWARM_CONNECTED:
    case KAD__SWARM_DISCONNECTED:
      on_connection(w, a, e);
      break;
    case KAD__SWARM_DIAL_FAILED:
      STORM_CHECK(w, e->error < 0);
      outcome(a, e->dial, &e->peer);
      break;
    case KAD__SWARM_LISTENING:
    case KAD__SWARM_LISTEN_FAILED:
    case KAD__SWARM_LISTEN_CLOSED:
    case KAD__SWARM_INBOUND_FAILED:
      break;
    default:
      on_stream(w, a, e);
      break;
  }
}

/* ---- owners -------------------------------------------------------------- */

static void dial(storm *w, int node, int peer) {
  uint8_t list[128];
  size_t len = 0;
  if (storm_chance(w, 3)) {
    assert_true(kad__addresses_append(list, sizeof(list), &len,
                                      storm_address(peer, 4999)));
  }
  assert_true(kad__addresses_append(list, sizeof(list), &len,
                                    storm_address(peer, 4001)));
  int result = kad__swarm_dial(w->node[node].swarm, storm_peer(peer),
                               kad__bytes(list, len), w->now);
  if (result == 0) {
    app_of(w, node)->dialling[peer] = true;
  }
  STORM_CHECK(w, result >= 0 || result == KAD_E_SELF ||
                     result == KAD_E_BACKOFF || result == KAD_E_LIMIT ||
                     starved);
}

static void dial_address(storm *w, int node, int peer) {
  app *a = app_of(w, node);
  for (int i = 0; i < DIALS; i++) {
    if (a->dials[i] == 0) {
      kad__id id = 0;
      int port = storm_chance(w, 5) ? 4999 : 4001;
      if (kad__swarm_dial_address(w->node[node].swarm, &id,
                                  storm_address(peer, port), w->now) == 0) {
        a->dials[i] = id;
      }
      return;
    }
  }
}

static void close_something(storm *w, int node) {
  kad__swarm *swarm = w->node[node].swarm;
  kad__id id = app_of(w, node)->lines[storm_below(w, 6)].id;
  int peer = (int)storm_below(w, (uint64_t)w->nodes);
  switch (storm_below(w, 4)) {
    case 0:
      kad__swarm_disconnect_peer(swarm, storm_peer(peer), w->now);
      break;
    case 1:
      kad__swarm_close(swarm, id, 77, w->now);
      break;
    case 2:
      kad__swarm_disconnect(swarm, id, w->now);
      break;
    default:
      (void)kad__swarm_trim(swarm, storm_chance(w, 2), w->now);
      break;
  }
}

static void change_rules(storm *w, int node, int peer) {
  kad__swarm *swarm = w->node[node].swarm;
  kad_bytes b = kad__bytes_of("/b");
  switch (storm_below(w, 3)) {
    case 0:
      kad__swarm_protect(swarm, storm_peer(peer), storm_chance(w, 2));
      break;
    case 1:
      (void)kad__swarm_handle(swarm, b, 1);
      break;
    default:
      kad__swarm_unhandle(swarm, b);
      break;
  }
}

static void do_something(storm *w) {
  int node = (int)storm_below(w, (uint64_t)w->nodes);
  int peer = (int)storm_below(w, (uint64_t)w->nodes);
  if (w->node[node].swarm == NULL) {
    return;
  }
  switch (storm_below(w, 32)) {
    case 0:
      close_something(w, node);
      break;
    case 1:
      change_rules(w, node, peer);
      break;
    case 2:
    case 3:
      dial(w, node, peer);
      if (node != peer && w->node[peer].swarm != NULL) {
        dial(w, peer, node); /* from both sides at once */
      }
      break;
    case 4:
      dial_address(w, node, peer);
      break;
    case 5:
    case 6:
    case 7:
      open_stream(w, node, peer);
      break;
    default:
      for (int i = 0; i < 8; i++) {
        use_stream(w, app_of(w, node));
      }
      break;
  }
}

/* ---- the end ------------------------------------------------------------- */

static void check_idle(storm *w, int node) {
  const kad__swarm *s = w->node[node].swarm;
  const app *a = app_of(w, node);
  const kad_swarm_counters *c = kad__swarm_counters_get(s);
  STORM_CHECK(w, kad__swarm_connection_count(s) == 0);
  STORM_CHECK(w, s->account.used.bytes == 0);
  STORM_CHECK(w, s->established + s->closing + s->pending_inbound == 0);
  STORM_CHECK(w, s->opening + s->dials == 0);
  STORM_CHECK(w, kad__list_empty(&s->all_channels));
  STORM_CHECK(w, kad__list_empty(&s->all_dials));
  STORM_CHECK(w, !kad__swarm_busy(s));
  STORM_CHECK(w, a->connected == a->disconnected);
  STORM_CHECK(w, c->opened_inbound + c->opened_outbound == a->connected);
  STORM_CHECK(w, c->closed == a->connected);
  for (int i = 0; i < DIALS; i++) {
    STORM_CHECK(w, a->dials[i] == 0);
  }
  for (int i = 0; i < w->nodes; i++) {
    STORM_CHECK(w, !a->dialling[i]);
  }
  for (int i = 0; i < STREAMS; i++) {
    STORM_CHECK(w, a->talks[i].stream == NULL);
  }
}

static void end(storm *w) {
  storm_settle(w, KAD_SECOND); /* what is under way comes to its end */
  for (int i = 0; i < w->nodes; i++) {
    for (int j = 0; j < w->nodes && w->node[i].swarm != NULL; j++) {
      kad__swarm_protect(w->node[i].swarm, storm_peer(j), false);
      kad__swarm_disconnect_peer(w->node[i].swarm, storm_peer(j), w->now);
    }
  }
  storm_settle(w, END_TIME);
  for (int i = 0; i < w->nodes; i++) {
    if (w->node[i].swarm != NULL) {
      check_idle(w, i);
    }
  }
}

static void tweak(storm *w, kad__swarm_config *config, int node) {
  (void)node;
  if (storm_chance(w, 3)) { /* limits that are felt */
    config->max_connections = 8;
    config->max_pending_inbound = 2;
    config->max_connections_per_peer = 2;
    config->max_inbound_per_address = 3;
  }
}

static void begin(uint64_t seed, int nodes, storm_tweak *how) {
  memset(apps, 0, sizeof(apps));
  starved = false;
  storm_init(&world, seed, nodes, how);
  world.on_event = on_event;
  for (int i = 0; i < nodes; i++) {
    world.node[i].app = &apps[i];
    assert_ok(kad__swarm_handle(world.node[i].swarm, kad__bytes_of("/a"), 1));
  }
}

static void starve(storm *w) {
  test_allocator *memory = &w->node[storm_below(w, (uint64_t)w->nodes)].memory;
  memory->fail_at = memory->calls + 1 + storm_below(w, 40);
  starved = true;
}

static void run_seed(uint64_t seed) {
  begin(seed, 2 + (int)(seed % 3), tweak);
  storm *w = &world;
  bool hungry = storm_chance(w, 4);
  bool abrupt = storm_chance(w, 8);
  for (int i = 0; i < STEPS; i++) {
    if (storm_chance(w, 3)) {
      do_something(w);
    }
    for (uint64_t n = storm_below(w, 12); n > 0; n--) {
      storm_step(w);
    }
    if (storm_chance(w, 16)) {
      storm_wait(w, storm_below(w, storm_chance(w, 8) ? 20 * KAD_SECOND
                                                      : KAD_SECOND / 4));
    }
    if (hungry && storm_chance(w, 50)) {
      starve(w);
    }
    if (abrupt && storm_chance(w, STEPS)) {
      storm_free_node(w, (int)storm_below(w, (uint64_t)w->nodes));
      break;
    }
  }
  for (int i = 0; i < w->nodes; i++) {
    w->node[i].memory.fail_at = 0;
  }
  end(w);
  all.cut += w->cut;
  storm_fini(w);
}

static void test_storms(void **state) {
  (void)state;
  size_t count = storms_run("simulation-swarm", run_seed);
  printf(
      "%zu storms: %llu connections, %llu streams, %llu bytes, %llu links "
      "cut\n",
      count, (unsigned long long)all.connected, (unsigned long long)all.streams,
      (unsigned long long)all.bytes, (unsigned long long)all.cut);
  assert_true(all.connected > 2 * count);
  assert_true(all.streams > count);
  assert_true(all.cut > count / 4);
}

/* ---- each byte of an upgrade --------------------------------------------- */

/* The bytes that cross until both sides are connected and one stream has been
 * agreed and answered. */
static uint64_t upgrade(uint64_t life, bool both) {
  begin(1, 2, NULL);
  storm *w = &world;
  w->calm = true;
  w->next_life = life;
  dial(w, 0, 1);
  if (both) {
    dial(w, 1, 0);
  }
  storm_settle(w, KAD_MILLISECOND);
  open_stream(w, 0, 1);
  talk *t = &apps[0].talks[0];
  if (t->stream != NULL) {
    write_some(w, t);
  }
  storm_settle(w, KAD_MILLISECOND);
  uint64_t carried = w->carried;
  storm_settle(w, 20 * KAD_SECOND);
  if (life <= carried / 2) {
    STORM_CHECK(w, w->cut != 0);
  }
  end(w);
  storm_fini(w);
  return carried;
}

static void test_links_die_at_each_byte(void **state) {
  (void)state;
  uint64_t whole = upgrade(STORM_IMMORTAL, false);
  assert_in_range(whole, 400, 4000);
  for (uint64_t life = 1; life <= whole; life++) {
    assert_true(upgrade(life, false) <= life);
  }
}

static void test_races_die_at_each_byte(void **state) {
  (void)state;
  uint64_t whole = upgrade(STORM_IMMORTAL, true);
  for (uint64_t life = 1; life <= whole / 2; life++) {
    (void)upgrade(life, true);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_links_die_at_each_byte),
      cmocka_unit_test(test_races_die_at_each_byte),
      cmocka_unit_test(test_storms),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
