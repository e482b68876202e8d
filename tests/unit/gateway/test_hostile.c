/* What strangers, liars and floods get from a gateway: nothing, or little. */
#include "world.h"

static world w;
static uint8_t bytes[KAD__UDP_DATAGRAM_MAX];
static kad__udp_message m;
static kad__udp_address to;
static kad__query_id query;

static int setup(void **state) {
  (void)state;
  world_init(&w, 2, 42);
  return 0;
}

static int teardown(void **state) {
  (void)state;
  world_fini(&w);
  return 0;
}

static const kad__udp_counters *counters(void) {
  return kad__udp_counters_get(w.nodes[0].udp);
}

static const uint8_t *some_id(uint8_t fill) {
  static uint8_t ids[256][32];
  memset(ids[fill], fill, 32);
  return ids[fill];
}

/* A request of the peer `id`, with the random id `request`. */
static kad__udp_message ask(kad__udp_ask what, uint8_t request, uint8_t id) {
  return (kad__udp_message){
      .type = KAD__UDP_REQUEST,
      .request = {
          .id = some_id(request),
          .sender = {.address = kad__bytes_of("10.9.9.9:9"), .id = some_id(id)},
          .ask = what,
          .key = some_id(0x77),
          .value = kad__bytes_of("value")}};
}

/* Node 0 asks node 1; its request is in `m`. */
static void start_call(void) {
  world_introduce(&w, 0, 1);
  assert_ok(kad__dht_find_closest(w.nodes[0].dht, &query,
                                  kad__bytes(some_id(0x11), 32), 1, w.now));
  assert_true(world_fetch(&w, 0, &m, bytes, &to));
  assert_int_equal(m.request.ask, KAD__UDP_FIND_NODE);
}

/* Makes `m` the answer of node 1. */
static void make_answer(void) {
  m.type = KAD__UDP_RESPONSE;
  m.receiver = (kad__udp_node){.address = kad__bytes_of("10.0.0.2:4000"),
                               .id = w.nodes[1].id};
  m.reply = KAD__UDP_NODES;
}

static void prove(uint8_t id, const kad__udp_address *at) {
  kad__udp_message request = ask(KAD__UDP_PING, 0xee, id);
  assert_ok(world_hand(&w, 0, at, &request));
  assert_true(world_fetch(&w, 0, &m, bytes, &to));
  assert_int_equal(m.type, KAD__UDP_REQUEST);
  m.type = KAD__UDP_RESPONSE;
  m.receiver =
      (kad__udp_node){.address = kad__bytes_of("x"), .id = some_id(id)};
  m.reply = KAD__UDP_PONG;
  assert_ok(world_hand(&w, 0, at, &m));
  assert_true(world_fetch(&w, 0, &m, bytes, &to));
  assert_int_equal(m.type, KAD__UDP_RESPONSE);
}

/* ---- answers ------------------------------------------------------------ */

static void test_a_good_answer(void **state) {
  (void)state;
  start_call();
  make_answer();
  assert_ok(world_hand(&w, 0, &to, &m));
  assert_int_equal(counters()->replies, 1);
  assert_int_equal(kad__udp_peer_count(w.nodes[0].udp), 1);
  /* Once only. */
  assert_error(KAD_E_NOT_FOUND, world_hand(&w, 0, &to, &m));
  assert_int_equal(counters()->strays, 1);
}

static void test_from_elsewhere(void **state) {
  kad__udp_address elsewhere = world_address(99);
  (void)state;
  start_call();
  make_answer();
  assert_error(KAD_E_NOT_FOUND, world_hand(&w, 0, &elsewhere, &m));
  assert_int_equal(kad__udp_call_count(w.nodes[0].udp), 1);
  assert_ok(world_hand(&w, 0, &to, &m));
}

static void test_wrong_request_id(void **state) {
  (void)state;
  start_call();
  make_answer();
  uint8_t id[32];
  memcpy(id, m.request.id, 32);
  for (size_t bit = 0; bit < 256; bit++) {
    id[bit / 8] ^= (uint8_t)(1u << bit % 8);
    m.request.id = id;
    assert_error(KAD_E_NOT_FOUND, world_hand(&w, 0, &to, &m));
    id[bit / 8] ^= (uint8_t)(1u << bit % 8);
  }
  assert_int_equal(counters()->strays, 256);
  assert_int_equal(kad__udp_peer_count(w.nodes[0].udp), 0);
  assert_ok(world_hand(&w, 0, &to, &m));
}

