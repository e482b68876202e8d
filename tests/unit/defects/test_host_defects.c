/* Defects of rust-libp2p's kad that take whole hosts to show: swarms,
 * connections, protocols. */
#include "hosts.h"
#include "kadmium/multiaddr.h"
#include "support.h"
#include "wire/addresses.h"

#define KAD_NAME "/ipfs/kad/1.0.0"

static hosts *start(size_t count) {
  return hosts_new(kad_allocator_default(), count, "10.0.0", 42);
}

static size_t table(const host *me) {
  return kad__dht_table_size(me->dht);
}

static uint64_t announced(const host *me) {
  return kad__dht_counters_get(me->dht)->requests[KAD__ADD_PROVIDER];
}

/* Every connection breaks between the lookup and the announcement, as an idle
 * one may: they are made again, and everybody hears of the provider. */
static void test_d1_announcements_are_dialled_for(void **state) {
  (void)state;
  hosts *h = start(4);
  host *me = &h->host[0];
  for (size_t i = 1; i < h->count; i++) {
    hosts_connect(h, 0, i);
  }
  for (size_t i = 1; i < h->count; i++) {
    kad__swarm_disconnect_peer(me->swarm, &h->host[i].id, h->now);
  }
  hosts_run(h);
  for (size_t i = 1; i < h->count; i++) {
    assert_false(kad__swarm_connected(me->swarm, &h->host[i].id));
  }
  kad__query_id query = 0;
  assert_ok(kad__dht_provide(me->dht, &query, kad__bytes_of("key"), h->now));
  hosts_run(h);
  hosts_wait(h, h->now + 2 * KAD_SECOND);
  assert_int_equal(me->ended, 1);
  assert_int_equal(me->query.stored, 3);
  for (size_t i = 1; i < h->count; i++) {
    assert_int_equal(announced(&h->host[i]), 1);
  }
  hosts_free(h);
}

/* A client may ask, but asking makes no server of it. */
static void test_d16_clients_that_ask_stay_outside(void **state) {
  (void)state;
  hosts *h = start(2);
  host *client = &h->host[1];
  assert_int_equal(kad__kad_set_mode(client->kad, KAD__MODE_CLIENT), 1);
  hosts_connect(h, 0, 1);
  kad__query_id query = 0;
  for (int i = 0; i < 5; i++) {
    assert_ok(kad__dht_find_closest(client->dht, &query, kad__bytes_of("key"),
                                    20, h->now));
    hosts_run(h);
    assert_int_equal(table(&h->host[0]), 0);
  }
  assert_int_equal(client->ended, 5);
  assert_true(kad__kad_counters_get(h->host[0].kad)->requests_in >= 5);
  hosts_free(h);
}

/* The same status again, and two changes before either is heard: the last word
 * counts, and it is not lost. */
static void test_d17_the_last_status_counts(void **state) {
  (void)state;
  hosts *h = start(2);
  hosts_connect(h, 0, 1);
  host *changing = &h->host[1];
  for (int i = 0; i < 3; i++) {
    kad__identify_push_all(changing->identify, h->now);
    hosts_run(h);
    assert_int_equal(table(&h->host[0]), 1);
  }
  assert_int_equal(kad__kad_set_mode(changing->kad, KAD__MODE_CLIENT), 1);
  kad__identify_push_all(changing->identify, h->now);
  assert_int_equal(kad__kad_set_mode(changing->kad, KAD__MODE_SERVER), 1);
  kad__identify_push_all(changing->identify, h->now);
  hosts_run(h);
  hosts_wait(h, h->now + 10 * KAD_SECOND);
  assert_int_equal(table(&h->host[0]), 1);
  hosts_free(h);
}

/* Dialled by an address alone, a peer stands in the table with that address,
 * and can be removed with it. */
static void test_d19_addresses_have_one_form(void **state) {
  (void)state;
  hosts *h = start(2);
  host *me = &h->host[0];
  const host *them = &h->host[1];
  kad_bytes address = kad__bytes(them->address, them->address_len);
  kad__id dial = 0;
  assert_ok(kad__swarm_dial_address(me->swarm, &dial, address, h->now));
  hosts_run(h);
  assert_int_equal(table(me), 1);
  kad__wire_peer peer;
  kad_bytes id = kad_peer_id_bytes(&them->id);
  assert_int_equal(kad__dht_closest_local(me->dht, &peer, 1, id,
                                          kad__bytes(NULL, 0), h->now),
                   1);
  assert_int_equal(kad__addresses_count(peer.addresses), 1);
  assert_true(kad__addresses_have(peer.addresses, address));
  assert_true(kad__dht_remove_address(me->dht, id, address));
  assert_int_equal(table(me), 0);
  hosts_free(h);
}

/* The bound on a connection's streams cannot be got round without end: a peer
 * has a bounded number of connections. */
static void test_d36_connections_of_a_peer_are_bounded(void **state) {
  (void)state;
  hosts *h = start(2);
  host *me = &h->host[0];
  const host *them = &h->host[1];
  kad_bytes address = kad__bytes(them->address, them->address_len);
  kad_bytes name = kad__bytes_of(KAD_NAME);
  kad__protocol_names names = {.names = &name, .count = 1};
  for (size_t i = 0; i < 20; i++) {
    kad__id dial = 0;
    (void)kad__swarm_dial_address(me->swarm, &dial, address, h->now);
    hosts_run(h);
    hosts_wait(h, h->now + KAD_SECOND);
  }
  kad__swarm_config config;
  kad__swarm_config_default(&config);
  for (size_t i = 0; i < 400; i++) {
    kad__stream *stream = NULL;
    if (kad__stream_open(me->swarm, &stream, &them->id, names,
                         TEST_TAG | KAD__TAG_OURS, NULL, h->now) == 0) {
      hosts_run(h);
    }
  }
  assert_true(kad__kad_inbound_count(them->kad) <=
              (size_t)32 * config.max_connections_per_peer);
  assert_true(kad__kad_inbound_count(them->kad) >= 32);
  hosts_free(h);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_d1_announcements_are_dialled_for),
      cmocka_unit_test(test_d16_clients_that_ask_stay_outside),
      cmocka_unit_test(test_d17_the_last_status_counts),
      cmocka_unit_test(test_d19_addresses_have_one_form),
      cmocka_unit_test(test_d36_connections_of_a_peer_are_bounded),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
