/* What the benchmark programs share.
 *
 * A figure is one line of JSON on stdout: a value, and where the table of
 * figures asks for it the value of a floor that was measured in the same run,
 * and a target. Times are CPU times wherever that makes sense: they depend
 * little on what else the machine is doing. */
#ifndef KAD_BENCH_BENCH_H
#define KAD_BENCH_BENCH_H

#include <stdio.h>

#include "kadmium/error.h"
#include "kadmium/types.h"

typedef enum bench_target {
  BENCH_NO_TARGET,
  BENCH_VALUE_AT_MOST,
  BENCH_VALUE_AT_LEAST,
  BENCH_RATIO_AT_LEAST /* value / floor */
} bench_target;

typedef struct bench_figure {
  const char *name;
  const char *unit;
  double value;
  double floor; /* 0: none */
  double ratio; /* 0: value / floor, when there is a floor */
  bench_target kind;
  double target;
  const char *note; /* how it was measured; plain text, may be NULL */
} bench_figure;

/* Prints one line, "met" included. */
void bench_report(const bench_figure *figure);

/* Ends the program (and with it its children) when `ok` is false. */
#define BENCH_CHECK(ok) ((ok) ? (void)0 : bench_die(__FILE__, __LINE__, #ok))
_Noreturn void bench_die(const char *file, int line, const char *what);

/* The middle of `count` values, which are sorted in place. */
double bench_median(double *values, size_t count);

/* CPU time of this process, user and system, in nanoseconds. */
kad_time bench_cpu(void);
/* Monotonic time. */
kad_time bench_now(void);

/* The number that follows `name` in a file of lines "name: 123 ..."; fails
 * the program when there is none. */
uint64_t bench_proc_value(const char *path, const char *name);

/* Private memory of this process in bytes (smaps_rollup). */
uint64_t bench_private_memory(void);

/* From now on this process runs on one processor, the `index`-th of those that
 * it may use: the measured side on its own, the load on another. */
#define BENCH_MEASURED 0
#define BENCH_LOAD 1
void bench_pin(unsigned index);

/* Whole transfers over a blocking descriptor. */
void bench_write(int fd, const void *bytes, size_t len);
void bench_read(int fd, void *bytes, size_t len);

#endif
