/* The life of a query. Whatever happens to it ends in `kad__query_pump`, which
 * asks the lookup whom to call next until there is nobody, and then lets the
 * query's kind say what comes after. A query that has reported its end may go
 * on in silence, giving its record to those that have not got it yet. */
#include "kademlia/state.h"

/* ---- values ------------------------------------------------------------- */

static kad_bytes copy_to(uint8_t **at, kad_bytes from) {
  kad_bytes copy = kad__bytes(*at, from.len);
  if (from.len > 0) {
    memcpy(*at, from.data, from.len);
    *at += from.len;
  }
  return copy;
}

kad__value *kad__value_new(const kad_allocator *allocator,
                           const kad__wire_record *record, kad_bytes peer,
                           kad_time expires) {
  kad__value *v =
      kad__alloc(allocator, sizeof *v + record->key.len + record->value.len +
                                record->publisher.len + peer.len);
  if (v == NULL) {
    return NULL;
  }
  uint8_t *at = v->bytes;
  v->refs = 1;
  v->expires = expires;
  v->record = (kad__wire_record){.ttl = record->ttl};
  v->record.key = copy_to(&at, record->key);
  v->record.value = copy_to(&at, record->value);
  v->record.publisher = copy_to(&at, record->publisher);
  v->peer = copy_to(&at, peer);
  return v;
}

void kad__value_unref(const kad_allocator *allocator, kad__value *value) {
  if (value != NULL && --value->refs == 0) {
    kad__release(allocator, value);
  }
}

uint32_t kad__ttl_seconds(kad_time expires, kad_time now) {
  if (expires == KAD_TIME_NEVER) {
    return 0;
  }
  if (expires <= now + KAD_SECOND) {
    return 1;
  }
  kad_time seconds = (expires - now) / KAD_SECOND;
  return seconds > UINT32_MAX ? UINT32_MAX : (uint32_t)seconds;
}

uint32_t kad__quorum_of(kad__quorum quorum, uint32_t total) {
  uint32_t n = 1;
  if (quorum.kind == KAD__QUORUM_MAJORITY) {
    n = total / 2 + 1;
  } else if (quorum.kind == KAD__QUORUM_ALL) {
    n = total;
  } else if (quorum.kind == KAD__QUORUM_N) {
    n = quorum.n < total ? quorum.n : total;
  }
  return n == 0 ? 1 : n;
}

/* ---- the end ------------------------------------------------------------ */

static void query_free(kad__dht *dht, kad__query *q) {
  kad__calls_cancel(dht, q);
  kad__lookup_fini(&q->lookup);
  for (uint32_t i = 0; i < q->provider_count; i++) {
    kad__peer_unref(dht->book, q->providers[i]);
  }
  kad__release(&dht->allocator, q->providers);
  kad__release(&dht->allocator, q->provider_seen);
  kad__value_unref(&dht->allocator, q->value);
  kad__event_free(dht, q->end);
  kad__heap_remove(&dht->query_timers, &q->timer);
  kad__list_unlink(&q->link);
  kad__release(&dht->allocator, q);
}

void kad__query_report(kad__dht *dht, kad__query *q, int error, kad_time now) {
  kad__event_node *node = q->end;
  if (node == NULL) {
    q->reported = true;
    return;
  }
  kad__query_tell_peers(dht, q, now);
  q->stats.end = now;
  q->end = NULL;
  q->reported = true;
  node->event.type = KAD__DHT_QUERY_ENDED;
  node->event.query = q->id;
  node->event.kind = q->kind;
  node->event.error = error;
  node->event.stats = q->stats;
  node->event.stored = q->stored;
  node->event.ending = q->ending;
  node->event.step = ++q->steps;
  if (q->kind == KAD__QUERY_GET && q->value != NULL) {
    q->value->refs++;
    node->value = q->value;
    node->event.record = q->value->record;
    node->event.peer.id = q->value->peer;
  }
  kad__event_queue(dht, node);
}

