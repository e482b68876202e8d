/* Two sessions back to back under random operations, segmentations, failing
 * allocations and flipped bits, beside a model that knows what each stream
 * must deliver: the bytes that were written, in order, once, and then the
 * end. */
#include "connection/yamux_internal.h"
#include "support.h"

#define SLOTS 24
#define PIPE_MAX ((size_t)8 << 20)
#define UNREAD_MAX ((size_t)60000)

/* One direction of one stream: byte n of it is a function of `key` and n, so
 * the model needs only counts. */
typedef struct flow {
  uint32_t key;
  size_t written;
  size_t read;
  bool write_closed;
  bool ended; /* the reader saw the end */
} flow;

/* A stream as both owners see it. */
typedef struct link {
  bool used;
  bool dead; /* a reset was called: no promise about bytes any more */
  kad__yamux_stream *ends[2]; /* NULL: not known yet, or released */
  bool released[2];
  flow flows[2]; /* flows[i] is written by side i */
  uint32_t id;
} link;

typedef struct world {
  kad_random random;
  test_allocator memory[2];
  kad__yamux *sides[2];
  kad_time now;
  link links[SLOTS];
  uint32_t next_key;
  size_t opened, delivered, ends; /* that something happened at all */
  bool failing;                   /* allocations fail: streams may die */
  uint8_t *pipe;
} world;

static uint8_t pattern(uint32_t key, size_t n) {
  return (uint8_t)(key * 31 + n * 7 + (n >> 8) * 13);
}

static uint64_t below(world *w, uint64_t bound) {
  return kad_random_below(&w->random, bound);
}

static void world_init(world *w, uint64_t seed,
                       const kad__yamux_config *config) {
  *w = (world){.now = 1};
  kad_random_init_u64(&w->random, seed);
  w->pipe = malloc(PIPE_MAX);
  assert_non_null(w->pipe);
  for (int i = 0; i < 2; i++) {
    test_allocator_init(&w->memory[i]);
    assert_ok(kad__yamux_new(&w->sides[i], &w->memory[i].allocator, config,
                             i == 0, w->now));
  }
}

static void world_fini(world *w) {
  for (int i = 0; i < 2; i++) {
    kad__yamux_free(w->sides[i]);
    assert_int_equal(w->memory[i].live, 0);
  }
  free(w->pipe);
}

static void check_sides(world *w) {
  for (int i = 0; i < 2; i++) {
    int line = kad__yamux_check(w->sides[i]);
    if (line != 0) {
      fail_msg("side %d: invariant of yamux_check.c:%d", i, line);
    }
  }
}

/* ---- owners ------------------------------------------------------------ */

static void forget_if_done(link *l) {
  if (l->released[0] && l->released[1]) {
    *l = (link){0};
  }
}

static void release_end(link *l, int side) {
  if (l->ends[side] == NULL) {
    return;
  }
  kad__yamux_stream_release(l->ends[side]);
  l->ends[side] = NULL;
  l->released[side] = true;
  l->flows[side].write_closed = true;
  forget_if_done(l);
}

static void do_open(world *w, int side) {
  link *l = &w->links[below(w, SLOTS)];
  kad__yamux_stream *s = NULL;
  if (l->used) {
    return;
  }
  int result = kad__yamux_stream_open(w->sides[side], &s);
  if (result < 0) {
    assert_true(result == KAD_E_LIMIT || w->failing);
    return;
  }
  *l = (link){.used = true, .id = kad__yamux_stream_id(s)};
  l->ends[side] = s;
  l->flows[0].key = w->next_key++;
  l->flows[1].key = w->next_key++;
  kad__yamux_stream_set_user(s, l);
  w->opened++;
}

/* Who writes much to an end that was given back may be reset for it: what was
 * read there since the last window update counts, too. */
static void note_unread(link *l, int writer) {
  if (l->released[1 - writer] && l->flows[writer].written > UNREAD_MAX) {
    l->dead = true;
  }
}

static void do_write(world *w, link *l, int side) {
  flow *f = &l->flows[side];
  static uint8_t bytes[200000];
  size_t len = below(w, below(w, 8) == 0 ? sizeof(bytes) : 2000);
  for (size_t i = 0; i < len; i++) {
    bytes[i] = pattern(f->key, f->written + i);
  }
  int result = kad__yamux_stream_write(l->ends[side], kad__bytes(bytes, len));
  if (result == 0) {
    assert_false(f->write_closed);
    f->written += len;
    note_unread(l, side);
  } else if (f->write_closed && !l->dead && !w->failing) {
    assert_int_equal(result, KAD_E_STATE);
  } else {
    assert_true(l->dead || w->failing || result == KAD_E_LIMIT);
  }
}

