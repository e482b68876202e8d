/* One queue of messages under way and one heap of the nodes' deadlines. A
 * message is one piece of memory, encoded once, and freed when it has arrived.
 *
 * Most of the time of a large network is spent on waiting for memory, so the
 * queue keeps its times in one array, four children to a line, and a node's
 * timer is moved only when it must ring earlier: one that rings too early costs
 * a look. */
#include "simulator/bare.h"

#include "identity/digest.h"
#include "kademlia/memory_store.h"
#include "multiformats/varint.h"
#include "simulator/bare_internal.h"

#define START KAD_HOUR
#define JOIN_LIMIT KAD_HOUR
/* Bytes of an id in which a node's number is found, at its end. */
#define NUMBER_LEN 4

typedef enum packet_kind {
  REQUEST,
  REPLY,
  SENT,    /* to the caller: a request without a reply has left */
  FAILURE, /* to the caller */
  MET      /* of a dial, to either side */
} packet_kind;

typedef struct packet {
  uint8_t kind;
  bool expects_reply;
  uint16_t life; /* of the caller, or of whom it is for */
  int error;
  uint32_t from;
  uint32_t to;
  kad__call_id call;
  size_t len;
  uint8_t bytes[];
} packet;

void kad__bare_config_default(kad__bare_config *config) {
  *config = (kad__bare_config){.latency_min = 10 * KAD_MILLISECOND,
                               .latency_max = 90 * KAD_MILLISECOND,
                               .unreachable = 5 * KAD_SECOND};
  kad__dht_config_default(&config->dht);
  /* Nobody lies here. */
  config->dht.trust_peers = true;
}

/* ---- packets ------------------------------------------------------------- */

/* Of a pair of nodes, the same in both directions. */
kad_time kad__bare_latency(const kad__bare *b, uint32_t from, uint32_t to) {
  uint32_t pair[2] = {from < to ? from : to, from < to ? to : from};
  kad_time spread = b->config.latency_max - b->config.latency_min;
  uint64_t hash = kad__siphash(b->secret, kad__bytes(pair, sizeof(pair)));
  return b->config.latency_min + hash % (spread + 1);
}

/* A packet with room for `m` encoded (NULL: none); NULL without memory. */
static packet *packet_new(kad__bare *b, packet_kind kind, uint32_t from,
                          uint32_t to, const kad__message *m) {
  size_t cap =
      m == NULL ? 0 : kad__message_len(m) + (size_t)KAD__VARINT_MAX_LEN;
  packet *p = kad__alloc(&b->allocator, sizeof(*p) + cap);
  if (p == NULL) {
    return NULL;
  }
  *p = (packet){.kind = (uint8_t)kind, .from = from, .to = to};
  if (m != NULL) {
    int len = kad__message_encode(p->bytes, cap, m);
    p->len = len < 0 ? 0 : (size_t)len;
  }
  return p;
}

/* Takes the packet over. Without memory it is lost, as on any network. */
static void send_after(kad__bare *b, packet *p, kad_time delay) {
  if (kad__bare_queue_add(&b->packets, &b->allocator, b->now + delay, p) < 0) {
    kad__release(&b->allocator, p);
  }
}

static void send_over(kad__bare *b, packet *p) {
  b->counters.messages++;
  b->counters.bytes += p->len;
  if (b->config.loss_per_million > 0 &&
      kad_random_below(&b->random, 1000000) < b->config.loss_per_million) {
    b->counters.losses++;
    kad__release(&b->allocator, p);
    return;
  }
  send_after(b, p, kad__bare_latency(b, p->from, p->to));
}

static int decode(kad__message *out, const packet *p) {
  uint64_t len = 0;
  kad_bytes bytes = kad__bytes(p->bytes, p->len);
  int prefix = kad__varint_decode(&len, bytes);
  return prefix < 0
             ? prefix
             : kad__message_decode(out, kad__bytes_skip(bytes, (size_t)prefix));
}

/* ---- what a node does ---------------------------------------------------- */

/* Tells `caller` how its call ended, unless it has begun another life. */
static void tell_caller(kad__bare *b, uint32_t caller, uint16_t life,
                        kad__call_id call, packet_kind kind, int error,
                        kad_time delay) {
  packet *p = packet_new(b, kind, caller, caller, NULL);
  if (p != NULL) {
    p->life = life;
    p->call = call;
    p->error = error;
    send_after(b, p, delay);
  }
}

