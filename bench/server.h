/* The server of the benchmarks: a whole node over real sockets in a process of
 * its own. The load asks it for marks: what it has used so far, told as soon
 * as what the load waits for has happened. */
#ifndef KAD_BENCH_SERVER_H
#define KAD_BENCH_SERVER_H

#include <netinet/in.h>
#include <sys/types.h>

#include "bench.h"
#include "kadmium/peer_id.h"

typedef struct bench_server_options {
  uint32_t max_connections;
  /* Entries of one bucket; 0: 20, as in every real node. A larger one makes
   * room for a table of random peers of any size. */
  uint32_t bucket_size;
  uint32_t peers; /* random ones that are offered to its table */
} bench_server_options;

typedef struct bench_server {
  pid_t process;
  int control;
  kad_peer_id id;
  struct sockaddr_in address;
} bench_server;

/* Streams that the node serves, on the public interface. */
#define BENCH_ECHO "/bench/echo/1" /* sends back what comes */
#define BENCH_SINK "/bench/sink/1" /* reads to the end, then a byte */
#define BENCH_SOURCE                                        \
  "/bench/source/1" /* sends as many as 8 bytes say, host's \
                       order */

/* Forks; to be called before this process has anything that a child should
 * not have. The node is a DHT server on a loopback address. */
void bench_server_start(bench_server *out, const bench_server_options *options);
void bench_server_stop(bench_server *of);

/* Tell when: so many peers were identified since the start, so many
 * connections are open, and nothing has arrived for a while. */
typedef struct bench_until {
  uint64_t identified;
  uint32_t connections;
  bool any_connections;
  bool calm;
  bool memory; /* measure it too, which takes a while */
} bench_until;

typedef struct bench_mark {
  kad_time cpu_before;     /* taking the mark not included */
  kad_time cpu_after;      /* included */
  uint64_t private_memory; /* when asked for, as the next */
  uint64_t heap;           /* bytes that malloc has given out */
  uint64_t reads, writes, bytes_in, bytes_out; /* system calls, all files */
  uint64_t identified;
  uint32_t connections;
  uint32_t table;
} bench_mark;

void bench_server_mark(bench_server *of, bench_mark *out,
                       const bench_until *until);

#endif
