/* The queue between a node and its owner. */
#include "node/events.h"
#include "support.h"

static void test_copies(void **state) {
  (void)state;
  test_allocator memory;
  test_allocator_init(&memory);
  kad__node_events events;
  kad__node_events_init(&events, &memory.allocator);
  char text[] = "first";
  kad_event in = {.type = KAD_EVENT_VALUE, .request = 7};
  in.key = kad__bytes_of(text);
  in.value = kad__bytes_of("value");
  kad__node_events_push(&events, &in);
  memset(text, 'x', sizeof(text) - 1);
  kad_event out = {0};
  assert_true(kad__node_events_take(&events, &out));
  assert_bytes_equal(out.key, kad__bytes_of("first"));
  assert_bytes_equal(out.value, kad__bytes_of("value"));
  assert_int_equal(out.addresses.len, 0);
  assert_int_equal(out.request, 7);
  assert_false(kad__node_events_take(&events, &out));
  kad__node_events_fini(&events);
  assert_int_equal(memory.live, 0);
}

static void test_order(void **state) {
  (void)state;
  kad__node_events events;
  kad__node_events_init(&events, kad_allocator_default());
  for (uint32_t i = 0; i < 100; i++) {
    kad_event in = {.type = KAD_EVENT_PROGRESS, .count = i};
    kad__node_events_push(&events, &in);
  }
  kad_event out;
  for (uint32_t i = 0; i < 100; i++) {
    assert_true(kad__node_events_take(&events, &out));
    assert_int_equal(out.count, i);
  }
  assert_false(kad__node_events_take(&events, &out));
  kad__node_events_fini(&events);
}

/* News of the node's life is dropped when nobody takes it; what somebody asked
 * for is not. */
static void test_full(void **state) {
  (void)state;
  test_allocator memory;
  test_allocator_init(&memory);
  kad__node_events events;
  kad__node_events_init(&events, &memory.allocator);
  kad_event news = {.type = KAD_EVENT_CONNECTED};
  for (size_t i = 0; i < KAD__NODE_EVENTS_MAX + 10; i++) {
    kad__node_events_push(&events, &news);
  }
  assert_int_equal(events.count, KAD__NODE_EVENTS_MAX);
  assert_int_equal(events.dropped, 10);
  kad_event result = {.type = KAD_EVENT_VALUE, .request = 1};
  kad__node_events_push(&events, &result);
  kad__node_event *space = kad__node_event_new(&memory.allocator);
  kad_event end = {.type = KAD_EVENT_END, .request = 1};
  kad__node_events_push_owned(&events, space, &end);
  assert_int_equal(events.count, KAD__NODE_EVENTS_MAX + 2);
  kad_event out;
  size_t taken = 0;
  while (kad__node_events_take(&events, &out)) {
    taken++;
  }
  assert_int_equal(taken, KAD__NODE_EVENTS_MAX + 2);
  assert_int_equal(out.type, KAD_EVENT_END);
  kad__node_events_fini(&events);
  assert_int_equal(memory.live, 0);
}

static void test_without_memory(void **state) {
  (void)state;
  test_allocator memory;
  test_allocator_init(&memory);
  kad__node_events events;
  kad__node_events_init(&events, &memory.allocator);
  memory.fail_at = 1;
  kad_event news = {.type = KAD_EVENT_CONNECTED};
  kad__node_events_push(&events, &news);
  assert_int_equal(events.dropped, 1);
  memory.fail_at = memory.calls + 1;
  assert_null(kad__node_event_new(&memory.allocator));
  kad__node_events_push(&events, &news);
  kad_event out;
  assert_true(kad__node_events_take(&events, &out));
  kad__node_events_push(&events, &news);
  kad__node_events_fini(&events); /* one taken, one waiting */
  assert_int_equal(memory.live, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_copies),
      cmocka_unit_test(test_order),
      cmocka_unit_test(test_full),
      cmocka_unit_test(test_without_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
