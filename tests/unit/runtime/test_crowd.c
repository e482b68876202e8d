/* More strangers than a node takes, each with an identity of its own and a
 * whole handshake, at real sockets. The cap holds, the strangers are those that
 * go, whoever is worth something stays, and newcomers are served afterwards,
 * while the crowd is still there.
 *
 * 500 of them by default; with KADMIUM_LOAD=1 it is 10,000. */
#include <sys/resource.h>
#include <unistd.h>

#include "raw_peer.h"

#define FRIENDS 3
/* Making room takes a silence period, of ten seconds; then some. */
#define PATIENCE (30 * KAD_SECOND)

static loop net;
static test_allocator memory;
static kad_node *victim;

static bool is_big(void) {
  const char *load = getenv("KADMIUM_LOAD");
  return load != NULL && *load != '\0' && *load != '0';
}

/* Skips the test where a process may not have so many. */
static void need_descriptors(rlim_t count) {
  struct rlimit limit;
  assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
  if (limit.rlim_cur >= count) {
    return;
  }
  limit.rlim_cur = count;
  limit.rlim_max = limit.rlim_max < count ? count : limit.rlim_max;
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0) {
    print_message("skipped: a process may not open %zu files here\n",
                  (size_t)count);
    skip();
  }
}

/* Nodes wait for nothing as long as they have events. */
static void take_events(void) {
  kad_event event;
  for (size_t i = 0; i < net.count; i++) {
    while (kad_node_poll(net.nodes[i], &event)) {
    }
  }
}

static size_t connections(void) {
  kad_node_status status;
  kad_node_get_status(victim, &status);
  return status.connections;
}

static int ping(kad_node *from) {
  char text[KAD_MULTIADDR_TEXT_MAX];
  uint8_t address[KAD_MULTIADDR_MAX];
  loop_result result;
  int len =
      kad_multiaddr_parse(address, sizeof(address), loop_address(victim, text));
  assert_ok(len);
  kad_request r = KAD_REQUEST_INIT(KAD_PING);
  r.address = kad__bytes(address, (size_t)len);
  r.timeout = KAD_SECOND;
  loop_run(&net, from, &r, &result);
  return result.end.error;
}

static void begin(uint32_t most) {
  net = (loop){.count = 0};
  test_allocator_init(&memory);
  kad_node_options options = loop_options();
  options.allocator = &memory.allocator;
  options.max_connections = most;
  options.idle_timeout = KAD_HOUR;
  options.grace_period = KAD_MILLISECOND;
  victim = loop_add(&net, &options);
  (void)loop_await(&net, victim, KAD_EVENT_READY, 0);
}

static const kad_peer_id *id_of(const raw_peer *p) {
  return kad_key_pair_peer_id(p->pair);
}

static void enter(raw_peer *p, uint64_t seed) {
  raw_open(p, &net, loop_port(victim), seed);
  raw_handshake(p, 3, NULL);
  assert_true(raw_hear(p, 12));
}

static void check_stays(raw_peer *p) {
  assert_int_equal(kad_node_connectedness(victim, id_of(p)), KAD_CONNECTED);
  raw_stream(p, 1, LOOP_PROTOCOL, LITERAL("\x05\x08\x04\x12\x01k"));
  assert_true(raw_was_answered(p, 1));
}

/* Those that the node hangs up on at once give their place to the next. */
static size_t crowd(raw_peer *peers, size_t count, size_t most) {
  size_t in = 0;
  for (size_t i = 0; i < count; i++) {
    raw_open(&peers[in], &net, loop_port(victim), 1000 + i);
    if (raw_try_handshake(&peers[in]) && raw_hear(&peers[in], 12)) {
      in++;
    } else {
      raw_close(&peers[in]);
    }
    assert_true(connections() <= most);
    take_events();
  }
  return in;
}

/* Somebody new, who tries until there is room. */
static void check_newcomer(void) {
  kad_time until = loop_now() + PATIENCE;
  kad_node *newcomer = loop_join(&net, NULL);
  int error = ping(newcomer);
  while (error < 0 && loop_now() < until) {
    kad_time again = loop_now() + 200 * KAD_MILLISECOND;
    while (loop_now() < again) {
      take_events();
      loop_turn(&net, 50);
    }
    error = ping(newcomer);
  }
  assert_ok(error);
}

static void test_crowd(void **state) {
  (void)state;
  size_t count = is_big() ? 10000 : 500;
  uint32_t most = is_big() ? 4000 : 400;
  need_descriptors(count + most + 100);
  begin(most);
  kad_node *friends[FRIENDS];
  for (size_t i = 0; i < FRIENDS; i++) { /* of its routing table */
    friends[i] = loop_join(&net, victim);
    (void)loop_await(&net, victim, KAD_EVENT_ROUTING_ADDED, 0);
  }
  raw_peer tagged;
  raw_peer kept;
  enter(&tagged, 1);
  enter(&kept, 2);
  assert_ok(kad_node_tag_peer(victim, id_of(&tagged), "dear", 1));
  assert_ok(kad_node_protect(victim, id_of(&kept), "needed"));
  raw_peer *peers = calloc(count, sizeof(*peers));
  assert_non_null(peers);
  size_t in = crowd(peers, count, most);

  check_newcomer();
  kad_swarm_counters counters;
  kad_node_swarm_counters(victim, &counters);
  printf("%zu came, %zu got in; %llu trimmed, %llu refused, %zu are there\n",
         count, in, (unsigned long long)counters.trimmed,
         (unsigned long long)counters.refused_connections, connections());
  assert_true(counters.trimmed > 0);
  assert_true(counters.refused_connections > 0);
  assert_true(connections() > most / 2); /* no more than had to go */
  check_stays(&tagged);
  check_stays(&kept);
  for (size_t i = 0; i < FRIENDS; i++) {
    assert_int_equal(kad_node_connectedness(victim, kad_node_id(friends[i])),
                     KAD_CONNECTED);
    assert_ok(ping(friends[i]));
  }
  for (size_t i = 0; i < in; i++) {
    raw_close(&peers[i]);
  }
  free(peers);
  raw_close(&tagged);
  raw_close(&kept);
  loop_close(&net);
  assert_int_equal(memory.live, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_crowd)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
