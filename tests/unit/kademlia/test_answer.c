/* The requests of others: what each may carry, what is told, what is kept. */
#include "one.h"

static kad__message request(kad__message_type type, kad_bytes key) {
  kad__message m;
  memset(&m, 0, sizeof m);
  kad__message_init(&m, type);
  m.key = key;
  return m;
}

static kad__message put_request(kad_bytes key, kad_bytes value) {
  kad__message m = request(KAD__PUT_VALUE, key);
  m.has_record = true;
  m.record.key = key;
  m.record.value = value;
  return m;
}

static kad__message provider_request(kad_bytes key, unsigned peer) {
  kad__message m = request(KAD__ADD_PROVIDER, key);
  m.provider_count = 1;
  m.providers[0] =
      (kad__wire_peer){.id = one_id(peer), .addresses = one_list(peer)};
  return m;
}

static void test_find_node(void **state) {
  (void)state;
  one o;
  one_setup(&o);
  one_start(&o);
  for (unsigned i = 1; i <= 40; i++) {
    one_add(&o, i);
  }
  kad__message m = request(KAD__FIND_NODE, one_id(7));
  assert_int_equal(one_ask(&o, 8, &m), 1);
  assert_int_equal(o.reply.type, KAD__FIND_NODE);
  assert_int_equal(o.reply.closer_count, 20);
  /* The target itself is known, so it is told, first; the asker is not. */
  assert_bytes_equal(o.reply.closer[0].id, one_id(7));
  assert_bytes_equal(o.reply.closer[0].addresses, one_list(7));
  assert_false(one_told(&o, 8));
  assert_false(one_told(&o, 0));
  for (size_t i = 0; i < o.reply.closer_count; i++) {
    assert_int_equal(o.reply.closer[i].connection, KAD__NOT_CONNECTED);
  }
  assert_int_equal(kad__dht_counters_get(o.dht)->requests[KAD__FIND_NODE], 1);
  one_fini(&o);
}

/* Whoever asks for itself is told of itself; for us, of us, addresses left to
 * the gateway. */
static void test_find_node_for_itself(void **state) {
  (void)state;
  one o;
  one_setup(&o);
  one_start(&o);
  one_add(&o, 1);
  one_add(&o, 2);
  kad__message m = request(KAD__FIND_NODE, one_id(1));
  assert_int_equal(one_ask(&o, 1, &m), 1);
  assert_true(one_told(&o, 1));
  m = request(KAD__FIND_NODE, one_id(0));
  assert_int_equal(one_ask(&o, 1, &m), 1);
  assert_bytes_equal(o.reply.closer[0].id, one_id(0));
  assert_int_equal(o.reply.closer[0].addresses.len, 0);
  assert_false(one_told(&o, 1));
  assert_true(one_told(&o, 2));
  one_fini(&o);
}

/* A client is in no table, yet it can be found if we know where it is. */
static void test_find_node_of_a_client(void **state) {
  (void)state;
  one o;
  one_setup(&o);
  one_start(&o);
  one_add(&o, 1);
  kad__dht_peer_unsupported(o.dht, one_id(9), o.now);
  kad__dht_peer_known(o.dht, one_id(9), one_list(9));
  kad__message m = request(KAD__FIND_NODE, one_id(9));
  assert_int_equal(one_ask(&o, 1, &m), 1);
  assert_int_equal(o.reply.closer_count, 1);
  assert_bytes_equal(o.reply.closer[0].addresses, one_list(9));
  m = request(KAD__FIND_NODE, one_id(10));
  assert_int_equal(one_ask(&o, 1, &m), 1);
  assert_false(one_told(&o, 9));
  one_fini(&o);
}

/* Nobody is sent to a peer that has just failed. */
static void test_failed_peers_are_not_told(void **state) {
  (void)state;
  one o;
  one_setup(&o);
  one_start(&o);
  one_add(&o, 1);
  one_add(&o, 2);
  kad__dht_peer_unreachable(o.dht, one_id(1), o.now);
  kad__message m = request(KAD__FIND_NODE, one_id(3));
  assert_int_equal(one_ask(&o, 4, &m), 1);
  assert_false(one_told(&o, 1));
  assert_true(one_told(&o, 2));
  one_fini(&o);
}

