/* A record in the store that the rules of the network refuse: damaged on disk,
 * or valid only up to yesterday. */
#include "one.h"

static kad__message request(kad__message_type type, kad_bytes key) {
  kad__message m;
  kad__message_init(&m, type);
  m.key = key;
  return m;
}

static int no_x(void *user, kad_bytes key, kad_bytes value, uint64_t unix_ns) {
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
                                        .validate = no_x,
                                        .select = longer}};
static const kad__validators network = {.list = rules, .count = 1};

/* A DHT whose store holds a record that its rules refuse: damaged on disk, or
 * valid only up to yesterday. */
static void poisoned(one *o, kad_bytes key) {
  one_setup(o);
  o->config.validators = &network;
  o->config.caching = 0;
  one_start(o);
  kad__record record = {.key = key,
                        .value = kad__bytes_of("x and very long"),
                        .expires = KAD_TIME_NEVER};
  assert_ok(o->store->ops->put(o->store, &record, false));
}

/* It is not served. */
static void test_poisoned_records_are_not_served(void **state) {
  (void)state;
  one o;
  kad_bytes key = kad__bytes_of("/t/key");
  poisoned(&o, key);
  kad__message m = request(KAD__GET_VALUE, key);
  assert_int_equal(one_ask(&o, 1, &m), 1);
  assert_false(o.reply.has_record);
  one_fini(&o);
}

/* It does not keep a good one out, from whomever that comes. */
static void test_poisoned_records_keep_nothing_out(void **state) {
  (void)state;
  one o;
  kad__query_id id;
  kad__record record;
  kad_bytes key = kad__bytes_of("/t/key");
  poisoned(&o, key);
  kad__message m = request(KAD__PUT_VALUE, key);
  m.has_record = true;
  m.record = (kad__wire_record){.key = key, .value = kad__bytes_of("good")};
  assert_int_equal(one_ask(&o, 1, &m), 1);
  assert_true(o.store->ops->get(o.store, &record, key));
  assert_bytes_equal(record.value, kad__bytes_of("good"));
  one_fini(&o);
  poisoned(&o, key);
  assert_ok(kad__dht_put(o.dht, &id, key, kad__bytes_of("good"), KAD_TIME_NEVER,
                         (kad__quorum){0}, o.now));
  one_fini(&o);
}

/* It is not sent on to others. */
static void test_poisoned_records_are_not_replicated(void **state) {
  (void)state;
  one o;
  kad__dht_call call;
  kad_bytes key = kad__bytes_of("/t/key");
  poisoned(&o, key);
  one_add(&o, 1);
  for (int i = 0; i < 5 * 60; i++) {
    one_advance(&o, KAD_MINUTE);
    while (kad__dht_poll_call(o.dht, &call)) {
      assert_int_not_equal(call.message->type, KAD__PUT_VALUE);
      one_empty(&o, &call);
    }
  }
  one_fini(&o);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_poisoned_records_are_not_served),
      cmocka_unit_test(test_poisoned_records_keep_nothing_out),
      cmocka_unit_test(test_poisoned_records_are_not_replicated),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
