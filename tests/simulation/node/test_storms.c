/* Whole nodes whose owners ask, talk, hang up and change their minds, in a
 * world where links die, fall silent and stand still, dials race or are never
 * answered, hosts are slow, memory runs out and nodes come back from snapshots:
 * after each step every invariant of every node holds, every owner is told
 * what is so and once, and in the end nothing is left. */
#include "kadmium/multiaddr.h"
#include "node/connections.h"
#include "node/snapshot.h"
#include "node/streams.h"
#include "owner.h"
#include "swarm/swarm_internal.h"

#define STEPS 240
#define UNIX_NS (1767225600 * KAD_SECOND)
#define ADDRESS_LEN 8

static gale world;

kad_bytes gale_address(const gale *w, int node, uint16_t port) {
  static uint8_t ring[4][ADDRESS_LEN];
  static unsigned at;
  uint8_t *out = ring[at++ % 4];
  uint32_t number = (uint32_t)node;
  out[0] = KAD_MULTIADDR_IP4;
  kad__store32(out + 1, w->public_network
                            ? (number + (UINT32_C(11) << 8)) << 16 | 1
                            : UINT32_C(10) << 24 | number);
  out[5] = KAD_MULTIADDR_TCP;
  kad__store16(out + 6, port);
  return kad__bytes(out, ADDRESS_LEN);
}

/* ---- memory -------------------------------------------------------------- */

static bool refuse(owner *o) {
  o->refusals -= o->refusals != 0;
  return o->refusals != 0;
}

static void *take(void *user, size_t size) {
  owner *o = user;
  return refuse(o) ? NULL : o->memory.allocator.alloc(&o->memory, size);
}

static void *take_more(void *user, void *memory, size_t size) {
  owner *o = user;
  return refuse(o) ? NULL
                   : o->memory.allocator.resize(&o->memory, memory, size);
}

static void give_back(void *user, void *memory) {
  owner *o = user;
  o->memory.allocator.release(&o->memory, memory);
}

static void give_memory(owner *o) {
  test_allocator_init(&o->memory);
  o->allocator = (kad_allocator){
      .alloc = take, .resize = take_more, .release = give_back, .user = o};
}

/* One allocation fails some time soon, or the next ones do. */
static void starve(owner *o) {
  gale *w = o->world;
  if (gale_chance(w, 3)) {
    o->refusals = 2 + gale_below(w, 100);
  } else {
    o->memory.fail_at = o->memory.calls + 1 + gale_below(w, 100);
  }
  o->starved = true;
}

/* ---- nodes --------------------------------------------------------------- */

/* Some owners refuse one in so many, at any question. */
#define GATED 30

static bool gate(owner *o) {
  return !o->world->closed && (!o->choosy || !gale_chance(o->world, GATED));
}

static bool gate_peer(void *user, const kad_peer_id *peer) {
  (void)peer;
  return gate(user);
}

static bool gate_address(void *user, const kad_peer_id *peer,
                         kad_bytes address) {
  (void)peer;
  (void)address;
  return gate(user);
}

static bool gate_accept(void *user, kad_bytes local, kad_bytes remote) {
  (void)local;
  (void)remote;
  return gate(user);
}

static bool gate_proven(void *user, bool inbound, const kad_peer_id *peer,
                        kad_bytes remote) {
  (void)inbound;
  (void)peer;
  (void)remote;
  return gate(user);
}

