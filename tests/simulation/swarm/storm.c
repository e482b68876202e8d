#include "storm.h"

#define START (100 * KAD_SECOND)
#define PORT 4001

/* Keys take long to make, and which ones does not matter. */
static kad_key_pair *key_of(int node) {
  static kad_key_pair *keys[STORM_NODES];
  if (keys[node] == NULL) {
    kad_random random;
    kad_random_init_u64(&random, (uint64_t)node + 1);
    assert_ok(
        kad_key_pair_generate(&keys[node], kad_allocator_default(), &random));
  }
  return keys[node];
}

const kad_peer_id *storm_peer(int node) {
  return kad_key_pair_peer_id(key_of(node));
}

kad_bytes storm_address(int node, int port) {
  static uint8_t ring[4][KAD_MULTIADDR_MAX];
  static unsigned at;
  char text[64];
  uint8_t *out = ring[at++ % 4];
  snprintf(text, sizeof(text), "/ip4/10.0.0.%d/tcp/%d", node + 1, port);
  int len = kad_multiaddr_parse(out, KAD_MULTIADDR_MAX, text);
  assert_ok(len);
  return kad__bytes(out, (size_t)len);
}

uint64_t storm_below(storm *w, uint64_t bound) {
  return kad_random_below(&w->random, bound);
}

bool storm_chance(storm *w, uint64_t n) {
  return storm_below(w, n) == 0;
}

void storm_init(storm *w, uint64_t seed, int nodes, storm_tweak *tweak) {
  *w = (storm){.seed = seed, .nodes = nodes, .now = START};
  kad_random_init_u64(&w->random, seed);
  for (int i = 0; i < nodes; i++) {
    storm_node *n = &w->node[i];
    test_allocator_init(&n->memory);
    kad_random_init_u64(&n->random, seed + (uint64_t)i + 1);
    kad__swarm_config config;
    kad__swarm_config_default(&config);
    config.allocator = &n->memory.allocator;
    config.identity = key_of(i);
    config.random = &n->random;
    if (tweak != NULL) {
      tweak(w, &config, i);
    }
    assert_ok(kad__swarm_new(&n->swarm, &config, w->now));
    assert_ok(kad__swarm_listen(n->swarm, storm_address(i, PORT)));
  }
}

void storm_free_node(storm *w, int node) {
  storm_node *n = &w->node[node];
  kad__swarm_free(n->swarm);
  n->swarm = NULL;
  STORM_CHECK(w, n->memory.live == 0);
  for (int i = 0; i < STORM_LINKS; i++) {
    for (int side = 0; side < 2; side++) {
      storm_link *l = &w->links[i];
      if (l->used && l->node[side] == node) {
        l->id[side] = 0;
        l->dialing = l->dialing && side == 1;
      }
    }
  }
}

void storm_fini(storm *w) {
  for (int i = 0; i < w->nodes; i++) {
    storm_free_node(w, i);
  }
  for (int i = 0; i < STORM_LINKS; i++) {
    free(w->links[i].pipe[0].data);
    free(w->links[i].pipe[1].data);
  }
}

/* ---- links --------------------------------------------------------------- */

static storm_link *find_link(storm *w, int node, kad__id id, int *side) {
  for (int i = 0; i < STORM_LINKS; i++) {
    storm_link *l = &w->links[i];
    for (int s = 0; s < 2 && l->used && id != 0; s++) {
      if (l->node[s] == node && l->id[s] == id) {
        *side = s;
        return l;
      }
    }
  }
  return NULL;
}

static storm_link *new_link(storm *w) {
  for (int i = 0; i < STORM_LINKS; i++) {
    storm_link *l = &w->links[i];
    if (!l->used || (l->id[0] == 0 && l->id[1] == 0)) {
      storm_pipe a = l->pipe[0];
      storm_pipe b = l->pipe[1];
      a.len = b.len = 0;
      *l = (storm_link){.used = true, .pipe = {a, b}};
      return l;
    }
  }
  return NULL;
}

static uint64_t draw_life(storm *w) {
  if (w->next_life != 0) {
    return w->next_life;
  }
  if (w->calm || !storm_chance(w, 3)) {
    return STORM_IMMORTAL;
  }
  return storm_below(w, storm_chance(w, 2) ? 1500 : 40000);
}

static int node_at(const storm *w, kad_bytes address) {
  for (int i = 0; i < w->nodes; i++) {
    if (kad__bytes_equal(storm_address(i, PORT), address)) {
      return i;
    }
  }
  return -1;
}

static void begin_dial(storm *w, int node, const kad__world_action *action) {
  storm_link *l = new_link(w);
  if (l == NULL) {
    kad__swarm_dial_failed(w->node[node].swarm, action->id, KAD_E_REFUSED,
                           w->now);
    return;
  }
  l->dialing = true;
  l->node[0] = node;
  l->node[1] = node_at(w, action->address);
  l->id[0] = action->id;
  l->life = draw_life(w);
}

