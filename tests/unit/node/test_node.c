/* One node, whose world is the test: it says where the node listens, and what
 * becomes of its dials. */
#include "kadmium/key.h"
#include "kadmium/multiaddr.h"
#include "node/node.h"
#include "support.h"
#include "wire/addresses.h"

#define OWN_PROTOCOL "/test/kad/1.0.0"
#define LOOPBACK "/ip4/127.0.0.1/tcp/4001"
#define PRIVATE "/ip4/192.168.1.2/tcp/4001"
#define PUBLIC "/ip4/198.51.100.7/tcp/4001"
#define SEEN_MAX 16

typedef struct world {
  test_allocator memory;
  kad_key_pair *pair;
  kad__node_config config;
  uint8_t storage[4][KAD_MULTIADDR_MAX];
  size_t stored;
  kad_bytes listen[2];
  kad_bytes announce[1];
  kad_bytes bootstrap[1];
  kad__node *node;
  kad_time now;
  int listen_error;      /* what listening ends with */
  const char *listening; /* the address that was bound; NULL: as asked */
  kad__id listener;
  size_t dials;
  size_t closes;
  kad_event_type seen[SEEN_MAX];
  kad_event last[SEEN_MAX]; /* bytes are not valid any more */
  size_t seen_count;
} world;

static kad_bytes address(world *w, const char *text) {
  uint8_t *room = w->storage[w->stored++];
  int len = kad_multiaddr_parse(room, KAD_MULTIADDR_MAX, text);
  assert_ok(len);
  return kad__bytes(room, (size_t)len);
}

static void open_world(world *w) {
  static const uint8_t seed[KAD_RANDOM_SEED_LEN] = {1, 2, 3};
  kad_random random;
  memset(w, 0, sizeof(*w));
  test_allocator_init(&w->memory);
  kad_random_init(&random, seed);
  assert_ok(kad_key_pair_generate(&w->pair, kad_allocator_default(), &random));
  kad__node_config_default(&w->config);
  w->config.allocator = &w->memory.allocator;
  w->config.identity = w->pair;
  w->config.seed = seed;
  w->now = KAD_SECOND;
}

static void listen_on(world *w, const char *text) {
  w->listen[w->config.listen_count++] = address(w, text);
  w->config.listen = w->listen;
}

static void announce(world *w, const char *text) {
  w->announce[0] = address(w, text);
  w->config.announce = w->announce;
  w->config.announce_count = 1;
}

static void bootstrap_with(world *w, const char *text) {
  w->bootstrap[0] = address(w, text);
  w->config.bootstrap = w->bootstrap;
  w->config.bootstrap_count = 1;
}

static void start(world *w) {
  assert_ok(
      kad__node_new(&w->node, &w->config, w->now, 1767225600 * KAD_SECOND));
}

static void close_world(world *w) {
  kad__node_free(w->node);
  kad_key_pair_free(w->pair);
  assert_int_equal(w->memory.live, 0);
}

static void answer_listen(world *w, const kad__world_action *action) {
  kad__swarm *swarm = kad__node_swarm(w->node);
  if (w->listen_error < 0) {
    kad__swarm_listen_failed(swarm, action->id, w->listen_error);
    return;
  }
  uint8_t room[KAD_MULTIADDR_MAX];
  uint8_t list[KAD_MULTIADDR_MAX + 8];
  size_t len = 0;
  kad_bytes bound = action->address;
  if (w->listening != NULL) {
    int n = kad_multiaddr_parse(room, sizeof(room), w->listening);
    assert_ok(n);
    bound = kad__bytes(room, (size_t)n);
  }
  assert_true(kad__addresses_append(list, sizeof(list), &len, bound));
  kad__swarm_listening(swarm, action->id, kad__bytes(list, len), w->now);
}

static bool carry_out(world *w) {
  kad__swarm *swarm = kad__node_swarm(w->node);
  kad__world_action action;
  bool busy = false;
  while (kad__swarm_poll_action(swarm, &action)) {
    busy = true;
    if (action.type == KAD__WORLD_LISTEN) {
      w->listener = action.id;
      answer_listen(w, &action);
    } else if (action.type == KAD__WORLD_DIAL) {
      w->dials++;
      kad__swarm_dial_failed(swarm, action.id, KAD_E_REFUSED, w->now);
    } else if (action.type == KAD__WORLD_CLOSE) {
      w->closes++;
    }
  }
  return busy;
}

