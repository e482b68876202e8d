/* Holds the gateway together: configuration, the queue of datagrams, and where
 * a datagram that comes in goes. */
#include "gateway/udp.h"

#include "gateway/udp_internal.h"

/* ---- the network -------------------------------------------------------- */

void kad__udp_hash(uint8_t out[32], kad_bytes in) {
  size_t len = in.len < 32 ? in.len : 32;
  memset(out, 0, 32);
  if (len > 0) {
    memcpy(out, in.data, len);
  }
}

static size_t random_id(uint8_t out[KAD__DHT_ID_MAX],
                        const uint8_t random[32]) {
  memcpy(out, random, KAD__UDP_ID_LEN);
  return KAD__UDP_ID_LEN;
}

void kad__udp_configure_dht(kad__dht_config *config) {
  config->hash = kad__udp_hash;
  config->random_id = random_id;
  config->bucket_size = 20;
  config->replication = 20;
  config->parallelism = 3;
  config->record_ttl = KAD_HOUR;
  config->publication_interval = 40 * KAD_MINUTE;
  config->trust_peers = true; /* a proof of its address is an answer */
}

int kad__udp_check_record(kad_bytes key, kad_bytes value) {
  if (key.len != KAD__UDP_ID_LEN) {
    return KAD_E_KEY;
  }
  if (value.len > KAD__UDP_VALUE_MAX) {
    return KAD_E_RECORD_TOO_LARGE;
  }
  return kad__udp_utf8(value) ? 0 : KAD_E_RECORD;
}

/* ---- life --------------------------------------------------------------- */

void kad__udp_config_default(kad__udp_config *config) {
  *config = (kad__udp_config){.timeout = 5 * KAD_SECOND,
                              .retry = KAD_SECOND,
                              .attempts = 3,
                              .max_calls = 256,
                              .max_peers = 4096,
                              .max_proofs = 256,
                              .idle = 15 * KAD_MINUTE,
                              .peer_rate = 100,
                              .stranger_rate = 64 * 1024,
                              .max_queue = (size_t)1 << 20};
}

static void udp_init(kad__udp *g, kad__dht *dht,
                     const kad__udp_config *config) {
  kad__map *maps[] = {&g->calls, &g->dht_calls, &g->peers, &g->pings};
  g->dht = dht;
  g->config = *config;
  memcpy(g->id, config->local_id.data, sizeof g->id);
  size_t len = kad__udp_address_format(g->text, &g->address);
  g->self = (kad__udp_node){.address = kad__bytes(g->text, len), .id = g->id};
  g->strangers.tokens = config->stranger_rate;
  for (size_t i = 0; i < KAD__COUNT(maps); i++) {
    uint64_t secret[2] = {kad_random_u64(config->random),
                          kad_random_u64(config->random)};
    kad__map_init(maps[i], secret);
  }
  kad__list_init(&g->proved);
  kad__list_init(&g->pinged);
  kad__list_init(&g->outgoing);
}

int kad__udp_new(kad__udp **out, const kad_allocator *allocator, kad__dht *dht,
                 const kad__udp_config *config) {
  kad__udp_address address;
  if (config->local_id.len != KAD__UDP_ID_LEN || config->random == NULL ||
      config->attempts == 0 || config->max_calls == 0 ||
      config->max_peers == 0 ||
      !kad__udp_address_load(&address, config->address)) {
    return KAD_E_INVALID_ARGUMENT;
  }
  kad__udp *g = kad__calloc(allocator, 1, sizeof *g);
  if (g == NULL) {
    return KAD_E_NO_MEMORY;
  }
  g->allocator = *allocator;
  g->address = address;
  udp_init(g, dht, config);
  *out = g;
  return 0;
}

static void packet_done(kad__udp *g, kad__udp_packet *packet) {
  kad__list_unlink(&packet->link);
  if (packet->owned) {
    g->queued -= packet->len;
    kad__release(&g->allocator, packet);
  }
}

void kad__udp_free(kad__udp *g) {
  if (g == NULL) {
    return;
  }
  kad_allocator allocator = g->allocator;
  KAD__LIST_EACH(link, &g->outgoing) {
    packet_done(g, KAD__CONTAINER(link, kad__udp_packet, link));
  }
  kad__udp_calls_fini(g);
  kad__udp_peers_fini(g);
  kad__release(&allocator, g);
}

