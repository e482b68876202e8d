/* Two nodes with something between them: a box that cuts what they say into
 * single bytes or sticks it together, that resets connections in their midst,
 * damages what they carry so that TCP does not notice, or forgets them as a
 * router does. Whatever happens to one connection, it ends with an error that
 * has a name, and the next one works. */
#include <fcntl.h>
#include <unistd.h>

#include "relay.h"

#define NAT_REBINDINGS 40
/* At a byte of a length, a peer may wait for what does not come. */
#define WAIT (300 * KAD_MILLISECOND)

typedef struct pair {
  loop net;
  kad_node *server;
  kad_node *client; /* does not listen: the server never calls it */
  relay box;
  uint8_t address[KAD_MULTIADDR_MAX]; /* of the server, through the box */
  size_t address_len;
  bool shut; /* the client dials nobody */
} pair;

/* The only way is through the box, whatever identify may tell. */
static bool through_the_box(void *user, const kad_peer_id *peer,
                            kad_bytes address) {
  (void)peer;
  const pair *p = user;
  kad_multiaddr_part part;
  return !p->shut &&
         kad_multiaddr_find(address, KAD_MULTIADDR_TCP, &part, NULL) &&
         kad__load16(part.value.data) == p->box.port;
}

static void open_secured_pair(pair *p, kad_security security) {
  char text[KAD_MULTIADDR_TEXT_MAX];
  char id[KAD_PEER_ID_TEXT_MAX];
  memset(p, 0, sizeof(*p));
  p->server = loop_join(&p->net, NULL);
  relay_open(&p->box, &p->net, loop_port(p->server));
  kad_node_options options = loop_options();
  options.security[0] = (uint8_t)security;
  options.listen_count = 0;
  options.mode = KAD_MODE_CLIENT;
  kad_gater gater = {.user = p, .dial_address = through_the_box};
  options.gater = &gater;
  p->client = loop_add(&p->net, &options);
  assert_ok(kad_peer_id_format(id, sizeof(id), kad_node_id(p->server)));
  snprintf(text, sizeof(text), "/ip4/127.0.0.1/tcp/%u/p2p/%s", p->box.port, id);
  int len = kad_multiaddr_parse(p->address, sizeof(p->address), text);
  assert_ok(len);
  p->address_len = (size_t)len;
}

static void open_pair(pair *p) {
  open_secured_pair(p, KAD_SECURITY_NOISE);
}

static void close_pair(pair *p) {
  loop_close(&p->net);
  relay_close(&p->box, &p->net);
}

/* By the address, so that it is dialled whatever has failed before. */
static int dial(pair *p, kad_operation operation, kad_time timeout) {
  kad_request r = KAD_REQUEST_INIT(operation);
  loop_result result;
  r.address = kad__bytes(p->address, p->address_len);
  r.timeout = timeout;
  loop_run(&p->net, p->client, &r, &result);
  return result.end.error;
}

/* Over the connection that there is; otherwise where the peer was last. */
static int ping(pair *p) {
  kad_request r = KAD_REQUEST_INIT(KAD_PING);
  loop_result result;
  r.peer = *kad_node_id(p->server);
  r.timeout = 5 * KAD_SECOND;
  loop_run(&p->net, p->client, &r, &result);
  return result.end.error;
}

static void take_events(pair *p) {
  kad_event event;
  for (size_t i = 0; i < p->net.count; i++) {
    while (kad_node_poll(p->net.nodes[i], &event)) {
    }
  }
}

static bool connected(pair *p) {
  return kad_node_connectedness(p->client, kad_node_id(p->server)) ==
             KAD_CONNECTED ||
         kad_node_connectedness(p->server, kad_node_id(p->client)) ==
             KAD_CONNECTED;
}

/* Resets whatever goes through the box, until neither side has a connection:
 * what the nodes do by themselves may have dialled, too. */
static void part(pair *p) {
  kad_time until = loop_now() + LOOP_LIMIT;
  p->shut = true;
  relay_reset(&p->box);
  for (int i = 0; i < 5 || connected(p); i++) {
    assert_true(loop_now() < until);
    take_events(p);
    loop_turn(&p->net, i < 5 ? 0 : 10);
    relay_reset(&p->box);
  }
  p->shut = false;
}

static void put_and_get(pair *p, size_t len) {
  loop_result result;
  uint8_t *value = malloc(len);
  memset(value, 'v', len);
  kad_request r = KAD_REQUEST_INIT(KAD_PUT);
  r.key = kad__bytes_of("key");
  r.value = kad__bytes(value, len);
  loop_run(&p->net, p->client, &r, &result);
  assert_ok(result.end.error);
  assert_int_equal(result.end.statistics.stored, 1);
  r.operation = KAD_GET;
  kad_node_remove_record(p->client, r.key);
  loop_run(&p->net, p->client, &r, &result);
  assert_ok(result.end.error);
  assert_bytes_equal(result.last.value, r.value);
  free(value);
}

