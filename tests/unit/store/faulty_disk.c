#include "faulty_disk.h"

#include <sqlite3.h>
#include <string.h>

faulty_disk disk;

typedef struct faulty_file {
  sqlite3_file base;
  sqlite3_file *real; /* right behind this struct */
} faulty_file;

static sqlite3_vfs faulty_vfs;
static sqlite3_vfs *real_vfs;

static sqlite3_file *real_of(sqlite3_file *file) {
  return ((faulty_file *)(void *)file)->real;
}

static bool fails(void) {
  disk.operations++;
  return disk.fail_at != 0 &&
         (disk.only_once ? disk.operations == disk.fail_at
                         : disk.operations >= disk.fail_at);
}

static int file_close(sqlite3_file *file) {
  return real_of(file)->pMethods->xClose(real_of(file));
}

static int file_read(sqlite3_file *file, void *out, int len, sqlite3_int64 at) {
  return fails() ? SQLITE_IOERR_READ
                 : real_of(file)->pMethods->xRead(real_of(file), out, len, at);
}

static int file_write(sqlite3_file *file, const void *in, int len,
                      sqlite3_int64 at) {
  sqlite3_int64 size = 0;
  sqlite3_file *real = real_of(file);
  (void)real->pMethods->xFileSize(real, &size);
  if (disk.full && at + len > size) {
    return SQLITE_FULL;
  }
  if (disk.read_only) {
    return SQLITE_IOERR_WRITE; /* what SQLite makes of EROFS */
  }
  return fails() ? SQLITE_IOERR_WRITE
                 : real->pMethods->xWrite(real, in, len, at);
}

static int file_truncate(sqlite3_file *file, sqlite3_int64 size) {
  return disk.read_only
             ? SQLITE_IOERR_TRUNCATE
             : real_of(file)->pMethods->xTruncate(real_of(file), size);
}

static int file_sync(sqlite3_file *file, int flags) {
  disk.syncs++;
  return disk.syncs_fail || fails()
             ? SQLITE_IOERR_FSYNC
             : real_of(file)->pMethods->xSync(real_of(file), flags);
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

/* Version 1 has no shared memory: a store that is open alone needs none. */
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
  faulty_file *f = (faulty_file *)(void *)file;
  (void)vfs;
  f->real = (sqlite3_file *)(void *)(f + 1);
  f->base.pMethods = NULL;
  int result = real_vfs->xOpen(real_vfs, name, f->real, flags, out_flags);
  if (result == SQLITE_OK) {
    f->base.pMethods = &methods;
  }
  return result;
}

void faulty_disk_install(void) {
  real_vfs = sqlite3_vfs_find(NULL);
  faulty_vfs = *real_vfs;
  faulty_vfs.zName = "faulty";
  faulty_vfs.szOsFile = (int)sizeof(faulty_file) + real_vfs->szOsFile;
  faulty_vfs.xOpen = disk_open;
  (void)sqlite3_vfs_register(&faulty_vfs, 1);
}

void faulty_disk_reset(void) {
  memset(&disk, 0, sizeof disk);
}
