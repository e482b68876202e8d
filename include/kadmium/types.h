/**
 * @file
 * The few types that every other header uses: borrowed bytes, time, and the
 * memory an object lives on.
 */
#ifndef KADMIUM_TYPES_H
#define KADMIUM_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Marks what libkadmium exports; everything else stays hidden. */
#if defined(__GNUC__)
#define KAD_API __attribute__((visibility("default")))
#else
#define KAD_API
#endif

/**
 * Borrowed bytes. Who made them keeps them; whoever receives a kad_bytes may
 * read it for the duration stated by the function, usually the call.
 * `data` may be NULL when `len` is 0.
 */
typedef struct kad_bytes {
  const uint8_t *data;
  size_t len;
} kad_bytes;

/**
 * Monotonic time in nanoseconds, from an arbitrary start. Never the wall
 * clock: where a calendar time is needed, it is a separate parameter.
 */
typedef uint64_t kad_time;

/** "No deadline". Later than every other time. */
#define KAD_TIME_NEVER UINT64_MAX
#define KAD_MICROSECOND ((kad_time)1000)
#define KAD_MILLISECOND ((kad_time)1000000)
#define KAD_SECOND ((kad_time)1000000000)
#define KAD_MINUTE (60 * KAD_SECOND)
#define KAD_HOUR (60 * KAD_MINUTE)

/**
 * Where an object takes its memory from. The object copies the struct;
 * `user` must outlive it. `alloc` returns NULL when there is no memory left
 * (the library then returns KAD_E_NO_MEMORY and stays usable). `resize` acts
 * like realloc(3), `release` like free(3) and takes NULL.
 */
typedef struct kad_allocator {
  void *(*alloc)(void *user, size_t size);
  void *(*resize)(void *user, void *memory, size_t size);
  void (*release)(void *user, void *memory);
  void *user;
} kad_allocator;

/** The allocator that calls malloc, realloc and free. Never NULL. */
KAD_API const kad_allocator *kad_allocator_default(void);

#ifdef __cplusplus
}
#endif

#endif
