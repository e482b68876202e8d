/* The store as the embedder opens it: the clocks and the secret come from the
 * system. */
#define _GNU_SOURCE
#include <sys/random.h>
#include <time.h>

#include "kadmium/sqlite_store.h"
#include "store/sqlite_store.h"

static uint64_t nanoseconds(clockid_t clock) {
  struct timespec t;
  if (clock_gettime(clock, &t) != 0 || t.tv_sec < 0) {
    return 0;
  }
  return (uint64_t)t.tv_sec * KAD_SECOND + (uint64_t)t.tv_nsec;
}

int kad_sqlite_store_new(kad_store **out, const kad_allocator *allocator,
                         const char *path) {
  kad__sqlite_store_config config;
  kad__sqlite_store_config_default(&config);
  if (getrandom(config.secret, sizeof(config.secret), 0) !=
      (ssize_t)sizeof(config.secret)) {
    return KAD_E_WORLD;
  }
  return kad__sqlite_store_new(out, allocator, path, &config,
                               nanoseconds(CLOCK_MONOTONIC),
                               nanoseconds(CLOCK_REALTIME));
}

void kad_store_free(kad_store *store) {
  if (store != NULL) {
    store->ops->free(store);
  }
}
