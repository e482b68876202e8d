/* What a transport may report, and when; what becomes of it where memory, a
 * limit or the gater is in the way. */
#include "transport_rig.h"

static const kad_bytes nothing = {0};

/* An id that never was, and one of another kind. */
#define UNKNOWN ((uint64_t)77 << 32 | 3)

static void unknown_everywhere(kad_node *node, uint64_t id) {
  uint8_t byte = 0;
  uint64_t out = 0;
  kad_bytes address = memory_address(1);
  assert_error(KAD_E_NOT_FOUND, kad_transport_listening(node, id, &address, 1));
  assert_error(KAD_E_NOT_FOUND,
               kad_transport_listen_failed(node, id, KAD_E_IO));
  assert_error(KAD_E_NOT_FOUND,
               kad_transport_accepted(node, &out, id, &byte, address, nothing));
  assert_int_equal(out, 0);
  assert_error(KAD_E_NOT_FOUND, kad_transport_dialed(node, id, address));
  assert_error(KAD_E_NOT_FOUND, kad_transport_dial_failed(node, id, KAD_E_IO));
  assert_error(KAD_E_NOT_FOUND, kad_transport_received(node, id, &byte, 1));
  assert_error(KAD_E_NOT_FOUND, kad_transport_writable(node, id));
  assert_error(KAD_E_NOT_FOUND, kad_transport_closed(node, id, 0));
}

static void test_stale_ids(void **state) {
  (void)state;
  rig_connect();
  uint64_t id = memory_at(&r.memory, &r.ports[1], 0)->id;
  uint64_t listener = r.memory.listeners[0].id;
  rig_part();
  assert_true(kad_node_unlisten(r.nodes[0], "/memory/1"));
  rig_settle();
  unknown_everywhere(r.nodes[1], 0);
  unknown_everywhere(r.nodes[1], UNKNOWN);
  unknown_everywhere(r.nodes[1], UINT64_MAX);
  unknown_everywhere(r.nodes[1], id);
  unknown_everywhere(r.nodes[0], listener);
  /* A node that has no transports at all. */
  kad_node_options options = loop_options();
  unknown_everywhere(loop_add(&r.l, &options), UNKNOWN);
}

/* A channel's number is no listener's, and the other way round. */
static void test_ids_of_another_kind(void **state) {
  (void)state;
  uint64_t out = 0;
  uint8_t byte = 0;
  kad_bytes address = memory_address(1);
  rig_connect();
  uint64_t channel = memory_at(&r.memory, &r.ports[0], 0)->id;
  uint64_t listener = r.memory.listeners[0].id;
  kad_node *node = r.nodes[0];
  assert_error(KAD_E_NOT_FOUND,
               kad_transport_listening(node, channel, &address, 1));
  assert_error(KAD_E_NOT_FOUND,
               kad_transport_listen_failed(node, channel, KAD_E_IO));
  assert_error(
      KAD_E_NOT_FOUND,
      kad_transport_accepted(node, &out, channel, &byte, address, nothing));
  assert_error(KAD_E_NOT_FOUND, kad_transport_closed(node, listener, 0));
  assert_error(KAD_E_NOT_FOUND,
               kad_transport_received(node, listener, &byte, 1));
  rig_echo(100);
}

static void test_wrong_state(void **state) {
  (void)state;
  uint8_t byte = 0;
  kad_node *node = r.nodes[1];
  assert_ok(rig_dial(SERVER));
  uint64_t id = memory_at(&r.memory, &r.ports[1], 0)->id;
  assert_error(KAD_E_STATE, kad_transport_received(node, id, &byte, 1));
  assert_error(KAD_E_STATE, kad_transport_writable(node, id));
  rig_await(1, KAD_EVENT_END, 1);
  rig_settle();
  assert_error(KAD_E_STATE, kad_transport_dialed(node, id, nothing));
  assert_error(KAD_E_STATE, kad_transport_dial_failed(node, id, KAD_E_IO));
  /* Room where there was room, and no bytes, are nothing new. */
  assert_ok(kad_transport_writable(node, id));
  assert_ok(kad_transport_received(node, id, NULL, 0));
  rig_echo(100);
}

/* ---- inside a function --------------------------------------------------- */

static size_t calls;