static void test_answering_allocates_nothing(void **state) {
  (void)state;
  one o;
  one_setup(&o);
  o.config.muted_events = 1u << KAD__DHT_INBOUND;
  one_start(&o);
  for (unsigned i = 1; i <= 40; i++) {
    one_add(&o, i);
  }
  size_t calls = o.memory.calls;
  kad__message m = request(KAD__FIND_NODE, one_id(70));
  for (unsigned i = 0; i < 100; i++) {
    assert_int_equal(one_ask(&o, i + 41, &m), 1);
  }
  m = request(KAD__GET_VALUE, one_id(70));
  assert_int_equal(one_ask(&o, 1, &m), 1);
  m = request(KAD__GET_PROVIDERS, one_id(70));
  assert_int_equal(one_ask(&o, 1, &m), 1);
  assert_int_equal(o.memory.calls, calls);
  one_fini(&o);
}

static void test_client_refuses(void **state) {
  (void)state;
  one o;
  one_setup(&o);
  one_start(&o);
  kad__dht_set_mode(o.dht, KAD__MODE_CLIENT);
  for (unsigned type = 0; type < KAD__MESSAGE_TYPES; type++) {
    kad__message m = request((kad__message_type)type, one_id(1));
    assert_error(KAD_E_UNSUPPORTED, one_ask(&o, 1, &m));
  }
  assert_int_equal(kad__dht_counters_get(o.dht)->refused, KAD__MESSAGE_TYPES);
  one_fini(&o);
}

/* K-04, K-05, K-24, K-25: what a request must carry. */
static void test_malformed_requests(void **state) {
  (void)state;
  one o;
  uint8_t long_key[2000] = {0};
  one_setup(&o);
  one_start(&o);
  for (unsigned type = 0; type < KAD__PING; type++) {
    kad__message m = request((kad__message_type)type, (kad_bytes){0});
    assert_error(KAD_E_MESSAGE, one_ask(&o, 1, &m));
    m = request((kad__message_type)type, kad__bytes(long_key, 1025));
    m.has_record = true;
    m.record.key = m.key;
    m.provider_count = 1;
    m.providers[0] =
        (kad__wire_peer){.id = one_id(1), .addresses = one_list(1)};
    assert_error(KAD_E_MESSAGE, one_ask(&o, 1, &m));
  }
  kad__message m = request(KAD__PUT_VALUE, one_id(1));
  assert_error(KAD_E_MESSAGE, one_ask(&o, 1, &m));
  m = put_request(one_id(1), one_id(2));
  m.record.key = one_id(3);
  assert_error(KAD_E_MESSAGE, one_ask(&o, 1, &m));
  m = request(KAD__GET_PROVIDERS, kad__bytes(long_key, 81));
  assert_error(KAD_E_MESSAGE, one_ask(&o, 1, &m));
  m = request(KAD__GET_PROVIDERS, kad__bytes(long_key, 80));
  assert_int_equal(one_ask(&o, 1, &m), 1);
  m = request((kad__message_type)99, one_id(1));
  assert_error(KAD_E_MESSAGE, one_ask(&o, 1, &m));
  one_fini(&o);
}

static void test_ping(void **state) {
  (void)state;
  one o;
  one_setup(&o);
  one_start(&o);
  one_add(&o, 1);
  kad__message m = request(KAD__PING, (kad_bytes){0});
  /* Stuffing is not echoed (K-19). */
  m.closer_count = 1;
  m.closer[0] = (kad__wire_peer){.id = one_id(5), .addresses = one_list(5)};
  assert_int_equal(one_ask(&o, 1, &m), 1);
  assert_int_equal(o.reply.type, KAD__PING);
  assert_int_equal(o.reply.closer_count, 0);
  one_fini(&o);
}

/* ---- values ------------------------------------------------------------- */

