#include "hosts.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "identity/digest.h"
#include "kadmium/multiaddr.h"
#include "wire/addresses.h"

static void must(bool condition) {
  if (!condition) {
    abort();
  }
}

/* ---- a store without anything ------------------------------------------ */

static bool store_get(kad__store *s, kad__record *out, kad_bytes key) {
  (void)s, (void)out, (void)key;
  return false;
}

static int store_put(kad__store *s, const kad__record *record, bool own) {
  (void)s, (void)record, (void)own;
  return 0;
}

static void store_remove(kad__store *s, kad_bytes key) {
  (void)s, (void)key;
}

static bool store_next(kad__store *s, kad__record *out, bool *own,
                       kad_bytes after) {
  (void)s, (void)out, (void)own, (void)after;
  return false;
}

static int store_add_provider(kad__store *s, const kad__provider *record,
                              bool own) {
  (void)s, (void)record, (void)own;
  return 0;
}

static size_t store_providers(kad__store *s, kad__provider *out, size_t cap,
                              kad_bytes key) {
  (void)s, (void)out, (void)cap, (void)key;
  return 0;
}

static void store_remove_provider(kad__store *s, kad_bytes key,
                                  kad_bytes provider) {
  (void)s, (void)key, (void)provider;
}

static bool store_next_provided(kad__store *s, kad__provider *out,
                                kad_bytes after) {
  (void)s, (void)out, (void)after;
  return false;
}

static void store_expire(kad__store *s, kad_time now) {
  (void)s, (void)now;
}

static kad_time store_deadline(const kad__store *s) {
  (void)s;
  return KAD_TIME_NEVER;
}

static void store_free(kad__store *s) {
  (void)s;
}

static const kad__store_class no_store_class = {
    .get = store_get,
    .put = store_put,
    .remove = store_remove,
    .next = store_next,
    .add_provider = store_add_provider,
    .providers = store_providers,
    .remove_provider = store_remove_provider,
    .next_provided = store_next_provided,
    .expire = store_expire,
    .deadline = store_deadline,
    .free = store_free};
static kad__store no_store = {.ops = &no_store_class};

/* ---- hosts ------------------------------------------------------------- */

static void make_swarm(host *me, const kad_allocator *allocator, kad_time now) {
  kad__swarm_config config;
  kad__swarm_config_default(&config);
  config.allocator = allocator;
  config.identity = me->key;
  config.random = &me->random;
  config.idle_timeout = KAD_HOUR;
  must(kad__swarm_new(&me->swarm, &config, now) == 0);
  must(kad__own_addresses_new(&me->own, allocator, me->swarm) == 0);
}

static void make_dht(host *me, const kad_allocator *allocator, kad_time now) {
  kad__dht_config config;
  kad__dht_config_default(&config);
  config.allocator = allocator;
  config.hash = kad__sha256;
  config.local_id = kad_peer_id_bytes(&me->id);
  config.random = &me->random;
  config.store = me->store;
  config.bootstrap_interval = KAD_TIME_NEVER;
  config.bootstrap_throttle = KAD_TIME_NEVER;
  must(kad__dht_new(&me->dht, &config, now) == 0);
}

static void make_protocols(host *me, const kad_allocator *allocator) {
  kad__identify_config identify;
  kad__identify_config_default(&identify);
  identify.identity = me->key;
  identify.own = me->own;
  identify.random = &me->random;
  must(kad__identify_new(&me->identify, allocator, me->swarm, &identify) == 0);
  must(kad__ping_new(&me->ping, allocator, me->swarm, &me->random) == 0);
  kad__autonat_config autonat;
  kad__autonat_config_default(&autonat);
  autonat.allocator = allocator;
  autonat.swarm = me->swarm;
  autonat.random = &me->random;
  autonat.serve = true;
  must(kad__autonat_new(&me->autonat, &autonat) == 0);
  kad__kad_config kad;
  kad__kad_config_default(&kad);
  kad.local = &me->id;
  kad.own = me->own;
  kad.random = &me->random;
  must(kad__kad_new(&me->kad, allocator, me->swarm, me->dht, &kad) == 0);
  must(kad__kad_set_mode(me->kad, KAD__MODE_SERVER) == 1);
}

static void make_host(host *me, const kad_allocator *allocator,
                      const char *network, size_t index, uint64_t seed,
                      kad_time now) {
  kad_random_init_u64(&me->random, seed + index);
  must(kad_key_pair_generate(&me->key, allocator, &me->random) == 0);
  me->id = *kad_key_pair_peer_id(me->key);
  me->store = &no_store;
  char text[64];
  snprintf(text, sizeof(text), "/ip4/%s.%zu/tcp/4001", network, index + 1);
  int len = kad_multiaddr_parse(me->address, sizeof(me->address), text);
  must(len > 0);
  me->address_len = (size_t)len;
  make_swarm(me, allocator, now);
  make_dht(me, allocator, now);
  make_protocols(me, allocator);
  must(kad__swarm_listen(me->swarm, kad__bytes(me->address, (size_t)len)) == 0);
}

