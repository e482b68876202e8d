/* Joining: rounds, patience, and who counts as a member. */
#include "kadmium/multiaddr.h"
#include "network.h"

static size_t table_size(network *n, uint32_t node) {
  kad_node_status status;
  kad__node_status(kad__simulator_node(n->sim, node), &status);
  return status.table_size;
}

static bool is_ready(network *n, uint32_t node) {
  kad_node_status status;
  kad__node_status(kad__simulator_node(n->sim, node), &status);
  return status.ready;
}

/* When the next DIAL_FAILED of `node` comes. */
static kad_time next_failure(network *n, uint32_t node, int error) {
  kad_event event = network_await(n, node, KAD_EVENT_DIAL_FAILED, 2 * KAD_HOUR);
  assert_error(error, event.error);
  assert_true(event.addresses.len > 0);
  return kad__simulator_now(n->sim);
}

/* Rounds begin 2, 4, 8 ... seconds after the one before, at most a minute; the
 * simulator takes 5 s to fail a dial. */
static void test_patience(void **state) {
  static const kad_time pauses[] = {2, 4, 8, 16, 32, 60, 60};
  (void)state;
  network n;
  network_open(&n, 1);
  network_add(&n, NOBODY);
  kad__simulator_crash(n.sim, 0);
  uint32_t node = network_add(&n, 0);
  kad_time last = next_failure(&n, node, KAD_E_TIMEOUT);
  for (size_t i = 0; i < sizeof(pauses) / sizeof(pauses[0]); i++) {
    kad_time at = next_failure(&n, node, KAD_E_TIMEOUT);
    kad_time low = pauses[i] * KAD_SECOND + 5 * KAD_SECOND;
    assert_in_range(at - last, low, low + KAD_SECOND);
    last = at;
  }
  assert_false(is_ready(&n, node));
  network_close(&n);
}

/* A node that comes back from being cut off starts at the shortest pause. */
static void test_patience_starts_anew(void **state) {
  (void)state;
  network n;
  network_open(&n, 2);
  network_grow(&n, 1);
  kad__simulator_partition(n.sim, 1, true);
  uint32_t node = network_add(&n, 0);
  for (int i = 0; i < 6; i++) {
    (void)next_failure(&n, node, KAD_E_TIMEOUT);
  }
  kad__simulator_partition(n.sim, 1, false);
  (void)network_await(&n, node, KAD_EVENT_READY, 2 * KAD_MINUTE);
  assert_int_equal(table_size(&n, node), 1);
  /* Its table empties only when a peer has failed again and again. */
  kad__simulator_crash(n.sim, 0);
  kad_time first = next_failure(&n, node, KAD_E_TIMEOUT);
  kad_time second = next_failure(&n, node, KAD_E_TIMEOUT);
  /* The first round after the loss follows within the shortest pause. */
  assert_in_range(second - first, 5 * KAD_SECOND, 10 * KAD_SECOND);
  network_close(&n);
}

/* Alone, with a table that is not empty: the contacts are tried again a minute
 * after the first call that failed, and the node is back when one of them is.
 */
static void test_alone_with_a_table(void **state) {
  (void)state;
  network n;
  network_open(&n, 10);
  network_grow(&n, 3);
  network_pass(&n, KAD_MINUTE);
  assert_int_equal(table_size(&n, 2), 2);
  kad__simulator_partition(n.sim, 2, true);
  network_pass(&n, 30 * KAD_SECOND);
  kad_request get = KAD_REQUEST_INIT(KAD_GET);
  get.key = kad__bytes_of("key");
  kad_time asked = kad__simulator_now(n.sim);
  kad_request_id id = 0;
  assert_ok(kad__simulator_start(n.sim, 2, &id, &get));
  assert_true(network_finish(&n, 2, id, KAD_MINUTE).end.error < 0);
  assert_int_equal(table_size(&n, 2), 2);
  (void)next_failure(&n, 2, KAD_E_TIMEOUT);
  assert_true(kad__simulator_now(n.sim) - asked < 90 * KAD_SECOND);
  kad__simulator_partition(n.sim, 2, false);
  network_pass(&n, 2 * KAD_MINUTE);
  kad_event event;
  uint32_t from = 0;
  while (kad__simulator_poll(n.sim, &from, &event)) {
  }
  /* All is well: nobody dials contacts any more. */
  kad_time until = kad__simulator_now(n.sim) + 10 * KAD_MINUTE;
  do {
    while (kad__simulator_poll(n.sim, &from, &event)) {
      assert_int_not_equal(event.type, KAD_EVENT_DIAL_FAILED);
    }
  } while (kad__simulator_step(n.sim, until));
  assert_int_equal(table_size(&n, 2), 2);
  network_close(&n);
}

static void test_joins_when_the_contact_comes(void **state) {
  (void)state;
  network n;
  network_open(&n, 3);
  network_grow(&n, 2);
  kad__simulator_partition(n.sim, 2, true);
  uint32_t node = network_add(&n, 0);
  (void)next_failure(&n, node, KAD_E_TIMEOUT);
  (void)next_failure(&n, node, KAD_E_TIMEOUT);
  assert_false(is_ready(&n, node));
  kad__simulator_partition(n.sim, 2, false);
  (void)network_await(&n, node, KAD_EVENT_READY, KAD_MINUTE);
  assert_true(is_ready(&n, node));
  network_pass(&n, KAD_MINUTE);
  assert_int_equal(table_size(&n, node), 2);
  network_close(&n);
}

