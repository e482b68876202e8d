/* The requests of others. A table says what each must and may carry, so that
 * no handler checks again; nothing here allocates but what is stored. */
#include "kademlia/state.h"

/* Of one peer's addresses, so many bytes are told; the newest come first. */
#define TOLD_ADDRESSES_MAX 600
/* What an entry costs beside id and addresses. */
#define TOLD_OVERHEAD 16

typedef struct request {
  kad__dht *dht;
  const kad__message *in;
  kad__message *out;
  kad_bytes from;
  kad_bytes address; /* where it called from; empty: unknown */
  kad__peer asker;   /* 0: nobody we know */
  kad_time now;
  size_t room;  /* bytes of peers that the answer may still hold */
  bool decided; /* the owner wants it stored, filter or not */
} request;

typedef struct request_class {
  size_t key_max; /* 0: needs no key; else 1 to so many bytes */
  bool record;    /* needs a record of the same key */
  bool providers; /* needs at least one provider */
  int (*answer)(request *r);
} request_class;

/* ---- telling peers ------------------------------------------------------ */

static bool tell(request *r, kad__wire_peer *list, size_t *count, kad_bytes id,
                 kad_bytes addresses) {
  kad_bytes told = kad__list_prefix(addresses, TOLD_ADDRESSES_MAX);
  size_t size = id.len + told.len + TOLD_OVERHEAD;
  if (size > r->room) {
    return false;
  }
  r->room -= size;
  list[(*count)++] = (kad__wire_peer){
      .id = id, .addresses = told, .connection = KAD__NOT_CONNECTED};
  return true;
}

static void tell_closer(request *r, kad_bytes id, kad_bytes addresses) {
  tell(r, r->out->closer, &r->out->closer_count, id, addresses);
}

/* Who is looked for, if we know where it is: even the asker, who learns that
 * way how others see it, a client, or ourselves. */
static void tell_target(request *r, kad__peer target) {
  kad__dht *dht = r->dht;
  if (target == 0) {
    return;
  }
  if (target == dht->self) {
    tell_closer(r, dht->config.local_id, (kad_bytes){0});
    return;
  }
  kad_bytes addresses = kad__member_addresses(dht, target);
  bool present = kad__table_find(&dht->table, target) != NULL;
  if (addresses.len > 0 || (present && dht->config.no_addresses)) {
    tell_closer(r, kad__peer_id(dht->book, target), addresses);
  }
}

static void tell_closest(request *r, const kad__key *key, kad__peer target) {
  kad__dht *dht = r->dht;
  kad__near near[KAD__MESSAGE_CLOSER_MAX];
  size_t wanted = dht->config.bucket_size < KAD__MESSAGE_CLOSER_MAX
                      ? dht->config.bucket_size
                      : KAD__MESSAGE_CLOSER_MAX;
  kad__table_filter filter = {
      .skip = r->asker,
      .reject = KAD__ENTRY_FAILED,
      .require = dht->config.no_addresses ? 0 : KAD__ENTRY_ADDRESSED};
  tell_target(r, target);
  size_t n = kad__table_closest(&dht->table, near, wanted, key, &filter);
  for (size_t i = 0; i < n; i++) {
    kad__peer_book_expect(dht->book, near[i].entry->peer,
                          near[i].entry->addresses);
  }
  for (size_t i = 0; i < n && r->out->closer_count < wanted; i++) {
    if (near[i].entry->peer != target) {
      tell_closer(r, kad__peer_id(dht->book, near[i].entry->peer),
                  kad__list_bytes(dht->book, near[i].entry->addresses));
    }
  }
}

static void tell_closest_to(request *r) {
  kad__key key = kad__key_of(r->dht->config.hash, r->in->key);
  tell_closest(r, &key, 0);
}

/* ---- news for the owner ------------------------------------------------- */

static void inbound(request *r, const kad__wire_record *record,
                    const kad__wire_peer *provider) {
  if (r->decided) {
    return;
  }
  kad__dht_event event = {
      .type = KAD__DHT_INBOUND,
      .message_type = r->in->type,
      .peer.id = r->from,
      .key = r->in->key,
      .closer = (uint32_t)r->out->closer_count,
      .told = (uint32_t)r->out->provider_count + r->out->has_record};
  bool carries = record != NULL || provider != NULL;
  if (!carries && (r->dht->config.muted_events & 1u << KAD__DHT_INBOUND) != 0) {
    return;
  }
  if (record != NULL) {
    event.record = *record;
  }
  if (provider != NULL) {
    event.peer = *provider;
  }
  kad__event_push(r->dht, &event);
}

/* ---- one function per call ---------------------------------------------- */

static int answer_ping(request *r) {
  inbound(r, NULL, NULL);
  return 1;
}

