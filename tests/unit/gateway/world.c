#include "world.h"

#include "wire/addresses.h"

kad__udp_address world_address(unsigned number) {
  kad__udp_address a = {0};
  char text[32];
  (void)snprintf(text, sizeof text, "10.0.%u.%u:4000", number / 250 % 250,
                 number % 250 + 1);
  assert_true(kad__udp_address_parse(&a, kad__bytes_of(text)));
  return a;
}

kad_bytes world_id(const world *w, size_t n) {
  return kad__bytes(w->nodes[n].id, 32);
}

void world_udp_config(world *w, kad__udp_config *out, const node *n) {
  (void)w;
  kad__udp_config_default(out);
  out->local_id = kad__bytes(n->id, 32);
  out->address = kad__udp_address_bytes(&n->address);
  out->random = (kad_random *)(uintptr_t)&n->random;
}

static void node_init(world *w, node *n, unsigned number) {
  kad__memory_store_config limits;
  kad__dht_config config;
  kad__udp_config udp;
  uint64_t secret[2] = {7, number};
  const kad_allocator *allocator = &w->memory.allocator;
  kad_random_init_u64(&n->random, kad_random_u64(&w->random));
  kad_random_bytes(&n->random, n->id, sizeof n->id);
  n->address = world_address(number);
  kad__memory_store_config_default(&limits);
  assert_ok(kad__memory_store_new(&n->store, allocator, &limits, secret));
  kad__dht_config_default(&config);
  kad__udp_configure_dht(&config);
  config.allocator = allocator;
  config.local_id = kad__bytes(n->id, 32);
  config.random = &n->random;
  config.store = n->store;
  /* Nothing happens but what the test asks for. */
  config.bootstrap_interval = KAD_TIME_NEVER;
  config.bootstrap_throttle = KAD_TIME_NEVER;
  assert_ok(kad__dht_new(&n->dht, &config, w->now));
  kad__dht_set_mode(n->dht, KAD__MODE_SERVER);
  world_udp_config(w, &udp, n);
  assert_ok(kad__udp_new(&n->udp, allocator, n->dht, &udp));
}

void world_init(world *w, size_t count, uint64_t seed) {
  memset(w, 0, sizeof *w);
  test_allocator_init(&w->memory);
  kad_random_init_u64(&w->random, seed);
  w->now = KAD_HOUR;
  w->delay = 20 * KAD_MILLISECOND;
  w->count = count;
  for (size_t i = 0; i < count; i++) {
    node_init(w, &w->nodes[i], (unsigned)i);
  }
}

void world_fini(world *w) {
  for (size_t i = 0; i < w->queued; i++) {
    free(w->queue[i].bytes);
  }
  for (size_t i = 0; i < w->count; i++) {
    kad__udp_free(w->nodes[i].udp);
    kad__dht_free(w->nodes[i].dht);
    w->nodes[i].store->ops->free(w->nodes[i].store);
  }
  assert_int_equal(w->memory.live, 0);
}

void world_introduce(world *w, size_t a, size_t b) {
  (void)kad__dht_add_address(w->nodes[a].dht, world_id(w, b),
                             kad__udp_address_bytes(&w->nodes[b].address),
                             w->now);
}

/* ---- the network -------------------------------------------------------- */

static void fetch_all(world *w, node *n) {
  uint8_t bytes[KAD__UDP_DATAGRAM_MAX];
  kad_bytes to;
  int len;
  while ((len = kad__udp_output(n->udp, &to, bytes, sizeof bytes)) != 0) {
    assert_ok(len);
    w->sent++;
    if (kad_random_below(&w->random, 100) < w->loss) {
      continue;
    }
    assert_true(w->queued < WORLD_QUEUE);
    datagram *d = &w->queue[w->queued++];
    d->from = n->address;
    assert_true(kad__udp_address_load(&d->to, to));
    d->at = w->now + w->delay;
    d->len = (size_t)len;
    d->bytes = malloc(d->len);
    memcpy(d->bytes, bytes, d->len);
  }
}

