/* What the kinds of queries have of their own, and the calls of the owner that
 * begin them. All lookups run the same engine; a kind says what it asks, what
 * it makes of an answer, and what happens once the closest are known. */
#include "kademlia/state.h"

/* ---- requests ----------------------------------------------------------- */

static void add_ourselves(const kad__dht *dht, kad__message *m) {
  m->provider_count = 1;
  m->providers[0] = (kad__wire_peer){.id = dht->config.local_id,
                                     .connection = KAD__CONNECTED};
}

void kad__query_request(const kad__dht *dht, const kad__call *call,
                        kad__message *message) {
  const kad__query *q = call->query;
  kad__message_init(message, (kad__message_type)call->type);
  message->key =
      q == NULL ? kad__peer_id(dht->book, call->peer) : kad__query_key(q);
  if (call->type == KAD__ADD_PROVIDER) {
    add_ourselves(dht, message);
  } else if (call->type == KAD__PUT_VALUE) {
    message->has_record = true;
    message->record = q->value->record;
    message->record.ttl = kad__ttl_seconds(q->value->expires, call->started);
  }
}

/* The closest `count` of a lookup that may still be reached, asked or not. */
static size_t hopeful(const kad__lookup *lookup, const kad__candidate **out,
                      size_t count) {
  const kad__path *p = &lookup->paths[0];
  size_t n = 0;
  for (uint32_t i = 0; i < p->count && n < count; i++) {
    uint8_t state = p->list[i].state;
    if (state != KAD__FAILED && state != KAD__DEFERRED && state != KAD__LOST) {
      out[n++] = &p->list[i];
    }
  }
  return n;
}

static bool near_enough(const kad__query *q) {
  const kad__candidate *list[KAD__K];
  uint64_t mean = 0;
  if (q->near_enough == 0 || hopeful(&q->lookup, list, KAD__K) < KAD__K) {
    return false;
  }
  for (size_t i = 0; i < KAD__K; i++) {
    mean += list[i]->distance.w[0] / KAD__K;
  }
  /* Closer than can be expected is not near enough, but suspicious. */
  return mean < q->near_enough && mean >= q->lookup.config.region / 2;
}

bool kad__query_satisfied(const kad__query *q) {
  return (q->wanted > 0 && q->got >= q->wanted) || near_enough(q);
}

/* ---- what lookups have in common ---------------------------------------- */

static size_t results_of(const kad__query *q, const kad__candidate **out) {
  return kad__lookup_results(&q->lookup, out, KAD__SPREAD_MAX);
}

static void note_hops(kad__query *q, const kad__candidate *c) {
  if (c->hops > q->stats.hops) {
    q->stats.hops = c->hops;
  }
}

/* Why nothing was found. */
static int found_nothing(const kad__query *q) {
  if (q->error != 0) {
    return q->error;
  }
  return kad__lookup_size(&q->lookup) == 0 ? KAD_E_NO_PEERS : KAD_E_NOT_FOUND;
}

static void peer_event(kad__dht *dht, kad__query *q, kad__dht_event_type type,
                       kad_bytes id, kad_bytes addresses, kad_time now) {
  kad__dht_event event = {.type = type,
                          .peer.id = id,
                          .peer.addresses = addresses,
                          .key = kad__query_key(q)};
  kad__event_of_query(dht, q, &event, now);
}

/* With all addresses that we know. */
static void candidate_event(kad__dht *dht, kad__query *q,
                            const kad__candidate *c, kad_time now) {
  uint8_t list[KAD__DHT_ADDRESSES_MAX];
  size_t len = 0;
  kad__list_merge(list, sizeof list, &len, kad__member_addresses(dht, c->peer));
  kad__list_merge(list, sizeof list, &len,
                  kad__list_bytes(dht->book, c->addresses));
  peer_event(dht, q, KAD__DHT_PEER_FOUND, kad__peer_id(dht->book, c->peer),
             kad__bytes(list, len), now);
}