/* READY is told once, however often a node loses its network. */
static void test_ready_once(void **state) {
  (void)state;
  network n;
  network_open(&n, 4);
  network_grow(&n, 2);
  kad__simulator_partition(n.sim, 1, true);
  network_pass(&n, 20 * KAD_MINUTE);
  kad__simulator_partition(n.sim, 1, false);
  kad_time until = kad__simulator_now(n.sim) + 10 * KAD_MINUTE;
  kad_event event;
  uint32_t from = 0;
  do {
    while (kad__simulator_poll(n.sim, &from, &event)) {
      assert_int_not_equal(event.type, KAD_EVENT_READY);
    }
  } while (kad__simulator_step(n.sim, until));
  assert_int_equal(table_size(&n, 1), 1);
  network_close(&n);
}

/* Somebody who does not serve our DHT is no way into it. */
static void test_contact_of_another_network(void **state) {
  (void)state;
  network n;
  network_open(&n, 5);
  network_grow(&n, 1);
  n.config.protocol = kad__bytes_of("/other/kad/1.0.0");
  uint32_t node = network_add(&n, 0);
  (void)next_failure(&n, node, KAD_E_NO_PROTOCOL);
  kad_request get = KAD_REQUEST_INIT(KAD_GET);
  get.key = kad__bytes_of("key");
  kad_request_id id = 0;
  int error = kad__simulator_start(n.sim, node, &id, &get);
  if (error == 0) {
    error = network_finish(&n, node, id, KAD_MINUTE).end.error;
  }
  assert_error(KAD_E_NO_PEERS, error);
  assert_int_equal(table_size(&n, node), 0);
  network_close(&n);
}

static void test_contact_that_is_a_client(void **state) {
  (void)state;
  network n;
  network_open(&n, 6);
  n.config.mode = KAD_MODE_CLIENT;
  network_grow(&n, 1);
  n.config.mode = KAD_MODE_AUTO;
  uint32_t node = network_add(&n, 0);
  (void)next_failure(&n, node, KAD_E_NO_PROTOCOL);
  assert_int_equal(table_size(&n, node), 0);
  network_close(&n);
}

/* A client finds others; nobody finds the client. */
static void test_client(void **state) {
  (void)state;
  network n;
  network_open(&n, 7);
  network_grow(&n, 3);
  n.config.mode = KAD_MODE_CLIENT;
  uint32_t client = network_add(&n, 1);
  (void)network_await(&n, client, KAD_EVENT_READY, KAD_MINUTE);
  network_pass(&n, 10 * KAD_MINUTE);
  assert_int_equal(table_size(&n, client), 3);
  for (uint32_t i = 0; i < 3; i++) {
    assert_int_equal(table_size(&n, i), 2);
  }
  network_close(&n);
}

/* A contact that vanishes between the dial and identify. */
static void test_contact_that_vanishes(void **state) {
  (void)state;
  for (kad_time at = 0; at < 600; at += 40) {
    network n;
    network_open(&n, 8);
    network_grow(&n, 1);
    uint32_t node = network_add(&n, 0);
    network_pass(&n, at * KAD_MILLISECOND);
    kad__simulator_crash(n.sim, 0);
    kad_request get = KAD_REQUEST_INIT(KAD_GET);
    get.key = kad__bytes_of("key");
    kad_request_id id = 0;
    int error = kad__simulator_start(n.sim, node, &id, &get);
    if (error == 0) {
      error = network_finish(&n, node, id, 2 * KAD_MINUTE).end.error;
    }
    assert_true(error < 0);
    network_close(&n);
  }
}

/* A contact that cannot even be dialled does not end the rounds. */
static void test_contact_of_no_use(void **state) {
  (void)state;
  network n;
  network_open(&n, 9);
  uint8_t address[KAD_MULTIADDR_MAX];
  int len = kad_multiaddr_parse(address, sizeof(address),
                                "/ip4/10.0.0.0/udp/4001/quic-v1");
  assert_ok(len);
  kad_bytes contact = kad__bytes(address, (size_t)len);
  n.config.bootstrap = &contact;
  n.config.bootstrap_count = 1;
  uint32_t node = network_add(&n, NOBODY);
  kad_time last = next_failure(&n, node, KAD_E_NO_ADDRESS);
  for (kad_time pause = 2; pause <= 32; pause *= 2) {
    kad_time at = next_failure(&n, node, KAD_E_NO_ADDRESS);
    assert_true(at - last == pause * KAD_SECOND);
    last = at;
  }
  network_close(&n);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_patience),
      cmocka_unit_test(test_patience_starts_anew),
      cmocka_unit_test(test_alone_with_a_table),
      cmocka_unit_test(test_joins_when_the_contact_comes),
      cmocka_unit_test(test_ready_once),
      cmocka_unit_test(test_contact_of_another_network),
      cmocka_unit_test(test_contact_that_is_a_client),
      cmocka_unit_test(test_client),
      cmocka_unit_test(test_contact_that_vanishes),
      cmocka_unit_test(test_contact_of_no_use),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
