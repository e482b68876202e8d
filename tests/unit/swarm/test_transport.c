/* Which transport dials and listens, and what the swarm makes of addresses that
 * have no IP. The test plays the world and its transports:
 *
 *   1 "unix"   takes /unix/.., both ways
 *   2 "proxy"  dials /ip4/10.9.x.x/tcp/.., /dns4/hidden.example/.. and /onion3
 *   3 "ws"     takes /ip4|ip6/../tcp/../ws, both ways */
#include "mesh.h"

static mesh world;

static kad__swarm *own(void) {
  return world.nodes[0].swarm;
}

static bool proxied(kad_bytes rest) {
  kad_multiaddr_part part;
  if (kad_multiaddr_next(&rest, &part) != 1) {
    return false;
  }
  switch (part.protocol) {
    case KAD_MULTIADDR_IP4:
      return part.value.data[0] == 10 && part.value.data[1] == 9;
    case KAD_MULTIADDR_DNS4:
      return kad__bytes_equal(part.value, kad__bytes_of("hidden.example"));
    default:
      return part.protocol == KAD_MULTIADDR_ONION3;
  }
}

static uint8_t choose(void *user, kad_bytes address, bool to_dial) {
  kad_multiaddr_part part;
  size_t *asked = user;
  ++*asked;
  assert_int_equal(kad_multiaddr_check(address), 0);
  assert_false(kad_multiaddr_find(address, KAD_MULTIADDR_P2P, &part, NULL) &&
               part.value.data + part.value.len == address.data + address.len);
  if (address.data[0] == 0x90) {
    return 1;
  }
  if (to_dial && proxied(address)) {
    return 2;
  }
  bool ip = address.data[0] == KAD_MULTIADDR_IP4 ||
            address.data[0] == KAD_MULTIADDR_IP6;
  bool ws = kad_multiaddr_find(address, KAD_MULTIADDR_WS, &part, NULL);
  return ip && ws ? 3 : 0;
}

static const char *name(void *user, uint8_t number) {
  static const char *const names[] = {"unix", "proxy", "ws"};
  (void)user;
  assert_in_range(number, 1, 3);
  return names[number - 1];
}

static size_t asked;

static void add_transports(kad__swarm_config *config, int node) {
  (void)node;
  config->transports.choose = choose;
  config->transports.name = name;
  config->transports.user = &asked;
  config->max_inbound_per_address = 1;
  config->max_pending_inbound = 5;
}

static int setup(void **state) {
  (void)state;
  mesh_init(&world, 2, add_transports);
  return 0;
}

static int teardown(void **state) {
  (void)state;
  mesh_fini(&world);
  return 0;
}

/* ---- the choice ---------------------------------------------------------- */

#define PEER "/p2p/12D3KooWLU2znyJMtDiHArqAGbZn8CgUGp92kxDBtefftEEaHSZS"
#define ONION "/onion3/vww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd"

static void is(const char *address, const char *found, const char *expected) {
  if (found == NULL || expected == NULL ? found != expected
                                        : strcmp(found, expected) != 0) {
    fail_msg("%s: %s", address, found == NULL ? "none" : found);
  }
}

static void test_choice(void **state) {
  (void)state;
  static const struct {
    const char *address;
    const char *dials;
    const char *listens;
  } cases[] = {
      {"/ip4/1.2.3.4/tcp/1", "tcp", "tcp"},
      {"/ip6/::1/tcp/1", "tcp", "tcp"},
      {"/ip6zone/lo/ip6/fe80::1/tcp/1", "tcp", "tcp"},
      {"/ip4/1.2.3.4/tcp/1" PEER, "tcp", "tcp"},
      {"/ip4/10.9.0.1/tcp/1", "proxy", "tcp"}, /* TCP is taken over */
      {"/ip4/10.9.0.1/tcp/1" PEER, "proxy", "tcp"},
      {"/unix/run/a", "unix", "unix"},
      {"/unix/run/a" PEER, "unix", "unix"},
      {"/ip4/1.2.3.4/tcp/443/ws", "ws", "ws"},
      {ONION ":80", "proxy", NULL},
      {"/ip4/1.2.3.4/udp/1", NULL, NULL},
      {"/ip4/1.2.3.4/udp/1/quic-v1", NULL, NULL},
      {"/ip4/1.2.3.4", NULL, NULL},
      {"/memory/1", NULL, NULL},
      {PEER, NULL, NULL},
      {"/ip4/1.2.3.4/tcp/1" PEER "/p2p-circuit", NULL, NULL},
      {"/dns4/a.example/tcp/1", "tcp", NULL},
      {"/dns/a.example/tcp/1" PEER, "tcp", NULL},
      {"/dns6/a.example/tcp/443/ws", "ws", NULL},
      {"/dns4/hidden.example/tcp/443/ws", "proxy", NULL},
      {"/dns4/hidden.example/udp/1", "proxy", NULL},
      {"/dns4/a.example/udp/1/quic-v1", NULL, NULL},
      {"/dnsaddr/a.example", NULL, NULL},
  };
  for (size_t i = 0; i < KAD__COUNT(cases); i++) {
    const char *text = cases[i].address;
    kad_bytes address = mesh_address(text);
    is(text, kad__swarm_transport_for(own(), address, true), cases[i].dials);
    is(text, kad__swarm_transport_for(own(), address, false), cases[i].listens);
  }
  assert_null(kad__swarm_transport_for(own(), kad__bytes(NULL, 0), true));
  assert_null(kad__swarm_transport_for(own(), test_hex("047f"), true));
}

