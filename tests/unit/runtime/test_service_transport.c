/* Transports of a node on a thread of its own: its functions run there, and the
 * reports come from another thread, inside visits. */
#include <stdatomic.h>
#include <time.h>

#include "memory_transport.h"

#define PINGS 5
#define LIMIT (20 * KAD_SECOND)

typedef struct pair {
  memory memory;
  memory_port ports[2];
  kad_service *services[2]; /* 0 listens on /memory/1 */
  atomic_int pongs;
  atomic_int ended; /* requests */
  atomic_int error;
  atomic_int gone; /* peers that have left 0 */
} pair;

static pair p;

static kad_time now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (kad_time)t.tv_sec * KAD_SECOND + (kad_time)t.tv_nsec;
}

static void on_news(void *user, const kad_event *event) {
  (void)user;
  p.gone += event->type == KAD_EVENT_DISCONNECTED;
}

static void on_event(void *user, const kad_event *event) {
  (void)user;
  p.pongs += event->type == KAD_EVENT_PONG;
  if (event->type == KAD_EVENT_END) {
    p.error = event->error;
    p.ended++;
  }
}

/* This thread is the transport's. */
static void run_until(atomic_int *value, int wanted) {
  kad_time limit = now() + LIMIT;
  const struct timespec little = {.tv_nsec = 1000000};
  while (*value < wanted) {
    assert_true(now() < limit);
    if (!memory_run(&p.memory)) {
      nanosleep(&little, NULL);
    }
  }
}

static void start(int side) {
  static const char *const listen[] = {"/memory/1"};
  kad_node_options options = KAD_NODE_OPTIONS_INIT;
  options.protocol = "/test/kad/1.0.0";
  options.listen = listen;
  options.listen_count = side == 0 ? 1 : 0;
  options.mode = KAD_MODE_CLIENT;
  options.transports = &p.ports[side].transport;
  options.transport_count = 1;
  assert_ok(kad_service_start(&p.services[side], &options, on_news, NULL));
  p.ports[side].service = p.services[side];
}

static int setup(void **state) {
  (void)state;
  memset(&p, 0, sizeof(p));
  memory_init(&p.memory, test_seed("service-transport"));
  for (int side = 0; side < 2; side++) {
    memory_port_init(&p.ports[side], &p.memory);
    p.ports[side].listens = MEMORY_AT_ONCE;
    start(side);
  }
  return 0;
}

static int teardown(void **state) {
  (void)state;
  for (int side = 0; side < 2; side++) {
    kad_service_stop(p.services[side]);
  }
  memory_fini(&p.memory);
  return 0;
}

static void ping(uint32_t count) {
  kad_request request = KAD_REQUEST_INIT(KAD_PING);
  request.address = memory_address(1);
  request.count = count;
  int ended = p.ended;
  assert_ok(kad_service_submit(p.services[1], NULL, &request, on_event, NULL));
  run_until(&p.ended, ended + 1);
  assert_error(0, p.error);
}

static void look(void *user, kad_node *node) {
  kad_connection_info info;
  uint64_t cursor = 0;
  size_t *count = user;
  while (kad_node_next_connection(node, &cursor, NULL, &info)) {
    assert_string_equal(info.transport, "memory");
    ++*count;
  }
}

static size_t connections(int side) {
  size_t count = 0;
  assert_ok(kad_service_visit(p.services[side], look, &count));
  return count;
}

static void test_pings(void **state) {
  (void)state;
  ping(PINGS);
  assert_int_equal(p.pongs, PINGS);
  assert_int_equal(connections(0), 1);
  assert_int_equal(connections(1), 1);
}

static void test_in_pieces(void **state) {
  (void)state;
  p.ports[0].takes = MEMORY_TAKES_RANDOM;
  p.ports[1].takes = MEMORY_TAKES_RANDOM;
  p.memory.chunk = 37;
  ping(PINGS);
  assert_int_equal(p.pongs, PINGS);
}

static void close_all(void *user, kad_node *node) {
  (void)user;
  (void)kad_node_disconnect(node, kad_service_id(p.services[0]), 0);
}

static void test_closing(void **state) {
  (void)state;
  ping(1);
  assert_ok(kad_service_visit(p.services[1], close_all, NULL));
  run_until(&p.gone, 2); /* both have told of it */
  assert_int_equal(connections(0), 0);
  ping(1);
}

/* Stopping one gives all back, on this thread; the other hears of it. */
static void test_stopping(void **state) {
  (void)state;
  ping(1);
  kad_service_stop(p.services[1]);
  p.services[1] = NULL;
  assert_int_equal(p.ports[1].closes, 1);
  run_until(&p.gone, 2);
  assert_int_equal(connections(0), 0);
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
  const struct CMUnitTest tests[] = {
      TEST(test_pings),
      TEST(test_in_pieces),
      TEST(test_closing),
      TEST(test_stopping),
  };
#undef TEST
  return cmocka_run_group_tests(tests, NULL, NULL);
}
