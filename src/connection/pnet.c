/* XSalsa20 counts blocks of 64 bytes, and reads and writes end anywhere: the
 * block that is begun is made again for the bytes that remain of it, which is
 * cheaper than keeping it for every idle connection. */
#include "connection/pnet.h"

#ifdef KADMIUM_PNET
#include <sodium/crypto_stream_xsalsa20.h>
#endif

#include "base/alloc.h"
#include "base/bytes.h"
#include "connection/noise_crypto.h"

#define BLOCK_LEN 64

#ifdef KADMIUM_PNET
/* Cannot fail: lengths are below 2^64 blocks. */
static void apply(const kad__pnet *p, const kad__pnet_stream *s, uint8_t *data,
                  size_t len) {
  crypto_stream_xsalsa20_xor_ic(data, data, len, s->nonce,
                                s->position / BLOCK_LEN, p->key);
}
#else
static void apply(const kad__pnet *p, const kad__pnet_stream *s, uint8_t *data,
                  size_t len) {
  (void)p;
  (void)s;
  (void)data;
  (void)len;
}
#endif

bool kad__pnet_supported(void) {
#ifdef KADMIUM_PNET
  return true;
#else
  return false;
#endif
}

/* Up to the end of the block that was begun. */
static size_t apply_rest(const kad__pnet *p, const kad__pnet_stream *s,
                         uint8_t *data, size_t len) {
  uint8_t block[BLOCK_LEN] = {0};
  size_t begun = s->position % BLOCK_LEN;
  size_t n = BLOCK_LEN - begun < len ? BLOCK_LEN - begun : len;
  memcpy(block + begun, data, n);
  apply(p, s, block, begun + n);
  memcpy(data, block + begun, n);
  kad__wipe(block, sizeof(block));
  return n;
}

static void cross(const kad__pnet *p, kad__pnet_stream *s, uint8_t *data,
                  size_t len) {
  if (len != 0 && s->position % BLOCK_LEN != 0) {
    size_t n = apply_rest(p, s, data, len);
    s->position += n;
    data += n;
    len -= n;
  }
  if (len != 0) {
    apply(p, s, data, len);
    s->position += len;
  }
}

int kad__pnet_new(kad__pnet **out, const kad_allocator *allocator,
                  const uint8_t key[KAD__PNET_KEY_LEN], kad_random *random) {
  if (!kad__pnet_supported()) {
    return KAD_E_UNSUPPORTED;
  }
  kad__pnet *p = kad__calloc(allocator, 1, sizeof(*p));
  if (p == NULL) {
    return KAD_E_NO_MEMORY;
  }
  memcpy(p->key, key, sizeof(p->key));
  kad_random_bytes(random, p->send.nonce, sizeof(p->send.nonce));
  *out = p;
  return 0;
}

void kad__pnet_free(kad__pnet *p, const kad_allocator *allocator) {
  if (p == NULL) {
    return;
  }
  kad__wipe(p, sizeof(*p));
  kad__release(allocator, p);
}

size_t kad__pnet_receive(kad__pnet *p, uint8_t *data, size_t len) {
  kad__pnet_stream *s = &p->receive;
  size_t wanted = (size_t)KAD__PNET_NONCE_LEN - s->nonce_done;
  size_t n = wanted < len ? wanted : len;
  if (n != 0) {
    memcpy(s->nonce + s->nonce_done, data, n);
    s->nonce_done = (uint8_t)(s->nonce_done + n);
  }
  cross(p, s, data + n, len - n);
  return n;
}

size_t kad__pnet_begin(kad__pnet *p, uint8_t *out) {
  if (p->send.nonce_done != 0) {
    return 0;
  }
  memcpy(out, p->send.nonce, KAD__PNET_NONCE_LEN);
  p->send.nonce_done = KAD__PNET_NONCE_LEN;
  return KAD__PNET_NONCE_LEN;
}

void kad__pnet_send(kad__pnet *p, uint8_t *data, size_t len) {
  cross(p, &p->send, data, len);
}