/* ---- dialling ------------------------------------------------------------ */

static kad__world_action next_action(kad__world_action_type type) {
  kad__world_action action;
  assert_true(kad__swarm_poll_action(own(), &action));
  assert_int_equal(action.type, type);
  return action;
}

static void no_action(void) {
  kad__world_action action;
  assert_false(kad__swarm_poll_action(own(), &action));
}

static void dials(const char *address, uint8_t transport) {
  kad__world_action action = next_action(KAD__WORLD_DIAL);
  assert_bytes_equal(action.address, mesh_address(address));
  assert_int_equal(action.transport, transport);
}

static kad_bytes list_of(const char *const *texts, size_t count) {
  static uint8_t list[2048];
  size_t len = 0;
  for (size_t i = 0; i < count; i++) {
    assert_true(kad__addresses_append(list, sizeof(list), &len,
                                      mesh_address(texts[i])));
  }
  return kad__bytes(list, len);
}

/* Without an IP at once and first, for all the names; the rest by its rank. */
static void test_order(void **state) {
  (void)state;
  static const char *const texts[] = {
      "/ip4/1.2.3.4/tcp/2", "/ip4/1.2.3.4/tcp/1/ws",
      "/unix/run/b",        "/ip4/1.2.3.4/udp/1/quic",
      "/memory/1",          "/unix/run/a",
      "/ip4/10.9.0.1/tcp/1"};
  mesh_run(&world);
  assert_int_equal(
      kad__swarm_dial(own(), mesh_peer(&world, 1),
                      list_of(texts, KAD__COUNT(texts)), world.now),
      0);
  dials("/unix/run/b", 1);
  dials("/unix/run/a", 1);
  dials("/ip4/1.2.3.4/tcp/1/ws", 3);
  dials("/ip4/10.9.0.1/tcp/1", 2);
  no_action();
  world.now += 250 * KAD_MILLISECOND;
  kad__swarm_tick(own(), world.now);
  dials("/ip4/1.2.3.4/tcp/2", 0);
  no_action();
}

/* The full time: what lies between is the transport's affair. */
static void test_time_out(void **state) {
  (void)state;
  mesh_run(&world);
  assert_int_equal(kad__swarm_dial(own(), mesh_peer(&world, 1),
                                   mesh_list("/unix/run/a"), world.now),
                   0);
  kad__world_action action = next_action(KAD__WORLD_DIAL);
  kad__id id = action.id;
  world.now += 15 * KAD_SECOND - 1;
  kad__swarm_tick(own(), world.now);
  no_action();
  kad__swarm_tick(own(), world.now + 1);
  action = next_action(KAD__WORLD_CLOSE);
  assert_true(action.id == id);
  assert_int_equal(action.transport, 1);
}

/* Refused addresses are listed and rest, as those of TCP do. */
static void test_failure(void **state) {
  (void)state;
  mesh_run(&world);
  kad_bytes list = mesh_list("/unix/run/a");
  const kad_peer_id *peer = mesh_peer(&world, 1);
  assert_int_equal(kad__swarm_dial(own(), peer, list, world.now), 0);
  kad__id id = next_action(KAD__WORLD_DIAL).id;
  kad__swarm_dial_failed(own(), id, KAD_E_REFUSED, world.now);
  kad__swarm_event event;
  assert_true(kad__swarm_poll_event(own(), &event));
  assert_int_equal(event.type, KAD__SWARM_DIAL_FAILED);
  assert_error(KAD_E_REFUSED, event.error);
  size_t cursor = 0;
  kad_bytes address;
  int error = 0;
  assert_true(kad__dial_failure_next(event.failed, &cursor, &address, &error));
  assert_bytes_equal(address, mesh_address("/unix/run/a"));
  assert_error(KAD_E_REFUSED, error);
  assert_error(KAD_E_BACKOFF, kad__swarm_dial(own(), peer, list, world.now));
  assert_error(KAD_E_NO_ADDRESS,
               kad__swarm_dial(own(), peer, mesh_list("/memory/1"), world.now));
  /* Nor where no IP could be dialled, whoever claims it. */
  assert_error(KAD_E_NO_ADDRESS,
               kad__swarm_dial(own(), peer, mesh_list("/ip4/0.0.0.0/tcp/1/ws"),
                               world.now));
}