/* Limits that are felt. */
static void tighten(gale *w, kad__node_config *config) {
  config->max_connections = 3 + (uint32_t)gale_below(w, 6);
  config->max_pending_inbound = 1 + (uint32_t)gale_below(w, 3);
  config->max_connections_per_peer = 1 + (uint32_t)gale_below(w, 3);
  config->max_inbound_per_address = 1 + (uint32_t)gale_below(w, 4);
  config->max_inbound_streams = 1 + (uint32_t)gale_below(w, 8);
  config->max_outbound_streams = 1 + (uint32_t)gale_below(w, 8);
  config->max_in_all.bytes = (256 + gale_below(w, 256)) << 10;
  config->max_per_peer.bytes = 256 << 10;
  config->max_per_peer.inbound = 1 + (uint32_t)gale_below(w, 8);
  config->max_in_all.outbound = 4 + (uint32_t)gale_below(w, 8);
  config->max_dials = 1 + (uint32_t)gale_below(w, 4);
  config->max_dials_per_peer = 1 + (uint32_t)gale_below(w, 2);
  config->pace_per_address = (kad__pace){4, 20};
  config->low_water = 2;
  config->high_water = 4;
  config->grace_period = KAD_SECOND;
}

/* Upkeep that comes all the time. */
static void hurry(gale *w, kad_dht_options *dht) {
  dht->replication_interval = 5 * KAD_SECOND + gale_below(w, 30 * KAD_SECOND);
  dht->publication_interval = 5 * KAD_SECOND + gale_below(w, 30 * KAD_SECOND);
  dht->provider_publication_interval = 10 * KAD_SECOND;
  dht->bootstrap_interval = 10 * KAD_SECOND;
  dht->record_ttl = 40 * KAD_SECOND;
  dht->provider_ttl = 40 * KAD_SECOND;
  dht->bucket_size = 2;
  dht->disjoint_paths = gale_chance(w, 2);
  dht->trust_peers = gale_chance(w, 3);
  dht->optimistic_provide = gale_chance(w, 3);
  dht->manual_inserts = gale_chance(w, 8);
}

static void choose_security(gale *w, kad__node_config *config) {
  switch (gale_below(w, w->seed % 3 == 0 ? 4 : 16)) { /* TLS takes long */
    case 0:
      config->security[0] = KAD_SECURITY_TLS;
      break;
    case 1:
      config->security[0] = KAD_SECURITY_TLS;
      config->security[1] = KAD_SECURITY_NOISE;
      break;
    case 2:
      config->security[0] = KAD_SECURITY_NOISE;
      break;
    default:
      break;
  }
}

static void configure_plainly(owner *o) {
  gale *w = o->world;
  kad__node_config *config = &o->config;
  kad__node_config_default(config);
  config->allocator = &o->allocator;
  config->protocol =
      kad__bytes_of(w->public_network ? KAD_PROTOCOL_IPFS : "/storm/kad/1.0.0");
  o->namespaces[0] = kad__bytes_of("app");
  config->namespaces = o->namespaces;
  config->namespace_count = w->public_network ? 1 : 0;
  memset(o->network_key, 7, sizeof(o->network_key));
  o->gater = (kad_gater){.user = o,
                         .dial_peer = gate_peer,
                         .dial_address = gate_address,
                         .accept = gate_accept,
                         .secured = gate_proven,
                         .upgraded = gate_proven};
  config->gater = &o->gater;
}

/* `keyed`: of 3 nodes so many have the key of a private network. */
static void configure(owner *o, uint64_t keyed) {
  gale *w = o->world;
  kad__node_config *config = &o->config;
  configure_plainly(o);
  config->mode = (kad_mode)gale_below(w, 3);
  config->idle_timeout = (2 + gale_below(w, 20)) * KAD_SECOND;
  config->report_inbound = gale_chance(w, 3);
  config->report_swarm = gale_chance(w, 2);
  config->filter_records = gale_chance(w, 8);
  config->review_records = gale_chance(w, 4);
  config->observers = 2;
  config->pace_per_address = (kad__pace){10000, 10000};
  choose_security(w, config);
  if (gale_below(w, 3) < keyed) {
    config->network_key = o->network_key;
  }
  if (gale_chance(w, 3)) {
    tighten(w, config);
  }
  if (gale_chance(w, 2)) {
    hurry(w, &config->dht);
  }
}

