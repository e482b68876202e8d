/* The containers against models that are too simple to be wrong, under random
 * operations and now and then a failing allocation. */
#include "base/buffer.h"
#include "base/heap.h"
#include "base/map.h"
#include "support.h"

#define STEPS 20000

static kad_random random_;

static size_t below(size_t bound) {
  return (size_t)kad_random_below(&random_, bound);
}

/* The next allocation fails in one of four steps. */
static void maybe_fail(test_allocator *t) {
  t->fail_at = below(4) == 0 ? t->calls + 1 : 0;
}

#define HEAP_NODES 200

typedef struct heap_model {
  kad__heap heap;
  test_allocator t;
  kad__heap_node nodes[HEAP_NODES];
  bool in[HEAP_NODES];
  uint64_t order[HEAP_NODES];
  uint64_t next_order;
} heap_model;

static kad__heap_node *model_first(heap_model *m) {
  kad__heap_node *first = NULL;
  uint64_t order = 0;
  for (size_t i = 0; i < HEAP_NODES; i++) {
    kad__heap_node *node = &m->nodes[i];
    if (m->in[i] && (first == NULL || node->at < first->at ||
                     (node->at == first->at && m->order[i] < order))) {
      first = node;
      order = m->order[i];
    }
  }
  return first;
}

static void heap_step(heap_model *m) {
  size_t i = below(HEAP_NODES);
  size_t kind = below(4);
  if (kind < 2) {
    maybe_fail(&m->t);
    bool inside = m->in[i];
    int result =
        kad__heap_set(&m->heap, &m->t.allocator, &m->nodes[i], below(50));
    assert_true(result == 0 || (result == KAD_E_NO_MEMORY && !inside));
    if (result == 0) {
      m->in[i] = true;
      m->order[i] = m->next_order++;
    }
  } else if (kind == 2) {
    kad__heap_remove(&m->heap, &m->nodes[i]);
    m->in[i] = false;
  } else {
    kad_time now = below(60);
    kad__heap_node *first = model_first(m);
    kad__heap_node *due = kad__heap_take_due(&m->heap, now);
    assert_ptr_equal(due, first != NULL && first->at <= now ? first : NULL);
    if (due != NULL) {
      m->in[due - m->nodes] = false;
    }
  }
}

static void heap_is_a_sorted_list(void **state) {
  (void)state;
  static heap_model m;
  memset(&m, 0, sizeof(m));
  test_allocator_init(&m.t);
  for (size_t i = 0; i < HEAP_NODES; i++) {
    kad__heap_node_init(&m.nodes[i]);
  }
  size_t runs = test_runs(STEPS);
  for (size_t i = 0; i < runs; i++) {
    heap_step(&m);
    kad__heap_node *first = model_first(&m);
    assert_ptr_equal(kad__heap_first(&m.heap), first);
    assert_true(kad__heap_deadline(&m.heap) ==
                (first == NULL ? KAD_TIME_NEVER : first->at));
  }
  for (size_t i = 0; i < HEAP_NODES; i++) {
    assert_int_equal(kad__heap_has(&m.nodes[i]), m.in[i]);
  }
  kad__heap_fini(&m.heap, &m.t.allocator);
  assert_int_equal(m.t.live, 0);
}

#define MAP_KEYS 500

typedef struct map_model {
  kad__map map;
  test_allocator t;
  kad__map_node nodes[MAP_KEYS];
  uint8_t keys[MAP_KEYS][40];
  size_t key_lens[MAP_KEYS];
  bool in[MAP_KEYS];
  size_t count;
} map_model;

static void map_model_init(map_model *m) {
  memset(m, 0, sizeof(*m));
  test_allocator_init(&m->t);
  uint64_t secret[2] = {kad_random_u64(&random_), kad_random_u64(&random_)};
  kad__map_init(&m->map, secret);
  for (size_t i = 0; i < MAP_KEYS; i++) {
    kad_random_bytes(&random_, m->keys[i], sizeof(m->keys[i]));
    kad__store16(m->keys[i], (uint16_t)i);
    m->key_lens[i] = 2 + below(sizeof(m->keys[i]) - 1);
  }
}

