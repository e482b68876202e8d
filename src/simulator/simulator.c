/* One heap of things that will happen. A node is a host with one address; a
 * pipe is a connection between two hosts; a happening is a chunk, an end, a
 * dial or its outcome, or a host's deadline. */
#include "simulator/simulator.h"

#include "base/alloc.h"
#include "base/heap.h"
#include "base/list.h"
#include "base/map.h"
#include "kadmium/multiaddr.h"
#include "wire/addresses.h"

#define PORT 4001
#define OUTPUT_LEN ((size_t)64 * 1024)
/* /ip4/10.x.x.x/tcp/4001, or /ip4/x.x.0.1/tcp/4001 */
#define ADDRESS_LEN 8
#define PUBLIC_FIRST 11

typedef struct host {
  kad__node *node; /* NULL: crashed */
  kad_key_pair *identity;
  kad__heap_node deadline;
  kad__list dirty; /* in simulator.dirty while it may have events */
  kad__map ends;   /* of its pipes, by connection id */
  uint32_t number;
  kad__id listener;
  bool listening;
  bool walled; /* against dials */
  uint8_t address[ADDRESS_LEN];
} host;

/* One side of a pipe. */
typedef struct pipe_end {
  kad__map_node node;
  kad__id connection; /* 0: this side has gone */
  host *host;
  kad_time last_arrival; /* nothing arrives before this */
  struct pipe *pipe;
} pipe_end;

typedef struct pipe {
  pipe_end ends[2]; /* dialler, listener */
  kad_time latency;
  uint32_t references; /* ends in maps, and happenings under way */
} pipe;

typedef enum happening_type {
  CHUNK,   /* bytes arrive at end `side` */
  END,     /* end `side` sees the end */
  ARRIVAL, /* a dial reaches its listener */
  OUTCOME  /* the dialler learns `error` */
} happening_type;

typedef struct happening {
  kad__heap_node at;
  happening_type type;
  pipe *pipe;
  int side;
  int error;
  size_t len;
  uint8_t bytes[];
} happening;

struct kad__simulator {
  kad_allocator allocator;
  kad__simulator_config config;
  kad_random random;
  kad_time now;
  host **hosts;
  uint32_t count;
  uint32_t cap;
  kad__heap future;    /* happenings */
  kad__heap deadlines; /* of hosts */
  kad__list dirty;
  uint32_t border; /* of a partition */
  bool partitioned;
  uint64_t trace;
  kad__simulator_counters counters;
  uint8_t *kept; /* of kad__simulator_finish */
  uint8_t output[OUTPUT_LEN];
};

void kad__simulator_config_default(kad__simulator_config *config) {
  *config = (kad__simulator_config){.latency_min = 10 * KAD_MILLISECOND,
                                    .latency_max = 100 * KAD_MILLISECOND,
                                    .retransmit = 200 * KAD_MILLISECOND,
                                    .dial_timeout = 5 * KAD_SECOND,
                                    .unix_ns = 1767225600 * KAD_SECOND};
}

/* ---- the trace ----------------------------------------------------------- */

/* SipHash chained over itself: fast, and any difference stays. */
static void trace_bytes(kad__simulator *s, kad_bytes bytes) {
  uint64_t key[2] = {s->trace, 0x6b61646d69756dULL};
  s->trace = kad__siphash(key, bytes);
}

static void trace(kad__simulator *s, uint64_t what, uint64_t whom,
                  kad_bytes bytes) {
  uint64_t words[4] = {s->now, what, whom, bytes.len};
  trace_bytes(s, kad__bytes(words, sizeof(words)));
  trace_bytes(s, bytes);
}

/* ---- pipes --------------------------------------------------------------- */

static void release_pipe(kad__simulator *s, pipe *p) {
  if (--p->references == 0) {
    kad__release(&s->allocator, p);
  }
}

static void unmap(kad__simulator *s, pipe_end *end) {
  if (end->connection == 0) {
    return;
  }
  kad__map_remove(&end->host->ends, &end->node);
  end->connection = 0;
  release_pipe(s, end->pipe);
}

