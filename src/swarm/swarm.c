/* The swarm as a whole: making, freeing, protocols, time. */
#include "swarm/swarm_internal.h"

void kad__swarm_config_default(kad__swarm_config *config) {
  *config = (kad__swarm_config){
      .upgrade_timeout = 15 * KAD_SECOND,
      .dial_timeout = 15 * KAD_SECOND,
      .idle_timeout = KAD_MINUTE,
      .negotiate_timeout = 10 * KAD_SECOND,
      .max_connections = 1024,
      .low_water = 768,
      .high_water = 928,
      .grace_period = KAD_MINUTE,
      .silence_period = 10 * KAD_SECOND,
      .max_pending_inbound = 128,
      .max_inbound_per_address = 16,
      .max_inbound_per_group = 128,
      .max_connections_per_peer = 8,
      .max_dials = 160,
      .max_dials_per_peer = 8,
      .max_in_all = {(size_t)256 << 20, 16384, 16384},
      .max_per_peer = {(size_t)64 << 20, 2048, 1024},
      .max_per_address = {(size_t)64 << 20, 4096, UINT32_MAX},
      .max_per_group = {(size_t)128 << 20, 8192, UINT32_MAX},
      .pace_per_address = {32, 60},
      .pace_per_group = {128, 240},
  };
  kad__yamux_config_default(&config->yamux);
}

void kad__draw_secret(uint64_t secret[2], kad_random *random) {
  secret[0] = kad_random_u64(random);
  secret[1] = kad_random_u64(random);
}

static void init(kad__swarm *s, const kad__swarm_config *config, kad_time now) {
  uint64_t secret[2];
  s->config = *config;
  s->allocator = *config->allocator;
  s->config.allocator = &s->allocator;
  s->now = now;
  kad__draw_secret(secret, config->random);
  kad__map_init(&s->peers, secret);
  kad__draw_secret(secret, config->random);
  kad__values_init(&s->values, &s->allocator, secret);
  kad__draw_secret(secret, config->random);
  kad__backoff_init(&s->backoff, &s->allocator, secret);
  kad__bandwidth_init(&s->bandwidth, &s->allocator, secret, now);
  kad__limits_init(s);
  kad__ids_init(&s->ids);
  kad__list_init(&s->events);
  kad__list_init(&s->actions);
  kad__list_init(&s->dirty);
  kad__list_init(&s->dial_queue);
  kad__list_init(&s->listeners);
  kad__list_init(&s->pending);
  kad__list_init(&s->all_channels);
  kad__list_init(&s->all_dials);
}

int kad__swarm_new(kad__swarm **out, const kad__swarm_config *config,
                   kad_time now) {
  if (config->allocator == NULL || config->identity == NULL ||
      config->random == NULL || config->max_dials == 0 ||
      config->max_dials_per_peer == 0) {
    return KAD_E_INVALID_ARGUMENT;
  }
  if (config->network_key != NULL && !kad__pnet_supported()) {
    return KAD_E_UNSUPPORTED;
  }
  kad__swarm *s = kad__calloc(config->allocator, 1, sizeof(*s));
  if (s == NULL) {
    return KAD_E_NO_MEMORY;
  }
  init(s, config, now);
  uint64_t secret[2];
  kad__draw_secret(secret, config->random);
  int result = kad__peerstore_new(&s->peerstore, &s->allocator, secret);
  if (result == 0) {
    result = kad__security_new(&s->security, &s->allocator, config->identity,
                               config->random);
  }
  if (result < 0) {
    kad__swarm_free(s);
    return result;
  }
  s->connection_config =
      (kad__connection_config){.allocator = &s->allocator,
                               .security = s->security,
                               .random = config->random,
                               .yamux = config->yamux,
                               .upgrade_timeout = config->upgrade_timeout};
  memcpy(s->connection_config.protocols, config->protocols,
         sizeof(config->protocols));
  if (config->network_key != NULL) {
    memcpy(s->network_key, config->network_key, sizeof(s->network_key));
    s->connection_config.network_key = s->network_key;
  }
  *out = s;
  return 0;
}

void kad__swarm_set_wall_clock(kad__swarm *s, kad_time now, uint64_t unix_ns) {
  kad__security_set_wall_clock(s->security, now, unix_ns);
}

/* ---- owned bytes --------------------------------------------------------- */