static void test_put_and_get(void **state) {
  (void)state;
  one o;
  one_setup(&o);
  one_start(&o);
  one_add(&o, 1);
  kad__message put = put_request(one_id(5), kad__bytes_of("value"));
  put.record.publisher = one_id(3);
  put.record.ttl = 100;
  put.closer_count = 1;
  put.closer[0] = (kad__wire_peer){.id = one_id(5), .addresses = one_list(5)};
  assert_int_equal(one_ask(&o, 2, &put), 1);
  /* The echo: key and value, nothing else. */
  assert_bytes_equal(o.reply.key, one_id(5));
  assert_true(o.reply.has_record);
  assert_bytes_equal(o.reply.record.value, kad__bytes_of("value"));
  assert_int_equal(o.reply.record.publisher.len, 0);
  assert_int_equal(o.reply.closer_count, 0);

  kad__message get = request(KAD__GET_VALUE, one_id(5));
  o.now += 40 * KAD_SECOND;
  assert_int_equal(one_ask(&o, 2, &get), 1);
  assert_true(o.reply.has_record);
  assert_bytes_equal(o.reply.record.key, one_id(5));
  assert_bytes_equal(o.reply.record.value, kad__bytes_of("value"));
  assert_bytes_equal(o.reply.record.publisher, one_id(3));
  assert_int_equal(o.reply.record.ttl, 60);
  assert_int_equal(o.reply.closer_count, 1);
  /* Expired: not served, even before it is swept. */
  o.now += 60 * KAD_SECOND;
  assert_int_equal(one_ask(&o, 2, &get), 1);
  assert_false(o.reply.has_record);
  /* And swept by a timer. */
  assert_true(kad__dht_deadline(o.dht) <= o.now);
  kad__dht_tick(o.dht, o.now);
  kad__record record;
  assert_false(o.store->ops->get(o.store, &record, one_id(5)));
  one_fini(&o);
}

/* Whatever life the sender wishes, ours bounds it; without one, the sender's
 * counts (D9). */
static void test_life_of_a_record(void **state) {
  (void)state;
  for (int never = 0; never < 2; never++) {
    one o;
    kad__record record;
    one_setup(&o);
    o.config.record_ttl = never ? KAD_TIME_NEVER : KAD_HOUR;
    one_start(&o);
    kad__message put = put_request(one_id(5), kad__bytes_of("value"));
    put.record.ttl = UINT32_MAX;
    assert_int_equal(one_ask(&o, 2, &put), 1);
    assert_true(o.store->ops->get(o.store, &record, one_id(5)));
    assert_true(
        record.expires ==
        (never ? o.now + (kad_time)UINT32_MAX * KAD_SECOND : o.now + KAD_HOUR));
    put.record.ttl = 0;
    assert_int_equal(one_ask(&o, 2, &put), 1);
    assert_true(o.store->ops->get(o.store, &record, one_id(5)));
    assert_true(record.expires == (never ? KAD_TIME_NEVER : o.now + KAD_HOUR));
    one_fini(&o);
  }
}

/* Half the life for each node beyond k between us and the key. */
static void test_life_halves_with_distance(void **state) {
  (void)state;
  one o;
  kad__record record;
  one_setup(&o);
  o.config.replication = 2;
  one_start(&o);
  /* Keys in order of distance from us: 0x10.. and up. */
  for (unsigned i = 0; i < 5; i++) {
    uint8_t id[8] = {(uint8_t)(0x10 + i), 1};
    assert_int_equal(
        kad__dht_add_address(o.dht, kad__bytes(id, 8), one_address(1), o.now),
        KAD__ROUTING_SUCCESS);
  }
  uint8_t key[8] = {0x1f};
  kad__message put = put_request(kad__bytes(key, 8), kad__bytes_of("v"));
  assert_int_equal(one_ask(&o, 2, &put), 1);
  assert_true(o.store->ops->get(o.store, &record, kad__bytes(key, 8)));
  assert_true(record.expires == o.now + o.config.record_ttl / 8);
  one_fini(&o);
}