/* ---- closest peers ------------------------------------------------------ */

static bool closest_found(kad__dht *dht, kad__query *q, kad_time now) {
  const kad__candidate *results[KAD__SPREAD_MAX];
  size_t count = results_of(q, results);
  int error = q->error;
  for (size_t i = 0; i < count; i++) {
    note_hops(q, results[i]);
    candidate_event(dht, q, results[i], now);
  }
  if (kad__lookup_size(&q->lookup) == 0) {
    error = KAD_E_NO_PEERS;
  }
  kad__query_end(dht, q, error, now);
  return false;
}

/* ---- find a peer -------------------------------------------------------- */

static void peer_begin(kad__dht *dht, kad__query *q, kad_time now) {
  kad_bytes id = kad__query_key(q);
  kad__peer peer = kad__peer_book_find(dht->book, id);
  kad_bytes known = peer == 0 || peer == dht->self
                        ? (kad_bytes){0}
                        : kad__member_addresses(dht, peer);
  bool found = peer == dht->self ||
               (known.len > 0 && !kad__member_resting(dht, peer, now));
  if (found) {
    q->got = 1;
    peer_event(dht, q, KAD__DHT_PEER_FOUND, id, known, now);
  }
}

static void peer_take(kad__dht *dht, kad__query *q, kad__candidate *from,
                      const kad__message *reply, kad_time now) {
  for (size_t i = 0; i < reply->closer_count && q->got == 0; i++) {
    const kad__wire_peer *named = &reply->closer[i];
    uint8_t list[KAD__DHT_ADDRESSES_MAX];
    size_t len = 0;
    if (!kad__bytes_equal(named->id, kad__query_key(q))) {
      continue;
    }
    kad__dht_merge(dht, list, sizeof list, &len, named->addresses);
    if (len > 0 || dht->config.no_addresses) {
      q->got = 1;
      note_hops(q, from);
      peer_event(dht, q, KAD__DHT_PEER_FOUND, named->id, kad__bytes(list, len),
                 now);
    }
  }
}

/* The target itself may have answered without anybody naming an address. */
static bool peer_found(kad__dht *dht, kad__query *q, kad_time now) {
  const kad__candidate *results[KAD__SPREAD_MAX];
  size_t count = q->got > 0 ? 0 : results_of(q, results);
  for (size_t i = 0; i < count && q->got == 0; i++) {
    if (kad__bytes_equal(kad__peer_id(dht->book, results[i]->peer),
                         kad__query_key(q))) {
      q->got = 1;
      note_hops(q, results[i]);
      candidate_event(dht, q, results[i], now);
    }
  }
  kad__query_end(dht, q, q->got > 0 ? 0 : found_nothing(q), now);
  return false;
}

/* ---- get a record ------------------------------------------------------- */

enum { MARK_LACKS = 1, MARK_BEST, MARK_OUTDATED, MARK_OTHER };

static void remark(kad__query *q, uint8_t from, uint8_t to) {
  for (uint32_t i = 0; i < q->lookup.config.paths; i++) {
    kad__path *p = &q->lookup.paths[i];
    for (uint32_t j = 0; j < p->count; j++) {
      if (p->list[j].mark == from) {
        p->list[j].mark = to;
      }
    }
  }
}

/* The mark of whoever gave `record`. Where no selector orders the values, the
 * first that the network gave stays, and nobody else is told off. */
