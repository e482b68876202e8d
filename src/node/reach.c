/* One question at a time, each to a peer that has not answered it lately: a
 * single peer must not decide what we announce. */
#include "node/reach.h"

#include "base/alloc.h"
#include "node/node_internal.h"
#include "node/routing.h"
#include "wire/addresses.h"

/* Until the next question: while it is open, after a good answer, after a bad
 * one, and when there was nobody to ask. */
#define ASK_OPEN (5 * KAD_SECOND)
#define ASK_REACHABLE KAD_HOUR
#define ASK_UNREACHABLE (15 * KAD_MINUTE)
#define ASK_NOBODY (30 * KAD_SECOND)
/* Answers that make a verdict, those to the contrary taken off. */
#define ENOUGH 2

static kad_bytes address_of(const kad__candidate_address *c) {
  return kad__bytes(c->address, c->len);
}

/* ---- what is announced --------------------------------------------------- */

static bool is_shown(const kad__candidate_address *c) {
  return c->reachable || ((c->observed || c->mapped) && !c->judged);
}

/* Announces what the configuration says and what is confirmed. */
static int announce(kad__node *node) {
  const kad__reach *r = &node->reach;
  uint8_t list[KAD__OWN_ADDRESSES_MAX];
  size_t len = r->announced_len;
  memcpy(list, r->announced, len);
  for (size_t i = 0; i < KAD__REACH_MAX; i++) {
    const kad__candidate_address *c = &r->candidates[i];
    if (c->len > 0 && is_shown(c)) {
      /* What does not fit is left out. */
      (void)kad__addresses_append(list, sizeof(list), &len, address_of(c));
    }
  }
  return kad__own_addresses_announce(node->own, kad__bytes(list, len));
}

static void tell_owner(kad__node *node, const kad__candidate_address *c) {
  uint8_t list[KAD_MULTIADDR_MAX + 8];
  size_t len = 0;
  (void)kad__addresses_append(list, sizeof(list), &len, address_of(c));
  kad_event event = {
      .type = c->reachable ? KAD_EVENT_REACHABLE : KAD_EVENT_UNREACHABLE,
      .addresses = kad__bytes(list, len)};
  kad__node_emit(node, &event);
}

/* The verdict on an address has changed, or is the first. */
static int judge(kad__node *node, kad__candidate_address *c, bool reachable,
                 kad_time now) {
  kad__candidate_address before = *c;
  c->reachable = reachable;
  c->judged = true;
  int error = is_shown(c) == is_shown(&before) ? 0 : announce(node);
  if (error < 0) {
    c->reachable = before.reachable;
    c->judged = before.judged;
    return error;
  }
  tell_owner(node, c);
  kad__node_update_mode(node, now);
  return 0;
}

bool kad__reach_known(const kad__node *node) {
  if (node->reach.announced_len > 0) {
    return true;
  }
  for (size_t i = 0; i < KAD__REACH_MAX; i++) {
    const kad__candidate_address *c = &node->reach.candidates[i];
    if (c->len > 0 && c->reachable) {
      return true;
    }
  }
  return false;
}

/* ---- candidates ---------------------------------------------------------- */

static kad__candidate_address *find(kad__node *node, kad_bytes address) {
  for (size_t i = 0; i < KAD__REACH_MAX; i++) {
    kad__candidate_address *c = &node->reach.candidates[i];
    if (c->len > 0 && kad__bytes_equal(address_of(c), address)) {
      return c;
    }
  }
  return NULL;
}

/* A free place, or that of the address that was seen longest ago, of those that
 * `owner` may push out: a confirmed one makes way for the owner's word alone.
 */
static kad__candidate_address *place(kad__node *node, bool owner) {
  kad__candidate_address *best = NULL;
  for (size_t i = 0; i < KAD__REACH_MAX; i++) {
    kad__candidate_address *c = &node->reach.candidates[i];
    if (c->len == 0) {
      return c;
    }
    if ((owner || !(c->reachable || c->observed || c->mapped)) &&
        (best == NULL || c->seen < best->seen)) {
      best = c;
    }
  }
  return best;
}

static kad__candidate_address *add(kad__node *node, kad_bytes address,
                                   bool owner, kad_time now) {
  kad__candidate_address *c = place(node, owner);
  if (c == NULL || address.len > sizeof(c->address)) {
    return NULL;
  }
  if (node->reach.asked == c) {
    node->reach.asked = NULL;
  }
  *c = (kad__candidate_address){.len = address.len, .next = now, .seen = now};
  memcpy(c->address, address.data, address.len);
  return c;
}

/* The IP part of an address, component and all; empty when it has none. */
static kad_bytes ip_prefix(kad_bytes address) {
  kad_multiaddr_part part;
  kad_bytes rest = address;
  bool is_ip = kad_multiaddr_next(&rest, &part) == 1 &&
               (part.protocol == KAD_MULTIADDR_IP4 ||
                part.protocol == KAD_MULTIADDR_IP6);
  return kad__bytes(address.data, is_ip ? address.len - rest.len : 0);
}