void kad__query_end(kad__dht *dht, kad__query *q, int error, kad_time now) {
  if (!q->reported) {
    kad__query_report(dht, q, error, now);
  }
  if (q->kind == KAD__QUERY_BOOTSTRAP) {
    kad__bootstrap_over(dht);
  }
  kad__map_remove(&dht->queries, &q->node);
  query_free(dht, q);
  if (dht->queries.len == 0) {
    kad__map_fini(&dht->queries, &dht->allocator);
    kad__map_init(&dht->queries, dht->secret);
    kad__heap_fini(&dht->query_timers, &dht->allocator);
  }
}

/* ---- lookup and spreading ----------------------------------------------- */

static void seed(kad__dht *dht, kad__query *q, const kad__table_filter *filter,
                 uint32_t count, kad_time now) {
  kad__near near[KAD__RESULTS_MAX];
  size_t n =
      kad__table_closest(&dht->table, near, count, &q->lookup.target, filter);
  for (size_t i = 0; i < n; i++) {
    kad__heard heard = {.peer = near[i].entry->peer};
    heard.deferred = (near[i].entry->flags & KAD__ENTRY_FAILED) != 0 ||
                     kad__member_resting(dht, heard.peer, now) ||
                     kad__bootstrap_defers(dht, q, heard.peer);
    /* A seed without memory is one seed less. */
    (void)kad__lookup_seed(&q->lookup, &heard);
  }
}

/* All but the first of several paths begin at peers anywhere in the table. The
 * closest to the target are in one bucket or two; who got there first may have
 * filled those with his like, and would stand at the beginning of every path.
 */
static void seed_entries(kad__dht *dht, kad__query *q, kad_time now) {
  for (uint32_t p = 1; p < q->lookup.config.paths; p++) {
    for (uint32_t i = 0; i < q->lookup.config.parallelism; i++) {
      const kad__entry *e = kad__table_at(
          &dht->table, kad_random_below(dht->config.random, dht->table.size));
      kad__heard heard = {.peer = e->peer};
      if ((e->flags & KAD__ENTRY_FAILED) == 0 &&
          !kad__member_resting(dht, e->peer, now)) {
        (void)kad__lookup_seed_entry(&q->lookup, p, &heard);
      }
    }
  }
}

int kad__query_look(kad__dht *dht, kad__query *q, const kad__key *target,
                    uint32_t results, kad_time now) {
  uint32_t paths = dht->config.disjoint_paths ? KAD__DISJOINT_PATHS : 1;
  paths = paths < dht->config.parallelism ? paths : dht->config.parallelism;
  kad__lookup_config config = {
      .parallelism = (dht->config.parallelism + paths - 1) / paths,
      .results = results,
      .paths = paths};
  if (kad__query_class_of(q->kind)->region) {
    config.region = kad__size_region(dht, now);
  }
  kad__calls_cancel(dht, q);
  kad__lookup_fini(&q->lookup);
  int error =
      kad__lookup_init(&q->lookup, &dht->allocator, dht->book, target, &config);
  if (error != 0) {
    return error;
  }
  uint32_t count = results < KAD__K ? KAD__K : results;
  kad__table_filter healthy = {.reject = KAD__ENTRY_FAILED};
  kad__table_filter failed = {.require = KAD__ENTRY_FAILED};
  seed(dht, q, &healthy, count, now);
  if (kad__lookup_size(&q->lookup) < count) {
    seed(dht, q, &failed, count - kad__lookup_size(&q->lookup), now);
  }
  if (dht->table.size > count) {
    seed_entries(dht, q, now);
  }
  return 0;
}