static uint8_t weigh(kad__dht *dht, kad__query *q,
                     const kad__wire_record *record, kad_bytes peer,
                     kad_time now) {
  bool ordered = kad__selectable(dht->config.validators, record->key);
  bool better = q->value == NULL;
  if (!better) {
    kad_bytes best = q->value->record.value;
    if (kad__bytes_equal(best, record->value)) {
      return MARK_BEST;
    }
    better = (ordered || q->value->peer.len == 0) &&
             kad__select(dht->config.validators, record->key, best,
                         record->value) == 1;
  }
  if (!better) {
    return ordered ? MARK_OUTDATED : MARK_OTHER;
  }
  kad_time expires =
      record->ttl == 0 ? KAD_TIME_NEVER
                       : kad__time_add(now, (kad_time)record->ttl * KAD_SECOND);
  kad__value *value = kad__value_new(&dht->allocator, record, peer, expires);
  if (value == NULL) {
    return MARK_OTHER;
  }
  remark(q, MARK_BEST, ordered ? MARK_OUTDATED : MARK_OTHER);
  kad__value_unref(&dht->allocator, q->value);
  q->value = value;
  return MARK_BEST;
}

static void record_event(kad__dht *dht, kad__query *q, kad_bytes peer,
                         const kad__wire_record *record, bool best,
                         kad_time now) {
  kad__dht_event event = {.type = KAD__DHT_RECORD_FOUND,
                          .peer.id = peer,
                          .key = kad__query_key(q),
                          .record = *record,
                          .best = best};
  kad__event_of_query(dht, q, &event, now);
}

static void get_begin(kad__dht *dht, kad__query *q, kad_time now) {
  kad__record local;
  if (!kad__dht_stored(dht, &local, kad__query_key(q), now)) {
    return;
  }
  kad__wire_record record = {.key = local.key,
                             .value = local.value,
                             .publisher = local.publisher,
                             .ttl = kad__ttl_seconds(local.expires, now)};
  q->got++;
  weigh(dht, q, &record, (kad_bytes){0}, now);
  record_event(dht, q, (kad_bytes){0}, &record, true, now);
}

static void get_take(kad__dht *dht, kad__query *q, kad__candidate *from,
                     const kad__message *reply, kad_time now) {
  const kad__wire_record *record = &reply->record;
  kad_bytes peer = kad__peer_id(dht->book, from->peer);
  from->mark = MARK_LACKS;
  if (!reply->has_record || !kad__bytes_equal(record->key, kad__query_key(q))) {
    return;
  }
  if (kad__validate(dht->config.validators, record->key, record->value,
                    kad__dht_wall(dht, now)) != 0) {
    from->mark = MARK_OUTDATED;
    return;
  }
  q->got++;
  note_hops(q, from);
  from->mark = weigh(dht, q, record, peer, now);
  record_event(dht, q, peer, record, from->mark == MARK_BEST, now);
}

/* Whom to give the best value: those that have a worse one, and of the closest
 * that have none a few, so that the next search is shorter. */
static size_t correction(const kad__dht *dht, const kad__query *q,
                         kad__heard *out) {
  const kad__candidate *results[KAD__SPREAD_MAX];
  size_t count = results_of(q, results);
  size_t n = 0;
  uint32_t cached = 0;
  for (size_t i = 0; i < count; i++) {
    bool lacks = results[i]->mark == MARK_LACKS;
    if ((lacks && cached < dht->config.caching) ||
        results[i]->mark == MARK_OUTDATED) {
      cached += lacks;
      out[n++] = (kad__heard){.peer = results[i]->peer,
                              .addresses = results[i]->addresses};
    }
  }
  return n;
}

/* Our own copy, when the network had a better one. */
static void correct_local(kad__dht *dht, kad__query *q) {
  kad__record local;
  kad__store *store = dht->config.store;
  if (q->value->peer.len == 0 ||
      !store->ops->get(store, &local, kad__query_key(q)) ||
      kad__bytes_equal(local.value, q->value->record.value) ||
      !kad__selectable(dht->config.validators, local.key)) {
    return;
  }
  kad__record better = {.key = q->value->record.key,
                        .value = q->value->record.value,
                        .publisher = q->value->record.publisher,
                        .expires = local.expires,
                        .source = q->value->peer};
  (void)store->ops->put(store, &better, false);
}

