#include "mesh.h"

#define START (100 * KAD_SECOND)

static int node_of_address(const mesh *m, kad_bytes address) {
  for (int i = 0; i < MESH_NODES; i++) {
    if (m->nodes[i].listen[0] != '\0' &&
        kad__bytes_equal(mesh_address(m->nodes[i].listen), address)) {
      return i;
    }
  }
  return -1;
}

void mesh_init(mesh *m, int nodes, mesh_tweak *tweak) {
  *m = (mesh){.now = START};
  for (int i = 0; i < nodes; i++) {
    mesh_node *node = &m->nodes[i];
    test_allocator_init(&node->memory);
    kad_random_init_u64(&node->random, (uint64_t)i + 1);
    assert_ok(kad_key_pair_generate(&node->key, kad_allocator_default(),
                                    &node->random));
    kad__swarm_config config;
    kad__swarm_config_default(&config);
    config.allocator = &node->memory.allocator;
    config.identity = node->key;
    config.random = &node->random;
    if (tweak != NULL) {
      tweak(&config, i);
    }
    assert_ok(kad__swarm_new(&node->swarm, &config, m->now));
    snprintf(node->listen, sizeof(node->listen), "/ip4/10.0.0.%d/tcp/4001",
             i + 1);
    assert_ok(kad__swarm_listen(node->swarm, mesh_address(node->listen)));
  }
  mesh_run(m);
  for (int i = 0; i < nodes; i++) {
    mesh_expect(m, i, KAD__SWARM_LISTENING);
  }
}

void mesh_fini(mesh *m) {
  for (int i = 0; i < MESH_LINKS; i++) {
    free(m->links[i].pipe[0].data);
    free(m->links[i].pipe[1].data);
  }
  for (int i = 0; i < MESH_NODES; i++) {
    kad__swarm_free(m->nodes[i].swarm);
    kad_key_pair_free(m->nodes[i].key);
    assert_int_equal(m->nodes[i].memory.live, 0);
  }
}

kad_bytes mesh_address(const char *text) {
  static uint8_t ring[16][KAD_MULTIADDR_MAX];
  static unsigned at;
  uint8_t *out = ring[at++ % 16];
  int len = kad_multiaddr_parse(out, KAD_MULTIADDR_MAX, text);
  if (len < 0) {
    fail_msg("%s: %s", text, kad_error_name(len));
  }
  return kad__bytes(out, (size_t)len);
}

const kad_peer_id *mesh_peer(const mesh *m, int node) {
  return kad_key_pair_peer_id(m->nodes[node].key);
}

kad_bytes mesh_list(const char *text) {
  static uint8_t out[KAD_MULTIADDR_MAX + 8];
  size_t len = 0;
  assert_true(
      kad__addresses_append(out, sizeof(out), &len, mesh_address(text)));
  return kad__bytes(out, len);
}

/* ---- links -------------------------------------------------------------- */

static mesh_link *find_link(mesh *m, int node, kad__id id, int *side) {
  for (int i = 0; i < MESH_LINKS; i++) {
    for (int s = 0; s < 2; s++) {
      mesh_link *l = &m->links[i];
      if (l->used && l->node[s] == node && l->id[s] == id && id != 0) {
        *side = s;
        return l;
      }
    }
  }
  return NULL;
}

static mesh_link *new_link(mesh *m) {
  for (int i = 0; i < MESH_LINKS; i++) {
    mesh_link *l = &m->links[i];
    if (!l->used || (l->id[0] == 0 && l->id[1] == 0)) {
      free(l->pipe[0].data);
      free(l->pipe[1].data);
      *l = (mesh_link){.used = true};
      return l;
    }
  }
  fail_msg("out of links");
  return NULL;
}