static void test_another_peer_answers(void **state) {
  (void)state;
  start_call();
  make_answer();
  m.receiver.id = some_id(0x55);
  assert_error(KAD_E_PEER_MISMATCH, world_hand(&w, 0, &to, &m));
  assert_int_equal(kad__udp_call_count(w.nodes[0].udp), 0);
  assert_int_equal(kad__udp_peer_count(w.nodes[0].udp), 0);
}

static void test_an_answer_to_another_question(void **state) {
  static const kad__udp_reply wrong[] = {KAD__UDP_PONG, KAD__UDP_VALUE};
  (void)state;
  for (size_t i = 0; i < KAD__COUNT(wrong); i++) {
    start_call();
    make_answer();
    m.reply = wrong[i];
    assert_error(KAD_E_MESSAGE, world_hand(&w, 0, &to, &m));
    assert_int_equal(kad__udp_call_count(w.nodes[0].udp), 0);
    world_run(&w, KAD_MINUTE);
  }
  assert_int_equal(counters()->mismatches, 2);
}

/* Nodes without an address that can be used are passed over, and so are we. */
static void test_bad_nodes(void **state) {
  static const char *const addresses[] = {
      "localhost:1", "0.0.0.0:1", "1.2.3.4:0", "", "1.2.3.4:5", "[::1]:7"};
  (void)state;
  start_call();
  make_answer();
  for (size_t i = 0; i < KAD__COUNT(addresses); i++) {
    m.nodes[i] = (kad__udp_node){.address = kad__bytes_of(addresses[i]),
                                 .id = some_id((uint8_t)(0x20 + i))};
  }
  m.nodes[6] = (kad__udp_node){.address = kad__bytes_of("1.2.3.4:5"),
                               .id = w.nodes[0].id};
  m.node_count = 7;
  assert_ok(world_hand(&w, 0, &to, &m));
  assert_int_equal(counters()->nodes_passed, 4);
  assert_true(world_fetch(&w, 0, &m, bytes, &to));
  assert_true(world_fetch(&w, 0, &m, bytes, &to));
  assert_false(world_fetch(&w, 0, &m, bytes, &to));
}

/* A refusal is an answer: the peer is alive, the record is not stored. */
static void test_a_refused_store(void **state) {
  kad__quorum one = {.kind = KAD__QUORUM_ONE};
  const kad_bytes *peer = &(kad_bytes){w.nodes[1].id, 32};
  kad__wire_record r = {.key = kad__bytes(some_id(0x70), 32),
                        .value = kad__bytes_of("value")};
  (void)state;
  world_introduce(&w, 0, 1);
  assert_ok(kad__dht_put_to(w.nodes[0].dht, &query, &r, peer, 1, one, w.now));
  assert_true(world_fetch(&w, 0, &m, bytes, &to));
  assert_int_equal(m.request.ask, KAD__UDP_STORE);
  make_answer();
  assert_ok(world_hand(&w, 0, &to, &m));
  world_finish(&w, 0, query);
  assert_int_equal(w.end.stored, 0);
  assert_int_equal(kad__dht_table_size(w.nodes[0].dht), 1);
}

/* ---- proofs ------------------------------------------------------------- */

/* Who asks is answered where the datagram came from, and asked in turn. */
static void test_a_stranger(void **state) {
  kad__udp_address at = world_address(77);
  kad__udp_message request = ask(KAD__UDP_FIND_NODE, 1, 0x33);
  (void)state;
  assert_ok(world_hand(&w, 0, &at, &request));
  assert_int_equal(kad__udp_peer_count(w.nodes[0].udp), 0);
  assert_int_equal(kad__udp_proof_count(w.nodes[0].udp), 1);
  assert_true(world_fetch(&w, 0, &m, bytes, &to));
  assert_int_equal(m.type, KAD__UDP_REQUEST);
  assert_int_equal(m.request.ask, KAD__UDP_PING);
  assert_bytes_equal(kad__udp_address_bytes(&to), kad__udp_address_bytes(&at));
  assert_true(world_fetch(&w, 0, &m, bytes, &to));
  assert_int_equal(m.type, KAD__UDP_RESPONSE);
  assert_bytes_equal(kad__udp_address_bytes(&to), kad__udp_address_bytes(&at));
  assert_memory_equal(m.request.id, some_id(1), 32);
  assert_bytes_equal(m.request.sender.address, request.request.sender.address);
  assert_false(world_fetch(&w, 0, &m, bytes, &to));
  /* Nothing comes back: forgotten. */
  w.loss = 100;
  world_run(&w, 4 * KAD_SECOND);
  assert_int_equal(kad__udp_proof_count(w.nodes[0].udp), 0);
  assert_int_equal(kad__dht_table_size(w.nodes[0].dht), 0);
}

