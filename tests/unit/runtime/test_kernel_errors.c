/* What the system may answer to accept and connect when it is out of something:
 * we ask again after a rest, meanwhile everything else goes on, and nobody who
 * waits is lost. Most errors are made (syscalls.h); ports and addresses really
 * run out, in a network of the test's own. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dns_server.h"
#include "own_network.h"
#include "raw_peer.h"
#include "runtime/kad_node.h"
#include "syscalls.h"

#define WAITING 8
/* How long the system is out of something. */
#define DROUGHT (500 * KAD_MILLISECOND)
/* A listener rests for so long, give or take a millisecond. */
#define REST (99 * KAD_MILLISECOND)
/* Connections that are gone are passed over, so many at a time. */
#define ROUND 64

static kad_time cpu_time(void) {
  struct rusage used;
  assert_int_equal(getrusage(RUSAGE_SELF, &used), 0);
  return (kad_time)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) * KAD_SECOND +
         (kad_time)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) *
             KAD_MICROSECOND;
}

static void turn_for(loop *l, kad_time time) {
  kad_time until = loop_now() + time;
  while (loop_now() < until) {
    kad_event event;
    for (size_t i = 0; i < l->count; i++) {
      while (kad_node_poll(l->nodes[i], &event)) { /* nodes wait for that */
      }
    }
    loop_turn(l, 50);
  }
}

/* What a test that fails leaves behind. */
static int heal(void **state) {
  (void)state;
  for (int kind = 0; kind < SYSCALL_COUNT; kind++) {
    syscall_fail((syscall_kind)kind, 0);
  }
  return 0;
}

static void check_ping(loop *l, kad_node *from, kad_node *to) {
  loop_result result;
  kad_request ping = KAD_REQUEST_INIT(KAD_PING);
  ping.peer = *kad_node_id(to);
  loop_run(l, from, &ping, &result);
  assert_ok(result.end.error);
}

/* ---- accept -------------------------------------------------------------- */

static void accept_fails(int error, size_t most) {
  loop l = {.count = 0};
  kad_node *node = loop_join(&l, NULL);
  kad_node *honest = loop_join(&l, node);
  raw_peer waiting[WAITING];
  syscall_fail(SYSCALL_ACCEPT, error);
  for (size_t i = 0; i < WAITING; i++) {
    raw_open(&waiting[i], &l, loop_port(node), 10 + i);
  }
  check_ping(&l, honest, node);
  kad_time cpu = cpu_time();
  kad_time start = loop_now();
  turn_for(&l, DROUGHT);
  size_t rounds = (size_t)((loop_now() - start) / REST) + 2;
  size_t calls = syscall_calls(SYSCALL_ACCEPT);
  cpu = cpu_time() - cpu;
  printf("errno %d: %zu calls, %.1f ms of CPU in 500 ms\n", error, calls,
         (double)cpu / 1e6);
  assert_true(calls >= 2); /* and again after a rest */
  assert_true(calls <= rounds * most);
  kad_swarm_counters counters;
  kad_node_swarm_counters(node, &counters);
  assert_true(counters.failed_accepts >= calls);
  assert_true(cpu < DROUGHT / 4);
  check_ping(&l, honest, node);
  syscall_fail(SYSCALL_ACCEPT, 0);
  for (size_t i = 0; i < WAITING; i++) {
    raw_handshake(&waiting[i], 3, NULL);
    raw_stream(&waiting[i], 1, LOOP_PROTOCOL, LITERAL("\x05\x08\x04\x12\x01k"));
    assert_true(raw_was_answered(&waiting[i], 1));
    raw_close(&waiting[i]);
  }
  loop_close(&l);
}

static void test_accept_without_resources(void **state) {
  (void)state;
  static const int errors[] = {EMFILE, ENFILE, ENOBUFS, ENOMEM, EPERM};
  for (size_t i = 0; i < KAD__COUNT(errors); i++) {
    accept_fails(errors[i], 1);
  }
}

/* The kernel says so once for each connection; we make it say so for ever. */
static void test_accept_of_gone_connections(void **state) {
  (void)state;
  accept_fails(ECONNABORTED, ROUND);
  accept_fails(EPROTO, ROUND);
}