/* Where more than 64 nodes are nearer, nothing is left of the time. */
static void test_life_ends_with_distance(void **state) {
  (void)state;
  one o;
  kad__record record;
  one_setup(&o);
  o.config.replication = 1;
  o.config.bucket_size = 80;
  one_start(&o);
  for (unsigned i = 0; i < 66; i++) {
    uint8_t id[8] = {0x10, (uint8_t)i, 1};
    assert_int_equal(
        kad__dht_add_address(o.dht, kad__bytes(id, 8), one_address(1), o.now),
        KAD__ROUTING_SUCCESS);
    uint8_t key[8] = {0x1f, (uint8_t)i};
    kad__message put = put_request(kad__bytes(key, 8), kad__bytes_of("v"));
    assert_int_equal(one_ask(&o, 2, &put), 1);
    kad_time life = o.config.record_ttl >> (i < 40 ? i : 40);
    bool kept = o.store->ops->get(o.store, &record, kad__bytes(key, 8));
    assert_true(i > 2 || kept);
    if (i > 2 && i < 40) {
      assert_true(kept && record.expires == o.now + life);
    }
    /* A shift by all 64 bits is none at all. */
    assert_true(i < 64 || !kept);
  }
  one_fini(&o);
}

/* What was published anew is not cut short by an older copy that a neighbour
 * replicates. */
static void test_older_copies_cut_nothing_short(void **state) {
  (void)state;
  one o;
  kad__record record;
  kad__query_id id;
  one_setup(&o);
  one_start(&o);
  kad__message put = put_request(one_id(5), kad__bytes_of("value"));
  put.record.ttl = 1000;
  assert_int_equal(one_ask(&o, 2, &put), 1);
  put.record.ttl = 10;
  assert_int_equal(one_ask(&o, 3, &put), 1);
  assert_true(o.store->ops->get(o.store, &record, one_id(5)));
  assert_true(record.expires == o.now + 1000 * KAD_SECOND);
  put.record.ttl = 2000;
  assert_int_equal(one_ask(&o, 3, &put), 1);
  assert_true(o.store->ops->get(o.store, &record, one_id(5)));
  assert_true(record.expires == o.now + 2000 * KAD_SECOND);
  /* Nor does anybody take over what is ours by repeating it. */
  assert_ok(kad__dht_put(o.dht, &id, one_id(6), kad__bytes_of("value"),
                         KAD_TIME_NEVER, (kad__quorum){0}, o.now));
  put = put_request(one_id(6), kad__bytes_of("value"));
  assert_int_equal(one_ask(&o, 3, &put), 1);
  assert_true(o.store->ops->get(o.store, &record, one_id(6)));
  assert_bytes_equal(record.publisher, one_id(0));
  one_fini(&o);
}

/* Our own record comes back to us: acknowledged, untouched. */
static void test_put_of_our_own_record(void **state) {
  (void)state;
  one o;
  kad__record record;
  one_setup(&o);
  one_start(&o);
  kad__message put = put_request(one_id(5), kad__bytes_of("value"));
  put.record.publisher = one_id(0);
  assert_int_equal(one_ask(&o, 2, &put), 1);
  assert_false(o.store->ops->get(o.store, &record, one_id(5)));
  one_fini(&o);
}

static int no_bad(void *user, kad_bytes key, kad_bytes value,
                  uint64_t unix_ns) {
  (void)user;
  (void)key;
  (void)unix_ns;
  return value.len > 0 && value.data[0] == 'x' ? KAD_E_SIGNATURE : 0;
}

static int longer(void *user, kad_bytes key, kad_bytes old_value,
                  kad_bytes new_value) {
  (void)user;
  (void)key;
  return new_value.len > old_value.len;
}

static const kad__validator rules[] = {{.name_space = {(const uint8_t *)"t", 1},
                                        .validate = no_bad,
                                        .select = longer}};
static const kad__validators network = {.list = rules, .count = 1};

