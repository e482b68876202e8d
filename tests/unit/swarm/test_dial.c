/* Dialling: which addresses are tried, in which order, and what is said when
 * none works. */
#include "mesh.h"
#include "swarm/swarm_internal.h"

static mesh world;

static int setup(void **state) {
  (void)state;
  mesh_init(&world, 3, NULL);
  return 0;
}

static int teardown(void **state) {
  (void)state;
  mesh_fini(&world);
  return 0;
}

#define DEAD "/ip4/10.0.9.1/tcp/1"

static void know(int node, int peer, const char *address) {
  assert_ok(kad__peerstore_add(kad__swarm_peerstore(world.nodes[node].swarm),
                               mesh_peer(&world, peer), mesh_address(address),
                               KAD_HOUR, world.now));
}

static int dial(int from, int to, kad_bytes addresses) {
  return kad__swarm_dial(world.nodes[from].swarm, mesh_peer(&world, to),
                         addresses, world.now);
}

static void test_connects_both_sides(void **state) {
  (void)state;
  assert_int_equal(mesh_dial(&world, 0, 1), 0);
  mesh_run(&world);
  kad__swarm_event *event = mesh_expect(&world, 0, KAD__SWARM_CONNECTED);
  assert_true(event->first);
  assert_false(event->inbound);
  assert_true(event->dial != 0);
  event = mesh_expect(&world, 1, KAD__SWARM_CONNECTED);
  assert_true(event->inbound);
  assert_true(event->dial == 0);
  assert_int_equal(mesh_dial(&world, 0, 1), 1);
  mesh_expect_none(&world, 0);
  /* The address that led there is known from now on. */
  uint8_t list[256];
  size_t len = kad__peerstore_addresses(
      kad__swarm_peerstore(world.nodes[0].swarm), mesh_peer(&world, 1), list,
      sizeof(list), world.now);
  assert_true(kad__addresses_have(kad__bytes(list, len),
                                  mesh_address(world.nodes[1].listen)));
}

static void test_one_dial_per_peer(void **state) {
  (void)state;
  assert_int_equal(mesh_dial(&world, 0, 1), 0);
  assert_int_equal(mesh_dial(&world, 0, 1), 0);
  assert_int_equal(mesh_dial(&world, 0, 1), 0);
  mesh_run(&world);
  assert_int_equal(world.nodes[0].dials, 1);
  mesh_expect(&world, 0, KAD__SWARM_CONNECTED);
  mesh_expect_none(&world, 0);
}

static void test_self(void **state) {
  (void)state;
  assert_error(KAD_E_SELF, dial(0, 0, mesh_list("/ip4/10.0.0.1/tcp/4001")));
  /* Another's name at our own address is not worth a dial. */
  assert_error(KAD_E_SELF, dial(0, 1, mesh_list("/ip4/10.0.0.1/tcp/4001")));
  kad__id id = 0;
  assert_ok(kad__swarm_dial_address(world.nodes[0].swarm, &id,
                                    mesh_address("/ip4/10.0.0.1/tcp/4001"),
                                    world.now));
  mesh_run(&world);
  kad__swarm_event *event = mesh_find(&world, 0, KAD__SWARM_DIAL_FAILED);
  assert_non_null(event);
  assert_true(event->dial == id);
  assert_int_equal(event->peer.len, 0);
  assert_error(KAD_E_SELF, event->error);
}

static void test_no_address(void **state) {
  (void)state;
  assert_error(KAD_E_NO_ADDRESS, dial(0, 1, (kad_bytes){0}));
  know(0, 1, "/ip4/10.0.0.2/udp/4001/quic-v1");
  know(0, 1, "/ip4/10.0.0.2/tcp/4001/ws");
  know(0, 1, "/ip4/0.0.0.0/tcp/4001");
  know(0, 1, "/ip4/10.0.0.2/tcp/0");
  know(0, 1, "/dns4/example.com/udp/1/quic-v1");
  assert_error(KAD_E_NO_ADDRESS, dial(0, 1, (kad_bytes){0}));
  const uint8_t rubbish[] = {0x12, 3, 1, 2, 3, 0xff};
  assert_error(KAD_E_NO_ADDRESS,
               dial(0, 1, kad__bytes(rubbish, sizeof(rubbish))));
  mesh_expect_none(&world, 0);
}

