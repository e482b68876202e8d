/* Connections from one place: an IPv4 address, an IPv6 /64, an IPv6 /48. What
 * is refused is counted by its reason, and costs nothing. */
#include "mesh.h"

#define LOCAL "/ip4/10.0.0.1/tcp/4001"

static mesh world;

static void few(kad__swarm_config *config, int node) {
  (void)node;
  config->max_inbound_per_address = 2;
  config->max_inbound_per_group = 3;
  config->max_pending_inbound = 1000;
  config->pace_per_address.burst = config->pace_per_group.burst = UINT32_MAX;
}

static int setup(void **state) {
  (void)state;
  mesh_init(&world, 1, few);
  return 0;
}

static int teardown(void **state) {
  (void)state;
  mesh_fini(&world);
  return 0;
}

static kad__swarm *swarm(void) {
  return world.nodes[0].swarm;
}

static int from(const char *remote, kad__id *id) {
  return kad__swarm_accepted(swarm(), id, 1, mesh_address(remote),
                             mesh_address(LOCAL), world.now);
}

static void gone(kad__id id) {
  kad__swarm_closed(swarm(), id, KAD_E_IO, world.now);
}

static uint64_t refused(void) {
  return kad__swarm_counters_get(swarm())->refused_address;
}

static void check(void) {
  const char *broken = kad__swarm_check(swarm());
  if (broken != NULL) {
    fail_msg("%s", broken);
  }
}

/* Three of one /48 from three /64, no fourth from anywhere in it. */
static void test_group(void **state) {
  (void)state;
  kad__id ids[3];
  kad__id id = 0;
  assert_ok(from("/ip6/2001:db8:1:1::1/tcp/1", &ids[0]));
  assert_ok(from("/ip6/2001:db8:1:2::1/tcp/1", &ids[1]));
  assert_ok(from("/ip6/2001:db8:1:3::1/tcp/1", &ids[2]));
  check();
  assert_error(KAD_E_LIMIT, from("/ip6/2001:db8:1:4::1/tcp/1", &id));
  assert_error(KAD_E_LIMIT, from("/ip6/2001:db8:1:1::2/tcp/1", &id));
  assert_int_equal(refused(), 2);
  check();
  /* Others are served all the while. */
  assert_ok(from("/ip6/2001:db8:2:1::1/tcp/1", &id));
  assert_ok(from("/ip4/32.1.13.184/tcp/1", &id)); /* the same first bytes */
  assert_ok(from("/ip4/32.1.13.184/tcp/2", &id));
  assert_error(KAD_E_LIMIT, from("/ip4/32.1.13.184/tcp/3", &id));
  gone(ids[1]);
  check();
  assert_ok(from("/ip6/2001:db8:1:4::1/tcp/1", &id));
  assert_error(KAD_E_LIMIT, from("/ip6/2001:db8:1:5::1/tcp/1", &id));
  check();
}

/* Who is refused for its /64 takes no place of its /48. */
static void test_refused_takes_nothing(void **state) {
  (void)state;
  kad__id id = 0;
  assert_ok(from("/ip6/2001:db8:1:1::1/tcp/1", &id));
  assert_ok(from("/ip6/2001:db8:1:1::2/tcp/1", &id));
  for (int i = 0; i < 10; i++) {
    assert_error(KAD_E_LIMIT, from("/ip6/2001:db8:1:1::3/tcp/1", &id));
  }
  check();
  assert_ok(from("/ip6/2001:db8:1:2::1/tcp/1", &id));
  assert_int_equal(refused(), 10);
}

/* The walk of kad__swarm_check finds what a failure would leave counted. */
static void test_without_memory(void **state) {
  (void)state;
  kad__id id = 0;
  test_allocator *memory = &world.nodes[0].memory;
  int result = KAD_E_NO_MEMORY;
  size_t n = 0;
  while (result != 0) {
    n++;
    memory->fail_at = memory->calls + n;
    result = from("/ip6/2001:db8:1:1::1/tcp/1", &id);
    memory->fail_at = 0;
    assert_true(result == 0 || result == KAD_E_NO_MEMORY);
    check();
  }
  assert_true(n > 3); /* the /48, the /64 and the channel, at least */
  gone(id);
  mesh_run(&world);
  mesh_expect(&world, 0, KAD__SWARM_INBOUND_FAILED);
  assert_int_equal(refused(), 0);
}

