/* For mkdtemp(3). */
#define _POSIX_C_SOURCE 200809L

#include "places.h"

#include <dirent.h>
#include <unistd.h>

/* In memory where that is possible: what these tests prove is what the store
 * makes of the bytes that it finds, and no disk is any quicker for being waited
 * for. */
static const char *root_directory(void) {
  const char *root = getenv("TMPDIR");
  if (root != NULL && strlen(root) <= 40) {
    return root;
  }
  return access("/dev/shm", W_OK | X_OK) == 0 ? "/dev/shm" : "/tmp";
}

void place_init(place *p) {
  (void)snprintf(p->directory, sizeof p->directory, "%.40s/kad-store-XXXXXX",
                 root_directory());
  assert_non_null(mkdtemp(p->directory));
  (void)snprintf(p->path, sizeof p->path, "%s/store.db", p->directory);
}

void place_fini(place *p) {
  DIR *directory = opendir(p->directory);
  struct dirent *entry;
  char path[sizeof p->directory + sizeof entry->d_name + 1];
  assert_non_null(directory);
  while ((entry = readdir(directory)) != NULL) {
    (void)snprintf(path, sizeof path, "%s/%s", p->directory, entry->d_name);
    (void)unlink(path);
  }
  (void)closedir(directory);
  assert_int_equal(rmdir(p->directory), 0);
}

const char *place_beside(const place *p, const char *tail) {
  static char path[160];
  (void)snprintf(path, sizeof path, "%s%s", p->path, tail);
  return path;
}

uint8_t *place_read(const char *path, size_t *len) {
  FILE *file = fopen(path, "rb");
  if (file == NULL) {
    return NULL;
  }
  assert_int_equal(fseek(file, 0, SEEK_END), 0);
  *len = (size_t)ftell(file);
  rewind(file);
  uint8_t *data = malloc(*len + 1);
  assert_non_null(data);
  assert_int_equal(fread(data, 1, *len, file), *len);
  (void)fclose(file);
  return data;
}

void place_write(const char *path, const uint8_t *data, size_t len) {
  FILE *file = fopen(path, "wb");
  assert_non_null(file);
  if (len > 0) {
    assert_int_equal(fwrite(data, 1, len, file), len);
  }
  assert_int_equal(fclose(file), 0);
}

int place_open_at(kad__store **out, const place *p, kad_time now,
                  uint64_t unix_ns) {
  kad__sqlite_store_config config;
  kad__sqlite_store_config_default(&config);
  return kad__sqlite_store_new(out, kad_allocator_default(), p->path, &config,
                               now, unix_ns);
}

kad__store *place_open(const place *p) {
  kad__store *s = NULL;
  assert_ok(place_open_at(&s, p, PLACE_NOW, PLACE_UNIX));
  return s;
}

int put_text(kad__store *s, const char *key, const char *value,
             const char *source) {
  kad__record r = {.key = text(key),
                   .value = text(value),
                   .publisher = text("publisher"),
                   .expires = PLACE_NOW + KAD_HOUR,
                   .source = text(source == NULL ? "" : source)};
  return s->ops->put(s, &r, source == NULL);
}

int provide_text(kad__store *s, const char *key, const char *provider,
                 bool own) {
  kad__provider r = {.key = text(key),
                     .provider = text(provider),
                     .addresses = text("addresses"),
                     .expires = PLACE_NOW + KAD_HOUR};
  return s->ops->add_provider(s, &r, own);
}

void assert_value(kad__store *s, const char *key, const char *value) {
  kad__record r;
  assert_true(s->ops->get(s, &r, text(key)));
  assert_bytes_equal(r.key, text(key));
  assert_bytes_equal(r.value, text(value));
}
