/* Each public option of the DHT reaches the part that it is for, and one that
 * is 0 leaves the default. */
#include "node/node_internal.h"
#include "support.h"

static void test_nothing_is_the_default(void **state) {
  (void)state;
  static const kad_dht_options none;
  kad__dht_config before;
  kad__dht_config after;
  kad__dht_config_default(&before);
  kad__dht_config_default(&after);
  kad__node_dht_options(&after, &none);
  assert_int_equal(after.bucket_size, 20);
  assert_int_equal(after.replication, 20);
  assert_int_equal(after.parallelism, 10);
  assert_int_equal(after.caching, 1);
  assert_true(after.query_timeout == before.query_timeout);
  assert_true(after.peer_timeout == 10 * KAD_SECOND);
  assert_true(after.pending_timeout == KAD_MINUTE);
  assert_true(after.record_ttl == 48 * KAD_HOUR);
  assert_true(after.provider_ttl == 48 * KAD_HOUR);
  assert_true(after.replication_interval == KAD_HOUR);
  assert_true(after.publication_interval == 22 * KAD_HOUR);
  assert_true(after.provider_publication_interval == 22 * KAD_HOUR);
  assert_true(after.bootstrap_interval == 5 * KAD_MINUTE);
  assert_true(after.bootstrap_throttle == 500 * KAD_MILLISECOND);
  assert_false(after.disjoint_paths || after.manual_inserts ||
               after.trust_peers || after.optimistic_provide);
  kad__kad_config streams;
  kad__kad_config_default(&streams);
  kad__node_kad_options(&streams, &none);
  assert_int_equal(streams.max_request, 64 * 1024);
  assert_int_equal(streams.max_reply, 4 * 1024 * 1024);
  assert_true(streams.idle_timeout == KAD_MINUTE);
}

static void test_each_arrives(void **state) {
  (void)state;
  const kad_dht_options options = {
      .bucket_size = 1,
      .replication = 2,
      .parallelism = 3,
      .disjoint_paths = true,
      .query_timeout = 4,
      .peer_timeout = 5,
      .pending_timeout = 6,
      .caching = 7,
      .record_ttl = 8,
      .provider_ttl = KAD_TIME_NEVER,
      .replication_interval = 10,
      .publication_interval = 11,
      .provider_publication_interval = 12,
      .bootstrap_interval = 13,
      .bootstrap_throttle = 14,
      .manual_inserts = true,
      .trust_peers = true,
      .optimistic_provide = true,
      .max_request = 15,
      .max_reply = 16,
      .stream_timeout = 17,
  };
  kad__dht_config dht;
  kad__dht_config_default(&dht);
  kad__node_dht_options(&dht, &options);
  assert_int_equal(dht.bucket_size, 1);
  assert_int_equal(dht.replication, 2);
  assert_int_equal(dht.parallelism, 3);
  assert_true(dht.query_timeout == 4);
  assert_true(dht.peer_timeout == 5);
  assert_true(dht.pending_timeout == 6);
  assert_int_equal(dht.caching, 7);
  assert_true(dht.record_ttl == 8);
  assert_true(dht.provider_ttl == KAD_TIME_NEVER);
  assert_true(dht.replication_interval == 10);
  assert_true(dht.publication_interval == 11);
  assert_true(dht.provider_publication_interval == 12);
  assert_true(dht.bootstrap_interval == 13);
  assert_true(dht.bootstrap_throttle == 14);
  assert_true(dht.disjoint_paths && dht.manual_inserts && dht.trust_peers &&
              dht.optimistic_provide);
  kad__kad_config streams;
  kad__kad_config_default(&streams);
  kad__node_kad_options(&streams, &options);
  assert_int_equal(streams.max_request, 15);
  assert_int_equal(streams.max_reply, 16);
  assert_true(streams.idle_timeout == 17);
}

/* Where 0 would mean something, a flag says it. */
static void test_no_caching(void **state) {
  (void)state;
  const kad_dht_options options = {.caching = 7, .no_caching = true};
  kad__dht_config dht;
  kad__dht_config_default(&dht);
  kad__node_dht_options(&dht, &options);
  assert_int_equal(dht.caching, 0);
}