static void open_link(mesh *m, int from, kad__id id, kad_bytes address) {
  if (m->blackhole) {
    return;
  }
  int to = node_of_address(m, address);
  kad__swarm *dialler = m->nodes[from].swarm;
  if (to < 0) {
    kad__swarm_dial_failed(dialler, id, KAD_E_REFUSED, m->now);
    return;
  }
  char text[64];
  static int port = 1024;
  snprintf(
      text, sizeof(text),
      m->one_group ? "/ip6/2001:db8:0:%d::1/tcp/%d" : "/ip4/10.0.0.%d/tcp/%d",
      from + 1, port++);
  kad_bytes local = mesh_address(text);
  kad__id other = 0;
  if (kad__swarm_accepted(m->nodes[to].swarm, &other, 1, local, address,
                          m->now) < 0) {
    kad__swarm_dial_failed(dialler, id, KAD_E_REFUSED, m->now);
    return;
  }
  mesh_link *l = new_link(m);
  l->node[0] = from;
  l->node[1] = to;
  l->id[0] = id;
  l->id[1] = other;
  kad__swarm_dialed(dialler, id, local, m->now);
}

static void push(mesh_pipe *pipe, const uint8_t *data, size_t len) {
  pipe->data = realloc(pipe->data, pipe->len + len + 1);
  assert_non_null(pipe->data);
  memcpy(pipe->data + pipe->len, data, len);
  pipe->len += len;
}

static void close_side(mesh *m, int node, kad__id id) {
  int side = 0;
  mesh_link *l = find_link(m, node, id, &side);
  if (l != NULL) {
    l->id[side] = 0;
  }
}

/* Delivers one chunk, or the end when the other side has gone. */
static bool deliver(mesh *m, mesh_link *l, int from) {
  int to = 1 - from;
  mesh_pipe *pipe = &l->pipe[from];
  if (!l->used || l->id[to] == 0 || l->paused[to]) {
    return false;
  }
  kad__swarm *swarm = m->nodes[l->node[to]].swarm;
  if (pipe->len == 0) {
    if (l->id[from] != 0) {
      return false;
    }
    kad__id id = l->id[to];
    l->id[to] = 0;
    kad__swarm_closed(swarm, id, 0, m->now);
    return true;
  }
  size_t n = m->chunk == 0 || m->chunk > pipe->len ? pipe->len : m->chunk;
  /* A copy of the exact size, so that overruns are seen. */
  uint8_t *in = malloc(n);
  assert_non_null(in);
  memcpy(in, pipe->data, n);
  pipe->len -= n;
  memmove(pipe->data, pipe->data + n, pipe->len);
  kad__swarm_input(swarm, l->id[to], in, n, m->now);
  free(in);
  return true;
}

/* ---- names -------------------------------------------------------------- */

static void resolve(mesh *m, int node, const kad__world_action *action) {
  kad__swarm *swarm = m->nodes[node].swarm;
  m->nodes[node].resolves++;
  size_t found = 0;
  if (m->names_silent) {
    return;
  }
  for (size_t i = 0; i < m->name_count; i++) {
    const mesh_name *n = &m->names[i];
    if (!kad__bytes_equal(kad__bytes_of(n->name), action->name) ||
        (n->query & action->query) == 0) {
      continue;
    }
    kad_bytes value = kad__bytes_of(n->value);
    if (action->query != KAD__RESOLVE_TXT) {
      value = kad__bytes_skip(mesh_address(n->value), 1);
    }
    kad__swarm_resolved(swarm, action->id, value, m->now);
    found++;
  }
  kad__swarm_resolve_end(swarm, action->id, found == 0 ? KAD_E_RESOLVE : 0,
                         m->now);
}

/* ---- running ------------------------------------------------------------ */

static void set_paused(mesh *m, int node, kad__id id, bool paused) {
  int side = 0;
  mesh_link *l = find_link(m, node, id, &side);
  if (l != NULL) {
    l->paused[side] = paused;
  }
}