/* By address, /p2p and all. */
static void test_explicit(void **state) {
  (void)state;
  mesh_run(&world);
  kad__id dial = 0;
  assert_ok(kad__swarm_dial_address(
      own(), &dial, mesh_address("/unix/run/a" PEER), world.now));
  dials("/unix/run/a", 1);
  assert_ok(kad__swarm_dial_address(own(), &dial, mesh_address("/unix/run/b"),
                                    world.now));
  dials("/unix/run/b", 1);
  assert_error(KAD_E_NO_ADDRESS,
               kad__swarm_dial_address(own(), &dial, mesh_address("/memory/1"),
                                       world.now));
  no_action();
}

/* A connection says whose it is, its address is known from then on, and our
 * own listener's is not dialled. */
static void test_connected(void **state) {
  (void)state;
  strcpy(world.nodes[1].listen, "/unix/run/a");
  strcpy(world.nodes[0].listen, "/unix/run/own");
  assert_ok(kad__swarm_listen(own(), mesh_address("/unix/run/own")));
  mesh_run(&world);
  mesh_expect(&world, 0, KAD__SWARM_LISTENING);
  mesh_connect(&world, 0, 1);
  kad__connection_info info;
  assert_true(kad__swarm_connection(own(), mesh_connection(&world, 0), &info));
  assert_string_equal(info.transport, "unix");
  assert_bytes_equal(info.remote_address, mesh_address("/unix/run/a"));
  size_t at = 0;
  kad_bytes known;
  assert_true(kad__peerstore_next(kad__swarm_peerstore(own()),
                                  mesh_peer(&world, 1), &at, &known,
                                  world.now));
  assert_bytes_equal(known, mesh_address("/unix/run/a"));
  kad__swarm_disconnect_peer(own(), mesh_peer(&world, 1), world.now);
  mesh_run(&world);
  size_t count = world.nodes[0].dials;
  assert_int_equal(kad__swarm_dial(own(), mesh_peer(&world, 1),
                                   mesh_list("/unix/run/own"), world.now),
                   0);
  mesh_run(&world);
  assert_int_equal(world.nodes[0].dials, count + 1);
}

/* ---- names --------------------------------------------------------------- */

static void test_names(void **state) {
  (void)state;
  static const char *const texts[] = {"/dns4/hidden.example/tcp/4001",
                                      "/dns4/a.example/tcp/443/ws",
                                      "/dns4/a.example/udp/443/quic-v1"};
  const uint8_t ip[4] = {10, 0, 0, 7};
  mesh_run(&world);
  assert_int_equal(
      kad__swarm_dial(own(), mesh_peer(&world, 1),
                      list_of(texts, KAD__COUNT(texts)), world.now),
      0);
  kad__world_action action = next_action(KAD__WORLD_RESOLVE);
  assert_bytes_equal(action.name, kad__bytes_of("a.example"));
  kad__id resolution = action.id;
  dials("/dns4/hidden.example/tcp/4001", 2); /* as it is */
  no_action();
  kad__swarm_resolved(own(), resolution, kad__bytes(ip, 4), world.now);
  kad__swarm_resolve_end(own(), resolution, 0, world.now);
  world.now += 250 * KAD_MILLISECOND;
  kad__swarm_tick(own(), world.now);
  dials("/ip4/10.0.0.7/tcp/443/ws", 3);
  no_action();
}

/* What a dnsaddr says is asked about, entry by entry. */
static void test_dnsaddr(void **state) {
  (void)state;
  mesh_run(&world);
  assert_int_equal(kad__swarm_dial(own(), mesh_peer(&world, 1),
                                   mesh_list("/dnsaddr/a.example"), world.now),
                   0);
  kad__id id = next_action(KAD__WORLD_RESOLVE).id;
  kad__swarm_resolved(own(), id, kad__bytes_of("dnsaddr=/unix/run/a"),
                      world.now);
  kad__swarm_resolved(own(), id, kad__bytes_of("dnsaddr=/memory/4"), world.now);
  kad__swarm_resolve_end(own(), id, 0, world.now);
  dials("/unix/run/a", 1);
  no_action();
}

/* ---- listening ----------------------------------------------------------- */