/* A listener that rests can be closed, and so can the node. */
static void test_closed_while_resting(void **state) {
  (void)state;
  test_allocator memory;
  test_allocator_init(&memory);
  loop l = {.count = 0};
  kad_node_options options = loop_options();
  options.allocator = &memory.allocator;
  kad_node *node = loop_add(&l, &options);
  (void)loop_await(&l, node, KAD_EVENT_READY, 0);
  char address[KAD_MULTIADDR_TEXT_MAX];
  uint16_t port = loop_port(node);
  raw_peer waiting;
  syscall_fail(SYSCALL_ACCEPT, ENOBUFS);
  raw_open(&waiting, &l, port, 1);
  while (syscall_calls(SYSCALL_ACCEPT) == 0) {
    loop_turn(&l, 50);
  }
  snprintf(address, sizeof(address), "/ip4/127.0.0.1/tcp/%u", port);
  assert_true(kad_node_unlisten(node, address));
  assert_ok(kad_node_listen(node, "/ip4/127.0.0.1/tcp/0"));
  assert_true(raw_ended(&waiting, 5 * KAD_SECOND));
  raw_close(&waiting);
  (void)loop_await(&l, node, KAD_EVENT_LISTENING, 0);
  raw_open(&waiting, &l, loop_port(node), 2);
  syscall_fail(SYSCALL_ACCEPT, ENOBUFS);
  while (syscall_calls(SYSCALL_ACCEPT) == 0) {
    loop_turn(&l, 50);
  }
  loop_close(&l);
  raw_close(&waiting);
  syscall_fail(SYSCALL_ACCEPT, 0);
  assert_int_equal(memory.live, 0);
}

/* ---- connect ------------------------------------------------------------- */

static int connect_to(loop *l, kad_node *node, kad_node *other) {
  loop_result result;
  kad_request r = KAD_REQUEST_INIT(KAD_CONNECT);
  r.peer = *kad_node_id(other);
  loop_run(l, node, &r, &result);
  return result.end.error;
}

static size_t table_size(const kad_node *node) {
  kad_node_status status;
  kad_node_get_status(node, &status);
  return status.table_size;
}

static int get_something(loop *l, kad_node *node) {
  loop_result result;
  kad_request get = KAD_REQUEST_INIT(KAD_GET);
  get.key = kad__bytes_of("something");
  loop_run(l, node, &get, &result);
  return result.end.error;
}

static void part(loop *l, kad_node *one, kad_node *other) {
  assert_int_equal(kad_node_disconnect(one, kad_node_id(other), 0), 1);
  (void)loop_await(l, other, KAD_EVENT_DISCONNECTED, 0);
}

/* Whatever the node tries, nobody is taken for dead, no address rests, and the
 * processor has nothing to do. */
static void connect_fails(syscall_kind kind, int error, int expected) {
  loop l = {.count = 0};
  kad_node *first = loop_join(&l, NULL);
  kad_node *node = loop_join(&l, first);
  assert_int_equal(table_size(node), 1);
  part(&l, node, first);
  syscall_fail(kind, error);
  assert_error(expected, connect_to(&l, node, first));
  for (int i = 0; i < 4; i++) {
    assert_true(get_something(&l, node) < 0);
  }
  kad_swarm_counters counters;
  kad_node_swarm_counters(node, &counters);
  assert_true(counters.failed_dials >= 5); /* each was tried */
  kad_time cpu = cpu_time();
  size_t before = syscall_calls(kind);
  turn_for(&l, DROUGHT);
  assert_true(cpu_time() - cpu < DROUGHT / 4);
  assert_true(syscall_calls(kind) - before < 50);
  assert_int_equal(table_size(node), 1);
  syscall_fail(kind, 0);
  assert_ok(connect_to(&l, node, first));
  assert_error(KAD_E_NOT_FOUND, get_something(&l, node));
  loop_close(&l);
}

static void test_connect_without_resources(void **state) {
  (void)state;
  connect_fails(SYSCALL_SOCKET, EMFILE, KAD_E_LIMIT);
  connect_fails(SYSCALL_SOCKET, ENFILE, KAD_E_LIMIT);
  connect_fails(SYSCALL_SOCKET, ENOBUFS, KAD_E_NO_MEMORY);
  connect_fails(SYSCALL_SOCKET, ENOMEM, KAD_E_NO_MEMORY);
  connect_fails(SYSCALL_CONNECT, ENOBUFS, KAD_E_NO_MEMORY);
  connect_fails(SYSCALL_CONNECT, ENOMEM, KAD_E_NO_MEMORY);
  connect_fails(SYSCALL_CONNECT, EAGAIN, KAD_E_LIMIT);
  connect_fails(SYSCALL_CONNECT, EADDRNOTAVAIL, KAD_E_LIMIT);
}

/* A node that is to join, and cannot dial, goes on trying, in its time. */
static void test_join_without_resources(void **state) {
  (void)state;
  loop l = {.count = 0};
  kad_node *first = loop_join(&l, NULL);
  char text[KAD_MULTIADDR_TEXT_MAX];
  const char *bootstrap[] = {loop_address(first, text)};
  kad_node_options options = loop_options();
  options.bootstrap = bootstrap;
  options.bootstrap_count = 1;
  syscall_fail(SYSCALL_CONNECT, EADDRNOTAVAIL);
  kad_node *node = loop_add(&l, &options);
  kad_time cpu = cpu_time();
  turn_for(&l, DROUGHT);
  assert_true(cpu_time() - cpu < DROUGHT / 4);
  assert_in_range(syscall_calls(SYSCALL_CONNECT), 1, 10);
  syscall_fail(SYSCALL_CONNECT, 0);
  kad_event event = loop_await(&l, node, KAD_EVENT_ROUTING_ADDED, 0);
  assert_true(kad_peer_id_equal(&event.peer, kad_node_id(first)));
  loop_close(&l);
}