static void map_step(map_model *m) {
  size_t i = below(MAP_KEYS);
  kad_bytes key = kad__bytes(m->keys[i], m->key_lens[i]);
  kad__map_node *found = kad__map_find(&m->map, key);
  assert_ptr_equal(found, m->in[i] ? &m->nodes[i] : NULL);
  if (found != NULL) {
    kad__map_remove(&m->map, found);
    m->in[i] = false;
    m->count--;
    return;
  }
  maybe_fail(&m->t);
  int result = kad__map_add(&m->map, &m->t.allocator, &m->nodes[i], key);
  assert_true(result == 0 ||
              (result == KAD_E_NO_MEMORY && m->map.slot_count == 0));
  if (result == 0) {
    m->in[i] = true;
    m->count++;
  }
}

static void check_iteration(const map_model *m) {
  bool seen[MAP_KEYS] = {false};
  uint32_t slot = 0;
  size_t count = 0;
  kad__map_node *node = NULL;
  while ((node = kad__map_next(&m->map, &slot, node)) != NULL) {
    size_t i = (size_t)(node - m->nodes);
    assert_true(m->in[i] && !seen[i]);
    seen[i] = true;
    count++;
  }
  assert_int_equal(count, m->count);
}

static void map_is_an_array_of_flags(void **state) {
  (void)state;
  static map_model m;
  map_model_init(&m);
  size_t runs = test_runs(STEPS);
  for (size_t i = 0; i < runs; i++) {
    map_step(&m);
    assert_int_equal(m.map.len, m.count);
    if (i % 1000 == 0) {
      check_iteration(&m);
    }
  }
  check_iteration(&m);
  kad__map_fini(&m.map, &m.t.allocator);
  assert_int_equal(m.t.live, 0);
}

/* Byte number n of the stream that goes through the buffer. */
static uint8_t stream_byte(uint64_t n) {
  return (uint8_t)(n * 167 + (n >> 8));
}

static void check_buffer(const kad__buffer *b, uint64_t read, uint64_t end) {
  kad_bytes bytes = kad__buffer_bytes(b);
  assert_int_equal(bytes.len, end - read);
  for (size_t i = 0; i < bytes.len; i++) {
    assert_int_equal(bytes.data[i], stream_byte(read + i));
  }
}

static void buffer_is_a_queue(void **state) {
  (void)state;
  test_allocator t;
  test_allocator_init(&t);
  kad__buffer b = {0};
  uint64_t written = 0;
  uint64_t read = 0;
  size_t runs = test_runs(STEPS);
  for (size_t i = 0; i < runs; i++) {
    uint8_t chunk[256];
    size_t len = below(sizeof(chunk));
    for (size_t j = 0; j < len; j++) {
      chunk[j] = stream_byte(written + j);
    }
    maybe_fail(&t);
    size_t cap = b.cap;
    size_t growth = kad__buffer_growth(&b, len);
    if (kad__buffer_append(&b, &t.allocator, kad__bytes(chunk, len)) == 0) {
      assert_int_equal(b.cap - cap, len == 0 ? 0 : growth);
      written += len;
    }
    size_t drop = below(kad__buffer_len(&b) + 1);
    kad__buffer_consume(&b, &t.allocator, drop);
    read += drop;
    check_buffer(&b, read, written);
    assert_int_equal(t.live, read == written ? 0 : 1);
  }
  kad__buffer_fini(&b, &t.allocator);
  assert_int_equal(t.live, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(heap_is_a_sorted_list),
      cmocka_unit_test(map_is_an_array_of_flags),
      cmocka_unit_test(buffer_is_a_queue),
  };
  kad_random_init_u64(&random_, test_seed("property-base"));
  return cmocka_run_group_tests(tests, NULL, NULL);
}
