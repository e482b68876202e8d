/* Names in addresses, with a DNS server that tells the truth and one that does
 * not. */
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dns_server.h"
#include "loop.h"
#include "runtime/kad_node.h"

typedef struct fixture {
  loop l;
  kad_node *there; /* what the names lead to */
  kad_node *here;
  dns_server server;
  uint16_t port;
  char id[KAD_PEER_ID_TEXT_MAX];
} fixture;

static void open_fixture(fixture *f, dns_answer answer) {
  memset(f, 0, sizeof(*f));
  dns_server_start(&f->server, answer, f);
  f->there = loop_join(&f->l, NULL);
  f->port = loop_port(f->there);
  assert_ok(kad_peer_id_format(f->id, sizeof(f->id), kad_node_id(f->there)));
  f->here = loop_join(&f->l, NULL);
  assert_ok(kad__dns_set_servers(f->here->host.world, f->server.address));
}

static void close_fixture(fixture *f) {
  loop_close(&f->l);
  dns_server_stop(&f->server);
}

/* Connects to `text`; returns the END's error. */
static int connect_to(fixture *f, const char *text, kad_time timeout,
                      loop_result *out) {
  uint8_t address[KAD_MULTIADDR_MAX];
  int len = kad_multiaddr_parse(address, sizeof(address), text);
  assert_ok(len);
  kad_request r = KAD_REQUEST_INIT(KAD_CONNECT);
  r.address = kad__bytes(address, (size_t)len);
  r.timeout = timeout;
  loop_run(&f->l, f->here, &r, out);
  if (out->end.error == 0) {
    assert_true(kad_peer_id_equal(&out->last.peer, kad_node_id(f->there)));
  }
  return out->end.error;
}

static void add_ip4(dns_reply *reply, const char *digits) {
  kad_bytes bytes = test_hex(digits);
  assert_true(dns_reply_add(reply, DNS_A, bytes.data, bytes.len));
}

static void add_text(dns_reply *reply, const char *text) {
  assert_true(dns_reply_text(reply, text, strlen(text)));
}

static bool is(const char *name, const char *expected) {
  return strcasecmp(name, expected) == 0;
}

/* ---- the truth ----------------------------------------------------------- */

static void honest(void *user, const char *name, int type, dns_reply *reply) {
  const fixture *f = user;
  static const uint8_t one[16] = {[15] = 1};
  char text[512];
  if (is(name, "four.test") && type == DNS_A) {
    add_ip4(reply, "7f000001");
  } else if (is(name, "four.test")) {
    reply->code = 0; /* exists, without an AAAA */
  } else if (is(name, "six.test") && type == DNS_AAAA) {
    dns_reply_add(reply, DNS_AAAA, one, sizeof(one));
  } else if (is(name, "both.test") && type == DNS_A) {
    add_ip4(reply, "7f000002"); /* nobody listens there */
    add_ip4(reply, "7f000001");
  } else if (is(name, "both.test") && type == DNS_AAAA) {
    dns_reply_add(reply, DNS_AAAA, one, sizeof(one));
  } else if (is(name, "_dnsaddr.list.test") && type == DNS_TXT) {
    add_text(reply, "v=spf1 -all");
    add_text(reply, "dnsaddr=/ip4/127.0.0.1/udp/1/quic-v1");
    snprintf(text, sizeof(text), "dnsaddr=/ip4/127.0.0.1/tcp/%u/p2p/%s",
             f->port, f->id);
    add_text(reply, text);
  } else if (is(name, "_dnsaddr.start.test") && type == DNS_TXT) {
    snprintf(text, sizeof(text), "dnsaddr=/dnsaddr/middle.test/p2p/%s", f->id);
    add_text(reply, text);
  } else if (is(name, "_dnsaddr.middle.test") && type == DNS_TXT) {
    snprintf(text, sizeof(text), "dnsaddr=/dns4/four.test/tcp/%u/p2p/%s",
             f->port, f->id);
    add_text(reply, text);
  } else if (is(name, "fails.test")) {
    reply->code = DNS_SERVER_FAILURE;
  } else {
    reply->code = DNS_NO_NAME;
  }
}

static void test_names(void **state) {
  static const char *const forms[] = {
      "/dns4/four.test/tcp/%u", "/dns/four.test/tcp/%u",
      "/dns4/FOUR.test/tcp/%u", "/dns4/four.test./tcp/%u",
      "/dns/both.test/tcp/%u",  "/dns4/both.test/tcp/%u"};
  (void)state;
  for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
    fixture f;
    loop_result result;
    char text[128];
    open_fixture(&f, honest);
    snprintf(text, sizeof(text), forms[i], f.port);
    int error = connect_to(&f, text, 0, &result);
    if (error < 0) {
      fail_msg("%s: %s", text, kad_error_name(error));
    }
    close_fixture(&f);
  }
}