static int map_end(kad__simulator *s, pipe_end *end, kad__id connection) {
  end->connection = connection;
  int error = kad__map_add(&end->host->ends, &s->allocator, &end->node,
                           kad__bytes(&end->connection, sizeof(kad__id)));
  if (error < 0) {
    end->connection = 0;
    return error;
  }
  end->pipe->references++;
  return 0;
}

static pipe_end *find_end(host *h, kad__id connection) {
  kad__map_node *node =
      kad__map_find(&h->ends, kad__bytes(&connection, sizeof(connection)));
  return node == NULL ? NULL : KAD__CONTAINER(node, pipe_end, node);
}

static bool cut(const kad__simulator *s, const host *a, const host *b) {
  return s->partitioned && (a->number < s->border) != (b->number < s->border);
}

/* ---- happenings ---------------------------------------------------------- */

static happening *plan(kad__simulator *s, happening_type type, pipe *p,
                       int side, kad_bytes bytes, kad_time at) {
  happening *h = kad__alloc(&s->allocator, sizeof(*h) + bytes.len);
  if (h == NULL) {
    return NULL;
  }
  *h = (happening){.type = type, .pipe = p, .side = side, .len = bytes.len};
  kad__heap_node_init(&h->at);
  if (bytes.len > 0) {
    memcpy(h->bytes, bytes.data, bytes.len);
  }
  if (kad__heap_set(&s->future, &s->allocator, &h->at, at) < 0) {
    kad__release(&s->allocator, h);
    return NULL;
  }
  p->references++;
  return h;
}

/* When something sent now arrives at `end`: in order, and late when lost. */
static kad_time arrival(kad__simulator *s, pipe_end *end) {
  kad_time at = s->now + end->pipe->latency;
  while (s->config.loss_per_million > 0 &&
         kad_random_below(&s->random, 1000000) < s->config.loss_per_million) {
    s->counters.losses++;
    at += s->config.retransmit;
  }
  at = at > end->last_arrival ? at : end->last_arrival;
  end->last_arrival = at;
  return at;
}

static void send_to(kad__simulator *s, pipe_end *end, happening_type type,
                    kad_bytes bytes) {
  int side = end == &end->pipe->ends[1];
  (void)plan(s, type, end->pipe, side, bytes, arrival(s, end));
}

static pipe_end *other_end(pipe_end *end) {
  return &end->pipe->ends[end == &end->pipe->ends[0]];
}

/* ---- what a host does ---------------------------------------------------- */

static host *host_at(kad__simulator *s, kad_bytes address) {
  kad_multiaddr_part part;
  if (kad_multiaddr_next(&address, &part) != 1 ||
      part.protocol != KAD_MULTIADDR_IP4) {
    return NULL;
  }
  uint32_t ip = kad__load32(part.value.data);
  uint32_t number = s->config.public_addresses
                        ? (ip >> 16) - (PUBLIC_FIRST << 8)
                        : ip & 0xffffff;
  return number < s->count ? s->hosts[number] : NULL;
}

static kad_time latency(kad__simulator *s) {
  kad_time spread = s->config.latency_max - s->config.latency_min;
  return s->config.latency_min + kad_random_below(&s->random, spread + 1);
}

static void dial_failed_at_once(kad__simulator *s, host *h, kad__id id,
                                int error) {
  kad__swarm_dial_failed(kad__node_swarm(h->node), id, error, s->now);
}

static void dial(kad__simulator *s, host *h, kad__id id, kad_bytes address) {
  host *to = host_at(s, address);
  s->counters.dials++;
  if (to == NULL) {
    dial_failed_at_once(s, h, id, KAD_E_UNREACHABLE);
    return;
  }
  pipe *p = kad__calloc(&s->allocator, 1, sizeof(*p));
  if (p == NULL) {
    dial_failed_at_once(s, h, id, KAD_E_NO_MEMORY);
    return;
  }
  p->references = 1;
  p->latency = latency(s);
  p->ends[0] = (pipe_end){.host = h, .pipe = p};
  p->ends[1] = (pipe_end){.host = to, .pipe = p};
  if (map_end(s, &p->ends[0], id) < 0) {
    dial_failed_at_once(s, h, id, KAD_E_NO_MEMORY);
  } else {
    send_to(s, &p->ends[1], ARRIVAL, kad__bytes(NULL, 0));
  }
  release_pipe(s, p);
}