static void four_pending(kad__swarm_config *config, int node) {
  (void)node;
  config->max_pending_inbound = 4;
}

/* Who says nothing gives its place to others, but not at once. */
static void test_silent_ones_make_way(void **state) {
  (void)state;
  kad__id ids[4];
  kad__id id = 0;
  char text[64];
  mesh_fini(&world);
  mesh_init(&world, 1, four_pending);
  for (int i = 0; i < 4; i++) {
    snprintf(text, sizeof(text), "/ip4/10.1.0.%d/tcp/1", i);
    assert_ok(from(text, &ids[i]));
    mesh_sleep(&world, KAD_SECOND / 2);
  }
  for (int i = 0; i < 4; i++) { /* one is two seconds old, then the next */
    snprintf(text, sizeof(text), "/ip4/10.2.0.%d/tcp/1", i);
    assert_ok(from(text, &id));
    mesh_run(&world);
    assert_error(KAD_E_LIMIT,
                 mesh_expect(&world, 0, KAD__SWARM_INBOUND_FAILED)->error);
    assert_error(KAD_E_LIMIT, from("/ip4/10.3.0.1/tcp/1", &id));
    check();
    mesh_sleep(&world, KAD_SECOND / 2);
  }
  assert_int_equal(kad__swarm_counters_get(swarm())->refused_pending, 8);
}

static void one_per_peer(kad__swarm_config *config, int node) {
  config->max_connections_per_peer = node == 0 ? 1 : 8;
}

/* Who is refused when all is agreed on is told why. */
static void test_refused_are_told(void **state) {
  (void)state;
  mesh_fini(&world);
  mesh_init(&world, 2, one_per_peer);
  mesh_connect(&world, 1, 0);
  kad__id id = 0;
  assert_ok(kad__swarm_dial_address(world.nodes[1].swarm, &id,
                                    mesh_address(world.nodes[0].listen),
                                    world.now));
  mesh_run(&world);
  assert_true(mesh_expect(&world, 1, KAD__SWARM_CONNECTED)->dial == id);
  kad__swarm_event *event = mesh_expect(&world, 1, KAD__SWARM_DISCONNECTED);
  assert_int_equal(event->code, KAD_CONNECTION_CODE_LIMIT);
  assert_error(KAD_E_GO_AWAY, event->error);
  assert_false(event->last);
  assert_error(KAD_E_LIMIT,
               mesh_expect(&world, 0, KAD__SWARM_INBOUND_FAILED)->error);
  assert_int_equal(kad__swarm_counters_get(swarm())->refused_peer, 1);
  assert_int_equal(kad__swarm_connection_count(swarm()), 1);
  check();
}

static size_t count_events(int node, kad__swarm_event_type type) {
  size_t count = 0;
  for (size_t i = 0; i < world.nodes[node].event_count; i++) {
    count += world.nodes[node].events[i].type == type;
  }
  world.nodes[node].event_count = world.nodes[node].event_read = 0;
  return count;
}

/* What a router does that has lost its table: the dialler is told, the other
 * side hears nothing any more. */
static void forget_links(void) {
  for (size_t i = 0; i < MESH_LINKS; i++) {
    mesh_link *l = &world.links[i];
    kad__id id = l->id[0];
    if (id == UINT64_MAX) {
      l->id[0] = l->id[1] == 0 ? 0 : id; /* the other side has given up */
    } else if (l->used && id != 0 && l->node[0] == 1) {
      l->paused[0] = true;
      l->id[0] = UINT64_MAX; /* somebody, who reads nothing */
      kad__swarm_closed(world.nodes[1].swarm, id, KAD_E_CLOSED, world.now);
    }
  }
}