static void report_inside(memory_port *port) {
  uint8_t byte = 0;
  uint64_t out = 0;
  kad_node *node = port->node;
  kad_bytes address = memory_address(1);
  uint64_t listener = r.memory.listeners[0].id;
  if (node == NULL) {
    return; /* it is being made */
  }
  calls++;
  assert_error(KAD_E_STATE,
               kad_transport_listening(node, listener, &address, 1));
  assert_error(KAD_E_STATE,
               kad_transport_listen_failed(node, listener, KAD_E_IO));
  assert_error(KAD_E_STATE, kad_transport_accepted(node, &out, listener, &byte,
                                                   address, nothing));
  for (size_t i = 0; i < MEMORY_ENDS; i++) {
    if (r.memory.ends[i].port == port) {
      uint64_t id = r.memory.ends[i].id;
      assert_error(KAD_E_STATE, kad_transport_dialed(node, id, address));
      assert_error(KAD_E_STATE, kad_transport_dial_failed(node, id, KAD_E_IO));
      assert_error(KAD_E_STATE, kad_transport_received(node, id, &byte, 1));
      assert_error(KAD_E_STATE, kad_transport_writable(node, id));
      assert_error(KAD_E_STATE, kad_transport_closed(node, id, 0));
    }
  }
}

/* Refused in all of them, and nobody is the worse for it. */
static void test_inside_a_function(void **state) {
  (void)state;
  calls = 0;
  r.ports[0].inside = report_inside;
  r.ports[1].inside = report_inside;
  rig_connect();
  rig_echo(10000);
  assert_ok(kad_node_listen(r.nodes[0], "/memory/5"));
  rig_settle();
  assert_true(kad_node_unlisten(r.nodes[0], "/memory/5"));
  assert_error(KAD_E_REFUSED, rig_try_connect(9));
  (void)kad_node_transport_for_dialing(r.nodes[0], memory_address(3));
  rig_part();
  assert_true(calls > 10);
  r.ports[0].inside = NULL;
  r.ports[1].inside = NULL;
  rig_connect();
}

/* ---- malformed ----------------------------------------------------------- */

static void test_malformed_addresses(void **state) {
  (void)state;
  kad_node *node = r.nodes[0];
  uint64_t listener = r.memory.listeners[0].id;
  uint64_t out = 0;
  kad_bytes good = memory_address(5);
  const kad_bytes bad[] = {
      nothing, test_hex("047f"), test_hex("ff"),
      test_hex("a503260024080112209e3b433cbd31c2b8a6ebbdca998bd0f4c2141c9c9a"
               "f5422e976051b1e63af14d"),
      test_hex("89060000000000000001a503260024080112209e3b433cbd31c2b8a6ebbd"
               "ca998bd0f4c2141c9c9af5422e976051b1e63af14d")};
  for (size_t i = 0; i < KAD__COUNT(bad); i++) {
    kad_bytes list[2] = {good, bad[i]};
    assert_error(KAD_E_MULTIADDR,
                 kad_transport_listening(node, listener, list, 2));
    assert_error(KAD_E_MULTIADDR, kad_transport_accepted(node, &out, listener,
                                                         &out, bad[i], good));
    if (i != 0) {
      assert_error(KAD_E_MULTIADDR, kad_transport_accepted(node, &out, listener,
                                                           &out, good, bad[i]));
    }
  }
  kad_bytes many[512];
  for (size_t i = 0; i < KAD__COUNT(many); i++) {
    many[i] = good;
  }
  assert_error(KAD_E_LIMIT,
               kad_transport_listening(node, listener, many, KAD__COUNT(many)));
  /* What it was before, it is still. */
  kad_bytes list = kad_node_listen_addresses(node);
  kad_bytes address;
  assert_true(kad_addresses_next(&list, &address));
  assert_bytes_equal(address, memory_address(SERVER));
  assert_ok(rig_dial(SERVER));
  uint64_t id = memory_at(&r.memory, &r.ports[1], 0)->id;
  assert_error(KAD_E_MULTIADDR, kad_transport_dialed(r.nodes[1], id, bad[1]));
  rig_await(1, KAD_EVENT_END, 1);
  assert_error(0, r.last[1][KAD_EVENT_END].error);
}

/* Errors that are none: a transport's mistake has a name all the same. */
static void test_errors_that_are_none(void **state) {
  (void)state;
  r.memory.held = true;
  for (int error = 0; error < 2; error++) {
    assert_ok(rig_dial(SERVER));
    memory_end *end = memory_at(&r.memory, &r.ports[1], 0);
    uint64_t id = end->id;
    free(end->in);
    *end = (memory_end){0};
    assert_ok(kad_transport_dial_failed(r.nodes[1], id, error));
    rig_await(1, KAD_EVENT_END, (size_t)error + 1);
    assert_error(KAD_E_IO, r.last[1][KAD_EVENT_END].error);
  }
}

static int takes_too_much(void *user, void *own, kad_bytes bytes) {
  (void)user;
  (void)own;
  return (int)bytes.len + 1;
}