static void listen_on(mesh *m, int node, const kad__world_action *action) {
  char text[128];
  assert_ok(kad_multiaddr_format(text, sizeof(text), action->address));
  if (strstr(text, "/tcp/9") != NULL) {
    kad__swarm_listen_failed(m->nodes[node].swarm, action->id,
                             KAD_E_ADDRESS_IN_USE);
    return;
  }
  uint8_t list[128];
  size_t len = 0;
  assert_true(kad__addresses_append(list, sizeof(list), &len, action->address));
  kad__swarm_listening(m->nodes[node].swarm, action->id, kad__bytes(list, len),
                       m->now);
}

static void act(mesh *m, int node, const kad__world_action *action) {
  mesh_node *n = &m->nodes[node];
  switch (action->type) {
    case KAD__WORLD_LISTEN:
      listen_on(m, node, action);
      break;
    case KAD__WORLD_UNLISTEN:
      break;
    case KAD__WORLD_DIAL:
      n->dials++;
      open_link(m, node, action->id, action->address);
      break;
    case KAD__WORLD_CLOSE:
      n->closes++;
      close_side(m, node, action->id);
      break;
    case KAD__WORLD_PAUSE:
      n->pauses++;
      set_paused(m, node, action->id, true);
      break;
    case KAD__WORLD_RESUME:
      n->resumes++;
      set_paused(m, node, action->id, false);
      break;
    case KAD__WORLD_RESOLVE:
      resolve(m, node, action);
      break;
  }
}

static bool pull(mesh *m, int node) {
  static uint8_t out[64 << 10];
  kad__swarm *swarm = m->nodes[node].swarm;
  bool any = false;
  kad__id id;
  while (!m->no_pull && (id = kad__swarm_next_output(swarm)) != 0) {
    int side = 0;
    size_t len;
    mesh_link *l = find_link(m, node, id, &side);
    while ((len = kad__swarm_output(swarm, id, out, sizeof(out), m->now)) !=
           0) {
      if (l != NULL) {
        push(&l->pipe[side], out, len);
      }
    }
    any = true;
  }
  return any;
}

static bool step(mesh *m, int node) {
  mesh_node *n = &m->nodes[node];
  if (n->swarm == NULL) {
    return false;
  }
  const char *broken = kad__swarm_check(n->swarm);
  if (broken != NULL) {
    fail_msg("node %d: not true that %s", node, broken);
  }
  bool any = pull(m, node);
  kad__world_action action;
  while (kad__swarm_poll_action(n->swarm, &action)) {
    act(m, node, &action);
    any = true;
  }
  kad__swarm_event event;
  while (kad__swarm_poll_event(n->swarm, &event)) {
    assert_true(n->event_count < MESH_EVENTS);
    event.address = (kad_bytes){0};
    n->events[n->event_count++] = event;
    any = true;
  }
  return any;
}

void mesh_run(mesh *m) {
  for (bool any = true; any;) {
    any = false;
    for (int i = 0; i < MESH_NODES; i++) {
      any |= step(m, i);
    }
    for (int i = 0; i < MESH_LINKS && !m->held; i++) {
      any |= deliver(m, &m->links[i], 0);
      any |= deliver(m, &m->links[i], 1);
    }
  }
}

void mesh_sleep(mesh *m, kad_time time) {
  kad_time end = m->now + time;
  mesh_run(m);
  for (size_t rounds = 0;; rounds++) {
    assert_true(rounds < 100000);
    kad_time next = end;
    for (int i = 0; i < MESH_NODES; i++) {
      if (m->nodes[i].swarm != NULL) {
        next = kad__time_min(next, kad__swarm_deadline(m->nodes[i].swarm));
      }
    }
    m->now = next > m->now ? next : m->now;
    for (int i = 0; i < MESH_NODES; i++) {
      if (m->nodes[i].swarm != NULL) {
        kad__swarm_tick(m->nodes[i].swarm, m->now);
      }
    }
    mesh_run(m);
    if (m->now >= end) {
      return;
    }
  }
}

