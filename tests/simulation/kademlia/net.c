#include "net.h"

#include "support.h"
#include "wire/addresses.h"

typedef enum packet_kind {
  PACKET_REQUEST,
  PACKET_REPLY,
  PACKET_FAIL
} packet_kind;

typedef struct packet {
  kad__heap_node node;
  packet_kind kind;
  uint32_t from;
  uint32_t to;
  kad__call_id call;
  bool expects_reply;
  int error;
  size_t len;
  uint8_t bytes[];
} packet;

static uint64_t mix(uint64_t x) {
  x ^= x >> 30;
  x *= UINT64_C(0xbf58476d1ce4e5b9);
  x ^= x >> 27;
  x *= UINT64_C(0x94d049bb133111eb);
  return x ^ x >> 31;
}

void net_hash(uint8_t out[32], kad_bytes in) {
  uint64_t h = mix(in.len + 1);
  for (size_t i = 0; i < in.len; i++) {
    h = mix(h ^ in.data[i]) + UINT64_C(0x9e3779b97f4a7c15) * (i + 1);
  }
  for (unsigned i = 0; i < 4; i++) {
    h = mix(h + UINT64_C(0x9e3779b97f4a7c15));
    kad__store64(out + 8 * i, h);
  }
}

void net_init(net *n, uint64_t seed) {
  memset(n, 0, sizeof *n);
  n->allocator = kad_allocator_default();
  kad__dht_config_default(&n->config);
  kad__memory_store_config_default(&n->store_config);
  n->config.allocator = n->allocator;
  n->config.hash = net_hash;
  kad_random_init_u64(&n->random, seed);
  n->now = KAD_HOUR;
  n->latency_min = 10 * KAD_MILLISECOND;
  n->latency_max = 90 * KAD_MILLISECOND;
}

void net_fini(net *n) {
  for (uint32_t i = 0; i < n->count; i++) {
    kad__dht_free(n->nodes[i]->dht);
    n->nodes[i]->store->ops->free(n->nodes[i]->store);
    free(n->nodes[i]);
  }
  kad__heap_node *node;
  while ((node = kad__heap_take_due(&n->packets, KAD_TIME_NEVER)) != NULL) {
    free(KAD__CONTAINER(node, packet, node));
  }
  kad__heap_fini(&n->packets, kad_allocator_default());
  kad__heap_fini(&n->timers, kad_allocator_default());
  free(n->nodes);
}

static void set_timer(net *n, net_node *node) {
  kad_time at = kad__dht_deadline(node->dht);
  if (node->state == NET_DOWN || at == KAD_TIME_NEVER) {
    kad__heap_remove(&n->timers, &node->timer);
    return;
  }
  at = at < n->now ? n->now : at;
  assert_int_equal(
      kad__heap_set(&n->timers, kad_allocator_default(), &node->timer, at), 0);
}

uint32_t net_add_as(net *n, const uint8_t id[NET_ID_LEN]) {
  net_node *node = calloc(1, sizeof *node);
  uint64_t secret[2] = {kad_random_u64(&n->random), kad_random_u64(&n->random)};
  if (n->count == n->cap) {
    n->cap = n->cap == 0 ? 64 : n->cap * 2;
    n->nodes = realloc(n->nodes, n->cap * sizeof *n->nodes);
  }
  n->nodes[n->count] = node;
  node->index = n->count;
  kad__heap_node_init(&node->timer);
  kad_random_init_u64(&node->random, kad_random_u64(&n->random));
  memcpy(node->id, id, NET_ID_LEN);
  memcpy(node->address, "node", 4);
  kad__store32(node->address + 4, node->index);
  assert_ok(kad__memory_store_new(&node->store, n->allocator, &n->store_config,
                                  secret));
  n->config.local_id = kad__bytes(node->id, NET_ID_LEN);
  n->config.random = &node->random;
  n->config.store = node->store;
  assert_ok(kad__dht_new(&node->dht, &n->config, n->now));
  kad__dht_set_mode(node->dht, KAD__MODE_SERVER);
  set_timer(n, node);
  return n->count++;
}