/* ---- descriptors --------------------------------------------------------- */

#define DESCRIPTORS 64
#define FLOOD 100

typedef struct poor_answer {
  int error;
  uint64_t refused;
} poor_answer;

/* A node in a process of its own, with few descriptors. It is given a server of
 * names, tells its port, and for each address that it is given how it was to
 * connect there. */
static void be_poor(int in, int out) {
  for (int fd = 3; fd < 1024; fd++) {
    if (fd != in && fd != out) {
      close(fd);
    }
  }
  loop l = {.count = 0};
  kad_node *node = loop_join(&l, NULL);
  uint16_t port = loop_port(node);
  struct rlimit few = {.rlim_cur = DESCRIPTORS, .rlim_max = DESCRIPTORS};
  char text[KAD_MULTIADDR_TEXT_MAX] = "";
  if (read(in, text, sizeof(text)) != sizeof(text) ||
      kad__dns_set_servers(node->host.world, text) != 0 ||
      setrlimit(RLIMIT_NOFILE, &few) != 0 ||
      fcntl(in, F_SETFL, O_NONBLOCK) != 0 ||
      write(out, &port, sizeof(port)) != sizeof(port)) {
    _exit(1);
  }
  for (;;) {
    turn_for(&l, 20 * KAD_MILLISECOND);
    if (read(in, text, sizeof(text)) != sizeof(text)) {
      continue;
    }
    uint8_t address[KAD_MULTIADDR_MAX];
    int len = kad_multiaddr_parse(address, sizeof(address), text);
    kad_request r = KAD_REQUEST_INIT(KAD_CONNECT);
    r.address = kad__bytes(address, len < 0 ? 0 : (size_t)len);
    loop_result result;
    loop_run(&l, node, &r, &result);
    kad_swarm_counters counters;
    kad_node_swarm_counters(node, &counters);
    poor_answer answer = {result.end.error, counters.refused_descriptors};
    if (write(out, &answer, sizeof(answer)) != sizeof(answer)) {
      _exit(1);
    }
  }
}

/* Until the other process has hung up on one of them, long before any of them
 * has had its time. */
static bool one_is_refused(const int *fds, size_t count) {
  kad_time until = loop_now() + 5 * KAD_SECOND;
  while (loop_now() < until) {
    struct pollfd waiting[FLOOD];
    for (size_t i = 0; i < count; i++) {
      waiting[i] = (struct pollfd){.fd = fds[i], .events = POLLIN};
    }
    if (poll(waiting, count, 1000) <= 0) {
      continue;
    }
    for (size_t i = 0; i < count; i++) {
      char byte;
      if (waiting[i].revents != 0 && recv(fds[i], &byte, 1, 0) <= 0) {
        return true;
      }
    }
  }
  return false;
}

static poor_answer ask_poor(loop *l, int in, int out, const char *address) {
  char text[KAD_MULTIADDR_TEXT_MAX] = "";
  poor_answer answer = {0};
  snprintf(text, sizeof(text), "%s", address);
  assert_int_equal(write(out, text, sizeof(text)), sizeof(text));
  kad_time until = loop_now() + LOOP_LIMIT;
  while (read(in, &answer, sizeof(answer)) != sizeof(answer)) {
    assert_true(loop_now() < until);
    turn_for(l, 10 * KAD_MILLISECOND);
  }
  return answer;
}

static void answer_loopback(void *user, const char *name, int type,
                            dns_reply *reply) {
  static const uint8_t loopback[] = {127, 0, 0, 1};
  (void)user;
  (void)name;
  if (type == DNS_A) {
    dns_reply_add(reply, DNS_A, loopback, sizeof(loopback));
  }
}