static void test_validation(void **state) {
  (void)state;
  one o;
  kad__record record;
  kad_bytes key = kad__bytes_of("/t/key");
  one_setup(&o);
  o.config.validators = &network;
  one_start(&o);
  kad__message m = put_request(kad__bytes_of("/u/key"), kad__bytes_of("v"));
  assert_error(KAD_E_RECORD_REJECTED, one_ask(&o, 1, &m));
  m = put_request(kad__bytes_of("/"), kad__bytes_of("v"));
  assert_error(KAD_E_RECORD_REJECTED, one_ask(&o, 1, &m));
  m = put_request(kad__bytes_of("/t"), kad__bytes_of("v"));
  assert_error(KAD_E_RECORD_REJECTED, one_ask(&o, 1, &m));
  m = put_request(key, kad__bytes_of("xv"));
  assert_error(KAD_E_SIGNATURE, one_ask(&o, 1, &m));
  assert_false(o.store->ops->get(o.store, &record, key));

  m = put_request(key, kad__bytes_of("long"));
  assert_int_equal(one_ask(&o, 1, &m), 1);
  m = put_request(key, kad__bytes_of("v"));
  assert_error(KAD_E_RECORD_OLD, one_ask(&o, 1, &m));
  assert_true(o.store->ops->get(o.store, &record, key));
  assert_bytes_equal(record.value, kad__bytes_of("long"));
  /* The same again refreshes it. */
  o.now += KAD_HOUR;
  m = put_request(key, kad__bytes_of("long"));
  assert_int_equal(one_ask(&o, 1, &m), 1);
  assert_true(o.store->ops->get(o.store, &record, key));
  assert_true(record.expires == o.now + o.config.record_ttl);
  m = put_request(key, kad__bytes_of("longer"));
  assert_int_equal(one_ask(&o, 1, &m), 1);
  /* A worse one is welcome once the better has expired. */
  o.now += o.config.record_ttl;
  m = put_request(key, kad__bytes_of("v"));
  assert_int_equal(one_ask(&o, 1, &m), 1);
  one_fini(&o);
}

/* The owner decides: nothing is kept, everything is told. */
static void test_filtering(void **state) {
  (void)state;
  one o;
  kad__record record;
  kad__provider provider;
  one_setup(&o);
  o.config.filter_records = true;
  o.config.muted_events = 1u << KAD__DHT_INBOUND;
  one_start(&o);
  kad__message m = put_request(one_id(5), kad__bytes_of("value"));
  m.record.publisher = one_id(3);
  assert_int_equal(one_ask(&o, 2, &m), 1);
  assert_false(o.store->ops->get(o.store, &record, one_id(5)));
  assert_true(one_event(&o, KAD__DHT_INBOUND));
  assert_int_equal(o.event.message_type, KAD__PUT_VALUE);
  assert_bytes_equal(o.event.peer.id, one_id(2));
  assert_bytes_equal(o.event.record.value, kad__bytes_of("value"));
  assert_bytes_equal(o.event.record.publisher, one_id(3));
  m = provider_request(one_id(5), 2);
  assert_int_equal(one_ask(&o, 2, &m), 0);
  assert_int_equal(o.store->ops->providers(o.store, &provider, 1, one_id(5)),
                   0);
  assert_true(one_event(&o, KAD__DHT_INBOUND));
  assert_bytes_equal(o.event.key, one_id(5));
  assert_bytes_equal(o.event.peer.id, one_id(2));
  assert_bytes_equal(o.event.peer.addresses, one_list(2));
  one_fini(&o);
}

static void test_inbound_events(void **state) {
  (void)state;
  one o;
  one_setup(&o);
  o.config.max_events = 3;
  one_start(&o);
  kad__message m = request(KAD__FIND_NODE, one_id(5));
  for (int i = 0; i < 10; i++) {
    assert_int_equal(one_ask(&o, 2, &m), 1);
  }
  int count = 0;
  while (one_event(&o, KAD__DHT_INBOUND)) {
    assert_int_equal(o.event.message_type, KAD__FIND_NODE);
    count++;
  }
  /* A peer cannot make us hold more than that. */
  assert_int_equal(count, 3);
  one_fini(&o);
}

/* ---- providers ---------------------------------------------------------- */

static void test_providers(void **state) {
  (void)state;
  one o;
  one_setup(&o);
  one_start(&o);
  one_add(&o, 1);
  kad__message add = provider_request(one_id(5), 2);
  assert_int_equal(one_ask(&o, 2, &add), 0);
  kad__message get = request(KAD__GET_PROVIDERS, one_id(5));
  assert_int_equal(one_ask(&o, 3, &get), 1);
  assert_int_equal(o.reply.provider_count, 1);
  assert_bytes_equal(o.reply.providers[0].id, one_id(2));
  assert_bytes_equal(o.reply.providers[0].addresses, one_list(2));
  assert_int_equal(o.reply.closer_count, 1);
  assert_bytes_equal(o.reply.key, one_id(5));
  /* A provider is not told of itself, and not after its time. */
  assert_int_equal(one_ask(&o, 2, &get), 1);
  assert_int_equal(o.reply.provider_count, 0);
  o.now += o.config.provider_ttl;
  assert_int_equal(one_ask(&o, 3, &get), 1);
  assert_int_equal(o.reply.provider_count, 0);
  one_fini(&o);
}