static int answer_find_node(request *r) {
  kad__dht *dht = r->dht;
  kad__peer target = kad__peer_book_find(dht->book, r->in->key);
  kad__key key = target != 0 ? *kad__peer_key(dht->book, target)
                             : kad__key_of(dht->config.hash, r->in->key);
  tell_closest(r, &key, target);
  inbound(r, NULL, NULL);
  return 1;
}

bool kad__dht_stored(const kad__dht *dht, kad__record *out, kad_bytes key,
                     kad_time now) {
  kad__store *store = dht->config.store;
  return store->ops->get(store, out, key) && out->expires > now &&
         kad__validate(dht->config.validators, key, out->value,
                       kad__dht_wall(dht, now)) == 0;
}

static int answer_get_value(request *r) {
  kad__record record;
  r->out->key = r->in->key;
  if (kad__dht_stored(r->dht, &record, r->in->key, r->now)) {
    r->out->has_record = true;
    r->out->record =
        (kad__wire_record){.key = r->in->key,
                           .value = record.value,
                           .publisher = record.publisher,
                           .ttl = kad__ttl_seconds(record.expires, r->now)};
  }
  tell_closest_to(r);
  inbound(r, NULL, NULL);
  return 1;
}

/* The farther we are from the key, the shorter we keep it: half the time for
 * each node beyond k between us and it (rust-libp2p's exp_decrease). But nodes
 * that have left are counted until they are found out, so where we may well be
 * among the k closest it is kept until it has been replicated again. */
static kad_time record_life(const kad__dht *dht, kad_bytes record_key) {
  const kad__dht_config *config = &dht->config;
  kad__key key = kad__key_of(config->hash, record_key);
  size_t between = kad__table_count_between(&dht->table, &key);
  size_t beyond =
      between > config->replication ? between - config->replication : 0;
  kad_time life = beyond >= 64 ? 0 : config->record_ttl >> beyond;
  kad_time least = config->replication_interval == KAD_TIME_NEVER ||
                           beyond > config->replication
                       ? 0
                       : 2 * config->replication_interval;
  least = kad__time_min(least, config->record_ttl);
  return life > least ? life : least;
}

static kad_time record_expiry(const request *r, const kad__wire_record *in) {
  kad_time theirs = in->ttl == 0
                        ? KAD_TIME_NEVER
                        : kad__time_add(r->now, (kad_time)in->ttl * KAD_SECOND);
  if (r->dht->config.record_ttl == KAD_TIME_NEVER) {
    return theirs;
  }
  kad_time ours = kad__time_add(r->now, record_life(r->dht, in->key));
  return kad__time_min(theirs, ours);
}

static int put_check(const request *r, const kad__wire_record *in) {
  kad__dht *dht = r->dht;
  kad__record old;
  int error = kad__validate(dht->config.validators, in->key, in->value,
                            kad__dht_wall(dht, r->now));
  if (error != 0) {
    return error;
  }
  bool worse =
      kad__dht_stored(dht, &old, in->key, r->now) &&
      !kad__bytes_equal(old.value, in->value) &&
      kad__select(dht->config.validators, in->key, old.value, in->value) == 0;
  return worse ? KAD_E_RECORD_OLD : 0;
}

/* The same value is here already, and for longer, or as our own: an older copy,
 * replicated, must not cut short what was published since. */
static bool known_better(const request *r, const kad__record *record) {
  kad__store *store = r->dht->config.store;
  kad__record old;
  return store->ops->get(store, &old, record->key) &&
         kad__bytes_equal(old.value, record->value) &&
         (old.expires >= record->expires ||
          kad__bytes_equal(old.publisher, r->dht->config.local_id));
}

/* The network of the asker, which has a share of the room for records; what it
 * announces itself counts only when nothing else is known. */
static uint64_t network_of(const request *r, kad_bytes announced) {
  const kad__dht_config *c = &r->dht->config;
  uint64_t network = 0;
  if (c->address_group != NULL && r->address.len > 0) {
    network = c->address_group(c->address_user, r->address);
  }
  if (network == 0 && r->asker != 0) {
    network = kad__dht_network(r->dht, kad__member_addresses(r->dht, r->asker));
  }
  return network != 0 ? network : kad__dht_network(r->dht, announced);
}

