/* The node on real sockets, driven by the test's own poll(2) loop. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loop.h"

static void start_listening(loop *l, const char *address, kad_event_type type,
                            kad_event *event) {
  const char *listen[] = {address};
  kad_node_options options = loop_options();
  options.listen = listen;
  kad_node *node = loop_add(l, &options);
  *event = loop_await(l, node, type, 0);
}

/* ---- listening ----------------------------------------------------------- */

static void test_port_in_use(void **state) {
  (void)state;
  loop l = {.count = 0};
  kad_event event;
  char text[64];
  kad_node *first = loop_join(&l, NULL);
  snprintf(text, sizeof(text), "/ip4/127.0.0.1/tcp/%u", loop_port(first));
  start_listening(&l, text, KAD_EVENT_LISTEN_FAILED, &event);
  assert_error(KAD_E_ADDRESS_IN_USE, event.error);
  kad_bytes address;
  char told[KAD_MULTIADDR_TEXT_MAX];
  assert_true(kad_addresses_next(&event.addresses, &address));
  assert_ok(kad_multiaddr_format(told, sizeof(told), address));
  assert_string_equal(told, text);
  loop_close(&l);
}

static void test_not_our_address(void **state) {
  (void)state;
  loop l = {.count = 0};
  kad_event event;
  /* A documentation address: no interface has it. */
  start_listening(&l, "/ip4/192.0.2.1/tcp/0", KAD_EVENT_LISTEN_FAILED, &event);
  assert_error(KAD_E_UNREACHABLE, event.error);
  loop_close(&l);
}

static void test_wildcard(void **state) {
  (void)state;
  loop l = {.count = 0};
  kad_event event;
  start_listening(&l, "/ip4/0.0.0.0/tcp/0", KAD_EVENT_LISTENING, &event);
  kad_bytes address;
  bool loopback = false;
  size_t count = 0;
  while (kad_addresses_next(&event.addresses, &address)) {
    kad_multiaddr_part part;
    kad_bytes rest = address;
    assert_int_equal(kad_multiaddr_next(&rest, &part), 1);
    assert_int_equal(part.protocol, KAD_MULTIADDR_IP4);
    assert_int_not_equal(kad__load32(part.value.data), 0);
    loopback = loopback || part.value.data[0] == 127;
    assert_true(kad_multiaddr_find(address, KAD_MULTIADDR_TCP, &part, NULL));
    assert_int_not_equal(kad__load16(part.value.data), 0);
    assert_true(kad_multiaddr_find(address, KAD_MULTIADDR_P2P, &part, NULL));
    count++;
  }
  assert_true(loopback);
  assert_true(count >= 1);
  loop_close(&l);
}

static bool has_ip6(void) {
  int fd = socket(AF_INET6, SOCK_STREAM, 0);
  struct sockaddr_in6 a = {.sin6_family = AF_INET6,
                           .sin6_addr = IN6ADDR_LOOPBACK_INIT};
  bool has = fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0;
  if (fd >= 0) {
    close(fd);
  }
  return has;
}

static void test_ip6(void **state) {
  (void)state;
  if (!has_ip6()) {
    skip();
  }
  loop l = {.count = 0};
  kad_event event;
  start_listening(&l, "/ip6/::1/tcp/0", KAD_EVENT_LISTENING, &event);
  kad_node *six = l.nodes[0];
  kad_node *four = loop_join(&l, six);
  kad_node_status status;
  kad_node_get_status(four, &status);
  assert_int_equal(status.table_size, 1);
  loop_close(&l);
}

/* Both wildcards on one port. */
static void test_both_families(void **state) {
  (void)state;
  if (!has_ip6()) {
    skip();
  }
  loop l = {.count = 0};
  kad_node *first = loop_join(&l, NULL);
  uint16_t port = loop_port(first);
  loop_close(&l);
  char texts[2][64];
  snprintf(texts[0], sizeof(texts[0]), "/ip4/0.0.0.0/tcp/%u", port);
  snprintf(texts[1], sizeof(texts[1]), "/ip6/::/tcp/%u", port);
  const char *listen[] = {texts[0], texts[1]};
  kad_node_options options = loop_options();
  options.listen = listen;
  options.listen_count = 2;
  kad_node *node = loop_add(&l, &options);
  kad_event event;
  bool listening = false;
  kad_time limit = loop_now() + LOOP_LIMIT;
  while (!listening && loop_now() < limit) {
    loop_turn(&l, 100);
    while (kad_node_poll(node, &event)) {
      assert_int_not_equal(event.type, KAD_EVENT_LISTEN_FAILED);
      listening = listening || event.type == KAD_EVENT_LISTENING;
    }
  }
  assert_true(listening);
  loop_close(&l);
}

/* ---- dialling ------------------------------------------------------------ */