/* The client's table learns of the server when it has identified itself. */
static void join(pair *p) {
  assert_ok(dial(p, KAD_CONNECT, LOOP_LIMIT));
  (void)loop_await(&p->net, p->client, KAD_EVENT_ROUTING_ADDED, 0);
}

/* ---- pieces -------------------------------------------------------------- */

static void in_pieces(relay_plan plan) {
  pair p;
  open_pair(&p);
  p.box.plan = plan;
  join(&p);
  put_and_get(&p, 3000);
  assert_ok(ping(&p));
  assert_int_equal(p.box.accepted, 1);
  close_pair(&p);
}

static void test_single_bytes(void **state) {
  (void)state;
  relay_plan plan = RELAY_PLAIN;
  plan.piece = 1;
  in_pieces(plan);
}

static void test_odd_pieces(void **state) {
  (void)state;
  relay_plan plan = RELAY_PLAIN;
  plan.hold = plan.piece = 17;
  in_pieces(plan);
}

static void test_stuck_together(void **state) {
  (void)state;
  relay_plan plan = RELAY_PLAIN;
  plan.hold = 60000;
  in_pieces(plan);
}

/* ---- ends in between ----------------------------------------------------- */

static void check_named(int error) {
  if (error >= 0 || error == KAD_E_IO) {
    fail_msg("it is called %s", kad_error_name(error));
  }
}

static size_t open_files(void) {
  size_t count = 0;
  for (int fd = 0; fd < 1024; fd++) {
    count += fcntl(fd, F_GETFD) >= 0;
  }
  return count;
}

/* How many bytes one side says until both are at rest. */
static size_t measure(pair *p, relay_side from) {
  join(p);
  for (int i = 0; i < 20; i++) {
    take_events(p);
    loop_turn(&p->net, 1);
  }
  size_t all = relay_forwarded(&p->box, from);
  part(p);
  return all;
}

/* One connection with that plan: it fails, or is made and fails later; then one
 * without. Returns true when it failed before it was made. */
static bool fails_once(pair *p, relay_plan plan) {
  p->box.plan = plan;
  int error = dial(p, KAD_PING, WAIT);
  bool early = error < 0;
  if (early) {
    check_named(error);
  }
  part(p); /* those who wait for more, too */
  p->box.plan = RELAY_PLAIN;
  assert_ok(dial(p, KAD_PING, LOOP_LIMIT));
  part(p);
  return early;
}

static void at_bytes(kad_security security, size_t step, relay_side from,
                     bool damage) {
  pair p;
  open_secured_pair(&p, security);
  size_t all = measure(&p, from);
  size_t files = open_files();
  size_t early = 0;
  assert_true(all > 300);
  for (size_t at = 0; at < all; at += step) {
    relay_plan plan = RELAY_PLAIN;
    plan.from = from;
    *(damage ? &plan.damaged_at : &plan.reset_at) = at;
    early += fails_once(&p, plan);
  }
  printf("%zu bytes, at %zu of them no connection came to be\n", all, early);
  assert_true(early > 200 / step);
  assert_int_equal(open_files(), files);
  close_pair(&p);
}

static void test_reset_at_each_byte(void **state) {
  (void)state;
  at_bytes(KAD_SECURITY_NOISE, 1, RELAY_DIALER, false);
  at_bytes(KAD_SECURITY_NOISE, 1, RELAY_LISTENER, false);
  at_bytes(KAD_SECURITY_TLS, 7, RELAY_DIALER, false);
  at_bytes(KAD_SECURITY_TLS, 7, RELAY_LISTENER, false);
}

static void test_damage_at_each_byte(void **state) {
  (void)state;
  at_bytes(KAD_SECURITY_NOISE, 1, RELAY_DIALER, true);
  at_bytes(KAD_SECURITY_NOISE, 1, RELAY_LISTENER, true);
  at_bytes(KAD_SECURITY_TLS, 7, RELAY_DIALER, true);
  at_bytes(KAD_SECURITY_TLS, 7, RELAY_LISTENER, true);
}

/* Why a node says that its connection has ended; 0 as long as it has not. */
static int ended(kad_node *node) {
  kad_event event;
  while (kad_node_poll(node, &event)) {
    if (event.type == KAD_EVENT_DISCONNECTED) {
      return event.error;
    }
  }
  return 0;
}