/* What has no IP no server can dial. */
static void observe(kad__node *node, kad_bytes address, kad_time now) {
  if (kad__address_scope(address) != KAD__SCOPE_PUBLIC ||
      ip_prefix(address).len == 0 || kad__address_useless(address)) {
    return;
  }
  kad__candidate_address *c = find(node, address);
  if (c == NULL) {
    c = add(node, address, false, now);
  }
  if (c != NULL) {
    c->seen = now;
  }
}

void kad__reach_listening(kad__node *node, kad_time now) {
  kad_bytes listening[KAD__OWN_LISTEN_MAX];
  size_t count =
      kad__swarm_listen_addresses(node->swarm, listening, KAD__OWN_LISTEN_MAX);
  for (size_t i = 0; node->reach.asks && i < count; i++) {
    observe(node, listening[i], now);
  }
}

/* ---- what observers and the gateway say ---------------------------------- */

/* The candidate of an address that was claimed, made when there is none; NULL:
 * no place. */
static kad__candidate_address *claimed(kad__node *node, kad_bytes address,
                                       kad_time now) {
  kad__candidate_address *c = find(node, address);
  if (c == NULL) {
    c = add(node, address, false, now);
  }
  if (c != NULL) {
    c->seen = now;
  }
  return c;
}

/* Without memory what is announced stays as it was until the next change. */
static void claims_changed(kad__node *node, kad_time now) {
  for (size_t i = 0; i < KAD__REACH_MAX && !node->reach.asks; i++) {
    kad__candidate_address *c = &node->reach.candidates[i];
    if (!c->observed && !c->mapped && !c->reachable) {
      c->len = 0; /* nobody will be asked about it */
    }
  }
  (void)announce(node);
  kad__node_update_mode(node, now);
}

void kad__reach_claims(kad__node *node, kad_time now) {
  const kad__observed *o = &node->reach.observed;
  bool changed = false;
  for (size_t i = 0; i < KAD__REACH_MAX; i++) {
    kad__candidate_address *c = &node->reach.candidates[i];
    if (c->observed && !kad__observed_has(o, address_of(c))) {
      c->observed = false;
      changed = true;
    }
  }
  size_t at = 0;
  kad_bytes address;
  while (kad__observed_next(o, &at, &address)) {
    kad__candidate_address *c = claimed(node, address, now);
    changed |= c != NULL && !c->observed;
    if (c != NULL) {
      c->observed = true;
    }
  }
  if (changed) {
    claims_changed(node, now);
  }
}

static bool is_listening(const kad__node *node, kad_bytes address) {
  kad_bytes listening[KAD__OWN_LISTEN_MAX];
  size_t count =
      kad__swarm_listen_addresses(node->swarm, listening, KAD__OWN_LISTEN_MAX);
  for (size_t i = 0; i < count; i++) {
    if (kad__bytes_equal(listening[i], address)) {
      return true;
    }
  }
  return false;
}

/* On a public network a private address leads nobody to us: a gateway may stand
 * behind another one, an observer beside us. */
static bool in_scope(const kad__node *node, kad_bytes address) {
  return node->own_network || kad__address_scope(address) == KAD__SCOPE_PUBLIC;
}

/* Only what the peer saw of a port on which we listen is of use to others. */
static void note_observed(kad__node *node, const kad__identify_event *event,
                          kad_time now) {
  kad__connection_info info;
  kad_bytes seen = event->observed_address;
  if (seen.len == 0 || !in_scope(node, seen) ||
      !kad__swarm_connection(node->swarm, event->connection, &info) ||
      !is_listening(node, info.local_address)) {
    return;
  }
  (void)kad__observed_note(&node->reach.observed, event->connection,
                           info.local_address, info.remote_address, seen);
  kad__reach_claims(node, now);
}

void kad__reach_disconnected(kad__node *node, kad__id connection,
                             kad_time now) {
  if (kad__observed_drop(&node->reach.observed, connection)) {
    kad__reach_claims(node, now);
  }
}

void kad__node_set_mapped(kad__node *node, kad_bytes list, kad_time now) {
  bool changed = false;
  for (size_t i = 0; i < KAD__REACH_MAX; i++) {
    kad__candidate_address *c = &node->reach.candidates[i];
    if (c->mapped && !kad__addresses_have(list, address_of(c))) {
      c->mapped = false;
      changed = true;
    }
  }
  kad_bytes address;
  while (kad__addresses_next(&list, &address)) {
    bool valid = kad_multiaddr_check(address) == 0 &&
                 !kad__address_useless(address) && in_scope(node, address);
    kad__candidate_address *c = valid ? claimed(node, address, now) : NULL;
    changed |= c != NULL && !c->mapped;
    if (c != NULL) {
      c->mapped = true;
    }
  }
  if (changed) {
    claims_changed(node, now);
  }
}

