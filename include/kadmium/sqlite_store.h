/**
 * @file
 * Records in a file: a store for kad_node_options.store, on SQLite.
 *
 * What a node has acknowledged is there after its process died at any moment;
 * after a loss of power all but the last moments are. Only in builds with
 * KADMIUM_STORE, which is the default.
 */
#ifndef KADMIUM_SQLITE_STORE_H
#define KADMIUM_SQLITE_STORE_H

#include "kadmium/store.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Opens the store in the file `path`, or makes it. `*out` is yours to free with
 * kad_store_free, after the node that uses it.
 *
 * KAD_E_INVALID_ARGUMENT: an empty path, or the wall clock is not set.
 * KAD_E_STORE_CORRUPT: not a store, or damaged. KAD_E_STORE_VERSION: of a later
 * version. In both cases nothing was changed. KAD_E_STATE: another process has
 * it open. KAD_E_PERMISSION, KAD_E_IO, KAD_E_STORE_FULL: the disk.
 * KAD_E_NO_MEMORY, KAD_E_WORLD.
 */
KAD_API int kad_sqlite_store_new(kad_store **out,
                                 const kad_allocator *allocator,
                                 const char *path);

/** Frees a store of this library; takes NULL. */
KAD_API void kad_store_free(kad_store *store);

#ifdef __cplusplus
}
#endif

#endif