/* Established, and then a bit of what is encrypted changes: whoever reads it
 * knows why it ends, the other side hears of the end, and the next request
 * dials. */
static void later_damage(relay_side from) {
  pair p;
  open_pair(&p);
  join(&p);
  relay_count_anew(&p.box);
  p.box.plan.from = from;
  p.box.plan.damaged_at = 2; /* behind a frame's length */
  kad_request r = KAD_REQUEST_INIT(KAD_PING);
  kad_request_id id;
  r.peer = *kad_node_id(p.server);
  assert_ok(kad_node_start(p.client, &id, &r));
  int server = 0;
  int client = 0;
  kad_time until = loop_now() + LOOP_LIMIT;
  while ((server == 0 || client == 0) && loop_now() < until) {
    server = server == 0 ? ended(p.server) : server;
    client = client == 0 ? ended(p.client) : client;
    loop_turn(&p.net, 10);
  }
  check_named(server);
  check_named(client);
  assert_error(KAD_E_DECRYPT, from == RELAY_DIALER ? server : client);
  p.box.plan = RELAY_PLAIN;
  assert_ok(ping(&p));
  assert_true(p.box.accepted >= 2);
  close_pair(&p);
}

static void test_later_damage(void **state) {
  (void)state;
  later_damage(RELAY_DIALER);
  later_damage(RELAY_LISTENER);
}

/* ---- a router that forgets ----------------------------------------------- */

static size_t count_addresses(kad_node *node, const kad_peer_id *peer) {
  kad_peer_info info;
  kad_bytes address;
  size_t count = 0;
  if (kad_node_peer_info(node, &info, peer) < 0) {
    return 0;
  }
  while (kad_addresses_next(&info.addresses, &address)) {
    count++;
  }
  return count;
}

typedef struct sizes {
  size_t server_table;
  size_t client_table;
  size_t server_peers;
  size_t client_peers;
  size_t server_addresses; /* of the client */
  size_t client_addresses;
} sizes;

static sizes look(pair *p) {
  kad_node_status server;
  kad_node_status client;
  kad_node_get_status(p->server, &server);
  kad_node_get_status(p->client, &client);
  return (sizes){
      .server_table = server.table_size,
      .client_table = client.table_size,
      .server_peers = kad_node_known_peers(p->server),
      .client_peers = kad_node_known_peers(p->client),
      .server_addresses = count_addresses(p->server, kad_node_id(p->client)),
      .client_addresses = count_addresses(p->client, kad_node_id(p->server))};
}

static void check_same(sizes a, sizes b) {
  assert_int_equal(a.server_table, b.server_table);
  assert_int_equal(a.client_table, b.client_table);
  assert_int_equal(a.server_peers, b.server_peers);
  assert_int_equal(a.client_peers, b.client_peers);
  assert_int_equal(a.server_addresses, b.server_addresses);
  assert_int_equal(a.client_addresses, b.client_addresses);
}

/* The server holds as many dead connections as one peer may have, and waits a
 * second for them to answer before the next one is let in. */
static void come_back(pair *p) {
  kad_time until = loop_now() + 10 * KAD_SECOND;
  int error = ping(p);
  while (error < 0) {
    if (loop_now() > until) {
      fail_msg("%s", kad_error_name(error));
    }
    kad_time again = loop_now() + 100 * KAD_MILLISECOND;
    while (loop_now() < again) {
      take_events(p);
      loop_turn(&p->net, 10);
    }
    error = ping(p);
  }
  take_events(p);
}

/* The client is reset and comes back from another port, again and again, far
 * faster than any router forgets. */
static void test_rebinding(void **state) {
  (void)state;
  pair p;
  open_pair(&p);
  join(&p);
  assert_ok(ping(&p));
  sizes before = look(&p);
  for (size_t i = 1; i <= NAT_REBINDINGS; i++) {
    relay_forget(&p.box);
    (void)loop_await(&p.net, p.client, KAD_EVENT_DISCONNECTED, 0);
    come_back(&p);
    assert_true(p.box.accepted > i);
  }
  check_same(look(&p), before);
  kad_node_status status;
  kad_node_get_status(p.server, &status);
  printf("%u connections are held for one peer\n", status.connections);
  assert_in_range(status.connections, 1, 8);
  close_pair(&p);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_single_bytes),
      cmocka_unit_test(test_odd_pieces),
      cmocka_unit_test(test_stuck_together),
      cmocka_unit_test(test_reset_at_each_byte),
      cmocka_unit_test(test_damage_at_each_byte),
      cmocka_unit_test(test_later_damage),
      cmocka_unit_test(test_rebinding),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
