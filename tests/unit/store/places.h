/* Where the tests of the stores put their files, and stores to put there. */
#ifndef KAD_TESTS_STORE_PLACES_H
#define KAD_TESTS_STORE_PLACES_H

#include "../../support/support.h"
#include "kademlia/memory_store.h"
#include "store/sqlite_store.h"

/* The moment at which the tests open their stores. */
#define PLACE_NOW (1000 * KAD_SECOND)
#define PLACE_UNIX (UINT64_C(1700000000) * KAD_SECOND)

/* A directory of its own for one test, and the path of a store in it. */
typedef struct place {
  char directory[64];
  char path[96];
} place;

void place_init(place *p);
/* Removes the directory and all that is in it. */
void place_fini(place *p);
/* The path of another file beside the store; static memory. */
const char *place_beside(const place *p, const char *tail);

/* The whole file in memory; yours to free. NULL when there is none. */
uint8_t *place_read(const char *path, size_t *len);
void place_write(const char *path, const uint8_t *data, size_t len);

/* Opens the store there, at the given moment. */
int place_open_at(kad__store **out, const place *p, kad_time now,
                  uint64_t unix_ns);
/* ... at the usual one; fails the test when it cannot. */
kad__store *place_open(const place *p);

/* Text as bytes. */
static inline kad_bytes text(const char *s) {
  return kad__bytes_of(s);
}

/* "value of KEY" by `source` (NULL: ours), for an hour. */
int put_text(kad__store *s, const char *key, const char *value,
             const char *source);
int provide_text(kad__store *s, const char *key, const char *provider,
                 bool own);
/* Fails the test unless the store has exactly this value. */
void assert_value(kad__store *s, const char *key, const char *value);

#endif