/* K-24: nobody announces anybody else, nor without being found. */
static void test_foreign_providers(void **state) {
  (void)state;
  one o;
  one_setup(&o);
  one_start(&o);
  kad__message m = provider_request(one_id(5), 2);
  assert_error(KAD_E_MESSAGE, one_ask(&o, 3, &m));
  m.provider_count = 0;
  assert_error(KAD_E_MESSAGE, one_ask(&o, 2, &m));
  m.provider_count = 1;
  m.providers[0].addresses = (kad_bytes){0};
  assert_error(KAD_E_MESSAGE, one_ask(&o, 2, &m));
  /* Unless we know where it is. */
  kad__dht_peer_known(o.dht, one_id(2), one_list(2));
  assert_int_equal(one_ask(&o, 2, &m), 0);
  kad__message get = request(KAD__GET_PROVIDERS, one_id(5));
  assert_int_equal(one_ask(&o, 3, &get), 1);
  assert_bytes_equal(o.reply.providers[0].addresses, one_list(2));
  /* Among many, its own is the one that counts. */
  m.provider_count = 100;
  for (unsigned i = 0; i < 100; i++) {
    m.providers[i] =
        (kad__wire_peer){.id = one_id(i + 10), .addresses = one_list(i + 10)};
  }
  assert_int_equal(one_ask(&o, 109, &m), 0);
  assert_int_equal(one_ask(&o, 3, &get), 1);
  assert_int_equal(o.reply.provider_count, 2);
  one_fini(&o);
}

/* Networks of a hundred numbers each. */
static uint64_t hundreds(void *user, kad_bytes address) {
  (void)user;
  return address.len == 4 ? 1 + kad__load32(address.data) / 100 : 0;
}

static unsigned providers_from(one *o, kad_bytes key, unsigned first,
                               unsigned end) {
  static kad__provider list[1024];
  unsigned found = 0;
  size_t n = o->store->ops->providers(o->store, list, 1024, key);
  for (size_t i = 0; i < n; i++) {
    for (unsigned peer = first; peer < end; peer++) {
      found += kad__bytes_equal(list[i].provider, one_id(peer));
    }
  }
  return found;
}

/* G-15: what counts is where a provider calls from, not what it says; for who
 * calls by a carrier that cannot tell, where we know it to be; and only when
 * nothing is known, what it says. */
static void test_networks_of_providers(void **state) {
  (void)state;
  for (int known = 0; known < 2; known++) {
    one o;
    kad__message m;
    one_setup(&o);
    o.config.address_group = known ? hundreds : NULL;
    o.config.provider_ttl = KAD_HOUR;
    o.config.muted_events = 1u << KAD__DHT_INBOUND;
    one_start(&o);
    /* One by what it says, one by what we know of it. */
    one_add(&o, 450);
    m = provider_request(one_id(7), 450);
    m.providers[0].addresses = one_list(1);
    assert_int_equal(one_ask(&o, 450, &m), 0);
    m = provider_request(one_id(7), 550);
    assert_int_equal(one_ask(&o, 550, &m), 0);
    for (unsigned i = 0; i < 1000; i++) {
      m = provider_request(one_id(7), 1000 + i);
      m.providers[0].addresses = one_list(2000 + 2 * i);
      int result = one_ask_from(&o, 1000 + i, one_address(1 + i % 300), &m);
      assert_true(result == 0 || result == KAD_E_STORE_FULL);
      m = provider_request(one_id(7), 3000 + i);
      m.providers[0].addresses = one_list(1);
      if (i % 50 == 49) {
        result = one_ask_from(&o, 3000 + i, one_address(2000 + 2 * i), &m);
        assert_true(result == 0 || (!known && result == KAD_E_STORE_FULL));
      }
    }
    unsigned honest = providers_from(&o, one_id(7), 450, 551) +
                      providers_from(&o, one_id(7), 3000, 4000);
    assert_true(known ? honest == 22 : honest < 22);
    assert_int_equal(providers_from(&o, one_id(7), 0, 4000), 512);
    one_fini(&o);
  }
}