int mesh_dial(mesh *m, int from, int to) {
  return kad__swarm_dial(m->nodes[from].swarm, mesh_peer(m, to),
                         mesh_list(m->nodes[to].listen), m->now);
}

void mesh_connect(mesh *m, int from, int to) {
  assert_int_equal(mesh_dial(m, from, to), 0);
  mesh_run(m);
  kad__swarm_event *event = mesh_expect(m, from, KAD__SWARM_CONNECTED);
  assert_false(event->inbound);
  assert_true(kad_peer_id_equal(&event->peer, mesh_peer(m, to)));
  event = mesh_expect(m, to, KAD__SWARM_CONNECTED);
  assert_true(event->inbound);
  assert_true(kad_peer_id_equal(&event->peer, mesh_peer(m, from)));
}

kad__id mesh_connection(const mesh *m, int node) {
  kad__id id = kad__swarm_connection_next(m->nodes[node].swarm, 0);
  assert_true(id != 0);
  assert_true(kad__swarm_connection_next(m->nodes[node].swarm, id) == 0);
  return id;
}

/* ---- events ------------------------------------------------------------- */

/* That something could be written matters to few tests. */
static void skip_writable(mesh_node *n, kad__swarm_event_type expected) {
  while (n->event_read < n->event_count &&
         expected != KAD__SWARM_STREAM_WRITABLE &&
         n->events[n->event_read].type == KAD__SWARM_STREAM_WRITABLE) {
    n->event_read++;
  }
}

kad__swarm_event *mesh_expect(mesh *m, int node, kad__swarm_event_type type) {
  mesh_node *n = &m->nodes[node];
  skip_writable(n, type);
  if (n->event_read == n->event_count) {
    fail_msg("node %d: no event, expected %d", node, (int)type);
  }
  kad__swarm_event *event = &n->events[n->event_read++];
  if (event->type != type) {
    fail_msg("node %d: event %d (%s), expected %d", node, (int)event->type,
             kad_error_name(event->error), (int)type);
  }
  return event;
}

void mesh_expect_none(mesh *m, int node) {
  mesh_node *n = &m->nodes[node];
  skip_writable(n, KAD__SWARM_CONNECTED);
  if (n->event_read != n->event_count) {
    fail_msg("node %d: unexpected event %d (%s)", node,
             (int)n->events[n->event_read].type,
             kad_error_name(n->events[n->event_read].error));
  }
}

kad__swarm_event *mesh_find(mesh *m, int node, kad__swarm_event_type type) {
  mesh_node *n = &m->nodes[node];
  while (n->event_read < n->event_count) {
    kad__swarm_event *event = &n->events[n->event_read++];
    if (event->type == type) {
      return event;
    }
  }
  return NULL;
}

kad__protocol_names mesh_names(const char *a, const char *b) {
  static kad_bytes ring[8][2];
  static unsigned at;
  kad_bytes *names = ring[at++ % 8];
  names[0] = kad__bytes_of(a);
  names[1] = b == NULL ? (kad_bytes){0} : kad__bytes_of(b);
  return (kad__protocol_names){.names = names, .count = b == NULL ? 1 : 2};
}

void mesh_say(mesh *m, kad__stream *stream, const char *text) {
  assert_ok(kad__stream_write(stream, kad__bytes_of(text)));
  mesh_run(m);
}

void mesh_hear(kad__stream *stream, const char *text) {
  assert_bytes_equal(kad__stream_peek(stream), kad__bytes_of(text));
  kad__stream_consume(stream, strlen(text));
}

void mesh_cut(mesh *m, int error) {
  for (int i = 0; i < MESH_LINKS; i++) {
    for (int side = 0; side < 2; side++) {
      mesh_link *l = &m->links[i];
      kad__id id = l->used ? l->id[side] : 0;
      l->id[side] = 0;
      l->pipe[side].len = 0;
      if (id != 0) {
        kad__swarm_closed(m->nodes[l->node[side]].swarm, id, error, m->now);
      }
    }
  }
}