static void test_falls_back_to_second_address(void **state) {
  (void)state;
  know(0, 1, DEAD);
  know(0, 1, "/ip4/10.0.9.2/tcp/1");
  assert_int_equal(mesh_dial(&world, 0, 1), 0);
  mesh_run(&world);
  mesh_expect(&world, 0, KAD__SWARM_CONNECTED);
  assert_int_equal(world.nodes[0].dials, 3);
  mesh_expect_none(&world, 0);
}

static void test_errors(void **state) {
  (void)state;
  /* All refused. */
  know(0, 1, DEAD);
  know(0, 1, "/ip4/10.0.9.2/tcp/1");
  assert_int_equal(dial(0, 1, (kad_bytes){0}), 0);
  mesh_run(&world);
  kad__swarm_event *event = mesh_expect(&world, 0, KAD__SWARM_DIAL_FAILED);
  assert_error(KAD_E_REFUSED, event->error);
  assert_true(kad_peer_id_equal(&event->peer, mesh_peer(&world, 1)));
  /* Somebody else lives there. */
  assert_int_equal(dial(0, 1, mesh_list(world.nodes[2].listen)), 0);
  mesh_run(&world);
  assert_error(KAD_E_PEER_MISMATCH,
               mesh_expect(&world, 0, KAD__SWARM_DIAL_FAILED)->error);
  /* Both, once the back-off is over. */
  mesh_sleep(&world, 20 * KAD_SECOND);
  assert_int_equal(dial(0, 1, mesh_list(world.nodes[2].listen)), 0);
  mesh_run(&world);
  assert_error(KAD_E_DIAL,
               mesh_expect(&world, 0, KAD__SWARM_DIAL_FAILED)->error);
  mesh_expect_none(&world, 0);
}

static void test_timeouts(void **state) {
  (void)state;
  world.blackhole = true;
  assert_int_equal(dial(0, 1, mesh_list(DEAD)), 0);
  assert_int_equal(dial(0, 2, mesh_list("/ip4/8.8.8.8/tcp/1")), 0);
  mesh_sleep(&world, 5 * KAD_SECOND - 1);
  mesh_expect_none(&world, 0);
  mesh_sleep(&world, 1);
  kad__swarm_event *event = mesh_expect(&world, 0, KAD__SWARM_DIAL_FAILED);
  assert_error(KAD_E_TIMEOUT, event->error);
  assert_true(kad_peer_id_equal(&event->peer, mesh_peer(&world, 1)));
  assert_int_equal(world.nodes[0].closes, 1);
  mesh_sleep(&world, 10 * KAD_SECOND - 1);
  mesh_expect_none(&world, 0);
  mesh_sleep(&world, 1);
  assert_error(KAD_E_TIMEOUT,
               mesh_expect(&world, 0, KAD__SWARM_DIAL_FAILED)->error);
}

static void test_upgrade_times_out(void **state) {
  (void)state;
  world.held = true;
  assert_int_equal(mesh_dial(&world, 0, 1), 0);
  mesh_sleep(&world, 15 * KAD_SECOND - 1);
  mesh_expect_none(&world, 0);
  mesh_sleep(&world, 1);
  assert_error(KAD_E_TIMEOUT,
               mesh_expect(&world, 0, KAD__SWARM_DIAL_FAILED)->error);
  assert_error(KAD_E_TIMEOUT,
               mesh_expect(&world, 1, KAD__SWARM_INBOUND_FAILED)->error);
}

