/* Strangers from very many addresses who connect and say nothing, in a network
 * of the test's own, where each of 65,536 addresses is ours. What is half open
 * is bounded, nobody who is connected notices, and somebody new is served long
 * before the silent ones have had their time.
 *
 * 1,000 from 1,000 addresses; with KADMIUM_LOAD=1 it is 10,000. */
#include <errno.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "own_network.h"
#include "raw_peer.h"

#define PLACES 1000
#define MOST 128
/* Silent ones have 15 seconds. */
#define SOON (8 * KAD_SECOND)

static loop net;
static kad_node *victim;

static bool is_big(void) {
  const char *load = getenv("KADMIUM_LOAD");
  return load != NULL && *load != '\0' && *load != '0';
}

static bool have_descriptors(rlim_t count) {
  struct rlimit limit;
  assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
  if (limit.rlim_cur >= count) {
    return true;
  }
  limit.rlim_cur = count;
  limit.rlim_max = limit.rlim_max < count ? count : limit.rlim_max;
  return setrlimit(RLIMIT_NOFILE, &limit) == 0;
}

static void turn(int wait_ms) {
  kad_event event;
  for (size_t i = 0; i < net.count; i++) {
    while (kad_node_poll(net.nodes[i], &event)) {
    }
  }
  loop_turn(&net, wait_ms);
}

/* From the address of that number to the victim. */
static int come_from(unsigned place) {
  uint32_t ip = 0x0a090100u + place / 200 * 256 + place % 200;
  struct sockaddr_in from = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(ip)};
  struct sockaddr_in to = {.sin_family = AF_INET,
                           .sin_port = htons(loop_port(victim)),
                           .sin_addr.s_addr = htonl(0x0a090001u)};
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  assert_true(fd >= 0);
  assert_int_equal(bind(fd, (struct sockaddr *)&from, sizeof(from)), 0);
  assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
  return fd;
}

static size_t still_open(const int *fds, size_t count) {
  size_t open = 0;
  for (size_t i = 0; i < count; i++) {
    uint8_t byte;
    open += recv(fds[i], &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN;
  }
  return open;
}

static void check_served(kad_node *asker) {
  loop_result result;
  kad_request ping = KAD_REQUEST_INIT(KAD_PING);
  ping.peer = *kad_node_id(victim);
  loop_run(&net, asker, &ping, &result);
  assert_ok(result.end.error);
}

/* Somebody new; how long that took. */
static kad_time serve_newcomer(void) {
  kad_time start = loop_now();
  while (loop_now() - start < SOON) {
    raw_peer p;
    raw_open(&p, &net, loop_port(victim), 5);
    bool served = raw_try_handshake(&p) && raw_hear(&p, 12);
    raw_close(&p);
    if (served) {
      return loop_now() - start;
    }
    turn(50);
  }
  fail_msg("nobody new is served");
  return 0;
}

static void test_half_open_of_many_places(void **state) {
  (void)state;
  static const char *const listen[] = {"/ip4/0.0.0.0/tcp/0"};
  size_t count = is_big() ? 10000 : 1000;
  if (!own_network_enter() || !own_network_widen() ||
      !have_descriptors(count + 400)) {
    skip();
  }
  net = (loop){.count = 0};
  kad_node_options options = loop_options();
  options.listen = listen;
  victim = loop_add(&net, &options);
  (void)loop_await(&net, victim, KAD_EVENT_READY, 0);
  kad_node *honest = loop_join(&net, victim);
  int *fds = calloc(count, sizeof(*fds));
  assert_non_null(fds);
  for (unsigned i = 0; i < count; i++) {
    fds[i] = come_from(i % PLACES);
    turn(0);
    if (i % 250 == 249) {
      check_served(honest);
    }
  }
  kad_time until = loop_now() + SOON;
  while (still_open(fds, count) > MOST && loop_now() < until) {
    turn(10);
  }
  assert_in_range(still_open(fds, count), 1, MOST);
  kad_swarm_counters counters;
  kad_node_swarm_counters(victim, &counters);
  assert_true(counters.refused_pending >= count - MOST);
  printf("%zu came and said nothing; somebody new was served after %.1f s\n",
         count, (double)serve_newcomer() / (double)KAD_SECOND);
  check_served(honest);
  for (size_t i = 0; i < count; i++) {
    close(fds[i]);
  }
  free(fds);
  loop_close(&net);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_half_open_of_many_places),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
