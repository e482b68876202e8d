/* What binds the parts. Events go one way: the swarm's to the protocols and
 * the DHT's gateway, the protocols' and the DHT's to requests, joining and the
 * owner. A drive goes round until nobody has anything to say. */
#include "base/alloc.h"
#include "identity/digest.h"
#include "kademlia/inspect.h"
#include "kademlia/memory_store.h"
#include "kadmium/multiaddr.h"
#include "kadmium/version.h"
#include "multiformats/varint.h"
#include "node/connections.h"
#include "node/node_internal.h"
#include "node/records.h"
#include "node/routing.h"
#include "wire/addresses.h"

/* A query that runs for a request ends with the request; this bounds those of
 * the DHT's own. */
#define QUERY_TIMEOUT (5 * KAD_MINUTE)
#define IDLE_TIMEOUT (30 * KAD_SECOND)
#define MAX_CONNECTIONS 1000
/* Longer names leave no room for others in what identify tells. */
#define PROTOCOL_MAX 255

const char *kad_version(void) {
  return KADMIUM_VERSION;
}

bool kad_addresses_next(kad_bytes *rest, kad_bytes *address) {
  return kad__addresses_next(rest, address);
}

bool kad__node_peer_id(kad_peer_id *out, kad_bytes id) {
  return kad_peer_id_decode(out, id) == 0;
}

void kad__node_config_default(kad__node_config *config) {
  *config =
      (kad__node_config){.protocol = kad__bytes_of(KAD_PROTOCOL_IPFS),
                         .agent = kad__bytes_of("kadmium/" KADMIUM_VERSION),
                         .mode = KAD_MODE_AUTO,
                         .idle_timeout = IDLE_TIMEOUT,
                         .max_connections = MAX_CONNECTIONS};
}

/* ---- setting up ---------------------------------------------------------- */

static size_t total_len(const kad_bytes *list, size_t count) {
  size_t len = 0;
  for (size_t i = 0; i < count; i++) {
    len += list[i].len;
  }
  return len;
}

/* The validators of this network: on IPFS's, /pk and /ipns and what the owner
 * adds; elsewhere what the owner names, or everything. */
static void keep_validators(kad__node *node, const kad__node_config *config,
                            uint8_t **at) {
  size_t count = 0;
  for (size_t i = 0; i < config->dht.validator_count; i++) {
    node->validator_list[count] = config->dht.validators[i];
    node->validator_list[count++].name_space =
        kad__bytes_keep(at, config->dht.validators[i].name_space);
  }
  if (!node->own_network) {
    kad__record_pk_validator(&node->validator_list[count++], &node->allocator);
    kad__record_ipns_validator(&node->validator_list[count++],
                               &node->allocator);
  }
  for (size_t i = 0; i < config->namespace_count; i++) {
    node->validator_list[count++] = (kad__validator){
        .name_space = kad__bytes_keep(at, config->namespaces[i])};
  }
  node->validators = (kad__validators){.list = node->validator_list,
                                       .count = count,
                                       .accept_others = count == 0};
}

static int keep_config(kad__node *node, const kad__node_config *config) {
  const kad_allocator *a = &node->allocator;
  size_t len = config->protocol.len +
               total_len(config->bootstrap, config->bootstrap_count) +
               total_len(config->namespaces, config->namespace_count);
  for (size_t i = 0; i < config->dht.validator_count; i++) {
    len += config->dht.validators[i].name_space.len;
  }
  node->text = kad__alloc(a, len);
  node->validator_list =
      kad__calloc(a, config->namespace_count + config->dht.validator_count + 2,
                  sizeof(kad__validator));
  node->join.contacts =
      kad__calloc(a, config->bootstrap_count + 1, sizeof(kad__contact));
  if (node->text == NULL || node->validator_list == NULL ||
      node->join.contacts == NULL) {
    return KAD_E_NO_MEMORY;
  }
  uint8_t *at = node->text;
  node->protocol = kad__bytes_keep(&at, config->protocol);
  node->own_network =
      !kad__bytes_equal(node->protocol, kad__bytes_of(KAD_PROTOCOL_IPFS));
  for (size_t i = 0; i < config->bootstrap_count; i++) {
    node->join.contacts[i].address = kad__bytes_keep(&at, config->bootstrap[i]);
  }
  node->join.count = config->bootstrap_count;
  keep_validators(node, config, &at);
  return 0;
}