/* A dial that was begun earlier comes to something. */
static void end_dial(storm *w, storm_link *l) {
  kad__swarm *dialler = w->node[l->node[0]].swarm;
  kad__swarm *listener = l->node[1] < 0 ? NULL : w->node[l->node[1]].swarm;
  kad__id id = l->id[0];
  l->dialing = false;
  if (listener == NULL || (!w->calm && storm_chance(w, 12))) {
    l->id[0] = 0;
    kad__swarm_dial_failed(dialler, id, KAD_E_REFUSED, w->now);
    return;
  }
  kad_bytes local = storm_address(l->node[0], 1024 + (int)storm_below(w, 999));
  kad_bytes remote = storm_address(l->node[1], PORT);
  if (storm_chance(w, 2)) { /* either side may learn of it first */
    kad__swarm_dialed(dialler, id, local, w->now);
    id = 0;
  }
  if (kad__swarm_accepted(listener, &l->id[1], w->node[l->node[1]].listener,
                          local, remote, w->now) < 0) {
    l->id[1] = 0;
  }
  if (id != 0) {
    kad__swarm_dialed(dialler, id, local, w->now);
  }
}

static void drop_side(storm *w, storm_link *l, int side, int error) {
  kad__id id = l->id[side];
  l->id[side] = 0;
  if (id != 0) {
    kad__swarm_closed(w->node[l->node[side]].swarm, id, error, w->now);
  }
}

/* What was sent and has not arrived is lost; each side learns of it when it
 * gets there. */
static void cut(storm *w, storm_link *l) {
  int first = (int)storm_below(w, 2);
  l->pipe[0].len = l->pipe[1].len = 0;
  l->life = 0;
  w->cut++;
  drop_side(w, l, first, storm_chance(w, 2) ? 0 : KAD_E_IO);
}

static void push(storm_pipe *pipe, const uint8_t *data, size_t len) {
  if (pipe->cap < pipe->len + len) {
    pipe->cap = 2 * (pipe->len + len);
    pipe->data = realloc(pipe->data, pipe->cap);
    assert_non_null(pipe->data);
  }
  memcpy(pipe->data + pipe->len, data, len);
  pipe->len += len;
}

static size_t piece(storm *w, const storm_link *l, size_t len) {
  switch (w->calm ? 0 : storm_below(w, 4)) {
    case 0:
      break;
    case 1:
      len = 1;
      break;
    default:
      len = 1 + (size_t)storm_below(w, len);
      break;
  }
  return len > l->life ? (size_t)l->life : len;
}

static bool deliver(storm *w, storm_link *l, int from) {
  int to = 1 - from;
  storm_pipe *pipe = &l->pipe[from];
  if (!l->used || l->dialing || l->id[to] == 0 || l->paused[to]) {
    return false;
  }
  if (pipe->len == 0) {
    if (l->id[from] != 0 && l->life != 0) {
      return false;
    }
    w->cut += l->id[from] != 0;
    drop_side(w, l, to, 0);
    return true;
  }
  size_t n = piece(w, l, pipe->len);
  if (n == 0) {
    cut(w, l);
    return true;
  }
  uint8_t *in = malloc(n); /* of the exact size: overruns are seen */
  assert_non_null(in);
  memcpy(in, pipe->data, n);
  pipe->len -= n;
  memmove(pipe->data, pipe->data + n, pipe->len);
  l->life -= l->life == STORM_IMMORTAL ? 0 : n;
  w->carried += n;
  kad__swarm_input(w->node[l->node[to]].swarm, l->id[to], in, n, w->now);
  free(in);
  return true;
}

/* ---- swarms -------------------------------------------------------------- */

static void act(storm *w, int node, const kad__world_action *action) {
  storm_node *n = &w->node[node];
  uint8_t list[128];
  size_t len = 0;
  int side = 0;
  storm_link *l = find_link(w, node, action->id, &side);
  switch (action->type) {
    case KAD__WORLD_LISTEN:
      n->listener = action->id;
      assert_true(
          kad__addresses_append(list, sizeof(list), &len, action->address));
      kad__swarm_listening(n->swarm, action->id, kad__bytes(list, len), w->now);
      break;
    case KAD__WORLD_DIAL:
      begin_dial(w, node, action);
      break;
    case KAD__WORLD_CLOSE:
      if (l != NULL) {
        l->id[side] = 0;
        l->dialing = false;
      }
      break;
    case KAD__WORLD_PAUSE:
    case KAD__WORLD_RESUME:
      if (l != NULL) {
        l->paused[side] = action->type == KAD__WORLD_PAUSE;
      }
      break;
    case KAD__WORLD_RESOLVE:
      kad__swarm_resolve_end(n->swarm, action->id, KAD_E_RESOLVE, w->now);
      break;
    case KAD__WORLD_UNLISTEN:
      break;
  }
}

