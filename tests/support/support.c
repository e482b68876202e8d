/* The shared parts of the tests. This is the outside world: it may look at the
 * clock and the environment. */
#include "support.h"

#include <time.h>

uint64_t test_seed(const char *name) {
  const char *text = getenv("KADMIUM_SEED");
  uint64_t seed = 0;
  if (text != NULL) {
    seed = strtoull(text, NULL, 0);
  } else {
    struct timespec now;
    timespec_get(&now, TIME_UTC);
    seed = (uint64_t)now.tv_sec * 1000000007u ^ (uint64_t)now.tv_nsec;
  }
  print_message("%s: KADMIUM_SEED=%llu\n", name, (unsigned long long)seed);
  return seed;
}

size_t test_runs(size_t count) {
  const char *text = getenv("KADMIUM_RUNS");
  return text == NULL ? count : count * strtoul(text, NULL, 10);
}

static unsigned hex_digit(char c) {
  if (c >= '0' && c <= '9') {
    return (unsigned)(c - '0');
  }
  if (c >= 'a' && c <= 'f') {
    return (unsigned)(c - 'a') + 10;
  }
  fail_msg("not a hexadecimal digit: %c", c);
  return 0;
}

/* Keeps every block reachable, so that the leak checker stays quiet. */
static struct hex_block {
  struct hex_block *next;
  uint8_t bytes[];
} * hex_blocks;

kad_bytes test_hex(const char *text) {
  size_t len = strlen(text) / 2;
  assert_int_equal(strlen(text), 2 * len);
  struct hex_block *block = malloc(sizeof(*block) + len);
  assert_non_null(block);
  block->next = hex_blocks;
  hex_blocks = block;
  for (size_t i = 0; i < len; i++) {
    block->bytes[i] =
        (uint8_t)(hex_digit(text[2 * i]) << 4 | hex_digit(text[2 * i + 1]));
  }
  return kad__bytes(block->bytes, len);
}

/* Each block is preceded by its size. */
#define HEADER 16

static void *counted_alloc(void *user, size_t size) {
  test_allocator *t = user;
  t->calls++;
  if (t->fail_at != 0 && t->calls == t->fail_at) {
    return NULL;
  }
  uint8_t *block = malloc(size + HEADER);
  if (block == NULL) {
    return NULL;
  }
  memcpy(block, &size, sizeof(size));
  t->live++;
  t->live_bytes += size;
  t->peak_bytes = t->live_bytes > t->peak_bytes ? t->live_bytes : t->peak_bytes;
  return block + HEADER;
}

static void counted_release(void *user, void *memory) {
  test_allocator *t = user;
  if (memory == NULL) {
    return;
  }
  uint8_t *block = (uint8_t *)memory - HEADER;
  size_t size = 0;
  memcpy(&size, block, sizeof(size));
  t->live--;
  t->live_bytes -= size;
  free(block);
}

/* Always moves, so that stale pointers show. */
static void *counted_resize(void *user, void *memory, size_t size) {
  void *moved = counted_alloc(user, size);
  if (moved == NULL || memory == NULL) {
    return moved;
  }
  size_t old = 0;
  memcpy(&old, (uint8_t *)memory - HEADER, sizeof(old));
  memcpy(moved, memory, old < size ? old : size);
  counted_release(user, memory);
  return moved;
}

void test_allocator_init(test_allocator *t) {
  *t = (test_allocator){.allocator = {.alloc = counted_alloc,
                                      .resize = counted_resize,
                                      .release = counted_release,
                                      .user = t}};
}