static void listen_on(kad__simulator *s, host *h, kad__id id) {
  uint8_t list[2 * ADDRESS_LEN + 8];
  size_t len = 0;
  h->listener = id;
  h->listening = true;
  (void)kad__addresses_append(list, sizeof(list), &len,
                              kad__bytes(h->address, ADDRESS_LEN));
  kad__swarm_listening(kad__node_swarm(h->node), id, kad__bytes(list, len),
                       s->now);
}

static void close_end(kad__simulator *s, host *h, kad__id id) {
  pipe_end *end = find_end(h, id);
  if (end == NULL) {
    return;
  }
  send_to(s, other_end(end), END, kad__bytes(NULL, 0));
  unmap(s, end);
}

static void act(kad__simulator *s, host *h, const kad__world_action *action) {
  switch (action->type) {
    case KAD__WORLD_LISTEN:
      listen_on(s, h, action->id);
      return;
    case KAD__WORLD_UNLISTEN:
      h->listening = false;
      return;
    case KAD__WORLD_DIAL:
      dial(s, h, action->id, action->address);
      return;
    case KAD__WORLD_CLOSE:
      close_end(s, h, action->id);
      return;
    case KAD__WORLD_PAUSE: /* a link has no buffer that could fill up */
    case KAD__WORLD_RESUME:
      return;
    case KAD__WORLD_RESOLVE: /* there are no names here */
      kad__swarm_resolve_end(kad__node_swarm(h->node), action->id,
                             KAD_E_RESOLVE, s->now);
      return;
  }
}

static void write_out(kad__simulator *s, host *h, kad__id id) {
  kad__swarm *swarm = kad__node_swarm(h->node);
  size_t len;
  while ((len = kad__swarm_output(swarm, id, s->output, OUTPUT_LEN, s->now)) >
         0) {
    pipe_end *end = find_end(h, id);
    if (end == NULL) {
      continue;
    }
    s->counters.chunks++;
    s->counters.bytes += len;
    send_to(s, other_end(end), CHUNK, kad__bytes(s->output, len));
  }
}

static bool carry_out(kad__simulator *s, host *h) {
  kad__swarm *swarm = kad__node_swarm(h->node);
  kad__world_action action;
  kad__id id;
  bool busy = false;
  while ((id = kad__swarm_next_output(swarm)) != 0) {
    busy = true;
    write_out(s, h, id);
  }
  while (kad__swarm_poll_action(swarm, &action)) {
    busy = true;
    act(s, h, &action);
  }
  return busy;
}

/* Lets a host work off what it was told. */
static void settle(kad__simulator *s, host *h) {
  if (h->node == NULL) {
    return;
  }
  do {
    kad__node_drive(h->node, s->now);
  } while (carry_out(s, h));
  kad_time deadline = kad__node_deadline(h->node);
  if (deadline == KAD_TIME_NEVER) {
    kad__heap_remove(&s->deadlines, &h->deadline);
  } else {
    /* The node's heap entry exists since it was added: moving cannot fail. */
    (void)kad__heap_set(&s->deadlines, &s->allocator, &h->deadline,
                        deadline > s->now ? deadline : s->now + 1);
  }
  if (kad__node_has_events(h->node) && !kad__list_linked(&h->dirty)) {
    kad__list_append(&s->dirty, &h->dirty);
  }
}

/* ---- what happens to a host ---------------------------------------------- */

