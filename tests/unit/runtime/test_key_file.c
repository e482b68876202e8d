/* Key files: made once, for their owner alone, and never written over. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kadmium/key.h"
#include "support.h"

typedef struct place {
  char directory[64];
  char file[96];
  kad_key_pair *pair;
} place;

static int set_up(void **state) {
  place *p = calloc(1, sizeof(*p));
  kad_random random;
  kad_random_init_u64(&random, 1);
  strcpy(p->directory, "/tmp/kadmium-key-XXXXXX");
  assert_non_null(mkdtemp(p->directory));
  snprintf(p->file, sizeof(p->file), "%s/key", p->directory);
  assert_ok(kad_key_pair_generate(&p->pair, kad_allocator_default(), &random));
  *state = p;
  return 0;
}

static int tear_down(void **state) {
  place *p = *state;
  unlink(p->file);
  rmdir(p->file);
  /* Nothing else may be left: no temporary files. */
  int removed = rmdir(p->directory);
  kad_key_pair_free(p->pair);
  free(p);
  return removed;
}

static void write_file(const place *p, const void *bytes, size_t len,
                       mode_t mode) {
  int fd = open(p->file, O_WRONLY | O_CREAT | O_EXCL, mode);
  assert_true(fd >= 0);
  assert_int_equal(write(fd, bytes, len), len);
  assert_int_equal(fchmod(fd, mode), 0);
  close(fd);
}

static int load_error(const place *p) {
  kad_key_pair *loaded = NULL;
  int error = kad_key_pair_load(&loaded, kad_allocator_default(), p->file);
  assert_true(error < 0 ? loaded == NULL : loaded != NULL);
  kad_key_pair_free(loaded);
  return error;
}

static void test_round_trip(void **state) {
  place *p = *state;
  umask(0);
  assert_ok(kad_key_pair_save(p->pair, p->file));
  struct stat st;
  assert_int_equal(stat(p->file, &st), 0);
  assert_int_equal(st.st_mode & 07777, 0600);
  assert_int_equal(st.st_size, KAD_KEY_PAIR_LEN);
  assert_int_equal(st.st_nlink, 1);
  kad_key_pair *loaded = NULL;
  assert_ok(kad_key_pair_load(&loaded, kad_allocator_default(), p->file));
  assert_true(kad_peer_id_equal(kad_key_pair_peer_id(loaded),
                                kad_key_pair_peer_id(p->pair)));
  uint8_t signature[KAD_SIGNATURE_LEN];
  assert_ok(kad_key_pair_sign(loaded, signature, kad__bytes_of("text")));
  assert_ok(kad_public_key_verify(kad_key_pair_public(p->pair),
                                  kad__bytes_of("text"),
                                  kad__bytes(signature, sizeof(signature))));
  kad_key_pair_free(loaded);
}

static void test_strict_umask(void **state) {
  place *p = *state;
  mode_t old = umask(0777);
  int error = kad_key_pair_save(p->pair, p->file);
  umask(old);
  assert_ok(error);
  assert_ok(load_error(p));
}

static void test_never_overwritten(void **state) {
  place *p = *state;
  write_file(p, "something else", 14, 0600);
  assert_error(KAD_E_KEY_FILE, kad_key_pair_save(p->pair, p->file));
  char read_back[32] = "";
  int fd = open(p->file, O_RDONLY);
  assert_int_equal(read(fd, read_back, sizeof(read_back)), 14);
  close(fd);
  assert_string_equal(read_back, "something else");
  assert_error(KAD_E_KEY_FILE, load_error(p));
}

static void test_wider_modes(void **state) {
  static const mode_t modes[] = {0640, 0604, 0620, 0610, 0601,
                                 0660, 0666, 0644, 0777};
  place *p = *state;
  assert_ok(kad_key_pair_save(p->pair, p->file));
  for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
    assert_int_equal(chmod(p->file, modes[i]), 0);
    assert_error(KAD_E_KEY_FILE_MODE, load_error(p));
  }
  static const mode_t narrow[] = {0400, 0600, 0700};
  for (size_t i = 0; i < sizeof(narrow) / sizeof(narrow[0]); i++) {
    assert_int_equal(chmod(p->file, narrow[i]), 0);
    assert_ok(load_error(p));
  }
}