hosts *hosts_new(const kad_allocator *allocator, size_t count,
                 const char *network, uint64_t seed) {
  hosts *h = calloc(1, sizeof(*h));
  must(h != NULL && count <= HOSTS_MAX);
  h->count = count;
  h->now = KAD_SECOND;
  for (size_t i = 0; i < count; i++) {
    make_host(&h->host[i], allocator, network, i, seed, h->now);
  }
  hosts_run(h);
  return h;
}

void hosts_free(hosts *h) {
  for (size_t i = 0; i < h->count; i++) {
    host *me = &h->host[i];
    kad__kad_free(me->kad);
    kad__autonat_free(me->autonat);
    kad__ping_free(me->ping);
    kad__identify_free(me->identify);
    kad__dht_free(me->dht);
    kad__own_addresses_free(me->own);
    kad__swarm_free(me->swarm);
    kad_key_pair_free(me->key);
  }
  free(h);
}

/* ---- the world --------------------------------------------------------- */

static pipe_end *find_pipe(hosts *h, const host *me, kad__id id) {
  for (size_t i = 0; i < PIPES_MAX; i++) {
    for (size_t j = 0; j < 2; j++) {
      if (h->pipes[i][j].host == me && h->pipes[i][j].id == id) {
        return &h->pipes[i][j];
      }
    }
  }
  return NULL;
}

static pipe_end *other_end(hosts *h, pipe_end *end) {
  size_t index = (size_t)(end - &h->pipes[0][0]);
  return &h->pipes[0][0] + (index ^ 1);
}

static pipe_end *free_pipe(hosts *h) {
  for (size_t i = 0; i < PIPES_MAX; i++) {
    if (h->pipes[i][0].host == NULL && h->pipes[i][1].host == NULL) {
      return h->pipes[i];
    }
  }
  abort();
}

static void listen_at(host *me, const kad__world_action *action, kad_time now) {
  uint8_t list[64];
  size_t len = 0;
  must(kad__addresses_append(list, sizeof(list), &len, action->address));
  kad__swarm_listening(me->swarm, action->id, kad__bytes(list, len), now);
}

static void dial(hosts *h, host *me, const kad__world_action *action) {
  kad_bytes mine = kad__bytes(me->address, me->address_len);
  for (size_t i = 0; i < h->count; i++) {
    host *them = &h->host[i];
    kad_bytes theirs = kad__bytes(them->address, them->address_len);
    kad__id id = 0;
    if (!kad__bytes_equal(theirs, action->address) ||
        kad__swarm_accepted(them->swarm, &id, 0, mine, theirs, h->now) < 0) {
      continue;
    }
    pipe_end *ends = free_pipe(h);
    ends[0] = (pipe_end){.host = me, .id = action->id};
    ends[1] = (pipe_end){.host = them, .id = id};
    kad__swarm_dialed(me->swarm, action->id, mine, h->now);
    return;
  }
  kad__swarm_dial_failed(me->swarm, action->id, KAD_E_REFUSED, h->now);
}

static void close_pipe(hosts *h, pipe_end *end) {
  pipe_end *other = other_end(h, end);
  pipe_end told = *other;
  end->host = NULL;
  other->host = NULL;
  if (told.host != NULL) {
    kad__swarm_closed(told.host->swarm, told.id, 0, h->now);
  }
}

static bool act(hosts *h, host *me) {
  kad__world_action action;
  bool busy = false;
  while (kad__swarm_poll_action(me->swarm, &action)) {
    busy = true;
    pipe_end *end = find_pipe(h, me, action.id);
    if (action.type == KAD__WORLD_LISTEN) {
      listen_at(me, &action, h->now);
    } else if (action.type == KAD__WORLD_DIAL) {
      dial(h, me, &action);
    } else if (action.type == KAD__WORLD_CLOSE && end != NULL) {
      close_pipe(h, end);
    }
  }
  return busy;
}

static bool carry(hosts *h, host *me) {
  static uint8_t bytes[65536];
  bool busy = false;
  kad__id id;
  while ((id = kad__swarm_next_output(me->swarm)) != 0) {
    size_t len;
    while ((len = kad__swarm_output(me->swarm, id, bytes, sizeof(bytes),
                                    h->now)) != 0) {
      busy = true;
      pipe_end *end = find_pipe(h, me, id);
      if (end != NULL) {
        pipe_end *other = other_end(h, end);
        kad__swarm_input(other->host->swarm, other->id, bytes, len, h->now);
      }
    }
  }
  return busy;
}

/* ---- events ------------------------------------------------------------ */

