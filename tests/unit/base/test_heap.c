#include "base/heap.h"
#include "support.h"

#define NODES 20

typedef struct fixture {
  test_allocator t;
  kad__heap heap;
  kad__heap_node nodes[NODES];
} fixture;

static void init(fixture *f) {
  memset(f, 0, sizeof(*f));
  test_allocator_init(&f->t);
  for (size_t i = 0; i < NODES; i++) {
    kad__heap_node_init(&f->nodes[i]);
  }
}

static void fini(fixture *f) {
  kad__heap_fini(&f->heap, &f->t.allocator);
  assert_int_equal(f->t.live, 0);
}

static void set(fixture *f, size_t i, kad_time at) {
  assert_ok(kad__heap_set(&f->heap, &f->t.allocator, &f->nodes[i], at));
}

static void expect(fixture *f, size_t i) {
  assert_ptr_equal(kad__heap_take_due(&f->heap, KAD_TIME_NEVER), &f->nodes[i]);
  assert_false(kad__heap_has(&f->nodes[i]));
}

static void empty(void **state) {
  (void)state;
  fixture f;
  init(&f);
  assert_null(kad__heap_first(&f.heap));
  assert_null(kad__heap_take_due(&f.heap, KAD_TIME_NEVER));
  assert_true(kad__heap_deadline(&f.heap) == KAD_TIME_NEVER);
  kad__heap_remove(&f.heap, &f.nodes[0]);
  assert_false(kad__heap_has(&f.nodes[0]));
  fini(&f);
}

static void equal_deadlines_leave_as_they_came(void **state) {
  (void)state;
  fixture f;
  init(&f);
  for (size_t i = 0; i < NODES; i++) {
    set(&f, i, 7);
  }
  /* Set again is come again. */
  set(&f, 3, 7);
  for (size_t i = 0; i < NODES; i++) {
    if (i != 3) {
      expect(&f, i);
    }
  }
  expect(&f, 3);
  fini(&f);
}

static void only_what_is_due_leaves(void **state) {
  (void)state;
  fixture f;
  init(&f);
  set(&f, 0, 30);
  set(&f, 1, 10);
  set(&f, 2, 20);
  assert_true(kad__heap_deadline(&f.heap) == 10);
  assert_null(kad__heap_take_due(&f.heap, 9));
  assert_ptr_equal(kad__heap_take_due(&f.heap, 10), &f.nodes[1]);
  assert_null(kad__heap_take_due(&f.heap, 19));
  assert_ptr_equal(kad__heap_first(&f.heap), &f.nodes[2]);
  expect(&f, 2);
  expect(&f, 0);
  fini(&f);
}

static void nodes_move_and_leave(void **state) {
  (void)state;
  fixture f;
  init(&f);
  for (size_t i = 0; i < NODES; i++) {
    set(&f, i, 100 + i);
  }
  set(&f, 0, 1000);
  set(&f, NODES - 1, 1);
  kad__heap_remove(&f.heap, &f.nodes[5]);
  kad__heap_remove(&f.heap, &f.nodes[5]);
  expect(&f, NODES - 1);
  for (size_t i = 1; i < NODES - 1; i++) {
    if (i != 5) {
      expect(&f, i);
    }
  }
  expect(&f, 0);
  assert_null(kad__heap_first(&f.heap));
  fini(&f);
}

static void only_inserting_can_fail(void **state) {
  (void)state;
  fixture f;
  init(&f);
  f.t.fail_at = 1;
  assert_error(KAD_E_NO_MEMORY,
               kad__heap_set(&f.heap, &f.t.allocator, &f.nodes[0], 1));
  assert_false(kad__heap_has(&f.nodes[0]));
  size_t in = 0;
  while (f.heap.len < f.heap.cap || in == 0) {
    set(&f, in, 50 - in);
    in++;
  }
  f.t.fail_at = f.t.calls + 1;
  assert_error(KAD_E_NO_MEMORY,
               kad__heap_set(&f.heap, &f.t.allocator, &f.nodes[in], 1));
  assert_false(kad__heap_has(&f.nodes[in]));
  f.t.fail_at = f.t.calls + 1;
  set(&f, 0, 2);
  f.t.fail_at = 0;
  set(&f, in, 1);
  expect(&f, in);
  expect(&f, 0);
  for (size_t i = in - 1; i > 0; i--) {
    expect(&f, i);
  }
  fini(&f);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(empty),
      cmocka_unit_test(equal_deadlines_leave_as_they_came),
      cmocka_unit_test(only_what_is_due_leaves),
      cmocka_unit_test(nodes_move_and_leave),
      cmocka_unit_test(only_inserting_can_fail),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
