/* A node whose n-th allocation fails, for n = 1, 2, 3 ...: it may report that,
 * it may do without, but every request ends once, nothing leaks, and the next
 * attempt works. Its peers have memory of their own. */
#include "network.h"

#define PEERS 3
#define REQUESTS 5
/* Each allocation up to here, those of making and joining; then one in three.
 */
#define EVERY 200

typedef struct run {
  network n;
  test_allocator memory;
  kad_allocator allocator; /* the above, while it is not `dry` */
  bool dry;
  uint32_t node;
  kad_request_id ids[REQUESTS];
  size_t ends[REQUESTS];
  int errors[REQUESTS];
} run;

static void *wet_alloc(void *user, size_t size) {
  run *r = user;
  return r->dry ? NULL : r->memory.allocator.alloc(&r->memory, size);
}

static void *wet_resize(void *user, void *memory, size_t size) {
  run *r = user;
  return r->dry ? NULL : r->memory.allocator.resize(&r->memory, memory, size);
}

static void wet_release(void *user, void *memory) {
  run *r = user;
  r->memory.allocator.release(&r->memory, memory);
}

static void take(run *r) {
  uint32_t from = 0;
  kad_event event;
  while (kad__simulator_poll(r->n.sim, &from, &event)) {
    for (size_t i = 0; i < REQUESTS; i++) {
      if (from == r->node && event.type == KAD_EVENT_END &&
          r->ids[i] == event.request) {
        r->ends[i]++;
        r->errors[i] = event.error;
      }
    }
  }
}

static void pass(run *r, kad_time time) {
  kad_time until = kad__simulator_now(r->n.sim) + time;
  do {
    take(r);
  } while (kad__simulator_step(r->n.sim, until));
  take(r);
}

static kad_request request_of(int number) {
  static const kad_operation operations[REQUESTS] = {
      KAD_PUT, KAD_GET, KAD_PROVIDE, KAD_FIND_PROVIDERS, KAD_FIND_PEER};
  static const uint8_t key[] = {0x12, 4, 1, 2, 3, 4};
  kad_request r = KAD_REQUEST_INIT(operations[number]);
  r.key = kad__bytes(key, sizeof(key));
  r.value = kad__bytes_of("value");
  return r;
}

static void start_request(run *r, int number) {
  kad_request request = request_of(number);
  request.peer = *kad__simulator_id(r->n.sim, 1);
  r->errors[number] =
      kad__simulator_start(r->n.sim, r->node, &r->ids[number], &request);
  if (r->errors[number] < 0) {
    r->ids[number] = 0;
    r->ends[number] = 1; /* refused at once: that was its end */
  }
}

/* What must work once there is memory again. */
static void check_usable(run *r, size_t fail_at) {
  network_pass(&r->n, 2 * KAD_MINUTE);
  kad_request get = request_of(1);
  kad_request_id id = 0;
  int error = kad__simulator_start(r->n.sim, r->node, &id, &get);
  if (error == 0) {
    error = network_finish(&r->n, r->node, id, 2 * KAD_MINUTE).end.error;
  }
  if (error < 0) {
    fail_msg("allocation %zu: not usable later: %s", fail_at,
             kad_error_name(error));
  }
}

static void check_ends(const run *r, size_t fail_at) {
  for (int i = 0; i < REQUESTS; i++) {
    if (r->ends[i] != 1) {
      fail_msg("allocation %zu: request %d has %zu ends", fail_at, i,
               r->ends[i]);
    }
  }
}

static void open_run(run *r) {
  memset(r, 0, sizeof(*r));
  network_open(&r->n, 7);
  network_grow(&r->n, PEERS);
  kad_request put = request_of(0);
  assert_ok(network_finish(&r->n, 1, network_start(&r->n, 1, &put), KAD_MINUTE)
                .end.error);
  test_allocator_init(&r->memory);
  r->allocator = (kad_allocator){.alloc = wet_alloc,
                                 .resize = wet_resize,
                                 .release = wet_release,
                                 .user = r};
  r->n.config.allocator = &r->allocator;
}

/* True when the failure was reached. */
static bool survive(size_t fail_at) {
  run r;
  open_run(&r);
  r.memory.fail_at = fail_at;
  int node = kad__simulator_add(r.n.sim, &r.n.config, 0);
  if (node >= 0) {
    r.node = (uint32_t)node;
    start_request(&r, 0); /* waits for the node to join */
    pass(&r, 5 * KAD_SECOND);
    for (int i = 1; i < REQUESTS; i++) {
      start_request(&r, i);
    }
    pass(&r, 2 * KAD_MINUTE);
    check_ends(&r, fail_at);
  } else {
    assert_error(KAD_E_NO_MEMORY, node);
  }
  bool reached = r.memory.calls >= fail_at;
  r.memory.fail_at = 0;
  if (node >= 0) {
    check_usable(&r, fail_at);
  }
  network_close(&r.n);
  if (r.memory.live != 0) {
    fail_msg("allocation %zu: %zu blocks leak", fail_at, r.memory.live);
  }
  return reached;
}

static void test_each_allocation(void **state) {
  (void)state;
  kad_random random;
  kad_random_init_u64(&random, test_seed("memory"));
  size_t fail_at = 1;
  size_t tried = 0;
  for (; survive(fail_at); tried++) {
    fail_at += fail_at < EVERY ? 1 : 1 + (size_t)kad_random_below(&random, 5);
  }
  print_message("%zu failing allocations of %zu\n", tried, fail_at);
  assert_true(tried > EVERY);
}

/* Memory that is gone for good for a while: everything fails, then nothing. */
static void test_drought(void **state) {
  (void)state;
  for (kad_time at = 0; at < 2000; at += 250) {
    run r;
    open_run(&r);
    int node = kad__simulator_add(r.n.sim, &r.n.config, 0);
    assert_ok(node);
    r.node = (uint32_t)node;
    for (int i = 0; i < REQUESTS; i++) {
      start_request(&r, i);
    }
    pass(&r, at * KAD_MILLISECOND);
    r.dry = true;
    pass(&r, 30 * KAD_SECOND);
    r.dry = false;
    pass(&r, 2 * KAD_MINUTE);
    check_ends(&r, 0);
    check_usable(&r, 0);
    network_close(&r.n);
    assert_int_equal(r.memory.live, 0);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_each_allocation),
      cmocka_unit_test(test_drought),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