static void unreachable(kad__bare *b, uint32_t caller, uint16_t life,
                        kad__call_id call) {
  b->counters.unreachable++;
  tell_caller(b, caller, life, call, FAILURE, KAD_E_DIAL,
              b->config.unreachable);
}

static void make_call(kad__bare *b, uint32_t from, const kad__dht_call *call) {
  uint32_t to = kad__bare_find(b, call->peer);
  uint16_t life = b->nodes[from]->life;
  if (to == KAD__BARE_NOBODY || b->nodes[to]->dht == NULL) {
    unreachable(b, from, life, call->id);
    return;
  }
  packet *p = packet_new(b, REQUEST, from, to, call->message);
  if (p == NULL) {
    return;
  }
  p->life = life;
  p->call = call->id;
  p->expects_reply = call->expects_reply;
  send_over(b, p);
  if (!call->expects_reply) {
    tell_caller(b, from, life, call->id, SENT, 0, 0);
  }
}

/* Moving a timer cannot fail: it is in the heap since the node was added. */
static void set_timer(kad__bare *b, kad__bare_node *node, kad_time at) {
  (void)kad__heap_set(&b->timers, &b->allocator, &node->timer, at);
}

static void arm(kad__bare *b, kad__bare_node *node) {
  kad_time at = kad__dht_deadline(node->dht);
  if (at < node->timer.at) {
    set_timer(b, node, at < b->now ? b->now : at);
  }
}

static void settle(kad__bare *b, kad__bare_node *node) {
  kad__dht_call call;
  while (kad__dht_poll_call(node->dht, &call)) {
    make_call(b, node->number, &call);
  }
  while (kad__dht_poll_cancel(node->dht) != 0) {
  }
  arm(b, node);
  if (!kad__list_linked(&node->dirty)) {
    kad__list_append(&b->dirty, &node->dirty);
  }
}

void kad__bare_touch(kad__bare *b, uint32_t number) {
  if (b->nodes[number]->dht != NULL) {
    settle(b, b->nodes[number]);
  }
}

/* ---- what happens to a node ---------------------------------------------- */

/* One to one for each of its arguments, so that a difference stays. */
static uint64_t mix(uint64_t trace, uint64_t word) {
  uint64_t product = (trace ^ word) * UINT64_C(0x9e3779b97f4a7c15);
  return product << 31 | product >> 33;
}

static void trace(kad__bare *b, const packet *p) {
  uint64_t t = mix(b->trace, b->now);
  t = mix(t, (uint64_t)p->from << 32 | p->to);
  t = mix(t, p->call);
  t = mix(t, p->len << 2 | p->kind);
  size_t i = 0;
  for (; i + 8 <= p->len; i += 8) {
    t = mix(t, kad__load64(p->bytes + i));
  }
  for (; i < p->len; i++) {
    t = mix(t, p->bytes[i]);
  }
  b->trace = t;
}

/* Whoever calls, or is dialled, is there and speaks our protocol; who answers
 * proves more. */
static void confirm(kad__bare *b, kad__bare_node *node, uint32_t other) {
  (void)kad__dht_peer_confirmed(node->dht, kad__bare_id(b, other),
                                kad__bytes(NULL, 0), b->now);
}

static void on_request(kad__bare *b, const packet *p) {
  kad__bare_node *node = b->nodes[p->to];
  if (node->dht == NULL) {
    unreachable(b, p->from, p->life, p->call);
    return;
  }
  if (node->silent || decode(&b->message, p) < 0) {
    return;
  }
  confirm(b, node, p->from);
  int result =
      kad__dht_answer(node->dht, &b->reply, &b->message,
                      kad__bare_id(b, p->from), (kad_bytes){0}, b->now);
  if (result < 0 && p->expects_reply) {
    tell_caller(b, p->from, p->life, p->call, FAILURE, KAD_E_STREAM_RESET,
                kad__bare_latency(b, p->from, p->to));
  } else if (result == 1 && p->expects_reply) {
    packet *reply = packet_new(b, REPLY, p->to, p->from, &b->reply);
    if (reply != NULL) {
      reply->life = p->life;
      reply->call = p->call;
      send_over(b, reply);
    }
  }
  settle(b, node);
}

