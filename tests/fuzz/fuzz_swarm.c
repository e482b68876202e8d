/* Two swarms in a world that does whatever the input says: it loses, cuts,
 * spoils and delays, invents answers to names, and lets time pass; their owners
 * open, write, end and forget streams. After each step every invariant holds,
 * events come in their order, and in the end nothing is left. */
#include <limits.h>

#include "base/bytes.h"
#include "fuzz.h"
#include "kadmium/key.h"
#include "kadmium/multiaddr.h"
#include "swarm/swarm.h"
#include "wire/addresses.h"

#define LINKS 4
#define STREAMS 8
#define IN_FLIGHT 8192
#define ACTIONS_MAX 4096

typedef struct link {
  kad__id id[2];               /* in swarm 0, in swarm 1; 0: closed there */
  uint8_t bytes[2][IN_FLIGHT]; /* from side i */
  size_t len[2];
} link;

typedef struct side {
  kad_random random;
  const kad_key_pair *key;
  kad__swarm *swarm;
  kad__stream *streams[STREAMS];
  size_t connected; /* by events */
} side;

typedef struct world {
  side sides[2];
  link links[LINKS];
  kad_time now;
  const uint8_t *in;
  size_t left;
} world;

static uint8_t next_byte(world *w) {
  if (w->left == 0) {
    return 0;
  }
  w->left--;
  return *w->in++;
}

static kad_bytes next_bytes(world *w, size_t max) {
  size_t len = next_byte(w) % (max + 1);
  len = len < w->left ? len : w->left;
  kad_bytes bytes = kad__bytes(w->in, len);
  w->in += len;
  w->left -= len;
  return bytes;
}

static kad_bytes parse(const char *text) {
  static uint8_t ring[4][KAD_MULTIADDR_MAX];
  static unsigned at;
  uint8_t *out = ring[at++ % 4];
  int len = kad_multiaddr_parse(out, KAD_MULTIADDR_MAX, text);
  FUZZ_CHECK(len > 0);
  return kad__bytes(out, (size_t)len);
}

/* ---- life ---------------------------------------------------------------- */

/* Made once: an input shall cost its steps, not its beginning. */
static const kad_key_pair *key_of(int i) {
  static kad_key_pair *keys[2];
  kad_random random;
  kad_random_init_u64(&random, (uint64_t)i + 1);
  FUZZ_CHECK(
      keys[i] != NULL ||
      kad_key_pair_generate(&keys[i], kad_allocator_default(), &random) == 0);
  return keys[i];
}

static void side_init(world *w, int i) {
  side *s = &w->sides[i];
  s->key = key_of(i);
  kad_random_init_u64(&s->random, (uint64_t)i + 3);
  kad__swarm_config config;
  kad__swarm_config_default(&config);
  config.allocator = kad_allocator_default();
  config.identity = s->key;
  config.random = &s->random;
  config.max_connections = 3;
  config.max_pending_inbound = 3;
  config.max_inbound_per_address = 2;
  config.max_connections_per_peer = 2;
  config.max_dials = 3;
  config.max_dials_per_peer = 2;
  config.max_in_all = (kad__load){20 << 10, 4, 4};
  config.max_per_peer = (kad__load){12 << 10, 3, 3};
  config.max_per_address = (kad__load){16 << 10, 2, UINT32_MAX};
  config.pace_per_address = (kad__pace){4, 60};
  FUZZ_CHECK(kad__swarm_new(&s->swarm, &config, w->now) == 0);
  FUZZ_CHECK(kad__swarm_handle(s->swarm, kad__bytes_of("/a"), 1) == 0);
  FUZZ_CHECK(kad__swarm_handle(s->swarm, kad__bytes_of("/b"), 2) == 0);
}

static void forget_stream(side *s, const kad__stream *stream) {
  for (size_t i = 0; i < STREAMS; i++) {
    if (s->streams[i] == stream) {
      s->streams[i] = NULL;
    }
  }
}

static void keep_stream(side *s, kad__stream *stream) {
  for (size_t i = 0; i < STREAMS; i++) {
    if (s->streams[i] == NULL) {
      s->streams[i] = stream;
      return;
    }
  }
  kad__stream_reset(stream, 0x1002);
}

/* ---- the world ----------------------------------------------------------- */

static link *find_link(world *w, int i, kad__id id) {
  for (size_t k = 0; k < LINKS && id != 0; k++) {
    if (w->links[k].id[i] == id) {
      return &w->links[k];
    }
  }
  return NULL;
}