/* Whoever comes, some descriptors are left to dial, and to look up names. */
static void test_descriptors_are_left(void **state) {
  (void)state;
  int there[2];
  int back[2];
  loop l = {.count = 0};
  char text[KAD_MULTIADDR_TEXT_MAX] = "";
  assert_int_equal(pipe(there) | pipe(back), 0);
  pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) {
    be_poor(there[0], back[1]);
  }
  /* Its thread begins now: a process with several must not fork. */
  dns_server names;
  dns_server_start(&names, answer_loopback, NULL);
  memcpy(text, names.address, sizeof(names.address));
  assert_int_equal(write(there[1], text, sizeof(text)), sizeof(text));
  close(there[0]);
  close(back[1]);
  struct sockaddr_in a = {.sin_family = AF_INET,
                          .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  uint16_t port = 0;
  assert_int_equal(read(back[0], &port, sizeof(port)), sizeof(port));
  a.sin_port = htons(port);
  assert_int_equal(fcntl(back[0], F_SETFL, O_NONBLOCK), 0);
  int fds[FLOOD];
  for (size_t i = 0; i < FLOOD; i++) {
    fds[i] = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fds[i], (struct sockaddr *)&a, sizeof(a)), 0);
  }
  bool refused = one_is_refused(fds, FLOOD);
  kad_node *other = loop_join(&l, NULL);
  poor_answer by_address =
      ask_poor(&l, back[0], there[1], loop_address(other, text));
  kad_node *named = loop_join(&l, NULL);
  snprintf(text, sizeof(text), "/dns4/named.example/tcp/%u", loop_port(named));
  poor_answer by_name = ask_poor(&l, back[0], there[1], text);
  kill(child, SIGKILL);
  assert_int_equal(waitpid(child, NULL, 0), child);
  for (size_t i = 0; i < FLOOD; i++) {
    close(fds[i]);
  }
  close(there[1]);
  close(back[0]);
  loop_close(&l);
  dns_server_stop(&names);
  assert_ok(by_address.error);
  assert_ok(by_name.error);
  assert_true(refused);
  assert_in_range(by_name.refused, FLOOD - DESCRIPTORS, FLOOD);
}

/* ---- in a network of our own --------------------------------------------- */

/* Connects until no port is left for one more; how many there were. */
static size_t take_ports(int *fds, size_t max, uint16_t port) {
  struct sockaddr_in a = {.sin_family = AF_INET,
                          .sin_port = htons(port),
                          .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  for (size_t i = 0; i < max; i++) {
    fds[i] = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fds[i] >= 0);
    if (connect(fds[i], (struct sockaddr *)&a, sizeof(a)) != 0) {
      assert_int_equal(errno, EADDRNOTAVAIL);
      close(fds[i]);
      return i;
    }
  }
  return max;
}

/* At once, and without a trace that would keep the ports. */
static void give_ports(const int *fds, size_t count) {
  struct linger now = {.l_onoff = 1, .l_linger = 0};
  for (size_t i = 0; i < count; i++) {
    assert_int_equal(
        setsockopt(fds[i], SOL_SOCKET, SO_LINGER, &now, sizeof(now)), 0);
    close(fds[i]);
  }
}

static void test_no_ports(void **state) {
  (void)state;
  if (!own_network_enter() ||
      !own_network_set("/proc/sys/net/ipv4/ip_local_port_range",
                       "40000 40015")) {
    skip();
  }
  loop l = {.count = 0};
  kad_node *first = loop_join(&l, NULL);
  kad_node *node = loop_join(&l, first);
  part(&l, node, first);
  int fds[32];
  size_t taken = take_ports(fds, 32, loop_port(first));
  assert_in_range(taken, 8, 16);
  assert_error(KAD_E_LIMIT, connect_to(&l, node, first));
  assert_true(get_something(&l, node) < 0);
  assert_int_equal(table_size(node), 1);
  give_ports(fds, taken);
  assert_ok(connect_to(&l, node, first));
  loop_close(&l);
}

/* The same errno, but for ever: where there is no IPv6 it says nothing of
 * ports, and the address must rest. */
static void test_no_address_of_ours(void **state) {
  (void)state;
  if (!own_network_enter() ||
      !own_network_set("/proc/sys/net/ipv6/conf/lo/disable_ipv6", "1")) {
    skip();
  }
  loop l = {.count = 0};
  kad_node *node = loop_join(&l, NULL);
  uint8_t address[KAD_MULTIADDR_MAX];
  int len = kad_multiaddr_parse(address, sizeof(address), "/ip6/::1/tcp/4001");
  assert_ok(len);
  kad_request r = KAD_REQUEST_INIT(KAD_CONNECT);
  r.address = kad__bytes(address, (size_t)len);
  loop_result result;
  loop_run(&l, node, &r, &result);
  assert_error(KAD_E_UNREACHABLE, result.end.error);
  loop_close(&l);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_teardown(test_accept_without_resources, heal),
      cmocka_unit_test_teardown(test_accept_of_gone_connections, heal),
      cmocka_unit_test_teardown(test_closed_while_resting, heal),
      cmocka_unit_test_teardown(test_connect_without_resources, heal),
      cmocka_unit_test_teardown(test_join_without_resources, heal),
      cmocka_unit_test_teardown(test_descriptors_are_left, heal),
      cmocka_unit_test_teardown(test_no_ports,
                                heal), /* from here on a network of our own */
      cmocka_unit_test_teardown(test_no_address_of_ours, heal),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