static int put_store(request *r, const kad__wire_record *in) {
  kad__dht *dht = r->dht;
  kad__record record = {.key = in->key,
                        .value = in->value,
                        .publisher = in->publisher,
                        .expires = record_expiry(r, in),
                        .source = r->from,
                        .group = network_of(r, (kad_bytes){0})};
  if (record.expires <= r->now) {
    return 0; /* too far from the key to keep it even for a moment */
  }
  if (known_better(r, &record)) {
    return 0;
  }
  if (dht->config.filter_records && !r->decided) {
    inbound(r, in, NULL);
    return 0;
  }
  int error = dht->config.store->ops->put(dht->config.store, &record, false);
  if (error == 0) {
    kad__jobs_skip(dht, in->key, r->now);
    inbound(r, NULL, NULL);
  }
  return error;
}

static int answer_put_value(request *r) {
  const kad__wire_record *in = &r->in->record;
  bool ours = kad__bytes_equal(in->publisher, r->dht->config.local_id);
  int error = ours ? 0 : put_check(r, in);
  if (error == 0 && !ours) {
    error = put_store(r, in);
  }
  if (error != 0) {
    return error;
  }
  r->out->key = r->in->key;
  r->out->has_record = true;
  r->out->record = (kad__wire_record){.key = in->key, .value = in->value};
  return 1;
}

/* Everybody may announce itself and nobody else. */
static const kad__wire_peer *own_entry(const request *r) {
  for (size_t i = 0; i < r->in->provider_count; i++) {
    if (kad__bytes_equal(r->in->providers[i].id, r->from)) {
      return &r->in->providers[i];
    }
  }
  return NULL;
}

static int provider_store(request *r, kad_bytes key, kad_bytes addresses) {
  kad__dht *dht = r->dht;
  kad__provider record = {
      .key = key,
      .provider = r->from,
      .addresses = addresses,
      .expires = kad__time_add(r->now, dht->config.provider_ttl),
      .group = network_of(r, addresses)};
  if (dht->config.filter_records && !r->decided) {
    kad__wire_peer provider = {.id = r->from, .addresses = addresses};
    inbound(r, NULL, &provider);
    return 0;
  }
  int error =
      dht->config.store->ops->add_provider(dht->config.store, &record, false);
  if (error == 0) {
    inbound(r, NULL, NULL);
  }
  return error;
}

static int answer_add_provider(request *r) {
  uint8_t list[KAD__DHT_ADDRESSES_MAX];
  size_t len = 0;
  const kad__wire_peer *entry = own_entry(r);
  if (entry == NULL) {
    return KAD_E_MESSAGE;
  }
  kad__dht_merge(r->dht, list, sizeof list, &len, entry->addresses);
  bool known =
      r->dht->config.no_addresses ||
      (r->asker != 0 && kad__member_addresses(r->dht, r->asker).len > 0);
  if (len == 0 && !known) {
    return KAD_E_MESSAGE;
  }
  return provider_store(r, r->in->key, kad__bytes(list, len));
}

static void tell_provider(request *r, const kad__provider *p) {
  kad__dht *dht = r->dht;
  kad_bytes addresses = p->addresses;
  if (p->expires <= r->now || kad__bytes_equal(p->provider, r->from)) {
    return;
  }
  if (addresses.len == 0) {
    kad__peer peer = kad__peer_book_find(dht->book, p->provider);
    addresses = peer == 0 || peer == dht->self
                    ? addresses
                    : kad__member_addresses(dht, peer);
  }
  tell(r, r->out->providers, &r->out->provider_count, p->provider, addresses);
}

static int answer_get_providers(request *r) {
  kad__dht *dht = r->dht;
  kad__provider list[KAD__MESSAGE_PROVIDERS_MAX];
  size_t room = r->room;
  size_t count = dht->config.store->ops->providers(
      dht->config.store, list, KAD__COUNT(list), r->in->key);
  r->out->key = r->in->key;
  /* Providers are what was asked for, but the way to more of them needs room
   * too. */
  r->room = room / 2;
  for (size_t i = 0; i < count; i++) {
    tell_provider(r, &list[i]);
  }
  r->room += room - room / 2;
  tell_closest_to(r);
  inbound(r, NULL, NULL);
  return 1;
}

/* ---- the table ---------------------------------------------------------- */

static const request_class classes[KAD__MESSAGE_TYPES] = {
    [KAD__PUT_VALUE] = {KAD__DHT_KEY_MAX, true, false, answer_put_value},
    [KAD__GET_VALUE] = {KAD__DHT_KEY_MAX, false, false, answer_get_value},
    [KAD__ADD_PROVIDER] = {KAD__DHT_PROVIDER_KEY_MAX, false, true,
                           answer_add_provider},
    [KAD__GET_PROVIDERS] = {KAD__DHT_PROVIDER_KEY_MAX, false, false,
                            answer_get_providers},
    [KAD__FIND_NODE] = {KAD__DHT_KEY_MAX, false, false, answer_find_node},
    [KAD__PING] = {0, false, false, answer_ping},
};

