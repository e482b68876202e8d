/* Very many connections at a node on real sockets: held, half open, coming and
 * going, more than there are descriptors. Others are served meanwhile, and
 * afterwards memory and descriptors are where they were.
 *
 * Small by default, so that it takes seconds; KADMIUM_LOAD=1 holds 10,000
 * connections, and lets 500 a second come and go for a minute. */
#include <dirent.h>
#include <errno.h>
#include <ifaddrs.h>
#include <limits.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "raw_peer.h"
#include "runtime/kad_node.h"

#define SOON (3 * KAD_SECOND)
#define HALF_OPEN 1000
/* What the node may remember of each peer that it has met, and in all. */
#define MEMORY_PER_PEER ((size_t)512)
#define MEMORY_SLACK ((size_t)256 * 1024)

static loop net;
static test_allocator memory;
static kad_node *victim;
static kad_node *honest;

static bool is_big(void) {
  const char *load = getenv("KADMIUM_LOAD");
  return load != NULL && *load != '\0' && *load != '0';
}

static size_t open_files(void) {
  size_t count = 0;
  /* The directory itself is one of them, each time. */
  DIR *dir = opendir("/proc/self/fd");
  assert_non_null(dir);
  while (readdir(dir) != NULL) {
    count++;
  }
  closedir(dir);
  return count;
}

static size_t raise_descriptors(void) {
  struct rlimit limit;
  assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
  struct rlimit more = {.rlim_cur = 32768, .rlim_max = 32768};
  if (limit.rlim_max < more.rlim_max &&
      setrlimit(RLIMIT_NOFILE, &more) != 0) { /* needs root */
    more =
        (struct rlimit){.rlim_cur = limit.rlim_max, .rlim_max = limit.rlim_max};
  }
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &more), 0);
  return more.rlim_cur;
}

/* Skips the test where a process may not have so many. */
static void need_descriptors(size_t count) {
  if (raise_descriptors() < count) {
    print_message("skipped: a process may not open %zu files here\n", count);
    skip();
  }
}

static void begin(const char *listen, uint32_t max_connections) {
  net = (loop){.count = 0};
  test_allocator_init(&memory);
  kad_node_options options = loop_options();
  options.allocator = &memory.allocator;
  options.listen = &listen;
  options.max_connections = max_connections;
  options.low_water = options.high_water = max_connections;
  options.idle_timeout = KAD_HOUR;
  victim = loop_add(&net, &options);
  (void)loop_await(&net, victim, KAD_EVENT_READY, 0);
  honest = loop_join(&net, victim);
}

static void end(void) {
  loop_close(&net);
  assert_int_equal(memory.live, 0);
}

static void take_events(void) {
  kad_event event;
  while (kad_node_poll(victim, &event)) {
  }
}

static void check_served(kad_node *asker) {
  loop_result result;
  kad_request ping = KAD_REQUEST_INIT(KAD_PING);
  ping.peer = *kad_node_id(victim);
  loop_run(&net, asker, &ping, &result);
  assert_ok(result.end.error);
}

static size_t connections(void) {
  kad_node_status status;
  kad_node_get_status(victim, &status);
  return status.connections;
}

/* Back to where they were. */
static void settle(size_t files, size_t bytes, size_t met) {
  kad_time until = loop_now() + LOOP_LIMIT;
  size_t most = bytes + MEMORY_SLACK + met * MEMORY_PER_PEER;
  while (loop_now() < until) {
    take_events();
    if (open_files() <= files && memory.live_bytes <= most) {
      return;
    }
    loop_turn(&net, 10);
  }
  fail_msg("%zu files instead of %zu, %zu bytes instead of %zu", open_files(),
           files, memory.live_bytes, bytes);
}

/* ---- held ---------------------------------------------------------------- */

/* One process has descriptors for both ends of fewer: another one keeps the
 * clients' ends of these connections open. */
static pid_t lend(raw_peer *peers, size_t count) {
  pid_t keeper = fork();
  assert_true(keeper >= 0);
  if (keeper == 0) {
    for (size_t i = 0; i < count; i++) { /* together, out of the way */
      peers[i].fd = dup2(peers[i].fd, 3 + (int)i);
    }
    (void)close_range(3 + (unsigned)count, UINT_MAX, 0);
    for (;;) {
      pause();
    }
  }
  for (size_t i = 0; i < count; i++) {
    close(peers[i].fd);
    peers[i].fd = -1;
  }
  return keeper;
}

static void check_held(raw_peer *peers, size_t count, size_t bytes) {
  assert_true(connections() >= count);
  size_t each = (memory.live_bytes - bytes) / count;
  printf("%zu connections held, %zu bytes each\n", count, each);
  assert_true(each < 6144);
  check_served(honest);
  for (size_t i = count / 2; i < count; i += count / 10) { /* are alive */
    raw_stream(&peers[i], 1, LOOP_PROTOCOL, LITERAL("\x05\x08\x04\x12\x01k"));
    assert_true(raw_was_answered(&peers[i], 1));
  }
}