int kad__query_spread(kad__dht *dht, kad__query *q, const kad__heard *peers,
                      size_t count) {
  kad__lookup_config config = {.parallelism = dht->config.replication,
                               .results = UINT32_MAX,
                               .paths = 1,
                               .fixed = true};
  kad__calls_cancel(dht, q);
  kad__lookup_fini(&q->lookup);
  int error = kad__lookup_init(&q->lookup, &dht->allocator, dht->book,
                               &q->target, &config);
  for (size_t i = 0; i < count && error == 0; i++) {
    error = kad__lookup_seed(&q->lookup, &peers[i]);
  }
  q->phase = KAD__PHASE_SPREAD;
  q->found = kad__lookup_size(&q->lookup);
  /* Moving a node that is in the heap cannot fail. */
  (void)kad__heap_set(&dht->query_timers, &dht->allocator, &q->timer, q->ends);
  return error;
}

static bool spread_enough(const kad__query *q) {
  return q->stored >= kad__quorum_of(q->quorum, q->found);
}

static uint32_t failed_stores(const kad__query *q) {
  const kad__path *p = &q->lookup.paths[0];
  uint32_t failed = 0;
  for (uint32_t i = 0; i < p->count; i++) {
    failed += p->list[i].state == KAD__FAILED;
  }
  return failed;
}

/* A record is safe once its quorum has it. An announcement has no quorum: it is
 * reported when only those are left that keep us waiting. */
static bool spread_reportable(const kad__query *q) {
  if (q->reported || !spread_enough(q)) {
    return false;
  }
  uint32_t settled = q->stored + failed_stores(q);
  return kad__query_class_of(q->kind)->give == KAD__PUT_VALUE ||
         q->lookup.paths[0].waiting == 0 ||
         (q->near_enough != 0 && 4 * settled >= 3 * q->found);
}

static void spread_over(kad__dht *dht, kad__query *q, kad_time now) {
  int error = q->found == 0 ? KAD_E_NO_PEERS : KAD_E_QUORUM;
  error = q->error != 0 ? q->error : error;
  kad__query_end(dht, q, spread_enough(q) ? 0 : error, now);
}

static kad__lookup_ending ending_of(const kad__query *q) {
  const kad__candidate *results[KAD__RESULTS_MAX];
  if (q->error == KAD_E_TIMEOUT) {
    return KAD__ENDING_TIMED_OUT;
  }
  if (q->error != 0) {
    return KAD__ENDING_FINISHED;
  }
  if (kad__query_satisfied(q)) {
    return KAD__ENDING_SATISFIED;
  }
  uint32_t wanted = q->lookup.config.results;
  bool enough = kad__lookup_results(&q->lookup, results, wanted) >= wanted;
  return enough ? KAD__ENDING_CONVERGED : KAD__ENDING_STARVED;
}

/* False when the query is gone. */
static bool phase_over(kad__dht *dht, kad__query *q, kad_time now) {
  if (q->phase == KAD__PHASE_SPREAD) {
    spread_over(dht, q, now);
    return false;
  }
  q->ending = ending_of(q);
  return kad__query_class_of(q->kind)->found(dht, q, now);
}

/* One line of the trace. `reply` is NULL where there is none. */
static void trace(kad__dht *dht, kad__query *q, kad__dht_event_type type,
                  kad__peer peer, int error, const kad__message *reply,
                  kad_time now) {
  if (!q->traced) {
    return;
  }
  const kad__query_class *class = kad__query_class_of(q->kind);
  const kad__candidate *c = kad__lookup_find(&q->lookup, peer);
  bool spread = q->phase == KAD__PHASE_SPREAD;
  kad__dht_event event = {
      .type = type,
      .message_type = spread ? class->give : class->ask,
      .error = error,
      .key = kad__query_key(q),
      .peer.id = kad__peer_id(dht->book, peer),
      .peer.addresses = kad__member_addresses(dht, peer),
      .closer = reply == NULL ? 0 : (uint32_t)reply->closer_count,
      .hops = c == NULL || spread ? 0 : c->hops};
  if (event.peer.addresses.len == 0 && c != NULL) {
    event.peer.addresses = kad__list_bytes(dht->book, c->addresses);
  }
  kad__event_of_query(dht, q, &event, now);
}