/* The listener's side of a dial: 0, or why it is refused. */
static int accept_dial(kad__simulator *s, pipe *p) {
  pipe_end *dialler = &p->ends[0];
  pipe_end *listener = &p->ends[1];
  host *to = listener->host;
  kad__id id = 0;
  uint8_t remote[ADDRESS_LEN];
  memcpy(remote, dialler->host->address, ADDRESS_LEN);
  /* A dialler's port is its own. */
  kad__store16(remote + 6, (uint16_t)(32768 + dialler->connection % 28000));
  if (!to->listening ||
      kad__swarm_accepted(kad__node_swarm(to->node), &id, to->listener,
                          kad__bytes(remote, ADDRESS_LEN),
                          kad__bytes(to->address, ADDRESS_LEN), s->now) < 0) {
    return KAD_E_REFUSED;
  }
  return map_end(s, listener, id);
}

static void arrive(kad__simulator *s, pipe *p) {
  host *to = p->ends[1].host;
  bool heard = to->node != NULL && !to->walled && !cut(s, p->ends[0].host, to);
  kad_time at = s->now + (heard ? p->latency : s->config.dial_timeout);
  /* Planned before the listener says anything, so that it comes first. */
  happening *outcome = plan(s, OUTCOME, p, 0, kad__bytes(NULL, 0), at);
  if (outcome == NULL) {
    return;
  }
  p->ends[0].last_arrival = at;
  outcome->error = heard ? accept_dial(s, p) : KAD_E_TIMEOUT;
  settle(s, to);
}

static void learn_outcome(kad__simulator *s, const happening *h) {
  pipe_end *end = &h->pipe->ends[0];
  host *dialler = end->host;
  if (dialler->node == NULL || end->connection == 0) {
    return;
  }
  kad__swarm *swarm = kad__node_swarm(dialler->node);
  kad__id id = end->connection;
  if (h->error == 0) {
    kad__swarm_dialed(swarm, id, kad__bytes(dialler->address, ADDRESS_LEN),
                      s->now);
  } else {
    unmap(s, end);
    kad__swarm_dial_failed(swarm, id, h->error, s->now);
  }
  settle(s, dialler);
}

static void deliver(kad__simulator *s, happening *h) {
  pipe_end *end = &h->pipe->ends[h->side];
  host *to = end->host;
  if (to->node == NULL || end->connection == 0 ||
      cut(s, to, other_end(end)->host)) {
    return;
  }
  kad__swarm *swarm = kad__node_swarm(to->node);
  kad__id id = end->connection;
  if (h->type == CHUNK) {
    kad__swarm_input(swarm, id, h->bytes, h->len, s->now);
  } else {
    unmap(s, end);
    kad__swarm_closed(swarm, id, 0, s->now);
  }
  settle(s, to);
}

static void happen(kad__simulator *s, happening *h) {
  trace(s, (uint64_t)h->type, h->pipe->ends[h->side].host->number,
        kad__bytes(h->bytes, h->len));
  switch (h->type) {
    case ARRIVAL:
      arrive(s, h->pipe);
      break;
    case OUTCOME:
      learn_outcome(s, h);
      break;
    case CHUNK:
    case END:
      deliver(s, h);
      break;
  }
  release_pipe(s, h->pipe);
  kad__release(&s->allocator, h);
}

/* ---- time ---------------------------------------------------------------- */

kad_time kad__simulator_now(const kad__simulator *s) {
  return s->now;
}

bool kad__simulator_step(kad__simulator *s, kad_time until) {
  kad_time next_happening = kad__heap_deadline(&s->future);
  kad_time next_deadline = kad__heap_deadline(&s->deadlines);
  kad_time next = kad__time_min(next_happening, next_deadline);
  if (next > until) {
    s->now = until;
    return false;
  }
  s->now = next;
  if (next_happening <= next_deadline) {
    kad__heap_node *node = kad__heap_take_due(&s->future, s->now);
    happen(s, KAD__CONTAINER(node, happening, at));
    return true;
  }
  kad__heap_node *node = kad__heap_take_due(&s->deadlines, s->now);
  settle(s, KAD__CONTAINER(node, host, deadline));
  return true;
}

bool kad__simulator_poll(kad__simulator *s, uint32_t *number, kad_event *out) {
  while (!kad__list_empty(&s->dirty)) {
    host *h = KAD__CONTAINER(s->dirty.next, host, dirty);
    if (h->node != NULL && kad__node_poll(h->node, out)) {
      *number = h->number;
      return true;
    }
    kad__list_unlink(&h->dirty);
  }
  return false;
}

