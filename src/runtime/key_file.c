/* A node's key on disk: the raw `PrivateKey` protobuf, readable by its owner
 * alone. A key that exists is never overwritten or repaired: losing an identity
 * silently is worse than refusing to start. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/bytes.h"
#include "kadmium/key.h"
#include "runtime/system.h"

/* One more than a key can have, to notice a file that is longer. */
#define FILE_MAX (KAD_KEY_PAIR_MAX + 1)

/* Reads up to `cap` bytes to the end of the file; the count or -1. */
static ssize_t read_all(int fd, uint8_t *out, size_t cap) {
  size_t len = 0;
  while (len < cap) {
    ssize_t n = read(fd, out + len, cap - len);
    if (n < 0 && errno == EINTR) {
      continue;
    }
    if (n < 0) {
      return -1;
    }
    if (n == 0) {
      break;
    }
    len += (size_t)n;
  }
  return (ssize_t)len;
}

static int write_all(int fd, const uint8_t *data, size_t len) {
  while (len > 0) {
    ssize_t n = write(fd, data, len);
    if (n < 0 && errno == EINTR) {
      continue;
    }
    if (n < 0) {
      return -1;
    }
    data += n;
    len -= (size_t)n;
  }
  return 0;
}

/* A regular file that nobody else may touch. */
static int check_file(int fd) {
  struct stat st;
  if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
    return KAD_E_KEY_FILE;
  }
  return (st.st_mode & (S_IRWXG | S_IRWXO)) != 0 ? KAD_E_KEY_FILE_MODE : 0;
}

static int decode_file(kad_key_pair **out, const kad_allocator *allocator,
                       int fd) {
  uint8_t bytes[FILE_MAX];
  ssize_t len = read_all(fd, bytes, sizeof(bytes));
  if (len < 0) {
    return KAD_E_KEY_FILE;
  }
  int error =
      kad_key_pair_decode(out, allocator, kad__bytes(bytes, (size_t)len));
  explicit_bzero(bytes, sizeof(bytes));
  return error == 0 || error == KAD_E_NO_MEMORY ? error : KAD_E_KEY_FILE;
}

int kad_key_pair_load(kad_key_pair **out, const kad_allocator *allocator,
                      const char *path) {
  /* Non-blocking, so that a FIFO of that name cannot hang us. */
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) {
    return errno == ENOENT ? KAD_E_NOT_FOUND : KAD_E_KEY_FILE;
  }
  int error = check_file(fd);
  if (error == 0) {
    error = decode_file(out, allocator, fd);
  }
  close(fd);
  return error;
}

/* Makes the directory entry durable; a file system that cannot is not ours to
 * judge, so the result does not matter. */
static void sync_directory(const char *path) {
  char directory[4096];
  const char *slash = strrchr(path, '/');
  size_t len = slash == NULL ? 1 : (size_t)(slash - path) + 1;
  if (len >= sizeof(directory)) {
    return;
  }
  memcpy(directory, slash == NULL ? "." : path, len);
  directory[len] = '\0';
  int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) {
    return;
  }
  (void)fsync(fd);
  close(fd);
}

static int write_temporary(const char *path, const kad_key_pair *pair) {
  int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
                S_IRUSR | S_IWUSR);
  if (fd < 0) {
    return KAD_E_KEY_FILE;
  }
  uint8_t bytes[KAD_KEY_PAIR_MAX];
  int len = kad_key_pair_export(pair, bytes, sizeof(bytes));
  bool written = len > 0 && fchmod(fd, S_IRUSR | S_IWUSR) == 0 &&
                 write_all(fd, bytes, (size_t)len) == 0 && fsync(fd) == 0;
  explicit_bzero(bytes, sizeof(bytes));
  written = close(fd) == 0 && written;
  if (!written) {
    unlink(path);
    return KAD_E_KEY_FILE;
  }
  return 0;
}

int kad_key_pair_save(const kad_key_pair *pair, const char *path) {
  uint64_t suffix = 0;
  char temporary[4096];
  int error = kad__system_entropy((uint8_t *)&suffix, sizeof(suffix));
  if (error < 0) {
    return error;
  }
  int len = snprintf(temporary, sizeof(temporary), "%s.%016llx", path,
                     (unsigned long long)suffix);
  if (len < 0 || (size_t)len >= sizeof(temporary)) {
    return KAD_E_KEY_FILE;
  }
  error = write_temporary(temporary, pair);
  if (error < 0) {
    return error;
  }
  /* link, unlike rename, never replaces a key that is there already. */
  int linked = link(temporary, path);
  unlink(temporary);
  if (linked != 0) {
    return KAD_E_KEY_FILE;
  }
  sync_directory(path);
  return 0;
}