static void test_a_proof(void **state) {
  kad__udp_address at = world_address(77);
  (void)state;
  prove(0x33, &at);
  assert_int_equal(counters()->proofs, 1);
  assert_int_equal(kad__udp_peer_count(w.nodes[0].udp), 1);
  assert_int_equal(kad__dht_table_size(w.nodes[0].dht), 1);
  /* It is not asked again at once, and may store. */
  kad__udp_message request = ask(KAD__UDP_STORE, 2, 0x33);
  assert_ok(world_hand(&w, 0, &at, &request));
  assert_true(world_fetch(&w, 0, &m, bytes, &to));
  assert_int_equal(m.type, KAD__UDP_RESPONSE);
  assert_int_equal(m.reply, KAD__UDP_PONG);
  assert_false(world_fetch(&w, 0, &m, bytes, &to));
  kad__record r;
  assert_true(w.nodes[0].store->ops->get(w.nodes[0].store, &r,
                                         kad__bytes(some_id(0x77), 32)));
}

static void test_a_store_without_proof(void **state) {
  kad__udp_address at = world_address(77);
  kad__udp_address other = world_address(78);
  kad__udp_message request = ask(KAD__UDP_STORE, 2, 0x33);
  kad__record r;
  (void)state;
  assert_error(KAD_E_STATE, world_hand(&w, 0, &at, &request));
  assert_true(world_fetch(&w, 0, &m, bytes, &to));
  prove(0x33, &other);
  /* A proof is of one peer at one address. */
  assert_error(KAD_E_STATE, world_hand(&w, 0, &at, &request));
  request = ask(KAD__UDP_STORE, 2, 0x34);
  assert_error(KAD_E_STATE, world_hand(&w, 0, &other, &request));
  assert_int_equal(counters()->unproved, 3);
  assert_false(w.nodes[0].store->ops->get(w.nodes[0].store, &r,
                                          kad__bytes(some_id(0x77), 32)));
}

/* A forged source: the ping meets the true peer there, who is somebody else. */
static void test_a_false_claim(void **state) {
  kad__udp_address at = world_address(77);
  kad__udp_message request = ask(KAD__UDP_PING, 1, 0x33);
  (void)state;
  prove(0x44, &at);
  world_run(&w, 2 * KAD_SECOND);
  assert_ok(world_hand(&w, 0, &at, &request));
  assert_true(world_fetch(&w, 0, &m, bytes, &to));
  m.type = KAD__UDP_RESPONSE;
  m.receiver =
      (kad__udp_node){.address = kad__bytes_of("x"), .id = some_id(0x44)};
  m.reply = KAD__UDP_PONG;
  assert_error(KAD_E_PEER_MISMATCH, world_hand(&w, 0, &at, &m));
  assert_int_equal(kad__udp_peer_count(w.nodes[0].udp), 1);
  assert_int_equal(kad__udp_proof_count(w.nodes[0].udp), 0);
  request = ask(KAD__UDP_STORE, 1, 0x44);
  assert_ok(world_hand(&w, 0, &at, &request));
}

/* ---- floods ------------------------------------------------------------- */

/* Many sources that do not exist: what leaves is bounded, and so is what is
 * kept; who has proved its address is served as before. */
static void test_forged_sources(void **state) {
  kad__udp_address friend = world_address(1000);
  size_t out = 0;
  (void)state;
  prove(0x44, &friend);
  for (unsigned i = 0; i < 5000; i++) {
    kad__udp_address at = world_address(2000 + i);
    kad__udp_message request = ask(KAD__UDP_FIND_NODE, 1, (uint8_t)i);
    int error = world_hand(&w, 0, &at, &request);
    assert_true(error == 0 || error == KAD_E_LIMIT);
  }
  kad__udp_message request = ask(KAD__UDP_PING, 3, 0x44);
  assert_ok(world_hand(&w, 0, &friend, &request));
  assert_true(counters()->limited > 4000);
  assert_in_range(kad__udp_proof_count(w.nodes[0].udp), 1, 256);
  while (world_fetch(&w, 0, &m, bytes, &to)) {
    out += kad__udp_message_len(&m);
  }
  assert_true(out <= 66 * 1024);
  assert_memory_equal(m.request.id, some_id(3), 32);
  w.loss = 100;
  world_run(&w, 5 * KAD_SECOND);
  assert_int_equal(kad__udp_proof_count(w.nodes[0].udp), 0);
}