/* ---- hosts --------------------------------------------------------------- */

static bool grow(kad__simulator *s) {
  if (s->count < s->cap) {
    return true;
  }
  uint32_t cap = s->cap == 0 ? 64 : 2 * s->cap;
  host **hosts =
      kad__resize_array(&s->allocator, s->hosts, cap, sizeof(host *));
  if (hosts == NULL) {
    return false;
  }
  s->hosts = hosts;
  s->cap = cap;
  return true;
}

static void host_free(kad__simulator *s, host *h) {
  kad__node_free(h->node);
  kad_key_pair_free(h->identity);
  kad__map_fini(&h->ends, &s->allocator);
  kad__release(&s->allocator, h);
}

static int make_node(kad__simulator *s, host *h, const kad__node_config *config,
                     uint32_t contact) {
  int error = kad_key_pair_generate(&h->identity, &s->allocator, &s->random);
  if (error < 0) {
    return error;
  }
  uint8_t seed[KAD_RANDOM_SEED_LEN];
  kad_random_bytes(&s->random, seed, sizeof(seed));
  kad__node_config own = *config;
  kad_bytes listen = kad__bytes(h->address, ADDRESS_LEN);
  kad_bytes bootstrap = kad__bytes(NULL, 0);
  if (own.allocator == NULL) {
    own.allocator = &s->allocator;
  }
  own.identity = h->identity;
  own.seed = seed;
  own.listen = &listen;
  own.listen_count = 1;
  if (contact < s->count) {
    bootstrap = kad__bytes(s->hosts[contact]->address, ADDRESS_LEN);
    own.bootstrap = &bootstrap;
    own.bootstrap_count = 1;
  }
  return kad__node_new(&h->node, &own, s->now, s->config.unix_ns + s->now);
}

static void give_address(const kad__simulator *s, host *h) {
  uint32_t ip = s->config.public_addresses
                    ? (h->number + (PUBLIC_FIRST << 8)) << 16 | 1
                    : UINT32_C(10) << 24 | h->number;
  h->address[0] = KAD_MULTIADDR_IP4;
  kad__store32(h->address + 1, ip);
  h->address[5] = KAD_MULTIADDR_TCP;
  kad__store16(h->address + 6, PORT);
}

int kad__simulator_add(kad__simulator *s, const kad__node_config *config,
                       uint32_t contact) {
  if (!grow(s)) {
    return KAD_E_NO_MEMORY;
  }
  host *h = kad__calloc(&s->allocator, 1, sizeof(*h));
  if (h == NULL) {
    return KAD_E_NO_MEMORY;
  }
  uint64_t secret[2] = {kad_random_u64(&s->random), kad_random_u64(&s->random)};
  h->number = s->count;
  give_address(s, h);
  kad__map_init(&h->ends, secret);
  kad__list_init(&h->dirty);
  kad__heap_node_init(&h->deadline);
  int error = make_node(s, h, config, contact);
  if (error == 0) {
    error = kad__heap_set(&s->deadlines, &s->allocator, &h->deadline, s->now);
  }
  if (error < 0) {
    host_free(s, h);
    return error;
  }
  s->hosts[s->count++] = h;
  settle(s, h);
  return (int)h->number;
}

size_t kad__simulator_count(const kad__simulator *s) {
  return s->count;
}

kad__node *kad__simulator_node(kad__simulator *s, uint32_t number) {
  return s->hosts[number]->node;
}

const kad_peer_id *kad__simulator_id(const kad__simulator *s, uint32_t number) {
  return kad_key_pair_peer_id(s->hosts[number]->identity);
}

void kad__simulator_firewall(kad__simulator *s, uint32_t number, bool on) {
  s->hosts[number]->walled = on;
}