/* Reads at most `most` bytes. */
static void do_read(world *w, link *l, int side, size_t most) {
  kad__yamux_stream *s = l->ends[side];
  flow *f = &l->flows[1 - side];
  kad_bytes bytes = kad__yamux_stream_peek(s);
  size_t len = bytes.len < most ? bytes.len : most;
  for (size_t i = 0; i < len; i++) {
    if (bytes.data[i] != pattern(f->key, f->read + i)) {
      fail_msg("stream %u: byte %zu is wrong", l->id, f->read + i);
    }
  }
  assert_true(f->read + bytes.len <= f->written);
  kad__yamux_stream_consume(s, len);
  f->read += len;
  w->delivered += len;
  if (kad__yamux_stream_ended(s) && len == bytes.len && !f->ended) {
    assert_true(f->write_closed);
    assert_int_equal(f->read, f->written);
    f->ended = true;
    w->ends++;
  }
}

static void on_event(world *w, int side, const kad__yamux_event *e) {
  if (e->type == KAD__YAMUX_OPENED) {
    /* Its opener is the link with the same id that lacks this end. */
    for (int i = 0; i < SLOTS; i++) {
      link *l = &w->links[i];
      if (l->used && l->id == kad__yamux_stream_id(e->stream)) {
        assert_null(l->ends[side]);
        l->ends[side] = e->stream;
        kad__yamux_stream_set_user(e->stream, l);
        return;
      }
    }
    /* Its opener reset it and it was forgotten. */
    kad__yamux_stream_reset(e->stream, 0);
    kad__yamux_stream_release(e->stream);
    return;
  }
  link *l = kad__yamux_stream_user(e->stream);
  assert_ptr_equal(l->ends[side], e->stream);
  if (e->type == KAD__YAMUX_RESET) {
    int error = kad__yamux_stream_error(e->stream);
    assert_true(l->dead || w->failing);
    assert_true(error == KAD_E_STREAM_RESET || w->failing);
    l->dead = true;
    release_end(l, side);
  } else if (e->type == KAD__YAMUX_READABLE) {
    do_read(w, l, side, below(w, 3) == 0 ? below(w, 5000) : SIZE_MAX);
  } else {
    assert_int_equal(kad__yamux_stream_unsent(e->stream), 0);
  }
}

static void do_events(world *w, int side) {
  kad__yamux_event e;
  while (kad__yamux_poll(w->sides[side], &e)) {
    on_event(w, side, &e);
  }
}

/* Gives an end back before the other one has ended: what was written to it is
 * lost, what was written by it is not. */
static void do_release(link *l, int side) {
  uint32_t id = l->id;
  release_end(l, side);
  if (l->used && l->id == id) {
    note_unread(l, 1 - side);
  }
}

static void do_reset(link *l, int side) {
  l->dead = true;
  kad__yamux_stream_reset(l->ends[side], 0x1007);
  release_end(l, side);
}

/* Its opener gave the stream up before the other side could hear of it. */
static void forget_unborn(link *l) {
  bool known[2] = {l->ends[0] != NULL, l->ends[1] != NULL};
  if (l->used && l->dead && !known[0] && !known[1]) {
    *l = (link){0};
  }
}

/* ---- the channel ------------------------------------------------------- */

static void transfer(world *w, int from, bool whole) {
  size_t len = 0;
  size_t cap = 4096 + below(w, 65536);
  size_t got = 0;
  do {
    assert_true(len + cap <= PIPE_MAX);
    bool promised = kad__yamux_has_output(w->sides[from]);
    got = kad__yamux_output(w->sides[from], w->pipe + len, cap, w->now);
    assert_int_equal(promised, got != 0);
    len += got;
  } while (whole && got != 0 && len + cap <= PIPE_MAX);
  uint64_t style = below(w, 4);
  for (size_t done = 0; done < len;) {
    size_t part = style == 0   ? 1
                  : style == 1 ? 1 + below(w, 40)
                               : 1 + below(w, 40000);
    part = part < len - done ? part : len - done;
    part = style == 0 && len > 20000 ? len - done : part;
    /* From memory of its own size, so that reading beyond it shows. */
    uint8_t *copy = malloc(part);
    assert_non_null(copy);
    memcpy(copy, w->pipe + done, part);
    int result =
        kad__yamux_input(w->sides[1 - from], kad__bytes(copy, part), w->now);
    free(copy);
    assert_ok(result);
    done += part;
  }
}