static void test_backoff(void **state) {
  (void)state;
  assert_int_equal(dial(0, 1, mesh_list(DEAD)), 0);
  mesh_run(&world);
  mesh_expect(&world, 0, KAD__SWARM_DIAL_FAILED);
  assert_error(KAD_E_BACKOFF, dial(0, 1, mesh_list(DEAD)));
  /* Another peer, or another address, is not concerned. */
  assert_int_equal(dial(0, 2, mesh_list(DEAD)), 0);
  mesh_run(&world);
  mesh_expect(&world, 0, KAD__SWARM_DIAL_FAILED);
  mesh_sleep(&world, 5 * KAD_SECOND);
  assert_int_equal(dial(0, 1, mesh_list(DEAD)), 0);
  mesh_run(&world);
  mesh_expect(&world, 0, KAD__SWARM_DIAL_FAILED);
  assert_error(KAD_E_BACKOFF, dial(0, 1, mesh_list(DEAD)));
  mesh_connect(&world, 1, 0);
  kad__swarm_event *event;
  while ((event = mesh_find(&world, 0, KAD__SWARM_CONNECTED)) != NULL) {
  }
  kad__swarm_disconnect_peer(world.nodes[0].swarm, mesh_peer(&world, 1),
                             world.now);
  mesh_run(&world);
  /* It has connected: everything is tried again. */
  assert_int_equal(dial(0, 1, mesh_list(DEAD)), 0);
}

static void test_explicit_address_knows_no_backoff(void **state) {
  (void)state;
  kad__id id = 0;
  kad__swarm *swarm = world.nodes[0].swarm;
  for (int i = 0; i < 3; i++) {
    assert_ok(
        kad__swarm_dial_address(swarm, &id, mesh_address(DEAD), world.now));
    mesh_run(&world);
    kad__swarm_event *event = mesh_expect(&world, 0, KAD__SWARM_DIAL_FAILED);
    assert_true(event->dial == id);
    assert_error(KAD_E_REFUSED, event->error);
  }
  assert_error(
      KAD_E_NO_ADDRESS,
      kad__swarm_dial_address(
          swarm, &id, mesh_address("/ip4/1.2.3.4/udp/1/quic-v1"), world.now));
  assert_error(KAD_E_MULTIADDR,
               kad__swarm_dial_address(swarm, &id, (kad_bytes){0}, world.now));
}

static void with_peer(char *out, size_t cap, const char *address, int node) {
  char id[KAD_PEER_ID_TEXT_MAX];
  assert_ok(kad_peer_id_format(id, sizeof(id), mesh_peer(&world, node)));
  snprintf(out, cap, "%s/p2p/%s", address, id);
}

static void test_dial_address(void **state) {
  (void)state;
  kad__id id = 0;
  kad__swarm *swarm = world.nodes[0].swarm;
  char text[256];
  /* Whoever answers. */
  assert_ok(kad__swarm_dial_address(
      swarm, &id, mesh_address(world.nodes[1].listen), world.now));
  mesh_run(&world);
  kad__swarm_event *event = mesh_expect(&world, 0, KAD__SWARM_CONNECTED);
  assert_true(event->dial == id);
  assert_true(kad_peer_id_equal(&event->peer, mesh_peer(&world, 1)));
  /* The right one, the wrong one, ourselves. */
  with_peer(text, sizeof(text), world.nodes[2].listen, 2);
  assert_ok(kad__swarm_dial_address(swarm, &id, mesh_address(text), world.now));
  mesh_run(&world);
  assert_true(mesh_expect(&world, 0, KAD__SWARM_CONNECTED)->dial == id);
  with_peer(text, sizeof(text), world.nodes[2].listen, 1);
  assert_ok(kad__swarm_dial_address(swarm, &id, mesh_address(text), world.now));
  mesh_run(&world);
  event = mesh_expect(&world, 0, KAD__SWARM_DIAL_FAILED);
  assert_true(event->dial == id);
  assert_error(KAD_E_PEER_MISMATCH, event->error);
  with_peer(text, sizeof(text), world.nodes[2].listen, 0);
  assert_error(KAD_E_SELF, kad__swarm_dial_address(
                               swarm, &id, mesh_address(text), world.now));
}