static void test_takes_more_than_there_is(void **state) {
  (void)state;
  rig_teardown(NULL);
  rig_prepare();
  r.ports[1].transport.write = takes_too_much;
  rig_open();
  assert_error(KAD_E_INVALID_ARGUMENT, rig_try_connect(SERVER));
  rig_settle();
  assert_int_equal(r.ports[1].closes, 1);
  assert_int_equal(memory_count(&r.memory, &r.ports[0]), 0);
}

static void refused_options(const kad_transport *transport) {
  kad_node_options options = loop_options();
  kad_node *node = NULL;
  options.transports = transport;
  options.transport_count = 1;
  assert_error(KAD_E_INVALID_ARGUMENT, kad_node_new(&node, &options));
}

static void test_options(void **state) {
  (void)state;
  const kad_transport whole = r.ports[1].transport;
  kad_transport t = whole;
#define REFUSED_WITHOUT(field) \
  t = whole;                   \
  t.field = NULL;              \
  refused_options(&t)
  REFUSED_WITHOUT(name);
  REFUSED_WITHOUT(listen);
  REFUSED_WITHOUT(unlisten);
  REFUSED_WITHOUT(dial);
  REFUSED_WITHOUT(write);
  REFUSED_WITHOUT(read);
  REFUSED_WITHOUT(close);
#undef REFUSED_WITHOUT
  t = whole;
  t.name = "";
  refused_options(&t);
  kad_transport many[KAD_TRANSPORTS_MAX + 1];
  kad_node_options options = loop_options();
  kad_node *node = NULL;
  for (size_t i = 0; i < KAD__COUNT(many); i++) {
    many[i] = (kad_transport){.name = "idle",
                              .write = whole.write,
                              .read = whole.read,
                              .close = whole.close};
  }
  options.transports = many;
  options.transport_count = KAD_TRANSPORTS_MAX + 1;
  assert_error(KAD_E_INVALID_ARGUMENT, kad_node_new(&node, &options));
  /* One that only dials, behind others that do nothing. */
  char name[] = "dialler";
  many[5] = whole;
  many[5].name = name;
  many[5].can_listen = NULL;
  many[5].listen = NULL;
  many[5].unlisten = NULL;
  options.transport_count = KAD_TRANSPORTS_MAX;
  assert_ok(kad_node_new(&node, &options));
  name[0] = '?'; /* it was copied */
  many[5].can_dial = NULL;
  assert_string_equal(kad_node_transport_for_dialing(node, memory_address(1)),
                      "dialler");
  assert_null(kad_node_transport_for_listening(node, memory_address(1)));
  assert_error(KAD_E_UNSUPPORTED, kad_node_listen(node, "/memory/1"));
  kad_node_free(node);
  /* Without it the address is nobody's. */
  const char *const listen[] = {"/memory/1"};
  options = loop_options();
  options.listen = listen;
  assert_error(KAD_E_UNSUPPORTED, kad_node_new(&node, &options));
}

/* ---- who may connect ----------------------------------------------------- */

static bool refuse_address(void *user, const kad_peer_id *peer,
                           kad_bytes address) {
  (void)user;
  (void)peer;
  return !kad__bytes_equal(address, memory_address(SERVER));
}

static bool refuse_accept(void *user, kad_bytes local, kad_bytes remote) {
  (void)user;
  assert_bytes_equal(local, memory_address(SERVER));
  assert_bytes_equal(remote, memory_address(1000));
  return false;
}

static void open_gated(int side, const kad_gater *gater) {
  rig_teardown(NULL);
  rig_prepare();
  for (int i = 0; i < 2; i++) {
    kad_node_options options = rig_options(i);
    options.gater = i == side ? gater : NULL;
    rig_add(i, &options);
  }
  rig_settle();
}

static void test_gater(void **state) {
  (void)state;
  kad_gater gater = {.dial_address = refuse_address};
  open_gated(1, &gater);
  assert_error(KAD_E_GATED, rig_try_connect(SERVER));
  assert_int_equal(memory_count(&r.memory, &r.ports[1]), 0);
  gater = (kad_gater){.accept = refuse_accept};
  open_gated(0, &gater);
  assert_error(KAD_E_REFUSED, rig_try_connect(SERVER));
  assert_error(KAD_E_GATED, r.ports[0].refused);
  kad_swarm_counters counters;
  kad_node_swarm_counters(r.nodes[0], &counters);
  assert_int_equal(counters.gated, 1);
}