void kad__simulator_crash(kad__simulator *s, uint32_t number) {
  host *h = s->hosts[number];
  uint32_t slot = 0;
  kad__map_node *node;
  while ((node = kad__map_next(&h->ends, &slot, NULL)) != NULL) {
    unmap(s, KAD__CONTAINER(node, pipe_end, node));
    slot = 0;
  }
  kad__list_unlink(&h->dirty);
  kad__heap_remove(&s->deadlines, &h->deadline);
  kad__node_free(h->node);
  h->node = NULL;
}

void kad__simulator_partition(kad__simulator *s, uint32_t border, bool on) {
  s->border = border;
  s->partitioned = on;
}

/* ---- requests ------------------------------------------------------------ */

int kad__simulator_start(kad__simulator *s, uint32_t number,
                         kad_request_id *out, const kad_request *request) {
  host *h = s->hosts[number];
  if (h->node == NULL) {
    return KAD_E_CLOSED;
  }
  int error = kad__node_start(h->node, out, request, s->now);
  settle(s, h);
  return error;
}

void kad__simulator_touch(kad__simulator *s, uint32_t number) {
  settle(s, s->hosts[number]);
}

/* Copies the bytes of a result, so that it survives the events behind it. */
static void keep_result(kad__simulator *s, kad__simulator_result *out,
                        const kad_event *event) {
  size_t len = event->value.len + event->addresses.len;
  uint8_t *kept = kad__resize(&s->allocator, s->kept, len + 1);
  if (kept == NULL) {
    return;
  }
  s->kept = kept;
  out->last = *event;
  out->last.key = kad__bytes(NULL, 0);
  out->last.value = kad__bytes(kept, event->value.len);
  out->last.addresses =
      kad__bytes(kept + event->value.len, event->addresses.len);
  if (event->value.len > 0) {
    memcpy(kept, event->value.data, event->value.len);
  }
  if (event->addresses.len > 0) {
    memcpy(kept + event->value.len, event->addresses.data,
           event->addresses.len);
  }
}

bool kad__simulator_finish(kad__simulator *s, uint32_t number,
                           kad_request_id request, kad_time until,
                           kad__simulator_result *out) {
  kad_event event;
  uint32_t from = 0;
  *out = (kad__simulator_result){.last.type = KAD_EVENT_END};
  do {
    while (kad__simulator_poll(s, &from, &event)) {
      if (from != number || event.request != request) {
        continue;
      }
      if (event.type == KAD_EVENT_END) {
        out->end = event;
        return true;
      }
      out->results++;
      keep_result(s, out, &event);
    }
  } while (kad__simulator_step(s, until));
  return false;
}

/* ---- the whole ----------------------------------------------------------- */

int kad__simulator_new(kad__simulator **out,
                       const kad__simulator_config *config) {
  kad__simulator *s = kad__calloc(config->allocator, 1, sizeof(*s));
  if (s == NULL) {
    return KAD_E_NO_MEMORY;
  }
  s->allocator = *config->allocator;
  s->config = *config;
  s->config.allocator = &s->allocator;
  kad_random_init_u64(&s->random, config->seed);
  kad__list_init(&s->dirty);
  *out = s;
  return 0;
}

void kad__simulator_free(kad__simulator *s) {
  if (s == NULL) {
    return;
  }
  for (uint32_t i = 0; i < s->count; i++) {
    kad__simulator_crash(s, i);
  }
  for (uint32_t i = 0; i < s->future.len; i++) {
    happening *h = KAD__CONTAINER(s->future.nodes[i], happening, at);
    release_pipe(s, h->pipe);
    kad__release(&s->allocator, h);
  }
  for (uint32_t i = 0; i < s->count; i++) {
    host_free(s, s->hosts[i]);
  }
  kad_allocator allocator = s->allocator;
  kad__heap_fini(&s->future, &allocator);
  kad__heap_fini(&s->deadlines, &allocator);
  kad__release(&allocator, s->hosts);
  kad__release(&allocator, s->kept);
  kad__release(&allocator, s);
}

uint64_t kad__simulator_trace(const kad__simulator *s) {
  return s->trace;
}

const kad__simulator_counters *kad__simulator_counters_get(
    const kad__simulator *s) {
  return &s->counters;
}