/* A port on which nobody listens: it was bound and let go. */
static uint16_t free_port(void) {
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in a = {.sin_family = AF_INET,
                          .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t len = sizeof(a);
  assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
  assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
  close(fd);
  return ntohs(a.sin_port);
}

static kad_request connect_request(uint8_t out[KAD_MULTIADDR_MAX],
                                   const char *text) {
  kad_request r = KAD_REQUEST_INIT(KAD_CONNECT);
  int len = kad_multiaddr_parse(out, KAD_MULTIADDR_MAX, text);
  assert_ok(len);
  r.address = kad__bytes(out, (size_t)len);
  return r;
}

static void test_refused(void **state) {
  (void)state;
  loop l = {.count = 0};
  kad_node *node = loop_join(&l, NULL);
  char text[64];
  uint8_t address[KAD_MULTIADDR_MAX];
  snprintf(text, sizeof(text), "/ip4/127.0.0.1/tcp/%u", free_port());
  kad_request r = connect_request(address, text);
  loop_result result;
  loop_run(&l, node, &r, &result);
  assert_error(KAD_E_REFUSED, result.end.error);
  assert_true(result.end.statistics.elapsed < 5 * KAD_SECOND);
  loop_close(&l);
}

static void test_unreachable(void **state) {
  (void)state;
  loop l = {.count = 0};
  kad_node *node = loop_join(&l, NULL);
  uint8_t address[KAD_MULTIADDR_MAX];
  /* Reserved: the kernel refuses it at once, whatever the network is. */
  kad_request r = connect_request(address, "/ip4/240.0.0.1/tcp/1");
  r.timeout = 10 * KAD_SECOND;
  loop_result result;
  loop_run(&l, node, &r, &result);
  assert_true(result.end.error < 0);
  loop_close(&l);
}

/* ---- two nodes ----------------------------------------------------------- */

static void test_put_and_get(void **state) {
  (void)state;
  loop l = {.count = 0};
  kad_node *first = loop_join(&l, NULL);
  kad_node *second = loop_join(&l, first);
  kad_request put = KAD_REQUEST_INIT(KAD_PUT);
  put.key = kad__bytes_of("key");
  put.value = kad__bytes_of("value");
  loop_result result;
  loop_run(&l, second, &put, &result);
  assert_ok(result.end.error);
  assert_int_equal(result.end.statistics.stored, 1);
  kad_node *third = loop_join(&l, first);
  kad_request get = KAD_REQUEST_INIT(KAD_GET);
  get.key = put.key;
  loop_run(&l, third, &get, &result);
  assert_ok(result.end.error);
  assert_bytes_equal(result.last.value, put.value);
  uint64_t cursor = 0;
  kad_peer_id peer;
  size_t peers = 0;
  while (kad_node_next_peer(third, &cursor, &peer)) {
    peers++;
  }
  assert_in_range(peers, 1, 2);
  loop_close(&l);
}

/* In one's own loop nothing waits for a timer that does not have to: ten round
 * trips over loopback take no time. */
static void test_no_sleep_between(void **state) {
  (void)state;
  loop l = {.count = 0};
  kad_node *first = loop_join(&l, NULL);
  kad_node *second = loop_join(&l, first);
  kad_request ping = KAD_REQUEST_INIT(KAD_PING);
  ping.peer = *kad_node_id(first);
  ping.count = 10;
  loop_result result;
  kad_time start = loop_now();
  loop_run(&l, second, &ping, &result);
  assert_ok(result.end.error);
  assert_int_equal(result.results, 10);
  assert_true(loop_now() - start < 2 * KAD_SECOND);
  loop_close(&l);
}

/* A value far larger than what a socket takes at once. */
static void test_large_value(void **state) {
  (void)state;
  loop l = {.count = 0};
  kad_node *first = loop_join(&l, NULL);
  kad_node *second = loop_join(&l, first);
  uint8_t *value = malloc(60000);
  memset(value, 'v', 60000);
  kad_request put = KAD_REQUEST_INIT(KAD_PUT);
  put.key = kad__bytes_of("key");
  put.value = kad__bytes(value, 60000);
  loop_result result;
  loop_run(&l, second, &put, &result);
  assert_ok(result.end.error);
  loop_close(&l);
  free(value);
}

/* A peer that goes away is told as such, and the next request copes. */
static void test_peer_leaves(void **state) {
  (void)state;
  loop l = {.count = 0};
  kad_node *first = loop_join(&l, NULL);
  kad_node *second = loop_join(&l, first);
  kad_peer_id gone = *kad_node_id(first);
  kad_node_free(first);
  l.nodes[0] = second;
  l.count = 1;
  kad_event event = loop_await(&l, second, KAD_EVENT_DISCONNECTED, 0);
  assert_true(kad_peer_id_equal(&event.peer, &gone));
  kad_request get = KAD_REQUEST_INIT(KAD_GET);
  get.key = kad__bytes_of("key");
  get.timeout = 5 * KAD_SECOND;
  loop_result result;
  loop_run(&l, second, &get, &result);
  assert_true(result.end.error < 0);
  loop_close(&l);
}

/* ---- a library in somebody's process ------------------------------------- */

/* We write, and write again, to a peer that has gone: an embedding program that
 * knows nothing of SIGPIPE must live on. */
static void test_no_sigpipe(void **state) {
  (void)state;
  signal(SIGPIPE, SIG_DFL);
  loop l = {.count = 0};
  kad_node *first = loop_join(&l, NULL);
  kad_node *second = loop_join(&l, first);
  kad_request ping = KAD_REQUEST_INIT(KAD_PING);
  ping.peer = *kad_node_id(first);
  kad_node_free(first);
  l.nodes[0] = second;
  l.count = 1;
  /* The first is answered by a reset, behind which the second comes. */
  kad_request_id id = 0;
  for (int i = 0; i < 3; i++) {
    assert_ok(kad_node_start(second, &id, &ping));
  }
  kad_event end = loop_await(&l, second, KAD_EVENT_END, id);
  assert_true(end.error < 0);
  loop_close(&l);
}

static size_t open_files(void) {
  size_t count = 0;
  for (int fd = 0; fd < 1024; fd++) {
    count += fcntl(fd, F_GETFD) >= 0;
  }
  return count;
}

/* Nothing is left of a node that is freed, nor of its connections. */
static void test_no_files_left(void **state) {
  (void)state;
  size_t before = open_files();
  loop l = {.count = 0};
  kad_node *first = loop_join(&l, NULL);
  (void)loop_join(&l, first);
  (void)loop_join(&l, first);
  assert_true(open_files() > before);
  loop_close(&l);
  assert_int_equal(open_files(), before);
}

/* Descriptors run out: the node goes on, and serves again when there are some.
 */
static void test_no_descriptors(void **state) {
  (void)state;
  loop l = {.count = 0};
  kad_node *node = loop_join(&l, NULL);
  struct rlimit old;
  assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
  int clients[8];
  struct sockaddr_in a = {.sin_family = AF_INET,
                          .sin_port = htons(loop_port(node)),
                          .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  for (int i = 0; i < 8; i++) {
    clients[i] = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(clients[i] >= 0);
  }
  struct rlimit tight = {.rlim_cur = (rlim_t)clients[7] + 1,
                         .rlim_max = old.rlim_max};
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
  for (int i = 0; i < 8; i++) {
    assert_int_equal(connect(clients[i], (struct sockaddr *)&a, sizeof(a)), 0);
  }
  for (int i = 0; i < 20; i++) {
    loop_turn(&l, 10);
  }
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
  for (int i = 0; i < 8; i++) {
    close(clients[i]);
  }
  kad_node *other = loop_join(&l, node);
  assert_non_null(other);
  loop_close(&l);
}

/* A dialler joins while the n-th allocation of the node that it dials fails. */
static void test_without_memory(void **state) {
  (void)state;
  for (size_t fail_at = 1; fail_at < 400; fail_at += fail_at < 5 ? 1 : 9) {
    test_allocator memory;
    test_allocator_init(&memory);
    loop l = {.count = 0};
    kad_node_options options = loop_options();
    options.allocator = &memory.allocator;
    kad_node *node = loop_add(&l, &options);
    (void)loop_await(&l, node, KAD_EVENT_LISTENING, 0);
    memory.fail_at = memory.calls + fail_at;
    char text[KAD_MULTIADDR_TEXT_MAX];
    const char *bootstrap[] = {loop_address(node, text)};
    kad_node_options client = loop_options();
    client.bootstrap = bootstrap;
    client.bootstrap_count = 1;
    kad_node *other = loop_add(&l, &client);
    (void)loop_await(&l, other, KAD_EVENT_READY, 0);
    bool reached = memory.calls >= memory.fail_at;
    loop_close(&l);
    if (memory.live != 0) {
      fail_msg("allocation %zu: %zu blocks leak", fail_at, memory.live);
    }
    if (!reached) {
      return;
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_port_in_use),
      cmocka_unit_test(test_not_our_address),
      cmocka_unit_test(test_wildcard),
      cmocka_unit_test(test_ip6),
      cmocka_unit_test(test_both_families),
      cmocka_unit_test(test_refused),
      cmocka_unit_test(test_unreachable),
      cmocka_unit_test(test_put_and_get),
      cmocka_unit_test(test_no_sleep_between),
      cmocka_unit_test(test_large_value),
      cmocka_unit_test(test_peer_leaves),
      cmocka_unit_test(test_no_sigpipe),
      cmocka_unit_test(test_no_files_left),
      cmocka_unit_test(test_no_descriptors),
      cmocka_unit_test(test_without_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
