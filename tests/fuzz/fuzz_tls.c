/* A connection over TLS. The first byte says how: raw bytes in front of the
 * handshake; an honest handshake one flight of which is damaged by the input;
 * or an honest peer that says the input inside the encryption. */
#include "base/bytes.h"
#include "connection/connection.h"
#include "connection/security.h"
#include "connection/tls.h"
#include "fuzz.h"

#define WIRE_MAX 65536

static const uint8_t hello[] = "\x13/multistream/1.0.0\n\x0b/tls/1.0.0\n";
#define HELLO_LEN (sizeof(hello) - 1)

typedef struct world {
  kad_random random;
  kad_key_pair *pairs[2];
  kad__security *securities[2]; /* of the connection, of the peer */
} world;

typedef struct run {
  kad__connection *c;
  kad__tls *peer;
  kad__buffer peer_out;
  const uint8_t *damage;
  size_t damage_len;
  int error;
} run;

static world *the_world(void) {
  static world w;
  const kad_allocator *allocator = kad_allocator_default();
  if (w.securities[0] != NULL) {
    return &w;
  }
  kad_random_init_u64(&w.random, 1);
  for (int i = 0; i < 2; i++) {
    FUZZ_CHECK(kad_key_pair_generate(&w.pairs[i], allocator, &w.random) == 0);
    FUZZ_CHECK(kad__security_new(&w.securities[i], allocator, w.pairs[i],
                                 &w.random) == 0);
  }
  return &w;
}

static void feed(run *r, const uint8_t *bytes, size_t len) {
  if (len == 0) {
    return;
  }
  uint8_t *copy = malloc(len);
  FUZZ_CHECK(copy != NULL);
  memcpy(copy, bytes, len);
  int result = kad__connection_input(r->c, copy, len, 0);
  FUZZ_CHECK(result <= 0);
  FUZZ_CHECK(r->error == 0 || result == r->error);
  r->error = result;
  free(copy);
}

/* What the connection sends goes to the peer, but for the first `skip`. */
static void to_peer(run *r, size_t skip) {
  static uint8_t wire[WIRE_MAX];
  size_t n = 0;
  while ((n = kad__connection_output(r->c, wire, sizeof(wire), 0)) > 0) {
    kad_bytes text;
    size_t dropped = skip < n ? skip : n;
    skip -= dropped;
    kad__tls_give(r->peer, kad__bytes(wire + dropped, n - dropped));
    if (kad__tls_handshake(r->peer) != 1) {
      continue;
    }
    while (kad__tls_read(r->peer, &text) == 1) {
    }
  }
}

/* Once, the peer's flight is changed where the input says. */
static void from_peer(run *r) {
  kad_bytes bytes = kad__buffer_bytes(&r->peer_out);
  if (bytes.len == 0) {
    return;
  }
  uint8_t *at = r->peer_out.data + r->peer_out.begin;
  for (size_t i = 0; i + 2 < r->damage_len; i += 3) {
    at[kad__load16(r->damage + i) % bytes.len] ^= r->damage[i + 2];
  }
  r->damage_len = 0;
  feed(r, bytes.data, bytes.len);
  kad__buffer_fini(&r->peer_out, kad_allocator_default());
}

static void shake_hands(run *r) {
  feed(r, hello, HELLO_LEN);
  for (int i = 0; i < 4 && r->error == 0; i++) {
    to_peer(r, i == 0 ? HELLO_LEN : 0);
    (void)kad__tls_handshake(r->peer);
    from_peer(r);
  }
}

static void say(run *r, const uint8_t *bytes, size_t len, size_t piece) {
  while (len > 0) {
    static uint8_t record[KAD__TLS_TEXT_MAX + KAD__TLS_OVERHEAD];
    size_t n = len < piece ? len : piece;
    memcpy(kad__tls_text(r->peer), bytes, n);
    int written = kad__tls_write(r->peer, n, record, sizeof(record));
    FUZZ_CHECK(written > 0);
    feed(r, record, (size_t)written / 2);
    feed(r, record + written / 2, (size_t)written - (size_t)written / 2);
    bytes += n;
    len -= n;
  }
}

static void begin(run *r, world *w, bool dialer) {
  *r = (run){0};
  kad__connection_config config = {.allocator = kad_allocator_default(),
                                   .security = w->securities[0],
                                   .random = &w->random,
                                   .upgrade_timeout = 15 * KAD_SECOND,
                                   .protocols = {KAD__SECURITY_TLS}};
  kad__yamux_config_default(&config.yamux);
  FUZZ_CHECK(kad__connection_new(&r->c, &config, dialer, NULL, 0) == 0);
  FUZZ_CHECK(kad__security_tls(&r->peer, w->securities[1],
                               kad_allocator_default(), &w->random,
                               &r->peer_out, !dialer, 0) == 0);
}

static void finish(run *r) {
  static uint8_t scrap[WIRE_MAX];
  while (kad__connection_output(r->c, scrap, sizeof(scrap), 0) > 0) {
  }
  FUZZ_CHECK(!kad__connection_has_output(r->c));
  FUZZ_CHECK(kad__connection_charge(r->c) < (size_t)2 << 20);
  int result = kad__connection_tick(r->c, 15 * KAD_SECOND);
  FUZZ_CHECK(r->error == 0 || result == r->error);
  FUZZ_CHECK(kad__connection_established(r->c) || result < 0);
  kad__connection_free(r->c);
  kad__tls_free(r->peer);
  kad__buffer_fini(&r->peer_out, kad_allocator_default());
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 2 || size > WIRE_MAX / 2) {
    return 0;
  }
  run r;
  bool dialer = (data[0] & 1) != 0;
  begin(&r, the_world(), dialer);
  switch (data[0] >> 1 & 3) {
    case 0:
      feed(&r, hello, HELLO_LEN);
      feed(&r, data + 2, size - 2);
      FUZZ_CHECK(!kad__connection_established(r.c));
      break;
    case 1:
      r.damage = data + 2;
      r.damage_len = size - 2;
      shake_hands(&r);
      break;
    default:
      shake_hands(&r);
      FUZZ_CHECK(kad__connection_established(r.c));
      say(&r, data + 2, size - 2, 1 + (size_t)data[1] * 8);
      break;
  }
  finish(&r);
  return 0;
}
