/* S-01: a process that writes to its store is killed at any moment. A child
 * writes, and says in memory that both share how far it has come; the parent
 * kills it, and finds in the file exactly what the operations up to the last
 * that was acknowledged, or to the one under way, leave. KADMIUM_KILLS: how
 * often, 100 by default. */
#define _DEFAULT_SOURCE

#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "ledger.h"

/* A child lives for at most so many nanoseconds. */
#define LIFE_MAX (20 * KAD_MILLISECOND)
/* Operations after which it closes the store and opens it again: that, too, is
 * a moment to be killed in. */
#define REOPEN_EVERY 97

static void child(const place *p, uint32_t n, atomic_uint *acknowledged) {
  kad__store *s = NULL;
  if (place_open_at(&s, p, PLACE_NOW, PLACE_UNIX) != 0) {
    _exit(2);
  }
  for (;; n++) {
    if (ledger_do(s, n) != 0) {
      _exit(3);
    }
    atomic_store(acknowledged, n);
    if (n % REOPEN_EVERY == 0) {
      s->ops->free(s);
      if (place_open_at(&s, p, PLACE_NOW, PLACE_UNIX) != 0) {
        _exit(4);
      }
    }
  }
}

/* Lets a child write from operation `n` on for that long. */
static void run_and_kill(const place *p, uint32_t n, atomic_uint *acknowledged,
                         kad_time life) {
  struct timespec time = {.tv_nsec = (long)life};
  int status = 0;
  pid_t pid = fork();
  assert_true(pid >= 0);
  if (pid == 0) {
    child(p, n, acknowledged);
  }
  (void)nanosleep(&time, NULL);
  assert_int_equal(kill(pid, SIGKILL), 0);
  assert_int_equal(waitpid(pid, &status, 0), pid);
  assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static size_t kill_count(void) {
  const char *text = getenv("KADMIUM_KILLS");
  return text == NULL ? 100 : (size_t)strtoul(text, NULL, 10);
}

static void test_killed_at_any_moment(void **state) {
  place p;
  kad_random random;
  ledger l = {0};
  kad__sqlite_store_status status;
  size_t in_flight = 0;
  size_t kills = kill_count();
  (void)state;
  kad_random_init_u64(&random, test_seed("kill"));
  place_init(&p);
  atomic_uint *acknowledged =
      mmap(NULL, sizeof *acknowledged, PROT_READ | PROT_WRITE,
           MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  assert_true(acknowledged != MAP_FAILED);
  atomic_init(acknowledged, 0);
  for (size_t i = 0; i < kills; i++) {
    run_and_kill(&p, l.done + 1, acknowledged,
                 kad_random_below(&random, LIFE_MAX));
    kad__store *s = place_open(&p);
    uint32_t promised = atomic_load(acknowledged);
    while (l.done < promised) {
      ledger_note(&l);
    }
    ledger_find(&l, s, promised + 1);
    in_flight += l.done > promised;
    kad__sqlite_store_status_get(s, &status);
    assert_int_equal(status.damaged, 0);
    assert_int_equal(status.errors, 0);
    s->ops->free(s);
    atomic_store(acknowledged, l.done);
  }
  print_message(
      "%zu kills in %u operations, %zu of them between the write and "
      "its acknowledgement\n",
      kills, (unsigned)l.done, in_flight);
  assert_true(l.done > kills);
  assert_int_equal(munmap(acknowledged, sizeof *acknowledged), 0);
  place_fini(&p);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_killed_at_any_moment),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
