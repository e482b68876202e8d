/* A disk that loses its power: what was written since a file was last
 * synchronised may be there afterwards or not, whole or in part, and in any
 * order. It stands between SQLite and the real one. */
#ifndef KAD_TESTS_STORE_LOSSY_DISK_H
#define KAD_TESTS_STORE_LOSSY_DISK_H

#include "kadmium/types.h"
#include "places.h"

/* What every store that is opened from now on stands on. */
void lossy_disk_install(void);
/* Whether those opened from now on do. */
void lossy_disk_use(bool use);
/* Forgets all files. */
void lossy_disk_reset(void);
/* How often files whose names end so were synchronised. */
size_t lossy_disk_syncs(const char *tail);
/* Called before each write, synchronisation and removal: a moment at which the
 * power may go. NULL: none is. */
void lossy_disk_watch(void (*moment)(void *user), void *user);

/* Writes what a loss of power at this moment may leave of the store at `from`
 * and of what is beside it, to where `to` is. */
void lossy_disk_lose(const place *from, const place *to, kad_random *random);

#endif
