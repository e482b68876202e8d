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

/* ---- reports ------------------------------------------------------------- */

typedef enum report_kind {
  LISTENING,
  LISTEN_FAILED,
  ACCEPTED,
  DIALED,
  DIAL_FAILED,
  RECEIVED,
  WRITABLE,
  CLOSED
} report_kind;

typedef struct report {
  report_kind kind;
  uint64_t id;
  int error;
  int result;
  memory_end *end; /* ACCEPTED */
  uint8_t *bytes;  /* RECEIVED */
  size_t len;
} report;

static int report_to(kad_node *node, report *what) {
  switch (what->kind) {
    case LISTENING:
      return kad_transport_listening(node, what->id, NULL, 0);
    case LISTEN_FAILED:
      return kad_transport_listen_failed(node, what->id, what->error);
    case ACCEPTED:
      return kad_transport_accepted(node, &what->end->id, what->id, what->end,
                                    memory_address(1000), kad__bytes(NULL, 0));
    case DIALED:
      return kad_transport_dialed(node, what->id, memory_address(1000));
    case DIAL_FAILED:
      return kad_transport_dial_failed(node, what->id, what->error);
    case RECEIVED:
      return kad_transport_received(node, what->id, what->bytes, what->len);
    case WRITABLE:
      return kad_transport_writable(node, what->id);
    default:
      return kad_transport_closed(node, what->id, what->error);
  }
}

static void visit(void *user, kad_node *node) {
  report *what = user;
  what->result = report_to(node, what);
}

/* Without the lock: functions run meanwhile, here or on the service's thread.
 * Whatever the caller has looked at may be gone afterwards. */
static int tell(memory_port *port, report what) {
  memory *m = port->all;
  pthread_mutex_unlock(&m->lock);
  int error = 0;
  if (port->service != NULL) {
    error = kad_service_visit(port->service, visit, &what);
  } else {
    visit(&what, port->node);
  }
  pthread_mutex_lock(&m->lock);
  return error < 0 ? error : what.result;
}

/* A service's thread may have ended a channel before the report is made. */
static void tell_surely(memory_port *port, report what) {
  int error = tell(port, what);
  if (error != KAD_E_NOT_FOUND || port->service == NULL) {
    assert_ok(error);
  }
}

/* ---- what the node asks for ---------------------------------------------- */

static void enter(memory_port *port) {
  if (port->inside != NULL) {
    port->inside(port);
  }
  pthread_mutex_lock(&port->all->lock);
}

static void leave(memory_port *port) {
  pthread_mutex_unlock(&port->all->lock);
}

static bool can(void *user, kad_bytes address) {
  kad_multiaddr_part part;
  enter(user);
  leave(user);
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
  memory_listener *l = port->all->listeners;
  enter(port);
  while (l->port != NULL) {
    l++;
    assert_true(l < port->all->listeners + MEMORY_LISTENERS);
  }
  if (port->listens != MEMORY_FAILS) {
    *l = (memory_listener){.port = port,
                           .id = id,
                           .number = number_of(address),
                           .pending = port->listens != MEMORY_AT_ONCE};
    *out = l;
  }
  leave(port);
  return progress_of(port->listens);
}

static void on_unlisten(void *user, void *own) {
  memory_port *port = user;
  memory_listener *l = own;
  enter(port);
  assert_ptr_equal(l->port, port);
  l->port = NULL;
  port->unlistens++;
  leave(port);
}