static void ask(kad__dht *dht, kad__query *q, const kad__candidate *c,
                kad_time now) {
  const kad__query_class *class = kad__query_class_of(q->kind);
  kad__message_type type =
      q->phase == KAD__PHASE_SPREAD ? class->give : class->ask;
  kad__peer peer = c->peer;
  int error =
      kad__call_start(dht, q, peer, c->addresses, type, q->timer.at, now);
  q->stats.requests++;
  if (error != 0) {
    q->stats.failures++;
    kad__lookup_failed(&q->lookup, peer);
    return;
  }
  trace(dht, q, KAD__DHT_ASKED, peer, 0, NULL, now);
}

/* The closest to any point are a sample of the network that nobody chose. */
static void admit_closest(kad__dht *dht, const kad__query *q, kad_time now) {
  const kad__candidate *results[KAD__RESULTS_MAX];
  size_t count =
      kad__lookup_results(&q->lookup, results, q->lookup.config.results);
  for (size_t i = 0; i < count; i++) {
    kad__member_found(dht, results[i]->peer, now);
  }
}

/* The lookup came to its end by itself: what it found says how dense the
 * network is, and who is there. */
static void learn(kad__dht *dht, const kad__query *q, kad_time now) {
  if (q->phase != KAD__PHASE_LOOKUP || kad__query_satisfied(q)) {
    return;
  }
  if (kad__query_class_of(q->kind)->ask == KAD__FIND_NODE) {
    kad__size_learn(dht, &q->lookup, now);
  }
  if (q->lookup.config.paths > 1) {
    admit_closest(dht, q, now);
  }
}

void kad__query_pump(kad__dht *dht, kad__query *q, kad_time now) {
  for (;;) {
    const kad__candidate *c;
    kad__lookup_turn turn = KAD__LOOKUP_FINISHED;
    if (q->phase == KAD__PHASE_SPREAD || !kad__query_satisfied(q)) {
      turn = kad__lookup_next(&q->lookup, &c);
    }
    if (turn == KAD__LOOKUP_WAIT) {
      if (q->phase == KAD__PHASE_SPREAD && spread_reportable(q)) {
        kad__query_report(dht, q, 0, now);
      }
      return;
    }
    if (turn == KAD__LOOKUP_ASK) {
      ask(dht, q, c, now);
      continue;
    }
    learn(dht, q, now);
    if (!phase_over(dht, q, now)) {
      return;
    }
  }
}

/* ---- beginning ---------------------------------------------------------- */

static kad_time lookup_ends(const kad__dht *dht, kad__query_kind kind,
                            kad_time now) {
  kad_time timeout = dht->config.query_timeout;
  if (timeout != KAD_TIME_NEVER && kad__query_class_of(kind)->two_phases) {
    timeout = timeout / 3 * 2;
  }
  return kad__time_add(now, timeout);
}

static kad__query *query_alloc(kad__dht *dht, const kad__query_start *start,
                               kad_time now) {
  /* The key of a bootstrap changes with each step. */
  size_t room =
      start->key.len < KAD__DHT_ID_MAX ? KAD__DHT_ID_MAX : start->key.len;
  kad__query *q = kad__calloc(&dht->allocator, 1, sizeof *q + room);
  if (q == NULL) {
    return NULL;
  }
  q->kind = start->kind;
  q->wanted = start->wanted;
  q->quorum = start->quorum;
  q->value = start->value;
  q->traced = dht->trace;
  q->tells_peers = dht->tell_peers;
  q->stats.start = now;
  q->ends = kad__time_add(now, dht->config.query_timeout);
  q->key_len = (uint32_t)start->key.len;
  memcpy(q->key, start->key.data, start->key.len);
  q->target = kad__key_of(dht->config.hash, start->key);
  kad__list_init(&q->link);
  kad__list_init(&q->calls);
  kad__heap_node_init(&q->timer);
  return q;
}