static int make_swarm(kad__node *node, const kad__node_config *config,
                      kad_time now) {
  kad__swarm_config swarm;
  kad__swarm_config_default(&swarm);
  swarm.allocator = &node->allocator;
  swarm.identity = node->identity;
  swarm.random = &node->random;
  swarm.idle_timeout = config->idle_timeout;
  memcpy(swarm.protocols, config->security, sizeof(swarm.protocols));
  swarm.network_key = config->network_key;
  swarm.transports = config->transports;
  kad__node_swarm_options(&swarm, config);
  if (config->report_swarm) {
    kad__node_watch(node, &swarm);
  }
  if (config->gater != NULL) {
    swarm.gater = *config->gater;
  }
  return kad__swarm_new(&node->swarm, &swarm, now);
}

static int make_store(kad__node *node, const kad__node_config *config) {
  if (config->store != NULL) {
    node->store = config->store;
    return 0;
  }
  kad__memory_store_config store;
  kad__memory_store_config_default(&store);
  uint64_t secret[2] = {kad_random_u64(&node->random),
                        kad_random_u64(&node->random)};
  int error =
      kad__memory_store_new(&node->own_store, &node->allocator, &store, secret);
  node->store = node->own_store;
  return error;
}

static int make_dht(kad__node *node, const kad__node_config *config,
                    kad_time now) {
  kad__dht_config dht;
  kad__dht_config_default(&dht);
  dht.allocator = &node->allocator;
  dht.hash = kad__sha256;
  dht.local_id = kad_peer_id_bytes(kad__node_id(node));
  dht.random = &node->random;
  dht.store = node->store;
  dht.validators = &node->validators;
  dht.filter_records = config->filter_records;
  dht.query_timeout = QUERY_TIMEOUT;
  kad__node_dht_options(&dht, &config->dht);
  node->replication = dht.replication;
  node->policy = kad__node_policy_of(config);
  kad__node_policy_apply(&dht, &node->policy);
  if (node->report_inbound) {
    dht.muted_events = 0;
  }
  return kad__dht_new(&node->dht, &dht, now);
}

static int make_own_addresses(kad__node *node) {
  int error = kad__own_addresses_new(&node->own, &node->allocator, node->swarm);
  if (error == 0) {
    kad__own_addresses_keep_private(node->own, node->own_network);
  }
  return error;
}

static int make_protocols(kad__node *node, const kad__node_config *config,
                          uint64_t unix_ns) {
  const kad_allocator *a = &node->allocator;
  kad__identify_config identify;
  kad__identify_config_default(&identify);
  identify.identity = node->identity;
  identify.own = node->own;
  identify.random = &node->random;
  identify.agent_version = config->agent;
  identify.sequence = unix_ns;
  identify.keep_private = node->own_network;
  int error = kad__identify_new(&node->identify, a, node->swarm, &identify);
  if (error < 0) {
    return error;
  }
  error = kad__ping_new(&node->ping, a, node->swarm, &node->random);
  if (error < 0) {
    return error;
  }
  kad__kad_config kad;
  kad__kad_config_default(&kad);
  kad.protocol = node->protocol;
  kad.local = kad__node_id(node);
  kad.own = node->own;
  kad.random = &node->random;
  kad.review = config->review_records;
  kad__node_kad_options(&kad, &config->dht);
  return kad__kad_new(&node->kad, a, node->swarm, node->dht, &kad);
}