static void hold_all(kad__dht *dht, const kad__heard *heard, size_t count) {
  for (size_t i = 0; i < count; i++) {
    kad__peer_ref(dht->book, heard[i].peer);
    kad__list_ref(dht->book, heard[i].addresses);
  }
}

static void drop_all(kad__dht *dht, const kad__heard *heard, size_t count) {
  for (size_t i = 0; i < count; i++) {
    kad__list_unref(dht->book, heard[i].addresses);
    kad__peer_unref(dht->book, heard[i].peer);
  }
}

static bool spread_to(kad__dht *dht, kad__query *q, const kad__heard *heard,
                      size_t count, kad_time now) {
  hold_all(dht, heard, count);
  int error = kad__query_spread(dht, q, heard, count);
  drop_all(dht, heard, count);
  if (error != 0) {
    kad__query_end(dht, q, error, now);
  }
  return error == 0;
}

static bool get_found(kad__dht *dht, kad__query *q, kad_time now) {
  kad__heard heard[KAD__SPREAD_MAX];
  bool have = q->value != NULL;
  int error = have ? 0 : found_nothing(q);
  if (q->error == KAD_E_TIMEOUT && !kad__query_satisfied(q)) {
    error = KAD_E_TIMEOUT;
  }
  kad__query_report(dht, q, error, now);
  size_t count = have && q->error == 0 ? correction(dht, q, heard) : 0;
  if (have) {
    correct_local(dht, q);
  }
  if (count == 0) {
    kad__query_end(dht, q, error, now);
    return false;
  }
  q->ends = kad__time_add(now, 2 * dht->config.peer_timeout);
  if (q->value->expires == KAD_TIME_NEVER) {
    q->value->expires = kad__time_add(now, dht->config.record_ttl);
  }
  return spread_to(dht, q, heard, count, now);
}

/* ---- where a query ended ------------------------------------------------ */

/* Only of interest where the results themselves are not peers. */
static bool ends_at_peers(const kad__query *q) {
  switch (q->kind) {
    case KAD__QUERY_GET:
    case KAD__QUERY_FIND_PROVIDERS:
      return q->phase == KAD__PHASE_LOOKUP;
    case KAD__QUERY_PUT:
    case KAD__QUERY_PUT_TO:
    case KAD__QUERY_PROVIDE:
      return q->phase == KAD__PHASE_SPREAD;
    default:
      return false;
  }
}

void kad__query_tell_peers(kad__dht *dht, kad__query *q, kad_time now) {
  const kad__candidate *results[KAD__SPREAD_MAX];
  if (!q->tells_peers || !ends_at_peers(q)) {
    return;
  }
  size_t count = results_of(q, results);
  for (size_t i = 0; i < count; i++) {
    if (q->kind != KAD__QUERY_GET || results[i]->mark == MARK_LACKS) {
      candidate_event(dht, q, results[i], now);
    }
  }
}

/* ---- find providers ----------------------------------------------------- */

/* True when this provider, or its addresses, are news. */
static bool provider_news(kad__dht *dht, kad__query *q, kad__peer peer,
                          bool addressed) {
  for (uint32_t i = 0; i < q->provider_count; i++) {
    if (q->providers[i] == peer) {
      bool news = addressed && q->provider_seen[i] == 0;
      q->provider_seen[i] |= addressed;
      return news;
    }
  }
  if (q->provider_count == KAD__FOUND_MAX) {
    return false;
  }
  if (q->provider_count == q->provider_cap) {
    uint32_t cap = q->provider_cap == 0 ? 16 : q->provider_cap * 2;
    kad__peer *peers =
        kad__resize_array(&dht->allocator, q->providers, cap, sizeof peers[0]);
    q->providers = peers != NULL ? peers : q->providers;
    uint8_t *seen = kad__resize_array(&dht->allocator, q->provider_seen, cap,
                                      sizeof seen[0]);
    q->provider_seen = seen != NULL ? seen : q->provider_seen;
    if (peers == NULL || seen == NULL) {
      return false;
    }
    q->provider_cap = cap;
  }
  kad__peer_ref(dht->book, peer);
  q->providers[q->provider_count] = peer;
  q->provider_seen[q->provider_count++] = addressed;
  q->got++;
  return true;
}