static int fixed_peers(kad__dht *dht, kad__query *q,
                       const kad__query_start *start) {
  int error = kad__query_spread(dht, q, NULL, 0);
  for (size_t i = 0; i < start->peer_count && error == 0; i++) {
    kad__heard heard = {0};
    kad_bytes id = start->peers[i];
    if (id.len == 0 || id.len > KAD__DHT_ID_MAX ||
        kad__bytes_equal(id, dht->config.local_id)) {
      return KAD_E_INVALID_ARGUMENT;
    }
    error = kad__peer_book_hold(dht->book, &heard.peer, id);
    if (error == 0) {
      error = kad__lookup_seed(&q->lookup, &heard);
      kad__peer_unref(dht->book, heard.peer);
    }
  }
  q->found = kad__lookup_size(&q->lookup);
  return error;
}

static int query_prepare(kad__dht *dht, kad__query *q,
                         const kad__query_start *start, kad_time now) {
  int error =
      kad__heap_set(&dht->query_timers, &dht->allocator, &q->timer,
                    kad__time_min(q->ends, lookup_ends(dht, q->kind, now)));
  if (error != 0) {
    return error;
  }
  if (!kad__query_class_of(q->kind)->silent) {
    q->end = kad__event_reserve(&dht->allocator, kad__query_key(q));
    if (q->end == NULL) {
      return KAD_E_NO_MEMORY;
    }
  }
  if (q->kind == KAD__QUERY_PUT_TO) {
    return fixed_peers(dht, q, start);
  }
  return kad__query_look(dht, q, &q->target, start->results, now);
}

static int query_register(kad__dht *dht, kad__query *q) {
  q->id = ++dht->query_sequence;
  kad__store64(q->id_bytes, q->id);
  int error = kad__map_add(&dht->queries, &dht->allocator, &q->node,
                           kad__bytes(q->id_bytes, sizeof q->id_bytes));
  if (error == 0) {
    kad__list_append(&dht->query_list, &q->link);
  }
  return error;
}

int kad__query_begin(kad__dht *dht, kad__query_id *out,
                     const kad__query_start *start, kad_time now) {
  kad__query *q = NULL;
  int error = KAD_E_NO_MEMORY;
  if (start->key.len == 0 || start->key.len > KAD__DHT_KEY_MAX) {
    error = KAD_E_INVALID_ARGUMENT;
  } else if (dht->queries.len >= dht->config.max_queries) {
    error = KAD_E_LIMIT;
  } else {
    q = query_alloc(dht, start, now);
  }
  if (q == NULL) {
    kad__value_unref(&dht->allocator, start->value);
    return error;
  }
  error = query_prepare(dht, q, start, now);
  error = error != 0 ? error : query_register(dht, q);
  if (error != 0) {
    query_free(dht, q);
    return error;
  }
  *out = q->id;
  const kad__query_class *class = kad__query_class_of(q->kind);
  if (class->begin != NULL) {
    class->begin(dht, q, now);
  }
  kad__query_pump(dht, q, now);
  return 0;
}

kad__query *kad__query_find(const kad__dht *dht, kad__query_id id) {
  uint8_t bytes[8];
  kad__store64(bytes, id);
  kad__map_node *node = kad__map_find(&dht->queries, kad__bytes(bytes, 8));
  return node == NULL ? NULL : KAD__CONTAINER(node, kad__query, node);
}

/* ---- what happens to it ------------------------------------------------- */

static int hold(kad__dht *dht, kad__peer *out, kad__peer known, kad_bytes id) {
  if (known == 0) {
    return kad__peer_book_hold(dht->book, out, id);
  }
  kad__peer_ref(dht->book, known);
  *out = known;
  return 0;
}

/* A peer that was named, `known` to the book or 0: true when the lookup may use
 * it. References go to the caller. */