static void on_end(kad__bare *b, const packet *p) {
  kad__bare_node *node = b->nodes[p->to];
  if (node->dht == NULL || node->life != p->life) {
    return;
  }
  if (p->kind == SENT) {
    kad__dht_sent(node->dht, p->call, b->now);
  } else if (p->kind == FAILURE) {
    kad__dht_failed(node->dht, p->call, p->error, b->now);
  } else if (p->kind == MET) {
    confirm(b, node, p->from);
  } else if (decode(&b->message, p) == 0) {
    (void)kad__dht_replied(node->dht, p->call, &b->message, b->now);
  }
  settle(b, node);
}

static void fetch(const void *memory) {
#if defined(__GNUC__)
  __builtin_prefetch(memory);
#else
  (void)memory;
#endif
}

/* What the next packets need is fetched while this one is looked at: of the
 * next, whom it is for; of those behind it, themselves. */
static void expect(const kad__bare *b) {
  const kad__bare_queue *q = &b->packets;
  for (size_t i = 1; i < q->len && i <= KAD__BARE_CHILDREN; i++) {
    fetch(q->list[i].what);
  }
  if (q->len > 0) {
    const packet *next = q->list[0].what;
    const kad__bare_node *node = b->nodes[next->to];
    fetch(node->dht);
    fetch(next->bytes + 64);
    fetch(next->bytes + 128);
  }
}

static void take_packet(kad__bare *b) {
  packet *p = kad__bare_queue_take(&b->packets);
  expect(b);
  trace(b, p);
  if (p->kind == REQUEST) {
    on_request(b, p);
  } else {
    on_end(b, p);
  }
  kad__release(&b->allocator, p);
}

static void ring(kad__bare *b, kad__bare_node *node) {
  kad_time due = kad__dht_deadline(node->dht);
  set_timer(b, node, due > b->now ? due : KAD_TIME_NEVER);
  if (due <= b->now) {
    kad__dht_tick(node->dht, b->now);
    settle(b, node);
  }
}

bool kad__bare_step(kad__bare *b, kad_time until) {
  kad_time packet_at = kad__bare_queue_next(&b->packets);
  kad_time timer_at = kad__heap_deadline(&b->timers);
  kad_time at = kad__time_min(packet_at, timer_at);
  if (at > until) {
    b->now = until > b->now ? until : b->now;
    return false;
  }
  b->now = at;
  if (packet_at <= timer_at) {
    take_packet(b);
    return true;
  }
  ring(b, KAD__CONTAINER(kad__heap_first(&b->timers), kad__bare_node, timer));
  return true;
}

bool kad__bare_poll(kad__bare *b, uint32_t *number, kad__dht_event *event) {
  while (!kad__list_empty(&b->dirty)) {
    kad__bare_node *node = KAD__CONTAINER(b->dirty.next, kad__bare_node, dirty);
    if (!kad__dht_poll_event(node->dht, event)) {
      kad__list_unlink(&node->dirty);
      continue;
    }
    if (event->type == KAD__DHT_QUERY_ENDED && event->query == node->joining) {
      node->joining = 0;
      b->joining--;
    }
    *number = node->number;
    return true;
  }
  return false;
}

/* ---- nodes --------------------------------------------------------------- */

static void node_down(kad__bare *b, kad__bare_node *node) {
  kad__dht_free(node->dht);
  if (node->store != NULL) {
    node->store->ops->free(node->store);
  }
  node->dht = NULL;
  node->store = NULL;
  kad__heap_remove(&b->timers, &node->timer);
  kad__list_unlink(&node->dirty);
  b->joining -= node->joining != 0;
  node->joining = 0;
}

