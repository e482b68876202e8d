#include "memory_transport.h"

static uint64_t number_of(kad_bytes address) {
  kad_multiaddr_part part;
  assert_true(kad_multiaddr_find(address, KAD_MULTIADDR_MEMORY, &part, NULL));
  return kad__load64(part.value.data);
}

kad_bytes memory_address(uint64_t number) {
  static uint8_t ring[8][16];
  static unsigned at;
  char text[64];
  uint8_t *out = ring[at++ % 8];
  snprintf(text, sizeof(text), "/memory/%llu", (unsigned long long)number);
  int len = kad_multiaddr_parse(out, sizeof(ring[0]), text);
  assert_ok(len);
  return kad__bytes(out, (size_t)len);
}

static memory_end *new_end(memory_port *port) {
  for (size_t i = 0; i < MEMORY_ENDS; i++) {
    memory_end *end = &port->all->ends[i];
    if (end->port == NULL) {
      *end = (memory_end){.port = port};
      return end;
    }
  }
  fail_msg("out of ends");
  return NULL;
}

/* The transport has it no longer. */
static void drop(memory_end *end) {
  if (end->other != NULL) {
    end->other->other = NULL;
    end->other->over = true;
  }
  free(end->in);
  *end = (memory_end){0};
}

static memory_listener *listener_of(memory *m, uint64_t number) {
  for (size_t i = 0; i < MEMORY_LISTENERS; i++) {
    memory_listener *l = &m->listeners[i];
    if (l->port != NULL && l->number == number && !l->pending) {
      return l;
    }
  }
  return NULL;
}

/* ---- what the node asks for ---------------------------------------------- */

static void go_inside(memory_port *port) {
  if (port->inside != NULL) {
    port->inside(port);
  }
}

static bool can(void *user, kad_bytes address) {
  kad_multiaddr_part part;
  go_inside(user);
  return kad_multiaddr_next(&address, &part) == 1 && address.len == 0 &&
         part.protocol == KAD_MULTIADDR_MEMORY;
}

static int progress_of(memory_begins begins) {
  switch (begins) {
    case MEMORY_AT_ONCE:
      return KAD_TRANSPORT_DONE;
    case MEMORY_FAILS:
      return KAD_E_UNREACHABLE;
    default:
      return KAD_TRANSPORT_PENDING;
  }
}

static int on_listen(void *user, void **out, uint64_t id, kad_bytes address) {
  memory_port *port = user;
  go_inside(port);
  if (port->listens == MEMORY_FAILS) {
    return KAD_E_UNREACHABLE;
  }
  for (size_t i = 0; i < MEMORY_LISTENERS; i++) {
    memory_listener *l = &port->all->listeners[i];
    if (l->port == NULL) {
      *l = (memory_listener){.port = port,
                             .id = id,
                             .number = number_of(address),
                             .pending = port->listens != MEMORY_AT_ONCE};
      *out = l;
      return progress_of(port->listens);
    }
  }
  return KAD_E_LIMIT;
}

static void on_unlisten(void *user, void *own) {
  memory_port *port = user;
  memory_listener *l = own;
  go_inside(port);
  assert_ptr_equal(l->port, port);
  l->port = NULL;
  port->unlistens++;
}

static int on_dial(void *user, void **out, uint64_t id, kad_bytes address) {
  memory_port *port = user;
  go_inside(port);
  if (port->dials == MEMORY_FAILS) {
    return KAD_E_UNREACHABLE;
  }
  memory_end *end = new_end(port);
  end->id = id;
  end->number = number_of(address);
  end->opening = true;
  *out = end;
  return progress_of(port->dials);
}

static memory_takes policy_of(const memory_end *end) {
  bool stuck = end->number != 0 && end->number == end->port->stuck;
  return stuck ? MEMORY_TAKES_NONE : end->port->takes;
}

static size_t taken_of(memory_end *end, size_t len) {
  switch (policy_of(end)) {
    case MEMORY_TAKES_ONE:
      return 1;
    case MEMORY_TAKES_RANDOM:
      return (size_t)kad_random_below(&end->port->all->random, len + 1);
    case MEMORY_TAKES_NONE:
      return 0;
    default:
      return len;
  }
}