/* J-04. Again and again, from another port each time; a place is found for the
 * newcomer as soon as one of those that are dead has not answered. */
static void test_lost_connections_make_way(void **state) {
  (void)state;
  mesh_fini(&world);
  mesh_init(&world, 2, NULL);
  for (int i = 0; i < 100; i++) {
    kad__id id = 0;
    assert_ok(kad__swarm_dial_address(world.nodes[1].swarm, &id,
                                      mesh_address(world.nodes[0].listen),
                                      world.now));
    mesh_run(&world);
    assert_int_equal(count_events(1, KAD__SWARM_CONNECTED), 1);
    assert_true(
        kad__swarm_connected(world.nodes[1].swarm, mesh_peer(&world, 0)));
    assert_in_range(kad__swarm_connection_count(swarm()), 1, 8);
    assert_int_equal(kad__swarm_counters_get(swarm())->refused_peer, 0);
    check();
    mesh_sleep(&world, KAD_SECOND + 1);
    forget_links();
    mesh_run(&world);
    (void)count_events(0, KAD__SWARM_CONNECTED);
    (void)count_events(1, KAD__SWARM_CONNECTED);
  }
}

/* Those that answer stay, whoever comes. */
static void test_live_connections_stay(void **state) {
  (void)state;
  mesh_fini(&world);
  mesh_init(&world, 2, one_per_peer);
  mesh_connect(&world, 1, 0);
  kad__id first = mesh_connection(&world, 0);
  for (int i = 0; i < 20; i++) {
    kad__id id = 0;
    assert_ok(kad__swarm_dial_address(world.nodes[1].swarm, &id,
                                      mesh_address(world.nodes[0].listen),
                                      world.now));
    mesh_run(&world);
    mesh_sleep(&world, 2 * KAD_SECOND);
    assert_true(mesh_connection(&world, 0) == first);
  }
  assert_int_equal(kad__swarm_counters_get(swarm())->refused_peer, 20);
  check();
}

/* ---- against a naive model ----------------------------------------------- */

#define CHANNELS 64

typedef struct guest {
  kad__id id; /* 0: none */
  unsigned net;
  unsigned host;
} guest;

static bool fits(const guest *guests, unsigned net, unsigned host) {
  unsigned of_net = 0;
  unsigned of_host = 0;
  for (size_t i = 0; i < CHANNELS; i++) {
    bool same = guests[i].id != 0 && guests[i].net == net;
    of_net += same;
    of_host += same && guests[i].host == host;
  }
  return of_net < 3 && of_host < 2;
}

static void test_any_order(void **state) {
  (void)state;
  kad_random random;
  kad_random_init_u64(&random, test_seed("limits"));
  guest guests[CHANNELS] = {{0}};
  uint64_t expected = 0;
  for (int round = 0; round < 2000; round++) {
    guest *g = &guests[kad_random_below(&random, CHANNELS)];
    if (g->id != 0) {
      gone(g->id);
      g->id = 0;
      mesh_run(&world);
      (void)mesh_expect(&world, 0, KAD__SWARM_INBOUND_FAILED);
      world.nodes[0].event_count = world.nodes[0].event_read = 0;
      check();
      continue;
    }
    unsigned net = (unsigned)kad_random_below(&random, 8);
    unsigned host = (unsigned)kad_random_below(&random, 3);
    char text[64];
    snprintf(text, sizeof(text), "/ip6/2001:db8:%x:%x::1/tcp/%d", net, host,
             round + 1);
    bool room = fits(guests, net, host);
    kad__id id = 0;
    assert_error(room ? 0 : KAD_E_LIMIT, from(text, &id));
    expected += !room;
    *g = (guest){.id = id, .net = net, .host = host};
    assert_int_equal(refused(), expected);
    check();
  }
  assert_true(expected > 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(test_group),
      TEST(test_refused_takes_nothing),
      TEST(test_without_memory),
      TEST(test_silent_ones_make_way),
      TEST(test_refused_are_told),
      TEST(test_lost_connections_make_way),
      TEST(test_live_connections_stay),
      TEST(test_any_order),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