int kad__owned_copy(kad_bytes *out, const kad_allocator *allocator,
                    kad_bytes from) {
  *out = (kad_bytes){0};
  if (from.len == 0) {
    return 0;
  }
  uint8_t *copy = kad__memdup(allocator, from.data, from.len);
  if (copy == NULL) {
    return KAD_E_NO_MEMORY;
  }
  *out = kad__bytes(copy, from.len);
  return 0;
}

void kad__owned_release(const kad_allocator *allocator, kad_bytes owned) {
  kad__release(allocator, (void *)(uintptr_t)owned.data);
}

/* ---- freeing ------------------------------------------------------------- */

static void free_channel(kad__channel *c) {
  c->state = KAD__CHANNEL_CLOSING; /* not reaped while its streams go */
  KAD__LIST_EACH(node, &c->streams) {
    kad__stream_destroy(KAD__CONTAINER(node, kad__stream, in_channel));
  }
  kad__channel_free(c);
}

static void free_peers(kad__swarm *s) {
  uint32_t slot = 0;
  kad__map_node *node = kad__map_next(&s->peers, &slot, NULL);
  while (node != NULL) {
    kad__map_node *next = kad__map_next(&s->peers, &slot, node);
    kad__release(&s->allocator, KAD__CONTAINER(node, kad__swarm_peer, node));
    node = next;
  }
}

static void free_objects(kad__swarm *s) {
  kad__swarm_take_back(s);
  while (!kad__list_empty(&s->all_dials)) {
    kad__dial_free(KAD__CONTAINER(s->all_dials.next, kad__dial, in_swarm));
  }
  for (kad__list *node; (node = kad__list_take(&s->all_channels)) != NULL;) {
    free_channel(KAD__CONTAINER(node, kad__channel, in_swarm));
  }
  KAD__LIST_EACH(node, &s->listeners) {
    kad__listener_free(KAD__CONTAINER(node, kad__listener, in_swarm));
  }
  free_peers(s);
}

void kad__swarm_free(kad__swarm *s) {
  if (s == NULL) {
    return;
  }
  free_objects(s);
  for (size_t i = 0; i < s->known_count; i++) {
    kad__owned_release(&s->allocator, s->known[i]);
  }
  kad__release(&s->allocator, s->known);
  kad__security_free(s->security);
  kad__peerstore_free(s->peerstore);
  kad__backoff_fini(&s->backoff);
  kad__bandwidth_fini(&s->bandwidth);
  kad__map_fini(&s->peers, &s->allocator);
  kad__limits_fini(s);
  kad__values_fini(&s->values);
  kad__ids_fini(&s->ids, &s->allocator);
  kad__heap_fini(&s->channel_timers, &s->allocator);
  kad__heap_fini(&s->stream_timers, &s->allocator);
  kad__heap_fini(&s->dial_timers, &s->allocator);
  kad__buffer_fini(&s->scratch, &s->allocator);
  kad_allocator allocator = s->allocator;
  kad__wipe(s->network_key, sizeof(s->network_key));
  kad__release(&allocator, s);
}

kad__peerstore *kad__swarm_peerstore(kad__swarm *s) {
  return s->peerstore;
}

kad__values *kad__swarm_values(kad__swarm *s) {
  return &s->values;
}

/* ---- protocols ----------------------------------------------------------- */

static int find_name(const kad_bytes *names, size_t count, kad_bytes name) {
  for (size_t i = 0; i < count; i++) {
    if (kad__bytes_equal(names[i], name)) {
      return (int)i;
    }
  }
  return -1;
}

/* The lasting copy of a name. */
static int know_name(kad__swarm *s, kad_bytes *out, kad_bytes name) {
  int at = find_name(s->known, s->known_count, name);
  if (at >= 0) {
    *out = s->known[at];
    return 0;
  }
  if (s->known_count >= KAD__SWARM_NAMES_MAX) {
    return KAD_E_LIMIT;
  }
  kad_bytes *known = kad__resize_array(&s->allocator, s->known,
                                       s->known_count + 1, sizeof(*known));
  if (known == NULL) {
    return KAD_E_NO_MEMORY;
  }
  s->known = known;
  int result = kad__owned_copy(out, &s->allocator, name);
  if (result == 0) {
    s->known[s->known_count++] = *out;
  }
  return result;
}

static int set_handler(kad__swarm *s, uint32_t at, uint32_t tag,
                       kad__protocol_match match, void *user) {
  s->tags[at] = tag;
  s->matches[at] = match;
  s->match_users[at] = user;
  return 0;
}

