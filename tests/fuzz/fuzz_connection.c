/* A whole connection. The first byte says where the input begins: from the
 * first byte on the wire, or inside the encryption of a peer that has passed
 * the handshake honestly, there at the choice of the muxer or at yamux. The
 * second is how the bytes are cut. */
#include "base/bytes.h"
#include "connection/connection.h"
#include "connection/security.h"
#include "fuzz.h"

#define WIRE_MAX 65536
#define OUTPUT_CAP 32768

/* Payloads with and without the early choice of the muxer differ in their last
 * 16 bytes. */
#define EXTENSIONS_LEN 16

typedef struct world {
  kad_key_pair *pairs[2];
  kad__security *securities[2]; /* of the connection, of the peer */
} world;

typedef struct run {
  kad__connection *c;
  kad_random random;
  kad__noise *peer;
  kad__noise_cipher send;
  const kad__security *security;
  int error;
} run;

static const world *the_world(void) {
  static world w;
  static kad_random random;
  const kad_allocator *allocator = kad_allocator_default();
  if (w.securities[0] != NULL) {
    return &w;
  }
  kad_random_init_u64(&random, 1);
  for (int i = 0; i < 2; i++) {
    FUZZ_CHECK(kad_key_pair_generate(&w.pairs[i], allocator, &random) == 0);
    FUZZ_CHECK(kad__security_new(&w.securities[i], allocator, w.pairs[i],
                                 &random) == 0);
  }
  return &w;
}

static size_t drain(run *r, uint8_t *out) {
  size_t total = 0;
  size_t n = 0;
  do {
    static uint8_t scrap[OUTPUT_CAP];
    n = kad__connection_output(r->c, scrap, OUTPUT_CAP, 0);
    FUZZ_CHECK(n <= OUTPUT_CAP);
    if (out != NULL && total + n <= WIRE_MAX) {
      memcpy(out + total, scrap, n);
    }
    total += n;
  } while (n > 0);
  FUZZ_CHECK(!kad__connection_has_output(r->c));
  return total;
}

static void feed(run *r, const uint8_t *bytes, size_t len) {
  uint8_t *copy = malloc(len == 0 ? 1 : len);
  FUZZ_CHECK(copy != NULL);
  memcpy(copy, bytes, len);
  int result = kad__connection_input(r->c, copy, len, 0);
  FUZZ_CHECK(result <= 0);
  FUZZ_CHECK(r->error == 0 || result == r->error);
  r->error = result;
  free(copy);
}

static void feed_in_pieces(run *r, const uint8_t *bytes, size_t len,
                           size_t piece) {
  while (len > 0) {
    size_t n = len < piece ? len : piece;
    feed(r, bytes, n);
    bytes += n;
    len -= n;
  }
}

static void start(run *r, const world *w, bool dialer) {
  *r = (run){.security = w->securities[1]};
  kad_random_init_u64(&r->random, 3);
  kad__connection_config config = {.allocator = kad_allocator_default(),
                                   .security = w->securities[0],
                                   .random = &r->random,
                                   .upgrade_timeout = 15 * KAD_SECOND};
  kad__yamux_config_default(&config.yamux);
  FUZZ_CHECK(kad__connection_new(&r->c, &config, dialer, NULL, 0) == 0);
  FUZZ_CHECK(kad__security_handshake(&r->peer, r->security,
                                     kad_allocator_default(), &r->random,
                                     !dialer) == 0);
}

static void send_handshake(run *r, kad_bytes payload) {
  uint8_t message[512];
  int len = kad__noise_write(r->peer, message + 2, 510, payload);
  FUZZ_CHECK(len > 0);
  kad__store16(message, (uint16_t)len);
  feed(r, message, 2 + (size_t)len);
  FUZZ_CHECK(r->error == 0);
}

/* Reads the message behind the first `skip` bytes of what the connection
 * sends. */
static void read_handshake(run *r, size_t skip) {
  static uint8_t wire[WIRE_MAX];
  kad_bytes payload;
  size_t len = drain(r, wire);
  FUZZ_CHECK(len >= skip + 2);
  size_t message = kad__load16(wire + skip);
  FUZZ_CHECK(len >= skip + 2 + message);
  FUZZ_CHECK(kad__noise_read(r->peer, wire + skip + 2, message, &payload) == 0);
}

static void pass_handshake(run *r, bool dialer, bool early_muxer) {
  static const uint8_t hello[] = "\x13/multistream/1.0.0\n\x07/noise\n";
  kad_bytes payload = kad__security_payload(r->security);
  payload.len -= early_muxer ? 0 : EXTENSIONS_LEN;
  if (dialer) {
    read_handshake(r, 28);
    feed(r, hello, 28);
    send_handshake(r, payload);
    read_handshake(r, 0);
  } else {
    feed(r, hello, 28);
    send_handshake(r, (kad_bytes){0});
    read_handshake(r, 28);
    send_handshake(r, payload);
  }
  FUZZ_CHECK(kad__connection_established(r->c) == (early_muxer || dialer));
  kad__noise_cipher receive;
  kad__noise_split(r->peer, &r->send, &receive);
}

/* Encrypts the input in frames of `piece` bytes, and cuts those once more. */
static void feed_encrypted(run *r, const uint8_t *bytes, size_t len,
                           size_t piece) {
  while (len > 0) {
    static uint8_t frame[WIRE_MAX];
    size_t n = len < piece ? len : piece;
    memcpy(frame + 2, bytes, n);
    FUZZ_CHECK(kad__noise_encrypt(kad__security_suite(r->security), &r->send,
                                  frame + 2, n) == 0);
    kad__store16(frame, (uint16_t)(n + KAD__AEAD_TAG_LEN));
    feed_in_pieces(r, frame, n + 18, 1 + piece / 2);
    bytes += n;
    len -= n;
  }
}

/* What an owner does: takes events, echoes, lets go. */
static void serve(run *r) {
  kad__yamux *y = kad__connection_yamux(r->c);
  kad__yamux_event event;
  while (y != NULL && kad__yamux_poll(y, &event)) {
    kad_bytes bytes = kad__yamux_stream_peek(event.stream);
    if (event.type == KAD__YAMUX_RESET ||
        kad__yamux_stream_ended(event.stream)) {
      kad__yamux_stream_release(event.stream);
    } else if (event.type == KAD__YAMUX_READABLE) {
      kad__yamux_stream_write(event.stream, bytes);
      kad__yamux_stream_consume(event.stream, bytes.len);
    }
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 2 || size > WIRE_MAX / 2) {
    return 0;
  }
  run r;
  bool dialer = (data[0] & 1) != 0;
  size_t piece = 1 + (size_t)data[1] * 8;
  start(&r, the_world(), dialer);
  if ((data[0] & 2) != 0) {
    pass_handshake(&r, dialer, (data[0] & 4) != 0);
    feed_encrypted(&r, data + 2, size - 2, piece);
  } else {
    feed_in_pieces(&r, data + 2, size - 2, piece);
    FUZZ_CHECK(!kad__connection_established(r.c));
  }
  serve(&r);
  drain(&r, NULL);
  FUZZ_CHECK(kad__connection_charge(r.c) < (size_t)1 << 20);
  int result = kad__connection_tick(r.c, 15 * KAD_SECOND);
  FUZZ_CHECK(r.error == 0 || result == r.error);
  FUZZ_CHECK(kad__connection_established(r.c) || result < 0);
  kad__connection_free(r.c);
  kad__noise_free(r.peer);
  return 0;
}