static int listen_on(kad__node *node, const kad__node_config *config) {
  for (size_t i = 0; i < config->listen_count; i++) {
    int error = kad__swarm_listen(node->swarm, config->listen[i]);
    if (error < 0) {
      return error;
    }
  }
  return 0;
}

/* ---- mode ---------------------------------------------------------------- */

/* Can others reach us? Announced and confirmed addresses say so; on a network
 * of its own the operator means it; on loopback the others are here. A public
 * network needs more than a wildcard socket behind a NAT. */
static bool reachable(const kad__node *node) {
  kad_bytes listening[KAD__OWN_LISTEN_MAX];
  size_t count =
      kad__swarm_listen_addresses(node->swarm, listening, KAD__OWN_LISTEN_MAX);
  if (kad__reach_known(node)) {
    return true;
  }
  if (count == 0 || node->own_network) {
    return count > 0;
  }
  for (size_t i = 0; i < count; i++) {
    if (kad__address_scope(listening[i]) != KAD__SCOPE_LOOPBACK) {
      return false;
    }
  }
  return true;
}

void kad__node_update_mode(kad__node *node, kad_time now) {
  bool server = node->mode == KAD_MODE_SERVER ||
                (node->mode == KAD_MODE_AUTO && reachable(node));
  int changed = kad__kad_set_mode(node->kad,
                                  server ? KAD__MODE_SERVER : KAD__MODE_CLIENT);
  if (node->reach.autonat != NULL) {
    /* Without memory we stay what we were, which harms nobody. */
    (void)kad__autonat_serve(node->reach.autonat, server);
  }
  kad__identify_push_all(node->identify, now);
  if (changed == 1) {
    kad_event event = {.type = KAD_EVENT_MODE, .server = server};
    kad__node_emit(node, &event);
  }
}

void kad__node_set_mode(kad__node *node, kad_mode mode, kad_time now) {
  node->mode = mode;
  kad__node_update_mode(node, now);
}

static int set_up(kad__node *node, const kad__node_config *config, kad_time now,
                  uint64_t unix_ns) {
  int error = keep_config(node, config);
  if (error == 0) {
    error = make_swarm(node, config, now);
  }
  if (error == 0) {
    error = make_store(node, config);
  }
  if (error == 0) {
    error = make_dht(node, config, now);
  }
  if (error == 0) {
    error = make_own_addresses(node);
  }
  if (error == 0) {
    error = make_protocols(node, config, unix_ns);
  }
  if (error == 0) {
    error = kad__reach_init(node, config);
  }
  return error == 0 ? listen_on(node, config) : error;
}

int kad__node_new(kad__node **out, const kad__node_config *config, kad_time now,
                  uint64_t unix_ns) {
  if (config->protocol.len < 2 || config->protocol.len > PROTOCOL_MAX ||
      config->protocol.data[0] != '/') {
    return KAD_E_INVALID_ARGUMENT;
  }
  kad__node *node = kad__calloc(config->allocator, 1, sizeof(*node));
  if (node == NULL) {
    return KAD_E_NO_MEMORY;
  }
  node->allocator = *config->allocator;
  node->identity = config->identity;
  node->mode = config->mode;
  node->listeners_known = config->listen_count == 0;
  node->report_inbound = config->report_inbound || config->filter_records;
  kad_random_init(&node->random, config->seed);
  kad__node_events_init(&node->events, &node->allocator);
  kad__requests_init(&node->requests, &node->random);
  kad__streams_init(&node->streams);
  int error = set_up(node, config, now, unix_ns);
  if (error < 0) {
    kad__node_free(node);
    return error;
  }
  kad__node_set_wall_clock(node, now, unix_ns);
  kad__node_update_mode(node, now);
  *out = node;
  return 0;
}

