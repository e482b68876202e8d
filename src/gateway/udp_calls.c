/* Our calls. Each is one datagram with a random id, kept until the answer comes
 * or the time is up, and sent again meanwhile, to the peer's next address if
 * it has several: datagrams get lost, and asking twice does no harm. */
#include "gateway/udp_internal.h"

typedef struct call {
  kad__map_node by_request;
  kad__map_node by_id;
  kad__heap_node timer;
  kad__udp_packet packet; /* its bytes are `datagram` */
  kad__call_id id;
  uint8_t id_bytes[8];
  uint8_t request[KAD__UDP_ID_LEN];
  uint8_t peer[KAD__UDP_ID_LEN];
  uint8_t key[KAD__UDP_ID_LEN];
  kad__udp_ask ask;
  kad_bytes value; /* of a store: in the datagram */
  kad__udp_address addresses[KAD__UDP_CALL_ADDRESSES];
  uint32_t address_count;
  uint32_t attempts;
  kad_time retry; /* until the next one */
  kad_time deadline;
  uint8_t datagram[];
} call;

/* ---- life --------------------------------------------------------------- */

static void call_free(kad__udp *g, call *c) {
  kad__list_unlink(&c->packet.link);
  kad__heap_remove(&g->timers, &c->timer);
  kad__map_remove(&g->calls, &c->by_request);
  kad__map_remove(&g->dht_calls, &c->by_id);
  kad__release(&g->allocator, c);
}

static void call_fail(kad__udp *g, call *c, int error, kad_time now) {
  kad__call_id id = c->id;
  call_free(g, c);
  kad__dht_failed(g->dht, id, error, now);
}

void kad__udp_calls_fini(kad__udp *g) {
  kad__heap_node *first;
  while ((first = kad__heap_first(&g->timers)) != NULL) {
    call_free(g, KAD__CONTAINER(first, call, timer));
  }
  kad__heap_fini(&g->timers, &g->allocator);
  kad__map_fini(&g->calls, &g->allocator);
  kad__map_fini(&g->dht_calls, &g->allocator);
}

/* ---- asking ------------------------------------------------------------- */

static uint32_t usable_addresses(kad__udp_address *out, kad_bytes list) {
  kad_bytes bytes;
  uint32_t n = 0;
  while (n < KAD__UDP_CALL_ADDRESSES && kad__addresses_next(&list, &bytes)) {
    n += kad__udp_address_load(&out[n], bytes);
  }
  return n;
}

/* The request that a call is; KAD_E_STATE when the protocol has none. */
static int to_request(kad__udp_request *out, const kad__dht_call *in) {
  const kad__message *m = in->message;
  bool has_key = m->key.len == KAD__UDP_ID_LEN;
  out->key = m->key.data;
  switch (m->type) {
    case KAD__PING:
      out->ask = KAD__UDP_PING;
      return 0;
    case KAD__FIND_NODE:
      out->ask = KAD__UDP_FIND_NODE;
      return has_key ? 0 : KAD_E_STATE;
    case KAD__GET_VALUE:
      out->ask = KAD__UDP_FIND_VALUE;
      return has_key ? 0 : KAD_E_STATE;
    case KAD__PUT_VALUE:
      out->ask = KAD__UDP_STORE;
      out->value = m->record.value;
      return kad__udp_check_record(m->key, m->record.value) == 0 ? 0
                                                                 : KAD_E_STATE;
    default:
      return KAD_E_STATE;
  }
}

/* Sends it to the next of its addresses, and sets the time for the one after.
 * The call is in the heap already, where moving cannot fail. */
static void call_send(kad__udp *g, call *c, kad_time now) {
  kad_time next = c->deadline;
  c->packet.to = c->addresses[c->attempts % c->address_count];
  c->attempts++;
  if (c->attempts < g->config.attempts) {
    next = kad__time_min(next, kad__time_add(now, c->retry));
    c->retry = kad__time_add(c->retry, c->retry);
  }
  (void)kad__heap_set(&g->timers, &g->allocator, &c->timer, next);
  kad__list_unlink(&c->packet.link);
  kad__list_append(&g->outgoing, &c->packet.link);
}

