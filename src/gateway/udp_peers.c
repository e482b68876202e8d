/* Peers by address. A ping with a random id proves one: lists in the order of
 * time make both the next time-out and the peer to forget when there are too
 * many a matter of looking at the front. */
#include "gateway/udp_internal.h"

/* How long a ping is waited for. */
#define PING_TIMEOUT (3 * KAD_SECOND)
/* A proof is good for so long before an unasked request leads to another. */
#define PROOF_AGE (60 * KAD_SECOND)
/* Who said to be somebody else may say so again after this. */
#define PING_AGAIN (1 * KAD_SECOND)

static bool is_proved(const kad__udp_peer *p) {
  return kad__list_linked(&p->proved);
}

static bool is_pinged(const kad__udp_peer *p) {
  return kad__list_linked(&p->pinged);
}

kad__udp_peer *kad__udp_peer_at(const kad__udp *g,
                                const kad__udp_address *address) {
  kad__map_node *node =
      kad__map_find(&g->peers, kad__udp_address_bytes(address));
  return node == NULL ? NULL : KAD__CONTAINER(node, kad__udp_peer, by_address);
}

bool kad__udp_peer_is(const kad__udp_peer *peer, const uint8_t *id) {
  return peer != NULL && is_proved(peer) && kad__udp_same_id(peer->id, id);
}

/* ---- states ------------------------------------------------------------- */

static kad__udp_peer *peer_new(kad__udp *g, const kad__udp_address *address) {
  kad__udp_peer *p = kad__calloc(&g->allocator, 1, sizeof *p);
  if (p == NULL) {
    return NULL;
  }
  p->address = *address;
  kad__list_init(&p->proved);
  kad__list_init(&p->pinged);
  if (kad__map_add(&g->peers, &g->allocator, &p->by_address,
                   kad__udp_address_bytes(&p->address)) != 0) {
    kad__release(&g->allocator, p);
    return NULL;
  }
  return p;
}

static void end_ping(kad__udp *g, kad__udp_peer *p) {
  if (is_pinged(p)) {
    kad__map_remove(&g->pings, &p->by_ping);
    kad__list_unlink(&p->pinged);
    g->pinged_count--;
  }
}

static void end_proof(kad__udp *g, kad__udp_peer *p) {
  if (is_proved(p)) {
    kad__list_unlink(&p->proved);
    g->proved_count--;
  }
}

static void peer_free(kad__udp *g, kad__udp_peer *p) {
  end_ping(g, p);
  end_proof(g, p);
  kad__map_remove(&g->peers, &p->by_address);
  kad__release(&g->allocator, p);
}

static void forget(kad__udp *g, kad__udp_peer *p, kad_time now) {
  kad__dht_peer_disconnected(g->dht, kad__udp_id_bytes(p->id), now);
  peer_free(g, p);
}

static kad__udp_peer *first_of(const kad__list *list, size_t offset) {
  if (kad__list_empty(list)) {
    return NULL;
  }
  return (kad__udp_peer *)(void *)((char *)list->next - offset);
}

static kad__udp_peer *first_proved(const kad__udp *g) {
  return first_of(&g->proved, offsetof(kad__udp_peer, proved));
}

static kad__udp_peer *first_pinged(const kad__udp *g) {
  return first_of(&g->pinged, offsetof(kad__udp_peer, pinged));
}

void kad__udp_peers_fini(kad__udp *g) {
  kad__udp_peer *p;
  while ((p = first_proved(g)) != NULL || (p = first_pinged(g)) != NULL) {
    peer_free(g, p);
  }
  kad__map_fini(&g->peers, &g->allocator);
  kad__map_fini(&g->pings, &g->allocator);
}

/* ---- proofs ------------------------------------------------------------- */

static void make_room(kad__udp *g, kad_time now) {
  while (g->proved_count >= g->config.max_peers) {
    forget(g, first_proved(g), now);
  }
}

void kad__udp_proved(kad__udp *g, const kad__udp_address *address,
                     const uint8_t *id, kad_time now) {
  kad__udp_peer *p = kad__udp_peer_at(g, address);
  if (p != NULL && is_proved(p) && !kad__udp_same_id(p->id, id)) {
    kad__dht_peer_disconnected(g->dht, kad__udp_id_bytes(p->id), now);
  }
  if (p == NULL || !is_proved(p)) {
    make_room(g, now);
    p = p != NULL ? p : peer_new(g, address);
  }
  /* Without memory the peer is told all the same, and proves itself again. */
  if (p != NULL) {
    end_ping(g, p);
    end_proof(g, p);
    memcpy(p->id, id, KAD__UDP_ID_LEN);
    p->proved_at = now;
    kad__list_append(&g->proved, &p->proved);
    g->proved_count++;
  }
  (void)kad__dht_peer_confirmed(g->dht, kad__udp_id_bytes(id),
                                kad__udp_address_bytes(address), now);
}