static void test_ip6(void **state) {
  (void)state;
  int fd = socket(AF_INET6, SOCK_STREAM, 0);
  struct sockaddr_in6 a = {.sin6_family = AF_INET6,
                           .sin6_addr = IN6ADDR_LOOPBACK_INIT};
  bool has = fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0;
  close(fd);
  if (!has) {
    skip();
  }
  fixture f;
  loop_result result;
  open_fixture(&f, honest);
  static const char *const listen[] = {"/ip6/::1/tcp/0"};
  kad_node_options options = loop_options();
  options.listen = listen;
  f.there = loop_add(&f.l, &options);
  (void)loop_await(&f.l, f.there, KAD_EVENT_LISTENING, 0);
  char text[128];
  snprintf(text, sizeof(text), "/dns6/six.test/tcp/%u", loop_port(f.there));
  assert_ok(connect_to(&f, text, 0, &result));
  close_fixture(&f);
}

static void test_dnsaddr(void **state) {
  static const char *const forms[] = {
      "/dnsaddr/list.test", "/dnsaddr/list.test/p2p/%s", "/dnsaddr/start.test",
      "/dnsaddr/start.test/p2p/%s"};
  (void)state;
  for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
    fixture f;
    loop_result result;
    char text[256];
    open_fixture(&f, honest);
    snprintf(text, sizeof(text), forms[i], f.id);
    int error = connect_to(&f, text, 0, &result);
    if (error < 0) {
      fail_msg("%s: %s", text, kad_error_name(error));
    }
    close_fixture(&f);
  }
}

/* A list that has only others is of no use. */
static void test_other_peer(void **state) {
  (void)state;
  fixture f;
  loop_result result;
  char text[256];
  char other[KAD_PEER_ID_TEXT_MAX];
  open_fixture(&f, honest);
  kad_peer_id id = *kad_node_id(f.there);
  id.bytes[id.len - 1] ^= 1;
  assert_ok(kad_peer_id_format(other, sizeof(other), &id));
  snprintf(text, sizeof(text), "/dnsaddr/list.test/p2p/%s", other);
  assert_error(KAD_E_NO_ADDRESS, connect_to(&f, text, 0, &result));
  close_fixture(&f);
}

static void test_no_such_name(void **state) {
  static const char *const names[] = {
      "/dns4/nowhere.test/tcp/1", "/dns/nowhere.test/tcp/1",
      "/dns6/four.test/tcp/1", "/dnsaddr/nowhere.test",
      "/dns4/fails.test/tcp/1"};
  (void)state;
  fixture f;
  loop_result result;
  open_fixture(&f, honest);
  for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
    int error = connect_to(&f, names[i], 0, &result);
    if (error != KAD_E_RESOLVE) {
      fail_msg("%s: %s", names[i], kad_error_name(error));
    }
    assert_true(result.end.statistics.elapsed < 10 * KAD_SECOND);
  }
  close_fixture(&f);
}

/* Labels of 64 and more, names of 250 and more, and what is no name. */
static void test_bad_names(void **state) {
  (void)state;
  fixture f;
  loop_result result;
  open_fixture(&f, honest);
  static const size_t lengths[] = {64, 200, 253};
  for (size_t i = 0; i < 3; i++) {
    char text[300] = "/dns4/";
    memset(text + 6, 'x', lengths[i]);
    strcpy(text + 6 + lengths[i], "/tcp/1");
    assert_error(KAD_E_RESOLVE, connect_to(&f, text, 0, &result));
  }
  assert_error(KAD_E_RESOLVE,
               connect_to(&f, "/dns4/a..b.test/tcp/1", 0, &result));
  assert_error(KAD_E_RESOLVE, connect_to(&f, "/dns4/./tcp/1", 0, &result));
  close_fixture(&f);
}

/* A node that joins by a name. */
static void test_bootstrap(void **state) {
  (void)state;
  fixture f;
  open_fixture(&f, honest);
  char text[128];
  snprintf(text, sizeof(text), "/dns4/four.test/tcp/%u/p2p/%s", f.port, f.id);
  loop_result result;
  assert_ok(connect_to(&f, text, 0, &result));
  assert_true(result.last.addresses.len > 0);
  close_fixture(&f);
}

/* ---- silence ------------------------------------------------------------- */

static void silent(void *user, const char *name, int type, dns_reply *reply) {
  (void)user;
  (void)name;
  (void)type;
  reply->silent = true;
}

static void test_silence(void **state) {
  (void)state;
  fixture f;
  loop_result result;
  open_fixture(&f, silent);
  static const char *const names[] = {"/dns/four.test/tcp/1",
                                      "/dnsaddr/list.test"};
  for (size_t i = 0; i < 2; i++) {
    assert_error(KAD_E_TIMEOUT,
                 connect_to(&f, names[i], 300 * KAD_MILLISECOND, &result));
  }
  assert_true(f.server.queries > 0);
  close_fixture(&f); /* with look-ups under way */
}

/* ---- lies ---------------------------------------------------------------- */

/* a -> b -> a, and each name once more for itself. */
static void circles(void *user, const char *name, int type, dns_reply *reply) {
  (void)user;
  if (type != DNS_TXT) {
    reply->code = DNS_NO_NAME;
    return;
  }
  bool a = is(name, "_dnsaddr.a.test");
  for (int i = 0; i < 8; i++) {
    add_text(reply, a ? "dnsaddr=/dnsaddr/b.test" : "dnsaddr=/dnsaddr/a.test");
  }
}