static void test_one_peer_asks_too_much(void **state) {
  kad__udp_address at = world_address(77);
  kad__udp_message request = ask(KAD__UDP_PING, 1, 0x33);
  size_t answered = 0;
  (void)state;
  prove(0x33, &at);
  for (int i = 0; i < 1000; i++) {
    answered += world_hand(&w, 0, &at, &request) == 0;
  }
  assert_int_equal(answered, 100);
  w.now += KAD_SECOND / 2;
  for (int i = 0; i < 1000; i++) {
    answered += world_hand(&w, 0, &at, &request) == 0;
  }
  assert_int_equal(answered, 150);
}

static void test_answers_nobody_fetches(void **state) {
  kad__udp_address at = world_address(77);
  static char value[4000];
  kad__udp_message request = ask(KAD__UDP_STORE, 1, 0x33);
  size_t refused = 0;
  (void)state;
  prove(0x33, &at);
  memset(value, 'v', sizeof value - 1);
  request.request.value = kad__bytes_of(value);
  for (int i = 0; i < 1000; i++) {
    refused += world_hand(&w, 0, &at, &request) == KAD_E_LIMIT;
    w.now += 20 * KAD_MILLISECOND;
  }
  assert_true(refused > 500);
  assert_true(counters()->queue_full > 500);
  assert_true(w.memory.live_bytes < (3u << 20));
}

static void test_many_peers(void **state) {
  (void)state;
  for (unsigned i = 0; i < 5000; i++) {
    kad__udp_address at = world_address(i + 100);
    prove((uint8_t)(i % 200), &at);
    w.now += KAD_MILLISECOND * 10;
  }
  assert_int_equal(kad__udp_peer_count(w.nodes[0].udp), 4096);
}

/* ---- odd datagrams ------------------------------------------------------ */

static void test_odd_datagrams(void **state) {
  kad__udp_address at = world_address(77);
  static char address[8100];
  static uint8_t large[KAD__UDP_DATAGRAM_MAX + 1];
  (void)state;
  kad__udp_message kill = {.type = KAD__UDP_KILL};
  assert_error(KAD_E_UNSUPPORTED, world_hand(&w, 0, &at, &kill));
  assert_int_equal(counters()->kills, 1);
  /* From ourselves. */
  kad__udp_message request = ask(KAD__UDP_PING, 1, 0x33);
  request.request.sender.id = w.nodes[0].id;
  assert_error(KAD_E_SELF, world_hand(&w, 0, &at, &request));
  /* Of a sender whose name leaves no room for an answer. */
  memset(address, 'a', sizeof address - 1);
  request = ask(KAD__UDP_FIND_NODE, 1, 0x33);
  request.request.sender.address = kad__bytes(address, 7900);
  assert_ok(world_hand(&w, 0, &at, &request));
  request.request.sender.address = kad__bytes(address, 8030);
  assert_error(KAD_E_MESSAGE_TOO_LARGE, world_hand(&w, 0, &at, &request));
  /* Nonsense. */
  kad__udp *udp = w.nodes[0].udp;
  assert_error(KAD_E_TRUNCATED, kad__udp_input(udp, kad__udp_address_bytes(&at),
                                               kad__bytes(NULL, 0), w.now));
  assert_error(KAD_E_MESSAGE_TOO_LARGE,
               kad__udp_input(udp, kad__udp_address_bytes(&at),
                              kad__bytes(large, sizeof large), w.now));
  assert_error(KAD_E_MULTIADDR, kad__udp_input(udp, kad__bytes_of("10.0.0.1"),
                                               kad__bytes(large, 4), w.now));
  assert_int_equal(counters()->malformed, 3);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(test_a_good_answer),
      TEST(test_from_elsewhere),
      TEST(test_wrong_request_id),
      TEST(test_another_peer_answers),
      TEST(test_an_answer_to_another_question),
      TEST(test_bad_nodes),
      TEST(test_a_refused_store),
      TEST(test_a_stranger),
      TEST(test_a_proof),
      TEST(test_a_store_without_proof),
      TEST(test_a_false_claim),
      TEST(test_forged_sources),
      TEST(test_one_peer_asks_too_much),
      TEST(test_answers_nobody_fetches),
      TEST(test_many_peers),
      TEST(test_odd_datagrams),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