static void test_named_dials_join(void **state) {
  (void)state;
  kad__id one = 0;
  kad__id two = 0;
  char text[256];
  with_peer(text, sizeof(text), world.nodes[1].listen, 1);
  kad__swarm *swarm = world.nodes[0].swarm;
  assert_ok(
      kad__swarm_dial_address(swarm, &one, mesh_address(text), world.now));
  assert_ok(
      kad__swarm_dial_address(swarm, &two, mesh_address(text), world.now));
  assert_int_equal(mesh_dial(&world, 0, 1), 0);
  assert_true(one == two && one != 0);
  mesh_run(&world);
  assert_true(mesh_expect(&world, 0, KAD__SWARM_CONNECTED)->dial == one);
  mesh_expect_none(&world, 0);
  assert_int_equal(world.nodes[0].dials, 1);
}

/* Both dial at once: both get a connection, nobody loses both. */
static void test_simultaneous_dials(void **state) {
  (void)state;
  assert_int_equal(mesh_dial(&world, 0, 1), 0);
  assert_int_equal(mesh_dial(&world, 1, 0), 0);
  mesh_run(&world);
  mesh_sleep(&world, KAD_SECOND);
  for (int i = 0; i < 2; i++) {
    kad__swarm_event *event = mesh_expect(&world, i, KAD__SWARM_CONNECTED);
    assert_true(event->first);
    assert_true(event->dial != 0);
    event = mesh_expect(&world, i, KAD__SWARM_CONNECTED);
    assert_false(event->first);
    assert_true(event->dial == 0);
    mesh_expect_none(&world, i);
    assert_int_equal(kad__swarm_connection_count(world.nodes[i].swarm), 2);
  }
}

/* The peer connects to us while none of its addresses answers. */
static void test_answered_by_inbound(void **state) {
  (void)state;
  world.blackhole = true;
  assert_int_equal(dial(0, 1, mesh_list(DEAD)), 0);
  mesh_run(&world);
  world.blackhole = false;
  mesh_connect(&world, 1, 0);
  assert_int_equal(mesh_dial(&world, 0, 1), 1);
  mesh_sleep(&world, 10 * KAD_SECOND);
  mesh_expect_none(&world, 0); /* no DIAL_FAILED */
}

/* It answers at an address that was dialled without a name. */
static void test_answered_by_nameless_dial(void **state) {
  (void)state;
  kad__id id = 0;
  kad__id awaited = 0;
  char text[256];
  kad__swarm *swarm = world.nodes[0].swarm;
  for (int i = 0; i < 2; i++) {
    world.blackhole = true;
    assert_int_equal(dial(0, 1 + i, mesh_list(DEAD)), 0);
    if (i == 1) {
      with_peer(text, sizeof(text), DEAD, 2);
      assert_ok(kad__swarm_dial_address(swarm, &awaited, mesh_address(text),
                                        world.now));
    }
    mesh_run(&world);
    world.blackhole = false;
    assert_ok(kad__swarm_dial_address(
        swarm, &id, mesh_address(world.nodes[1 + i].listen), world.now));
    mesh_run(&world);
    assert_true(mesh_expect(&world, 0, KAD__SWARM_CONNECTED)->dial == id);
    mesh_sleep(&world, 10 * KAD_SECOND);
    /* Whoever waits for one dial by its id hears of that one. */
    if (i == 1) {
      assert_true(mesh_expect(&world, 0, KAD__SWARM_DIAL_FAILED)->dial ==
                  awaited);
    }
    mesh_expect_none(&world, 0);
  }
}