static void own_stream_event(host *me, const kad__swarm_event *event) {
  kad__stream *stream = event->stream;
  if (event->type == KAD__SWARM_STREAM_READABLE) {
    size_t len = kad__stream_peek(stream).len;
    kad__stream_consume(stream, len);
    me->readable += len;
  } else if (event->type == KAD__SWARM_STREAM_DEAD) {
    me->dead++;
    kad__stream_release(stream);
  }
}

static void dispatch(host *me, const kad__swarm_event *event, kad_time now) {
  uint32_t owner = event->type >= KAD__SWARM_STREAM_INBOUND
                       ? kad__tag_owner(kad__stream_tag(event->stream))
                       : 0;
  if (owner == TEST_TAG) {
    own_stream_event(me, event);
    return;
  }
  if (owner == 0 || owner == KAD__TAG_IDENTIFY ||
      owner == KAD__TAG_IDENTIFY_PUSH) {
    kad__identify_handle_event(me->identify, event, now);
  }
  if (owner == 0 || owner == KAD__TAG_PING) {
    kad__ping_handle_event(me->ping, event, now);
  }
  if (owner == 0 || owner == KAD__TAG_AUTONAT ||
      owner == KAD__TAG_AUTONAT_BACK) {
    kad__autonat_handle_event(me->autonat, event, now);
  }
  if (owner == 0 || owner == KAD__TAG_KAD) {
    kad__kad_handle_event(me->kad, event, now);
  }
}

static void take_identified(host *me, kad_time now) {
  kad__identify_event event;
  while (kad__identify_poll(me->identify, &event)) {
    me->identified += event.type == KAD__IDENTIFY_DONE;
    me->identify_failed += event.type == KAD__IDENTIFY_FAILED;
    me->identify_event = event;
    if (event.observed_address.len != 0) {
      memcpy(me->observed, event.observed_address.data,
             event.observed_address.len);
      me->identify_event.observed_address.data = me->observed;
    }
    if (event.type == KAD__IDENTIFY_DONE) {
      kad__kad_peer_identified(me->kad, event.connection, &event.peer, now);
    }
  }
}

static void take_dht_events(host *me) {
  kad__dht_event event;
  while (kad__dht_poll_event(me->dht, &event)) {
    me->found += event.type == KAD__DHT_PEER_FOUND ||
                 event.type == KAD__DHT_PROVIDER_FOUND;
    if (event.type == KAD__DHT_QUERY_ENDED) {
      me->ended++;
      me->query = event;
    }
  }
}

static bool drive(host *me, kad_time now) {
  kad__swarm_event event;
  bool busy = false;
  while (kad__swarm_poll_event(me->swarm, &event)) {
    busy = true;
    dispatch(me, &event, now);
  }
  take_identified(me, now);
  while (kad__ping_poll(me->ping, &me->pong)) {
    me->pongs++;
  }
  while (kad__autonat_poll(me->autonat, &me->probe)) {
    me->probed++;
  }
  kad__kad_drive(me->kad, now);
  take_dht_events(me);
  return busy;
}

void hosts_run(hosts *h) {
  bool busy = true;
  while (busy) {
    busy = false;
    for (size_t i = 0; i < h->count; i++) {
      host *me = &h->host[i];
      busy |= drive(me, h->now);
      busy |= act(h, me);
      busy |= carry(h, me);
    }
  }
}

void hosts_wait(hosts *h, kad_time until) {
  while (h->now < until) {
    h->now = until - h->now > KAD_SECOND ? h->now + KAD_SECOND : until;
    for (size_t i = 0; i < h->count; i++) {
      host *me = &h->host[i];
      kad__swarm_tick(me->swarm, h->now);
      kad__autonat_tick(me->autonat, h->now);
      kad__kad_tick(me->kad, h->now);
      kad__dht_tick(me->dht, h->now);
    }
    hosts_run(h);
  }
}

void hosts_connect(hosts *h, size_t a, size_t b) {
  uint8_t list[128];
  size_t len = 0;
  const host *them = &h->host[b];
  must(kad__addresses_append(list, sizeof(list), &len,
                             kad__bytes(them->address, them->address_len)));
  must(kad__swarm_dial(h->host[a].swarm, &them->id, kad__bytes(list, len),
                       h->now) >= 0);
  hosts_run(h);
}

void hosts_cut(hosts *h, size_t a, size_t b) {
  for (size_t i = 0; i < PIPES_MAX; i++) {
    pipe_end ends[2] = {h->pipes[i][0], h->pipes[i][1]};
    bool between =
        (ends[0].host == &h->host[a] && ends[1].host == &h->host[b]) ||
        (ends[0].host == &h->host[b] && ends[1].host == &h->host[a]);
    if (between) {
      h->pipes[i][0].host = NULL;
      h->pipes[i][1].host = NULL;
      kad__swarm_closed(ends[0].host->swarm, ends[0].id, KAD_E_IO, h->now);
      kad__swarm_closed(ends[1].host->swarm, ends[1].id, KAD_E_IO, h->now);
    }
  }
}