static int node_up(kad__bare *b, kad__bare_node *node) {
  kad__memory_store_config limits;
  kad__dht_config config = b->config.dht;
  uint64_t secret[2] = {kad_random_u64(&node->random),
                        kad_random_u64(&node->random)};
  kad__memory_store_config_default(&limits);
  int error =
      kad__memory_store_new(&node->store, &b->allocator, &limits, secret);
  if (error < 0) {
    return error;
  }
  config.allocator = &b->allocator;
  config.hash = kad__sha256;
  config.local_id = kad__bytes(node->id, sizeof(node->id));
  config.random = &node->random;
  config.store = node->store;
  config.book = b->book;
  config.no_addresses = true;
  config.muted_events |=
      1u << KAD__DHT_ROUTING_ADDED | 1u << KAD__DHT_ROUTING_UPDATED |
      1u << KAD__DHT_ROUTING_REMOVED | 1u << KAD__DHT_UNROUTABLE |
      1u << KAD__DHT_ROUTABLE | 1u << KAD__DHT_PENDING_ROUTABLE |
      1u << KAD__DHT_MODE_CHANGED;
  error = kad__dht_new(&node->dht, &config, b->now);
  if (error < 0) {
    return error;
  }
  kad__dht_set_mode(node->dht, KAD__MODE_SERVER);
  return kad__heap_set(&b->timers, &b->allocator, &node->timer, KAD_TIME_NEVER);
}

static void node_init(kad__bare *b, kad__bare_node *node, uint32_t number) {
  node->number = number;
  kad__heap_node_init(&node->timer);
  kad__list_init(&node->dirty);
  kad_random_init_u64(&node->random, kad_random_u64(&b->random));
  node->id[0] = 0x12;
  node->id[1] = 32;
  kad_random_bytes(&node->random, node->id + 2,
                   KAD__BARE_ID_LEN - 2 - NUMBER_LEN);
  kad__store32(node->id + KAD__BARE_ID_LEN - NUMBER_LEN, number);
}

static int reserve_node(kad__bare *b) {
  if (b->count < b->cap) {
    return 0;
  }
  uint32_t cap = b->cap == 0 ? 64 : 2 * b->cap;
  kad__bare_node **nodes =
      kad__resize_array(&b->allocator, b->nodes, cap, sizeof(*nodes));
  if (nodes == NULL) {
    return KAD_E_NO_MEMORY;
  }
  b->nodes = nodes;
  b->cap = cap;
  return 0;
}

/* Without memory the node just stays alone. */
static void join(kad__bare *b, kad__bare_node *node, uint32_t contact) {
  (void)kad__dht_add_address(node->dht, kad__bare_id(b, contact),
                             kad__bytes(NULL, 0), b->now);
  if (kad__dht_bootstrap(node->dht, &node->joining, b->now) == 0) {
    b->joining++;
  } else {
    node->joining = 0;
  }
}

int kad__bare_add(kad__bare *b, uint32_t contact) {
  int error = reserve_node(b);
  kad__bare_node *node =
      error < 0 ? NULL : kad__calloc(&b->allocator, 1, sizeof(*node));
  if (node == NULL) {
    return KAD_E_NO_MEMORY;
  }
  node_init(b, node, b->count);
  error = node_up(b, node);
  if (error < 0) {
    node_down(b, node);
    kad__release(&b->allocator, node);
    return error;
  }
  b->nodes[b->count++] = node;
  kad__bare_forget_places(b);
  if (contact != KAD__BARE_NOBODY) {
    join(b, node, contact);
  }
  settle(b, node);
  return (int)node->number;
}

void kad__bare_crash(kad__bare *b, uint32_t number) {
  if (b->nodes[number]->dht != NULL) {
    node_down(b, b->nodes[number]);
    kad__bare_forget_places(b);
  }
}

/* Tells `number` after `delay` that it is connected to `other`. */
static void meet(kad__bare *b, uint32_t number, uint32_t other,
                 kad_time delay) {
  packet *p = packet_new(b, MET, other, number, NULL);
  if (p != NULL) {
    p->life = b->nodes[number]->life;
    send_after(b, p, delay);
  }
}

int kad__bare_return(kad__bare *b, uint32_t number, const uint32_t *contacts,
                     uint32_t count) {
  kad__bare_node *node = b->nodes[number];
  if (node->dht != NULL) {
    return KAD_E_STATE;
  }
  node->life++;
  int error = node_up(b, node);
  if (error < 0) {
    node_down(b, node);
    return error;
  }
  kad__bare_forget_places(b);
  for (uint32_t i = 0; i < count; i++) {
    kad_time way = kad__bare_latency(b, number, contacts[i]);
    if (b->nodes[contacts[i]]->dht != NULL) {
      meet(b, contacts[i], number, way);
      meet(b, number, contacts[i], 2 * way);
    }
  }
  settle(b, node);
  return 0;
}