uint32_t net_add(net *n) {
  uint8_t id[NET_ID_LEN] = {0x12, 0x20};
  kad_random_bytes(&n->random, id + 2, 32);
  return net_add_as(n, id);
}

kad_bytes net_id(const net *n, uint32_t node) {
  return kad__bytes(n->nodes[node]->id, NET_ID_LEN);
}

kad_bytes net_address(const net *n, uint32_t node) {
  return kad__bytes(n->nodes[node]->address, 8);
}

int net_find(const net *n, kad_bytes id) {
  for (uint32_t i = 0; i < n->count; i++) {
    if (kad__bytes_equal(net_id(n, i), id)) {
      return (int)i;
    }
  }
  return -1;
}

void net_set(net *n, uint32_t node, net_state state) {
  n->nodes[node]->state = state;
  set_timer(n, n->nodes[node]);
}

static void check(net *n, const net_node *node) {
  if (n->check) {
    const char *broken = kad__dht_check(node->dht);
    if (broken != NULL) {
      fail_msg("%s", broken);
    }
  }
}

static kad_time latency(net *n) {
  return n->latency_min +
         kad_random_below(&n->random, n->latency_max - n->latency_min + 1);
}

static void send_packet(net *n, packet *p, kad_time delay) {
  kad__heap_node_init(&p->node);
  assert_int_equal(kad__heap_set(&n->packets, kad_allocator_default(), &p->node,
                                 n->now + delay),
                   0);
}

static packet *packet_new(packet_kind kind, uint32_t from, uint32_t to,
                          kad__call_id call, const kad__message *m) {
  size_t cap = m == NULL ? 0 : kad__message_len(m) + 8;
  packet *p = malloc(sizeof *p + cap);
  *p = (packet){.kind = kind, .from = from, .to = to, .call = call};
  if (m != NULL) {
    int len = kad__message_encode(p->bytes, cap, m);
    assert_ok(len);
    p->len = (size_t)len;
  }
  return p;
}

/* The length prefix is minimal and short: skip it. */
static int packet_decode(const packet *p, kad__message *m) {
  size_t skip = 0;
  while ((p->bytes[skip++] & 0x80) != 0) {
  }
  return kad__message_decode(m, kad__bytes(p->bytes + skip, p->len - skip));
}

/* Where the addresses of a call lead: like a dialer, by address. */
static int route(const net *n, const kad__dht_call *call) {
  kad_bytes rest = call->addresses;
  kad_bytes address;
  if (n->config.no_addresses) {
    return net_find(n, call->peer);
  }
  while (kad__addresses_next(&rest, &address)) {
    if (address.len == 8 && memcmp(address.data, "node", 4) == 0) {
      uint32_t index = kad__load32(address.data + 4);
      if (index < n->count && kad__bytes_equal(net_id(n, index), call->peer)) {
        return (int)index;
      }
    }
  }
  return -1;
}

static void fail_later(net *n, uint32_t node, kad__call_id call, int error,
                       kad_time delay) {
  packet *p = packet_new(PACKET_FAIL, node, node, call, NULL);
  p->error = error;
  send_packet(n, p, delay);
}

/* Nobody is there, nor says so. */
static bool leads_nowhere(const kad__dht_call *call) {
  kad_bytes rest = call->addresses;
  kad_bytes address;
  return kad__addresses_next(&rest, &address) && address.len == 8 &&
         memcmp(address.data, "hole", 4) == 0;
}