static void set_up(owner *o) {
  (void)kad__node_handle(owner_node(o), kad__bytes_of("/storm/a"), NULL, NULL,
                         gale_now(o->world));
  kad__simulator_touch(o->world->sim, o->number);
}

static void crash(owner *o) {
  kad__simulator_crash(o->world->sim, o->number);
  o->alive = false;
  STORM_CHECK(o, o->memory.live == 0);
}

static void restart(owner *o) {
  gale *w = o->world;
  owner_forget(o);
  o->memory.fail_at = 0;
  o->refusals = 0;
  uint32_t contact = (uint32_t)gale_below(w, (uint64_t)w->nodes + 1);
  contact = contact == o->number ? KAD__SIMULATOR_NOBODY : contact;
  if (gale_chance(w, 8)) {
    starve(o);
  }
  int result = kad__simulator_restart(w->sim, o->number, &o->config, contact);
  STORM_CHECK(o, result == 0 || (result == KAD_E_NO_MEMORY && o->starved));
  o->alive = result == 0;
  if (!o->alive) {
    STORM_CHECK(o, o->memory.live == 0);
    return;
  }
  gale_all.lives++;
  if (o->snapshot_len != 0 && gale_chance(w, 2)) {
    size_t len = o->snapshot_len;
    bool whole = gale_chance(w, 2);
    if (!whole) {
      len = (size_t)gale_below(w, len);
      o->snapshot[gale_below(w, o->snapshot_len)] ^= 4;
    }
    int error = kad__node_restore(owner_node(o), kad__bytes(o->snapshot, len),
                                  gale_now(w));
    STORM_CHECK(o, error == 0 || !whole || o->starved);
    o->snapshot_len = whole ? len : 0;
  }
  set_up(o);
}

/* ---- the world ----------------------------------------------------------- */

static void choose_faults(gale *w) {
  kad__simulator_faults f = {0};
  f.jitter = gale_chance(w, 3) ? 0 : gale_below(w, 200 * KAD_MILLISECOND);
  f.lag = gale_chance(w, 2) ? 0 : gale_below(w, 30 * KAD_MILLISECOND);
  f.split = gale_chance(w, 2) ? 0 : (uint32_t)gale_below(w, 700);
  f.refused = gale_chance(w, 2) ? 0 : 100;
  f.unanswered = gale_chance(w, 2) ? 0 : 100;
  f.late = gale_chance(w, 2) ? 0 : 500;
  f.mortal = gale_chance(w, 2) ? 0 : 300;
  f.life = gale_chance(w, 2) ? 1500 : 30000;
  f.window = gale_chance(w, 2) ? 0 : 1 + gale_below(w, 20000);
  kad__simulator_set_faults(w->sim, &f);
}

static void add_node(gale *w, uint64_t keyed) {
  owner *o = &w->owners[w->nodes];
  *o = (owner){.world = w,
               .seed = w->seed,
               .number = (uint32_t)w->nodes,
               .alive = true,
               .choosy = gale_chance(w, 4),
               .loud = w->seed % 4 == 0,
               .lazy = gale_chance(w, 3)};
  give_memory(o);
  configure(o, keyed);
  w->nodes++;
  uint32_t contact = o->number == 0 ? KAD__SIMULATOR_NOBODY
                                    : (uint32_t)gale_below(w, o->number);
  assert_ok(kad__simulator_add(w->sim, &o->config, contact));
  set_up(o);
}

static void begin(gale *w, uint64_t seed) {
  kad__simulator_config config;
  kad__simulator_config_default(&config);
  memset(w, 0, sizeof(*w));
  w->seed = seed;
  kad_random_init_u64(&w->random, seed);
  w->public_network = gale_chance(w, 3);
  config.allocator = kad_allocator_default();
  config.seed = seed;
  config.latency_min = KAD_MILLISECOND;
  config.latency_max = 40 * KAD_MILLISECOND;
  config.loss_per_million = gale_chance(w, 3) ? 30000 : 0;
  config.public_addresses = w->public_network;
  assert_ok(kad__simulator_new(&w->sim, &config));
}

