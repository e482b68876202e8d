#include "raw_peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "wire/noise_payload.h"

#define WAIT (5 * KAD_SECOND)

void raw_open(raw_peer *p, loop *l, uint16_t port, uint64_t seed) {
  *p = (raw_peer){.l = l};
  kad_random random;
  uint8_t secret[32];
  kad_random_init_u64(&random, seed);
  assert_ok(kad__noise_suite_init(&p->suite));
  kad_random_bytes(&random, secret, sizeof(secret));
  assert_ok(kad__x25519_init(&p->key, secret));
  assert_ok(kad_key_pair_generate(&p->pair, kad_allocator_default(), &random));
  kad_random_bytes(&random, secret, sizeof(secret));
  assert_ok(kad__noise_new(&p->noise, kad_allocator_default(), &p->suite,
                           &p->key, secret, kad__bytes(NULL, 0), true));
  struct sockaddr_in a = {.sin_family = AF_INET,
                          .sin_port = htons(port),
                          .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int room = 16384; /* a small window, so that it can be filled */
  p->fd = socket(AF_INET, SOCK_STREAM, 0);
  assert_int_equal(
      setsockopt(p->fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room)), 0);
  assert_int_equal(connect(p->fd, (struct sockaddr *)&a, sizeof(a)), 0);
}

void raw_close(raw_peer *p) {
  close(p->fd);
  kad__noise_free(p->noise);
  kad__x25519_fini(&p->key);
  kad_key_pair_free(p->pair);
  kad__noise_suite_fini(&p->suite);
  kad__buffer_fini(&p->wire, kad_allocator_default());
  kad__buffer_fini(&p->heard, kad_allocator_default());
}

void raw_send(raw_peer *p, kad_bytes bytes) {
  kad_time limit = loop_now() + WAIT;
  while (bytes.len > 0 && loop_now() < limit) {
    ssize_t n = send(p->fd, bytes.data, bytes.len, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n > 0) {
      bytes = kad__bytes_skip(bytes, (size_t)n);
    } else if (errno != EAGAIN) {
      return; /* it has hung up already */
    } else {
      loop_turn(p->l, 10);
    }
  }
}