static void take_call(net *n, net_node *node, const kad__dht_call *call) {
  int to = route(n, call);
  if (to < 0 && leads_nowhere(call)) {
    return;
  }
  if (to < 0) {
    fail_later(n, node->index, call->id, KAD_E_NO_ADDRESS, KAD_SECOND);
    return;
  }
  if (n->nodes[to]->state == NET_DOWN) {
    fail_later(n, node->index, call->id, KAD_E_DIAL, KAD_SECOND);
    return;
  }
  n->messages++;
  if (kad_random_below(&n->random, 1000) < n->loss) {
    return;
  }
  packet *p = packet_new(PACKET_REQUEST, node->index, (uint32_t)to, call->id,
                         call->message);
  p->expects_reply = call->expects_reply;
  send_packet(n, p, latency(n));
}

void net_touch(net *n, uint32_t index) {
  net_node *node = n->nodes[index];
  kad__dht_call call;
  check(n, node);
  while (kad__dht_poll_call(node->dht, &call)) {
    take_call(n, node, &call);
  }
  while (kad__dht_poll_cancel(node->dht) != 0) {
  }
  check(n, node);
  set_timer(n, node);
}

kad__routing_update net_introduce(net *n, uint32_t node, uint32_t other) {
  kad__routing_update update = kad__dht_add_address(
      n->nodes[node]->dht, net_id(n, other), net_address(n, other), n->now);
  net_touch(n, node);
  return update;
}

static int node_answer(net *n, net_node *node, kad__message *reply,
                       const kad__message *request, kad_bytes from) {
  int result = 2;
  if (n->answer != NULL) {
    result = n->answer(n, node, reply, request, from);
  }
  if (result == 2) {
    result = kad__dht_answer(node->dht, reply, request, from, (kad_bytes){0},
                             n->now);
  }
  return result;
}

/* Our own entry as a provider, or as a target, goes out with our address. */
static void fill_in(const net *n, const net_node *node, kad__wire_peer *peers,
                    size_t count, uint8_t *list, size_t cap) {
  size_t len = 0;
  kad__addresses_append(list, cap, &len, net_address(n, node->index));
  for (size_t i = 0; i < count; i++) {
    if (kad__bytes_equal(peers[i].id, net_id(n, node->index))) {
      peers[i].addresses = kad__bytes(list, len);
    }
  }
}

static void on_request(net *n, packet *p) {
  net_node *node = n->nodes[p->to];
  kad__message request;
  kad__message reply;
  uint8_t list[16];
  assert_ok(packet_decode(p, &request));
  if (node->state == NET_SILENT) {
    return;
  }
  if (node->state == NET_DOWN) {
    fail_later(n, p->from, p->call, KAD_E_CLOSED, latency(n));
    return;
  }
  fill_in(n, n->nodes[p->from], request.providers, request.provider_count, list,
          sizeof list);
  if (kad__dht_get_mode(n->nodes[p->from]->dht) == KAD__MODE_SERVER) {
    assert_ok(kad__dht_peer_confirmed(node->dht, net_id(n, p->from),
                                      net_address(n, p->from), n->now));
  }
  node->answered++;
  int result = node_answer(n, node, &reply, &request, net_id(n, p->from));
  if (result < 0) {
    fail_later(n, p->from, p->call, KAD_E_STREAM_RESET, latency(n));
  } else if (p->expects_reply && result == 1) {
    fill_in(n, node, reply.providers, reply.provider_count, list, sizeof list);
    fill_in(n, node, reply.closer, reply.closer_count, list, sizeof list);
    n->messages++;
    if (kad_random_below(&n->random, 1000) >= n->loss) {
      send_packet(n, packet_new(PACKET_REPLY, p->to, p->from, p->call, &reply),
                  latency(n));
    }
  } else if (!p->expects_reply) {
    send_packet(n, packet_new(PACKET_REPLY, p->to, p->from, p->call, NULL), 1);
  }
  net_touch(n, p->to);
}

static void on_reply(net *n, packet *p) {
  net_node *node = n->nodes[p->to];
  kad__message reply;
  if (node->state == NET_DOWN) {
    return;
  }
  assert_ok(kad__dht_peer_confirmed(node->dht, net_id(n, p->from),
                                    net_address(n, p->from), n->now));
  if (p->len == 0) {
    kad__dht_sent(node->dht, p->call, n->now);
  } else {
    assert_ok(packet_decode(p, &reply));
    (void)kad__dht_replied(node->dht, p->call, &reply, n->now);
  }
  net_touch(n, p->to);
}