static void check(gale *w) {
  for (int i = 0; i < w->nodes; i++) {
    owner *o = &w->owners[i];
    const char *broken = o->alive ? kad__node_check(owner_node(o)) : NULL;
    if (broken != NULL) {
      storms_fail(w->seed, broken);
    }
    if (o->alive) {
      owner_compare(o);
    }
  }
}

static void listen(gale *w) {
  for (int i = 0; i < w->nodes; i++) {
    owner *o = &w->owners[i];
    if (o->alive && (!o->lazy || gale_chance(w, 8))) {
      owner_listen(o, o->lazy ? gale_below(w, 20) : SIZE_MAX);
    }
  }
}

/* Lets things happen until that time. */
static void pass(gale *w, kad_time time) {
  kad_time until = gale_now(w) + time;
  while (kad__simulator_step(w->sim, until)) {
    listen(w);
  }
  listen(w);
  check(w);
}

static void disturb(gale *w) {
  uint32_t node = (uint32_t)gale_below(w, (uint64_t)w->nodes);
  switch (gale_below(w, 10)) {
    case 0:
    case 1:
      (void)kad__simulator_disturb(w->sim, KAD__SIMULATOR_CUT, 0);
      break;
    case 2:
      (void)kad__simulator_disturb(w->sim, KAD__SIMULATOR_DEAFEN, 0);
      break;
    case 3:
    case 4:
      (void)kad__simulator_disturb(w->sim, KAD__SIMULATOR_HOLD, KAD_SECOND);
      break;
    case 5:
      kad__simulator_partition(w->sim, node, gale_chance(w, 3));
      break;
    case 6:
      kad__simulator_firewall(w->sim, node, gale_chance(w, 2));
      break;
    case 7:
      choose_faults(w);
      break;
    default:
      if (w->owners[node].alive) {
        crash(&w->owners[node]);
      } else {
        restart(&w->owners[node]);
      }
      break;
  }
}

static void do_something(gale *w) {
  owner *o = &w->owners[gale_below(w, (uint64_t)w->nodes)];
  owner *other = &w->owners[gale_below(w, (uint64_t)w->nodes)];
  if (gale_chance(w, 15)) {
    disturb(w);
  } else if (!o->alive) {
    return;
  } else if (other->alive && gale_chance(w, 20)) { /* from both sides at once */
    owner_connect(o, (int)other->number);
    owner_connect(other, (int)o->number);
  } else {
    owner_act(o);
  }
}

/* ---- the end ------------------------------------------------------------- */

/* Everything that the owner was to be told he was told. */
static void check_told(owner *o) {
  const kad__node *node = owner_node(o);
  STORM_CHECK(o, !kad__node_has_events(node));
  STORM_CHECK(o, node->requests.all.len == 0);
  for (size_t i = 0; i < OWNER_REQUESTS; i++) {
    STORM_CHECK(o, !o->requests[i].running);
  }
  for (int i = 0; i < OWNER_TALKS; i++) {
    STORM_CHECK(o, o->talks[i].stream == NULL || o->talks[i].dead);
  }
  for (int i = 0; i < o->world->nodes; i++) {
    STORM_CHECK(o, !o->connected[i] || o->starved);
  }
}

static void let_go(owner *o) {
  talk *t;
  while ((t = owner_any_talk(o)) != NULL) {
    owner_end(o, t, gale_chance(o->world, 2));
  }
}

/* He has let go of everything, and so has the node. */
static void check_idle(owner *o) {
  const kad__swarm *s = owner_node(o)->swarm;
  const kad_swarm_counters *c = kad__swarm_counters_get(s);
  STORM_CHECK(o, kad__swarm_connection_count(s) == 0);
  STORM_CHECK(o, kad__list_empty(&s->all_channels));
  STORM_CHECK(o, kad__list_empty(&s->all_dials));
  STORM_CHECK(o, s->account.used.bytes == 0);
  STORM_CHECK(o, c->closed == c->opened_inbound + c->opened_outbound);
  STORM_CHECK(o, !kad__swarm_busy(s));
  STORM_CHECK(o, owner_node(o)->streams.count == 0);
  owner_listen(o, SIZE_MAX);
  for (int i = 0; i < OWNER_SIGHTS; i++) {
    bool gone = o->sights[i].connection == 0;
    STORM_CHECK(o, gone || o->starved || o->overlooked);
  }
}

