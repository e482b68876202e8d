/* A queue of bytes: appended at the end, consumed from the front, always
 * contiguous. An empty buffer holds no memory, so an idle connection that owns
 * several costs nothing for them. */
#ifndef KAD_BASE_BUFFER_H
#define KAD_BASE_BUFFER_H

#include "kadmium/types.h"

typedef struct kad__buffer {
  uint8_t *data;
  uint32_t begin; /* first unread byte */
  uint32_t end;   /* one past the last */
  uint32_t cap;
} kad__buffer;

static inline size_t kad__buffer_len(const kad__buffer *b) {
  return b->end - b->begin;
}

static inline kad_bytes kad__buffer_bytes(const kad__buffer *b) {
  return (kad_bytes){b->data == NULL ? NULL : b->data + b->begin,
                     b->end - b->begin};
}

void kad__buffer_fini(kad__buffer *b, const kad_allocator *allocator);

/* Makes room for `len` more bytes and points `*tail` at it. Contents that were
 * not committed may move. KAD_E_NO_MEMORY leaves the buffer as it was; so does
 * KAD_E_LIMIT, when it would exceed 1 GiB. */
int kad__buffer_reserve(kad__buffer *b, const kad_allocator *allocator,
                        uint8_t **tail, size_t len);
/* Bytes of memory that kad__buffer_reserve would add for `len` bytes more; if
 * it refuses so many, at least `len`. */
size_t kad__buffer_growth(const kad__buffer *b, size_t len);
/* Says that `len` bytes were written at the tail. */
void kad__buffer_commit(kad__buffer *b, size_t len);
/* Appends a copy; errors as kad__buffer_reserve. */
int kad__buffer_append(kad__buffer *b, const kad_allocator *allocator,
                       kad_bytes bytes);
/* Drops `len` (at most all) bytes from the front; frees an empty buffer. */
void kad__buffer_consume(kad__buffer *b, const kad_allocator *allocator,
                         size_t len);

#endif