static void push(memory_end *end, kad_bytes bytes) {
  if (end->len + bytes.len > end->cap) {
    end->cap = 2 * (end->len + bytes.len);
    end->in = realloc(end->in, end->cap);
    assert_non_null(end->in);
  }
  memcpy(end->in + end->len, bytes.data, bytes.len);
  end->len += bytes.len;
}

static int on_write(void *user, void *own, kad_bytes bytes) {
  memory_port *port = user;
  memory_end *end = own;
  go_inside(port);
  assert_ptr_equal(end->port, port);
  assert_false(end->full);
  assert_true(bytes.len > 0);
  port->writes++;
  if (port->takes == MEMORY_TAKES_ERROR) {
    return KAD_E_IO;
  }
  size_t n = taken_of(end, bytes.len);
  end->full = n < bytes.len;
  memory_end *to = end->other;
  if (n != 0 && !end->over) {
    /* Written before the other side is there: kept until it is. */
    push(to == NULL ? end : to, kad__bytes(bytes.data, n));
  }
  return (int)n;
}

static void on_read(void *user, void *own, bool on) {
  memory_port *port = user;
  memory_end *end = own;
  go_inside(port);
  assert_ptr_equal(end->port, port);
  assert_true(end->stopped == on);
  end->stopped = !on;
  port->starts += on;
  port->stops += !on;
}

static void on_close(void *user, void *own) {
  memory_port *port = user;
  memory_end *end = own;
  go_inside(port);
  assert_ptr_equal(end->port, port);
  port->closes++;
  drop(end);
}

void memory_port_init(memory_port *port, memory *m) {
  *port = (memory_port){.all = m};
  port->transport = (kad_transport){.name = "memory",
                                    .user = port,
                                    .can_dial = can,
                                    .can_listen = can,
                                    .listen = on_listen,
                                    .unlisten = on_unlisten,
                                    .dial = on_dial,
                                    .write = on_write,
                                    .read = on_read,
                                    .close = on_close};
}

/* ---- the owner's loop ---------------------------------------------------- */

static void run_listener(memory_listener *l) {
  kad_node *node = l->port->node;
  uint64_t id = l->id;
  l->pending = false;
  if (l->port->listens == MEMORY_FAILS_LATER) {
    l->port = NULL;
    assert_ok(kad_transport_listen_failed(node, id, KAD_E_TIMEOUT));
    return;
  }
  assert_ok(kad_transport_listening(node, id, NULL, 0));
}

static void refuse(memory_end *end, int error) {
  kad_node *node = end->port->node;
  uint64_t id = end->id;
  bool told = end->port->dials == MEMORY_AT_ONCE;
  drop(end);
  assert_ok(told ? kad_transport_closed(node, id, error)
                 : kad_transport_dial_failed(node, id, error));
}

static void connect_end(memory_end *end) {
  memory_listener *l = listener_of(end->port->all, end->number);
  if (l == NULL || end->port->dials == MEMORY_FAILS_LATER) {
    refuse(end, l == NULL ? KAD_E_REFUSED : KAD_E_TIMEOUT);
    return;
  }
  memory_end *there = new_end(l->port);
  uint64_t id = end->id;
  kad_node *node = end->port->node;
  bool told = end->port->dials == MEMORY_AT_ONCE;
  l->port->refused =
      kad_transport_accepted(l->port->node, &there->id, l->id, there,
                             memory_address(1000), kad__bytes(NULL, 0));
  if (l->port->refused < 0) {
    *there = (memory_end){0};
    refuse(end, KAD_E_REFUSED);
    return;
  }
  end->opening = false;
  end->other = there;
  there->other = end;
  there->in = end->in; /* what was written meanwhile */
  there->len = end->len;
  there->cap = end->cap;
  end->in = NULL;
  end->len = 0;
  end->cap = 0;
  if (!told) {
    assert_ok(kad_transport_dialed(node, id, memory_address(1000)));
  }
}