int kad__swarm_handle(kad__swarm *s, kad_bytes protocol, uint32_t tag) {
  return kad__swarm_handle_match(s, protocol, tag, NULL, NULL);
}

int kad__swarm_handle_match(kad__swarm *s, kad_bytes protocol, uint32_t tag,
                            kad__protocol_match match, void *user) {
  int at = find_name(s->names, s->name_count, protocol);
  if (at >= 0) {
    return set_handler(s, (uint32_t)at, tag, match, user);
  }
  if (protocol.len == 0 || protocol.len >= KAD__MULTISTREAM_MESSAGE_MAX) {
    return KAD_E_INVALID_ARGUMENT;
  }
  if (s->name_count >= KAD__SWARM_PROTOCOLS_MAX) {
    return KAD_E_LIMIT;
  }
  int result = know_name(s, &s->names[s->name_count], protocol);
  return result < 0 ? result
                    : set_handler(s, s->name_count++, tag, match, user);
}

void kad__swarm_unhandle(kad__swarm *s, kad_bytes protocol) {
  int at = find_name(s->names, s->name_count, protocol);
  if (at < 0) {
    return;
  }
  size_t rest = --s->name_count - (size_t)at;
  memmove(&s->names[at], &s->names[at + 1], rest * sizeof(s->names[0]));
  memmove(&s->tags[at], &s->tags[at + 1], rest * sizeof(s->tags[0]));
  memmove(&s->matches[at], &s->matches[at + 1], rest * sizeof(s->matches[0]));
  memmove(&s->match_users[at], &s->match_users[at + 1],
          rest * sizeof(s->match_users[0]));
}

uint32_t kad__swarm_tag_of(const kad__swarm *s, kad_bytes protocol) {
  int at = find_name(s->names, s->name_count, protocol);
  return at < 0 ? 0 : s->tags[at];
}

static size_t match_proposal(const void *user, kad_bytes proposal) {
  const kad__swarm *s = user;
  size_t i = 0;
  while (i < s->name_count && (s->matches[i] == NULL ||
                               !s->matches[i](s->match_users[i], proposal))) {
    i++;
  }
  return i;
}

kad__protocol_names kad__swarm_protocols(const kad__swarm *s) {
  return (kad__protocol_names){.names = s->names,
                               .count = s->name_count,
                               .match = match_proposal,
                               .user = s};
}

void kad__swarm_not_accepted(kad__swarm *s, bool waits) {
  ++*(waits ? &s->counters.failed_accepts : &s->counters.refused_descriptors);
}

const kad_swarm_counters *kad__swarm_counters_get(const kad__swarm *s) {
  return &s->counters;
}

/* ---- time ---------------------------------------------------------------- */

kad_time kad__swarm_deadline(const kad__swarm *s) {
  kad_time at = kad__heap_deadline(&s->channel_timers);
  at = kad__time_min(at, kad__heap_deadline(&s->stream_timers));
  at = kad__time_min(at, kad__heap_deadline(&s->dial_timers));
  at = kad__time_min(at, kad__values_deadline(&s->values));
  at = kad__time_min(at, kad__swarm_trim_at(s));
  return kad__time_min(at, kad__peerstore_deadline(s->peerstore));
}

bool kad__swarm_busy(const kad__swarm *s) {
  return !kad__list_empty(&s->events) || !kad__list_empty(&s->actions) ||
         !kad__list_empty(&s->dirty);
}

static kad__heap_node *due(const kad__heap *heap, kad_time now) {
  kad__heap_node *node = kad__heap_first(heap);
  return node == NULL || node->at > now ? NULL : node;
}

void kad__swarm_tick(kad__swarm *s, kad_time now) {
  kad__swarm_set_now(s, now);
  now = s->now;
  kad__heap_node *node;
  /* Each call moves its node behind `now` or takes it out. */
  while ((node = due(&s->stream_timers, now)) != NULL) {
    kad__stream_expired(KAD__CONTAINER(node, kad__stream, timer), now);
  }
  while ((node = due(&s->channel_timers, now)) != NULL) {
    kad__channel_tick(KAD__CONTAINER(node, kad__channel, timer), now);
  }
  while ((node = due(&s->dial_timers, now)) != NULL) {
    kad__dial_tick(KAD__CONTAINER(node, kad__dial, timer));
  }
  kad__peerstore_tick(s->peerstore, now);
  kad__values_tick(&s->values, now);
  if (kad__swarm_trim_at(s) <= now) {
    (void)kad__swarm_trim(s, false, now);
  }
}