void kad__node_free(kad__node *node) {
  if (node == NULL) {
    return;
  }
  kad_allocator allocator = node->allocator;
  kad__requests_fini(node);
  kad__streams_fini(node);
  kad__reach_fini(node);
  kad__peers_fini(node);
  kad__kad_free(node->kad);
  kad__ping_free(node->ping);
  kad__identify_free(node->identify);
  kad__own_addresses_free(node->own);
  kad__dht_free(node->dht);
  if (node->own_store != NULL) {
    node->own_store->ops->free(node->own_store);
  }
  kad__swarm_free(node->swarm);
  kad__node_events_fini(&node->events);
  kad__release(&allocator, node->join.contacts);
  kad__release(&allocator, node->validator_list);
  kad__release(&allocator, node->text);
  kad__release(&allocator, node);
}

/* ---- driving ------------------------------------------------------------- */

/* News of connections for the owner. */
static void report_swarm(kad__node *node, const kad__swarm_event *in) {
  uint8_t list[KAD_MULTIADDR_MAX + 8];
  size_t len = 0;
  (void)kad__addresses_append(list, sizeof(list), &len, in->address);
  kad_event out = {.error = in->error,
                   .peer = in->peer,
                   .inbound = in->inbound,
                   .code = in->code,
                   .connection = in->connection,
                   .addresses = kad__bytes(list, len)};
  kad__node_report_connection(node, &out, in->type);
  switch (in->type) {
    case KAD__SWARM_LISTENING:
      node->listening_changed = true;
      return;
    case KAD__SWARM_LISTEN_CLOSED:
      node->listening_changed = true;
      out.type = KAD_EVENT_LISTEN_CLOSED;
      break;
    case KAD__SWARM_LISTEN_FAILED:
      node->listeners_known = true;
      out.type = KAD_EVENT_LISTEN_FAILED;
      break;
    case KAD__SWARM_CONNECTED:
      if (!in->first) {
        return;
      }
      out.type = KAD_EVENT_CONNECTED;
      break;
    case KAD__SWARM_DISCONNECTED:
      if (!in->last) {
        return;
      }
      out.type = KAD_EVENT_DISCONNECTED;
      break;
    default:
      return;
  }
  kad__node_emit(node, &out);
}

static bool of_stream(const kad__swarm_event *event) {
  return event->type >= KAD__SWARM_STREAM_INBOUND;
}

static void to_owner_of_stream(kad__node *node, const kad__swarm_event *event,
                               kad_time now) {
  switch (kad__tag_owner(kad__stream_tag(event->stream))) {
    case KAD__TAG_IDENTIFY:
    case KAD__TAG_IDENTIFY_PUSH:
      kad__identify_handle_event(node->identify, event, now);
      return;
    case KAD__TAG_PING:
      kad__ping_handle_event(node->ping, event, now);
      return;
    case KAD__TAG_KAD:
      kad__kad_handle_event(node->kad, event, now);
      return;
    case KAD__TAG_STREAMS:
      kad__streams_event(node, event, now);
      return;
    case KAD__TAG_AUTONAT:
    case KAD__TAG_AUTONAT_BACK:
      kad__autonat_handle_event(node->reach.autonat, event, now);
      return;
    default:
      kad__stream_reset(event->stream, KAD__STREAM_PROTOCOL_VIOLATION);
      return;
  }
}

static bool drive_swarm(kad__node *node, kad_time now) {
  kad__swarm_event event;
  bool busy = false;
  while (kad__swarm_poll_event(node->swarm, &event)) {
    busy = true;
    if (of_stream(&event)) {
      kad__node_report_stream(node, &event);
      to_owner_of_stream(node, &event, now);
      continue;
    }
    kad__identify_handle_event(node->identify, &event, now);
    kad__ping_handle_event(node->ping, &event, now);
    kad__kad_handle_event(node->kad, &event, now);
    if (node->reach.autonat != NULL) {
      kad__autonat_handle_event(node->reach.autonat, &event, now);
    }
    kad__join_event(node, &event);
    kad__requests_swarm_event(node, &event, now);
    report_swarm(node, &event);
    kad__streams_swarm_event(node, &event, now);
    if (event.type == KAD__SWARM_DISCONNECTED) {
      kad__reach_disconnected(node, event.connection, now);
    }
  }
  return busy;
}