void kad__udp_silent(kad__udp *g, const kad__udp_address *address,
                     const uint8_t *id) {
  kad__udp_peer *p = kad__udp_peer_at(g, address);
  /* The DHT learns of it by the call that failed. */
  if (kad__udp_peer_is(p, id)) {
    peer_free(g, p);
  }
}

/* ---- pings -------------------------------------------------------------- */

static bool send_ping(kad__udp *g, const kad__udp_peer *p, kad_time now) {
  kad__udp_message *m = &g->out;
  m->type = KAD__UDP_REQUEST;
  m->request = (kad__udp_request){
      .id = p->ping, .sender = g->self, .ask = KAD__UDP_PING};
  if (!is_proved(p) &&
      !kad__udp_take_tokens(&g->strangers, g->config.stranger_rate,
                            kad__udp_message_len(m), now)) {
    g->counters.limited++;
    return false;
  }
  return kad__udp_send(g, &p->address, m) == 0;
}

static bool is_time(const kad__udp_peer *p, const uint8_t *id, kad_time now) {
  if (is_pinged(p)) {
    return false;
  }
  if (!kad__udp_peer_is(p, id)) {
    return now - p->pinged_at >= PING_AGAIN;
  }
  return now - p->proved_at >= PROOF_AGE;
}

void kad__udp_ask_proof(kad__udp *g, const kad__udp_address *address,
                        const uint8_t *id, kad_time now) {
  kad__udp_peer *p = kad__udp_peer_at(g, address);
  bool fresh = p == NULL;
  if (g->pinged_count >= g->config.max_proofs ||
      (!fresh && !is_time(p, id, now))) {
    return;
  }
  p = fresh ? peer_new(g, address) : p;
  if (p == NULL) {
    return;
  }
  memcpy(p->claimed, id, KAD__UDP_ID_LEN);
  kad_random_bytes(g->config.random, p->ping, sizeof p->ping);
  p->pinged_at = now;
  if (kad__map_add(&g->pings, &g->allocator, &p->by_ping,
                   kad__udp_id_bytes(p->ping)) == 0) {
    kad__list_append(&g->pinged, &p->pinged);
    g->pinged_count++;
    if (send_ping(g, p, now)) {
      return;
    }
    end_ping(g, p);
  }
  if (fresh) {
    peer_free(g, p);
  }
}

int kad__udp_take_proof(kad__udp *g, const kad__udp_address *from,
                        kad_time now) {
  const kad__udp_message *m = &g->in;
  kad__map_node *node =
      kad__map_find(&g->pings, kad__udp_id_bytes(m->request.id));
  kad__udp_peer *p =
      node == NULL ? NULL : KAD__CONTAINER(node, kad__udp_peer, by_ping);
  if (p == NULL || !kad__udp_same_address(&p->address, from)) {
    g->counters.strays++;
    return KAD_E_NOT_FOUND;
  }
  /* Who forged the request claimed an id; who is really there has its own. */
  if (!kad__udp_same_id(p->claimed, m->receiver.id) ||
      m->reply != KAD__UDP_PONG) {
    g->counters.mismatches++;
    end_ping(g, p);
    if (!is_proved(p)) {
      peer_free(g, p);
    }
    return KAD_E_PEER_MISMATCH;
  }
  g->counters.proofs++;
  kad__udp_proved(g, from, m->receiver.id, now);
  return 0;
}

/* ---- time --------------------------------------------------------------- */

kad_time kad__udp_peers_deadline(const kad__udp *g) {
  const kad__udp_peer *proved = first_proved(g);
  const kad__udp_peer *pinged = first_pinged(g);
  kad_time at = KAD_TIME_NEVER;
  if (proved != NULL) {
    at = kad__time_add(proved->proved_at, g->config.idle);
  }
  if (pinged != NULL) {
    at = kad__time_min(at, kad__time_add(pinged->pinged_at, PING_TIMEOUT));
  }
  return at;
}

void kad__udp_peers_tick(kad__udp *g, kad_time now) {
  kad__udp_peer *p;
  while ((p = first_pinged(g)) != NULL &&
         kad__time_add(p->pinged_at, PING_TIMEOUT) <= now) {
    end_ping(g, p);
    if (!is_proved(p)) {
      peer_free(g, p);
    }
  }
  while ((p = first_proved(g)) != NULL &&
         kad__time_add(p->proved_at, g->config.idle) <= now) {
    forget(g, p, now);
  }
}
