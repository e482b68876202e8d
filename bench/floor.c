#include "floor.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/bytes.h"
#include "identity/digest.h"
#include "identity/ed25519.h"

/* ---- the handshake ------------------------------------------------------- */

typedef struct handshake {
  EVP_PKEY_CTX *make;
  EVP_PKEY_CTX *derive;
  EVP_MD_CTX *verify;  /* NULL: as the node verifies */
  uint8_t message[64]; /* prefix and static key: 24 + 32 bytes */
  uint8_t signature[64];
  uint8_t signer[32];
} handshake;

#define SIGNED_LEN 56

static EVP_PKEY *make_key(int type) {
  EVP_PKEY *key = NULL;
  EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_id(type, NULL);
  BENCH_CHECK(context != NULL && EVP_PKEY_keygen_init(context) == 1 &&
              EVP_PKEY_keygen(context, &key) == 1);
  EVP_PKEY_CTX_free(context);
  return key;
}

static void handshake_init(handshake *h, bool own_verify) {
  EVP_PKEY *ours = make_key(EVP_PKEY_X25519);
  EVP_PKEY *theirs = make_key(EVP_PKEY_X25519);
  EVP_PKEY *signer = make_key(EVP_PKEY_ED25519);
  EVP_MD_CTX *sign = EVP_MD_CTX_new();
  size_t len = sizeof(h->signature);
  memset(h->message, 7, sizeof(h->message));
  h->make = EVP_PKEY_CTX_new_id(EVP_PKEY_X25519, NULL);
  h->derive = EVP_PKEY_CTX_new(ours, NULL);
  h->verify = EVP_MD_CTX_new();
  BENCH_CHECK(EVP_PKEY_keygen_init(h->make) == 1);
  BENCH_CHECK(EVP_PKEY_derive_init(h->derive) == 1);
  BENCH_CHECK(EVP_PKEY_derive_set_peer(h->derive, theirs) == 1);
  BENCH_CHECK(EVP_DigestSignInit(sign, NULL, NULL, NULL, signer) == 1);
  BENCH_CHECK(
      EVP_DigestSign(sign, h->signature, &len, h->message, SIGNED_LEN) == 1);
  BENCH_CHECK(EVP_DigestVerifyInit(h->verify, NULL, NULL, NULL, signer) == 1);
  len = sizeof(h->signer);
  BENCH_CHECK(EVP_PKEY_get_raw_public_key(signer, h->signer, &len) == 1);
  if (own_verify) {
    EVP_MD_CTX_free(h->verify);
    h->verify = NULL;
  }
  EVP_MD_CTX_free(sign);
  EVP_PKEY_free(ours);
  EVP_PKEY_free(theirs);
  EVP_PKEY_free(signer);
}

static void handshake_fini(handshake *h) {
  EVP_PKEY_CTX_free(h->make);
  EVP_PKEY_CTX_free(h->derive);
  EVP_MD_CTX_free(h->verify);
}

/* Lengths of what XX hashes into its transcript with libp2p's payloads; then
 * four key derivations of three HMACs, two hashes each. */
static void hash_transcript(void) {
  static const size_t transcript[] = {32, 64, 32, 64, 80, 176, 80, 176};
  static const size_t derivation[] = {96, 96, 65, 96, 97, 96};
  static const uint8_t input[256];
  uint8_t out[32];
  for (size_t i = 0; i < KAD__COUNT(transcript); i++) {
    kad__sha256(out, kad__bytes(input, transcript[i]));
  }
  for (size_t i = 0; i < 4 * KAD__COUNT(derivation); i++) {
    kad__sha256(out, kad__bytes(input, derivation[i % KAD__COUNT(derivation)]));
  }
}

static bool verify_once(handshake *h) {
  if (h->verify == NULL) {
    return kad__ed25519_verify(h->signer, h->signature,
                               kad__bytes(h->message, SIGNED_LEN)) == 0;
  }
  return EVP_DigestVerify(h->verify, h->signature, sizeof(h->signature),
                          h->message, SIGNED_LEN) == 1;
}

static void handshake_once(handshake *h) {
  uint8_t secret[32];
  EVP_PKEY *key = NULL;
  BENCH_CHECK(EVP_PKEY_keygen(h->make, &key) == 1);
  EVP_PKEY_free(key);
  for (int i = 0; i < 3; i++) {
    size_t len = sizeof(secret);
    BENCH_CHECK(EVP_PKEY_derive(h->derive, secret, &len) == 1);
  }
  BENCH_CHECK(verify_once(h));
  hash_transcript();
}

double bench_floor_handshake(uint32_t rounds, bool own_verify) {
  handshake h;
  bench_pin(BENCH_MEASURED);
  handshake_init(&h, own_verify);
  handshake_once(&h);
  kad_time start = bench_cpu();
  for (uint32_t i = 0; i < rounds; i++) {
    handshake_once(&h);
  }
  double spent = (double)(bench_cpu() - start);
  handshake_fini(&h);
  bench_pin(BENCH_LOAD);
  return spent / rounds;
}

/* ---- traffic ------------------------------------------------------------- */

/* Noise's longest frame: what is longer is encrypted in parts. */
#define FRAME_MAX ((size_t)65519)

static EVP_CIPHER_CTX *make_cipher(int encrypt) {
  static const uint8_t key[32] = {1};
  EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
  BENCH_CHECK(context != NULL &&
              EVP_CipherInit_ex(context, EVP_chacha20_poly1305(), NULL, key,
                                NULL, encrypt) == 1);
  return context;
}