void kad__bare_silence(kad__bare *b, uint32_t number) {
  b->nodes[number]->silent = true;
  kad__bare_forget_places(b);
}

static uint32_t random_contact(kad__bare *b) {
  if (b->count == 0) {
    return KAD__BARE_NOBODY;
  }
  uint32_t number = (uint32_t)kad_random_below(&b->random, b->count);
  for (uint32_t i = 0; i < b->count; i++) {
    uint32_t next = (number + i) % b->count;
    if (b->nodes[next]->dht != NULL) {
      return next;
    }
  }
  return KAD__BARE_NOBODY;
}

static void run(kad__bare *b, kad_time until) {
  uint32_t number;
  kad__dht_event event;
  do {
    while (kad__bare_poll(b, &number, &event)) {
    }
  } while (kad__bare_step(b, until));
}

int kad__bare_grow(kad__bare *b, uint32_t count, kad_time gap) {
  for (uint32_t i = 0; i < count; i++) {
    int number = kad__bare_add(b, random_contact(b));
    if (number < 0) {
      return number;
    }
    run(b, b->now + gap);
  }
  kad_time limit = b->now + JOIN_LIMIT;
  while (b->joining > 0) {
    if (b->now >= limit) {
      return KAD_E_TIMEOUT;
    }
    run(b, b->now + KAD_SECOND);
  }
  return 0;
}

/* ---- the world ----------------------------------------------------------- */

int kad__bare_new(kad__bare **out, const kad__bare_config *config) {
  if (config->allocator == NULL || config->latency_min > config->latency_max) {
    return KAD_E_INVALID_ARGUMENT;
  }
  kad__bare *b = kad__calloc(config->allocator, 1, sizeof(*b));
  if (b == NULL) {
    return KAD_E_NO_MEMORY;
  }
  b->allocator = *config->allocator;
  b->config = *config;
  b->now = START;
  kad__list_init(&b->dirty);
  kad_random_init_u64(&b->random, config->seed);
  b->secret[0] = kad_random_u64(&b->random);
  b->secret[1] = kad_random_u64(&b->random);
  int error =
      kad__peer_book_new(&b->book, &b->allocator, kad__sha256, b->secret);
  if (error < 0) {
    kad__release(config->allocator, b);
    return error;
  }
  *out = b;
  return 0;
}

void kad__bare_free(kad__bare *b) {
  if (b == NULL) {
    return;
  }
  kad_allocator allocator = b->allocator;
  packet *p;
  for (uint32_t i = 0; i < b->count; i++) {
    node_down(b, b->nodes[i]);
    kad__release(&allocator, b->nodes[i]);
  }
  while ((p = kad__bare_queue_take(&b->packets)) != NULL) {
    kad__release(&allocator, p);
  }
  kad__bare_queue_fini(&b->packets, &allocator);
  kad__heap_fini(&b->timers, &allocator);
  kad__release(&allocator, b->nodes);
  kad__release(&allocator, b->places);
  kad__peer_book_free(b->book);
  kad__release(&allocator, b);
}

size_t kad__bare_count(const kad__bare *b) {
  return b->count;
}

kad__dht *kad__bare_dht(const kad__bare *b, uint32_t number) {
  return b->nodes[number]->dht;
}

kad__store *kad__bare_store(const kad__bare *b, uint32_t number) {
  return b->nodes[number]->store;
}

kad_bytes kad__bare_id(const kad__bare *b, uint32_t number) {
  return kad__bytes(b->nodes[number]->id, KAD__BARE_ID_LEN);
}

uint32_t kad__bare_find(const kad__bare *b, kad_bytes id) {
  if (id.len != KAD__BARE_ID_LEN) {
    return KAD__BARE_NOBODY;
  }
  uint32_t number = kad__load32(id.data + KAD__BARE_ID_LEN - NUMBER_LEN);
  return number < b->count && kad__bytes_equal(kad__bare_id(b, number), id)
             ? number
             : KAD__BARE_NOBODY;
}

kad_time kad__bare_now(const kad__bare *b) {
  return b->now;
}

uint64_t kad__bare_trace(const kad__bare *b) {
  return b->trace;
}

const kad__bare_counters *kad__bare_counters_get(const kad__bare *b) {
  return &b->counters;
}