static void test_listen(void **state) {
  (void)state;
  mesh_run(&world);
  assert_error(KAD_E_UNSUPPORTED,
               kad__swarm_listen(own(), mesh_address("/memory/1")));
  assert_error(KAD_E_UNSUPPORTED,
               kad__swarm_listen(own(), mesh_address("/unix/run/a" PEER)));
  assert_error(KAD_E_UNSUPPORTED,
               kad__swarm_listen(own(), mesh_address(ONION ":80")));
  kad_bytes at = mesh_address("/unix/run/a");
  assert_ok(kad__swarm_listen(own(), at));
  kad__world_action action = next_action(KAD__WORLD_LISTEN);
  assert_bytes_equal(action.address, at);
  assert_int_equal(action.transport, 1);
  kad__swarm_listening(own(), action.id, mesh_list("/unix/run/a"), world.now);
  kad__swarm_event event;
  assert_true(kad__swarm_poll_event(own(), &event));
  assert_int_equal(event.type, KAD__SWARM_LISTENING);
  assert_true(kad__swarm_unlisten(own(), at));
  kad__id id = action.id;
  action = next_action(KAD__WORLD_UNLISTEN);
  assert_true(action.id == id);
  assert_int_equal(action.transport, 1);
  assert_true(kad__swarm_poll_event(own(), &event));
  assert_int_equal(event.type, KAD__SWARM_LISTEN_CLOSED);
  assert_error(0, event.error);
}

/* At first, and later: then its addresses are ours no longer. */
static void test_listener_lost(void **state) {
  (void)state;
  mesh_run(&world);
  kad__swarm_event event;
  kad_bytes found[8];
  size_t before = kad__swarm_listen_addresses(own(), found, 8);
  for (int later = 0; later < 2; later++) {
    assert_ok(kad__swarm_listen(own(), mesh_address("/unix/run/a")));
    kad__id id = next_action(KAD__WORLD_LISTEN).id;
    if (later == 1) {
      kad__swarm_listening(own(), id, mesh_list("/unix/run/a"), world.now);
      assert_true(kad__swarm_poll_event(own(), &event));
      assert_int_equal(kad__swarm_listen_addresses(own(), found, 8),
                       before + 1);
    }
    kad__swarm_listen_failed(own(), id, KAD_E_IO);
    assert_true(kad__swarm_poll_event(own(), &event));
    assert_int_equal(event.type, later == 1 ? KAD__SWARM_LISTEN_CLOSED
                                            : KAD__SWARM_LISTEN_FAILED);
    assert_bytes_equal(event.address, mesh_address("/unix/run/a"));
    assert_error(KAD_E_IO, event.error);
    assert_false(kad__swarm_poll_event(own(), &event));
    assert_int_equal(kad__swarm_listen_addresses(own(), found, 8), before);
    no_action();
  }
}

/* No place to count them by; they count in all, and TCP's do beside them. */
static void test_limits(void **state) {
  (void)state;
  mesh_run(&world);
  assert_ok(kad__swarm_listen(own(), mesh_address("/unix/run/a")));
  kad__id listener = next_action(KAD__WORLD_LISTEN).id;
  kad__id id = 0;
  kad_bytes local = mesh_address("/unix/run/a");
  for (int i = 0; i < 4; i++) {
    assert_ok(
        kad__swarm_accepted(own(), &id, listener, local, local, world.now));
  }
  for (int i = 0; i < 2; i++) {
    assert_error(i == 0 ? 0 : KAD_E_LIMIT,
                 kad__swarm_accepted(own(), &id, listener,
                                     mesh_address("/ip4/1.2.3.4/tcp/1/ws"),
                                     local, world.now));
  }
  assert_error(KAD_E_LIMIT, kad__swarm_accepted(own(), &id, listener, local,
                                                local, world.now));
  const kad_swarm_counters *counters = kad__swarm_counters_get(own());
  assert_int_equal(counters->refused_pending, 2);
}

/* A place of their own where they do have an IP. */
static void test_limits_of_places(void **state) {
  (void)state;
  mesh_run(&world);
  kad__id id = 0;
  kad_bytes remote = mesh_address("/ip4/1.2.3.4/tcp/1/ws");
  assert_ok(kad__swarm_accepted(own(), &id, 0, remote, remote, world.now));
  assert_error(KAD_E_LIMIT,
               kad__swarm_accepted(own(), &id, 0, remote, remote, world.now));
  assert_int_equal(kad__swarm_counters_get(own())->refused_address, 1);
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
  const struct CMUnitTest tests[] = {
      TEST(test_choice),   TEST(test_order),
      TEST(test_time_out), TEST(test_failure),
      TEST(test_explicit), TEST(test_connected),
      TEST(test_names),    TEST(test_dnsaddr),
      TEST(test_listen),   TEST(test_listener_lost),
      TEST(test_limits),   TEST(test_limits_of_places),
  };
#undef TEST
  return cmocka_run_group_tests(tests, NULL, NULL);
}
