/* A session under a hostile peer and a busy owner. The input is a program: one
 * byte chooses the operation, the next ones are its operands. Frames are made
 * with plausible fields, so that the search does not have to guess headers.
 * All invariants hold after every step, and no memory is left. */
#include "connection/yamux_internal.h"
#include "fuzz.h"

#define HANDLES 32
/* Longer programs find nothing that shorter ones do not. */
#define STEPS 256
#define BULK ((size_t)1 << 20) /* bytes of bodies and writes per program */

typedef struct machine {
  const uint8_t *at, *end;
  kad__yamux *y;
  kad__yamux_stream *handles[HANDLES]; /* what the owner holds */
  kad_time now;
  size_t blocks;  /* of memory */
  size_t fail_in; /* allocations until one fails; 0: none does */
  size_t bulk;    /* what is left of BULK */
} machine;

static void *fuzz_alloc(void *user, size_t size) {
  machine *m = user;
  if (m->fail_in != 0 && --m->fail_in == 0) {
    return NULL;
  }
  m->blocks++;
  return malloc(size);
}

static void *fuzz_resize(void *user, void *memory, size_t size) {
  machine *m = user;
  m->blocks += memory == NULL;
  return realloc(memory, size);
}

static void fuzz_release(void *user, void *memory) {
  machine *m = user;
  m->blocks -= memory != NULL;
  free(memory);
}

static uint8_t next(machine *m) {
  return m->at == m->end ? 0 : *m->at++;
}

/* Mostly small, sometimes near a limit. */
static uint32_t number(machine *m) {
  static const uint32_t edges[] = {0,
                                   1,
                                   1u << 14,
                                   (1u << 17) - 1,
                                   1u << 17,
                                   1u << 18,
                                   (1u << 18) + 1,
                                   1u << 20,
                                   (1u << 20) + 1,
                                   1u << 31,
                                   UINT32_MAX - (1u << 18),
                                   UINT32_MAX - 1,
                                   UINT32_MAX};
  uint8_t n = next(m);
  return n < 200 ? n : edges[n % KAD__COUNT(edges)];
}

static void input(machine *m, kad_bytes bytes) {
  int dead = m->y->error;
  int result = kad__yamux_input(m->y, bytes, m->now);
  FUZZ_CHECK(result == 0 || result == KAD_E_YAMUX || result == KAD_E_GO_AWAY ||
             result == KAD_E_LIMIT || result == KAD_E_TIMEOUT);
  FUZZ_CHECK(dead == 0 || result == dead);
}

static void feed_frame(machine *m) {
  uint8_t header[KAD__YAMUX_HEADER_LEN];
  uint8_t kind = next(m);
  uint8_t flags = next(m);
  uint32_t length = number(m);
  kad__yamux_frame_encode(header, (kad__yamux_type)(kind & 3), flags & 15,
                          next(m) & 63, length);
  header[0] = kind == 255;
  input(m, kad__bytes(header, sizeof(header)));
}

static uint32_t spend(machine *m, uint32_t len) {
  len = len < m->bulk ? len : (uint32_t)m->bulk;
  m->bulk -= len;
  return len;
}

/* As many bytes as the announced body has, or nearly. */
static void feed_body(machine *m) {
  static const uint8_t body[4096];
  uint32_t left = m->y->body_left;
  uint8_t part = next(m);
  uint32_t len = spend(m, part < 128 ? left : left / 128u * (part - 128u));
  while (len != 0 && m->y->body_left != 0) {
    uint32_t some = len < sizeof(body) ? len : (uint32_t)sizeof(body);
    input(m, kad__bytes(body, some));
    len -= some;
  }
}

static void feed_raw(machine *m) {
  size_t len = next(m) & 31u;
  size_t left = (size_t)(m->end - m->at);
  len = len < left ? len : left;
  input(m, kad__bytes(m->at, len));
  m->at += len;
}

static void keep(machine *m, kad__yamux_stream *s) {
  for (int i = 0; i < HANDLES; i++) {
    if (m->handles[i] == NULL) {
      m->handles[i] = s;
      return;
    }
  }
  kad__yamux_stream_reset(s, KAD__STREAM_RESOURCE_LIMIT);
  kad__yamux_stream_release(s);
}

static void forget(machine *m, kad__yamux_stream *s) {
  for (int i = 0; i < HANDLES; i++) {
    if (m->handles[i] == s) {
      m->handles[i] = NULL;
    }
  }
  kad__yamux_stream_release(s);
}

