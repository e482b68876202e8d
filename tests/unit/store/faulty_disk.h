/* A disk that fails when told to, between SQLite and the real one. */
#ifndef KAD_TESTS_STORE_FAULTY_DISK_H
#define KAD_TESTS_STORE_FAULTY_DISK_H

#include <stdbool.h>
#include <stddef.h>

typedef struct faulty_disk {
  size_t operations; /* reads, writes and syncs so far */
  size_t fail_at;    /* the n-th of them and those after it; 0: none */
  bool only_once;    /* ... the n-th alone */
  bool full;         /* writes beyond what is there find no room */
  bool read_only;    /* ... nor do any others */
  bool syncs_fail;
  size_t syncs;
} faulty_disk;

/* What every store that is opened from now on stands on. */
extern faulty_disk disk;
void faulty_disk_install(void);
void faulty_disk_reset(void);

#endif