static void test_held(void **state) {
  (void)state;
  size_t count = is_big() ? 10000 : 400;
  need_descriptors(count + count / 2 + 200);
  begin("/ip4/127.0.0.1/tcp/0", 12000);
  size_t files = open_files();
  size_t bytes = memory.live_bytes;
  pid_t keeper = 0;
  raw_peer *peers = calloc(count, sizeof(*peers));
  assert_non_null(peers);
  for (size_t i = 0; i < count; i++) {
    raw_open(&peers[i], &net, loop_port(victim), 5000 + i);
    raw_handshake(&peers[i], 3, NULL);
    assert_true(raw_hear(&peers[i], 12));
    take_events();
    if (i + 1 == count / 2) {
      keeper = lend(peers, i + 1);
    }
  }
  check_held(peers, count, bytes);
  kill(keeper, SIGKILL);
  assert_int_equal(waitpid(keeper, NULL, 0), keeper);
  for (size_t i = 0; i < count; i++) {
    raw_close(&peers[i]);
    if (i % 100 == 0) {
      loop_turn(&net, 0);
    }
  }
  free(peers);
  check_served(honest);
  settle(files, bytes, count);
  end();
}

/* ---- half open ----------------------------------------------------------- */

/* An address of this machine that is not loopback; 0: it has none. */
static uint32_t own_address(void) {
  struct ifaddrs *all = NULL;
  uint32_t found = 0;
  assert_int_equal(getifaddrs(&all), 0);
  for (struct ifaddrs *at = all; at != NULL; at = at->ifa_next) {
    if (at->ifa_addr != NULL && at->ifa_addr->sa_family == AF_INET) {
      uint32_t ip =
          ((struct sockaddr_in *)(void *)at->ifa_addr)->sin_addr.s_addr;
      found = ntohl(ip) >> 24 == 127 ? found : ip;
    }
  }
  freeifaddrs(all);
  return found;
}

static int connect_to(uint32_t ip, uint16_t port) {
  struct sockaddr_in a = {
      .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = ip};
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  assert_true(fd >= 0);
  assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
  return fd;
}

/* How many of them the node has not hung up on. */
static size_t still_open(const int *fds, size_t count) {
  size_t open = 0;
  for (size_t i = 0; i < count; i++) {
    uint8_t bytes[64];
    ssize_t n;
    while ((n = recv(fds[i], bytes, sizeof(bytes), MSG_DONTWAIT)) > 0) {
    }
    open += n < 0 && errno == EAGAIN;
  }
  return open;
}

/* A thousand that say nothing: all but `most` are hung up on at once. */
static void half_open(int *fds, uint32_t ip, size_t most) {
  for (size_t i = 0; i < HALF_OPEN; i++) {
    fds[i] = connect_to(ip, loop_port(victim));
    loop_turn(&net, 0);
    if (i % 100 == 99) {
      check_served(honest);
    }
  }
  kad_time until = loop_now() + SOON;
  while (still_open(fds, HALF_OPEN) > most && loop_now() < until) {
    loop_turn(&net, 10);
  }
  assert_in_range(still_open(fds, HALF_OPEN), 1, most);
}

static void close_all(const int *fds) {
  for (size_t i = 0; i < HALF_OPEN; i++) {
    close(fds[i]);
  }
}

/* From one address of a network: its share is small, so that also somebody
 * new is served. */
static void test_half_open_of_one_address(void **state) {
  (void)state;
  uint32_t ip = own_address();
  if (ip == 0) {
    skip();
  }
  need_descriptors(HALF_OPEN + 200);
  begin("/ip4/0.0.0.0/tcp/0", 0);
  size_t files = open_files();
  size_t bytes = memory.live_bytes;
  int fds[HALF_OPEN];
  kad_swarm_counters counters;
  half_open(fds, ip, 16);
  kad_node_swarm_counters(victim, &counters);
  assert_true(counters.refused_address >= HALF_OPEN - 16);
  raw_peer stranger;
  raw_open(&stranger, &net, loop_port(victim), 77);
  raw_handshake(&stranger, 3, NULL);
  raw_stream(&stranger, 1, LOOP_PROTOCOL, LITERAL("\x05\x08\x04\x12\x01k"));
  assert_true(raw_was_answered(&stranger, 1));
  raw_close(&stranger);
  close_all(fds);
  settle(files, bytes, 1);
  end();
}

/* From loopback, where nobody has a share: what is not yet established is
 * bounded in all, and ends after its time. */
static void test_half_open_of_many(void **state) {
  (void)state;
  need_descriptors(HALF_OPEN + 400);
  begin("/ip4/127.0.0.1/tcp/0", 0);
  size_t files = open_files();
  size_t bytes = memory.live_bytes;
  int fds[HALF_OPEN];
  kad_swarm_counters counters;
  half_open(fds, htonl(INADDR_LOOPBACK), 128);
  kad_node_swarm_counters(victim, &counters);
  assert_true(counters.refused_pending >= HALF_OPEN - 128);
  kad__host *host = &victim->host;
  kad__swarm_tick(kad__node_swarm(host->node), loop_now() + 16 * KAD_SECOND);
  kad__host_turn(host);
  (void)loop_join(&net, victim); /* somebody new */
  assert_int_equal(still_open(fds, HALF_OPEN), 0);
  close_all(fds);
  check_served(honest);
  kad_node_free(net.nodes[--net.count]);
  settle(files, bytes, 1);
  end();
}