static void test_swarm_defaults(void **state) {
  (void)state;
  kad__swarm_config before;
  kad__swarm_config_default(&before);
  kad__swarm_config swarm = before;
  kad__node_config node;
  kad__node_config_default(&node);
  kad__node_swarm_options(&swarm, &node);
  assert_int_equal(swarm.max_connections, 1000);
  assert_int_equal(swarm.low_water, 750);
  assert_int_equal(swarm.high_water, 800);
  assert_int_equal(swarm.max_in_all.bytes, (size_t)250 << 20);
  assert_int_equal(swarm.max_in_all.inbound, 16000);
  assert_int_equal(swarm.max_in_all.outbound, 16000);
  assert_int_equal(swarm.max_per_peer.bytes, (size_t)64 << 20);
  assert_int_equal(swarm.max_per_peer.inbound, 2048);
  assert_int_equal(swarm.max_per_peer.outbound, 1024);
  assert_int_equal(swarm.max_per_address.bytes, (size_t)64 << 20);
  assert_int_equal(swarm.max_per_address.inbound, 4096);
  assert_int_equal(swarm.max_per_group.bytes, (size_t)125 << 20);
  assert_int_equal(swarm.max_per_group.inbound, 8192);
  assert_int_equal(swarm.pace_per_address.burst, 32);
  assert_int_equal(swarm.pace_per_address.per_minute, 60);
  assert_int_equal(swarm.pace_per_group.burst, 128);
  assert_int_equal(swarm.pace_per_group.per_minute, 240);
  assert_int_equal(swarm.max_dials, 160);
  assert_int_equal(swarm.max_dials_per_peer, 8);
  assert_true(swarm.grace_period == KAD_MINUTE);
  assert_int_equal(swarm.max_pending_inbound, 128);
  assert_int_equal(swarm.max_inbound_per_address, 16);
  assert_int_equal(swarm.max_inbound_per_group, 128);
  assert_int_equal(swarm.max_connections_per_peer, 8);
  assert_int_equal(swarm.yamux.max_inbound_streams,
                   before.yamux.max_inbound_streams);
  assert_int_equal(swarm.yamux.max_outbound_streams,
                   before.yamux.max_outbound_streams);
}

static void test_swarm_each_arrives(void **state) {
  (void)state;
  const kad__node_config node = {.max_connections = 100,
                                 .low_water = 1,
                                 .high_water = 2,
                                 .grace_period = 3,
                                 .max_pending_inbound = 4,
                                 .max_inbound_per_address = 5,
                                 .max_inbound_per_group = 6,
                                 .max_connections_per_peer = 7,
                                 .max_inbound_streams = 8,
                                 .max_outbound_streams = 9,
                                 .max_in_all = {10, 11, 12},
                                 .max_per_peer = {13, 14, 15},
                                 .max_per_address = {16, 17, 0},
                                 .max_per_group = {18, 19, 0},
                                 .pace_per_address = {20, 21},
                                 .pace_per_group = {22, 23},
                                 .max_dials = 24,
                                 .max_dials_per_peer = 25};
  kad__swarm_config swarm;
  kad__swarm_config_default(&swarm);
  kad__node_swarm_options(&swarm, &node);
  assert_int_equal(swarm.max_connections, 100);
  assert_int_equal(swarm.low_water, 1);
  assert_int_equal(swarm.high_water, 2);
  assert_true(swarm.grace_period == 3);
  assert_int_equal(swarm.max_pending_inbound, 4);
  assert_int_equal(swarm.max_inbound_per_address, 5);
  assert_int_equal(swarm.max_inbound_per_group, 6);
  assert_int_equal(swarm.max_connections_per_peer, 7);
  assert_int_equal(swarm.yamux.max_inbound_streams, 8);
  assert_int_equal(swarm.yamux.max_outbound_streams, 9);
  assert_int_equal(swarm.max_in_all.bytes, 10);
  assert_int_equal(swarm.max_in_all.inbound, 11);
  assert_int_equal(swarm.max_in_all.outbound, 12);
  assert_int_equal(swarm.max_per_peer.bytes, 13);
  assert_int_equal(swarm.max_per_peer.inbound, 14);
  assert_int_equal(swarm.max_per_peer.outbound, 15);
  assert_int_equal(swarm.max_per_address.bytes, 16);
  assert_int_equal(swarm.max_per_address.inbound, 17);
  assert_int_equal(swarm.max_per_group.bytes, 18);
  assert_int_equal(swarm.max_per_group.inbound, 19);
  assert_int_equal(swarm.pace_per_address.burst, 20);
  assert_int_equal(swarm.pace_per_address.per_minute, 21);
  assert_int_equal(swarm.pace_per_group.burst, 22);
  assert_int_equal(swarm.pace_per_group.per_minute, 23);
  assert_int_equal(swarm.max_dials, 24);
  assert_int_equal(swarm.max_dials_per_peer, 25);
}

/* Few connections may carry much, and nobody gets more than half. */
static void test_small_nodes(void **state) {
  (void)state;
  kad__node_config node = {.max_connections = 10};
  kad__swarm_config swarm;
  kad__swarm_config_default(&swarm);
  kad__node_swarm_options(&swarm, &node);
  assert_int_equal(swarm.max_in_all.bytes, (size_t)64 << 20);
  assert_int_equal(swarm.max_in_all.inbound, 8192);
  assert_int_equal(swarm.max_per_peer.bytes, (size_t)32 << 20);
  node.max_in_all.bytes = 1000;
  kad__swarm_config_default(&swarm);
  kad__node_swarm_options(&swarm, &node);
  assert_int_equal(swarm.max_per_peer.bytes, 500);
  assert_int_equal(swarm.max_per_address.bytes, 500);
  assert_int_equal(swarm.max_per_group.bytes, 500);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_nothing_is_the_default),
      cmocka_unit_test(test_each_arrives),
      cmocka_unit_test(test_no_caching),
      cmocka_unit_test(test_swarm_defaults),
      cmocka_unit_test(test_swarm_each_arrives),
      cmocka_unit_test(test_small_nodes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