/* ---- out ---------------------------------------------------------------- */

bool kad__udp_take_tokens(kad__udp_bucket *bucket, uint32_t rate, uint64_t n,
                          kad_time now) {
  kad_time passed = kad__time_min(now - bucket->at, KAD_SECOND);
  uint64_t more = passed * rate / KAD_SECOND;
  if (more > 0) {
    /* What is lost to rounding stays in the time that has passed. */
    bucket->at =
        passed == KAD_SECOND ? now : bucket->at + more * KAD_SECOND / rate;
    bucket->tokens += more;
    bucket->tokens = bucket->tokens < rate ? bucket->tokens : rate;
  }
  if (bucket->tokens < n) {
    return false;
  }
  bucket->tokens -= n;
  return true;
}

int kad__udp_send(kad__udp *g, const kad__udp_address *to,
                  const kad__udp_message *m) {
  size_t len = kad__udp_message_len(m);
  if (g->queued + len > g->config.max_queue) {
    g->counters.queue_full++;
    return KAD_E_LIMIT;
  }
  kad__udp_packet *packet = kad__alloc(&g->allocator, sizeof *packet + len);
  if (packet == NULL) {
    return KAD_E_NO_MEMORY;
  }
  packet->bytes = (uint8_t *)(packet + 1);
  int result = kad__udp_message_encode(packet->bytes, len, m);
  if (result < 0) {
    kad__release(&g->allocator, packet);
    return result;
  }
  packet->to = *to;
  packet->len = (uint32_t)len;
  packet->owned = true;
  g->queued += len;
  kad__list_init(&packet->link);
  kad__list_append(&g->outgoing, &packet->link);
  return 0;
}

int kad__udp_output(kad__udp *g, kad_bytes *to, uint8_t *out, size_t cap) {
  if (kad__list_empty(&g->outgoing)) {
    return 0;
  }
  kad__udp_packet *packet =
      KAD__CONTAINER(g->outgoing.next, kad__udp_packet, link);
  int len = (int)packet->len;
  if (packet->len > cap) {
    return KAD_E_BUFFER_TOO_SMALL;
  }
  memcpy(out, packet->bytes, packet->len);
  g->last_to = packet->to;
  *to = kad__udp_address_bytes(&g->last_to);
  g->counters.datagrams_out++;
  packet_done(g, packet);
  return len;
}

/* ---- in ----------------------------------------------------------------- */

int kad__udp_input(kad__udp *g, kad_bytes from, kad_bytes datagram,
                   kad_time now) {
  kad__udp_address address;
  g->counters.datagrams_in++;
  if (!kad__udp_address_load(&address, from)) {
    g->counters.malformed++;
    return KAD_E_MULTIADDR;
  }
  int error = kad__udp_message_decode(&g->in, datagram);
  if (error != 0) {
    g->counters.malformed++;
    return error;
  }
  switch (g->in.type) {
    case KAD__UDP_REQUEST:
      return kad__udp_take_request(g, &address, now);
    case KAD__UDP_RESPONSE:
      return kad__udp_take_response(g, &address, now);
    case KAD__UDP_KILL:
      g->counters.kills++;
      return KAD_E_UNSUPPORTED;
  }
  return KAD_E_MESSAGE;
}

/* ---- time --------------------------------------------------------------- */

kad_time kad__udp_deadline(const kad__udp *g) {
  return kad__time_min(kad__heap_deadline(&g->timers),
                       kad__udp_peers_deadline(g));
}

void kad__udp_tick(kad__udp *g, kad_time now) {
  kad__udp_calls_tick(g, now);
  kad__udp_peers_tick(g, now);
}

const kad__udp_counters *kad__udp_counters_get(const kad__udp *g) {
  return &g->counters;
}

size_t kad__udp_call_count(const kad__udp *g) {
  return g->calls.len;
}

size_t kad__udp_peer_count(const kad__udp *g) {
  return g->proved_count;
}

size_t kad__udp_proof_count(const kad__udp *g) {
  return g->pinged_count;
}