static void provider_found(kad__dht *dht, kad__query *q,
                           const kad__wire_peer *named, kad_time now) {
  uint8_t list[KAD__DHT_ADDRESSES_MAX];
  size_t len = 0;
  kad__peer peer;
  if (named->id.len == 0 || named->id.len > KAD__DHT_ID_MAX ||
      kad__peer_book_hold(dht->book, &peer, named->id) != 0) {
    return;
  }
  if (peer != dht->self) {
    kad__dht_merge(dht, list, sizeof list, &len, named->addresses);
  }
  if (len == 0 && peer != dht->self) {
    kad__list_merge(list, sizeof list, &len, kad__member_addresses(dht, peer));
  }
  if (provider_news(dht, q, peer, len > 0)) {
    peer_event(dht, q, KAD__DHT_PROVIDER_FOUND, named->id,
               kad__bytes(list, len), now);
  }
  kad__peer_unref(dht->book, peer);
}

static void providers_begin(kad__dht *dht, kad__query *q, kad_time now) {
  kad__provider list[KAD__MESSAGE_PROVIDERS_MAX];
  kad__store *store = dht->config.store;
  size_t count =
      store->ops->providers(store, list, KAD__COUNT(list), kad__query_key(q));
  for (size_t i = 0; i < count && !kad__query_satisfied(q); i++) {
    if (list[i].expires > now) {
      kad__wire_peer named = {.id = list[i].provider,
                              .addresses = list[i].addresses};
      provider_found(dht, q, &named, now);
    }
  }
}

static void providers_take(kad__dht *dht, kad__query *q, kad__candidate *from,
                           const kad__message *reply, kad_time now) {
  for (size_t i = 0; i < reply->provider_count && !kad__query_satisfied(q);
       i++) {
    note_hops(q, from);
    provider_found(dht, q, &reply->providers[i], now);
  }
}

static bool providers_found(kad__dht *dht, kad__query *q, kad_time now) {
  int error = q->got > 0 ? 0 : found_nothing(q);
  if (q->error == KAD_E_TIMEOUT) {
    error = KAD_E_TIMEOUT;
  }
  kad__query_end(dht, q, error, now);
  return false;
}

/* ---- put and provide ---------------------------------------------------- */

static void provide_begin(kad__dht *dht, kad__query *q, kad_time now) {
  if (dht->config.optimistic_provide) {
    q->near_enough = kad__size_near_enough(dht, now);
  }
}

static bool spread_found(kad__dht *dht, kad__query *q, kad_time now) {
  const kad__candidate *results[KAD__SPREAD_MAX];
  kad__heard heard[KAD__SPREAD_MAX];
  size_t count = near_enough(q) ? hopeful(&q->lookup, results, KAD__K)
                                : results_of(q, results);
  if (count == 0 || q->error == KAD_E_CANCELLED) {
    kad__query_end(dht, q, q->error != 0 ? q->error : KAD_E_NO_PEERS, now);
    return false;
  }
  for (size_t i = 0; i < count; i++) {
    note_hops(q, results[i]);
    heard[i] = (kad__heard){.peer = results[i]->peer,
                            .addresses = results[i]->addresses};
  }
  return spread_to(dht, q, heard, count, now);
}

/* ---- the table ---------------------------------------------------------- */

