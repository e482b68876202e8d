/* Hosts: what a node wants of its world, and what it is told of dials and
 * links. */
#include "kadmium/multiaddr.h"
#include "simulator/simulator_internal.h"
#include "wire/addresses.h"

#define PORT 4001
#define OTHER_PORTS 4100
#define PUBLIC_FIRST 11
/* A host that sends little at a time. */
#define FEW_BYTES 200

/* ---- addresses ----------------------------------------------------------- */

static void give_address(const kad__simulator *s, kad__sim_host *h) {
  uint32_t ip = s->config.public_addresses
                    ? (h->number + (PUBLIC_FIRST << 8)) << 16 | 1
                    : UINT32_C(10) << 24 | h->number;
  h->address[0] = KAD_MULTIADDR_IP4;
  kad__store32(h->address + 1, ip);
  h->address[5] = KAD_MULTIADDR_TCP;
  kad__store16(h->address + KAD__SIM_PORT_AT, PORT);
}

/* False: it is not an IPv4 address with a TCP port. */
static bool read_address(uint32_t *ip, uint16_t *port, kad_bytes address) {
  if (address.len < KAD__SIM_ADDRESS_LEN ||
      address.data[0] != KAD_MULTIADDR_IP4 ||
      address.data[5] != KAD_MULTIADDR_TCP) {
    return false;
  }
  *ip = kad__load32(address.data + 1);
  *port = kad__load16(address.data + KAD__SIM_PORT_AT);
  return true;
}

static kad__sim_host *host_at(kad__simulator *s, uint32_t ip) {
  uint32_t number = s->config.public_addresses
                        ? (ip >> 16) - (PUBLIC_FIRST << 8)
                        : ip & 0xffffff;
  return number < s->count ? s->hosts[number] : NULL;
}

static kad_bytes with_port(uint8_t out[KAD__SIM_ADDRESS_LEN],
                           const kad__sim_host *h, uint16_t port) {
  memcpy(out, h->address, KAD__SIM_ADDRESS_LEN);
  kad__store16(out + KAD__SIM_PORT_AT, port);
  return kad__bytes(out, KAD__SIM_ADDRESS_LEN);
}

/* ---- listening ----------------------------------------------------------- */

static kad__sim_listener *find_listener(kad__sim_host *h, uint16_t port) {
  for (size_t i = 0; i < KAD__SIM_LISTENERS; i++) {
    if (h->listeners[i].id != 0 && h->listeners[i].port == port) {
      return &h->listeners[i];
    }
  }
  return NULL;
}

/* Returns why not. */
static int bind(kad__sim_host *h, uint16_t *port, kad__id id,
                kad_bytes address) {
  uint32_t ip = 0;
  if (!read_address(&ip, port, address) ||
      (ip != 0 && ip != kad__load32(h->address + 1))) {
    return KAD_E_UNREACHABLE;
  }
  for (uint16_t i = 0; i < KAD__SIM_LISTENERS; i++) {
    kad__sim_listener *l = &h->listeners[i];
    if (*port == 0) {
      *port = (uint16_t)(OTHER_PORTS + i);
    }
    if (find_listener(h, *port) != NULL) {
      return KAD_E_ADDRESS_IN_USE;
    }
    if (l->id == 0) {
      *l = (kad__sim_listener){.id = id, .port = *port};
      return 0;
    }
  }
  return KAD_E_LIMIT;
}

static void listen_on(kad__simulator *s, kad__sim_host *h, kad__id id,
                      kad_bytes address) {
  uint8_t bound[KAD__SIM_ADDRESS_LEN];
  uint8_t list[2 * KAD__SIM_ADDRESS_LEN];
  size_t len = 0;
  uint16_t port = 0;
  kad__swarm *swarm = kad__node_swarm(h->node);
  int error = bind(h, &port, id, address);
  if (error < 0) {
    kad__swarm_listen_failed(swarm, id, error);
    return;
  }
  (void)kad__addresses_append(list, sizeof(list), &len,
                              with_port(bound, h, port));
  kad__swarm_listening(swarm, id, kad__bytes(list, len), s->now);
}

static void unlisten(kad__sim_host *h, kad__id id) {
  for (size_t i = 0; i < KAD__SIM_LISTENERS; i++) {
    if (h->listeners[i].id == id) {
      h->listeners[i].id = 0;
    }
  }
}

