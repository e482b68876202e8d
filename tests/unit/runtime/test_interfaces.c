/* A listener on every interface, while interfaces come and go. The program has
 * a network of its own for that. */
#include <arpa/inet.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loop.h"
#include "runtime/kad_node.h"
#include "wire/addresses.h"

#define LOOK_EVERY (20 * KAD_MILLISECOND)

static bool change(const char *name, unsigned long what, struct ifreq *with) {
  int fd = socket(AF_INET, SOCK_DGRAM, 0);
  snprintf(with->ifr_name, sizeof(with->ifr_name), "%s", name);
  bool done = fd >= 0 && ioctl(fd, what, with) == 0;
  if (fd >= 0) {
    close(fd);
  }
  return done;
}

static bool enter_network(void) {
  struct ifreq up = {.ifr_flags = IFF_UP};
  return (unshare(CLONE_NEWNET) == 0 ||
          unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0) &&
         change("lo", SIOCSIFFLAGS, &up);
}

static void add_address(const char *ip) {
  struct ifreq r = {.ifr_flags = 0};
  struct sockaddr_in at = {.sin_family = AF_INET};
  assert_int_equal(inet_pton(AF_INET, ip, &at.sin_addr), 1);
  memcpy(&r.ifr_addr, &at, sizeof(at));
  assert_true(change("lo:1", SIOCSIFADDR, &r));
}

static void take_address(void) {
  struct ifreq down = {.ifr_flags = 0};
  assert_true(change("lo:1", SIOCSIFFLAGS, &down));
}

static bool listens_at(kad_node *node, const char *text) {
  uint8_t wanted[KAD_MULTIADDR_MAX];
  int len = kad_multiaddr_parse(wanted, sizeof(wanted), text);
  assert_ok(len);
  return kad__addresses_have(kad_node_listen_addresses(node),
                             kad__bytes(wanted, (size_t)len));
}

static void test_come_and_go(void **state) {
  (void)state;
  if (!enter_network()) {
    print_message("skipped: no network of one's own is to be had here\n");
    skip();
  }
  loop l = {.count = 0};
  kad_node_options options = loop_options();
  options.listen_count = 0;
  kad_node *node = loop_add(&l, &options);
  node->host.world->look_every = LOOK_EVERY;
  assert_ok(kad_node_listen(node, "/ip4/0.0.0.0/tcp/4001"));
  (void)loop_await(&l, node, KAD_EVENT_LISTENING, 0);
  assert_true(listens_at(node, "/ip4/127.0.0.1/tcp/4001"));
  assert_false(listens_at(node, "/ip4/10.9.8.7/tcp/4001"));

  add_address("10.9.8.7");
  (void)loop_await(&l, node, KAD_EVENT_LISTENING, 0);
  assert_true(listens_at(node, "/ip4/127.0.0.1/tcp/4001"));
  assert_true(listens_at(node, "/ip4/10.9.8.7/tcp/4001"));

  size_t at = 0;
  kad_bytes asked;
  kad_bytes bound;
  uint8_t wildcard[KAD_MULTIADDR_MAX];
  int len =
      kad_multiaddr_parse(wildcard, sizeof(wildcard), "/ip4/0.0.0.0/tcp/4001");
  assert_true(kad_node_next_listener(node, &at, &asked, &bound));
  assert_bytes_equal(asked, kad__bytes(wildcard, (size_t)len));
  assert_int_equal(kad__addresses_count(bound), 2);
  assert_false(kad_node_next_listener(node, &at, &asked, &bound));

  take_address();
  (void)loop_await(&l, node, KAD_EVENT_LISTENING, 0);
  assert_true(listens_at(node, "/ip4/127.0.0.1/tcp/4001"));
  assert_false(listens_at(node, "/ip4/10.9.8.7/tcp/4001"));

  /* One that stands on an address of its own has nothing to look for. */
  assert_ok(kad_node_listen(node, "/ip4/127.0.0.1/tcp/4002"));
  (void)loop_await(&l, node, KAD_EVENT_LISTENING, 0);
  assert_true(kad_node_unlisten(node, "/ip4/0.0.0.0/tcp/4001"));
  (void)loop_await(&l, node, KAD_EVENT_LISTEN_CLOSED, 0);
  (void)loop_await(&l, node, KAD_EVENT_LISTENING, 0);
  assert_true(listens_at(node, "/ip4/127.0.0.1/tcp/4002"));
  assert_false(listens_at(node, "/ip4/127.0.0.1/tcp/4001"));
  loop_close(&l);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_come_and_go)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
