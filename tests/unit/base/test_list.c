#include "base/list.h"
#include "support.h"

typedef struct item {
  int number;
  kad__list link;
} item;

static int number_of(kad__list *node) {
  return KAD__CONTAINER(node, item, link)->number;
}

static void items_leave_in_the_order_they_came(void **state) {
  (void)state;
  kad__list head;
  item items[3] = {{.number = 0}, {.number = 1}, {.number = 2}};
  kad__list_init(&head);
  assert_true(kad__list_empty(&head));
  assert_null(kad__list_take(&head));
  for (int i = 0; i < 3; i++) {
    kad__list_init(&items[i].link);
    assert_false(kad__list_linked(&items[i].link));
    kad__list_append(&head, &items[i].link);
    assert_true(kad__list_linked(&items[i].link));
  }
  for (int i = 0; i < 3; i++) {
    assert_int_equal(number_of(kad__list_take(&head)), i);
    assert_false(kad__list_linked(&items[i].link));
  }
  assert_true(kad__list_empty(&head));
}

static void items_may_leave_inside_the_loop(void **state) {
  (void)state;
  kad__list head;
  item items[5];
  kad__list_init(&head);
  for (int i = 0; i < 5; i++) {
    items[i].number = i;
    kad__list_append(&head, &items[i].link);
  }
  int seen = 0;
  KAD__LIST_EACH(node, &head) {
    assert_int_equal(number_of(node), seen);
    if (seen % 2 == 0) {
      kad__list_unlink(node);
      kad__list_unlink(node);
    }
    seen++;
  }
  assert_int_equal(seen, 5);
  assert_int_equal(number_of(kad__list_take(&head)), 1);
  assert_int_equal(number_of(kad__list_take(&head)), 3);
  assert_null(kad__list_take(&head));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(items_leave_in_the_order_they_came),
      cmocka_unit_test(items_may_leave_inside_the_loop),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