/* ---- what a single peer says --------------------------------------------- */

/* Somebody new is there to be asked: connections may not last until it is time.
 */
static void wake(kad__node *node, kad_time now) {
  for (size_t i = 0; i < KAD__REACH_MAX; i++) {
    kad__candidate_address *c = &node->reach.candidates[i];
    if (c->waits) {
      c->waits = false;
      c->next = now;
    }
  }
}

/* Our dials leave from ports of their own, so of an observed address the host
 * counts, and the port is the one that we listen on: right without a NAT, and
 * behind one whose owner forwards the port. Whether it is so is asked. */
void kad__reach_identified(kad__node *node, const kad__identify_event *event,
                           kad_time now) {
  note_observed(node, event, now);
  kad_bytes host = ip_prefix(event->observed_address);
  kad_bytes listening[KAD__OWN_LISTEN_MAX];
  if (!node->reach.asks) {
    return;
  }
  wake(node, now);
  if (host.len == 0) {
    return;
  }
  size_t count =
      kad__swarm_listen_addresses(node->swarm, listening, KAD__OWN_LISTEN_MAX);
  for (size_t i = 0; i < count; i++) {
    uint8_t address[KAD_MULTIADDR_MAX];
    kad_bytes own = ip_prefix(listening[i]);
    kad_bytes rest = kad__bytes_skip(listening[i], own.len);
    if (own.len != host.len || own.data[0] != host.data[0] ||
        kad__address_scope(listening[i]) == KAD__SCOPE_LOOPBACK) {
      continue;
    }
    uint8_t *at = address;
    (void)kad__bytes_keep(&at, host);
    (void)kad__bytes_keep(&at, rest);
    observe(node, kad__bytes(address, host.len + rest.len), now);
  }
}

/* ---- asking -------------------------------------------------------------- */

static kad__reach_answer *answer_of(kad__candidate_address *c,
                                    const kad_peer_id *server) {
  for (size_t i = 0; i < KAD__REACH_ANSWERS; i++) {
    kad__reach_answer *a = &c->answers[i];
    if (a->server.len != 0 && kad_peer_id_equal(&a->server, server)) {
      return a;
    }
  }
  return NULL;
}

/* A connected peer that dials for others, any of them; before the first verdict
 * one that has not answered about this address. False when there is none. */
static bool choose_server(kad__node *node, kad__candidate_address *c,
                          kad_peer_id *out) {
  static const uint8_t name_bytes[] = KAD__AUTONAT_REQUEST_PROTOCOL;
  static const kad_bytes name = {name_bytes, sizeof(name_bytes) - 1};
  const kad__peerstore *peers = kad__swarm_peerstore(node->swarm);
  kad__connection_info info;
  uint32_t count = 0;
  kad__id id = 0;
  while ((id = kad__swarm_connection_next(node->swarm, id)) != 0) {
    if (!kad__swarm_connection(node->swarm, id, &info) ||
        !kad__peerstore_speaks(peers, &info.peer, name) ||
        (!c->judged && answer_of(c, &info.peer) != NULL)) {
      continue;
    }
    count++;
    if (kad_random_u64(&node->random) % count == 0) {
      *out = info.peer;
    }
  }
  return count > 0;
}

static bool ask(kad__node *node, kad__candidate_address *c, kad_time now) {
  uint8_t list[KAD_MULTIADDR_MAX + 8];
  size_t len = 0;
  kad_peer_id server;
  c->next = now + ASK_NOBODY;
  c->waits = !choose_server(node, c, &server);
  if (c->waits) {
    return false;
  }
  (void)kad__addresses_append(list, sizeof(list), &len, address_of(c));
  if (kad__autonat_probe(node->reach.autonat, &node->reach.probe, &server,
                         kad__bytes(list, len), now) < 0) {
    return false;
  }
  node->reach.asked = c;
  return true;
}

static int sum_of(const kad__candidate_address *c) {
  int sum = 0;
  for (size_t i = 0; i < KAD__REACH_ANSWERS; i++) {
    sum += c->answers[i].value;
  }
  return sum;
}