static void open_link(world *w, int i, const kad__world_action *action) {
  kad__swarm *from = w->sides[i].swarm;
  uint8_t fate = next_byte(w) % 8;
  link *l = NULL;
  for (size_t k = 0; k < LINKS; k++) {
    if (w->links[k].id[0] == 0 && w->links[k].id[1] == 0) {
      l = &w->links[k];
    }
  }
  if (fate == 1) {
    return; /* never answered */
  }
  kad_bytes here = parse("/ip4/10.0.0.1/tcp/9");
  kad__id id = 0;
  if (fate == 2 || l == NULL ||
      kad__swarm_accepted(w->sides[1 - i].swarm, &id, 1, here, action->address,
                          w->now) < 0) {
    kad__swarm_dial_failed(from, action->id, KAD_E_REFUSED, w->now);
    return;
  }
  l->len[0] = l->len[1] = 0;
  l->id[i] = action->id;
  l->id[1 - i] = id;
  kad__swarm_dialed(from, action->id, here, w->now);
}

static void resolve(world *w, int i, const kad__world_action *action) {
  kad__swarm *s = w->sides[i].swarm;
  static const char *records[] = {"dnsaddr=/dnsaddr/a.b",
                                  "dnsaddr=/ip4/10.0.0.7/tcp/7",
                                  "dnsaddr=/dns4/c.d/tcp/8"};
  for (unsigned n = next_byte(w) % 4; n > 0; n--) {
    uint8_t kind = next_byte(w);
    const uint8_t ip[16] = {10, 0, 0, kind};
    kad_bytes value =
        kind % 4 == 3 ? next_bytes(w, 64) : kad__bytes_of(records[kind % 3]);
    if (action->query != KAD__RESOLVE_TXT && kind % 4 != 3) {
      value = kad__bytes(ip, kind % 2 ? 4 : 16);
    }
    kad__swarm_resolved(s, action->id, value, w->now);
  }
  if (next_byte(w) % 8 != 0) {
    kad__swarm_resolve_end(s, action->id, 0, w->now);
  }
}

static void act(world *w, int i) {
  kad__swarm *s = w->sides[i].swarm;
  kad__world_action action;
  for (size_t n = 0; kad__swarm_poll_action(s, &action); n++) {
    FUZZ_CHECK(n < ACTIONS_MAX);
    link *l = find_link(w, i, action.id);
    if (action.type == KAD__WORLD_DIAL) {
      FUZZ_CHECK(l == NULL);
      FUZZ_CHECK(kad_multiaddr_check(action.address) == 0);
      open_link(w, i, &action);
    } else if (action.type == KAD__WORLD_CLOSE && l != NULL) {
      l->id[i] = 0;
    } else if (action.type == KAD__WORLD_RESOLVE) {
      FUZZ_CHECK(action.name.len > 0 && action.name.len < 300);
      resolve(w, i, &action);
    } else if (action.type == KAD__WORLD_LISTEN) {
      uint8_t list[64];
      size_t len = 0;
      (void)kad__addresses_append(list, sizeof(list), &len, action.address);
      kad__swarm_listening(s, action.id, kad__bytes(list, len), w->now);
    }
  }
}

static void pull(world *w, int i) {
  static uint8_t out[64 << 10];
  kad__swarm *s = w->sides[i].swarm;
  kad__id id;
  for (size_t n = 0; (id = kad__swarm_next_output(s)) != 0; n++) {
    FUZZ_CHECK(n < ACTIONS_MAX);
    link *l = find_link(w, i, id);
    size_t len;
    while ((len = kad__swarm_output(s, id, out, sizeof(out), w->now)) != 0) {
      if (l != NULL && len <= IN_FLIGHT - l->len[i]) {
        memcpy(l->bytes[i] + l->len[i], out, len);
        l->len[i] += len;
      } else if (l != NULL) {
        l->len[i] = 0; /* the world loses bytes: it all falls apart */
      }
    }
  }
}

static void deliver(world *w, link *l, int from, size_t max) {
  size_t n = max < l->len[from] ? max : l->len[from];
  kad__swarm *to = w->sides[1 - from].swarm;
  if (l->id[1 - from] == 0 || n == 0) {
    return;
  }
  uint8_t *copy = malloc(n);
  FUZZ_CHECK(copy != NULL);
  memcpy(copy, l->bytes[from], n);
  l->len[from] -= n;
  memmove(l->bytes[from], l->bytes[from] + n, l->len[from]);
  kad__swarm_input(to, l->id[1 - from], copy, n, w->now);
  free(copy);
}