/* ---- coming and going ---------------------------------------------------- */

static void come_and_go(uint64_t number) {
  raw_peer p;
  raw_open(&p, &net, loop_port(victim), 100000 + number);
  raw_handshake(&p, 3, NULL);
  assert_true(raw_hear(&p, 12));
  raw_close(&p);
  take_events();
}

static void test_churn(void **state) {
  (void)state;
  uint64_t rate = is_big() ? 500 : 150;
  uint64_t seconds = is_big() ? 60 : 4;
  begin("/ip4/127.0.0.1/tcp/0", 0);
  for (uint64_t i = 0; i < 100; i++) { /* what is there once */
    come_and_go(i);
  }
  for (int i = 0; i < 20; i++) {
    loop_turn(&net, 5);
  }
  size_t files = open_files();
  size_t bytes = memory.live_bytes;
  kad_time start = loop_now();
  uint64_t done = 0;
  while (done < rate * seconds) {
    kad_time due = start + done * KAD_SECOND / rate;
    if (loop_now() < due) {
      loop_turn(&net, 1);
      continue;
    }
    come_and_go(100 + done++);
    if (done % rate == 0) {
      check_served(honest);
    }
  }
  kad_time took = loop_now() - start;
  printf("%llu connections came and went, %.0f a second\n",
         (unsigned long long)done,
         (double)done * (double)KAD_SECOND / (double)took);
  /* The peerstore remembers so many that have gone, and no more. */
  settle(files, bytes, done < 4096 ? done : 4096);
  end();
}

/* ---- no descriptors ------------------------------------------------------ */

#define FEW 40
#define FLOOD 300

/* A node in a process of its own, with few descriptors. */
static pid_t start_poor_node(uint16_t *port) {
  int ends[2];
  assert_int_equal(pipe(ends), 0);
  pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) {
    for (int fd = 3; fd < 1024; fd++) {
      if (fd != ends[1]) {
        close(fd);
      }
    }
    struct rlimit few = {.rlim_cur = FEW, .rlim_max = FEW};
    loop l = {.count = 0};
    kad_node_options options = loop_options();
    kad_event event;
    kad_node *node = loop_add(&l, &options);
    (void)loop_await(&l, node, KAD_EVENT_READY, 0);
    uint16_t listening = loop_port(node);
    if (setrlimit(RLIMIT_NOFILE, &few) != 0 ||
        write(ends[1], &listening, sizeof(listening)) != sizeof(listening)) {
      _exit(1);
    }
    for (;;) {
      loop_turn(&l, 1000);
      while (kad_node_poll(node, &event)) {
      }
    }
  }
  close(ends[1]);
  assert_int_equal(read(ends[0], port, sizeof(*port)), sizeof(*port));
  close(ends[0]);
  return child;
}

static kad_time cpu_of(pid_t process) {
  clockid_t clock;
  struct timespec t;
  assert_int_equal(clock_getcpuclockid(process, &clock), 0);
  assert_int_equal(clock_gettime(clock, &t), 0);
  return (kad_time)t.tv_sec * KAD_SECOND + (kad_time)t.tv_nsec;
}

static void wait_ms(long ms) {
  struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
  nanosleep(&t, NULL);
}

/* One whole exchange with the poor node, from outside. */
static void check_poor_serves(uint16_t port) {
  loop nobody = {.count = 0};
  raw_peer p;
  raw_open(&p, &nobody, port, 99);
  raw_handshake(&p, 3, NULL);
  raw_stream(&p, 1, LOOP_PROTOCOL, LITERAL("\x05\x08\x04\x12\x01k"));
  assert_true(raw_was_answered(&p, 1));
  raw_close(&p);
}

static void test_no_descriptors(void **state) {
  (void)state;
  (void)raise_descriptors();
  uint16_t port = 0;
  pid_t child = start_poor_node(&port);
  check_poor_serves(port);
  int fds[FLOOD];
  for (int i = 0; i < FLOOD; i++) {
    fds[i] = connect_to(htonl(INADDR_LOOPBACK), port);
  }
  wait_ms(500);
  assert_in_range(still_open(fds, FLOOD), 1, FLOOD);
  kad_time before = cpu_of(child);
  wait_ms(2000); /* more wait than there are descriptors */
  kad_time spent = cpu_of(child) - before;
  printf("out of descriptors: %.1f ms of CPU in 2 s\n", (double)spent / 1e6);
  assert_true(spent < 100 * KAD_MILLISECOND);
  for (int i = 0; i < FLOOD; i++) {
    close(fds[i]);
  }
  wait_ms(300);
  check_poor_serves(port);
  kill(child, SIGKILL);
  assert_int_equal(waitpid(child, NULL, 0), child);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_no_descriptors),
      cmocka_unit_test(test_half_open_of_one_address),
      cmocka_unit_test(test_half_open_of_many),
      cmocka_unit_test(test_churn),
      cmocka_unit_test(test_held),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