static void deliver(world *w, const datagram *d) {
  for (size_t i = 0; i < w->count; i++) {
    node *n = &w->nodes[i];
    if (kad__bytes_equal(kad__udp_address_bytes(&n->address),
                         kad__udp_address_bytes(&d->to))) {
      (void)kad__udp_input(n->udp, kad__udp_address_bytes(&d->from),
                           kad__bytes(d->bytes, d->len), w->now);
    }
  }
}

static void deliver_due(world *w) {
  while (w->queued > 0 && w->queue[0].at <= w->now) {
    datagram d = w->queue[0];
    w->queued--;
    memmove(w->queue, w->queue + 1, w->queued * sizeof d);
    deliver(w, &d);
    free(d.bytes);
  }
}

static void take_events(world *w, node *n) {
  kad__dht_event e;
  while (kad__dht_poll_event(n->dht, &e)) {
    if (e.type != KAD__DHT_QUERY_ENDED) {
      continue;
    }
    w->ended++;
    w->end = e;
    size_t len = e.record.value.len < 63 ? e.record.value.len : 63;
    if (len > 0) {
      memcpy(w->value, e.record.value.data, len);
    }
    w->value[len] = '\0';
  }
}

static kad_time step(world *w) {
  kad_time next = KAD_TIME_NEVER;
  for (size_t i = 0; i < w->count; i++) {
    node *n = &w->nodes[i];
    kad__dht_tick(n->dht, w->now);
    kad__udp_tick(n->udp, w->now);
    kad__udp_drive(n->udp, w->now);
    fetch_all(w, n);
    assert_null(kad__dht_check(n->dht));
    next = kad__time_min(next, kad__dht_deadline(n->dht));
    next = kad__time_min(next, kad__udp_deadline(n->udp));
  }
  return w->queued > 0 ? kad__time_min(next, w->queue[0].at) : next;
}

/* True when the query has ended. */
static bool run_until(world *w, kad_time end, size_t n, kad__query_id query) {
  for (;;) {
    deliver_due(w);
    kad_time next = step(w);
    for (size_t i = 0; i < w->count; i++) {
      w->ended = 0;
      take_events(w, &w->nodes[i]);
      if (w->ended > 0 && i == n && w->end.query == query) {
        return true;
      }
    }
    if (w->now >= end) {
      return false;
    }
    next = next <= w->now ? w->now + KAD_MILLISECOND : next;
    w->now = kad__time_min(next, end);
  }
}

void world_run(world *w, kad_time by) {
  (void)run_until(w, w->now + by, 0, 0);
}

void world_finish(world *w, size_t n, kad__query_id query) {
  assert_true(run_until(w, w->now + KAD_MINUTE, n, query));
}

void world_join(world *w) {
  for (size_t i = 1; i < w->count; i++) {
    kad__query_id query;
    world_introduce(w, i, 0);
    assert_ok(kad__dht_bootstrap(w->nodes[i].dht, &query, w->now));
    world_run(w, 2 * KAD_SECOND);
  }
  world_run(w, 10 * KAD_SECOND);
}

/* ---- by hand ------------------------------------------------------------ */

bool world_fetch(world *w, size_t n, kad__udp_message *m,
                 uint8_t bytes[KAD__UDP_DATAGRAM_MAX], kad__udp_address *to) {
  kad_bytes address;
  kad__udp_drive(w->nodes[n].udp, w->now);
  int len =
      kad__udp_output(w->nodes[n].udp, &address, bytes, KAD__UDP_DATAGRAM_MAX);
  if (len == 0) {
    return false;
  }
  assert_ok(len);
  assert_true(kad__udp_address_load(to, address));
  assert_ok(kad__udp_message_decode(m, kad__bytes(bytes, (size_t)len)));
  return true;
}

int world_hand(world *w, size_t n, const kad__udp_address *from,
               const kad__udp_message *m) {
  uint8_t bytes[KAD__UDP_DATAGRAM_MAX];
  int len = kad__udp_message_encode(bytes, sizeof bytes, m);
  assert_ok(len);
  return kad__udp_input(w->nodes[n].udp, kad__udp_address_bytes(from),
                        kad__bytes(bytes, (size_t)len), w->now);
}