static void test_ranking(void **state) {
  (void)state;
  /* Public addresses wait for each other, unless nothing is under way. */
  know(0, 1, "/ip4/8.8.8.8/tcp/5000");
  know(0, 1, "/ip6/2001:db8::1/tcp/5000");
  know(0, 1, "/ip6/2001:db8::1/tcp/4000");
  know(0, 1, "/ip4/10.9.9.9/tcp/1");
  world.blackhole = true;
  assert_int_equal(dial(0, 1, (kad_bytes){0}), 0);
  static const char *order[] = {"/ip6/2001:db8::1/tcp/4000",
                                "/ip4/10.9.9.9/tcp/1", "/ip4/8.8.8.8/tcp/5000",
                                "/ip6/2001:db8::1/tcp/5000"};
  static const kad_time when[] = {0, 0, 250, 500};
  kad__world_action action;
  kad__swarm *swarm = world.nodes[0].swarm;
  kad_time start = world.now;
  size_t seen = 0;
  for (kad_time at = 0; at <= 600; at += 10) {
    kad__swarm_tick(swarm, start + at * KAD_MILLISECOND);
    while (kad__swarm_poll_action(swarm, &action)) {
      assert_int_equal(action.type, KAD__WORLD_DIAL);
      assert_true(seen < KAD__COUNT(order));
      assert_bytes_equal(action.address, mesh_address(order[seen]));
      assert_int_equal(at, when[seen]);
      seen++;
    }
  }
  assert_int_equal(seen, KAD__COUNT(order));
}

static void few_dials(kad__swarm_config *config, int node) {
  (void)node;
  config->max_dials = 3;
  config->max_dials_per_peer = 2;
}

static void test_dial_limits(void **state) {
  (void)state;
  mesh_fini(&world);
  mesh_init(&world, 3, few_dials);
  world.blackhole = true;
  for (int i = 1; i <= 4; i++) {
    char text[64];
    snprintf(text, sizeof(text), "/ip4/10.0.9.%d/tcp/1", i);
    know(0, 1, text);
    know(0, 2, text);
  }
  assert_int_equal(dial(0, 1, (kad_bytes){0}), 0);
  assert_int_equal(dial(0, 2, (kad_bytes){0}), 0);
  mesh_sleep(&world, KAD_SECOND);
  assert_int_equal(world.nodes[0].dials, 3);
  mesh_sleep(&world, 30 * KAD_SECOND);
  assert_int_equal(world.nodes[0].dials, 8);
  mesh_expect(&world, 0, KAD__SWARM_DIAL_FAILED);
  mesh_expect(&world, 0, KAD__SWARM_DIAL_FAILED);
  mesh_expect_none(&world, 0);
}

/* ---- names -------------------------------------------------------------- */

static void test_dns(void **state) {
  (void)state;
  static const mesh_name names[] = {
      {"node.example", KAD__RESOLVE_IP4, "/ip4/10.0.9.9"},
      {"node.example", KAD__RESOLVE_IP4, "/ip4/10.0.0.2"},
      {"node.example", KAD__RESOLVE_IP6, "/ip6/fd00::2"},
  };
  world.names = names;
  world.name_count = KAD__COUNT(names);
  assert_int_equal(dial(0, 1, mesh_list("/dns4/node.example/tcp/4001")), 0);
  mesh_run(&world);
  mesh_expect(&world, 0, KAD__SWARM_CONNECTED);
  assert_int_equal(world.nodes[0].resolves, 1);
  assert_int_equal(world.nodes[0].dials, 2);
  assert_int_equal(dial(0, 2, mesh_list("/dns/node.example/tcp/1")), 0);
  mesh_run(&world);
  assert_int_equal(world.nodes[0].dials, 5); /* three addresses, all refused */
  assert_error(KAD_E_REFUSED,
               mesh_expect(&world, 0, KAD__SWARM_DIAL_FAILED)->error);
}

static void test_dns_fails(void **state) {
  (void)state;
  assert_int_equal(dial(0, 1, mesh_list("/dns6/nobody.example/tcp/1")), 0);
  mesh_run(&world);
  assert_error(KAD_E_RESOLVE,
               mesh_expect(&world, 0, KAD__SWARM_DIAL_FAILED)->error);
  world.names_silent = true;
  assert_int_equal(dial(0, 1, mesh_list("/dns/silent.example/tcp/1")), 0);
  mesh_sleep(&world, 15 * KAD_SECOND);
  assert_error(KAD_E_RESOLVE,
               mesh_expect(&world, 0, KAD__SWARM_DIAL_FAILED)->error);
  mesh_expect_none(&world, 0);
}

