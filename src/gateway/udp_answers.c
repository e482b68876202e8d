/* The requests of others, turned into the DHT's messages and back. */
#include "gateway/udp_internal.h"

static void to_request(kad__message *out, const kad__udp_request *in) {
  static const kad__message_type types[] = {
      [KAD__UDP_PING] = KAD__PING,
      [KAD__UDP_STORE] = KAD__PUT_VALUE,
      [KAD__UDP_FIND_NODE] = KAD__FIND_NODE,
      [KAD__UDP_FIND_VALUE] = KAD__GET_VALUE};
  kad__message_init(out, types[in->ask]);
  if (in->ask != KAD__UDP_PING) {
    out->key = kad__udp_id_bytes(in->key);
  }
  if (in->ask == KAD__UDP_STORE) {
    out->has_record = true;
    out->record = (kad__wire_record){.key = out->key, .value = in->value};
  }
}

/* The first address of a list that can be told, as text. */
static bool tell_address(char text[KAD__UDP_TEXT_MAX], size_t *len,
                         kad_bytes list) {
  kad_bytes bytes;
  kad__udp_address address;
  while (kad__addresses_next(&list, &bytes)) {
    if (kad__udp_address_load(&address, bytes)) {
      *len = kad__udp_address_format(text, &address);
      return true;
    }
  }
  return false;
}

static void tell_nodes(kad__udp *g, kad__udp_message *out) {
  const kad__message *reply = &g->reply;
  out->reply = KAD__UDP_NODES;
  out->node_count = 0;
  for (size_t i = 0; i < reply->closer_count; i++) {
    const kad__wire_peer *peer = &reply->closer[i];
    char *text = g->texts[out->node_count];
    size_t len;
    /* Our own entry comes without addresses. */
    if (peer->id.len == KAD__UDP_ID_LEN &&
        kad__udp_same_id(peer->id.data, g->id)) {
      out->nodes[out->node_count++] = g->self;
    } else if (peer->id.len == KAD__UDP_ID_LEN &&
               tell_address(text, &len, peer->addresses)) {
      out->nodes[out->node_count++] = (kad__udp_node){
          .address = kad__bytes(text, len), .id = peer->id.data};
    }
  }
}

/* A record that others stored by other ways may not fit, or not be text. */
static bool tell_value(const kad__udp *g, kad__udp_message *out) {
  out->reply = KAD__UDP_VALUE;
  out->value = g->reply.record.value;
  return g->reply.has_record &&
         kad__udp_message_len(out) <= KAD__UDP_DATAGRAM_MAX &&
         kad__udp_utf8(out->value);
}

/* `stored`: what the DHT said to a store. */
static int build(kad__udp *g, kad__udp_message *out, bool stored) {
  out->type = KAD__UDP_RESPONSE;
  out->request = g->in.request;
  out->receiver = g->self;
  out->reply = KAD__UDP_PONG;
  out->value = kad__bytes(NULL, 0);
  out->node_count = 0;
  switch (g->in.request.ask) {
    case KAD__UDP_PING:
      break;
    case KAD__UDP_STORE:
      out->reply = stored ? KAD__UDP_PONG : KAD__UDP_NODES;
      break;
    case KAD__UDP_FIND_VALUE:
      if (tell_value(g, out)) {
        break;
      }
      tell_nodes(g, out);
      break;
    case KAD__UDP_FIND_NODE:
      tell_nodes(g, out);
      break;
  }
  /* The request is repeated, and its sender chose how much room that takes. */
  while (out->reply == KAD__UDP_NODES && out->node_count > 0 &&
         kad__udp_message_len(out) > KAD__UDP_DATAGRAM_MAX) {
    out->node_count--;
  }
  return kad__udp_message_len(out) <= KAD__UDP_DATAGRAM_MAX
             ? 0
             : KAD_E_MESSAGE_TOO_LARGE;
}

/* What a request may cost before it is looked at closer. */
static int admit(kad__udp *g, kad__udp_peer *peer, bool proved, kad_time now) {
  if (kad__udp_same_id(g->in.request.sender.id, g->id)) {
    return KAD_E_SELF;
  }
  if (kad__dht_get_mode(g->dht) == KAD__MODE_CLIENT) {
    return KAD_E_UNSUPPORTED;
  }
  if (proved &&
      !kad__udp_take_tokens(&peer->requests, g->config.peer_rate, 1, now)) {
    g->counters.limited++;
    return KAD_E_LIMIT;
  }
  return 0;
}

static int answer(kad__udp *g, const kad__udp_address *to, bool proved,
                  kad_time now) {
  const kad__udp_request *request = &g->in.request;
  to_request(&g->request, request);
  int result = kad__dht_answer(g->dht, &g->reply, &g->request,
                               kad__udp_id_bytes(request->sender.id),
                               kad__udp_address_bytes(to), now);
  g->counters.refused += result < 0;
  if (result < 0 && request->ask != KAD__UDP_STORE) {
    return result;
  }
  int error = build(g, &g->out, result >= 0);
  if (error == 0 && !proved &&
      !kad__udp_take_tokens(&g->strangers, g->config.stranger_rate,
                            kad__udp_message_len(&g->out), now)) {
    g->counters.limited++;
    error = KAD_E_LIMIT;
  }
  error = error != 0 ? error : kad__udp_send(g, to, &g->out);
  return error != 0 ? error : result < 0 ? result : 0;
}

int kad__udp_take_request(kad__udp *g, const kad__udp_address *from,
                          kad_time now) {
  const uint8_t *id = g->in.request.sender.id;
  kad__udp_peer *peer = kad__udp_peer_at(g, from);
  bool proved = kad__udp_peer_is(peer, id);
  int error = admit(g, peer, proved, now);
  if (error != 0) {
    return error;
  }
  /* The ping goes first: a peer that goes on to store has answered it by then.
   */
  kad__udp_ask_proof(g, from, id, now);
  if (!proved && g->in.request.ask == KAD__UDP_STORE) {
    g->counters.unproved++;
    return KAD_E_STATE;
  }
  error = answer(g, from, proved, now);
  g->counters.requests_in += error == 0;
  return error;
}
