/* Of each file we keep what is certain, and the writes since: a synchronisation
 * makes them certain. Disks write sectors whole, and leave the bytes around a
 * write alone (SQLite relies on that, as "powersafe overwrite"). */
#include "lossy_disk.h"

#include <sqlite3.h>
#include <string.h>

#define FILES 4
#define SECTOR 512

typedef struct lossy_write {
  size_t at;
  size_t len;
  uint8_t *data; /* NULL: the file was cut at `at` */
} lossy_write;

typedef struct image {
  uint8_t *data;
  size_t len;
  size_t cap;
} image;

typedef struct lossy_file {
  char path[128]; /* empty: free */
  image certain;
  bool exists;  /* surely */
  bool removed; /* perhaps */
  lossy_write *writes;
  size_t count;
  size_t cap;
  size_t syncs;
} lossy_file;

typedef struct open_file {
  sqlite3_file base;
  lossy_file *file;
  sqlite3_file *real; /* right behind this struct */
} open_file;

static lossy_file files[FILES];
static sqlite3_vfs lossy_vfs;
static sqlite3_vfs *real_vfs;
static void (*watcher)(void *user);
static void *watcher_user;

void lossy_disk_watch(void (*moment)(void *user), void *user) {
  watcher = moment;
  watcher_user = user;
}

static void moment(void) {
  if (watcher != NULL) {
    watcher(watcher_user);
  }
}

/* ---- images ------------------------------------------------------------- */

static void image_resize(image *i, size_t len) {
  if (len > i->cap) {
    i->cap = len + len / 2;
    i->data = realloc(i->data, i->cap);
    assert_non_null(i->data);
  }
  if (len > i->len) {
    memset(i->data + i->len, 0, len - i->len);
  }
  i->len = len;
}

static void image_apply(image *i, const lossy_write *w, size_t len) {
  if (w->data == NULL) {
    image_resize(i, w->at < i->len ? w->at : i->len);
    return;
  }
  if (w->at + len > i->len) {
    image_resize(i, w->at + len);
  }
  memcpy(i->data + w->at, w->data, len);
}

/* ---- files -------------------------------------------------------------- */

static lossy_file *file_of(const char *path) {
  lossy_file *unused = NULL;
  for (size_t i = 0; i < FILES; i++) {
    if (strcmp(files[i].path, path) == 0) {
      return &files[i];
    }
    unused = files[i].path[0] == '\0' ? &files[i] : unused;
  }
  assert_non_null(unused);
  assert_true(strlen(path) < sizeof unused->path);
  memcpy(unused->path, path, strlen(path) + 1);
  return unused;
}

static void forget_writes(lossy_file *f) {
  for (size_t i = 0; i < f->count; i++) {
    free(f->writes[i].data);
  }
  f->count = 0;
}

static void forget_file(lossy_file *f) {
  forget_writes(f);
  f->exists = false;
  f->removed = false;
  f->certain.len = 0;
}

static void note_write(lossy_file *f, const void *data, size_t len, size_t at) {
  if (f->count == f->cap) {
    f->cap = f->cap == 0 ? 64 : 2 * f->cap;
    f->writes = realloc(f->writes, f->cap * sizeof *f->writes);
    assert_non_null(f->writes);
  }
  lossy_write *w = &f->writes[f->count++];
  *w = (lossy_write){.at = at, .len = len};
  if (data != NULL) {
    w->data = malloc(len);
    assert_non_null(w->data);
    memcpy(w->data, data, len);
  }
}

void lossy_disk_reset(void) {
  for (size_t i = 0; i < FILES; i++) {
    forget_writes(&files[i]);
    free(files[i].writes);
    free(files[i].certain.data);
    files[i] = (lossy_file){0};
  }
  lossy_disk_watch(NULL, NULL);
}

size_t lossy_disk_syncs(const char *tail) {
  size_t syncs = 0;
  for (size_t i = 0; i < FILES; i++) {
    size_t len = strlen(files[i].path);
    size_t tail_len = strlen(tail);
    if (len >= tail_len && strcmp(files[i].path + len - tail_len, tail) == 0) {
      syncs += files[i].syncs;
    }
  }
  return syncs;
}

/* ---- the loss ----------------------------------------------------------- */

static void shuffle(lossy_write *writes, size_t count, kad_random *random) {
  for (size_t i = count; i > 1; i--) {
    size_t j = (size_t)kad_random_below(random, i);
    lossy_write swap = writes[i - 1];
    writes[i - 1] = writes[j];
    writes[j] = swap;
  }
}

/* As much of a write as reached the disk: nothing, all, or some sectors. */
static size_t part_of(const lossy_write *w, uint64_t how, kad_random *random) {
  uint64_t drawn = kad_random_below(random, 8);
  if (drawn < how) {
    return w->data == NULL ? 1 : w->len;
  }
  return drawn == 7 && w->data != NULL
             ? (size_t)kad_random_below(random, w->len / SECTOR + 1) * SECTOR
             : 0;
}

static void lose_file(const lossy_file *f, const char *path,
                      kad_random *random) {
  image left = {0};
  /* Most of the writes are lost, or few, or all, or none. */
  uint64_t how = 2 * kad_random_below(random, 5);
  size_t size = (f->count + 1) * sizeof *f->writes;
  lossy_write *writes = malloc(size);
  assert_non_null(writes);
  if (f->count > 0) {
    memcpy(writes, f->writes, f->count * sizeof *writes);
  }
  image_resize(&left, f->certain.len);
  if (left.len > 0) {
    memcpy(left.data, f->certain.data, left.len);
  }
  if (kad_random_below(random, 2) == 0) {
    shuffle(writes, f->count, random);
  }
  for (size_t i = 0; i < f->count; i++) {
    size_t len = part_of(&writes[i], how, random);
    if (len > 0) {
      image_apply(&left, &writes[i], len);
    }
  }
  place_write(path, left.data, left.len);
  free(writes);
  free(left.data);
}