/* A name that joins a dial late has the same time as any other. */
static void test_dns_joins_late(void **state) {
  (void)state;
  world.held = true;
  world.names_silent = true;
  assert_int_equal(mesh_dial(&world, 0, 1), 0);
  mesh_sleep(&world, 14 * KAD_SECOND);
  assert_int_equal(dial(0, 1, mesh_list("/dns/silent.example/tcp/1")), 0);
  mesh_sleep(&world, 14 * KAD_SECOND);
  mesh_expect_none(&world, 0);
  mesh_sleep(&world, KAD_SECOND);
  assert_error(KAD_E_DIAL,
               mesh_expect(&world, 0, KAD__SWARM_DIAL_FAILED)->error);
}

static void test_dnsaddr(void **state) {
  (void)state;
  char good[256];
  char other[256];
  char deeper[256];
  char whole[256];
  with_peer(good, sizeof(good), "dnsaddr=/ip4/10.0.0.2/tcp/4001", 1);
  with_peer(other, sizeof(other), "dnsaddr=/ip4/10.0.0.3/tcp/4001", 2);
  with_peer(deeper, sizeof(deeper), "dnsaddr=/dnsaddr/b.example", 1);
  with_peer(whole, sizeof(whole), "/dnsaddr/a.example", 1);
  const mesh_name names[] = {
      {"_dnsaddr.a.example", KAD__RESOLVE_TXT, other},
      {"_dnsaddr.a.example", KAD__RESOLVE_TXT, "rubbish"},
      {"_dnsaddr.a.example", KAD__RESOLVE_TXT, "dnsaddr="},
      {"_dnsaddr.a.example", KAD__RESOLVE_TXT, "dnsaddr=/ip4/300.0.0.1"},
      {"_dnsaddr.a.example", KAD__RESOLVE_TXT, deeper},
      {"_dnsaddr.b.example", KAD__RESOLVE_TXT, good},
  };
  world.names = names;
  world.name_count = KAD__COUNT(names);
  assert_int_equal(dial(0, 1, mesh_list(whole)), 0);
  mesh_run(&world);
  mesh_expect(&world, 0, KAD__SWARM_CONNECTED);
  assert_int_equal(world.nodes[0].resolves, 2);
  assert_int_equal(world.nodes[0].dials, 1);
}

static void test_dnsaddr_without_name(void **state) {
  (void)state;
  char record[256];
  with_peer(record, sizeof(record), "dnsaddr=/ip4/10.0.0.2/tcp/4001", 1);
  const mesh_name names[] = {
      {"_dnsaddr.a.example", KAD__RESOLVE_TXT, record},
  };
  world.names = names;
  world.name_count = KAD__COUNT(names);
  kad__id id = 0;
  assert_ok(kad__swarm_dial_address(world.nodes[0].swarm, &id,
                                    mesh_address("/dnsaddr/a.example"),
                                    world.now));
  mesh_run(&world);
  kad__swarm_event *event = mesh_expect(&world, 0, KAD__SWARM_CONNECTED);
  assert_true(event->dial == id);
  assert_true(kad_peer_id_equal(&event->peer, mesh_peer(&world, 1)));
}

/* Records in a circle, and a tree that doubles at each step. */
static void test_dnsaddr_bounds(void **state) {
  (void)state;
  static const mesh_name circle[] = {
      {"_dnsaddr.a.example", KAD__RESOLVE_TXT, "dnsaddr=/dnsaddr/b.example"},
      {"_dnsaddr.b.example", KAD__RESOLVE_TXT, "dnsaddr=/dnsaddr/a.example"},
  };
  world.names = circle;
  world.name_count = KAD__COUNT(circle);
  assert_int_equal(dial(0, 1, mesh_list("/dnsaddr/a.example")), 0);
  mesh_run(&world);
  kad__swarm_event *event = mesh_expect(&world, 0, KAD__SWARM_DIAL_FAILED);
  assert_true(event->error < 0);
  assert_int_equal(world.nodes[0].resolves, 4);

  mesh_name tree[100];
  char text[100][64];
  for (size_t i = 0; i < KAD__COUNT(tree); i++) {
    snprintf(text[i], sizeof(text[i]), "dnsaddr=/ip4/10.0.9.%d/tcp/%d",
             (int)i % 50, (int)i + 1);
    if (i < 4) {
      snprintf(text[i], sizeof(text[i]), "dnsaddr=/dnsaddr/t.example");
    }
    tree[i] = (mesh_name){"_dnsaddr.t.example", KAD__RESOLVE_TXT, text[i]};
  }
  world.names = tree;
  world.name_count = KAD__COUNT(tree);
  world.nodes[0].resolves = 0;
  world.nodes[0].dials = 0;
  assert_int_equal(dial(0, 1, mesh_list("/dnsaddr/t.example")), 0);
  mesh_run(&world);
  mesh_expect(&world, 0, KAD__SWARM_DIAL_FAILED);
  assert_int_equal(world.nodes[0].resolves, KAD__DIAL_LOOKUPS_MAX);
  assert_int_equal(world.nodes[0].dials, KAD__DIAL_RESOLVED_MAX);
}