/* ---- dials --------------------------------------------------------------- */

static void dial_failed_at_once(kad__simulator *s, kad__sim_host *h, kad__id id,
                                int error) {
  kad__swarm_dial_failed(kad__node_swarm(h->node), id, error, s->now);
}

static kad__sim_happening *plan_outcome(kad__simulator *s, kad__sim_link *link,
                                        kad_time at, int error) {
  kad__sim_happening *outcome =
      kad__sim_plan(s, KAD__SIM_OUTCOME, link, 0, kad__bytes(NULL, 0), at);
  if (outcome != NULL) {
    outcome->error = error;
    link->ends[0].last_arrival = at;
  }
  return outcome;
}

/* The dial goes on its way, or meets its fate at once. */
static void set_out(kad__simulator *s, kad__sim_link *link) {
  if (kad__sim_chance(s, s->faults.unanswered)) {
    return;
  }
  if (kad__sim_chance(s, s->faults.refused)) {
    (void)plan_outcome(s, link, s->now + 2 * link->latency, KAD_E_REFUSED);
    return;
  }
  kad__sim_send(s, &link->ends[1], KAD__SIM_ARRIVAL, kad__bytes(NULL, 0));
}

static void dial(kad__simulator *s, kad__sim_host *h, kad__id id,
                 kad_bytes address) {
  uint32_t ip = 0;
  uint16_t port = 0;
  kad__sim_host *to = read_address(&ip, &port, address) ? host_at(s, ip) : NULL;
  s->counters.dials++;
  if (to == NULL) {
    dial_failed_at_once(s, h, id, KAD_E_UNREACHABLE);
    return;
  }
  kad__sim_link *link = kad__sim_link_new(s, h, to);
  if (link == NULL) {
    dial_failed_at_once(s, h, id, KAD_E_NO_MEMORY);
    return;
  }
  link->port = port;
  if (kad__sim_map(s, &link->ends[0], id) < 0) {
    dial_failed_at_once(s, h, id, KAD_E_NO_MEMORY);
  } else {
    set_out(s, link);
  }
  kad__sim_link_release(s, link);
}

/* The listener's side of a dial: 0, or why it is refused. */
static int accept_dial(kad__simulator *s, kad__sim_link *link) {
  kad__sim_end *dialler = &link->ends[0];
  kad__sim_end *listener = &link->ends[1];
  kad__sim_host *to = listener->host;
  kad__sim_listener *l = find_listener(to, link->port);
  kad__id id = 0;
  uint8_t remote[KAD__SIM_ADDRESS_LEN];
  uint8_t local[KAD__SIM_ADDRESS_LEN];
  /* A dialler's port is its own. */
  uint16_t port = (uint16_t)(32768 + dialler->connection % 28000);
  if (l == NULL ||
      kad__swarm_accepted(kad__node_swarm(to->node), &id, l->id,
                          with_port(remote, dialler->host, port),
                          with_port(local, to, link->port), s->now) < 0) {
    return KAD_E_REFUSED;
  }
  return kad__sim_map(s, listener, id);
}

static bool hears(const kad__simulator *s, const kad__sim_link *link) {
  const kad__sim_host *to = link->ends[1].host;
  return to->node != NULL && !to->walled && !kad__sim_parted(s, link);
}

void kad__sim_dial_arrives(kad__simulator *s, kad__sim_link *link) {
  kad__sim_host *to = link->ends[1].host;
  if (!hears(s, link)) {
    (void)plan_outcome(s, link, s->now + s->config.dial_timeout, KAD_E_TIMEOUT);
    return;
  }
  /* Planned before the listener says anything, so that it comes first. */
  kad__sim_happening *outcome =
      plan_outcome(s, link, s->now + link->latency, 0);
  if (outcome == NULL) {
    return;
  }
  if (find_listener(to, link->port) != NULL &&
      kad__sim_chance(s, s->faults.late)) {
    kad_time wait = kad_random_below(&s->random, 4 * link->latency);
    link->ends[1].coming =
        kad__sim_plan(s, KAD__SIM_ACCEPT, link, 1, kad__bytes(NULL, 0),
                      s->now + wait) != NULL;
    return;
  }
  outcome->error = accept_dial(s, link);
  kad__sim_turn(s, to);
}