/* Kind again, and everybody attentive. */
static void calm(gale *w) {
  static const kad__simulator_faults none = {0};
  kad__simulator_set_faults(w->sim, &none);
  kad__simulator_partition(w->sim, 0, false);
  for (int i = 0; i < w->nodes; i++) {
    owner *o = &w->owners[i];
    o->memory.fail_at = 0;
    o->refusals = 0;
    o->lazy = false;
    kad__simulator_firewall(w->sim, o->number, false);
    if (o->alive) {
      kad__node_set_wall_clock(owner_node(o), gale_now(w), UNIX_NS);
    }
  }
}

/* They read all that there is, and go on doing so. */
static void drain(gale *w) {
  for (int i = 0; i < w->nodes; i++) {
    owner *o = &w->owners[i];
    o->eager = true;
    for (int j = 0; j < OWNER_TALKS && o->alive; j++) {
      talk *t = &o->talks[j];
      while (t->stream != NULL && !t->deaf && owner_read(o, t, SIZE_MAX)) {
      }
    }
    if (o->alive) {
      kad__simulator_touch(w->sim, o->number);
    }
  }
}

/* A stream that lives has brought everything that was written; nobody waits for
 * ever. */
static void check_arrived(owner *o) {
  for (int i = 0; i < OWNER_TALKS; i++) {
    const talk *t = &o->talks[i];
    if (t->stream == NULL || t->dead) {
      continue;
    }
    STORM_CHECK(o, t->known);
    STORM_CHECK(o, !t->waits || t->ours_over);
    STORM_CHECK(o, t->deaf || t->read < 4 ||
                       t->read == o->world->speeches[t->their_speech].written);
    gale_all.arrived += t->read != 0;
  }
}

/* Can they connect, if nobody keeps them from it? */
static bool may_meet(const owner *dialler, const owner *listener) {
  static const uint8_t usual[] = {KAD_SECURITY_NOISE, KAD_SECURITY_TLS};
  const uint8_t *offered = dialler->config.security;
  const uint8_t *taken = listener->config.security;
  bool common = false;
  taken = taken[0] == 0 ? usual : taken;
  offered = offered[0] == 0 ? usual : offered;
  size_t count = offered == usual ? 1 : 2; /* Noise alone is proposed then */
  for (size_t i = 0; i < count; i++) {
    common |= offered[i] != 0 && memchr(taken, offered[i], 2) != NULL;
  }
  return common && (dialler->config.network_key == NULL) ==
                       (listener->config.network_key == NULL);
}

static bool is_open(const owner *o) {
  return o->alive && !o->starved && !o->choosy &&
         o->config.max_pending_inbound == 0 &&
         o->last_request + 2 < OWNER_REQUESTS;
}

/* Whatever has been, it works again. */
static void check_works(gale *w) {
  for (int i = 0; i < w->nodes; i++) {
    owner *o = &w->owners[i];
    owner *other = &w->owners[(i + 1) % w->nodes];
    if (is_open(o) && is_open(other) && may_meet(o, other)) {
      uint64_t before = gale_all.ends[KAD_CONNECT];
      owner_connect(o, (int)other->number);
      pass(w, 20 * KAD_SECOND);
      STORM_CHECK(w, !o->requests[o->last_request].running);
      STORM_CHECK(w, gale_all.ends[KAD_CONNECT] > before);
      gale_all.works++;
      return;
    }
  }
}