/* Reads what is there: the count, 0 at the end, -1 when nothing has come. */
static ssize_t receive(raw_peer *p) {
  uint8_t bytes[16384];
  ssize_t n = recv(p->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
  if (n > 0) {
    assert_ok(kad__buffer_append(&p->wire, kad_allocator_default(),
                                 kad__bytes(bytes, (size_t)n)));
  }
  return n < 0 && errno != EAGAIN ? 0 : n;
}

bool raw_ended(raw_peer *p, kad_time limit) {
  kad_time until = loop_now() + limit;
  while (loop_now() < until) {
    loop_turn(p->l, 10);
    if (receive(p) == 0) {
      return true;
    }
  }
  return false;
}

static bool await_wire(raw_peer *p, size_t len) {
  kad_time until = loop_now() + WAIT;
  while (kad__buffer_bytes(&p->wire).len < len && loop_now() < until) {
    loop_turn(p->l, 10);
    if (receive(p) == 0) {
      return kad__buffer_bytes(&p->wire).len >= len;
    }
  }
  return kad__buffer_bytes(&p->wire).len >= len;
}

/* ---- the handshake ------------------------------------------------------- */

static kad_bytes payload_of(const raw_peer *p, uint8_t out[512]) {
  uint8_t message[24 + 32];
  uint8_t signature[KAD_SIGNATURE_LEN];
  memcpy(message, "noise-libp2p-static-key:", 24);
  memcpy(message + 24, p->key.public_key, 32);
  assert_ok(kad_key_pair_sign(p->pair, signature,
                              kad__bytes(message, sizeof(message))));
  kad__noise_payload payload = {
      .identity_key = kad_public_key_bytes(kad_key_pair_public(p->pair)),
      .identity_signature = kad__bytes(signature, sizeof(signature)),
      .muxer_count = 1,
      .muxers = {kad__bytes_of("/yamux/1.0.0")}};
  int len = kad__noise_payload_encode(out, 512, &payload);
  assert_ok(len);
  return kad__bytes(out, (size_t)len);
}

static void write_message(raw_peer *p, kad_bytes payload, raw_bend bend) {
  uint8_t message[2 + KAD__NOISE_HANDSHAKE_MAX];
  int len =
      kad__noise_write(p->noise, message + 2, sizeof(message) - 2, payload);
  assert_ok(len);
  size_t whole = 2 + (size_t)len;
  kad__store16(message, (uint16_t)len);
  if (bend != NULL) {
    bend(message, &whole);
  }
  raw_send(p, kad__bytes(message, whole));
}

/* Takes the node's answer; false when it has hung up instead. */
static bool read_answer(raw_peer *p) {
  uint8_t room[KAD__NOISE_HANDSHAKE_MAX];
  size_t head = sizeof(NOISE) - 1;
  if (!await_wire(p, head + 2)) {
    return false;
  }
  kad__buffer_consume(&p->wire, kad_allocator_default(), head);
  size_t len = kad__load16(kad__buffer_bytes(&p->wire).data);
  if (len > sizeof(room) || !await_wire(p, 2 + len)) {
    return false;
  }
  memcpy(room, kad__buffer_bytes(&p->wire).data + 2, len);
  kad_bytes theirs;
  assert_ok(kad__noise_read(p->noise, room, len, &theirs));
  kad__buffer_consume(&p->wire, kad_allocator_default(), 2 + len);
  return true;
}

static bool handshake(raw_peer *p, int messages, raw_bend bend) {
  uint8_t room[512];
  raw_send(p, LITERAL(NOISE));
  write_message(p, kad__bytes(NULL, 0), messages == 1 ? bend : NULL);
  if (messages == 1) {
    return true;
  }
  if (!read_answer(p)) {
    return false;
  }
  write_message(p, payload_of(p, room), bend);
  kad__noise_split(p->noise, &p->send, &p->receive);
  return true;
}

void raw_handshake(raw_peer *p, int messages, raw_bend bend) {
  assert_true(handshake(p, messages, bend));
}

bool raw_try_handshake(raw_peer *p) {
  return handshake(p, 3, NULL);
}

/* ---- behind it ----------------------------------------------------------- */

void raw_say(raw_peer *p, kad_bytes text) {
  while (text.len > 0) {
    uint8_t frame[2 + 4096 + 16];
    size_t part = text.len < 4096 ? text.len : 4096;
    kad__store16(frame, (uint16_t)(part + 16));
    memcpy(frame + 2, text.data, part);
    assert_ok(kad__noise_encrypt(&p->suite, &p->send, frame + 2, part));
    raw_send(p, kad__bytes(frame, 2 + part + 16));
    text = kad__bytes_skip(text, part);
  }
}

static bool decrypt_one(raw_peer *p) {
  static uint8_t frame[65536];
  kad_bytes wire = kad__buffer_bytes(&p->wire);
  size_t len = wire.len < 2 ? 0 : kad__load16(wire.data);
  if (wire.len < 2 || wire.len < 2 + len) {
    return false;
  }
  memcpy(frame, wire.data + 2, len);
  kad__buffer_consume(&p->wire, kad_allocator_default(), 2 + len);
  int text = kad__noise_decrypt(&p->suite, &p->receive, frame, len);
  assert_ok(text);
  assert_ok(kad__buffer_append(&p->heard, kad_allocator_default(),
                               kad__bytes(frame, (size_t)text)));
  return true;
}

bool raw_hear(raw_peer *p, size_t len) {
  kad_time until = loop_now() + WAIT;
  for (;;) {
    while (decrypt_one(p)) {
    }
    if (kad__buffer_bytes(&p->heard).len >= len) {
      return true;
    }
    if (loop_now() > until) {
      return false;
    }
    loop_turn(p->l, 10);
    if (receive(p) == 0 && kad__buffer_bytes(&p->wire).len == 0) {
      return false;
    }
  }
}

void raw_frame(raw_peer *p, uint8_t type, uint16_t flags, uint32_t id,
               uint32_t len, kad_bytes body) {
  kad__buffer out = {0};
  uint8_t header[12] = {0, type};
  kad__store16(header + 2, flags);
  kad__store32(header + 4, id);
  kad__store32(header + 8, len);
  assert_ok(kad__buffer_append(&out, kad_allocator_default(),
                               kad__bytes(header, sizeof(header))));
  assert_ok(kad__buffer_append(&out, kad_allocator_default(), body));
  raw_say(p, kad__buffer_bytes(&out));
  kad__buffer_fini(&out, kad_allocator_default());
}

void raw_stream(raw_peer *p, uint32_t id, const char *protocol,
                kad_bytes body) {
  kad__buffer out = {0};
  const kad_allocator *a = kad_allocator_default();
  uint8_t prefix = (uint8_t)(strlen(protocol) + 1);
  assert_ok(kad__buffer_append(&out, a, LITERAL(MULTISTREAM)));
  assert_ok(kad__buffer_append(&out, a, kad__bytes(&prefix, 1)));
  assert_ok(kad__buffer_append(&out, a, kad__bytes_of(protocol)));
  assert_ok(kad__buffer_append(&out, a, LITERAL("\n")));
  assert_ok(kad__buffer_append(&out, a, body));
  kad_bytes bytes = kad__buffer_bytes(&out);
  raw_frame(p, YAMUX_DATA, YAMUX_SYN, id, (uint32_t)bytes.len, bytes);
  kad__buffer_fini(&out, a);
}

/* Takes the next frame with its body; false when none comes. */
static bool take_frame(raw_peer *p, uint8_t header[12], size_t *len) {
  if (!raw_hear(p, 12)) {
    return false;
  }
  memcpy(header, kad__buffer_bytes(&p->heard).data, 12);
  *len = header[1] == YAMUX_DATA ? kad__load32(header + 8) : 0;
  if (!raw_hear(p, 12 + *len)) {
    return false;
  }
  kad__buffer_consume(&p->heard, kad_allocator_default(), 12 + *len);
  return true;
}

bool raw_was_reset(raw_peer *p, uint32_t id) {
  uint8_t header[12];
  size_t len;
  while (take_frame(p, header, &len)) {
    if (kad__load32(header + 4) == id &&
        (kad__load16(header + 2) & YAMUX_RST) != 0) {
      return true;
    }
  }
  return false;
}

bool raw_was_answered(raw_peer *p, uint32_t id) {
  uint8_t header[12];
  size_t len;
  while (take_frame(p, header, &len)) {
    if (kad__load32(header + 4) != id) {
      continue;
    }
    return (kad__load16(header + 2) & YAMUX_RST) == 0 && len > 0;
  }
  return false;
}