static void on_packet(net *n, packet *p) {
  if (p->kind == PACKET_REQUEST) {
    on_request(n, p);
  } else if (p->kind == PACKET_REPLY) {
    on_reply(n, p);
  } else {
    kad__dht_failed(n->nodes[p->to]->dht, p->call, p->error, n->now);
    net_touch(n, p->to);
  }
}

bool net_step(net *n, kad_time until) {
  kad_time packet_at = kad__heap_deadline(&n->packets);
  kad_time timer_at = kad__heap_deadline(&n->timers);
  if (kad__time_min(packet_at, timer_at) > until) {
    n->now = until;
    return false;
  }
  if (packet_at <= timer_at) {
    n->now = packet_at;
    kad__heap_node *first = kad__heap_take_due(&n->packets, packet_at);
    packet *p = KAD__CONTAINER(first, packet, node);
    on_packet(n, p);
    free(p);
    return true;
  }
  n->now = timer_at;
  net_node *node = KAD__CONTAINER(kad__heap_first(&n->timers), net_node, timer);
  kad__dht_tick(node->dht, n->now);
  net_touch(n, node->index);
  return true;
}

static void drain_events(net *n) {
  for (uint32_t i = 0; i < n->count; i++) {
    kad__dht_event event;
    while (kad__dht_poll_event(n->nodes[i]->dht, &event)) {
    }
  }
}

void net_run(net *n, kad_time duration) {
  kad_time until = n->now + duration;
  while (net_step(n, until)) {
  }
  drain_events(n);
}

kad__dht_event net_await(net *n, uint32_t node, kad__query_id query,
                         net_each each, void *user) {
  kad__dht_event event;
  kad_time until = n->now + KAD_HOUR;
  net_touch(n, node);
  for (;;) {
    while (kad__dht_poll_event(n->nodes[node]->dht, &event)) {
      if (event.query != query) {
        continue;
      }
      if (each != NULL) {
        each(user, &event);
      }
      if (event.type == KAD__DHT_QUERY_ENDED) {
        return event;
      }
    }
    if (!net_step(n, until)) {
      fail_msg("query %llu does not end", (unsigned long long)query);
    }
  }
}

void net_join_all(net *n, kad_time gap) {
  for (uint32_t i = 1; i < n->count; i++) {
    kad__query_id id;
    net_introduce(n, i, (uint32_t)kad_random_below(&n->random, i));
    assert_ok(kad__dht_bootstrap(n->nodes[i]->dht, &id, n->now));
    net_touch(n, i);
    net_run(n, gap);
  }
}

size_t net_closest_hit(const net *n, kad_bytes key, uint32_t except,
                       uint8_t (*ids)[NET_ID_LEN], size_t count, size_t k) {
  kad__key target = kad__key_of(net_hash, key);
  size_t hit = 0;
  uint8_t *taken = calloc(n->count, 1);
  for (size_t i = 0; i < k; i++) {
    kad__key best = {{UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX}};
    int which = -1;
    for (uint32_t j = 0; j < n->count; j++) {
      kad__key key_j = kad__key_of(net_hash, net_id(n, j));
      kad__key d = kad__key_distance(&key_j, &target);
      if (j != except && !taken[j] && n->nodes[j]->state == NET_UP &&
          kad__key_compare(&d, &best) < 0) {
        best = d;
        which = (int)j;
      }
    }
    if (which < 0) {
      break;
    }
    taken[which] = 1;
    for (size_t j = 0; j < count; j++) {
      hit += memcmp(ids[j], n->nodes[which]->id, NET_ID_LEN) == 0;
    }
  }
  free(taken);
  return hit;
}
