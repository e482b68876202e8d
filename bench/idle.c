/* `kadmium node` with nothing to do: how soon it listens, and the memory that
 * is resident once it is ready. The program is the argument. */
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

#define ROUNDS 21

typedef struct node {
  pid_t process;
  FILE *out;
} node;

static void run_node(const char *program, int out) {
  char *const arguments[] = {(char[]){"kadmium"},
                             (char[]){"node"},
                             (char[]){"--json"},
                             (char[]){"--listen"},
                             (char[]){"/ip4/127.0.0.1/tcp/0"},
                             NULL};
  int null = open("/dev/null", O_RDWR);
  dup2(null, STDIN_FILENO);
  dup2(out, STDOUT_FILENO);
  dup2(null, STDERR_FILENO);
  execv(program, arguments);
  _exit(127);
}

static void start(node *n, const char *program) {
  int ends[2];
  BENCH_CHECK(pipe2(ends, O_CLOEXEC) == 0);
  n->process = fork();
  BENCH_CHECK(n->process >= 0);
  if (n->process == 0) {
    run_node(program, ends[1]);
  }
  close(ends[1]);
  n->out = fdopen(ends[0], "r");
  BENCH_CHECK(n->out != NULL);
}

static void wait_for(node *n, const char *type) {
  char line[4096];
  do {
    BENCH_CHECK(fgets(line, sizeof(line), n->out) != NULL);
  } while (strstr(line, type) == NULL);
}

/* Nanoseconds until it listens, and its resident bytes once it is ready. */
static void measure(const char *program, double *started, double *resident) {
  char path[64];
  node n;
  kad_time begin = bench_now();
  start(&n, program);
  wait_for(&n, "\"listening\"");
  *started = (double)(bench_now() - begin);
  wait_for(&n, "\"ready\"");
  snprintf(path, sizeof(path), "/proc/%d/status", (int)n.process);
  *resident = 1024.0 * (double)bench_proc_value(path, "VmRSS");
  kill(n.process, SIGTERM);
  waitpid(n.process, NULL, 0);
  fclose(n.out);
}

int main(int argc, char **argv) {
  double started[ROUNDS];
  double resident[ROUNDS];
  BENCH_CHECK(argc == 2);
  measure(argv[1], &started[0], &resident[0]); /* into the page cache */
  for (int i = 0; i < ROUNDS; i++) {
    measure(argv[1], &started[i], &resident[i]);
  }
  bench_report(&(bench_figure){
      .name = "idle_resident_memory",
      .unit = "MiB",
      .value = bench_median(resident, ROUNDS) / (1024.0 * 1024.0),
      .kind = BENCH_VALUE_AT_MOST,
      .target = 10,
      .note = "VmRSS of kadmium node once ready"});
  bench_report(&(bench_figure){.name = "start_to_listening",
                               .unit = "ms",
                               .value = bench_median(started, ROUNDS) / 1e6,
                               .kind = BENCH_VALUE_AT_MOST,
                               .target = 50,
                               .note = "wall clock, median of 21 starts"});
  return 0;
}