static void cut(world *w, link *l, int i) {
  kad__id id = l->id[i];
  l->id[i] = 0;
  if (id != 0) {
    kad__swarm_closed(w->sides[i].swarm, id, next_byte(w) % 2 ? KAD_E_IO : 0,
                      w->now);
  }
}

/* ---- the owner ----------------------------------------------------------- */

static void read_stream(kad__stream *stream) {
  kad_bytes in = kad__stream_peek(stream);
  kad__stream_consume(stream, in.len);
}

static void poll(world *w, int i, unsigned max) {
  side *s = &w->sides[i];
  kad__swarm_event e;
  for (; max > 0 && kad__swarm_poll_event(s->swarm, &e); max--) {
    switch (e.type) {
      case KAD__SWARM_CONNECTED:
        FUZZ_CHECK(e.first == (s->connected == 0));
        s->connected++;
        break;
      case KAD__SWARM_DISCONNECTED:
        FUZZ_CHECK(s->connected > 0);
        s->connected--;
        FUZZ_CHECK(e.last == (s->connected == 0));
        break;
      case KAD__SWARM_STREAM_INBOUND:
        FUZZ_CHECK(e.inbound && (e.tag == 1 || e.tag == 2));
        FUZZ_CHECK(s->connected > 0);
        keep_stream(s, e.stream);
        break;
      case KAD__SWARM_STREAM_READABLE:
        read_stream(e.stream);
        break;
      case KAD__SWARM_STREAM_DEAD:
        FUZZ_CHECK(e.error < 0);
        forget_stream(s, e.stream);
        kad__stream_release(e.stream);
        break;
      case KAD__SWARM_DIAL_FAILED:
      case KAD__SWARM_INBOUND_FAILED:
        FUZZ_CHECK(e.error < 0);
        break;
      default:
        break;
    }
  }
}

static void dial(world *w, int i) {
  static const char *targets[] = {
      "/ip4/10.0.0.2/tcp/1", "/ip4/8.8.8.8/tcp/2", "/ip6/fd00::1/tcp/3",
      "/dns4/x.y/tcp/4",     "/dns/x.y/tcp/5",     "/dnsaddr/z.w",
      "/ip4/1.1.1.1/udp/1",  "/ip4/0.0.0.0/tcp/1",
  };
  kad__swarm *s = w->sides[i].swarm;
  uint8_t list[256];
  size_t len = 0;
  uint8_t which = next_byte(w);
  for (unsigned n = which % 3; n < 3; n++) {
    (void)kad__addresses_append(list, sizeof(list), &len,
                                parse(targets[next_byte(w) % 8]));
  }
  const kad_peer_id *peer = kad_key_pair_peer_id(w->sides[1 - i].key);
  kad__id id = 0;
  if (which < 64) {
    (void)kad__swarm_dial_address(s, &id, parse(targets[which % 8]), w->now);
  } else if (which < 72) {
    (void)kad__swarm_dial_address(s, &id, next_bytes(w, 64), w->now);
  } else {
    (void)kad__swarm_dial(s, peer, kad__bytes(list, len), w->now);
  }
}

static void use_stream(world *w, int i) {
  static const kad_bytes names[] = {{(const uint8_t *)"/a", 2},
                                    {(const uint8_t *)"/x", 2},
                                    {(const uint8_t *)"/b", 2}};
  side *s = &w->sides[i];
  uint8_t op = next_byte(w);
  kad__stream *stream = s->streams[op % STREAMS];
  const kad_peer_id *peer = kad_key_pair_peer_id(w->sides[1 - i].key);
  if (stream == NULL) {
    kad__protocol_names proposed = {.names = names + op / 8 % 2,
                                    .count = 1 + op / 16 % 2};
    if (kad__stream_open(s->swarm, &stream, peer, proposed, 5, NULL, w->now) ==
        0) {
      s->streams[op % STREAMS] = stream;
    }
    return;
  }
  switch (op / STREAMS % 8) {
    case 0:
    case 1:
    case 2:
      (void)kad__stream_write(stream, next_bytes(w, 200));
      break;
    case 3:
      kad__stream_close_write(stream);
      break;
    case 4: {
      uint8_t n = next_byte(w);
      (void)kad__stream_set_deadline(stream, w->now + n * KAD_SECOND);
      kad__stream_charge(stream, (size_t)n * 32);
      break;
    }
    case 5:
      kad__stream_reset(stream, op);
      s->streams[op % STREAMS] = NULL;
      break;
    case 6:
      kad__stream_release(stream);
      s->streams[op % STREAMS] = NULL;
      break;
    default:
      read_stream(stream);
      break;
  }
}