/* Owners give back what both sides have ended. */
static void release_finished(world *w) {
  for (int i = 0; i < SLOTS; i++) {
    for (int side = 0; side < 2; side++) {
      link *l = &w->links[i];
      if (l->flows[1 - side].ended && l->flows[side].write_closed) {
        release_end(l, side);
      }
    }
  }
}

static void step(world *w) {
  int side = (int)below(w, 2);
  link *l = &w->links[below(w, SLOTS)];
  bool here = l->used && l->ends[side] != NULL;
  uint64_t what = below(w, 100);
  w->now += below(w, 20 * KAD_MILLISECOND);
  if (what < 15) {
    do_open(w, side);
  } else if (what < 40 && here) {
    do_write(w, l, side);
  } else if (what < 55 && here) {
    do_read(w, l, side, below(w, 3) == 0 ? below(w, 5000) : SIZE_MAX);
  } else if (what < 65 && here) {
    kad__yamux_stream_close_write(l->ends[side]);
    l->flows[side].write_closed = true;
  } else if (what < 70 && here) {
    do_release(l, side);
  } else if (what < 72 && here) {
    do_reset(l, side);
  } else if (what < 86) {
    transfer(w, side, below(w, 2) == 0);
  } else {
    do_events(w, side);
    release_finished(w);
  }
}

/* Moves and reads until nothing happens any more. */
static void settle(world *w) {
  for (int quiet = 0; quiet < 2;) {
    size_t before = w->delivered + w->ends;
    bool moved = false;
    for (int side = 0; side < 2; side++) {
      moved = moved || kad__yamux_has_output(w->sides[side]);
      transfer(w, side, true);
      do_events(w, side);
    }
    for (int i = 0; i < SLOTS; i++) {
      for (int side = 0; side < 2; side++) {
        if (w->links[i].used && w->links[i].ends[side] != NULL) {
          do_read(w, &w->links[i], side, SIZE_MAX);
        }
      }
    }
    quiet = moved || w->delivered + w->ends != before ? 0 : quiet + 1;
  }
}

/* After everything is closed and moved, every stream that was not given up
 * has delivered all of its bytes and both ends. */
static void finish(world *w) {
  settle(w); /* every stream is known to both sides now */
  for (int i = 0; i < SLOTS; i++) {
    for (int side = 0; side < 2; side++) {
      link *l = &w->links[i];
      if (l->used && l->ends[side] != NULL) {
        kad__yamux_stream_close_write(l->ends[side]);
        l->flows[side].write_closed = true;
      }
    }
  }
  settle(w);
  for (int i = 0; i < SLOTS; i++) {
    link *l = &w->links[i];
    for (int side = 0; side < 2 && l->used && !l->dead; side++) {
      if (l->ends[1 - side] != NULL) {
        assert_true(l->flows[side].ended);
        assert_int_equal(l->flows[side].read, l->flows[side].written);
      }
    }
  }
  for (int i = 0; i < SLOTS; i++) {
    release_end(&w->links[i], 0);
    release_end(&w->links[i], 1);
  }
  settle(w);
  /* What waits for a window that nobody will open is given up in time. */
  w->now += KAD__YAMUX_LINGER;
  for (int side = 0; side < 2; side++) {
    assert_ok(kad__yamux_tick(w->sides[side], w->now));
  }
  settle(w);
  for (int side = 0; side < 2; side++) {
    assert_int_equal(kad__yamux_stream_count(w->sides[side]), 0);
    assert_int_equal(w->memory[side].live, 1);
  }
}

static void run(world *w, size_t steps) {
  for (size_t i = 0; i < steps; i++) {
    step(w);
    for (int k = 0; k < SLOTS; k++) {
      forget_unborn(&w->links[k]);
    }
    check_sides(w);
  }
}

static void test_model(void **state) {
  (void)state;
  uint64_t seed = test_seed("yamux model");
  size_t opened = 0, delivered = 0, ends = 0;
  for (size_t i = 0; i < test_runs(30); i++) {
    world w;
    kad__yamux_config config;
    kad__yamux_config_default(&config);
    config.frame_max = 1 + (uint32_t)((seed + i) % 40000);
    world_init(&w, seed + i, &config);
    run(&w, 1500);
    finish(&w);
    opened += w.opened;
    delivered += w.delivered;
    ends += w.ends;
    world_fini(&w);
  }
  print_message("%zu streams, %zu bytes, %zu ends\n", opened, delivered, ends);
  assert_true(opened > 1000 && delivered > 1000000 && ends > 1000);
}

