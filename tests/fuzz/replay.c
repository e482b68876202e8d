/* Runs a fuzz target without a fuzzer: every file of a folder, then mutations
 * of them. The seed is fixed, so a failure comes back; the input that failed is
 * written to stderr in hexadecimal.
 *
 *   replay_<name> FOLDER          files and mutations
 *   replay_<name> FILE            one input
 *
 * KADMIUM_SEED chooses other mutations, KADMIUM_RUNS multiplies them. */
#define _POSIX_C_SOURCE 200809L

#include <dirent.h>
#include <signal.h>
#include <sys/stat.h>

#include "fuzz.h"
#include "kadmium/random.h"

#ifndef MUTATIONS
#define MUTATIONS 20000
#endif
#define SIZE_MAX_GROWN ((size_t)1 << 16)

typedef struct input {
  uint8_t *data;
  size_t size;
} input;

typedef struct corpus {
  input *inputs;
  size_t count;
} corpus;

static input current;

static void print_current(void) {
  fprintf(stderr, "input of %zu bytes: ", current.size);
  for (size_t i = 0; i < current.size; i++) {
    fprintf(stderr, "%02x", current.data[i]);
  }
  fputc('\n', stderr);
}

static void on_abort(int number) {
  print_current();
  signal(number, SIG_DFL);
  raise(number);
}

/* Part of the sanitizers' runtime, when there is one. */
void __sanitizer_set_death_callback(void (*callback)(void))
    __attribute__((weak));

static void *must(void *memory) {
  if (memory == NULL) {
    perror("replay");
    exit(2);
  }
  return memory;
}

/* In a block of exactly its size, so that the sanitizer sees every byte read
 * past the end. */
static void run(const uint8_t *data, size_t size) {
  current = (input){.data = must(malloc(size == 0 ? 1 : size)), .size = size};
  if (size != 0) {
    memcpy(current.data, data, size);
  }
  LLVMFuzzerTestOneInput(current.data, size);
  free(current.data);
  current = (input){0};
}

static input read_input(const char *path) {
  FILE *file = must(fopen(path, "rb"));
  input in = {.data = must(malloc(SIZE_MAX_GROWN))};
  in.size = fread(in.data, 1, SIZE_MAX_GROWN, file);
  fclose(file);
  return in;
}

static int visible(const struct dirent *entry) {
  return entry->d_name[0] != '.';
}

static corpus read_corpus(const char *folder) {
  struct dirent **entries = NULL;
  int count = scandir(folder, &entries, visible, alphasort);
  count = count < 0 ? 0 : count;
  corpus c = {.inputs = must(calloc((size_t)count + 1, sizeof(input)))};
  for (int i = 0; i < count; i++) {
    char path[4096];
    snprintf(path, sizeof(path), "%s/%s", folder, entries[i]->d_name);
    c.inputs[c.count++] = read_input(path);
    free(entries[i]);
  }
  free(entries);
  /* The empty input, which everything can be grown from. */
  c.inputs[c.count++] = (input){.data = must(malloc(1))};
  return c;
}

static void release(corpus *c) {
  for (size_t i = 0; i < c->count; i++) {
    free(c->inputs[i].data);
  }
  free(c->inputs);
}

static size_t below(kad_random *random, size_t bound) {
  return (size_t)kad_random_below(random, bound);
}

static uint8_t interesting_byte(kad_random *random) {
  static const uint8_t bytes[] = {0x00, 0x01, 0x7f, 0x80, 0xff, 0x10, 0x20};
  return kad_random_below(random, 2) == 0
             ? bytes[below(random, sizeof(bytes))]
             : (uint8_t)kad_random_below(random, 256);
}

static void insert(input *in, kad_random *random) {
  size_t at = below(random, in->size + 1);
  size_t len = 1 + below(random, 8);
  if (in->size + len > SIZE_MAX_GROWN) {
    return;
  }
  memmove(in->data + at + len, in->data + at, in->size - at);
  uint8_t byte = interesting_byte(random);
  for (size_t i = 0; i < len; i++) {
    in->data[at + i] = byte;
  }
  in->size += len;
}

static void erase(input *in, kad_random *random) {
  size_t at = below(random, in->size);
  size_t len = 1 + below(random, in->size - at < 16 ? in->size - at : 16);
  memmove(in->data + at, in->data + at + len, in->size - at - len);
  in->size -= len;
}

/* The beginning stays, the end comes from another input. */
static void splice(input *in, const corpus *c, kad_random *random) {
  const input *other = &c->inputs[below(random, c->count)];
  size_t at = below(random, in->size + 1);
  size_t from = below(random, other->size + 1);
  size_t len = other->size - from;
  if (at + len <= SIZE_MAX_GROWN) {
    memcpy(in->data + at, other->data + from, len);
    in->size = at + len;
  }
}

static void mutate(input *in, const corpus *c, kad_random *random) {
  unsigned kind = (unsigned)kad_random_below(random, 6);
  if (kind == 0 || in->size == 0) {
    insert(in, random);
  } else if (kind == 1) {
    erase(in, random);
  } else if (kind == 2) {
    splice(in, c, random);
  } else if (kind == 3) {
    in->size = below(random, in->size);
  } else if (kind == 4) {
    in->data[below(random, in->size)] = interesting_byte(random);
  } else {
    in->data[below(random, in->size)] ^=
        (uint8_t)(1u << kad_random_below(random, 8));
  }
}

static unsigned long number_from(const char *name, unsigned long otherwise) {
  const char *text = getenv(name);
  return text == NULL ? otherwise : strtoul(text, NULL, 0);
}

static void run_mutations(const corpus *c) {
  kad_random random;
  kad_random_init_u64(&random, number_from("KADMIUM_SEED", 1));
  unsigned long count = MUTATIONS * number_from("KADMIUM_RUNS", 1);
  input in = {.data = must(malloc(SIZE_MAX_GROWN))};
  for (unsigned long i = 0; i < count; i++) {
    const input *from = &c->inputs[i % c->count];
    memcpy(in.data, from->data, from->size);
    in.size = from->size;
    for (size_t steps = 1 + below(&random, 4); steps > 0; steps--) {
      mutate(&in, c, &random);
    }
    run(in.data, in.size);
  }
  free(in.data);
}

int main(int argc, char **argv) {
  if (argc != 2) {
    fprintf(stderr, "usage: %s FOLDER|FILE\n", argv[0]);
    return 2;
  }
  signal(SIGABRT, on_abort);
  if (__sanitizer_set_death_callback != NULL) {
    __sanitizer_set_death_callback(print_current);
  }
  struct stat status;
  if (stat(argv[1], &status) == 0 && S_ISREG(status.st_mode)) {
    input in = read_input(argv[1]);
    run(in.data, in.size);
    free(in.data);
    return 0;
  }
  corpus c = read_corpus(argv[1]);
  for (size_t i = 0; i < c.count; i++) {
    run(c.inputs[i].data, c.inputs[i].size);
  }
  printf("%zu inputs, then mutations\n", c.count - 1);
  run_mutations(&c);
  release(&c);
  return 0;
}