static int call_register(kad__udp *g, call *c) {
  int error = kad__heap_set(&g->timers, &g->allocator, &c->timer, c->deadline);
  if (error != 0) {
    return error;
  }
  error = kad__map_add(&g->calls, &g->allocator, &c->by_request,
                       kad__udp_id_bytes(c->request));
  if (error != 0) {
    kad__heap_remove(&g->timers, &c->timer);
    return error;
  }
  error = kad__map_add(&g->dht_calls, &g->allocator, &c->by_id,
                       kad__bytes(c->id_bytes, sizeof c->id_bytes));
  if (error != 0) {
    kad__heap_remove(&g->timers, &c->timer);
    kad__map_remove(&g->calls, &c->by_request);
  }
  return error;
}

static void call_init(call *c, const kad__udp *g, const kad__dht_call *in,
                      const kad__udp_request *request, kad_time now) {
  c->id = in->id;
  c->ask = request->ask;
  c->retry = g->config.retry;
  c->deadline =
      kad__time_min(in->deadline, kad__time_add(now, g->config.timeout));
  kad__store64(c->id_bytes, in->id);
  memcpy(c->peer, in->peer.data, KAD__UDP_ID_LEN);
  if (request->ask != KAD__UDP_PING) {
    memcpy(c->key, request->key, KAD__UDP_ID_LEN);
  }
  kad__heap_node_init(&c->timer);
  kad__list_init(&c->packet.link);
  c->packet.bytes = c->datagram;
}

/* The datagram, and where in it the value is that a store ends with. */
static int call_encode(call *c, kad__udp *g, kad__udp_request *request,
                       size_t len) {
  kad_random_bytes(g->config.random, c->request, sizeof c->request);
  request->id = c->request;
  request->sender = g->self;
  g->out.request = *request;
  int result = kad__udp_message_encode(c->datagram, len, &g->out);
  if (result < 0) {
    return result;
  }
  c->packet.len = (uint32_t)result;
  size_t value = request->ask == KAD__UDP_STORE ? request->value.len : 0;
  c->value = kad__bytes(c->datagram + len - value, value);
  return 0;
}

static int call_start(kad__udp *g, const kad__dht_call *in, kad_time now) {
  kad__udp_request request = {0};
  kad__udp_address addresses[KAD__UDP_CALL_ADDRESSES];
  int error =
      in->peer.len == KAD__UDP_ID_LEN ? to_request(&request, in) : KAD_E_STATE;
  if (error != 0) {
    g->counters.not_carried++;
    return error;
  }
  uint32_t count = usable_addresses(addresses, in->addresses);
  if (count == 0) {
    return KAD_E_NO_ADDRESS;
  }
  g->out.type = KAD__UDP_REQUEST;
  g->out.request = request;
  g->out.request.sender = g->self;
  size_t len = kad__udp_message_len(&g->out);
  call *c = kad__calloc(&g->allocator, 1, sizeof *c + len);
  if (c == NULL) {
    return KAD_E_NO_MEMORY;
  }
  call_init(c, g, in, &request, now);
  memcpy(c->addresses, addresses, sizeof addresses);
  c->address_count = count;
  error = call_encode(c, g, &request, len);
  error = error != 0 ? error : call_register(g, c);
  if (error != 0) {
    kad__release(&g->allocator, c);
    return error;
  }
  call_send(g, c, now);
  g->counters.calls++;
  return 0;
}

static void cancel(kad__udp *g, kad__call_id id) {
  uint8_t key[8];
  kad__store64(key, id);
  kad__map_node *node = kad__map_find(&g->dht_calls, kad__bytes(key, 8));
  if (node != NULL) {
    call_free(g, KAD__CONTAINER(node, call, by_id));
  }
}

void kad__udp_drive(kad__udp *g, kad_time now) {
  kad__dht_call in;
  kad__call_id cancelled;
  while ((cancelled = kad__dht_poll_cancel(g->dht)) != 0) {
    cancel(g, cancelled);
  }
  while (g->calls.len < g->config.max_calls &&
         kad__dht_poll_call(g->dht, &in)) {
    int error = call_start(g, &in, now);
    if (error != 0) {
      kad__dht_failed(g->dht, in.id, error, now);
    }
  }
}

/* ---- being answered ----------------------------------------------------- */

static void to_peers(kad__udp *g, kad__message *out) {
  size_t used = 0;
  for (size_t i = 0; i < g->in.node_count; i++) {
    const kad__udp_node *node = &g->in.nodes[i];
    kad__udp_address address;
    size_t begin = used;
    if (kad__udp_same_id(node->id, g->id)) {
      continue;
    }
    if (!kad__udp_address_parse(&address, node->address) ||
        !kad__addresses_append(g->lists, sizeof g->lists, &used,
                               kad__udp_address_bytes(&address))) {
      g->counters.nodes_passed++;
      continue;
    }
    out->closer[out->closer_count++] = (kad__wire_peer){
        .id = kad__udp_id_bytes(node->id),
        .addresses = kad__bytes(g->lists + begin, used - begin)};
  }
}

