/* Records on disk: a store (kademlia/store.h) in one SQLite file.
 *
 * What was put is there after the process died at any moment; after a loss of
 * power all but the last moments are (write-ahead log, synchronous=NORMAL:
 * nothing waits for the disk). Limits are those of the memory store, and so is
 * who makes way when the room for others is full. Each record carries a
 * checksum: one that the disk has changed is dropped, not served.
 *
 * Expiry on disk is wall-clock time, nanoseconds since 1970; a pair of both
 * clocks, given at opening, translates. When the wall clock has been set back
 * between two runs, records live that much longer.
 *
 * Only one store may have a file open at a time. Not thread-safe. */
#ifndef KAD_STORE_SQLITE_STORE_H
#define KAD_STORE_SQLITE_STORE_H

#include "kademlia/memory_store.h"
#include "kademlia/store.h"

typedef struct kad__sqlite_store_config {
  kad__memory_store_config limits;
  /* Keys what peers could otherwise aim at: random, of this run alone. */
  uint64_t secret[2];
  uint64_t max_file;   /* bytes, without the log; 0: no limit. 0 */
  uint32_t cache_size; /* bytes of pages kept in memory: 2 MiB */
  bool trust_file;     /* skip the check of the whole file at opening: false */
} kad__sqlite_store_config;

/* Defaults as above; the secret is zero and should be set. */
void kad__sqlite_store_config_default(kad__sqlite_store_config *config);

/* Opens the file `path`, or makes it. `now` and `unix_ns` are the same moment
 * on both clocks. Time and reads grow with the file, unless `trust_file`, when
 * records are still counted. Free with the class table's `free`.
 *
 * KAD_E_INVALID_ARGUMENT: an empty path, or the wall clock is unknown (0).
 * KAD_E_STORE_CORRUPT: not a store, or damaged; see
 * kad__sqlite_store_set_aside. KAD_E_STORE_VERSION: of a newer version; nothing
 * was changed. KAD_E_STATE: open elsewhere. KAD_E_PERMISSION: not writable.
 * KAD_E_IO, KAD_E_STORE_FULL: the disk. KAD_E_NO_MEMORY.
 *
 * Of what the class table promises, two things are narrower. What `get`,
 * `next`, `providers` and `next_provided` gave is a copy, borrowed until the
 * same operation is called again. When the disk fails, `put` and
 * `add_provider` may return KAD_E_IO, KAD_E_STORE_CORRUPT or KAD_E_STORE_FULL
 * as well, with the old record still there; what can be read can still be read.
 * After a failed fsync nothing is written any more (KAD_E_IO): the kernel may
 * have dropped what it could not write. */
int kad__sqlite_store_new(kad__store **out, const kad_allocator *allocator,
                          const char *path,
                          const kad__sqlite_store_config *config, kad_time now,
                          uint64_t unix_ns);

/* Renames the file of a store that is not open, and its log, to
 * "<path>.corrupt", replacing an older one: for inspection, and so that a new
 * one can begin. KAD_E_IO, KAD_E_NO_MEMORY. */
int kad__sqlite_store_set_aside(const kad_allocator *allocator,
                                const char *path);

typedef struct kad__sqlite_store_status {
  uint32_t records; /* of others */
  uint32_t own_records;
  uint32_t provided;      /* own provider records */
  uint32_t provider_keys; /* keys that others provide */
  uint64_t bytes;         /* of others' records */
  uint64_t provider_bytes;
  uint64_t damaged; /* records dropped since opening: their checksum is wrong */
  uint64_t errors;  /* operations that failed since opening */
  int last_error;   /* of the last that failed; 0: none has */
} kad__sqlite_store_status;

/* `store` is one of kad__sqlite_store_new. */
void kad__sqlite_store_status_get(const kad__store *store,
                                  kad__sqlite_store_status *out);

#endif