static void report_identified(kad__node *node, const kad__identify_event *event,
                              kad_time now) {
  const kad__peerstore *peers = kad__swarm_peerstore(node->swarm);
  uint8_t addresses[KAD__OWN_ADDRESSES_MAX];
  uint8_t protocols[KAD__OWN_ADDRESSES_MAX];
  size_t len = kad__peerstore_addresses(peers, &event->peer, addresses,
                                        sizeof(addresses), now);
  size_t protocols_len = kad__peerstore_protocols(peers, &event->peer,
                                                  protocols, sizeof(protocols));
  kad_event out = {.type = KAD_EVENT_IDENTIFIED,
                   .peer = event->peer,
                   .addresses = kad__bytes(addresses, len),
                   .observed = event->observed_address,
                   .agent = kad__peerstore_agent(peers, &event->peer),
                   .protocols = kad__bytes(protocols, protocols_len)};
  kad__node_emit(node, &out);
}

static bool drive_identify(kad__node *node, kad_time now) {
  kad__identify_event event;
  bool busy = false;
  while (kad__identify_poll(node->identify, &event)) {
    busy = true;
    if (event.type == KAD__IDENTIFY_DONE) {
      report_identified(node, &event, now);
    }
    kad__kad_peer_identified(node->kad, event.connection, &event.peer, now);
    kad__join_identified(node, &event, now);
    kad__reach_identified(node, &event, now);
    kad__requests_identified(node, &event, now);
  }
  return busy;
}

/* Records and providers that wait for the owner's verdict. */
static bool drive_reviews(kad__node *node) {
  kad__kad_review_request review;
  bool busy = false;
  while (kad__kad_poll_review(node->kad, &review)) {
    busy = true;
    kad_event event = {.type = KAD_EVENT_REVIEW,
                       .peer = review.peer,
                       .rpc = (uint32_t)review.type,
                       .key = review.key,
                       .value = review.record.value,
                       .ttl = review.record.ttl,
                       .addresses = review.addresses,
                       .token = review.token};
    (void)kad__node_peer_id(&event.publisher, review.record.publisher);
    kad__node_emit(node, &event);
  }
  return busy;
}

static bool drive_ping(kad__node *node, kad_time now) {
  kad__ping_event event;
  bool busy = false;
  while (kad__ping_poll(node->ping, &event)) {
    busy = true;
    kad__peers_pong(node, &event);
    kad__requests_pong(node, &event, now);
  }
  return busy;
}

static bool table_event(kad_event_type *out, kad__dht_event_type in) {
  static const struct {
    kad__dht_event_type in;
    kad_event_type out;
  } rows[] = {{KAD__DHT_ROUTING_ADDED, KAD_EVENT_ROUTING_ADDED},
              {KAD__DHT_ROUTING_UPDATED, KAD_EVENT_ROUTING_UPDATED},
              {KAD__DHT_ROUTING_REMOVED, KAD_EVENT_ROUTING_REMOVED},
              {KAD__DHT_UNROUTABLE, KAD_EVENT_UNROUTABLE},
              {KAD__DHT_ROUTABLE, KAD_EVENT_ROUTABLE},
              {KAD__DHT_PENDING_ROUTABLE, KAD_EVENT_PENDING_ROUTABLE},
              {KAD__DHT_INBOUND, KAD_EVENT_INBOUND}};
  for (size_t i = 0; i < KAD__COUNT(rows); i++) {
    if (rows[i].in == in) {
      *out = rows[i].out;
      return true;
    }
  }
  return false;
}