static void hang_up(gale *w) {
  w->closed = true;
  for (int i = 0; i < w->nodes; i++) {
    for (int j = 0; j < w->nodes && w->owners[i].alive; j++) {
      kad__node *node = owner_node(&w->owners[i]);
      kad__swarm_protect(node->swarm, gale_peer(w, j), false);
      kad__swarm_disconnect_peer(node->swarm, gale_peer(w, j), gale_now(w));
      kad__simulator_touch(w->sim, (uint32_t)i);
    }
  }
}

/* Longer than anything waits for anybody: a dead link for an answer, a stream
 * that nobody reads for a minute. */
#define PATIENCE (100 * KAD_SECOND)

static void end(gale *w) {
  calm(w);
  drain(w);
  pass(w, PATIENCE);
  for (int i = 0; i < w->nodes; i++) {
    if (w->owners[i].alive) {
      check_arrived(&w->owners[i]);
    }
  }
  check_works(w);
  hang_up(w);
  pass(w, 2 * KAD_MINUTE);
  for (int i = 0; i < w->nodes; i++) {
    owner *o = &w->owners[i];
    if (!o->alive) {
      continue;
    }
    check_told(o);
    if (!gale_chance(w, 4)) { /* else his streams end with the node */
      let_go(o);
      check_idle(o);
    }
    crash(o);
  }
}

/* ---- storms -------------------------------------------------------------- */

/* Returns what happened, and what was told, as a number. */
static uint64_t run(uint64_t seed) {
  gale *w = &world;
  begin(w, seed);
  uint64_t nodes = 3 + gale_below(w, GALE_NODES - 2);
  uint64_t keyed = gale_chance(w, 3) ? 2 + gale_below(w, 2) : 0;
  bool hungry = gale_chance(w, 4);
  choose_faults(w);
  for (uint64_t i = 0; i < nodes; i++) {
    add_node(w, keyed);
  }
  for (int i = 0; i < STEPS; i++) {
    do_something(w);
    for (uint64_t n = gale_below(w, 10); n > 0; n--) {
      (void)kad__simulator_step(w->sim, gale_now(w) + KAD_SECOND);
      listen(w);
    }
    check(w);
    if (gale_chance(w, 40)) {
      pass(w, gale_below(w, gale_chance(w, 6) ? 20 * KAD_SECOND : KAD_SECOND));
    }
    if (hungry && gale_chance(w, 15)) {
      starve(&w->owners[gale_below(w, (uint64_t)w->nodes)]);
    }
  }
  end(w);
  uint64_t result = kad__simulator_trace(w->sim) ^ w->told;
  kad__simulator_free(w->sim);
  return result;
}

static void run_seed(uint64_t seed) {
  (void)run(seed);
}

static void test_storms(void **state) {
  (void)state;
  memset(&gale_all, 0, sizeof(gale_all));
  size_t count = storms_run("simulation-storms", run_seed);
  printf(
      "%zu storms: %llu connected, %llu requests, %llu streams, %llu bytes, "
      "%llu lives, %llu work, %llu sights, %llu waits, %llu arrived\n",
      count, (unsigned long long)gale_all.connected,
      (unsigned long long)gale_all.requests,
      (unsigned long long)gale_all.streams, (unsigned long long)gale_all.bytes,
      (unsigned long long)gale_all.lives, (unsigned long long)gale_all.works,
      (unsigned long long)gale_all.sights, (unsigned long long)gale_all.waits,
      (unsigned long long)gale_all.arrived);
  if (count < 100) {
    return;
  }
  assert_true(gale_all.connected > 10 * count);
  assert_true(gale_all.works > count / 10);
  assert_true(gale_all.sights > 20 * count);
  assert_true(gale_all.waits > count / 50);
  assert_true(gale_all.arrived > count / 10);
  assert_true(gale_all.streams > 5 * count);
  assert_true(gale_all.bytes > 1000 * count);
  for (int i = 0; i <= KAD_PING; i++) {
    assert_true(gale_all.ends[i] > 0);
  }
}