/* Lets the node work, and keeps what it says. */
static void run(world *w) {
  kad_event event;
  do {
    kad__node_drive(w->node, w->now);
  } while (carry_out(w));
  w->seen_count = 0;
  while (kad__node_poll(w->node, &event)) {
    assert_true(w->seen_count < SEEN_MAX);
    w->last[w->seen_count] = event;
    w->seen[w->seen_count++] = event.type;
  }
}

static size_t index_of(const world *w, kad_event_type type) {
  for (size_t i = 0; i < w->seen_count; i++) {
    if (w->seen[i] == type) {
      return i;
    }
  }
  return SIZE_MAX;
}

static bool is_server(const world *w) {
  kad_node_status status;
  kad__node_status(w->node, &status);
  return status.server;
}

/* ---- order --------------------------------------------------------------- */

static void test_listening_then_ready(void **state) {
  (void)state;
  world w;
  open_world(&w);
  listen_on(&w, LOOPBACK);
  start(&w);
  run(&w);
  size_t listening = index_of(&w, KAD_EVENT_LISTENING);
  size_t ready = index_of(&w, KAD_EVENT_READY);
  assert_int_not_equal(ready, SIZE_MAX);
  assert_true(listening < ready);
  assert_int_equal(w.last[ready].count, 0);
  kad_node_status status;
  kad__node_status(w.node, &status);
  assert_true(status.ready);
  close_world(&w);
}

/* A contact that cannot even be dialled is told behind LISTENING. */
static void test_listening_comes_first(void **state) {
  (void)state;
  world w;
  open_world(&w);
  listen_on(&w, LOOPBACK);
  bootstrap_with(&w, "/ip4/127.0.0.1/udp/4001/quic-v1");
  start(&w);
  run(&w);
  size_t failed = index_of(&w, KAD_EVENT_DIAL_FAILED);
  assert_int_not_equal(failed, SIZE_MAX);
  assert_true(index_of(&w, KAD_EVENT_LISTENING) < failed);
  assert_int_equal(w.last[failed].error, KAD_E_NO_ADDRESS);
  close_world(&w);
}

/* Without a listener a node is ready at once; with one that fails, too. */
static void test_ready_without_listening(void **state) {
  (void)state;
  world w;
  open_world(&w);
  start(&w);
  run(&w);
  assert_int_not_equal(index_of(&w, KAD_EVENT_READY), SIZE_MAX);
  assert_int_equal(index_of(&w, KAD_EVENT_LISTENING), SIZE_MAX);
  close_world(&w);

  open_world(&w);
  listen_on(&w, LOOPBACK);
  w.listen_error = KAD_E_ADDRESS_IN_USE;
  start(&w);
  run(&w);
  size_t failed = index_of(&w, KAD_EVENT_LISTEN_FAILED);
  assert_int_not_equal(failed, SIZE_MAX);
  assert_int_equal(w.last[failed].error, KAD_E_ADDRESS_IN_USE);
  assert_true(failed < index_of(&w, KAD_EVENT_READY));
  close_world(&w);
}

/* ---- mode ---------------------------------------------------------------- */

typedef struct mode_case {
  kad_mode mode;
  const char *protocol;
  const char *listen;
  const char *announce;
  bool server;
} mode_case;

static void test_mode(void **state) {
  static const mode_case cases[] = {
      /* On a public network: only where others surely are. */
      {KAD_MODE_AUTO, KAD_PROTOCOL_IPFS, NULL, NULL, false},
      {KAD_MODE_AUTO, KAD_PROTOCOL_IPFS, LOOPBACK, NULL, true},
      {KAD_MODE_AUTO, KAD_PROTOCOL_IPFS, "/ip6/::1/tcp/1", NULL, true},
      {KAD_MODE_AUTO, KAD_PROTOCOL_IPFS, PRIVATE, NULL, false},
      {KAD_MODE_AUTO, KAD_PROTOCOL_IPFS, PUBLIC, NULL, false},
      {KAD_MODE_AUTO, KAD_PROTOCOL_IPFS, PRIVATE, PUBLIC, true},
      /* On one's own, the operator means it. */
      {KAD_MODE_AUTO, OWN_PROTOCOL, NULL, NULL, false},
      {KAD_MODE_AUTO, OWN_PROTOCOL, PRIVATE, NULL, true},
      /* Fixed is fixed. */
      {KAD_MODE_CLIENT, OWN_PROTOCOL, LOOPBACK, PUBLIC, false},
      {KAD_MODE_SERVER, KAD_PROTOCOL_IPFS, NULL, NULL, true},
  };
  (void)state;
  for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
    const mode_case *c = &cases[i];
    world w;
    open_world(&w);
    w.config.mode = c->mode;
    w.config.protocol = kad__bytes_of(c->protocol);
    if (c->listen != NULL) {
      listen_on(&w, c->listen);
    }
    if (c->announce != NULL) {
      announce(&w, c->announce);
    }
    start(&w);
    run(&w);
    if (is_server(&w) != c->server) {
      fail_msg("case %zu", i);
    }
    size_t told = index_of(&w, KAD_EVENT_MODE);
    assert_int_equal(told != SIZE_MAX, c->server);
    assert_true(told == SIZE_MAX || w.last[told].server);
    close_world(&w);
  }
}