/* Every so often an allocation fails: streams may die of it, with a name, but
 * never a session, and what is delivered is still right. */
static void *unlucky_alloc(void *user, size_t size) {
  world *w = user;
  return below(w, 20) == 0 ? NULL : malloc(size);
}

static void *unlucky_resize(void *user, void *memory, size_t size) {
  world *w = user;
  return below(w, 20) == 0 ? NULL : realloc(memory, size);
}

static void plain_release(void *user, void *memory) {
  (void)user;
  free(memory);
}

static void test_failing_allocations(void **state) {
  (void)state;
  uint64_t seed = test_seed("yamux without memory");
  for (size_t i = 0; i < test_runs(20); i++) {
    world w;
    kad__yamux_config config;
    kad__yamux_config_default(&config);
    world_init(&w, seed + i, &config);
    w.failing = true;
    for (int side = 0; side < 2; side++) {
      kad__yamux_free(w.sides[side]);
      kad_allocator unlucky = {.alloc = unlucky_alloc,
                               .resize = unlucky_resize,
                               .release = plain_release,
                               .user = &w};
      while (kad__yamux_new(&w.sides[side], &unlucky, &config, side == 0,
                            w.now) < 0) {
      }
    }
    run(&w, 1500);
    assert_true(w.delivered > 0);
    world_fini(&w);
  }
}

/* ---- recorded exchanges ------------------------------------------------ */

static uint8_t recorded[65536];

/* What a dialer says in a short exchange of every kind of frame. */
static size_t record(void) {
  kad__yamux_config config;
  kad__yamux_config_default(&config);
  kad__yamux *y = NULL;
  kad__yamux_stream *s[4];
  assert_ok(kad__yamux_new(&y, kad_allocator_default(), &config, true, 1));
  for (int i = 0; i < 4; i++) {
    assert_ok(kad__yamux_stream_open(y, &s[i]));
    assert_ok(kad__yamux_stream_write(s[i], kad__bytes_of("some bytes")));
  }
  kad__yamux_stream_close_write(s[0]);
  size_t len = kad__yamux_output(y, recorded, sizeof(recorded), 1);
  kad__yamux_start_ping(y);
  kad__yamux_stream_reset(s[1], 0x1001);
  assert_ok(kad__yamux_stream_write(s[2], kad__bytes_of("and more of them")));
  kad__yamux_stream_release(s[2]);
  static const uint8_t ping[12] = {0, 2, 0, 1, 0, 0, 0, 0, 1, 2, 3, 4};
  assert_ok(kad__yamux_input(y, kad__bytes(ping, sizeof(ping)), 2));
  len += kad__yamux_output(y, recorded + len, sizeof(recorded) - len, 2);
  kad__yamux_close(y, 0);
  len += kad__yamux_output(y, recorded + len, sizeof(recorded) - len, 2);
  kad__yamux_free(y);
  assert_true(len > 13 * KAD__YAMUX_HEADER_LEN && len < 1000);
  return len;
}

/* What an owner saw of an exchange, as one number. */
static uint64_t see(uint64_t seen, uint64_t value) {
  return (seen ^ value) * UINT64_C(0x100000001b3);
}

typedef struct outcome {
  int result;
  uint64_t seen;
  kad__yamux_stats stats;
} outcome;

static outcome replay(const uint8_t *bytes, size_t len, size_t part,
                      size_t fail_at) {
  kad__yamux_config config;
  kad__yamux_config_default(&config);
  test_allocator memory;
  test_allocator_init(&memory);
  memory.fail_at = fail_at;
  kad__yamux *y = NULL;
  outcome o = {.result =
                   kad__yamux_new(&y, &memory.allocator, &config, false, 1)};
  if (o.result < 0) {
    assert_int_equal(memory.live, 0);
    return o;
  }
  for (size_t done = 0; done < len && o.result == 0; done += part) {
    part = part < len - done ? part : len - done;
    o.result = kad__yamux_input(y, kad__bytes(bytes + done, part), 1);
    assert_int_equal(kad__yamux_check(y), 0);
  }
  kad__yamux_event e;
  while (kad__yamux_poll(y, &e)) {
    kad_bytes in = kad__yamux_stream_peek(e.stream);
    o.seen = see(o.seen, kad__yamux_stream_id(e.stream));
    o.seen = see(o.seen, (uint64_t)e.type);
    for (size_t i = 0; i < in.len; i++) {
      o.seen = see(o.seen, in.data[i]);
    }
  }
  uint8_t out[8192];
  size_t pulled = kad__yamux_output(y, out, sizeof(out), 1);
  for (size_t i = 0; i < pulled; i++) {
    o.seen = see(o.seen, out[i]);
  }
  assert_int_equal(kad__yamux_check(y), 0);
  o.stats = *kad__yamux_stats_get(y);
  kad__yamux_free(y);
  assert_int_equal(memory.live, 0);
  return o;
}