static void test_traces(void **state) {
  (void)state;
  uint64_t seed = test_seed("traces");
  for (uint64_t i = 0; i < 1 + storms_count() / 50; i++) {
    assert_true(run(seed + i) == run(seed + i));
  }
  assert_true(run(seed) != run(seed + 1));
}

/* ---- links that die in an upgrade ---------------------------------------- */

typedef struct climb {
  const char *name;
  uint8_t security[2][KAD_SECURITY_COUNT]; /* dialler's, listener's */
  bool keyed;
} climb;

static const climb climbs[] = {
    {"noise", {{KAD_SECURITY_NOISE}, {0}}, false},
    {"tls", {{KAD_SECURITY_TLS}, {0}}, false},
    {"noise and pnet", {{KAD_SECURITY_NOISE}, {0}}, true},
    {"noise refused",
     {{KAD_SECURITY_NOISE, KAD_SECURITY_TLS}, {KAD_SECURITY_TLS}},
     false},
};

static void add_plain(gale *w, const climb *c) {
  owner *o = &w->owners[w->nodes];
  *o = (owner){
      .world = w, .seed = w->seed, .number = (uint32_t)w->nodes, .alive = true};
  give_memory(o);
  configure_plainly(o);
  memcpy(o->config.security, c->security[o->number],
         sizeof(o->config.security));
  o->config.network_key = c->keyed ? o->network_key : NULL;
  w->nodes++;
  assert_ok(kad__simulator_add(w->sim, &o->config, KAD__SIMULATOR_NOBODY));
  set_up(o);
}

/* Two nodes meet over links that carry so many bytes, from one side or from
 * both at once, and speak; then over a good one. Returns the bytes that had
 * crossed when they had met. */
static uint64_t upgrade(const climb *c, uint64_t life, bool race) {
  gale *w = &world;
  begin(w, life);
  add_plain(w, c);
  add_plain(w, c);
  kad__simulator_next_life(w->sim, life);
  owner_connect(&w->owners[0], 1);
  if (race) {
    owner_connect(&w->owners[1], 0);
  }
  pass(w, KAD_SECOND);
  uint64_t crossed = kad__simulator_counters_get(w->sim)->arrived;
  owner_open(&w->owners[0], 1);
  owner_open(&w->owners[1], 0);
  for (int i = 0; i < 10; i++) {
    owner_use_stream(&w->owners[i % 2]);
  }
  pass(w, 2 * KAD_SECOND);
  kad__simulator_next_life(w->sim, 0);
  uint64_t before = gale_all.ends[KAD_CONNECT];
  owner_connect(&w->owners[0], 1);
  pass(w, 5 * KAD_SECOND);
  STORM_CHECK(w, gale_all.ends[KAD_CONNECT] > before);
  end(w);
  kad__simulator_free(w->sim);
  return crossed;
}

/* Every byte of it, or some. */
static void die_at(const climb *c, bool race, size_t count) {
  uint64_t whole = upgrade(c, UINT64_MAX, race);
  print_message("%s: %llu bytes\n", c->name, (unsigned long long)whole);
  assert_in_range(whole, 600, 30000);
  if (count >= whole) {
    for (uint64_t life = 1; life <= whole; life++) {
      (void)upgrade(c, life, race);
    }
    return;
  }
  kad_random random;
  kad_random_init_u64(&random, test_seed("upgrades"));
  for (size_t i = 0; i < count; i++) {
    (void)upgrade(c, 1 + kad_random_below(&random, whole), race);
  }
}

static void test_links_die_in_upgrades(void **state) {
  (void)state;
  for (size_t i = 0; i < KAD__COUNT(climbs); i++) {
    die_at(&climbs[i], false, storms_count() / 4);
    die_at(&climbs[i], true, storms_count() / 4);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_links_die_in_upgrades),
      cmocka_unit_test(test_storms),
      cmocka_unit_test(test_traces),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