static int request_check(const request_class *class, const kad__message *in) {
  if (class->key_max > 0 &&
      (in->key.len == 0 || in->key.len > class->key_max)) {
    return KAD_E_MESSAGE;
  }
  if (class->record &&
      (!in->has_record || !kad__bytes_equal(in->record.key, in->key))) {
    return KAD_E_MESSAGE;
  }
  if (class->providers && in->provider_count == 0) {
    return KAD_E_MESSAGE;
  }
  return 0;
}

static int answer(request *r) {
  if (r->dht->mode == KAD__MODE_CLIENT) {
    return KAD_E_UNSUPPORTED;
  }
  if ((unsigned)r->in->type >= KAD__MESSAGE_TYPES || r->from.len == 0 ||
      r->from.len > KAD__DHT_ID_MAX) {
    return KAD_E_MESSAGE;
  }
  const request_class *class = &classes[r->in->type];
  int error = request_check(class, r->in);
  return error != 0 ? error : class->answer(r);
}

int kad__dht_answer(kad__dht *dht, kad__message *reply, const kad__message *in,
                    kad_bytes from, kad_bytes address, kad_time now) {
  request r = {.dht = dht,
               .in = in,
               .out = reply,
               .from = from,
               .address = address,
               .asker = kad__peer_book_find(dht->book, from),
               .now = now,
               .room = dht->config.max_answer};
  kad__message_init(reply, in->type);
  int result = answer(&r);
  if (result < 0) {
    dht->counters.refused++;
  } else {
    dht->counters.requests[in->type]++;
  }
  return result;
}

size_t kad__dht_closest_local(kad__dht *dht, kad__wire_peer *out, size_t cap,
                              kad_bytes key, kad_bytes source, kad_time now) {
  kad__near near[KAD__RESULTS_MAX];
  kad__key target = kad__key_of(dht->config.hash, key);
  kad__table_filter filter = {.skip = kad__peer_book_find(dht->book, source)};
  (void)now;
  cap = cap < KAD__RESULTS_MAX ? cap : KAD__RESULTS_MAX;
  size_t n = kad__table_closest(&dht->table, near, cap, &target, &filter);
  for (size_t i = 0; i < n; i++) {
    const kad__entry *e = near[i].entry;
    bool connected = (e->flags & KAD__ENTRY_CONNECTED) != 0;
    out[i] = (kad__wire_peer){
        .id = kad__peer_id(dht->book, e->peer),
        .addresses = kad__list_bytes(dht->book, e->addresses),
        .connection = connected ? KAD__CONNECTED : KAD__NOT_CONNECTED};
  }
  return n;
}

/* ---- what the owner decides --------------------------------------------- */

static request decision(kad__dht *dht, kad_bytes from, kad_time now) {
  return (request){.dht = dht,
                   .from = from,
                   .asker = kad__peer_book_find(dht->book, from),
                   .now = now,
                   .decided = true};
}

int kad__dht_check_request(const kad__dht *dht, const kad__message *in,
                           kad_bytes from, kad_time now) {
  request r = {
      .dht = (kad__dht *)(uintptr_t)dht, .in = in, .from = from, .now = now};
  if (dht->mode == KAD__MODE_CLIENT) {
    return KAD_E_UNSUPPORTED;
  }
  if ((unsigned)in->type >= KAD__MESSAGE_TYPES) {
    return KAD_E_MESSAGE;
  }
  int error = request_check(&classes[in->type], in);
  if (error == 0 && in->type == KAD__PUT_VALUE) {
    error = put_check(&r, &in->record);
  }
  if (error == 0 && in->type == KAD__ADD_PROVIDER && own_entry(&r) == NULL) {
    error = KAD_E_MESSAGE;
  }
  return error;
}

int kad__dht_store_record(kad__dht *dht, const kad__wire_record *record,
                          kad_bytes source, kad_time now) {
  request r = decision(dht, source, now);
  if (record->key.len == 0 || record->key.len > KAD__DHT_KEY_MAX) {
    return KAD_E_INVALID_ARGUMENT;
  }
  int error = put_check(&r, record);
  return error != 0 ? error : put_store(&r, record);
}

int kad__dht_store_provider(kad__dht *dht, kad_bytes key, kad_bytes provider,
                            kad_bytes addresses, kad_time now) {
  uint8_t list[KAD__DHT_ADDRESSES_MAX];
  size_t len = 0;
  request r = decision(dht, provider, now);
  if (key.len == 0 || key.len > KAD__DHT_PROVIDER_KEY_MAX) {
    return KAD_E_INVALID_ARGUMENT;
  }
  kad__dht_merge(dht, list, sizeof list, &len, addresses);
  return provider_store(&r, key, kad__bytes(list, len));
}