/* Reports some of what has come; the end may be gone afterwards. */
static void deliver(memory_end *end) {
  memory *m = end->port->all;
  size_t n = m->chunk == 0 || m->chunk > end->len ? end->len : m->chunk;
  uint8_t *bytes = malloc(n); /* of its own, so that overruns are seen */
  assert_non_null(bytes);
  memcpy(bytes, end->in, n);
  end->len -= n;
  memmove(end->in, end->in + n, end->len);
  assert_ok(kad_transport_received(end->port->node, end->id, bytes, n));
  free(bytes);
}

/* What came waits. */
static bool stays(const memory_end *end) {
  const memory *m = end->port->all;
  bool more = m->heaped && end->other != NULL && end->other->full;
  return m->held || end->stopped || more;
}

static bool run_end(memory_end *end) {
  kad_node *node = end->port->node;
  uint64_t id = end->id;
  if (end->opening) {
    connect_end(end);
    return true;
  }
  if (end->full && policy_of(end) != MEMORY_TAKES_NONE) {
    end->full = false;
    assert_ok(kad_transport_writable(node, id));
    return true;
  }
  if (stays(end)) {
    return false;
  }
  if (end->len != 0) {
    deliver(end);
    return true;
  }
  if (end->over) {
    drop(end);
    assert_ok(kad_transport_closed(node, id, 0));
    return true;
  }
  return false;
}

#define PLACES (MEMORY_LISTENERS + MEMORY_ENDS)

static bool run_place(memory *m, size_t i) {
  if (i >= MEMORY_LISTENERS) {
    memory_end *end = &m->ends[i - MEMORY_LISTENERS];
    return end->port != NULL && run_end(end);
  }
  memory_listener *l = &m->listeners[i];
  if (l->port == NULL || !l->pending) {
    return false;
  }
  run_listener(l);
  return true;
}

bool memory_step(memory *m) {
  for (size_t i = 0; i < PLACES; i++) {
    m->next = (m->next + 1) % PLACES;
    if (run_place(m, m->next)) {
      return true;
    }
  }
  return false;
}

bool memory_run(memory *m) {
  bool any = false;
  for (size_t i = 0; i < PLACES; i++) {
    any |= run_place(m, i);
  }
  return any;
}

bool memory_busy(const memory *m) {
  for (size_t i = 0; i < MEMORY_ENDS; i++) {
    const memory_end *e = &m->ends[i];
    if (e->port == NULL) {
      continue;
    }
    bool moves = !stays(e) && (e->len != 0 || e->over);
    bool fills = e->full && policy_of(e) != MEMORY_TAKES_NONE;
    if (e->opening || moves || fills) {
      return true;
    }
  }
  for (size_t i = 0; i < MEMORY_LISTENERS; i++) {
    if (m->listeners[i].port != NULL && m->listeners[i].pending) {
      return true;
    }
  }
  return false;
}

/* ---- for tests ----------------------------------------------------------- */

void memory_init(memory *m, uint64_t seed) {
  *m = (memory){.chunk = 0};
  kad_random_init_u64(&m->random, seed);
}

void memory_fini(memory *m) {
  for (size_t i = 0; i < MEMORY_ENDS; i++) {
    assert_null(m->ends[i].port);
  }
  for (size_t i = 0; i < MEMORY_LISTENERS; i++) {
    assert_null(m->listeners[i].port);
  }
}

size_t memory_count(const memory *m, const memory_port *port) {
  size_t count = 0;
  for (size_t i = 0; i < MEMORY_ENDS; i++) {
    count += m->ends[i].port == port;
  }
  return count;
}

memory_end *memory_at(memory *m, const memory_port *port, size_t place) {
  for (size_t i = 0; i < MEMORY_ENDS; i++) {
    if (m->ends[i].port == port && place-- == 0) {
      return &m->ends[i];
    }
  }
  fail_msg("no such end");
  return NULL;
}

void memory_cut(memory_end *end, int error) {
  kad_node *node = end->port->node;
  uint64_t id = end->id;
  drop(end);
  assert_ok(kad_transport_closed(node, id, error));
}
