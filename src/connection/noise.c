/* The pattern is a table and the handshake one loop over its tokens, as the
 * specification writes it down; reading and writing differ only in where bytes
 * come from. A failure at any token ends the handshake for good: `over` is set
 * before the first token and taken back after the last. */
#include "connection/noise.h"

#include <assert.h>

#include "base/alloc.h"
#include "base/bytes.h"
#include "identity/digest.h"

/* 32 bytes, so it is the first hash as it stands. */
#define PROTOCOL_NAME "Noise_XX_25519_ChaChaPoly_SHA256"
#define MESSAGES 3

/* What one X25519 key costs inside OpenSSL, measured. */
#define OPENSSL_KEY_BYTES 1024

typedef enum token { END, E, S, EE, ES, SE } token;

static const uint8_t pattern[MESSAGES][5] = {{E}, {E, EE, S, ES}, {S, SE}};

struct kad__noise {
  const kad_allocator *allocator;
  const kad__noise_suite *suite;
  const kad__x25519 *local;
  kad__x25519 ephemeral;
  bool initiator;
  bool has_key;
  bool over;
  uint8_t step; /* messages that have passed */
  kad__noise_cipher cipher;
  uint8_t chaining[KAD__HASH_LEN];
  uint8_t hash[KAD__HASH_LEN];
  uint8_t remote_ephemeral[KAD__X25519_LEN];
  uint8_t remote_static[KAD__X25519_LEN];
};

int kad__noise_encrypt(const kad__noise_suite *suite, kad__noise_cipher *cipher,
                       uint8_t *data, size_t len) {
  assert(len <= KAD__NOISE_TEXT_MAX);
  if (cipher->nonce == UINT64_MAX) {
    return KAD_E_NOISE;
  }
  int result = kad__aead_seal(suite, cipher->key, cipher->nonce, (kad_bytes){0},
                              data, len);
  if (result == 0) {
    cipher->nonce++;
  }
  return result;
}

int kad__noise_decrypt(const kad__noise_suite *suite, kad__noise_cipher *cipher,
                       uint8_t *data, size_t len) {
  if (len < KAD__AEAD_TAG_LEN || len > KAD__NOISE_MESSAGE_MAX ||
      cipher->nonce == UINT64_MAX) {
    return KAD_E_NOISE;
  }
  int result = kad__aead_open(suite, cipher->key, cipher->nonce, (kad_bytes){0},
                              data, len);
  if (result < 0) {
    return result;
  }
  cipher->nonce++;
  return (int)(len - KAD__AEAD_TAG_LEN);
}

static void mix_hash(kad__noise *n, kad_bytes bytes) {
  uint8_t joined[KAD__HASH_LEN + KAD__NOISE_HANDSHAKE_MAX];
  assert(bytes.len <= KAD__NOISE_HANDSHAKE_MAX);
  memcpy(joined, n->hash, KAD__HASH_LEN);
  if (bytes.len != 0) {
    memcpy(joined + KAD__HASH_LEN, bytes.data, bytes.len);
  }
  kad__sha256(n->hash, kad__bytes(joined, KAD__HASH_LEN + bytes.len));
}

static int mix_shared(kad__noise *n, const kad__x25519 *key,
                      const uint8_t *peer) {
  uint8_t secret[KAD__X25519_LEN];
  int result = kad__x25519_shared(n->suite, key, secret, peer);
  if (result == 0) {
    kad__noise_hkdf(n->chaining, n->cipher.key, n->chaining,
                    kad__bytes(secret, sizeof(secret)));
    n->cipher.nonce = 0;
    n->has_key = true;
  }
  kad__wipe(secret, sizeof(secret));
  return result;
}

static int mix_token(kad__noise *n, token t) {
  if (t == EE) {
    return mix_shared(n, &n->ephemeral, n->remote_ephemeral);
  }
  /* The first letter is the initiator's key, the second the responder's. */
  bool our_ephemeral = (t == ES) == n->initiator;
  return our_ephemeral ? mix_shared(n, &n->ephemeral, n->remote_static)
                       : mix_shared(n, n->local, n->remote_ephemeral);
}

