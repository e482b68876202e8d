/* Memory through the owner's kad_allocator. Every call may return NULL, and
 * every caller says KAD_E_NO_MEMORY then. */
#ifndef KAD_BASE_ALLOC_H
#define KAD_BASE_ALLOC_H

#include "kadmium/types.h"

void *kad__alloc(const kad_allocator *allocator, size_t size);
/* Zeroed; NULL also when count * size overflows. */
void *kad__calloc(const kad_allocator *allocator, size_t count, size_t size);
void *kad__resize(const kad_allocator *allocator, void *memory, size_t size);
/* NULL when count * size overflows. */
void *kad__resize_array(const kad_allocator *allocator, void *memory,
                        size_t count, size_t size);
void *kad__memdup(const kad_allocator *allocator, const void *from,
                  size_t size);
void kad__release(const kad_allocator *allocator, void *memory);

#endif