/* The DHT's reply in g->reply. KAD_E_MESSAGE: the answer is to some other
 * question. KAD_E_STREAM_RESET: refused, as a stream would be. */
static int to_reply(kad__udp *g, const call *c) {
  static const kad__message_type types[] = {
      [KAD__UDP_PING] = KAD__PING,
      [KAD__UDP_STORE] = KAD__PUT_VALUE,
      [KAD__UDP_FIND_NODE] = KAD__FIND_NODE,
      [KAD__UDP_FIND_VALUE] = KAD__GET_VALUE};
  kad__message *out = &g->reply;
  kad__udp_reply got = g->in.reply;
  kad__message_init(out, types[c->ask]);
  out->key =
      c->ask == KAD__UDP_PING ? kad__bytes(NULL, 0) : kad__udp_id_bytes(c->key);
  bool find = c->ask == KAD__UDP_FIND_NODE || c->ask == KAD__UDP_FIND_VALUE;
  if (find && got == KAD__UDP_NODES) {
    to_peers(g, out);
    return 0;
  }
  if (c->ask == KAD__UDP_FIND_VALUE && got == KAD__UDP_VALUE) {
    out->has_record = true;
    out->record = (kad__wire_record){.key = out->key, .value = g->in.value};
    return 0;
  }
  if (c->ask == KAD__UDP_STORE && got == KAD__UDP_PONG) {
    out->has_record = true;
    out->record = (kad__wire_record){.key = out->key, .value = c->value};
    return 0;
  }
  if (c->ask == KAD__UDP_STORE && got == KAD__UDP_NODES) {
    return KAD_E_STREAM_RESET;
  }
  return c->ask == KAD__UDP_PING && got == KAD__UDP_PONG ? 0 : KAD_E_MESSAGE;
}

static bool was_asked(const call *c, const kad__udp_address *from) {
  for (uint32_t i = 0; i < c->address_count && i < c->attempts; i++) {
    if (kad__udp_same_address(&c->addresses[i], from)) {
      return true;
    }
  }
  return false;
}

static int finish(kad__udp *g, call *c, const kad__udp_address *from,
                  kad_time now) {
  int error = to_reply(g, c);
  if (error == KAD_E_MESSAGE) {
    g->counters.mismatches++;
  } else {
    kad__udp_proved(g, from, c->peer, now);
  }
  if (error != 0) {
    call_fail(g, c, error, now);
    return error == KAD_E_STREAM_RESET ? 0 : error;
  }
  g->counters.replies++;
  error = kad__dht_replied(g->dht, c->id, &g->reply, now);
  call_free(g, c);
  return error;
}

int kad__udp_take_response(kad__udp *g, const kad__udp_address *from,
                           kad_time now) {
  const kad__udp_message *m = &g->in;
  kad__map_node *node =
      kad__map_find(&g->calls, kad__udp_id_bytes(m->request.id));
  if (node == NULL) {
    return kad__udp_take_proof(g, from, now);
  }
  call *c = KAD__CONTAINER(node, call, by_request);
  if (!was_asked(c, from)) {
    g->counters.strays++;
    return KAD_E_NOT_FOUND;
  }
  if (!kad__udp_same_id(c->peer, m->receiver.id)) {
    g->counters.mismatches++;
    call_fail(g, c, KAD_E_PEER_MISMATCH, now);
    return KAD_E_PEER_MISMATCH;
  }
  return finish(g, c, from, now);
}

/* ---- time --------------------------------------------------------------- */

static void call_timed_out(kad__udp *g, call *c, kad_time now) {
  g->counters.timeouts++;
  for (uint32_t i = 0; i < c->address_count && i < c->attempts; i++) {
    kad__udp_silent(g, &c->addresses[i], c->peer);
  }
  call_fail(g, c, KAD_E_TIMEOUT, now);
}

void kad__udp_calls_tick(kad__udp *g, kad_time now) {
  kad__heap_node *first;
  while ((first = kad__heap_first(&g->timers)) != NULL && first->at <= now) {
    call *c = KAD__CONTAINER(first, call, timer);
    if (now >= c->deadline) {
      call_timed_out(g, c, now);
      continue;
    }
    call_send(g, c, now);
    g->counters.retries++;
  }
}