void lossy_disk_lose(const place *from, const place *to, kad_random *random) {
  size_t root = strlen(from->path);
  for (size_t i = 0; i < FILES; i++) {
    const lossy_file *f = &files[i];
    bool known = f->exists || f->removed || f->count > 0;
    bool there = f->exists || kad_random_below(random, 2) == 0;
    if (f->removed && kad_random_below(random, 2) == 0) {
      there = false;
    }
    if (f->path[0] != '\0' && known && there) {
      lose_file(f, place_beside(to, f->path + root), random);
    }
  }
}

/* ---- what SQLite calls -------------------------------------------------- */

static sqlite3_file *real_of(sqlite3_file *file) {
  return ((open_file *)(void *)file)->real;
}

static lossy_file *lossy_of(sqlite3_file *file) {
  return ((open_file *)(void *)file)->file;
}

static int file_close(sqlite3_file *file) {
  return real_of(file)->pMethods->xClose(real_of(file));
}

static int file_read(sqlite3_file *file, void *out, int len, sqlite3_int64 at) {
  return real_of(file)->pMethods->xRead(real_of(file), out, len, at);
}

static int file_write(sqlite3_file *file, const void *in, int len,
                      sqlite3_int64 at) {
  moment();
  note_write(lossy_of(file), in, (size_t)len, (size_t)at);
  return real_of(file)->pMethods->xWrite(real_of(file), in, len, at);
}

static int file_truncate(sqlite3_file *file, sqlite3_int64 size) {
  moment();
  note_write(lossy_of(file), NULL, 0, (size_t)size);
  return real_of(file)->pMethods->xTruncate(real_of(file), size);
}

/* The directory is synchronised along with a new log or journal, so what was
 * removed before stays removed. */
static void sync_directory(void) {
  for (size_t i = 0; i < FILES; i++) {
    if (files[i].removed) {
      forget_file(&files[i]);
    }
  }
}

static int file_sync(sqlite3_file *file, int flags) {
  lossy_file *f = lossy_of(file);
  (void)flags;
  moment();
  for (size_t i = 0; i < f->count; i++) {
    image_apply(&f->certain, &f->writes[i], f->writes[i].len);
  }
  forget_writes(f);
  if (!f->exists) {
    sync_directory();
  }
  f->exists = true;
  f->syncs++;
  return SQLITE_OK;
}

static int file_size(sqlite3_file *file, sqlite3_int64 *out) {
  return real_of(file)->pMethods->xFileSize(real_of(file), out);
}

static int file_lock(sqlite3_file *file, int level) {
  return real_of(file)->pMethods->xLock(real_of(file), level);
}

static int file_unlock(sqlite3_file *file, int level) {
  return real_of(file)->pMethods->xUnlock(real_of(file), level);
}

static int file_reserved(sqlite3_file *file, int *out) {
  return real_of(file)->pMethods->xCheckReservedLock(real_of(file), out);
}

static int file_control(sqlite3_file *file, int operation, void *argument) {
  return real_of(file)->pMethods->xFileControl(real_of(file), operation,
                                               argument);
}

static int file_sector(sqlite3_file *file) {
  return real_of(file)->pMethods->xSectorSize(real_of(file));
}

static int file_device(sqlite3_file *file) {
  return real_of(file)->pMethods->xDeviceCharacteristics(real_of(file));
}

static const sqlite3_io_methods methods = {
    .iVersion = 1,
    .xClose = file_close,
    .xRead = file_read,
    .xWrite = file_write,
    .xTruncate = file_truncate,
    .xSync = file_sync,
    .xFileSize = file_size,
    .xLock = file_lock,
    .xUnlock = file_unlock,
    .xCheckReservedLock = file_reserved,
    .xFileControl = file_control,
    .xSectorSize = file_sector,
    .xDeviceCharacteristics = file_device,
};

static int disk_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file,
                     int flags, int *out_flags) {
  open_file *f = (open_file *)(void *)file;
  (void)vfs;
  f->real = (sqlite3_file *)(void *)(f + 1);
  f->base.pMethods = NULL;
  int result = real_vfs->xOpen(real_vfs, name, f->real, flags, out_flags);
  if (result == SQLITE_OK) {
    assert_non_null(name);
    f->file = file_of(name);
    if (f->file->removed) {
      forget_file(f->file); /* another one of the same name */
    }
    f->base.pMethods = &methods;
  }
  return result;
}

static int disk_delete(sqlite3_vfs *vfs, const char *name, int sync) {
  (void)vfs;
  moment();
  int result = real_vfs->xDelete(real_vfs, name, sync);
  if (result != SQLITE_OK) {
    return result;
  }
  lossy_file *f = file_of(name);
  f->removed = true;
  if (sync != 0) {
    forget_file(f);
  }
  return SQLITE_OK;
}

void lossy_disk_use(bool use) {
  (void)sqlite3_vfs_register(use ? &lossy_vfs : real_vfs, 1);
}

void lossy_disk_install(void) {
  real_vfs = sqlite3_vfs_find(NULL);
  lossy_vfs = *real_vfs;
  lossy_vfs.zName = "lossy";
  lossy_vfs.szOsFile = (int)sizeof(open_file) + real_vfs->szOsFile;
  lossy_vfs.xOpen = disk_open;
  lossy_vfs.xDelete = disk_delete;
  lossy_disk_use(true);
}