static const kad__query_class classes[] = {
    [KAD__QUERY_CLOSEST] = {.ask = KAD__FIND_NODE, .found = closest_found},
    [KAD__QUERY_FIND_PEER] = {.ask = KAD__FIND_NODE,
                              .begin = peer_begin,
                              .take = peer_take,
                              .found = peer_found},
    [KAD__QUERY_GET] = {.ask = KAD__GET_VALUE,
                        .region = true,
                        .give = KAD__PUT_VALUE,
                        .begin = get_begin,
                        .take = get_take,
                        .found = get_found},
    [KAD__QUERY_PUT] = {.ask = KAD__FIND_NODE,
                        .region = true,
                        .give = KAD__PUT_VALUE,
                        .two_phases = true,
                        .found = spread_found},
    [KAD__QUERY_PUT_TO] = {.give = KAD__PUT_VALUE, .found = spread_found},
    [KAD__QUERY_PROVIDE] = {.ask = KAD__FIND_NODE,
                            .region = true,
                            .give = KAD__ADD_PROVIDER,
                            .two_phases = true,
                            .begin = provide_begin,
                            .found = spread_found},
    [KAD__QUERY_FIND_PROVIDERS] = {.ask = KAD__GET_PROVIDERS,
                                   .region = true,
                                   .begin = providers_begin,
                                   .take = providers_take,
                                   .found = providers_found},
    [KAD__QUERY_BOOTSTRAP] = {.ask = KAD__FIND_NODE,
                              .begin = kad__bootstrap_begun,
                              .take = kad__bootstrap_take,
                              .found = kad__bootstrap_step_over},
    [KAD__QUERY_REPLICATE] = {.ask = KAD__FIND_NODE,
                              .region = true,
                              .give = KAD__PUT_VALUE,
                              .two_phases = true,
                              .silent = true,
                              .found = spread_found},
    [KAD__QUERY_REPUBLISH] = {.ask = KAD__FIND_NODE,
                              .region = true,
                              .give = KAD__PUT_VALUE,
                              .two_phases = true,
                              .found = spread_found},
    [KAD__QUERY_REPROVIDE] = {.ask = KAD__FIND_NODE,
                              .region = true,
                              .give = KAD__ADD_PROVIDER,
                              .two_phases = true,
                              .found = spread_found},
};

const kad__query_class *kad__query_class_of(kad__query_kind kind) {
  return &classes[kind];
}

/* ---- the owner's calls -------------------------------------------------- */

int kad__dht_find_closest(kad__dht *dht, kad__query_id *out, kad_bytes key,
                          uint32_t count, kad_time now) {
  kad__query_start start = {
      .kind = KAD__QUERY_CLOSEST, .key = key, .results = count};
  if (count == 0 || count > KAD__RESULTS_MAX) {
    return KAD_E_INVALID_ARGUMENT;
  }
  return kad__query_begin(dht, out, &start, now);
}

int kad__dht_find_peer(kad__dht *dht, kad__query_id *out, kad_bytes peer,
                       kad_time now) {
  kad__query_start start = {.kind = KAD__QUERY_FIND_PEER,
                            .key = peer,
                            .results = dht->config.replication,
                            .wanted = 1};
  if (peer.len > KAD__DHT_ID_MAX) {
    return KAD_E_INVALID_ARGUMENT;
  }
  return kad__query_begin(dht, out, &start, now);
}

int kad__dht_get(kad__dht *dht, kad__query_id *out, kad_bytes key,
                 uint32_t quorum, kad_time now) {
  kad__query_start start = {.kind = KAD__QUERY_GET,
                            .key = key,
                            .results = dht->config.replication,
                            .wanted = quorum};
  return kad__query_begin(dht, out, &start, now);
}

/* Valid, and not worse than what we have. */
static int record_acceptable(kad__dht *dht, kad_bytes key, kad_bytes value,
                             kad_time now) {
  kad__record old;
  int error = kad__validate(dht->config.validators, key, value,
                            kad__dht_wall(dht, now));
  if (error != 0) {
    return error;
  }
  bool worse = kad__dht_stored(dht, &old, key, now) &&
               !kad__bytes_equal(old.value, value) &&
               kad__select(dht->config.validators, key, old.value, value) == 0;
  return worse ? KAD_E_RECORD_OLD : 0;
}

