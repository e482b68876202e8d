#include "bench.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static bool is_met(const bench_figure *f, double ratio) {
  switch (f->kind) {
    case BENCH_VALUE_AT_MOST:
      return f->value <= f->target;
    case BENCH_VALUE_AT_LEAST:
      return f->value >= f->target;
    case BENCH_RATIO_AT_LEAST:
      return ratio >= f->target;
    case BENCH_NO_TARGET:
      break;
  }
  return true;
}

void bench_report(const bench_figure *f) {
  static const char *const kinds[] = {"none", "value_at_most", "value_at_least",
                                      "ratio_at_least"};
  double ratio = f->ratio;
  if (ratio == 0 && f->floor > 0) {
    ratio = f->value / f->floor;
  }
  printf("{\"figure\":\"%s\",\"value\":%.6g,\"unit\":\"%s\"", f->name, f->value,
         f->unit);
  if (f->floor > 0) {
    printf(",\"floor\":%.6g,\"ratio\":%.3f", f->floor, ratio);
  }
  if (f->kind != BENCH_NO_TARGET) {
    printf(",\"target\":%g,\"kind\":\"%s\",\"met\":%s", f->target,
           kinds[f->kind], is_met(f, ratio) ? "true" : "false");
  }
  if (f->note != NULL) {
    printf(",\"note\":\"%s\"", f->note);
  }
  printf("}\n");
  fflush(stdout);
}

_Noreturn void bench_die(const char *file, int line, const char *what) {
  fprintf(stderr, "%s:%d: %s fails\n", file, line, what);
  exit(1);
}

static int by_value(const void *a, const void *b) {
  double left = *(const double *)a;
  double right = *(const double *)b;
  return left < right ? -1 : left > right;
}

double bench_median(double *values, size_t count) {
  qsort(values, count, sizeof(*values), by_value);
  size_t middle = count / 2;
  return count % 2 == 1 ? values[middle]
                        : (values[middle - 1] + values[middle]) / 2;
}

static kad_time of_timeval(struct timeval t) {
  return (kad_time)t.tv_sec * KAD_SECOND + (kad_time)t.tv_usec * 1000;
}

kad_time bench_cpu(void) {
  struct rusage usage;
  BENCH_CHECK(getrusage(RUSAGE_SELF, &usage) == 0);
  return of_timeval(usage.ru_utime) + of_timeval(usage.ru_stime);
}

kad_time bench_now(void) {
  struct timespec t;
  BENCH_CHECK(clock_gettime(CLOCK_MONOTONIC, &t) == 0);
  return (kad_time)t.tv_sec * KAD_SECOND + (kad_time)t.tv_nsec;
}

uint64_t bench_proc_value(const char *path, const char *name) {
  char line[256];
  size_t len = strlen(name);
  FILE *file = fopen(path, "r");
  BENCH_CHECK(file != NULL);
  while (fgets(line, sizeof(line), file) != NULL) {
    if (strncmp(line, name, len) == 0 && line[len] == ':') {
      fclose(file);
      return strtoull(line + len + 1, NULL, 10);
    }
  }
  bench_die(path, 0, name);
}

uint64_t bench_private_memory(void) {
  const char *path = "/proc/self/smaps_rollup";
  return 1024 * (bench_proc_value(path, "Private_Clean") +
                 bench_proc_value(path, "Private_Dirty"));
}

void bench_pin(unsigned index) {
  static cpu_set_t allowed; /* before the first call narrowed it */
  cpu_set_t one;
  if (CPU_COUNT(&allowed) == 0) {
    BENCH_CHECK(sched_getaffinity(0, sizeof(allowed), &allowed) == 0);
  }
  index %= (unsigned)CPU_COUNT(&allowed);
  CPU_ZERO(&one);
  for (unsigned cpu = 0; cpu < CPU_SETSIZE; cpu++) {
    if (CPU_ISSET(cpu, &allowed) && index-- == 0) {
      CPU_SET(cpu, &one);
      break;
    }
  }
  BENCH_CHECK(sched_setaffinity(0, sizeof(one), &one) == 0);
}

void bench_write(int fd, const void *bytes, size_t len) {
  const char *at = bytes;
  while (len > 0) {
    ssize_t n = write(fd, at, len);
    if (n < 0 && errno == EINTR) {
      continue;
    }
    BENCH_CHECK(n > 0);
    at += n;
    len -= (size_t)n;
  }
}

void bench_read(int fd, void *bytes, size_t len) {
  char *at = bytes;
  while (len > 0) {
    ssize_t n = read(fd, at, len);
    if (n < 0 && errno == EINTR) {
      continue;
    }
    BENCH_CHECK(n > 0);
    at += n;
    len -= (size_t)n;
  }
}