static void test_not_a_file(void **state) {
  place *p = *state;
  assert_error(KAD_E_NOT_FOUND, load_error(p));
  /* A FIFO must not make us wait for a writer. */
  assert_int_equal(mkfifo(p->file, 0600), 0);
  assert_error(KAD_E_KEY_FILE, load_error(p));
  unlink(p->file);
  assert_int_equal(mkdir(p->file, 0700), 0);
  assert_error(KAD_E_KEY_FILE, load_error(p));
  assert_error(KAD_E_KEY_FILE, kad_key_pair_save(p->pair, p->file));
  rmdir(p->file);
  assert_int_equal(symlink("/dev/zero", p->file), 0);
  assert_error(KAD_E_KEY_FILE, load_error(p));
  assert_error(KAD_E_KEY_FILE, kad_key_pair_save(p->pair, p->file));
}

/* A link into nowhere is something that exists. */
static void test_dangling_link(void **state) {
  place *p = *state;
  assert_int_equal(symlink("nowhere", p->file), 0);
  assert_error(KAD_E_KEY_FILE, kad_key_pair_save(p->pair, p->file));
}

static void test_no_directory(void **state) {
  place *p = *state;
  char path[160];
  snprintf(path, sizeof(path), "%s/no/such", p->directory);
  assert_error(KAD_E_KEY_FILE, kad_key_pair_save(p->pair, path));
  char *longer = malloc(10001);
  memset(longer, 'x', 10000);
  longer[10000] = '\0';
  assert_error(KAD_E_KEY_FILE, kad_key_pair_save(p->pair, longer));
  kad_key_pair *loaded = NULL;
  assert_error(KAD_E_KEY_FILE,
               kad_key_pair_load(&loaded, kad_allocator_default(), longer));
  free(longer);
}

/* Every prefix, every longer file and every flipped bit of the halves. */
static void test_damaged(void **state) {
  place *p = *state;
  uint8_t bytes[KAD_KEY_PAIR_LEN + 200] = {0};
  kad_key_pair_encode(p->pair, bytes);
  for (size_t len = 0; len < KAD_KEY_PAIR_LEN; len++) {
    write_file(p, bytes, len, 0600);
    assert_error(KAD_E_KEY_FILE, load_error(p));
    unlink(p->file);
  }
  write_file(p, bytes, sizeof(bytes), 0600);
  assert_error(KAD_E_KEY_FILE, load_error(p));
  unlink(p->file);
  for (size_t bit = 0; bit < 8 * KAD_KEY_PAIR_LEN; bit += 5) {
    bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    write_file(p, bytes, KAD_KEY_PAIR_LEN, 0600);
    assert_error(KAD_E_KEY_FILE, load_error(p));
    unlink(p->file);
    bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
  }
}

static void test_other_types(void **state) {
  place *p = *state;
  const kad_key_type types[] = {KAD_KEY_RSA, KAD_KEY_SECP256K1, KAD_KEY_ECDSA};
  for (size_t i = 0; i < KAD__COUNT(types); i++) {
    kad_random random;
    kad_key_pair *pair = NULL;
    kad_key_pair *loaded = NULL;
    kad_random_init_u64(&random, 1);
    assert_ok(kad_key_pair_generate_type(&pair, kad_allocator_default(),
                                         types[i], &random));
    assert_ok(kad_key_pair_save(pair, p->file));
    assert_ok(kad_key_pair_load(&loaded, kad_allocator_default(), p->file));
    assert_true(kad_peer_id_equal(kad_key_pair_peer_id(loaded),
                                  kad_key_pair_peer_id(pair)));
    kad_key_pair_free(loaded);
    kad_key_pair_free(pair);
    unlink(p->file);
  }
}

/* The beginning of a key of another type. */
static void test_other_type_damaged(void **state) {
  place *p = *state;
  static const uint8_t secp256k1[] = {0x08, 2, 0x12, 4, 1, 2, 3, 4};
  write_file(p, secp256k1, sizeof(secp256k1), 0600);
  assert_error(KAD_E_KEY_FILE, load_error(p));
}

static void test_without_memory(void **state) {
  place *p = *state;
  assert_ok(kad_key_pair_save(p->pair, p->file));
  size_t fail_at = 0;
  int error;
  do {
    test_allocator memory;
    test_allocator_init(&memory);
    memory.fail_at = ++fail_at;
    kad_key_pair *loaded = NULL;
    error = kad_key_pair_load(&loaded, &memory.allocator, p->file);
    assert_true(error == 0 || error == KAD_E_NO_MEMORY);
    kad_key_pair_free(loaded);
    assert_int_equal(memory.live, 0);
  } while (error != 0);
  assert_true(fail_at > 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(test_round_trip),     TEST(test_strict_umask),
      TEST(test_wider_modes),    TEST(test_never_overwritten),
      TEST(test_not_a_file),     TEST(test_dangling_link),
      TEST(test_no_directory),   TEST(test_damaged),
      TEST(test_other_types),    TEST(test_other_type_damaged),
      TEST(test_without_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