/* ---- steps --------------------------------------------------------------- */

static void check(const world *w) {
  for (int i = 0; i < 2; i++) {
    const char *broken = kad__swarm_check(w->sides[i].swarm);
    if (broken != NULL) {
      fprintf(stderr, "swarm %d: not true that %s\n", i, broken);
      abort();
    }
  }
}

static void settle(world *w, unsigned rounds) {
  for (; rounds > 0; rounds--) {
    for (int i = 0; i < 2; i++) {
      pull(w, i);
      act(w, i);
      check(w);
    }
    for (size_t k = 0; k < LINKS; k++) {
      deliver(w, &w->links[k], 0, SIZE_MAX);
      deliver(w, &w->links[k], 1, SIZE_MAX);
      check(w);
    }
  }
}

static void stranger(world *w, int i) {
  kad__id id = 0;
  kad__swarm *s = w->sides[i].swarm;
  kad_bytes from = parse(next_byte(w) % 2 ? "/ip4/127.0.0.1/tcp/1"
                                          : "/ip6/2001:db8::1/tcp/1");
  if (kad__swarm_accepted(s, &id, 1, from, from, w->now) < 0) {
    return;
  }
  uint8_t copy[256];
  kad_bytes said = next_bytes(w, 255);
  memcpy(copy, said.data, said.len);
  kad__swarm_input(s, id, copy, said.len, w->now);
  if (next_byte(w) % 2) {
    kad__swarm_closed(s, id, 0, w->now);
  }
}

static void step(world *w) {
  uint8_t op = next_byte(w);
  int i = op & 1;
  kad__swarm *s = w->sides[i].swarm;
  link *l = &w->links[next_byte(w) % LINKS];
  switch (op / 2 % 16) {
    case 0:
      dial(w, i);
      break;
    case 1:
    case 2:
    case 3:
      settle(w, 1 + op / 64);
      break;
    case 4:
      deliver(w, l, i, next_byte(w));
      break;
    case 5:
      if (l->len[i] != 0) {
        l->bytes[i][next_byte(w) % l->len[i]] ^= (uint8_t)(op | 1);
      }
      break;
    case 6:
      w->now += (kad_time)next_byte(w) * next_byte(w) * KAD_MILLISECOND;
      kad__swarm_tick(s, w->now);
      FUZZ_CHECK(kad__swarm_deadline(s) > w->now);
      break;
    case 7:
      cut(w, l, i);
      break;
    case 8:
    case 9:
    case 10:
      use_stream(w, i);
      break;
    case 11:
      poll(w, i, next_byte(w));
      break;
    case 12:
      stranger(w, i);
      break;
    case 13:
      kad__swarm_disconnect(s, l->id[i], w->now);
      break;
    case 14:
      kad__swarm_protect(s, kad_key_pair_peer_id(w->sides[1 - i].key), op & 64);
      break;
    default:
      (void)kad__swarm_listen(s, parse("/ip4/10.0.0.2/tcp/1"));
      break;
  }
  check(w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  world *w = calloc(1, sizeof(*w));
  FUZZ_CHECK(w != NULL);
  w->now = KAD_SECOND;
  w->in = data;
  w->left = size < 2048 ? size : 2048;
  side_init(w, 0);
  side_init(w, 1);
  while (w->left > 0) {
    step(w);
  }
  /* Left alone, everything comes to an end but what was connected. */
  for (int n = 0; n < 4; n++) {
    settle(w, 3);
    poll(w, 0, 1000);
    poll(w, 1, 1000);
    w->now += 40 * KAD_SECOND;
    kad__swarm_tick(w->sides[0].swarm, w->now);
    kad__swarm_tick(w->sides[1].swarm, w->now);
    check(w);
  }
  for (int i = 0; i < 2; i++) {
    poll(w, i, UINT_MAX);
    FUZZ_CHECK(w->sides[i].connected ==
               kad__swarm_connection_count(w->sides[i].swarm));
    kad__swarm_free(w->sides[i].swarm);
  }
  free(w);
  return 0;
}