int kad__dht_put(kad__dht *dht, kad__query_id *out, kad_bytes key,
                 kad_bytes value, kad_time ttl, kad__quorum quorum,
                 kad_time now) {
  kad__store *store = dht->config.store;
  if (key.len == 0 || key.len > KAD__DHT_KEY_MAX) {
    return KAD_E_INVALID_ARGUMENT;
  }
  int error = record_acceptable(dht, key, value, now);
  if (error != 0) {
    return error;
  }
  kad__wire_record wire = {
      .key = key, .value = value, .publisher = dht->config.local_id};
  kad_time life = ttl == KAD_TIME_NEVER ? dht->config.record_ttl : ttl;
  kad__query_start start = {
      .kind = KAD__QUERY_PUT,
      .key = key,
      .results = dht->config.replication,
      .quorum = quorum,
      .value = kad__value_new(&dht->allocator, &wire, (kad_bytes){0},
                              kad__time_add(now, life))};
  if (start.value == NULL) {
    return KAD_E_NO_MEMORY;
  }
  /* Ours stays until it is removed; others keep it for its life only. */
  kad__record record = {
      .key = key,
      .value = value,
      .publisher = dht->config.local_id,
      .expires = ttl == KAD_TIME_NEVER ? ttl : kad__time_add(now, ttl)};
  error = store->ops->put(store, &record, true);
  if (error != 0) {
    kad__value_unref(&dht->allocator, start.value);
    return error;
  }
  return kad__query_begin(dht, out, &start, now);
}

int kad__dht_put_to(kad__dht *dht, kad__query_id *out,
                    const kad__wire_record *record, const kad_bytes *peers,
                    size_t count, kad__quorum quorum, kad_time now) {
  kad_time life = record->ttl == 0 ? dht->config.record_ttl
                                   : (kad_time)record->ttl * KAD_SECOND;
  kad__query_start start = {.kind = KAD__QUERY_PUT_TO,
                            .key = record->key,
                            .quorum = quorum,
                            .peers = peers,
                            .peer_count = count};
  if (count > KAD__LOOKUP_CANDIDATES) {
    return KAD_E_INVALID_ARGUMENT;
  }
  start.value = kad__value_new(&dht->allocator, record, (kad_bytes){0},
                               kad__time_add(now, life));
  return start.value == NULL ? KAD_E_NO_MEMORY
                             : kad__query_begin(dht, out, &start, now);
}

void kad__dht_remove(kad__dht *dht, kad_bytes key) {
  kad__record record;
  kad__store *store = dht->config.store;
  if (store->ops->get(store, &record, key) &&
      kad__bytes_equal(record.publisher, dht->config.local_id)) {
    store->ops->remove(store, key);
  }
}

int kad__dht_provide(kad__dht *dht, kad__query_id *out, kad_bytes key,
                     kad_time now) {
  kad__store *store = dht->config.store;
  kad__provider record = {
      .key = key, .provider = dht->config.local_id, .expires = KAD_TIME_NEVER};
  kad__query_start start = {.kind = KAD__QUERY_PROVIDE,
                            .key = key,
                            .results = dht->config.replication};
  if (key.len == 0 || key.len > KAD__DHT_PROVIDER_KEY_MAX) {
    return KAD_E_INVALID_ARGUMENT;
  }
  int error = store->ops->add_provider(store, &record, true);
  return error != 0 ? error : kad__query_begin(dht, out, &start, now);
}

void kad__dht_stop_providing(kad__dht *dht, kad_bytes key) {
  kad__store *store = dht->config.store;
  store->ops->remove_provider(store, key, dht->config.local_id);
}

int kad__dht_find_providers(kad__dht *dht, kad__query_id *out, kad_bytes key,
                            uint32_t count, kad_time now) {
  kad__query_start start = {.kind = KAD__QUERY_FIND_PROVIDERS,
                            .key = key,
                            .results = dht->config.replication,
                            .wanted = count};
  return kad__query_begin(dht, out, &start, now);
}