static void open_stream(machine *m) {
  kad__yamux_stream *s = NULL;
  if (kad__yamux_stream_open(m->y, &s) == 0) {
    keep(m, s);
  }
}

static void use_stream(machine *m) {
  static const uint8_t bytes[65536];
  uint8_t what = next(m);
  kad__yamux_stream *s = m->handles[next(m) % HANDLES];
  if (s == NULL) {
    return;
  }
  kad_bytes in = kad__yamux_stream_peek(s);
  uint32_t n = number(m);
  switch (what % 6) {
    case 0:
    case 1:
      n = spend(m, n < sizeof(bytes) ? n : (uint32_t)sizeof(bytes));
      (void)kad__yamux_stream_write(s, kad__bytes(bytes, n));
      break;
    case 2:
      kad__yamux_stream_consume(s, n < in.len ? n : in.len);
      break;
    case 3:
      kad__yamux_stream_close_write(s);
      break;
    case 4:
      kad__yamux_stream_reset(s, n);
      break;
    default:
      forget(m, s);
  }
}

static void poll_events(machine *m) {
  kad__yamux_event e;
  while (kad__yamux_poll(m->y, &e)) {
    if (e.type == KAD__YAMUX_OPENED) {
      keep(m, e.stream);
    } else if (e.type == KAD__YAMUX_RESET) {
      FUZZ_CHECK(kad__yamux_stream_error(e.stream) != 0);
      forget(m, e.stream);
    }
  }
}

/* Whole frames of a kind that a peer accepts. */
static void pull(machine *m) {
  static uint8_t out[16384];
  bool promised = kad__yamux_has_output(m->y);
  size_t cap = 4096 + (size_t)next(m) * 48;
  size_t len = kad__yamux_output(m->y, out, cap, m->now);
  FUZZ_CHECK(promised == (len != 0));
  for (size_t at = 0; at < len;) {
    FUZZ_CHECK(len - at >= KAD__YAMUX_HEADER_LEN);
    kad__yamux_frame f = kad__yamux_frame_decode(out + at);
    at += KAD__YAMUX_HEADER_LEN;
    FUZZ_CHECK(f.version == 0 && f.type <= KAD__YAMUX_GO_AWAY);
    if (f.type == KAD__YAMUX_DATA) {
      FUZZ_CHECK(f.length != 0 && (f.flags & KAD__YAMUX_FIN) == 0);
      FUZZ_CHECK(len - at >= f.length);
      at += f.length;
    }
  }
}

static void pass_time(machine *m) {
  m->now += (kad_time)next(m) * KAD_SECOND / 4;
  int result = kad__yamux_tick(m->y, m->now);
  FUZZ_CHECK(result == m->y->error);
  FUZZ_CHECK(m->y->error != 0 || kad__yamux_deadline(m->y) > m->now);
}

static void step(machine *m) {
  switch (next(m) % 12) {
    case 0:
    case 1:
    case 2:
      feed_frame(m);
      break;
    case 3:
      feed_body(m);
      break;
    case 4:
      feed_raw(m);
      break;
    case 5:
      open_stream(m);
      break;
    case 6:
    case 7:
      use_stream(m);
      break;
    case 8:
      poll_events(m);
      break;
    case 9:
      pull(m);
      break;
    case 10:
      pass_time(m);
      break;
    default:
      m->fail_in = next(m) & 7u;
      if (m->fail_in == 7) {
        kad__yamux_close(m->y, 0);
      }
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  machine m = {.at = data, .end = data + size, .now = KAD_SECOND, .bulk = BULK};
  kad_allocator allocator = {.alloc = fuzz_alloc,
                             .resize = fuzz_resize,
                             .release = fuzz_release,
                             .user = &m};
  kad__yamux_config config;
  kad__yamux_config_default(&config);
  uint8_t options = next(&m);
  if ((options & 2) != 0) {
    config.max_inbound_streams = 4;
    config.max_outbound_streams = 4;
    config.max_unacked = 3;
    config.receive_max = 3u << 18;
  }
  FUZZ_CHECK(kad__yamux_new(&m.y, &allocator, &config, (options & 1) != 0,
                            m.now) == 0);
  for (int i = 0; i < STEPS && m.at != m.end; i++) {
    step(&m);
    int line = kad__yamux_check(m.y);
    if (line != 0) {
      fprintf(stderr, "yamux_check.c:%d\n", line);
    }
    FUZZ_CHECK(line == 0);
  }
  kad__yamux_free(m.y);
  FUZZ_CHECK(m.blocks == 0);
  return 0;
}