static int on_dial(void *user, void **out, uint64_t id, kad_bytes address) {
  memory_port *port = user;
  enter(port);
  if (port->dials != MEMORY_FAILS) {
    memory_end *end = new_end(port);
    end->id = id;
    end->number = number_of(address);
    end->opening = true;
    end->told = port->dials == MEMORY_AT_ONCE;
    *out = end;
  }
  leave(port);
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

static size_t write_end(memory_end *end, kad_bytes bytes) {
  size_t n = taken_of(end, bytes.len);
  end->full = n < bytes.len;
  if (n != 0 && !end->over) {
    /* Written before the other side is there: kept until it is. */
    push(end->other == NULL ? end : end->other, kad__bytes(bytes.data, n));
  }
  return n;
}

static int on_write(void *user, void *own, kad_bytes bytes) {
  memory_port *port = user;
  memory_end *end = own;
  enter(port);
  assert_ptr_equal(end->port, port);
  assert_false(end->full);
  assert_true(bytes.len > 0);
  port->writes++;
  int n =
      port->takes == MEMORY_TAKES_ERROR ? KAD_E_IO : (int)write_end(end, bytes);
  leave(port);
  return n;
}

static void on_read(void *user, void *own, bool on) {
  memory_port *port = user;
  memory_end *end = own;
  enter(port);
  assert_ptr_equal(end->port, port);
  assert_true(end->stopped == on);
  end->stopped = !on;
  port->starts += on;
  port->stops += !on;
  leave(port);
}

static void on_close(void *user, void *own) {
  memory_port *port = user;
  memory_end *end = own;
  enter(port);
  assert_ptr_equal(end->port, port);
  port->closes++;
  drop(end);
  leave(port);
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
  memory_port *port = l->port;
  uint64_t id = l->id;
  l->pending = false;
  if (port->listens == MEMORY_FAILS_LATER) {
    l->port = NULL;
    tell_surely(port,
                (report){LISTEN_FAILED, .id = id, .error = KAD_E_TIMEOUT});
    return;
  }
  tell_surely(port, (report){LISTENING, .id = id});
}

static void refuse(memory_end *end, int error) {
  memory_port *port = end->port;
  uint64_t id = end->id;
  bool told = end->told;
  drop(end);
  tell_surely(port,
              (report){told ? CLOSED : DIAL_FAILED, .id = id, .error = error});
}

static void join(memory_end *end, memory_end *there) {
  end->opening = false;
  end->other = there;
  there->other = end;
  there->in = end->in; /* what was written meanwhile */
  there->len = end->len;
  there->cap = end->cap;
  end->in = NULL;
  end->len = 0;
  end->cap = 0;
}

static void connect_end(memory_end *end) {
  memory_port *port = end->port;
  memory_listener *l = listener_of(port->all, end->number);
  if (l == NULL || port->dials == MEMORY_FAILS_LATER) {
    refuse(end, l == NULL ? KAD_E_REFUSED : KAD_E_TIMEOUT);
    return;
  }
  memory_port *to = l->port;
  memory_end *there = new_end(to);
  uint64_t id = end->id;
  bool told = end->told;
  join(end, there);
  int error = tell(to, (report){ACCEPTED, .id = l->id, .end = there});
  to->refused = error;
  if (error < 0) {
    end->other = NULL;
    there->other = NULL;
    drop(there);
    refuse(end, KAD_E_REFUSED);
  } else if (!told) {
    tell_surely(port, (report){DIALED, .id = id});
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
  tell_surely(end->port,
              (report){RECEIVED, .id = end->id, .bytes = bytes, .len = n});
  free(bytes);
}

/* What came waits. */
static bool stays(const memory_end *end) {
  const memory *m = end->port->all;
  bool more = m->heaped && end->other != NULL && end->other->full;
  return m->held || end->stopped || more;
}

static bool run_end(memory_end *end) {
  memory_port *port = end->port;
  uint64_t id = end->id;
  if (end->opening) {
    connect_end(end);
    return true;
  }
  if (end->full && policy_of(end) != MEMORY_TAKES_NONE) {
    end->full = false;
    tell_surely(port, (report){WRITABLE, .id = id});
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
    tell_surely(port, (report){CLOSED, .id = id});
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
  bool any = false;
  pthread_mutex_lock(&m->lock);
  for (size_t i = 0; i < PLACES && !any; i++) {
    m->next = (m->next + 1) % PLACES;
    any = run_place(m, m->next);
  }
  pthread_mutex_unlock(&m->lock);
  return any;
}

bool memory_run(memory *m) {
  bool any = false;
  pthread_mutex_lock(&m->lock);
  for (size_t i = 0; i < PLACES; i++) {
    any |= run_place(m, i);
  }
  pthread_mutex_unlock(&m->lock);
  return any;
}

static bool is_busy(const memory_end *end) {
  bool moves = !stays(end) && (end->len != 0 || end->over);
  bool fills = end->full && policy_of(end) != MEMORY_TAKES_NONE;
  return end->opening || moves || fills;
}

bool memory_busy(memory *m) {
  bool busy = false;
  pthread_mutex_lock(&m->lock);
  for (size_t i = 0; i < MEMORY_ENDS; i++) {
    busy |= m->ends[i].port != NULL && is_busy(&m->ends[i]);
  }
  for (size_t i = 0; i < MEMORY_LISTENERS; i++) {
    busy |= m->listeners[i].port != NULL && m->listeners[i].pending;
  }
  pthread_mutex_unlock(&m->lock);
  return busy;
}

/* ---- for tests ----------------------------------------------------------- */

void memory_init(memory *m, uint64_t seed) {
  memset(m, 0, sizeof(*m));
  pthread_mutex_init(&m->lock, NULL);
  kad_random_init_u64(&m->random, seed);
}

void memory_fini(memory *m) {
  for (size_t i = 0; i < MEMORY_ENDS; i++) {
    assert_null(m->ends[i].port);
  }
  for (size_t i = 0; i < MEMORY_LISTENERS; i++) {
    assert_null(m->listeners[i].port);
  }
  pthread_mutex_destroy(&m->lock);
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
  memory_port *port = end->port;
  uint64_t id = end->id;
  pthread_mutex_lock(&port->all->lock);
  drop(end);
  tell_surely(port, (report){CLOSED, .id = id, .error = error});
  pthread_mutex_unlock(&port->all->lock);
}