/* News of the routing table and of what others ask. */
static void report_dht(kad__node *node, const kad__dht_event *event) {
  kad_event out = {.addresses = event->peer.addresses,
                   .key = event->key,
                   .value = event->record.value,
                   .bucket = event->bucket,
                   .rpc = (uint32_t)event->message_type,
                   .count = event->closer,
                   .found = event->told,
                   .ttl = event->record.ttl};
  if (!table_event(&out.type, event->type) ||
      (out.type == KAD_EVENT_INBOUND && !node->report_inbound)) {
    return;
  }
  (void)kad__node_peer_id(&out.peer, event->peer.id);
  (void)kad__node_peer_id(&out.evicted, event->old_peer);
  (void)kad__node_peer_id(&out.publisher, event->record.publisher);
  kad__node_emit(node, &out);
}

/* A query that the DHT has begun by itself is over. */
static void report_upkeep(kad__node *node, const kad__dht_event *event) {
  kad_event out = {.type = KAD_EVENT_UPKEEP,
                   .error = event->error,
                   .key = event->key,
                   .ending = kad__node_ending(0, event),
                   .statistics = kad__node_statistics(event)};
  switch (event->kind) {
    case KAD__QUERY_REPUBLISH:
      out.operation = KAD_PUT;
      break;
    case KAD__QUERY_REPROVIDE:
      out.operation = KAD_PROVIDE;
      break;
    case KAD__QUERY_BOOTSTRAP:
      out.operation = KAD_BOOTSTRAP;
      break;
    default:
      return;
  }
  kad__node_emit(node, &out);
}

static void take_dht_event(kad__node *node, const kad__dht_event *event,
                           kad_time now) {
  bool ended = event->type == KAD__DHT_QUERY_ENDED;
  if (event->query == 0) {
    kad__node_value_table(node, event);
    report_dht(node, event);
    return;
  }
  bool known = (ended && kad__join_query_ended(node, event->query)) ||
               kad__requests_dht_event(node, event, now);
  if (ended && !known) {
    report_upkeep(node, event);
  }
}

static bool drive_dht(kad__node *node, kad_time now) {
  kad__dht_event event;
  bool busy = false;
  while (kad__dht_poll_event(node->dht, &event)) {
    busy = true;
    take_dht_event(node, &event, now);
  }
  return busy;
}

static void report_listening(kad__node *node, kad_time now) {
  node->listening_changed = false;
  node->listeners_known = true;
  kad__reach_listening(node, now);
  kad__node_update_mode(node, now);
  kad_event event = {.type = KAD_EVENT_LISTENING,
                     .peer = *kad__node_id(node),
                     .addresses = kad__node_addresses(node)};
  kad__node_emit(node, &event);
}

static void tick(kad__node *node, kad_time now) {
  kad__swarm_tick(node->swarm, now);
  if (node->reach.autonat != NULL) {
    kad__autonat_tick(node->reach.autonat, now);
  }
  kad__kad_tick(node->kad, now);
  kad__dht_tick(node->dht, now);
  kad__requests_tick(node, now);
  kad__streams_tick(node, now);
}

void kad__node_drive(kad__node *node, kad_time now) {
  node->now = now;
  if (node->closed) {
    return; /* or its table would be emptied, peer by peer that is silent */
  }
  if (kad__node_deadline(node) <= now) {
    tick(node, now);
  }
  bool busy = true;
  while (busy) {
    busy = drive_swarm(node, now);
    busy |= drive_identify(node, now);
    busy |= drive_ping(node, now);
    busy |= drive_reviews(node);
    busy |= drive_dht(node, now);
    busy |= kad__reach_drive(node, now);
    if (node->listening_changed) {
      report_listening(node, now);
    }
    kad__join_drive(node, now);
    kad__kad_drive(node->kad, now);
  }
  kad__node_report_closed(node);
}

kad_time kad__node_deadline(const kad__node *node) {
  if (node->closed) {
    return KAD_TIME_NEVER;
  }
  kad_time deadline = kad__swarm_deadline(node->swarm);
  deadline = kad__time_min(deadline, kad__kad_deadline(node->kad));
  deadline = kad__time_min(deadline, kad__dht_deadline(node->dht));
  deadline = kad__time_min(deadline, kad__join_deadline(node));
  deadline = kad__time_min(deadline, kad__reach_deadline(node));
  deadline = kad__time_min(deadline, kad__streams_deadline(node));
  return kad__time_min(deadline, kad__heap_deadline(&node->requests.deadlines));
}