static void test_two_listeners(void **state) {
  (void)state;
  world w;
  open_world(&w);
  listen_on(&w, LOOPBACK);
  listen_on(&w, PRIVATE);
  start(&w);
  run(&w);
  assert_false(is_server(&w)); /* one of them is not loopback */
  close_world(&w);
}

/* ---- addresses ----------------------------------------------------------- */

static void test_addresses(void **state) {
  (void)state;
  world w;
  open_world(&w);
  listen_on(&w, "/ip4/127.0.0.1/tcp/0");
  announce(&w, PUBLIC);
  w.listening = "/ip4/127.0.0.1/tcp/5001";
  start(&w);
  run(&w);
  char expected[2][KAD_MULTIADDR_TEXT_MAX];
  char id[KAD_PEER_ID_TEXT_MAX];
  assert_ok(kad_peer_id_format(id, sizeof(id), kad__node_id(w.node)));
  snprintf(expected[0], sizeof(expected[0]), "%s/p2p/%s", PUBLIC, id);
  snprintf(expected[1], sizeof(expected[1]), "%s/p2p/%s", w.listening, id);
  kad_bytes list = kad__node_addresses(w.node);
  kad_bytes one;
  for (int i = 0; i < 2; i++) {
    char text[KAD_MULTIADDR_TEXT_MAX];
    assert_true(kad_addresses_next(&list, &one));
    assert_ok(kad_multiaddr_format(text, sizeof(text), one));
    assert_string_equal(text, expected[i]);
  }
  assert_false(kad_addresses_next(&list, &one));
  close_world(&w);
}

/* ---- records ------------------------------------------------------------- */

static int put_error(world *w, const char *key) {
  kad_request put = KAD_REQUEST_INIT(KAD_PUT);
  kad_request_id id = 0;
  put.key = kad__bytes_of(key);
  put.value = kad__bytes_of("any value");
  int error = kad__node_start(w->node, &id, &put, w->now);
  assert_true(error == 0 || id == 0);
  return error;
}

/* What a network takes; a refused record costs nobody a round trip. */
static void test_validators(void **state) {
  static const struct {
    const char *protocol;
    const char *name_space;
    const char *key;
    int error;
  } cases[] = {
      {KAD_PROTOCOL_IPFS, NULL, "/other/x", KAD_E_RECORD_REJECTED},
      {KAD_PROTOCOL_IPFS, NULL, "no slash", KAD_E_RECORD_REJECTED},
      {KAD_PROTOCOL_IPFS, NULL, "/pk/not an id", KAD_E_RECORD},
      {KAD_PROTOCOL_IPFS, NULL, "/ipns/not an id", KAD_E_RECORD},
      {KAD_PROTOCOL_IPFS, "other", "/other/x", 0},
      {KAD_PROTOCOL_IPFS, "other", "/pk/not an id", KAD_E_RECORD},
      {OWN_PROTOCOL, NULL, "no slash", 0},
      {OWN_PROTOCOL, NULL, "/pk/not an id", 0},
      {OWN_PROTOCOL, "other", "/other/x", 0},
      {OWN_PROTOCOL, "other", "/another/x", KAD_E_RECORD_REJECTED},
  };
  (void)state;
  for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
    world w;
    open_world(&w);
    kad_bytes name_space;
    w.config.protocol = kad__bytes_of(cases[i].protocol);
    if (cases[i].name_space != NULL) {
      name_space = kad__bytes_of(cases[i].name_space);
      w.config.namespaces = &name_space;
      w.config.namespace_count = 1;
    }
    /* A contact, so that what is accepted waits. */
    bootstrap_with(&w, LOOPBACK);
    start(&w);
    int error = put_error(&w, cases[i].key);
    if (error != cases[i].error) {
      fail_msg("case %zu: %s", i, kad_error_name(error));
    }
    close_world(&w);
  }
}