static void take_answer(kad__node *node, kad__candidate_address *c,
                        const kad__autonat_event *event, kad_time now) {
  kad__reach_answer *a = answer_of(c, &event->server);
  if (a == NULL) {
    a = &c->answers[c->next_answer];
    c->next_answer = (c->next_answer + 1) % KAD__REACH_ANSWERS;
  }
  a->server = event->server;
  a->value = event->type == KAD__AUTONAT_REACHABLE ? 1 : -1;
  int sum = sum_of(c);
  bool open = sum > -ENOUGH && sum < ENOUGH;
  kad_time known = c->reachable ? ASK_REACHABLE : ASK_UNREACHABLE;
  if (sum >= ENOUGH && (!c->reachable || !c->judged)) {
    known = judge(node, c, true, now) < 0 ? ASK_NOBODY : ASK_REACHABLE;
  } else if (sum <= -ENOUGH && (c->reachable || !c->judged)) {
    known = judge(node, c, false, now) < 0 ? ASK_NOBODY : ASK_UNREACHABLE;
  }
  c->next = now + (open ? ASK_OPEN : known);
}

static bool take_events(kad__node *node, kad_time now) {
  kad__autonat_event event;
  bool busy = false;
  while (kad__autonat_poll(node->reach.autonat, &event)) {
    kad__candidate_address *c = node->reach.asked;
    busy = true;
    node->reach.probe = 0;
    node->reach.asked = NULL;
    if (c != NULL && event.type != KAD__AUTONAT_FAILED) {
      take_answer(node, c, &event, now);
    }
  }
  return busy;
}

bool kad__reach_drive(kad__node *node, kad_time now) {
  if (node->reach.autonat == NULL) {
    return false;
  }
  bool busy = take_events(node, now);
  for (size_t i = 0;
       node->reach.asks && i < KAD__REACH_MAX && node->reach.probe == 0; i++) {
    kad__candidate_address *c = &node->reach.candidates[i];
    if (c->len > 0 && !c->by_owner && c->next <= now) {
      busy |= ask(node, c, now);
    }
  }
  return busy;
}

kad_time kad__reach_deadline(const kad__node *node) {
  const kad__reach *r = &node->reach;
  if (r->autonat == NULL) {
    return KAD_TIME_NEVER;
  }
  kad_time deadline = kad__autonat_deadline(r->autonat);
  for (size_t i = 0; r->asks && i < KAD__REACH_MAX && r->probe == 0; i++) {
    const kad__candidate_address *c = &r->candidates[i];
    if (c->len > 0 && !c->by_owner) {
      deadline = kad__time_min(deadline, c->next);
    }
  }
  return deadline;
}

/* ---- the owner's word ---------------------------------------------------- */

int kad__node_confirm_address(kad__node *node, kad_bytes address,
                              kad_time now) {
  if (kad_multiaddr_check(address) < 0) {
    return KAD_E_MULTIADDR;
  }
  kad__candidate_address *c = find(node, address);
  if (c == NULL) {
    c = add(node, address, true, now);
  }
  if (c == NULL) {
    return KAD_E_LIMIT;
  }
  c->by_owner = true;
  c->seen = now;
  return c->reachable ? 0 : judge(node, c, true, now);
}

bool kad__node_expire_address(kad__node *node, kad_bytes address,
                              kad_time now) {
  kad__candidate_address *c = find(node, address);
  if (c == NULL || !c->reachable) {
    return false;
  }
  /* Announcing less takes no memory that is not there already. */
  (void)judge(node, c, false, now);
  if (node->reach.asked == c) {
    node->reach.asked = NULL;
  }
  c->len = 0;
  return true;
}

/* ---- life ---------------------------------------------------------------- */

static int make_autonat(kad__node *node, const kad__node_config *config) {
  kad__autonat_config autonat;
  if (config->no_autonat) {
    return 0;
  }
  kad__autonat_config_default(&autonat);
  autonat.allocator = &node->allocator;
  autonat.swarm = node->swarm;
  autonat.random = &node->random;
  autonat.any_address = node->own_network;
  /* Elsewhere the operator knows, and a client has nobody to tell. */
  node->reach.asks = !node->own_network && config->mode == KAD_MODE_AUTO;
  return kad__autonat_new(&node->reach.autonat, &autonat);
}

int kad__reach_init(kad__node *node, const kad__node_config *config) {
  kad__reach *r = &node->reach;
  for (size_t i = 0; i < config->announce_count; i++) {
    if (!kad__addresses_append(r->announced, sizeof(r->announced),
                               &r->announced_len, config->announce[i])) {
      return KAD_E_INVALID_ARGUMENT;
    }
  }
  r->candidates =
      kad__calloc(&node->allocator, KAD__REACH_MAX, sizeof(*r->candidates));
  if (r->candidates == NULL) {
    return KAD_E_NO_MEMORY;
  }
  uint64_t secret[2] = {kad_random_u64(&node->random),
                        kad_random_u64(&node->random)};
  kad__observed_init(&r->observed, &node->allocator, secret, config->observers);
  int error = make_autonat(node, config);
  return error < 0 ? error : announce(node);
}

void kad__reach_fini(kad__node *node) {
  kad__autonat_free(node->reach.autonat);
  kad__observed_fini(&node->reach.observed);
  kad__release(&node->allocator, node->reach.candidates);
}