void kad__sim_dial_accepted(kad__simulator *s, kad__sim_link *link) {
  kad__sim_end *end = &link->ends[1];
  end->coming = false;
  if (end->host->node != NULL && accept_dial(s, link) == 0) {
    kad__sim_mark_readable(s, end);
    kad__sim_turn(s, end->host);
    return;
  }
  kad__sim_drop_arrived(s, end);
  if (end->host->node != NULL) {
    kad__sim_send(s, &link->ends[0], KAD__SIM_END, kad__bytes(NULL, 0));
  }
}

void kad__sim_dial_ends(kad__simulator *s, const kad__sim_happening *h) {
  kad__sim_end *end = &h->link->ends[0];
  kad__sim_host *dialler = end->host;
  if (dialler->node == NULL || end->connection == 0) {
    return;
  }
  kad__swarm *swarm = kad__node_swarm(dialler->node);
  kad__id id = end->connection;
  if (h->error == 0) {
    kad__swarm_dialed(
        swarm, id, kad__bytes(dialler->address, KAD__SIM_ADDRESS_LEN), s->now);
  } else {
    kad__sim_unmap(s, end);
    kad__swarm_dial_failed(swarm, id, h->error, s->now);
  }
  kad__sim_turn(s, dialler);
}

/* ---- what a host does ---------------------------------------------------- */

static void close_end(kad__simulator *s, kad__sim_host *h, kad__id id) {
  kad__sim_end *end = kad__sim_find(h, id);
  if (end != NULL) {
    kad__sim_send(s, kad__sim_other(end), KAD__SIM_END, kad__bytes(NULL, 0));
    kad__sim_unmap(s, end);
  }
}

static void pause(kad__simulator *s, kad__sim_host *h, kad__id id, bool on) {
  kad__sim_end *end = kad__sim_find(h, id);
  if (end == NULL) {
    return;
  }
  end->paused = on;
  kad__list_unlink(&end->ready);
  kad__sim_mark_readable(s, end);
}

static void act(kad__simulator *s, kad__sim_host *h,
                const kad__world_action *action) {
  switch (action->type) {
    case KAD__WORLD_LISTEN:
      listen_on(s, h, action->id, action->address);
      return;
    case KAD__WORLD_UNLISTEN:
      unlisten(h, action->id);
      return;
    case KAD__WORLD_DIAL:
      dial(s, h, action->id, action->address);
      return;
    case KAD__WORLD_CLOSE:
      close_end(s, h, action->id);
      return;
    case KAD__WORLD_PAUSE:
    case KAD__WORLD_RESUME:
      pause(s, h, action->id, action->type == KAD__WORLD_PAUSE);
      return;
    case KAD__WORLD_RESOLVE:
      kad__sim_resolve(s, h, action);
      return;
  }
}

/* How much `end` may send at once. */
static size_t room(kad__simulator *s, const kad__sim_end *end) {
  size_t window = s->faults.window;
  size_t cap = KAD__SIM_OUTPUT_LEN;
  if (end != NULL && window != 0) {
    size_t left = end->unread < window ? window - end->unread : 0;
    cap = left < cap ? left : cap;
  }
  if (cap > FEW_BYTES && kad__sim_chance(s, s->faults.split)) {
    cap = 1 + (size_t)kad_random_below(&s->random, FEW_BYTES);
  }
  return cap;
}

static void write_out(kad__simulator *s, kad__sim_host *h, kad__id id) {
  kad__swarm *swarm = kad__node_swarm(h->node);
  kad__sim_end *end = kad__sim_find(h, id);
  for (;;) {
    size_t cap = room(s, end);
    if (cap == 0) {
      end->full = true;
      return;
    }
    size_t len = kad__swarm_output(swarm, id, s->output, cap, s->now);
    if (len == 0) {
      return;
    }
    if (end == NULL) {
      continue;
    }
    s->counters.chunks++;
    s->counters.bytes += len;
    end->unread += len;
    kad__sim_send(s, kad__sim_other(end), KAD__SIM_CHUNK,
                  kad__bytes(s->output, len));
  }
}

static bool send_all(kad__simulator *s, kad__sim_host *h) {
  kad__list *node;
  kad__id id;
  bool busy = false;
  while ((node = kad__list_take(&h->writable)) != NULL) {
    busy = true;
    write_out(s, h, KAD__CONTAINER(node, kad__sim_end, roomy)->connection);
  }
  while ((id = kad__swarm_next_output(kad__node_swarm(h->node))) != 0) {
    busy = true;
    write_out(s, h, id);
  }
  return busy;
}

