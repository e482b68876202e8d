/* AutoNAT between whole hosts: what is reachable is found to be so, and what is
 * not is not. */
#include "hosts.h"
#include "support.h"
#include "wire/addresses.h"

typedef struct fixture {
  hosts *hosts;
  test_allocator memory;
} fixture;

static int set_up(void **out) {
  fixture *f = calloc(1, sizeof(*f));
  test_allocator_init(&f->memory);
  f->hosts = hosts_new(&f->memory.allocator, 3, "8.8.8", 5);
  hosts_connect(f->hosts, 0, 1);
  *out = f;
  return 0;
}

static int tear_down(void **in) {
  fixture *f = *in;
  hosts_free(f->hosts);
  assert_int_equal(f->memory.live, 0);
  free(f);
  return 0;
}

/* Host 0 asks host 1 about the addresses, in text. */
static int probe(fixture *f, const char *first, const char *second) {
  uint8_t list[256];
  size_t len = 0;
  const char *const texts[] = {first, second};
  for (size_t i = 0; i < 2 && texts[i] != NULL; i++) {
    uint8_t address[128];
    int size = kad_multiaddr_parse(address, sizeof(address), texts[i]);
    assert_true(size > 0);
    assert_true(kad__addresses_append(list, sizeof(list), &len,
                                      kad__bytes(address, (size_t)size)));
  }
  uint64_t id = 0;
  host *me = &f->hosts->host[0];
  int error = kad__autonat_probe(me->autonat, &id, &f->hosts->host[1].id,
                                 kad__bytes(list, len), f->hosts->now);
  hosts_run(f->hosts);
  return error;
}

static void expect(fixture *f, kad__autonat_event_type type, int error,
                   const char *address) {
  const host *me = &f->hosts->host[0];
  char text[256] = "";
  assert_int_equal(me->probed, 1);
  assert_int_equal(me->probe.type, type);
  assert_error(error, me->probe.error);
  if (address != NULL) {
    assert_true(kad_multiaddr_format(
                    text, sizeof(text),
                    kad__bytes(me->probe.address, me->probe.address_len)) > 0);
    assert_string_equal(text, address);
  }
  f->hosts->host[0].probed = 0;
}

static void what_answers_is_reachable(void **state) {
  fixture *f = *state;
  assert_ok(probe(f, "/ip4/10.1.2.3/tcp/4001", "/ip4/8.8.8.1/tcp/4001"));
  expect(f, KAD__AUTONAT_REACHABLE, 0, "/ip4/8.8.8.1/tcp/4001");
  /* The connection that was made for it is gone. */
  assert_int_equal(kad__swarm_connection_count(f->hosts->host[0].swarm), 1);
  assert_int_equal(kad__swarm_connection_count(f->hosts->host[1].swarm), 1);
  assert_int_equal(kad__autonat_counters_get(f->hosts->host[1].autonat)->served,
                   1);
}

static void a_closed_port_is_not(void **state) {
  fixture *f = *state;
  assert_ok(probe(f, "/ip4/8.8.8.1/tcp/4002", NULL));
  expect(f, KAD__AUTONAT_UNREACHABLE, 0, "/ip4/8.8.8.1/tcp/4002");
}

/* Somebody else listens there; that is not us. */
static void the_address_of_another_is_not(void **state) {
  fixture *f = *state;
  assert_ok(probe(f, "/ip4/8.8.8.3/tcp/4001", NULL));
  assert_int_equal(f->hosts->host[0].probed, 0);
  hosts_wait(f->hosts, f->hosts->now + 3 * KAD_SECOND);
  expect(f, KAD__AUTONAT_UNREACHABLE, 0, "/ip4/8.8.8.3/tcp/4001");
}

static void a_dial_to_another_host_is_paid_for(void **state) {
  fixture *f = *state;
  assert_ok(probe(f, "/ip4/9.9.9.9/tcp/1", NULL));
  assert_int_equal(kad__autonat_counters_get(f->hosts->host[1].autonat)->served,
                   0);
  hosts_wait(f->hosts, f->hosts->now + 3 * KAD_SECOND);
  expect(f, KAD__AUTONAT_UNREACHABLE, 0, "/ip4/9.9.9.9/tcp/1");
  assert_int_equal(kad__autonat_counters_get(f->hosts->host[1].autonat)->served,
                   1);
}

static void private_addresses_are_refused(void **state) {
  fixture *f = *state;
  assert_ok(probe(f, "/ip4/192.168.1.1/tcp/4001", "/ip4/127.0.0.1/tcp/4001"));
  expect(f, KAD__AUTONAT_FAILED, KAD_E_REFUSED, NULL);
  assert_int_equal(
      kad__autonat_counters_get(f->hosts->host[1].autonat)->refused, 1);
}

static void requests_are_counted_by_the_minute(void **state) {
  fixture *f = *state;
  for (size_t i = 0; i < 12; i++) {
    assert_ok(probe(f, "/ip4/8.8.8.1/tcp/4001", NULL));
    expect(f, KAD__AUTONAT_REACHABLE, 0, NULL);
  }
  assert_ok(probe(f, "/ip4/8.8.8.1/tcp/4001", NULL));
  expect(f, KAD__AUTONAT_FAILED, KAD_E_REFUSED, NULL);
  hosts_wait(f->hosts, f->hosts->now + KAD_MINUTE);
  assert_ok(probe(f, "/ip4/8.8.8.1/tcp/4001", NULL));
  expect(f, KAD__AUTONAT_REACHABLE, 0, NULL);
}

static void a_peer_need_not_serve(void **state) {
  fixture *f = *state;
  kad__autonat *server = f->hosts->host[1].autonat;
  assert_ok(kad__autonat_serve(server, false));
  assert_ok(kad__autonat_serve(server, false));
  assert_ok(probe(f, "/ip4/8.8.8.1/tcp/4001", NULL));
  assert_int_equal(f->hosts->host[0].probed, 1);
  assert_int_equal(f->hosts->host[0].probe.type, KAD__AUTONAT_FAILED);
  f->hosts->host[0].probed = 0;
  assert_ok(kad__autonat_serve(server, true));
  assert_ok(probe(f, "/ip4/8.8.8.1/tcp/4001", NULL));
  expect(f, KAD__AUTONAT_REACHABLE, 0, NULL);
}

/* The link dies while the server waits to dial. */
static void a_lost_peer_is_forgotten(void **state) {
  fixture *f = *state;
  assert_ok(probe(f, "/ip4/9.9.9.9/tcp/1", NULL));
  hosts_cut(f->hosts, 0, 1);
  hosts_run(f->hosts);
  assert_int_equal(f->hosts->host[0].probed, 1);
  assert_int_equal(f->hosts->host[0].probe.type, KAD__AUTONAT_FAILED);
  hosts_wait(f->hosts, f->hosts->now + 10 * KAD_SECOND);
  assert_int_equal(kad__autonat_counters_get(f->hosts->host[1].autonat)->served,
                   0);
  assert_int_equal(kad__autonat_deadline(f->hosts->host[1].autonat),
                   KAD_TIME_NEVER);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(what_answers_is_reachable),
      TEST(a_closed_port_is_not),
      TEST(the_address_of_another_is_not),
      TEST(a_dial_to_another_host_is_paid_for),
      TEST(private_addresses_are_refused),
      TEST(requests_are_counted_by_the_minute),
      TEST(a_peer_need_not_serve),
      TEST(a_lost_peer_is_forgotten),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