static void test_limits(void **state) {
  (void)state;
  rig_teardown(NULL);
  rig_prepare();
  for (int i = 0; i < 2; i++) {
    kad_node_options options = rig_options(i);
    options.max_pending_inbound = 1;
    rig_add(i, &options);
  }
  rig_settle();
  r.memory.held = true;
  assert_ok(rig_dial(SERVER));
  rig_settle();
  assert_int_equal(memory_count(&r.memory, &r.ports[0]), 1);
  assert_error(0, r.ports[0].refused);
  assert_ok(kad_node_listen(r.nodes[0], "/memory/2"));
  rig_settle();
  assert_error(KAD_E_REFUSED, rig_try_connect(2));
  assert_error(KAD_E_LIMIT, r.ports[0].refused);
  kad_swarm_counters counters;
  kad_node_swarm_counters(r.nodes[0], &counters);
  assert_int_equal(counters.refused_pending, 1);
  r.memory.held = false;
  rig_await(1, KAD_EVENT_END, 2);
  assert_error(0, r.last[1][KAD_EVENT_END].error);
}

/* What is accepted and says nothing is closed in its time, though nothing but
 * the node's own clock says so. */
static void test_accepted_is_due(void **state) {
  (void)state;
  assert_true(kad_node_timeout(r.nodes[0]) != 0);
  r.memory.held = true;
  assert_ok(rig_dial(SERVER));
  (void)memory_run(&r.memory);
  assert_int_equal(memory_count(&r.memory, &r.ports[0]), 1);
  assert_int_equal(kad_node_timeout(r.nodes[0]), 0);
  rig_settle();
  assert_in_range(kad_node_timeout(r.nodes[0]), 1, 15000);
}

/* ---- memory -------------------------------------------------------------- */

static test_allocator scarce;

/* Of each step on the way to a connection and from there the 1st, 2nd, 3rd ...
 * allocation of one side fails: it comes about or not, and the next one does.
 */
static void test_allocations(void **state) {
  (void)state;
  for (int side = 0; side < 2; side++) {
    rig_teardown(NULL);
    rig_prepare();
    test_allocator_init(&scarce);
    for (int i = 0; i < 2; i++) {
      kad_node_options options = rig_options(i);
      options.allocator = i == side ? &scarce.allocator : NULL;
      rig_add(i, &options);
    }
    assert_ok(kad_node_handle(r.nodes[0], ECHO));
    rig_settle();
    r.ports[side].takes = MEMORY_TAKES_ONE; /* so that there is a rest */
    r.timeout = 2 * KAD_SECOND; /* what identify has no memory for waits */
    bool failed = true;
    for (size_t n = 1; failed; n++) {
      scarce.fail_at = scarce.calls + n;
      int error = rig_try_connect(SERVER);
      failed = scarce.calls >= scarce.fail_at;
      assert_error(failed ? error : 0, error);
      scarce.fail_at = 0;
      rig_part();
    }
    rig_connect();
    loop_close(&r.l);
    assert_int_equal(scarce.live, 0);
  }
}

/* The same of the node that has it, and of its listeners. */
static void test_allocations_of_a_node(void **state) {
  (void)state;
  kad_key_pair *key = NULL;
  kad_random random;
  kad_random_init_u64(&random, 7);
  assert_ok(kad_key_pair_generate(&key, kad_allocator_default(), &random));
  rig_teardown(NULL);
  rig_prepare();
  r.ports[0].listens = MEMORY_AT_ONCE;
  kad_node_options options = rig_options(0);
  options.identity = key;
  options.allocator = &scarce.allocator;
  int error = KAD_E_NO_MEMORY;
  for (size_t n = 1; error < 0; n++) {
    kad_node *node = NULL;
    test_allocator_init(&scarce);
    scarce.fail_at = n;
    error = kad_node_new(&node, &options);
    assert_error(scarce.calls >= n && node == NULL ? KAD_E_NO_MEMORY : 0,
                 error);
    kad_node_free(node);
    assert_int_equal(scarce.live, 0);
    memory_fini(&r.memory); /* the listener was given back */
    memory_init(&r.memory, 0);
  }
  kad_key_pair_free(key);
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)
  const struct CMUnitTest tests[] = {
      TEST(test_stale_ids),
      TEST(test_ids_of_another_kind),
      TEST(test_wrong_state),
      TEST(test_inside_a_function),
      TEST(test_malformed_addresses),
      TEST(test_errors_that_are_none),
      TEST(test_takes_more_than_there_is),
      TEST(test_options),
      TEST(test_gater),
      TEST(test_limits),
      TEST(test_accepted_is_due),
      TEST(test_allocations),
      TEST(test_allocations_of_a_node),
  };
#undef TEST
  return cmocka_run_group_tests(tests, NULL, NULL);
}