/* Who connects and says nothing, or one byte now and then, is gone when the
 * time for the whole upgrade is up. */
static void test_half_open(void **state) {
  (void)state;
  world w;
  open_world(&w);
  listen_on(&w, LOOPBACK);
  start(&w);
  run(&w);
  kad__swarm *swarm = kad__node_swarm(w.node);
  kad_bytes remote = test_hex("047f00000106ea60");
  kad__id ids[2];
  size_t held = w.memory.live_bytes;
  for (int i = 0; i < 2; i++) {
    assert_ok(
        kad__swarm_accepted(swarm, &ids[i], w.listener, remote, remote, w.now));
  }
  run(&w);
  static const char header[] = "\x13/multistream/1.0.0\n";
  for (int second = 1; second < 15; second++) {
    w.now += KAD_SECOND;
    uint8_t byte = (uint8_t)header[second - 1];
    kad__swarm_input(swarm, ids[1], &byte, 1, w.now);
    run(&w);
    assert_int_equal(w.closes, 0);
  }
  kad_time deadline = kad__node_deadline(w.node);
  assert_true(deadline <= 16 * KAD_SECOND);
  w.now = 16 * KAD_SECOND;
  run(&w);
  /* What the node had to say has 5 s to leave; nobody pulls it here. */
  w.now = 21 * KAD_SECOND;
  run(&w);
  assert_int_equal(w.closes, 2);
  assert_true(w.memory.live_bytes <= held + 4096);
  close_world(&w);
}

static void test_bad_config(void **state) {
  (void)state;
  static const char *const protocols[] = {"", "/", "kad", "kad/1.0.0"};
  for (size_t i = 0; i < sizeof(protocols) / sizeof(protocols[0]); i++) {
    world w;
    open_world(&w);
    w.config.protocol = kad__bytes_of(protocols[i]);
    assert_error(KAD_E_INVALID_ARGUMENT,
                 kad__node_new(&w.node, &w.config, w.now, 0));
    assert_null(w.node);
    close_world(&w);
  }
  world w;
  open_world(&w);
  listen_on(&w, "/ip4/127.0.0.1/udp/1/quic-v1");
  assert_error(KAD_E_UNSUPPORTED, kad__node_new(&w.node, &w.config, w.now, 0));
  close_world(&w);
}

/* Every allocation of a node's making fails once. */
static void test_making_without_memory(void **state) {
  (void)state;
  size_t fail_at = 0;
  int error;
  do {
    world w;
    open_world(&w);
    kad_bytes name_space = kad__bytes_of("other");
    w.config.namespaces = &name_space;
    w.config.namespace_count = 1;
    listen_on(&w, LOOPBACK);
    announce(&w, PUBLIC);
    bootstrap_with(&w, LOOPBACK);
    w.memory.fail_at = ++fail_at;
    error = kad__node_new(&w.node, &w.config, w.now, 0);
    bool failed = w.memory.calls >= fail_at;
    if (error == 0) {
      run(&w);
      assert_true(is_server(&w) || failed);
      kad__node_free(w.node);
    } else {
      assert_int_equal(error, KAD_E_NO_MEMORY);
    }
    assert_int_equal(w.memory.live, 0);
    kad_key_pair_free(w.pair);
    if (!failed) {
      break;
    }
  } while (fail_at < 5000);
  assert_int_equal(error, 0);
  assert_in_range(fail_at, 20, 4999);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_listening_then_ready),
      cmocka_unit_test(test_listening_comes_first),
      cmocka_unit_test(test_ready_without_listening),
      cmocka_unit_test(test_mode),
      cmocka_unit_test(test_two_listeners),
      cmocka_unit_test(test_addresses),
      cmocka_unit_test(test_validators),
      cmocka_unit_test(test_half_open),
      cmocka_unit_test(test_bad_config),
      cmocka_unit_test(test_making_without_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
