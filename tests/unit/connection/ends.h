/* Two ways to stand at the end of a connection under test.
 *
 * A test_end is the real thing, with memory, randomness and identity of its
 * own. A puppet speaks the wire by itself, multistream and Noise and no more,
 * so that a test can say what no honest peer would. */
#ifndef KAD_TESTS_CONNECTION_ENDS_H
#define KAD_TESTS_CONNECTION_ENDS_H

#include "connection/connection.h"
#include "connection/multistream.h"
#include "connection/noise.h"
#include "kadmium/key.h"
#include "support.h"

#define TEST_TIMEOUT (15 * KAD_SECOND)

/* A literal with its NULs and without the last. */
#define LITERAL(text) kad__bytes(text, sizeof(text) - 1)
#define MULTISTREAM_HEADER "\x13/multistream/1.0.0\n"
#define NOISE_NAME "\x07/noise\n"
#define YAMUX_NAME "\x0d/yamux/1.0.0\n"

typedef struct test_end {
  test_allocator memory;
  kad_random random;
  kad_key_pair *pair;
  kad__security *security;
  kad__connection *c;
  uint8_t protocols[KAD__SECURITY_PROTOCOLS]; /* as in the config */
  const uint8_t *network_key;                 /* NULL: none */
  int error; /* the first one that the connection returned */
} test_end;

/* Identity and security, both from `seed`. */
void test_end_init(test_end *e, uint64_t seed);
/* With an identity of another type than Ed25519. */
void test_end_init_type(test_end *e, kad_key_type type, uint64_t seed);
void test_end_fini(test_end *e);

/* Starts a connection (an earlier one is freed) whose keys come from `seed`. */
int test_end_connect(test_end *e, bool dialer, const kad_peer_id *expected,
                     uint64_t seed, kad_time now);
const kad_peer_id *test_end_id(const test_end *e);

/* Gives a copy of `bytes` to the connection, in pieces of random length when
 * there are `cuts`. Remembers the first error and returns it. */
int test_end_feed(test_end *e, kad_bytes bytes, kad_random *cuts, kad_time now);
/* Appends all that the connection has to send. */
void test_end_drain(test_end *e, kad__buffer *out, kad_time now);

/* Takes all events, among which there is one stream that was opened. */
kad__yamux_stream *test_end_opened(test_end *e);

/* Moves bytes between the two until neither has any to send. */
void test_ends_pump(test_end *a, test_end *b, kad_random *cuts, kad_time now);
/* Connects `a` to `b` and pumps. */
void test_ends_connect(test_end *a, test_end *b, kad_time now);

typedef struct test_ends {
  test_end a; /* dials */
  test_end b;
} test_ends;

void test_ends_init(test_ends *f);
void test_ends_fini(test_ends *f);

typedef struct puppet {
  kad__noise_suite suite;
  kad__x25519 key;
  kad_key_pair *pair;
  kad__noise *noise;
  kad__noise_cipher send;
  kad__noise_cipher receive;
  kad__buffer unheard; /* arrived behind the handshake, encrypted */
  bool dialer;
} puppet;

void puppet_init(puppet *p, uint64_t seed, bool dialer);
void puppet_fini(puppet *p);

/* The payload of an honest peer with the given muxers, in `out` (512 bytes). */
kad_bytes puppet_payload(const puppet *p, uint8_t *out,
                         const char *const *muxers, size_t count);
/* Passes multistream and Noise with `e`, whose connection is fresh, sending
 * `payload`; what `e` says of its payload comes back in `*theirs` (512 bytes,
 * may be NULL). Returns the error of `e`, or 0. */
int puppet_handshake(puppet *p, test_end *e, kad_bytes payload,
                     kad_bytes *theirs, uint8_t *room, kad_time now);
/* Encrypts `text` as one frame and feeds it. */
int puppet_say(puppet *p, test_end *e, kad_bytes text, kad_time now);
/* Frames `text` without feeding; returns the length of `out`. */
size_t puppet_frame(puppet *p, uint8_t *out, kad_bytes text);
/* All that `e` sends, decrypted, appended to `out`. */
void puppet_hear(puppet *p, test_end *e, kad__buffer *out, kad_time now);

/* The payload of an honest peer that knows yamux, in `out` (512 bytes). */
kad_bytes puppet_honest(const puppet *p, uint8_t *out);

#endif