static bool act_all(kad__simulator *s, kad__sim_host *h) {
  kad__world_action action;
  bool busy = false;
  while (kad__swarm_poll_action(kad__node_swarm(h->node), &action)) {
    busy = true;
    act(s, h, &action);
  }
  return busy;
}

static bool carry_out(kad__simulator *s, kad__sim_host *h) {
  bool first = s->faults.lag != 0 && kad__sim_chance(s, 500);
  bool busy = first && act_all(s, h);
  busy |= send_all(s, h);
  return act_all(s, h) || busy;
}

/* ---- what a host reads --------------------------------------------------- */

static kad__sim_happening *first_arrived(const kad__sim_end *end) {
  return kad__list_empty(&end->arrived)
             ? NULL
             : KAD__CONTAINER(end->arrived.next, kad__sim_happening, waiting);
}

/* What waits in front of `end`, in one piece of exactly its length, so that
 * overruns are seen. NULL: there is no chunk, or no memory. */
static kad__sim_happening *take_chunks(kad__simulator *s, kad__sim_end *end) {
  kad__sim_happening *first = first_arrived(end);
  size_t len = 0;
  size_t count = 0;
  KAD__LIST_EACH(node, &end->arrived) {
    kad__sim_happening *h = KAD__CONTAINER(node, kad__sim_happening, waiting);
    if (h->type != KAD__SIM_CHUNK || len + h->len > KAD__SIM_OUTPUT_LEN) {
      break;
    }
    len += h->len;
    count++;
  }
  if (count <= 1) {
    return first;
  }
  kad__sim_happening *all = kad__alloc(&s->allocator, sizeof(*all) + len);
  if (all == NULL) {
    return first;
  }
  *all = *first;
  all->len = 0;
  kad__list_init(&all->waiting);
  all->link->references++;
  for (; count > 0; count--) {
    kad__sim_happening *h = first_arrived(end);
    memcpy(all->bytes + all->len, h->bytes, h->len);
    all->len += h->len;
    kad__sim_happening_free(s, h);
  }
  return all;
}

/* There is room again for what `end` wants to send. */
static void give_room(kad__simulator *s, kad__sim_end *end, size_t len) {
  end->unread -= len < end->unread ? len : end->unread;
  if (!end->full || end->connection == 0) {
    return;
  }
  end->full = false;
  kad__list_append(&end->host->writable, &end->roomy);
  (void)kad__heap_set(&s->deadlines, &s->allocator, &end->host->deadline,
                      s->now);
}

static void read_end(kad__simulator *s, kad__sim_end *end) {
  kad__swarm *swarm = kad__node_swarm(end->host->node);
  kad__id id = end->connection;
  kad__sim_happening *h = take_chunks(s, end);
  if (h->type == KAD__SIM_CHUNK) {
    kad__list_unlink(&h->waiting);
    give_room(s, kad__sim_other(end), h->len);
    kad__swarm_input(swarm, id, h->bytes, h->len, s->now);
    kad__sim_happening_free(s, h);
    kad__sim_mark_readable(s, end);
    return;
  }
  int error = h->error;
  kad__sim_unmap(s, end);
  kad__swarm_closed(swarm, id, error, s->now);
}

/* Of each end one piece. */
static void read_all(kad__simulator *s, kad__sim_host *h) {
  kad__list now;
  kad__list *node;
  kad__list_init(&now);
  while ((node = kad__list_take(&h->readable)) != NULL) {
    kad__list_append(&now, node);
  }
  while ((node = kad__list_take(&now)) != NULL) {
    read_end(s, KAD__CONTAINER(node, kad__sim_end, ready));
  }
}

/* ---- turns --------------------------------------------------------------- */

