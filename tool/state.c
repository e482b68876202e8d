/* Written beside the old one and renamed over it, so that a crash leaves either
 * the old state or the new. */
#include "state.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A file that is larger is no state of ours. */
#define STATE_MAX ((size_t)256 * 1024 * 1024)

static long file_size(FILE *file) {
  if (fseek(file, 0, SEEK_END) != 0) {
    return -1;
  }
  long size = ftell(file);
  rewind(file);
  return size;
}

static int read_state(kad_node *node, FILE *file) {
  long size = file_size(file);
  if (size < 0 || (size_t)size > STATE_MAX) {
    return KAD_E_IO;
  }
  uint8_t *bytes = malloc((size_t)size + 1);
  if (bytes == NULL) {
    return KAD_E_NO_MEMORY;
  }
  size_t len = fread(bytes, 1, (size_t)size, file);
  int error = len == (size_t)size
                  ? kad_node_restore(node, (kad_bytes){bytes, len})
                  : KAD_E_IO;
  free(bytes);
  return error;
}

bool tool_state_load(kad_node *node, const char *path, tool_output *out) {
  FILE *file = fopen(path, "rbe");
  if (file == NULL && errno == ENOENT) {
    return true;
  }
  int error = file == NULL ? KAD_E_IO : read_state(node, file);
  if (file != NULL) {
    fclose(file);
  }
  if (error < 0) {
    (void)tool_fail(out, error, path,
                    "it is no state of a node; move it away to start afresh");
  }
  return error == 0;
}

static bool write_file(const char *path, const uint8_t *bytes, size_t len) {
  FILE *file = fopen(path, "wbe");
  if (file == NULL) {
    return false;
  }
  bool written = fwrite(bytes, 1, len, file) == len && fflush(file) == 0 &&
                 fsync(fileno(file)) == 0;
  written = fclose(file) == 0 && written;
  if (!written) {
    unlink(path);
  }
  return written;
}

static bool replace_file(const char *path, const uint8_t *bytes, size_t len) {
  char temporary[4096];
  int n = snprintf(temporary, sizeof(temporary), "%s.new", path);
  if (n < 0 || (size_t)n >= sizeof(temporary) ||
      !write_file(temporary, bytes, len)) {
    return false;
  }
  if (rename(temporary, path) != 0) {
    unlink(temporary);
    return false;
  }
  return true;
}

void tool_state_save(kad_node *node, const char *path, tool_output *out) {
  size_t needed = 0;
  (void)kad_node_snapshot(node, NULL, 0, &needed);
  uint8_t *bytes = malloc(needed + 1);
  int len = bytes == NULL ? KAD_E_NO_MEMORY
                          : kad_node_snapshot(node, bytes, needed, NULL);
  if (len < 0 || !replace_file(path, bytes, (size_t)len)) {
    tool_note(out, "kadmium %s: cannot write %s: %s", out->command, path,
              len < 0 ? kad_strerror(len) : strerror(errno));
  }
  free(bytes);
}