static bool hear(kad__dht *dht, const kad__wire_peer *named, kad__peer known,
                 kad__heard *out, kad_time now) {
  uint8_t list[KAD__HEARD_ADDRESSES_MAX];
  size_t len = 0;
  if (named->id.len == 0 || named->id.len > KAD__DHT_ID_MAX ||
      hold(dht, &out->peer, known, named->id) != 0) {
    return false;
  }
  kad__dht_merge(dht, list, sizeof list, &len, named->addresses);
  bool usable =
      out->peer != dht->self && (len > 0 || kad__member_usable(dht, out->peer));
  if (!usable || kad__list_hold_of(dht->book, &out->addresses,
                                   kad__bytes(list, len), out->peer) != 0) {
    kad__peer_unref(dht->book, out->peer);
    return false;
  }
  out->deferred = kad__member_resting(dht, out->peer, now);
  return true;
}

/* One answer that names many peers of one group is no chance: none of them is
 * used (as in go-libp2p-kad-dht). */
static size_t drop_crowds(kad__dht *dht, kad__heard *heard, size_t count) {
  uint16_t groups[KAD__MESSAGE_CLOSER_MAX];
  size_t kept = 0;
  if (dht->config.address_group == NULL) {
    return count;
  }
  for (size_t i = 0; i < count; i++) {
    groups[i] =
        kad__dht_group(dht, kad__list_bytes(dht->book, heard[i].addresses));
  }
  for (size_t i = 0; i < count; i++) {
    uint32_t same = 0;
    for (size_t j = 0; j < count; j++) {
      same += groups[j] == groups[i];
    }
    if (groups[i] == 0 || same <= dht->config.max_group_table) {
      heard[kept++] = heard[i];
    } else {
      kad__list_unref(dht->book, heard[i].addresses);
      kad__peer_unref(dht->book, heard[i].peer);
    }
  }
  return kept;
}

static size_t hear_all(kad__dht *dht, const kad__query *q,
                       const kad__message *reply, kad__heard *heard,
                       kad_time now) {
  kad_bytes ids[KAD__MESSAGE_CLOSER_MAX];
  kad__peer known[KAD__MESSAGE_CLOSER_MAX];
  size_t count = 0;
  if (kad__bootstrap_heard_enough(dht, q)) {
    return 0;
  }
  for (size_t i = 0; i < reply->closer_count; i++) {
    ids[i] = reply->closer[i].id;
  }
  kad__peer_book_find_many(dht->book, known, ids, reply->closer_count);
  for (size_t i = 0; i < reply->closer_count; i++) {
    if (hear(dht, &reply->closer[i], known[i], &heard[count], now)) {
      heard[count].deferred = heard[count].deferred ||
                              kad__bootstrap_defers(dht, q, heard[count].peer);
      count++;
    }
  }
  return drop_crowds(dht, heard, count);
}

static void lookup_replied(kad__dht *dht, kad__query *q, kad__peer peer,
                           const kad__message *reply, kad_time now) {
  const kad__query_class *class = kad__query_class_of(q->kind);
  kad__heard heard[KAD__MESSAGE_CLOSER_MAX];
  size_t count = hear_all(dht, q, reply, heard, now);
  kad__candidate *from = kad__lookup_find(&q->lookup, peer);
  if (class->take != NULL && from != NULL) {
    class->take(dht, q, from, reply, now);
  }
  kad__lookup_answered(&q->lookup, peer, heard, count);
  for (size_t i = 0; i < count; i++) {
    kad__list_unref(dht->book, heard[i].addresses);
    kad__peer_unref(dht->book, heard[i].peer);
  }
}

void kad__query_replied(kad__dht *dht, kad__query *q, kad__peer peer,
                        const kad__message *reply, kad_time now) {
  q->stats.successes++;
  q->stats.end = now;
  trace(dht, q, KAD__DHT_ANSWERED, peer, 0, reply, now);
  if (q->phase == KAD__PHASE_SPREAD) {
    q->stored++;
    kad__lookup_answered(&q->lookup, peer, NULL, 0);
  } else {
    lookup_replied(dht, q, peer, reply, now);
  }
  kad__query_pump(dht, q, now);
}