static void test_circles(void **state) {
  (void)state;
  fixture f;
  loop_result result;
  open_fixture(&f, circles);
  assert_true(connect_to(&f, "/dnsaddr/a.test", 0, &result) < 0);
  assert_true(result.end.statistics.elapsed < 10 * KAD_SECOND);
  assert_in_range(f.server.queries, 2, 16);
  close_fixture(&f);
}

/* As many records as a reply can hold, and the good one last. */
static void flood(void *user, const char *name, int type, dns_reply *reply) {
  const fixture *f = user;
  (void)name;
  if (type == DNS_A) {
    for (int i = 0; i < 3900; i++) {
      add_ip4(reply, "7f000001");
    }
    return;
  }
  if (type != DNS_TXT) {
    reply->code = DNS_NO_NAME;
    return;
  }
  char text[64];
  snprintf(text, sizeof(text), "dnsaddr=/ip4/127.0.0.1/tcp/%u", f->port);
  while (dns_reply_text(reply, text, strlen(text))) {
  }
}

static void test_flood(void **state) {
  (void)state;
  fixture f;
  loop_result result;
  char text[64];
  open_fixture(&f, flood);
  assert_ok(connect_to(&f, "/dnsaddr/flood.test", 0, &result));
  snprintf(text, sizeof(text), "/dns4/flood.test/tcp/%u", f.port);
  assert_ok(connect_to(&f, text, 0, &result));
  close_fixture(&f);
}

/* Records that are too long, empty, cut, with NULs, or of another peer. */
static void nonsense(void *user, const char *name, int type, dns_reply *reply) {
  const fixture *f = user;
  (void)name;
  if (type != DNS_TXT) {
    reply->code = DNS_NO_NAME;
    return;
  }
  static char huge[60000];
  memset(huge, 'x', sizeof(huge));
  memcpy(huge, "dnsaddr=/dns4/", 14);
  dns_reply_text(reply, huge, 2100);
  add_text(reply, "");
  add_text(reply, "dnsaddr=");
  add_text(reply, "dnsaddr=/");
  add_text(reply, "dnsaddr=/ip4/127.0.0.1/tcp/99999");
  dns_reply_text(reply, "dnsaddr=/ip4/127.0.0.1\0/tcp/1", 30);
  dns_reply_text(reply, "dnsaddr=/dns4/a\0b.test/tcp/1", 28);
  add_text(reply, "DNSADDR=/ip4/127.0.0.1/tcp/1");
  char text[256];
  snprintf(text, sizeof(text), "dnsaddr=/ip4/127.0.0.1/tcp/%u/p2p/%s", f->port,
           f->id);
  add_text(reply, text);
  dns_reply_text(reply, huge, 40000);
}

static void test_nonsense(void **state) {
  (void)state;
  fixture f;
  loop_result result;
  open_fixture(&f, nonsense);
  assert_ok(connect_to(&f, "/dnsaddr/nonsense.test", 0, &result));
  close_fixture(&f);
}

/* Replies that are no replies: random bytes behind the right id, and an answer
 * count that is far too high. */
static void garbage(void *user, const char *name, int type, dns_reply *reply) {
  static unsigned number;
  (void)user;
  (void)name;
  (void)type;
  kad_random random;
  kad_random_init_u64(&random, number++);
  reply->garbage = true;
  size_t keep = number % 3 == 0 ? reply->len : 2;
  size_t len = keep + (size_t)kad_random_below(&random, 200);
  reply->bytes[2] = 0x84;
  reply->bytes[3] = 0x80;
  kad__store16(reply->bytes + 6, 0xffff);
  kad_random_bytes(&random, reply->bytes + keep, len - keep);
  if (len > 3) {
    reply->bytes[2] = 0x84;
    reply->bytes[3] = 0x80;
  }
  reply->len = len;
}

static void test_garbage(void **state) {
  (void)state;
  fixture f;
  loop_result result;
  open_fixture(&f, garbage);
  for (int i = 0; i < 6; i++) {
    const char *name = i % 2 == 0 ? "/dnsaddr/x.test" : "/dns4/x.test/tcp/1";
    assert_true(connect_to(&f, name, 200 * KAD_MILLISECOND, &result) < 0);
  }
  close_fixture(&f);
}

static void test_set_servers(void **state) {
  (void)state;
  loop l = {.count = 0};
  kad_node *node = loop_join(&l, NULL);
  assert_error(KAD_E_INVALID_ARGUMENT,
               kad__dns_set_servers(node->host.world, "not an address"));
  loop_close(&l);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_set_servers), cmocka_unit_test(test_names),
      cmocka_unit_test(test_ip6),         cmocka_unit_test(test_dnsaddr),
      cmocka_unit_test(test_other_peer),  cmocka_unit_test(test_no_such_name),
      cmocka_unit_test(test_bad_names),   cmocka_unit_test(test_bootstrap),
      cmocka_unit_test(test_silence),     cmocka_unit_test(test_circles),
      cmocka_unit_test(test_flood),       cmocka_unit_test(test_nonsense),
      cmocka_unit_test(test_garbage),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