/* One frame in place, with a new nonce. Decrypting computes the tag as well;
 * it is not compared, as that is nothing. */
static void crypt_frame(EVP_CIPHER_CTX *context, uint64_t nonce, uint8_t *data,
                        size_t len, int encrypt) {
  uint8_t iv[12] = {0};
  uint8_t tag[16] = {0};
  int done = 0;
  memcpy(iv + 4, &nonce, sizeof(nonce));
  BENCH_CHECK(EVP_CipherInit_ex(context, NULL, NULL, NULL, iv, -1) == 1);
  if (!encrypt) {
    EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, sizeof(tag), tag);
  }
  BENCH_CHECK(EVP_CipherUpdate(context, data, &done, data, (int)len) == 1);
  int good = EVP_CipherFinal_ex(context, tag, &done);
  BENCH_CHECK(good == encrypt);
  if (encrypt) {
    EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, sizeof(tag), tag);
  }
}

static void crypt_all(EVP_CIPHER_CTX *context, uint64_t *nonce, uint8_t *data,
                      size_t len, int encrypt) {
  for (size_t done = 0; done < len; done += FRAME_MAX) {
    size_t part = len - done < FRAME_MAX ? len - done : FRAME_MAX;
    crypt_frame(context, (*nonce)++, data + done, part, encrypt);
  }
}

double bench_floor_cipher(uint64_t bytes, bool encrypt) {
  static uint8_t frame[FRAME_MAX];
  bench_pin(BENCH_MEASURED);
  EVP_CIPHER_CTX *context = make_cipher(encrypt);
  kad_time start = bench_cpu();
  for (uint64_t done = 0, nonce = 0; done < bytes; done += FRAME_MAX) {
    crypt_frame(context, nonce++, frame, FRAME_MAX, encrypt);
  }
  double spent = (double)(bench_cpu() - start);
  EVP_CIPHER_CTX_free(context);
  bench_pin(BENCH_LOAD);
  return spent;
}

static void connect_pair(int pair[2]) {
  struct sockaddr_in at = {.sin_family = AF_INET,
                           .sin_addr = {htonl(INADDR_LOOPBACK)}};
  socklen_t len = sizeof(at);
  int on = 1;
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  pair[0] = socket(AF_INET, SOCK_STREAM, 0);
  BENCH_CHECK(listener >= 0 && pair[0] >= 0);
  BENCH_CHECK(bind(listener, (struct sockaddr *)&at, len) == 0 &&
              listen(listener, 1) == 0 &&
              getsockname(listener, (struct sockaddr *)&at, &len) == 0 &&
              connect(pair[0], (struct sockaddr *)&at, len) == 0);
  pair[1] = accept(listener, NULL, NULL);
  BENCH_CHECK(pair[1] >= 0);
  close(listener);
  for (int i = 0; i < 2; i++) {
    (void)setsockopt(pair[i], IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  }
}

/* After read number `reads` so many writes have been made: they are spread
 * evenly. */
static uint64_t writes_after(const bench_traffic *t, uint64_t reads) {
  return reads * t->writes / t->reads;
}

static size_t read_len(const bench_traffic *t) {
  return (size_t)(t->bytes_in / t->reads);
}

static size_t write_len(const bench_traffic *t) {
  return (size_t)(t->bytes_out / t->writes);
}

/* The peer sends the next batch when it has what answers the last, as the load
 * of the figure does. */
static void run_peer(int fd, const bench_traffic *t) {
  size_t in = read_len(t);
  size_t out = write_len(t);
  uint8_t *buffer = calloc(1, in + out);
  BENCH_CHECK(buffer != NULL);
  for (uint64_t i = 0; i < t->reads; i++) {
    bench_write(fd, buffer, in);
    for (uint64_t w = writes_after(t, i); w < writes_after(t, i + 1); w++) {
      bench_read(fd, buffer, out);
    }
  }
  free(buffer);
}

static pid_t start_peer(int pair[2], const bench_traffic *t) {
  pid_t child = fork();
  BENCH_CHECK(child >= 0);
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    bench_pin(BENCH_LOAD);
    close(pair[0]);
    run_peer(pair[1], t);
    _exit(0);
  }
  return child;
}

static void serve_traffic(int fd, const bench_traffic *t) {
  EVP_CIPHER_CTX *seal = make_cipher(1);
  EVP_CIPHER_CTX *open = make_cipher(0);
  size_t in = read_len(t);
  size_t out = write_len(t);
  uint8_t *buffer = calloc(1, in + out);
  uint64_t nonce = 0;
  BENCH_CHECK(buffer != NULL);
  for (uint64_t i = 0; i < t->reads; i++) {
    BENCH_CHECK(recv(fd, buffer, in, MSG_WAITALL) == (ssize_t)in);
    crypt_all(open, &nonce, buffer, in, 0);
    for (uint64_t w = writes_after(t, i); w < writes_after(t, i + 1); w++) {
      crypt_all(seal, &nonce, buffer, out, 1);
      bench_write(fd, buffer, out);
    }
  }
  free(buffer);
  EVP_CIPHER_CTX_free(seal);
  EVP_CIPHER_CTX_free(open);
}

double bench_floor_traffic(const bench_traffic *t) {
  int pair[2];
  connect_pair(pair);
  pid_t peer = start_peer(pair, t);
  close(pair[1]);
  bench_pin(BENCH_MEASURED);
  kad_time start = bench_cpu();
  serve_traffic(pair[0], t);
  double spent = (double)(bench_cpu() - start);
  bench_pin(BENCH_LOAD);
  close(pair[0]);
  waitpid(peer, NULL, 0);
  return spent;
}
