/* Floors: the work that no implementation can do without, done by OpenSSL with
 * every object kept, and nothing else. */
#ifndef KAD_BENCH_FLOOR_H
#define KAD_BENCH_FLOOR_H

#include "bench.h"

/* CPU time per connection of one side's cryptography in a Noise XX handshake:
 * one X25519 key made, three secrets derived, one Ed25519 signature verified,
 * transcript and key derivation hashed. With `own_verify` the signature is
 * verified as the node does, which may be faster than OpenSSL. Mean of
 * `rounds`, in nanoseconds. */
double bench_floor_handshake(uint32_t rounds, bool own_verify);

/* CPU time of ChaCha20-Poly1305 over so many bytes, in Noise's longest frames,
 * and nothing else. In nanoseconds. */
double bench_floor_cipher(uint64_t bytes, bool encrypt);

/* What a server moves: sizes in bytes of all reads and writes together. */
typedef struct bench_traffic {
  uint64_t reads, writes, bytes_in, bytes_out;
} bench_traffic;

/* CPU time of a process that reads and decrypts, encrypts and writes as many
 * bytes in as many system calls over a loopback TCP connection, a peer process
 * at its other end. In nanoseconds. */
double bench_floor_traffic(const bench_traffic *traffic);

#endif