/* Encrypts at `data` once there is a key; returns the bytes it became. */
static int seal_and_mix(kad__noise *n, uint8_t *data, size_t len) {
  size_t sealed = len;
  if (n->has_key) {
    int result =
        kad__aead_seal(n->suite, n->cipher.key, n->cipher.nonce,
                       kad__bytes(n->hash, sizeof(n->hash)), data, len);
    if (result < 0) {
      return result;
    }
    n->cipher.nonce++;
    sealed += KAD__AEAD_TAG_LEN;
  }
  mix_hash(n, kad__bytes(data, sealed));
  return (int)sealed;
}

/* Decrypts `len` bytes at `data` once there is a key; returns the length of the
 * text. */
static int open_and_mix(kad__noise *n, uint8_t *data, size_t len) {
  if (!n->has_key) {
    mix_hash(n, kad__bytes(data, len));
    return (int)len;
  }
  if (len < KAD__AEAD_TAG_LEN) {
    return KAD_E_NOISE;
  }
  /* The hash covers the ciphertext, which decrypting in place destroys. */
  uint8_t associated[KAD__HASH_LEN];
  memcpy(associated, n->hash, sizeof(associated));
  mix_hash(n, kad__bytes(data, len));
  int result =
      kad__aead_open(n->suite, n->cipher.key, n->cipher.nonce,
                     kad__bytes(associated, sizeof(associated)), data, len);
  if (result < 0) {
    return result;
  }
  n->cipher.nonce++;
  return (int)(len - KAD__AEAD_TAG_LEN);
}

static size_t tag_len(const kad__noise *n) {
  return n->has_key ? KAD__AEAD_TAG_LEN : 0;
}

/* Writes the public key of an E or S token. */
static int write_key(kad__noise *n, const kad__x25519 *key, uint8_t *out,
                     size_t cap, bool encrypted) {
  if (cap < KAD__X25519_LEN + KAD__AEAD_TAG_LEN) {
    return KAD_E_BUFFER_TOO_SMALL;
  }
  memcpy(out, key->public_key, KAD__X25519_LEN);
  if (encrypted) {
    return seal_and_mix(n, out, KAD__X25519_LEN);
  }
  mix_hash(n, kad__bytes(out, KAD__X25519_LEN));
  return KAD__X25519_LEN;
}

static int write_token(kad__noise *n, token t, uint8_t *out, size_t cap) {
  switch (t) {
    case E:
      return write_key(n, &n->ephemeral, out, cap, false);
    case S:
      return write_key(n, n->local, out, cap, true);
    default:
      return mix_token(n, t);
  }
}

/* Reads the public key of an E or S token; returns the bytes it took. */
static int read_key(kad__noise *n, uint8_t key[KAD__X25519_LEN], uint8_t *in,
                    size_t len, bool encrypted) {
  size_t taken = KAD__X25519_LEN + (encrypted ? tag_len(n) : 0);
  if (len < taken) {
    return KAD_E_NOISE;
  }
  if (encrypted) {
    int result = open_and_mix(n, in, taken);
    if (result < 0) {
      return result;
    }
  } else {
    mix_hash(n, kad__bytes(in, taken));
  }
  memcpy(key, in, KAD__X25519_LEN);
  return (int)taken;
}

static int read_token(kad__noise *n, token t, uint8_t *in, size_t len) {
  switch (t) {
    case E:
      return read_key(n, n->remote_ephemeral, in, len, false);
    case S:
      return read_key(n, n->remote_static, in, len, true);
    default:
      return mix_token(n, t);
  }
}

int kad__noise_new(kad__noise **out, const kad_allocator *allocator,
                   const kad__noise_suite *suite, const kad__x25519 *local,
                   const uint8_t ephemeral[KAD__X25519_LEN], kad_bytes prologue,
                   bool initiator) {
  kad__noise *n = kad__calloc(allocator, 1, sizeof(*n));
  if (n == NULL) {
    return KAD_E_NO_MEMORY;
  }
  n->allocator = allocator;
  n->suite = suite;
  n->local = local;
  n->initiator = initiator;
  int result = kad__x25519_init(&n->ephemeral, ephemeral);
  if (result < 0) {
    kad__noise_free(n);
    return result;
  }
  memcpy(n->hash, PROTOCOL_NAME, KAD__HASH_LEN);
  memcpy(n->chaining, n->hash, KAD__HASH_LEN);
  mix_hash(n, prologue);
  *out = n;
  return 0;
}