void kad__node_set_wall_clock(kad__node *node, kad_time now, uint64_t unix_ns) {
  node->wall_at = now;
  node->wall = unix_ns;
  kad__dht_set_wall_clock(node->dht, now, unix_ns);
  kad__swarm_set_wall_clock(node->swarm, now, unix_ns);
}

uint64_t kad__node_unix_ns(const kad__node *node, kad_time now) {
  return node->wall == 0 ? 0 : node->wall + (now - node->wall_at);
}

/* ---- what the owner sees ------------------------------------------------- */

kad__swarm *kad__node_swarm(kad__node *node) {
  return node->swarm;
}

kad__dht *kad__node_dht(kad__node *node) {
  return node->dht;
}

const kad_peer_id *kad__node_id(const kad__node *node) {
  return kad_key_pair_peer_id(node->identity);
}

bool kad__node_poll(kad__node *node, kad_event *out) {
  return kad__node_events_take(&node->events, out);
}

bool kad__node_has_events(const kad__node *node) {
  return !kad__list_empty(&node->events.waiting);
}

bool kad__node_is_busy(const kad__node *node) {
  return kad__swarm_busy(node->swarm);
}

size_t kad__node_own_list(const kad__node *node, uint8_t *out, size_t cap) {
  return kad__own_addresses_list(node->own, out, cap, KAD__SCOPE_LOOPBACK);
}

/* Appends /p2p/`id` to `address`; returns the length. */
static size_t with_peer(uint8_t *out, kad_bytes address, kad_bytes id) {
  size_t len = address.len;
  memcpy(out, address.data, len);
  len += kad__varint_encode(out + len, KAD_MULTIADDR_P2P);
  len += kad__varint_encode(out + len, id.len);
  memcpy(out + len, id.data, id.len);
  return len + id.len;
}

kad_bytes kad__node_addresses(kad__node *node) {
  uint8_t plain[KAD__OWN_ADDRESSES_MAX];
  size_t plain_len = kad__node_own_list(node, plain, sizeof(plain));
  kad_bytes id = kad_peer_id_bytes(kad__node_id(node));
  kad_bytes rest = kad__bytes(plain, plain_len);
  kad_bytes address;
  node->addresses_len = 0;
  while (kad__addresses_next(&rest, &address)) {
    uint8_t full[KAD_MULTIADDR_MAX + KAD_PEER_ID_MAX + 2 * KAD__VARINT_MAX_LEN];
    size_t len = with_peer(full, address, id);
    (void)kad__addresses_append(node->addresses, sizeof(node->addresses),
                                &node->addresses_len, kad__bytes(full, len));
  }
  return kad__bytes(node->addresses, node->addresses_len);
}

void kad__node_status(const kad__node *node, kad_node_status *out) {
  uint64_t size = 0;
  if (kad__dht_network_size(node->dht, &size, node->now) < 0) {
    size = 0;
  }
  *out = (kad_node_status){
      .ready = node->join.ready,
      .server = kad__dht_get_mode(node->dht) == KAD__MODE_SERVER,
      .connections = (uint32_t)kad__swarm_connection_count(node->swarm),
      .table_size = (uint32_t)kad__dht_table_size(node->dht),
      .requests = node->requests.all.len,
      .network_size = size,
      .background = (uint32_t)kad__dht_background(node->dht)};
}

bool kad__node_next_peer(const kad__node *node, uint64_t *cursor,
                         kad_peer_id *out) {
  kad__connection_info info;
  *cursor = kad__swarm_connection_next(node->swarm, *cursor);
  if (*cursor == 0 || !kad__swarm_connection(node->swarm, *cursor, &info)) {
    return false;
  }
  *out = info.peer;
  return true;
}