/* Pulls once; a socket may be full, and go on later. */
static bool pull(storm *w, int node) {
  static uint8_t out[64 << 10];
  storm_node *n = &w->node[node];
  if (n->stuck == 0) {
    n->stuck = kad__swarm_next_output(n->swarm);
  }
  if (n->stuck == 0) {
    return false;
  }
  size_t cap =
      w->calm || storm_chance(w, 2) ? sizeof(out) : 1 + storm_below(w, 200);
  int side = 0;
  size_t len = kad__swarm_output(n->swarm, n->stuck, out, cap, w->now);
  storm_link *l = find_link(w, node, n->stuck, &side);
  STORM_CHECK(w, len <= cap);
  if (len == 0) {
    n->stuck = 0;
  } else if (l != NULL && l->life != 0) {
    push(&l->pipe[side], out, len);
  }
  return true;
}

static bool poll_action(storm *w, int node) {
  kad__world_action action;
  if (!kad__swarm_poll_action(w->node[node].swarm, &action)) {
    return false;
  }
  /* A connection is closed after what was pulled and what can be pulled. */
  while (action.type == KAD__WORLD_CLOSE && w->node[node].stuck == action.id) {
    (void)pull(w, node);
  }
  act(w, node, &action);
  return true;
}

static bool poll_event(storm *w, int node) {
  kad__swarm_event event;
  if (!kad__swarm_poll_event(w->node[node].swarm, &event)) {
    return false;
  }
  w->on_event(w, node, &event);
  return true;
}

static bool step_link(storm *w, storm_link *l) {
  if (!l->used) {
    return false;
  }
  if (l->dialing) {
    /* Where nobody is, a dial may just as well never be answered. */
    if (!w->calm && storm_chance(w, 4)) {
      return false;
    }
    end_dial(w, l);
    return true;
  }
  int from = (int)storm_below(w, 2);
  return deliver(w, l, from) || deliver(w, l, 1 - from);
}

static bool step_node(storm *w, int node) {
  if (w->node[node].swarm == NULL) {
    return false;
  }
  unsigned first = (unsigned)storm_below(w, 3);
  for (unsigned i = 0; i < 3; i++) {
    static bool (*const things[])(storm *, int) = {pull, poll_action,
                                                   poll_event};
    if (things[(first + i) % 3](w, node)) {
      return true;
    }
  }
  return false;
}

static void check(storm *w) {
  for (int i = 0; i < w->nodes; i++) {
    const char *broken =
        w->node[i].swarm == NULL ? NULL : kad__swarm_check(w->node[i].swarm);
    if (broken != NULL) {
      storms_fail(w->seed, broken);
    }
  }
}

static storm_link *some_link(storm *w) {
  storm_link *used[STORM_LINKS];
  size_t count = 0;
  for (int i = 0; i < STORM_LINKS; i++) {
    storm_link *l = &w->links[i];
    if (l->used && (l->id[0] != 0 || l->id[1] != 0)) {
      used[count++] = l;
    }
  }
  return count == 0 ? NULL : used[storm_below(w, count)];
}

void storm_step(storm *w) {
  storm_link *l = some_link(w);
  if (l != NULL && storm_chance(w, 2)) {
    (void)step_link(w, l);
  } else {
    (void)step_node(w, (int)storm_below(w, (uint64_t)w->nodes));
  }
  check(w);
}

void storm_wait(storm *w, kad_time at_most) {
  kad_time next = w->now + at_most;
  for (int i = 0; i < w->nodes; i++) {
    if (w->node[i].swarm != NULL) {
      next = kad__time_min(next, kad__swarm_deadline(w->node[i].swarm));
    }
  }
  w->now = next > w->now ? next : w->now;
  for (int i = 0; i < w->nodes; i++) {
    if (w->node[i].swarm != NULL) {
      kad__swarm_tick(w->node[i].swarm, w->now);
    }
  }
  check(w);
}

static void run(storm *w) {
  for (bool any = true; any;) {
    any = false;
    for (int i = 0; i < w->nodes; i++) {
      while (step_node(w, i)) {
        any = true;
        check(w);
      }
    }
    for (int i = 0; i < STORM_LINKS; i++) {
      if (step_link(w, &w->links[i])) {
        any = true;
        check(w);
      }
    }
  }
}

void storm_settle(storm *w, kad_time time) {
  kad_time end = w->now + time;
  w->calm = true;
  run(w);
  while (w->now < end) {
    storm_wait(w, end - w->now);
    run(w);
  }
}