void kad__sim_settle(kad__simulator *s, kad__sim_host *h) {
  if (h->node == NULL) {
    return;
  }
  do {
    read_all(s, h);
    kad__node_drive(h->node, s->now);
  } while (carry_out(s, h) || !kad__list_empty(&h->readable));
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

void kad__sim_turn(kad__simulator *s, kad__sim_host *h) {
  if (s->faults.lag == 0 || h->node == NULL) {
    kad__sim_settle(s, h);
    return;
  }
  kad_time at = s->now + kad_random_below(&s->random, s->faults.lag + 1);
  if (!kad__heap_has(&h->deadline) || at < h->deadline.at) {
    (void)kad__heap_set(&s->deadlines, &s->allocator, &h->deadline, at);
  }
}

/* ---- life ---------------------------------------------------------------- */

static bool grow(kad__simulator *s) {
  if (s->count < s->cap) {
    return true;
  }
  uint32_t cap = s->cap == 0 ? 64 : 2 * s->cap;
  kad__sim_host **hosts =
      kad__resize_array(&s->allocator, s->hosts, cap, sizeof(kad__sim_host *));
  if (hosts == NULL) {
    return false;
  }
  s->hosts = hosts;
  s->cap = cap;
  return true;
}

void kad__sim_host_free(kad__simulator *s, kad__sim_host *h) {
  kad__node_free(h->node);
  kad_key_pair_free(h->identity);
  kad__map_fini(&h->ends, &s->allocator);
  kad__release(&s->allocator, h);
}

static int make_node(kad__simulator *s, kad__sim_host *h,
                     const kad__node_config *config, uint32_t contact) {
  uint8_t seed[KAD_RANDOM_SEED_LEN];
  kad_random_bytes(&s->random, seed, sizeof(seed));
  kad__node_config own = *config;
  kad_bytes listen = kad__bytes(h->address, KAD__SIM_ADDRESS_LEN);
  kad_bytes bootstrap = kad__bytes(NULL, 0);
  if (own.allocator == NULL) {
    own.allocator = &s->allocator;
  }
  own.identity = h->identity;
  own.seed = seed;
  own.listen = &listen;
  own.listen_count = 1;
  if (contact < s->count) {
    bootstrap = kad__bytes(s->hosts[contact]->address, KAD__SIM_ADDRESS_LEN);
    own.bootstrap = &bootstrap;
    own.bootstrap_count = 1;
  }
  return kad__node_new(&h->node, &own, s->now, s->config.unix_ns + s->now);
}

static int begin_life(kad__simulator *s, kad__sim_host *h,
                      const kad__node_config *config, uint32_t contact) {
  int error = make_node(s, h, config, contact);
  return error < 0 ? error
                   : kad__heap_set(&s->deadlines, &s->allocator, &h->deadline,
                                   s->now);
}

int kad__simulator_add(kad__simulator *s, const kad__node_config *config,
                       uint32_t contact) {
  if (!grow(s)) {
    return KAD_E_NO_MEMORY;
  }
  kad__sim_host *h = kad__calloc(&s->allocator, 1, sizeof(*h));
  if (h == NULL) {
    return KAD_E_NO_MEMORY;
  }
  uint64_t secret[2] = {kad_random_u64(&s->random), kad_random_u64(&s->random)};
  h->number = s->count;
  give_address(s, h);
  kad__map_init(&h->ends, secret);
  kad__list_init(&h->dirty);
  kad__list_init(&h->readable);
  kad__list_init(&h->writable);
  kad__heap_node_init(&h->deadline);
  int error = kad_key_pair_generate(&h->identity, &s->allocator, &s->random);
  if (error == 0) {
    error = begin_life(s, h, config, contact);
  }
  if (error < 0) {
    kad__sim_host_free(s, h);
    return error;
  }
  s->hosts[s->count++] = h;
  kad__sim_settle(s, h);
  return (int)h->number;
}

void kad__simulator_crash(kad__simulator *s, uint32_t number) {
  kad__sim_host *h = s->hosts[number];
  uint32_t slot = 0;
  kad__map_node *node;
  while ((node = kad__map_next(&h->ends, &slot, NULL)) != NULL) {
    kad__sim_unmap(s, KAD__CONTAINER(node, kad__sim_end, node));
    slot = 0;
  }
  memset(h->listeners, 0, sizeof(h->listeners));
  kad__list_unlink(&h->dirty);
  kad__heap_remove(&s->deadlines, &h->deadline);
  kad__node_free(h->node);
  h->node = NULL;
}

int kad__simulator_restart(kad__simulator *s, uint32_t number,
                           const kad__node_config *config, uint32_t contact) {
  kad__sim_host *h = s->hosts[number];
  int error = begin_life(s, h, config, contact);
  if (error < 0) {
    kad__simulator_crash(s, number);
    return error;
  }
  kad__sim_settle(s, h);
  return 0;
}