static void test_our_own_provider_entry(void **state) {
  (void)state;
  one o;
  kad__query_id id;
  one_setup(&o);
  one_start(&o);
  assert_ok(kad__dht_provide(o.dht, &id, one_id(5), o.now));
  kad__message get = request(KAD__GET_PROVIDERS, one_id(5));
  assert_int_equal(one_ask(&o, 3, &get), 1);
  assert_int_equal(o.reply.provider_count, 1);
  assert_bytes_equal(o.reply.providers[0].id, one_id(0));
  assert_int_equal(o.reply.providers[0].addresses.len, 0);
  kad__dht_stop_providing(o.dht, one_id(5));
  assert_int_equal(one_ask(&o, 3, &get), 1);
  assert_int_equal(o.reply.provider_count, 0);
  one_fini(&o);
}

/* However much is known, an answer stays below the 16 KiB that rust-libp2p
 * reads (K-18, K-21). */
static void test_answers_are_bounded(void **state) {
  (void)state;
  one o;
  one_setup(&o);
  one_start(&o);
  for (unsigned i = 1; i <= 60; i++) {
    for (unsigned j = 0; j < 300; j++) {
      uint8_t address[200] = {(uint8_t)j, (uint8_t)(j >> 8)};
      (void)kad__dht_add_address(o.dht, one_id(i),
                                 kad__bytes(address, sizeof address), o.now);
    }
  }
  for (unsigned i = 1; i <= 400; i++) {
    uint8_t list[2000];
    size_t len = 0;
    for (unsigned j = 0; j < 20; j++) {
      uint8_t address[90] = {(uint8_t)j};
      kad__addresses_append(list, sizeof list, &len,
                            kad__bytes(address, sizeof address));
    }
    kad__message add = provider_request(one_id(5), i);
    add.providers[0].addresses = kad__bytes(list, len);
    assert_int_equal(one_ask(&o, i, &add), 0);
  }
  kad__message get = request(KAD__GET_PROVIDERS, one_id(5));
  assert_int_equal(one_ask(&o, 3000, &get), 1);
  assert_true(o.reply.provider_count > 5);
  assert_true(o.reply.closer_count > 5);
  assert_true(kad__message_len(&o.reply) <= 16384);
  /* Later askers see others of them. */
  kad_bytes first = o.reply.providers[0].id;
  assert_int_equal(one_ask(&o, 3000, &get), 1);
  assert_false(kad__bytes_equal(first, o.reply.providers[0].id));
  kad__message find = request(KAD__FIND_NODE, one_id(5));
  assert_int_equal(one_ask(&o, 3000, &find), 1);
  assert_int_equal(o.reply.closer_count, 20);
  assert_true(kad__message_len(&o.reply) <= 16384);
  one_fini(&o);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_find_node),
      cmocka_unit_test(test_find_node_for_itself),
      cmocka_unit_test(test_find_node_of_a_client),
      cmocka_unit_test(test_failed_peers_are_not_told),
      cmocka_unit_test(test_answering_allocates_nothing),
      cmocka_unit_test(test_client_refuses),
      cmocka_unit_test(test_malformed_requests),
      cmocka_unit_test(test_ping),
      cmocka_unit_test(test_put_and_get),
      cmocka_unit_test(test_life_of_a_record),
      cmocka_unit_test(test_life_halves_with_distance),
      cmocka_unit_test(test_life_ends_with_distance),
      cmocka_unit_test(test_older_copies_cut_nothing_short),
      cmocka_unit_test(test_put_of_our_own_record),
      cmocka_unit_test(test_validation),
      cmocka_unit_test(test_filtering),
      cmocka_unit_test(test_inbound_events),
      cmocka_unit_test(test_providers),
      cmocka_unit_test(test_foreign_providers),
      cmocka_unit_test(test_networks_of_providers),
      cmocka_unit_test(test_our_own_provider_entry),
      cmocka_unit_test(test_answers_are_bounded),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