void kad__query_failed(kad__dht *dht, kad__query *q, kad__peer peer, int error,
                       kad_time now) {
  q->stats.failures++;
  q->stats.end = now;
  trace(dht, q, KAD__DHT_ANSWERED, peer, error, NULL, now);
  kad__lookup_failed(&q->lookup, peer);
  kad__query_pump(dht, q, now);
}

void kad__query_delayed(kad__dht *dht, kad__query *q, kad__peer peer, bool lost,
                        kad_time now) {
  if (lost) {
    kad__lookup_lost(&q->lookup, peer);
  } else {
    kad__lookup_slow(&q->lookup, peer);
  }
  kad__query_pump(dht, q, now);
}

/* Ends what is going on, with what there is. */
static void query_stop(kad__dht *dht, kad__query *q, int error, kad_time now) {
  q->error = error;
  if (phase_over(dht, q, now)) {
    kad__query_pump(dht, q, now);
  }
}

static void query_due(kad__dht *dht, kad__query *q, kad_time now) {
  kad__calls_cancel(dht, q);
  query_stop(dht, q, KAD_E_TIMEOUT, now);
}

bool kad__dht_finish(kad__dht *dht, kad__query_id id, kad_time now) {
  kad__query *q = kad__query_find(dht, id);
  if (q == NULL || q->reported) {
    return false;
  }
  kad__calls_cancel(dht, q);
  q->ends = now;
  query_stop(dht, q, KAD_E_CANCELLED, now);
  return true;
}

void kad__queries_tick(kad__dht *dht, kad_time now) {
  for (;;) {
    kad__heap_node *first = kad__heap_first(&dht->query_timers);
    if (first == NULL || first->at > now) {
      return;
    }
    query_due(dht, KAD__CONTAINER(first, kad__query, timer), now);
  }
}

void kad__queries_fini(kad__dht *dht) {
  KAD__LIST_EACH(link, &dht->query_list) {
    query_free(dht, KAD__CONTAINER(link, kad__query, link));
  }
  kad__map_fini(&dht->queries, &dht->allocator);
  kad__heap_fini(&dht->query_timers, &dht->allocator);
}

/* ---- invariants --------------------------------------------------------- */

static const char *check_query(const kad__dht *dht, kad__query *q) {
  uint32_t calls = 0;
  uint32_t waiting = 0;
  if (kad__query_find(dht, q->id) != q) {
    return "queries: one cannot be found";
  }
  if (!kad__heap_has(&q->timer)) {
    return "queries: one has no timer";
  }
  KAD__LIST_EACH(link, &q->calls) {
    const kad__call *call = KAD__CONTAINER(link, kad__call, query_link);
    if (call->query != q) {
      return "queries: a call belongs to another query";
    }
    calls++;
  }
  for (uint32_t i = 0; i < q->lookup.config.paths; i++) {
    const kad__path *p = &q->lookup.paths[i];
    for (uint32_t j = 0; j < p->count; j++) {
      waiting += p->list[j].owned && kad__candidate_open(&p->list[j]);
    }
  }
  if (calls != waiting) {
    return "queries: the calls are not those that are waited for";
  }
  if (calls == 0) {
    return "queries: one waits for nothing";
  }
  return kad__lookup_check(&q->lookup);
}

const char *kad__queries_check(const kad__dht *dht) {
  uint32_t count = 0;
  kad__query_id last = 0;
  KAD__LIST_EACH(link, &dht->query_list) {
    kad__query *q = KAD__CONTAINER(link, kad__query, link);
    const char *broken = check_query(dht, q);
    if (broken != NULL) {
      return broken;
    }
    if (q->id <= last) {
      return "queries: they are not in order";
    }
    last = q->id;
    count++;
  }
  return count == dht->queries.len ? NULL : "queries: the total is wrong";
}
