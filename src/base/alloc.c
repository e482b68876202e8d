/* A thin layer over kad_allocator: sizes of zero never reach it, because
 * malloc(0) and realloc(p, 0) differ between C libraries. */
#include "base/alloc.h"

#include <stdlib.h>
#include <string.h>

static void *default_alloc(void *user, size_t size) {
  (void)user;
  return malloc(size);
}

static void *default_resize(void *user, void *memory, size_t size) {
  (void)user;
  return realloc(memory, size);
}

static void default_release(void *user, void *memory) {
  (void)user;
  free(memory);
}

const kad_allocator *kad_allocator_default(void) {
  static const kad_allocator allocator = {.alloc = default_alloc,
                                          .resize = default_resize,
                                          .release = default_release};
  return &allocator;
}

static size_t at_least_one(size_t size) {
  return size == 0 ? 1 : size;
}

/* False when it overflows. */
static bool multiply(size_t *out, size_t a, size_t b) {
  if (b != 0 && a > SIZE_MAX / b) {
    return false;
  }
  *out = a * b;
  return true;
}

void *kad__alloc(const kad_allocator *allocator, size_t size) {
  return allocator->alloc(allocator->user, at_least_one(size));
}

void *kad__calloc(const kad_allocator *allocator, size_t count, size_t size) {
  size_t total = 0;
  if (!multiply(&total, count, size)) {
    return NULL;
  }
  void *memory = kad__alloc(allocator, total);
  if (memory != NULL) {
    memset(memory, 0, total);
  }
  return memory;
}

void *kad__resize(const kad_allocator *allocator, void *memory, size_t size) {
  return allocator->resize(allocator->user, memory, at_least_one(size));
}

void *kad__resize_array(const kad_allocator *allocator, void *memory,
                        size_t count, size_t size) {
  size_t total = 0;
  if (!multiply(&total, count, size)) {
    return NULL;
  }
  return kad__resize(allocator, memory, total);
}

void *kad__memdup(const kad_allocator *allocator, const void *from,
                  size_t size) {
  void *memory = kad__alloc(allocator, size);
  if (memory != NULL && size != 0) {
    memcpy(memory, from, size);
  }
  return memory;
}

void kad__release(const kad_allocator *allocator, void *memory) {
  if (memory != NULL) {
    allocator->release(allocator->user, memory);
  }
}