static void assert_known_error(int result) {
  assert_true(result == 0 || result == KAD_E_YAMUX || result == KAD_E_GO_AWAY ||
              result == KAD_E_LIMIT);
}

static void test_segmentation(void **state) {
  (void)state;
  size_t len = record();
  outcome whole = replay(recorded, len, len, 0);
  assert_int_equal(whole.result, KAD_E_GO_AWAY);
  assert_true(whole.seen != 0);
  for (size_t part = 1; part < len; part++) {
    outcome split = replay(recorded, len, part, 0);
    assert_int_equal(split.result, whole.result);
    assert_true(split.seen == whole.seen);
    assert_int_equal(split.stats.frames_in, whole.stats.frames_in);
    assert_int_equal(split.stats.unknown_stream_bytes,
                     whole.stats.unknown_stream_bytes);
  }
}

static void test_prefixes(void **state) {
  (void)state;
  size_t len = record();
  for (size_t n = 0; n < len; n++) {
    assert_int_equal(replay(recorded, n, n + 1, 0).result, 0);
  }
}

static void test_flipped_bits(void **state) {
  (void)state;
  size_t len = record();
  size_t broken = 0;
  for (size_t bit = 0; bit < 8 * len; bit++) {
    recorded[bit / 8] ^= (uint8_t)(1u << bit % 8);
    outcome whole = replay(recorded, len, len, 0);
    outcome split = replay(recorded, len, 1, 0);
    recorded[bit / 8] ^= (uint8_t)(1u << bit % 8);
    assert_known_error(whole.result);
    assert_int_equal(split.result, whole.result);
    assert_true(split.seen == whole.seen);
    broken += whole.result == KAD_E_YAMUX;
  }
  /* Each bit of a version is fatal, and there are 13 frames. */
  assert_true(broken > 8 * 13);
}

static void test_every_allocation_fails(void **state) {
  (void)state;
  size_t len = record();
  assert_int_equal(replay(recorded, len, len, 1).result, KAD_E_NO_MEMORY);
  for (size_t fail_at = 2; fail_at < 40; fail_at++) {
    /* Running out of memory costs streams, not the session. */
    outcome o = replay(recorded, len, 5, fail_at);
    assert_int_equal(o.result, KAD_E_GO_AWAY);
  }
}

static void test_random_bytes(void **state) {
  (void)state;
  kad_random random;
  kad_random_init_u64(&random, test_seed("yamux random frames"));
  uint8_t bytes[1200];
  for (size_t i = 0; i < test_runs(3000); i++) {
    /* Plausible frames: small ids and lengths, every type and flag. */
    size_t len = 0;
    while (len + 12 + 64 < sizeof(bytes)) {
      uint32_t type = kad_random_below(&random, 40) == 0
                          ? 3
                          : (uint32_t)kad_random_below(&random, 3);
      uint32_t flags = kad_random_below(&random, 3) == 0
                           ? (uint32_t)kad_random_below(&random, 16)
                           : KAD__YAMUX_SYN;
      uint32_t body = (uint32_t)kad_random_below(&random, 64);
      kad__yamux_frame_encode(bytes + len, (kad__yamux_type)type, flags,
                              (uint32_t)kad_random_below(&random, 200) * 2 + 1,
                              body);
      len += 12;
      if (type == KAD__YAMUX_DATA) {
        memset(bytes + len, 'r', body);
        len += body;
      }
    }
    outcome whole = replay(bytes, len, len, 0);
    outcome split = replay(bytes, len, 1 + kad_random_below(&random, 30), 0);
    assert_known_error(whole.result);
    assert_int_equal(split.result, whole.result);
    assert_true(split.seen == whole.seen);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_model),
      cmocka_unit_test(test_failing_allocations),
      cmocka_unit_test(test_segmentation),
      cmocka_unit_test(test_prefixes),
      cmocka_unit_test(test_flipped_bits),
      cmocka_unit_test(test_every_allocation_fails),
      cmocka_unit_test(test_random_bytes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