void kad__noise_free(kad__noise *n) {
  if (n == NULL) {
    return;
  }
  const kad_allocator *allocator = n->allocator;
  kad__x25519_fini(&n->ephemeral);
  kad__wipe(n, sizeof(*n));
  kad__release(allocator, n);
}

bool kad__noise_writes(const kad__noise *n) {
  return n->step < MESSAGES && (n->step % 2 == 0) == n->initiator;
}

bool kad__noise_done(const kad__noise *n) {
  return n->step == MESSAGES;
}

static int write_message(kad__noise *n, uint8_t *out, size_t cap,
                         kad_bytes payload) {
  size_t at = 0;
  for (const uint8_t *t = pattern[n->step]; *t != END; t++) {
    int written = write_token(n, (token)*t, out + at, cap - at);
    if (written < 0) {
      return written;
    }
    at += (size_t)written;
  }
  if (payload.len > cap - at || cap - at - payload.len < tag_len(n)) {
    return KAD_E_BUFFER_TOO_SMALL;
  }
  if (payload.len != 0) {
    memcpy(out + at, payload.data, payload.len);
  }
  int written = seal_and_mix(n, out + at, payload.len);
  return written < 0 ? written : (int)at + written;
}

int kad__noise_write(kad__noise *n, uint8_t *out, size_t cap,
                     kad_bytes payload) {
  if (n->over || !kad__noise_writes(n)) {
    return KAD_E_STATE;
  }
  n->over = true;
  size_t room = cap < KAD__NOISE_HANDSHAKE_MAX ? cap : KAD__NOISE_HANDSHAKE_MAX;
  int result = write_message(n, out, room, payload);
  if (result < 0) {
    return result;
  }
  n->over = false;
  n->step++;
  return result;
}

static int read_message(kad__noise *n, uint8_t *message, size_t len,
                        kad_bytes *payload) {
  size_t at = 0;
  for (const uint8_t *t = pattern[n->step]; *t != END; t++) {
    int taken = read_token(n, (token)*t, message + at, len - at);
    if (taken < 0) {
      return taken;
    }
    at += (size_t)taken;
  }
  int text = open_and_mix(n, message + at, len - at);
  if (text < 0) {
    return text;
  }
  *payload = kad__bytes(message + at, (size_t)text);
  return 0;
}

int kad__noise_read(kad__noise *n, uint8_t *message, size_t len,
                    kad_bytes *payload) {
  if (n->over || kad__noise_done(n) || kad__noise_writes(n)) {
    return KAD_E_STATE;
  }
  n->over = true;
  if (len > KAD__NOISE_HANDSHAKE_MAX) {
    return KAD_E_NOISE;
  }
  int result = read_message(n, message, len, payload);
  if (result < 0) {
    return result;
  }
  n->over = false;
  n->step++;
  return 0;
}

const uint8_t *kad__noise_remote(const kad__noise *n) {
  return n->remote_static;
}

const uint8_t *kad__noise_hash(const kad__noise *n) {
  assert(kad__noise_done(n));
  return n->hash;
}

void kad__noise_split(const kad__noise *n, kad__noise_cipher *send,
                      kad__noise_cipher *receive) {
  assert(kad__noise_done(n) && !n->over);
  kad__noise_cipher first = {0};
  kad__noise_cipher second = {0};
  kad__noise_hkdf(first.key, second.key, n->chaining, (kad_bytes){0});
  *send = n->initiator ? first : second;
  *receive = n->initiator ? second : first;
  kad__wipe(&first, sizeof(first));
  kad__wipe(&second, sizeof(second));
}

size_t kad__noise_charge(void) {
  return sizeof(kad__noise) + OPENSSL_KEY_BYTES;
}
