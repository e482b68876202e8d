/* One contiguous block with two cursors. Bytes are moved to the front only when
 * that frees at least as much as is moved, and the block grows by doubling, so
 * appending and consuming are O(1) per byte in the long run; a queue that stays
 * short keeps a block of at most four times its length. */
#include "base/buffer.h"

#include <assert.h>

#include "base/alloc.h"
#include "base/bytes.h"
#include "kadmium/error.h"

#define BUFFER_MAX ((size_t)1 << 30)
#define BUFFER_MIN ((size_t)64)

void kad__buffer_fini(kad__buffer *b, const kad_allocator *allocator) {
  kad__release(allocator, b->data);
  *b = (kad__buffer){0};
}

static size_t grown_cap(size_t cap, size_t needed) {
  size_t doubled = 2 * cap < BUFFER_MIN ? BUFFER_MIN : 2 * cap;
  if (doubled > BUFFER_MAX) {
    doubled = BUFFER_MAX;
  }
  return doubled < needed ? needed : doubled;
}

static int grow(kad__buffer *b, const kad_allocator *allocator, size_t cap) {
  uint8_t *data = kad__alloc(allocator, cap);
  if (data == NULL) {
    return KAD_E_NO_MEMORY;
  }
  size_t used = kad__buffer_len(b);
  if (used != 0) {
    memcpy(data, b->data + b->begin, used);
  }
  kad__release(allocator, b->data);
  *b = (kad__buffer){.data = data, .end = (uint32_t)used, .cap = (uint32_t)cap};
  return 0;
}

/* Behind what is used there is room for `len` more, or before it. */
static bool fits(const kad__buffer *b, size_t len) {
  return b->data != NULL && len <= (size_t)b->cap - b->end;
}

static bool fits_moved(const kad__buffer *b, size_t len) {
  size_t used = kad__buffer_len(b);
  return b->data != NULL && b->begin >= used && used + len <= b->cap;
}

size_t kad__buffer_growth(const kad__buffer *b, size_t len) {
  size_t used = kad__buffer_len(b);
  if (fits(b, len) || fits_moved(b, len)) {
    return 0;
  }
  return len > BUFFER_MAX - used ? len : grown_cap(b->cap, used + len) - b->cap;
}

int kad__buffer_reserve(kad__buffer *b, const kad_allocator *allocator,
                        uint8_t **tail, size_t len) {
  size_t used = kad__buffer_len(b);
  if (len > BUFFER_MAX - used) {
    return KAD_E_LIMIT;
  }
  if (!fits(b, len)) {
    if (fits_moved(b, len)) {
      memcpy(b->data, b->data + b->begin, used);
      b->begin = 0;
      b->end = (uint32_t)used;
    } else {
      int result = grow(b, allocator, grown_cap(b->cap, used + len));
      if (result < 0) {
        return result;
      }
    }
  }
  *tail = b->data + b->end;
  return 0;
}

void kad__buffer_commit(kad__buffer *b, size_t len) {
  assert(len <= (size_t)b->cap - b->end);
  b->end += (uint32_t)len;
}

int kad__buffer_append(kad__buffer *b, const kad_allocator *allocator,
                       kad_bytes bytes) {
  if (bytes.len == 0) {
    return 0;
  }
  uint8_t *tail = NULL;
  int result = kad__buffer_reserve(b, allocator, &tail, bytes.len);
  if (result < 0) {
    return result;
  }
  memcpy(tail, bytes.data, bytes.len);
  kad__buffer_commit(b, bytes.len);
  return 0;
}

void kad__buffer_consume(kad__buffer *b, const kad_allocator *allocator,
                         size_t len) {
  assert(len <= kad__buffer_len(b));
  b->begin += (uint32_t)len;
  if (b->begin == b->end) {
    kad__buffer_fini(b, allocator);
  }
}