static void test_stale_ids(void **state) {
  (void)state;
  kad__swarm *swarm = world.nodes[0].swarm;
  uint8_t bytes[4] = {0};
  static const kad__id ids[] = {0, 1, UINT64_MAX, UINT64_C(1) << 32,
                                UINT64_C(7) << 32 | 3};
  for (size_t i = 0; i < KAD__COUNT(ids); i++) {
    kad__swarm_dialed(swarm, ids[i], (kad_bytes){0}, world.now);
    kad__swarm_dial_failed(swarm, ids[i], KAD_E_REFUSED, world.now);
    kad__swarm_input(swarm, ids[i], bytes, sizeof(bytes), world.now);
    kad__swarm_closed(swarm, ids[i], 0, world.now);
    kad__swarm_resolved(swarm, ids[i], kad__bytes(bytes, 4), world.now);
    kad__swarm_resolve_end(swarm, ids[i], 0, world.now);
    kad__swarm_disconnect(swarm, ids[i], world.now);
    assert_int_equal(
        kad__swarm_output(swarm, ids[i], bytes, sizeof(bytes), world.now), 0);
  }
  mesh_run(&world);
  mesh_expect_none(&world, 0);
}

/* An id is gone for good: a connection in the same place has another one. */
static void test_ids_do_not_come_back(void **state) {
  (void)state;
  mesh_connect(&world, 0, 1);
  kad__id first = mesh_connection(&world, 0);
  mesh_cut(&world, KAD_E_IO);
  mesh_run(&world);
  mesh_expect(&world, 0, KAD__SWARM_DISCONNECTED);
  mesh_expect(&world, 1, KAD__SWARM_DISCONNECTED);
  mesh_connect(&world, 0, 1);
  kad__id second = mesh_connection(&world, 0);
  assert_true(first != second);
  assert_false(kad__swarm_connection(world.nodes[0].swarm, first,
                                     &(kad__connection_info){0}));
  kad__swarm_closed(world.nodes[0].swarm, first, KAD_E_IO, world.now);
  assert_int_equal(kad__swarm_connection_count(world.nodes[0].swarm), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(test_connects_both_sides),
      TEST(test_one_dial_per_peer),
      TEST(test_self),
      TEST(test_no_address),
      TEST(test_falls_back_to_second_address),
      TEST(test_errors),
      TEST(test_timeouts),
      TEST(test_upgrade_times_out),
      TEST(test_backoff),
      TEST(test_explicit_address_knows_no_backoff),
      TEST(test_dial_address),
      TEST(test_named_dials_join),
      TEST(test_simultaneous_dials),
      TEST(test_answered_by_inbound),
      TEST(test_answered_by_nameless_dial),
      TEST(test_ranking),
      TEST(test_dial_limits),
      TEST(test_dns),
      TEST(test_dns_fails),
      TEST(test_dns_joins_late),
      TEST(test_dnsaddr),
      TEST(test_dnsaddr_without_name),
      TEST(test_dnsaddr_bounds),
      TEST(test_stale_ids),
      TEST(test_ids_do_not_come_back),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
